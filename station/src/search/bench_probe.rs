//! A bench as a [`Probe`]: moves through the envelope, and keeps every sample for the trace.

use std::time::Duration;

use async_trait::async_trait;
use recipes::Axis;
use units::Reading;

use super::{AxisInfo, ChannelInfo, Costs, Probe, ProbeInfo, RoutineEnd, SearchError};
use crate::bench::{Bench, Pose, Routine, move_time};
use crate::config::{AxisConfig, BenchConfig, Channel, Role};
use crate::event::Sample;

/// Readings taken to learn what one costs.
const TRIALS: usize = 3;

/// What a sample of a sweep costs where the meter streams.
const STREAM_SAMPLE_S: f64 = 1e-3;

/// Relative noise of a reading that optical benches show (connectors, polarisation, laser), dB.
const TECHNICAL_DB: f64 = 0.005;

/// Drift of a bench that has not warmed up evenly, um a second (10 um an hour).
const DRIFT_UM_S: f64 = 0.003;

/// Wander of a stabilised laser over the seconds of a search, dB.
const WANDER_DB: f64 = 0.005;

/// How far the play of a bench file may be off, relative.
const PLAY_SPREAD: f64 = 0.3;

/// Exchanges around a routine, about, each as long as a reading: limits, definition, start, results, samples.
const ROUTINE_EXCHANGES: f64 = 40.0;

/// Moves and readings that what they cost is averaged over: a bench keeps its pace.
const PACE: f64 = 8.0;

/// Longest trace kept in memory; a search that reads more has gone wrong.
const SAMPLES_MAX: usize = 200_000;

/// A bench being searched.
pub struct BenchProbe<'b> {
    bench: &'b mut Bench,
    info: ProbeInfo,
    /// Samples with positions of all the bench's axes.
    trace: Vec<Sample>,
    all: Vec<Axis>,
    /// Channels that are read; those that searches see are among them.
    lanes: Vec<ChannelInfo>,
    /// Moves and readings timed so far.
    timed: [f64; 2],
    watch: Option<Watch<'b>>,
}

/// Is told every sample as it is taken, with the axes of its positions.
type Watch<'b> = Box<dyn FnMut(&[Axis], &[Sample]) + 'b>;

impl<'b> BenchProbe<'b> {
    /// Learns what a reading and a sample of a sweep cost by taking a few, and describes the bench.
    ///
    /// # Errors
    /// Bench errors.
    pub async fn new(bench: &'b mut Bench) -> Result<BenchProbe<'b>, SearchError> {
        let began = bench.clock().seconds();
        for _ in 0..TRIALS {
            bench.read_signal().await?;
        }
        let read = bench.clock().seconds();
        for _ in 0..TRIALS {
            bench.sample().await?;
        }
        let sampled = bench.clock().seconds();
        #[expect(clippy::cast_precision_loss, reason = "a handful of readings")]
        let (reading_s, sample_s) = ((read - began) / TRIALS as f64, (sampled - read) / TRIALS as f64);
        // A stream gives a sample each millisecond, however long one takes by itself.
        let sample_s = if bench.signal_streams() { sample_s.min(STREAM_SAMPLE_S) } else { sample_s };
        let integration_s = bench.signal_integration_s();
        let info = described(bench.config(), Pace { reading_s, sample_s, integration_s });
        let all = info.axes.iter().map(|a| a.axis).collect();
        let lanes = info.channels.clone();
        Ok(BenchProbe { info, bench, trace: Vec::new(), all, lanes, timed: [0.0; 2], watch: None })
    }

    /// Has every sample told as it is taken.
    pub fn watched(self, watch: impl FnMut(&[Axis], &[Sample]) + 'b) -> Self {
        BenchProbe { watch: Some(Box::new(watch)), ..self }
    }

    /// Searches see and move these axes alone; the trace keeps all.
    pub fn only(&mut self, axes: &[Axis]) {
        self.info.axes.retain(|a| axes.contains(&a.axis));
    }

    /// Every reading is of all the bench's signal channels at once, in the order of their lanes.
    pub fn all_lanes(&mut self) {
        let mut signals: Vec<&Channel> =
            self.bench.config().channels.iter().filter(|c| c.role == Role::Signal).collect();
        signals.sort_by_key(|c| c.lane);
        let told = |c: &&Channel| ChannelInfo { name: c.name.clone(), floor: c.floor, relative_db: TECHNICAL_DB };
        self.lanes = signals.iter().map(told).collect();
        self.info.channels.clone_from(&self.lanes);
    }

    /// Searches do not see these lanes, from 0; the trace keeps all.
    pub fn without_lanes(&mut self, dark: &[usize]) {
        let kept = self.lanes.iter().enumerate().filter(|(i, _)| !dark.contains(i));
        self.info.channels = kept.map(|(_, c)| c.clone()).collect();
    }

    /// Names of the channels in the trace.
    pub fn lanes(&self) -> Vec<String> {
        self.lanes.iter().map(|c| c.name.clone()).collect()
    }

    /// What a search sees of a sample of the trace.
    fn seen(&self, sample: Sample) -> Sample {
        let seen = |name: &String| self.info.channels.iter().any(|c| c.name == *name);
        let named = self.lanes.iter().zip(&sample.readings).filter(|(c, _)| seen(&c.name));
        Sample { readings: named.map(|(_, r)| *r).collect(), ..sample }
    }

    /// One reading of the first signal, or of all channels that are asked for.
    async fn readings(&mut self) -> Result<Vec<Reading>, SearchError> {
        if self.lanes.len() == 1 {
            return Ok(vec![self.bench.read_signal().await?]);
        }
        let all = self.bench.read().await?;
        let names = self.bench.config().channels.iter().map(|c| &c.name);
        let named: Vec<(&String, Reading)> = names.zip(all).collect();
        let of = |c: &ChannelInfo| named.iter().find(|(n, _)| **n == c.name).map(|(_, r)| *r);
        Ok(self.lanes.iter().filter_map(of).collect())
    }

    /// Keeps an axis between two positions, within what the bench allows.
    pub fn keep_within(&mut self, axis: Axis, (lower, upper): (f64, f64)) {
        if let Some(i) = self.info.index(axis) {
            let info = &mut self.info.axes[i];
            (info.lower, info.upper) = (info.lower.max(lower), info.upper.min(upper));
        }
    }

    /// The samples so far, in the order of time.
    pub fn into_trace(self) -> Vec<Sample> {
        self.trace
    }

    /// The samples so far.
    pub fn trace(&self) -> &[Sample] {
        &self.trace
    }

    fn targets(&self, position: &[f64]) -> Vec<(Axis, f64)> {
        self.info.axes.iter().map(|a| a.axis).zip(position.iter().copied()).collect()
    }

    fn row(&self, pose: Pose) -> Vec<f64> {
        self.info.axes.iter().map(|a| pose[a.axis]).collect()
    }

    fn keep(&mut self, samples: &[Sample]) -> Result<(), SearchError> {
        if self.trace.len() + samples.len() > SAMPLES_MAX {
            return Err(SearchError::Budget(SAMPLES_MAX));
        }
        if let Some(watch) = &mut self.watch {
            watch(&self.all, samples);
        }
        self.trace.extend_from_slice(samples);
        Ok(())
    }
}

/// How fast a bench reads, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// A reading.
    pub reading_s: f64,
    /// From one sample of a sweep to the next.
    pub sample_s: f64,
    /// What a reading integrates over.
    pub integration_s: f64,
}

/// What a bench file tells a search of its bench.
pub fn described(config: &BenchConfig, pace: Pace) -> ProbeInfo {
    let axis = |a: &AxisConfig| {
        let frame = config.frame_of(a.axis);
        let near = frame.near_velocity_um_s;
        let bound = if a.axis.is_lateral() { frame.near_lateral_um } else { f64::INFINITY };
        AxisInfo {
            axis: a.axis,
            lower: a.range.0.max(-bound),
            upper: a.range.1.min(bound),
            speed: if a.axis.is_angle() { a.velocity } else { a.velocity.min(near) },
            acceleration: a.acceleration,
            play: a.play,
            play_spread: PLAY_SPREAD,
            repeatability: a.repeatability,
        }
    };
    let signal = config.signal();
    let settle = config.axes.iter().map(|a| a.settle_s).fold(0.0, f64::max);
    // A move asks four to six times over the line, about as often as two readings do.
    let move_s = settle + 2.0 * pace.reading_s;
    ProbeInfo {
        axes: config.axes.iter().map(axis).collect(),
        channels: vec![ChannelInfo { name: signal.name.clone(), floor: signal.floor, relative_db: TECHNICAL_DB }],
        costs: Costs {
            move_s,
            reading_s: pace.reading_s,
            sweep_s: move_s,
            sample_s: pace.sample_s,
            lag_s: config.meters.get(&signal.meter).map_or(0.0, |m| m.lag_s),
            reading_min_s: pace.integration_s,
        },
        drift_um_s: DRIFT_UM_S,
        wander_db: WANDER_DB,
        curves: false,
    }
}

/// Brings a cost nearer to what it was this time; the first time replaces the guess.
fn learn(cost: &mut f64, timed: &mut f64, took: f64) {
    *timed = (*timed + 1.0).min(PACE);
    *cost += (took - *cost) / *timed;
}

#[async_trait(?Send)]
impl Probe for BenchProbe<'_> {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn now_s(&self) -> f64 {
        self.bench.clock().seconds()
    }

    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        let pose = self.bench.commanded().await?;
        Ok(self.row(pose))
    }

    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
        let (began, from) = (self.bench.clock().seconds(), self.position().await?);
        let targets = self.targets(position);
        self.bench.move_to(&targets).await?;
        let took = self.bench.clock().seconds() - began;
        let travel = self
            .info
            .axes
            .iter()
            .zip(from.iter().zip(position))
            .map(|(a, (from, to))| move_time((to - from).abs(), a.speed, a.acceleration))
            .fold(0.0, f64::max);
        if travel > 0.0 {
            learn(&mut self.info.costs.move_s, &mut self.timed[0], (took - travel).max(0.0));
        }
        Ok(())
    }

    async fn measure(&mut self) -> Result<Sample, SearchError> {
        let commanded = self.bench.commanded().await?;
        let began = self.bench.clock().seconds();
        let readings = self.readings().await?;
        let t_s = (began + self.bench.clock().seconds()) / 2.0;
        let actual = self.bench.pose().await?;
        let took = self.bench.clock().seconds() - began;
        learn(&mut self.info.costs.reading_s, &mut self.timed[1], took);
        let row = |pose: Pose| self.all.iter().map(|a| pose[*a]).collect();
        let sample = Sample { t_s, commanded: row(commanded), actual: row(actual), readings };
        self.keep(std::slice::from_ref(&sample))?;
        Ok(self.seen(Sample { commanded: self.row(commanded), actual: self.row(actual), ..sample }))
    }

    async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError> {
        let (from, targets) = (self.position().await?, self.targets(to));
        let samples = self.bench.sweep(&targets, speed).await?;
        self.keep(&samples)?;
        let seen = self.info.axes.iter().map(|a| self.all.iter().position(|b| *b == a.axis));
        let seen: Vec<usize> = seen.flatten().collect();
        // On its way an axis is where it reads back, not where it was sent.
        let part = |s: Sample| {
            let actual: Vec<f64> = seen.iter().map(|i| s.actual[*i]).collect();
            let commanded = (0..actual.len()).map(|i| if from[i] == to[i] { to[i] } else { actual[i] }).collect();
            Sample { commanded, actual, ..s }
        };
        Ok(samples.into_iter().map(part).collect())
    }

    fn routine_s(&self, routine: Routine) -> Option<f64> {
        let seconds = routine.predicted_s(self.bench.config());
        seconds.is_finite().then_some(seconds + ROUTINE_EXCHANGES * self.info.costs.reading_s)
    }

    async fn run_routine(&mut self, routine: Routine) -> Result<RoutineEnd, SearchError> {
        let began = self.bench.clock().seconds();
        let ran = self.bench.run_routine(routine).await?;
        // What the controller saw is scaled to what the meter reads where it ended.
        let here = self.readings().await?;
        let power = |share: f64| match here.first() {
            Some(Reading::Power(p)) => Reading::Power(units::Power::from_watts(p.watts() * share)),
            _ => Reading::UnderRange,
        };
        let row = |pose: Pose| self.all.iter().map(|a| pose[*a]).collect::<Vec<f64>>();
        let one = |(t, pose, share): &(f64, Pose, f64)| Sample {
            t_s: began + t,
            commanded: row(*pose),
            actual: row(*pose),
            readings: vec![power(*share)],
        };
        let samples: Vec<Sample> = ran.samples.iter().map(one).collect();
        self.keep(&samples)?;
        let below_max_db = 10.0 * ran.end_over_max.max(f64::MIN_POSITIVE).log10();
        Ok(RoutineEnd { success: ran.success, below_max_db })
    }

    async fn wait(&mut self, seconds: f64) {
        self.bench.clock().sleep(Duration::from_secs_f64(seconds.max(0.0))).await;
    }
}
