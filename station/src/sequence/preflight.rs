//! What recipe and bench together cannot do, found before a port is opened. Pure.

use jiff::Timestamp;
use recipes::{Method, Quantity, Recipe, Step};
use units::Power;

use crate::bench::has_routines;
use crate::config::BenchConfig;
use crate::event::{Launched, LaunchedOrigin};

/// Whose business a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Recipe and bench file do not fit: another file is needed.
    Files,
    /// The station is not ready: something must be done at it.
    Station,
}

/// One thing that stands in the way of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whose business.
    pub concern: Concern,
    /// What.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Where a run takes the launched power from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LaunchedSource {
    /// The tap, beside each measurement.
    Tap,
    /// A power measured earlier; its age when the run begins is in it.
    Earlier(Launched),
    /// Nowhere: results are powers.
    None,
}

/// Launched power from data of the unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitLaunched {
    /// The power.
    pub power: Power,
    /// When it was measured.
    pub measured_at: Timestamp,
    /// Its expanded uncertainty (k = 2), dB.
    pub uncertainty_db: f64,
}

/// Chooses where the launched power comes from: the tap, then data of the unit, then the bench's reference measurement
/// if it is young enough.
pub fn launched(bench: &BenchConfig, unit: Option<UnitLaunched>, now: Timestamp) -> LaunchedSource {
    if bench.tap().is_some() {
        return LaunchedSource::Tap;
    }
    let age = |at: Timestamp| now.duration_since(at).as_secs_f64();
    if let Some(unit) = unit {
        let launched = Launched {
            power_w: unit.power,
            origin: LaunchedOrigin::Unit,
            age_s: age(unit.measured_at),
            uncertainty_db: unit.uncertainty_db,
        };
        return LaunchedSource::Earlier(launched);
    }
    match &bench.reference {
        Some(r) if is_young(age(r.measured_at), bench.reference_max_age_s) => LaunchedSource::Earlier(Launched {
            power_w: r.power,
            origin: LaunchedOrigin::Reference,
            age_s: age(r.measured_at),
            uncertainty_db: r.uncertainty_db,
        }),
        _ => LaunchedSource::None,
    }
}

/// A clock may be set back a little between bench and reference; more than that is a wrong date.
const CLOCK_SLACK_S: f64 = 300.0;

fn is_young(age_s: f64, max_age_s: f64) -> bool {
    (-CLOCK_SLACK_S..=max_age_s).contains(&age_s)
}

/// Everything that stands in the way of running this recipe on this bench.
pub fn preflight(recipe: &Recipe, bench: &BenchConfig, unit: Option<UnitLaunched>, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut files = |message: String, hint: &str| {
        problems.push(Problem { concern: Concern::Files, message, hint: hint.to_string() })
    };
    if recipe.fixture != bench.fixture {
        files(
            format!(
                "recipe {} needs fixture \"{}\", bench {} has \"{}\"",
                recipe.product, recipe.fixture, bench.station, bench.fixture
            ),
            "use the bench with that fixture",
        );
    }
    for axis in recipe.axes() {
        if bench.axis(axis).is_none() {
            files(
                format!("recipe {} moves axis {axis}, which bench {} lacks", recipe.product, bench.station),
                "use a bench with that axis",
            );
        }
    }
    problems.extend(method_problems(recipe, bench));
    problems.extend(pose_problems(recipe, bench));
    problems.extend(launched_problem(recipe, bench, unit, now));
    problems
}

/// Steps that search by what the bench has not.
fn method_problems(recipe: &Recipe, bench: &BenchConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, step) in (1..).zip(&recipe.steps) {
        let Step::Peak { method, .. } = step else { continue };
        let (lacks, hint) = match method {
            Method::Track if bench.tracker.is_none() => {
                ("tracker", "use method = \"auto\", or give the bench file a [tracker] table")
            }
            Method::GradientSearch | Method::AreaScan if !has_routines(bench) => (
                "controller",
                "use method = \"auto\", or give the `analog_input` of a controller that moves both axes across the light",
            ),
            _ => continue,
        };
        let (product, station, method) = (&recipe.product, &bench.station, method.as_str());
        problems.push(Problem {
            concern: Concern::Files,
            message: format!(
                "step {number} (peak) of recipe {product} searches by {method}, for which bench {station} has no {lacks}"
            ),
            hint: hint.into(),
        });
    }
    problems
}

/// Approach poses that the envelope would refuse.
fn pose_problems(recipe: &Recipe, bench: &BenchConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    for step in &recipe.steps {
        let Step::Approach { to } = step else { continue };
        let pose = crate::bench::Pose::default().with(to);
        let stage = crate::bench::frame::to_stage(bench, pose);
        if let Err(e) = crate::bench::envelope::check(bench, crate::bench::Pose::default().with(&bench.park), stage)
            && !matches!(e, crate::bench::BenchError::KeepOut { .. })
        {
            problems.push(Problem {
                concern: Concern::Files,
                message: format!("recipe {}: the approach pose is out of reach: {e}", recipe.product),
                hint: "correct the pose in the recipe or the range in the bench file".into(),
            });
        }
    }
    problems
}

fn launched_problem(
    recipe: &Recipe,
    bench: &BenchConfig,
    unit: Option<UnitLaunched>,
    now: Timestamp,
) -> Option<Problem> {
    recipe.limit(Quantity::CouplingLoss)?;
    if launched(bench, unit, now) != LaunchedSource::None {
        return None;
    }
    let (message, hint) = match &bench.reference {
        None => (
            format!(
                "coupling_loss has a limit, but bench {} has no tap, no reference measurement and the unit has no data",
                bench.station
            ),
            "run `firstlight bench reference FILE`, or give --launched-dbm for this unit",
        ),
        Some(r) => {
            let age_h = now.duration_since(r.measured_at).as_secs_f64() / 3600.0;
            let max_h = bench.reference_max_age_s / 3600.0;
            (
                format!(
                    "the reference measurement of bench {} is {age_h:.1} h old, {max_h:.1} h are allowed",
                    bench.station
                ),
                "run `firstlight bench reference FILE` again",
            )
        }
    };
    Some(Problem { concern: Concern::Station, message, hint: hint.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Reference;

    fn recipe() -> Recipe {
        Recipe::parse(recipes::named("400g-fr4").unwrap()).unwrap()
    }

    fn reference(at: &str) -> Reference {
        Reference { power: Power::from_dbm(2.0), measured_at: at.parse().unwrap(), uncertainty_db: 0.1 }
    }

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn without_tap() -> BenchConfig {
        let mut bench = crate::bench::tests::config();
        bench.channels.retain(|c| c.role == crate::config::Role::Signal);
        bench
    }

    fn only(bench: &BenchConfig) -> Problem {
        let problems = preflight(&recipe(), bench, None, now());
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    #[test]
    fn the_built_in_bench_can_run_the_built_in_recipe() {
        assert_eq!(preflight(&recipe(), &crate::bench::tests::config(), None, now()), vec![]);
    }

    #[test]
    fn a_bench_of_another_class_or_without_an_axis_is_refused() {
        let mut bench = crate::bench::tests::config();
        bench.fixture = "array".into();
        assert_eq!(only(&bench).concern, Concern::Files);
        let mut recipe = recipe();
        recipe.steps.push(recipes::Step::Approach { to: vec![(recipes::Axis::Rx, 0.5)] });
        let problems = preflight(&recipe, &crate::bench::tests::config(), None, now());
        assert!(
            problems.iter().any(|p| p.message.contains("axis rx, which bench sim-receptacle lacks")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_step_that_tracks_is_named_where_the_bench_has_no_tracker() {
        let mut recipe = recipe();
        if let Some(recipes::Step::Peak { method, .. }) = recipe.steps.get_mut(4) {
            *method = Method::Track;
        }
        let problems = preflight(&recipe, &crate::bench::tests::config(), None, now());
        assert_eq!((problems.len(), problems[0].concern), (1, Concern::Files));
        let told = &problems[0].message;
        assert!(told.contains("step 5 (peak) of recipe 400g-fr4 searches by track"), "{told}");
    }

    #[test]
    fn a_loss_limit_needs_a_launched_power_that_is_young_enough() {
        let mut bench = without_tap();
        let missing = only(&bench);
        assert_eq!(missing.concern, Concern::Station);
        assert!(missing.message.contains("no reference measurement"));
        bench.reference = Some(reference("2026-02-27T12:00:00Z"));
        assert!(only(&bench).message.contains("48.0 h old, 12.0 h are allowed"));
        bench.reference = Some(reference("2026-03-02T12:00:00Z"));
        assert!(only(&bench).message.contains("h old"), "a date in the future is not young");
        bench.reference = Some(reference("2026-03-01T11:00:00Z"));
        assert_eq!(preflight(&recipe(), &bench, None, now()), vec![]);
        let LaunchedSource::Earlier(l) = launched(&bench, None, now()) else { panic!() };
        assert_eq!((l.origin, l.age_s), (LaunchedOrigin::Reference, 3600.0));
    }

    #[test]
    fn data_of_the_unit_stand_in_for_a_reference() {
        let bench = without_tap();
        let unit = UnitLaunched { power: Power::from_dbm(1.0), measured_at: now(), uncertainty_db: 0.2 };
        assert_eq!(preflight(&recipe(), &bench, Some(unit), now()), vec![]);
        let LaunchedSource::Earlier(l) = launched(&bench, Some(unit), now()) else { panic!() };
        assert_eq!(l.origin, LaunchedOrigin::Unit);
    }
}
