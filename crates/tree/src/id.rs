//! Names: of replicas, of transactions (dots), of nodes and of contents.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A replica's own random id, drawn when its index is made. An index that was rebuilt or restored is another
/// writer and has another id; the wire calls it the *epoch*. Zero is nobody's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ReplicaId(pub u64);

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The name of one scan's transaction on one replica. `time` is a hybrid logical clock (milliseconds since 1970 or
/// more, see [`crate::Replica`]). Dots are unique and totally ordered; "newest" always means the greatest dot.
///
/// Source: hybrid logical clocks, Kulkarni et al., OPODIS 2014; dotted version vectors, Preguiça et al., 2010.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Dot {
    /// Hybrid logical time.
    pub time: u64,
    /// Who wrote it.
    pub replica: ReplicaId,
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.replica, self.time)
    }
}

/// The dot of a node's birth, and which of that scan's births it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct NodeId {
    /// The scan that saw it first.
    pub dot: Dot,
    /// Its number among the births of that scan, from 0.
    pub index: u32,
}

impl NodeId {
    /// The folder's root: no device made it, every replica has it.
    pub const ROOT: NodeId = NodeId {
        dot: Dot {
            time: 0,
            replica: ReplicaId(0),
        },
        index: 0,
    };

    /// A short name for people, made of digits and letters that are hard to mix up; `length` characters, at most 16.
    /// Equal on all devices.
    #[must_use]
    pub fn short(&self, length: usize) -> String {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.dot.time.to_le_bytes());
        hasher.update(&self.dot.replica.0.to_le_bytes());
        hasher.update(&self.index.to_le_bytes());
        let hash = hasher.finalize();
        hash.as_bytes()
            .iter()
            .take(length.min(16))
            .map(|b| DIGITS[usize::from(b & 31)] as char)
            .collect()
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == NodeId::ROOT {
            write!(f, "root")
        } else {
            write!(f, "{:?}.{}", self.dot, self.index)
        }
    }
}

/// The name of some bytes: of a file of one chunk, the BLAKE3 of its bytes; of a larger one, the root of its manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ContentId(pub [u8; 32]);

impl ContentId {
    /// The content id of a file without bytes.
    #[must_use]
    pub fn empty() -> ContentId {
        ContentId(*blake3::hash(b"").as_bytes())
    }

    /// The id that stands for a link's target; no file has it.
    #[must_use]
    pub fn of_link(target: &str) -> ContentId {
        ContentId(
            *blake3::Hasher::new_derive_key("bifold link target v1")
                .update(target.as_bytes())
                .finalize()
                .as_bytes(),
        )
    }

    /// From what [`hex`](Self::hex) writes.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<ContentId> {
        blake3::Hash::from_hex(text).ok().map(|hash| ContentId(*hash.as_bytes()))
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", &self.hex()[..8])
    }
}
