//! What can go wrong on a bench, whose doing it is and what to do about it.

use drivers::exchange::LineError;
use drivers::meter::MeterError;
use drivers::motion::MotionError;
use drivers::source::SourceError;
use drivers::switch::SwitchError;
use drivers::transport::OpenError;
use recipes::Axis;

/// A port that could not be opened, for one instrument.
#[derive(Debug, thiserror::Error)]
#[error("{instrument}: port \"{port}\": {source}")]
pub struct PortFault {
    /// Bench name of the instrument.
    pub instrument: String,
    /// Bench name of the port.
    pub port: String,
    /// What the operating system said.
    pub source: OpenError,
}

/// What can go wrong on a bench. None of it is the part's.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Ports could not be opened; all of them are told.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Open(Vec<PortFault>),
    /// A driver word has no driver; the bench file's reader refuses such words.
    #[error("{instrument}: there is no driver \"{driver}\"")]
    NoDriver {
        /// Bench name of the instrument.
        instrument: String,
        /// The word.
        driver: String,
    },
    /// A motion controller.
    #[error(transparent)]
    Motion(#[from] MotionError),
    /// A power meter.
    #[error(transparent)]
    Meter(#[from] MeterError),
    /// The light source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The optical switch.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// A move refused before a byte was sent: outside an axis' range.
    #[error("move refused: axis {axis} to {target:.3} is outside its range {lower:.3} to {upper:.3}")]
    OutsideRange {
        /// Stage axis.
        axis: Axis,
        /// Target, um or degrees.
        target: f64,
        /// Range.
        lower: f64,
        /// Range.
        upper: f64,
    },
    /// A move refused before a byte was sent: sideways too far while near contact.
    #[error(
        "move refused: optical {axis} to {target:.1} um while nearer to contact than clearance, where {limit:.1} um is the limit"
    )]
    KeepOut {
        /// Optical axis across the light.
        axis: Axis,
        /// Target, um.
        target: f64,
        /// Limit, um.
        limit: f64,
    },
    /// The bench has no such axis.
    #[error("the bench has no axis {axis}")]
    NoAxis {
        /// Axis asked for.
        axis: Axis,
    },
    /// The position is not known.
    #[error("axis {axis}: not referenced, so its position is unknown")]
    NotReferenced {
        /// Stage axis.
        axis: Axis,
    },
    /// No controller of the bench searches by itself.
    #[error(
        "no controller of the bench moves both axes across the light, sees the light and can be kept within the envelope"
    )]
    NoRoutine,
    /// The bench has nothing that follows the light.
    #[error("the bench has no tracker")]
    NoTracker,
    /// A controller's analog input sees no light.
    #[error("{instrument}: analog input {input} sees no light")]
    InputDark {
        /// Bench name of the controller.
        instrument: String,
        /// Its input.
        input: u32,
    },
    /// A routine refused before a byte was sent: faster than the envelope allows.
    #[error("routine refused: it would move axis {axis} at {speed:.0} um/s, where {limit:.0} um/s is the limit")]
    RoutineTooFast {
        /// Stage axis.
        axis: Axis,
        /// Greatest speed, um/s.
        speed: f64,
        /// Limit, um/s.
        limit: f64,
    },
    /// The controller has no centre of rotation that can be set.
    #[error("{instrument}: has no pivot to be set")]
    NoPivot {
        /// Bench name of the instrument.
        instrument: String,
    },
    /// The pivot of the bench file is not in force and could not be set.
    #[error("{instrument}: the pivot of the bench file could not be set: {source}")]
    PivotRefused {
        /// Bench name of the instrument.
        instrument: String,
        /// Why.
        source: MotionError,
    },
    /// The controller says it arrived but its read-back says otherwise.
    #[error("axis {axis}: sent to {target:.3}, said to be on target, but reads back {actual:.3} {}", axis.unit())]
    Elsewhere {
        /// Stage axis.
        axis: Axis,
        /// Target, um or degrees.
        target: f64,
        /// Read-back.
        actual: f64,
    },
    /// A meter gave fewer channels than the bench file names.
    #[error("{meter}: has no channel {number}")]
    NoChannel {
        /// Bench name of the meter.
        meter: String,
        /// Channel asked for.
        number: u32,
    },
}

impl BenchError {
    /// What to do about it, where it is known.
    pub fn hint(&self) -> &'static str {
        match self {
            BenchError::Open(_) => {
                "check that the instrument is on and its cable plugged in, that no other program holds the port, and its name in \
                 the bench file (`firstlight bench ports` lists ports)"
            }
            BenchError::Motion(MotionError::Line(e))
            | BenchError::Meter(MeterError::Line(e))
            | BenchError::Source(SourceError::Line(e))
            | BenchError::Switch(SwitchError::Line(e)) => line_hint(e),
            BenchError::Motion(MotionError::WrongDevice { .. })
            | BenchError::Meter(MeterError::WrongDevice { .. })
            | BenchError::Source(SourceError::WrongDevice { .. })
            | BenchError::Switch(SwitchError::WrongDevice { .. }) => {
                "the ports of the bench file may be swapped, or the cable is in another instrument"
            }
            BenchError::Motion(MotionError::RangeOutsideTravel { .. }) => {
                "check sign, zero and range of this axis in the bench file: with the wrong sign a range lies on the wrong side"
            }
            BenchError::Motion(MotionError::Coordinates { .. }) => {
                "somebody left it in force: enable the expected one (`KEN ZERO` with the maker's program), or, if it is meant, name \
                 it in the bench file (`coordinates` of the controller) and check every axis against it"
            }
            BenchError::Motion(MotionError::NotReferenced { .. }) | BenchError::NotReferenced { .. } => {
                "the controller may have restarted; run again: the recipe's reference step references it"
            }
            BenchError::Motion(_) => "look at the stage, then run again",
            BenchError::Source(SourceError::Interlock { .. }) => {
                "close the interlock (lid, key, remote connector), then run again"
            }
            BenchError::Source(_) => "look at the source's front panel, then run again",
            BenchError::Meter(MeterError::NoSensor { .. }) => "plug the sensor in and restart the meter",
            BenchError::Meter(_) => "look at the meter, then run again",
            BenchError::Switch(SwitchError::NoSuchPort { .. }) => {
                "correct `switch_port` of the channels, or `meter_side` and `meter_port` of [switch], in the bench file"
            }
            BenchError::Switch(_) => "look at the switch, then run again",
            BenchError::NoRoutine => {
                "choose another `method`, or give the controller's `analog_input` in the bench file if it has alignment routines"
            }
            BenchError::NoTracker => "choose another `method`, or give the bench file a [tracker] table",
            BenchError::InputDark { .. } => {
                "look at the photodiode on that input and at `analog_input` in the bench file"
            }
            BenchError::OutsideRange { .. } | BenchError::KeepOut { .. } | BenchError::RoutineTooFast { .. } => {
                "the recipe asks for a pose this bench must not take"
            }
            BenchError::NoAxis { .. } => "this recipe needs a bench with that axis",
            BenchError::Elsewhere { .. } => "the axis is stuck, slipping or blocked: look at it before the next run",
            BenchError::PivotRefused { .. } => {
                "a platform that is turned keeps its pivot: bring rx, ry and rz to 0 with the maker's program, then run again"
            }
            BenchError::NoChannel { .. } | BenchError::NoDriver { .. } | BenchError::NoPivot { .. } => {
                "correct the bench file"
            }
        }
    }
}

fn line_hint(error: &LineError) -> &'static str {
    if error.is_port_lost() {
        "the port went away: check power and cable, then run again"
    } else {
        "check that the instrument is on, its cable, and that baud rate and parity in the bench file are the instrument's"
    }
}
