//! A survey: what a scan found that is not as recorded. Comparing costs nothing where nothing changed; what is left is little,
//! and [`crate::Replica::observe`] turns it into operations.

use crate::node::Kind;
use crate::records::{Record, RecordId};
use crate::replica::Replica;
use crate::set::Set;
use crate::view::{Bytes, Stat};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// Where something was found: in a directory that is recorded at that very path, or in one that was found itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum At {
    Record(RecordId),
    Found(usize),
}

/// Something that was found, and is not as recorded.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) parent: At,
    pub(crate) name: Arc<str>,
    pub(crate) stat: Stat,
    /// The record of the same path and kind.
    pub(crate) record: Option<RecordId>,
    /// Its bytes, once they are known.
    pub(crate) bytes: Option<Bytes>,
    /// It could not be read: nothing is inferred.
    pub(crate) dropped: bool,
    /// A directory whose entries are known.
    pub(crate) listed: bool,
}

/// A scan in the making.
#[derive(Debug, Default)]
pub struct Survey {
    pub(crate) found: Vec<Found>,
    /// Which of them are where.
    pub(crate) places: HashMap<(At, Arc<str>), usize>,
    /// Records whose path, or whose kind of thing there, is no more.
    pub(crate) gone: Set<RecordId>,
    /// Directories that were met.
    dirs: HashMap<String, At>,
    unrooted: bool,
    /// How many entries were looked at.
    looked_at: u64,
    /// No file is taken for unchanged before it was read.
    thorough: bool,
}

/// One entry of a directory: its name, and what it is; `None` if it is skipped (ignored, unreadable, neither file nor
/// directory nor link), so that nothing is inferred from it.
pub type Listed = (Arc<str>, Option<Stat>);

impl Survey {
    /// A survey that has seen nothing.
    #[must_use]
    pub fn new() -> Survey {
        Survey::default()
    }

    /// A survey that takes no file for unchanged before its bytes were read, whatever the disk says of it: for what changed
    /// without any time or number changing.
    #[must_use]
    pub fn thorough() -> Survey {
        Survey {
            thorough: true,
            ..Survey::default()
        }
    }

    /// Takes in all entries of a directory. One that could not be listed to its end is not told here: then nothing is inferred
    /// of what may be in it. A directory is listed after the one that it is in. What was looked at before is forgotten.
    pub fn listed(&mut self, replica: &Replica, dir: &str, entries: &[Listed]) {
        self.listed_but(replica, dir, entries, &|_, _| false);
    }

    /// As [`Survey::listed`]; nothing is inferred of what is missing and `left_out` (told its path, and whether it was a
    /// directory).
    pub fn listed_but(&mut self, replica: &Replica, dir: &str, entries: &[Listed], left_out: &dyn Fn(&str, bool) -> bool) {
        let Some(at) = self.at(replica, dir) else {
            self.unrooted = true;
            return;
        };
        let mut there: HashSet<RecordId> = HashSet::with_capacity(entries.len());
        for (name, stat) in entries {
            self.looked_at += 1;
            match stat {
                Some(stat) => there.extend(self.entry(replica, at, dir, name, stat)),
                None => there.extend(skipped(replica, at, name)),
            }
        }
        if let At::Found(i) = at {
            self.found[i].listed = true;
        }
        if let At::Record(id) = at {
            for child in replica.records.inside(id) {
                let is_left_out = || {
                    replica
                        .recorded_by(child)
                        .is_some_and(|r| left_out(&r.path, r.kind == Kind::Dir))
                };
                if !there.contains(&child) && !is_left_out() {
                    self.gone.extend(replica.records.below(child));
                }
            }
        }
    }

    /// Takes in what is at one path, in a scan of single paths; `None` if nothing is. A directory that is there is then to
    /// be listed too.
    pub fn looked(&mut self, replica: &Replica, path: &str, stat: Option<Stat>) {
        self.looked_at += 1;
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(at) = self.at(replica, dir) else {
            // In a directory that is neither recorded nor part of this scan: a wider scan has to look.
            self.unrooted |= stat.is_some();
            return;
        };
        let there = match stat {
            Some(stat) => self.entry(replica, at, dir, &Arc::from(name), &stat),
            None => {
                self.supersede(at, &Arc::from(name));
                None
            }
        };
        if let At::Record(id) = at {
            for other in replica.children(id, name).filter(|r| Some(*r) != there) {
                self.gone.extend(replica.records.below(other));
            }
        }
    }

    /// Whether a path was met that no directory is known for; then the whole root is to be scanned.
    #[must_use]
    pub fn unrooted(&self) -> bool {
        self.unrooted
    }

    /// How many entries were looked at.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Whether nothing is to be taken in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.gone.is_empty()
    }

    /// How many recorded files and links were not found at their paths.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.gone.len()
    }

    fn at(&self, replica: &Replica, dir: &str) -> Option<At> {
        if let Some(at) = self.dirs.get(dir) {
            return Some(*at);
        }
        replica
            .record_at(dir)
            .filter(|id| replica.records.get(*id).is_some_and(|r| r.kind == Kind::Dir))
            .map(At::Record)
    }

    /// Takes in one entry; returns the record that stands at its path, with its kind.
    fn entry(&mut self, replica: &Replica, at: At, dir: &str, name: &Arc<str>, stat: &Stat) -> Option<RecordId> {
        // Of several records the one of this very object stands here.
        let recorded = match at {
            At::Record(parent) => replica
                .children(parent, name)
                .filter_map(|id| Some((id, replica.records.get(id)?)))
                .filter(|(_, r)| r.kind == stat.kind)
                .min_by_key(|(id, r)| (r.key != stat.key, *id)),
            At::Found(_) => None,
        };
        let path = || {
            if dir.is_empty() {
                name.to_string()
            } else {
                format!("{dir}/{name}")
            }
        };
        let record = recorded.as_ref().map(|(id, _)| *id);
        let doubted = self.thorough && stat.kind == Kind::File;
        let unchanged = !doubted && recorded.is_some_and(|(_, r)| as_recorded(r, stat));
        if let Some(id) = record.filter(|id| self.gone.contains(*id)) {
            for below in replica.records.below(id) {
                self.gone.remove(below);
            }
        }
        if let Some(i) = self.places.get(&(at, name.clone())).copied() {
            let old = &mut self.found[i];
            if !unchanged && !old.dropped && old.stat.kind == stat.kind {
                if old.stat != *stat {
                    (old.stat, old.bytes) = (*stat, old.bytes.take().filter(|b| *b == Bytes::Dir));
                }
                return record;
            }
            self.supersede(at, name);
        }
        if let (Kind::Dir, Some(id)) = (stat.kind, record) {
            self.dirs.insert(path(), At::Record(id));
        }
        if unchanged {
            return record;
        }
        if stat.kind == Kind::Dir && record.is_none() {
            self.dirs.insert(path(), At::Found(self.found.len()));
        }
        let bytes = match stat.kind {
            Kind::Dir => Some(Bytes::Dir),
            // Only noted as leaving, by a run that was cut: nothing to read.
            _ => recorded
                .filter(|(_, r)| !doubted && r.key == stat.key && r.print == stat.print)
                .map(|(_, r)| r.bytes.clone()),
        };
        self.places.insert((at, name.clone()), self.found.len());
        self.found.push(Found {
            parent: at,
            name: name.clone(),
            stat: *stat,
            record,
            bytes,
            dropped: false,
            listed: false,
        });
        record
    }

    /// Forgets what was found at a place, because a later look found something else.
    fn supersede(&mut self, at: At, name: &Arc<str>) {
        if let Some(i) = self.places.remove(&(at, name.clone())) {
            self.found[i].dropped = true;
        }
    }

    /// The files and links whose bytes are to be read, with their paths. What stands at another path only because a directory
    /// above it was moved (same object, and nothing of it changed at any time) is not among them. What was itself moved is: the
    /// time of its last change is that of its rename then, and tells no longer whether its bytes changed before; and a file that is
    /// new may have the number of one that is gone.
    pub fn unread(&mut self, replica: &Replica) -> Vec<(usize, String, Stat)> {
        let mut moved: HashMap<u64, &Record> = HashMap::new();
        for record in self.gone.iter().filter_map(|id| replica.records.get(id)) {
            if record.kind != Kind::Dir && !record.leaving {
                moved.insert(record.key.0, record);
            }
        }
        let doubted = self.thorough;
        let new = |f: &&mut Found| f.bytes.is_none() && f.record.is_none() && !(doubted && f.stat.kind == Kind::File);
        for found in self.found.iter_mut().filter(new) {
            let same = |r: &&&Record| r.kind == found.stat.kind && r.print == found.stat.print && r.print.ctime_ns != 0;
            found.bytes = moved.get(&found.stat.key.0).filter(same).map(|r| r.bytes.clone());
        }
        let unread = (0..self.found.len()).filter(|i| self.found[*i].bytes.is_none() && !self.found[*i].dropped);
        unread
            .map(|i| (i, self.path(replica, At::Found(i)), self.found[i].stat))
            .collect()
    }

    /// Notes the bytes of what was found, and what the disk said of it after they were read.
    pub fn read(&mut self, index: usize, bytes: Bytes, stat: Stat) {
        if let Some(found) = self.found.get_mut(index) {
            found.bytes = Some(bytes);
            found.stat = stat;
        }
    }

    /// Notes that something found could not be read, or went on changing: nothing is inferred from it, nor from the absence of
    /// what it may have been before.
    pub fn unreadable(&mut self, replica: &Replica, index: usize) {
        if let Some(found) = self.found.get_mut(index) {
            found.dropped = true;
            let key = found.stat.key;
            let same = |id: &RecordId| replica.records.get(*id).is_some_and(|r| r.key == key && r.kind != Kind::Dir);
            let kept: Vec<RecordId> = self.gone.iter().filter(same).collect();
            for id in kept {
                self.gone.remove(id);
            }
        }
    }

    fn path(&self, replica: &Replica, at: At) -> String {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut at = at;
        let base = loop {
            match at {
                At::Record(id) => break replica.records.path(id),
                At::Found(i) => {
                    names.push(self.found[i].name.clone());
                    at = self.found[i].parent;
                }
            }
        };
        let mut path = base;
        for name in names.iter().rev() {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
        }
        path
    }
}

fn as_recorded(record: &Record, stat: &Stat) -> bool {
    let mode = stat.exec.is_none_or(|exec| exec == record.exec || record.kind != Kind::File);
    record.key == stat.key && !record.leaving && mode && (record.kind == Kind::Dir || record.print == stat.print)
}

/// The records of something that is skipped; what is recorded there, and below, is left as it is.
fn skipped(replica: &Replica, at: At, name: &str) -> impl Iterator<Item = RecordId> {
    let parent = match at {
        At::Record(parent) => Some(parent),
        At::Found(_) => None,
    };
    parent.into_iter().flat_map(move |parent| replica.children(parent, name))
}
