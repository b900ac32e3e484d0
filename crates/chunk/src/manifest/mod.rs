//! The chunk list as a hash tree, whose root names a file of many chunks.

mod exchange;
mod node;

use crate::chunk::{BadList, Chunk, ChunkList, max_chunks};
use bifold_tree::ContentId;
pub use exchange::Arriving;
use node::{LEAF_ENTRY_BYTES, Name, Node, cut_children, decode_chunk, encode_chunk, encode_leaf, encode_parent};
pub use node::{MAX_FANOUT, MAX_NODE_BYTES, MIN_FANOUT};

/// The first byte of an encoded manifest.
const VERSION: u8 = 1;

/// Why bytes are not the manifest that was expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are no manifest of this version, or a node is not of the form that a node has.
    #[error("malformed manifest")]
    Malformed,
    /// There is more than a file of the expected size can have.
    #[error("the manifest is larger than a file of this size can have")]
    TooLarge,
    /// The chunks are not those of any file.
    #[error(transparent)]
    List(#[from] BadList),
    /// The manifest is of a file of another size.
    #[error("expected the manifest of {expected} bytes, got that of {got}")]
    Size {
        /// In bytes.
        expected: u64,
        /// In bytes.
        got: u64,
    },
    /// The manifest is of another file.
    #[error("expected manifest {expected:?}, got {got:?}")]
    Root {
        /// As the tree says.
        expected: ContentId,
        /// As the chunks give.
        got: ContentId,
    },
    /// A node is neither among those that came nor among those that were held.
    #[error("a node of the manifest is missing")]
    Missing,
}

/// A chunk list as a hash tree.
///
/// The list is cut into leaves at content-defined points, each leaf is named by the hash of its encoding, the list of
/// names is cut and named alike, and so on up to one root. Two versions of a file share all nodes but those on the way
/// from the change to the root. A node has [`MIN_FANOUT`] to [`MAX_FANOUT`] entries, fewer only at the end of a level.
///
/// The names are of another domain than the hashes of file bytes, so that no file's bytes can pass for a node. An equal
/// list always gives an equal tree; a tree that is cut otherwise is refused although its hashes fit.
///
/// Source: content-defined cuts by a hash's low bits, LBFS, Muthitacharoen et al., SOSP 2001; trees of such cuts are known
/// as prolly trees (Noms, 2015).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    list: ChunkList,
    /// The leaves first, the root alone last.
    levels: Vec<Vec<Node>>,
    root: Name,
}

impl Manifest {
    /// The tree over this list.
    #[must_use]
    pub fn new(list: ChunkList) -> Manifest {
        let chunks = list.chunks();
        let mut level: Vec<Node> = cut_children(chunks.len(), |i| &chunks[i].id.0)
            .into_iter()
            .map(|range| Node {
                name: Name::of(&encode_leaf(&chunks[range.clone()])),
                children: range.clone(),
                chunks: range,
            })
            .collect();
        let mut levels = Vec::new();
        // Each level has fewer nodes than the one below, as MIN_FANOUT is more than one.
        while level.len() > 1 {
            let height = levels.len() as u8 + 1;
            let above = cut_children(level.len(), |i| &level[i].name.0)
                .into_iter()
                .map(|range| {
                    let children = &level[range.clone()];
                    let chunks = children.first().map_or(0, |c| c.chunks.start)..children.last().map_or(0, |c| c.chunks.end);
                    Node {
                        name: Name::of(&encode_parent(height, children)),
                        children: range,
                        chunks,
                    }
                })
                .collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        // A list is never empty, so there is a root.
        let root = level.first().map_or(Name([0; 32]), |node| node.name);
        levels.push(level);
        Manifest { list, levels, root }
    }

    /// The content id of the file.
    #[must_use]
    pub fn root(&self) -> ContentId {
        ContentId(self.root.0)
    }

    /// The file's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.list.size()
    }

    /// The chunks, in order; [`ChunkList::with_offsets`] says where they lie.
    #[must_use]
    pub fn list(&self) -> &ChunkList {
        &self.list
    }

    /// The chunk list alone.
    #[must_use]
    pub fn into_list(self) -> ChunkList {
        self.list
    }

    /// The whole manifest as bytes: a version, then 36 bytes for each chunk. The inner nodes follow from these.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let chunks = self.list.chunks();
        let mut bytes = Vec::with_capacity(1 + chunks.len() * LEAF_ENTRY_BYTES);
        bytes.push(VERSION);
        chunks.iter().for_each(|chunk| encode_chunk(chunk, &mut bytes));
        bytes
    }

    /// The manifest of a file of which the tree says that it is `content` and has `size` bytes, from what
    /// [`encode`](Manifest::encode) gave. The bytes may come from anyone: a result is the right one.
    ///
    /// # Errors
    /// [`ManifestError`]. More than [`max_encoded_bytes`] are refused before memory is taken for them.
    pub fn decode(bytes: &[u8], content: ContentId, size: u64) -> Result<Manifest, ManifestError> {
        let (&version, entries) = bytes.split_first().ok_or(ManifestError::Malformed)?;
        let (entries, rest) = entries.as_chunks::<LEAF_ENTRY_BYTES>();
        if version != VERSION || !rest.is_empty() {
            return Err(ManifestError::Malformed);
        }
        if entries.len() > max_chunks(size) {
            return Err(ManifestError::TooLarge);
        }
        Manifest::verified(entries.iter().map(decode_chunk).collect(), content, size)
    }

    /// The manifest of these chunks, if it is that of `content`.
    fn verified(chunks: Vec<Chunk>, content: ContentId, size: u64) -> Result<Manifest, ManifestError> {
        let list = ChunkList::new(chunks)?;
        if list.size() != size {
            return Err(ManifestError::Size {
                expected: size,
                got: list.size(),
            });
        }
        let manifest = Manifest::new(list);
        if manifest.root() != content {
            return Err(ManifestError::Root {
                expected: content,
                got: manifest.root(),
            });
        }
        Ok(manifest)
    }
}

/// The most bytes that the encoded manifest of a file of `size` bytes can have: what a reader takes at most.
#[must_use]
pub fn max_encoded_bytes(size: u64) -> usize {
    1 + max_chunks(size) * LEAF_ENTRY_BYTES
}
