//! Moments: the points between two actions of the program, at which a test can end it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// What ends the program at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It is killed; the disks keep all that was done.
    Kill,
    /// The power fails; of what was not synced, some is lost.
    PowerCut,
}

/// The clock and the moments of one world; all of its disks share them.
#[derive(Debug)]
pub struct Moments {
    now_ns: AtomicI64,
    count: AtomicU64,
    end_at: AtomicU64,
    ended: AtomicBool,
}

/// 2026-01-01, in seconds since 1970.
const START_S: i64 = 1_767_225_600;

impl Default for Moments {
    fn default() -> Moments {
        Moments {
            now_ns: AtomicI64::new(START_S * 1_000_000_000),
            count: AtomicU64::new(0),
            end_at: AtomicU64::new(u64::MAX),
            ended: AtomicBool::new(false),
        }
    }
}

impl Moments {
    /// Nanoseconds since 1970; each look is later than the one before.
    pub fn tick(&self) -> i64 {
        self.now_ns.fetch_add(1_000_000, Ordering::Relaxed) + 1_000_000
    }

    /// Milliseconds since 1970.
    pub fn wall_ms(&self) -> u64 {
        u64::try_from(self.tick() / 1_000_000).unwrap_or(0)
    }

    /// Lets time go by.
    pub fn pass_seconds(&self, seconds: i64) {
        self.now_ns.fetch_add(seconds * 1_000_000_000, Ordering::Relaxed);
    }

    /// Lets nanoseconds go by.
    pub(crate) fn pass_ns(&self, ns: i64) {
        self.now_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Changes since it was armed.
    pub(crate) fn counted(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends the program before the change with this number, counted from now on, from 0.
    pub fn arm(&self, at: u64) {
        self.count.store(0, Ordering::Relaxed);
        self.end_at.store(at, Ordering::Relaxed);
    }

    /// Nothing ends the program any more, and one that was ended may be started again. Says whether it had been ended.
    pub fn disarm(&self) -> bool {
        self.end_at.store(u64::MAX, Ordering::Relaxed);
        self.ended.swap(false, Ordering::Relaxed)
    }

    /// The program is about to change something. False if it does not get to it.
    pub fn change(&self) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.end_at.load(Ordering::Relaxed) {
            self.ended.store(true, Ordering::Relaxed);
        }
        !self.ended()
    }

    /// Whether the program was ended.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
