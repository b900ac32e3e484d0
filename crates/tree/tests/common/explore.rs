//! Every history within small bounds, each state once: breadth first, with a table of the states seen.
//!
//! A state is what the replicas know, what their disks show, and what of the past the invariants still depend on. From every new
//! state a copy is brought to rest, and all is checked there; and what is exchanged must not change what there is at rest, so that
//! every order of exchanges comes to the same.

use super::Broken;
use super::device::{Scope, question};
use super::disk::{join, within};
use super::history::caught;
use super::world::{SAME, World};
use crate::need;
use bifold_tree::{Conflict, ConflictKind, Content, ContentId, Dot, Head, Kind, Node, NodeId, ReplicaId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the replicas' clocks say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// Nothing: a write is newer than all that its writer has seen, and of two that are as new, that of the later replica. What
    /// two do without hearing of each other is one state, in whichever order.
    Logical,
    /// As that, but what the last replica writes is newer than all that the others write meanwhile.
    Ahead,
    /// The time: every order of what all do is another state. But replicas are alike then, and only the order of the times counts.
    Wall,
}

/// Within which bounds.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub name: &'static str,
    pub replicas: usize,
    /// What all have at the beginning, as [`World::based`] takes it.
    pub base: &'static [&'static str],
    /// The names that users give.
    pub names: &'static [&'static str],
    /// How deep they put things: 1 is the root.
    pub levels: usize,
    /// Whether they make directories.
    pub mkdir: bool,
    pub clock: Clock,
    /// Whether users also write bytes that others write, too.
    pub same: bool,
    /// Whether a replica may hear of something, and show it later.
    pub lag: bool,
    /// How many operations.
    pub depth: usize,
}

/// One operation. The first number is always the replica's that does it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    Create(usize, String),
    Mkdir(usize, String),
    Edit(usize, String),
    /// Writes the same bytes as others.
    Same(usize, String),
    Move(usize, String, String),
    Delete(usize, String),
    /// Merges all that another has.
    Hear(usize, usize),
    /// And shows it.
    Take(usize, usize),
    /// Picks this side of this of the conflicts listed, and shows it.
    Pick(usize, usize, usize),
}

/// Something that a user or a person who picks did.
#[derive(Clone)]
struct Deed {
    replica: usize,
    /// Its writes, if it wrote anything.
    dot: Option<Dot>,
    /// The deeds that the disk reflected before; of a pick, those that the replica knew.
    seen: u32,
    /// The nodes it put somewhere else, and those it deleted.
    moved: Vec<NodeId>,
    deleted: Vec<NodeId>,
}

/// How some bytes were taken off a disk that showed them.
#[derive(Clone)]
struct Kill {
    deed: usize,
    /// Other bytes took their place, or were picked; else they were deleted.
    replaced: bool,
    /// The nodes that the disk showed there: others may have the same bytes.
    nodes: Vec<NodeId>,
    /// Of what was deleted: the nodes of what the user deleted, of all directories down from there, and of the file. (Of what
    /// something was moved over, none.)
    chain: Vec<Vec<NodeId>>,
}

/// The replicas, with what was done.
#[derive(Clone)]
pub struct State {
    pub world: World,
    deeds: Vec<Deed>,
    /// For each replica the deeds it knows, and those of them that its disk reflects.
    known: Vec<u32>,
    shown: Vec<u32>,
    /// For all bytes, how they were taken off.
    kills: BTreeMap<String, Vec<Kill>>,
    /// How many bytes each replica's user wrote; and the deed that wrote them.
    written: Vec<usize>,
    authors: BTreeMap<String, usize>,
}

fn bit(deed: usize) -> u32 {
    1 << deed
}

impl State {
    pub fn new(bounds: &Bounds) -> Result<State, Broken> {
        let mut world = World::based(bounds.replicas, bounds.base)?;
        world.written = world.words.values().cloned().collect();
        Ok(State {
            world,
            deeds: Vec::new(),
            known: vec![0; bounds.replicas],
            shown: vec![0; bounds.replicas],
            kills: BTreeMap::new(),
            written: vec![0; bounds.replicas],
            authors: BTreeMap::new(),
        })
    }

    // ---- what can be done

    /// All operations that can be done next, always in the same order.
    pub fn ops(&mut self, bounds: &Bounds) -> Vec<Op> {
        let mut ops = Vec::new();
        for d in 0..bounds.replicas {
            self.exchanges(d, bounds, &mut ops);
            self.acts(d, bounds, &mut ops);
            for (c, conflict) in self.world.devices[d].conflicts().iter().enumerate() {
                let sides = match conflict.kind {
                    ConflictKind::Cycle | ConflictKind::Orphan => 1,
                    ConflictKind::Deleted => 2,
                    ConflictKind::Content => self.pickable(d, conflict),
                    _ => conflict.sides.len(),
                };
                ops.extend((0..sides).map(|side| Op::Pick(d, c, side)));
            }
        }
        ops
    }

    /// How many sides someone can pick. Where nobody has any of the bytes, it can be deleted.
    fn pickable(&self, d: usize, conflict: &Conflict) -> usize {
        let held = |d: &super::device::Device| conflict.sides.iter().filter(|s| d.holds(&s.content.id())).count();
        let nowhere = self.world.devices.iter().all(|d| held(d) == 0);
        held(&self.world.devices[d]) + usize::from(nowhere)
    }

    fn exchanges(&self, d: usize, bounds: &Bounds, ops: &mut Vec<Op>) {
        let have = |d: usize| self.world.devices[d].replica.have();
        for other in (0..bounds.replicas).filter(|o| *o != d) {
            let news = !have(d).includes(have(other));
            if news && bounds.lag {
                ops.push(Op::Hear(d, other));
            }
            if news || self.known[d] != self.shown[d] {
                ops.push(Op::Take(d, other));
            }
        }
    }

    fn acts(&self, d: usize, bounds: &Bounds, ops: &mut Vec<Op>) {
        let disk = &self.world.devices[d].disk;
        let there = disk.walk("");
        let dirs = there.iter().filter(|p| disk.kind(p) == Some(Kind::Dir));
        let dirs = [String::new()].into_iter().chain(dirs.cloned());
        let paths: Vec<String> = dirs
            .filter(|dir| super::disk::depth(dir) < bounds.levels)
            .flat_map(|dir| bounds.names.iter().map(move |name| join(&dir, name)))
            .collect();
        for path in paths.iter().filter(|p| disk.kind(p).is_none()) {
            ops.push(Op::Create(d, path.clone()));
            if bounds.same {
                ops.push(Op::Same(d, path.clone()));
            }
            if bounds.mkdir {
                ops.push(Op::Mkdir(d, path.clone()));
            }
        }
        for path in &there {
            let is_dir = disk.kind(path) == Some(Kind::Dir);
            if !is_dir {
                ops.push(Op::Edit(d, path.clone()));
                if bounds.same && disk.get(path).is_some_and(|o| o.data != SAME[0]) {
                    ops.push(Op::Same(d, path.clone()));
                }
            }
            for to in paths.iter().filter(|to| !within(to, path)) {
                if disk.kind(to).is_none_or(|kind| !is_dir && kind != Kind::Dir) {
                    ops.push(Op::Move(d, path.clone(), to.clone()));
                }
            }
            ops.push(Op::Delete(d, path.clone()));
        }
    }

    // ---- doing it

    /// The nodes that a disk shows at a path, of the directories on the way down from another, and of that one.
    fn chain(&self, d: usize, from: &str, path: &str) -> Vec<Vec<NodeId>> {
        let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
        let way = ends.map(|end| &path[..end]).filter(|p| within(p, from));
        let replica = &self.world.devices[d].replica;
        way.map(|p| replica.recorded_at(p).map(|r| r.nodes).unwrap_or_default())
            .collect()
    }

    fn wall(&self, d: usize, clock: Clock) -> u64 {
        match clock {
            Clock::Logical => 0,
            Clock::Ahead if d + 1 == self.known.len() => {
                let mine = self.deeds.iter().filter(|deed| deed.replica == d).count();
                1000 * (1 + mine as u64)
            }
            Clock::Ahead => 0,
            Clock::Wall => 1000 * (1 + self.deeds.len() as u64),
        }
    }

    /// Does it. What the story says of it comes out.
    pub fn act(&mut self, op: &Op, bounds: &Bounds) -> Result<String, Broken> {
        match op {
            Op::Hear(d, from) => self.hear(*d, *from, bounds)?,
            Op::Take(d, from) => {
                self.hear(*d, *from, bounds)?;
                self.show(*d)?;
            }
            Op::Create(d, ..)
            | Op::Mkdir(d, ..)
            | Op::Edit(d, ..)
            | Op::Same(d, ..)
            | Op::Move(d, ..)
            | Op::Delete(d, ..)
            | Op::Pick(d, ..) => return self.deed(*d, op, bounds),
        }
        let name = |d: &usize| self.world.devices[*d].name.clone();
        Ok(match op {
            Op::Take(d, from) => format!("{0} <- {1}; {0} apply", name(d), name(from)),
            Op::Hear(d, from) => format!("{} <- {}", name(d), name(from)),
            _ => String::new(),
        })
    }

    fn hear(&mut self, d: usize, from: usize, bounds: &Bounds) -> Result<(), Broken> {
        self.world.now = self.wall(d, bounds.clock);
        self.world.exchange(d, from, None)?;
        self.known[d] |= self.known[from];
        Ok(())
    }

    fn show(&mut self, d: usize) -> Result<bool, Broken> {
        let clean = self.world.apply(d, None)?;
        if clean {
            self.shown[d] = self.known[d];
        }
        Ok(clean)
    }

    /// Something that writes.
    fn deed(&mut self, d: usize, op: &Op, bounds: &Bounds) -> Result<String, Broken> {
        let deed = self.deeds.len();
        let is_pick = matches!(op, Op::Pick(..));
        let seen = if is_pick { self.known[d] } else { self.shown[d] };
        self.world.now = self.wall(d, bounds.clock);
        let before = self.world.devices[d].replica.changed_since(0);
        let time = self.world.devices[d].replica.have().time(self.world.devices[d].id);
        // What this takes off the disk, and not what was before.
        let killed = std::mem::take(&mut self.world.killed);
        let mut moved = Vec::new();
        // What is deleted; and the nodes of what is replaced.
        let mut deleted: Vec<(String, Kill)> = Vec::new();
        let mut nodes = match op {
            Op::Edit(_, path) | Op::Same(_, path) => self.chain(d, path, path).concat(),
            _ => Vec::new(),
        };
        let gone = |chain: Vec<Vec<NodeId>>| Kill {
            deed,
            replaced: false,
            nodes: chain.last().cloned().unwrap_or_default(),
            chain,
        };
        let name = self.world.devices[d].name.clone();
        let w = &mut self.world;
        let writes = matches!(op, Op::Create(..) | Op::Edit(..));
        let data = format!("{name}{}", self.written[d] + 1);
        if writes {
            self.written[d] += 1;
            self.authors.insert(data.clone(), deed);
            w.written.insert(data.clone());
        }
        let text = match op {
            Op::Create(_, path) => {
                w.write(d, path, Some(&data), true, Kind::File);
                format!("{name} create {path}")
            }
            Op::Edit(_, path) => {
                w.write(d, path, Some(&data), false, Kind::File);
                format!("{name} edit {path}")
            }
            Op::Same(_, path) => {
                w.written.insert(SAME[0].to_owned());
                w.write(d, path, Some(SAME[0]), true, Kind::File);
                format!("{name} same {path}")
            }
            Op::Mkdir(_, path) => {
                w.mkdir(d, path);
                format!("{name} mkdir {path}")
            }
            Op::Move(_, from, to) => {
                moved = w.devices[d].replica.recorded_at(from).map(|r| r.nodes).unwrap_or_default();
                // What it goes over may be read as deleted, or as another content of that file: neither is asked for.
                let data = |path: &str| w.devices[d].disk.get(path).map(|o| o.data.clone());
                let over = data(to).filter(|over| Some(over) != data(from).as_ref());
                let kill = Kill {
                    nodes: self.chain(d, to, to).concat(),
                    ..gone(Vec::new())
                };
                deleted.extend(over.map(|data| (data, kill)));
                self.world.rename(d, from, to);
                format!("{name} move {from} {to}")
            }
            Op::Delete(_, path) => {
                for below in [path.clone()].into_iter().chain(w.devices[d].disk.walk(path)) {
                    let object = self.world.devices[d].disk.get(&below).filter(|o| o.kind == Kind::File);
                    if let Some(data) = object.map(|o| o.data.clone()) {
                        deleted.push((data, gone(self.chain(d, path, &below))));
                    }
                }
                self.world.delete(d, path);
                format!("{name} delete {path}")
            }
            Op::Pick(_, c, side) => {
                let conflict = w.devices[d].conflicts()[*c].clone();
                nodes.clone_from(&conflict.nodes);
                let text = format!("{name} pick {:?} {} {side}", conflict.kind, conflict.path).to_lowercase();
                if conflict.kind == ConflictKind::Deleted && *side == 1 {
                    let sides = conflict.sides.iter().map(|s| w.word(&s.content.id()));
                    deleted = sides.map(|data| (data, gone(vec![conflict.nodes.clone()]))).collect();
                }
                need!(w.pick(d, 0, *side, Some(conflict))?, "nothing to pick: {text}");
                text
            }
            Op::Hear(..) | Op::Take(..) => String::new(),
        };
        if !is_pick {
            self.world.scan(d, Scope::Full)?;
        }
        let device = &self.world.devices[d];
        let now = device.replica.have().time(device.id);
        // What the replica had heard of already, and did not show: now it does.
        if now == time {
            let places = moved.iter().filter_map(|n| device.replica.node(*n)).flat_map(|n| &n.places);
            let heard = places
                .filter_map(|(dot, _)| self.deed_of(*dot))
                .fold(0, |all, of| all | bit(of) | self.deeds[of].seen);
            self.shown[d] |= heard & self.known[d];
        }
        let own = |dot: &Dot| (dot.replica, dot.time) == (device.id, now);
        // (What is moved over another may be read as another content of that one.)
        moved.retain(|n| {
            let node = device.replica.node(*n);
            node.is_some_and(|n| n.places.iter().any(|(dot, _)| own(dot)))
        });
        let nodes_now = device.replica.changed_since(0).into_iter();
        let with_it = nodes_now.filter(|n| n.gones.iter().any(|(dot, _)| own(dot)));
        let deleted_nodes = with_it.map(|n| n.id).collect();
        self.deeds.push(Deed {
            replica: d,
            dot: (now > time).then_some(Dot {
                time: now,
                replica: device.id,
            }),
            seen,
            moved,
            deleted: deleted_nodes,
        });
        self.note_kills(d, nodes, killed, deleted, &before);
        self.known[d] |= bit(deed);
        self.shown[d] |= bit(deed);
        if is_pick {
            self.show(d)?;
        }
        Ok(text)
    }

    /// Notes what the last deed took off, and of which nodes; `before`: what nobody asks for any more, before it.
    fn note_kills(
        &mut self,
        d: usize,
        nodes: Vec<NodeId>,
        before: BTreeSet<String>,
        deleted: Vec<(String, Kill)>,
        known: &[Arc<Node>],
    ) {
        let deed = self.deeds.len() - 1;
        let replaced = |nodes: Vec<NodeId>| Kill {
            deed,
            replaced: true,
            nodes,
            chain: Vec::new(),
        };
        let killed = std::mem::replace(&mut self.world.killed, before);
        for data in killed.iter().filter(|k| !deleted.iter().any(|(data, _)| data == *k)) {
            self.kills.entry(data.clone()).or_default().push(replaced(nodes.clone()));
        }
        for (data, kill) in deleted {
            self.kills.entry(data).or_default().push(kill);
        }
        self.world.killed.extend(killed);
        for node in known {
            let now = self.world.devices[d].replica.node(node.id).cloned();
            // Who settles that a directory was deleted, as by making it anew, has emptied it: what was in it is deleted for itself.
            for (dot, _) in &node.gones {
                if now.as_ref().is_none_or(|now| now.gone(*dot).is_none()) {
                    let of = self.deed_of(*dot);
                    let kills = self.kills.values_mut().flatten().filter(|k| of == Some(k.deed));
                    kills.for_each(|k| k.chain.retain(|level| !level.contains(&node.id)));
                }
            }
            // What was deleted, as this replica knows, is replaced by what takes its place in its node.
            for (dot, content) in &node.contents {
                if now.as_ref().is_some_and(|now| now.contents.iter().any(|(d, _)| d == dot)) {
                    continue;
                }
                let data = self.world.word(&content.id());
                let seen = self.known[d];
                if let Some(kills) = self.kills.get_mut(&data)
                    && kills.iter().any(|k| k.deed != deed && seen & bit(k.deed) != 0)
                {
                    kills.push(replaced(vec![node.id]));
                }
            }
        }
    }

    // ---- what was done without hearing of each other

    fn concurrent(&self, a: usize, b: usize) -> bool {
        a != b && self.deeds[a].seen & bit(b) == 0 && self.deeds[b].seen & bit(a) == 0
    }

    fn has_concurrent(&self, a: usize) -> bool {
        (0..self.deeds.len()).any(|b| self.concurrent(a, b))
    }

    /// The deed that wrote something; `None` for the base, which everyone has seen.
    fn deed_of(&self, dot: Dot) -> Option<usize> {
        self.deeds.iter().position(|deed| deed.dot == Some(dot))
    }

    /// Whether a deed had seen a write.
    fn had_seen(&self, deed: usize, dot: Dot) -> bool {
        self.deed_of(dot).is_none_or(|of| self.deeds[deed].seen & bit(of) != 0)
    }

    /// Whether the bytes escaped a deletion: someone who had not seen it moved them, or a directory that was deleted with them; and
    /// nobody deleted that who had seen that it was moved.
    fn escaped(&self, kill: &Kill) -> bool {
        let moved = |level: &[NodeId], r: usize| !level.is_empty() && level.iter().all(|n| self.deeds[r].moved.contains(n));
        let deleted = |level: &[NodeId], r: usize| {
            let after = |deed: &&Deed| deed.seen & bit(r) != 0;
            let mut later = self.deeds.iter().filter(after);
            later.any(|deed| level.iter().any(|n| deed.deleted.contains(n)))
        };
        (0..self.deeds.len()).filter(|r| self.concurrent(*r, kill.deed)).any(|r| {
            let mut levels = kill.chain.iter();
            levels.any(|level| moved(level, r) && !deleted(level, r))
        })
    }

    // ---- rest

    /// Brings all to rest, and checks what must hold there.
    pub fn rest(&mut self, bounds: &Bounds) -> Result<(), Broken> {
        let count = bounds.replicas;
        for round in 0.. {
            let (mut changed, mut clean) = (false, true);
            let changes: Vec<u64> = self.world.devices.iter().map(|d| d.disk.changes).collect();
            // (Before the first round all have been scanned.)
            for d in (0..count).filter(|_| round > 0) {
                let operations = self.world.scan(d, Scope::Full)?;
                need!(operations == 0, "{operations} operations that nobody did");
            }
            for d in 0..count {
                for other in (0..count).filter(|o| *o != d) {
                    changed |= self.world.exchange(d, other, None)?;
                }
            }
            need!(round == 0 || !changed, "what was exchanged once changes something again");
            for d in 0..count {
                clean &= self.world.apply(d, None)?;
            }
            // (Bytes may be nowhere: written and deleted at once, while another moved what they were in.)
            let holds = |id: &ContentId| self.world.devices.iter().any(|d| d.holds(id));
            let missing = self.world.devices.iter().any(|d| d.missing.iter().any(holds));
            let still = changes == self.world.devices.iter().map(|d| d.disk.changes).collect::<Vec<_>>();
            if round > 0 && clean && still && !missing {
                break;
            }
            need!(round < 4, "no rest: clean {clean}, still {still}, missing {missing}");
        }
        let all = self.known.iter().fold(0, |all, k| all | k);
        self.known.fill(all);
        self.shown.fill(all);
        self.world.check()?;
        self.check_contents()?;
        self.check_conflicts()
    }

    fn check_contents(&mut self) -> Result<(), Broken> {
        let projection = self.world.devices[0].project();
        let replica = &self.world.devices[0].replica;
        let mut live: BTreeMap<String, Vec<(NodeId, Dot)>> = BTreeMap::new();
        for entry in projection.iter().filter(|e| e.kind != Kind::Dir) {
            for side in &entry.sides {
                let nodes = entry.nodes.iter().filter_map(|n| replica.node(*n));
                let heads = nodes.flat_map(|n| n.contents.iter().map(|(dot, content)| (n.id, *dot, content)));
                let heads = heads.filter(|(_, _, c)| c.id() == *side).map(|(node, dot, _)| (node, dot));
                live.entry(self.world.word(side)).or_default().extend(heads);
            }
        }
        for (data, heads) in &live {
            need!(self.world.written.contains(data), "bytes that nobody wrote: {data}");
            for kill in self.kills.get(data).into_iter().flatten() {
                let seen = |(node, dot): &(NodeId, Dot)| kill.nodes.contains(node) && self.had_seen(kill.deed, *dot);
                let seen = heads.iter().any(seen);
                need!(
                    !seen || !kill.replaced && self.has_concurrent(kill.deed),
                    "{data} is back, though who {} it had seen it",
                    if kill.replaced { "replaced" } else { "deleted" }
                );
            }
        }
        // (Of a file that lives on, those contents are there that no deletion has seen.)
        let nodes: BTreeSet<NodeId> = projection.iter().flat_map(|e| e.nodes.iter().copied()).collect();
        let lives = |k: &Kill| k.nodes.iter().any(|n| nodes.contains(n));
        for (data, kills) in self.kills.iter().filter(|(data, _)| !live.contains_key(*data)) {
            need!(
                SAME.contains(&data.as_str()) || kills.iter().any(|k| k.replaced || lives(k) || !self.escaped(k)),
                "lost: {data}, which was moved by someone who had not seen that it was deleted"
            );
        }
        Ok(())
    }

    fn check_conflicts(&mut self) -> Result<(), Broken> {
        let conflicts = self.world.devices[0].conflicts();
        let apart = (0..self.deeds.len()).any(|deed| self.has_concurrent(deed));
        need!(
            apart || conflicts.is_empty(),
            "a conflict, though all had seen what was before: {conflicts:?}"
        );
        for c in conflicts.iter().filter(|c| c.kind == ConflictKind::Renamed) {
            let deeds: Vec<Option<usize>> = c.sides.iter().map(|s| self.deed_of(s.dot)).collect();
            for (i, a) in deeds.iter().enumerate() {
                for b in &deeds[i + 1..] {
                    let concurrent = a.zip(*b).is_some_and(|(a, b)| self.concurrent(a, b));
                    need!(concurrent, "a conflict of two moves of which one had seen the other: {c:?}");
                }
            }
        }
        for c in conflicts.iter().filter(|c| c.kind == ConflictKind::Deleted) {
            let node = c.nodes.first().and_then(|n| self.world.devices[0].replica.node(*n));
            let deletions: Vec<usize> = node
                .iter()
                .flat_map(|n| &n.gones)
                .filter_map(|(dot, _)| self.deed_of(*dot))
                .collect();
            let unseen = |edit: Option<usize>, o: usize| edit.is_none_or(|edit| edit != o && self.deeds[edit].seen & bit(o) == 0);
            let mut edits = c.sides.iter().map(|side| self.deed_of(side.dot));
            need!(
                edits.all(|edit| deletions.iter().any(|o| unseen(edit, *o))),
                "listed, though who wrote it had seen that it was deleted: {c:?}"
            );
        }
        Ok(())
    }

    /// Of a world at rest: whatever is picked, by the first or the last, is settled everywhere.
    pub fn check_picks(&self, bounds: &Bounds) -> Result<usize, Broken> {
        let mut tried = 0;
        let last = bounds.replicas - 1;
        for d in if bounds.clock == Clock::Wall { vec![0] } else { vec![0, last] } {
            let mut here = self.clone();
            let conflicts = here.world.devices[d].conflicts();
            for op in here.ops(bounds) {
                let Op::Pick(at, c, _) = op else { continue };
                if at != d {
                    continue;
                }
                let mut state = self.clone();
                let text = state.act(&op, bounds)?;
                state.rest(bounds).map_err(|e| format!("after {text}: {e}"))?;
                let picked = &conflicts[c];
                let again = |c: &Conflict| c.kind == picked.kind && c.nodes.iter().any(|n| picked.nodes.contains(n));
                let left = state.world.devices[0].conflicts().into_iter().find(again);
                need!(left.is_none(), "after {text}: still listed: {left:?}, was {picked:?}");
                tried += 1;
            }
        }
        Ok(tried)
    }

    // ---- the name of a state

    /// A number for the state: equal for states of which the same can come. `at_rest`: only for what is replicated.
    fn name(&mut self, bounds: &Bounds, at_rest: bool) -> u128 {
        let times: Vec<u64> = match bounds.clock {
            Clock::Wall => self.times(),
            Clock::Logical | Clock::Ahead => Vec::new(),
        };
        let orders: &[&[u8]] = match (bounds.clock, bounds.replicas) {
            (Clock::Wall, 2) => &[&[0, 1], &[1, 0]],
            (Clock::Wall, 3) => &[&[0, 1, 2], &[0, 2, 1], &[1, 0, 2], &[1, 2, 0], &[2, 0, 1], &[2, 1, 0]],
            _ => &[&[0, 1, 2, 3]],
        };
        let marks = self.marks(bounds.clock);
        let all = orders.iter().map(|order| {
            let mut name = Name {
                bytes: Vec::with_capacity(2048),
                times: &times,
                order,
                marks: &marks,
                state: self,
                ranked: bounds.clock == Clock::Wall,
            };
            if at_rest {
                name.rest()
            } else {
                name.all(bounds)
            }
            let hash = blake3::hash(&name.bytes);
            let mut first = [0; 16];
            first.copy_from_slice(&hash.as_bytes()[..16]);
            u128::from_le_bytes(first)
        });
        all.min().unwrap_or_default()
    }

    /// All times of dots, in order.
    fn times(&self) -> Vec<u64> {
        let mut times: Vec<u64> = self.deeds.iter().filter_map(|d| Some(d.dot?.time)).collect();
        for node in self.world.devices.iter().flat_map(|d| d.replica.changed_since(0)) {
            times.extend(node.context.iter().map(|(_, time)| *time).chain([node.id.dot.time]));
            times.extend(node.heads().map(|h| h.dot.time));
            times.extend(node.gones.iter().flat_map(|(_, g)| g.seen.iter().map(|h| h.dot.time)));
        }
        times.sort_unstable();
        times.dedup();
        times
    }

    /// The marks that names of nodes may have, where these are not compared as they are.
    fn marks(&self, clock: Clock) -> HashMap<String, NodeId> {
        let mut marks = HashMap::new();
        let marked = |n: &Node| n.places.iter().any(|(_, p)| p.name.contains(" ("));
        let shown = |d: &super::device::Device| d.stored().any(|r| r.name.contains(" ("));
        let all: Vec<_> = self.world.devices.iter().flat_map(|d| d.replica.changed_since(0)).collect();
        if clock == Clock::Wall && (all.iter().any(|n| marked(n)) || self.world.devices.iter().any(shown)) {
            marks.extend(all.iter().map(|n| (n.id.short(4), n.id)));
        }
        marks
    }
}

/// What a state is, in bytes: replicas in an order, times by their rank if only that counts, bytes by who wrote them when.
struct Name<'a> {
    bytes: Vec<u8>,
    times: &'a [u64],
    order: &'a [u8],
    marks: &'a HashMap<String, NodeId>,
    state: &'a State,
    ranked: bool,
}

impl Name<'_> {
    fn number(&mut self, number: usize) {
        self.bytes.extend_from_slice(&(number as u16).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn replica(&self, id: ReplicaId) -> u8 {
        let number = (id.0 >> 8) as usize;
        match self.order.get(number.wrapping_sub(1)) {
            Some(place) if number > 0 => *place,
            _ => 9, // who made the base; or the root
        }
    }

    fn time(&mut self, time: u64) {
        let rank = if self.ranked {
            self.times.binary_search(&time).unwrap_or(self.times.len())
        } else {
            time as usize
        };
        self.number(rank);
    }

    fn dot(&mut self, dot: Dot) {
        self.time(dot.time);
        self.bytes.push(self.replica(dot.replica));
    }

    fn node_id(&mut self, id: NodeId) {
        self.dot(id.dot);
        self.bytes.push(id.index as u8);
    }

    fn file_name(&mut self, name: &str) {
        let mark = name.rfind(" (").and_then(|at| Some((at, name[at + 2..].strip_suffix(')')?)));
        match mark.and_then(|(at, mark)| Some((at, *self.marks.get(mark)?))) {
            Some((at, id)) => {
                self.text(&name[..at]);
                self.node_id(id);
            }
            None => self.text(name),
        }
    }

    fn path(&mut self, path: &str) {
        for name in path.split('/') {
            self.file_name(name);
        }
        self.bytes.push(b'/');
    }

    /// What a user wrote is known by when that was.
    fn content(&mut self, id: &ContentId) {
        let word = self.state.world.word(id);
        match self.state.authors.get(&word) {
            Some(deed) => self.deed(&self.state.deeds[*deed]),
            None => self.text(&word),
        }
    }

    fn head(&mut self, head: &Head) {
        self.bytes.push(head.register as u8);
        self.dot(head.dot);
    }

    fn node(&mut self, node: &Node) {
        self.node_id(node.id);
        self.bytes.push(node.kind as u8);
        self.bytes.extend_from_slice(&node.born.to_le_bytes());
        let mut context: Vec<(u8, u64)> = node.context.iter().map(|(r, time)| (self.replica(*r), *time)).collect();
        context.sort_unstable();
        self.number(context.len());
        for (replica, time) in context {
            self.bytes.push(replica);
            self.time(time);
        }
        self.number(node.places.len());
        for (dot, place) in &node.places {
            self.dot(*dot);
            self.node_id(place.parent);
            self.file_name(&place.name);
        }
        self.number(node.contents.len());
        for (dot, content) in &node.contents {
            self.dot(*dot);
            match content {
                Content::Dir => self.bytes.push(b'/'),
                other => self.content(&other.id()),
            }
        }
        self.number(node.gones.len());
        for (dot, gone) in &node.gones {
            self.dot(*dot);
            self.number(gone.seen.len());
            gone.seen.iter().for_each(|h| self.head(h));
            if let Some(under) = gone.under {
                self.node_id(under);
            }
        }
    }

    fn nodes(&mut self, d: usize) {
        let mut nodes = self.state.world.devices[d].replica.changed_since(0);
        // (The order of their times is that of their ranks; and no two replicas write at one time, where their order is not given.)
        nodes.sort_by_key(|n| n.id);
        self.number(nodes.len());
        nodes.iter().for_each(|n| self.node(n));
    }

    fn records(&mut self, d: usize) {
        let device = &self.state.world.devices[d];
        let all: HashMap<_, _> = device.stored().map(|r| (r.id, r)).collect();
        let mut paths: Vec<Vec<u8>> = Vec::new();
        let before = std::mem::take(&mut self.bytes);
        for record in all.values() {
            let mut at = Some(*record);
            while let Some(r) = at {
                self.file_name(&r.name);
                self.number((r.parent.0 < 2) as usize * (1 + r.parent.0 as usize));
                at = all.get(&r.parent).copied();
            }
            self.bytes.push(record.kind as u8 + 16 * u8::from(record.leaving));
            match record.content {
                Some(id) => self.content(&id),
                None => self.bytes.push(b'/'),
            }
            let mut members: Vec<_> = record.members.iter().collect();
            members.sort_by_key(|(id, _)| *id);
            for (id, seen) in members {
                self.node_id(*id);
                self.number(seen.as_ref().map_or(999, Vec::len));
                let mut seen = seen.clone().unwrap_or_default();
                seen.sort_unstable();
                seen.iter().for_each(|h| self.head(h));
            }
            paths.push(std::mem::take(&mut self.bytes));
        }
        self.bytes = before;
        paths.sort_unstable();
        self.number(paths.len());
        for path in paths {
            self.number(path.len());
            self.bytes.extend_from_slice(&path);
        }
    }

    /// Some deeds, by their dots.
    fn deeds(&mut self, set: u32) {
        let deeds = &self.state.deeds;
        let all = deeds.iter().enumerate().filter(|(i, _)| set & bit(*i) != 0);
        let mut dots: Vec<Vec<u8>> = Vec::new();
        let before = std::mem::take(&mut self.bytes);
        for (_, deed) in all {
            self.deed(deed);
            dots.push(std::mem::take(&mut self.bytes));
        }
        self.bytes = before;
        dots.sort_unstable();
        self.number(dots.len());
        dots.iter().for_each(|d| self.bytes.extend_from_slice(d));
    }

    fn deed(&mut self, deed: &Deed) {
        match deed.dot {
            Some(dot) => self.dot(dot),
            None => {
                let replica = self.replica(self.state.world.devices[deed.replica].id);
                self.bytes.extend_from_slice(&[255, replica]);
            }
        }
    }

    /// What the invariants still depend on, of bytes that some node has.
    fn past(&mut self) {
        let state = self.state;
        let everyone = state.shown.iter().fold(u32::MAX, |all, s| all & s);
        let mut some: Vec<Vec<u8>> = Vec::new();
        let nodes: Vec<_> = state.world.devices.iter().flat_map(|d| d.replica.changed_since(0)).collect();
        let contents = nodes.iter().flat_map(|n| n.contents.iter());
        let present: BTreeSet<ContentId> = contents.filter(|(_, c)| *c != Content::Dir).map(|(_, c)| c.id()).collect();
        let before = std::mem::take(&mut self.bytes);
        for id in &present {
            let Some(kills) = state.kills.get(&state.world.word(id)) else {
                continue;
            };
            self.content(id);
            let mut all: Vec<Vec<u8>> = Vec::new();
            let own = std::mem::take(&mut self.bytes);
            for kill in kills {
                self.deed(&state.deeds[kill.deed]);
                let escaped = !kill.replaced && state.escaped(kill);
                self.bytes
                    .extend([kill.replaced, escaped, state.has_concurrent(kill.deed)].map(u8::from));
                self.number(kill.nodes.len());
                kill.nodes.iter().for_each(|n| self.node_id(*n));
                for level in &kill.chain {
                    self.number(level.len());
                    level.iter().for_each(|n| self.node_id(*n));
                }
                all.push(std::mem::take(&mut self.bytes));
            }
            all.sort_unstable();
            self.bytes = own;
            all.iter().for_each(|k| self.bytes.extend_from_slice(k));
            some.push(std::mem::take(&mut self.bytes));
        }
        for deed in state
            .deeds
            .iter()
            .enumerate()
            .filter(|(i, d)| !d.moved.is_empty() && (everyone & bit(*i) == 0 || state.has_concurrent(*i)))
        {
            self.deed(deed.1);
            deed.1.moved.iter().for_each(|n| self.node_id(*n));
            some.push(std::mem::take(&mut self.bytes));
        }
        some.sort_unstable();
        self.bytes = before;
        self.number(some.len());
        some.iter().for_each(|s| self.bytes.extend_from_slice(s));
        let apart = (0..state.deeds.len()).any(|deed| state.has_concurrent(deed));
        self.bytes.push(u8::from(apart));
    }

    fn all(&mut self, bounds: &Bounds) {
        let state = self.state;
        let mut devices: Vec<usize> = (0..bounds.replicas).collect();
        devices.sort_by_key(|d| self.order[*d]);
        for d in devices {
            self.nodes(d);
            self.records(d);
            let device = &state.world.devices[d];
            let mut names: Vec<Vec<u8>> = Vec::new();
            let before = std::mem::take(&mut self.bytes);
            for id in device.store.keys() {
                self.content(id);
                names.push(std::mem::take(&mut self.bytes));
            }
            names.sort_unstable();
            self.bytes = before;
            self.number(names.len());
            names.iter().for_each(|n| self.bytes.extend_from_slice(n));
            if bounds.clock != Clock::Wall {
                self.number(device.replica.state().clock as usize);
            }
            self.deeds(state.known[d] & !state.shown[d]);
        }
        self.past();
    }

    /// The nodes, which are the same everywhere, the tree that they make, and what is listed.
    fn rest(&mut self) {
        self.nodes(0);
        let mut device = self.state.world.devices[0].clone();
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let before = std::mem::take(&mut self.bytes);
        for entry in device.project() {
            self.path(&entry.path);
            self.bytes.push(entry.kind as u8);
            entry.nodes.iter().for_each(|n| self.node_id(*n));
            lines.push(std::mem::take(&mut self.bytes));
        }
        for (kind, nodes, sides) in device.conflicts().iter().map(question) {
            self.bytes.push(kind as u8);
            nodes.iter().for_each(|n| self.node_id(*n));
            for (dot, id) in sides {
                self.dot(dot);
                self.content(&id);
            }
            lines.push(std::mem::take(&mut self.bytes));
        }
        lines.sort_unstable();
        self.bytes = before;
        lines.iter().for_each(|l| self.bytes.extend_from_slice(l));
    }
}

// ---- exploring

/// A history that breaks something: the shortest, if it was found breadth first.
#[derive(Debug)]
pub struct Failure {
    pub history: Vec<String>,
    pub broken: Broken,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n    {}", self.history.join("; "), self.broken)
    }
}

/// What was explored.
#[derive(Debug, Default)]
pub struct Explored {
    /// For each number of operations, how many states take no fewer.
    pub states: Vec<usize>,
    /// All operations that were done from all of them.
    pub transitions: usize,
    /// Of the states, how many have conflicts at rest.
    pub conflicts: usize,
    /// Different states of rest, and the picks tried there.
    pub rests: usize,
    pub picks: usize,
    pub failure: Option<Failure>,
    /// The depth that was explored fully; less than asked for if the time was up.
    pub depth: usize,
    pub time: Duration,
}

impl std::fmt::Display for Explored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} operations: {} states, {} transitions, {} with conflicts, {} states of rest, {} picks, {:.1} s",
            self.depth,
            self.states.iter().sum::<usize>(),
            self.transitions,
            self.conflicts,
            self.rests,
            self.picks,
            self.time.as_secs_f64()
        )
    }
}

/// A state that is to be gone on from: which of its operations led to it, from the beginning, and what comes of it at rest.
struct Way {
    turns: Box<[u8]>,
    rest: u64,
}

struct Explorer<'a> {
    bounds: &'a Bounds,
    explored: Explored,
    /// All states, each with what comes of it at rest.
    seen: HashMap<u128, u64>,
    rests: HashSet<u64>,
    /// The states on the way to the last one gone on from.
    stack: Vec<(u8, State, Vec<Op>)>,
}

impl Explorer<'_> {
    /// The state that a way leads to. What it has in common with the last one is not done again.
    fn walk(&mut self, turns: &[u8]) -> Result<(), Broken> {
        let common = self.stack[1..]
            .iter()
            .zip(turns)
            .take_while(|((turn, ..), t)| turn == *t)
            .count();
        self.stack.truncate(common + 1);
        for turn in &turns[common..] {
            let (_, state, ops) = self.stack.last().ok_or("no beginning")?;
            let mut next = state.clone();
            caught(|| next.act(&ops[usize::from(*turn)], self.bounds))?;
            let ops = next.ops(self.bounds);
            self.stack.push((*turn, next, ops));
        }
        Ok(())
    }

    /// Brings a copy to rest, and checks it. What comes of it.
    fn check(&mut self, state: &State) -> Result<u64, Broken> {
        let mut rest = state.clone();
        caught(|| rest.rest(self.bounds))?;
        let name = rest.name(self.bounds, true) as u64;
        let has_conflicts = !rest.world.devices[0].conflicts().is_empty();
        self.explored.conflicts += usize::from(has_conflicts);
        if self.rests.insert(name) && has_conflicts {
            self.explored.picks += caught(|| rest.check_picks(self.bounds))?;
        }
        Ok(name)
    }

    fn level(&mut self, ways: &[Way], more: bool, until: Option<Instant>) -> Result<Option<Vec<Way>>, (Vec<u8>, Broken)> {
        let mut next = Vec::new();
        for way in ways {
            if until.is_some_and(|u| Instant::now() > u) {
                return Ok(None);
            }
            self.walk(&way.turns).map_err(|e| (way.turns.to_vec(), e))?;
            let Some((_, _, ops)) = self.stack.last() else { continue };
            let ops = ops.clone();
            for (turn, op) in ops.iter().enumerate() {
                let turn = u8::try_from(turn).unwrap_or(u8::MAX);
                let mut turns = way.turns.to_vec();
                turns.push(turn);
                let Some(mut state) = self.stack.last().map(|(_, state, _)| state.clone()) else {
                    continue;
                };
                let failed = |e| (turns.clone(), e);
                caught(|| state.act(op, self.bounds)).map_err(failed)?;
                self.explored.transitions += 1;
                let name = state.name(self.bounds, false);
                let rest = match self.seen.get(&name) {
                    Some(rest) => *rest,
                    None => {
                        let rest = self.check(&state).map_err(failed)?;
                        self.seen.insert(name, rest);
                        if let Some(count) = self.explored.states.last_mut() {
                            *count += 1;
                        }
                        if more {
                            let turns = turns.clone().into_boxed_slice();
                            next.push(Way { turns, rest });
                        }
                        rest
                    }
                };
                if matches!(op, Op::Hear(..) | Op::Take(..)) && rest != way.rest {
                    return Err((
                        turns,
                        "what was exchanged, and when, changes what there is at rest".to_owned(),
                    ));
                }
            }
        }
        Ok(Some(next))
    }

    fn tell(&mut self, turns: &[u8], broken: Broken) -> Failure {
        self.stack.truncate(1);
        let mut state = self.stack[0].1.clone();
        let mut history = Vec::new();
        if !self.bounds.base.is_empty() {
            history.push(format!("base {}", self.bounds.base.join(" ")));
        }
        for turn in turns {
            let op = state.ops(self.bounds)[usize::from(*turn)].clone();
            let text = caught(|| state.act(&op, self.bounds));
            history.push(text.unwrap_or_else(|_| format!("{op:?}")));
        }
        Failure { history, broken }
    }
}

/// Explores all within bounds, up to the first failure, or until the time is up.
pub fn explore(bounds: &Bounds, most: Option<Duration>) -> Explored {
    let start = Instant::now();
    let mut explorer = Explorer {
        bounds,
        explored: Explored::default(),
        seen: HashMap::new(),
        rests: HashSet::new(),
        stack: Vec::new(),
    };
    if let Err(failure) = run(&mut explorer, most.map(|m| start + m)) {
        explorer.explored.failure = Some(failure);
    }
    let mut explored = explorer.explored;
    explored.rests = explorer.rests.len();
    explored.time = start.elapsed();
    explored
}

fn run(explorer: &mut Explorer, until: Option<Instant>) -> Result<(), Failure> {
    let bounds = explorer.bounds;
    let failed = |broken| Failure {
        history: vec![format!("base {}", bounds.base.join(" "))],
        broken,
    };
    let mut first = caught(|| State::new(bounds)).map_err(failed)?;
    let ops = first.ops(bounds);
    explorer.stack.push((0, first.clone(), ops));
    let rest = explorer.check(&first).map_err(failed)?;
    explorer.seen.insert(first.name(bounds, false), rest);
    explorer.explored.states.push(1);
    let mut ways = vec![Way {
        turns: Box::new([]),
        rest,
    }];
    for depth in 1..=bounds.depth {
        explorer.explored.states.push(0);
        match explorer.level(&ways, depth < bounds.depth, until) {
            Ok(Some(next)) => ways = next,
            Ok(None) => return Ok(()),
            Err((turns, broken)) => return Err(explorer.tell(&turns, broken)),
        }
        explorer.explored.depth = depth;
    }
    Ok(())
}
