//! Alignment that a controller does by itself, confirmed by the engine; and the choice between both.

use recipes::{Axis, Method};

use super::engine::{self, Aligned};
use super::{Probe, RoutineEnd, SearchError, signal};
use crate::bench::Routine;

/// Circle of a gradient search in mode radii: a slope that is seen, a loss that is small.
const CIRCLE: f64 = 0.4;
/// Circle of a tracker: its loop at the maker's usual gain closes in within some five circles of this, and wider ones overshoot.
const TRACKED_CIRCLE: f64 = 0.15;
/// Lines of a scan are so far apart, in mode radii.
const PITCH: f64 = 0.5;
/// What a routine is trusted to leave, in mode radii, one standard deviation.
const LEFT: f64 = 0.15;
/// A routine that ends so far below the best it saw has not found it, dB.
const BELOW_MAX_DB: f64 = 1.0;
/// Readings that the engine takes to confirm.
const CONFIRMING: f64 = 3.0;
/// Readings of the engine alone in two axes, and for each further one: medians of docs/scoreboard.md.
const READINGS: f64 = 5.0;
const READINGS_AN_AXIS: f64 = 3.0;

/// What a controller is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// Mode radius across the light, um.
    pub mode_radius_um: f64,
    /// How far from here the peak may be, um.
    pub reach_um: f64,
}

impl Setup {
    /// The routine of a method.
    fn routine(&self, method: Method) -> Routine {
        match method {
            Method::AreaScan => Routine::Area { reach_um: self.reach_um, pitch_um: PITCH * self.mode_radius_um },
            Method::Track => {
                Routine::Track { radius_um: TRACKED_CIRCLE * self.mode_radius_um, reach_um: self.reach_um }
            }
            _ => {
                let radius_um = CIRCLE * self.mode_radius_um;
                Routine::Gradient { radius_um, reach_um: self.reach_um + 2.0 * radius_um }
            }
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    /// The engine's word on where it ended.
    pub aligned: Aligned,
    /// What was done, in words.
    pub said: String,
}

/// The method that is predicted to be done first, and the predicted times in words: the engine, or a routine of a
/// controller where the bench has one and two axes across the light are all that is searched.
pub fn choose(probe: &dyn Probe, setup: &Setup, axes: &[Axis]) -> (Method, String) {
    #[expect(clippy::cast_precision_loss, reason = "six axes at the most")]
    let readings = READINGS + READINGS_AN_AXIS * axes.len().saturating_sub(2) as f64;
    let costs = probe.info().costs;
    let one_s = costs.move_s + costs.reading_s + costs.lag_s;
    let mut predicted = vec![(Method::Engine, readings * one_s)];
    // A controller sees one channel, and knows no more than two axes.
    if axes.iter().all(|a| matches!(a, Axis::X | Axis::Y)) && probe.info().channels.len() == 1 {
        let own = [Method::GradientSearch, Method::AreaScan, Method::Track].into_iter().filter_map(|m| {
            let routine_s = probe.routine_s(setup.routine(m))?;
            Some((m, routine_s + CONFIRMING * one_s))
        });
        predicted.extend(own);
    }
    let best = predicted.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(Method::Engine, |(m, _)| *m);
    let told: Vec<String> = predicted.iter().map(|(m, s)| format!("{} {s:.2} s", m.as_str())).collect();
    (best, format!("predicted {}", told.join(", ")))
}

/// Has the controller search from here by a method of its own, and the engine confirm where it ended. Where the meter sees no
/// more light than before, or the controller says that it failed, the engine searches from the start.
///
/// # Errors
/// Those of the bench, where it refuses the routine; those of the engine.
pub async fn search(
    probe: &mut dyn Probe,
    setup: &Setup,
    engine_setup: &engine::Setup,
    method: Method,
) -> Result<Searched, SearchError> {
    let start = probe.position().await?;
    let before = signal(&probe.measure().await?)?;
    let began_s = probe.now_s();
    let RoutineEnd { success, below_max_db } = probe.run_routine(setup.routine(method)).await?;
    let took_s = probe.now_s() - began_s;
    let after = signal(&probe.measure().await?)?;
    let found = success && after >= before && below_max_db > -BELOW_MAX_DB;
    let name = method.as_str();
    if found {
        let mut near = engine_setup.clone();
        near.search[0] = near.search[0].min(LEFT * setup.mode_radius_um);
        near.search[1] = near.search[1].min(LEFT * setup.mode_radius_um);
        let aligned = engine::align(probe, &near).await?;
        return Ok(Searched { aligned, said: format!("{name} by the controller in {took_s:.2} s, confirmed") });
    }
    probe.move_to(&start).await?;
    let aligned = engine::align(probe, engine_setup).await?;
    Ok(Searched {
        aligned,
        said: format!("{name} by the controller found nothing better in {took_s:.2} s: the engine searched"),
    })
}
