//! Version vectors: for each replica, how far its writes are known.

use crate::id::{Dot, ReplicaId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// For each replica, the time up to which all of its writes are known.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Vector(pub BTreeMap<ReplicaId, u64>);

impl Vector {
    /// The time up to which the writes of `replica` are known; 0 for none.
    #[must_use]
    pub fn time(&self, replica: ReplicaId) -> u64 {
        self.0.get(&replica).copied().unwrap_or(0)
    }

    /// Whether the write is known.
    #[must_use]
    pub fn covers(&self, dot: Dot) -> bool {
        self.time(dot.replica) >= dot.time
    }

    /// Notes that the writes of `replica` are known up to `time`.
    pub fn note(&mut self, replica: ReplicaId, time: u64) {
        let known = self.0.entry(replica).or_insert(0);
        *known = (*known).max(time);
    }

    /// Whether all that `other` knows is known.
    #[must_use]
    pub fn includes(&self, other: &Vector) -> bool {
        other.0.iter().all(|(r, t)| *t <= self.time(*r))
    }

    /// What is noted of a replica that will never speak again: it has seen all, so to say. (Replica 0 is nobody's, and so a vector like any
    /// other includes this one never; joined with any other it stays.)
    #[must_use]
    pub fn retired() -> Vector {
        Vector(BTreeMap::from([(ReplicaId(0), 1)]))
    }

    /// Whether it stands for a replica that will never speak again.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.time(ReplicaId(0)) > 0
    }

    /// The pointwise maximum.
    pub fn join(&mut self, other: &Vector) {
        for (replica, time) in &other.0 {
            self.note(*replica, *time);
        }
    }

    /// The pointwise minimum.
    #[must_use]
    pub fn meet(&self, other: &Vector) -> Vector {
        Vector(
            self.0
                .iter()
                .map(|(r, t)| (*r, (*t).min(other.time(*r))))
                .filter(|(_, t)| *t > 0)
                .collect(),
        )
    }
}
