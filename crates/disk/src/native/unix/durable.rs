//! Makes durable what was done.

use super::errno::error;
use super::resolve::Root;
use crate::fs::FsResult;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;

/// From so many paths on, one call for the whole file system costs less than one for each.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MANY: usize = 16;

/// Makes durable what is at these paths of disk names, and that it is there (or that it is not).
pub(super) fn sync(root: &Root, paths: &[Vec<u8>]) -> FsResult<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if paths.len() > MANY {
        return whole(root);
    }
    match each(root, paths) {
        Ok(()) => Ok(()),
        // What cannot be opened for reading can still be synced with all else.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Err(Errno::ACCESS | Errno::PERM) => whole(root),
        Err(e) => Err(error(e)),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn whole(root: &Root) -> FsResult<()> {
    rustix::fs::syncfs(root.fd()).map_err(error)
}

fn each(root: &Root, paths: &[Vec<u8>]) -> Result<(), Errno> {
    let mut dirs = BTreeSet::new();
    for path in paths {
        if let Some(fd) = open(root, path, OFlags::empty())? {
            match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
                FileType::RegularFile => to_disk(&fd)?,
                FileType::Directory => dir_to_disk(&fd)?,
                _ => {}
            }
        }
        dirs.insert(parent(path));
    }
    for dir in dirs {
        // A directory that is gone: that it is shows in the one that it was in.
        let mut dir = Some(dir);
        while let Some(path) = dir {
            if let Some(fd) = open(root, path, OFlags::DIRECTORY)? {
                dir_to_disk(&fd)?;
                break;
            }
            dir = (!path.is_empty()).then(|| parent(path));
        }
    }
    Ok(())
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&b| b == b'/').map_or(b"", |slash| &path[..slash])
}

/// Opens what is there for syncing; `None` if nothing is, or nothing with bytes of its own (a link, a special file).
fn open(root: &Root, path: &[u8], flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    match root.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Has the disk write a file's bytes.
fn to_disk(fd: impl AsFd) -> Result<(), Errno> {
    let fd = fd.as_fd();
    // What `fsync` does there ends in the drive's memory.
    #[cfg(target_vendor = "apple")]
    if rustix::io::retry_on_intr(|| rustix::fs::fcntl_fullfsync(fd)).is_ok() {
        return Ok(());
    }
    rustix::io::retry_on_intr(|| rustix::fs::fsync(fd))
}

/// Has the disk write a directory's entries. File systems that have no such call (shares) do it at once or not at all.
fn dir_to_disk(fd: impl AsFd) -> Result<(), Errno> {
    match to_disk(fd) {
        Err(e) if super::errno::is_unsupported(e) => Ok(()),
        done => done,
    }
}
