//! The projection: which entries a disk should show, computed on demand from nodes that are up to date. An entry is what one
//! path shows: usually one node, several where nodes unite.

use crate::faults::{Fault, on};
use crate::id::{ContentId, Dot};
use crate::node::{Content, Head, Heads, Kind, Register};
use crate::nodes::{Adrift, DEEPEST, Ix, Nodes};
use crate::records::{RecordId, Records};
use crate::suffix;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// What happens to a content conflict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Policy {
    /// Each side stays where it is until a person picks.
    #[default]
    Ask,
    /// The newest side is taken.
    Newest,
}

/// What one path shows.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) name: Arc<str>,
    /// Its nodes, by rising id; new children are created in the first.
    pub(crate) members: SmallVec<[Ix; 1]>,
    /// The first member of the entry that it is in; NONE of the root.
    pub(crate) parent: Ix,
    /// It lost its name to another entry.
    pub(crate) lost_name: bool,
    pub(crate) adrift: Option<Adrift>,
}

/// Bytes, with the heads that have them.
pub(crate) type Sides = BTreeMap<ContentId, SmallVec<[(Ix, Dot); 1]>>;

/// The bytes of an entry of a file or link, and all its open sides.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The content to be shown.
    pub(crate) content: Content,
    /// The bytes of the open sides, with the heads that have them.
    pub(crate) sides: Sides,
    pub(crate) exec: bool,
}

/// Entries of directories, each by all its nodes.
pub(crate) type Dirs = HashMap<Ix, Rc<Entry>>;
/// The entries that nodes of one name make, each by their directory and the first of them.
type Groups = HashMap<(Ix, Ix), SmallVec<[Entry; 1]>>;

/// The nodes and the disk's records, looked at together.
pub(crate) struct View<'a> {
    pub(crate) nodes: &'a Nodes,
    pub(crate) records: &'a Records,
    pub(crate) policy: Policy,
    /// Whether this device has got some bytes, on the disk or kept aside.
    pub(crate) at_hand: &'a dyn Fn(&ContentId) -> bool,
    /// The entries of directories that were asked for.
    dirs: RefCell<Dirs>,
    /// Those that many nodes of one name and directory make: each of them asks for all.
    groups: RefCell<Groups>,
}

/// From so many nodes of one name and directory on, what they make is kept.
const MANY: usize = 8;

impl<'a> View<'a> {
    /// A view that goes on with the entries of directories that one before it has found, of the same nodes.
    pub(crate) fn with(mut self, dirs: Dirs) -> View<'a> {
        self.dirs = RefCell::new(dirs);
        self
    }

    /// The entries of directories that were found.
    pub(crate) fn into_dirs(self) -> Dirs {
        self.dirs.into_inner()
    }

    pub(crate) fn new(
        nodes: &'a Nodes,
        records: &'a Records,
        policy: Policy,
        at_hand: &'a dyn Fn(&ContentId) -> bool,
    ) -> View<'a> {
        View {
            nodes,
            records,
            policy,
            at_hand,
            dirs: RefCell::default(),
            groups: RefCell::default(),
        }
    }

    /// The root's entry.
    fn root() -> Rc<Entry> {
        Rc::new(Entry {
            kind: Kind::Dir,
            name: "".into(),
            members: SmallVec::from_iter([Ix::ROOT]),
            parent: Ix::NONE,
            lost_name: false,
            adrift: None,
        })
    }

    /// The entry that a live node is shown in; `None` of one that does not live.
    pub(crate) fn entry(&self, ix: Ix) -> Option<Rc<Entry>> {
        if !self.nodes.live(ix) {
            return None;
        }
        // From the first directory on the way up that is known already, down again.
        let mut way = vec![ix];
        let mut known = loop {
            let at = *way.last()?;
            if at == Ix::ROOT {
                way.pop();
                break View::root();
            }
            if let Some(entry) = self.dirs.borrow().get(&at) {
                way.pop();
                break entry.clone();
            }
            if way.len() > DEEPEST {
                return None;
            }
            way.push(self.nodes.parent(at));
        };
        while let Some(at) = way.pop() {
            let mut found = None;
            for entry in self.group(&known, self.nodes.name(at)) {
                let entry = Rc::new(entry);
                if entry.kind == Kind::Dir {
                    self.dirs
                        .borrow_mut()
                        .extend(entry.members.iter().map(|m| (*m, entry.clone())));
                }
                if entry.members.contains(&at) {
                    found = Some(entry);
                }
            }
            known = found?;
        }
        Some(known)
    }

    /// The entries of a directory that want the same name (as this disk takes names), with the names that they get.
    pub(crate) fn group(&self, folder: &Entry, name: &str) -> SmallVec<[Entry; 1]> {
        let mut nodes: SmallVec<[Ix; 4]> = SmallVec::new();
        for parent in &folder.members {
            nodes.extend(
                self.nodes
                    .named(*parent, name)
                    .filter(|n| self.nodes.live(*n) && self.nodes.same_name(self.nodes.name(*n), name)),
            );
        }
        if let [only] = nodes[..]
            && self.nodes.adrift(only).is_none()
            && self.nodes.names().fits(self.nodes.name(only))
        {
            return SmallVec::from_iter([self.entry_of(SmallVec::from_iter([only]), folder.members[0])]);
        }
        nodes.sort_by_key(|n| self.nodes.id(*n));
        let many = nodes.get(MANY - 1).map(|_| (folder.members[0], nodes[0]));
        if let Some(found) = many.and_then(|key| self.groups.borrow().get(&key).cloned()) {
            return found;
        }
        let mut entries = self.unite(&nodes, folder.members[0]);
        entries.sort_by_key(|e| (e.adrift.is_some(), e.kind, self.nodes.id(e.members[0])));
        let wanted: Vec<Arc<str>> = entries.iter().map(|e| e.name.clone()).collect();
        for i in 0..entries.len() {
            let fits = self.nodes.names().fits(&wanted[i]);
            if i == 0 && entries[i].adrift.is_none() && fits {
                continue;
            }
            entries[i].lost_name = entries[i].adrift.is_none() && wanted[..i].contains(&wanted[i]);
            let name = self.free_name(folder, &entries[i], &entries[..i]);
            entries[i].name = name;
        }
        if let Some(key) = many {
            self.groups.borrow_mut().insert(key, entries.clone());
        }
        entries
    }

    /// All entries that want just the name which this one wants, this one too, with the names that they get.
    pub(crate) fn rivals(&self, entry: &Entry) -> SmallVec<[Entry; 1]> {
        let ix = entry.members[0];
        let mut rivals = match self.entry(self.nodes.parent(ix)) {
            Some(folder) => self.group(&folder, self.nodes.name(ix)),
            None => SmallVec::new(),
        };
        rivals.retain(|rival| self.nodes.name(rival.members[0]) == self.nodes.name(ix));
        rivals
    }

    /// A marked name for one of some that want the same, which has that name as it is.
    pub(crate) fn marked_name(&self, rivals: &[Entry], i: usize) -> Arc<str> {
        let mut others: Vec<Entry> = rivals.to_vec();
        let entry = others.remove(i);
        match self.entry(self.nodes.parent(entry.members[0])) {
            Some(folder) => self.free_name(&folder, &entry, &others),
            None => entry.name,
        }
    }

    /// Nodes of one folder and name, made into entries.
    fn unite(&self, nodes: &[Ix], parent: Ix) -> SmallVec<[Entry; 1]> {
        let mut groups: Vec<SmallVec<[Ix; 1]>> = Vec::new();
        for n in nodes {
            let mut joined: SmallVec<[Ix; 1]> = SmallVec::new();
            let mut rest = Vec::new();
            for group in groups {
                if group.iter().any(|m| self.alike(*n, *m)) {
                    joined.extend(group)
                } else {
                    rest.push(group)
                }
            }
            joined.push(*n);
            rest.push(joined);
            groups = rest;
        }
        groups.into_iter().map(|members| self.entry_of(members, parent)).collect()
    }

    /// The entry of some nodes, before it may lose its name.
    fn entry_of(&self, mut members: SmallVec<[Ix; 1]>, parent: Ix) -> Entry {
        members.sort_by_key(|n| self.nodes.id(*n));
        Entry {
            kind: self.nodes.kind(members[0]),
            name: self.nodes.name(members[0]).clone(),
            parent,
            lost_name: false,
            adrift: self.nodes.adrift(members[0]),
            members,
        }
    }

    /// Whether two nodes of one folder and name are one entry: directories are; files are if they were moved here as one,
    /// were both born here, or hold the same bytes.
    fn alike(&self, n: Ix, m: Ix) -> bool {
        let (a, b) = (self.nodes.node(n), self.nodes.node(m));
        if a.kind != b.kind
            || self.nodes.name(n) != self.nodes.name(m)
            || self.nodes.adrift(n).is_some()
            || self.nodes.adrift(m).is_some()
        {
            return false;
        }
        if a.kind == Kind::Dir {
            return true;
        }
        let (place_n, place_m) = (self.nodes.place(n), self.nodes.place(m));
        let unmoved = place_n.0 == a.id.dot && place_m.0 == b.id.dot;
        // (In one directory, that is: what one scan found in two that became one later are two things.)
        let together = place_n == place_m && !on(Fault::MovedTogetherApart);
        if together || (unmoved && a.born == b.born && !on(Fault::BornTogetherApart)) {
            return true;
        }
        match (self.only_bytes(n), self.only_bytes(m)) {
            (Some(x), Some(y)) => x == y && !on(Fault::SameBytesApart),
            _ => false,
        }
    }

    /// The bytes of a node that has but one side.
    fn only_bytes(&self, n: Ix) -> Option<ContentId> {
        let node = self.nodes.node(n);
        let mut ids = self
            .nodes
            .candidates(node, &node.contents, Register::Content)
            .into_iter()
            .map(|(_, c)| c.id());
        let first = ids.next()?;
        ids.all(|id| id == first).then_some(first)
    }

    /// A marked name that nothing in the folder has.
    fn free_name(&self, folder: &Entry, entry: &Entry, before: &[Entry]) -> Arc<str> {
        let id = self.nodes.id(entry.members[0]);
        let fits = |name: &str| self.nodes.names().fits(name);
        let mut name = entry.name.to_string();
        for length in suffix::SHORTEST..=suffix::LONGEST {
            name = suffix::marked(&entry.name, id, length);
            if !fits(&name) {
                name = suffix::cut(&entry.name, id, length, &fits);
            }
            let taken = before.iter().any(|e| self.nodes.same_name(&e.name, &name))
                || folder.members.iter().any(|p| {
                    self.nodes
                        .named(*p, &name)
                        .any(|n| self.nodes.live(n) && self.nodes.same_name(self.nodes.name(n), &name))
                });
            if !taken {
                break;
            }
        }
        name.into()
    }

    /// What a file's or link's entry shows, and its executable bit.
    pub(crate) fn look(&self, entry: &Entry) -> (Content, bool) {
        if let [only] = entry.members[..]
            && let [(_, content)] = &self.nodes.node(only).contents[..]
        {
            return (content.clone(), self.nodes.node(only).executable());
        }
        let shown = self.shown(entry);
        (shown.content, shown.exec)
    }

    /// The bytes that a file's or link's entry shows: this disk goes on to show its own side; one without a side, the
    /// newest that it has got.
    pub(crate) fn shown(&self, entry: &Entry) -> Shown {
        if let [only] = entry.members[..]
            && let [(dot, content)] = &self.nodes.node(only).contents[..]
        {
            return Shown {
                content: content.clone(),
                sides: Sides::from_iter([(content.id(), SmallVec::from_iter([(only, *dot)]))]),
                exec: self.nodes.node(only).executable(),
            };
        }
        let mut sides = Sides::new();
        let mut newest: BTreeMap<ContentId, ((Dot, crate::id::NodeId), &Content)> = BTreeMap::new();
        let mut mode: Option<(Dot, bool)> = None;
        for n in &entry.members {
            let node = self.nodes.node(*n);
            for (dot, content) in self.nodes.candidates(node, &node.contents, Register::Content) {
                let id = content.id();
                sides.entry(id).or_default().push((*n, *dot));
                let at = (*dot, node.id);
                newest
                    .entry(id)
                    .and_modify(|v| {
                        if at > v.0 {
                            *v = (at, content)
                        }
                    })
                    .or_insert((at, content));
            }
            if let Some(last) = node.modes.last() {
                mode = mode.max(Some(*last));
            }
        }
        let mut pick: Vec<ContentId> = sides.keys().copied().collect();
        if self.policy == Policy::Ask && pick.len() > 1 {
            let own: Vec<ContentId> = entry
                .members
                .iter()
                .filter_map(|n| self.record(*n))
                .filter_map(|r| self.records.get(r))
                .map(|r| r.bytes.id())
                .collect();
            let only = |keep: &dyn Fn(&ContentId) -> bool| -> Option<Vec<ContentId>> {
                let some: Vec<ContentId> = pick.iter().copied().filter(|id| keep(id)).collect();
                (!some.is_empty()).then_some(some)
            };
            if let Some(some) = only(&|id| own.contains(id)).or_else(|| only(self.at_hand)) {
                pick = some;
            }
        }
        let content = pick
            .iter()
            .filter_map(|id| newest.get(id))
            .max_by_key(|(at, _)| *at)
            .map(|(_, c)| (*c).clone());
        Shown {
            content: content.unwrap_or(Content::Dir),
            sides,
            exec: mode.is_some_and(|(_, exec)| exec),
        }
    }

    /// The record that shows a node.
    pub(crate) fn record(&self, ix: Ix) -> Option<RecordId> {
        self.nodes.record(ix).map(RecordId)
    }

    /// What a disk that shows `data` for this member has seen: all heads but the contents that are open and not shown.
    pub(crate) fn unseen(&self, ix: Ix, data: ContentId) -> Heads {
        let node = self.nodes.node(ix);
        if self.policy != Policy::Ask || node.kind == Kind::Dir || (node.contents.len() == 1 && node.contents[0].1.id() == data) {
            return Heads::new();
        }
        let open = self.nodes.candidates(node, &node.contents, Register::Content);
        open.into_iter()
            .filter(|(_, c)| c.id() != data)
            .map(|(dot, _)| Head {
                register: Register::Content,
                dot: *dot,
            })
            .collect()
    }

    /// The path of an entry.
    pub(crate) fn path(&self, entry: &Entry) -> String {
        let mut names = vec![entry.name.clone()];
        let mut at = entry.parent;
        while at != Ix::NONE && at != Ix::ROOT {
            let Some(parent) = self.entry(at) else { break };
            names.push(parent.name.clone());
            at = parent.parent;
        }
        names.reverse();
        names.join("/")
    }
}
