//! A device's identity: an ed25519 key, made at the first start. Its public half is the device's id.

use crate::keyring::Vault;
use iroh::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// A device's id: its public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId(pub [u8; 32]);

impl DeviceId {
    /// Of a public key.
    #[must_use]
    pub fn of(key: &PublicKey) -> DeviceId {
        DeviceId(*key.as_bytes())
    }

    /// The public key, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        PublicKey::from_bytes(&self.0).ok()
    }

    /// The first characters: enough to tell the devices of a team apart.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }

    /// From what [`Display`](std::fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<DeviceId> {
        let bytes = data_encoding::BASE32_NOPAD
            .decode(text.trim().to_ascii_uppercase().as_bytes())
            .ok()?;
        Some(DeviceId(bytes.try_into().ok()?))
    }
}

impl std::fmt::Display for DeviceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl std::fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.short())
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("the device's key {path} cannot be {what} ({source})")]
    File {
        /// Which.
        path: PathBuf,
        /// Read or written.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error(
        "the device's key {path} is damaged: put it back from a backup, or move it away: the device then gets a new identity, and must be invited again"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "the device's key {path} can be read by other users: make it private (chmod 600), and if one of them may have read it, move it away instead"
    )]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// The keyring cannot be asked.
    #[error(
        "the system's keyring cannot be used for the device's key ({0}): see that it runs and is unlocked, or keep the key in a file (--key file), if it is not in the keyring yet"
    )]
    Keyring(String),
    /// The keyring has it no more.
    #[error(
        "the system's keyring does not have the device's key, which {path} says is there: put the keyring back from a backup, or move that file away: the device then gets a new identity, and must be invited again"
    )]
    NotKept {
        /// What leads there.
        path: PathBuf,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers, which a key is made of")]
    NoRandom,
}

/// A device's key.
#[derive(Clone, Debug)]
pub struct Identity {
    key: SecretKey,
}

/// Where a device's key lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPlace {
    /// In a file that this user alone can read.
    File,
    /// In the system's keyring; the file says so.
    Keyring,
}

/// What a file says instead of the key, before the device's id.
const ELSEWHERE: &str = "keyring ";

enum Found {
    Key(SecretKey),
    Elsewhere(DeviceId),
}

impl Identity {
    /// The key that a file holds or leads to; made if there is none yet. It is moved to `place` if that is said, and stays where it
    /// is otherwise. May wait for a person to unlock the keyring.
    ///
    /// # Errors
    /// If it cannot be read or written, is damaged, others can read it, or the keyring does not give or take it. The key is then
    /// where it was.
    pub fn load_or_make(path: &Path, place: Option<KeyPlace>, vault: &dyn Vault) -> Result<Identity, IdentityError> {
        let (key, old) = match find(path)? {
            Some(Found::Key(key)) => (key, Some(KeyPlace::File)),
            Some(Found::Elsewhere(device)) => (fetch(path, vault, device)?, Some(KeyPlace::Keyring)),
            None => {
                let mut bytes = [0; 32];
                getrandom::fill(&mut bytes).map_err(|_| IdentityError::NoRandom)?;
                (SecretKey::from_bytes(&bytes), None)
            }
        };
        let identity = Identity { key };
        let new = place.or(old).unwrap_or(KeyPlace::File);
        if old != Some(new) {
            identity.put(path, new, vault)?;
        }
        if old == Some(KeyPlace::Keyring)
            && new == KeyPlace::File
            && let Err(why) = vault.forget(&identity.device().to_string())
        {
            tracing::warn!(
                why,
                "the device's key is in a file now, and cannot be taken out of the keyring"
            );
        }
        Ok(identity)
    }

    /// Puts it at a place.
    fn put(&self, path: &Path, place: KeyPlace, vault: &dyn Vault) -> Result<(), IdentityError> {
        let name = self.device().to_string();
        let text = match place {
            KeyPlace::File => data_encoding::HEXLOWER.encode(&self.key.to_bytes()),
            KeyPlace::Keyring => {
                vault.put(&name, &self.key.to_bytes()).map_err(IdentityError::Keyring)?;
                let kept = vault.get(&name).map_err(IdentityError::Keyring)?;
                if kept.as_deref() != Some(&self.key.to_bytes()[..]) {
                    return Err(IdentityError::Keyring("it does not give back what it was given".into()));
                }
                format!("{ELSEWHERE}{name}")
            }
        };
        write_private(path, format!("{text}\n").as_bytes()).map_err(failed(path, "written"))
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The device's id.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::of(&self.key.public())
    }
}

fn failed(path: &Path, what: &'static str) -> impl Fn(std::io::Error) -> IdentityError {
    move |source| IdentityError::File {
        path: path.to_owned(),
        what,
        source,
    }
}

fn find(path: &Path) -> Result<Option<Found>, IdentityError> {
    let damaged = || IdentityError::Damaged { path: path.to_owned() };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == ErrorKind::InvalidData => return Err(damaged()),
        Err(e) => return Err(failed(path, "read")(e)),
    };
    if exposed(path).map_err(failed(path, "read"))? {
        return Err(IdentityError::Exposed { path: path.to_owned() });
    }
    let text = text.trim();
    if let Some(device) = text.strip_prefix(ELSEWHERE) {
        return DeviceId::parse(device).map(Found::Elsewhere).map(Some).ok_or_else(damaged);
    }
    let bytes: Option<[u8; 32]> = data_encoding::HEXLOWER
        .decode(text.as_bytes())
        .ok()
        .and_then(|b| b.try_into().ok());
    let bytes = bytes.ok_or_else(damaged)?;
    Ok(Some(Found::Key(SecretKey::from_bytes(&bytes))))
}

fn fetch(path: &Path, vault: &dyn Vault, device: DeviceId) -> Result<SecretKey, IdentityError> {
    let kept = vault.get(&device.to_string()).map_err(IdentityError::Keyring)?;
    let bytes: Option<[u8; 32]> = kept.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(|bytes| SecretKey::from_bytes(&bytes))
        .filter(|key| DeviceId::of(&key.public()) == device)
        .ok_or_else(|| IdentityError::NotKept { path: path.to_owned() })
}

/// Writes a file that only this user can read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    // Its name too is to outlast a power cut. (Windows has no such thing.)
    #[cfg(unix)]
    if let Some(dir) = path.parent() {
        std::fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(unix)]
fn exposed(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn exposed(_path: &Path) -> std::io::Result<bool> {
    Ok(false) // what lies in a user's own directories is that user's
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Fake {
        kept: RefCell<BTreeMap<String, Vec<u8>>>,
        locked: bool,
    }

    impl Vault for Fake {
        fn put(&self, name: &str, secret: &[u8]) -> Result<(), String> {
            if self.locked {
                return Err("locked".into());
            }
            self.kept.borrow_mut().insert(name.into(), secret.into());
            Ok(())
        }
        fn get(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
            if self.locked {
                return Err("locked".into());
            }
            Ok(self.kept.borrow().get(name).cloned())
        }
        fn forget(&self, name: &str) -> Result<(), String> {
            assert!(!self.locked, "it is not asked without need");
            self.kept.borrow_mut().remove(name);
            Ok(())
        }
    }

    #[test]
    fn a_key_goes_into_the_keyring_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let vault = Fake::default();
        let load = |place| Identity::load_or_make(&path, place, &vault).map(|i| i.device());
        let device = load(None).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(load(Some(KeyPlace::Keyring)).unwrap(), device);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("keyring {device}\n"));
        assert_eq!(vault.kept.borrow().len(), 1);
        assert_eq!(load(None).unwrap(), device, "it stays there");
        assert_eq!(load(Some(KeyPlace::File)).unwrap(), device);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
        assert!(vault.kept.borrow().is_empty());
    }

    #[test]
    fn a_new_key_in_the_keyring_is_in_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let vault = Fake::default();
        let device = Identity::load_or_make(&path, Some(KeyPlace::Keyring), &vault)
            .unwrap()
            .device();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("keyring {device}\n"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_keyring_that_does_not_answer_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let locked = Fake {
            locked: true,
            ..Fake::default()
        };
        let device = Identity::load_or_make(&path, None, &locked).unwrap().device();
        let refused = Identity::load_or_make(&path, Some(KeyPlace::Keyring), &locked);
        assert!(matches!(refused, Err(IdentityError::Keyring(_))));
        assert_eq!(Identity::load_or_make(&path, None, &locked).unwrap().device(), device);
        // One without the key makes no new identity.
        let vault = Fake::default();
        Identity::load_or_make(&path, Some(KeyPlace::Keyring), &vault).unwrap();
        vault.kept.borrow_mut().insert(device.to_string(), vec![7; 32]);
        let refused = Identity::load_or_make(&path, None, &vault);
        assert!(matches!(refused, Err(IdentityError::NotKept { .. })));
        vault.kept.borrow_mut().clear();
        let refused = Identity::load_or_make(&path, Some(KeyPlace::File), &vault);
        assert!(matches!(refused, Err(IdentityError::NotKept { .. })));
    }
}
