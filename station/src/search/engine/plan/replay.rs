//! The engine on readings that somebody else took: what it would have proposed after each, and a probe that is the model
//! fitted to all of them.

use std::cell::Cell;
use std::rc::Rc;

use async_trait::async_trait;
use units::{Power, Reading};

use super::{AXES, Beliefs, Engine, Pose, SearchError, at, pose, reach};
use crate::event::Sample;
use crate::search::engine::design::optimum;
use crate::search::engine::fit::Seen;
use crate::search::engine::model::{Model, dbm};
use crate::search::engine::play::History;
use crate::search::engine::{Frame, Objective, Setup, levels};
use crate::search::{Probe, ProbeInfo};

/// What the engine says after so many readings. Positions are in the order of the probe's axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Readings known.
    pub readings: usize,
    /// Where it takes the peak to be.
    pub peak: Vec<f64>,
    /// What it expects to read there, dBm.
    pub peak_dbm: f64,
    /// Where it would read next.
    pub next: Vec<f64>,
    /// Loss it would expect to leave if it went to the peak now, dB.
    pub expected_loss_db: f64,
    /// What that is below with 95 % confidence, dB.
    pub bound95_db: f64,
    /// Whether that is enough: it would go to the peak and end there.
    pub enough: bool,
    /// Chi square of the readings over their number: about 1 where the model holds.
    pub misfit: f64,
}

/// What a stored search comes to when the engine looks at it.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// One a reading.
    pub proposals: Vec<Proposal>,
    /// The model fitted to all readings, to be searched by any method.
    pub fitted: Fitted,
}

/// Looks at stored samples, whose positions are in the order of the probe's axes.
///
/// # Errors
/// `Saturated`; `NoAxis`; `NoLight` where there are no samples.
pub async fn replay(setup: &Setup, info: &ProbeInfo, samples: &[Sample]) -> Result<Replayed, SearchError> {
    let Some(first) = samples.first() else { return Err(SearchError::NoLight) };
    let now_s = Rc::new(Cell::new(first.t_s));
    let mut stored = Stored { info: info.clone(), start: first.commanded.clone(), now_s: now_s.clone() };
    let mut engine = Engine::new(&mut stored, setup).await?;
    let mut beliefs = Beliefs::none();
    let mut proposals = Vec::with_capacity(samples.len());
    for sample in samples {
        now_s.set(sample.t_s);
        engine.take(sample)?;
        engine.update(&mut beliefs);
        proposals.push(engine.propose(&beliefs));
    }
    let best = &beliefs.fits[0];
    let start = first.commanded.clone();
    let fitted = Fitted {
        model: engine.model.clone(),
        p: best.p.clone(),
        history: History::new(engine.pose_of(&start), engine.data.history.given()),
        index: engine.index,
        axes: engine.axes.clone(),
        width: setup.width,
        objective: setup.objective,
        info: info.clone(),
        at: start,
        t_s: 0.0,
        readings: 0,
    };
    Ok(Replayed { proposals, fitted })
}

impl Engine<'_> {
    fn pose_of(&self, position: &[f64]) -> Pose {
        std::array::from_fn(|k| self.index[k].map_or(0.0, |i| position[i]))
    }

    fn position_of(&self, pose: &Pose) -> Vec<f64> {
        let mut position: Vec<(usize, f64)> =
            self.index.iter().zip(pose).filter_map(|(i, v)| i.map(|i| (i, *v))).collect();
        position.sort_by_key(|(i, _)| *i);
        position.into_iter().map(|(_, v)| v).collect()
    }

    /// Takes a stored reading as its own.
    fn take(&mut self, sample: &Sample) -> Result<(), SearchError> {
        let command = self.pose_of(&sample.commanded);
        if command != self.command {
            self.command = command;
            self.data.history.push(command);
        }
        self.readings += 1;
        let mut dbm = levels(sample)?;
        self.order.apply(&mut dbm);
        let bent = vec![0.0; dbm.len()];
        self.data.seen.push(Seen { commands: self.data.history.len(), t_s: self.t_s(), dbm, bent });
        Ok(())
    }

    fn propose(&self, beliefs: &Beliefs) -> Proposal {
        let best = &beliefs.fits[0];
        let now = *best.stands.last().expect("stands begin with the start");
        let optimum = self.levers(best, &now);
        let expected = self.expected(beliefs, &optimum);
        // As if it stood at the peak, taken up as its play is now.
        let (there, _) = reach(&now, &optimum.pose, &best.p, &self.data);
        let left = self.left(beliefs, &optimum, &there);
        let enough = expected <= self.setup.tolerance_db;
        let next = if enough || self.climbs(&optimum, expected) {
            reach(&now, &self.within(&optimum.pose), &best.p, &self.data).1
        } else {
            self.choose(beliefs, &optimum, &now, expected)
        };
        Proposal {
            readings: self.readings,
            peak: self.position_of(&optimum.pose),
            peak_dbm: optimum.dbm,
            next: self.position_of(&next),
            expected_loss_db: expected,
            bound95_db: left.bound95,
            enough,
            misfit: beliefs.misfit,
        }
    }
}

/// A stage and a clock that stand where a stored search says.
struct Stored {
    info: ProbeInfo,
    start: Vec<f64>,
    now_s: Rc<Cell<f64>>,
}

#[async_trait(?Send)]
impl Probe for Stored {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn now_s(&self) -> f64 {
        self.now_s.get()
    }

    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        Ok(self.start.clone())
    }

    async fn move_to(&mut self, _: &[f64]) -> Result<(), SearchError> {
        Ok(())
    }

    async fn measure(&mut self) -> Result<Sample, SearchError> {
        Err(SearchError::Budget(0))
    }

    async fn sweep(&mut self, _: &[f64], _: f64) -> Result<Vec<Sample>, SearchError> {
        Err(SearchError::Budget(0))
    }

    async fn wait(&mut self, _: f64) {}
}

/// A probe that is a fitted model: what it reads is what the model says, with the noise of the probe it was fitted from.
#[derive(Debug, Clone)]
pub struct Fitted {
    model: Model,
    p: Vec<f64>,
    history: History,
    index: [Option<usize>; AXES],
    axes: Vec<usize>,
    width: Pose,
    objective: Objective,
    info: ProbeInfo,
    at: Vec<f64>,
    t_s: f64,
    readings: usize,
}

impl Fitted {
    /// Loss of where it stands now against the model's peak, dB.
    pub fn loss_db(&self) -> f64 {
        let here = self.stands();
        let frame = Frame { axes: &self.axes, width: &self.width, objective: self.objective, flat: None };
        let (_, peak) = optimum(&self.model, &self.p, &frame, &here, self.t_s);
        let levels: Vec<f64> = (0..self.model.channels.len()).map(|i| self.level(&here, i)).collect();
        peak - self.objective.of(&levels)
    }

    fn stands(&self) -> Pose {
        let all = self.history.stands(&self.p[at::PLAY..at::PLAY + AXES], &self.p[at::SLACK..at::SLACK + AXES]);
        all.last().map(pose).unwrap_or_default()
    }

    fn level(&self, here: &Pose, channel: usize) -> f64 {
        let mut by = vec![0.0; self.p.len()];
        dbm(self.model.channel_into(&self.model.here(&self.p, here, self.t_s), channel, &mut by))
    }

    fn go(&mut self, position: &[f64]) {
        let command = std::array::from_fn(|k| self.index[k].map_or(0.0, |i| position[i]));
        self.history.push(command);
        self.at = position.to_vec();
    }

    fn travel(&self, to: &[f64]) -> f64 {
        let time = |((a, from), to): ((&crate::search::AxisInfo, &f64), &f64)| {
            crate::bench::move_time((to - from).abs(), a.speed, a.acceleration)
        };
        self.info.axes.iter().zip(&self.at).zip(to).map(time).fold(0.0, f64::max)
    }

    fn look(&mut self) -> Sample {
        self.readings += 1;
        let here = self.stands();
        let (floor, relative) = self.info.channels.first().map_or((0.0, 0.0), |c| (c.floor.watts(), c.relative_db));
        let channels = self.model.channels.len();
        let reading = |channel: usize| {
            let index = 2 * (self.readings * channels + channel) as u64;
            let light = Power::from_dbm(self.level(&here, channel) + relative * noise(index)).watts();
            Reading::Power(Power::from_watts((light + floor * noise(index + 1)).max(0.0)))
        };
        let readings = (0..channels).map(reading).collect();
        let actual = (0..self.at.len()).map(|i| {
            let k = self.index.iter().position(|j| *j == Some(i));
            k.map_or(self.at[i], |k| here[k])
        });
        Sample { t_s: self.t_s, commanded: self.at.clone(), actual: actual.collect(), readings }
    }
}

/// Near enough to a normal number: the sum of four uniform ones, a function of its index alone.
fn noise(index: u64) -> f64 {
    let mut state = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut sum = 0.0;
    for _ in 0..4 {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        sum += ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
    }
    sum * 1.7
}

#[async_trait(?Send)]
impl Probe for Fitted {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn now_s(&self) -> f64 {
        self.t_s
    }

    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        Ok(self.at.clone())
    }

    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
        self.t_s += self.info.costs.move_s + self.travel(position);
        self.go(position);
        Ok(())
    }

    async fn measure(&mut self) -> Result<Sample, SearchError> {
        self.t_s += self.info.costs.reading_s;
        Ok(self.look())
    }

    async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError> {
        let from = self.at.clone();
        let length = from.iter().zip(to).map(|(a, b)| (b - a).powi(2)).sum::<f64>().sqrt();
        let steps = (length / (speed * self.info.costs.sample_s)).ceil().clamp(1.0, 10_000.0);
        self.t_s += self.info.costs.sweep_s;
        let mut samples = Vec::new();
        for step in 0..=steps as usize {
            let share = step as f64 / steps;
            let at: Vec<f64> = from.iter().zip(to).map(|(a, b)| a + share * (b - a)).collect();
            self.go(&at);
            self.t_s += self.info.costs.sample_s;
            samples.push(self.look());
        }
        Ok(samples)
    }

    async fn wait(&mut self, seconds: f64) {
        self.t_s += seconds.max(0.0);
    }
}
