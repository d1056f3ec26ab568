//! Tracking: piezos on top of the stage circle on the light and follow it by themselves, and the stage takes over where they
//! end. Between trackings they stand at their middle, so that the fibre is where the stage is.

use std::time::Duration;

use drivers::tracker::{DitherTracker, Photocurrent, TrackSetup, TrackState};
use recipes::Axis;

use super::frame::{Pose, to_optical};
use super::{Bench, BenchError, Ran, Routine, envelope};
use crate::config::{BenchConfig, Tracker};

/// Circle before a recipe says which, share of the travel: as delivered.
const CIRCLE_SHARE: f64 = 0.1;
/// Nor is any circle wider than this share of it, or no room is left to follow.
const CIRCLE_SHARE_MAX: f64 = 0.5;
/// Share of the light here that it must see all the way: less is no light any more.
const LEVEL_SHARE: f64 = 0.3;
/// Circles between two looks at where the centre is: a quarter of a second as delivered.
const ROUND_CIRCLES: f64 = 10.0;
/// Looks after which it never will arrive: some seconds.
const ROUNDS_MAX: usize = 24;
/// Looks that it takes from the flank of the light to its peak, about, and after each time that the stage takes over.
const ROUNDS_USUAL: f64 = 4.0;
/// A centre that went no farther in a round has arrived, um: 0.001 dB of a fibre's mode.
const STILL_UM: f64 = 0.05;
/// So near to the end of its travel, share of it, a piezo cannot follow any more.
const END_SHARE: f64 = 0.02;
/// Piezos nearer to their middle than this are there, um: their converter's steps are some tenths of a nanometre.
const MIDDLE_UM: f64 = 0.02;
/// A centre is led from one place to another in steps of this, um; each takes at least as long as the envelope's speed says.
const STEP_UM: f64 = 2.0;

/// How long tracking takes, seconds, where the bench has a tracker.
pub(super) fn predicted_s(config: &BenchConfig, reach_um: f64) -> Option<f64> {
    let tracker = config.tracker.as_ref()?;
    // The peak is half of the reach away, about.
    let travels = 1.0 + (reach_um / tracker.travel_um).floor();
    Some(travels * ROUNDS_USUAL * ROUND_CIRCLES / tracker.frequency_hz)
}

fn setup(config: &Tracker, diameter_um: f64, threshold_a: f64) -> TrackSetup {
    TrackSetup {
        travel_um: config.travel_um,
        diameter_um,
        frequency_hz: config.frequency_hz,
        gain: config.gain,
        lag_deg: config.lag_deg,
        threshold_a,
    }
}

/// How a tracking went on after a look.
enum Look {
    /// The centre still walks.
    Walks,
    /// It stands: that is the peak.
    Stands,
    /// A piezo is at an end of its travel: the stage takes over, and it goes on.
    AtEnd,
    /// The light is lost.
    Lost,
}

impl Bench {
    /// Brings the tracker to its known state, latched, as the bench file says.
    pub(super) async fn connect_tracker(&mut self) -> Result<(), BenchError> {
        if let (Some(config), Some(tracker)) = (&self.config.tracker, &mut self.tracker) {
            tracker.connect(&setup(config, CIRCLE_SHARE * config.travel_um, config.threshold_a)).await?;
        }
        Ok(())
    }

    fn tracker(&mut self) -> Result<&mut Box<dyn DitherTracker>, BenchError> {
        self.tracker.as_mut().ok_or(BenchError::NoTracker)
    }

    /// Tracks from here until the centre stands, for a bounded time, and has the stage take over where that is; the piezos end
    /// latched at their middle. Refused before anything moves where the area of stage and piezos together has a part outside
    /// the envelope, or the circle is too fast near contact.
    pub(super) async fn track(&mut self, radius_um: f64, reach_um: f64) -> Result<Ran, BenchError> {
        let config = self.config.tracker.clone().ok_or(BenchError::NoTracker)?;
        let radius_um = radius_um.min(CIRCLE_SHARE_MAX / 2.0 * config.travel_um);
        let axes = config.axes.map(|(axis, _)| axis);
        let from = self.stage_commanded().await?;
        self.check_around(from, axes, reach_um + config.travel_um / 2.0)?;
        self.check_speed(Routine::Track { radius_um, reach_um }.speed(config.frequency_hz), axes, from)?;
        self.centre_tracker().await?;
        let began_s = self.clock.seconds();
        let light = self.photocurrent().await?;
        let mut seen = vec![(0.0, to_optical(&self.config, from), light)];
        let mut success = false;
        if light >= config.threshold_a && light.is_finite() {
            let threshold_a = (LEVEL_SHARE * light).max(config.threshold_a);
            self.tracker()?.set_up(&setup(&config, 2.0 * radius_um, threshold_a)).await?;
            success = self.follow_light(&config, (radius_um, reach_um), began_s, &mut seen).await?;
        }
        let end = self.photocurrent().await?;
        let stage = self.stage_commanded().await?;
        seen.push((self.clock.seconds() - began_s, to_optical(&self.config, stage), end));
        Ok(told(success, &seen))
    }

    /// Follows the light round by round; true where it came to a stand on it within reach.
    async fn follow_light(
        &mut self,
        config: &Tracker,
        (radius_um, reach_um): (f64, f64),
        began_s: f64,
        seen: &mut Vec<(f64, Pose, f64)>,
    ) -> Result<bool, BenchError> {
        let axes = config.axes.map(|(axis, _)| axis);
        let from = self.stage_commanded().await?;
        let room = config.travel_um / 2.0 - radius_um - END_SHARE * config.travel_um;
        let round = Duration::from_secs_f64(ROUND_CIRCLES / config.frequency_hz);
        let (mut stage, mut before) = (from, [0.0; 2]);
        for _ in 0..ROUNDS_MAX {
            let state = self.tracker()?.track_for(round).await?;
            let off = config.displacement(self.tracker()?.centre().await?);
            let here = displaced(stage, axes, off);
            let light = self.photocurrent().await?;
            seen.push((self.clock.seconds() - began_s, to_optical(&self.config, here), light));
            let look = match state {
                TrackState::Tracking if off.iter().any(|um| um.abs() > room) => Look::AtEnd,
                TrackState::Tracking if (off[0] - before[0]).hypot(off[1] - before[1]) < STILL_UM => Look::Stands,
                TrackState::Tracking => Look::Walks,
                _ => Look::Lost,
            };
            before = off;
            if matches!(look, Look::Walks) {
                continue;
            }
            // First the piezos, then the stage: at no moment is the fibre farther off than either would bring it.
            self.centre_tracker().await?;
            let within = axes.iter().all(|a| (here[*a] - from[*a]).abs() <= reach_um);
            if matches!(look, Look::Lost) || !within {
                return Ok(false);
            }
            self.move_stage(stage, here).await?;
            (stage, before) = (here, [0.0; 2]);
            if matches!(look, Look::Stands) {
                return Ok(true);
            }
        }
        self.centre_tracker().await?;
        Ok(false)
    }

    /// Leads the piezos, latched, to their middle, no faster than the envelope allows here; nothing where the bench has none.
    pub(super) async fn centre_tracker(&mut self) -> Result<(), BenchError> {
        let Some(config) = self.config.tracker.clone() else { return Ok(()) };
        let pose = self.stage_pose().await?;
        let speeds = config.axes.map(|(axis, _)| envelope::velocity(&self.config, axis, pose, pose));
        let pause = Duration::from_secs_f64(STEP_UM / speeds[0].min(speeds[1]));
        let middle = config.travel_um / 2.0;
        let clock = self.clock.clone();
        let tracker = self.tracker()?;
        let from = tracker.centre().await?;
        let far = from.iter().fold(0.0_f64, |far, um| far.max((um - middle).abs()));
        let mut left = if far > MIDDLE_UM { far } else { 0.0 };
        while left > 0.0 {
            left = (left - STEP_UM).max(0.0);
            tracker.move_centre(from.map(|um| middle + (um - middle) * left / far)).await?;
            clock.sleep(pause).await;
        }
        Ok(())
    }

    /// What the tracker's detector sees, A; infinite where it is more than its range holds.
    async fn photocurrent(&mut self) -> Result<f64, BenchError> {
        Ok(match self.tracker()?.photocurrent().await? {
            Photocurrent::Amperes(amperes) => amperes,
            Photocurrent::UnderRange => 0.0,
            Photocurrent::Saturated => f64::INFINITY,
        })
    }
}

fn displaced(stage: Pose, axes: [Axis; 2], off: [f64; 2]) -> Pose {
    stage.with(&[(axes[0], stage[axes[0]] + off[0]), (axes[1], stage[axes[1]] + off[1])])
}

/// What was seen on the way against the end.
fn told(success: bool, seen: &[(f64, Pose, f64)]) -> Ran {
    let end = seen.last().map_or(0.0, |s| s.2);
    let max = seen.iter().fold(f64::MIN_POSITIVE, |max, s| max.max(s.2));
    let told = end > 0.0 && max.is_finite();
    let samples = if told { seen.iter().map(|(t, pose, a)| (*t, *pose, a / end)).collect() } else { Vec::new() };
    Ran { success, end_over_max: if told { end / max } else { 0.0 }, samples }
}
