//! The tapes of a history: what users do, and what happens around them.

use crate::moments::End;
use crate::story::{Act, DiskKind};
use bifold_engine::core::Prefer;

/// A point of time, by which the two tapes are joined: what users do comes before what happens at the same one.
pub type At = u32;

/// Points of time for things that happen at once.
pub(super) const EACH: At = 8;

/// A history: all that is needed to play it again.
#[derive(Clone, PartialEq, Debug)]
pub struct History {
    /// Where all luck comes from.
    pub seed: u64,
    /// The devices' disks.
    pub disks: Vec<Vec<DiskKind>>,
    /// The rule for conflicts.
    pub prefer: Prefer,
    /// What users do.
    pub workload: Vec<(At, Deed)>,
    /// What happens around them.
    pub schedule: Vec<(At, Event)>,
}

/// The devices' names.
pub const DEVICES: [&str; 4] = ["anna", "ben", "cleo", "dora"];

/// What the user of a device does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// The device.
    pub device: usize,
    /// What is done; nothing, if it cannot be done as things are.
    pub what: What,
}

/// See [`Deed`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// Something with files.
    Act(Act),
    /// One of the conflicts that were listed last is decided: which one, and how, by numbers.
    Decide(usize, usize),
}

/// What happens. Devices are numbers; times are seconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The programs do so many things.
    Go(usize),
    /// The programs do all there is to do.
    Settle,
    /// Time goes by.
    Wait(i64),
    /// Two devices do not see each other any more: what is on its way is lost.
    Part(usize, usize),
    /// They do again.
    Join(usize, usize),
    /// All programs are started anew.
    Restart,
    /// A device's program is ended before one of its next changes: which one.
    End(usize, End, u64),
    /// A device is switched off.
    Sleep(usize),
    /// It is switched on.
    Wake(usize),
    /// A message comes a second time.
    Duplicate,
    /// Of the bytes that devices fetch from each other, only so many parts come.
    Fetches(u64),
    /// What the next user does is done in the midst of the program's work on their disk: before this call, or (true) this change.
    Amid(u64, bool),
    /// A disk has room for so many bytes more.
    Full(usize, u64),
    /// Each of so many calls fails: reading, writing.
    Flaky(usize, bool, bool, u64),
    /// Each call takes so many milliseconds.
    Slow(usize, i64),
    /// Something cannot be read: which one, by number.
    Unreadable(usize, usize),
    /// Nothing can be changed in a directory: which one, by number.
    Unwritable(usize, usize),
    /// A disk's faults are mended.
    Heal(usize),
    /// A device's clock is wrong.
    Skew(usize, i64),
    /// A copy of a device's index is made, put back, or the index lost.
    CopyIndex(usize),
    /// See above.
    RestoreIndex(usize),
    /// See above.
    LoseIndex(usize),
    /// A copy of a device's disk is made, or put back.
    CopyDisk(usize),
    /// See above.
    RestoreDisk(usize),
}
