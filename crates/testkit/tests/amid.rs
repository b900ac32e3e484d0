//! What a user does in the midst of a step is theirs, and is not taken for what the step did. At every call of the engine to the disk.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_disk::apply::{Applier, Job};
use bifold_disk::fs::{Entry, Fs as _};
use bifold_disk::ignore::Ignore;
use bifold_disk::stage::Supply;
use bifold_disk::turns::Turns;
use bifold_testkit::disk::{SimFs, Thing, Traits};
use bifold_tree::{Action, Bytes, Outcome, Stat, Wanted};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// More calls than a step makes.
const CALLS: u64 = 40;

/// Makes `x`, with `act` right before the call with this number. What became of it, and whether the moment came.
fn made(bytes: Bytes, moment: u64, act: fn(&SimFs)) -> (SimFs, Outcome, bool) {
    let (fs, outcome, _) = applied(bytes, |fs| fs.at_call(moment, act));
    let came = !fs.disarm();
    (fs, outcome, came)
}

/// Makes `x` on a disk that something was arranged with. What became of it, and whether the disk is to be looked at before all else.
fn applied(bytes: Bytes, arrange: impl FnOnce(&SimFs)) -> (SimFs, Outcome, bool) {
    let fs = SimFs::new(Traits::default(), Arc::default());
    Applier::prepare(&fs).unwrap();
    let (ignore, stop) = (Ignore::new(&[]).unwrap(), AtomicBool::new(false));
    let job = Job {
        action: Action::Make {
            path: "x".into(),
            wanted: Wanted {
                bytes,
                size: 0,
                mtime_ns: 0,
                exec: false,
            },
        },
        supply: Supply::default(),
        after_commit: false,
        leaving: false,
    };
    arrange(&fs);
    let turns = Arc::new(Turns::new(Arc::new(fs.clone()), Box::new(|_| false)));
    let (mut outcomes, mut unsure) = (Vec::new(), false);
    Applier::new(&fs, &ignore, &turns, &stop, 1, 1).apply(&[job], &[], &|_| {}, &mut |applied, _| {
        outcomes.extend(applied.outcomes);
        unsure |= applied.unsure;
        true
    });
    (fs, outcomes.remove(0), unsure)
}

fn now(fs: &SimFs) -> Option<Stat> {
    match fs.stat("x").unwrap()? {
        Entry::Plain(stat) => Some(stat),
        Entry::Special(_) => None,
    }
}

#[test]
fn what_stands_where_a_directory_was_made_is_no_directory() {
    let mut replaced = 0;
    for moment in 0..CALLS {
        let (fs, outcome, came) = made(Bytes::Dir, moment, |fs| {
            if fs.at("x").is_some() {
                fs.move_to("x", "moved");
                fs.write("x", b"mine");
            }
        });
        let theirs = matches!(fs.at("x"), Some(Thing::File { .. }));
        assert!(
            !theirs || !matches!(outcome, Outcome::Done(Some(_))) || now(&fs) != noted(&outcome),
            "{moment}: {outcome:?}"
        );
        replaced += u32::from(theirs && came);
    }
    assert!(replaced > 0);
}

#[test]
fn a_link_that_replaced_the_one_that_was_made_is_another() {
    let mut replaced = 0;
    for moment in 0..CALLS {
        let (fs, outcome, came) = made(Bytes::Link("theirs".into()), moment, |fs| {
            if fs.at("x").is_some() {
                fs.delete("x");
                fs.link("x", "mine");
            }
        });
        let mine = fs.at("x") == Some(Thing::Link("mine".into()));
        assert!(!mine || now(&fs) != noted(&outcome), "{moment}: {outcome:?}");
        replaced += u32::from(mine && came);
    }
    assert!(replaced > 0);
}

/// What the record will say is there.
fn noted(outcome: &Outcome) -> Option<Stat> {
    match outcome {
        Outcome::Done(stat) => *stat,
        _ => None,
    }
}

#[test]
fn what_is_in_place_is_noted_or_looked_for() {
    let mut placed = 0;
    for bytes in [Bytes::Dir, Bytes::Link("theirs".into())] {
        for call in 0..CALLS {
            let (fs, outcome, unsure) = applied(bytes.clone(), |fs| fs.fail_in(Some(call)));
            let hit = fs.fault_hits() > 0;
            fs.heal();
            let is_there = fs.at("x").is_some();
            assert!(
                !is_there || unsure || matches!(outcome, Outcome::Done(Some(_))),
                "{bytes:?}, {call}: {outcome:?}"
            );
            placed += u32::from(is_there && hit);
        }
    }
    assert!(placed > 2, "{placed}");
}
