//! What changes while a search lasts: light that fades wherever the stage is, or a part that wanders off. Either looks like a
//! misalignment to a search that holds everything for still.

use super::Engine;
use super::fit::{Data, fit};
use super::model::at;
use super::plan::Beliefs;

/// What changed while a search lasted, as far as its readings tell, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trend {
    /// The light wherever the stage is, dB a second: the source, or what its light comes through.
    pub light_db_s: Option<f64>,
    /// Where the light is, um a second across it: the part, its holder or the stage.
    pub place_um_s: Option<f64>,
}

/// So few readings may be explained by anything.
const READINGS_MIN: usize = 6;
/// A change is believed from these odds on (natural logarithm), for each unit of variance that it leaves.
const LOG_ODDS: f64 = 8.0;
/// A source that fails and a part that creeps change by no more than about this, one standard deviation, dB and um a second.
const FADING_DB_S: f64 = 0.1;
const CREEPING_UM_S: f64 = 0.1;
/// A change is named when it is so many standard deviations.
const NAMED: f64 = 4.0;

impl Engine<'_> {
    /// Holds light and place no longer for still, where that explains the readings, from now on.
    pub(super) fn changes(&mut self, beliefs: &Beliefs) -> bool {
        if self.changing || self.data.seen.len() < READINGS_MIN {
            return false;
        }
        let mut data: Data = self.data.clone();
        data.noise.doubt = 1.0;
        let best = &beliefs.fits[0].p;
        let mut model = self.model.clone();
        model.widen(at::FADE, FADING_DB_S);
        model.widen(at::DRIFT_X, CREEPING_UM_S);
        model.widen(at::DRIFT_Y, CREEPING_UM_S);
        let (still, moved) = (fit(&self.model, &data, best), fit(&model, &data, best));
        let left = (moved.chi2 / (data.seen.len() * model.channels.len()) as f64).max(1.0);
        if (still.cost - moved.cost) / left < LOG_ODDS {
            return false;
        }
        (self.changing, self.model) = (true, model);
        true
    }

    /// What is surely changing by the best belief.
    pub(super) fn trend(&self, beliefs: &Beliefs) -> Trend {
        let best = &beliefs.fits[0];
        if !self.changing {
            return Trend::default();
        }
        let told = |index: usize| {
            let column = self.model.free.iter().position(|f| *f == index);
            let sd = column.map_or(f64::INFINITY, |c| (best.covariance[(c, c)] * self.widened(best)).sqrt());
            (best.p[index], best.p[index].abs() / sd)
        };
        let ((light, surely), (x, by_x), (y, by_y)) = (told(at::FADE), told(at::DRIFT_X), told(at::DRIFT_Y));
        Trend {
            light_db_s: (surely > NAMED).then_some(light),
            place_um_s: (by_x.max(by_y) > NAMED).then_some(x.hypot(y)),
        }
    }

    /// By how much the light itself has faded since the brightest reading, dB.
    pub(super) fn faded(&self, beliefs: &Beliefs) -> f64 {
        let best = self.data.seen.iter().max_by(|a, b| self.value(&a.dbm).total_cmp(&self.value(&b.dbm)));
        best.map_or(0.0, |s| beliefs.fits[0].p[at::FADE] * (s.t_s - self.t_s())).max(0.0)
    }
}
