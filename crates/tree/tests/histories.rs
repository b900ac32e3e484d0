//! Random histories of several devices, and the invariants that must hold after each of them.
//!
//! `BIFOLD_HISTORIES`: how many in each mode. `BIFOLD_SEED`: the first seed, and without a count the only one. `BIFOLD_MODE`: only this
//! mode. What fails is made short, and told step by step.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use common::history::{explore, shrink};
use common::world::Mode;
use std::time::Instant;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn histories_keep_the_invariants() {
    let seed = number("BIFOLD_SEED");
    let count = number("BIFOLD_HISTORIES").unwrap_or(if seed.is_some() { 1 } else { 250 });
    let first = seed.unwrap_or(0);
    let only = std::env::var("BIFOLD_MODE").ok().and_then(|m| Mode::named(&m));
    let start = Instant::now();
    let (mut histories, mut operations, mut failed) = (0, 0, Vec::new());
    for mode in Mode::ALL.into_iter().filter(|m| only.is_none_or(|o| o == *m)) {
        let tally = explore(mode, first..first + count, 40);
        println!(
            "{mode:?}: {} histories from seed {first}, {} operations, at rest after {} rounds at most, ends with {:?}",
            tally.histories, tally.operations, tally.rounds, tally.features
        );
        for (what, seeds) in &tally.failures {
            println!("    {} times: {what} (seeds {:?})", seeds.len(), &seeds[..seeds.len().min(5)]);
            failed.push((mode, seeds[0]));
        }
        histories += tally.histories;
        operations += tally.operations;
    }
    println!("counted: {histories} histories, {operations} operations");
    println!("{:.1} s", start.elapsed().as_secs_f64());
    for (mode, seed) in failed.iter().take(3) {
        let Some((history, broken, trace)) = shrink(*seed, *mode) else {
            continue;
        };
        println!(
            "\n{mode:?}, seed {seed}: {} steps\n  {}\n  {broken}",
            history.len(),
            trace.join("\n  ")
        );
    }
    assert!(failed.is_empty(), "{} kinds of failures", failed.len());
}
