//! Spiral, then hill climb: outward from the start, point by point, until there is light; then up.

use std::f64::consts::TAU;

use recipes::Axis;

use super::hill_climb::climb;
use super::{Bench, Ended, Setup};
use crate::search::{Probe, SearchError, level_db};

/// Distance of neighbouring turns and of neighbouring points, in widths: a mode is seen from 3.4 widths away (50 dB), and
/// the middle of three points is 0.58 of their distance from each.
const PITCH: f64 = 5.6;

/// Light is a level this many standard deviations of the noise high, and this again at a second look.
const SIGMAS: f64 = 5.0;

/// Searches from here.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoLight` where the reach holds none; `NoAxis` without x and y.
pub async fn spiral_hill(probe: &mut dyn Probe, setup: &Setup) -> Result<Ended, SearchError> {
    let index = |axis| probe.info().index(axis).ok_or(SearchError::NoAxis(axis));
    let [x, y] = [index(Axis::X)?, index(Axis::Y)?];
    let threshold =
        probe.info().channels.first().map_or(f64::NEG_INFINITY, |c| level_db(c.floor, c.floor) + 10.0 * SIGMAS.log10());
    let mut bench = Bench::new(probe, setup).await?;
    let pitch = PITCH * setup.width[x].min(setup.width[y]);
    let reach = setup.reach[x].max(setup.reach[y]) + pitch / 2.0;
    let start = bench.at.clone();
    let mut angle = 0.0f64;
    loop {
        let radius = pitch * angle / TAU;
        if radius > reach {
            return Err(SearchError::NoLight);
        }
        let mut to = start.clone();
        to[x] += radius * angle.cos();
        to[y] += radius * angle.sin();
        if bench.read_at(&to).await? > threshold {
            let again = bench.read().await?;
            if again > threshold {
                let level = climb(&mut bench, again).await?;
                return Ok(bench.ended(level));
            }
        }
        // Archimedes' spiral: the next point is one pitch of arc farther.
        let along = (radius * radius + (pitch / TAU).powi(2)).sqrt();
        angle += (pitch / along).min(TAU / 6.0);
    }
}
