//! A node: what is replicated of one file, directory or link. See `docs/ARCHITECTURE.md`, "the tree".

use crate::faults::{Fault, on};
use crate::id::{ContentId, Dot, NodeId, ReplicaId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// What a node is, for ever: a change of type is a deletion and a birth. The order is that of precedence for a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// The registers of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Register {
    /// Where it is.
    Place,
    /// What is in it.
    Content,
    /// The executable bit.
    Mode,
    /// That it was deleted.
    Gone,
}

/// The name of a value that nothing has replaced yet: its register and the dot that wrote it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Which register.
    pub register: Register,
    /// Who wrote it, when.
    pub dot: Dot,
}

/// Some heads.
pub type Heads = SmallVec<[Head; 3]>;

/// Where a node is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The directory that it is in.
    pub parent: NodeId,
    /// Its name there: UTF-8, without '/', not empty, not "." or "..", at most [`MAX_NAME`] bytes.
    pub name: Arc<str>,
}

/// The bytes that a content took the place of when its writer and all others last agreed: what a conflict is compared with.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Base {
    /// Which bytes.
    pub id: ContentId,
    /// Their number, in bytes.
    pub size: u64,
}

/// What is in a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Content {
    /// A directory: says only that it exists.
    Dir,
    /// A file's bytes.
    File {
        /// Which bytes.
        id: ContentId,
        /// Their number, in bytes.
        size: u64,
        /// When they were last changed, in nanoseconds since 1970; decides nothing.
        mtime_ns: i64,
        /// What they replaced, where that is known.
        base: Option<Box<Base>>,
    },
    /// A link's target, as the link has it.
    Link {
        /// The target.
        target: Arc<str>,
    },
}

impl Content {
    /// What makes two contents the same bytes. Of a directory, zero.
    #[must_use]
    pub fn id(&self) -> ContentId {
        match self {
            Content::Dir => ContentId::default(),
            Content::File { id, .. } => *id,
            Content::Link { target } => ContentId::of_link(target),
        }
    }

    /// Bytes of a file; of anything else 0.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Content::File { size, .. } => *size,
            _ => 0,
        }
    }
}

/// A deletion.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Gone {
    /// The place and content heads that the deleter's disk showed, in order.
    pub seen: Heads,
    /// The parent, where the node was deleted together with its parent.
    pub under: Option<NodeId>,
}

/// A value with the dot that wrote it.
pub type Written<T> = (Dot, T);

/// A node. Values are kept in the order of their dots.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name, for ever.
    pub id: NodeId,
    /// What it is, for ever.
    pub kind: Kind,
    /// A hash of the path of its birth (of files and links; 0 for directories).
    pub born: u64,
    /// For each replica the time of its latest dot that is known here, for this node; in order of replicas.
    pub context: SmallVec<[(ReplicaId, u64); 1]>,
    /// Where it is.
    pub places: SmallVec<[Written<Place>; 1]>,
    /// What is in it.
    pub contents: SmallVec<[Written<Content>; 1]>,
    /// The executable bit.
    pub modes: Vec<Written<bool>>,
    /// Its deletions.
    pub gones: Vec<Written<Gone>>,
}

/// The longest name that a node may have, in bytes: 255 UTF-16 units are at most 765 bytes of UTF-8.
pub const MAX_NAME: usize = 1020;
/// The most heads that one register of a received node may have.
pub const MAX_HEADS: usize = 128;
/// The most replicas that may have written one received node.
pub const MAX_WRITERS: usize = 4096;
/// The longest target that a received link may have, in bytes.
pub const MAX_TARGET: usize = 4096;

/// Why a received node is refused before it is merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// A name that is no single path component.
    #[error("a name that is empty, too long, or no single path component")]
    Name,
    /// No place or no content was ever written, or a value is of another kind than the node.
    #[error("a node without place or content, or with a value of another kind")]
    Shape,
    /// Values out of order, twice, or not in the context.
    #[error("values that are out of order or beyond what the node says it has seen")]
    Order,
    /// More values than [`MAX_HEADS`], or a target beyond [`MAX_TARGET`].
    #[error("more values than a node may have")]
    Size,
    /// A time too far ahead of this replica's clock.
    #[error("a time too far in the future")]
    Future,
    /// A dot under this replica's own name that it never wrote.
    #[error("a write in this replica's own name that it never made")]
    Forged,
}

/// Whether `name` may be a path component in the tree.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Whether a name is the engine's own, on some disk: nothing of a folder has it, so that no peer can reach into what the engine keeps.
#[must_use]
pub fn is_own_name(name: &str) -> bool {
    name.eq_ignore_ascii_case(".bifold")
}

impl Node {
    /// A node that nobody has written to yet.
    #[must_use]
    pub fn unwritten(id: NodeId, kind: Kind, born: u64) -> Node {
        Node {
            id,
            kind,
            born,
            context: SmallVec::new(),
            places: SmallVec::new(),
            contents: SmallVec::new(),
            modes: Vec::new(),
            gones: Vec::new(),
        }
    }

    /// The time of the latest dot of `replica` that is known here for this node; 0 if there is none.
    #[must_use]
    pub fn known(&self, replica: ReplicaId) -> u64 {
        self.context.iter().find(|(r, _)| *r == replica).map_or(0, |(_, time)| *time)
    }

    /// Whether the write `dot` is in what this node has seen.
    #[must_use]
    pub fn covers(&self, dot: Dot) -> bool {
        self.known(dot.replica) >= dot.time
    }

    /// All heads, in order.
    pub fn heads(&self) -> impl Iterator<Item = Head> + '_ {
        let of = |register| move |dot| Head { register, dot };
        (self.places.iter().map(|(d, _)| *d).map(of(Register::Place)))
            .chain(self.contents.iter().map(|(d, _)| *d).map(of(Register::Content)))
            .chain(self.modes.iter().map(|(d, _)| *d).map(of(Register::Mode)))
            .chain(self.gones.iter().map(|(d, _)| *d).map(of(Register::Gone)))
    }

    /// Whether `head` is a value that nothing has replaced yet.
    #[must_use]
    pub fn has(&self, head: Head) -> bool {
        self.heads().any(|h| h == head)
    }

    /// The deletion that `dot` wrote.
    #[must_use]
    pub fn gone(&self, dot: Dot) -> Option<&Gone> {
        self.gones.iter().find(|(d, _)| *d == dot).map(|(_, g)| g)
    }

    /// The newest executable bit; false if none was ever written.
    #[must_use]
    pub fn executable(&self) -> bool {
        self.modes.last().is_some_and(|(_, exec)| *exec)
    }

    /// Notes the dot in the context.
    fn note(&mut self, dot: Dot) {
        match self.context.binary_search_by_key(&dot.replica, |(r, _)| *r) {
            Ok(i) => self.context[i].1 = self.context[i].1.max(dot.time),
            Err(i) => self.context.insert(i, (dot.replica, dot.time)),
        }
    }

    /// Writes a value in place of the heads `over`: those that the writer had seen, and no others. Where these are of another
    /// register as well, the newest place or content that stays there is written anew: what is dropped always has a successor in its
    /// register, so that two replicas that drop each what the other keeps are not left with nothing. That is the newest of those that
    /// no deletion has seen, as long as there are any: the others are `doomed`, and do not come back by it. Returns what was written
    /// anew.
    pub fn write(&mut self, dot: Dot, value: Value, over: &[Head], doomed: &[Head]) -> Heads {
        let written = value.register();
        let all = (on(Fault::EditsReplaceAll) && written == Register::Content)
            || (on(Fault::MovesReplaceAll) && written == Register::Place);
        let all = all.then_some(written);
        let kept = |register| move |d: Dot| Some(register) != all && !over.contains(&Head { register, dot: d });
        let other = |register| register != written && !on(Fault::SettlesForGood);
        let lost_places = retain(&mut self.places, kept(Register::Place)) && other(Register::Place);
        let lost_contents = retain(&mut self.contents, kept(Register::Content)) && other(Register::Content);
        retain(&mut self.modes, kept(Register::Mode));
        retain(&mut self.gones, kept(Register::Gone));
        let mut anew = Heads::new();
        let mut renewed = |register, old: Option<Dot>| anew.extend(old.map(|dot| Head { register, dot }));
        let open = |register| move |d: Dot| !doomed.contains(&Head { register, dot: d });
        if lost_places {
            renewed(Register::Place, renew(&mut self.places, open(Register::Place), dot));
        }
        if lost_contents {
            renewed(Register::Content, renew(&mut self.contents, open(Register::Content), dot));
        }
        match value {
            Value::Place(v) => insert(&mut self.places, dot, v),
            Value::Content(v) => insert(&mut self.contents, dot, v),
            Value::Mode(v) => insert(&mut self.modes, dot, v),
            Value::Gone(mut v) => {
                for head in v.seen.iter_mut().filter(|h| anew.contains(h)) {
                    head.dot = dot;
                }
                v.seen.sort();
                insert(&mut self.gones, dot, v);
            }
        }
        self.note(dot);
        anew
    }

    /// Merges what another replica has of this node: keeps a head that both have, or that one has and the other has
    /// never known. Commutative, associative, idempotent. Says whether anything changed here.
    ///
    /// Source: optimised observed-remove sets, Bieniusa et al., 2012; dotted version vectors, Preguiça et al., 2010.
    pub fn merge(&mut self, other: &Node) -> bool {
        if self == other {
            return false;
        }
        let before = self.clone();
        merge_register(&mut self.places, &other.places, &before, other);
        merge_register(&mut self.contents, &other.contents, &before, other);
        merge_register(&mut self.modes, &other.modes, &before, other);
        merge_register(&mut self.gones, &other.gones, &before, other);
        for (replica, time) in &other.context {
            if on(Fault::MergesForgetWriters) && !self.heads().any(|h| h.dot.replica == *replica) {
                continue;
            }
            self.note(Dot {
                replica: *replica,
                time: *time,
            });
        }
        *self != before
    }

    /// Whether the node can be what a peer says it is; nothing is merged that is not.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Malformed> {
        let sizes = [self.places.len(), self.contents.len(), self.modes.len(), self.gones.len()];
        if sizes.iter().any(|n| *n > MAX_HEADS) || self.context.len() > MAX_WRITERS {
            return Err(Malformed::Size);
        }
        if self.id == NodeId::ROOT || self.places.is_empty() || self.contents.is_empty() {
            return Err(Malformed::Shape);
        }
        if !self.places.iter().all(|(_, p)| is_name(&p.name) && !is_own_name(&p.name)) {
            return Err(Malformed::Name);
        }
        for (_, content) in &self.contents {
            let fits = match content {
                Content::Dir => self.kind == Kind::Dir,
                Content::File { .. } => self.kind == Kind::File,
                Content::Link { target } => {
                    if target.len() > MAX_TARGET {
                        return Err(Malformed::Size);
                    }
                    self.kind == Kind::Link && !target.contains('\0')
                }
            };
            if !fits {
                return Err(Malformed::Shape);
            }
        }
        let ordered = rising(self.places.iter().map(|(d, _)| *d))
            && rising(self.contents.iter().map(|(d, _)| *d))
            && rising(self.modes.iter().map(|(d, _)| *d))
            && rising(self.gones.iter().map(|(d, _)| *d))
            && rising(self.context.iter().map(|(r, _)| *r))
            && self
                .gones
                .iter()
                .all(|(_, g)| g.seen.len() <= MAX_HEADS && rising(g.seen.iter().copied()));
        if !ordered || !self.heads().all(|h| self.covers(h.dot)) || !self.covers(self.id.dot) {
            return Err(Malformed::Order);
        }
        Ok(())
    }
}

/// A value for one register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// For [`Register::Place`].
    Place(Place),
    /// For [`Register::Content`].
    Content(Content),
    /// For [`Register::Mode`].
    Mode(bool),
    /// For [`Register::Gone`].
    Gone(Gone),
}

impl Value {
    /// The register that it is for.
    #[must_use]
    pub fn register(&self) -> Register {
        match self {
            Value::Place(_) => Register::Place,
            Value::Content(_) => Register::Content,
            Value::Mode(_) => Register::Mode,
            Value::Gone(_) => Register::Gone,
        }
    }
}

/// Some values of one register, in the order of their dots: a vector or a small vector.
trait Values<T> {
    fn slice(&self) -> &[Written<T>];
    fn insert_at(&mut self, at: usize, value: Written<T>);
    fn keep(&mut self, keep: &mut dyn FnMut(Dot) -> bool);
}

impl<T> Values<T> for Vec<Written<T>> {
    fn slice(&self) -> &[Written<T>] {
        self
    }
    fn insert_at(&mut self, at: usize, value: Written<T>) {
        self.insert(at, value);
    }
    fn keep(&mut self, keep: &mut dyn FnMut(Dot) -> bool) {
        self.retain(|(d, _)| keep(*d));
    }
}

impl<T> Values<T> for SmallVec<[Written<T>; 1]> {
    fn slice(&self) -> &[Written<T>] {
        self
    }
    fn insert_at(&mut self, at: usize, value: Written<T>) {
        self.insert(at, value);
    }
    fn keep(&mut self, keep: &mut dyn FnMut(Dot) -> bool) {
        self.retain(|(d, _)| keep(*d));
    }
}

/// (One write of a scan is another's successor, where both are to one register.)
fn insert<T>(values: &mut impl Values<T>, dot: Dot, value: T) {
    values.keep(&mut |d| d != dot);
    let at = values.slice().partition_point(|(d, _)| *d < dot);
    values.insert_at(at, (dot, value));
}

/// Keeps some; says whether others were dropped.
fn retain<T>(values: &mut impl Values<T>, keep: impl Fn(Dot) -> bool) -> bool {
    let before = values.slice().len();
    values.keep(&mut |d| keep(d));
    values.slice().len() < before
}

/// Gives the newest value, of those that are open if there are any, another dot. Returns the one that it had.
fn renew<T: Clone>(values: &mut impl Values<T>, is_open: impl Fn(Dot) -> bool, dot: Dot) -> Option<Dot> {
    let all = values.slice();
    let newest = all.iter().rfind(|(d, _)| is_open(*d)).or(all.last());
    let (old, value) = newest.cloned()?;
    values.keep(&mut |d| d != old);
    insert(values, dot, value);
    Some(old)
}

fn merge_register<T: Clone>(mine: &mut impl Values<T>, theirs: &impl Values<T>, before: &Node, other: &Node) {
    let has = |values: &[Written<T>], dot: Dot| values.iter().any(|(d, _)| *d == dot);
    let ours: SmallVec<[Dot; 4]> = mine.slice().iter().map(|(d, _)| *d).collect();
    mine.keep(&mut |dot| has(theirs.slice(), dot) || !other.covers(dot));
    for (dot, value) in theirs.slice() {
        if !ours.contains(dot) && !before.covers(*dot) {
            insert(mine, *dot, value.clone());
        }
    }
}

fn rising<T: Ord>(mut items: impl Iterator<Item = T>) -> bool {
    let Some(mut last) = items.next() else { return true };
    for item in items {
        if item <= last {
            return false;
        }
        last = item;
    }
    true
}
