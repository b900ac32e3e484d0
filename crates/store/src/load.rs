//! How a replica comes back from the index: row by row, so that there is never a second copy of it in memory.

use crate::commit::{key_of, node_key, node_place, record_place, state_place};
use crate::error::StoreError;
use crate::open::Store;
use crate::sealed;
use bifold_tree::{Dot, Node, NodeId, Replica, ReplicaId, ReplicaState, StoredRecord};
use rusqlite::{Row, Rows};
use std::cell::RefCell;
use std::sync::Arc;

/// Row by row what a query gives, until the first row that is damaged; that is then in `trouble`.
struct Items<'a, F> {
    rows: Rows<'a>,
    decode: F,
    store: &'a Store,
    trouble: &'a RefCell<Option<StoreError>>,
}

impl<T, F: FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>> Iterator for Items<'_, F> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let row = self.rows.next();
        let item = row.and_then(|row| row.map(&mut self.decode).transpose());
        let trouble = match item {
            Ok(None) => return None,
            Ok(Some(Some(item))) => return Some(item),
            Ok(Some(None)) => self.store.damaged("a row that is not as it was written".to_owned()),
            Err(error) => StoreError::of(&self.store.path, &error),
        };
        self.trouble.replace(Some(trouble));
        None
    }
}

impl Store {
    /// Puts what is kept of `replica.id()` into `replica`, which is new. Returns false, and does nothing, if nothing of it was
    /// ever committed.
    ///
    /// Two replicas of a folder mostly have equal nodes. `others` says which node another replica of this program has, if
    /// any; where it is equal, both share it, and it is not even decoded. Without another, pass `&|_| None`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is kept is no replica, and any error of the file. The replica is then of no use.
    pub fn load(&self, replica: &mut Replica, others: &dyn Fn(NodeId) -> Option<Arc<Node>>) -> Result<bool, StoreError> {
        let id = replica.id();
        let Some((key, state)) = self.state(id)? else {
            return Ok(false);
        };
        let trouble = RefCell::new(None);
        let loaded = {
            let mut nodes = self.sql(|c| c.prepare_cached("SELECT id, sequence, body FROM node WHERE replica = ?1"))?;
            let mut records = self.sql(|c| c.prepare_cached("SELECT id, body FROM record WHERE replica = ?1"))?;
            let mut scratch = Vec::new();
            let nodes = Items {
                rows: self.sql(|_| nodes.query([key]))?,
                decode: |row: &Row<'_>| node(row, id, others, &mut scratch),
                store: self,
                trouble: &trouble,
            };
            let records = Items {
                rows: self.sql(|_| records.query([key]))?,
                decode: |row: &Row<'_>| record(row, id),
                store: self,
                trouble: &trouble,
            };
            replica.load(state, nodes, records)
        };
        let times: Vec<i64> = self.sql(|c| {
            c.prepare_cached("SELECT time FROM time WHERE replica = ?1")?
                .query_map([key], |row| row.get(0))?
                .collect()
        })?;
        replica.load_times(times.into_iter().map(|time| time as u64));
        self.shrink()?;
        match (trouble.into_inner(), loaded) {
            (Some(trouble), _) => Err(trouble),
            (None, Err(malformed)) => Err(self.damaged(malformed.to_string())),
            (None, Ok(())) => Ok(true),
        }
    }

    fn state(&self, replica: ReplicaId) -> Result<Option<(i64, ReplicaState)>, StoreError> {
        let Some(key) = self.sql(|c| key_of(c, replica))? else {
            return Ok(None);
        };
        let state: Option<Vec<u8>> = self.sql(|c| {
            c.prepare_cached("SELECT state FROM replica WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
        })?;
        let Some(sealed) = state else { return Ok(None) };
        match sealed::open(state_place(replica), &sealed) {
            Some(state) => Ok(Some((key, state))),
            None => Err(self.damaged(format!("the state of replica {replica} is not as it was written"))),
        }
    }
}

fn node(
    row: &Row<'_>,
    replica: ReplicaId,
    others: &dyn Fn(NodeId) -> Option<Arc<Node>>,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<Option<(Arc<Node>, u64)>> {
    let Some(id) = row.get_ref(0)?.as_blob()?.try_into().ok().map(node_id) else {
        return Ok(None);
    };
    let sequence = row.get::<_, i64>(1)? as u64;
    let sealed = row.get_ref(2)?.as_blob()?;
    let place = node_place(replica, id, sequence);
    if let Some(other) = others(id) {
        scratch.clear();
        let encoded = postcard::to_extend(other.as_ref(), std::mem::take(scratch));
        if let Ok(encoded) = encoded {
            *scratch = encoded;
            if sealed::holds(place, sealed, scratch) {
                return Ok(Some((other, sequence)));
            }
        }
    }
    let node = sealed::open::<Node>(place, sealed).filter(|node| node.id == id);
    Ok(node.map(|node| (Arc::new(node), sequence)))
}

pub(crate) fn record(row: &Row<'_>, replica: ReplicaId) -> rusqlite::Result<Option<StoredRecord>> {
    let Ok(id) = row.get::<_, i64>(0)?.try_into() else {
        return Ok(None);
    };
    let record = sealed::open::<StoredRecord>(record_place(replica, id), row.get_ref(1)?.as_blob()?);
    Ok(record.filter(|record| record.id.0 == id))
}

/// The inverse of [`node_key`].
fn node_id(key: &[u8; 20]) -> NodeId {
    let word = |at: usize| key[at..at + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let id = NodeId {
        dot: Dot {
            time: word(0),
            replica: ReplicaId(word(8)),
        },
        index: (word(12) & 0xffff_ffff) as u32,
    };
    debug_assert_eq!(node_key(id), *key);
    id
}
