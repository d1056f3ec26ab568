//! Peak: parabolas through three readings an axis, across the light first, then along it, until a correction is worth
//! less than the tolerance. What is reported is measured where the search ends.
//!
//! Across the light a Gaussian mode's loss in dB is a parabola; along it, one over the power is. Play is taken up by
//! coming to every point from below. Along the light nothing is tried before the loss across it is small, because a
//! climb along it runs away from the focus while the mode is more than about 4 dB off to the side.

use recipes::Axis;
use units::{Power, db_ratio};

use super::{Probe, SearchError, level_db, signal};
use crate::event::Sample;

/// What the search needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Whether to search along the light too.
    pub along: bool,
    /// Mode radius (1/e^2 of intensity) of the receiving fibre, um.
    pub mode_radius_um: f64,
    /// Wavelength, nm.
    pub wavelength_nm: f64,
    /// Lowest and highest position along the light, um.
    pub z_limits: (f64, f64),
    /// Loss the search may leave, dB.
    pub tolerance_db: f64,
}

/// Rounds of corrections before the search gives up.
const ROUNDS: usize = 12;

/// Points across the light are this many mode radii apart: near the best for a parabola with an unknown height.
const STEP: f64 = 0.6;

/// Points along the light are this many Rayleigh lengths apart.
const STEP_ALONG: f64 = 0.6;

/// A correction is no longer than this many steps: farther out a parabola through noise is worth nothing.
const LEAP: f64 = 4.0;

/// Across the light, loss below which it is safe to search along it, dB.
const CENTRED_DB: f64 = 1.0;

/// So near to an end of the range along the light the search is at it, um.
const NEAR_LIMIT_UM: f64 = 0.01;

/// Readings averaged at the end.
const FINAL_READINGS: usize = 4;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    /// Where the search ended; the stage stands there.
    pub position: Vec<f64>,
    /// Power measured there, after the last move.
    pub power: Power,
    /// What the last round of corrections was worth, dB: what is left is less.
    pub last_correction_db: f64,
    /// Whether that is within the tolerance and the end is no worse than the best reading on the way.
    pub converged: bool,
    /// Whether it ended at an end of the range along the light: there may be more light beyond.
    pub at_limit: bool,
    /// Readings taken.
    pub readings: usize,
}

/// Climbs from here to the peak.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoAxis`.
pub async fn search(probe: &mut dyn Probe, setup: &Setup) -> Result<Peak, SearchError> {
    let mut climb = Climb::new(probe, setup).await?;
    let rayleigh = std::f64::consts::PI * setup.mode_radius_um.powi(2) / (setup.wavelength_nm * 1e-3);
    let mut last = f64::INFINITY;
    for _ in 0..ROUNDS {
        let across = climb.round_across(setup).await?;
        last = across;
        if setup.along && across <= CENTRED_DB {
            last += climb.along(setup, rayleigh).await?;
        } else if setup.along {
            last = f64::INFINITY;
        }
        if last <= setup.tolerance_db / 2.0 {
            break;
        }
    }
    climb.finish(setup, last).await
}

struct Climb<'p> {
    probe: &'p mut dyn Probe,
    lateral: [usize; 2],
    z: Option<usize>,
    at: Vec<f64>,
    best: Option<(Vec<f64>, Power)>,
    readings: usize,
}

impl<'p> Climb<'p> {
    async fn new(probe: &'p mut dyn Probe, setup: &Setup) -> Result<Climb<'p>, SearchError> {
        let index = |axis| probe.info().index(axis).ok_or(SearchError::NoAxis(axis));
        let lateral = [index(Axis::X)?, index(Axis::Y)?];
        let z = if setup.along { Some(index(Axis::Z)?) } else { None };
        let at = probe.position().await?;
        Ok(Climb { probe, lateral, z, at, best: None, readings: 0 })
    }

    fn clamped(&self, axis: usize, value: f64, setup: &Setup) -> f64 {
        let info = &self.probe.info().axes[axis];
        let within = value.clamp(info.lower + self.take_up(axis), info.upper);
        if Some(axis) == self.z { within.clamp(setup.z_limits.0, setup.z_limits.1) } else { within }
    }

    /// How far below a point to begin so that play is taken up on the way to it.
    fn take_up(&self, axis: usize) -> f64 {
        let info = &self.probe.info().axes[axis];
        1.5 * info.play * (1.0 + 3.0 * info.play_spread)
    }

    /// Moves one axis, coming from below.
    async fn go(&mut self, axis: usize, to: f64) -> Result<(), SearchError> {
        let take_up = self.take_up(axis);
        if to < self.at[axis] && take_up > 0.0 {
            self.at[axis] = to - take_up;
            self.probe.move_to(&self.at).await?;
        }
        self.at[axis] = to;
        self.probe.move_to(&self.at).await
    }

    async fn read(&mut self) -> Result<Power, SearchError> {
        self.readings += 1;
        let sample: Sample = self.probe.measure().await?;
        let power = signal(&sample)?;
        if self.best.as_ref().is_none_or(|(_, best)| power > *best) {
            self.best = Some((self.at.clone(), power));
        }
        Ok(power)
    }

    /// One correction in x and one in y; returns what they were worth, dB.
    async fn round_across(&mut self, setup: &Setup) -> Result<f64, SearchError> {
        let mut worth = 0.0;
        for axis in self.lateral {
            worth += self.across(setup, axis).await?;
        }
        Ok(worth)
    }

    async fn across(&mut self, setup: &Setup, axis: usize) -> Result<f64, SearchError> {
        let floor = self.probe.info().channels.first().map_or(Power::ZERO, |c| c.floor);
        let step = STEP * setup.mode_radius_um;
        let [a, b, c] = self.three(setup, axis, step).await?;
        let levels = [a, b, c].map(|(at, power)| (at, level_db(power, floor)));
        let vertex = vertex(levels.map(|(_, level)| -level));
        let centre = b.0;
        let to = self.clamped(axis, centre + toward(vertex, levels.map(|(_, l)| l)) * step, setup);
        self.go(axis, to).await?;
        Ok(4.343 * ((to - centre) / setup.mode_radius_um).powi(2))
    }

    async fn along(&mut self, setup: &Setup, rayleigh: f64) -> Result<f64, SearchError> {
        let Some(axis) = self.z else { return Ok(0.0) };
        let span = setup.z_limits.1 - setup.z_limits.0;
        let step = (STEP_ALONG * rayleigh).min(span / 2.0);
        let began = self.at[axis];
        let [a, b, c] = self.three(setup, axis, step).await?;
        let inverse = [a, b, c].map(|(_, p)| 1.0 / p.watts().max(f64::MIN_POSITIVE));
        let powers = [a, b, c].map(|(_, p)| p.watts());
        let to = self.clamped(axis, b.0 + toward(vertex(inverse), powers) * step, setup);
        self.go(axis, to).await?;
        Ok(4.343 * ((to - began) / (2.0 * rayleigh)).powi(2))
    }

    /// Readings at three points of one axis, `step` apart, around here or as near as the limits allow.
    async fn three(&mut self, setup: &Setup, axis: usize, step: f64) -> Result<[(f64, Power); 3], SearchError> {
        let low = self.clamped(axis, self.at[axis] - step, setup);
        let low = self.clamped(axis, low + 2.0 * step, setup) - 2.0 * step;
        let mut points = [(0.0, Power::ZERO); 3];
        let mut at = low;
        for point in &mut points {
            self.go(axis, at).await?;
            *point = (at, self.read().await?);
            at += step;
        }
        Ok(points)
    }

    /// Measures at the end, and goes back to the best reading's place where that was better.
    async fn finish(mut self, setup: &Setup, last: f64) -> Result<Peak, SearchError> {
        let mut power = self.mean().await?;
        let mut converged = last <= setup.tolerance_db;
        if let Some((place, best)) = self.best.clone()
            && db_ratio(best, power).is_none_or(|db| db > setup.tolerance_db)
        {
            let ended = self.at.clone();
            self.go_all(&place).await?;
            let there = self.mean().await?;
            if there > power {
                power = there;
            } else {
                self.go_all(&ended).await?;
                power = self.mean().await?;
            }
            converged &= db_ratio(best, power).is_some_and(|db| db <= setup.tolerance_db);
        }
        let at_limit = self.z.is_some_and(|z| {
            let (low, high) = (self.clamped(z, f64::NEG_INFINITY, setup), self.clamped(z, f64::INFINITY, setup));
            !(low + NEAR_LIMIT_UM..=high - NEAR_LIMIT_UM).contains(&self.at[z])
        });
        Ok(Peak { at_limit, position: self.at, power, last_correction_db: last, converged, readings: self.readings })
    }

    async fn go_all(&mut self, place: &[f64]) -> Result<(), SearchError> {
        for (axis, to) in place.iter().enumerate() {
            if *to != self.at[axis] {
                self.go(axis, *to).await?;
            }
        }
        Ok(())
    }

    async fn mean(&mut self) -> Result<Power, SearchError> {
        let mut sum = 0.0;
        for _ in 0..FINAL_READINGS {
            self.readings += 1;
            sum += signal(&self.probe.measure().await?)?.watts();
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of readings")]
        let mean = sum / FINAL_READINGS as f64;
        Ok(Power::from_watts(mean))
    }
}

/// Vertex of the parabola through three values one step apart, in steps from the middle; `None` where it has no lowest
/// point.
fn vertex([a, b, c]: [f64; 3]) -> Option<f64> {
    let bend = a - 2.0 * b + c;
    (bend > 1e-12 * (a.abs() + b.abs() + c.abs())).then(|| (a - c) / (2.0 * bend))
}

/// The vertex, no farther than a leap; where there is none, a leap towards the end that is higher.
fn toward(vertex: Option<f64>, values: [f64; 3]) -> f64 {
    let uphill = if values[2] >= values[0] { 2.0 } else { -2.0 };
    vertex.unwrap_or(uphill).clamp(-LEAP, LEAP)
}

#[cfg(test)]
mod tests {
    use super::super::formula::Formula;
    use super::*;

    fn run(probe: &mut Formula, along: bool) -> Peak {
        let setup =
            Setup { along, mode_radius_um: 4.6, wavelength_nm: 1310.0, z_limits: (-150.0, 150.0), tolerance_db: 0.02 };
        let runtime = units::clock::virtual_runtime().unwrap();
        runtime.block_on(search(probe, &setup)).unwrap()
    }

    #[test]
    fn the_peak_is_reached_within_the_tolerance_from_far_out_with_play_and_noise() {
        for peak in [[9.0, -3.0, 60.0], [-4.0, 8.0, -55.0], [0.5, 0.2, 0.0], [-6.0, -6.0, 30.0]] {
            for play in [0.0, 0.2, 1.0] {
                let mut probe = Formula::new(peak, play, 0.005);
                let got = run(&mut probe, true);
                let left = probe.loss_db(&probe.actual);
                assert!(got.converged && left < 0.02, "{peak:?} play {play}: {left} dB left, {got:?}");
            }
        }
    }

    #[test]
    fn without_z_only_x_and_y_move() {
        let mut probe = Formula::new([5.0, 5.0, 40.0], 0.2, 0.005);
        let got = run(&mut probe, false);
        assert!(got.converged);
        assert_eq!(got.position[2], 0.0);
        assert!(!got.at_limit && (probe.actual[0] - 5.0).abs() < 0.2 && (probe.actual[1] - 5.0).abs() < 0.2);
    }

    #[test]
    fn a_focus_beyond_the_limits_ends_at_the_limit() {
        let mut probe = Formula::new([1.0, 1.0, 180.0], 0.0, 0.0);
        let got = run(&mut probe, true);
        assert!(got.position[2] <= 150.0 && got.position[2] > 140.0 && got.at_limit, "{got:?}");
    }

    #[test]
    fn noise_as_great_as_the_signal_is_not_called_converged() {
        let mut probe = Formula::new([3.0, 2.0, 10.0], 0.2, 3.0);
        assert!(!run(&mut probe, true).converged);
    }

    #[test]
    fn the_power_reported_was_read_at_the_end() {
        let mut probe = Formula::new([3.0, 2.0, 10.0], 0.2, 0.0);
        let got = run(&mut probe, true);
        let there = -probe.loss_db(&probe.actual);
        assert!((got.power.dbm().unwrap() - there).abs() < 1e-3);
    }
}
