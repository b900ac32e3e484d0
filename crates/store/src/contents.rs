//! Where bytes lie: which record has a content, of which chunks a content is, in which content a chunk lies.

use crate::commit::Tx;
use crate::error::StoreError;
use crate::load::record;
use crate::open::Store;
use crate::prefix;
use bifold_chunk::{ChunkId, Manifest};
use bifold_tree::{ContentId, RecordId, ReplicaId};
use rusqlite::{Connection, OptionalExtension, params};

/// The most places that [`Store::find_chunk`] gives: if none of so many is right, a peer is asked.
const MAX_PLACES: usize = 16;

/// Where a chunk may lie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// In this content.
    pub content: ContentId,
    /// From this byte on.
    pub start: u64,
}

impl Store {
    /// The records of a replica that say that their file has this content.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn find_content(&self, replica: ReplicaId, content: ContentId) -> Result<Vec<RecordId>, StoreError> {
        let all = self.find_content_anywhere(content)?;
        Ok(all.into_iter().filter(|(r, _)| *r == replica).map(|(_, id)| id).collect())
    }

    /// The records of all replicas that say that their file has this content.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn find_content_anywhere(&self, content: ContentId) -> Result<Vec<(ReplicaId, RecordId)>, StoreError> {
        let rows = self.sql(|c| {
            let mut query = c.prepare_cached(
                "SELECT record.id, record.body, replica.id FROM record JOIN replica ON replica.key = record.replica \
                 WHERE record.prefix = ?1 AND replica.alive = 1",
            )?;
            query
                .query_map([prefix::of_content(content)], |row| {
                    let replica = ReplicaId(row.get::<_, i64>(2)? as u64);
                    Ok((replica, record(row, replica)?))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let mut found = Vec::new();
        for (replica, record) in rows {
            let record = record.ok_or_else(|| self.damaged("a record that is not as it was written".to_owned()))?;
            if record.content == Some(content) {
                found.push((replica, record.id));
            }
        }
        Ok(found)
    }

    /// Contents that a file or the history of a replica here has, and in which this chunk may lie: at most 16, those learnt
    /// last first. They are found by a part of the chunk's name, and the files may have changed: whoever reads
    /// the bytes compares their hash.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn find_chunk(&self, chunk: ChunkId) -> Result<Vec<Place>, StoreError> {
        let key = prefix::of_chunk(chunk);
        // A content of one chunk is named as the chunk.
        let sole = Place {
            content: ContentId(chunk.0),
            start: 0,
        };
        self.sql(|c| {
            let held = c
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM record WHERE prefix = ?1) \
                         OR EXISTS (SELECT 1 FROM history WHERE prefix = ?1 AND content = ?2)",
                )?
                .query_row(params![key, sole.content.0], |row| row.get::<_, bool>(0))?;
            let mut places: Vec<Place> = held.then_some(sole).into_iter().collect();
            let mut query = c.prepare_cached(
                "SELECT manifest.id, chunk.start FROM chunk JOIN manifest ON manifest.key = chunk.manifest \
                 WHERE chunk.prefix = ?1 \
                   AND (EXISTS (SELECT 1 FROM record WHERE record.prefix = manifest.prefix) \
                     OR EXISTS (SELECT 1 FROM history WHERE history.prefix = manifest.prefix)) \
                 ORDER BY chunk.manifest DESC LIMIT ?2",
            )?;
            let rows = query.query_map(params![key, (MAX_PLACES - places.len()) as i64], |row| {
                Ok(Place {
                    content: ContentId(row.get(0)?),
                    start: row.get::<_, i64>(1)? as u64,
                })
            })?;
            for place in rows {
                places.push(place?);
            }
            Ok(places)
        })
    }

    /// The manifest of a content of several chunks, if it is here. It is proven by the content's id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is kept is not the manifest of this content; any error of the file.
    pub fn manifest(&self, content: ContentId) -> Result<Option<Manifest>, StoreError> {
        let found = self.sql(|c| {
            c.prepare_cached("SELECT chunks, size FROM manifest WHERE prefix = ?1 AND id = ?2")?
                .query_row(params![prefix::of_content(content), content.0], |row| {
                    Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)? as u64))
                })
                .optional()
        })?;
        let Some((chunks, size)) = found else { return Ok(None) };
        match Manifest::decode(&chunks, content, size) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => Err(self.damaged(format!("the manifest of {}: {error}", content.hex()))),
        }
    }

    /// Forgets the manifests of contents that no record and no history here has, unless `keep` says that someone still
    /// wants it (a file that is being fetched). Returns how many. Whoever needs one again hashes the file or asks a peer.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn prune(&mut self, keep: &dyn Fn(ContentId) -> bool) -> Result<usize, StoreError> {
        let unused = self.sql(|c| {
            c.prepare(
                "SELECT id FROM manifest \
                 WHERE NOT EXISTS (SELECT 1 FROM record WHERE record.prefix = manifest.prefix) \
                   AND NOT EXISTS (SELECT 1 FROM history WHERE history.prefix = manifest.prefix)",
            )?
            .query_map([], |row| row.get(0).map(ContentId))?
            .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let unused: Vec<ContentId> = unused.into_iter().filter(|content| !keep(*content)).collect();
        // One by one: a manifest may have megabytes.
        for content in &unused {
            let manifest = self.manifest(*content)?;
            self.commit(|tx| tx.drop_manifest(*content, manifest.as_ref()))?;
        }
        Ok(unused.len())
    }
}

impl Tx<'_> {
    /// Keeps a manifest, and where the chunks in it lie. One that is there is left as it is.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let content = manifest.root();
        if self.done(manifest_key(&self.index, content))?.is_some() {
            return Ok(());
        }
        self.run(
            "INSERT INTO manifest (prefix, id, size, chunks) VALUES (?1, ?2, ?3, ?4)",
            params![
                prefix::of_content(content),
                content.0,
                manifest.size() as i64,
                manifest.encode()
            ],
        )?;
        let key = self.index.last_insert_rowid();
        // A chunk that comes again in a content (zeros) is found where it comes first.
        let mut put = self.statement("INSERT OR IGNORE INTO chunk (prefix, manifest, start) VALUES (?1, ?2, ?3)")?;
        for (start, chunk) in manifest.list().with_offsets() {
            self.done(put.execute(params![prefix::of_chunk(chunk.id), key, start as i64]))?;
        }
        Ok(())
    }

    fn drop_manifest(&self, content: ContentId, manifest: Option<&Manifest>) -> Result<(), StoreError> {
        let Some(key) = self.done(manifest_key(&self.index, content))? else {
            return Ok(());
        };
        for chunk in manifest.into_iter().flat_map(|m| m.list().chunks()) {
            self.run(
                "DELETE FROM chunk WHERE prefix = ?1 AND manifest = ?2",
                params![prefix::of_chunk(chunk.id), key],
            )?;
        }
        self.run("DELETE FROM manifest WHERE key = ?1", [key]).map(drop)
    }
}

fn manifest_key(index: &Connection, content: ContentId) -> rusqlite::Result<Option<i64>> {
    index
        .prepare_cached("SELECT key FROM manifest WHERE prefix = ?1 AND id = ?2")?
        .query_row(params![prefix::of_content(content), content.0], |row| row.get(0))
        .optional()
}
