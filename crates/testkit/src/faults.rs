//! Faults that can be planted in the simulated world itself, to see whether the simulation notices them: what the real program gets
//! from the system. (Those of the engine are in `bifold_tree::faults` and `bifold_disk::faults`.)

use std::cell::Cell;

/// One rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// A commit without news of nodes is never waited for: what others were told that a disk shows can be lost in a power cut.
    AcksUnsynced,
}

thread_local! {
    static ACTIVE: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Plants a fault on this thread, or takes it out again.
pub fn plant(fault: Option<Fault>) {
    ACTIVE.set(fault);
}

/// Whether a fault is planted.
pub(crate) fn on(fault: Fault) -> bool {
    ACTIVE.get() == Some(fault)
}
