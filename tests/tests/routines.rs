//! A controller's own searches as methods of a recipe: bounded by the envelope, confirmed by the meter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use drivers::motion::MotionError;
use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::{Axis, Recipe};
use sim::{BackDoor, World};
use station::bench::{Bench, BenchError, Routine};
use station::config::BenchConfig;
use station::event::{Event, EventSink, Outcome, RunEnd};
use station::sequence::{self, Job, LaunchedSource, StopReason, preflight, stop};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// The hexapod of the array bench before a single fibre, with light that its input's converter holds.
fn bench_text() -> String {
    let text = benches::named("fibre-array").unwrap();
    text.replace("grating-array", "receptacle")
        .replace("zero_um = -1980", "zero_um = -2000")
        .replace("level_dbm = 3.0", "level_dbm = -1.0")
}

fn recipe(method: &str) -> Recipe {
    let text = recipes::named("400g-fr4").unwrap();
    let text = text
        .replace("fixture = \"receptacle\"", "fixture = \"fibre-array\"")
        .replace("axes = [\"x\", \"y\", \"z\"]", "axes = [\"x\", \"y\"]")
        .replace("upper = 1.8", "upper = 9")
        .replace("method = \"engine\"", &format!("method = \"{method}\""));
    Recipe::parse(&text).map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

/// Hears what the peak search says and leaves across the light.
struct Watch {
    door: BackDoor,
    said: Vec<String>,
    samples: usize,
    off_um: f64,
    began_s: Option<f64>,
}

impl EventSink for Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::StepStarted { t_s, kind, .. } if kind == "peak" => self.began_s = Some(*t_s),
            Event::Trace(trace) if trace.search == "peak" => {
                let truth = self.door.truth();
                self.off_um = (truth.fibre_um[0] - truth.focus_um[0]).hypot(truth.fibre_um[1] - truth.focus_um[1]);
                self.samples = trace.samples.len();
            }
            Event::StepEnded { message: Some(message), .. } => self.said.push(message.clone()),
            _ => {}
        }
    }
}

/// A connected bench in a world, with unit 1 before it.
fn at_bench<T>(text: &str, act: impl AsyncFnOnce(&mut Bench, BackDoor, Clock) -> T) -> T {
    let config = BenchConfig::parse(text).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), 4, false, clock.clone()).unwrap();
        let door = world.backdoor();
        door.load_next_unit();
        let mut bench = Bench::open(config, clock.clone(), &WorldPorts { world }).await.unwrap();
        bench.connect(1310.0).await.unwrap();
        act(&mut bench, door, clock).await
    })
}

async fn run(bench: &mut Bench, recipe: &Recipe, watch: &mut Watch) -> RunEnd {
    let (_sender, mut stop) = stop();
    let job = Job { recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
    sequence::run(bench, &job, &mut stop, watch).await
}

fn watch(door: &BackDoor) -> Watch {
    Watch { door: door.clone(), said: Vec::new(), samples: 0, off_um: f64::NAN, began_s: None }
}

#[test]
fn the_controller_searches_and_the_engine_confirms_what_it_found() {
    for method in ["gradient_search", "area_scan"] {
        at_bench(&bench_text(), async |bench, door, _| {
            let mut watch = watch(&door);
            let end = run(bench, &recipe(method), &mut watch).await;
            assert_eq!(end.outcome, Outcome::Pass, "{method}: {end:?}");
            let said = watch.said.iter().find(|m| m.contains(method)).unwrap();
            assert!(said.contains("by the controller") && said.contains("confirmed"), "{said}");
            assert!(watch.off_um < 0.6, "{method}: {} um off, {said}", watch.off_um);
            assert!(watch.samples > 25, "{method}: the controller's samples are in the trace: {}", watch.samples);
        });
    }
}

#[test]
fn auto_takes_the_engine_on_a_fast_bench_and_the_controller_where_every_reading_is_slow() {
    let slow = bench_text().replace("settle_ms = 20", "settle_ms = 1500");
    for (text, by_controller) in [(bench_text(), false), (slow, true)] {
        at_bench(&text, async |bench, door, _| {
            let mut watch = watch(&door);
            let end = run(bench, &recipe("auto"), &mut watch).await;
            assert_eq!(end.outcome, Outcome::Pass, "{end:?}");
            let said = watch.said.iter().find(|m| m.contains("predicted engine")).unwrap();
            assert_eq!(said.contains("by the controller"), by_controller, "{said}");
        });
    }
}

#[test]
fn a_routine_beyond_the_envelope_is_refused_before_anything_moves() {
    at_bench(&bench_text(), async |bench, door, _| {
        bench.reference().await.unwrap();
        bench.back_off().await.unwrap();
        bench.approach(&[(Axis::X, 450.0), (Axis::Y, 0.0), (Axis::Z, 0.0)]).await.unwrap();
        let before = door.truth().fibre_um;
        let refused = bench.run_routine(Routine::Area { reach_um: 60.0, pitch_um: 2.0 }).await.unwrap_err();
        assert!(matches!(refused, BenchError::KeepOut { axis: Axis::X, .. }), "{refused}");
        let fast = bench.run_routine(Routine::Gradient { radius_um: 48.0, reach_um: 48.0 }).await.unwrap_err();
        assert!(matches!(fast, BenchError::RoutineTooFast { .. }), "{fast}");
        let after = door.truth().fibre_um;
        assert!(before.iter().zip(after).all(|(a, b)| (a - b).abs() < 0.5), "{before:?} {after:?}");
    });
}

#[test]
fn a_stop_within_a_routine_parks_the_bench_and_gives_the_controller_its_range_back() {
    at_bench(&bench_text(), async |bench, door, clock| {
        let (sender, mut stop) = stop();
        let recipe = recipe("area_scan");
        let mut watch = watch(&door);
        let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
        let run = sequence::run(bench, &job, &mut stop, &mut watch);
        let stopper = async {
            // In the middle of the scan, by what other runs of this seed take.
            clock.sleep(Duration::from_millis(9000)).await;
            sender.stop(StopReason::Operator);
        };
        let (end, ()) = tokio::join!(run, stopper);
        assert_eq!(end.outcome, Outcome::Aborted, "{end:?}");
        assert!(watch.began_s.is_some() && watch.samples == 0, "stopped within the search");
        assert!(end.safe, "{end:?}");
        let parked = door.truth().fibre_um;
        assert!(parked[2] > 3000.0, "it was parked: {parked:?}");
        bench.move_to(&[(Axis::X, 1500.0)]).await.unwrap();
    });
}

#[test]
fn a_bench_without_such_a_controller_is_told_before_anything_is_opened() {
    let text = bench_text().replace("analog_input = 1", "#");
    let config = BenchConfig::parse(&text).unwrap();
    let problems = preflight(&recipe("gradient_search"), &config, None, jiff::Timestamp::UNIX_EPOCH);
    assert!(problems.iter().any(|p| p.message.contains("searches by gradient_search")), "{problems:?}");
    at_bench(&text, async |bench, _, _| {
        let refused = bench.run_routine(Routine::Gradient { radius_um: 1.0, reach_um: 10.0 }).await.unwrap_err();
        assert!(matches!(refused, BenchError::NoRoutine), "{refused}");
    });
    // Controllers that have none, whatever the bench file says.
    let text =
        benches::named("receptacle").unwrap().replace("model = \"C-884\"", "model = \"C-884\"\nanalog_input = 1");
    at_bench(&text, async |bench, _, _| {
        bench.reference().await.unwrap();
        let refused = bench.run_routine(Routine::Gradient { radius_um: 1.0, reach_um: 10.0 }).await.unwrap_err();
        assert!(!matches!(refused, BenchError::Motion(MotionError::Line(_))), "{refused}");
    });
}
