//! What happened, for people to look back at.

use crate::commit::Tx;
use crate::error::StoreError;
use crate::open::Store;
use bifold_tree::ReplicaId;
use rusqlite::{Row, params};

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Deed {
    /// Something new.
    Added,
    /// Other bytes.
    Edited,
    /// Another name, or directory.
    Moved,
    /// Taken away.
    Deleted,
    /// The executable bit.
    Mode,
}

impl Deed {
    const ALL: [Deed; 5] = [Deed::Added, Deed::Edited, Deed::Moved, Deed::Deleted, Deed::Mode];

    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Deed::Added => "added",
            Deed::Edited => "edited",
            Deed::Moved => "moved",
            Deed::Deleted => "deleted",
            Deed::Mode => "mode",
        }
    }
}

/// One thing that happened, or many alike at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Happened {
    /// What.
    pub deed: Deed,
    /// Who did it.
    pub by: ReplicaId,
    /// Where, in the tree's names; of many, the directory that they have in common.
    pub path: String,
    /// Of what was moved, from where, if that is known.
    pub from: Option<String>,
    /// Bytes.
    pub size: u64,
    /// How many.
    pub count: u64,
}

/// With its number and time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logged {
    /// Newer ones have higher numbers.
    pub id: i64,
    /// When it was seen here, in milliseconds since 1970.
    pub time_ms: u64,
    /// What.
    pub happened: Happened,
}

impl Store {
    /// The log of a replica, newest first, at most `limit` entries: those before entry `before`, and whose path (or the path from
    /// which they came) contains `part`, if that is said; case counts only beyond ASCII.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn log(&self, replica: ReplicaId, before: Option<i64>, part: &str, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let rows = self.sql(|c| {
            c.prepare_cached(
                "SELECT log.id, log.time_ms, log.writer, log.what, log.path, log.from_path, log.size, log.count \
                 FROM log JOIN replica ON replica.key = log.replica \
                 WHERE replica.id = ?1 AND log.id < ?2 \
                 AND (?3 = '%%' OR log.path LIKE ?3 ESCAPE '\\' OR log.from_path LIKE ?3 ESCAPE '\\') ORDER BY log.id DESC LIMIT ?4",
            )?
            .query_map(
                params![
                    replica.0 as i64,
                    before.unwrap_or(i64::MAX),
                    format!("%{escaped}%"),
                    i64::try_from(limit).unwrap_or(i64::MAX)
                ],
                logged,
            )?
            .collect::<rusqlite::Result<Option<Vec<Logged>>>>()
        })?;
        rows.ok_or_else(|| self.damaged("an entry of the log that is none".to_owned()))
    }
}

fn logged(row: &Row<'_>) -> rusqlite::Result<Option<Logged>> {
    let what = row.get_ref(3)?.as_str()?;
    let Some(deed) = Deed::ALL.into_iter().find(|deed| deed.word() == what) else {
        return Ok(None);
    };
    Ok(Some(Logged {
        id: row.get(0)?,
        time_ms: row.get::<_, i64>(1)? as u64,
        happened: Happened {
            deed,
            by: ReplicaId(row.get::<_, i64>(2)? as u64),
            path: row.get(4)?,
            from: row.get(5)?,
            size: row.get::<_, i64>(6)? as u64,
            count: row.get::<_, i64>(7)? as u64,
        },
    }))
}

impl Tx<'_> {
    /// Adds to a replica's log.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn add_log(&self, replica: ReplicaId, happened: &Happened, time_ms: u64) -> Result<(), StoreError> {
        let key = self.key(replica)?;
        self.run(
            "INSERT INTO log (replica, time_ms, writer, what, path, from_path, size, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                key,
                i64::try_from(time_ms).unwrap_or(i64::MAX),
                happened.by.0 as i64,
                happened.deed.word(),
                happened.path,
                happened.from,
                happened.size as i64,
                happened.count as i64,
            ],
        )
        .map(drop)
    }

    /// Keeps only the newest `most` entries of all logs, and of these only what was seen after a time, in milliseconds since 1970.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn trim_log(&self, most: u64, after_ms: u64) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM log WHERE id <= (SELECT max(id) FROM log) - ?1 OR time_ms < ?2",
            params![
                i64::try_from(most).unwrap_or(i64::MAX),
                i64::try_from(after_ms).unwrap_or(i64::MAX)
            ],
        )
        .map(drop)
    }
}
