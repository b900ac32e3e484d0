//! One file system below one root, as the few operations that a synchroniser needs. The real one is [`crate::native`];
//! the test kit has a simulated one. Everything above this trait (scan, stage, apply) is the same for both.
//!
//! All paths are relative to the root, in the tree's names ([`bifold_tree::RelPath`]): an implementation translates
//! them to what the system takes (see `names`), and never follows a link on the way.

use bifold_tree::{Names, Stat};
use std::fmt;
use std::io;

/// What an entry of a directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A file, directory or link.
    Plain(Stat),
    /// A fifo, socket or device: skipped and listed, never opened. Says which.
    Special(&'static str),
}

/// Why an operation failed. The distinction is what callers decide by; the text is for people.
#[derive(Debug)]
pub enum FsError {
    /// Nothing is there (or something on the way there is no directory).
    NotFound,
    /// Something is there already.
    Exists,
    /// The directory is not empty.
    NotEmpty,
    /// The system or this disk has no such operation or thing.
    Unsupported,
    /// No space or no quota left.
    Full,
    /// Not allowed, or the file system is read-only.
    Denied(io::Error),
    /// Open or locked elsewhere.
    Busy(io::Error),
    /// Anything else.
    Other(io::Error),
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FsError::NotFound => write!(f, "not found"),
            FsError::Exists => write!(f, "something is there already"),
            FsError::NotEmpty => write!(f, "the directory is not empty"),
            FsError::Unsupported => write!(f, "not supported here"),
            FsError::Full => write!(f, "no space left"),
            FsError::Denied(e) | FsError::Busy(e) | FsError::Other(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for FsError {}

/// The result of an operation on a file system.
pub type FsResult<T> = Result<T, FsError>;

/// What a file has besides its bytes that is not synced, but is kept where a new version or a copy of it is made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extras {
    /// Who may do what with it, as Unix has it.
    pub permissions: Option<u32>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// Extended attributes of the user's own: names and values.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A file that is open for reading.
pub trait ReadFile: Send {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> FsResult<usize>;
    /// What the disk says of the open file now.
    ///
    /// # Errors
    /// What the system says.
    fn stat(&mut self) -> FsResult<Stat>;
    /// What the file has besides its bytes, as far as it can be told.
    fn extras(&self) -> Extras {
        Extras::default()
    }
}

/// A new file that is open for writing, under a name of the engine's own.
pub trait WriteFile: Send {
    /// Appends. Long runs of zeros may become holes.
    ///
    /// # Errors
    /// What the system says.
    fn append(&mut self, bytes: &[u8]) -> FsResult<()>;
    /// Gives it what another file has besides its bytes, as far as this disk and user can; before `finish`. `exactly`: the
    /// other's owner and permissions; if not, nobody gets a permission that the other does not give.
    fn give(&mut self, _extras: &Extras, _exactly: bool) {}
    /// Ends writing; sets the length (holes at the end), the executable bit and the time of last change. Does not
    /// sync. Returns what the disk now says of it.
    ///
    /// # Errors
    /// What the system says.
    fn finish(self: Box<Self>, exec: bool, mtime_ns: i64) -> FsResult<Stat>;
}

/// A file system below a root.
pub trait Fs: Send + Sync {
    /// How this disk treats names.
    fn names(&self) -> &dyn Names;
    /// Whether this disk keeps executable bits; if not, [`Stat::exec`] is `None`.
    fn keeps_exec(&self) -> bool;
    /// Whether two files can be exchanged here, as far as is known.
    fn exchanges(&self) -> bool {
        true
    }
    /// Whether this disk tells, each time that it is mounted, which object something is and when it was changed last as it did before.
    fn knows_objects(&self) -> bool {
        true
    }
    /// What is at `path`, not following a link there; `None` only if nothing is.
    ///
    /// # Errors
    /// What the system says; an error is never "nothing there".
    fn stat(&self, path: &str) -> FsResult<Option<Entry>>;
    /// All entries of a directory, in order of name, without `.bifold` in the root. An error half-way is an error.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn list(&self, path: &str) -> FsResult<Vec<(String, Entry)>>;
    /// Opens a file for reading.
    ///
    /// # Errors
    /// `NotFound`; `Other` if it is not a regular file.
    fn open(&self, path: &str) -> FsResult<Box<dyn ReadFile>>;
    /// A link's target.
    ///
    /// # Errors
    /// `NotFound`; `Other` if it is no link; `Unsupported` if the target is not UTF-8.
    fn read_link(&self, path: &str) -> FsResult<String>;
    /// Makes a new file for writing.
    ///
    /// # Errors
    /// `Exists`, `Full`, or what the system says.
    fn create(&self, path: &str) -> FsResult<Box<dyn WriteFile>>;
    /// Makes a link.
    ///
    /// # Errors
    /// `Exists`; `Unsupported` where there are none.
    fn make_link(&self, path: &str, target: &str) -> FsResult<()>;
    /// Makes a directory.
    ///
    /// # Errors
    /// `Exists`, `Full`, or what the system says.
    fn make_dir(&self, path: &str) -> FsResult<()>;
    /// Who may do what with a directory, as Unix has it.
    ///
    /// # Errors
    /// `Unsupported` where there is no such thing; or what the system says.
    fn dir_permissions(&self, _path: &str) -> FsResult<u32> {
        Err(FsError::Unsupported)
    }
    /// Whether this user may make and remove names in a directory, as far as can be told before it is tried.
    fn may_change(&self, _dir: &str) -> bool {
        true
    }
    /// Makes a directory that gives nobody a permission that is not among these.
    ///
    /// # Errors
    /// `Exists`, `Full`, or what the system says.
    fn make_dir_for(&self, path: &str, _permissions: u32) -> FsResult<()> {
        self.make_dir(path)
    }
    /// Renames to a name that is free (or differs from the old one only as the disk folds names). Atomic.
    ///
    /// # Errors
    /// `NotFound`; `Exists`: and then nothing was done.
    fn rename(&self, from: &str, to: &str) -> FsResult<()>;
    /// Exchanges two files or links, atomically.
    ///
    /// # Errors
    /// `Unsupported` where the system cannot: callers then go a careful way round.
    fn exchange(&self, a: &str, b: &str) -> FsResult<()>;
    /// Removes a file or link. Used for the engine's own files only.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn remove_file(&self, path: &str) -> FsResult<()>;
    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound`, `NotEmpty`, or what the system says.
    fn remove_dir(&self, path: &str) -> FsResult<()>;
    /// Sets the executable bit (for owner, and for group and others where they may read). Says whether the file has other names, at
    /// which it is set by that as well.
    ///
    /// # Errors
    /// What the system says.
    fn set_exec(&self, path: &str, exec: bool) -> FsResult<bool>;
    /// Makes durable what was done: the bytes of these files and their directories' entries, or, where `paths` are
    /// many, of the whole file system, whichever costs less.
    ///
    /// # Errors
    /// What the system says: nothing may then be taken for durable.
    fn sync(&self, paths: &[&str]) -> FsResult<()>;
    /// Bytes free for this user; `None` if the system does not tell.
    fn free_space(&self) -> Option<u64>;
    /// Takes the root for this program alone, until this file system is dropped. Its `.bifold` must be there. Where the
    /// system has no such locks (some shares), nothing is done.
    ///
    /// # Errors
    /// `Busy` if another program has it; or what the system says.
    fn lock(&self) -> FsResult<()> {
        Ok(())
    }
}
