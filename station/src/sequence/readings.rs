//! What readings at rest say together: whether they agree, whether the meter lives. Pure.

use units::{Power, Reading, db_ratio};

use crate::event::Sample;

/// A reading this many standard deviations from the median is left out; of 16 normal ones one in 30 million would be.
const OUTLIER_DEVIATIONS: f64 = 6.0;

/// A reading nearer to the median than this share of it (0.02 dB) is never left out: noise may be finer than a digit.
const OUTLIER_LEAST: f64 = 0.005;

/// So many readings alike to the last digit are no chance: a meter's noise moves its last digit.
const FROZEN: usize = 12;

/// A lane without light reads less than this above its floor, dB, ...
const DARK_DB: f64 = 10.0;
/// ... where the lit lane next to it reads more than this above: no turn of an array within its search takes so much from one lane
/// to the next.
const LIT_DB: f64 = 40.0;

/// Which lanes of an array, from 0, give no light where others do; none where half of them are dark: then it is not the lanes.
pub fn dark_lanes(readings: &[Reading], floor: Power) -> Vec<usize> {
    let above = |r: &Reading| match r {
        Reading::Power(p) => db_ratio(*p, floor).unwrap_or(0.0),
        Reading::UnderRange => 0.0,
        Reading::Saturated => f64::INFINITY,
    };
    let above: Vec<f64> = readings.iter().map(above).collect();
    let lit = |i: &usize| above[*i] >= DARK_DB;
    let beside_light = |i: usize| {
        let before = (0..i).rev().find(|j| lit(j));
        let after = (i + 1..above.len()).find(|j| lit(j));
        [before, after].into_iter().flatten().any(|j| above[j] > LIT_DB)
    };
    let dark: Vec<usize> = (0..above.len()).filter(|i| !lit(i)).collect();
    if 2 * dark.len() >= above.len() || !dark.iter().all(|i| beside_light(*i)) {
        return Vec::new();
    }
    dark
}

/// Readings at rest that agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Agreed {
    /// Their mean.
    pub(super) mean: Power,
    /// Standard deviation of the mean, W.
    pub(super) deviation_w: f64,
    /// How many others were left out.
    pub(super) left_out: usize,
}

impl Agreed {
    /// What their scatter adds to the expanded uncertainty (k = 2) of the mean, dB; infinite for a mean of nothing.
    pub(super) fn scatter_db(&self) -> f64 {
        let share = 2.0 * self.deviation_w / self.mean.watts();
        if share >= 0.0 { 10.0 * (1.0 + share).log10() } else { f64::INFINITY }
    }
}

/// The mean of readings that agree, W, without those far from the median by the measure of the others: a byte changed on
/// the wire can give such a reading. `None` where more than a quarter disagree, or there are none.
/// Within the noise of a dark reading (`floor`) readings never disagree: an instrument's digits may be coarse there.
pub(super) fn agreed(watts: &[f64], floor: Power) -> Option<Agreed> {
    let median = median(watts)?;
    let off: Vec<f64> = watts.iter().map(|w| (w - median).abs()).collect();
    let deviation = (1.4826 * self::median(&off)?).max(floor.watts());
    let bound = (OUTLIER_DEVIATIONS * deviation).max(OUTLIER_LEAST * median.abs());
    let kept: Vec<f64> = watts.iter().zip(&off).filter(|(_, off)| **off <= bound).map(|(w, _)| *w).collect();
    let left_out = watts.len() - kept.len();
    if left_out * 4 > watts.len() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of readings")]
    let n = kept.len() as f64;
    let mean = kept.iter().sum::<f64>() / n;
    let variance = kept.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    Some(Agreed { mean: Power::from_watts(mean), deviation_w: (variance / n).sqrt(), left_out })
}

pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + upper) / 2.0 } else { upper })
}

/// How many readings in a row were the same power to the last digit, if that is too many.
pub(super) fn frozen(samples: &[Sample]) -> Option<usize> {
    let powers: Vec<f64> = samples.iter().filter_map(|s| s.readings.first()?.power()).map(Power::watts).collect();
    same_to_the_last_digit(&powers)
}

pub(super) fn same_to_the_last_digit(values: &[f64]) -> Option<usize> {
    let longest = values.chunk_by(|a, b| a == b).map(<[f64]>::len).max().unwrap_or(0);
    (longest >= FROZEN).then_some(longest)
}

/// dBm for messages and measurements of what may be below zero watts: no lower than a femtowatt.
pub(super) fn dbm(power: Power) -> f64 {
    Power::from_watts(power.watts().max(1e-15)).dbm().unwrap_or(-120.0)
}

/// A power in words, also where it is not above zero.
pub(super) fn dbm_or_none(power: Power) -> String {
    power.dbm().map_or_else(|| format!("{:.1e} W", power.watts()), |dbm| format!("{dbm:.1} dBm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Power = Power::from_watts(1e-10);

    #[test]
    fn a_meter_that_repeats_itself_is_frozen_and_one_with_noise_is_not() {
        let alive: Vec<f64> = (0..40).map(|i| 1e-9 + 1e-12 * f64::from(i % 7)).collect();
        assert_eq!(same_to_the_last_digit(&alive), None);
        let mut dead = alive;
        dead.extend([5e-9; FROZEN]);
        assert_eq!(same_to_the_last_digit(&dead), Some(FROZEN));
        assert_eq!(same_to_the_last_digit(&[]), None);
    }

    #[test]
    fn a_reading_far_from_all_others_is_left_out_and_scattered_ones_are_refused() {
        let mut watts: Vec<f64> = (0..16).map(|i| 1e-3 * (1.0 + 1e-4 * f64::from(i % 5))).collect();
        let clean = agreed(&watts, FLOOR).unwrap();
        assert_eq!(clean.left_out, 0);
        // Deviation of 0, 1, 2, 3, 4 (1e-7 W) over the root of 16.
        assert!((clean.deviation_w / 3.6e-8 - 1.0).abs() < 0.1, "{clean:?}");
        watts[3] = 1e-6;
        let got = agreed(&watts, FLOOR).unwrap();
        assert!(got.left_out == 1 && (got.mean.watts() / clean.mean.watts() - 1.0).abs() < 1e-4, "{got:?}");
        for w in &mut watts[8..13] {
            *w *= 3.0;
        }
        assert_eq!(agreed(&watts, FLOOR), None);
        assert_eq!(agreed(&[], FLOOR), None);
        // Noise as great as the signal is no outlier.
        let noisy: Vec<f64> = (0..16).map(|i| f64::from((i * 7) % 16) - 8.0).collect();
        assert_eq!(agreed(&noisy, FLOOR).unwrap().left_out, 0);
    }

    #[test]
    fn a_lane_is_dark_only_beside_bright_ones() {
        let floor = Power::from_dbm(-70.0);
        let lanes = |dbm: &[f64]| dbm.iter().map(|d| Reading::Power(Power::from_dbm(*d))).collect::<Vec<_>>();
        assert_eq!(dark_lanes(&lanes(&[-10.0, -12.0, -71.0, -15.0]), floor), vec![2]);
        assert_eq!(dark_lanes(&lanes(&[-8.0, -12.0, -20.0, -75.0]), floor), vec![3]);
        let rolled = lanes(&[-10.0, -25.0, -45.0, -68.0]);
        assert_eq!(dark_lanes(&rolled, floor), vec![], "a roll takes the light from one end");
        assert_eq!(dark_lanes(&lanes(&[-10.0, -71.0, -71.0, -15.0]), floor), vec![], "half of them");
        let mut under = lanes(&[-10.0, -12.0, -11.0]);
        under.push(Reading::UnderRange);
        assert_eq!(dark_lanes(&under, floor), vec![3]);
        assert_eq!(dark_lanes(&[], floor), vec![]);
    }

    #[test]
    fn a_dark_lanes_coarse_digits_agree() {
        let coarse: Vec<f64> = (0..16).map(|i| if i % 3 == 0 { 1e-10 } else { 0.0 }).collect();
        assert_eq!(agreed(&coarse, FLOOR).unwrap().left_out, 0);
        assert_eq!(agreed(&coarse, Power::ZERO), None);
    }

    #[test]
    fn a_power_below_zero_has_a_finite_dbm_for_the_log() {
        assert_eq!(dbm(Power::from_watts(-1e-12)), -120.0);
        assert!((dbm(Power::from_dbm(-23.0)) + 23.0).abs() < 1e-9);
    }
}
