//! A small world to test the tree in: simulated disks, their users, devices that scan, apply, sync and crash.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

pub mod checks;
pub mod device;
pub mod disk;
pub mod example;
#[allow(clippy::disallowed_methods, reason = "a test may look how long it takes")]
pub mod explore;
pub mod fault;
pub mod history;
pub mod random;
pub mod stored;
pub mod surveys;
pub mod table;
pub mod user;
pub mod world;

/// A broken invariant: what, and the details.
pub type Broken = String;

/// Fails with a message and details if a condition does not hold.
#[macro_export]
macro_rules! need {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
