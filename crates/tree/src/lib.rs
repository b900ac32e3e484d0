//! The replicated tree: nodes, version vectors, merge, projection, observation and plan. Pure: no disk, no clock, no
//! random numbers; those come in as arguments.
//!
//! A reader's way: [`Node`] and its merge; `nodes` (what is derived of them, and kept up to date); `entries` (the projection);
//! [`Survey`] and `observe` (what did the user do?); `plan` (what is to be done on the disk?); `conflict`.

mod conflict;
mod entries;
#[doc(hidden)]
pub mod faults;
mod folders;
mod id;
mod node;
mod nodes;
mod observe;
mod plan;
mod records;
mod replica;
mod set;
mod step;
mod suffix;
mod survey;
mod tree_view;
mod vector;
mod view;

pub use conflict::{Conflict, ConflictKind, Pick, PickError, Shown, Side};
pub use entries::Policy;
pub use id::{ContentId, Dot, NodeId, ReplicaId};
pub use node::{
    Base, Content, Gone, Head, Heads, Kind, MAX_HEADS, MAX_NAME, MAX_TARGET, Malformed, Node, Place, Register, Value, Written,
    is_name, is_own_name,
};
pub use observe::Observed;
pub use plan::{Plan, Step};
pub use records::{PARKED_PATH, RecordId};
pub use replica::{Changes, MAX_AHEAD_MS, MAX_TIME_MS, Replica, ReplicaState, StoredRecord};
pub use step::{Action, Expected, Outcome, Problem, ProblemKind, RelPath, Wanted};
pub use survey::{Listed, Survey};
pub use tree_view::{Behind, Projected, Recorded};
pub use vector::Vector;
pub use view::{Bytes, ExactNames, FileKey, Fingerprint, Names, Stat};
