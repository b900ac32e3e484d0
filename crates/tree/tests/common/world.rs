//! A world of devices, and histories played in it. A history is a list of numbers, so that any part of a history is one too:
//! that is how a failing one is made short.

use super::Broken;
use super::device::{Crash, Device, Scope, Way, exchange, question};
use super::disk::{Disk, bytes_of, depth};
use super::random::Random;
use crate::need;
use bifold_tree::{Conflict, ConflictKind, ContentId, Kind, Node, NodeId, Pick, Policy};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Bytes that several write independently of each other.
pub const SAME: [&str; 3] = ["same1", "same2", ""];

/// What kind of histories.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mode {
    /// Anything.
    Any,
    /// A directory moved by one and deleted by another.
    Rescue,
    /// Mostly moves.
    Moves,
    /// Nothing but directories moved into each other.
    Loops,
    /// All work alone, then they meet.
    Offline,
    /// Disks that are full already.
    Join,
    /// That policy.
    Newest,
    /// Some disks take a and A for one name.
    Fold,
    /// Forgetting what is dead.
    Gc,
    /// One user at a time: all must behave as one disk.
    Linear,
    /// A stage for written examples.
    Example,
}

impl Mode {
    pub const ALL: [Mode; 10] = [
        Mode::Any,
        Mode::Rescue,
        Mode::Moves,
        Mode::Loops,
        Mode::Offline,
        Mode::Join,
        Mode::Newest,
        Mode::Fold,
        Mode::Gc,
        Mode::Linear,
    ];

    pub fn named(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|m| format!("{m:?}").eq_ignore_ascii_case(name))
    }
}

/// One step of a history.
pub type Numbers = [u16; 6];

#[derive(Clone)]
pub struct World {
    pub random: Random,
    pub mode: Mode,
    pub now: u64,
    pub tokens: usize,
    pub rounds: usize,
    pub operations: usize,
    pub names: &'static [&'static str],
    /// All bytes that a user wrote.
    pub written: BTreeSet<String>,
    /// Those that may be lost.
    pub killed: BTreeSet<String>,
    /// The bytes behind the names that the tree has for them.
    pub words: HashMap<ContentId, String>,
    pub devices: Vec<Device>,
    pub resets: usize,
    /// New contents of single devices, with the paths at which they lie.
    pub alone: BTreeMap<String, String>,
    pub rescued: BTreeSet<String>,
    pub trace: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64, mode: Mode, trace: bool) -> World {
        let random = Random::new(seed.wrapping_mul(31).wrapping_add(mode as u64));
        let mut world = World {
            random,
            mode,
            now: 1,
            tokens: 0,
            rounds: 0,
            operations: 0,
            names: match mode {
                Mode::Fold => &["a", "b", "c", "A", "B"],
                Mode::Loops => &["a", "b", "c", "d", "e", "f"],
                Mode::Offline => &["x", "y", "z"],
                _ => &["a", "b", "c"],
            },
            written: BTreeSet::new(),
            killed: SAME.iter().map(|s| s.to_string()).collect(),
            words: HashMap::new(),
            devices: Vec::new(),
            resets: 0,
            alone: BTreeMap::new(),
            rescued: BTreeSet::new(),
            trace: trace.then(Vec::new),
        };
        if mode == Mode::Example {
            for name in ["A", "B", "C"] {
                world.add(
                    name,
                    Way {
                        compare: true,
                        ..Way::plain()
                    },
                    0,
                    false,
                );
            }
        } else {
            let mut way = Way::random(&mut world.random);
            way.eager |= mode == Mode::Linear;
            for i in 0..2 + world.random.below(3) {
                let skew = *world.random.of(&[0, 0, 0, -5, 7, 40]);
                let folds = mode == Mode::Fold && world.random.one_in(2);
                world.add(&"ABCD"[i..=i], way.clone(), skew, folds);
            }
        }
        world
    }

    /// So many devices, each with a tree that someone made who is none of them: directories end in a slash, and the bytes of a
    /// file are its name and a zero.
    pub fn based(count: usize, paths: &[&str]) -> Result<World, Broken> {
        let mut world = World::new(0, Mode::Example, false);
        world.devices.clear();
        for name in ["A", "B", "C", "D"].into_iter().take(count).chain(["Z"]) {
            world.add(name, Way::plain(), 0, false);
        }
        for path in paths {
            let name = path.rsplit('/').next().unwrap_or(path);
            world.make(count, path, &format!("{name}0"));
        }
        world.scan(count, Scope::Full)?;
        for d in 0..count {
            world.exchange(d, count, None)?;
            world.apply(d, None)?;
        }
        let maker = world.devices.pop().map(|d| d.id);
        for d in &mut world.devices {
            maker.map(|maker| d.replica.retire(maker));
        }
        world.now += 1;
        Ok(world)
    }

    fn add(&mut self, name: &str, way: Way, skew: i64, folds: bool) {
        let policy = if self.mode == Mode::Newest {
            Policy::Newest
        } else {
            Policy::Ask
        };
        let id = u64::from(name.as_bytes()[0] - b'A' + 1) << 8;
        self.devices.push(Device::new(name, id, Disk::new(folds), policy, way, skew));
        self.members();
    }

    fn members(&mut self) {
        let all: Vec<_> = self.devices.iter().map(|d| d.id).collect();
        for d in &mut self.devices {
            all.iter().for_each(|r| d.replica.add_member(*r));
        }
    }

    pub fn say(&mut self, text: impl FnOnce(&World) -> String) {
        if self.trace.is_some() {
            let text = text(self);
            self.trace.iter_mut().for_each(|t| t.push(text.clone()));
        }
    }

    pub fn word(&self, id: &ContentId) -> String {
        self.words.get(id).cloned().unwrap_or_else(|| format!("{id:?}"))
    }

    // ---- a history

    pub fn history(&mut self, length: usize) -> Vec<Numbers> {
        (0..length)
            .map(|_| {
                let (a, b) = (self.random.next(), self.random.next());
                [
                    a as u16,
                    (a >> 16) as u16,
                    (a >> 32) as u16,
                    b as u16,
                    (b >> 16) as u16,
                    (b >> 32) as u16,
                ]
            })
            .collect()
    }

    pub fn play(&mut self, history: &[Numbers]) -> Result<(), Broken> {
        let count = self.devices.len();
        let mut rest = history;
        let first = history.first().copied().unwrap_or_default();
        if self.mode == Mode::Join {
            let (before, after) = history.split_at(history.len() / 3);
            for h in before {
                self.now += 1;
                self.user(usize::from(h[1]) % count, *h);
            }
            if first[0] % 2 == 1 {
                // The first scans before, the others after they merged.
                self.scan(0, Scope::Full)?;
                for d in 1..count {
                    self.exchange(d, 0, None)?;
                    self.scan(d, Scope::Full)?;
                }
            }
            rest = after;
        } else if first[1] % 3 != 0 {
            // Most histories start from a common tree.
            let (before, after) = history.split_at(history.len().min(6));
            for h in before {
                self.now += 1;
                let done = self.grow(0, *h);
                self.say(|_| format!("A {done}"));
            }
            self.scan(0, Scope::Full)?;
            for d in 1..count {
                self.exchange(d, 0, None)?;
                self.apply(d, None)?;
            }
            rest = after;
        }
        match self.mode {
            Mode::Offline => self.offline(rest),
            Mode::Rescue => self.rescue(rest),
            _ => rest.iter().try_for_each(|h| {
                self.now += 1;
                self.step(*h)
            }),
        }
    }

    fn user(&mut self, d: usize, h: Numbers) {
        let h = h.map(usize::from);
        let done = self.act(d, h[2], h[3], h[4], h[5]);
        self.say(|w| format!("{} {done}", w.devices[d].name));
    }

    /// A deep tree; one moves a directory, another deletes it or one above it; what follows is nothing but syncing, in pieces
    /// and with crashes.
    fn rescue(&mut self, history: &[Numbers]) -> Result<(), Broken> {
        for (i, dir) in ["d", "d/s", "d/s/t", "d/s/t/u", "k", "k/l"].into_iter().enumerate() {
            self.mkdir(0, dir);
            self.write(0, &format!("{dir}/file{i}"), Some(&format!("base{i}")), true, Kind::File);
        }
        self.quiesce()?;
        let numbers = history.first().copied().unwrap_or_default().map(usize::from);
        let deep = 1 + numbers[0] % 3;
        let moved = ["d", "d/s", "d/s/t"][deep - 1];
        let deleted = ["d", "d/s", "d/s/t"][numbers[1] % deep];
        self.rescued = (deep - 1..4).map(|i| format!("base{i}")).collect();
        let to = ["m", "k/m", "k/l/m", ["m", "d/m", "d/s/m"][deep - 1]][numbers[2] % 4];
        self.say(|_| format!("A moves {moved} to {to}; B deletes {deleted}"));
        self.rename(0, moved, to);
        self.delete(1, deleted);
        for d in if numbers[3] % 2 == 1 { [0, 1] } else { [1, 0] } {
            self.now += 1;
            self.scan(d, Scope::Full)?;
        }
        for h in history.iter().skip(1) {
            self.now += 1;
            let mut h = *h;
            h[0] = 45 + h[0] % 47; // scan, sync, apply
            self.step(h)?;
        }
        Ok(())
    }

    /// All work alone. Notes which new contents lie where, in nothing but new directories.
    fn offline(&mut self, history: &[Numbers]) -> Result<(), Broken> {
        let base: BTreeSet<NodeId> = self.devices[0].replica.changed_since(0).iter().map(|n| n.id).collect();
        self.names = &["a", "b", "c"];
        for h in history {
            self.now += 1;
            let d = usize::from(h[1]) % self.devices.len();
            self.user(d, *h);
            if h[0] % 3 != 0 {
                self.scan(d, Scope::Full)?;
            }
        }
        for d in 0..self.devices.len() {
            self.scan(d, Scope::Full)?;
            let records: BTreeMap<String, _> = self.devices[d].replica.all_recorded().map(|r| (r.path.clone(), r)).collect();
            let mut copies: HashMap<ContentId, usize> = HashMap::new();
            for r in records.values() {
                *copies.entry(r.bytes.id()).or_default() += 1;
            }
            for (path, r) in &records {
                let mut way: Vec<&str> = path.match_indices('/').map(|(i, _)| &path[..i]).collect();
                way.push(path);
                let new = way.iter().all(|p| records[*p].nodes.iter().all(|n| !base.contains(n)));
                let word = self.word(&r.bytes.id());
                if r.kind != Kind::Dir && copies[&r.bytes.id()] == 1 && self.written.contains(&word) && new {
                    self.alone.insert(word, path.clone());
                }
            }
        }
        Ok(())
    }

    pub fn step(&mut self, numbers: Numbers) -> Result<(), Broken> {
        let [what, who, a, x, y, z] = numbers.map(usize::from);
        let count = self.devices.len();
        let d = who % count;
        if self.mode == Mode::Linear {
            self.user(d, numbers);
            self.scan(d, Scope::Full)?;
            return self.settle_linear(d);
        }
        match what % 100 {
            0..45 => {
                self.user(d, numbers);
                if !y.is_multiple_of(3) {
                    self.scan(d, Scope::Full)?;
                }
            }
            45..55 => {
                let scope = if a.is_multiple_of(3) && self.mode != Mode::Rescue {
                    Scope::Part(a / 3, x, z)
                } else {
                    Scope::Full
                };
                self.scan(d, scope)?;
            }
            55..78 => {
                let other = (who + 1 + a % (count - 1)) % count;
                let time = |n: NodeId| n.dot.time as usize;
                let most = |n: NodeId| !(time(n) * 7 + n.index as usize * 3 + y).is_multiple_of(3);
                let few = |n: NodeId| (time(n) * 5 + n.index as usize + y).is_multiple_of(4);
                let only: Option<&dyn Fn(NodeId) -> bool> = match x % 4 {
                    0 => Some(&most),
                    1 => Some(&few),
                    _ => None,
                };
                self.exchange(d, other, only)?;
            }
            78..92 => {
                let crash = a.is_multiple_of(4).then_some(Crash {
                    step: 1 + x % 4,
                    lose: y.is_multiple_of(2),
                });
                if crash.is_some() && z.is_multiple_of(2) {
                    self.scan(d, Scope::Full)?;
                    let restarts = self.devices[d].restarts;
                    self.apply(d, crash)?;
                    let crashed = self.devices[d].restarts > restarts;
                    let operations = if crashed { self.scan(d, Scope::Full)? } else { 0 };
                    need!(operations == 0, "I4 after a crash, steps read as the user's: {operations}");
                } else {
                    self.apply(d, crash)?;
                }
            }
            92..96 => {
                self.pick(d, a, x, None)?;
            }
            96..98 => {
                if matches!(self.mode, Mode::Gc | Mode::Any) {
                    let dropped = self.devices[d].collect()?;
                    self.say(|w| format!("{} collects {dropped}", w.devices[d].name));
                }
            }
            _ => {
                if matches!(self.mode, Mode::Any | Mode::Gc | Mode::Join) && self.resets < 2 && z.is_multiple_of(3) {
                    self.reset(d);
                }
            }
        }
        Ok(())
    }

    pub fn exchange(&mut self, to: usize, from: usize, only: Option<&dyn Fn(NodeId) -> bool>) -> Result<bool, Broken> {
        let (low, high) = (to.min(from), to.max(from));
        let (left, right) = self.devices.split_at_mut(high);
        let (a, b) = (&mut left[low], &mut right[0]);
        let (receiver, sender) = if to < from { (a, b) } else { (b, a) };
        let changed = exchange(receiver, sender, self.now, only)?;
        self.say(|w| {
            let part = if only.is_some() { " (part)" } else { "" };
            format!("{} <- {}{part}", w.devices[to].name, w.devices[from].name)
        });
        Ok(changed)
    }

    pub fn scan(&mut self, d: usize, scope: Scope) -> Result<usize, Broken> {
        let operations = self.devices[d]
            .scan(self.now, scope)
            .map_err(|e| format!("{}: {e}", self.devices[d].name))?;
        self.operations += operations;
        self.say(|w| format!("{} scan {scope:?}: {operations}", w.devices[d].name));
        self.kill_by_policy(d);
        Ok(operations)
    }

    fn kill_by_policy(&mut self, d: usize) {
        if self.mode == Mode::Newest {
            for entry in self.devices[d].project() {
                let shown = entry.content.id();
                let lost: Vec<String> = entry.sides.iter().filter(|s| **s != shown).map(|s| self.word(s)).collect();
                self.killed.extend(lost);
            }
        }
    }

    pub fn apply(&mut self, d: usize, crash: Option<Crash>) -> Result<bool, Broken> {
        self.kill_by_policy(d);
        let done = self.devices[d]
            .apply(crash)
            .map_err(|e| format!("{}: {e}", self.devices[d].name))?;
        self.members(); // what a restart lost of them
        self.say(|w| {
            let how = if done { "clean" } else { "unfinished" };
            format!(
                "{} apply {crash:?} {how}: {:?}",
                w.devices[d].name,
                w.devices[d].disk.walk("")
            )
        });
        Ok(done)
    }

    /// Picks one side of one conflict. Says whether there was one to pick.
    pub fn pick(&mut self, d: usize, a: usize, x: usize, only: Option<Conflict>) -> Result<bool, Broken> {
        let mut conflicts = only.map_or_else(|| self.devices[d].conflicts(), |c| vec![c]);
        conflicts.retain(|c| c.kind != ConflictKind::Name || !c.sides.is_empty());
        let Some(conflict) = conflicts.get(a % conflicts.len().max(1)).cloned() else {
            return Ok(false);
        };
        let pick = match conflict.kind {
            ConflictKind::Content => {
                // Only what this device has got can be picked.
                let sides: Vec<ContentId> = conflict.sides.iter().map(|s| s.content.id()).collect();
                let fetched = if self.devices[d].way.eager { &[] } else { sides.as_slice() };
                for id in fetched {
                    // What a person wants to see before they pick is fetched.
                    if let Some(data) = self.devices.iter().find_map(|d| d.bytes(id)) {
                        self.devices[d].store.insert(*id, data);
                    }
                }
                let held: Vec<ContentId> = sides.iter().copied().filter(|s| self.devices[d].holds(s)).collect();
                if !sides.iter().any(|s| self.devices.iter().any(|d| d.holds(s))) {
                    Pick::Delete // edited, deleted, and never fetched by the one who renamed it
                } else if held.is_empty() {
                    return Ok(false);
                } else {
                    Pick::Content(held[x % held.len()])
                }
            }
            ConflictKind::Renamed => Pick::Place(conflict.sides[x % conflict.sides.len()].dot),
            ConflictKind::Name => Pick::Name(conflict.sides[x % conflict.sides.len()].dot),
            ConflictKind::Cycle | ConflictKind::Orphan => Pick::Keep,
            _ if x % 2 == 1 => Pick::Delete,
            _ => {
                let node = conflict.nodes[0];
                let shown = self.devices[d].project().into_iter().find(|p| p.nodes.contains(&node));
                match shown {
                    Some(p) if self.devices[d].replica.recorded(node).is_none() => Pick::Content(p.content.id()),
                    _ => Pick::Keep,
                }
            }
        };
        self.say(|w| format!("{} pick {pick:?} of {:?} {}", w.devices[d].name, conflict.kind, conflict.path));
        let contents = |w: &World| -> BTreeSet<ContentId> {
            let nodes = conflict.nodes.iter().filter_map(|n| w.devices[d].replica.node(*n));
            nodes
                .flat_map(|n| n.contents.iter().map(|(_, c)| c.id()).collect::<Vec<_>>())
                .collect()
        };
        let before = contents(self);
        let now = self.now;
        self.devices[d].resolve(&conflict.nodes, pick, now)?;
        let after = if pick == Pick::Delete {
            BTreeSet::new()
        } else {
            contents(self)
        };
        let lost: Vec<String> = before.difference(&after).map(|id| self.word(id)).collect();
        self.killed.extend(lost);
        Ok(true)
    }

    /// A device loses its index, but not its disk, and comes back as a new one.
    fn reset(&mut self, i: usize) {
        if !self.devices[i].disk.parked().is_empty() {
            return;
        }
        self.resets += 1;
        let old = self.devices.remove(i);
        let mut new = Device::new(
            &format!("{}'", old.name),
            old.id.0 + 1,
            old.disk,
            old.policy,
            old.way,
            old.skew,
        );
        new.store = old.store;
        // (The others hear of both from this one; and of those before, of which the folder's list of devices tells.)
        new.replica.retire(old.id);
        for (replica, _) in old.replica.acks().iter().filter(|(_, ack)| ack.is_retired()) {
            new.replica.retire(*replica);
        }
        self.say(|_| format!("{} loses its index, is now {}", old.name, new.name));
        self.devices.insert(i, new);
    }

    // ---- rest

    pub fn settle_linear(&mut self, first: usize) -> Result<(), Broken> {
        let want = self.devices[first].contents();
        let count = self.devices.len();
        for d in (0..count).filter(|d| *d != first) {
            self.exchange(d, first, None)?;
        }
        for d in 0..count {
            let mut clean = self.apply(d, None)?;
            if !self.devices[d].missing.is_empty() {
                self.exchange(d, if d == first { (d + 1) % count } else { first }, None)?;
                clean = self.apply(d, None)?;
            }
            need!(clean, "not applied: {}", self.devices[d].name);
            let have = self.devices[d].contents();
            need!(
                have == want,
                "a plain history must give the same disk everywhere\n    {want:?}\n    {have:?}"
            );
            let listed = self.devices[d].conflicts();
            need!(listed.is_empty(), "a plain history has no conflicts: {listed:?}");
        }
        for d in (0..count).filter(|d| *d != first) {
            self.exchange(first, d, None)?;
        }
        for d in (0..count).filter(|d| *d != first) {
            self.exchange(d, first, None)?;
        }
        Ok(())
    }

    pub fn quiesce(&mut self) -> Result<(), Broken> {
        let mut last = String::new();
        for round in 1..14 {
            let before: Vec<u64> = self.devices.iter().map(|d| d.disk.changes).collect();
            let count = self.devices.len();
            let (mut operations, mut changed, mut clean) = (0, false, true);
            for d in 0..count {
                operations += self.scan(d, Scope::Full)?;
            }
            for d in 0..count {
                for other in (0..count).filter(|o| *o != d) {
                    changed |= self.exchange(d, other, None)?;
                }
            }
            for d in 0..count {
                clean &= self.apply(d, None)?;
            }
            let missing: Vec<ContentId> = self.devices.iter().flat_map(|d| d.missing.iter().copied()).collect();
            clean &= !missing.iter().any(|id| self.devices.iter().any(|d| d.holds(id)));
            self.now += 1;
            let still = before == self.devices.iter().map(|d| d.disk.changes).collect::<Vec<_>>();
            if operations == 0 && !changed && clean && still {
                self.rounds = self.rounds.max(round);
                return Ok(());
            }
            last = format!("operations {operations}, changed {changed}, clean {clean}, still {still}");
        }
        Err(format!("no rest: {last}"))
    }

    /// Settles all that is listed, one by one.
    pub fn check_picks(&mut self) -> Result<(), Broken> {
        for turn in 0..40 {
            if self.devices[0].conflicts().is_empty() {
                return Ok(());
            }
            let d = self.random.below(self.devices.len());
            let conflicts = self.devices[d].conflicts();
            let marked = |c: &Conflict| matches!(c.kind, ConflictKind::Name | ConflictKind::Cycle | ConflictKind::Orphan);
            let plain: Vec<Conflict> = conflicts.iter().filter(|c| !marked(c)).cloned().collect();
            let conflict = if plain.is_empty() {
                conflicts[0].clone()
            } else {
                self.random.of(&plain).clone()
            };
            if marked(&conflict) {
                let path = |w: &mut World, d: usize| {
                    let node = conflict.nodes[0];
                    let shown = w.devices[d].project().into_iter().find(|p| p.nodes.contains(&node));
                    shown.map(|p| p.path).filter(|p| w.devices[d].disk.find(p).is_some())
                };
                let user = (0..self.devices.len()).find_map(|d| Some((d, path(self, d)?)));
                match user {
                    Some((d, path)) => {
                        self.say(|w| format!("{} renames {path} to settled{turn}", w.devices[d].name));
                        self.rename(d, &path, &format!("settled{turn}"));
                    }
                    None => {
                        let now = self.now; // its bytes are nowhere
                        self.devices[d].resolve(&conflict.nodes, Pick::Delete, now)?;
                    }
                }
            } else {
                let x = self.random.below(99);
                self.pick(d, 0, x, Some(conflict.clone()))?;
            }
            self.quiesce()?;
            self.check()?;
            let left = self.devices[0].questions();
            need!(!left.contains(&question(&conflict)), "I6 still listed: {conflict:?}");
        }
        Err("I6 picks do not end".to_owned())
    }

    /// With all settled, the folder is as good as one disk: whatever history lies behind.
    pub fn check_plain(&mut self) -> Result<(), Broken> {
        if matches!(self.mode, Mode::Fold | Mode::Linear) || self.devices.iter().any(|d| !d.missing.is_empty()) {
            return Ok(());
        }
        for _ in 0..5 {
            self.now += 1;
            let h = self.history(1)[0];
            let d = usize::from(h[0]) % self.devices.len();
            let done = self.act(d, usize::from(h[1]), usize::from(h[2]), usize::from(h[3]), usize::from(h[4]));
            self.say(|w| format!("{} plain: {done}", w.devices[d].name));
            self.scan(d, Scope::Full)?;
            self.settle_linear(d)?;
        }
        self.quiesce()?;
        self.check()
    }

    /// At rest everything dead can go, and nothing else changes.
    pub fn check_collection(&mut self) -> Result<(), Broken> {
        let before: Vec<_> = self.devices.iter().map(Device::contents).collect();
        self.quiesce()?;
        let count = self.devices.len();
        for d in 0..count {
            self.devices[d].collect()?;
        }
        for d in 0..count {
            for other in (0..count).filter(|o| *o != d) {
                self.exchange(d, other, None)?;
            }
        }
        for d in &mut self.devices {
            let live: BTreeSet<NodeId> = d.project().into_iter().flat_map(|p| p.nodes).collect();
            let nodes = d.replica.changed_since(0);
            let places = nodes.iter().flat_map(|n| n.places.iter().map(|(_, p)| p.parent));
            let under = nodes.iter().flat_map(|n| n.gones.iter().filter_map(|(_, g)| g.under));
            let needed: BTreeSet<NodeId> = places.chain(under).collect();
            // (Who retired amid telling something finishes it never: nobody can say that all have that, and what it is about stays.)
            let half_told = |n: &Node| {
                let mut writers = n.context.iter();
                writers.any(|(r, time)| d.replica.is_retired(*r) && *time > d.replica.have().time(*r))
            };
            let left: Vec<_> = nodes
                .iter()
                .filter(|n| !live.contains(&n.id) && !needed.contains(&n.id) && !half_told(n))
                .collect();
            need!(left.is_empty(), "dead nodes are left: {left:?}");
        }
        self.quiesce()?;
        self.check()?;
        need!(
            before == self.devices.iter().map(Device::contents).collect::<Vec<_>>(),
            "collection changed the disks"
        );
        Ok(())
    }

    /// Makes a file, and the directories above it; or a directory.
    pub fn make(&mut self, d: usize, path: &str, data: &str) {
        let names: Vec<&str> = path.split('/').filter(|n| !n.is_empty()).collect();
        let dirs = names.len() - usize::from(!path.ends_with('/'));
        for i in 1..=dirs {
            self.mkdir(d, &names[..i].join("/"));
        }
        if !path.ends_with('/') {
            let path = names.join("/");
            debug_assert!(depth(&path) == names.len());
            self.words.insert(bytes_of(Kind::File, data).id(), data.to_owned());
            self.write(d, &path, Some(data), true, Kind::File);
        }
    }
}
