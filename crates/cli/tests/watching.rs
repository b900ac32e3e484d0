//! The program as it goes on: changes of all kinds are on the other side soon, and it says what happens, one event a line.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use serde_json::Value;
use std::fs;
use std::time::Duration;
use world::{World, tree, until};

const NONE: [&str; 0] = [];

/// Waits until both sides are the same, and as wanted.
fn equal(world: &World, what: &str, wanted: impl Fn(&world::Tree) -> bool) {
    let same = || {
        let left = world.tree("left");
        left == world.tree("right") && wanted(&left)
    };
    let end = std::time::Instant::now() + world::PATIENCE;
    while !same() {
        if std::time::Instant::now() > end {
            world.assert_equal();
            panic!("equal, but not as wanted: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn has(path: &str, text: &str) -> impl Fn(&world::Tree) -> bool {
    let (path, bytes) = (std::path::PathBuf::from(path), text.as_bytes().to_vec());
    move |tree| matches!(tree.get(&path), Some(world::Item::File { bytes: b, .. }) if *b == bytes)
}

#[test]
fn changes_get_to_the_other_side() {
    let world = World::new();
    world.put("left/a", "one");
    let watching = world.watch_well(NONE);
    equal(&world, "the first sync", has("a", "one"));
    world.put("right/a", "edited");
    equal(&world, "an edit", has("a", "edited"));
    world.put("left/x/y/z/deep", "deep");
    equal(&world, "new directories", has("x/y/z/deep", "deep"));
    world.put("right/x/y/z/more", "more");
    equal(&world, "a file in them", has("x/y/z/more", "more"));
    world.mv("left/x/y", "left/renamed");
    equal(&world, "a renamed directory", has("renamed/z/deep", "deep"));
    world.put("right/renamed/z/deep", "edited there");
    equal(&world, "an edit in it", has("renamed/z/deep", "edited there"));
    world.put("left/.a.new", "saved");
    world.mv("left/.a.new", "left/a");
    equal(&world, "a save", has("a", "saved"));
    world.rm("right/renamed");
    equal(&world, "a deleted tree", |tree| tree.len() == 2);
    let (status, events) = watching.settle_and_stop();
    assert_eq!(status.code(), Some(0), "{events:#?}");
    assert_eq!(events.last().unwrap()["event"], "stopped");
    assert_eq!(events.last().unwrap()["in_sync"], true);
    world.sync_well(NONE);
}

#[test]
fn a_burst_of_files_and_their_end() {
    let world = World::new();
    let watching = world.watch_well(NONE);
    for i in 0..5000 {
        world.put(format!("left/d{}/{i}", i % 50), format!("{i}"));
    }
    equal(&world, "5,000 files", |tree| tree.len() == 5050);
    for i in 0..2000 {
        world.put(format!("right/d{}/{i}", i % 50), format!("{i} edited"));
    }
    equal(&world, "2,000 edits", has("d0/1950", "1950 edited"));
    for i in 0..20 {
        world.mv(format!("left/d{i}"), format!("left/e{i}"));
    }
    equal(&world, "moved directories", |tree| {
        tree.len() == 5050 && tree.contains_key(std::path::Path::new("e19/1969"))
    });
    for i in 30..50 {
        world.rm(format!("right/d{i}"));
    }
    equal(&world, "deleted directories", |tree| tree.len() == 30 * 101);
    let (status, events) = watching.settle_and_stop();
    assert_eq!(status.code(), Some(0), "{:#?}", events.last());
}

#[test]
fn a_conflict_is_an_event_and_ends_with_code_1() {
    let world = World::new();
    world.put("left/doc", "one");
    let mut watching = world.watch_well(NONE);
    // Both before it can look: stopped meanwhile.
    watching.signal(libc::SIGSTOP);
    world.put("left/doc", "from the left");
    world.put("right/doc", "from the right");
    watching.signal(libc::SIGCONT);
    let event = watching.event("a conflict", |e| e["conflicts"].as_array().is_some_and(|c| !c.is_empty()));
    assert_eq!(
        (&event["event"], &event["conflicts"][0]["path"]),
        (&Value::from("synced"), &Value::from("doc"))
    );
    // One's own side may be edited on.
    world.put("left/doc", "from the left, again");
    watching.event("the newer side", |e| {
        let sides = e["conflicts"][0]["sides"].as_array();
        sides.is_some_and(|sides| sides.iter().any(|s| s["size"] == 20))
    });
    assert_eq!(world.text("right/doc"), "from the right");
    let (status, events) = watching.settle_and_stop();
    assert_eq!(status.code(), Some(1), "{events:#?}");
}

#[test]
fn a_conflict_ends_when_both_are_the_same() {
    let world = World::new();
    world.put("left/doc", "from the left");
    world.put("right/doc", "from the right");
    let mut watching = world.watch_well(NONE);
    world.put("left/doc", "merged");
    world.put("right/doc", "merged");
    watching.event("no conflict", |e| e["in_sync"] == true);
    let (status, _) = watching.settle_and_stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn mass_deletion_is_held_and_let_go() {
    let world = World::new();
    for i in 0..40 {
        world.put(format!("left/{i}"), format!("{i}"));
    }
    let mut watching = world.watch_well(NONE);
    // Little by little, as a person or a slow program does it.
    for i in 0..35 {
        world.rm(format!("left/{i}"));
        std::thread::sleep(Duration::from_millis(20));
    }
    watching.event("held", |e| e["held"].as_array().is_some_and(|h| !h.is_empty()));
    std::thread::sleep(Duration::from_millis(200));
    let there = world.tree("right").len();
    assert!((19..=40).contains(&there), "half of them at most are deleted: {there}");
    for i in 0..35 {
        world.put(format!("left/{i}"), format!("{i}"));
    }
    equal(&world, "all is back", |tree| tree.len() == 40);
    watching.event("let go", |e| e["in_sync"] == true);
    let (status, events) = watching.settle_and_stop();
    assert_eq!(status.code(), Some(0), "{events:#?}");
}

#[test]
fn rules_hold_as_they_change() {
    let world = World::new();
    let mut watching = world.watch_well(["--ignore", "*.tmp"]);
    world.put("left/.bifoldignore", "*.log\n");
    equal(&world, "the rules", has(".bifoldignore", "*.log\n"));
    world.put("left/a.tmp", "tmp");
    world.put("right/a.log", "log");
    world.put("left/b", "b");
    until("b", || world.exists("right/b"));
    assert!(!world.exists("right/a.tmp") && !world.exists("left/a.log"));
    world.put("left/.bifoldignore", "");
    until("what is no longer ignored", || world.exists("left/a.log"));
    assert!(!world.exists("right/a.tmp"));
    assert!(watching.runs());
}

#[test]
fn a_root_that_goes_away_halts() {
    let world = World::new();
    for i in 0..5 {
        world.put(format!("left/{i}"), format!("{i}"));
    }
    let mut watching = world.watch_well(NONE);
    world.mv("right", "away");
    world.put("left/new", "new");
    let event = watching.event("halted", |e| {
        e["problems"]
            .as_array()
            .is_some_and(|p| p.iter().any(|p| p["kind"] == "halted"))
    });
    assert_eq!(event["in_sync"], false);
    world.mkdir("right");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(world.tree("left").len(), 6, "nothing is deleted");
    assert_eq!(
        tree(&world.at("away")).keys().filter(|p| !p.starts_with(".bifold")).count(),
        5
    );
    let (status, _) = watching.settle_and_stop();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn events_are_lines_and_stopping_is_one_of_them() {
    let world = World::new();
    world.put("left/a", "one");
    let mut watching = world.watch(NONE);
    watching.event("watching", |e| e["event"] == "notice");
    watching.event("applying", |e| {
        e["event"] == "applying" && e["replica"] == "right" && e["steps"] == 1
    });
    let event = watching.event("synced", |e| e["event"] == "synced");
    assert_eq!(
        (&event["in_sync"], &event["applied"]["right"]),
        (&Value::from(true), &Value::from(1))
    );
    world.put("left/b", "two");
    let event = watching.event("synced", |e| e["event"] == "synced" && e["applied"]["right"] != 0);
    assert_eq!(event["applied"]["right"], 1, "what was done since the last event: {event:#}");
    let (status, events) = watching.settle_and_stop();
    assert!(status.code() == Some(0) && events.last().unwrap()["event"] == "stopped");
}

#[test]
fn nobody_needs_to_read_the_events() {
    let world = World::new();
    let mut command = world.command();
    command.args(["sync", "left", "right", "--home", "home", "--watch", "--json"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    until("the first sync", || world.exists("right/.bifold/root.json"));
    world.put("left/a", "one");
    until("a", || world.exists("right/a"));
    world.put("right/b", "two");
    until("b", || world.exists("left/b"));
    std::thread::sleep(Duration::from_millis(700)); // it looks at what it did itself
    // SAFETY: our own child.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    assert_eq!(world::wait(&mut child).code(), Some(0));
}

#[test]
fn it_sleeps_while_nothing_happens() {
    let world = World::new();
    for i in 0..500 {
        world.put(format!("left/{}/{i}", i % 20), "x");
    }
    let watching = world.watch_well(NONE);
    let stat = format!("/proc/{}/stat", watching.id());
    let ticks = || -> u64 {
        let text = fs::read_to_string(&stat).unwrap_or_default();
        text.rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|n| n.parse::<u64>().unwrap())
            .sum()
    };
    if !std::path::Path::new(&stat).exists() {
        world::skip("this system does not tell");
        return;
    }
    std::thread::sleep(Duration::from_millis(500));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(2));
    assert!(ticks() - before <= 2, "{} hundredths of a second in 2 s", ticks() - before);
}

#[test]
fn a_file_that_grows_is_whole_on_the_other_side_in_the_end() {
    use std::io::Write;
    let world = World::new();
    let watching = world.watch_well(NONE);
    let mut file = fs::File::create(world.at("left/log")).unwrap();
    let mut whole = Vec::new();
    for i in 0..300 {
        let line = format!("line {i} {}\n", "x".repeat(i));
        file.write_all(line.as_bytes()).unwrap();
        whole.extend(line.as_bytes());
        std::thread::sleep(Duration::from_millis(3));
        if let Ok(there) = fs::read(world.at("right/log")) {
            assert!(whole.starts_with(&there), "never a mix");
        }
    }
    drop(file);
    until("the whole", || {
        fs::read(world.at("right/log")).is_ok_and(|there| there == whole)
    });
    drop(watching);
}

#[cfg(target_os = "linux")]
#[test]
fn where_no_more_can_be_watched_it_is_looked_at() {
    // A limit of one's own, in a name space of users: this file is that name space's. (Those in fs/inotify are everybody's.)
    let world = World::new();
    world.put("left/d/a", "one");
    let script = r#"echo 1 > /proc/sys/user/max_inotify_watches && exec "$@""#;
    let mut command = world.command_of("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
        env!("CARGO_BIN_EXE_bifold"),
    ]);
    command.args(["sync", "left", "right", "--home", "home", "--watch", "--json"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(out);
    let notice = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains("max_user_watches"));
    if notice.is_none() {
        world::skip("this system does not let one limit oneself");
        let _ = child.kill();
        child.wait().unwrap();
        return;
    }
    world.put("left/b", "two");
    until("b, at the next look", || world.exists("right/b"));
    // (It is not stopped in the middle of a look.)
    std::thread::sleep(Duration::from_millis(700));
    // SAFETY: our own child.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert_eq!(world::wait(&mut child).code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn an_index_without_room_ends_it_whatever_goes_on_meanwhile() {
    let world = World::new();
    world.put("left/a", "one");
    world.mkdir("home");
    world::mounts::with_own_mounts(|| {
        world::mounts::small_disk(&world.at("home"), 512);
        let mut command = world.command();
        command.args(["sync", "left", "right", "--home", "home", "--watch", "--json"]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        // Someone writes on both sides all the while.
        let end = std::time::Instant::now() + world::PATIENCE;
        for i in 0.. {
            let name = format!("{i:0150}");
            world.put(format!("left/{name}"), "");
            world.put(format!("right/{}/{name}", i / 50), "");
            if child.try_wait().unwrap().is_some() {
                break;
            }
            assert!(std::time::Instant::now() < end, "it does not end");
        }
        assert_eq!(world::wait(&mut child).code(), Some(2));
    });
}
