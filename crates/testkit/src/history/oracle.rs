//! What must hold: the oracle knows what users wrote, what they saw when they did, and what they replaced or deleted.

use super::Broken;
use crate::disk::{Deed, SimFs, Thing};
use crate::story::{Act, do_act};
use crate::world::{Listed, Listing};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// A content that someone wrote.
struct Content {
    bytes: Arc<Vec<u8>>,
    /// By whom, and where.
    by: String,
    /// A user replaced or deleted it, having it before them.
    seen_off: bool,
    /// Someone decided a conflict that it was a side of, or put a disk back.
    let_go: bool,
    /// How often it was written besides the first time, or moved, or picked: someone else may stand by it.
    again: usize,
    /// What its writer had seen at that place.
    before: BTreeSet<usize>,
}

pub(super) struct Oracle {
    numbers: HashMap<Arc<Vec<u8>>, usize>,
    by_id: HashMap<String, usize>,
    contents: Vec<Content>,
    /// What was seen while the engine worked.
    pub(super) broken: Option<Broken>,
    pub(super) operations: u64,
    /// Who saw what is known for sure: no index was lost.
    pub(super) in_order: bool,
    /// Someone set the time of a file, and nothing else of it.
    pub(super) touched: bool,
    /// Conflicts are decided by people.
    pub(super) people_decide: bool,
}

pub(super) type Shared = Arc<Mutex<Oracle>>;

type Trees = Vec<BTreeMap<String, Thing>>;

impl Oracle {
    pub(super) fn new(people_decide: bool) -> Oracle {
        Oracle {
            numbers: HashMap::new(),
            by_id: HashMap::new(),
            contents: Vec::new(),
            broken: None,
            operations: 0,
            in_order: true,
            touched: false,
            people_decide,
        }
    }

    /// The engine does something to what a user has.
    pub(super) fn witness(&mut self, device: &str, deed: Deed<'_>) {
        let what = match deed {
            Deed::Shows(_, bytes) if self.numbers.contains_key(bytes) => return,
            Deed::Shows(path, bytes) => format!("{device} shows {:?} at {path}, which nobody wrote", text(bytes)),
            Deed::Removes(path) => format!("{path} of {device} is removed, and not kept"),
            Deed::Writes(path) => format!("{path} of {device} is written where it can be seen half done"),
        };
        self.broken.get_or_insert(Broken { rule: "half", what });
    }

    fn number_of(&self, bytes: &Arc<Vec<u8>>) -> Option<usize> {
        self.numbers.get(bytes).copied()
    }

    fn writes(&mut self, bytes: &[u8], by: String, over: Option<usize>) {
        let bytes = Arc::new(bytes.to_vec());
        if let Some(n) = self.number_of(&bytes) {
            self.contents[n].again += 1;
            self.touched = true;
            return;
        }
        let n = self.contents.len();
        let mut before = BTreeSet::new();
        if let Some(over) = over {
            before.clone_from(&self.contents[over].before);
            before.insert(over);
        }
        let hashed = bifold_chunk::hash_bytes(&bytes).expect("bytes that are not too many");
        self.by_id.insert(hashed.content.hex(), n);
        self.numbers.insert(bytes.clone(), n);
        self.contents.push(Content {
            // (What is empty says nothing of who wrote it.)
            again: usize::from(bytes.is_empty()),
            bytes,
            by,
            seen_off: false,
            let_go: false,
            before,
        });
    }

    /// What is at a path, and below it, is gone by its user's will.
    fn sees_off(&mut self, fs: &SimFs, path: &str) {
        match fs.at(path) {
            Some(Thing::File { bytes, .. }) => {
                if let Some(n) = self.number_of(&bytes) {
                    self.contents[n].seen_off = true;
                }
            }
            Some(Thing::Dir) => {
                let numbers: Vec<usize> = self.below(&fs.tree(), path).collect();
                numbers.into_iter().for_each(|n| self.contents[n].seen_off = true);
            }
            _ => {}
        }
    }

    /// Someone does something with what is at a path, as it is.
    fn stands_by(&mut self, fs: &SimFs, path: &str) {
        let numbers: Vec<usize> = self.below(&fs.tree(), path).collect();
        numbers.into_iter().for_each(|n| self.contents[n].again += 1);
    }

    fn below<'a>(&'a self, tree: &'a BTreeMap<String, Thing>, path: &str) -> impl Iterator<Item = usize> + 'a {
        let (path, inside) = (path.to_lowercase(), format!("{}/", path.to_lowercase()));
        let there = move |p: &str| {
            let p = p.to_lowercase(); // a disk may take the two for one
            path.is_empty() || p == path || p.starts_with(&inside)
        };
        tree.iter()
            .filter(move |(p, _)| there(p))
            .filter_map(|(_, thing)| match thing {
                Thing::File { bytes, .. } => self.number_of(bytes),
                _ => None,
            })
    }

    /// A conflict is decided: what its sides are now may go.
    pub(super) fn decides(&mut self, conflict: &Listed, trees: &Trees) {
        let sides = conflict.sides.iter().filter_map(|(_, id)| self.by_id.get(id.as_ref()?));
        let mut numbers: Vec<usize> = sides.copied().collect();
        for tree in trees {
            numbers.extend(self.below(tree, &conflict.path));
        }
        for n in numbers {
            // (What is picked is written again.)
            self.contents[n].let_go = true;
            self.contents[n].again += 1;
        }
    }

    /// What a disk alone shows or keeps is to be lost, because it is put back from a copy. (Where a disk does not tell when a file was changed,
    /// a copy of the same minutes may be taken for what was there: all that is missing in it is deleted then, as if by its user.)
    pub(super) fn is_put_back(&mut self, trees: &Trees, device: usize, fs: &SimFs) {
        self.in_order = false;
        let others = (0..trees.len()).filter(|d| *d != device);
        let elsewhere: BTreeSet<usize> = others.flat_map(|d| self.below(&trees[d], "")).collect();
        for (_, thing) in fs.everything() {
            if let Thing::File { bytes, .. } = thing
                && let Some(n) = self
                    .number_of(&bytes)
                    .filter(|n| !fs.traits().ctime || !elsewhere.contains(n))
            {
                self.contents[n].seen_off = true;
            }
        }
    }

    /// An index is lost, or put back: nobody knows any more of what only the history has to where it was to be brought.
    pub(super) fn index_is_lost(&mut self, trees: &Trees, fs: &SimFs) {
        self.in_order = false;
        let shown: BTreeSet<usize> = trees.iter().flat_map(|tree| self.below(tree, "")).collect();
        for bytes in fs.history() {
            if let Some(n) = self.number_of(&bytes).filter(|n| !shown.contains(n)) {
                self.contents[n].let_go = true;
            }
        }
    }

    /// The contents below a path of a disk that other disks show there, too; and how often someone stood by
    /// them. (Of what was moved there just now nobody knows.)
    pub(super) fn shown_elsewhere(&self, trees: &Trees, device: usize, path: &str) -> Vec<(usize, usize)> {
        let mut there = trees[device].clone();
        there.retain(|path, thing| {
            let same = |other: &Thing| match (&*thing, other) {
                (Thing::File { bytes, .. }, Thing::File { bytes: others, .. }) => bytes == others,
                _ => false,
            };
            let others = (0..trees.len()).filter(|d| *d != device);
            others.filter_map(|d| trees[d].get(path)).any(same)
        });
        self.below(&there, path).map(|n| (n, self.contents[n].again)).collect()
    }

    /// While something cannot be read on a device, nothing of it goes from the others.
    pub(super) fn check_unread(&self, trees: &Trees, device: usize, unread: &[(usize, usize)]) -> Result<(), Broken> {
        let others = (0..trees.len()).filter(|d| *d != device);
        let shown: BTreeSet<usize> = others.flat_map(|d| self.below(&trees[d], "")).collect();
        // (Where its user did something with it meanwhile, nobody can tell what it is now.)
        let gone = |(n, again): &&(usize, usize)| {
            let content = &self.contents[*n];
            !shown.contains(n) && !content.seen_off && !content.let_go && content.again == *again
        };
        match unread.iter().find(gone) {
            Some((n, _)) => Err(Broken {
                rule: "absence",
                what: format!("{} is gone from the others while it cannot be read on one", self.tell(*n)),
            }),
            None => Ok(()),
        }
    }

    fn tell(&self, n: usize) -> String {
        let content = &self.contents[n];
        format!("{:?} ({})", text(&content.bytes), content.by)
    }

    /// Nothing is lost, and nothing is there that nobody wrote. At quiet.
    pub(super) fn check_contents(&self, trees: &Trees, histories: &[Vec<Arc<Vec<u8>>>], listing: &Listing) -> Result<(), Broken> {
        let mut live = vec![false; self.contents.len()];
        let mut kept = live.clone();
        for thing in trees.iter().flat_map(BTreeMap::values) {
            if let Thing::File { bytes, .. } = thing {
                live[self.known(bytes)?] = true;
            }
        }
        for bytes in histories.iter().flatten() {
            kept[self.known(bytes)?] = true;
        }
        for (_, id) in listing.conflicts.iter().flat_map(|c| &c.sides) {
            if let Some(n) = id.as_ref().and_then(|id| self.by_id.get(id)) {
                live[*n] = true;
            }
        }
        for (n, content) in self.contents.iter().enumerate() {
            if live[n] || content.seen_off {
                continue;
            }
            if !kept[n] {
                let what = format!("{} is lost", self.tell(n));
                return Err(Broken { rule: "lost", what });
            }
            // The history has it, but nobody who had seen it wanted that.
            if self.people_decide && !content.let_go {
                let what = format!("{} is nowhere but in the history, and nobody wanted that", self.tell(n));
                return Err(Broken { rule: "lost", what });
            }
        }
        Ok(())
    }

    /// All that disks show was written by someone.
    pub(super) fn check_known(&self, trees: &Trees) -> Result<(), Broken> {
        for thing in trees.iter().flat_map(BTreeMap::values) {
            if let Thing::File { bytes, .. } = thing {
                self.known(bytes)?;
            }
        }
        Ok(())
    }

    fn known(&self, bytes: &Arc<Vec<u8>>) -> Result<usize, Broken> {
        self.number_of(bytes).ok_or_else(|| Broken {
            rule: "unwritten",
            what: format!("{:?} is there, and nobody wrote it", text(bytes)),
        })
    }

    /// No two sides of a conflict of which one had seen the other; and each disk shows a side.
    pub(super) fn check_conflicts(&self, listing: &Listing, trees: Option<&Trees>, in_order: bool) -> Result<(), Broken> {
        for conflict in listing.conflicts.iter().filter(|c| c.kind == "content") {
            let sides = conflict.sides.iter().filter_map(|(_, id)| self.by_id.get(id.as_ref()?));
            let sides: Vec<usize> = sides.copied().collect();
            let shown = trees.into_iter().flatten().filter_map(|tree| match tree.get(&conflict.path) {
                Some(Thing::File { bytes, .. }) => self.number_of(bytes),
                _ => None,
            });
            for n in shown {
                if !sides.contains(&n) {
                    let what = format!(
                        "{} is shown at {}, and is no side of {conflict:?}",
                        self.tell(n),
                        conflict.path
                    );
                    return Err(Broken { rule: "sides", what });
                }
            }
            if !in_order {
                continue;
            }
            for (a, b) in sides.iter().flat_map(|a| sides.iter().map(move |b| (*a, *b))) {
                if self.contents[b].before.contains(&a) && self.contents[a].again == 0 && self.contents[b].again == 0 {
                    let what = format!("{} is in conflict with {}, which had replaced it", self.tell(a), self.tell(b));
                    return Err(Broken { rule: "order", what });
                }
            }
        }
        Ok(())
    }
}

/// A user does something, if it can be done. Says whether. `sees`: what is there was there, to the program's knowledge, too, so that what
/// is written over it is known to replace it.
pub(super) fn perform(fs: &SimFs, who: &str, act: &Act, oracle: &Shared, sees: bool) -> bool {
    if let Act::All(acts) = act {
        let mut done = false;
        for act in acts {
            if !perform(fs, who, act, oracle, sees) {
                break;
            }
            done = true;
        }
        return done;
    }
    if !is_possible(fs, act) {
        return false;
    }
    // Nobody does two things in the same moment, as coarse clocks tell it.
    fs.pass_seconds(3);
    let mut oracle = oracle.lock().unwrap_or_else(PoisonError::into_inner);
    let over = |oracle: &Oracle, path: &str| match fs.at(path) {
        Some(Thing::File { bytes, .. }) if sees => oracle.number_of(&bytes),
        _ => None,
    };
    match act {
        Act::Write(path, bytes) | Act::Save(path, bytes) => {
            let over = over(&oracle, path);
            if fs.bytes(path).as_ref() != Some(bytes) {
                oracle.sees_off(fs, path);
            }
            oracle.writes(bytes, format!("{path} by {who}"), over);
        }
        Act::Append(path, more) => {
            let over = over(&oracle, path);
            let mut bytes = fs.bytes(path).unwrap_or_default();
            bytes.extend_from_slice(more);
            oracle.sees_off(fs, path);
            oracle.writes(&bytes, format!("{path} by {who}"), over);
        }
        Act::Move(from, to) => {
            if !fs.is_same(from, to) {
                oracle.sees_off(fs, to);
            }
            oracle.stands_by(fs, from);
        }
        Act::Swap(a, b) => {
            oracle.stands_by(fs, a);
            oracle.stands_by(fs, b);
        }
        Act::Chmod(path, _) | Act::HardLink(path, _) => oracle.stands_by(fs, path),
        Act::Delete(path) | Act::Link(path, _) => oracle.sees_off(fs, path),
        Act::Touch(..) => oracle.touched = true,
        _ => {}
    }
    oracle.operations += 1;
    drop(oracle);
    do_act(fs, act);
    true
}

/// Whether something can be done as things are.
fn is_possible(fs: &SimFs, act: &Act) -> bool {
    let has_dir = |path: &str| match path.rsplit_once('/') {
        Some((dir, _)) => fs.at(dir) == Some(Thing::Dir),
        None => true,
    };
    let is_file = |path: &str| matches!(fs.at(path), Some(Thing::File { .. }));
    let is_free = |path: &str| has_dir(path) && fs.at(path).is_none();
    let is_leaf = |path: &str| matches!(fs.at(path), Some(Thing::File { .. } | Thing::Link(_)));
    let apart = |a: &str, b: &str| !fs.is_within(a, b) && !fs.is_within(b, a);
    match act {
        Act::Write(path, _) => is_file(path) || is_free(path),
        Act::Save(path, _) => is_leaf(path) || is_free(path),
        Act::Link(path, _) => fs.traits().links && (is_leaf(path) || is_free(path)),
        Act::Append(path, _) | Act::Chmod(path, _) | Act::Touch(path, _) => is_file(path),
        Act::Move(from, to) => {
            from != to
                && fs.at(from).is_some()
                && has_dir(to)
                && (fs.is_same(from, to) || !fs.is_one_object(from, to))
                && (fs.is_same(from, to) || !fs.is_within(to, from))
                && (fs.at(to).is_none() || fs.is_same(from, to) || (is_leaf(from) && is_leaf(to)))
        }
        Act::Swap(a, b) => fs.at(a).is_some() && fs.at(b).is_some() && apart(a, b),
        Act::Delete(path) => fs.at(path).is_some(),
        Act::Mkdir(path) | Act::Fifo(path) => is_free(path),
        Act::HardLink(path, second) => is_file(path) && is_free(second),
        Act::Fill(..) | Act::All(_) => false,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned()
}
