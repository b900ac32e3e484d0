//! Each decoder, for a moment, with changed samples: the same as the targets of cargo-fuzz in `fuzz/`, where there is no fuzzer.
//! `BIFOLD_FUZZ_SECONDS=600` takes the time for more, `BIFOLD_SEED=7` takes other ones, `BIFOLD_WRITE_CORPUS=1` writes the samples
//! into `fuzz/corpus`.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test a panic is a failed test"
)]

use bifold_testpeer::mutate::{Numbers, mutated, mutated_frames};
use bifold_testpeer::{decoders, samples};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Of a decoder's bytes there are at most 64 KiB: it takes no more memory for them than this, whatever they say of themselves.
const MOST_MEMORY: isize = 64 << 20;
/// Nor as long as this, on a slow machine.
const LONGEST: Duration = Duration::from_secs(20);

/// Counts what this thread takes.
struct Counting;

thread_local! {
    static TAKEN: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let _ = TAKEN.try_with(|taken| {
        taken.set(taken.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(taken.get())));
    });
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is done by the system's allocator; counting takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(name)
}

/// Runs one decoder, within bounds.
fn run(name: &str, decoder: fn(&[u8]), bytes: &[u8], seed: u64) {
    let (before, begun) = (TAKEN.get(), Instant::now());
    MOST.set(before);
    let result = catch_unwind(AssertUnwindSafe(|| decoder(bytes)));
    let most = MOST.get() - before;
    let hex = || -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    assert!(result.is_ok(), "{name}, seed {seed}: panicked with {}", hex());
    assert!(most < MOST_MEMORY, "{name}, seed {seed}: took {most} bytes for {}", hex());
    assert!(
        begun.elapsed() < LONGEST,
        "{name}, seed {seed}: took {:?} for {}",
        begun.elapsed(),
        hex()
    );
}

fn fuzz(name: &str) {
    let (_, decoder) = *decoders::ALL.iter().find(|(n, _)| *n == name).unwrap();
    let mut samples = samples::of(name);
    if number("BIFOLD_WRITE_CORPUS").is_some() {
        std::fs::create_dir_all(corpus(name)).unwrap();
        for (i, sample) in samples.iter().enumerate() {
            std::fs::write(corpus(name).join(format!("{i:02}")), sample).unwrap();
        }
    }
    let kept = std::fs::read_dir(corpus(name)).unwrap_or_else(|e| panic!("no corpus of {name}: {e}"));
    let mut kept: Vec<PathBuf> = kept.map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    for path in kept {
        let bytes = std::fs::read(path).unwrap();
        if !samples.contains(&bytes) {
            samples.push(bytes);
        }
    }
    for sample in &samples {
        run(name, decoder, sample, 0);
    }
    let seconds = number("BIFOLD_FUZZ_SECONDS");
    let time = seconds.map_or(Duration::from_millis(600), Duration::from_secs);
    let mut seed = number("BIFOLD_SEED").unwrap_or(1) << 32;
    let (begun, first) = (Instant::now(), seed);
    while begun.elapsed() < time {
        seed += 1;
        let mut numbers = Numbers(seed);
        // What is made of bytes alone has no samples that are much better than any bytes.
        let bytes = if matches!(name, "tree" | "claims") {
            (0..numbers.below(200)).map(|_| numbers.number() as u8).collect()
        } else if name == "session" && numbers.below(4) > 0 {
            mutated_frames(&samples, &mut numbers)
        } else {
            mutated(&samples, &mut numbers)
        };
        run(name, decoder, &bytes, seed);
    }
    println!("{name}, counted: {} inputs", seed - first);
}

macro_rules! each {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name));
            }
        )*

        #[test]
        fn all_are_run() {
            let names: Vec<&str> = decoders::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            for name in names {
                let target = format!("{}/../../fuzz/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
                assert!(std::fs::read_to_string(&target).unwrap().contains(&format!("decoders::{name}")), "{target}");
            }
        }
    };
}

each! {
    packet session tree request packed manifest membership roster claims ticket files control ignore names index
}

#[test]
fn many_nodes_of_one_name_take_bounded_memory() {
    let mut me = samples::replica(1, &["one"], 10);
    let sample = samples::nodes().pop().unwrap();
    let before = TAKEN.get();
    MOST.set(before);
    for index in 0..5_000 {
        let mut node = sample.clone();
        node.id.index = index;
        node.places[0].1.name = "same".into();
        me.receive(&std::sync::Arc::new(node), 100).unwrap();
    }
    let _ = me.is_stale();
    let most = MOST.get() - before;
    assert!(most < 32 << 20, "{most} bytes");
}
