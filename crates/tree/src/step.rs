//! Steps: what is to be done on a disk, with what must still be true there for it to be done.

use crate::id::ContentId;
use crate::node::Kind;
use crate::view::{Bytes, FileKey, Fingerprint, Stat};
use std::sync::Arc;

/// A path below a root: components in the tree's names, joined by '/'; empty for the root itself.
pub type RelPath = Arc<str>;

/// What the disk showed at a path when it was last looked at; a step is taken only if it still does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// What it is.
    pub kind: Kind,
    /// Which object.
    pub key: FileKey,
    /// What tells a change of its bytes; for directories it is not looked at.
    pub print: Fingerprint,
    /// The bytes it had.
    pub bytes: Bytes,
}

/// A file, link or directory as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Its bytes.
    pub bytes: Bytes,
    /// Their number; 0 for links and directories.
    pub size: u64,
    /// A file's time of last change, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// A file's executable bit.
    pub exec: bool,
}

/// One change of a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Makes a file, link or directory where nothing is.
    Make {
        /// Where.
        path: RelPath,
        /// What.
        wanted: Wanted,
    },
    /// Puts other bytes in the place of a file or link, by exchange.
    Write {
        /// Where.
        path: RelPath,
        /// What is there now.
        expected: Expected,
        /// What shall be.
        wanted: Wanted,
    },
    /// Sets the executable bit of a file.
    SetMode {
        /// Where.
        path: RelPath,
        /// What is there now.
        expected: Expected,
        /// The bit.
        exec: bool,
    },
    /// Moves something to where nothing is (or changes the case of its name).
    Rename {
        /// From where.
        from: RelPath,
        /// To where; under `.bifold/tmp/` when it is only put out of the way.
        to: RelPath,
        /// What is there now.
        expected: Expected,
    },
    /// Takes a file or link away, into the history.
    Remove {
        /// Where.
        path: RelPath,
        /// What is there now.
        expected: Expected,
    },
    /// Takes an empty directory away.
    RemoveDir {
        /// Where.
        path: RelPath,
        /// What is there now.
        expected: Expected,
    },
}

/// What became of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done. The disk now says this of the target (of what is gone, nothing).
    Done(Option<Stat>),
    /// The disk was not as expected: nothing was done, or what was done was put back. The next scan tells what it is.
    Changed,
    /// The bytes are not at hand (yet): nothing was done.
    Missing,
    /// There was no time for it: nothing was done, and it is to be planned again.
    Deferred,
    /// A directory that holds something that is none of the folder's (ignored or skipped): it stays.
    Kept,
    /// An ignored path: it is not touched.
    Ignored,
    /// The system refused; nothing was done.
    Failed(Problem),
}

/// Trouble with one path: data beside a result, never the end of a run.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Where.
    pub path: String,
    /// What kind of trouble.
    pub kind: ProblemKind,
    /// What happened and what to do, for a person.
    pub message: String,
}

/// Kinds of trouble with a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// It cannot be read; nothing is inferred of it or of what is in it.
    Unreadable,
    /// It cannot be written.
    Unwritable,
    /// The disk is full.
    DiskFull,
    /// It is open elsewhere.
    Busy,
    /// Neither file, directory nor link: skipped.
    Special,
    /// The disk cannot have such a thing (a link, such a name).
    Unsupported,
    /// A directory stays because of what is in it.
    Kept,
    /// It kept changing while it was read.
    Unstable,
    /// Bytes that nobody here has.
    Missing,
    /// Something else.
    Other,
}

impl Expected {
    /// Whether the disk still has the object there, whatever its bytes.
    #[must_use]
    pub fn same_object(&self, stat: &Stat) -> bool {
        self.kind == stat.kind && self.key == stat.key
    }

    /// Whether the disk still has the object with its bytes.
    #[must_use]
    pub fn unchanged(&self, stat: &Stat) -> bool {
        self.same_object(stat) && (self.kind == Kind::Dir || self.print == stat.print)
    }
}

impl Wanted {
    /// The id of its bytes.
    #[must_use]
    pub fn id(&self) -> ContentId {
        self.bytes.id()
    }
}

impl Action {
    /// The path that it is about.
    #[must_use]
    pub fn path(&self) -> &RelPath {
        match self {
            Action::Make { path, .. }
            | Action::Write { path, .. }
            | Action::SetMode { path, .. }
            | Action::Remove { path, .. }
            | Action::RemoveDir { path, .. } => path,
            Action::Rename { from, .. } => from,
        }
    }
}
