//! The plan: the steps that bring the disk, as recorded, to the projection. Only what may differ is looked at. Each step says
//! what it expects, so that the disk is never changed where it is not as recorded.

use crate::entries::{Entry, View};
use crate::faults::{Fault, on};
use crate::id::ContentId;
use crate::node::{Content, Head, Kind, Node, Register};
use crate::nodes::Ix;
use crate::records::{Record, RecordId, Seen};
use crate::replica::Replica;
use crate::set::Set;
use crate::step::{Action, Expected, Outcome, RelPath, Wanted};
use crate::suffix;
use crate::view::{Bytes, Fingerprint};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// Steps, in the order in which they are to be taken.
#[derive(Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Files and links that are taken away.
    pub removals: usize,
    /// Files and links whose bytes are replaced by others.
    pub overwrites: usize,
    /// Whether more is to be planned once this is done: there are nodes that this plan and those before it were not for, or
    /// what the ones before it did may have made possible what was not.
    pub partial: bool,
    shows: Vec<Show>,
}

impl Plan {
    /// The nodes that a step shows; none for what is taken away.
    #[must_use]
    pub fn nodes(&self, index: usize) -> Vec<crate::id::NodeId> {
        let show = self.steps.get(index).and_then(|step| self.shows.get(step.show?));
        show.map(|show| show.members.iter().map(|m| m.node.id).collect())
            .unwrap_or_default()
    }
}

/// One step of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// What became of the steps before it must be in the index before it is taken: it puts something where something else was,
    /// or other bytes into what was moved, and a scan after a crash could not tell. There are few such steps in a plan, whatever
    /// it does.
    pub after_commit: bool,
    /// Its record says that what it is about may be gone for a moment, or for good: if it was not to be found after a crash, nobody
    /// has deleted it.
    pub leaving: bool,
    record: RecordId,
    /// The record was about to be removed before this plan.
    was_leaving: bool,
    /// Where the record is after the step.
    to: (RecordId, Arc<str>),
    show: Option<usize>,
}

/// What a record reflects once all steps for its entry are done.
#[derive(Debug)]
struct Show {
    record: RecordId,
    members: SmallVec<[Reflected; 1]>,
    /// Where the record is in the end, if that is where it belongs.
    place: Option<(RecordId, Arc<str>)>,
    steps_left: usize,
    failed: bool,
}

/// One node that a record is to show.
#[derive(Debug)]
struct Reflected {
    ix: Ix,
    /// Its state when this was planned.
    node: Arc<Node>,
    /// The heads that are not reflected.
    unseen: Vec<Head>,
    /// A record that goes, but shows the node as long as it is there: else its removal would be forgotten.
    held_by: Option<RecordId>,
}

/// An entry, with the record that becomes it.
struct Item {
    entry: Rc<Entry>,
    /// Its first member.
    first: Ix,
    depth: usize,
    /// The record: one that is there, or a number reserved for one.
    record: RecordId,
    is_new: bool,
    placed: bool,
    /// Of a file or link, the content and the executable bit.
    shown: Option<(Content, bool)>,
    show: Option<usize>,
}

impl Replica {
    /// Whether nothing has come since the last plan was made that may have to be shown.
    #[must_use]
    pub fn is_as_planned(&mut self) -> bool {
        self.refresh();
        self.renewed.is_empty()
    }

    /// Plans what is to be done on the disk: for about `limit` nodes (at least one), if there are more. `at_hand` says whether
    /// some bytes are on this device; it is asked only where a conflict leaves a choice.
    ///
    /// Plan after plan goes on with nodes that none of them was for, so that what cannot be done does not hold up the rest.
    /// Whoever wants all done asks again as long as a plan is [`Plan::partial`], or a step of it was done.
    pub fn plan(&mut self, at_hand: &dyn Fn(&ContentId) -> bool, limit: usize) -> Plan {
        self.refresh();
        self.renewed.clear();
        if limit == usize::MAX {
            self.tried.clear(); // for all there is
            self.progress = false;
        }
        if self.stale.is_empty() {
            return Plan::default();
        }
        loop {
            let (window, more) = {
                let mut waiting = self.stale.without(&self.tried);
                let window: Vec<Ix> = waiting.by_ref().take(limit.max(1)).collect();
                (window, waiting.next().is_some())
            };
            if !on(Fault::FirstComeFirstServed) {
                self.tried.extend(window.iter().copied());
            }
            let mut plan = self.plan_for(at_hand, window);
            if more && plan.steps.is_empty() {
                continue;
            }
            plan.partial = more || self.progress;
            if !more {
                self.tried.clear();
                self.progress = false;
            }
            if plan.partial && plan.steps.is_empty() {
                continue; // what was done in this round may have made possible what was not
            }
            return plan;
        }
    }

    /// How many files and links the whole plan would take away, and how many it would overwrite.
    #[must_use]
    pub fn foreseen(&mut self) -> (usize, usize) {
        self.refresh();
        let nothing = |_: &ContentId| false;
        let view = View::new(&self.nodes, &self.records, self.policy, &nothing);
        let (mut removals, mut overwrites) = (BTreeSet::new(), BTreeSet::new());
        for ix in self.stale.iter() {
            let Some(id) = view.record(ix) else { continue };
            let Some(record) = self.records.get(id).filter(|r| r.kind != Kind::Dir) else {
                continue;
            };
            if !record.members.iter().any(|(m, _)| self.nodes.live(*m)) {
                removals.insert(id);
            } else if let Some(entry) = view.entry(ix)
                && view.shown(&entry).content.id() != record.bytes.id()
            {
                overwrites.insert(id);
            }
        }
        (removals.len(), overwrites.len())
    }

    /// Whether the disk may not show all of the replica.
    #[must_use]
    pub fn is_stale(&mut self) -> bool {
        self.refresh();
        !self.stale.is_empty()
    }

    fn plan_for(&mut self, at_hand: &dyn Fn(&ContentId) -> bool, window: Vec<Ix>) -> Plan {
        let (plan, reflected, settled, (new, unused)) = {
            let view = View::new(&self.nodes, &self.records, self.policy, at_hand);
            let mut planner = Planner::new(&view);
            planner.gather(window);
            planner.assign();
            planner.place_all();
            planner.remove_rest();
            planner.show_all();
            planner.finish()
        };
        for _ in 0..new {
            self.records.reserve();
        }
        for id in unused {
            self.records.release(id);
        }
        for show in &reflected {
            self.reflect(show);
        }
        for ix in settled {
            self.stale.remove(ix);
        }
        // To be noted before anything is removed: a removal that is done and not noted would read as the user's. Where the disk
        // cannot exchange files, one that is written is gone for a moment too.
        let mut plan = plan;
        let exchanges = self.nodes.names().exchanges();
        for step in &mut plan.steps {
            let leaves = match step.action {
                Action::Remove { .. } | Action::RemoveDir { .. } => true,
                Action::Write { .. } => !exchanges,
                _ => false,
            };
            if leaves
                && !on(Fault::NoLeaving)
                && let Some(record) = self.records.get_mut(step.record)
            {
                record.leaving = true;
                step.leaving = true;
            }
        }
        plan
    }

    /// Notes what became of a step.
    pub fn applied(&mut self, plan: &mut Plan, index: usize, outcome: &Outcome) {
        let Some(step) = plan.steps.get(index).cloned() else { return };
        let done = self.note_outcome(&step, outcome);
        self.progress |= done;
        let Some(at) = step.show else { return };
        let show = &mut plan.shows[at];
        show.steps_left = show.steps_left.saturating_sub(1);
        show.failed |= !done;
        if show.steps_left == 0 && !show.failed {
            let show = &plan.shows[at];
            self.reflect(show);
            plan.shows[at].members = SmallVec::new();
        } else {
            self.reflect_place(&plan.shows[at]);
        }
    }

    fn note_outcome(&mut self, step: &Step, outcome: &Outcome) -> bool {
        let Outcome::Done(stat) = outcome else {
            match &step.action {
                Action::Make { .. } => self.records.release(step.record),
                // It may have been done all the same: if the system failed late, or by a run that was cut. The next scan will say.
                Action::Remove { .. } | Action::RemoveDir { .. } | Action::Write { .. }
                    if !step.was_leaving && !matches!(outcome, Outcome::Failed(_)) =>
                {
                    if let Some(record) = self.records.get_mut(step.record) {
                        record.leaving = false;
                    }
                }
                _ => {}
            }
            return false;
        };
        match &step.action {
            Action::Make { wanted, .. } => {
                let (parent, name) = step.to.clone();
                let Some(stat) = stat.filter(|_| self.records.get(parent).is_some()) else {
                    self.records.release(step.record);
                    return false;
                };
                let record = Record {
                    parent,
                    name,
                    kind: stat.kind,
                    exec: stat.exec.unwrap_or(wanted.exec) && stat.kind == Kind::File,
                    leaving: false,
                    key: stat.key,
                    print: stat.print,
                    bytes: wanted.bytes.clone(),
                    members: Default::default(),
                };
                let hash = self.nodes.name_hash(&record.name);
                self.records.put(step.record, record, hash);
            }
            Action::Write { wanted, .. } => {
                let (Some(record), Some(stat)) = (self.records.get_mut(step.record), stat) else {
                    return false;
                };
                (record.key, record.print, record.bytes) = (stat.key, stat.print, wanted.bytes.clone());
                record.leaving = false;
                record.exec = stat.exec.unwrap_or(wanted.exec) && record.kind == Kind::File;
            }
            Action::SetMode { exec, .. } => {
                let Some(record) = self.records.get_mut(step.record) else {
                    return false;
                };
                record.exec = *exec;
                if let Some(stat) = stat {
                    touched(record, &stat.print);
                }
            }
            Action::Rename { .. } => {
                if self.records.get(step.to.0).is_none() || !self.rename_record(step.record, step.to.0, step.to.1.clone()) {
                    return false; // the next scan says where it is
                }
                if let (Some(record), Some(stat)) = (self.records.get_mut(step.record), stat) {
                    touched(record, &stat.print);
                }
            }
            // What was in it had gone before, unseen: the next scan says where.
            Action::RemoveDir { .. } if self.records.inside(step.record).next().is_some() => {}
            Action::Remove { .. } | Action::RemoveDir { .. } => self.remove_record(step.record),
        }
        true
    }

    /// A record that is where it belongs reflects the places of its members, whatever bytes are still to come: who moves it from
    /// there has seen them.
    fn reflect_place(&mut self, show: &Show) {
        let place = self.records.get(show.record).map(|r| (r.parent, r.name.clone()));
        if place.is_none() || place != show.place {
            return;
        }
        for Reflected { ix, node, .. } in &show.members {
            let Some(Seen::Just(seen)) = self.records.get(show.record).and_then(|r| r.seen(*ix)) else {
                continue;
            };
            let places = node.heads().filter(|h| h.register == Register::Place && !seen.contains(h));
            let mut all: Vec<Head> = seen.iter().copied().chain(places).collect();
            if all.len() > seen.len() {
                all.sort_unstable();
                self.show(show.record, *ix, Seen::Just(all.into()));
            }
        }
    }

    /// A record takes over the members of its entry, but those that a record which goes still holds.
    fn reflect(&mut self, show: &Show) {
        let Some(record) = self.records.get(show.record) else { return };
        let old: Vec<Ix> = record.members.iter().map(|(m, _)| *m).collect();
        for ix in old {
            if !show.members.iter().any(|m| m.ix == ix) {
                self.unshow(show.record, ix);
                self.stale.insert(ix);
            }
        }
        for Reflected {
            ix,
            node,
            unseen,
            held_by,
        } in &show.members
        {
            if let Some(other) = self.nodes.record(*ix).map(RecordId).filter(|r| *r != show.record) {
                if *held_by == Some(other) {
                    continue;
                }
                self.unshow(other, *ix);
            }
            let same = Arc::ptr_eq(node, self.nodes.node(*ix));
            let seen = if same && unseen.is_empty() {
                Seen::Everything
            } else {
                Seen::Just(node.heads().filter(|h| !unseen.contains(h)).collect())
            };
            if self.records.get(show.record).and_then(|r| r.seen(*ix)) != Some(&seen) {
                self.show(show.record, *ix, seen);
            }
            if same && !self.renewed.contains(*ix) {
                self.stale.remove(*ix);
            }
        }
    }
}

/// Takes over what a step that leaves the bytes alone made of the fingerprint. If it says that the bytes are others by now, the
/// record keeps what it knew, and the next scan finds them.
fn touched(record: &mut Record, print: &Fingerprint) {
    if record.print.same_bytes(print) || on(Fault::RenamesHideEdits) {
        record.print = *print;
    }
}

/// Whether, at one look, a node is shown by its record just as it should be, or is dead and not shown.
pub(crate) fn plainly_shown(view: &View, ix: Ix) -> bool {
    let nodes = view.nodes;
    let record = view.record(ix).and_then(|id| view.records.get(id));
    if !nodes.live(ix) {
        return record.is_none();
    }
    let node = nodes.node(ix);
    let Some(record) = record else { return false };
    let parent = nodes.parent(ix);
    let in_place = match view.records.get(record.parent) {
        Some(above) => above.members.len() == 1 && above.shows(parent) && nodes.union(parent).len() == 1,
        None => false,
    };
    nodes.adrift(ix).is_none()
        && node.gones.is_empty()
        && node.places.len() == 1
        && node.contents.len() == 1
        && record.members.len() == 1
        && record.seen(ix) == Some(&Seen::Everything)
        && record.name == *nodes.name(ix)
        && in_place
        && nodes.alone(ix)
        && node.contents[0].1.id() == record.bytes.id()
        && (record.kind != Kind::File || !nodes.names().keeps_exec() || node.executable() == record.exec)
}

struct Planner<'v, 'a> {
    view: &'v View<'a>,
    items: Vec<Item>,
    /// The item of a directory, by its first member.
    item_of: HashMap<Ix, usize>,
    /// Records of the nodes looked at.
    records: Set<RecordId>,
    doomed: Set<RecordId>,
    /// The item of each record that is there and stays.
    item_of_record: HashMap<RecordId, usize>,
    /// How many numbers were taken for new records, and which of them are not needed after all.
    new: usize,
    unused: Vec<RecordId>,
    settled: Vec<Ix>,
    steps: Vec<Step>,
    shows: Vec<Show>,
    removals: usize,
    overwrites: usize,
    // The disk as it will be after the steps so far.
    at: HashMap<RecordId, (RecordId, Arc<str>)>,
    added: HashMap<(RecordId, u32), SmallVec<[RecordId; 1]>>,
    added_inside: HashMap<RecordId, usize>,
    left: Set<RecordId>,
    /// Paths of directories there.
    paths: RefCell<HashMap<RecordId, Rc<str>>>,
    // What cannot be placed yet, and is tried again once that changes.
    /// Items that wait for the directory that they are in, by its item.
    in_unplaced: HashMap<usize, Vec<usize>>,
    /// Items that wait for a record to leave its place.
    behind: HashMap<RecordId, Vec<usize>>,
    /// Items that wait for nothing but that.
    blocked: BTreeSet<usize>,
    /// Items that wait no more.
    woken: VecDeque<usize>,
    /// Items that would only be placed after one more commit, where there were many already.
    postponed: Vec<usize>,
    // What has happened since the last step that comes after a commit.
    vacated: HashSet<(RecordId, u32)>,
    renamed: Set<RecordId>,
    /// How many steps come after a commit.
    commits: usize,
}

/// So many steps of a plan come after a commit; what would need more is put out of the way first, all at once.
const MOST_COMMITS: usize = 8;

impl<'v, 'a> Planner<'v, 'a> {
    fn new(view: &'v View<'a>) -> Planner<'v, 'a> {
        Planner {
            view,
            items: Vec::new(),
            item_of: HashMap::new(),
            records: Set::default(),
            doomed: Set::default(),
            item_of_record: HashMap::new(),
            new: 0,
            unused: Vec::new(),
            settled: Vec::new(),
            steps: Vec::new(),
            shows: Vec::new(),
            removals: 0,
            overwrites: 0,
            at: HashMap::new(),
            added: HashMap::new(),
            added_inside: HashMap::new(),
            left: Set::default(),
            paths: RefCell::default(),
            in_unplaced: HashMap::new(),
            behind: HashMap::new(),
            blocked: BTreeSet::new(),
            woken: VecDeque::new(),
            postponed: Vec::new(),
            vacated: HashSet::new(),
            renamed: Set::default(),
            commits: 0,
        }
    }

    /// Finds the entries and records that the nodes are in, with all that must be looked at together.
    fn gather(&mut self, window: Vec<Ix>) {
        let nodes = self.view.nodes;
        let mut todo = window;
        let mut met: Set<Ix> = Set::default();
        let mut items: Set<Ix> = Set::default();
        while let Some(ix) = todo.pop() {
            if ix == Ix::ROOT || !met.insert(ix) {
                continue;
            }
            let record = self.view.record(ix);
            if let Some(id) = record.filter(|id| self.records.insert(*id)) {
                let members = self.view.records.get(id).map(|r| r.members.as_slice()).unwrap_or_default();
                todo.extend(members.iter().map(|(m, _)| *m));
            }
            let Some(entry) = self.view.entry(ix) else {
                if record.is_none() {
                    self.settled.push(ix);
                }
                continue;
            };
            todo.extend(entry.members.iter().copied());
            self.in_the_way_of(&entry, &mut todo);
            let first = entry.members[0];
            if !items.insert(first) {
                continue;
            }
            if entry.kind == Kind::Dir && self.membership_changed(&entry) {
                let shown = entry
                    .members
                    .iter()
                    .filter_map(|m| self.view.record(*m))
                    .filter_map(|r| self.view.records.get(r));
                let mut dirs: BTreeSet<Ix> = shown.flat_map(|r| r.members.iter().map(|(m, _)| *m)).collect();
                dirs.extend(entry.members.iter().copied());
                todo.extend(dirs.into_iter().flat_map(|d| nodes.inside(d)));
            }
            let mut depth = 0;
            let mut up = ix;
            while up != Ix::ROOT {
                depth += 1;
                up = nodes.parent(up);
            }
            let shown = (entry.kind != Kind::Dir).then(|| self.view.look(&entry));
            self.items.push(Item {
                entry,
                first,
                depth,
                record: RecordId::NONE,
                is_new: false,
                placed: false,
                shown,
                show: None,
            });
        }
        // Parents first.
        self.items.sort_unstable_by_key(|item| (item.depth, item.first));
        let dirs = self.items.iter().enumerate().filter(|(_, item)| item.entry.kind == Kind::Dir);
        self.item_of = dirs.map(|(i, item)| (item.first, i)).collect();
    }

    /// Adds what the record shows that stands where an entry belongs.
    fn in_the_way_of(&self, entry: &Entry, todo: &mut Vec<Ix>) {
        let parent = if entry.parent == Ix::ROOT {
            Some(RecordId::ROOT)
        } else {
            self.view.record(entry.parent)
        };
        let Some(parent) = parent else { return };
        let stands = self.view.records.hashed(parent, self.view.nodes.name_hash(&entry.name));
        for record in stands.filter_map(|id| self.view.records.get(id)) {
            todo.extend(record.members.iter().map(|(m, _)| *m));
        }
    }

    /// Whether a directory is shown by one record, and that shows just this.
    fn membership_changed(&self, entry: &Entry) -> bool {
        let mut records = entry.members.iter().filter_map(|m| self.view.record(*m));
        let Some(first) = records.next() else { return false };
        let just_this =
            |r: &Record| r.members.len() == entry.members.len() && r.members.iter().all(|(m, _)| entry.members.contains(m));
        records.any(|r| r != first) || !self.view.records.get(first).is_some_and(just_this)
    }

    /// Which record becomes which entry: one that is in place already before one that is not. The others go.
    fn assign(&mut self) {
        let mut taken: Set<RecordId> = Set::default();
        for in_place_only in [true, false] {
            for i in 0..self.items.len() {
                let item = &self.items[i];
                let mut candidates = item.entry.members.iter().filter_map(|m| self.view.record(*m)).peekable();
                if item.record != RecordId::NONE || candidates.peek().is_none() {
                    continue;
                }
                let parent = self.record_of_parent(i);
                let fits = |r: &Record| !in_place_only || (Some(r.parent) == parent && r.name == item.entry.name);
                let found = candidates.find(|id| !taken.contains(*id) && self.view.records.get(*id).is_some_and(fits));
                if let Some(id) = found {
                    taken.insert(id);
                    self.items[i].record = id;
                    self.item_of_record.insert(id, i);
                }
            }
        }
        let mut upcoming = self.view.records.upcoming();
        for item in self.items.iter_mut().filter(|item| item.record == RecordId::NONE) {
            if let Some(id) = upcoming.next() {
                (item.record, item.is_new) = (id, true);
                self.new += 1;
            }
        }
        self.doomed.extend(self.records.without(&taken));
    }

    /// The record that the directory of an entry has or will have.
    fn record_of_parent(&self, i: usize) -> Option<RecordId> {
        let parent = self.items[i].entry.parent;
        if parent == Ix::ROOT {
            return Some(RecordId::ROOT);
        }
        match self.item_of.get(&parent) {
            Some(p) => Some(self.items[*p].record).filter(|r| *r != RecordId::NONE),
            None => {
                let entry = self.view.entry(parent)?;
                entry.members.iter().find_map(|m| self.view.record(*m))
            }
        }
    }

    // ---- the disk as it will be

    fn place_of(&self, id: RecordId) -> (RecordId, Arc<str>) {
        if let Some(at) = self.at.get(&id) {
            return at.clone();
        }
        self.view
            .records
            .get(id)
            .map_or((RecordId::NONE, "".into()), |r| (r.parent, r.name.clone()))
    }

    /// The path of a directory there.
    fn dir(&self, id: RecordId) -> Rc<str> {
        if id == RecordId::ROOT || id == RecordId::NONE {
            return "".into();
        }
        if let Some(path) = self.paths.borrow().get(&id) {
            return path.clone();
        }
        let path: Rc<str> = self.path(id).as_ref().into();
        self.paths.borrow_mut().insert(id, path.clone());
        path
    }

    fn path(&self, id: RecordId) -> RelPath {
        let (parent, name) = self.place_of(id);
        self.path_in(parent, &name)
    }

    fn path_in(&self, parent: RecordId, name: &str) -> RelPath {
        let dir = self.dir(parent);
        if dir.is_empty() {
            name.into()
        } else {
            format!("{dir}/{name}").into()
        }
    }

    fn occupant(&self, parent: RecordId, name: &str) -> Option<RecordId> {
        let hash = self.view.nodes.name_hash(name);
        let same = |id: &RecordId| self.view.nodes.same_name(&self.place_of(*id).1, name);
        let added = self.added.get(&(parent, hash)).into_iter().flatten().copied().find(same);
        added.or_else(|| {
            self.view
                .records
                .hashed(parent, hash)
                .filter(|id| !self.left.contains(*id))
                .find(same)
        })
    }

    fn leave(&mut self, id: RecordId) {
        if let Some((parent, name)) = self.at.remove(&id) {
            let key = (parent, self.view.nodes.name_hash(&name));
            if let Some(list) = self.added.get_mut(&key) {
                list.retain(|r| *r != id);
            }
            if let Some(count) = self.added_inside.get_mut(&parent) {
                *count -= 1;
            }
        }
        self.left.insert(id);
        self.woken.extend(self.behind.remove(&id).unwrap_or_default());
    }

    fn arrive(&mut self, id: RecordId, parent: RecordId, name: Arc<str>) {
        let hash = self.view.nodes.name_hash(&name);
        self.added.entry((parent, hash)).or_default().push(id);
        *self.added_inside.entry(parent).or_default() += 1;
        self.at.insert(id, (parent, name));
    }

    fn is_empty(&self, id: RecordId) -> bool {
        self.added_inside.get(&id).copied().unwrap_or(0) == 0
            && self.view.records.inside(id).all(|child| self.left.contains(child))
    }

    fn expected(&self, id: RecordId) -> Option<Expected> {
        let record = self.view.records.get(id)?;
        Some(Expected {
            kind: record.kind,
            key: record.key,
            print: record.print,
            bytes: record.bytes.clone(),
        })
    }

    fn push(&mut self, action: Action, record: RecordId, to: (RecordId, Arc<str>), item: Option<usize>) {
        let show = item.map(|i| self.show_of(i));
        if let Some(at) = show {
            self.shows[at].steps_left += 1;
        }
        let after_commit = match &action {
            Action::Make { .. } | Action::Rename { .. } => self.vacated.contains(&self.place_key(to.0, &to.1)),
            Action::Write { .. } => self.renamed.contains(record),
            _ => false,
        };
        if after_commit {
            self.vacated.clear();
            self.renamed.clear();
            self.commits += 1;
        }
        match &action {
            Action::Rename { .. } => {
                self.renamed.insert(record);
                self.vacate(record);
            }
            Action::Remove { .. } | Action::RemoveDir { .. } => self.vacate(record),
            _ => {}
        }
        let was_leaving = self.view.records.get(record).is_some_and(|r| r.leaving);
        self.steps.push(Step {
            action,
            after_commit,
            leaving: false,
            record,
            was_leaving,
            to,
            show,
        });
    }

    fn place_key(&self, parent: RecordId, name: &str) -> (RecordId, u32) {
        (parent, self.view.nodes.name_hash(name))
    }

    /// Notes that a record leaves its place.
    fn vacate(&mut self, record: RecordId) {
        let (parent, name) = self.place_of(record);
        let key = self.place_key(parent, &name);
        self.vacated.insert(key);
    }

    fn show_of(&mut self, i: usize) -> usize {
        if let Some(at) = self.items[i].show {
            return at;
        }
        let show = self.reflection(i);
        self.shows.push(show);
        self.items[i].show = Some(self.shows.len() - 1);
        self.shows.len() - 1
    }

    fn reflection(&self, i: usize) -> Show {
        let item = &self.items[i];
        let data = item.shown.as_ref().map_or(ContentId::default(), |(content, _)| content.id());
        let member = |m: &Ix| Reflected {
            ix: *m,
            node: self.view.nodes.node(*m).clone(),
            unseen: self.view.unseen(*m, data).to_vec(),
            held_by: self
                .view
                .record(*m)
                .filter(|r| self.doomed.contains(*r) && !on(Fault::HeldIsTaken)),
        };
        Show {
            record: item.record,
            members: item.entry.members.iter().map(member).collect(),
            place: None,
            steps_left: 0,
            failed: false,
        }
    }

    // ---- steps

    /// Puts every entry where it belongs. Whatever can be done is done; when nothing can, what goes anyway is taken away,
    /// and then what is in the way is parked.
    fn place_all(&mut self) {
        let mut removed = false;
        self.woken = (0..self.items.len()).collect();
        loop {
            while let Some(i) = self.woken.pop_front() {
                self.blocked.remove(&i);
                self.place(i);
            }
            if !self.postponed.is_empty() {
                self.park_waiting();
                continue;
            }
            if self.blocked.is_empty() {
                break;
            }
            if !removed {
                removed = true;
                self.remove_rest();
            } else if on(Fault::NoParking) || !self.park_one() {
                break;
            }
        }
        for item in self.items.iter().filter(|item| item.is_new && !item.placed) {
            self.unused.push(item.record);
        }
    }

    /// Puts an entry where it belongs, with a step if need be; or notes what it has to wait for.
    fn place(&mut self, i: usize) {
        let above = self.items[i].entry.parent;
        if let Some(above) = self.item_of.get(&above).filter(|p| !self.items[**p].placed) {
            self.in_unplaced.entry(*above).or_default().push(i);
            return;
        }
        let (id, is_new) = (self.items[i].record, self.items[i].is_new);
        let Some(parent) = self.record_of_parent(i).filter(|_| id != RecordId::NONE) else {
            return;
        };
        let name = self.items[i].entry.name.clone();
        if is_new || self.place_of(id) != (parent, name.clone()) {
            let occupant = self.occupant(parent, &name).filter(|o| *o != id);
            if let Some(occupant) = occupant {
                self.behind.entry(occupant).or_default().push(i);
                self.blocked.insert(i);
                return;
            }
            if self.commits >= MOST_COMMITS && self.vacated.contains(&self.place_key(parent, &name)) {
                self.postponed.push(i);
                return;
            }
            if is_new {
                let path = self.path_in(parent, &name);
                let wanted = self.wanted(i);
                self.push(Action::Make { path, wanted }, id, (parent, name.clone()), Some(i));
            } else if let Some(around) = self.around(parent, id) {
                // Into what is in it: that has to get out first.
                self.behind.entry(around).or_default().push(i);
                self.blocked.insert(i);
                return;
            } else {
                self.rename(id, parent, name.clone(), i);
                self.leave(id);
            }
            self.arrive(id, parent, name);
        }
        self.items[i].placed = true;
        self.woken.extend(self.in_unplaced.remove(&i).unwrap_or_default());
    }

    /// If a directory is in another: what of the way from there to it stands in that other itself.
    fn around(&self, id: RecordId, dir: RecordId) -> Option<RecordId> {
        let (mut at, mut below) = (id, id);
        while at != RecordId::ROOT && at != RecordId::NONE {
            if at == dir {
                return Some(below);
            }
            below = at;
            at = self.place_of(at).0;
        }
        None
    }

    fn is_inside(&self, id: RecordId, dir: RecordId) -> bool {
        let mut at = id;
        while at != RecordId::ROOT && at != RecordId::NONE {
            if at == dir {
                return true;
            }
            at = self.place_of(at).0;
        }
        false
    }

    fn rename(&mut self, id: RecordId, parent: RecordId, name: Arc<str>, i: usize) {
        let from = self.path(id);
        let to = self.path_in(parent, &name);
        if let Some(expected) = self.expected(id) {
            if expected.kind == Kind::Dir {
                self.paths.borrow_mut().clear();
            }
            self.push(Action::Rename { from, to, expected }, id, (parent, name), Some(i));
        }
    }

    /// Puts one record out of the way that stands where a blocked entry belongs, or is in what stands there.
    fn park_one(&mut self) -> bool {
        let mut searched: HashSet<RecordId> = HashSet::new();
        let mut found = None;
        for i in &self.blocked {
            let Some(parent) = self.record_of_parent(*i) else { continue };
            let own = self.items[*i].record;
            let occupant = self.occupant(parent, &self.items[*i].entry.name).filter(|o| *o != own);
            let Some(occupant) = occupant.or_else(|| self.around(parent, own)) else {
                continue;
            };
            found = if self.is_movable(occupant) {
                Some(occupant)
            } else if searched.insert(occupant) {
                self.movable_inside(occupant)
            } else {
                None
            };
            if found.is_some() {
                break;
            }
        }
        let Some((id, j)) = found.and_then(|id| Some((id, *self.item_of_record.get(&id)?))) else {
            return false;
        };
        self.park(id, j);
        true
    }

    fn park(&mut self, id: RecordId, item: usize) {
        let name: Arc<str> = suffix::parked(id.0, &self.place_of(id).1).into();
        self.rename(id, RecordId::PARKED, name.clone(), item);
        self.leave(id);
        self.arrive(id, RecordId::PARKED, name);
    }

    /// Puts all out of the way that waits for each other. All their places are free then, and after one commit they are placed.
    fn park_waiting(&mut self) {
        let waiting: BTreeSet<usize> = self.blocked.iter().chain(&self.postponed).copied().collect();
        for i in waiting {
            let id = self.items[i].record;
            if self.is_movable(id) {
                self.park(id, i);
            }
        }
        self.commits = 0;
        self.woken.extend(std::mem::take(&mut self.postponed));
    }

    /// Whether a record is still to be put elsewhere, and is not out of the way yet.
    fn is_movable(&self, id: RecordId) -> bool {
        let item = self.item_of_record.get(&id).map(|i| &self.items[*i]);
        item.is_some_and(|item| !item.placed) && self.place_of(id).0 != RecordId::PARKED
    }

    /// The shallowest record in another that is still to be put elsewhere.
    fn movable_inside(&self, dir: RecordId) -> Option<RecordId> {
        let movable = self.item_of_record.keys().copied().filter(|id| self.is_movable(*id));
        let inside = movable.filter(|id| *id != dir && self.is_inside(*id, dir));
        let key = |id: RecordId| {
            let path = self.path(id);
            (path.matches('/').count(), path, id)
        };
        inside.map(key).min().map(|(_, _, id)| id)
    }

    /// Takes away the files and links that go, then the directories, the deepest first, once they are empty.
    fn remove_rest(&mut self) {
        let doomed: Vec<RecordId> = self.doomed.iter().filter(|id| !self.left.contains(*id)).collect();
        let (dirs, files): (Vec<_>, Vec<_>) = doomed
            .into_iter()
            .partition(|id| self.view.records.get(*id).is_some_and(|r| r.kind == Kind::Dir));
        for id in files {
            if let Some(expected) = self.expected(id) {
                let path = self.path(id);
                self.push(Action::Remove { path, expected }, id, (RecordId::NONE, "".into()), None);
                self.removals += 1;
                self.leave(id);
            }
        }
        let mut dirs: Vec<(usize, RecordId)> = dirs.into_iter().map(|id| (self.path(id).matches('/').count(), id)).collect();
        dirs.sort();
        for (_, id) in dirs.into_iter().rev() {
            if self.is_empty(id)
                && let Some(expected) = self.expected(id)
            {
                let path = self.path(id);
                self.push(Action::RemoveDir { path, expected }, id, (RecordId::NONE, "".into()), None);
                self.leave(id);
            }
        }
    }

    fn wanted(&self, i: usize) -> Wanted {
        let exec = self.items[i].shown.as_ref().is_some_and(|(_, exec)| *exec);
        match self.items[i].shown.as_ref().map(|(content, _)| content) {
            Some(Content::File { id, size, mtime_ns, .. }) => Wanted {
                bytes: Bytes::File(*id),
                size: *size,
                mtime_ns: *mtime_ns,
                exec,
            },
            Some(Content::Link { target }) => Wanted {
                bytes: Bytes::Link(target.clone()),
                size: 0,
                mtime_ns: 0,
                exec: false,
            },
            _ => Wanted {
                bytes: Bytes::Dir,
                size: 0,
                mtime_ns: 0,
                exec: false,
            },
        }
    }

    /// Writes the bytes and modes of what is in its place.
    fn show_all(&mut self) {
        for i in 0..self.items.len() {
            let item = &self.items[i];
            if !item.placed || item.is_new || item.entry.kind == Kind::Dir {
                continue;
            }
            let Some(record) = self.view.records.get(item.record) else {
                continue;
            };
            let wanted = self.wanted(i);
            let (id, place) = (item.record, self.place_of(item.record));
            let Some(expected) = self.expected(id) else { continue };
            let path = self.path(id);
            if record.bytes.id() != wanted.id() {
                self.overwrites += 1;
                self.push(Action::Write { path, expected, wanted }, id, place, Some(i));
            } else if record.kind == Kind::File && record.exec != wanted.exec && self.view.nodes.names().keeps_exec() {
                let exec = wanted.exec;
                self.push(Action::SetMode { path, expected, exec }, id, place, Some(i));
            }
        }
    }

    fn finish(mut self) -> (Plan, Vec<Show>, Vec<Ix>, (usize, Vec<RecordId>)) {
        let mut reflected = Vec::new();
        for i in 0..self.items.len() {
            if let Some(at) = self.items[i].show {
                self.shows[at].place = self.items[i].placed.then(|| self.place_of(self.items[i].record));
                self.shows[at].failed = !self.items[i].placed; // only put out of the way
            }
            if self.items[i].placed && self.items[i].show.is_none() {
                reflected.push(self.reflection(i));
            }
        }
        let plan = Plan {
            steps: self.steps,
            removals: self.removals,
            overwrites: self.overwrites,
            partial: false,
            shows: self.shows,
        };
        (plan, reflected, self.settled, (self.new, self.unused))
    }
}
