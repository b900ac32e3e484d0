//! What the system says of an entry, in the tree's words.

use super::errno::error;
use crate::fs::{Entry, FsError, FsResult};
use bifold_tree::{FileKey, Fingerprint, Kind, Stat};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::io;

/// What the system says.
pub(super) struct Facts {
    mode: rustix::fs::RawMode,
    inode: u64,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    /// When it was made; 0 where the system does not tell.
    born_ns: i64,
}

impl Facts {
    /// Of an entry of a directory; a link is not followed.
    pub(super) fn of<P: rustix::path::Arg + Copy>(dir: impl AsFd, name: P) -> rustix::io::Result<Facts> {
        match Facts::with_birth(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOSYS | Errno::PERM) => {
                rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Facts::without_birth(&stat))
            }
            told => told,
        }
    }

    /// Of what is open.
    pub(super) fn of_open(fd: impl AsFd) -> rustix::io::Result<Facts> {
        match Facts::with_birth(fd.as_fd(), c"", AtFlags::EMPTY_PATH) {
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::fstat(fd).map(|stat| Facts::without_birth(&stat)),
            told => told,
        }
    }

    #[cfg(target_os = "linux")]
    fn with_birth<P: rustix::path::Arg>(dir: BorrowedFd<'_>, name: P, flags: AtFlags) -> rustix::io::Result<Facts> {
        use rustix::fs::{StatxFlags, StatxTimestamp};
        let time = |t: StatxTimestamp| nanoseconds(t.tv_sec, i64::from(t.tv_nsec));
        let all = rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        let tells_birth = all.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(Facts {
            mode: all.stx_mode.into(),
            inode: all.stx_ino,
            size: all.stx_size,
            mtime_ns: time(all.stx_mtime),
            ctime_ns: time(all.stx_ctime),
            born_ns: if tells_birth { time(all.stx_btime) } else { 0 },
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn with_birth<P: rustix::path::Arg>(_: BorrowedFd<'_>, _: P, _: AtFlags) -> rustix::io::Result<Facts> {
        Err(Errno::NOSYS)
    }

    fn without_birth(stat: &rustix::fs::Stat) -> Facts {
        Facts {
            mode: stat.st_mode,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
            born_ns: 0,
        }
    }

    /// Which object it is. Disks give the number of a file that is gone to the next that is made: with the time at which it was
    /// made, the number is its own.
    fn key(&self) -> FileKey {
        FileKey(self.inode ^ (self.born_ns as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// The entry that the system describes. Only files have an executable bit, and only where the disk keeps one (`exec`).
pub(super) fn entry(facts: &Facts, exec: bool) -> Entry {
    let kind = match FileType::from_raw_mode(facts.mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => return Entry::Special("fifo"),
        FileType::Socket => return Entry::Special("socket"),
        FileType::BlockDevice | FileType::CharacterDevice => return Entry::Special("device"),
        _ => return Entry::Special("special file"),
    };
    Entry::Plain(Stat {
        kind,
        key: facts.key(),
        print: Fingerprint {
            size: facts.size,
            mtime_ns: facts.mtime_ns,
            ctime_ns: facts.ctime_ns,
        },
        exec: (exec && kind == Kind::File).then_some(facts.mode & 0o100 != 0),
    })
}

/// What the system says of a regular file.
///
/// # Errors
/// `Other` if it is something else.
pub(super) fn plain(facts: &Facts, exec: bool) -> FsResult<Stat> {
    match entry(facts, exec) {
        Entry::Plain(stat) if stat.kind == Kind::File => Ok(stat),
        Entry::Plain(stat) if stat.kind == Kind::Dir => Err(error(Errno::ISDIR)),
        Entry::Plain(_) => Err(FsError::Other(io::Error::other("a link, not a file"))),
        Entry::Special(what) => Err(FsError::Other(io::Error::other(format!("a {what}, not a file")))),
    }
}

/// The mode with the executable bit set (for the owner, and for others where they may read), or with none.
pub(super) fn exec_mode(mode: Mode, exec: bool) -> Mode {
    let mode = mode.as_raw_mode();
    Mode::from_raw_mode(if exec {
        mode | 0o100 | (mode & 0o444) >> 2
    } else {
        mode & !0o111
    })
}

/// Nanoseconds since 1970; the nearest that can be told if a disk is off by more than 292 years.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read_may_execute() {
        for (before, exec, after) in [
            (0o644, true, 0o755),
            (0o640, true, 0o750),
            (0o600, true, 0o700),
            (0o044, true, 0o155),
            (0o755, false, 0o644),
        ] {
            assert_eq!(exec_mode(Mode::from_raw_mode(before), exec), Mode::from_raw_mode(after));
        }
    }

    #[test]
    fn times_saturate() {
        assert_eq!(nanoseconds(i64::MAX, 5), i64::MAX);
        assert_eq!(nanoseconds(i64::MIN, 5), i64::MIN + 5);
        assert_eq!(nanoseconds(-1, 5), -999_999_995);
    }
}
