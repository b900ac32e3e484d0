//! A simulated disk below one root. [`SimFs`] is what the engine sees of it, through the trait that the real one has too; what
//! its user does to it is in `user`.

mod engine;
mod faults;
mod power;
mod state;
mod user;

use crate::moments::Moments;
use bifold_disk::names::{Fold, MaxName, NameRules, System};
use faults::Faults;
use power::Log;
use state::State;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use faults::Flaky;
pub use user::Thing;

/// What a disk can and cannot do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traits {
    /// How it treats names.
    pub rules: NameRules,
    /// Whether it keeps executable bits.
    pub exec: bool,
    /// Whether it has symbolic links.
    pub links: bool,
    /// Whether it can exchange two files.
    pub exchange: bool,
    /// Times are multiples of so many nanoseconds.
    pub time_step_ns: i64,
    /// Whether it tells when anything of a file was changed last.
    pub ctime: bool,
    /// Whether the number of an object that is gone is given to the next one.
    pub reuses_keys: bool,
}

impl Default for Traits {
    fn default() -> Traits {
        Traits {
            rules: NameRules {
                system: System::Unix,
                fold: Fold::default(),
                max: MaxName::Bytes(255),
            },
            exec: true,
            links: true,
            exchange: true,
            time_step_ns: 1,
            ctime: true,
            reuses_keys: true,
        }
    }
}

/// Something that happens at a certain moment.
type Act = Box<dyn FnOnce(&SimFs) + Send>;

/// What the engine does to what is the user's.
#[derive(Clone, Copy, Debug)]
pub enum Deed<'a> {
    /// A file with these bytes is at a path from now on.
    Shows(&'a str, &'a Arc<Vec<u8>>),
    /// A file is removed, not moved.
    Removes(&'a str),
    /// A file is made, to be written where its user sees it.
    Writes(&'a str),
}

/// Who looks on.
pub type Witness = Arc<dyn Fn(Deed<'_>) + Send + Sync>;

struct Disk {
    traits: Traits,
    state: State,
    log: Log,
    faults: Faults,
    mounted: bool,
    /// Paths that the user changed, as a watcher would tell them.
    dirty: BTreeSet<String>,
    /// Calls of the engine, and what happens before one of them.
    calls: u64,
    act: Option<(u64, Act)>,
    /// Calls that change what is the user's, and what happens before one of them.
    touches: u64,
    touch_act: Option<(u64, Act)>,
    /// The one path of which a call must be for that.
    touch_path: Option<String>,
    skew_ns: i64,
    /// The program has found out that files cannot be exchanged here.
    no_exchange: bool,
    witness: Option<Witness>,
}

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
    rules: NameRules,
    moments: Arc<Moments>,
}

impl SimFs {
    /// An empty disk.
    #[must_use]
    pub fn new(traits: Traits, moments: Arc<Moments>) -> SimFs {
        let mut state = State::new(traits.reuses_keys);
        state.inode_mut(state::ROOT).mtime_ns = moments.tick();
        let log = Log::new(&state);
        let disk = Disk {
            traits,
            state,
            log,
            faults: Faults::default(),
            mounted: true,
            dirty: BTreeSet::new(),
            calls: 0,
            act: None,
            touches: 0,
            touch_act: None,
            touch_path: None,
            skew_ns: 0,
            no_exchange: false,
            witness: None,
        };
        SimFs {
            disk: Arc::new(Mutex::new(disk)),
            rules: traits.rules,
            moments,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it can and cannot do.
    #[must_use]
    pub fn traits(&self) -> Traits {
        self.lock().traits
    }

    /// Takes the disk out of its place, or puts it back.
    pub fn set_mounted(&self, mounted: bool) {
        self.lock().mounted = mounted;
    }

    /// A program begins anew, and has to find out for itself what the disk cannot do.
    pub(crate) fn forget_what_was_found(&self) {
        self.lock().no_exchange = false;
    }

    /// Makes the clock of this disk's computer wrong.
    pub fn set_skew_seconds(&self, seconds: i64) {
        self.lock().skew_ns = seconds * 1_000_000_000;
    }

    /// Has something happen before a call of the engine: the one with this number from now on, from 0.
    pub fn at_call(&self, number: u64, act: impl FnOnce(&SimFs) + Send + 'static) {
        let mut disk = self.lock();
        disk.calls = 0;
        disk.act = Some((number, Box::new(act)));
    }

    /// Has something happen right before the engine changes what is the user's: between its look and its step.
    pub fn at_touch(&self, number: u64, act: impl FnOnce(&SimFs) + Send + 'static) {
        let mut disk = self.lock();
        disk.touches = 0;
        disk.touch_act = Some((number, Box::new(act)));
        disk.touch_path = None;
    }

    /// The same, right before the engine changes what is at a path for the first time.
    pub fn at_touch_of(&self, path: &str, act: impl FnOnce(&SimFs) + Send + 'static) {
        let mut disk = self.lock();
        disk.touches = 0;
        disk.touch_act = Some((0, Box::new(act)));
        disk.touch_path = Some(path.to_owned());
    }

    /// Forgets what was to happen. Says whether something was.
    pub fn disarm(&self) -> bool {
        let mut disk = self.lock();
        let armed = disk.act.is_some() || disk.touch_act.is_some();
        (disk.act, disk.touch_act) = (None, None);
        armed
    }

    /// The paths that the user changed since this was last asked.
    #[must_use]
    pub fn take_dirty(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().dirty)
    }

    /// Makes reading of what is at a path fail, or no more.
    pub fn set_unreadable(&self, path: &str, unreadable: bool) {
        let mut disk = self.lock();
        let ino = disk.find(path).unwrap_or_else(|| panic!("nothing is at {path}"));
        if unreadable {
            disk.faults.unreadable.insert(ino)
        } else {
            disk.faults.unreadable.remove(&ino)
        };
        disk.dirty.insert(path.to_owned());
    }

    /// Makes every change in a directory fail, or no more.
    pub fn set_unwritable(&self, path: &str, unwritable: bool) {
        let mut disk = self.lock();
        let ino = disk.find(path).unwrap_or_else(|| panic!("nothing is at {path}"));
        if unwritable {
            disk.faults.unwritable.insert(ino)
        } else {
            disk.faults.unwritable.remove(&ino)
        };
    }

    /// Leaves room for so many bytes more; `None`: as many as one wants.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.lock().faults.room = bytes;
    }

    /// Makes some later call of the engine fail as a broken disk does; `None`: none.
    pub fn fail_in(&self, calls: Option<u64>) {
        self.lock().faults.fail_in = calls;
    }

    /// Makes calls of the engine fail now and then, or no more.
    pub fn set_flaky(&self, flaky: Option<Flaky>) {
        self.lock().faults.flaky = flaky;
    }

    /// Makes each call of the engine take so many milliseconds.
    pub fn set_slow_ms(&self, ms: i64) {
        self.lock().faults.slow_ns = ms * 1_000_000;
    }

    /// Takes all faults away; a watcher tells of paths that can be read again.
    pub fn heal(&self) {
        let mut disk = self.lock();
        let hits = disk.faults.hits;
        disk.faults = Faults::default();
        disk.faults.hits = hits;
        disk.dirty.insert(String::new());
    }

    /// Calls of the engine that failed because of a fault.
    #[must_use]
    pub fn fault_hits(&self) -> u64 {
        self.lock().faults.hits
    }

    /// Has someone look on while the engine works.
    pub fn set_witness(&self, witness: Option<Witness>) {
        self.lock().witness = witness;
    }

    /// The power fails: of what was not synced, some did not happen. `choose` is asked for numbers below its argument.
    pub fn cut_power(&self, choose: &mut dyn FnMut(usize) -> usize) {
        let disk = &mut *self.lock();
        disk.state = disk.log.crash(choose);
        disk.log = Log::new(&disk.state);
    }

    /// What is on the disk, to be put back later.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.lock().state.clone())
    }

    /// Puts back what was on the disk, as from a backup: the same files, as new objects.
    pub fn restore(&self, snapshot: &Snapshot) {
        let now = self.moments.tick();
        let disk = &mut *self.lock();
        let old = std::mem::replace(&mut disk.state, snapshot.0.clone());
        disk.state.renew_keys(&old, now);
        disk.log = Log::new(&disk.state);
        disk.dirty.insert(String::new());
    }
}

/// What was on a disk.
#[derive(Clone)]
pub struct Snapshot(State);
