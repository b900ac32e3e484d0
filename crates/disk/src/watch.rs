//! Tells which paths below a root may have changed, soon after they did.
//!
//! An edit is told some 10 ms after its file is closed; a file that stays open for writing twice a second. Changes that
//! come together are told together. While nothing happens, nothing runs.
//!
//! What was tried before it became so:
//!
//! * notify's full debouncer sleeps and wakes all the time: 1.8 ms of processor time each second for a tick of 10 ms,
//!   with nothing to do. Here the thread blocks as long as nothing is pending (`batch`).
//! * On macOS, Windows and BSD, notify's plain watcher is the source of events (`notify_events`).
//! * On Linux that watcher goes through all its watches for each directory that disappears: removing 5,000 directories of
//!   20,000 kept it busy, and deaf, for 3.7 s. It also wakes for each file that a scan opens, says that a directory is
//!   new before the directory is watched, and watches `.bifold`. So on Linux inotify itself is the source (`inotify`).

mod batch;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod dirs;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod inotify;
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
mod notify_events;

use crate::names::NameRules;
use crate::native::DiskKind;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(any(target_os = "linux", target_os = "android"))]
use inotify as source;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use notify_events as source;

/// What a watcher tells.
#[derive(Debug)]
pub enum Watched {
    /// These paths may have changed, come or gone (a directory: with all that is in it). Tree paths relative to the root,
    /// in order, each once, none in `.bifold`; empty is the root itself. Both ends of a rename are in one batch.
    Dirty(Vec<String>),
    /// Everything may have changed.
    Rescan {
        /// What happened, for the log and the status.
        why: String,
    },
    /// From now on not everything is watched (so look again from time to time). Told once.
    Limited(WatchError),
}

/// Why a root cannot be watched. The caller polls instead.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system's limit of watches is reached.
    #[error("{hint}")]
    Exhausted {
        /// Which limit, and how to raise it.
        hint: String,
    },
    /// The disk does not tell of changes, or not of those made elsewhere.
    #[error("{}: this kind of disk does not tell of all changes", path.display())]
    NoEvents {
        /// The root.
        path: PathBuf,
    },
    /// The root is not there, or the system refuses.
    #[error("{}: {source}", path.display())]
    Refused {
        /// The root.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Whether the disk that `root` is on tells of all changes: a network's share does not tell of those made elsewhere.
#[must_use]
pub fn has_events(root: &Path) -> bool {
    DiskKind::of(root) != DiskKind::Remote
}

/// A root that is being watched, until this is dropped.
#[must_use]
pub struct Watcher {
    // Its drop is what ends the watching.
    _source: source::Source,
}

impl Watcher {
    /// Watches a root and all that is in it, but `.bifold`. `send` is called from a thread of the watcher's own; while it
    /// runs, what happens is gathered. All changes after this returns are told; those before are not.
    ///
    /// If the root itself is moved, removed or unmounted, that is told as `Rescan`; a watcher does not find the root
    /// again: start another when it is back. Dropping waits for a running `send`, unless `send` is what drops it.
    ///
    /// # Errors
    /// If the root cannot be watched as a whole; then it is not watched at all.
    pub fn start(root: &Path, rules: NameRules, send: impl Fn(Watched) + Send + 'static) -> Result<Watcher, WatchError> {
        if !has_events(root) {
            return Err(WatchError::NoEvents { path: root.to_owned() });
        }
        // Whoever changes the working directory does not change the root. Some systems tell real paths only.
        let real = root.canonicalize().map_err(|source| WatchError::Refused {
            path: root.to_owned(),
            source,
        })?;
        Ok(Watcher {
            _source: source::Source::start(&real, rules, Box::new(send))?,
        })
    }
}

/// Where a source puts what it tells.
type Tell = Box<dyn Fn(Watched) + Send>;

#[cfg(test)]
mod tests;
