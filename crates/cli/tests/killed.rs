//! The program is stopped, or killed as by a power cut, at any moment; meanwhile someone works on both sides.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

mod world;

use std::process::Stdio;
use std::time::{Duration, Instant};
use world::World;
use world::fleet::Device;
use world::user::{Random, User};

const NONE: [&str; 0] = [];

/// A seed of one's own can be given: BIFOLD_SEED. Times differ from run to run all the same.
fn seed() -> u64 {
    std::env::var("BIFOLD_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64)
}

/// Someone works on both sides while the program is killed and started so many times.
fn killed_while_someone_works(kills: usize) {
    let world = World::new();
    let seed = seed();
    eprintln!("BIFOLD_SEED={seed}");
    let mut user = User::new(&world, seed);
    for _ in 0..100 {
        user.act();
    }
    for _ in 0..kills {
        let mut command = world.command();
        command.args([
            "sync",
            "left",
            "right",
            "--home",
            "home",
            "--watch",
            "--json",
            "--allow-mass-change",
        ]);
        let mut program = command.stdout(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_millis(50 + user.random.below(600) as u64);
        while Instant::now() < until {
            user.act();
            std::thread::sleep(Duration::from_millis(user.random.below(12) as u64));
        }
        program.kill().unwrap();
        let status = program.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself: {status}");
        for _ in 0..user.random.below(10) {
            user.act();
        }
    }
    // What is in conflict is decided; then all is equal.
    for _ in 0..3 {
        world.json(["--allow-mass-change", "--prefer", "newest"]);
    }
    let (value, code) = world.json(["--allow-mass-change"]);
    let settled_by_hand = value["conflicts"]
        .as_array()
        .unwrap()
        .iter()
        .all(|c| c["kind"] == "name" || c["kind"] == "cycle");
    assert!(code == 0 || settled_by_hand, "{value:#}");
    assert_eq!(
        (&value["problems"], &value["held"]),
        (&serde_json::json!([]), &serde_json::json!([])),
        "{value:#}"
    );
    world.assert_equal();
    let lost = user.lost();
    assert!(lost.is_empty(), "lost of {}: {lost:#?}", user.contents());
    assert_eq!(user.strange(), [""; 0], "this was never written");
    let (value, _) = world.json(NONE);
    assert_eq!(value["applied"], serde_json::json!({ "left": 0, "right": 0 }), "{value:#}");
}

#[test]
fn killed_six_times_while_someone_works() {
    killed_while_someone_works(6);
}

/// Shows, 4 of the issue: `cargo test -p bifold --test killed -- --ignored`. Half a minute.
#[test]
#[ignore = "takes half a minute"]
fn killed_fifty_times_while_someone_works() {
    killed_while_someone_works(50);
}

/// How often the daemons are killed: BIFOLD_KILLS, for a long run.
fn kills() -> usize {
    std::env::var("BIFOLD_KILLS").ok().and_then(|s| s.parse().ok()).unwrap_or(5)
}

/// Decides all that is left to a person, until two devices show the same.
fn decide_all(world: &World, devices: &[Device<'_>; 2]) {
    let end = Instant::now() + world::PATIENCE;
    while world.tree("left") != world.tree("right") || devices.iter().any(|d| !is_quiet(d)) {
        if Instant::now() > end {
            let told = devices.each_ref().map(|d| d.folder());
            eprintln!("{told:#?}");
            world.assert_equal();
            panic!("they are not done");
        }
        for device in devices {
            if device.folder()["held"] != serde_json::json!([]) {
                device.try_ask(&["allow", "team"]);
            }
        }
        // (Some need no decision, and take none: names.)
        for conflict in devices[0].json(&["conflicts"]).as_array().unwrap() {
            devices[0].try_ask(&["resolve", "team", conflict["path"].as_str().unwrap(), "--pick", "mine"]);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether a device has nothing to do.
fn is_quiet(device: &Device<'_>) -> bool {
    device.try_ask(&["status", "--wait", "1"]).code != Some(2) && device.folder()["held"] == serde_json::json!([])
}

/// Two daemons, one of them or both killed at any moment and started again, while someone works in both folders.
#[test]
fn daemons_killed_while_someone_works() {
    let world = World::new();
    let seed = seed();
    eprintln!("BIFOLD_SEED={seed}");
    let mut devices = ["left", "right"].map(|name| Device::new(&world, name));
    devices[0].add();
    devices[1].join(&devices[0].ticket(&[]));
    let mut user = User::new(&world, seed);
    for _ in 0..60 {
        user.act();
    }
    let mut crashes = 0;
    for _ in 0..kills() {
        let until = Instant::now() + Duration::from_millis(20 + user.random.below(500) as u64);
        while Instant::now() < until {
            user.act();
            std::thread::sleep(Duration::from_millis(user.random.below(20) as u64));
        }
        let which = match user.random.below(4) {
            0 => 0..2,
            1 => 0..1,
            _ => 1..2,
        };
        for device in &mut devices[which.clone()] {
            device.kill();
            crashes += 1;
        }
        for _ in 0..user.random.below(10) {
            user.act();
        }
        for device in &mut devices[which] {
            device.start();
        }
    }
    decide_all(&world, &devices);
    println!("counted: {} operations, {crashes} crashes", user.acts);
    let lost = user.lost();
    assert!(lost.is_empty(), "lost of {}: {lost:#?}", user.contents());
    assert_eq!(user.strange(), [""; 0], "this was never written");
}

#[test]
fn someone_works_while_it_watches() {
    let world = World::new();
    let seed = seed();
    eprintln!("BIFOLD_SEED={seed}");
    let mut user = User::new(&world, seed);
    let watching = world.watch_well(["--prefer", "newest", "--allow-mass-change"]);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        user.act();
        std::thread::sleep(Duration::from_millis(user.random.below(10) as u64));
    }
    let end = Instant::now() + world::PATIENCE;
    while world.tree("left") != world.tree("right") {
        if Instant::now() > end {
            world.assert_equal();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, events) = watching.stop();
    assert_eq!(events.last().unwrap()["problems"], serde_json::json!([]));
    let lost = user.lost();
    assert!(lost.is_empty(), "lost of {}: {lost:#?}", user.contents());
    assert_eq!(user.strange(), [""; 0], "this was never written");
    world.json(["--prefer", "newest"]);
    world.assert_equal();
}

#[test]
fn killed_at_the_first_sync() {
    let world = World::new();
    let mut random = Random::new(seed());
    for i in 0..1500 {
        world.put(format!("left/d{}/{i}", i % 30), vec![b'x'; i * 10]);
        world.put(format!("right/e{}/{i}", i % 30), format!("{i}"));
    }
    let program = |signal: i32, wait_ms: u64| {
        let mut command = world.command();
        let mut child = command
            .args(["sync", "left", "right", "--home", "home", "--json"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        // SAFETY: our own child, not waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
        world::wait(&mut child)
    };
    for _ in 0..8 {
        program(libc::SIGKILL, 10 + random.below(150) as u64);
    }
    world.sync_well(NONE);
    assert_eq!(world.tree("left").len(), 3060);
    assert_eq!(world.sync_well(NONE)["applied"], serde_json::json!({ "left": 0, "right": 0 }));
}

#[test]
fn stopped_at_a_safe_point() {
    for (signal, json) in [(libc::SIGTERM, true), (libc::SIGINT, false), (libc::SIGHUP, true)] {
        let world = World::new();
        for i in 0..3000 {
            world.put(format!("left/d{}/{i}", i % 30), vec![i as u8; 20_000]);
        }
        let mut command = world.command();
        command
            .args(["sync", "left", "right", "--home", "home"])
            .args(json.then_some("--json"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let staged = || std::fs::read_dir(world.at("right/.bifold/stage")).is_ok_and(|d| d.count() > 10);
        world::until("work", staged);
        // SAFETY: our own child, not waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
        let output = child.wait_with_output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        if output.status.code() == Some(0) {
            world::skip("it was too fast");
            continue;
        }
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(1), ""),
            "{out}"
        );
        if json {
            let value: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(
                (&value["in_sync"], &value["problems"]),
                (&serde_json::json!(false), &serde_json::json!([])),
                "{value:#}"
            );
        } else {
            assert!(out.lines().last().unwrap().starts_with("Stopped before the end"), "{out}");
        }
        let there = world.tree("right");
        let left = world.tree("left");
        assert!(
            there.iter().all(|(path, item)| left.get(path) == Some(item)),
            "whole files only"
        );
        world.sync_well(NONE);
    }
}

#[test]
fn stopped_while_it_reads() {
    let world = World::new();
    for i in 0..2000 {
        world.put(format!("left/{i}"), vec![i as u8; 50_000]);
    }
    let mut command = world.command();
    let child = command
        .args(["sync", "left", "right", "--home", "home", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    world::until("a beginning", || world.exists("left/.bifold/stage"));
    // SAFETY: our own child, not waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let output = child.wait_with_output().unwrap();
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        // So early that nothing was begun: the system ended it.
        assert_eq!(output.status.code(), None);
        return world.sync_well(NONE).as_null().unwrap_or(());
    };
    assert!(output.status.code() == Some(0) || value["in_sync"] == false, "{value:#}");
    assert_eq!(value["problems"], serde_json::json!([]), "{value:#}");
    world.sync_well(NONE);
    assert_eq!(world.tree("right").len(), 2000);
}
