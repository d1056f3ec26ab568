//! A sweep: one move with the meter read all along, each sample with its own time and position.

use std::time::Duration;

use futures_util::future::try_join_all;
use recipes::Axis;
use units::Reading;

use super::frame::{Pose, to_optical, to_stage};
use super::{Bench, BenchError, envelope};
use crate::config::Role;
use crate::event::Sample;

/// Slowest an axis is set to: controllers refuse zero.
const SLOWEST: f64 = 1.0;

/// Nearer to its end than this a sweep is asked whether it has ended.
const END_WINDOW: f64 = 0.5;

/// What a sweep gathered before samples are put together.
#[derive(Default)]
struct Track {
    readings: Vec<(f64, Vec<Reading>)>,
    poses: Vec<(f64, Pose)>,
}

impl Bench {
    /// Moves straight to an optical pose at `speed_um_s` while reading the signal channel; samples hold optical
    /// positions of all the bench's axes, in their order.
    ///
    /// # Errors
    /// As [`Bench::move_to`]; meter errors.
    pub async fn sweep(&mut self, targets: &[(Axis, f64)], speed_um_s: f64) -> Result<Vec<Sample>, BenchError> {
        let from = self.stage_commanded().await?;
        let to = to_stage(&self.config.frame, to_optical(&self.config.frame, from).with(targets));
        envelope::check(&self.config, from, to)?;
        let moving: Vec<Axis> = self.config.axes.iter().map(|a| a.axis).filter(|a| to[*a] != from[*a]).collect();
        let length = moving.iter().filter(|a| !a.is_angle()).map(|a| (to[*a] - from[*a]).powi(2)).sum::<f64>().sqrt();
        let speeds: Vec<(Axis, f64)> = moving
            .iter()
            .map(|a| {
                let share = if length > 0.0 { (to[*a] - from[*a]).abs() / length } else { 1.0 };
                (*a, (speed_um_s * share).clamp(SLOWEST, envelope::velocity(&self.config, *a, from, to)))
            })
            .collect();
        self.set_velocities(&speeds).await?;
        self.commanded = None;
        self.start(&moving, to).await?;
        let limit = self.predicted(&moving, from, to) * 2 + Duration::from_secs(5);
        let track = self.follow(&moving, to, limit).await?;
        self.wait(&moving, limit).await?;
        self.commanded = Some(to);
        Ok(self.samples(&track, to))
    }

    /// One sample as a sweep takes them: the signal channel and the positions, asked for at once.
    ///
    /// # Errors
    /// Meter and controller errors.
    pub async fn sample(&mut self) -> Result<Sample, BenchError> {
        let mut track = Track::default();
        let pose = self.look(&mut track).await?;
        let samples = self.samples(&track, pose);
        samples.into_iter().next().ok_or_else(|| BenchError::NoChannel {
            meter: self.config.signal().meter.clone(),
            number: self.config.signal().number,
        })
    }

    /// Reads meter and positions at once, over and over, until the axes are at their targets.
    async fn follow(&mut self, moving: &[Axis], to: Pose, limit: Duration) -> Result<Track, BenchError> {
        let mut track = Track::default();
        let end = self.clock.now() + limit;
        while self.clock.now() < end {
            let pose = self.look(&mut track).await?;
            if moving.iter().all(|a| (pose[*a] - to[*a]).abs() < END_WINDOW) {
                break;
            }
        }
        self.look(&mut track).await?;
        Ok(track)
    }

    /// One reading and one pose, asked for at the same time on their own lines.
    async fn look(&mut self, track: &mut Track) -> Result<Pose, BenchError> {
        let clock = self.clock.clone();
        let (meter, number) = (&self.config.signal().meter, self.config.signal().number);
        let meter = self.meters.get_mut(meter).ok_or_else(|| BenchError::NoChannel { meter: meter.clone(), number })?;
        let reading = async {
            let began = clock.seconds();
            let all = meter.read().await?;
            Ok::<_, BenchError>(((began + clock.seconds()) / 2.0, all))
        };
        let config = &self.config;
        let positions = try_join_all(self.controllers.iter_mut().map(|(name, controller)| {
            let axes: Vec<_> = config.axes.iter().filter(|a| a.controller == *name).collect();
            let clock = clock.clone();
            async move {
                let channels: Vec<&str> = axes.iter().map(|a| a.channel.as_str()).collect();
                let began = clock.seconds();
                let found = controller.positions(&channels).await?;
                let at = (began + clock.seconds()) / 2.0;
                let found: Vec<(Axis, f64)> = axes.iter().zip(found).map(|(a, p)| (a.axis, a.to_logical(p))).collect();
                Ok::<_, BenchError>((at, found))
            }
        }));
        let (reading, positions) = tokio::join!(biased; reading, positions);
        let (read_at, readings) = reading?;
        let positions = positions?;
        #[expect(clippy::cast_precision_loss, reason = "a handful of controllers")]
        let at = positions.iter().map(|(t, _)| t).sum::<f64>() / positions.len().max(1) as f64;
        let pose = positions.iter().fold(Pose::default(), |pose, (_, axes)| pose.with(axes));
        let signal = usize::try_from(number).ok().and_then(|n| readings.get(n - 1)).copied();
        let signal = signal.ok_or_else(|| BenchError::NoChannel { meter: config.signal().meter.clone(), number })?;
        track.readings.push((read_at, vec![signal]));
        track.poses.push((at, pose));
        Ok(pose)
    }

    fn samples(&self, track: &Track, to: Pose) -> Vec<Sample> {
        let frame = &self.config.frame;
        let row = |pose: Pose| -> Vec<f64> {
            let optical = to_optical(frame, pose);
            self.config.axes.iter().map(|a| optical[a.axis]).collect()
        };
        let commanded = row(to);
        track
            .readings
            .iter()
            .map(|(t, readings)| {
                let actual = interpolated(&track.poses, *t);
                Sample { t_s: *t, commanded: commanded.clone(), actual: row(actual), readings: readings.clone() }
            })
            .collect()
    }

    /// Reads every channel of the bench, all meters at once, in the order of the channels.
    ///
    /// # Errors
    /// Meter errors.
    pub async fn read(&mut self) -> Result<Vec<Reading>, BenchError> {
        let reads = self
            .meters
            .iter_mut()
            .map(|(name, meter)| async move { Ok::<_, BenchError>((name.clone(), meter.read().await?)) });
        let read: Vec<(String, Vec<Reading>)> = try_join_all(reads).await?;
        self.config
            .channels
            .iter()
            .map(|channel| {
                let of_meter = read.iter().find(|(name, _)| *name == channel.meter).map(|(_, r)| r);
                let index = usize::try_from(channel.number).ok().map(|n| n - 1);
                let reading = of_meter.zip(index).and_then(|(r, i)| r.get(i)).copied();
                reading.ok_or_else(|| BenchError::NoChannel { meter: channel.meter.clone(), number: channel.number })
            })
            .collect()
    }

    /// How long one reading of the signal meter integrates, seconds.
    pub fn signal_integration_s(&self) -> f64 {
        self.meters.get(&self.config.signal().meter).map_or(0.0, |m| m.integration().as_secs_f64())
    }

    /// Whether the bench file fixes the signal meter's range.
    pub fn signal_range_is_fixed(&self) -> bool {
        let meter = self.config.meters.get(&self.config.signal().meter);
        meter.is_some_and(|m| matches!(m.range, drivers::meter::Range::Upper(_)))
    }

    /// The upper end of the signal meter's range in use.
    ///
    /// # Errors
    /// Meter errors.
    pub async fn signal_range(&mut self) -> Result<units::Power, BenchError> {
        let (meter, number) = (self.config.signal().meter.clone(), self.config.signal().number);
        let found = self.meters.get_mut(&meter);
        Ok(found.ok_or(BenchError::NoChannel { meter, number })?.range().await?)
    }

    /// Reads the signal channel alone.
    ///
    /// # Errors
    /// Meter errors.
    pub async fn read_signal(&mut self) -> Result<Reading, BenchError> {
        let channel = self.config.channels.iter().find(|c| c.role == Role::Signal);
        let (meter, number) = channel.map(|c| (c.meter.clone(), c.number)).unwrap_or_default();
        let lacking = || BenchError::NoChannel { meter: meter.clone(), number };
        let readings = self.meters.get_mut(&meter).ok_or_else(lacking)?.read().await?;
        usize::try_from(number).ok().and_then(|n| readings.get(n - 1)).copied().ok_or_else(lacking)
    }
}

/// The pose at a time, straight between the two poses around it.
fn interpolated(poses: &[(f64, Pose)], t: f64) -> Pose {
    let after = poses.partition_point(|(at, _)| *at < t);
    let Some((t1, end)) = poses.get(after) else { return poses.last().map_or_else(Pose::default, |(_, p)| *p) };
    let Some((t0, begin)) = after.checked_sub(1).and_then(|i| poses.get(i)) else { return *end };
    let share = if t1 > t0 { (t - t0) / (t1 - t0) } else { 1.0 };
    let mut pose = *begin;
    for axis in Axis::ALL {
        pose[axis] += share * (end[axis] - begin[axis]);
    }
    pose
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_between_two_poses_lie_between_them_and_beyond_them_at_the_ends() {
        let at = |x: f64| Pose::default().with(&[(Axis::X, x)]);
        let poses = [(1.0, at(0.0)), (2.0, at(10.0)), (3.0, at(30.0))];
        for (t, x) in [(0.5, 0.0), (1.25, 2.5), (2.5, 20.0), (9.0, 30.0)] {
            assert!((interpolated(&poses, t)[Axis::X] - x).abs() < 1e-12, "at {t}");
        }
    }
}
