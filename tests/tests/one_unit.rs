//! One unit on the simulated receptacle bench, over the vendors' bytes on virtual time: what the log says against what
//! the world knows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::Recipe;
use sim::{BackDoor, Fault, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Cause, Event, Measurement, Outcome, RunEnd};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

struct Came {
    events: Vec<Event>,
    end: RunEnd,
    truth: sim::Truth,
    part: sim::Part,
}

impl Came {
    fn measurement(&self, name: &str) -> Option<&Measurement> {
        self.events.iter().find_map(|e| match e {
            Event::Measurement(m) if m.name == name => Some(m),
            _ => None,
        })
    }
}

/// Runs the built-in recipe on a bench text; `prepare` acts on the world before the run.
fn run(text: &str, seed: u64, defects: bool, prepare: impl FnOnce(&BackDoor)) -> Came {
    let recipe = Recipe::parse(recipes::named("400g-fr4").unwrap()).unwrap();
    let config = BenchConfig::parse(text).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), seed, defects, clock.clone()).unwrap();
        let door = world.backdoor();
        let part = door.load_next_unit();
        prepare(&door);
        let ports = WorldPorts { world };
        let mut bench = Bench::open(config, clock, &ports).await.unwrap();
        bench.connect(recipe.unit.wavelength_nm).await.unwrap();
        let (_sender, mut stop) = stop();
        let mut events: Vec<Event> = Vec::new();
        let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
        let end = sequence::run(&mut bench, &job, &mut stop, &mut events).await;
        Came { events, end, truth: door.truth(), part }
    })
}

fn bench_text() -> &'static str {
    benches::named("receptacle").unwrap()
}

#[test]
fn a_good_unit_passes_near_its_best_and_is_never_touched() {
    for seed in 1..=20 {
        let came = run(bench_text(), seed, false, |_| {});
        assert_eq!(came.end.outcome, Outcome::Pass, "seed {seed}: {:#?}", came.end);
        assert!(came.end.safe);
        let loss = came.measurement("coupling_loss").unwrap().value;
        let best = came.part.best_loss_db(1.31);
        // Each meter has gain steps between its ranges, of 0.02 dB at the most.
        assert!((-0.1..0.1).contains(&(loss - best)), "seed {seed}: {loss} measured, {best} is the best");
        assert_eq!(came.truth.overtravel_um, 0.0, "seed {seed}: touched");
        assert!(!came.truth.source_on && !came.truth.moving);
        assert!(came.truth.fibre_um[2] > 5000.0, "parked: {:?}", came.truth.fibre_um);
    }
}

#[test]
fn a_dark_unit_fails_by_a_measurement_on_a_bench_proven_good() {
    let seed = (1..200).find(|s| {
        let part = sim::Part::draw(*s, 1, &sim::Preset::Receptacle.plan(), true);
        part.defect == Some(sim::Defect::Dark)
    });
    let came = run(bench_text(), seed.unwrap(), true, |_| {});
    assert_eq!((came.end.outcome, came.end.cause), (Outcome::Fail, Some(Cause::Part)), "{:#?}", came.end);
    assert_eq!(came.measurement("first_light_power").unwrap().outcome, Some(Outcome::Fail));
}

#[test]
fn darkness_that_the_tap_explains_is_the_stations_fault() {
    let came = run(bench_text(), 1, false, |door| door.inject(Fault::parse("source-off@3").unwrap()));
    assert_eq!((came.end.outcome, came.end.cause), (Outcome::Error, Some(Cause::Station)), "{:#?}", came.end);
    assert!(came.events.iter().any(|e| matches!(e, Event::Transcript { .. })));
}
