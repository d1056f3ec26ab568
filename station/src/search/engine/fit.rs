//! The most probable parameters under all readings, and how well they are known.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::model::{AXES, Model, Pose, at};
use super::optics::DB_PER_NEPER;
use super::play::{History, Stands};

/// Smallest step of a displayed power, dB.
const DISPLAY_DB: f64 = 0.001;

/// Residuals beyond this many standard deviations count by their size instead of its square.
const OUTLYING: f64 = 4.0;

/// Steps of one fit. Well-posed fits end in 4 to 8.
const STEPS: usize = 30;

/// A fit has ended when a step gains less cost than this.
const GAIN: f64 = 1e-4;

/// What readings of one alignment are uncertain by.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    /// Of a reading, relative, dB.
    pub(super) relative_db: f64,
    /// Of a reading, additive, mW.
    pub(super) floor_mw: f64,
    /// Of a pose after a move, per axis.
    pub(super) repeat: Pose,
    /// Of the model, a share of how far down a reading is.
    pub(super) shape: f64,
    /// By how much more than told the light differs from the model and from itself.
    pub(super) doubt: f64,
    /// Ripple of the light, dB.
    pub(super) ripple_db: f64,
    /// Source wander, dB.
    pub(super) wander_db: f64,
}

/// One reading as the fit sees it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Commands given before it.
    pub(super) commands: usize,
    pub(super) t_s: f64,
    /// What each channel showed, dBm.
    pub(super) dbm: Vec<f64>,
    /// Variance of each channel that slopes do not tell, dB squared.
    pub(super) bent: Vec<f64>,
}

impl Noise {
    /// A power as fits compare it, and its slope by the power in dBm: decibels where there is light, linear within the
    /// noise, where decibels of a noisy difference from nothing mean little. Source: asinh magnitudes, R. H. Lupton,
    /// J. E. Gunn and A. S. Szalay, Astron. J. 118 (1999) 1406.
    fn shown(&self, dbm: f64) -> (f64, f64) {
        let (light, soft) = (10f64.powf(dbm / 10.0), 2.0 * self.floor_mw);
        (DB_PER_NEPER * (light / soft).asinh(), light / light.hypot(soft))
    }
}

/// Everything known so far.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) history: History,
    pub(super) seen: Vec<Seen>,
    pub(super) noise: Noise,
}

/// Parameters, how good they are and how well they are known.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub(super) p: Vec<f64>,
    /// Half the chi square of readings and priors, with the log of the spread of the readings.
    pub(super) cost: f64,
    /// Chi square of the readings and priors alone.
    pub(super) chi2: f64,
    /// Chi square of the readings.
    pub(super) scatter: f64,
    /// How many numbers the readings have told, once settled: parameters, less what their priors tell of them.
    pub(super) taken: f64,
    hessian: DMatrix<f64>,
    /// Covariance of the free parameters, once settled, in their own units, in the order of [`Model::free`].
    pub(super) covariance: DMatrix<f64>,
    /// Where the axes stood before and after each command.
    pub(super) stands: Vec<Stands>,
}

/// Slopes of one reading's channels by the free parameters, and what it is uncertain by.
pub(super) struct Row {
    /// On the scale of [`Noise::shown`].
    pub(super) shown: Vec<f64>,
    pub(super) slopes: DMatrix<f64>,
    pub(super) spread: Cholesky<f64, Dyn>,
}

/// The pose of stands.
pub(super) fn pose(stands: &Stands) -> Pose {
    std::array::from_fn(|k| stands[k].actual)
}

/// Slope of a prediction by the actual pose along axis `k`, from its slopes by the parameters.
pub(super) fn by_pose(by: &[f64], k: usize) -> f64 {
    -by[at::CENTRE + k] - if k == 2 { by[at::FRINGE] } else { 0.0 }
}

/// Prediction of one reading at stands, by the free parameters in units of their priors.
pub(super) fn row(model: &Model, noise: &Noise, p: &[f64], stands: &Stands, t_s: f64, seen: Option<&Seen>) -> Row {
    let n = model.channels.len();
    let here = pose(stands);
    let mut slopes = DMatrix::zeros(n, model.free.len());
    // What all channels have in common: how far the axes stand off, and the source's wander.
    let mut common = DMatrix::zeros(n, AXES + 1);
    let mut spread = DMatrix::zeros(n, n);
    let mut shown = Vec::with_capacity(n);
    let mut by = vec![0.0; p.len()];
    for i in 0..n {
        let level = model.channel_into(p, &here, t_s, i, &mut by);
        let (value, gain) = noise.shown(level);
        by.iter_mut().for_each(|slope| *slope *= gain);
        for k in 0..AXES {
            let slope = by_pose(&by, k);
            by[at::PLAY + k] = slope * stands[k].by_play;
            by[at::SLACK + k] = slope * stands[k].by_slack;
            common[(i, k)] = slope * noise.repeat[k];
        }
        for (j, index) in model.free.iter().enumerate() {
            slopes[(i, j)] = by[*index] * model.prior[*index].sd;
        }
        let read = seen.map_or(level, |s| s.dbm[i]);
        let depth = (p[at::POWER] - read).max(0.0);
        let brighter = read.max(level);
        let gain = noise.shown(brighter).1;
        let floor = DB_PER_NEPER * noise.floor_mw / 10f64.powf(brighter / 10.0);
        let told = noise.relative_db.powi(2) + (noise.shape * depth).powi(2);
        let variance = told * noise.doubt.powi(2)
            + DISPLAY_DB * DISPLAY_DB / 12.0
            + floor * floor
            + noise.ripple_db.powi(2)
            + seen.map_or(0.0, |s| s.bent[i]);
        spread[(i, i)] = gain * gain * variance;
        common[(i, AXES)] = gain * noise.wander_db;
        shown.push(value);
    }
    spread += &common * common.transpose();
    let spread = Cholesky::new(spread).expect("a sum of squares with a positive diagonal");
    Row { shown, slopes, spread }
}

struct Normal {
    cost: f64,
    chi2: f64,
    scatter: f64,
    hessian: DMatrix<f64>,
    gradient: DVector<f64>,
    stands: Vec<Stands>,
}

fn normal(model: &Model, data: &Data, p: &[f64]) -> Normal {
    let n = model.free.len();
    let stands = data.history.stands(&p[at::PLAY..at::PLAY + AXES], &p[at::SLACK..at::SLACK + AXES]);
    let mut gradient = DVector::from_fn(n, |j, _| {
        let index = model.free[j];
        (p[index] - model.prior[index].mean) / model.prior[index].sd
    });
    let (priors, mut scatter) = (gradient.norm_squared(), 0.0);
    let mut cost = priors / 2.0;
    let channels = model.channels.len();
    let mut slopes = DMatrix::zeros(channels * data.seen.len(), n);
    let mut residuals = DVector::zeros(channels * data.seen.len());
    for (i, seen) in data.seen.iter().enumerate() {
        let mut row = row(model, &data.noise, p, &stands[seen.commands], seen.t_s, Some(seen));
        let l = row.spread.l_dirty();
        let mut residual =
            DVector::from_iterator(channels, row.shown.iter().zip(&seen.dbm).map(|(m, s)| m - data.noise.shown(*s).0));
        l.solve_lower_triangular_mut(&mut residual);
        l.solve_lower_triangular_mut(&mut row.slopes);
        // A reading far out of line pulls with a bounded force: something else shone there.
        let (size, limit) = (residual.norm(), OUTLYING * (channels as f64).sqrt());
        if size > limit {
            let share = (limit / size).sqrt();
            residual *= share;
            row.slopes *= share;
            cost += limit * size / 2.0 - limit * limit / 2.0;
        }
        scatter += residual.norm_squared();
        cost += residual.norm_squared() / 2.0 + (0..channels).map(|i| l[(i, i)].ln()).sum::<f64>();
        slopes.rows_mut(i * channels, channels).copy_from(&row.slopes);
        residuals.rows_mut(i * channels, channels).copy_from(&residual);
    }
    // A product of two matrices is several times faster than one of a matrix with itself in place.
    let across = slopes.transpose();
    let mut hessian = DMatrix::identity(n, n);
    hessian.gemm(1.0, &across, &slopes, 1.0);
    gradient.gemv(1.0, &across, &residuals, 1.0);
    Normal { cost, chi2: priors + scatter, scatter, hessian, gradient, stands }
}

/// Fits from a start by damped Gauss-Newton steps.
pub(super) fn fit(model: &Model, data: &Data, start: &[f64]) -> Fit {
    let mut p = start.to_vec();
    let mut now = normal(model, data, &p);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let mut damped = now.hessian.clone();
        for j in 0..model.free.len() {
            damped[(j, j)] *= 1.0 + damping;
        }
        let Some(solved) = Cholesky::new(damped) else { break };
        let step = solved.solve(&now.gradient);
        let mut tried = p.clone();
        for (j, index) in model.free.iter().enumerate() {
            tried[*index] -= step[j].clamp(-2.0, 2.0) * model.prior[*index].sd;
        }
        let next = normal(model, data, &tried);
        if next.cost < now.cost {
            let gain = now.cost - next.cost;
            p = tried;
            now = next;
            damping = (damping * 0.2).max(1e-9);
            if gain < GAIN {
                break;
            }
        } else {
            damping *= 8.0;
            if damping > 1e6 {
                break;
            }
        }
    }
    Fit {
        p,
        cost: now.cost,
        chi2: now.chi2,
        scatter: now.scatter,
        taken: 0.0,
        hessian: now.hessian,
        covariance: DMatrix::zeros(0, 0),
        stands: now.stands,
    }
}

impl Fit {
    /// Works out the covariance, which costs more than the fit and is not needed of fits that are dropped.
    pub(super) fn settle(&mut self, model: &Model) {
        let n = model.free.len();
        let inverse = Cholesky::new(self.hessian.clone()).map_or_else(|| DMatrix::identity(n, n), |c| c.inverse());
        self.taken = n as f64 - inverse.trace();
        let sd = DVector::from_iterator(n, model.free.iter().map(|i| model.prior[*i].sd));
        self.covariance = DMatrix::from_fn(n, n, |i, j| inverse[(i, j)] * sd[i] * sd[j]);
    }
}

impl Data {
    /// Tells anew, from what is known now, what each reading's slopes do not.
    pub(super) fn bend(&mut self, model: &Model, fit: &Fit) {
        for seen in &mut self.seen {
            let here = pose(&fit.stands[seen.commands]);
            for (i, bent) in seen.bent.iter_mut().enumerate() {
                *bent = model.bent(&fit.p, &here, seen.t_s, i, &fit.covariance);
            }
        }
    }
}
