//! The bench file: which instruments a station has, how its stage axes lie in the optical frame, and what is safe.
//!
//! Text in, [`BenchConfig`] or all its faults out. Opens nothing. Leaves `[simulation]` to whoever simulates.

mod parse;

use std::collections::BTreeMap;

use drivers::identity::Expected;
use drivers::meter::Range;
use drivers::motion::ChannelUnit;
use drivers::transport::Address;
use jiff::Timestamp;
use recipes::Axis;
use units::Power;

/// One instrument of the bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// Bench name.
    pub name: String,
    /// Driver word, known to the registry of drivers.
    pub driver: String,
    /// Name of its port.
    pub port: String,
    /// What its identity must be.
    pub expected: Expected,
}

/// A motion controller of the bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Controller {
    /// The instrument.
    pub instrument: Instrument,
    /// Coordinate systems that must be in force on it, where the bench file names any.
    pub coordinates: Option<Vec<String>>,
    /// Where a platform's rotations shall meet, um in its frame at zero, where the bench file says.
    pub pivot_um: Option<[f64; 3]>,
    /// Its analog input, from 1, that sees the light of the first signal channel, where one does.
    pub analog_input: Option<u32>,
}

/// One stage axis. Logical position 0 is at `zero` on the controller;
/// controller position = `zero` + `sign` * `scale` * logical position.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisConfig {
    /// Logical name of the stage axis.
    pub axis: Axis,
    /// Name of its controller.
    pub controller: String,
    /// The controller's name of the channel.
    pub channel: String,
    /// The controller's unit.
    pub unit: ChannelUnit,
    /// +1 or -1.
    pub sign: f64,
    /// Controller um (degrees) per logical um (degree).
    pub scale: f64,
    /// Controller position of logical 0, um or degrees.
    pub zero: f64,
    /// Lowest and highest logical position, um or degrees.
    pub range: (f64, f64),
    /// Velocity of free moves, um/s or degrees/s.
    pub velocity: f64,
    /// Acceleration, um/s^2 or degrees/s^2, for predictions.
    pub acceleration: f64,
    /// Settling after a move, seconds, on top of the controller's own word.
    pub settle_s: f64,
    /// Play (lost motion), um or degrees, full width.
    pub play: f64,
    /// Repeatability, one standard deviation, um or degrees.
    pub repeatability: f64,
}

impl AxisConfig {
    /// Controller position of a logical position.
    pub fn to_controller(&self, logical: f64) -> f64 {
        self.zero + self.sign * self.scale * logical
    }

    /// Logical position of a controller position.
    pub fn to_logical(&self, controller: f64) -> f64 {
        (controller - self.zero) / (self.sign * self.scale)
    }

    /// The logical range in controller coordinates, lower end first.
    pub fn controller_range(&self) -> (f64, f64) {
        let (a, b) = (self.to_controller(self.range.0), self.to_controller(self.range.1));
        (a.min(b), a.max(b))
    }
}

/// How the stage axes before one end of a part become optical axes, and which way is safe.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Stage axis along the light; one of the second end's where the frame is of that end.
    pub optical_axis: Axis,
    /// Turn of the stage's lateral axes against optical x and y, about the optical axis, degrees.
    pub rotation_deg: f64,
    /// Sense of the optical axis that leads to contact: +1 or -1.
    pub contact: f64,
    /// Distance from the contact end of the optical axis' range at which nothing can touch, um.
    pub retreat_um: f64,
    /// Nearer to contact than clearance, x and y stay within this of 0, um.
    pub near_lateral_um: f64,
    /// Nearer to contact than clearance, no axis is faster than this, um/s.
    pub near_velocity_um_s: f64,
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// The light coupled into the part.
    Signal,
    /// A known share of the source's light, split off before the unit.
    Tap {
        /// Power at the tap over power launched towards the unit.
        ratio: f64,
    },
}

/// A light channel of the bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Bench name.
    pub name: String,
    /// Name of its meter.
    pub meter: String,
    /// Channel of the meter, from 1.
    pub number: u32,
    /// Port of the switch that its fibre is on, where it is behind one: such channels are read in turn.
    pub switch_port: Option<u32>,
    /// Role.
    pub role: Role,
    /// Which lane of the part a signal is, from 1.
    pub lane: u32,
    /// Noise of a dark reading, one standard deviation.
    pub floor: Power,
    /// Expanded uncertainty (k = 2) of its power, dB: calibration of the meter, its connector, of a tap also the split.
    pub uncertainty_db: f64,
    /// Highest dark level of a healthy bench (room light, offset).
    pub dark_max: Power,
}

/// A power meter of the bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// The instrument.
    pub instrument: Instrument,
    /// Readings averaged in the instrument.
    pub averaging: u32,
    /// Range.
    pub range: Range,
    /// For so long after the light changed a reading may still show the light before, seconds.
    pub lag_s: f64,
}

/// Which side of an optical switch something is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchSide {
    /// An input.
    Input,
    /// An output.
    Output,
}

/// The optical switch of the bench: it leads the fibres of several channels to one channel of a meter, in turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// The instrument.
    pub instrument: Instrument,
    /// The side that the meter is on; the fibres are on the other one. Light goes both ways.
    pub meter_side: SwitchSide,
    /// The port that the meter is on, from 1.
    pub meter_port: u32,
    /// From the switch's own word that it has switched until a reading is good, seconds.
    pub settle_s: f64,
}

impl Switch {
    /// Input and output that lead a fibre's port to the meter.
    pub fn path(&self, port: u32) -> (u32, u32) {
        match self.meter_side {
            SwitchSide::Input => (self.meter_port, port),
            SwitchSide::Output => (port, self.meter_port),
        }
    }
}

/// A controller that follows the light by itself with two piezos on top of the stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracker {
    /// The instrument.
    pub instrument: Instrument,
    /// The stage axes that its horizontal and its vertical piezo lie along, across the light, and the sense of each: +1 or -1.
    pub axes: [(Axis, f64); 2],
    /// Travel of both piezos, um.
    pub travel_um: f64,
    /// Circles a second, Hz.
    pub frequency_hz: f64,
    /// Gain of its loop against the maker's usual.
    pub gain: f64,
    /// Lag of both piezos at this frequency, degrees.
    pub lag_deg: [f64; 2],
    /// Photocurrent that is light, A: with less it does not follow.
    pub threshold_a: f64,
}

impl Tracker {
    /// Displacement of both stage axes by piezos at a place of their travel, um.
    pub fn displacement(&self, centre_um: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|side| self.axes[side].1 * (centre_um[side] - self.travel_um / 2.0))
    }
}

/// The light source of the bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The instrument.
    pub instrument: Instrument,
    /// Output level.
    pub level: Power,
    /// Loss from the source to the point of launch, dB: how much of the level a healthy tap shows.
    pub path_loss_db: f64,
}

/// The bench's dated reference measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Launched power measured.
    pub power: Power,
    /// When.
    pub measured_at: Timestamp,
    /// Expanded uncertainty (k = 2) of a loss against it, dB: mating of the patch cord, drift of the source since.
    pub uncertainty_db: f64,
}

/// A bench file that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchConfig {
    /// Station name.
    pub station: String,
    /// Class of its fixture.
    pub fixture: String,
    /// Ports by name.
    pub ports: BTreeMap<String, Address>,
    /// Motion controllers by name.
    pub controllers: BTreeMap<String, Controller>,
    /// Stage axes in the order of [`Axis`].
    pub axes: Vec<AxisConfig>,
    /// The frame of the stage, before the first end of a part.
    pub frame: Frame,
    /// The frame of a second stage, before the other end of a part that light passes through.
    pub second: Option<Frame>,
    /// Park pose of the stage axes.
    pub park: Vec<(Axis, f64)>,
    /// Order of the moves to the park pose (stage axes).
    pub park_order: Vec<Axis>,
    /// Order of referencing (stage axes), of each stage the optical axis first.
    pub referencing: Vec<Axis>,
    /// Meters by name.
    pub meters: BTreeMap<String, Meter>,
    /// The optical switch, if the bench has one.
    pub switch: Option<Switch>,
    /// The controller that follows the light, if the bench has one.
    pub tracker: Option<Tracker>,
    /// Channels in the order of the file.
    pub channels: Vec<Channel>,
    /// The source.
    pub source: Source,
    /// The reference measurement, if one was made.
    pub reference: Option<Reference>,
    /// Age at which a reference measurement is too old, seconds.
    pub reference_max_age_s: f64,
    /// Whether the file describes a simulated world.
    pub has_simulation: bool,
}

impl BenchConfig {
    /// The configuration of a stage axis.
    pub fn axis(&self, axis: Axis) -> Option<&AxisConfig> {
        self.axes.iter().find(|a| a.axis == axis)
    }

    /// The frames of all stages.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        std::iter::once(&self.frame).chain(&self.second)
    }

    /// The frame of the stage that an axis is of.
    pub fn frame_of(&self, axis: Axis) -> &Frame {
        self.second.as_ref().filter(|_| axis.is_second()).unwrap_or(&self.frame)
    }

    /// The stage axis of a frame along the light; its presence is checked when the file is read.
    pub fn optical(&self, frame: &Frame) -> &AxisConfig {
        self.axis(frame.optical_axis).expect("parse refuses a frame whose optical axis is missing")
    }

    /// The first signal channel; its presence is checked when the file is read.
    pub fn signal(&self) -> &Channel {
        self.channels.iter().find(|c| c.role == Role::Signal).expect("parse refuses a bench without a signal channel")
    }

    /// The tap channel and its ratio, if the bench has one.
    pub fn tap(&self) -> Option<(&Channel, f64)> {
        self.channels.iter().find_map(|c| match c.role {
            Role::Tap { ratio } => Some((c, ratio)),
            Role::Signal => None,
        })
    }

    /// Position of a frame's optical axis at and beyond which, away from contact, nothing can touch, um.
    pub fn clearance_um(&self, frame: &Frame) -> f64 {
        let (lower, upper) = self.optical(frame).range;
        let contact_end = if frame.contact < 0.0 { lower } else { upper };
        contact_end - frame.contact * frame.retreat_um
    }

    /// Whether a position of a frame's optical axis is nearer to contact than clearance, by more than `slack_um`.
    pub fn is_near(&self, frame: &Frame, optical_um: f64, slack_um: f64) -> bool {
        (optical_um - self.clearance_um(frame)) * frame.contact > slack_um
    }
}
