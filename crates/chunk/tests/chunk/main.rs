//! What the room promises, told from outside.
#![allow(clippy::unwrap_used)]

mod content;
mod manifest;
mod packing;
mod reuse;
mod sample;
