//! The gap between two facets as an etalon: the round trips of a diffracting beam, added as amplitudes.
//!
//! Round trip m is a coupling over the gap (2m+1) z with the tilt (2m+1) th and the offset d + 2m(m+1) z th, by unfolding.

use std::f64::consts::PI;

use nalgebra::Complex;

use super::gaussian::{Misalignment, Mode};

/// Two reflecting facets and what lies between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facets {
    /// Power reflectance of each facet, 0 to 1.
    pub reflectance: [f64; 2],
    /// Index of the gap.
    pub index: f64,
    /// How often the light goes to and fro at most; 0 is the straight pass alone.
    pub round_trips: u32,
}

/// Power reflectance of a facet between two indices at normal incidence (Fresnel), 0 to 1.
pub fn fresnel_reflectance(index: f64, other: f64) -> f64 {
    ((index - other) / (index + other)).powi(2)
}

/// Transmission of plane waves through two facets a gap apart (Airy): vacuum wavelength and gap in um, 0 to 1.
pub fn airy(wavelength_um: f64, index: f64, reflectance: [f64; 2], gap_um: f64) -> f64 {
    let r = (reflectance[0] * reflectance[1]).sqrt();
    let phase = (2.0 * PI * index * gap_um / wavelength_um).sin();
    (1.0 - reflectance[0]) * (1.0 - reflectance[1]) / ((1.0 - r).powi(2) + 4.0 * r * phase * phase)
}

/// Natural logarithm of the share of power through both facets into the receiver, all round trips interfering, at a
/// vacuum wavelength in um.
pub fn etalon_nepers(wavelength_um: f64, facets: &Facets, emitter: Mode, receiver: Mode, at: &Misalignment) -> f64 {
    let [r1, r2] = facets.reflectance;
    let k = 2.0 * PI * facets.index / wavelength_um;
    let trips: Vec<Complex<f64>> = (0..=facets.round_trips)
        .map(|m| {
            let m = f64::from(m);
            let (many, walk) = (2.0 * m + 1.0, 2.0 * m * (m + 1.0) * at.dz_um);
            let gap = many * at.dz_um;
            let axis = |w: (f64, f64), d: f64, th: f64| axis_logarithm(k, w, d + walk * th, gap, many * th);
            let x = axis((emitter.x_um, receiver.x_um), at.dx_um, at.thx_rad);
            let y = axis((emitter.y_um, receiver.y_um), at.dy_um, at.thy_rad);
            // Written for m = 0 too: 0 times the logarithm of nothing is no number.
            let weight = if m > 0.0 { m * (r1 * r2).ln() / 2.0 } else { 0.0 };
            x + y + Complex::new(weight, k * gap)
        })
        .collect();
    // The strongest trip is taken out, so that the sum holds where the shares are too small for a float.
    let strongest = trips.iter().map(|t| t.re).fold(f64::NEG_INFINITY, f64::max);
    let sum: Complex<f64> = trips.iter().filter(|t| t.re > f64::NEG_INFINITY).map(|t| (t - strongest).exp()).sum();
    2.0 * strongest + sum.norm_sqr().ln() + (-r1).ln_1p() + (-r2).ln_1p()
}

/// Logarithm of one axis' complex amplitude: that of the overlap of two Gaussians, the first spread over the gap.
fn axis_logarithm(k: f64, (w1, w2): (f64, f64), d: f64, z: f64, th: f64) -> Complex<f64> {
    let rayleigh = k * w1 * w1 / 2.0;
    // Both over k: A = 1 / (2 q), q = zR + iz; B = 1 / w2^2.
    let q = Complex::new(rayleigh, z);
    let a = q.inv() * (k / 2.0);
    let b = 1.0 / (w2 * w2);
    // (2Ad + ik th)^2 / 4(A+B) - A d^2, with the large terms taken against each other by hand.
    let tilt = Complex::new(0.0, k * th);
    let exponent = (tilt * tilt / 4.0 + a * (tilt * d - b * d * d)) / (a + b);
    let spread = (q.inv() * rayleigh).ln();
    let overlap = ((a + b).inv() * PI).ln();
    exponent + (spread + overlap + (2.0 / (PI * w1 * w2)).ln()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::coupling_nepers;

    const SILICA: f64 = 0.033_088_96;

    #[test]
    fn bare_silica_reflects_its_published_share() {
        let r = fresnel_reflectance(1.4447, 1.0);
        assert!((r - 0.0331).abs() < 5e-5 && (-10.0 * (1.0 - r).log10() - 0.146).abs() < 1e-3);
    }

    fn transmission(r: [f64; 2], mode: Mode, at: &Misalignment) -> f64 {
        etalon_nepers(1.55, &Facets { reflectance: r, index: 1.0, round_trips: 6 }, mode, mode, at).exp()
    }

    #[test]
    fn without_reflection_the_etalon_is_the_closed_form() {
        let at = Misalignment { dx_um: 2.0, dy_um: -1.0, dz_um: 80.0, thx_rad: 0.02, thy_rad: -0.01 };
        let (emitter, receiver) = (Mode { x_um: 5.0, y_um: 3.0 }, Mode { x_um: 4.0, y_um: 4.5 });
        let facets = Facets { reflectance: [0.0, 0.0], index: 1.45, round_trips: 6 };
        let closed = coupling_nepers(1.55, 1.45, emitter, receiver, &at);
        assert!((etalon_nepers(1.55, &facets, emitter, receiver, &at) - closed).abs() < 1e-13);
    }

    /// Second method: Airy's formula for plane waves, to which a wide beam tends.
    #[test]
    fn a_wide_beam_sees_plane_wave_fringes() {
        for z in [0.1, 0.3, 0.775, 3.3] {
            let at = Misalignment { dz_um: z, ..Default::default() };
            let r = SILICA;
            let expect = airy(1.55, 1.0, [r, r], z);
            assert!((transmission([r, r], Mode::round(3000.0), &at) / expect - 1.0).abs() < 1e-6, "{z}");
        }
    }

    fn ripple_db(r: [f64; 2], from_um: f64) -> f64 {
        let samples = (0..=400).map(|k| {
            let at = Misalignment { dz_um: from_um + 0.775 * f64::from(k) / 400.0, ..Default::default() };
            let mode = Mode::round(5.2);
            // Diffraction over the gap is no ripple.
            10.0 * (transmission(r, mode, &at) / coupling_nepers(1.55, 1.0, mode, mode, &at).exp()).log10()
        });
        let (low, high) = samples.fold((f64::MAX, f64::MIN), |(l, h), s| (l.min(s), h.max(s)));
        high - low
    }

    /// Peak-to-peak ripple at contact, by 20 log10[(1 + r)/(1 - r)], and its decline with the gap.
    #[test]
    fn ripple_has_the_published_size_and_fades_with_the_gap() {
        for (r, expect) in [
            ([SILICA, SILICA], 0.575),
            ([SILICA, 0.005], 0.223),
            ([SILICA, 0.0025], 0.158),
            ([0.0025, 0.0025], 0.043),
            ([0.01, 0.3], 0.95),
            ([SILICA, 0.3], 1.74),
        ] {
            assert!((ripple_db(r, 0.0) - expect).abs() < 0.01, "{r:?}: {}", ripple_db(r, 0.0));
        }
        let r = [SILICA, SILICA];
        assert!((ripple_db(r, 30.0) - 0.43).abs() < 0.03, "{}", ripple_db(r, 30.0));
        assert!((ripple_db(r, 100.0) - 0.25).abs() < 0.03, "{}", ripple_db(r, 100.0));
    }
}
