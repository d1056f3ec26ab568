//! Circular dither: the light's level around a circle tells, by its phase, which way is up (a lock-in). Further axes
//! are swept a little to and fro, one at a time.

use std::f64::consts::TAU;

use recipes::Axis;

use super::{Bench, Ended, Setup};
use crate::search::{Probe, SearchError};

/// Radius of the circle, in scales.
const RADIUS: f64 = 0.25;

/// Half length of the sweeps along the other axes, in scales.
const HALF: f64 = 0.1;

/// Samples around the circle: of two axes, and where there are more.
const AROUND: (u32, u32) = (16, 8);

/// Samples of a sweep to or fro.
const ALONG: u32 = 4;

/// Share of the step to a parabola's vertex that is taken.
const GAIN: f64 = 0.6;

/// Longest step, in scales.
const LEAP: f64 = 1.0;

/// A step shorter than this, in scales, along every axis is the end.
const END: f64 = 0.03;

/// Rounds before it gives up, of two axes and where there are more.
const ROUNDS: (usize, usize) = (80, 60);

/// Share of the acceleration that goes into the circle.
const CENTRIPETAL: f64 = 0.64;

/// A Gaussian peak's slope at a distance d is 8.686 d / w^2 dB a um, w the distance that loses 4.343 dB.
const SLOPE_DB: f64 = 8.685_889_638;

/// Dithers from here.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoAxis` without x and y.
pub async fn dither(probe: &mut dyn Probe, setup: &Setup) -> Result<Ended, SearchError> {
    let index = |axis| probe.info().index(axis).ok_or(SearchError::NoAxis(axis));
    let lateral = [index(Axis::X)?, index(Axis::Y)?];
    let mut bench = Bench::new(probe, setup).await?;
    let others: Vec<usize> = (0..bench.dimensions()).filter(|i| !lateral.contains(i)).collect();
    let plane = others.is_empty();
    let mut centre = bench.at.clone();
    let mut level = f64::NEG_INFINITY;
    for _ in 0..if plane { ROUNDS.0 } else { ROUNDS.1 } {
        let mut slopes = vec![0.0; centre.len()];
        level = circle(&mut bench, &centre, lateral, if plane { AROUND.0 } else { AROUND.1 }, &mut slopes).await?;
        for axis in &others {
            slopes[*axis] = to_and_fro(&mut bench, &centre, *axis).await?;
        }
        let steps: Vec<f64> = (0..centre.len())
            .map(|i| {
                let leap = LEAP * setup.scale[i];
                (GAIN * slopes[i] * setup.width[i].powi(2) / SLOPE_DB).clamp(-leap, leap)
            })
            .collect();
        for (c, step) in centre.iter_mut().zip(&steps) {
            *c += step;
        }
        if steps.iter().zip(&setup.scale).all(|(s, scale)| s.abs() < END * scale) {
            break;
        }
    }
    bench.go(&centre).await?;
    Ok(bench.ended(level))
}

/// Samples a circle about a centre; gives its mean level and the slopes across it, dB a um.
async fn circle(
    bench: &mut Bench<'_>,
    centre: &[f64],
    lateral: [usize; 2],
    samples: u32,
    slopes: &mut [f64],
) -> Result<f64, SearchError> {
    let [x, y] = lateral;
    let radius = RADIUS * bench.setup.scale[x].min(bench.setup.scale[y]);
    let axis = &bench.probe.info().axes[x];
    let speed = (CENTRIPETAL * axis.acceleration * radius).sqrt().min(axis.speed);
    let point = |k: u32| {
        let angle = TAU * f64::from(k) / f64::from(samples);
        let mut at = centre.to_vec();
        at[x] += radius * angle.cos();
        at[y] += radius * angle.sin();
        at
    };
    let path: Vec<Vec<f64>> = (0..samples).map(point).collect();
    let seen = bench.sweep(&path, speed).await?;
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let count = seen.len().max(1) as f64;
    let mean = seen.iter().map(|(_, level)| level).sum::<f64>() / count;
    for axis in lateral {
        let turn = seen.iter().map(|(at, level)| (at[axis] - centre[axis]) * (level - mean)).sum::<f64>();
        slopes[axis] = 2.0 * turn / (count * radius * radius);
    }
    Ok(mean)
}

/// Slope along one axis, dB a um or degree: a straight sweep each way, the play in one against that in the other.
async fn to_and_fro(bench: &mut Bench<'_>, centre: &[f64], axis: usize) -> Result<f64, SearchError> {
    let half = HALF * bench.setup.scale[axis];
    let info = &bench.probe.info().axes[axis];
    let fastest = info.speed;
    let speed = if info.axis.is_angle() { 100.0 } else { super::line_speed(2.0 * half, info.acceleration, fastest) };
    let point = |k: u32, way: f64| {
        let mut at = centre.to_vec();
        at[axis] += way * half * (2.0 * f64::from(k) / f64::from(ALONG - 1) - 1.0);
        at
    };
    let mut moment = 0.0;
    let mut square = 0.0;
    for way in [1.0, -1.0] {
        let path: Vec<Vec<f64>> = (0..ALONG).map(|k| point(k, way)).collect();
        let seen = bench.sweep(&path, speed).await?;
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let count = seen.len().max(1) as f64;
        let mean = seen.iter().map(|(_, level)| level).sum::<f64>() / count;
        let middle = seen.iter().map(|(at, _)| at[axis]).sum::<f64>() / count;
        for (at, level) in &seen {
            moment += (at[axis] - middle) * (level - mean);
            square += (at[axis] - middle).powi(2);
        }
    }
    Ok(if square > 0.0 { moment / square } else { 0.0 })
}
