//! All randomness of a world: a function of seed, stream and index or time, never of the order of questions. Pure.

/// A stream of random numbers that are asked for by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a name under a seed.
    pub fn new(seed: u64, name: &str) -> Stream {
        // FNV-1a over the name, then mixed with the seed.
        let hash =
            name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
        Stream(mix(seed ^ mix(hash)))
    }

    /// A stream of its own for a number (a unit, a lot).
    pub fn child(self, number: u64) -> Stream {
        Stream(mix(self.0 ^ mix(number.wrapping_add(0x9E37_79B9_7F4A_7C15))))
    }

    /// Raw bits at an index.
    pub fn bits(self, index: u64) -> u64 {
        mix(self.0.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// Uniform in [0, 1).
    pub fn uniform(self, index: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let value = (self.bits(index) >> 11) as f64;
        value * 2f64.powi(-53)
    }

    /// Uniform in [-1, 1).
    pub fn symmetric(self, index: u64) -> f64 {
        2.0 * self.uniform(index) - 1.0
    }

    /// Normal with mean 0 and standard deviation 1.
    pub fn normal(self, index: u64) -> f64 {
        let u = self.uniform(index.wrapping_mul(2)).max(1e-300);
        let v = self.uniform(index.wrapping_mul(2).wrapping_add(1));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_answer_in_any_order() {
        let stream = Stream::new(7, "meter");
        let forward: Vec<u64> = (0..10).map(|i| stream.bits(i)).collect();
        let backward: Vec<u64> = (0..10).rev().map(|i| stream.bits(i)).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        assert_ne!(Stream::new(7, "tap").bits(0), stream.bits(0));
        assert_ne!(Stream::new(8, "meter").bits(0), stream.bits(0));
        assert_ne!(stream.child(1).bits(0), stream.child(2).bits(0));
    }

    #[test]
    fn normals_have_mean_zero_and_deviation_one() {
        let stream = Stream::new(1, "normal");
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|i| stream.normal(i)).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
