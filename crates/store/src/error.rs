//! What can go wrong with the index, and what a person can do about it.

use bifold_tree::ReplicaId;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// Trouble with the index.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The index was written by a newer program.
    #[error(
        "the index {} was written by a newer Bifold (version {found} of its form; this program knows {known}). \
         Nothing was changed. Update Bifold on this device",
        path.display()
    )]
    Future {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The file is no index, or not as it was written. [`Store::set_aside`](crate::Store::set_aside) makes room for a new one.
    #[error(
        "the index {} is damaged ({detail}). Let Bifold rebuild it: the damaged file is kept beside it, and what is in \
         your folders is compared anew, which deletes nothing. If it happens again, have the disk checked",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Another program has the index open.
    #[error(
        "another Bifold is using the index {}. Stop it first (it may run in the background), or ask it to do this",
        path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// There is no room left on the disk of the index. Nothing of the change was written.
    #[error(
        "the disk is full: there is no room for the index {}. Make room on that disk; Bifold then goes on where it stopped",
        path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error(
        "the index {} cannot be read or written ({detail}). See that its disk is there, and that you may write to its directory",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// A root that another replica has.
    #[error("{} is already kept in sync, by replica {by}. One root has one replica: remove that one first", root.display())]
    RootTaken {
        /// The root.
        root: PathBuf,
        /// Whose it is.
        by: ReplicaId,
    },
    /// A replica that is not in the index: it was removed meanwhile, or never put.
    #[error("replica {replica} is not in the index any more. Add its folder again")]
    NoReplica {
        /// Which.
        replica: ReplicaId,
    },
}

impl StoreError {
    /// What SQLite says, of the file at `path`.
    pub(crate) fn of(path: &Path, error: &rusqlite::Error) -> StoreError {
        use rusqlite::Error;
        let path = path.to_owned();
        let detail = error.to_string();
        match error {
            Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => StoreError::Full { path },
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Locked { path },
                // A missing table or a broken constraint: this program's statements fit the schema that it made.
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::Unknown
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig => StoreError::Damaged { path, detail },
                _ => StoreError::Io { path, detail },
            },
            Error::InvalidPath(_) | Error::NulError(_) => StoreError::Io { path, detail },
            // A value of another type or range than the column has, a statement that the schema does not take.
            _ => StoreError::Damaged { path, detail },
        }
    }
}
