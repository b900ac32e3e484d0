//! The conductor: a deterministic core that decides what is to be done, what carries it out, and the loop that drives both. Above that the
//! [`daemon`]: all folders of a home directory, and the devices that they are shared with.

pub mod carry;
pub mod core;
pub mod daemon;
pub mod open;
mod rescue;
pub mod root;
pub mod run;
pub mod watching;
