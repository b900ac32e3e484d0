//! `bifold sync LEFT RIGHT`.

use crate::args::{Prefer, ResolveSide, Sync};
use crate::face::Face;
use crate::fatal::Fatal;
use crate::home::{self, Home};
use crate::{report, roots};
use bifold_disk::native::NativeFs;
use bifold_disk::scan::Scope;
use bifold_disk::watch::{WatchError, Watched, Watcher};
use bifold_engine::carry::Carrier;
use bifold_engine::core::{self, Core, Decide, Input, Settings, Side};
use bifold_engine::open::{OpenOptions, open};
use bifold_engine::root::Root;
use bifold_engine::run::{Loop, POLL, RunOptions, random};
use bifold_store::Store;
use bifold_tree::ReplicaId;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long threads are waited for at the end.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Runs the command; returns its exit code.
pub fn run(sync: &Sync) -> Result<ExitCode, Fatal> {
    let place = home::place(sync)?;
    let paths = roots::check(sync, &place)?;
    let home = Home::open(&place, sync)?;
    let (store, open_roots) = begin(sync, &home, &paths)?;
    let ids: Vec<ReplicaId> = open_roots.iter().map(|root| root.replica).collect();
    let core = Core::new(settings(sync, &ids));
    let mut first = vec![Input::Connect(ids[0], ids[1])];
    first.extend(sync.verify.then_some(Input::Verify));
    first.extend(sync.resolve.iter().map(|r| {
        let side = match r.side {
            ResolveSide::Left => Side::Replica(ids[0]),
            ResolveSide::Right => Side::Replica(ids[1]),
            ResolveSide::Both => Side::Both,
            ResolveSide::Delete => Side::Deleted,
        };
        Input::Decide(Decide {
            path: r.path.clone(),
            side,
        })
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(format!("the program cannot be started: {e}")))?;
    let carrier = Carrier::new(store, open_roots, sync.dry_run);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let mut options = RunOptions {
        forever: sync.watch,
        dry: sync.dry_run,
        threads,
        unwatched: Vec::new(),
    };
    let mut face = Face::new(sync, &ids);
    let unwatched = if sync.watch { unwatchable(&paths) } else { Vec::new() };
    for (i, why) in &unwatched {
        face.notice(&format!(
            "{}: {why}; it is looked at every {} s",
            paths[*i].display(),
            POLL.as_secs()
        ));
        options.unwatched.push(ids[*i]);
    }
    // What watches may wait for room to tell something: the engine has to be gone before it is waited for.
    let mut watchers = Vec::new();
    let mut engine = Loop::new(core, carrier, options);
    if sync.watch {
        for i in (0..2).filter(|i| !unwatched.iter().any(|(u, _)| u == i)) {
            match watch(&paths[i], ids[i], &engine)? {
                Ok(watcher) => watchers.push(watcher),
                // It is looked at from time to time instead; the status says so, and how to raise the limit.
                Err(limit) => first.push(Input::Unwatched(ids[i], limit.to_string())),
            }
        }
        face.notice("watching; stop with Ctrl-C");
    }
    let status = runtime.block_on(async {
        engine.scan_ahead();
        let mut inputs = engine.carrier().load()?;
        inputs.append(&mut first);
        engine.run(inputs, stop_signal(), &mut |event| face.event(event)).await
    })?;
    drop(engine);
    drop(watchers);
    face.end(&status);
    // Nothing is at work any more, unless it was told to stop in the middle of something: that is not waited for for long. (A thread
    // that is still there when the program ends takes the exit code with it now and then, as seen under Wine.)
    runtime.shutdown_timeout(LAST_WAIT);
    Ok(ExitCode::from(if report::in_sync(&status) { 0 } else { 1 }))
}

/// Opens the index and the roots; if one of them is refused, the others are as they were.
fn begin(sync: &Sync, home: &Home, paths: &[PathBuf; 2]) -> Result<(Store, Vec<Root>), Fatal> {
    let mut store = home.index(sync).inspect_err(|_| home.leave(None))?;
    let options = OpenOptions {
        dry: sync.dry_run,
        ignore: &sync.ignore,
        random: &mut random,
    };
    let opened = roots::specs(sync, paths).and_then(|specs| Ok(open(&mut store, specs, options)?));
    match opened {
        Ok(roots) => Ok((store, roots)),
        Err(fatal) => {
            home.leave(Some(store));
            Err(fatal)
        }
    }
}

fn settings(sync: &Sync, ids: &[ReplicaId]) -> Settings {
    let prefer = match sync.prefer {
        Prefer::Ask => core::Prefer::Ask,
        Prefer::Newest => core::Prefer::Newest,
        Prefer::Left => core::Prefer::Replica(ids[0]),
        Prefer::Right => core::Prefer::Replica(ids[1]),
        Prefer::Both => core::Prefer::Both,
    };
    let plan_size = if sync.dry_run {
        usize::MAX
    } else {
        Settings::default().plan_size
    };
    Settings {
        prefer,
        allow_mass_change: sync.allow_mass_change,
        plan_size,
        ..Settings::default()
    }
}

/// The roots that tell nothing of their changes.
fn unwatchable(paths: &[PathBuf; 2]) -> Vec<(usize, String)> {
    let blind = |(_, path): &(usize, &PathBuf)| !bifold_disk::watch::has_events(path);
    paths
        .iter()
        .enumerate()
        .filter(blind)
        .map(|(i, _)| (i, "this kind of disk does not tell of all changes".to_owned()))
        .collect()
}

/// Watches a root; not if the system's limit is reached.
fn watch(path: &Path, id: ReplicaId, engine: &Loop) -> Result<Result<Watcher, WatchError>, Fatal> {
    let door = engine.door();
    let rules = NativeFs::open_read_only(path).map_err(|e| Fatal::new(e.to_string()))?.rules();
    let tell = move |watched| {
        let input = match watched {
            Watched::Dirty(paths) if paths.iter().any(String::is_empty) => Input::Dirty(id, Scope::All),
            Watched::Dirty(paths) => Input::Dirty(id, Scope::Paths(paths)),
            Watched::Rescan { why } => Input::Rescan(id, why),
            Watched::Limited(error) => Input::Unwatched(id, error.to_string()),
        };
        let _ = door.put(input);
    };
    match Watcher::start(path, rules, tell) {
        Ok(watcher) => Ok(Ok(watcher)),
        Err(limit @ WatchError::Exhausted { .. }) => Ok(Err(limit)),
        Err(e) => Err(Fatal::new(format!("{} cannot be watched: {e}", path.display()))),
    }
}

/// Resolves when someone wants the program to stop. Whoever says it twice does not want to wait.
async fn stop_signal() {
    let Some(mut signals) = Signals::new() else {
        return std::future::pending().await;
    };
    signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        // What was done is noted as after a power cut: nothing is lost by it.
        std::process::exit(1);
    });
}

/// What asks a program to end.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> Option<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(|kind| signal(kind).ok());
        Some(Signals([terminate?, interrupt?, hangup?]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// What asks a program to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Option<Signals> {
        Some(Signals)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
