//! Poses, and how those of the stage and those of the optics turn into one another. Pure.

use recipes::Axis;

use crate::config::{BenchConfig, Frame};

/// Where all logical axes are, um and degrees; axes a bench lacks stay 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pose([f64; Axis::ALL.len()]);

impl std::ops::Index<Axis> for Pose {
    type Output = f64;
    fn index(&self, axis: Axis) -> &f64 {
        &self.0[axis as usize]
    }
}

impl std::ops::IndexMut<Axis> for Pose {
    fn index_mut(&mut self, axis: Axis) -> &mut f64 {
        &mut self.0[axis as usize]
    }
}

impl Pose {
    /// This pose with some axes replaced.
    pub fn with(mut self, targets: &[(Axis, f64)]) -> Pose {
        for (axis, value) in targets {
            self[*axis] = *value;
        }
        self
    }
}

/// The stage axes that are optical x, y and z before the turn, in cyclic order so that the frame stays right-handed.
fn order(frame: &Frame) -> [Axis; 3] {
    match frame.optical_axis {
        Axis::X => [Axis::Y, Axis::Z, Axis::X],
        Axis::Y => [Axis::Z, Axis::X, Axis::Y],
        Axis::X2 => [Axis::Y2, Axis::Z2, Axis::X2],
        Axis::Y2 => [Axis::Z2, Axis::X2, Axis::Y2],
        _ => optical(frame),
    }
}

/// The optical x, y and z of a frame's end.
pub fn optical(frame: &Frame) -> [Axis; 3] {
    if frame.optical_axis.is_second() { [Axis::X2, Axis::Y2, Axis::Z2] } else { [Axis::X, Axis::Y, Axis::Z] }
}

/// The optical pose of a stage pose; angles are the same in both.
pub fn to_optical(config: &BenchConfig, stage: Pose) -> Pose {
    config.frames().fold(stage, |pose, frame| optical_of(frame, pose))
}

/// The stage pose of an optical pose; angles are the same in both.
pub fn to_stage(config: &BenchConfig, optical: Pose) -> Pose {
    config.frames().fold(optical, |pose, frame| stage_of(frame, pose))
}

fn optical_of(frame: &Frame, stage: Pose) -> Pose {
    let [a, b, c] = order(frame).map(|axis| stage[axis]);
    let (sin, cos) = frame.rotation_deg.to_radians().sin_cos();
    let [x, y, z] = optical(frame);
    stage.with(&[(x, cos * a - sin * b), (y, sin * a + cos * b), (z, c)])
}

fn stage_of(frame: &Frame, pose: Pose) -> Pose {
    let [a, b, c] = order(frame);
    let (sin, cos) = frame.rotation_deg.to_radians().sin_cos();
    let [x, y, z] = optical(frame).map(|axis| pose[axis]);
    pose.with(&[(a, cos * x + sin * y), (b, -sin * x + cos * y), (c, z)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(optical_axis: Axis, rotation_deg: f64) -> Frame {
        Frame {
            optical_axis,
            rotation_deg,
            contact: -1.0,
            retreat_um: 1.0,
            near_lateral_um: 1.0,
            near_velocity_um_s: 1.0,
        }
    }

    #[test]
    fn a_quarter_turn_takes_stage_x_to_optical_y() {
        let pose = optical_of(&frame(Axis::Z, 90.0), Pose::default().with(&[(Axis::X, 3.0), (Axis::Z, 7.0)]));
        assert!((pose[Axis::X]).abs() < 1e-12 && (pose[Axis::Y] - 3.0).abs() < 1e-12 && pose[Axis::Z] == 7.0);
    }

    #[test]
    fn there_and_back_is_the_same_pose_for_every_optical_axis() {
        let mut pose = Pose::default().with(&[(Axis::X, 1.0), (Axis::Y, -2.0), (Axis::Z, 3.0), (Axis::Ry, 0.5)]);
        pose = pose.with(&[(Axis::X2, 4.0), (Axis::Y2, 5.0), (Axis::Z2, -6.0)]);
        for axis in [Axis::X, Axis::Y, Axis::Z, Axis::X2, Axis::Y2, Axis::Z2] {
            let f = frame(axis, 17.0);
            let back = stage_of(&f, optical_of(&f, pose));
            for a in Axis::ALL {
                assert!((back[a] - pose[a]).abs() < 1e-12, "{axis} {a}");
            }
        }
    }

    #[test]
    fn the_frame_of_one_end_leaves_the_other_end_alone() {
        let pose = Pose::default().with(&[(Axis::X, 1.0), (Axis::Y, -2.0), (Axis::X2, 4.0), (Axis::Y2, 5.0)]);
        let turned = optical_of(&frame(Axis::Z2, 90.0), pose);
        assert_eq!((turned[Axis::X], turned[Axis::Y]), (1.0, -2.0));
        assert!((turned[Axis::X2] + 5.0).abs() < 1e-12 && (turned[Axis::Y2] - 4.0).abs() < 1e-12);
    }

    #[test]
    fn the_optical_axis_is_not_turned() {
        let pose = optical_of(&frame(Axis::X, 30.0), Pose::default().with(&[(Axis::X, 5.0)]));
        assert_eq!(pose[Axis::Z], 5.0);
        assert_eq!((pose[Axis::X], pose[Axis::Y]), (0.0, 0.0));
    }
}
