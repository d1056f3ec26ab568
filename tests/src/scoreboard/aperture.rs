//! Share of a Gaussian spot that falls on a round core beside which it is centred: exact, and fast.

/// A spot and a core.
///
/// The share is `1 - Q1(2 d / w, 2 a / w)` with Marcum's Q, which is a Poisson mixture of incomplete gamma functions:
/// the sum over k of `e^-x x^k / k! P(k + 1, y)`, `x = 2 d^2 / w^2`, `y = 2 a^2 / w^2`. All terms are positive, so far
/// tails keep all their digits. `P` depends on the core alone and is tabled.
#[derive(Debug, Clone)]
pub(super) struct Aperture {
    w: f64,
    gamma: Vec<f64>,
}

/// Terms kept: the mixture's largest term is near k = sqrt(x y), 50 where the light is 200 dB down.
const TERMS: usize = 160;

impl Aperture {
    /// A spot of 1/e^2 radius `w` on a core of radius `a`, both um.
    pub(super) fn new(w: f64, a: f64) -> Aperture {
        let y = 2.0 * a * a / (w * w);
        // P(k + 1, y) is the sum of e^-y y^j / j! over j > k, summed from the small end.
        let mut term = libm::exp(-y);
        let mut terms = vec![term];
        for j in 1..2 * TERMS {
            #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
            let ratio = y / j as f64;
            term *= ratio;
            terms.push(term);
        }
        let mut sum = 0.0;
        let mut gamma = vec![0.0; terms.len()];
        for j in (1..terms.len()).rev() {
            sum += terms[j];
            gamma[j - 1] = sum;
        }
        gamma.truncate(TERMS);
        Aperture { w, gamma }
    }

    /// The share at a distance between the centres, um.
    pub(super) fn share(&self, distance: f64) -> f64 {
        let x = 2.0 * distance * distance / (self.w * self.w);
        let mut poisson = libm::exp(-x);
        let mut sum = 0.0;
        for (k, gamma) in (1u32..).zip(&self.gamma) {
            let part = poisson * gamma;
            sum += part;
            // Past the largest term the rest falls faster than geometrically.
            if part < 1e-17 * sum && f64::from(k) > x.min(40.0) {
                break;
            }
            poisson *= x / f64::from(k);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The defining integral by Simpson's rule, the Bessel function by its own integral.
    fn integral(w: f64, a: f64, d: f64) -> f64 {
        let n = 400;
        let mut sum = 0.0;
        for i in 0..=n {
            let r = a * f64::from(i) / f64::from(n);
            let x = 4.0 * r * d / (w * w);
            let m = 64;
            let i0e = (0..m)
                .map(|k| (x * ((std::f64::consts::TAU * f64::from(k) / f64::from(m)).cos() - 1.0)).exp())
                .sum::<f64>()
                / f64::from(m);
            let f = 4.0 * r / (w * w) * (-2.0 * (r - d).powi(2) / (w * w)).exp() * i0e;
            sum += f * if i == 0 || i == n {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            };
        }
        sum * a / f64::from(n) / 3.0
    }

    #[test]
    fn the_series_is_the_integral() {
        for w in [13.3, 14.0, 14.7] {
            let aperture = Aperture::new(w, 25.0);
            for d in [0.0, 3.0, 12.0, 25.0, 40.0, 70.0] {
                let (got, want) = (aperture.share(d), integral(w, 25.0, d));
                assert!((got / want - 1.0).abs() < 1e-7, "w {w} d {d}: {got} {want}");
            }
        }
    }
}
