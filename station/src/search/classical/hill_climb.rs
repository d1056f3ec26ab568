//! Hill climb: one axis after the other, up while it goes up, and half the steps when no axis gains.

use super::{Bench, Ended, Setup};
use crate::search::{Probe, SearchError};

/// Steps are from half of the scale to an eighth of it.
const HALVINGS: std::ops::RangeInclusive<i32> = 1..=3;

/// Climbs from here.
///
/// # Errors
/// Those of the probe; `Saturated`.
pub async fn hill_climb(probe: &mut dyn Probe, setup: &Setup) -> Result<Ended, SearchError> {
    let mut bench = Bench::new(probe, setup).await?;
    let level = bench.read().await?;
    let level = climb(&mut bench, level).await?;
    Ok(bench.ended(level))
}

/// Climbs from where the level was just read, and ends at the best level read.
pub(super) async fn climb(bench: &mut Bench<'_>, level: f64) -> Result<f64, SearchError> {
    let (mut best, mut at) = (level, bench.at.clone());
    // Where an axis last gained it is tried first.
    let mut ways = vec![1.0; bench.dimensions()];
    for halving in HALVINGS {
        loop {
            let before = best;
            for (axis, way) in ways.iter_mut().enumerate() {
                let step = *way * bench.setup.scale[axis] * 0.5f64.powi(halving);
                if up(bench, axis, step, &mut at, &mut best).await? == 0
                    && up(bench, axis, -step, &mut at, &mut best).await? > 0
                {
                    *way = -*way;
                }
            }
            if best <= before {
                break;
            }
        }
    }
    bench.go(&at).await?;
    Ok(best)
}

/// Steps one way along an axis while the level rises; says how often it did.
async fn up(
    bench: &mut Bench<'_>,
    axis: usize,
    step: f64,
    at: &mut Vec<f64>,
    best: &mut f64,
) -> Result<usize, SearchError> {
    let mut steps = 0;
    loop {
        let mut to = at.clone();
        to[axis] += step;
        let level = bench.read_at(&to).await?;
        if level <= *best {
            return Ok(steps);
        }
        (*best, *at) = (level, to);
        steps += 1;
    }
}
