//! The daemon: all folders of a home directory, and the devices that they are shared with. The one face that programs see: what can be asked
//! and said is in [`face`].

mod explain;
pub mod face;
mod fetch;
#[expect(
    clippy::disallowed_methods,
    reason = "the home is the program's own; users' files are for disk alone"
)]
mod files;
mod folder;
mod hub;
mod ignoring;
mod look;
mod past;
mod serve;

use crate::core::{Decide, Input};
use crate::daemon::face::{
    Add, Allow, Event, FolderStatus, HostShare, Invitation, Invite, Join, Limit, Remove, RemoveDevice, Resolve, Resolved, Role,
    SetLimits, SetRole, Status, Trouble, TroubleKind, Which,
};
use crate::daemon::fetch::Fetcher;
use crate::daemon::files::{FolderFile, Given, HomeDir, HomeFile, INDEX, hex};
use crate::daemon::folder::{FolderSpec, Running, Told};
use crate::daemon::hub::{Answers, Folder, Joining, ToOthers};
use crate::daemon::look::Way;
use crate::run::{random, wall_ms};
use bifold_disk::scan::Scope;
use bifold_net::identity::KeyPlace;
use bifold_net::keyring::Keyring;
use bifold_net::limits::{Limits, Rates};
use bifold_net::link::{Net, NetEvent, Options, Peer, Relay};
use bifold_net::membership::ReplicaName;
use bifold_net::roster::{self, Roster};
use bifold_net::ticket::{Secret, Ticket};
use bifold_net::{DeviceId, Identity, SecretKey};
use bifold_protocol::wire::Packet;
use bifold_store::Store;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Events that may wait for whoever listens.
const EVENTS: usize = 4096;
/// What comes from other devices and may wait.
const FROM_PEERS: usize = 256;
/// How often it is seen to that what ought to run does.
const CARE: Duration = Duration::from_secs(5);
/// How long the device that gave a ticket out may take to answer.
const JOIN_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take until the two replicas talk, after that.
const LINK_WITHIN: Duration = Duration::from_secs(10);
/// How long a decision may take.
const DECIDE_WITHIN: Duration = Duration::from_secs(30);
/// For so long after two computers with one key were seen, it is told.
const CLONED_MS: u64 = 10 * 60 * 1000;
/// A replica begins anew by itself at most once in so many milliseconds.
const REJOIN_MS: u64 = 3600 * 1000;
/// Invitations that may be open at a time, a folder.
const MAX_INVITATIONS: usize = 1000;

/// How the daemon is to connect.
#[derive(Clone, Debug, Default)]
pub struct DaemonOptions {
    /// Where to listen; anywhere if it is not said.
    pub listen: Option<SocketAddr>,
    /// Which relays.
    pub relay: Relay,
    /// A file with certificates of authorities that relays may be known by, besides the well-known ones.
    pub relay_ca: Option<PathBuf>,
    /// Whether devices in the same network are found by multicast.
    pub lan: bool,
    /// What the device is to be called, if it has no name yet.
    pub name: String,
    /// Where the device's key is to lie; where it lies already if it is not said, else in a file.
    pub key: Option<KeyPlace>,
}

pub(crate) struct State {
    file: HomeFile,
    folders: BTreeMap<u64, Folder>,
    /// Trouble with folders that cannot even be read.
    unreadable: Vec<Trouble>,
    joining: BTreeMap<DeviceId, Joining>,
    admitted: BTreeMap<DeviceId, u64>,
    unreachable: BTreeMap<DeviceId, String>,
    /// When another computer with this one's key was heard of last, milliseconds since 1970.
    cloned_ms: Option<u64>,
}

/// The daemon.
pub struct Daemon {
    this: Weak<Daemon>,
    home: HomeDir,
    identity: Identity,
    runtime: tokio::runtime::Handle,
    net: OnceLock<Net>,
    limits: Arc<Limits>,
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
    to_hub: mpsc::Sender<NetEvent>,
    /// Folders are started and stopped one at a time.
    operating: Mutex<()>,
    /// Nothing is started any more.
    stopping: AtomicBool,
}

pub(crate) fn role_of(role: roster::Role) -> Role {
    match role {
        roster::Role::Owner => Role::Owner,
        roster::Role::Editor => Role::Editor,
        roster::Role::Reader | roster::Role::Removed => Role::Reader,
    }
}

fn bad(message: impl Into<String>) -> Trouble {
    Trouble::new(TroubleKind::Bad, message)
}

fn not_found(message: impl Into<String>) -> Trouble {
    Trouble::new(TroubleKind::NotFound, message)
}

fn failed(message: impl Into<String>) -> Trouble {
    Trouble::new(TroubleKind::Failed, message)
}

impl Daemon {
    /// Opens a home and lets its folders run. Within a runtime of several threads.
    ///
    /// # Errors
    /// If another daemon has it, it cannot be read, or nothing can be listened on. What is wrong with a single folder is in its status.
    pub async fn start(home: &Path, options: DaemonOptions) -> Result<Arc<Daemon>, Trouble> {
        let home = HomeDir::open(home)?;
        let key = home.path.join("key");
        // A keyring may ask a person first.
        let identity = tokio::task::spawn_blocking(move || Identity::load_or_make(&key, options.key, &Keyring)).await;
        let identity = identity
            .map_err(|e| failed(e.to_string()))?
            .map_err(|e| failed(e.to_string()))?;
        let mut file = home.read()?;
        if file.name.is_empty() {
            file.name = options.name.clone();
        }
        if file.name.len() > roster::MAX_NAME_BYTES / 2 || file.name.trim().is_empty() || file.name.chars().any(char::is_control)
        {
            return Err(bad(format!("{:?} cannot be a device's name", file.name))
                .hint("Name it with --name, with 1 to 64 bytes of plain text."));
        }
        let limits = Arc::new(Limits::default());
        limits.set(None, file.limits);
        for (device, rates) in &file.limits_of {
            limits.set(DeviceId::parse(device), *rates);
        }
        let mut folders = BTreeMap::new();
        let mut unreadable = Vec::new();
        for found in home.folders()? {
            let read = |file: FolderFile| Some((file.number()?, file.read_roster()?, file));
            match found.map(read) {
                Ok(Some((number, roster, file))) => {
                    folders.insert(number, Folder::new(file, number, roster));
                }
                Ok(None) => {}
                Err(trouble) => unreadable.push(trouble),
            }
        }
        let net_options = Options {
            listen: options.listen,
            port: file.port,
            relay: options.relay,
            relay_ca: options.relay_ca,
            lan: options.lan,
            run: random(),
        };
        let (events, _) = broadcast::channel(EVENTS);
        let (send, receive) = mpsc::channel(FROM_PEERS);
        let daemon = Arc::new_cyclic(|this| Daemon {
            this: this.clone(),
            home,
            identity,
            runtime: tokio::runtime::Handle::current(),
            net: OnceLock::new(),
            limits: limits.clone(),
            state: Mutex::new(State {
                file,
                folders,
                unreadable,
                joining: BTreeMap::new(),
                admitted: BTreeMap::new(),
                unreachable: BTreeMap::new(),
                cloned_ms: None,
            }),
            events,
            to_hub: send.clone(),
            operating: Mutex::new(()),
            stopping: AtomicBool::new(false),
        });
        let answers = Arc::new(Answers(daemon.this.clone()));
        let net = Net::start(&daemon.identity, &net_options, send, answers, limits)
            .await
            .map_err(|e| failed(e.to_string()))?;
        {
            let mut state = daemon.lock();
            if net_options.listen.is_none_or(|address| address.port() == 0) {
                state.file.port = net.port();
            }
            daemon.home.write(&state.file)?;
        }
        let _ = daemon.net.set(net);
        tokio::spawn(daemon.clone().hear(receive));
        let numbers: Vec<u64> = daemon.lock().folders.keys().copied().collect();
        for number in numbers {
            daemon.blocking(move |daemon| daemon.start_folder(number)).await;
        }
        let caring = daemon.this.clone();
        tokio::spawn(async move {
            let mut last = wall_ms();
            loop {
                tokio::time::sleep(CARE).await;
                let Some(daemon) = caring.upgrade() else { return };
                // The clock went on much more than was waited: the computer was asleep.
                let now = wall_ms();
                if now.saturating_sub(last) > 3 * CARE.as_millis() as u64 {
                    daemon.net().network_changed().await;
                    daemon.look_everywhere().await;
                }
                last = now;
                daemon.care().await;
            }
        });
        Ok(daemon)
    }

    /// Ends everything; what was done is noted.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let numbers: Vec<u64> = self.lock().folders.keys().copied().collect();
        for number in numbers {
            self.blocking(move |daemon| daemon.stop_folder(number, "the program ends there"))
                .await;
        }
        self.net().stop().await;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn me(&self) -> DeviceId {
        self.identity.device()
    }

    pub(crate) fn key(&self) -> &SecretKey {
        self.identity.key()
    }

    pub(crate) fn home(&self) -> &HomeDir {
        &self.home
    }

    /// Connections. (Nothing is heard, and no folder runs, before they are there.)
    #[expect(clippy::expect_used, reason = "set before the first use")]
    pub(crate) fn net(&self) -> &Net {
        self.net.get().expect("the daemon has begun")
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event); // perhaps nobody
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// This device's id.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.me()
    }

    /// Does something that takes a while, in a thread that may wait.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Arc<Daemon>) -> T + Send + 'static) -> Option<T> {
        let daemon = self.this.upgrade()?;
        self.runtime.spawn_blocking(move || work(&daemon)).await.ok()
    }

    fn operate(&self) -> MutexGuard<'_, ()> {
        self.operating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a folder run, if it should. What is wrong is in its status.
    fn start_folder(self: &Arc<Self>, number: u64) {
        let _operating = self.operate();
        self.start_now(number);
    }

    /// Stops a folder, and tells the others why.
    fn stop_folder(self: &Arc<Self>, number: u64, why: &str) {
        let _operating = self.operate();
        self.stop_now(number, why);
    }

    /// Stops a folder, does something, and lets it run again; nobody else starts it meanwhile.
    fn restart_around<T>(self: &Arc<Self>, number: u64, work: impl FnOnce() -> T) -> T {
        let _operating = self.operate();
        self.stop_now(number, "it begins anew there");
        let result = work();
        self.start_now(number);
        result
    }

    fn start_now(self: &Arc<Self>, number: u64) {
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        let spec = {
            let mut state = self.lock();
            let Some(folder) = state.folders.get_mut(&number) else {
                return;
            };
            if folder.running.is_some() || folder.file.paused {
                return;
            }
            if !folder.roster.admits(&self.me().0) {
                folder.trouble = Some(taken_out());
                return;
            }
            let mut roots = vec![folder.file.path.clone()];
            roots.extend(folder.file.shares.iter().cloned());
            let mut names = vec![state.file.name.clone()];
            names.extend(roots[1..].iter().map(|path| path.display().to_string()));
            let id = format!("{number:016x}");
            let folder = state.folders.get(&number);
            let members = folder.map(|f| f.roster.members().keys().filter(|key| f.roster.admits(key)).count());
            let drawing = self.this.clone();
            FolderSpec {
                // The number that an id is made of is noted before the id is used.
                new_replica: Box::new(move || drawing.upgrade().map_or(0, |daemon| daemon.draw(number))),
                folder: number,
                awaited: members.is_some_and(|n| n > 1),
                index: self.home.folder_dir(&id).join(INDEX),
                roots,
                names,
                rejoin: state.folders.get(&number).is_some_and(|f| f.file.rejoin),
                rejoin_shares: state
                    .folders
                    .get(&number)
                    .map(|f| f.file.rejoin_shares.clone())
                    .unwrap_or_default(),
            }
        };
        let daemon = self.this.clone();
        let fetcher = Fetcher {
            folder: number,
            runtime: self.runtime.clone(),
            limits: self.limits.clone(),
            peers: Box::new(move || daemon.upgrade().map(|d| d.sharing(number)).unwrap_or_default()),
            turn: Default::default(),
        };
        let others = ToOthers {
            daemon: self.this.clone(),
            folder: number,
        };
        let told = ToFaces {
            daemon: self.this.clone(),
            folder: number,
        };
        let rejoin = spec.rejoin;
        let started = folder::start(spec, Box::new(others), Arc::new(fetcher), Box::new(told), &self.runtime);
        let mut state = self.lock();
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        match started {
            Ok(running) => {
                folder.trouble = None;
                folder.halted = false;
                let (door, names) = (running.door.clone(), folder.names());
                let reads = folder.roster.role(&self.me().0) == Some(roster::Role::Reader);
                let me = self.me();
                let known = folder.file.device(me);
                let named = |id: &bifold_tree::ReplicaId| {
                    known
                        .drawn
                        .iter()
                        .chain(&known.replicas)
                        .find(|name| name.id == id.0)
                        .copied()
                };
                let mut replicas: Vec<ReplicaName> = running.replicas.iter().filter_map(named).collect();
                replicas.extend(running.missing.iter().filter_map(|share| named(&share.replica)));
                // (Of a share's it cannot be helped by that.)
                let nameless = replicas.first().map(|name| name.id) != running.replicas.first().map(|id| id.0);
                known.replicas = replicas;
                known.drawn.clear();
                // (An index that was made under another key, or is older than this: it joins anew, under an id that can be shown to be its own.)
                folder.file.rejoin = nameless && !rejoin;
                folder.file.rejoin_shares.clear();
                let again = folder.file.rejoin;
                if let Err(trouble) = self.home.write_folder(&folder.file) {
                    tracing::warn!(%trouble, "not noted");
                }
                folder.running = Some(running);
                if again {
                    drop(state);
                    self.restart_later(number, true);
                    return;
                }
                let members: Vec<DeviceId> = folder.roster.members().keys().map(|key| DeviceId(*key)).collect();
                let _within = self.runtime.enter();
                for device in members.into_iter().filter(|d| *d != me) {
                    if folder.roster.admits(&device.0) {
                        let addresses = folder.file.known(device).map(|k| k.addresses.clone()).unwrap_or_default();
                        self.net().want(device, &addresses);
                        // (Who let this device in is told once what it said was heard.)
                        if folder.from != Some(device) {
                            folder.introduce(self, device, false);
                        }
                    }
                }
                folder.from = None;
                drop(state);
                let _ = door.put(Input::Named(names));
                let _ = door.put(Input::Reads(reads));
            }
            Err(trouble) => folder.trouble = Some(trouble),
        }
        self.refresh(number);
    }

    /// One more id for a replica of a folder.
    fn draw(&self, number: u64) -> u64 {
        let fresh = ReplicaName::new(self.me(), number, random());
        if let Some(folder) = self.lock().folders.get_mut(&number) {
            folder.file.device(self.me()).drawn.push(fresh);
            if let Err(trouble) = self.home.write_folder(&folder.file) {
                tracing::warn!(%trouble, "not noted");
            }
        }
        fresh.id
    }

    fn stop_now(self: &Arc<Self>, number: u64, why: &str) {
        let running: Option<Running> = {
            let mut state = self.lock();
            let Some(folder) = state.folders.get_mut(&number) else {
                return;
            };
            for link in folder.links.values() {
                link.peer.send(Packet::Close {
                    folder: number,
                    reason: why.to_owned(),
                });
            }
            folder.links.clear();
            folder.running.take()
        };
        if let Some(running) = running {
            running.stop();
        }
    }

    /// Stops and starts a folder, soon. `rejoin`: its own replica begins anew.
    pub(crate) fn restart_later(&self, number: u64, rejoin: bool) {
        let Some(daemon) = self.this.upgrade() else { return };
        self.runtime.spawn_blocking(move || {
            if rejoin && let Some(folder) = daemon.lock().folders.get_mut(&number) {
                folder.file.rejoin = true;
                if let Err(trouble) = daemon.home.write_folder(&folder.file) {
                    tracing::warn!(%trouble, "not noted");
                }
            }
            daemon.restart_around(number, || ());
        });
    }

    /// This device does not belong to a folder any more.
    pub(crate) fn taken_out(&self, number: u64) {
        let Some(daemon) = self.this.upgrade() else { return };
        self.runtime.spawn_blocking(move || {
            if let Some(folder) = daemon.lock().folders.get_mut(&number) {
                folder.trouble = Some(taken_out());
                if let Err(trouble) = daemon.home.write_folder(&folder.file) {
                    tracing::warn!(%trouble, "not noted");
                }
            }
            daemon.stop_folder(number, "this device was taken out");
            daemon.refresh(number);
        });
    }

    /// Sees to it that what ought to run does.
    async fn care(self: &Arc<Self>) {
        let mut todo = Vec::new();
        let mut looks = Vec::new();
        {
            let mut state = self.lock();
            for (number, folder) in &mut state.folders {
                if folder.running.as_ref().is_some_and(Running::is_over) {
                    // It ended by itself.
                    folder.running = None;
                    folder.links.clear();
                }
                match &folder.running {
                    None if !folder.file.paused && folder.roster.admits(&self.me().0) => todo.push(*number),
                    Some(running) => looks.extend(running.looking().map(|looking| (*number, folder.halted, looking))),
                    None => {}
                }
            }
        }
        for (number, halted, looking) in looks {
            // (Not waited for: a disk may be stuck.)
            let daemon = self.clone();
            self.runtime.spawn_blocking(move || {
                if looking.look(halted) {
                    daemon.restart_later(number, false);
                }
            });
        }
        for number in todo {
            self.blocking(move |daemon| daemon.start_folder(number)).await;
        }
    }

    /// Looks at all disks again: what tells of changes may have slept.
    async fn look_everywhere(&self) {
        for (_, running) in self.doors(None).unwrap_or_default() {
            for replica in running.1 {
                let _ = running.0.tell(Input::Rescan(replica, "asked for".into())).await;
            }
        }
    }

    /// The devices that a folder's bytes can be had from now.
    fn sharing(&self, number: u64) -> Vec<Peer> {
        let state = self.lock();
        let links = state.folders.get(&number).map(|f| f.links.values());
        let linked = links.into_iter().flatten().filter(|link| link.linked && link.peer.is_up());
        linked.map(|link| link.peer.clone()).collect()
    }

    /// Tells of a folder's state, if it is another than before; soon.
    pub(crate) fn refresh(&self, number: u64) {
        let Some(daemon) = self.this.upgrade() else { return };
        self.runtime.spawn(async move {
            let Ok(status) = daemon.folder_status(number).await else {
                return;
            };
            {
                let mut state = daemon.lock();
                let Some(folder) = state.folders.get_mut(&number) else {
                    return;
                };
                let timeless = |status: &FolderStatus| {
                    let mut status = status.clone();
                    status.devices.iter_mut().for_each(|d| d.last_seen_ms = None);
                    status
                };
                if folder.told.as_ref().map(timeless) == Some(timeless(&status)) {
                    return;
                }
                folder.told = Some(status.clone());
            }
            daemon.tell(Event::Folder {
                folder: Box::new(status),
            });
        });
    }

    /// The folder that is meant.
    pub(crate) fn find(&self, which: &str) -> Result<u64, Trouble> {
        let path = Path::new(which);
        let path = path.is_absolute().then(|| dunce::canonicalize(path).ok()).flatten();
        let state = self.lock();
        let folders: Vec<&Folder> = state.folders.values().collect();
        let by = |test: &dyn Fn(&Folder) -> bool| -> Vec<u64> { folders.iter().filter(|f| test(f)).map(|f| f.number).collect() };
        let tries = [
            by(&|f| f.file.name == which),
            by(&|f| f.file.id == which),
            by(&|f| {
                path.as_ref()
                    .is_some_and(|path| f.file.path == *path || f.file.shares.contains(path))
            }),
            by(&|f| which.len() >= 4 && f.file.id.starts_with(which)),
        ];
        let found = tries.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        let names: Vec<&str> = folders.iter().map(|f| f.file.name.as_str()).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] if names.is_empty() => Err(not_found(format!("there is no folder {which:?}, nor any other"))
                .hint("Share one with bifold add PATH, or join one.")),
            [] => Err(not_found(format!("there is no folder {which:?}")).hint(format!("There are: {}.", names.join(", ")))),
            _ => Err(bad(format!("there are several folders {which:?}")).hint("Name one by its id: bifold folders lists them.")),
        }
    }

    /// The folders that are meant: one, or all.
    pub(crate) fn find_all(&self, which: &Which) -> Result<Vec<u64>, Trouble> {
        match &which.folder {
            Some(which) => Ok(vec![self.find(which)?]),
            None => Ok(self.lock().folders.keys().copied().collect()),
        }
    }

    /// The way to the loops of folders that run, with their replicas.
    fn doors(&self, which: Option<&str>) -> Result<Vec<(u64, Way)>, Trouble> {
        let numbers = self.find_all(&Which {
            folder: which.map(str::to_owned),
        })?;
        let state = self.lock();
        let running = |n: &u64| {
            Some((
                *n,
                state
                    .folders
                    .get(n)?
                    .running
                    .as_ref()
                    .map(|r| (r.door.clone(), r.replicas.clone()))?,
            ))
        };
        Ok(numbers.iter().filter_map(running).collect())
    }

    /// The way to the loop of a folder that is to run.
    pub(crate) fn door(&self, number: u64) -> Result<Way, Trouble> {
        let state = self.lock();
        let folder = state
            .folders
            .get(&number)
            .ok_or_else(|| not_found("the folder is not here any more"))?;
        match &folder.running {
            Some(running) => Ok((running.door.clone(), running.replicas.clone())),
            None if folder.file.paused => {
                Err(bad(format!("the folder {} is paused", folder.file.name)).hint("Say bifold resume first."))
            }
            None => Err(folder.trouble.clone().unwrap_or_else(|| failed("the folder does not run"))),
        }
    }

    /// Whether a directory can be a folder's root.
    fn check_place(&self, path: &Path) -> Result<PathBuf, Trouble> {
        if !path.is_absolute() {
            return Err(bad(format!("{} is not an absolute path", path.display())));
        }
        let full = dunce::canonicalize(path).map_err(|e| {
            not_found(format!("{} cannot be opened ({e})", path.display()))
                .hint("Make the directory first, or see its permissions.")
        })?;
        if full.to_str().is_none() {
            let message = format!("the path {} is not all text (UTF-8)", full.display());
            return Err(bad(message).hint("Rename the directory, or one above it. (What is in it may have any names.)"));
        }
        if !full.is_dir() {
            return Err(bad(format!("{} is not a directory", full.display())).hint("Share the directory that the file is in."));
        }
        let home = dunce::canonicalize(&self.home.path).unwrap_or_else(|_| self.home.path.clone());
        if home.starts_with(&full) || full.starts_with(&home) {
            return Err(bad(format!(
                "{} and Bifold's own home {} lie within each other",
                full.display(),
                home.display()
            ))
            .hint("Choose another directory, or another home with --home DIR."));
        }
        let places: Vec<(String, Vec<PathBuf>)> = {
            let state = self.lock();
            let places = |f: &Folder| std::iter::once(&f.file.path).chain(&f.file.shares).cloned().collect();
            state.folders.values().map(|f| (f.file.name.clone(), places(f))).collect()
        };
        for (name, roots) in &places {
            for root in roots {
                let root = dunce::canonicalize(root).unwrap_or_else(|_| root.clone());
                if root == full {
                    let message = format!("{} is shared already, as {name}", full.display());
                    return Err(Trouble::new(TroubleKind::InTheWay, message));
                }
                if root.starts_with(&full) || full.starts_with(&root) {
                    let message = format!(
                        "{} and the folder {} ({}) lie within each other",
                        full.display(),
                        name,
                        root.display()
                    );
                    return Err(Trouble::new(TroubleKind::InTheWay, message)
                        .hint("Folders cannot lie in folders: choose another directory."));
                }
            }
        }
        for above in full.ancestors().skip(1) {
            if above.join(bifold_disk::root::MARKER).is_file() {
                let message = format!(
                    "{} lies inside {}, which is itself synced by Bifold",
                    full.display(),
                    above.display()
                );
                return Err(
                    Trouble::new(TroubleKind::InTheWay, message).hint("Share the outer folder, or move the inner one out of it.")
                );
            }
        }
        Ok(full)
    }

    /// Takes a folder in and lets it run; if that is not possible, nothing stays of it.
    async fn begin(&self, file: FolderFile, roster: Roster, from: Option<DeviceId>) -> Result<FolderStatus, Trouble> {
        let number = file.number().ok_or_else(|| failed("the folder has no number"))?;
        self.home.write_folder(&file)?;
        let mut folder = Folder::new(file, number, roster);
        folder.from = from;
        self.lock().folders.insert(number, folder);
        self.blocking(move |daemon| daemon.start_folder(number)).await;
        let trouble = self.lock().folders.get(&number).and_then(|f| f.trouble.clone());
        if let Some(trouble) = trouble {
            let gone = self.lock().folders.remove(&number);
            if let Some(folder) = gone {
                self.home.forget_folder(&folder.file.id)?;
            }
            return Err(trouble);
        }
        self.folder_status(number).await
    }

    /// Shares a directory.
    ///
    /// # Errors
    /// If it cannot be a folder.
    pub async fn add(&self, add: Add) -> Result<FolderStatus, Trouble> {
        let path = self.check_place(&add.path)?;
        let name = match add.name {
            Some(name) => name,
            None => path
                .file_name()
                .map_or_else(|| "folder".to_owned(), |n| n.to_string_lossy().into_owned()),
        };
        self.check_name(&name)?;
        let number = random() | 1;
        let me = self.lock().file.name.clone();
        let roster = Roster::found(number, self.key(), &me).map_err(|e| bad(e.to_string()))?;
        let mut file = FolderFile::new(number, name, path);
        file.keep_roster(&roster);
        self.begin(file, roster, None).await
    }

    fn check_name(&self, name: &str) -> Result<(), Trouble> {
        if name.trim().is_empty() || name.len() > roster::MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(bad(format!("{name:?} cannot be a folder's name"))
                .hint("Name it with --name, with 1 to 128 bytes of plain text."));
        }
        if self.lock().folders.values().any(|f| f.file.name == name) {
            let message = format!("there is a folder {name:?} already");
            return Err(Trouble::new(TroubleKind::InTheWay, message).hint("Give this one another name with --name."));
        }
        Ok(())
    }

    /// Gives a ticket out.
    ///
    /// # Errors
    /// Unless this device is an owner of the folder.
    pub async fn invite(&self, invite: Invite) -> Result<Invitation, Trouble> {
        let number = self.find(&invite.folder)?;
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|_| failed("the system gives no random numbers"))?;
        let secret = Secret(secret);
        let expires_ms = wall_ms().saturating_add(invite.expires_s.saturating_mul(1000));
        let mut state = self.lock();
        let folder = state
            .folders
            .get_mut(&number)
            .ok_or_else(|| not_found("the folder is not here any more"))?;
        if folder.roster.role(&self.me().0) != Some(roster::Role::Owner) {
            let message = format!("only an owner of {} may invite, and this device is none", folder.file.name);
            return Err(Trouble::new(TroubleKind::NotAllowed, message).hint("Ask an owner: bifold devices lists them."));
        }
        if invite.uses == 0 || invite.expires_s == 0 {
            return Err(bad("a ticket must be good for at least one use, and some time"));
        }
        let now = wall_ms();
        folder
            .file
            .invitations
            .retain(|given| given.uses > 0 && given.expires_ms > now);
        if folder.file.invitations.len() >= MAX_INVITATIONS {
            return Err(bad("there are too many open invitations")
                .hint("Wait until some have expired, or give out tickets for several uses."));
        }
        folder.file.invitations.push(Given {
            secret: hex(&secret.hash()),
            role: match invite.role {
                Role::Owner => roster::Role::Owner,
                Role::Editor => roster::Role::Editor,
                Role::Reader => roster::Role::Reader,
            },
            uses: invite.uses,
            expires_ms,
        });
        self.home.write_folder(&folder.file)?;
        let ticket = Ticket {
            device: self.me(),
            secret,
            addresses: self.net().addresses(),
        };
        Ok(Invitation {
            ticket: ticket.to_text(),
            link: ticket.to_link(),
            expires_ms,
            uses: invite.uses,
            role: invite.role,
        })
    }

    /// Joins a folder.
    ///
    /// # Errors
    /// If the ticket is none, or is refused, or the directory cannot be the folder's root.
    pub async fn join(&self, join: Join) -> Result<FolderStatus, Trouble> {
        let ticket = Ticket::parse(&join.ticket).map_err(|e| bad(e.to_string()))?;
        if ticket.device == self.me() {
            return Err(bad("this ticket was given out by this very device").hint("Use it on another one."));
        }
        if !join.path.is_absolute() {
            return Err(bad(format!("{} is not an absolute path", join.path.display())));
        }
        let made = !join.path.exists();
        if made {
            std::fs::create_dir_all(&join.path).map_err(|e| failed(format!("{} cannot be made ({e})", join.path.display())))?;
        }
        let result = self.join_at(&ticket, &join.path).await;
        if result.is_err() && made {
            let _ = std::fs::remove_dir(&join.path);
        }
        result
    }

    async fn join_at(&self, ticket: &Ticket, path: &Path) -> Result<FolderStatus, Trouble> {
        let path = self.check_place(path)?;
        let unreachable = |message: String| {
            Trouble::new(TroubleKind::Unreachable, message)
                .hint("See that the device that gave the ticket out is on, its daemon runs, and both can reach each other.")
        };
        let (send, receive) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.joining.contains_key(&ticket.device) {
                let message = "this device is about to join with another ticket of that device";
                return Err(Trouble::new(TroubleKind::InTheWay, message).hint("Try again when that is done."));
            }
            state.joining.insert(ticket.device, send);
        }
        let forget = || {
            let mut state = self.lock();
            state.joining.remove(&ticket.device);
            state.admitted.remove(&ticket.device);
        };
        let peer = match self.net().dial(ticket.device, &ticket.addresses).await {
            Ok(peer) => peer,
            Err(e) => {
                forget();
                return Err(unreachable(e.to_string()));
            }
        };
        let name = self.lock().file.name.clone();
        peer.send(Packet::Join {
            secret: ticket.secret.0,
            name,
        });
        let answer = tokio::time::timeout(JOIN_WITHIN, receive).await;
        forget();
        let (number, told) = match answer {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) | Err(_) => return Err(unreachable("the device that gave the ticket out did not answer".into())),
        };
        let mut roster = Roster::joined(number, told.root);
        roster.merge(told.entries.iter().cloned()).map_err(|e| {
            failed(format!(
                "the device that gave the ticket out sent a roster that cannot be: {e}"
            ))
        })?;
        if !roster.admits(&self.me().0) || !roster.admits(&ticket.device.0) {
            return Err(failed("the roster that the other device sent does not name this one"));
        }
        let mut name = told.name.clone();
        let taken = |name: &str| self.lock().folders.values().any(|f| f.file.name == name);
        if self.check_name(&name).is_err() && !taken(&name) {
            name = "folder".into();
        }
        let mut base = name.clone();
        base.truncate(base.floor_char_boundary(roster::MAX_NAME_BYTES - 8));
        let mut n = 2;
        while taken(&name) {
            name = format!("{base} {n}");
            n += 1;
        }
        let mut file = FolderFile::new(number, name, path);
        file.keep_roster(&roster);
        for known in &told.known {
            let entry = file.device(known.device);
            entry.replicas.clone_from(&known.replicas);
            entry.addresses = known.addresses.clone();
        }
        let inviter = file.device(ticket.device);
        if inviter.addresses.is_empty() {
            inviter.addresses = ticket.addresses.clone();
        }
        self.begin(file, roster, Some(ticket.device)).await?;
        // What the other device told is heard once more, now that the folder is there: the two replicas can talk.
        let again = Packet::Membership {
            folder: number,
            bytes: told.encode().map_err(|e| failed(e.to_string()))?,
        };
        let _ = self.to_hub.send(NetEvent::Packet(peer, again)).await;
        let end = tokio::time::Instant::now() + LINK_WITHIN;
        let linked = || {
            self.lock()
                .folders
                .get(&number)
                .is_some_and(|f| f.links.values().any(|l| l.linked))
        };
        while !linked() && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.folder_status(number).await
    }

    /// Keeps a second replica of a folder on a mounted share.
    ///
    /// # Errors
    /// If the directory cannot be a root.
    pub async fn host(&self, host: HostShare) -> Result<FolderStatus, Trouble> {
        let number = self.find(&host.folder)?;
        let path = self.check_place(&host.path)?;
        self.change_shares(number, move |shares| shares.push(path)).await?;
        let trouble = self.lock().folders.get(&number).and_then(|f| f.trouble.clone());
        if let Some(trouble) = trouble {
            // As it was before.
            let bad = dunce::canonicalize(&host.path).unwrap_or(host.path);
            self.change_shares(number, move |shares| shares.retain(|p| *p != bad)).await?;
            return Err(trouble);
        }
        self.folder_status(number).await
    }

    async fn change_shares(&self, number: u64, change: impl FnOnce(&mut Vec<PathBuf>) + Send + 'static) -> Result<(), Trouble> {
        let changed = self.blocking(move |daemon| {
            daemon.restart_around(number, || {
                let mut state = daemon.lock();
                let folder = state.folders.get_mut(&number);
                let folder = folder.ok_or_else(|| not_found("the folder is not here any more"))?;
                change(&mut folder.file.shares);
                daemon.home.write_folder(&folder.file)
            })
        });
        changed.await.unwrap_or_else(|| Err(failed("the daemon ends")))
    }

    /// Pauses folders, or lets them go on.
    ///
    /// # Errors
    /// If there is no such folder.
    pub async fn pause(&self, which: &Which, paused: bool) -> Result<Vec<FolderStatus>, Trouble> {
        let numbers = self.find_all(which)?;
        let mut all = Vec::new();
        for number in numbers {
            {
                let mut state = self.lock();
                let Some(folder) = state.folders.get_mut(&number) else {
                    continue;
                };
                folder.file.paused = paused;
                self.home.write_folder(&folder.file)?;
            }
            self.blocking(move |daemon| {
                if paused {
                    daemon.stop_folder(number, "it is paused there");
                    daemon.refresh(number);
                } else {
                    daemon.start_folder(number);
                }
            })
            .await;
            all.push(self.folder_status(number).await?);
        }
        Ok(all)
    }

    /// Sets a folder's index aside and makes it anew: its files are merged as a union.
    ///
    /// # Errors
    /// If there is no such folder, or its index cannot be moved.
    pub async fn rebuild(&self, which: &str) -> Result<FolderStatus, Trouble> {
        let number = self.find(which)?;
        let index = self.home.folder_dir(&format!("{number:016x}")).join(INDEX);
        self.begin_anew(number, move || {
            if index.exists() {
                let aside = Store::set_aside(&index)?;
                tracing::info!(aside = %aside.display(), "the old index is kept");
            }
            Ok(())
        })
        .await?;
        self.folder_status(number).await
    }

    /// Takes a folder's own root for new, whatever is known of it: what is there is merged as a union. Named by the path of a share, that
    /// share is.
    ///
    /// # Errors
    /// If there is no such folder.
    pub async fn rejoin_folder(&self, which: &str) -> Result<FolderStatus, Trouble> {
        let number = self.find(which)?;
        let share = dunce::canonicalize(which).ok();
        let done = self.blocking(move |daemon| {
            daemon.restart_around(number, || {
                if let Some(folder) = daemon.lock().folders.get_mut(&number) {
                    match share.filter(|path| folder.file.shares.contains(path)) {
                        Some(path) => folder.file.rejoin_shares.push(path),
                        None => folder.file.rejoin = true,
                    }
                    daemon.home.write_folder(&folder.file)?;
                }
                Ok::<(), Trouble>(())
            })
        });
        done.await.unwrap_or_else(|| Err(failed("the daemon ends")))?;
        self.folder_status(number).await
    }

    /// Stops a folder, does something, and lets its own replica begin anew.
    async fn begin_anew<T: Send + 'static>(
        &self,
        number: u64,
        work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let done = self.blocking(move |daemon| {
            daemon.restart_around(number, || {
                let result = work()?;
                if let Some(folder) = daemon.lock().folders.get_mut(&number) {
                    folder.file.rejoin = true;
                    daemon.home.write_folder(&folder.file)?;
                }
                Ok(result)
            })
        });
        done.await.unwrap_or_else(|| Err(failed("the daemon ends")))
    }

    /// Takes back what was changed on this device, which may read only. What was written here goes to the history.
    ///
    /// # Errors
    /// If this device may write, or no other one is connected.
    pub async fn revert(&self, which: &str) -> Result<Vec<String>, Trouble> {
        let number = self.find(which)?;
        let status = self.folder_status(number).await?;
        if status.role != Role::Reader {
            return Err(bad(format!(
                "this device may write to {}: what is changed here goes to the others",
                status.name
            ))
            .hint("To have an older version back: bifold versions, and bifold restore."));
        }
        if status.devices.iter().all(|d| d.connection == face::ConnectionKind::None) {
            return Err(Trouble::new(
                TroubleKind::Unreachable,
                "no other device is connected, from which what was there could be had",
            )
            .hint("Try again when one is: bifold devices shows it."));
        }
        let (door, replicas) = self.door(number)?;
        let paths = door.ask(move |core, _| {
            let replica = core.replica(replicas[0])?;
            let alone = replica.only_here(usize::MAX);
            Some(
                alone
                    .into_iter()
                    .filter_map(|node| replica.recorded(node))
                    .collect::<Vec<_>>(),
            )
        });
        let recorded = paths.await.flatten().unwrap_or_default();
        let root = status.path.clone();
        self.begin_anew(number, move || Ok(look::put_aside(&root, &recorded))).await
    }

    /// Takes a folder off this device.
    ///
    /// # Errors
    /// If its files shall go, and it is not known that another device has all of them.
    pub async fn remove(&self, remove: Remove) -> Result<Vec<String>, Trouble> {
        let number = self.find(&remove.folder)?;
        let mut said = Vec::new();
        let mut files = Vec::new();
        if !remove.keep_files {
            let status = self.folder_status(number).await?;
            // A side of a conflict, or what a reader wrote, may be nowhere else; and what a reader has may be something else.
            let alone = status.conflicts > 0 || status.problems.iter().any(|p| p.kind == "only_here");
            let elsewhere = status.devices.iter().any(|d| d.agrees && d.role != Role::Reader);
            if alone || !status.settled || !elsewhere {
                return Err(Trouble::new(
                    TroubleKind::NotAllowed,
                    format!("it is not known that another device has everything that is in {}", status.name),
                )
                .hint(
                    "Say --keep-files to take the folder off this device and leave its files; or settle what is open, and wait until another \
                     device that may write is connected and up to date.",
                ));
            }
            let (door, replicas) = self.door(number)?;
            let recorded = door.ask(move |core, _| {
                let replica = core.replica(replicas[0]);
                replica.map(|r| r.all_recorded().collect::<Vec<_>>()).unwrap_or_default()
            });
            files = recorded.await.unwrap_or_default();
        }
        self.leave_roster(number, &mut said);
        let delete = !remove.keep_files;
        let done = self.blocking(move |daemon| {
            let _operating = daemon.operate();
            daemon.stop_now(number, "the folder was taken off that device");
            let folder = daemon.lock().folders.remove(&number);
            let folder = folder.ok_or_else(|| not_found("the folder is not here any more"))?;
            // Forgotten before anything is touched: what is missing afterwards is no deletion.
            daemon.home.forget_folder(&folder.file.id)?;
            let mut notes = Vec::new();
            for root in std::iter::once(&folder.file.path).chain(&folder.file.shares) {
                notes.extend(look::clear_root(root, &files, delete && *root == folder.file.path));
            }
            Ok((folder, notes))
        });
        let (folder, notes) = done.await.unwrap_or_else(|| Err(failed("the daemon ends")))?;
        said.extend(notes);
        let common = |device: &DeviceId| self.lock().folders.values().any(|f| f.roster.admits(&device.0));
        for device in folder.roster.members().keys().map(|key| DeviceId(*key)) {
            if !common(&device) {
                self.net().unwant(device);
            }
        }
        self.tell(Event::FolderGone { id: folder.file.id });
        Ok(said)
    }

    /// This device takes itself off a folder's roster, if someone stays who can invite.
    fn leave_roster(&self, number: u64, said: &mut Vec<String>) {
        let mut state = self.lock();
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        let me = self.me();
        let members = folder.roster.members();
        let others = members
            .iter()
            .filter(|(device, member)| **device != me.0 && member.role > roster::Role::Removed);
        let (count, owners) = others.fold((0, 0), |(n, o), (_, m)| {
            (n + 1, o + usize::from(m.role == roster::Role::Owner))
        });
        let own = folder.roster.role(&me.0);
        if count > 0 && owners == 0 && own == Some(roster::Role::Owner) {
            said.push(
                "this device was the folder's only owner, and stays on its roster: nobody else can invite devices to it".into(),
            );
            return;
        }
        let name = state.file.name.clone();
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        if folder.roster.set(self.key(), me.0, roster::Role::Removed, &name).is_ok() {
            let devices: Vec<DeviceId> = folder.links.keys().copied().collect();
            for device in devices {
                folder.introduce(self, device, true);
            }
        }
    }

    /// Takes a device out of folders, and says of which. Open tickets of these end too.
    ///
    /// # Errors
    /// If there is no such device, it is this one, or this device may not.
    pub async fn remove_device(&self, remove: RemoveDevice) -> Result<Vec<String>, Trouble> {
        if self.find_device(&remove.device)? == self.me() {
            return Err(bad("that is this very device").hint("To take a folder off it, say bifold remove FOLDER."));
        }
        self.give_role(&remove.device, remove.folder, roster::Role::Removed).await
    }

    /// Gives a device another role in folders, and says in which.
    ///
    /// # Errors
    /// If there is no such device, it is in none of them, or this device may not.
    pub async fn set_role(&self, set: SetRole) -> Result<Vec<String>, Trouble> {
        let role = match set.role {
            Role::Owner => roster::Role::Owner,
            Role::Editor => roster::Role::Editor,
            Role::Reader => roster::Role::Reader,
        };
        self.give_role(&set.device, set.folder, role).await
    }

    async fn give_role(&self, device: &str, folder: Option<String>, role: roster::Role) -> Result<Vec<String>, Trouble> {
        let numbers = self.find_all(&Which { folder })?;
        let device = self.find_device(device)?;
        let mut given = Vec::new();
        let (mut not_allowed, mut not_noted) = (None, None);
        let mut tell = Vec::new();
        {
            let mut state = self.lock();
            for number in numbers {
                let Some(folder) = state.folders.get_mut(&number) else {
                    continue;
                };
                let member = folder.roster.members().get(&device.0);
                let Some(member) = member.filter(|m| m.role > roster::Role::Removed).cloned() else {
                    continue;
                };
                let owners = folder.roster.members().values().filter(|m| m.role == roster::Role::Owner);
                if member.role == roster::Role::Owner && role != roster::Role::Owner && owners.count() == 1 {
                    not_allowed = Some(format!("{}: it would have no owner any more", folder.file.name));
                    continue;
                }
                match folder.roster.set(self.key(), device.0, role, &member.name) {
                    Ok(_) => {
                        folder.file.keep_roster(&folder.roster);
                        if role == roster::Role::Removed {
                            // It may have a ticket that is still good.
                            folder.file.invitations.clear();
                        }
                        // Everyone is told all the same: what is not noted here comes back from them.
                        if let Err(trouble) = self.home.write_folder(&folder.file) {
                            not_noted = Some(trouble);
                        }
                        self.roster_changed(folder, &mut tell);
                        given.push(folder.file.name.clone());
                    }
                    Err(e) => not_allowed = Some(format!("{}: {e}", folder.file.name)),
                }
            }
        }
        for (pump, input) in tell {
            let _ = pump.pass(input).await;
        }
        let common = self.lock().folders.values().any(|f| f.roster.admits(&device.0));
        if !common {
            self.net().unwant(device);
        }
        if let Some(trouble) = not_noted {
            return Err(trouble);
        }
        match (given.is_empty(), not_allowed) {
            (true, Some(why)) => Err(Trouble::new(TroubleKind::NotAllowed, why).hint("Ask an owner: bifold devices lists them.")),
            (true, None) => Err(not_found("that device is in none of these folders")),
            _ => Ok(given),
        }
    }

    /// The device that is meant.
    pub(crate) fn find_device(&self, which: &str) -> Result<DeviceId, Trouble> {
        let state = self.lock();
        let mut found: Vec<DeviceId> = Vec::new();
        let me = self.me();
        for pass in 0..2 {
            for folder in state.folders.values() {
                for (device, member) in folder.roster.members() {
                    let id = DeviceId(*device);
                    let is = if pass == 0 {
                        member.name == which || id.to_string() == which
                    } else {
                        which.len() >= 4 && id.to_string().starts_with(&which.to_lowercase())
                    };
                    if is && !found.contains(&id) {
                        found.push(id);
                    }
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        if found.is_empty() && (state.file.name == which || me.to_string() == which) {
            found.push(me);
        }
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(not_found(format!("there is no device {which:?}")).hint("bifold devices lists them.")),
            _ => Err(bad(format!("there are several devices {which:?}")).hint("Name one by its id: bifold devices lists them.")),
        }
    }

    /// Lets a held change pass.
    ///
    /// # Errors
    /// If there is no such folder, or it does not run.
    pub async fn allow(&self, allow: &Allow) -> Result<FolderStatus, Trouble> {
        let number = self.find(&allow.folder)?;
        let (door, replicas) = self.door(number)?;
        for replica in replicas {
            let _ = door.tell(Input::Allow(replica)).await;
        }
        self.folder_status(number).await
    }

    /// Decides a conflict.
    ///
    /// # Errors
    /// If there is none at that path, or no such side.
    pub async fn resolve(&self, resolve: Resolve) -> Result<Resolved, Trouble> {
        let number = self.find(&resolve.folder)?;
        let (door, replicas) = self.door(number)?;
        let path = resolve.path.trim_matches('/').to_owned();
        let device = match resolve.pick.as_str() {
            "mine" | "theirs" | "both" | "delete" => None,
            device => Some(self.find_device(device)?),
        };
        let of_device: Option<Vec<u64>> = device.map(|device| {
            let state = self.lock();
            let known = state.folders.get(&number).and_then(|f| f.file.known(device).cloned());
            known
                .map(|k| k.replicas.iter().map(|name| name.id).collect())
                .unwrap_or_default()
        });
        let (pick, at, own) = (resolve.pick.clone(), path.clone(), replicas.clone());
        let nowhere = pick == "delete" && look::is_nowhere(&door, &path).await;
        let side = if nowhere {
            crate::core::Side::Deleted
        } else {
            door.ask(move |core, _| look::side_of(core, &at, &pick, of_device.as_deref(), &own))
                .await
                .ok_or_else(|| failed("the folder ended"))??
        };
        let before = door.ask(|core, _| core.status().decided.len()).await.unwrap_or(0);
        let decide = Decide {
            path: path.clone(),
            side,
        };
        let _ = door.tell(Input::Decide(decide)).await;
        let end = tokio::time::Instant::now() + DECIDE_WITHIN;
        while tokio::time::Instant::now() < end {
            let at = path.clone();
            let decided = door.ask(move |core, _| {
                let status = core.status();
                let new = status.decided.into_iter().skip(before);
                let waits = status.undecided.contains(&at);
                (
                    new.into_iter().find(|d| d.path == at).map(|d| look::word_of(&d.taken)),
                    waits,
                    core.is_quiet(),
                )
            });
            match decided.await {
                Some((Some(taken), ..)) => {
                    return Ok(Resolved { path, taken });
                }
                Some((None, false, true)) => break,
                Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                None => return Err(failed("the folder ended")),
            }
        }
        Err(failed(format!("{path} could not be decided now")).hint("See bifold conflicts, and bifold status; then try again."))
    }

    /// What is limited.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let (all, each) = self.limits.get();
        let mut limits = vec![Limit {
            device: None,
            up: all.up,
            down: all.down,
        }];
        limits.extend(
            each.into_iter()
                .filter(|(_, r)| r.up.is_some() || r.down.is_some())
                .map(|(device, rates)| Limit {
                    device: Some(self.device_name(device)),
                    up: rates.up,
                    down: rates.down,
                }),
        );
        limits
    }

    /// Sets limits.
    ///
    /// # Errors
    /// If there is no such device.
    pub async fn set_limits(&self, set: SetLimits) -> Result<Vec<Limit>, Trouble> {
        let device = set.device.as_deref().map(|device| self.find_device(device)).transpose()?;
        {
            let mut state = self.lock();
            let rates: &mut Rates = match device {
                None => &mut state.file.limits,
                Some(device) => state.file.limits_of.entry(device.to_string()).or_default(),
            };
            if let Some(up) = set.up {
                rates.up = (up > 0).then_some(up);
            }
            if let Some(down) = set.down {
                rates.down = (down > 0).then_some(down);
            }
            self.limits.set(device, *rates);
            self.home.write(&state.file)?;
        }
        Ok(self.limits())
    }

    /// Everything at a glance.
    pub async fn status(&self) -> Status {
        let numbers: Vec<u64> = self.lock().folders.keys().copied().collect();
        let mut folders = Vec::new();
        for number in numbers {
            folders.extend(self.folder_status(number).await.ok());
        }
        let state = self.lock();
        let addresses = self.net().addresses();
        let mut why: Vec<String> = state.unreadable.iter().map(|t| t.message.clone()).collect();
        if state.cloned_ms.is_some_and(|ms| wall_ms().saturating_sub(ms) < CLONED_MS) {
            why.push(CLONED.into());
        }
        Status {
            device: self.me().to_string(),
            name: state.file.name.clone(),
            why: (!why.is_empty()).then(|| why.join("; ")),
            addresses: addresses.ip.iter().map(ToString::to_string).chain(addresses.relay).collect(),
            folders,
        }
    }

    /// Has the disks looked at, for whoever wants to wait until all is the same.
    ///
    /// # Errors
    /// If there is no such folder.
    pub async fn look(&self, which: &Which) -> Result<(), Trouble> {
        for (_, (door, replicas)) in self.doors(which.folder.as_deref())? {
            for replica in replicas {
                let _ = door.tell(Input::Dirty(replica, Scope::All)).await;
            }
        }
        Ok(())
    }

    /// A device's name, as far as it has one.
    pub(crate) fn device_name(&self, device: DeviceId) -> String {
        let state = self.lock();
        if device == self.me() {
            return state.file.name.clone();
        }
        let named = state.folders.values().find_map(|f| f.roster.members().get(&device.0));
        named.map_or_else(|| device.short(), |member| member.name.clone())
    }
}

const CLONED: &str = "another computer uses this device's key: one of the two is a copy of the other. Nothing is synced while both are connected. On the \
                      copy, stop Bifold, remove the file `key` in its home directory, and have it invited anew";

fn taken_out() -> Trouble {
    Trouble::new(
        TroubleKind::NotAllowed,
        "this device was taken out of the folder by an owner; the files here stay as they are",
    )
    .hint("To take part again, ask for a new ticket; to be rid of the folder here, say bifold remove FOLDER --keep-files.")
}

/// Who tells programs what happens in a folder.
struct ToFaces {
    daemon: Weak<Daemon>,
    folder: u64,
}

impl Told for ToFaces {
    fn event(&mut self, event: crate::run::Event) {
        let Some(daemon) = self.daemon.upgrade() else { return };
        let name = |daemon: &Daemon| {
            daemon
                .lock()
                .folders
                .get(&self.folder)
                .map(|f| f.file.name.clone())
                .unwrap_or_default()
        };
        match event {
            crate::run::Event::Planned { replica, steps } => {
                let state = daemon.lock();
                let Some(folder) = state.folders.get(&self.folder) else {
                    return;
                };
                let path = folder.running.as_ref().and_then(|running| {
                    let place = running.replicas.iter().position(|r| *r == replica)?;
                    running.paths.get(place).cloned()
                });
                let path = path.unwrap_or_else(|| folder.file.path.clone());
                let folder = folder.file.name.clone();
                drop(state);
                daemon.tell(Event::Applying {
                    folder,
                    path,
                    steps: steps.len() as u64,
                });
            }
            crate::run::Event::Progress { bytes, of, .. } => daemon.tell(Event::Progress {
                folder: name(&daemon),
                bytes,
                of,
            }),
            crate::run::Event::Quiet(status) => {
                if let Some(folder) = daemon.lock().folders.get_mut(&self.folder) {
                    folder.halted = status.hosts.iter().any(|host| host.halted.is_some());
                }
                daemon.refresh(self.folder);
            }
        }
    }

    fn ended(&mut self, why: Option<Trouble>) {
        let (Some(daemon), Some(why)) = (self.daemon.upgrade(), why) else {
            return;
        };
        tracing::error!(%why, "a folder ended");
        let mut state = daemon.lock();
        if let Some(folder) = state.folders.get_mut(&self.folder) {
            folder.trouble = Some(why);
            for link in folder.links.values() {
                link.peer.send(Packet::Close {
                    folder: self.folder,
                    reason: "it ended there".into(),
                });
            }
            folder.links.clear();
            // Its thread is this one: nobody waits for it.
            drop(folder.running.take());
        }
        drop(state);
        daemon.refresh(self.folder);
    }
}
