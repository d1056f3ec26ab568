//! A campaign of faults: each at seeded moments of whole simulated runs, and what the station made of it.
//!
//! Judges the station from outside: by the log, by what the stages were told, by the world's truth. Each run can be made
//! again by `firstlight run` with the seed and the fault told.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use firstlight::wiring::WorldPorts;
use serde::Serialize;
use sim::{Fault, FaultInfo, Order, Ordered, Part};
use station::bench::{Bench, Pose, frame};
use station::config::{BenchConfig, Frame};
use station::event::{Event, Outcome};
use station::sequence::{StopReason, stop};
use station::store::Writer;
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

use crate::failure::Failure;
use crate::runner::{self, Done, Plan, Report, Sink, WorldPlan};

/// The steps in whose windows faults strike, in turn.
const WINDOWS: [&str; 4] = ["first_light", "peak", "measure", "retract"];

/// A run that takes longer than this on the bench's clock hangs: a good one takes 11 s, one that waits for every
/// time limit of a silent instrument about a minute.
const HANG_S: u64 = 600;

/// Not a fault of the bench: somebody stops the run at the moment.
pub(crate) const STOP: &str = "stop";

/// What the steps of an undisturbed run are: when each began and ended.
type Windows = BTreeMap<String, (f64, f64)>;

/// One run of a campaign as it went.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attempt {
    /// The fault with its target and time.
    pub(crate) fault: String,
    /// Seed of the world.
    pub(crate) seed: u64,
    /// The step it struck in.
    pub(crate) during: &'static str,
    /// How the run ended; none where no run was begun.
    pub(crate) outcome: Option<&'static str>,
    /// Whose doing.
    pub(crate) cause: Option<&'static str>,
    /// Why.
    pub(crate) message: Option<String>,
    /// Seconds from the fault to the end of the run, the bench safe.
    pub(crate) safe_after_s: Option<f64>,
    /// What must never be, and was.
    pub(crate) broken: Vec<&'static str>,
}

/// What came of one fault.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    /// The fault's name.
    pub(crate) fault: String,
    /// Runs.
    pub(crate) runs: usize,
    /// Runs by outcome.
    pub(crate) pass: usize,
    pub(crate) fail: usize,
    pub(crate) error: usize,
    pub(crate) aborted: usize,
    /// Refused before a run was begun.
    pub(crate) not_begun: usize,
    /// Errors and stops after which the bench could not be made safe, and which said so.
    pub(crate) said_unsafe: usize,
    /// Median and greatest time from the fault to a safe bench, of runs that it ended, seconds.
    pub(crate) safe_median_s: Option<f64>,
    pub(crate) safe_max_s: Option<f64>,
    /// What must never be, and how often it was.
    pub(crate) broken: BTreeMap<&'static str, usize>,
    /// Good units that failed, where no instrument of the bench could have told.
    pub(crate) untold: usize,
    /// Why the bench's instruments cannot tell this fault from a bad part.
    pub(crate) cannot_be_told: Option<&'static str>,
}

/// Runs `runs` runs of a fault (or of [`STOP`]); the seeds are `seed` and the numbers after it.
pub(crate) fn row(
    plan: &Plan,
    info: Option<&FaultInfo>,
    runs: u32,
    seed: u64,
    writer: &Writer,
    windows: &mut BTreeMap<u64, Windows>,
) -> Result<(Row, Vec<Attempt>), Failure> {
    let name = info.map_or(STOP, |i| i.name);
    let mut attempts = Vec::new();
    for i in 0..runs {
        let seed = seed.wrapping_add(u64::from(i));
        let windows = match windows.entry(seed) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(undisturbed(plan, seed, writer)?),
        };
        attempts.push(attempt(plan, info, seed, i, windows, writer)?);
    }
    Ok((summed(name, info, &attempts), attempts))
}

fn summed(name: &str, info: Option<&FaultInfo>, attempts: &[Attempt]) -> Row {
    let count = |word: &str| attempts.iter().filter(|a| a.outcome == Some(word)).count();
    let mut times: Vec<f64> = attempts.iter().filter_map(|a| a.safe_after_s).collect();
    times.sort_by(f64::total_cmp);
    let mut broken: BTreeMap<&'static str, usize> = BTreeMap::new();
    for word in attempts.iter().flat_map(|a| &a.broken) {
        *broken.entry(word).or_default() += 1;
    }
    let cannot_be_told = info.and_then(|i| i.cannot_be_told);
    let untold = if cannot_be_told.is_some() { broken.remove(BLAMED).unwrap_or(0) } else { 0 };
    Row {
        fault: name.to_string(),
        runs: attempts.len(),
        pass: count("pass"),
        fail: count("fail"),
        error: count("error"),
        aborted: count("aborted"),
        not_begun: attempts.iter().filter(|a| a.outcome.is_none()).count(),
        said_unsafe: attempts.iter().filter(|a| a.outcome.is_some() && a.safe_after_s.is_none() && ended(a)).count(),
        safe_median_s: times.get(times.len() / 2).copied(),
        safe_max_s: times.last().copied(),
        broken,
        untold,
        cannot_be_told,
    }
}

fn ended(a: &Attempt) -> bool {
    matches!(a.outcome, Some("error" | "aborted"))
}

const BLAMED: &str = "good unit failed";
const FALSE_PASS: &str = "false pass";
const OUTSIDE: &str = "target outside the envelope";
const MOVED: &str = "move after the stop";
const HUNG: &str = "hung";
const OUTCOMES: &str = "not one outcome";
const NOT_SAFE: &str = "called safe and was not";
const TOUCHED: &str = "touched the part";

/// The steps' windows of the run without the fault.
fn undisturbed(plan: &Plan, seed: u64, writer: &Writer) -> Result<Windows, Failure> {
    let came = one_run(plan, seed, Vec::new(), None, writer)?;
    let mut windows = Windows::new();
    let mut names = BTreeMap::new();
    for event in &came.events {
        match event {
            Event::StepStarted { t_s, step, kind } => {
                names.insert(*step, (kind.clone(), *t_s));
            }
            Event::StepEnded { t_s, step, .. } => {
                if let Some((kind, began)) = names.get(step) {
                    windows.insert(kind.clone(), (*began, *t_s));
                }
            }
            _ => {}
        }
    }
    Ok(windows)
}

fn attempt(
    plan: &Plan,
    info: Option<&FaultInfo>,
    seed: u64,
    number: u32,
    windows: &Windows,
    writer: &Writer,
) -> Result<Attempt, Failure> {
    let during = WINDOWS[number as usize % WINDOWS.len()];
    // A unit whose undisturbed run never came to this step is struck anywhere in it.
    let whole = (0.0, windows.values().map(|w| w.1).fold(0.0, f64::max));
    let (from, to) = windows.get(during).copied().unwrap_or(whole);
    let (during, from, to) =
        if info.is_some_and(|i| i.slow) { ("the whole run", 0.0, 0.0) } else { (during, from, to) };
    let at_s = (1e3 * (from + (to - from) * sim::noise::Stream::new(seed, "moment").uniform(0))).round() / 1e3;
    let fault = info.map(|i| Fault { kind: i.kind, amount: amount(i, seed), target: target(plan, i, seed), at_s });
    let stop_at = fault.is_none().then_some(at_s);
    let told = fault.as_ref().map_or_else(|| format!("{STOP}@{at_s}"), ToString::to_string);
    let came = one_run(plan, seed, fault.into_iter().collect(), stop_at, writer)?;
    let end = came.done.as_ref().map(|d| &d.end);
    // The fault's time counts from when the unit is loaded, the run's from its start at the same moment.
    let safe_after_s = end
        .filter(|e| e.safe && matches!(e.outcome, Outcome::Error | Outcome::Aborted))
        .map(|e| (e.t_s - at_s).max(0.0));
    Ok(Attempt {
        fault: told,
        seed,
        during,
        outcome: end.map(|e| e.outcome.as_str()),
        cause: end.and_then(|e| e.cause).map(|c| c.as_str()),
        message: end.and_then(|e| e.message.clone()).or_else(|| came.refused.clone()),
        safe_after_s,
        broken: broken(plan, &came, stop_at),
    })
}

/// How much of it there is, drawn by the seed, to three digits.
fn amount(info: &FaultInfo, seed: u64) -> Option<f64> {
    let (low, high) = info.amount?.drawn;
    let drawn = low + (high - low) * sim::noise::Stream::new(seed, "amount").uniform(0);
    Some((drawn * 1e3).round() / 1e3)
}

/// Which instrument or axis is struck, drawn by the seed.
fn target(plan: &Plan, info: &FaultInfo, seed: u64) -> Option<String> {
    let config = &plan.bench.config;
    let names: Vec<String> = match info.target {
        sim::TargetKind::Source | sim::TargetKind::Fibre => return None,
        sim::TargetKind::Axis => config.axes.iter().map(|a| a.axis.to_string()).collect(),
        sim::TargetKind::Meter => config.meters.keys().cloned().collect(),
        sim::TargetKind::Instrument => {
            let others = config.controllers.keys().chain(config.meters.keys()).cloned();
            others.chain([config.source.instrument.name.clone()]).collect()
        }
    };
    let draw = sim::noise::Stream::new(seed, "target").bits(0) % names.len() as u64;
    names.into_iter().nth(usize::try_from(draw).unwrap_or(0))
}

/// What one run left behind.
struct Came {
    done: Option<Done>,
    refused: Option<String>,
    hung: bool,
    events: Vec<Event>,
    orders: Vec<Ordered>,
    began_s: f64,
    part: Part,
    truth: sim::Truth,
}

fn one_run(plan: &Plan, seed: u64, faults: Vec<Fault>, stop_at: Option<f64>, writer: &Writer) -> Result<Came, Failure> {
    let plan = Plan { world: Some(WorldPlan { seed, defects: true, faults }), ..plan.clone() };
    let runtime = virtual_runtime();
    let runtime = runtime.map_err(|e| Failure::station(format!("no runtime: {e}"), "check the process limits"))?;
    LocalSet::new().block_on(&runtime, async { in_world(&plan, stop_at, writer).await })
}

async fn in_world(plan: &Plan, stop_at: Option<f64>, writer: &Writer) -> Result<Came, Failure> {
    let clock = Clock::simulated();
    let Some(world) = runner::world(plan, &clock)? else {
        return Err(Failure::station("no simulated world", "give the bench file a [simulation] section"));
    };
    let door = world.backdoor();
    let (sender, mut stopped) = stop();
    let mut sink = Sink::new(writer, None, Some(door.clone()), false).keeping();
    let mut began_s = 0.0;
    let work = async {
        let ports = WorldPorts { world: world.clone() };
        let opened = Bench::open(plan.bench.config.clone(), clock.clone(), &ports).await;
        let mut bench = opened.map_err(|e| Failure::bench(&e))?;
        runner::connect(&mut bench, plan, &mut stopped, &mut Report::default()).await?;
        door.load_next_unit();
        began_s = clock.seconds();
        if let Some(at) = stop_at {
            let clock = clock.clone();
            tokio::task::spawn_local(async move {
                clock.sleep_until(std::time::Duration::from_secs_f64(began_s + at)).await;
                sender.stop(StopReason::Operator);
            });
        }
        runner::one(plan, 1, &mut bench, true, &mut stopped, &mut sink).await
    };
    let ended = clock.timeout(std::time::Duration::from_secs(HANG_S), work).await;
    let (done, refused, hung) = match ended {
        Ok(Ok(done)) => (Some(done), None, false),
        Ok(Err(failure)) => (None, Some(failure.to_string()), false),
        Err(_) => (None, None, true),
    };
    let (orders, part, truth) = (door.orders(), door.part(), door.truth());
    let events = sink.kept();
    Ok(Came { done, refused, hung, events, orders, began_s, part, truth })
}

/// What must never be.
fn broken(plan: &Plan, came: &Came, stop_at: Option<f64>) -> Vec<&'static str> {
    let mut broken = Vec::new();
    let config = &plan.bench.config;
    if came.hung {
        broken.push(HUNG);
    }
    if outside(config, &came.orders) {
        broken.push(OUTSIDE);
    }
    if moved_after_stop(config, &came.orders, stop_at.map(|at| came.began_s + at)) {
        broken.push(MOVED);
    }
    let ends = came.events.iter().filter(|e| matches!(e, Event::RunEnded(_))).count();
    let Some(done) = &came.done else {
        if !came.hung && ends != 0 {
            broken.push(OUTCOMES);
        }
        return broken;
    };
    if stop_at.is_some() != (done.end.outcome == Outcome::Aborted) && stop_at.is_some_and(|at| at < done.end.t_s) {
        broken.push(OUTCOMES);
    }
    if done.end.safe && (came.truth.source_on || came.truth.moving || came.truth.touching) {
        broken.push(NOT_SAFE);
    }
    if came.truth.overtravel_um > 0.0 {
        broken.push(TOUCHED);
    }
    broken.extend(verdict(plan, done, &came.part));
    broken
}

/// A verdict that the truth contradicts by more than the measurement's own uncertainty.
fn verdict(plan: &Plan, done: &Done, part: &Part) -> Option<&'static str> {
    let loss = done.measurements.iter().find(|m| m.name == recipes::Quantity::CouplingLoss.as_str());
    let upper = plan.recipe.limit(recipes::Quantity::CouplingLoss)?.upper?;
    let uncertainty = loss.and_then(|m| m.uncertainty).unwrap_or(0.0);
    match done.end.outcome {
        Outcome::Pass if done.true_loss_db.is_none_or(|loss| loss > upper + uncertainty) => Some(FALSE_PASS),
        Outcome::Fail if part.defect.is_none() && best(part, plan) < upper - uncertainty => Some(BLAMED),
        _ => None,
    }
}

fn best(part: &Part, plan: &Plan) -> f64 {
    part.best_loss_db(plan.recipe.unit.wavelength_nm / 1000.0)
}

/// Logical stage position of an order, um.
fn logical(config: &BenchConfig, axis: &str, target_um: f64) -> Option<(recipes::Axis, f64)> {
    let setup = config.axes.iter().find(|a| a.axis.as_str() == axis)?;
    Some((setup.axis, setup.to_logical(target_um)))
}

/// Rounding of a target to the controller's decimals, um.
const ROUNDING_UM: f64 = 2e-3;

/// Whether any target lay outside its axis' range, or sideways of the limit while near contact.
fn outside(config: &BenchConfig, orders: &[Ordered]) -> bool {
    let mut known: BTreeMap<recipes::Axis, f64> = BTreeMap::new();
    for ordered in orders {
        let Order::Move { axis, target_um } = &ordered.order else { continue };
        let Some((axis, at)) = logical(config, axis, *target_um) else { return true };
        let range = config.axis(axis).map_or((0.0, 0.0), |a| a.range);
        if !(range.0 - ROUNDING_UM..=range.1 + ROUNDING_UM).contains(&at) {
            return true;
        }
        known.insert(axis, at);
        if known.len() < config.axes.len() {
            continue;
        }
        let stage = Pose::default().with(&known.iter().map(|(a, p)| (*a, *p)).collect::<Vec<_>>());
        let optical = frame::to_optical(config, stage);
        let sideways = |frame: &Frame| {
            let [x, y, _] = frame::optical(frame);
            optical[x].abs().max(optical[y].abs()) > frame.near_lateral_um + ROUNDING_UM
        };
        let mut near = config.frames().filter(|f| config.is_near(f, stage[f.optical_axis], ROUNDING_UM));
        if near.any(sideways) {
            return true;
        }
    }
    false
}

/// Time that the bytes of one command take to a device, seconds: 50 at 115,200 baud.
const ON_THE_WAY_S: f64 = 0.005;

/// Whether anything but backing off and parking was ordered after the first stop, or after the stop was asked for.
fn moved_after_stop(config: &BenchConfig, orders: &[Ordered], asked_s: Option<f64>) -> bool {
    let stopped = orders.iter().find(|o| o.order == Order::Stop).map(|o| o.t_s);
    // A move whose bytes were on their way when the stop was asked for arrives before the stop.
    let since = asked_s.map(|t| t + ON_THE_WAY_S).into_iter().chain(stopped).fold(f64::INFINITY, f64::min);
    orders.iter().filter(|o| o.t_s > since).any(|o| match &o.order {
        Order::Stop => false,
        Order::Move { axis, target_um } => logical(config, axis, *target_um).is_none_or(|(axis, at)| {
            let parks = config.park.iter().any(|(a, p)| *a == axis && (p - at).abs() < ROUNDING_UM);
            let frame = config.frame_of(axis);
            let backs_off = axis == frame.optical_axis && !config.is_near(frame, at, ROUNDING_UM);
            !parks && !backs_off
        }),
    })
}
