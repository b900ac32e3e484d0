//! A replica: the nodes of a folder, and the records of one disk that shows them.

use crate::conflict::Conflict;
use crate::entries::{Policy, View};
use crate::faults::{Fault, on};
use crate::folders::push;
use crate::id::{ContentId, Dot, NodeId, ReplicaId};
use crate::node::Kind;
use crate::node::{Head, Malformed, Node, is_name};
use crate::nodes::{Ix, Nodes};
use crate::observe::{Observed, Observing};
use crate::records::PARKED_PATH;
use crate::records::{Record, RecordId, Records, Seen};
use crate::set::Set;
use crate::survey::Survey;
use crate::vector::Vector;
use crate::view::{Bytes, FileKey, Fingerprint, Names};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How far ahead of this replica's clock a received time may be, in milliseconds: a clock that is wrong by years must not
/// take the folder's clock along for ever.
pub const MAX_AHEAD_MS: u64 = 100 * 366 * 24 * 3600 * 1000;
/// No write has a time beyond this one: it could not be told from one that comes after it.
pub const MAX_TIME_MS: u64 = 1 << 53;

/// So many of its own last times a replica knows.
const MAX_TIMES: usize = 4096;

/// A replica of a folder. Its clock is hybrid: each scan's time is the wall clock's in milliseconds, but always more than
/// every time that was seen before.
#[cfg_attr(feature = "faults", derive(Clone))]
pub struct Replica {
    pub(crate) id: ReplicaId,
    pub(crate) nodes: Nodes,
    pub(crate) records: Records,
    pub(crate) policy: Policy,
    pub(crate) clock: u64,
    pub(crate) have: Vector,
    pub(crate) acks: BTreeMap<ReplicaId, Vector>,
    heard: BTreeMap<ReplicaId, u64>,
    partial: bool,
    /// Live nodes that their record may not show as it should, and dead ones that have a record.
    pub(crate) stale: Set<Ix>,
    /// Those of them that came to it since the last plan was made: what is done of that plan does not settle them, though they
    /// themselves be as they were (who shares a name with them may not).
    pub(crate) renewed: Set<Ix>,
    /// Those of them that a plan was for, in this round of plans.
    pub(crate) tried: Set<Ix>,
    /// Whether a step of this round was done.
    pub(crate) progress: bool,
    /// Nodes that may be part of a conflict.
    pub(crate) suspects: Set<Ix>,
    sequence: u64,
    /// The nodes that changed in this run, one for each sequence after `log_from`. Older changes are found by looking at all.
    log: Vec<Ix>,
    log_from: u64,
    changed: Set<Ix>,
    dropped: Vec<NodeId>,
    /// Dead directories, each with all that was known here when it was noticed that they are: who has not shown that may still have
    /// them, with what they put in there, though they show the deletion.
    left: HashMap<Ix, Arc<Vector>>,
    /// The state that the index has.
    saved: ReplicaState,
    /// The last times that this replica gave, oldest first: from the first of them on no other time is one of its writes. (Before all
    /// stands 0. An index of before these were kept has none.)
    times: VecDeque<u64>,
    /// From here on the index does not have them.
    times_unsaved: u64,
}

/// What a record is, for the index.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StoredRecord {
    /// Its number.
    pub id: RecordId,
    /// That of the directory that it is in.
    pub parent: RecordId,
    /// Its name on the disk, in the tree's words.
    pub name: Arc<str>,
    /// What is there.
    pub kind: Kind,
    /// The executable bit.
    pub exec: bool,
    /// The engine was about to remove it.
    pub leaving: bool,
    /// Which object is there.
    pub key: FileKey,
    /// What tells a change of its bytes.
    pub print: Fingerprint,
    /// A file's bytes.
    pub content: Option<ContentId>,
    /// A link's target.
    pub target: Option<Arc<str>>,
    /// The nodes that it shows, each with the heads that it reflects; `None` for all that the node has.
    pub members: Vec<(NodeId, Option<Vec<Head>>)>,
}

/// What a replica is besides its nodes and records, for the index.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ReplicaState {
    /// The last time given or seen.
    pub clock: u64,
    /// The local sequence of the last change of a node.
    pub sequence: u64,
    /// Up to where all writes are merged here.
    pub have: Vector,
    /// For each replica of the folder, what it had merged when its disk showed all that it had ([`Vector::retired`] for those that will
    /// never speak again).
    pub acks: BTreeMap<ReplicaId, Vector>,
    /// It may have nodes with writes that `have` does not cover, from an exchange that was not complete.
    pub partial: bool,
    /// For each replica that told all it had, its local sequence then: from there on it may go on.
    pub heard: BTreeMap<ReplicaId, u64>,
}

/// What is to be written to the index, in one transaction.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changes {
    /// Nodes that are new or have another state, each with its sequence.
    pub nodes: Vec<(Arc<Node>, u64)>,
    /// Nodes that were forgotten.
    pub dropped: Vec<NodeId>,
    /// Records that are new or have another state.
    pub records: Vec<StoredRecord>,
    /// Records that are no more.
    pub removed: Vec<RecordId>,
    /// The rest.
    pub state: ReplicaState,
    /// Times that the replica gave since.
    pub times: Vec<u64>,
    /// The first of its times that are still kept.
    pub times_from: u64,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (files, dirs) = self.records.counts();
        write!(
            f,
            "replica {} of {} nodes, {files} files, {dirs} directories",
            self.id,
            self.nodes.count()
        )
    }
}

impl Replica {
    /// A replica that knows nothing yet.
    #[must_use]
    pub fn new(id: ReplicaId, names: Arc<dyn Names>, policy: Policy) -> Replica {
        Replica {
            id,
            nodes: Nodes::new(names),
            records: Records::new(),
            policy,
            clock: 0,
            have: Vector::default(),
            acks: BTreeMap::from([(id, Vector::default())]),
            heard: BTreeMap::new(),
            partial: false,
            stale: Set::default(),
            renewed: Set::default(),
            tried: Set::default(),
            progress: false,
            suspects: Set::default(),
            sequence: 0,
            log: Vec::new(),
            log_from: 0,
            changed: Set::default(),
            dropped: Vec::new(),
            left: HashMap::new(),
            saved: ReplicaState::default(),
            times: VecDeque::from([0]),
            times_unsaved: 0,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// What happens to content conflicts.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Sets what happens to content conflicts. Not kept in the index.
    pub fn set_policy(&mut self, policy: Policy) {
        if self.policy != policy {
            self.policy = policy;
            self.find_stale();
        }
    }

    /// The local sequence of the last change of a node.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many nodes there are, dead ones too.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.count()
    }

    /// How many files and links, and how many directories, the disk shows as recorded.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.records.counts()
    }

    /// A node, by its name.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.find(id).filter(|ix| *ix != Ix::ROOT).map(|ix| self.nodes.node(ix))
    }

    /// Whether it has no record: a disk that was never looked at, or an empty one.
    #[must_use]
    pub fn shows_nothing(&self) -> bool {
        self.records.counts() == (0, 0)
    }

    // ---- scanning

    /// Turns what a scan found into operations, all under one dot. `wall_ms` is the wall clock, in milliseconds since 1970.
    pub fn observe(&mut self, survey: Survey, wall_ms: u64) -> Observed {
        if survey.is_empty() {
            return Observed::default();
        }
        Observing::new(self, survey, wall_ms).run()
    }

    /// A new dot.
    pub(crate) fn tick(&mut self, wall_ms: u64) -> Dot {
        self.clock = self.clock.saturating_add(1).max(wall_ms.min(MAX_TIME_MS));
        self.have.note(self.id, self.clock);
        if self.times.len() == MAX_TIMES {
            self.times.pop_front();
        }
        self.times.push_back(self.clock);
        Dot {
            time: self.clock,
            replica: self.id,
        }
    }

    /// Whether this replica may have given a time: what it gave long ago is not known any more. If not, whoever knows of a write of
    /// that time knows more of this replica than its index does.
    #[must_use]
    pub fn may_have_given(&self, time: u64) -> bool {
        time <= self.have.time(self.id)
            && (self.times.front().is_none_or(|first| time < *first) || self.times.binary_search(&time).is_ok())
    }

    /// Whether all replicas have seen a write: one by another has at least been seen by two, and one's own if all said so.
    pub(crate) fn agreed(&self, dot: Dot) -> bool {
        dot.replica != self.id || self.waited_for().all(|(r, ack)| r == self.id || ack.covers(dot))
    }

    // ---- merging

    /// Merges what another replica has of a node. Says whether anything changed here.
    ///
    /// # Errors
    /// A node that no well-behaved replica can have made; nothing was merged.
    pub fn receive(&mut self, node: &Arc<Node>, wall_ms: u64) -> Result<bool, Malformed> {
        self.take_in(node, wall_ms, false)
    }

    /// The same for several. What was forgotten here, and is the directory of something that was not, is
    /// known again: whoever sends both had something in there that nobody else knew of. Says of how many anything changed.
    ///
    /// # Errors
    /// As of [`receive`](Self::receive); what came before stays merged, and is noted as some of what the sender has.
    pub fn receive_some(&mut self, nodes: &[Arc<Node>], wall_ms: u64) -> Result<usize, Malformed> {
        let needed = self.needed(nodes);
        let mut changed = 0;
        for node in nodes {
            match self.take_in(node, wall_ms, needed.contains(&node.id)) {
                Ok(news) => changed += usize::from(news),
                Err(malformed) => {
                    self.partial |= changed > 0;
                    return Err(malformed);
                }
            }
        }
        Ok(changed)
    }

    /// Of nodes that come together, in any order, the directories that were forgotten here and something that was not is in.
    fn needed(&self, nodes: &[Arc<Node>]) -> HashSet<NodeId> {
        let is_forgotten = |node: &&Arc<Node>| {
            let is_dead_dir = node.kind == Kind::Dir && !node.gones.is_empty();
            is_dead_dir && self.nodes.find(node.id).is_none() && self.within_frontier(node)
        };
        let mut forgotten: HashMap<NodeId, &Arc<Node>> = HashMap::new();
        forgotten.extend(nodes.iter().filter(is_forgotten).map(|node| (node.id, node)));
        let mut needed = HashSet::new();
        if forgotten.is_empty() {
            return needed;
        }
        let is_taken = |node: &&Arc<Node>| self.nodes.find(node.id).is_some() || !self.within_frontier(node);
        let mut todo: Vec<NodeId> = nodes.iter().filter(is_taken).flat_map(|node| parents(node)).collect();
        todo.extend(forgotten.keys().copied().filter(|id| self.nodes.is_awaited(*id)));
        while let Some(id) = todo.pop() {
            if let Some(node) = forgotten.remove(&id) {
                needed.insert(id);
                todo.extend(parents(node));
            }
        }
        needed
    }

    fn take_in(&mut self, node: &Arc<Node>, wall_ms: u64, is_needed: bool) -> Result<bool, Malformed> {
        node.check()?;
        let latest = node.context.iter().map(|(_, time)| *time).max().unwrap_or(0);
        if latest > self.clock.max(wall_ms).saturating_add(MAX_AHEAD_MS).min(MAX_TIME_MS) {
            return Err(Malformed::Future);
        }
        if node.known(self.id) > self.have.time(self.id) {
            return Err(Malformed::Forged);
        }
        let known = self.nodes.find(node.id);
        if known.is_none() && !is_needed && self.within_frontier(node) && !on(Fault::ForgottenComeBack) {
            return Ok(false); // every replica has seen it dead: it was dropped here
        }
        match known {
            None => {
                self.sequence += 1;
                let ix = self.nodes.add(node.clone(), self.sequence);
                self.note_change(ix);
            }
            Some(ix) => {
                let mine = self.nodes.node(ix);
                if Arc::ptr_eq(mine, node) || mine.as_ref() == node.as_ref() {
                    return Ok(false);
                }
                if (mine.kind, mine.born) != (node.kind, node.born) {
                    return Err(Malformed::Shape);
                }
                let mut merged = mine.as_ref().clone();
                if !merged.merge(node) {
                    return Ok(false);
                }
                // Two nodes that can be are merged into one that can be, if both are of one history.
                merged.check()?;
                // Equal states are kept once, if both are in this program.
                let merged = if merged == **node { node.clone() } else { Arc::new(merged) };
                self.replace(ix, merged);
            }
        }
        self.clock = self.clock.max(latest);
        Ok(true)
    }

    /// Notes that a peer has sent all that it has: what it has merged, and what it knows of what others show.
    pub fn received_all(&mut self, have: &Vector, acks: &BTreeMap<ReplicaId, Vector>) {
        let own = self.have.time(self.id);
        self.have.join(have);
        self.have.0.insert(self.id, own);
        if own == 0 {
            self.have.0.remove(&self.id);
        }
        for (replica, ack) in acks.iter().filter(|(r, _)| **r != self.id) {
            let known = self.acks.entry(*replica).or_default();
            known.join(ack);
            if known.is_retired() {
                *known = Vector::retired();
            }
        }
    }

    /// Notes that all was received that another replica had at a local sequence of its own.
    pub fn heard_upto(&mut self, replica: ReplicaId, sequence: u64) {
        if replica != self.id {
            self.heard.insert(replica, sequence);
        }
    }

    /// For each replica that told all it had, its local sequence then.
    #[must_use]
    pub fn heard(&self) -> &BTreeMap<ReplicaId, u64> {
        &self.heard
    }

    /// Notes that a peer has sent nodes, but not all that it has.
    pub fn received_some(&mut self) {
        self.partial = true;
    }

    /// Whether `have` covers every write in every node: then a peer that has that much needs nothing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.partial
    }

    /// Notes that the disk shows all that the replica has. Says whether that is news.
    pub fn shows_all(&mut self) -> bool {
        let news = self.acks.get(&self.id) != Some(&self.have);
        self.acks.insert(self.id, self.have.clone());
        news
    }

    /// Up to where all writes are merged here.
    #[must_use]
    pub fn have(&self) -> &Vector {
        &self.have
    }

    /// For each replica of the folder, what it had merged when its disk showed all that it had; also for those that have retired.
    #[must_use]
    pub fn acks(&self) -> &BTreeMap<ReplicaId, Vector> {
        &self.acks
    }

    /// The members of the folder, this replica too, each with what it had merged when its disk showed all that it had: what all of them
    /// have seen dead is forgotten.
    pub fn waited_for(&self) -> impl Iterator<Item = (ReplicaId, &Vector)> {
        let all = self.acks.iter().map(|(replica, ack)| (*replica, ack));
        all.filter(|(_, ack)| !ack.is_retired())
    }

    /// Makes another replica a member of the folder, so that nothing is forgotten which it has not seen.
    pub fn add_member(&mut self, replica: ReplicaId) {
        self.acks.entry(replica).or_default();
    }

    /// Notes that a replica will never speak again (its index is gone, or its device was taken out of the folder): it is waited for no
    /// more, here and, once they hear of it, by others. Should it speak all the same, it has to begin anew: what it has may be forgotten
    /// everywhere else. Says whether that is news.
    pub fn retire(&mut self, replica: ReplicaId) -> bool {
        if replica == self.id || self.is_retired(replica) {
            return false;
        }
        self.acks.insert(replica, Vector::retired());
        self.heard.remove(&replica);
        true
    }

    /// Whether a replica was noted as one that will never speak again.
    #[must_use]
    pub fn is_retired(&self, replica: ReplicaId) -> bool {
        self.acks.get(&replica).is_some_and(Vector::is_retired)
    }

    /// The nodes that changed after a sequence, in the order in which they did: parents before what is in them, where both
    /// are new.
    #[must_use]
    pub fn changed_since(&self, sequence: u64) -> Vec<Arc<Node>> {
        if sequence >= self.log_from {
            let skip = usize::try_from(sequence - self.log_from).unwrap_or(usize::MAX);
            let log = (sequence + 1..).zip(self.log.get(skip..).unwrap_or_default());
            let latest = log.filter(|(s, ix)| **ix != Ix::NONE && self.nodes.sequence(**ix) == *s);
            return latest.map(|(_, ix)| self.nodes.node(*ix).clone()).collect();
        }
        let all = self.nodes.all().map(|ix| (self.nodes.sequence(ix), ix));
        let mut some: Vec<(u64, Ix)> = all.filter(|(s, _)| *s > sequence).collect();
        some.sort_unstable();
        some.into_iter().map(|(_, ix)| self.nodes.node(ix).clone()).collect()
    }

    /// Forgets the list of changes up to a sequence that no link asks for any more.
    pub fn forget_log(&mut self, upto: u64) {
        let upto = upto.min(self.sequence);
        let known = usize::try_from(upto.saturating_sub(self.log_from)).unwrap_or(usize::MAX);
        self.log.drain(..known.min(self.log.len()));
        self.log_from = self.log_from.max(upto);
    }

    /// Whether this replica said that it shows all that is known of a node: if that is dead, others may have forgotten it.
    pub(crate) fn was_shown(&self, node: &Node) -> bool {
        let ack = self.acks.get(&self.id);
        ack.is_some_and(|ack| node.context.iter().all(|(r, t)| *t <= ack.time(*r)))
    }

    fn within_frontier(&self, node: &Node) -> bool {
        let within = |ack: &Vector| node.context.iter().all(|(r, t)| *t <= ack.time(*r));
        if on(Fault::ForgetsUnseen) {
            return within(&self.have);
        }
        self.waited_for().all(|(_, ack)| within(ack))
    }

    /// What all members have seen, and show.
    #[must_use]
    pub fn frontier(&self) -> Vector {
        let mut all = self.waited_for().map(|(_, ack)| ack);
        let first = all.next().cloned().unwrap_or_default();
        all.fold(first, |seen, ack| seen.meet(ack))
    }

    /// Drops dead nodes that every replica has seen dead; what is in a directory before the directory. Returns how many.
    pub fn collect(&mut self) -> usize {
        self.refresh();
        // How many nodes name a node as their parent.
        let mut named: HashMap<NodeId, usize> = HashMap::new();
        for ix in self.nodes.all() {
            for parent in parents(self.nodes.node(ix)) {
                *named.entry(parent).or_default() += 1;
            }
        }
        let have = Arc::new(self.have.clone());
        let stirred = std::mem::take(&mut self.nodes.stirred);
        self.left.extend(stirred.iter().map(|ix| (ix, have.clone())));
        let seen = self.frontier();
        self.left.retain(|_, left| !seen.includes(left));
        let mut todo: Vec<Ix> = self.nodes.all().collect();
        let mut dropped: HashSet<Ix> = HashSet::new();
        while let Some(ix) = todo.pop() {
            let node = self.nodes.node(ix).clone();
            let goes = !self.nodes.live(ix)
                && self.nodes.record(ix).is_none()
                && named.get(&node.id).is_none_or(|n| *n == 0)
                && !self.left.contains_key(&ix)
                && self.within_frontier(&node);
            if !goes || !dropped.insert(ix) {
                continue;
            }
            for parent in parents(&node) {
                let left = named.entry(parent).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    todo.extend(self.nodes.find(parent).filter(|p| *p != Ix::ROOT));
                }
            }
        }
        let mut in_order: Vec<Ix> = dropped.iter().copied().collect();
        in_order.sort_unstable();
        for ix in &in_order {
            self.dropped.push(self.nodes.id(*ix));
            self.stale.remove(*ix);
            self.renewed.remove(*ix);
            self.tried.remove(*ix);
            self.suspects.remove(*ix);
            self.changed.remove(*ix);
            self.nodes.forget(*ix);
        }
        let forgotten = self.log.iter_mut().filter(|ix| dropped.contains(*ix));
        forgotten.for_each(|ix| *ix = Ix::NONE);
        dropped.len()
    }

    // ---- conflicts

    /// All that a person may want to decide, the same list on all replicas. In order of paths.
    pub fn conflicts(&mut self) -> Vec<Conflict> {
        self.refresh();
        crate::conflict::list(self)
    }

    // ---- the index

    /// All that changed since this was last asked, to be written in one transaction; `None` if nothing did.
    pub fn take_changes(&mut self) -> Option<Changes> {
        let nodes = std::mem::take(&mut self.changed);
        let records = self.records.take_changed();
        let dropped = std::mem::take(&mut self.dropped);
        let state = self.state();
        if nodes.is_empty() && records.is_empty() && dropped.is_empty() && self.saved == state {
            return None;
        }
        self.saved = state.clone();
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for id in records.iter().filter(|id| *id != RecordId::ROOT && *id != RecordId::PARKED) {
            match self.records.get(id) {
                Some(record) => kept.push(self.stored(id, record)),
                None => removed.push(id),
            }
        }
        let nodes = nodes
            .iter()
            .map(|ix| (self.nodes.node(ix).clone(), self.nodes.sequence(ix)))
            .collect();
        let unsaved = std::mem::replace(&mut self.times_unsaved, self.clock + 1);
        let first = self.times.partition_point(|time| *time < unsaved);
        let times = self.times.range(first..).copied().collect();
        Some(Changes {
            nodes,
            dropped,
            records: kept,
            removed,
            state: self.state(),
            times,
            times_from: self.times.front().copied().unwrap_or(0),
        })
    }

    /// What the replica is besides its nodes and records.
    #[must_use]
    pub fn state(&self) -> ReplicaState {
        ReplicaState {
            clock: self.clock,
            sequence: self.sequence,
            have: self.have.clone(),
            acks: self.acks.clone(),
            partial: self.partial,
            heard: self.heard.clone(),
        }
    }

    /// Puts back what an index kept.
    ///
    /// # Errors
    /// A record that shows a node which is not among the nodes, or a node that no replica can have made: the index is damaged.
    pub fn load(
        &mut self,
        state: ReplicaState,
        nodes: impl IntoIterator<Item = (Arc<Node>, u64)>,
        records: impl IntoIterator<Item = StoredRecord>,
    ) -> Result<(), Malformed> {
        for (node, sequence) in nodes {
            node.check()?;
            if self.nodes.find(node.id).is_some() {
                return Err(Malformed::Order);
            }
            self.nodes.add(node, sequence);
        }
        for stored in records {
            let mut members = SmallVec::new();
            for (node, seen) in stored.members {
                let ix = self.nodes.find(node).ok_or(Malformed::Shape)?;
                members.push((ix, seen.map_or(Seen::Everything, |heads| Seen::Just(heads.into()))));
                self.nodes.set_record(ix, Some(stored.id.0));
            }
            let bytes = match (stored.kind, stored.content, stored.target) {
                (Kind::Dir, _, _) => Bytes::Dir,
                (Kind::File, Some(id), _) => Bytes::File(id),
                (Kind::Link, _, Some(target)) => Bytes::Link(target),
                _ => return Err(Malformed::Shape),
            };
            if stored.id.0 < 2 || self.records.get(stored.id).is_some() {
                return Err(Malformed::Order);
            }
            if !is_name(&stored.name) {
                return Err(Malformed::Name);
            }
            let hash = self.nodes.name_hash(&stored.name);
            let record = Record {
                parent: stored.parent,
                name: stored.name,
                kind: stored.kind,
                exec: stored.exec,
                leaving: stored.leaving,
                key: stored.key,
                print: stored.print,
                bytes,
                members,
            };
            self.records.put(stored.id, record, hash);
        }
        if self
            .records
            .all()
            .any(|(_, r)| self.records.get(r.parent).is_none_or(|p| p.kind != Kind::Dir))
        {
            return Err(Malformed::Shape);
        }
        if !self.records.are_rooted() {
            return Err(Malformed::Shape);
        }
        self.records.find_free();
        (self.clock, self.sequence, self.have) = (state.clock, state.sequence, state.have);
        self.acks.extend(state.acks);
        self.partial = state.partial;
        self.heard = state.heard;
        self.log_from = self.sequence;
        self.saved = self.state();
        self.refresh();
        // What left them, and when, is not known any more.
        let dead = |ix: &Ix| self.nodes.kind(*ix) == Kind::Dir && !self.nodes.live(*ix);
        let dead: Vec<Ix> = self.nodes.all().filter(dead).collect();
        self.nodes.stirred.extend(dead);
        self.stale.clear();
        self.find_stale();
        Ok(())
    }

    /// Puts back the times that an index kept, in any order.
    pub fn load_times(&mut self, times: impl IntoIterator<Item = u64>) {
        let mut times: Vec<u64> = times.into_iter().collect();
        times.sort_unstable();
        times.dedup();
        self.times = times.split_off(times.len().saturating_sub(MAX_TIMES)).into();
        self.times_unsaved = self.clock + 1;
    }

    fn stored(&self, id: RecordId, record: &Record) -> StoredRecord {
        let members = record.members.iter().map(|(ix, seen)| {
            let heads = match seen {
                Seen::Everything => None,
                Seen::Just(heads) => Some(heads.to_vec()),
            };
            (self.nodes.id(*ix), heads)
        });
        StoredRecord {
            id,
            parent: record.parent,
            name: record.name.clone(),
            kind: record.kind,
            exec: record.exec,
            leaving: record.leaving,
            key: record.key,
            print: record.print,
            content: if let Bytes::File(id) = &record.bytes {
                Some(*id)
            } else {
                None
            },
            target: if let Bytes::Link(target) = &record.bytes {
                Some(target.clone())
            } else {
                None
            },
            members: members.collect(),
        }
    }

    // ---- what the other parts of the tree do to it

    /// Brings what is derived up to date, and notes what may have to be shown otherwise.
    pub(crate) fn refresh(&mut self) {
        for ix in self.nodes.refresh() {
            self.stale.insert(ix);
            self.renewed.insert(ix);
            if crate::conflict::suspicious(self, ix) {
                self.suspects.insert(ix)
            } else {
                self.suspects.remove(ix)
            };
        }
    }

    /// Finds all that the disk may not show as it should, by looking at all nodes.
    fn find_stale(&mut self) {
        self.refresh();
        let nothing = |_: &ContentId| false;
        let stale: Vec<Ix> = {
            let view = View::new(&self.nodes, &self.records, self.policy, &nothing);
            self.nodes
                .all()
                .filter(|ix| !crate::plan::plainly_shown(&view, *ix))
                .collect()
        };
        self.stale.extend(stale);
    }

    fn note_change(&mut self, ix: Ix) {
        self.changed.insert(ix);
        push(&mut self.log, ix);
        debug_assert_eq!(self.log_from + self.log.len() as u64, self.sequence);
    }

    /// Gives a node another state that its record does not reflect.
    pub(crate) fn replace(&mut self, ix: Ix, node: Arc<Node>) {
        if let Some(id) = self.nodes.record(ix).map(RecordId) {
            let heads: Box<[Head]> = self.nodes.node(ix).heads().collect();
            if self.records.get(id).and_then(|r| r.seen(ix)) == Some(&Seen::Everything)
                && let Some(record) = self.records.get_mut(id)
            {
                record.set_seen(ix, Seen::Just(heads));
            }
        }
        self.sequence += 1;
        self.nodes.replace(ix, node, self.sequence);
        self.note_change(ix);
    }

    /// Takes in a new node that was made here.
    pub(crate) fn add_own(&mut self, node: Node) -> Ix {
        self.sequence += 1;
        let ix = self.nodes.add(Arc::new(node), self.sequence);
        self.note_change(ix);
        ix
    }

    /// Gives a node another state that its record reflects as far as the record says.
    pub(crate) fn store_own(&mut self, ix: Ix, node: Node) {
        self.sequence += 1;
        self.nodes.replace(ix, Arc::new(node), self.sequence);
        self.note_change(ix);
    }

    /// Makes a record show a node, with what it reflects of it.
    pub(crate) fn show(&mut self, id: RecordId, ix: Ix, seen: Seen) {
        if let Some(record) = self.records.get_mut(id) {
            record.set_seen(ix, seen);
            self.nodes.set_record(ix, Some(id.0));
        }
    }

    /// Takes a node out of a record.
    pub(crate) fn unshow(&mut self, id: RecordId, ix: Ix) {
        if let Some(record) = self.records.get_mut(id) {
            record.members.retain(|(m, _)| *m != ix);
            if self.nodes.record(ix) == Some(id.0) {
                self.nodes.set_record(ix, None);
            }
        }
    }

    /// See [`Records::rename`].
    pub(crate) fn rename_record(&mut self, id: RecordId, parent: RecordId, name: Arc<str>) -> bool {
        let hash = self.nodes.name_hash(&name);
        self.records.rename(id, parent, name, hash)
    }

    pub(crate) fn remove_record(&mut self, id: RecordId) {
        let Some(record) = self.records.remove(id) else { return };
        for (ix, _) in record.members {
            if self.nodes.record(ix) == Some(id.0) {
                self.nodes.set_record(ix, None);
            }
            self.stale.insert(ix);
        }
    }

    /// The records of exactly this name in a directory. There may be several: what was to go from there was gone before, unseen, and
    /// something else was put there; the next scan says where the first one is.
    pub(crate) fn children(&self, parent: RecordId, name: &str) -> impl Iterator<Item = RecordId> + '_ {
        let hash = self.nodes.name_hash(name);
        let name: Box<str> = name.into();
        let named = move |id: &RecordId| self.records.get(*id).is_some_and(|r| *r.name == *name);
        self.records.hashed(parent, hash).filter(named)
    }

    /// The record of exactly this name in a directory.
    pub(crate) fn child(&self, parent: RecordId, name: &str) -> Option<RecordId> {
        self.children(parent, name).min()
    }

    /// The record at a path.
    pub(crate) fn record_at(&self, path: &str) -> Option<RecordId> {
        if path.is_empty() {
            return Some(RecordId::ROOT);
        }
        if path == PARKED_PATH {
            return Some(RecordId::PARKED);
        }
        path.split('/').try_fold(RecordId::ROOT, |at, name| self.child(at, name))
    }
}

/// The directories that a node names: those that it is in, and those that it was deleted with.
fn parents(node: &Node) -> impl Iterator<Item = NodeId> + '_ {
    let places = node.places.iter().map(|(_, p)| p.parent);
    places.chain(node.gones.iter().filter_map(|(_, g)| g.under))
}
