//! A stage made of axes: what their positions come to as a pose of the optical element they carry. Pure.
//!
//! Carriages may be stacked, coarse below fine, in one list: the pose is the sum of what each axis adds. That leaves out
//! the second order, a carriage turned by those below it: 1e-4 of its own travel for the error motions of a good stage.

use nalgebra::{Rotation3, Unit, Vector3};

use super::Pose;
use crate::noise::Stream;

/// What an axis does to the optical element, per unit of its position above [`StageAxis::zero`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Motion {
    /// Shifts it: optical displacement of one um of travel; its length is the scale.
    Linear {
        /// um per um.
        direction: [f64; 3],
    },
    /// Turns it about a point that is not its tip, so that the tip moves too.
    Rotary {
        /// Rotation vector, rad per unit of position.
        turn: [f64; 3],
        /// Centre of rotation seen from the tip, um.
        pivot_um: [f64; 3],
    },
}

/// Pitch, yaw and roll of a carriage along its travel.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ErrorMotion {
    /// Amplitude about x, y, z, rad: 10 to 100 urad is usual.
    pub amplitude_rad: [f64; 3],
    /// Length over which the errors repeat, in units of the position.
    pub period: f64,
    /// Phase of each, turns.
    pub phase: [f64; 3],
    /// From the carriage to the tip, um.
    pub lever_um: [f64; 3],
}

impl ErrorMotion {
    /// Error motion of the stream's own phases.
    pub fn draw(amplitude_rad: f64, period: f64, lever_um: [f64; 3], stream: Stream) -> ErrorMotion {
        let phase = [stream.uniform(0), stream.uniform(1), stream.uniform(2)];
        ErrorMotion { amplitude_rad: [amplitude_rad; 3], period, phase, lever_um }
    }

    /// Rotation of the carriage against where it stood at 0, rad.
    fn rad(&self, position: f64) -> Vector3<f64> {
        if self.period <= 0.0 {
            return Vector3::zeros();
        }
        let wave = |turns: f64| (std::f64::consts::TAU * turns).sin();
        Vector3::from_fn(|k, _| {
            self.amplitude_rad[k] * (wave(position / self.period + self.phase[k]) - wave(self.phase[k]))
        })
    }
}

/// One axis of a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageAxis {
    /// What it does.
    pub motion: Motion,
    /// Position at which it adds nothing, in its own unit.
    pub zero: f64,
    /// What it does besides.
    pub error: ErrorMotion,
}

impl StageAxis {
    /// A linear axis without error.
    pub fn linear(direction: [f64; 3], zero_um: f64) -> StageAxis {
        StageAxis { motion: Motion::Linear { direction }, zero: zero_um, error: ErrorMotion::default() }
    }

    /// A rotary axis without error: rotation vector in rad per unit, pivot seen from the tip in um.
    pub fn rotary(turn: [f64; 3], pivot_um: [f64; 3], zero: f64) -> StageAxis {
        StageAxis { motion: Motion::Rotary { turn, pivot_um }, zero, error: ErrorMotion::default() }
    }

    /// What it adds to the pose at a position in its own unit.
    pub fn pose(&self, position: f64) -> Pose {
        let travel = position - self.zero;
        let (shift, turn) = match self.motion {
            Motion::Linear { direction } => (Vector3::from(direction) * travel, Vector3::zeros()),
            Motion::Rotary { turn, pivot_um } => {
                let turn = Vector3::from(turn) * travel;
                (swing(turn, -Vector3::from(pivot_um)), turn)
            }
        };
        let wobble = self.error.rad(travel);
        let shift = shift + swing(wobble, Vector3::from(self.error.lever_um));
        Pose { um: shift.into(), rad: (turn + wobble).into() }
    }
}

/// How far the end of a lever goes when it is turned about its beginning.
fn swing(turn: Vector3<f64>, lever: Vector3<f64>) -> Vector3<f64> {
    Rotation3::new(turn) * lever - lever
}

/// The pose of the tip for axes at positions, each in its own unit; axes without a position stand at their zero.
pub fn pose(axes: &[StageAxis], positions: &[f64]) -> Pose {
    let mut sum = Pose::default();
    for (axis, position) in axes.iter().zip(positions) {
        let one = axis.pose(*position);
        for k in 0..3 {
            sum.um[k] += one.um[k];
            sum.rad[k] += one.rad[k];
        }
    }
    sum
}

/// A direction out of square by an angle (rad), to a side of the stream's choice; its length stays.
pub fn out_of_square(direction: [f64; 3], angle_rad: f64, stream: Stream) -> [f64; 3] {
    let along = Vector3::from(direction);
    let any = if along.x.abs() < 0.9 * along.norm() { Vector3::x() } else { Vector3::y() };
    let Some(across) = Unit::try_new(along.cross(&any), 1e-12) else { return direction };
    let Some(unit) = Unit::try_new(along, 1e-12) else { return direction };
    let side = Rotation3::from_axis_angle(&unit, std::f64::consts::TAU * stream.uniform(0)) * across;
    (Rotation3::from_axis_angle(&side, angle_rad) * along).into()
}

/// Directions of a stage as they lie in the optical frame, once its frame is turned by a rotation vector (rad): 0.2 to
/// 3 deg for a stage mounted by hand.
pub fn turned(direction: [f64; 3], frame_rad: [f64; 3]) -> [f64; 3] {
    (Rotation3::new(Vector3::from(frame_rad)) * Vector3::from(direction)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: [f64; 3], expect: [f64; 3], within: f64) {
        for k in 0..3 {
            assert!((got[k] - expect[k]).abs() < within, "{got:?} {expect:?}");
        }
    }

    #[test]
    fn coarse_and_fine_on_one_direction_add_up() {
        let along = [0.0, 0.6, 0.8];
        let axes = [StageAxis::linear(along, 100.0), StageAxis::linear(along, 10.0)];
        close(pose(&axes, &[105.0, 12.5]).um, [0.0, 4.5, 6.0], 1e-12);
        assert_eq!(pose(&axes, &[100.0, 10.0]), Pose::default());
    }

    #[test]
    fn one_degree_about_a_pivot_100_um_away_moves_the_tip_by_1_75_um() {
        let axis = StageAxis::rotary([0.0, 1f64.to_radians(), 0.0], [0.0, 0.0, -100.0], 0.0);
        let got = axis.pose(1.0);
        close(got.um, [100.0 * 1f64.to_radians().sin(), 0.0, 100.0 * (1f64.to_radians().cos() - 1.0)], 1e-12);
        assert!((got.um[0] - 1.745).abs() < 1e-3);
        close(got.rad, [0.0, 1f64.to_radians(), 0.0], 1e-15);
        let centred = StageAxis::rotary([0.0, 1f64.to_radians(), 0.0], [0.0; 3], 0.0);
        close(centred.pose(1.0).um, [0.0; 3], 1e-15);
    }

    #[test]
    fn fifty_microradians_on_100_mm_are_5_um() {
        let error = ErrorMotion {
            amplitude_rad: [50e-6, 0.0, 0.0],
            period: 20_000.0,
            phase: [0.0; 3],
            lever_um: [0.0, 100_000.0, 0.0],
        };
        let axis = StageAxis { error, ..StageAxis::linear([1.0, 0.0, 0.0], 0.0) };
        let got = axis.pose(5000.0);
        close(got.um, [5000.0, 0.0, 5.0], 1e-3);
        close(got.rad, [50e-6, 0.0, 0.0], 1e-12);
        assert_eq!(axis.pose(0.0), Pose::default());
        let drawn = ErrorMotion::draw(50e-6, 20_000.0, [0.0; 3], Stream::new(3, "pitch"));
        assert_eq!(drawn.rad(0.0), Vector3::zeros(), "whatever its phases, at its zero it adds nothing");
        assert!((0..20).any(|k| drawn.rad(f64::from(k) * 1000.0).norm() > 20e-6));
    }

    #[test]
    fn an_axis_out_of_square_leaves_its_direction_by_that_angle_and_keeps_its_scale() {
        for k in 0..20u32 {
            let deg = 0.1 + 0.02 * f64::from(k);
            let direction = [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.3, 0.4, 0.5]][k as usize % 3];
            let got = Vector3::from(out_of_square(direction, deg.to_radians(), Stream::new(u64::from(k), "x")));
            let was = Vector3::from(direction);
            assert!((got.norm() - was.norm()).abs() < 1e-12);
            assert!((got.angle(&was).to_degrees() - deg).abs() < 1e-6, "{deg}");
        }
        assert_eq!(out_of_square([0.0; 3], 0.1, Stream::new(1, "x")), [0.0; 3]);
    }

    #[test]
    fn a_frame_rolled_by_two_degrees_mixes_x_into_y() {
        let roll = 2f64.to_radians();
        close(turned([1.0, 0.0, 0.0], [0.0, 0.0, roll]), [roll.cos(), roll.sin(), 0.0], 1e-15);
    }
}
