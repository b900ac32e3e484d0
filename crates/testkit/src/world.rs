//! A world: some simulated disks, and the real engine (core, carrier, index) between them, one step after the other, the same in
//! every run.

mod index;
mod listing;
mod program;

use crate::disk::{SimFs, Snapshot, Thing, Traits};
use crate::moments::{End, Moments};
use crate::random::Random;
use bifold_engine::core::{Prefer, Settings};
use bifold_store::RootIdentity;
use index::Index;
use program::{Program, Stop};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

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
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 3] = [Mode::Watched, Mode::Polled, Mode::Pairs];
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
}

/// Disks and a program.
pub struct World {
    /// The disks.
    pub devices: Vec<Device>,
    /// Random numbers of the program and of the power.
    pub random: Random,
    mode: Mode,
    moments: Arc<Moments>,
    links: BTreeSet<(usize, usize)>,
    index: Index,
    program: Option<Program>,
    settings: Settings,
    ignore: Vec<String>,
    decisions: Vec<(usize, String, Choice)>,
    allow: bool,
    listing: Listing,
    runs: u64,
    copies: BTreeMap<String, Vec<(String, Vec<u8>)>>,
    snapshots: BTreeMap<String, Snapshot>,
}

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
        };
        let devices: Vec<Device> = devices.iter().enumerate().map(device).collect();
        let pairs = (0..devices.len()).flat_map(|a| (a + 1..devices.len()).map(move |b| (a, b)));
        World {
            links: pairs.clone().collect(),
            devices,
            random: Random::new(seed),
            mode,
            moments,
            index: Index::new(),
            program: None,
            settings: Settings::default(),
            ignore: Vec::new(),
            decisions: Vec::new(),
            allow: false,
            listing: Listing::default(),
            runs: 1 << 20,
            copies: BTreeMap::new(),
            snapshots: BTreeMap::new(),
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
        if let (true, Some(program)) = (changed, &mut self.program) {
            program.link(pair.0, pair.1, linked);
        }
    }

    /// Ends the program in good order, or kills it while it does nothing.
    pub fn restart(&mut self) {
        self.program = None;
    }

    /// Cuts the power of everything.
    pub fn cut_power(&mut self) {
        self.program = None;
        self.index.lose(&mut self.random);
        for device in &self.devices {
            device.fs.cut_power(&mut |n| self.random.below(n));
        }
    }

    /// Ends the program before one of its next changes: the one with this number, from 0.
    pub fn arm(&mut self, end: End, at: u64) {
        self.index.watch(end == End::PowerCut);
        self.moments.arm(at);
    }

    /// Nothing ends the program any more.
    pub fn disarm(&mut self) {
        self.moments.disarm();
        self.index.watch(false);
    }

    /// Sets the rule for conflicts.
    pub fn prefer(&mut self, prefer: impl FnOnce(&dyn Fn(usize) -> Option<Prefer>) -> Prefer) {
        self.restart();
        // Replicas have ids once they were opened.
        let ids = self
            .index
            .replicas(&self.devices.iter().map(|d| d.path.clone()).collect::<Vec<_>>());
        self.settings.prefer = prefer(&|d| ids.get(d).copied().flatten().map(Prefer::Replica));
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
        self.decisions.push((device, path.to_owned(), choice));
    }

    /// Loses the index.
    pub fn lose_index(&mut self) {
        self.restart();
        self.index.remove();
    }

    /// Keeps a copy of the index.
    pub fn copy_index(&mut self, name: &str) {
        self.restart();
        self.copies.insert(name.to_owned(), self.index.copy());
    }

    /// Puts a copy of the index back.
    pub fn restore_index(&mut self, name: &str) {
        self.restart();
        self.index.put(&self.copies[name]);
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

    /// What is the user's on each disk.
    #[must_use]
    pub fn trees(&self) -> Vec<BTreeMap<String, Thing>> {
        self.devices.iter().map(|d| d.fs.tree()).collect()
    }

    /// Whether the program is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.program.is_some()
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
        match result {
            Ok(()) => {
                self.allow = false;
                Ok(Settled::Quiet)
            }
            Err(Stop::Ended) => {
                self.program = None;
                self.moments.disarm();
                Ok(Settled::Ended)
            }
            Err(Stop::Refused(why)) => {
                self.program = None;
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

    fn settle_together(&mut self) -> Result<(), Stop> {
        let all: Vec<usize> = (0..self.devices.len()).collect();
        let mut program = match self.program.take() {
            Some(program) => program,
            None => self.start(&all)?,
        };
        program.begin(self);
        for round in 0.. {
            program.run(self)?;
            let dirty: Vec<BTreeSet<String>> = self.devices.iter().map(|d| d.fs.take_dirty()).collect();
            if round > 0 && dirty.iter().all(BTreeSet::is_empty) {
                break;
            }
            if round > 30 {
                return Err(Stop::Broken("the users' changes do not end".to_owned()));
            }
            for (device, paths) in dirty.into_iter().enumerate() {
                let whole = self.mode == Mode::Polled && (round == 0 || !paths.is_empty());
                program.dirty(device, if whole { BTreeSet::from([String::new()]) } else { paths });
            }
        }
        self.listing = program.listing(self);
        self.program = Some(program);
        Ok(())
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
                let mut program = self.start(&[a, b])?;
                program.begin(self);
                program.run(self)?;
                listing.add(program.listing(self));
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
