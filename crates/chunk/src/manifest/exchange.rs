//! A manifest for someone who holds a similar one: only the nodes that differ.

use super::node::{Entries, MAX_HEIGHT, MIN_FANOUT, Name, decode_chunk, decode_node, encode_leaf, encode_parent};
use super::{Manifest, ManifestError};
use crate::chunk::{Chunk, max_chunks};
use bifold_tree::ContentId;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

impl Manifest {
    /// The nodes of this tree that a holder of `have` lacks, encoded, the root first, each once; all of them for a
    /// holder of nothing. Each has at most [`MAX_NODE_BYTES`](super::MAX_NODE_BYTES).
    #[must_use]
    pub fn missing_nodes(&self, have: Option<&Manifest>) -> Vec<Vec<u8>> {
        let held = have.into_iter().flat_map(|m| m.levels.iter().flatten());
        let mut known: HashSet<Name> = held.map(|node| node.name).collect();
        let mut missing = Vec::new();
        // The children, by number, of the nodes that are missing one level up; the root is no one's child, and the only one of its level.
        let mut children: Vec<Range<usize>> = std::iter::once(0..1).collect();
        for (height, level) in self.levels.iter().enumerate().rev() {
            let mut below = Vec::new();
            for node in children.into_iter().flat_map(|range| &level[range]) {
                if known.insert(node.name) {
                    missing.push(self.encode_node(height, node.children.clone()));
                    below.push(node.children.clone());
                }
            }
            children = below;
        }
        missing
    }

    fn encode_node(&self, height: usize, children: Range<usize>) -> Vec<u8> {
        match height.checked_sub(1) {
            None => encode_leaf(&self.list.chunks()[children]),
            Some(below) => encode_parent(height as u8, &self.levels[below][children]),
        }
    }

    /// The most nodes that the manifest of a file of so many bytes can have.
    #[must_use]
    pub fn most_nodes(size: u64) -> usize {
        max_nodes(max_chunks(size))
    }

    /// The manifest of a file of which the tree says that it is `content` and has `size` bytes, from the nodes that
    /// [`missing_nodes`](Manifest::missing_nodes) gave and the manifest that was named there. The nodes may come from
    /// anyone, in any order: a result is the right one.
    ///
    /// # Errors
    /// [`ManifestError`]. However the nodes are knit, no more memory is taken than a file of this size needs.
    pub fn rebuild(
        nodes: &[impl AsRef<[u8]>],
        have: Option<&Manifest>,
        content: ContentId,
        size: u64,
    ) -> Result<Manifest, ManifestError> {
        let max_chunks = max_chunks(size);
        if nodes.len() > max_nodes(max_chunks) {
            return Err(ManifestError::TooLarge);
        }
        let mut sources = HashMap::new();
        if let Some(have) = have {
            for (height, level) in (0..).zip(&have.levels) {
                for node in level {
                    let chunks = &have.list.chunks()[node.chunks.clone()];
                    sources.insert(node.name, Source::Held { height, chunks });
                }
            }
        }
        for node in nodes {
            let (height, entries) = decode_node(node.as_ref())?;
            sources
                .entry(Name::of(node.as_ref()))
                .or_insert(Source::Came { height, entries });
        }
        let mut knitting = Knitting {
            sources,
            max_chunks,
            chunks: Vec::new(),
        };
        knitting.add(Name(content.0), None)?;
        Manifest::verified(knitting.chunks, content, size)
    }
}

/// Looks at the nodes of a manifest as they come, the root first: each has to be one that is lacking, so that who sends them cannot go on
/// for ever with what is of no use.
pub struct Arriving {
    lacking: HashSet<Name>,
}

impl Arriving {
    /// Of the manifest of a content.
    #[must_use]
    pub fn new(content: ContentId) -> Arriving {
        Arriving {
            lacking: HashSet::from([Name(content.0)]),
        }
    }

    /// Whether a node is the root, or named by one that came before it, and came for the first time.
    pub fn takes(&mut self, node: &[u8]) -> bool {
        if !self.lacking.remove(&Name::of(node)) {
            return false;
        }
        match decode_node(node) {
            Ok((_, Entries::Parent(names))) => self.lacking.extend(names.iter().map(|name| Name(*name))),
            Ok((_, Entries::Leaf(_))) => {}
            Err(_) => return false,
        }
        true
    }
}

/// The most nodes over so many chunks: each level has at most a 64th of the one below, and one more.
fn max_nodes(chunks: usize) -> usize {
    chunks / (MIN_FANOUT - 1) + usize::from(MAX_HEIGHT) + 1
}

/// Where a node is to be had.
enum Source<'a> {
    Held { height: u8, chunks: &'a [Chunk] },
    Came { height: u8, entries: Entries<'a> },
}

/// The chunk list as it is put together.
struct Knitting<'a> {
    sources: HashMap<Name, Source<'a>>,
    max_chunks: usize,
    chunks: Vec<Chunk>,
}

impl Knitting<'_> {
    /// Appends the chunks under a node. Every node that is visited gives at least one chunk and lies lower than its
    /// parent, so the work is bounded by `max_chunks` times the height, however often a node is named.
    fn add(&mut self, name: Name, parent: Option<u8>) -> Result<(), ManifestError> {
        let source = self.sources.get(&name).ok_or(ManifestError::Missing)?;
        let (Source::Held { height, .. } | Source::Came { height, .. }) = *source;
        if parent.is_some_and(|parent| parent != height + 1) {
            return Err(ManifestError::Malformed);
        }
        match *source {
            Source::Held { chunks, .. } => {
                self.check_room(chunks.len())?;
                self.chunks.extend_from_slice(chunks);
            }
            Source::Came {
                entries: Entries::Leaf(entries),
                ..
            } => {
                self.check_room(entries.len())?;
                self.chunks.extend(entries.iter().map(decode_chunk));
            }
            Source::Came {
                entries: Entries::Parent(names),
                ..
            } => {
                for name in names {
                    self.add(Name(*name), Some(height))?;
                }
            }
        }
        Ok(())
    }

    fn check_room(&self, more: usize) -> Result<(), ManifestError> {
        if more > self.max_chunks - self.chunks.len() {
            Err(ManifestError::TooLarge)
        } else {
            Ok(())
        }
    }
}
