//! Random numbers of the benchmark: SplitMix64 (Steele, Lea, Flood 2014), drawn in an order that is part of the scene.

use std::f64::consts::TAU;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uni(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let bits = (self.bits() >> 11) as f64;
        bits * 2f64.powi(-53)
    }

    /// Uniform in [-1, 1).
    pub fn sym(&mut self) -> f64 {
        2.0 * self.uni() - 1.0
    }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller, the sine branch discarded).
    pub fn norm(&mut self) -> f64 {
        let u = self.uni().max(1e-300);
        let v = self.uni();
        (-2.0 * libm::log(u)).sqrt() * libm::cos(TAU * v)
    }
}

/// Seed of a trial of a landscape: FNV-1a of the name, mixed with the trial's number.
pub fn seed(name: &str, trial: u64) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    hash ^ trial.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
