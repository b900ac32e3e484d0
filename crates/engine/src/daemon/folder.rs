//! A folder that runs: its loop, in a thread of its own.

use crate::carry::{Carrier, why_another};
use crate::core::{Core, Halted, Input, Settings};
use crate::daemon::face::{Trouble, TroubleKind};
use crate::open::{OpenError, OpenOptions, open, why_not_the_root};
use crate::root::{Root, RootSpec, identity};
use crate::run::{Door, Event, Loop, Others, RunOptions, random};
use crate::watching::{self, Watching};
use bifold_disk::far::Far;
use bifold_disk::fs::FsError;
use bifold_disk::native::NativeFs;
use bifold_disk::root::{Found, look};
use bifold_protocol::Message;
use bifold_store::{FolderId, RootIdentity, Store, StoreError};
use bifold_tree::ReplicaId;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// How long threads are waited for at the end.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// A disk that was never taken in waits so long for another device, that what both have gets one node.
const AWAITED_MS: u64 = 10_000;
/// What may wait for a loop before those who tell have to: inputs, and nodes and numbers in them.
const MOST_WAITING: usize = 50_000;
/// How long they wait then, before the device that says so much is left.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a root is tried to be opened that is in use.
const LET_GO: Duration = Duration::from_secs(4);
/// Between two looks whether a root is another.
const LOOK_TWICE: Duration = Duration::from_millis(100);
/// How soon it is looked again whether what was said is heard.
const HEARD_SOON: Duration = Duration::from_millis(20);
/// Most threads that read and stage.
const THREADS: usize = 4;

/// What is to run.
pub(crate) struct FolderSpec {
    pub(crate) folder: u64,
    pub(crate) index: PathBuf,
    /// This device's own root first, then shares.
    pub(crate) roots: Vec<PathBuf>,
    /// What people call them.
    pub(crate) names: Vec<String>,
    pub(crate) rejoin: bool,
    /// So are these shares.
    pub(crate) rejoin_shares: Vec<PathBuf>,
    /// There are other devices: a disk that was never taken in waits a little for one of them.
    pub(crate) awaited: bool,
    /// Ids of new replicas.
    pub(crate) new_replica: Box<dyn FnMut() -> u64 + Send>,
}

/// A folder that runs.
pub(crate) struct Running {
    pub(crate) door: Door,
    /// The way in for what other devices say.
    pub(crate) pump: Pump,
    /// This device's own replica first, then those on shares.
    pub(crate) replicas: Vec<ReplicaId>,
    /// Where they are.
    pub(crate) paths: Vec<PathBuf>,
    /// Shares that are not there.
    pub(crate) missing: Vec<Missing>,
    roots: Vec<Weak<Root>>,
    /// A look whether the roots are what they were is under way: one whose disk is stuck takes long.
    looking: Arc<AtomicBool>,
    /// Other devices, to ask for bytes.
    pub(crate) far: Arc<dyn Far>,
    /// When it was started.
    pub(crate) since: std::time::Instant,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Whether its thread has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }

    /// A look at its roots, if none is under way.
    pub(crate) fn looking(&self) -> Option<Looking> {
        let begun = !self.looking.swap(true, Ordering::Relaxed);
        begun.then(|| Looking {
            roots: self.roots.clone(),
            missing: self.missing.clone(),
            under_way: self.looking.clone(),
            door: self.door.clone(),
        })
    }

    /// Stops it, and waits until all is written. Takes a while: for a thread that may wait.
    pub(crate) fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A share that is known and is not there, or not what it was: the folder runs without it.
#[derive(Clone)]
pub(crate) struct Missing {
    pub(crate) path: PathBuf,
    /// What it shows when it is there.
    pub(crate) replica: ReplicaId,
    pub(crate) halted: Halted,
    /// What was there instead.
    identity: RootIdentity,
}

impl Missing {
    /// Whether something else is there than was: what that is, is found out when it is opened.
    fn is_back(&self) -> bool {
        if identity(&self.path) != self.identity {
            return true;
        }
        let marker = NativeFs::open_read_only(&self.path).map(|fs| look(&fs));
        matches!(marker, Ok(Ok(Found::Marker(marker))) if marker.replica == self.replica.to_string())
    }
}

/// A look whether a folder's roots are what they were. What watches them does not tell when another disk is mounted over them.
pub(crate) struct Looking {
    roots: Vec<Weak<Root>>,
    missing: Vec<Missing>,
    under_way: Arc<AtomicBool>,
    door: Door,
}

impl Looking {
    /// Looks, and halts what is not what it was. Whether the folder is to be opened anew: what was gone is there again, or another directory
    /// is in its place. For a thread that may wait.
    pub(crate) fn look(self, halted: bool) -> bool {
        let (mut all_well, mut replaced) = (true, false);
        for root in self.roots.iter().filter_map(Weak::upgrade) {
            // (Looked at twice: a marker that is just being replaced may be missed once.)
            let why = why_another(&root).and_then(|_| {
                std::thread::sleep(LOOK_TWICE);
                why_another(&root)
            });
            if let Some(why) = why {
                all_well = false;
                replaced |= root.path.is_dir() && matches!(root.fs.stat(""), Ok(None));
                let _ = self.door.put(Input::Halt(root.replica, why));
            }
        }
        (halted && (all_well || replaced)) || (all_well && self.missing.iter().any(Missing::is_back))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.under_way.store(false, Ordering::Relaxed);
    }
}

/// Passes on to a folder's loop what other devices say, so that one whose disk is stuck does not hold up the others.
#[derive(Clone)]
pub(crate) struct Pump {
    send: mpsc::UnboundedSender<Input>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// How much there is: inputs, and the nodes and numbers in them.
    weight: AtomicUsize,
    less: Notify,
}

impl Pump {
    fn start(runtime: &tokio::runtime::Handle, door: Door) -> Pump {
        let (send, mut inputs) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let taken = waiting.clone();
        runtime.spawn(async move {
            while let Some(input) = inputs.recv().await {
                let weight = weight(&input);
                // (The loop's own queue counts inputs, however much is in each: there is one of these in it at a time.)
                if !door.tell(input).await || !heard(&door).await {
                    break;
                }
                taken.weight.fetch_sub(weight, Ordering::Relaxed);
                taken.less.notify_one();
            }
        });
        Pump { send, waiting }
    }

    /// Passes an input on; where very much waits, it does too, for a while. False if the loop does not take it.
    pub(crate) async fn pass(&self, input: Input) -> bool {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.waiting.weight.load(Ordering::Relaxed) > MOST_WAITING {
            if tokio::time::timeout_at(end, self.waiting.less.notified()).await.is_err() {
                return false;
            }
        }
        self.waiting.weight.fetch_add(weight(&input), Ordering::Relaxed);
        self.send.send(input).is_ok()
    }
}

/// Waits until all that was said is heard. False if the loop has ended.
async fn heard(door: &Door) -> bool {
    loop {
        match door.ask(|core, _| core.has_unheard()).await {
            Some(true) => tokio::time::sleep(HEARD_SOON).await,
            answer => return answer.is_some(),
        }
    }
}

fn weight(input: &Input) -> usize {
    let Input::Message { message, .. } = input else {
        return 1;
    };
    1 + match message {
        Message::Offer { have, heard, .. } => have.0.len() + heard.len(),
        Message::Records { nodes, complete } => {
            let told = complete.iter().flat_map(|c| c.acks.values().chain([&c.have]));
            nodes.len() + told.map(|vector| 1 + vector.0.len()).sum::<usize>()
        }
        Message::Lacks(nodes) => nodes.len(),
        Message::Shows(answer) => answer.of.len() + answer.shown.iter().map(|(s, _)| 1 + s.contents.len()).sum::<usize>(),
    }
}

/// Who is told what happens in a folder.
pub(crate) trait Told: Send {
    /// Something happened.
    fn event(&mut self, event: Event);
    /// It ended by itself.
    fn ended(&mut self, why: Option<Trouble>);
}

/// Opens a folder and lets it run. Blocks until it is open.
pub(crate) fn start(
    spec: FolderSpec,
    others: Box<dyn Others>,
    far: Arc<dyn Far>,
    told: Box<dyn Told>,
    runtime: &tokio::runtime::Handle,
) -> Result<Running, Trouble> {
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let (stop, stopped) = oneshot::channel();
    let asked = far.clone();
    let thread = std::thread::Builder::new()
        .name(format!("folder {:x}", spec.folder))
        .spawn(move || {
            let (mut told, mut spec) = (told, spec);
            let result = run(&mut spec, others, far, told.as_mut(), &ready, stopped);
            match result {
                Ok(()) => told.ended(None),
                // Whoever waits for the start is told, else the one who listens.
                Err(trouble) => {
                    if let Err(std::sync::mpsc::SendError(Err(trouble))) = ready.send(Err(trouble)) {
                        told.ended(Some(trouble));
                    }
                }
            }
        })
        .map_err(|e| Trouble::new(TroubleKind::Failed, format!("no thread can be started ({e})")))?;
    let begun = is_ready
        .recv()
        .map_err(|_| Trouble::new(TroubleKind::Failed, "the folder ended before it began"))??;
    Ok(Running {
        pump: Pump::start(runtime, begun.door.clone()),
        since: std::time::Instant::now(),
        far: asked,
        door: begun.door,
        replicas: begun.roots.iter().map(|root| root.replica).collect(),
        paths: begun.roots.iter().map(|root| root.path.clone()).collect(),
        roots: begun.roots.iter().map(Arc::downgrade).collect(),
        missing: begun.missing,
        looking: Arc::default(),
        stop: Some(stop),
        thread: Some(thread),
    })
}

/// Opens the roots; the outer error is one that trying again soon does not mend.
fn open_roots(spec: &mut FolderSpec, store: &mut Store) -> Result<Result<Vec<Root>, OpenError>, Trouble> {
    let mut specs = Vec::new();
    for (i, (path, name)) in spec.roots.iter().zip(&spec.names).enumerate() {
        let fs = NativeFs::open(path).map_err(|e| {
            Trouble::new(TroubleKind::Failed, format!("{} cannot be opened: {e}", path.display()))
                .hint("Put it back or mount it; it is tried again from time to time.")
        })?;
        specs.push(RootSpec {
            name: name.clone(),
            path: path.clone(),
            identity: identity(path),
            fs: Arc::new(fs),
            rejoin: (spec.rejoin && i == 0) || spec.rejoin_shares.contains(path),
        });
    }
    let options = OpenOptions {
        dry: false,
        folder: Some(FolderId(spec.folder)),
        ignore: &[],
        random: &mut random,
        new_replica: Some(&mut spec.new_replica),
    };
    Ok(open(store, specs, options))
}

/// Takes shares out that are known and are not there, or not what they were: nobody is to wait for them.
fn leave_out(spec: &mut FolderSpec, store: &Store) -> Result<Vec<Missing>, Trouble> {
    let mut missing = Vec::new();
    for i in (1..spec.roots.len()).rev() {
        let path = &spec.roots[i];
        let Some(known) = store.replica_by_root(path)? else { continue };
        let halted = match NativeFs::open_read_only(path) {
            Err(e) => Some(Halted::because(format!("{e}. It is taken in again when it is there"))),
            Ok(fs) => why_not_the_root(
                store,
                &RootSpec {
                    name: String::new(),
                    path: path.clone(),
                    identity: identity(path),
                    fs: Arc::new(fs),
                    rejoin: spec.rejoin_shares.contains(path),
                },
            )?,
        };
        if let Some(halted) = halted {
            spec.names.remove(i);
            let path = spec.roots.remove(i);
            tracing::warn!(path = %path.display(), %halted, "goes on without a share");
            missing.push(Missing {
                identity: identity(&path),
                path,
                replica: known.id,
                halted,
            });
        }
    }
    Ok(missing)
}

/// What whoever starts a folder is told of it.
struct Begun {
    door: Door,
    roots: Vec<Arc<Root>>,
    missing: Vec<Missing>,
}

type Ready = std::sync::mpsc::SyncSender<Result<Begun, Trouble>>;

fn run(
    spec: &mut FolderSpec,
    others: Box<dyn Others>,
    far: Arc<dyn Far>,
    told: &mut dyn Told,
    ready: &Ready,
    stopped: oneshot::Receiver<()>,
) -> Result<(), Trouble> {
    let mut store = Store::open(&spec.index)?;
    let missing = leave_out(spec, &store)?;
    let begun = std::time::Instant::now();
    let roots = loop {
        match open_roots(spec, &mut store)? {
            // Those who were sending bytes from it when it ended may hold it still.
            Err(OpenError::Disk {
                source: FsError::Busy(_),
                ..
            }) if begun.elapsed() < LET_GO => std::thread::sleep(LET_GO / 40),
            opened => break opened?,
        }
    };
    let replicas: Vec<ReplicaId> = roots.iter().map(|root| root.replica).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Trouble::new(TroubleKind::Failed, format!("the folder cannot be run: {e}")))?;
    let unwatched = spec.roots.iter().zip(&replicas);
    let unwatched = unwatched.filter(|(path, _)| watching::unwatchable(path).is_some());
    let options = RunOptions {
        forever: true,
        dry: false,
        threads: std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS)),
        unwatched: unwatched.map(|(_, id)| *id).collect(),
    };
    let blind = options.unwatched.clone();
    let mut engine =
        Loop::new(Core::new(Settings::default()), Carrier::new(store, roots, false), options).with_others(others, far);
    let mut first: Vec<Input> = replicas[1..]
        .iter()
        .map(|share| Input::Connect(replicas[0], *share))
        .collect();
    if spec.awaited {
        first.insert(0, Input::Awaited(AWAITED_MS));
    }
    let mut watchers = Vec::new();
    for (path, id) in spec.roots.iter().zip(&replicas).filter(|(_, id)| !blind.contains(id)) {
        match watching::watch(path, *id, engine.door()).map_err(|e| Trouble::new(TroubleKind::Failed, e.to_string()))? {
            Watching::By(watcher) => watchers.push(watcher),
            Watching::Limited(limit) => first.push(Input::Unwatched(*id, limit)),
        }
    }
    let result = runtime.block_on(async {
        engine.scan_ahead();
        let mut inputs = engine.carrier().load()?;
        // (What is awaited is to be known before the first scan ends.)
        inputs.append(&mut first);
        let _ = ready.send(Ok(Begun {
            door: engine.door(),
            roots: engine.carrier().roots().cloned().collect(),
            missing,
        }));
        let stop = async {
            let _ = stopped.await;
        };
        engine.run(inputs, stop, &mut |event| told.event(event)).await
    });
    // What watches may wait for room to tell something: the engine has to be gone before it is waited for.
    drop(engine);
    drop(watchers);
    runtime.shutdown_timeout(LAST_WAIT);
    result.map(drop).map_err(|e| Trouble::new(TroubleKind::Failed, e.to_string()))
}

impl From<StoreError> for Trouble {
    fn from(e: StoreError) -> Trouble {
        let kind = match e {
            StoreError::Damaged { .. } => TroubleKind::IndexDamaged,
            _ => TroubleKind::Failed,
        };
        Trouble::new(kind, e.to_string())
    }
}

impl From<OpenError> for Trouble {
    fn from(e: OpenError) -> Trouble {
        match e {
            OpenError::Store(e) => e.into(),
            e @ OpenError::NotTheRoot(_) => Trouble::new(TroubleKind::NotTheRoot, e.to_string()),
            e => Trouble::new(TroubleKind::Failed, e.to_string()),
        }
    }
}
