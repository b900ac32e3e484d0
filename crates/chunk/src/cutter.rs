//! Cutting and hashing what lies in memory: the part that reading and streaming share.

use crate::chunk::{Chunk, ChunkList, MAX_CHUNKS};
use crate::manifest::Manifest;
use crate::sizes::ChunkSizes;
use bifold_tree::ContentId;
use std::io;

/// What a pass over a file's bytes found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hashed {
    /// The name of the bytes: of an empty file and of a file of one chunk, their BLAKE3 (what `b3sum` prints); of a
    /// larger one, the root of its [`Manifest`].
    pub content: ContentId,
    /// The bytes that were read.
    pub size: u64,
    /// The chunks, where there are two or more. See [`Chunk::sole`] for a file of one.
    pub chunks: Option<ChunkList>,
}

/// Why a file could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The reader failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// The file is of another size than was said, and such that it is to be cut otherwise ([`ChunkSizes::of_file`]).
    /// Hash it again with its new size.
    #[error("the size changed from {said} bytes to {read} or more while reading")]
    SizeChanged {
        /// The size given at the start, in bytes.
        said: u64,
        /// The bytes read until it showed.
        read: u64,
    },
    /// The file has more than [`MAX_CHUNKS`] chunks.
    #[error("the file is too large: more than {MAX_CHUNKS} chunks")]
    TooLarge,
}

/// Hashes bytes that lie in memory as a whole. Copies nothing.
///
/// # Errors
/// [`HashError::TooLarge`].
pub fn hash_bytes(bytes: &[u8]) -> Result<Hashed, HashError> {
    let mut cutter = Cutter::new(bytes.len() as u64);
    cutter.count(bytes.len())?;
    cutter.cut(bytes, true)?;
    cutter.finish()
}

/// Cuts chunks from the front of what it is shown, and keeps their list. Its errors stick: after one, `finish` fails.
#[derive(Debug)]
pub(crate) struct Cutter {
    said: u64,
    sizes: ChunkSizes,
    /// Bytes read so far.
    read: u64,
    /// The first chunk lies here, so that a small file takes no memory.
    first: Option<Chunk>,
    /// All chunks, the first as well, from the second on.
    chunks: Vec<Chunk>,
    too_large: bool,
}

impl Cutter {
    /// For a file that is said to have `said` bytes.
    pub fn new(said: u64) -> Cutter {
        let sizes = ChunkSizes::of_file(said);
        Cutter {
            said,
            sizes,
            read: 0,
            first: None,
            chunks: Vec::new(),
            too_large: false,
        }
    }

    pub fn sizes(&self) -> ChunkSizes {
        self.sizes
    }

    /// Counts bytes as they come in, before they are cut.
    ///
    /// # Errors
    /// [`HashError::SizeChanged`], when there are so many that the file ought to have been cut otherwise.
    pub fn count(&mut self, bytes: usize) -> Result<(), HashError> {
        self.read = self.read.saturating_add(bytes as u64);
        // Fewer than said is no error yet: there may be more to come.
        if self.read > self.said { self.check_class() } else { Ok(()) }
    }

    fn check_class(&self) -> Result<(), HashError> {
        if ChunkSizes::of_file(self.read) == self.sizes {
            Ok(())
        } else {
            Err(HashError::SizeChanged {
                said: self.said,
                read: self.read,
            })
        }
    }

    /// Cuts chunks from the front of `bytes`, which go on where the last call stopped: all of them if they are the
    /// `last` of the file, else as many as are certain. Returns how many bytes were used; fewer than the longest
    /// chunk are left.
    pub fn cut(&mut self, bytes: &[u8], last: bool) -> Result<usize, HashError> {
        let mut used = 0;
        while self.is_certain(bytes.len() - used, last) {
            used += self.cut_one(&bytes[used..])?;
        }
        Ok(used)
    }

    /// Whether the next chunk's end can be told from this many bytes.
    fn is_certain(&self, bytes: usize, last: bool) -> bool {
        bytes >= if last { 1 } else { self.sizes.max() }
    }

    /// Cuts one chunk from the front of `window`, which must be as [`ChunkSizes::cut`] wants it. Returns its length.
    pub fn cut_one(&mut self, window: &[u8]) -> Result<usize, HashError> {
        let length = self.sizes.cut(window);
        let chunk = Chunk::of(&window[..length]);
        match self.first {
            None => self.first = Some(chunk),
            Some(_) if self.chunks.len() == MAX_CHUNKS => {
                self.too_large = true;
                return Err(HashError::TooLarge);
            }
            Some(first) => {
                if self.chunks.is_empty() {
                    self.chunks.push(first);
                }
                self.chunks.push(chunk);
            }
        }
        Ok(length)
    }

    /// What all the bytes were. All that were read must have been cut.
    pub fn finish(self) -> Result<Hashed, HashError> {
        self.check_class()?;
        if self.too_large {
            return Err(HashError::TooLarge);
        }
        let size = self.read;
        Ok(match self.first {
            None => Hashed {
                content: ContentId::empty(),
                size,
                chunks: None,
            },
            Some(only) if self.chunks.is_empty() => Hashed {
                content: ContentId(only.id.0),
                size,
                chunks: None,
            },
            Some(_) => {
                let manifest = Manifest::new(ChunkList::of_cut(self.chunks));
                Hashed {
                    content: manifest.root(),
                    size,
                    chunks: Some(manifest.into_list()),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_outgrows_its_class_is_noticed() {
        let mut cutter = Cutter::new(10);
        cutter.count(4 << 30).unwrap();
        let error = cutter.count(1).unwrap_err();
        assert!(matches!(error, HashError::SizeChanged { said: 10, read } if read == (4 << 30) + 1));
        assert!(matches!(cutter.finish(), Err(HashError::SizeChanged { .. })));
    }
}
