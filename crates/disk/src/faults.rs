//! Faults that can be planted, to see whether the tests notice them. Only with the feature `faults`, which only tests turn on; without it
//! there are none, and asking costs nothing.

/// One rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// What comes out of an exchange is not looked at.
    ExchangesUnseen,
    /// What is deleted is removed, and not kept in the history.
    RemovesAtOnce,
    /// What cannot be looked at is not there.
    ErrorsAreAbsence,
    /// What was put in place is noted before it is synced, and never is.
    NotedUnsynced,
}

#[cfg(feature = "faults")]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Plants a fault on this thread, or takes it out again.
#[cfg(feature = "faults")]
pub fn plant(fault: Option<Fault>) {
    ACTIVE.set(fault);
}

/// Whether a fault is planted.
#[inline]
pub(crate) fn on(fault: Fault) -> bool {
    #[cfg(feature = "faults")]
    return ACTIVE.get() == Some(fault);
    #[cfg(not(feature = "faults"))]
    {
        let _ = fault;
        false
    }
}
