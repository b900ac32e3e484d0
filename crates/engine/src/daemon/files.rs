//! What a home directory holds besides the indexes: who this device is, which folders it has, and who belongs to them. Small files, each
//! written whole or not at all.
//!
//! ```text
//! HOME/key                    this device's key (0600)
//! HOME/home.json              its name, port, limits
//! HOME/lock                   held while a daemon runs
//! HOME/folders/ID/folder.json a folder: where it lies, its roster, its invitations
//! HOME/folders/ID/index.db    its index
//! ```

use crate::daemon::face::{Trouble, TroubleKind};
use bifold_net::DeviceId;
use bifold_net::limits::Rates;
use bifold_net::membership::{Addresses, MAX_REPLICAS, ReplicaName};
use bifold_net::roster::{Entry, EntryId, Role, Roster};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The file of a folder.
const FOLDER: &str = "folder.json";
/// The index of a folder.
pub(crate) const INDEX: &str = "index.db";

/// A home that is this program's alone.
pub(crate) struct HomeDir {
    pub(crate) path: PathBuf,
    _lock: File,
}

/// What is kept in `home.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HomeFile {
    /// What this device is called.
    pub(crate) name: String,
    /// The port that it listened on last.
    pub(crate) port: u16,
    /// Limits of all devices together.
    pub(crate) limits: Rates,
    /// And of each.
    pub(crate) limits_of: BTreeMap<String, Rates>,
}

/// An invitation that was given out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    /// The hash of its secret, in hexadecimal digits.
    pub(crate) secret: String,
    pub(crate) role: Role,
    /// How many devices may still come.
    pub(crate) uses: u32,
    pub(crate) expires_ms: u64,
}

/// What is known of a device in a folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KnownDevice {
    /// Its replicas: its own first.
    pub(crate) replicas: Vec<ReplicaName>,
    /// Ids that this device was about to give a replica, of itself alone.
    pub(crate) drawn: Vec<ReplicaName>,
    /// Replicas that it had and has no more, the latest of them: they will never speak again.
    pub(crate) gone: Vec<ReplicaName>,
    pub(crate) addresses: Addresses,
    /// When it was connected last, milliseconds since 1970.
    pub(crate) seen_ms: Option<u64>,
}

impl KnownDevice {
    /// Takes over what replicas it has. Says whether that is news.
    pub(crate) fn has(&mut self, replicas: Vec<ReplicaName>) -> bool {
        if self.replicas == replicas {
            return false;
        }
        let before = std::mem::replace(&mut self.replicas, replicas);
        self.gone.extend(before);
        self.gone.retain(|name| !self.replicas.contains(name));
        // (Those before them are noted in the index by now.)
        let much = self.gone.len().saturating_sub(MAX_REPLICAS);
        self.gone.drain(..much);
        true
    }
}

/// What is kept in `folder.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FolderFile {
    /// In hexadecimal digits.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Where replicas on shares are.
    #[serde(default)]
    pub(crate) shares: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) paused: bool,
    /// Until when it is paused, milliseconds since 1970; if that is not said, until a person resumes it.
    #[serde(default)]
    pub(crate) paused_until_ms: Option<u64>,
    /// This device's own replica is to join as new, as its index or disk was put back.
    #[serde(default)]
    pub(crate) rejoin: bool,
    /// So are these shares.
    #[serde(default)]
    pub(crate) rejoin_shares: Vec<PathBuf>,
    /// The first entry of the roster, and all of them, postcard in hexadecimal digits.
    pub(crate) root: String,
    pub(crate) roster: Vec<String>,
    #[serde(default)]
    pub(crate) invitations: Vec<Given>,
    /// By device.
    #[serde(default)]
    pub(crate) devices: BTreeMap<String, KnownDevice>,
}

impl FolderFile {
    pub(crate) fn new(number: u64, name: String, path: PathBuf) -> FolderFile {
        FolderFile {
            id: format!("{number:016x}"),
            name,
            path,
            shares: Vec::new(),
            paused: false,
            paused_until_ms: None,
            rejoin: false,
            rejoin_shares: Vec::new(),
            root: String::new(),
            roster: Vec::new(),
            invitations: Vec::new(),
            devices: BTreeMap::new(),
        }
    }

    pub(crate) fn number(&self) -> Option<u64> {
        let number = u64::from_str_radix(&self.id, 16).ok()?;
        (self.id == format!("{number:016x}")).then_some(number)
    }

    /// Takes the roster over, to be written.
    pub(crate) fn keep_roster(&mut self, roster: &Roster) {
        self.root = hex(&roster.root().0);
        let bytes = |entry: &Entry| postcard::to_stdvec(entry).ok();
        self.roster = roster.entries().filter_map(bytes).map(|b| hex(&b)).collect();
    }

    /// The roster.
    pub(crate) fn read_roster(&self) -> Option<Roster> {
        let root: [u8; 32] = unhex(&self.root)?.try_into().ok()?;
        let mut roster = Roster::joined(self.number()?, EntryId(root));
        let entries: Option<Vec<Entry>> = self
            .roster
            .iter()
            .map(|text| postcard::from_bytes(&unhex(text)?).ok())
            .collect();
        roster.merge(entries?).ok()?;
        Some(roster)
    }

    pub(crate) fn device(&mut self, device: DeviceId) -> &mut KnownDevice {
        self.devices.entry(device.to_string()).or_default()
    }

    pub(crate) fn known(&self, device: DeviceId) -> Option<&KnownDevice> {
        self.devices.get(&device.to_string())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

fn failed(path: &Path, what: &str) -> impl FnOnce(std::io::Error) -> Trouble {
    let message = format!("{} cannot be {what}", path.display());
    move |e| {
        Trouble::new(TroubleKind::Failed, format!("{message} ({e})")).hint("See its permissions, and that its disk is not full.")
    }
}

impl HomeDir {
    /// Opens a home, and makes it if need be.
    pub(crate) fn open(path: &Path) -> Result<HomeDir, Trouble> {
        std::fs::create_dir_all(path.join("folders")).map_err(failed(path, "made"))?;
        // Only this user has to do with it.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed(path, "made private"))?;
        }
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed(&lock_path, "opened"))?;
        match lock.try_lock() {
            Ok(()) => Ok(HomeDir {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Trouble::new(
                TroubleKind::InTheWay,
                format!("another daemon runs on the home {}", path.display()),
            )
            .hint("Use that one (see bifold status), stop it first, or name another home with --home DIR.")),
            Err(std::fs::TryLockError::Error(e)) => Err(failed(&lock_path, "locked")(e)),
        }
    }

    pub(crate) fn read(&self) -> Result<HomeFile, Trouble> {
        Ok(read_json(&self.path.join("home.json"))?.unwrap_or_default())
    }

    pub(crate) fn write(&self, file: &HomeFile) -> Result<(), Trouble> {
        write_json(&self.path.join("home.json"), file)
    }

    /// Where a folder's own files are.
    pub(crate) fn folder_dir(&self, id: &str) -> PathBuf {
        self.path.join("folders").join(id)
    }

    /// All folders; what is wrong with one that cannot be read.
    pub(crate) fn folders(&self) -> Result<Vec<Result<FolderFile, Trouble>>, Trouble> {
        let dir = self.path.join("folders");
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(failed(&dir, "listed"))? {
            let path = entry.map_err(failed(&dir, "listed"))?.path().join(FOLDER);
            match read_json::<FolderFile>(&path) {
                Ok(Some(file)) if file.number().is_none() || file.read_roster().is_none() => all.push(Err(damaged(&path))),
                Ok(Some(file)) => all.push(Ok(file)),
                Ok(None) => {}
                Err(trouble) => all.push(Err(trouble)),
            }
        }
        Ok(all)
    }

    pub(crate) fn write_folder(&self, file: &FolderFile) -> Result<(), Trouble> {
        let dir = self.folder_dir(&file.id);
        std::fs::create_dir_all(&dir).map_err(failed(&dir, "made"))?;
        write_json(&dir.join(FOLDER), file)
    }

    /// Forgets a folder; its index goes too.
    pub(crate) fn forget_folder(&self, id: &str) -> Result<(), Trouble> {
        let dir = self.folder_dir(id);
        // The file first: without it, there is no such folder.
        match std::fs::remove_file(dir.join(FOLDER)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(&dir, "removed")(e)),
            _ => {}
        }
        #[cfg(unix)]
        if let Ok(dir) = File::open(&dir) {
            dir.sync_all().map_err(failed(&self.path, "written"))?;
        }
        match std::fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed(&dir, "removed")(e)),
            _ => Ok(()),
        }
    }
}

/// Puts a file in the place of another. On Windows that is refused for moments while anyone reads the old one: a virus scanner, say.
fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let tries = if cfg!(windows) { 20 } else { 0 };
    for _ in 0..tries {
        match std::fs::rename(from, to) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => std::thread::sleep(std::time::Duration::from_millis(25)),
            done => return done,
        }
    }
    std::fs::rename(from, to)
}

fn damaged(path: &Path) -> Trouble {
    Trouble::new(TroubleKind::Failed, format!("{} is damaged", path.display()))
        .hint("Put it back from a backup, or move it away and join the folder again: its files are merged as a union.")
}

/// Whether bytes are a folder's file, all of which can be understood.
#[must_use]
pub fn is_folder_file(bytes: &[u8]) -> bool {
    serde_json::from_slice::<FolderFile>(bytes).is_ok_and(|file| file.number().is_some() && file.read_roster().is_some())
}

/// Whether bytes are a home's file.
#[must_use]
pub fn is_home_file(bytes: &[u8]) -> bool {
    serde_json::from_slice::<HomeFile>(bytes).is_ok()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Trouble> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| damaged(path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(path, "read")(e)),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Trouble> {
    let aside = path.with_extension("json.new");
    let write = || {
        let bytes = serde_json::to_vec_pretty(value).map_err(std::io::Error::other)?;
        let mut file = File::create(&aside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        replace(&aside, path)?;
        // Its name too is to outlast a power cut. (Windows has no such thing.)
        #[cfg(unix)]
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(failed(path, "written"))
}
