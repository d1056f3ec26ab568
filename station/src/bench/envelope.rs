//! The envelope: which moves are refused before a byte is sent, and how fast the others may be. Pure.

use recipes::Axis;

use super::error::BenchError;
use super::frame::{self, Pose, to_optical};
use crate::config::{BenchConfig, Frame};

/// Rounding of targets to a controller's decimals may overstep an end of a range by this, um or degrees.
const ROUNDING: f64 = 1e-3;

/// Whether any part of the way of a frame's stage between two poses is nearer to contact than clearance.
pub fn path_is_near(config: &BenchConfig, frame: &Frame, from: Pose, to: Pose) -> bool {
    let axis = frame.optical_axis;
    config.is_near(frame, from[axis], ROUNDING) || config.is_near(frame, to[axis], ROUNDING)
}

/// Checks a move between two stage poses. Axes run on their own, so the whole box between the poses counts.
///
/// # Errors
/// `OutsideRange` for a target outside its axis' range; `KeepOut` where the box has a corner that is near contact and
/// sideways of the limit, unless the move brings every axis that is outside closer to the middle, or only backs off.
pub fn check(config: &BenchConfig, from: Pose, to: Pose) -> Result<(), BenchError> {
    for axis in &config.axes {
        let (lower, upper) = axis.range;
        let target = to[axis.axis];
        let moves = (target - from[axis.axis]).abs() > ROUNDING;
        if moves && !(lower - ROUNDING..=upper + ROUNDING).contains(&target) {
            return Err(BenchError::OutsideRange { axis: axis.axis, target, lower, upper });
        }
    }
    config.frames().try_for_each(|frame| keep_out(config, frame, from, to))
}

/// Each end of a part has its own keep-out: what the stage before the other end does is no business of it.
fn keep_out(config: &BenchConfig, frame: &Frame, from: Pose, to: Pose) -> Result<(), BenchError> {
    if !path_is_near(config, frame, from, to) || backs_off_only(config, frame, from, to) {
        return Ok(());
    }
    let (start, end) = (to_optical(config, from), to_optical(config, to));
    let limit = frame.near_lateral_um;
    let [x, y, _] = frame::optical(frame);
    for axis in [x, y] {
        let outside = end[axis].abs() > limit + ROUNDING;
        let enters = start[axis].abs() > limit + ROUNDING && !config.is_near(frame, from[frame.optical_axis], ROUNDING);
        if outside || enters {
            let target = if outside { end[axis] } else { start[axis] };
            return Err(BenchError::KeepOut { axis, target, limit });
        }
    }
    Ok(())
}

fn backs_off_only(config: &BenchConfig, frame: &Frame, from: Pose, to: Pose) -> bool {
    let optical = frame.optical_axis;
    let away = (to[optical] - from[optical]) * frame.contact <= 0.0;
    let others = config.axes.iter().map(|a| a.axis).filter(|a| *a != optical && config.frame_of(*a) == frame);
    let still = others.into_iter().all(|a| (to[a] - from[a]).abs() <= ROUNDING);
    away && still
}

/// The velocity an axis may have on the way between two stage poses, um/s or degrees/s.
pub fn velocity(config: &BenchConfig, axis: Axis, from: Pose, to: Pose) -> f64 {
    let Some(setup) = config.axis(axis) else { return 0.0 };
    let frame = config.frame_of(axis);
    if !axis.is_angle() && path_is_near(config, frame, from, to) {
        setup.velocity.min(frame.near_velocity_um_s)
    } else {
        setup.velocity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::config;

    fn pose(x: f64, y: f64, z: f64) -> Pose {
        Pose::default().with(&[(Axis::X, x), (Axis::Y, y), (Axis::Z, z)])
    }

    #[test]
    fn targets_outside_the_range_are_refused() {
        let got = check(&config(), pose(0.0, 0.0, 5000.0), pose(4001.0, 0.0, 5000.0));
        assert!(matches!(got, Err(BenchError::OutsideRange { axis: Axis::X, .. })));
        let got = check(&config(), pose(0.0, 0.0, 5000.0), pose(0.0, 0.0, -181.0));
        assert!(matches!(got, Err(BenchError::OutsideRange { axis: Axis::Z, .. })));
    }

    #[test]
    fn sideways_is_free_at_clearance_and_bounded_near_contact() {
        assert!(check(&config(), pose(0.0, 0.0, 5000.0), pose(3000.0, 0.0, 5000.0)).is_ok());
        let got = check(&config(), pose(0.0, 0.0, 0.0), pose(600.0, 0.0, 0.0));
        assert!(matches!(got, Err(BenchError::KeepOut { .. })));
        assert!(check(&config(), pose(0.0, 0.0, 0.0), pose(400.0, 0.0, 0.0)).is_ok());
    }

    #[test]
    fn coming_near_from_the_side_is_refused_but_backing_off_never_is() {
        let got = check(&config(), pose(900.0, 0.0, 5000.0), pose(0.0, 0.0, 0.0));
        assert!(matches!(got, Err(BenchError::KeepOut { .. })));
        assert!(check(&config(), pose(900.0, 0.0, 0.0), pose(900.0, 0.0, 5000.0)).is_ok());
    }

    fn chip() -> BenchConfig {
        BenchConfig::parse(include_str!("../../cli/benches/chip.toml")).unwrap()
    }

    #[test]
    fn each_end_of_a_chip_has_a_keep_out_and_a_speed_of_its_own() {
        let config = chip();
        let at = |z: f64, z2: f64| Pose::default().with(&[(Axis::Z, z), (Axis::Z2, z2)]);
        for (near, axis, other) in [(at(0.0, 6000.0), Axis::X, Axis::X2), (at(6000.0, 0.0), Axis::Y2, Axis::Y)] {
            let got = check(&config, near, near.with(&[(axis, 300.0)]));
            assert!(matches!(got, Err(BenchError::KeepOut { axis: a, .. }) if a == axis), "{axis}: {got:?}");
            assert!(check(&config, near, near.with(&[(other, 1900.0)])).is_ok(), "{other} is at clearance");
            assert_eq!((velocity(&config, axis, near, near), velocity(&config, other, near, near)), (2000.0, 5000.0));
        }
    }

    #[test]
    fn one_fibre_of_a_chip_backs_off_while_the_other_one_moves() {
        let astray = Pose::default().with(&[(Axis::X2, 900.0)]);
        let off = astray.with(&[(Axis::Z2, 1000.0)]);
        assert!(check(&chip(), astray, off.with(&[(Axis::X, 5.0)])).is_ok());
        assert!(check(&chip(), astray, off.with(&[(Axis::X2, 905.0)])).is_err());
    }

    #[test]
    fn near_contact_everything_is_slower() {
        let (far, near) = (pose(0.0, 0.0, 5000.0), pose(0.0, 0.0, 0.0));
        assert_eq!(velocity(&config(), Axis::Z, far, far), 5000.0);
        assert_eq!(velocity(&config(), Axis::Z, far, near), 3000.0);
    }
}
