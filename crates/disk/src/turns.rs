//! Turns at a disk: while a plan is carried out, nothing else is taken up there. So a plan can be asked to end its turn early, and
//! what takes long, the bringing of large files, goes on meanwhile: the next plan that needs them waits for the same.

use crate::far::{Brought, PARTIAL};
use crate::fs::{Extras, Fs};
use crate::stage::StageError;
use bifold_tree::{ContentId, Wanted};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For so long at least a turn is used for what is brought little by little, whoever waits; and large files for each other.
const TURN: Duration = Duration::from_secs(2);
/// For so long large files are waited for while something else waits for the turn's end.
const WAIT: Duration = Duration::from_millis(50);
/// For so long they are waited for while other steps of the plan could be taken.
const STEPS_WAIT: Duration = Duration::from_millis(200);
/// The same, if none of such steps could be taken in the turn before.
const PATIENT_WAIT: Duration = Duration::from_secs(10);
/// Most files that are brought at a time.
const AT_ONCE: usize = 4;
/// How often one who waits looks up: how much has come, and whether the program is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Something that takes long.
pub type Work = Box<dyn FnOnce() + Send>;
/// How it is begun, beside all else; false if it won't be.
pub type Begin = Box<dyn Fn(Work) -> bool + Send + Sync>;

/// Whose turn it is at one disk, and what is being brought to it.
pub struct Turns {
    fs: Arc<dyn Fs>,
    begin: Begin,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    began: Instant,
    /// Since when something else waits for this turn's end.
    awaited: Option<Instant>,
    /// Since when there are steps that could be taken.
    steps: Option<Instant>,
    /// Nothing came of such steps in the turn before.
    patient: bool,
    /// A large file was brought in this turn.
    brought: bool,
    /// By content, and size: who says a false size keeps nobody from the right one.
    brings: HashMap<(ContentId, u64), Bring>,
}

/// A large file that is being brought, or is here and was not used yet.
struct Bring {
    wanted: Wanted,
    replaced: Option<Extras>,
    cancel: Arc<AtomicBool>,
    came: Arc<AtomicU64>,
    waiting: usize,
    /// The plan whose turn it is, or was, needs it.
    needed: bool,
    result: Option<Result<Brought, StageError>>,
}

/// How the one who brings is told to stop, and tells how much has come.
#[derive(Clone, Copy)]
pub(crate) struct Bringing<'a> {
    pub(crate) stop: &'a AtomicBool,
    pub(crate) came: &'a AtomicU64,
}

impl Bringing<'_> {
    pub(crate) fn came(&self, bytes: u64) {
        self.came.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A file to be brought, and how.
pub(crate) struct ToBring<'a> {
    pub(crate) wanted: &'a Wanted,
    pub(crate) replaced: Option<&'a Extras>,
    pub(crate) how: How,
}

/// How a file is brought.
pub(crate) type How = Box<dyn FnOnce(Bringing<'_>) -> Result<Brought, StageError> + Send>;

/// What became of it, as far as the one who asks is concerned.
pub(crate) enum Waited {
    /// It is here, or cannot be had.
    For(Result<Brought, StageError>),
    /// It is being brought, or will be; but something else is not to wait for it.
    Enough,
}

/// Tells that a file was brought, or was not, however that came.
struct Ending {
    turns: Arc<Turns>,
    bytes: (ContentId, u64),
    result: Option<Result<Brought, StageError>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        let Some(bring) = state.brings.get_mut(&self.bytes) else {
            return;
        };
        let result = self.result.take().unwrap_or(Err(StageError::Missing));
        // (What went wrong is told to those who wait. Whoever comes later has it tried again.)
        let unused = bring.cancel.load(Ordering::Relaxed) || (result.is_err() && bring.waiting == 0);
        if unused {
            state.brings.remove(&self.bytes);
            self.turns.forget(result.ok());
        } else {
            bring.result = Some(result);
        }
        self.turns.changed.notify_all();
    }
}

impl State {
    fn new() -> State {
        State {
            began: Instant::now(),
            awaited: None,
            steps: None,
            patient: false,
            brought: false,
            brings: HashMap::new(),
        }
    }

    /// Whether large files have been waited for for long enough.
    fn is_enough(&self) -> bool {
        let steps_wait = if self.patient { PATIENT_WAIT } else { STEPS_WAIT };
        let since = |when: Option<Instant>, wait| when.is_some_and(|when| when.elapsed() >= wait);
        since(self.awaited, WAIT) || since(self.steps, steps_wait) || (self.brought && self.began.elapsed() >= TURN)
    }

    fn running(&self) -> usize {
        self.brings.values().filter(|bring| bring.result.is_none()).count()
    }
}

impl Turns {
    /// For one disk.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, begin: Begin) -> Turns {
        Turns {
            fs,
            begin,
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
        }
    }

    /// The disk.
    pub(crate) fn fs(&self) -> Arc<dyn Fs> {
        self.fs.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A plan's turn begins.
    pub fn began(&self) {
        let mut state = self.lock();
        let (brings, patient) = (std::mem::take(&mut state.brings), state.patient);
        *state = State {
            brings,
            patient,
            ..State::new()
        };
        for bring in state.brings.values_mut() {
            bring.needed = false;
        }
    }

    /// Steps of the plan can be taken: they do not wait for large files.
    pub(crate) fn steps_are_ready(&self) {
        self.lock().steps.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// Something else waits: the turn is to end soon.
    pub fn make_room(&self) {
        self.lock().awaited.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// A plan's turn has ended, in which some steps were taken, or none. What it did not need, as far as it came, is not brought any
    /// more.
    pub fn ended(&self, some_taken: bool) {
        let mut state = self.lock();
        state.patient = state.steps.is_some() && !some_taken;
        if state.awaited.is_some() {
            return; // it may have had no time to say what it needs
        }
        self.cancel(&mut state, &|bring| !bring.needed);
    }

    /// The program is to stop: nothing is brought any more.
    pub fn stop(&self) {
        self.cancel(&mut self.lock(), &|_| true);
    }

    fn cancel(&self, state: &mut State, which: &dyn Fn(&Bring) -> bool) {
        let mut unused = Vec::new();
        state.brings.retain(|_, bring| {
            if !which(bring) {
                return true;
            }
            bring.cancel.store(true, Ordering::Relaxed);
            unused.push(bring.result.take());
            unused.last().is_some_and(Option::is_none) // until it has ended, nobody else writes where it does
        });
        for result in unused.into_iter().flatten() {
            self.forget(result.ok());
        }
        self.changed.notify_all();
    }

    /// Takes away what nobody uses; but what came of large files from other devices stays: who needs it again goes on with it.
    fn forget(&self, brought: Option<Brought>) {
        if let Some(brought) = brought.filter(|b| !b.path.starts_with(PARTIAL)) {
            let _ = self.fs.remove_file(&brought.path);
        }
    }

    /// Whether this turn is to end: nothing more is to be brought little by little.
    pub fn is_over(&self) -> bool {
        let state = self.lock();
        state.awaited.is_some() && state.began.elapsed() >= TURN
    }

    /// Has a file brought, or waits for it if it is being brought; tells how many bytes came.
    pub(crate) fn bring(self: &Arc<Turns>, to_bring: ToBring<'_>, stop: &AtomicBool, progress: &(dyn Fn(u64) + Sync)) -> Waited {
        let bytes = (to_bring.wanted.id(), to_bring.wanted.size);
        let mut how = Some(to_bring.how);
        let mut told = 0;
        let mut state = self.lock();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Waited::For(Err(StageError::Missing));
            }
            let full = state.running() >= AT_ONCE;
            match state.brings.get_mut(&bytes) {
                Some(bring) if bring.wanted == *to_bring.wanted && bring.replaced.as_ref() == to_bring.replaced => {
                    bring.needed = true;
                    let came = bring.came.load(Ordering::Relaxed).min(bring.wanted.size);
                    progress(came.saturating_sub(told));
                    told = told.max(came);
                    if let Some(result) = bring.result.take() {
                        state.brings.remove(&bytes);
                        state.brought |= result.is_ok();
                        return Waited::For(result);
                    }
                }
                // The same bytes are brought for another file; after that it is this one's turn.
                Some(bring) if bring.needed || bring.waiting > 0 => {}
                // Nobody needs it as it is: it is brought anew, for the most part from what has come.
                Some(bring) => {
                    bring.cancel.store(true, Ordering::Relaxed);
                    if let Some(result) = bring.result.take() {
                        state.brings.remove(&bytes);
                        self.forget(result.ok());
                        continue;
                    }
                }
                None if full && how.is_some() => {}
                None => {
                    let Some(how) = how.take() else {
                        return Waited::For(Err(StageError::Missing)); // cancelled
                    };
                    let (cancel, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
                    let bring = Bring {
                        wanted: to_bring.wanted.clone(),
                        replaced: to_bring.replaced.cloned(),
                        cancel: cancel.clone(),
                        came: came.clone(),
                        waiting: 0,
                        needed: true,
                        result: None,
                    };
                    state.brings.insert(bytes, bring);
                    drop(state);
                    let ending = Ending {
                        turns: self.clone(),
                        bytes,
                        result: None,
                    };
                    let begun = (self.begin)(Box::new(move || {
                        let mut ending = ending;
                        ending.result = Some(how(Bringing {
                            stop: &cancel,
                            came: &came,
                        }));
                    }));
                    state = self.lock();
                    if !begun {
                        return Waited::For(Err(StageError::Missing));
                    }
                    continue;
                }
            }
            if state.is_enough() {
                return Waited::Enough;
            }
            if let Some(bring) = state.brings.get_mut(&bytes) {
                bring.waiting += 1;
            }
            let hurries = state.awaited.is_some() || state.steps.is_some();
            let for_at_most = if hurries { WAIT } else { LOOK };
            state = match self.changed.wait_timeout(state, for_at_most) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
            if let Some(bring) = state.brings.get_mut(&bytes) {
                bring.waiting = bring.waiting.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
