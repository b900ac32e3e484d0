//! Deciding conflicts: by what a person said of a path, else by the rule. The first replica decides, once it has heard all that
//! the others have; a decision is a write like any other, and reaches the others as one.

use crate::core::host::{Host, Phase};
use crate::core::{Commit, Core, Prefer};
use bifold_tree::{Conflict, ConflictKind, Content, ContentId, Dot, Node, NodeId, Pick, ReplicaId};
use std::collections::{BTreeSet, VecDeque};

/// Most decisions that stay known once they were told.
const MOST_TOLD: usize = 64;

/// A person's decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decide {
    /// The path, as any of the disks shows it.
    pub path: String,
    /// What shall stay.
    pub side: Side,
    /// Of several conflicts there, it is about those of this kind only.
    pub kind: Option<ConflictKind>,
}

/// What shall stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// What this replica has.
    Replica(ReplicaId),
    /// All sides, one under the name and the others beside it.
    Both,
    /// Nothing: of an edit of something deleted.
    Deleted,
}

/// A decision that was not used yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) decide: Decide,
    /// The sides that there were when it was made; `None` where none were listed, and the disks were not looked at yet.
    about: Option<BTreeSet<Dot>>,
}

impl Waiting {
    /// Whether all of these sides were there when it was made: what came since, nobody decided on.
    pub(crate) fn is_about(&self, sides: &BTreeSet<Dot>) -> bool {
        self.about.as_ref().is_none_or(|about| sides.is_subset(about))
    }
}

/// What was decided in this run, and what became of the side that lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// Where the first replica showed it.
    pub path: String,
    /// What kind of conflict it was.
    pub kind: ConflictKind,
    /// What stayed.
    pub taken: Taken,
    /// Where what lost is kept: the names of the replicas, and the files' names in their histories.
    pub kept: Vec<(String, String)>,
    /// What it is about.
    pub(crate) nodes: Vec<NodeId>,
}

/// The decisions of this run: those that were not told yet, and the last of those that were.
#[derive(Default)]
pub(crate) struct Decisions {
    last: VecDeque<Decided>,
    /// How many there were before these.
    before: u64,
    /// How many were told, in all.
    told: u64,
}

impl Decisions {
    pub(crate) fn in_all(&self) -> u64 {
        self.before + self.last.len() as u64
    }

    pub(crate) fn push(&mut self, decided: Decided) {
        self.last.push_back(decided);
    }

    /// Those that are about some of these nodes.
    pub(crate) fn about<'a>(&'a mut self, nodes: &'a [NodeId]) -> impl Iterator<Item = &'a mut Decided> {
        self.last.iter_mut().filter(|d| d.nodes.iter().any(|n| nodes.contains(n)))
    }

    fn since(&self, count: u64) -> impl Iterator<Item = &Decided> {
        self.last
            .iter()
            .skip(usize::try_from(count.saturating_sub(self.before)).unwrap_or(usize::MAX))
    }

    /// Those that were not told yet.
    pub(crate) fn tell(&mut self) -> Vec<Decided> {
        let new = self.since(self.told).cloned().collect();
        self.told = self.in_all();
        let old = self.last.len().saturating_sub(MOST_TOLD);
        self.last.drain(..old);
        self.before += old as u64;
        new
    }
}

/// What stayed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// What these replicas had.
    Side(Vec<String>),
    /// All sides.
    Both,
    /// Where it stands.
    Place,
    /// The edit of what was deleted.
    Edit,
    /// The deletion.
    Deletion,
}

impl Core {
    /// How many conflicts were decided in this run.
    #[must_use]
    pub fn decided_in_all(&self) -> u64 {
        self.decided.in_all()
    }

    /// What was decided after so many were, as far as it is still known: what was not told yet, and a little of what was.
    pub fn decided_since(&self, count: u64) -> impl Iterator<Item = &Decided> {
        self.decided.since(count)
    }

    /// A person decides.
    pub(crate) fn decision(&mut self, decide: Decide) {
        let first = self.order.first().copied();
        let looked = first.and_then(|id| self.hosts.get(&id)).is_some_and(|host| host.looked);
        // What is nowhere may be given up without being a conflict. (What the index says that should stand there says nothing before the
        // disks were looked at.)
        let mut sides = self.sides_listed(&decide);
        if looked && decide.side == Side::Deleted {
            sides.extend(self.sides_standing(&decide.path));
        }
        let about = (looked || !sides.is_empty()).then_some(sides);
        self.decisions.push(Waiting { decide, about });
        self.replan();
        self.decide_amid_steps();
    }

    /// A decision does not wait for the steps that are being taken: what comes of it is planned after them.
    pub(crate) fn decide_amid_steps(&mut self) {
        let first = self.order.first().copied();
        if let Some((id, host)) = first.and_then(|id| Some((id, self.hosts.get(&id)?)))
            && matches!(host.phase, Phase::Applying(_))
            && host.halted.is_none()
        {
            self.decide(id);
        }
    }

    pub(crate) fn decide(&mut self, id: ReplicaId) {
        if self.order.first() != Some(&id) || (self.decisions.is_empty() && self.settings.prefer == Prefer::Ask) {
            return;
        }
        if self
            .sessions
            .iter()
            .any(|((me, other), session)| *me == id && self.hosts.contains_key(other) && !session.heard_all())
        {
            return;
        }
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let mut conflicts = host.replica.conflicts();
        // (What steps are about is decided once they were taken: as what others say of it is heard then.)
        conflicts.retain(|conflict| !conflict.nodes.iter().any(|node| host.planned.contains(node)));
        let mut decided = false;
        let mut used = BTreeSet::new();
        for conflict in conflicts {
            let mut said = self.decisions.iter().position(|d| self.concerns(&d.decide, &conflict));
            let sides: BTreeSet<Dot> = conflict.sides.iter().map(|side| side.dot).collect();
            if let Some(at) = said.filter(|at| !self.decisions[*at].is_about(&sides)) {
                used.insert(at);
                said = None;
            }
            let side = said.map(|at| self.decisions[at].decide.side);
            let before = self.decided.in_all();
            let rule = match (side, self.settings.prefer) {
                (Some(Side::Replica(r)), _) => Prefer::Replica(r),
                (Some(Side::Both), _) => Prefer::Both,
                (Some(Side::Deleted), _) => {
                    if conflict.kind == ConflictKind::Deleted {
                        self.pick(id, &conflict, Pick::Delete, Taken::Deletion);
                    }
                    Prefer::Ask
                }
                (None, rule) => rule,
            };
            if rule != Prefer::Ask {
                self.settle(id, &conflict, rule);
            }
            if self.decided.in_all() > before {
                decided = true;
                used.extend(said);
            }
        }
        // A decision is about what there is now, not about what may come.
        let mut at = 0;
        self.decisions.retain(|_| {
            at += 1;
            !used.contains(&(at - 1))
        });
        if decided {
            self.commit(id, Commit::default());
        }
    }

    /// The writes of the contents that some nodes have, whatever was heard of them just now.
    pub(crate) fn sides(&self, id: ReplicaId, nodes: &[NodeId]) -> BTreeSet<Dot> {
        let host = self.hosts.get(&id);
        let nodes = host
            .into_iter()
            .flat_map(|host| nodes.iter().filter_map(|n| host.replica.node(*n)));
        nodes.flat_map(|node| node.contents.iter().map(|(dot, _)| *dot)).collect()
    }

    /// All sides of what is listed of what a decision is about.
    fn sides_listed(&mut self, decide: &Decide) -> BTreeSet<Dot> {
        let first = self.order.first().copied();
        let listed = first
            .and_then(|id| self.hosts.get_mut(&id))
            .map(|host| host.replica.conflicts());
        let at = listed.iter().flatten().filter(|c| self.concerns(decide, c));
        at.flat_map(|c| c.sides.iter().map(|side| side.dot)).collect()
    }

    /// All sides of what is to stand at a path on one of the disks. Looks at all nodes.
    fn sides_standing(&mut self, path: &str) -> BTreeSet<Dot> {
        let path = path.trim_matches('/');
        let mut sides = BTreeSet::new();
        for id in self.order.clone() {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            let name = path.rsplit('/').next();
            let named = |node: &Node| node.places.iter().any(|(_, place)| Some(&*place.name) == name);
            let nodes: Vec<NodeId> = host
                .replica
                .changed_since(0)
                .iter()
                .filter(|n| named(n))
                .map(|n| n.id)
                .collect();
            let stands = |node: &NodeId| host.replica.projected(*node).is_some_and(|p| p.path == path);
            let nodes: Vec<NodeId> = nodes.into_iter().filter(stands).collect();
            sides.extend(self.sides(id, &nodes));
        }
        sides
    }

    /// Whether a decision is about a conflict.
    fn concerns(&self, decide: &Decide, conflict: &Conflict) -> bool {
        decide.kind.is_none_or(|kind| kind == conflict.kind) && self.is_at(conflict, &decide.path)
    }

    /// Whether a conflict is at a path, on any of the disks.
    fn is_at(&self, conflict: &Conflict, path: &str) -> bool {
        let path = path.trim_matches('/');
        conflict.path == path
            || conflict.nodes.iter().any(|n| {
                self.hosts
                    .values()
                    .any(|h| h.replica.recorded(*n).is_some_and(|r| r.path == path))
            })
    }

    fn pick(&mut self, id: ReplicaId, conflict: &Conflict, pick: Pick, taken: Taken) {
        let wall = self.wall_ms;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        match host.replica.resolve(&conflict.nodes, pick, wall) {
            Ok(_) => self.decided.push(Decided {
                path: conflict.path.clone(),
                kind: conflict.kind,
                taken,
                kept: Vec::new(),
                nodes: conflict.nodes.clone(),
            }),
            Err(e) => tracing::warn!(path = conflict.path, %e, "not decided"),
        }
    }

    fn settle(&mut self, id: ReplicaId, conflict: &Conflict, rule: Prefer) {
        let pick = match conflict.kind {
            ConflictKind::Content => self.content_pick(id, conflict, rule),
            ConflictKind::Deleted => self.deleted_pick(id, conflict, rule),
            ConflictKind::Renamed => match rule {
                Prefer::Replica(r) => conflict
                    .sides
                    .iter()
                    .rev()
                    .find(|s| s.dot.replica == r)
                    .map(|s| Pick::Place(s.dot)),
                _ => conflict.sides.last().map(|s| Pick::Place(s.dot)),
            },
            ConflictKind::Name => match rule {
                Prefer::Replica(r) => conflict
                    .sides
                    .iter()
                    .rev()
                    .find(|s| s.dot.replica == r)
                    .map(|s| Pick::Name(s.dot)),
                Prefer::Both => conflict.sides.first().map(|s| Pick::Name(s.dot)),
                Prefer::Ask | Prefer::Newest => None,
            },
            ConflictKind::Cycle | ConflictKind::Orphan => (rule == Prefer::Both).then_some(Pick::Keep),
        };
        let Some(pick) = pick else { return };
        let taken = match pick {
            Pick::Content(_) if rule == Prefer::Both => Taken::Both,
            Pick::Content(content) => {
                let mut of = self.showing(&conflict.nodes, content);
                let by = conflict.sides.iter().find(|side| side.content.id() == content);
                if of.is_empty() {
                    of.extend(by.and_then(|side| self.name_of(side.dot.replica)));
                }
                Taken::Side(of)
            }
            Pick::Name(_) if rule == Prefer::Both => Taken::Both,
            Pick::Place(dot) | Pick::Name(dot) => Taken::Side(self.name_of(dot.replica).into_iter().collect()),
            Pick::Keep if conflict.kind != ConflictKind::Deleted => Taken::Place,
            Pick::Keep => Taken::Edit,
            Pick::Delete => Taken::Deletion,
        };
        if let (Prefer::Both, Pick::Content(kept)) = (rule, pick) {
            let wall = self.wall_ms;
            let Some(host) = self.hosts.get_mut(&id) else { return };
            for side in conflict.sides.iter().filter(|s| s.content.id() != kept) {
                let node = conflict.nodes.iter().find(|n| {
                    host.replica
                        .node(**n)
                        .is_some_and(|node| node.contents.iter().any(|(_, c)| c.id() == side.content.id()))
                });
                let Some(node) = node else { return };
                if host.replica.keep_beside(*node, side.content.id(), wall).is_err() {
                    return;
                }
            }
        }
        self.pick(id, conflict, pick, taken);
    }

    /// What people call a replica.
    pub(crate) fn name_of(&self, replica: ReplicaId) -> Option<String> {
        let here = self.hosts.get(&replica).map(|host| &host.name);
        here.or_else(|| self.names.get(&replica)).cloned()
    }

    /// The names of the replicas whose disks show some content of some nodes.
    pub(crate) fn showing(&self, nodes: &[NodeId], content: ContentId) -> Vec<String> {
        let shows = |host: &&Host| {
            nodes
                .iter()
                .any(|n| host.replica.recorded(*n).is_some_and(|r| r.bytes.id() == content))
        };
        let hosts = self.order.iter().filter_map(|r| self.hosts.get(r));
        hosts.filter(shows).map(|h| h.name.clone()).collect()
    }

    fn content_pick(&self, id: ReplicaId, conflict: &Conflict, rule: Prefer) -> Option<Pick> {
        let shown_by = |r: ReplicaId| -> Option<ContentId> {
            let replica = &self.hosts.get(&r)?.replica;
            let shown = conflict.nodes.iter().find_map(|n| replica.recorded(*n))?.bytes.id();
            conflict.sides.iter().any(|s| s.content.id() == shown).then_some(shown)
        };
        // Only what some disk here shows can be picked.
        let at_hand = |content: &ContentId| self.order.iter().any(|r| shown_by(*r) == Some(*content));
        let picked = match rule {
            Prefer::Ask => None,
            // What another device has is fetched once it is picked.
            Prefer::Replica(r) if !self.hosts.contains_key(&r) => {
                let side = conflict.sides.iter().rev().find(|s| s.dot.replica == r);
                return side.map(|s| Pick::Content(s.content.id()));
            }
            Prefer::Replica(r) => shown_by(r),
            Prefer::Both => shown_by(id).or_else(|| conflict.sides.last().map(|s| s.content.id())),
            Prefer::Newest => {
                let newest = conflict
                    .sides
                    .iter()
                    .filter(|s| at_hand(&s.content.id()))
                    .max_by_key(|s| match &s.content {
                        Content::File { mtime_ns, .. } => (*mtime_ns, s.dot),
                        _ => (0, s.dot),
                    });
                newest.map(|s| s.content.id())
            }
        };
        picked.filter(at_hand).map(Pick::Content)
    }

    fn deleted_pick(&self, id: ReplicaId, conflict: &Conflict, rule: Prefer) -> Option<Pick> {
        let node = self.hosts.get(&id)?.replica.node(*conflict.nodes.first()?)?;
        let edited_last = conflict.sides.iter().map(|s| s.dot).max()?;
        let deleted_last = node.gones.iter().map(|(dot, _)| *dot).max()?;
        match rule {
            Prefer::Ask => None,
            Prefer::Both => Some(Pick::Keep),
            Prefer::Newest => Some(if edited_last > deleted_last {
                Pick::Keep
            } else {
                Pick::Delete
            }),
            Prefer::Replica(r) if conflict.sides.iter().any(|s| s.dot.replica == r) => Some(Pick::Keep),
            Prefer::Replica(r) if node.gones.iter().any(|(dot, _)| dot.replica == r) => Some(Pick::Delete),
            Prefer::Replica(_) => None,
        }
    }
}
