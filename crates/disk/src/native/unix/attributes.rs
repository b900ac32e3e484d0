//! Extended attributes of the user's own: those that any program may set, and that are no matter of the system's.

use rustix::fd::AsFd;

/// The longest list of names, and the longest value, that is kept, in bytes. (Linux allows no longer ones.)
const LONGEST: usize = 64 * 1024;

/// Whether an attribute is the user's own. macOS has no name spaces; there, some are about where a file came from.
fn is_users(name: &[u8]) -> bool {
    if cfg!(target_vendor = "apple") {
        !name.starts_with(b"com.apple.")
    } else {
        name.starts_with(b"user.")
    }
}

/// Those of a file: names and values.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn of(fd: impl AsFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut few = [0; 512];
    let mut many = Vec::new();
    let names: &[u8] = match rustix::fs::flistxattr(&fd, &mut few[..]) {
        Ok(0) => return Vec::new(),
        Ok(length) => &few[..length],
        Err(rustix::io::Errno::RANGE) => {
            many.resize(LONGEST, 0);
            match rustix::fs::flistxattr(&fd, &mut many[..]) {
                Ok(length) => &many[..length],
                Err(_) => return Vec::new(),
            }
        }
        // None here.
        Err(_) => return Vec::new(),
    };
    let value = |name: &[u8]| {
        let mut value = vec![0; LONGEST];
        let length = rustix::fs::fgetxattr(&fd, name, &mut value[..]).ok()?;
        value.truncate(length);
        Some((name.to_vec(), value))
    };
    names
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty() && is_users(name))
        .filter_map(value)
        .collect()
}

/// Gives them to a file, as far as its disk takes them.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn give(fd: impl AsFd, attributes: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in attributes {
        let _ = rustix::fs::fsetxattr(&fd, name.as_slice(), value, rustix::fs::XattrFlags::empty());
    }
}

/// Other systems have none, or others.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn of(_: impl AsFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    Vec::new()
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn give(_: impl AsFd, _: &[(Vec<u8>, Vec<u8>)]) {}
