//! What a run says: one JSON object of a fixed shape, an exit code, and a line for people.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use serde_json::{Value, json};
use world::World;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The fields that every result has.
fn has_shape(value: &Value) {
    assert!(value["in_sync"].is_boolean(), "{value:#}");
    for side in ["left", "right"] {
        assert!(value["applied"][side].is_u64(), "{value:#}");
    }
    for what in ["copied", "reused"] {
        assert!(value["bytes"][what].is_u64(), "{value:#}");
    }
    for list in ["conflicts", "problems", "held"] {
        assert!(value[list].is_array(), "{list}: {value:#}");
    }
    for problem in value["problems"].as_array().unwrap() {
        for word in ["path", "kind", "message"] {
            assert!(problem[word].is_string(), "{value:#}");
        }
    }
    for conflict in value["conflicts"].as_array().unwrap() {
        assert_eq!(keys(conflict), ["base", "kind", "path", "sides"]);
        let kinds = ["content", "deleted", "renamed", "name", "cycle", "orphan"];
        assert!(kinds.contains(&conflict["kind"].as_str().unwrap()), "{value:#}");
    }
}

#[test]
fn a_union_is_in_sync() {
    let world = World::new();
    world.put("left/a.txt", "one");
    world.put("left/both.txt", "the same");
    world.put("right/both.txt", "the same");
    world.put("right/dir/b.txt", "three");
    let (value, code) = world.json::<&str>([]);
    has_shape(&value);
    assert_eq!(code, 0);
    assert_eq!(value["in_sync"], true);
    assert_eq!(value["applied"], json!({ "left": 2, "right": 1 }));
    assert_eq!(value["bytes"], json!({ "copied": 8, "reused": 0 }));
    assert_eq!(value["conflicts"], json!([]));
    assert_eq!(value["problems"], json!([]));
    assert_eq!(value["held"], json!([]));
    world.assert_equal();

    let (value, code) = world.json::<&str>([]);
    assert_eq!(
        (code, &value["applied"], &value["bytes"]["copied"]),
        (0, &json!({ "left": 0, "right": 0 }), &json!(0))
    );
}

#[test]
fn a_conflict_is_listed_with_all_there_is_to_know() {
    let world = World::new();
    world.put("left/doc.txt", "one");
    world.sync_well::<&str>([]);
    world.put("left/doc.txt", "from the left");
    world.put("right/doc.txt", "from right");
    world.set_time("left/doc.txt", 1_600_000_000);
    world.set_time("right/doc.txt", 1_500_000_000);
    let (value, code) = world.json::<&str>([]);
    has_shape(&value);
    assert_eq!((code, &value["in_sync"]), (1, &json!(false)));
    let id = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    let mut conflicts = value["conflicts"].clone();
    conflicts[0]["sides"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(|s| s["replica"].to_string());
    assert_eq!(
        conflicts,
        json!([{
            "path": "doc.txt",
            "kind": "content",
            "base": { "content": id("one"), "size": 3 },
            "sides": [
                { "replica": "left", "size": 13, "modified": "2020-09-13T12:26:40Z", "content": id("from the left") },
                { "replica": "right", "size": 10, "modified": "2017-07-14T02:40:00Z", "content": id("from right") },
            ],
        }])
    );
    assert_eq!(
        (world.text("left/doc.txt").as_str(), world.text("right/doc.txt").as_str()),
        ("from the left", "from right")
    );
    // It stays until someone decides.
    let (again, code) = world.json::<&str>([]);
    assert_eq!((code, &again["conflicts"][0]["path"]), (1, &json!("doc.txt")));
}

#[test]
fn an_edit_of_what_was_deleted_is_listed() {
    let world = World::new();
    world.put("left/doc.txt", "one");
    world.sync_well::<&str>([]);
    world.rm("left/doc.txt");
    world.put("right/doc.txt", "edited");
    let (value, code) = world.json::<&str>([]);
    has_shape(&value);
    assert_eq!((code, world.text("left/doc.txt").as_str()), (1, "edited"));
    let conflict = &value["conflicts"][0];
    assert_eq!((&conflict["path"], &conflict["kind"]), (&json!("doc.txt"), &json!("deleted")));
    let sides = conflict["sides"].as_array().unwrap();
    assert_eq!(sides.len(), 2, "{value:#}");
    assert!(
        sides.iter().any(|s| s["replica"] == "left" && s["content"].is_null()),
        "{value:#}"
    );
    assert!(sides.iter().any(|s| s["replica"] == "right" && s["size"] == 6), "{value:#}");
}

#[test]
fn first_contact_with_other_bytes_has_no_base() {
    let world = World::new();
    world.put("left/doc.txt", "from the left");
    world.put("right/doc.txt", "from right");
    let (value, code) = world.json::<&str>([]);
    assert_eq!((code, &value["conflicts"][0]["base"]), (1, &Value::Null));
}

#[cfg(unix)]
#[test]
fn what_is_skipped_is_a_problem() {
    let world = World::new();
    world.put("left/a", "one");
    let _socket = std::os::unix::net::UnixListener::bind(world.at("left/socket")).unwrap();
    let (value, code) = world.json::<&str>([]);
    has_shape(&value);
    assert_eq!((code, &value["in_sync"]), (1, &json!(false)));
    assert_eq!(
        (&value["problems"][0]["path"], &value["problems"][0]["kind"]),
        (&json!("socket"), &json!("special"))
    );
    assert_eq!(world.text("right/a"), "one");
}

#[test]
fn nothing_but_the_object_is_on_standard_output() {
    let world = World::new();
    for i in 0..100 {
        world.put(format!("left/{i}"), vec![b'x'; i * 1000]);
    }
    let run = world.sync(["--json"]);
    assert_eq!((run.out.lines().count(), run.err.as_str()), (1, ""), "{run:?}");
    assert!(run.out.ends_with('\n'));
}

#[cfg(unix)]
#[test]
fn nobody_needs_to_read_what_it_says() {
    use std::process::Stdio;
    for args in [&["--json"][..], &[], &["--dry-run"]] {
        let world = World::new();
        for i in 0..100 {
            world.put(format!("left/{i}"), "x");
        }
        let mut command = world.command();
        command.args(["sync", "left", "right", "--home", "home"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = child.stderr.take().unwrap();
        let status = world::wait(&mut child);
        let mut said = String::new();
        std::io::Read::read_to_string(&mut err, &mut said).unwrap();
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        if !args.contains(&"--dry-run") {
            assert_eq!(status.code(), Some(0), "{args:?}: {said}");
            world.assert_equal();
        }
    }
}

/// The line for people at the end.
fn last_line(run: &world::Run) -> &str {
    run.out.lines().last().unwrap_or_default()
}

#[test]
fn people_read_one_line_at_the_end() {
    let world = World::new();
    world.put("left/a.txt", "one");
    let run = world.sync::<&str>([]);
    assert!(
        run.out.contains("a.txt") && last_line(&run).starts_with("In sync: 1 change on the right"),
        "{run:?}"
    );
    let run = world.sync::<&str>([]);
    assert!(
        run.out.lines().count() == 1 && last_line(&run).starts_with("In sync: nothing to do"),
        "{run:?}"
    );
    world.put("left/a.txt", "two!");
    world.put("right/a.txt", "three");
    let run = world.sync::<&str>([]);
    assert!(
        run.code == Some(1) && last_line(&run).starts_with("1 conflict to decide"),
        "{run:?}"
    );
    assert!(
        run.out.contains("bifold sync left right --home home --resolve a.txt=left"),
        "the command as it is to be typed: {run:?}"
    );
}

#[test]
fn the_command_that_decides_can_be_typed_as_it_stands() {
    let world = World::new();
    let name = "it's a = \"name\" with $(things).txt";
    world.put(format!("left/{name}"), "one");
    world.put(format!("right/{name}"), "three");
    let run = world.sync::<&str>([]);
    let line = run
        .out
        .lines()
        .find_map(|l| l.trim().strip_prefix("decide: "))
        .unwrap_or_else(|| panic!("{run:?}"));
    let (line, others) = line.split_once("   ").unwrap();
    assert_eq!(others, "(or right, both)");
    let mut shell = world.command_of("sh");
    shell.arg("-c").arg(line.replacen("bifold", env!("CARGO_BIN_EXE_bifold"), 1));
    if cfg!(unix) {
        let run = world::run(&mut shell);
        assert_eq!(run.code, Some(0), "{line}: {run:?}");
        assert_eq!(world.text(format!("right/{name}")), "one");
    }
}

#[test]
fn a_long_list_is_cut() {
    let world = World::new();
    for i in 0..500 {
        world.put(format!("left/{i:03}"), "x");
    }
    let run = world.sync::<&str>([]);
    assert!(run.out.lines().count() < 50, "{}", run.out);
    assert!(run.out.contains("470 more"), "{}", run.out);
}

#[test]
fn names_cannot_talk_to_the_terminal() {
    let world = World::new();
    let name = "a\u{1b}[31m\r\nb\u{7}\u{202e}txt\u{2066}";
    world.put(format!("left/{name}"), "one");
    world.put(format!("right/{name}"), "two");
    world.put("left/x\u{1b}]0;title\u{7}", "new");
    let run = world.sync::<&str>([]);
    assert!(
        !run.out.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}', '\u{2066}']),
        "{:?}",
        run.out
    );
}
