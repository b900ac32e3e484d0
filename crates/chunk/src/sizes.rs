//! How large chunks are, by the size of the file.

use fastcdc::v2020::{MASKS, cut};

/// No chunk of any file is longer, in bytes.
pub const MAX_CHUNK_BYTES: usize = ChunkSizes::LARGE.max;

/// The lengths of a file's chunks, in bytes: a pure function of the file's size, equal on all devices, since it enters
/// the content id.
///
/// | file                | min    | average | max     |
/// | ------------------- | ------ | ------- | ------- |
/// | 4 GiB and smaller   | 16 KiB | 64 KiB  | 256 KiB |
/// | larger              | 64 KiB | 256 KiB | 1 MiB   |
///
/// Each chunk but the last has `min..=max` bytes, the last has `1..=max`. The second class keeps a chunk list at some
/// 150 bytes for each MiB of file. A file that grows over 4 GiB is cut anew, once.
///
/// Source: FastCDC, Xia et al., USENIX ATC 2016, and IEEE TPDS 31(9), 2020 (two bytes a step).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkSizes {
    min: usize,
    average: usize,
    max: usize,
}

impl ChunkSizes {
    const SMALL: ChunkSizes = ChunkSizes {
        min: 16 << 10,
        average: 64 << 10,
        max: 256 << 10,
    };
    const LARGE: ChunkSizes = ChunkSizes {
        min: 64 << 10,
        average: 256 << 10,
        max: 1 << 20,
    };
    /// The largest file, in bytes, that is cut into small chunks.
    const SMALL_FILE: u64 = 4 << 30;

    /// The lengths for a file of `size` bytes.
    #[must_use]
    pub const fn of_file(size: u64) -> ChunkSizes {
        if size <= ChunkSizes::SMALL_FILE {
            ChunkSizes::SMALL
        } else {
            ChunkSizes::LARGE
        }
    }

    /// The shortest chunk but for the last.
    #[must_use]
    pub const fn min(&self) -> usize {
        self.min
    }

    /// What FastCDC aims at. The lengths that come out are somewhat larger on average: 1.2 times for random bytes.
    #[must_use]
    pub const fn average(&self) -> usize {
        self.average
    }

    /// The longest chunk.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// The length of the first chunk of `window`, `1..=window.len()`. The window must hold `max` bytes, or all that is
    /// left of the file, and at least one: what lies further on does not matter.
    pub(crate) fn cut(&self, window: &[u8]) -> usize {
        // Normalisation level 1: one bit stricter before the average, one bit looser after it. The masks are taken
        // from the table by number, so that no rounding of a logarithm is part of the format.
        let bits = self.average.ilog2() as usize;
        let (strict, loose) = (MASKS[bits + 1], MASKS[bits - 1]);
        let (_, length) = cut(
            window,
            self.min,
            self.average,
            self.max,
            strict,
            loose,
            strict << 1,
            loose << 1,
        );
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masks_are_the_crates_own() {
        use fastcdc::v2020::{Normalization, select_masks};
        for sizes in [ChunkSizes::SMALL, ChunkSizes::LARGE] {
            let bits = sizes.average.ilog2() as usize;
            assert_eq!(
                select_masks(sizes.average, Normalization::Level1),
                (MASKS[bits + 1], MASKS[bits - 1])
            );
        }
    }

    #[test]
    fn the_class_changes_above_four_gib() {
        assert_eq!(ChunkSizes::of_file(0).average(), 64 << 10);
        assert_eq!(ChunkSizes::of_file(4 << 30).average(), 64 << 10);
        assert_eq!(ChunkSizes::of_file((4 << 30) + 1).average(), 256 << 10);
        assert_eq!(ChunkSizes::of_file(u64::MAX).max(), MAX_CHUNK_BYTES);
    }

    /// The lengths of the chunks of 4 MiB of fixed bytes. If they change, so does the id of every large file: a new
    /// format.
    #[test]
    fn the_cut_points_are_pinned() {
        let mut bytes = vec![0; 4 << 20];
        blake3::Hasher::new().update(b"cut points").finalize_xof().fill(&mut bytes);
        let lengths = |sizes: ChunkSizes| {
            let mut lengths = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let length = sizes.cut(rest);
                lengths.push(length);
                rest = &rest[length..];
            }
            lengths
        };
        let small = lengths(ChunkSizes::SMALL);
        assert_eq!((small.len(), &small[..4]), (57, &[55721, 122995, 70379, 24075][..]));
        assert_eq!(
            lengths(ChunkSizes::LARGE),
            [
                273170, 418541, 599780, 87968, 449538, 440161, 216491, 285972, 248188, 305779, 124055, 376869, 300231, 67561
            ]
        );
        assert_eq!(ChunkSizes::SMALL.cut(&[0; 1 << 20]), 256 << 10);
    }
}
