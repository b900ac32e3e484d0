//! What the program lists, in the words of stories: the same for the simulated one and the real one.

use std::collections::{BTreeMap, BTreeSet};

/// One side of a conflict: the devices that show it, and its content id in hexadecimal digits; none of a deletion.
pub type ListedSide = (BTreeSet<String>, Option<String>);

/// A conflict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Where it is shown.
    pub path: String,
    /// The word for its kind.
    pub kind: String,
    /// The content id of what the sides replaced.
    pub base: Option<String>,
    /// The sides.
    pub sides: Vec<ListedSide>,
}

/// Trouble with a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ListedProblem {
    /// On which device.
    pub device: String,
    /// Where.
    pub path: String,
    /// The word for its kind.
    pub kind: String,
}

/// All that is listed after a settling.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// Conflicts.
    pub conflicts: Vec<Listed>,
    /// Problems.
    pub problems: BTreeSet<ListedProblem>,
    /// Devices with a change that waits for a person.
    pub held: BTreeSet<String>,
    /// Devices with which nothing is done, and why.
    pub halted: BTreeMap<String, String>,
    /// Why the program does not run at all.
    pub refused: Option<String>,
    /// Bytes that went from one device to another.
    pub copied: u64,
    /// Steps taken.
    pub applied: u64,
}

impl Listing {
    /// Adds what another run listed.
    pub fn add(&mut self, other: Listing) {
        for conflict in other.conflicts {
            let same = |c: &&mut Listed| c.path == conflict.path && c.kind == conflict.kind;
            let Some(known) = self.conflicts.iter_mut().find(same) else {
                self.conflicts.push(conflict);
                continue;
            };
            known.base = known.base.take().or(conflict.base);
            for (devices, content) in conflict.sides {
                match known.sides.iter_mut().find(|(_, c)| *c == content) {
                    Some((known, _)) => known.extend(devices),
                    None => known.sides.push((devices, content)),
                }
            }
        }
        self.problems.extend(other.problems);
        self.held.extend(other.held);
        self.halted.extend(other.halted);
        self.refused = self.refused.take().or(other.refused);
        self.copied += other.copied;
        self.applied += other.applied;
    }
}

/// The word for a kind of conflict or problem: as the program writes it.
pub(super) fn word(kind: impl std::fmt::Debug) -> String {
    let mut word = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(c.to_lowercase());
    }
    word
}
