//! What the engine believes: log power as a physical function of the pose, with everything that is not known exactly as
//! a parameter with a prior. It knows no stage and no meter, only numbers.

use std::f64::consts::FRAC_1_SQRT_2;

use nalgebra::DMatrix;

use super::Setup;
use super::aperture::log_share;
use super::ends::Second;
use super::optics::{DB_PER_NEPER, Ellipse};

/// Axes of a pose: x, y, z (um), rx, ry, rz (degrees); of a part with two ends x, y, z of the first and of the second (um).
pub(super) const AXES: usize = 6;

/// A pose: one number an axis, in the order of [`AXES`].
pub(super) type Pose = [f64; AXES];

/// Index of each parameter; centres come first.
pub(super) mod at {
    use super::AXES;
    pub(in super::super) const CENTRE: usize = 0;
    pub(in super::super) const POWER: usize = AXES;
    pub(in super::super) const ROTATION: usize = 7;
    pub(in super::super) const SHEAR: usize = 8;
    pub(in super::super) const RADIUS_X: usize = 9;
    pub(in super::super) const RADIUS_Y: usize = 10;
    pub(in super::super) const PIVOT: usize = 11;
    pub(in super::super) const WALK_X: usize = 14;
    pub(in super::super) const WALK_Y: usize = 15;
    pub(in super::super) const DRIFT_X: usize = 16;
    pub(in super::super) const DRIFT_Y: usize = 17;
    pub(in super::super) const FRINGE: usize = 18;
    /// How far the ellipse of the moving mode lies across x and y, off the diagonal of the log of its radii.
    pub(in super::super) const CROSS: usize = 19;
    /// Relative error of the play, one an axis.
    pub(in super::super) const PLAY: usize = 20;
    /// Where in its play each axis stood at the start, -1 to 1.
    pub(in super::super) const SLACK: usize = PLAY + AXES;
    /// Change of the light itself, dB a second.
    pub(in super::super) const FADE: usize = SLACK + AXES;
    /// By how much the light falls off faster on one side of the peak than on the other, along x and y.
    pub(in super::super) const SKEW_X: usize = FADE + 1;
    pub(in super::super) const SKEW_Y: usize = FADE + 2;
    /// Log of how much steeper than two Gaussian modes the light falls off along it.
    pub(in super::super) const DEPTH: usize = FADE + 3;
    /// x, y and gain of each channel.
    pub(in super::super) const CHANNEL: usize = FADE + 4;
}

/// Degrees to radians.
pub(super) const DEG: f64 = std::f64::consts::PI / 180.0;

/// Light that reaches the meter whatever the pose, mW: only keeps the model finite in the dark.
const STRAY_MW: f64 = 3e-8;

/// Indices of the pivot's second and third number.
const PIVOT_Y: usize = at::PIVOT + 1;
const PIVOT_Z: usize = at::PIVOT + 2;

/// Beyond this, dB, a reading says nothing anyway.
const BENT_MAX_DB: f64 = 3.0;

/// A prior: mean and one standard deviation; 0 where the value is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prior {
    pub(super) mean: f64,
    pub(super) sd: f64,
}

/// What all channels have in common at a pose and a time.
pub(super) struct Here<'a> {
    pub(super) p: &'a [f64],
    pose: &'a Pose,
    t_s: f64,
    /// From the peak across the light, in the stage's frame, um.
    e: [f64; 2],
    /// From the peak along the light in the array's middle, um.
    z: f64,
    /// About x, y and z from the peak, radians.
    turns: [f64; 3],
    /// Of the rotation, and of it with the shear.
    sin: f64,
    cos: f64,
    sin_s: f64,
    cos_s: f64,
    receiver: Ellipse,
}

/// The physical model of one alignment.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) wavelength: f64,
    pub(super) w1: f64,
    pub(super) w2: f64,
    pub(super) gap: f64,
    /// Where each channel stands along the array, um.
    pub(super) channels: Vec<f64>,
    /// Depth and period (um) of gap fringes.
    pub(super) fringe: Option<(f64, f64)>,
    /// Radius of a round aperture that takes a spot of the receiver's radius, um: a flat top instead of a mode.
    pub(super) aperture: Option<f64>,
    /// The second end of a part that light passes through; its entries of a pose are no angles.
    pub(super) second: Option<Second>,
    pub(super) prior: Vec<Prior>,
    /// Indices of the parameters that are not known.
    pub(super) free: Vec<usize>,
}

impl Model {
    pub(super) fn new(setup: &Setup, start: &Pose, play_spread: &Pose, drift: f64) -> Model {
        let n = setup.channels_um.len();
        let mut prior = vec![Prior { mean: 0.0, sd: 0.0 }; at::CHANNEL + 3 * n];
        for i in 0..AXES {
            prior[at::CENTRE + i] = Prior { mean: start[i] + setup.offset[i], sd: setup.search[i] };
            prior[at::PLAY + i].sd = play_spread[i];
            // Uniform between the ends of the play.
            prior[at::SLACK + i].sd = if play_spread[i] > 0.0 { 0.577 } else { 0.0 };
        }
        prior[at::POWER] = Prior { mean: setup.level_dbm, sd: setup.level_sd_db };
        prior[at::ROTATION].sd = setup.rotation_sd_deg * DEG;
        prior[at::SHEAR].sd = setup.shear_sd_deg * DEG;
        prior[at::RADIUS_X].sd = setup.radius_sd;
        prior[at::RADIUS_Y].sd = setup.radius_sd;
        // As wide as makes every turn of an ellipse as likely as every other.
        prior[at::CROSS].sd = if setup.turned { setup.radius_sd * FRAC_1_SQRT_2 } else { 0.0 };
        for i in 0..3 {
            prior[at::PIVOT + i].sd = setup.pivot_sd_um[i];
        }
        prior[at::SKEW_X].sd = setup.skew_sd;
        prior[at::SKEW_Y].sd = setup.skew_sd;
        prior[at::DEPTH].sd = if setup.search[2] > 0.0 { setup.depth_sd } else { 0.0 };
        prior[at::WALK_X].sd = setup.walk_sd;
        prior[at::WALK_Y].sd = setup.walk_sd;
        prior[at::DRIFT_X].sd = drift * FRAC_1_SQRT_2;
        prior[at::DRIFT_Y].sd = drift * FRAC_1_SQRT_2;
        for i in 0..n {
            prior[at::CHANNEL + 3 * i].sd = setup.core_sd_um;
            prior[at::CHANNEL + 3 * i + 1].sd = setup.core_sd_um;
            prior[at::CHANNEL + 3 * i + 2].sd = setup.gain_sd_db;
        }
        if let Some((_, period)) = setup.fringe {
            prior[at::FRINGE] = Prior { mean: 0.0, sd: period };
        }
        let second = Second::of(setup, drift * FRAC_1_SQRT_2, &mut prior);
        let free = (0..prior.len()).filter(|i| prior[*i].sd > 0.0).collect();
        Model {
            wavelength: setup.wavelength_um,
            w1: setup.emitter_radius_um,
            w2: setup.receiver_radius_um,
            gap: setup.gap_um,
            channels: setup.channels_um.clone(),
            fringe: setup.fringe,
            aperture: setup.aperture_um,
            second,
            prior,
            free,
        }
    }

    /// Takes a parameter to be known no better than this, one standard deviation.
    pub(super) fn widen(&mut self, index: usize, sd: f64) {
        self.prior[index].sd = self.prior[index].sd.max(sd);
        self.free = (0..self.prior.len()).filter(|i| self.prior[*i].sd > 0.0).collect();
    }

    /// Parameters at the means of their priors.
    pub(super) fn means(&self) -> Vec<f64> {
        self.prior.iter().map(|p| p.mean).collect()
    }

    /// What all channels have in common at an actual pose and a time.
    pub(super) fn here<'a>(&self, p: &'a [f64], pose: &'a Pose, t_s: f64) -> Here<'a> {
        let c = |k: usize| pose[k] - p[at::CENTRE + k];
        let turns @ [a, b, _] = self.turns(p, pose);
        let (sin, cos) = p[at::ROTATION].sin_cos();
        let (sin_s, cos_s) = (p[at::ROTATION] + p[at::SHEAR]).sin_cos();
        Here {
            p,
            pose,
            t_s,
            e: [c(0) - p[at::DRIFT_X] * t_s, c(1) - p[at::DRIFT_Y] * t_s],
            z: c(2) - p[at::PIVOT] * b - p[PIVOT_Y] * a,
            turns,
            sin,
            cos,
            sin_s,
            cos_s,
            receiver: Ellipse::new(self.w2, [p[at::RADIUS_X], p[at::RADIUS_Y], p[at::CROSS]]),
        }
    }

    /// Power of channel `i`, mW; slopes in dB by all parameters but play and slack go into `by`, which is as long as the
    /// parameters (those two follow from the slope by the pose).
    pub(super) fn channel_into(&self, here: &Here<'_>, i: usize, by: &mut [f64]) -> f64 {
        by.fill(0.0);
        if let Some(radius) = self.aperture {
            return self.flat_top(here, radius, by);
        }
        let Here { p, pose, t_s, e: [e0, e1], turns: [a, b, g], sin, cos, sin_s, cos_s, .. } = *here;
        let [lx, ly, lz] = [p[at::PIVOT], p[PIVOT_Y], p[PIVOT_Z]];
        let (sx, sy) = (p[at::WALK_X], p[at::WALK_Y]);
        let along = self.channels[i];
        let k = at::CHANNEL + 3 * i;
        let z = here.z - along * b;
        let dx = cos * e0 - sin_s * e1 + lz * b + sx * z + p[k] - along * (b * b + g * g) / 2.0;
        let dy = sin * e0 + cos_s * e1 + lz * a + sy * z + p[k + 1] + along * g;
        let skew = Skew::at([dx, dy], [p[at::SKEW_X], p[at::SKEW_Y]], self.w2);
        let steeper = p[at::DEPTH].exp();
        let h = here.receiver.facing(self.wavelength, self.w1, skew.offset, steeper * z + self.gap, [b, a]);
        let [gx, gy] = skew.by_offset(h.by_offset);
        [by[at::SKEW_X], by[at::SKEW_Y]] = skew.by_skew(h.by_offset);
        by[at::DEPTH] = h.by_gap * steeper * z;
        let gz = h.by_gap * steeper + gx * sx + gy * sy;
        let ux = gx * cos + gy * sin;
        let uy = -gx * sin_s + gy * cos_s;
        by[0] = -ux;
        by[1] = -uy;
        by[2] = -gz;
        by[3] = -(h.by_tilt[1] + gy * lz - gz * ly) * DEG;
        by[4] = -(h.by_tilt[0] + gx * (lz - along * b) - gz * (lx + along)) * DEG;
        by[5] = -(gy * along - gx * along * g) * DEG;
        by[at::ROTATION] = gx * (-sin * e0 - cos_s * e1) + gy * (cos * e0 - sin_s * e1);
        by[at::SHEAR] = gx * (-cos_s * e1) + gy * (-sin_s * e1);
        [by[at::RADIUS_X], by[at::RADIUS_Y], by[at::CROSS]] = h.by_radius;
        by[at::PIVOT] = -b * gz;
        by[PIVOT_Y] = -a * gz;
        by[PIVOT_Z] = gx * b + gy * a;
        by[at::WALK_X] = gx * z;
        by[at::WALK_Y] = gy * z;
        by[at::DRIFT_X] = -t_s * ux;
        by[at::DRIFT_Y] = -t_s * uy;
        by[k] = gx;
        by[k + 1] = gy;
        let mut dbm = p[at::POWER] + p[at::FADE] * t_s + p[k + 2] + DB_PER_NEPER * h.log;
        for slope in by.iter_mut() {
            *slope *= DB_PER_NEPER;
        }
        if let Some(second) = &self.second {
            dbm += second.channel_into(self.wavelength, p, pose, t_s, by);
        }
        if let Some((depth, period)) = self.fringe {
            let phase = std::f64::consts::PI * (pose[2] - p[at::FRINGE]) / period;
            let (s, co) = phase.sin_cos();
            let under = 1.0 + depth * s * s;
            dbm -= DB_PER_NEPER * under.ln();
            let by_phase = -DB_PER_NEPER * depth * 2.0 * s * co / under;
            by[at::FRINGE] = -by_phase * std::f64::consts::PI / period;
        }
        by[at::POWER] = 1.0;
        by[at::FADE] = t_s;
        by[k + 2] = 1.0;
        // What the meter shows never falls below the stray light.
        let light = 10f64.powf(dbm / 10.0);
        let share = light / (light + STRAY_MW);
        for slope in by.iter_mut() {
            *slope *= share;
        }
        light + STRAY_MW
    }

    /// Turns about x, y and z from the peak, radians; of two ends none has any.
    fn turns(&self, p: &[f64], pose: &Pose) -> [f64; 3] {
        let turn = |k: usize| if self.second.is_some() { 0.0 } else { (pose[k] - p[at::CENTRE + k]) * DEG };
        [turn(3), turn(4), turn(5)]
    }

    /// A spot on a round aperture.
    fn flat_top(&self, here: &Here<'_>, radius: f64, by: &mut [f64]) -> f64 {
        let Here { p, e, t_s, .. } = *here;
        let d = e[0].hypot(e[1]).max(1e-6);
        let w = self.w2 * p[at::RADIUS_X].exp();
        let step = 0.01;
        let slope = (log_share(w, radius, d + step) - log_share(w, radius, (d - step).abs())) / (2.0 * step);
        let widen = (log_share(w * (1.0 + 1e-3), radius, d) - log_share(w * (1.0 - 1e-3), radius, d)) / 2e-3;
        by[0] = -DB_PER_NEPER * slope * e[0] / d;
        by[1] = -DB_PER_NEPER * slope * e[1] / d;
        by[at::RADIUS_X] = DB_PER_NEPER * widen;
        by[at::POWER] = 1.0;
        by[at::FADE] = t_s;
        let dbm = p[at::POWER] + p[at::FADE] * t_s + DB_PER_NEPER * log_share(w, radius, d);
        10f64.powf(dbm / 10.0).max(f64::MIN_POSITIVE)
    }

    /// Variance of what channel `i` shows that its slopes do not tell, dB squared: power falls with the square of the
    /// offset across the light, so where the slope is nothing an uncertain offset still dims. `covariance` is of the free
    /// parameters.
    pub(super) fn bent(&self, here: &Here<'_>, i: usize, covariance: &DMatrix<f64>) -> f64 {
        if self.aperture.is_some() {
            return 0.0;
        }
        let Here { p, pose, t_s, e: [e0, e1], turns: [a, b, g], sin, cos, sin_s, cos_s, .. } = *here;
        let [lx, ly, lz] = [p[at::PIVOT], p[PIVOT_Y], p[PIVOT_Z]];
        let along = self.channels[i];
        let z = here.z - along * b;
        let k = at::CHANNEL + 3 * i;
        let mut total = 0.0;
        for side in 0..2 {
            // By x and y of the stage, by the turns, by rotation and shear.
            let (walk, by_x, by_y, by_a, by_b, by_g, by_turn, by_shear) = if side == 0 {
                let turn = -sin * e0 - cos_s * e1;
                (p[at::WALK_X], cos, -sin_s, 0.0, lz - along * b, -along * g, turn, -cos_s * e1)
            } else {
                let turn = cos * e0 - sin_s * e1;
                (p[at::WALK_Y], sin, cos_s, lz, 0.0, along, turn, -sin_s * e1)
            };
            let by = |index: usize| -> f64 {
                match index {
                    0 => -by_x,
                    1 => -by_y,
                    2 => -walk,
                    3 => -(by_a - walk * ly) * DEG,
                    4 => -(by_b - walk * (lx + along)) * DEG,
                    5 => -by_g * DEG,
                    at::ROTATION => by_turn,
                    at::SHEAR => by_shear,
                    at::PIVOT => -walk * b,
                    PIVOT_Y => -walk * a,
                    PIVOT_Z => [b, a][side],
                    at::WALK_X => [z, 0.0][side],
                    at::WALK_Y => [0.0, z][side],
                    at::DRIFT_X => -t_s * by_x,
                    at::DRIFT_Y => -t_s * by_y,
                    other if other == k + side => 1.0,
                    _ => 0.0,
                }
            };
            // Mean and variance of half the curvature times a squared normal number.
            total += 0.4 * (curvature(self.w1, self.w2) * variance(&self.free, covariance, by)).powi(2);
        }
        if let Some(second) = &self.second {
            total += second.bent(p, pose, t_s, &self.free, covariance);
        }
        total.min(BENT_MAX_DB * BENT_MAX_DB)
    }
}

/// An offset across the light as a mode sees it that is steeper on one side than on the other: longer by a share that goes
/// from -s to s across the mode, where s is the skew along the offset. Its peak stays where it is.
struct Skew {
    /// As the mode sees it, um.
    offset: [f64; 2],
    from: [f64; 2],
    /// 1 and the share; and the share's slopes by the offset, 1/um, and by the skews.
    longer: f64,
    by: [f64; 2],
    side: [f64; 2],
}

impl Skew {
    fn at(from: [f64; 2], skew: [f64; 2], radius: f64) -> Skew {
        let u = from.map(|v| v / radius);
        let under = 1.0 + u[0] * u[0] + u[1] * u[1];
        let side = u.map(|v| v / under.sqrt());
        let share = skew[0] * side[0] + skew[1] * side[1];
        let by = [0, 1].map(|k| (skew[k] / under.sqrt() - share * u[k] / under) / radius);
        let longer = 1.0 + share;
        Skew { offset: from.map(|v| v * longer), from, longer, by, side }
    }

    /// Slopes by the offset, from those by the offset as the mode sees it.
    fn by_offset(&self, seen: [f64; 2]) -> [f64; 2] {
        let along = seen[0] * self.from[0] + seen[1] * self.from[1];
        [0, 1].map(|k| seen[k] * self.longer + along * self.by[k])
    }

    fn by_skew(&self, seen: [f64; 2]) -> [f64; 2] {
        let along = seen[0] * self.from[0] + seen[1] * self.from[1];
        self.side.map(|side| along * side)
    }
}

/// Variance of what has slopes `by` the free parameters: most of them have none.
pub(super) fn variance(free: &[usize], covariance: &DMatrix<f64>, by: impl Fn(usize) -> f64) -> f64 {
    let mut before: Vec<(usize, f64)> = Vec::with_capacity(free.len());
    let mut sum = 0.0;
    for (i, slope) in free.iter().map(|f| by(*f)).enumerate().filter(|(_, slope)| *slope != 0.0) {
        let column = covariance.column(i);
        let across: f64 = before.iter().map(|(j, other)| column[*j] * other).sum();
        sum += slope * (2.0 * across + column[i] * slope);
        before.push((i, slope));
    }
    sum
}

/// A power in dBm.
pub(super) fn dbm(light_mw: f64) -> f64 {
    10.0 * light_mw.log10()
}

/// By how much the loss of two modes bends across the light, dB/um^2.
pub(super) fn curvature(w1: f64, w2: f64) -> f64 {
    DB_PER_NEPER * (1.0 / (w1 * w1) + 1.0 / (w2 * w2))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Objective;
    use super::*;

    fn array() -> Setup {
        Setup {
            wavelength_um: 1.31,
            emitter_radius_um: 4.6,
            receiver_radius_um: 4.7,
            radius_sd: 0.02,
            turned: true,
            gap_um: 10.0,
            offset: [0.0; AXES],
            search: [4.0, 4.0, 20.0, 0.6, 0.6, 0.3],
            width: [4.6, 4.6, 101.5, 5.2, 5.2, 0.9],
            level_dbm: -1.5,
            level_sd_db: 1.0,
            rotation_sd_deg: 1.0,
            shear_sd_deg: 0.2,
            pivot_sd_um: [20.0, 20.0, 100.0],
            walk_sd: 0.03,
            channels_um: vec![-127.0, 0.0, 254.0],
            core_sd_um: 0.3,
            gain_sd_db: 0.2,
            fringe: Some((0.075, 0.655)),
            aperture_um: None,
            centre_um: 0.3,
            shape: 0.012,
            skew_sd: 0.1,
            depth_sd: 0.1,
            ripple_db: 0.0,
            hills: None,
            spiral_um: None,
            objective: Objective::Sum,
            tell_order: false,
            tolerance_db: 0.01,
            second: None,
            readings_max: 40,
        }
    }

    #[test]
    fn slopes_by_every_parameter_and_by_the_pose_are_those_of_differences() {
        slopes_are_differences(&array());
    }

    /// Of a setup's model, at a pose off its peak.
    pub(in super::super) fn slopes_are_differences(setup: &Setup) {
        let mut model = Model::new(setup, &[0.0; AXES], &[0.0; AXES], 0.01);
        model.widen(at::FADE, 0.1);
        // Every parameter off its mean, so that no slope is nothing by symmetry.
        let p: Vec<f64> =
            model.prior.iter().enumerate().map(|(i, q)| q.mean + q.sd * (0.3 + 0.07 * i as f64 % 0.5)).collect();
        let (pose, t_s) = ([1.3, -0.9, 4.0, 0.5, -0.4, 0.2], 2.5);
        let mut by = vec![0.0; p.len()];
        let mut spare = vec![0.0; p.len()];
        for channel in 0..setup.channels_um.len() {
            model.channel_into(&model.here(&p, &pose, t_s), channel, &mut by);
            for index in &model.free {
                let step = 1e-5 * model.prior[*index].sd;
                let mut at = |sign: f64| {
                    let mut q = p.clone();
                    q[*index] += sign * step;
                    dbm(model.channel_into(&model.here(&q, &pose, t_s), channel, &mut spare))
                };
                let got = (at(1.0) - at(-1.0)) / (2.0 * step);
                assert!(
                    (got - by[*index]).abs() < 1e-4 * (1.0 + got.abs()),
                    "{channel}, {index}: {got} {}",
                    by[*index]
                );
            }
            for k in 0..AXES {
                let mut at = |sign: f64| {
                    let mut moved = pose;
                    moved[k] += sign * 1e-5;
                    dbm(model.channel_into(&model.here(&p, &moved, t_s), channel, &mut spare))
                };
                let got = (at(1.0) - at(-1.0)) / 2e-5;
                let slope = super::super::fit::by_pose(&by, k);
                assert!((got - slope).abs() < 1e-4 * (1.0 + got.abs()), "{channel}, axis {k}: {got} {slope}");
            }
        }
    }
}
