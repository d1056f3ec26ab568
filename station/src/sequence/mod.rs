//! One run: the steps of a recipe on one unit, always ended by a safe bench, with one outcome and its cause.
//!
//! Knows bench and recipe; never the simulator nor the store. `Fail` comes only from a measurement outside its limit;
//! whatever is not the part's gives `Error`, and the part is run again.

pub mod aim;
pub mod aligning;
pub mod lot;
mod measuring;
pub mod preflight;
pub mod readings;
mod steps;
mod stop;

pub use preflight::{Concern, LaunchedSource, Problem, UnitLaunched, launched, preflight};
pub use stop::{Stop, StopReason, StopSender, stop};

use recipes::Recipe;

use crate::bench::{Bench, BenchError};
use crate::event::{Cause, Event, EventSink, Outcome, Phase, RunEnd};
use crate::search::SearchError;

/// Why the steps of a run did not go on to their end.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// Somebody stopped it.
    #[error("{}", .0.as_str())]
    Stopped(StopReason),
    /// The bench.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The source did not settle.
    #[error("the source has not settled within {0:.0} s: its tap still wanders")]
    Unsettled(f64),
    /// The tap says that less light is launched than the source promises.
    #[error("the tap shows {shown_dbm:.2} dBm launched, the source promises {promised_dbm:.2} dBm")]
    SourceWeak {
        /// By the tap.
        shown_dbm: f64,
        /// By the source's level and the path's loss.
        promised_dbm: f64,
    },
    /// Light on the signal meter with the source off.
    #[error(
        "the dark level is {dark_dbm:.1} dBm, {limit_dbm:.1} dBm is the limit: light gets in, or the meter wants zeroing"
    )]
    NotDark {
        /// Dark reading.
        dark_dbm: f64,
        /// Highest of a healthy bench.
        limit_dbm: f64,
    },
    /// The signal meter gave no power where one was needed.
    #[error("the signal meter gives no power ({0})")]
    NoReading(&'static str),
    /// Readings at rest that do not agree with one another.
    #[error("more than a quarter of the {0}'s readings at rest do not agree with the others")]
    Scattered(&'static str),
    /// The signal meter repeats itself to the last digit.
    #[error("the signal meter is frozen: {0} readings in a row are the same to the last digit")]
    Frozen(usize),
    /// Light was seen in motion and was not there at rest.
    #[error("light of {0:.1} dBm was seen in motion, but none was found there at rest")]
    Fleeting(f64),
    /// No light, on a bench that cannot tell whose fault that is.
    #[error("no light found, and {0}")]
    NoLight(&'static str),
    /// The threshold for first light is not above what a dark bench reads.
    #[error("the first-light threshold of {threshold_dbm:.1} dBm is not above the dark level of {dark_dbm:.1} dBm")]
    ThresholdInTheDark {
        /// Threshold.
        threshold_dbm: f64,
        /// Dark reading.
        dark_dbm: f64,
    },
    /// The peak search ended without being sure of its end.
    #[error("the peak search did not settle: the last correction was worth {0:.3} dB")]
    Unsettling(f64),
    /// The alignment ended without the certainty that was asked for.
    #[error(
        "the alignment is not sure of its end: expected loss left {expected_db:.3} dB, 95 % below {bound_db:.3} dB, where \
         {tolerance_db} dB were asked for"
    )]
    Unsure {
        /// Loss expected to be left.
        expected_db: f64,
        /// What it is below with 95 % confidence.
        bound_db: f64,
        /// Asked for.
        tolerance_db: f64,
    },
    /// More light on the way than at the end.
    #[error("the alignment ended with {0:.2} dB less light than it had seen on the way")]
    BetterSeen(f64),
    /// The peak search ended at an end of its range along the light.
    #[error("the peak search ended at the end of its range along the light: there may be more light beyond")]
    AtLimit,
    /// The unit shows no light on a bench proven good. The measurement that says so is recorded.
    #[error("no light from the unit: at the most {0:.1} dBm where first light begins at {1:.1} dBm")]
    UnitDark(f64, f64),
}

impl Halt {
    /// Outcome and cause of a run halted so.
    fn verdict(&self) -> (Outcome, Cause) {
        match self {
            Halt::Stopped(reason) => reason.verdict(),
            Halt::UnitDark(..) => (Outcome::Fail, Cause::Part),
            Halt::ThresholdInTheDark { .. }
            | Halt::Bench(BenchError::OutsideRange { .. } | BenchError::KeepOut { .. } | BenchError::NoAxis { .. })
            | Halt::Search(SearchError::NoAxis(_)) => (Outcome::Error, Cause::Recipe),
            _ => (Outcome::Error, Cause::Station),
        }
    }

    /// What to do about it, where it is known.
    fn hint(&self) -> &'static str {
        match self {
            Halt::Stopped(_) => "",
            Halt::Bench(e) | Halt::Search(SearchError::Bench(e)) => e.hint(),
            Halt::Search(SearchError::Saturated) => {
                "give the signal meter a higher range, or autorange, in the bench file"
            }
            Halt::Search(_) => "look at the trace: `firstlight show last`",
            Halt::Unsettled(_) => "let the source warm up, or look at its connectors",
            Halt::SourceWeak { .. } => {
                "clean the connectors between source and tap, check the level and `path_loss_db` of the bench file"
            }
            Halt::NotDark { .. } => "cover the fixture, or zero the meter",
            Halt::NoReading(_) => "check range and sensor of the signal meter",
            Halt::Scattered(_) => {
                "look for a source that hops, loose connectors, a damaged serial cable, or something that shakes the bench"
            }
            Halt::Frozen(_) => "restart the meter",
            Halt::Fleeting(_) => {
                "a meter that lags, a stage that slips, or stray light: look at the trace, `firstlight show last`"
            }
            Halt::NoLight(_) => "check the fibre to the signal meter and the part in the fixture, then run again",
            Halt::ThresholdInTheDark { .. } => {
                "raise threshold_db in the recipe, or the source's level in the bench file"
            }
            Halt::Unsettling(_) | Halt::Unsure { .. } | Halt::BetterSeen(_) => {
                "run again; if it comes back, look for loose fibres, drafts or a wandering source"
            }
            Halt::AtLimit => {
                "look at the trace, `firstlight show last`: a stage that slips drives a search there; if the parts are so, raise \
                 z_range_um"
            }
            Halt::UnitDark(..) => "",
        }
    }
}

/// What one run is given.
#[derive(Debug, Clone, Copy)]
pub struct Job<'r> {
    /// The recipe.
    pub recipe: &'r Recipe,
    /// Where the launched power comes from.
    pub launched: LaunchedSource,
    /// Keep the transcripts of the instruments' last exchanges also where the run does not end in an error.
    pub keep_transcripts: bool,
}

/// Runs a recipe on the unit in the fixture of a connected bench. Emits every event but the first and the last, which
/// the caller makes durable; returns the last.
pub async fn run(bench: &mut Bench, job: &Job<'_>, stop: &mut Stop, sink: &mut dyn EventSink) -> RunEnd {
    run_in_lot(bench, job, None, stop, sink).await
}

/// As [`run`], of a unit of a lot: its searches begin where the lot's earlier units were, and where this one's peak was is
/// recorded for the next.
pub async fn run_in_lot(
    bench: &mut Bench,
    job: &Job<'_>,
    lot: Option<&lot::Lot>,
    stop: &mut Stop,
    sink: &mut dyn EventSink,
) -> RunEnd {
    let mut run = steps::Run::new(bench, job, lot, sink);
    let halt = run.all(stop).await.err();
    let phase = run.phase;
    let passed = run.passed;
    let (mut outcome, mut cause) = match &halt {
        None if passed => (Outcome::Pass, None),
        None => (Outcome::Fail, Some(Cause::Part)),
        Some(halt) => {
            let (outcome, cause) = halt.verdict();
            (outcome, Some(cause))
        }
    };
    let mut problems: Vec<String> = halt.iter().map(ToString::to_string).collect();
    if outcome == Outcome::Error || job.keep_transcripts {
        run.transcripts();
    }
    let safety = run.bench.make_safe(phase).await;
    for note in &safety.notes {
        run.note(note.clone());
    }
    if !safety.is_safe() {
        let unsafe_bench = format!("the bench is not safe: {}", safety.problems.join("; "));
        run.note(unsafe_bench.clone());
        problems.push(unsafe_bench);
        // A verdict stands on its measurements, but a part left near contact is the station's fault to clear.
        if outcome != Outcome::Aborted {
            (outcome, cause) = (Outcome::Error, Some(Cause::Station));
        }
    } else if phase != Phase::Free {
        run.enter(Phase::Free);
    }
    let message = (!problems.is_empty()).then(|| told(&problems.join("; "), halt.as_ref().map_or("", Halt::hint)));
    RunEnd { t_s: run.t_s(), outcome, cause, message, phase, safe: safety.is_safe() }
}

fn told(message: &str, hint: &str) -> String {
    if hint.is_empty() { message.to_string() } else { format!("{message}\nhint: {hint}") }
}

/// Writes an event with its time rounded to a microsecond.
fn emit(sink: &mut dyn EventSink, event: &Event) {
    sink.event(event);
}
