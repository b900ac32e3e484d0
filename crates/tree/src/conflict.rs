//! What a person may want to decide, and the deciding. A conflict is a value: it is listed from the nodes, the same on every
//! replica, and a pick is a write over all heads known.

use crate::entries::{Entry, Policy, View};
use crate::id::{ContentId, Dot, NodeId};
use crate::node::{Base, Content, Gone, Head, Heads, Kind, Node, Place, Register, Value};
use crate::nodes::{Adrift, Ix};
use crate::records::{RecordId, Seen};
use crate::replica::Replica;
use crate::view::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Kinds of conflicts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// One file, several contents.
    Content,
    /// Renamed to several places; the newest is shown.
    Renamed,
    /// Deleted by one, edited by another; the edit lives.
    Deleted,
    /// It lost its name to another, and has a marked one.
    Name,
    /// Directories moved into each other; the one moved last stands in the root.
    Cycle,
    /// Its directory is not known here.
    Orphan,
}

/// One side of a conflict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// Who wrote it, when.
    pub dot: Dot,
    /// The content; of a renaming, the one shown.
    pub content: Content,
    /// Of a renaming, the directory and name chosen.
    pub place: Option<(NodeId, Arc<str>)>,
}

/// Something that a person may want to decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// What kind.
    pub kind: ConflictKind,
    /// Where it is shown (on this disk), components joined by '/'.
    pub path: String,
    /// What it is.
    pub node_kind: Kind,
    /// The nodes that it is about, by rising id.
    pub nodes: Vec<NodeId>,
    /// The sides, in the order of their dots; the content that this disk shows may be any of them.
    pub sides: Vec<Side>,
    /// What the sides replaced, where they agree on that.
    pub base: Option<Base>,
}

/// A person's decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// These bytes, which must be at hand.
    Content(ContentId),
    /// The place that this dot wrote.
    Place(Dot),
    /// Of several that want one name: what this dot placed has it, the others have their marked names for good.
    Name(Dot),
    /// Of an edit of something deleted: keep it. Of what stands in the root for want of a directory: it stays there.
    Keep,
    /// Of an edit of something deleted: delete it.
    Delete,
}

/// Why a pick cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PickError {
    /// The node is not known, or not live.
    #[error("there is no such file any more")]
    Gone,
    /// The side is none of those there are now.
    #[error("that side is no more: list the conflicts again")]
    NoSuchSide,
}

/// What a disk shows of a node whose bytes someone lacks.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Shown {
    /// Which node.
    pub node: NodeId,
    /// Those of the bytes it may have that the disk shows, here or anywhere else; as an answer to who lacks them, also those that lie in
    /// its history.
    pub contents: Vec<ContentId>,
    /// The disk shows the node, with whatever bytes; but not where these are another node's, which it is shown together with.
    pub is_there: bool,
}

/// Whether a node may be part of a conflict; cheap, and never wrong in saying no.
pub(crate) fn suspicious(replica: &Replica, ix: Ix) -> bool {
    let nodes = &replica.nodes;
    if !nodes.live(ix) {
        return false;
    }
    let node = nodes.node(ix);
    node.contents.len() > 1 || node.places.len() > 1 || !node.gones.is_empty() || nodes.adrift(ix).is_some() || !nodes.alone(ix)
}

/// All conflicts.
pub(crate) fn list(replica: &Replica) -> Vec<Conflict> {
    let nothing = |_: &ContentId| false;
    let view = View::new(&replica.nodes, &replica.records, replica.policy, &nothing);
    let mut entries: BTreeSet<Ix> = BTreeSet::new();
    let mut found = Vec::new();
    for ix in replica.suspects.iter() {
        let Some(entry) = view.entry(ix) else { continue };
        let path = view.path(&entry);
        let node = replica.nodes.node(ix);
        if entries.insert(entry.members[0]) {
            let ids = entry.members.iter().map(|m| replica.nodes.id(*m)).collect::<Vec<_>>();
            let mut report = |kind, sides, base| {
                found.push(Conflict {
                    kind,
                    path: path.clone(),
                    node_kind: entry.kind,
                    nodes: ids.clone(),
                    sides,
                    base,
                });
            };
            match entry.adrift {
                Some(Adrift::Orphan) => report(ConflictKind::Orphan, Vec::new(), None),
                Some(Adrift::Loop) => report(ConflictKind::Cycle, Vec::new(), None),
                None if entry.lost_name => report(ConflictKind::Name, name_sides(&view, &entry), None),
                None => {}
            }
            if entry.kind != Kind::Dir && replica.policy == Policy::Ask {
                let sides = content_sides(&view, &entry.members);
                if sides.len() > 1 {
                    let base = common_base(&sides);
                    report(ConflictKind::Content, sides, base);
                }
            }
        }
        let one = |kind, sides, base| Conflict {
            kind,
            path: path.clone(),
            node_kind: node.kind,
            nodes: vec![node.id],
            sides,
            base,
        };
        let places = renamed(&view, node);
        if places.len() > 1 {
            found.push(one(ConflictKind::Renamed, places, None));
        }
        if node.kind != Kind::Dir && !node.gones.is_empty() {
            let doomed = replica.nodes.doomed(node);
            let is_doomed = |register, dot| doomed.contains(&Head { register, dot });
            let place_doomed = !doomed.is_empty() && node.places.iter().all(|(d, _)| is_doomed(Register::Place, *d));
            let edits: Vec<Side> = node
                .contents
                .iter()
                .filter(|(d, _)| !is_doomed(Register::Content, *d))
                .map(|(dot, c)| Side {
                    dot: *dot,
                    content: c.clone(),
                    place: None,
                })
                .collect();
            if place_doomed && !edits.is_empty() {
                let base = common_base(&edits);
                found.push(one(ConflictKind::Deleted, edits, base));
            }
        }
    }
    found.sort_by(|a, b| (&a.path, a.kind, &a.nodes).cmp(&(&b.path, b.kind, &b.nodes)));
    found
}

/// The open sides of an entry, one for each content, with the newest dot of each.
fn content_sides(view: &View, members: &[Ix]) -> Vec<Side> {
    let mut sides: BTreeMap<ContentId, Side> = BTreeMap::new();
    for m in members {
        let node = view.nodes.node(*m);
        for (dot, content) in view.nodes.candidates(node, &node.contents, Register::Content) {
            let side = Side {
                dot: *dot,
                content: content.clone(),
                place: None,
            };
            sides
                .entry(content.id())
                .and_modify(|s| {
                    if s.dot < *dot {
                        *s = side.clone()
                    }
                })
                .or_insert(side);
        }
    }
    let mut sides: Vec<Side> = sides.into_values().collect();
    sides.sort_by_key(|s| s.dot);
    sides
}

/// Those that want one name: who has it, then the one that lost it, each with the place where it is shown.
fn name_sides(view: &View, lost: &Entry) -> Vec<Side> {
    let side = |entry: &Entry| {
        let placed = |ix: &Ix| view.nodes.place(*ix).clone();
        let (dot, place) = entry.members.iter().map(placed).max_by_key(|(dot, _)| *dot)?;
        // (The newest: which of several a disk shows is its own affair.)
        let contents = entry.members.iter().flat_map(|ix| &view.nodes.node(*ix).contents);
        let content = contents.max_by_key(|(dot, _)| *dot).map_or(Content::Dir, |(_, c)| c.clone());
        Some(Side {
            dot,
            content,
            place: Some((place.parent, entry.name.clone())),
        })
    };
    let rivals = view.rivals(lost);
    let has = rivals.iter().find(|entry| !entry.lost_name);
    has.into_iter().chain([lost]).filter_map(side).collect()
}

/// What all sides replaced, if they agree.
fn common_base(sides: &[Side]) -> Option<Base> {
    let mut bases = sides.iter().map(|s| match &s.content {
        Content::File { base, .. } => base.as_deref(),
        _ => None,
    });
    let first = bases.next()??;
    bases.all(|b| b == Some(first)).then(|| first.clone())
}

/// The different places of a node that was renamed by several.
fn renamed(view: &View, node: &Node) -> Vec<Side> {
    if node.places.len() < 2 {
        return Vec::new();
    }
    let mut sides: Vec<Side> = Vec::new();
    let mut known: Vec<(Vec<NodeId>, Arc<str>)> = Vec::new();
    let content = node.contents.last().map_or(Content::Dir, |(_, c)| c.clone());
    for (dot, Place { parent, name }) in view.nodes.candidate_places(node).into_iter().rev() {
        let folder = match view.nodes.find(*parent).and_then(|p| view.entry(p)) {
            Some(entry) => entry.members.iter().map(|m| view.nodes.id(*m)).collect(),
            None => vec![*parent],
        };
        if !known.contains(&(folder.clone(), name.clone())) {
            known.push((folder, name.clone()));
            sides.push(Side {
                dot: *dot,
                content: content.clone(),
                place: Some((*parent, name.clone())),
            });
        }
    }
    sides.reverse();
    sides
}

impl Replica {
    /// Writes a person's decision on one conflict: over all heads known here, so that it is settled everywhere.
    ///
    /// # Errors
    /// If what was listed is no more; nothing was written.
    pub fn resolve(&mut self, nodes: &[NodeId], pick: Pick, wall_ms: u64) -> Result<Dot, PickError> {
        self.refresh();
        if let Pick::Name(dot) = pick {
            return self.name(nodes, dot, wall_ms);
        }
        let some: Vec<Ix> = nodes
            .iter()
            .filter_map(|id| self.nodes.find(*id))
            .filter(|ix| self.nodes.live(*ix))
            .collect();
        if some.is_empty() {
            return Err(PickError::Gone);
        }
        let mut values: Vec<(Ix, Value, Heads)> = Vec::new();
        let wanted = match pick {
            Pick::Content(id) => {
                let all = some.iter().flat_map(|ix| self.nodes.node(*ix).contents.iter());
                Some(
                    all.filter(|(_, c)| c.id() == id)
                        .max_by_key(|(d, _)| *d)
                        .map(|(_, c)| c.clone())
                        .ok_or(PickError::NoSuchSide)?,
                )
            }
            _ => None,
        };
        for ix in some {
            let node = self.nodes.node(ix);
            let of = |register| node.heads().filter(move |h| h.register == register);
            let of_place = || -> Heads {
                let settled = self.nodes.settled(ix, Register::Place);
                of(Register::Place).chain(settled).collect()
            };
            let all_contents: Heads = of(Register::Content)
                .chain(self.nodes.settled(ix, Register::Content))
                .collect();
            let value = match (pick, &wanted) {
                (Pick::Place(dot), _) => {
                    let place = node
                        .places
                        .iter()
                        .find(|(d, _)| *d == dot)
                        .map(|(_, p)| p.clone())
                        .ok_or(PickError::NoSuchSide)?;
                    (ix, Value::Place(place), of_place())
                }
                (Pick::Keep, _) if self.nodes.adrift(ix).is_some() => {
                    let nothing = |_: &ContentId| false;
                    let view = View::new(&self.nodes, &self.records, self.policy, &nothing);
                    let name = view.entry(ix).ok_or(PickError::Gone)?.name.clone();
                    let parent = NodeId::ROOT;
                    (ix, Value::Place(Place { parent, name }), of_place())
                }
                (Pick::Delete, _) => {
                    let (seen, settled) = self
                        .nodes
                        .seen_off(ix, of(Register::Place).chain(of(Register::Content)).collect());
                    let over = of(Register::Gone).chain(settled).collect();
                    (ix, Value::Gone(Gone { seen, under: None }), over)
                }
                (_, Some(content)) => (ix, Value::Content(content.clone()), all_contents),
                (_, None) => {
                    let nothing = |_: &ContentId| false;
                    let view = View::new(&self.nodes, &self.records, self.policy, &nothing);
                    let entry = view.entry(ix).ok_or(PickError::Gone)?;
                    (ix, Value::Content(view.shown(&entry).content), all_contents)
                }
            };
            values.push(value);
        }
        let dot = self.tick(wall_ms);
        for (ix, value, over) in values {
            let mut node = self.nodes.node(ix).as_ref().clone();
            let doomed = self.nodes.doomed(&node);
            node.write(dot, value, &over, &doomed);
            self.replace(ix, Arc::new(node));
        }
        self.refresh();
        Ok(dot)
    }

    /// Gives a name to the one of several that `dot` placed; the others are named as they are marked.
    fn name(&mut self, nodes: &[NodeId], dot: Dot, wall_ms: u64) -> Result<Dot, PickError> {
        let mut renamed: Vec<(Ix, Place)> = Vec::new();
        {
            let nothing = |_: &ContentId| false;
            let view = View::new(&self.nodes, &self.records, self.policy, &nothing);
            let lost = nodes.iter().find_map(|id| view.entry(self.nodes.find(*id)?));
            let lost = lost.ok_or(PickError::Gone)?;
            let rivals = view.rivals(&lost);
            let placed = |entry: &Entry| entry.members.iter().any(|ix| self.nodes.place(*ix).0 == dot);
            let keeps = rivals.iter().position(placed).ok_or(PickError::NoSuchSide)?;
            let others = rivals
                .iter()
                .enumerate()
                .filter(|(i, entry)| *i != keeps && entry.adrift.is_none());
            for (i, entry) in others {
                let name = if entry.lost_name {
                    entry.name.clone()
                } else {
                    view.marked_name(&rivals, i)
                };
                renamed.extend(entry.members.iter().map(|ix| {
                    let parent = self.nodes.place(*ix).1.parent;
                    (
                        *ix,
                        Place {
                            parent,
                            name: name.clone(),
                        },
                    )
                }));
            }
        }
        let dot = self.tick(wall_ms);
        for (ix, place) in renamed {
            let mut node = self.nodes.node(ix).as_ref().clone();
            let places = node.heads().filter(|h| h.register == Register::Place);
            let over: Heads = places.chain(self.nodes.settled(ix, Register::Place)).collect();
            let doomed = self.nodes.doomed(&node);
            node.write(dot, Value::Place(place), &over, &doomed);
            self.replace(ix, Arc::new(node));
        }
        self.refresh();
        Ok(dot)
    }

    /// The bytes that a live file or link may have.
    #[must_use]
    pub fn sides_of(&self, node: NodeId) -> Vec<(Dot, ContentId)> {
        let live = self.nodes.find(node).filter(|ix| self.nodes.live(*ix));
        let file = live.map(|ix| self.nodes.node(ix)).filter(|node| node.kind != Kind::Dir);
        let sides = file.into_iter().flat_map(|node| &node.contents);
        sides.map(|(dot, content)| (*dot, content.id())).collect()
    }

    /// All bytes that are known to it: what nodes may have, and what its disk showed when it was looked at last.
    #[must_use]
    pub fn contents(&self) -> HashSet<ContentId> {
        let nodes = self.nodes.all().flat_map(|ix| &self.nodes.node(ix).contents);
        let records = self.records.all().map(|(_, record)| record.bytes.id());
        nodes.map(|(_, content)| content.id()).chain(records).collect()
    }

    /// What this disk shows of some nodes. Looks at all records.
    #[must_use]
    pub fn shown_of(&self, nodes: &[NodeId]) -> Vec<Shown> {
        let found: Vec<Option<Ix>> = nodes.iter().map(|id| self.nodes.find(*id)).collect();
        let may_be = |ix: &Ix| self.nodes.node(*ix).contents.iter().map(|(_, c)| c.id());
        let wanted: BTreeSet<ContentId> = found.iter().flatten().flat_map(may_be).collect();
        let records = self.records.all().map(|(_, record)| record.bytes.id());
        let here: BTreeSet<ContentId> = records.filter(|id| wanted.contains(id)).collect();
        let shown = |(node, ix): (&NodeId, &Option<Ix>)| Shown {
            node: *node,
            contents: ix.iter().flat_map(may_be).filter(|id| here.contains(id)).collect(),
            is_there: ix.is_some_and(|ix| self.shows_alone(ix)),
        };
        nodes.iter().zip(&found).map(shown).collect()
    }

    /// Whether a record shows a node, and not the bytes of another one.
    fn shows_alone(&self, ix: Ix) -> bool {
        let Some(record) = self.nodes.record(ix).and_then(|id| self.records.get(RecordId(id))) else {
            return false;
        };
        let bytes = record.bytes.id();
        let others = record.members.iter().map(|(m, _)| *m).filter(|m| *m != ix);
        let mut theirs = others.flat_map(|m| &self.nodes.node(m).contents);
        !theirs.any(|(_, content)| content.id() == bytes)
    }

    /// Of a node some of whose sides are nowhere: writes that it has the newest of the others. Says whether there is one.
    pub fn let_go(&mut self, node: NodeId, lost: &[Dot], wall_ms: u64) -> bool {
        self.refresh();
        let Some(ix) = self.nodes.find(node).filter(|ix| self.nodes.live(*ix)) else {
            return false;
        };
        let mut node = self.nodes.node(ix).as_ref().clone();
        let left = node
            .contents
            .iter()
            .filter(|(dot, _)| !lost.contains(dot))
            .max_by_key(|(dot, _)| *dot);
        let Some((newest, content)) = left.cloned() else {
            return false;
        };
        let head = |dot: &Dot| Head {
            register: Register::Content,
            dot: *dot,
        };
        let over: Heads = lost.iter().chain([&newest]).map(head).collect();
        let dot = self.tick(wall_ms);
        node.write(dot, Value::Content(content), &over, &[]);
        self.replace(ix, Arc::new(node));
        self.refresh();
        true
    }

    /// Of a node whose bytes are nowhere: writes that it has those which this disk shows. Says whether this disk shows any.
    pub fn make_do(&mut self, node: NodeId, wall_ms: u64) -> bool {
        self.refresh();
        let Some(ix) = self.nodes.find(node).filter(|ix| self.nodes.live(*ix)) else {
            return false;
        };
        let Some(recorded) = self.recorded(node) else { return false };
        let content = match recorded.bytes {
            Bytes::File(id) => Content::File {
                id,
                size: recorded.print.size,
                mtime_ns: recorded.print.mtime_ns,
                base: None,
            },
            Bytes::Link(target) => Content::Link { target },
            Bytes::Dir => return false,
        };
        let mut node = self.nodes.node(ix).as_ref().clone();
        let heads = node.heads().filter(|h| h.register == Register::Content);
        let over: Heads = heads.chain(self.nodes.settled(ix, Register::Content)).collect();
        let dot = self.tick(wall_ms);
        let doomed = self.nodes.doomed(&node);
        let anew = node.write(dot, Value::Content(content), &over, &doomed);
        self.replace(ix, Arc::new(node));
        // The disk shows just what was written.
        if let Some(record) = self.nodes.record(ix).map(RecordId)
            && let Some(Seen::Just(seen)) = self.records.get(record).and_then(|r| r.seen(ix))
        {
            let head = Head {
                register: Register::Content,
                dot,
            };
            let renewed = |h: &Head| if anew.contains(h) { Head { dot, ..*h } } else { *h };
            let mut seen: Vec<Head> = seen.iter().filter(|h| !over.contains(h)).map(renewed).chain([head]).collect();
            seen.sort_unstable();
            let all = self.nodes.node(ix).heads().all(|h| seen.contains(&h));
            if let Some(record) = self.records.get_mut(record) {
                record.set_seen(ix, if all { Seen::Everything } else { Seen::Just(seen.into()) });
            }
        }
        self.refresh();
        true
    }

    /// Makes a new file beside one, under a marked name, with the bytes of one of its sides: what a person asks for who wants
    /// to keep both. Returns the new name.
    ///
    /// # Errors
    /// If what was listed is no more; nothing was written.
    pub fn keep_beside(&mut self, node: NodeId, side: ContentId, wall_ms: u64) -> Result<Arc<str>, PickError> {
        self.refresh();
        let ix = self
            .nodes
            .find(node)
            .filter(|ix| self.nodes.live(*ix))
            .ok_or(PickError::Gone)?;
        let old = self.nodes.node(ix).clone();
        let (_, content) = old
            .contents
            .iter()
            .rev()
            .find(|(_, c)| c.id() == side)
            .ok_or(PickError::NoSuchSide)?;
        let (_, place) = self.nodes.place(ix).clone();
        let dot = self.tick(wall_ms);
        let id = NodeId { dot, index: 0 };
        let name: Arc<str> = crate::suffix::marked(&place.name, id, crate::suffix::SHORTEST).into();
        let mut new = Node::unwritten(id, old.kind, 0);
        new.write(
            dot,
            Value::Place(Place {
                parent: place.parent,
                name: name.clone(),
            }),
            &[],
            &[],
        );
        new.write(dot, Value::Content(content.clone()), &[], &[]);
        if old.executable() {
            new.write(dot, Value::Mode(true), &[], &[]);
        }
        self.add_own(new);
        self.refresh();
        Ok(name)
    }
}
