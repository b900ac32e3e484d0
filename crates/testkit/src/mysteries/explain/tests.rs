//! Traces that have an explanation, and traces that have none. The first ones are those of the paper.

use super::super::play::{Failed, play};
use super::super::toy::{Fault, Toy};
use super::super::{Deed, Settled, Step, Trace, Value, generate, shrink};
use super::{Mystery, Pull, Why, explain};
use std::collections::BTreeSet;

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const NONE: Option<Value> = None;

fn write(device: usize, value: Value, old: Option<Value>) -> Step {
    Step::Write(device, 0, value, old)
}

fn read(device: usize, value: Option<Value>) -> Step {
    Step::Read(device, 0, value)
}

fn delete(device: usize, old: Value) -> Step {
    Step::Delete(device, 0, Some(old))
}

/// All show the same, without a conflict.
fn same(value: Option<Value>) -> Step {
    settled([value; 3], &[])
}

fn settled(shown: [Option<Value>; 3], sides: &[Value]) -> Step {
    let sides: BTreeSet<Value> = sides.iter().copied().collect();
    Step::Settle(vec![Settled {
        shown: shown.into(),
        sides: vec![sides; 3],
        edit_of_deleted: false,
    }])
}

fn good(trace: Vec<Step>) -> Vec<Pull> {
    explain(&trace, 3).unwrap_or_else(|mystery| panic!("{mystery}"))
}

fn bad(trace: Vec<Step>) -> Mystery {
    explain(&trace, 3).expect_err("nothing explains it")
}

fn not_to(device: usize, saw: Option<Value>, could: &[Option<Value>]) -> Why {
    let could = could.iter().copied().collect();
    Why::NotTo { device, saw, could }
}

fn alive(device: usize, missing: &[Value], extra: &[Value]) -> Why {
    let set = |some: &[Value]| some.iter().copied().collect();
    Why::Alive {
        device,
        missing: set(missing),
        extra: set(extra),
    }
}

#[test]
fn a_value_comes_to_another_device() {
    // (The paper's first: a write is read elsewhere, at once or later.)
    let pulls = good(vec![
        write(A, 1, NONE),
        read(B, NONE),
        read(B, Some(1)),
        read(C, NONE),
        same(Some(1)),
    ]);
    assert_eq!(pulls.len(), 1);
    assert_eq!(
        (pulls[0].before, pulls[0].device, &pulls[0].took),
        (2, B, &vec![(A, Some(1))])
    );
    assert_eq!(pulls[0].to_string(), "ben pulls of a: 1 by anna");
}

#[test]
fn concurrent_writes_are_a_conflict_and_each_goes_on_showing_its_own() {
    good(vec![
        write(A, 1, NONE),
        write(B, 2, NONE),
        settled([Some(1), Some(2), Some(2)], &[1, 2]),
    ]);
    good(vec![
        write(A, 1, NONE),
        write(B, 2, NONE),
        read(C, Some(1)),
        settled([Some(1), Some(2), Some(1)], &[1, 2]),
    ]);
    // The value of one has gone.
    let trace = vec![write(A, 1, NONE), write(B, 2, NONE), same(Some(2))];
    assert_eq!(bad(trace).why, alive(A, &[1], &[]));
    // It shows the other's.
    let trace = vec![
        write(A, 1, NONE),
        write(B, 2, NONE),
        settled([Some(2), Some(2), Some(2)], &[1, 2]),
    ];
    assert_eq!(bad(trace).why, not_to(A, Some(2), &[Some(1)]));
    let trace = vec![write(A, 1, NONE), write(B, 2, NONE), read(A, Some(2))];
    assert_eq!(bad(trace).why, not_to(A, Some(2), &[Some(1)]));
}

#[test]
fn who_overwrites_a_value_has_seen_it() {
    good(vec![write(A, 1, NONE), write(B, 2, Some(1)), same(Some(2))]);
    // A conflict with something that was seen.
    let trace = vec![
        write(A, 1, NONE),
        write(B, 2, Some(1)),
        settled([Some(1), Some(2), Some(2)], &[1, 2]),
    ];
    assert_eq!(bad(trace).why, alive(A, &[], &[1]));
    // The second write replaced the first, so that the third is alone against it.
    let trace = vec![
        write(A, 1, NONE),
        same(Some(1)),
        write(A, 2, Some(1)),
        write(A, 3, Some(2)),
        write(B, 4, Some(1)),
        settled([Some(3), Some(4), Some(3)], &[3, 4]),
    ];
    good(trace);
}

#[test]
fn a_value_that_nobody_wrote() {
    assert_eq!(bad(vec![read(A, Some(7))]).why, Why::Invented(7));
    assert_eq!(bad(vec![write(A, 1, NONE), same(Some(2))]).why, Why::Invented(2));
    // Not before it is written, and not in another file.
    assert_eq!(bad(vec![read(B, Some(1)), write(A, 1, NONE)]).why, Why::Invented(1));
    let mystery = bad(vec![write(A, 1, NONE), Step::Read(A, 1, Some(1))]);
    assert_eq!((mystery.file, mystery.why), (1, Why::Invented(1)));
}

#[test]
fn a_value_of_the_past_does_not_come_back() {
    let overwritten = vec![write(A, 1, NONE), write(B, 2, Some(1))];
    // A device that has heard nothing yet shows the old one first.
    good([overwritten.clone(), vec![read(C, Some(1)), read(C, Some(2))]].concat());
    let trace = [overwritten.clone(), vec![read(C, Some(2)), read(C, Some(1))]].concat();
    let mystery = bad(trace);
    assert_eq!((mystery.step, mystery.why), (3, not_to(C, Some(1), &[Some(2)])));
    let trace = [overwritten.clone(), vec![read(B, Some(1))]].concat();
    assert_eq!(bad(trace).why, not_to(B, Some(1), &[Some(2)]));
    // Nor where the newer one was deleted.
    let trace = [overwritten, vec![read(C, Some(2)), delete(C, 2), read(C, Some(1))]].concat();
    assert_eq!(bad(trace).why, not_to(C, Some(1), &[NONE]));
}

#[test]
fn a_write_that_was_dropped() {
    // The paper's: a value that was just written is gone, and what it replaced is there.
    let trace = vec![write(A, 1, NONE), same(Some(1)), write(A, 2, Some(1)), same(Some(1))];
    assert_eq!(bad(trace).why, alive(A, &[2], &[1]));
    let trace = vec![write(A, 1, NONE), write(A, 2, Some(1)), write(A, 3, Some(1))];
    assert_eq!(bad(trace).why, not_to(A, Some(1), &[Some(2)]));
}

#[test]
fn deletions() {
    good(vec![
        write(A, 1, NONE),
        delete(B, 1),
        read(A, Some(1)),
        read(A, NONE),
        same(NONE),
    ]);
    // The paper's: what was deleted comes back.
    let trace = vec![write(A, 1, NONE), delete(A, 1), same(Some(1))];
    assert_eq!(bad(trace).why, alive(A, &[], &[1]));
    // The paper's: what was not deleted is gone.
    let trace = vec![write(A, 1, NONE), same(Some(1)), read(B, NONE)];
    assert_eq!(bad(trace).why, not_to(B, NONE, &[Some(1)]));
    // An edit outlives a concurrent deletion.
    let apart = vec![write(A, 1, NONE), same(Some(1)), delete(A, 1), write(B, 2, Some(1))];
    good([apart.clone(), vec![read(A, NONE), read(A, Some(2)), same(Some(2))]].concat());
    assert_eq!(bad([apart, vec![same(NONE)]].concat()).why, alive(A, &[2], &[]));
}

#[test]
fn a_deletion_of_one_side_leaves_the_other() {
    let conflict = vec![
        write(A, 1, NONE),
        write(B, 2, NONE),
        settled([Some(1), Some(2), Some(1)], &[1, 2]),
    ];
    good(
        [
            conflict.clone(),
            vec![delete(A, 1), read(A, NONE), read(C, Some(2)), same(Some(2))],
        ]
        .concat(),
    );
    let trace = [conflict.clone(), vec![delete(A, 1), same(NONE)]].concat();
    assert_eq!(bad(trace).why, alive(A, &[2], &[]));
    // Written over one's own side: the other stays.
    good(
        [
            conflict.clone(),
            vec![write(A, 3, Some(1)), settled([Some(3), Some(2), Some(3)], &[2, 3])],
        ]
        .concat(),
    );
    let trace = [conflict, vec![write(A, 3, Some(1)), same(Some(3))]].concat();
    assert_eq!(bad(trace).why, alive(A, &[2], &[]));
}

#[test]
fn a_deletion_listed_against_an_edit() {
    let listed = |mut step: Step| {
        if let Step::Settle(files) = &mut step {
            files[0].edit_of_deleted = true;
        }
        step
    };
    let apart = vec![write(A, 1, NONE), same(Some(1)), delete(A, 1), write(B, 2, Some(1))];
    good([apart.clone(), vec![listed(same(Some(2)))]].concat());
    let after = vec![same(Some(2)), write(A, 3, Some(2)), listed(same(Some(3)))];
    assert_eq!(bad([apart, after].concat()).why, Why::NothingDeleted);
    // It was made by two after it had been deleted, and one deletes the own one.
    let anew = vec![
        write(A, 1, NONE),
        delete(A, 1),
        same(NONE),
        write(B, 2, NONE),
        write(C, 3, NONE),
        delete(C, 3),
        write(C, 4, NONE),
    ];
    let both = settled([Some(2), Some(2), Some(4)], &[2, 4]);
    good([anew, vec![listed(both)]].concat());
    // All that is there was made by who had seen the deletion.
    let anew = vec![
        write(A, 1, NONE),
        delete(A, 1),
        same(NONE),
        write(B, 2, NONE),
        write(C, 3, NONE),
    ];
    let both = settled([Some(2), Some(2), Some(3)], &[2, 3]);
    assert_eq!(bad([anew, vec![listed(both)]].concat()).why, Why::NothingDeleted);
    // Who made it twice deleted one.
    let twice = vec![write(A, 1, NONE), write(B, 2, NONE), delete(C, 1), write(A, 3, Some(1))];
    let both = listed(settled([Some(3), Some(2), Some(3)], &[2, 3]));
    good(
        [
            twice,
            vec![
                both.clone(),
                write(A, 4, Some(3)),
                listed(settled([Some(4), Some(2), Some(4)], &[2, 4])),
            ],
        ]
        .concat(),
    );
}

#[test]
fn who_is_away_hears_nothing() {
    let away = |mut then: Vec<Step>| {
        let mut trace = vec![write(A, 1, NONE), Step::Away(C), write(A, 2, Some(1))];
        trace.append(&mut then);
        trace
    };
    // What was told before may be shown after.
    good(away(vec![read(C, NONE), read(C, Some(1)), Step::Back(C), read(C, Some(2))]));
    assert_eq!(bad(away(vec![read(C, Some(2))])).why, not_to(C, Some(2), &[None, Some(1)]));
    // Nor is it heard.
    good(away(vec![write(C, 3, NONE), Step::Back(C), read(B, Some(3))]));
    assert_eq!(
        bad(away(vec![write(C, 3, NONE), read(B, Some(3))])).why,
        not_to(B, Some(3), &[None, Some(1), Some(2)])
    );
}

#[test]
fn the_order_of_pulls_is_looked_for() {
    // Cleo can show 3 only after having heard that ben overwrote what she shows, though not with what.
    good(vec![
        write(A, 1, NONE),
        read(C, Some(1)),
        write(B, 2, Some(1)),
        write(A, 3, Some(1)),
        read(C, Some(3)),
        settled([Some(3), Some(2), Some(3)], &[2, 3]),
    ]);
    // It is not so if she has shown 2.
    let trace = vec![
        write(A, 1, NONE),
        write(B, 2, Some(1)),
        write(A, 3, Some(1)),
        read(C, Some(2)),
        read(C, Some(3)),
    ];
    assert_eq!(bad(trace).why, not_to(C, Some(3), &[Some(2)]));
}

#[test]
fn what_was_shown_and_not_noted() {
    // Ben's program showed 1 and was killed before it could note that: what he then writes over it is a conflict.
    let conflict = settled([Some(1), Some(2), Some(1)], &[1, 2]);
    let over = vec![write(A, 1, NONE), write(B, 2, Some(1))];
    assert_eq!(bad([over.clone(), vec![conflict.clone()]].concat()).why, alive(A, &[], &[1]));
    good([over.clone(), vec![Step::Killed(B), conflict.clone()]].concat());
    good([over.clone(), vec![Step::Killed(B), same(Some(2))]].concat());
    good([vec![Step::Killed(B)], over.clone(), vec![conflict.clone()]].concat());
    // Not so if all have been at rest since, or if it is who wrote what was seen.
    assert_eq!(
        bad([over.clone(), vec![Step::Killed(A), conflict.clone()]].concat()).why,
        alive(A, &[], &[1])
    );
    let rest = vec![
        write(A, 1, NONE),
        Step::Killed(B),
        same(Some(1)),
        write(B, 2, Some(1)),
        conflict,
    ];
    assert_eq!(bad(rest).why, alive(A, &[], &[1]));
    // What was dropped stays a mystery.
    assert_eq!(
        bad([over, vec![Step::Killed(B), same(Some(1))]].concat()).why,
        alive(A, &[2], &[1])
    );
}

#[test]
fn what_overwrote_both_lets_neither_be_shown() {
    // Anna's 4 has seen both: cleo cannot show the other for it.
    let trace = vec![
        write(B, 3, NONE),
        read(A, Some(3)),
        write(C, 1, NONE),
        delete(A, 3),
        read(A, Some(1)),
        write(A, 4, Some(1)),
        read(C, Some(3)),
    ];
    assert_eq!(bad(trace).why, not_to(C, Some(3), &[Some(1), Some(4)]));
}

#[test]
fn at_rest_something_is_shown_of_a_conflict() {
    let trace = vec![
        write(A, 1, NONE),
        write(B, 2, NONE),
        settled([Some(1), Some(2), NONE], &[1, 2]),
    ];
    assert_eq!(bad(trace).why, not_to(C, NONE, &[Some(1), Some(2)]));
}

fn play_toy(deeds: &[Deed], seed: u64, fault: Option<Fault>) -> Result<Trace, Failed> {
    let played = play(&mut Toy::new(3, 2, seed, fault), deeds);
    played.map(|(trace, _)| trace).map_err(|failed| *failed)
}

const SHAPE: generate::Shape = generate::Shape {
    devices: 3,
    files: 2,
    deeds: 40,
    in_place: false,
    amid: 0,
    away: 12,
    restart: 0,
};

#[test]
fn all_that_right_toys_do_is_explained() {
    let mut conflicts = 0;
    for seed in 0..2000 {
        match play_toy(&generate::generate(seed, &SHAPE), seed, None) {
            Err(failed) => panic!("seed {seed}:\n{failed}"),
            Ok(trace) => conflicts += usize::from(super::super::tell(&trace).contains("a conflict of")),
        }
    }
    assert!(conflicts > 200, "{conflicts}: too little happens");
}

#[test]
fn wrong_toys_are_found_out() {
    for fault in Fault::ALL {
        let found = |seed: &u64| play_toy(&generate::generate(*seed, &SHAPE), *seed, Some(fault)).is_err();
        let found = (0..200).filter(found).count();
        assert!(found >= 20, "{fault:?} is found out {found} times in 200");
    }
}

#[test]
fn what_failed_is_made_small() {
    let fault = Some(Fault::LastWins);
    let (deeds, seed, failed) = (0..)
        .find_map(|seed| {
            let deeds = generate::generate(seed, &SHAPE);
            play_toy(&deeds, seed, fault).err().map(|failed| (deeds, seed, failed))
        })
        .unwrap();
    let (few, failed) = shrink::shrink(&deeds, failed, &mut |deeds| play_toy(deeds, seed, fault).err());
    assert!(few.len() <= 3, "{few:?}");
    let told = failed.to_string();
    assert!(told.contains("missing: ") && told.lines().count() <= 4, "{told}");
}
