use super::*;
use bifold_tree::{Kind, Stat};
use rustix::fs::{CWD, FileType};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// A root, opened both ways of resolving paths.
fn roots() -> Vec<(tempfile::TempDir, NativeFs)> {
    [false, true]
        .into_iter()
        .map(|piece_by_piece| {
            let dir = tempfile::tempdir().unwrap();
            let mut fs = NativeFs::open(dir.path()).unwrap();
            if piece_by_piece {
                fs.root.piece_by_piece();
            }
            (dir, fs)
        })
        .collect()
}

fn write(fs: &NativeFs, path: &str, parts: &[&[u8]]) -> Stat {
    let mut file = fs.create(path).unwrap();
    for part in parts {
        file.append(part).unwrap();
    }
    file.finish(false, 1_234_567_890_123_456_789).unwrap()
}

fn read(fs: &NativeFs, path: &str) -> Vec<u8> {
    let (mut file, mut bytes, mut buf) = (fs.open(path).unwrap(), Vec::new(), [0; 1000]);
    loop {
        match file.read_at(&mut buf, bytes.len() as u64).unwrap() {
            0 => return bytes,
            n => bytes.extend_from_slice(&buf[..n]),
        }
    }
}

fn plain(fs: &NativeFs, path: &str) -> Stat {
    match fs.stat(path).unwrap() {
        Some(Entry::Plain(stat)) => stat,
        other => panic!("{path}: {other:?}"),
    }
}

fn names(fs: &NativeFs, path: &str) -> Vec<String> {
    fs.list(path).unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn files_are_made_read_and_described() {
    for (_dir, fs) in roots() {
        fs.make_dir("d").unwrap();
        let made = write(&fs, "d/f", &[b"hello ", b"world"]);
        assert_eq!(
            (made.kind, made.print.size, made.print.mtime_ns),
            (Kind::File, 11, 1_234_567_890_123_456_789)
        );
        assert_eq!(plain(&fs, "d/f"), made);
        assert_eq!(fs.open("d/f").unwrap().stat().unwrap(), made);
        assert_eq!(read(&fs, "d/f"), b"hello world");
        assert_eq!(plain(&fs, "d").kind, Kind::Dir);
        assert_eq!(plain(&fs, "").kind, Kind::Dir);
        assert!(matches!(fs.create("d/f").err(), Some(FsError::Exists)));
        assert!(matches!(fs.make_dir("d"), Err(FsError::Exists)));
        assert!(matches!(fs.create("none/f").err(), Some(FsError::NotFound)));
        assert!(matches!(fs.open("none").err(), Some(FsError::NotFound)));
        assert!(matches!(fs.open("d/f/x").err(), Some(FsError::NotFound)));
        assert!(matches!(fs.open("d").err(), Some(FsError::Other(_))));
        assert!(fs.stat("none").unwrap().is_none());
        assert!(fs.stat("d/f/x").unwrap().is_none());
        assert!(fs.free_space().unwrap() > 0);
    }
}

#[test]
fn times_before_1970_are_kept() {
    for (_dir, fs) in roots() {
        let made = fs.create("f").unwrap().finish(false, -1_500_000_001).unwrap();
        assert_eq!(made.print.mtime_ns, -1_500_000_001);
    }
}

#[test]
fn lists_are_in_order_and_without_the_engines_own_directory() {
    for (dir, fs) in roots() {
        for path in [".bifold", "b", "b/.bifold"] {
            fs.make_dir(path).unwrap();
        }
        write(&fs, "c", &[]);
        write(&fs, "a-\u{e9}", &[]);
        fs.make_link("a", "c").unwrap();
        assert_eq!(names(&fs, ""), ["a", "a-\u{e9}", "b", "c"]);
        assert_eq!(names(&fs, "b"), [".bifold"]);
        assert!(names(&fs, ".bifold").is_empty());
        assert_eq!(fs.list("").unwrap()[3].1, fs.stat("c").unwrap().unwrap());
        assert!(matches!(fs.list("none"), Err(FsError::NotFound)));
        assert!(matches!(fs.list("c"), Err(FsError::NotFound)));
        fs::rename(dir.path(), dir.path().with_extension("moved")).unwrap();
        assert!(matches!(fs.list(""), Err(FsError::NotFound)), "the root is not where it was");
        assert!(fs.stat("").unwrap().is_none());
        fs::rename(dir.path().with_extension("moved"), dir.path()).unwrap();
        assert_eq!(names(&fs, "").len(), 4);
    }
}

#[test]
fn only_the_engines_own_directory_is_left_out_however_a_disk_takes_names() {
    for (dir, mut fs) in roots() {
        for name in [".bifold", ".BIFOLD", ".b\u{131}fold", ".bifold."] {
            // (Some are one directory on some disks.)
            let _ = fs::create_dir(dir.path().join(name));
        }
        fs.rules.fold.case = true;
        let listed = names(&fs, "");
        assert!(!listed.iter().any(|name| name.eq_ignore_ascii_case(".bifold")), "{listed:?}");
        assert!(listed.contains(&".b\u{131}fold".to_owned()), "{listed:?}");
    }
}

#[test]
fn links_are_made_and_read_and_never_followed() {
    for (dir, fs) in roots() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("f"), "secret").unwrap();
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink(outside.path().join("f"), dir.path().join("file")).unwrap();
        fs.make_dir("real").unwrap();
        write(&fs, "real/f", &[]);
        fs.make_link("inside", "real").unwrap();
        assert_eq!(fs.read_link("inside").unwrap(), "real");
        assert_eq!(plain(&fs, "inside").kind, Kind::Link);
        assert!(matches!(fs.make_link("inside", "x"), Err(FsError::Exists)));
        for link in ["out", "inside"] {
            let in_link = format!("{link}/f");
            let refused = |error: Option<FsError>| match error {
                Some(FsError::Other(e)) => assert!(e.to_string().contains("link"), "{e}"),
                other => panic!("{other:?}"),
            };
            refused(fs.stat(&in_link).err());
            refused(fs.open(&in_link).err());
            refused(fs.create(&format!("{link}/new")).err());
            refused(fs.make_dir(&format!("{link}/new")).err());
            refused(fs.make_link(&format!("{link}/new"), "x").err());
            refused(fs.remove_file(&in_link).err());
            refused(fs.rename("real/f", &format!("{link}/new")).err());
            refused(fs.rename(&in_link, "new").err());
            refused(fs.exchange("real/f", &in_link).err());
            refused(fs.set_exec(&in_link, true).err());
            assert!(fs.list(link).is_err());
        }
        assert!(fs.open("file").is_err() && fs.set_exec("file", true).is_err());
        assert!(matches!(fs.read_link("real"), Err(FsError::Other(_))));
        assert!(matches!(fs.read_link("none"), Err(FsError::NotFound)));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        symlink(OsStr::from_bytes(b"\xFF"), dir.path().join("bad")).unwrap();
        assert!(matches!(fs.read_link("bad"), Err(FsError::Unsupported)));
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    for (_dir, fs) in roots() {
        for path in ["..", "../x", "a/../b", "/etc", "a//b", ".", "a/.", "a\0b", "a/"] {
            assert!(matches!(fs.stat(path), Err(FsError::Other(_))), "{path:?}");
            assert!(fs.create(path).is_err(), "{path:?}");
            assert!(fs.sync(&[path]).is_err(), "{path:?}");
        }
        assert!(fs.remove_dir("").is_err() && fs.create("").is_err());
    }
}

#[test]
fn special_files_are_told_and_never_opened() {
    for (dir, fs) in roots() {
        #[cfg(target_os = "linux")]
        rustix::fs::mknodat(CWD, dir.path().join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert_eq!(fs.stat("socket").unwrap(), Some(Entry::Special("socket")));
        assert!(fs.open("socket").is_err());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(fs.stat("fifo").unwrap(), Some(Entry::Special("fifo")));
            assert_eq!(fs.list("").unwrap()[0], ("fifo".into(), Entry::Special("fifo")));
            assert!(matches!(fs.open("fifo").err(), Some(FsError::Other(_))));
            fs.sync(&["fifo", "socket"]).unwrap();
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_have_a_name_in_the_tree() {
    for (dir, fs) in roots() {
        fs::write(dir.path().join(OsStr::from_bytes(b"a\xFF")), "1").unwrap();
        assert_eq!(names(&fs, ""), ["a\u{F7FF}"]);
        assert_eq!(read(&fs, "a\u{F7FF}"), b"1");
        fs.rename("a\u{F7FF}", "b\u{F780}").unwrap();
        assert!(dir.path().join(OsStr::from_bytes(b"b\x80")).exists());
    }
}

#[test]
fn names_too_long_are_not_supported() {
    for (_dir, fs) in roots() {
        assert!(matches!(fs.create(&"a".repeat(256)).err(), Some(FsError::Unsupported)));
        // Deeper than one call can name.
        let mut path = "d".repeat(200);
        for _ in 0..25 {
            fs.make_dir(&path).unwrap();
            write(&fs, &format!("{path}/f"), &[b"x"]);
            assert_eq!(names(&fs, &path), ["f"]);
            path = format!("{path}/{}", "d".repeat(200));
        }
        assert!(path.len() > 5000);
    }
}

#[test]
fn renaming_takes_only_free_names() {
    for (_dir, fs) in roots() {
        fs.make_dir("d").unwrap();
        fs.make_dir("empty").unwrap();
        let a = write(&fs, "a", &[b"a"]);
        write(&fs, "b", &[b"b"]);
        for to in ["b", "d", "empty"] {
            assert!(matches!(fs.rename("a", to), Err(FsError::Exists)), "{to}");
        }
        assert!(matches!(fs.rename("d", "empty"), Err(FsError::Exists)));
        assert!(matches!(fs.rename("none", "x"), Err(FsError::NotFound)));
        assert!(matches!(fs.rename("a", "none/x"), Err(FsError::NotFound)));
        assert_eq!((read(&fs, "a"), read(&fs, "b")), (b"a".into(), b"b".into()));
        fs.rename("a", "d/a").unwrap();
        assert!(plain(&fs, "d/a").key == a.key && fs.stat("a").unwrap().is_none());
        fs.rename("d", "e").unwrap();
        assert_eq!(read(&fs, "e/a"), b"a");
        // A change of case only is a rename.
        fs.rename("b", "B").unwrap();
        assert_eq!(read(&fs, "B"), b"b");
        assert_eq!(names(&fs, ""), ["B", "e", "empty"]);
    }
}

#[test]
fn renaming_without_the_systems_help_takes_only_free_names() {
    for (dir, fs) in roots() {
        let carefully = |from: &str, to: &str, one_name| {
            let (from_dir, from_name) = fs.root.parent(from.as_bytes())?;
            let (to_dir, to_name) = fs.root.parent(to.as_bytes())?;
            rename::carefully((&from_dir, from_name), (&to_dir, to_name), one_name, &|| {
                Ok(fs.root.parent(b"aside/x")?.0)
            })
        };
        write(&fs, "a", &[b"a"]);
        write(&fs, "b", &[b"b"]);
        fs.make_dir("d").unwrap();
        fs.make_dir("empty").unwrap();
        fs.make_dir("aside").unwrap();
        write(&fs, "aside/0-0-renamed", &[b"left by a cut"]);
        assert_eq!(carefully("a", "b", false), Err(Errno::EXIST));
        assert_eq!(carefully("a", "empty", false), Err(Errno::EXIST));
        assert_eq!(carefully("d", "empty", false), Err(Errno::EXIST));
        assert_eq!(carefully("none", "x", false), Err(Errno::NOENT));
        assert_eq!(carefully("a", "d/a", false), Ok(()));
        assert_eq!(carefully("d", "e", false), Ok(()));
        fs.make_link("l", "nowhere").unwrap();
        assert_eq!(carefully("l", "m", false), Ok(()));
        assert_eq!(names(&fs, ""), ["aside", "b", "e", "empty", "m"]);
        assert_eq!(names(&fs, "e"), ["a"]);
        // Two names of one file are two names, unless the disk folds them into one.
        fs::hard_link(dir.path().join("b"), dir.path().join("c")).unwrap();
        assert_eq!(carefully("b", "c", false), Err(Errno::EXIST));
        assert!(matches!(fs.rename("b", "c"), Err(FsError::Exists)));
        // Saved anew between the two steps that it takes: what is new stays where it is.
        let saved = || {
            write(&fs, "e/new", &[b"newer"]);
            fs::rename(dir.path().join("e/new"), dir.path().join("e/a")).unwrap();
            Ok(fs.root.parent(b"aside/x")?.0)
        };
        let (from, to) = (fs.root.parent(b"e/a").unwrap(), fs.root.parent(b"old").unwrap());
        rename::carefully((&from.0, from.1), (&to.0, to.1), false, &saved).unwrap();
        assert_eq!((read(&fs, "e/a"), read(&fs, "old")), (b"newer".into(), b"a".into()));
        assert_eq!(names(&fs, "aside"), ["0-0-renamed"], "what was left there before");
    }
}

#[test]
fn exchanging_exchanges() {
    for (_dir, fs) in roots() {
        let (a, b) = (write(&fs, "a", &[b"a"]), write(&fs, "b", &[b"bb"]));
        match fs.exchange("a", "b") {
            // Not every disk that these tests may run on can.
            Err(FsError::Unsupported) => continue,
            done => done.unwrap(),
        }
        assert_eq!((plain(&fs, "a").key, plain(&fs, "b").key), (b.key, a.key));
        assert_eq!(read(&fs, "a"), b"bb");
        assert!(matches!(fs.exchange("a", "none"), Err(FsError::NotFound)));
        fs.make_link("l", "x").unwrap();
        fs.exchange("a", "l").unwrap();
        assert_eq!(plain(&fs, "a").kind, Kind::Link);
    }
}

#[test]
fn removing_removes_files_links_and_empty_directories() {
    for (dir, fs) in roots() {
        fs.make_dir("d").unwrap();
        write(&fs, "d/f", &[]);
        fs.make_link("l", "d").unwrap();
        assert!(matches!(fs.remove_dir("d"), Err(FsError::NotEmpty)));
        assert!(fs.remove_file("d").is_err());
        fs.remove_file("l").unwrap();
        fs.remove_file("d/f").unwrap();
        assert!(matches!(fs.remove_file("d/f"), Err(FsError::NotFound)));
        fs.remove_dir("d").unwrap();
        assert!(matches!(fs.remove_dir("d"), Err(FsError::NotFound)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn the_executable_bit_is_for_those_who_may_read() {
    for (dir, fs) in roots() {
        let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(write(&fs, "f", &[]).exec, Some(false));
        fs::set_permissions(dir.path().join("f"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(!fs.set_exec("f", true).unwrap());
        assert_eq!((plain(&fs, "f").exec, mode("f")), (Some(true), 0o750));
        fs::hard_link(dir.path().join("f"), dir.path().join("f2")).unwrap();
        assert!(fs.set_exec("f", false).unwrap());
        fs::remove_file(dir.path().join("f2")).unwrap();
        assert_eq!((plain(&fs, "f").exec, mode("f")), (Some(false), 0o640));
        let made = fs.create("x").unwrap().finish(true, 0).unwrap();
        assert_eq!(made.exec, Some(true));
        assert_eq!(mode("x") & 0o111, (mode("x") & 0o444) >> 2);
        fs.make_dir("d").unwrap();
        assert_eq!(plain(&fs, "d").exec, None);
        assert!(fs.set_exec("d", true).is_err() && matches!(fs.set_exec("none", true), Err(FsError::NotFound)));
    }
}

#[test]
fn zeros_become_holes_and_bytes_stay() {
    const K: usize = 1024;
    let mut odd: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    odd[100_000..700_000].fill(0);
    let shapes: Vec<(&str, Vec<u8>, bool)> = vec![
        ("empty", vec![], false),
        ("dense", vec![7; 300 * K], false),
        ("zeros", vec![0; 10 * 1024 * K], true),
        ("short zeros", vec![0; 100], true),
        ("middle", odd, true),
        ("end", [vec![1; 100], vec![0; 500 * K]].concat(), true),
        ("begin", [vec![0; 500 * K], vec![1; 100]].concat(), true),
        ("edges", [vec![0; 63 * K], vec![1; 2 * K], vec![0; 63 * K]].concat(), false),
    ];
    for (dir, fs) in roots() {
        for (name, bytes, sparse) in &shapes {
            for piece in [1000, 65_536, 100_000, usize::MAX] {
                let path = format!("{name} {piece}");
                let parts: Vec<&[u8]> = bytes.chunks(piece.min(bytes.len().max(1))).collect();
                assert_eq!(write(&fs, &path, &parts).print.size, bytes.len() as u64, "{path}");
                assert!(read(&fs, &path) == *bytes, "{path}");
                // Whether blocks are saved depends on the disk, but on Linux' usual ones they are.
                if cfg!(target_os = "linux") && *sparse {
                    fs.sync(&[&path]).unwrap();
                    let on_disk = fs::metadata(dir.path().join(&path)).unwrap().blocks() * 512;
                    assert!(on_disk < bytes.len() as u64, "{path}: {on_disk}");
                }
            }
        }
    }
}

#[test]
fn syncing_takes_files_directories_links_and_what_is_gone() {
    for (_dir, fs) in roots() {
        fs.make_dir("d").unwrap();
        write(&fs, "d/f", &[b"x"]);
        fs.make_link("d/l", "f").unwrap();
        fs.sync(&[]).unwrap();
        fs.sync(&["d", "d/f", "d/l", "d/gone", "gone/gone/gone", ""]).unwrap();
        let many: Vec<String> = (0..100).map(|n| format!("d/f{n}")).collect();
        fs.sync(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
}

#[test]
fn a_root_that_is_not_there_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let error = NativeFs::open(&gone).err().unwrap();
    assert!(matches!(error.source, FsError::NotFound) && error.to_string().contains("gone"));
    fs::write(&gone, "").unwrap();
    assert!(NativeFs::open(&gone).is_err(), "a file is no root");
    assert!(NativeFs::open_read_only(dir.path()).is_ok());
}

/// What 20,000 small files cost: for a person to run, with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_many_small_files() {
    let (dir, fs) = roots().swap_remove(0);
    fs.make_dir("d").unwrap();
    let paths: Vec<String> = (0..20_000).map(|n| format!("d/e{}/f{n}", n % 100)).collect();
    for n in 0..100 {
        fs.make_dir(&format!("d/e{n}")).unwrap();
    }
    let time = |what: &str, act: &dyn Fn(&str)| {
        let start = std::time::Instant::now();
        paths.iter().for_each(|path| act(path));
        println!("{what}: {:?} each", start.elapsed() / 20_000);
    };
    time("create and write 1 KiB with std", &|path| {
        fs::write(dir.path().join(format!("{path}.std")), [1; 1024]).unwrap();
    });
    time("create, append 1 KiB, finish", &|path| {
        assert_eq!(write(&fs, path, &[&[1; 1024]]).print.size, 1024)
    });
    time("stat", &|path| assert_eq!(plain(&fs, path).kind, Kind::File));
    time("open and read", &|path| drop(read(&fs, path)));
    time("rename", &|path| fs.rename(path, &format!("{path}.new")).unwrap());
    let start = std::time::Instant::now();
    let listed: usize = (0..100).map(|n| fs.list(&format!("d/e{n}")).unwrap().len()).sum();
    println!("list: {:?} each of {listed}", start.elapsed() / listed as u32);
}

/// Else its unmounting would be the deletion of all that is on it.
#[test]
#[cfg(target_os = "linux")]
fn what_is_mounted_below_the_root_is_another_disk() {
    for piece_by_piece in [false, true] {
        let mut fs = NativeFs::open_read_only("/".as_ref()).unwrap();
        if piece_by_piece {
            fs.root.piece_by_piece();
        }
        for told in [
            fs.list("proc").map(drop),
            fs.stat("proc/self").map(drop),
            fs.open("proc/version").map(drop),
        ] {
            let told = told.unwrap_err();
            assert!(
                told.to_string().contains("another disk is mounted"),
                "{piece_by_piece}: {told}"
            );
        }
    }
}
