//! Everything that touches the user's files: the file system below a root, scanning, hashing, watching, staging, applying.

pub mod fs;
