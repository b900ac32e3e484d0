//! A replica that this program hosts, and what it is doing.

use crate::core::Halted;
use bifold_chunk::ChunkList;
use bifold_disk::apply::Kept;
use bifold_disk::ignore::Ignore;
use bifold_disk::scan::Scope;
use bifold_disk::stage::Moved;
use bifold_tree::{ContentId, NodeId, Plan, Problem, Replica, ReplicaId, Survey, Vector};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

/// What a host is doing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing.
    Idle,
    /// Its disk is being listed.
    Scanning,
    /// Files are being read; so many are still to be told.
    Reading(usize),
    /// All is read; it waits for the others' nodes before it takes its disk in.
    Waiting,
    /// Steps are being taken; so many were told.
    Applying(usize),
}

pub(crate) struct Host {
    pub(crate) replica: Replica,
    pub(crate) name: String,
    pub(crate) phase: Phase,
    /// What is ignored on its disk.
    pub(crate) ignore: Option<Arc<Ignore>>,
    /// Steps of this plan changed them.
    pub(crate) new_rules: bool,
    /// What is left to do is left out because it is ignored.
    pub(crate) rest_ignored: bool,
    /// The same, or it is what the disk cannot have.
    pub(crate) rest_left_out: bool,
    /// Its disk was never taken in.
    pub(crate) joining: bool,
    /// The program was ended while it took steps here: until its disk was looked at, nothing is heard of others.
    pub(crate) unsure: bool,
    /// The index says that steps are being taken here, or that not all is known of what became of them.
    pub(crate) carrying: bool,
    /// Something in its history could not be looked into: it may be its user's, and nowhere else.
    pub(crate) in_doubt: bool,
    /// What was found in its history and is to be noted.
    pub(crate) kept: Vec<Kept>,
    /// Its disk was looked at since it was attached.
    pub(crate) looked: bool,
    /// What is to be scanned next.
    pub(crate) dirty: Option<Scope>,
    pub(crate) scope: Scope,
    pub(crate) survey: Survey,
    /// Of what is being read, what was changed lately.
    pub(crate) late: BTreeSet<String>,
    /// Files that were found changed lately, and that nobody else has heard of, each with the time at which that was noted.
    pub(crate) written: BTreeMap<String, u64>,
    /// The next whole scan is to read every file.
    pub(crate) verify: bool,
    pub(crate) chunks: Vec<(ContentId, Arc<ChunkList>)>,
    pub(crate) plan: Plan,
    /// The nodes that its steps are about.
    pub(crate) planned: HashSet<NodeId>,
    /// Something changed that may have to be shown.
    pub(crate) plan_due: bool,
    /// Why nothing is done with it.
    pub(crate) halted: Option<Halted>,
    pub(crate) allowed: bool,
    pub(crate) held: Option<Held>,
    /// When files were removed lately, milliseconds since 1970, and how many.
    pub(crate) removed: VecDeque<(u64, usize)>,
    /// Trouble that scans met, by path.
    pub(crate) problems: BTreeMap<String, Problem>,
    /// Trouble that steps met, by path.
    pub(crate) failures: BTreeMap<String, Problem>,
    /// Paths to look at again once all steps are told.
    pub(crate) look_again: BTreeSet<String>,
    /// Steps of this plan changed files that have other names, too.
    pub(crate) look_everywhere: bool,
    /// Of the paths that are to be scanned, some were not as expected when a step was to be taken.
    pub(crate) surprised: bool,
    /// Of what is being scanned, what could not be read the last time.
    pub(crate) unread: BTreeSet<String>,
    /// How often in a row a plan ended with something to look at again.
    pub(crate) again: usize,
    pub(crate) steps_done: u64,
    /// Steps taken before the plan that is being applied.
    pub(crate) steps_before: u64,
    /// The steps that are being taken are to make room for something that waits.
    pub(crate) makes_room: bool,
    /// There was no time for some of them.
    pub(crate) deferred: bool,
    /// The next plan is to be for everything.
    pub(crate) plan_whole: bool,
    pub(crate) moved: Moved,
    /// A look at its disk was broken off.
    pub(crate) unfinished: bool,
    /// Why not all changes of its disk are told.
    pub(crate) unwatched: Option<String>,
    /// What other devices were told that this program's disks show.
    pub(crate) told: BTreeMap<ReplicaId, Vector>,
    /// When it was last looked for what can be forgotten, and what all had seen then.
    pub(crate) forgot_ms: u64,
    pub(crate) forgot_upto: Vector,
}

/// A change that waits for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) removals: usize,
    pub(crate) overwrites: usize,
    pub(crate) files: usize,
}

impl Host {
    pub(crate) fn new(replica: Replica, name: String, carrying: bool) -> Host {
        Host {
            joining: replica.shows_nothing() && !carrying,
            unsure: carrying,
            carrying,
            in_doubt: false,
            kept: Vec::new(),
            replica,
            name,
            phase: Phase::Idle,
            dirty: Some(Scope::All),
            scope: Scope::All,
            survey: Survey::new(),
            late: BTreeSet::new(),
            written: BTreeMap::new(),
            verify: false,
            chunks: Vec::new(),
            plan: Plan::default(),
            planned: HashSet::new(),
            plan_due: true,
            halted: None,
            allowed: false,
            held: None,
            removed: VecDeque::new(),
            problems: BTreeMap::new(),
            failures: BTreeMap::new(),
            look_again: BTreeSet::new(),
            look_everywhere: false,
            surprised: false,
            unread: BTreeSet::new(),
            again: 0,
            steps_done: 0,
            steps_before: 0,
            makes_room: false,
            deferred: false,
            plan_whole: false,
            moved: Moved::default(),
            ignore: None,
            new_rules: false,
            rest_ignored: false,
            rest_left_out: false,
            looked: false,
            unfinished: false,
            unwatched: None,
            told: BTreeMap::new(),
            forgot_ms: 0,
            forgot_upto: Vector::default(),
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.halted.is_some() || (self.phase == Phase::Idle && self.dirty.is_none() && !self.plan_due)
    }
}
