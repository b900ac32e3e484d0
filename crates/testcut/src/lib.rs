//! Power cuts for real: a disk in memory that real programs work on, through FUSE, and that notes each change and each sync; and what a disk
//! may show after the power failed between any two of them.
//!
//! A crate of its own, so that FUSE is in no program that is shipped. The tests are in `crates/cli/tests/cut.rs`.
//!
//! # What a sync is taken to promise
//!
//! POSIX promises little; what counts is what the file systems do that people have, at their defaults (ext4 with `data=ordered`, xfs,
//! btrfs). Two models, both more careless than any of them ([`Model`]):
//!
//! - *Each*: a sync of a file makes its bytes, its length and attributes safe, and that it was made (all three do that, down to the directories it
//!   lies in). A sync of a directory makes safe all names that were made, taken away and moved in it, and what these build on. Nothing else is:
//!   neither later names of a file that was synced, nor what came earlier elsewhere. A rename is one change: both its ends happened, or none.
//! - *Journal*: names and attributes reach the disk in the order in which they were given, as in the journal of ext4 and xfs; any sync
//!   makes all earlier ones safe, but the bytes of no other file.
//!
//! In both: `fdatasync` keeps bytes and length, not times and permissions; `syncfs` keeps all; what was not synced may be on the disk all the
//! same, bytes in any order, page by page.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in a test tool a panic is a failed test, and says where")]

mod disk;
mod mounted;
mod power;
mod syncfs;

pub use disk::{Attributes, Body, Disk, Ino, Node, Op, Place, ROOT, Step};
pub use mounted::{Mounted, Recording};
pub use power::{Bytes, Loss, Model, after, after_in_one};
pub use syncfs::{Watched, may_watch};
