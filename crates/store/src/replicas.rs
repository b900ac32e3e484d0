//! Folders, and the replicas that this device has of them.

use crate::commit::Tx;
use crate::error::StoreError;
use crate::open::Store;
use crate::root_path;
use bifold_tree::ReplicaId;
use rusqlite::{OptionalExtension, Params, Row, params};
use std::path::{Path, PathBuf};

/// A folder's random id, equal on all devices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FolderId(pub u64);

/// What is shared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder {
    /// Its id.
    pub id: FolderId,
    /// Its name, for people.
    pub name: String,
}

/// Which directory a root is, as the system tells it: another disk in its place is another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RootIdentity {
    /// The device number.
    pub device: u64,
    /// The inode number, or the system's file index.
    pub inode: u64,
}

/// Random numbers that are written both here and to the marker in the root, anew for each session. If they differ, one of the
/// two was restored from a backup. While the marker is written, `pending` is what it is about to say: then either is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tokens {
    /// What the marker says.
    pub current: u64,
    /// What it is about to say.
    pub pending: Option<u64>,
    /// Which object it was when it was written, if that is known.
    pub object: Option<MarkerObject>,
}

/// What a disk tells of the file that is the marker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MarkerObject {
    /// Which object it is.
    pub key: u64,
    /// When anything of it was changed last, nanoseconds since 1970.
    pub changed_ns: i64,
}

impl Tokens {
    /// Whether a marker may say this.
    #[must_use]
    pub fn fit(&self, marker: u64) -> bool {
        marker == self.current || Some(marker) == self.pending
    }

    /// Whether a marker that fits was put back from a backup: it is another object, and was changed at another time. (Some disks give
    /// objects other numbers each time that they are mounted; and someone may have changed who may read it.)
    #[must_use]
    pub fn is_put_back(&self, marker: MarkerObject) -> bool {
        self.object
            .is_some_and(|noted| noted.key != marker.key && noted.changed_ns != marker.changed_ns)
    }
}

/// A replica that this device has: a folder, and where it lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hosted {
    /// Its id.
    pub id: ReplicaId,
    /// Of which folder.
    pub folder: FolderId,
    /// The absolute path of its root.
    pub root: PathBuf,
    /// Which directory that was when it was last seen.
    pub identity: RootIdentity,
    /// What its marker says.
    pub tokens: Tokens,
    /// Whether it still writes. One that does not (its index or its files were restored, and another has its root) is kept
    /// for its history.
    pub alive: bool,
}

const HOSTED: &str = "SELECT id, folder, root, root_device, root_inode, token, token_pending, alive, marker_key, marker_changed \
     FROM replica";

impl Store {
    /// Whether steps were being taken on a replica's disk when the program ended.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn carrying(&self, replica: ReplicaId) -> Result<bool, StoreError> {
        let found = self.sql(|c| {
            c.prepare_cached("SELECT carrying FROM replica WHERE id = ?1")?
                .query_row([replica.0 as i64], |row| row.get(0))
                .optional()
        })?;
        Ok(found.unwrap_or(false))
    }

    /// All folders, by rising id.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn folders(&self) -> Result<Vec<Folder>, StoreError> {
        let mut all: Vec<Folder> = self.sql(|c| {
            c.prepare_cached("SELECT id, name FROM folder")?
                .query_map([], |row| {
                    Ok(Folder {
                        id: FolderId(row.get::<_, i64>(0)? as u64),
                        name: row.get(1)?,
                    })
                })?
                .collect()
        })?;
        all.sort_unstable_by_key(|folder| folder.id);
        Ok(all)
    }

    /// A replica.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn replica(&self, id: ReplicaId) -> Result<Option<Hosted>, StoreError> {
        Ok(self.hosted("WHERE id = ?1", [id.0 as i64])?.pop())
    }

    /// The living replica of a root, by the very path that was put.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn replica_by_root(&self, root: &Path) -> Result<Option<Hosted>, StoreError> {
        Ok(self
            .hosted("WHERE root = ?1 AND alive = 1", [root_path::to_bytes(root)])?
            .pop())
    }

    /// The replicas of a folder, in the order in which they were put; dead ones too.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn replicas(&self, folder: FolderId) -> Result<Vec<Hosted>, StoreError> {
        self.hosted("WHERE folder = ?1 ORDER BY key", [folder.0 as i64])
    }

    /// All replicas, in the order in which they were put; dead ones too.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn all_replicas(&self) -> Result<Vec<Hosted>, StoreError> {
        self.hosted("ORDER BY key", [])
    }

    fn hosted(&self, which: &str, params: impl Params) -> Result<Vec<Hosted>, StoreError> {
        let sql = format!("{HOSTED} {which}");
        let rows = self.sql(|c| {
            c.prepare_cached(&sql)?
                .query_map(params, hosted)?
                .collect::<rusqlite::Result<Option<Vec<Hosted>>>>()
        })?;
        rows.ok_or_else(|| self.damaged("a root that is no path".to_owned()))
    }
}

/// `None` if its root is no path.
fn hosted(row: &Row<'_>) -> rusqlite::Result<Option<Hosted>> {
    let number = |column| row.get::<_, i64>(column).map(|n| n as u64);
    let Some(root) = root_path::from_bytes(row.get(2)?) else {
        return Ok(None);
    };
    Ok(Some(Hosted {
        id: ReplicaId(number(0)?),
        folder: FolderId(number(1)?),
        root,
        identity: RootIdentity {
            device: number(3)?,
            inode: number(4)?,
        },
        tokens: Tokens {
            current: number(5)?,
            pending: row.get::<_, Option<i64>>(6)?.map(|n| n as u64),
            object: match (row.get::<_, Option<i64>>(8)?, row.get(9)?) {
                (Some(key), Some(changed_ns)) => Some(MarkerObject {
                    key: key as u64,
                    changed_ns,
                }),
                _ => None,
            },
        },
        alive: row.get(7)?,
    }))
}

impl Tx<'_> {
    /// Puts a folder, or gives it another name.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn put_folder(&self, folder: &Folder) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO folder (id, name) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET name = excluded.name",
            params![folder.id.0 as i64, folder.name],
        )
        .map(drop)
    }

    /// Forgets a folder that has no replicas here any more. Says whether it did: one that has replicas, or is not known, is left as it is.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn forget_folder(&self, folder: FolderId) -> Result<bool, StoreError> {
        let forgotten = self.run(
            "DELETE FROM folder WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM replica WHERE folder = ?1)",
            [folder.0 as i64],
        )?;
        Ok(forgotten > 0)
    }

    /// Puts a replica, or changes all that [`Hosted`] says of it; what it has in the index stays.
    ///
    /// # Errors
    /// [`StoreError::RootTaken`] if another living replica has the root; any error of the file.
    pub fn put_replica(&self, hosted: &Hosted) -> Result<(), StoreError> {
        let root = root_path::to_bytes(&hosted.root);
        let by = self.done(
            self.index
                .prepare_cached("SELECT id FROM replica WHERE root = ?1 AND alive = 1 AND id <> ?2")
                .and_then(|mut query| {
                    query
                        .query_row(params![root, hosted.id.0 as i64], |row| row.get::<_, i64>(0))
                        .optional()
                }),
        )?;
        if let Some(by) = by.filter(|_| hosted.alive) {
            return Err(StoreError::RootTaken {
                root: hosted.root.clone(),
                by: ReplicaId(by as u64),
            });
        }
        self.run(
            "INSERT INTO replica (id, folder, root, root_text, root_device, root_inode, token, token_pending, alive, marker_key, \
                 marker_changed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             ON CONFLICT (id) DO UPDATE SET folder = excluded.folder, root = excluded.root, root_text = excluded.root_text, \
                 root_device = excluded.root_device, root_inode = excluded.root_inode, token = excluded.token, \
                 token_pending = excluded.token_pending, alive = excluded.alive, marker_key = excluded.marker_key, \
                 marker_changed = excluded.marker_changed",
            params![
                hosted.id.0 as i64,
                hosted.folder.0 as i64,
                root,
                hosted.root.to_string_lossy(),
                hosted.identity.device as i64,
                hosted.identity.inode as i64,
                hosted.tokens.current as i64,
                hosted.tokens.pending.map(|token| token as i64),
                hosted.alive,
                hosted.tokens.object.map(|object| object.key as i64),
                hosted.tokens.object.map(|object| object.changed_ns),
            ],
        )
        .map(drop)
    }

    /// Moves a replica to another folder.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn set_folder(&self, replica: ReplicaId, folder: FolderId) -> Result<(), StoreError> {
        let key = self.key(replica)?;
        self.run("UPDATE replica SET folder = ?2 WHERE key = ?1", params![key, folder.0 as i64])
            .map(drop)
    }

    /// Sets what a replica's marker says. To change the marker: commit the new token as pending, write the marker, sync it,
    /// commit it as the current one. Durable, as the marker is.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn set_tokens(&self, replica: ReplicaId, tokens: Tokens) -> Result<(), StoreError> {
        let key = self.key(replica)?;
        self.durable();
        self.run(
            "UPDATE replica SET token = ?2, token_pending = ?3, marker_key = ?4, marker_changed = ?5 WHERE key = ?1",
            params![
                key,
                tokens.current as i64,
                tokens.pending.map(|token| token as i64),
                tokens.object.map(|object| object.key as i64),
                tokens.object.map(|object| object.changed_ns),
            ],
        )
        .map(drop)
    }

    /// Notes whether steps are being taken on a replica's disk.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn set_carrying(&self, replica: ReplicaId, carrying: bool) -> Result<(), StoreError> {
        let key = self.key(replica)?;
        self.run("UPDATE replica SET carrying = ?2 WHERE key = ?1", params![key, carrying])
            .map(drop)
    }

    /// Notes that a replica writes no more.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn retire(&self, replica: ReplicaId) -> Result<(), StoreError> {
        let key = self.key(replica)?;
        for sql in [
            "DELETE FROM node WHERE replica = ?1",
            "DELETE FROM record WHERE replica = ?1",
            "UPDATE replica SET alive = 0, state = NULL WHERE key = ?1",
        ] {
            self.run(sql, [key])?;
        }
        Ok(())
    }

    /// Forgets a replica, its nodes, its records, and what is noted of its history. The files in its root stay.
    ///
    /// # Errors
    /// [`StoreError::NoReplica`]; any error of the file.
    pub fn forget_replica(&self, replica: ReplicaId) -> Result<(), StoreError> {
        let key = self.key(replica)?;
        for sql in [
            "DELETE FROM node WHERE replica = ?1",
            "DELETE FROM record WHERE replica = ?1",
            "DELETE FROM history WHERE replica = ?1",
            "DELETE FROM log WHERE replica = ?1",
            "DELETE FROM time WHERE replica = ?1",
            "DELETE FROM replica WHERE key = ?1",
        ] {
            self.run(sql, [key])?;
        }
        Ok(())
    }
}
