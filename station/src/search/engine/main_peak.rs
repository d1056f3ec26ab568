//! Whether an alignment ended on the main peak: a light darker than a part can be is looked at from around, and what is
//! brighter there is aligned to.

use recipes::Axis;

use super::{Aligned, Engine, Hills, Setup, align, levels};
use crate::search::{Probe, ProbeInfo, SearchError};

/// Light this much darker than expected may be a side lobe's, dB: brighter light is then looked for nearby, ...
const DARKER_DB: f64 = 2.0;
/// ... brighter by this, dB, ...
const BRIGHTER_DB: f64 = 1.0;
/// ... with so many readings, or more where the area is large: so many for each that covers its share.
const LOOKS: usize = 30;
const LOOKS_A_SHARE: f64 = 2.0;
/// Back where it was, the light is no more than this below what it was, dB, or the search is done again.
const BACK_DB: f64 = 0.05;

/// Why a peak is the main one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evidence {
    /// It is this much brighter than any side lobe can be, dB.
    AboveLobes(f64),
    /// It is this much brighter than a hill that was climbed first, dB.
    BrighterThanBeside(f64),
    /// It is dark for a main peak, and nothing around is brighter.
    Alone,
}

/// Aligns from where the stage stands, and looks around for brighter light where the end is too dark for a part. `setup`
/// tells what is known from a position of the probe; `ends` are the part's, 1 or 2. Readings and decisions are those of all searches.
///
/// # Errors
/// Those of the probe and of [`align`].
pub async fn align_main(
    probe: &mut dyn Probe,
    setup: &dyn Fn(&ProbeInfo, &[f64]) -> Setup,
    hills: Hills,
    ends: usize,
) -> Result<(Aligned, Evidence), SearchError> {
    let start = probe.position().await?;
    let told = setup(probe.info(), &start);
    let first = align(probe, &told).await?;
    if first.power_dbm > told.level_dbm - DARKER_DB {
        let above_db = hills.above_lobes_db(&told, first.power_dbm);
        return Ok((first, Evidence::AboveLobes(above_db)));
    }
    // On a side lobe, on the flank of something else, or a poor part: brighter light nearby tells.
    let beat_dbm = first.power_dbm + BRIGHTER_DB;
    let (mut readings, mut decisions) = (first.readings, first.decisions);
    let looks = LOOKS.max((LOOKS_A_SHARE * hills.shares(told.width[0])).ceil() as usize);
    for end in 0..ends {
        probe.move_to(&beside(probe, &start, &first.position)).await?;
        let (brighter, looked, chosen) = look_around(probe, &told, hills, looks, beat_dbm, end).await?;
        (readings, decisions) = (readings + looked, decisions + chosen);
        if !brighter {
            continue;
        }
        let here = probe.position().await?;
        let told = setup(probe.info(), &here);
        let second = align(probe, &told).await?;
        (readings, decisions) = (readings + second.readings, decisions + second.decisions);
        if second.power_dbm > first.power_dbm {
            let better_db = second.power_dbm - first.power_dbm;
            return Ok((Aligned { readings, decisions, ..second }, Evidence::BrighterThanBeside(better_db)));
        }
    }
    probe.move_to(&first.position).await?;
    let power_dbm = told.objective.of(&levels(&probe.measure().await?)?);
    readings += 1;
    if power_dbm > first.power_dbm - BACK_DB {
        return Ok((Aligned { power_dbm, readings, decisions, ..first }, Evidence::Alone));
    }
    // Play has the stage elsewhere than it stood.
    let told = setup(probe.info(), &first.position);
    let again = align(probe, &told).await?;
    (readings, decisions) = (readings + again.readings, decisions + again.decisions);
    Ok((Aligned { readings, decisions, ..again }, Evidence::Alone))
}

/// Along the light as at the start, across it as at the end.
fn beside(probe: &dyn Probe, start: &[f64], end: &[f64]) -> Vec<f64> {
    let along = |i: usize| matches!(probe.info().axes[i].axis, Axis::Z | Axis::Z2);
    end.iter().enumerate().map(|(i, at)| if along(i) { start[i] } else { *at }).collect()
}

/// Looks around the place where the stage of an end (0 or 1) stands for light that is brighter than any side lobe can be and
/// than `beat_dbm`; the stage then stands in it. Gives whether there was some, the readings taken, `looks` at
/// the most, and the places decided on.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoAxis`.
async fn look_around(
    probe: &mut dyn Probe,
    setup: &Setup,
    hills: Hills,
    looks: usize,
    beat_dbm: f64,
    end: usize,
) -> Result<(bool, usize, usize), SearchError> {
    let mut engine = Engine::new(probe, setup).await?;
    match engine.survey_for(hills, looks, beat_dbm, end).await {
        Ok(()) => Ok((true, engine.readings, engine.decisions)),
        Err(SearchError::NoLight) => Ok((false, engine.readings, engine.decisions)),
        Err(error) => Err(error),
    }
}
