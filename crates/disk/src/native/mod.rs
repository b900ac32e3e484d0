//! The file system of this computer below one root: the real [`crate::fs::Fs`].
//!
//! Nothing here follows a link below the root, whoever puts it there and whenever. On Unix each path is resolved by the
//! kernel below a handle of the root. Nothing resolved is kept from one call to the next: a directory handle that
//! outlives its call would write to wherever the user has moved that directory meanwhile, and resolving anew costs less
//! than a microsecond (measured on Linux 6.18: 0.75 µs for `openat2` and `close`, 0.36 µs for a `stat`).

mod kind;
mod probe;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub(crate) use kind::DiskKind;
#[cfg(unix)]
pub use unix::NativeFs;
#[cfg(windows)]
pub use windows::NativeFs;

use crate::fs::FsError;
use crate::names::NameRules;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The engine's own directory in the root.
pub(crate) const OWN_DIR: &str = ".bifold";

/// Whether a name of the root is the engine's own directory. Letters that only some disks take for those of its name are none of it: what
/// was left out of a listing by mistake would be taken for deleted.
pub(crate) fn is_own(rules: &NameRules, name: &str) -> bool {
    name == OWN_DIR || rules.fold.case && name.eq_ignore_ascii_case(OWN_DIR)
}

/// Why a root cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct OpenError {
    /// The root.
    pub path: PathBuf,
    /// What the system says.
    pub source: FsError,
}

/// Opens and locks the file in the engine's own directory that tells one program from another; `None` where the system has
/// no locks. The lock ends with the program, however it ends.
fn lock_own(own: &Path) -> Result<Option<File>, FsError> {
    let other = |e: io::Error| match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FsError::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FsError::Denied(e),
        _ => FsError::Other(e),
    };
    // A link in its place is not followed.
    if !own.symlink_metadata().map_err(other)?.is_dir() {
        return Err(FsError::Other(io::ErrorKind::NotADirectory.into()));
    }
    let path = own.join("lock");
    if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
        return Err(FsError::Other(io::Error::other("its lock is no file")));
    }
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(other)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(FsError::Busy(io::Error::other("another Bifold is syncing it"))),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Whether `path` is one of the tree: empty for the root, else names joined by `/`. What is not never gets as far as the
/// disk, whoever sent it.
fn is_path(path: &str) -> bool {
    path.is_empty() || path.split('/').all(bifold_tree::is_name)
}

/// What is said of a path that [`is_path`] refuses.
fn bad_path() -> FsError {
    FsError::Other(std::io::Error::new(
        std::io::ErrorKind::InvalidInput,
        "not a path below the root",
    ))
}

#[cfg(test)]
mod tests;
