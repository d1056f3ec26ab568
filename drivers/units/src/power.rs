//! Optical power is linear watts inside; decibels appear only at the edges.

use serde::{Deserialize, Serialize};

/// An optical power in watts. Slightly negative values are real: a meter near its floor reads noise around zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Power(f64);

impl Power {
    /// No light.
    pub const ZERO: Power = Power(0.0);

    /// A power of `watts` W.
    pub const fn from_watts(watts: f64) -> Self {
        Power(watts)
    }

    /// A power given in dB above one milliwatt.
    pub fn from_dbm(dbm: f64) -> Self {
        Power(1e-3 * 10f64.powf(dbm / 10.0))
    }

    /// Watts, with their sign.
    pub const fn watts(self) -> f64 {
        self.0
    }

    /// dBm, or `None` where the power is not positive and has no logarithm.
    pub fn dbm(self) -> Option<f64> {
        (self.0 > 0.0).then(|| 10.0 * (self.0 / 1e-3).log10())
    }

    /// This power after a loss of `loss_db` dB (positive loss dims).
    pub fn attenuated(self, loss_db: f64) -> Self {
        Power(self.0 * 10f64.powf(-loss_db / 10.0))
    }
}

/// Ten times the decimal logarithm of `over / under`; `None` unless both are positive.
pub fn db_ratio(over: Power, under: Power) -> Option<f64> {
    (over.0 > 0.0 && under.0 > 0.0).then(|| 10.0 * (over.0 / under.0).log10())
}

/// What a power meter answered. Never a bare number: an instrument that says it is out of range is believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// A power within the range in use.
    Power(Power),
    /// Less light than the range in use can tell from nothing, by the instrument's own word.
    UnderRange,
    /// More light than the range in use can hold, by the instrument's own word.
    Saturated,
}

impl Reading {
    /// The power, if the reading is one.
    pub fn power(self) -> Option<Power> {
        match self {
            Reading::Power(p) => Some(p),
            Reading::UnderRange | Reading::Saturated => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dbm_and_watts_agree() {
        assert!((Power::from_dbm(0.0).watts() - 1e-3).abs() < 1e-18);
        assert!((Power::from_dbm(-30.0).dbm().unwrap() + 30.0).abs() < 1e-12);
        assert!((Power::from_dbm(3.0).attenuated(13.0).dbm().unwrap() + 10.0).abs() < 1e-12);
    }

    #[test]
    fn power_below_zero_has_no_decibels() {
        assert_eq!(Power::from_watts(-1e-12).dbm(), None);
        assert_eq!(Power::ZERO.dbm(), None);
        assert_eq!(db_ratio(Power::from_watts(1.0), Power::ZERO), None);
    }

    #[test]
    fn only_a_power_reading_has_a_power() {
        assert_eq!(Reading::Saturated.power(), None);
        assert_eq!(Reading::UnderRange.power(), None);
        assert_eq!(Reading::Power(Power::ZERO).power(), Some(Power::ZERO));
    }
}
