//! Is each rule needed, and would the tests notice? Each fault breaks one rule of the tree, or one of the engine around it.
//!
//! With `BIFOLD_MUTANTS=all` both the examples and the histories are tried for each.
#![allow(clippy::print_stdout)]

mod common;

use bifold_tree::faults::{Fault, plant};
use common::example::{wrong_crashes, wrong_examples};
use common::fault::{WorldFault, set};
use common::history::{history, play};
use common::surveys::wrong_surveys;
use common::world::Mode;

#[derive(Clone, Copy, Debug)]
enum Planted {
    Nothing,
    Tree(Fault),
    World(WorldFault),
}

const MODES: [Mode; 10] = [
    Mode::Rescue,
    Mode::Any,
    Mode::Join,
    Mode::Moves,
    Mode::Loops,
    Mode::Offline,
    Mode::Gc,
    Mode::Newest,
    Mode::Fold,
    Mode::Linear,
];

fn noticed_by(planted: Planted, all: bool, count: u64) -> Vec<String> {
    match planted {
        Planted::Nothing => {}
        Planted::Tree(fault) => plant(Some(fault)),
        Planted::World(fault) => set(Some(fault)),
    }
    let mut noticed = Vec::new();
    let written = [
        ("examples", wrong_examples().len()),
        ("crashes", wrong_crashes().len()),
        ("surveys", wrong_surveys().len()),
    ];
    noticed.extend(
        written
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(what, n)| format!("{n} {what}")),
    );
    // (Two records of one entry, one of them on its way out, and an end of the program just then: rare.)
    let rare = matches!(planted, Planted::Tree(Fault::HeldIsTaken)).then_some(719);
    let seeds = rare.into_iter().chain(0..count);
    for (i, (seed, mode)) in seeds.flat_map(|seed| MODES.map(|mode| (seed, mode))).enumerate() {
        if !all && !noticed.is_empty() {
            break;
        }
        if let Err(broken) = play(seed, mode, &history(seed, mode), false).result {
            let line: String = broken.lines().next().unwrap_or_default().chars().take(60).collect();
            noticed.push(format!("history {i}, {mode:?} {seed}: {line}"));
            break;
        }
    }
    plant(None);
    set(None);
    noticed
}

#[test]
fn planted_faults_are_noticed() {
    use Fault::*;
    let all = std::env::var("BIFOLD_MUTANTS").is_ok_and(|v| v == "all");
    let tree = [
        UnderIsPlain,
        NoWaiting,
        MovedTogetherApart,
        BornTogetherApart,
        SameBytesApart,
        NoJoining,
        NoReviving,
        NoAdopting,
        SettlesDeletionsOnly,
        SettlesForGood,
        SettlesEscaped,
        StepsAreUsers,
        EditsReplaceAll,
        MovesReplaceAll,
        DeletionsSeeAll,
        NoParking,
        ForgetsUnseen,
        LoopsStay,
        UnionsUnwatched,
        NoLeaving,
        HeldIsTaken,
        RenamesHideEdits,
        FirstComeFirstServed,
        UnlistedIsGone,
        MergesForgetWriters,
        // Costs only traffic.
        ForgottenComeBack,
    ];
    let world = [WorldFault::BytesNotKept, WorldFault::NotLooked, WorldFault::LateCommits];
    let planted = [Planted::Nothing]
        .into_iter()
        .chain(tree.map(Planted::Tree))
        .chain(world.map(Planted::World));
    let mut missed = Vec::new();
    for p in planted {
        let expected = !matches!(p, Planted::Nothing | Planted::Tree(ForgottenComeBack));
        let noticed = noticed_by(p, all, if expected || all { 400 } else { 40 });
        println!(
            "{p:?}: {}",
            if noticed.is_empty() {
                "not noticed".to_owned()
            } else {
                noticed.join("; ")
            }
        );
        if expected == noticed.is_empty() {
            missed.push(format!("{p:?} {noticed:?}"));
        }
    }
    assert!(missed.is_empty(), "not as expected: {missed:#?}");
}
