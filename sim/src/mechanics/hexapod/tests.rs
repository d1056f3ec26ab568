use super::*;
use crate::noise::Stream;

const CENTRE: [f64; 3] = [0.0; 3];

/// Poses of the stream's choice, a share of the travel in every axis.
fn poses(n: u64, share: f64) -> impl Iterator<Item = [f64; 6]> {
    let (stream, model) = (Stream::new(5, "pose"), Hexapod::alignment());
    (0..n).map(move |i| std::array::from_fn(|k| model.travel[k].1 * share * stream.symmetric(6 * i + k as u64)))
}

fn rigid_hexapod() -> Hexapod {
    Hexapod { play_mm: 0.0, repeatability_mm: 0.0, ..Hexapod::alignment() }
}

fn close(got: &[f64; 6], expect: &[f64; 6], within: f64) {
    for k in 0..6 {
        assert!((got[k] - expect[k]).abs() < within, "{got:?} {expect:?}");
    }
}

#[test]
fn from_pose_to_legs_and_back_is_a_round_trip_to_1e_9() {
    let model = Hexapod::alignment();
    for pivot in [CENTRE, [3.0, -5.0, 40.0]] {
        for pose in poses(200, 0.4) {
            let back = model.pose(&model.legs(&pose, pivot), pivot, &[0.0; 6]).unwrap();
            close(&back, &pose, 1e-9);
        }
    }
}

#[test]
fn a_pure_shift_and_a_pure_turn_have_the_legs_of_plain_geometry() {
    let model = Hexapod::alignment();
    let up = model.legs(&[0.0, 0.0, 2.0, 0.0, 0.0, 0.0], CENTRE);
    let turned = model.legs(&[0.0, 0.0, 0.0, 0.0, 0.0, 5.0], CENTRE);
    for k in 0..6 {
        // Law of cosines between the two circles; 32 deg from a base joint to its platform joint, 5 more or less turned.
        let flat = |deg: f64| 60.0f64.powi(2) + 42.0f64.powi(2) - 2.0 * 60.0 * 42.0 * deg.to_radians().cos();
        let lean = if k % 2 == 0 { 32.0 + 5.0 } else { 32.0 - 5.0 };
        assert!((up[k] - (flat(32.0) + 92.0f64.powi(2)).sqrt()).abs() < 1e-12);
        assert!((turned[k] - (flat(lean) + 90.0f64.powi(2)).sqrt()).abs() < 1e-12, "leg {k}");
    }
}

#[test]
fn rotations_are_taken_in_the_order_u_v_w_about_axes_that_turn_along() {
    // A quarter about X, then one about the new Y (the old Z): a tip on Y goes to Z and stays on that axis.
    let turned = tip(&[0.0, 0.0, 0.0, 90.0, 90.0, 0.0], CENTRE, [0.0, 1.0, 0.0]);
    for (got, expect) in turned.um.iter().zip([0.0, -1000.0, 1000.0]) {
        assert!((got - expect).abs() < 1e-9, "{turned:?}");
    }
    for pose in poses(50, 1.0) {
        let (shift, turn) = rigid(&pose);
        close(&gcs(shift, turn), &pose, 1e-9);
    }
}

#[test]
fn a_tip_in_the_pivot_stays_where_it_is_when_the_platform_turns() {
    let pivot = [0.0, 0.0, 60.0];
    let pose = [0.0, 0.0, 0.0, 2.0, -1.0, 3.0];
    let at = |pivot| tip(&pose, pivot, [0.0, 0.0, 60.0]);
    assert!(at(pivot).um.iter().all(|um| um.abs() < 1e-9));
    assert!((at(CENTRE).um[1] + 60_000.0 * 2f64.to_radians().sin() * 1f64.to_radians().cos()).abs() < 1e-6);
    // The same motion told about either pivot has the same legs.
    let model = Hexapod::alignment();
    let seen = tip(&pose, pivot, CENTRE);
    let moved = [seen.um[0] / 1e3, seen.um[1] / 1e3, seen.um[2] / 1e3, 2.0, -1.0, 3.0];
    close(&model.legs(&moved, CENTRE), &model.legs(&pose, pivot), 1e-12);
}

#[test]
fn the_range_of_one_axis_depends_on_where_the_others_are() {
    let model = Hexapod::alignment();
    let alone = model.range(0, &[0.0; 6], CENTRE).unwrap();
    let turned = model.range(0, &[0.0, 0.0, 2.0, 2.0, 0.0, 4.0], CENTRE).unwrap();
    assert!(turned.1 - turned.0 < 0.8 * (alone.1 - alone.0), "{alone:?} {turned:?}");
    for (axis, pose) in [(0, [0.0, 0.0, 2.0, 2.0, 0.0, 4.0]), (2, [4.0, 0.0, 0.0, 0.0, 3.0, 0.0]), (5, [0.0; 6])] {
        let (low, high) = model.range(axis, &pose, CENTRE).unwrap();
        for (inside, outside) in [(low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)] {
            let at = |value| {
                let mut there = pose;
                there[axis] = value;
                model.reachable(&there, CENTRE)
            };
            assert!(at(inside).is_ok() && at(outside).is_err(), "{axis} {low} {high}");
        }
    }
    let out = [0.0, 0.0, 6.4, 9.9, 9.9, 20.0];
    assert_eq!(model.range(0, &out, CENTRE), None);
}

#[test]
fn every_kind_of_obstacle_is_met() {
    let model = Hexapod::alignment();
    let met = |pose: [f64; 6]| model.reachable(&pose, CENTRE).unwrap_err();
    assert_eq!(met([0.0, 0.0, 7.0, 0.0, 0.0, 0.0]), Obstacle::Travel(2));
    assert!(matches!(met([0.0, 0.0, 6.0, 10.0, 10.0, 0.0]), Obstacle::Leg(_)));
    let stiff = Hexapod { joint_deg: 5.0, ..model.clone() };
    assert!(matches!(stiff.reachable(&[10.0, 0.0, 0.0, 0.0, 0.0, 0.0], CENTRE), Err(Obstacle::Joint(_))));
    // Tipped by 6 deg the legs hardly turn, but the joints on the platform do.
    assert!(matches!(stiff.reachable(&[0.0, 0.0, 0.0, 6.0, 0.0, 0.0], CENTRE), Err(Obstacle::Joint(_))));
    assert_eq!(stiff.reachable(&[0.0, 0.0, 0.0, 4.0, 0.0, 0.0], CENTRE), Ok(()));
}

#[test]
fn all_axes_begin_and_end_together_on_a_straight_line() {
    let mut hexapod = HexapodState::new(rigid_hexapod(), Stream::new(1, "hexapod"), [0.0; 6]);
    let to = [1.0, -0.5, 0.2, 0.3, 0.0, -0.7];
    hexapod.start(2.0, to, 5.0).unwrap();
    let mm = (1.0f64 + 0.25 + 0.04).sqrt();
    assert!((hexapod.end_s() - 2.0 - (mm / 5.0 + 5.0 / 100.0)).abs() < 1e-12, "a trapezoid of the translation");
    for k in 0..50 {
        let pose = hexapod.commanded(2.0 + f64::from(k) * 0.01);
        let share = pose[0] / to[0];
        close(&pose, &to.map(|v| v * share), 1e-12);
        close(&hexapod.actual(2.0 + f64::from(k) * 0.01), &pose, 1e-9);
    }
    assert_eq!(hexapod.commanded(9.0), to);
    // A turn in place is paced by its own limits: 5 of 20 mm/s is 6.25 of 25 deg/s; 120 deg/s^2.
    hexapod.start(9.0, [to[0], to[1], to[2], to[3], to[4], 9.3], 5.0).unwrap();
    assert!((hexapod.end_s() - 9.0 - (10.0 / 6.25 + 6.25 / 120.0)).abs() < 1e-9, "{}", hexapod.end_s());
    hexapod.start(19.0, to, 5.0).unwrap();
    let here = hexapod.commanded(30.0);
    assert!(matches!(hexapod.start(30.0, [0.0, 0.0, 99.0, 0.0, 0.0, 0.0], 5.0), Err(Obstacle::Travel(2))));
    assert_eq!(hexapod.commanded(40.0), here, "a refused move moves nothing");
}

#[test]
fn a_stop_brakes_along_the_path() {
    let mut hexapod = HexapodState::new(rigid_hexapod(), Stream::new(1, "hexapod"), [0.0; 6]);
    hexapod.start(0.0, [10.0, 0.0, 0.0, 0.0, 0.0, 0.0], 5.0).unwrap();
    let at = hexapod.commanded(1.0);
    hexapod.stop(1.0);
    assert!((hexapod.commanded(1.0)[0] - at[0]).abs() < 1e-9);
    assert!((hexapod.commanded(9.0)[0] - (at[0] + 25.0 / 200.0)).abs() < 1e-9);
    assert!(hexapod.moving(1.04) && !hexapod.moving(1.06));
}

#[test]
fn play_in_the_legs_is_a_pose_error_that_depends_on_where_it_comes_from() {
    let model = Hexapod { play_mm: 4e-4, ..rigid_hexapod() };
    let coming = |from: [f64; 6]| {
        let mut hexapod = HexapodState::new(model.clone(), Stream::new(1, "hexapod"), [0.0; 6]);
        hexapod.start(0.0, from, 5.0).unwrap();
        hexapod.start(10.0, [0.0; 6], 5.0).unwrap();
        hexapod.actual(20.0)
    };
    let (above, below) = (coming([0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), coming([0.0, 0.0, -1.0, 0.0, 0.0, 0.0]));
    // Six legs behind by half the play each lift the platform by that over the cosine of their lean.
    let leg = model.legs(&[0.0; 6], CENTRE)[0];
    let expect = 2e-4 * leg / 90.0;
    assert!((above[2] - expect).abs() < 1e-8 && (below[2] + expect).abs() < 1e-8, "{above:?} {below:?}");
    let sideways = coming([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(sideways[0] > 1e-4 && sideways[..3].iter().all(|mm| mm.abs() < 1e-3), "{sideways:?}");
    // A tenth of a micrometre there and back is lost in the play.
    let mut hexapod = HexapodState::new(model, Stream::new(1, "hexapod"), [0.0; 6]);
    hexapod.start(0.0, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0], 5.0).unwrap();
    let before = hexapod.actual(10.0);
    hexapod.start(10.0, [0.0, 0.0, 0.9999, 0.0, 0.0, 0.0], 5.0).unwrap();
    close(&hexapod.actual(20.0), &before, 1e-9);
}

#[test]
fn a_leg_that_turns_on_the_way_is_seen_to_turn_however_often_it_is_asked() {
    let model = Hexapod { play_mm: 1e-3, ..rigid_hexapod() };
    let mut hexapod = HexapodState::new(model, Stream::new(1, "hexapod"), [8.0, 3.0, 0.0, 0.0, 0.0, 0.0]);
    hexapod.start(0.0, [-8.0, 3.0, 0.0, 0.0, 0.0, 0.0], 5.0).unwrap();
    let asked_once = hexapod.legs(100.0);
    let mut stepped = hexapod.legs(0.0);
    for k in 0..4000 {
        let motor = hexapod.model().legs(&hexapod.commanded(f64::from(k) * 1e-3), CENTRE);
        stepped = std::array::from_fn(|k| stepped[k].clamp(motor[k] - 5e-4, motor[k] + 5e-4));
        hexapod.legs(f64::from(k) * 1e-3);
    }
    close(&stepped, &asked_once, 1e-9);
}

#[test]
fn the_pivot_is_taken_only_at_rest_and_unturned() {
    let mut hexapod = HexapodState::new(rigid_hexapod(), Stream::new(1, "hexapod"), [0.0; 6]);
    assert_eq!(hexapod.set_pivot(0.0, [0.0, 0.0, 50.0]), Ok(()));
    hexapod.start(0.0, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0], 5.0).unwrap();
    assert_eq!(hexapod.set_pivot(0.01, CENTRE), Err(PivotRefusal::Moving));
    assert_eq!(hexapod.set_pivot(9.0, CENTRE), Err(PivotRefusal::Turned));
    assert_eq!(hexapod.pivot_mm(), [0.0, 0.0, 50.0]);
    close(&hexapod.actual(9.0), &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], 1e-9);
}

#[test]
fn what_is_not_a_number_is_refused_or_slow() {
    let mut hexapod = HexapodState::new(Hexapod::alignment(), Stream::new(1, "hexapod"), [0.0; 6]);
    assert!(hexapod.start(0.0, [0.0, f64::NAN, 0.0, 0.0, 0.0, 0.0], 5.0).is_err());
    hexapod.start(0.0, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], f64::NAN).unwrap();
    assert!(hexapod.actual(1.0)[0] < 0.1);
}
