//! What a simulated world is described by, and the wiring of instruments in the simulator's own types.

mod section;

use std::collections::BTreeMap;
use std::path::PathBuf;

use units::Power;

use crate::faults::Fault;
use crate::light::source::SourceModel;
use crate::mechanics::stage::Motion;
use crate::mechanics::{AxisModel, Extras};
use crate::part::PartPlan;
use crate::uart::LineSettings;

pub use section::{check, read};

/// Where a port is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A serial device: served as a pseudo-terminal linked at this path.
    Serial {
        /// Path of the link.
        path: PathBuf,
        /// Line settings of the bench file.
        settings: LineSettings,
    },
    /// TCP.
    Tcp {
        /// `host:port`.
        address: String,
    },
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortWiring {
    /// Bench name.
    pub name: String,
    /// Where it is.
    pub link: Link,
}

/// What an instrument is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Moves axes: bench name of the axis and the controller's name of the channel.
    Motion {
        /// Axis name, channel name.
        axes: Vec<(String, String)>,
    },
    /// Measures light.
    Meter {
        /// What each of its channels sees; others are dark.
        channels: Vec<MeterChannel>,
    },
    /// The light source.
    Source,
    /// An optical switch that puts one lane of the part on a meter's channel.
    Switch {
        /// Bench name of the meter.
        meter: String,
        /// Its channel, from 1.
        number: u32,
        /// The switch's port that the meter is on.
        at: SwitchPort,
        /// Ports of the other side with the lanes of the part, from 1, whose fibres are on them.
        lanes: Vec<(u32, u32)>,
    },
}

/// A port of an optical switch, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchPort {
    /// An input.
    Input(u32),
    /// An output.
    Output(u32),
}

/// One channel of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterChannel {
    /// Number, from 1.
    pub number: u32,
    /// What it sees: `signal` or `tap`.
    pub role: String,
    /// Which lane of the part a signal is, from 1.
    pub lane: u32,
}

/// One instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstrumentWiring {
    /// Bench name.
    pub name: String,
    /// Kind of device: see [`crate::device_kinds`].
    pub kind: String,
    /// Bench name of its port.
    pub port: String,
    /// Model, where the bench file names one.
    pub model: Option<String>,
    /// What it is connected to.
    pub role: Role,
}

/// What is connected to what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wiring {
    /// Ports.
    pub ports: Vec<PortWiring>,
    /// Instruments.
    pub instruments: Vec<InstrumentWiring>,
}

/// A stage axis in the world. Positions are um on the controller's own scale; of an axis that turns, thousandths of a degree.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisPlan {
    /// What it is made of.
    pub model: AxisModel,
    /// What it has besides.
    pub extras: Extras,
    /// What it does to the part it carries.
    pub motion: Motion,
    /// Whether it carries the fibre at the other end of a unit that light passes through.
    pub second: bool,
    /// Amplitude of its pitch, yaw and roll along its travel, rad.
    pub wobble_rad: f64,
    /// Controller position at which the axis adds nothing to the optical position.
    pub zero_um: f64,
    /// The controller and its channel that moves it, where the bench file has no axis of its name (the fine axis of a
    /// stack).
    pub wired: Option<(String, String)>,
    /// Controller position at power-on, um.
    pub start_um: f64,
}

/// The light of the bench.
#[derive(Debug, Clone, PartialEq)]
pub struct LightPlan {
    /// Loss from the laser to the tap, dB.
    pub feed_loss_db: f64,
    /// Share of the light that goes to the tap.
    pub tap_split: f64,
    /// Light that reaches the signal meter past the fibre while the source is on.
    pub stray: Power,
    /// Room light on the signal meter.
    pub ambient: Power,
    /// What the laser is like.
    pub source: SourceModel,
    /// Until when the laser calls itself unsettled after it is switched on, seconds.
    pub settle_s: f64,
    /// Interlock open from the start.
    pub interlock_open: bool,
}

/// What moves without being told to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnrestPlan {
    /// Steady thermal drift, um/h.
    pub drift_um_h: f64,
    /// Drift still to come after a warm start, um.
    pub start_um: f64,
    /// Drift with the air conditioning, um peak to peak.
    pub cycle_um: f64,
    /// Drift under a lamp, um.
    pub heated_um: f64,
    /// Vibration in each axis, um rms, and its band, Hz.
    pub vibration_um: f64,
    /// Band of the vibration, Hz.
    pub band_hz: (f64, f64),
}

/// A power meter's detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeterPlan {
    /// Additive noise of a 1 ms reading in the lowest range, W.
    pub floor_w: f64,
    /// Bits of its converter over a range.
    pub adc_bits: i32,
    /// Time constant of its front end, seconds.
    pub front_end_s: f64,
    /// From the light to the reading, seconds.
    pub latency_s: f64,
    /// Time without a reading after a range was switched, seconds.
    pub dead_s: f64,
    /// Relative noise of a reading, dB.
    pub relative_db: f64,
    /// Dark offset before zeroing, W.
    pub offset_w: f64,
}

impl Default for MeterPlan {
    fn default() -> Self {
        MeterPlan {
            floor_w: 1e-11,
            adc_bits: 26,
            front_end_s: 1e-4,
            latency_s: 1e-3,
            dead_s: 0.01,
            relative_db: 0.003,
            offset_w: 3e-11,
        }
    }
}

/// A simulated world's description.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// Parts; their preset is the kind of world.
    pub parts: PartPlan,
    /// Stage axes by bench name.
    pub axes: BTreeMap<String, AxisPlan>,
    /// Angle by which each axis is out of square, rad.
    pub out_of_square_rad: f64,
    /// Light.
    pub light: LightPlan,
    /// What moves without being told to.
    pub unrest: UnrestPlan,
    /// Meters by bench name; others are of the default kind.
    pub meters: BTreeMap<String, MeterPlan>,
    /// Line settings of devices whose own differ from the bench file's, by port.
    pub ports: BTreeMap<String, LineSettings>,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}
