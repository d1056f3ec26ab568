//! Arrays behind an optical switch, and on a meter of many channels: end to end, in virtual time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::{Axis, Recipe};
use sim::{BackDoor, World};
use station::bench::{Bench, BenchError};
use station::config::BenchConfig;
use station::event::{Event, Outcome};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::task::LocalSet;
use units::Reading;
use units::clock::{Clock, virtual_runtime};

/// Loss of the simulated switch, dB.
const SWITCH_DB: f64 = 0.7;

/// The built-in bench before another part, its signal channel replaced.
fn bench_text(preset: &str, channels: &str) -> String {
    let signal = "[channels.signal]\nmeter = \"signal_meter\"\nrole = \"signal\"\nfloor_dbm = -70\n";
    let text = benches::named("receptacle").unwrap();
    assert!(text.contains(signal));
    text.replace(signal, channels).replace("preset = \"receptacle\"", &format!("preset = \"{preset}\""))
}

/// Lanes 1 to `count` on the outputs of a switch, whose first input is on the meter.
fn in_turn(count: u32) -> String {
    let lane = |n: u32| {
        format!("[channels.lane{n}]\nmeter = \"signal_meter\"\nrole = \"signal\"\nlane = {n}\nswitch_port = {n}\n\n")
    };
    let switch = "[ports.switch]\nserial = \"/tmp/firstlight/switch\"\n\n[switch]\ndriver = \"dicon-switch\"\n\
                  port = \"switch\"\nmodel = \"GP600\"\nmeter_side = \"input\"\nsettle_ms = 5\n\n";
    format!("{switch}{}", (1..=count).map(lane).collect::<String>())
}

/// Lanes 1 to `count` on the channels of one meter.
fn at_once(count: u32) -> String {
    let lane =
        |n: u32| format!("[channels.lane{n}]\nmeter = \"array\"\nnumber = {n}\nrole = \"signal\"\nlane = {n}\n\n");
    let meter = "[ports.array]\nserial = \"/tmp/firstlight/array\"\n\n[meters.array]\ndriver = \"keysight-pm\"\n\
                 port = \"array\"\nmodel = \"N7745A\"\nrange_dbm = 10\n\n";
    format!("{meter}{}", (1..=count).map(lane).collect::<String>())
}

fn in_world<T>(text: &str, act: impl AsyncFnOnce(Bench, BackDoor, Clock) -> T) -> T {
    let config = BenchConfig::parse(text).map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), 3, false, clock.clone());
        let world = world.map_err(|f| f.0.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let door = world.backdoor();
        let bench = Bench::open(config, clock.clone(), &WorldPorts { world }).await.unwrap();
        door.load_next_unit();
        act(bench, door, clock).await
    })
}

/// What each lane of an aligned array shows over what is launched, dB, beside what is so; and how long a round took.
fn losses(channels: &str) -> (Vec<(f64, f64)>, f64) {
    in_world(&bench_text("edge-array", channels), async |mut bench, door, clock| {
        bench.connect(1310.0).await.unwrap();
        bench.source_on(0.05, Duration::from_secs(20)).await.unwrap();
        bench.reference().await.unwrap();
        let [x, y, z] = door.truth().focus_um;
        bench.approach(&[(Axis::X, x), (Axis::Y, y), (Axis::Z, z)]).await.unwrap();
        let begun = clock.seconds();
        let readings = bench.read().await.unwrap();
        let took = clock.seconds() - begun;
        let truth = door.truth();
        let losses = bench.config().channels.iter().zip(&readings).filter(|(c, _)| c.name.starts_with("lane"));
        let losses = losses.map(|(channel, reading)| {
            let Reading::Power(power) = reading else { panic!("{}: {reading:?}", channel.name) };
            let lane = usize::try_from(channel.lane).unwrap() - 1;
            (10.0 * (truth.launched_w / power.watts()).log10(), truth.lane_loss_db[lane])
        });
        (losses.collect(), took)
    })
}

#[test]
fn eight_lanes_behind_a_switch_are_read_in_turn_and_on_eight_channels_at_once() {
    let (switched, in_turn_s) = losses(&in_turn(8));
    let (beside, at_once_s) = losses(&at_once(8));
    assert_eq!((switched.len(), beside.len()), (8, 8));
    for (n, (seen, so)) in switched.iter().enumerate() {
        assert!((seen - so - SWITCH_DB).abs() < 0.1, "lane {}: {seen} dB seen, {so} dB and the switch are so", n + 1);
    }
    for (n, (seen, so)) in beside.iter().enumerate() {
        assert!((seen - so).abs() < 0.1, "lane {}: {seen} dB seen, {so} dB is so", n + 1);
    }
    // Each of seven switchings takes 20 ms, and 5 ms to settle.
    assert!(in_turn_s > 7.0 * 0.025 && at_once_s < in_turn_s / 4.0, "{in_turn_s} s in turn, {at_once_s} s at once");
}

#[test]
fn a_unit_is_aligned_and_tested_through_a_switch_and_the_bench_left_safe() {
    let recipe = Recipe::parse(recipes::named("400g-fr4").unwrap()).unwrap();
    in_world(&bench_text("receptacle", &in_turn(1)), async |mut bench, door, _| {
        bench.connect(1310.0).await.unwrap();
        let (_sender, mut stop) = stop();
        let mut events: Vec<Event> = Vec::new();
        let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: true };
        let end = sequence::run(&mut bench, &job, &mut stop, &mut events).await;
        assert_eq!(end.outcome, Outcome::Pass, "{end:#?}");
        assert!(end.safe, "{end:#?}");
        let loss = events.iter().find_map(|e| match e {
            Event::Measurement(m) if m.name == "coupling_loss" => Some(m.value),
            _ => None,
        });
        let so = door.truth().best_loss_db + SWITCH_DB;
        assert!(loss.is_some_and(|loss| (loss - so).abs() < 0.15), "{loss:?} measured, {so} is so");
        assert!(bench.instruments().iter().any(|(name, identity, _)| name == "switch" && identity.contains("GP600")));
    });
}

#[test]
fn another_switch_and_a_port_that_it_does_not_have_are_refused_by_name() {
    let refused = |text: &str| {
        in_world(text, async |mut bench, _, _| {
            let told = bench.connect(1310.0).await.unwrap_err();
            assert!(matches!(told, BenchError::Switch(_)), "{told}");
            (told.to_string(), told.hint())
        })
    };
    let text = bench_text("edge-array", &in_turn(8));
    let (told, hint) = refused(&text.replace("model = \"GP600\"", "model = \"GP600\"\nserial_number = \"19A\""));
    assert!(told.contains("switch: expected GP600 with serial 19A, but Dicon") && hint.contains("swapped"), "{told}");
    let (told, hint) = refused(&text.replace("switch_port = 8", "switch_port = 9"));
    assert_eq!(told, "switch: there is no output 9; the switch has 8");
    assert!(hint.contains("switch_port"));
    let (told, _) = refused(&text.replace("meter_side = \"input\"", "meter_side = \"output\""));
    assert_eq!(told, "switch: there is no input 5; the switch has 4");
}
