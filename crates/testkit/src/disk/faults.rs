//! What can go wrong with a disk.

use super::state::Ino;
use bifold_disk::fs::{FsError, FsResult};
use std::collections::BTreeSet;
use std::io;

#[derive(Default)]
pub(super) struct Faults {
    pub(super) unreadable: BTreeSet<Ino>,
    pub(super) unwritable: BTreeSet<Ino>,
    /// Bytes that may still be written.
    pub(super) room: Option<u64>,
    /// The call that fails.
    pub(super) fail_in: Option<u64>,
}

impl Faults {
    /// A call that may fail.
    pub(super) fn call(&mut self) -> FsResult<()> {
        match &mut self.fail_in {
            Some(0) => {
                self.fail_in = None;
                Err(FsError::Other(io::Error::other("input/output error (simulated)")))
            }
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes room on the disk.
    pub(super) fn take_room(&mut self, bytes: u64) -> FsResult<()> {
        match &mut self.room {
            Some(room) if *room < bytes => Err(FsError::Full),
            Some(room) => {
                *room -= bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

pub(super) fn denied() -> FsError {
    FsError::Denied(io::Error::other("permission denied (simulated)"))
}
