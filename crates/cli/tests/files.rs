//! All kinds of names and files.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use world::{Item, World};

const NONE: [&str; 0] = [];

#[test]
fn names_are_just_names() {
    let world = World::new();
    let names = [
        "new\nline",
        "tab\t",
        "emoji 🎉👩‍👩‍👧",
        "\"double\"",
        "'single'",
        "back\\slash",
        "-dash",
        "--json",
        ".dot",
        "...",
        " ",
        " lead",
        "trail ",
        "a:b",
        "CON",
        "nul.txt",
        "dot.",
        "*?<>|",
        "%20",
        "a%b",
        "~",
        "#hash",
        "$HOME",
        "`id`",
        "e\u{301}",
        "\u{e9}",
        "A",
        "a",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{202e}rtl",
        ".bifold2",
        ".bifoldignore2",
        "ß",
        "SS",
        "\u{f77f}private",
        "\u{feff}bom",
    ];
    for (i, name) in names.iter().enumerate() {
        world.put(format!("left/{name}"), format!("{i}"));
        world.put(format!("right/dir {name}/{name}"), format!("{i} too"));
    }
    world.sync_well(NONE);
    assert_eq!(world.tree("left").len(), names.len() * 3);
    for (i, name) in names.iter().enumerate() {
        world.put(format!("right/{name}"), format!("{i} edited"));
        world.mv(format!("left/dir {name}"), format!("left/moved {name}"));
    }
    let value = world.sync_well(["--allow-mass-change"]);
    assert_eq!(world.tree("left").len(), names.len() * 3);
    assert_eq!(world.text("left/moved --json/--json"), "7 too", "{value:#}");
    for name in names {
        world.rm(format!("left/{name}"));
    }
    world.sync_well(["--allow-mass-change"]);
    assert_eq!(world.tree("right").len(), names.len() * 2);
}

#[test]
fn names_of_255_bytes_and_deep_paths() {
    let world = World::new();
    let long = "x".repeat(255);
    let unicode = "ü".repeat(127);
    world.put(format!("left/{long}"), "long");
    world.put(format!("left/{unicode}"), "long");
    world.put(format!("left/d/{}/{long}", "y".repeat(255)), "longer");
    // Deeper than a path may be long: only reached step by step.
    let piece = "deep".repeat(60);
    let mut at = world.at("left");

    let dir = std::process::Command::new("sh")
        .current_dir(&at)
        .arg("-c")
        .arg(format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do mkdir {piece} && cd -P {piece} || exit 1; done; echo at the bottom > file"))
        .status()
        .unwrap();
    let (value, code) = world.json(NONE);
    assert_eq!(code, 0, "{value:#}");
    assert_eq!(world.text(format!("right/{long}")), "long");
    assert_eq!(world.text(format!("right/d/{}/{long}", "y".repeat(255))), "longer");
    if dir.success() {
        let look = std::process::Command::new("sh")
            .current_dir(world.at("right"))
            .arg("-c")
            .arg(format!(
                "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do cd -P {piece} || exit 1; done; cat file"
            ))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&look.stdout), "at the bottom\n");
    }
    // An edit and a conflict of the longest names: marked names must fit too.
    world.put(format!("left/{long}"), "left");
    world.put(format!("right/{long}"), "right");
    world.put(format!("left/{unicode}"), "left");
    world.put(format!("right/{unicode}"), "right");
    let (value, code) = world.json(["--prefer", "both"]);
    assert_eq!(code, 0, "{value:#}");
    world.sync_well(NONE);
    assert_eq!(
        world
            .tree("left")
            .iter()
            .filter(|(_, i)| matches!(i, Item::File { bytes, .. } if bytes == b"left"))
            .count(),
        2
    );
    at.push(&piece);
    // What is too deep for a path is taken away the same way.
    for side in ["left", "right"] {
        std::process::Command::new("rm")
            .arg("-rf")
            .arg(world.at(side).join(&piece))
            .status()
            .unwrap();
    }
}

#[test]
fn names_that_are_not_unicode() {
    let world = World::new();
    let odd = PathBuf::from(OsStr::from_bytes(b"odd-\xff\xfe-name"));
    let dir = PathBuf::from(OsStr::from_bytes(b"dir-\x80"));
    world.put(PathBuf::from("left").join(&odd), "odd");
    world.put(PathBuf::from("right").join(&dir).join(&odd), "odd too");
    world.put("left/plain", "plain");
    symlink(OsStr::from_bytes(b"to-\xff"), world.at("left/link")).unwrap();
    let (value, _) = world.json(NONE);
    assert_eq!(world.text("right/plain"), "plain");
    // Names are kept, byte for byte; a link whose target is no text is skipped, and told.
    assert_eq!(world.text(PathBuf::from("right").join(&odd)), "odd", "{value:#}");
    assert_eq!(
        world.text(PathBuf::from("left").join(&dir).join(&odd)),
        "odd too",
        "{value:#}"
    );
    let problems = value["problems"].as_array().unwrap();
    assert!(problems.iter().all(|p| p["path"] == "link"), "{value:#}");
}

#[test]
fn empty_files_and_directories() {
    let world = World::new();
    world.put("left/empty", "");
    world.mkdir("left/d/e/f");
    world.mkdir("right/g");
    world.sync_well(NONE);
    assert_eq!(world.tree("right").len(), 5);
    world.put("right/empty", "no more");
    world.rm("left/d/e");
    world.sync_well(NONE);
    assert_eq!(world.text("left/empty"), "no more");
    assert!(world.exists("right/d") && !world.exists("right/d/e"));
    world.put("left/empty", "");
    world.sync_well(NONE);
    assert_eq!(world.text("right/empty"), "");
}

#[test]
fn executable_bits_and_times() {
    let world = World::new();
    world.put("left/run.sh", "#!/bin/sh\n");
    fs::set_permissions(world.at("left/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    world.put("left/plain", "plain");
    world.set_time("left/plain", 1_234_567_890);
    world.set_time("left/run.sh", 1);
    world.sync_well(NONE);
    let mtime = |path: &str| world.at(path).metadata().unwrap().mtime();
    assert_eq!((mtime("right/plain"), mtime("right/run.sh")), (1_234_567_890, 1));
    assert_eq!(
        world.at("right/run.sh").metadata().unwrap().permissions().mode() & 0o111,
        0o111
    );
    assert_eq!(world.at("right/plain").metadata().unwrap().permissions().mode() & 0o111, 0);
    // Only the bit.
    fs::set_permissions(world.at("right/plain"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(world.at("right/run.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    let value = world.sync_well(NONE);
    assert_eq!(value["bytes"], json!({ "copied": 0, "reused": 0 }));
    // An edit here, the bit there: both.
    world.put("left/plain", "edited");
    fs::set_permissions(world.at("right/plain"), fs::Permissions::from_mode(0o644)).unwrap();
    world.sync_well(NONE);
    assert_eq!(world.text("right/plain"), "edited");
    assert_eq!(world.at("left/plain").metadata().unwrap().permissions().mode() & 0o111, 0);
}

#[test]
fn what_is_private_stays_private() {
    let world = World::new();
    world.put("left/secret", "secret");
    fs::set_permissions(world.at("left/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    world.sync_well(NONE);
    let mode = |path: &str| world.at(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("right/secret"), 0o600, "others may not read the copy");
    // An edit that comes over does not open what was closed here.
    world.put("left/plain", "plain");
    world.sync_well(NONE);
    fs::set_permissions(world.at("right/plain"), fs::Permissions::from_mode(0o600)).unwrap();
    world.sync_well(NONE);
    world.put("left/plain", "edited");
    world.sync_well(NONE);
    assert_eq!(mode("right/plain"), 0o600);
}

#[test]
fn links_are_links() {
    let world = World::new();
    world.put("outside/secret", "outside");
    world.put("left/file", "file");
    symlink("file", world.at("left/to-file")).unwrap();
    symlink("../outside", world.at("left/to-outside")).unwrap();
    symlink("nowhere at all", world.at("left/dangling")).unwrap();
    symlink("/etc/passwd", world.at("left/absolute")).unwrap();
    symlink(".", world.at("left/round")).unwrap();
    world.sync_well(NONE);
    assert_eq!(
        world.tree("right").get(&PathBuf::from("to-outside")),
        Some(&Item::Link("../outside".into()))
    );
    // Retargeted; and a file in the place of a link, and back.
    world.rm("right/to-file");
    symlink("elsewhere", world.at("right/to-file")).unwrap();
    world.rm("left/dangling");
    world.put("left/dangling", "a file now");
    world.rm("right/file");
    symlink("dangling", world.at("right/file")).unwrap();
    world.sync_well(NONE);
    assert_eq!(
        world.tree("left").get(&PathBuf::from("to-file")),
        Some(&Item::Link("elsewhere".into()))
    );
    assert_eq!(
        world.tree("right").get(&PathBuf::from("file")),
        Some(&Item::Link("dangling".into()))
    );
    assert_eq!(world.text("right/dangling"), "a file now");
    assert_eq!(world.tree("outside").len(), 1);
}

#[test]
fn a_directory_that_became_a_link_leads_nowhere() {
    let world = World::new();
    world.put("outside/secret", "outside");
    world.put("left/dir/a", "one");
    world.put("left/dir/b", "two");
    world.sync_well(NONE);
    world.put("left/dir/a", "edited");
    world.put("left/dir/new", "new");
    world.rm("left/dir/b");
    world.mv("right/dir", "right/moved");
    symlink(world.at("outside"), world.at("right/dir")).unwrap();
    world.json(NONE);
    world.json(NONE);
    assert_eq!(world.tree("outside").len(), 1, "nothing outside is touched");
    assert_eq!(world.text("outside/secret"), "outside");
    assert_eq!(world.text("left/moved/a"), "edited");
    world.assert_equal();
}

#[test]
fn files_and_directories_change_places() {
    let world = World::new();
    world.put("left/a", "a file");
    world.put("left/b/inside", "in a directory");
    world.sync_well(NONE);
    world.rm("left/a");
    world.put("left/a/inside", "now a directory");
    world.rm("right/b");
    world.put("right/b", "now a file");
    world.sync_well(NONE);
    assert_eq!(
        (world.text("right/a/inside"), world.text("left/b")),
        ("now a directory".into(), "now a file".into())
    );
    // Swapped, and turned round.
    world.put("left/c", "c");
    world.sync_well(NONE);
    world.mv("left/a", "left/t");
    world.mv("left/b", "left/a");
    world.mv("left/c", "left/b");
    world.mv("left/t", "left/c");
    let value = world.sync_well(NONE);
    assert_eq!(value["bytes"]["copied"], 0);
    assert_eq!(
        (world.text("right/a"), world.text("right/b"), world.text("right/c/inside")),
        ("now a file".into(), "c".into(), "now a directory".into())
    );
}

#[test]
fn special_files_are_skipped_and_listed() {
    let world = World::new();
    let fifo = std::process::Command::new("mkfifo").arg(world.at("left/fifo")).status();
    if !fifo.is_ok_and(|s| s.success()) {
        world::skip("no fifos here");
        return;
    }
    let _socket = std::os::unix::net::UnixListener::bind(world.at("right/socket")).unwrap();
    world.put("left/a", "one");
    let (value, code) = world.json(NONE);
    let mut problems: Vec<(&str, &str, &str)> = value["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            (
                p["path"].as_str().unwrap(),
                p["kind"].as_str().unwrap(),
                p["replica"].as_str().unwrap(),
            )
        })
        .collect();
    problems.sort_unstable();
    assert_eq!(
        (code, problems),
        (1, vec![("fifo", "special", "left"), ("socket", "special", "right")])
    );
    assert!(!world.exists("right/fifo") && !world.exists("left/socket"));
    // A file was in its place before: it is not deleted on the other side.
    world.rm("left/a");
    std::process::Command::new("mkfifo").arg(world.at("left/a")).status().unwrap();
    let (value, _) = world.json(NONE);
    assert_eq!(world.text("right/a"), "one", "{value:#}");
    // And something that wants to be where it is waits.
    world.put("right/fifo", "a file");
    let (value, code) = world.json(NONE);
    assert_eq!(code, 1, "{value:#}");
    assert_eq!(world.text("right/fifo"), "a file");
    assert_eq!(world.tree("left").get(&PathBuf::from("fifo")), Some(&Item::Special));
}

#[test]
fn hard_links_are_files() {
    let world = World::new();
    world.put("left/a", "shared");
    fs::hard_link(world.at("left/a"), world.at("left/b")).unwrap();
    world.sync_well(NONE);
    world.put("left/a", "edited through one name");
    world.sync_well(NONE);
    assert_eq!(world.text("right/b"), "edited through one name");
    // An edit that comes over is of that name.
    world.put("right/a", "edited there");
    world.sync_well(NONE);
    assert_eq!(
        (world.text("left/a"), world.text("left/b")),
        ("edited there".into(), "edited through one name".into())
    );
    fs::hard_link(world.at("left/a"), world.at("left/c")).unwrap();
    world.rm("left/a");
    world.sync_well(NONE);
    assert!(world.exists("right/c") && !world.exists("right/a"));
}

#[test]
fn holes_stay_holes() {
    let world = World::new();
    let file = fs::File::create(world.at("left/sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"begin", 0).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"end", 200 << 20).unwrap();
    drop(file);
    let blocks = |path: &str| world.at(path).metadata().unwrap().blocks() * 512;
    if blocks("left/sparse") > 1 << 20 {
        world::skip("no holes on this disk");
        return;
    }
    assert_eq!(world.json(NONE).1, 0);
    let meta = world.at("right/sparse").metadata().unwrap();
    assert_eq!(meta.len(), (200 << 20) + 3);
    assert!(blocks("right/sparse") < 1 << 20, "{} bytes", blocks("right/sparse"));
}

#[test]
fn editors_save_by_renaming() {
    let world = World::new();
    world.put("left/doc.txt", "one");
    world.sync_well(NONE);
    // Written aside, renamed over.
    world.put("left/.doc.txt.swp", "two");
    world.mv("left/.doc.txt.swp", "left/doc.txt");
    world.sync_well(NONE);
    assert_eq!(world.text("right/doc.txt"), "two");
    // Renamed away, written anew, the backup removed; while the other renames it.
    world.mv("left/doc.txt", "left/doc.txt~");
    world.put("left/doc.txt", "three");
    world.rm("left/doc.txt~");
    world.mv("right/doc.txt", "right/renamed.txt");
    let value = world.sync_well(NONE);
    assert_eq!(
        world.text("right/renamed.txt"),
        "three",
        "an edit of the same file: {value:#}"
    );
    assert_eq!(world.tree("left").len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn an_unreadable_directory_deletes_nothing() {
    // Root reads everything: the same through a directory that only somebody else may not read.
    let world = World::new();
    let Some(as_nobody) = world.as_nobody() else { return };
    let sync = || as_nobody(&["sync", "left", "right", "--home", "home", "--json"]);
    let mode = |path: &str, mode| fs::set_permissions(world.at(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("left", 0o777);
    mode("right", 0o777);
    world.put("left/d/a", "one");
    world.put("left/d/b", "two");
    mode("left/d", 0o777);
    let first = sync();
    assert_eq!(first.code, Some(0), "{first:?}");
    mode("left/d", 0o700);
    fs::write(world.at("right/d/b"), "edited").unwrap();
    let run = sync();
    let value: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(run.code, Some(1), "{value:#}");
    assert!(
        value["problems"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["path"] == "d" && p["kind"] == "unreadable"),
        "{value:#}"
    );
    assert_eq!(world.tree("right").len(), 3, "{value:#}");
    mode("left/d", 0o777);
    mode("left/d/a", 0o000);
    let run = sync();
    let value: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(world.text("left/d/b"), "edited", "{value:#}");
    assert_eq!(world.text("right/d/a"), "one");
}

#[test]
fn what_is_in_a_private_directory_stays_private() {
    let world = World::new();
    world.put("left/private/plain", "plain");
    world.put("left/private/later", "");
    fs::set_permissions(world.at("left/private"), fs::Permissions::from_mode(0o700)).unwrap();
    world.sync_well(NONE);
    let mode = |path: &str| world.at(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("right/private"), 0o700);
    // Nor is it to be read in the history.
    world.rm("left/private/plain");
    world.sync_well(NONE);
    assert_eq!(world.history("right"), ["plain"]);
    assert_eq!(mode("right/.bifold"), 0o700);
}

#[cfg(target_os = "linux")]
#[test]
fn attributes_are_kept() {
    use std::ffi::CString;
    let world = World::new();
    let path = |path: &str| CString::new(world.at(path).as_os_str().as_bytes()).unwrap();
    let set = |at: &str, name: &std::ffi::CStr, value: &str| {
        // SAFETY: strings that end with NUL, and a value of that length.
        unsafe { libc::setxattr(path(at).as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) == 0 }
    };
    let get = |at: &str, name: &std::ffi::CStr| {
        let mut value = [0_u8; 100];
        // SAFETY: a buffer of that length.
        let n = unsafe { libc::getxattr(path(at).as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        usize::try_from(n)
            .ok()
            .map(|n| String::from_utf8_lossy(&value[..n]).into_owned())
    };
    world.put("left/a", "one");
    if !set("left/a", c"user.colour", "red") {
        world::skip("no attributes on this disk");
        return;
    }
    world.sync_well(NONE);
    assert_eq!(get("right/a", c"user.colour").as_deref(), Some("red"));
    // A new version from the other side keeps those that are here.
    assert!(set("right/a", c"user.rating", "5"));
    world.put("left/a", "edited");
    world.sync_well(NONE);
    assert_eq!(get("right/a", c"user.rating").as_deref(), Some("5"));
    assert_eq!(get("right/a", c"user.colour").as_deref(), Some("red"));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_deleted_is_told_once_and_for_its_reason() {
    let world = World::new();
    let Some(as_nobody) = world.as_nobody() else { return };
    let mode = |path: &str, mode| fs::set_permissions(world.at(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("left", 0o777);
    mode("right", 0o777);
    let sync = || as_nobody(&["sync", "left", "right", "--home", "home"]);
    world.put("left/d/a", "1");
    world.put("left/d/b", "2");
    mode("left/d", 0o777);
    assert_eq!(sync().code, Some(0));
    mode("left/d", 0o755);
    world.rm("right/d");
    let run = sync();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.out.matches("deleted  d/a").count(), 1, "{run:?}");
    assert!(
        run.out.contains("cannot be deleted") && !run.out.contains("not synced"),
        "{run:?}"
    );
    assert_eq!(world.tree("left").len(), 3);
    mode("left/d", 0o777);
    let run = sync();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!world.exists("left/d"));
}
