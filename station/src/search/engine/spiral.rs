//! First light: one continuous spiral at the speed that acceleration allows, until a sample rises above the noise. Its
//! samples are kept as readings for the fit.

use std::f64::consts::FRAC_1_SQRT_2;

use units::Power;

use super::fit::Seen;
use super::model::Pose;
use super::{Engine, levels};
use crate::search::{SearchError, Stop};

/// A sample above this many standard deviations of the noise is light: one false alarm in 10^8 samples.
const SIGMAS: f64 = 5.5;

/// Share of the acceleration spent on the curve, and on speeding up along it.
const CURVE: f64 = 0.97;
const ALONG: f64 = 0.24;

/// Speeds tried, as the share of the search radius at which the curve alone needs all the acceleration.
const SPEEDS: [f64; 5] = [0.25, 0.4, 0.6, 0.8, 1.0];

/// Samples lie up to this many reaches apart once the speed is reached: each takes its time to be read out.
const APART: f64 = 0.2;

/// A sweep goes on for up to this many reaches once it has seen light: on which side of the path the peak lies is told by
/// how the light rises and falls along it.
const PAST: f64 = 1.5;

/// Samples of a sweep that go into the fit, at most.
const KEPT: usize = 24;

/// Spirals before there is said to be no light; the turns of each are half as far apart as those before.
const SPIRALS: usize = 3;

impl Engine<'_> {
    /// Power at which a sample is light, mW.
    fn threshold_mw(&self) -> f64 {
        SIGMAS * self.data.noise.floor_mw
    }

    /// Power that is light beyond doubt, dBm.
    pub(super) fn clear_dbm(&self) -> f64 {
        10.0 * self.threshold_mw().log10() + 6.0
    }

    /// Distance across the light from which the peak is seen, um, if it is as dim as it may be.
    fn reach_um(&self) -> f64 {
        let dimmest = self.setup.level_dbm - 1.5 * self.setup.level_sd_db;
        let depth = dimmest - 10.0 * self.threshold_mw().log10();
        self.setup.width[0] * (depth.max(4.0) / 4.343).sqrt()
    }

    /// Sweeps outward from here until there is light; whether there is.
    pub(super) async fn find(&mut self, radius_um: f64) -> Result<bool, SearchError> {
        let centre = self.command;
        let mut share = 1.0;
        for _ in 0..SPIRALS {
            if self.sweep_out(&centre, radius_um, share).await? {
                return Ok(true);
            }
            share /= 2.0;
        }
        Ok(false)
    }

    async fn sweep_out(&mut self, centre: &Pose, radius_um: f64, share: f64) -> Result<bool, SearchError> {
        let info = self.probe.info().clone();
        let axes = [0, 1].map(|k| self.index[k].expect("searched axes are there"));
        let acceleration = axes.iter().map(|i| info.axes[*i].acceleration).fold(f64::INFINITY, f64::min);
        let limit = axes.iter().map(|i| info.axes[*i].speed).fold(f64::INFINITY, f64::min);
        let reach = self.reach_um();
        // Faster sweeps need narrower turns, because samples lie farther apart: of a few the soonest done is taken.
        let sample_s = info.costs.sample_s;
        let plans = SPEEDS.map(|part| {
            let speed = limit.min((CURVE * acceleration * radius_um * part).sqrt()).min(1.5 * reach / sample_s);
            let spacing = speed * sample_s * (APART * reach / (speed * sample_s)).floor().max(1.0);
            let half = spacing / 2.0;
            let pitch = share * 2.0 * (reach * reach - half * half).max(0.04 * reach * reach).sqrt();
            let path = points(pitch, radius_um, speed, acceleration, sample_s, spacing);
            // Half of all parts are found within half the area; speeding up and stopping take their time, too.
            let inner = path.windows(2).take_while(|p| p[0].0.hypot(p[0].1) < radius_um * FRAC_1_SQRT_2);
            let seconds = |p: &[(f64, f64)]| sample_s.max((p[1].0 - p[0].0).hypot(p[1].1 - p[0].1) / speed);
            (inner.map(seconds).sum::<f64>() + 2.0 * speed / acceleration, path, speed, spacing)
        });
        let (_, path, speed, spacing) = plans.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("some speeds");
        let start = self.probe.position().await?;
        let commands: Vec<Vec<f64>> = path
            .iter()
            .map(|(x, y)| {
                let mut to = start.clone();
                for (i, value) in axes.iter().zip([centre[0] + x, centre[1] + y]) {
                    to[*i] = value.clamp(info.axes[*i].lower, info.axes[*i].upper);
                }
                to
            })
            .collect();
        let threshold_dbm = 10.0 * self.threshold_mw().log10();
        // Where the meter is one sample late, a sample belongs to the place of the one before.
        let late = usize::from(info.costs.lag_s > 0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few samples")]
        let every = ((PAST * reach / spacing).round() as usize).saturating_sub(late).max(1);
        let stop = Stop { above: Power::from_dbm(threshold_dbm), every };
        let samples = self.probe.sweep_path(&commands, speed, Some(stop)).await?;
        self.moved_s = self.probe.now_s();
        self.readings += samples.len();
        let mut poses: Vec<Pose> = Vec::with_capacity(samples.len());
        for s in &samples {
            let mut pose = self.command;
            for (k, value) in pose.iter_mut().enumerate() {
                if let Some(i) = self.index[k] {
                    *value = s.actual[i];
                }
            }
            poses.push(pose);
        }
        let shown: Vec<Vec<f64>> = samples.iter().map(levels).collect::<Result<_, _>>()?;
        let bright = |i: usize| self.value(&shown[i]) > threshold_dbm;
        let found = (0..samples.len()).any(bright);
        let last = poses.last().copied().unwrap_or(*centre);
        let brightest = (late..samples.len()).max_by(|a, b| self.value(&shown[*a]).total_cmp(&self.value(&shown[*b])));
        let there = brightest.map_or(last, |i| poses[i - late]);
        let near = |pose: &Pose| (pose[0] - there[0]).hypot(pose[1] - there[1]) < 2.2 * reach;
        let mut chosen: Vec<usize> = (late..samples.len()).filter(|i| near(&poses[*i - late])).collect();
        let stride = chosen.len().div_ceil(KEPT).max(1);
        chosen =
            chosen.into_iter().enumerate().filter(|(n, i)| n % stride == 0 || bright(*i)).map(|(_, i)| i).collect();
        // What a late meter saw before it moved.
        let before = late > 0 && !samples.is_empty() && bright(0);
        let mut seen: Vec<Seen> = Vec::new();
        let mut see = |commands: usize, at: usize, of: usize| {
            let dbm = shown[of].clone();
            seen.push(Seen { commands, t_s: samples[at].t_s - self.began_s, bent: vec![0.0; dbm.len()], dbm });
        };
        if before {
            see(self.data.history.len(), 0, 0);
        }
        for (i, pose) in poses.iter().enumerate() {
            self.data.history.push(*pose);
            if found && chosen.contains(&(i + late)) {
                see(self.data.history.len(), i, i + late);
            }
        }
        self.data.seen.extend(seen);
        self.command = last;
        Ok(found)
    }
}

/// Points of an Archimedean spiral from its middle at the speed that acceleration allows: one sample time apart, and by the
/// spacing (um) once the speed is reached.
fn points(pitch: f64, radius: f64, speed: f64, acceleration: f64, sample_s: f64, spacing: f64) -> Vec<(f64, f64)> {
    let b = pitch / std::f64::consts::TAU;
    let (mut turn, mut v) = (0.0f64, 0.0f64);
    let mut list = vec![(0.0, 0.0)];
    while b * turn < radius + pitch / 2.0 {
        let bend = b * (1.0 + turn * turn).powf(1.5) / (2.0 + turn * turn);
        let allowed = speed.min((CURVE * acceleration * bend).sqrt());
        v = if v == 0.0 { allowed } else { allowed.min(v + ALONG * acceleration * sample_s) };
        let step = if v == speed { spacing } else { v * sample_s };
        turn += step / (b * (1.0 + turn * turn).sqrt());
        list.push((b * turn * turn.cos(), b * turn * turn.sin()));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spiral_stays_within_speed_and_acceleration_and_covers_the_radius() {
        let (speed, acceleration) = (1500.0, 50_000.0);
        for (sample_s, spacing) in [(0.001, 1.5), (0.001, 4.5), (0.01, 15.0)] {
            let path = points(32.0, 100.0, speed, acceleration, sample_s, spacing);
            let way = |p: &[(f64, f64)]| (p[1].0 - p[0].0).hypot(p[1].1 - p[0].1);
            let seconds = |p: &[(f64, f64)]| sample_s.max(way(p) / speed);
            let v: Vec<(f64, f64, f64)> = path
                .windows(2)
                .map(|p| ((p[1].0 - p[0].0) / seconds(p), (p[1].1 - p[0].1) / seconds(p), seconds(p)))
                .collect();
            for (i, w) in v.windows(2).enumerate() {
                let change = (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1);
                assert!(change <= 1.05 * acceleration * f64::midpoint(w[0].2, w[1].2), "{i}: {change}");
            }
            let widest = path.windows(2).map(way).fold(0.0, f64::max);
            assert!(widest > 0.95 * spacing && widest < 1.05 * spacing, "{widest}");
            let end = path.last().unwrap();
            assert!(end.0.hypot(end.1) > 100.0);
        }
    }
}
