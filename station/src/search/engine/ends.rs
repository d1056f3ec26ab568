//! The second end of a part that light passes through: its power is the product of both couplings, so their logs add.
//! Both ends are fitted in one model, because every reading tells of both.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use nalgebra::DMatrix;

use super::model::{DEG, Pose, Prior, at, curvature, variance};
use super::optics::{DB_PER_NEPER, Ellipse, coupled};
use super::{Engine, Setup};

/// What is known of the second end before the first reading: what a [`Setup`] says of the first, of the second. Where it
/// is, and how wide, the second three entries of the setup's arrays say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    /// Mode radius (1/e^2 of intensity) of the side that stands still, um.
    pub emitter_radius_um: f64,
    /// Mode radius of the side that moves, um.
    pub receiver_radius_um: f64,
    /// Relative uncertainty of that radius, one standard deviation.
    pub radius_sd: f64,
    /// Gap when z2 is where the peak is expected, um.
    pub gap_um: f64,
    /// Rotation of the stage's frame to the optics', degrees.
    pub rotation_sd_deg: f64,
    /// Departure of x2 and y2 from a right angle, degrees.
    pub shear_sd_deg: f64,
    /// Sideways walk of the light along z2, um per um.
    pub walk_sd: f64,
}

/// Index among a pose's axes of the second end's x; y and z follow.
pub(super) const X2: usize = 3;

/// Axes across the light of the first end, of the second, and of both.
pub(super) const ONE: [usize; 2] = [0, 1];
pub(super) const SECOND: [usize; 2] = [X2, X2 + 1];
const BOTH: [usize; 4] = [0, 1, X2, X2 + 1];

/// The second end's own parameters, which follow all others of a model, from 0.
mod own {
    pub(super) const ROTATION: usize = 0;
    pub(super) const SHEAR: usize = 1;
    /// Logs of the radius along x and y, and off the diagonal.
    pub(super) const RADIUS_X: usize = 2;
    pub(super) const RADIUS_Y: usize = 3;
    pub(super) const CROSS: usize = 4;
    pub(super) const WALK_X: usize = 5;
    pub(super) const WALK_Y: usize = 6;
    pub(super) const DRIFT_X: usize = 7;
    pub(super) const DRIFT_Y: usize = 8;
    pub(super) const COUNT: usize = 9;
}

/// The second end in the model.
#[derive(Debug, Clone)]
pub(super) struct Second {
    /// Mode radii, still and moving, um.
    w: [f64; 2],
    gap: f64,
    /// Index of its first own parameter.
    first: usize,
    /// What both ends lose at their peaks because their modes differ, nepers: no part of the power at the peak.
    mismatch: f64,
}

/// Where the second end stands in the light.
struct Place {
    sin: f64,
    cos: f64,
    sin_s: f64,
    cos_s: f64,
    /// From the peak, in the stage's frame.
    e: [f64; 2],
    z: f64,
}

impl Place {
    /// How far the light's x and y change by the stage's x and y, side by side.
    fn by_stage(&self) -> [[f64; 2]; 2] {
        [[self.cos, -self.sin_s], [self.sin, self.cos_s]]
    }

    /// How far they change by the rotation and by the shear.
    fn by_turn(&self) -> [[f64; 2]; 2] {
        let [e0, e1] = self.e;
        [[-self.sin * e0 - self.cos_s * e1, -self.cos_s * e1], [self.cos * e0 - self.sin_s * e1, -self.sin_s * e1]]
    }
}

impl Second {
    /// Of a setup that has a second end; its parameters' priors are put at the end of `prior`.
    pub(super) fn of(setup: &Setup, drift_sd: f64, prior: &mut Vec<Prior>) -> Option<Second> {
        let end = setup.second?;
        let first = prior.len();
        let mut sd = [0.0; own::COUNT];
        sd[own::ROTATION] = end.rotation_sd_deg * DEG;
        sd[own::SHEAR] = end.shear_sd_deg * DEG;
        (sd[own::RADIUS_X], sd[own::RADIUS_Y]) = (end.radius_sd, end.radius_sd);
        sd[own::CROSS] = if setup.turned { end.radius_sd * FRAC_1_SQRT_2 } else { 0.0 };
        (sd[own::WALK_X], sd[own::WALK_Y]) = (end.walk_sd, end.walk_sd);
        (sd[own::DRIFT_X], sd[own::DRIFT_Y]) = (drift_sd, drift_sd);
        prior.extend(sd.map(|sd| Prior { mean: 0.0, sd }));
        let at_peak = |w1, w2, gap| 2.0 * coupled(setup.wavelength_um, w1, w2, 0.0, gap, 0.0).log;
        let w = [end.emitter_radius_um, end.receiver_radius_um];
        let one = at_peak(setup.emitter_radius_um, setup.receiver_radius_um, setup.gap_um);
        Some(Second { w, gap: end.gap_um, first, mismatch: one + at_peak(w[0], w[1], end.gap_um) })
    }

    fn place(&self, p: &[f64], pose: &Pose, t_s: f64) -> Place {
        let q = &p[self.first..];
        let (sin, cos) = q[own::ROTATION].sin_cos();
        let (sin_s, cos_s) = (q[own::ROTATION] + q[own::SHEAR]).sin_cos();
        let c = |k: usize| pose[X2 + k] - p[at::CENTRE + X2 + k];
        let e = [c(0) - q[own::DRIFT_X] * t_s, c(1) - q[own::DRIFT_Y] * t_s];
        Place { sin, cos, sin_s, cos_s, e, z: c(2) }
    }

    /// What it adds to the log power, dB; its slopes go into `by`.
    pub(super) fn channel_into(&self, wavelength: f64, p: &[f64], pose: &Pose, t_s: f64, by: &mut [f64]) -> f64 {
        let q = &p[self.first..];
        let here = self.place(p, pose, t_s);
        let offset: [f64; 2] = std::array::from_fn(|side| {
            let [by_x, by_y] = here.by_stage()[side];
            by_x * here.e[0] + by_y * here.e[1] + q[own::WALK_X + side] * here.z
        });
        let logs = [q[own::RADIUS_X], q[own::RADIUS_Y], q[own::CROSS]];
        let [w1, w2] = self.w;
        let h = Ellipse::new(w2, logs).facing(wavelength, w1, offset, here.z + self.gap, [0.0; 2]);
        let across = |by: [f64; 2]| DB_PER_NEPER * (h.by_offset[0] * by[0] + h.by_offset[1] * by[1]);
        let [[xx, xy], [yx, yy]] = here.by_stage();
        let [turn_x, turn_y] = here.by_turn();
        let (by_x, by_y) = (across([xx, yx]), across([xy, yy]));
        by[at::CENTRE + X2] = -by_x;
        by[at::CENTRE + X2 + 1] = -by_y;
        by[at::CENTRE + X2 + 2] = -(DB_PER_NEPER * h.by_gap + across([q[own::WALK_X], q[own::WALK_Y]]));
        let by = &mut by[self.first..];
        by[own::ROTATION] = across([turn_x[0], turn_y[0]]);
        by[own::SHEAR] = across([turn_x[1], turn_y[1]]);
        for (i, slope) in h.by_radius.into_iter().enumerate() {
            by[own::RADIUS_X + i] = DB_PER_NEPER * slope;
        }
        by[own::WALK_X] = across([here.z, 0.0]);
        by[own::WALK_Y] = across([0.0, here.z]);
        by[own::DRIFT_X] = -t_s * by_x;
        by[own::DRIFT_Y] = -t_s * by_y;
        DB_PER_NEPER * (h.log - self.mismatch)
    }

    /// What [`bent`](super::model::Model::bent) is of this end alone, without its bound.
    pub(super) fn bent(&self, p: &[f64], pose: &Pose, t_s: f64, free: &[usize], covariance: &DMatrix<f64>) -> f64 {
        let q = &p[self.first..];
        let here = self.place(p, pose, t_s);
        let of = |side: usize| {
            let ([by_x, by_y], [turn, shear]) = (here.by_stage()[side], here.by_turn()[side]);
            let along = |own: usize| if own == side { here.z } else { 0.0 };
            let by = |index: usize| match (index, index.checked_sub(self.first)) {
                (X2, _) => -by_x,
                (index, _) if index == X2 + 1 => -by_y,
                (index, _) if index == X2 + 2 => -q[own::WALK_X + side],
                (_, Some(own::ROTATION)) => turn,
                (_, Some(own::SHEAR)) => shear,
                (_, Some(own::WALK_X)) => along(0),
                (_, Some(own::WALK_Y)) => along(1),
                (_, Some(own::DRIFT_X)) => -t_s * by_x,
                (_, Some(own::DRIFT_Y)) => -t_s * by_y,
                _ => 0.0,
            };
            variance(free, covariance, by)
        };
        (0..2).map(|side| 0.4 * (curvature(self.w[0], self.w[1]) * of(side)).powi(2)).sum()
    }

    /// Moves a target across the light as far as the way along it, from the pose it is seen from, walks sideways.
    pub(super) fn follow(&self, p: &[f64], from: &Pose, to: &mut Pose) {
        let q = &p[self.first..];
        let z = to[X2 + 2] - from[X2 + 2];
        let (ex, ey) = (-q[own::WALK_X] * z, -q[own::WALK_Y] * z);
        let (sin, cos) = q[own::ROTATION].sin_cos();
        to[X2] += cos * ex + sin * ey;
        to[X2 + 1] += -sin * ex + cos * ey;
    }

    /// How far its peak has drifted, um.
    pub(super) fn drifted(&self, p: &[f64], t_s: f64) -> [f64; 2] {
        [own::DRIFT_X, own::DRIFT_Y].map(|own| p[self.first + own] * t_s)
    }
}

impl Setup {
    /// Indices of a pose's axes across the light, of one end or of both.
    pub(super) fn lateral(&self) -> &'static [usize] {
        if self.second.is_some() { &BOTH } else { &ONE }
    }
}

/// Peaks of both ends about the brightest place that a fit starts from: turns of the first, and of the second for each.
const TURNS: [usize; 2] = [6, 3];

impl Engine<'_> {
    /// As [`Engine::ring`], where what the light is short of may be of either end: as much of each.
    pub(super) fn rings(&self, from: &Pose, radius: f64) -> Vec<Vec<f64>> {
        let [turns, seconds] = TURNS;
        let around = |turn: usize, turns: usize| ((turn as f64 + 0.5) * TAU / turns as f64).sin_cos();
        let start = |i: usize| {
            let mut p = self.model.means();
            // The second's turns lie between one another from turn to turn of the first.
            let (s, c) = around(i / seconds, turns);
            let (s2, c2) = around(i, turns * seconds / 2);
            let lateral = self.setup.lateral().iter().zip([c, s, c2, s2]);
            for (k, by) in lateral.filter(|(k, _)| self.axes.contains(k)) {
                p[*k] = from[*k] + radius * FRAC_1_SQRT_2 * self.setup.width[*k] * by;
            }
            p
        };
        (0..turns * seconds).map(start).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::design::{Frame, objective, optimum};
    use super::super::model::tests::slopes_are_differences;
    use super::super::model::{AXES, Model};
    use super::super::tests::through;
    use super::*;

    #[test]
    fn slopes_of_two_ends_are_those_of_differences() {
        slopes_are_differences(&Setup { turned: true, ..through() });
    }

    #[test]
    fn at_the_peak_of_both_ends_there_is_the_power_told_and_no_slope_after_drift_too() {
        let setup = through();
        let model = Model::new(&setup, &[0.0; AXES], &[0.0; AXES], 0.05);
        let (axes, t_s) = ([0, 1, 2, 3, 4, 5], 40.0);
        let frame = Frame { axes: &axes, width: &setup.width, objective: setup.objective, flat: None };
        let (_, dbm) = optimum(&model, &model.means(), &frame, &[0.0; AXES], 0.0);
        assert!((dbm - setup.level_dbm).abs() < 1e-3, "{dbm}");
        let p: Vec<f64> = model.prior.iter().map(|q| q.mean + 0.7 * q.sd).collect();
        let (peak, _) = optimum(&model, &p, &frame, &[0.0; AXES], t_s);
        assert!((peak[X2] - p[at::CENTRE + X2]).abs() > 0.5, "the second end has drifted");
        let (_, slope) = objective(&model, &p, setup.objective, &peak, t_s);
        assert!(slope.iter().all(|s| s.abs() < 1e-9), "{slope:?}");
    }
}
