//! What three simulated devices show is explained by what they told each other. `BIFOLD_HISTORIES=10000` takes the time for so many
//! traces; `BIFOLD_SEED=7` plays one, and tells it; both: so many from there.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "in a test a panic is a failed test"
)]

use bifold_testkit::disk::{SimFs, Thing, Traits};
use bifold_testkit::mysteries::explain::Why;
use bifold_testkit::mysteries::generate::{Shape, generate};
use bifold_testkit::mysteries::play::{Failed, Spoil, Spoilt, Stage, Wrong, play};
use bifold_testkit::mysteries::shrink::shrink;
use bifold_testkit::mysteries::{Counts, DEVICES, Deed, FILES, How, STRANGE, Settled, Trace, Value, bytes_of, tell, value_of};
use bifold_testkit::random::Random;
use bifold_testkit::world::{Mode, World};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Traces that a run of the tests plays.
const FEW: u64 = 300;

const SHAPE: Shape = Shape {
    devices: 3,
    files: 3,
    deeds: 45,
    in_place: true,
    amid: 60,
    away: 12,
    restart: 40,
};

struct Simulated {
    world: World,
    random: Random,
    away: [bool; 3],
}

impl Simulated {
    fn new(seed: u64) -> Simulated {
        let mut random = Random::new(seed);
        let traits = |random: &mut Random| Traits {
            // Some disks cannot exchange files, some have coarse times.
            exchange: !random.one_in(6),
            // (A number that is given again, with no time of birth beside it, makes a deletion and a new file a renaming.)
            reuses_keys: false,
            ..Traits::default()
        };
        let devices: Vec<(&str, Traits)> = DEVICES[..3].iter().map(|name| (*name, traits(&mut random))).collect();
        let mut world = World::new(seed, Mode::Apart, &devices);
        world.orderly = false;
        let away = [false; 3];
        let mut simulated = Simulated { world, random, away };
        // They have met.
        simulated.go_on(200);
        simulated
    }

    fn go_on(&mut self, turns: usize) {
        self.world.go_on(turns).unwrap();
    }

    /// Does something on a disk, now or while the program is at work.
    fn deed<T: Send + 'static>(&mut self, device: usize, how: How, act: impl Fn(&SimFs) -> T + Copy + Send + 'static) -> T {
        let fs = self.world.devices[device].fs.clone();
        // (Where files cannot be exchanged, nothing is at a path for a moment while one takes another's place: who looks then sees that.)
        let Some(call) = how.amid.filter(|_| fs.traits().exchange) else {
            return act(&fs);
        };
        let done = Arc::new(Mutex::new(None));
        let into = done.clone();
        fs.at_call(u64::from(call), move |fs| *into.lock().unwrap() = Some(act(fs)));
        let turns = self.random.below(12);
        self.go_on(turns);
        fs.disarm();
        let done = done.lock().unwrap().take();
        done.unwrap_or_else(|| act(&fs))
    }

    fn link(&mut self) {
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            self.world.link(a, b, !self.away[a] && !self.away[b]);
        }
    }
}

fn read(fs: &SimFs, file: usize) -> Option<Value> {
    fs.bytes(FILES[file]).map(|bytes| value_of(&bytes))
}

impl Stage for Simulated {
    fn devices(&self) -> usize {
        3
    }

    fn read(&mut self, device: usize, file: usize) -> Option<Value> {
        read(&self.world.devices[device].fs, file)
    }

    fn write(&mut self, device: usize, file: usize, value: Value, how: How) -> Option<Value> {
        self.deed(device, how, move |fs| {
            let old = read(fs, file);
            if how.in_place {
                fs.write(FILES[file], &bytes_of(value));
            } else {
                fs.save(FILES[file], &bytes_of(value));
            }
            old
        })
    }

    fn delete(&mut self, device: usize, file: usize, how: How) -> Option<Value> {
        self.deed(device, how, move |fs| {
            let old = read(fs, file);
            if old.is_some() {
                fs.delete(FILES[file]);
            }
            old
        })
    }

    fn sleep(&mut self, much: u8) {
        self.go_on(usize::from(much));
    }

    fn away(&mut self, device: usize) -> bool {
        self.away[device] = true;
        self.link();
        false
    }

    fn back(&mut self, device: usize) {
        self.away[device] = false;
        self.link();
    }

    fn restart(&mut self, device: usize) -> Vec<usize> {
        self.world.restart();
        (0..3).filter(|other| *other != device).collect()
    }

    fn settle(&mut self, files: usize) -> Result<Vec<Settled>, String> {
        for _ in 0..3 {
            self.world.pass_seconds(20);
            self.world.settle()?;
        }
        let listing = self.world.listing().clone();
        if !self.world.agree() {
            return Err("they do not know that they are the same".to_owned());
        }
        if !listing.problems.is_empty() || !listing.held.is_empty() || !listing.halted.is_empty() || listing.refused.is_some() {
            return Err(format!("{listing:#?}"));
        }
        let trees = self.world.trees();
        for (tree, device) in trees.iter().zip(DEVICES) {
            if let Some(path) = tree.keys().find(|path| !FILES[..files].contains(&path.as_str())) {
                return Err(format!("{device} shows {path}"));
            }
        }
        // Values by content ids.
        let written: BTreeMap<String, Value> = (0..500)
            .map(|value| (bifold_chunk::hash_bytes(&bytes_of(value)).unwrap().content.hex(), value))
            .collect();
        let mut all = Vec::new();
        for file in &FILES[..files] {
            let of = |kind: &str| listing.conflicts.iter().find(|c| c.path == *file && c.kind == kind);
            let ids = of("content")
                .into_iter()
                .flat_map(|c| c.sides.iter().filter_map(|(_, id)| id.as_ref()));
            let sides: BTreeSet<Value> = ids.map(|id| written.get(id).copied().unwrap_or(STRANGE)).collect();
            let shown = trees.iter().map(|tree| match tree.get(*file) {
                Some(Thing::File { bytes, .. }) => Some(value_of(bytes)),
                _ => None,
            });
            all.push(Settled {
                shown: shown.collect(),
                sides: vec![sides; 3],
                edit_of_deleted: of("deleted").is_some(),
            });
        }
        let known = |kind: &str| kind == "content" || kind == "deleted";
        match listing.conflicts.iter().find(|c| !known(&c.kind)) {
            Some(conflict) => Err(format!("{conflict:#?}")),
            None => Ok(all),
        }
    }
}

/// Plays deeds; a panic in it is a failure too.
fn try_play(mut stage: impl Stage, deeds: &[Deed]) -> Result<(Trace, String), Failed> {
    let played = catch_unwind(AssertUnwindSafe(|| play(&mut stage, deeds)));
    match played {
        Ok(Ok((trace, pulls))) => {
            let pulls: Vec<String> = pulls
                .iter()
                .map(|pull| format!("before {}: {pull}\n", pull.before + 1))
                .collect();
            let told = format!("{}{}", tell(&trace), pulls.concat());
            Ok((trace, told))
        }
        Ok(Err(failed)) => Err(*failed),
        Err(_) => Err(Failed {
            trace: Vec::new(),
            wrong: Wrong::Restless("a panic, see above".to_owned()),
        }),
    }
}

#[test]
fn no_mysteries_in_the_simulated_world() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (seeds, tells) = match (number("BIFOLD_SEED"), number("BIFOLD_HISTORIES")) {
        (Some(seed), None) => (seed..seed + 1, true),
        (first, many) => {
            let first = first.unwrap_or(1);
            (first..first + many.unwrap_or(FEW), false)
        }
    };
    let next = AtomicU64::new(seeds.start);
    let failed: Mutex<Vec<u64>> = Mutex::default();
    let counts = Mutex::new(Counts::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                break;
            }
            let deeds = generate(seed, &SHAPE);
            match try_play(Simulated::new(seed), &deeds) {
                Ok((trace, told)) => {
                    counts.lock().unwrap().add(&trace);
                    if tells {
                        eprintln!("{told}");
                    }
                }
                Err(first) => {
                    if tells {
                        eprintln!("{first}");
                    }
                    let (few, failure) = shrink(&deeds, first, &mut |deeds| try_play(Simulated::new(seed), deeds).err());
                    eprintln!("seed {seed}, of which is left: {few:?}\n{failure}\n");
                    failed.lock().unwrap().push(seed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    println!("counted: {}", counts.into_inner().unwrap().in_short("restarts"));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}

/// A test of the test: what happens behind the back of those who look on is found out.
#[test]
fn spoilt_devices_are_found_out() {
    let calm = Shape {
        amid: 0,
        restart: 0,
        ..SHAPE
    };
    for spoil in [Spoil::DropsAWrite, Spoil::BringsBack, Spoil::Invents, Spoil::Loses] {
        let (mut found, mut kinds) = (0, BTreeSet::new());
        for seed in 0..20 {
            let deeds = generate(seed, &calm);
            let stage = Spoilt::new(Simulated::new(seed), spoil, (seed % 5) as usize);
            if let Err(failed) = try_play(stage, &deeds) {
                found += 1;
                kinds.insert(match failed.wrong {
                    Wrong::Mystery(mystery) => match mystery.why {
                        Why::Invented(_) => "invented",
                        Why::NotTo { .. } => "not to be shown",
                        Why::Alive { .. } => "alive",
                        Why::NothingDeleted => "nothing deleted",
                        Why::GaveUp => "gave up",
                    },
                    Wrong::Restless(why) => panic!("{why}"),
                });
            }
        }
        assert!(found >= 4, "{spoil:?} is found out {found} times in 20");
        assert!(
            kinds.is_superset(&BTreeSet::from(["alive"])) || kinds.contains("invented"),
            "{spoil:?}: {kinds:?}"
        );
    }
}
