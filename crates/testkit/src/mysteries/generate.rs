//! Deeds at random.

use super::{Deed, How, Value};
use crate::random::Random;

/// What lists of deeds are to be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// How many devices there are.
    pub devices: usize,
    /// How many files, at most.
    pub files: usize,
    /// How many deeds, at most.
    pub deeds: usize,
    /// Whether files are changed in place too.
    pub in_place: bool,
    /// Whether deeds are done while programs are at work: before one of so many calls.
    pub amid: u16,
    /// One of so many deeds sends a device away, or fetches it back; 0: none.
    pub away: usize,
    /// The same for killing its program.
    pub restart: usize,
}

/// Deeds of a shape, the same for the same seed.
#[must_use]
pub fn generate(seed: u64, shape: &Shape) -> Vec<Deed> {
    let mut random = Random::new(seed);
    let files = 1 + random.below(shape.files);
    let count = 4 + random.below(shape.deeds.saturating_sub(3));
    // Some have much time between deeds, some have little.
    let haste = 1 + random.below(4);
    let mut last: Value = 0;
    let mut deeds = Vec::with_capacity(count);
    // Not all devices at once: there would be nothing to hear.
    let mut away: Vec<usize> = Vec::new();
    while deeds.len() < count {
        let device = random.below(shape.devices);
        let file = random.below(files);
        let how = How {
            in_place: shape.in_place && random.one_in(2),
            amid: (shape.amid > 0 && random.one_in(4)).then(|| random.below(usize::from(shape.amid)) as u16),
        };
        let often = |n: usize, random: &mut Random| n > 0 && random.one_in(n);
        if often(shape.away, &mut random) {
            if away.contains(&device) {
                away.retain(|d| *d != device);
                deeds.push(Deed::Back(device));
            } else if away.len() + 1 < shape.devices {
                away.push(device);
                deeds.push(Deed::Away(device));
            }
        }
        if often(shape.restart, &mut random) {
            deeds.push(Deed::Restart(device));
        }
        deeds.push(match random.below(20) {
            0..=7 => {
                last += 1;
                Deed::Write(device, file, last, how)
            }
            8..=10 => Deed::Delete(device, file, how),
            11..=13 => Deed::Read(device, file),
            14 if random.one_in(4) => {
                away.clear();
                Deed::Settle
            }
            _ if random.one_in(haste) => Deed::Sleep(1 + random.below(40) as u8),
            _ => Deed::Read(device, file),
        });
    }
    deeds.push(Deed::Settle);
    deeds
}
