//! How fast this machine keeps and loads an index, and what memory that takes:
//! `cargo run --release -p bifold-store --example speed -- [FILES]` (100,000 if not given).
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use bifold_store::{Folder, FolderId, Hosted, RootIdentity, Store, StoreError, Tokens};
use bifold_tree::{Bytes, ContentId, ExactNames, FileKey, Fingerprint, Kind, Listed, Policy, Replica, ReplicaId, Stat, Survey};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 7;

/// A replica that has seen so many files, a hundred in each directory.
fn scanned(id: u64, files: u64) -> Replica {
    let mut replica = new(id);
    let mut survey = Survey::new();
    let stat = |kind, key| Stat {
        kind,
        key: FileKey(key),
        print: Fingerprint {
            size: 12_345 + key,
            mtime_ns: 1_700_000_000_000_000_000 + key as i64 * 1_000_003,
            ctime_ns: 1_700_000_000_000_000_000 + key as i64 * 1_000_003,
        },
        exec: Some(false),
    };
    let dirs: Vec<Listed> = (0..files.div_ceil(100))
        .map(|d| (format!("directory {d:06}").into(), Some(stat(Kind::Dir, 1 << 40 | d))))
        .collect();
    survey.listed(&replica, "", &dirs);
    for (d, (name, _)) in (0..).zip(&dirs) {
        let listed: Vec<Listed> = (0..100)
            .map(|f| (format!("IMG_{f:08}.jpeg").into(), Some(stat(Kind::File, d * 100 + f))))
            .collect();
        survey.listed(&replica, name, &listed);
    }
    for (index, path, stat) in survey.unread(&replica) {
        // A hash of its path stands for that of its bytes.
        survey.read(index, Bytes::File(ContentId::of_link(&path)), stat);
    }
    replica.observe(survey, 1_700_000_000_000);
    replica
}

fn new(id: u64) -> Replica {
    Replica::new(ReplicaId(id), Arc::new(ExactNames), Policy::default())
}

fn make(path: &Path, ids: [u64; 2]) -> Result<Store, StoreError> {
    let mut store = Store::open(path)?;
    store.commit(|tx| {
        tx.put_folder(&Folder {
            id: FolderId(1),
            name: "Photos".into(),
        })?;
        ids.into_iter().try_for_each(|id| {
            tx.put_replica(&Hosted {
                id: ReplicaId(id),
                folder: FolderId(1),
                root: format!("/root/{id}").into(),
                identity: RootIdentity::default(),
                tokens: Tokens::default(),
                alive: true,
            })
        })
    })?;
    Ok(store)
}

/// The best of some rounds, in milliseconds.
fn best<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

/// What this program takes of the memory now, and took at most, in MB; where the system tells.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kb: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kb.map_or(f64::NAN, |kb| kb / 1024.0)
    };
    format!("{:.1} MB now, {:.1} MB at most", field("VmRSS:"), field("VmHWM:"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let files: u64 = arguments.next().as_deref().unwrap_or("100000").parse()?;
    let (left, right) = (0x9f3a_77c1_55aa_0101, 0xe07d_4b4b_1234_ffee);
    if let Some(path) = arguments.next() {
        // In a process of its own, for its memory.
        println!("    nothing loaded: {}", memory());
        let store = Store::open(Path::new(&path))?;
        let (mut one, mut other) = (new(left), new(right));
        let start = Instant::now();
        store.load(&mut one, &|_| None)?;
        println!("    one replica: {}, {:.0} ms", memory(), start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        store.load(&mut other, &|id| one.node(id).cloned())?;
        println!(
            "    two, sharing: {}, {:.0} ms",
            memory(),
            start.elapsed().as_secs_f64() * 1e3
        );
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    measure(files, left, right, home.path())
}

fn measure(files: u64, left: u64, right: u64, home: &Path) -> Result<(), Box<dyn Error>> {
    let path = home.join("index.db");
    let mut one = scanned(left, files);
    let mut other = new(right);
    for node in one.changed_since(0) {
        other.receive(&node, 1_700_000_000_000)?;
    }
    let changes = one.take_changes().ok_or("nothing was scanned")?;
    let (nodes, records) = (changes.nodes.len(), changes.records.len());

    let mut store = make(&path, [left, right])?;
    let start = Instant::now();
    store.commit(|tx| tx.apply(ReplicaId(left), &changes))?;
    println!(
        "first commit of {nodes} nodes and {records} records: {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    let mut copied = other.take_changes().ok_or("nothing was received")?;
    copied.records = changes.records.clone();
    store.commit(|tx| tx.apply(ReplicaId(right), &copied))?;
    let again = best(|| store.commit(|tx| tx.apply(ReplicaId(left), &changes)))?;
    println!("the same rows once more: {again:.0} ms");

    let mut few = changes.clone();
    few.nodes.truncate(1);
    few.records.truncate(1);
    let small = best(|| store.commit(|tx| tx.apply(ReplicaId(left), &few)))?;
    let durable = best(|| {
        store.commit(|tx| {
            tx.durable();
            tx.apply(ReplicaId(left), &few)
        })
    })?;
    println!(
        "one node and one record: {:.0} us, durable {:.0} us",
        small * 1e3,
        durable * 1e3
    );
    let first = changes.records.iter().find_map(|r| r.content).ok_or("no files")?;
    let found = best(|| store.find_content(ReplicaId(left), first).map(drop))?;
    println!("find_content: {:.0} us", found * 1e3);

    let load = best(|| store.load(&mut new(left), &|_| None).map(drop))?;
    println!("load: {load:.1} ms, {:.2} us a file", load * 1e3 / files as f64);
    let mut alone = new(left);
    store.load(&mut alone, &|_| None)?;
    let shared = best(|| store.load(&mut new(right), &|id| alone.node(id).cloned()).map(drop))?;
    println!("load, sharing: {shared:.1} ms");
    let nodes_again: Vec<_> = changes.nodes.clone();
    let bare = best(|| {
        new(left).load(
            changes.state.clone(),
            nodes_again.iter().cloned(),
            changes.records.iter().cloned(),
        )
    })?;
    println!("of that, the tree's own work: {bare:.1} ms");
    let check = best(|| store.check())?;
    println!("check: {check:.0} ms");
    drop(store);
    println!("file: {:.1} MB", std::fs::metadata(&path)?.len() as f64 / 1e6);
    let start = Instant::now();
    drop(Store::open_read_only(&path)?);
    println!("copy for a dry run: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("memory:");
    let status = std::process::Command::new(std::env::current_exe()?)
        .arg(files.to_string())
        .arg(&path)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("the second process failed".into())
    }
}
