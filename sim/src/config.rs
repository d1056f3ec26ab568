//! The `[simulation]` section of a bench file, and the wiring of instruments in the simulator's own types.
//!
//! Reads nothing else of the file: signs, scales and frames are the bench file's opinion of the stage, not the world's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use units::Power;
use units::text::{self, Faults, Table};

use crate::faults::Fault;
use crate::mechanics::AxisModel;
use crate::part::Spread;
use crate::uart::{LineSettings, Parity};

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
    /// An optical switch that puts one lane of the part on a meter's signal channels.
    Switch {
        /// Bench name of the meter.
        meter: String,
    },
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

/// A kind of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A single-mode fibre receptacle in front of an optical sub-assembly that focuses its light.
    Receptacle,
}

const PRESETS: &[(&str, Preset)] = &[("receptacle", Preset::Receptacle)];

impl Preset {
    /// How far its parts spread.
    pub fn spread(self) -> Spread {
        match self {
            Preset::Receptacle => Spread {
                focus_xy_um: 40.0,
                focus_z_um: 60.0,
                mode_rel: 0.03,
                tilt_deg: 0.3,
                lens_loss_db: (0.3, 0.8),
                contact_um: (-250.0, 15.0),
                defect_share: 0.15,
            },
        }
    }

    /// Mode radius of its fibre, um: standard single-mode fibre at 1310 nm.
    pub fn mode_um(self) -> f64 {
        4.6
    }
}

/// A stage axis in the world.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisPlan {
    /// What it is made of.
    pub model: AxisModel,
    /// Optical displacement of one um of controller travel.
    pub direction: [f64; 3],
    /// Controller position at which the axis adds nothing to the optical position, um.
    pub zero_um: f64,
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
    /// Time constant with which the laser comes up, seconds.
    pub rise_s: f64,
    /// Until when the laser calls itself unsettled after it is switched on, seconds.
    pub settle_s: f64,
    /// Slow wander of the laser, dB.
    pub wander_db: f64,
    /// Relative intensity noise, dB/Hz.
    pub rin_db_hz: f64,
    /// Interlock open from the start.
    pub interlock_open: bool,
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
    /// Kind of world.
    pub preset: Preset,
    /// Stage axes by bench name.
    pub axes: BTreeMap<String, AxisPlan>,
    /// Light.
    pub light: LightPlan,
    /// Meters by bench name; others are of the default kind.
    pub meters: BTreeMap<String, MeterPlan>,
    /// Line settings of devices whose own differ from the bench file's, by port.
    pub ports: BTreeMap<String, LineSettings>,
    /// Parts.
    pub parts: Spread,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

impl Simulation {
    /// The receptacle world with nothing said about it but axes for a single controller.
    pub(crate) fn plain() -> Simulation {
        let names = ["x", "y", "z", "a4", "a5", "a6"];
        Simulation {
            preset: Preset::Receptacle,
            axes: names.iter().map(|n| ((*n).to_string(), axis(n, None))).collect(),
            light: light(None),
            meters: BTreeMap::new(),
            ports: BTreeMap::new(),
            parts: Preset::Receptacle.spread(),
            faults: Vec::new(),
        }
    }
}

/// Checks the `[simulation]` section of a bench file's text, where there is one.
///
/// # Errors
/// All its faults.
pub fn check(text: &str) -> Result<(), Faults> {
    text::read(text, |root| {
        root.leave();
        if root.has("simulation") { section(root).map(|_| ()) } else { Some(()) }
    })
}

/// Reads the `[simulation]` section of a bench file's text.
///
/// # Errors
/// All its faults; a missing section is one.
pub fn read(text: &str) -> Result<Simulation, Faults> {
    text::read(text, |root| {
        root.leave();
        section(root)
    })
}

fn section(root: &Table<'_>) -> Option<Simulation> {
    let t = root.need_table("simulation")?;
    let preset = t.need_choice("preset", PRESETS);
    let parts = t.table("parts");
    let light = t.table("light");
    let axes = axes(&t);
    let mut meters = BTreeMap::new();
    for (name, m) in t.named_tables("meters") {
        meters.insert(name.to_string(), meter(&m));
    }
    let mut ports = BTreeMap::new();
    for (name, p) in t.named_tables("ports") {
        ports.insert(name.to_string(), line(&p));
    }
    let mut faults = Vec::new();
    for word in t.str_list("faults").unwrap_or_default() {
        match Fault::parse(word) {
            Ok(fault) => faults.push(fault),
            Err(e) => t.fault("faults", format!("\"{word}\": {e}"), "`firstlight sim faults` lists them"),
        }
    }
    let preset = preset?;
    let parts = spread(parts.as_ref(), preset.spread());
    let light = self::light(light.as_ref());
    Some(Simulation { preset, axes, light, meters, ports, parts, faults })
}

fn axes(t: &Table<'_>) -> BTreeMap<String, AxisPlan> {
    let mut axes = BTreeMap::new();
    for (name, a) in t.named_tables("axes") {
        axes.insert(name.to_string(), axis(name, Some(&a)));
    }
    for name in ["x", "y", "z"] {
        axes.entry(name.to_string()).or_insert_with(|| axis(name, None));
    }
    axes
}

/// An axis with its overrides; without them a closed-loop screw stage along its own direction.
fn axis(name: &str, t: Option<&Table<'_>>) -> AxisPlan {
    let number =
        |key: &str, low: f64, high: f64, default: f64| t.map_or(default, |t| t.f64_within(key, low, high, default));
    let pair = |key: &str, default: [f64; 2]| t.and_then(|t| t.f64_list::<2>(key)).unwrap_or(default);
    let along = match name {
        "x" => [1.0, 0.0, 0.0],
        "y" => [0.0, 1.0, 0.0],
        "z" => [0.0, 0.0, 1.0],
        _ => [0.0; 3],
    };
    let direction = t.and_then(|t| t.f64_list::<3>("direction")).unwrap_or(along);
    let [lower, upper] = pair("travel_um", [-12_500.0, 12_500.0]);
    if let Some(t) = t
        && lower >= upper
    {
        t.fault("travel_um", "reversed", "give the lower end first");
    }
    let reference_um = number("reference_um", -1e6, 1e6, 0.0);
    AxisPlan {
        model: AxisModel {
            travel_um: (lower.min(upper), upper.max(lower)),
            reference_um,
            acceleration_um_s2: number("acceleration_um_s2", 1.0, 1e9, 50_000.0),
            velocity_max_um_s: number("velocity_max_um_s", 1.0, 1e7, 20_000.0),
            play_um: number("play_um", 0.0, 100.0, 0.2),
            repeatability_um: number("repeatability_um", 0.0, 10.0, 0.02),
            encoder_um: number("encoder_um", 1e-6, 10.0, 0.005),
            settle_hz: number("settle_hz", 1.0, 10_000.0, 120.0),
            settle_damping: number("settle_damping", 0.01, 2.0, 0.25),
            ring_um: number("ring_um", 0.0, 10.0, 0.2),
        },
        direction,
        zero_um: number("zero_um", -1e6, 1e6, 0.0),
        start_um: number("start_um", -1e6, 1e6, reference_um + 1500.0),
    }
}

fn light(t: Option<&Table<'_>>) -> LightPlan {
    let number =
        |key: &str, low: f64, high: f64, default: f64| t.map_or(default, |t| t.f64_within(key, low, high, default));
    let interlock = t.and_then(|t| t.choice("interlock", &[("closed", false), ("open", true)]));
    LightPlan {
        feed_loss_db: number("feed_loss_db", 0.0, 60.0, 0.2),
        tap_split: number("tap_split", 0.0, 0.999, 0.05),
        stray: Power::from_dbm(number("stray_dbm", -150.0, 0.0, -75.0)),
        ambient: Power::from_dbm(number("ambient_dbm", -150.0, 0.0, -72.0)),
        rise_s: number("rise_s", 0.0, 100.0, 0.08),
        settle_s: number("settle_s", 0.0, 100.0, 0.4),
        wander_db: number("wander_db", 0.0, 1.0, 0.003),
        rin_db_hz: number("rin_db_hz", -200.0, -80.0, -145.0),
        interlock_open: interlock.unwrap_or(false),
    }
}

fn meter(t: &Table<'_>) -> MeterPlan {
    let default = MeterPlan::default();
    MeterPlan {
        floor_w: t.f64_within("floor_w", 0.0, 1.0, default.floor_w),
        adc_bits: i32::try_from(t.i64_within("adc_bits", 8, 40, i64::from(default.adc_bits)))
            .unwrap_or(default.adc_bits),
        front_end_s: t.f64_within("front_end_ms", 0.0, 1000.0, default.front_end_s * 1e3) / 1e3,
        latency_s: t.f64_within("latency_ms", 0.0, 1000.0, default.latency_s * 1e3) / 1e3,
        dead_s: t.f64_within("range_dead_ms", 0.0, 1000.0, default.dead_s * 1e3) / 1e3,
        relative_db: t.f64_within("relative_db", 0.0, 10.0, default.relative_db),
        offset_w: t.f64_within("offset_w", -1.0, 1.0, default.offset_w),
    }
}

fn line(t: &Table<'_>) -> LineSettings {
    let baud = u32::try_from(t.i64_within("baud", 300, 4_000_000, 115_200)).unwrap_or(115_200);
    let parity = t.choice("parity", &[("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)]);
    LineSettings { baud, parity: parity.unwrap_or_default() }
}

fn spread(t: Option<&Table<'_>>, default: Spread) -> Spread {
    let Some(t) = t else { return default };
    let loss = t.f64_list::<2>("lens_loss_db").unwrap_or([default.lens_loss_db.0, default.lens_loss_db.1]);
    let contact = t.f64_list::<2>("contact_um").unwrap_or([default.contact_um.0, default.contact_um.1]);
    Spread {
        focus_xy_um: t.f64_within("focus_xy_um", 0.0, 1e4, default.focus_xy_um),
        focus_z_um: t.f64_within("focus_z_um", 0.0, 1e4, default.focus_z_um),
        mode_rel: t.f64_within("mode_rel", 0.0, 0.5, default.mode_rel),
        tilt_deg: t.f64_within("tilt_deg", 0.0, 10.0, default.tilt_deg),
        lens_loss_db: (loss[0], loss[1]),
        contact_um: (contact[0], contact[1]),
        defect_share: t.f64_within("defect_share", 0.0, 1.0, default.defect_share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_alone_is_a_whole_world_and_the_rest_of_the_file_is_left_alone() {
        let got = read("anything = 3\n[axes.q]\nsign = 7\n[simulation]\npreset = \"receptacle\"\n").unwrap();
        assert_eq!(got.axes.len(), 3);
        assert_eq!(got.parts, Preset::Receptacle.spread());
    }

    #[test]
    fn faults_of_the_section_are_told_with_their_places() {
        let faults =
            check("[simulation]\npreset = \"q\"\n[simulation.axes.x]\ntravel_um = [3, 2]\nplay = 1\n").unwrap_err();
        let all: String = faults.0.iter().map(|f| format!("{f}\n")).collect();
        for expect in [
            "2:10: simulation.preset: \"q\" is not known",
            "4:13: simulation.axes.x.travel_um: reversed",
            "did you mean `play_um`?",
        ] {
            assert!(all.contains(expect), "{all}");
        }
        assert!(check("[station]\n").is_ok());
        assert!(read("[station]\n").is_err());
    }
}
