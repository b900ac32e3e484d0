//! From a path below the root to a handle, with no link followed on the way.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, Result};
use std::path::Path;

/// How a directory is opened that only serves to reach what is in it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STEP: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STEP: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The longest path that is given to the kernel in one piece, in bytes. (Linux takes 4,095.)
const LONGEST: usize = 1023;

/// A directory's handle: the root's own, or one for this call only.
pub(super) enum Dir<'a> {
    /// The root.
    Root(BorrowedFd<'a>),
    /// A directory below it.
    Below(OwnedFd),
}

impl AsFd for Dir<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Dir::Root(fd) => *fd,
            Dir::Below(fd) => fd.as_fd(),
        }
    }
}

/// The root, and how this kernel resolves paths below it.
pub(super) struct Root {
    fd: OwnedFd,
    /// Whether the kernel resolves a whole path in one call without following links (Linux 5.6, unless a sandbox
    /// forbids it).
    in_one: bool,
    /// The disk that it is on. What is mounted below it is left out: when it is not mounted, nothing of it would be there, and that must not look
    /// as if it had been deleted.
    device: u64,
}

impl Root {
    /// Opens a root. A link to it is followed: the path is the user's word.
    pub(super) fn open(path: &Path) -> Result<Root> {
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let in_one = in_one_call(&fd, b".", STEP, Mode::empty()).is_ok();
        let device = device(&fd)?;
        Ok(Root { fd, in_one, device })
    }

    /// The root's handle.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Resolves piece by piece from here on, as on kernels that cannot do it in one call.
    #[cfg(test)]
    pub(super) fn piece_by_piece(&mut self) {
        self.in_one = false;
    }

    /// Opens what is at a path of disk names, not empty. A link there is not followed either.
    pub(super) fn open_at(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.in_one && path.len() <= LONGEST {
            return in_one_call(&self.fd, path, flags, mode);
        }
        let (dir, name) = self.parent(path)?;
        let fd = rustix::io::retry_on_intr(|| rustix::fs::openat(&dir, name, flags, mode))?;
        let stat = rustix::fs::fstat(&fd)?;
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_dir { self.on_this_disk(fd) } else { Ok(fd) }
    }

    /// A directory, if it is on the root's disk. (Where the kernel resolves all, it sees to that.)
    fn on_this_disk(&self, dir: OwnedFd) -> Result<OwnedFd> {
        if self.in_one || device(&dir)? == self.device {
            Ok(dir)
        } else {
            Err(Errno::XDEV)
        }
    }

    /// The directory that a path of disk names, not empty, is in, and its name there.
    pub(super) fn parent<'p>(&self, path: &'p [u8]) -> Result<(Dir<'_>, &'p [u8])> {
        let Some(slash) = path.iter().rposition(|&b| b == b'/') else {
            return Ok((Dir::Root(self.fd()), path));
        };
        let (dir, name) = (&path[..slash], &path[slash + 1..]);
        if self.in_one && dir.len() <= LONGEST {
            return Ok((Dir::Below(in_one_call(&self.fd, dir, STEP, Mode::empty())?), name));
        }
        let mut at = Dir::Root(self.fd());
        for piece in dir.split(|&b| b == b'/') {
            at = Dir::Below(self.on_this_disk(step(at.as_fd(), piece)?)?);
        }
        Ok((at, name))
    }
}

/// The number of the disk that a directory is on.
fn device(dir: impl AsFd) -> Result<u64> {
    let stat = rustix::fs::fstat(dir)?;
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        reason = "systems differ in its type; it is only compared"
    )]
    Ok(stat.st_dev as u64)
}

/// Opens the directory `name` in `at`.
fn step(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    rustix::io::retry_on_intr(|| rustix::fs::openat(at, name, STEP, Mode::empty())).map_err(|e| match e {
        // Systems differ in what they say of a link here.
        Errno::NOTDIR | Errno::LOOP | Errno::MLINK => match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => Errno::LOOP,
            _ => Errno::NOTDIR,
        },
        e => e,
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn in_one_call(root: &OwnedFd, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    // With NOFOLLOW, a link at the end would be no link to be refused but "not a directory" to some flags.
    let flags = flags.difference(OFlags::NOFOLLOW);
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root, path, flags, mode, how) {
            Err(Errno::INTR) => {}
            // The kernel could not be sure because of a rename that went on meanwhile.
            Err(Errno::AGAIN) if tries < 64 => tries += 1,
            done => return done,
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn in_one_call(_: &OwnedFd, _: &[u8], _: OFlags, _: Mode) -> Result<OwnedFd> {
    Err(Errno::NOSYS)
}
