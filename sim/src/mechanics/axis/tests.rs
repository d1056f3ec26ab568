use super::*;
use crate::mechanics::Side;

fn model() -> AxisModel {
    AxisModel {
        travel_um: (-10_000.0, 10_000.0),
        reference_um: 0.0,
        acceleration_um_s2: 50_000.0,
        velocity_max_um_s: 10_000.0,
        play_um: 0.2,
        repeatability_um: 0.0,
        encoder_um: 0.01,
        settle_hz: 120.0,
        settle_damping: 0.2,
        ring_um: 0.3,
    }
}

fn axis() -> AxisState {
    AxisState::new(model(), Stream::new(1, "axis"), 0.0)
}

#[test]
fn the_closed_form_agrees_with_integrating_the_speed() {
    for (distance, speed) in [(0.5, 5000.0), (100.0, 5000.0), (1000.0, 5000.0), (3000.0, 800.0)] {
        let mut axis = axis();
        axis.start(1.0, distance, speed);
        let mut t = 1.0;
        let mut x = 0.0;
        let dt = 1e-5;
        while axis.moving(t) {
            x += axis.profile.velocity(t + dt / 2.0) * dt;
            t += dt;
            assert!((axis.profile.position(t) - x).abs() < 0.06, "{distance}: {t} {x}");
        }
        assert!((x - distance).abs() < 0.06);
        let v2a = speed * speed / 50_000.0;
        let expected =
            if distance <= v2a { 2.0 * (distance / 50_000.0f64).sqrt() } else { distance / speed + speed / 50_000.0 };
        assert!((axis.profile.end_s() - 1.0 - expected).abs() < 1e-9);
    }
}

#[test]
fn the_load_follows_behind_the_play() {
    let mut axis = axis();
    axis.start(0.0, 10.0, 5000.0);
    assert!((axis.load(10.0) - 9.9).abs() < 1e-9);
    axis.start(10.0, 9.9, 5000.0);
    assert!((axis.load(20.0) - 9.9).abs() < 1e-9, "within the play nothing is dragged");
    axis.start(20.0, 5.0, 5000.0);
    assert!((axis.load(30.0) - 5.1).abs() < 1e-9);
    assert!((axis.encoder(30.0) - 5.0).abs() < 1e-9, "the encoder does not see the play");
}

#[test]
fn it_rings_after_a_move_and_settles() {
    let mut axis = axis();
    axis.start(0.0, 500.0, 5000.0);
    let end = axis.profile.end_s();
    assert!(!axis.settled(end + 1e-3) && axis.settled(end + 0.1));
    assert!((axis.load(end + 0.5) - 499.9).abs() < 1e-3);
}

#[test]
fn a_stop_brakes_at_full_deceleration_and_no_faster() {
    let mut axis = axis();
    axis.start(0.0, 5000.0, 5000.0);
    let (at, v) = (axis.profile.position(0.5), axis.profile.velocity(0.5));
    axis.stop(0.5);
    assert!((axis.profile.position(0.5) - at).abs() < 1e-6);
    assert!((axis.profile.velocity(0.5) - v).abs() < 1e-6);
    assert!((axis.profile.position(9.0) - (at + v * v / 100_000.0)).abs() < 1e-6);
    assert!(!axis.moving(0.5 + v / 50_000.0 + 1e-6));
}

#[test]
fn limit_switches_end_the_travel_and_a_stuck_axis_stays() {
    let mut axis = axis();
    axis.start(0.0, 20_000.0, 5000.0);
    assert_eq!(axis.target(), 10_000.0);
    axis.hold(0.1, true);
    let at = axis.encoder(0.1);
    axis.start(0.2, 0.0, 5000.0);
    assert!((axis.encoder(9.0) - at).abs() < 0.02);
}

fn piezo(creep: f64) -> AxisState {
    let model = AxisModel {
        travel_um: (0.0, 100.0),
        acceleration_um_s2: 1e6,
        play_um: 0.0,
        encoder_um: 1e-3,
        ring_um: 0.0,
        ..model()
    };
    let extras = Extras { piezo: Some(Piezo { hysteresis: 0.12, creep }), ..Extras::default() };
    AxisState::new(model, Stream::new(1, "piezo"), 0.0).with_extras(extras)
}

/// Where a creepless piezo is after moves of a second each.
fn after(targets: &[f64], speed: f64) -> f64 {
    let mut axis = piezo(0.0);
    let mut t = 0.0;
    for to in targets {
        axis.start(t, *to, speed);
        t += 1e3;
    }
    axis.load(t)
}

#[test]
fn a_piezo_loop_opens_by_its_share_of_the_travel_and_small_loops_by_less() {
    let opening = after(&[100.0, 50.0], 5000.0) - after(&[100.0, 0.0, 50.0], 5000.0);
    assert!((opening - 12.0).abs() < 1e-9, "{opening}");
    assert!((after(&[100.0], 1.0) - after(&[100.0, 0.0], 1.0) - 100.0).abs() < 1e-9, "the travel is the travel");
    let small = after(&[100.0, 0.0, 45.0, 55.0, 50.0], 9.0) - after(&[100.0, 0.0, 45.0, 55.0, 45.0, 50.0], 9.0);
    assert!((0.015..0.025).contains(&(small / 10.0)), "a tenth of the travel sees about 2 %: {small}");
}

#[test]
fn hysteresis_knows_turning_points_but_no_speed() {
    assert!((after(&[80.0, 20.0, 60.0], 10_000.0) - after(&[80.0, 20.0, 60.0], 0.3)).abs() < 1e-9);
    let wiped = after(&[80.0, 20.0, 60.0, 30.0, 70.0], 100.0) - after(&[80.0, 20.0, 70.0], 100.0);
    assert!(wiped.abs() < 1e-9, "a smaller loop is wiped out by a larger one");
    assert!(after(&[80.0, 20.0, 60.0], 100.0) < after(&[80.0, 60.0], 100.0));
}

#[test]
fn creep_after_a_30_um_step_is_0_3_to_0_6_um_per_decade() {
    for (growth, expect) in [(0.01, 0.3), (0.02, 0.6)] {
        let mut axis = piezo(growth);
        axis.start(0.0, 30.0, 10_000.0);
        for (early, late) in [(1.0, 10.0), (10.0, 100.0), (100.0, 1000.0)] {
            let crept = axis.load(late) - axis.load(early);
            assert!((crept / expect - 1.0).abs() < 0.03, "{early} s to {late} s: {crept} um");
        }
        let from_the_datum = axis.piezo.as_ref().unwrap().crept(1.0);
        assert!((from_the_datum / expect - 1.0).abs() < 0.03, "a decade after 0.1 s: {from_the_datum}");
        let law = growth * 30.0 * 100f64.log10();
        let owed = axis.load(10.0) - axis.load(0.1);
        assert!((owed / law - 1.0).abs() < 0.12, "{owed} {law}");
    }
}

#[test]
fn creep_of_many_steps_is_the_sum_of_their_creeps() {
    let creep = |moves: &[(f64, f64)]| {
        let mut axis = piezo(0.02);
        for (at_s, to) in moves {
            axis.start(*at_s, *to, 1e4);
        }
        axis.piezo.as_ref().unwrap().crept(60.0)
    };
    let sum = creep(&[(0.0, 10.0)]) + creep(&[(5.0, 20.0)]) + creep(&[(20.0, 7.0)]);
    let all = creep(&[(0.0, 10.0), (5.0, 30.0), (20.0, 37.0)]);
    assert!((all - sum).abs() < 1e-9, "{all} {sum}");
}

#[test]
fn a_screw_errs_once_a_turn_by_half_its_peak_to_peak_to_either_side() {
    let plain = AxisModel { play_um: 0.0, ring_um: 0.0, ..model() };
    let screw = Some(Screw { peak_to_peak_um: 0.6, period_um: 1000.0 });
    let at = |to: f64| {
        let extras = Extras { screw, ..Extras::default() };
        let mut axis = AxisState::new(plain.clone(), Stream::new(1, "axis"), 0.0).with_extras(extras);
        axis.start(0.0, to, 1e4);
        assert!((axis.encoder(9.0) - to).abs() < 1e-9, "the motor's encoder knows nothing of it");
        axis.load(9.0) - to
    };
    let errors: Vec<f64> = (0..200).map(|k| at(f64::from(k) * 5.0)).collect();
    let peak = errors.iter().fold(f64::MIN, |m, e| m.max(*e)) - errors.iter().fold(f64::MAX, |m, e| m.min(*e));
    assert!((peak - 0.6).abs() < 1e-3, "{peak}");
    assert!((at(123.0) - at(1123.0)).abs() < 1e-9);
}

#[test]
fn lost_steps_add_up_unseen_by_a_count_and_seen_by_a_scale() {
    for (feedback, seen) in [(Feedback::Motor, 100.0), (Feedback::Load, 98.3)] {
        let plain = AxisModel { play_um: 0.0, ..model() };
        let extras = Extras { feedback, ..Extras::default() };
        let mut axis = AxisState::new(plain, Stream::new(1, "axis"), 0.0).with_extras(extras);
        axis.suffer(0.0, Mishap { lost_um: 0.5, ..Mishap::default() });
        for (k, to) in [40.0, 80.0, 80.2, 100.0].into_iter().enumerate() {
            axis.start(k as f64, to, 5000.0);
        }
        // The third move is shorter than what it loses.
        let expect = 100.0 - 0.5 - 0.5 - 0.2 - 0.5;
        assert!((axis.load(9.0) - expect).abs() < 1e-9, "{}", axis.load(9.0));
        assert!((axis.encoder(9.0) - seen).abs() < 1e-9, "{}", axis.encoder(9.0));
        axis.suffer(9.0, Mishap::default());
        axis.start(10.0, 0.0, 5000.0);
        assert!((axis.load(19.0) + 1.7).abs() < 1e-9, "what is lost stays lost");
    }
}

#[test]
fn a_slipping_load_goes_a_share_of_the_way_from_when_it_slips() {
    let mut axis = AxisState::new(AxisModel { play_um: 0.0, ..model() }, Stream::new(1, "axis"), 0.0);
    axis.start(0.0, 100.0, 100.0);
    let at = axis.load(0.5);
    let mut asked_often = axis.clone();
    for k in 0..50 {
        asked_often.load(f64::from(k) * 0.02);
        asked_often.suffer(0.5, Mishap { grip: 0.7, ..Mishap::default() });
    }
    axis.suffer(0.5, Mishap { grip: 0.7, ..Mishap::default() });
    assert!((axis.load(9.0) - (at + 0.7 * (100.0 - at))).abs() < 1e-9);
    assert_eq!(axis.load(9.0), asked_often.load(9.0), "asking does not count as history");
    assert!((axis.encoder(9.0) - 100.0).abs() < 1e-9);
}

#[test]
fn a_false_limit_ends_the_motion_and_is_reported_until_the_axis_has_left_it() {
    let upper = Mishap { false_limit: Some((Side::Upper, 300.0)), ..Mishap::default() };
    let mut axis = axis();
    axis.suffer(0.0, upper);
    axis.start(0.0, 1000.0, 5000.0);
    assert_eq!((axis.target(), axis.limit(9.0)), (300.0, Some(Side::Upper)));
    assert!(axis.settled(9.0) && !axis.arrived(9.0));
    axis.start(10.0, 400.0, 5000.0);
    assert_eq!(axis.target(), 300.0, "no further that way");
    axis.start(20.0, 0.0, 5000.0);
    assert_eq!((axis.target(), axis.limit(29.0)), (0.0, None));
    assert!(axis.arrived(29.0));
}

#[test]
fn a_limit_that_trips_under_way_is_braked_for_or_overrun() {
    let mut axis = axis();
    axis.start(0.0, 5000.0, 5000.0);
    let limit = |at| Mishap { false_limit: Some((Side::Upper, at)), ..Mishap::default() };
    let (at, v) = (axis.profile.position(0.5), axis.profile.velocity(0.5));
    let mut near = axis.clone();
    axis.suffer(0.5, limit(at + 2000.0));
    assert!((axis.profile.position(0.5) - at).abs() < 1e-9 && axis.target() == at + 2000.0);
    near.suffer(0.5, limit(at + 10.0));
    assert!((near.profile.position(0.5) - at).abs() < 1e-6, "no jump");
    assert!((near.target() - (at + v * v / 100_000.0)).abs() < 1e-6);
    assert_eq!(near.limit(9.0), Some(Side::Upper));
}

#[test]
fn a_move_that_ends_short_says_that_it_arrived() {
    let mut axis = axis();
    axis.suffer(0.0, Mishap { reach: 0.8, ..Mishap::default() });
    axis.start(0.0, 100.0, 5000.0);
    assert!(axis.arrived(9.0));
    assert!((axis.encoder(9.0) - 80.0).abs() < 1e-9);
}

#[test]
fn held_from_an_earlier_time_it_stands_where_it_was_then() {
    let mut early = axis();
    early.start(0.0, 5000.0, 5000.0);
    let mut late = early.clone();
    early.hold(0.5, true);
    late.load(3.0);
    late.hold(0.5, true);
    late.hold(0.5, true);
    assert_eq!(early.load(9.0), late.load(9.0));
    assert!(late.load(9.0) < 3000.0);
    late.hold(9.0, false);
    late.start(9.0, 4000.0, 5000.0);
    late.hold(0.5, true);
    assert!((late.encoder(20.0) - early.encoder(20.0)).abs() < 1e-9, "no further back than the present move");
}

#[test]
fn what_is_not_a_number_moves_nothing() {
    let mut axis = axis();
    axis.start(0.0, f64::NAN, f64::NAN);
    assert!(axis.load(1.0).abs() <= 0.1 && !axis.moving(1.0));
}

#[test]
fn a_move_loses_its_steps_once_though_it_is_stopped_and_what_is_left_may_slip() {
    let plain = AxisModel { play_um: 0.0, ring_um: 0.0, ..model() };
    let mut axis = AxisState::new(plain, Stream::new(1, "axis"), 0.0);
    axis.suffer(0.0, Mishap { lost_um: 0.5, grip: 0.8, ..Mishap::default() });
    axis.start(0.0, 100.0, 5000.0);
    // 0.4 um after 4 ms at 50,000 um/s^2, and as much again to brake.
    axis.stop(0.004);
    assert!((axis.encoder(1.0) - 0.8).abs() < 1e-9);
    assert!((axis.load(1.0) - 0.8 * (0.8 - 0.5)).abs() < 1e-9, "{}", axis.load(1.0));
}

#[test]
fn a_controller_chooses_an_acceleration_up_to_the_axis_own() {
    let end = |acceleration: f64| {
        let mut axis = axis();
        axis.start_with(0.0, 1000.0, 1e9, acceleration);
        let moving: Vec<f64> = (0..10_000).map(|ms| f64::from(ms) / 1000.0).filter(|t| axis.moving(*t)).collect();
        moving.last().copied().unwrap()
    };
    assert!(end(1000.0) > 2.0 * end(10_000.0));
    assert_eq!(end(1e12), end(f64::INFINITY));
}
