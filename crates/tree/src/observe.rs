//! From what a scan found to operations: what did the user do? All operations of one scan have one dot.

use crate::entries::{Dirs, Policy, View};
use crate::faults::{Fault, on};
use crate::id::{ContentId, Dot, NodeId};
use crate::node::{Base, Content, Gone, Head, Heads, Kind, Node, Place, Register, Value};
use crate::nodes::Ix;
use crate::records::{Record, RecordId, Seen};
use crate::replica::Replica;
use crate::suffix;
use crate::survey::{At, Survey};
use crate::view::Bytes;
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a scan was turned into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// How many values were written.
    pub operations: usize,
    /// The scan's dot, if it wrote anything.
    pub dot: Option<Dot>,
}

pub(crate) struct Observing<'a> {
    replica: &'a mut Replica,
    survey: Survey,
    /// The record of each thing found, once it has one.
    at: Vec<Option<RecordId>>,
    /// Records that were found at another path than recorded, and where.
    claimed: HashMap<RecordId, usize>,
    /// Nodes as this scan leaves them. The replica's own keep their state to the end, so that all of the scan is judged by
    /// the projection that was before it.
    written: HashMap<Ix, Node>,
    wall_ms: u64,
    dot: Option<Dot>,
    births: u32,
    operations: usize,
    /// Directories that something came into or left.
    touched: BTreeSet<RecordId>,
    /// The entries of directories, as they were before the scan.
    dirs: Dirs,
}

impl<'a> Observing<'a> {
    pub(crate) fn new(replica: &'a mut Replica, survey: Survey, wall_ms: u64) -> Observing<'a> {
        replica.refresh();
        let at = survey.found.iter().map(|f| f.record).collect();
        Observing {
            replica,
            survey,
            at,
            claimed: HashMap::new(),
            written: HashMap::new(),
            wall_ms,
            dot: None,
            births: 0,
            operations: 0,
            touched: BTreeSet::new(),
            dirs: Dirs::new(),
        }
    }

    pub(crate) fn run(mut self) -> Observed {
        if !self.survey.gone.is_empty() {
            self.match_gone();
        }
        for i in 0..self.survey.found.len() {
            let found = &self.survey.found[i];
            if found.dropped || found.bytes.is_none() {
                continue;
            }
            let parent = match found.parent {
                At::Record(id) => id,
                // In something that was not taken in: neither is this.
                At::Found(above) => match self.at[above].filter(|_| !self.survey.found[above].dropped) {
                    Some(id) => id,
                    None => continue,
                },
            };
            match self.at[i] {
                None if parent == RecordId::PARKED => self.left_over(i),
                None => self.appeared(i, parent),
                Some(id) => {
                    self.moved(i, parent, id);
                    self.changed(i, id);
                }
            }
        }
        self.vanished();
        self.adopt_kept_folders();
        let (operations, dot) = (self.operations, self.dot);
        let mut written: Vec<(Ix, Node)> = std::mem::take(&mut self.written).into_iter().collect();
        written.sort_unstable_by_key(|(ix, _)| *ix);
        for (ix, node) in written {
            self.replica.store_own(ix, node);
        }
        self.replica.refresh();
        Observed { operations, dot }
    }

    // ---- matching what is gone with what is new: the same place in a moved directory first, then the same object, then
    // ---- the same bytes

    fn match_gone(&mut self) {
        let mut by_key: HashMap<u64, usize> = HashMap::new();
        let mut by_bytes: HashMap<ContentId, Vec<usize>> = HashMap::new();
        for (i, f) in self.survey.found.iter().enumerate() {
            if f.record.is_some() || f.dropped {
                continue;
            }
            by_key.insert(f.stat.key.0, i);
            if let (true, Some(bytes)) = (f.stat.kind != Kind::Dir, &f.bytes) {
                by_bytes.entry(bytes.id()).or_default().push(i);
            }
        }
        let mut gone: Vec<(usize, RecordId)> = self
            .survey
            .gone
            .iter()
            .map(|id| (self.replica.records.depth(id), id))
            .collect();
        gone.sort_unstable();
        let stays = |this: &Observing, record: &Record| {
            let moved_to = At::Found(*this.claimed.get(&record.parent)?);
            let i = *this.survey.places.get(&(moved_to, record.name.clone()))?;
            this.claimable(i, record).then_some(i)
        };
        let same_object =
            |this: &Observing, record: &Record| by_key.get(&record.key.0).copied().filter(|i| this.claimable(*i, record));
        let of = |this: &Observing, id: RecordId| this.replica.records.get(id).cloned();
        for (_, id) in &gone {
            let Some(record) = of(self, *id).filter(|r| r.kind == Kind::Dir) else {
                continue;
            };
            if let Some(i) = stays(self, &record).or_else(|| same_object(self, &record)) {
                self.claim(i, *id);
            }
        }
        let mut rest = Vec::new();
        for (_, id) in &gone {
            let Some(record) = of(self, *id).filter(|r| r.kind != Kind::Dir) else {
                continue;
            };
            match stays(self, &record) {
                Some(i) => self.claim(i, *id),
                None if record.leaving => {}
                None => rest.push((*id, record)),
            }
        }
        rest.retain(|(id, record)| {
            let found = same_object(self, record);
            if let Some(i) = found {
                self.claim(i, *id);
            }
            found.is_none()
        });
        for (id, record) in rest {
            if record.bytes == Bytes::File(ContentId::empty()) {
                continue;
            }
            let same = by_bytes
                .get(&record.bytes.id())
                .into_iter()
                .flatten()
                .copied()
                .filter(|i| self.claimable(*i, &record));
            if let Some(i) = same.min_by_key(|i| (self.survey.found[*i].name != record.name, *i)) {
                self.claim(i, id);
            }
        }
    }

    fn claimable(&self, i: usize, record: &Record) -> bool {
        self.at[i].is_none() && self.survey.found[i].stat.kind == record.kind
    }

    fn claim(&mut self, i: usize, id: RecordId) {
        self.at[i] = Some(id);
        self.claimed.insert(id, i);
    }

    // ---- operations

    fn node(&self, ix: Ix) -> &Node {
        self.written.get(&ix).unwrap_or_else(|| self.replica.nodes.node(ix))
    }

    fn members(&self, id: RecordId) -> SmallVec<[Ix; 2]> {
        let record = self.replica.records.get(id);
        let mut members: SmallVec<[Ix; 2]> = record.into_iter().flat_map(|r| r.members.iter().map(|(m, _)| *m)).collect();
        members.sort_by_key(|m| self.replica.nodes.id(*m));
        members
    }

    /// The heads that the record's disk has seen of a member.
    fn seen(&self, id: RecordId, ix: Ix) -> Heads {
        match self.replica.records.get(id).and_then(|r| r.seen(ix)) {
            Some(Seen::Everything) => self.node(ix).heads().collect(),
            Some(Seen::Just(heads)) => heads.iter().copied().collect(),
            None => Heads::new(),
        }
    }

    fn seen_of(&self, id: RecordId, ix: Ix, registers: &[Register]) -> Heads {
        self.seen(id, ix)
            .into_iter()
            .filter(|h| registers.contains(&h.register))
            .collect()
    }

    fn set_seen(&mut self, id: RecordId, ix: Ix, heads: impl IntoIterator<Item = Head>) {
        let mut heads: Vec<Head> = heads.into_iter().collect();
        heads.sort();
        heads.dedup();
        let all = self.node(ix).heads().all(|h| heads.binary_search(&h).is_ok());
        let seen = if all { Seen::Everything } else { Seen::Just(heads.into()) };
        self.replica.show(id, ix, seen);
    }

    fn tick(&mut self) -> Dot {
        let wall = self.wall_ms;
        *self.dot.get_or_insert_with(|| self.replica.tick(wall))
    }

    fn write(&mut self, id: RecordId, ix: Ix, value: Value, over: &[Head]) {
        let dot = self.tick();
        let seen = self.seen(id, ix);
        let head = Head {
            register: value.register(),
            dot,
        };
        let all_seen = self.replica.records.get(id).and_then(|r| r.seen(ix)) == Some(&Seen::Everything);
        let nodes = &self.replica.nodes;
        let node = self.written.entry(ix).or_insert_with(|| nodes.node(ix).as_ref().clone());
        let doomed = nodes.doomed(nodes.node(ix));
        let anew = node.write(dot, value, over, &doomed);
        if !all_seen {
            let renewed = |mut head: Head| {
                if anew.contains(&head) {
                    head.dot = dot;
                }
                head
            };
            self.set_seen(
                id,
                ix,
                seen.into_iter().filter(|h| !over.contains(h)).map(renewed).chain([head]),
            );
        }
        self.operations += 1;
    }

    /// What a write settles besides, of what this disk has seen.
    fn settled(&self, id: RecordId, ix: Ix, register: Register) -> Heads {
        let settled = self.replica.nodes.settled(ix, register);
        if settled.is_empty() {
            return settled;
        }
        let seen = self.seen(id, ix);
        settled.into_iter().filter(|h| seen.contains(h)).collect()
    }

    fn canonical(&self, id: RecordId) -> NodeId {
        self.members(id).first().map_or(NodeId::ROOT, |m| self.replica.nodes.id(*m))
    }

    fn moved(&mut self, i: usize, parent: RecordId, id: RecordId) {
        let name = self.survey.found[i].name.clone();
        let Some(record) = self.replica.records.get(id) else { return };
        if record.parent == parent && record.name == name {
            return;
        }
        let old_parent = record.parent;
        if !self.replica.rename_record(id, parent, name.clone()) {
            return;
        }
        if parent == RecordId::PARKED || (!on(Fault::StepsAreUsers) && self.already_shown_at(parent, id)) {
            return;
        }
        self.touched.extend([old_parent, parent]);
        self.keep_marked_names(parent, self.survey.found[i].stat.kind, &name);
        let place = Place {
            parent: self.canonical(parent),
            name,
        };
        for n in self.members(id) {
            let mut over = self.seen_of(id, n, &[Register::Place]);
            over.extend(self.settled(id, n, Register::Place));
            self.write(id, n, Value::Place(place.clone()), &over);
        }
    }

    /// Whether the replica already says so (a step that was applied but not recorded).
    fn already_shown_at(&mut self, parent: RecordId, id: RecordId) -> bool {
        let members = self.members(id);
        let dirs = std::mem::take(&mut self.dirs);
        let view = View::new(&self.replica.nodes, &self.replica.records, self.replica.policy, &|_| false).with(dirs);
        let says_so = {
            let name = self.replica.records.get(id).map(|r| r.name.clone());
            let entry = members.first().and_then(|n| view.entry(*n));
            let above = self.members(parent).first().and_then(|p| view.entry(*p));
            match (entry, above) {
                (Some(entry), Some(above)) => {
                    Some(&entry.name) == name.as_ref()
                        && above.members.contains(&entry.parent)
                        && members.iter().all(|n| entry.members.contains(n))
                }
                _ => false,
            }
        };
        self.dirs = view.into_dirs();
        if says_so {
            for n in members {
                let places: Heads = self
                    .replica
                    .nodes
                    .node(n)
                    .heads()
                    .filter(|h| h.register == Register::Place)
                    .collect();
                let rest = self.seen_of(id, n, &[Register::Content, Register::Mode, Register::Gone]);
                self.set_seen(id, n, rest.into_iter().chain(places));
            }
        }
        says_so
    }

    fn changed(&mut self, i: usize, id: RecordId) {
        let found = self.survey.found[i].clone();
        let Some(bytes) = found.bytes else { return };
        let Some(record) = self.replica.records.get_mut(id) else {
            return;
        };
        let old_size = record.print.size;
        (record.key, record.print, record.leaving) = (found.stat.key, found.stat.print, false);
        if record.bytes != bytes {
            let old = Base {
                id: record.bytes.id(),
                size: old_size,
            };
            let says_so = self.is_shown(id, &bytes);
            let Some(record) = self.replica.records.get_mut(id) else {
                return;
            };
            record.bytes = bytes.clone();
            if says_so {
                self.shows_all_contents(id);
            } else {
                self.content_changed(id, &bytes, found.stat.print.size, found.stat.print.mtime_ns, &old);
            }
        }
        let Some(record) = self.replica.records.get_mut(id) else {
            return;
        };
        if let Some(exec) = found
            .stat
            .exec
            .filter(|exec| record.kind == Kind::File && *exec != record.exec)
        {
            record.exec = exec;
            self.mode_changed(id, exec);
        }
    }

    /// Whether these bytes are what the replica shows of all sides: a step that was done and not noted.
    fn is_shown(&mut self, id: RecordId, bytes: &Bytes) -> bool {
        if self.replica.policy != Policy::Newest || on(Fault::StepsAreUsers) {
            return false; // the disk would have gone on to show its own
        }
        let members = self.members(id);
        let dirs = std::mem::take(&mut self.dirs);
        let view = View::new(&self.replica.nodes, &self.replica.records, self.replica.policy, &|_| false).with(dirs);
        let entry = members.first().and_then(|n| view.entry(*n));
        let shown = entry
            .is_some_and(|entry| members.iter().all(|n| entry.members.contains(n)) && view.look(&entry).0.id() == bytes.id());
        self.dirs = view.into_dirs();
        shown
    }

    fn shows_all_contents(&mut self, id: RecordId) {
        for n in self.members(id) {
            let contents: Heads = self.node(n).heads().filter(|h| h.register == Register::Content).collect();
            let rest = self.seen_of(id, n, &[Register::Place, Register::Mode, Register::Gone]);
            self.set_seen(id, n, rest.into_iter().chain(contents));
        }
    }

    fn mode_changed(&mut self, id: RecordId, exec: bool) {
        let members = self.members(id);
        let newest = members.iter().filter_map(|n| self.node(*n).modes.last().copied()).max();
        let says_so = newest.is_some_and(|(_, shown)| shown == exec) && !on(Fault::StepsAreUsers);
        for n in members {
            if says_so {
                let modes: Heads = self.node(n).heads().filter(|h| h.register == Register::Mode).collect();
                let rest = self.seen_of(id, n, &[Register::Place, Register::Content, Register::Gone]);
                self.set_seen(id, n, rest.into_iter().chain(modes));
            } else {
                let over = self.seen_of(id, n, &[Register::Mode]);
                self.write(id, n, Value::Mode(exec), &over);
            }
        }
    }

    fn content_changed(&mut self, id: RecordId, bytes: &Bytes, size: u64, mtime_ns: i64, old: &Base) {
        let content = Register::Content;
        let members = self.members(id);
        let same: Vec<Heads> = members.iter().map(|n| heads_with(self.node(*n), bytes)).collect();
        // What a deletion has seen is shown no more beside what it has not.
        let doomed = |this: &Self, n: Ix, head: Head| {
            let node = this.node(n);
            let mut open = this.replica.nodes.candidates(node, &node.contents, content).into_iter();
            !open.any(|(dot, _)| *dot == head.dot)
        };
        let still = |this: &Self, n: Ix| -> Heads {
            let mut seen = this.seen_of(id, n, &[content]);
            seen.retain(|h| this.node(n).has(*h));
            seen
        };
        let shown = |n: &Ix, same: &Heads| same.iter().any(|h| !doomed(self, *n, *h));
        let says_so = members.iter().zip(&same).any(|(n, same)| shown(n, same))
            && members.iter().zip(&same).all(|(n, same)| {
                let mut seen = still(self, *n).into_iter();
                seen.all(|h| same.contains(&h) || doomed(self, *n, h))
            });
        if says_so {
            for (n, same) in members.into_iter().zip(same) {
                let rest = self.seen_of(id, n, &[Register::Place, Register::Mode, Register::Gone]);
                self.set_seen(id, n, rest.into_iter().chain(still(self, n)).chain(same));
            }
            return;
        }
        let writers: Vec<Ix> = members
            .iter()
            .copied()
            .filter(|n| !self.seen_of(id, *n, &[content]).is_empty())
            .collect();
        let writers = if writers.is_empty() {
            members.first().copied().into_iter().collect()
        } else {
            writers
        };
        for n in writers {
            let mut over = self.seen_of(id, n, &[content]);
            let value = self.content(n, bytes, size, mtime_ns, &over, Some(old));
            over.extend(self.settled(id, n, content));
            over.extend(
                members
                    .iter()
                    .zip(&same)
                    .filter(|(m, _)| **m == n)
                    .flat_map(|(_, s)| s.iter().copied()),
            );
            self.write(id, n, Value::Content(value), &over);
        }
        // What others of its nodes hold has been seen too, where the disk shows the same now.
        for (n, same) in members.into_iter().zip(same) {
            if !same.is_empty() {
                let rest = self.seen(id, n);
                self.set_seen(id, n, rest.into_iter().chain(same));
            }
        }
    }

    /// A content with what it replaced when all last agreed: what others wrote is agreed; of one's own, what all have seen.
    fn content(&self, ix: Ix, bytes: &Bytes, size: u64, mtime_ns: i64, over: &[Head], old: Option<&Base>) -> Content {
        match bytes {
            Bytes::Dir => Content::Dir,
            Bytes::Link(target) => Content::Link { target: target.clone() },
            Bytes::File(id) => {
                let replaced = |(dot, _): &&(Dot, Content)| {
                    over.contains(&Head {
                        register: Register::Content,
                        dot: *dot,
                    })
                };
                // A side of an open conflict was agreed on by nobody.
                let is_side = self.node(ix).contents.iter().any(|other| !replaced(&other));
                let base = match self.node(ix).contents.iter().rev().find(replaced) {
                    Some((dot, Content::File { id, size, base, .. })) => {
                        if self.replica.agreed(*dot) && !is_side {
                            Some(Box::new(Base { id: *id, size: *size }))
                        } else {
                            base.clone()
                        }
                    }
                    // Someone replaced it too, and that came here before this scan: the disk still showed it.
                    None if over.iter().any(|h| self.replica.agreed(h.dot)) => old.cloned().map(Box::new),
                    _ => None,
                };
                Content::File {
                    id: *id,
                    size,
                    mtime_ns,
                    base,
                }
            }
        }
    }

    fn appeared(&mut self, i: usize, parent: RecordId) {
        let Some((id, record)) = self.recorded(i, parent) else {
            return;
        };
        let before = self.operations;
        if (on(Fault::NoJoining) || !self.joins(id, &record)) && (on(Fault::NoReviving) || !self.revives(id, &record)) {
            self.is_born(id, &record, record.name.clone());
        }
        if self.operations > before {
            self.touched.insert(parent); // else it may be a step that was done and not noted
        }
    }

    /// What was put out of the way by a run that was cut, and by an index that is no more: its user's, who sees it in the root from now on.
    fn left_over(&mut self, i: usize) {
        let Some((id, record)) = self.recorded(i, RecordId::PARKED) else {
            return;
        };
        self.is_born(id, &record, suffix::kept(&record.name).into());
    }

    /// A record of something found.
    fn recorded(&mut self, i: usize, parent: RecordId) -> Option<(RecordId, Record)> {
        let found = self.survey.found[i].clone();
        let bytes = found.bytes?;
        let id = self.replica.records.reserve();
        let record = Record {
            parent,
            name: found.name.clone(),
            kind: found.stat.kind,
            exec: found.stat.exec.unwrap_or(false) && found.stat.kind == Kind::File,
            leaving: false,
            key: found.stat.key,
            print: found.stat.print,
            bytes,
            members: Default::default(),
        };
        let hash = self.replica.nodes.name_hash(&found.name);
        self.replica.records.put(id, record.clone(), hash);
        self.at[i] = Some(id);
        Some((id, record))
    }

    /// The replica shows this path already, the disk did not yet: the same file or directory, and its content is one more side.
    fn joins(&mut self, id: RecordId, record: &Record) -> bool {
        let dirs = std::mem::take(&mut self.dirs);
        let view = View::new(&self.replica.nodes, &self.replica.records, self.replica.policy, &|_| false).with(dirs);
        let folder = self.members(record.parent).first().and_then(|p| view.entry(*p));
        let found = folder.and_then(|folder| {
            let mut entries = view.group(&folder, &record.name);
            if let Some(plain) = suffix::unmarked(&record.name) {
                entries.extend(view.group(&folder, &plain));
                let long = |n: &Ix| self.replica.nodes.live(*n) && !self.replica.nodes.names().fits(self.replica.nodes.name(*n));
                let cut: BTreeSet<Arc<str>> = folder
                    .members
                    .iter()
                    .filter(|_| record.name.len() > 120)
                    .flat_map(|p| self.replica.nodes.inside(*p))
                    .filter(long)
                    .map(|n| self.replica.nodes.name(n).clone())
                    .collect();
                entries.extend(cut.iter().flat_map(|name| view.group(&folder, name)));
            }
            entries
                .into_iter()
                .find(|e| {
                    e.kind == record.kind
                        && self.replica.nodes.same_name(&e.name, &record.name)
                        && e.members.iter().all(|n| self.replica.nodes.record(*n).is_none())
                })
                .map(|e| {
                    let data = record.bytes.id();
                    let sides = if e.kind == Kind::Dir {
                        None
                    } else {
                        Some(view.shown(&e).sides)
                    };
                    let unseen: Vec<Heads> = e.members.iter().map(|n| view.unseen(*n, data)).collect();
                    (e, sides, unseen)
                })
        });
        self.dirs = view.into_dirs();
        let Some((entry, sides, unseen)) = found else { return false };
        for (n, unseen) in entry.members.iter().zip(&unseen) {
            let heads: Heads = self.replica.nodes.node(*n).heads().filter(|h| !unseen.contains(h)).collect();
            self.replica.show(id, *n, Seen::Just(Box::new([])));
            self.set_seen(id, *n, heads);
        }
        if let Some(sides) = sides.filter(|s| !s.contains_key(&record.bytes.id())) {
            let n = entry.members[0];
            let open = |h: &Head| sides.values().flatten().any(|(m, dot)| *m == n && *dot == h.dot);
            let mut over: Heads = self
                .seen_of(id, n, &[Register::Content])
                .into_iter()
                .filter(|h| !open(h))
                .collect();
            // Where this disk showed a deletion, what is written now has seen it.
            over.extend(self.settled(id, n, Register::Content));
            let content = self.content(n, &record.bytes, record.print.size, record.print.mtime_ns, &[], None);
            self.write(id, n, Value::Content(content), &over);
        }
        let shown = self
            .members(id)
            .iter()
            .filter_map(|n| self.node(*n).modes.last().copied())
            .max();
        if record.kind == Kind::File && record.exec && shown.is_none_or(|(_, exec)| !exec) {
            for n in self.members(id) {
                let over = self.seen_of(id, n, &[Register::Mode]);
                self.write(id, n, Value::Mode(true), &over);
            }
        }
        true
    }

    /// What was deleted at this path comes back as the same node.
    fn revives(&mut self, id: RecordId, record: &Record) -> bool {
        let nodes = &self.replica.nodes;
        let dead = self
            .members(record.parent)
            .into_iter()
            .flat_map(|p| nodes.named(p, &record.name))
            .filter(|n| {
                nodes.kind(*n) == record.kind && !nodes.live(*n) && nodes.record(*n).is_none() && *nodes.name(*n) == record.name
            });
        let Some(n) = dead.min_by_key(|n| nodes.id(*n)) else {
            return false;
        };
        let settled = nodes.settled(n, Register::Content);
        let place = nodes.place(n).1.clone();
        let was_exec = nodes.node(n).modes.iter().any(|(_, exec)| *exec);
        self.replica.show(id, n, Seen::Everything);
        let content = self.content(n, &record.bytes, record.print.size, record.print.mtime_ns, &[], None);
        let mut over = self.seen_of(id, n, &[Register::Content]);
        over.extend(settled);
        self.write(id, n, Value::Content(content), &over);
        if self.node(n).places.len() > 1 {
            let over = self.seen_of(id, n, &[Register::Place]);
            self.write(id, n, Value::Place(place), &over);
        }
        if record.exec != was_exec {
            let over = self.seen_of(id, n, &[Register::Mode]);
            self.write(id, n, Value::Mode(record.exec), &over);
        }
        true
    }

    /// What wants the name that something new is given, and is shown here under a marked one, is called so from now on: its user
    /// sees two things, and they would be one.
    fn keep_marked_names(&mut self, parent: RecordId, kind: Kind, name: &str) {
        let nodes = &self.replica.nodes;
        let wanting = self.members(parent).into_iter().flat_map(|p| nodes.named(p, name));
        let marked: Vec<(Ix, RecordId, Arc<str>)> = wanting
            .filter(|n| nodes.kind(*n) == kind && **nodes.name(*n) == *name)
            .filter_map(|n| {
                let shown = RecordId(nodes.record(n)?);
                let record = self.replica.records.get(shown)?;
                // (Not what only has not come to its new name yet.)
                let is_marked = || {
                    record
                        .members
                        .iter()
                        .any(|(m, _)| suffix::is_marked(&record.name, name, nodes.id(*m)))
                };
                let is_other = record.parent == parent && !self.survey.gone.contains(shown);
                (is_other && is_marked()).then(|| (n, shown, record.name.clone()))
            })
            .collect();
        let parent = self.canonical(parent);
        for (n, shown, name) in marked {
            let mut over = self.seen_of(shown, n, &[Register::Place]);
            over.extend(self.settled(shown, n, Register::Place));
            self.write(shown, n, Value::Place(Place { parent, name }), &over);
        }
    }

    fn is_born(&mut self, id: RecordId, record: &Record, name: Arc<str>) {
        self.keep_marked_names(record.parent, record.kind, &name);
        let dot = self.tick();
        let node_id = NodeId { dot, index: self.births };
        self.births += 1;
        let born = if record.kind == Kind::Dir {
            0
        } else {
            path_hash(&self.replica.records.path(id))
        };
        // It stands nowhere before the next refresh: all of the scan is judged by the projection that was before it.
        let mut node = Node::unwritten(node_id, record.kind, born);
        let place = Place {
            parent: self.canonical(record.parent),
            name,
        };
        node.write(dot, Value::Place(place), &[], &[]);
        let content = match &record.bytes {
            Bytes::Dir => Content::Dir,
            Bytes::Link(target) => Content::Link { target: target.clone() },
            Bytes::File(id) => Content::File {
                id: *id,
                size: record.print.size,
                mtime_ns: record.print.mtime_ns,
                base: None,
            },
        };
        node.write(dot, Value::Content(content), &[], &[]);
        if record.exec {
            node.write(dot, Value::Mode(true), &[], &[]);
        }
        self.operations += 2 + usize::from(record.exec);
        let ix = self.replica.add_own(node);
        self.replica.show(id, ix, Seen::Everything);
    }

    fn vanished(&mut self) {
        let mut went: HashSet<NodeId> = HashSet::new();
        let gone = self.survey.gone.iter().filter(|id| !self.claimed.contains_key(id));
        let mut gone: Vec<(usize, RecordId)> = gone.map(|id| (self.replica.records.depth(id), id)).collect();
        gone.sort_unstable();
        // Of what is in a moved directory that was not listed, nothing is known.
        let mut unknown: HashSet<RecordId> = HashSet::new();
        gone.retain(|(_, id)| {
            let Some(parent) = self.replica.records.get(*id).map(|r| r.parent) else {
                return false;
            };
            let moved_to = self.claimed.get(&parent).map(|i| &self.survey.found[*i]);
            let is_unknown = unknown.contains(&parent) || moved_to.is_some_and(|f| !f.listed && !on(Fault::UnlistedIsGone));
            if is_unknown {
                unknown.insert(*id);
            }
            !is_unknown
        });
        // A directory found elsewhere takes what is recorded in it along; what of that was not found is gone all the same.
        for (_, id) in &gone {
            let Some((leaving, parent)) = self.replica.records.get(*id).map(|r| (r.leaving, r.parent)) else {
                continue;
            };
            if leaving {
                continue;
            }
            for n in self.members(*id) {
                if !self.replica.nodes.live(n) {
                    continue; // dead already
                }
                let seen_places = self.seen_of(*id, n, &[Register::Place]);
                let parents: BTreeSet<NodeId> = self
                    .node(n)
                    .places
                    .iter()
                    .filter(|(dot, _)| {
                        seen_places.contains(&Head {
                            register: Register::Place,
                            dot: *dot,
                        })
                    })
                    .map(|(_, p)| p.parent)
                    .filter(|p| went.contains(p))
                    .collect();
                let mut seen = self.seen_of(*id, n, &[Register::Place, Register::Content]);
                if on(Fault::DeletionsSeeAll) {
                    let kept = |h: &Head| matches!(h.register, Register::Place | Register::Content);
                    seen = self.node(n).heads().filter(kept).collect();
                }
                let (seen, settled) = self.replica.nodes.seen_off(n, seen);
                let under = if parents.len() == 1 { parents.first().copied() } else { None };
                let mut over = self.seen_of(*id, n, &[Register::Gone]);
                over.extend(settled);
                self.write(*id, n, Value::Gone(Gone { seen, under }), &over);
                went.insert(self.replica.nodes.id(n));
                self.touched.insert(parent);
            }
        }
        for (_, id) in gone.iter().rev() {
            if self.replica.records.inside(*id).next().is_none() {
                self.replica.remove_record(*id);
            }
        }
    }

    /// A directory that was deleted, and lives only because something is in it, is an ordinary one from the moment that its
    /// user, who sees it, moves it or changes what is in it. So is one that is to go from this disk and did not yet, where others may
    /// have forgotten it already (it may have been ignored here for long), and those that it is in.
    fn adopt_kept_folders(&mut self) {
        let mut todo: Vec<RecordId> = std::mem::take(&mut self.touched).into_iter().collect();
        while let Some(id) = todo.pop().filter(|_| !on(Fault::NoAdopting)) {
            if id == RecordId::ROOT || id == RecordId::PARKED || self.replica.records.get(id).is_none_or(|r| r.kind != Kind::Dir)
            {
                continue;
            }
            for n in self.members(id) {
                let live = self.replica.nodes.live(n);
                let kept = live && !self.replica.nodes.lives_itself(n);
                let forgotten = !live && !self.written.contains_key(&n) && self.replica.was_shown(self.node(n));
                if forgotten {
                    todo.extend(self.replica.records.get(id).map(|r| r.parent));
                }
                if forgotten || kept && !self.seen_of(id, n, &[Register::Gone]).is_empty() {
                    let mut over = self.seen_of(id, n, &[Register::Content]);
                    over.extend(self.settled(id, n, Register::Content));
                    self.write(id, n, Value::Content(Content::Dir), &over);
                }
            }
        }
    }
}

/// The content heads that have these bytes.
fn heads_with(node: &Node, bytes: &Bytes) -> Heads {
    let id = bytes.id();
    let same = node.contents.iter().filter(|(_, c)| c.id() == id);
    same.map(|(dot, _)| Head {
        register: Register::Content,
        dot: *dot,
    })
    .collect()
}

fn path_hash(path: &str) -> u64 {
    let hash = blake3::hash(path.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}
