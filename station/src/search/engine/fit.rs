//! The most probable parameters under all readings, and how well they are known.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::model::{AXES, Here, Model, Pose, at, dbm};
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

/// A step that gained nothing is shortened by no less than this: less would hardly shorten it.
const DAMPED: f64 = 1e-2;

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
    fn shown(&self, light_mw: f64) -> (f64, f64) {
        let x = light_mw / (2.0 * self.floor_mw);
        let root = (1.0 + x * x).sqrt();
        (DB_PER_NEPER * (x + root).ln(), x / root)
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

/// What one reading's channels are predicted to show, and what that is uncertain by.
pub(super) struct Row {
    /// On the scale of [`Noise::shown`].
    pub(super) shown: Vec<f64>,
    pub(super) spread: DMatrix<f64>,
}

/// The pose of stands.
pub(super) fn pose(stands: &Stands) -> Pose {
    std::array::from_fn(|k| stands[k].actual)
}

/// Slope of a prediction by the actual pose along axis `k`, from its slopes by the parameters.
pub(super) fn by_pose(by: &[f64], k: usize) -> f64 {
    -by[at::CENTRE + k] - if k == 2 { by[at::FRINGE] } else { 0.0 }
}

/// What one channel showed.
struct Showed {
    dbm: f64,
    light_mw: f64,
    /// On the scale of [`Noise::shown`].
    value: f64,
    bent: f64,
}

impl Data {
    /// What is the same of the readings for all parameters.
    fn showed(&self) -> Vec<Vec<Showed>> {
        let showed = |(dbm, bent): (&f64, &f64)| {
            let light_mw = 10f64.powf(dbm / 10.0);
            Showed { dbm: *dbm, light_mw, value: self.noise.shown(light_mw).0, bent: *bent }
        };
        self.seen.iter().map(|s| s.dbm.iter().zip(&s.bent).map(showed).collect()).collect()
    }
}

/// Prediction of one reading of what was `showed` there, if anything was yet. Its slopes by the free parameters in units of
/// their priors go into `slopes`, one channel after the other.
fn row(
    model: &Model,
    noise: &Noise,
    here: &Here<'_>,
    stands: &Stands,
    showed: Option<&[Showed]>,
    slopes: &mut [f64],
) -> Row {
    let n = model.channels.len();
    let p = here.p;
    // What all channels have in common: how far the axes stand off, and the source's wander.
    let mut common = vec![[0.0; AXES + 1]; n];
    let mut spread = DMatrix::zeros(n, n);
    let mut shown = Vec::with_capacity(n);
    let mut by = vec![0.0; p.len()];
    for (i, slopes) in slopes.chunks_exact_mut(model.free.len()).enumerate() {
        let light = model.channel_into(here, i, &mut by);
        let (value, gain) = noise.shown(light);
        by.iter_mut().for_each(|slope| *slope *= gain);
        for k in 0..AXES {
            let slope = by_pose(&by, k);
            by[at::PLAY + k] = slope * stands[k].by_play;
            by[at::SLACK + k] = slope * stands[k].by_slack;
            common[i][k] = slope * noise.repeat[k];
        }
        for (slope, index) in slopes.iter_mut().zip(&model.free) {
            *slope = by[*index] * model.prior[*index].sd;
        }
        let showed = showed.map(|s| &s[i]);
        let depth = (p[at::POWER] - showed.map_or_else(|| dbm(light), |s| s.dbm)).max(0.0);
        let brighter = showed.map_or(light, |s| s.light_mw.max(light));
        let gain = noise.shown(brighter).1;
        let floor = DB_PER_NEPER * noise.floor_mw / brighter;
        let told = noise.relative_db.powi(2) + (noise.shape * depth).powi(2);
        let variance = told * noise.doubt.powi(2)
            + DISPLAY_DB * DISPLAY_DB / 12.0
            + floor * floor
            + noise.ripple_db.powi(2)
            + showed.map_or(0.0, |s| s.bent);
        common[i][AXES] = gain * noise.wander_db;
        for j in 0..=i {
            let both: f64 = common[i].iter().zip(&common[j]).map(|(a, b)| a * b).sum();
            (spread[(i, j)], spread[(j, i)]) = (both, both);
        }
        spread[(i, i)] += gain * gain * variance;
        shown.push(value);
    }
    Row { shown, spread }
}

/// Prediction of a reading not taken yet, and its slopes by the free parameters in units of their priors, a column a channel;
/// the spread is of what `covariance` bends, too.
pub(super) fn foresee(model: &Model, noise: &Noise, fit: &Fit, stands: &Stands, t_s: f64) -> (Row, DMatrix<f64>) {
    let n = model.channels.len();
    let place = pose(stands);
    let here = model.here(&fit.p, &place, t_s);
    let mut slopes = DMatrix::zeros(model.free.len(), n);
    let mut row = row(model, noise, &here, stands, None, slopes.as_mut_slice());
    for i in 0..n {
        row.spread[(i, i)] += model.bent(&here, i, &fit.covariance);
    }
    (row, slopes)
}

/// The readings from one set of parameters.
struct Look {
    cost: f64,
    chi2: f64,
    scatter: f64,
    /// How far each parameter is from its prior's mean, in standard deviations.
    pulls: DVector<f64>,
    /// What the readings show less of what is predicted, uncorrelated and of unit variance.
    residuals: DVector<f64>,
    /// Slopes of these by the free parameters, a column each.
    slopes: DMatrix<f64>,
    stands: Vec<Stands>,
}

impl Look {
    fn at(model: &Model, data: &Data, showed: &[Vec<Showed>], p: &[f64]) -> Look {
        let (n, channels) = (model.free.len(), model.channels.len());
        let stands = data.history.stands(&p[at::PLAY..at::PLAY + AXES], &p[at::SLACK..at::SLACK + AXES]);
        let pulls = DVector::from_iterator(
            n,
            model.free.iter().map(|index| (p[*index] - model.prior[*index].mean) / model.prior[*index].sd),
        );
        let (priors, mut scatter) = (pulls.norm_squared(), 0.0);
        let mut cost = priors / 2.0;
        let mut slopes = DMatrix::zeros(n, channels * data.seen.len());
        let mut residuals = DVector::zeros(channels * data.seen.len());
        let readings = slopes.as_mut_slice().chunks_exact_mut(n * channels);
        let readings = readings.zip(residuals.as_mut_slice().chunks_exact_mut(channels));
        for ((seen, showed), (slopes, residuals)) in data.seen.iter().zip(showed).zip(readings) {
            let stands = &stands[seen.commands];
            let place = pose(stands);
            let row = row(model, &data.noise, &model.here(p, &place, seen.t_s), stands, Some(showed), slopes);
            let spread = Cholesky::new(row.spread).expect("a sum of squares with a positive diagonal");
            let l = spread.l_dirty();
            for i in 0..channels {
                residuals[i] = row.shown[i] - showed[i].value;
                let (before, own) = slopes.split_at_mut(i * n);
                let own = &mut own[..n];
                for (j, other) in before.chunks_exact(n).enumerate() {
                    residuals[i] -= l[(i, j)] * residuals[j];
                    own.iter_mut().zip(other).for_each(|(a, b)| *a -= l[(i, j)] * b);
                }
                residuals[i] /= l[(i, i)];
                own.iter_mut().for_each(|a| *a /= l[(i, i)]);
                cost += l[(i, i)].ln();
            }
            // A reading far out of line pulls with a bounded force: something else shone there.
            let size = residuals.iter().map(|r| r * r).sum::<f64>().sqrt();
            let limit = OUTLYING * (channels as f64).sqrt();
            if size > limit {
                let share = (limit / size).sqrt();
                residuals.iter_mut().chain(slopes).for_each(|a| *a *= share);
                cost += limit * size / 2.0 - limit * limit / 2.0;
            }
            let squares: f64 = residuals.iter().map(|r| r * r).sum();
            scatter += squares;
            cost += squares / 2.0;
        }
        Look { cost, chi2: priors + scatter, scatter, pulls, residuals, slopes, stands }
    }

    /// The cost's curvature by the free parameters, and its slope, both without what a changed spread does.
    fn normal(&self) -> (DMatrix<f64>, DVector<f64>) {
        let n = self.pulls.len();
        // A product of two matrices is several times faster than one of a matrix with itself in place.
        let mut hessian = DMatrix::identity(n, n);
        hessian.gemm(1.0, &self.slopes, &self.slopes.transpose(), 1.0);
        let mut gradient = self.pulls.clone();
        gradient.gemv(1.0, &self.slopes, &self.residuals, 1.0);
        (hessian, gradient)
    }
}

/// Fits from a start by damped Gauss-Newton steps.
pub(super) fn fit(model: &Model, data: &Data, start: &[f64]) -> Fit {
    let showed = data.showed();
    let mut p = start.to_vec();
    let mut now = Look::at(model, data, &showed, &p);
    let (mut hessian, mut gradient) = now.normal();
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let mut damped = hessian.clone();
        for j in 0..model.free.len() {
            damped[(j, j)] *= 1.0 + damping;
        }
        let Some(solved) = Cholesky::new(damped) else { break };
        let step = solved.solve(&gradient);
        // Where no step gains what counts, the rest is not worth a look.
        if gradient.dot(&step) / 2.0 < GAIN {
            break;
        }
        let mut tried = p.clone();
        for (j, index) in model.free.iter().enumerate() {
            tried[*index] -= step[j].clamp(-2.0, 2.0) * model.prior[*index].sd;
        }
        let next = Look::at(model, data, &showed, &tried);
        if next.cost < now.cost {
            let gain = now.cost - next.cost;
            p = tried;
            now = next;
            (hessian, gradient) = now.normal();
            damping = (damping * 0.2).max(1e-9);
            if gain < GAIN {
                break;
            }
        } else {
            damping = (damping * 8.0).max(DAMPED);
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
        hessian,
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
            let place = pose(&fit.stands[seen.commands]);
            let here = model.here(&fit.p, &place, seen.t_s);
            for (i, bent) in seen.bent.iter_mut().enumerate() {
                *bent = model.bent(&here, i, &fit.covariance);
            }
        }
    }
}
