//! An edit that was told, and was deleted before its bytes got anywhere.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use world::World;

const NONE: [&str; 0] = [];

/// The left has no room for the right's edit; then the right deletes it, and the left moves the old one.
fn edited_and_deleted_there(moved_here: bool) {
    let world = World::new();
    world::mounts::with_own_mounts(|| {
        world::mounts::small_disk(&world.at("left"), 256);
        world.put("left/doc", "old");
        world.sync_well(NONE);
        world.put("right/doc", vec![7; 600_000]);
        let (value, code) = world.json(NONE);
        assert_eq!((code, &value["problems"][0]["kind"]), (1, &"disk_full".into()), "{value:#}");
        world.rm("right/doc");
        if moved_here {
            world.mv("left/doc", "left/moved");
        }
        world.sync_well(NONE);
        if moved_here {
            assert_eq!(world.text("right/moved"), "old", "what somebody moved lives, as it is there");
        } else {
            assert!(!world.exists("left/doc"));
        }
    });
}

#[test]
fn deleted_there() {
    edited_and_deleted_there(false);
}

#[test]
fn deleted_there_and_moved_here() {
    edited_and_deleted_there(true);
}
