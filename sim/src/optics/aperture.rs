//! A Gaussian spot on an aperture: photodiodes, buckets, large cores.

use std::f64::consts::SQRT_2;

use super::bessel::i0_scaled;

/// Where the integrand has fallen by this many nepers it no longer counts in a double.
const DEPTH_NEPERS: f64 = 60.0;
/// Panels of the quadrature: the integrand falls by at most [`DEPTH_NEPERS`] over them, so each sees a tame function.
const PANELS: u32 = 24;
/// Half of the nodes and weights of 10-point Gauss-Legendre quadrature (Abramowitz and Stegun, table 25.4).
const NODES: [(f64, f64); 5] = [
    (0.148_874_338_981_631_21, 0.295_524_224_714_752_9),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// Share of a round Gaussian spot (1/e^2 radius, um) inside a disc (radius, um) whose centre is `offset_um` away, 0 to 1:
/// 1 - Q1(2d/w, 2a/w) with Marcum's Q.
pub fn round_aperture(spot_um: f64, radius_um: f64, offset_um: f64) -> f64 {
    round_aperture_nepers(spot_um, radius_um, offset_um).exp()
}

/// Natural logarithm of [`round_aperture`]: integrated with a scaled Bessel function, never formed as 1 - Q.
pub fn round_aperture_nepers(spot_um: f64, radius_um: f64, offset_um: f64) -> f64 {
    let (w, a, d) = (spot_um, radius_um, offset_um.abs());
    if d == 0.0 {
        return (-(-2.0 * (a / w).powi(2)).exp_m1()).ln();
    }
    // s runs inwards from the place where the spot is brightest within the disc.
    let peak = d.min(a);
    let outside = d - peak;
    let reach = outside.hypot((DEPTH_NEPERS / 2.0).sqrt() * w);
    let inwards = (DEPTH_NEPERS / 2.0 * w * w / (reach + outside)).min(peak);
    let outwards = (a - peak).min(reach);
    let share = |s: f64| {
        let r = peak - s;
        let fall = (4.0 * outside * s + 2.0 * s * s) / (w * w);
        4.0 * r / (w * w) * (-fall).exp() * i0_scaled(4.0 * r * d / (w * w))
    };
    let sum = integral(-outwards, inwards, share);
    (sum.ln() - 2.0 * (outside / w).powi(2)).min(0.0)
}

fn integral(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    let half = (to - from) / f64::from(PANELS) / 2.0;
    let mut sum = 0.0;
    for panel in 0..PANELS {
        let middle = from + half * f64::from(2 * panel + 1);
        for (node, weight) in NODES {
            sum += weight * (f(middle + half * node) + f(middle - half * node));
        }
    }
    sum * half
}

/// Share of a Gaussian spot (1/e^2 radii along x and y, um) inside a square of the half width given, whose centre is
/// (dx, dy) away, 0 to 1.
pub fn square_aperture(spot_um: [f64; 2], half_width_um: f64, offset_um: [f64; 2]) -> f64 {
    strip(spot_um[0], half_width_um, offset_um[0]) * strip(spot_um[1], half_width_um, offset_um[1])
}

/// Share between -a and a. Beyond the edge the difference of two complements keeps its digits, that of two erfs does not.
fn strip(w: f64, a: f64, d: f64) -> f64 {
    let (near, far) = (SQRT_2 * (a - d.abs()) / w, SQRT_2 * (a + d.abs()) / w);
    if near < 0.0 { 0.5 * (libm::erfc(-near) - libm::erfc(far)) } else { 0.5 * (libm::erf(near) + libm::erf(far)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_disc_takes_all_and_a_point_takes_the_intensity() {
        for d in [1e-9, 0.1, 1.0, 7.0, 300.0] {
            assert!((round_aperture(1.0, d + 1e4, d) - 1.0).abs() < 1e-12, "{d}");
            // A disc far smaller than the spot: its area times the intensity there.
            let a = 1e-5;
            let point = 2.0 * a * a * (-2.0 * d * d / 9.0f64).exp();
            if point > 0.0 {
                assert!((round_aperture(3.0, a, d) / (point / 9.0) - 1.0).abs() < 1e-3, "{d}");
            }
        }
    }

    #[test]
    fn an_offset_of_nearly_nothing_meets_the_centred_formula() {
        for a in [0.01, 1.0, 2.5, 20.0] {
            let near = round_aperture(1.0, a, 1e-9);
            assert!((near / round_aperture(1.0, a, 0.0) - 1.0).abs() < 1e-12, "{a}");
        }
    }

    #[test]
    fn shares_too_small_for_a_float_keep_their_logarithm() {
        let nepers = round_aperture_nepers(1.0, 8.0, 40.0);
        // Brightest at the rim: -2 (d - a)^2 / w^2 = -2048, less the little that is within.
        assert!(nepers < -2048.0 && nepers > -2070.0, "{nepers}");
        assert!(round_aperture(1.0, 8.0, 40.0) == 0.0);
    }

    /// Second method: the mean of the strip's share over 4000 chords.
    #[test]
    fn square_and_round_apertures_agree_with_rows_of_strips() {
        let (w, a, d, n) = (3.0f64, 4.0f64, 2.5f64, 4000);
        let (mut round, mut square) = (0.0, 0.0);
        for k in 0..n {
            let y = a * (2.0 * (f64::from(k) + 0.5) / f64::from(n) - 1.0);
            let row = (2.0 / std::f64::consts::PI).sqrt() / w * (-2.0 * y * y / (w * w)).exp() * 2.0 * a / f64::from(n);
            round += row * strip(w, (a * a - y * y).sqrt(), d);
            square += row * strip(w, a, d);
        }
        assert!((round_aperture(w, a, d) / round - 1.0).abs() < 1e-5);
        assert!((square_aperture([w, w], a, [d, 0.0]) / square - 1.0).abs() < 1e-5);
    }

    /// The plateau of physics: w 14, a 25 falls by 0.05 dB at 7.5 um and by 1 dB at 18 um.
    #[test]
    fn the_plateau_of_a_photodiode_is_flat_and_its_flanks_are_steep() {
        let loss = |d: f64| -10.0 * (round_aperture(14.0, 25.0, d) / round_aperture(14.0, 25.0, 0.0)).log10();
        assert!((loss(7.5) - 0.05).abs() < 0.01, "{}", loss(7.5));
        assert!((loss(18.0) - 1.0).abs() < 0.15, "{}", loss(18.0));
    }
}
