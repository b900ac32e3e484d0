//! A simulated disk: objects with numbers, in directories; names may be folded.

use bifold_tree::{Bytes, ContentId, FileKey, Fingerprint, Kind, Names, Stat};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The engine's own directory, which no scan and no user goes into.
pub const OWN: &str = ".bifold";

/// Names that differ only in case are one.
pub struct FoldedNames;

impl Names for FoldedNames {
    fn fold(&self, name: &str) -> String {
        name.to_lowercase()
    }
    fn fits(&self, name: &str) -> bool {
        name.len() <= 255
    }
    fn folds(&self) -> bool {
        true
    }
}

/// A file, directory or link.
#[derive(Clone, Debug)]
pub struct Object {
    pub kind: Kind,
    /// A file's bytes or a link's target.
    pub data: String,
    pub exec: bool,
    mtime: i64,
    ctime: i64,
    /// Folded name to name and object.
    pub children: BTreeMap<String, (Arc<str>, u64)>,
}

impl Object {
    pub fn bytes(&self) -> Bytes {
        bytes_of(self.kind, &self.data)
    }
}

/// What the tree calls these bytes.
pub fn bytes_of(kind: Kind, data: &str) -> Bytes {
    match kind {
        Kind::Dir => Bytes::Dir,
        Kind::File => Bytes::File(ContentId(*blake3::hash(data.as_bytes()).as_bytes())),
        Kind::Link => Bytes::Link(data.into()),
    }
}

/// Refused by the disk.
#[derive(Debug)]
pub struct Refused;

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    pub folds: bool,
    objects: BTreeMap<u64, Object>,
    last: u64,
    clock: i64,
    /// How often anything in it was changed.
    pub changes: u64,
}

const ROOT: u64 = 0;

/// The directory and the name of a path.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

pub fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

pub fn depth(path: &str) -> usize {
    if path.is_empty() { 0 } else { path.matches('/').count() + 1 }
}

/// Whether `path` is `dir` or below it.
pub fn within(path: &str, dir: &str) -> bool {
    dir.is_empty() || path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

impl Disk {
    pub fn new(folds: bool) -> Disk {
        let mut disk = Disk {
            folds,
            objects: BTreeMap::new(),
            last: 0,
            clock: 0,
            changes: 0,
        };
        let root = disk.object(Kind::Dir, "", false);
        disk.objects.insert(ROOT, root);
        disk.put(OWN, Kind::Dir, "", false).unwrap();
        disk.put(".bifold/tmp", Kind::Dir, "", false).unwrap();
        disk.changes = 0;
        disk
    }

    fn object(&mut self, kind: Kind, data: &str, exec: bool) -> Object {
        self.clock += 1;
        Object {
            kind,
            data: data.to_owned(),
            exec,
            mtime: self.clock,
            ctime: self.clock,
            children: BTreeMap::new(),
        }
    }

    pub fn fold(&self, name: &str) -> String {
        if self.folds { name.to_lowercase() } else { name.to_owned() }
    }

    /// The number of what is at a path.
    pub fn find(&self, path: &str) -> Option<u64> {
        if path.is_empty() {
            return Some(ROOT);
        }
        path.split('/').try_fold(ROOT, |at, name| {
            Some(self.objects.get(&at)?.children.get(&self.fold(name))?.1)
        })
    }

    /// Whether the path stands there with just this name.
    pub fn has_exactly(&self, path: &str) -> bool {
        let (dir, name) = split(path);
        let Some(dir) = self.find(dir) else { return false };
        self.objects[&dir]
            .children
            .get(&self.fold(name))
            .is_some_and(|(n, _)| **n == *name)
    }

    pub fn get(&self, path: &str) -> Option<&Object> {
        self.objects.get(&self.find(path)?)
    }

    pub fn kind(&self, path: &str) -> Option<Kind> {
        self.get(path).map(|o| o.kind)
    }

    pub fn stat(&self, path: &str) -> Option<Stat> {
        let id = self.find(path)?;
        let o = &self.objects[&id];
        let print = Fingerprint {
            size: o.data.len() as u64,
            mtime_ns: o.mtime,
            ctime_ns: o.ctime,
        };
        Some(Stat {
            kind: o.kind,
            key: FileKey(id),
            print,
            exec: Some(o.exec && o.kind == Kind::File),
        })
    }

    /// The names in a directory, in order, without the engine's own.
    pub fn list(&self, dir: &str) -> Vec<Arc<str>> {
        let Some(o) = self.get(dir) else { return Vec::new() };
        let all = o.children.values().map(|(name, _)| name.clone());
        all.filter(|name| !dir.is_empty() || **name != *OWN).collect()
    }

    /// All paths in a directory, parents first, without the engine's own.
    pub fn walk(&self, dir: &str) -> Vec<String> {
        let mut all = Vec::new();
        for name in self.list(dir) {
            let path = join(dir, &name);
            let below = if self.kind(&path) == Some(Kind::Dir) {
                self.walk(&path)
            } else {
                Vec::new()
            };
            all.push(path);
            all.extend(below);
        }
        all
    }

    /// All directories in one, itself among them, the shallow ones first.
    pub fn dirs(&self, dir: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut todo = VecDeque::from([dir.to_owned()]);
        while let Some(dir) = todo.pop_front() {
            let children = self.list(&dir).into_iter().map(|name| join(&dir, &name));
            todo.extend(children.filter(|p| self.kind(p) == Some(Kind::Dir)));
            all.push(dir);
        }
        all
    }

    /// All that is in the place for what is out of the way.
    pub fn parked(&self) -> Vec<String> {
        self.walk(".bifold/tmp")
    }

    /// Makes a directory; or writes under another name, to be renamed over the path.
    pub fn put(&mut self, path: &str, kind: Kind, data: &str, exec: bool) -> Result<u64, Refused> {
        let old = self.kind(path);
        if old.is_some() && (kind == Kind::Dir || old == Some(Kind::Dir)) {
            return Err(Refused);
        }
        let object = self.object(kind, data, exec && kind == Kind::File);
        self.last += 1;
        let id = self.last;
        let parent = self.parent(path)?;
        self.objects.insert(id, object);
        self.link(parent, split(path).1, id);
        Ok(id)
    }

    /// Changes a file in its place.
    pub fn edit(&mut self, path: &str, data: &str) -> Result<(), Refused> {
        let id = self.find(path).ok_or(Refused)?;
        self.clock += 1;
        let clock = self.clock;
        let o = self.objects.get_mut(&id).filter(|o| o.kind == Kind::File).ok_or(Refused)?;
        (o.data, o.mtime, o.ctime) = (data.to_owned(), clock, clock);
        self.changes += 1;
        Ok(())
    }

    pub fn set_exec(&mut self, path: &str, exec: bool) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(o) = self
            .find(path)
            .and_then(|id| self.objects.get_mut(&id))
            .filter(|o| o.kind == Kind::File)
        {
            (o.exec, o.ctime) = (exec, clock);
            self.changes += 1;
        }
    }

    /// Renames, over a file or link that is there.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<(), Refused> {
        let id = self.find(old).ok_or(Refused)?;
        if within(new, old) && new != old {
            return Err(Refused);
        }
        if let Some(target) = self.find(new).filter(|t| *t != id)
            && (self.objects[&target].kind == Kind::Dir || self.objects[&id].kind == Kind::Dir)
        {
            return Err(Refused);
        }
        let (from, to) = (self.parent(old)?, self.parent(new)?);
        let folded = self.fold(split(old).1);
        self.objects.get_mut(&from).unwrap().children.remove(&folded);
        self.link(to, split(new).1, id);
        self.clock += 1;
        self.objects.get_mut(&id).unwrap().ctime = self.clock;
        Ok(())
    }

    pub fn remove(&mut self, path: &str) -> Result<(), Refused> {
        let id = self.find(path).filter(|id| *id != ROOT).ok_or(Refused)?;
        if !self.objects[&id].children.is_empty() {
            return Err(Refused);
        }
        let parent = self.parent(path)?;
        let folded = self.fold(split(path).1);
        self.objects.get_mut(&parent).unwrap().children.remove(&folded);
        self.objects.remove(&id);
        self.changes += 1;
        Ok(())
    }

    fn parent(&self, path: &str) -> Result<u64, Refused> {
        self.find(split(path).0)
            .filter(|id| self.objects[id].kind == Kind::Dir)
            .ok_or(Refused)
    }

    fn link(&mut self, parent: u64, name: &str, id: u64) {
        let folded = self.fold(name);
        let old = self
            .objects
            .get_mut(&parent)
            .unwrap()
            .children
            .insert(folded, (name.into(), id));
        if let Some((_, old)) = old.filter(|(_, old)| *old != id) {
            self.objects.remove(&old);
        }
        self.changes += 1;
    }
}
