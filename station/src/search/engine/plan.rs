//! The course of one alignment: start, fit, choose, read, stop.

pub mod replay;

use super::design::{Optimum, levers, reach};
use super::fit::{Fit, fit, pose};
use super::lanes::{IN_ORDER, ROLLS_MAX, Told};
use super::left::{ODD, Stated};
use super::model::{AXES, Pose, at};
use super::optics::DB_PER_NEPER;
use super::play::Stands;
use super::{Aligned, Engine};
use crate::search::SearchError;

/// Fits kept: what the readings still allow.
const KEPT: usize = 6;

/// Readings bought for a skewed fit, at most.
const SKEWED_MAX: usize = 3;

/// A fit this much worse than the best is dropped (the odds are 1 in 3000).
const WORSE: f64 = 8.0;

/// What the readings so far allow, best first, with odds that add to 1.
pub(super) struct Beliefs {
    pub(super) fits: Vec<Fit>,
    pub(super) odds: Vec<f64>,
    /// By how much readings and priors scatter more about the best than told (variance), at least 1.
    pub(super) misfit: f64,
    /// By how much the readings alone did when the other sides were last looked at.
    surprise: f64,
}

impl Beliefs {
    /// Nothing is known yet.
    pub(super) fn none() -> Beliefs {
        Beliefs { fits: Vec::new(), odds: Vec::new(), misfit: 1.0, surprise: 1.0 }
    }
}

/// Readings that scatter this much more than they should (variance), and than they did when that was last done, have the other
/// sides looked at again.
const SURPRISED: f64 = 2.0;

/// More readings of an array tell on which side of the focus and of each angle it is.
const SIDES_TOLD: usize = 2;

/// Rounds of fits from drawn starts after an odd fit, and starts a round.
const RESTARTS: usize = 3;
const STARTS: usize = 16;

/// A part is not farther from what is expected than this many standard deviations.
const UNLIKELY: f64 = 5.0;

/// Fits whose centres are no farther apart than this, in widths, are one.
const SAME: f64 = 0.02;

/// Decisions before a search ends where it is, whatever it may read: twice what the hardest scenes needed.
const DECISIONS_MAX: usize = 60;

/// So many readings in a row, each so far below the brightest (dB), have lost the light.
const LOST: usize = 4;
const LOST_DB: f64 = 15.0;

/// So many readings in a row that are no brighter than one before, while no part explains them, have led nowhere.
const STUCK: usize = 12;
/// Light is dark so many standard deviations below what is expected at the peak.
const DARK: f64 = 1.33;

/// No search ends this far below its brightest reading, dB: beyond what drift, wander and noise do.
const BEHIND_DB: f64 = 0.5;

/// The search goes on as if the model were as wrong as the setup says it may be; what it leaves is told by what is usual, a
/// share of that. Not of an array, whose channels are all wrong the same way.
const TYPICAL: f64 = 0.6;

/// The first step along the light, in standard deviations of where the focus may be, and in widths at the most.
const DEEP: f64 = 0.72;
const DEEP_WIDTHS: f64 = 0.3;

/// Phases of a fringe that a fit starts from.
const PHASES: usize = 7;

/// Below the predicted peak by more than this the next reading is at the predicted optimum, dB, unless no more than that
/// loss is expected there: then a reading beside it tells more.
const CLIMB_DB: f64 = 3.0;
const CLIMBED_DB: f64 = 0.1;

impl Engine<'_> {
    pub(super) async fn run(mut self) -> Result<Aligned, SearchError> {
        let mut beliefs = self.begin().await?;
        let mut last = None;
        let mut skewed = 0;
        let mut rolls = 0;
        let mut anew = false;
        let mut climbed = false;
        loop {
            if !anew && self.lost() {
                anew = true;
                beliefs = self.begin_anew().await?;
            }
            self.decisions += 1;
            let now = *beliefs.fits[0].stands.last().expect("stands begin with the start");
            let optimum = self.levers(&beliefs.fits[0], &now);
            let mut expected = self.expected(&beliefs, &optimum);
            if expected <= self.setup.tolerance_db && skewed < SKEWED_MAX {
                let spare = self.setup.tolerance_db - expected;
                let hidden = self.skewed(&beliefs, &optimum, spare);
                if hidden > spare {
                    skewed += 1;
                    expected += hidden;
                }
            }
            let scatter = optimum.scatter(&self.frame(), &self.data.noise).trace() / 2.0;
            let beside = optimum.loss(&self.frame(), &pose(&now));
            if let Some(value) = last
                && (beside + expected <= self.setup.tolerance_db * 1.6
                    || (expected <= self.setup.tolerance_db && beside < 2.0 * scatter + 0.1 * self.setup.tolerance_db))
            {
                // Channels that differ by themselves hide a swapped pair from the scatter.
                if self.setup.tell_order || beliefs.misfit >= IN_ORDER {
                    match self.reorder(&beliefs) {
                        Told::Anew => {
                            last = None;
                            self.update(&mut beliefs);
                            continue;
                        }
                        Told::Open if self.rolls(rolls) => {
                            let target = self.rolled(&optimum.pose, rolls);
                            rolls += 1;
                            last = None;
                            self.reach(&now, &target, &beliefs).await?;
                            self.read().await?;
                            self.update(&mut beliefs);
                            continue;
                        }
                        Told::Open | Told::Known => {}
                    }
                }
                if self.changes(&beliefs) {
                    last = None;
                    self.update(&mut beliefs);
                    continue;
                }
                if self.model.channels.len() == 1 {
                    self.data.noise.shape = TYPICAL * self.setup.shape;
                    self.update(&mut beliefs);
                }
                let left = self.left_here(&beliefs);
                return self.end(&beliefs, left, value, true).await;
            }
            if !climbed && self.can_climb() && self.stuck(&beliefs) {
                climbed = true;
                last = None;
                beliefs = self.climb_anew().await?;
                continue;
            }
            // One reading is kept for going back to the brightest place.
            if self.readings + 2 >= self.setup.readings_max || self.decisions >= DECISIONS_MAX || self.stuck(&beliefs) {
                self.reach(&now, &optimum.pose, &beliefs).await?;
                let value = self.read().await?;
                self.update(&mut beliefs);
                let left = self.left_here(&beliefs);
                return self.end(&beliefs, left, value, false).await;
            }
            let target = if expected <= self.setup.tolerance_db || self.climbs(&optimum, expected) {
                reach(&now, &self.within(&optimum.pose), &beliefs.fits[0].p, &self.data).1
            } else {
                self.choose(&beliefs, &optimum, &now, expected)
            };
            let arriving = expected <= self.setup.tolerance_db;
            self.go(&target).await?;
            let value = self.read().await?;
            self.update(&mut beliefs);
            last = arriving.then_some(value);
        }
    }

    /// What standing here leaves, by the newest beliefs.
    fn left_here(&self, beliefs: &Beliefs) -> Stated {
        let now = *beliefs.fits[0].stands.last().expect("stands begin with the start");
        self.left(beliefs, &self.levers(&beliefs.fits[0], &now), &now)
    }

    /// Whether one more reading may be taken for the order of the channels, which a roll tells.
    fn rolls(&self, taken: usize) -> bool {
        self.setup.tell_order
            && taken < ROLLS_MAX
            && self.axes.contains(&5)
            && self.readings + 3 <= self.setup.readings_max
    }

    /// Ends here, or at the brightest reading's place where here is no good.
    async fn end(
        mut self,
        beliefs: &Beliefs,
        left: Stated,
        value: f64,
        converged: bool,
    ) -> Result<Aligned, SearchError> {
        let behind = self.best() - value - self.faded(beliefs);
        // On a flat top, whose middle is sought, the brightest place may be any.
        if behind < BEHIND_DB + 3.0 * self.setup.ripple_db {
            return Ok(self.result(beliefs, left, value, converged));
        }
        self.go_to_brightest().await?;
        let value = self.read().await?;
        let left = Stated { expected: left.expected.max(behind), bound95: left.bound95.max(behind) };
        Ok(self.result(beliefs, left, value, false))
    }

    /// Whether the readings have left the light.
    fn lost(&self) -> bool {
        let best = self.best();
        let dark = self.data.seen.iter().rev().take_while(|s| self.value(&s.dbm) < best - LOST_DB).count();
        (LOST..self.data.seen.len()).contains(&dark)
    }

    /// Starts again from the brightest place, with nothing believed.
    pub(super) async fn begin_anew(&mut self) -> Result<Beliefs, SearchError> {
        self.go_to_brightest().await?;
        self.data.seen.clear();
        self.read().await?;
        self.first_steps().await
    }

    /// Whether no part explains the readings, all darker than expected, and many more have shown no more light.
    fn stuck(&self, beliefs: &Beliefs) -> bool {
        let best = self.best();
        let since = self.data.seen.iter().rev().take_while(|s| self.value(&s.dbm) < best).count();
        let dark = best < self.setup.level_dbm - DARK * self.setup.level_sd_db;
        beliefs.misfit >= ODD && dark && since >= STUCK
    }

    /// Back to the brightest reading's command.
    pub(super) async fn go_to_brightest(&mut self) -> Result<(), SearchError> {
        let best = self.data.seen.iter().max_by(|a, b| self.value(&a.dbm).total_cmp(&self.value(&b.dbm)));
        let command = self.data.history.command(best.map_or(0, |s| s.commands));
        self.go(&command).await
    }

    /// Whether light is still to be found rather than told apart.
    fn climbs(&self, optimum: &Optimum, expected: f64) -> bool {
        optimum.dbm - self.best() > CLIMB_DB && expected > CLIMBED_DB
    }

    /// A target no farther across the light from the brightest place than its light allows.
    fn within(&self, target: &Pose) -> Pose {
        let (value, from) = self.brightest();
        let brightest = self.setup.level_dbm + 1.5 * self.setup.level_sd_db;
        let widths = 1.0 + 1.25 * ((brightest - value).max(0.0) / 4.34).sqrt();
        let lateral = self.setup.lateral();
        let off = |k: &usize| ((target[*k] - from[*k]) / self.setup.width[*k]).powi(2);
        let far = lateral.iter().map(off).sum::<f64>().sqrt() / widths;
        let mut to = *target;
        if far > 1.0 && self.setup.aperture_um.is_none() {
            for &k in lateral {
                to[k] = from[k] + (target[k] - from[k]) / far;
            }
        }
        to
    }

    async fn reach(&mut self, now: &Stands, target: &Pose, beliefs: &Beliefs) -> Result<(), SearchError> {
        let (_, command) = reach(now, target, &beliefs.fits[0].p, &self.data);
        self.go(&command).await
    }

    /// The best value shown so far, dBm.
    fn best(&self) -> f64 {
        self.data.seen.iter().map(|s| self.value(&s.dbm)).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The first readings: here, and a step along each axis across the light.
    async fn begin(&mut self) -> Result<Beliefs, SearchError> {
        if let Some(radius) = self.setup.spiral_um {
            let here = self.read().await?;
            if here < self.clear_dbm() {
                self.data.seen.clear();
                if !self.find(radius).await? {
                    return Err(SearchError::NoLight);
                }
                let mut beliefs = Beliefs::none();
                self.update(&mut beliefs);
                return Ok(beliefs);
            }
            self.data.seen.clear();
            self.readings -= 1;
        }
        if let Some(hills) = self.setup.hills {
            self.survey(hills).await?;
        } else {
            self.read().await?;
        }
        self.first_steps().await
    }

    /// A step along each axis across the light from a first reading, as long as few readings are known.
    async fn first_steps(&mut self) -> Result<Beliefs, SearchError> {
        let w = self.setup.width;
        let depth = (self.setup.level_dbm - self.best()).max(0.0) / 4.34;
        // On a flat top less than this shows nothing, and each of its flanks falls faster than a mode's.
        let (share, least) = if self.setup.aperture_um.is_some() { (0.45, 0.75) } else { (0.6, 0.5) };
        let step = |k: usize| w[k] * (share * depth.sqrt()).clamp(least, 1.5);
        let mut beliefs = Beliefs::none();
        let across = self.setup.lateral();
        let lateral: Vec<usize> = self.axes.iter().copied().filter(|k| across.contains(k)).collect();
        if self.data.seen.len() > 1 {
            self.update(&mut beliefs);
        }
        for (i, k) in lateral.iter().copied().enumerate() {
            if self.data.seen.len() > across.len() + 1 {
                break;
            }
            let mut command = self.command;
            if let Some(fit) = beliefs.fits.first() {
                let now = *fit.stands.last().expect("stands begin with the start");
                let mut target = pose(&now);
                let known = &lateral[..i.max(1)];
                known.iter().for_each(|k| target[*k] = fit.p[at::CENTRE + k]);
                let there = reach(&now, &target, &fit.p, &self.data).1;
                known.iter().for_each(|k| command[*k] = there[*k]);
            }
            command[k] += step(k);
            if let Some(z) = self.along_with(k) {
                command[z] += (DEEP * self.model.prior[z].sd).min(DEEP_WIDTHS * self.setup.width[z]);
            }
            self.decisions += 1;
            self.go(&command).await?;
            self.read().await?;
            self.update(&mut beliefs);
        }
        Ok(beliefs)
    }

    /// The axis along the light that takes a step together with the first one across it: at one z all readings look the same
    /// from either side of the focus.
    fn along_with(&self, k: usize) -> Option<usize> {
        let z = match k {
            0 => 2,
            3 if self.setup.second.is_some() => 5,
            _ => return None,
        };
        let single = self.model.channels.len() == 1 && self.setup.fringe.is_none();
        (single && self.axes.contains(&z)).then_some(z)
    }

    /// Fits anew from every belief and from mirrored ones.
    pub(super) fn update(&mut self, beliefs: &mut Beliefs) {
        self.data.noise.doubt = 1.0;
        let mut starts: Vec<Vec<f64>> = beliefs.fits.iter().map(|f| f.p.clone()).collect();
        if self.data.seen.len() <= self.setup.lateral().len() + 2 || beliefs.fits.is_empty() {
            starts.extend(self.ring());
        }
        // An array tells the sides apart at once.
        let told = self.model.channels.len() > 1 && self.data.seen.len() > SIDES_TOLD;
        if !told {
            starts.extend(self.other_sides(beliefs));
        }
        self.keep(beliefs, &starts);
        let surprise = beliefs.fits.first().map_or(1.0, |f| self.widened(f));
        if surprise > SURPRISED * beliefs.surprise {
            beliefs.surprise = surprise;
            // The newest reading may have shown that the light is on another side.
            let mut starts: Vec<Vec<f64>> = beliefs.fits.iter().map(|f| f.p.clone()).collect();
            starts.extend(self.ring());
            if told {
                starts.extend(self.other_sides(beliefs));
            }
            self.keep(beliefs, &starts);
        }
        if let Some((_, period)) = self.setup.fringe {
            // A phase is found only from nearby.
            let mut starts: Vec<Vec<f64>> = beliefs.fits.iter().map(|f| f.p.clone()).collect();
            for f in beliefs.fits.iter().take(2) {
                starts.extend((1..PHASES).map(|i| {
                    let mut p = f.p.clone();
                    p[at::FRINGE] += i as f64 / PHASES as f64 * period;
                    p
                }));
            }
            self.keep(beliefs, &starts);
        }
        if let Some(best) = beliefs.fits.first() {
            self.data.bend(&self.model, best);
            let again: Vec<Vec<f64>> = beliefs.fits.iter().map(|f| f.p.clone()).collect();
            self.keep(beliefs, &again);
        }
        let odd = beliefs.fits.first().is_some_and(|f| self.misfit(f) >= IN_ORDER);
        if odd && self.order_is_due() && self.reorder(beliefs) == Told::Anew {
            let mut starts: Vec<Vec<f64>> = beliefs.fits.iter().map(|f| f.p.clone()).collect();
            starts.extend(self.ring());
            self.keep(beliefs, &starts);
        }
        if beliefs.fits.first().is_some_and(|f| self.misfit(f) >= ODD) && self.changes(beliefs) {
            let starts: Vec<Vec<f64>> = beliefs.fits.iter().map(|f| f.p.clone()).collect();
            self.keep(beliefs, &starts);
        }
        for round in 0..RESTARTS {
            if beliefs.fits.first().is_some_and(|f| self.misfit(f) < ODD) {
                break;
            }
            let mut starts: Vec<Vec<f64>> = beliefs.fits.iter().map(|f| f.p.clone()).collect();
            starts.extend((0..STARTS).map(|i| self.drawn(round * STARTS + i)));
            self.keep(beliefs, &starts);
        }
        beliefs.misfit = beliefs.fits.first().map_or(1.0, |f| self.misfit(f));
        self.doubt(beliefs);
        beliefs.fits.iter_mut().skip(1).for_each(|f| f.settle(&self.model));
    }

    /// Beliefs on the other side of the focus, or of an angle.
    fn other_sides(&self, beliefs: &Beliefs) -> Vec<Vec<f64>> {
        let mut starts = Vec::new();
        let means = self.model.means();
        let across = self.setup.lateral();
        for k in self.axes.iter().filter(|k| !across.contains(k)) {
            let mean = self.data.seen.iter().map(|s| beliefs_pose(beliefs, s.commands, *k)).sum::<f64>()
                / self.data.seen.len() as f64;
            for f in beliefs.fits.iter().take(2) {
                let mut p = f.p.clone();
                p[*k] = 2.0 * mean - p[*k];
                starts.push(p);
            }
            // One channel tells the sides apart late.
            let early = if self.model.channels.len() == 1 { across.len() + 4 } else { SIDES_TOLD };
            if self.data.seen.len() <= early {
                for sign in [-0.8, 0.8] {
                    let mut p = beliefs.fits.first().map_or_else(|| means.clone(), |f| f.p.clone());
                    p[*k] = means[*k] + sign * self.model.prior[*k].sd;
                    starts.push(p);
                }
            }
        }
        starts
    }

    /// Parameters of peaks around the brightest place, at the distance that its depth tells.
    pub(super) fn ring(&self) -> Vec<Vec<f64>> {
        let (value, from) = self.brightest();
        let radius = ((self.setup.level_dbm - value).max(0.3) / DB_PER_NEPER).sqrt();
        let turns = if self.model.channels.len() > 1 { 4 } else { 8 };
        let start = |turn: i32| {
            let (s, c) = ((f64::from(turn) + 0.5) * std::f64::consts::TAU / f64::from(turns)).sin_cos();
            let mut p = self.model.means();
            p[0] = from[0] + radius * self.setup.width[0] * c;
            p[1] = from[1] + radius * self.setup.width[1] * s;
            p
        };
        if self.setup.second.is_some() {
            return self.rings(&from, radius);
        }
        (0..turns).map(start).collect()
    }

    /// Parameters drawn from the priors, about the brightest place across the light.
    fn drawn(&self, number: usize) -> Vec<f64> {
        let mut state = (self.data.seen.len() * 1000 + number) as u64;
        let mut normal = || {
            // Sum of four uniform numbers: near enough to normal for a start.
            let mut sum = 0.0;
            for _ in 0..4 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                sum += (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            }
            sum * 1.7
        };
        let mut p = self.model.means();
        for k in &self.axes {
            p[*k] += normal() * self.model.prior[*k].sd;
        }
        let (value, from) = self.brightest();
        let radius = ((self.setup.level_dbm - value).max(0.3) / 4.34).sqrt();
        let lateral = self.setup.lateral();
        // What the light is short of is of all ends together.
        let each = radius * (2.0 / lateral.len() as f64).sqrt();
        for &k in lateral.iter().filter(|k| self.axes.contains(k)) {
            p[k] = from[k] + normal() * each * self.setup.width[k];
        }
        p
    }

    /// The best value shown so far and where the axes stood for it, taking the play as told.
    fn brightest(&self) -> (f64, Pose) {
        let best = self.data.seen.iter().map(|s| (self.value(&s.dbm), s.commands));
        let (value, commands) = best.max_by(|a, b| a.0.total_cmp(&b.0)).expect("read before");
        let stands = self.data.history.stands(&[0.0; AXES], &[0.0; AXES]);
        (value, pose(&stands[commands]))
    }

    /// Fits from every start; keeps the different ones that the readings allow.
    pub(super) fn keep(&self, beliefs: &mut Beliefs, starts: &[Vec<f64>]) {
        let mut fits: Vec<Fit> = Vec::new();
        for start in starts {
            let f = fit(&self.model, &self.data, start);
            if !f.cost.is_finite() {
                continue;
            }
            let same = |g: &Fit| {
                self.fringe_apart(&f.p, &g.p) < 0.1
                    && self.axes.iter().all(|k| (f.p[*k] - g.p[*k]).abs() < SAME * self.setup.width[*k])
            };
            match fits.iter_mut().find(|g| same(g)) {
                Some(g) if f.cost < g.cost => *g = f,
                Some(_) => {}
                None => fits.push(f),
            }
        }
        // What no part can be is taken only where nothing else is left.
        let likely = |f: &Fit| {
            let beyond = |i: usize| (f.p[i] - self.model.prior[i].mean).abs() > UNLIKELY * self.model.prior[i].sd;
            !beyond(at::POWER) && !self.axes.iter().any(|k| beyond(*k))
        };
        if fits.iter().any(likely) {
            fits.retain(likely);
        }
        fits.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        fits.truncate(KEPT);
        let best = fits.first().map_or(0.0, |f| f.cost);
        fits.retain(|f| f.cost < best + WORSE);
        // The others' covariances are worked out once, at the end of an update.
        if let Some(best) = fits.first_mut() {
            best.settle(&self.model);
        }
        let weights: Vec<f64> = fits.iter().map(|f| (best - f.cost).exp()).collect();
        let sum: f64 = weights.iter().sum();
        beliefs.odds = weights.iter().map(|w| w / sum).collect();
        beliefs.fits = fits;
    }

    /// How far apart two fringe phases are, in periods.
    fn fringe_apart(&self, p: &[f64], q: &[f64]) -> f64 {
        self.setup.fringe.map_or(0.0, |(_, period)| {
            let apart = (p[at::FRINGE] - q[at::FRINGE]) / period;
            (apart - apart.round()).abs()
        })
    }

    pub(super) fn levers(&self, fit: &Fit, now: &Stands) -> Optimum {
        levers(&self.model, &fit.p, &self.frame(), now, &self.data, self.t_s())
    }
}

/// Where an axis stood after some commands under the best belief.
fn beliefs_pose(beliefs: &Beliefs, commands: usize, k: usize) -> f64 {
    beliefs.fits.first().and_then(|f| f.stands.get(commands)).map_or(0.0, |s| s[k].actual)
}
