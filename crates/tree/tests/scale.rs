//! How long 100,000 files take, and how much memory. Ignored unless asked for, because it needs the release profile to say
//! anything: `cargo test --release -p bifold-tree --test scale -- --ignored --nocapture`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use bifold_tree::{
    Action, Bytes, ContentId, ExactNames, FileKey, Fingerprint, Kind, Listed, Names, Outcome, Policy, Replica, ReplicaId, Stat,
    Survey,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const FILES: u64 = 100_000;

/// Names are one if they differ in case only.
struct Folded;

impl Names for Folded {
    fn fold(&self, name: &str) -> String {
        name.to_lowercase()
    }
    fn fits(&self, name: &str) -> bool {
        name.len() <= 255
    }
    fn folds(&self) -> bool {
        true
    }
}

fn content(n: u64) -> Bytes {
    Bytes::File(ContentId(*blake3::hash(&n.to_le_bytes()).as_bytes()))
}

fn stat(kind: Kind, n: u64) -> Stat {
    let print = Fingerprint {
        size: n,
        mtime_ns: 1,
        ctime_ns: 1,
    };
    Stat {
        kind,
        key: FileKey(n + 10),
        print,
        exec: Some(n.is_multiple_of(50) && kind == Kind::File),
    }
}

/// The directories with their entries: all files in one, or ten in each of many, three levels deep.
fn tree(nested: bool) -> Vec<(String, Vec<Listed>)> {
    let file = |n: u64| (format!("document number {n}.txt").into(), Some(stat(Kind::File, n)));
    if !nested {
        return vec![(String::new(), (0..FILES).map(file).collect())];
    }
    let mut dirs: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    let dir = |n: u64, level: u64| -> Listed { (format!("folder {n}").into(), Some(stat(Kind::Dir, level * FILES + n))) };
    for n in 0..FILES {
        let (a, b, c) = (n / 10_000, n / 100 % 100, n / 10 % 10);
        let names = [format!("folder {a}"), format!("folder {b}"), format!("folder {c}")];
        let mut path = String::new();
        if n % 10 == 0 {
            for (level, i) in [a, b, c].into_iter().enumerate() {
                let list = dirs.entry(path.clone()).or_default();
                if !list.iter().any(|(name, _)| **name == *format!("folder {i}")) {
                    list.push(dir(i + n / [10_000, 100, 10][level] * 1000, level as u64 + 1)); // another object in each
                    let at = list.len() - 1;
                    list[at].0 = format!("folder {i}").into();
                }
                path = if level == 0 {
                    names[0].clone()
                } else {
                    format!("{path}/{}", names[level])
                };
            }
        }
        dirs.entry(names.join("/")).or_default().push(file(n));
    }
    let mut all: Vec<_> = dirs.into_iter().collect();
    all.sort_by_key(|(path, _)| (if path.is_empty() { 0 } else { path.matches('/').count() + 1 }, path.clone()));
    all
}

fn scan(replica: &mut Replica, dirs: &[(String, Vec<Listed>)]) -> (usize, usize) {
    let mut survey = Survey::new();
    for (dir, entries) in dirs {
        survey.listed(replica, dir, entries);
    }
    let unread = survey.unread(replica);
    let read = unread.len();
    for (i, _, stat) in unread {
        survey.read(i, content(stat.print.size), stat);
    }
    (read, replica.observe(survey, 1_700_000_000_000).operations)
}

/// The time that this thread was at work, where the system tells; so that it does not matter what else the machine does.
fn at_work() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|s| s.split(' ').next()?.parse().ok()).map(Duration::from_nanos);
    told.unwrap_or_else(|| START.get_or_init(Instant::now).elapsed())
}

fn since(start: Duration) -> f64 {
    (at_work() - start).as_secs_f64() * 1000.0
}

struct Clock(Duration, Vec<(String, f64)>);

impl Clock {
    fn lap(&mut self, what: &str) {
        let ms = since(self.0);
        println!("    {what}: {ms:.0} ms");
        self.1.push((what.to_owned(), ms));
        self.0 = at_work();
    }
}

fn apply(replica: &mut Replica, clock: &mut Clock, limit: usize) -> usize {
    let (mut steps, mut commits) = (0, 0);
    let (mut planning, mut applying) = (0.0, 0.0);
    loop {
        let start = at_work();
        let mut plan = replica.plan(&|_| true, limit);
        planning += since(start);
        let needed = plan.steps.iter().filter(|s| s.after_commit).count();
        assert!(needed <= 20, "{needed} commits in one plan");
        commits += needed;
        if plan.steps.is_empty() {
            break;
        }
        let start = at_work();
        for i in 0..plan.steps.len() {
            let done = match &plan.steps[i].action {
                Action::Make { wanted, .. } => {
                    let kind = if wanted.bytes == Bytes::Dir { Kind::Dir } else { Kind::File };
                    Some(stat(kind, wanted.size))
                }
                Action::Write { wanted, .. } => Some(stat(Kind::File, wanted.size)),
                Action::Rename { expected, .. } => Some(Stat {
                    kind: expected.kind,
                    key: expected.key,
                    print: expected.print,
                    exec: None,
                }),
                _ => None,
            };
            replica.applied(&mut plan, i, &Outcome::Done(done));
            steps += 1;
        }
        applying += since(start);
    }
    println!(
        "    plan ({limit} at a time): {planning:.0} ms, applied: {applying:.0} ms, {steps} steps, {commits} commits in between"
    );
    clock.1.push(("plan".into(), planning));
    clock.1.push(("applied".into(), applying));
    clock.0 = at_work();
    steps
}

fn measure(nested: bool, names: Arc<dyn Names>, limit: usize) {
    println!(
        "{} files, {}, folding {}",
        FILES,
        if nested { "nested" } else { "flat" },
        names.folds()
    );
    let dirs = tree(nested);
    let count = dirs.iter().map(|(_, entries)| entries.len()).sum::<usize>();
    let start = USED.load(Ordering::Relaxed);
    let memory = || (USED.load(Ordering::Relaxed) - start) as f64 / FILES as f64;
    let mut a = Replica::new(ReplicaId(1), names.clone(), Policy::Ask);
    let mut b = Replica::new(ReplicaId(2), names.clone(), Policy::Ask);
    for r in [&mut a, &mut b] {
        r.add_member(ReplicaId(1));
        r.add_member(ReplicaId(2));
    }
    let mut clock = Clock(at_work(), Vec::new());
    let (_, operations) = scan(&mut a, &dirs);
    assert!(operations >= 2 * count);
    clock.lap("first scan");
    drop(a.take_changes());
    clock.lap("its changes");
    println!("    {:.0} bytes a file in one replica", memory());
    assert_eq!(scan(&mut a, &dirs), (0, 0));
    clock.lap("second scan");
    for node in a.changed_since(0) {
        b.receive(&node, 1_700_000_000_000).unwrap();
    }
    assert!(b.is_stale());
    clock.lap("received");
    assert_eq!(apply(&mut b, &mut clock, limit), count);
    assert!(!b.is_stale());
    drop(b.take_changes());
    clock.lap("its changes");
    println!("    {:.0} bytes a file in two replicas", memory());
    assert!(a.conflicts().is_empty() && b.conflicts().is_empty());
    clock.lap("conflicts");
    let half = memory();

    // One file changes: nothing but that is to be looked at.
    let mut one = dirs.clone();
    let last = one.len() - 1;
    let (_, Some(stat)) = &mut one[last].1[0] else { panic!() };
    stat.print.mtime_ns = 2;
    stat.print.size += FILES;
    let mut survey = Survey::new();
    survey.listed(&a, &one[last].0, &one[last].1);
    clock.0 = at_work();
    for (i, _, stat) in survey.unread(&a) {
        survey.read(i, content(stat.print.size), stat);
    }
    assert_eq!(a.observe(survey, 1_700_000_000_000).operations, 1);
    clock.lap("one edit observed");
    let since = a.changed_since(a.sequence() - 1);
    assert!(since.len() == 1 && b.receive(&since[0], 1_700_000_000_000).unwrap());
    assert_eq!(apply(&mut b, &mut clock, limit), 1);
    clock.lap("one edit applied");

    // All is edited.
    for (_, entries) in &mut one {
        for (_, stat) in entries {
            let stat = stat.as_mut().unwrap();
            if stat.kind == Kind::File {
                stat.print.mtime_ns = 3;
                stat.print.size += 10 * FILES;
            }
        }
    }
    clock.0 = at_work();
    scan(&mut a, &one);
    clock.lap("all edited");
    for node in a.changed_since(a.sequence() - FILES) {
        b.receive(&node, 1_700_000_000_000).unwrap();
    }
    assert!(b.is_stale());
    clock.lap("received");
    assert_eq!(apply(&mut b, &mut clock, limit), FILES as usize);
    println!(
        "    {:.0} bytes a file in two replicas (after first sync {half:.0})",
        memory()
    );

    // All are renumbered; then each changes places with another; then a directory is moved.
    let mut renamed = one.clone();
    let mut files = 0;
    for by in [1, -1] {
        files = 0;
        for (_, entries) in &mut renamed {
            for (name, stat) in entries.iter_mut().filter(|(_, stat)| stat.unwrap().kind == Kind::File) {
                let n = (stat.unwrap().print.size % FILES) as i64;
                *name = format!("document number {}.txt", n + i64::from(by == 1)).into();
                files += 1;
            }
        }
        clock.0 = at_work();
        // Read as moves, not as edits: all stood aside in between.
        let aside: Vec<(String, Vec<Listed>)> = renamed
            .iter()
            .map(|(dir, entries)| {
                let named = |(name, stat): &Listed| {
                    let is_file = stat.unwrap().kind == Kind::File;
                    (
                        if is_file {
                            format!("aside {name}").into()
                        } else {
                            name.clone()
                        },
                        *stat,
                    )
                };
                (dir.clone(), entries.iter().map(named).collect())
            })
            .collect();
        assert_eq!(scan(&mut a, &aside), (0, files));
        clock.lap("all renamed aside");
        assert_eq!(scan(&mut a, &renamed), (0, files));
        clock.lap("all renamed back, by one");
        for node in a.changed_since(a.sequence() - 2 * FILES) {
            b.receive(&node, 1_700_000_000_000).unwrap();
        }
        clock.lap("received");
        assert!(apply(&mut b, &mut clock, limit) >= FILES as usize);
    }
    assert_eq!(files as u64, FILES);
    let swapped = |n: u64| if n.is_multiple_of(2) { n + 1 } else { n - 1 };
    for round in 0..2 {
        for (_, entries) in &mut renamed {
            for (name, stat) in entries.iter_mut().filter(|(_, stat)| stat.unwrap().kind == Kind::File) {
                let n = stat.unwrap().print.size % FILES;
                let aside = if round == 0 { "aside " } else { "" };
                *name = format!("{aside}document number {}.txt", swapped(n)).into();
            }
        }
        scan(&mut a, &renamed);
    }
    for node in a.changed_since(a.sequence() - 2 * FILES) {
        b.receive(&node, 1_700_000_000_000).unwrap();
    }
    println!("    all change places in twos:");
    let steps = apply(&mut b, &mut clock, limit);
    assert!((FILES as usize * 3 / 2..FILES as usize * 2 + 1).contains(&steps));

    // All goes.
    clock.0 = at_work();
    scan(&mut a, &[(String::new(), Vec::new())]);
    clock.lap("all deleted");
    for node in a.changed_since(a.sequence() - FILES.min(count as u64)) {
        b.receive(&node, 1_700_000_000_000).unwrap();
    }
    for node in a.changed_since(0) {
        b.receive(&node, 1_700_000_000_000).unwrap();
    }
    assert!(b.is_stale());
    clock.lap("received");
    assert_eq!(b.foreseen().0, FILES as usize);
    clock.lap("foreseen");
    assert_eq!(apply(&mut b, &mut clock, limit), count);
    for r in [&mut a, &mut b] {
        r.shows_all();
    }
    let (have, acks) = (a.have().clone(), a.acks().clone());
    b.received_all(&have, &acks);
    b.shows_all();
    let (have, acks) = (b.have().clone(), b.acks().clone());
    a.received_all(&have, &acks);
    clock.0 = at_work();
    assert_eq!(a.collect(), count);
    clock.lap("collected");
    let slow: Vec<_> = clock.1.iter().filter(|(_, ms)| *ms > 4000.0).collect();
    assert!(slow.is_empty(), "over 4 s: {slow:?}");
    assert!(half < 900.0, "{half} bytes a file in two replicas");
}

#[test]
#[ignore = "needs the release profile"]
fn a_hundred_thousand_files() {
    measure(false, Arc::new(ExactNames), usize::MAX);
    measure(true, Arc::new(ExactNames), usize::MAX);
    measure(true, Arc::new(Folded), 2000);
    measure(false, Arc::new(Folded), 2000);
}
