//! What earlier units of a lot tell of where the next one is: a mean with its spread, never a blind offset. Pure.

use std::collections::BTreeMap;

use recipes::Axis;

use super::readings::median;

/// Fewer units than this say nothing of their lot.
const UNITS_MIN: usize = 3;

/// What a median of distances from a median is multiplied by to be a standard deviation, of a normal distribution.
const MAD_TO_SD: f64 = 1.4826;

/// A unit farther than this many standard deviations from the median counts as one so far from it.
const FAR: f64 = 3.0;

/// Where the latest so many units were not where their lot was, the spread is theirs: one alone may be an outlier, but
/// it may as well be the first of another tray.
const LATEST: usize = 3;

/// Units of a lot before the one under work.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lot {
    /// The lot's name, as printed on its traveller.
    pub name: String,
    /// Where each unit's peak was from the approach pose, um or degrees; the latest last. Of alignments that were sure alone.
    pub peaks: Vec<BTreeMap<Axis, f64>>,
}

/// Where a peak is expected along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// From the approach pose (the drawing's), um or degrees.
    pub mean: f64,
    /// Its standard deviation, less than the recipe's.
    pub sd: f64,
    /// Units that say so.
    pub units: usize,
}

impl Lot {
    /// Where the next unit is expected along an axis, where the recipe alone says the approach pose give or take
    /// `recipe_sd`. `None` where fewer than three units are known, or they tell no more than the recipe.
    ///
    /// The mean and the variance of the next of a lot's normal distribution with unknown mean and variance, under a
    /// normal-inverse-gamma prior (Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", section 6;
    /// Gelman et al., "Bayesian Data Analysis", section 3.3). The drawing's pose counts as one unit (kappa = 1), and the
    /// prior variance has 4 degrees of freedom and is such that without units the spread is the recipe's. Then, of n units at d,
    ///
    /// ```text
    /// mean     = sum(d) / (n + 1)
    /// variance = (recipe_sd^2 + sum(d^2) - sum(d)^2 / (n + 1)) / (n + 1)
    /// ```
    ///
    /// which is never below `recipe_sd`^2 / (n + 1), however alike the units are. Outliers are winsorized beforehand, at
    /// three standard deviations by the median distance from the median, or by the least that n units support.
    pub fn expects(&self, axis: Axis, recipe_sd: f64) -> Option<Expected> {
        let seen: Vec<f64> = self.peaks.iter().filter_map(|p| p.get(&axis).copied()).collect();
        if seen.len() < UNITS_MIN {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a lot's units")]
        let n = seen.len() as f64;
        let least = recipe_sd / (n + 1.0).sqrt();
        let middle = median(&seen)?;
        let distances: Vec<f64> = seen.iter().map(|d| (d - middle).abs()).collect();
        let far = FAR * (MAD_TO_SD * median(&distances)?).max(least);
        let near = seen.iter().map(|d| d.clamp(middle - far, middle + far));
        let (sum, squares) = near.fold((0.0, 0.0), |(sum, squares), d| (sum + d, squares + d * d));
        let mean = sum / (n + 1.0);
        let variance = (recipe_sd * recipe_sd + squares - sum * mean) / (n + 1.0);
        let latest = &seen[seen.len() - LATEST..];
        #[expect(clippy::cast_precision_loss, reason = "a handful of units")]
        let off = (latest.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / LATEST as f64).sqrt();
        let sd = variance.sqrt().max(off);
        (sd < recipe_sd).then_some(Expected { mean, sd, units: seen.len() })
    }

    /// What was expected, in words: axes with their positions.
    pub fn said(&self, expected: &[(Axis, f64, Expected)]) -> Option<String> {
        let digits = |axis: Axis| if axis.is_angle() { 2 } else { 1 };
        let one = |(axis, at, e): &(Axis, f64, Expected)| {
            let digits = digits(*axis);
            format!("{axis} {at:.digits$} {} (spread {:.digits$})", axis.unit(), e.sd)
        };
        let units = expected.iter().map(|(_, _, e)| e.units).min()?;
        let places: Vec<String> = expected.iter().map(one).collect();
        Some(format!("expected at {} from {units} units of lot {}", places.join(", "), self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(z: &[f64]) -> Lot {
        Lot { name: "A7".into(), peaks: z.iter().map(|z| BTreeMap::from([(Axis::Z, *z)])).collect() }
    }

    fn expects(z: &[f64]) -> Option<Expected> {
        lot(z).expects(Axis::Z, 40.0)
    }

    #[test]
    fn few_units_say_nothing_and_others_do_not_tell_of_an_axis_they_were_not_searched_in() {
        assert_eq!(expects(&[]), None);
        assert_eq!(expects(&[20.0, 21.0]), None);
        assert_eq!(lot(&[20.0; 9]).expects(Axis::X, 40.0), None);
    }

    /// By the textbook's four parameters, step by step.
    #[test]
    fn mean_and_spread_are_those_of_the_normal_inverse_gamma_predictive() {
        let seen = [14.0, 31.0, 22.0, 9.0, 27.0, 18.0];
        let got = expects(&seen).unwrap();
        let n = seen.len() as f64;
        let (kappa, alpha, beta) = (1.0, 2.0, 40.0 * 40.0 / 2.0);
        let average = seen.iter().sum::<f64>() / n;
        let squares = seen.iter().map(|d| (d - average).powi(2)).sum::<f64>();
        let (kappa_n, alpha_n) = (kappa + n, alpha + n / 2.0);
        let beta_n = beta + squares / 2.0 + kappa * n * average * average / (2.0 * kappa_n);
        let scale2 = beta_n * (kappa_n + 1.0) / (alpha_n * kappa_n);
        let freedom = 2.0 * alpha_n;
        assert!((got.mean - n * average / kappa_n).abs() < 1e-9);
        assert!((got.sd.powi(2) - scale2 * freedom / (freedom - 2.0)).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn the_spread_is_never_narrower_than_the_number_of_units_supports() {
        for n in 3..60_usize {
            let got = expects(&vec![0.0; n]).unwrap();
            assert!((got.sd - 40.0 / (n as f64 + 1.0).sqrt()).abs() < 1e-9, "{n}: {got:?}");
        }
    }

    #[test]
    fn an_outlier_moves_the_mean_little_and_narrows_nothing() {
        let alike = [21.0, 18.0, 20.0, 24.0, 17.0, 19.0, 22.0, 20.0, 19.0, 21.0, 18.0, 20.0];
        let without = expects(&alike).unwrap();
        let mut early = alike.to_vec();
        early.insert(2, -110.0);
        let with = expects(&early).unwrap();
        assert!((with.mean - without.mean).abs() < 5.0 && with.sd > without.sd, "{without:?} {with:?}");
        let mut late = alike.to_vec();
        late.push(-110.0);
        assert_eq!(expects(&late), None, "it may be the first of another tray");
    }

    #[test]
    fn a_lot_that_jumps_is_as_wide_as_its_jump() {
        let jumped = [20.0, 22.0, 19.0, 21.0, 20.0, 18.0, 21.0, -8.0, -11.0, -9.0];
        let got = expects(&jumped).unwrap();
        assert!(got.sd > (got.mean + 9.0).abs(), "{got:?}");
    }

    #[test]
    fn what_was_expected_is_said_with_units_and_lot() {
        let mut lot = lot(&[20.0, 22.0, 19.0]);
        for peak in &mut lot.peaks {
            peak.insert(Axis::Rz, 0.1);
        }
        let of = |axis, sd| lot.expects(axis, sd).unwrap();
        let said = lot.said(&[(Axis::Z, 15.25, of(Axis::Z, 40.0)), (Axis::Rz, 0.075, of(Axis::Rz, 0.5))]);
        let told = "expected at z 15.2 um (spread 21.9), rz 0.07 deg (spread 0.25) from 3 units of lot A7";
        assert_eq!(said.as_deref(), Some(told));
        assert_eq!(lot.said(&[]), None);
    }
}
