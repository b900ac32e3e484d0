//! A device's identity: an ed25519 key, made at the first start. Its public half is the device's id.

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
    /// The system has no random numbers.
    #[error("the system gives no random numbers, which a key is made of")]
    NoRandom,
}

/// A device's key.
#[derive(Clone, Debug)]
pub struct Identity {
    key: SecretKey,
}

impl Identity {
    /// The key in a file; made if it is not there yet, for this user alone.
    ///
    /// # Errors
    /// If it cannot be read or written, is damaged, or others can read it.
    pub fn load_or_make(path: &Path) -> Result<Identity, IdentityError> {
        let failed = |what| {
            move |source| IdentityError::File {
                path: path.to_owned(),
                what,
                source,
            }
        };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                if exposed(path).map_err(failed("read"))? {
                    return Err(IdentityError::Exposed { path: path.to_owned() });
                }
                let bytes = data_encoding::HEXLOWER.decode(text.trim().as_bytes()).ok();
                let bytes: Option<[u8; 32]> = bytes.and_then(|b| b.try_into().ok());
                let bytes = bytes.ok_or_else(|| IdentityError::Damaged { path: path.to_owned() })?;
                Ok(Identity {
                    key: SecretKey::from_bytes(&bytes),
                })
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let mut bytes = [0; 32];
                getrandom::fill(&mut bytes).map_err(|_| IdentityError::NoRandom)?;
                write_private(path, format!("{}\n", data_encoding::HEXLOWER.encode(&bytes)).as_bytes())
                    .map_err(failed("written"))?;
                Ok(Identity {
                    key: SecretKey::from_bytes(&bytes),
                })
            }
            Err(e) if e.kind() == ErrorKind::InvalidData => Err(IdentityError::Damaged { path: path.to_owned() }),
            Err(e) => Err(failed("read")(e)),
        }
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
