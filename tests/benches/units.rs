//! Simulated units a second for a whole run, and where the time goes.
//!
//! `cargo bench -p tests --bench units`; the table stands in docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "a benchmark's table is its output")]

use std::path::Path;
use std::time::Instant;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::Recipe;
use sim::World;
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Event, EventSink, Outcome, RunEnd, RunStart, Unit};
use station::sequence::{self, Job, LaunchedSource, stop};
use station::store::Writer;
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// Units a figure is taken over.
const UNITS: u32 = 200;

/// What a pass over all units came to.
struct Pass {
    wall_s: f64,
    virtual_s: f64,
    events: usize,
    looks: u64,
}

/// Where events go: nowhere, counted, or into the log besides.
struct Counted<'w> {
    events: usize,
    writer: Option<&'w Writer>,
}

impl EventSink for Counted<'_> {
    fn event(&mut self, event: &Event) {
        self.events += 1;
        if let Some(writer) = self.writer {
            writer.record(event);
        }
    }
}

fn start(recipe: &Recipe, number: u32) -> RunStart {
    let unit = Unit {
        part_number: recipe.part_number.clone(),
        serial_number: format!("SIM-{number:06}"),
        lot: None,
        components: Vec::new(),
    };
    RunStart {
        unit,
        recipe: recipe.product.clone(),
        recipe_revision: recipe.revision.clone(),
        recipe_hash: recipe.hash.clone(),
        recipe_text: recipe.text.clone(),
        station: "bench".into(),
        operator: None,
        software_version: env!("CARGO_PKG_VERSION").into(),
        seed: Some(1),
        simulated: true,
    }
}

fn pass(writer: Option<&Writer>) -> Pass {
    let recipe = Recipe::parse(recipes::named("400g-fr4").expect("built in")).expect("it can run");
    let text = benches::named("receptacle").expect("built in");
    let config = BenchConfig::parse(text).expect("it is in order");
    let runtime = virtual_runtime().expect("a runtime");
    let began = Instant::now();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), 1, false, clock.clone()).expect("a world");
        let door = world.backdoor();
        let mut bench = Bench::open(config, clock.clone(), &WorldPorts { world }).await.expect("ports");
        bench.connect(recipe.unit.wavelength_nm).await.expect("instruments");
        let (_sender, mut stop) = stop();
        let mut sink = Counted { events: 0, writer };
        let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
        for number in 1..=UNITS {
            door.load_next_unit();
            if let Some(writer) = writer {
                writer.begin(&start(&recipe, number)).expect("durable");
            }
            let end: RunEnd = sequence::run(&mut bench, &job, &mut stop, &mut sink).await;
            assert_eq!(end.outcome, Outcome::Pass, "{end:?}");
            if let Some(writer) = writer {
                writer.end(&end).expect("durable");
            }
        }
        Pass {
            wall_s: began.elapsed().as_secs_f64(),
            virtual_s: clock.seconds(),
            events: sink.events,
            looks: door.looks(),
        }
    })
}

/// Seconds that light takes through the part of this bench, once: stage, drift and all.
fn one_look() -> f64 {
    let text = benches::named("receptacle").expect("built in");
    let config = BenchConfig::parse(text).expect("it is in order");
    let runtime = virtual_runtime().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), 1, false, clock).expect("a world");
        let door = world.backdoor();
        let before = door.looks();
        let began = Instant::now();
        for _ in 0..20_000 {
            std::hint::black_box(door.lane_loss_db());
        }
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let looks = (door.looks() - before) as f64;
        began.elapsed().as_secs_f64() / looks
    })
}

fn main() {
    // Under `cargo test` a benchmark is only built.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::open(&folder.path().join("log.db"), jiff::Timestamp::now).expect("a log");
    let logged = pass(Some(&writer));
    writer.close().expect("closed");
    let bare = pass(None);
    let look_s = one_look();
    let each = |s: f64| 1e3 * s / f64::from(UNITS);
    #[expect(clippy::cast_precision_loss, reason = "millions")]
    let optics_s = bare.looks as f64 * look_s;
    let (log_s, rest_s) = (logged.wall_s - bare.wall_s, bare.wall_s - optics_s);
    println!("| part of a run | ms a unit | share |\n|---|---|---|");
    for (name, s) in [
        ("optics and mechanics: light through the part", optics_s),
        ("protocol, drivers, searches, simulated instruments", rest_s),
        ("log: events to SQLite, start and end durable", log_s),
        ("whole", logged.wall_s),
    ] {
        println!("| {name} | {:.2} | {:.0} % |", each(s), 100.0 * s / logged.wall_s);
    }
    println!(
        "\n{:.1} units/s; {:.2} s a unit on the bench's clock; {} looks of {:.0} ns and {} events a unit",
        f64::from(UNITS) / logged.wall_s,
        bare.virtual_s / f64::from(UNITS),
        bare.looks / u64::from(UNITS),
        1e9 * look_s,
        bare.events / UNITS as usize,
    );
}
