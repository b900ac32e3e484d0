//! Renaming to a name that is free, and exchanging.

use super::errno::is_unsupported;
use super::resolve::Dir;
use rustix::fs::{AtFlags, FileType};
use rustix::io::{Errno, Result};

/// A name in a directory.
type Place<'a> = (&'a Dir<'a>, &'a [u8]);
/// Opens a directory of the engine's own.
type Aside<'a> = &'a dyn Fn() -> Result<Dir<'a>>;

/// Renames to a name that is free. `one_name`: the two names are one to a disk that folds names, so what is at the new
/// one may be the old one itself. `aside`: see [`carefully`].
pub(super) fn rename(from: Place<'_>, to: Place<'_>, one_name: bool, aside: Aside<'_>) -> Result<()> {
    match if_free(from, to) {
        Err(Errno::EXIST) if one_name && is_same(from, to)? => over(from, to),
        Err(e) if is_unsupported(e) => carefully(from, to, one_name, aside),
        done => done,
    }
}

/// Renames to a name of the engine's own, that nobody else gives to anything.
pub(super) fn to_own(from: Place<'_>, to: Place<'_>) -> Result<()> {
    match if_free(from, to) {
        Err(e) if is_unsupported(e) => match rustix::fs::statat(to.0, to.1, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => over(from, to),
            Err(e) => Err(e),
        },
        done => done,
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn if_free(from: Place<'_>, to: Place<'_>) -> Result<()> {
    rustix::fs::renameat_with(from.0, from.1, to.0, to.1, rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn if_free(_: Place<'_>, _: Place<'_>) -> Result<()> {
    Err(Errno::NOSYS)
}

/// On file systems that cannot rename "if it is free" (NFS, some of FUSE): a second name for a file is made only if it
/// is free, so that is as good. The first one is not removed but put aside, and what came out is looked at: the user may have
/// saved something new there since. Killed on the way, the file has two names, and its bytes. Directories have no second names;
/// but what a directory takes the place of can only be an empty directory.
pub(super) fn carefully(from: Place<'_>, to: Place<'_>, one_name: bool, aside: Aside<'_>) -> Result<()> {
    let stat = rustix::fs::statat(from.0, from.1, AtFlags::SYMLINK_NOFOLLOW)?;
    if one_name && is_same(from, to)? {
        return over(from, to);
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        match rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty()) {
            Ok(()) => {
                let dir = aside()?;
                // Something may have been left under such a name, and stays.
                let mut tries = 0;
                let name = loop {
                    let name = format!("0-{tries}-renamed");
                    match to_own(from, (&dir, name.as_bytes())) {
                        Err(Errno::EXIST) if tries < 10_000 => tries += 1,
                        done => break done.map(|()| name)?,
                    }
                };
                let aside = (&dir, name.as_bytes());
                if is_same(to, aside)? {
                    return rustix::fs::unlinkat(aside.0, aside.1, AtFlags::empty());
                }
                // It goes back, unless there is something newer still: then it stays where it was put.
                if rustix::fs::linkat(aside.0, aside.1, from.0, from.1, AtFlags::empty()).is_ok() {
                    rustix::fs::unlinkat(aside.0, aside.1, AtFlags::empty())?;
                }
                return Ok(());
            }
            // No second names here, or no more.
            Err(e) if is_unsupported(e) || e == Errno::PERM || e == Errno::MLINK => {}
            Err(e) => return Err(e),
        }
    }
    match rustix::fs::statat(to.0, to.1, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => over(from, to),
        Err(e) => Err(e),
    }
}

fn over(from: Place<'_>, to: Place<'_>) -> Result<()> {
    rustix::fs::renameat(from.0, from.1, to.0, to.1)
}

/// Whether both names lead to one object.
fn is_same(a: Place<'_>, b: Place<'_>) -> Result<bool> {
    let a = rustix::fs::statat(a.0, a.1, AtFlags::SYMLINK_NOFOLLOW)?;
    match rustix::fs::statat(b.0, b.1, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(b) => Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Exchanges what is at two names.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn exchange(a: Place<'_>, b: Place<'_>) -> Result<()> {
    rustix::fs::renameat_with(a.0, a.1, b.0, b.1, rustix::fs::RenameFlags::EXCHANGE)
}

/// No other system can.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn exchange(_: Place<'_>, _: Place<'_>) -> Result<()> {
    Err(Errno::NOSYS)
}
