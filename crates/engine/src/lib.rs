//! The conductor: a deterministic core that decides what is to be done, what carries it out, and the loop that drives both.

pub mod carry;
pub mod core;
pub mod open;
pub mod root;
pub mod run;
