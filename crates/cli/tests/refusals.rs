//! What the program refuses: each with exit code 2, words that say what is wrong and what to do, and nothing changed.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use std::fs;
use world::{Run, World};

/// The run was refused with these words, and the world is as it was before it.
#[track_caller]
fn refused(world: &World, run: impl FnOnce() -> Run, words: &[&str]) {
    let before = world.everything();
    let run = run();
    assert_eq!(run.code, Some(2), "{run:?}");
    assert_eq!(run.out, "", "nothing on standard output");
    for word in words {
        assert!(run.err.contains(word), "{word:?} is not in: {}", run.err);
    }
    assert!(!run.err.contains("panicked"), "{}", run.err);
    world::assert_trees_equal(&before, &world.everything());
}

fn two_files() -> World {
    let world = World::new();
    world.put("left/a.txt", "one");
    world.put("right/b.txt", "two");
    world
}

fn try_sides(left: &str, right: &str, words: &[&str]) {
    let world = two_files();
    world.mkdir("left/inner");
    refused(&world, || world.bifold(["sync", left, right, "--home", "home"]), words);
}

#[test]
fn a_side_that_is_missing_is_named() {
    try_sides("left", "nowhere", &["right side", "nowhere", "not there"]);
    try_sides("nowhere", "right", &["left side", "nowhere", "not there"]);
    try_sides("left/a.txt/b", "right", &["left side", "left/a.txt/b"]);
}

#[test]
fn a_file_is_no_folder() {
    try_sides("left", "left/a.txt", &["right side", "left/a.txt", "not a folder"]);
    try_sides("right/b.txt", "left", &["left side", "not a folder"]);
}

#[test]
fn one_folder_is_not_two() {
    for other in ["left", "left/", "./left", "left/.", "left/inner/..", "right/../left"] {
        try_sides("left", other, &["same folder", "left"]);
    }
}

#[test]
fn a_folder_in_the_other_is_refused() {
    for (left, right) in [
        ("left", "left/inner"),
        ("left/inner", "left"),
        ("left/", "./left/inner/."),
        (".", "left"),
    ] {
        try_sides(left, right, &["inside the"]);
    }
    // A longer name is not inside.
    let world = World::new();
    world.mkdir("left-2");
    assert_eq!(world.bifold(["sync", "left", "left-2", "--home", "home"]).code, Some(0));
}

#[cfg(unix)]
#[test]
fn links_hide_nothing() {
    use std::os::unix::fs::symlink;
    let world = two_files();
    world.mkdir("left/inner");
    symlink(world.at("left"), world.at("same")).unwrap();
    symlink(world.at("left/inner"), world.at("inside")).unwrap();
    symlink(world.at("nowhere"), world.at("dangling")).unwrap();
    symlink(world.at("round"), world.at("round")).unwrap();
    refused(
        &world,
        || world.bifold(["sync", "left", "same", "--home", "home"]),
        &["same folder"],
    );
    refused(
        &world,
        || world.bifold(["sync", "inside", "left", "--home", "home"]),
        &["left side", "inside the right side"],
    );
    refused(
        &world,
        || world.bifold(["sync", "left", "same/inner/", "--home", "home"]),
        &["right side", "inside the left side"],
    );
    refused(
        &world,
        || world.bifold(["sync", "left", "dangling", "--home", "home"]),
        &["right side", "not there"],
    );
    refused(
        &world,
        || world.bifold(["sync", "left", "round", "--home", "home"]),
        &["right side", "round"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_mounted_twice_is_one_folder() {
    let world = two_files();
    world.mkdir("twice");
    world.mkdir("left/inner");
    world::mounts::with_own_mounts(|| {
        world::mounts::bind(&world.at("left"), &world.at("twice"));
        refused(
            &world,
            || world.bifold(["sync", "left", "twice", "--home", "home"]),
            &["same folder"],
        );
        refused(
            &world,
            || world.bifold(["sync", "left", "twice/inner", "--home", "home"]),
            &["inside the left side"],
        );
        world::mounts::unmount(&world.at("twice"));
    });
}

#[test]
fn what_is_synced_already_has_no_synced_folder_inside() {
    let world = two_files();
    world.mkdir("left/inner");
    world.mkdir("third");
    world.sync_well::<&str>([]);
    refused(
        &world,
        || world.bifold(["sync", "left/inner", "third", "--home", "home"]),
        &["left/inner", "itself synced"],
    );
    // And the other way round: what is Bifold's own in a folder inside is no part of the outer one.
    world.mkdir("outer");
    world.mv("third", "outer/third");
    world.put("outer/third/c.txt", "three");
    world.mkdir("fourth");
    assert_eq!(
        world.bifold(["sync", "outer/third", "fourth", "--home", "home2"]).code,
        Some(0)
    );
    let run = world.bifold(["sync", "outer", "left", "--home", "home3"]);
    assert!(run.code == Some(1) && run.out.contains("third/.bifold"), "{run:?}");
    assert!(world.exists("left/third/c.txt") && !world.exists("left/third/.bifold"));
}

#[test]
fn usage_errors_say_what_was_wrong() {
    let world = two_files();
    let usage = |args: &[&str], words: &[&str]| refused(&world, || world.bifold(args), words);
    usage(&["sync"], &["<LEFT>", "<RIGHT>"]);
    usage(&["sync", "left"], &["<RIGHT>"]);
    usage(&["sync", "left", "right", "third"], &["third"]);
    usage(&["sync", "left", "right", "--frobnicate"], &["--frobnicate"]);
    usage(&["sync", "left", "right", "--prefer", "oldest"], &["oldest", "newest"]);
    usage(&["sync", "left", "right", "--resolve", "a.txt"], &["a.txt", "PATH=left"]);
    usage(
        &["sync", "left", "right", "--resolve", "a.txt=up"],
        &["a.txt=up", "PATH=left"],
    );
    usage(&["sync", "left", "right", "--resolve", "=left"], &["PATH=left"]);
    usage(&["sync", "left", "right", "--watch", "--dry-run"], &["--watch", "--dry-run"]);
    usage(&["sink", "left", "right"], &["sink"]);
    usage(
        &["sync", "left", "right", "--home", "home", "--ignore", "a{b"],
        &["a{b", "pattern"],
    );
}

#[test]
fn help_and_version_are_no_errors() {
    let world = World::new();
    for args in [&["--help"][..], &["sync", "--help"], &["--version"], &["help", "sync"]] {
        let run = world.bifold(args);
        assert!(run.code == Some(0) && run.err.is_empty() && !run.out.is_empty(), "{run:?}");
    }
}

#[test]
fn an_error_with_json_is_one_object_too() {
    let world = two_files();
    let run = world.bifold(["sync", "left", "nowhere", "--home", "home", "--json"]);
    assert_eq!(run.code, Some(2));
    let value: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert!(
        value["error"].as_str().unwrap().contains("right side") && value["hint"].is_string(),
        "{value}"
    );
    assert!(!world.exists("home"));
}

#[test]
fn a_home_inside_a_side_is_refused() {
    let world = two_files();
    for home in ["left", "left/home", "right/a/b", "./right/../left/x"] {
        refused(
            &world,
            || world.bifold(["sync", "left", "right", "--home", home]),
            &["home", "inside"],
        );
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(world.at("left"), world.at("link")).unwrap();
        refused(
            &world,
            || world.bifold(["sync", "left", "right", "--home", "link/home"]),
            &["home", "inside"],
        );
    }
}

#[test]
fn a_home_that_is_a_file_is_refused() {
    let world = two_files();
    world.put("file", "x");
    refused(
        &world,
        || world.bifold(["sync", "left", "right", "--home", "file"]),
        &["file", "home"],
    );
    refused(
        &world,
        || world.bifold(["sync", "left", "right", "--home", "file/below"]),
        &["file/below", "home"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_refused() {
    let world = two_files();
    world.mkdir("home");
    world::mounts::with_own_mounts(|| {
        for (path, words) in [
            ("left", ["left", "cannot be written"]),
            ("right", ["right", "cannot be written"]),
            ("home", ["home", "may write"]),
        ] {
            world::mounts::read_only(&world.at(path));
            refused(&world, || world.sync::<&str>([]), &words);
            world::mounts::unmount(&world.at(path));
        }
        // Known already, and read-only since.
        world.sync_well::<&str>([]);
        world.put("left/new.txt", "new");
        world::mounts::read_only(&world.at("right"));
        refused(&world, || world.sync::<&str>([]), &["right", "cannot be written"]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_may_not_be_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = two_files();
    let Some(as_nobody) = world.as_nobody() else { return };
    let mode = |path: &str, mode| fs::set_permissions(world.at(path), fs::Permissions::from_mode(mode)).unwrap();
    let sync = ["sync", "left", "right", "--home", "home"];
    mode("left", 0o700);
    refused(
        &world,
        || as_nobody(&sync),
        &["left side", "Permission denied", "permissions"],
    );
    mode("left", 0o777);
    mode("right", 0o755);
    refused(&world, || as_nobody(&sync), &["right", "cannot be written", "permissions"]);
    mode("right", 0o777);
    world.mkdir("home");
    mode("home", 0o755);
    refused(&world, || as_nobody(&sync), &["home", "index", "write"]);
    assert_eq!(world.tree("left").len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_gone_on_from() {
    let world = World::new();
    world.put("left/large", vec![7; 600_000]);
    world.put("left/small", "small");
    world.put("right/other", "other");
    world::mounts::with_own_mounts(|| {
        world::mounts::small_disk(&world.at("right"), 256);
        world.put("right/other", "other");
        let (value, code) = world.json::<&str>([]);
        assert_eq!(code, 1, "{value:#}");
        let problems = value["problems"].as_array().unwrap();
        assert_eq!(
            (problems.len(), &problems[0]["path"], &problems[0]["kind"]),
            (1, &"large".into(), &"disk_full".into()),
            "{value:#}"
        );
        assert!(problems[0]["message"].as_str().unwrap().contains("room"));
        assert_eq!(world.text("right/small"), "small", "what fits is there");
        assert_eq!(world.text("left/other"), "other");
        assert!(!world.exists("right/large"));
        assert_eq!(
            fs::read_dir(world.at("right/.bifold/stage")).unwrap().count(),
            0,
            "nothing half is left"
        );
        world.put("left/large", vec![8; 60_000]);
        world.sync_well::<&str>([]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_any_room_is_told() {
    let world = two_files();
    world::mounts::with_own_mounts(|| {
        world::mounts::small_disk(&world.at("right"), 64);
        let mut n = 0;
        while fs::write(world.at(format!("right/fill-{n}")), [1; 4096]).is_ok() {
            n += 1;
        }
        let left = world.tree("left");
        let right = world.tree("right");
        let run = world.sync::<&str>([]);
        assert!(run.code == Some(2) || run.code == Some(1), "{run:?}");
        let said = run.out + &run.err;
        assert!(said.contains("full") || said.contains("space"), "{said}");
        for (path, item) in left {
            assert_eq!(world.tree("left").get(&path), Some(&item), "{}", path.display());
        }
        world::assert_trees_equal(&right, &world.tree("right"));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_home_without_room_is_told() {
    let world = two_files();
    for i in 0..2000 {
        world.put(format!("left/{i:0100}"), "");
    }
    world.mkdir("home");
    world::mounts::with_own_mounts(|| {
        world::mounts::small_disk(&world.at("home"), 128);
        let run = world.sync::<&str>([]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.err.contains("full") && run.err.contains("index"), "{run:?}");
        world::mounts::unmount(&world.at("home"));
        // With room it goes on; nothing was taken for deleted.
        assert_eq!(world.tree("left").len(), 2001 + usize::from(world.exists("left/b.txt")));
    });
}

#[test]
fn a_damaged_index_is_told_and_rebuilt_on_demand() {
    let damage: [fn(&World); 3] = [
        |w| fs::write(w.at("home/index.db"), "garbage, and more of it, ".repeat(400)).unwrap(),
        |w| {
            let bytes = fs::read(w.at("home/index.db")).unwrap();
            fs::write(w.at("home/index.db"), &bytes[..bytes.len() / 2]).unwrap();
        },
        |w| {
            let mut bytes = fs::read(w.at("home/index.db")).unwrap();
            let end = bytes.len();
            bytes[4096..end].fill(0xA5);
            fs::write(w.at("home/index.db"), bytes).unwrap();
        },
    ];
    for (i, damage) in damage.into_iter().enumerate() {
        let world = two_files();
        world.sync_well::<&str>([]);
        world.rm("left/b.txt");
        damage(&world);
        let before = (
            world.tree("left"),
            world.tree("right"),
            fs::read(world.at("home/index.db")).unwrap(),
        );
        let run = world.sync::<&str>([]);
        assert_eq!(run.code, Some(2), "{i}: {run:?}");
        assert!(
            run.err.contains("damaged") && run.err.contains("--rebuild-index"),
            "{i}: {run:?}"
        );
        assert_eq!(
            before,
            (
                world.tree("left"),
                world.tree("right"),
                fs::read(world.at("home/index.db")).unwrap()
            ),
            "{i}"
        );
        let run = world.sync(["--dry-run"]);
        assert_eq!(run.code, Some(2), "{i}: {run:?}");
        let run = world.sync(["--rebuild-index"]);
        assert_eq!(run.code, Some(0), "{i}: {run:?}");
        assert_eq!(world.text("left/b.txt"), "two", "a rebuilt index takes nothing for deleted");
        world.assert_equal();
        assert!(
            fs::read_dir(world.at("home")).unwrap().count() > 1,
            "{i}: the damaged one is kept"
        );
        world.sync_well::<&str>([]);
    }
}

#[test]
fn an_index_from_the_future_is_left_alone() {
    let world = two_files();
    world.sync_well::<&str>([]);
    // The version of the form, in the file's head.
    let mut bytes = fs::read(world.at("home/index.db")).unwrap();
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    fs::write(world.at("home/index.db"), &bytes).unwrap();
    world.put("left/new", "new");
    let before = (world.tree("left"), world.tree("right"));
    let run = world.sync::<&str>([]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.err.contains("newer") && run.err.contains("Update"), "{run:?}");
    assert_eq!(before, (world.tree("left"), world.tree("right")));
    assert_eq!(fs::read(world.at("home/index.db")).unwrap(), bytes);
}

#[test]
fn two_programs_on_one_home_do_not_mix() {
    let world = two_files();
    world.mkdir("third");
    world.mkdir("fourth");
    let watching = world.watch_well::<&str>([]);
    for sides in [["left", "right"], ["third", "fourth"]] {
        let run = world.bifold(["sync", sides[0], sides[1], "--home", "home"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.err.contains("another Bifold"), "{run:?}");
    }
    assert!(!world.exists("third/.bifold"), "nothing was begun");
    drop(watching);
    world.sync_well::<&str>([]);
}

#[test]
fn two_homes_on_one_folder_do_not_mix() {
    let world = two_files();
    world.mkdir("third");
    let watching = world.watch_well::<&str>([]);
    let run = world.bifold(["sync", "right", "third", "--home", "home2"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.err.contains("another Bifold"), "{run:?}");
    drop(watching);
}

#[test]
fn a_root_that_was_emptied_or_replaced_deletes_nothing() {
    let world = two_files();
    world.sync_well::<&str>([]);
    world.mv("right", "right-away");
    world.mkdir("right");
    refused(
        &world,
        || world.sync::<&str>([]),
        &["right", "not the folder that was synced", "--rejoin"],
    );
    world.put("right/other", "something else");
    refused(
        &world,
        || world.sync::<&str>([]),
        &["right", "not the folder that was synced"],
    );
    world.rm("right");
    refused(&world, || world.sync::<&str>([]), &["right side", "not there"]);
    world.mv("right-away", "right");
    world.sync_well::<&str>([]);
    // A person says that it is to be taken for new.
    world.rm("right");
    world.mkdir("right");
    world.put("right/c.txt", "three");
    let run = world.sync(["--rejoin", "right"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.tree("left").len(), 3);
    world.assert_equal();
}

#[test]
fn programs_that_begin_at_once_on_a_new_home_do_not_mix() {
    for _ in 0..8 {
        let world = two_files();
        for i in 0..20 {
            world.put(format!("third/{i}"), "three");
        }
        world.mkdir("fourth");
        let start = |sides: [&str; 2]| {
            let mut command = world.command();
            command.args(["sync", sides[0], sides[1], "--home", "home"]);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            command.spawn().unwrap()
        };
        let mut both = [start(["left", "right"]), start(["third", "fourth"])];
        let codes = both.each_mut().map(|child| world::wait(child).code());
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 2))), "{codes:?}");
        // Both may have been in each other's way.
        let one = codes.contains(&Some(0));
        assert!(
            !one || world.exists("home/index.db"),
            "who was refused took the other's index away"
        );
    }
}
