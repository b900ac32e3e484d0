//! A device: a replica and its disk, with an engine that scans, applies, keeps bytes, and may stop at any step.

use super::Broken;
use super::disk::{Disk, FoldedNames, Object, bytes_of, join, split, within};
use super::fault::{self, WorldFault};
use super::random::Random;
use super::stored::Index;
use crate::need;
use bifold_tree::{
    Action, Bytes, Conflict, ConflictKind, ContentId, Dot, ExactNames, Expected, FileKey, Fingerprint, Kind, Listed, Names,
    NodeId, Outcome, PARKED_PATH, Pick, Policy, Projected, Replica, ReplicaId, Stat, StoredRecord, Survey, Wanted,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How an engine goes about it; all ways must come to the same.
#[derive(Clone, Debug)]
pub struct Way {
    /// About how many nodes are planned for at a time.
    pub limit: usize,
    /// Bytes of all sides come with the nodes; or else only those that a step missed.
    pub eager: bool,
    /// Complete exchanges send only what changed since the last.
    pub since: bool,
    /// Incremental and full derivation are compared after everything.
    pub compare: bool,
}

impl Way {
    pub fn plain() -> Way {
        Way {
            limit: usize::MAX,
            eager: true,
            since: false,
            compare: false,
        }
    }

    pub fn random(random: &mut Random) -> Way {
        Way {
            limit: if random.one_in(4) { 1 + random.below(4) } else { usize::MAX },
            eager: !random.one_in(3),
            since: random.one_in(2),
            compare: random.one_in(4),
        }
    }
}

/// Where an engine stops in the middle of applying.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// The step that is done, but not noted; from 1.
    pub step: usize,
    /// All that was not committed by then is lost too.
    pub lose: bool,
}

/// What a scan looks at.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    /// All.
    Full,
    /// Some paths, chosen by numbers.
    Part(usize, usize, usize),
}

#[derive(Clone)]
pub struct Device {
    pub name: String,
    pub id: ReplicaId,
    pub replica: Replica,
    pub disk: Disk,
    /// Bytes kept off the tree.
    pub store: BTreeMap<ContentId, String>,
    /// Bytes that the disk should show and that nobody sent yet.
    pub missing: BTreeSet<ContentId>,
    pub policy: Policy,
    pub way: Way,
    pub skew: i64,
    /// How often its program was started again.
    pub restarts: usize,
    index: Index,
    /// Up to which of its changes another replica was received completely.
    received: BTreeMap<ReplicaId, u64>,
}

/// A conflict without what is local to a device.
pub type Question = (ConflictKind, Vec<NodeId>, Vec<(Dot, ContentId)>);

pub fn question(c: &Conflict) -> Question {
    (
        c.kind,
        c.nodes.clone(),
        c.sides.iter().map(|s| (s.dot, s.content.id())).collect(),
    )
}

fn names(folds: bool) -> Arc<dyn Names> {
    if folds { Arc::new(FoldedNames) } else { Arc::new(ExactNames) }
}

impl Device {
    pub fn new(name: &str, id: u64, disk: Disk, policy: Policy, way: Way, skew: i64) -> Device {
        let id = ReplicaId(id);
        Device {
            name: name.to_owned(),
            id,
            replica: Replica::new(id, names(disk.folds), policy),
            disk,
            store: BTreeMap::new(),
            missing: BTreeSet::new(),
            policy,
            way,
            skew,
            restarts: 0,
            index: Index::default(),
            received: BTreeMap::new(),
        }
    }

    fn wall(&self, now: u64) -> u64 {
        u64::try_from(now as i64 + self.skew).unwrap_or(0)
    }

    /// The records, as of the last commit.
    pub fn stored(&self) -> impl Iterator<Item = &StoredRecord> {
        self.index.records()
    }

    pub fn commit(&mut self) {
        let changes = self.replica.take_changes();
        self.index.commit(changes);
    }

    /// Ends the program and starts it again, from what was committed.
    pub fn restart(&mut self) -> Result<(), Broken> {
        self.replica = self.load()?;
        self.restarts += 1;
        Ok(())
    }

    fn load(&self) -> Result<Replica, Broken> {
        self.index
            .load(self.id, names(self.disk.folds), self.policy)
            .map_err(|e| format!("the index cannot be loaded: {e}"))
    }

    pub fn set_folds(&mut self) {
        assert!(self.replica.shows_nothing() && self.replica.node_count() == 0);
        self.disk.folds = true;
        self.replica = Replica::new(self.id, names(true), self.policy);
    }

    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.replica.set_policy(policy);
    }

    // ---- looking

    pub fn at_hand(&self) -> BTreeSet<ContentId> {
        let shown = self.replica.all_recorded().map(|r| r.bytes.id());
        self.store.keys().copied().chain(shown).collect()
    }

    pub fn project(&mut self) -> Vec<Projected> {
        let at_hand = self.at_hand();
        self.replica.project(&|id| at_hand.contains(id))
    }

    pub fn conflicts(&mut self) -> Vec<Conflict> {
        self.replica.conflicts()
    }

    pub fn questions(&mut self) -> Vec<Question> {
        let mut all: Vec<Question> = self.conflicts().iter().map(question).collect();
        all.sort();
        all
    }

    /// The objects on its disk that have bytes.
    pub fn on_disk(&self) -> impl Iterator<Item = (String, &Object)> {
        let all = self.disk.walk("").into_iter().chain(self.disk.parked());
        all.filter_map(|p| Some((p.clone(), self.disk.get(&p)?)))
            .filter(|(_, o)| o.kind != Kind::Dir)
    }

    pub fn bytes(&self, id: &ContentId) -> Option<String> {
        let kept = self.store.get(id).cloned();
        kept.or_else(|| {
            self.on_disk()
                .find(|(_, o)| o.bytes().id() == *id)
                .map(|(_, o)| o.data.clone())
        })
    }

    pub fn holds(&self, id: &ContentId) -> bool {
        self.bytes(id).is_some()
    }

    pub fn contents(&self) -> BTreeMap<String, (Kind, String, bool)> {
        let all = self.disk.walk("").into_iter();
        all.filter_map(|p| self.disk.get(&p).map(|o| (p.clone(), (o.kind, o.data.clone(), o.exec))))
            .collect()
    }

    // ---- scanning

    fn list(&self, survey: &mut Survey, dir: &str) {
        let entries: Vec<Listed> = self
            .disk
            .list(dir)
            .into_iter()
            .map(|name| (name.clone(), self.disk.stat(&join(dir, &name))))
            .collect();
        survey.listed(&self.replica, dir, &entries);
    }

    pub fn scan(&mut self, now: u64, scope: Scope) -> Result<usize, Broken> {
        let mut survey = Survey::new();
        match scope {
            Scope::Full => {
                for dir in self.disk.dirs("").into_iter().chain(self.disk.dirs(PARKED_PATH)) {
                    self.list(&mut survey, &dir);
                }
                need!(!survey.unrooted(), "a full scan has met something without a directory");
            }
            Scope::Part(a, x, z) => self.look_at_some(&mut survey, a, x, z),
        }
        for (i, path, stat) in survey.unread(&self.replica) {
            let Some(object) = self.disk.get(&path) else {
                return Err(format!("asked to read {path}, which is not there"));
            };
            need!(self.disk.stat(&path) == Some(stat), "another stat of {path}");
            if let Scope::Part(a, x, _) = scope
                && (a + i + x) % 7 == 0
            {
                survey.unreadable(&self.replica, i);
            } else {
                survey.read(i, object.bytes(), stat);
            }
        }
        let observed = self.replica.observe(survey, self.wall(now));
        need!(
            (observed.operations > 0) == observed.dot.is_some(),
            "a dot for nothing: {observed:?}"
        );
        self.commit();
        self.compare("scan")?;
        Ok(observed.operations)
    }

    fn look_at_some(&self, survey: &mut Survey, a: usize, x: usize, z: usize) {
        let there = self.disk.walk("");
        let prefix = there.get(x % there.len().max(1)).cloned().unwrap_or_default();
        let chosen = |p: &str| within(p, &prefix) || (p.bytes().map(usize::from).sum::<usize>() + z).is_multiple_of(4);
        let mut look = |absent: bool| {
            if absent {
                let mut gone: Vec<String> = self.replica.all_recorded().map(|r| r.path).collect();
                gone.retain(|p| chosen(p) && !p.starts_with(".bifold/") && !self.disk.has_exactly(p));
                gone.sort();
                for path in gone {
                    survey.looked(&self.replica, &path, None);
                }
            } else {
                for path in there.iter().filter(|p| chosen(p)) {
                    survey.looked(&self.replica, path, self.disk.stat(path));
                    if x % 5 < 3 && self.disk.kind(path) == Some(Kind::Dir) {
                        for dir in self.disk.dirs(path) {
                            self.list(survey, &dir);
                        }
                    }
                }
            }
        };
        match a % 5 {
            // One directory cannot be listed.
            4 => {
                let mut dirs = self.disk.dirs("");
                dirs.extend(self.disk.dirs(PARKED_PATH));
                let hidden = dirs[x % dirs.len()].clone();
                for dir in dirs.iter().filter(|d| !within(d, &hidden)) {
                    self.list(survey, dir);
                }
            }
            0 => look(false),
            1 => {
                look(true);
                look(false);
            }
            _ => {
                look(false);
                look(true);
            }
        }
    }

    // ---- applying

    /// Applies until nothing moves any more. Says whether the disk shows all of the replica, but for bytes that are missing.
    pub fn apply(&mut self, crash: Option<Crash>) -> Result<bool, Broken> {
        self.missing.clear();
        let mut taken = 0;
        let mut clean = true;
        for round in 0.. {
            need!(round < 10_000, "applying does not end");
            let at_hand = self.at_hand();
            let mut plan = self.replica.plan(&|id| at_hand.contains(id), self.way.limit);
            self.commit();
            if plan.steps.is_empty() && !plan.partial {
                break;
            }
            let mut own: HashMap<FileKey, (Fingerprint, Fingerprint)> = HashMap::new();
            let mut progress = false;
            clean = true;
            for i in 0..plan.steps.len() {
                let step = plan.steps[i].clone();
                if step.after_commit && !fault::on(WorldFault::LateCommits) {
                    self.commit();
                }
                let outcome = self.take(&step.action, &mut own);
                match &outcome {
                    Outcome::Done(_) => {
                        taken += 1;
                        progress = true;
                        if crash.is_some_and(|c| c.step == taken) {
                            if !crash.is_some_and(|c| c.lose) {
                                self.commit();
                            }
                            self.restart()?;
                            self.compare("crash")?;
                            return Ok(false);
                        }
                    }
                    Outcome::Missing => {
                        if let Action::Make { wanted, .. } | Action::Write { wanted, .. } = &step.action {
                            self.missing.insert(wanted.id());
                        }
                    }
                    _ => clean = false,
                }
                self.replica.applied(&mut plan, i, &outcome);
            }
            self.compare("plan")?;
            if !progress && !plan.partial {
                break;
            }
        }
        if self.missing.is_empty() {
            clean &= !self.replica.is_stale();
        }
        self.forget_bytes();
        if clean {
            self.replica.shows_all();
        }
        self.commit();
        self.compare("apply")?;
        Ok(clean)
    }

    /// Keeps only bytes that are wanted and not shown.
    fn forget_bytes(&mut self) {
        let wanted: BTreeSet<ContentId> = self.project().into_iter().flat_map(|p| p.sides).collect();
        let shown: BTreeSet<ContentId> = self.replica.all_recorded().map(|r| r.bytes.id()).collect();
        let none = fault::on(WorldFault::BytesNotKept);
        self.store.retain(|id, _| wanted.contains(id) && !shown.contains(id) && !none);
    }

    fn keep(&mut self, path: &str) {
        if let Some(o) = self.disk.get(path).filter(|_| !fault::on(WorldFault::BytesNotKept)) {
            let (id, data) = (o.bytes().id(), o.data.clone());
            self.store.insert(id, data);
        }
    }

    fn take(&mut self, action: &Action, own: &mut HashMap<FileKey, (Fingerprint, Fingerprint)>) -> Outcome {
        let blind = fault::on(WorldFault::NotLooked);
        let same = |disk: &Disk, path: &str, e: &Expected| {
            disk.stat(path)
                .is_some_and(|stat| blind && stat.kind == e.kind || e.same_object(&stat))
        };
        let unchanged = |disk: &Disk, path: &str, e: &Expected| {
            let print = own
                .get(&e.key)
                .filter(|(before, _)| *before == e.print)
                .map_or(e.print, |(_, now)| *now);
            let e = Expected { print, ..e.clone() };
            disk.stat(path)
                .is_some_and(|stat| blind && stat.kind == e.kind || e.unchanged(&stat))
        };
        let disk = &mut self.disk;
        match action {
            Action::Make { path, wanted } => {
                if disk.find(path).is_some() || disk.kind(split(path).0) != Some(Kind::Dir) {
                    return Outcome::Changed;
                }
                let Some(data) = self.supply(wanted) else {
                    return Outcome::Missing;
                };
                self.put(path, wanted, &data)
            }
            Action::Write { path, expected, wanted } => {
                if !unchanged(disk, path, expected) {
                    return Outcome::Changed;
                }
                let Some(data) = self.supply(wanted) else {
                    return Outcome::Missing;
                };
                self.keep(path);
                self.put(path, wanted, &data)
            }
            Action::SetMode { path, expected, exec } => {
                if !unchanged(disk, path, expected) {
                    return Outcome::Changed;
                }
                disk.set_exec(path, *exec);
                Outcome::Done(disk.stat(path))
            }
            Action::Rename { from, to, expected } => {
                if !same(disk, from, expected) || disk.find(to).is_some_and(|id| Some(id) != disk.find(from)) {
                    return Outcome::Changed;
                }
                let before = disk.stat(from).map(|s| s.print);
                if disk.rename(from, to).is_err() {
                    return Outcome::Changed;
                }
                let stat: Option<Stat> = disk.stat(to);
                if let (Some(before), Some(stat)) = (before, stat) {
                    let first = own
                        .get(&expected.key)
                        .map_or(before, |(first, now)| if *now == before { *first } else { before });
                    own.insert(expected.key, (first, stat.print));
                }
                Outcome::Done(stat)
            }
            Action::Remove { path, expected } => {
                if !unchanged(disk, path, expected) {
                    return Outcome::Changed;
                }
                self.keep(path);
                let done = self.disk.remove(path);
                if done.is_ok() { Outcome::Done(None) } else { Outcome::Changed }
            }
            Action::RemoveDir { path, expected } => {
                if !same(disk, path, expected) || disk.remove(path).is_err() {
                    return Outcome::Changed;
                }
                Outcome::Done(None)
            }
        }
    }

    fn supply(&self, wanted: &Wanted) -> Option<String> {
        match &wanted.bytes {
            Bytes::Dir => Some(String::new()),
            // A link's target comes with the node; but who never got the bytes of a file has nothing.
            Bytes::Link(target) => Some(target.to_string()),
            Bytes::File(id) => self.bytes(id),
        }
    }

    fn put(&mut self, path: &str, wanted: &Wanted, data: &str) -> Outcome {
        let kind = match wanted.bytes {
            Bytes::Dir => Kind::Dir,
            Bytes::File(_) => Kind::File,
            Bytes::Link(_) => Kind::Link,
        };
        debug_assert_eq!(bytes_of(kind, data), wanted.bytes);
        match self.disk.put(path, kind, data, wanted.exec) {
            Ok(_) => Outcome::Done(self.disk.stat(path)),
            Err(_) => Outcome::Changed,
        }
    }

    // ---- picks

    pub fn resolve(&mut self, nodes: &[NodeId], pick: Pick, now: u64) -> Result<(), Broken> {
        let wall = self.wall(now);
        self.replica
            .resolve(nodes, pick, wall)
            .map_err(|e| format!("{e}: {pick:?} of {nodes:?}"))?;
        self.commit();
        self.compare("pick")
    }

    pub fn collect(&mut self) -> Result<usize, Broken> {
        let dropped = self.replica.collect();
        self.commit();
        self.compare("collect")?;
        Ok(dropped)
    }

    // ---- what is incremental must equal what is full

    pub fn compare(&mut self, after: &str) -> Result<(), Broken> {
        if !self.way.compare {
            return Ok(());
        }
        self.commit();
        let at_hand = self.at_hand();
        let at_hand = |id: &ContentId| at_hand.contains(id);
        let mut fresh = self.load()?;
        let (ours, full) = (self.replica.project(&at_hand), fresh.project(&at_hand));
        need!(
            ours == full,
            "after {after}: the projection differs from a fresh one\n    {ours:?}\n    {full:?}"
        );
        let (ours, full) = (self.replica.conflicts(), fresh.conflicts());
        need!(
            ours == full,
            "after {after}: the conflicts differ from fresh ones\n    {ours:?}\n    {full:?}"
        );
        let records = |r: &Replica| {
            let mut all: Vec<_> = r.all_recorded().map(|r| format!("{r:?}")).collect();
            all.sort();
            all
        };
        let (ours, full) = (records(&self.replica), records(&fresh));
        need!(
            ours == full,
            "after {after}: the records differ from fresh ones\n    {ours:?}\n    {full:?}"
        );
        if !self.replica.is_stale() {
            let plan = fresh.plan(&at_hand, usize::MAX);
            need!(
                plan.steps.is_empty(),
                "after {after}: a fresh replica finds more to do: {:?}",
                plan.steps
            );
            need!(!fresh.is_stale(), "after {after}: a fresh replica does not come to rest");
        }
        Ok(())
    }
}

/// Merges what `from` has into `to`: all of it, or some nodes. Says whether that changed something.
pub fn exchange(to: &mut Device, from: &mut Device, now: u64, only: Option<&dyn Fn(NodeId) -> bool>) -> Result<bool, Broken> {
    let since = match only {
        None if to.way.since => to.received.get(&from.id).copied().unwrap_or(0),
        _ => 0,
    };
    let mut changed = false;
    to.replica.add_member(from.id);
    from.replica.add_member(to.id);
    for node in from.replica.changed_since(since) {
        if only.is_none_or(|f| f(node.id)) {
            let wall = to.wall(now);
            changed |= to
                .replica
                .receive(&node, wall)
                .map_err(|e| format!("refused: {e}: {node:?}"))?;
        }
    }
    if only.is_none() {
        to.replica.received_all(from.replica.have(), from.replica.acks());
        to.received.insert(from.id, from.replica.sequence());
    }
    let wanted: BTreeSet<ContentId> = if to.way.eager {
        to.project().into_iter().flat_map(|p| p.sides).collect()
    } else {
        to.missing.clone()
    };
    for id in wanted {
        if !to.holds(&id)
            && let Some(data) = from.bytes(&id)
        {
            to.store.insert(id, data);
        }
    }
    to.commit();
    to.compare("exchange")?;
    Ok(changed)
}
