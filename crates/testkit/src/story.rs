//! Stories: what users do, and what must come of it, in a language of lines. It is described in `tests/scenarios/README.md`.

mod check;
mod parse;
mod play;
mod simulated;
mod tell;
mod time;
mod token;

use std::fmt;

pub(crate) use parse::order;
pub use play::{Stage, play};
pub use simulated::play_simulated;
pub(crate) use simulated::{do_act, set};
pub use tell::{act, tell};

/// A story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Story {
    /// Where it can be played.
    pub only: Only,
    /// The devices.
    pub devices: Vec<String>,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Where a story can be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Only {
    /// Anywhere.
    Anywhere,
    /// In the simulated world.
    Simulated,
    /// Where one program runs for each pair of devices, in the simulated world or by the real program.
    Pairs,
    /// By the real program.
    Real,
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: usize,
    /// What it says.
    pub order: Order,
}

/// What a line says. Devices are numbers in the order in which they were named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// A device's disk is of some kind.
    Disk(usize, DiskKind),
    /// The user of a device does something.
    User(usize, Act),
    /// The user of a device does something at any moment of the next settling.
    Meanwhile(usize, Act),
    /// The user of a device does something right before the program changes a file there.
    Applying(usize, Act),
    /// The program does all there is to do.
    Settle(Ending),
    /// Two devices do not see each other any more.
    Part(usize, usize),
    /// They do again.
    Join(usize, usize),
    /// The program is started anew.
    Restart,
    /// The power fails.
    Crash,
    /// Seconds go by.
    Wait(i64),
    /// A pattern is ignored from now on.
    Ignore(String),
    /// The rule for conflicts.
    Prefer(Rule),
    /// Held changes pass at the next settling.
    Allow,
    /// A person at a device decides.
    Pick(usize, String, PickSide),
    /// A disk is taken out of its place.
    Unmount(usize),
    /// It is put back.
    Mount(usize),
    /// All that is in a root is gone.
    EmptyRoot(usize),
    /// Another disk is in the place of a device's.
    OtherDisk(usize),
    /// What is at a path cannot be read (or can again).
    Unreadable(usize, String, bool),
    /// What is in a directory cannot be changed (or can again).
    Unwritable(usize, String, bool),
    /// So many bytes fit on a disk; or as many as one wants.
    Room(usize, Option<u64>),
    /// The index is lost.
    LoseIndex,
    /// A copy of the index is made, or put back.
    SnapshotIndex(String),
    /// See above.
    RestoreIndex(String),
    /// A copy of all files of a device is made, or put back.
    SnapshotFiles(usize, String),
    /// See above.
    RestoreFiles(usize, String),
    /// Something must hold.
    Expect(Expect),
}

/// How a settling ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// When all is done.
    Well,
    /// The program is killed at any moment, and started anew.
    Killed,
    /// The power is cut at any moment.
    Cut,
}

/// Kinds of disks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskKind {
    /// Takes `a` and `A` for one name.
    Folds,
    /// Takes both Unicode forms of a name for one.
    Forms,
    /// Forbids names as Windows does, and folds.
    Forbids,
    /// Keeps no executable bits.
    NoExec,
    /// Has no links.
    NoLinks,
    /// Cannot exchange files.
    NoExchange,
    /// Keeps times in steps of two seconds, and does not tell when anything but the bytes changed.
    Coarse,
    /// Its clock is wrong by so many seconds.
    Skewed(i64),
}

/// What a user does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Writes a file, in place.
    Write(String, Vec<u8>),
    /// Appends to it.
    Append(String, Vec<u8>),
    /// Writes aside and renames over.
    Save(String, Vec<u8>),
    /// Moves something, over what is there.
    Move(String, String),
    /// Exchanges two things.
    Swap(String, String),
    /// Deletes something, with all that is in it.
    Delete(String),
    /// Makes a directory, and those above it.
    Mkdir(String),
    /// Makes a link.
    Link(String, String),
    /// Gives a file a second name.
    HardLink(String, String),
    /// Sets the executable bit.
    Chmod(String, bool),
    /// Sets the time of last change, nanoseconds since 1970.
    Touch(String, i64),
    /// Makes a fifo.
    Fifo(String),
    /// Makes a directory with so many files, each with bytes of its own.
    Fill(String, usize),
    /// Several things, one after the other.
    All(Vec<Act>),
}

/// A rule for conflicts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Each side stays.
    Ask,
    /// The file changed last, by its own time.
    Newest,
    /// All sides.
    Both,
    /// A device's side.
    Device(usize),
}

/// What a person wants to stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PickSide {
    /// What a device has.
    Device(usize),
    /// All.
    Both,
    /// Nothing.
    Delete,
}

/// What must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// A device (or all) shows exactly this.
    Tree(Option<usize>, Vec<Shown>),
    /// A directory has so many files in it, at any depth.
    Count(Option<usize>, String, usize),
    /// A conflict is listed.
    Conflict {
        /// Where.
        path: String,
        /// The word for its kind.
        kind: String,
        /// The bytes that the sides replaced.
        base: Option<Vec<u8>>,
        /// All sides of contents, with a device that shows each.
        sides: Vec<(usize, Vec<u8>)>,
    },
    /// No conflict is listed.
    NoConflicts,
    /// A problem is listed.
    Problem(usize, String, String),
    /// None is.
    NoProblems,
    /// A change waits for a person.
    Held(usize),
    /// None does.
    NotHeld(usize),
    /// Nothing is done with a device, and why is said.
    Halted(usize),
    /// Something is done with all devices.
    NotHalted,
    /// The history of a device has these bytes.
    History(usize, Vec<u8>),
    /// The history of a device is empty.
    NoHistory(usize),
    /// So many bytes at most went from device to device in the last settling; exactly none if 0.
    Copied(u64),
    /// The disk itself has a name in its root that the tree does not have so.
    NameOnDisk(usize, String),
}

/// What a path shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Where; `*` stands for any characters but a slash.
    pub path: String,
    /// What.
    pub what: What,
}

/// What is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A directory.
    Dir,
    /// A file.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its executable bit.
        exec: bool,
        /// Last change, nanoseconds since 1970, if that matters.
        mtime_ns: Option<i64>,
    },
    /// A link.
    Link(String),
    /// A fifo.
    Fifo,
}

/// A line that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadStory {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for BadStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for BadStory {}
