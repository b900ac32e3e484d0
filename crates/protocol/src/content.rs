//! How bytes of files are asked for: a request on a stream of its own, and its answer, item after item. What an item should be is
//! known to who asked, and verified there: an answer is never trusted.

use crate::wire::{FolderNumber, WireError};
use bifold_chunk::{Chunk, ChunkId, Packing};
use bifold_tree::ContentId;
use serde::{Deserialize, Serialize};

/// Most contents or chunks in one request.
pub const MAX_WANTED: usize = 2048;
/// Most bytes of a request.
pub const MAX_REQUEST_BYTES: usize = 256 << 10;
/// Most bytes that one request may ask for, and one item may have.
pub const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Bytes before an item: how it is packed, and its length, the lowest first.
pub const ITEM_HEAD_BYTES: usize = 5;

/// Which requests go first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Lane {
    /// Someone has just changed it.
    Interactive,
    /// A first copy, or what has piled up.
    Bulk,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Of which folder: only who is a member of it is answered.
    pub folder: FolderNumber,
    /// How urgent it is.
    pub lane: Lane,
    /// What is asked for.
    pub wanted: Wanted,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wanted {
    /// Whole contents: one item each, in this order.
    Contents(Vec<(ContentId, u64)>),
    /// The nodes of a content's manifest that a holder of another one lacks: any number of items, then an absent one.
    Manifest {
        /// Of which content.
        content: ContentId,
        /// The manifest that the asker holds.
        have: Option<ContentId>,
    },
    /// Chunks of a content: one item each, in this order.
    Chunks {
        /// Of which content.
        content: ContentId,
        /// Where each is in it, and what it is.
        chunks: Vec<(u64, Chunk)>,
    },
}

impl Request {
    /// As bytes.
    ///
    /// # Errors
    /// If it asks for too much at once.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        self.check()?;
        postcard::to_stdvec(self).map_err(|_| WireError::Malformed("what cannot be written"))
    }

    /// From bytes that came from a peer.
    ///
    /// # Errors
    /// If it is no request, or asks for too much at once.
    pub fn decode(bytes: &[u8]) -> Result<Request, WireError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(WireError::TooLong {
                what: "a request",
                bytes: bytes.len(),
                limit: MAX_REQUEST_BYTES,
            });
        }
        let (request, rest) = postcard::take_from_bytes::<Request>(bytes).map_err(|_| WireError::Malformed("not a request"))?;
        if !rest.is_empty() {
            return Err(WireError::Malformed("more than a request"));
        }
        request.check()?;
        Ok(request)
    }

    /// How many bytes it asks for; of a manifest it is not known.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.wanted {
            Wanted::Contents(contents) => total(contents.iter().map(|(_, size)| *size)),
            Wanted::Chunks { chunks, .. } => total(chunks.iter().map(|(_, c)| u64::from(c.length))),
            Wanted::Manifest { .. } => 0,
        }
    }

    fn check(&self) -> Result<(), WireError> {
        let count = match &self.wanted {
            Wanted::Contents(contents) => contents.len(),
            Wanted::Chunks { chunks, .. } => chunks.len(),
            Wanted::Manifest { .. } => 1,
        };
        let bytes = self.bytes();
        if count > MAX_WANTED || bytes > MAX_ANSWER_BYTES {
            return Err(WireError::TooLong {
                what: "a request for",
                bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
                limit: MAX_ANSWER_BYTES as usize,
            });
        }
        Ok(())
    }
}

fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

/// What comes before an item's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemHead {
    /// The answerer does not have it, or not any more; of a manifest: that was all.
    Absent,
    /// So many bytes follow.
    Bytes {
        /// How they are packed.
        packing: Packing,
        /// Their number, as they are sent.
        length: u32,
    },
}

impl ItemHead {
    /// As bytes.
    #[must_use]
    pub fn encode(self) -> [u8; ITEM_HEAD_BYTES] {
        let (kind, length) = match self {
            ItemHead::Absent => (0, 0),
            ItemHead::Bytes { packing, length } => (if packing == Packing::Plain { 1 } else { 2 }, length),
        };
        let [a, b, c, d] = length.to_le_bytes();
        [kind, a, b, c, d]
    }

    /// From bytes that came from a peer.
    ///
    /// # Errors
    /// If no item begins so, or it would be longer than any can be.
    pub fn decode(bytes: [u8; ITEM_HEAD_BYTES]) -> Result<ItemHead, WireError> {
        let [kind, a, b, c, d] = bytes;
        let length = u32::from_le_bytes([a, b, c, d]);
        if u64::from(length) > MAX_ANSWER_BYTES {
            return Err(WireError::TooLong {
                what: "an item",
                bytes: length as usize,
                limit: MAX_ANSWER_BYTES as usize,
            });
        }
        match (kind, length) {
            (0, 0) => Ok(ItemHead::Absent),
            (1, _) => Ok(ItemHead::Bytes {
                packing: Packing::Plain,
                length,
            }),
            (2, _) => Ok(ItemHead::Bytes {
                packing: Packing::Zstd,
                length,
            }),
            _ => Err(WireError::Malformed("not an item")),
        }
    }
}

/// Whether bytes are the chunk that was asked for.
#[must_use]
pub fn is_chunk(bytes: &[u8], chunk: &Chunk) -> bool {
    bytes.len() as u64 == u64::from(chunk.length) && ChunkId::of(bytes) == chunk.id
}
