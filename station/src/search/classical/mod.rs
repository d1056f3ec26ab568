//! The classical methods, as references to be compared with: plain, without randomness, the same to the bit each time.
//!
//! They know a scale and a width for each axis and nothing of the optics; all maximise the logarithm of the power, in
//! which a single-mode peak is a parabola. Where the meter lags they wait before they read.

mod dither;
mod hill_climb;
mod nelder_mead;
mod parabola;
mod raster;
mod spiral;

use units::{Power, Reading};

pub use dither::dither;
pub use hill_climb::hill_climb;
pub use nelder_mead::nelder_mead;
pub use raster::{Centre, raster};
pub use spiral::spiral_hill;

use super::{Probe, SearchError, level_db};
use crate::event::Sample;

/// What is maximised where there are several channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Their mean power.
    Mean,
    /// The weakest of them.
    Weakest,
}

/// What a classical method is told. Lists are in the order of the probe's axes, um and degrees.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// A step that is worth taking along each axis.
    pub scale: Vec<f64>,
    /// Distance that loses 4.3 dB along each axis.
    pub width: Vec<f64>,
    /// How far from the start the peak may be along each axis.
    pub reach: Vec<f64>,
    /// What to maximise.
    pub aim: Aim,
}

/// Where a method ended; the stage stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Commanded position.
    pub position: Vec<f64>,
    /// Level that made the method end there, dB over one watt.
    pub level_db: f64,
    /// Readings taken, samples of sweeps among them.
    pub readings: usize,
}

/// Level of no light at all, dB over one watt.
const DARK_DB: f64 = -110.0;

/// A probe being searched by one of these methods.
struct Bench<'p> {
    probe: &'p mut dyn Probe,
    setup: &'p Setup,
    at: Vec<f64>,
    moved_s: f64,
    readings: usize,
}

impl<'p> Bench<'p> {
    async fn new(probe: &'p mut dyn Probe, setup: &'p Setup) -> Result<Bench<'p>, SearchError> {
        let at = probe.position().await?;
        Ok(Bench { probe, setup, at, moved_s: f64::NEG_INFINITY, readings: 0 })
    }

    fn dimensions(&self) -> usize {
        self.at.len()
    }

    fn level(&self, sample: &Sample) -> Result<f64, SearchError> {
        level(sample, self.setup.aim)
    }

    /// A position within the limits.
    fn within(&self, to: &[f64]) -> Vec<f64> {
        self.probe.info().axes.iter().zip(to).map(|(a, x)| x.clamp(a.lower, a.upper)).collect()
    }

    async fn go(&mut self, to: &[f64]) -> Result<(), SearchError> {
        let to = self.within(to);
        if to != self.at {
            self.probe.move_to(&to).await?;
            self.moved_s = self.probe.now_s();
            self.at = to;
        }
        Ok(())
    }

    /// Reads here; no sooner than a lagging meter shows this pose.
    async fn read(&mut self) -> Result<f64, SearchError> {
        let costs = self.probe.info().costs;
        let early = self.moved_s + costs.lag_s - costs.reading_min_s - self.probe.now_s();
        if costs.lag_s > 0.0 && early > 0.0 {
            self.probe.wait(early).await;
        }
        self.readings += 1;
        let sample = self.probe.measure().await?;
        self.level(&sample)
    }

    async fn read_at(&mut self, to: &[f64]) -> Result<f64, SearchError> {
        self.go(to).await?;
        self.read().await
    }

    /// Sweeps a path and gives the level at each of its points; a lagging meter's levels are one sample late, and the
    /// last point stays without.
    async fn sweep(&mut self, path: &[Vec<f64>], speed: f64) -> Result<Vec<(Vec<f64>, f64)>, SearchError> {
        let path: Vec<Vec<f64>> = path.iter().map(|p| self.within(p)).collect();
        let samples = self.probe.sweep_path(&path, speed, None).await?;
        self.readings += samples.len();
        self.moved_s = self.probe.now_s();
        if let Some(last) = path.last() {
            self.at.clone_from(last);
        }
        let late = usize::from(self.probe.info().costs.lag_s > 0.0);
        samples
            .iter()
            .zip(samples.iter().skip(late))
            .map(|(at, of)| Ok((at.commanded.clone(), self.level(of)?)))
            .collect()
    }

    fn ended(self, level_db: f64) -> Ended {
        Ended { position: self.at, level_db, readings: self.readings }
    }
}

/// What is maximised, dB over one watt.
fn level(sample: &Sample, aim: Aim) -> Result<f64, SearchError> {
    let mut sum = 0.0;
    let mut least = f64::INFINITY;
    for reading in &sample.readings {
        let watts = match reading {
            Reading::Power(p) => p.watts(),
            Reading::Saturated => return Err(SearchError::Saturated),
            Reading::UnderRange => 0.0,
        };
        sum += watts;
        least = least.min(watts);
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of channels")]
    let watts = match aim {
        Aim::Mean => sum / sample.readings.len().max(1) as f64,
        Aim::Weakest => least,
    };
    Ok(level_db(Power::from_watts(watts), Power::ZERO).max(DARK_DB))
}

/// Slowest best speed of a straight line that is begun and ended at rest: with length and acceleration, the one that
/// spends the least time on way and ramps together, um/s.
fn line_speed(length_um: f64, acceleration: f64, fastest: f64) -> f64 {
    (length_um * acceleration / 2.0).sqrt().min(fastest)
}

#[cfg(test)]
mod tests {
    use super::super::formula::Formula;
    use super::*;

    fn setup() -> Setup {
        Setup {
            scale: vec![4.6, 4.6, 20.0],
            width: vec![4.6, 4.6, 101.0],
            reach: vec![10.0, 10.0, 30.0],
            aim: Aim::Mean,
        }
    }

    fn probe() -> Formula {
        let mut probe = Formula::new([5.0, -4.0, 12.0], 0.1, 0.003);
        probe.info.curves = true;
        probe
    }

    fn run(name: &str, probe: &mut Formula) -> Ended {
        let setup = setup();
        let runtime = units::clock::virtual_runtime().unwrap();
        let ended = runtime.block_on(async {
            match name {
                "hill climb" => hill_climb(probe, &setup).await,
                "simplex" => nelder_mead(probe, &setup).await,
                "dither" => dither(probe, &setup).await,
                "fit" => raster(probe, &setup, Centre::Fit).await,
                "centroid" => raster(probe, &setup, Centre::Centroid).await,
                _ => spiral_hill(probe, &setup).await,
            }
        });
        ended.unwrap()
    }

    const ALL: [&str; 6] = ["hill climb", "simplex", "dither", "fit", "centroid", "spiral"];

    #[test]
    fn each_comes_near_the_peak_and_stands_where_it_says() {
        for name in ALL {
            let mut probe = probe();
            let ended = run(name, &mut probe);
            let left = probe.loss_db(&probe.actual);
            assert!(left < 0.3, "{name}: {left} dB left");
            assert_eq!(ended.position, probe.at, "{name}");
            assert_eq!(ended.readings, probe.readings, "{name}");
        }
    }

    #[test]
    fn each_does_the_same_again_to_the_bit() {
        for name in ALL {
            assert_eq!(run(name, &mut probe()), run(name, &mut probe()), "{name}");
        }
    }

    #[test]
    fn a_spiral_says_when_there_is_no_light() {
        let mut probe = probe();
        probe.light_db = f64::NEG_INFINITY;
        let runtime = units::clock::virtual_runtime().unwrap();
        let ended = runtime.block_on(spiral_hill(&mut probe, &setup()));
        assert!(matches!(ended, Err(SearchError::NoLight)), "{ended:?}");
    }

    #[test]
    fn the_weakest_channel_counts_where_it_is_the_aim() {
        let reading = |dbm| Reading::Power(Power::from_dbm(dbm));
        let sample =
            Sample { t_s: 0.0, commanded: vec![], actual: vec![], readings: vec![reading(0.0), reading(-20.0)] };
        assert!((level(&sample, Aim::Weakest).unwrap() + 50.0).abs() < 1e-9);
        assert!((level(&sample, Aim::Mean).unwrap() + 32.967).abs() < 1e-3);
        let blind = Sample { readings: vec![Reading::Saturated], ..sample };
        assert!(matches!(level(&blind, Aim::Mean), Err(SearchError::Saturated)));
    }
}
