//! Disks that are full, read-only or in two places: mounts that only this thread and what it starts can see.

use std::ffi::CString;
use std::io;
use std::path::Path;
use std::process::Command;

/// Runs something in a thread with mounts of its own. Says so, and returns false, where the system does not let us.
pub fn with_own_mounts(work: impl FnOnce() + Send) -> bool {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                // SAFETY: plain system calls; the first changes this thread only.
                let alone = unsafe {
                    libc::unshare(libc::CLONE_NEWNS) == 0
                        && libc::mount(
                            c"none".as_ptr(),
                            c"/".as_ptr(),
                            std::ptr::null(),
                            libc::MS_REC | libc::MS_PRIVATE,
                            std::ptr::null(),
                        ) == 0
                };
                if !alone {
                    super::skip(&format!(
                        "mounts of one's own need rights that this user lacks ({})",
                        io::Error::last_os_error()
                    ));
                    return false;
                }
                work();
                true
            })
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn mount(source: &Path, target: &Path, kind: &str, flags: libc::c_ulong, data: &str) {
    let text = |s: &[u8]| CString::new(s).unwrap();
    use std::os::unix::ffi::OsStrExt;
    let (source, target) = (text(source.as_os_str().as_bytes()), text(target.as_os_str().as_bytes()));
    let (kind, data) = (text(kind.as_bytes()), text(data.as_bytes()));
    // SAFETY: all are strings that end with NUL.
    let done = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    assert_eq!(done, 0, "mount: {}", io::Error::last_os_error());
}

/// A disk of so many kilobytes.
pub fn small_disk(at: &Path, kilobytes: usize) {
    mount(Path::new("none"), at, "tmpfs", 0, &format!("size={kilobytes}k"));
}

/// The same directory in another place.
pub fn bind(from: &Path, to: &Path) {
    mount(from, to, "none", libc::MS_BIND, "");
}

/// Nothing at or below it can be changed any more.
pub fn read_only(at: &Path) {
    bind(at, at);
    mount(at, at, "none", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, "");
}

/// Takes the mount at a path away.
pub fn unmount(at: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let at = CString::new(at.as_os_str().as_bytes()).unwrap();
    // SAFETY: a string that ends with NUL.
    let done = unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    assert_eq!(done, 0, "umount: {}", io::Error::last_os_error());
}

/// A disk that can lose its end: ext4 in a file.
pub struct Image {
    file: std::path::PathBuf,
    at: std::path::PathBuf,
    /// What was cut off, and where it was.
    end: Option<(usize, Vec<u8>)>,
}

impl Image {
    /// Makes it and mounts it. `None` where this system cannot.
    pub fn new(file: &Path, at: &Path, megabytes: u64) -> Option<Image> {
        std::fs::File::create(file).unwrap().set_len(megabytes << 20).unwrap();
        // No journal, and one group: what is written lands in the order of its numbers.
        let options = [
            "-q",
            "-F",
            "-t",
            "ext4",
            "-b",
            "4096",
            "-m",
            "0",
            "-O",
            "^has_journal,^resize_inode",
        ];
        let made = Command::new("mke2fs")
            .args(options)
            .args(["-E", "lazy_itable_init=0"])
            .arg(file)
            .output();
        let image = Image {
            file: file.to_owned(),
            at: at.to_owned(),
            end: None,
        };
        if made.is_ok_and(|done| done.status.success()) && image.try_mount() {
            return Some(image);
        }
        super::skip("a disk in a file cannot be made or mounted here");
        None
    }

    fn try_mount(&self) -> bool {
        let done = Command::new("mount")
            .args(["-o", "loop"])
            .arg(&self.file)
            .arg(&self.at)
            .output();
        done.is_ok_and(|done| done.status.success())
    }

    /// Takes it off and mounts it again: nothing of it is in memory then.
    pub fn remount(&self) {
        self.off();
        assert!(self.try_mount());
    }

    fn off(&self) {
        let done = Command::new("umount").arg(&self.at).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// From now on it cannot be read from where these bytes begin.
    pub fn cut(&mut self, bytes: &[u8]) {
        self.off();
        let whole = std::fs::read(&self.file).unwrap();
        let blocks = whole.chunks(4096).position(|block| block.starts_with(&bytes[..4096]));
        let at = blocks.unwrap() * 4096;
        assert!(self.try_mount());
        self.end = Some((at, whole[at..].to_owned()));
        let file = std::fs::File::options().write(true).open(&self.file).unwrap();
        file.set_len(at as u64).unwrap();
    }

    /// It is whole again.
    pub fn mend(&mut self) {
        use std::os::unix::fs::FileExt;
        let (at, end) = self.end.take().unwrap();
        let file = std::fs::File::options().write(true).open(&self.file).unwrap();
        assert_eq!(
            file.metadata().unwrap().len(),
            at as u64,
            "nothing was written behind the cut"
        );
        file.write_all_at(&end, at as u64).unwrap();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}
