//! What a user wrote in the very moment of a step. An exchange brings it out into the history, and it is put back at once; where just
//! that failed, or the program was ended between the two, it is nowhere else. It is told by its bytes: what steps bring or replace is
//! known to the index, and what the index knows nothing of is the user's.

use crate::carry::name_before;
use crate::root::Root;
use bifold_chunk::Chunker;
use bifold_disk::fs::{Entry, FsError};
use bifold_disk::read::read;
use bifold_disk::stage::HISTORY;
use bifold_tree::{ContentId, PARKED_PATH};
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

/// Takes what is the user's out of the history, to where the scan that follows finds it as something new: the tree shows it in the root,
/// as `name (kept)`. What cannot be read or moved is tried again before the scan after. Says whether there was something.
pub(crate) fn rescue(root: &Root, stop: &AtomicBool) -> bool {
    let mut doubt = root.doubt();
    if doubt.is_over() {
        return false;
    }
    let mut some = false;
    let Doubt { stored, known } = &mut *doubt;
    let mut chunker = Chunker::new();
    stored.retain(|stored| {
        if stop.load(Ordering::Relaxed) {
            return true;
        }
        match look_into(root, stored, known, stop, &mut chunker) {
            Ok(false) => false,
            Ok(true) => {
                tracing::info!(stored, "was written amid a step: it is taken out of the history");
                some = true;
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
    some
}

/// Whether it was taken out.
fn look_into(
    root: &Root,
    stored: &str,
    known: &HashSet<ContentId>,
    stop: &AtomicBool,
    chunker: &mut Chunker,
) -> Result<bool, String> {
    let path = format!("{HISTORY}/{stored}");
    let kind = match root.fs.stat(&path) {
        Ok(Some(Entry::Plain(stat))) => stat.kind,
        Ok(_) => return Ok(false),
        Err(e) => return Err(e.to_string()),
    };
    let read = read(root.fs.as_ref(), &path, kind, stop, chunker).map_err(|problem| problem.message)?;
    if known.contains(&read.bytes.id()) {
        return Ok(false);
    }
    let name = name_before(stored).unwrap_or(stored);
    (1..10_000)
        .find_map(|n| match root.fs.rename(&path, &format!("{PARKED_PATH}/{n}-{name}")) {
            Err(FsError::Exists) => None,
            result => Some(result),
        })
        .unwrap_or(Err(FsError::Exists))
        .map(|()| true)
        .map_err(|e| e.to_string())
}
