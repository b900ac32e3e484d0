//! Faults that can be planted, to see whether the tests notice them. Only with the feature `faults`, which only tests of this
//! crate turn on; without it there are none, and asking costs nothing. (With it replicas can be cloned, too: a test that goes every
//! way from one state needs many of each.)

/// One rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// A deletion that came with the parent's is like any other.
    UnderIsPlain,
    /// It does not wait for the parent's.
    NoWaiting,
    /// Files moved together do not unite.
    MovedTogetherApart,
    /// Files born at one path do not unite.
    BornTogetherApart,
    /// Files of the same bytes do not unite.
    SameBytesApart,
    /// What is found where the replica has something is new.
    NoJoining,
    /// What was deleted and comes back is new.
    NoReviving,
    /// Directories kept by what is in them are not adopted.
    NoAdopting,
    /// A write settles the deletions, but not what they doomed.
    SettlesDeletionsOnly,
    /// What a write settles of another register has no successor there.
    SettlesForGood,
    /// A write settles the deletions that a directory escaped, too.
    SettlesEscaped,
    /// Steps that were done and not noted count as the user's.
    StepsAreUsers,
    /// An edit replaces all contents known.
    EditsReplaceAll,
    /// A move replaces all places known.
    MovesReplaceAll,
    /// A deletion has seen all that is known.
    DeletionsSeeAll,
    /// Nothing is put out of the way.
    NoParking,
    /// Nodes that were forgotten are taken back.
    ForgottenComeBack,
    /// Nodes are forgotten that some replica has not seen dead.
    ForgetsUnseen,
    /// Loops of parents stay.
    LoopsStay,
    /// Only what is in the same directory is looked at again, not what is in those that are one with it.
    UnionsUnwatched,
    /// Removals are not noted before they are done.
    NoLeaving,
    /// A record takes over a node while another one that shows it still has to go.
    HeldIsTaken,
    /// After a rename the fingerprint is taken for that of the bytes known.
    RenamesHideEdits,
    /// A plan for some nodes is always for the first.
    FirstComeFirstServed,
    /// What is in a moved directory that cannot be listed is taken to be gone.
    UnlistedIsGone,
    /// A merge forgets how far the other side knew one of the writers, as far as nothing that is left shows it.
    MergesForgetWriters,
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
