//! What a disk says, in the tree's words: the input of a scan. No disk is opened here.

use crate::id::ContentId;
use crate::node::Kind;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What tells one object of a disk from another: the inode number, or the system's file index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct FileKey(pub u64);

/// What changes when a file's bytes do, without reading them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Last change of the bytes, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of anything, nanoseconds since 1970; 0 where the system does not tell.
    pub ctime_ns: i64,
}

impl Fingerprint {
    /// Whether the bytes are the same as far as can be told, though something else may have changed, as by a rename.
    #[must_use]
    pub fn same_bytes(&self, other: &Fingerprint) -> bool {
        (self.size, self.mtime_ns) == (other.size, other.mtime_ns)
    }
}

/// What a disk says of one path, without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Which object it is.
    pub key: FileKey,
    /// What tells a change.
    pub print: Fingerprint,
    /// The executable bit; `None` on disks that have none.
    pub exec: Option<bool>,
}

/// What a file's or link's bytes are, once read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Bytes {
    /// A directory has none.
    Dir,
    /// A file's.
    File(ContentId),
    /// A link's target.
    Link(Arc<str>),
}

impl Bytes {
    /// The id under which the tree compares them.
    #[must_use]
    pub fn id(&self) -> ContentId {
        match self {
            Bytes::Dir => ContentId::default(),
            Bytes::File(id) => *id,
            Bytes::Link(target) => ContentId::of_link(target),
        }
    }
}

/// How a disk treats names.
pub trait Names: Send + Sync {
    /// Two names are one to this disk if this is equal.
    fn fold(&self, name: &str) -> String;
    /// Whether this disk takes the name as it is or in an escaped form (a name too long for it does not).
    fn fits(&self, name: &str) -> bool;
    /// Whether `fold` ever changes a name; if not, it is not called.
    fn folds(&self) -> bool;
    /// Whether this disk can exchange two files. Where it cannot, a file that is replaced is gone for a moment.
    fn exchanges(&self) -> bool {
        true
    }
    /// Whether this disk keeps executable bits.
    fn keeps_exec(&self) -> bool {
        true
    }
}

/// A disk that takes every name for what it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactNames;

impl Names for ExactNames {
    fn fold(&self, name: &str) -> String {
        name.to_owned()
    }
    fn fits(&self, name: &str) -> bool {
        name.len() <= 255
    }
    fn folds(&self) -> bool {
        false
    }
}
