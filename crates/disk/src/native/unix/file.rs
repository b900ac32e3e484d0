//! Open files: reading, and writing with holes.

use super::attributes;
use super::entry::Facts;
use super::entry::{exec_mode, plain};
use super::errno::error;
use crate::fs::{Extras, FsResult, ReadFile, WriteFile};
use bifold_tree::Stat;
use rustix::fd::OwnedFd;
use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// Holes are made of whole blocks of so many bytes, at multiples of it: smaller ones save nothing on some disks.
const BLOCK: u64 = 64 * 1024;

/// Of a large file, the disk is given so many bytes at a time to begin with, so that there is little left to wait for at the end.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BEGIN: u64 = 8 << 20;

/// A regular file that is open for reading.
pub(super) struct Reading {
    pub(super) fd: OwnedFd,
    /// Whether the disk keeps an executable bit.
    pub(super) exec: bool,
}

impl ReadFile for Reading {
    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> FsResult<usize> {
        rustix::io::retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buf, offset)).map_err(error)
    }

    fn stat(&mut self) -> FsResult<Stat> {
        plain(&Facts::of_open(&self.fd).map_err(error)?, self.exec)
    }

    #[allow(clippy::useless_conversion, reason = "systems differ in how wide modes are")]
    fn extras(&self) -> Extras {
        let stat = rustix::fs::fstat(&self.fd).ok();
        Extras {
            permissions: stat
                .as_ref()
                .filter(|_| self.exec)
                .map(|stat| u32::from(stat.st_mode) & 0o777),
            owner: stat.map(|stat| (stat.st_uid, stat.st_gid)),
            attributes: attributes::of(&self.fd),
        }
    }
}

/// A new file that is open for writing.
pub(super) struct Writing {
    fd: OwnedFd,
    /// Whether the disk keeps an executable bit.
    exec: bool,
    /// Bytes that are in the file.
    written: u64,
    /// Zeros after them that are not, but are to be.
    zeros: u64,
    /// Bytes that the disk was told to begin with.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    begun: u64,
}

impl Writing {
    /// For a file that was just made.
    pub(super) fn new(fd: OwnedFd, exec: bool) -> Writing {
        Writing {
            fd,
            exec,
            written: 0,
            zeros: 0,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            begun: 0,
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let n = rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.fd, bytes, self.written))?;
            if n == 0 {
                return Err(Errno::IO);
            }
            bytes = &bytes[n..];
            self.written += n as u64;
        }
        self.begin();
        Ok(())
    }

    /// Has the disk begin to write what was written. ("Not needed" is what starts that on Linux; only what is on the disk already
    /// would also be dropped from memory, and this is not yet.)
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn begin(&mut self) {
        let length = self.written - self.begun;
        if let Some(length) = std::num::NonZeroU64::new(length).filter(|l| l.get() >= BEGIN) {
            let _ = rustix::fs::fadvise(&self.fd, self.begun, Some(length), rustix::fs::Advice::DontNeed);
            self.begun = self.written;
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn begin(&mut self) {}

    /// Puts the zeros in: whole blocks as a hole, what is before and after as bytes.
    fn settle_zeros(&mut self) -> Result<(), Errno> {
        static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        let end = self.written + self.zeros;
        let (hole_start, hole_end) = (self.written.next_multiple_of(BLOCK), end - end % BLOCK);
        self.zeros = 0;
        if hole_start < hole_end {
            // Both less than a block, so within the array.
            self.write(&ZEROS[..(hole_start - self.written) as usize])?;
            self.written = hole_end;
        }
        // No whole block in between: less than two are left.
        while self.written < end {
            self.write(&ZEROS[..(end - self.written).min(BLOCK) as usize])?;
        }
        Ok(())
    }
}

impl WriteFile for Writing {
    fn append(&mut self, bytes: &[u8]) -> FsResult<()> {
        // `bytes[..done]` is in the file or among `self.zeros`; `bytes[done..at]` is to be written as it is.
        let (mut done, mut at) = (0, 0);
        let start = self.written + self.zeros;
        while at < bytes.len() {
            let to_block = BLOCK - (start + at as u64) % BLOCK;
            let end = at + (bytes.len() - at).min(to_block as usize);
            if bytes[at..end].iter().all(|&b| b == 0) {
                if done < at {
                    self.settle_zeros().map_err(error)?;
                    self.write(&bytes[done..at]).map_err(error)?;
                }
                self.zeros += (end - at) as u64;
                done = end;
            }
            at = end;
        }
        if done < bytes.len() {
            self.settle_zeros().map_err(error)?;
            self.write(&bytes[done..]).map_err(error)?;
        }
        Ok(())
    }

    #[allow(clippy::useless_conversion, reason = "systems differ in how wide modes are")]
    fn give(&mut self, extras: &Extras, exactly: bool) {
        let Ok(stat) = rustix::fs::fstat(&self.fd) else { return };
        if let Some((user, group)) = extras.owner.filter(|owner| exactly && *owner != (stat.st_uid, stat.st_gid)) {
            // Only the system's administrator may give files away; whoever is in the group may give them to it.
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            if rustix::fs::fchown(&self.fd, Some(user), Some(group)).is_err() {
                let _ = rustix::fs::fchown(&self.fd, None, Some(group));
            }
        }
        if let Some(permissions) = extras.permissions.filter(|_| self.exec) {
            let now = u32::from(stat.st_mode) & 0o777;
            let mode = if exactly { permissions } else { now & permissions };
            let _ = rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode as _));
        }
        attributes::give(&self.fd, &extras.attributes);
    }

    fn finish(self: Box<Self>, exec: bool, mtime_ns: i64) -> FsResult<Stat> {
        if self.zeros > 0 {
            rustix::fs::ftruncate(&self.fd, self.written + self.zeros).map_err(error)?;
        }
        if self.exec {
            let mode = rustix::fs::fstat(&self.fd).map_err(error)?.st_mode;
            if (mode & 0o100 != 0) != exec {
                rustix::fs::fchmod(&self.fd, exec_mode(Mode::from_raw_mode(mode), exec)).map_err(error)?;
            }
        }
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: rustix::fs::UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: mtime_ns.div_euclid(1_000_000_000),
                tv_nsec: mtime_ns.rem_euclid(1_000_000_000) as _,
            },
        };
        match rustix::fs::futimens(&self.fd, &times) {
            // A time that the disk cannot hold is no reason to lose the file: what it has instead is in the answer.
            Ok(()) | Err(Errno::INVAL | Errno::OVERFLOW) => {}
            Err(e) => return Err(error(e)),
        }
        plain(&Facts::of_open(&self.fd).map_err(error)?, self.exec)
    }
}
