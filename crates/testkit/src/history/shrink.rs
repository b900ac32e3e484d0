//! Making a history that failed short: parts of its tapes are left out, and it is played again, as long as it breaks the same rule.

use super::tape::{Event, History, What};
use super::{Broken, play};
use crate::story::Act;
use bifold_engine::core::Prefer;

/// A history that is being made short.
struct Shrinking {
    best: History,
    broken: Broken,
    /// Plays that may still be tried.
    tries: usize,
}

/// The shortest part of a history found, in so many plays, that breaks the same rule. The history is one that has been played, and what
/// it broke.
#[must_use]
pub fn shrink(history: &History, broken: &Broken, tries: usize) -> (History, Broken) {
    let mut shrinking = Shrinking {
        best: history.clone(),
        broken: broken.clone(),
        tries,
    };
    loop {
        let before = shrinking.best.clone();
        shrinking.thin(|history| &mut history.schedule);
        shrinking.thin(|history| &mut history.workload);
        shrinking.simplify();
        if shrinking.best == before || shrinking.tries == 0 {
            return (shrinking.best, shrinking.broken);
        }
    }
}

impl Shrinking {
    /// Takes another history for the best, if it breaks the same rule.
    fn takes(&mut self, history: History) -> bool {
        if self.tries == 0 || history == self.best {
            return false;
        }
        self.tries -= 1;
        match play(&history, false).broken.filter(|b| b.rule == self.broken.rule) {
            Some(broken) => {
                (self.best, self.broken) = (history, broken);
                true
            }
            None => false,
        }
    }

    /// Leaves parts of a tape out: halves first, single things last.
    fn thin<T>(&mut self, tape: impl Fn(&mut History) -> &mut Vec<T>) {
        let mut size = tape(&mut self.best).len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            loop {
                let mut history = self.best.clone();
                let items = tape(&mut history);
                if from >= items.len() {
                    break;
                }
                let to = items.len().min(from + size);
                items.drain(from..to);
                if !self.takes(history) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    /// Makes what is left simpler, one thing after the other.
    fn simplify(&mut self) {
        let plain = |history: &mut History| {
            history.disks.iter_mut().for_each(Vec::clear);
            history.prefer = Prefer::Ask;
        };
        self.with(plain);
        self.with(|history| drop(history.disks.pop()));
        for d in 0..self.best.disks.len() {
            self.thin(|history| &mut history.disks[d]);
        }
        for i in 0..self.best.schedule.len() {
            for event in simpler_events(&self.best.schedule[i].1) {
                if self.with(|history| history.schedule[i].1 = event) {
                    break;
                }
            }
        }
        for i in 0..self.best.workload.len() {
            let What::Act(act) = &self.best.workload[i].1.what else {
                continue;
            };
            for act in simpler_acts(act) {
                if self.with(|history| history.workload[i].1.what = What::Act(act)) {
                    break;
                }
            }
        }
    }

    fn with(&mut self, change: impl FnOnce(&mut History)) -> bool {
        let mut history = self.best.clone();
        change(&mut history);
        history.disks.len() >= 2 && self.takes(history)
    }
}

fn simpler_events(event: &Event) -> Vec<Event> {
    match *event {
        Event::Go(turns) => vec![Event::Settle, Event::Go(turns / 2), Event::Go(turns.saturating_sub(1))],
        Event::End(d, end, at) => vec![
            Event::End(d, end, 0),
            Event::End(d, end, at / 2),
            Event::End(d, end, at.saturating_sub(1)),
        ],
        Event::Amid(at, touch) => vec![
            Event::Amid(0, true),
            Event::Amid(at / 2, touch),
            Event::Amid(at.saturating_sub(1), touch),
        ],
        Event::Unreadable(d, n) => vec![Event::Unreadable(d, 0), Event::Unreadable(d, n / 2)],
        _ => Vec::new(),
    }
}

fn simpler_acts(act: &Act) -> Vec<Act> {
    let short = |bytes: &Vec<u8>| bytes.split(|b| *b == b',').next().unwrap_or_default().to_vec();
    match act {
        Act::All(acts) => (0..acts.len())
            .map(|left_out| {
                let mut acts = acts.clone();
                acts.remove(left_out);
                Act::All(acts)
            })
            .chain(acts.iter().cloned())
            .collect(),
        Act::Write(path, bytes) => vec![Act::Write(path.clone(), short(bytes))],
        Act::Save(path, bytes) | Act::Append(path, bytes) => vec![Act::Write(path.clone(), short(bytes))],
        Act::Swap(a, _) | Act::Move(a, _) => vec![Act::Delete(a.clone())],
        _ => Vec::new(),
    }
}
