//! The index's file: on a real disk, as SQLite wants it, in a directory that is gone with the world.

use crate::random::Random;
use bifold_store::Store;
use bifold_tree::ReplicaId;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The index, and what SQLite keeps beside it.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

pub(super) type Parts = Vec<(String, Vec<u8>)>;

pub(super) struct Index {
    dir: TempDir,
    /// States that it may have after a power cut, the last one that surely is there first; if someone wants to know.
    states: Option<Vec<Parts>>,
    /// Someone always wants to know.
    always: bool,
}

impl Index {
    pub(super) fn new() -> Index {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            TempDir::new_in(memory)
        } else {
            TempDir::new()
        };
        Index {
            dir: dir.expect("a directory for the index"),
            states: None,
            always: false,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("index.db")
    }

    fn part(&self, part: &str) -> PathBuf {
        self.dir.path().join(format!("index.db{part}"))
    }

    pub(super) fn copy(&self) -> Parts {
        let read = |part: &&str| Some(((**part).to_owned(), std::fs::read(self.part(part)).ok()?));
        // (SQLite makes the last one anew.)
        PARTS[..2].iter().filter_map(read).collect()
    }

    pub(super) fn remove(&mut self) {
        for part in PARTS {
            let _ = std::fs::remove_file(self.part(part));
        }
        self.states = self.always.then(|| vec![Parts::new()]);
    }

    pub(super) fn put(&mut self, parts: &Parts) {
        self.remove();
        for (part, bytes) in parts {
            std::fs::write(self.part(part), bytes).expect("room for the index");
        }
        self.states = self.always.then(|| vec![parts.clone()]);
    }

    /// Notes from now on what a power cut could leave.
    pub(super) fn watch(&mut self, watch: bool) {
        if watch && self.states.is_none() {
            self.states = Some(vec![self.copy()]);
        } else if !watch && !self.always {
            self.states = None;
        }
    }

    /// Notes it all the time.
    pub(super) fn watch_always(&mut self) {
        self.watch(true);
        self.always = true;
    }

    /// Something was committed.
    pub(super) fn committed(&mut self, durable: bool) {
        if self.states.is_none() {
            return;
        }
        let copy = self.copy();
        if let Some(states) = &mut self.states {
            if durable {
                states.clear();
            }
            states.push(copy);
        }
    }

    /// What a power cut leaves: one of the states since the last durable one.
    pub(super) fn lose(&mut self, random: &mut Random) {
        if let Some(states) = self.states.take() {
            let left = random.of(&states).clone();
            self.put(&left);
        }
    }

    /// The replicas that have these roots.
    pub(super) fn replicas(&self, roots: &[PathBuf]) -> Vec<Option<ReplicaId>> {
        let store = Store::open(&self.path()).expect("the index");
        roots
            .iter()
            .map(|root| store.replica_by_root(root).expect("the index").map(|h| h.id))
            .collect()
    }
}
