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

#[test]
fn what_was_made_do_with_is_edited_without_a_conflict() {
    let world = World::new();
    world::mounts::with_own_mounts(|| {
        world::mounts::small_disk(&world.at("left"), 512);
        world.put("left/doc", "old");
        for i in 0..60 {
            world.put(format!("left/{i}"), i.to_string());
        }
        world.sync_well(NONE);
        world.put("right/doc", vec![7; 900_000]);
        assert_eq!(world.json(NONE).1, 1, "there is no room for it");
        // So much is deleted there that the left is held.
        world.rm("right/doc");
        for i in 0..50 {
            world.rm(format!("right/{i}"));
        }
        world.mv("left/doc", "left/moved");
        let (value, code) = world.json(NONE);
        assert!(code == 1 && value["held"][0].is_object(), "{value:#}");
        world.put("left/moved", "edited");
        let (value, _) = world.json(NONE);
        assert_eq!(value["conflicts"], serde_json::json!([]), "{value:#}");
        world.sync_well(["--allow-mass-change"]);
        assert_eq!(world.text("right/moved"), "edited");
    });
}
