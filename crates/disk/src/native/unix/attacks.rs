//! Steps that are to lead out of the root: by their paths, or by links that someone puts in the way while they are taken.

use super::*;
use crate::apply::{Applied, Applier, Job};
use crate::ignore::Ignore;
use crate::stage::{Origin, Supply};
use crate::turns::Turns;
use bifold_chunk::ChunkId;
use bifold_tree::{Action, Bytes, ContentId, Expected, FileKey, Fingerprint, Kind, Outcome, Stat, Wanted};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// A directory with the root in it, and what must not be touched beside it.
struct Place {
    dir: tempfile::TempDir,
    fs: Arc<NativeFs>,
}

/// Both ways of resolving paths.
fn places() -> Vec<Place> {
    [false, true]
        .into_iter()
        .map(|piece_by_piece| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("root")).unwrap();
            let mut fs = NativeFs::open(&dir.path().join("root")).unwrap();
            if piece_by_piece {
                fs.root.piece_by_piece();
            }
            Place { dir, fs: Arc::new(fs) }
        })
        .collect()
}

impl Place {
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Runs steps; all bytes are those of `root/source`.
    fn apply(&self, actions: &[Action]) -> Vec<Outcome> {
        let (ignore, stop) = (Ignore::new(&[]).unwrap(), AtomicBool::new(false));
        let origin = Origin {
            fs: self.fs.clone(),
            path: "source".into(),
            local: true,
        };
        let job = |action: &Action| Job {
            action: action.clone(),
            supply: Supply {
                origins: vec![origin.clone()],
                ..Supply::default()
            },
            after_commit: false,
            leaving: true,
        };
        let jobs: Vec<Job> = actions.iter().map(job).collect();
        let mut outcomes = Vec::new();
        let turns = Arc::new(Turns::new(self.fs.clone(), Box::new(|_| false)));
        let applier = Applier::new(self.fs.as_ref(), &ignore, &turns, &stop, next_run(), 2);
        applier.apply(&jobs, &[], &|_| {}, &mut |applied: Applied, _| {
            outcomes.extend(applied.outcomes);
            true
        });
        outcomes
    }
}

fn next_run() -> u64 {
    static RUN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    RUN.fetch_add(1, Ordering::Relaxed)
}

/// All that is below a directory: what each is, its bytes, its mode, its times.
fn all_below(dir: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let bytes = if meta.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if meta.is_dir() {
                todo.push(path.clone());
            }
            all.insert(path, (meta.mode(), meta.mtime(), meta.mtime_nsec(), bytes));
        }
    }
    all
}

fn file() -> Wanted {
    Wanted {
        bytes: Bytes::File(ContentId(ChunkId::of(b"hostile").0)),
        size: 7,
        mtime_ns: 1,
        exec: false,
    }
}

fn other(bytes: Bytes) -> Wanted {
    Wanted {
        bytes,
        size: 0,
        mtime_ns: 0,
        exec: false,
    }
}

fn expected(stat: Stat) -> Expected {
    Expected {
        kind: stat.kind,
        key: stat.key,
        print: stat.print,
        bytes: Bytes::File(ContentId::empty()),
    }
}

/// What a step would have to expect of something, if it were below the root.
fn found(path: &Path) -> Expected {
    let meta = path.symlink_metadata().unwrap();
    let kind = if meta.is_dir() { Kind::Dir } else { Kind::File };
    Expected {
        kind,
        key: FileKey(meta.ino()),
        print: Fingerprint {
            size: meta.size(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            ctime_ns: meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
        },
        bytes: Bytes::File(ContentId::empty()),
    }
}

#[test]
fn steps_whose_paths_lead_out_are_not_taken() {
    for place in places() {
        std::fs::create_dir_all(place.at("outside/dir")).unwrap();
        std::fs::write(place.at("outside/file"), "precious").unwrap();
        std::fs::create_dir(place.at("root/a")).unwrap();
        std::fs::write(place.at("root/source"), "hostile").unwrap();
        std::fs::write(place.at("root/mine"), "mine").unwrap();
        Applier::prepare(place.fs.as_ref()).unwrap();
        let absolute = place.at("outside");
        let absolute = absolute.to_str().unwrap();
        let before = all_below(&place.at("outside"));
        let mine = || Expected {
            ..found(&place.at("root/mine"))
        };
        let outside = [
            "../outside".to_owned(),
            "a/../../outside".into(),
            absolute.into(),
            format!("a/{absolute}"),
        ];
        let mut paths: Vec<(String, PathBuf)> = Vec::new();
        for out in outside {
            for name in ["file", "dir"] {
                paths.push((format!("{out}/{name}"), place.at(&format!("outside/{name}"))));
            }
        }
        for odd in ["", ".", "..", "a/..", "a//b", "a/./b", "a/", "/", "a\0b"] {
            paths.push((odd.into(), place.at("outside/file")));
        }
        for (path, there) in &paths {
            let path: bifold_tree::RelPath = path.as_str().into();
            let expected = || found(there);
            let made = [file(), other(Bytes::Dir), other(Bytes::Link("x".into()))];
            let mut actions: Vec<Action> = made
                .into_iter()
                .flat_map(|wanted| {
                    let new: bifold_tree::RelPath = format!("{path}new").into();
                    let make = |path: &bifold_tree::RelPath| Action::Make {
                        path: path.clone(),
                        wanted: wanted.clone(),
                    };
                    if new.ends_with("new") && path.contains("outside") {
                        vec![make(&path), make(&new)]
                    } else {
                        vec![make(&path)]
                    }
                })
                .collect();
            actions.extend([
                Action::Write {
                    path: path.clone(),
                    expected: expected(),
                    wanted: file(),
                },
                Action::Write {
                    path: path.clone(),
                    expected: expected(),
                    wanted: other(Bytes::Link("x".into())),
                },
                Action::SetMode {
                    path: path.clone(),
                    expected: expected(),
                    exec: true,
                },
                Action::Rename {
                    from: path.clone(),
                    to: "taken".into(),
                    expected: expected(),
                },
                Action::Rename {
                    from: "mine".into(),
                    to: path.clone(),
                    expected: mine(),
                },
                Action::Remove {
                    path: path.clone(),
                    expected: expected(),
                },
                Action::RemoveDir {
                    path: path.clone(),
                    expected: expected(),
                },
            ]);
            for action in actions {
                let outcomes = place.apply(std::slice::from_ref(&action));
                assert!(!matches!(outcomes[..], [Outcome::Done(_)]), "{action:?} was done");
            }
        }
        assert_eq!(all_below(&place.at("outside")), before);
        let mut names: Vec<_> = std::fs::read_dir(place.at("root"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [".bifold", "a", "mine", "source"]);
        assert_eq!(std::fs::read_dir(place.at("")).unwrap().count(), 2, "nothing beside it");
    }
}

#[test]
fn an_own_directory_that_is_a_link_is_not_used() {
    for place in places() {
        std::fs::create_dir_all(place.at("outside/stage")).unwrap();
        std::fs::write(place.at("outside/stage/precious"), "precious").unwrap();
        std::fs::write(place.at("root/source"), "hostile").unwrap();
        std::fs::write(place.at("root/mine"), "mine").unwrap();
        let before = all_below(&place.at("outside"));
        for linked in [".bifold", ".bifold/stage", ".bifold/history"] {
            if linked.contains('/') {
                Applier::prepare(place.fs.as_ref()).unwrap();
                std::fs::remove_dir(place.at("root").join(linked)).unwrap();
            }
            let to = if linked == ".bifold" { "outside" } else { "outside/stage" };
            symlink(place.at(to), place.at("root").join(linked)).unwrap();
            if linked != ".bifold/history" {
                assert!(Applier::prepare(place.fs.as_ref()).is_err(), "{linked}");
            }
            let mine = found(&place.at("root/mine"));
            let outcomes = place.apply(&[
                Action::Write {
                    path: "mine".into(),
                    expected: mine.clone(),
                    wanted: file(),
                },
                Action::Remove {
                    path: "mine".into(),
                    expected: mine,
                },
            ]);
            assert!(
                outcomes.iter().all(|o| !matches!(o, Outcome::Done(_))),
                "{linked}: {outcomes:?}"
            );
            std::fs::remove_file(place.at("root").join(linked)).unwrap();
        }
        assert_eq!(all_below(&place.at("outside")), before);
        assert_eq!(std::fs::read(place.at("root/mine")).unwrap(), b"mine");
    }
}

/// Someone exchanges directories of the root for links that lead out, again and again, while steps are taken in them. (A directory that is
/// itself moved out of the root takes what is in it along, and what is just being put there: it is the same directory.)
#[cfg(target_os = "linux")]
#[test]
fn links_that_are_exchanged_for_directories_while_steps_are_taken_lead_nowhere() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    const TIME: Duration = Duration::from_millis(1500);
    for place in places() {
        // Outside all is as in the root, so that a step which got there would find what it expects as far as names go.
        for base in ["root", "outside"] {
            std::fs::create_dir_all(place.at(base).join("d")).unwrap();
            std::fs::create_dir_all(place.at(base).join("e/deep")).unwrap();
            for n in 0..4 {
                std::fs::write(place.at(base).join(format!("d/f{n}")), base).unwrap();
                std::fs::write(place.at(base).join(format!("e/deep/f{n}")), base).unwrap();
            }
        }
        std::fs::write(place.at("root/source"), "hostile").unwrap();
        Applier::prepare(place.fs.as_ref()).unwrap();
        for (own, link) in [
            ("d", "d"),
            ("e/deep", "e/deep"),
            (".bifold/stage", "d"),
            (".bifold/history", "d"),
        ] {
            let to = place.at("outside").join(link);
            symlink(to, place.at(&format!("root/link-{}", own.replace('/', "-")))).unwrap();
        }
        let before = all_below(&place.at("outside"));
        let stop = AtomicBool::new(false);
        let swaps = AtomicU64::new(0);
        let begun = Instant::now();
        let tried = std::thread::scope(|scope| {
            for dirs in [&["d", "e/deep"][..], &[".bifold/stage", ".bifold/history"]] {
                let (place, stop, swaps) = (&place, &stop, &swaps);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        for dir in dirs {
                            let real = place.at("root").join(dir);
                            let link = place.at(&format!("root/link-{}", dir.replace('/', "-")));
                            if renameat_with(CWD, &real, CWD, &link, RenameFlags::EXCHANGE).is_ok() {
                                swaps.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        std::thread::yield_now();
                    }
                });
            }
            let enough = |done, refused| {
                let well = done > 20 && refused > 20 && swaps.load(Ordering::Relaxed) > 100;
                begun.elapsed() > TIME && (well || begun.elapsed() > 20 * TIME)
            };
            let tried = race(&place, &enough);
            stop.store(true, Ordering::Relaxed);
            tried
        });
        assert_eq!(all_below(&place.at("outside")), before, "something got out");
        let (done, refused) = tried;
        assert!(swaps.load(Ordering::Relaxed) > 100, "{swaps:?} exchanges");
        assert!(done > 20 && refused > 20, "{done} steps were taken, {refused} not");
    }
}

/// Takes all kinds of steps in `d` and `e/deep` until that is enough; how many were taken, and how many not.
#[cfg(target_os = "linux")]
fn race(place: &Place, enough: &dyn Fn(usize, usize) -> bool) -> (usize, usize) {
    let (mut done, mut refused) = (0, 0);
    let mut n = 0u64;
    while !enough(done, refused) {
        let mut actions = Vec::new();
        for dir in ["d", "e/deep"] {
            n += 1;
            let at = |name: &str| -> bifold_tree::RelPath { format!("{dir}/{name}").into() };
            let look = |name: &str| match place.fs.stat(&at(name)) {
                Ok(Some(Entry::Plain(stat))) => Some(expected(stat)),
                _ => None,
            };
            actions.push(Action::Make {
                path: at(&format!("new{n}")),
                wanted: file(),
            });
            actions.push(Action::Make {
                path: at(&format!("dir{n}")),
                wanted: other(Bytes::Dir),
            });
            actions.push(Action::Make {
                path: at(&format!("link{n}")),
                wanted: other(Bytes::Link("x".into())),
            });
            if let Some(expected) = look("f0") {
                let path = at("f0");
                actions.push(Action::Write {
                    path,
                    expected,
                    wanted: file(),
                });
            }
            if let Some(expected) = look("f1") {
                let exec = n % 4 < 2;
                let path = at("f1");
                actions.push(Action::SetMode { path, expected, exec });
            }
            for (from, to) in [("f2", "moved"), ("moved", "f2")] {
                if let Some(expected) = look(from) {
                    let (from, to) = (at(from), at(to));
                    actions.push(Action::Rename { from, to, expected });
                }
            }
            if let Some(expected) = look(&format!("new{}", n.saturating_sub(2))) {
                let path = at(&format!("new{}", n - 2));
                actions.push(Action::Remove { path, expected });
            }
            if let Some(expected) = look(&format!("dir{}", n.saturating_sub(2))) {
                let path = at(&format!("dir{}", n - 2));
                actions.push(Action::RemoveDir { path, expected });
            }
        }
        for action in actions {
            for outcome in place.apply(std::slice::from_ref(&action)) {
                if matches!(outcome, Outcome::Done(_)) {
                    done += 1
                } else {
                    refused += 1
                }
            }
        }
    }
    (done, refused)
}
