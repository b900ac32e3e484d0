//! Everything that touches the user's files: the file system below a root, scanning, hashing, watching, staging, applying.

mod ahead;
pub mod apply;
pub mod far;
#[doc(hidden)]
pub mod faults;
pub mod fs;
pub mod ignore;
pub mod names;
pub mod native;
pub mod read;
pub mod restore;
pub mod root;
pub mod scan;
pub mod stage;
pub mod turns;
pub mod watch;
