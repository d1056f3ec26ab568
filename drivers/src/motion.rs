//! What every motion controller does for Firstlight. Other vendors implement [`MotionController`].

use async_trait::async_trait;

use crate::alignment::FastAlignment;
use crate::exchange::{LineError, Tap};
use crate::identity::Identity;

/// The unit in which a controller counts on one channel; the trait itself speaks um and degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelUnit {
    /// Millimetres.
    Millimetre,
    /// Micrometres.
    Micrometre,
    /// Degrees.
    Degree,
}

impl ChannelUnit {
    /// How many um (or degrees) one controller unit is.
    pub fn factor(self) -> f64 {
        match self {
            ChannelUnit::Millimetre => 1000.0,
            ChannelUnit::Micrometre | ChannelUnit::Degree => 1.0,
        }
    }
}

/// How one channel of a controller is to be set up. Positions are the controller's own coordinates, in um or degrees.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSetup {
    /// The bench's name of the axis, for messages.
    pub axis: String,
    /// The controller's name of the channel.
    pub channel: String,
    /// The controller's unit on this channel.
    pub unit: ChannelUnit,
    /// Lower and upper end of the range allowed by the bench, um or degrees.
    pub range: (f64, f64),
    /// Velocity, um/s or degrees/s.
    pub velocity: f64,
}

/// The state of one channel, read in one go. Positions in um or degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelState {
    /// Whether the position is known (referenced).
    pub referenced: bool,
    /// Whether the servo is on.
    pub servo: bool,
    /// Actual position; meaningless while not referenced.
    pub position: f64,
}

/// What can go wrong with a motion controller.
#[derive(Debug, thiserror::Error)]
pub enum MotionError {
    /// The line failed.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The device on the port is another one.
    #[error("{instrument}: expected {expected}, but {found} answers on {port}")]
    WrongDevice {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// What the bench file says.
        expected: String,
        /// What answered.
        found: String,
    },
    /// The controller refused a command, by its own error code.
    #[error("{instrument}: axis {axis}: \"{command}\" refused with error {code} ({meaning})")]
    Refused {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis or axes concerned.
        axis: String,
        /// The command as sent.
        command: String,
        /// The vendor's code.
        code: i64,
        /// The vendor's words.
        meaning: String,
    },
    /// The same, where the vendor's codes are words.
    #[error("{instrument}: axis {axis}: \"{command}\" refused with {word} ({meaning})")]
    RefusedByWord {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis or axes concerned.
        axis: String,
        /// The command as sent.
        command: String,
        /// The vendor's word.
        word: String,
        /// What it means.
        meaning: String,
    },
    /// The controller has no such channel.
    #[error("{instrument}: axis {axis}: no channel \"{channel}\" (the controller has {available})")]
    NoChannel {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis concerned.
        axis: String,
        /// Channel asked for.
        channel: String,
        /// Channels there are.
        available: String,
    },
    /// The range of the bench file does not fit the travel of the controller.
    #[error(
        "{instrument}: axis {axis}: range {lower} to {upper} on channel {channel} is outside the controller's travel \
         {travel_lower} to {travel_upper}"
    )]
    RangeOutsideTravel {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis concerned.
        axis: String,
        /// Channel.
        channel: String,
        /// Range asked for, um or degrees, controller coordinates.
        lower: f64,
        /// Upper end.
        upper: f64,
        /// Travel of the controller.
        travel_lower: f64,
        /// Upper end of the travel.
        travel_upper: f64,
    },
    /// The axes of a platform count in another coordinate system than the bench does.
    #[error(
        "{instrument}: axes {axes}: coordinate system {active} is in force, where the bench counts on {expected}: they would \
         move along other directions"
    )]
    Coordinates {
        /// Bench name of the instrument.
        instrument: String,
        /// Axes concerned.
        axes: String,
        /// Systems in force, the maker's base system left out.
        active: String,
        /// Systems that the bench file says.
        expected: String,
    },
    /// A setting did not read back as set.
    #[error("{instrument}: axis {axis}: {what} was set to {set} but reads back {read}")]
    ReadBack {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis concerned.
        axis: String,
        /// What was set.
        what: &'static str,
        /// Value sent.
        set: String,
        /// Value read.
        read: String,
    },
    /// The axis is not referenced (a restart loses it), so its position is unknown.
    #[error("{instrument}: axis {axis}: not referenced")]
    NotReferenced {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis concerned.
        axis: String,
    },
    /// A move or a reference search did not end in time.
    #[error("{instrument}: axis {axis}: {what} not finished after {waited_s:.1} s (position {position})")]
    NotFinished {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis concerned.
        axis: String,
        /// `move` or `reference search`.
        what: &'static str,
        /// Seconds waited.
        waited_s: f64,
        /// Last position read, um or degrees.
        position: f64,
    },
    /// The controller says it arrived, but it is somewhere else.
    #[error("{instrument}: axis {axis}: on target by its own word, but at {position} instead of {target}")]
    ElsewhereThanTarget {
        /// Bench name of the instrument.
        instrument: String,
        /// Axis concerned.
        axis: String,
        /// Target, um or degrees.
        target: f64,
        /// Position read back.
        position: f64,
    },
}

/// A motion controller with one or more channels. Positions are um or degrees in the controller's own coordinates.
///
/// Every method can fail with [`MotionError::Line`]; others are named at the method. A future that is dropped leaves
/// the line usable.
#[async_trait(?Send)]
pub trait MotionController {
    /// Bench name of the instrument.
    fn name(&self) -> &str;

    /// Who answered at `connect`.
    fn identity(&self) -> &Identity;

    /// The last exchanges on the line.
    fn tap(&self) -> &Tap;

    /// Identifies the device and sets every channel of `setup` up item by item: channel present, travel holds the
    /// range, servo on, velocity, soft limits where the controller has them; all read back. Nothing moves.
    ///
    /// # Errors
    /// `WrongDevice`, `NoChannel`, `RangeOutsideTravel`, `Coordinates`, `ReadBack`, `Refused`.
    async fn connect(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError>;

    /// The coordinate systems that must be in force when a platform is connected, by name; without this the controller's own
    /// axes alone. Controllers that have no such systems do not mind.
    fn expect_coordinates(&mut self, _names: &[String]) {}

    /// Reads the state of channels, in the order asked.
    async fn states(&mut self, channels: &[&str]) -> Result<Vec<ChannelState>, MotionError>;

    /// Actual positions at one moment, in the order asked; the fastest way the controller has, usable in motion.
    async fn positions(&mut self, channels: &[&str]) -> Result<Vec<f64>, MotionError>;

    /// References one channel and waits until that has ended.
    ///
    /// # Errors
    /// `Refused`, `NotFinished`.
    async fn reference(&mut self, channel: &str) -> Result<(), MotionError>;

    /// Sets velocities (um/s or degrees/s) of channels.
    async fn set_velocity(&mut self, velocities: &[(&str, f64)]) -> Result<(), MotionError>;

    /// Starts a move of several channels to absolute positions in one command and returns once it is accepted.
    /// Never sent twice: when the answer is lost, the commanded targets are read back instead.
    ///
    /// # Errors
    /// `Refused`, `NotReferenced`.
    async fn start_move(&mut self, targets: &[(&str, f64)]) -> Result<(), MotionError>;

    /// Starts a move of several channels by distances relative to their targets.
    async fn start_move_by(&mut self, distances: &[(&str, f64)]) -> Result<(), MotionError>;

    /// Whether all these channels are on target (arrived and settled by the controller's word).
    async fn on_target(&mut self, channels: &[&str]) -> Result<bool, MotionError>;

    /// Waits until all these channels are on target, `limit` at the most.
    ///
    /// # Errors
    /// `NotFinished`; `Refused` with the controller's code when the move was cut short (limit switch, stop).
    async fn wait_on_target(&mut self, channels: &[&str], limit: std::time::Duration) -> Result<(), MotionError>;

    /// Stops all axes at once, without waiting for a pending reply where the protocol allows it, and confirms it.
    async fn stop_all(&mut self) -> Result<(), MotionError>;

    /// Alignment routines that run in the controller; `None` where it has none, and before `connect`.
    fn alignment(&mut self) -> Option<&mut dyn FastAlignment> {
        None
    }

    /// The centre of rotation of a platform; `None` where there is none, and before `connect`.
    fn pivot(&mut self) -> Option<&mut dyn Pivot> {
        None
    }
}

/// A platform that turns about a point of one's choice.
#[async_trait(?Send)]
pub trait Pivot {
    /// The point, um in the platform's frame at zero.
    async fn pivot_um(&mut self) -> Result<[f64; 3], MotionError>;

    /// Sets the point, um, and reads it back. Nothing moves.
    ///
    /// # Errors
    /// `Refused` while the platform is turned or moves, `ReadBack`.
    async fn set_pivot_um(&mut self, pivot_um: [f64; 3]) -> Result<(), MotionError>;
}
