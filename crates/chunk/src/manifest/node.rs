//! A node of the tree: where it is cut, how it is encoded, how it is named.

use super::ManifestError;
use crate::chunk::{Chunk, ChunkId};
use std::ops::Range;

/// A node has at least so many entries, but for the last of its level.
pub const MIN_FANOUT: usize = 64;

/// A node has at most so many entries.
pub const MAX_FANOUT: usize = 1024;

/// No encoded node has more bytes.
pub const MAX_NODE_BYTES: usize = 1 + MAX_FANOUT * LEAF_ENTRY_BYTES;

/// A chunk in a leaf: 32 bytes of id, 4 of length (little-endian).
pub(super) const LEAF_ENTRY_BYTES: usize = 36;

/// A child in a parent: its name.
const PARENT_ENTRY_BYTES: usize = 32;

/// No node is higher above the leaves. 2^24 chunks make at most 2^18 + 1 leaves, 2^12 + 1 nodes above them, then 2^6 + 1,
/// 2, 1.
pub(super) const MAX_HEIGHT: u8 = 4;

/// What sets the names of nodes apart from the hashes of file bytes.
const DOMAIN: &str = "bifold manifest node v1";

/// The BLAKE3 of a node's encoding, in a domain of its own (BLAKE3's `derive_key`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Name(pub [u8; 32]);

impl Name {
    pub fn of(encoded: &[u8]) -> Name {
        Name(blake3::derive_key(DOMAIN, encoded))
    }
}

/// A node of a manifest at hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub name: Name,
    /// Its entries: of a leaf, chunks by number; of a parent, nodes of the level below by number.
    pub children: Range<usize>,
    /// The chunks under it, by number.
    pub chunks: Range<usize>,
}

/// Cuts `count` entries into nodes: after an entry whose hash ends with a zero byte (one in 256), with at least
/// [`MIN_FANOUT`] and at most [`MAX_FANOUT`] entries each; 310 on average.
pub(super) fn cut_children<'a>(count: usize, hash: impl Fn(usize) -> &'a [u8; 32]) -> Vec<Range<usize>> {
    let mut nodes = Vec::with_capacity(count / 256 + 1);
    let mut start = 0;
    for i in 0..count {
        let entries = i + 1 - start;
        if i + 1 == count || entries == MAX_FANOUT || (entries >= MIN_FANOUT && hash(i)[31] == 0) {
            nodes.push(start..i + 1);
            start = i + 1;
        }
    }
    nodes
}

pub(super) fn encode_chunk(chunk: &Chunk, out: &mut Vec<u8>) {
    out.extend_from_slice(&chunk.id.0);
    out.extend_from_slice(&chunk.length.to_le_bytes());
}

pub(super) fn decode_chunk(entry: &[u8; LEAF_ENTRY_BYTES]) -> Chunk {
    let mut id = [0; 32];
    id.copy_from_slice(&entry[..32]);
    Chunk {
        id: ChunkId(id),
        length: u32::from_le_bytes([entry[32], entry[33], entry[34], entry[35]]),
    }
}

/// Height 0, then the chunks.
pub(super) fn encode_leaf(chunks: &[Chunk]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + chunks.len() * LEAF_ENTRY_BYTES);
    out.push(0);
    chunks.iter().for_each(|chunk| encode_chunk(chunk, &mut out));
    out
}

/// The height above the leaves, then the children's names.
pub(super) fn encode_parent(height: u8, children: &[Node]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + children.len() * PARENT_ENTRY_BYTES);
    out.push(height);
    children.iter().for_each(|child| out.extend_from_slice(&child.name.0));
    out
}

/// A node as it came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entries<'a> {
    Leaf(&'a [[u8; LEAF_ENTRY_BYTES]]),
    Parent(&'a [[u8; PARENT_ENTRY_BYTES]]),
}

/// The height and the entries of an encoded node; between 1 and [`MAX_FANOUT`] of them.
pub(super) fn decode_node(encoded: &[u8]) -> Result<(u8, Entries<'_>), ManifestError> {
    let (&height, body) = encoded.split_first().ok_or(ManifestError::Malformed)?;
    let (entries, count, rest) = if height == 0 {
        let (entries, rest) = body.as_chunks();
        (Entries::Leaf(entries), entries.len(), rest)
    } else {
        let (entries, rest) = body.as_chunks();
        (Entries::Parent(entries), entries.len(), rest)
    };
    if height > MAX_HEIGHT || !rest.is_empty() || !(1..=MAX_FANOUT).contains(&count) {
        return Err(ManifestError::Malformed);
    }
    Ok((height, entries))
}
