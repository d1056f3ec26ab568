//! Nelder and Mead's simplex (1965), with the usual coefficients.

use super::{Bench, Ended, Setup};
use crate::search::{Probe, SearchError};

/// Readings allowed for each axis.
const READINGS_PER_AXIS: usize = 120;

/// The simplex has closed when its levels differ by less than this, dB, ...
const LEVELS_DB: f64 = 0.015;

/// ... and its corners by less than this, in scales.
const CORNERS: f64 = 0.05;

/// First edges, in scales.
const FIRST_EDGE: f64 = 1.0;

#[derive(Debug, Clone)]
struct Corner {
    level: f64,
    at: Vec<f64>,
}

/// Searches from here.
///
/// # Errors
/// Those of the probe; `Saturated`.
pub async fn nelder_mead(probe: &mut dyn Probe, setup: &Setup) -> Result<Ended, SearchError> {
    let mut bench = Bench::new(probe, setup).await?;
    let n = bench.dimensions();
    let allowed = READINGS_PER_AXIS * n;
    let start = bench.at.clone();
    let mut simplex = vec![Corner { level: bench.read().await?, at: start.clone() }];
    for axis in 0..n {
        let mut at = start.clone();
        at[axis] += FIRST_EDGE * setup.scale[axis];
        simplex.push(Corner { level: bench.read_at(&at).await?, at });
    }
    loop {
        simplex.sort_by(|a, b| b.level.total_cmp(&a.level));
        if closed(&simplex, setup) || bench.readings >= allowed {
            break;
        }
        step(&mut bench, &mut simplex, allowed).await?;
    }
    bench.go(&simplex[0].at).await?;
    Ok(bench.ended(simplex[0].level))
}

fn closed(simplex: &[Corner], setup: &Setup) -> bool {
    let near = |c: &Corner| {
        let mut apart = c.at.iter().zip(&simplex[0].at).zip(&setup.scale);
        simplex[0].level - c.level <= LEVELS_DB && apart.all(|((a, b), scale)| (a - b).abs() <= CORNERS * scale)
    };
    simplex.iter().all(near)
}

async fn step(bench: &mut Bench<'_>, simplex: &mut [Corner], allowed: usize) -> Result<(), SearchError> {
    let n = simplex.len() - 1;
    let worst = simplex[n].clone();
    #[expect(clippy::cast_precision_loss, reason = "six axes")]
    let middle: Vec<f64> = (0..n).map(|i| simplex[..n].iter().map(|c| c.at[i]).sum::<f64>() / n as f64).collect();
    let beyond = |k: f64| -> Vec<f64> { middle.iter().zip(&worst.at).map(|(m, w)| m + k * (m - w)).collect() };
    let reflected = read(bench, beyond(1.0)).await?;
    if reflected.level > simplex[0].level && bench.readings < allowed {
        let expanded = read(bench, beyond(2.0)).await?;
        simplex[n] = if expanded.level > reflected.level { expanded } else { reflected };
        return Ok(());
    }
    if reflected.level > simplex[n - 1].level || bench.readings >= allowed {
        if reflected.level > worst.level {
            simplex[n] = reflected;
        }
        return Ok(());
    }
    let contracted = read(bench, beyond(if reflected.level > worst.level { 0.5 } else { -0.5 })).await?;
    if contracted.level > reflected.level.max(worst.level) {
        simplex[n] = contracted;
        return Ok(());
    }
    let top = simplex[0].at.clone();
    for corner in &mut simplex[1..] {
        if bench.readings >= allowed {
            break;
        }
        let at = top.iter().zip(&corner.at).map(|(a, b)| f64::midpoint(*a, *b)).collect();
        *corner = read(bench, at).await?;
    }
    Ok(())
}

async fn read(bench: &mut Bench<'_>, at: Vec<f64>) -> Result<Corner, SearchError> {
    Ok(Corner { level: bench.read_at(&at).await?, at })
}
