//! A chip with a fibre at each end, end to end: both ends are looked for, aligned and kept safe together.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::{Axis, Recipe};
use sim::{BackDoor, Fault, Order, Part, Truth, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Cause, Event, EventSink, Outcome, RunEnd, Sample};
use station::sequence::{self, Job, LaunchedSource, StopReason, StopSender, stop};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// A world with its bench, connected.
struct Station {
    world: World,
    door: BackDoor,
    clock: Clock,
    bench: Bench,
}

impl Station {
    async fn new(seed: u64, recipe: &Recipe) -> Station {
        let text = benches::named("chip").unwrap();
        let config = BenchConfig::parse(text).unwrap();
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), seed, false, clock.clone()).unwrap();
        let bench = Station::connected(&world, &clock, recipe).await;
        Station { door: world.backdoor(), world, clock, bench }
    }

    async fn connected(world: &World, clock: &Clock, recipe: &Recipe) -> Bench {
        let config = BenchConfig::parse(benches::named("chip").unwrap()).unwrap();
        let ports = WorldPorts { world: world.clone() };
        let mut bench = Bench::open(config, clock.clone(), &ports).await.unwrap();
        bench.connect(recipe.unit.wavelength_nm).await.unwrap();
        bench
    }

    async fn run(&mut self, recipe: &Recipe, watch: &mut Watch) -> RunEnd {
        let (sender, mut stop) = stop();
        watch.sender = Some(sender);
        let job = Job { recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
        sequence::run(&mut self.bench, &job, &mut stop, watch).await
    }
}

/// Sees what is left when the search ends, and stops the run after so many readings of it.
struct Watch {
    door: BackDoor,
    left_db: f64,
    bound_db: f64,
    readings: usize,
    stop_after: usize,
    sender: Option<StopSender>,
    notes: Vec<String>,
}

impl Watch {
    fn new(door: &BackDoor) -> Watch {
        Watch {
            door: door.clone(),
            left_db: f64::NAN,
            bound_db: f64::NAN,
            readings: 0,
            stop_after: usize::MAX,
            sender: None,
            notes: Vec::new(),
        }
    }
}

impl EventSink for Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Trace(trace) if trace.search == "peak" => self.left_db = self.door.left_db(),
            Event::Measurement(m) if m.name == "loss_left_95" => self.bound_db = m.value,
            Event::Note { text, .. } => self.notes.push(text.clone()),
            _ => {}
        }
    }

    fn samples(&mut self, search: &str, _axes: &[Axis], samples: &[Sample]) {
        self.readings += if search == "peak" { samples.len() } else { 0 };
        if self.readings >= self.stop_after
            && let Some(sender) = self.sender.take()
        {
            sender.stop(StopReason::Operator);
        }
    }
}

fn recipe() -> Recipe {
    Recipe::parse(recipes::named("pic-through").unwrap()).unwrap()
}

fn on_virtual_time<T>(what: impl Future<Output = T>) -> T {
    LocalSet::new().block_on(&virtual_runtime().unwrap(), what)
}

/// The farther of both ends across the light from where the approach goes, um.
fn off_um(part: &Part) -> f64 {
    let second = part.second.as_ref().unwrap().aligned_um;
    let across = |um: [f64; 3]| um[0].hypot(um[1]);
    across(part.aligned.um).max(across(second))
}

fn both_backed_off(truth: &Truth) -> bool {
    let [second, _] = truth.second_um.unwrap();
    truth.fibre_um[2] > 990.0 && second[2] > 990.0
}

#[test]
fn both_ends_of_a_chip_are_aligned_as_one_within_the_bound_that_is_stated() {
    let recipe = recipe();
    let units = 16;
    let (mut held, mut most_readings) = (0, 0);
    on_virtual_time(async {
        let mut station = Station::new(5, &recipe).await;
        for _ in 0..units {
            station.door.load_next_unit();
            let mut watch = Watch::new(&station.door);
            let end = station.run(&recipe, &mut watch).await;
            assert_eq!(end.outcome, Outcome::Pass, "{:?}", end.message);
            assert!(watch.left_db < 0.05, "{} dB left", watch.left_db);
            held += usize::from(watch.left_db <= watch.bound_db);
            most_readings = most_readings.max(watch.readings);
            let truth = station.door.truth();
            assert!(truth.overtravel_um == 0.0 && both_backed_off(&truth), "{truth:?}");
        }
    });
    assert!(held + 1 >= units, "{held} of {units} within the bound");
    assert!(most_readings <= 25, "{most_readings} readings");
}

#[test]
fn a_chip_that_its_holder_has_put_elsewhere_is_found_when_both_fibres_go_together() {
    let both = recipe();
    let first = Recipe::parse(&both.text.replace("ends = \"both\"", "ends = \"first\"")).unwrap();
    let mut tried = 0;
    on_virtual_time(async {
        let mut station = Station::new(9, &both).await;
        while tried < 3 {
            if off_um(&station.door.load_next_unit()) < 13.0 {
                continue;
            }
            tried += 1;
            let end = station.run(&first, &mut Watch::new(&station.door)).await;
            assert_eq!(end.outcome, Outcome::Fail, "one fibre alone sees no light through a chip so far off");
            let end = station.run(&both, &mut Watch::new(&station.door)).await;
            assert_eq!(end.outcome, Outcome::Pass, "{:?}", end.message);
        }
    });
}

#[test]
fn a_chip_is_not_blamed_for_the_darkness_where_the_second_stage_does_not_move() {
    let recipe = recipe();
    on_virtual_time(async {
        let mut station = Station::new(9, &recipe).await;
        while off_um(&station.door.load_next_unit()) < 13.0 {}
        station.bench.reference().await.unwrap();
        station.bench.park().await.unwrap();
        station.door.inject(Fault::parse("axis-stuck:y2").unwrap());
        let end = station.run(&recipe, &mut Watch::new(&station.door)).await;
        assert_eq!((end.outcome, end.cause), (Outcome::Error, Some(Cause::Station)), "{:?}", end.message);
    });
}

#[test]
fn a_run_that_is_stopped_in_mid_search_backs_off_both_fibres() {
    let recipe = recipe();
    on_virtual_time(async {
        let mut station = Station::new(3, &recipe).await;
        station.door.load_next_unit();
        let mut watch = Watch { stop_after: 6, ..Watch::new(&station.door) };
        let end = station.run(&recipe, &mut watch).await;
        assert_eq!((end.outcome, end.safe), (Outcome::Aborted, true), "{:?}", end.message);
        let truth = station.door.truth();
        assert!(both_backed_off(&truth) && !truth.source_on && !truth.moving, "{truth:?}");
    });
}

#[test]
fn after_an_unclean_end_both_fibres_are_backed_off_before_anything_else_moves() {
    let recipe = recipe();
    on_virtual_time(async {
        let mut station = Station::new(4, &recipe).await;
        station.door.load_next_unit();
        station.bench.reference().await.unwrap();
        let near: Vec<(Axis, f64)> = [Axis::X, Axis::Y, Axis::Z, Axis::X2, Axis::Y2, Axis::Z2].map(|a| (a, 0.0)).into();
        station.bench.approach(&near).await.unwrap();
        station.bench = Station::connected(&station.world, &station.clock, &recipe).await;
        let before = station.door.orders().len();
        let mut watch = Watch::new(&station.door);
        let end = station.run(&recipe, &mut watch).await;
        assert_eq!(end.outcome, Outcome::Pass, "{:?}", end.message);
        assert!(watch.notes.iter().any(|n| n.contains("found near contact")), "{:?}", watch.notes);
        let orders = station.door.orders();
        let moved = orders[before..].iter().filter_map(|o| match &o.order {
            Order::Move { axis, .. } => Some(axis.as_str()),
            Order::Stop => None,
        });
        let first: Vec<&str> = moved.take(2).collect();
        assert_eq!(first, ["z", "z2"]);
    });
}
