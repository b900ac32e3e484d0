//! What the user of a disk does. Paths are the tree's; all of it is on the disk for good at once.

use super::state::{Ino, Node, ROOT};
use super::{Disk, SimFs};
use bifold_tree::Names;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Thing {
    /// A directory.
    Dir,
    /// A file.
    File {
        /// Its bytes.
        bytes: Arc<Vec<u8>>,
        /// Its executable bit; `None` where there is none.
        exec: Option<bool>,
        /// Last change, nanoseconds since 1970.
        mtime_ns: i64,
    },
    /// A link.
    Link(String),
    /// Something else.
    Special(&'static str),
}

impl Disk {
    fn users_parent(&self, path: &str) -> (Ino, String, Option<Ino>) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.find(dir).filter(|ino| self.state.dir(*ino).is_some());
        let dir = dir.unwrap_or_else(|| panic!("the user's disk has no directory for {path}"));
        let name = self.on_disk(name);
        match self.state.lookup(dir, &name, &self.traits.rules) {
            Some((stored, ino)) => (dir, stored, Some(ino)),
            None => (dir, name, None),
        }
    }

    /// A path in the tree's names, as far as it is there as the disk has them.
    fn as_stored(&self, path: &str) -> String {
        let mut at = Some(ROOT);
        let names = path.split('/').map(|name| {
            let there = at.and_then(|dir| self.state.lookup(dir, &self.on_disk(name), &self.traits.rules));
            at = there.as_ref().map(|(_, ino)| *ino);
            let stored = there.and_then(|(stored, _)| self.traits.rules.to_tree(stored.as_ref()));
            stored.unwrap_or_else(|| name.to_owned())
        });
        names.collect::<Vec<_>>().join("/")
    }

    fn put(&mut self, path: &str, node: Node, now: i64) -> Ino {
        let (dir, name, there) = self.users_parent(path);
        if there.is_some() {
            self.state.remove(dir, &name, now);
        }
        let ino = self.state.make(node, now);
        self.state.add(dir, &name, ino, now);
        ino
    }

    fn collect(&self, dir: Ino, path: &str, into: &mut BTreeMap<String, Thing>) {
        let Some(names) = self.state.dir(dir) else { return };
        for (name, ino) in names {
            let name = self.traits.rules.to_tree(name.as_ref()).unwrap_or_else(|| name.clone());
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            into.insert(path.clone(), self.thing(*ino));
            self.collect(*ino, &path, into);
        }
    }

    fn thing(&self, ino: Ino) -> Thing {
        let inode = self.state.inode(ino);
        match &inode.node {
            Node::Dir(_) => Thing::Dir,
            Node::File { bytes, exec } => {
                let mtime_ns = inode.mtime_ns - inode.mtime_ns.rem_euclid(self.traits.time_step_ns);
                Thing::File {
                    bytes: bytes.clone(),
                    exec: self.traits.exec.then_some(*exec),
                    mtime_ns,
                }
            }
            Node::Link(target) => Thing::Link(target.clone()),
            Node::Special(what) => Thing::Special(what),
        }
    }
}

impl SimFs {
    fn user<T>(&self, paths: &[&str], act: impl FnOnce(&mut Disk, i64) -> T) -> T {
        let mut disk = self.lock();
        let now = self.now(&disk);
        let disk = &mut *disk;
        // A watcher tells names as the disk has them: before, and after.
        let before: Vec<String> = paths.iter().map(|path| disk.as_stored(path)).collect();
        let state = disk.state.clone();
        let done = act(disk, now);
        disk.log.users_did(&state, &disk.state);
        let after: Vec<String> = paths.iter().map(|path| disk.as_stored(path)).collect();
        disk.dirty.extend(before.into_iter().chain(after));
        done
    }

    /// Whether two paths are different, and one to this disk.
    pub(crate) fn is_same(&self, a: &str, b: &str) -> bool {
        a != b && self.rules.folds() && self.rules.fold(a) == self.rules.fold(b)
    }

    /// Whether one path is another to this disk, or below it.
    pub(crate) fn is_within(&self, inner: &str, outer: &str) -> bool {
        let folded = |path: &str| {
            if self.rules.folds() {
                self.rules.fold(path)
            } else {
                path.to_owned()
            }
        };
        let (inner, outer) = (folded(inner), folded(outer));
        inner
            .strip_prefix(&outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether two paths are names of one object.
    pub(crate) fn is_one_object(&self, a: &str, b: &str) -> bool {
        let disk = self.lock();
        disk.find(a).is_some_and(|ino| disk.find(b) == Some(ino))
    }

    /// Lets time go by.
    pub(crate) fn pass_seconds(&self, seconds: i64) {
        self.moments.pass_seconds(seconds);
    }

    /// Writes a file's bytes, in place if it is there.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        self.user(&[path], |disk, now| {
            let new = Arc::new(bytes.to_vec());
            let (_, _, there) = disk.users_parent(path);
            match there.map(|ino| disk.state.inode_mut(ino)) {
                Some(inode) => {
                    let Node::File { bytes, .. } = &mut inode.node else {
                        panic!("{path} is no file")
                    };
                    *bytes = new;
                    (inode.mtime_ns, inode.ctime_ns) = (now, now);
                }
                None => drop(disk.put(path, Node::File { bytes: new, exec: false }, now)),
            }
        });
    }

    /// Appends to a file.
    pub fn append(&self, path: &str, more: &[u8]) {
        let mut bytes = self.bytes(path).unwrap_or_default();
        bytes.extend_from_slice(more);
        self.write(path, &bytes);
    }

    /// Writes aside, and renames over: what careful programs do.
    pub fn save(&self, path: &str, bytes: &[u8]) {
        let exec = matches!(self.at(path), Some(Thing::File { exec: Some(true), .. }));
        self.user(&[path], |disk, now| {
            disk.put(
                path,
                Node::File {
                    bytes: Arc::new(bytes.to_vec()),
                    exec,
                },
                now,
            )
        });
    }

    /// Makes a directory.
    pub fn make_directory(&self, path: &str) {
        self.user(&[path], |disk, now| disk.put(path, Node::Dir(BTreeMap::new()), now));
    }

    /// Makes a link.
    pub fn link(&self, path: &str, target: &str) {
        self.user(&[path], |disk, now| disk.put(path, Node::Link(target.to_owned()), now));
    }

    /// Makes a fifo.
    pub fn fifo(&self, path: &str) {
        self.user(&[path], |disk, now| disk.put(path, Node::Special("fifo"), now));
    }

    /// Gives a file a second name.
    pub fn hard_link(&self, path: &str, second: &str) {
        self.user(&[second], |disk, now| {
            let ino = disk.find(path).unwrap_or_else(|| panic!("nothing is at {path}"));
            let (dir, name, _) = disk.users_parent(second);
            disk.state.add(dir, &name, ino, now);
        });
    }

    /// Moves something, over what is there.
    pub fn move_to(&self, from: &str, to: &str) {
        self.user(&[from, to], |disk, now| {
            let (from_dir, from_name, there) = disk.users_parent(from);
            let ino = there.unwrap_or_else(|| panic!("nothing is at {from}"));
            let (to_dir, stored, taken) = disk.users_parent(to);
            if taken.is_some_and(|t| t != ino) {
                disk.state.remove(to_dir, &stored, now);
            }
            disk.state.detach(from_dir, &from_name, now);
            let name = disk.on_disk(to.rsplit('/').next().unwrap_or(to));
            disk.state.add(to_dir, &name, ino, now);
        });
    }

    /// Exchanges two things.
    pub fn swap(&self, a: &str, b: &str) {
        self.user(&[a, b], |disk, now| {
            let (a_dir, a_name, x) = disk.users_parent(a);
            let (b_dir, b_name, y) = disk.users_parent(b);
            let (Some(x), Some(y)) = (x, y) else {
                panic!("{a} or {b} is not there")
            };
            disk.state.add(a_dir, &a_name, y, now);
            disk.state.add(b_dir, &b_name, x, now);
        });
    }

    /// Deletes something, with all that is in it.
    pub fn delete(&self, path: &str) {
        self.user(&[path], |disk, now| {
            let (dir, name, there) = disk.users_parent(path);
            assert!(there.is_some(), "nothing is at {path}");
            disk.state.remove(dir, &name, now);
        });
    }

    /// Sets or takes the executable bit.
    pub fn chmod(&self, path: &str, exec: bool) {
        self.user(&[path], |disk, now| {
            let ino = disk.find(path).unwrap_or_else(|| panic!("nothing is at {path}"));
            let inode = disk.state.inode_mut(ino);
            if let Node::File { exec: bit, .. } = &mut inode.node {
                (*bit, inode.ctime_ns) = (exec, now);
            }
        });
    }

    /// Sets the time of last change.
    pub fn touch(&self, path: &str, mtime_ns: i64) {
        self.user(&[path], |disk, now| {
            let ino = disk.find(path).unwrap_or_else(|| panic!("nothing is at {path}"));
            let inode = disk.state.inode_mut(ino);
            (inode.mtime_ns, inode.ctime_ns) = (mtime_ns, now);
        });
    }

    /// Takes everything away, the engine's own directory too.
    pub fn empty(&self) {
        self.user(&[""], |disk, now| {
            let names: Vec<String> = disk.state.dir(ROOT).map(|d| d.keys().cloned().collect()).unwrap_or_default();
            names.iter().for_each(|name| disk.state.remove(ROOT, name, now));
        });
    }

    /// What is at a path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Thing> {
        let disk = self.lock();
        disk.find(path).map(|ino| disk.thing(ino))
    }

    /// A file's bytes.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        match self.at(path) {
            Some(Thing::File { bytes, .. }) => Some(bytes.to_vec()),
            _ => None,
        }
    }

    /// All that is on the disk, the engine's own too, by path.
    #[must_use]
    pub fn everything(&self) -> BTreeMap<String, Thing> {
        let disk = self.lock();
        let mut all = BTreeMap::new();
        disk.collect(ROOT, "", &mut all);
        all
    }

    /// What is the user's, by path.
    #[must_use]
    pub fn tree(&self) -> BTreeMap<String, Thing> {
        let mut all = self.everything();
        all.retain(|path, _| path != ".bifold" && !path.starts_with(".bifold/"));
        all
    }

    /// The bytes of the files that the history keeps.
    #[must_use]
    pub fn history(&self) -> Vec<Arc<Vec<u8>>> {
        let all = self.everything();
        let kept = all.into_iter().filter(|(path, _)| path.starts_with(".bifold/history/"));
        kept.filter_map(|(_, thing)| {
            if let Thing::File { bytes, .. } = thing {
                Some(bytes)
            } else {
                None
            }
        })
        .collect()
    }

    /// The names of the disk itself, of what is the user's in the root.
    #[must_use]
    pub fn names_on_disk(&self) -> Vec<String> {
        let disk = self.lock();
        disk.state
            .dir(ROOT)
            .map(|d| d.keys().filter(|n| *n != ".bifold").cloned().collect())
            .unwrap_or_default()
    }
}
