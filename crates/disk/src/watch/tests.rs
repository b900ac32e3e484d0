#![allow(clippy::disallowed_methods, reason = "the user removes what they like")]
use super::*;
use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A watched directory, and what was told of it.
struct Seen {
    dir: tempfile::TempDir,
    told: Receiver<Watched>,
    _source: Box<dyn std::any::Any>,
}

impl Seen {
    fn new() -> Seen {
        Seen::after(|_| ())
    }

    fn after(prepare: impl Fn(&Path)) -> Seen {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let (send, told) = channel();
        let watcher = Watcher::start(dir.path(), NameRules::of_this_system(), move |w| send.send(w).unwrap_or(())).unwrap();
        Seen {
            dir,
            told,
            _source: Box::new(watcher),
        }
    }

    fn by_notify() -> Seen {
        let dir = tempfile::tempdir().unwrap();
        let (send, told) = channel();
        let root = dir.path().canonicalize().unwrap();
        let source = notify_events::Source::start(
            &root,
            NameRules::of_this_system(),
            Box::new(move |w| send.send(w).unwrap_or(())),
        )
        .unwrap();
        Seen {
            dir,
            told,
            _source: Box::new(source),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Waits until all these paths were told; all that were, and in how many batches.
    fn until(&self, paths: &[&str]) -> (BTreeSet<String>, usize) {
        let (mut seen, mut batches) = (BTreeSet::new(), 0);
        let end = Instant::now() + Duration::from_secs(20);
        while !paths.iter().all(|path| seen.contains(*path)) {
            match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Watched::Dirty(batch)) => {
                    assert!(batch.is_sorted() && !batch.is_empty(), "{batch:?}");
                    assert!(!batch.iter().any(|path| path.starts_with(".bifold")), "{batch:?}");
                    seen.extend(batch);
                    batches += 1;
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => panic!("of {paths:?} only {seen:?}"),
            }
        }
        (seen, batches)
    }

    /// Makes a file to know that all before it was told.
    fn all(&self) -> BTreeSet<String> {
        fs::write(self.path("end"), "").unwrap();
        self.until(&["end"]).0
    }
}

#[test]
fn all_kinds_of_changes_are_told() {
    for seen in [Seen::new(), Seen::by_notify()] {
        fs::write(seen.path("a"), "1").unwrap();
        seen.until(&["a"]);
        fs::write(seen.path("a"), "2").unwrap();
        seen.until(&["a"]);
        fs::rename(seen.path("a"), seen.path("b")).unwrap();
        seen.until(&["a", "b"]);
        fs::remove_file(seen.path("b")).unwrap();
        seen.until(&["b"]);
        fs::create_dir(seen.path("d")).unwrap();
        seen.until(&["d"]);
        fs::write(seen.path("d/f"), "1").unwrap();
        seen.until(&["d/f"]);
        fs::remove_dir_all(seen.path("d")).unwrap();
        seen.until(&["d", "d/f"]);
    }
}

#[cfg(unix)]
#[test]
fn links_modes_and_second_names_are_told() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let seen = Seen::after(|root| fs::write(root.join("a"), "").unwrap());
    symlink("nowhere", seen.path("link")).unwrap();
    fs::hard_link(seen.path("a"), seen.path("second")).unwrap();
    seen.until(&["link", "second"]);
    fs::set_permissions(seen.path("a"), fs::Permissions::from_mode(0o755)).unwrap();
    seen.until(&["a"]);
}

#[test]
fn an_atomic_save_is_told_in_one_batch() {
    let seen = Seen::after(|root| fs::write(root.join("doc"), "old").unwrap());
    fs::write(seen.path("doc.tmp"), "new").unwrap();
    fs::rename(seen.path("doc.tmp"), seen.path("doc")).unwrap();
    let (paths, _) = seen.until(&["doc"]);
    assert!(paths.contains("doc.tmp"));
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Wine 10 does not tell of old directories below the first; not tried on Windows itself"
)]
fn what_was_there_before_is_watched_and_not_told() {
    let seen = Seen::after(|root| {
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("a/b/c/f"), "1").unwrap();
    });
    fs::write(seen.path("a/b/c/f"), "2").unwrap();
    assert_eq!(seen.until(&["a/b/c/f"]).0.len(), 1);
}

#[test]
fn a_new_tree_is_covered_however_fast_it_grows() {
    let seen = Seen::new();
    for n in 0..20 {
        fs::create_dir_all(seen.path(&format!("t{n}/a/b/c"))).unwrap();
        fs::write(seen.path(&format!("t{n}/a/b/c/f")), "1").unwrap();
    }
    let told = seen.all();
    for n in 0..20 {
        // Either each is told, or a directory above, which a scan then walks.
        assert!(told.contains(&format!("t{n}")), "{told:?}");
    }
    // And all of it is watched now.
    for n in 0..20 {
        fs::write(seen.path(&format!("t{n}/a/b/c/f")), "2").unwrap();
        seen.until(&[&format!("t{n}/a/b/c/f")]);
    }
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Wine 10 does not tell of old directories below the first; not tried on Windows itself"
)]
fn a_moved_directory_is_told_under_its_new_name_from_then_on() {
    let seen = Seen::after(|root| fs::create_dir_all(root.join("a/b/c")).unwrap());
    fs::rename(seen.path("a"), seen.path("z")).unwrap();
    seen.until(&["a", "z"]);
    fs::write(seen.path("z/b/c/f"), "1").unwrap();
    assert_eq!(seen.until(&["z/b/c/f"]).0.len(), 1);
    // Back again, and another in its place.
    fs::rename(seen.path("z/b"), seen.path("b")).unwrap();
    fs::create_dir_all(seen.path("z/b/c")).unwrap();
    seen.until(&["b", "z/b"]);
    fs::write(seen.path("b/c/f"), "2").unwrap();
    fs::write(seen.path("z/b/c/f"), "2").unwrap();
    seen.until(&["b/c/f", "z/b/c/f"]);
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Wine 10 does not tell of old directories below the first; not tried on Windows itself"
)]
fn what_is_moved_out_is_watched_no_more_and_what_is_moved_in_is() {
    let elsewhere = tempfile::tempdir().unwrap();
    let seen = Seen::after(|root| fs::create_dir_all(root.join("a/b")).unwrap());
    let out = elsewhere.path().join("a");
    fs::rename(seen.path("a"), &out).unwrap();
    seen.until(&["a"]);
    fs::write(out.join("b/f"), "1").unwrap();
    assert_eq!(seen.all(), BTreeSet::from(["end".to_owned()]));
    fs::rename(&out, seen.path("in")).unwrap();
    seen.until(&["in"]);
    fs::write(seen.path("in/b/f"), "2").unwrap();
    assert_eq!(seen.until(&["in/b/f"]).0.len(), 1);
}

#[test]
fn the_engines_own_directory_is_never_told() {
    let seen = Seen::after(|root| fs::create_dir_all(root.join(".bifold/tmp")).unwrap());
    fs::write(seen.path(".bifold/tmp/x"), "1").unwrap();
    fs::create_dir(seen.path(".bifold/new")).unwrap();
    fs::rename(seen.path(".bifold/tmp/x"), seen.path("x")).unwrap();
    fs::create_dir(seen.path("sub")).unwrap();
    fs::create_dir(seen.path("sub/.bifold")).unwrap();
    let told = seen.all();
    assert!(told.contains("x") && told.contains("sub"));
    assert!(!told.iter().any(|path| path.starts_with(".bifold")), "{told:?}");
}

#[test]
fn a_burst_is_told_in_few_batches() {
    let seen = Seen::new();
    let paths: Vec<String> = (0..2000).map(|n| format!("f{n}")).collect();
    for path in &paths {
        fs::write(seen.path(path), "1").unwrap();
    }
    let (told, batches) = seen.until(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(told.len(), 2000);
    assert!(batches < 200, "{batches} batches");
}

#[test]
fn a_file_that_stays_open_is_told_all_the_same() {
    use std::io::Write;
    let seen = Seen::new();
    let mut log = fs::File::create(seen.path("log")).unwrap();
    log.write_all(b"1").unwrap();
    seen.until(&["log"]);
    log.write_all(b"2").unwrap();
    seen.until(&["log"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_are_the_trees() {
    use std::os::unix::ffi::OsStrExt;
    let seen = Seen::new();
    fs::write(seen.dir.path().join(std::ffi::OsStr::from_bytes(b"a\xFF")), "1").unwrap();
    seen.until(&["a\u{F7FF}"]);
}

// Windows does not tell of the watched directory itself.
#[cfg(not(windows))]
#[test]
fn a_root_that_goes_is_told() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir(&root).unwrap();
    let (send, told) = channel();
    let _watcher = Watcher::start(&root, NameRules::of_this_system(), move |w| send.send(w).unwrap_or(())).unwrap();
    fs::rename(&root, outer.path().join("moved")).unwrap();
    let told = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(told, Watched::Rescan { .. }), "{told:?}");
}

#[test]
fn a_root_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let watcher = Watcher::start(&dir.path().join("none"), NameRules::of_this_system(), |_| ());
    assert!(matches!(watcher.err(), Some(WatchError::Refused { .. })));
    assert!(has_events(dir.path()));
}

#[test]
fn dropping_ends_it() {
    let Seen { dir, told, _source } = Seen::new();
    drop(_source);
    fs::write(dir.path().join("a"), "1").unwrap();
    assert!(told.recv().is_err(), "the sender is gone");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_made_right_before_the_one_it_is_in_is_moved_is_watched() {
    let seen = Seen::new();
    for i in 0..200 {
        let (tmp, done) = (format!("tmp{i}"), format!("done{i}"));
        fs::create_dir_all(seen.path(&format!("{tmp}/sub/below"))).unwrap();
        fs::rename(seen.path(&tmp), seen.path(&done)).unwrap();
    }
    seen.all();
    for i in 0..200 {
        fs::write(seen.path(&format!("done{i}/sub/below/f")), "").unwrap();
    }
    let files: Vec<String> = (0..200).map(|i| format!("done{i}/sub/below/f")).collect();
    seen.until(&files.iter().map(String::as_str).collect::<Vec<_>>());
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_takes_the_place_of_another_is_not_taken_for_it() {
    use std::os::unix::fs::symlink;
    let seen = Seen::after(|root| {
        for dir in ["a", "c/new", "x", "o/sub"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
    });
    fs::create_dir(seen.path("a/new")).unwrap();
    fs::rename(seen.path("a"), seen.path("b")).unwrap();
    fs::rename(seen.path("c"), seen.path("a")).unwrap();
    fs::create_dir(seen.path("x/sub")).unwrap();
    fs::rename(seen.path("x"), seen.path("x2")).unwrap();
    symlink("o", seen.path("x")).unwrap();
    seen.all();
    let files = ["a/new/f", "b/new/f", "x2/sub/f", "o/sub/f"];
    for file in files {
        fs::write(seen.path(file), "").unwrap();
    }
    seen.until(&files);
}

#[cfg(target_os = "linux")]
#[test]
fn directories_deeper_than_a_path_can_name_are_watched() {
    let name = "n".repeat(200);
    let deep = vec![name.as_str(); 25].join("/");
    // Made from inside, as a path cannot be so long.
    let make = |root: &Path| {
        let mut at = fs::File::open(root).unwrap();
        for _ in 0..25 {
            rustix::fs::mkdirat(&at, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
            at = rustix::fs::openat(&at, name.as_str(), flags, rustix::fs::Mode::empty())
                .unwrap()
                .into();
        }
        at
    };
    let last = std::sync::Mutex::new(None);
    let seen = Seen::after(|root| *last.lock().unwrap() = Some(make(root)));
    let at = last.lock().unwrap().take().unwrap();
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    drop(rustix::fs::openat(&at, "f", flags, rustix::fs::Mode::RWXU).unwrap());
    seen.until(&[&format!("{deep}/f")]);
}
