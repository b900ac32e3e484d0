//! The daemon: all folders of a home directory, and the devices that they are shared with. The one face that programs see: what can be asked
//! and said is in [`face`].

mod acts;
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
mod life;
mod look;
mod members;
mod past;
mod serve;

pub use files::{is_folder_file, is_home_file};

use crate::core::Input;
use crate::daemon::face::{Event, Role, Status, Trouble, TroubleKind, Which};
use crate::daemon::files::{FolderFile, HomeDir, HomeFile};
use crate::daemon::hub::{Answers, Folder, Joining};
use crate::daemon::look::Way;
use crate::run::{random, wall_ms};
use bifold_disk::scan::Scope;
use bifold_net::identity::KeyPlace;
use bifold_net::keyring::Keyring;
use bifold_net::limits::Limits;
use bifold_net::link::{Net, NetEvent, Options, Relay};
use bifold_net::{DeviceId, Identity, SecretKey, roster};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

/// Events that may wait for whoever listens.
const EVENTS: usize = 4096;
/// What comes from other devices and may wait.
const FROM_PEERS: usize = 256;
/// How often it is seen to that what ought to run does.
const CARE: Duration = Duration::from_secs(5);
/// For so long after two computers with one key were seen, it is told.
const CLONED_MS: u64 = 10 * 60 * 1000;
/// A replica begins anew by itself at most once in so many milliseconds.
const REJOIN_MS: u64 = 3600 * 1000;

const CLONED: &str = "another computer uses this device's key: one of the two is a copy of the other. Nothing is synced while both are connected. On the \
                      copy, stop Bifold, remove the file `key` in its home directory, and have it invited anew";

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
            by(&|f| Some(&f.file.path) == path.as_ref()),
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
