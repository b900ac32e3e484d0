//! A world: some simulated disks, and the real engine (core, carrier, index) between them, one step after the other, the same in
//! every run.

mod agitate;
mod far;
mod index;
mod listing;
mod program;

use crate::disk::{SimFs, Snapshot, Thing, Traits};
use crate::moments::{End, Moments};
use crate::random::Random;
use bifold_engine::core::{Prefer, Settings};
use bifold_protocol::Message;
use bifold_store::RootIdentity;
use bifold_tree::{ConflictKind, ReplicaId};
use index::Index;
use program::{Program, Stop};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

pub use agitate::Tally;
pub use listing::{Listed, ListedProblem, Listing};

/// How the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// One program has all disks, and is told of each path that is changed.
    Watched,
    /// One program has all disks, and looks at all of each when it is time.
    Polled,
    /// One program for each pair, one after the other, started anew each time: as `bifold sync LEFT RIGHT` from a script.
    Pairs,
    /// One program, with an index of its own, for each disk; they talk, and fetch bytes from each other. Each is told of each path that
    /// is changed.
    Apart,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 4] = [Mode::Watched, Mode::Polled, Mode::Pairs, Mode::Apart];
}

/// Where a side of a decision comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// What this device has.
    Device(usize),
    /// All sides.
    Both,
    /// Nothing.
    Delete,
}

/// What a person said of a conflict.
struct Said {
    device: usize,
    path: String,
    kind: Option<ConflictKind>,
    choice: Choice,
}

/// How a settling went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// All is quiet.
    Quiet,
    /// The program was ended, as was armed.
    Ended,
    /// The program says that it cannot go on.
    Refused(String),
}

/// A disk, and where it is.
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its disk.
    pub fs: SimFs,
    path: PathBuf,
    identity: RootIdentity,
    /// The disk that belongs here, while another is in its place.
    away: Option<SimFs>,
    /// How wrong its clock is.
    skew_s: i64,
}

/// Disks and a program.
pub struct World {
    /// The disks.
    pub devices: Vec<Device>,
    /// Random numbers of the program and of the power.
    pub random: Random,
    mode: Mode,
    moments: Arc<Moments>,
    /// Of several programs that have something to do, the first one does it; else luck decides.
    pub orderly: bool,
    links: BTreeSet<(usize, usize)>,
    /// That of each program; of pairs, one for all.
    indexes: Vec<Index>,
    /// Those that run.
    programs: Vec<Program>,
    /// What is on its way between programs.
    wires: BTreeMap<(ReplicaId, ReplicaId), VecDeque<Message>>,
    settings: Settings,
    /// Of programs apart: which replica each device had last, and those that they had before.
    had: BTreeMap<usize, ReplicaId>,
    gone: BTreeSet<ReplicaId>,
    ignore: Vec<String>,
    decisions: Vec<Said>,
    allow: bool,
    listing: Listing,
    runs: u64,
    copies: BTreeMap<String, Vec<index::Parts>>,
    snapshots: BTreeMap<String, Snapshot>,
    /// What ends one program does not end the others, and it is started anew when they go on.
    pub alone: bool,
    agitated: agitate::Agitated,
}

/// Inputs after which programs are said not to come to rest.
const MANY: usize = 20_000;

/// After so many seconds nobody waits for one who is connected and says nothing.
const SILENCE_S: i64 = 61;

impl World {
    /// A world of devices, all linked with each other.
    #[must_use]
    pub fn new(seed: u64, mode: Mode, devices: &[(&str, Traits)]) -> World {
        let moments = Arc::new(Moments::default());
        let device = |(i, (name, traits)): (usize, &(&str, Traits))| Device {
            name: (*name).to_owned(),
            fs: SimFs::new(*traits, moments.clone()),
            path: PathBuf::from(format!("/simulated/{name}")),
            identity: RootIdentity {
                device: 100 + i as u64,
                inode: 2,
            },
            away: None,
            skew_s: 0,
        };
        let devices: Vec<Device> = devices.iter().enumerate().map(device).collect();
        let pairs = (0..devices.len()).flat_map(|a| (a + 1..devices.len()).map(move |b| (a, b)));
        let indexes = if mode == Mode::Apart { devices.len() } else { 1 };
        World {
            links: pairs.clone().collect(),
            devices,
            random: Random::new(seed),
            mode,
            moments,
            orderly: true,
            indexes: (0..indexes).map(|_| Index::new()).collect(),
            programs: Vec::new(),
            wires: BTreeMap::new(),
            // What can be forgotten is, at once.
            settings: Settings {
                forget_least: 0,
                forget_every_ms: 0,
                ..Settings::default()
            },
            had: BTreeMap::new(),
            gone: BTreeSet::new(),
            ignore: Vec::new(),
            decisions: Vec::new(),
            allow: false,
            listing: Listing::default(),
            runs: 1 << 20,
            copies: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            alone: false,
            agitated: agitate::Agitated::default(),
        }
    }

    /// The device of a name.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<usize> {
        self.devices.iter().position(|d| d.name == name)
    }

    /// Lets time go by.
    pub fn pass_seconds(&self, seconds: i64) {
        self.moments.pass_seconds(seconds);
    }

    /// Parts or joins two devices.
    pub fn link(&mut self, a: usize, b: usize, linked: bool) {
        let pair = (a.min(b), a.max(b));
        let changed = if linked {
            self.links.insert(pair)
        } else {
            self.links.remove(&pair)
        };
        if !changed {
            return;
        }
        let ids = self.ids();
        if let (Some(a), Some(b)) = (ids.get(&pair.0), ids.get(&pair.1)) {
            self.connect(*a, *b, linked);
        }
        self.take_links_in();
    }

    /// Two programs are connected, or no more; what was on its way between them is lost.
    fn connect(&mut self, a: ReplicaId, b: ReplicaId, linked: bool) {
        let mut lost = 0;
        // (Each device tells of itself.)
        let of_them = |gone: &&ReplicaId| [a, b].iter().any(|id| Program::device_of(*id) == Program::device_of(**gone));
        let gone: BTreeSet<ReplicaId> = self.gone.iter().filter(of_them).copied().collect();
        for program in &mut self.programs {
            lost += program.link(a, b, linked, &gone);
        }
        self.wires.retain(|ends, wire| {
            let stays = *ends != (a, b) && *ends != (b, a);
            lost += if stays { 0 } else { wire.len() };
            stays
        });
        self.agitated.tally.cut_messages += lost as u64;
        self.forget_delivered();
    }

    /// Both ends at once: what is said belongs to one connection.
    fn take_links_in(&mut self) {
        while let Some(i) = self.programs.iter().position(Program::is_linking) {
            if self.turn_of(i).is_err() {
                self.restart();
            }
        }
    }

    /// The replicas of the devices whose programs run.
    fn ids(&self) -> BTreeMap<usize, ReplicaId> {
        self.programs.iter().flat_map(Program::ids).collect()
    }

    fn index_of(&mut self, members: &[usize]) -> &mut Index {
        let at = if self.mode == Mode::Apart { members[0] } else { 0 };
        &mut self.indexes[at]
    }

    /// Ends the program in good order, or kills it while it does nothing.
    pub fn restart(&mut self) {
        for program in std::mem::take(&mut self.programs) {
            self.leaves(&program);
        }
        self.wires.clear();
        self.forget_delivered();
    }

    /// Cuts the power of everything.
    pub fn cut_power(&mut self) {
        self.restart();
        for index in &mut self.indexes {
            index.lose(&mut self.random);
        }
        for device in &self.devices {
            device.fs.cut_power(&mut |n| self.random.below(n));
        }
    }

    /// Ends the program before one of its next changes: the one with this number, from 0.
    pub fn arm(&mut self, end: End, at: u64) {
        self.watch(end == End::PowerCut);
        self.moments.arm(at);
    }

    /// Nothing ends the program any more.
    pub fn disarm(&mut self) {
        self.moments.disarm();
        self.watch(false);
    }

    fn watch(&mut self, watch: bool) {
        self.indexes.iter_mut().for_each(|index| index.watch(watch));
    }

    /// Sets the rule for conflicts.
    pub fn prefer(&mut self, prefer: impl FnOnce(&dyn Fn(usize) -> Option<Prefer>) -> Prefer) {
        self.restart();
        // Replicas have ids once they were opened.
        let paths: Vec<PathBuf> = self.devices.iter().map(|d| d.path.clone()).collect();
        let known: Vec<_> = self.indexes.iter().map(|index| index.replicas(&paths)).collect();
        let id = |d: usize| known.iter().find_map(|ids| ids.get(d).copied().flatten());
        self.settings.prefer = prefer(&|d| id(d).map(Prefer::Replica));
    }

    /// What can be forgotten is not, while there is as little of it as in a simulated world.
    pub fn forget_late(&mut self) {
        self.restart();
        let usual = Settings::default();
        self.settings.forget_least = usual.forget_least;
        self.settings.forget_every_ms = usual.forget_every_ms;
    }

    /// Lets held changes pass, this time.
    pub fn allow(&mut self) {
        self.allow = true;
    }

    /// Adds a pattern of what is ignored.
    pub fn ignore(&mut self, pattern: &str) {
        self.restart();
        self.ignore.push(pattern.to_owned());
    }

    /// A person at a device decides.
    pub fn decide(&mut self, device: usize, path: &str, choice: Choice) {
        self.says(device, path, None, choice);
    }

    /// A person at a device decides a conflict that is listed; others at that path stay.
    pub fn decide_listed(&mut self, device: usize, conflict: &Listed, choice: Choice) {
        let kinds = [
            ConflictKind::Content,
            ConflictKind::Renamed,
            ConflictKind::Deleted,
            ConflictKind::Name,
            ConflictKind::Cycle,
            ConflictKind::Orphan,
        ];
        let kind = kinds.into_iter().find(|kind| listing::word(kind) == conflict.kind);
        self.says(device, &conflict.path, kind, choice);
    }

    fn says(&mut self, device: usize, path: &str, kind: Option<ConflictKind>, choice: Choice) {
        self.decisions.push(Said {
            device,
            path: path.to_owned(),
            kind,
            choice,
        });
    }

    /// Loses the index.
    pub fn lose_index(&mut self) {
        self.restart();
        self.indexes.iter_mut().for_each(Index::remove);
    }

    /// Keeps a copy of the index.
    pub fn copy_index(&mut self, name: &str) {
        self.restart();
        self.copies
            .insert(name.to_owned(), self.indexes.iter().map(Index::copy).collect());
    }

    /// Puts a copy of the index back.
    pub fn restore_index(&mut self, name: &str) {
        self.restart();
        for (index, parts) in self.indexes.iter_mut().zip(&self.copies[name]) {
            index.put(parts);
        }
    }

    /// Keeps a copy of all files of a device, the marker too.
    pub fn copy_files(&mut self, device: usize, name: &str) {
        let snapshot = self.devices[device].fs.snapshot();
        self.snapshots.insert(format!("{device} {name}"), snapshot);
    }

    /// Puts a copy of all files of a device back.
    pub fn restore_files(&mut self, device: usize, name: &str) {
        self.restart();
        self.devices[device].fs.restore(&self.snapshots[&format!("{device} {name}")]);
    }

    /// Puts another, empty disk in the place of a device's.
    pub fn exchange_disk(&mut self, device: usize) {
        self.restart();
        let fs = SimFs::new(self.devices[device].fs.traits(), self.moments.clone());
        let device = &mut self.devices[device];
        device.identity.device += 1000;
        device.away = Some(std::mem::replace(&mut device.fs, fs));
    }

    /// Takes a device's disk out of its place.
    pub fn unmount(&mut self, device: usize) {
        self.devices[device].fs.set_mounted(false);
    }

    /// Puts a device's own disk back in its place. The program is told by being started anew.
    pub fn mount(&mut self, device: usize) {
        self.restart();
        let device = &mut self.devices[device];
        if let Some(own) = device.away.take() {
            device.identity.device -= 1000;
            device.fs = own;
        }
        device.fs.set_mounted(true);
    }

    /// What the program lists.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Whether all programs show what they know, and know of each other that they do: what a person waits for who wants to go.
    pub fn agree(&self) -> bool {
        let ids = self.ids();
        self.programs.iter().all(|program| program.agrees_with(ids.values().copied()))
    }

    /// What is the user's on each disk.
    #[must_use]
    pub fn trees(&self) -> Vec<BTreeMap<String, Thing>> {
        self.devices.iter().map(|d| d.fs.tree()).collect()
    }

    /// Has the program do all there is to do.
    ///
    /// # Errors
    /// If it does not come to rest, or breaks a promise.
    pub fn settle(&mut self) -> Result<Settled, String> {
        let result = if self.mode == Mode::Pairs {
            self.settle_pairs()
        } else {
            self.settle_together()
        };
        self.allow &= result.is_err();
        self.after(result)
    }

    fn after(&mut self, result: Result<(), Stop>) -> Result<Settled, String> {
        match result {
            Ok(()) => Ok(Settled::Quiet),
            Err(Stop::Ended) => {
                self.restart();
                self.moments.disarm();
                Ok(Settled::Ended)
            }
            Err(Stop::Refused(why)) => {
                self.restart();
                self.listing.refused = Some(why.clone());
                Ok(Settled::Refused(why))
            }
            Err(Stop::Broken(why)) => Err(why),
        }
    }

    /// The power is cut at the moment at which the program was ended.
    pub fn cut_power_after_end(&mut self) {
        self.cut_power();
    }

    /// Has the programs do no more than so many things, one after the other.
    ///
    /// # Errors
    /// If one breaks a promise.
    pub fn go_on(&mut self, turns: usize) -> Result<Settled, String> {
        let result = self.do_turns(turns);
        self.after(result)
    }

    fn do_turns(&mut self, turns: usize) -> Result<(), Stop> {
        self.start_all()?;
        for device in 0..self.devices.len() {
            let paths = self.devices[device].fs.take_dirty();
            self.programs.iter_mut().for_each(|p| p.dirty(device, paths.clone()));
        }
        for _ in 0..turns {
            self.turn()?;
        }
        Ok(())
    }

    fn start_all(&mut self) -> Result<(), Stop> {
        if self.alone {
            return self.start_missing();
        }
        if self.programs.is_empty() {
            let all: Vec<usize> = (0..self.devices.len()).collect();
            let groups = if self.mode == Mode::Apart { 1 } else { all.len() };
            for members in all.chunks(groups) {
                let program = self.start(members)?;
                self.programs.push(program);
            }
            self.introduce();
        }
        Ok(())
    }

    fn settle_together(&mut self) -> Result<(), Stop> {
        self.start_all()?;
        self.begin();
        for round in 0.. {
            self.run()?;
            let dirty: Vec<BTreeSet<String>> = self.devices.iter().map(|d| d.fs.take_dirty()).collect();
            if round > 0 && dirty.iter().all(BTreeSet::is_empty) {
                break;
            }
            if round > 30 {
                return Err(Stop::Broken("the users' changes do not end".to_owned()));
            }
            for (device, paths) in dirty.into_iter().enumerate() {
                let whole = self.mode == Mode::Polled && (round == 0 || !paths.is_empty());
                let paths = if whole { BTreeSet::from([String::new()]) } else { paths };
                self.programs.iter_mut().for_each(|p| p.dirty(device, paths.clone()));
            }
        }
        self.listing = self.list();
        Ok(())
    }

    /// Programs that have just been started get to know of each other.
    fn introduce(&mut self) {
        let ids = self.ids();
        let named: BTreeMap<ReplicaId, String> = ids.iter().map(|(d, id)| (*id, self.devices[*d].name.clone())).collect();
        for program in self.programs.iter_mut().filter(|_| self.mode == Mode::Apart) {
            program.names(named.clone());
            for (a, b) in &self.links {
                program.link(ids[a], ids[b], true, &self.gone);
            }
        }
    }

    /// A round begins.
    fn begin(&mut self) {
        let ids = self.ids();
        let mut decisions = std::mem::take(&mut self.decisions);
        for program in &mut self.programs {
            program.begin(self.allow, &mut decisions, &ids);
        }
        self.decisions = decisions;
    }

    /// Runs until no program has anything more to do.
    fn run(&mut self) -> Result<(), Stop> {
        let mut silences = 0;
        for count in 0.. {
            if count > MANY {
                let next: Vec<_> = self.programs.iter().filter_map(Program::next).collect();
                return Err(Stop::Broken(format!("the programs do not come to rest; next is {next:?}")));
            }
            if !self.turn()? {
                // Who is connected and says nothing is not waited for forever.
                let waiting = self.programs.iter_mut().map(Program::waits_for_others).filter(|waits| *waits);
                if silences == 3 || waiting.count() == 0 {
                    break;
                }
                self.moments.pass_seconds(SILENCE_S);
                silences += 1;
            }
        }
        self.programs.iter_mut().try_for_each(Program::rest)
    }

    /// One input of one program. False if there is none.
    fn turn(&mut self) -> Result<bool, Stop> {
        let mut ready: Vec<usize> = (0..self.programs.len())
            .filter(|i| self.programs[*i].next().is_some())
            .collect();
        let wires: Vec<(ReplicaId, ReplicaId)> = self.wires.iter().filter(|(_, w)| !w.is_empty()).map(|(e, _)| *e).collect();
        let turns = ready.len() + wires.len();
        if turns == 0 {
            return Ok(false);
        }
        let turn = if self.orderly { 0 } else { self.random.below(turns) };
        if turn >= ready.len() {
            let ends = wires[turn - ready.len()];
            if let Some(message) = self.wires.get_mut(&ends).and_then(VecDeque::pop_front) {
                self.deliver(ends, message);
            }
            return Ok(true);
        }
        self.turn_of(ready.swap_remove(turn)).map(|()| true)
    }

    fn turn_of(&mut self, program: usize) -> Result<(), Stop> {
        let mut program = self.programs.remove(program);
        let others = std::mem::take(&mut self.programs);
        self.arm_for(program.place());
        self.note_with(|world| format!("{} takes {:?}", world.devices[program.place()].name, program.next()));
        self.agitated.tally.turns += 1;
        let stepped = program.turn(self, &others);
        self.disarm_for(program.place());
        self.programs = others;
        if self.alone
            && let Err(stop) = stepped
        {
            return self.fall(program, stop);
        }
        self.programs.push(program);
        self.programs.sort_by_key(Program::place);
        stepped
    }

    fn list(&mut self) -> Listing {
        let mut total = Listing::default();
        for i in 0..self.programs.len() {
            let names: Vec<String> = self.programs[i].ids().map(|(d, _)| self.devices[d].name.clone()).collect();
            total.add(self.programs[i].listing(names));
        }
        total
    }

    fn settle_pairs(&mut self) -> Result<(), Stop> {
        let mut still = 0;
        let mut total = Listing::default();
        for round in 0.. {
            if round > 40 {
                return Err(Stop::Broken("runs of pairs do not end".to_owned()));
            }
            let mut listing = Listing::default();
            for (a, b) in self.links.clone() {
                let _ = (self.devices[a].fs.take_dirty(), self.devices[b].fs.take_dirty());
                self.programs = vec![self.start(&[a, b])?];
                self.begin();
                self.run()?;
                listing.add(self.list());
                self.restart();
            }
            total.applied += listing.applied;
            total.copied += listing.copied;
            let (applied, copied) = (total.applied, total.copied);
            let calm = listing.applied == 0 && self.devices.iter().all(|d| d.fs.take_dirty().is_empty());
            self.listing = Listing {
                applied,
                copied,
                ..listing
            };
            still = if calm { still + 1 } else { 0 };
            if still == 2 {
                break;
            }
        }
        Ok(())
    }

    fn start(&mut self, members: &[usize]) -> Result<Program, Stop> {
        self.listing.refused = None;
        Program::start(self, members)
    }
}
