//! An array of eight channels in six axes, end to end: every reading is of all lanes at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::{Quantity, Recipe};

use sim::{BackDoor, Defect, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Event, EventSink, Measurement, Outcome};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// Sees what is left when the search ends, and what is measured.
struct Watch {
    door: BackDoor,
    channels: usize,
    readings: usize,
    left_db: f64,
    bound_db: f64,
    lanes_db: Vec<f64>,
    losses: Vec<Measurement>,
    in_order: Option<f64>,
}

impl EventSink for Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Trace(trace) if trace.search == "peak" => {
                self.channels = trace.channels.len();
                self.readings = trace.samples.len();
                self.left_db = self.door.left_db();
                self.lanes_db = self.door.truth().lane_loss_db;
            }
            Event::Measurement(m) if m.name == "loss_left_95" => self.bound_db = m.value,
            Event::Measurement(m) if m.name == "lanes_in_order" => self.in_order = Some(m.value),
            Event::Measurement(m) if m.name == Quantity::CouplingLoss.as_str() => self.losses.push(m.clone()),
            _ => {}
        }
    }
}

/// Runs the recipe on units of a seed that have this defect, and gives what each came to.
fn run(text: &str, of: (u64, usize), defect: Option<Defect>) -> Vec<(Outcome, Watch)> {
    run_seated(text, of, defect, f64::INFINITY)
}

/// Those among them that are rolled in their seat by less than this, rad.
fn run_seated(text: &str, (seed, units): (u64, usize), defect: Option<Defect>, roll: f64) -> Vec<(Outcome, Watch)> {
    let bench = benches::named("fibre-array").unwrap();
    let recipe = Recipe::parse(text).unwrap();
    let config = BenchConfig::parse(bench).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let defects = defect.is_some();
        let world = World::from_bench(bench, Path::new(""), &wiring(&config), seed, defects, clock.clone()).unwrap();
        let door = world.backdoor();
        let mut bench = Bench::open(config, clock, &WorldPorts { world }).await.unwrap();
        bench.connect(recipe.unit.wavelength_nm).await.unwrap();
        let (_sender, mut stop) = stop();
        let mut all = Vec::new();
        for _ in 0..units {
            while door.load_next_unit().defect != defect || door.truth().focus_rad[2].abs() >= roll {}
            let mut watch = Watch {
                door: door.clone(),
                channels: 0,
                readings: 0,
                left_db: f64::NAN,
                bound_db: f64::NAN,
                lanes_db: Vec::new(),
                losses: Vec::new(),
                in_order: None,
            };
            let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
            let end = sequence::run(&mut bench, &job, &mut stop, &mut watch).await;
            all.push((end.outcome, watch));
        }
        all
    })
}

#[test]
fn eight_channels_are_aligned_in_six_axes_with_all_lanes_read_at_once() {
    let recipe = recipes::named("800g-dr8").unwrap();
    for (outcome, watch) in run(recipe, (5, 3), None) {
        assert_eq!(outcome, Outcome::Pass);
        assert_eq!(watch.channels, 8);
        assert!(watch.readings <= 20, "{} readings", watch.readings);
        assert_eq!(watch.in_order, None, "nothing is said of lanes that are in order");
        assert!(watch.left_db < 0.1 && watch.bound_db < 0.2, "{} left, bound {}", watch.left_db, watch.bound_db);
    }
}

#[test]
fn each_lane_is_measured_and_a_dead_one_fails_the_unit() {
    let recipe = recipes::named("800g-dr8").unwrap();
    for (outcome, watch) in run(recipe, (3, 2), Some(Defect::DeadChannel)) {
        assert_eq!(outcome, Outcome::Fail);
        assert_eq!(watch.losses.len(), 8);
        let (dead, lit): (Vec<&Measurement>, Vec<&Measurement>) = watch.losses.iter().partition(|m| m.value > 30.0);
        assert!(dead.len() == 1 && dead[0].outcome == Some(Outcome::Fail), "{:?}", watch.losses);
        assert!(lit.iter().all(|m| m.outcome == Some(Outcome::Pass)), "{:?}", watch.losses);
        assert!(watch.readings <= 20, "{} readings: the dead lane is left out", watch.readings);
    }
}

#[test]
fn lanes_that_answer_in_each_others_place_fail_the_unit_whatever_their_power() {
    let recipe = recipes::named("800g-dr8").unwrap();
    for (defect, in_order) in [(Defect::Swapped, 6.0), (Defect::Flipped, 0.0)] {
        let [(outcome, watch)] = run(recipe, (3, 1), Some(defect)).try_into().ok().unwrap();
        assert_eq!((outcome, watch.in_order), (Outcome::Fail, Some(in_order)), "{defect:?}");
    }
}

/// A part that needs no roll shows no order at its peak: without a reading taken for it, this unit would pass.
#[test]
fn swapped_lanes_of_a_part_that_sits_straight_fail_the_unit_too() {
    let recipe = recipes::named("800g-dr8").unwrap();
    for (outcome, watch) in run_seated(recipe, (33, 3), Some(Defect::Swapped), 1e-4) {
        assert_eq!((outcome, watch.in_order), (Outcome::Fail, Some(6.0)));
    }
}
