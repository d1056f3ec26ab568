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

/// Log power coupled between a round mode and one that is longer one way than the other, nepers, and its slopes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Facing {
    pub(super) log: f64,
    /// By the offsets, 1/um.
    pub(super) by_offset: [f64; 2],
    /// By the gap, 1/um, each axis' part.
    pub(super) by_gap: f64,
    /// By the tilts, 1/rad.
    pub(super) by_tilt: [f64; 2],
    /// By the logs of the receiver's mode radius along x and y, and by how far its ellipse lies across them.
    pub(super) by_radius: [f64; 3],
}

/// Least difference of a mode's two radii (logs) of which its axes are told: where they are the same any axes will do.
const ROUND: f64 = 1e-5;

/// A mode that may be longer one way than the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ellipse {
    /// Of the turn of its axes.
    sin: f64,
    cos: f64,
    /// Radii along its axes, um.
    radii: [f64; 2],
    /// By how much their logs differ.
    apart: f64,
}

impl Ellipse {
    /// Of radius `w` (um) times the exponential of the symmetric matrix of `logs`: x, y and off the diagonal.
    pub(super) fn new(w: f64, logs: [f64; 3]) -> Ellipse {
        let [x, y, cross] = logs;
        let turn = if cross == 0.0 { 0.0 } else { 0.5 * (2.0 * cross).atan2(x - y) };
        let (s, c) = turn.sin_cos();
        let (mut long, short) =
            (c * c * x + s * s * y + 2.0 * s * c * cross, s * s * x + c * c * y - 2.0 * s * c * cross);
        if (long - short).abs() < ROUND {
            long = short + ROUND;
        }
        Ellipse { sin: s, cos: c, radii: [w * long.exp(), w * short.exp()], apart: long - short }
    }

    /// As the receiver before a round emitter of radius `w1`.
    pub(super) fn facing(&self, wavelength: f64, w1: f64, offset: [f64; 2], gap: f64, tilt: [f64; 2]) -> Facing {
        let (s, c) = (self.sin, self.cos);
        // Along the axes of the ellipse the two directions are apart.
        let along = |v: [f64; 2]| [c * v[0] + s * v[1], c * v[1] - s * v[0]];
        let back = |v: [f64; 2]| [c * v[0] - s * v[1], s * v[0] + c * v[1]];
        let (o, t) = (along(offset), along(tilt));
        let h = coupled(wavelength, w1, self.radii[0], o[0], gap, t[0]);
        let k = coupled(wavelength, w1, self.radii[1], o[1], gap, t[1]);
        // What turns the axes, when the matrix changes off its own diagonal.
        let by_turn = h.by_offset * o[1] - k.by_offset * o[0] + h.by_tilt * t[1] - k.by_tilt * t[0];
        let off = by_turn / self.apart;
        Facing {
            log: h.log + k.log,
            by_offset: back([h.by_offset, k.by_offset]),
            by_gap: h.by_gap + k.by_gap,
            by_tilt: back([h.by_tilt, k.by_tilt]),
            by_radius: [
                c * c * h.by_radius + s * s * k.by_radius - s * c * off,
                s * s * h.by_radius + c * c * k.by_radius + s * c * off,
                2.0 * s * c * (h.by_radius - k.by_radius) + (c * c - s * s) * off,
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipse_turned_with_the_offset_and_the_tilt_couples_the_same() {
        let straight = Ellipse::new(5.2, [0.2, -0.1, 0.0]).facing(1.55, 5.2, [1.5, -2.0], 12.0, [0.02, 0.01]);
        let (s, c) = 0.6f64.sin_cos();
        let logs = [0.2 * c * c - 0.1 * s * s, 0.2 * s * s - 0.1 * c * c, 0.3 * s * c];
        let turn = |v: [f64; 2]| [c * v[0] - s * v[1], s * v[0] + c * v[1]];
        let turned = Ellipse::new(5.2, logs).facing(1.55, 5.2, turn([1.5, -2.0]), 12.0, turn([0.02, 0.01]));
        assert!((straight.log - turned.log).abs() < 1e-12);
    }

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
