//! Random numbers that mean the same everywhere: ChaCha8 keyed by seed and household, and a range reduction of our own.
//!
//! The distributions of the `rand` crate may change from one version to the next; the words of the cipher do not. So
//! only `next_u32` and `next_u64` are used, and a household's life stays what it was.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::calendar::{Instant, MILLISECOND};

/// The source of every choice in one household's life.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// For the lives of a household.
    pub fn household(seed: u64, household: u64) -> Self {
        Self::keyed(*b"................gatefold.sample.", seed, household)
    }

    /// For what hangs on those lives. A stream of its own: more of it leaves the lives as they are.
    pub fn extras(seed: u64, household: u64) -> Self {
        Self::keyed(*b"................gatefold.extras.", seed, household)
    }

    fn keyed(mut key: [u8; 32], seed: u64, household: u64) -> Self {
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&household.to_le_bytes());
        Draw(ChaCha8Rng::from_seed(key))
    }

    /// Sixty-four bits, to draw more from elsewhere.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to, not including, `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }

    /// Whether a thing happens that happens to `n` of 1,000.
    pub fn per_mille(&mut self, n: u32) -> bool {
        self.below(1_000) < n
    }

    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// An instant in `[from, to)` on a whole millisecond after `from`; `from` itself when the interval is empty.
    pub fn between(&mut self, from: Instant, to: Instant) -> Instant {
        let steps = u64::try_from((to - from) / MILLISECOND).unwrap_or(0);
        let step = (u128::from(self.0.next_u64()) * u128::from(steps)) >> 64;
        from + step as i64 * MILLISECOND
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// One of the values, each as likely as its weight.
    pub fn weighted<T: Copy>(&mut self, from: &[(T, u32)]) -> T {
        let mut left = self.below(from.iter().map(|(_, weight)| weight).sum());
        for (value, weight) in from {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        unreachable!("the number drawn is below the sum of the weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If these numbers change, every sample that anyone generated changes with them.
    #[test]
    fn the_stream_is_pinned() {
        let mut draw = Draw::household(7, 3);
        let drawn: Vec<u32> = (0..4).map(|_| draw.below(1_000_000)).collect();
        assert_eq!(drawn, [191_072, 556_265, 653_957, 712_952]);
    }

    #[test]
    fn seed_and_household_both_matter() {
        let first = |seed, household| Draw::household(seed, household).below(u32::MAX);
        assert_ne!(first(1, 2), first(2, 1));
        assert_ne!(first(1, 2), first(1, 3));
    }

    #[test]
    fn choices_follow_their_weights() {
        let mut draw = Draw::household(1, 1);
        let mut counts = [0u32; 3];
        for _ in 0..10_000 {
            counts[draw.weighted(&[(0, 70), (1, 0), (2, 30)])] += 1;
        }
        assert!((6_700..7_300).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[1], 0);
    }

    #[test]
    fn an_instant_stays_in_its_interval() {
        let mut draw = Draw::household(1, 1);
        assert!((0..1_000).all(|_| (5_000..9_000).contains(&draw.between(5_000, 9_000))));
        assert_eq!(draw.between(5_000, 5_000), 5_000);
        assert_eq!(draw.between(5_000, 1_000), 5_000);
    }
}
