//! What was played, in numbers.

use std::fmt;
use std::ops::AddAssign;

/// Counts of what histories had in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Histories.
    pub histories: u64,
    /// What users did.
    pub operations: u64,
    /// Inputs that programs took in.
    pub turns: u64,
    /// Programs that were killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Programs that gave up because of their disk.
    pub given_up: u64,
    /// Calls of disks that failed.
    pub disk_faults: u64,
    /// Messages that were lost as a connection ended.
    pub cut_messages: u64,
    /// Messages that came twice.
    pub duplicates: u64,
    /// Times that two devices were parted, or one was away.
    pub partitions: u64,
    /// Clocks that jumped.
    pub clock_jumps: u64,
    /// Indexes and disks that were put back or lost.
    pub restored: u64,
    /// Replicas that began anew.
    pub rejoined: u64,
    /// Deeds in the midst of the program's work.
    pub amid: u64,
    /// Conflicts that were decided.
    pub settled: u64,
}

impl Counts {
    /// Programs that came to an end amid their work, in whatever way.
    #[must_use]
    pub fn crashes(&self) -> u64 {
        self.kills + self.power_cuts + self.given_up
    }

    /// Numbers and what they count, to be added up with those of other tests.
    #[must_use]
    pub fn in_short(&self) -> String {
        format!(
            "{} histories, {} operations, {} crashes, {} disk faults, {} partitions, {} cut messages, {} doubled messages, {} clock jumps, \
             {} restored indexes and disks",
            self.histories,
            self.operations,
            self.crashes(),
            self.disk_faults,
            self.partitions,
            self.cut_messages,
            self.duplicates,
            self.clock_jumps,
            self.restored
        )
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.histories += other.histories;
        self.operations += other.operations;
        self.turns += other.turns;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.given_up += other.given_up;
        self.disk_faults += other.disk_faults;
        self.cut_messages += other.cut_messages;
        self.duplicates += other.duplicates;
        self.partitions += other.partitions;
        self.clock_jumps += other.clock_jumps;
        self.restored += other.restored;
        self.rejoined += other.rejoined;
        self.amid += other.amid;
        self.settled += other.settled;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} histories, {} user operations ({} in the midst of a step), {} crashes ({} kills, {} power cuts, {} given up), {} disk faults, \
             {} cut messages, {} doubled, {} partitions, {} clock jumps, {} restored databases and disks ({} began anew), {} conflicts settled",
            self.histories,
            self.operations,
            self.amid,
            self.crashes(),
            self.kills,
            self.power_cuts,
            self.given_up,
            self.disk_faults,
            self.cut_messages,
            self.duplicates,
            self.partitions,
            self.clock_jumps,
            self.restored,
            self.rejoined,
            self.settled
        )
    }
}
