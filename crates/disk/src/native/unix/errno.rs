//! The system's error numbers in the words that callers decide by.

use crate::fs::FsError;
use rustix::io::Errno;
use std::io;

/// What an error number means. Where it means something else to one operation, that operation says so itself.
pub(super) fn error(e: Errno) -> FsError {
    match e {
        Errno::NOENT | Errno::NOTDIR => FsError::NotFound,
        Errno::EXIST => FsError::Exists,
        Errno::NOTEMPTY => FsError::NotEmpty,
        Errno::NOSPC | Errno::DQUOT => FsError::Full,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => FsError::Denied(e.into()),
        Errno::BUSY | Errno::TXTBSY => FsError::Busy(e.into()),
        Errno::LOOP => FsError::Other(io::Error::other("a symbolic link is in the way, and links are not followed")),
        Errno::XDEV => FsError::Other(io::Error::other(
            "another disk is mounted there, and what is on it is not synced",
        )),
        // Names that this disk cannot have are among these.
        Errno::INVAL | Errno::ILSEQ | Errno::NAMETOOLONG => FsError::Unsupported,
        e if is_unsupported(e) => FsError::Unsupported,
        e => FsError::Other(e.into()),
    }
}

/// Whether the system, or this file system, has no such operation.
pub(super) fn is_unsupported(e: Errno) -> bool {
    // Two names of one number on some systems: not a pattern.
    e == Errno::INVAL || e == Errno::NOSYS || e == Errno::OPNOTSUPP || e == Errno::NOTSUP
}
