//! Bytes and chunk lists to try things on.

use bifold_chunk::{Chunk, ChunkId, ChunkList};

/// Random-looking bytes, the same for the same seed.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// A chunk that no bytes were hashed for, of 64 KiB.
pub fn chunk(seed: u64) -> Chunk {
    Chunk {
        id: ChunkId::of(&seed.to_le_bytes()),
        length: 64 << 10,
    }
}

/// A list of such chunks.
pub fn list(seeds: impl IntoIterator<Item = u64>) -> ChunkList {
    ChunkList::new(seeds.into_iter().map(chunk).collect()).unwrap()
}
