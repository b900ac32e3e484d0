//! Folders, replicas and history.

use crate::sample::{Disk, FOLDER, content, host, hosted, keep, load, replica};
use bifold_store::{Folder, FolderId, MarkerObject, Reason, Store, StoreError, Taken, Tokens};
use bifold_tree::ReplicaId;

#[test]
fn replicas_are_found_by_id_root_and_folder() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    host(&mut store, u64::MAX);
    assert_eq!(store.replica(ReplicaId(7)).unwrap(), Some(hosted(7)));
    assert_eq!(store.replica(ReplicaId(8)).unwrap(), None);
    assert_eq!(store.replica_by_root(&hosted(u64::MAX).root).unwrap(), Some(hosted(u64::MAX)));
    assert_eq!(store.replicas(FOLDER).unwrap(), [hosted(7), hosted(u64::MAX)]);
    assert_eq!(store.replicas(FolderId(1)).unwrap(), []);
    assert_eq!(store.folders().unwrap().len(), 1);
}

#[test]
fn that_steps_are_being_taken_is_kept() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    assert!(!store.carrying(ReplicaId(7)).unwrap() && !store.carrying(ReplicaId(8)).unwrap());
    store.commit(|tx| tx.set_carrying(ReplicaId(7), true)).unwrap();
    // (Where it lies may be noted anew, as at each start.)
    store.commit(|tx| tx.put_replica(&hosted(7))).unwrap();
    assert!(store.carrying(ReplicaId(7)).unwrap());
    store.commit(|tx| tx.set_carrying(ReplicaId(7), false)).unwrap();
    assert!(!store.carrying(ReplicaId(7)).unwrap());
    let unknown = store.commit(|tx| tx.set_carrying(ReplicaId(8), true)).unwrap_err();
    assert!(matches!(unknown, StoreError::NoReplica { .. }), "{unknown:?}");
}

#[cfg(unix)]
#[test]
fn a_root_need_not_be_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let mut store = Store::in_memory().unwrap();
    let mut odd = hosted(7);
    odd.root = std::ffi::OsStr::from_bytes(b"/home/\xff\n").into();
    store.commit(|tx| tx.put_replica(&odd)).unwrap();
    assert_eq!(store.replica_by_root(&odd.root).unwrap(), Some(odd));
}

#[test]
fn one_root_has_one_living_replica() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut other = hosted(8);
    other.root = hosted(7).root;
    let error = store.commit(|tx| tx.put_replica(&other)).unwrap_err();
    assert!(matches!(error, StoreError::RootTaken { by: ReplicaId(7), .. }), "{error:?}");
    store
        .commit(|tx| {
            tx.retire(ReplicaId(7))?;
            tx.put_replica(&other)
        })
        .unwrap();
    assert_eq!(store.replica_by_root(&other.root).unwrap(), Some(other));
    assert!(!store.replica(ReplicaId(7)).unwrap().unwrap().alive);
}

#[test]
fn a_replica_changes_without_losing_what_it_has() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut first = replica(7);
    Disk::default().write("a", "one").scan(&mut first, 1000);
    keep(&mut store, &mut first);
    let mut moved = hosted(7);
    moved.root = "/elsewhere".into();
    store.commit(|tx| tx.put_replica(&moved)).unwrap();
    let tokens = Tokens {
        current: 5,
        pending: Some(u64::MAX),
        object: Some(MarkerObject {
            key: u64::MAX,
            changed_ns: -1,
        }),
    };
    let folder = Folder {
        id: FolderId(1),
        name: "Other".into(),
    };
    store
        .commit(|tx| {
            tx.put_folder(&folder)?;
            tx.set_tokens(ReplicaId(7), tokens)?;
            tx.set_folder(ReplicaId(7), folder.id)?;
            assert!(tx.forget_folder(FOLDER)?);
            assert!(!tx.forget_folder(folder.id)?);
            Ok(())
        })
        .unwrap();
    let found = store.replica(ReplicaId(7)).unwrap().unwrap();
    assert_eq!((found.tokens, found.folder, &found.root), (tokens, folder.id, &moved.root));
    assert!(tokens.fit(5) && tokens.fit(u64::MAX) && !tokens.fit(6));
    assert_eq!(store.folders().unwrap(), [folder]);
    assert!(load(&store, 7).unwrap().is_some());
}

#[test]
fn a_forgotten_replica_leaves_nothing() {
    let mut store = Store::in_memory().unwrap();
    for id in [7, 8] {
        host(&mut store, id);
        let mut first = replica(id);
        Disk::default().write("a", "one").scan(&mut first, 1000);
        keep(&mut store, &mut first);
        store.commit(|tx| tx.add_history(&taken(id, "x", 5))).unwrap();
    }
    store.commit(|tx| tx.forget_replica(ReplicaId(7))).unwrap();
    assert!(load(&store, 7).unwrap().is_none());
    assert!(load(&store, 8).unwrap().is_some());
    assert_eq!(store.history(content("x")).unwrap(), [taken(8, "x", 5)]);
    assert_eq!(store.find_content_anywhere(content("one")).unwrap().len(), 1);
    // Put again, it is empty.
    host(&mut store, 7);
    assert!(load(&store, 7).unwrap().is_none());
}

fn taken(replica: u64, text: &str, time_ms: u64) -> Taken {
    Taken {
        replica: ReplicaId(replica),
        stored: format!("{time_ms}-{text}"),
        content: content(text),
        path: format!("dir/{text}"),
        time_ms,
        reason: if time_ms.is_multiple_of(2) {
            Reason::Replaced
        } else {
            Reason::Deleted
        },
        size: u64::MAX >> 1,
    }
}

#[test]
fn the_history_is_found_by_content_time_and_replica() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    host(&mut store, 8);
    let all = [taken(7, "x", 1), taken(7, "y", 2), taken(8, "x", 3)];
    store.commit(|tx| all.iter().try_for_each(|t| tx.add_history(t))).unwrap();
    let [one, two, three] = all;
    assert_eq!(store.history(content("x")).unwrap(), [three.clone(), one.clone()]);
    assert_eq!(
        store.history_before(ReplicaId(7), u64::MAX, 9).unwrap(),
        [],
        "nobody has tidied yet"
    );
    store.commit(|tx| tx.age_history(1000)).unwrap();
    assert_eq!(store.history_before(ReplicaId(7), 0, 9).unwrap(), []);
    assert_eq!(store.history_before(ReplicaId(7), 1, 9).unwrap(), [one.clone(), two.clone()]);
    assert_eq!(
        store.history_before(ReplicaId(7), u64::MAX, 1).unwrap(),
        std::slice::from_ref(&one)
    );
    assert_eq!(store.history_before(ReplicaId(9), u64::MAX, 9).unwrap(), []);
    assert!(store.has_history().unwrap());
    assert_eq!(store.history_of(ReplicaId(7), usize::MAX).unwrap(), [two, one.clone()]);
    let removed = store.commit(|tx| {
        Ok((
            tx.remove_history(one.replica, &one.stored)?,
            tx.remove_history(one.replica, "none")?,
        ))
    });
    assert_eq!(removed.unwrap(), (true, false));
    assert_eq!(store.history(content("x")).unwrap(), [three]);
}

#[test]
fn nothing_in_the_history_gets_old_because_a_clock_was_set() {
    const DAY: u64 = 24 * 3600 * 1000;
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let mut tidy = |wall_ms| store.commit(|tx| tx.age_history(wall_ms)).unwrap();
    let start = 20_000 * DAY;
    assert_eq!(tidy(start), 0);
    assert_eq!(tidy(start + 5), 5);
    // A month ahead, and back again.
    assert_eq!(tidy(start + 31 * DAY), 5 + DAY);
    assert_eq!(tidy(start + 10), 5 + DAY);
    assert_eq!(tidy(start + 12), 7 + DAY);
    // As after a start without a clock.
    assert_eq!(tidy(0), 7 + DAY);
    assert_eq!(tidy(u64::MAX), 7 + 2 * DAY);
    // What was noted since is of now, whatever was the time that people are shown.
    store.commit(|tx| tx.add_history(&taken(7, "x", 1))).unwrap();
    let now = store.commit(|tx| tx.age_history(start)).unwrap();
    assert_eq!(now, 7 + 2 * DAY);
    assert_eq!(store.history_before(ReplicaId(7), now, 9).unwrap(), []);
    assert_eq!(store.history_before(ReplicaId(7), now + 1, 9).unwrap(), [taken(7, "x", 1)]);
    store.commit(|tx| tx.age_history(start + 1)).unwrap();
    assert_eq!(store.history_before(ReplicaId(7), now, 9).unwrap(), []);
}
