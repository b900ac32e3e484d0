//! The replicated tree: nodes, version vectors, merge, projection, observation and plan. Pure: no disk, no clock, no
//! random numbers; those come in as arguments.

mod id;
mod node;
mod step;
mod view;

pub use id::{ContentId, Dot, NodeId, ReplicaId};
pub use node::{
    Base, Content, Gone, Head, Heads, Kind, MAX_HEADS, MAX_NAME, MAX_TARGET, Malformed, Node, Place, Register, Value, Written,
    is_name,
};
pub use step::{Action, Expected, Outcome, Problem, ProblemKind, RelPath, Wanted};
pub use view::{Bytes, ExactNames, FileKey, Fingerprint, Names, Stat};
