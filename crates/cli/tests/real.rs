//! Real input: two copies of a real tree of more than 10,000 files. Ignored by default, for it copies some 100 MB:
//! `cargo test -p bifold --test real -- --ignored --nocapture`, with BIFOLD_TREE=DIR for a tree of one's own.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use world::user::Random;
use world::{Item, World, tree};

const LEAST: usize = 10_000;
const MOST: usize = 25_000;

/// Trees of sources that a machine with Rust has.
fn sources() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os("BIFOLD_TREE") {
        return vec![dir.into()];
    }
    let home = |var: &str, dir: &str| {
        let set = std::env::var_os(var).map(PathBuf::from);
        set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(dir)))
            .unwrap_or_default()
    };
    vec![
        home("CARGO_HOME", ".cargo").join("registry/src"),
        home("RUSTUP_HOME", ".rustup").join("toolchains"),
    ]
}

/// Copies files, directories and links of a tree to another, so many at most; returns how many.
fn copy(from: &Path, to: &Path, most: usize) -> usize {
    let mut copied = 0;
    let mut todo = vec![PathBuf::new()];
    while let Some(dir) = todo.pop() {
        fs::create_dir_all(to.join(&dir)).unwrap();
        let mut entries: Vec<_> = fs::read_dir(from.join(&dir)).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = dir.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                todo.push(path);
            } else if copied < most && kind.is_file() && entry.metadata().is_ok_and(|m| m.len() < 1 << 20) {
                fs::copy(entry.path(), to.join(&path)).unwrap();
                copied += 1;
            } else if copied < most && kind.is_symlink() {
                #[cfg(unix)]
                std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), to.join(&path)).unwrap();
                copied += 1;
            }
        }
        if copied >= most {
            break;
        }
    }
    copied
}

/// What one side's user does, at random: so many edits, moves and deletions, in the half of the directories that is theirs.
struct Half<'w> {
    world: &'w World,
    side: &'static str,
    random: Random,
    lost: Vec<Vec<u8>>,
}

impl Half<'_> {
    fn files(&self, own: usize) -> Vec<PathBuf> {
        let tree = self.world.tree(self.side);
        let is_own = |path: &Path| path.as_os_str().len() % 2 == own;
        tree.into_iter()
            .filter(|(path, item)| matches!(item, Item::File { .. }) && is_own(path))
            .map(|(path, _)| path)
            .collect()
    }

    fn work(&mut self, own: usize) {
        let mut files = self.files(own);
        let at = |path: &Path| self.world.at(self.side).join(path);
        for i in 0..300 {
            let n = self.random.below(files.len());
            let path = files.swap_remove(n);
            match i % 6 {
                0 | 1 => {
                    let mut bytes = fs::read(at(&path)).unwrap();
                    let n = self.random.below(bytes.len() + 1);
                    bytes.splice(n..n, format!("edit {i} on the {}\n", self.side).into_bytes());
                    fs::write(at(&path), bytes).unwrap();
                }
                2 => fs::write(at(&path).with_extension(format!("new-{}-{i}", self.side)), format!("new {i}")).unwrap(),
                3 => {
                    let to = at(Path::new("moved here")).join(format!("{}-{i}", self.side));
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::rename(at(&path), to).unwrap();
                }
                4 => {
                    let to = at(&path).with_extension(format!("renamed-{}", self.side));
                    fs::rename(at(&path), to).unwrap();
                }
                _ => {
                    self.lost.push(fs::read(at(&path)).unwrap());
                    fs::remove_file(at(&path)).unwrap();
                }
            }
        }
    }
}

/// Shows, 2 of the issue.
#[test]
#[ignore = "copies more than 10,000 files"]
fn a_real_tree() {
    let world = World::new();
    let mut count = 0;
    for (i, source) in sources().into_iter().enumerate() {
        count += copy(&source, &world.at(format!("left/part{i}")), MOST - count);
    }
    assert!(count >= LEAST, "{count} files only: name a larger tree with BIFOLD_TREE=DIR");
    copy(&world.at("left"), &world.at("right"), usize::MAX);
    eprintln!("{count} files in two copies");

    let say = |what: &str| {
        let run = world.sync(["--allow-mass-change"]);
        let line = run.out.lines().last().unwrap_or_default().to_owned();
        eprintln!("{what}: {line}");
        run
    };
    let run = say("first sync");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.out.lines().last().unwrap().starts_with("In sync: nothing to do"),
        "they were the same"
    );

    // Whole directories too: one moved here while the other works in it, one deleted, one copied.
    let dirs: Vec<PathBuf> = world
        .tree("left")
        .into_iter()
        .filter(|(p, i)| *i == Item::Dir && p.components().count() == 3)
        .map(|(p, _)| p)
        .filter(|p| (2..500).contains(&tree(&world.at("left").join(p)).len()))
        .collect();
    let before = world.tree("left");
    let mut left = Half {
        world: &world,
        side: "left",
        random: Random::new(1),
        lost: Vec::new(),
    };
    left.work(0);
    let mut right = Half {
        world: &world,
        side: "right",
        random: Random::new(2),
        lost: Vec::new(),
    };
    right.work(1);
    if let [a, b, .., c] = dirs.as_slice() {
        fs::rename(world.at("left").join(a), world.at("left").join("a directory, renamed")).unwrap();
        fs::remove_dir_all(world.at("right").join(b)).unwrap();
        copy(
            &world.at("left").join(c),
            &world.at("left").join("a directory, copied"),
            usize::MAX,
        );
    }
    let mut wrote: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    for side in ["left", "right"] {
        for (path, item) in world.tree(side) {
            if let Item::File { bytes, .. } = item {
                wrote.insert(bytes, format!("{side}/{}", path.display()));
            }
        }
    }

    let run = say("after hundreds of changes on both sides");
    // What was deleted with its directory here and edited there lives, and is told.
    assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
    if run.code == Some(1) {
        eprintln!(
            "{}",
            run.out
                .lines()
                .filter(|l| l.starts_with("Conflict"))
                .collect::<Vec<_>>()
                .join("\n")
        );
    }
    world.assert_equal();
    if cfg!(unix) {
        let diff = std::process::Command::new("diff")
            .args(["-r", "--no-dereference", "-x", ".bifold"])
            .arg(world.at("left"))
            .arg(world.at("right"))
            .output();
        if let Ok(diff) = diff {
            assert!(diff.status.success(), "diff -r: {}", String::from_utf8_lossy(&diff.stdout));
        }
    }
    let mut there: std::collections::BTreeSet<Vec<u8>> = std::collections::BTreeSet::new();
    for side in ["left", "right"] {
        there.extend(tree(&world.at(side)).into_values().filter_map(|item| {
            if let Item::File { bytes, .. } = item {
                Some(bytes)
            } else {
                None
            }
        }));
    }
    let lost: Vec<&String> = wrote
        .iter()
        .filter(|(bytes, _)| !there.contains(*bytes))
        .map(|(_, path)| path)
        .collect();
    assert!(lost.is_empty(), "in no folder and no history: {lost:#?}");
    for bytes in left.lost.iter().chain(&right.lost) {
        assert!(there.contains(bytes), "what one deleted is in the history of the other");
    }
    let unchanged = world
        .tree("left")
        .into_iter()
        .filter(|(path, item)| before.get(path) == Some(item))
        .count();
    eprintln!("{unchanged} of {} as before", before.len());

    world.json(["--prefer", "newest"]);
    let value = world.json::<&str>([]).0;
    assert_eq!(
        value["applied"],
        json!({ "left": 0, "right": 0 }),
        "the second run does nothing: {value:#}"
    );
    assert_eq!(value["in_sync"], true, "{value:#}");
    say("once more");
}
