//! The scoreboard as a whole: the same numbers on any number of threads, foreign scenes and maps, and the command line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use sim::optics::CouplingMap;
use tests::scoreboard::method::Method;
use tests::scoreboard::trial::{Outcome, attempt, attempts};
use tests::scoreboard::truth::truth;
use tests::scoreboard::{Condition, foreign, landscape};

const STD: Condition = tests::scoreboard::condition::STD;

/// Without the time of this machine.
fn plain(outcome: Outcome) -> Outcome {
    Outcome { search_s: 0.0, ..outcome }
}

#[test]
fn trials_on_threads_are_the_trials_alone_in_their_order() {
    let scene = |trial| landscape::scene("smf3d", trial, STD).unwrap();
    let together: Vec<Outcome> = attempts(7, 9, Method::HillClimb, scene).into_iter().map(plain).collect();
    let alone: Vec<Outcome> = (7..16).map(|t| plain(attempt(scene(t), t, Method::HillClimb))).collect();
    assert_eq!(together, alone);
}

#[test]
fn foreign_scenes_start_in_light_below_their_truth() {
    for name in foreign::NAMES {
        for trial in 0..3 {
            let scene = foreign::scene(name, trial, STD).unwrap();
            let (start, top) = (scene.clean_dbm(&[0.0; 6], 0.0), truth(&scene));
            assert!(start >= -45.0 && start < top.dbm && top.dbm < 0.0, "{name} {trial}: {start} {top:?}");
            // No higher a little to any side.
            for (i, by) in (0..scene.dimensions()).flat_map(|i| [0.02, -0.02].map(|by| (i, by))) {
                let mut beside = top.pose;
                beside[i] += by;
                assert!(scene.clean_dbm(&beside, 0.0) <= top.dbm + 1e-5, "{name} {trial}: axis {i}");
            }
        }
    }
}

#[test]
fn a_polarisation_walk_shows_in_readings_after_motion_only() {
    let scene = foreign::scene("foreign:polwalk2d", 0, STD).unwrap();
    let mut station = tests::scoreboard::Station::new(scene, 1000);
    let mut spread = |moving: bool| {
        let mut values = Vec::new();
        for k in 0..100 {
            if moving {
                station.move_to(&[f64::from(k % 2) * 1e-6, 0.0, 0.0, 0.0, 0.0, 0.0]);
            }
            values.push(station.read().unwrap().value_dbm);
        }
        values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min)
    };
    assert!(spread(false) < 0.06);
    assert!(spread(true) > 0.15);
}

fn bowl() -> String {
    let rows = (0..=40).flat_map(|i| (0..=40).map(move |j| (f64::from(i) * 0.5 - 10.0, f64::from(j) * 0.5 - 10.0)));
    let loss = |(x, y): (f64, f64)| format!("{x},{y},{}", 2.0 + 0.2 * ((x - 2.0).powi(2) + (y + 3.0).powi(2)));
    format!("x_um,y_um,loss_db\n{}\n", rows.map(loss).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_map_is_a_scene_of_its_own_width_and_its_truth_is_its_least_loss() {
    let map = Arc::new(CouplingMap::read(&bowl()).unwrap());
    let nominal = foreign::map_nominal(&map);
    assert!((nominal.width[0] - (4.343f64 / 0.2).sqrt()).abs() < 0.05, "{:?}", nominal.width);
    let scenes: Vec<_> = (0..4).map(|t| foreign::map_scene(&map, &nominal, t, STD)).collect();
    for scene in &scenes {
        let (start, top) = (scene.clean_dbm(&[0.0; 6], 0.0), truth(scene).dbm);
        assert!(start > -45.0 && start < top && (-5.0..=-2.0).contains(&top));
    }
    assert_ne!(scenes[0].clean_dbm(&[0.0; 6], 0.0), scenes[1].clean_dbm(&[0.0; 6], 0.0));
}

/// A map of a loss in planes, a um apart across the light; without z where there is one plane.
fn map_of(half_um: i32, planes: &[f64], loss_db: impl Fn(f64, f64, f64) -> f64) -> Arc<CouplingMap> {
    let flat = planes.len() == 1;
    let mut rows = String::from(if flat { "x_um,y_um,loss_db\n" } else { "x_um,y_um,z_um,loss_db\n" });
    for z in planes {
        for (x, y) in (-half_um..=half_um).flat_map(|y| (-half_um..=half_um).map(move |x| (f64::from(x), f64::from(y))))
        {
            let loss_db = loss_db(x, y, *z).min(60.0);
            let z = if flat { String::new() } else { format!("{z},") };
            rows.push_str(&format!("{x},{y},{z}{loss_db:.4}\n"));
        }
    }
    Arc::new(CouplingMap::read(&rows).unwrap())
}

/// What the engine leaves in a trial of a map, and its bound, dB.
fn engine_on(map: &Arc<CouplingMap>, trial: u64) -> (f64, f64) {
    let scene = foreign::map_scene(map, &foreign::map_nominal(map), trial, STD);
    let ended = attempt(scene, trial, Method::Engine);
    (ended.residual_db, ended.bound95_db.unwrap())
}

#[test]
fn far_out_where_the_model_leads_nowhere_the_engine_climbs_and_then_aligns() {
    // Two foci, 16 um apart, and a start from which one in fifteen searches is stuck.
    let planes: Vec<f64> = (-12..=12).map(|k| 5.0 * f64::from(k)).collect();
    let one = |u: f64, z: f64| {
        let wide = (1.0 + (z / 50.0).powi(2)).sqrt();
        10.0 * wide.log10() + 4.343 * (u / (4.6 * wide)).powi(2)
    };
    let map = map_of(20, &planes, |x, y, z| 1.0 + one(x - 1.0, z - 8.0) + one(y + 1.0, z + 8.0));
    for t in [7, 28, 36, 42, 57, 71, 75] {
        let (left_db, bound_db) = engine_on(&map, t);
        assert!(left_db < 0.05 && left_db < bound_db + 0.01, "trial {t}: {left_db} dB left, bound {bound_db}");
    }
}

#[test]
fn a_hill_that_is_4_db_lower_is_not_taken_for_the_peak() {
    let hill = |x: f64, y: f64| (-(x * x + y * y) / 12.0).exp();
    let map = map_of(25, &[0.0], |x, y, _| 1.0 - 10.0 * (hill(x, y) + 0.4 * hill(x - 9.0, y + 7.0) + 1e-7).log10());
    for t in 0..20 {
        let (left_db, bound_db) = engine_on(&map, t);
        assert!(left_db < 0.1 && left_db < bound_db + 0.02, "trial {t}: {left_db} dB left, bound {bound_db}");
    }
}

fn scoreboard(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scoreboard")).args(args).output().unwrap()
}

#[test]
fn json_has_the_promised_keys() {
    let out =
        scoreboard(&["--landscape", "smf2d", "--method", "hillclimb", "--first-trial", "5", "--trials", "3", "--json"]);
    assert!(out.status.success());
    let rows: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    for key in "landscape condition method trials ok05 ok10 found readings_med readings_p95 time_med_s time_p95_s \
                resid_med_db resid_p95_db lateral_err_med_um lateral_err_p95_um bound_covered cpu_ms_per_decision"
        .split(' ')
    {
        assert!(rows[0].get(key).is_some(), "{key}");
    }
    assert_eq!((&rows[0]["condition"], &rows[0]["trials"]), (&"std".into(), &3.into()));
    assert!(rows[0]["bound_covered"].is_null());
}

#[test]
fn what_is_not_there_is_said_with_a_hint() {
    for (args, said) in [
        (["--landscape", "moon"], "error: no landscape moon\nhint: one of smf2d, "),
        (["--method", "luck"], "error: no method luck\nhint: one of engine, "),
        (["--map", "nowhere.csv"], "error: cannot read nowhere.csv"),
    ] {
        let out = scoreboard(&args);
        assert_eq!(out.status.code(), Some(2));
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(text.starts_with(said), "{text}");
    }
}

#[test]
fn a_map_is_tried_from_a_file_and_its_faults_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = file("bowl.csv", &bowl());
    let out = scoreboard(&["--map", good.to_str().unwrap(), "--method", "raster_fit", "--trials", "2", "--json"]);
    let rows: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&rows[0]["landscape"], &rows[0]["ok05"]), (&"map:bowl".into(), &1.0.into()));
    let bad = file("bad.csv", "x_um,y_um,loss_db\n0,0,1\n");
    assert_eq!(scoreboard(&["--map", bad.to_str().unwrap()]).status.code(), Some(2));
}

#[test]
fn no_method_finds_more_than_the_truth() {
    let scenes = |trial: u64| {
        let landscapes =
            landscape::NAMES.map(|name| landscape::scene(name, trial, tests::scoreboard::condition::IDEAL));
        landscapes.into_iter().chain(foreign::NAMES.map(|name| foreign::scene(name, trial, STD)))
    };
    for trial in 200..204 {
        for scene in scenes(trial).flatten() {
            let name = scene.nominal.name.clone();
            let left = attempt(scene, trial, Method::NelderMead).residual_db;
            assert!(left >= -1e-5, "{name} {trial}: {left} dB");
        }
    }
}
