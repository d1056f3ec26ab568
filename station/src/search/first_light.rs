//! First light: sweeps along a square spiral outward from where it is expected, over a square around where the stage
//! stands, until the signal rises above a threshold and stays there at rest. No light is only said after a second look,
//! slower and with pauses at the corners.

use recipes::Axis;
use units::Power;

use super::{Probe, SearchError, signal};
use crate::event::Sample;

/// What the search needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// How far from the start to look in x and y, um.
    pub radius_um: f64,
    /// Where it is expected, in x and y from the start, um: there the spiral begins. It covers all of the area all the same.
    pub begin_um: [f64; 2],
    /// Power that counts as light.
    pub threshold: Power,
    /// Distance from the peak, across the light, at which the signal is at the threshold in focus, um.
    pub reach_um: f64,
    /// Whether both ends of a part are swept together, as far and the same way; reach is then of both together.
    pub both_ends: bool,
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

/// Searches here, on the way to where light is expected, and outward from there; where nothing is found, once more and
/// with more care. Where still nothing is found the stage is left where the spiral ended.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoAxis` without x or y, of either end where both are swept.
pub async fn search(probe: &mut dyn Probe, setup: &Setup) -> Result<FirstLight, SearchError> {
    let axes: &[Axis] = if setup.both_ends { &[Axis::X, Axis::Y, Axis::X2, Axis::Y2] } else { &[Axis::X, Axis::Y] };
    let lateral = axes.iter().map(|a| probe.info().index(*a).ok_or(SearchError::NoAxis(*a)));
    let spiral = Spiral { lateral: lateral.collect::<Result<_, _>>()?, centre: probe.position().await? };
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
    /// Indices of x and y, of one end after the other.
    lateral: Vec<usize>,
}

impl Spiral {
    /// A place across the light, from the centre; within the probe's limits.
    fn place(&self, probe: &dyn Probe, offset: [f64; 2]) -> Vec<f64> {
        let mut place = self.centre.clone();
        for (i, off) in self.lateral.iter().zip(offset.into_iter().cycle()) {
            let axis = &probe.info().axes[*i];
            place[*i] = (self.centre[*i] + off).clamp(axis.lower, axis.upper);
        }
        place
    }

    async fn sweep(
        &self,
        probe: &mut dyn Probe,
        setup: &Setup,
        look: Look,
        result: &mut FirstLight,
    ) -> Result<Option<Vec<f64>>, SearchError> {
        let pitch = PITCH * setup.reach_um;
        // Nearer than half a turn the first one sees it from the start.
        let near = |b: f64| if b.abs() < pitch / 2.0 { 0.0 } else { b.clamp(-setup.radius_um, setup.radius_um) };
        let mut at = None;
        for [from, to] in sides(setup.radius_um, setup.begin_um.map(near), pitch) {
            if at.replace(to) != Some(from) {
                probe.move_to(&self.place(probe, from)).await?;
            }
            let corner = self.place(probe, to);
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
            if let Some(place) = confirm(probe, setup, best, &self.lateral, look.speed).await? {
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
    let lateral = probe.info().axes.iter().filter(|a| a.axis.is_lateral());
    lateral.map(|a| a.speed).fold(by_meter, f64::min)
}

/// Sides, from where to where, of a square spiral around `begin` that covers a square of half-width `radius` around 0 and
/// does not leave it, and before them the way there from 0; turns are `pitch` apart. What lies beyond a border is swept
/// along it, once: later turns end there a pitch apart.
fn sides(radius: f64, begin: [f64; 2], pitch: f64) -> Vec<[[f64; 2]; 2]> {
    let last = radius + begin[0].abs().max(begin[1].abs());
    let mut corners = vec![[0.0, 0.0]];
    let mut turn = 0.0;
    while turn < last {
        let inner = turn;
        turn = (turn + pitch).min(last);
        corners.extend([[turn, -inner], [turn, turn], [-turn, turn], [-turn, -turn]]);
    }
    // The last turn's fourth side.
    corners.push([last, -last]);
    let corners: Vec<[f64; 2]> = corners.iter().map(|c| [begin[0] + c[0], begin[1] + c[1]]).collect();
    // Along one axis after the other: a platform goes askew as slowly as its slower axis.
    let corner = [begin[0], 0.0];
    let mut sides = vec![[[0.0; 2], corner], [corner, begin]];
    sides.retain(|[from, to]| from != to);
    let mut at = begin;
    let mut swept = [[false; 2]; 2];
    for ends in corners.windows(2) {
        // Across which axis the side lies still.
        let still = usize::from(ends[0][1] == ends[1][1]);
        let off = ends[0][still];
        if off.abs() >= radius && std::mem::replace(&mut swept[still][usize::from(off > 0.0)], true) {
            continue;
        }
        let [mut from, mut to] = [ends[0], ends[1]].map(|p| p.map(|v| v.clamp(-radius, radius)));
        if distance(at, to) < distance(at, from) {
            (from, to) = (to, from);
        }
        if from != to {
            sides.push([from, to]);
            at = to;
        }
    }
    sides
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
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

/// Goes to where a sweep promised light and measures at rest; looks along x and y of each end, slower each time, where it is
/// not.
async fn confirm(
    probe: &mut dyn Probe,
    setup: &Setup,
    promise: &Sample,
    lateral: &[usize],
    speed: f64,
) -> Result<Option<Vec<f64>>, SearchError> {
    let mut place = promise.commanded.clone();
    for i in lateral.iter().copied() {
        place[i] = promise.actual[i].clamp(probe.info().axes[i].lower, probe.info().axes[i].upper);
    }
    let mut slow = speed;
    for _ in 0..LOOKS {
        probe.move_to(&place).await?;
        if signal(&probe.measure().await?)? >= setup.threshold {
            return Ok(Some(place));
        }
        slow /= 2.0;
        for i in lateral.iter().copied() {
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
        run_from(probe, radius_um, [0.0; 2])
    }

    fn run_from(probe: &mut Formula, radius_um: f64, begin_um: [f64; 2]) -> FirstLight {
        let setup = Setup { radius_um, begin_um, threshold: Power::from_dbm(-23.0), reach_um: 10.6, both_ends: false };
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
        for begin in [[0.0, 0.0], [12.0, -30.0], [-47.5, 61.0], [79.0, 0.0], [80.0, -80.0], [3.0, 76.0]] {
            let sides = sides(radius, begin, pitch);
            assert!(sides.iter().flatten().flatten().all(|v| v.abs() <= radius), "{begin:?} leaves the area");
            for i in 0..=80 {
                for j in 0..=80 {
                    let p = [f64::from(i) * 2.0 - 80.0, f64::from(j) * 2.0 - 80.0];
                    let near = sides.iter().map(|[a, b]| to_side(p, *a, *b)).fold(f64::MAX, f64::min);
                    assert!(near <= pitch / 2.0 * 2.0_f64.sqrt() + 1e-9, "{begin:?}: {p:?} is {near} um away");
                }
            }
        }
    }

    #[test]
    fn a_spiral_that_begins_elsewhere_looks_there_first_and_sweeps_little_more_in_all() {
        let (radius, pitch) = (80.0, 15.0);
        let length = |begin| sides(radius, begin, pitch).iter().map(|[a, b]| distance(*a, *b)).sum::<f64>();
        for begin in [[30.0, -20.0], [-60.0, 60.0]] {
            let first: Vec<_> = sides(radius, begin, pitch).into_iter().skip(2).take(4).collect();
            assert!(first.iter().flatten().all(|p| distance(*p, begin) < 2.0 * pitch), "{begin:?}: {first:?}");
            assert!(length(begin) < 1.15 * length([0.0, 0.0]), "{} {}", length(begin), length([0.0, 0.0]));
        }
    }

    #[test]
    fn light_is_found_wherever_it_is_though_it_is_expected_elsewhere() {
        for peak in [[-70.0, 66.0], [79.0, -79.0], [0.0, 5.0]] {
            let mut probe = Formula::new([peak[0], peak[1], 0.0], 0.2, 0.005);
            let got = run_from(&mut probe, 80.0, [50.0, -40.0]);
            assert!(got.found.is_some(), "{peak:?}: {got:?}");
        }
    }

    #[test]
    fn light_where_it_is_expected_is_found_on_the_way_there() {
        let mut probe = Formula::new([52.0, -43.0, 0.0], 0.2, 0.005);
        assert_eq!(run_from(&mut probe, 80.0, [50.0, -40.0]).legs, 2);
        let mut probe = Formula::new([52.0, -43.0, 0.0], 0.2, 0.005);
        assert!(run(&mut probe, 80.0).legs > 8);
    }

    fn to_side(p: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
        let [dx, dy] = [b[0] - a[0], b[1] - a[1]];
        let share = (((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy).max(1e-12)).clamp(0.0, 1.0);
        distance(p, [a[0] + share * dx, a[1] + share * dy])
    }
}
