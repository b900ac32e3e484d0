//! Are these the bytes that were asked for?

use crate::cutter::{HashError, Hashed};
use crate::hasher::ContentHasher;
use bifold_tree::ContentId;

/// Why bytes are not those that were asked for.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There are more or fewer bytes than expected.
    #[error("expected {expected} bytes, got {got}")]
    Size {
        /// As the tree says.
        expected: u64,
        /// As they came; where there were too many, as many as had come when it showed.
        got: u64,
    },
    /// As many bytes as expected, but others.
    #[error("expected content {expected:?}, got {got:?}")]
    Content {
        /// As the tree says.
        expected: ContentId,
        /// As they came.
        got: ContentId,
    },
    /// The bytes have no content id at all.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Verifies a file in the pass that copies it.
#[derive(Debug)]
pub struct Verifier {
    hasher: ContentHasher,
    content: ContentId,
    size: u64,
    got: u64,
}

impl Verifier {
    /// Expects the bytes of `content`, `size` in number. No memory is taken for them.
    #[must_use]
    pub fn new(content: ContentId, size: u64) -> Verifier {
        Verifier {
            hasher: ContentHasher::new(size),
            content,
            size,
            got: 0,
        }
    }

    /// The next bytes; see [`ContentHasher::update`] for what is fast.
    ///
    /// # Errors
    /// [`VerifyError::Size`] as soon as there are too many, so that a sender without an end is noticed;
    /// [`VerifyError::Hash`]. After an error, `finish` fails too.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        self.got = self.got.saturating_add(bytes.len() as u64);
        if self.got > self.size {
            return Err(VerifyError::Size {
                expected: self.size,
                got: self.got,
            });
        }
        Ok(self.hasher.update(bytes)?)
    }

    /// What the bytes were, if they were those expected.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn finish(self) -> Result<Hashed, VerifyError> {
        if self.got != self.size {
            return Err(VerifyError::Size {
                expected: self.size,
                got: self.got,
            });
        }
        let hashed = self.hasher.finish()?;
        if hashed.content != self.content {
            return Err(VerifyError::Content {
                expected: self.content,
                got: hashed.content,
            });
        }
        Ok(hashed)
    }
}
