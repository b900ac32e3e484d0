//! What a disk keeps when its power is cut. Names: each change since the last sync may have happened or not; usually they are lost
//! from some point on, as disks with a journal do it, and sometimes here and there; but never one that a safe one builds on. Bytes: what was not synced may be empty, or
//! cut short, in a file whose name is there. What users did stays, with all that it builds on; what the program did before that and did not
//! sync may be lost all the same.

use super::state::{Ino, Inode, Node, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A change of names.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Add {
        dir: Ino,
        name: String,
        ino: Ino,
    },
    Remove {
        dir: Ino,
        name: String,
    },
    Rename {
        from: (Ino, String),
        to: (Ino, String),
    },
    Exchange {
        a: (Ino, String),
        b: (Ino, String),
    },
    /// What users did at once: what is at these names after it.
    Users(Vec<(Place, Option<Ino>)>),
}

/// A directory, and a name in it.
pub(super) type Place = (Ino, String);

impl Change {
    fn touches(&self, dir: Ino) -> bool {
        match self {
            Change::Add { dir: d, .. } | Change::Remove { dir: d, .. } => *d == dir,
            Change::Rename { from, to } => from.0 == dir || to.0 == dir,
            Change::Exchange { a, b } => a.0 == dir || b.0 == dir,
            Change::Users(all) => all.iter().any(|((d, _), _)| *d == dir),
        }
    }

    fn places(&self) -> Vec<Place> {
        match self {
            Change::Add { dir, name, .. } | Change::Remove { dir, name } => vec![(*dir, name.clone())],
            Change::Rename { from, to } => vec![from.clone(), to.clone()],
            Change::Exchange { a, b } => vec![a.clone(), b.clone()],
            Change::Users(all) => all.iter().map(|(place, _)| place.clone()).collect(),
        }
    }

    fn redo(&self, state: &mut State) {
        let now = |state: &State, ino: Ino| state.inode(ino).ctime_ns;
        let is_dir = |state: &State, dir: Ino| state.dir(dir).is_some();
        match self {
            Change::Add { dir, name, ino } => {
                if is_dir(state, *dir) && !state.dir(*dir).is_some_and(|d| d.contains_key(name)) && state.has(*ino) {
                    let at = now(state, *ino);
                    state.add(*dir, name, *ino, at);
                }
            }
            Change::Remove { dir, name } => {
                if state.dir(*dir).is_some_and(|d| d.contains_key(name)) {
                    let at = now(state, *dir);
                    state.remove(*dir, name, at);
                }
            }
            Change::Rename { from, to } => {
                let free = is_dir(state, to.0) && !state.dir(to.0).is_some_and(|d| d.contains_key(&to.1) && from.1 != to.1);
                let there = state.dir(from.0).and_then(|d| d.get(&from.1)).copied();
                if let (true, Some(ino)) = (free, there) {
                    if state.is_within(to.0, ino) {
                        return;
                    }
                    let at = now(state, ino);
                    state.detach(from.0, &from.1, at);
                    state.add(to.0, &to.1, ino, at);
                }
            }
            Change::Exchange { a, b } => {
                let x = state.dir(a.0).and_then(|d| d.get(&a.1)).copied();
                let y = state.dir(b.0).and_then(|d| d.get(&b.1)).copied();
                if let (Some(x), Some(y)) = (x, y) {
                    let at = now(state, x);
                    state.add(a.0, &a.1, y, at);
                    state.add(b.0, &b.1, x, at);
                }
            }
            Change::Users(all) => {
                let mut out = Vec::new();
                for ((dir, name), _) in all {
                    if is_dir(state, *dir) {
                        let at = now(state, *dir);
                        out.extend(state.detach(*dir, name, at));
                    }
                }
                for ((dir, name), ino) in all {
                    if let Some(ino) = ino.filter(|ino| state.has(*ino))
                        && is_dir(state, *dir)
                        && !state.is_within(*dir, ino)
                    {
                        let at = now(state, ino);
                        state.add(*dir, name, ino, at);
                    }
                }
                out.into_iter().for_each(|ino| state.drop_unnamed(ino));
            }
        }
    }
}

/// What was done since all was synced.
pub(super) struct Log {
    base: State,
    changes: Vec<(Change, bool)>,
    /// Objects made since, as they are now.
    made: BTreeMap<Ino, Inode>,
    synced: BTreeSet<Ino>,
}

impl Log {
    pub(super) fn new(state: &State) -> Log {
        Log {
            base: state.clone(),
            changes: Vec::new(),
            made: BTreeMap::new(),
            synced: BTreeSet::new(),
        }
    }

    pub(super) fn note(&mut self, change: Change, state: &State) {
        if let Change::Add { ino, .. } = &change {
            self.made.insert(*ino, state.inode(*ino).clone());
        }
        self.changes.push((change, false));
    }

    /// Notes that an object that was made since has other bytes now.
    pub(super) fn written(&mut self, ino: Ino, state: &State) {
        if let Some(made) = self.made.get_mut(&ino) {
            *made = state.inode(ino).clone();
        } else if self.base.has(ino) && state.has(ino) && !matches!(state.inode(ino).node, Node::Dir(_)) {
            self.base.put(ino, state.inode(ino).clone());
        }
    }

    pub(super) fn sync_bytes(&mut self, ino: Ino) {
        self.synced.insert(ino);
    }

    /// All changes of a directory's names are safe, and those before them that they build on.
    pub(super) fn sync_dir(&mut self, dir: Ino) {
        self.sync_if(|change| change.touches(dir), BTreeSet::new());
    }

    fn sync_if(&mut self, is_safe: impl Fn(&Change) -> bool, mut needed: BTreeSet<Place>) {
        for (change, synced) in self.changes.iter_mut().rev() {
            if *synced || is_safe(change) || change.places().iter().any(|place| needed.contains(place)) {
                *synced = true;
                needed.extend(change.places());
            }
        }
    }

    /// Notes what users did, between two states. That is safe, and all that led to the names that they used.
    pub(super) fn users_did(&mut self, before: &State, after: &State) {
        let (mut places, mut used) = (Vec::new(), BTreeSet::new());
        for (ino, inode) in after.objects() {
            let old = before.has(ino).then(|| before.inode(ino));
            if let Node::Dir(names) = &inode.node {
                let none = BTreeMap::new();
                let old_names = before.dir(ino).unwrap_or(&none);
                let all: BTreeSet<&String> = names.keys().chain(old_names.keys()).collect();
                let changed = all.into_iter().filter(|name| names.get(*name) != old_names.get(*name));
                places.extend(changed.map(|name| ((ino, name.clone()), names.get(name).copied())));
            }
            match old {
                None => {
                    self.made.insert(ino, inode.clone());
                    self.synced.insert(ino);
                }
                Some(old) if !old.is_as(inode) => {
                    self.written(ino, after);
                    self.synced.insert(ino);
                    used.extend(after.places(ino));
                }
                Some(_) => {}
            }
        }
        // On the way to each of them, before and after.
        for ((dir, name), _) in &places {
            used.insert((*dir, name.clone()));
            for state in [before, after] {
                used.extend(state.way(*dir));
            }
        }
        for (dir, _) in used.clone() {
            used.extend(after.way(dir));
        }
        if !used.is_empty() {
            self.sync_if(|_| false, used);
            self.changes.push((Change::Users(places), true));
            self.settle(after);
        }
    }

    /// Starts anew if there is nothing that could be lost.
    pub(super) fn settle(&mut self, state: &State) {
        let bytes = self
            .made
            .iter()
            .all(|(ino, i)| !matches!(i.node, Node::File { .. }) || self.synced.contains(ino));
        if bytes && self.changes.iter().all(|(_, synced)| *synced) {
            *self = Log::new(state);
        }
    }

    /// What is left after a power cut.
    pub(super) fn crash(&self, choose: &mut dyn FnMut(usize) -> usize) -> State {
        let mut state = self.base.clone();
        for (ino, inode) in &self.made {
            let mut inode = inode.clone();
            match &mut inode.node {
                Node::Dir(names) => names.clear(),
                Node::File { bytes, .. } if !self.synced.contains(ino) => match choose(3) {
                    0 => *bytes = Arc::default(),
                    1 => *bytes = Arc::new(bytes[..bytes.len() / 2].to_vec()),
                    _ => {}
                },
                _ => {}
            }
            state.put(*ino, inode);
        }
        let in_order = choose(4) > 0;
        let least = self.changes.iter().rposition(|(_, synced)| *synced).map_or(0, |i| i + 1);
        let cut = least + choose(self.changes.len() - least + 1);
        for (i, (change, synced)) in self.changes.iter().enumerate() {
            let kept = if in_order { i < cut } else { *synced || choose(2) == 0 };
            if kept {
                change.redo(&mut state);
            }
        }
        state.tidy();
        state
    }
}
