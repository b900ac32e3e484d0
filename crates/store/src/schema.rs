//! The versions of the index's form. Each index says which one it has (`user_version`).

use rusqlite::Transaction;

/// "Bfld", in the file's header: tells the index from databases of other programs.
pub(crate) const APPLICATION_ID: u32 = 0x4266_6c64;

/// What makes a version of the one before, oldest first. One that was ever released is never edited: a change is another
/// version.
const VERSIONS: &[fn(&Transaction<'_>) -> rusqlite::Result<()>] = &[
    |index| index.execute_batch(include_str!("migrations/001-first.sql")),
    |index| index.execute_batch(include_str!("migrations/002-log.sql")),
    |index| index.execute_batch(include_str!("migrations/003-carrying.sql")),
    |index| index.execute_batch(include_str!("migrations/004-tidied.sql")),
    |index| index.execute_batch(include_str!("migrations/005-times.sql")),
    |index| index.execute_batch(include_str!("migrations/006-marker.sql")),
];

/// The newest version.
pub(crate) const KNOWN: u32 = VERSIONS.len() as u32;

/// Brings an index of version `found` to the newest. It is for the caller to commit.
pub(crate) fn migrate(index: &Transaction<'_>, found: u32) -> rusqlite::Result<()> {
    for version in VERSIONS.iter().skip(found as usize) {
        version(index)?;
    }
    index.pragma_update(None, "application_id", APPLICATION_ID)?;
    index.pragma_update(None, "user_version", KNOWN)
}
