//! The envelope: which moves are refused before a byte is sent, and how fast the others may be. Pure.

use recipes::Axis;

use super::error::BenchError;
use super::frame::{Pose, to_optical};
use crate::config::BenchConfig;

/// Rounding of targets to a controller's decimals may overstep an end of a range by this, um or degrees.
const ROUNDING: f64 = 1e-3;

/// Whether any part of the way between two stage poses is nearer to contact than clearance.
pub fn path_is_near(config: &BenchConfig, from: Pose, to: Pose) -> bool {
    let axis = config.frame.optical_axis;
    config.is_near(from[axis], ROUNDING) || config.is_near(to[axis], ROUNDING)
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
    if !path_is_near(config, from, to) || backs_off_only(config, from, to) {
        return Ok(());
    }
    let (start, end) = (to_optical(&config.frame, from), to_optical(&config.frame, to));
    let limit = config.frame.near_lateral_um;
    for axis in [Axis::X, Axis::Y] {
        let outside = end[axis].abs() > limit + ROUNDING;
        let enters = start[axis].abs() > limit + ROUNDING && !config.is_near(from[config.frame.optical_axis], ROUNDING);
        if outside || enters {
            let target = if outside { end[axis] } else { start[axis] };
            return Err(BenchError::KeepOut { axis, target, limit });
        }
    }
    Ok(())
}

fn backs_off_only(config: &BenchConfig, from: Pose, to: Pose) -> bool {
    let optical = config.frame.optical_axis;
    let away = (to[optical] - from[optical]) * config.frame.contact <= 0.0;
    let still = config.axes.iter().filter(|a| a.axis != optical).all(|a| (to[a.axis] - from[a.axis]).abs() <= ROUNDING);
    away && still
}

/// The velocity an axis may have on the way between two stage poses, um/s or degrees/s.
pub fn velocity(config: &BenchConfig, axis: Axis, from: Pose, to: Pose) -> f64 {
    let Some(setup) = config.axis(axis) else { return 0.0 };
    if !axis.is_angle() && path_is_near(config, from, to) {
        setup.velocity.min(config.frame.near_velocity_um_s)
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

    #[test]
    fn near_contact_everything_is_slower() {
        let (far, near) = (pose(0.0, 0.0, 5000.0), pose(0.0, 0.0, 0.0));
        assert_eq!(velocity(&config(), Axis::Z, far, far), 5000.0);
        assert_eq!(velocity(&config(), Axis::Z, far, near), 3000.0);
    }
}
