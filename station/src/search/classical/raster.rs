//! Raster: the area line by line, each line a sweep of its own, then again finely about what was found; further axes
//! line by line.

use recipes::Axis;

use super::{Bench, Ended, Setup, line_speed, parabola};
use crate::search::{Probe, SearchError};

/// How the middle of a raster is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centre {
    /// A paraboloid fitted to the levels near the highest.
    Fit,
    /// The centroid of the power above half of its highest.
    Centroid,
}

/// Pitch of the coarse raster, in widths: for a fit and for a centroid.
const PITCH: (f64, f64) = (0.75, 0.477);

/// Pitch of a fit's coarse raster where the area is large and the light must be found first, in widths.
const PITCH_WIDE: f64 = 1.8;

/// An area is large from this many widths to either side.
const WIDE: f64 = 10.0;

/// Points of a line of the fine raster: for a fit and for a centroid.
const FINE_POINTS: (u32, u32) = (4, 14);

/// Half width of the fine raster, in widths: for a fit and for a centroid.
const FINE_HALF: (f64, f64) = (0.6, 1.5);

/// Points along each further axis, and their reach to either side in scales.
const ALONG: (u32, f64) = (9, 1.2);

/// Rounds where there are further axes.
const ROUNDS: usize = 2;

/// Levels this far below the highest count in a fit, dB, ...
const DEPTH_DB: f64 = 10.0;

/// ... and where the lines are far apart those of the next line: for a pitch of one width, dB.
const DEPTH_PITCH_DB: f64 = 8.7;

/// Rasters about here.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoAxis` without x and y.
pub async fn raster(probe: &mut dyn Probe, setup: &Setup, centre: Centre) -> Result<Ended, SearchError> {
    let index = |axis| probe.info().index(axis).ok_or(SearchError::NoAxis(axis));
    let lateral = [index(Axis::X)?, index(Axis::Y)?];
    let mut bench = Bench::new(probe, setup).await?;
    let others: Vec<usize> = (0..bench.dimensions()).filter(|i| !lateral.contains(i)).collect();
    let reach = lateral.map(|i| setup.reach[i]);
    let width = setup.width[lateral[0]].min(setup.width[lateral[1]]);
    let pitch = match centre {
        Centre::Fit if reach[0].max(reach[1]) > WIDE * width => PITCH_WIDE,
        Centre::Fit => PITCH.0,
        Centre::Centroid => PITCH.1,
    } * width;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred at most")]
    let lines = reach.map(|r| (2.0 * r / pitch).ceil() as u32 + 1);
    let mut level = area(&mut bench, lateral, reach, lines, centre).await?;
    let (half, points) = match centre {
        Centre::Fit => (FINE_HALF.0 * width, FINE_POINTS.0),
        Centre::Centroid => (FINE_HALF.1 * width, FINE_POINTS.1),
    };
    for _ in 0..if others.is_empty() { 1 } else { ROUNDS } {
        for axis in &others {
            along(&mut bench, *axis).await?;
        }
        level = area(&mut bench, lateral, [half; 2], [points; 2], centre).await?;
    }
    Ok(bench.ended(level))
}

/// Sweeps an area about here and goes to the middle of the light in it; gives the highest level.
async fn area(
    bench: &mut Bench<'_>,
    [x, y]: [usize; 2],
    half: [f64; 2],
    points: [u32; 2],
    centre: Centre,
) -> Result<f64, SearchError> {
    let from = bench.at.clone();
    let place = |k: u32, n: u32, half: f64| half * (2.0 * f64::from(k) / f64::from(n - 1) - 1.0);
    let axis = &bench.probe.info().axes[x];
    let speed = line_speed(2.0 * half[0], axis.acceleration, axis.speed);
    let mut seen: Vec<([f64; 2], f64)> = Vec::new();
    for line in 0..points[1] {
        // To and fro: the way back is a line, too.
        let way = if line % 2 == 0 { 1.0 } else { -1.0 };
        let point = |k: u32| {
            let mut at = from.clone();
            at[x] += way * place(k, points[0], half[0]);
            at[y] += place(line, points[1], half[1]);
            at
        };
        let path: Vec<Vec<f64>> = (0..points[0]).map(point).collect();
        seen.extend(bench.sweep(&path, speed).await?.into_iter().map(|(at, level)| ([at[x], at[y]], level)));
    }
    let (best, top) = seen.iter().fold(([from[x], from[y]], f64::NEG_INFINITY), |a, b| if b.1 > a.1 { *b } else { a });
    let found = match centre {
        Centre::Fit => fitted(&seen, (best, top), half, points, bench.setup.width[x]),
        Centre::Centroid => centroid(&seen, top),
    };
    let mut to = from;
    (to[x], to[y]) = found.map_or((best[0], best[1]), |m| (m[0], m[1]));
    bench.go(&to).await?;
    Ok(top)
}

/// Vertex of the paraboloid through the levels near the highest, if it lies near that.
fn fitted(
    seen: &[([f64; 2], f64)],
    (best, top): ([f64; 2], f64),
    half: [f64; 2],
    points: [u32; 2],
    width: f64,
) -> Option<[f64; 2]> {
    let pitch = [0, 1].map(|i| 2.0 * half[i] / f64::from(points[i] - 1));
    let depth = DEPTH_DB.max(6.0 + DEPTH_PITCH_DB * (pitch[0] / width).powi(2));
    // Light from elsewhere (a lobe) is not part of this peak: nothing farther than two lines and a bit.
    let near = [0, 1].map(|i| (2.5 * pitch[i]).max(half[i] * 0.3));
    let counts = |at: &[f64; 2], level: f64| level > top - depth && (0..2).all(|i| (at[i] - best[i]).abs() <= near[i]);
    let about: Vec<([f64; 2], f64)> = seen
        .iter()
        .filter(|(at, level)| counts(at, *level))
        .map(|(at, level)| ([at[0] - best[0], at[1] - best[1]], *level))
        .collect();
    let vertex = parabola::plane(&about)?;
    (0..2).all(|i| vertex[i].abs() <= near[i]).then(|| [best[0] + vertex[0], best[1] + vertex[1]])
}

/// Centroid of the power above half of its highest.
fn centroid(seen: &[([f64; 2], f64)], top: f64) -> Option<[f64; 2]> {
    let mut sums = [0.0; 3];
    for (at, level) in seen {
        let weight = 10f64.powf((level - top) / 10.0) - 0.5;
        if weight > 0.0 {
            sums[0] += weight;
            sums[1] += weight * at[0];
            sums[2] += weight * at[1];
        }
    }
    (sums[0] > 0.0).then(|| [sums[1] / sums[0], sums[2] / sums[0]])
}

/// Sweeps one axis about here and goes to the vertex of a parabola through the levels, or to the highest.
async fn along(bench: &mut Bench<'_>, axis: usize) -> Result<(), SearchError> {
    let from = bench.at.clone();
    let (points, reach) = (ALONG.0, ALONG.1 * bench.setup.scale[axis]);
    let info = &bench.probe.info().axes[axis];
    let speed = if info.axis.is_angle() { 100.0 } else { line_speed(2.0 * reach, info.acceleration, info.speed) };
    let point = |k: u32| {
        let mut at = from.clone();
        at[axis] += reach * (2.0 * f64::from(k) / f64::from(points - 1) - 1.0);
        at
    };
    let path: Vec<Vec<f64>> = (0..points).map(point).collect();
    let seen: Vec<(f64, f64)> =
        bench.sweep(&path, speed).await?.into_iter().map(|(at, level)| (at[axis], level)).collect();
    let (best, top) = seen.iter().fold((from[axis], f64::NEG_INFINITY), |a, b| if b.1 > a.1 { *b } else { a });
    let about: Vec<(f64, f64)> =
        seen.iter().filter(|(_, l)| *l > top - DEPTH_DB).map(|(at, level)| (at - best, *level)).collect();
    let vertex = parabola::line(&about).filter(|v| v.abs() <= reach).unwrap_or(0.0);
    let mut to = from;
    to[axis] = best + vertex;
    bench.go(&to).await
}
