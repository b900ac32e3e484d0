//! The explainer: a search for hidden events. It does nothing but look at a trace.
//!
//! Files have nothing to do with each other, and so each is explained for itself. A device *knows* some of the writes and deletions so
//! far (its version vector), and *shows* one of them, or nothing. What it does not see is drawn from the trace like this:
//!
//! * A write has seen all that its device knew, but the open sides that this did not show.
//! * A device may pull any write that was there to be had, and comes to know it with all that it has seen.
//! * Of the values it knows, those are *live* that no write it knows has seen. It goes on showing what it shows while that is live;
//!   then it shows any live one; it shows nothing if there is none.
//!
//! * A program that is killed may have shown something without having noted it. What is then written over that has not seen it, and
//!   it may itself pass for a write of that device: both make conflicts with what was seen, and lose nothing. This may be so for a
//!   device whose program is killed since all were last at rest, or will be before they are again.
//!
//! A pull need not take the newest: what a device told may be a while on its way. Nothing is lost by looking for pulls only where a
//! step needs them, and for the least of them: who knows less can pull more at any time, and a write that has seen less is
//! pulled by who would have to pull the rest with it. So few ways are left to try, even where no explanation is found.

use super::{DEVICES, FILES, Settled, Step, Told, Trace, Value, list};
use std::collections::{BTreeSet, HashSet};
use std::fmt;

/// Writes and deletions of one file, a bit for each.
type Set = u128;

/// States after which the search is given up.
const MANY: usize = 1_000_000;

/// A hidden event: a device pulls something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pull {
    /// Before which step.
    pub before: usize,
    /// Which device.
    pub device: usize,
    /// Which file.
    pub file: usize,
    /// Which writes (deletions: nothing) of which devices it comes to know.
    pub took: Vec<(usize, Option<Value>)>,
}

impl fmt::Display for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self
            .took
            .iter()
            .map(|(by, value)| format!("{} by {}", Told(*value), DEVICES[*by]));
        let (device, file) = (DEVICES[self.device], FILES[self.file]);
        write!(f, "{device} pulls of {file}: {}", list(took))
    }
}

/// Why there is no explanation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// Nobody had written that value to that file.
    Invented(Value),
    /// A device showed what it could not, whatever it had pulled.
    NotTo {
        /// Which device.
        device: usize,
        /// What it showed.
        saw: Option<Value>,
        /// What it could have shown.
        could: BTreeSet<Option<Value>>,
    },
    /// At rest, values were missing or too many on a device.
    Alive {
        /// Which device.
        device: usize,
        /// What nobody overwrote who had seen it, and is not there.
        missing: BTreeSet<Value>,
        /// What was overwritten, and is there.
        extra: BTreeSet<Value>,
    },
    /// A conflict of an edit and a deletion, where no deletion stands against an edit.
    NothingDeleted,
    /// There were too many ways.
    GaveUp,
}

/// A trace that cannot be explained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mystery {
    /// The file.
    pub file: usize,
    /// The step up to which it can be.
    pub step: usize,
    /// Why.
    pub why: Why,
}

impl fmt::Display for Mystery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}, file {}: ", self.step + 1, FILES[self.file])?;
        match &self.why {
            Why::Invented(value) => write!(f, "nobody had written {}", Told(Some(*value))),
            Why::NotTo { device, saw, could } => {
                let could = list(could.iter().map(|v| Told(*v)));
                write!(f, "{} showed {}; it could show: {could}", DEVICES[*device], Told(*saw))
            }
            Why::Alive { device, missing, extra } => write!(
                f,
                "on {} what is alive is not right; missing: {}; overwritten by who had seen it: {}",
                DEVICES[*device],
                list(missing),
                list(extra)
            ),
            Why::NothingDeleted => write!(f, "a deletion is listed against an edit that has seen it"),
            Why::GaveUp => write!(f, "there were too many ways to explain it"),
        }
    }
}

/// Explains a trace of so many devices: says which hidden events lie between its steps.
///
/// # Errors
/// If there are none that explain it.
pub fn explain(trace: &Trace, devices: usize) -> Result<Vec<Pull>, Mystery> {
    let mut pulls = Vec::new();
    for file in 0..FILES.len() {
        let mut search = Search::new(trace, devices, file);
        if !search.go(0, &State::new(devices)) {
            let (step, why) = search.failed;
            return Err(Mystery { file, step, why });
        }
        pulls.append(&mut search.pulls);
    }
    pulls.sort_by_key(|pull| pull.before);
    Ok(pulls)
}

/// A write or deletion, as it stands in the trace.
struct Event {
    device: usize,
    value: Option<Value>,
    /// The step from which on others may pull it.
    to_be_had: usize,
}

/// What is assumed of the devices at some step.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    known: Vec<Set>,
    shown: Vec<Option<usize>>,
    /// What each event so far has seen.
    seen: Vec<Set>,
    /// What a device knew and showed before its pulls since all were at rest, where its program is killed.
    noted: Vec<BTreeSet<Set>>,
}

impl State {
    fn new(devices: usize) -> State {
        State {
            known: vec![0; devices],
            shown: vec![None; devices],
            seen: Vec::new(),
            noted: vec![BTreeSet::new(); devices],
        }
    }

    /// What some of them have seen.
    fn dead(&self, known: Set) -> Set {
        bits(known).fold(0, |dead, e| dead | self.seen[e])
    }

    /// An event, with all that it has seen.
    fn with(&self, event: usize) -> Set {
        1 << event | self.seen[event]
    }
}

fn bits(set: Set) -> impl Iterator<Item = usize> {
    (0..Set::BITS as usize).filter(move |i| set >> i & 1 == 1)
}

struct Search<'a> {
    file: usize,
    events: Vec<Event>,
    /// The steps that concern the file; for each device the step up to which it has heard others then.
    steps: Vec<(usize, &'a Step, Vec<usize>)>,
    /// Programs that were killed, and when.
    killed: Vec<(usize, usize)>,
    /// When all were at rest.
    rests: Vec<usize>,
    /// States for which there is no explanation from there on.
    hopeless: HashSet<(usize, State)>,
    /// The furthest step that was reached, and what was wrong there.
    failed: (usize, Why),
    pulls: Vec<Pull>,
}

impl<'a> Search<'a> {
    fn new(trace: &'a Trace, devices: usize, file: usize) -> Search<'a> {
        let mut away: Vec<Option<usize>> = vec![None; devices];
        let mut events: Vec<Event> = Vec::new();
        let mut steps = Vec::new();
        let (mut killed, mut rests) = (Vec::new(), Vec::new());
        for (i, step) in trace.iter().enumerate() {
            let event = match step {
                Step::Away(d) => {
                    away[*d].get_or_insert(i);
                    None
                }
                Step::Back(d) => {
                    away[*d] = None;
                    let waiting = events.iter_mut().filter(|e| e.device == *d && e.to_be_had == usize::MAX);
                    waiting.for_each(|e| e.to_be_had = i);
                    None
                }
                Step::Killed(d) => {
                    killed.push((i, *d));
                    None
                }
                Step::Settle(_) => {
                    rests.push(i);
                    None
                }
                Step::Write(d, f, value, _) if *f == file => Some((*d, Some(*value))),
                Step::Delete(d, f, Some(_)) if *f == file => Some((*d, None)),
                _ => None,
            };
            if let Some((device, value)) = event {
                let to_be_had = if away[device].is_some() { usize::MAX } else { i };
                events.push(Event {
                    device,
                    value,
                    to_be_had,
                });
            }
            let here = match step {
                Step::Read(_, f, _) | Step::Write(_, f, _, _) | Step::Delete(_, f, _) => *f == file,
                Step::Settle(files) => file < files.len(),
                _ => false,
            };
            if here {
                steps.push((i, step, away.iter().map(|since| since.unwrap_or(i)).collect()));
            }
        }
        assert!(
            events.len() <= Set::BITS as usize,
            "so many writes of one file cannot be explained"
        );
        Search {
            file,
            events,
            steps,
            killed,
            rests,
            hopeless: HashSet::new(),
            failed: (0, Why::GaveUp),
            pulls: Vec::new(),
        }
    }

    /// Whether what a device shows at this step may not have been noted.
    fn is_killed(&self, step: usize, device: usize) -> bool {
        let rest = |i: usize| self.rests.iter().filter(|rest| **rest < i).count();
        self.killed.iter().any(|(i, d)| *d == device && rest(*i) == rest(step))
    }

    /// The values among these that none of them has seen.
    fn live(&self, state: &State, known: Set) -> Set {
        let values = bits(known).filter(|e| self.events[*e].value.is_some());
        values.fold(0, |set, e| set | 1 << e) & !state.dead(known)
    }

    /// What a disk reflects of what its device knows: all but the open sides that it does not show.
    fn reflected(&self, state: &State, known: Set, shown: Option<usize>) -> Set {
        let shown: Set = shown.map_or(0, |e| 1 << e);
        known & !(self.live(state, known) & !shown)
    }

    /// Whether a file was made anew by two who had not heard of each other's.
    fn is_made_twice(&self, state: &State, known: Set) -> bool {
        let is_made = |e: &usize| self.events[*e].value.is_some() && self.live(state, state.seen[*e]) == 0;
        let made: Vec<usize> = bits(known).filter(is_made).collect();
        let apart = |a: usize, b: usize| a != b && state.with(a) >> b & 1 == 0 && state.with(b) >> a & 1 == 0;
        made.iter().any(|a| made.iter().any(|b| apart(*a, *b)))
    }

    fn values(&self, set: Set) -> BTreeSet<Value> {
        bits(set).filter_map(|e| self.events[e].value).collect()
    }

    /// What a device could know, and show then, where it is to show this: the least of it.
    fn ways(&self, state: &State, device: usize, heard: usize, wanted: Option<Value>) -> Vec<(Set, Option<usize>)> {
        let (known, shown) = (state.known[device], state.shown[device]);
        let value_shown = shown.and_then(|e| self.events[e].value);
        if value_shown == wanted {
            return vec![(known, shown)];
        }
        // What it showed is known to be overwritten by then.
        let to_be_had: Set = (0..state.seen.len())
            .filter(|e| self.events[*e].to_be_had <= heard)
            .fold(0, |set, e| set | 1 << e);
        let Some(value) = wanted else {
            let mut found = BTreeSet::new();
            self.kill_all(state, known, to_be_had, &mut BTreeSet::new(), &mut found);
            return found.into_iter().map(|known| (known, None)).collect();
        };
        let Some(event) = (0..state.seen.len()).find(|e| self.events[*e].value == Some(value)) else {
            return Vec::new();
        };
        let bit: Set = 1 << event;
        if (known | to_be_had) & bit == 0 {
            return Vec::new();
        }
        let least = known | state.with(event);
        if state.dead(least) & bit != 0 {
            return Vec::new();
        }
        match shown {
            Some(old) if value_shown.is_some() && state.dead(least) >> old & 1 == 0 => bits(to_be_had & !least)
                .filter(|e| state.seen[*e] >> old & 1 == 1 && state.seen[*e] & bit == 0)
                .map(|e| (least | state.with(e), Some(event)))
                .collect(),
            _ => vec![(least, Some(event))],
        }
    }

    /// All least sets from this one on in which no value is live.
    fn kill_all(&self, state: &State, known: Set, to_be_had: Set, tried: &mut BTreeSet<Set>, found: &mut BTreeSet<Set>) {
        if !tried.insert(known) {
            return;
        }
        let live = self.live(state, known);
        if live == 0 {
            found.insert(known);
            return;
        }
        let first: Set = 1 << live.trailing_zeros();
        for e in bits(to_be_had & !known).filter(|e| state.seen[*e] & first != 0) {
            self.kill_all(state, known | state.with(e), to_be_had, tried, found);
        }
    }

    /// Whether the steps from this one on can be explained.
    fn go(&mut self, at: usize, state: &State) -> bool {
        let Some((step, what, heard)) = self.steps.get(at).cloned() else {
            return true;
        };
        if self.hopeless.contains(&(at, state.clone())) {
            return false;
        }
        if self.hopeless.len() > MANY {
            self.failed = (step, Why::GaveUp);
            return false;
        }
        let (device, old, new) = match what {
            Step::Read(d, _, value) => (*d, *value, None),
            Step::Write(d, _, value, old) => (*d, *old, Some(Some(*value))),
            Step::Delete(d, _, old) => (*d, *old, old.map(|_| None)),
            Step::Settle(files) => return self.settle(at, state, &files[self.file]),
            _ => return self.go(at + 1, state),
        };
        for (known, shown) in self.ways(state, device, heard[device], old) {
            let mut next = state.clone();
            if known != state.known[device] && self.is_killed(step, device) {
                next.noted[device].insert(self.reflected(state, state.known[device], state.shown[device]));
            }
            (next.known[device], next.shown[device]) = (known, shown);
            let mut seen = vec![self.reflected(state, known, shown)];
            if new.is_some() {
                let own = bits(known).filter(|e| self.events[*e].device == device);
                let own = own.fold(0, |set, e| set | state.with(e));
                let less = next.noted[device].iter().map(|noted| (noted | own) & seen[0]);
                let less: Vec<Set> = less.filter(|less| *less != seen[0]).collect();
                seen.extend(less);
            }
            for seen in seen {
                let mut next = next.clone();
                if new.is_some() {
                    let event = next.seen.len();
                    next.seen.push(seen);
                    next.known[device] |= 1 << event;
                    next.shown[device] = Some(event);
                }
                if self.go(at + 1, &next) {
                    self.note(step, device, state.known[device], known);
                    return true;
                }
            }
        }
        self.hopeless.insert((at, state.clone()));
        self.fail(step, |search| {
            let written = |v: &Value| (0..state.seen.len()).any(|e| search.events[e].value == Some(*v));
            match old {
                Some(value) if !written(&value) => Why::Invented(value),
                saw => {
                    let values = (0..state.seen.len()).filter_map(|e| search.events[e].value);
                    let all = values.map(Some).chain([None]);
                    let could = all
                        .filter(|v| !search.ways(state, device, heard[device], *v).is_empty())
                        .collect();
                    Why::NotTo { device, saw, could }
                }
            }
        });
        false
    }

    /// All know all there is.
    fn settle(&mut self, at: usize, state: &State, settled: &Settled) -> bool {
        let step = self.steps[at].0;
        let all: Set = (0..state.seen.len()).fold(0, |set, e| set | 1 << e);
        let mut next = state.clone();
        let again = self.written_again(step, state, settled);
        next.seen.iter_mut().for_each(|seen| *seen &= !again);
        let live = self.live(&next, all);
        let alive = self.values(live);
        for (device, (shown, sides)) in settled.shown.iter().zip(&settled.sides).enumerate() {
            let there: BTreeSet<Value> = sides.iter().copied().chain(*shown).collect();
            let written = self.values(all);
            if let Some(value) = there.iter().find(|v| !written.contains(v)) {
                self.fail(step, |_| Why::Invented(*value));
                return false;
            }
            if there != alive {
                let missing = alive.difference(&there).copied().collect();
                let extra = there.difference(&alive).copied().collect();
                self.fail(step, |_| Why::Alive { device, missing, extra });
                return false;
            }
            let own = state.shown[device].filter(|e| live >> e & 1 == 1);
            if let Some(own) = own
                && self.events[own].value != *shown
            {
                let could = BTreeSet::from([self.events[own].value]);
                let saw = *shown;
                self.fail(step, |_| Why::NotTo { device, saw, could });
                return false;
            }
            if shown.is_none() && live != 0 {
                let could = alive.iter().copied().map(Some).collect();
                self.fail(step, |_| Why::NotTo {
                    device,
                    saw: None,
                    could,
                });
                return false;
            }
            next.known[device] = all;
            next.noted[device].clear();
            next.shown[device] = shown.and_then(|v| (0..state.seen.len()).find(|e| self.events[*e].value == Some(v)));
        }
        let deletions: Set = bits(all)
            .filter(|e| self.events[*e].value.is_none())
            .fold(0, |set, e| set | 1 << e);
        let against: Set = if self.is_made_twice(state, all) {
            // Each of the things that were made is one to be deleted, or not: who goes on with another has not seen to it.
            bits(live).fold(0, |set, e| set | !state.seen[e])
        } else {
            !next.dead(all)
        };
        let deleted = deletions & against != 0;
        if settled.edit_of_deleted && !deleted {
            self.fail(step, |_| Why::NothingDeleted);
            return false;
        }
        self.go(at + 1, &next)
    }

    /// What was overwritten, and is there, because a program that was killed had shown it.
    fn written_again(&self, step: usize, state: &State, settled: &Settled) -> Set {
        let there: BTreeSet<Value> = settled.sides.iter().flatten().copied().collect();
        let is_again = |e: &usize| {
            let event = &self.events[*e];
            let shown_by_killed = (0..state.known.len()).any(|d| d != event.device && self.is_killed(step, d));
            event.value.is_some_and(|v| there.contains(&v)) && shown_by_killed
        };
        (0..state.seen.len()).filter(is_again).fold(0, |set, e| set | 1 << e)
    }

    fn fail(&mut self, step: usize, why: impl FnOnce(&Search<'_>) -> Why) {
        if self.failed == (0, Why::GaveUp) || step > self.failed.0 {
            self.failed = (step, why(self));
        }
    }

    fn note(&mut self, before: usize, device: usize, known: Set, then: Set) {
        let took: Vec<_> = bits(then & !known)
            .map(|e| (self.events[e].device, self.events[e].value))
            .collect();
        if !took.is_empty() {
            let file = self.file;
            self.pulls.push(Pull {
                before,
                device,
                file,
                took,
            });
        }
    }
}

#[cfg(test)]
mod tests;
