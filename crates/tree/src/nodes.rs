//! All nodes of a replica, with what is derived of each: where it is, whether it lives. Kept up to date by [`Nodes::refresh`],
//! whose cost follows what changed.

use crate::faults::{Fault, on};
use crate::folders::{Folders, push};
use crate::id::{Dot, NodeId};
use crate::node::{Gone, Head, Heads, Kind, Node, Place, Register};
use crate::set::Number;
use crate::set::Set;
use crate::view::Names;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A node's number in this replica, in this run of the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Ix(pub(crate) u32);

impl Ix {
    /// The folder's root.
    pub(crate) const ROOT: Ix = Ix(0);
    /// No node.
    pub(crate) const NONE: Ix = Ix(u32::MAX);
}

impl Number for Ix {
    fn number(self) -> u32 {
        self.0
    }
    fn from_number(number: u32) -> Ix {
        Ix(number)
    }
}

/// Why a node stands in the root, under a marked name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Adrift {
    /// Its parent is not known here.
    Orphan,
    /// Of a loop of parents it was moved last.
    Loop,
}

/// A node with what is derived of it.
#[derive(Debug)]
#[cfg_attr(feature = "faults", derive(Clone))]
struct Slot {
    node: Arc<Node>,
    /// The local sequence of its last change.
    sequence: u64,
    /// The parent of the chosen place; NONE if it is not known here.
    raw: Ix,
    /// How many live nodes have it as their parent.
    live_children: u32,
    /// The record that shows it; `u32::MAX` for none.
    record: u32,
    /// The hash of its name, once it is attached.
    hash: u32,
    /// Which of the node's places is chosen.
    place: u16,
    adrift: Option<Adrift>,
    /// Whether a place or content head of its own keeps it alive.
    lives_itself: bool,
    /// Whether it stands in the index of children and counts at its parent. New and changed nodes do not, until refreshed.
    attached: bool,
    /// Whether it is among those to be attached again.
    awaited: bool,
}

impl Slot {
    fn new(node: Arc<Node>, sequence: u64) -> Slot {
        Slot {
            node,
            sequence,
            raw: Ix::NONE,
            live_children: 0,
            record: u32::MAX,
            hash: 0,
            place: 0,
            adrift: None,
            lives_itself: false,
            attached: false,
            awaited: false,
        }
    }
}

/// All nodes of a replica.
#[cfg_attr(feature = "faults", derive(Clone))]
pub(crate) struct Nodes {
    slots: Vec<Slot>,
    free: Vec<Ix>,
    by_id: HashTable<Ix>,
    /// Every attached node, dead ones too.
    children: Folders<Ix>,
    /// Nodes with a deletion that came together with that of a parent: (parent, node).
    under: BTreeSet<(NodeId, Ix)>,
    /// Nodes whose chosen parent is not known here: (parent, node).
    awaiting: BTreeSet<(NodeId, Ix)>,
    /// The loops of parents that there are now, each with the node that was put adrift.
    loops: Vec<Vec<Ix>>,
    /// Nodes that were added or replaced since the last refresh. They are detached.
    touched: Vec<Ix>,
    /// Nodes that the detaching of touched ones may have changed. Some may be in it twice, or forgotten by now.
    dirty: Vec<Ix>,
    /// Directories that died, by what was written of them or by what left them; some live again.
    pub(crate) stirred: Set<Ix>,
    /// So many may be in it before those that are in it twice are taken out.
    dirty_room: usize,
    /// Directories that are one entry with others, each with all of them by rising id.
    unions: HashMap<Ix, Arc<[Ix]>>,
    names: Arc<dyn Names>,
    hasher: DefaultHashBuilder,
}

impl Nodes {
    pub(crate) fn new(names: Arc<dyn Names>) -> Nodes {
        let root = Arc::new(Node::unwritten(NodeId::ROOT, Kind::Dir, 0));
        let mut slot = Slot::new(root, 0);
        (slot.lives_itself, slot.attached) = (true, true);
        Nodes {
            slots: vec![slot],
            free: Vec::new(),
            by_id: HashTable::new(),
            children: Folders::new(),
            under: BTreeSet::new(),
            awaiting: BTreeSet::new(),
            loops: Vec::new(),
            touched: Vec::new(),
            dirty: Vec::new(),
            stirred: Set::default(),
            dirty_room: DIRTY_ROOM,
            unions: HashMap::new(),
            names,
            hasher: DefaultHashBuilder::default(),
        }
    }

    fn slot(&self, ix: Ix) -> &Slot {
        &self.slots[ix.0 as usize]
    }

    fn slot_mut(&mut self, ix: Ix) -> &mut Slot {
        &mut self.slots[ix.0 as usize]
    }

    pub(crate) fn node(&self, ix: Ix) -> &Arc<Node> {
        &self.slot(ix).node
    }

    pub(crate) fn id(&self, ix: Ix) -> NodeId {
        self.slot(ix).node.id
    }

    pub(crate) fn kind(&self, ix: Ix) -> Kind {
        self.slot(ix).node.kind
    }

    pub(crate) fn find(&self, id: NodeId) -> Option<Ix> {
        if id == NodeId::ROOT {
            return Some(Ix::ROOT);
        }
        self.by_id.find(self.hasher.hash_one(id), |ix| self.id(*ix) == id).copied()
    }

    pub(crate) fn sequence(&self, ix: Ix) -> u64 {
        self.slot(ix).sequence
    }

    /// The record that shows the node.
    pub(crate) fn record(&self, ix: Ix) -> Option<u32> {
        Some(self.slot(ix).record).filter(|r| *r != u32::MAX)
    }

    pub(crate) fn set_record(&mut self, ix: Ix, record: Option<u32>) {
        self.slot_mut(ix).record = record.unwrap_or(u32::MAX);
    }

    /// All nodes but the root, in no order that means anything.
    pub(crate) fn all(&self) -> impl Iterator<Item = Ix> + '_ {
        self.by_id.iter().copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The hash under which the index of children finds a name.
    pub(crate) fn name_hash(&self, name: &str) -> u32 {
        if self.names.folds() {
            self.hasher.hash_one(self.names.fold(name).as_str()) as u32
        } else {
            self.hasher.hash_one(name) as u32
        }
    }

    pub(crate) fn same_name(&self, a: &str, b: &str) -> bool {
        a == b || (self.names.folds() && self.names.fold(a) == self.names.fold(b))
    }

    pub(crate) fn names(&self) -> &Arc<dyn Names> {
        &self.names
    }

    /// Adds a node that is not known yet. It is derived at the next refresh.
    pub(crate) fn add(&mut self, node: Arc<Node>, sequence: u64) -> Ix {
        let id = node.id;
        let slot = Slot::new(node, sequence);
        let ix = if let Some(ix) = self.free.pop() {
            *self.slot_mut(ix) = slot;
            ix
        } else {
            push(&mut self.slots, slot);
            Ix(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX - 1))
        };
        let rehash = |ix: &Ix| self.hasher.hash_one(self.slots[ix.0 as usize].node.id);
        self.by_id.insert_unique(self.hasher.hash_one(id), ix, rehash);
        self.touched.push(ix);
        ix
    }

    /// Puts a new state of a node in the place of the old one. It is derived at the next refresh.
    pub(crate) fn replace(&mut self, ix: Ix, node: Arc<Node>, sequence: u64) {
        if self.stays_in_place(ix, &node) {
            self.dirty.push(ix);
            self.mates(ix);
        } else {
            self.detach(ix);
            self.unlist_under(ix);
            self.touched.push(ix);
        }
        let slot = self.slot_mut(ix);
        slot.node = node;
        slot.sequence = sequence;
    }

    /// Whether another state of a node changes nothing of what is derived of it, or of others.
    fn stays_in_place(&self, ix: Ix, node: &Node) -> bool {
        let slot = self.slot(ix);
        let old = &slot.node;
        slot.attached && node.kind != Kind::Dir && old.gones.is_empty() && node.gones.is_empty() && old.places == node.places
    }

    /// Forgets a dead node that has no children.
    pub(crate) fn forget(&mut self, ix: Ix) {
        self.detach(ix);
        self.unlist_under(ix);
        let id = self.id(ix);
        if let Ok(entry) = self.by_id.find_entry(self.hasher.hash_one(id), |other| *other == ix) {
            entry.remove();
        }
        self.unions.remove(&ix);
        let slot = self.slot_mut(ix);
        slot.node = Arc::new(Node::unwritten(NodeId::ROOT, Kind::Dir, 0));
        slot.record = u32::MAX;
        slot.adrift = None;
        self.free.push(ix);
    }

    // ---- deletions

    /// Whether a deletion counts. One that came with the parent's waits for the parent's, and fails with it: if the
    /// parent escaped by a rename that no deletion has seen, or is itself no longer under an effective one.
    pub(crate) fn effective(&self, gone: &Gone, dot: Dot) -> bool {
        if on(Fault::UnderIsPlain) {
            return true;
        }
        let mut under = gone.under;
        let mut steps = 0usize;
        loop {
            let Some(id) = under else { return true };
            let Some(parent) = self.find(id).map(|ix| self.node(ix)).filter(|p| p.kind == Kind::Dir) else {
                return on(Fault::NoWaiting);
            };
            if !parent.covers(dot) && !on(Fault::NoWaiting) {
                return false;
            }
            let Some(above) = parent.gone(dot) else { return true };
            if has_unseen_place(parent) {
                return false;
            }
            under = above.under;
            steps += 1;
            if steps > DEEPEST {
                return true; // a loop of parents, which only a broken peer can make
            }
        }
    }

    /// Whether the deletion `dot` of a directory lost to a rename that no deletion has seen.
    pub(crate) fn escaped(&self, node: &Node, dot: Dot) -> bool {
        let Some(gone) = node.gone(dot) else { return false };
        has_unseen_place(node) || !self.effective(gone, dot)
    }

    /// The heads of a node that some effective deletion has seen.
    pub(crate) fn doomed(&self, node: &Node) -> Heads {
        let mut doomed = Heads::new();
        for (dot, gone) in &node.gones {
            if self.effective(gone, *dot) {
                doomed.extend(gone.seen.iter().copied().filter(|h| !doomed.contains(h)).collect::<Heads>());
            }
        }
        doomed
    }

    /// What else a write by someone who has seen it settles. A write of content, or the move of a directory: the
    /// deletions, and the heads these doomed where an unseen head outlived them; the move of a file: the void deletions.
    /// What a directory escaped it keeps: all that is in it escaped with it, and counts on that.
    pub(crate) fn settled(&self, ix: Ix, register: Register) -> Heads {
        let node = self.node(ix);
        if node.gones.is_empty() {
            return Heads::new();
        }
        let gone = |dot| Head {
            register: Register::Gone,
            dot,
        };
        if register == Register::Place && node.kind != Kind::Dir {
            return node
                .gones
                .iter()
                .filter(|(d, g)| !self.effective(g, *d))
                .map(|(d, _)| gone(*d))
                .collect();
        }
        let mut heads: Heads = node
            .gones
            .iter()
            .filter(|(d, _)| node.kind != Kind::Dir || !self.escaped(node, *d) || on(Fault::SettlesEscaped))
            .map(|(d, _)| gone(*d))
            .collect();
        if !on(Fault::SettlesDeletionsOnly) {
            heads.extend(self.outlived(node));
        }
        heads
    }

    /// The heads that an effective deletion has seen, where an unseen head outlived them.
    fn outlived(&self, node: &Node) -> Heads {
        let doomed = self.doomed(node);
        let mut outlived = Heads::new();
        for register in [Register::Place, Register::Content] {
            let mine: Heads = node.heads().filter(|h| h.register == register).collect();
            if mine.iter().any(|h| !doomed.contains(h)) {
                outlived.extend(mine.into_iter().filter(|h| doomed.contains(h)));
            }
        }
        outlived
    }

    /// What a deletion by someone who has seen these heads is to say that it has seen, and what it settles of them besides earlier
    /// deletions: of a file, what these doomed and an unseen head outlived. Else it would be there again, should the file outlive this
    /// deletion as well.
    pub(crate) fn seen_off(&self, ix: Ix, mut seen: Heads) -> (Heads, Heads) {
        let node = self.node(ix);
        let mut settled = Heads::new();
        if node.kind != Kind::Dir && !node.gones.is_empty() {
            settled = self.outlived(node);
            // (What stays is written anew with the deletion: by whoever has seen it.)
            let stays = |register| node.heads().filter(|h| h.register == register && !settled.contains(h)).max();
            let seen_to = [Register::Place, Register::Content].map(|r| stays(r).filter(|h| seen.contains(h)).map(|h| h.register));
            settled.retain(|h| seen.contains(h) && seen_to.contains(&Some(h.register)));
            seen.retain(|h| !settled.contains(h));
        }
        seen.sort();
        (seen, settled)
    }

    /// Whether something is known that is in a directory of this name, which is not.
    pub(crate) fn is_awaited(&self, id: NodeId) -> bool {
        self.awaiting.range((id, Ix(0))..=(id, Ix::NONE)).next().is_some()
    }

    // ---- what is derived

    /// The places that no deletion has seen; if there are none, all.
    pub(crate) fn candidate_places<'a>(&self, node: &'a Node) -> Vec<&'a (Dot, Place)> {
        self.candidates(node, &node.places, Register::Place)
    }

    /// The values of a register that no deletion has seen; if there are none, all. In the order of their dots.
    pub(crate) fn candidates<'a, T>(&self, node: &Node, values: &'a [(Dot, T)], register: Register) -> Vec<&'a (Dot, T)> {
        if node.gones.is_empty() {
            return values.iter().collect();
        }
        let doomed = self.doomed(node);
        let unseen: Vec<_> = values
            .iter()
            .filter(|(dot, _)| !doomed.contains(&Head { register, dot: *dot }))
            .collect();
        if unseen.is_empty() { values.iter().collect() } else { unseen }
    }

    /// The chosen place: the newest that no deletion has seen.
    pub(crate) fn place(&self, ix: Ix) -> &(Dot, Place) {
        let slot = self.slot(ix);
        &slot.node.places[usize::from(slot.place)]
    }

    pub(crate) fn name(&self, ix: Ix) -> &Arc<str> {
        &self.place(ix).1.name
    }

    /// The parent; of what is adrift, the root.
    pub(crate) fn parent(&self, ix: Ix) -> Ix {
        let slot = self.slot(ix);
        if slot.adrift.is_some() { Ix::ROOT } else { slot.raw }
    }

    pub(crate) fn adrift(&self, ix: Ix) -> Option<Adrift> {
        self.slot(ix).adrift
    }

    /// A node lives while it has a place or content unseen by its deletions, or something live is in it.
    pub(crate) fn live(&self, ix: Ix) -> bool {
        let slot = self.slot(ix);
        slot.attached && (slot.lives_itself || slot.live_children > 0)
    }

    pub(crate) fn lives_itself(&self, ix: Ix) -> bool {
        self.slot(ix).attached && self.slot(ix).lives_itself
    }

    /// All nodes in `parent`, dead ones too, whose names may fold to the same as `name` (compare before use).
    pub(crate) fn named(&self, parent: Ix, name: &str) -> impl Iterator<Item = Ix> + '_ {
        let hash = self.name_hash(name);
        self.children.named(parent, hash)
    }

    /// All nodes that want the same name in `parent`, or one that hashes like it: at most the cost of a look.
    fn like(&self, parent: Ix, ix: Ix) -> impl Iterator<Item = Ix> + '_ {
        self.children.named(parent, self.slot(ix).hash)
    }

    /// Whether no other live node wants the same name at the same path.
    pub(crate) fn alone(&self, ix: Ix) -> bool {
        let parents = self.union(self.parent(ix));
        let mut all = parents.iter().flat_map(|p| self.like(*p, ix));
        all.all(|n| n == ix || !self.live(n))
    }

    /// All nodes in `parent`, dead ones too.
    pub(crate) fn inside(&self, parent: Ix) -> impl Iterator<Item = Ix> + '_ {
        self.children.inside(parent)
    }

    // ---- keeping it up to date

    /// Brings what is derived up to date with the nodes. Returns those that may now have to be shown otherwise, in order: the
    /// nodes changed, those that share or shared a name with them, and those that came to life or died with them.
    pub(crate) fn refresh(&mut self) -> Vec<Ix> {
        let mut affected = self.with_dependents();
        if !affected.is_empty() {
            // The old loops are looked at again as a whole: that is rare, and they are small.
            for ix in std::mem::take(&mut self.loops).into_iter().flatten() {
                self.await_again(ix, &mut affected);
            }
        }
        for ix in &affected {
            self.detach(*ix);
        }
        for ix in &affected {
            self.derive(*ix);
        }
        for ix in self.break_loops(&affected) {
            self.detach(ix);
            self.slot_mut(ix).adrift = Some(Adrift::Loop);
            self.await_again(ix, &mut affected);
        }
        for ix in &affected {
            self.slot_mut(*ix).awaited = false;
            self.attach(*ix);
        }
        for ix in &affected {
            self.mates(*ix);
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.extend(affected);
        dirty.retain(|ix| *ix != Ix::ROOT && self.id(*ix) != NodeId::ROOT);
        self.unite(&mut dirty);
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }

    /// Notes that a node is to be attached again; once.
    fn await_again(&mut self, ix: Ix, affected: &mut Vec<Ix>) {
        let slot = self.slot_mut(ix);
        if ix != Ix::ROOT && !slot.awaited {
            slot.awaited = true;
            affected.push(ix);
        }
    }

    /// The directories that are one entry with a directory, itself among them, by rising id.
    pub(crate) fn union(&self, dir: Ix) -> SmallVec<[Ix; 2]> {
        match self.unions.get(&dir) {
            Some(all) => SmallVec::from_slice(all),
            None => SmallVec::from_slice(&[dir]),
        }
    }

    /// Finds out which of the dirty directories are now one entry with others, or no more; all that is in those is dirty too.
    fn unite(&mut self, dirty: &mut Vec<Ix>) {
        let mut todo: Vec<Ix> = dirty.iter().copied().filter(|ix| self.kind(*ix) == Kind::Dir).collect();
        if on(Fault::UnionsUnwatched) {
            return;
        }
        while let Some(ix) = todo.pop() {
            let (old, new) = (self.union(ix), self.find_union(ix));
            if old == new {
                continue;
            }
            let concerned: BTreeSet<Ix> = old.into_iter().chain(new).collect();
            for dir in concerned {
                let new = self.find_union(dir);
                if new.len() > 1 {
                    self.unions.insert(dir, new.as_slice().into());
                } else {
                    self.unions.remove(&dir);
                }
                dirty.push(dir);
                for child in self.inside(dir) {
                    dirty.push(child);
                    if self.kind(child) == Kind::Dir {
                        todo.push(child);
                    }
                }
            }
        }
    }

    /// The live directories of one path, if that of their parents is known.
    fn find_union(&self, dir: Ix) -> SmallVec<[Ix; 2]> {
        let joins = |ix: Ix| self.kind(ix) == Kind::Dir && self.live(ix) && self.adrift(ix).is_none();
        if dir == Ix::ROOT || !joins(dir) {
            return SmallVec::from_slice(&[dir]);
        }
        let name = self.name(dir);
        let mut all: SmallVec<[Ix; 2]> = SmallVec::new();
        for parent in self.union(self.parent(dir)) {
            all.extend(self.like(parent, dir).filter(|ix| joins(*ix) && self.name(*ix) == name));
        }
        all.sort_by_key(|ix| self.id(*ix));
        all
    }

    /// The touched nodes, with those whose deletion hangs on theirs, and those that waited for them as parents.
    fn with_dependents(&mut self) -> Vec<Ix> {
        let mut all = Vec::new();
        let mut todo = std::mem::take(&mut self.touched);
        while let Some(ix) = todo.pop() {
            if self.slot(ix).awaited || self.id(ix) == NodeId::ROOT {
                continue; // met before; or forgotten
            }
            self.await_again(ix, &mut all);
            let node = &self.slots[ix.0 as usize].node;
            self.under
                .extend(node.gones.iter().filter_map(|(_, g)| g.under).map(|parent| (parent, ix)));
            if node.kind == Kind::Dir && !(self.under.is_empty() && self.awaiting.is_empty()) {
                let of = (node.id, Ix(0))..=(node.id, Ix::NONE);
                todo.extend(self.under.range(of.clone()).map(|(_, ix)| *ix));
                todo.extend(self.awaiting.range(of).map(|(_, ix)| *ix));
            }
        }
        all.sort_unstable();
        all
    }

    fn unlist_under(&mut self, ix: Ix) {
        let node = &self.slots[ix.0 as usize].node;
        for parent in node.gones.iter().filter_map(|(_, g)| g.under) {
            self.under.remove(&(parent, ix));
        }
    }

    /// Chooses the place of a detached node, and says whether it lives by itself.
    fn derive(&mut self, ix: Ix) {
        let node = self.node(ix).clone();
        let doomed = if node.gones.is_empty() {
            Heads::new()
        } else {
            self.doomed(&node)
        };
        let is_doomed = |register, dot| doomed.contains(&Head { register, dot });
        let place = (0..node.places.len())
            .rev()
            .find(|i| !is_doomed(Register::Place, node.places[*i].0))
            .unwrap_or(node.places.len().saturating_sub(1));
        let lives = node.places.iter().any(|(d, _)| !is_doomed(Register::Place, *d))
            || node.contents.iter().any(|(d, _)| !is_doomed(Register::Content, *d));
        let parent = node.places[place].1.parent;
        let raw = self.find(parent).filter(|p| self.kind(*p) == Kind::Dir).unwrap_or(Ix::NONE);
        if raw == Ix::NONE {
            self.awaiting.insert((parent, ix));
        }
        let hash = self.name_hash(&node.places[place].1.name);
        let slot = self.slot_mut(ix);
        slot.hash = hash;
        slot.place = u16::try_from(place).unwrap_or(u16::MAX);
        slot.lives_itself = lives;
        slot.raw = raw;
        slot.adrift = (raw == Ix::NONE).then_some(Adrift::Orphan);
    }

    /// Finds the loops of parents that affected directories are in; of each, the one moved last is to go adrift.
    fn break_loops(&mut self, affected: &[Ix]) -> Vec<Ix> {
        let mut breakers = Vec::new();
        if on(Fault::LoopsStay) {
            return breakers;
        }
        let mut done: HashSet<Ix> = HashSet::new();
        for start in affected {
            if self.kind(*start) != Kind::Dir {
                continue;
            }
            let mut trail: Vec<Ix> = Vec::new();
            let mut on_trail: HashSet<Ix> = HashSet::new();
            let mut ix = *start;
            while ix != Ix::ROOT && ix != Ix::NONE && !done.contains(&ix) && on_trail.insert(ix) {
                trail.push(ix);
                ix = self.slot(ix).raw;
            }
            if on_trail.contains(&ix) {
                let at = trail.iter().position(|t| *t == ix).unwrap_or(0);
                let members = trail[at..].to_vec();
                if let Some(breaker) = members.iter().copied().max_by_key(|m| (self.place(*m).0, self.id(*m))) {
                    breakers.push(breaker);
                }
                self.loops.push(members);
            }
            done.extend(trail);
        }
        breakers
    }

    fn attach(&mut self, ix: Ix) {
        if self.slot(ix).attached {
            return;
        }
        let (parent, hash) = (self.parent(ix), self.slot(ix).hash);
        self.children.insert(ix, parent, hash);
        self.slot_mut(ix).attached = true;
        if self.live(ix) {
            self.count_child(parent, true);
        } else if self.kind(ix) == Kind::Dir {
            self.stirred.insert(ix);
        }
    }

    /// Takes a node out of the indexes, while what was derived of it still fits them.
    fn detach(&mut self, ix: Ix) {
        if !self.slot(ix).attached {
            return;
        }
        self.mates(ix);
        let (live, parent) = (self.live(ix), self.parent(ix));
        self.children.remove(ix);
        if self.slot(ix).adrift == Some(Adrift::Orphan) {
            let awaited = self.place(ix).1.parent;
            self.awaiting.remove(&(awaited, ix));
        }
        self.slot_mut(ix).attached = false;
        if live {
            self.count_child(parent, false);
        }
    }

    /// One live child more or fewer: the parent, and those above it, may come to life or die.
    fn count_child(&mut self, parent: Ix, more: bool) {
        let mut ix = parent;
        loop {
            let was = self.live(ix);
            let slot = self.slot_mut(ix);
            slot.live_children = if more {
                slot.live_children + 1
            } else {
                slot.live_children.saturating_sub(1)
            };
            if ix == Ix::ROOT || self.live(ix) == was {
                return;
            }
            self.dirty.push(ix);
            if !self.node(ix).gones.is_empty() {
                self.stirred.insert(ix);
            }
            self.mates(ix);
            ix = self.parent(ix);
        }
    }

    /// Notes those that stand at the same path under the same name, or whose marked name this one's may be.
    fn mates(&mut self, ix: Ix) {
        let plain = crate::suffix::unmarked(self.name(ix));
        for parent in self.union(self.parent(ix)) {
            let hash = self.slot(ix).hash;
            self.dirty.extend(self.children.named(parent, hash).filter(|n| *n != ix));
            if let Some(plain) = &plain {
                let hash = self.name_hash(plain);
                self.dirty.extend(self.children.named(parent, hash));
            }
        }
        // Of very many that share a name, each notes all.
        if self.dirty.len() > self.dirty_room {
            self.dirty.sort_unstable();
            self.dirty.dedup();
            self.dirty_room = DIRTY_ROOM.max(self.dirty.len() * 2);
        }
    }
}

/// So many nodes may always be noted as dirty, some of them twice.
const DIRTY_ROOM: usize = 1 << 16;

/// No directories are nested deeper than this: paths are shorter.
pub(crate) const DEEPEST: usize = 10_000;

/// Whether a node has a place that no deletion of it has seen.
fn has_unseen_place(node: &Node) -> bool {
    node.places.iter().any(|(dot, _)| {
        let head = Head {
            register: Register::Place,
            dot: *dot,
        };
        !node.gones.iter().any(|(_, g)| g.seen.contains(&head))
    })
}
