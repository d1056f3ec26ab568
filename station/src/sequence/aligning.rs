//! The `peak` step: an alignment by the recipe's method, and how sure it is of its end.

use recipes::{Axis, Method, Step};
use units::{Power, Reading};

use super::aim::{Aim, approach};
use super::readings::{dark_lanes, dbm};
use super::steps::{Done, Run, place};
use super::{Halt, emit};
use crate::event::{Event, Measurement, Outcome, Sample, peak_name};
use crate::search::classical::{self, Centre};
use crate::search::engine::{Evidence, LaneOrder, Trend};
use crate::search::{BenchProbe, Probe, ProbeInfo, SearchError, controller, engine, peak, signal};

/// So near to an end of its range along the light an alignment is at it, um.
const NEAR_LIMIT_UM: f64 = 0.01;

/// A bound this many times the tolerance is too wide to stand behind: of a sum of a few squares, 95 % are below four
/// times its mean.
const BOUND_MAX: f64 = 5.0;

/// A better reading on the way than at the end, beyond the bound and by more than noise makes, dB.
const BETTER_DB: f64 = 0.05;

/// What an alignment came to, whatever its method.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Where it ended; the stage stands there.
    pub position: Vec<f64>,
    /// Power read there, dBm.
    pub power_dbm: f64,
    /// Readings taken.
    pub readings: usize,
    /// Loss expected to be left and its 95 % bound, dB, where the method tells.
    pub left_db: Option<(f64, f64)>,
    /// What is left in words.
    pub said: String,
    /// Why it is not sure of its end.
    pub doubt: Option<Doubt>,
    /// In which order the channels of an array answered, where the method tells.
    pub order: LaneOrder,
    /// What changed meanwhile, where the method tells.
    pub trend: Trend,
}

/// Why an alignment is not sure of its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Doubt {
    /// The last correction of the parabolas was worth this, dB.
    Unsettled(f64),
    /// Loss expected to be left, its 95 % bound and the tolerance, dB.
    Unsure(f64, f64, f64),
    /// It ended at an end of its range along the light.
    AtLimit,
    /// Somewhere on the way there was this much more light, dB.
    BetterSeen(f64),
}

/// Aligns from where the probe stands; it should have no other axes than the aim's, kept within the aim's limits.
///
/// # Errors
/// Those of the method.
pub async fn align(probe: &mut dyn Probe, aim: &Aim<'_>, method: Method) -> Result<Found, SearchError> {
    let mut found = match method {
        Method::Engine => by_engine(probe, aim).await?,
        Method::Parabola => by_parabolas(probe, aim).await?,
        Method::GradientSearch | Method::AreaScan | Method::Track => by_controller(probe, aim, method).await?,
        Method::Auto => match controller::choose(probe, &aim.controller(), &aim.axes) {
            (Method::Engine, why) => because(by_engine(probe, aim).await?, &why),
            (chosen, why) => because(by_controller(probe, aim, chosen).await?, &why),
        },
        _ => classical(probe, aim, method).await?,
    };
    let along = [Axis::Z, Axis::Z2].into_iter().filter(|axis| aim.axes.contains(axis));
    let at_limit = along.filter_map(|axis| probe.info().index(axis)).any(|i| {
        let axis = &probe.info().axes[i];
        !(axis.lower + NEAR_LIMIT_UM..=axis.upper - NEAR_LIMIT_UM).contains(&found.position[i])
    });
    if at_limit {
        found.doubt = Some(Doubt::AtLimit);
    }
    Ok(found)
}

/// Aligns by the lanes that give light: which they are is looked for before the search and, where it was not sure of its end,
/// once more there.
async fn align_lit(probe: &mut BenchProbe<'_>, aim: &mut Aim<'_>, method: Method) -> Result<Found, SearchError> {
    if aim.channels == 1 {
        return align(probe, aim, method).await;
    }
    leave_out_dark(probe, aim).await?;
    let found = align(probe, aim, method).await?;
    let before = aim.dark.clone();
    if found.doubt.is_some() {
        leave_out_dark(probe, aim).await?;
        if aim.dark != before {
            return align(probe, aim, method).await;
        }
    }
    Ok(found)
}

async fn leave_out_dark(probe: &mut BenchProbe<'_>, aim: &mut Aim<'_>) -> Result<(), SearchError> {
    let floor = probe.info().channels.first().map_or(Power::ZERO, |c| c.floor);
    probe.measure().await?;
    let here = probe.trace().last().map_or(&[][..], |s| &s.readings);
    aim.dark = dark_lanes(here, floor);
    probe.without_lanes(&aim.dark);
    Ok(())
}

async fn by_parabolas(probe: &mut dyn Probe, aim: &Aim<'_>) -> Result<Found, SearchError> {
    let found = peak::search(probe, &aim.parabola()).await?;
    let doubt = match &found {
        found if !found.converged => Some(Doubt::Unsettled(found.last_correction_db)),
        found if found.at_limit => Some(Doubt::AtLimit),
        _ => None,
    };
    Ok(Found {
        said: format!("last correction worth {:.4} dB", found.last_correction_db),
        position: found.position,
        power_dbm: dbm(found.power),
        readings: found.readings,
        left_db: None,
        doubt,
        order: LaneOrder::AsTold,
        trend: Trend::default(),
    })
}

/// By what the lot's earlier units say, and once more by the recipe alone where the unit is not as they were.
async fn by_engine(probe: &mut dyn Probe, aim: &Aim<'_>) -> Result<Found, SearchError> {
    let first = by_engine_once(probe, aim).await?;
    if aim.lot.is_empty() || (first.doubt.is_none() && !aim.is_strange(&probe.info().axes, &first.position)) {
        return Ok(first);
    }
    let again = by_engine_once(probe, &Aim { lot: Vec::new(), ..aim.clone() }).await?;
    let readings = first.readings + again.readings;
    Ok(and(Found { readings, ..again }, "not as its lot was: aligned again by the recipe alone"))
}

async fn by_engine_once(probe: &mut dyn Probe, aim: &Aim<'_>) -> Result<Found, SearchError> {
    let Some(hills) = aim.hills() else {
        let setup = engine_setup(probe, aim).await?;
        return Ok(told(engine::align(probe, &setup).await?, aim));
    };
    let setup = |info: &ProbeInfo, here: &[f64]| aim.engine_at(&info.axes, here);
    let ends = if aim.both_ends() { 2 } else { 1 };
    let (aligned, evidence) = engine::align_main(probe, &setup, hills, ends).await?;
    let why = match evidence {
        Evidence::AboveLobes(db) => format!("main peak: {db:.1} dB brighter than a side lobe can be"),
        Evidence::BrighterThanBeside(db) => format!("main peak: {db:.1} dB brighter than a hill beside it"),
        Evidence::Alone => format!("no brighter light within {:.0} um across the light", hills.radius_um),
    };
    Ok(and(told(aligned, aim), &why))
}

async fn by_controller(probe: &mut dyn Probe, aim: &Aim<'_>, method: Method) -> Result<Found, SearchError> {
    let setup = engine_setup(probe, aim).await?;
    let searched = controller::search(probe, &aim.controller(), &setup, method).await?;
    Ok(because(told(searched.aligned, aim), &searched.said))
}

async fn engine_setup(probe: &mut dyn Probe, aim: &Aim<'_>) -> Result<engine::Setup, SearchError> {
    let here = probe.position().await?;
    Ok(aim.engine_at(&probe.info().axes, &here))
}

/// Says what else is known of it, behind what is left.
fn and(found: Found, what: &str) -> Found {
    Found { said: format!("{}; {what}", found.said), ..found }
}

/// Says why it was found so, before what is left.
fn because(found: Found, why: &str) -> Found {
    Found { said: format!("{why}, {}", found.said), ..found }
}

fn told(found: engine::Aligned, aim: &Aim<'_>) -> Found {
    let (expected, bound) = (found.expected_loss_db, found.bound95_db);
    let sure = found.converged && bound <= BOUND_MAX * aim.tolerance_db;
    Found {
        position: found.position,
        power_dbm: found.power_dbm,
        readings: found.readings,
        left_db: Some((expected, bound)),
        said: format!("expected loss left {expected:.4} dB, 95 % below {bound:.4} dB"),
        doubt: (!sure).then_some(Doubt::Unsure(expected, bound, aim.tolerance_db)),
        order: found.order,
        trend: found.trend,
    }
}

async fn classical(probe: &mut dyn Probe, aim: &Aim<'_>, method: Method) -> Result<Found, SearchError> {
    let setup = aim.classical(&probe.info().axes);
    let ended = match method {
        Method::HillClimb => classical::hill_climb(probe, &setup).await?,
        Method::NelderMead => classical::nelder_mead(probe, &setup).await?,
        Method::Dither => classical::dither(probe, &setup).await?,
        Method::RasterFit => classical::raster(probe, &setup, Centre::Fit).await?,
        Method::RasterCentroid => classical::raster(probe, &setup, Centre::Centroid).await?,
        _ => classical::spiral_hill(probe, &setup).await?,
    };
    // Some end at a place they have not read.
    let there = signal(&probe.measure().await?)?;
    Ok(Found {
        position: ended.position,
        power_dbm: dbm(there),
        readings: ended.readings + 1,
        left_db: None,
        said: format!("{} does not tell what it left", method.as_str()),
        doubt: None,
        order: LaneOrder::AsTold,
        trend: Trend::default(),
    })
}

/// How much brighter the brightest reading was than the end, dB, where it was by more than bound and noise explain.
fn better_seen(found: &Found, samples: &[Sample], tolerance_db: f64) -> Option<f64> {
    if samples.first().is_some_and(|s| s.readings.len() > 1) {
        // Of an array the end is told by all channels together.
        return None;
    }
    let end_s = samples.last()?.t_s;
    // Light that fades was brighter before, wherever it was read.
    let fading = found.trend.light_db_s.unwrap_or(0.0).min(0.0);
    let shown = samples.iter().filter_map(|s| {
        let dbm = s.readings.first().and_then(|r: &Reading| r.power()).and_then(units::Power::dbm)?;
        Some(dbm + fading * (end_s - s.t_s))
    });
    let better_db = shown.fold(f64::NEG_INFINITY, f64::max) - found.power_dbm;
    let (_, bound) = found.left_db?;
    (better_db > bound.max(tolerance_db) + BETTER_DB).then_some(better_db)
}

/// What changed while the search lasted, in words.
fn changed(trend: Trend) -> Option<String> {
    let light = trend.light_db_s.map(|db_s| {
        format!("the light itself changed by {db_s:+.2} dB/s wherever the stage was: look at the source and its fibre")
    });
    let place = trend.place_um_s.map(|um_s| {
        format!(
            "the place of the light moved by {um_s:.2} um/s across it: look at the part's holder and the temperature"
        )
    });
    let all: Vec<String> = [light, place].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

impl From<Doubt> for Halt {
    fn from(doubt: Doubt) -> Halt {
        match doubt {
            Doubt::Unsettled(last) => Halt::Unsettling(last),
            Doubt::Unsure(expected_db, bound_db, tolerance_db) => Halt::Unsure { expected_db, bound_db, tolerance_db },
            Doubt::AtLimit => Halt::AtLimit,
            Doubt::BetterSeen(db) => Halt::BetterSeen(db),
        }
    }
}

impl Run<'_> {
    pub(super) async fn peak(&mut self, method: Method) -> Result<Done, Halt> {
        let level = dbm(self.expected().await?);
        let mut aim = Aim::of(self.job.recipe, self.step, level).expect("the step under way is a peak search");
        let lot = self.lot.filter(|_| self.is_first_peak());
        if let Some(lot) = lot {
            aim = aim.in_lot(lot, self.job.recipe, self.step);
        }
        let expected = lot.and_then(|lot| lot.said(&aim.lot));
        let sink = &mut *self.sink;
        let mut probe = BenchProbe::new(self.bench).await?.watched(|axes, samples| sink.samples("peak", axes, samples));
        probe.only(&aim.axes);
        probe.keep_within(Axis::Z, aim.z_limits);
        probe.keep_within(Axis::Z2, aim.z2_limits);
        // Parabolas are of one channel.
        if aim.unit.channel_pitch_um.is_some() && method != Method::Parabola {
            probe.all_lanes();
            aim.channels = probe.info().channels.len();
        }
        let channels = probe.lanes();
        let found = align_lit(&mut probe, &mut aim, method).await;
        let searched: Vec<String> = probe.info().channels.iter().map(|c| c.name.clone()).collect();
        let axes: Vec<Axis> = probe.info().axes.iter().map(|a| a.axis).collect();
        let samples = probe.into_trace();
        let better = found.as_ref().ok().and_then(|f| better_seen(f, &samples, aim.tolerance_db));
        let dark: Vec<String> = aim.dark.iter().filter_map(|i| channels.get(*i).cloned()).collect();
        self.trace("peak", channels, samples);
        let found = found?;
        if !dark.is_empty() {
            self.note(format!("no light on {}: left out of the alignment", dark.join(", ")));
        }
        let doubt = found.doubt.or(better.map(Doubt::BetterSeen));
        self.unsure = doubt.map(Halt::from);
        if let Some((expected, bound)) = found.left_db {
            self.left("loss_left", expected);
            self.left("loss_left_95", bound);
        }
        if let Some(halt) = &self.unsure {
            let why = halt.to_string();
            self.note(why);
        }
        if let Some(why) = changed(found.trend) {
            self.note(why);
        }
        let at = place(&axes, &found.position);
        let mut told = format!("{:.3} dBm at {at} after {} readings, {}", found.power_dbm, found.readings, found.said);
        if let Some(expected) = expected {
            told.push_str(&format!("; {expected}"));
        }
        if lot.is_some() && self.unsure.is_none() {
            self.peak_was(&axes, &found.position);
        }
        match self.out_of_order(found.order, &searched) {
            Some(why) => {
                // That is what the search was not sure for.
                self.unsure = None;
                Ok(Done { passed: false, message: Some(format!("{told}; {why}")) })
            }
            None => Ok(Done::saying(told)),
        }
    }

    /// Whether no peak was searched for before this step: a later one may follow glue, or a part that was moved.
    fn is_first_peak(&self) -> bool {
        !self.job.recipe.steps[..self.step].iter().any(|s| matches!(s, Step::Peak { .. }))
    }

    /// Records where the peak was from the approach pose, for later units of the lot.
    fn peak_was(&mut self, axes: &[Axis], position: &[f64]) {
        for (axis, at) in axes.iter().zip(position) {
            let measurement = Measurement {
                t_s: self.t_s(),
                step: self.step,
                name: peak_name(*axis),
                channel: None,
                value: at - approach(self.job.recipe, self.step, *axis),
                unit: axis.unit().into(),
                uncertainty: None,
                lower: None,
                upper: None,
                outcome: None,
                launched: None,
            };
            emit(self.sink, &Event::Measurement(measurement));
        }
    }

    /// Records how many lanes are in their places where some are not, and says which.
    fn out_of_order(&mut self, order: LaneOrder, lanes: &[String]) -> Option<String> {
        let (out, why) = match order {
            LaneOrder::AsTold => return None,
            LaneOrder::Flipped => {
                (lanes.len(), "the lanes answer from the other end: the array is flipped".to_string())
            }
            LaneOrder::Swapped(i) => (2, format!("{} and {} answer in each other's place", lanes[i], lanes[i + 1])),
        };
        #[expect(clippy::cast_precision_loss, reason = "a handful of lanes")]
        let (all, in_order) = (lanes.len() as f64, (lanes.len() - out) as f64);
        let measurement = Measurement {
            t_s: self.t_s(),
            step: self.step,
            name: "lanes_in_order".into(),
            channel: None,
            value: in_order,
            unit: "lanes".into(),
            uncertainty: None,
            lower: Some(all),
            upper: None,
            outcome: Some(Outcome::Fail),
            launched: None,
        };
        emit(self.sink, &Event::Measurement(measurement));
        Some(format!("{why} (if the next unit says so too, look at the fibres of the meter)"))
    }

    /// Records what the alignment says it left; nothing is judged by it.
    fn left(&mut self, name: &str, db: f64) {
        let measurement = Measurement {
            t_s: self.t_s(),
            step: self.step,
            name: name.into(),
            channel: Some(self.bench.config().signal().name.clone()),
            value: db,
            unit: "dB".into(),
            uncertainty: None,
            lower: None,
            upper: None,
            outcome: None,
            launched: None,
        };
        emit(self.sink, &Event::Measurement(measurement));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use recipes::Recipe;

    use super::super::lot::Lot;
    use super::*;
    use crate::search::formula::Formula;

    /// Aligns a unit whose peak is at this z, in a lot whose thirty units were at others; gives what came of it and the loss
    /// left, dB.
    fn align_in(lot_z: Option<f64>, z: f64) -> (Found, f64) {
        let recipe = Recipe::parse(recipes::named("400g-fr4").unwrap()).unwrap();
        let step = recipe.steps.iter().position(|s| matches!(s, Step::Peak { .. })).unwrap();
        let mut aim = Aim::of(&recipe, step, 0.0).unwrap();
        if let Some(middle) = lot_z {
            let peaks = (0..30).map(|i| BTreeMap::from([(Axis::Z, middle + f64::from(i % 7) - 3.0)])).collect();
            aim = aim.in_lot(&Lot { name: "A7".into(), peaks }, &recipe, step);
            assert!(!aim.lot.is_empty());
        }
        let mut probe = Formula::new([4.0, -3.0, z], 0.2, 0.005);
        let runtime = units::clock::virtual_runtime().unwrap();
        let found = runtime.block_on(align(&mut probe, &aim, Method::Engine)).unwrap();
        let left = probe.loss_db(&probe.actual);
        (found, left)
    }

    #[test]
    fn a_unit_at_the_other_end_of_the_range_is_aligned_as_well_as_without_its_lot() {
        for (lot_z, z) in [(-90.0, 140.0), (-90.0, 60.0), (100.0, -120.0), (60.0, -30.0)] {
            let (found, left) = align_in(Some(lot_z), z);
            assert!(found.doubt.is_none() && left < 0.02, "{lot_z} {z}: {left} dB left, {found:?}");
            assert!(found.said.contains("not as its lot was"), "{lot_z} {z}: {}", found.said);
        }
    }

    #[test]
    fn a_unit_where_its_lot_was_is_aligned_once() {
        for z in (-100..=100).step_by(20).map(f64::from) {
            let (found, left) = align_in(Some(z + 4.0), z);
            assert!(found.doubt.is_none() && left < 0.02, "{z}: {left} dB left, {found:?}");
            assert!(!found.said.contains("not as its lot was"), "{z}: {}", found.said);
        }
    }

    #[test]
    fn light_that_was_brighter_before_it_faded_is_no_better_place_and_what_fading_does_not_tell_is() {
        let sample = |t_s, dbm| {
            let readings = vec![Reading::Power(Power::from_dbm(dbm))];
            Sample { t_s, commanded: vec![], actual: vec![], readings }
        };
        let better = |light_db_s, before_dbm| {
            let found = Found {
                position: vec![],
                power_dbm: -1.0,
                readings: 2,
                left_db: Some((0.01, 0.02)),
                said: String::new(),
                doubt: None,
                order: LaneOrder::AsTold,
                trend: Trend { light_db_s, place_um_s: None },
            };
            better_seen(&found, &[sample(0.0, before_dbm), sample(2.0, -1.0)], 0.01)
        };
        assert!(better(None, -0.4).is_some_and(|db| (db - 0.6).abs() < 1e-9));
        assert_eq!(better(Some(-0.3), -0.4), None);
        assert!(better(Some(-0.3), 0.6).is_some_and(|db| (db - 1.0).abs() < 1e-9));
    }
}
