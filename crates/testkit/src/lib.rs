//! The test kit: disks, time and whole worlds that are simulated, and the language in which stories are told of them.
//!
//! A reader's way: [`disk`] (a disk that can be pulled, filled, broken and cut from power), [`world`] (some of them, and the real
//! engine between them), [`story`] (the language of `tests/scenarios/`, and playing it on any [`story::Stage`]), [`history`] (random
//! histories of such worlds, what must hold in all of them, and what makes a failing one short).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test tool a panic is a failed test, and says where"
)]

pub mod disk;
pub mod faults;
pub mod history;
pub mod moments;
pub mod mysteries;
pub mod random;
pub mod story;
pub mod world;
