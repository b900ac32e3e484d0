//! Random histories of three devices that are each a program of their own: users change things at any moment, links break, programs are
//! started anew. In the end all are the same, and nothing that was written is lost. `BIFOLD_HISTORIES=1000` takes the time for so
//! many; `BIFOLD_SEED=7` plays one, and says what happens.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "in a test a panic is a failed test")]

use bifold_disk::apply::Applied;
use bifold_engine::core::{Core, Effect, Input, ScanEnd, Settings};
use bifold_testkit::disk::{SimFs, Thing, Traits};
use bifold_testkit::random::Random;
use bifold_testkit::world::{Choice, Mode, Settled, World};
use bifold_tree::{ExactNames, FileKey, Fingerprint, Kind, Outcome, Policy, Replica, ReplicaId, Stat, Survey};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const DEVICES: [&str; 3] = ["anna", "ben", "cleo"];
/// Histories that a run of the tests plays.
const FEW: u64 = 300;

struct History {
    world: World,
    random: Random,
    /// What was ever written, and by what.
    written: BTreeMap<Vec<u8>, String>,
    /// What a user replaced or deleted, having seen it.
    seen_off: BTreeSet<Vec<u8>>,
    next: u64,
    tell: bool,
}

type Tree = BTreeMap<String, Thing>;

impl History {
    fn new(seed: u64, tell: bool) -> History {
        let mut world = World::new(seed, Mode::Apart, &DEVICES.map(|name| (name, Traits::default())));
        world.orderly = false;
        History {
            world,
            random: Random::new(seed),
            written: BTreeMap::new(),
            seen_off: BTreeSet::new(),
            next: 0,
            tell,
        }
    }

    fn say(&self, what: &str) {
        if self.tell {
            eprintln!("{what}");
        }
    }

    fn new_bytes(&mut self, device: usize, path: &str) -> Vec<u8> {
        self.next += 1;
        let bytes = format!("{} by {}", self.next, DEVICES[device]).into_bytes();
        self.written.insert(bytes.clone(), format!("{path} by {}", DEVICES[device]));
        bytes
    }

    fn see_off(&mut self, tree: &Tree, path: &str) {
        let below = format!("{path}/");
        for (_, thing) in tree.iter().filter(|(p, _)| *p == path || p.starts_with(&below)) {
            if let Thing::File { bytes, .. } = thing {
                self.seen_off.insert(bytes.to_vec());
            }
        }
    }

    /// A path in a directory that is there.
    fn place(&mut self, tree: &Tree) -> String {
        let mut dirs: Vec<&str> = vec!["", ""];
        dirs.extend(tree.iter().filter(|(_, t)| matches!(t, Thing::Dir)).map(|(p, _)| p.as_str()));
        let dir = *self.random.of(&dirs);
        let name = *self.random.of(&NAMES);
        if dir.is_empty() || dir.matches('/').count() > 2 {
            name.to_owned()
        } else {
            format!("{dir}/{name}")
        }
    }

    fn some(&mut self, tree: &Tree, file: bool) -> Option<String> {
        let all: Vec<&String> = tree
            .iter()
            .filter(|(_, t)| !file || matches!(t, Thing::File { .. }))
            .map(|(p, _)| p)
            .collect();
        (!all.is_empty()).then(|| (*self.random.of(&all)).clone())
    }

    /// A user does something.
    fn act(&mut self) {
        let d = self.random.below(DEVICES.len());
        let fs: SimFs = self.world.devices[d].fs.clone();
        let tree = fs.tree();
        let who = DEVICES[d];
        let within = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
        match self.random.below(12) {
            0..=3 => {
                let path = self.place(&tree);
                if matches!(tree.get(&path), None | Some(Thing::File { .. })) {
                    self.see_off(&tree, &path);
                    let bytes = self.new_bytes(d, &path);
                    self.say(&format!("{who} writes {path}: {}", String::from_utf8_lossy(&bytes)));
                    if self.random.one_in(2) {
                        fs.write(&path, &bytes)
                    } else {
                        fs.save(&path, &bytes)
                    }
                }
            }
            4 | 5 => {
                if let Some(path) = self.some(&tree, true) {
                    self.see_off(&tree, &path);
                    let bytes = self.new_bytes(d, &path);
                    self.say(&format!("{who} edits {path}: {}", String::from_utf8_lossy(&bytes)));
                    fs.write(&path, &bytes);
                }
            }
            6 | 7 => {
                let to = self.place(&tree);
                if let Some(from) = self.some(&tree, false)
                    && !within(&to, &from)
                {
                    let files = matches!(tree[&from], Thing::File { .. }) && matches!(tree.get(&to), Some(Thing::File { .. }));
                    if files || !tree.contains_key(&to) {
                        self.see_off(&tree, &to);
                        self.say(&format!("{who} moves {from} to {to}"));
                        fs.move_to(&from, &to);
                    }
                }
            }
            8 => {
                if let (Some(a), Some(b)) = (self.some(&tree, false), self.some(&tree, false))
                    && !within(&a, &b)
                    && !within(&b, &a)
                {
                    self.say(&format!("{who} swaps {a} and {b}"));
                    fs.swap(&a, &b);
                }
            }
            9 => {
                if let Some(path) = self.some(&tree, false) {
                    self.see_off(&tree, &path);
                    self.say(&format!("{who} deletes {path}"));
                    fs.delete(&path);
                }
            }
            _ => {
                let path = self.place(&tree);
                if !tree.contains_key(&path) {
                    self.say(&format!("{who} makes {path}/"));
                    fs.make_directory(&path);
                }
            }
        }
    }

    fn go_on(&mut self, turns: usize) {
        assert_eq!(self.world.go_on(turns), Ok(Settled::Quiet));
    }

    fn link(&mut self, linked: bool) {
        let a = self.random.below(3);
        let b = (a + 1) % 3;
        self.say(&format!(
            "{} and {} are {}",
            DEVICES[a],
            DEVICES[b],
            if linked { "joined" } else { "parted" }
        ));
        self.world.link(a, b, linked);
    }

    fn settle(&mut self) {
        self.world.pass_seconds(20);
        assert_eq!(self.world.settle(), Ok(Settled::Quiet));
    }

    /// All that can be had of what was written.
    fn check_nothing_is_lost(&self) {
        let mut had: BTreeSet<Vec<u8>> = BTreeSet::new();
        for device in &self.world.devices {
            had.extend(device.fs.tree().into_values().filter_map(|thing| match thing {
                Thing::File { bytes, .. } => Some(bytes.to_vec()),
                _ => None,
            }));
            had.extend(device.fs.history().into_iter().map(|bytes| bytes.to_vec()));
        }
        for (bytes, by) in &self.written {
            let text = String::from_utf8_lossy(bytes);
            assert!(had.contains(bytes) || self.seen_off.contains(bytes), "{text:?} is lost: {by}");
        }
        assert!(
            had.iter().all(|bytes| self.written.contains_key(bytes)),
            "bytes that nobody wrote"
        );
    }

    /// All devices show the same, but for conflicts.
    fn check_equal(&self) {
        let listing = self.world.listing();
        assert!(listing.problems.is_empty(), "{:#?}", listing.problems);
        assert!(
            listing.held.is_empty() && listing.halted.is_empty() && listing.refused.is_none(),
            "{listing:#?}"
        );
        assert!(self.world.agree(), "they do not know that they are the same");
        let open: Vec<&String> = listing.conflicts.iter().map(|c| &c.path).collect();
        let is_open = |path: &String| open.iter().any(|o| path == *o || path.starts_with(&format!("{o}/")));
        let trees: Vec<BTreeMap<String, String>> = (self.world.trees().into_iter())
            .map(|tree| {
                tree.into_iter()
                    .filter(|(path, _)| !is_open(path))
                    .map(|(p, t)| (p, format!("{t:?}")))
                    .collect()
            })
            .collect();
        for (tree, name) in trees[1..].iter().zip(&DEVICES[1..]) {
            for path in trees[0].keys().chain(tree.keys()) {
                assert_eq!(trees[0].get(path), tree.get(path), "{path} differs on {name}; open: {open:?}");
            }
        }
    }

    fn play(&mut self) {
        self.go_on(30);
        for _ in 0..self.random.below(50) + 5 {
            for _ in 0..self.random.below(3) {
                self.act();
            }
            match self.random.below(30) {
                0..=2 => self.link(false),
                3..=5 => self.link(true),
                6 => {
                    self.say("all programs are started anew");
                    self.world.restart();
                }
                7 => self.settle(),
                _ => {}
            }
            let turns = self.random.below(12);
            self.go_on(turns);
        }
        self.say("the end: all are joined");
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            self.world.link(a, b, true);
        }
        (0..3).for_each(|_| self.settle());
        self.check_equal();
        self.check_nothing_is_lost();
        for round in 0..8 {
            let conflicts = self.world.listing().conflicts.clone();
            if conflicts.is_empty() {
                return;
            }
            assert!(round < 7, "these stay: {conflicts:#?}");
            for conflict in conflicts {
                let device = self.random.below(3);
                let mut sides: Vec<usize> = Vec::new();
                for (of, _) in &conflict.sides {
                    sides.extend(of.iter().filter_map(|name| DEVICES.iter().position(|d| d == name)));
                }
                let choice = match self.random.below(4) {
                    3 if round < 3 => Choice::Both,
                    _ if sides.is_empty() => Choice::Both,
                    _ => Choice::Device(*self.random.of(&sides)),
                };
                self.say(&format!(
                    "{} picks {choice:?} of {} ({})",
                    DEVICES[device], conflict.path, conflict.kind
                ));
                self.world.decide(device, &conflict.path, choice);
            }
            (0..2).for_each(|_| self.settle());
            self.check_equal();
            self.check_nothing_is_lost();
        }
    }
}

#[test]
fn what_a_disk_cannot_have_is_waited_for_by_nobody() {
    let none = Traits {
        links: false,
        ..Traits::default()
    };
    let mut world = World::new(1, Mode::Apart, &[("anna", Traits::default()), ("ben", none)]);
    world.devices[0].fs.link("link", "target");
    world.devices[0].fs.write("file", b"bytes");
    for _ in 0..3 {
        assert_eq!(world.settle(), Ok(Settled::Quiet));
        assert!(world.agree());
    }
    assert_eq!(world.listing().problems.len(), 1, "it is told");
    assert_eq!(world.trees()[1].len(), 1);
    world.devices[1].fs.write("file", b"more");
    assert_eq!(world.settle(), Ok(Settled::Quiet));
    assert!(world.agree() && world.trees()[0].contains_key("link"));
}

/// A step that is never as expected, whatever a scan says: a disk that says it made something, and did not.
#[test]
fn what_changes_each_time_is_told() {
    let stat = Stat {
        kind: Kind::Dir,
        key: FileKey(7),
        print: Fingerprint {
            size: 0,
            mtime_ns: 1,
            ctime_ns: 1,
        },
        exec: None,
    };
    let replica = |id| Replica::new(ReplicaId(id), Arc::new(ExactNames), Policy::Ask);
    let (mut from, mut to) = (replica(1), replica(2));
    let mut survey = Survey::new();
    survey.listed(&from, "", &[("dir".into(), Some(stat))]);
    from.observe(survey, 10);
    for node in from.changed_since(0) {
        to.receive(&node, 10).unwrap();
    }
    let id = ReplicaId(2);
    let mut core = Core::new(Settings::default());
    let (replica, name) = (Box::new(to), "anna".to_owned());
    let mut inputs = VecDeque::from([Input::Attach { replica, name }]);
    let mut applied = 0;
    while let Some(input) = inputs.pop_front() {
        for effect in core.step(input, 20) {
            match effect {
                Effect::Scan(..) => inputs.push_back(Input::ScanEnded(id, ScanEnd::Complete)),
                Effect::Apply(..) => {
                    applied += 1;
                    assert!(applied < 100, "it does not come to rest");
                    let outcomes = vec![Outcome::Changed];
                    inputs.push_back(Input::Applied(
                        id,
                        Applied {
                            outcomes,
                            ..Applied::default()
                        },
                    ));
                    inputs.push_back(Input::ApplyEnded(id));
                }
                _ => {}
            }
        }
    }
    let status = core.status();
    assert!(applied > 1 && core.has_failures());
    let problems: Vec<&str> = status.hosts[0].problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(problems, ["dir"]);
}

#[test]
fn random_histories_of_devices_apart() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (seeds, tell) = match number("BIFOLD_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (1..1 + number("BIFOLD_HISTORIES").unwrap_or(FEW), false),
    };
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                break;
            }
            let played = catch_unwind(AssertUnwindSafe(|| History::new(seed, tell).play()));
            if played.is_err() {
                eprintln!("that was seed {seed}");
                failed.lock().unwrap().push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}
