//! Looking at a replica from outside: what its disk should show, and what it shows as recorded.

use crate::entries::{Entry, View};
use crate::id::{ContentId, Dot, NodeId};
use crate::node::{Content, Kind, Node};
use crate::nodes::Ix;
use crate::records::RecordId;
use crate::replica::Replica;
use crate::vector::Vector;
use crate::view::{Bytes, FileKey, Fingerprint};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// An entry of the projection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Projected {
    /// Where it belongs.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// The nodes that it shows, by rising id.
    pub nodes: Vec<NodeId>,
    /// What this disk shows of its contents; of directories [`Content::Dir`].
    pub content: Content,
    /// All open sides.
    pub sides: Vec<ContentId>,
    /// The executable bit.
    pub exec: bool,
}

/// A record, as others may know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Which object.
    pub key: FileKey,
    /// What tells a change of its bytes.
    pub print: Fingerprint,
    /// Its bytes.
    pub bytes: Bytes,
    /// The executable bit.
    pub exec: bool,
    /// The nodes that it shows.
    pub nodes: Vec<NodeId>,
}

/// How much a disk is behind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Behind {
    /// Files, links and directories.
    pub entries: usize,
    /// Bytes of files.
    pub bytes: u64,
    /// Some of the nodes.
    pub some: Vec<NodeId>,
    /// Of this disk's own lack, the contents, with their sizes.
    pub contents: Vec<(ContentId, u64)>,
}

impl Replica {
    /// How much a disk is behind of which it is known that it showed everything up to `ack`; with up to `some` of the nodes.
    #[must_use]
    pub fn behind(&self, ack: &Vector, some: usize) -> Behind {
        let mut behind = Behind::default();
        if ack.includes(self.have()) {
            return behind;
        }
        for ix in self.nodes.all() {
            let node = self.nodes.node(ix);
            if node.context.iter().all(|(r, t)| *t <= ack.time(*r)) {
                continue;
            }
            behind.entries += 1;
            let new = |dot: &Dot| dot.time > ack.time(dot.replica);
            let written = node.contents.iter().filter(|(dot, _)| new(dot));
            if self.nodes.live(ix) {
                // (Sizes are what someone said.)
                let written = written.map(|(_, content)| content.size()).max().unwrap_or(0);
                behind.bytes = behind.bytes.saturating_add(written);
            }
            if behind.some.len() < some {
                behind.some.push(node.id);
            }
        }
        behind
    }

    /// The nodes with something that this replica wrote, and that no other one is known to have taken over.
    #[must_use]
    pub fn only_here(&self, most: usize) -> Vec<NodeId> {
        let own = |dot: Dot| dot.replica == self.id();
        let taken = |dot: Dot| self.acks().iter().any(|(r, ack)| *r != self.id() && ack.covers(dot));
        let is_alone = |node: &Node| {
            let places = node.places.iter().map(|(dot, _)| *dot);
            let contents = node.contents.iter().map(|(dot, _)| *dot);
            let modes = node.modes.iter().map(|(dot, _)| *dot);
            let gones = node.gones.iter().map(|(dot, _)| *dot);
            places
                .chain(contents)
                .chain(modes)
                .chain(gones)
                .any(|dot| own(dot) && !taken(dot))
        };
        let all = self.nodes.all().map(|ix| self.nodes.node(ix));
        all.filter(|node| is_alone(node)).take(most).map(|node| node.id).collect()
    }

    /// How much this replica's own disk is behind.
    pub fn behind_here(&mut self) -> Behind {
        self.refresh();
        let nothing = |_: &ContentId| false;
        let view = View::new(&self.nodes, &self.records, self.policy, &nothing);
        let mut behind = Behind::default();
        for ix in self.stale.iter() {
            behind.entries += 1;
            if !self.nodes.live(ix) {
                continue;
            }
            let Some(entry) = view.entry(ix).filter(|e| e.kind == Kind::File) else {
                continue;
            };
            let content = view.shown(&entry).content.clone();
            let here = view.record(ix).and_then(|id| self.records.get(id));
            if here.is_none_or(|record| record.bytes.id() != content.id()) {
                behind.bytes = behind.bytes.saturating_add(content.size());
                behind.contents.push((content.id(), content.size()));
            }
        }
        behind
    }

    /// Bytes of all files that this disk shows.
    #[must_use]
    pub fn bytes_shown(&self) -> u64 {
        let files = self.records.all().filter(|(_, r)| r.kind == Kind::File);
        files.map(|(_, r)| r.print.size).sum()
    }

    /// The whole projection, parents first. Its cost is that of the whole tree: for checks and listings.
    pub fn project(&mut self, at_hand: &dyn Fn(&ContentId) -> bool) -> Vec<Projected> {
        self.refresh();
        let view = View::new(&self.nodes, &self.records, self.policy, at_hand);
        let mut all = Vec::new();
        let Some(root) = view.entry(Ix::ROOT) else { return all };
        let mut todo: Vec<(Rc<Entry>, String)> = vec![(root, String::new())];
        let mut next = 0;
        while next < todo.len() {
            let (folder, dir) = todo[next].clone();
            next += 1;
            let names: BTreeSet<Arc<str>> = folder
                .members
                .iter()
                .flat_map(|m| self.nodes.inside(*m))
                .filter(|n| self.nodes.live(*n))
                .map(|n| self.nodes.name(n).clone())
                .collect();
            let mut met: BTreeSet<Ix> = BTreeSet::new();
            for name in names {
                for entry in view.group(&folder, &name) {
                    if !met.insert(entry.members[0]) {
                        continue;
                    }
                    let path = if dir.is_empty() {
                        entry.name.to_string()
                    } else {
                        format!("{dir}/{}", entry.name)
                    };
                    let shown = (entry.kind != Kind::Dir).then(|| view.shown(&entry));
                    all.push(Projected {
                        path: path.clone(),
                        kind: entry.kind,
                        nodes: entry.members.iter().map(|m| self.nodes.id(*m)).collect(),
                        content: shown.as_ref().map_or(Content::Dir, |s| s.content.clone()),
                        sides: shown.as_ref().map(|s| s.sides.keys().copied().collect()).unwrap_or_default(),
                        exec: shown.is_some_and(|s| s.exec),
                    });
                    if entry.kind == Kind::Dir {
                        todo.push((Rc::new(entry), path));
                    }
                }
            }
        }
        all
    }

    /// The projected entry that shows a node; `None` of one that does not live.
    pub fn projected(&mut self, id: NodeId) -> Option<Projected> {
        self.refresh();
        let nothing = |_: &ContentId| false;
        let view = View::new(&self.nodes, &self.records, self.policy, &nothing);
        let entry = view.entry(self.nodes.find(id)?)?;
        let shown = (entry.kind != Kind::Dir).then(|| view.shown(&entry));
        Some(Projected {
            path: view.path(&entry),
            kind: entry.kind,
            nodes: entry.members.iter().map(|m| self.nodes.id(*m)).collect(),
            content: shown.as_ref().map_or(Content::Dir, |s| s.content.clone()),
            sides: shown.as_ref().map(|s| s.sides.keys().copied().collect()).unwrap_or_default(),
            exec: shown.is_some_and(|s| s.exec),
        })
    }

    /// What the disk shows of a node, as recorded.
    #[must_use]
    pub fn recorded(&self, id: NodeId) -> Option<Recorded> {
        let record = self.nodes.record(self.nodes.find(id)?)?;
        self.recorded_by(RecordId(record))
    }

    /// What the disk shows at a path, as recorded.
    #[must_use]
    pub fn recorded_at(&self, path: &str) -> Option<Recorded> {
        self.recorded_by(self.record_at(path)?)
    }

    /// All records, in no order that means anything.
    pub fn all_recorded(&self) -> impl Iterator<Item = Recorded> + '_ {
        self.records.all().filter_map(|(id, _)| self.recorded_by(id))
    }

    /// A record by its number.
    #[must_use]
    pub fn recorded_by(&self, id: RecordId) -> Option<Recorded> {
        let record = self.records.get(id)?;
        Some(Recorded {
            path: self.records.path(id),
            kind: record.kind,
            key: record.key,
            print: record.print,
            bytes: record.bytes.clone(),
            exec: record.exec,
            nodes: record.members.iter().map(|(m, _)| self.nodes.id(*m)).collect(),
        })
    }
}
