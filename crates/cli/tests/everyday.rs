//! What people do with two folders, and what they see then.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use serde_json::{Value, json};
use world::World;

const NONE: [&str; 0] = [];

/// Two folders with the same file, edited on both sides since.
fn edited_on_both(path: &str) -> World {
    let world = World::new();
    world.put(format!("left/{path}"), "one");
    world.sync_well(NONE);
    world.put(format!("left/{path}"), "from the left");
    world.put(format!("right/{path}"), "from the right");
    // The right's is newer, by the files' own times.
    world.set_time(format!("left/{path}"), 1_600_000_000);
    world.set_time(format!("right/{path}"), 1_700_000_000);
    world
}

#[test]
fn first_contact_is_a_union() {
    let world = World::new();
    for i in 0..30 {
        world.put(format!("left/l/{i}"), format!("left {i}"));
        world.put(format!("right/r/{i}"), format!("right {i}"));
    }
    world.put("left/same/file", "the same");
    world.put("right/same/file", "the same");
    world.put("left/same/left", "l");
    world.put("right/same/right", "r");
    world.mkdir("right/empty/inside");
    let value = world.sync_well(NONE);
    assert_eq!(world.tree("left").len(), 60 + 3 + 5);
    assert_eq!(value["applied"], json!({ "left": 30 + 1 + 1 + 2, "right": 30 + 1 + 1 }));
}

#[test]
fn edits_moves_and_deletions_go_both_ways() {
    let world = World::new();
    for i in 0..10 {
        world.put(format!("left/d/{i}"), format!("content {i}"));
    }
    world.sync_well(NONE);
    world.put("left/d/0", "edited on the left");
    world.put("right/d/1", "edited on the right");
    world.rm("left/d/2");
    world.rm("right/d/3");
    world.mkdir("left/e");
    world.mv("left/d/4", "left/e/four");
    world.mv("right/d/5", "right/five");
    world.put("left/new", "new");
    world.put("right/n/e/w", "newer");
    let value = world.sync_well(NONE);
    for side in ["left", "right"] {
        let text = |path: &str| world.text(format!("{side}/{path}"));
        assert_eq!(text("d/0"), "edited on the left");
        assert_eq!(text("d/1"), "edited on the right");
        assert_eq!(text("e/four"), "content 4");
        assert_eq!(text("five"), "content 5");
        assert!(!world.exists(format!("{side}/d/2")) && !world.exists(format!("{side}/d/3")));
    }
    assert_eq!(
        value["bytes"]["copied"],
        "edited on the left".len() + "edited on the right".len() + 8
    );
    assert_eq!(world.history("left"), ["content 1", "content 3"]);
    assert_eq!(world.history("right"), ["content 0", "content 2"]);
    assert_eq!(world.sync_well(NONE)["applied"], json!({ "left": 0, "right": 0 }));
}

/// Shows, 3 of the issue.
#[test]
fn a_directory_is_renamed_while_the_other_works_in_it() {
    let world = World::new();
    for i in 0..20 {
        world.put(format!("left/old/sub/{i}"), format!("content {i} ").repeat(1000));
    }
    world.sync_well(NONE);
    world.mv("left/old", "left/new name");
    world.put("right/old/sub/0", "edited");
    world.put("right/old/sub/added", "added");
    world.put("right/old/also/added", "added too");
    world.rm("right/old/sub/1");
    let value = world.sync_well(NONE);
    assert!(!world.exists("left/old") && !world.exists("right/old"));
    assert_eq!(world.text("left/new name/sub/0"), "edited");
    assert_eq!(world.text("left/new name/sub/added"), "added");
    assert_eq!(world.text("left/new name/also/added"), "added too");
    assert!(!world.exists("right/new name/sub/1"));
    assert_eq!(world.text("right/new name/sub/2"), "content 2 ".repeat(1000));
    assert_eq!(
        value["bytes"]["copied"],
        "edited".len() + "added".len() + "added too".len(),
        "nothing that was there: {value:#}"
    );
}

#[test]
fn a_copy_of_what_is_there_is_not_copied_again() {
    let world = World::new();
    let large: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    world.put("left/large", &large);
    world.sync_well(NONE);
    world.put("left/again", &large);
    let value = world.sync_well(NONE);
    assert_eq!(
        (&value["bytes"]["copied"], &value["bytes"]["reused"]),
        (&json!(0), &json!(large.len()))
    );
    // A small change of a large file moves little.
    let mut edited = large.clone();
    edited[600_000] ^= 1;
    world.put("right/large", &edited);
    let value = world.sync_well(NONE);
    assert!(value["bytes"]["copied"].as_u64().unwrap() < 300_000, "{value:#}");
}

#[test]
fn one_conflict_is_decided_by_name() {
    for path in [
        "doc.txt",
        "with space/a b.txt",
        "a=b=c",
        "x=left",
        "übung/日本語 🎉.txt",
        "-dash",
        "quo'te\".txt",
        "*[a].?",
        "back\\slash.txt",
        ".",
    ] {
        let path = if path == "." { ".hidden" } else { path };
        for (side, text) in [("left", "from the left"), ("right", "from the right")] {
            let world = edited_on_both(path);
            let (value, code) = world.json([format!("--resolve={path}={side}")]);
            assert_eq!((code, &value["in_sync"]), (0, &json!(true)), "{path}: {value:#}");
            assert_eq!(world.text(format!("left/{path}")), text);
            world.assert_equal();
            let (loser, lost) = if side == "left" {
                ("right", "from the right")
            } else {
                ("left", "from the left")
            };
            assert!(world.history(loser).contains(&lost.to_owned()), "what lost is in the history");
            assert_eq!(value["decided"][0]["path"], *path);
            assert_eq!(value["decided"][0]["taken"], side);
            assert_eq!(value["decided"][0]["kept"][0]["replica"], loser);
            let kept = value["decided"][0]["kept"][0]["path"].as_str().unwrap();
            assert_eq!(world.text(format!("{loser}/{kept}")), lost);
        }
    }
}

#[test]
fn both_may_be_kept() {
    let world = edited_on_both("dir/doc.txt");
    let (value, code) = world.json(["--resolve", "dir/doc.txt=both"]);
    assert_eq!(code, 0, "{value:#}");
    world.assert_equal();
    let texts: Vec<String> = world
        .tree("left/dir")
        .keys()
        .map(|name| world.text(world.at("left/dir").join(name)))
        .collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts.contains(&"from the left".into()) && texts.contains(&"from the right".into()),
        "{texts:?}"
    );
    assert_eq!(value["decided"][0]["taken"], "both");
}

#[test]
fn each_rule_decides_all() {
    for (rule, text) in [
        ("newest", "from the right"),
        ("left", "from the left"),
        ("right", "from the right"),
    ] {
        let world = edited_on_both("doc.txt");
        let run = world.sync(["--prefer", rule]);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(world.text("left/doc.txt"), text, "{rule}");
        world.assert_equal();
        let (loser, lost) = if text.ends_with("left") {
            ("right", "from the right")
        } else {
            ("left", "from the left")
        };
        assert!(world.history(loser).contains(&lost.to_owned()));
        // The output says so, and where.
        let kept = run
            .out
            .lines()
            .find_map(|l| l.trim().strip_prefix("kept"))
            .unwrap_or_else(|| panic!("{run:?}"))
            .trim();
        assert_eq!(world.text(kept), lost, "{run:?}");
        assert!(run.out.contains("Decided: doc.txt"), "{run:?}");
    }
    let world = edited_on_both("doc.txt");
    world.sync_well(["--prefer", "both"]);
    assert_eq!(world.tree("left").len(), 2);
}

#[test]
fn the_rule_holds_for_deletions_too() {
    for (rule, lives) in [("left", false), ("right", true), ("both", true)] {
        let world = World::new();
        world.put("left/doc.txt", "one");
        world.sync_well(NONE);
        world.rm("left/doc.txt");
        world.put("right/doc.txt", "edited");
        world.sync_well(["--prefer", rule]);
        assert_eq!(
            (world.exists("left/doc.txt"), world.exists("right/doc.txt")),
            (lives, lives),
            "{rule}"
        );
        if !lives {
            assert!(world.history("right").contains(&"edited".to_owned()));
        }
    }
}

#[test]
fn an_edit_of_what_was_deleted_is_deleted_on_request() {
    for decision in ["doc.txt=delete", "doc.txt=left"] {
        let world = World::new();
        world.put("left/doc.txt", "one");
        world.sync_well(NONE);
        world.rm("left/doc.txt");
        world.put("right/doc.txt", "edited");
        let (value, code) = world.json(NONE);
        assert_eq!((code, &value["conflicts"][0]["kind"]), (1, &json!("deleted")), "{value:#}");
        world.sync_well(["--resolve", decision]);
        assert!(!world.exists("left/doc.txt") && !world.exists("right/doc.txt"), "{decision}");
        assert!(
            world
                .history("left")
                .iter()
                .chain(&world.history("right"))
                .any(|t| t == "edited")
        );
    }
    let world = World::new();
    world.put("left/doc.txt", "one");
    world.sync_well(NONE);
    world.rm("left/doc.txt");
    world.put("right/doc.txt", "edited");
    world.sync_well(["--resolve", "doc.txt=right"]);
    assert_eq!(world.text("left/doc.txt"), "edited");
}

#[test]
fn a_decision_for_nothing_is_told() {
    let world = edited_on_both("doc.txt");
    let run = world.sync(["--resolve", "other.txt=left"]);
    assert!(run.code == Some(1) && run.out.contains("other.txt"), "{run:?}");
    let (value, _) = world.json(["--resolve", "doc.txt=delete"]);
    assert_eq!(value["undecided"], json!(["doc.txt"]), "nobody deleted it: {value:#}");
    assert_eq!(world.text("left/doc.txt"), "from the left");
}

#[test]
fn a_conflict_is_decided_by_editing_too() {
    let world = edited_on_both("doc.txt");
    let (_, code) = world.json(NONE);
    assert_eq!(code, 1);
    world.put("left/doc.txt", "merged by hand");
    world.put("right/doc.txt", "merged by hand");
    world.sync_well(NONE);
    assert_eq!(world.text("right/doc.txt"), "merged by hand");
}

#[test]
fn the_same_edit_on_both_sides_is_none() {
    let world = World::new();
    world.put("left/doc.txt", "one");
    world.sync_well(NONE);
    world.put("left/doc.txt", "two");
    world.put("right/doc.txt", "two");
    world.set_time("left/doc.txt", 1_600_000_000);
    assert_eq!(world.sync_well(NONE)["bytes"]["copied"], 0);
}

#[test]
fn several_pairs_share_a_home() {
    let world = World::new();
    world.put("left/a", "a");
    world.mkdir("third");
    world.sync_well(NONE);
    // The right goes on to a third, and what comes back from there gets to the left.
    let right_third = |args: &[&str]| {
        let mut all = vec!["sync", "right", "third", "--home", "home"];
        all.extend(args);
        world.bifold(all)
    };
    assert_eq!(right_third(&[]).code, Some(0));
    assert_eq!(world.text("third/a"), "a");
    world.put("third/a", "edited");
    world.put("third/b", "b");
    assert_eq!(right_third(&[]).code, Some(0));
    world.sync_well(NONE);
    assert_eq!((world.text("left/a"), world.text("left/b")), ("edited".into(), "b".into()));
    world.rm("left/a");
    world.sync_well(NONE);
    assert_eq!(right_third(&[]).code, Some(0));
    assert!(!world.exists("third/a"));
}

#[test]
fn a_lost_home_costs_no_file() {
    let world = World::new();
    world.put("left/a", "a");
    world.put("left/b", "b");
    world.sync_well(NONE);
    world.rm("home");
    world.rm("left/a");
    world.put("right/b", "edited");
    let (value, _) = world.json(NONE);
    assert_eq!(world.text("left/a"), "a", "a union: {value:#}");
    assert_eq!(value["conflicts"][0]["path"], "b", "nobody knows which is newer: {value:#}");
}

#[test]
fn sides_may_be_swapped_moved_and_linked() {
    let world = World::new();
    world.put("left/a", "a");
    world.sync_well(NONE);
    world.rm("left/a");
    let swapped = world.bifold(["sync", "right", "left", "--home", "home"]);
    assert!(swapped.code == Some(0) && !world.exists("right/a"), "{swapped:?}");
    world.put("left/b", "b");
    world.mv("right", "elsewhere");
    let moved = world.bifold(["sync", "left/", "./elsewhere", "--home", "home"]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    world.rm("elsewhere/b");
    world.bifold(["sync", "left", "elsewhere", "--home", "home"]);
    assert!(!world.exists("left/b"), "it is the one that it was");
}

#[test]
fn a_dry_run_changes_nothing_and_tells_all() {
    let check = |world: &World, args: &[&str], words: &[&str], steps: &[(&str, Value)]| {
        let before = (world.everything(), times(world));
        let mut all = vec!["--dry-run"];
        all.extend(args);
        let run = world.sync(&all);
        for word in words {
            assert!(run.out.contains(word), "{word:?} is not in {}", run.out);
        }
        let mut lines: Vec<&str> = run.out.lines().filter(|l| l.starts_with("  ")).collect();
        let count = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), count, "nothing twice: {}", run.out);
        let (value, code) = world.json(&all);
        for (side, step) in steps {
            assert!(value["planned"][side].as_array().unwrap().contains(step), "{value:#}");
        }
        let planned = ["left", "right"].map(|s| value["planned"][s].as_array().unwrap().len());
        assert_eq!(planned[0] + planned[1], steps.len(), "{value:#}");
        assert_eq!(
            code,
            i32::from(!steps.is_empty() || !value["conflicts"].as_array().unwrap().is_empty()),
            "{value:#}"
        );
        world::assert_trees_equal(&before.0, &world.everything());
        assert_eq!(before.1, times(world));
    };
    let world = World::new();
    world.put("left/a.txt", "one");
    world.put("right/dir/b.txt", "three");
    world.put("left/c", "left's");
    world.put("right/c", "right's");
    let new = |path: &str, size: u64| json!({ "step": "new", "path": path, "size": size });
    let new_dir = json!({ "step": "new", "path": "dir", "directory": true });
    let first = [("right", new("a.txt", 3)), ("left", new_dir), ("left", new("dir/b.txt", 5))];
    check(
        &world,
        &[],
        &["a.txt", "dir/b.txt", "nothing was changed", "Conflict: c"],
        &first,
    );
    assert!(!world.exists("home") && !world.exists("left/.bifold"));

    world.json(["--resolve", "c=left"]);
    check(&world, &[], &["nothing to do"], &[]);
    world.rm("left/a.txt");
    world.mv("right/dir/b.txt", "right/b.txt");
    world.put("left/c", "edited");
    let deleted = json!({ "step": "deleted", "path": "a.txt" });
    let moved = json!({ "step": "moved", "path": "dir/b.txt", "to": "b.txt" });
    let edited = json!({ "step": "edited", "path": "c", "size": 6 });
    let steps = [("right", deleted), ("left", moved), ("right", edited)];
    check(
        &world,
        &[],
        &[
            "deleted  a.txt",
            "moved    dir/b.txt → b.txt",
            "edited   c",
            "3 changes would be made",
        ],
        &steps,
    );

    // A decision too is only tried.
    world.sync_well(NONE);
    world.put("left/c", "left again");
    world.put("right/c", "right again!");
    let taken = [("right", json!({ "step": "edited", "path": "c", "size": 10 }))];
    check(&world, &["--resolve", "c=left"], &["Decided: c"], &taken);
    check(&world, &["--prefer", "left"], &["Decided: c"], &taken);
    check(&world, &[], &["Conflict: c"], &[]);
}

/// The times of last change of all there is; without that of the home itself, where the index's log is put and taken away.
fn times(world: &World) -> Vec<std::time::SystemTime> {
    let paths = world.everything().into_keys().filter(|path| path.as_os_str() != "home");
    paths
        .map(|path| world.at(path).symlink_metadata().unwrap().modified().unwrap())
        .collect()
}

#[test]
fn the_history_of_a_root_is_used_by_what_takes_its_place() {
    let world = World::new();
    world.put("left/a", "one");
    world.put("left/b", "put aside");
    world.sync_well(NONE);
    world.rm("right/b");
    world.sync_well(NONE);
    world.put("right/b", "put aside");
    let value = world.sync_well(NONE);
    assert_eq!(value["bytes"], json!({"copied": 0, "reused": 9}), "{value:#}");
    world.rm("left/.bifold/root.json");
    world.sync_well(["--rejoin=left"]);
    world.rm("right/b");
    world.sync_well(NONE);
    world.put("right/c", "put aside");
    let value = world.sync_well(NONE);
    assert_eq!(value["bytes"], json!({"copied": 0, "reused": 9}), "{value:#}");
}
