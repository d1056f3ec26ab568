//! First light: sweeps along a square spiral outward from where the stage stands, until the signal rises above a
//! threshold and stays there at rest. No light is only said after a second look, slower and with pauses at the corners.

use recipes::Axis;
use units::Power;

use super::{Probe, SearchError, signal};
use crate::event::Sample;

/// What the search needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// How far from the start to look in x and y, um.
    pub radius_um: f64,
    /// Power that counts as light.
    pub threshold: Power,
    /// Distance from the peak, across the light, at which the signal is at the threshold in focus, um.
    pub reach_um: f64,
}

/// Spacing of the spiral's turns in units of the reach. The worst place between two sides is 0.65 reaches from one, and
/// the worst place at a corner, on the diagonal, 0.92.
const PITCH: f64 = 1.3;

/// Samples along the chord that a side cuts through the reach at half a pitch (2 * sqrt(1 - 0.65^2) reaches).
const SAMPLES_A_CHORD: f64 = 4.0;

/// Slow looks along a leg that promised light before its promise is taken for noise.
const LOOKS: usize = 3;

/// Longest lag of a meter that the second look allows for, seconds: twice the slowest range switch of those we know.
const LINGER_S: f64 = 0.1;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstLight {
    /// Where light was confirmed at rest, if it was; the stage stands there.
    pub found: Option<Vec<f64>>,
    /// The greatest power seen, at rest or in motion.
    pub greatest: Power,
    /// Sides of the spiral that were swept.
    pub legs: usize,
}

/// Searches outward from here; where nothing is found, once more and with more care. Where still nothing is found the stage
/// is left where the spiral ended.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoAxis` without x or y.
pub async fn search(probe: &mut dyn Probe, setup: &Setup) -> Result<FirstLight, SearchError> {
    let lateral = [Axis::X, Axis::Y];
    let [x, y] = lateral.map(|a| probe.info().index(a).ok_or(SearchError::NoAxis(a)));
    let spiral = Spiral { centre: probe.position().await?, lateral: [x?, y?] };
    let here = signal(&probe.measure().await?)?;
    let mut result = FirstLight { found: None, greatest: here, legs: 0 };
    if here >= setup.threshold {
        result.found = Some(spiral.centre);
        return Ok(result);
    }
    for look in [
        Look { speed: speed(probe, setup), linger_s: 0.0 },
        Look { speed: speed(probe, setup) / 2.0, linger_s: LINGER_S },
    ] {
        probe.move_to(&spiral.centre).await?;
        result.found = spiral.sweep(probe, setup, look, &mut result).await?;
        if result.found.is_some() {
            break;
        }
    }
    Ok(result)
}

/// How a spiral is swept.
#[derive(Debug, Clone, Copy)]
struct Look {
    speed: f64,
    /// Readings go on so long at the end of each side, for a meter that shows what is past.
    linger_s: f64,
}

struct Spiral {
    centre: Vec<f64>,
    lateral: [usize; 2],
}

impl Spiral {
    async fn sweep(
        &self,
        probe: &mut dyn Probe,
        setup: &Setup,
        look: Look,
        result: &mut FirstLight,
    ) -> Result<Option<Vec<f64>>, SearchError> {
        for offset in corners(setup.radius_um, PITCH * setup.reach_um) {
            let mut corner = self.centre.clone();
            for (i, off) in self.lateral.into_iter().zip([offset.0, offset.1]) {
                let axis = &probe.info().axes[i];
                corner[i] = (self.centre[i] + off).clamp(axis.lower, axis.upper);
            }
            let mut samples = probe.sweep(&corner, look.speed).await?;
            let until = probe.now_s() + look.linger_s;
            while probe.now_s() < until {
                samples.push(probe.measure().await?);
            }
            result.legs += 1;
            let Some((best, power)) = greatest(&samples)? else { continue };
            result.greatest = Power::from_watts(result.greatest.watts().max(power.watts()));
            if power < setup.threshold {
                continue;
            }
            if let Some(place) = confirm(probe, setup, best, self.lateral, look.speed).await? {
                return Ok(Some(place));
            }
            probe.move_to(&corner).await?;
        }
        Ok(None)
    }
}

/// Speed along the spiral, um/s: a few samples within the reach, no faster than the slower axis.
fn speed(probe: &dyn Probe, setup: &Setup) -> f64 {
    let chord = 2.0 * (1.0 - (PITCH / 2.0_f64).powi(2)).sqrt() * setup.reach_um;
    let by_meter = chord / SAMPLES_A_CHORD / probe.info().costs.sample_s.max(1e-4);
    let lateral = probe.info().axes.iter().filter(|a| matches!(a.axis, Axis::X | Axis::Y));
    lateral.map(|a| a.speed).fold(by_meter, f64::min)
}

/// Corners of a square spiral around 0 that covers a square of half-width `radius`, turns `pitch` apart.
fn corners(radius: f64, pitch: f64) -> Vec<(f64, f64)> {
    let mut corners = Vec::new();
    let mut turn = 0.0;
    while turn < radius {
        let inner = turn;
        turn = (turn + pitch).min(radius);
        corners.extend([(turn, -inner), (turn, turn), (-turn, turn), (-turn, -turn)]);
    }
    // The last turn's fourth side.
    corners.push((radius, -radius));
    corners
}

fn greatest(samples: &[Sample]) -> Result<Option<(&Sample, Power)>, SearchError> {
    let mut best: Option<(&Sample, Power)> = None;
    for sample in samples {
        let power = signal(sample)?;
        if best.is_none_or(|(_, b)| power > b) {
            best = Some((sample, power));
        }
    }
    Ok(best)
}

/// Goes to where a sweep promised light and measures at rest; looks along x and y, slower each time, where it is not.
async fn confirm(
    probe: &mut dyn Probe,
    setup: &Setup,
    promise: &Sample,
    lateral: [usize; 2],
    speed: f64,
) -> Result<Option<Vec<f64>>, SearchError> {
    let mut place = promise.commanded.clone();
    for i in lateral {
        place[i] = promise.actual[i].clamp(probe.info().axes[i].lower, probe.info().axes[i].upper);
    }
    let mut slow = speed;
    for _ in 0..LOOKS {
        probe.move_to(&place).await?;
        if signal(&probe.measure().await?)? >= setup.threshold {
            return Ok(Some(place));
        }
        slow /= 2.0;
        for i in lateral {
            let (mut begin, mut end) = (place.clone(), place.clone());
            begin[i] = (place[i] - setup.reach_um).max(probe.info().axes[i].lower);
            end[i] = (place[i] + setup.reach_um).min(probe.info().axes[i].upper);
            probe.move_to(&begin).await?;
            // There and back: what a meter that lags shifts one way it shifts the other way on the way back.
            let there = probe.sweep(&end, slow).await?;
            let back = probe.sweep(&begin, slow).await?;
            if let (Some((one, _)), Some((other, _))) = (greatest(&there)?, greatest(&back)?) {
                place[i] = f64::midpoint(one.actual[i], other.actual[i]);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::formula::Formula;
    use super::*;

    fn run(probe: &mut Formula, radius_um: f64) -> FirstLight {
        let setup = Setup { radius_um, threshold: Power::from_dbm(-23.0), reach_um: 10.6 };
        let runtime = units::clock::virtual_runtime().unwrap();
        runtime.block_on(search(probe, &setup)).unwrap()
    }

    #[test]
    fn light_is_found_wherever_the_peak_lies_in_the_square_and_out_of_focus() {
        for (i, (x, y)) in
            [(0.0, 0.0), (40.0, -40.0), (-79.0, 3.0), (61.0, 77.0), (-7.0, -80.0)].into_iter().enumerate()
        {
            for z in [-60.0, 0.0, 60.0] {
                let mut probe = Formula::new([x, y, z], 0.2, 0.005);
                let got = run(&mut probe, 80.0);
                assert!(got.found.is_some(), "case {i} at z {z}: {got:?}");
                assert!(probe.loss_db(&probe.actual) < 23.5, "case {i}");
            }
        }
    }

    #[test]
    fn stray_light_is_not_taken_for_first_light() {
        let mut probe = Formula::new([0.0; 3], 0.2, 0.005);
        probe.light_db = f64::NEG_INFINITY;
        probe.dark_w = Power::from_dbm(-40.0).watts();
        let got = run(&mut probe, 40.0);
        assert_eq!(got.found, None);
        assert!(got.greatest < Power::from_dbm(-38.0));
    }

    #[test]
    fn no_point_of_the_square_is_farther_from_the_spiral_than_half_a_pitchs_diagonal() {
        let (radius, pitch) = (80.0, 15.0);
        let mut legs = Vec::new();
        let mut at = (0.0, 0.0);
        for corner in corners(radius, pitch) {
            legs.push((at, corner));
            at = corner;
        }
        for i in 0..=80 {
            for j in 0..=80 {
                let p = (f64::from(i) * 2.0 - 80.0, f64::from(j) * 2.0 - 80.0);
                let near = legs.iter().map(|(a, b)| distance(p, *a, *b)).fold(f64::MAX, f64::min);
                assert!(near <= pitch / 2.0 * 2.0_f64.sqrt() + 1e-9, "{p:?} is {near} um away");
            }
        }
    }

    fn distance(p: (f64, f64), a: (f64, f64), b: (f64, f64)) -> f64 {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let share = (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / (dx * dx + dy * dy).max(1e-12)).clamp(0.0, 1.0);
        ((p.0 - a.0 - share * dx).powi(2) + (p.1 - a.1 - share * dy).powi(2)).sqrt()
    }
}
