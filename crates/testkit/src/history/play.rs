//! Playing a history.

use super::generate::Users;
use super::oracle::{Oracle, Shared, perform};
use super::quiet::caught;
use super::tape::{At, DEVICES, Deed, EACH, Event, History, What};
use super::{Broken, Counts};
use crate::disk::{Flaky, SimFs, Thing, Traits};
use crate::moments::End;
use crate::random::Random;
use crate::story::{Act, DiskKind, set};
use crate::world::{Choice, Listed, Mode, Settled, World};
use bifold_engine::core::Prefer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// What came of a history.
pub struct Played {
    /// What was counted.
    pub counts: Counts,
    /// What did not hold.
    pub broken: Option<Broken>,
    /// All that was done, if that was asked for.
    pub trace: Option<String>,
    /// The history, with what its users did.
    pub history: History,
}

/// Plays a history: its tapes and no more.
#[must_use]
pub fn play(history: &History, trace: bool) -> Played {
    Player::new(history, None, trace).played()
}

/// Plays a history of which what users do is not known yet.
#[must_use]
pub fn play_new(history: &History, trace: bool) -> Played {
    Player::new(history, Some(Users::new(history)), trace).played()
}

/// Rounds in which conflicts are decided in the end.
const ROUNDS: usize = 8;

struct Player {
    history: History,
    world: World,
    oracle: Shared,
    /// Who draws what users do.
    users: Option<Users>,
    draws: bool,
    /// What they did so far, or what is next on their tape.
    done: Vec<(At, Deed)>,
    next: usize,
    /// Where in the midst of the program's work the next deed comes.
    amid: Option<(u64, bool)>,
    /// One that is to come there.
    pending: Option<(usize, Act)>,
    asleep: BTreeSet<usize>,
    parted: BTreeSet<(usize, usize)>,
    /// Disks with faults, and of those of which a part cannot be read, what others show of that.
    faulty: BTreeSet<usize>,
    flaky: BTreeSet<usize>,
    unread: Option<(usize, Vec<(usize, usize)>)>,
    counts: Counts,
}

impl Player {
    fn new(history: &History, users: Option<Users>, trace: bool) -> Player {
        let traits = |kinds: &Vec<DiskKind>| {
            let mut traits = Traits::default();
            kinds.iter().for_each(|kind| set(&mut traits, *kind));
            traits
        };
        let devices: Vec<(&str, Traits)> = DEVICES.into_iter().zip(history.disks.iter().map(traits)).collect();
        let mut world = World::new(history.seed, Mode::Apart, &devices);
        (world.orderly, world.alone) = (false, true);
        if history.prefer != Prefer::Ask {
            world.prefer(|_| history.prefer);
        }
        if history.seed % 2 == 1 {
            world.forget_late();
        }
        if trace {
            world.trace();
        }
        for (_, event) in &history.schedule {
            if let Event::End(d, End::PowerCut, _) = event
                && *d < devices.len()
            {
                world.may_lose_power(*d);
            }
        }
        let oracle: Shared = Arc::new(Mutex::new(Oracle::new(history.prefer == Prefer::Ask)));
        for device in &world.devices {
            let (oracle, name) = (oracle.clone(), device.name.clone());
            let witness = move |deed: crate::disk::Deed<'_>| locked(&oracle).witness(&name, deed);
            device.fs.set_witness(Some(Arc::new(witness)));
        }
        Player {
            history: history.clone(),
            world,
            oracle,
            draws: users.is_some(),
            users,
            done: Vec::new(),
            next: 0,
            amid: None,
            pending: None,
            asleep: BTreeSet::new(),
            parted: BTreeSet::new(),
            faulty: BTreeSet::new(),
            flaky: BTreeSet::new(),
            unread: None,
            counts: Counts::default(),
        }
    }

    fn played(mut self) -> Played {
        let result = caught(|| self.run().and_then(|()| self.end()));
        // (The disks know who looks on, and who looks on knows nothing of them: nothing is left.)
        self.world.devices.iter().for_each(|device| device.fs.set_witness(None));
        let tally = self.world.tally();
        let counts = Counts {
            histories: 1,
            operations: locked(&self.oracle).operations,
            turns: tally.turns,
            kills: tally.kills,
            power_cuts: tally.power_cuts,
            given_up: tally.given_up,
            disk_faults: self.world.devices.iter().map(|d| d.fs.fault_hits()).sum(),
            cut_messages: tally.cut_messages,
            duplicates: tally.duplicates,
            restored: tally.restored,
            rejoined: tally.rejoined,
            ..self.counts
        };
        let mut history = self.history;
        if self.draws {
            history.workload = self.done;
        }
        Played {
            counts,
            broken: result.err(),
            trace: self.world.take_trace(),
            history,
        }
    }

    fn run(&mut self) -> Result<(), Broken> {
        self.go(30)?;
        for (at, event) in self.history.schedule.clone() {
            self.users_act(at)?;
            self.world.random = Random::new(self.history.seed ^ (u64::from(at / EACH) << 32));
            self.world.note(&format!("{at}: {event:?}"));
            self.happens(&event)?;
            self.look_on()?;
        }
        self.users_act(At::MAX)
    }

    fn fs(&self, device: usize) -> SimFs {
        self.world.devices[device].fs.clone()
    }

    fn devices(&self) -> usize {
        self.world.devices.len()
    }

    // ---- users

    /// What users do until some point of time.
    fn users_act(&mut self, at: At) -> Result<(), Broken> {
        if let Some(mut users) = self.users.take() {
            for _ in 0..if at == At::MAX { 0 } else { users.how_many() } {
                if self.pending.is_some() {
                    break; // that comes first
                }
                let aimed = self.amid.and_then(|_| users.deed_amid(&self.world.trees()));
                let device = users.who(self.devices());
                let deed = aimed.or_else(|| users.deed(device, &self.fs(device).tree()));
                if let Some(deed) = deed {
                    self.act(&deed);
                    self.done.push((at, deed)); // what cannot be done, too: trying it has the user look up
                }
            }
            self.users = Some(users);
            return Ok(());
        }
        while let Some((_, deed)) = self.history.workload.get(self.next).filter(|(when, _)| *when <= at).cloned() {
            self.next += 1;
            self.act(&deed);
        }
        Ok(())
    }

    /// A user does something, now or in the midst of what the program does. False if it cannot be done.
    fn act(&mut self, deed: &Deed) -> bool {
        let device = deed.device;
        if device >= self.devices() {
            return false;
        }
        self.world.note(&format!("{}: {:?}", DEVICES[device], deed.what));
        match &deed.what {
            What::Decide(nth, how) => self.decide_one(device, *nth, *how),
            What::Act(act) => match self.amid.take() {
                Some((number, touch)) if !self.asleep.contains(&device) => {
                    self.catch_up();
                    let (done, oracle) = (act.clone(), self.oracle.clone());
                    self.pending = Some((device, act.clone()));
                    let happens = move |fs: &SimFs| {
                        perform(fs, DEVICES[device], &done, &oracle, false);
                    };
                    let fs = self.fs(device);
                    match act {
                        Act::Write(path, _) | Act::Save(path, _) if touch => fs.at_touch_of(path, happens),
                        _ if touch => fs.at_touch(number % 4, happens),
                        _ => fs.at_call(number, happens),
                    }
                    true
                }
                _ => {
                    self.catch_up();
                    let sees = !self.world.is_unsure(device);
                    perform(&self.fs(device), DEVICES[device], act, &self.oracle, sees)
                }
            },
        }
    }

    /// What was to be done in the midst of something that did not come is done now.
    fn catch_up(&mut self) {
        if let Some((device, act)) = self.pending.take() {
            if self.fs(device).disarm() {
                let sees = !self.world.is_unsure(device);
                perform(&self.fs(device), DEVICES[device], &act, &self.oracle, sees);
            } else {
                self.counts.amid += 1;
            }
        }
    }

    fn decide_one(&mut self, device: usize, nth: usize, how: usize) -> bool {
        let conflicts = self.world.conflicts_at(device);
        if conflicts.is_empty() {
            return false;
        }
        self.decide(device, &conflicts[nth % conflicts.len()], how);
        true
    }

    fn decide(&mut self, device: usize, conflict: &Listed, how: usize) {
        let mut sides: Vec<usize> = Vec::new();
        for (of, _) in &conflict.sides {
            sides.extend(of.iter().filter_map(|name| DEVICES.iter().position(|d| d == name)));
        }
        sides.retain(|d| self.world.is_running(*d));
        let choice = match how {
            7 => Choice::Both,
            6 if conflict.kind == "deleted" => Choice::Delete,
            _ if sides.is_empty() => Choice::Both,
            how => Choice::Device(sides[how % sides.len()]),
        };
        locked(&self.oracle).decides(conflict, &self.world.trees());
        self.world
            .note(&format!("{} decides {choice:?} of {}", DEVICES[device], conflict.path));
        self.world.decide_listed(device, conflict, choice);
        self.world.tell_decisions();
        self.counts.settled += 1;
    }

    // ---- what happens

    fn happens(&mut self, event: &Event) -> Result<(), Broken> {
        if self.world.fetches_are_cut() {
            // As the connection would be, over which they went.
            self.world.limit_fetches(None);
            for (a, b) in self.pairs() {
                if !self.parted.contains(&(a, b)) {
                    self.world.link(a, b, false);
                    self.world.link(a, b, true);
                }
            }
        }
        let n = self.devices();
        match *event {
            Event::Go(turns) => {
                self.go(turns)?;
                self.catch_up();
            }
            Event::Settle => {
                self.settle()?;
                self.catch_up();
            }
            Event::Wait(seconds) => self.world.pass_seconds(seconds),
            Event::Part(a, b) if a.max(b) < n => self.link(a, b, false),
            Event::Join(a, b) if a.max(b) < n => self.link(a, b, true),
            Event::Restart => self.world.restart(),
            Event::End(d, end, at) if d < n => self.world.doom(d, end, at),
            Event::Sleep(d) if d < n => {
                self.asleep.insert(d);
                self.counts.partitions += 1;
                self.world.sleep(d);
            }
            Event::Wake(d) if d < n => {
                self.asleep.remove(&d);
                self.world.wake(d);
            }
            Event::Duplicate => self.world.duplicate(),
            Event::Fetches(reads) => self.world.limit_fetches(Some(reads)),
            Event::Amid(number, touch) => self.amid = Some((number, touch)),
            Event::Full(d, _) | Event::Flaky(d, ..) | Event::Slow(d, _) | Event::Unreadable(d, _) | Event::Unwritable(d, _)
                if d < n =>
            {
                self.disk_fault(d, event);
            }
            Event::Heal(d) if d < n => self.heal(d),
            Event::Skew(d, seconds) if d < n => {
                self.counts.clock_jumps += 1;
                self.world.skew(d, seconds);
            }
            Event::CopyIndex(d) if d < n => self.world.copy_index_of(d),
            Event::RestoreIndex(d) if d < n && self.world.restore_index_of(d) => {
                locked(&self.oracle).index_is_lost(&self.world.trees(), &self.fs(d));
            }
            Event::LoseIndex(d) if d < n => {
                self.world.lose_index_of(d);
                locked(&self.oracle).index_is_lost(&self.world.trees(), &self.fs(d));
            }
            Event::CopyDisk(d) if d < n => self.world.copy_disk_of(d),
            Event::RestoreDisk(d) if d < n && self.world.has_copy_of_disk(d) => {
                self.catch_up();
                locked(&self.oracle).is_put_back(&self.world.trees(), d, &self.fs(d));
                self.unread = None;
                self.world.restore_disk_of(d);
            }
            _ => {}
        }
        Ok(())
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let n = self.devices();
        (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).collect()
    }

    fn link(&mut self, a: usize, b: usize, linked: bool) {
        let pair = (a.min(b), a.max(b));
        let news = if linked {
            self.parted.remove(&pair)
        } else {
            self.parted.insert(pair)
        };
        self.counts.partitions += u64::from(news && !linked);
        self.world.link(a, b, linked);
    }

    fn disk_fault(&mut self, d: usize, fault: &Event) {
        let fs = self.fs(d);
        self.faulty.insert(d);
        match *fault {
            Event::Full(_, bytes) => fs.set_room(Some(bytes)),
            Event::Flaky(_, reads, writes, every) => {
                self.flaky.insert(d);
                fs.set_flaky(Some(Flaky { reads, writes, every }));
            }
            Event::Slow(_, ms) => fs.set_slow_ms(ms),
            Event::Unreadable(_, nth) => {
                let tree = fs.tree();
                let holds = |dir: &str| {
                    tree.keys()
                        .any(|path| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')))
                };
                let full = tree.keys().filter(|path| nth % 2 == 0 && holds(path)).collect::<Vec<_>>();
                let all = if full.is_empty() { tree.keys().collect() } else { full };
                if let Some(path) = all.get(nth / 2 % all.len().max(1)) {
                    if self.is_well_but(d) && self.unread.is_none() {
                        let there = locked(&self.oracle).shown_elsewhere(&self.world.trees(), d, path);
                        self.unread = Some((d, there));
                    }
                    fs.set_unreadable(path, true);
                }
            }
            Event::Unwritable(_, nth) => {
                let tree = fs.tree();
                let dirs = tree.iter().filter(|(_, t)| **t == Thing::Dir).map(|(p, _)| p.as_str());
                let dirs: Vec<&str> = [""].into_iter().chain(dirs).collect();
                fs.set_unwritable(dirs[nth % dirs.len()], true);
            }
            _ => {}
        }
    }

    fn heal(&mut self, d: usize) {
        self.faulty.remove(&d);
        self.flaky.remove(&d);
        if self.unread.as_ref().is_some_and(|(of, _)| *of == d) {
            self.unread = None;
        }
        self.fs(d).heal();
    }

    /// Whether nothing is wrong with any device, but perhaps one.
    fn is_well_but(&self, device: usize) -> bool {
        self.asleep.is_empty() && self.faulty.iter().all(|d| *d == device)
    }

    fn go(&mut self, turns: usize) -> Result<(), Broken> {
        let done = self.world.go_on(turns);
        self.went(done)
    }

    fn went(&mut self, done: Result<Settled, String>) -> Result<(), Broken> {
        let broken = |what| Err(Broken { rule: "rest", what });
        match done {
            Ok(Settled::Quiet) => self.look_on(),
            Ok(other) => broken(format!("{other:?}")),
            Err(what) => broken(what),
        }
    }

    fn settle(&mut self) -> Result<(), Broken> {
        self.world.pass_seconds(20);
        if !self.flaky.is_empty() {
            return self.go(60); // it may never come to rest
        }
        let ended = |world: &World| (world.tally().kills, world.tally().power_cuts, world.tally().given_up);
        let before = ended(&self.world);
        let settled = self.world.settle();
        self.went(settled)?;
        if ended(&self.world) != before {
            return Ok(());
        }
        let trees = self.world.trees();
        let oracle = locked(&self.oracle);
        if let Some((device, unread)) = &self.unread
            && self.is_well_but(*device)
        {
            oracle.check_unread(&trees, *device, unread)?;
        }
        if self.asleep.is_empty() && self.faulty.is_empty() {
            oracle.check_contents(&trees, &self.histories(), self.world.listing())?;
        }
        Ok(())
    }

    fn histories(&self) -> Vec<Vec<Arc<Vec<u8>>>> {
        self.world.devices.iter().map(|device| device.fs.history()).collect()
    }

    /// What was seen while the programs worked; and what a power cut left.
    fn look_on(&mut self) -> Result<(), Broken> {
        let cuts = self.world.tally().power_cuts;
        if cuts > self.counts.power_cuts {
            self.counts.power_cuts = cuts;
            locked(&self.oracle).check_known(&self.world.trees())?;
        }
        match locked(&self.oracle).broken.take() {
            Some(broken) => Err(broken),
            None => Ok(()),
        }
    }

    // ---- the end

    /// All is mended, and all devices see each other: they become the same, and no conflict stays that is decided.
    fn end(&mut self) -> Result<(), Broken> {
        self.world.note("the end");
        self.world.random = Random::new(self.history.seed);
        self.catch_up();
        self.world.spare();
        self.world.limit_fetches(None);
        for d in 0..self.devices() {
            self.heal(d);
            self.world.wake(d);
        }
        self.asleep.clear();
        for (a, b) in self.pairs() {
            self.link(a, b, true);
        }
        for d in 0..self.devices() {
            self.remove_specials(d);
        }
        for round in 0..4 {
            self.world.allow();
            self.settle()?;
            // What stopped because its disk was not to be trusted is started anew by someone.
            if round == 0 {
                let halted: Vec<String> = self.world.listing().halted.keys().cloned().collect();
                let halted = halted.iter().filter_map(|name| self.world.device(name));
                halted.collect::<Vec<_>>().into_iter().for_each(|d| self.world.end(d));
            }
            self.let_go();
        }
        self.check_all()?;
        let mut random = Random::new(self.history.seed ^ 0x7069_636b);
        for round in 0..ROUNDS {
            let conflicts = self.world.listing().conflicts.clone();
            if conflicts.is_empty() {
                return Ok(());
            }
            if round + 1 == ROUNDS {
                let what = format!("these stay, whatever is decided: {conflicts:?}");
                return Err(Broken { rule: "stays", what });
            }
            for nth in 0..conflicts.len() {
                let device = random.below(self.devices());
                let how = random.below(if round < 3 { 8 } else { 6 });
                self.decide_one(device, nth, how);
            }
            for _ in 0..3 {
                self.world.allow();
                self.settle()?;
                self.let_go();
            }
            self.check_all()?;
        }
        Ok(())
    }

    /// Bytes that only one who is no more may have are waited for by nobody any more, once a person says so.
    fn let_go(&mut self) {
        let in_order = locked(&self.oracle).in_order && self.world.tally().rejoined == 0;
        let missing = self
            .world
            .listing()
            .problems
            .clone()
            .into_iter()
            .filter(|p| p.kind == "missing");
        for problem in missing.filter(|_| !in_order) {
            // (Where a conflict is listed as well, all of its sides are given up.)
            for conflict in self.world.listing().conflicts.clone() {
                if conflict.path == problem.path {
                    locked(&self.oracle).decides(&conflict, &self.world.trees());
                }
            }
            if let Some(device) = self.world.device(&problem.device) {
                self.world.decide(device, &problem.path, Choice::Delete);
            }
        }
    }

    /// What cannot be synced is taken away by its user.
    fn remove_specials(&mut self, d: usize) {
        let fs = self.fs(d);
        for (path, thing) in fs.tree() {
            if matches!(thing, Thing::Special(_)) {
                perform(&fs, DEVICES[d], &Act::Delete(path), &self.oracle, true);
            }
        }
    }

    fn check_all(&mut self) -> Result<(), Broken> {
        self.check_equal()?;
        let trees = self.world.trees();
        {
            let oracle = locked(&self.oracle);
            oracle.check_contents(&trees, &self.histories(), self.world.listing())?;
            oracle.check_conflicts(self.world.listing(), self.has_one_naming().then_some(&trees), oracle.in_order)?;
        }
        // Nothing goes on moving.
        let settled = self.world.settle();
        self.went(settled)?;
        let applied = self.world.listing().applied;
        if applied > 0 || trees != self.world.trees() {
            let what = format!("{applied} more steps, though all was at rest");
            return Err(Broken { rule: "moves", what });
        }
        Ok(())
    }

    /// Where two names are one on some disk and not on another, that one has other names.
    fn has_one_naming(&self) -> bool {
        let fold = |d: usize| self.world.devices[d].fs.traits().rules.fold;
        (1..self.devices()).all(|d| fold(d) == fold(0))
    }

    /// All devices know and show the same, but for conflicts, and what a disk cannot have.
    fn check_equal(&mut self) -> Result<(), Broken> {
        let differs = |what| Err(Broken { rule: "differs", what });
        let tally = self.world.tally();
        let listing = self.world.listing();
        let lacks_links = |device: &str| {
            let device = self.world.devices.iter().find(|d| d.name == device);
            device.is_some_and(|d| !d.fs.traits().links)
        };
        let mut problems = listing.problems.clone();
        problems.retain(|problem| problem.kind != "unsupported" || !lacks_links(&problem.device));
        // Bytes that one who is no more may have are waited for, until a person lets them go.
        let in_order = locked(&self.oracle).in_order && tally.rejoined == 0;
        problems.retain(|problem| problem.kind != "missing" || in_order);
        if !problems.is_empty() {
            return differs(format!("{problems:?}"));
        }
        if !listing.held.is_empty() || !listing.halted.is_empty() || listing.refused.is_some() {
            return differs(format!("{listing:?}"));
        }
        if !self.world.agree() {
            return differs("they do not know that they are the same".to_owned());
        }
        let open: Vec<String> = listing.conflicts.iter().map(|c| c.path.clone()).collect();
        let is_open = |path: &String| open.iter().any(|o| path == o || path.starts_with(&format!("{o}/")));
        let traits: Vec<Traits> = self.world.devices.iter().map(|d| d.fs.traits()).collect();
        let one_naming = self.has_one_naming();
        let all = |has: fn(&Traits) -> bool| traits.iter().all(has);
        // (A time that only a person set is nothing that is synced.)
        let touched = locked(&self.oracle).touched;
        let (execs, links, times) = (all(|t| t.exec), all(|t| t.links), all(|t| t.ctime) && !touched);
        let told = |path: String, thing: Thing| {
            let thing = match thing {
                Thing::Link(_) if !links => return None,
                Thing::File { bytes, exec, mtime_ns } => Thing::File {
                    bytes,
                    exec: exec.filter(|_| execs),
                    mtime_ns: if times { mtime_ns } else { 0 },
                },
                thing => thing,
            };
            Some((if one_naming { path } else { String::new() }, thing))
        };
        type Told = Vec<(String, Thing)>;
        let told = |tree: BTreeMap<String, Thing>| {
            let mut all: Told = tree
                .into_iter()
                .filter(|(path, _)| !is_open(path))
                .filter_map(|(p, t)| told(p, t))
                .collect();
            all.sort_by_cached_key(|(path, thing)| (path.clone(), format!("{thing:?}")));
            all
        };
        // (Marked names may hide what is open.)
        if one_naming || open.is_empty() {
            let trees: Vec<Told> = self.world.trees().into_iter().map(told).collect();
            for (tree, device) in trees[1..].iter().zip(&DEVICES[1..]) {
                if let Some(thing) = tree.iter().find(|t| !trees[0].contains(t)) {
                    return differs(format!("{device} has {thing:?}, and anna has not; open: {open:?}"));
                }
                if let Some(thing) = trees[0].iter().find(|t| !tree.contains(t)) {
                    return differs(format!("anna has {thing:?}, and {device} has not; open: {open:?}"));
                }
            }
        }
        // What the replicas know, whatever the disks can have.
        let known: Vec<Vec<String>> = (self.world.projections().into_iter())
            .map(|all| {
                let mut known: Vec<String> = (all.into_iter())
                    .map(|p| {
                        let path = if one_naming { p.path.as_str() } else { "" };
                        format!("{:?} {path} {:?} {:?} {:?}", p.nodes, p.kind, p.sides, p.exec)
                    })
                    .collect();
                known.sort_unstable();
                known
            })
            .collect();
        for (n, other) in known.iter().enumerate().skip(1) {
            if let Some(entry) = other
                .iter()
                .find(|e| !known[0].contains(e))
                .or_else(|| known[0].iter().find(|e| !other.contains(e)))
            {
                return differs(format!("{} and anna know otherwise of {entry}", DEVICES[n]));
            }
        }
        Ok(())
    }
}

fn locked(oracle: &Shared) -> std::sync::MutexGuard<'_, Oracle> {
    oracle.lock().unwrap_or_else(PoisonError::into_inner)
}
