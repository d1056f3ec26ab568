//! The table of the controller that follows the light.

use drivers::registry;
use recipes::Axis;
use units::text::Table;

use super::Owners;
use crate::config::{Frame, Tracker};

/// Stage axes with the sense of a piezo along them.
const ALONG: &[(&str, (Axis, f64))] = &[
    ("x", (Axis::X, 1.0)),
    ("-x", (Axis::X, -1.0)),
    ("y", (Axis::Y, 1.0)),
    ("-y", (Axis::Y, -1.0)),
    ("z", (Axis::Z, 1.0)),
    ("-z", (Axis::Z, -1.0)),
];

/// Circles a second that a NanoTrak makes: its range, and as delivered.
const CIRCLES_HZ: (f64, f64, f64) = (17.5, 175.0, 43.75);
/// Phase compensation as the maker's dialogue sets it at that frequency, degrees.
const LAG_DEG: f64 = 9.0;
/// Threshold as delivered, nA.
const THRESHOLD_NA: f64 = 100.0;

pub(super) fn tracker(root: &Table<'_>, owners: &mut Owners<'_>, frame: Option<&Frame>) -> Option<Tracker> {
    let t = root.table("tracker")?;
    let name = t.str("name").unwrap_or("tracker").to_string();
    let instrument = owners.instrument(&name, &t, registry::TRACKERS);
    let [horizontal, vertical] = ["horizontal", "vertical"].map(|key| across(&t, key, frame));
    if let (Some((a, _)), Some((b, _))) = (horizontal, vertical)
        && a == b
    {
        t.fault("vertical", format!("along {b} as the other piezo"), "each piezo has a stage axis of its own");
    }
    let travel_um = t.need_f64_within("travel_um", 1.0, 1000.0);
    let (slowest, fastest, usual) = CIRCLES_HZ;
    let frequency_hz = t.f64_within("frequency_hz", slowest, fastest, usual);
    let gain = t.f64_within("gain", 0.05, 10.0, 1.0);
    let lag_deg = t.f64_list("lag_deg").unwrap_or([LAG_DEG; 2]);
    let threshold_a = t.f64_within("threshold_na", 0.1, 1e6, THRESHOLD_NA) * 1e-9;
    let axes = [horizontal?, vertical?];
    Some(Tracker { instrument: instrument?, axes, travel_um: travel_um?, frequency_hz, gain, lag_deg, threshold_a })
}

/// The stage axis that a piezo lies along.
fn across(t: &Table<'_>, key: &str, frame: Option<&Frame>) -> Option<(Axis, f64)> {
    let (axis, sense) = t.need_choice(key, ALONG)?;
    if frame.is_some_and(|f| f.optical_axis == axis) {
        t.fault(key, format!("{axis} is along the light"), "a tracker's piezos move the fibre across the light");
    }
    Some((axis, sense))
}

#[cfg(test)]
mod tests {
    use recipes::Axis;

    use crate::config::BenchConfig;

    const TABLE: &str = "[ports.tracker]\nserial = \"/tmp/firstlight/tracker\"\n\n[tracker]\ndriver = \"thorlabs-apt\"\n\
                         port = \"tracker\"\nmodel = \"KNA101\"\nhorizontal = \"x\"\nvertical = \"-y\"\ntravel_um = 20\n";

    fn text(table: &str) -> String {
        format!("{}\n{table}", include_str!("../../../cli/benches/receptacle.toml"))
    }

    #[test]
    fn a_tracker_has_the_makers_settings_where_the_bench_file_says_nothing() {
        let tracker = BenchConfig::parse(&text(TABLE)).unwrap().tracker.unwrap();
        assert_eq!(tracker.axes, [(Axis::X, 1.0), (Axis::Y, -1.0)]);
        assert_eq!((tracker.frequency_hz, tracker.lag_deg), (43.75, [9.0; 2]));
        assert!((tracker.threshold_a - 1e-7).abs() < 1e-15);
        assert_eq!(tracker.displacement([12.0, 12.0]), [2.0, -2.0]);
        assert_eq!(BenchConfig::parse(&text("")).unwrap().tracker, None);
    }

    #[test]
    fn every_fault_of_a_tracker_has_its_place_and_a_hint() {
        for (from, to, expect) in [
            ("thorlabs-apt", "thorlabs-pm", "one of: thorlabs-apt"),
            ("port = \"tracker\"", "port = \"tap\"", "two instruments"),
            ("\"-y\"", "\"-x\"", "along x as the other piezo"),
            ("\"-y\"", "\"z\"", "z is along the light"),
            ("\"-y\"", "\"up\"", "one of: x, -x"),
            ("vertical = \"-y\"\n", "", "missing tracker.vertical"),
            ("travel_um = 20", "", "missing tracker.travel_um"),
            ("travel_um = 20", "travel_um = 20\nfrequency_hz = 5", "5 is outside 17.5 to 175"),
            ("travel_um = 20", "travel_um = 20\nlag = 3", "did you mean `lag_deg`?"),
        ] {
            assert!(TABLE.contains(from), "{from}");
            let faults = BenchConfig::parse(&text(&TABLE.replacen(from, to, 1))).unwrap_err().0;
            let got: String = faults.iter().map(|f| format!("{f}\n")).collect();
            assert!(got.contains(expect) && faults.iter().all(|f| f.line > 1 && f.hint.is_some()), "{to}: {got}");
        }
        let both = TABLE.replace("\"-y\"", "\"up\"").replace("travel_um = 20", "travel_um = 0");
        assert_eq!(BenchConfig::parse(&text(&both)).unwrap_err().0.len(), 2, "told at once");
    }
}
