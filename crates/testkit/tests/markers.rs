//! What tells a root that it is the one that was synced, on a disk that fails.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_engine::carry::Carrier;
use bifold_engine::core::Commit;
use bifold_engine::open::{OpenOptions, open};
use bifold_engine::root::RootSpec;
use bifold_store::{RootIdentity, Store};
use bifold_testkit::disk::{SimFs, Traits};
use bifold_testkit::moments::Moments;
use bifold_tree::ReplicaId;
use std::path::Path;
use std::sync::Arc;

/// More calls than a run makes here.
const CALLS: u64 = 40;

/// A run that commits something. Says which replica the root was taken for, as far as it came.
fn run(index: &Path, fs: &SimFs, moments: &Moments, random: &mut u64) -> (Option<ReplicaId>, Result<(), String>) {
    let mut next = || {
        *random += 1;
        *random
    };
    let root = RootSpec {
        name: "root".into(),
        path: "/simulated/root".into(),
        identity: RootIdentity::default(),
        fs: Arc::new(fs.clone()),
        rejoin: false,
    };
    let mut store = Store::open(index).unwrap();
    let options = OpenOptions {
        dry: false,
        folder: None,
        ignore: &[],
        random: &mut next,
        new_replica: None,
    };
    let roots = match open(&mut store, vec![root], options) {
        Ok(roots) => roots,
        Err(e) => return (None, Err(e.to_string())),
    };
    let replica = roots[0].replica;
    let mut carrier = Carrier::new(store, roots, false);
    let committed = carrier.commit(replica, &Commit::default(), moments.wall_ms(), next());
    (Some(replica), committed.map_err(|e| e.to_string()))
}

#[test]
fn a_disk_that_fails_twice_does_not_look_put_back() {
    let mut failed = 0;
    for call in 0..CALLS {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        let moments = Arc::new(Moments::default());
        let fs = SimFs::new(Traits::default(), moments.clone());
        let mut random = 1000;
        let (synced, result) = run(&index, &fs, &moments, &mut random);
        result.unwrap();
        for _ in 0..2 {
            // No new marker can be written, and one thing cannot be read.
            fs.set_room(Some(1));
            fs.fail_in(Some(call));
            let (taken_for, result) = run(&index, &fs, &moments, &mut random);
            failed += u32::from(result.is_err());
            assert!(taken_for.is_none() || taken_for == synced, "{call}: it begins anew");
        }
        fs.heal();
        let (taken_for, result) = run(&index, &fs, &moments, &mut random);
        result.unwrap();
        assert_eq!(taken_for, synced, "{call}: it begins anew");
    }
    assert!(failed > 10, "{failed}");
}
