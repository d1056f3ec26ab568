//! Routines on a light that is a formula.

use super::*;

const SERVO_S: f64 = 1e-3;

/// Runs to its end on a Gaussian spot; the time it took.
fn run(plan: Plan, spot: At, width: f64) -> (Run, f64) {
    let mut run = Run::begin(plan, 0.0, (0.0, 0.0), (1000.0, 1000.0), SERVO_S, None);
    for k in 1..200_000u32 {
        let t = f64::from(k) * SERVO_S;
        let at = run.target(t);
        let d2 = (at.0 - spot.0).powi(2) + (at.1 - spot.1).powi(2);
        run.take(t, at, (-2.0 * d2 / width.powi(2)).exp());
        if run.is_over() {
            return (run, t);
        }
    }
    panic!("never over");
}

fn area() -> Area {
    Area {
        range: (40.0, 40.0),
        middle: None,
        level: 0.1,
        frequency_hz: 10.0,
        velocity: 20.0,
        spiral: false,
        estimate: 0,
        window: (20.0, 100.0),
        stop: 0,
    }
}

fn off(outcome: &Outcome, spot: At) -> f64 {
    (outcome.max_at.0 - spot.0).hypot(outcome.max_at.1 - spot.1)
}

#[test]
fn an_area_scan_ends_on_the_maximum_and_estimates_are_nearer_than_the_highest_sample() {
    let spot = (7.3, -5.1);
    let (highest, time) = run(Plan::Area(area()), spot, 8.0);
    assert!((2.0..2.2).contains(&time), "{time}");
    assert!(off(&highest.outcome(), spot) < 1.2 && highest.outcome().success);
    for (estimate, within) in [(1, 0.02), (2, 0.5)] {
        let (got, _) = run(Plan::Area(Area { estimate, ..area() }), spot, 8.0);
        assert!(off(&got.outcome(), spot) < within, "{estimate}: {:?}", got.outcome());
        assert_eq!(got.here, got.outcome().max_at);
    }
}

#[test]
fn a_spiral_scans_from_the_middle_out_and_goes_back_where_it_is_told_to() {
    let (got, time) = run(Plan::Area(Area { spiral: true, stop: 2, ..area() }), (3.0, 3.0), 8.0);
    assert!((1.0..1.2).contains(&time), "{time}");
    assert_eq!(got.here, (0.0, 0.0));
    assert!(off(&got.outcome(), (3.0, 3.0)) < 1.2);
}

#[test]
fn a_scan_that_finds_nothing_says_so_and_one_with_a_threshold_stops_there() {
    let (none, _) = run(Plan::Area(area()), (500.0, 0.0), 8.0);
    assert!(!none.outcome().success && none.outcome().reason == NOT_FOUND);
    let (stopped, time) = run(Plan::Area(Area { stop: 3, ..area() }), (0.0, -15.0), 8.0);
    assert!(time < 0.6 && stopped.outcome().success, "{time}");
}

#[test]
fn a_gradient_search_walks_up_to_the_maximum() {
    let plan = Gradient {
        level: 0.1,
        radius: (1.5, 2.0),
        frequency_hz: 20.0,
        gain: 10.0,
        velocity: 200.0,
        direction_changes: 6,
        speed_offset: 0.0,
    };
    let spot = (7.0, -5.0);
    let (got, time) = run(Plan::Gradient(plan), spot, 9.0);
    assert!(got.outcome().success && time < 20.0, "{time}");
    assert!(off(&got.outcome(), spot) < 0.1, "{:?}", got.outcome());
    assert!(got.outcome().direction_changes >= 6 && got.outcome().radius < 1.6);
}

#[test]
fn a_first_light_search_stops_at_the_first_signal() {
    let plan = FirstLight {
        range: (100.0, 100.0),
        sigmas: 5.0,
        calculate: true,
        limit_s: 100.0,
        middle: None,
        noise_at: Some((-50.0, -50.0)),
        velocity: 500.0,
    };
    let (got, time) = run(Plan::FirstLight(plan.clone()), (20.0, 10.0), 9.0);
    assert!(got.outcome().success && time < 5.0, "{time}");
    // A Gaussian has no edge: without noise it is found far out.
    assert!(off(&got.outcome(), (20.0, 10.0)) < 25.0);
    let (none, time) = run(Plan::FirstLight(FirstLight { limit_s: 1.0, sigmas: 1e9, ..plan }), (20.0, 10.0), 9.0);
    assert!(!none.outcome().success || time < 1.1);
}

#[test]
fn time_held_does_not_count() {
    let mut run = Run::begin(Plan::Area(area()), 0.0, (0.0, 0.0), (1000.0, 1000.0), SERVO_S, None);
    let at = run.target(0.01);
    run.shift(5.0);
    let later = run.target(5.01);
    assert!((later.0 - at.0).hypot(later.1 - at.1) < 1e-9, "{at:?} {later:?}");
}
