//! What a user writes right before a step changes it is brought out by that step, and put back. Where the program is ended, the power cut,
//! or the disk fails before that is done, it comes back all the same, and nothing else does.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_testkit::disk::{SimFs, Thing, Traits};
use bifold_testkit::moments::End;
use bifold_testkit::world::{Mode, Settled, World};
use std::collections::BTreeSet;

/// More calls, or changes, than a settling makes here.
const MOST: u64 = 400;

/// What ben does to `doc` while anna's version of it is put in its place.
const DEEDS: [fn(&SimFs); 4] = [
    |fs| fs.write("doc", b"mine"),
    |fs| fs.save("doc", b"mine"),
    |fs| {
        fs.delete("doc");
        fs.write("doc", b"mine");
    },
    |fs| {
        fs.delete("doc");
        fs.make_directory("doc");
        fs.write("doc/inside", b"mine");
    },
];

fn world(traits: Traits, deleted: bool) -> World {
    world_of(1, traits, deleted)
}

fn world_of(seed: u64, traits: Traits, deleted: bool) -> World {
    let mut world = World::new(seed, Mode::Apart, &[("anna", Traits::default()), ("ben", traits)]);
    world.devices[0].fs.write("doc", b"one");
    assert_eq!(world.settle(), Ok(Settled::Quiet));
    if deleted {
        world.devices[0].fs.delete("doc");
    } else {
        world.devices[0].fs.write("doc", b"two");
    }
    world
}

/// All that files have, on any disk.
fn shown(world: &World) -> BTreeSet<Vec<u8>> {
    let things = world.trees().into_iter().flat_map(|tree| tree.into_values());
    things
        .filter_map(|thing| match thing {
            Thing::File { bytes, .. } => Some(bytes.to_vec()),
            _ => None,
        })
        .collect()
}

fn check(world: &mut World, deleted: bool, what: &str) {
    for _ in 0..3 {
        assert_eq!(world.settle(), Ok(Settled::Quiet), "{what}");
    }
    let shown = shown(world);
    assert!(shown.contains(&b"mine"[..]), "{what}: {:?}", world.trees());
    assert!(!shown.contains(&b"one"[..]), "{what}: {:?}", world.trees());
    assert!(deleted || shown.contains(&b"two"[..]), "{what}: {:?}", world.trees());
}

fn disks() -> [Traits; 2] {
    let without = Traits {
        exchange: false,
        ..Traits::default()
    };
    [Traits::default(), without]
}

#[test]
fn it_comes_back_after_an_end() {
    let mut ended = 0;
    for (traits, deleted, end) in cases() {
        for (number, deed) in DEEDS.into_iter().enumerate() {
            for at in 0..MOST {
                let mut world = world(traits, deleted);
                world.devices[1].fs.at_touch_of("doc", deed);
                world.doom(1, end, at);
                let settled = world.settle();
                world.spare();
                if world.devices[1].fs.disarm() {
                    continue; // it was ended before
                }
                check(
                    &mut world,
                    deleted,
                    &format!("{traits:?}, {deleted}, {end:?} at {at}, deed {number}"),
                );
                if settled == Ok(Settled::Quiet) && world.tally().kills + world.tally().power_cuts == 0 {
                    break;
                }
                ended += 1;
            }
        }
    }
    assert!(ended > 50, "{ended}");
}

/// A world in which what ben wrote is in his history alone, as his program was killed at that moment; if it is, then.
fn stranded_at(seed: u64, at: u64) -> Option<World> {
    let mut world = world_of(seed, Traits::default(), false);
    world.devices[1].fs.at_touch_of("doc", DEEDS[1]);
    world.doom(1, End::Kill, at);
    let _ = world.settle();
    world.spare();
    let came = !world.devices[1].fs.disarm();
    (came && in_history(&world).is_some()).then_some(world)
}

/// The moments at which it is.
fn stranding() -> Vec<u64> {
    let moments: Vec<u64> = (0..60).filter(|at| stranded_at(1, *at).is_some()).collect();
    assert!(!moments.is_empty());
    moments
}

/// Where what ben wrote lies in his history.
fn in_history(world: &World) -> Option<String> {
    let all = world.devices[1].fs.everything();
    let is = |thing: &Thing| matches!(thing, Thing::File { bytes, .. } if ***bytes == *b"mine");
    let mut kept = all.into_iter().filter(|(path, _)| path.starts_with(".bifold/history/"));
    kept.find(|(_, thing)| is(thing)).map(|(path, _)| path)
}

#[test]
fn it_comes_back_once_it_can_be_read() {
    for at in stranding() {
        let mut world = stranded_at(1, at).unwrap();
        let stored = in_history(&world).unwrap();
        world.devices[1].fs.set_unreadable(&stored, true);
        for _ in 0..3 {
            assert_eq!(world.settle(), Ok(Settled::Quiet));
        }
        assert!(!shown(&world).contains(&b"mine"[..]));
        // Ended in good order, too.
        world.restart();
        world.devices[1].fs.heal();
        check(&mut world, false, "it could not be read for a while");
    }
}

#[test]
fn it_comes_back_after_an_end_and_a_power_cut() {
    let mut ended = 0;
    for (killed, seed) in stranding().into_iter().flat_map(|at| (1..=12).map(move |seed| (at, seed))) {
        for at in 0..MOST {
            let Some(mut world) = stranded_at(seed, killed) else { break };
            world.doom(1, End::PowerCut, at);
            let settled = world.settle();
            world.spare();
            check(
                &mut world,
                false,
                &format!("seed {seed}, killed at {killed}, power cut at {at}"),
            );
            if settled == Ok(Settled::Quiet) && world.tally().power_cuts == 0 {
                break;
            }
            ended += 1;
        }
    }
    assert!(ended > 5, "{ended}");
}

fn cases() -> impl Iterator<Item = (Traits, bool, End)> {
    let deletions = |traits| [false, true].into_iter().map(move |deleted| (traits, deleted));
    disks()
        .into_iter()
        .flat_map(deletions)
        .flat_map(|(traits, deleted)| [End::Kill, End::PowerCut].map(|end| (traits, deleted, end)))
}

#[test]
fn it_comes_back_after_a_fault() {
    let mut hit = 0;
    for traits in disks() {
        for deleted in [false, true] {
            for (number, deed) in DEEDS.into_iter().enumerate() {
                for at in 0..MOST {
                    let mut world = world(traits, deleted);
                    world.devices[1].fs.at_touch_of("doc", move |fs| {
                        deed(fs);
                        fs.fail_in(Some(at));
                    });
                    world.settle().unwrap();
                    let hits = world.devices[1].fs.fault_hits();
                    world.devices[1].fs.heal();
                    check(
                        &mut world,
                        deleted,
                        &format!("{traits:?}, {deleted}, fault {at}, deed {number}"),
                    );
                    if hits == 0 {
                        break;
                    }
                    hit += 1;
                }
            }
        }
    }
    assert!(hit > 50, "{hit}");
}
