//! Parts whose light is not what the recipe says: side lobes 8 to 20 dB below the peak, or a peak with one steep flank.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::Recipe;
use sim::{BackDoor, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Event, EventSink};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// Sees what is left when the search ends, and what is said of it.
struct Watch {
    door: BackDoor,
    left_db: f64,
    bound_db: f64,
    said: String,
}

impl EventSink for Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Trace(trace) if trace.search == "peak" => self.left_db = self.door.left_db(),
            Event::Measurement(m) if m.name == "loss_left_95" => self.bound_db = m.value,
            Event::StepEnded { message: Some(said), .. } if said.contains("expected loss left") => {
                self.said.clone_from(said);
            }
            _ => {}
        }
    }
}

/// These units of the seed in a world of this kind (what follows `preset =`), as their searches ended.
fn run(world: &str, seed: u64, units: &[u64]) -> Vec<Watch> {
    let bench = benches::named("receptacle").unwrap();
    let bench = bench.replace("preset = \"receptacle\"", &format!("preset = {world}"));
    let recipe = Recipe::parse(recipes::named("400g-fr4").unwrap()).unwrap();
    let config = BenchConfig::parse(&bench).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(&bench, Path::new(""), &wiring(&config), seed, false, clock.clone()).unwrap();
        let door = world.backdoor();
        let mut bench = Bench::open(config, clock, &WorldPorts { world }).await.unwrap();
        bench.connect(recipe.unit.wavelength_nm).await.unwrap();
        let (_sender, mut stop) = stop();
        let mut all = Vec::new();
        for unit in units {
            while door.load_next_unit().number != *unit {}
            let mut watch = Watch { door: door.clone(), left_db: f64::NAN, bound_db: f64::NAN, said: String::new() };
            let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
            sequence::run(&mut bench, &job, &mut stop, &mut watch).await;
            all.push(watch);
        }
        all
    })
}

/// These ended 4 to 12 dB down, on a side lobe or beside one, before the search looked around.
#[test]
fn a_hill_darker_than_expected_is_left_for_the_main_peak_beside_it() {
    for Watch { left_db, said, .. } in [35, 53, 59, 78].into_iter().flat_map(|unit| run("\"pigtail\"", 5, &[unit])) {
        assert!(left_db < 0.1, "{left_db} dB left: {said}");
        assert!(said.contains("main peak: "), "{said}");
    }
}

#[test]
fn a_peak_brighter_than_a_side_lobe_can_be_is_taken_at_once() {
    for Watch { said, .. } in run("\"receptacle\"", 5, &[1, 2, 3]) {
        assert!(said.contains("brighter than a side lobe can be"), "{said}");
    }
}

/// How many of 40 units with such modes end within the bound.
fn held(modes: &str) -> usize {
    let units: Vec<u64> = (1..=40).collect();
    let all = run(&format!("\"receptacle\"\n[simulation.optics]\nmodes = \"{modes}\""), 21, &units);
    all.iter().filter(|w| w.left_db <= w.bound_db).count()
}

/// A model as steep on one side as on the other stated a bound that held in 75 of 100 such units.
#[test]
fn the_bound_holds_where_the_light_falls_off_faster_on_one_side() {
    let held = held("skewed");
    assert!(held >= 36, "{held} of 40 within the bound");
}

/// A model with the depth of two Gaussian modes stated a bound that held in 76 of 100 such units.
#[test]
fn the_bound_holds_where_the_light_falls_off_faster_along_it() {
    let held = held("step-index");
    assert!(held >= 36, "{held} of 40 within the bound");
}
