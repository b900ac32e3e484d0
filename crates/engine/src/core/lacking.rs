//! Bytes that are nowhere: replaced or deleted where they were, before they got anywhere else, of a file that lives for another reason
//! (it was moved, or a copy of it was asked for). What a disk shows of it instead, lives; what none shows and no history has, is no
//! more. But only once everyone in the folder has said that they have them not: while someone is away who may, they are waited for.

use crate::core::host::Phase;
use crate::core::{Commit, Core, Effect};
use bifold_protocol::session::MAX_LACKING;
use bifold_protocol::{Answer, Message};
use bifold_tree::{ContentId, Dot, NodeId, Pick, Replica, ReplicaId, Shown};
use std::collections::{BTreeMap, BTreeSet};

/// Most nodes of which a peer's question is kept until it can be answered.
const MAX_ASKED: usize = 8 * MAX_LACKING;

/// A node whose bytes a disk here lacks.
pub(crate) struct Lacking {
    /// That disk's replica.
    id: ReplicaId,
    /// What it might have had when this was found.
    sides: Vec<(Dot, ContentId)>,
    /// Who was asked.
    asked: BTreeSet<ReplicaId>,
    /// Who answered what: what it shows, and whether it lacks it too.
    answers: BTreeMap<ReplicaId, (Shown, bool)>,
}

/// Which bytes lie in the histories of this program's disks: a side of an open conflict may be nowhere else.
#[derive(Default)]
pub(crate) struct Past {
    /// What was found out, or `None` while it is being found out.
    known: BTreeMap<ContentId, Option<bool>>,
    /// The number of the question: what was asked before it counts no more.
    number: u64,
}

impl Past {
    /// Histories have something more, or less, or it is long that they were looked at.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
        self.number += 1;
    }

    /// An answer: which of the bytes that were sought there are.
    pub(crate) fn found(&mut self, number: u64, found: BTreeMap<ContentId, bool>) {
        if number == self.number {
            self.known.extend(found.into_iter().map(|(content, is)| (content, Some(is))));
        }
    }

    fn has(&self, content: &ContentId) -> bool {
        self.known.get(content).is_some_and(|is| *is == Some(true))
    }

    /// What is to be sought of these; `None` if all is known.
    fn unknown(&mut self, contents: impl Iterator<Item = ContentId>) -> Option<BTreeSet<ContentId>> {
        let (mut all_known, mut unasked) = (true, BTreeSet::new());
        for content in contents {
            match self.known.get(&content) {
                Some(Some(_)) => {}
                Some(None) => all_known = false,
                None => {
                    self.known.insert(content, None);
                    unasked.insert(content);
                    all_known = false;
                }
            }
        }
        (!all_known).then_some(unasked)
    }
}

/// What is known of all disks together.
struct Known {
    /// The bytes that one shows, or has in its history.
    here: BTreeSet<ContentId>,
    /// Who lacks the bytes, and may decide.
    lacks: BTreeSet<ReplicaId>,
    /// Who shows the node.
    shows: BTreeSet<ReplicaId>,
}

impl Core {
    /// A disk lacks the bytes of some nodes: those who may have them are asked.
    pub(crate) fn lacks(&mut self, id: ReplicaId, nodes: Vec<NodeId>) {
        let Some(host) = self.hosts.get(&id) else { return };
        for node in nodes {
            let sides = host.replica.sides_of(node);
            let known = self.lacking.get(&node).is_some_and(|l| l.sides == sides);
            if sides.is_empty() || known {
                continue;
            }
            let lacking = Lacking {
                id,
                sides,
                asked: BTreeSet::new(),
                answers: BTreeMap::new(),
            };
            self.lacking.insert(node, lacking);
        }
    }

    /// A session ended: what was said in it counts no more.
    pub(crate) fn lacks_unheard(&mut self, here: ReplicaId, there: ReplicaId) {
        self.lacked.remove(&(here, there));
        for lacking in self.lacking.values_mut() {
            lacking.asked.clear();
            lacking.answers.clear();
        }
    }

    /// Someone has news: what it said before of what it shows may be so no more.
    pub(crate) fn lacks_anew(&mut self, there: ReplicaId) {
        for lacking in self.lacking.values_mut() {
            lacking.asked.remove(&there);
            lacking.answers.remove(&there);
        }
    }

    /// Time went by: who has not answered is asked again.
    pub(crate) fn lacks_still(&mut self) {
        self.past.forget();
        for lacking in self.lacking.values_mut() {
            lacking.asked.retain(|r| lacking.answers.contains_key(r));
        }
    }

    /// Someone asks.
    pub(crate) fn asked(&mut self, me: ReplicaId, other: ReplicaId, nodes: Vec<NodeId>) {
        let asked = self.lacked.entry((me, other)).or_default();
        asked.extend(nodes);
        while asked.len() > MAX_ASKED {
            asked.pop_last(); // they ask again
        }
    }

    /// Someone answers.
    pub(crate) fn answered(&mut self, answer: &Answer) {
        for (shown, lacks) in &answer.shown {
            let Some(lacking) = self.lacking.get_mut(&shown.node) else {
                continue;
            };
            let Some(host) = self.hosts.get(&lacking.id) else { continue };
            let mut shown = shown.clone();
            shown
                .contents
                .retain(|content| lacking.sides.iter().any(|(_, id)| id == content));
            // Nobody else is waited for.
            let waited_for: BTreeSet<ReplicaId> = host.replica.waited_for().map(|(r, _)| r).collect();
            let members = answer
                .of
                .iter()
                .filter(|r| waited_for.contains(r) && !self.hosts.contains_key(r));
            lacking.answers.extend(members.map(|r| (*r, (shown.clone(), *lacks))));
        }
    }

    /// Whether a disk is as its records say, as far as is known.
    fn at_rest(&self, id: ReplicaId) -> bool {
        let host = self.hosts.get(&id);
        host.is_some_and(|h| {
            let looks = h.joining || h.unfinished || h.unsure || h.in_doubt || h.dirty.is_some();
            h.halted.is_none() && h.held.is_none() && h.phase == Phase::Idle && !looks
        })
    }

    /// Asks and answers, as far as that can be done now. What was found out of nodes has been told before.
    pub(crate) fn talk_of_lacking(&mut self) {
        if self.stopping || (self.lacking.is_empty() && self.lacked.is_empty()) {
            return;
        }
        let hosts: Vec<ReplicaId> = self.order.clone();
        if hosts.iter().all(|id| self.at_rest(*id)) {
            let asked: Vec<NodeId> = self.lacked.values().flatten().copied().collect();
            if self.knows_the_past_of(asked) {
                self.answer_lacking(&hosts);
            }
        }
        let far: Vec<(ReplicaId, ReplicaId)> = self
            .sessions
            .iter()
            .filter(|((_, other), session)| !self.hosts.contains_key(other) && session.heard_all())
            .map(|(ends, _)| *ends)
            .collect();
        for (me, other) in far {
            let unasked = self.lacking.iter_mut().filter(|(_, l)| !l.asked.contains(&other));
            let mut nodes = Vec::new();
            for (node, lacking) in unasked.take(MAX_LACKING) {
                lacking.asked.insert(other);
                nodes.push(*node);
            }
            if !nodes.is_empty() {
                self.effects.push_back(Effect::Send {
                    from: me,
                    to: other,
                    message: Message::Lacks(nodes),
                });
            }
        }
    }

    /// Whether it is known which bytes of some nodes lie in histories here; if not, that is found out.
    fn knows_the_past_of(&mut self, nodes: impl IntoIterator<Item = NodeId>) -> bool {
        let hosts = &self.hosts;
        let of = |node: NodeId| hosts.values().flat_map(move |host| host.replica.sides_of(node));
        let contents = nodes.into_iter().flat_map(of).map(|(_, content)| content);
        let unknown = self.past.unknown(contents);
        if let Some(unasked) = unknown.as_ref().filter(|unasked| !unasked.is_empty()) {
            self.effects.push_back(Effect::Seek(self.past.number, unasked.clone()));
        }
        unknown.is_none()
    }

    fn answer_lacking(&mut self, hosts: &[ReplicaId]) {
        for ((me, other), nodes) in std::mem::take(&mut self.lacked) {
            let nodes: Vec<NodeId> = nodes.into_iter().collect();
            for nodes in nodes.chunks(MAX_LACKING) {
                let mut shown: Vec<(Shown, bool)> = Vec::new();
                for host in hosts.iter().filter_map(|id| self.hosts.get(id)) {
                    let mut here = host.replica.shown_of(nodes);
                    for shown in &mut here {
                        shown.contents.extend(self.past_of(&host.replica, shown.node));
                    }
                    if shown.is_empty() {
                        shown = here.into_iter().map(|s| (s, false)).collect();
                        continue;
                    }
                    for ((all, _), here) in shown.iter_mut().zip(here) {
                        all.is_there |= here.is_there;
                        all.contents.extend(here.contents);
                    }
                }
                for (shown, lacks) in &mut shown {
                    shown.contents.sort_unstable();
                    shown.contents.dedup();
                    *lacks = self.lacking.contains_key(&shown.node) && !self.reads;
                }
                self.effects.push_back(Effect::Send {
                    from: me,
                    to: other,
                    message: Message::Shows(Answer {
                        of: hosts.to_vec(),
                        shown,
                    }),
                });
            }
        }
    }

    /// Decides on what everyone has spoken of. Before anything is planned: what is decided is a reason to.
    pub(crate) fn decide_lacking(&mut self) {
        if self.stopping || self.lacking.is_empty() || !self.order.iter().all(|id| self.at_rest(*id)) {
            return;
        }
        // (What one replica of this program has just found may be on its way to another.)
        let mut hosts = self.hosts.values();
        if let Some(first) = hosts.next()
            && hosts.any(|host| host.replica.have() != first.replica.have())
        {
            return;
        }
        let spoken: Vec<NodeId> = self
            .lacking
            .iter()
            .filter(|(_, l)| {
                let host = self.hosts.get(&l.id);
                host.is_some_and(|host| {
                    let mut members = host.replica.waited_for();
                    members.all(|(r, _)| l.answers.contains_key(&r) || self.hosts.contains_key(&r))
                })
            })
            .map(|(node, _)| *node)
            .collect();
        if !self.knows_the_past_of(spoken.iter().copied()) {
            return;
        }
        for node in spoken {
            if let Some(lacking) = self.lacking.remove(&node)
                && !self.reads
            {
                self.settle_lacking(node, &lacking);
            }
        }
    }

    /// The bytes that a node may have and that lie in a history.
    fn past_of(&self, replica: &Replica, node: NodeId) -> impl Iterator<Item = ContentId> {
        let sides = replica.sides_of(node).into_iter().map(|(_, content)| content);
        sides.filter(|content| self.past.has(content))
    }

    fn known_of(&self, node: NodeId, lacking: &Lacking) -> Known {
        let mut known = Known {
            here: BTreeSet::new(),
            lacks: BTreeSet::from([lacking.id]),
            shows: BTreeSet::new(),
        };
        let own = self.hosts.iter().flat_map(|(id, h)| {
            let mut shown = h.replica.shown_of(&[node]);
            for shown in &mut shown {
                shown.contents.extend(self.past_of(&h.replica, node));
            }
            shown.into_iter().map(|s| (*id, (s, false)))
        });
        for (id, (shown, lacks)) in own.chain(lacking.answers.iter().map(|(id, answer)| (*id, answer.clone()))) {
            known.here.extend(shown.contents);
            if shown.is_there {
                known.shows.insert(id);
            }
            if lacks {
                known.lacks.insert(id);
            }
        }
        known
    }

    /// One of those who lack the bytes decides: who shows the node, before others; of several, the one with the lowest id.
    fn settle_lacking(&mut self, node: NodeId, lacking: &Lacking) {
        let Some(host) = self.hosts.get(&lacking.id) else { return };
        if host.replica.sides_of(node) != lacking.sides {
            return; // it is another question now
        }
        let known = self.known_of(node, lacking);
        let nowhere: Vec<&(Dot, ContentId)> = lacking.sides.iter().filter(|(_, id)| !known.here.contains(id)).collect();
        let somewhere = nowhere.len() < lacking.sides.len();
        if nowhere.is_empty() {
            return;
        }
        let lost: Vec<Dot> = nowhere.iter().map(|(dot, _)| *dot).collect();
        let (id, wall) = (lacking.id, self.wall_ms);
        // Who shows the node decides, if it lacks its bytes too (those of this program count as one); if it does not, as it leaves the
        // node out, may only read, or has other trouble with it, that is a person's affair.
        let can = |r: &&ReplicaId| self.hosts.contains_key(r) || known.lacks.contains(r);
        let by = if somewhere || known.shows.is_empty() {
            known.lacks.first().copied()
        } else {
            known.shows.iter().find(can).copied()
        };
        let Some(by) = by.filter(|by| self.hosts.contains_key(by)) else {
            return; // another's to decide
        };
        let by = if somewhere { id } else { by };
        let Some(host) = self.hosts.get_mut(&by) else { return };
        let done = if somewhere {
            host.replica.let_go(node, &lost, wall)
        } else {
            host.replica.make_do(node, wall) || host.replica.resolve(&[node], Pick::Delete, wall).is_ok()
        };
        if done {
            tracing::info!(
                ?node,
                "its bytes are nowhere: it lives with what is shown of it, if anything is"
            );
            host.plan_due = true;
            self.commit(by, Commit::default());
        }
    }
}
