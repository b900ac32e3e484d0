//! Faults planted in the world, not in the tree: what the engine around it must not do.

use std::cell::Cell;

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorldFault {
    /// Bytes of open sides are not kept when they are taken off the disk.
    BytesNotKept,
    /// The disk is not looked at before a step.
    NotLooked,
    /// Steps are noted in the index only at the end, even where one takes the place of another.
    LateCommits,
}

thread_local! {
    static ACTIVE: Cell<Option<WorldFault>> = const { Cell::new(None) };
}

pub fn set(fault: Option<WorldFault>) {
    ACTIVE.set(fault);
}

pub fn on(fault: WorldFault) -> bool {
    ACTIVE.get() == Some(fault)
}
