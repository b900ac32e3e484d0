//! Several devices on hosts of their own: network namespaces, made and removed here. Not tried where this user may not make any.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use std::path::Path;
use std::time::Duration;
use world::fleet::{Device, assert_same};
use world::hosts::Hosts;
use world::{World, until};

fn random_bytes(mut seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(seed ^ seed >> 29).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

#[test]
fn three_hosts_one_of_them_cut_off_for_a_while() {
    let Some(hosts) = Hosts::new(3) else { return };
    let world = World::new();
    let device = |name, i| Device::on(&world, name, &hosts.name(i), &hosts.address(i));
    let (a, b, c) = (device("anna", 1), device("ben", 2), device("cleo", 3));
    a.put("from anna", "1");
    a.add();
    b.join(&a.ticket(&[]));
    c.join(&a.ticket(&[]));
    c.sees("ben", true);
    assert_same(&[&a, &b, &c]);
    for i in 0..100 {
        [&a, &b, &c][i % 3].put(&format!("dir{}/{i}", i % 7), format!("{i}"));
    }
    assert_same(&[&a, &b, &c]);
    hosts.cable(3, false);
    a.put("from anna", "2");
    c.put("from cleo", "while alone");
    c.put("dir1/1", "edited while alone");
    b.put("dir2/2", "edited by ben");
    world.mv("ben/dir3", "ben/moved");
    c.put("dir3/new", "in a directory that is moved meanwhile");
    b.settle();
    b.gets("from anna", "2");
    a.sees("cleo", false);
    hosts.cable(3, true);
    a.sees("cleo", true);
    c.sees("ben", true);
    assert_same(&[&a, &b, &c]);
    assert_eq!(c.text("from anna"), "2");
    assert_eq!(a.text("dir1/1"), "edited while alone");
    assert_eq!(b.text("moved/new"), "in a directory that is moved meanwhile");
    let devices = a.folder()["devices"].clone();
    assert!(
        devices.as_array().unwrap().iter().all(|d| d["connection"] == "lan"),
        "{devices:#}"
    );
}

#[test]
fn only_what_lacks_goes_over_the_wire() {
    let Some(hosts) = Hosts::new(2) else { return };
    let world = World::new();
    let device = |name, i| Device::on(&world, name, &hosts.name(i), &hosts.address(i));
    let (a, mut b) = (device("anna", 1), device("ben", 2));
    // (TEST_MIB=1024 for a large file; in each run a smaller one must do.)
    let mib = std::env::var("TEST_MIB").ok().and_then(|mib| mib.parse().ok());
    let size = mib.unwrap_or(64_usize) << 20;
    let mut bytes = random_bytes(1, size);
    a.put("large", &bytes);
    for i in 0..200 {
        a.put(&format!("many/{i}"), random_bytes(i, 4000));
    }
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    let went = |what: &dyn Fn()| {
        let before = hosts.received(2) + hosts.received(1);
        what();
        assert_same(&[&a, &b]);
        hosts.received(2) + hosts.received(1) - before
    };
    let renamed = went(&|| world.mv("anna/many", "anna/renamed"));
    assert!(renamed < 60_000, "a renamed directory of 200 files: {renamed} bytes");
    let copied = went(&|| a.put("copy", &bytes));
    assert!(copied < 300_000, "a copy: {copied} bytes");
    bytes.insert(0, 7);
    let inserted = went(&|| a.put("large", &bytes));
    assert!(inserted < 700_000, "one byte inserted: {inserted} bytes");
    // Killed in the middle, either of them: what came stays.
    let larger = random_bytes(2, size);
    b.ask(&["limit", "--down", "16M"]);
    let before = hosts.received(2);
    a.put("larger", &larger);
    until("a third of it", || hosts.received(2) - before > size as u64 / 3);
    b.kill();
    b.start();
    b.ask(&["limit", "--down", "16M"]);
    until("two thirds of it", || hosts.received(2) - before > size as u64 * 2 / 3);
    let mut a = a;
    a.kill();
    a.start();
    b.ask(&["limit", "--down", "0"]);
    until("the whole", || world.exists("ben/larger"));
    let all = hosts.received(2) - before;
    assert_same(&[&a, &b]);
    assert!(all < size as u64 * 14 / 10, "{all} bytes for {size}");
}

#[test]
fn who_is_not_invited_learns_nothing() {
    let Some(hosts) = Hosts::new(2) else { return };
    let world = World::new();
    let device = |name, i| Device::on(&world, name, &hosts.name(i), &hosts.address(i));
    let (a, stranger) = (device("anna", 1), device("stranger", 2));
    a.put("secret plan", "secret words");
    a.add();
    let ticket = a.ticket(&["--expires", "1s"]);
    std::thread::sleep(Duration::from_millis(1200));
    let path = world.at("stranger");
    let said = stranger.refused(&["join", &ticket, path.to_str().unwrap()]);
    assert!(said.contains("expired") && !said.contains("team"), "{said}");
    assert_eq!(stranger.json(&["devices"]).as_array().unwrap().len(), 1);
    assert_eq!(a.json(&["devices"]).as_array().unwrap().len(), 1);
    assert!(!stranger.log().contains("team") && !stranger.log().contains("secret"));
}

/// Not a test: a relay, for the test below, which starts it on a host of its own.
#[test]
#[ignore = "a process of another test"]
fn relay_process() {
    let (Ok(address), Some(sent)) = (std::env::var("TEST_RELAY"), std::env::var_os("TEST_RELAY_SENT")) else {
        return;
    };
    let ca = std::env::var_os("TEST_RELAY_CA");
    bifold_testrelay::run(address.parse().unwrap(), sent.as_ref(), ca.as_ref().map(Path::new));
}

/// Ends with the test.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn no_nft() -> bool {
    let nft = std::process::Command::new("nft").arg("--version").output();
    let none = !nft.is_ok_and(|done| done.status.success());
    if none {
        eprintln!("no nft here: not tried");
    }
    none
}

/// Anna on host 1 and Ben on host 2, each behind a router that translates addresses and lets nothing in unasked, and a relay on host 3;
/// one that tells devices by which address they are seen, if that is said.
fn behind_routers<'a>(hosts: &mut Hosts, world: &'a World, tells: bool) -> (Process, [Device<'a>; 2]) {
    let relay = format!("{}:3340", hosts.address(3));
    let url = format!("http://{relay}");
    let mut process = std::process::Command::new("ip");
    process
        .args(["netns", "exec", &hosts.name(3)])
        .arg(std::env::current_exe().unwrap());
    process
        .args(["--exact", "relay_process", "--ignored", "--nocapture"])
        .env("TEST_RELAY", &relay)
        .env("TEST_RELAY_SENT", world.at("sent by the relay"));
    let mut args = vec!["--relay".into(), url.clone()];
    let ca = world.at("ca.pem");
    if tells {
        process.env("TEST_RELAY_CA", &ca);
        args.extend(["--relay-ca".into(), ca.to_str().unwrap().to_owned()]);
    }
    let process = Process(
        process
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap(),
    );
    until("the certificate", || !tells || ca.exists());
    let devices = ["anna", "ben"].map(|name| {
        let i = if name == "anna" { 1 } else { 2 };
        let inside = hosts.behind_nat(i);
        let mut device = Device::stopped(world, name);
        device.place(&hosts.name(i), &inside);
        device.args = args.clone();
        device.start();
        until("the relay is known", || device.ask(&["status", "--json"]).contains(&url));
        device
    });
    (process, devices)
}

#[test]
fn two_hosts_behind_routers_find_a_direct_way() {
    let Some(mut hosts) = Hosts::of_the_world(3) else { return };
    if no_nft() {
        return;
    }
    let world = World::new();
    let (_relay, [a, b]) = behind_routers(&mut hosts, &world, true);
    a.put("a document", "words");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    let connection = |device: &Device<'_>| device.folder()["devices"][0]["connection"].clone();
    until("a direct way", || connection(&a) == "direct" && connection(&b) == "direct");
    let before = hosts.received(3);
    b.put("large", random_bytes(5, 8 << 20));
    assert_same(&[&a, &b]);
    let relayed = hosts.received(3) - before;
    assert!(relayed < 1 << 20, "{relayed} bytes went by way of the relay");
}

#[test]
fn two_hosts_behind_routers_meet_at_a_relay() {
    let Some(mut hosts) = Hosts::new(3) else { return };
    if no_nft() {
        return;
    }
    let world = World::new();
    let (relay, [a, b]) = behind_routers(&mut hosts, &world, false);
    hosts.keep_apart(1, 2);
    hosts.keep_apart(2, 1);
    a.put("a document", "words that nobody on the way may read");
    a.add();
    let before = hosts.received(3);
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    b.put("a document", "more words that nobody on the way may read");
    let large = random_bytes(5, 3 << 20);
    b.put("large", &large);
    assert_same(&[&a, &b]);
    assert!(hosts.received(3) - before > 3 << 20, "it goes by way of the relay");
    let connection = a.folder()["devices"][0]["connection"].clone();
    assert_eq!(connection, "relayed");
    drop(relay);
    // It came through here, and nothing of it could be read here.
    let sent = std::fs::read(world.at("sent by the relay")).unwrap();
    assert!(sent.len() > 3 << 20, "{} bytes", sent.len());
    let holds = |part: &[u8]| sent.windows(part.len()).any(|at| at == part);
    assert!(holds(b"HTTP/1.1 101"), "what the relay says itself can be read");
    for secret in [&b"words that nobody"[..], b"a document", &large[1 << 20..][..16]] {
        assert!(!holds(secret), "{}", String::from_utf8_lossy(secret));
    }
}
