//! Meters on their Ethernet port: two channels at once, and sweeps read from the stream of samples; in virtual time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::{Axis, Recipe};
use sim::{BackDoor, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Event, Outcome, RunEnd};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// The built-in bench with a signal meter of this driver and model on TCP.
fn bench_text(driver: &str, model: &str) -> String {
    let text = benches::named("receptacle").unwrap();
    let meter = "driver = \"thorlabs-pm\"\nport = \"signal\"\nmodel = \"PM101\"";
    let port = "serial = \"/tmp/firstlight/signal\"\nbaud = 115200";
    assert!(text.contains(meter) && text.contains(port));
    let new = format!("driver = \"{driver}\"\nport = \"signal\"\nmodel = \"{model}\"");
    text.replace(meter, &new).replace(port, "tcp = \"127.0.0.1:2000\"")
}

/// The same, with the tap on the second channel of the signal's meter.
fn two_channels() -> String {
    let text = bench_text("thorlabs-pm-lan", "PM5020");
    let (from, to) = (text.find("[meters.tap_meter]").unwrap(), text.find("[channels.signal]").unwrap());
    let text = format!("{}{}", &text[..from], &text[to..]);
    let text = text.replace("meter = \"tap_meter\"", "meter = \"signal_meter\"\nnumber = 2");
    let (from, to) = (text.find("[ports.tap]").unwrap(), text.find("[ports.laser]").unwrap());
    format!("{}{}", &text[..from], &text[to..])
}

fn in_world<T>(text: &str, seed: u64, act: impl AsyncFnOnce(&mut Bench, BackDoor, Clock) -> T) -> T {
    let config = BenchConfig::parse(text).map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), seed, false, clock.clone()).unwrap();
        let door = world.backdoor();
        let mut bench = Bench::open(config, clock.clone(), &WorldPorts { world }).await.unwrap();
        bench.connect(1310.0).await.unwrap();
        door.load_next_unit();
        act(&mut bench, door, clock).await
    })
}

fn run(text: &str, seed: u64) -> (RunEnd, f64, f64) {
    let recipe = Recipe::parse(recipes::named("400g-fr4").unwrap()).unwrap();
    in_world(text, seed, async |bench, door, _| {
        let (_sender, mut stop) = stop();
        let mut events: Vec<Event> = Vec::new();
        let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
        let end = sequence::run(bench, &job, &mut stop, &mut events).await;
        let loss = events.iter().find_map(|e| match e {
            Event::Measurement(m) if m.name == "coupling_loss" => Some(m.value),
            _ => None,
        });
        (end, loss.unwrap_or(f64::NAN), door.truth().best_loss_db)
    })
}

#[test]
fn units_are_aligned_by_the_streams_of_both_forms_and_through_two_channels() {
    for seed in 1..=2 {
        for text in [bench_text("thorlabs-pm-lan", "PM103E"), two_channels()] {
            let (end, loss, best) = run(&text, seed);
            assert_eq!(end.outcome, Outcome::Pass, "{end:#?}");
            assert!((loss - best).abs() < 0.15, "seed {seed}: {loss} measured, {best} is the best");
        }
    }
}

#[test]
fn a_sweep_has_a_sample_each_millisecond_where_the_light_was() {
    in_world(&two_channels(), 3, async |bench, door, _| {
        assert!(bench.signal_streams());
        bench.source_on(0.05, Duration::from_secs(20)).await.unwrap();
        bench.reference().await.unwrap();
        let [x, y, z] = door.truth().focus_um;
        bench.approach(&[(Axis::X, x - 40.0), (Axis::Y, y), (Axis::Z, z)]).await.unwrap();
        let samples = bench.sweep(&[(Axis::X, x + 40.0)], 400.0).await.unwrap();
        assert!(samples.len() > 180, "{} samples in 0.2 s", samples.len());
        let power = |s: &station::event::Sample| s.readings[0].power().map_or(0.0, |p| p.watts());
        let best = samples.iter().max_by(|a, b| power(a).total_cmp(&power(b))).unwrap();
        assert!((best.actual[0] - x).abs() < 1.5, "the greatest at {}, the part is at {x}", best.actual[0]);
    });
}

#[test]
fn a_stream_is_told_in_rows_of_both_channels_at_the_rate_asked_for() {
    in_world(&two_channels(), 3, async |bench, _, _| {
        bench.source_on(0.05, Duration::from_secs(20)).await.unwrap();
        assert_eq!(bench.stream_rate("signal_meter").map(f64::round), Some(100_000.0));
        let mut rows = Vec::new();
        let told = |at: f64, readings: &[units::Reading]| {
            rows.push((at, readings.to_vec()));
            rows.len() < 50
        };
        bench.stream("signal_meter", Duration::from_millis(2), told).await.unwrap();
        let steps: Vec<f64> = rows.windows(2).map(|w| w[1].0 - w[0].0).collect();
        assert!(steps.iter().all(|s| *s > 0.0019) && steps.iter().sum::<f64>() < 0.15, "{steps:?}");
        let tap = rows.last().unwrap().1[1].power().unwrap().dbm().unwrap();
        assert!((tap + 10.0).abs() < 3.0, "{tap} dBm at the tap");
    });
}
