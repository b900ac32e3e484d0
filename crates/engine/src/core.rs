//! The core: which replicas there are, what each is doing, and what is to be done next. Deterministic: everything that it
//! learns comes in as an [`Input`], everything that it wants done goes out as an [`Effect`]; no clock, no disk, no database.

mod apply;
mod decide;
mod happened;
mod hearing;
mod host;
mod lacking;
mod scan;
mod status;

use crate::core::host::{Host, Phase};
use bifold_chunk::ChunkList;
use bifold_disk::apply::{Applied, Kept};
use bifold_disk::ignore::Ignore;
use bifold_disk::read::Read;
use bifold_disk::scan::{Scanned, Scope};
use bifold_protocol::{Message, Refused, Session};
use bifold_store::Happened;
use bifold_tree::{Action, Changes, ContentId, Dot, Kind, NodeId, Outcome, Problem, Replica, ReplicaId, Vector};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use decide::{Decide, Decided, Side, Taken};
pub(crate) use happened::last;
pub use status::{HostState, HostStatus, ListedConflict, ListedSide, Status};

/// What the core learns.
#[derive(Debug)]
pub enum Input {
    /// A replica was opened. It is scanned whole.
    Attach {
        /// The replica, as the index has it.
        replica: Box<Replica>,
        /// What people call it.
        name: String,
        /// The program was ended while it took steps on its disk.
        carrying: bool,
    },
    /// What is ignored on a replica's disk.
    Ignoring(ReplicaId, Arc<Ignore>),
    /// Two replicas can talk.
    Connect(ReplicaId, ReplicaId),
    /// A replica of this program, and one of another device, can talk.
    ConnectFar {
        /// The one that is attached here.
        here: ReplicaId,
        /// The other.
        there: ReplicaId,
        /// That device may read only.
        reads: bool,
    },
    /// They cannot any more.
    Disconnect(ReplicaId, ReplicaId),
    /// What people call replicas of other devices.
    Named(BTreeMap<ReplicaId, String>),
    /// Replicas that will never speak again: their devices say so, or were taken out.
    Retired(BTreeSet<ReplicaId>),
    /// Other devices are about to be connected: a disk that was never taken in waits for one of them for so many milliseconds.
    Awaited(u64),
    /// Whether the devices of this program may read only: what is written here is nobody's but their own.
    Reads(bool),
    /// Paths may have changed on a disk.
    Dirty(ReplicaId, Scope),
    /// Anything may have changed on a disk: what tells of changes has lost some.
    Rescan(ReplicaId, String),
    /// Not all changes of a disk are told any more.
    Unwatched(ReplicaId, String),
    /// What a scan found.
    Scanned(ReplicaId, Vec<Scanned>),
    /// A scan ended.
    ScanEnded(ReplicaId, ScanEnd),
    /// Files were read.
    Read(ReplicaId, Vec<(usize, Result<Read, Problem>)>),
    /// Steps were taken, in order; those of one plan may come in several parts.
    Applied(ReplicaId, Applied),
    /// All steps of a plan that will be taken were told.
    ApplyEnded(ReplicaId),
    /// An answer to [`Effect::Seek`] with this number: of each of the bytes, whether they lie in a history here.
    Sought(u64, BTreeMap<ContentId, bool>),
    /// A message from one replica to another.
    Message {
        /// Who says it.
        from: ReplicaId,
        /// To whom.
        to: ReplicaId,
        /// What.
        message: Message,
    },
    /// A person's decision on a path.
    Decide(Decide),
    /// A person lets a held change pass.
    Allow(ReplicaId),
    /// A root is no longer what it was; nothing is done with it until it is attached anew.
    Halt(ReplicaId, Halted),
    /// Time went by: what failed is tried again.
    Retry,
    /// Every file is to be read once more, also those that look unchanged.
    Verify,
    /// The program is to end.
    Stop,
}

/// Why nothing is done with a root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Halted {
    /// For people.
    pub why: String,
    /// Something is in the root's place: it could be merged as new.
    pub rejoin: bool,
}

impl Halted {
    /// What no merging helps against.
    pub(crate) fn because(why: String) -> Halted {
        Halted { why, rejoin: false }
    }
}

impl std::fmt::Display for Halted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

/// What came of looking into what was in doubt in a history.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Searched {
    /// What lies there and was not noted.
    pub kept: Vec<Kept>,
    /// Not all could be looked into: there may be something of the user's that is nowhere else.
    pub in_doubt: bool,
}

/// How a scan ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScanEnd {
    /// All of its scope was looked at; and before, what was in doubt.
    Complete(Searched),
    /// It was stopped: nothing may be inferred.
    Stopped,
    /// The root is not the one that was synced.
    NotTheRoot(Halted),
}

/// What the core wants done. Effects of one step are to be begun in order; commits are to be finished before what follows.
#[derive(Debug)]
pub enum Effect {
    /// Scan a disk; answer with [`Input::Scanned`] and [`Input::ScanEnded`].
    Scan(ReplicaId, Scope),
    /// Read files; answer with [`Input::Read`], all of them, in any number of parts.
    Read(ReplicaId, Vec<ToRead>),
    /// Write to the index, in one transaction.
    Commit(ReplicaId, Box<Commit>),
    /// Take steps; answer with [`Input::Applied`] and [`Input::ApplyEnded`].
    Apply(ReplicaId, Vec<ToApply>),
    /// Something else waits until the steps that are being taken are: no more are to be begun than can be finished soon.
    MakeRoom(ReplicaId),
    /// A session with a replica of another device ended, as one of the two is not what it should be.
    Refuse {
        /// The one that is attached here.
        here: ReplicaId,
        /// The other.
        there: ReplicaId,
        /// Why.
        why: Refused,
    },
    /// Find out which of these bytes lie in the histories of this program's disks; answer with [`Input::Sought`], and this number.
    Seek(u64, BTreeSet<ContentId>),
    /// Pass a message on.
    Send {
        /// Who says it.
        from: ReplicaId,
        /// To whom.
        to: ReplicaId,
        /// What.
        message: Message,
    },
}

/// A file or link to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToRead {
    /// Its number in the survey.
    pub index: usize,
    /// Where it is.
    pub path: String,
    /// File or link.
    pub kind: Kind,
    /// About how many bytes.
    pub size: u64,
}

/// A step to be taken.
#[derive(Clone, Debug)]
pub struct ToApply {
    /// The step.
    pub action: Action,
    /// Other replicas that show the bytes it needs, with the paths.
    pub origins: Vec<(ReplicaId, String)>,
    /// What became of the steps before it must be in the index first: it is begun once the answer about them was taken in, and
    /// what that asked to be committed is.
    pub after_commit: bool,
    /// The index says that what it is about may be gone for a moment.
    pub leaving: bool,
}

/// What is to be written to the index.
#[derive(Debug, Default)]
pub struct Commit {
    /// Nodes, records, state.
    pub changes: Option<Changes>,
    /// Chunk lists of contents that were read.
    pub chunks: Vec<(ContentId, Arc<ChunkList>)>,
    /// What went to the history.
    pub kept: Vec<Kept>,
    /// What happened, for the log.
    pub happened: Vec<Happened>,
    /// Steps are about to be taken, or were.
    pub carrying: Option<bool>,
    /// It must survive a power cut: something is removed after it.
    pub durable: bool,
    /// Files that their users wrote lately, and others are about to hear of: they are synced before all this. Else a power cut could leave
    /// less of them than others have, which would be taken for an edit.
    pub written: Vec<String>,
}

impl Commit {
    /// Whether there is something of the tree, the history or the log in it.
    pub(crate) fn tells_something(&self) -> bool {
        self.changes.is_some() || !self.chunks.is_empty() || !self.kept.is_empty() || !self.happened.is_empty()
    }
}

/// A step, with the last write to what it is about.
pub type Planned = (Action, Option<Dot>);

/// What a person set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How conflicts are decided that nobody decided otherwise.
    pub prefer: Prefer,
    /// Changes of more than this share of a folder's files at once, in hundredths, wait for a person.
    pub mass_percent: u32,
    /// But never of so few files.
    pub mass_least: usize,
    /// Nothing waits.
    pub allow_mass_change: bool,
    /// About how many nodes are planned for at a time.
    pub plan_size: usize,
    /// What is deleted is forgotten once there is more of it than this, and an eighth of what there is.
    pub forget_least: usize,
    /// But not more often than every so many milliseconds: all nodes are looked at. Where all members show all that there is, a
    /// twentieth of it.
    pub forget_every_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prefer: Prefer::Ask,
            mass_percent: 50,
            mass_least: 20,
            allow_mass_change: false,
            plan_size: 8_192,
            forget_least: 500,
            forget_every_ms: 20_000,
        }
    }
}

/// A rule for conflicts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Prefer {
    /// Each side stays where it is until a person picks.
    #[default]
    Ask,
    /// The side that was changed last, by the files' own times.
    Newest,
    /// The side of this replica.
    Replica(ReplicaId),
    /// Both, one under a marked name.
    Both,
}

/// The conductor.
pub struct Core {
    hosts: BTreeMap<ReplicaId, Host>,
    /// The order in which replicas were attached: the first decides where one has to.
    order: Vec<ReplicaId>,
    sessions: BTreeMap<(ReplicaId, ReplicaId), Session>,
    /// What was said and is not heard yet.
    unheard: VecDeque<hearing::Said>,
    /// When replicas of other devices said something last, milliseconds since 1970.
    spoke_ms: BTreeMap<(ReplicaId, ReplicaId), u64>,
    /// What people call replicas of other devices.
    names: BTreeMap<ReplicaId, String>,
    reads: bool,
    /// Nodes whose bytes a disk here lacks.
    lacking: BTreeMap<NodeId, lacking::Lacking>,
    /// Nodes whose bytes others lack, and ask for: of which session, which.
    lacked: BTreeMap<(ReplicaId, ReplicaId), BTreeSet<NodeId>>,
    /// Which of the bytes that are spoken of lie in histories here.
    past: lacking::Past,
    /// Until when another device is waited for.
    awaited_until_ms: u64,
    decisions: Vec<decide::Waiting>,
    decided: decide::Decisions,
    /// The program is to end: what was not looked at is not looked at any more.
    stopping: bool,
    settings: Settings,
    effects: VecDeque<Effect>,
    wall_ms: u64,
}

impl Core {
    /// A core without replicas.
    #[must_use]
    pub fn new(settings: Settings) -> Core {
        Core {
            hosts: BTreeMap::new(),
            order: Vec::new(),
            sessions: BTreeMap::new(),
            unheard: VecDeque::new(),
            spoke_ms: BTreeMap::new(),
            names: BTreeMap::new(),
            reads: false,
            lacking: BTreeMap::new(),
            lacked: BTreeMap::new(),
            past: lacking::Past::default(),
            awaited_until_ms: 0,
            decisions: Vec::new(),
            decided: decide::Decisions::default(),
            stopping: false,
            settings,
            effects: VecDeque::new(),
            wall_ms: 0,
        }
    }

    /// Histories have something more, or less.
    pub fn histories_changed(&mut self) {
        self.past.forget();
    }

    /// A replica that is attached.
    #[must_use]
    pub fn replica(&self, id: ReplicaId) -> Option<&Replica> {
        self.hosts.get(&id).map(|host| &host.replica)
    }

    /// Takes something in, and says what is to be done. `wall_ms`: the wall clock, milliseconds since 1970.
    pub fn step(&mut self, input: Input, wall_ms: u64) -> Vec<Effect> {
        self.clock_went_back(self.wall_ms.saturating_sub(wall_ms));
        self.wall_ms = wall_ms;
        match input {
            Input::Attach { replica, name, carrying } => {
                let id = replica.id();
                self.order.push(id);
                self.hosts.insert(id, Host::new(*replica, name, carrying));
            }
            Input::Ignoring(id, ignore) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.ignore = Some(ignore);
                }
            }
            Input::Connect(a, b) => {
                self.forget_unheard(a, b);
                self.sessions.insert((a, b), Session::new());
                self.sessions.insert((b, a), Session::new());
            }
            Input::ConnectFar { here, there, reads } => {
                self.forget_unheard(here, there);
                self.sessions.insert((here, there), Session::with(there, reads));
                self.spoke_ms.insert((here, there), self.wall_ms);
                self.lacks_unheard(here, there);
                // What lacked may be there.
                self.replan();
            }
            Input::Disconnect(a, b) => {
                self.forget_unheard(a, b);
                self.spoke_ms.remove(&(a, b));
                self.sessions.remove(&(a, b));
                self.sessions.remove(&(b, a));
                self.lacks_unheard(a, b);
            }
            Input::Named(names) => self.names = names,
            Input::Reads(reads) => self.reads = reads,
            Input::Retired(gone) => {
                for host in self.hosts.values_mut() {
                    for replica in &gone {
                        host.replica.retire(*replica);
                    }
                }
            }
            Input::Awaited(ms) => self.awaited_until_ms = wall_ms.saturating_add(ms),
            Input::Dirty(id, scope) => self.dirty(id, scope),
            Input::Rescan(id, why) => {
                tracing::info!(%id, why, "looks at everything again");
                self.dirty(id, Scope::All);
            }
            Input::Unwatched(id, why) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.unwatched = Some(why);
                }
            }
            Input::Scanned(id, found) => self.scanned(id, found),
            Input::ScanEnded(id, end) => self.scan_ended(id, end),
            Input::Read(id, results) => self.read(id, results),
            Input::Applied(id, applied) => self.applied(id, applied),
            Input::ApplyEnded(id) => self.apply_ended(id),
            Input::Sought(number, found) => self.past.found(number, found),
            Input::Message { from, to, message } => self.hear(from, to, message),
            Input::Decide(decide) => self.decision(decide),
            Input::Allow(id) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.allowed = true;
                    host.plan_due = true;
                }
            }
            Input::Halt(id, why) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.halted = Some(why);
                    self.hangs_up(id);
                }
            }
            Input::Retry => self.replan(),
            Input::Verify => {
                for id in self.order.clone() {
                    if let Some(host) = self.hosts.get_mut(&id) {
                        host.verify = true;
                    }
                    self.dirty(id, Scope::All);
                }
            }
            Input::Stop => self.stopping = true,
        }
        self.advance();
        self.effects.drain(..).collect()
    }

    /// The clock was set back: times that were noted before are moved along, so that what is waited for takes no longer than it should.
    fn clock_went_back(&mut self, by_ms: u64) {
        if by_ms == 0 {
            return;
        }
        let times = self.spoke_ms.values_mut().chain([&mut self.awaited_until_ms]);
        for time in times {
            *time = time.saturating_sub(by_ms);
        }
        for host in self.hosts.values_mut() {
            let removed = host.removed.iter_mut().map(|(when, _)| when);
            for time in removed.chain([&mut host.forgot_ms]) {
                *time = time.saturating_sub(by_ms);
            }
        }
    }

    fn replan(&mut self) {
        self.lacks_still();
        for host in self.hosts.values_mut() {
            host.plan_due = true;
            host.failures.clear();
            if host.unsure && host.looked {
                host.dirty = Some(Scope::All);
            }
            if host.in_doubt {
                host.dirty.get_or_insert(Scope::Paths(Vec::new()));
            }
        }
    }

    /// Does what can be done, until nothing more can.
    fn advance(&mut self) {
        self.decide_lacking();
        for id in self.order.clone() {
            self.advance_host(id);
        }
        self.make_room();
        self.forget();
        self.talk();
    }

    /// Forgets what is deleted and was seen by all, from time to time.
    fn forget(&mut self) {
        for id in self.order.clone() {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            // (What is planned, or being surveyed, may still be spoken of.)
            if host.phase != Phase::Idle || host.halted.is_some() {
                continue;
            }
            let (files, dirs) = host.replica.counts();
            let shown = files + dirs;
            let dead = host.replica.node_count().saturating_sub(shown);
            if dead <= self.settings.forget_least.max(shown / 8) {
                continue;
            }
            let seen = host.replica.frontier();
            let all_seen = seen.includes(host.replica.have());
            let every_ms = self.settings.forget_every_ms / if all_seen { 20 } else { 1 };
            if host.forgot_upto == seen || self.wall_ms < host.forgot_ms.saturating_add(every_ms) {
                continue;
            }
            (host.forgot_ms, host.forgot_upto) = (self.wall_ms, seen);
            let forgotten = host.replica.collect();
            tracing::debug!(%id, dead, forgotten, "forgets what all have seen deleted");
            self.commit(id, Commit::default());
        }
    }

    /// Steps may take long, and what waits for them is not to.
    fn make_room(&mut self) {
        for (id, host) in &mut self.hosts {
            let waits = host.dirty.is_some() || host.plan_due || self.unheard.iter().any(|said| said.to == *id);
            if matches!(host.phase, Phase::Applying(_)) && waits && !host.makes_room {
                host.makes_room = true;
                self.effects.push_back(Effect::MakeRoom(*id));
            }
        }
    }

    fn advance_host(&mut self, id: ReplicaId) {
        self.observe_if_ready(id);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.phase != Phase::Idle || host.halted.is_some() {
            return;
        }
        if let Some(scope) = host.dirty.take() {
            self.begin_scan(id, scope);
            return;
        }
        if host.joining || !host.plan_due {
            return;
        }
        // One disk at a time: while another is changed, the paths that bytes are copied from may go.
        if self.hosts.values().any(|host| matches!(host.phase, Phase::Applying(_))) {
            return;
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            host.plan_due = false;
        }
        self.decide(id);
        self.plan(id);
    }

    /// Commits what changed at a replica.
    fn commit(&mut self, id: ReplicaId, mut commit: Commit) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        commit.changes = host.replica.take_changes();
        if !commit.kept.is_empty() {
            self.past.forget();
        }
        if commit.tells_something() || commit.carrying.is_some() || commit.durable || !commit.written.is_empty() {
            self.effects.push_back(Effect::Commit(id, Box::new(commit)));
        }
    }

    /// Sends what others do not know yet. What is sent is committed first.
    fn talk(&mut self) {
        let ends: Vec<(ReplicaId, ReplicaId)> = self.sessions.keys().copied().collect();
        for (me, other) in ends {
            let Some(host) = self.hosts.get(&me).filter(|host| host.halted.is_none()) else {
                continue;
            };
            let Some(session) = self.sessions.get_mut(&(me, other)) else {
                continue;
            };
            let Some(message) = session.poll(&host.replica, host.joining) else {
                continue;
            };
            // What another device has heard of must not be undone by a power cut: the next write would take its number, and what
            // was seen deleted here is forgotten everywhere.
            let is_far = !self.hosts.contains_key(&other);
            let is_news = self.is_news(me, &message, is_far);
            let durable = is_news && is_far;
            let host = self.hosts.get_mut(&me).filter(|_| is_news);
            let written = host.map(|host| std::mem::take(&mut host.written)).unwrap_or_default();
            self.commit(
                me,
                Commit {
                    durable,
                    written: written.into_keys().collect(),
                    ..Commit::default()
                },
            );
            self.effects.push_back(Effect::Send {
                from: me,
                to: other,
                message,
            });
        }
        self.talk_of_lacking();
        for id in self.order.clone() {
            let sent = self
                .sessions
                .iter()
                .filter(|((me, _), _)| *me == id)
                .map(|(_, s)| s.sent())
                .min();
            if let (Some(sent), Some(host)) = (sent, self.hosts.get_mut(&id)) {
                host.replica.forget_log(sent);
            }
        }
    }

    /// Whether a message tells something of this program's own replicas that no other device was told before.
    fn is_news(&mut self, me: ReplicaId, message: &Message, is_far: bool) -> bool {
        let Message::Records { nodes, complete } = message else {
            return false;
        };
        let acks = complete.iter().flat_map(|complete| &complete.acks);
        let own: BTreeMap<ReplicaId, Vector> = acks
            .filter(|(replica, _)| self.hosts.contains_key(replica))
            .map(|(replica, ack)| (*replica, ack.clone()))
            .collect();
        let Some(host) = self.hosts.get_mut(&me) else {
            return false;
        };
        let shown = complete.is_some() && host.told != own;
        if shown && is_far {
            host.told = own;
        }
        shown || !nodes.is_empty()
    }

    /// Whether nothing is being done and nothing is left to do but what waits for a person or failed.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.hosts.values().all(|host| host.is_quiet())
    }

    /// Whether two replicas, of which one is another device's, show the same and know it of each other.
    #[must_use]
    pub fn agrees(&self, here: ReplicaId, there: ReplicaId) -> bool {
        let (Some(host), Some(session)) = (self.hosts.get(&here), self.sessions.get(&(here, there))) else {
            return false;
        };
        let mut have = host.replica.have().clone();
        if self.reads {
            for own in self.hosts.keys() {
                have.0.remove(own); // nobody else takes that over
            }
        }
        let shows = |r: ReplicaId| host.replica.acks().get(&r).is_some_and(|ack| ack.includes(&have));
        session.heard_all() && have.includes(session.peer_have()) && shows(here) && shows(there)
    }

    /// Whether what is written here is nobody's but this device's own.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// Whether all replicas of this program that are not halted show all that they know, and the same.
    #[must_use]
    pub fn all_shown(&self) -> bool {
        let shows = |host: &Host| host.replica.acks().get(&host.replica.id()) == Some(host.replica.have());
        let first = self.order.first().and_then(|id| self.hosts.get(id));
        // (A share that is not there is one that cannot be reached.)
        let there = || self.hosts.values().filter(|host| host.halted.is_none());
        first.is_some_and(|first| {
            let alike = |host: &Host| first.replica.have() == host.replica.have();
            first.halted.is_none() && self.is_quiet() && there().all(|host| shows(host) && alike(host))
        })
    }

    /// A replica that is attached, to be asked what only it can work out.
    pub fn replica_mut(&mut self, id: ReplicaId) -> Option<&mut Replica> {
        self.hosts.get_mut(&id).map(|host| &mut host.replica)
    }

    /// The steps that are being taken on a disk, or would be next, each with the last write to what it is about.
    pub fn pending(&mut self, id: ReplicaId) -> Vec<Planned> {
        let Some(host) = self.hosts.get_mut(&id) else {
            return Vec::new();
        };
        if let Phase::Applying(told) = host.phase {
            let steps = host.plan.steps.iter().enumerate().skip(told);
            return steps
                .map(|(i, step)| {
                    (
                        step.action.clone(),
                        happened::last_of(&host.replica, &step.action, &host.plan.nodes(i)),
                    )
                })
                .collect();
        }
        if host.phase != Phase::Idle {
            return Vec::new();
        }
        let would = self.would_do().into_iter().find(|(replica, _)| *replica == id);
        would.map(|(_, steps)| steps).unwrap_or_default()
    }

    /// All that would be done on the disks now, for a dry run.
    pub fn would_do(&mut self) -> Vec<(ReplicaId, Vec<Planned>)> {
        let at_hand = self.open_sides_at_hand();
        let mut all = Vec::new();
        for (id, host) in &mut self.hosts {
            // A plan that is being carried out is the only one.
            let applying = matches!(host.phase, Phase::Applying(_));
            if host.halted.is_some() || host.held.is_some() || host.joining || applying {
                continue;
            }
            let mut plan = host.replica.plan(&|content| at_hand.contains(content), usize::MAX);
            let steps = plan.steps.iter().enumerate();
            let steps = steps.map(|(i, step)| {
                (
                    step.action.clone(),
                    happened::last_of(&host.replica, &step.action, &plan.nodes(i)),
                )
            });
            all.push((*id, steps.collect()));
            for i in 0..plan.steps.len() {
                host.replica.applied(&mut plan, i, &Outcome::Missing);
            }
        }
        all.sort_by_key(|(id, _)| self.order.iter().position(|o| o == id));
        all
    }

    /// Decisions that were of no use are forgotten: they are not for what comes later.
    pub fn forget_decisions(&mut self) {
        self.decisions.clear();
    }

    /// Whether something failed that may be tried again, or waits for someone who may never speak.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.hosts
            .values()
            .any(|host| !host.failures.is_empty() || host.phase == Phase::Waiting || host.in_doubt)
    }

    /// The replicas whose disks do not tell of all changes any more.
    #[must_use]
    pub fn unwatched(&self) -> Vec<ReplicaId> {
        self.hosts
            .iter()
            .filter(|(_, host)| host.unwatched.is_some())
            .map(|(id, _)| *id)
            .collect()
    }

    /// The contents that a person may yet pick.
    pub fn open_sides(&mut self) -> BTreeSet<ContentId> {
        let conflicts = self.hosts.values_mut().flat_map(|host| host.replica.conflicts());
        conflicts.flat_map(|c| c.sides).map(|side| side.content.id()).collect()
    }

    /// Where the bytes of some nodes can be had: replicas of this program whose disks show them.
    fn origins(&self, id: ReplicaId, nodes: &[NodeId], content: ContentId) -> Vec<(ReplicaId, String)> {
        let mut origins = Vec::new();
        for (other, host) in self.hosts.iter().filter(|(other, _)| **other != id) {
            let shown = nodes
                .iter()
                .filter_map(|n| host.replica.recorded(*n))
                .find(|r| r.bytes.id() == content);
            if let Some(recorded) = shown {
                origins.push((*other, recorded.path));
            }
        }
        origins
    }
}
