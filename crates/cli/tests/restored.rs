//! Roots that were copied or put back from a backup, and what cannot be had any more.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use std::process::Command;
use world::World;

const NONE: [&str; 0] = [];

fn run(world: &World, program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).current_dir(world.at("")).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

fn sync(world: &World, left: &str, right: &str, more: &[&str]) -> (serde_json::Value, i32) {
    let mut args = vec!["sync", left, right, "--home", "home", "--json"];
    args.extend(more);
    let run = world.bifold(args);
    (serde_json::from_str(&run.out).unwrap(), run.code.unwrap())
}

#[test]
fn a_copy_of_a_root_does_not_take_its_place() {
    let world = World::new();
    for dir in ["A", "B"] {
        world.mkdir(dir);
    }
    world.put("A/e", "3");
    world.put("A/b", "4");
    assert_eq!(sync(&world, "A", "B", &[]).1, 0);
    world.rm("A/b");
    run(&world, "cp", &["-a", "A", "C"]);
    // The original goes on, and has another token then than its copy.
    assert_eq!(sync(&world, "A", "B", &[]).1, 0);
    world.mv("A/e", "A/c");
    world.mv("C/e", "C/a");
    for pair in [["C", "A"], ["C", "B"], ["A", "B"], ["A", "C"]] {
        let (value, code) = sync(&world, pair[0], pair[1], &["--prefer", "newest"]);
        assert_eq!(code, 0, "{pair:?}: {value:#}");
        world::assert_trees_equal(&world.tree(pair[0]), &world.tree(pair[1]));
    }
    world::assert_trees_equal(&world.tree("A"), &world.tree("B"));
    // The original is still itself: an edit of it is no conflict.
    world.put("A/new", "5");
    assert_eq!(sync(&world, "A", "B", &[]).1, 0);
    world.put("A/new", "6");
    assert_eq!(sync(&world, "C", "B", &[]).1, 0);
    let (value, code) = sync(&world, "A", "B", &[]);
    assert_eq!(code, 0, "{value:#}");
    assert_eq!(world.text("B/new"), "6");
}

#[test]
fn an_old_copy_does_not_retire_an_original_that_was_moved() {
    let world = World::new();
    world.mkdir("B");
    world.put("A/e", "3");
    assert_eq!(sync(&world, "A", "B", &[]).1, 0);
    run(&world, "cp", &["-a", "A", "C"]);
    world.put("A/f", "4");
    assert_eq!(sync(&world, "A", "B", &[]).1, 0);
    world.mv("A", "moved");
    // The original is known by its marker, the copy has an old one.
    let (value, code) = sync(&world, "C", "moved", &[]);
    assert_eq!(code, 0, "{value:#}");
    world.put("moved/e", "edited");
    let (value, code) = sync(&world, "moved", "B", &[]);
    assert_eq!((code, world.text("B/e")), (0, "edited".into()), "{value:#}");
}

#[test]
fn what_was_put_back_by_times_and_sizes_deletes_nothing() {
    let world = World::new();
    for i in 1..4 {
        world.put(format!("left/{i}"), i.to_string());
    }
    world.sync_well(NONE);
    run(&world, "cp", &["-a", "left", "backup"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.put("right/precious", "precious");
    world.sync_well(NONE);
    // As `rsync -a --delete backup/ left/` does it: what has the same size and second is left as it is.
    for (path, _) in world.everything() {
        let text = path.to_string_lossy().into_owned();
        let Some(below) = text.strip_prefix("left/") else { continue };
        let old = world.at(format!("backup/{below}"));
        let now = world.at(&text);
        if !now.is_file() {
            continue;
        }
        let facts = |path: &std::path::Path| {
            use std::os::unix::fs::MetadataExt;
            path.metadata().map(|m| (m.size(), m.mtime())).ok()
        };
        match facts(&old) {
            None => std::fs::remove_file(&now).unwrap(),
            was if was != facts(&now) => run(&world, "cp", &["-a", old.to_str().unwrap(), now.to_str().unwrap()]),
            _ => {}
        }
    }
    assert!(!world.exists("left/precious"));
    world.sync_well(NONE);
    assert_eq!(world.text("left/precious"), "precious");
}

#[test]
fn a_copy_of_bytes_that_are_gone_is_given_up_when_a_person_says_so() {
    let world = World::new();
    for dir in ["A", "B", "C"] {
        world.mkdir(dir);
    }
    world.put("A/f", "a");
    world.put("C/f", "c");
    sync(&world, "A", "C", &[]);
    sync(&world, "A", "B", &[]);
    // Decided where one side's bytes are not, while they are replaced where they are.
    world.put("C/f", "c2-longer");
    sync(&world, "A", "B", &["--prefer", "both"]);
    let mut left = true;
    for _ in 0..3 {
        for pair in [["A", "C"], ["B", "C"], ["A", "B"]] {
            let (value, _) = sync(&world, pair[0], pair[1], &["--prefer", "newest"]);
            let problems = value["problems"].as_array().unwrap();
            let lacking = problems.iter().find(|p| p["kind"] == "missing");
            if let Some(path) = lacking.map(|p| p["path"].as_str().unwrap().to_owned()) {
                let (value, code) = sync(&world, pair[0], pair[1], &["--resolve", &format!("{path}=delete")]);
                assert_eq!(code, 0, "{value:#}");
                assert_eq!(value["decided"][0]["path"], path, "{value:#}");
            }
            left = lacking.is_some();
        }
    }
    assert!(!left, "it comes back");
    world::assert_trees_equal(&world.tree("A"), &world.tree("B"));
    world::assert_trees_equal(&world.tree("A"), &world.tree("C"));
    assert_eq!(world.text("A/f"), "c2-longer");
}

#[test]
fn a_disk_that_is_mounted_inside_is_left_out() {
    let world = World::new();
    world::mounts::with_own_mounts(|| {
        world.put("left/top", "t");
        world.put("left/usb/below", "below");
        world.put("disk/1", "1");
        world.sync_well(NONE);
        world::mounts::bind(&world.at("disk"), &world.at("left/usb"));
        let (value, code) = world.json(NONE);
        assert_eq!(code, 1, "{value:#}");
        assert!(
            value["problems"][0]["message"]
                .as_str()
                .unwrap()
                .contains("another disk is mounted"),
            "{value:#}"
        );
        assert_eq!(world.text("right/usb/below"), "below");
        assert!(!world.exists("right/usb/1"));
        world::mounts::unmount(&world.at("left/usb"));
        world.sync_well(NONE);
        assert_eq!(world.text("left/usb/below"), "below");
        assert_eq!(world.text("disk/1"), "1");
    });
}
