//! Changes bytes as a fuzzer does, from a seed: the same seed makes the same bytes.

/// A small generator of numbers (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Bytes that decoders trip over: ends of ranges, long varints.
const TRICKS: [&[u8]; 12] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0x7f],
    &[0, 0, 0, 0, 0, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    b"..",
];

/// Longest bytes that are made.
const LONGEST: usize = 64 << 10;

/// One of the samples, changed in a few places.
#[must_use]
pub fn mutated(samples: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = samples[numbers.below(samples.len())].clone();
    // Now and then nothing but the sample, or nothing of it.
    for _ in 0..numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(8) {
            0 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            2 => bytes.truncate(at),
            3 => {
                let trick = TRICKS[numbers.below(TRICKS.len())];
                bytes.splice(at..at, trick.iter().copied());
            }
            4 => {
                let trick = TRICKS[numbers.below(TRICKS.len())];
                let end = bytes.len().min(at + trick.len());
                bytes.splice(at..end, trick.iter().copied());
            }
            5 => {
                // A part of it twice, or many times.
                let end = bytes.len().min(at + 1 + numbers.below(64));
                let part = bytes[at..end].to_vec();
                for _ in 0..1 + numbers.below(4) {
                    bytes.splice(at..at, part.iter().copied());
                }
            }
            6 => {
                // The end of another one.
                let other = &samples[numbers.below(samples.len())];
                let from = numbers.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = bytes.len().min(at + numbers.below(16));
                bytes.drain(at..end);
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}
