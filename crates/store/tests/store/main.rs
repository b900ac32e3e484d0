//! The index, from outside.
#![allow(clippy::unwrap_used)]

mod contents;
mod damage;
mod opening;
mod replicas;
mod round_trip;
mod sample;
