//! What an alignment leaves: the loss that is expected, and the loss that 95 of 100 do not exceed.

use nalgebra::{DMatrix, DVector};

use super::design::{Optimum, SOFT_DB, objective, optimum};
use super::fit::{Fit, fit, pose};
use super::model::Prior;
use super::plan::Beliefs;
use super::play::Stands;
use super::{Aligned, Engine, LaneOrder, Objective};

/// How far beside the peak a fit is tried, standard deviations.
const BESIDE: f64 = 2.0;

/// A variance is widened by no more than this.
const WIDEST: f64 = 5.0;

/// Degrees of freedom that the stated noise counts for against the readings' own scatter.
const TOLD: f64 = 2.0;

/// The light may differ from the model by no more than this many times what is told.
const DOUBT_MAX: f64 = 16.0;

/// Rounds in which the doubt and the fit come to agree, and the change that is not worth another.
const ROUNDS: usize = 5;
const AGREED: f64 = 0.1;

/// Halvings of the interval in which a quantile is.
const HALVINGS: usize = 40;

/// A fit whose chi square is this many times what it should be is in the wrong place, or the model is wrong.
pub(super) const ODD: f64 = 3.0;

/// Another loss than the best belief's is not bounded beyond this, dB.
const ELSEWHERE_MAX_DB: f64 = 10.0;

/// The loss left under one belief: a gamma distribution that begins at `from`.
#[derive(Debug, Clone, Copy)]
struct Left {
    odds: f64,
    from: f64,
    mean: f64,
    variance: f64,
}

impl Left {
    /// Probability that no more than this is left, by the Wilson-Hilferty cube.
    fn within(&self, loss: f64) -> f64 {
        if loss < self.from {
            return 0.0;
        }
        if self.mean <= 0.0 || self.variance <= 0.0 {
            return 1.0;
        }
        let c = self.variance / (9.0 * self.mean * self.mean);
        below((((loss - self.from) / self.mean).cbrt() - 1.0 + c) / c.sqrt())
    }
}

/// The standard normal distribution. Source: Abramowitz and Stegun 26.2.17, 7.5e-8.
fn below(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let tail =
        (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * series.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The loss that all beliefs together put 95 % below, dB.
fn quantile95(beliefs: &[Left]) -> f64 {
    let (mut low, mut high) = (0.0, ELSEWHERE_MAX_DB);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        let within: f64 = beliefs.iter().map(|l| l.odds * l.within(middle)).sum();
        if within < 0.95 { low = middle } else { high = middle }
    }
    high
}

/// What is left, dB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stated {
    pub(super) expected: f64,
    pub(super) bound95: f64,
}

impl Engine<'_> {
    /// By how much readings and priors scatter more than they should (variance), at least 1.
    pub(super) fn misfit(&self, fit: &Fit) -> f64 {
        let n = self.data.seen.len() * self.model.channels.len();
        (fit.chi2 / n as f64).max(1.0)
    }

    /// By how much the readings alone scatter more than they should (variance), beside what the fit took from them.
    fn scattered(&self, fit: &Fit) -> f64 {
        let n = (self.data.seen.len() * self.model.channels.len()) as f64;
        (fit.scatter + TOLD) / ((n - fit.taken).max(0.0) + TOLD)
    }

    /// The same, at least 1: by what a fit's covariance is too small.
    pub(super) fn widened(&self, fit: &Fit) -> f64 {
        self.scattered(fit).max(1.0)
    }

    /// Believes the model as far as the readings bear it out: takes it to be as wrong as makes them scatter as they
    /// should. Far readings then count for less.
    pub(super) fn doubt(&mut self, beliefs: &mut Beliefs) {
        let Some(mut best) = beliefs.fits.first().cloned() else { return };
        let before = self.data.noise.doubt;
        for _ in 0..ROUNDS {
            let doubt = self.data.noise.doubt;
            let next = (doubt * self.scattered(&best).sqrt()).clamp(1.0, DOUBT_MAX);
            if (next / doubt - 1.0).abs() < AGREED {
                break;
            }
            self.data.noise.doubt = next;
            best = fit(&self.model, &self.data, &best.p);
            best.settle(&self.model);
        }
        if self.data.noise.doubt != before {
            let others = beliefs.fits.iter().skip(1).map(|f| f.p.clone());
            let starts: Vec<Vec<f64>> = std::iter::once(best.p).chain(others).collect();
            self.keep(beliefs, &starts);
        }
    }

    /// Expected loss at the best belief's optimum: what its covariance leaves, and what it costs if another belief is
    /// true.
    pub(super) fn expected(&self, beliefs: &Beliefs, optimum: &Optimum) -> f64 {
        let best = &beliefs.fits[0];
        let own = optimum.spread(&best.covariance).trace() / 2.0 * self.widened(best);
        own + self.elsewhere(beliefs, optimum).iter().sum::<f64>()
    }

    /// What the covariance hides, dB: along each axis the rest is fitted anew well beside the peak. Where that costs less
    /// than a parabola would, the peak is known less well. Less than is spare may be told for short.
    pub(super) fn skewed(&self, beliefs: &Beliefs, optimum: &Optimum, spare: f64) -> f64 {
        let best = &beliefs.fits[0];
        let own = |k: &usize| {
            let column = self.model.free.iter().position(|f| f == k).expect("a searched axis is free");
            let variance = best.covariance[(column, column)];
            (*k, column, 0.5 * optimum.lever.column(column).norm_squared() * variance)
        };
        let mut axes: Vec<(usize, usize, f64)> = self.axes.iter().map(own).collect();
        axes.retain(|(_, _, own)| *own >= 0.02 * self.setup.tolerance_db);
        axes.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut open: f64 = axes.iter().map(|(_, _, own)| own * (WIDEST - 1.0)).sum();
        let mut more = 0.0;
        for (k, column, own) in axes {
            if (more + open) * self.widened(best) <= spare {
                break;
            }
            let sd = best.covariance[(column, column)].sqrt();
            let mut widest: f64 = 1.0;
            for side in [-BESIDE, BESIDE] {
                let mut model = self.model.clone();
                let value = best.p[k] + side * sd;
                let prior = model.prior[k];
                model.prior[k] = Prior { mean: value, sd: 0.02 * sd };
                let mut start = best.p.clone();
                start[k] = value;
                let there = fit(&model, &self.data, &start);
                // The clamp stands in for the axis's own prior.
                let own_prior = ((value - prior.mean) / prior.sd).powi(2) / 2.0;
                let rise = (there.cost + own_prior - best.cost).max(BESIDE * BESIDE / 2.0 / WIDEST);
                widest = widest.max(BESIDE * BESIDE / 2.0 / rise);
            }
            open -= own * (WIDEST - 1.0);
            more += own * (widest - 1.0);
        }
        more * self.widened(best)
    }

    /// Loss at the best belief's optimum under each other belief.
    fn losses(&self, beliefs: &Beliefs, here: &Optimum) -> Vec<f64> {
        let t_s = self.t_s();
        let others = beliefs.fits.iter().skip(1);
        others
            .map(|f| {
                let (_, peak) = optimum(&self.model, &f.p, &self.frame(), &here.pose, t_s);
                let value = objective(&self.model, &f.p, self.setup.objective, &here.pose, t_s).0;
                (peak - value).clamp(0.0, ELSEWHERE_MAX_DB)
            })
            .collect()
    }

    /// The same, times the odds.
    pub(super) fn elsewhere(&self, beliefs: &Beliefs, here: &Optimum) -> Vec<f64> {
        self.losses(beliefs, here).iter().zip(beliefs.odds.iter().skip(1)).map(|(loss, odds)| odds * loss).collect()
    }

    /// What standing here leaves.
    pub(super) fn left(&self, beliefs: &Beliefs, optimum: &Optimum, now: &Stands) -> Stated {
        let best = &beliefs.fits[0];
        let mut spread = optimum.spread(&best.covariance) * self.widened(best);
        // No reading at the peak tells how far off the last move ended.
        spread += optimum.scatter(&self.frame(), &self.data.noise);
        let here = pose(now);
        let off = DVector::from_iterator(self.axes.len(), self.axes.iter().map(|k| here[*k] - optimum.pose[*k]));
        let off = &optimum.stance * off;
        let mean = (spread.trace() + off.norm_squared()) / 2.0;
        let variance = (&spread * &spread).trace() / 2.0 + (&spread * &off).dot(&off);
        let own = Left { odds: beliefs.odds[0], from: 0.0, mean, variance };
        let others = self.losses(beliefs, optimum);
        let all: Vec<Left> = std::iter::once(own)
            .chain(others.iter().zip(&beliefs.odds[1..]).map(|(from, odds)| Left { odds: *odds, from: *from, ..own }))
            .collect();
        // The best place of a rippled flat top is anywhere on it, and a soft minimum's peak lies beside the true one.
        let soft = if self.setup.objective == Objective::Weakest { SOFT_DB } else { 0.0 };
        let (expected, most) = (self.setup.ripple_db + 0.1 * soft, 3.0 * self.setup.ripple_db + 0.3 * soft);
        Stated {
            expected: all.iter().map(|l| l.odds * (l.from + l.mean)).sum::<f64>() + expected,
            bound95: quantile95(&all) + most,
        }
    }

    /// How the search ended.
    pub(super) fn result(&self, beliefs: &Beliefs, left: Stated, value: f64, converged: bool) -> Aligned {
        // Readings that no part explains say that the stage, not the part, is the trouble.
        let converged = converged && beliefs.misfit < ODD;
        Aligned {
            position: self.index.iter().enumerate().filter_map(|(k, i)| i.map(|_| self.command[k])).collect(),
            expected_loss_db: left.expected,
            bound95_db: left.bound95,
            power_dbm: value,
            converged,
            order: if converged { self.order } else { LaneOrder::AsTold },
            trend: self.trend(beliefs),
            readings: self.readings,
            decisions: self.decisions,
        }
    }
}

impl Optimum {
    /// Covariance of the loss's square roots: half its trace is the expected loss, dB.
    pub(super) fn spread(&self, covariance: &DMatrix<f64>) -> DMatrix<f64> {
        &self.lever * covariance * self.lever.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_quantile_of_a_sum_of_squares_and_of_another_belief_that_is_likely() {
        // Half a chi square of two degrees of freedom, of mean 1: 95 % are below 2.996.
        let one = Left { odds: 1.0, from: 0.0, mean: 1.0, variance: 1.0 };
        assert!((quantile95(&[one]) - 2.996).abs() < 0.05, "{}", quantile95(&[one]));
        let sure = Left { odds: 0.9, from: 0.0, mean: 1e-3, variance: 1e-6 };
        let other = Left { odds: 0.1, from: 2.0, ..sure };
        assert!((2.0..2.01).contains(&quantile95(&[sure, other])));
    }
}
