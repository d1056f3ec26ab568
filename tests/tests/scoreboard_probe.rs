//! What a search sees of the benchmark's station, and what it does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use station::search::{Probe, SearchError};
use tests::scoreboard::station::Refused;
use tests::scoreboard::{BoardProbe, Condition, Station, landscape};

fn probe(name: &str, condition: &str, budget: usize) -> BoardProbe {
    let scene = landscape::scene(name, 0, Condition::named(condition).unwrap()).unwrap();
    BoardProbe::new(Station::new(scene, budget))
}

/// The benchmark's futures never wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the benchmark has no clock to wait for"),
    }
}

#[test]
fn a_sample_gives_the_command_and_never_the_pose() {
    let mut probe = probe("array8", "stress", 10);
    now(probe.move_to(&[1.0, 2.0, 3.0, 0.1, 0.2, 0.3])).unwrap();
    let sample = now(probe.measure()).unwrap();
    assert_eq!(sample.actual, [1.0, 2.0, 3.0, 0.1, 0.2, 0.3]);
    assert_eq!(sample.commanded, sample.actual);
    assert_eq!(sample.readings.len(), 8);
    assert_ne!(&probe.station.actual()[..], &sample.actual[..]);
    assert_ne!(probe.info().axes[0].play, probe.station.play[0]);
}

#[test]
fn straight_sweeps_keep_within_the_stage_at_any_speed() {
    let mut probe = probe("edge5d", "std", 3000);
    for (to, speed) in [([3.0, -2.0, 1.0, 0.0, 0.0], 2000.0), ([0.0, 0.0, 0.0, 2.0, -1.0], 1e9), ([0.0; 5], 0.5e3)] {
        let samples = now(probe.sweep(&to, speed)).unwrap();
        assert_eq!(samples.last().unwrap().commanded, to);
    }
    assert_eq!(probe.refused(), None);
}

#[test]
fn a_path_too_sharp_for_the_stage_is_refused() {
    let mut probe = probe("smf2d", "std", 100);
    let corner = [vec![0.0, 0.0], vec![0.5, 0.0], vec![1.0, 0.0], vec![1.0, 0.5]];
    assert!(matches!(now(probe.sweep_path(&corner, 500.0, None)), Err(SearchError::TooFast { .. })));
    assert_eq!((probe.refused(), probe.station.readings()), (Some(Refused::Path), 0));
}

#[test]
fn readings_end_with_the_budget_and_the_stage_goes_to_the_best() {
    let mut probe = probe("smf2d", "std", 3);
    for x in [0.0, -2.0, 1.0] {
        now(probe.move_to(&[x, 0.0])).unwrap();
        now(probe.measure()).unwrap();
    }
    assert!(matches!(now(probe.measure()), Err(SearchError::Budget(3))));
    probe.station.retreat();
    assert_eq!(probe.station.command()[0], -2.0);
    probe.station.finish();
    assert_eq!(probe.station.readings(), 4);
}
