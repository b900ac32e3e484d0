//! Is a deliberately broken engine caught by the simulation, soon, and told as a short story? Each fault breaks one promise of the tree,
//! of the disk, or of the system below.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "in a test a panic is a failed test")]

use bifold_testkit::history::{History, play, play_new, shrink, told};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
enum Planted {
    Nothing,
    Tree(bifold_tree::faults::Fault),
    Disk(bifold_disk::faults::Fault),
    World(bifold_testkit::faults::Fault),
}

fn plant(planted: Planted) {
    bifold_tree::faults::plant(None);
    bifold_disk::faults::plant(None);
    bifold_testkit::faults::plant(None);
    match planted {
        Planted::Nothing => {}
        Planted::Tree(fault) => bifold_tree::faults::plant(Some(fault)),
        Planted::Disk(fault) => bifold_disk::faults::plant(Some(fault)),
        Planted::World(fault) => bifold_testkit::faults::plant(Some(fault)),
    }
}

/// Plays that it may take to make a history short.
const TRIES: usize = 1000;

/// A longer story is none that one understands.
const MOST_LINES: usize = 30;

/// In this time each fault is to be found.
const SOON: Duration = Duration::from_secs(120);

/// It is looked for from seed 1 on, or `BIFOLD_SEED`.
fn is_caught(planted: Planted) {
    plant(planted);
    let start = Instant::now();
    let given = std::env::var("BIFOLD_SEED").ok().and_then(|seed| seed.parse().ok());
    let found = (given.unwrap_or(1)..)
        .take_while(|_| start.elapsed() < SOON)
        .find_map(|seed| {
            let played = play_new(&History::new(seed), false);
            let broken = played.broken?;
            // (A history that fails without the fault, too, tells nothing of it.)
            plant(Planted::Nothing);
            let sound = play(&played.history, false);
            plant(planted);
            sound.broken.is_none().then_some((played.history, broken))
        });
    let (history, broken) = found.unwrap_or_else(|| panic!("{planted:?} is not found"));
    let after = start.elapsed();
    let (short, shown) = shrink(&history, &broken, TRIES);
    let story = told(&short, &shown);
    eprintln!(
        "{planted:?}: seed {} after {:.1} s, as \"{}\"; short after {:.1} s\n{story}",
        history.seed,
        after.as_secs_f64(),
        broken.rule,
        start.elapsed().as_secs_f64()
    );
    assert_eq!(shown.rule, broken.rule);
    let lines = story.lines().count();
    assert!(given.is_some() || lines <= MOST_LINES, "{lines} lines are no short story");
    // What is told is all that is needed to play it again.
    let read: History = story.parse().unwrap();
    assert_eq!(play(&read, false).broken.map(|broken| broken.rule), Some(shown.rule));
    // It is this fault, and no other.
    plant(Planted::Nothing);
    let sound = play(&short, false);
    assert_eq!(sound.broken, None, "it fails without the fault, too");
}

#[test]
fn a_version_vector_that_loses_an_entry_is_caught() {
    is_caught(Planted::Tree(bifold_tree::faults::Fault::MergesForgetWriters));
}

#[test]
fn an_exchange_that_is_not_looked_at_is_caught() {
    is_caught(Planted::Disk(bifold_disk::faults::Fault::ExchangesUnseen));
}

#[test]
fn a_removal_without_history_is_caught() {
    is_caught(Planted::Disk(bifold_disk::faults::Fault::RemovesAtOnce));
}

#[test]
fn an_error_taken_for_absence_is_caught() {
    is_caught(Planted::Disk(bifold_disk::faults::Fault::ErrorsAreAbsence));
}

#[test]
fn a_forgotten_sync_is_caught() {
    is_caught(Planted::Disk(bifold_disk::faults::Fault::NotedUnsynced));
}

#[test]
fn an_ack_that_is_not_durable_is_caught() {
    is_caught(Planted::World(bifold_testkit::faults::Fault::AcksUnsynced));
}
