//! A change of the index: one transaction.

use crate::error::StoreError;
use crate::open::Store;
use crate::sealed::Sealer;
use bifold_tree::{Changes, NodeId, ReplicaId, ReplicaState};
use rusqlite::{CachedStatement, Params, Transaction, TransactionBehavior, params};
use std::cell::{Cell, RefCell};
use std::path::Path;

/// After a commit of so many rows, cached pages are given back.
const LARGE: usize = 2000;

/// A change in the making. Nothing of it lasts unless [`Store::commit`] succeeds.
pub struct Tx<'a> {
    pub(crate) index: Transaction<'a>,
    path: &'a Path,
    sealer: RefCell<Sealer>,
    durable: Cell<bool>,
    large: Cell<bool>,
}

impl Store {
    /// Changes the index: all that `work` does, or, if it or the writing fails, nothing.
    ///
    /// A commit survives the program, however that ends. At a power cut the last commits may be undone, the newest
    /// first, none of them in part: the index is then older than the disk, and the next scan finds that out. So whatever a
    /// commit says is there must be on the disk *before* it: files are synced first. What must not be undone, because
    /// something is taken away that only the index tells of, asks for [`Tx::durable`].
    ///
    /// After an error the caller still has the [`Changes`] that it wanted to apply, and may try again, with these
    /// before any newer ones; to apply changes twice is to apply them once.
    ///
    /// # Errors
    /// What `work` returns, and any [`StoreError`]. If only the wait for the disk failed (see [`Tx::durable`]), the change is made,
    /// but not safe from a power cut.
    pub fn commit<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (result, durable, large) = self.transact(work)?;
        if durable {
            self.sync()?;
        }
        if large {
            self.shrink()?;
        }
        Ok(result)
    }

    /// One transaction; says also whether it is to be durable, and whether it was large.
    fn transact<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<(T, bool, bool), StoreError> {
        let Store { connection, path } = self;
        let index = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| StoreError::of(path, &error))?;
        let tx = Tx {
            index,
            path,
            sealer: RefCell::default(),
            durable: Cell::new(false),
            large: Cell::new(false),
        };
        let result = work(&tx)?;
        let (durable, large) = (tx.durable.get(), tx.large.get());
        tx.index.commit().map_err(|error| StoreError::of(path, &error))?;
        Ok((result, durable, large))
    }

    /// Waits until all commits are on the disk: by one more, which SQLite waits for, and with it for the log before it. (On macOS only a full sync
    /// takes them out of the disk's own memory.)
    fn sync(&mut self) -> Result<(), StoreError> {
        let counted = self.sql(|c| {
            c.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON")?;
            c.prepare_cached("UPDATE durable SET count = count + 1")?.execute([])
        });
        self.sql(|c| c.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA fullfsync = OFF"))?;
        counted.map(drop)
    }
}

impl Tx<'_> {
    /// Makes the commit return only when it is on the disk, safe from a power cut; so are then all that came before. Costs one
    /// flush of the disk.
    ///
    /// [`apply`](Tx::apply) asks for it by itself when a record is noted as leaving. Without it this could happen: the
    /// note is written, the file removed, the power fails, and the disk has kept the removal but not the note. The next
    /// scan would find a recorded file missing, take that for the user's deletion, and tell all devices to delete the
    /// file, even where it was taken away for another reason than that someone deleted it. One flush for all the removals of a
    /// batch is a low price.
    pub fn durable(&self) {
        self.durable.set(true);
    }

    /// Writes what changed in a replica. Durable if a record is noted as leaving.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`] if it was not put; any error of the file.
    pub fn apply(&self, replica: ReplicaId, changes: &Changes) -> Result<(), StoreError> {
        let key = self.put_state(replica, &changes.state)?;
        let Changes {
            nodes,
            dropped,
            records,
            removed,
            times,
            times_from,
            state: _,
        } = changes;
        let mut put_time = self.statement("INSERT OR IGNORE INTO time (replica, time) VALUES (?1, ?2)")?;
        for time in times {
            self.done(put_time.execute(params![key, *time as i64]))?;
        }
        if !times.is_empty() {
            self.run(
                "DELETE FROM time WHERE replica = ?1 AND time < ?2",
                params![key, *times_from as i64],
            )?;
        }
        let mut drop_node = self.statement("DELETE FROM node WHERE replica = ?1 AND id = ?2")?;
        for id in dropped {
            self.done(drop_node.execute(params![key, node_key(*id)]))?;
        }
        let mut put_node = self.statement(
            "INSERT INTO node (replica, id, sequence, body) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET sequence = excluded.sequence, body = excluded.body",
        )?;
        for (node, sequence) in nodes {
            self.sealed(node_place(replica, node.id, *sequence), node.as_ref(), |body| {
                put_node.execute(params![key, node_key(node.id), *sequence as i64, body])
            })?;
        }
        let mut drop_record = self.statement("DELETE FROM record WHERE replica = ?1 AND id = ?2")?;
        for id in removed {
            self.done(drop_record.execute(params![key, id.0]))?;
        }
        let mut put_record = self.statement(
            "INSERT INTO record (replica, id, prefix, body) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET prefix = excluded.prefix, body = excluded.body",
        )?;
        for record in records {
            if record.leaving {
                self.durable();
            }
            let prefix = record.content.map(crate::prefix::of_content);
            self.sealed(record_place(replica, record.id.0), record, |body| {
                put_record.execute(params![key, record.id.0, prefix, body])
            })?;
        }
        if nodes.len() + dropped.len() + records.len() + removed.len() >= LARGE {
            self.large.set(true);
        }
        Ok(())
    }

    /// Writes what a replica is besides its nodes and records. Returns its key.
    fn put_state(&self, replica: ReplicaId, state: &ReplicaState) -> Result<i64, StoreError> {
        let mut statement = self.statement("UPDATE replica SET state = ?2 WHERE id = ?1")?;
        self.sealed(state_place(replica), state, |sealed| {
            statement.execute(params![replica.0 as i64, sealed])
        })?;
        self.key(replica)
    }

    /// The number under which the tables know a replica.
    pub(crate) fn key(&self, replica: ReplicaId) -> Result<i64, StoreError> {
        key_of(&self.index, replica)
            .map_err(|error| StoreError::of(self.path, &error))?
            .ok_or(StoreError::NoReplica { replica })
    }

    /// Runs a statement.
    pub(crate) fn run(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.done(
            self.index
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(params)),
        )
    }

    pub(crate) fn statement(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        self.done(self.index.prepare_cached(sql))
    }

    pub(crate) fn done<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::of(self.path, &error))
    }

    fn sealed(
        &self,
        place: u64,
        value: &impl serde::Serialize,
        write: impl FnOnce(&[u8]) -> rusqlite::Result<usize>,
    ) -> Result<(), StoreError> {
        let mut sealer = self.sealer.borrow_mut();
        // Only a value that has no length beforehand cannot be encoded, and the tree has none.
        let sealed = sealer.seal(place, value).map_err(|error| StoreError::Io {
            path: self.path.to_owned(),
            detail: error.to_string(),
        })?;
        self.done(write(sealed)).map(drop)
    }
}

/// The number under which the tables know a replica; `None` if they do not.
pub(crate) fn key_of(index: &rusqlite::Connection, replica: ReplicaId) -> rusqlite::Result<Option<i64>> {
    use rusqlite::OptionalExtension;
    index
        .prepare_cached("SELECT key FROM replica WHERE id = ?1")?
        .query_row([replica.0 as i64], |row| row.get(0))
        .optional()
}

/// A node's key: 20 bytes that sort as node ids do.
pub(crate) fn node_key(id: NodeId) -> [u8; 20] {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&id.dot.time.to_be_bytes());
    key[8..16].copy_from_slice(&id.dot.replica.0.to_be_bytes());
    key[16..].copy_from_slice(&id.index.to_be_bytes());
    key
}

/// Where a state is, for its check.
pub(crate) fn state_place(replica: ReplicaId) -> u64 {
    place(replica, &[0])
}

/// Where a node's row is, for its check.
pub(crate) fn node_place(replica: ReplicaId, id: NodeId, sequence: u64) -> u64 {
    place(replica, &[1, id.dot.time, id.dot.replica.0, u64::from(id.index), sequence])
}

/// Where a record's row is, for its check.
pub(crate) fn record_place(replica: ReplicaId, id: u32) -> u64 {
    place(replica, &[2, u64::from(id)])
}

fn place(replica: ReplicaId, words: &[u64]) -> u64 {
    words.iter().fold(replica.0, |state, word| crate::sealed::mix(state, *word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replicas::{Folder, FolderId, Hosted, RootIdentity, Tokens};
    use bifold_tree::{ContentId, FileKey, Fingerprint, Kind, RecordId, StoredRecord};

    fn folder(id: u64) -> Folder {
        Folder {
            id: FolderId(id),
            name: "x".repeat(3000),
        }
    }

    #[test]
    fn a_full_disk_is_said_and_leaves_nothing_half() {
        let home = tempfile::tempdir().unwrap();
        let mut store = Store::open(&home.path().join("index.db")).unwrap();
        store
            .sql(|c| c.query_row("PRAGMA max_page_count = 40", [], |_| Ok(())))
            .unwrap();
        let full = store.commit(|tx| (0..100).try_for_each(|id| tx.put_folder(&folder(id))));
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        assert!(store.folders().unwrap().is_empty());
        store.commit(|tx| tx.put_folder(&folder(1))).unwrap();
        assert_eq!(store.folders().unwrap().len(), 1);
    }

    fn leaving() -> Changes {
        let record = StoredRecord {
            id: RecordId(2),
            parent: RecordId::ROOT,
            name: "a".into(),
            kind: Kind::File,
            exec: false,
            leaving: true,
            key: FileKey(1),
            print: Fingerprint::default(),
            content: Some(ContentId::empty()),
            target: None,
            members: Vec::new(),
        };
        Changes {
            records: vec![record],
            ..Changes::default()
        }
    }

    #[test]
    fn a_durable_commit_flushes_and_the_next_one_does_not() {
        let home = tempfile::tempdir().unwrap();
        let mut store = Store::open(&home.path().join("index.db")).unwrap();
        let replica = Hosted {
            id: ReplicaId(7),
            folder: FolderId(1),
            root: "/root".into(),
            identity: RootIdentity::default(),
            tokens: Tokens::default(),
            alive: true,
        };
        let count = |store: &Store| store.sql(|c| c.query_row("SELECT count FROM durable", [], |row| row.get::<_, i64>(0)));
        let level = |store: &Store| store.sql(|c| c.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)));
        store
            .commit(|tx| {
                tx.durable();
                tx.put_folder(&folder(1))
            })
            .unwrap();
        assert_eq!((count(&store).unwrap(), level(&store).unwrap()), (1, 1));
        store.commit(|tx| tx.put_replica(&replica)).unwrap();
        assert_eq!((count(&store).unwrap(), level(&store).unwrap()), (1, 1));
        store.commit(|tx| tx.apply(replica.id, &leaving())).unwrap();
        assert_eq!((count(&store).unwrap(), level(&store).unwrap()), (2, 1));
    }
}
