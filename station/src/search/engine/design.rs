//! Where to measure next: the place that buys most expected loss per second.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::Objective;
use super::ends::X2;
use super::fit::{Data, Fit, Noise, by_pose, foresee, pose};
use super::model::{AXES, Model, Pose, at, dbm};
use super::optics::DB_PER_NEPER;
use super::play::{Stand, Stands};

/// Softness of the weakest channel, dB: below what the search asks, above what makes steps unstable.
pub(super) const SOFT_DB: f64 = 0.04;

/// Newton steps to the optimum of a fitted model.
const NEWTON: usize = 12;

/// What the search is for: a number of decibels at an actual pose and a time, and its slope by the pose.
pub(super) fn objective(model: &Model, p: &[f64], objective: Objective, at_pose: &Pose, t_s: f64) -> (f64, Pose) {
    let n = model.channels.len();
    let mut by = vec![0.0; p.len()];
    let mut levels = Vec::with_capacity(n);
    let mut slopes = Vec::with_capacity(n);
    let here = model.here(p, at_pose, t_s);
    for i in 0..n {
        levels.push(dbm(model.channel_into(&here, i, &mut by)));
        slopes.push(std::array::from_fn::<f64, AXES, _>(|k| by_pose(&by, k)));
    }
    // Sum: log of the mean power. Weakest: a soft minimum.
    let scale = match objective {
        Objective::Sum => 1.0 / DB_PER_NEPER,
        Objective::Weakest => -1.0 / SOFT_DB,
    };
    let top = levels.iter().map(|l| l * scale).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = levels.iter().map(|l| (l * scale - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut slope = [0.0; AXES];
    for (w, s) in weights.iter().zip(&slopes) {
        for k in 0..AXES {
            slope[k] += w / sum * s[k];
        }
    }
    let value = match objective {
        Objective::Sum => (top + (sum / n as f64).ln()) / scale,
        Objective::Weakest => (top + sum.ln()) / scale,
    };
    (value, slope)
}

/// The best pose under parameters, and what is needed to tell the loss of standing beside it.
#[derive(Debug, Clone)]
pub(super) struct Optimum {
    pub(super) pose: Pose,
    pub(super) dbm: f64,
    /// Loss is half of d' H d, dB; over the moved axes.
    pub(super) hessian: DMatrix<f64>,
    /// L^-1 G, with H = L L': the loss that an error of the free parameters makes is half its square norm.
    pub(super) lever: DMatrix<f64>,
    /// L': the same of an error of the pose.
    pub(super) stance: DMatrix<f64>,
}

/// Widths by which each axis is scaled: about what loses 4 dB.
pub(super) struct Frame<'a> {
    pub(super) axes: &'a [usize],
    pub(super) width: &'a Pose,
    pub(super) objective: Objective,
    /// On a flat top, what stands for the curvature: a tolerance's worth of loss at the distance asked for.
    pub(super) flat: Option<f64>,
}

fn hessian(model: &Model, p: &[f64], frame: &Frame<'_>, here: &Pose, t_s: f64) -> DMatrix<f64> {
    let d = frame.axes.len();
    if let Some(curvature) = frame.flat {
        return DMatrix::identity(d, d) * curvature;
    }
    let mut h = DMatrix::zeros(d, d);
    for (j, k) in frame.axes.iter().enumerate() {
        // Within a fringe where there are fringes.
        let step = match model.fringe {
            Some((_, period)) if *k == 2 => 0.04 * period,
            _ => 0.02 * frame.width[*k],
        };
        let (mut up, mut down) = (*here, *here);
        up[*k] += step;
        down[*k] -= step;
        let above = objective(model, p, frame.objective, &up, t_s).1;
        let below = objective(model, p, frame.objective, &down, t_s).1;
        for (i, m) in frame.axes.iter().enumerate() {
            h[(i, j)] = -(above[*m] - below[*m]) / (2.0 * step);
        }
    }
    let t = h.transpose();
    (h + t) / 2.0
}

/// Adds to the diagonal what makes it positive definite.
fn positive(mut h: DMatrix<f64>, frame: &Frame<'_>) -> (DMatrix<f64>, Cholesky<f64, nalgebra::Dyn>) {
    let mut share = 0.0;
    loop {
        let mut tried = h.clone();
        for (i, k) in frame.axes.iter().enumerate() {
            tried[(i, i)] += share / frame.width[*k].powi(2);
        }
        if let Some(c) = Cholesky::new(tried.clone()) {
            h = tried;
            return (h, c);
        }
        share = (share * 3.0_f64).max(0.01);
    }
}

/// The best pose of the fit near its centre.
pub(super) fn optimum(model: &Model, p: &[f64], frame: &Frame<'_>, from: &Pose, t_s: f64) -> (Pose, f64) {
    if model.channels.len() == 1 && model.fringe.is_none() {
        let mut best = *from;
        for k in frame.axes {
            best[*k] = p[at::CENTRE + k];
        }
        best[0] += p[at::DRIFT_X] * t_s;
        best[1] += p[at::DRIFT_Y] * t_s;
        if let Some(second) = &model.second {
            let [x, y] = second.drifted(p, t_s);
            best[X2] += x;
            best[X2 + 1] += y;
        }
        return (best, objective(model, p, frame.objective, &best, t_s).0);
    }
    let mut best = *from;
    for k in frame.axes {
        best[*k] = p[at::CENTRE + k];
    }
    if let Some((_, period)) = model.fringe {
        // The crest nearest the focus.
        let crest = ((best[2] - p[at::FRINGE]) / period).round() * period + p[at::FRINGE];
        best[2] = crest;
    }
    let (mut value, mut slope) = objective(model, p, frame.objective, &best, t_s);
    for _ in 0..NEWTON {
        let (_, solved) = positive(hessian(model, p, frame, &best, t_s), frame);
        let g = DVector::from_iterator(frame.axes.len(), frame.axes.iter().map(|k| slope[*k]));
        let step = solved.solve(&g);
        let mut share = 1.0;
        let mut gained = 0.0;
        while share > 1e-3 {
            let mut tried = best;
            for (i, k) in frame.axes.iter().enumerate() {
                tried[*k] += (share * step[i]).clamp(-0.5 * frame.width[*k], 0.5 * frame.width[*k]);
            }
            let (v, s) = objective(model, p, frame.objective, &tried, t_s);
            if v > value {
                gained = v - value;
                best = tried;
                (value, slope) = (v, s);
                break;
            }
            share *= 0.3;
        }
        if gained < 1e-6 {
            break;
        }
    }
    (best, value)
}

/// Optimum with the matrices of loss. `stands`: where the axes would stand there (for what an error of the play does).
pub(super) fn levers(model: &Model, p: &[f64], frame: &Frame<'_>, now: &Stands, data: &Data, t_s: f64) -> Optimum {
    if let Some((depth, period)) = model.fringe {
        return fringed(model, p, frame, now, data, t_s, (depth, period));
    }
    let (best, dbm) = optimum(model, p, frame, &pose(now), t_s);
    let (h, solved) = positive(hessian(model, p, frame, &best, t_s), frame);
    let d = frame.axes.len();
    let mut g = DMatrix::zeros(d, model.free.len());
    let mut q = p.to_vec();
    let (there, _) = reach(now, &best, p, data);
    for (j, index) in model.free.iter().enumerate() {
        if (at::PLAY..at::FADE).contains(index) {
            let k = if *index < at::SLACK { index - at::PLAY } else { index - at::SLACK };
            let by = if *index < at::SLACK { there[k].by_play } else { there[k].by_slack };
            if let Some(i) = frame.axes.iter().position(|a| *a == k) {
                for m in 0..d {
                    g[(m, j)] = -h[(m, i)] * by;
                }
            }
            continue;
        }
        if *index < AXES {
            if let Some(i) = frame.axes.iter().position(|a| a == index) {
                for m in 0..d {
                    g[(m, j)] = h[(m, i)];
                }
            }
            continue;
        }
        let step = 0.05 * model.prior[*index].sd;
        q[*index] = p[*index] + step;
        let above = objective(model, &q, frame.objective, &best, t_s).1;
        q[*index] = p[*index] - step;
        let below = objective(model, &q, frame.objective, &best, t_s).1;
        q[*index] = p[*index];
        for (m, k) in frame.axes.iter().enumerate() {
            g[(m, j)] = (above[*k] - below[*k]) / (2.0 * step);
        }
    }
    let lever = solved.l().solve_lower_triangular(&g).expect("a Cholesky factor has a positive diagonal");
    Optimum { pose: best, dbm, hessian: h, lever, stance: solved.l().transpose() }
}

/// Levers where there are fringes: an error of the focus costs as if there were none, because the crest nearest to the
/// focus is taken; an error of the phase costs what a fringe costs.
fn fringed(
    model: &Model,
    p: &[f64],
    frame: &Frame<'_>,
    now: &Stands,
    data: &Data,
    t_s: f64,
    (depth, period): (f64, f64),
) -> Optimum {
    let (best, dbm) = optimum(model, p, frame, &pose(now), t_s);
    let hessian = positive(hessian(model, p, frame, &best, t_s), frame).0;
    let mut plain = model.clone();
    plain.fringe = None;
    plain.free = model.free.clone();
    let mut smooth = levers(&plain, p, frame, now, data, t_s);
    let rows = smooth.lever.nrows();
    let curve = (2.0 * DB_PER_NEPER * depth).sqrt() * std::f64::consts::PI / period;
    let there = reach(now, &best, p, data).0[2];
    smooth.lever = smooth.lever.insert_row(rows, 0.0);
    smooth.stance = smooth.stance.insert_row(rows, 0.0);
    if let Some(z) = frame.axes.iter().position(|k| *k == 2) {
        smooth.stance[(rows, z)] = curve;
    }
    const PLAY_Z: usize = at::PLAY + 2;
    const SLACK_Z: usize = at::SLACK + 2;
    for (j, index) in model.free.iter().enumerate() {
        smooth.lever[(rows, j)] = curve
            * match *index {
                at::FRINGE => 1.0,
                PLAY_Z => -there.by_play,
                SLACK_Z => -there.by_slack,
                _ => 0.0,
            };
    }
    Optimum { pose: best, dbm, hessian, ..smooth }
}

impl Optimum {
    /// Loss of standing at a pose instead of the optimum, dB.
    pub(super) fn loss(&self, frame: &Frame<'_>, at_pose: &Pose) -> f64 {
        let d = DVector::from_iterator(frame.axes.len(), frame.axes.iter().map(|k| at_pose[*k] - self.pose[*k]));
        (d.transpose() * &self.hessian * &d)[(0, 0)] / 2.0
    }

    /// Covariance of the loss's square roots from the scatter of a move's end.
    pub(super) fn scatter(&self, frame: &Frame<'_>, noise: &Noise) -> DMatrix<f64> {
        let mut scaled = self.stance.clone();
        for (i, k) in frame.axes.iter().enumerate() {
            scaled.column_mut(i).scale_mut(noise.repeat[*k]);
        }
        &scaled * scaled.transpose()
    }
}

/// Commands that bring the axes to a pose, and where they then stand.
pub(super) fn reach(now: &Stands, target: &Pose, p: &[f64], data: &Data) -> (Stands, Pose) {
    let given = data.history.given();
    let mut command = [0.0; AXES];
    let there = std::array::from_fn(|k| {
        let play = given[k] * (1.0 + p[at::PLAY + k]);
        let up = target[k] - now[k].actual;
        command[k] = target[k]
            + if up > 0.0 {
                play / 2.0
            } else if up < 0.0 {
                -play / 2.0
            } else {
                0.0
            };
        if up == 0.0 {
            // Anything within the play leaves it where it is.
            return now[k];
        }
        let moved: Stand = now[k].follow(command[k], play, given[k]);
        moved
    });
    (there, command)
}

/// A fit and its optimum, ready to tell what one more reading would buy.
pub(super) struct Outlook<'a> {
    model: &'a Model,
    noise: &'a Noise,
    fit: &'a Fit,
    /// Covariance in units of the priors.
    covariance: DMatrix<f64>,
    /// Lever times covariance, in the same units.
    lever: DMatrix<f64>,
    expected: f64,
}

/// A reading not taken yet.
pub(super) struct Foreseen {
    /// What every channel is expected to show, on the scale of [`Noise`].
    pub(super) shown: Vec<f64>,
    /// Covariance of that.
    pub(super) spread: DMatrix<f64>,
    /// Its slopes by the free parameters in units of their priors, a column a channel.
    slopes: DMatrix<f64>,
}

impl<'a> Outlook<'a> {
    pub(super) fn new(model: &'a Model, noise: &'a Noise, fit: &'a Fit, optimum: &Optimum) -> Outlook<'a> {
        let sd = |i: usize| model.prior[model.free[i]].sd;
        let mut lever = &optimum.lever * &fit.covariance;
        let expected = (&lever * optimum.lever.transpose()).trace() / 2.0;
        lever.column_iter_mut().enumerate().for_each(|(i, mut column)| column.unscale_mut(sd(i)));
        let n = model.free.len();
        let covariance = DMatrix::from_fn(n, n, |i, j| fit.covariance[(i, j)] / (sd(i) * sd(j)));
        Outlook { model, noise, fit, covariance, lever, expected }
    }

    /// A reading at stands.
    pub(super) fn foresee(&self, stands: &Stands, t_s: f64) -> Foreseen {
        let (row, slopes) = foresee(self.model, self.noise, self.fit, stands, t_s);
        let mut spread = row.spread;
        spread.gemm(1.0, &slopes.transpose(), &(&self.covariance * &slopes), 1.0);
        Foreseen { shown: row.shown, spread, slopes }
    }

    /// Expected loss after that reading, dB.
    pub(super) fn after(&self, reading: &Foreseen) -> f64 {
        let Some(s) = Cholesky::new(reading.spread.clone()) else { return self.expected };
        let v = (&self.lever * &reading.slopes).transpose();
        let bought = s.l_dirty().solve_lower_triangular(&v).map_or(0.0, |w| w.norm_squared() / 2.0);
        (self.expected - bought).max(0.0)
    }
}
