//! A disk in memory, and the changes that can be made to it.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of an object. None is given twice.
pub type Ino = u64;
/// A name in a directory.
pub type Place = (Ino, OsString);

/// The number of the root directory, as FUSE has it.
pub const ROOT: Ino = 1;

/// What an object is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    /// A directory, with the objects in it.
    Dir(BTreeMap<OsString, Ino>),
    /// A file.
    File(Arc<Vec<u8>>),
    /// A symbolic link.
    Link(PathBuf),
    /// A socket.
    Socket,
}

/// An object.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// What it is.
    pub body: Body,
    /// Permissions.
    pub mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of its bytes or names.
    pub mtime_ns: i64,
    /// Last change of anything.
    pub ctime_ns: i64,
    /// Names that it has.
    pub links: u32,
    /// Extended attributes.
    pub extras: BTreeMap<OsString, Vec<u8>>,
}

/// What of an object's attributes is set.
#[derive(Clone, Default, Debug)]
pub struct Attributes {
    /// Permissions.
    pub mode: Option<u32>,
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Time of last change.
    pub mtime_ns: Option<i64>,
}

/// Something that was asked of a disk.
#[derive(Clone, Debug)]
pub enum Op {
    /// A new object.
    Make {
        /// Where.
        place: Place,
        /// Its number.
        ino: Ino,
        /// What it is at first.
        node: Arc<Node>,
    },
    /// One more name.
    Link {
        /// Which.
        place: Place,
        /// Of this file.
        ino: Ino,
    },
    /// A name, and what has no other, is gone.
    Remove {
        /// Which.
        place: Place,
    },
    /// Another name; what had that one before is gone.
    Rename {
        /// The old one.
        from: Place,
        /// The new one.
        to: Place,
    },
    /// Two names for each other.
    Exchange {
        /// The one.
        a: Place,
        /// The other.
        b: Place,
    },
    /// Bytes of a file.
    Write {
        /// Which.
        ino: Ino,
        /// Where.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// The length of a file.
    Resize {
        /// Which.
        ino: Ino,
        /// The new one.
        size: u64,
    },
    /// Attributes.
    Set {
        /// Of which object.
        ino: Ino,
        /// Those that are set.
        attributes: Attributes,
    },
    /// An extended attribute is set, or taken away.
    Extra {
        /// Of which object.
        ino: Ino,
        /// Its name.
        name: OsString,
        /// Its value.
        value: Option<Vec<u8>>,
    },
    /// A file or directory is to be safe (`data`: only the bytes of it).
    Sync {
        /// Which.
        ino: Ino,
        /// As by `fdatasync`.
        data: bool,
    },
    /// All is to be safe.
    SyncAll,
}

impl Op {
    /// The objects that it changes, or whose changes it makes safe: directories and files.
    #[must_use]
    pub fn about(&self) -> Vec<Ino> {
        match self {
            Op::Write { ino, .. }
            | Op::Resize { ino, .. }
            | Op::Set { ino, .. }
            | Op::Extra { ino, .. }
            | Op::Sync { ino, .. } => vec![*ino],
            op => op.places().iter().map(|place| place.0).collect(),
        }
    }

    /// The names that it changes.
    #[must_use]
    pub fn places(&self) -> Vec<&Place> {
        match self {
            Op::Make { place, .. } | Op::Link { place, .. } | Op::Remove { place } => vec![place],
            Op::Rename { from, to } => vec![from, to],
            Op::Exchange { a, b } => vec![a, b],
            _ => Vec::new(),
        }
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |place: &Place| format!("{}/{}", place.0, place.1.display());
        match self {
            Op::Make { place, ino, node } => {
                let kind = match node.body {
                    Body::Dir(_) => "directory",
                    Body::File(_) => "file",
                    Body::Link(_) => "link",
                    Body::Socket => "socket",
                };
                write!(f, "make {kind} {} as {ino}", at(place))
            }
            Op::Link { place, ino } => write!(f, "link {} to {ino}", at(place)),
            Op::Remove { place } => write!(f, "remove {}", at(place)),
            Op::Rename { from, to } => write!(f, "rename {} to {}", at(from), at(to)),
            Op::Exchange { a, b } => write!(f, "exchange {} and {}", at(a), at(b)),
            Op::Write { ino, offset, bytes } => write!(f, "write {ino} at {offset}, {} bytes", bytes.len()),
            Op::Resize { ino, size } => write!(f, "resize {ino} to {size}"),
            Op::Set { ino, attributes } => write!(f, "set {ino}: {attributes:?}"),
            Op::Extra { ino, name, .. } => write!(f, "attribute {} of {ino}", name.display()),
            Op::Sync { ino, data: true } => write!(f, "sync bytes of {ino}"),
            Op::Sync { ino, .. } => write!(f, "sync {ino}"),
            Op::SyncAll => write!(f, "sync all"),
        }
    }
}

/// What was asked, and when.
#[derive(Clone, Debug)]
pub struct Step {
    /// What.
    pub op: Op,
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: BTreeMap<Ino, Arc<Node>>,
    next: Ino,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::new()
    }
}

impl Disk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Disk {
        let root = Node::new(Body::Dir(BTreeMap::new()), 0o755, (0, 0), 0);
        Disk {
            nodes: BTreeMap::from([(ROOT, Arc::new(root))]),
            next: ROOT + 1,
        }
    }

    /// A number that no object has, or had.
    pub fn fresh(&mut self) -> Ino {
        self.next += 1;
        self.next - 1
    }

    /// An object.
    #[must_use]
    pub fn node(&self, ino: Ino) -> Option<&Node> {
        self.nodes.get(&ino).map(Arc::as_ref)
    }

    fn change(&mut self, ino: Ino) -> Option<&mut Node> {
        self.nodes.get_mut(&ino).map(Arc::make_mut)
    }

    /// What has a name.
    #[must_use]
    pub fn at(&self, dir: Ino, name: &OsStr) -> Option<Ino> {
        match &self.node(dir)?.body {
            Body::Dir(names) => names.get(name).copied(),
            _ => None,
        }
    }

    /// What is at a path.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<Ino> {
        path.iter().try_fold(ROOT, |dir, name| self.at(dir, name))
    }

    /// All that is below a path, with their paths from there.
    #[must_use]
    pub fn below(&self, path: &Path) -> BTreeMap<PathBuf, &Node> {
        let mut all = BTreeMap::new();
        let mut todo: Vec<(PathBuf, Ino)> = self.find(path).map(|ino| (PathBuf::new(), ino)).into_iter().collect();
        while let Some((path, ino)) = todo.pop() {
            let Some(node) = self.node(ino) else { continue };
            if let Body::Dir(names) = &node.body {
                todo.extend(names.iter().map(|(name, ino)| (path.join(name), *ino)));
            }
            if !path.as_os_str().is_empty() {
                all.insert(path, node);
            }
        }
        all
    }

    /// The numbers of all that is at a path and below.
    #[must_use]
    pub fn numbers(&self, path: &Path) -> BTreeSet<Ino> {
        self.find(path).map(|ino| self.reached(ino)).unwrap_or_default()
    }

    fn reached(&self, from: Ino) -> BTreeSet<Ino> {
        let mut reached = BTreeSet::new();
        let mut todo = vec![from];
        while let Some(ino) = todo.pop() {
            if let (true, Some(Body::Dir(names))) = (reached.insert(ino), self.node(ino).map(|n| &n.body)) {
                todo.extend(names.values());
            }
        }
        reached
    }

    /// Forgets what cannot be reached, as a disk does when it is mounted.
    pub fn tidy(&mut self) {
        let reached = self.reached(ROOT);
        self.nodes.retain(|ino, _| reached.contains(ino));
    }

    /// Equal for disks that nobody can tell apart.
    #[must_use]
    pub fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for ino in self.reached(ROOT) {
            (ino, self.node(ino)).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether a directory lies in another, or is it.
    fn is_within(&self, dir: Ino, above: Ino) -> bool {
        dir == above
            || matches!(self.node(above).map(|n| &n.body), Some(Body::Dir(names)) if names.values().any(|ino| self.is_within(dir, *ino)))
    }

    fn give_name(&mut self, place: &Place, ino: Ino, at_ns: i64) {
        if let Some(Node {
            body: Body::Dir(names),
            mtime_ns,
            ctime_ns,
            ..
        }) = self.change(place.0)
        {
            names.insert(place.1.clone(), ino);
            (*mtime_ns, *ctime_ns) = (at_ns, at_ns);
        }
        if let Some(node) = self.change(ino) {
            node.links += 1;
            node.ctime_ns = at_ns;
        }
    }

    fn take_name(&mut self, place: &Place, at_ns: i64) -> Option<Ino> {
        let taken = match self.change(place.0)? {
            Node {
                body: Body::Dir(names),
                mtime_ns,
                ctime_ns,
                ..
            } => {
                let taken = names.remove(&place.1)?;
                (*mtime_ns, *ctime_ns) = (at_ns, at_ns);
                taken
            }
            _ => return None,
        };
        if let Some(node) = self.change(taken) {
            node.links = node.links.saturating_sub(1);
            node.ctime_ns = at_ns;
        }
        Some(taken)
    }

    fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.node(ino).map(|n| &n.body), Some(Body::Dir(_)))
    }

    /// Makes a change. What cannot be, because something before it did not happen, is left out.
    pub fn apply(&mut self, op: &Op, at_ns: i64) {
        match op {
            Op::Make { place, ino, node } => {
                self.next = self.next.max(ino + 1);
                if self.is_dir(place.0) && self.at(place.0, &place.1).is_none() {
                    self.nodes.insert(*ino, node.clone());
                    self.give_name(place, *ino, at_ns);
                }
            }
            Op::Link { place, ino } => {
                if self.is_dir(place.0) && self.at(place.0, &place.1).is_none() && self.nodes.contains_key(ino) {
                    self.give_name(place, *ino, at_ns);
                }
            }
            Op::Remove { place } => {
                self.take_name(place, at_ns);
            }
            Op::Rename { from, to } => {
                let Some(ino) = self.at(from.0, &from.1) else { return };
                if !self.is_dir(to.0) || self.is_within(to.0, ino) || from == to {
                    return;
                }
                self.take_name(to, at_ns);
                self.take_name(from, at_ns);
                self.give_name(to, ino, at_ns);
            }
            Op::Exchange { a, b } => {
                let (Some(x), Some(y)) = (self.at(a.0, &a.1), self.at(b.0, &b.1)) else {
                    return;
                };
                if self.is_within(b.0, x) || self.is_within(a.0, y) {
                    return;
                }
                self.take_name(a, at_ns);
                self.take_name(b, at_ns);
                self.give_name(a, y, at_ns);
                self.give_name(b, x, at_ns);
            }
            Op::Write { ino, offset, bytes } => self.write(*ino, *offset, bytes, at_ns),
            Op::Resize { ino, size } => self.resize(*ino, *size, at_ns),
            Op::Set { ino, attributes } => {
                if let Some(node) = self.change(*ino) {
                    node.mode = attributes.mode.unwrap_or(node.mode);
                    node.uid = attributes.uid.unwrap_or(node.uid);
                    node.gid = attributes.gid.unwrap_or(node.gid);
                    node.mtime_ns = attributes.mtime_ns.unwrap_or(node.mtime_ns);
                    node.ctime_ns = at_ns;
                }
            }
            Op::Extra { ino, name, value } => {
                if let Some(node) = self.change(*ino) {
                    match value {
                        Some(value) => node.extras.insert(name.clone(), value.clone()),
                        None => node.extras.remove(name),
                    };
                    node.ctime_ns = at_ns;
                }
            }
            Op::Sync { .. } | Op::SyncAll => {}
        }
    }

    /// Writes bytes of a file; what lies between its end and them is zeros.
    pub fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8], at_ns: i64) {
        self.with_bytes(ino, at_ns, |file| {
            let start = usize::try_from(offset).unwrap();
            if file.len() < start + bytes.len() {
                file.resize(start + bytes.len(), 0);
            }
            file[start..start + bytes.len()].copy_from_slice(bytes);
        });
    }

    /// Sets the length of a file.
    pub fn resize(&mut self, ino: Ino, size: u64, at_ns: i64) {
        self.with_bytes(ino, at_ns, |file| file.resize(usize::try_from(size).unwrap(), 0));
    }

    fn with_bytes(&mut self, ino: Ino, at_ns: i64, work: impl FnOnce(&mut Vec<u8>)) {
        if let Some(node) = self.change(ino)
            && let Body::File(bytes) = &mut node.body
        {
            work(Arc::make_mut(bytes));
            (node.mtime_ns, node.ctime_ns) = (at_ns, at_ns);
        }
    }
}

impl Node {
    /// One that has no name yet.
    #[must_use]
    pub fn new(body: Body, mode: u32, owner: (u32, u32), at_ns: i64) -> Node {
        Node {
            body,
            mode: mode & 0o7777,
            uid: owner.0,
            gid: owner.1,
            mtime_ns: at_ns,
            ctime_ns: at_ns,
            links: 0,
            extras: BTreeMap::new(),
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.body {
            Body::Dir(_) => 4096,
            Body::File(bytes) => bytes.len() as u64,
            Body::Link(to) => to.as_os_str().len() as u64,
            Body::Socket => 0,
        }
    }
}
