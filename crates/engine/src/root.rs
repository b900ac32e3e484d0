//! A root that is open: its file system, its rules, and what must hold for it to be the one that was synced.

use crate::core::Halted;
use crate::rescue::Doubt;
use bifold_disk::fs::{Fs, FsError, FsResult};
use bifold_disk::ignore::Ignore;
use bifold_disk::restore::{PutAway, What, put, put_back};
use bifold_disk::root::{Found, Marker, look, object};
use bifold_store::{FolderId, MarkerObject, RootIdentity};
use bifold_tree::{Names, ReplicaId};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A directory that someone wants synced.
pub struct RootSpec {
    /// What people call it.
    pub name: String,
    /// Its absolute path.
    pub path: PathBuf,
    /// Which directory that is.
    pub identity: RootIdentity,
    /// Its file system.
    pub fs: Arc<dyn Fs>,
    /// A person said that it is to be taken for new, whatever is known of it.
    pub rejoin: bool,
}

/// Which directory a path leads to, as far as the system tells.
#[cfg(unix)]
#[must_use]
#[expect(clippy::disallowed_methods, reason = "of the root itself, before it is opened")]
pub fn identity(path: &std::path::Path) -> RootIdentity {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(RootIdentity::default(), |m| RootIdentity {
        device: m.dev(),
        inode: m.ino(),
    })
}

/// Which directory a path leads to, as far as the system tells.
#[cfg(windows)]
#[must_use]
pub fn identity(path: &std::path::Path) -> RootIdentity {
    match file_id::get_low_res_file_id(path) {
        Ok(file_id::FileId::LowRes {
            volume_serial_number,
            file_index,
        }) => RootIdentity {
            device: u64::from(volume_serial_number),
            inode: file_index,
        },
        _ => RootIdentity::default(),
    }
}

/// A root that is open.
pub struct Root {
    /// The replica that it shows.
    pub replica: ReplicaId,
    /// The folder.
    pub folder: FolderId,
    /// What people call it.
    pub name: String,
    /// Its absolute path.
    pub path: PathBuf,
    /// Its file system.
    pub fs: Arc<dyn Fs>,
    /// What is ignored in it.
    pub ignore: Arc<Ignore>,
    /// Whether the marker was there, or was written since.
    pub(crate) marked: AtomicBool,
    /// When this run has given it a token of its own, milliseconds since 1970; 0 if it has not.
    pub(crate) in_session_since: AtomicU64,
    /// Whether something was committed since.
    pub(crate) is_newer: AtomicBool,
    /// What its user wrote amid steps may lie in the history, and nowhere else.
    pub(crate) in_doubt: AtomicBool,
    /// What that may be.
    pub(crate) doubt: Mutex<Doubt>,
    /// A file that was to be put in place was not: what stood there may have to be put back.
    pub(crate) misplaced: AtomicBool,
}

impl Root {
    /// Puts a file where a person wants it: see [`put`].
    pub(crate) fn put(&self, path: &str, what: &What<'_>, wall_ms: u64) -> FsResult<Option<PutAway>> {
        let done = put(self.fs.as_ref(), path, what, wall_ms);
        self.misplaced.fetch_or(done.is_err(), Ordering::Relaxed);
        done
    }

    /// Puts back what stood where a file could not be put.
    pub(crate) fn put_back(&self) -> FsResult<()> {
        if self.misplaced.swap(false, Ordering::Relaxed) {
            put_back(self.fs.as_ref()).inspect_err(|_| self.misplaced.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    }

    pub(crate) fn doubt(&self) -> MutexGuard<'_, Doubt> {
        self.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the root is not the one that was synced; `None` if it is.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn is_another(&self) -> Result<Option<Halted>, FsError> {
        if self.fs.stat("")?.is_none() {
            return Ok(Some(Halted::because(format!(
                "{}: the folder is not there any more: it was moved, removed or unmounted. Put it back, and start again",
                self.path.display()
            ))));
        }
        if !self.marked.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let why = match look(self.fs.as_ref())? {
            Found::Marker(marker) if marker.replica == self.replica.to_string() => None,
            Found::Marker(_) => Some(format!("{}: another folder stands in its place now", self.path.display())),
            Found::None => Some(gone(&self.path)),
            Found::Damaged => Some(damaged(&self.path)),
        };
        Ok(why.map(|why| Halted { why, rejoin: true }))
    }

    pub(crate) fn marker(&self, token: u64) -> Marker {
        Marker {
            note: "Bifold keeps this folder the same as others. This file tells that it is the one that was synced; please leave it."
                .into(),
            folder: format!("{:x}", self.folder.0),
            replica: self.replica.to_string(),
            token: format!("{token:x}"),
        }
    }
}

/// Which object a root's marker is now, as its disk tells.
pub(crate) fn marker_object(fs: &dyn Fs) -> Result<Option<MarkerObject>, FsError> {
    Ok(object(fs)?.map(|(key, changed_ns)| MarkerObject { key, changed_ns }))
}

pub(crate) fn gone(path: &std::path::Path) -> String {
    format!(
        "{}: this is not the folder that was synced before: the mark that Bifold left there (.bifold/root.json) is gone. Perhaps its disk is not mounted, \
         or the folder was emptied. Nothing was changed. Mount it or put it back, or have what is there now merged as new",
        path.display()
    )
}

pub(crate) fn damaged(path: &std::path::Path) -> String {
    format!(
        "{}: the mark that Bifold left there (.bifold/root.json) cannot be understood. Nothing was changed. If this is the right folder, have it merged \
         as new: nothing is deleted by that",
        path.display()
    )
}

/// The names of a file system, for a replica.
pub(crate) struct FsNames(pub(crate) Arc<dyn Fs>);

impl Names for FsNames {
    fn fold(&self, name: &str) -> String {
        self.0.names().fold(name)
    }
    fn fits(&self, name: &str) -> bool {
        self.0.names().fits(name)
    }
    fn folds(&self) -> bool {
        self.0.names().folds()
    }
    fn exchanges(&self) -> bool {
        self.0.exchanges()
    }
    fn keeps_exec(&self) -> bool {
        self.0.keeps_exec()
    }
}
