//! A sweep: one move with the meter read all along, each sample with its own time and position.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use drivers::motion::MotionController;
use futures_util::future::try_join_all;
use recipes::Axis;
use units::Reading;
use units::clock::Clock;

use super::frame::{Pose, to_optical, to_stage};
use super::{Bench, BenchError, envelope, stream};
use crate::config::BenchConfig;
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
        self.signal_through().await?;
        let streams = self.signal_streams();
        if streams {
            self.start_signal_stream().await?;
        }
        let from = self.stage_commanded().await?;
        let to = to_stage(&self.config, to_optical(&self.config, from).with(targets));
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
        let track = if streams {
            self.follow_streaming(&moving, to, limit).await?
        } else {
            self.follow(&moving, to, limit).await?
        };
        self.wait(&moving, limit).await?;
        self.commanded = Some(to);
        Ok(self.samples(&track, to))
    }

    /// One sample as a sweep takes them: the signal channel and the positions, asked for at once.
    ///
    /// # Errors
    /// Meter and controller errors.
    pub async fn sample(&mut self) -> Result<Sample, BenchError> {
        self.signal_through().await?;
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

    /// Starts the stream of the signal before the move: the meter's times are held against the clock's meanwhile.
    async fn start_signal_stream(&mut self) -> Result<(), BenchError> {
        let (meter, number) = (self.config.signal().meter.clone(), self.config.signal().number);
        let streamer = self.meters.get_mut(&meter).and_then(|m| m.streamer());
        Ok(streamer.ok_or(BenchError::NoChannel { meter, number })?.start_stream(number).await?)
    }

    /// As [`Bench::follow`], with readings from the meter's stream: positions are asked for as fast as they come, samples
    /// before the meter loses them.
    async fn follow_streaming(&mut self, moving: &[Axis], to: Pose, limit: Duration) -> Result<Track, BenchError> {
        let clock = self.clock.clone();
        let end = clock.now() + limit;
        let (meter, number) = (self.config.signal().meter.clone(), self.config.signal().number);
        let lacking = || BenchError::NoChannel { meter: meter.clone(), number };
        let streamer = self.meters.get_mut(&meter).and_then(|m| m.streamer()).ok_or_else(lacking)?;
        let config = &self.config;
        let controllers = &mut self.controllers;
        let done = Cell::new(false);
        let poses = async {
            let mut poses: Vec<(f64, Pose)> = Vec::new();
            let arrived = loop {
                let (at, pose) = match positions(config, controllers, &clock).await {
                    Ok(found) => found,
                    Err(e) => break Err(e),
                };
                poses.push((at, pose));
                let there = moving.iter().all(|a| (pose[*a] - to[*a]).abs() < END_WINDOW);
                if there || clock.now() >= end {
                    break Ok(());
                }
            };
            done.set(true);
            arrived.map(|()| poses)
        };
        let (poses, readings) = tokio::join!(biased; poses, stream::gather(streamer, number, &clock, &done));
        let mut track = Track { poses: poses?, ..Track::default() };
        track.readings = readings?.into_iter().map(|(at, reading)| (at, vec![reading])).collect();
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
        let positions = positions(&self.config, &mut self.controllers, &clock);
        let (reading, positions) = tokio::join!(biased; reading, positions);
        let (read_at, readings) = reading?;
        let (at, pose) = positions?;
        let signal = usize::try_from(number).ok().and_then(|n| readings.get(n - 1)).copied();
        let signal =
            signal.ok_or_else(|| BenchError::NoChannel { meter: self.config.signal().meter.clone(), number })?;
        track.readings.push((read_at, vec![signal]));
        track.poses.push((at, pose));
        Ok(pose)
    }

    fn samples(&self, track: &Track, to: Pose) -> Vec<Sample> {
        let row = |pose: Pose| -> Vec<f64> {
            let optical = to_optical(&self.config, pose);
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
}

/// The pose that all controllers tell, and when.
async fn positions(
    config: &BenchConfig,
    controllers: &mut BTreeMap<String, Box<dyn MotionController>>,
    clock: &Clock,
) -> Result<(f64, Pose), BenchError> {
    let positions = try_join_all(controllers.iter_mut().map(|(name, controller)| {
        let axes: Vec<_> = config.axes.iter().filter(|a| a.controller == *name).collect();
        async move {
            let channels: Vec<&str> = axes.iter().map(|a| a.channel.as_str()).collect();
            let began = clock.seconds();
            let found = controller.positions(&channels).await?;
            let at = (began + clock.seconds()) / 2.0;
            let found: Vec<(Axis, f64)> = axes.iter().zip(found).map(|(a, p)| (a.axis, a.to_logical(p))).collect();
            Ok::<_, BenchError>((at, found))
        }
    }))
    .await?;
    #[expect(clippy::cast_precision_loss, reason = "a handful of controllers")]
    let at = positions.iter().map(|(t, _)| t).sum::<f64>() / positions.len().max(1) as f64;
    Ok((at, positions.iter().fold(Pose::default(), |pose, (_, axes)| pose.with(axes))))
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
