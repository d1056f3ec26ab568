//! An array of eight channels in six axes, end to end: every reading is of all lanes at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use firstlight::wiring::{WorldPorts, wiring};
use recipes::Recipe;
use sim::{BackDoor, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Event, EventSink, Outcome};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::io::AsyncWriteExt as _;
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// A hexapod before an array, with the eight lanes on one meter.
fn bench_text() -> String {
    let text = tests::hexapod_bench();
    let signal = "[channels.signal]\nmeter = \"signal_meter\"\nrole = \"signal\"\nfloor_dbm = -70\n";
    let lane =
        |n: u32| format!("[channels.lane{n}]\nmeter = \"array\"\nnumber = {n}\nrole = \"signal\"\nlane = {n}\n\n");
    let meter = "[ports.array]\nserial = \"/tmp/firstlight/array\"\n\n[meters.array]\ndriver = \"keysight-pm\"\n\
                 port = \"array\"\nmodel = \"N7745A\"\nrange_dbm = 10\n\n";
    text.replace(signal, &format!("{meter}{}", (1..=8).map(lane).collect::<String>()))
}

/// Sees what each lane lacks when the search ends.
struct Watch {
    door: BackDoor,
    channels: usize,
    readings: usize,
    left_db: Vec<f64>,
}

impl EventSink for Watch {
    fn event(&mut self, event: &Event) {
        if let Event::Trace(trace) = event
            && trace.search == "peak"
        {
            self.channels = trace.channels.len();
            self.readings = trace.samples.len();
            let truth = self.door.truth();
            self.left_db = truth.lane_loss_db.iter().map(|l| l - truth.best_loss_db).collect();
        }
    }
}

fn recipe_text(objective: &str) -> String {
    recipes::named("400g-fr4")
        .unwrap()
        .replace("expected_loss_db = 1.0 ", "channel_pitch_um = 127\nexpected_loss_db = 1.5 ")
        .replace(
            "axes = [\"x\", \"y\", \"z\"]",
            &format!("axes = [\"x\", \"y\", \"z\", \"rx\", \"ry\", \"rz\"]\nobjective = \"{objective}\""),
        )
        .replace("z_range_um = 150", "z_range_um = 40")
        .replace("tolerance_db = 0.01", "tolerance_db = 0.03")
        .replace("upper = 1.8", "upper = 6")
}

#[test]
fn eight_channels_are_aligned_in_six_axes_with_all_lanes_read_at_once() {
    let objective = "weakest";
    let text = bench_text();
    let recipe = Recipe::parse(&recipe_text(objective));
    let recipe = recipe.map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let config = BenchConfig::parse(&text);
    let config = config.map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(&text, Path::new(""), &wiring(&config), 5, false, clock.clone());
        let world = world.map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let door = world.backdoor();
        door.load_next_unit();
        // The pivot is set to the fibres' ends, as whoever sets up the bench does.
        let settings = sim::LineSettings { baud: 115_200, parity: sim::Parity::None };
        let mut pipe = world.connect("motion", settings).unwrap();
        pipe.write_all(b"SPI R 0 S 0 T 50\n").await.unwrap();
        clock.sleep(std::time::Duration::from_millis(100)).await;
        drop(pipe);
        let mut bench = Bench::open(config, clock, &WorldPorts { world }).await.unwrap();
        bench.connect(recipe.unit.wavelength_nm).await.unwrap();
        let (_sender, mut stop) = stop();
        let mut watch = Watch { door: door.clone(), channels: 0, readings: 0, left_db: Vec::new() };
        let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
        let end = sequence::run(&mut bench, &job, &mut stop, &mut watch).await;
        assert_eq!(end.outcome, Outcome::Pass, "{objective}: {end:#?}");
        assert_eq!(watch.channels, 8);
        assert!(watch.readings < 40, "{objective}: {}", watch.readings);
        // Each lane has a loss of its own, up to 0.3 dB, besides what the alignment leaves.
        assert!(watch.left_db.iter().all(|l| *l < 1.0), "{objective}: {:?}", watch.left_db);
    });
}
