//! Every story of `tests/scenarios/` that real directories can show, against the real program. A device is a directory; a settling
//! runs `bifold sync` for each pair of devices that see each other, until nothing changes. `BIFOLD_STORY=06` plays those whose
//! names begin so. What only the simulated world can show (a power cut, a disk that folds names, a moment between two steps) is
//! played there, and skipped here; how many are is printed.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test on directories of its own"
)]

use bifold_testkit::disk::Thing;
use bifold_testkit::story::{Act, Ending, Only, Order, PickSide, Rule, Stage, Story, play};
use bifold_testkit::world::{Listed, ListedProblem, Listing};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Rounds of syncing all pairs after which it must be quiet.
const ROUNDS: usize = 12;

struct Real {
    top: tempfile::TempDir,
    devices: Vec<String>,
    parted: Vec<(usize, usize)>,
    ignore: Vec<String>,
    prefer: Option<Rule>,
    allow: bool,
    picks: Vec<(usize, String, PickSide)>,
    listing: Listing,
}

impl Real {
    fn new(story: &Story) -> Real {
        let top = tempfile::tempdir().unwrap();
        for device in &story.devices {
            fs::create_dir(top.path().join(device)).unwrap();
        }
        Real {
            top,
            devices: story.devices.clone(),
            parted: Vec::new(),
            ignore: Vec::new(),
            prefer: None,
            allow: false,
            picks: Vec::new(),
            listing: Listing::default(),
        }
    }

    fn root(&self, device: usize) -> PathBuf {
        self.top.path().join(&self.devices[device])
    }

    fn at(&self, device: usize, path: &str) -> PathBuf {
        self.root(device).join(path)
    }

    fn index(&self) -> PathBuf {
        self.top.path().join("home/index.db")
    }

    /// One run for a pair: what it listed, in the words of stories.
    fn sync(&self, a: usize, b: usize) -> Result<Listing, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bifold"));
        command.arg("sync").arg(self.root(a)).arg(self.root(b)).arg("--json");
        command.arg("--home").arg(self.top.path().join("home"));
        for pattern in &self.ignore {
            command.arg("--ignore").arg(pattern);
        }
        if self.allow {
            command.arg("--allow-mass-change");
        }
        let side = |d: usize| match d {
            _ if d == a => Some("left"),
            _ if d == b => Some("right"),
            _ => None,
        };
        let rule = match self.prefer {
            Some(Rule::Newest) => Some("newest"),
            Some(Rule::Both) => Some("both"),
            Some(Rule::Device(d)) => side(d),
            Some(Rule::Ask) | None => None,
        };
        command.args(rule.iter().flat_map(|rule| ["--prefer", rule]));
        for (at, path, pick) in self.picks.iter().filter(|(at, _, _)| *at == a || *at == b) {
            let pick = match pick {
                PickSide::Device(d) => side(*d),
                PickSide::Both => Some("both"),
                PickSide::Delete => Some("delete"),
            };
            let _ = at;
            command.args(
                pick.iter()
                    .flat_map(|pick| ["--resolve".to_owned(), format!("{path}={pick}")]),
            );
        }
        let out = command.output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let told: Value =
            serde_json::from_str(text.trim()).map_err(|e| format!("{e}: {text} {}", String::from_utf8_lossy(&out.stderr)))?;
        let mut listing = Listing::default();
        if out.status.code() == Some(2) {
            listing.refused = Some(told["error"].as_str().unwrap_or_default().to_owned());
            return Ok(listing);
        }
        let name = |value: &Value| match value.as_str() {
            Some("left") => Some(self.devices[a].clone()),
            Some("right") => Some(self.devices[b].clone()),
            _ => None,
        };
        let list = |key: &str| told[key].as_array().cloned().unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for conflict in list("conflicts") {
            let mut one = Listed {
                path: word(&conflict["path"]),
                kind: word(&conflict["kind"]),
                base: conflict["base"]["content"].as_str().map(str::to_owned),
                sides: Vec::new(),
            };
            for side in conflict["sides"].as_array().into_iter().flatten() {
                let content = side["content"].as_str().map(str::to_owned);
                let who = name(&side["replica"]);
                match one.sides.iter_mut().find(|(_, c)| *c == content) {
                    Some((known, _)) => known.extend(who),
                    None => one.sides.push((who.into_iter().collect(), content)),
                }
            }
            listing.conflicts.push(one);
        }
        for problem in list("problems") {
            let device = name(&problem["replica"]).unwrap_or_default();
            if problem["kind"] == "halted" {
                listing.halted.insert(device, word(&problem["message"]));
            } else {
                listing.problems.insert(ListedProblem {
                    device,
                    path: word(&problem["path"]),
                    kind: word(&problem["kind"]),
                });
            }
        }
        listing.held.extend(list("held").iter().filter_map(|h| name(&h["replica"])));
        listing.copied = told["bytes"]["copied"].as_u64().unwrap_or(0);
        listing.applied = ["left", "right"].iter().filter_map(|s| told["applied"][s].as_u64()).sum();
        Ok(listing)
    }

    fn settle(&mut self) -> Result<(), String> {
        let mut pairs = Vec::new();
        for a in 0..self.devices.len() {
            pairs.extend(
                (a + 1..self.devices.len())
                    .map(|b| (a, b))
                    .filter(|pair| !self.parted.contains(pair)),
            );
        }
        let mut copied = 0;
        for _ in 0..ROUNDS {
            let before: Vec<_> = (0..self.devices.len()).map(|d| self.tree(d)).collect();
            let mut round = Listing::default();
            for (a, b) in &pairs {
                round.add(self.sync(*a, *b)?);
            }
            self.picks.clear();
            copied += round.copied;
            let quiet = round.applied == 0 && before == (0..self.devices.len()).map(|d| self.tree(d)).collect::<Vec<_>>();
            self.listing = round;
            if quiet {
                self.allow = false;
                self.listing.copied = copied;
                return Ok(());
            }
        }
        Err("it does not come to rest".to_owned())
    }

    fn act(&self, d: usize, act: &Act) {
        let above = |path: &str| fs::create_dir_all(self.at(d, path).parent().unwrap()).unwrap();
        match act {
            Act::Write(path, bytes) => {
                above(path);
                fs::write(self.at(d, path), bytes).unwrap();
            }
            Act::Append(path, bytes) => {
                let old = fs::read(self.at(d, path)).unwrap();
                fs::write(self.at(d, path), [old, bytes.clone()].concat()).unwrap();
            }
            Act::Save(path, bytes) => {
                above(path);
                let aside = self.at(d, &format!("{path}.saving"));
                fs::write(&aside, bytes).unwrap();
                fs::rename(aside, self.at(d, path)).unwrap();
            }
            Act::Move(from, to) => {
                above(to);
                fs::rename(self.at(d, from), self.at(d, to)).unwrap();
            }
            Act::Swap(a, b) => {
                let aside = self.top.path().join("swapping");
                fs::rename(self.at(d, a), &aside).unwrap();
                fs::rename(self.at(d, b), self.at(d, a)).unwrap();
                fs::rename(aside, self.at(d, b)).unwrap();
            }
            Act::Delete(path) => {
                let path = self.at(d, path);
                let gone = if fs::symlink_metadata(&path).unwrap().is_dir() {
                    fs::remove_dir_all(path)
                } else {
                    fs::remove_file(path)
                };
                gone.unwrap();
            }
            Act::Mkdir(path) => fs::create_dir_all(self.at(d, path)).unwrap(),
            Act::Link(path, target) => {
                above(path);
                symlink(target, self.at(d, path)).unwrap();
            }
            Act::HardLink(path, second) => {
                above(second);
                fs::hard_link(self.at(d, path), self.at(d, second)).unwrap();
            }
            Act::Chmod(path, exec) => {
                fs::set_permissions(
                    self.at(d, path),
                    fs::Permissions::from_mode(if *exec { 0o755 } else { 0o644 }),
                )
                .unwrap();
            }
            Act::Touch(path, ns) => {
                let gap = Duration::from_nanos(ns.unsigned_abs());
                let time = if *ns < 0 { UNIX_EPOCH - gap } else { UNIX_EPOCH + gap };
                fs::File::options()
                    .write(true)
                    .open(self.at(d, path))
                    .unwrap()
                    .set_modified(time)
                    .unwrap();
            }
            Act::Fifo(path) => {
                above(path);
                assert!(Command::new("mkfifo").arg(self.at(d, path)).status().unwrap().success());
            }
            Act::Fill(dir, count) => {
                fs::create_dir_all(self.at(d, dir)).unwrap();
                for i in 1..=*count {
                    fs::write(self.at(d, &format!("{dir}/{i}")), format!("file {i} of {dir}")).unwrap();
                }
            }
            Act::All(acts) => acts.iter().for_each(|act| self.act(d, act)),
        }
    }
}

/// Whether real directories can show what a line says.
fn is_real(order: &Order) -> bool {
    let plain = |order: &Order| {
        !matches!(
            order,
            Order::Disk(..)
                | Order::Meanwhile(..)
                | Order::Applying(..)
                | Order::Settle(Ending::Killed | Ending::Cut)
                | Order::Crash
                | Order::Wait(_)
                | Order::Unreadable(..)
                | Order::Unwritable(..)
                | Order::Room(..)
        )
    };
    plain(order)
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

impl Stage for Real {
    fn order(&mut self, order: &Order) -> Result<(), String> {
        match order {
            Order::User(d, act) => self.act(*d, act),
            Order::Settle(_) => self.settle()?,
            Order::Part(a, b) => self.parted.push((*a.min(b), *a.max(b))),
            Order::Join(a, b) => self.parted.retain(|pair| *pair != (*a.min(b), *a.max(b))),
            Order::Ignore(pattern) => self.ignore.push(pattern.clone()),
            Order::Prefer(rule) => self.prefer = Some(*rule),
            Order::Allow => self.allow = true,
            Order::Pick(d, path, side) => self.picks.push((*d, path.clone(), *side)),
            Order::Unmount(d) => {
                fs::rename(self.root(*d), self.top.path().join(format!("unmounted {d}"))).unwrap();
                fs::create_dir(self.root(*d)).unwrap();
            }
            Order::OtherDisk(d) => {
                fs::rename(self.root(*d), self.top.path().join(format!("unmounted {d}"))).unwrap();
                fs::create_dir(self.root(*d)).unwrap();
            }
            Order::Mount(d) => {
                fs::remove_dir_all(self.root(*d)).unwrap();
                fs::rename(self.top.path().join(format!("unmounted {d}")), self.root(*d)).unwrap();
            }
            Order::EmptyRoot(d) => {
                fs::remove_dir_all(self.root(*d)).unwrap();
                fs::create_dir(self.root(*d)).unwrap();
            }
            Order::LoseIndex => fs::remove_dir_all(self.top.path().join("home")).unwrap(),
            Order::SnapshotIndex(name) => copy(&self.index(), &self.top.path().join(format!("index {name}"))),
            Order::RestoreIndex(name) => copy(&self.top.path().join(format!("index {name}")), &self.index()),
            Order::SnapshotFiles(d, name) => copy(&self.root(*d), &self.top.path().join(format!("files {d} {name}"))),
            Order::RestoreFiles(d, name) => {
                fs::remove_dir_all(self.root(*d)).unwrap();
                copy(&self.top.path().join(format!("files {d} {name}")), &self.root(*d));
            }
            _ => {}
        }
        Ok(())
    }

    fn tree(&self, device: usize) -> BTreeMap<String, Thing> {
        let mut tree = BTreeMap::new();
        let root = self.root(device);
        let mut todo = vec![root.clone()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let shown = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                if shown == ".bifold" {
                    continue;
                }
                let meta = fs::symlink_metadata(&path).unwrap();
                let thing = if meta.is_dir() {
                    todo.push(path);
                    Thing::Dir
                } else if meta.is_symlink() {
                    Thing::Link(fs::read_link(path).unwrap().to_string_lossy().into_owned())
                } else if meta.is_file() {
                    Thing::File {
                        bytes: Arc::new(fs::read(path).unwrap()),
                        exec: Some(meta.mode() & 0o100 != 0),
                        mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
                    }
                } else {
                    Thing::Special("fifo")
                };
                tree.insert(shown, thing);
            }
        }
        tree
    }

    fn history(&self, device: usize) -> Vec<Vec<u8>> {
        let kept = fs::read_dir(self.at(device, ".bifold/history")).into_iter().flatten();
        kept.filter_map(|entry| fs::read(entry.unwrap().path()).ok()).collect()
    }

    fn names_on_disk(&self, device: usize) -> Vec<String> {
        fs::read_dir(self.root(device))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    fn listing(&self) -> &Listing {
        &self.listing
    }
}

#[test]
fn stories_by_the_real_program() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let only = std::env::var("BIFOLD_STORY").unwrap_or_default();
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(&only));
    files.sort();
    let (mut played, mut skipped, mut failed) = (0, 0, Vec::new());
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let story = match fs::read_to_string(file).unwrap().parse::<Story>() {
            Ok(story) if story.only == Only::Simulated || !story.lines.iter().all(|line| is_real(&line.order)) => {
                skipped += 1;
                continue;
            }
            Ok(story) => story,
            Err(e) => {
                failed.push(format!("{name}: {e}"));
                continue;
            }
        };
        played += 1;
        let stage = std::panic::catch_unwind(|| play(&story, &mut Real::new(&story)));
        if let Err(message) = stage.unwrap_or_else(|_| Err("it panicked: see above".to_owned())) {
            failed.push(format!("{name}: {message}"));
        }
    }
    println!("{played} stories by the real program, {skipped} for the simulated world only");
    assert!(
        failed.is_empty(),
        "{} of {played} stories failed:\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
    assert!(played > 0, "no stories");
}
