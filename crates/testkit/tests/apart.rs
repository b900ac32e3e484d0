//! Random histories of devices that are each a program of their own: see [`bifold_testkit::history`]. `BIFOLD_HISTORIES=1000` takes the
//! time for so many, from seed 1, or `BIFOLD_SEED`; `BIFOLD_SEED=7` alone plays that one; `BIFOLD_THREADS=1` has one core do it. What
//! fails is made short, and told as a story; with `BIFOLD_TRACE=1` all that was done in it is told, too.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "in a test a panic is a failed test"
)]

use bifold_disk::apply::Applied;
use bifold_disk::scan::Scope;
use bifold_engine::core::{Core, Effect, Input, ScanEnd, Searched, Settings};
use bifold_testkit::disk::Traits;
use bifold_testkit::history::{Counts, History, play, play_new, shrink, told};
use bifold_testkit::world::{Mode, Settled, World};
use bifold_tree::{
    ExactNames, FileKey, Fingerprint, Kind, Outcome, Policy, Problem, ProblemKind, Replica, ReplicaId, Stat, Survey,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Histories that a run of the tests plays: those from seed 1 on. (How many passed in the last long run is in `docs/TESTING.md`.)
const FEW: u64 = 300;
/// Plays that it may take to make a history short.
const TRIES: usize = 4000;

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

/// Has a replica that is to make a directory do so on a disk that always says the same of its steps. How often it tried, and how often
/// the whole disk was looked at, until nothing more was to do.
fn with_a_disk_that_says(said: impl Fn() -> Applied, core: &mut Core, first: Input) -> (usize, usize) {
    let id = ReplicaId(2);
    let (mut tried, mut looked) = (0, 0);
    let mut inputs = VecDeque::from([first]);
    while let Some(input) = inputs.pop_front() {
        for effect in core.step(input, 20) {
            match effect {
                Effect::Scan(_, scope) => {
                    looked += usize::from(scope == Scope::All);
                    inputs.push_back(Input::ScanEnded(id, ScanEnd::Complete(Searched::default())));
                }
                Effect::Apply(..) => {
                    tried += 1;
                    assert!(tried < 100, "it does not come to rest");
                    inputs.push_back(Input::Applied(id, said()));
                    inputs.push_back(Input::ApplyEnded(id));
                }
                _ => {}
            }
        }
    }
    (tried, looked)
}

fn about_to_make_a_directory() -> Input {
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
    Input::Attach {
        replica: Box::new(to),
        name: "anna".to_owned(),
        carrying: false,
    }
}

/// A step that is never as expected, whatever a scan says: a disk that says it made something, and did not.
#[test]
fn what_changes_each_time_is_told() {
    let mut core = Core::new(Settings::default());
    let changed = || Applied {
        outcomes: vec![Outcome::Changed],
        ..Applied::default()
    };
    let (tried, _) = with_a_disk_that_says(changed, &mut core, about_to_make_a_directory());
    assert!(tried > 1 && core.has_failures());
    let status = core.status();
    let problems: Vec<&str> = status.hosts[0].problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(problems, ["dir"]);
}

/// What was done is never durable: the disk is looked at, but not without end.
#[test]
fn what_cannot_be_synced_is_tried_from_time_to_time() {
    let mut core = Core::new(Settings::default());
    let unsynced = || Applied {
        outcomes: vec![Outcome::Failed(Problem {
            path: "dir".into(),
            kind: ProblemKind::Other,
            message: "input/output error".into(),
        })],
        unsure: true,
        ..Applied::default()
    };
    let (_, looked) = with_a_disk_that_says(unsynced, &mut core, about_to_make_a_directory());
    assert!(looked > 1, "it is looked at after that");
    for _ in 0..3 {
        let (tried, looked) = with_a_disk_that_says(unsynced, &mut core, Input::Retry);
        assert!(tried > 0 && looked > 0 && core.has_failures());
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..=12 {
        let history = History::new(seed);
        let [first, second] = [play_new(&history, true), play_new(&history, true)];
        let (a, b) = (first.trace.unwrap(), second.trace.unwrap());
        let other = a.lines().zip(b.lines()).find(|(a, b)| a != b);
        assert!(a == b, "seed {seed}: {other:?}");
        assert!(a.lines().count() > 100, "{a}");
        // What was taped is what was done.
        let again = play(&first.history, true);
        let c = again.trace.unwrap();
        let other = a.lines().zip(c.lines()).find(|(a, c)| a != c);
        assert!(a == c, "seed {seed}, from the tape: {other:?}");
        assert_eq!((first.counts, first.history), (again.counts, again.history));
    }
    let of = |seed| play_new(&History::new(seed), true).trace;
    assert_ne!(of(1), of(2));
}

/// 318: a disk that failed at two starts in a row looked put back. 935: a decision for the deletion of what was nowhere took a side along
/// that came after it.
#[test]
fn histories_that_failed_once() {
    for seed in [269, 318, 935, 2782, 4640, 7734, 8048, 9024, 9349, 9697, 11_081, 12_863] {
        let played = play_new(&History::new(seed), false);
        assert_eq!(played.broken, None, "seed {seed}");
    }
}

/// Those of `tests/histories/`.
#[test]
fn histories_that_are_kept() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/histories");
    let mut played = 0;
    for entry in std::fs::read_dir(kept).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let history: History = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let told = play(&history, std::env::var_os("BIFOLD_TRACE").is_some());
        assert_eq!(told.broken, None, "{}\n{}", path.display(), told.trace.unwrap_or_default());
        played += 1;
    }
    assert!(played > 0, "{kept} is empty");
}

#[test]
fn random_histories_of_devices_apart() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("BIFOLD_SEED").unwrap_or(1);
    let seeds = match number("BIFOLD_HISTORIES") {
        Some(count) => first..first + count,
        None if number("BIFOLD_SEED").is_some() => first..first + 1,
        None => first..first + FEW,
    };
    let start = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let counts = Mutex::new(Counts::default());
    let failed = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                break;
            }
            let played = play_new(&History::new(seed), false);
            *counts.lock().unwrap() += played.counts;
            if let Some(broken) = played.broken {
                eprintln!("seed {seed}: {}: {}", broken.rule, broken.what);
                failed.lock().unwrap().insert(seed, (played.history, broken));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let threads = number("BIFOLD_THREADS").map_or(threads, |n| n as usize);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let (counts, failed) = (counts.into_inner().unwrap(), failed.into_inner().unwrap());
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "{counts}; {seconds:.1} s, {:.0} operations a second",
        counts.operations as f64 / seconds
    );
    println!("counted: {}", counts.in_short());
    for (history, broken) in failed.values().take(3) {
        let (short, broken) = shrink(history, broken, TRIES);
        eprintln!("\n{}", told(&short, &broken));
        if std::env::var_os("BIFOLD_TRACE").is_some() {
            eprintln!("{}", play(&short, true).trace.unwrap_or_default());
        }
    }
    let seeds: Vec<&u64> = failed.keys().collect();
    assert!(failed.is_empty(), "these seeds failed: {seeds:?}");
}
