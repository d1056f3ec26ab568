//! Alignment searches: plain async functions over a small trait. They know no stage, meter or recipe.

mod bench_probe;
pub mod classical;
pub mod controller;
pub mod engine;
pub mod first_light;
pub mod peak;

use async_trait::async_trait;
use recipes::Axis;
use units::{Power, Reading};

pub use bench_probe::{BenchProbe, Pace, described};

use crate::bench::{BenchError, Routine};
use crate::event::Sample;

/// One axis a search may move.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisInfo {
    /// The logical axis; um or degrees.
    pub axis: Axis,
    /// Lowest position.
    pub lower: f64,
    /// Highest position.
    pub upper: f64,
    /// Fastest speed, a second.
    pub speed: f64,
    /// Acceleration, a second squared.
    pub acceleration: f64,
    /// Play (lost motion), full width, as known.
    pub play: f64,
    /// How far the play itself may be off, relative, one standard deviation.
    pub play_spread: f64,
    /// Repeatability, one standard deviation.
    pub repeatability: f64,
}

/// One channel a search sees.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelInfo {
    /// Bench name.
    pub name: String,
    /// Additive noise of one reading, one standard deviation.
    pub floor: Power,
    /// Relative noise of one reading, dB, one standard deviation.
    pub relative_db: f64,
}

/// What things cost, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// A move, beside its own motion: exchanges and settling.
    pub move_s: f64,
    /// A reading.
    pub reading_s: f64,
    /// A sweep, beside its own motion.
    pub sweep_s: f64,
    /// From one sample of a sweep to the next.
    pub sample_s: f64,
    /// The least that passes from asking for a reading until it is integrated.
    pub reading_min_s: f64,
    /// A reading taken sooner than this after a motion shows what the reading before it saw; 0 where none does.
    pub lag_s: f64,
}

/// What a probe says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeInfo {
    /// Axes, in the order of every position it takes or gives.
    pub axes: Vec<AxisInfo>,
    /// Channels, in the order of every sample's readings.
    pub channels: Vec<ChannelInfo>,
    /// Costs.
    pub costs: Costs,
    /// Speed at which the part may drift across the light, um a second, as known.
    pub drift_um_s: f64,
    /// How far the source's power may wander while a search lasts, dB.
    pub wander_db: f64,
    /// Whether a sweep follows a path of many points as a curve, without stopping at each.
    pub curves: bool,
}

impl ProbeInfo {
    /// Index of an axis among positions.
    pub fn index(&self, axis: Axis) -> Option<usize> {
        self.axes.iter().position(|a| a.axis == axis)
    }
}

/// What can end a search early.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The bench.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The probe lacks an axis the search needs.
    #[error("the search needs axis {0}, which the bench lacks")]
    NoAxis(Axis),
    /// The meter says there is more light than its range holds.
    #[error("the signal meter is saturated: its range is too small for this light")]
    Saturated,
    /// Nothing above the noise where the search looked.
    #[error("no light found within the search area")]
    NoLight,
    /// More readings than the search is allowed.
    #[error("no end after {0} readings")]
    Budget(usize),
    /// The axes cannot follow a path's curves and corners.
    #[error("the axes cannot follow this path at {speed} um/s")]
    TooFast {
        /// Speed asked for, um/s.
        speed: f64,
    },
}

/// When a sweep may end before its path does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// Once a sample's first channel exceeds this.
    pub above: Power,
    /// Samples are looked at so many at a time.
    pub every: usize,
}

/// Where a search moves and measures: a bench, a benchmark's scene or a test's formula.
///
/// Positions are in the order of [`ProbeInfo::axes`], um or degrees, in the optical frame.
#[async_trait(?Send)]
pub trait Probe {
    /// Axes, limits, speeds, play, channels, noise and costs.
    fn info(&self) -> &ProbeInfo;

    /// Seconds on the clock of the samples.
    fn now_s(&self) -> f64;

    /// The commanded position.
    async fn position(&mut self) -> Result<Vec<f64>, SearchError>;

    /// Moves there and returns once arrived and settled; no motion where it stands there already.
    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError>;

    /// Measures here.
    async fn measure(&mut self) -> Result<Sample, SearchError>;

    /// Moves straight from here to there at a speed (um/s), measuring all along; every sample has its own time and
    /// actual position. Slower than asked where the axes cannot go so fast.
    async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError>;

    /// Moves to the path's first point, then along it at a speed (um/s), measuring all along; it may end early where it is
    /// told to. A probe without curves goes along it in as few straight chords as keep to it, and stops between them.
    async fn sweep_path(
        &mut self,
        path: &[Vec<f64>],
        speed: f64,
        stop: Option<Stop>,
    ) -> Result<Vec<Sample>, SearchError> {
        let Some(first) = path.first() else { return Ok(Vec::new()) };
        self.move_to(first).await?;
        // No faster than a sample a point, nor than a meter that lags can follow.
        let costs = self.info().costs;
        let speed = speed.min(spacing(path) / costs.sample_s.max(costs.lag_s));
        let mut samples = Vec::new();
        for to in chords(path) {
            samples.extend(self.sweep(&path[to], speed).await?);
            if stop.is_some_and(|stop| {
                samples.iter().any(|s| matches!(s.readings.first(), Some(Reading::Power(p)) if *p > stop.above))
            }) {
                break;
            }
        }
        Ok(samples)
    }

    /// How long a controller's own routine would take here, seconds; `None` where there is no such controller.
    fn routine_s(&self, _routine: Routine) -> Option<f64> {
        None
    }

    /// Has the controller run a routine around here. It is where the axes stand afterwards; its samples are the probe's to keep.
    ///
    /// # Errors
    /// The bench's refusals; [`BenchError::NoRoutine`].
    async fn run_routine(&mut self, _routine: Routine) -> Result<RoutineEnd, SearchError> {
        Err(BenchError::NoRoutine.into())
    }

    /// Lets time pass without moving or measuring.
    async fn wait(&mut self, seconds: f64);
}

/// A chord is so near to every point of the path that it stands for, in mean distances of points.
const NEAR_CHORD: f64 = 0.05;

/// Mean distance of a path's neighbouring points.
fn spacing(path: &[Vec<f64>]) -> f64 {
    let length: f64 = path.windows(2).map(|p| distance(&p[0], &p[1])).sum();
    #[expect(clippy::cast_precision_loss, reason = "a path's points")]
    let legs = path.len().saturating_sub(1).max(1) as f64;
    length / legs
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Ends of the fewest straight chords, each as long as it may be, that keep to a path.
fn chords(path: &[Vec<f64>]) -> Vec<usize> {
    let near = NEAR_CHORD * spacing(path);
    let keeps = |from: usize, to: usize| path[from..to].iter().all(|p| off_chord(p, &path[from], &path[to]) <= near);
    let mut ends = Vec::new();
    let mut from = 0;
    while from + 1 < path.len() {
        let to = (from + 2..path.len()).take_while(|to| keeps(from, *to)).last().unwrap_or(from + 1);
        ends.push(to);
        from = to;
    }
    ends
}

/// Distance of a point from a straight chord.
fn off_chord(point: &[f64], from: &[f64], to: &[f64]) -> f64 {
    let length = distance(from, to);
    let along: f64 = from.iter().zip(to).zip(point).map(|((a, b), p)| (b - a) * (p - a)).sum();
    let share = if length > 0.0 { (along / (length * length)).clamp(0.0, 1.0) } else { 0.0 };
    let foot: Vec<f64> = from.iter().zip(to).map(|(a, b)| a + share * (b - a)).collect();
    distance(point, &foot)
}

/// How a controller's own routine ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoutineEnd {
    /// By the controller's word it succeeded.
    pub success: bool,
    /// What the controller sees at the end over the most it saw, dB.
    pub below_max_db: f64,
}

/// The power of a sample's first channel; an under-range reading counts as none.
///
/// # Errors
/// [`SearchError::Saturated`].
pub fn signal(sample: &Sample) -> Result<Power, SearchError> {
    match sample.readings.first() {
        Some(Reading::Power(p)) => Ok(*p),
        Some(Reading::Saturated) => Err(SearchError::Saturated),
        Some(Reading::UnderRange) | None => Ok(Power::ZERO),
    }
}

/// 10 log10 of a power over one watt, no lower than the floor given.
fn level_db(power: Power, floor: Power) -> f64 {
    10.0 * power.watts().max(floor.watts()).max(f64::MIN_POSITIVE).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_path_is_one_chord_and_its_corners_are_kept() {
        let line: Vec<Vec<f64>> = (0..9).map(|k| vec![f64::from(k), 2.0]).collect();
        assert_eq!(chords(&line), [8]);
        let mut bent = line.clone();
        bent.extend((1..5).map(|k| vec![8.0, 2.0 + f64::from(k)]));
        assert_eq!(chords(&bent), [8, 12]);
        let mut back = line.clone();
        back.extend(line.iter().rev().skip(1).cloned());
        assert_eq!(chords(&back), [8, 16], "to and fro are two");
        assert_eq!((chords(&line[..1]), chords(&line[..2])), (vec![], vec![1]));
    }

    #[test]
    fn a_spiral_is_a_polygon_of_few_chords_near_to_every_point() {
        let turn = |k: u32| 0.02 * f64::from(k);
        let path: Vec<Vec<f64>> = (100..2000).map(|k| vec![turn(k) * turn(k).cos(), turn(k) * turn(k).sin()]).collect();
        let ends = chords(&path);
        assert!(ends.len() < path.len() / 3, "{} chords", ends.len());
        let mut from = 0;
        for to in ends {
            assert!(path[from..to].iter().all(|p| off_chord(p, &path[from], &path[to]) <= 0.05 * spacing(&path)));
            from = to;
        }
    }
}

#[cfg(test)]
pub(crate) mod formula {
    //! A probe that is a formula: a Gaussian mode with play, for tests.

    use super::*;

    /// Noise that is a function of the reading's number alone.
    fn noise(n: usize) -> f64 {
        let mut z = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z >> 11) as f64 / (1u64 << 52) as f64) - 1.0
    }

    /// A peak of 1 mW at `peak`, mode radius 4.6 um, Rayleigh length 50.7 um; with a second end, one more there.
    pub(crate) struct Formula {
        pub(crate) info: ProbeInfo,
        pub(crate) peak: [f64; 3],
        pub(crate) second: Option<[f64; 3]>,
        pub(crate) at: Vec<f64>,
        pub(crate) actual: Vec<f64>,
        pub(crate) readings: usize,
        pub(crate) noise_db: f64,
        pub(crate) dark_w: f64,
        pub(crate) light_db: f64,
    }

    impl Formula {
        pub(crate) fn new(peak: [f64; 3], play: f64, noise_db: f64) -> Self {
            let axis = |axis| AxisInfo {
                axis,
                lower: -400.0,
                upper: 400.0,
                speed: 5000.0,
                acceleration: 50_000.0,
                play,
                play_spread: 0.1,
                repeatability: 0.0,
            };
            let channels =
                vec![ChannelInfo { name: "signal".into(), floor: Power::from_dbm(-70.0), relative_db: noise_db }];
            let costs = Costs {
                move_s: 0.02,
                reading_s: 0.004,
                sweep_s: 0.02,
                sample_s: 0.004,
                reading_min_s: 0.004,
                lag_s: 0.0,
            };
            let info = ProbeInfo {
                axes: vec![axis(Axis::X), axis(Axis::Y), axis(Axis::Z)],
                channels,
                costs,
                drift_um_s: 0.0,
                wander_db: 0.0,
                curves: false,
            };
            Formula {
                info,
                peak,
                second: None,
                at: vec![0.0; 3],
                actual: vec![play / 2.0; 3],
                readings: 0,
                noise_db,
                dark_w: 1e-11,
                light_db: 0.0,
            }
        }

        /// Light that passes through two ends.
        pub(crate) fn through(peak: [f64; 3], second: [f64; 3], play: f64, noise_db: f64) -> Self {
            let mut formula = Formula::new(peak, play, noise_db);
            let like = formula.info.axes[0].clone();
            formula.info.axes.extend([Axis::X2, Axis::Y2, Axis::Z2].map(|axis| AxisInfo { axis, ..like.clone() }));
            let (at, actual) = (vec![0.0; 6], vec![play / 2.0; 6]);
            Formula { second: Some(second), at, actual, ..formula }
        }

        pub(crate) fn loss_db(&self, at: &[f64]) -> f64 {
            let (w, zr) = (4.6f64, 50.7f64);
            let end = |at: &[f64], peak: [f64; 3]| {
                let kappa = 1.0 / (1.0 + ((at[2] - peak[2]) / (2.0 * zr)).powi(2));
                let d2 = (at[0] - peak[0]).powi(2) + (at[1] - peak[1]).powi(2);
                4.342_944_8 * (kappa * d2 / (w * w) - kappa.ln())
            };
            end(at, self.peak) + self.second.map_or(0.0, |peak| end(&at[3..], peak))
        }

        fn go(&mut self, to: &[f64]) {
            for (i, target) in to.iter().enumerate() {
                let half = self.info.axes[i].play / 2.0;
                self.actual[i] = self.actual[i].clamp(target - half, target + half);
                self.at[i] = *target;
            }
        }

        fn read(&mut self) -> Sample {
            self.readings += 1;
            let light = 1e-3 * 10f64.powf(self.light_db / 10.0);
            let power = light * 10f64.powf((-self.loss_db(&self.actual) + self.noise_db * noise(self.readings)) / 10.0);
            let dark = self.dark_w * (1.0 + 0.3 * noise(self.readings + 1_000_000));
            Sample {
                t_s: self.readings as f64 * 0.004,
                commanded: self.at.clone(),
                actual: self.actual.clone(),
                readings: vec![Reading::Power(Power::from_watts(power + dark))],
            }
        }
    }

    #[async_trait(?Send)]
    impl Probe for Formula {
        fn info(&self) -> &ProbeInfo {
            &self.info
        }
        fn now_s(&self) -> f64 {
            self.readings as f64 * 0.004
        }
        async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
            Ok(self.at.clone())
        }
        async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
            self.go(position);
            Ok(())
        }
        async fn measure(&mut self) -> Result<Sample, SearchError> {
            Ok(self.read())
        }
        async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError> {
            let from = self.at.clone();
            let length = from.iter().zip(to).map(|(a, b)| (b - a).powi(2)).sum::<f64>().sqrt();
            let steps = (length / (speed * self.info.costs.reading_s)).ceil().max(1.0) as usize;
            let mut samples = Vec::new();
            for k in 0..=steps {
                let share = k as f64 / steps as f64;
                let at: Vec<f64> = from.iter().zip(to).map(|(a, b)| a + share * (b - a)).collect();
                self.go(&at);
                samples.push(self.read());
            }
            Ok(samples)
        }
        async fn wait(&mut self, _: f64) {}
    }
}
