//! What lies in the history is found by its bytes, and stays for a month that went by, whatever the clocks say.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_disk::restore::{What, put};
use bifold_disk::scan::Scope;
use bifold_engine::carry::{Carrier, HISTORY_MS, run_scan, run_unread};
use bifold_engine::core::{Commit, Core, Settings};
use bifold_engine::open::{OpenOptions, open};
use bifold_engine::root::RootSpec;
use bifold_store::{Reason, RootIdentity, Store, Taken};
use bifold_testkit::disk::{SimFs, Traits};
use bifold_tree::{ContentId, ReplicaId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const DAY: u64 = 24 * 3600 * 1000;
/// (Later than all that is done on the simulated disk.)
const NOW: u64 = 21_000 * DAY;

/// A root that something was committed for.
fn begun() -> (SimFs, Carrier, ReplicaId) {
    let fs = SimFs::new(Traits::default(), Arc::default());
    let root = RootSpec {
        name: "root".into(),
        path: "/simulated/root".into(),
        identity: RootIdentity::default(),
        fs: Arc::new(fs.clone()),
        rejoin: false,
    };
    let mut number = 0;
    let mut random = || {
        number += 1;
        number
    };
    let options = OpenOptions {
        dry: false,
        folder: None,
        ignore: &[],
        random: &mut random,
        new_replica: None,
    };
    let mut store = Store::in_memory().unwrap();
    let roots = open(&mut store, vec![root], options).unwrap();
    let replica = roots[0].replica;
    let mut carrier = Carrier::new(store, roots, false);
    carrier.commit(replica, &Commit::default(), NOW, 7).unwrap();
    (fs, carrier, replica)
}

fn content(bytes: &[u8]) -> ContentId {
    bifold_chunk::hash_bytes(bytes).unwrap().content
}

fn taken(replica: ReplicaId, stored: &str, content: ContentId, time_ms: u64) -> Taken {
    Taken {
        replica,
        stored: stored.into(),
        content,
        path: "dir/doc".into(),
        time_ms,
        reason: Reason::Deleted,
        size: 3,
    }
}

/// Tidies at that time, and reads what is to be read.
fn tidy(carrier: &mut Carrier, wall_ms: u64) {
    carrier.tidy(&BTreeSet::new(), wall_ms).unwrap();
    let mut core = Core::new(Settings::default());
    let mut read = Vec::new();
    let unread = carrier.unread(wall_ms).unwrap();
    run_unread(unread, &AtomicBool::new(false), &mut |taken, print| read.push((taken, print)));
    for (taken, print) in read {
        carrier.note_read(&mut core, &taken, print).unwrap();
    }
}

#[test]
fn what_was_not_noted_is_found_by_its_bytes() {
    let (fs, mut carrier, _) = begun();
    fs.write(".bifold/history/1a-0-doc", b"old");
    fs.write("dir", b"ancient");
    let away = put(&fs, "dir", &What::Bytes(b"new"), NOW).unwrap().unwrap();
    tidy(&mut carrier, NOW);
    for (bytes, stored, name) in [(&b"old"[..], "1a-0-doc", "doc"), (b"ancient", &away.stored, "dir")] {
        let found = carrier.store().history(content(bytes)).unwrap();
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(
            (&*found[0].stored, &*found[0].path, found[0].size),
            (stored, name, bytes.len() as u64)
        );
        assert_eq!(
            carrier
                .seek(BTreeSet::from([content(bytes)]))
                .into_values()
                .collect::<Vec<_>>(),
            [true]
        );
    }
    assert!(carrier.unread(NOW).unwrap().is_empty());
}

#[test]
fn what_was_noted_without_its_bytes_is_read_before_it_is_taken_away() {
    let (fs, mut carrier, replica) = begun();
    fs.write(".bifold/history/1a-0-doc", b"old");
    let mut core = Core::new(Settings::default());
    for stored in ["1a-0-doc", "1a-1-gone"] {
        carrier
            .note(&mut core, &taken(replica, stored, ContentId::default(), 5))
            .unwrap();
    }
    fs.set_unreadable(".bifold/history/1a-0-doc", true);
    for day in 0..40 {
        tidy(&mut carrier, NOW + day * DAY);
    }
    assert_eq!(fs.bytes(".bifold/history/1a-0-doc").as_deref(), Some(&b"old"[..]));
    assert_eq!(
        carrier.store().history_of(replica, 9).unwrap().len(),
        1,
        "nothing is kept of what is gone"
    );
    fs.heal();
    tidy(&mut carrier, NOW + 40 * DAY);
    let found = carrier.store().history(content(b"old")).unwrap();
    assert_eq!(found, [taken(replica, "1a-0-doc", content(b"old"), 5)]);
    // A side of an open conflict stays, now that it is known for one.
    for day in 41..80 {
        let sides = BTreeSet::from([content(b"old")]);
        carrier.tidy(&sides, NOW + day * DAY).unwrap();
    }
    assert!(fs.bytes(".bifold/history/1a-0-doc").is_some());
    tidy(&mut carrier, NOW + 80 * DAY);
    assert_eq!(fs.bytes(".bifold/history/1a-0-doc"), None);
}

#[test]
fn a_clock_that_is_set_takes_nothing_away() {
    let (fs, mut carrier, replica) = begun();
    let mut core = Core::new(Settings::default());
    // One that was noted as the clock said 1970.
    for (stored, time_ms) in [("1a-0-a", 0), ("1a-1-b", NOW)] {
        fs.write(&format!(".bifold/history/{stored}"), b"old");
        let taken = taken(replica, stored, content(b"old"), time_ms);
        carrier.note(&mut core, &taken).unwrap();
    }
    let kept = |fs: &SimFs| fs.history().len();
    for wall_ms in [0, NOW, NOW + 365 * DAY, NOW, 0, NOW] {
        tidy(&mut carrier, wall_ms);
        assert_eq!(kept(&fs), 2, "{wall_ms}");
    }
    let days = HISTORY_MS / DAY;
    for day in 0..days - 4 {
        tidy(&mut carrier, NOW + day * DAY);
        assert_eq!(kept(&fs), 2, "{day}");
    }
    for day in days - 4..=days + 1 {
        tidy(&mut carrier, NOW + day * DAY);
    }
    assert_eq!(kept(&fs), 0);
}

/// Someone who had a file open goes on writing to it after it was taken away.
#[test]
fn what_may_have_been_written_to_is_read_before_it_is_taken_away() {
    let (fs, mut carrier, replica) = begun();
    let mut core = Core::new(Settings::default());
    carrier
        .load()
        .unwrap()
        .into_iter()
        .for_each(|input| drop(core.step(input, NOW)));
    for (stored, bytes) in [("1a-0-quiet", b"old"), ("1a-1-same", b"old"), ("1a-2-doc", b"new")] {
        let path = format!(".bifold/history/{stored}");
        fs.write(&path, bytes);
        carrier
            .note(&mut core, &taken(replica, stored, content(b"old"), NOW))
            .unwrap();
        if stored != "1a-0-quiet" {
            fs.touch(&path, i64::try_from(NOW + DAY).unwrap() * 1_000_000);
        }
    }
    let read = |carrier: &mut Carrier, core: &mut Core, day: u64| {
        carrier.tidy(&BTreeSet::new(), NOW + day * DAY).unwrap();
        let (mut read, mut written) = (Vec::new(), Vec::new());
        let unread = carrier.unread(NOW).unwrap();
        run_unread(unread, &AtomicBool::new(false), &mut |taken, print| read.push((taken, print)));
        for (taken, print) in &read {
            if carrier.note_read(core, taken, *print).unwrap() {
                written.push(taken.stored.clone());
            }
        }
        (read.len(), written)
    };
    assert_eq!(read(&mut carrier, &mut core, 0), (2, vec!["1a-2-doc".to_owned()]));
    // What was read and is the same is not read again. The other one is not taken away.
    for day in 1..80 {
        assert_eq!(read(&mut carrier, &mut core, day).1, ["1a-2-doc"]);
    }
    assert_eq!(fs.history().len(), 1);
    let root = carrier.root(replica).unwrap().clone();
    run_scan(&root, &Scope::All, &AtomicBool::new(false), &mut drop);
    assert!(fs.history().is_empty());
    assert_eq!(fs.bytes(".bifold/tmp/1-doc").as_deref(), Some(&b"new"[..]));
}
