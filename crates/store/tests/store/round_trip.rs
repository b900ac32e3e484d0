//! What was committed comes back; what was not, does not.

use crate::sample::{Disk, content, host, keep, load, none, replica, whole};
use bifold_store::{Store, StoreError};
use bifold_tree::{NodeId, ReplicaId};
use proptest::prelude::*;
use std::sync::Arc;

fn filled() -> Disk {
    let mut disk = Disk::default();
    disk.write("a.txt", "one")
        .write("tool", "#! two")
        .write("dir/", "")
        .write("dir/ünï \n😀", "three")
        .write("dir/link", "-> ../a.txt")
        .write("dir/deep/", "")
        .write("dir/deep/same", "one")
        .write("empty", "");
    disk
}

#[test]
fn a_replica_comes_back_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    let mut first = replica(7);
    {
        let mut store = Store::open(&path).unwrap();
        host(&mut store, 7);
        assert!(load(&store, 7).unwrap().is_none());
        filled().scan(&mut first, 1000);
        keep(&mut store, &mut first);
    }
    {
        let mut store = Store::open(&path).unwrap();
        let mut second = load(&store, 7).unwrap().unwrap();
        assert_eq!(whole(&mut second), whole(&mut first));
        assert_eq!(second.take_changes(), None);
        // Edited, deleted, moved, and born again.
        let mut disk = filled();
        disk.write("a.txt", "changed")
            .remove("dir/link")
            .remove("empty")
            .write("new", "-> x");
        disk.scan(&mut second, 2000);
        keep(&mut store, &mut second);
        first = second;
    }
    let store = Store::open(&path).unwrap();
    let mut third = load(&store, 7).unwrap().unwrap();
    assert_eq!(whole(&mut third), whole(&mut first));
    assert_eq!(third.recorded_at("a.txt").unwrap().bytes.id(), content("changed"));
    assert!(third.recorded_at("dir/link").is_none());
    store.check().unwrap();
}

#[test]
fn what_was_dropped_is_gone() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut first = replica(7);
    let mut disk = filled();
    disk.scan(&mut first, 1000);
    keep(&mut store, &mut first);
    let nodes = first.node_count();
    disk.remove("a.txt").remove("tool").scan(&mut first, 2000);
    keep(&mut store, &mut first);
    assert_eq!(load(&store, 7).unwrap().unwrap().node_count(), nodes);
    first.shows_all();
    assert_eq!(first.collect(), 2);
    keep(&mut store, &mut first);
    let mut second = load(&store, 7).unwrap().unwrap();
    assert_eq!(second.node_count(), nodes - 2);
    assert_eq!(whole(&mut second), whole(&mut first));
}

#[test]
fn the_state_alone_is_kept() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut first = replica(7);
    first.add_member(ReplicaId(u64::MAX));
    keep(&mut store, &mut first);
    assert_eq!(load(&store, 7).unwrap().unwrap().state(), first.state());
}

#[test]
fn equal_nodes_of_two_replicas_are_shared() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    host(&mut store, 8);
    let (mut left, mut right) = (replica(7), replica(8));
    let mut disk = filled();
    disk.scan(&mut left, 1000);
    for node in left.changed_since(0) {
        right.receive(&node, 1000).unwrap();
    }
    keep(&mut store, &mut right);
    // Newer on the left alone.
    disk.write("tool", "#! newer").scan(&mut left, 2000);
    keep(&mut store, &mut left);

    let left = load(&store, 7).unwrap().unwrap();
    let mut loaded = replica(8);
    store.load(&mut loaded, &|id| left.node(id).cloned()).unwrap();
    assert_eq!(whole(&mut loaded), whole(&mut right));
    let shared = |id: NodeId| Arc::ptr_eq(left.node(id).unwrap(), loaded.node(id).unwrap());
    let ids: Vec<NodeId> = left.changed_since(0).iter().map(|node| node.id).collect();
    assert_eq!(ids.iter().filter(|id| shared(**id)).count(), ids.len() - 1);
}

#[test]
fn applying_twice_is_applying_once() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut first = replica(7);
    filled().scan(&mut first, 1000);
    let changes = first.take_changes().unwrap();
    store
        .commit(|tx| {
            tx.apply(first.id(), &changes)?;
            tx.apply(first.id(), &changes)
        })
        .unwrap();
    assert_eq!(whole(&mut load(&store, 7).unwrap().unwrap()), whole(&mut first));
}

#[test]
fn a_change_that_fails_leaves_nothing() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut first = replica(7);
    filled().scan(&mut first, 1000);
    let changes = first.take_changes().unwrap();
    let failed = store.commit(|tx| {
        tx.apply(first.id(), &changes)?;
        tx.apply(ReplicaId(99), &changes)
    });
    assert!(matches!(failed, Err(StoreError::NoReplica { replica: ReplicaId(99) })));
    assert!(load(&store, 7).unwrap().is_none());
    store.commit(|tx| tx.apply(first.id(), &changes)).unwrap();
    assert_eq!(whole(&mut load(&store, 7).unwrap().unwrap()), whole(&mut first));
}

#[test]
fn leaving_records_come_back() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut first = replica(7);
    filled().scan(&mut first, 1000);
    let mut changes = first.take_changes().unwrap();
    for record in &mut changes.records {
        record.leaving = true;
    }
    store.commit(|tx| tx.apply(first.id(), &changes)).unwrap();
    let mut second = replica(7);
    assert!(store.load(&mut second, &none).unwrap());
    assert_eq!(second.counts(), first.counts());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The power fails: of the log, only the beginning is on the disk. The index is what it was after some commit.
    #[test]
    fn a_power_cut_leaves_a_whole_commit(cut in 0.0f64..=1.0, garbage in any::<bool>()) {
        let home = tempfile::tempdir().unwrap();
        let (path, copy) = (home.path().join("index.db"), home.path().join("copy.db"));
        let mut store = Store::open(&path).unwrap();
        host(&mut store, 7);
        let mut first = replica(7);
        let mut disk = filled();
        let mut states = vec![None];
        for round in 0..6u64 {
            disk.write("a.txt", &format!("round {round}")).write(&format!("new {round}"), "new");
            disk.scan(&mut first, 1000 * (round + 1));
            keep(&mut store, &mut first);
            states.push(Some(whole(&mut first)));
        }
        let wal = std::fs::read(home.path().join("index.db-wal")).unwrap();
        let kept = (wal.len() as f64 * cut) as usize;
        let mut log = wal[..kept].to_vec();
        if garbage {
            log.resize(wal.len(), 0xa5);
        }
        std::fs::copy(&path, &copy).unwrap();
        std::fs::write(home.path().join("copy.db-wal"), log).unwrap();
        drop(store);
        let store = Store::open(&copy).unwrap();
        let found = load(&store, 7).unwrap().map(|mut replica| whole(&mut replica));
        prop_assert!(states.contains(&found));
        if cut == 1.0 {
            prop_assert_eq!(&found, states.last().unwrap());
        }
    }
}
