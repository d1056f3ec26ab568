//! Coupling of two Gaussian modes, one axis across the light at a time, with its slopes. Written apart from the
//! simulator's optics: the two must not share a mistake.
//!
//! Source: D. Marcuse, Bell Syst. Tech. J. 56 (1977) 703; W. B. Joyce and B. C. DeLoach, Appl. Opt. 23 (1984) 4187.

use std::f64::consts::PI;

/// Decibels in a neper of power.
pub(super) const DB_PER_NEPER: f64 = 4.342_944_819_032_518;

/// Log power coupled in one axis across the light, nepers, and its slopes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Coupled {
    /// Log power, nepers; 0 is all of it.
    pub(super) log: f64,
    /// By the offset, 1/um.
    pub(super) by_offset: f64,
    /// By the gap, 1/um.
    pub(super) by_gap: f64,
    /// By the tilt, 1/rad.
    pub(super) by_tilt: f64,
    /// By the log of the receiver's mode radius.
    pub(super) by_radius: f64,
}

/// Wavelength, emitter's and receiver's mode radius, offset, gap (all um) and tilt (rad).
pub(super) fn coupled(wavelength: f64, w1: f64, w2: f64, offset: f64, gap: f64, tilt: f64) -> Coupled {
    let (s1, s2) = (w1 * w1, w2 * w2);
    let q = wavelength * gap / PI;
    let sum = s1 + s2;
    let under = sum * sum + q * q;
    let kappa = 4.0 * s1 * s2 / under;
    let t = PI / wavelength;
    let spread = s1 + q * q / s1 + s2;
    let exponent = offset * offset / 2.0 * (1.0 / s1 + 1.0 / s2) + (t * tilt) * (t * tilt) / 2.0 * spread
        - offset * tilt * gap / s1;
    let kappa_by_gap = -kappa * 2.0 * q / (t * under);
    let log_kappa_by_radius = 2.0 - 4.0 * sum * s2 / under;
    Coupled {
        log: 0.5 * kappa.ln() - kappa * exponent,
        by_offset: -kappa * (offset * (1.0 / s1 + 1.0 / s2) - tilt * gap / s1),
        by_gap: (0.5 / kappa - exponent) * kappa_by_gap - kappa * (t * tilt * tilt * q / s1 - offset * tilt / s1),
        by_tilt: -kappa * (t * t * tilt * spread - offset * gap / s1),
        by_radius: (0.5 - kappa * exponent) * log_kappa_by_radius
            - kappa * (-offset * offset / s2 + (t * tilt) * (t * tilt) * s2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_radius_of_offset_loses_a_neper_and_two_rayleigh_lengths_half_the_power() {
        let c = coupled(1.55, 5.2, 5.2, 5.2, 0.0, 0.0);
        assert!((c.log + 1.0).abs() < 1e-12);
        let focus = coupled(1.55, 5.2, 5.2, 0.0, 2.0 * PI * 5.2 * 5.2 / 1.55, 0.0);
        assert!((focus.log + 0.5 * 2f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn slopes_are_those_of_differences() {
        let at = |v: [f64; 4]| coupled(1.31, 4.6, v[3], v[0], v[1], v[2]).log;
        let here = [1.7, 23.0, 0.03, 4.4];
        let c = coupled(1.31, 4.6, here[3], here[0], here[1], here[2]);
        let slopes = [c.by_offset, c.by_gap, c.by_tilt, c.by_radius / here[3]];
        for (i, slope) in slopes.into_iter().enumerate() {
            let step = 1e-5 * here[i].abs();
            let (mut up, mut down) = (here, here);
            up[i] += step;
            down[i] -= step;
            let got = (at(up) - at(down)) / (2.0 * step);
            assert!((got - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{i}: {got} {slope}");
        }
    }
}
