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

/// In this time each fault is to be found.
const SOON: Duration = Duration::from_secs(120);

fn is_caught(planted: Planted, most_lines: usize) {
    plant(planted);
    let start = Instant::now();
    let found = (1..).take_while(|_| start.elapsed() < SOON).find_map(|seed| {
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
    let (short, shown) = shrink(&history, &broken, 1500);
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
    assert!(lines <= most_lines, "{lines} lines are no short story");
    // It is this fault, and no other.
    plant(Planted::Nothing);
    let sound = play(&short, false);
    assert_eq!(sound.broken, None, "it fails without the fault, too");
}

#[test]
fn a_version_vector_that_loses_an_entry_is_caught() {
    is_caught(Planted::Tree(bifold_tree::faults::Fault::MergesForgetWriters), 24);
}

#[test]
fn an_exchange_that_is_not_looked_at_is_caught() {
    is_caught(Planted::Disk(bifold_disk::faults::Fault::ExchangesUnseen), 16);
}

#[test]
fn a_removal_without_history_is_caught() {
    is_caught(Planted::Disk(bifold_disk::faults::Fault::RemovesAtOnce), 16);
}

#[test]
fn an_error_taken_for_absence_is_caught() {
    is_caught(Planted::Disk(bifold_disk::faults::Fault::ErrorsAreAbsence), 16);
}

#[test]
fn a_forgotten_sync_is_caught() {
    is_caught(Planted::World(bifold_testkit::faults::Fault::NoSync), 16);
}
