//! Modes that no alignment code has a formula for, and the overlap of any two of them, computed.
//!
//! Both fields are taken apart into plane waves once. An offset and a gap are then a phase on each wave, along x and y
//! apart, and a tilt is a shift of the receiver's waves (paraxial): one coupling is a sum over the grid of waves.

use std::f64::consts::{PI, TAU};

use nalgebra::Complex;

use super::gaussian::{Misalignment, Mode};
use super::interface::{Interface, share};
use super::step_index::StepIndex;

/// Plane waves along each axis.
const WAVES: usize = 64;
/// Period of the grid in mode radii (root mean square of both): the spectra's product has fallen by e^-35 at its rim, so
/// that tilts have room, and an offset of eight radii still sees no image of the mode a period on.
const PERIOD_RADII: f64 = 24.0;
/// Taps of the interpolation between waves: with fewer it, and not the grid, would limit.
const TAPS: usize = 12;
/// Gaussian fields count out to here, in their radii: e^-25.
const SUPPORT_RADII: f64 = 5.0;

/// The field of a mode, real, in its waist.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// An elliptical Gaussian.
    Gaussian(Mode),
    /// A Gaussian with an admixture of its third Hermite functions along x and y: one flank is steeper than the other.
    Skewed {
        /// The Gaussian.
        mode: Mode,
        /// Amplitude of each admixture; 0.1 to 0.3 are usual.
        skew: [f64; 2],
    },
    /// The fundamental mode of a fibre.
    StepIndex(StepIndex),
    /// A Gaussian with lobes in antiphase, as of converters and tapers.
    Lobed {
        /// The main lobe.
        mode: Mode,
        /// The others.
        lobes: Vec<FieldLobe>,
    },
}

/// A lobe of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldLobe {
    /// Its centre along x and y, um.
    pub at_um: [f64; 2],
    /// Its intensity below that of the main lobe, dB: 8 to 15.
    pub down_db: f64,
    /// Its radius, um.
    pub radius_um: f64,
}

/// A shape, turned.
#[derive(Debug, Clone, PartialEq)]
pub struct NumericMode {
    /// Its field.
    pub shape: Shape,
    /// Turn about its axis from +x towards +y, rad.
    pub turn_rad: f64,
}

impl NumericMode {
    /// A shape as it stands.
    pub const fn straight(shape: Shape) -> NumericMode {
        NumericMode { shape, turn_rad: 0.0 }
    }

    /// Field at a place in um, not normalised.
    pub fn amplitude(&self, x_um: f64, y_um: f64) -> f64 {
        let (sin, cos) = self.turn_rad.sin_cos();
        let (x, y) = (x_um * cos + y_um * sin, y_um * cos - x_um * sin);
        let gaussian = |mode: &Mode| (-(x / mode.x_um).powi(2) - (y / mode.y_um).powi(2)).exp();
        match &self.shape {
            Shape::Gaussian(mode) => gaussian(mode),
            Shape::Skewed { mode, skew } => {
                gaussian(mode) * (1.0 + skew[0] * hermite3(x / mode.x_um)) * (1.0 + skew[1] * hermite3(y / mode.y_um))
            }
            Shape::StepIndex(fibre) => fibre.amplitude(x.hypot(y)),
            Shape::Lobed { mode, lobes } => {
                let lobe = |l: &FieldLobe| {
                    let off = (x - l.at_um[0]).powi(2) + (y - l.at_um[1]).powi(2);
                    share(l.down_db).sqrt() * (-off / l.radius_um.powi(2)).exp()
                };
                gaussian(mode) - lobes.iter().map(lobe).sum::<f64>()
            }
        }
    }

    /// A radius that stands for its size, um.
    fn radius_um(&self) -> f64 {
        match &self.shape {
            Shape::Gaussian(mode) | Shape::Skewed { mode, .. } | Shape::Lobed { mode, .. } => {
                (mode.x_um * mode.y_um).sqrt()
            }
            Shape::StepIndex(fibre) => fibre.gaussian_radius_um(),
        }
    }

    /// Half width outside of which its field is nothing, um.
    fn support_um(&self) -> f64 {
        let main = |mode: &Mode| SUPPORT_RADII * mode.x_um.max(mode.y_um);
        match &self.shape {
            Shape::Gaussian(mode) => main(mode),
            // Its cubes outlast the Gaussian by a radius.
            Shape::Skewed { mode, .. } => main(mode) * (1.0 + 1.0 / SUPPORT_RADII),
            Shape::StepIndex(fibre) => fibre.support_um(),
            Shape::Lobed { mode, lobes } => lobes
                .iter()
                .map(|l| l.at_um[0].hypot(l.at_um[1]) + SUPPORT_RADII * l.radius_um)
                .fold(main(mode), f64::max),
        }
    }
}

/// The third Hermite function over the Gaussian of radius 1, of the same norm.
fn hermite3(x: f64) -> f64 {
    let u = x * std::f64::consts::SQRT_2;
    (8.0 * u.powi(3) - 12.0 * u) / 48f64.sqrt()
}

/// Two computed modes before each other.
#[derive(Debug, Clone, PartialEq)]
pub struct NumericPair {
    /// Distance between waves, rad/um.
    step: f64,
    emitter: Vec<Complex<f64>>,
    receiver: Vec<Complex<f64>>,
    /// Wave by wave the product of both without tilt or roll: the usual case.
    product: Vec<Complex<f64>>,
    /// Index between them.
    index: f64,
    /// Loss that no alignment recovers, dB.
    excess_db: f64,
}

impl NumericPair {
    /// Takes both modes apart into plane waves; `index` is that between them, `excess_db` a loss that no alignment
    /// recovers.
    ///
    /// Gaussian fields of like size agree with the closed form to 1e-8 of the share at 10 dB of loss, 1e-7 at 30 dB and
    /// 1e-4 at 60 dB. A step-index mode has a kink, 7e-5 of whose power lies beyond the grid: two of them show a loss of
    /// 3e-4 dB when aligned. Modes whose radii differ by more than a factor of five are not resolved well.
    pub fn new(emitter: &NumericMode, receiver: &NumericMode, index: f64, excess_db: f64) -> NumericPair {
        let size = emitter.radius_um().hypot(receiver.radius_um()) / std::f64::consts::SQRT_2;
        let step = TAU / (PERIOD_RADII * size);
        let (emitter, receiver) = (spectrum(emitter, step), spectrum(receiver, step));
        let product = emitter.iter().zip(&receiver).map(|(e, r)| e * r.conj()).collect();
        NumericPair { step, emitter, receiver, product, index, excess_db }
    }

    /// Sum over all waves of their product, each with the phase of the offset and the gap.
    fn sum(&self, product: &[Complex<f64>], k: f64, at: &Misalignment) -> Complex<f64> {
        let phases = |offset: f64| {
            let mut phases = [Complex::new(0.0, 0.0); WAVES];
            for (number, phase) in phases.iter_mut().enumerate() {
                let wave = self.step * wave_number(number);
                *phase = Complex::cis(wave * offset - wave * wave * at.dz_um / (2.0 * k));
            }
            phases
        };
        let (x, y) = (phases(at.dx_um), phases(at.dy_um));
        let row = |row: &[Complex<f64>]| row.iter().zip(&x).map(|(p, x)| p * x).sum::<Complex<f64>>();
        product.chunks_exact(WAVES).zip(&y).map(|(p, y)| row(p) * y).sum()
    }

    /// The receiver's waves shifted by a tilt, in steps of the grid.
    fn tilted(&self, shift: [f64; 2]) -> Vec<Complex<f64>> {
        let [x, y] = shift;
        match (x == 0.0, y == 0.0) {
            (_, true) => shifted_x(&self.receiver, x),
            (true, false) => shifted_y(&self.receiver, y),
            (false, false) => shifted_y(&shifted_x(&self.receiver, x), y),
        }
    }

    /// The receiver's waves shifted and turned.
    fn turned(&self, shift: [f64; 2], roll_rad: f64) -> Vec<Complex<f64>> {
        let (sin, cos) = roll_rad.sin_cos();
        let wave = |number: usize| {
            let (x, y) = (wave_number(number % WAVES) - shift[0], wave_number(number / WAVES) - shift[1]);
            between(&self.receiver, [x * cos + y * sin, y * cos - x * sin])
        };
        (0..WAVES * WAVES).map(wave).collect()
    }
}

impl Interface for NumericPair {
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        let k = TAU * self.index / wavelength_um;
        let shift = [k * at.thx_rad / self.step, k * at.thy_rad / self.step];
        let amplitude = if shift == [0.0, 0.0] && roll_rad == 0.0 {
            self.sum(&self.product, k, at)
        } else {
            let receiver = if roll_rad == 0.0 { self.tilted(shift) } else { self.turned(shift, roll_rad) };
            let product: Vec<_> = self.emitter.iter().zip(&receiver).map(|(e, r)| e * r.conj()).collect();
            self.sum(&product, k, at)
        };
        (amplitude.norm_sqr() * share(self.excess_db)).min(1.0)
    }

    fn contact_dz_um(&self) -> Option<f64> {
        Some(0.0)
    }
}

/// Waves run from -WAVES/2 to WAVES/2 - 1.
#[expect(clippy::cast_precision_loss, reason = "a few dozen")]
fn wave_number(index: usize) -> f64 {
    index as f64 - (WAVES / 2) as f64
}

/// A mode's plane waves, of power 1 in all; x runs fastest.
fn spectrum(mode: &NumericMode, step: f64) -> Vec<Complex<f64>> {
    let half = mode.support_um();
    // Four samples within half a period of the fastest wave: what the sampling folds back lies beyond any mode here.
    let samples_wanted = 2.0 * half * step * wave_number(WAVES) * 4.0 / PI;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
    let samples = samples_wanted.clamp(64.0, 1024.0).ceil() as usize;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let place = |k: usize| half * ((2 * k + 1) as f64 / samples as f64 - 1.0);
    let waves: Vec<Complex<f64>> =
        (0..WAVES * samples).map(|n| Complex::cis(-step * wave_number(n / samples) * place(n % samples))).collect();
    let mut power = 0.0;
    // Along x first: rows of the mode, each as waves.
    let mut rows = Vec::with_capacity(samples * WAVES);
    for y in 0..samples {
        let row: Vec<f64> = (0..samples).map(|x| mode.amplitude(place(x), place(y))).collect();
        power += row.iter().map(|f| f * f).sum::<f64>();
        rows.extend(waves.chunks_exact(samples).map(|w| dot(w, &row)));
    }
    let cell = place(1) - place(0);
    let scale = step / TAU * cell / power.sqrt();
    let mut spectrum = vec![Complex::new(0.0, 0.0); WAVES * WAVES];
    for (row, wave) in spectrum.chunks_exact_mut(WAVES).zip(waves.chunks_exact(samples)) {
        for (from, y) in rows.chunks_exact(WAVES).zip(wave) {
            for (sum, value) in row.iter_mut().zip(from) {
                *sum += value * y * scale;
            }
        }
    }
    spectrum
}

fn dot(waves: &[Complex<f64>], row: &[f64]) -> Complex<f64> {
    waves.iter().zip(row).map(|(w, f)| w * f).sum()
}

/// Weights of Lagrange's polynomial at `part` of the way between its two middle points.
fn weights(part: f64) -> [f64; TAPS] {
    let mut weights = [1.0; TAPS];
    for (j, weight) in (-5i32..).zip(&mut weights) {
        for m in (-5..7).filter(|m| *m != j) {
            *weight *= (part - f64::from(m)) / f64::from(j - m);
        }
    }
    weights
}

/// The first of the points about a place on an axis of waves, and their weights.
#[expect(clippy::cast_possible_truncation, reason = "held to a few grids")]
fn taps(place: f64) -> (isize, [f64; TAPS]) {
    let place = place.clamp(-4.0 * wave_number(WAVES * 2), 4.0 * wave_number(WAVES * 2));
    let floor = place.floor();
    (floor as isize + (WAVES / 2).cast_signed() - 5, weights(place - floor))
}

fn within(index: isize) -> Option<usize> {
    usize::try_from(index).ok().filter(|i| *i < WAVES)
}

/// The first of the taps of a shift against the place itself, and their weights.
fn shift_taps(shift: f64) -> (isize, [f64; TAPS]) {
    let (first, weights) = taps(-shift);
    (first - (WAVES / 2).cast_signed(), weights)
}

/// A grid of waves shifted along x; nothing comes in from outside.
fn shifted_x(grid: &[Complex<f64>], shift: f64) -> Vec<Complex<f64>> {
    let (first, weights) = shift_taps(shift);
    let mut out = vec![Complex::new(0.0, 0.0); grid.len()];
    for (from, to) in grid.chunks_exact(WAVES).zip(out.chunks_exact_mut(WAVES)) {
        for (offset, weight) in (first..).zip(weights) {
            for (index, sum) in to.iter_mut().enumerate() {
                if let Some(value) = within(index.cast_signed() + offset).and_then(|i| from.get(i)) {
                    *sum += value * weight;
                }
            }
        }
    }
    out
}

/// A grid of waves shifted along y.
fn shifted_y(grid: &[Complex<f64>], shift: f64) -> Vec<Complex<f64>> {
    let (first, weights) = shift_taps(shift);
    let mut out = vec![Complex::new(0.0, 0.0); grid.len()];
    for (index, to) in out.chunks_exact_mut(WAVES).enumerate() {
        for (offset, weight) in (first..).zip(weights) {
            let Some(row) = within(index.cast_signed() + offset) else { continue };
            for (sum, value) in to.iter_mut().zip(&grid[row * WAVES..]) {
                *sum += value * weight;
            }
        }
    }
    out
}

/// The waves at a place between them, in steps of the grid.
fn between(grid: &[Complex<f64>], place: [f64; 2]) -> Complex<f64> {
    let ((first_x, weights_x), (first_y, weights_y)) = (taps(place[0]), taps(place[1]));
    let mut sum = Complex::new(0.0, 0.0);
    for (row, weight_y) in (first_y..).zip(weights_y).filter_map(|(r, w)| Some((within(r)?, w))) {
        for (column, weight_x) in (first_x..).zip(weights_x).filter_map(|(c, w)| Some((within(c)?, w))) {
            sum += grid[row * WAVES + column] * (weight_x * weight_y);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::coupling_rolled;

    fn gaussian(x_um: f64, y_um: f64) -> NumericMode {
        NumericMode::straight(Shape::Gaussian(Mode { x_um, y_um }))
    }

    fn pair(emitter: &NumericMode, receiver: &NumericMode) -> NumericPair {
        NumericPair::new(emitter, receiver, 1.0, 0.0)
    }

    /// Relative error against the closed form, over draws of all misalignments that keep the loss within a depth.
    fn worst(modes: [Mode; 2], depth_db: f64, roll: bool) -> f64 {
        let numeric = pair(&gaussian(modes[0].x_um, modes[0].y_um), &gaussian(modes[1].x_um, modes[1].y_um));
        let (w, mut worst, mut seen) = (modes[0].x_um, 0.0f64, 0);
        for n in 0..120 {
            let draw = crate::noise::Stream::new(1, "numeric").child(n);
            let size = 2.5 * (depth_db / 30.0).sqrt();
            let th = 0.7 * size * 1.55 / (PI * w);
            let at = Misalignment {
                dx_um: size * w * draw.symmetric(0),
                dy_um: size * w * draw.symmetric(1),
                dz_um: 2.0 * w * w * PI / 1.55 * draw.symmetric(2),
                thx_rad: th * draw.symmetric(3),
                thy_rad: th * draw.symmetric(4),
            };
            let roll_rad = if roll { draw.symmetric(5) } else { 0.0 };
            let expect = coupling_rolled(1.55, 1.0, modes[0], modes[1], &at, roll_rad);
            if expect > share(depth_db) {
                worst = worst.max((numeric.efficiency(1.55, &at, roll_rad) / expect - 1.0).abs());
                seen += 1;
            }
        }
        assert!(seen > 30, "{seen}");
        worst
    }

    /// Measured with all of offset, gap, tilt and roll drawn at once; the rim of the grid limits the deep end.
    #[test]
    fn gaussian_fields_agree_with_the_closed_form_down_to_sixty_decibels() {
        for (w1, w2) in [(5.2, 5.2), (5.2, 4.0), (2.0, 1.2)] {
            let modes = [Mode::round(w1), Mode { x_um: w2, y_um: w2 * 0.8 }];
            assert!(worst(modes, 10.0, false) < 1e-8 && worst(modes, 30.0, false) < 1e-7, "{w1} {w2}");
            assert!(worst(modes, 10.0, true) < 1e-8 && worst(modes, 60.0, false) < 1e-4, "{w1} {w2}");
        }
    }

    #[test]
    fn a_turned_ellipse_is_the_rolled_closed_form() {
        let modes = [Mode { x_um: 3.0, y_um: 1.8 }, Mode { x_um: 2.6, y_um: 1.5 }];
        let turned = NumericMode { shape: Shape::Gaussian(modes[1]), turn_rad: 0.5 };
        let at = Misalignment { dx_um: 1.0, dy_um: 0.7, dz_um: 4.0, thx_rad: 0.05, thy_rad: -0.1 };
        let expect = coupling_rolled(1.55, 1.0, modes[0], modes[1], &at, 0.5);
        let got = pair(&gaussian(3.0, 1.8), &turned).efficiency(1.55, &at, 0.0);
        assert!((got / expect - 1.0).abs() < 1e-7, "{got} {expect}");
    }

    #[test]
    fn a_tilt_along_one_axis_is_no_special_case() {
        let numeric = pair(&gaussian(5.2, 5.2), &gaussian(4.0, 4.5));
        for (thx_rad, thy_rad) in [(0.04, 0.0), (0.0, -0.03)] {
            let at = Misalignment { dx_um: 2.0, dy_um: 1.0, dz_um: 40.0, thx_rad, thy_rad };
            let modes = [Mode::round(5.2), Mode { x_um: 4.0, y_um: 4.5 }];
            let expect = coupling_rolled(1.55, 1.0, modes[0], modes[1], &at, 0.0);
            assert!((numeric.efficiency(1.55, &at, 0.0) / expect - 1.0).abs() < 1e-8, "{thx_rad} {thy_rad}");
        }
    }

    /// Marcuse's Gaussian: over 99.6 % of LP01 near V = 2.4, and nearly its tolerance; far off, LP01 falls as exp(-r).
    #[test]
    fn a_fibre_is_nearly_its_gaussian_at_the_peak_and_far_brighter_in_the_tail() {
        let fibre = StepIndex::lp01(4.1, 0.14, 1.5).unwrap();
        let w = fibre.gaussian_radius_um();
        let mode = NumericMode::straight(Shape::StepIndex(fibre));
        let matched = pair(&mode, &gaussian(w, w)).efficiency(1.5, &Misalignment::default(), 0.0);
        assert!((0.996..0.9985).contains(&matched), "{matched}");
        let splice = pair(&mode, &mode);
        let loss =
            |dx_um: f64| -10.0 * splice.efficiency(1.5, &Misalignment { dx_um, ..Default::default() }, 0.0).log10();
        let (aligned, offset) = (loss(0.0), loss(w * (1.0 / 4.343f64).sqrt()));
        // The kink at the core's edge has 7e-5 of the power in waves beyond the grid.
        assert!((0.0..5e-4).contains(&aligned) && (offset - 1.0).abs() < 0.06, "{aligned} {offset}");
        let gaussian_loss = 4.343 * (25.0 / w).powi(2);
        assert!(loss(25.0) < gaussian_loss - 25.0, "{} {gaussian_loss}", loss(25.0));
        // The tail's slope is that of exp(-2 w r / a), a little steeper by the root in K0.
        let slope = (loss(27.0) - loss(25.0)) / 2.0;
        let tail = 20.0 / std::f64::consts::LN_10 * fibre.decay_per_um();
        assert!((0.9..1.1).contains(&(slope / tail)), "{slope} {tail}");
    }

    #[test]
    fn lobes_of_a_converter_are_local_maxima_at_their_level() {
        let lobes = [-1.0, 1.0].map(|side| FieldLobe { at_um: [side * 9.0, 0.0], down_db: 8.0, radius_um: 2.2 });
        let converter = NumericMode::straight(Shape::Lobed { mode: Mode::round(2.5), lobes: lobes.to_vec() });
        let pair = pair(&converter, &gaussian(2.0, 2.0));
        let at = |dx_um: f64| pair.efficiency(1.55, &Misalignment { dx_um, ..Default::default() }, 0.0);
        let lobe = (at(9.0) / at(0.0)).log10() * -10.0;
        assert!(at(9.0) > 10.0 * at(5.5) && at(9.0) > at(11.0), "{lobe}");
        assert!((8.0..15.0).contains(&lobe), "{lobe}");
    }

    #[test]
    fn a_skewed_mode_has_a_steeper_flank_and_couples_less() {
        let mode = Mode::round(2.0);
        let skewed = NumericMode::straight(Shape::Skewed { mode, skew: [0.2, 0.0] });
        let pair = pair(&skewed, &gaussian(2.0, 2.0));
        let at = |dx_um: f64| pair.efficiency(1.55, &Misalignment { dx_um, ..Default::default() }, 0.0);
        // The admixture is orthogonal: its share is 0.04 / 1.04.
        assert!((at(0.0) - 1.0 / 1.04).abs() < 1e-9, "{}", at(0.0));
        assert!((at(2.5) / at(-2.5)).log10().abs() > 0.05);
    }
}
