//! Large cores and photodiodes: flat tops with soft edges, and the speckle upon them.

use std::f64::consts::{PI, TAU};

use crate::noise::Stream;

use super::aperture::{round_aperture, square_aperture};
use super::gaussian::{Misalignment, Mode};
use super::interface::{Interface, share};

/// Area that two discs have in common, for radii and a distance in one unit, in its square.
pub fn disc_overlap(a: f64, b: f64, distance: f64) -> f64 {
    let d = distance.abs();
    if d >= a + b {
        return 0.0;
    }
    let small = a.min(b);
    if d <= (a - b).abs() {
        return PI * small * small;
    }
    let angle = |r: f64, other: f64| ((d * d + r * r - other * other) / (2.0 * d * r)).clamp(-1.0, 1.0).acos();
    let kite = (-d + a + b) * (d + a - b) * (d - a + b) * (d + a + b);
    a * a * angle(a, b) + b * b * angle(b, a) - kite.max(0.0).sqrt() / 2.0
}

/// Modal noise over the offset: plane waves of a seeded phase, 0.01 to 0.1 dB with a grain of 3 to 15 um.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speckle {
    waves: [[f64; 3]; Speckle::WAVES],
    rms_db: f64,
}

impl Speckle {
    /// Enough that no direction repeats visibly.
    const WAVES: usize = 6;

    /// Speckle of a root mean square in dB and periods within `grain_um` (shortest, longest).
    pub fn new(stream: Stream, rms_db: f64, grain_um: [f64; 2]) -> Speckle {
        let mut waves = [[0.0; 3]; Speckle::WAVES];
        for (number, wave) in (0u64..).zip(&mut waves) {
            let draw = stream.child(number);
            let k = TAU / (grain_um[0] + (grain_um[1] - grain_um[0]) * draw.uniform(0));
            let angle = TAU * draw.uniform(1);
            *wave = [k * angle.cos(), k * angle.sin(), TAU * draw.uniform(2)];
        }
        Speckle { waves, rms_db }
    }

    /// Gain at an offset in um, dB.
    pub fn gain_db(&self, x_um: f64, y_um: f64) -> f64 {
        let sum: f64 = self.waves.iter().map(|[kx, ky, phase]| (kx * x_um + ky * y_um + phase).cos()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a handful of waves")]
        let waves = Speckle::WAVES as f64;
        self.rms_db * (2.0 / waves).sqrt() * sum
    }
}

/// Two step-index cores, all modes of the emitter filled evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CorePair {
    /// Core radii of emitter and receiver, um.
    pub radius_um: [f64; 2],
    /// Numerical apertures of emitter and receiver.
    pub aperture: [f64; 2],
    /// Index between them.
    pub index: f64,
    /// Modal noise, if any.
    pub speckle: Option<Speckle>,
    /// Loss that no alignment recovers, dB.
    pub excess_db: f64,
}

impl Interface for CorePair {
    fn efficiency(&self, _wavelength_um: f64, at: &Misalignment, _roll_rad: f64) -> f64 {
        // The evenly lit disc widens with the gap as the cone of the aperture does.
        let lit = self.radius_um[0] + at.dz_um.abs() * self.aperture[0] / self.index;
        let area = disc_overlap(lit, self.radius_um[1], at.dx_um.hypot(at.dy_um)) / (PI * lit * lit);
        let turn = self.index * at.thx_rad.hypot(at.thy_rad).min(PI / 2.0).sin();
        let cone = disc_overlap(self.aperture[0], self.aperture[1], turn) / (PI * self.aperture[0].powi(2));
        let speckle_db = self.speckle.map_or(0.0, |s| s.gain_db(at.dx_um, at.dy_um));
        (area * cone * share(self.excess_db - speckle_db)).min(1.0)
    }

    fn contact_dz_um(&self) -> Option<f64> {
        Some(0.0)
    }
}

/// Shape of a photodiode's active area.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Area {
    /// A disc of this radius, um.
    Round(f64),
    /// A square of this half width, um.
    Square(f64),
}

/// A photodiode, a large core or a bucket under a Gaussian spot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Photodiode {
    /// The waist of the light; it lies `dz_um` before the area.
    pub spot: Mode,
    /// What takes the light.
    pub area: Area,
    /// Index before the area.
    pub index: f64,
    /// Modal noise, if any.
    pub speckle: Option<Speckle>,
    /// Loss that no alignment recovers (reflection), dB.
    pub excess_db: f64,
}

impl Photodiode {
    fn spot_at(&self, wavelength_um: f64, dz_um: f64) -> [f64; 2] {
        [self.spot.x_um, self.spot.y_um].map(|w| w.hypot(wavelength_um * dz_um / (PI * self.index * w)))
    }
}

impl Interface for Photodiode {
    /// A tilted area looks narrower by its cosine; on a disc an elliptical spot counts as the round one of its area.
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        let spot = self.spot_at(wavelength_um, at.dz_um);
        let seen = [at.thx_rad, at.thy_rad].map(|th| th.cos().abs().max(f64::MIN_POSITIVE));
        let inside = match self.area {
            Area::Round(radius) => {
                let radius = radius * (seen[0] * seen[1]).sqrt();
                round_aperture((spot[0] * spot[1]).sqrt(), radius, at.dx_um.hypot(at.dy_um))
            }
            Area::Square(half) => {
                // In the frame of the square; its spot is taken as if it had turned along.
                let (sin, cos) = roll_rad.sin_cos();
                let offset = [at.dx_um * cos + at.dy_um * sin, at.dy_um * cos - at.dx_um * sin];
                let scaled = |axis: usize| (spot[axis] / seen[axis], offset[axis] / seen[axis]);
                let ((wx, dx), (wy, dy)) = (scaled(0), scaled(1));
                square_aperture([wx, wy], half, [dx, dy])
            }
        };
        let speckle_db = self.speckle.map_or(0.0, |s| s.gain_db(at.dx_um, at.dy_um));
        (inside * share(self.excess_db - speckle_db)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(a: f64, b: f64) -> CorePair {
        CorePair { radius_um: [a, b], aperture: [0.2, 0.2], index: 1.0, speckle: None, excess_db: 0.0 }
    }

    fn aside(d: f64) -> Misalignment {
        Misalignment { dx_um: d * 0.6, dy_um: d * 0.8, ..Default::default() }
    }

    /// eta = (2/pi) [acos q - q sqrt(1 - q^2)], q = d/2a.
    #[test]
    fn equal_cores_follow_their_closed_form() {
        for d in [0.0, 1.0, 10.0, 25.0, 49.0] {
            let q: f64 = d / 50.0;
            let expect = 2.0 / PI * (q.acos() - q * (1.0 - q * q).sqrt());
            assert!((cores(25.0, 25.0).efficiency(0.85, &aside(d), 0.0) - expect).abs() < 1e-12, "{d}");
        }
        assert!(cores(25.0, 25.0).efficiency(0.85, &aside(50.1), 0.0) == 0.0);
    }

    /// Second method: counting points of the emitter's core and cone that fall into the receiver's.
    #[test]
    fn unequal_cores_with_a_gap_agree_with_counted_rays() {
        let pair = cores(20.0, 25.0);
        let at = Misalignment { dz_um: 60.0, ..aside(11.0) };
        let (lit, n) = (20.0 + 60.0 * 0.2, 400);
        let cell = |k: i32| lit * (2.0 * (f64::from(k) + 0.5) / f64::from(n) - 1.0);
        let (mut all, mut caught) = (0, 0);
        for (x, y) in (0..n).flat_map(|i| (0..n).map(move |j| (cell(i), cell(j)))) {
            let within = x.hypot(y) < lit;
            all += i32::from(within);
            caught += i32::from(within && (x - at.dx_um).hypot(y - at.dy_um) < 25.0);
        }
        let expect = f64::from(caught) / f64::from(all);
        assert!((pair.efficiency(0.85, &at, 0.0) - expect).abs() < 2e-3);
        let tilted = Misalignment { thx_rad: 0.1, ..Default::default() };
        let q: f64 = 0.1f64.sin() / 0.4;
        let cone = 2.0 / PI * (q.acos() - q * (1.0 - q * q).sqrt());
        assert!((cores(25.0, 25.0).efficiency(0.85, &tilted, 0.0) - cone).abs() < 1e-12);
    }

    #[test]
    fn speckle_has_its_size_and_its_seed() {
        let speckle = Speckle::new(Stream::new(5, "mmf"), 0.05, [3.0, 15.0]);
        let n = 300;
        let values: Vec<f64> = (0..n)
            .flat_map(|i| (0..n).map(move |j| (f64::from(i), f64::from(j))))
            .map(|(x, y)| speckle.gain_db(x, y))
            .collect();
        let rms = (values.iter().map(|v| v * v).sum::<f64>() / f64::from(n * n)).sqrt();
        assert!((rms / 0.05 - 1.0).abs() < 0.1, "{rms}");
        assert_eq!(speckle, Speckle::new(Stream::new(5, "mmf"), 0.05, [3.0, 15.0]));
        assert_ne!(speckle, Speckle::new(Stream::new(6, "mmf"), 0.05, [3.0, 15.0]));
    }

    #[test]
    fn a_photodiode_is_flat_in_its_middle_and_far_behind_the_waist_dimmer() {
        let diode =
            Photodiode { spot: Mode::round(5.0), area: Area::Round(12.5), index: 1.0, speckle: None, excess_db: 0.0 };
        let loss = |at: Misalignment| -10.0 * diode.efficiency(1.31, &at, 0.0).log10();
        assert!(loss(aside(0.0)) < 1e-4 && loss(aside(4.0)) < 0.01 && loss(aside(14.0)) > 3.0);
        let far = Misalignment { dz_um: 300.0, ..Default::default() };
        let w = 5.0f64.hypot(1.31 * 300.0 / (PI * 5.0));
        let expect = 1.0 - (-2.0 * (12.5 / w).powi(2)).exp();
        assert!((diode.efficiency(1.31, &far, 0.0) / expect - 1.0).abs() < 1e-12);
        let square = Photodiode { area: Area::Square(12.5), ..diode };
        // At the middle of an edge half of the light is in; at a corner a quarter, once the square is turned to it.
        assert!((square.efficiency(1.31, &Misalignment { dx_um: 12.5, ..Default::default() }, 0.0) - 0.5).abs() < 1e-4);
        let corner = Misalignment { dx_um: 12.5 * std::f64::consts::SQRT_2, ..Default::default() };
        assert!((square.efficiency(1.31, &corner, PI / 4.0) - 0.25).abs() < 1e-4);
    }
}
