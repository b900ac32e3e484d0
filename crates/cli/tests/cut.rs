//! The power fails between any two things that the program asks of the disk. It works on a disk of our own (`bifold-testcut`), which forgets
//! what was not synced; then it is started again, and all must end as if nothing had been.
//!
//! A run takes some of all states; `BIFOLD_CUTS=N` takes N of each workload, `BIFOLD_CUTS=all` all of them, and some 10,000
//! of those that are cut twice (17 minutes), and `BIFOLD_SEED` other random ones. With `--nocapture` they say how many there were.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

mod world;

use bifold_testcut::{Body, Bytes, Disk, Loss, Model, Mounted, Node, Op, Recording, Watched, after, after_in_one, may_watch};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use world::mounts::with_own_mounts;
use world::{Item, Run, Tree, World};

/// So many states of a workload are tried, if nothing else is said.
const FEW: usize = 25;
/// So many random losses at each point, of each kind.
const RANDOM: u64 = 2;
/// So often the program may be started until it is done.
const RUNS: usize = 3;

/// What is on the disk, and what the program is to sync then.
struct Workload {
    name: &'static str,
    /// Two names that were given to the same: which one stays depends on what was noted first.
    either: Option<[&'static str; 2]>,
    /// What both sides have; synced before all else, if this is not the first sync.
    before: fn(&Path),
    is_first: bool,
    /// What people did since.
    changes: fn(&Path),
}

/// What came of a workload whose power did not fail.
struct Uncut {
    recording: Recording,
    left: Tree,
    right: Tree,
    conflicts: BTreeSet<(String, String)>,
    either: Option<[&'static str; 2]>,
    code: i32,
    /// All that people wrote.
    wrote: HashSet<Arc<Vec<u8>>>,
}

fn put(path: PathBuf, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Bytes that are not alike.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (x >> 8) as u8
    })
    .take(length)
    .collect()
}

/// Saves as editors do: another file in its place.
fn save(path: PathBuf, bytes: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    put(new.clone(), bytes);
    fs::rename(new, path).unwrap();
}

const EVERYDAY: Workload = Workload {
    name: "everyday",
    before: |at| {
        put(at.join("left/keep"), "keep");
        put(at.join("left/edit"), "edit: old");
        put(at.join("left/saved"), noise(1, 9000));
        put(at.join("left/gone"), "gone");
        put(at.join("left/dir/deep/file"), "deep");
        put(at.join("left/dir/other"), "other");
        put(at.join("left/run.sh"), "#!/bin/sh\n");
        put(at.join("left/becomes"), "a file that becomes a directory");
        put(at.join("left/large"), noise(2, 90_000));
        symlink("keep", at.join("left/link")).unwrap();
    },
    is_first: false,
    either: None,
    changes: |at| {
        put(at.join("left/new"), "new");
        put(at.join("left/more/new"), noise(3, 6000));
        put(at.join("left/edit"), "edit: new");
        save(at.join("left/saved"), noise(4, 9000));
        fs::remove_file(at.join("left/gone")).unwrap();
        fs::set_permissions(at.join("left/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(at.join("left/becomes")).unwrap();
        put(at.join("left/becomes/inside"), "inside");
        let large = [noise(2, 40_000), noise(5, 5000), noise(2, 90_000)[45_000..].to_vec()].concat();
        put(at.join("left/large"), large);
        symlink("new", at.join("left/link2")).unwrap();
        fs::remove_file(at.join("left/link")).unwrap();
        symlink("edit", at.join("left/link")).unwrap();
        fs::rename(at.join("right/dir"), at.join("right/dir2")).unwrap();
        put(at.join("right/there"), "there");
    },
};

const FEW_CHANGES: Workload = Workload {
    name: "few changes",
    before: EVERYDAY.before,
    is_first: false,
    either: None,
    changes: |at| {
        put(at.join("left/new"), "new");
        save(at.join("left/saved"), noise(4, 9000));
        fs::remove_file(at.join("left/gone")).unwrap();
        fs::rename(at.join("right/dir"), at.join("right/dir2")).unwrap();
    },
};

const FIRST: Workload = Workload {
    name: "first contact",
    before: |at| {
        for side in ["left", "right"] {
            put(at.join(side).join("both"), "the same on both sides");
            put(at.join(side).join("dir").join(side), format!("only {side}"));
            put(at.join(side).join("large"), noise(7, 50_000));
        }
        put(at.join("left/empty"), "");
        put(at.join("right/run"), "run");
        fs::set_permissions(at.join("right/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("both", at.join("right/link")).unwrap();
    },
    is_first: true,
    either: None,
    changes: |_| {},
};

const MANY: Workload = Workload {
    name: "many",
    before: |at| {
        for i in 0..40 {
            put(at.join(format!("left/d{}/{i}", i % 3)), format!("file {i}: old"));
        }
    },
    is_first: false,
    either: None,
    changes: |at| {
        for i in 0..40 {
            let path = at.join(format!("left/d{}/{i}", i % 3));
            match i % 5 {
                0 => put(path, format!("file {i}: new")),
                1 => fs::remove_file(path).unwrap(),
                2 => fs::rename(&path, at.join(format!("left/d1/moved {i}"))).unwrap(),
                3 => put(at.join(format!("right/e/{i}")), format!("file {i} on the right")),
                _ => {}
            }
        }
    },
};

const PLACES: Workload = Workload {
    name: "places",
    before: |at| {
        for name in ["a", "b", "c", "x/1", "y/2", "d/f"] {
            put(at.join("left").join(name), format!("was {name}"));
        }
        put(at.join("left/t"), "was a file");
    },
    is_first: false,
    either: None,
    changes: |at| {
        let mv = |from: &str, to: &str| fs::rename(at.join(from), at.join(to)).unwrap();
        // Round, for each other, and a file and a directory for each other.
        mv("left/a", "left/aside");
        mv("left/b", "left/a");
        mv("left/c", "left/b");
        mv("left/aside", "left/c");
        mv("right/x", "right/aside");
        mv("right/y", "right/x");
        mv("right/aside", "right/y");
        mv("left/t", "left/aside");
        mv("left/d", "left/t");
        mv("left/aside", "left/d");
    },
};

const CONFLICTS: Workload = Workload {
    name: "conflicts",
    before: |at| {
        for name in ["both", "deleted", "same", "moved/x", "mode"] {
            put(at.join("left").join(name), format!("{name}: old"));
        }
    },
    is_first: false,
    either: Some(["moved here", "moved there"]),
    changes: |at| {
        put(at.join("left/both"), "both: left");
        put(at.join("right/both"), "both: right!");
        fs::remove_file(at.join("left/deleted")).unwrap();
        put(at.join("right/deleted"), "deleted: edited");
        put(at.join("left/created"), "created: left");
        put(at.join("right/created"), "created: right!");
        for side in ["left", "right"] {
            put(at.join(side).join("same"), "same: new on both sides");
        }
        fs::rename(at.join("left/moved"), at.join("left/moved here")).unwrap();
        fs::rename(at.join("right/moved"), at.join("right/moved there")).unwrap();
    },
};

fn sync_command(world: &World) -> Command {
    let mut command = world.command();
    command.args(["sync", "disk/left", "disk/right", "--home", "disk/home", "--json"]);
    command
}

fn parse(run: &Run) -> Result<(Value, i32), String> {
    match (serde_json::from_str(&run.out), run.code) {
        (Ok(value), Some(code @ (0 | 1))) => Ok((value, code)),
        _ => Err(format!("it ended badly: {run:?}")),
    }
}

fn conflicts(value: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = value["conflicts"].as_array().unwrap();
    list.iter().map(|c| (text(&c["path"]), text(&c["kind"]))).collect()
}

fn item(node: &Node) -> Item {
    match &node.body {
        Body::Dir(_) => Item::Dir,
        Body::Link(to) => Item::Link(to.clone()),
        Body::Socket => Item::Special,
        Body::File(bytes) => Item::File {
            bytes: bytes.to_vec(),
            exec: node.mode & 0o100 != 0,
        },
    }
}

fn side(disk: &Disk, side: &str) -> Tree {
    let all = disk.below(Path::new(side)).into_iter();
    all.filter(|(path, _)| !path.starts_with(".bifold"))
        .map(|(path, node)| (path, item(node)))
        .collect()
}

/// All files of both sides and their histories.
fn contents(disk: &Disk) -> BTreeMap<PathBuf, Arc<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for side in ["left", "right"] {
        for (path, node) in disk.below(Path::new(side)) {
            let own = path.starts_with(".bifold") && !path.starts_with(".bifold/history");
            if let (false, Body::File(bytes)) = (own, &node.body) {
                all.insert(Path::new(side).join(path), bytes.clone());
            }
        }
    }
    all
}

/// Records what the program does with a workload.
fn record(world: &World, workload: &Workload) -> Uncut {
    let at = world.at("disk");
    let disk = Mounted::new(&at, &Disk::new()).unwrap();
    for side in ["left", "right"] {
        fs::create_dir(at.join(side)).unwrap();
    }
    (workload.before)(&at);
    if !workload.is_first {
        let (value, code) = parse(&world::run(&mut sync_command(world))).unwrap();
        assert!(code == 0 && value["in_sync"] == true, "{value:#}");
    }
    (workload.changes)(&at);
    disk.begin();
    let mut command = sync_command(world);
    let mut watched = Watched::start(command.stdout(Stdio::piped())).unwrap();
    let status = watched.attend(&disk).unwrap();
    let out = watched.child.wait_with_output().unwrap().stdout;
    let value: Value = serde_json::from_slice(&out).unwrap();
    let (recording, end) = (disk.recording(), disk.disk());
    let uncut = Uncut {
        left: side(&end, "left"),
        right: side(&end, "right"),
        conflicts: conflicts(&value),
        either: workload.either,
        code: status.code().unwrap(),
        wrote: contents(&recording.base).into_values().collect(),
        recording,
    };
    uncut.judge(&end).unwrap();
    uncut
}

impl Uncut {
    /// Whether all that people wrote is there, and nothing else.
    fn judge(&self, disk: &Disk) -> Result<(), String> {
        let contents = contents(disk);
        let there: HashSet<&Arc<Vec<u8>>> = contents.values().collect();
        let text = |bytes: &Arc<Vec<u8>>| {
            format!(
                "{} bytes, {:?}",
                bytes.len(),
                String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
            )
        };
        if let Some(lost) = self.wrote.iter().find(|bytes| !there.contains(bytes)) {
            return Err(format!("lost: {}", text(lost)));
        }
        if let Some((path, strange)) = contents.iter().find(|(_, bytes)| !self.wrote.contains(*bytes)) {
            return Err(format!("{} holds what nobody wrote: {}", path.display(), text(strange)));
        }
        let [left, right] = self.sides(disk);
        for (side_name, found, expected) in [("left", left, &self.left), ("right", right, &self.right)] {
            if found != *expected {
                let paths: BTreeSet<&PathBuf> = found.keys().chain(expected.keys()).collect();
                let differs = paths.into_iter().filter(|path| found.get(*path) != expected.get(*path));
                let differs: Vec<String> = differs
                    .map(|path| format!("{}: {:?}, not {:?}", path.display(), found.get(path), expected.get(path)))
                    .collect();
                return Err(format!("the {side_name} side differs: {}", differs.join("; ")));
            }
            for own in ["stage", "tmp", "partial"] {
                let left = disk.below(&Path::new(side_name).join(".bifold").join(own));
                if !left.is_empty() {
                    return Err(format!("{side_name}/.bifold/{own} is not empty: {:?}", left.keys()));
                }
            }
        }
        Ok(())
    }

    /// What both sides show. Where both of two names could have stayed, and both sides have the same one, it is that which stayed before.
    fn sides(&self, disk: &Disk) -> [Tree; 2] {
        let sides = ["left", "right"].map(|name| side(disk, name));
        let Some([one, other]) = self.either else { return sides };
        let has = |name: &str| sides.each_ref().map(|side| side.contains_key(Path::new(name)));
        let (from, to) = match (has(one), has(other), self.left.contains_key(Path::new(one))) {
            ([true, true], [false, false], false) => (one, other),
            ([false, false], [true, true], true) => (other, one),
            _ => return sides,
        };
        let renamed = |path: PathBuf| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from(to),
            Ok(rest) => Path::new(to).join(rest),
            Err(_) => path,
        };
        sides.map(|side| side.into_iter().map(|(path, item)| (renamed(path), item)).collect())
    }

    /// Whether these are the conflicts that are to be. Of deletions and names, what was done already but not noted yet looks as if a person
    /// had decided it so; which is what would be done anyway.
    fn are_right(&self, found: &BTreeSet<(String, String)>) -> bool {
        let open = |all: &BTreeSet<(String, String)>| -> BTreeSet<(String, String)> {
            all.iter().filter(|(_, kind)| kind == "content").cloned().collect()
        };
        let may_be = |(path, kind): &(String, String)| {
            let same = self.either.is_some_and(|names| names.contains(&path.as_str()));
            self.conflicts.iter().any(|(p, k)| k == kind && (p == path || same))
        };
        open(found) == open(&self.conflicts) && found.iter().all(may_be)
    }

    /// Starts the program on a disk as the power cut left it, until it is done, and looks at what it made of it.
    fn restart(&self, world: &World, disk: &Disk) -> Result<(), String> {
        let disk = Mounted::new(&world.at("disk"), disk).unwrap();
        let mut runs = 0;
        let value = loop {
            let (value, code) = parse(&world::run(&mut sync_command(world)))?;
            runs += 1;
            if code == self.code && self.are_right(&conflicts(&value)) && (code == 1 || value["in_sync"] == true) {
                break value;
            }
            if runs == RUNS {
                return Err(format!(
                    "not done, or other conflicts than {:?}: {code}, {value}",
                    self.conflicts
                ));
            }
        };
        if value["problems"] != serde_json::json!([]) || value["held"] != serde_json::json!([]) {
            return Err(format!("problems: {value}"));
        }
        self.judge(&disk.disk())?;
        let (value, _) = parse(&world::run(&mut sync_command(world)))?;
        if value["applied"] != serde_json::json!({ "left": 0, "right": 0 }) {
            return Err(format!("it was not done: {value}"));
        }
        self.judge(&disk.disk())
    }
}

/// A state of the disk: how many steps were taken, and what was lost.
type State = (usize, Loss);

/// What may be lost, whatever the step.
fn losses(seed: u64) -> Vec<Loss> {
    let mut losses = vec![
        Loss::All(Model::Each),
        Loss::Bytes,
        Loss::Lengths,
        Loss::All(Model::Journal),
        Loss::Nothing,
    ];
    for seed in (0..RANDOM).map(|i| seed.wrapping_add(i)) {
        for model in [Model::Each, Model::Journal] {
            for bytes in [Bytes::InOrder, Bytes::Pages] {
                losses.push(Loss::Some { model, bytes, seed });
            }
        }
    }
    losses
}

/// How many points states are of.
fn points_of(states: &[State]) -> usize {
    states.iter().map(|(point, _)| point).collect::<HashSet<_>>().len()
}

/// States in which a power cut may leave a disk, each once: so many, from all parts of the recording, or all. And of how many points
/// they are: what is left after several of them may be the same.
fn states(recording: &Recording, count: Option<usize>) -> (Vec<State>, usize) {
    let losses = losses(seed());
    let points = recording.steps.len() + 1;
    let all: Vec<State> = match count {
        None => (0..points)
            .flat_map(|point| losses.iter().map(move |loss| (point, *loss)))
            .collect(),
        // (A number that has no divisor in common with theirs: each loss at all sorts of points.)
        Some(count) => (0..count)
            .map(|i| ((i + 1) * points / (count + 1), losses[i % losses.len()]))
            .collect(),
    };
    let (points, mut seen) = (points_of(&all), HashSet::new());
    let different = all
        .into_iter()
        .filter(|(point, loss)| seen.insert(after(recording, *point, *loss).print()));
    (different.collect(), points)
}

/// The last steps before a cut, for people.
fn last_steps(recording: &Recording, count: usize) -> String {
    let from = count.saturating_sub(12);
    let lines = recording.steps[from..count].iter().zip(from..);
    lines.map(|(step, i)| format!("      {i}: {}\n", step.op)).collect()
}

fn seed() -> u64 {
    std::env::var("BIFOLD_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// How many states of a workload are to be tried; all of them if there is no number.
fn tries() -> Option<usize> {
    match std::env::var("BIFOLD_CUTS") {
        Ok(text) if text == "all" => None,
        Ok(text) => Some(
            text.parse()
                .unwrap_or_else(|e| panic!("BIFOLD_CUTS is a number, or `all`: {e}")),
        ),
        Err(_) => Some(FEW),
    }
}

/// Tries states, and returns what is wrong with some of them; only the first, if that is enough.
fn try_all(world: &World, uncut: &Uncut, states: &[State], one_is_enough: bool) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let wrong: Mutex<Vec<String>> = Mutex::default();
    let work = || {
        while let Some((count, loss)) = states.get(next.fetch_add(1, Ordering::Relaxed)) {
            let left = after(&uncut.recording, *count, *loss);
            if let Err(e) = uncut.restart(world, &left) {
                let steps = last_steps(&uncut.recording, *count);
                wrong
                    .lock()
                    .unwrap()
                    .push(format!("after {count} steps, lost {loss:?}: {e}\n{steps}"));
            }
            if one_is_enough && !wrong.lock().unwrap().is_empty() {
                break;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    std::thread::scope(|scope| {
        // Each has the disk at the same path, and sees only its own.
        for _ in 0..threads {
            scope.spawn(|| with_own_mounts(work));
        }
    });
    wrong.into_inner().unwrap()
}

/// A world with a place for the disk, in which this can be done; says so if it cannot.
fn with_disks(work: impl FnOnce(&World) + Send) {
    let world = World::new();
    world.mkdir("disk");
    with_own_mounts(|| {
        if let Err(e) = Mounted::new(&world.at("disk"), &Disk::new()) {
            return world::skip(&format!(
                "FUSE is needed (/dev/fuse, and the right to mount), and there is none: {e}"
            ));
        }
        if let Err(e) = may_watch() {
            return world::skip(&format!(
                "a filter of system calls (seccomp) is needed, and there is none: {e}"
            ));
        }
        work(&world);
    });
}

/// Tells at how many of the points the power was cut, and how many different states that left; fails if something is wrong with one.
fn report(what: &str, points: usize, cut: usize, tried: usize, wrong: &[String], start: Instant) {
    eprintln!(
        "{what}: the power was cut at {cut} of {points} points; {tried} different states tried, {} wrong; {:.1?}",
        wrong.len(),
        start.elapsed()
    );
    println!("{what}, counted: {cut} cut points, {tried} crashes");
    let some = wrong.len().min(20);
    assert!(
        wrong.is_empty(),
        "{what}: {} of {tried} are wrong:\n{}",
        wrong.len(),
        wrong[..some].join("\n")
    );
}

fn cut(workload: &Workload) {
    with_disks(|world| {
        let start = Instant::now();
        let uncut = record(world, workload);
        let (states, cut) = states(&uncut.recording, tries());
        let wrong = try_all(world, &uncut, &states, false);
        let points = uncut.recording.steps.len() + 1;
        report(workload.name, points, cut, states.len(), &wrong, start);
    });
}

#[test]
fn power_fails_while_everyday_changes_are_synced() {
    cut(&EVERYDAY);
}

#[test]
fn power_fails_while_few_changes_are_synced() {
    cut(&FEW_CHANGES);
}

#[test]
fn power_fails_at_the_first_contact() {
    cut(&FIRST);
}

#[test]
fn power_fails_while_many_changes_are_synced() {
    cut(&MANY);
}

#[test]
fn power_fails_while_things_take_each_others_places() {
    cut(&PLACES);
}

#[test]
fn power_fails_while_conflicts_are_found() {
    cut(&CONFLICTS);
}

/// The power fails again while the program deals with what the first cut left.
#[test]
fn power_fails_again() {
    with_disks(|world| {
        let start = Instant::now();
        let mut uncut = record(world, &EVERYDAY);
        // Of many, every so many-th.
        let (first, then) = tries().map_or((120, 120), |few| (few.div_ceil(8), 8));
        let (mut points, mut cut, mut tried, mut wrong) = (0, 0, 0, Vec::new());
        for (count, loss) in states(&uncut.recording, Some(first)).0 {
            let once = after(&uncut.recording, count, loss);
            let disk = Mounted::new(&world.at("disk"), &once).unwrap();
            let mut watched = Watched::start(sync_command(world).stdout(Stdio::null())).unwrap();
            watched.attend(&disk).unwrap();
            let recording = disk.recording();
            drop(disk);
            points += recording.steps.len() + 1;
            let before = std::mem::replace(&mut uncut.recording, recording);
            let (states, some) = states(&uncut.recording, Some(then));
            cut += some;
            tried += states.len();
            let what = |e| format!("first after {count} steps, lost {loss:?}; then {e}");
            wrong.extend(try_all(world, &uncut, &states, false).into_iter().map(what));
            uncut.recording = before;
        }
        report("cut twice", points, cut, tried, &wrong, start);
    });
}

/// A daemon on the disk: its home is `disk/home-NAME`, its folder `disk/NAME`.
struct Device<'w> {
    world: &'w World,
    name: &'static str,
    process: Option<Child>,
}

impl<'w> Device<'w> {
    fn command(world: &World, name: &str) -> Command {
        let mut command = world.command();
        command.arg("--home").arg(format!("disk/home-{name}"));
        command
    }

    fn daemon(world: &World, name: &str) -> Command {
        let mut command = Device::command(world, name);
        command.args([
            "daemon",
            "--listen",
            "127.0.0.1:0",
            "--relay",
            "off",
            "--no-lan",
            "--name",
            name,
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn start(world: &'w World, name: &'static str) -> Device<'w> {
        let process = Some(Device::daemon(world, name).spawn().unwrap());
        let device = Device { world, name, process };
        device.answers();
        device
    }

    fn answers(&self) {
        world::until("it answers", || self.ask(&["status"]).code != Some(2));
    }

    fn ask(&self, args: &[&str]) -> Run {
        world::run(Device::command(self.world, self.name).args(args))
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Two devices on one disk, each with its home and folder: the power fails in one of them, and the other is only killed. (One after
/// the other: they find each other at the ports that they had.)
const DEVICES: Workload = Workload {
    name: "two devices",
    before: EVERYDAY.before,
    is_first: true,
    either: None,
    changes: EVERYDAY.changes,
};

/// Waits until both folders are as they are to be in the end.
fn both_show(disk: &Mounted, shown: &dyn Fn(&Tree, &Tree) -> bool) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let now = disk.disk();
        let (left, right) = (side(&now, "left"), side(&now, "right"));
        if shown(&left, &right) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err("they do not agree in time".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn record_devices(world: &World) -> Uncut {
    let at = world.at("disk");
    let disk = Mounted::new(&at, &Disk::new()).unwrap();
    for side in ["left", "right"] {
        fs::create_dir(at.join(side)).unwrap();
    }
    (DEVICES.before)(&at);
    {
        let (left, right) = (Device::start(world, "left"), Device::start(world, "right"));
        left.ask(&["add", "disk/left", "--name", "team"]);
        let ticket = left.ask(&["invite", "team"]).out;
        let joined = right.ask(&["join", ticket.trim().lines().last().unwrap(), "disk/right"]);
        assert_eq!(joined.code, Some(0), "{joined:?}");
        both_show(&disk, &|left, right| left == right).unwrap();
        right.ask(&["status", "--wait", "10"]);
    }
    (DEVICES.changes)(&at);
    let (left, right) = (side(&disk.disk(), "left"), side(&disk.disk(), "right"));
    disk.begin();
    let recording = std::thread::scope(|scope| {
        let mut watched = Watched::start(&mut Device::daemon(world, "right")).unwrap();
        let id = watched.child.id();
        let on = &disk;
        let attended = scope.spawn(move || watched.attend(on).unwrap());
        let sender = Device::start(world, "left");
        let receiver = Device {
            world,
            name: "right",
            process: None,
        };
        receiver.answers();
        both_show(&disk, &|l, r| l == r && *l != left && *r != right).unwrap();
        receiver.ask(&["status", "--wait", "10"]);
        drop(sender);
        // SAFETY: our own child, not waited for.
        unsafe { libc::kill(id as i32, libc::SIGTERM) };
        attended.join().unwrap();
        disk.recording()
    });
    let end = disk.disk();
    let uncut = Uncut {
        left: side(&end, "left"),
        right: side(&end, "right"),
        conflicts: BTreeSet::new(),
        either: None,
        code: 0,
        wrote: contents(&recording.base).into_values().collect(),
        recording,
    };
    uncut.judge(&end).unwrap();
    uncut
}

impl Uncut {
    /// Starts both daemons, until both show what they are to show.
    fn restart_devices(&self, world: &World, disk: &Disk) -> Result<(), String> {
        let disk = Mounted::new(&world.at("disk"), disk).unwrap();
        {
            let (left, right) = (Device::start(world, "left"), Device::start(world, "right"));
            let shown = both_show(&disk, &|left, right| *left == self.left && *right == self.right);
            let told = [&left, &right].map(|device| device.ask(&["status", "--wait", "10"]).out);
            shown.or_else(|e| self.judge(&disk.disk()).map_err(|why| format!("{e}: {why}; {told:?}")))?;
            let conflicts = right.ask(&["conflicts"]);
            if conflicts.code != Some(0) {
                return Err(format!("a conflict that was none: {conflicts:?}"));
            }
        }
        self.judge(&disk.disk())
    }
}

#[test]
fn power_fails_in_a_device_that_receives() {
    with_disks(|world| {
        let start = Instant::now();
        let uncut = record_devices(world);
        let its = uncut.recording.owned(&["right", "home-right"]);
        let (points, losses) = (uncut.recording.steps.len() + 1, losses(seed()));
        let count = tries().map_or(points, |few| few.div_ceil(3));
        let (mut tried, mut wrong) = (HashSet::new(), Vec::new());
        for i in 0..count {
            let (point, loss) = ((i + 1) * points / (count + 1), losses[i % losses.len()]);
            let left = after_in_one(&uncut.recording, point, loss, &its);
            tried.insert(point);
            if let Err(e) = uncut.restart_devices(world, &left) {
                let steps = last_steps(&uncut.recording, point);
                wrong.push(format!("after {point} steps, lost {loss:?}: {e}\n{steps}"));
            }
        }
        report(DEVICES.name, points, tried.len(), count, &wrong, start);
    });
}

/// What people write without waiting for the disk, as most programs do, in a folder that another device has a part in.
fn write_at_ease(at: &Path) {
    put(at.join("left/new"), "new");
    put(at.join("left/more/new"), noise(3, 6000));
    put(at.join("left/edit"), "edit: new");
    save(at.join("left/saved"), noise(4, 9000));
    let large = [noise(2, 40_000), noise(5, 5000), noise(2, 90_000)[45_000..].to_vec()].concat();
    put(at.join("left/large"), large);
}

/// The power fails in the device where people write, once the other one has what they wrote: what that lost is no edit of theirs.
#[test]
fn power_fails_in_a_device_that_has_sent() {
    with_disks(|world| {
        let start = Instant::now();
        let at = world.at("disk");
        let disk = Mounted::new(&at, &Disk::new()).unwrap();
        for side in ["left", "right"] {
            fs::create_dir(at.join(side)).unwrap();
        }
        (DEVICES.before)(&at);
        {
            let (left, right) = (Device::start(world, "left"), Device::start(world, "right"));
            left.ask(&["add", "disk/left", "--name", "team"]);
            let ticket = left.ask(&["invite", "team"]).out;
            let joined = right.ask(&["join", ticket.trim().lines().last().unwrap(), "disk/right"]);
            assert_eq!(joined.code, Some(0), "{joined:?}");
            both_show(&disk, &|left, right| left == right).unwrap();
            right.ask(&["status", "--wait", "10"]);
        }
        disk.begin();
        let recording = std::thread::scope(|scope| {
            let mut watched = Watched::start(&mut Device::daemon(world, "left")).unwrap();
            let id = watched.child.id();
            let on = &disk;
            let attended = scope.spawn(move || watched.attend(on).unwrap());
            let sender = Device {
                world,
                name: "left",
                process: None,
            };
            sender.answers();
            let receiver = Device::start(world, "right");
            write_at_ease(&at);
            let wrote = side(&disk.disk(), "left");
            both_show(&disk, &|l, r| *l == wrote && *r == wrote).unwrap();
            receiver.ask(&["status", "--wait", "10"]);
            sender.ask(&["status", "--wait", "10"]);
            // SAFETY: our own child, not waited for.
            unsafe { libc::kill(id as i32, libc::SIGKILL) };
            attended.join().unwrap();
            drop(receiver);
            disk.recording()
        });
        let end = disk.disk();
        let uncut = Uncut {
            left: side(&end, "left"),
            right: side(&end, "right"),
            conflicts: BTreeSet::new(),
            either: None,
            code: 0,
            wrote: contents(&end).into_values().collect(),
            recording,
        };
        drop(disk);
        uncut.judge(&end).unwrap();
        let its = uncut.recording.owned(&["left", "home-left"]);
        let (points, losses) = (uncut.recording.steps.len(), losses(seed()));
        let mut wrong = Vec::new();
        for loss in &losses {
            let left = after_in_one(&uncut.recording, points, *loss, &its);
            if let Err(e) = uncut.restart_devices(world, &left) {
                wrong.push(format!("lost {loss:?}: {e}"));
            }
        }
        report("a device that has sent", points + 1, 1, losses.len(), &wrong, start);
    });
}

/// A test of these tests: with a program that does not wait for the disk, they find something.
#[test]
fn a_program_that_forgets_to_sync_is_found_out() {
    with_disks(|world| {
        let mut uncut = record(world, &EVERYDAY);
        // What is synced of the index and the markers stays.
        let base = &uncut.recording.base;
        let at = |path: &str| base.find(Path::new(path)).unwrap();
        let dirs = [at("home"), at("left/.bifold"), at("right/.bifold")];
        let mut own = HashSet::from(dirs);
        own.insert(at("home/index.db"));
        own.extend(uncut.recording.steps.iter().filter_map(|step| match &step.op {
            Op::Make { place, ino, .. } if dirs.contains(&place.0) => Some(*ino),
            _ => None,
        }));
        let before = uncut.recording.steps.len();
        uncut.recording.steps.retain(|step| match &step.op {
            Op::Sync { ino, .. } => own.contains(ino),
            Op::SyncAll => false,
            _ => true,
        });
        assert!(uncut.recording.steps.len() < before, "it synced something");
        let (mut states, _) = states(&uncut.recording, Some(130));
        states.retain(|(_, loss)| matches!(loss, Loss::Bytes | Loss::Lengths));
        let wrong = try_all(world, &uncut, &states, true);
        eprintln!(
            "found out: {}",
            wrong.first().map_or("nothing", |w| w.lines().next().unwrap_or_default())
        );
        assert!(!wrong.is_empty(), "nothing was found in {} states", states.len());
    });
}
