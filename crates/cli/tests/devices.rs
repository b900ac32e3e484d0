//! Several devices, each with a real daemon, on the loopback interface.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use serde_json::Value;
use std::time::Duration;
use world::fleet::{Device, assert_same};
use world::{World, until};

/// A device that shares a folder, and one that has joined.
fn pair(world: &World) -> (Device<'_>, Device<'_>) {
    let (a, b) = (Device::new(world, "anna"), Device::new(world, "ben"));
    a.add();
    b.join(&a.ticket(&[]));
    (a, b)
}

#[test]
fn two_devices_keep_a_folder_the_same() {
    let world = World::new();
    let (a, b) = (Device::new(&world, "anna"), Device::new(&world, "ben"));
    a.put("one", "one");
    a.put("dir/two", "two");
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(i) / 7) as u8).collect();
    a.put("large", &large);
    // What is there already is merged in.
    b.put("one", "one");
    b.put("mine", "mine");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    assert_eq!(a.tree().len(), 5);
    b.put("one", "edited");
    a.gets("one", "edited");
    world.mv("anna/dir", "anna/renamed");
    b.gets("renamed/two", "two");
    world.rm("ben/mine");
    until("the deletion", || !world.exists("anna/mine"));
    let mut larger = large.clone();
    larger.splice(1000..1000, [1, 2, 3]);
    a.put("large", &larger);
    assert_same(&[&a, &b]);
    let status = b.folder();
    assert_eq!((&status["state"], &status["name"]), (&"up_to_date".into(), &"team".into()));
    assert_eq!(status["files"], 3);
    assert_eq!(status["bytes"], larger.len() as u64 + 9);
}

#[test]
fn one_ticket_each_joins_the_whole_team() {
    let world = World::new();
    let (a, mut b) = pair(&world);
    let c = Device::new(&world, "cleo");
    a.put("from anna", "a");
    c.join(&a.ticket(&[]));
    // The second and the third have never met.
    c.sees("ben", true);
    b.sees("cleo", true);
    b.put("from ben", "b");
    c.put("from cleo", "c");
    assert_same(&[&a, &b, &c]);
    assert_eq!(c.tree().len(), 3);
    // One is away for a while.
    b.stop();
    a.put("from anna", "a again");
    c.put("new/deep", "c");
    b.put("from ben", "b again");
    b.put("offline", "b");
    b.start();
    b.sees("anna", true);
    b.sees("cleo", true);
    assert_same(&[&a, &b, &c]);
    assert_eq!(a.text("from ben"), "b again");
    assert_eq!(b.text("new/deep"), "c");
    // Without the one who has invited both.
    drop(a);
    b.sees("anna", false);
    b.put("still", "b");
    c.gets("still", "b");
}

#[test]
fn tickets_end() {
    let world = World::new();
    let (a, b) = pair(&world);
    let c = Device::new(&world, "cleo");
    let path = world.at("cleo");
    let path = path.to_str().unwrap();
    assert!(c.refused(&["join", "nonsense!", path]).contains("not a ticket"));
    let ticket = a.ticket(&[]);
    let mut wrong = ticket.clone();
    wrong.replace_range(20..21, if &ticket[20..21] == "2" { "3" } else { "2" });
    assert!(c.refused(&["join", &wrong, path]).contains("a mistake"));
    let short = a.ticket(&["--expires", "1s"]);
    std::thread::sleep(Duration::from_millis(1100));
    assert!(c.refused(&["join", &short, path]).contains("expired"));
    // Read aloud, and written down.
    let spoken: Vec<String> = ticket
        .to_uppercase()
        .as_bytes()
        .chunks(4)
        .map(|c| String::from_utf8_lossy(c).into_owned())
        .collect();
    c.join(&spoken.join("-"));
    let d = Device::new(&world, "dora");
    let path = world.at("dora");
    let path = path.to_str().unwrap();
    assert!(d.refused(&["join", &ticket, path]).contains("used up"));
    assert!(a.refused(&["join", &a.ticket(&[]), path]).contains("this very device"));
    // Only owners invite.
    assert!(b.refused(&["invite", "team"]).contains("only an owner"));
    let many = a.ticket(&["--uses", "2"]);
    d.join(&format!("bifold:join/{many}"));
    assert!(!world.exists("dora/.bifold/join"));
    assert_same(&[&a, &b, &c, &d]);
    // Who takes a device out ends all that were given out.
    let open = a.ticket(&["--uses", "3"]);
    a.ask(&["device", "remove", "dora"]);
    let e = Device::new(&world, "emil");
    let path = world.at("emil");
    let said = e.refused(&["join", &open, path.to_str().unwrap()]);
    assert!(said.contains("not known"), "{said}");
}

#[test]
fn a_removed_device_is_refused_by_all() {
    let world = World::new();
    let (a, b) = pair(&world);
    let c = Device::new(&world, "cleo");
    c.join(&a.ticket(&[]));
    a.put("before", "1");
    assert_same(&[&a, &b, &c]);
    assert!(b.refused(&["device", "remove", "cleo"]).contains("only an owner"));
    a.ask(&["device", "remove", "cleo"]);
    until("it is told", || c.folder()["state"] == "halted");
    assert!(c.folder()["why"].as_str().unwrap().contains("taken out"));
    a.put("secret", "not for her");
    c.put("from cleo", "not for them");
    b.gets("secret", "not for her");
    assert_same(&[&a, &b]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!world.exists("cleo/secret") && !world.exists("anna/from cleo") && !world.exists("ben/from cleo"));
    assert_eq!(c.text("before"), "1", "what it had stays");
    let devices = b.folder()["devices"].as_array().unwrap().len();
    assert_eq!(devices, 1);
    // She may come again with a new ticket.
    c.ask(&["remove", "team", "--keep-files"]);
    c.join(&a.ticket(&[]));
    assert_same(&[&a, &b, &c]);
    assert_eq!(a.text("from cleo"), "not for them");
}

/// How many nodes the index of a device that does not run has: what is deleted too, until it is forgotten.
fn nodes(device: &Device<'_>) -> usize {
    let folders = std::fs::read_dir(device.home().join("folders")).unwrap();
    let index = folders.map(|f| f.unwrap().path().join("index.db")).next().unwrap();
    let store = bifold_store::Store::open(&index).unwrap();
    let living = store.all_replicas().unwrap().into_iter().find(|r| r.alive).unwrap();
    let mut replica = bifold_tree::Replica::new(
        living.id,
        std::sync::Arc::new(bifold_tree::ExactNames),
        bifold_tree::Policy::Ask,
    );
    store.load(&mut replica, &|_| None).unwrap();
    replica.node_count()
}

/// Also where a device was taken out, and another one has lost its index: nobody waits for what these had.
#[test]
fn what_all_have_seen_deleted_is_forgotten() {
    let world = World::new();
    let (mut a, mut b) = pair(&world);
    let c = Device::new(&world, "cleo");
    c.join(&a.ticket(&[]));
    for i in 0..1700 {
        a.put(&format!("{}/{i}", if i < 700 { "goes" } else { "stays" }), i.to_string());
    }
    assert_same(&[&a, &b, &c]);
    a.ask(&["device", "remove", "cleo"]);
    until("it is told", || c.folder()["state"] == "halted");
    b.stop();
    for folder in std::fs::read_dir(b.home().join("folders")).unwrap() {
        for part in ["index.db", "index.db-wal", "index.db-shm"] {
            let _ = std::fs::remove_file(folder.as_ref().unwrap().path().join(part));
        }
    }
    b.start();
    b.sees("anna", true);
    assert_same(&[&a, &b]);
    world.rm("ben/goes");
    until("the deletion", || !world.exists("anna/goes"));
    assert_same(&[&a, &b]);
    // (Not at once, and not with each change.)
    std::thread::sleep(Duration::from_millis(1_100));
    a.put("one more", "1");
    b.gets("one more", "1");
    assert_same(&[&a, &b]);
    a.stop();
    b.stop();
    for device in [&a, &b] {
        let nodes = nodes(device);
        // (Up to 500 that are deleted stay until there are more: of 1,703.)
        assert!((1002..=1503).contains(&nodes), "{nodes} nodes");
    }
    // Nothing comes back.
    a.start();
    b.start();
    b.sees("anna", true);
    assert_same(&[&a, &b]);
    assert!(!world.exists("anna/goes") && world.exists("ben/stays/1000"));
}

#[test]
fn a_role_changes_while_the_folder_is_shared() {
    let world = World::new();
    let (a, b) = (Device::new(&world, "anna"), Device::new(&world, "ben"));
    a.put("doc", "one");
    a.add();
    b.join(&a.ticket(&["--role", "reader"]));
    assert_same(&[&a, &b]);
    b.put("new", "by a reader");
    b.settle();
    assert!(b.refused(&["device", "role", "anna", "reader"]).contains("owner"));
    assert!(a.refused(&["device", "role", "anna", "reader"]).contains("no owner"));
    a.ask(&["device", "role", "ben", "editor"]);
    a.gets("new", "by a reader");
    b.put("doc", "by an editor");
    a.gets("doc", "by an editor");
    assert_eq!(b.folder()["role"], "editor");
    a.ask(&["device", "role", "ben", "reader"]);
    until("the role", || b.folder()["role"] == "reader");
    b.put("doc", "by a reader again");
    a.put("other", "by the owner");
    b.gets("other", "by the owner");
    assert_eq!(a.text("doc"), "by an editor");
}

#[test]
fn a_name_that_two_want_is_given_to_one() {
    let world = World::new();
    let (a, mut b) = pair(&world);
    a.put("x", "from x");
    a.put("y", "from y");
    assert_same(&[&a, &b]);
    b.kill();
    world.mv("anna/x", "anna/same.txt");
    a.settle();
    world.mv("ben/y", "ben/same.txt");
    b.start();
    until("the conflict", || a.json(&["conflicts"]).as_array().unwrap().len() == 1);
    let conflict = a.json(&["conflicts"])[0].clone();
    assert_eq!(conflict["kind"], "name");
    assert_eq!(conflict["sides"].as_array().unwrap().len(), 2, "{conflict:#}");
    let shown = a.text("same.txt");
    let (other, wanted) = if shown == "from x" {
        ("ben", "from y")
    } else {
        ("anna", "from x")
    };
    a.ask(&["resolve", "team", conflict["path"].as_str().unwrap(), "--pick", other]);
    until("the other has the name", || a.has("same.txt", wanted));
    assert_same(&[&a, &b]);
    assert_eq!(a.tree().len(), 2);
    assert!(b.json(&["conflicts"]).as_array().unwrap().is_empty());
}

#[test]
fn of_two_conflicts_at_one_path_one_is_decided() {
    let world = World::new();
    let (a, mut b) = pair(&world);
    a.put("doc", "base");
    assert_same(&[&a, &b]);
    b.kill();
    a.put("doc", "anna's");
    world.mv("anna/doc", "anna/by-anna");
    a.settle();
    world.put("ben/doc", "ben's words");
    world.mv("ben/doc", "ben/by-ben");
    b.start();
    until("both conflicts", || a.json(&["conflicts"]).as_array().unwrap().len() == 2);
    let of = |kind: &str| {
        let all = a.json(&["conflicts"]);
        let found = all.as_array().unwrap().iter().find(|c| c["kind"] == kind).cloned();
        found.map(|c| c["path"].as_str().unwrap().to_owned())
    };
    let path = of("renamed").unwrap();
    assert_eq!(of("content"), Some(path.clone()));
    a.ask(&["resolve", "team", &path, "--pick", "mine", "--kind", "renamed"]);
    until("the name is decided", || {
        a.json(&["conflicts"]).as_array().unwrap().len() == 1
    });
    let path = of("content").unwrap();
    assert!(
        a.has("by-anna", "anna's") && b.has("by-anna", "ben's words"),
        "each keeps its own"
    );
    a.ask(&["resolve", "team", &path, "--pick", "theirs", "--kind", "content"]);
    until("the content is decided", || a.has("by-anna", "ben's words"));
    assert_same(&[&a, &b]);
}

#[test]
fn bytes_that_are_nowhere_are_not_waited_for() {
    let world = World::new();
    let (a, b) = pair(&world);
    let mut c = Device::new(&world, "cleo");
    c.join(&a.ticket(&[]));
    a.sees("cleo", true);
    b.sees("cleo", true);
    a.put("dir/old", "old");
    assert_same(&[&a, &b, &c]);
    // Cleo says that there is a file, and its bytes come slowly.
    c.ask(&["limit", "--up", "1000"]);
    let mut seed = 1u64;
    // (Such that they cannot be packed.)
    let next = |_| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    c.put("dir/new", (0..3_000_000).map(next).collect::<Vec<u8>>());
    until("it is known", || a.ask(&["pending", "--json"]).contains("dir/new"));
    until("it is known", || b.ask(&["pending", "--json"]).contains("dir/new"));
    c.kill();
    world.rm("cleo/dir");
    // Anna moves the directory that she does not know to be deleted.
    world.mv("anna/dir", "anna/moved");
    b.gets("moved/old", "old");
    c.start();
    c.ask(&["limit", "--up", "0"]);
    until("they are the same", || {
        let states = [&a, &b, &c].map(|d| d.folder()["state"] == "up_to_date");
        states == [true; 3]
    });
    assert_same(&[&a, &b, &c]);
    assert!(!world.exists("anna/moved/new"));
    assert_eq!(b.text("moved/old"), "old");
}

#[test]
fn what_a_reader_writes_is_its_own() {
    let world = World::new();
    let (a, b) = (Device::new(&world, "anna"), Device::new(&world, "rita"));
    a.put("doc", "one");
    a.put("other", "other");
    a.add();
    b.join(&a.ticket(&["--role", "reader"]));
    assert_same(&[&a, &b]);
    assert_eq!(b.folder()["role"], "reader");
    b.put("doc", "written by a reader");
    b.put("new", "new");
    world.rm("rita/other");
    until("it is told", || b.folder()["problems"].as_array().unwrap().len() == 3);
    assert_eq!(b.folder()["state"], "needs_you");
    assert!(b.folder()["problems"][0]["kind"] == "only_here");
    a.put("more", "more");
    b.gets("more", "more");
    a.settle();
    assert_eq!((a.text("doc"), a.tree().len()), ("one".into(), 3), "others do not get it");
    // The way back.
    let said = b.ask(&["revert", "team"]);
    assert!(said.contains("doc") && said.contains("new"), "{said}");
    assert_same(&[&a, &b]);
    assert_eq!((b.text("doc"), b.text("other")), ("one".into(), "other".into()));
    assert_eq!(b.folder()["state"], "up_to_date", "{:#}", b.folder());
    let kept = world.history("rita");
    assert_eq!(kept, ["new", "written by a reader"]);
    assert!(a.refused(&["revert", "team"]).contains("may write"));
}

#[test]
fn conflicts_are_settled_by_whoever_picks() {
    let world = World::new();
    let (mut a, mut b) = pair(&world);
    let mut c = Device::new(&world, "cleo");
    c.join(&a.ticket(&[]));
    a.put("doc", "one");
    a.put("gone", "one");
    assert_same(&[&a, &b, &c]);
    for device in [&mut a, &mut b, &mut c] {
        device.stop();
    }
    a.put("doc", "anna's");
    b.put("doc", "ben's");
    c.put("doc", "cleo's");
    world.rm("anna/gone");
    b.put("gone", "edited");
    for device in [&mut a, &mut b, &mut c] {
        device.start();
    }
    for device in [&a, &b, &c] {
        until("a conflict of three sides", || {
            let all = device.json(&["conflicts"]);
            let all = all.as_array().unwrap();
            all.len() == 2
                && all
                    .iter()
                    .any(|c| c["path"] == "doc" && c["sides"].as_array().unwrap().len() == 3)
        });
    }
    assert_eq!(
        (a.text("doc"), b.text("doc"), c.text("doc")),
        ("anna's".into(), "ben's".into(), "cleo's".into())
    );
    assert_eq!(a.try_ask(&["conflicts"]).code, Some(1));
    assert!(
        a.refused(&["resolve", "team", "doc", "--pick", "theirs"])
            .contains("several other sides")
    );
    assert!(
        a.refused(&["resolve", "team", "nothing", "--pick", "mine"])
            .contains("no conflict")
    );
    a.ask(&["resolve", "team", "doc", "--pick", "cleo"]);
    a.ask(&["resolve", "team", "gone", "--pick", "theirs"]);
    assert_same(&[&a, &b, &c]);
    assert_eq!((b.text("doc"), b.text("gone")), ("cleo's".into(), "edited".into()));
    assert_eq!(a.try_ask(&["conflicts"]).code, Some(0));
    assert!(
        world.history("anna").contains(&"anna's".to_owned()),
        "{:?}",
        world.history("anna")
    );
}

#[test]
fn a_copied_device_is_noticed() {
    let world = World::new();
    let (a, mut b) = pair(&world);
    a.put("doc", "one");
    assert_same(&[&a, &b]);
    b.stop();
    world::copy_all(&b.home(), &world.at("home-copy"));
    world::copy_all(&world.at("ben"), &world.at("copy"));
    let file = world.at("home-copy/folders");
    for folder in std::fs::read_dir(file).unwrap() {
        let path = folder.unwrap().path().join("folder.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("/ben\"", "/copy\"")).unwrap();
    }
    b.start();
    b.sees("anna", true);
    let copy = Device::new(&world, "copy");
    until("both say so", || {
        [&b, &copy]
            .iter()
            .all(|d| d.json(&["status"])["why"].as_str().is_some_and(|why| why.contains("copy")))
    });
    drop(copy);
    a.put("doc", "two");
    b.gets("doc", "two");
    b.put("from ben", "x");
    a.gets("from ben", "x");
}

#[test]
fn an_index_of_yesterday_takes_nothing_back() {
    let world = World::new();
    let (a, mut b) = pair(&world);
    a.put("doc", "one");
    b.put("from ben", "1");
    assert_same(&[&a, &b]);
    b.stop();
    world::copy_all(&b.home(), &world.at("backup"));
    b.start();
    b.put("from ben", "2");
    b.put("new", "new");
    a.put("doc", "two");
    a.put("also new", "new");
    b.sees("anna", true);
    assert_same(&[&a, &b]);
    // The index is put back, the files are new.
    b.stop();
    world.rm("home-ben");
    world::copy_all(&world.at("backup"), &b.home());
    b.start();
    b.sees("anna", true);
    assert_same(&[&a, &b]);
    assert_eq!(a.tree().len(), 4);
    assert_eq!((a.text("doc"), a.text("from ben")), ("two".into(), "2".into()));
    assert_eq!(a.json(&["conflicts"]).as_array().unwrap().len(), 0);
    b.put("from ben", "3");
    a.gets("from ben", "3");
}

#[test]
fn a_second_daemon_is_refused_and_commands_need_one() {
    let world = World::new();
    let mut a = Device::new(&world, "anna");
    let second = world::run(a.command().args(["daemon", "--relay", "off", "--no-lan"]));
    assert!(
        second.code == Some(2) && second.err.contains("another daemon runs"),
        "{second:?}"
    );
    assert!(a.refused(&["add", "/nowhere/at/all"]).contains("cannot be opened"));
    a.add();
    assert!(
        a.refused(&["add", world.at("anna").to_str().unwrap()])
            .contains("shared already")
    );
    world.mkdir("anna/inner");
    assert!(
        a.refused(&["add", world.at("anna/inner").to_str().unwrap()])
            .contains("lie within each other")
    );
    assert!(a.refused(&["add", a.home().to_str().unwrap()]).contains("own home"));
    assert!(a.refused(&["pending", "nothing"]).contains("There are: team"));
    a.stop();
    assert!(a.refused(&["status"]).contains("no daemon runs"));
}

#[test]
fn who_is_killed_knows_when_it_saw_others() {
    let world = World::new();
    let (mut a, mut b) = pair(&world);
    assert_same(&[&a, &b]);
    let noted = format!("home-anna/folders/{}/folder.json", a.folder()["id"].as_str().unwrap());
    a.stop();
    let mut file: Value = serde_json::from_str(&world.text(&noted)).unwrap();
    const LONG_AGO: u64 = 1_000_000_000_000;
    let devices = file["devices"].as_object_mut().unwrap();
    assert!(!devices.is_empty());
    devices.values_mut().for_each(|d| d["seen_ms"] = LONG_AGO.into());
    world.put(&noted, file.to_string());
    a.start();
    a.sees("ben", true);
    until("it is noted", || {
        let file: Value = serde_json::from_str(&world.text(&noted)).unwrap();
        let mut devices = file["devices"].as_object().unwrap().values();
        devices.any(|d| d["seen_ms"].as_u64() > Some(LONG_AGO))
    });
    a.kill();
    b.stop();
    a.start();
    let seen = a.folder()["devices"][0]["last_seen_ms"].as_u64().unwrap();
    assert!(seen > LONG_AGO, "{seen}");
}

#[test]
fn pausing_removing_and_a_share() {
    let world = World::new();
    let (a, b) = pair(&world);
    a.put("doc", "one");
    world.mkdir("share");
    b.ask(&["host", "team", world.at("share").to_str().unwrap()]);
    until("the share", || world.exists("share/doc"));
    std::fs::write(world.at("share/on the share"), "s").unwrap();
    a.gets("on the share", "s");
    b.ask(&["pause", "team"]);
    assert_eq!(b.folder()["state"], "paused");
    a.put("doc", "two");
    a.sees("ben", false);
    b.put("meanwhile", "m");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(b.text("doc"), "one");
    b.ask(&["resume"]);
    b.gets("doc", "two");
    a.gets("meanwhile", "m");
    assert_same(&[&a, &b]);
    // Taken off one device, with its files, as the other has all.
    b.ask(&["remove", "team"]);
    assert_eq!(b.json(&["folders"]).as_array().unwrap().len(), 0);
    assert_eq!(
        b.tree().keys().filter(|p| !p.starts_with(".bifold")).count(),
        0,
        "{:?}",
        b.tree()
    );
    until("it is off the roster", || {
        a.folder()["devices"].as_array().unwrap().is_empty()
    });
    assert_eq!(a.tree().len(), 3);
    // Nobody else has it now: the files stay, or it stays.
    assert!(a.refused(&["remove", "team"]).contains("not known that another device"));
    a.ask(&["remove", "team", "--keep-files"]);
    assert_eq!(a.text("meanwhile"), "m");
}

#[test]
fn a_deletion_of_almost_all_is_held() {
    let world = World::new();
    let (a, b) = pair(&world);
    for i in 0..60 {
        a.put(&format!("{i}"), format!("{i}"));
    }
    assert_same(&[&a, &b]);
    b.ask(&["pause"]);
    for i in 0..50 {
        world.rm(format!("anna/{i}"));
    }
    a.settle();
    b.ask(&["resume"]);
    until("it is held", || !b.folder()["held"].as_array().unwrap().is_empty());
    assert_eq!(b.folder()["state"], "needs_you");
    assert_eq!(b.tree().len(), 60);
    b.ask(&["allow", "team"]);
    assert_same(&[&a, &b]);
    assert_eq!(b.tree().len(), 10);
}

#[test]
fn a_root_that_is_gone_for_a_while_deletes_nothing() {
    let world = World::new();
    let (a, b) = pair(&world);
    a.put("doc", "one");
    assert_same(&[&a, &b]);
    world.mv("ben", "unmounted");
    a.put("doc", "two");
    until("it is halted", || b.folder()["state"] == "halted");
    assert_eq!(b.folder()["remedy"], Value::Null);
    world.mkdir("ben");
    until("what is there now can be merged", || b.folder()["remedy"] == "rejoin");
    assert_eq!(a.tree().len(), 1);
    std::fs::remove_dir_all(world.at("ben")).unwrap();
    world.mv("unmounted", "ben");
    b.gets("doc", "two");
    assert_same(&[&a, &b]);
}

#[test]
fn what_is_merged_as_new_deletes_nothing() {
    let world = World::new();
    let (a, b) = pair(&world);
    a.put("doc", "one");
    assert_same(&[&a, &b]);
    world.mv("ben", "unmounted");
    world.mkdir("ben");
    b.put("other", "two");
    until("it is halted", || b.folder()["remedy"] == "rejoin");
    b.ask(&["rejoin", "team"]);
    assert_same(&[&a, &b]);
    assert_eq!(a.tree().len(), 2);
    assert_eq!(b.folder()["remedy"], Value::Null);
}

#[test]
fn what_is_paused_for_a_time_goes_on_by_itself() {
    let world = World::new();
    let (a, mut b) = pair(&world);
    b.ask(&["pause", "team", "--for", "1h"]);
    b.kill();
    b.start();
    a.put("doc", "one");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(b.folder()["state"], "paused");
    assert!(b.folder()["paused_until_ms"].is_u64());
    assert!(b.tree().is_empty());
    b.ask(&["pause", "team", "--for", "1s"]);
    b.gets("doc", "one");
    assert_eq!(b.folder()["paused_until_ms"], Value::Null);
}

#[test]
fn a_transfer_goes_on_where_it_was_cut() {
    let world = World::new();
    let (a, mut b) = pair(&world);
    let size = 48 << 20;
    let mut random = 12345u64;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        bytes.extend_from_slice(&random.to_le_bytes());
    }
    b.ask(&["limit", "--down", "12M"]);
    a.put("large", &bytes);
    until("half of it", || {
        let partial = world.at("ben/.bifold/partial");
        let sizes = std::fs::read_dir(partial).into_iter().flatten().flatten();
        sizes.filter_map(|e| e.metadata().ok()).any(|m| m.len() > size as u64 / 2)
    });
    b.kill();
    b.start();
    b.ask(&["limit", "--down", "0"]);
    until("the whole", || world.exists("ben/large"));
    assert_same(&[&a, &b]);
    let again = b.received_from("anna");
    assert!(again < size as u64 * 6 / 10, "{again} bytes came after the cut");
}

#[test]
fn a_large_file_on_its_way_holds_nothing_up() {
    let world = World::new();
    let (a, b) = pair(&world);
    a.put("both", "one");
    assert_same(&[&a, &b]);
    // Both change one file while they are apart.
    b.ask(&["pause"]);
    a.put("both", "anna's");
    b.put("both", "ben's");
    b.ask(&["resume"]);
    until("the conflict", || {
        !b.json(&["conflicts"]).as_array().is_none_or(Vec::is_empty)
    });
    let mut random = 7u64;
    let mut bytes = Vec::new();
    while bytes.len() < 24 << 20 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        bytes.extend_from_slice(&random.to_le_bytes());
    }
    b.ask(&["limit", "--down", "200k"]);
    a.put("large", &bytes);
    until("its beginning", || {
        let partial = std::fs::read_dir(world.at("ben/.bifold/partial"));
        partial
            .into_iter()
            .flatten()
            .flatten()
            .any(|e| e.metadata().is_ok_and(|m| m.len() > 0))
    });
    // What is written on either side gets to the other, and what a person picks is settled.
    b.put("from ben", "now");
    a.gets("from ben", "now");
    a.put("from anna", "now");
    b.gets("from anna", "now");
    b.ask(&["resolve", "team", "both", "--pick", "theirs"]);
    b.gets("both", "anna's");
    assert!(!world.exists("ben/large"), "it came too soon for this to show anything");
    let so_far = b.received_from("anna");
    b.ask(&["limit", "--down", "0"]);
    until("the whole", || world.exists("ben/large"));
    assert_same(&[&a, &b]);
    // It went on all the time.
    let all = b.received_from("anna");
    assert!(
        so_far > 0 && all < bytes.len() as u64 * 11 / 10,
        "{all} bytes for {}",
        bytes.len()
    );
}

#[test]
fn bytes_come_from_all_who_have_them() {
    let world = World::new();
    let (a, b) = pair(&world);
    let size = 32 << 20;
    let mut random = 99u64;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        bytes.extend_from_slice(&random.to_le_bytes());
    }
    a.put("large", &bytes);
    assert_same(&[&a, &b]);
    for device in [&a, &b] {
        device.ask(&["limit", "--up", "8M"]);
    }
    let c = Device::new(&world, "cleo");
    // Both are to be connected before the bytes are asked for.
    c.ask(&["limit", "--down", "1k"]);
    c.join(&a.ticket(&[]));
    c.sees("anna", true);
    c.sees("ben", true);
    c.ask(&["limit", "--down", "0"]);
    until("the whole", || world.exists("cleo/large"));
    assert_same(&[&a, &b, &c]);
    let (from_a, from_b) = (c.received_from("anna"), c.received_from("ben"));
    assert!(from_a > size as u64 / 5 && from_b > size as u64 / 5, "{from_a} and {from_b}");
    assert!(from_a + from_b < size as u64 * 5 / 4, "{from_a} and {from_b}");
}

#[test]
fn the_control_is_as_described() {
    let world = World::new();
    let described = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json")).unwrap_or_default();
    let now = world.bifold(["openapi"]).out;
    assert_eq!(described.trim(), now.trim(), "say: bifold openapi > docs/openapi.json");
    let a = Device::new(&world, "anna");
    a.add();
    for query in ["folders", "devices", "status", "pending", "conflicts", "limit"] {
        assert!(!a.ask(&[query]).is_empty(), "{query}");
        a.json(&[query]);
    }
    a.put("doc", "one");
    a.settle();
    let told = a.json(&["explain", "team", "doc"]);
    assert_eq!((&told["here"], &told["size"]), (&"file".into(), &3.into()));
    assert!(a.ask(&["explain", "team", "nothing"]).contains("Nothing of that name"));
    assert!(world.bifold(["completions", "bash"]).out.contains("bifold"));
    assert!(world.bifold(["man"]).out.contains(".TH"));
}
