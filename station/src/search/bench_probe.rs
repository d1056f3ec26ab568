//! A bench as a [`Probe`]: moves through the envelope, and keeps every sample for the trace.

use std::time::Duration;

use async_trait::async_trait;
use recipes::Axis;

use super::{AxisInfo, ChannelInfo, Costs, Probe, ProbeInfo, SearchError};
use crate::bench::{Bench, move_time};
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

/// Moves and readings that what they cost is averaged over: a bench keeps its pace.
const PACE: f64 = 8.0;

/// Longest trace kept in memory; a search that reads more has gone wrong.
const SAMPLES_MAX: usize = 200_000;

/// A bench being searched.
pub struct BenchProbe<'b> {
    bench: &'b mut Bench,
    info: ProbeInfo,
    trace: Vec<Sample>,
    /// Moves and readings timed so far.
    timed: [f64; 2],
    watch: Option<Watch<'b>>,
}

/// Is told every sample as it is taken, with the axes and channels of the probe.
type Watch<'b> = Box<dyn FnMut(&ProbeInfo, &[Sample]) + 'b>;

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
        let config = bench.config();
        let near = config.frame.near_velocity_um_s;
        let lateral = config.frame.near_lateral_um;
        let axes: Vec<AxisInfo> = config
            .axes
            .iter()
            .map(|a| {
                let bound = if matches!(a.axis, Axis::X | Axis::Y) { lateral } else { f64::INFINITY };
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
            })
            .collect();
        let signal = config.signal();
        let channels = vec![ChannelInfo { name: signal.name.clone(), floor: signal.floor, relative_db: TECHNICAL_DB }];
        let settle = config.axes.iter().map(|a| a.settle_s).fold(0.0, f64::max);
        // A move asks four to six times over the line, about as often as two readings do.
        let costs = Costs {
            move_s: settle + 2.0 * reading_s,
            reading_s,
            sweep_s: settle + 2.0 * reading_s,
            sample_s,
            lag_s: bench.config().meters.get(&bench.config().signal().meter).map_or(0.0, |m| m.lag_s),
            reading_min_s: bench.signal_integration_s(),
        };
        let info = ProbeInfo { axes, channels, costs, drift_um_s: DRIFT_UM_S, wander_db: WANDER_DB, curves: false };
        Ok(BenchProbe { info, bench, trace: Vec::new(), timed: [0.0; 2], watch: None })
    }

    /// Has every sample told as it is taken.
    pub fn watched(self, watch: impl FnMut(&ProbeInfo, &[Sample]) + 'b) -> Self {
        BenchProbe { watch: Some(Box::new(watch)), ..self }
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

    fn row(&self, pose: crate::bench::Pose) -> Vec<f64> {
        self.info.axes.iter().map(|a| pose[a.axis]).collect()
    }

    fn keep(&mut self, samples: &[Sample]) -> Result<(), SearchError> {
        if self.trace.len() + samples.len() > SAMPLES_MAX {
            return Err(SearchError::Budget(SAMPLES_MAX));
        }
        if let Some(watch) = &mut self.watch {
            watch(&self.info, samples);
        }
        self.trace.extend_from_slice(samples);
        Ok(())
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
        let commanded = self.position().await?;
        let began = self.bench.clock().seconds();
        let reading = self.bench.read_signal().await?;
        let t_s = (began + self.bench.clock().seconds()) / 2.0;
        let actual = self.bench.pose().await?;
        let took = self.bench.clock().seconds() - began;
        learn(&mut self.info.costs.reading_s, &mut self.timed[1], took);
        let sample = Sample { t_s, commanded, actual: self.row(actual), readings: vec![reading] };
        self.keep(std::slice::from_ref(&sample))?;
        Ok(sample)
    }

    async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError> {
        let targets = self.targets(to);
        let samples = self.bench.sweep(&targets, speed).await?;
        self.keep(&samples)?;
        Ok(samples)
    }

    async fn wait(&mut self, seconds: f64) {
        self.bench.clock().sleep(Duration::from_secs_f64(seconds.max(0.0))).await;
    }
}
