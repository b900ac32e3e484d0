//! What kind of disk a path is on, as far as it decides how to treat it.

use std::path::Path;

/// A kind of disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiskKind {
    /// A file system of this system's own kind, on this computer.
    Local,
    /// One of Windows' (FAT, exFAT, NTFS) on this computer, under another system: its names are Windows' names.
    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        expect(dead_code, reason = "only Linux tells")
    )]
    Foreign,
    /// One that others may change without this computer's being told: a network's, a virtual machine's host's, FUSE.
    Remote,
}

impl DiskKind {
    /// The kind of the disk that `path` is on; [`DiskKind::Local`] if the system does not tell.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn of(path: &Path) -> DiskKind {
        match rustix::fs::statfs(path) {
            // Magic numbers are 32 bits wide, whatever the width of the field is.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Ok(stat) => DiskKind::of_magic(stat.f_type as u32),
            Err(_) => DiskKind::Local,
        }
    }

    /// Source: statfs(2), and `magic.h` and the file systems' own headers in Linux.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn of_magic(magic: u32) -> DiskKind {
        match magic {
            // FAT, exFAT, NTFS (two drivers).
            0x4d44 | 0x2011_bab0 | 0x7366_746e | 0x5346_544e => DiskKind::Foreign,
            // NFS, SMB (three drivers), FUSE, 9P, VirtualBox's, VMware's and Parallels' shares.
            0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x6573_5546 | 0x0102_1997 | 0x786f_4256 | 0xbacb_acbc | 0x7c7c_6673 => {
                DiskKind::Remote
            }
            // AFS (two drivers), Coda, Ceph, NCP, Lustre, OCFS2, GFS2.
            0x5346_414f | 0x6b41_4653 | 0x7375_7245 | 0x00c3_6400 | 0x564c | 0x0bd0_0bd0 | 0x7461_636f | 0x0116_1970 => {
                DiskKind::Remote
            }
            _ => DiskKind::Local,
        }
    }

    /// The kind of the disk that `path` is on; [`DiskKind::Local`] if the system does not tell.
    #[cfg(target_vendor = "apple")]
    pub(crate) fn of(path: &Path) -> DiskKind {
        /// Source: `sys/mount.h`.
        const MNT_LOCAL: u32 = 0x1000;
        match rustix::fs::statfs(path) {
            Ok(stat) if stat.f_flags & MNT_LOCAL == 0 => DiskKind::Remote,
            _ => DiskKind::Local,
        }
    }

    /// The kind of the disk that `path` is on: a network's share is told by its name.
    #[cfg(windows)]
    pub(crate) fn of(path: &Path) -> DiskKind {
        use std::path::{Component, Prefix};
        let Ok(path) = std::path::absolute(path) else {
            return DiskKind::Local;
        };
        match path.components().next() {
            Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)) => {
                DiskKind::Remote
            }
            _ => DiskKind::Local,
        }
    }

    /// No other system tells.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows)))]
    pub(crate) fn of(_: &Path) -> DiskKind {
        DiskKind::Local
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn shares_are_remote_and_sticks_are_foreign() {
        assert_eq!(DiskKind::of_magic(0x6969), DiskKind::Remote);
        assert_eq!(DiskKind::of_magic(0xff53_4d42), DiskKind::Remote);
        assert_eq!(DiskKind::of_magic(0x4d44), DiskKind::Foreign);
        assert_eq!(DiskKind::of_magic(0xef53), DiskKind::Local);
        assert_eq!(DiskKind::of(Path::new("/")), DiskKind::Local);
    }
}
