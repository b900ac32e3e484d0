//! Disks that are full, read-only or in two places: mounts that only this thread and what it starts can see.

use std::ffi::CString;
use std::io;
use std::path::Path;

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
                    eprintln!(
                        "skipped: mounts of one's own need rights that this user lacks ({})",
                        io::Error::last_os_error()
                    );
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
