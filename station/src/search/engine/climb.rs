//! Where the model leads nowhere: up along one axis after the other, as a search without a model goes.

use super::Engine;
use super::model::{Pose, at};
use super::plan::Beliefs;
use crate::search::SearchError;

/// First step along an axis, widths; each that gains is followed by one twice as long.
const STEP: f64 = 0.5;

/// Rounds over all axes, at most, and what one gains, dB, that is followed by another.
const ROUNDS: usize = 6;
const GAINED_DB: f64 = 1.0;

/// Readings that a climb and what follows it may need: with fewer left none is begun, and a climb takes half of them.
const READINGS: usize = 70;

/// The part may be darker than expected by this share of what the climb's end is short of, one standard deviation.
const DARKER: f64 = 0.5;

impl Engine<'_> {
    /// Whether there are readings left to climb with.
    pub(super) fn can_climb(&self) -> bool {
        self.readings + READINGS <= self.setup.readings_max
    }

    /// Climbs from the brightest place and begins anew there, believing that the part may be as dark as it looks.
    pub(super) async fn climb_anew(&mut self) -> Result<Beliefs, SearchError> {
        self.go_to_brightest().await?;
        let value = self.read().await?;
        let mut top = Top { at: self.command, value, until: self.readings + READINGS / 2 };
        let mut ways = self.setup.width.map(|width| STEP * width);
        for _ in 0..ROUNDS {
            let before = top.value;
            for k in self.axes.clone() {
                if !self.up(k, ways[k], &mut top).await? && self.up(k, -ways[k], &mut top).await? {
                    ways[k] = -ways[k];
                }
            }
            if top.value - before < GAINED_DB {
                break;
            }
        }
        if self.model.channels.len() == 1 {
            self.model.widen(at::POWER, DARKER * (self.setup.level_dbm - top.value));
        }
        self.begin_anew().await
    }

    /// Steps along an axis from the top while the light grows; says whether it did.
    async fn up(&mut self, k: usize, way: f64, top: &mut Top) -> Result<bool, SearchError> {
        let mut step = way;
        while self.readings < top.until {
            let mut to = top.at;
            to[k] += step;
            self.go(&to).await?;
            let value = self.read().await?;
            if value <= top.value {
                break;
            }
            (top.at, top.value) = (self.command, value);
            step *= 2.0;
        }
        Ok(step != way)
    }
}

/// The brightest place of a climb.
struct Top {
    at: Pose,
    value: f64,
    /// Readings of the search at which the climb ends.
    until: usize,
}
