//! What is on a disk: objects, and the names that directories give them. Names are the disk's own (escaped where need be).

use bifold_tree::{FileKey, Fingerprint, Kind, Names, Stat};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An object, for ever.
pub(super) type Ino = u64;

pub(super) const ROOT: Ino = 0;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Dir(BTreeMap<String, Ino>),
    File { bytes: Arc<Vec<u8>>, exec: bool },
    Link(String),
    Special(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) node: Node,
    /// The number that the disk tells; given again once it is free.
    pub(super) key: u64,
    pub(super) mtime_ns: i64,
    pub(super) ctime_ns: i64,
}

impl Inode {
    /// Whether it is the same, of whatever names it has, and whatever is in it if it is a directory.
    pub(super) fn is_as(&self, other: &Inode) -> bool {
        let node = match (&self.node, &other.node) {
            (Node::File { bytes, exec }, Node::File { bytes: b, exec: e }) => bytes == b && exec == e,
            (Node::Link(target), Node::Link(other)) => target == other,
            (Node::Dir(_), Node::Dir(_)) | (Node::Special(_), Node::Special(_)) => true,
            _ => false,
        };
        node && (matches!(self.node, Node::Dir(_)) || self.mtime_ns == other.mtime_ns)
    }

    pub(super) fn stat(&self, exec_kept: bool, ctime_kept: bool, time_step_ns: i64) -> Option<Stat> {
        let (kind, size, exec) = match &self.node {
            Node::Dir(_) => (Kind::Dir, 4096, None),
            Node::File { bytes, exec } => (Kind::File, bytes.len() as u64, exec_kept.then_some(*exec)),
            Node::Link(target) => (Kind::Link, target.len() as u64, None),
            Node::Special(_) => return None,
        };
        let mtime_ns = self.mtime_ns - self.mtime_ns.rem_euclid(time_step_ns);
        let print = Fingerprint {
            size,
            mtime_ns,
            ctime_ns: if ctime_kept { self.ctime_ns } else { 0 },
        };
        Some(Stat {
            kind,
            key: FileKey(self.key),
            print,
            exec,
        })
    }
}

/// A disk's contents.
#[derive(Clone)]
pub(super) struct State {
    inodes: BTreeMap<Ino, Inode>,
    next: Ino,
    free_keys: BTreeSet<u64>,
    next_key: u64,
    reuses_keys: bool,
}

impl State {
    pub(super) fn new(reuses_keys: bool) -> State {
        let root = Inode {
            node: Node::Dir(BTreeMap::new()),
            key: 2,
            mtime_ns: 0,
            ctime_ns: 0,
        };
        State {
            inodes: BTreeMap::from([(ROOT, root)]),
            next: 1,
            free_keys: BTreeSet::new(),
            next_key: 11,
            reuses_keys,
        }
    }

    pub(super) fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[&ino]
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        self.inodes.get_mut(&ino).expect("an object that is there")
    }

    pub(super) fn has(&self, ino: Ino) -> bool {
        self.inodes.contains_key(&ino)
    }

    pub(super) fn dir(&self, ino: Ino) -> Option<&BTreeMap<String, Ino>> {
        match &self.inodes.get(&ino)?.node {
            Node::Dir(names) => Some(names),
            _ => None,
        }
    }

    fn names_mut(&mut self, ino: Ino) -> &mut BTreeMap<String, Ino> {
        match &mut self.inode_mut(ino).node {
            Node::Dir(names) => names,
            _ => panic!("a directory that is none"),
        }
    }

    /// The name in a directory, as it is stored, that is `name` to this disk, and the object.
    pub(super) fn lookup(&self, dir: Ino, name: &str, rules: &dyn Names) -> Option<(String, Ino)> {
        let names = self.dir(dir)?;
        if let Some(ino) = names.get(name) {
            return Some((name.to_owned(), *ino));
        }
        if !rules.folds() {
            return None;
        }
        let folded = rules.fold(name);
        names
            .iter()
            .find(|(stored, _)| rules.fold(stored) == folded)
            .map(|(stored, ino)| (stored.clone(), *ino))
    }

    /// A new object that has no name yet.
    pub(super) fn make(&mut self, node: Node, now_ns: i64) -> Ino {
        let ino = self.next;
        self.next += 1;
        let key = match self.free_keys.pop_first() {
            Some(key) if self.reuses_keys => key,
            _ => {
                self.next_key += 1;
                self.next_key
            }
        };
        self.inodes.insert(
            ino,
            Inode {
                node,
                key,
                mtime_ns: now_ns,
                ctime_ns: now_ns,
            },
        );
        ino
    }

    /// Puts an object that another state has, with its number.
    pub(super) fn put(&mut self, ino: Ino, inode: Inode) {
        self.next = self.next.max(ino + 1);
        self.next_key = self.next_key.max(inode.key);
        self.free_keys.remove(&inode.key);
        self.inodes.insert(ino, inode);
    }

    pub(super) fn add(&mut self, dir: Ino, name: &str, ino: Ino, now_ns: i64) {
        self.names_mut(dir).insert(name.to_owned(), ino);
        self.inode_mut(dir).mtime_ns = now_ns;
        self.inode_mut(dir).ctime_ns = now_ns;
        self.inode_mut(ino).ctime_ns = now_ns;
    }

    /// Takes a name away; an object without names is gone, with all that is in it.
    pub(super) fn remove(&mut self, dir: Ino, name: &str, now_ns: i64) {
        let Some(ino) = self.detach(dir, name, now_ns) else { return };
        self.drop_unnamed(ino);
    }

    /// Takes a name away, and leaves the object.
    pub(super) fn detach(&mut self, dir: Ino, name: &str, now_ns: i64) -> Option<Ino> {
        let ino = self.names_mut(dir).remove(name)?;
        self.inode_mut(dir).mtime_ns = now_ns;
        self.inode_mut(dir).ctime_ns = now_ns;
        self.inode_mut(ino).ctime_ns = now_ns;
        Some(ino)
    }

    /// All objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = (Ino, &Inode)> {
        self.inodes.iter().map(|(ino, inode)| (*ino, inode))
    }

    /// The names that an object has, with the directories that give them.
    pub(super) fn places(&self, ino: Ino) -> Vec<(Ino, String)> {
        let mut places = Vec::new();
        for (dir, inode) in &self.inodes {
            if let Node::Dir(names) = &inode.node {
                let here = names.iter().filter(|(_, n)| **n == ino);
                places.extend(here.map(|(name, _)| (*dir, name.clone())));
            }
        }
        places
    }

    /// The names that lead from the root to a directory.
    pub(super) fn way(&self, dir: Ino) -> Vec<(Ino, String)> {
        let mut way = Vec::new();
        let mut at = dir;
        while let Some(place) = self.places(at).into_iter().next() {
            at = place.0;
            way.push(place);
        }
        way
    }

    /// How many names an object has.
    pub(super) fn names(&self, ino: Ino) -> usize {
        self.places(ino).len()
    }

    pub(super) fn drop_unnamed(&mut self, ino: Ino) {
        if self.names(ino) > 0 {
            return;
        }
        let Some(inode) = self.inodes.remove(&ino) else { return };
        self.free_keys.insert(inode.key);
        if let Node::Dir(names) = inode.node {
            names.into_values().for_each(|inside| self.drop_unnamed(inside));
        }
    }

    /// Objects that no name leads to are gone, and no two have one number.
    pub(super) fn tidy(&mut self) {
        let (mut led_to, mut next) = (BTreeSet::new(), vec![ROOT]);
        while let Some(ino) = next.pop() {
            if led_to.insert(ino) {
                next.extend(self.dir(ino).into_iter().flat_map(BTreeMap::values));
            }
        }
        self.inodes.retain(|ino, _| led_to.contains(ino));
        let mut taken = BTreeSet::new();
        for inode in self.inodes.values_mut() {
            if !taken.insert(inode.key) {
                self.next_key += 1;
                inode.key = self.next_key;
                taken.insert(inode.key);
            }
        }
        self.free_keys = (11..=self.next_key).filter(|key| !taken.contains(key)).collect();
    }

    /// Whether one directory is another, or in it.
    pub(super) fn is_within(&self, inner: Ino, outer: Ino) -> bool {
        inner == outer
            || self
                .dir(outer)
                .is_some_and(|names| names.values().any(|below| self.is_within(inner, *below)))
    }

    /// Gives every object but the root a number that it did not have: what a backup puts back are other objects.
    pub(super) fn renew_keys(&mut self, before: &State, now_ns: i64) {
        self.next_key = self.next_key.max(before.next_key);
        self.free_keys.clear();
        for (ino, inode) in &mut self.inodes {
            if *ino != ROOT {
                self.next_key += 1;
                (inode.key, inode.ctime_ns) = (self.next_key, now_ns);
            }
        }
    }
}
