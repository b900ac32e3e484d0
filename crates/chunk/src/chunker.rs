//! Hashing what a reader gives.

use crate::cutter::{Cutter, HashError, Hashed};
use std::io::{ErrorKind, Read};

/// The buffer holds this many of the longest chunks: the tail that is moved to its front is then a small part of it.
const BUFFER_CHUNKS: usize = 4;

/// Chunks and hashes files, one after the other, through one buffer: 1 MiB, or 4 MiB once a file of more than 4 GiB has
/// come. Beside it, a file takes 36 bytes for each chunk, and none if it is of one.
#[derive(Debug, Default)]
pub struct Chunker {
    /// All of it is initialised. A fresh one is zeroed by the system as it is touched, so that small files stay cheap.
    buffer: Vec<u8>,
}

impl Chunker {
    /// A chunker without a buffer yet.
    #[must_use]
    pub fn new() -> Chunker {
        Chunker::default()
    }

    /// Reads to the end, and cuts and hashes on the way. `size` is what the file's metadata says, in bytes; it decides
    /// the lengths of the chunks and need not be right otherwise: what is read counts.
    ///
    /// # Errors
    /// [`HashError::Io`] if the reader fails, [`HashError::SizeChanged`] if the file is now to be cut otherwise,
    /// [`HashError::TooLarge`]. The chunker can be used again after each.
    pub fn hash_reader(&mut self, reader: &mut dyn Read, size: u64) -> Result<Hashed, HashError> {
        let mut cutter = Cutter::new(size);
        let length = BUFFER_CHUNKS * cutter.sizes().max();
        if self.buffer.len() < length {
            self.buffer = vec![0; length];
        }
        let buffer = &mut self.buffer[..length];
        let mut filled = 0;
        loop {
            let read = match reader.read(&mut buffer[filled..]) {
                Ok(read) => read,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(HashError::Io(e)),
            };
            cutter.count(read)?;
            filled += read;
            let last = read == 0;
            if last || filled == length {
                let used = cutter.cut(&buffer[..filled], last)?;
                buffer.copy_within(used..filled, 0);
                filled -= used;
            }
            if last {
                return cutter.finish();
            }
        }
    }
}
