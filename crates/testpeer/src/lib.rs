//! Hostile peers, for tests: [`peer`] is a device that says anything, right or wrong, to a real one; [`decoders`] has what is fuzzed: each
//! decoder of what comes from outside, and a session, as a function of some bytes; [`mutate`] changes such bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test tool a panic is a failed test, and says where"
)]

pub mod decoders;
pub mod mutate;
pub mod peer;
pub mod samples;
