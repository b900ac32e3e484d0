//! Changes bytes as a fuzzer does, from a seed: the same seed makes the same bytes.

/// A small generator of numbers (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
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

/// Of samples that are frames, each with its length of four bytes: some of these, left out, said twice, in another order, or changed; with
/// their right lengths, so that what follows a changed one is heard too.
#[must_use]
pub fn mutated_frames(samples: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut all: Vec<Vec<u8>> = samples.iter().flat_map(|sample| split(sample)).collect();
    let mut frames = split(&samples[numbers.below(samples.len())]);
    if all.is_empty() {
        all.push(Vec::new());
    }
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(frames.len() + 1);
        match numbers.below(6) {
            0 if at < frames.len() => {
                frames.remove(at);
            }
            1 if at < frames.len() => {
                let other = numbers.below(frames.len());
                frames.swap(at, other);
            }
            2 => {
                let other = &all[numbers.below(all.len())];
                frames.insert(at, other.clone());
            }
            _ if at < frames.len() => {
                let other = all[numbers.below(all.len())].clone();
                frames[at] = mutated(&[frames[at].clone(), other], numbers);
            }
            _ => {}
        }
    }
    let mut bytes = Vec::new();
    for frame in frames {
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.extend(frame);
    }
    bytes
}

/// Frames without their lengths, as far as there are any.
fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let Some((frame, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else {
            break;
        };
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

/// One of the samples, changed in a few places.
#[must_use]
pub fn mutated(samples: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = samples[numbers.below(samples.len())].clone();
    // Now and then nothing but the sample, or nothing of it.
    for _ in 0..numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(8) {
            0 if at < bytes.len() => bytes[at] = numbers.number() as u8,
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
