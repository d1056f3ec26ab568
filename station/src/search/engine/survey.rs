//! Which hill is the peak: a map of where the main peak may be, from which every reading strikes what it contradicts.
//! Side lobes and cladding light only ever add, so a dark reading excludes a peak nearby, and a reading brighter than
//! any side lobe can be stands on it.

use super::ends::{ONE, SECOND};
use super::model::Pose;
use super::optics::DB_PER_NEPER;
use super::{Engine, Hills, Setup};
use crate::search::SearchError;

/// Spacing of the map, in mode radii.
const GRID: f64 = 0.3;

/// A point is worth what the map says lies within this many mode radii of it.
const SIGHT: f64 = 1.4;

/// Readings of one survey, at most.
const LOOKS: usize = 40;

/// How much less likely a reading is that needs a side lobe, nepers.
const LOBE: f64 = 1.5;

/// How much less is expected of a second look, nepers.
const LOOKED: f64 = 6.0;

/// Around the top of a hill, so many mode radii away, there is none that is brighter.
const TOP: f64 = 1.5;

/// Nepers a decibel by which a reading contradicts a place.
const CONTRADICTION: f64 = 1.5;

/// Uncertainty of a level that is given to the map's model, dB.
const SLACK_DB: f64 = 1.0;

/// The brightest and the darkest part are so many standard deviations from the expected level.
const BRIGHTEST: f64 = 1.6;

/// A place where the peak may be, and the log of its odds.
struct Cell {
    x: f64,
    y: f64,
    odds: f64,
}

impl Hills {
    /// What no side lobe of the brightest part can be, dBm.
    fn above_lobes_dbm(&self, setup: &Setup) -> f64 {
        setup.level_dbm + BRIGHTEST * setup.level_sd_db - self.lobe_db + 0.5
    }

    /// By how much a reading is brighter than any side lobe can be, dB; below 0 where it may be one.
    pub(super) fn above_lobes_db(&self, setup: &Setup, dbm: f64) -> f64 {
        dbm - self.above_lobes_dbm(setup)
    }

    /// How many readings would cover the area, if each saw all of its own and none of another's; `width` is of the mode, um.
    pub(super) fn shares(&self, width: f64) -> f64 {
        (self.radius_um / (SIGHT * width)).powi(2)
    }
}

impl Engine<'_> {
    /// Reads around here until a reading stands on the main peak; readings on its flank stay in the data.
    ///
    /// # Errors
    /// `NoLight` where none does.
    pub(super) async fn survey(&mut self, hills: Hills) -> Result<(), SearchError> {
        self.survey_for(hills, LOOKS, f64::NEG_INFINITY, 0).await
    }

    /// The same with so many readings, for light brighter than `beat_dbm`, too; across the light of an end, from 0.
    pub(super) async fn survey_for(
        &mut self,
        hills: Hills,
        looks: usize,
        beat_dbm: f64,
        end: usize,
    ) -> Result<(), SearchError> {
        let across = [ONE, SECOND][end];
        let [i, j] = across;
        let w = self.setup.width[i];
        let centre = self.command;
        let mut cells = cells(hills.radius_um, GRID * w);
        if beat_dbm.is_finite() {
            // What is to be beaten was the top of a hill.
            let near = cells.iter_mut().filter(|c| c.x.hypot(c.y) < TOP * w);
            near.for_each(|c| c.odds -= 2.0 * LOOKED);
        }
        let spread = BRIGHTEST * self.setup.level_sd_db;
        let (bright, dim) = (self.setup.level_dbm + spread, self.setup.level_dbm - spread - hills.dimming_db);
        // Brighter than any side lobe of the brightest part.
        let main = hills.above_lobes_dbm(self.setup).max(beat_dbm);
        for _ in 0..looks {
            let value = self.read().await?;
            if value > main {
                self.forget(value, across);
                return Ok(());
            }
            let (x, y) = (self.command[i] - centre[i], self.command[j] - centre[j]);
            for cell in &mut cells {
                let depth = DB_PER_NEPER * ((cell.x - x).powi(2) + (cell.y - y).powi(2)) / (w * w);
                let halo = bright - hills.halo_db;
                let (low, high) = (dim - depth - SLACK_DB, bright - depth + SLACK_DB);
                cell.odds -= if value < low {
                    CONTRADICTION * (low - value).min(30.0)
                } else if value > high && value > halo {
                    LOBE
                } else if (cell.x - x).hypot(cell.y - y) < GRID * w {
                    // It may well be here, but another look would show no more.
                    LOOKED
                } else {
                    0.0
                };
            }
            let target = self.look(&cells, &centre, SIGHT * w, across);
            self.decisions += 1;
            self.go(&target).await?;
        }
        Err(SearchError::NoLight)
    }

    /// The place that may show most of what is left, for its time.
    fn look(&self, cells: &[Cell], centre: &Pose, sight: f64, [i, j]: [usize; 2]) -> Pose {
        let top = cells.iter().map(|c| c.odds).fold(f64::NEG_INFINITY, f64::max);
        let live: Vec<(&Cell, f64)> =
            cells.iter().map(|c| (c, (c.odds - top).exp())).filter(|(_, weight)| *weight > 1e-3).collect();
        let sum: f64 = live.iter().map(|(_, weight)| weight).sum();
        let mut best = (self.command, f64::NEG_INFINITY);
        for (c, _) in &live {
            let seen: f64 = live
                .iter()
                .map(|(o, weight)| {
                    let q = ((o.x - c.x).powi(2) + (o.y - c.y).powi(2)) / (sight * sight);
                    weight * (-q * q).exp()
                })
                .sum::<f64>()
                / sum;
            let mut to = self.command;
            (to[i], to[j]) = (centre[i] + c.x, centre[j] + c.y);
            let score = seen / self.seconds(&to);
            if score > best.1 {
                best = (to, score);
            }
        }
        best.0
    }

    /// Keeps the readings that stand on the same hill as the last.
    fn forget(&mut self, value: f64, [i, j]: [usize; 2]) {
        let w = self.setup.width[i];
        let stands = self.data.history.stands(&[0.0; 6], &[0.0; 6]);
        let last = self.data.seen.last().map_or(0, |s| s.commands);
        let here = [stands[last][i].actual, stands[last][j].actual];
        let values: Vec<f64> = self.data.seen.iter().map(|s| self.value(&s.dbm)).collect();
        let mut values = values.into_iter();
        self.data.seen.retain(|s| {
            let there = &stands[s.commands];
            let near = (there[i].actual - here[0]).hypot(there[j].actual - here[1]) < 2.0 * w;
            let bright = values.next().is_some_and(|v| v > value - HILL_DB);
            near && bright
        });
    }
}

/// Readings this far below the hill's are left to the survey, dB: there side lobes and cladding light show.
const HILL_DB: f64 = 9.0;

fn cells(radius: f64, step: f64) -> Vec<Cell> {
    #[expect(clippy::cast_possible_truncation, reason = "a few dozen")]
    let n = (radius / step).ceil() as i32;
    let mut list = Vec::new();
    for i in -n..=n {
        for j in -n..=n {
            let (x, y) = (f64::from(i) * step, f64::from(j) * step);
            if x.hypot(y) <= radius {
                list.push(Cell { x, y, odds: 0.0 });
            }
        }
    }
    list
}
