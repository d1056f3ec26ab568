//! The `[simulation]` section of a bench file.
//!
//! Reads nothing else of the file: signs, scales and frames are the bench file's opinion of the stage, not the world's.

use std::collections::BTreeMap;
use std::path::Path;

use units::Power;
use units::text::{self, Faults, Table};

use super::{AxisPlan, LightPlan, MeterPlan, Simulation, UnrestPlan};
use crate::faults::Fault;
use crate::light::source::{Hops, SourceModel};
use crate::mechanics::stage::Motion;
use crate::mechanics::{AxisModel, Extras, Feedback, Piezo, Screw};
use crate::optics::{CouplingMap, Mode};
use crate::part::{Modes, OpticsPlan, PRESETS, PartPlan, Preset, Spread};
use crate::uart::{LineSettings, Parity};

impl Simulation {
    /// The receptacle world with nothing said about it but axes for a single controller.
    pub(crate) fn plain() -> Simulation {
        let names = ["x", "y", "z", "a4", "a5", "a6"];
        Simulation {
            parts: Preset::Receptacle.plan(),
            axes: names.iter().map(|n| ((*n).to_string(), axis(n, None))).collect(),
            out_of_square_rad: 0.0,
            light: light(None),
            unrest: unrest(None),
            meters: BTreeMap::new(),
            ports: BTreeMap::new(),
            faults: Vec::new(),
        }
    }
}

/// Checks the `[simulation]` section of a bench file's text, where there is one. Files that it names are looked for from
/// `folder`.
///
/// # Errors
/// All its faults.
pub fn check(text: &str, folder: &Path) -> Result<(), Faults> {
    text::read(text, |root| {
        root.leave();
        if root.has("simulation") { section(root, folder).map(|_| ()) } else { Some(()) }
    })
}

/// Reads the `[simulation]` section of a bench file's text. Files that it names are looked for from `folder`.
///
/// # Errors
/// All its faults; a missing section is one.
pub fn read(text: &str, folder: &Path) -> Result<Simulation, Faults> {
    text::read(text, |root| {
        root.leave();
        section(root, folder)
    })
}

fn section(root: &Table<'_>, folder: &Path) -> Option<Simulation> {
    let t = root.need_table("simulation")?;
    let preset = t.need_choice("preset", PRESETS);
    let (parts, optics) = (t.table("parts"), t.table("optics"));
    let (light, unrest) = (t.table("light"), t.table("unrest"));
    let axes = axes(&t);
    let out_of_square_rad = t.f64_within("out_of_square_deg", 0.0, 5.0, 0.0).to_radians();
    let map = map(&t, folder);
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
    let light = self::light(light.as_ref());
    let unrest = self::unrest(unrest.as_ref());
    let usual = preset?.plan();
    let parts = PartPlan {
        spread: spread(parts.as_ref(), usual.spread),
        optics: OpticsPlan { map: map?, ..self::optics(optics.as_ref(), usual.optics) },
        turns: ["rx", "ry", "rz"].map(|name| axes.contains_key(name)),
        ..usual
    };
    Some(Simulation { parts, axes, out_of_square_rad, light, unrest, meters, ports, faults })
}

/// The coupling map that the section names; nothing at all where it cannot be used.
fn map(t: &Table<'_>, folder: &Path) -> Option<Option<CouplingMap>> {
    let Some(name) = t.str("map") else { return Some(None) };
    let path = folder.join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) => {
            t.fault("map", format!("{}: {e}", path.display()), "a path from the folder of the bench file");
            return None;
        }
    };
    match CouplingMap::read(&text) {
        Ok(map) => Some(Some(map)),
        Err(faults) => {
            for fault in faults.0 {
                t.fault("map", format!("{}:{fault}", path.display()), "docs/simulator.md has the format");
            }
            None
        }
    }
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

/// An axis with its overrides; without them a closed-loop screw stage along, or about, its own direction.
fn axis(name: &str, t: Option<&Table<'_>>) -> AxisPlan {
    let number =
        |key: &str, low: f64, high: f64, default: f64| t.map_or(default, |t| t.f64_within(key, low, high, default));
    let pair = |key: &str, default: [f64; 2]| t.and_then(|t| t.f64_list::<2>(key)).unwrap_or(default);
    let reversed = |key: &str, [lower, upper]: [f64; 2]| {
        if let Some(t) = t
            && lower >= upper
        {
            t.fault(key, "reversed", "give the lower end first");
        }
        (lower.min(upper), upper.max(lower))
    };
    let reference_um = number("reference_um", -1e6, 1e6, 0.0);
    let turns = matches!(name, "rx" | "ry" | "rz");
    let travel = if turns { [-10_000.0, 10_000.0] } else { [-12_500.0, 12_500.0] };
    AxisPlan {
        model: AxisModel {
            travel_um: reversed("travel_um", pair("travel_um", travel)),
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
        extras: extras(t),
        motion: motion(name, t),
        second: ["x2", "y2", "z2"].iter().any(|of| name.starts_with(of)),
        wobble_rad: number("wobble_urad", 0.0, 10_000.0, 0.0) * 1e-6,
        zero_um: number("zero_um", -1e6, 1e6, 0.0),
        wired: t.and_then(|t| {
            let (controller, channel) = (t.str("controller"), t.str("channel"));
            if t.has("controller") != t.has("channel") {
                t.fault_here(
                    "needs both `controller` and `channel`, or neither",
                    "the bench file's axes are wired already",
                );
            }
            Some((controller?.to_string(), channel?.to_string()))
        }),
        start_um: number("start_um", -1e6, 1e6, reference_um + 1500.0),
    }
}

/// Where an axis leads.
fn motion(name: &str, t: Option<&Table<'_>>) -> Motion {
    let own = |k: usize| std::array::from_fn(|i| if i == k { 1.0 } else { 0.0 });
    let given = |key: &str| t.and_then(|t| t.f64_list::<3>(key));
    let k = match name.get(..2).unwrap_or(name) {
        "rx" => 3,
        "ry" => 4,
        "rz" => 5,
        _ => match name.chars().next() {
            Some('x') => 0,
            Some('y') => 1,
            Some('z') => 2,
            _ => 6,
        },
    };
    match k {
        3..=5 => {
            let turn: [f64; 3] = given("turn").unwrap_or_else(|| own(k - 3));
            // One unit of the axis is a thousandth of a degree.
            let turn = turn.map(|v| v * 1e-3f64.to_radians());
            Motion::Rotary { turn, pivot_um: given("pivot_um").unwrap_or([0.0; 3]) }
        }
        k => Motion::Linear { direction: given("direction").unwrap_or_else(|| own(k)) },
    }
}

fn extras(t: Option<&Table<'_>>) -> Extras {
    let Some(t) = t else { return Extras::default() };
    let screw = t
        .f64_list::<2>("screw_um")
        .map(|[peak_to_peak_um, period_um]| Screw { peak_to_peak_um, period_um: period_um.max(1.0) });
    let piezo = t.f64_list::<2>("piezo").map(|[hysteresis, creep]| Piezo { hysteresis, creep });
    let feedback = t.choice("encoder", &[("motor", Feedback::Motor), ("load", Feedback::Load)]);
    Extras { screw, piezo, feedback: feedback.unwrap_or_default() }
}

fn light(t: Option<&Table<'_>>) -> LightPlan {
    let number =
        |key: &str, low: f64, high: f64, default: f64| t.map_or(default, |t| t.f64_within(key, low, high, default));
    let interlock = t.and_then(|t| t.choice("interlock", &[("closed", false), ("open", true)]));
    let usual = SourceModel::default();
    let steps = t.and_then(|t| t.f64_list::<2>("hop_db"));
    let mean_s = number("hop_s", 0.01, 1e6, 60.0);
    LightPlan {
        feed_loss_db: number("feed_loss_db", 0.0, 60.0, 0.2),
        tap_split: number("tap_split", 0.0, 0.999, 0.05),
        stray: Power::from_dbm(number("stray_dbm", -150.0, 0.0, -75.0)),
        ambient: Power::from_dbm(number("ambient_dbm", -150.0, 0.0, -72.0)),
        source: SourceModel {
            rise_s: number("rise_s", 0.0, 100.0, usual.rise_s),
            warm_up_db: number("warm_up_db", 0.0, 10.0, 0.05),
            warm_up_s: number("warm_up_s", 0.1, 1e5, usual.warm_up_s),
            droop_db_h: number("droop_db_h", 0.0, 100.0, usual.droop_db_h),
            droop_h: number("droop_h", 0.0, 1e4, usual.droop_h),
            wander_db: number("wander_db", 0.0, 1.0, 0.003),
            rin_db_hz: number("rin_db_hz", -200.0, -80.0, usual.rin_db_hz),
            hops: steps.map(|[least, most]| Hops { step_db: (least, most), mean_s }),
            feedback_db: number("feedback_db", 0.0, 3.0, usual.feedback_db),
            pdl_db: number("pdl_db", 0.0, 3.0, 0.02),
            polarisation_um: number("polarisation_um", 1.0, 1e6, usual.polarisation_um),
            ageing_db_day: number("ageing_db_day", 0.0, 10.0, usual.ageing_db_day),
        },
        settle_s: number("settle_s", 0.0, 100.0, 0.4),
        interlock_open: interlock.unwrap_or(false),
    }
}

fn unrest(t: Option<&Table<'_>>) -> UnrestPlan {
    let number =
        |key: &str, low: f64, high: f64, default: f64| t.map_or(default, |t| t.f64_within(key, low, high, default));
    let [low, high] = t.and_then(|t| t.f64_list::<2>("band_hz")).unwrap_or([10.0, 100.0]);
    UnrestPlan {
        drift_um_h: number("drift_um_h", 0.0, 1000.0, 1.0),
        start_um: number("start_um", 0.0, 100.0, 0.0),
        cycle_um: number("cycle_um", 0.0, 100.0, 0.1),
        heated_um: number("heated_um", 0.0, 100.0, 0.5),
        vibration_um: number("vibration_um", 0.0, 10.0, 0.005),
        band_hz: (low.max(0.1), high.max(low.max(0.1))),
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

fn spread(t: Option<&Table<'_>>, usual: Spread) -> Spread {
    let Some(t) = t else { return usual };
    let loss = t.f64_list::<2>("lens_loss_db").unwrap_or([usual.lens_loss_db.0, usual.lens_loss_db.1]);
    let contact = t.f64_list::<2>("contact_um").unwrap_or([usual.contact_um.0, usual.contact_um.1]);
    Spread {
        focus_xy_um: t.f64_within("focus_xy_um", 0.0, 1e4, usual.focus_xy_um),
        focus_z_um: t.f64_within("focus_z_um", 0.0, 1e4, usual.focus_z_um),
        mode_rel: t.f64_within("mode_rel", 0.0, 0.5, usual.mode_rel),
        apart_um: t.f64_within("apart_um", 0.0, 1000.0, usual.apart_um),
        tilt_deg: t.f64_within("tilt_deg", 0.0, 10.0, usual.tilt_deg),
        roll_deg: t.f64_within("roll_deg", 0.0, 10.0, usual.roll_deg),
        lens_loss_db: (loss[0], loss[1]),
        contact_um: (contact[0], contact[1]),
        pitch_error_um: t.f64_within("pitch_error_um", 0.0, 10.0, usual.pitch_error_um),
        core_error_um: t.f64_within("core_error_um", 0.0, 10.0, usual.core_error_um),
        bow_um: t.f64_within("bow_um", 0.0, 100.0, usual.bow_um),
        port_loss_db: t.f64_within("port_loss_db", 0.0, 60.0, usual.port_loss_db),
        lever_um: t.f64_within("lever_um", -1e5, 1e5, usual.lever_um),
        defect_share: t.f64_within("defect_share", 0.0, 1.0, usual.defect_share),
        lot_size: u64::try_from(t.i64_within("lot_size", 1, 1_000_000, 25)).unwrap_or(25),
    }
}

const MODES: &[(&str, Modes)] = &[
    ("gaussian", Modes::Gaussian),
    ("step-index", Modes::StepIndex),
    ("rotated", Modes::Rotated),
    ("skewed", Modes::Skewed),
    ("lobed", Modes::Lobed),
];

fn optics(t: Option<&Table<'_>>, usual: OpticsPlan) -> OpticsPlan {
    let Some(t) = t else { return usual };
    let [x_um, y_um] = t.f64_list::<2>("fixed_um").unwrap_or([usual.fixed_um.x_um, usual.fixed_um.y_um]);
    if x_um <= 0.0 || y_um <= 0.0 {
        t.fault("fixed_um", "mode radii are above 0", "radii of 1/e^2 of the intensity along x and y, um");
    }
    let whole = |key: &str, most: i64, default: u32| {
        u32::try_from(t.i64_within(key, 0, most, i64::from(default))).unwrap_or(default)
    };
    let [r1, r2] = t.f64_list::<2>("reflectance").unwrap_or(usual.reflectance);
    OpticsPlan {
        fixed_um: Mode { x_um: x_um.max(0.1), y_um: y_um.max(0.1) },
        fibre_um: t.f64_within("fibre_um", 0.3, 100.0, usual.fibre_um),
        index: t.f64_within("index", 1.0, 4.0, usual.index),
        reflectance: [r1.clamp(0.0, 0.99), r2.clamp(0.0, 0.99)],
        round_trips: whole("round_trips", 20, usual.round_trips),
        gap_um: t.f64_within("gap_um", 0.0, 1000.0, usual.gap_um),
        lensed_um: t.f64("lensed_um").or(usual.lensed_um),
        neighbours_db: t.f64("neighbours_db").or(usual.neighbours_db),
        halo_db: t.f64("halo_db").or(usual.halo_db),
        modes: t.choice("modes", MODES).unwrap_or(usual.modes),
        turn_deg: t.f64_within("turn_deg", -90.0, 90.0, usual.turn_deg),
        lobe_db: t.f64_within("lobe_db", 3.0, 40.0, usual.lobe_db),
        channels: whole("channels", 64, usual.channels).max(1),
        pitch_um: t.f64_within("pitch_um", 10.0, 10_000.0, usual.pitch_um),
        loops: whole("loops", 32, usual.loops).max(1),
        aperture_um: t.f64_within("aperture_um", 1.0, 1000.0, usual.aperture_um),
        square: t.bool("square").unwrap_or(usual.square),
        core_um: t.f64("core_um").or(usual.core_um),
        speckle_db: t.f64_within("speckle_db", 0.0, 3.0, usual.speckle_db),
        wavelength_um: t.f64_within("wavelength_um", 0.4, 2.0, usual.wavelength_um),
        map: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn a_preset_alone_is_a_whole_world_and_the_rest_of_the_file_is_left_alone() {
        for (name, preset) in PRESETS {
            let text = format!("anything = 3\n[axes.q]\nsign = 7\n[simulation]\npreset = \"{name}\"\n");
            let got = read(&text, here()).unwrap();
            assert_eq!(got.axes.len(), 3);
            assert_eq!(got.parts, preset.plan());
        }
    }

    #[test]
    fn faults_of_the_section_are_told_with_their_places() {
        let text = "[simulation]\npreset = \"q\"\n[simulation.axes.x]\ntravel_um = [3, 2]\nplay = 1\n";
        let faults = check(text, here()).unwrap_err();
        let all: String = faults.0.iter().map(|f| format!("{f}\n")).collect();
        for expect in [
            "2:10: simulation.preset: \"q\" is not known",
            "4:13: simulation.axes.x.travel_um: reversed",
            "did you mean `play_um`?",
        ] {
            assert!(all.contains(expect), "{all}");
        }
        assert!(check("[station]\n", here()).is_ok());
        assert!(read("[station]\n", here()).is_err());
    }

    #[test]
    fn a_map_is_read_from_the_bench_files_folder_and_its_faults_name_file_and_line() {
        let section = |name: &str| format!("[simulation]\npreset = \"receptacle\"\nmap = \"{name}\"\n");
        let told = |name: &str| read(&section(name), here()).unwrap_err().0[0].to_string();
        assert!(told("none.csv").contains("none.csv: No such file"), "{}", told("none.csv"));
        assert!(told("Cargo.toml").contains("Cargo.toml:1"), "{}", told("Cargo.toml"));
    }
}
