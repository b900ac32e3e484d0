//! Random histories, and what makes a failing one short.

use super::Broken;
use super::world::{Mode, Numbers, World};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Lets panics on this thread pass without a word while histories run: they come out as failures.
pub fn quietly<T>(f: impl FnOnce() -> T) -> T {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let old = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                old(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = f();
    QUIET.set(before);
    result
}

/// Makes a panic a broken invariant.
pub fn caught<T>(f: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    let result = quietly(|| catch_unwind(AssertUnwindSafe(f)));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// What came of a history.
pub struct Played {
    pub result: Result<std::collections::BTreeSet<String>, Broken>,
    pub operations: usize,
    pub rounds: usize,
    pub trace: Vec<String>,
}

/// The history of a seed.
pub fn history(seed: u64, mode: Mode) -> Vec<Numbers> {
    let mut world = World::new(seed, mode, false);
    let length = 4 + world.random.below(40);
    world.history(length)
}

/// Plays a history (that of the seed, or a part of it) in the world of a seed.
pub fn play(seed: u64, mode: Mode, history: &[Numbers], trace: bool) -> Played {
    quietly(|| {
        let mut world = World::new(seed, mode, trace);
        // The world goes on with the numbers that come after those of its history.
        let length = 4 + world.random.below(40);
        world.history(length);
        let result = caught(|| world.run(history));
        Played {
            result,
            operations: world.operations,
            rounds: world.rounds,
            trace: world.trace.take().unwrap_or_default(),
        }
    })
}

fn broken(seed: u64, mode: Mode, history: &[Numbers]) -> Option<Broken> {
    play(seed, mode, history, false).result.err()
}

/// The shortest part of a failing history that fails in the same way, with what fails and what happened.
pub fn shrink(seed: u64, mode: Mode) -> Option<(Vec<Numbers>, Broken, Vec<String>)> {
    let mut history = history(seed, mode);
    let first = broken(seed, mode, &history)?;
    let key: String = first
        .chars()
        .skip(first.find(": ").unwrap_or(0))
        .filter(|c| c.is_alphabetic())
        .take(16)
        .collect();
    let same = |b: &Broken| {
        let text: String = b
            .chars()
            .skip(b.find(": ").unwrap_or(0))
            .filter(|c| c.is_alphabetic())
            .take(16)
            .collect();
        text == key
    };
    let mut size = (history.len() / 2).max(1);
    while size > 0 {
        let (mut i, mut shorter) = (0, false);
        while i < history.len() {
            let mut part = history[..i].to_vec();
            part.extend_from_slice(&history[(i + size).min(history.len())..]);
            if broken(seed, mode, &part).is_some_and(|b| same(&b)) {
                history = part;
                shorter = true;
            } else {
                i += size;
            }
        }
        if !shorter {
            size /= 2;
        }
    }
    let last = play(seed, mode, &history, true);
    Some((history, last.result.err().unwrap_or(first), last.trace))
}

/// Counts of many histories.
#[derive(Default)]
pub struct Tally {
    pub histories: usize,
    pub operations: usize,
    pub rounds: usize,
    pub features: BTreeMap<String, usize>,
    /// What failed, with the seeds.
    pub failures: BTreeMap<String, Vec<u64>>,
}

/// Plays the histories of many seeds; stops after so many failures.
pub fn explore(mode: Mode, seeds: std::ops::Range<u64>, stop: usize) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let played = play(seed, mode, &history(seed, mode), false);
        tally.histories += 1;
        tally.operations += played.operations;
        tally.rounds = tally.rounds.max(played.rounds);
        match played.result {
            Ok(features) => features.into_iter().for_each(|f| *tally.features.entry(f).or_default() += 1),
            Err(broken) => {
                let line: String = broken.lines().next().unwrap_or_default().chars().take(60).collect();
                tally.failures.entry(line).or_default().push(seed);
                if tally.failures.values().map(Vec::len).sum::<usize>() >= stop {
                    break;
                }
            }
        }
    }
    tally
}
