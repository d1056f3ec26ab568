//! The fundamental mode of a step-index fibre, computed: its tails fall as exp(-r), not as a Gaussian's.

use super::bessel::{j0_j1, k0_k1_scaled};

/// First zero of J0: the fundamental mode's core parameter stays below it (Abramowitz and Stegun, table 9.5).
const J0_ZERO: f64 = 2.404_825_557_695_773;
/// Normalised frequencies that are solved for: below, the mode is a thousand cores wide; above, no fibre couples by it.
const V_RANGE: std::ops::RangeInclusive<f64> = 0.8..=10.0;

/// A fibre whose mode cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("normalised frequency {v}: the fundamental mode is computed from {} to {}", V_RANGE.start(), V_RANGE.end())]
pub struct StepIndexError {
    /// Its normalised frequency 2 pi a NA / wavelength.
    pub v: f64,
}

/// LP01 of a step-index fibre (weakly guiding).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepIndex {
    core_um: f64,
    v: f64,
    u: f64,
    w: f64,
}

impl StepIndex {
    /// The mode of a core radius and a vacuum wavelength in um and a numerical aperture.
    ///
    /// # Errors
    /// A normalised frequency out of 0.8 to 10.
    pub fn lp01(core_um: f64, numerical_aperture: f64, wavelength_um: f64) -> Result<StepIndex, StepIndexError> {
        let v = std::f64::consts::TAU * core_um * numerical_aperture / wavelength_um;
        if !V_RANGE.contains(&v) {
            return Err(StepIndexError { v });
        }
        // u J1(u) / J0(u) = w K1(w) / K0(w) with u^2 + w^2 = V^2; below the root the right side is the greater.
        let (mut low, mut high) = (0.0, v.min(J0_ZERO));
        for _ in 0..60 {
            let u: f64 = (low + high) / 2.0;
            let w = (v * v - u * u).sqrt().max(1e-3);
            let ((j0, j1), (k0, k1)) = (j0_j1(u), k0_k1_scaled(w));
            if u * j1 * k0 < w * k1 * j0 { low = u } else { high = u }
        }
        Ok(StepIndex { core_um, v, u: low, w: (v * v - low * low).sqrt() })
    }

    /// Field at a radius in um, 1 in the middle.
    pub fn amplitude(&self, radius_um: f64) -> f64 {
        let r = radius_um / self.core_um;
        if r <= 1.0 {
            return j0_j1(self.u * r).0;
        }
        let (edge, here) = (k0_k1_scaled(self.w).0, k0_k1_scaled(self.w * r).0);
        j0_j1(self.u).0 * here / edge * (-self.w * (r - 1.0)).exp()
    }

    /// Mode radius of the Gaussian that couples best, um: a (0.65 + 1.619 V^-1.5 + 2.879 V^-6), within 1 % for V of 1.2
    /// to 2.4 (Marcuse, Bell Syst. Tech. J. 56 (1977) 703).
    pub fn gaussian_radius_um(&self) -> f64 {
        self.core_um * (0.65 + 1.619 * self.v.powf(-1.5) + 2.879 * self.v.powi(-6))
    }

    /// Decay of the field's tail, 1/um.
    pub fn decay_per_um(&self) -> f64 {
        self.w / self.core_um
    }

    /// Radius beyond which the field is below 1e-9 of its middle, um.
    pub(super) fn support_um(&self) -> f64 {
        self.core_um * (1.0 + 20.7 / self.w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smf() -> StepIndex {
        StepIndex::lp01(4.1, 0.13, 1.55).unwrap()
    }

    /// w = 1.1428 V - 0.996 within 0.1 % for V of 1.5 to 2.5 (Rudolph and Neumann, Nachrichtentech. Z. 29 (1976) 328).
    #[test]
    fn the_solved_equation_agrees_with_its_published_fit() {
        for v in [1.5, 1.8, 2.1, 2.4] {
            let mode = StepIndex::lp01(4.0, v * 1.55 / (4.0 * std::f64::consts::TAU), 1.55).unwrap();
            assert!((mode.w / (1.1428 * v - 0.996) - 1.0).abs() < 2.5e-3, "{v}: {}", mode.w);
        }
    }

    /// Second method: the field must satisfy the wave equation on both sides of the core's edge.
    #[test]
    fn the_field_is_smooth_at_the_edge_and_solves_the_wave_equation() {
        let mode = smf();
        let f = |r: f64| mode.amplitude(r);
        let h = 1e-3;
        for r in [1.0, 3.0, 6.0, 12.0] {
            let laplacian = (f(r + h) - 2.0 * f(r) + f(r - h)) / (h * h) + (f(r + h) - f(r - h)) / (2.0 * h * r);
            let k = if r < 4.1 { -mode.u * mode.u } else { mode.w * mode.w } / (4.1 * 4.1);
            assert!((laplacian - k * f(r)).abs() < 1e-6, "{r}");
        }
        let slope = |r: f64| (f(r + 1e-5) - f(r - 1e-5)) / 2e-5;
        assert!((slope(4.1 - 2e-5) - slope(4.1 + 2e-5)).abs() < 1e-4);
        assert!(f(mode.support_um()) < 1e-9);
    }

    #[test]
    fn frequencies_without_a_useful_mode_are_refused() {
        assert_eq!(StepIndex::lp01(4.0, 0.0, 1.55), Err(StepIndexError { v: 0.0 }));
        let error = StepIndex::lp01(50.0, 0.2, 0.85).unwrap_err();
        assert!(error.to_string().starts_with("normalised frequency 73.9"), "{error}");
    }
}
