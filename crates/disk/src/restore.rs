//! Putting a file where a person wants it: what stands there goes to the history, and whoever writes at the same time loses nothing.

use crate::fs::{Entry, Fs, FsError, FsResult};
use crate::stage::HISTORY;
use bifold_tree::Kind;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);
/// Bytes that are copied at a time.
const BLOCK: usize = 1 << 20;

/// What was put away, under which name in the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PutAway {
    /// Its name in [`HISTORY`].
    pub stored: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Bytes to be put somewhere.
pub enum What<'a> {
    /// These.
    Bytes(&'a [u8]),
    /// Those of a file below the same root.
    File(&'a str),
}

/// Makes a file of `what` at `path`, with directories on the way. `wall_ms` is the time, in milliseconds since 1970; it becomes that of
/// the file's last change. Returns what stood there before, which is in the history now.
///
/// # Errors
/// If something other than a file or link stands there, the disk is full, or what the system says. Then nothing is changed but that
/// what stood there may be in the history already.
pub fn put(fs: &dyn Fs, path: &str, what: &What<'_>, wall_ms: u64) -> FsResult<Option<PutAway>> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = path.rsplit('/').next().unwrap_or(path);
    let stored = |which: &str| {
        format!(
            "{:x}-{which}{number}-{}",
            wall_ms << 12,
            &name[..name.floor_char_boundary(160)]
        )
    };
    // Made where what stood there is to lie: at no moment is that anywhere else than at its path or in the history. (The stage is
    // emptied by whoever applies.)
    let stored_new = stored("r");
    let new = format!("{HISTORY}/{stored_new}");
    // (A root in which nothing was ever applied has no history yet.)
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    for dir in std::iter::once(HISTORY).chain(above) {
        match fs.make_dir(dir) {
            Ok(()) | Err(FsError::Exists) => {}
            Err(e) => return Err(e),
        }
    }
    let before = match fs.stat(path)? {
        None => None,
        Some(Entry::Plain(stat)) if stat.kind != Kind::Dir => Some(stat),
        Some(_) => return Err(FsError::Exists),
    };
    let result = write(fs, &new, what, before.as_ref().and_then(|b| b.exec), wall_ms).and_then(|()| {
        let Some(before) = before else {
            return fs.rename(&new, path).map(|()| None);
        };
        let size = before.print.size;
        match fs.exchange(&new, path) {
            Ok(()) => Ok(Some(PutAway {
                stored: stored_new,
                size,
            })),
            Err(FsError::Unsupported) => {
                let stored = stored("o");
                fs.rename(path, &format!("{HISTORY}/{stored}"))?;
                // Someone may have written there in between: then that stays.
                fs.rename(&new, path)?;
                Ok(Some(PutAway { stored, size }))
            }
            Err(e) => Err(e),
        }
    });
    if result.is_err() {
        // Bytes that are elsewhere too.
        let _ = fs.remove_file(&new);
    }
    result
}

fn write(fs: &dyn Fs, new: &str, what: &What<'_>, exec: Option<bool>, wall_ms: u64) -> FsResult<()> {
    let mut to = fs.create(new)?;
    let mut exec = exec.unwrap_or(false);
    match what {
        What::Bytes(bytes) => to.append(bytes)?,
        What::File(path) => {
            let mut from = fs.open(path)?;
            exec = from.stat()?.exec.unwrap_or(exec);
            let mut block = vec![0; BLOCK];
            let mut at = 0;
            loop {
                let n = from.read_at(&mut block, at)?;
                if n == 0 {
                    break;
                }
                to.append(&block[..n])?;
                at += n as u64;
            }
        }
    }
    let mtime_ns = i64::try_from(wall_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    to.finish(exec, mtime_ns)?;
    fs.sync(&[new])
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;
    use crate::native::NativeFs;

    #[test]
    fn what_stood_there_goes_to_the_history() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at(HISTORY)).unwrap();
        std::fs::write(at(&format!("{HISTORY}/old")), "old").unwrap();
        std::fs::write(at("file"), "new").unwrap();
        let fs = NativeFs::open(dir.path()).unwrap();
        let old = What::File(".bifold/history/old");
        let away = put(&fs, "file", &old, 1_700_000_000_000).unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "old");
        assert_eq!(
            std::fs::read_to_string(at(&format!("{HISTORY}/{}", away.stored))).unwrap(),
            "new"
        );
        assert_eq!(away.size, 3);
        assert_eq!(put(&fs, "a/b/c", &old, 0).unwrap(), None);
        assert_eq!(std::fs::read_to_string(at("a/b/c")).unwrap(), "old");
        assert!(matches!(put(&fs, "a/b", &old, 0), Err(FsError::Exists)));
        assert!(put(&fs, "x", &What::File(".bifold/history/none"), 0).is_err());
        assert!(!at("x").exists());
        assert_eq!(
            std::fs::read_dir(at(HISTORY)).unwrap().count(),
            2,
            "the old one, and what stood there"
        );
    }
}
