//! Hashing bytes that are handed over piece by piece.

use crate::cutter::{Cutter, HashError, Hashed};

/// The window is moved to its front when it would grow beyond this many of the longest chunks.
const WINDOW_CHUNKS: usize = 4;

/// Chunks and hashes bytes as they come. However they are split into updates, the result is that of
/// [`Chunker::hash_reader`](crate::Chunker::hash_reader).
///
/// Chunks that lie in one update are cut where they are; only what lies across two updates is copied, at most twice
/// the longest chunk for each update. Updates of 1 MiB or more are best for large files.
#[derive(Debug)]
pub struct ContentHasher {
    cutter: Cutter,
    /// What came in and was not cut yet is `window[start..]`, fewer bytes than the longest chunk.
    window: Vec<u8>,
    start: usize,
}

impl ContentHasher {
    /// For a file that is said to have `size` bytes. The size decides the lengths of the chunks and need not be right
    /// otherwise. No memory is taken for it.
    #[must_use]
    pub fn new(size: u64) -> ContentHasher {
        ContentHasher {
            cutter: Cutter::new(size),
            window: Vec::new(),
            start: 0,
        }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`HashError::SizeChanged`] as soon as there are too many bytes for the size given at the start, and
    /// [`HashError::TooLarge`]. After an error there is no result.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), HashError> {
        self.cutter.count(bytes.len())?;
        if self.start < self.window.len() {
            let longest = self.cutter.sizes().max();
            let copied = bytes.len().min(longest);
            if self.window.len() + copied > WINDOW_CHUNKS * longest {
                self.window.drain(..self.start);
                self.start = 0;
            }
            // Behind `seam`, the window repeats the front of `bytes`.
            let seam = self.window.len();
            self.window.extend_from_slice(&bytes[..copied]);
            while self.start < seam && self.window.len() - self.start >= longest {
                self.start += self.cutter.cut_one(&self.window[self.start..])?;
            }
            if self.start < seam {
                // Had not all been copied, the window would have held a longest chunk beyond the seam.
                debug_assert_eq!(copied, bytes.len());
                return Ok(());
            }
            bytes = &bytes[self.start - seam..];
            self.window.clear();
            self.start = 0;
        }
        let used = self.cutter.cut(bytes, false)?;
        self.window.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    /// What all the bytes were.
    ///
    /// # Errors
    /// As for [`update`](ContentHasher::update); [`HashError::SizeChanged`] also if there were too few bytes.
    pub fn finish(mut self) -> Result<Hashed, HashError> {
        self.cutter.cut(&self.window[self.start..], true)?;
        self.cutter.finish()
    }
}
