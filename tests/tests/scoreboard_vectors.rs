//! The benchmark against reference numbers that a second implementation made (`tests/data/scoreboard_vectors.json`):
//! trials 0 to 2 of every landscape, the same script in every condition.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use tests::scoreboard::rng::{Rng, seed};
use tests::scoreboard::scene::Pose;
use tests::scoreboard::station::{Shown, Station, pace};
use tests::scoreboard::truth::truth;
use tests::scoreboard::{Condition, landscape};

/// Reals agree to this, relative or absolute.
const REAL: f64 = 1e-9;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/scoreboard_vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn pose(value: &Value) -> Pose {
    let mut pose = [0.0; 6];
    for (p, q) in pose.iter_mut().zip(numbers(value)) {
        *p = q;
    }
    pose
}

#[track_caller]
fn near(got: f64, want: f64, tolerance: f64, what: &str) {
    assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "{what}: got {got}, want {want}");
}

#[track_caller]
fn all_near(got: &[f64], want: &Value, what: &str) {
    for (i, want) in numbers(want).iter().enumerate() {
        near(got[i], *want, REAL, &format!("{what} [{i}]"));
    }
}

/// Displayed values: exactly; the multimode vectors come from a table, so there a last digit may differ.
#[track_caller]
fn displayed(got: f64, want: f64, name: &str, what: &str) {
    let tolerance = if name == "multimode" { 0.001 } else { 0.0 };
    assert!((got - want).abs() <= tolerance + 1e-9, "{what}: got {got}, want {want}");
}

#[test]
fn random_numbers_are_the_references() {
    let v = vectors();
    let mut rng = Rng::new(0);
    for want in v["splitmix64_seed0"].as_array().unwrap() {
        assert_eq!(format!("0x{:x}", rng.bits()), want.as_str().unwrap());
    }
    let (mut uniform, mut normal) = (Rng::new(1), Rng::new(1));
    for (u, n) in numbers(&v["uniform_seed1"]).iter().zip(numbers(&v["normal_seed1"])) {
        near(uniform.uni(), *u, 1e-16, "uniform");
        near(normal.norm(), n, 1e-14, "normal");
    }
    assert_eq!(format!("0x{:x}", seed("smf2d", 0)), v["fnv1a_smf2d"].as_str().unwrap());
}

#[test]
fn sweeps_are_paced_and_refused_as_the_reference_does() {
    let angle = [false, false, false, true, true, true];
    for case in vectors()["sweep_paths"].as_array().unwrap() {
        let points: Vec<Pose> = case["points"].as_array().unwrap().iter().map(pose).collect();
        let speed = number(&case["speed"]);
        let pace = pace(&points, speed, &angle, 0.001);
        assert_eq!(pace.valid, case["valid"].as_bool().unwrap(), "{}", case["note"]);
        all_near(&pace.intervals_s, &case["dt"], "interval");
        near((speed / 50_000.0).max(pace.turns[1] / 100.0), number(&case["ramp_up"]), REAL, "ramp");
    }
}

#[test]
fn scenes_are_the_references() {
    for name in landscape::NAMES {
        for want in vectors()["landscapes"][name].as_array().unwrap() {
            let trial = want["trial"].as_u64().unwrap();
            let scene = landscape::scene(name, trial, Condition::named("std").unwrap()).unwrap();
            let what = format!("{name} {trial}");
            assert_eq!(format!("0x{:016x}", scene.seed), want["seed"].as_str().unwrap().to_string(), "{what}");
            near(scene.drift_azimuth, number(&want["drift_azimuth"]), REAL, &what);
            near(scene.laser_phase, number(&want["laser_phase"]), REAL, &what);
            all_near(&scene.play0, &want["play0"], &what);
            let clean = if name == "multimode" { 2e-6 } else { REAL };
            near(scene.clean_dbm(&[0.0; 6], 0.0), number(&want["start_dbm"]), clean, &what);
            near(scene.clean_dbm(&pose(&want["c"]), 0.0), number(&want["clean_at_c_dbm"]), clean, &what);
            near(truth(&scene).dbm, number(&want["optimum_dbm"]), 1e-5, &format!("{what}: optimum"));
        }
    }
}

fn step(station: &Station, shown: Option<&Shown>, want: &Value, name: &str, what: &str) {
    if let Some(shown) = shown {
        displayed(shown.value_dbm, number(&want["dbm"]), name, what);
        if let Some(channels) = want.get("channels_dbm") {
            all_near(&shown.channels_dbm, channels, what);
        }
    }
    all_near(&station.actual(), &want["actual"], what);
    near(station.now_s(), number(&want["t"]), REAL, &format!("{what}: time"));
    assert_eq!(station.readings() as u64, want["n"].as_u64().unwrap(), "{what}");
    if let Some(clean) = want.get("clean_dbm") {
        let tolerance = if name == "multimode" { 2e-6 } else { REAL };
        near(station.clean_dbm(), number(clean), tolerance, &format!("{what}: clean"));
    }
}

fn sweep(station: &mut Station, axis: usize, by: f64, want: &Value, name: &str, what: &str) {
    let points: Vec<Pose> = (0..8)
        .map(|j| {
            let mut u = [0.0; 6];
            u[axis] = by * f64::from(j);
            u
        })
        .collect();
    let shown = station.sweep(&points, 1000.0, None).unwrap();
    for (shown, want) in shown.iter().zip(numbers(&want["dbm"])) {
        displayed(shown.value_dbm, want, name, what);
    }
    step(station, None, want, name, what);
}

fn script(name: &str, trial: u64, condition: &str, want: &Value) {
    let what = format!("{name} {trial} {condition}");
    let scene = landscape::scene(name, trial, Condition::named(condition).unwrap()).unwrap();
    let scale = scene.nominal.scale;
    let d = scene.dimensions();
    let mut station = Station::new(scene, 3000);
    all_near(&station.play, &want["play"], &what);
    all_near(&station.play_given, &want["play_given"], &what);
    for (k, want) in want["script"].as_array().unwrap().iter().enumerate() {
        station.move_to(&pose(&want["cmd"]));
        let shown = station.read().unwrap();
        step(&station, Some(&shown), want, name, &format!("{what}: pose {k}"));
    }
    sweep(&mut station, 0, 0.1 * scale[0], &want["sweep"], name, &format!("{what}: sweep"));
    if d > 3 {
        sweep(&mut station, 3, 0.02, &want["angle_sweep"], name, &format!("{what}: turn"));
    }
    for read in ["read_1", "read_2"] {
        let shown = station.read().unwrap();
        step(&station, Some(&shown), &want[read], name, &format!("{what}: {read}"));
    }
    let best = station.best().unwrap();
    displayed(best.dbm, number(&want["best_dbm"]), name, &format!("{what}: best"));
    all_near(&best.actual, &want["best_actual"], &format!("{what}: best"));
    let tolerance = if name == "multimode" { 4e-6 } else { REAL };
    near(station.below_best_db(), number(&want["below_best_db"]), tolerance, &format!("{what}: below best"));
}

#[test]
fn stations_play_the_references_script_in_every_condition() {
    let v = vectors();
    for name in landscape::NAMES {
        for scene in v["landscapes"][name].as_array().unwrap() {
            for (condition, run) in scene["runs"].as_object().unwrap() {
                script(name, scene["trial"].as_u64().unwrap(), condition, run);
            }
        }
    }
}
