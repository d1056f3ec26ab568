//! What a run says while it goes: the one stream from which log, screen and tests are fed.
//!
//! Events carry no wall-clock time and no random id, so that one virtual run gives the same bytes for the same seed.
//! Times `t_s` are seconds on the run's monotonic clock since the run began.

use recipes::Axis;
use serde::{Deserialize, Serialize};
use units::{Power, Reading};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every measurement within its limits.
    Pass,
    /// A measurement outside its limits, or no light from a part on a bench proven good.
    Fail,
    /// Something that is not the part's: the unit is run again.
    Error,
    /// Stopped by somebody or cut off.
    Aborted,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 4] = [Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Aborted];

    /// The word used in files and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Error => "error",
            Outcome::Aborted => "aborted",
        }
    }
}

/// Whose doing it was that a run did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The unit's.
    Part,
    /// The station's: instruments, lines, fixture, storage.
    Station,
    /// Somebody stopped it.
    Operator,
    /// The recipe's.
    Recipe,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 4] = [Cause::Part, Cause::Station, Cause::Operator, Cause::Recipe];

    /// The word used in files and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Part => "part",
            Cause::Station => "station",
            Cause::Operator => "operator",
            Cause::Recipe => "recipe",
        }
    }
}

/// The phase the part is in, which decides what a safe bench is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// At clearance: nothing can touch.
    Free,
    /// Within reach of contact along the optical axis.
    NearContact,
}

impl Phase {
    /// The word used in files and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Free => "free",
            Phase::NearContact => "near_contact",
        }
    }
}

/// A component of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is (`receptacle`, `osa`).
    pub kind: String,
    /// Its serial number, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its lot, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
}

/// The unit under work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Part number.
    pub part_number: String,
    /// Serial number.
    pub serial_number: String,
    /// Lot, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// Components, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
}

/// Everything known before a run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// The unit.
    pub unit: Unit,
    /// Recipe's product name.
    pub recipe: String,
    /// Recipe's revision.
    pub recipe_revision: String,
    /// SHA-256 of the recipe text, lower-case hex.
    pub recipe_hash: String,
    /// The recipe text itself; in the log, not in the event stream's JSON lines.
    #[serde(skip)]
    pub recipe_text: String,
    /// Station name.
    pub station: String,
    /// Operator, if named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Firstlight's version.
    pub software_version: String,
    /// Seed of the simulated world.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// True where the bench is simulated.
    pub simulated: bool,
}

/// Where the launched power behind a loss comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchedOrigin {
    /// The bench's tap, read beside the measurement.
    Tap,
    /// The bench's dated reference measurement.
    Reference,
    /// Data of the unit.
    Unit,
}

impl LaunchedOrigin {
    /// All of them.
    pub const ALL: [LaunchedOrigin; 3] = [LaunchedOrigin::Tap, LaunchedOrigin::Reference, LaunchedOrigin::Unit];

    /// The word used in files and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            LaunchedOrigin::Tap => "tap",
            LaunchedOrigin::Reference => "reference",
            LaunchedOrigin::Unit => "unit",
        }
    }
}

/// A launched power with its origin and age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Launched {
    /// The power launched towards the unit.
    pub power_w: Power,
    /// Where it comes from.
    pub origin: LaunchedOrigin,
    /// How old it was when used, seconds.
    pub age_s: f64,
    /// Its expanded uncertainty (k = 2), dB.
    pub uncertainty_db: f64,
}

/// One measured value with its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// When.
    pub t_s: f64,
    /// Index of the step, from 0.
    pub step: usize,
    /// What (`coupling_loss`, `coupled_power`).
    pub name: String,
    /// Channel of the bench it was read on, where there is one.
    pub channel: Option<String>,
    /// Value in `unit`.
    pub value: f64,
    /// Unit (`dB`, `dBm`, `um`).
    pub unit: String,
    /// Expanded uncertainty (k = 2) in `unit`, dB for a power in dBm: calibration of the meters and scatter of the readings.
    pub uncertainty: Option<f64>,
    /// Lower limit, if any.
    pub lower: Option<f64>,
    /// Upper limit, if any.
    pub upper: Option<f64>,
    /// `Pass` or `Fail` where there is a limit.
    pub outcome: Option<Outcome>,
    /// The launched power a loss was taken against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launched: Option<Launched>,
}

/// What the name of a peak's place along an axis begins with.
const PEAK: &str = "peak_";

/// Name of the measurement that tells how far along an axis a peak was from the approach pose.
pub fn peak_name(axis: Axis) -> String {
    format!("{PEAK}{axis}")
}

/// The axis of a measurement of that name.
pub fn peak_axis(name: &str) -> Option<Axis> {
    name.strip_prefix(PEAK).and_then(Axis::named)
}

/// One sample of a search: where the axes were and what each channel read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Middle of the reading.
    pub t_s: f64,
    /// Commanded position of each axis of the trace (um or degrees).
    pub commanded: Vec<f64>,
    /// Actual position of each axis at `t_s` (um or degrees).
    pub actual: Vec<f64>,
    /// One reading a channel.
    pub readings: Vec<Reading>,
}

/// The stored samples of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// When the search ended.
    pub t_s: f64,
    /// Index of the step, from 0.
    pub step: usize,
    /// Name of the search (`first_light`, `peak`).
    pub search: String,
    /// Logical axes in the order of the samples' positions.
    pub axes: Vec<String>,
    /// Channels in the order of the samples' readings.
    pub channels: Vec<String>,
    /// The samples in the order of time.
    pub samples: Vec<Sample>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When.
    pub t_s: f64,
    /// The outcome.
    pub outcome: Outcome,
    /// Whose doing, unless it passed.
    pub cause: Option<Cause>,
    /// Why, in words, with what to do.
    pub message: Option<String>,
    /// The phase the part had reached when the run was decided.
    pub phase: Phase,
    /// Whether the bench was made safe.
    pub safe: bool,
}

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted(RunStart),
    /// The part enters a phase.
    Phase {
        /// When.
        t_s: f64,
        /// The phase.
        phase: Phase,
    },
    /// A step begins.
    StepStarted {
        /// When.
        t_s: f64,
        /// Index, from 0.
        step: usize,
        /// Kind of the step as in the recipe.
        kind: String,
    },
    /// A step ended.
    StepEnded {
        /// When.
        t_s: f64,
        /// Index, from 0.
        step: usize,
        /// How.
        outcome: Outcome,
        /// What it came to, in words.
        message: Option<String>,
    },
    /// A value was measured.
    Measurement(Measurement),
    /// A search left its samples.
    Trace(Trace),
    /// Something worth keeping was noticed.
    Note {
        /// When.
        t_s: f64,
        /// What.
        text: String,
    },
    /// The last exchanges on an instrument's line.
    Transcript {
        /// When.
        t_s: f64,
        /// The instrument.
        instrument: String,
        /// The exchanges, one a line.
        text: String,
    },
    /// The run ended.
    RunEnded(RunEnd),
}

/// Where events go: the log's writer, the screen, a `Vec` in a test. Never waits.
pub trait EventSink {
    /// Takes one event.
    fn event(&mut self, event: &Event);

    /// Is shown samples of a search as they are taken, before its trace is an event; positions are those of `axes`.
    fn samples(&mut self, _search: &str, _axes: &[Axis], _samples: &[Sample]) {}
}

impl EventSink for Vec<Event> {
    fn event(&mut self, event: &Event) {
        self.push(event.clone());
    }
}
