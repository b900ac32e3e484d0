//! The loop: inputs to the core, effects to threads. A thin shell on tokio; what it does between two steps decides nothing.

use crate::carry::{Carrier, CarryError, Listener, Means, run_apply, run_read, run_scan, run_unread};
use crate::core::{Core, Effect, HostState, Input, Status};
use crate::root::Root;
use bifold_disk::apply::{Job, kind_of};
use bifold_disk::far::Far;
use bifold_disk::scan::Scope;
use bifold_disk::turns::{Turns, Work};
use bifold_protocol::{Message, Refused};
use bifold_store::Taken;
use bifold_tree::{Action, Fingerprint, Kind, ReplicaId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs that may wait before those who tell them have to.
const QUEUE: usize = 64;
/// How often what failed is tried again.
const RETRY: Duration = Duration::from_secs(15);
/// How often a disk is looked at that does not tell of all changes.
pub const POLL: Duration = Duration::from_secs(5);
/// How often every file is read, also those that look unchanged.
const VERIFY: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often the history is tidied.
const TIDY: Duration = Duration::from_secs(6 * 3600);
/// How often progress is told at most.
const PROGRESS: Duration = Duration::from_millis(100);

/// What happens, for whoever watches.
#[derive(Debug)]
pub enum Event {
    /// Steps are about to be taken.
    Planned {
        /// On which replica's disk.
        replica: ReplicaId,
        /// The steps.
        steps: Vec<Action>,
    },
    /// How far a plan is.
    Progress {
        /// On which replica's disk.
        replica: ReplicaId,
        /// Bytes brought so far, of this plan.
        bytes: u64,
        /// Of so many.
        of: u64,
    },
    /// Nothing is left to do but what waits for a person or failed.
    Quiet(Status),
}

/// How to run.
pub struct RunOptions {
    /// Go on when all is done, until stopped.
    pub forever: bool,
    /// Effects of applying are not carried out: what would be done is told as [`Event::Planned`], and that is all.
    pub dry: bool,
    /// Threads for reading and staging.
    pub threads: usize,
    /// Replicas whose disks do not tell of changes: they are looked at every [`POLL`].
    pub unwatched: Vec<ReplicaId>,
}

/// Milliseconds since 1970, as the system says.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where the time comes in")]
pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// A random number from the system.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        // Ids must not repeat: time and address are the next best.
        Err(_) => wall_ms().rotate_left(20) ^ (std::ptr::from_ref(&bytes) as u64),
    }
}

/// Replicas of other devices.
pub trait Others: Send {
    /// Tells one of them something.
    fn send(&mut self, from: ReplicaId, to: ReplicaId, message: Message);
    /// A session with one of them ended, as one of the two is not what it should be.
    fn refused(&mut self, here: ReplicaId, there: ReplicaId, why: Refused);
}

/// Something to be found out of the core and the carrier.
type Question = Box<dyn FnOnce(&mut Core, &mut Carrier) + Send>;

/// What comes in from threads.
enum Told {
    Input(Input),
    Question(Question),
    /// Something that takes long is to be begun.
    Work(Work),
    /// All that was told before has been carried out, once this is answered.
    AllNoted(std::sync::mpsc::SyncSender<()>),
    /// A task has told all it had to.
    Ended,
}

/// How a thread tells the loop. That may have ended with an error: then nobody wants to know.
struct Thread(mpsc::Sender<Told>);

impl Listener for Thread {
    fn tell(&mut self, input: Input) {
        let _ = self.0.blocking_send(Told::Input(input));
    }

    fn wait_until_noted(&mut self) -> bool {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        self.0.blocking_send(Told::AllNoted(answer)).is_ok() && answered.recv().is_ok()
    }
}

impl Thread {
    /// Has a file that lies in a history noted. If someone has written to it there, that is looked into.
    fn note(&self, taken: Taken, print: Fingerprint) {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let replica = taken.replica;
        let note = move |core: &mut Core, carrier: &mut Carrier| {
            let noted = carrier.note_read(core, &taken, print);
            if let Err(e) = &noted {
                tracing::warn!(stored = taken.stored, %e, "in the history, is not noted yet");
            }
            answer
                .send(noted.is_ok_and(|is_written_to| is_written_to))
                .unwrap_or_default();
        };
        if self.0.blocking_send(Told::Question(Box::new(note))).is_ok() && answered.recv() == Ok(true) {
            let why = "someone has written to a file that they had open, and that was taken away".to_owned();
            let _ = self.0.blocking_send(Told::Input(Input::Rescan(replica, why)));
        }
    }
}

/// Tells that a task is over, however it ends.
struct Ended(mpsc::Sender<Told>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.blocking_send(Told::Ended);
    }
}

/// Gets inputs in from outside: from watchers, or from a person.
#[derive(Clone)]
pub struct Door(mpsc::Sender<Told>);

impl Door {
    /// Puts an input in; waits while there are too many. False when the loop has ended.
    #[must_use]
    pub fn put(&self, input: Input) -> bool {
        self.0.blocking_send(Told::Input(input)).is_ok()
    }

    /// The same, for tasks.
    pub async fn tell(&self, input: Input) -> bool {
        self.0.send(Told::Input(input)).await.is_ok()
    }

    /// Asks something. `None` when the loop has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Core, &mut Carrier) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |core, carrier| {
            let _ = answer.send(question(core, carrier));
        });
        self.0.send(Told::Question(question)).await.ok()?;
        answered.await.ok()
    }

    /// The same, for threads.
    pub fn ask_blocking<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Core, &mut Carrier) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |core, carrier| {
            let _ = answer.send(question(core, carrier));
        });
        self.0.blocking_send(Told::Question(question)).ok()?;
        answered.blocking_recv().ok()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // After an error, what still runs in threads shall end soon.
        self.end_all();
    }
}

/// The loop.
pub struct Loop {
    core: Core,
    carrier: Carrier,
    options: RunOptions,
    send: mpsc::Sender<Told>,
    receive: mpsc::Receiver<Told>,
    stop: Arc<AtomicBool>,
    /// Tasks that were begun and have not told their end.
    running: usize,
    /// Roots whose first scan was begun before the core asked for it.
    scanned_ahead: BTreeSet<ReplicaId>,
    run: Arc<AtomicU64>,
    progress: watch::Sender<(ReplicaId, u64, u64)>,
    others: Option<Box<dyn Others>>,
    far: Option<Arc<dyn Far>>,
    turns: BTreeMap<ReplicaId, Arc<Turns>>,
}

impl Loop {
    /// Puts core and carrier together.
    #[must_use]
    pub fn new(core: Core, carrier: Carrier, options: RunOptions) -> Loop {
        let (send, receive) = mpsc::channel(QUEUE);
        let (progress, _) = watch::channel((ReplicaId(0), 0, 0));
        Loop {
            core,
            carrier,
            options,
            send,
            receive,
            stop: Arc::default(),
            running: 0,
            scanned_ahead: BTreeSet::new(),
            run: Arc::new(AtomicU64::new(wall_ms() << 12)),
            progress,
            others: None,
            far: None,
            turns: BTreeMap::new(),
        }
    }

    /// There are replicas on other devices: they are told things by `others`, and bytes that only they have are fetched by `far`.
    #[must_use]
    pub fn with_others(mut self, others: Box<dyn Others>, far: Arc<dyn Far>) -> Loop {
        self.others = Some(others);
        self.far = Some(far);
        self
    }

    /// The way in.
    #[must_use]
    pub fn door(&self) -> Door {
        Door(self.send.clone())
    }

    /// Begins to scan all roots that are in no doubt; their replicas are loaded meanwhile. To be called within the runtime.
    pub fn scan_ahead(&mut self) {
        let in_order = |root: &&Arc<Root>| !root.in_doubt.load(Ordering::Relaxed);
        let roots: Vec<Arc<Root>> = self.carrier.roots().filter(in_order).cloned().collect();
        for root in roots {
            self.scanned_ahead.insert(root.replica);
            let stop = self.stop.clone();
            self.spawn(move |listener| run_scan(&root, &Scope::All, &stop, &mut |input| listener.tell(input)));
        }
    }

    /// The core, for what is to be known of it.
    pub fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    /// The carrier.
    #[must_use]
    pub fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// Runs until all is done, or `stopped` resolves. At the end all that was done is noted.
    ///
    /// # Errors
    /// If the index or a marker cannot be written.
    pub async fn run(
        &mut self,
        first: Vec<Input>,
        stopped: impl Future<Output = ()>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Status, CarryError> {
        let mut inputs: VecDeque<Input> = first.into();
        let mut stopped = std::pin::pin!(stopped);
        let mut stopping = false;
        let mut was_quiet = false;
        let mut progress = self.progress.subscribe();
        let mut retry = tokio::time::interval_at(tokio::time::Instant::now() + RETRY, RETRY);
        let mut verify = tokio::time::interval_at(tokio::time::Instant::now() + VERIFY, VERIFY);
        let mut poll = tokio::time::interval_at(tokio::time::Instant::now() + POLL, POLL);
        let mut told_at = std::time::Instant::now();
        let mut tidy = tokio::time::interval_at(tokio::time::Instant::now() + TIDY, TIDY);
        let mut to_tidy = true;
        loop {
            while let Some(input) = inputs.pop_front() {
                was_quiet = false;
                tracing::trace!(?input);
                let effects = self.core.step(input, wall_ms());
                tracing::trace!(?effects);
                self.carry_out(effects, stopping, &mut inputs, tell)?;
            }
            if self.running == 0 && (stopping || (self.core.is_quiet() && !was_quiet)) {
                if std::mem::take(&mut to_tidy) {
                    self.tidy(stopping)?;
                    continue;
                }
                let mut status = self.core.report();
                if self.options.dry && !stopping {
                    for (replica, steps) in self.core.would_do() {
                        let steps = steps.into_iter().map(|(action, _)| action).collect();
                        let nothing = !self.tell_planned(replica, steps, tell);
                        for host in status.hosts.iter_mut().filter(|h| h.replica == replica && nothing) {
                            let waits = host.held.is_some() || !host.problems.is_empty();
                            if host.state == HostState::NeedsYou && !waits {
                                host.state = HostState::UpToDate;
                            }
                        }
                    }
                }
                self.core.forget_decisions();
                if stopping || !self.options.forever {
                    return Ok(status);
                }
                was_quiet = true;
                tell(Event::Quiet(status));
            }
            tokio::select! {
                biased;
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    self.end_all();
                    inputs.push_back(Input::Stop);
                }
                Some(told) = self.receive.recv() => match told {
                    Told::Input(input) => inputs.push_back(input),
                    Told::Work(work) => self.spawn(|_| work()),
                    Told::Question(question) => question(&mut self.core, &mut self.carrier),
                    Told::AllNoted(answer) => answer.send(()).unwrap_or_default(), // nobody may wait any more
                    Told::Ended => self.running -= 1,
                },
                Ok(()) = progress.changed() => {
                    let (replica, bytes, of) = *progress.borrow_and_update();
                    if told_at.elapsed() >= PROGRESS {
                        told_at = std::time::Instant::now();
                        tell(Event::Progress { replica, bytes, of });
                    }
                }
                _ = retry.tick(), if self.options.forever && self.core.has_failures() => inputs.push_back(Input::Retry),
                _ = tidy.tick(), if self.options.forever => (to_tidy, was_quiet) = (true, false),
                _ = verify.tick(), if self.options.forever => inputs.push_back(Input::Verify),
                _ = poll.tick(), if self.options.forever && self.must_poll() => {
                    let mut blind = self.core.unwatched();
                    blind.extend(&self.options.unwatched);
                    blind.sort_unstable();
                    blind.dedup();
                    inputs.extend(blind.into_iter().map(|id| Input::Dirty(id, Scope::All)));
                }
            }
        }
    }

    /// Tidies the histories. What nobody has read there is read in a thread.
    fn tidy(&mut self, stopping: bool) -> Result<(), CarryError> {
        self.carrier.tidy(&self.core.open_sides(), wall_ms())?;
        self.carrier.renew_tokens(wall_ms(), &mut random)?;
        let unread = if stopping {
            Vec::new()
        } else {
            self.carrier.unread(wall_ms())?
        };
        if !unread.is_empty() {
            let stop = self.stop.clone();
            self.spawn(move |thread| run_unread(unread, &stop, &mut |taken, print| thread.note(taken, print)));
        }
        Ok(())
    }

    /// What runs in threads is to end soon.
    fn end_all(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for turns in self.turns.values() {
            turns.stop();
        }
    }

    fn must_poll(&self) -> bool {
        !self.options.unwatched.is_empty() || !self.core.unwatched().is_empty()
    }

    fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        stopping: bool,
        inputs: &mut VecDeque<Input>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), CarryError> {
        for effect in effects {
            match effect {
                Effect::Commit(id, commit) => self.carrier.commit(id, &commit, wall_ms(), random())?,
                Effect::Send { from, to, message } if self.carrier.root(to).is_some() => {
                    inputs.push_back(Input::Message { from, to, message });
                }
                Effect::Send { from, to, message } => {
                    if let Some(others) = &mut self.others {
                        others.send(from, to, message);
                    }
                }
                Effect::Refuse { here, there, why } => {
                    if let Some(others) = &mut self.others {
                        others.refused(here, there, why);
                    }
                }
                _ if stopping => {}
                Effect::Scan(id, _) if self.scanned_ahead.remove(&id) => {}
                Effect::Scan(id, scope) => {
                    let Some(root) = self.carrier.root(id).cloned() else {
                        continue;
                    };
                    self.carrier.doubt(&self.core, id)?;
                    let stop = self.stop.clone();
                    self.spawn(move |listener| run_scan(&root, &scope, &stop, &mut |input| listener.tell(input)));
                }
                Effect::Read(id, files) => {
                    let Some(root) = self.carrier.root(id).cloned() else {
                        continue;
                    };
                    let (stop, threads) = (self.stop.clone(), self.options.threads);
                    self.spawn(move |listener| run_read(&root, &files, threads, &stop, &mut |input| listener.tell(input)));
                }
                // What would be done is told once all is known.
                Effect::Apply(id, _) if self.options.dry => inputs.push_back(Input::ApplyEnded(id)),
                Effect::Apply(id, steps) => {
                    self.tell_planned(id, steps.iter().map(|s| s.action.clone()).collect(), tell);
                    let jobs = self.carrier.jobs(&self.core, id, steps)?;
                    self.spawn_apply(id, jobs);
                }
                Effect::Seek(number, contents) => inputs.push_back(Input::Sought(number, self.carrier.seek(contents))),
                Effect::MakeRoom(id) => {
                    if let Some(turns) = self.turns.get(&id) {
                        turns.make_room();
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells what is about to be done, without what is left out; false if that is nothing.
    fn tell_planned(&self, replica: ReplicaId, mut steps: Vec<Action>, tell: &mut dyn FnMut(Event)) -> bool {
        if let Some(root) = self.carrier.root(replica) {
            steps.retain(|step| !root.ignore.covers(step.path(), kind_of(step) == Kind::Dir));
        }
        let some = !steps.is_empty();
        if some {
            tell(Event::Planned { replica, steps });
        }
        some
    }

    fn spawn_apply(&mut self, id: ReplicaId, jobs: Vec<Job>) {
        let Some(root) = self.carrier.root(id).cloned() else { return };
        let (stop, threads, progress) = (self.stop.clone(), self.options.threads, self.progress.clone());
        let send = self.send.clone();
        let begin = || Box::new(move |work| send.blocking_send(Told::Work(work)).is_ok());
        let new = || Arc::new(Turns::new(root.fs.clone(), begin()));
        let turns = self.turns.entry(id).or_insert_with(new).clone();
        turns.began();
        let far = self.far.clone();
        let run = self.run.fetch_add(1, Ordering::Relaxed);
        self.spawn(move |listener| {
            let of = jobs
                .iter()
                .filter_map(|j| bifold_disk::apply::content_of(&j.action))
                .fold(0, |all: u64, (_, size)| all.saturating_add(size)); // (sizes are what someone said)
            let done = AtomicU64::new(0);
            let count = |bytes| {
                let bytes = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                progress.send_replace((id, bytes, of));
            };
            let turns = &turns;
            run_apply(&root, jobs, run, &Means { threads, turns, far }, &stop, &count, listener);
        });
    }

    fn spawn(&mut self, work: impl FnOnce(&mut Thread) + Send + 'static) {
        self.running += 1;
        let mut thread = Thread(self.send.clone());
        tokio::task::spawn_blocking(move || {
            let _ended = Ended(thread.0.clone());
            work(&mut thread);
        });
    }
}
