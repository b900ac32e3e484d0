//! Written histories: a line for each thing that happens.
//!
//! `base a d/x e/` is a tree that all devices have; `A edit a` is a user at device A, whose disk is scanned after every line but
//! those that end in `...`; `meet` lets all sync and apply until nothing happens; `A <- B` is one sync, and `A apply` shows what
//! came of it; `A pick content A1` a pick (of a name: which side, from 0); `C crash 2`: C applies, and stops with step 2 done but not noted (and is scanned, but
//! for `...`); `C folds`: its disk takes a and A for one name; `newest`: that policy. Of the base, a has a0; what A writes is A1, A2
//! and so on. In paths, `c~2` is the marked name of the second node that was born in one scan.

use super::Broken;
use super::device::{Crash, Scope, question};
use super::disk::{bytes_of, join};
use super::world::{Mode, World};
use crate::need;
use bifold_tree::{ConflictKind, Kind, NodeId, Pick, Policy};

/// One row of the table.
pub struct Example {
    pub rule: &'static str,
    pub history: &'static [&'static str],
    /// What is on the disks at the end; where they differ, each, between bars.
    pub disks: &'static str,
    /// What is listed.
    pub listed: &'static str,
}

/// The world in which an example is played.
pub struct Stage {
    pub world: World,
    written: [usize; 3],
}

impl Stage {
    pub fn new() -> Stage {
        Stage {
            world: World::new(0, Mode::Example, false),
            written: [0; 3],
        }
    }

    /// Plays an example to its end. What is on the disks, and what is listed.
    pub fn play(&mut self, history: &[&str]) -> Result<(String, String), Broken> {
        for line in history {
            self.line(line)?;
        }
        self.meet()?;
        Ok((self.disks(), self.listed()))
    }

    fn meet(&mut self) -> Result<(), Broken> {
        self.world.quiesce()?;
        self.world.check()
    }

    fn line(&mut self, line: &str) -> Result<(), Broken> {
        self.world.now += 1;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [_, "folds"] => self.world.devices[2].set_folds(),
            ["newest"] => self.world.devices.iter_mut().for_each(|d| d.set_policy(Policy::Newest)),
            ["base", ref paths @ ..] => {
                for path in paths {
                    let name = path.rsplit('/').next().unwrap_or(path);
                    self.world.make(0, path, &format!("{name}0"));
                }
                self.world.scan(0, Scope::Full)?;
                self.meet()?;
            }
            ["meet"] => self.meet()?,
            ["collect"] => {
                for d in &mut self.world.devices {
                    need!(d.collect()? > 0, "nothing to collect: {}", d.name);
                }
            }
            [d, "crash", step, ref rest @ ..] => {
                let d = number(d);
                let clean = self.world.apply(
                    d,
                    Some(Crash {
                        step: step.parse().unwrap(),
                        lose: false,
                    }),
                )?;
                need!(!clean, "no crash");
                if rest.is_empty() {
                    let operations = self.world.scan(d, Scope::Full)?;
                    need!(operations == 0, "{operations} operations that nobody did");
                }
            }
            [d, "apply"] => {
                self.world.apply(number(d), None)?;
            }
            [to, "<-", from] => {
                self.world.exchange(number(to), number(from), None)?;
            }
            [d, "pick", kind, ref rest @ ..] => {
                let device = &mut self.world.devices[number(d)];
                let listed = device.conflicts().into_iter().find(|c| word(c.kind) == kind);
                let Some(conflict) = listed else {
                    return Err(format!("nothing to pick: {line}"));
                };
                let pick = match rest {
                    [side] if conflict.kind == ConflictKind::Name => {
                        Pick::Name(conflict.sides[side.parse::<usize>().unwrap()].dot)
                    }
                    [data] => Pick::Content(bytes_of(Kind::File, data).id()),
                    _ => Pick::Keep,
                };
                need!(!question(&conflict).1.is_empty(), "a conflict of nothing");
                device.resolve(&conflict.nodes, pick, self.world.now)?;
            }
            [d, verb, ref rest @ ..] => {
                let d = number(d);
                let paths: Vec<&str> = rest.iter().copied().filter(|w| *w != "...").collect();
                self.act(d, verb, &paths);
                if rest.last() != Some(&"...") {
                    self.world.scan(d, Scope::Full)?;
                }
            }
            _ => return Err(format!("what is {line}?")),
        }
        Ok(())
    }

    fn act(&mut self, d: usize, verb: &str, words: &[&str]) {
        let paths: Vec<String> = words.iter().map(|w| self.real(d, w)).collect();
        let w = &mut self.world;
        if matches!(verb, "edit" | "save" | "create" | "retype") {
            self.written[d] += 1;
            let data = format!("{}{}", w.devices[d].name, self.written[d]);
            match verb {
                "retype" => {
                    w.delete(d, &paths[0]);
                    w.make(d, &join(&paths[0], "inside"), &data);
                }
                "create" => w.make(d, &paths[0], &data),
                _ => w.write(d, &paths[0], Some(&data), verb == "save", Kind::File),
            }
            return;
        }
        match verb {
            "same" => w.write(d, &paths[0], Some("same"), true, Kind::File),
            "touch" => w.touch(d, &paths[0]),
            "chmod" => w.chmod(d, &paths[0]),
            "copy" => w.copy(d, &paths[0], &paths[1]),
            "move" => w.rename(d, &paths[0], &paths[1]),
            "swap" => assert!(w.swap(d, &paths[0], &paths[1])),
            "delete" => w.delete(d, &paths[0]),
            "mkdir" => w.mkdir(d, &paths[0]),
            _ => panic!("what is {verb}?"),
        }
    }

    fn real(&self, d: usize, word: &str) -> String {
        if !word.contains('~') {
            return word.to_owned();
        }
        let all = self.world.devices[d].disk.walk("");
        all.into_iter()
            .find(|p| self.short(d, p) == word)
            .unwrap_or_else(|| panic!("no {word}"))
    }

    /// A path on a device's disk, its marked names as the table has them.
    fn short(&self, d: usize, path: &str) -> String {
        let replica = &self.world.devices[d].replica;
        let mut at = String::new();
        let mut short = Vec::new();
        for name in path.split('/') {
            at = join(&at, name);
            let first = replica.recorded_at(&at).and_then(|r| r.nodes.first().copied());
            short.push(first.and_then(|id| unmark(name, id)).unwrap_or_else(|| name.to_owned()));
        }
        short.join("/")
    }

    fn disks(&self) -> String {
        let tree = |d: usize| {
            let contents = self.world.devices[d].contents();
            let mut all: Vec<(String, String)> = contents
                .iter()
                .map(|(p, (kind, data, _))| {
                    (
                        self.short(d, p),
                        if *kind == Kind::Dir { "/".into() } else { format!("={data}") },
                    )
                })
                .collect();
            all.sort();
            all.into_iter().map(|(p, what)| p + &what).collect::<Vec<_>>().join(" ")
        };
        let trees: Vec<String> = (0..3).map(tree).collect();
        if trees.iter().all(|t| *t == trees[0]) {
            return trees[0].clone();
        }
        let named = trees.iter().zip(["A", "B", "C"]).map(|(t, name)| format!("{name}: {t}"));
        named.collect::<Vec<_>>().join(" | ")
    }

    fn listed(&mut self) -> String {
        let conflicts = self.world.devices[0].conflicts();
        let mut all: Vec<String> = conflicts
            .iter()
            .map(|c| format!("{} {}", word(c.kind), self.short(0, &c.path)))
            .collect();
        all.sort();
        all.join(", ")
    }
}

fn number(device: &str) -> usize {
    usize::from(device.as_bytes()[0] - b'A')
}

fn word(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Content => "content",
        ConflictKind::Renamed => "place",
        ConflictKind::Deleted => "edit-of-deleted",
        ConflictKind::Name => "name",
        ConflictKind::Cycle => "loop",
        ConflictKind::Orphan => "orphan",
    }
}

/// `c~2` for a name that is marked with the id of the node that it shows.
fn unmark(name: &str, id: NodeId) -> Option<String> {
    let at = name.rfind(" (")?;
    let mark = name[at + 2..].split(')').next()?;
    (id.short(mark.len()) == mark).then(|| format!("{}~{}", &name[..at], id.index + 1))
}

/// Plays all examples; those that do not come out as written.
pub fn wrong_examples() -> Vec<String> {
    let mut wrong = Vec::new();
    for (i, e) in super::table::EXAMPLES.iter().enumerate() {
        let got = super::history::caught(|| Stage::new().play(e.history)).unwrap_or_else(|broken| (String::new(), broken));
        if (got.0.as_str(), got.1.as_str()) != (e.disks, e.listed) {
            let history = e.history.join("; ");
            let number = i + 1;
            wrong.push(format!(
                "{number} ({}): {history}\n    want {:?}, {:?}\n    got  {:?}, {:?}",
                e.rule, e.disks, e.listed, got.0, got.1
            ));
        }
    }
    wrong
}

/// What A does to a tree that all have; then B applies it, and stops after each of the steps in turn. Whatever was done and not
/// noted, nothing of it may read as something that B's user did, and in the end all disks are as A's.
const CRASHES: &[&[&str]] = &[
    &["base a b", "A move a t", "A move b a", "A move t b"],
    &["base a b c", "A move a t", "A move b a", "A move c b", "A move t c"],
    &["base d/x e/y", "A move d t", "A move e d", "A move t e"],
    &["base d/x e/y", "A move d/x t", "A move e/y d/x", "A move t e/y"],
    &["base d/x e/y", "A move d t", "A move e d", "A move t d/e"],
    &["base d/e/x", "A move d/e t", "A move d t/d", "A move t e"],
    &["base d/s/x d/y", "A move d/s s", "A delete d"],
    &["base a b", "A delete b", "A move a b"],
    &["base a", "A retype a"],
    &["base d/x", "A delete d", "A create d"],
    &[
        "base a d/b",
        "A edit a",
        "A chmod a",
        "A edit d/b",
        "A move d e",
        "A create n/m/k",
        "A chmod n/m/k",
    ],
    &["base a", "A move a b", "A create a", "A move b c", "A move a b", "A move c a"],
    &["newest", "base a", "B edit a", "A edit a"],
    &["newest", "B create a", "A create a"],
    &[
        "base a d/b",
        "A move a d/c",
        "A edit d/c",
        "A move d/b b",
        "A edit b",
        "A move d e",
    ],
    &[
        "base d/a d/b",
        "A move d/a n",
        "A mkdir m",
        "A move n m/a",
        "A move d m/d",
        "A create d",
    ],
];

/// Plays all of them.
pub fn wrong_crashes() -> Vec<String> {
    let mut wrong = Vec::new();
    for history in CRASHES {
        for (step, lose) in (1..30).flat_map(|step| [(step, false), (step, true)]) {
            let result = super::history::caught(|| crash(history, Crash { step, lose }));
            match result {
                Ok(true) => {}
                Ok(false) => break,
                Err(broken) => wrong.push(format!(
                    "{}, stopped after {step} (lose: {lose}): {broken}",
                    history.join("; ")
                )),
            }
        }
    }
    wrong
}

/// False if there are not as many steps.
fn crash(history: &[&str], crash: Crash) -> Result<bool, Broken> {
    let mut stage = Stage::new();
    for line in history {
        stage.line(line)?;
    }
    let want = stage.world.devices[0].contents();
    let w = &mut stage.world;
    w.now += 1;
    w.exchange(1, 0, None)?;
    w.apply(1, Some(crash))?;
    if w.devices[1].restarts == 0 {
        return Ok(false);
    }
    let operations = w.scan(1, Scope::Full)?;
    need!(operations == 0, "{operations} operations that nobody did");
    stage.meet()?;
    for d in &mut stage.world.devices {
        let (have, listed) = (d.contents(), d.conflicts());
        need!(have == want, "{} shows {have:?}, not {want:?}", d.name);
        need!(listed.is_empty(), "listed: {listed:?}");
    }
    Ok(true)
}
