//! What three devices with real daemons show is explained by what they told each other (`bifold_testkit::mysteries`). Each change of a
//! file is one step of the file system, so that what it replaced is known for sure. `BIFOLD_HISTORIES=200` takes the time for so many
//! traces; `BIFOLD_SEED=7` plays one, and tells it; both: so many from there.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

mod world;

use bifold_testkit::mysteries::generate::{Shape, generate};
use bifold_testkit::mysteries::play::{Failed, Spoil, Spoilt, Stage, Wrong, play};
use bifold_testkit::mysteries::shrink::shrink;
use bifold_testkit::mysteries::{Counts, DEVICES, Deed, FILES, How, Settled, Trace, Value, bytes_of, tell, value_of};
use bifold_testkit::random::Random;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use world::World;
use world::fleet::Device;
use world::user::{exchange, rename_if_free};

/// Traces that a run of the tests plays, if there is time for them.
const FEW: u64 = 12;
/// After this it begins no other.
const SHORT: Duration = Duration::from_secs(12);
/// Traces that the same daemons play; then others are started.
const MANY: u64 = 50;
/// How often a trace is played while it is made smaller: not each play goes the same way.
const TIMES: usize = 6;

const SHAPE: Shape = Shape {
    devices: 3,
    files: 3,
    deeds: 50,
    in_place: false,
    amid: 0,
    away: 40,
    restart: 150,
};

/// How a device is away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Away {
    Killed,
    Paused,
}

/// Three devices that share a folder.
struct Fleet<'w> {
    world: &'w World,
    devices: Vec<Device<'w>>,
    /// How many traces were played: each has files of its own.
    plays: usize,
    /// How many files were written aside.
    aside: usize,
}

impl<'w> Fleet<'w> {
    fn new(world: &'w World) -> Fleet<'w> {
        let devices: Vec<Device<'w>> = DEVICES[..3].iter().map(|name| Device::new(world, name)).collect();
        devices[0].add();
        for other in &devices[1..] {
            other.join(&devices[0].ticket(&[]));
        }
        world.mkdir("desk");
        let fleet = Fleet {
            world,
            devices,
            plays: 0,
            aside: 0,
        };
        fleet.meet();
        fleet
    }

    /// Waits until each sees all others.
    fn meet(&self) {
        for device in &self.devices {
            for other in self.devices.iter().filter(|other| other.name != device.name) {
                device.sees(&other.name, true);
            }
        }
    }
}

/// One trace, being played.
struct Playing<'f, 'w> {
    fleet: &'f mut Fleet<'w>,
    random: Random,
    away: [Option<Away>; 3],
}

impl<'f, 'w> Playing<'f, 'w> {
    fn new(fleet: &'f mut Fleet<'w>, seed: u64) -> Playing<'f, 'w> {
        fleet.plays += 1;
        Playing {
            fleet,
            random: Random::new(seed),
            away: [None; 3],
        }
    }

    fn name(&self, file: usize) -> String {
        format!("{}-{}", self.fleet.plays, FILES[file])
    }

    fn path(&self, device: usize, file: usize) -> PathBuf {
        self.fleet.world.at(DEVICES[device]).join(self.name(file))
    }

    /// A path that nobody else knows.
    fn desk(&mut self) -> PathBuf {
        self.fleet.aside += 1;
        self.fleet.world.at("desk").join(self.fleet.aside.to_string())
    }

    fn settled(&self, file: usize, listed: &[Vec<Json>]) -> Result<Settled, String> {
        let (name, mut settled) = (self.name(file), Settled::default());
        let values: BTreeMap<String, Value> = (0..500)
            .map(|value| (blake3::hash(&bytes_of(value)).to_hex().to_string(), value))
            .collect();
        for (device, conflicts) in self.fleet.devices.iter().zip(listed) {
            settled.shown.push(read(self.fleet.world.at(&device.name).join(&name)));
            let mut sides = BTreeSet::new();
            for conflict in conflicts.iter().filter(|c| c["path"] == *name) {
                match conflict["kind"].as_str().unwrap() {
                    "content" => {}
                    "deleted" => {
                        settled.edit_of_deleted = true;
                        continue;
                    }
                    _ => return Err(format!("{}: {conflict:#}", device.name)),
                }
                for side in conflict["sides"].as_array().unwrap() {
                    let value = values.get(side["content"].as_str().unwrap());
                    let value = *value.ok_or_else(|| format!("{}: {conflict:#}", device.name))?;
                    sides.insert(value);
                    // It can be had, too.
                    let whose = side["devices"][0]
                        .as_str()
                        .ok_or_else(|| format!("nobody has a side: {conflict:#}"))?;
                    let run = device.try_ask(&["cat", "team", &name, "--side", whose]);
                    if value_of(run.out.trim_end().as_bytes()) != value {
                        return Err(format!("{}: the side {value} of {whose} cannot be had: {run:?}", device.name));
                    }
                }
            }
            settled.sides.push(sides);
        }
        Ok(settled)
    }
}

fn read(path: PathBuf) -> Option<Value> {
    match fs::read(&path) {
        Ok(bytes) => Some(value_of(&bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => panic!("{}: {e}", path.display()),
    }
}

impl Stage for Playing<'_, '_> {
    fn devices(&self) -> usize {
        3
    }

    fn read(&mut self, device: usize, file: usize) -> Option<Value> {
        read(self.path(device, file))
    }

    fn write(&mut self, device: usize, file: usize, value: Value, _: How) -> Option<Value> {
        let (path, aside) = (self.path(device, file), self.desk());
        fs::write(&aside, bytes_of(value)).unwrap();
        loop {
            if exchange(&aside, &path) {
                let old = read(aside.clone());
                fs::remove_file(&aside).unwrap();
                return old;
            }
            if rename_if_free(&aside, &path) {
                return None;
            }
        }
    }

    fn delete(&mut self, device: usize, file: usize, _: How) -> Option<Value> {
        let (path, aside) = (self.path(device, file), self.desk());
        let old = rename_if_free(&path, &aside).then(|| read(aside.clone()))?;
        fs::remove_file(&aside).unwrap();
        old
    }

    fn sleep(&mut self, much: u8) {
        std::thread::sleep(Duration::from_millis(2 * u64::from(much)));
    }

    fn away(&mut self, device: usize) -> bool {
        let how = if self.random.one_in(3) { Away::Killed } else { Away::Paused };
        match how {
            Away::Killed => self.fleet.devices[device].kill(),
            Away::Paused => drop(self.fleet.devices[device].ask(&["pause"])),
        }
        self.away[device] = Some(how);
        how == Away::Killed
    }

    fn back(&mut self, device: usize) {
        match self.away[device].take() {
            Some(Away::Killed) => self.fleet.devices[device].start(),
            Some(Away::Paused) => drop(self.fleet.devices[device].ask(&["resume"])),
            None => {}
        }
    }

    fn restart(&mut self, device: usize) -> Vec<usize> {
        self.fleet.devices[device].kill();
        self.fleet.devices[device].start();
        Vec::new()
    }

    fn settle(&mut self, files: usize) -> Result<Vec<Settled>, String> {
        self.fleet.meet();
        // Twice: what the last one found when it looked at its disk, the first one shows only then.
        for device in self.fleet.devices.iter().chain(&self.fleet.devices) {
            let run = device.try_ask(&["status", "--wait", "60"]);
            if !matches!(run.code, Some(0 | 1)) || run.out.contains("not all devices") {
                return Err(format!("{}: {run:?}", device.name));
            }
        }
        let ours = format!("{}-", self.fleet.plays);
        let names: Vec<String> = (0..files).map(|file| self.name(file)).collect();
        let mut listed = Vec::new();
        for device in &self.fleet.devices {
            let tree = device.tree();
            let mut paths = tree.keys().map(|path| path.to_string_lossy());
            if let Some(path) = paths.find(|path| path.starts_with(&ours) && !names.iter().any(|name| path == name)) {
                return Err(format!("{} shows {path}", device.name));
            }
            let folder = device.folder();
            if folder["problems"].as_array().is_none_or(|problems| !problems.is_empty()) {
                return Err(format!("{}: {folder:#}", device.name));
            }
            listed.push(device.json(&["conflicts"]).as_array().unwrap().clone());
        }
        (0..files).map(|file| self.settled(file, &listed)).collect()
    }
}

/// Plays deeds, and tells what came of it.
fn try_play(mut stage: impl Stage, deeds: &[Deed]) -> Result<(Trace, String), Failed> {
    let (trace, pulls) = play(&mut stage, deeds).map_err(|failed| *failed)?;
    let pulls: Vec<String> = pulls
        .iter()
        .map(|pull| format!("before {}: {pull}\n", pull.before + 1))
        .collect();
    let told = format!("{}{}", tell(&trace), pulls.concat());
    Ok((trace, told))
}

#[test]
fn no_mysteries_among_daemons() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let long = number("BIFOLD_SEED").or(number("BIFOLD_HISTORIES")).is_some();
    let (mut seeds, tells) = match (number("BIFOLD_SEED"), number("BIFOLD_HISTORIES")) {
        (Some(seed), None) => (seed..seed + 1, true),
        (first, many) => {
            let first = first.unwrap_or(1);
            (first..first + many.unwrap_or(FEW), false)
        }
    };
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    // (A machine that is busy may have time for one alone.)
    let mut begun: Option<Instant> = None;
    let is_over = |begun: Option<Instant>| !long && begun.is_some_and(|begun| begun.elapsed() > SHORT);
    while !seeds.is_empty() && !is_over(begun) {
        let world = World::new();
        let mut fleet = Fleet::new(&world);
        begun.get_or_insert_with(Instant::now);
        for (nth, seed) in seeds.by_ref().take(MANY as usize).enumerate() {
            if nth > 0 && is_over(begun) {
                break;
            }
            let deeds = generate(seed, &SHAPE);
            match try_play(Playing::new(&mut fleet, seed), &deeds) {
                Ok((trace, told)) => {
                    counts.add(&trace);
                    if tells {
                        eprintln!("{told}");
                    }
                }
                Err(first) => {
                    failed.push(seed);
                    eprintln!("seed {seed}:\n{first}\n");
                    if let Wrong::Restless(_) = first.wrong {
                        // These devices may be of no more use.
                        break;
                    }
                    let end = Instant::now() + Duration::from_secs(if long { 300 } else { 20 });
                    let (few, failure) = shrink(&deeds, first, &mut |deeds| {
                        let mut again = (0..TIMES).take_while(|_| Instant::now() < end);
                        again.find_map(|_| try_play(Playing::new(&mut fleet, seed), deeds).err())
                    });
                    eprintln!("seed {seed}, of which is left: {few:?}\n{failure}\n");
                }
            }
        }
    }
    println!("counted: {}", counts.in_short("crashes"));
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}

/// A test of the test: what happens behind the back of those who look on is found out.
#[test]
fn spoilt_daemons_are_found_out() {
    let world = World::new();
    let mut fleet = Fleet::new(&world);
    let how = How::default();
    let deeds = [
        Deed::Write(0, 0, 1, how),
        Deed::Settle,
        Deed::Write(1, 0, 2, how),
        Deed::Settle,
        Deed::Write(1, 0, 3, how),
        Deed::Sleep(20),
        Deed::Read(0, 0),
    ];
    assert!(try_play(Playing::new(&mut fleet, 1), &deeds).is_ok());
    for spoil in [Spoil::DropsAWrite, Spoil::BringsBack, Spoil::Invents, Spoil::Loses] {
        // (What is brought back was there before something else was: the third write is spoilt.)
        let left = if spoil == Spoil::BringsBack { 0 } else { 1 };
        let failed = try_play(Spoilt::new(Playing::new(&mut fleet, 1), spoil, left), &deeds).expect_err("it is spoilt");
        assert!(matches!(failed.wrong, Wrong::Mystery(_)), "{spoil:?}: {failed}");
    }
}
