//! Model checking: every history of two or three replicas within small bounds, each state once.
//!
//! `BIFOLD_DEPTH`: how many operations, where there are few at a time; where there are more, it is one or two less. `BIFOLD_BOUNDS`: only
//! those whose names begin so. `BIFOLD_SECONDS`: so long for all of them together, about; what one does not need, the others have.
//! `BIFOLD_MUTANTS=all`: all planted faults are looked for, not only those that are known to lie within the bounds; so long for each.
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used, reason = "tests")]

mod common;

use bifold_tree::faults::{Fault, plant};
use common::explore::{Bounds, Clock, explore};
use std::time::{Duration, Instant};

/// Bounds, with how many operations there are in the plain test; and how many fewer than asked for when more are asked for.
struct Slice(Bounds, usize, usize);

/// So many states there are in the plain test, and more.
const LEAST: usize = 10_000;

/// Two names, which may be given to files and directories.
const PLAIN: Bounds = Bounds {
    name: "",
    replicas: 2,
    base: &[],
    names: &["a", "b"],
    levels: 2,
    mkdir: true,
    clock: Clock::Logical,
    same: false,
    lag: false,
    depth: 0,
};

/// Nothing but files in the root.
const FLAT: Bounds = Bounds {
    base: &["a"],
    levels: 1,
    mkdir: false,
    ..PLAIN
};

fn slices() -> Vec<Slice> {
    let two = |name, plain, less, bounds| Slice(Bounds { name, ..bounds }, plain, less);
    let three = |name, plain, less, bounds| {
        Slice(
            Bounds {
                name,
                replicas: 3,
                ..bounds
            },
            plain,
            less,
        )
    };
    let (base, inside): (&[&str], &[&str]) = (&["a/", "b/"], &["a/b"]);
    let (clock, ahead) = (Clock::Wall, Clock::Ahead);
    vec![
        two("2-nothing", 3, 1, PLAIN),
        two("2-file", 4, 0, Bounds { lag: true, ..FLAT }),
        two("2-file-clock", 4, 0, Bounds { clock, ..FLAT }),
        two("2-same", 3, 1, Bounds { same: true, ..FLAT }),
        two("2-inside", 3, 2, Bounds { base: inside, ..PLAIN }),
        two(
            "2-inside-lag",
            2,
            2,
            Bounds {
                base: inside,
                mkdir: false,
                lag: true,
                clock: ahead,
                ..PLAIN
            },
        ),
        two(
            "2-dirs",
            2,
            2,
            Bounds {
                base,
                clock: ahead,
                ..PLAIN
            },
        ),
        three("3-file", 3, 1, FLAT),
        three("3-file-clock", 3, 1, Bounds { clock, ..FLAT }),
        three(
            "3-inside",
            2,
            2,
            Bounds {
                base: inside,
                mkdir: false,
                ..PLAIN
            },
        ),
    ]
}

fn named(name: &str) -> Bounds {
    slices().into_iter().map(|s| s.0).find(|b| b.name == name).unwrap()
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_small_history_keeps_the_invariants() {
    let depth = number("BIFOLD_DEPTH");
    let only = std::env::var("BIFOLD_BOUNDS").unwrap_or_default();
    let end = number("BIFOLD_SECONDS").map(|s| Instant::now() + Duration::from_secs(s as u64));
    let (mut broken, mut states) = (Vec::new(), 0);
    let slices: Vec<Slice> = slices().into_iter().filter(|s| s.0.name.starts_with(&only)).collect();
    let mut left = slices.len() as u32;
    for Slice(mut bounds, plain, less) in slices {
        bounds.depth = depth.map_or(plain, |depth| depth.saturating_sub(less));
        let most = end.map(|end| end.saturating_duration_since(Instant::now()) / left);
        left -= 1;
        let explored = explore(&bounds, most);
        println!("{}: {explored}  {:?}", bounds.name, explored.states);
        states += explored.states.iter().sum::<usize>();
        if let Some(failure) = explored.failure {
            println!("    {failure}");
            broken.push(format!("{}: {failure}", bounds.name));
        } else if most.is_none() {
            // Each level is larger than all before it, or there is something that cannot be done.
            let (last, before) = explored.states.split_last().unwrap();
            assert!(
                *last > 2 * before.iter().sum::<usize>(),
                "{}: {:?}",
                bounds.name,
                explored.states
            );
            assert_eq!(explored.depth, bounds.depth);
        }
    }
    println!("counted: {states} states");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(!only.is_empty() || end.is_some() || states > LEAST, "only {states} states");
}

/// Faults of the tree, each with bounds in which it shows, and how many operations it takes.
const SHOWN: &[(Fault, &str, usize)] = &[
    (Fault::EditsReplaceAll, "2-file", 3),
    (Fault::DeletionsSeeAll, "2-file", 3),
    (Fault::LoopsStay, "2-dirs", 2),
    (Fault::UnderIsPlain, "2-inside", 2),
];

/// Those of which nothing is known.
const OTHERS: &[Fault] = &[
    Fault::NoWaiting,
    Fault::MovedTogetherApart,
    Fault::BornTogetherApart,
    Fault::SameBytesApart,
    Fault::NoJoining,
    Fault::NoReviving,
    Fault::NoAdopting,
    Fault::SettlesDeletionsOnly,
    Fault::SettlesForGood,
    Fault::SettlesEscaped,
    Fault::StepsAreUsers,
    Fault::MovesReplaceAll,
    Fault::NoParking,
    Fault::UnionsUnwatched,
    Fault::NoLeaving,
    Fault::HeldIsTaken,
    Fault::RenamesHideEdits,
    Fault::FirstComeFirstServed,
];

#[test]
fn planted_faults_are_found_with_the_shortest_history() {
    let mut missed = Vec::new();
    for (fault, bounds, operations) in SHOWN {
        let mut bounds = named(bounds);
        bounds.depth = *operations;
        plant(Some(*fault));
        let explored = explore(&bounds, None);
        plant(None);
        match explored.failure {
            Some(failure) => {
                println!("{fault:?}: {:.1} s", explored.time.as_secs_f64());
                println!("    {failure}");
                // (The base is a line, too.)
                if failure.history.len() != operations + 1 {
                    missed.push(format!("{fault:?}: {} operations", failure.history.len() - 1));
                }
            }
            None => missed.push(format!("{fault:?}")),
        }
    }
    if std::env::var("BIFOLD_MUTANTS").is_ok_and(|v| v == "all") {
        others();
    }
    assert!(missed.is_empty(), "not as expected: {missed:?}");
}

fn others() {
    let depth = number("BIFOLD_DEPTH").unwrap_or(5);
    let most = number("BIFOLD_SECONDS").map(|s| Duration::from_secs(s as u64));
    for fault in OTHERS {
        plant(Some(*fault));
        let found = slices().into_iter().find_map(|Slice(bounds, _, less)| {
            let (name, depth) = (bounds.name, depth.saturating_sub(less));
            Some((name, explore(&Bounds { depth, ..bounds }, most).failure?))
        });
        plant(None);
        match found {
            Some((name, failure)) => println!("{fault:?}: {name}: {failure}"),
            None => println!("{fault:?}: not found"),
        }
    }
}
