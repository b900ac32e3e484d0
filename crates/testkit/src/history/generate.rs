//! New histories: what happens is drawn before it is played; what users do is drawn while it is, of what they have before them.

use super::tape::{At, DEVICES, Deed, EACH, Event, History, What};
use crate::disk::Thing;
use crate::moments::End;
use crate::random::Random;
use crate::story::{Act, DiskKind};
use bifold_engine::core::Prefer;
use std::collections::BTreeMap;

/// What is on a disk, by path.
type Tree = BTreeMap<String, Thing>;

impl History {
    /// The history of a seed, before anyone did anything.
    #[must_use]
    pub fn new(seed: u64) -> History {
        let mut random = Random::new(seed);
        let count = *random.of(&[2, 3, 3, 3, 3, 3, 3, 4]);
        let disks = disks(&mut random, count);
        let prefer = match random.below(12) {
            0 => Prefer::Newest,
            1 => Prefer::Both,
            _ => Prefer::Ask,
        };
        History {
            seed,
            disks,
            prefer,
            workload: Vec::new(),
            schedule: schedule(&mut random, count),
        }
    }
}

fn disks(random: &mut Random, count: usize) -> Vec<Vec<DiskKind>> {
    let mut disks = vec![Vec::new(); count];
    if random.one_in(2) {
        return disks;
    }
    let all_fold = random.one_in(5);
    for kinds in &mut disks {
        for (kind, of) in [
            (DiskKind::NoExchange, 3),
            (DiskKind::Coarse, 4),
            (DiskKind::NoExec, 6),
            (DiskKind::NoLinks, 8),
            (DiskKind::Folds, 8),
        ] {
            if random.one_in(of) || (all_fold && kind == DiskKind::Folds) {
                kinds.push(kind);
            }
        }
    }
    disks
}

/// What goes wrong in a history.
struct Weather {
    links: bool,
    ends: bool,
    disks: bool,
    clocks: bool,
    restores: bool,
    sleeps: bool,
    amid: bool,
    network: bool,
}

fn schedule(random: &mut Random, devices: usize) -> Vec<(At, Event)> {
    let calm = random.one_in(8);
    let mut some = |of: usize| !calm && random.one_in(of);
    let weather = Weather {
        links: some(2),
        ends: some(2),
        disks: some(2),
        clocks: some(3),
        restores: some(5),
        sleeps: some(3),
        amid: some(2),
        network: some(2),
    };
    let mut schedule = Vec::new();
    let rounds = 5 + random.below(50) as At;
    for round in 1..=rounds {
        let at = round * 10;
        let later = |random: &mut Random| at + 10 * (1 + random.below(6) as At) + 5;
        let d = random.below(devices);
        let other = (d + 1 + random.below(devices - 1)) % devices;
        let amid = weather.amid && random.one_in(3);
        if amid {
            schedule.push((at - 1, Event::Amid(random.below(30) as u64, !random.one_in(3))));
        }
        match random.below(40) {
            0..=3 if weather.links => schedule.push((at, Event::Part(d, other))),
            4..=7 if weather.links => schedule.push((at, Event::Join(d, other))),
            8 => schedule.push((at, Event::Restart)),
            9 | 10 => schedule.push((at, Event::Settle)),
            11..=14 if weather.ends => {
                let end = if random.one_in(3) { End::Kill } else { End::PowerCut };
                schedule.push((at, Event::End(d, end, random.below(40) as u64)));
            }
            15..=19 if weather.disks => {
                let until = later(random);
                let fault = disk_fault(random, d);
                let is_left_alone = matches!(fault, Event::Unreadable(..)) && random.one_in(2);
                schedule.push((at, fault));
                if is_left_alone {
                    // Nobody is to take it for gone, however long that is.
                    schedule.push((until - 3, Event::Settle));
                }
                schedule.push((until, Event::Heal(d)));
            }
            20 if weather.clocks => {
                let far = *random.of(&[60, 3600, 100_000, 40_000_000]);
                let seconds = if random.one_in(2) { far } else { -far };
                schedule.push((at, Event::Skew(d, seconds)));
            }
            21 if weather.clocks => schedule.push((at, Event::Wait(*random.of(&[60, 3600, 100_000])))),
            22 if weather.sleeps => {
                let until = later(random) + 100;
                schedule.push((at, Event::Sleep(d)));
                schedule.push((until, Event::Wake(d)));
                schedule.push((until, Event::Wait(*random.of(&[60, 10_000_000]))));
            }
            // (Index, or disk, or the image of a machine: both.)
            34 | 35 if weather.restores => schedule.extend([(at, Event::CopyIndex(d)), (at, Event::CopyDisk(d))]),
            36 if weather.restores => schedule.extend([(at, Event::RestoreIndex(d)), (at, Event::RestoreDisk(d))]),
            23 | 24 if weather.restores => schedule.push((at, Event::CopyIndex(d))),
            25 if weather.restores => schedule.push((at, Event::RestoreIndex(d))),
            26 if weather.restores => schedule.push((at, Event::LoseIndex(d))),
            27 | 28 if weather.restores => schedule.push((at, Event::CopyDisk(d))),
            29 if weather.restores => schedule.push((at, Event::RestoreDisk(d))),
            30..=32 if weather.network => schedule.push((at, Event::Duplicate)),
            33 if weather.network => schedule.push((at, Event::Fetches(random.below(4) as u64))),
            _ => {}
        }
        // (What is to come in the midst of something needs something to come.)
        let turns = if amid { 10 + random.below(40) } else { random.below(12) };
        schedule.push((at + 1, Event::Go(turns)));
    }
    schedule.sort_by_key(|(at, _)| *at);
    // Each has a time of its own: what users do is joined to it by that.
    let mut next = 0;
    for (at, _) in &mut schedule {
        *at = next.max(*at * EACH);
        next = *at + 1;
    }
    schedule
}

fn disk_fault(random: &mut Random, d: usize) -> Event {
    match random.below(7) {
        0 => Event::Full(d, random.below(400) as u64),
        1 => Event::Flaky(d, true, false, 2 + random.below(20) as u64),
        2 => Event::Flaky(d, false, true, 2 + random.below(10) as u64),
        3 => Event::Slow(d, 1 + random.below(3000) as i64),
        4 | 5 => Event::Unreadable(d, random.below(100)),
        _ => Event::Unwritable(d, random.below(100)),
    }
}

/// Draws what users do.
pub(super) struct Users {
    random: Random,
    next: u64,
    names: &'static [&'static str],
    links: bool,
}

impl Users {
    pub(super) fn new(history: &History) -> Users {
        let mut random = Random::new(history.seed ^ 0x7573_6572);
        let folds = history.disks.iter().flatten().any(|kind| *kind == DiskKind::Folds);
        Users {
            next: 0,
            names: if folds || random.one_in(4) {
                &["a", "b", "c", "A", "B"]
            } else {
                &["a", "b", "c", "d", "e"]
            },
            links: random.one_in(3),
            random,
        }
    }

    /// How much is done before the next thing happens.
    pub(super) fn how_many(&mut self) -> usize {
        *self.random.of(&[0, 1, 1, 1, 2, 2, 3])
    }

    pub(super) fn who(&mut self, devices: usize) -> usize {
        self.random.below(devices)
    }

    fn new_bytes(&mut self, device: usize) -> Vec<u8> {
        self.next += 1;
        let text = format!("{} by {}", self.next, DEVICES[device]);
        if self.random.one_in(60) {
            format!("{text}, ").repeat(2500).into_bytes()
        } else {
            text.into_bytes()
        }
    }

    /// A path in a directory that is there.
    fn place(&mut self, tree: &Tree) -> String {
        let mut dirs: Vec<&str> = vec!["", ""];
        dirs.extend(tree.iter().filter(|(_, t)| matches!(t, Thing::Dir)).map(|(p, _)| p.as_str()));
        let dir = *self.random.of(&dirs);
        let name = *self.random.of(self.names);
        if dir.is_empty() || dir.matches('/').count() > 2 {
            name.to_owned()
        } else {
            format!("{dir}/{name}")
        }
    }

    fn some(&mut self, tree: &Tree, of: fn(&Thing) -> bool) -> Option<String> {
        let all: Vec<&String> = tree.iter().filter(|(_, t)| of(t)).map(|(p, _)| p).collect();
        (!all.is_empty()).then(|| (*self.random.of(&all)).clone())
    }

    fn written(&mut self, path: String, bytes: Vec<u8>) -> Act {
        if self.random.one_in(2) {
            Act::Write(path, bytes)
        } else {
            Act::Save(path, bytes)
        }
    }

    /// Someone writes where the program is about to change something: what others have otherwise by now.
    pub(super) fn deed_amid(&mut self, trees: &[Tree]) -> Option<Deed> {
        if self.random.one_in(4) {
            return None;
        }
        let bytes_at = |d: usize, path: &str| match trees[d].get(path) {
            Some(Thing::File { bytes, .. }) => Some(bytes),
            _ => None,
        };
        let all = (0..trees.len()).flat_map(|d| trees[d].keys().map(move |path| (d, path)));
        let differs = |(d, path): &(usize, &String)| {
            let here = bytes_at(*d, path);
            here.is_some() && (0..trees.len()).any(|other| bytes_at(other, path).is_some_and(|there| Some(there) != here))
        };
        let all: Vec<(usize, &String)> = all.filter(differs).collect();
        if all.is_empty() {
            return None;
        }
        let (device, path) = *self.random.of(&all);
        let bytes = self.new_bytes(device);
        let what = What::Act(self.written(path.clone(), bytes));
        Some(Deed { device, what })
    }

    /// What the user of a device does; it may turn out to be impossible.
    pub(super) fn deed(&mut self, device: usize, tree: &Tree) -> Option<Deed> {
        let file = |thing: &Thing| matches!(thing, Thing::File { .. });
        let any = |_: &Thing| true;
        let act = match self.random.below(26) {
            0..=1 => Act::Chmod(self.some(tree, file)?, self.random.one_in(2)),
            2..=7 => {
                let path = self.place(tree);
                let bytes = self.new_bytes(device);
                self.written(path, bytes)
            }
            8..=11 => {
                let path = self.some(tree, file)?;
                let bytes = self.new_bytes(device);
                match self.random.below(4) {
                    0 => Act::Append(path, bytes),
                    _ => self.written(path, bytes),
                }
            }
            12..=15 => Act::Move(self.some(tree, any)?, self.place(tree)),
            16 => Act::Move(self.some(tree, file)?, self.some(tree, file)?),
            17 => Act::Swap(self.some(tree, any)?, self.some(tree, any)?),
            18 | 19 => Act::Delete(self.some(tree, any)?),
            20 | 21 => Act::Mkdir(self.place(tree)),
            22 => {
                let decided = What::Decide(self.random.below(8), self.random.below(8));
                return Some(Deed { device, what: decided });
            }
            _ => self.rare(device, tree)?,
        };
        let what = What::Act(act);
        Some(Deed { device, what })
    }

    fn rare(&mut self, device: usize, tree: &Tree) -> Option<Act> {
        let file = |thing: &Thing| matches!(thing, Thing::File { .. });
        let dir = |thing: &Thing| matches!(thing, Thing::Dir);
        Some(match self.random.below(9) {
            0 => Act::Chmod(self.some(tree, file)?, self.random.one_in(2)),
            1 => {
                self.next += 1;
                Act::Touch(self.some(tree, file)?, (1_000_000_000 + self.next as i64) * 1_000_000_000)
            }
            2 if self.links => Act::Link(self.place(tree), self.random.of(self.names).to_string()),
            // A file becomes a directory, and back.
            2 | 3 => {
                let path = self.some(tree, file)?;
                let inside = Act::Write(format!("{path}/{}", self.random.of(self.names)), self.new_bytes(device));
                Act::All(vec![Act::Delete(path.clone()), Act::Mkdir(path), inside])
            }
            4 => {
                let path = self.some(tree, dir)?;
                Act::All(vec![Act::Delete(path.clone()), Act::Write(path, self.new_bytes(device))])
            }
            // A name in other letters.
            5 => {
                let path = self.some(tree, |_| true)?;
                let (dir, name) = path.rsplit_once('/').map_or((None, path.as_str()), |(d, n)| (Some(d), n));
                let other = if name.chars().any(char::is_lowercase) {
                    name.to_uppercase()
                } else {
                    name.to_lowercase()
                };
                Act::Move(path.clone(), dir.map_or(other.clone(), |dir| format!("{dir}/{other}")))
            }
            // As editors save that keep the last version.
            6 => {
                let path = self.some(tree, file)?;
                let backup = format!("{path}~");
                Act::All(vec![
                    Act::Move(path.clone(), backup),
                    Act::Write(path, self.new_bytes(device)),
                ])
            }
            // The same bytes again: a copy, or what was there before.
            7 => {
                let from = self.some(tree, file)?;
                let Some(Thing::File { bytes, .. }) = tree.get(&from) else {
                    return None;
                };
                Act::Write(self.place(tree), bytes.to_vec())
            }
            _ => match self.random.below(3) {
                0 => Act::Fifo(self.place(tree)),
                1 => Act::HardLink(self.some(tree, file)?, self.place(tree)),
                _ => Act::Write(self.place(tree), Vec::new()),
            },
        })
    }
}
