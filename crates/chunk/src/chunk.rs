//! A chunk, and the list of a file's chunks.

use crate::sizes::ChunkSizes;
use bifold_tree::ContentId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most chunks that a file may have: some 5 TiB of file at the usual lengths, 600 MB of list.
pub const MAX_CHUNKS: usize = 1 << 24;

/// The BLAKE3 of a chunk's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkId(pub [u8; 32]);

impl ChunkId {
    /// The id of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> ChunkId {
        ChunkId(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", &blake3::Hash::from_bytes(self.0).to_hex()[..8])
    }
}

/// A piece of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// The BLAKE3 of its bytes.
    pub id: ChunkId,
    /// Bytes, `1..=`[`MAX_CHUNK_BYTES`](crate::MAX_CHUNK_BYTES).
    pub length: u32,
}

impl Chunk {
    /// The chunk that these bytes are. They must not be longer than [`MAX_CHUNK_BYTES`](crate::MAX_CHUNK_BYTES).
    pub(crate) fn of(bytes: &[u8]) -> Chunk {
        Chunk {
            id: ChunkId::of(bytes),
            length: bytes.len() as u32,
        }
    }

    /// The only chunk of a file of one chunk; `None` for an empty file. Whether a file is of one chunk shows when it is
    /// hashed ([`Hashed::chunks`](crate::Hashed::chunks)) or when its bytes arrive; the content id does not tell, so
    /// this is for those who know.
    #[must_use]
    pub fn sole(content: ContentId, size: u64) -> Option<Chunk> {
        let length = u32::try_from(size).ok().filter(|l| *l > 0)?;
        Some(Chunk {
            id: ChunkId(content.0),
            length,
        })
    }
}

/// Why a list cannot be a file's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadList {
    /// A file of no or one chunk has no list.
    #[error("a chunk list of fewer than two chunks")]
    TooFew,
    /// More than [`MAX_CHUNKS`].
    #[error("a chunk list of more than {MAX_CHUNKS} chunks")]
    TooMany,
    /// A chunk that is empty, longer than the longest, or shorter than the shortest and not the last.
    #[error("chunk {index} of the list has {length} bytes, which no file of this size has")]
    Length {
        /// Its number in the list, from 0.
        index: usize,
        /// Its bytes.
        length: u32,
    },
}

/// The chunks of a file that has two or more, in order. Invariant: at most [`MAX_CHUNKS`], and each has a length that
/// [`ChunkSizes`] gives to a file of this size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChunkList {
    chunks: Vec<Chunk>,
    size: u64,
}

impl ChunkList {
    /// The list of these chunks.
    ///
    /// # Errors
    /// [`BadList`], if no file has such a list.
    pub fn new(chunks: Vec<Chunk>) -> Result<ChunkList, BadList> {
        if chunks.len() < 2 {
            return Err(BadList::TooFew);
        }
        if chunks.len() > MAX_CHUNKS {
            return Err(BadList::TooMany);
        }
        let list = ChunkList::of_cut(chunks);
        let sizes = ChunkSizes::of_file(list.size);
        let last = list.chunks.len() - 1;
        for (index, Chunk { length, .. }) in list.chunks.iter().enumerate() {
            let least = if index == last { 1 } else { sizes.min() };
            if !(least..=sizes.max()).contains(&(*length as usize)) {
                return Err(BadList::Length { index, length: *length });
            }
        }
        Ok(list)
    }

    /// The list of what was just cut, which keeps the invariant by itself.
    pub(crate) fn of_cut(chunks: Vec<Chunk>) -> ChunkList {
        // 2^24 chunks of at most 2^32 bytes: no overflow.
        let size = chunks.iter().map(|c| u64::from(c.length)).sum();
        ChunkList { chunks, size }
    }

    /// The chunks, in order.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The file's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Each chunk with the place of its first byte in the file.
    pub fn with_offsets(&self) -> impl Iterator<Item = (u64, Chunk)> + '_ {
        self.chunks.iter().scan(0, |next, chunk| {
            let offset = *next;
            *next += u64::from(chunk.length);
            Some((offset, *chunk))
        })
    }

    /// The chunks alone.
    #[must_use]
    pub fn into_chunks(self) -> Vec<Chunk> {
        self.chunks
    }
}

/// The most chunks that a file of `size` bytes can have.
pub(crate) fn max_chunks(size: u64) -> usize {
    let most = size / ChunkSizes::of_file(size).min() as u64 + 1;
    usize::try_from(most).unwrap_or(MAX_CHUNKS).min(MAX_CHUNKS)
}
