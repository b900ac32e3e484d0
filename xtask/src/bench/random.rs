//! Random numbers that are the same in every run: a seed, and no dependency.

/// Source: SplitMix64, Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
pub struct Random(u64);

impl Random {
    pub fn seeded(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// Above 0, at most 1.
    fn fraction(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Lognormal: e to a normal number of mean `mu` and deviation `sigma`. Source: Box and Muller, 1958.
    pub fn lognormal(&mut self, mu: f64, sigma: f64) -> f64 {
        let (radius, angle) = ((-2.0 * self.fraction().ln()).sqrt(), std::f64::consts::TAU * self.fraction());
        (mu + sigma * radius * angle.cos()).exp()
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_known_numbers() {
        // The first outputs of the authors' own program for the seed 1234567.
        let mut random = Random::seeded(1_234_567);
        assert_eq!(
            [random.next(), random.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn lognormal_sizes_have_the_mean_they_should() {
        let mut random = Random::seeded(1);
        let mean = (0..100_000).map(|_| random.lognormal(8.3, 1.2)).sum::<f64>() / 100_000.0;
        let theory = (8.3f64 + 1.2 * 1.2 / 2.0).exp();
        assert!((mean / theory - 1.0).abs() < 0.05, "{mean} for {theory}");
    }
}
