//! Moves: through the envelope, awaited until the controller says they ended, and checked by reading back.

use std::collections::BTreeMap;
use std::time::Duration;

use recipes::Axis;

use super::frame::{Pose, to_optical, to_stage};
use super::{Bench, BenchError, envelope};
use crate::config::{AxisConfig, Frame};

/// Moves shorter than this are none: below any stage's step.
const NO_MOVE: f64 = 1e-4;

/// Beyond its predicted time a move gets this long: controllers settle, poll and wait for servo loops.
const MOVE_GRACE: Duration = Duration::from_secs(5);

impl Bench {
    /// Moves optical axes to targets, all at once, and waits until they have arrived and settled.
    ///
    /// # Errors
    /// Envelope refusals before a byte is sent; controller errors; `Elsewhere` when the read-back disagrees.
    pub async fn move_to(&mut self, targets: &[(Axis, f64)]) -> Result<(), BenchError> {
        for (axis, _) in targets {
            self.config.axis(*axis).ok_or(BenchError::NoAxis { axis: *axis })?;
        }
        let from = self.stage_commanded().await?;
        let to = to_stage(&self.config, to_optical(&self.config, from).with(targets));
        self.move_stage(from, to).await
    }

    /// Moves optical axes across the light first where the way leads towards contact, and last where it leads away.
    ///
    /// # Errors
    /// As [`Bench::move_to`].
    pub async fn approach(&mut self, targets: &[(Axis, f64)]) -> Result<(), BenchError> {
        let (along, across): (Vec<_>, Vec<_>) =
            targets.iter().partition(|(axis, _)| matches!(axis, Axis::Z | Axis::Z2));
        let now = self.pose().await?;
        let away = |(axis, z): &(Axis, f64)| (z - now[*axis]) * self.config.frame_of(*axis).contact < 0.0;
        let (away, towards): (Vec<_>, Vec<_>) = along.into_iter().partition(away);
        for targets in [away, across, towards] {
            self.move_to(&targets).await?;
        }
        Ok(())
    }

    /// Moves the stage axes one after the other to the park pose. The optical axes must be at clearance already.
    ///
    /// # Errors
    /// As [`Bench::move_to`].
    pub async fn park(&mut self) -> Result<(), BenchError> {
        for axis in self.config.park_order.clone() {
            let Some((_, at)) = self.config.park.iter().find(|(a, _)| *a == axis).copied() else { continue };
            let from = self.stage_commanded().await?;
            self.move_stage(from, from.with(&[(axis, at)])).await?;
        }
        Ok(())
    }

    pub(super) async fn move_stage(&mut self, from: Pose, to: Pose) -> Result<(), BenchError> {
        envelope::check(&self.config, from, to)?;
        let moving: Vec<Axis> =
            self.config.axes.iter().map(|a| a.axis).filter(|a| (to[*a] - from[*a]).abs() > NO_MOVE).collect();
        if moving.is_empty() {
            return Ok(());
        }
        let speeds: Vec<(Axis, f64)> =
            moving.iter().map(|a| (*a, envelope::velocity(&self.config, *a, from, to))).collect();
        self.set_velocities(&speeds).await?;
        self.commanded = None;
        self.start(&moving, to).await?;
        let limit = self.predicted(&moving, from, to) * 2 + MOVE_GRACE;
        self.wait(&moving, limit).await?;
        let settle = moving.iter().filter_map(|a| self.config.axis(*a)).map(|a| a.settle_s).fold(0.0, f64::max);
        self.clock.sleep(Duration::from_secs_f64(settle)).await;
        let arrived = self.stage_pose().await?;
        for axis in moving.iter().filter_map(|a| self.config.axis(*a)) {
            check_arrival(axis, to[axis.axis], arrived[axis.axis])?;
        }
        self.commanded = Some(to);
        Ok(())
    }

    /// Sets velocities that are not set yet.
    pub(super) async fn set_velocities(&mut self, speeds: &[(Axis, f64)]) -> Result<(), BenchError> {
        let mut wanted: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
        for (axis, speed) in speeds {
            let Some(setup) = self.config.axis(*axis) else { continue };
            if self.velocities.get(axis) != Some(speed) {
                wanted.entry(&setup.controller).or_default().push((&setup.channel, speed * setup.scale));
            }
        }
        for (controller, velocities) in wanted {
            if let Some(controller) = self.controllers.get_mut(controller) {
                controller.set_velocity(&velocities).await?;
            }
        }
        self.velocities.extend(speeds.iter().copied());
        Ok(())
    }

    /// Starts a move of stage axes, one command a controller.
    pub(super) async fn start(&mut self, moving: &[Axis], to: Pose) -> Result<(), BenchError> {
        for (name, controller) in &mut self.controllers {
            let targets: Vec<(&str, f64)> = self
                .config
                .axes
                .iter()
                .filter(|a| a.controller == *name && moving.contains(&a.axis))
                .map(|a| (a.channel.as_str(), a.to_controller(to[a.axis])))
                .collect();
            if !targets.is_empty() {
                controller.start_move(&targets).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn wait(&mut self, moving: &[Axis], limit: Duration) -> Result<(), BenchError> {
        for (name, controller) in &mut self.controllers {
            let channels: Vec<&str> = self
                .config
                .axes
                .iter()
                .filter(|a| a.controller == *name && moving.contains(&a.axis))
                .map(|a| a.channel.as_str())
                .collect();
            if !channels.is_empty() {
                controller.wait_on_target(&channels, limit).await?;
            }
        }
        Ok(())
    }

    /// Longest predicted time of a move of stage axes at the velocities set.
    pub(super) fn predicted(&self, moving: &[Axis], from: Pose, to: Pose) -> Duration {
        let times = moving.iter().filter_map(|axis| {
            let setup = self.config.axis(*axis)?;
            let velocity = self.velocities.get(axis).copied().unwrap_or(setup.velocity);
            Some(move_time((to[*axis] - from[*axis]).abs(), velocity, setup.acceleration) + setup.settle_s)
        });
        Duration::from_secs_f64(times.fold(0.0, f64::max))
    }

    /// The stage pose last commanded, or the one read where that is in doubt.
    pub(super) async fn stage_commanded(&mut self) -> Result<Pose, BenchError> {
        if let Some(pose) = self.commanded {
            return Ok(pose);
        }
        for (axis, referenced) in self.referenced().await? {
            if !referenced {
                return Err(BenchError::NotReferenced { axis });
            }
        }
        let pose = self.stage_pose().await?;
        self.commanded = Some(pose);
        Ok(pose)
    }

    /// The actual optical pose.
    ///
    /// # Errors
    /// Controller errors.
    pub async fn pose(&mut self) -> Result<Pose, BenchError> {
        let stage = self.stage_pose().await?;
        Ok(to_optical(&self.config, stage))
    }

    /// The optical pose last commanded.
    ///
    /// # Errors
    /// Controller errors; `NotReferenced`.
    pub async fn commanded(&mut self) -> Result<Pose, BenchError> {
        let stage = self.stage_commanded().await?;
        Ok(to_optical(&self.config, stage))
    }

    pub(super) async fn stage_pose(&mut self) -> Result<Pose, BenchError> {
        let mut pose = Pose::default();
        for (name, controller) in &mut self.controllers {
            let axes: Vec<&AxisConfig> = self.config.axes.iter().filter(|a| a.controller == *name).collect();
            let channels: Vec<&str> = axes.iter().map(|a| a.channel.as_str()).collect();
            for (axis, position) in axes.iter().zip(controller.positions(&channels).await?) {
                pose[axis.axis] = axis.to_logical(position);
            }
        }
        Ok(pose)
    }

    /// Which stage axes are referenced and have their servo on, in the order of the axes.
    ///
    /// # Errors
    /// Controller errors.
    pub async fn referenced(&mut self) -> Result<Vec<(Axis, bool)>, BenchError> {
        let mut all = Vec::new();
        for (name, controller) in &mut self.controllers {
            let axes: Vec<&AxisConfig> = self.config.axes.iter().filter(|a| a.controller == *name).collect();
            let channels: Vec<&str> = axes.iter().map(|a| a.channel.as_str()).collect();
            let states = controller.states(&channels).await?;
            all.extend(axes.iter().zip(states).map(|(a, s)| (a.axis, s.referenced && s.servo)));
        }
        all.sort();
        Ok(all)
    }

    /// References the stage axes that are not, in the bench file's order (optical axes first), and returns them. A tracker
    /// that was left elsewhere is brought to the middle of its travel, so that the fibre is where the stage is.
    ///
    /// # Errors
    /// Controller errors.
    pub async fn reference(&mut self) -> Result<Vec<Axis>, BenchError> {
        let lacking: Vec<Axis> = self.referenced().await?.into_iter().filter(|(_, r)| !r).map(|(a, _)| a).collect();
        let order: Vec<Axis> = self.config.referencing.iter().copied().filter(|a| lacking.contains(a)).collect();
        for axis in &order {
            self.commanded = None;
            let Some(setup) = self.config.axis(*axis) else { continue };
            if let Some(controller) = self.controllers.get_mut(&setup.controller) {
                controller.reference(&setup.channel).await?;
            }
        }
        self.centre_tracker().await?;
        Ok(order)
    }

    /// Backs off along the optical axes alone, before both ends of a part at once, until nothing can touch; returns whether
    /// it had to.
    ///
    /// # Errors
    /// Controller errors; `NotReferenced` where the position of an optical axis is unknown, once the other has backed off.
    pub async fn back_off(&mut self) -> Result<bool, BenchError> {
        let (backed_off, unknown) = self.back_off_referenced().await?;
        unknown.map_or(Ok(backed_off), |axis| Err(BenchError::NotReferenced { axis }))
    }

    /// As [`Bench::back_off`], before referencing: what is not referenced cannot be moved to a known place, and stays.
    ///
    /// # Errors
    /// Controller errors.
    pub async fn back_off_known(&mut self) -> Result<bool, BenchError> {
        Ok(self.back_off_referenced().await?.0)
    }

    /// Whether it had to back off, and an optical axis that is not referenced.
    async fn back_off_referenced(&mut self) -> Result<(bool, Option<Axis>), BenchError> {
        let referenced = self.referenced().await?;
        let is_known = |frame: &&Frame| referenced.contains(&(frame.optical_axis, true));
        let unknown = self.config.frames().find(|frame| !is_known(frame)).map(|frame| frame.optical_axis);
        if !self.config.frames().any(|frame| is_known(&frame)) {
            return Ok((false, unknown));
        }
        let now = self.stage_pose().await?;
        let mut targets = Vec::new();
        for frame in self.config.frames().filter(is_known) {
            let optical = self.config.optical(frame);
            // A stage at rest reads back a little off its target.
            let slack = optical.play + 5.0 * optical.repeatability;
            if self.config.is_near(frame, now[optical.axis], slack) {
                targets.push((optical.axis, self.config.clearance_um(frame)));
            }
        }
        if !targets.is_empty() {
            self.move_stage(now, now.with(&targets)).await?;
            self.commanded = None;
        }
        Ok((!targets.is_empty(), unknown))
    }
}

/// Time of a trapezoidal move, seconds.
pub(crate) fn move_time(distance: f64, velocity: f64, acceleration: f64) -> f64 {
    if distance <= velocity * velocity / acceleration {
        2.0 * (distance / acceleration).sqrt()
    } else {
        distance / velocity + velocity / acceleration
    }
}

/// The read-back may differ from the target by the axis' repeatability and play, and by 0.5 um of any controller's window.
fn check_arrival(axis: &AxisConfig, target: f64, actual: f64) -> Result<(), BenchError> {
    const WINDOW: f64 = 0.5;
    let tolerance = WINDOW + axis.play + 5.0 * axis.repeatability;
    if (actual - target).abs() <= tolerance {
        return Ok(());
    }
    Err(BenchError::Elsewhere { axis: axis.axis, target, actual })
}
