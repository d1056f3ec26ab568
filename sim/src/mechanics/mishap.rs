//! What can go wrong with one axis, as an input that the world switches at a time. Pure.

/// An end of the travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The end of low positions.
    Lower,
    /// The end of high positions.
    Upper,
}

/// What is wrong with an axis; the default is nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mishap {
    /// Steps that a motor loses at the start of every move, um: it stands while the count runs on. They add up, and the
    /// load lags ever further behind what is counted.
    pub lost_um: f64,
    /// Share of each motion that reaches the load: 1 for a sound axis, less where a coupling slips.
    pub grip: f64,
    /// A limit switch that is active from a position (um) on although the travel goes further.
    pub false_limit: Option<(Side, f64)>,
    /// Share of each move that is gone: below 1 it ends short, and still arrives by its own account.
    pub reach: f64,
}

impl Default for Mishap {
    fn default() -> Self {
        Mishap { lost_um: 0.0, grip: 1.0, false_limit: None, reach: 1.0 }
    }
}

impl Mishap {
    /// Motion that does not reach the load out of `gone` um (signed) of the drive, with `left_um` of steps still to lose.
    pub(super) fn missing(&self, gone: f64, left_um: f64) -> f64 {
        let lost = gone.signum() * gone.abs().min(left_um);
        lost + (gone - lost) * (1.0 - self.grip)
    }

    /// Where a move towards `to` ends at the latest, um, from where it begins.
    pub(super) fn bounded(&self, from: f64, to: f64) -> f64 {
        match self.false_limit {
            Some((Side::Upper, at)) if to > from => to.min(at.max(from)),
            Some((Side::Lower, at)) if to < from => to.max(at.min(from)),
            _ => to,
        }
    }

    /// The limit switch that is active at a position of the drive within a travel, both um.
    pub(super) fn limit(&self, at: f64, (low, high): (f64, f64)) -> Option<Side> {
        let upper = self.false_limit.and_then(|(s, at)| (s == Side::Upper).then_some(at)).unwrap_or(high).min(high);
        let lower = self.false_limit.and_then(|(s, at)| (s == Side::Lower).then_some(at)).unwrap_or(low).max(low);
        if at >= upper - SWITCH_UM {
            Some(Side::Upper)
        } else if at <= lower + SWITCH_UM {
            Some(Side::Lower)
        } else {
            None
        }
    }
}

/// A switch counts as reached this close to it, um: rounding of a braking move.
const SWITCH_UM: f64 = 1e-6;
