//! Putting a file where a person wants it: what stands there goes to the history, and whoever writes at the same time loses nothing.

use crate::fs::{Entry, Fs, FsError, FsResult};
use crate::stage::HISTORY;
use bifold_tree::Kind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The directory that says what belongs back where, if the program is ended while nothing stands there: for each file a note, which has
/// the name of the file in [`HISTORY`], and its path in it.
pub const BACK: &str = ".bifold/back";
/// Numbers of names in the history: from here on, so that they are not those of steps, which begin at 0.
static NEXT: AtomicUsize = AtomicUsize::new(1 << 30);
/// Bytes that are copied at a time.
const BLOCK: usize = 1 << 20;
/// More bytes than a path has.
const MOST_PATH: usize = 1 << 17;

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
/// what stood there may be in the history already; where it could not be put back, [`put_back`] is to be tried before the disk is scanned.
pub fn put(fs: &dyn Fs, path: &str, what: &What<'_>, wall_ms: u64) -> FsResult<Option<PutAway>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = &name[..name.floor_char_boundary(160)];
    let next_name = || format!("{:x}-{}-{name}", wall_ms << 12, NEXT.fetch_add(1, Ordering::Relaxed));
    // Made where what stood there is to lie: at no moment is that anywhere else than at its path or in the history. (The stage is
    // emptied by whoever applies.)
    let stored = next_name();
    let new = format!("{HISTORY}/{stored}");
    // (A root in which nothing was ever applied has no history yet.)
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    for dir in [HISTORY, BACK].into_iter().chain(above) {
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
    let exec = before.as_ref().and_then(|b| b.exec);
    let placed = write(fs, &new, what, exec, wall_ms).and_then(|()| {
        if before.is_none() {
            return fs.rename(&new, path).map(|()| None);
        }
        match fs.exchange(&new, path) {
            // (For good, before ours is removed: it has no other name.)
            Ok(()) if is_dir(fs, &new) => fs
                .exchange(&new, path)
                .and_then(|()| fs.sync(&[path, &new]))
                .and(Err(FsError::Exists)),
            Ok(()) => Ok(Some(stored)),
            Err(FsError::Unsupported) => go_round(fs, path, &new, next_name(), wall_ms).map(Some),
            Err(e) => Err(e),
        }
    });
    let stored = match placed {
        Ok(stored) => stored,
        Err(e) => {
            // Bytes that are elsewhere too. (A directory is not removed by this.)
            let _ = fs.remove_file(&new);
            return Err(e);
        }
    };
    let aside = stored.as_ref().map(|stored| format!("{HISTORY}/{stored}"));
    let changed: Vec<&str> = std::iter::once(path).chain(aside.as_deref()).collect();
    fs.sync(&changed)?;
    if let Some(stored) = stored.as_ref().filter(|_| aside.as_ref() != Some(&new)) {
        forget(fs, stored)?;
    }
    let size = before.map_or(0, |before| before.print.size);
    Ok(stored.map(|stored| PutAway { stored, size }))
}

/// Where files cannot be exchanged: out of the way first, then in. What went out of the way comes back if the other does not come, or the
/// program is ended in between.
fn go_round(fs: &dyn Fs, path: &str, new: &str, stored: String, wall_ms: u64) -> FsResult<String> {
    let aside = format!("{HISTORY}/{stored}");
    let note = format!("{BACK}/{stored}");
    let gone_round = write(fs, &note, &What::Bytes(path.as_bytes()), None, wall_ms)
        .and_then(|()| fs.sync(&[BACK]))
        .and_then(|()| fs.rename(path, &aside))
        // (The user's, who put it there this very moment.)
        .and_then(|()| if is_dir(fs, &aside) { Err(FsError::Exists) } else { Ok(()) })
        .and_then(|()| fs.rename(new, path));
    match gone_round {
        Ok(()) => Ok(stored),
        Err(e) => {
            // (If that fails too, the note stays.)
            let _ = back(fs, &stored, path);
            Err(e)
        }
    }
}

fn is_dir(fs: &dyn Fs, path: &str) -> bool {
    matches!(fs.stat(path), Ok(Some(Entry::Plain(stat))) if stat.kind == Kind::Dir)
}

/// Puts back what was put out of the way for something that never came: to be called before a root is scanned for the first time, or
/// after [`put`] failed. Where something stands by now, that stays, and what was there before is in the history.
///
/// # Errors
/// What the system says: nothing may then be inferred from what is not there.
pub fn put_back(fs: &dyn Fs) -> FsResult<()> {
    let notes = match fs.list(BACK) {
        Err(FsError::NotFound) => return Ok(()),
        listed => listed?,
    };
    for (stored, _) in notes {
        match noted(fs, &stored)? {
            Some(path) => back(fs, &stored, &path)?,
            // The power was cut while it was written: nothing was moved yet.
            None => forget(fs, &stored)?,
        }
    }
    Ok(())
}

/// The path that a note has.
fn noted(fs: &dyn Fs, stored: &str) -> FsResult<Option<String>> {
    let mut file = fs.open(&format!("{BACK}/{stored}"))?;
    let mut bytes = vec![0; MOST_PATH];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(String::from_utf8(bytes).ok().filter(|path| !path.is_empty()))
}

/// Puts something back to where it was, if nothing is there, and forgets that it is to be.
fn back(fs: &dyn Fs, stored: &str, path: &str) -> FsResult<()> {
    if fs.stat(path)?.is_none() {
        let aside = format!("{HISTORY}/{stored}");
        match fs.rename(&aside, path) {
            Ok(()) => fs.sync(&[path, &aside])?,
            // Someone was quicker; or took the directory away; or it was never put out of the way.
            Err(FsError::Exists | FsError::NotFound) => {}
            Err(e) => return Err(e),
        }
    }
    forget(fs, stored)
}

/// Forgets a note, for good: what its user deletes later is not to come back.
fn forget(fs: &dyn Fs, stored: &str) -> FsResult<()> {
    let note = format!("{BACK}/{stored}");
    match fs.remove_file(&note) {
        Ok(()) => fs.sync(&[&note]),
        Err(FsError::NotFound) => Ok(()),
        Err(e) => Err(e),
    }
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
