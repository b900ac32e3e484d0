//! The first bytes of a hash, as a key.

use bifold_chunk::ChunkId;
use bifold_tree::ContentId;

/// The first 8 bytes, big-endian.
fn of_hash(hash: &[u8; 32]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The key under which a content is found.
pub(crate) fn of_content(content: ContentId) -> i64 {
    of_hash(&content.0)
}

/// The key under which a chunk is found. A content of one chunk has the key of that chunk.
pub(crate) fn of_chunk(chunk: ChunkId) -> i64 {
    of_hash(&chunk.0)
}
