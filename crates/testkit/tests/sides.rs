//! A side of an open conflict may lie in a history alone; it is no less there for that.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_testkit::disk::{Thing, Traits};
use bifold_testkit::world::{Mode, Settled, World};
use std::collections::BTreeSet;

const ANNA: usize = 0;
const CLEO: usize = 2;

fn settle(world: &mut World) {
    for _ in 0..3 {
        assert_eq!(world.settle(), Ok(Settled::Quiet));
    }
}

/// All that files have, on any disk, and all sides of conflicts, by their ids.
fn there(world: &World) -> BTreeSet<String> {
    let files = world.trees().into_iter().flat_map(|tree| tree.into_values());
    let shown = files.filter_map(|thing| match thing {
        Thing::File { bytes, .. } => Some(bifold_chunk::hash_bytes(&bytes).unwrap().content.hex()),
        _ => None,
    });
    let conflicts = world.listing().conflicts.clone();
    let sides = conflicts.into_iter().flat_map(|c| c.sides).filter_map(|(_, content)| content);
    shown.chain(sides).collect()
}

/// Cleo's two files turn out to be one, as her index is lost: the one goes to her history, while nobody else has its bytes, nor can fetch
/// them for a while. Ben has neither.
fn play(seed: u64) {
    let mut world = World::new(
        seed,
        Mode::Apart,
        &["anna", "ben", "cleo"].map(|name| (name, Traits::default())),
    );
    (world.orderly, world.alone) = (false, true);
    world.devices[ANNA].fs.make_directory("a");
    world.devices[ANNA].fs.write("a/inside", b"inside");
    world.devices[CLEO].fs.write("a", b"first");
    settle(&mut world);
    let tree = &world.trees()[CLEO];
    let marked = tree.keys().find(|path| path.starts_with("a (")).unwrap().clone();
    world.lose_index_of(CLEO);
    world.devices[ANNA].fs.write(&marked, b"anna's");
    world.devices[CLEO].fs.delete("a");
    world.devices[CLEO].fs.write("a", b"cleo's new one");
    world.devices[CLEO].fs.write(&marked, b"cleo's edit");
    world.limit_fetches(Some(0));
    settle(&mut world);
    world.limit_fetches(None);
    settle(&mut world);
    let there = there(&world);
    for bytes in [&b"anna's"[..], b"cleo's new one", b"cleo's edit", b"inside"] {
        let id = bifold_chunk::hash_bytes(bytes).unwrap().content.hex();
        let text = String::from_utf8_lossy(bytes);
        assert!(
            there.contains(&id),
            "seed {seed}, {text}: {:?}, {:?}",
            world.trees(),
            world.listing()
        );
    }
    assert!(!world.listing().conflicts.is_empty());
}

#[test]
fn a_side_that_only_a_history_has_is_waited_for() {
    (1..=40).for_each(play);
}
