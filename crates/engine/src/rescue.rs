//! What a user wrote in the very moment of a step. An exchange brings it out into the history, and it is put back at once; where just
//! that failed, or the program was ended between the two, it is nowhere else. It is told by its bytes: what steps bring or replace is
//! known to the index, and what the index knows nothing of is the user's.

use crate::carry::name_before;
use crate::root::Root;
use bifold_chunk::Chunker;
use bifold_disk::apply::Kept;
use bifold_disk::fs::{Entry, Fs, FsError};
use bifold_disk::read::read;
use bifold_disk::stage::HISTORY;
use bifold_tree::{Bytes, ContentId, Fingerprint, Kind, PARKED_PATH};
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is to be looked into.
#[derive(Default)]
pub(crate) struct Doubt {
    /// The names of files in the history that the index does not have.
    stored: BTreeSet<String>,
    /// All bytes that the index knew when they were found.
    known: HashSet<ContentId>,
}

impl Doubt {
    pub(crate) fn add(&mut self, stored: impl Iterator<Item = String>, known: HashSet<ContentId>) {
        self.stored.extend(stored);
        self.known.extend(known);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stored.is_empty()
    }
}

/// What came of looking into what is in doubt.
pub(crate) struct Rescued {
    /// Something was taken out.
    pub(crate) some: bool,
    /// What is to be noted as lying in the history.
    pub(crate) kept: Vec<Kept>,
}

/// What something in the history is.
enum Found {
    /// Nothing is there any more.
    Nothing,
    /// Bytes that the index knows.
    Known(Kept),
    /// The user's; it was taken out.
    Theirs,
}

/// Takes what is the user's out of the history, to where the scan that follows finds it as something new: the tree shows it in the root,
/// as `name (kept)`. What cannot be read or moved is tried again before the scan after.
pub(crate) fn rescue(root: &Root, stop: &AtomicBool) -> Rescued {
    let mut doubt = root.doubt();
    let mut rescued = Rescued {
        some: false,
        kept: Vec::new(),
    };
    if doubt.is_over() {
        return rescued;
    }
    let Doubt { stored, known } = &mut *doubt;
    let mut chunker = Chunker::new();
    stored.retain(|stored| {
        if stop.load(Ordering::Relaxed) {
            return true;
        }
        match look_into(root, stored, known, stop, &mut chunker) {
            Ok(Found::Nothing) => false,
            Ok(Found::Known(kept)) => {
                rescued.kept.push(kept);
                false
            }
            Ok(Found::Theirs) => {
                tracing::info!(stored, "was written amid a step: it is taken out of the history");
                rescued.some = true;
                false
            }
            Err(why) => {
                tracing::warn!(
                    stored,
                    why,
                    "may have been written amid a step, and stays in the history for now"
                );
                true
            }
        }
    });
    if stored.is_empty() {
        *known = HashSet::new();
    }
    rescued
}

/// Finds out what something is, and takes it out if it is the user's.
fn look_into(
    root: &Root,
    stored: &str,
    known: &HashSet<ContentId>,
    stop: &AtomicBool,
    chunker: &mut Chunker,
) -> Result<Found, String> {
    let path = format!("{HISTORY}/{stored}");
    let name = name_before(stored).unwrap_or(stored);
    match root.fs.stat(&path) {
        // (No step puts a directory there.)
        Ok(Some(Entry::Plain(stat))) if stat.kind == Kind::Dir => {}
        Ok(Some(Entry::Plain(stat))) => {
            let (bytes, print) = bytes_of(root.fs.as_ref(), stored, stat.kind, stop, chunker)?;
            if known.contains(&bytes.id()) {
                return Ok(Found::Known(Kept {
                    path: name.to_owned(),
                    stored: stored.to_owned(),
                    bytes,
                    size: print.size,
                    deleted: false,
                }));
            }
        }
        Ok(_) => return Ok(Found::Nothing),
        Err(e) => return Err(e.to_string()),
    }
    let out = |n| format!("{PARKED_PATH}/{n}-{name}");
    let taken = (1..10_000).map(out).find_map(|to| match root.fs.rename(&path, &to) {
        Err(FsError::Exists) => None,
        result => Some(result.map(|()| to)),
    });
    let to = taken.unwrap_or(Err(FsError::Exists)).map_err(|e| e.to_string())?;
    // For good, before anyone hears of it.
    match root.fs.sync(&[&to, &path]) {
        Ok(()) => Ok(Found::Theirs),
        Err(e) => {
            let _ = root.fs.rename(&to, &path);
            Err(e.to_string())
        }
    }
}

/// The bytes of something in a history, and its fingerprint.
pub(crate) fn bytes_of(
    fs: &dyn Fs,
    stored: &str,
    kind: Kind,
    stop: &AtomicBool,
    chunker: &mut Chunker,
) -> Result<(Bytes, Fingerprint), String> {
    let read = read(fs, &format!("{HISTORY}/{stored}"), kind, stop, chunker).map_err(|problem| problem.message)?;
    Ok((read.bytes, read.stat.print))
}
