//! Agitation: what happens to single devices of a world, each with a program and an index of its own
//! ([`Mode::Apart`](super::Mode::Apart)).

use super::program::{Program, Stop};
use super::{Listed, World, index};
use crate::disk::Snapshot;
use crate::moments::End;
use bifold_protocol::{Message, session::Refused};
use bifold_tree::{Malformed, ReplicaId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Programs that were killed while they did something.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Programs that gave up because of their disk.
    pub given_up: u64,
    /// Messages that were on their way when a connection ended.
    pub cut_messages: u64,
    /// Messages that came a second time.
    pub duplicates: u64,
    /// Indexes and disks that were put back from an older state, or lost.
    pub restored: u64,
    /// Replicas that began anew because another one knew more of them than they did.
    pub rejoined: u64,
    /// Inputs that programs took in.
    pub turns: u64,
}

/// The end of a program that is to come.
struct Doom {
    device: usize,
    end: End,
    /// Changes until then.
    left: u64,
}

#[derive(Default)]
pub(super) struct Agitated {
    doom: Option<Doom>,
    /// Devices whose programs are not to run.
    asleep: BTreeSet<usize>,
    /// Devices whose disks may have what their programs put there, and did not note before they ended.
    unnoted: BTreeSet<usize>,
    /// Devices whose replicas begin anew.
    rejoin: BTreeSet<usize>,
    /// What was delivered lately.
    delivered: VecDeque<((ReplicaId, ReplicaId), Message)>,
    fetches: Option<Arc<AtomicU64>>,
    copies: BTreeMap<usize, index::Parts>,
    snapshots: BTreeMap<usize, Snapshot>,
    trace: Option<String>,
    pub(super) tally: Tally,
}

/// Delivered messages of which one may come again.
const LATELY: usize = 6;

impl World {
    /// What happened so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.agitated.tally
    }

    /// Writes down from now on what is done.
    pub fn trace(&mut self) {
        self.agitated.trace = Some(String::new());
    }

    /// What was written down.
    pub fn take_trace(&mut self) -> Option<String> {
        self.agitated.trace.take()
    }

    /// Writes something down.
    pub fn note(&mut self, what: &str) {
        self.note_with(|_| what.to_owned());
    }

    pub(super) fn note_with(&mut self, what: impl FnOnce(&World) -> String) {
        if self.agitated.trace.is_some() {
            let what = what(self);
            if let Some(trace) = &mut self.agitated.trace {
                let _ = writeln!(trace, "{what}");
            }
        }
    }

    /// Ends the program of a device before one of its next changes: the one with this number, from 0.
    pub fn doom(&mut self, device: usize, end: End, at: u64) {
        self.spare();
        if end == End::PowerCut {
            self.indexes[device].watch(true);
        }
        self.agitated.doom = Some(Doom { device, end, left: at });
    }

    /// The power of a device may be cut at some time: what it committed and did not wait for may be lost then, however long ago that was.
    pub fn may_lose_power(&mut self, device: usize) {
        self.indexes[device].watch_always();
    }

    /// Nobody's program is ended any more.
    pub fn spare(&mut self) {
        if let Some(doom) = self.agitated.doom.take() {
            self.indexes[doom.device].watch(false);
        }
    }

    /// A device's program ends, and does not run until it wakes.
    pub fn sleep(&mut self, device: usize) {
        self.agitated.asleep.insert(device);
        self.end(device);
    }

    /// It runs again, from the next time on that programs go on.
    pub fn wake(&mut self, device: usize) {
        self.agitated.asleep.remove(&device);
    }

    /// Makes the clock of a device wrong.
    pub fn skew(&mut self, device: usize, seconds: i64) {
        self.devices[device].skew_s = seconds;
        self.devices[device].fs.set_skew_seconds(seconds);
    }

    pub(super) fn wall_ms(&self, device: usize) -> u64 {
        let wall = i64::try_from(self.moments.wall_ms()).unwrap_or(i64::MAX);
        u64::try_from(wall + self.devices[device].skew_s * 1000).unwrap_or(0)
    }

    /// Only so many reads of other devices' bytes succeed from now on; `None`: all.
    pub fn limit_fetches(&mut self, reads: Option<u64>) {
        self.agitated.fetches = reads.map(|n| Arc::new(AtomicU64::new(n)));
    }

    pub(super) fn fetches(&self) -> Arc<AtomicU64> {
        let unlimited = || Arc::new(AtomicU64::new(u64::MAX));
        self.agitated.fetches.clone().unwrap_or_else(unlimited)
    }

    /// Whether so many reads have been done, and the rest failed.
    #[must_use]
    pub fn fetches_are_cut(&self) -> bool {
        self.agitated
            .fetches
            .as_ref()
            .is_some_and(|left| left.load(Ordering::Relaxed) == 0)
    }

    /// A message that came lately comes again, if its connection is still there.
    pub fn duplicate(&mut self) {
        let n = self.agitated.delivered.len();
        if n > 0 {
            let luck = self.random.below(n);
            let (ends, message) = self.agitated.delivered[luck].clone();
            self.agitated.tally.duplicates += 1;
            self.hand(ends, &message);
        }
    }

    pub(super) fn deliver(&mut self, ends: (ReplicaId, ReplicaId), message: Message) {
        self.note_with(|_| format!("{} hears {}", ends.1, ends.0));
        self.hand(ends, &message);
        // (An offer, or an answer, belongs to its place in a conversation.)
        if self.alone && matches!(message, Message::Records { .. }) {
            self.agitated.delivered.push_back((ends, message));
            if self.agitated.delivered.len() > LATELY {
                self.agitated.delivered.pop_front();
            }
        }
    }

    /// What was said belongs to connections that are no more.
    pub(super) fn forget_delivered(&mut self) {
        self.agitated.delivered.clear();
    }

    fn hand(&mut self, ends: (ReplicaId, ReplicaId), message: &Message) {
        for program in &mut self.programs {
            let luck = if self.alone { Some(&mut self.random) } else { None };
            program.hear(ends.0, ends.1, message, luck);
        }
    }

    /// The conflicts that a device lists now; none if its program does not run.
    pub fn conflicts_at(&mut self, device: usize) -> Vec<Listed> {
        let name = self.devices[device].name.clone();
        let program = self.programs.iter_mut().find(|p| p.place() == device);
        program.map(|p| p.listing(vec![name]).conflicts).unwrap_or_default()
    }

    /// Whether a device's program runs now.
    #[must_use]
    pub fn is_running(&self, device: usize) -> bool {
        self.programs.iter().any(|p| p.place() == device)
    }

    /// What people decided is told to the programs at once.
    pub fn tell_decisions(&mut self) {
        self.begin();
    }

    /// Loses the index of a device.
    pub fn lose_index_of(&mut self, device: usize) {
        self.end(device);
        self.indexes[device].remove();
        self.agitated.tally.restored += 1;
    }

    /// Keeps a copy of the index of a device.
    pub fn copy_index_of(&mut self, device: usize) {
        self.end(device);
        let copy = self.indexes[device].copy();
        self.agitated.copies.insert(device, copy);
    }

    /// Puts the copy back. False if there is none.
    pub fn restore_index_of(&mut self, device: usize) -> bool {
        let Some(copy) = self.agitated.copies.get(&device).cloned() else {
            return false;
        };
        self.end(device);
        self.indexes[device].put(&copy);
        self.agitated.tally.restored += 1;
        true
    }

    /// Keeps a copy of all that is on a device's disk.
    pub fn copy_disk_of(&mut self, device: usize) {
        let snapshot = self.devices[device].fs.snapshot();
        self.agitated.snapshots.insert(device, snapshot);
    }

    /// Whether there is such a copy.
    #[must_use]
    pub fn has_copy_of_disk(&self, device: usize) -> bool {
        self.agitated.snapshots.contains_key(&device)
    }

    /// Puts the copy back.
    pub fn restore_disk_of(&mut self, device: usize) {
        self.end(device);
        if let Some(snapshot) = self.agitated.snapshots.get(&device) {
            self.devices[device].fs.restore(snapshot);
            self.agitated.tally.restored += 1;
        }
    }

    /// What the disk of each device should show, as its replica has it.
    pub fn projections(&mut self) -> Vec<Vec<bifold_tree::Projected>> {
        self.programs.iter_mut().flat_map(Program::projections).collect()
    }

    pub(super) fn rejoins(&self, device: usize) -> bool {
        self.agitated.rejoin.contains(&device)
    }

    /// Ends the program of a device while it does nothing.
    pub fn end(&mut self, device: usize) {
        if let Some(i) = self.programs.iter().position(|p| p.place() == device) {
            let program = self.programs.remove(i);
            self.gone(program);
        }
    }

    /// A session ended because of what was said in it: as the daemon does it.
    pub(super) fn refused(&mut self, device: usize, here: ReplicaId, there: ReplicaId, why: &Refused) -> Result<(), Stop> {
        if !self.alone {
            return Err(Stop::Refused(why.to_string()));
        }
        match why {
            // The index was put back from an older state: the replica begins anew.
            Refused::PutBack | Refused::Malformed(Malformed::Forged) => {
                if self.agitated.tally.restored == 0 {
                    let what = format!("{here} begins anew because of {there}, though nothing was put back: {why}");
                    return Err(Stop::Broken(what));
                }
                self.agitated.rejoin.insert(device);
                self.agitated.tally.rejoined += 1;
                Err(Stop::Refused(why.to_string()))
            }
            why => Err(Stop::Broken(format!("{here} ends its session with {there}: {why}"))),
        }
    }

    pub(super) fn arm_for(&mut self, device: usize) {
        if let Some(doom) = self.agitated.doom.as_ref().filter(|doom| doom.device == device) {
            self.moments.arm(doom.left);
        }
    }

    pub(super) fn disarm_for(&mut self, device: usize) {
        if let Some(doom) = self.agitated.doom.as_mut().filter(|doom| doom.device == device) {
            doom.left = doom.left.saturating_sub(self.moments.counted());
            self.moments.disarm();
        }
    }

    /// A program ended otherwise than in good order.
    pub(super) fn fall(&mut self, program: Program, stop: Stop) -> Result<(), Stop> {
        let device = program.place();
        self.agitated.unnoted.insert(device);
        self.gone(program);
        self.has_fallen(device, stop)
    }

    fn has_fallen(&mut self, device: usize, stop: Stop) -> Result<(), Stop> {
        match stop {
            Stop::Broken(why) => return Err(Stop::Broken(why)),
            Stop::Refused(why) => {
                self.note(&format!("{} gives up: {why}", self.devices[device].name));
                self.agitated.tally.given_up += 1;
            }
            Stop::Ended => {
                let end = self.agitated.doom.as_ref().map(|doom| doom.end);
                self.note(&format!("{} is ended: {end:?}", self.devices[device].name));
                if end == Some(End::PowerCut) {
                    self.indexes[device].lose(&mut self.random);
                    let random = &mut self.random;
                    self.devices[device].fs.cut_power(&mut |n| random.below(n));
                    self.agitated.tally.power_cuts += 1;
                } else {
                    self.agitated.tally.kills += 1;
                }
                self.spare();
            }
        }
        Ok(())
    }

    /// Whether a device's disk may have what its program put there and has not noted: nobody can tell what its user has seen of that.
    #[must_use]
    pub fn is_unsure(&self, device: usize) -> bool {
        let running = self.programs.iter().find(|program| program.place() == device);
        running.map_or(self.agitated.unnoted.contains(&device), Program::is_unsure)
    }

    /// A program is about to end.
    pub(super) fn leaves(&mut self, program: &Program) {
        if program.is_unsure() {
            self.agitated.unnoted.insert(program.place());
        }
    }

    /// The others see that a program is gone.
    fn gone(&mut self, program: Program) {
        let ids: Vec<ReplicaId> = program.ids().map(|(_, id)| id).collect();
        self.leaves(&program);
        drop(program);
        let others: Vec<ReplicaId> = self.ids().into_values().collect();
        for id in ids {
            for other in &others {
                self.connect(id, *other, false);
            }
        }
        self.take_links_in();
    }

    /// Starts the programs that do not run and should.
    pub(super) fn start_missing(&mut self) -> Result<(), Stop> {
        for device in 0..self.devices.len() {
            let runs = self.programs.iter().any(|p| p.place() == device);
            if runs || self.agitated.asleep.contains(&device) {
                continue;
            }
            self.arm_for(device);
            let started = self.start(&[device]);
            self.disarm_for(device);
            match started {
                Ok(program) => {
                    self.agitated.rejoin.remove(&device);
                    self.agitated.unnoted.remove(&device);
                    self.programs.push(program);
                    self.programs.sort_by_key(Program::place);
                    self.introduce_one(device);
                }
                Err(stop) => self.has_fallen(device, stop)?,
            }
        }
        Ok(())
    }

    /// A program that has just been started gets to know of the others, and they of it.
    fn introduce_one(&mut self, device: usize) {
        let ids = self.ids();
        let named: BTreeMap<ReplicaId, String> = ids.iter().map(|(d, id)| (*id, self.devices[*d].name.clone())).collect();
        self.programs.iter_mut().for_each(|program| program.names(named.clone()));
        for (a, b) in self.links.clone() {
            if (a == device || b == device)
                && let (Some(a), Some(b)) = (ids.get(&a), ids.get(&b))
            {
                self.connect(*a, *b, true);
            }
        }
        self.take_links_in();
    }
}
