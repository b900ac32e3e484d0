//! A damaged index is put aside, not away: someone may want to look at it.

use crate::error::StoreError;
use crate::open::Store;
use rusqlite::OpenFlags;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The files that SQLite keeps beside an index. The index itself goes first: SQLite drops a log whose index is gone.
const PARTS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// So many damaged indexes are kept.
const MAX_DAMAGED: u32 = 1000;

impl Store {
    /// Renames the index at `path`, and what SQLite keeps beside it, to `….damaged-1`, or the next number that is free. Then
    /// [`open`](Store::open) makes a new one. Returns where the index is now.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another program has it open; [`StoreError::Io`].
    pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let taken = Store::connect(path, flags).and_then(|mut store| store.take());
        if let Err(error @ StoreError::Locked { .. }) = taken {
            return Err(error);
        }
        let refused = |error: std::io::Error| StoreError::Io {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        for number in 1..=MAX_DAMAGED {
            let aside = with(path, &format!(".damaged-{number}"));
            if aside.symlink_metadata().is_ok() {
                continue;
            }
            for part in PARTS {
                let from = with(path, part);
                if part.is_empty() || from.symlink_metadata().is_ok() {
                    std::fs::rename(&from, with(&aside, part)).map_err(refused)?;
                }
            }
            return Ok(aside);
        }
        Err(refused(std::io::Error::other(format!(
            "there are {MAX_DAMAGED} damaged indexes beside it already; remove some"
        ))))
    }
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
