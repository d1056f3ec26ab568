//! A hexapod (Stewart platform): kinematics both ways, what it can reach, moves of the whole pose and play in its legs.
//! Pure.
//!
//! Poses are those of the General Command Set: `[X, Y, Z, U, V, W]`, translations in mm along fixed axes, rotations in
//! deg about X, Y, Z. The axes of rotation meet in the pivot and go along with the platform, and the rotations are taken
//! in the order U, V, W (PI manuals MS202E, MS207E, MS222E, "Motion"): R = Rx(U) Ry(V) Rz(W). X, Y, Z say where the pivot
//! is against where it is at zero.

use nalgebra::{Matrix6, Rotation3, Vector3, Vector6};

use super::Pose;

mod motion;

pub use motion::{HexapodState, PivotRefusal};

/// Newton steps at the most; from a pose off by millimetres it takes five.
const NEWTON_STEPS: usize = 50;
/// Leg lengths are met to this, mm.
const LEG_MET_MM: f64 = 1e-12;
/// Steps in which the range of an axis is walked before its end is bisected.
const RANGE_STEPS: u32 = 200;

/// A hexapod's geometry and limits. Lengths in mm, in the frame whose origin is the middle of the platform at zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Hexapod {
    /// Joints on the base.
    pub base_mm: [[f64; 3]; 6],
    /// Joints on the platform, with the platform at zero.
    pub platform_mm: [[f64; 3]; 6],
    /// Shortest and longest leg.
    pub leg_mm: (f64, f64),
    /// How far a joint turns from its direction at zero, deg.
    pub joint_deg: f64,
    /// Travel of each axis of the pose, whatever the legs could do: mm and deg.
    pub travel: [(f64, f64); 6],
    /// Greatest velocity of the platform, mm/s.
    pub velocity_max_mm_s: f64,
    /// Greatest rotation, deg/s.
    pub velocity_max_deg_s: f64,
    /// Acceleration of the platform, mm/s^2.
    pub acceleration_mm_s2: f64,
    /// Acceleration of a rotation, deg/s^2.
    pub acceleration_deg_s2: f64,
    /// Full width of the play in each leg, mm.
    pub play_mm: f64,
    /// Repeatability of a leg at rest, one standard deviation, mm.
    pub repeatability_mm: f64,
}

/// Why a pose cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Beyond the travel of this axis (0 to 5 for X to W).
    Travel(usize),
    /// This leg would be too short or too long.
    Leg(usize),
    /// A joint of this leg would turn too far.
    Joint(usize),
}

impl Hexapod {
    /// A hexapod for alignment, of nobody's make: joints in close pairs on circles of 60 mm (base) and 42 mm (platform),
    /// 90 mm apart, each pair of the platform between two of the base.
    pub fn alignment() -> Hexapod {
        let ring = |radius: f64, z: f64, angle: f64| {
            let (sin, cos) = angle.to_radians().sin_cos();
            [radius * cos, radius * sin, z]
        };
        // Degrees of the six joints: legs lean alternately to either side.
        let base = [14.0, 106.0, 134.0, 226.0, 254.0, 346.0];
        let platform = [46.0, 74.0, 166.0, 194.0, 286.0, 314.0];
        Hexapod {
            base_mm: base.map(|a| ring(60.0, -90.0, a)),
            platform_mm: platform.map(|a| ring(42.0, 0.0, a)),
            leg_mm: (89.0, 103.0),
            joint_deg: 20.0,
            travel: [(-17.0, 17.0), (-16.0, 16.0), (-6.5, 6.5), (-10.0, 10.0), (-10.0, 10.0), (-21.0, 21.0)],
            velocity_max_mm_s: 20.0,
            velocity_max_deg_s: 25.0,
            acceleration_mm_s2: 100.0,
            acceleration_deg_s2: 120.0,
            play_mm: 2e-4,
            repeatability_mm: 3e-5,
        }
    }

    /// Leg lengths of a pose (mm, deg) about a pivot (mm), mm.
    pub fn legs(&self, pose: &[f64; 6], pivot_mm: [f64; 3]) -> [f64; 6] {
        let (shift, turn) = rigid(pose);
        std::array::from_fn(|k| self.leg(k, shift, turn, pivot_mm.into()).norm())
    }

    /// From the base joint to the platform joint.
    fn leg(&self, k: usize, shift: Vector3<f64>, turn: Rotation3<f64>, pivot: Vector3<f64>) -> Vector3<f64> {
        let arm = Vector3::from(self.platform_mm[k]) - pivot;
        pivot + shift + turn * arm - Vector3::from(self.base_mm[k])
    }

    /// The pose (mm, deg) about a pivot (mm) that has these leg lengths (mm), next to a guess; none where Newton's method
    /// does not get there.
    pub fn pose(&self, legs_mm: &[f64; 6], pivot_mm: [f64; 3], guess: &[f64; 6]) -> Option<[f64; 6]> {
        let pivot = Vector3::from(pivot_mm);
        let (mut shift, mut turn) = rigid(guess);
        for _ in 0..NEWTON_STEPS {
            let mut jacobian = Matrix6::zeros();
            let mut off = Vector6::zeros();
            for k in 0..6 {
                let leg = self.leg(k, shift, turn, pivot);
                let along = leg.try_normalize(f64::EPSILON)?;
                let arm = turn * (Vector3::from(self.platform_mm[k]) - pivot);
                jacobian.fixed_view_mut::<1, 3>(k, 0).copy_from(&along.transpose());
                jacobian.fixed_view_mut::<1, 3>(k, 3).copy_from(&arm.cross(&along).transpose());
                off[k] = legs_mm[k] - leg.norm();
            }
            if off.amax() < LEG_MET_MM {
                return Some(gcs(shift, turn));
            }
            let step = jacobian.lu().solve(&off)?;
            shift += step.fixed_rows::<3>(0);
            turn = Rotation3::new(step.fixed_rows::<3>(3).into_owned()) * turn;
            if step.amax() < f64::EPSILON {
                // Rounding keeps the last bit of a leg from being met.
                return (off.amax() < 1e3 * LEG_MET_MM).then(|| gcs(shift, turn));
            }
        }
        None
    }

    /// Whether a pose (mm, deg) about a pivot (mm) can be reached.
    ///
    /// # Errors
    /// The first obstacle: travel, then legs, then joints.
    pub fn reachable(&self, pose: &[f64; 6], pivot_mm: [f64; 3]) -> Result<(), Obstacle> {
        for (axis, (low, high)) in self.travel.iter().enumerate() {
            if !(*low..=*high).contains(&pose[axis]) {
                return Err(Obstacle::Travel(axis));
            }
        }
        let (shift, turn) = rigid(pose);
        let legs: [_; 6] = std::array::from_fn(|k| self.leg(k, shift, turn, pivot_mm.into()));
        let (short, long) = self.leg_mm;
        if let Some(k) = legs.iter().position(|leg| !(short..=long).contains(&leg.norm())) {
            return Err(Obstacle::Leg(k));
        }
        let limit = self.joint_deg.to_radians();
        for (k, leg) in legs.iter().enumerate() {
            let neutral = Vector3::from(self.platform_mm[k]) - Vector3::from(self.base_mm[k]);
            if leg.angle(&neutral) > limit || (turn.inverse() * leg).angle(&neutral) > limit {
                return Err(Obstacle::Joint(k));
            }
        }
        Ok(())
    }

    /// How far an axis (0 to 5) can go down and up from a pose while the others stay, in its own unit; none from a pose
    /// that cannot be reached itself.
    pub fn range(&self, axis: usize, pose: &[f64; 6], pivot_mm: [f64; 3]) -> Option<(f64, f64)> {
        self.reachable(pose, pivot_mm).ok()?;
        let (low, high) = *self.travel.get(axis)?;
        let free = |value: f64| {
            let mut there = *pose;
            there[axis] = value;
            self.reachable(&there, pivot_mm).is_ok()
        };
        Some((walk(pose[axis], low, free), walk(pose[axis], high, free)))
    }
}

/// The last value that is free on the way from one that is to an end, to 1e-9 of the way.
fn walk(from: f64, end: f64, free: impl Fn(f64) -> bool) -> f64 {
    let at = |share: f64| from + (end - from) * share;
    let mut good = 0.0;
    for k in 1..=RANGE_STEPS {
        let share = f64::from(k) / f64::from(RANGE_STEPS);
        if free(at(share)) {
            good = share;
            continue;
        }
        let mut bad = share;
        while bad - good > 1e-9 {
            let middle = f64::midpoint(good, bad);
            if free(at(middle)) { good = middle } else { bad = middle }
        }
        return at(good);
    }
    end
}

/// Shift (mm) and rotation of a pose.
pub(crate) fn rigid(pose: &[f64; 6]) -> (Vector3<f64>, Rotation3<f64>) {
    let about = |axis, deg: f64| Rotation3::from_axis_angle(&axis, deg.to_radians());
    let turn =
        about(Vector3::x_axis(), pose[3]) * about(Vector3::y_axis(), pose[4]) * about(Vector3::z_axis(), pose[5]);
    (Vector3::new(pose[0], pose[1], pose[2]), turn)
}

/// The pose of a shift (mm) and a rotation; V within 90 deg.
pub(crate) fn gcs(shift: Vector3<f64>, turn: Rotation3<f64>) -> [f64; 6] {
    let r = turn.matrix();
    let v = r[(0, 2)].clamp(-1.0, 1.0).asin();
    let u = (-r[(1, 2)]).atan2(r[(2, 2)]);
    let w = (-r[(0, 1)]).atan2(r[(0, 0)]);
    [shift.x, shift.y, shift.z, u.to_degrees(), v.to_degrees(), w.to_degrees()]
}

/// Where a tip that the platform carries comes to by a pose (mm, deg) about a pivot, against where it is at zero; tip and
/// pivot in mm, the result in um and rad in the hexapod's own frame.
pub fn tip(pose: &[f64; 6], pivot_mm: [f64; 3], tip_mm: [f64; 3]) -> Pose {
    let (shift, turn) = rigid(pose);
    let arm = Vector3::from(tip_mm) - Vector3::from(pivot_mm);
    Pose { um: ((shift + turn * arm - arm) * 1e3).into(), rad: turn.scaled_axis().into() }
}

#[cfg(test)]
mod tests;
