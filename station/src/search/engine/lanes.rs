//! Whether the channels of an array are in the order that the search was told: a swapped pair or a flipped array is as
//! bright at its peak, but answers to a roll elsewhere than it should.

use super::Engine;
use super::fit::{Data, fit};
use super::model::{Pose, at};
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

/// What the readings tell of the channels' order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It has just been found to be another one.
    Anew,
    /// It is the one believed.
    Known,
    /// It may be another one.
    Open,
}

/// Fewer channels have no order that a roll could tell.
const CHANNELS_MIN: usize = 3;
/// So few readings may be explained by anything.
const READINGS_MIN: usize = 6;
/// Readings that scatter this much more about the model than told (variance) may be in another order.
pub(super) const IN_ORDER: f64 = 1.5;
/// An order is believed from these odds on (natural logarithm), for each unit of variance that it leaves.
const LOG_ODDS: f64 = 12.0;
/// A reading that tells the order is taken where the outermost channel is rolled off by this many widths, ...
const ROLLED: f64 = 1.0;
/// ... and all are off by this many: at the peak two channels as far on either side of the middle are as bright.
const BESIDE: f64 = 0.5;
/// Such readings at most, one on either side: each leaves two neighbours alike.
pub(super) const ROLLS_MAX: usize = 2;

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
    /// Takes the channels for what they are where another order explains the readings, from now on and of all readings so far.
    pub(super) fn reorder(&mut self, beliefs: &Beliefs) -> Told {
        if self.order != LaneOrder::AsTold || self.model.channels.len() < CHANNELS_MIN {
            return Told::Known;
        }
        if self.data.seen.len() < READINGS_MIN {
            return Told::Open;
        }
        let (order, odds) = self.rival(beliefs);
        if odds < LOG_ODDS {
            return if odds < -LOG_ODDS { Told::Known } else { Told::Open };
        }
        self.order = order;
        for seen in &mut self.data.seen {
            order.apply(&mut seen.dbm);
            order.apply(&mut seen.bent);
        }
        Told::Anew
    }

    /// Where a reading tells the order, the `number`-th time.
    pub(super) fn rolled(&self, peak: &Pose, number: usize) -> Pose {
        let outermost = self.model.channels.iter().fold(0.0, |far: f64, x| far.max(x.abs()));
        let width = self.setup.width[1];
        let mut to = *peak;
        to[1] += if number == 0 { BESIDE } else { -BESIDE } * width;
        to[5] += (ROLLED * width / outermost).to_degrees();
        to
    }

    /// Whether another order is worth some fifty fits now: when there are enough readings, and twice as many as the last time.
    pub(super) fn order_is_due(&self) -> bool {
        let (times, rest) = (self.data.seen.len() / READINGS_MIN, self.data.seen.len() % READINGS_MIN);
        rest == 0 && times.is_power_of_two()
    }

    /// The best other order, and its odds against the one told (natural logarithm), for each unit of variance that is left.
    fn rival(&self, beliefs: &Beliefs) -> (LaneOrder, f64) {
        let channels = self.model.channels.len();
        let best = &beliefs.fits[0];
        // What the channels are told to differ by is of their old places.
        let mut plain = best.p.clone();
        plain[at::CHANNEL..].copy_from_slice(&self.model.means()[at::CHANNEL..]);
        let mut starts = vec![best.p.clone(), plain];
        if beliefs.misfit >= IN_ORDER {
            // The supposed peak may be a wrong one.
            starts.extend(self.ring());
        }
        let told = self.explained(LaneOrder::AsTold, &starts);
        let others = std::iter::once(LaneOrder::Flipped).chain((0..channels - 1).map(LaneOrder::Swapped));
        let (order, other) = others
            .map(|order| (order, self.explained(order, &starts)))
            .min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0))
            .expect("an array has other orders");
        let better = if other.0 < told.0 { other } else { told };
        let left = (better.1 / (self.data.seen.len() * channels) as f64).max(1.0);
        (order, (told.0 - other.0) / left)
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
