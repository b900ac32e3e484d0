//! What was before: the log, older versions, sides of conflicts, patterns; asked of real daemons.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use world::fleet::{Device, assert_same};
use world::{World, until};

#[test]
fn what_happened_is_told_and_older_versions_come_back() {
    let world = World::new();
    let (a, b) = (Device::new(&world, "anna"), Device::new(&world, "ben"));
    a.put("plan", "one");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    b.put("plan", "two");
    until("ben's edit", || a.text("plan") == "two");
    b.put("dir/new", "new");
    assert_same(&[&a, &b]);
    world.mv("ben/dir/new", "ben/dir/newer");
    assert_same(&[&a, &b]);
    world.rm("anna/plan");
    assert_same(&[&a, &b]);

    let log = a.json(&["log", "team"]);
    let told: Vec<(String, String, String)> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            let word = |name: &str| e[name].as_str().unwrap().to_owned();
            (word("by"), word("what"), word("path"))
        })
        .collect();
    let entry = |by: &str, what: &str, path: &str| (by.to_owned(), what.to_owned(), path.to_owned());
    assert_eq!(
        told,
        [
            entry("anna", "deleted", "plan"),
            entry("ben", "moved", "dir/newer"),
            entry("ben", "added", "dir/new"),
            entry("ben", "edited", "plan"),
            entry("anna", "added", "plan"),
        ]
    );
    assert_eq!(log[1]["from"], "dir/new");
    let found = a.json(&["log", "team", "DIR", "--limit", "1"]);
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(b.json(&["log", "team", "plan"])[0]["by"], "anna");

    // What was replaced on one device lies there, what was deleted on the other.
    let versions = a.json(&["versions", "team", "plan"]);
    assert_eq!(versions.as_array().unwrap().len(), 1, "{versions:#}");
    assert_eq!(versions[0]["reason"], "replaced");
    let id = versions[0]["id"].as_str().unwrap();
    assert_eq!(a.ask(&["cat", "team", "plan", "--side", id]).trim(), "one");
    assert_eq!(b.json(&["versions", "team", "plan"])[0]["reason"], "deleted");
    b.ask(&["restore", "team", "plan"]);
    until("what was deleted", || world.exists("anna/plan") && a.text("plan") == "two");
    a.ask(&["restore", "team", "plan", id]);
    until("the first version", || b.text("plan") == "one");
    assert_same(&[&a, &b]);
    // What stood there was kept.
    let versions = a.json(&["versions", "team", "plan"]);
    assert!(
        versions
            .as_array()
            .unwrap()
            .iter()
            .any(|v| v["reason"] == "replaced" && v["id"] != id)
    );
    let said = a.refused(&["restore", "team", "plan", "nonsense"]);
    assert!(said.contains("no version") && said.contains("bifold versions"), "{said}");
    assert!(a.refused(&["restore", "team", "dir/newer"]).contains("no older version"));
}

#[test]
fn sides_are_looked_at_before_one_is_picked() {
    let world = World::new();
    let (a, b) = (Device::new(&world, "anna"), Device::new(&world, "ben"));
    a.put("plan", "one\n");
    a.put("photo", [0, 159, 146, 150]);
    a.put("large", "of both\n");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    b.ask(&["pause"]);
    a.put("plan", "one\nby anna\n");
    b.put("plan", "one\nby ben\n");
    a.put("photo", [1, 159, 146, 150]);
    b.put("photo", [2, 159, 146, 150]);
    a.put("large", "by anna\n".repeat(2 << 20));
    b.put("large", "by ben\n".repeat(2 << 20));
    a.settle();
    b.ask(&["resume"]);
    until("the conflicts", || a.folder()["conflicts"] == 3);
    let side = |of: &str| a.ask(&["cat", "team", "plan", "--side", of]);
    assert_eq!(side("mine"), "one\nby anna\n");
    assert_eq!(side("theirs"), "one\nby ben\n");
    assert_eq!(side("ben"), "one\nby ben\n");
    // Both wrote over what was there.
    assert!(a.refused(&["cat", "team", "plan", "--side", "base"]).contains("kept nowhere"));
    let diff = a.try_ask(&["diff", "team", "plan"]);
    assert!(diff.out.contains("-by anna") && diff.out.contains("+by ben"), "{diff:?}");
    assert_eq!(diff.code, Some(1));
    let run = a.try_ask(&["cat", "team", "photo", "--side", "theirs"]);
    assert!(
        run.err.contains("no text") && run.out.is_empty() && run.code == Some(1),
        "{run:?}"
    );
    let json = a.json(&["cat", "team", "photo", "--side", "theirs"]);
    assert_eq!((&json["kind"], &json["base64"]), (&"binary".into(), &"Ap+Slg==".into()));
    // What is too large is said to be so.
    assert_eq!(a.json(&["diff", "team", "large"])["left"], "too_large");
    assert!(a.try_ask(&["diff", "team", "large"]).out.contains("too large"));
    let run = a.try_ask(&["cat", "team", "large", "--side", "theirs"]);
    assert!(run.err.contains("too large") && run.out.is_empty(), "{run:?}");
    // A side that lies on a device that is away.
    let mut b = b;
    b.kill();
    until("ben is away", || a.folder()["devices"][0]["connection"] == "none");
    let said = a.refused(&["cat", "team", "plan", "--side", "theirs"]);
    assert!(said.contains("not connected"), "{said}");
}

#[test]
fn patterns_are_tried_before_they_are_taken() {
    let world = World::new();
    let a = Device::new(&world, "anna");
    a.put("a.log", "");
    a.put("build/out", "");
    a.put("src/main", "");
    a.put(".bifoldignore", "*.log\n");
    a.add();
    assert_eq!(a.ask(&["ignored", "team"]).trim(), "a.log");
    std::fs::write(world.at("patterns"), "build/\n*.log\n").unwrap();
    let path = world.at("patterns");
    let tried = a.json(&["ignored", "team", "--patterns", path.to_str().unwrap()]);
    assert_eq!(tried["count"], 2);
    assert_eq!(tried["matched"], serde_json::json!(["a.log", "build/"]));
    assert_eq!(a.text(".bifoldignore"), "*.log\n");
    std::fs::write(&path, "[z-a]\n").unwrap();
    let tried = a.json(&["ignored", "team", "--patterns", path.to_str().unwrap()]);
    assert_eq!(tried["bad"], serde_json::json!(["[z-a]"]));
}

#[test]
fn what_a_person_replaced_is_kept_and_found_by_its_bytes() {
    let world = World::new();
    let mut a = Device::new(&world, "anna");
    let patterns = "*.log\n";
    a.put(".bifoldignore", patterns);
    a.put("plan", "one");
    a.add();
    a.settle();
    let client = bifold_control::client::Client::new(&a.home());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set = |text: &str| {
        let set = serde_json::json!({ "folder": "team", "text": text });
        let done = runtime.block_on(client.post::<serde_json::Value>("/v1/ignore/set", &set));
        done.unwrap();
    };
    set("*.tmp\n");
    assert_eq!(a.text(".bifoldignore"), "*.tmp\n");
    let versions = a.json(&["versions", "team", ".bifoldignore"]);
    let replaced: Vec<&str> = versions
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["reason"] == "replaced")
        .map(|v| v["id"].as_str().unwrap())
        .collect();
    assert_eq!(replaced.len(), 1, "{versions:#}");
    assert_eq!(a.ask(&["cat", "team", ".bifoldignore", "--side", replaced[0]]), patterns);
    a.ask(&["restore", "team", ".bifoldignore", replaced[0]]);
    assert_eq!(a.text(".bifoldignore"), patterns);
    a.stop();
    let folders = std::fs::read_dir(a.home().join("folders")).unwrap();
    let index = folders.last().unwrap().unwrap().path().join("index.db");
    let store = bifold_store::Store::open(&index).unwrap();
    for text in [patterns, "*.tmp\n"] {
        let content = bifold_chunk::hash_bytes(text.as_bytes()).unwrap().content;
        let found = store.history(content).unwrap();
        assert_eq!(found.len(), 1, "{text:?}");
        assert_eq!((&*found[0].path, found[0].size), (".bifoldignore", text.len() as u64));
    }
}

/// A program may go on writing to what it had open, after another version took its place. What it wrote is found, and shown.
#[test]
#[cfg(unix)]
fn what_is_written_to_a_file_after_it_was_replaced_comes_out_of_the_history() {
    let world = World::new();
    let (a, mut b) = (Device::new(&world, "anna"), Device::new(&world, "ben"));
    a.put("journal", "one");
    a.put("quiet", "one");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    let open = |path: &str| std::fs::File::options().append(true).open(world.at(path)).unwrap();
    let (mut journal, _quiet) = (open("ben/journal"), open("ben/quiet"));
    a.put("journal", "two");
    a.put("quiet", "two");
    until("anna's edits", || b.text("journal") == "two" && b.text("quiet") == "two");
    std::io::Write::write_all(&mut journal, b", and more").unwrap();
    assert_same(&[&a, &b]);
    // (It looks when it starts, and some times a day.)
    b.kill();
    b.start();
    for device in [&a, &b] {
        until("what was written", || world.exists(format!("{}/journal (kept)", device.name)));
        assert_eq!(device.text("journal (kept)"), "one, and more");
        assert_eq!(device.text("journal"), "two");
    }
    assert_same(&[&a, &b]);
    assert!(!world.exists("ben/quiet (kept)"));
}
