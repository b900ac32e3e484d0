//! What can go wrong with a disk.

use super::state::Ino;
use bifold_disk::fs::{FsError, FsResult};
use std::collections::BTreeSet;
use std::io;

/// A disk that fails now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flaky {
    /// Reading and listing fail.
    pub reads: bool,
    /// Writing and waiting for the disk fail.
    pub writes: bool,
    /// Each of so many calls.
    pub every: u64,
}

#[derive(Default)]
pub(super) struct Faults {
    pub(super) unreadable: BTreeSet<Ino>,
    pub(super) unwritable: BTreeSet<Ino>,
    /// Bytes that may still be written.
    pub(super) room: Option<u64>,
    /// The call that fails.
    pub(super) fail_in: Option<u64>,
    /// It fails now and then.
    pub(super) flaky: Option<Flaky>,
    /// Nanoseconds that each call takes.
    pub(super) slow_ns: i64,
    /// Calls that may fail, since it is flaky.
    calls: u64,
    /// Calls that failed, for whatever reason.
    pub(super) hits: u64,
}

impl Faults {
    /// A call that may fail.
    pub(super) fn call(&mut self, writes: bool) -> FsResult<()> {
        if let Some(flaky) = self.flaky.filter(|f| if writes { f.writes } else { f.reads }) {
            self.calls += 1;
            if self.calls.is_multiple_of(flaky.every.max(1)) {
                return Err(self.broken());
            }
        }
        match &mut self.fail_in {
            Some(0) => {
                self.fail_in = None;
                Err(self.broken())
            }
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn broken(&mut self) -> FsError {
        self.hits += 1;
        FsError::Other(io::Error::other("input/output error (simulated)"))
    }

    /// What its user has no permission for.
    pub(super) fn denied(&mut self) -> FsError {
        self.hits += 1;
        denied()
    }

    /// Takes room on the disk.
    pub(super) fn take_room(&mut self, bytes: u64) -> FsResult<()> {
        match &mut self.room {
            Some(room) if *room < bytes => {
                self.hits += 1;
                Err(FsError::Full)
            }
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
