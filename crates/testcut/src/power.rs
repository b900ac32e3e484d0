//! What is on a disk after its power failed.

use crate::disk::{Body, Disk, Ino, Op, Place, Step};
use crate::mounted::Recording;
use std::collections::{HashMap, HashSet};

/// Bytes reach the disk in pages of so many.
const PAGE: u64 = 4096;
/// Of one page, in pieces of so many.
const SECTOR: usize = 512;

/// What a sync is taken to promise (see the crate).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Model {
    /// What it names, and no more.
    Each,
    /// All names and attributes before it, too.
    Journal,
}

/// In which order bytes that nobody synced reach the disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bytes {
    /// In that in which a file's were written, up to some point.
    InOrder,
    /// Each page of them, or not.
    Pages,
}

/// What is lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Loss {
    /// All that was not synced.
    All(Model),
    /// Nothing.
    Nothing,
    /// Bytes that were not synced; names, attributes and lengths are there. In place of new bytes there are zeros.
    Bytes,
    /// The same, but lengths are lost with the bytes.
    Lengths,
    /// Some of it.
    Some {
        /// By this model.
        model: Model,
        /// Bytes in this order.
        bytes: Bytes,
        /// What chance decides.
        seed: u64,
    },
}

/// What of a step is kept.
enum Keep {
    No,
    Yes,
    /// Of bytes: only how far they reach.
    Length,
    /// Of bytes: so many.
    Start(usize),
    /// Of bytes: these pages.
    Pages(Vec<bool>),
}

/// What is on the disk if the power fails after so many of the recorded steps.
#[must_use]
pub fn after(recording: &Recording, count: usize, loss: Loss) -> Disk {
    let steps = &recording.steps[..count];
    replay(recording, steps.iter().zip(kept(steps, loss)))
}

/// The same, if the power fails in only one of two computers: what these objects are lies on that one's disk.
#[must_use]
pub fn after_in_one(recording: &Recording, count: usize, loss: Loss, its: &HashSet<Ino>) -> Disk {
    let steps = &recording.steps[..count];
    let is_its = |op: &Op| matches!(op, Op::SyncAll) || op.about().iter().any(|ino| its.contains(ino));
    let lossy: Vec<Step> = steps.iter().filter(|step| is_its(&step.op)).cloned().collect();
    let mut kept = kept(&lossy, loss).into_iter();
    let keep = |step: &Step| if is_its(&step.op) { kept.next().unwrap() } else { Keep::Yes };
    let kept: Vec<Keep> = steps.iter().map(keep).collect();
    replay(recording, steps.iter().zip(kept))
}

fn replay<'a>(recording: &Recording, kept: impl Iterator<Item = (&'a Step, Keep)>) -> Disk {
    let mut disk = recording.base.clone();
    for (step, keep) in kept {
        match (&step.op, keep) {
            (_, Keep::No) => {}
            (Op::Write { ino, offset, bytes }, Keep::Length) => {
                let end = offset + bytes.len() as u64;
                if size(&disk, *ino).is_some_and(|size| size < end) {
                    disk.resize(*ino, end, step.at_ns);
                }
            }
            (Op::Write { ino, offset, bytes }, Keep::Start(length)) => {
                if length > 0 {
                    disk.write(*ino, *offset, &bytes[..length], step.at_ns);
                }
            }
            (Op::Write { ino, offset, bytes }, Keep::Pages(pages)) => {
                for ((start, end), kept) in ranges(*offset, bytes.len()).into_iter().zip(pages) {
                    if kept {
                        disk.write(*ino, offset + start as u64, &bytes[start..end], step.at_ns);
                    }
                }
            }
            (op, _) => disk.apply(op, step.at_ns),
        }
    }
    disk.tidy();
    disk
}

fn size(disk: &Disk, ino: Ino) -> Option<u64> {
    let node = disk.node(ino)?;
    matches!(node.body, Body::File(_)).then(|| node.size())
}

/// The parts of some bytes that lie in one page each.
fn ranges(offset: u64, length: usize) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < length {
        let left = usize::try_from(PAGE - (offset + start as u64) % PAGE).unwrap();
        let end = length.min(start + left);
        ranges.push((start, end));
        start = end;
    }
    ranges
}

fn is_bytes(op: &Op) -> bool {
    matches!(op, Op::Write { .. })
}

fn is_sync(op: &Op) -> bool {
    matches!(op, Op::Sync { .. } | Op::SyncAll)
}

/// The object that a step changes other than by its names.
fn changed(op: &Op) -> Option<Ino> {
    match op {
        Op::Write { ino, .. } | Op::Resize { ino, .. } | Op::Set { ino, .. } | Op::Extra { ino, .. } => Some(*ino),
        _ => None,
    }
}

/// Which steps are safe after all of them.
fn safe(steps: &[Step], model: Model) -> Vec<bool> {
    // What each builds on: what was done with its names before, and that what it is about was made.
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(steps.len());
    let mut last: HashMap<&Place, usize> = HashMap::new();
    let mut made: HashMap<Ino, usize> = HashMap::new();
    let mut safe = vec![false; steps.len()];
    for (i, step) in steps.iter().enumerate() {
        let places = step.op.places();
        let mut needed: Vec<usize> = places.iter().filter_map(|place| last.get(place).copied()).collect();
        needed.extend(places.iter().filter_map(|place| made.get(&place.0)));
        needed.extend(changed(&step.op).and_then(|ino| made.get(&ino)));
        if let Op::Link { ino, .. } = &step.op {
            needed.extend(made.get(ino));
        }
        needs.push(needed);
        for place in places {
            last.insert(place, i);
        }
        if let Op::Make { ino, .. } = &step.op {
            made.insert(*ino, i);
        }
        let is_safe = |op: &Op| match &step.op {
            Op::SyncAll => true,
            Op::Sync { ino, data } => {
                let named = match op {
                    Op::Make { ino: new, .. } if new == ino => true,
                    Op::Set { .. } | Op::Extra { .. } if *data => false,
                    op => changed(op) == Some(*ino) || op.places().iter().any(|place| place.0 == *ino),
                };
                // (To write bytes in place of others, no file system writes its journal.)
                named || (model == Model::Journal && !data && !is_bytes(op))
            }
            _ => false,
        };
        if is_sync(&step.op) {
            let mut todo: Vec<usize> = (0..i).filter(|j| !safe[*j] && is_safe(&steps[*j].op)).collect();
            while let Some(j) = todo.pop() {
                if !std::mem::replace(&mut safe[j], true) {
                    todo.extend(&needs[j]);
                }
            }
        }
    }
    safe
}

fn kept(steps: &[Step], loss: Loss) -> Vec<Keep> {
    let simple = |model: Model, bytes: fn() -> Keep, names: fn() -> Keep| {
        let of = |(step, safe): (&Step, bool)| match (safe, is_bytes(&step.op)) {
            (true, _) => Keep::Yes,
            (false, true) => bytes(),
            (false, false) => names(),
        };
        steps.iter().zip(safe(steps, model)).map(of).collect()
    };
    match loss {
        Loss::Nothing => steps.iter().map(|_| Keep::Yes).collect(),
        Loss::All(model) => simple(model, || Keep::No, || Keep::No),
        Loss::Bytes => simple(Model::Each, || Keep::Length, || Keep::Yes),
        Loss::Lengths => simple(Model::Each, || Keep::No, || Keep::Yes),
        Loss::Some { model, bytes, seed } => some(steps, model, bytes, seed),
    }
}

fn some(steps: &[Step], model: Model, bytes: Bytes, seed: u64) -> Vec<Keep> {
    let mut chance = Chance::new(seed ^ (steps.len() as u64) << 32);
    let safe = safe(steps, model);
    let in_journal = |i: &usize| !is_bytes(&steps[*i].op) && !is_sync(&steps[*i].op);
    // The journal ends somewhere after what is safe.
    let least = (0..steps.len())
        .rev()
        .find(|i| safe[*i] && in_journal(i))
        .map_or(0, |i| i + 1);
    let end = least + chance.below(steps.len() - least + 1);
    // By the other model, each directory and each object loses what came after some point.
    let mut lost: HashSet<Ino> = HashSet::new();
    let mut keep_step = |i: usize, chance: &mut Chance| {
        let op = &steps[i].op;
        let mut about: Vec<Ino> = op.places().iter().map(|place| place.0).collect();
        about.extend(changed(op));
        let kept = safe[i]
            || match model {
                Model::Journal => i < end,
                Model::Each => !about.iter().any(|ino| lost.contains(ino)) && chance.below(4) > 0,
            };
        if !kept {
            lost.extend(about);
        }
        kept
    };
    // Of each file, so many of the writes that are not safe.
    let mut written: HashMap<Ino, usize> = HashMap::new();
    for (i, step) in steps.iter().enumerate() {
        if let Op::Write { ino, .. } = &step.op
            && !safe[i]
        {
            *written.entry(*ino).or_default() += 1;
        }
    }
    let mut inos: Vec<Ino> = written.keys().copied().collect();
    inos.sort_unstable();
    let mut whole: HashMap<Ino, usize> = inos.iter().map(|ino| (*ino, chance.below(written[ino] + 1))).collect();
    let mut keep = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        keep.push(match &step.op {
            Op::Write { .. } if safe[i] => Keep::Yes,
            Op::Write { ino, offset, bytes: b } => match bytes {
                Bytes::Pages => Keep::Pages(ranges(*offset, b.len()).iter().map(|_| chance.below(2) == 0).collect()),
                Bytes::InOrder => match whole.get_mut(ino) {
                    Some(left @ 1..) => {
                        *left -= 1;
                        Keep::Yes
                    }
                    // The last one in part.
                    Some(_) => {
                        whole.remove(ino);
                        Keep::Start(chance.below(b.len() / SECTOR + 1) * SECTOR)
                    }
                    None => Keep::No,
                },
            },
            _ if keep_step(i, &mut chance) => Keep::Yes,
            _ => Keep::No,
        });
    }
    keep
}

/// Small random numbers (xorshift64*).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Attributes, Node, ROOT};
    use std::collections::{BTreeMap, BTreeSet};
    use std::ffi::OsString;
    use std::path::Path;
    use std::sync::Arc;

    /// A journal that is written down, one step each microsecond.
    #[derive(Default)]
    struct Written(Recording);

    impl Written {
        fn place(dir: Ino, name: &str) -> Place {
            (dir, OsString::from(name))
        }

        fn op(&mut self, op: Op) -> &mut Written {
            let at_ns = 1000 * (1 + self.0.steps.len() as i64);
            self.0.steps.push(Step { op, at_ns });
            self
        }

        fn make(&mut self, dir: Ino, name: &str, ino: Ino, body: Body) -> &mut Written {
            let node = Arc::new(Node::new(body, 0o644, (0, 0), 0));
            self.op(Op::Make {
                place: Written::place(dir, name),
                ino,
                node,
            })
        }

        fn file(&mut self, dir: Ino, name: &str, ino: Ino, text: &str) -> &mut Written {
            self.make(dir, name, ino, Body::File(Arc::default())).op(Op::Write {
                ino,
                offset: 0,
                bytes: text.as_bytes().into(),
            })
        }

        fn dir(&mut self, dir: Ino, name: &str, ino: Ino) -> &mut Written {
            self.make(dir, name, ino, Body::Dir(BTreeMap::new()))
        }

        fn mv(&mut self, from: (Ino, &str), to: (Ino, &str)) -> &mut Written {
            self.op(Op::Rename {
                from: Written::place(from.0, from.1),
                to: Written::place(to.0, to.1),
            })
        }

        fn sync(&mut self, ino: Ino) -> &mut Written {
            self.op(Op::Sync { ino, data: false })
        }

        fn left(&self, loss: Loss) -> BTreeSet<String> {
            let disk = after(&self.0, self.0.steps.len(), loss);
            let text = |node: &Node| match &node.body {
                Body::File(bytes) => format!(" {}", String::from_utf8_lossy(bytes).replace('\0', "0")),
                _ => String::new(),
            };
            let all = disk.below(Path::new(""));
            all.iter()
                .map(|(path, node)| format!("{}{}", path.display(), text(node)))
                .collect()
        }

        fn any(&self, model: Model, bytes: Bytes) -> BTreeSet<BTreeSet<String>> {
            (0..200).map(|seed| self.left(Loss::Some { model, bytes, seed })).collect()
        }
    }

    fn set<'a>(items: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        items.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_synced_file_is_there_with_its_bytes_and_the_way_to_it() {
        let mut w = Written::default();
        w.dir(ROOT, "d", 2).file(2, "f", 3, "bytes").sync(3).file(2, "g", 4, "more");
        assert_eq!(w.left(Loss::All(Model::Each)), set(["d", "d/f bytes"]));
        assert_eq!(w.left(Loss::Bytes), set(["d", "d/f bytes", "d/g 0000"]));
        assert_eq!(w.left(Loss::Lengths), set(["d", "d/f bytes", "d/g "]));
        assert_eq!(w.left(Loss::Nothing), set(["d", "d/f bytes", "d/g more"]));
        for model in [Model::Each, Model::Journal] {
            assert!(w.any(model, Bytes::Pages).iter().all(|state| state.contains("d/f bytes")));
        }
    }

    #[test]
    fn a_rename_is_safe_once_either_directory_is() {
        let mut w = Written::default();
        w.dir(ROOT, "a", 2).dir(ROOT, "b", 3).file(2, "f", 4, "x").sync(4).sync(3);
        w.mv((2, "f"), (3, "g"));
        assert_eq!(w.left(Loss::All(Model::Each)), set(["a", "b", "a/f x"]));
        let both = BTreeSet::from([set(["a", "b", "a/f x"]), set(["a", "b", "b/g x"])]);
        assert_eq!(w.any(Model::Each, Bytes::InOrder), both);
        w.sync(3);
        assert_eq!(w.left(Loss::All(Model::Each)), set(["a", "b", "b/g x"]));
    }

    #[test]
    fn a_journal_keeps_what_came_before_and_no_bytes() {
        let mut w = Written::default();
        w.file(ROOT, "a", 2, "a")
            .file(ROOT, "b", 3, "b")
            .sync(3)
            .file(ROOT, "c", 4, "c");
        assert_eq!(w.left(Loss::All(Model::Each)), set(["b b"]));
        assert_eq!(w.left(Loss::All(Model::Journal)), set(["a ", "b b"]));
        let some = w.any(Model::Journal, Bytes::InOrder);
        assert!(
            some.contains(&set(["a a", "b b", "c "])) && some.contains(&set(["a ", "b b"])),
            "{some:?}"
        );
    }

    #[test]
    fn bytes_alone_bring_no_attributes() {
        let mut w = Written::default();
        let attributes = Attributes {
            mode: Some(0o755),
            ..Attributes::default()
        };
        w.file(ROOT, "a", 2, "a").op(Op::Set { ino: 2, attributes });
        for (data, mode) in [(true, 0o644), (false, 0o755)] {
            w.op(Op::Sync { ino: 2, data });
            let disk = after(&w.0, w.0.steps.len(), Loss::All(Model::Each));
            assert_eq!(disk.node(2).map(|n| n.mode), Some(mode));
        }
    }

    #[test]
    fn pages_come_in_any_order() {
        let mut w = Written::default();
        w.make(ROOT, "f", 2, Body::File(Arc::default())).sync(2).op(Op::Write {
            ino: 2,
            offset: 0,
            bytes: [[b'1'; 4096], [b'2'; 4096]].concat().into(),
        });
        let starts: BTreeSet<(usize, Option<u8>)> = (0..200)
            .map(|seed| {
                let loss = Loss::Some {
                    model: Model::Each,
                    bytes: Bytes::Pages,
                    seed,
                };
                match after(&w.0, w.0.steps.len(), loss).node(2).map(|n| n.body.clone()) {
                    Some(Body::File(bytes)) => (bytes.len(), bytes.first().copied()),
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        let all = [(0, None), (4096, Some(b'1')), (8192, Some(0)), (8192, Some(b'1'))];
        assert_eq!(starts, BTreeSet::from(all));
    }
}
