//! Whether the channels of an array are in the order that the search was told: a swapped pair or a flipped array is as
//! bright at its peak, but answers to a roll elsewhere than it should.

use super::Engine;
use super::fit::{Data, fit};
use super::model::at;
use super::plan::Beliefs;

/// In which order the channels of an array answer to its motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LaneOrder {
    /// As told, as far as the readings tell.
    #[default]
    AsTold,
    /// From the other end.
    Flipped,
    /// This channel, from 0, and the next are in each other's place.
    Swapped(usize),
}

/// Fewer channels have no order that a roll could tell.
const CHANNELS_MIN: usize = 3;
/// So few readings may be explained by anything.
const READINGS_MIN: usize = 6;
/// Readings that scatter less about the model (variance) than this have no other order.
pub(super) const IN_ORDER: f64 = 1.5;
/// Another order is believed only where it leaves less than this share of the scatter, ...
const SHARE: f64 = 0.5;
/// ... and has these odds (natural logarithm) for each unit of what it leaves.
const LOG_ODDS: f64 = 12.0;

impl LaneOrder {
    /// Puts what the channels show, which is in this order, into the order told; and back.
    pub(super) fn apply(self, dbm: &mut [f64]) {
        match self {
            LaneOrder::AsTold => {}
            LaneOrder::Flipped => dbm.reverse(),
            LaneOrder::Swapped(i) => dbm.swap(i, i + 1),
        }
    }
}

impl Engine<'_> {
    /// Takes the channels for what they are where another order explains the readings, from now on and of all readings so far;
    /// says whether it did.
    pub(super) fn reorder(&mut self, beliefs: &Beliefs) -> bool {
        if self.order != LaneOrder::AsTold || self.data.seen.len() < READINGS_MIN {
            return false;
        }
        let order = self.explaining(beliefs);
        if order == LaneOrder::AsTold {
            return false;
        }
        self.order = order;
        for seen in &mut self.data.seen {
            order.apply(&mut seen.dbm);
            order.apply(&mut seen.bent);
        }
        true
    }

    /// Whether another order is worth some fifty fits now: when there are enough readings, and twice as many as the last time.
    pub(super) fn order_is_due(&self) -> bool {
        let (times, rest) = (self.data.seen.len() / READINGS_MIN, self.data.seen.len() % READINGS_MIN);
        rest == 0 && times.is_power_of_two()
    }

    /// The order that explains the readings.
    fn explaining(&self, beliefs: &Beliefs) -> LaneOrder {
        let channels = self.model.channels.len();
        let Some(best) = beliefs.fits.first() else { return LaneOrder::AsTold };
        if channels < CHANNELS_MIN {
            return LaneOrder::AsTold;
        }
        let count = (self.data.seen.len() * channels) as f64;
        // What the channels are told to differ by is of their old places.
        let mut plain = best.p.clone();
        plain[at::CHANNEL..].copy_from_slice(&self.model.means()[at::CHANNEL..]);
        let starts: Vec<Vec<f64>> = [best.p.clone(), plain].into_iter().chain(self.ring()).collect();
        let (told, told_chi2) = self.explained(LaneOrder::AsTold, &starts);
        if told_chi2 / count < IN_ORDER {
            return LaneOrder::AsTold;
        }
        let others = std::iter::once(LaneOrder::Flipped).chain((0..channels - 1).map(LaneOrder::Swapped));
        let explained = others.map(|order| (order, self.explained(order, &starts)));
        let other = explained.min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
        match other {
            Some((order, (cost, chi2)))
                if chi2 < SHARE * told_chi2 && told - cost > LOG_ODDS * (chi2 / count).max(1.0) =>
            {
                order
            }
            _ => LaneOrder::AsTold,
        }
    }

    /// Least cost and its chi square, were the channels in this order.
    fn explained(&self, order: LaneOrder, starts: &[Vec<f64>]) -> (f64, f64) {
        let mut data: Data = self.data.clone();
        data.noise.doubt = 1.0;
        for seen in &mut data.seen {
            order.apply(&mut seen.dbm);
            order.apply(&mut seen.bent);
        }
        let fits = starts.iter().map(|start| fit(&self.model, &data, start)).map(|f| (f.cost, f.chi2));
        fits.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, f64::INFINITY))
    }
}
