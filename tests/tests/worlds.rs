//! Worlds of every kind, through the protocols and past them: what the back door says against what the bench sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::{Axis, Recipe};
use sim::{BackDoor, Phase, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Event, Outcome, RunEnd};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::task::LocalSet;
use units::Reading;
use units::clock::{Clock, virtual_runtime};

/// The built-in bench with another `[simulation]` preset and more of that section.
fn bench_text(preset: &str, more: &str) -> String {
    let text =
        benches::named("receptacle").unwrap().replace("preset = \"receptacle\"", &format!("preset = \"{preset}\""));
    format!("{text}\n{more}")
}

fn in_world<T>(text: &str, seed: u64, act: impl AsyncFnOnce(&mut Bench, BackDoor, Clock) -> T) -> T {
    let config = BenchConfig::parse(text).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), seed, false, clock.clone());
        let world = world.map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let door = world.backdoor();
        let mut bench = Bench::open(config, clock.clone(), &WorldPorts { world }).await.unwrap();
        bench.connect(1310.0).await.unwrap();
        door.load_next_unit();
        act(&mut bench, door, clock).await
    })
}

fn run(text: &str, seed: u64) -> (RunEnd, f64, sim::Truth) {
    run_by(recipes::named("400g-fr4").unwrap(), text, seed)
}

fn run_by(recipe: &str, text: &str, seed: u64) -> (RunEnd, f64, sim::Truth) {
    let recipe = Recipe::parse(recipe).unwrap();
    in_world(text, seed, async |bench, door, _| {
        let (_sender, mut stop) = stop();
        let mut events: Vec<Event> = Vec::new();
        let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
        let end = sequence::run(bench, &job, &mut stop, &mut events).await;
        let loss = events.iter().find_map(|e| match e {
            Event::Measurement(m) if m.name == "coupling_loss" => Some(m.value),
            _ => None,
        });
        (end, loss.unwrap_or(f64::NAN), door.truth())
    })
}

/// Brings the fibre to where the truth says that the part is aligned, as far as three axes can.
async fn to_the_peak(bench: &mut Bench, door: &BackDoor) {
    bench.source_on(0.05, Duration::from_secs(20)).await.unwrap();
    bench.reference().await.unwrap();
    let [x, y, z] = door.truth().focus_um;
    bench.approach(&[(Axis::X, x), (Axis::Y, y), (Axis::Z, z)]).await.unwrap();
}

#[test]
fn other_optics_than_the_formula_are_aligned_too() {
    for more in [
        "",
        "[simulation.optics]\nmodes = \"step-index\"",
        "[simulation.optics]\nmodes = \"rotated\"\nfixed_um = [5.2, 4.2]",
        "[simulation.optics]\nmodes = \"skewed\"",
        "[simulation.optics]\nmodes = \"lobed\"",
        "[simulation.optics]\nlensed_um = 12\nfixed_um = [3.0, 2.8]\nfibre_um = 2.9",
        "[simulation.optics]\nneighbours_db = 25\nhalo_db = 45",
    ] {
        let text = bench_text("receptacle", more);
        let (end, loss, truth) = run(&text, 4);
        assert_eq!(end.outcome, Outcome::Pass, "{more}: {end:#?}");
        assert!(
            (loss - truth.best_loss_db).abs() < 0.15,
            "{more}: {loss} measured, {} is the best",
            truth.best_loss_db
        );
    }
    let recipe = recipes::named("400g-fr4").unwrap();
    let flat = recipe
        .replace("mode_field_diameter_um = 9.2 ", "mode_field_diameter_um = 28\naperture_diameter_um = 50")
        .replace("axes = [\"x\", \"y\", \"z\"]", "axes = [\"x\", \"y\"]");
    let parabola = recipe.replace("method = \"engine\"", "method = \"parabola\"");
    for more in ["", "square = true", "core_um = 20"] {
        for recipe in [&flat, &parabola] {
            let text = bench_text("multimode", &format!("[simulation.optics]\n{more}"));
            let (end, loss, truth) = run_by(recipe, &text, 4);
            assert_eq!(end.outcome, Outcome::Pass, "{more}: {end:#?}");
            let best = truth.best_loss_db;
            assert!((loss - best).abs() < 0.3, "{more}: {loss} on the flat top, {best} mid");
        }
    }
}

#[test]
fn a_coupling_map_is_the_world_where_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = String::from("x_um,y_um,loss_db\n");
    for x in -40..=40 {
        for y in -40..=40 {
            let (x, y) = (f64::from(x) * 3.0, f64::from(y) * 3.0);
            csv += &format!("{x},{y},{:.4}\n", 0.2 * ((x - 12.0).powi(2) + (y + 9.0).powi(2)) + 0.3);
        }
    }
    std::fs::write(folder.path().join("map.csv"), csv).unwrap();
    let path = folder.path().join("map.csv");
    let text = benches::named("receptacle").unwrap();
    let text = text.replace("preset = \"receptacle\"", &format!("preset = \"receptacle\"\nmap = {path:?}"));
    in_world(&text, 1, async |_, door, _| {
        let part = door.part();
        let at = |dx: f64, dy: f64| {
            let mut pose = part.best_pose();
            pose.um[0] += dx;
            pose.um[1] += dy;
            part.lane_loss_db(1.31, &pose)[0] - part.loss_db
        };
        assert!((at(12.0, -9.0) - 0.3).abs() < 1e-9 && (at(0.0, 0.0) - 45.3).abs() < 1e-9);
    });
}

#[test]
fn each_lane_of_an_array_is_seen_by_the_channel_that_is_wired_to_it() {
    // The tap's meter looks at the last lane instead.
    let text = bench_text("edge-array", "").replace("role = \"tap\"\nsplit = 0.05", "role = \"signal\"\nlane = 8");
    let text = text.replace("range_dbm = -7.0", "range_dbm = 3.0");
    in_world(&text, 3, async |bench, door, _| {
        to_the_peak(bench, &door).await;
        let truth = door.truth();
        assert_eq!(truth.lane_loss_db.len(), 8);
        let readings = bench.read().await.unwrap();
        for (reading, lane) in readings.iter().zip([0, 7]) {
            let Reading::Power(power) = reading else { panic!("{reading:?}") };
            let loss = 10.0 * (truth.launched_w / power.watts()).log10();
            let expected = truth.lane_loss_db[lane];
            assert!((loss - expected).abs() < 0.1, "lane {lane}: {loss} seen, {expected} is so");
        }
    });
}

#[test]
fn what_was_pressed_too_hard_stays_scratched_for_as_long_as_the_unit_is_there() {
    // A bench whose range lies 30 um beyond contact: nothing keeps the stage from pressing.
    let text = bench_text("receptacle", "[simulation.parts]\ncontact_um = [-120.0, 0.0]");
    in_world(&text, 2, async |bench, door, _| {
        to_the_peak(bench, &door).await;
        let before = door.truth();
        assert_eq!((before.touching, before.scratch_db), (false, 0.0));
        bench.move_to(&[(Axis::Z, -150.0)]).await.unwrap();
        let pressed = door.truth();
        assert!(pressed.touching && (25.0..35.0).contains(&pressed.overtravel_um), "{pressed:?}");
        assert!(pressed.force_n > 0.1 && pressed.fibre_um[2] > -121.0, "it stops at the part: {pressed:?}");
        bench.move_to(&[(Axis::Z, before.focus_um[2])]).await.unwrap();
        let after = door.truth();
        assert!(!after.touching && after.scratch_db > 1.0);
        assert!(after.loss_db - before.loss_db > 0.9 * after.scratch_db, "{before:?} {after:?}");
        door.next_unit();
        assert_eq!(door.truth().scratch_db, 0.0);
    });
}

#[test]
fn glue_shifts_the_part_while_it_cures_and_relaxes_after_release() {
    let text =
        bench_text("receptacle", "[simulation.unrest]\nvibration_um = 0\ndrift_um_h = 0\ncycle_um = 0\nheated_um = 0");
    in_world(&text, 2, async |bench, door, clock| {
        to_the_peak(bench, &door).await;
        let wet = door.truth();
        assert_eq!(wet.glue, None);
        door.lamp(Some(1.0));
        clock.sleep(Duration::from_millis(300)).await;
        assert_eq!(door.truth().glue, Some(Phase::Wet));
        clock.sleep(Duration::from_secs(20)).await;
        door.lamp(None);
        let cured = door.truth();
        assert_eq!(cured.glue, Some(Phase::Cured));
        let shift = |a: &sim::Truth, b: &sim::Truth| {
            a.fibre_um.iter().zip(b.fibre_um).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        assert!((0.01..0.6).contains(&shift(&wet, &cured)), "{}", shift(&wet, &cured));
        door.release();
        clock.sleep(Duration::from_secs(3600)).await;
        let rested = door.truth();
        assert!(shift(&cured, &rested) > 0.0005 && shift(&cured, &rested) < 0.5, "{}", shift(&cured, &rested));
    });
}

#[test]
fn a_fine_axis_stacked_on_a_coarse_one_moves_the_same_fibre() {
    let more = "[simulation.axes.x_fine]\ncontroller = \"stage\"\nchannel = \"4\"\ntravel_um = [0, 100]\nstart_um = 0\n\
                encoder_um = 0.001\nplay_um = 0\nrepeatability_um = 0";
    let text = bench_text("receptacle", more);
    let config = BenchConfig::parse(&text).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(&text, Path::new(""), &wiring(&config), 1, false, clock.clone()).unwrap();
        let door = world.backdoor();
        let settings = sim::LineSettings { baud: 115_200, parity: sim::Parity::None };
        let mut pipe = world.connect("motion", settings).unwrap();
        use tokio::io::AsyncWriteExt as _;
        pipe.write_all(b"SVO 4 1\nRON 4 0\nPOS 4 0\nMOV 4 0.05\n").await.unwrap();
        let before = door.truth().fibre_um[0];
        clock.sleep(Duration::from_secs(2)).await;
        let moved = door.truth().fibre_um[0] - before;
        assert!((moved - 50.0).abs() < 0.5, "{moved}");
    });
}

#[test]
fn a_hexapod_turns_an_array_and_each_lane_sees_it() {
    let text = firstlight::benches::named("fibre-array").unwrap();
    in_world(text, 3, async |bench, door, _| {
        to_the_peak(bench, &door).await;
        let turned = door.truth().focus_rad.map(f64::to_degrees);
        bench.move_to(&[(Axis::Rx, turned[0]), (Axis::Ry, turned[1]), (Axis::Rz, turned[2])]).await.unwrap();
        let [x, y, z] = door.truth().focus_um;
        // The platform turns about its pivot, far below the fibre's end: what that shifts is taken back.
        for _ in 0..3 {
            let at = door.truth().fibre_um;
            let now = bench.commanded().await.unwrap();
            let to = [(Axis::X, x - at[0]), (Axis::Y, y - at[1]), (Axis::Z, z - at[2])].map(|(a, d)| (a, now[a] + d));
            bench.move_to(&to).await.unwrap();
        }
        let aligned = door.truth();
        assert!(aligned.fibre_rad.iter().zip(aligned.focus_rad).all(|(a, b)| (a - b).abs() < 2e-4), "{aligned:?}");
        assert!(aligned.lane_loss_db.iter().all(|l| *l < 4.0), "{:?}", aligned.lane_loss_db);
        let now = bench.commanded().await.unwrap()[Axis::Rz];
        bench.move_to(&[(Axis::Rz, now + 1.0)]).await.unwrap();
        let rolled = door.truth().lane_loss_db;
        let outer = rolled[0] - aligned.lane_loss_db[0];
        assert!(outer > 3.0 && rolled[0] > rolled[3], "a roll is felt by the outer lanes: {rolled:?}");
    });
}
