//! `bifold sync LEFT RIGHT`.

use crate::args::{Prefer, ResolveSide, Sync};
use crate::face::Face;
use crate::fatal::Fatal;
use crate::home::{self, Home};
use crate::signals::stop_signal;
use crate::{report, roots};
use bifold_engine::carry::Carrier;
use bifold_engine::core::{self, Core, Decide, Input, Settings, Side};
use bifold_engine::open::{OpenOptions, open};
use bifold_engine::root::Root;
use bifold_engine::run::{Loop, RunOptions, random};
use bifold_engine::watching::{self, Watching};
use bifold_store::Store;
use bifold_tree::ReplicaId;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long threads are waited for at the end.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Runs the command; returns its exit code.
pub fn run(sync: &Sync) -> Result<ExitCode, Fatal> {
    let place = home::place(sync.home.as_ref())?;
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
            kind: None,
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
    for (path, id) in paths.iter().zip(&ids).filter(|_| sync.watch) {
        if let Some(why) = watching::unwatchable(path) {
            face.notice(&format!("{}: {why}", path.display()));
            options.unwatched.push(*id);
        }
    }
    let unwatched = options.unwatched.clone();
    // What watches may wait for room to tell something: the engine has to be gone before it is waited for.
    let mut watchers = Vec::new();
    let mut engine = Loop::new(core, carrier, options);
    if sync.watch {
        for (path, id) in paths.iter().zip(&ids).filter(|(_, id)| !unwatched.contains(id)) {
            match watching::watch(path, *id, engine.door()).map_err(|e| Fatal::new(e.to_string()))? {
                Watching::By(watcher) => watchers.push(watcher),
                // The status says so, and how to raise the limit.
                Watching::Limited(limit) => first.push(Input::Unwatched(*id, limit)),
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
        folder: None,
        new_replica: None,
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
