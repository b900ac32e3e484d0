//! What devices tell each other about a folder before anything else: who belongs to it, which replicas are whose, and where devices
//! were last.

use crate::identity::DeviceId;
use crate::roster::{Entry, EntryId};
use bifold_protocol::wire::WireError;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Most addresses that are kept of a device.
pub const MAX_ADDRESSES: usize = 8;
/// Longest URL of a relay, in bytes.
const MAX_URL: usize = 256;
/// Most replicas that one device may have of a folder: its own, and those on shares that it has mounted.
pub const MAX_REPLICAS: usize = 64;
/// Most devices that are spoken of at once.
const MAX_DEVICES: usize = 4096;

/// Where a device may be reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Addresses {
    /// Directly.
    pub ip: Vec<SocketAddr>,
    /// Through this relay, a URL.
    pub relay: Option<String>,
}

impl Addresses {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ip.is_empty() && self.relay.is_none()
    }
}

/// A replica's id, of which it can be seen whose it is: it is made of its device's id, its folder's, and a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ReplicaName {
    /// The id.
    pub id: u64,
    /// The number.
    pub number: u64,
}

impl ReplicaName {
    /// The id that a device's replica of a folder has under a number.
    #[must_use]
    pub fn new(device: DeviceId, folder: u64, number: u64) -> ReplicaName {
        let mut hasher = blake3::Hasher::new_derive_key("bifold 2026 replica id");
        hasher.update(&device.0);
        hasher.update(&folder.to_le_bytes());
        hasher.update(&number.to_le_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        ReplicaName {
            // 0 is nobody's.
            id: u64::from_le_bytes(id).max(1),
            number,
        }
    }

    /// Whether it is this device's.
    #[must_use]
    pub fn is_of(&self, device: DeviceId, folder: u64) -> bool {
        *self == ReplicaName::new(device, folder, self.number)
    }
}

/// What is known of a device in a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known {
    /// Which.
    pub device: DeviceId,
    /// Its replicas; the first is its own, the others lie on shares.
    pub replicas: Vec<ReplicaName>,
    /// Where it was last.
    pub addresses: Addresses,
}

/// What a device tells of a folder.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Membership {
    /// What the folder is called.
    pub name: String,
    /// The first entry of its roster.
    pub root: EntryId,
    /// Its roster.
    pub entries: Vec<Entry>,
    /// The device itself first, then others.
    pub known: Vec<Known>,
    /// The speaker was not told of the folder by the other yet: it waits for an answer of this kind.
    pub asks: bool,
}

impl Membership {
    /// As bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        postcard::to_stdvec(self).map_err(|_| WireError::Malformed("what cannot be written"))
    }

    /// From a peer's bytes.
    ///
    /// # Errors
    /// If they are something else, or more than allowed.
    pub fn decode(bytes: &[u8]) -> Result<Membership, WireError> {
        let malformed = || WireError::Malformed("not a word on membership");
        let (told, rest) = postcard::take_from_bytes::<Membership>(bytes).map_err(|_| malformed())?;
        let fits = |known: &Known| {
            known.replicas.len() <= MAX_REPLICAS
                && known.addresses.ip.len() <= MAX_ADDRESSES
                && known.addresses.relay.as_ref().is_none_or(|url| url.len() <= MAX_URL)
        };
        let whole = rest.is_empty() && told.name.len() <= crate::roster::MAX_NAME_BYTES;
        if whole && told.known.len() <= MAX_DEVICES && told.known.iter().all(fits) {
            Ok(told)
        } else {
            Err(malformed())
        }
    }
}
