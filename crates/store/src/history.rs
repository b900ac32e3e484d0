//! Files that were taken away or replaced, and are kept for a while.

use crate::commit::Tx;
use crate::error::StoreError;
use crate::open::Store;
use crate::prefix;
use bifold_tree::{ContentId, ReplicaId};
use rusqlite::{Params, Row, params};
use std::path::{Component, Path};

/// Most milliseconds that count from one tidying to the next.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Why a file was taken away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Other bytes took its place.
    Replaced,
    /// It was deleted.
    Deleted,
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Reason::Replaced => "replaced",
            Reason::Deleted => "deleted",
        }
    }

    fn of(word: &str) -> Option<Reason> {
        [Reason::Replaced, Reason::Deleted].into_iter().find(|r| r.word() == word)
    }
}

/// A file that was taken away and lies in `.bifold/history` of its root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// From which replica.
    pub replica: ReplicaId,
    /// Its name in `.bifold/history`; no two of a replica have the same.
    pub stored: String,
    /// Its bytes; of a link [`ContentId::of_link`].
    pub content: ContentId,
    /// Where it was, below the root, in the tree's names.
    pub path: String,
    /// When it was taken away, in milliseconds since 1970.
    pub time_ms: u64,
    /// Why.
    pub reason: Reason,
    /// Its size in bytes.
    pub size: u64,
}

impl Store {
    /// Where the history has a content, newest first.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn history(&self, content: ContentId) -> Result<Vec<Taken>, StoreError> {
        self.taken(
            "history.prefix = ?1 AND history.content = ?2 ORDER BY history.time_ms DESC, history.stored",
            params![prefix::of_content(content), content.0],
        )
    }

    /// The history of a replica, newest first, at most `limit` files.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn history_of(&self, replica: ReplicaId, limit: usize) -> Result<Vec<Taken>, StoreError> {
        self.taken(
            "replica.id = ?1 ORDER BY history.time_ms DESC, history.stored LIMIT ?2",
            params![replica.0 as i64, number(limit)],
        )
    }

    /// What is noted of a file in the history of a replica.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn taken_as(&self, replica: ReplicaId, stored: &str) -> Result<Option<Taken>, StoreError> {
        let found = self.taken("replica.id = ?1 AND history.stored = ?2", params![replica.0 as i64, stored])?;
        Ok(found.into_iter().next())
    }

    /// What was taken away from a path of a replica, newest first.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn history_at(&self, replica: ReplicaId, path: &str) -> Result<Vec<Taken>, StoreError> {
        self.taken(
            "replica.id = ?1 AND history.path = ?2 ORDER BY history.time_ms DESC, history.stored DESC",
            params![replica.0 as i64, path],
        )
    }

    /// What a tidying has seen in the history of a replica before a time, which is the history's own (see [`Tx::age_history`]); oldest first,
    /// at most `limit` files.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn history_before(&self, replica: ReplicaId, own_ms: u64, limit: usize) -> Result<Vec<Taken>, StoreError> {
        self.taken(
            "replica.id = ?1 AND history.since_ms < ?2 ORDER BY history.since_ms, history.time_ms, history.stored LIMIT ?3",
            params![replica.0 as i64, time(own_ms), number(limit)],
        )
    }

    /// Whether there is anything in any history.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn has_history(&self) -> Result<bool, StoreError> {
        self.sql(|c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM history)")?
                .query_row([], |row| row.get(0))
        })
    }

    fn taken(&self, which: &str, params: impl Params) -> Result<Vec<Taken>, StoreError> {
        let sql = format!(
            "SELECT replica.id, history.stored, history.content, history.path, history.time_ms, history.reason, history.size \
             FROM history JOIN replica ON replica.key = history.replica WHERE {which}"
        );
        let rows = self.sql(|c| {
            c.prepare_cached(&sql)?
                .query_map(params, taken)?
                .collect::<rusqlite::Result<Option<Vec<Taken>>>>()
        })?;
        rows.ok_or_else(|| self.damaged("a file of the history that is none".to_owned()))
    }
}

/// `None` if its reason is none of ours, or its stored name leads out of the history: what is named there is removed in time.
fn taken(row: &Row<'_>) -> rusqlite::Result<Option<Taken>> {
    let stored: String = row.get(1)?;
    let mut parts = Path::new(&stored).components();
    let inside = !stored.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)));
    let Some(reason) = Reason::of(row.get_ref(5)?.as_str()?).filter(|_| inside) else {
        return Ok(None);
    };
    Ok(Some(Taken {
        replica: ReplicaId(row.get::<_, i64>(0)? as u64),
        stored,
        content: ContentId(row.get(2)?),
        path: row.get(3)?,
        time_ms: row.get::<_, i64>(4)? as u64,
        reason,
        size: row.get::<_, i64>(6)? as u64,
    }))
}

impl Tx<'_> {
    /// Notes a file that lies in the history, or is about to; another note of the same stored name is replaced.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn add_history(&self, taken: &Taken) -> Result<(), StoreError> {
        let key = self.key(taken.replica)?;
        self.run(
            "INSERT OR REPLACE INTO history (replica, stored, prefix, content, path, time_ms, reason, size) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                key,
                taken.stored,
                prefix::of_content(taken.content),
                taken.content.0,
                taken.path,
                time(taken.time_ms),
                taken.reason.word(),
                taken.size as i64,
            ],
        )
        .map(drop)
    }

    /// The history is tidied: its own time goes on, and what is new there is of now. Returns that time, in milliseconds. It goes on by what
    /// the clock says that went by since the last tidying, but by a day at most, and never back: so nothing gets old because a clock was set.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn age_history(&self, wall_ms: u64) -> Result<u64, StoreError> {
        self.run(
            "UPDATE tidied SET own_ms = own_ms + max(0, min(?1 - coalesce(wall_ms, ?1), ?2)), wall_ms = ?1",
            params![time(wall_ms), DAY_MS],
        )?;
        self.run(
            "UPDATE history SET since_ms = (SELECT own_ms FROM tidied) WHERE since_ms IS NULL",
            [],
        )?;
        let own = self
            .index
            .query_row("SELECT own_ms FROM tidied", [], |row| row.get::<_, i64>(0));
        Ok(self.done(own)? as u64)
    }

    /// Gives the history of a replica to another, which has its root now.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn give_history(&self, from: ReplicaId, to: ReplicaId) -> Result<(), StoreError> {
        let (from, to) = (self.key(from)?, self.key(to)?);
        self.run(
            "UPDATE OR REPLACE history SET replica = ?2 WHERE replica = ?1",
            params![from, to],
        )
        .map(drop)
    }

    /// Forgets a file of the history; the file itself is removed first. Says whether it was there.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn remove_history(&self, replica: ReplicaId, stored: &str) -> Result<bool, StoreError> {
        let key = self.key(replica)?;
        let removed = self.run("DELETE FROM history WHERE replica = ?1 AND stored = ?2", params![key, stored])?;
        Ok(removed > 0)
    }
}

/// Times are compared as they are in SQLite, whose numbers are signed.
fn time(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
