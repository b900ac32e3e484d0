//! Records: what this replica last put on, or found on, its disk, one for each path; and what of the tree that reflects.

use crate::folders::{Folders, push};
use crate::node::{Head, Kind};
use crate::nodes::Ix;
use crate::set::{Number, Set};
use crate::view::{Bytes, FileKey, Fingerprint};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// A record's number; kept in the index, and given to another record once it is free.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RecordId(pub u32);

impl RecordId {
    /// The root directory's.
    pub const ROOT: RecordId = RecordId(0);
    /// That of the directory in which things are put out of the way.
    pub const PARKED: RecordId = RecordId(1);
    pub(crate) const NONE: RecordId = RecordId(u32::MAX);
}

impl Number for RecordId {
    fn number(self) -> u32 {
        self.0
    }
    fn from_number(number: u32) -> RecordId {
        RecordId(number)
    }
}

/// The path of the directory in which things are put out of the way.
pub const PARKED_PATH: &str = ".bifold/tmp";

/// Which heads of a member the disk reflects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// All that the node has now. Whoever gives the node another state turns this into [`Seen::Just`] first.
    Everything,
    /// These, in order; some may have been replaced since.
    Just(Box<[Head]>),
}

/// What the disk shows at one path.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Record {
    pub(crate) parent: RecordId,
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) exec: bool,
    /// The engine was about to remove it.
    pub(crate) leaving: bool,
    pub(crate) key: FileKey,
    pub(crate) print: Fingerprint,
    pub(crate) bytes: Bytes,
    /// The nodes that it shows.
    pub(crate) members: SmallVec<[(Ix, Seen); 1]>,
}

impl Record {
    pub(crate) fn seen(&self, ix: Ix) -> Option<&Seen> {
        self.members.iter().find(|(m, _)| *m == ix).map(|(_, seen)| seen)
    }

    pub(crate) fn set_seen(&mut self, ix: Ix, seen: Seen) {
        match self.members.iter_mut().find(|(m, _)| *m == ix) {
            Some((_, old)) => *old = seen,
            None => self.members.push((ix, seen)),
        }
    }

    pub(crate) fn shows(&self, ix: Ix) -> bool {
        self.members.iter().any(|(m, _)| *m == ix)
    }
}

/// All records of a replica.
#[cfg_attr(feature = "faults", derive(Clone))]
pub(crate) struct Records {
    slots: Vec<Option<Record>>,
    free: Vec<RecordId>,
    children: Folders<RecordId>,
    changed: Set<RecordId>,
    /// How many there are, of files and links.
    files: usize,
    dirs: usize,
}

impl Records {
    pub(crate) fn new() -> Records {
        let dir = |parent, name: &str, members| {
            Some(Record {
                parent,
                name: name.into(),
                kind: Kind::Dir,
                exec: false,
                leaving: false,
                key: FileKey::default(),
                print: Fingerprint::default(),
                bytes: Bytes::Dir,
                members,
            })
        };
        let root = dir(RecordId::NONE, "", SmallVec::from_iter([(Ix::ROOT, Seen::Everything)]));
        let parked = dir(RecordId::NONE, PARKED_PATH, SmallVec::new());
        Records {
            slots: vec![root, parked],
            free: Vec::new(),
            children: Folders::new(),
            changed: Set::default(),
            files: 0,
            dirs: 0,
        }
    }

    pub(crate) fn get(&self, id: RecordId) -> Option<&Record> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    /// For changing anything but parent and name. Notes that it changed.
    pub(crate) fn get_mut(&mut self, id: RecordId) -> Option<&mut Record> {
        self.changed.insert(id);
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// All records but the two that always are.
    pub(crate) fn all(&self) -> impl Iterator<Item = (RecordId, &Record)> {
        (0u32..)
            .zip(&self.slots)
            .skip(2)
            .filter_map(|(i, r)| Some((RecordId(i), r.as_ref()?)))
    }

    /// Files and links, directories.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.files, self.dirs)
    }

    /// A number for a record to come.
    pub(crate) fn reserve(&mut self) -> RecordId {
        if let Some(id) = self.free.pop() {
            return id;
        }
        push(&mut self.slots, None);
        RecordId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX - 1))
    }

    /// The numbers that [`Records::reserve`] is going to give, if nothing is given back before.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = RecordId> + '_ {
        let new = u32::try_from(self.slots.len()).unwrap_or(u32::MAX - 1)..u32::MAX;
        self.free.iter().rev().copied().chain(new.map(RecordId))
    }

    /// Gives back a number that no record came for.
    pub(crate) fn release(&mut self, id: RecordId) {
        if self.get(id).is_none() {
            self.free.push(id);
        }
    }

    pub(crate) fn put(&mut self, id: RecordId, record: Record, hash: u32) {
        while self.slots.len() <= id.0 as usize {
            push(&mut self.slots, None);
        }
        *if record.kind == Kind::Dir {
            &mut self.dirs
        } else {
            &mut self.files
        } += 1;
        self.children.insert(id, record.parent, hash);
        self.slots[id.0 as usize] = Some(record);
        self.changed.insert(id);
    }

    /// Whether all are in the root, or in what was put out of the way; not in each other, as a damaged index may say.
    pub(crate) fn are_rooted(&self) -> bool {
        let mut rooted: Set<RecordId> = Set::default();
        rooted.insert(RecordId::ROOT);
        rooted.insert(RecordId::PARKED);
        for (id, _) in self.all() {
            let (mut at, mut way) = (id, Vec::new());
            while !rooted.contains(at) {
                let Some(record) = self.get(at).filter(|_| way.len() < self.slots.len()) else {
                    return false;
                };
                way.push(at);
                at = record.parent;
            }
            way.into_iter().for_each(|at| {
                rooted.insert(at);
            });
        }
        true
    }

    /// Lists the numbers that are free, after records were put back from the index.
    pub(crate) fn find_free(&mut self) {
        self.free = (0u32..)
            .zip(&self.slots)
            .filter(|(_, r)| r.is_none())
            .map(|(i, _)| RecordId(i))
            .collect();
        self.changed.clear();
    }

    pub(crate) fn remove(&mut self, id: RecordId) -> Option<Record> {
        let record = self.slots.get_mut(id.0 as usize)?.take()?;
        *if record.kind == Kind::Dir {
            &mut self.dirs
        } else {
            &mut self.files
        } -= 1;
        self.children.remove(id);
        self.changed.insert(id);
        self.free.push(id);
        Some(record)
    }

    /// Notes that something is elsewhere now; not if there is no such record, or if it would be in itself. (No disk has that; but what
    /// is on its way may have been moved unseen, by a step of which it was said that it had failed.) Says whether it is noted.
    pub(crate) fn rename(&mut self, id: RecordId, parent: RecordId, name: Arc<str>, hash: u32) -> bool {
        if self.is_within(parent, id) {
            return false;
        }
        let Some(record) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return false;
        };
        self.children.remove(id);
        self.children.insert(id, parent, hash);
        (record.parent, record.name) = (parent, name);
        self.changed.insert(id);
        true
    }

    /// Whether a record is another one, or in it.
    fn is_within(&self, id: RecordId, other: RecordId) -> bool {
        let mut at = id;
        while at != other {
            let Some(record) = self.get(at) else { return false };
            at = record.parent;
        }
        true
    }

    /// All records in a directory.
    pub(crate) fn inside(&self, parent: RecordId) -> impl Iterator<Item = RecordId> + '_ {
        self.children.inside(parent)
    }

    /// Those in a directory whose name has this hash.
    pub(crate) fn hashed(&self, parent: RecordId, hash: u32) -> impl Iterator<Item = RecordId> + '_ {
        self.children.named(parent, hash)
    }

    /// The path of a record.
    pub(crate) fn path(&self, id: RecordId) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while let Some(record) = self.get(at) {
            if record.name.is_empty() {
                break;
            }
            names.push(record.name.clone());
            at = record.parent;
        }
        names.reverse();
        names.join("/")
    }

    /// How far below the root.
    pub(crate) fn depth(&self, id: RecordId) -> usize {
        let (mut depth, mut at) = (0, id);
        while let Some(record) = self.get(at).filter(|r| !r.name.is_empty()) {
            depth += 1;
            at = record.parent;
        }
        depth
    }

    /// A record and all that is recorded in it, parents first.
    pub(crate) fn below(&self, id: RecordId) -> Vec<RecordId> {
        let mut all = vec![id];
        let mut next = 0;
        while next < all.len() {
            let at = all[next];
            next += 1;
            all.extend(self.inside(at));
        }
        all
    }

    pub(crate) fn take_changed(&mut self) -> Set<RecordId> {
        std::mem::take(&mut self.changed)
    }
}
