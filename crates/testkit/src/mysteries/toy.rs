//! Toy devices that keep some values the same: a page of the real thing, and versions of it that are wrong. The explainer is tried on
//! them: what the right ones do it must explain, and the wrong ones it must find out.

use super::play::Stage;
use super::{How, Settled, Value};
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};

/// In what way a toy is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Of two concurrent values the later one replaces the other, as if it had seen it.
    LastWins,
    /// What comes from others takes the place of what was just written.
    OverwritesTheUnseen,
    /// What another device said is taken as it is, though more is known by now.
    TakesStale,
    /// That a value was seen and overwritten is not remembered.
    Forgets,
    /// A deletion takes a concurrent edit with it.
    DeletionWins,
    /// Of two sides it shows the newer, though the person here has another.
    ShowsTheOther,
    /// A conflict that one side has settled stays listed.
    KeepsConflicts,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 7] = [
        Fault::LastWins,
        Fault::OverwritesTheUnseen,
        Fault::TakesStale,
        Fault::Forgets,
        Fault::DeletionWins,
        Fault::ShowsTheOther,
        Fault::KeepsConflicts,
    ];
}

/// What is known of a file: what was ever written, and what of that nothing has replaced.
#[derive(Clone, Default)]
struct Register {
    known: BTreeSet<u32>,
    heads: BTreeMap<u32, Option<Value>>,
}

impl Register {
    fn merge(&mut self, other: &Register, fault: Option<Fault>) {
        if fault == Some(Fault::TakesStale) {
            *self = other.clone();
            return;
        }
        let known = self.known.clone();
        let forgets = fault == Some(Fault::Forgets);
        self.heads
            .retain(|dot, _| other.heads.contains_key(dot) || !other.known.contains(dot) || forgets);
        let new = other.heads.iter().filter(|(dot, _)| !known.contains(dot) || forgets);
        self.heads.extend(new.map(|(dot, value)| (*dot, *value)));
        self.known.extend(&other.known);
        match fault {
            Some(Fault::LastWins) => {
                while self.heads.len() > 1 {
                    self.heads.pop_first();
                }
            }
            Some(Fault::DeletionWins) if self.heads.values().any(Option::is_none) => self.heads.retain(|_, v| v.is_none()),
            _ => {}
        }
    }

    fn sides(&self) -> impl DoubleEndedIterator<Item = (u32, Value)> + '_ {
        self.heads.iter().filter_map(|(dot, value)| value.map(|v| (*dot, v)))
    }
}

/// One file on one device.
#[derive(Clone, Default)]
struct Copy {
    register: Register,
    shown: Option<Value>,
    /// What of the register's heads the disk reflects.
    seen: BTreeSet<u32>,
    /// A person changed it, and the program has not looked yet.
    dirty: bool,
}

/// Toy devices.
pub struct Toy {
    copies: Vec<Vec<Copy>>,
    /// What is on its way: to whom, of which file.
    mail: Vec<(usize, usize, Register)>,
    away: Vec<bool>,
    next: u32,
    random: Random,
    fault: Option<Fault>,
}

impl Toy {
    /// So many devices with so many files each, right or wrong.
    #[must_use]
    pub fn new(devices: usize, files: usize, seed: u64, fault: Option<Fault>) -> Toy {
        Toy {
            copies: vec![vec![Copy::default(); files]; devices],
            mail: Vec::new(),
            away: vec![false; devices],
            next: 0,
            random: Random::new(seed),
            fault,
        }
    }

    /// The program looks at a file.
    fn scan(&mut self, device: usize, file: usize) {
        let copy = &mut self.copies[device][file];
        if std::mem::take(&mut copy.dirty) {
            self.next += 1;
            let dot = self.next;
            copy.register.heads.retain(|dot, _| !copy.seen.contains(dot));
            copy.register.known.insert(dot);
            copy.register.heads.insert(dot, copy.shown);
            copy.seen = BTreeSet::from([dot]);
        }
    }

    /// The program shows what it knows.
    fn show(&mut self, device: usize, file: usize) {
        let fault = self.fault;
        let copy = &mut self.copies[device][file];
        if copy.dirty && fault != Some(Fault::OverwritesTheUnseen) {
            return;
        }
        copy.dirty = false;
        let own = copy.register.sides().find(|(_, v)| Some(*v) == copy.shown);
        let own = own.filter(|_| fault != Some(Fault::ShowsTheOther));
        let shown = own.or(copy.register.sides().next_back());
        copy.shown = shown.map(|(_, v)| v);
        let heads = copy.register.heads.iter();
        let reflected = heads.filter(|(dot, value)| value.is_none() || Some(**dot) == shown.map(|(d, _)| d));
        copy.seen = reflected.map(|(dot, _)| *dot).collect();
    }

    fn send(&mut self, from: usize, to: usize, file: usize) {
        if from != to && !self.away[from] && !self.away[to] {
            self.mail.push((to, file, self.copies[from][file].register.clone()));
        }
    }

    fn receive(&mut self, letter: usize) {
        let (to, file, register) = self.mail.remove(letter);
        let fault = self.fault;
        self.copies[to][file].register.merge(&register, fault);
    }

    fn work(&mut self) {
        let (device, other) = (self.random.below(self.copies.len()), self.random.below(self.copies.len()));
        let file = self.random.below(self.copies[0].len());
        match self.random.below(4) {
            0 => self.scan(device, file),
            1 => self.send(device, other, file),
            2 if !self.mail.is_empty() => {
                let letter = self.random.below(self.mail.len());
                self.receive(letter);
            }
            _ => self.show(device, file),
        }
    }

    fn change(&mut self, device: usize, file: usize, to: Option<Value>) -> Option<Value> {
        let copy = &mut self.copies[device][file];
        copy.dirty |= copy.shown != to;
        std::mem::replace(&mut copy.shown, to)
    }
}

impl Stage for Toy {
    fn devices(&self) -> usize {
        self.copies.len()
    }

    fn read(&mut self, device: usize, file: usize) -> Option<Value> {
        self.copies[device][file].shown
    }

    fn write(&mut self, device: usize, file: usize, value: Value, _: How) -> Option<Value> {
        self.change(device, file, Some(value))
    }

    fn delete(&mut self, device: usize, file: usize, _: How) -> Option<Value> {
        self.change(device, file, None)
    }

    fn sleep(&mut self, much: u8) {
        (0..much).for_each(|_| self.work());
    }

    fn away(&mut self, device: usize) -> bool {
        self.away[device] = true;
        self.mail.retain(|(to, ..)| *to != device);
        false
    }

    fn back(&mut self, device: usize) {
        self.away[device] = false;
    }

    fn restart(&mut self, _: usize) -> Vec<usize> {
        Vec::new()
    }

    fn settle(&mut self, files: usize) -> Result<Vec<Settled>, String> {
        let devices = self.copies.len();
        for file in 0..files {
            for round in 0..2 * devices {
                (0..devices).for_each(|d| self.scan(d, file));
                while !self.mail.is_empty() {
                    self.receive(0);
                }
                let (from, all) = (round % devices, 0..devices);
                all.clone().for_each(|to| self.send(from, to, file));
                while !self.mail.is_empty() {
                    self.receive(0);
                }
                all.for_each(|d| self.show(d, file));
            }
        }
        let keeps = self.fault == Some(Fault::KeepsConflicts);
        let settled = |file: usize| {
            let copies: Vec<&Copy> = self.copies.iter().map(|files| &files[file]).collect();
            let sides = |copy: &&Copy| {
                let mut sides: BTreeSet<Value> = copy.register.sides().map(|(_, v)| v).collect();
                if keeps && copy.register.known.len() > 4 {
                    sides.extend(sides.first().map(|v| v - 1).filter(|v| *v > 0));
                }
                if sides.len() > 1 { sides } else { BTreeSet::new() }
            };
            Settled {
                shown: copies.iter().map(|copy| copy.shown).collect(),
                sides: copies.iter().map(sides).collect(),
                edit_of_deleted: false,
            }
        };
        Ok((0..files).map(settled).collect())
    }
}
