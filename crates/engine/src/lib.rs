//! The conductor: a deterministic core that decides what is to be done, and what carries it out.

pub mod core;
