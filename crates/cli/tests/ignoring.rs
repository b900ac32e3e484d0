//! What is left out, and what is held back.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use serde_json::json;
use world::World;

const NONE: [&str; 0] = [];

#[test]
fn patterns_from_the_command_line() {
    let world = World::new();
    world.put("left/a.txt", "a");
    world.put("left/a.tmp", "tmp");
    world.put("left/build/x", "x");
    world.put("left/keep.tmp", "kept");
    world.put("left/deep/build", "a file");
    let args = ["--ignore", "*.tmp", "--ignore=build/", "--ignore", "!keep.tmp"];
    let (value, code) = world.json(args);
    assert_eq!((code, &value["in_sync"]), (0, &json!(true)), "{value:#}");
    let right: Vec<String> = world.tree("right").keys().map(|p| p.display().to_string()).collect();
    assert_eq!(right, ["a.txt", "deep", "deep/build", "keep.tmp"]);
}

#[test]
fn patterns_from_files() {
    let world = World::new();
    world.put(
        "left/.bifoldignore",
        "# comment\n\n*.log\n!important.log\n/top\ndir/\n\\#odd\n",
    );
    world.put("left/sub/.bifoldignore", "*.txt\n!keep.txt\n/deep/only-here\n");
    for path in [
        "a.log",
        "important.log",
        "top",
        "sub/top",
        "dir/x",
        "sub/dir/x",
        "sub/a.txt",
        "sub/keep.txt",
        "a.txt",
        "sub/deep/only-here",
        "sub/deep/deep/only-here",
        "#odd",
    ] {
        world.put(format!("left/{path}"), path);
    }
    let (value, code) = world.json(NONE);
    assert_eq!(code, 0, "{value:#}");
    let right: Vec<String> = world
        .tree("right")
        .into_iter()
        .filter(|(_, i)| *i != world::Item::Dir)
        .map(|(p, _)| p.display().to_string())
        .collect();
    assert_eq!(
        right,
        [
            ".bifoldignore",
            "a.txt",
            "important.log",
            "sub/.bifoldignore",
            "sub/deep/deep/only-here",
            "sub/keep.txt",
            "sub/top"
        ]
    );
    // The rules came over, and hold on the other side too.
    world.put("right/b.log", "other");
    world.put("right/sub/b.txt", "other");
    world.put("right/sub/b.md", "other");
    assert_eq!(world.json(NONE).1, 0);
    assert!(world.exists("left/sub/b.md") && !world.exists("left/b.log") && !world.exists("left/sub/b.txt"));
}

#[test]
fn rules_that_come_over_hold_at_once() {
    let world = World::new();
    world.put("left/.bifoldignore", "*.log\n");
    world.put("left/a.log", "left's own");
    world.put("right/a.log", "right's own");
    world.put("right/b.log", "right's own");
    let (value, code) = world.json(NONE);
    assert_eq!(code, 0, "{value:#}");
    assert_eq!(
        (world.text("left/a.log").as_str(), world.text("right/a.log").as_str()),
        ("left's own", "right's own")
    );
    assert!(!world.exists("left/b.log"), "{value:#}");
}

#[test]
fn what_is_ignored_later_is_neither_deleted_nor_changed() {
    let world = World::new();
    world.put("left/notes/a.txt", "one");
    world.put("left/b.txt", "one");
    world.sync_well(NONE);
    let ignoring = ["--ignore", "notes/", "--ignore", "b.txt"];
    assert_eq!(world.json(ignoring).1, 0);
    world.put("left/notes/a.txt", "edited");
    world.put("left/notes/new.txt", "new");
    world.rm("left/b.txt");
    let (value, code) = world.json(ignoring);
    assert_eq!((code, &value["applied"]), (0, &json!({ "left": 0, "right": 0 })), "{value:#}");
    assert_eq!(
        (world.text("right/notes/a.txt").as_str(), world.text("right/b.txt").as_str()),
        ("one", "one")
    );
    assert!(!world.exists("right/notes/new.txt"));
    // Without the pattern it all counts again.
    world.sync_well(NONE);
    assert_eq!(world.text("right/notes/a.txt"), "edited");
    assert_eq!(world.text("right/notes/new.txt"), "new");
    assert!(!world.exists("right/b.txt"));
}

#[test]
fn an_ignore_file_that_comes_and_goes() {
    let world = World::new();
    world.put("left/a.txt", "one");
    world.put("left/d/a.txt", "one");
    world.sync_well(NONE);
    world.put("left/.bifoldignore", "a.txt\n");
    world.put("left/a.txt", "left");
    world.put("right/a.txt", "right");
    world.rm("right/d/a.txt");
    let (value, code) = world.json(NONE);
    assert_eq!(code, 0, "{value:#}");
    assert_eq!(
        (
            world.text("left/a.txt"),
            world.text("right/a.txt"),
            world.text("left/d/a.txt")
        ),
        ("left".into(), "right".into(), "one".into())
    );
    world.rm("right/.bifoldignore");
    let (value, code) = world.json(NONE);
    assert_eq!((code, &value["conflicts"][0]["path"]), (1, &json!("a.txt")), "{value:#}");
    assert!(
        !world.exists("left/.bifoldignore") && !world.exists("left/d/a.txt"),
        "{value:#}"
    );
}

#[test]
fn an_ignored_file_keeps_its_directory() {
    let world = World::new();
    world.put("left/project/src/a.rs", "one");
    world.put("left/project/b.rs", "one");
    world.put("right/project/target/out", "made");
    let args = ["--ignore", "target/"];
    assert_eq!(world.json(args).1, 0);
    world.rm("left/project");
    let (value, code) = world.json(args);
    assert_eq!(world.text("right/project/target/out"), "made");
    assert!(
        !world.exists("right/project/src") && !world.exists("right/project/b.rs"),
        "{value:#}"
    );
    assert_eq!(
        (code, &value["problems"][0]["path"], &value["problems"][0]["kind"]),
        (1, &json!("project"), &json!("kept")),
        "{value:#}"
    );
    assert!(!world.exists("left/project"), "and does not come back for it");
    // It goes with what was in it.
    world.rm("right/project/target");
    let (value, code) = world.json(args);
    assert!(code == 0 && !world.exists("right/project"), "{value:#}");
}

#[test]
fn a_directory_that_holds_something_ignored_can_be_moved() {
    let world = World::new();
    world.put("left/project/a.rs", "one");
    world.put("right/project/target/out", "made");
    let args = ["--ignore", "target/"];
    assert_eq!(world.json(args).1, 0);
    world.mv("left/project", "left/renamed");
    let (value, code) = world.json(args);
    assert_eq!(code, 0, "{value:#}");
    assert_eq!(world.text("right/renamed/target/out"), "made", "it moves along");
    assert!(!world.exists("right/project"));
}

/// Thirty files on both sides.
fn thirty() -> World {
    let world = World::new();
    for i in 0..30 {
        world.put(format!("left/f{i}"), format!("content {i}"));
    }
    world.sync_well(NONE);
    world
}

#[test]
fn deleting_most_is_held() {
    let world = thirty();
    for i in 0..25 {
        world.rm(format!("left/f{i}"));
    }
    world.put("right/new", "new");
    let (value, code) = world.json(NONE);
    assert_eq!((code, &value["in_sync"]), (1, &json!(false)), "{value:#}");
    let held = &value["held"][0];
    assert_eq!(
        (&held["replica"], &held["removals"], &held["overwrites"]),
        (&json!("right"), &json!(25), &json!(0)),
        "{value:#}"
    );
    assert!(held["message"].as_str().unwrap().contains("25 of"), "{value:#}");
    assert_eq!(world.tree("right").len(), 31, "nothing is deleted");
    assert_eq!(world.text("left/new"), "new", "the other side goes on");
    let run = world.sync(NONE);
    assert!(
        run.out.contains("--allow-mass-change") && run.out.contains("put them back"),
        "{run:?}"
    );
    world.sync_well(["--allow-mass-change"]);
    assert_eq!(world.tree("right").len(), 6);
    assert_eq!(world.history("right").len(), 25);
}

#[test]
fn putting_the_files_back_lets_go() {
    let world = thirty();
    for i in 0..25 {
        world.rm(format!("left/f{i}"));
    }
    assert_eq!(world.json(NONE).1, 1);
    for i in 0..25 {
        world.put(format!("left/f{i}"), format!("content {i}"));
    }
    let value = world.sync_well(NONE);
    assert_eq!(value["held"], json!([]));
    assert_eq!(world.tree("right").len(), 30);
}

#[test]
fn overwriting_most_is_held_too() {
    let world = thirty();
    for i in 0..25 {
        world.put(format!("right/f{i}"), "encrypted");
    }
    let (value, code) = world.json(NONE);
    assert_eq!(
        (code, &value["held"][0]["replica"], &value["held"][0]["overwrites"]),
        (1, &json!("left"), &json!(25)),
        "{value:#}"
    );
    assert_eq!(world.text("left/f0"), "content 0");
    world.sync_well(["--allow-mass-change"]);
}

#[test]
fn few_files_and_moves_are_not_held() {
    let world = World::new();
    for i in 0..20 {
        world.put(format!("left/f{i}"), format!("content {i}"));
    }
    world.sync_well(NONE);
    for i in 0..20 {
        world.rm(format!("left/f{i}"));
    }
    world.sync_well(NONE);

    let world = thirty();
    world.mkdir("left/all");
    for i in 0..30 {
        world.mv(format!("left/f{i}"), format!("left/all/g{i}"));
    }
    let value = world.sync_well(NONE);
    assert_eq!(value["bytes"]["copied"], 0);
}
