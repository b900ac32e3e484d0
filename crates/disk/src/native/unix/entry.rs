//! What the system says of an entry, in the tree's words.

use super::errno::error;
use crate::fs::{Entry, FsError, FsResult};
use bifold_tree::{FileKey, Fingerprint, Kind, Stat};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use std::io;

/// The entry that the system describes. Only files have an executable bit, and only where the disk keeps one (`exec`).
pub(super) fn entry(stat: &rustix::fs::Stat, exec: bool) -> Entry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
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
        key: FileKey(stat.st_ino),
        print: Fingerprint {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
        },
        exec: (exec && kind == Kind::File).then_some(stat.st_mode & 0o100 != 0),
    })
}

/// What the system says of a regular file.
///
/// # Errors
/// `Other` if it is something else.
pub(super) fn plain(stat: &rustix::fs::Stat, exec: bool) -> FsResult<Stat> {
    match entry(stat, exec) {
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
