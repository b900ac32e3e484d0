//! Watching a root's disk, for the loop.

use crate::core::Input;
use crate::run::{Door, POLL};
use bifold_disk::native::NativeFs;
use bifold_disk::scan::Scope;
use bifold_disk::watch::{WatchError, Watched, Watcher};
use bifold_tree::ReplicaId;
use std::path::{Path, PathBuf};

/// Why a root cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum CannotWatch {
    /// It cannot be opened.
    #[error("a folder cannot be opened: {0}")]
    Root(#[from] bifold_disk::native::OpenError),
    /// The system refuses.
    #[error("{0} cannot be watched: {1}")]
    Watch(PathBuf, WatchError),
}

/// What came of it.
pub enum Watching {
    /// It is watched as long as this is kept.
    By(Watcher),
    /// It is to be looked at from time to time instead, for the reason given: the system's limit is reached.
    Limited(String),
}

/// Why a root's disk does not tell of all changes; `None` if it does. It is then to be looked at every [`POLL`].
#[must_use]
pub fn unwatchable(path: &Path) -> Option<String> {
    let seconds = POLL.as_secs();
    (!bifold_disk::watch::has_events(path))
        .then(|| format!("this kind of disk does not tell of all changes; it is looked at every {seconds} s"))
}

/// Watches a root.
///
/// # Errors
/// If that is not possible, and not for want of watches.
pub fn watch(path: &Path, id: ReplicaId, door: Door) -> Result<Watching, CannotWatch> {
    let root = NativeFs::open_read_only(path)?;
    let tell = move |watched| {
        let input = match watched {
            Watched::Dirty(paths) if paths.iter().any(String::is_empty) => Input::Dirty(id, Scope::All),
            Watched::Dirty(paths) => Input::Dirty(id, Scope::Paths(paths)),
            Watched::Rescan { why } => Input::Rescan(id, why),
            Watched::Limited(error) => Input::Unwatched(id, error.to_string()),
        };
        let _ = door.put(input);
    };
    match Watcher::start(path, root.rules(), tell) {
        Ok(watcher) => Ok(Watching::By(watcher)),
        Err(limit @ WatchError::Exhausted { .. }) => Ok(Watching::Limited(limit.to_string())),
        Err(e) => Err(CannotWatch::Watch(path.to_owned(), e)),
    }
}
