//! Opening an index, and what may be in the way.

use crate::sample::{Disk, host, keep, load, replica};
use bifold_store::{Store, StoreError};
use bifold_tree::ReplicaId;
use rusqlite::Connection;
use std::path::Path;

/// An index with a replica of one file.
fn make(path: &Path) {
    let mut store = Store::open(path).unwrap();
    host(&mut store, 7);
    let mut replica = replica(7);
    Disk::default().write("a", "one").scan(&mut replica, 1000);
    keep(&mut store, &mut replica);
}

#[test]
fn a_second_opener_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    let first = Store::open(&path).unwrap();
    for second in [Store::open(&path), Store::open_read_only(&path)] {
        let error = second.unwrap_err();
        assert!(matches!(&error, StoreError::Locked { path: p } if *p == path), "{error:?}");
        assert!(error.to_string().contains("another Bifold"));
    }
    assert!(matches!(Store::set_aside(&path), Err(StoreError::Locked { .. })));
    drop(first);
    Store::open(&path).unwrap();
}

#[test]
fn a_killed_program_leaves_no_lock_and_no_loss() {
    let home = tempfile::tempdir().unwrap();
    let (path, copy) = (home.path().join("index.db"), home.path().join("copy.db"));
    make(&path);
    let mut store = Store::open(&path).unwrap();
    host(&mut store, 8);
    // Killed here: what is on the disk stays as it is.
    for end in ["", "-wal"] {
        std::fs::copy(
            home.path().join(format!("index.db{end}")),
            home.path().join(format!("copy.db{end}")),
        )
        .unwrap();
    }
    drop(store);
    let store = Store::open(&copy).unwrap();
    assert_eq!(store.all_replicas().unwrap().len(), 2);
    assert!(load(&store, 7).unwrap().is_some());
}

#[test]
fn a_newer_programs_index_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    make(&path);
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    for opened in [Store::open(&path), Store::open_read_only(&path)] {
        let error = opened.unwrap_err();
        assert!(matches!(error, StoreError::Future { found: 99, known: 6, .. }), "{error:?}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn an_older_programs_index_is_brought_to_todays_form() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    make(&path);
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DROP TABLE time; DROP TABLE tidied; DROP INDEX history_since; ALTER TABLE history DROP COLUMN since_ms;
             ALTER TABLE replica DROP COLUMN carrying; ALTER TABLE replica DROP COLUMN marker_key;
             ALTER TABLE replica DROP COLUMN marker_changed; PRAGMA user_version = 2",
        )
        .unwrap();
    let mut store = Store::open(&path).unwrap();
    assert!(load(&store, 7).unwrap().is_some());
    assert!(!store.carrying(ReplicaId(7)).unwrap());
    store.commit(|tx| tx.set_carrying(ReplicaId(7), true)).unwrap();
    assert!(store.carrying(ReplicaId(7)).unwrap());
    assert_eq!(store.commit(|tx| tx.age_history(5)).unwrap(), 0);
}

#[test]
fn another_programs_database_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (a)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn garbage_is_put_aside_and_never_thrown_away() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    for number in 1..=2 {
        std::fs::write(&path, vec![0x5a; 20_000]).unwrap();
        assert!(matches!(Store::open_read_only(&path), Err(StoreError::Damaged { .. })));
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("deletes nothing"));
        let aside = Store::set_aside(&path).unwrap();
        assert_eq!(aside, home.path().join(format!("index.db.damaged-{number}")));
        assert_eq!(std::fs::read(&aside).unwrap(), vec![0x5a; 20_000]);
        make(&path);
    }
    assert!(load(&Store::open(&path).unwrap(), 7).unwrap().is_some());
}

#[test]
fn a_truncated_index_is_damaged_or_new_but_never_half() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    make(&path);
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(1021) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let loaded = Store::open(&path).and_then(|store| load(&store, 7));
        match loaded {
            Ok(None) => assert_eq!(length, 0),
            Ok(Some(_)) => panic!("{length} of {} bytes are not the whole", whole.len()),
            Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}"),
        }
        let _ = std::fs::remove_file(home.path().join("index.db-wal"));
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    assert!(Store::open_read_only(&path).unwrap().all_replicas().unwrap().is_empty());
    assert!(!path.exists());

    make(&path);
    let before = std::fs::read(&path).unwrap();
    {
        let mut store = Store::open_read_only(&path).unwrap();
        let mut replica = load(&store, 7).unwrap().unwrap();
        Disk::default().write("a", "one").write("b", "two").scan(&mut replica, 2000);
        keep(&mut store, &mut replica);
        assert!(load(&store, 7).unwrap().unwrap().recorded_at("b").is_some());
        // The file itself is free: the copy was made when it was opened.
        Store::open(&path).unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let names: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["index.db"]);
}

#[test]
fn a_dry_run_sees_what_a_killed_program_left_in_the_log() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.db");
    let mut store = Store::open(&path).unwrap();
    host(&mut store, 7);
    for end in ["", "-wal"] {
        std::fs::copy(
            home.path().join(format!("index.db{end}")),
            home.path().join(format!("copy.db{end}")),
        )
        .unwrap();
    }
    let copy = home.path().join("copy.db");
    let log = std::fs::read(home.path().join("copy.db-wal")).unwrap();
    assert_eq!(Store::open_read_only(&copy).unwrap().all_replicas().unwrap().len(), 1);
    assert_eq!(std::fs::read(home.path().join("copy.db-wal")).unwrap(), log);
}

#[test]
fn a_missing_directory_is_said() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("missing/index.db");
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("missing"));
}

#[test]
fn a_store_may_move_between_threads() {
    fn sendable<T: Send>(_: &T) {}
    sendable(&Store::in_memory().unwrap());
}
