//! The index: what a device remembers of its folders between two runs, in one SQLite file in the program's home. The
//! only place that writes SQL.
//!
//! A reader's way: `migrations/001-first.sql` (what is kept), [`Store`] (the file), [`Tx`] (one change of it),
//! `load` (how a [`Replica`](bifold_tree::Replica) comes back), `contents` (where bytes lie).
//!
//! # What holds
//!
//! - Every change is one transaction: after a crash or a power cut the index is as it was after some commit, never
//!   between two. Which one, see [`Store::commit`].
//! - One program at a time has the file open; another is told so ([`StoreError::Locked`]).
//! - What the file says is not trusted: rows carry a check, manifests are proven by their hash, and damage is
//!   an error ([`StoreError::Damaged`]), never a panic and never a guess.
//! - The index can always be made anew from the disk and the peers. To lose it costs time, never a file.
//! - It knows nothing of the user's files but their records: it opens none of them.

mod aside;
mod commit;
mod contents;
mod error;
mod history;
mod load;
mod log;
mod open;
mod prefix;
mod replicas;
mod root_path;
mod schema;
mod sealed;

pub use commit::Tx;
pub use contents::Place;
pub use error::StoreError;
pub use history::{Reason, Taken};
pub use log::{Deed, Happened, Logged};
pub use open::Store;
pub use replicas::{Folder, FolderId, Hosted, MarkerObject, RootIdentity, Tokens};
