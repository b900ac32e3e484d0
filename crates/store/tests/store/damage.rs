//! Whatever the disk gives back instead of what was written: an error or the truth, never a panic and never something else.

use crate::sample::{Disk, content, host, hosted, keep, load, replica, whole};
use bifold_chunk::{Chunk, ChunkId, ChunkList, Manifest};
use bifold_store::{Reason, Store, StoreError, Taken};
use bifold_tree::ReplicaId;
use proptest::prelude::*;
use std::path::Path;

fn manifest() -> Manifest {
    let chunks = (0..50u8).map(|n| Chunk {
        id: ChunkId::of(&[n]),
        length: 32 << 10,
    });
    Manifest::new(ChunkList::new(chunks.collect()).unwrap())
}

/// An index with something in each table; returns the replica in it.
fn make(path: &Path) -> bifold_tree::Replica {
    let mut store = Store::open(path).unwrap();
    host(&mut store, 7);
    let mut first = replica(7);
    let mut disk = Disk::default();
    for n in 0..40 {
        disk.write(&format!("file {n}"), &format!("text {n}"));
    }
    disk.write("dir/", "").write("dir/link", "-> ../file 1");
    disk.scan(&mut first, 1000);
    keep(&mut store, &mut first);
    let taken = Taken {
        replica: ReplicaId(7),
        stored: "1-x".into(),
        content: content("x"),
        path: "x".into(),
        time_ms: 1,
        reason: Reason::Replaced,
        size: 1,
    };
    store
        .commit(|tx| {
            tx.put_manifest(&manifest())?;
            tx.add_history(&taken)
        })
        .unwrap();
    first
}

/// Uses every part of the index; returns the replica if it is there.
fn use_all(path: &Path) -> Result<Option<bifold_tree::Replica>, StoreError> {
    let mut store = Store::open(path)?;
    let loaded = load(&store, 7);
    let _ = store.check();
    let _ = store.folders();
    let _ = store.replicas(crate::sample::FOLDER);
    let _ = store.replica_by_root(&hosted(7).root);
    let _ = store.find_content(ReplicaId(7), content("text 1"));
    let _ = store.find_chunk(ChunkId::of(&[1]));
    let kept = store.manifest(manifest().root());
    assert!(kept.is_err() || kept.is_ok_and(|m| m.is_none_or(|m| m == manifest())));
    let _ = store.history_before(ReplicaId(7), u64::MAX, 10);
    let mut other = replica(7);
    Disk::default().write("other", "other").scan(&mut other, 9000);
    if let Some(changes) = other.take_changes() {
        let _ = store.commit(|tx| tx.apply(ReplicaId(7), &changes));
    }
    let _ = store.commit(|tx| {
        tx.add_history(&Taken {
            replica: ReplicaId(7),
            stored: "2-y".into(),
            content: content("y"),
            path: "y".into(),
            time_ms: 2,
            reason: Reason::Deleted,
            size: 1,
        })
    });
    let _ = store.prune(&|_| false);
    let _ = store.commit(|tx| tx.forget_replica(ReplicaId(7)));
    loaded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn corrupted_bytes_are_an_error_or_the_truth(
        writes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 1usize..64), 1..6),
        bits in any::<bool>(),
    ) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("index.db");
        let mut first = make(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte, length) in writes {
            let at = at.index(bytes.len());
            if bits {
                bytes[at] ^= 1 << (byte % 8);
            } else {
                let end = (at + length).min(bytes.len());
                bytes[at..end].fill(byte);
            }
        }
        std::fs::write(&path, bytes).unwrap();
        let used = use_all(&path);
        if let Err(error) = &used {
            prop_assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Future { .. }), "{error:?}");
        }
        if let Ok(Some(mut found)) = used {
            // Rows may be lost with a page, and then there is less; what is there is as it was written.
            let (truth, found) = (whole(&mut first), whole(&mut found));
            prop_assert_eq!(&found.2, &truth.2);
            prop_assert!(found.3.iter().all(|node| truth.3.contains(node)));
            prop_assert!(found.1.iter().all(|record| truth.1.contains(record)));
        }
        prop_assert!(Store::set_aside(&path).is_ok());
        prop_assert!(Store::open(&path).is_ok());
    }
}

#[test]
fn a_row_that_was_changed_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    for change in [
        "UPDATE node SET sequence = sequence + 1 WHERE sequence = 5",
        "UPDATE node SET body = zeroblob(10) WHERE sequence = 5",
        "UPDATE node SET id = x'00' WHERE sequence = 5",
        "UPDATE node SET body = (SELECT body FROM node WHERE sequence = 6) WHERE sequence = 5",
        "UPDATE record SET id = 1000 WHERE id = 5",
        "UPDATE record SET body = CAST(body || x'00' AS BLOB) WHERE id = 5",
        "DELETE FROM node WHERE sequence = 5",
        "UPDATE replica SET state = x''",
        "UPDATE replica SET id = 9",
        "DROP TABLE record",
    ] {
        make(&path);
        rusqlite::Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let store = Store::open(&path).unwrap();
        let id = if change.contains("id = 9") { 9 } else { 7 };
        assert!(matches!(load(&store, id), Err(StoreError::Damaged { .. })), "{change}");
        drop(store);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_history_never_leads_out_of_itself() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    for stored in ["../a", "/etc/a", "..", ""] {
        make(&path);
        let changed = rusqlite::Connection::open(&path)
            .unwrap()
            .execute("UPDATE history SET stored = ?1", [stored]);
        assert_eq!(changed.unwrap(), 1);
        let store = Store::open(&path).unwrap();
        assert!(
            matches!(store.history(content("x")), Err(StoreError::Damaged { .. })),
            "{stored}"
        );
        drop(store);
        std::fs::remove_file(&path).unwrap();
    }
}
