//! Bytes on the wire: packed with zstd where that helps.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::get_frame_content_size;

/// Fewer bytes are sent as they are.
const MIN_PACKED_BYTES: usize = 128;

/// Of bytes from so many on, a sample is packed first.
const MIN_SAMPLED_BYTES: usize = 32 << 10;

/// The sample is of so many pieces, spread evenly.
const SAMPLE_PIECES: usize = 4;

/// Bytes of one piece of the sample.
const SAMPLE_PIECE_BYTES: usize = 4 << 10;

/// After so many samples in a row that did not shrink, so many are passed without one.
const FRUITLESS: u32 = 8;
const PASSED: u32 = 7;

/// zstd's level for the sample, and for all of it.
const SAMPLE_LEVEL: i32 = 1;
const LEVEL: i32 = 3;

/// How bytes are packed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Packing {
    /// As they are.
    Plain,
    /// One zstd frame that says how large it is unpacked.
    Zstd,
}

/// Bytes for the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packed<'a> {
    /// How to unpack them.
    pub packing: Packing,
    /// What is sent.
    pub bytes: Cow<'a, [u8]>,
}

/// Why bytes cannot be unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnpackError {
    /// They would be more than the reader takes.
    #[error("unpacks to more than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// They are not what [`Packer::pack`] gives.
    #[error("damaged packed bytes")]
    Damaged,
}

/// Packs, one after the other, and keeps zstd's tables in between: some MB at most.
pub struct Packer {
    /// For the sample, and for all of it. Where zstd gives none for want of memory, all is sent as it is.
    compressors: Option<(Compressor<'static>, Compressor<'static>)>,
    /// Samples in a row that did not shrink.
    fruitless: u32,
    /// So many large ones are passed without a sample.
    passed: u32,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Default for Packer {
    fn default() -> Packer {
        Packer::new()
    }
}

impl Packer {
    /// A packer.
    #[must_use]
    pub fn new() -> Packer {
        let compressors = Compressor::new(SAMPLE_LEVEL).and_then(|sample| Ok((sample, Compressor::new(LEVEL)?)));
        Packer {
            compressors: compressors.ok(),
            fruitless: 0,
            passed: 0,
        }
    }

    /// The bytes, packed if that saves a twentieth. Of large ones some samples are tried first, so that photos and the
    /// like cost little time; long repetitions of what does not shrink by itself are missed by this. After some samples
    /// in a row that did not shrink, not each one is sampled.
    #[must_use]
    pub fn pack<'a>(&mut self, bytes: &'a [u8]) -> Packed<'a> {
        let plain = Packed {
            packing: Packing::Plain,
            bytes: Cow::Borrowed(bytes),
        };
        let Some((sampler, compressor)) = &mut self.compressors else {
            return plain;
        };
        if bytes.len() < MIN_PACKED_BYTES {
            return plain;
        }
        if bytes.len() >= MIN_SAMPLED_BYTES {
            if self.fruitless >= FRUITLESS && self.passed < PASSED {
                self.passed += 1;
                return plain;
            }
            self.passed = 0;
            if compress_if_smaller(sampler, &sample(bytes)).is_none() {
                self.fruitless = self.fruitless.saturating_add(1);
                return plain;
            }
            self.fruitless = 0;
        }
        match compress_if_smaller(compressor, bytes) {
            Some(packed) => Packed {
                packing: Packing::Zstd,
                bytes: Cow::Owned(packed),
            },
            None => plain,
        }
    }
}

/// [`Packer::pack`] for once.
#[must_use]
pub fn pack(bytes: &[u8]) -> Packed<'_> {
    Packer::new().pack(bytes)
}

/// The bytes that were packed, if they are at most `limit`. The packed ones may come from anyone: no memory is taken
/// before the frame's own word on its size is checked, and no more than it says.
///
/// # Errors
/// [`UnpackError`].
pub fn unpack(packing: Packing, bytes: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, UnpackError> {
    match packing {
        Packing::Plain if bytes.len() > limit => Err(UnpackError::TooLarge { limit }),
        Packing::Plain => Ok(Cow::Borrowed(bytes)),
        Packing::Zstd => {
            let size = get_frame_content_size(bytes).ok().flatten().ok_or(UnpackError::Damaged)?;
            let size = usize::try_from(size)
                .ok()
                .filter(|s| *s <= limit)
                .ok_or(UnpackError::TooLarge { limit })?;
            let mut unpacked = Vec::with_capacity(size);
            let written = Decompressor::new().and_then(|mut d| d.decompress_to_buffer(bytes, &mut unpacked));
            if written.ok() != Some(size) {
                return Err(UnpackError::Damaged);
            }
            Ok(Cow::Owned(unpacked))
        }
    }
}

/// `None` unless it saves a twentieth. (zstd fails when the result does not fit the room it gets.)
fn compress_if_smaller(compressor: &mut Compressor<'_>, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(bytes.len() - bytes.len().div_ceil(20));
    compressor.compress_to_buffer(bytes, &mut packed).ok()?;
    Some(packed)
}

/// Pieces from all over; `bytes` must be longer than they are together.
fn sample(bytes: &[u8]) -> Vec<u8> {
    let stride = (bytes.len() - SAMPLE_PIECE_BYTES) / (SAMPLE_PIECES - 1);
    (0..SAMPLE_PIECES)
        .flat_map(|i| &bytes[i * stride..][..SAMPLE_PIECE_BYTES])
        .copied()
        .collect()
}
