//! Alignment routines that run in a controller: bounded by the envelope before they begin, read back when they are over.

use std::f64::consts::TAU;
use std::time::Duration;

use drivers::alignment::{Aligned, AreaScan, Estimate, FastAlignment, GradientSearch, Path, Span, Then};
use recipes::Axis;

use super::frame::{Pose, to_optical};
use super::{Bench, BenchError, envelope, tracking};
use crate::config::{AxisConfig, BenchConfig};

/// What a controller is to do by itself with the stage axes across the light, around where they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Routine {
    /// Circles of this radius walk uphill, no farther than `reach_um` from here.
    Gradient {
        /// Radius of the circle, um.
        radius_um: f64,
        /// Bound of the walk, um.
        reach_um: f64,
    },
    /// A square around here is scanned in lines.
    Area {
        /// Half of a side, um.
        reach_um: f64,
        /// Distance between lines, um.
        pitch_um: f64,
    },
    /// Piezos on top of the stage circle on the light and follow it; the stage takes over where they end.
    Track {
        /// Radius of the circle, um.
        radius_um: f64,
        /// The stage takes over no more than this along each axis, um.
        reach_um: f64,
    },
}

/// What came of a routine.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// The controller says that it succeeded.
    pub success: bool,
    /// Analog input at the end over the greatest it ever was.
    pub end_over_max: f64,
    /// Recorded on the way: seconds since the start, pose in the optical frame, input over the input at the end.
    pub samples: Vec<(f64, Pose, f64)>,
}

/// Circles a second; a stage of some kilogrammes follows no faster ones.
const CIRCLES_HZ: f64 = 20.0;
/// Lines a second of a scan.
const LINES_HZ: f64 = 5.0;
/// Share of the acceleration that a circle may ask for.
const ACCELERATION_SHARE: f64 = 0.5;
/// Gain of the walk: a quarter of the way in a circle, without overshoot, at radii of some tenths of the mode's. And after how
/// many changes of its direction it has arrived.
const GAIN: f64 = 60.0;
const DIRECTION_CHANGES: u32 = 6;
/// Share of the light here that the controller must see all the way: less is no light any more.
const LEVEL_SHARE: f64 = 0.3;
/// Samples kept of a scan: a picture, less than half a second at 115200 baud.
const SCAN_SAMPLES: u32 = 160;
/// Of a gradient search, were it to take all of its time.
const GRADIENT_SAMPLES: u32 = 400;
/// A gradient search that has not arrived by then never will.
const GRADIENT_LIMIT: Duration = Duration::from_secs(10);
/// Limits lie so far beyond the area: a rounded corner is within them, and an axis may overshoot.
const MARGIN_UM: f64 = 1.0;
/// Beyond the time of a scan itself.
const SCAN_GRACE_S: f64 = 5.0;

/// The two stage axes across the light, where one controller moves both and sees the light.
fn lateral(config: &BenchConfig) -> Option<([&AxisConfig; 2], u32)> {
    let mut across =
        config.axes.iter().filter(|a| !a.axis.is_angle() && !a.axis.is_second() && a.axis != config.frame.optical_axis);
    let (a, b) = (across.next()?, across.next()?);
    let input = config.controllers.get(&a.controller)?.analog_input?;
    (a.controller == b.controller).then_some(([a, b], input))
}

/// Whether the bench file promises a controller with routines.
pub fn has_routines(config: &BenchConfig) -> bool {
    lateral(config).is_some()
}

impl Routine {
    /// How long it takes, seconds, on these axes; of a gradient search about.
    pub fn predicted_s(self, config: &BenchConfig) -> f64 {
        let own = lateral(config).map(|(axes, _)| slower(axes));
        let seconds = match self {
            // Some circles on the way for each change of direction.
            Routine::Gradient { .. } => own.map(|a| 3.0 * f64::from(DIRECTION_CHANGES) / self.hz(a)),
            Routine::Area { reach_um, pitch_um } => own.map(|a| reach_um / pitch_um / self.hz(a)),
            Routine::Track { reach_um, .. } => tracking::predicted_s(config, reach_um),
        };
        seconds.unwrap_or(f64::INFINITY)
    }

    fn reach_um(self) -> f64 {
        match self {
            Routine::Gradient { reach_um, .. } | Routine::Area { reach_um, .. } | Routine::Track { reach_um, .. } => {
                reach_um
            }
        }
    }

    /// Circles or lines a second that axes of this acceleration (um/s^2) can follow, Hz.
    fn hz(self, acceleration: f64) -> f64 {
        match self {
            Routine::Gradient { radius_um, .. } | Routine::Track { radius_um, .. } => {
                circles_hz(radius_um, acceleration)
            }
            Routine::Area { reach_um, .. } => lines_hz(reach_um, acceleration),
        }
    }

    /// The greatest speed of an axis at so many circles or lines a second, um/s.
    pub(super) fn speed(self, hz: f64) -> f64 {
        match self {
            // The centre walks no faster than the circle goes round.
            Routine::Gradient { radius_um, .. } | Routine::Track { radius_um, .. } => 2.0 * TAU * radius_um * hz,
            Routine::Area { reach_um, .. } => TAU * reach_um * hz,
        }
    }
}

/// The lesser acceleration of both axes, um/s^2.
fn slower(axes: [&AxisConfig; 2]) -> f64 {
    axes[0].acceleration.min(axes[1].acceleration)
}

/// A circle's frequency that the axes can follow, Hz.
fn circles_hz(radius_um: f64, acceleration: f64) -> f64 {
    ((ACCELERATION_SHARE * acceleration / radius_um).sqrt() / TAU).min(CIRCLES_HZ)
}

/// The same for sinusoidal lines.
fn lines_hz(reach_um: f64, acceleration: f64) -> f64 {
    circles_hz(reach_um, acceleration).min(LINES_HZ)
}

impl Bench {
    /// Runs a routine around here and waits for its end. Refused before anything moves where any part of its area is outside
    /// the envelope, too fast near contact, or where the controller cannot be kept within it.
    ///
    /// # Errors
    /// [`BenchError::NoRoutine`], [`BenchError::NoTracker`]; refusals of the envelope; controller errors.
    pub async fn run_routine(&mut self, routine: Routine) -> Result<Ran, BenchError> {
        if let Routine::Track { radius_um, reach_um } = routine {
            return self.track(radius_um, reach_um).await;
        }
        let Some((axes, input)) = lateral(&self.config) else { return Err(BenchError::NoRoutine) };
        let axes = axes.map(Clone::clone);
        let here = self.stage_commanded().await?;
        let reach = routine.reach_um() + MARGIN_UM;
        let limits = self.confines(here, &axes, reach)?;
        self.check_speed(routine.speed(routine.hz(slower(axes.each_ref()))), axes.each_ref().map(|a| a.axis), here)?;
        let limits: Vec<(&str, f64, f64)> = limits.iter().map(|(c, low, high)| (c.as_str(), *low, *high)).collect();
        let controller = self.controllers.get_mut(&axes[0].controller).ok_or(BenchError::NoRoutine)?;
        let Some(own) = controller.alignment().filter(|a| a.can_confine()) else { return Err(BenchError::NoRoutine) };
        // From here on the axes are wherever the controller takes them, and may be no farther than its limits say.
        self.commanded = None;
        self.confined = Some(axes[0].controller.clone());
        let done = search(own, &limits, routine, (&axes, here, input)).await;
        let released = self.release_confined().await;
        let (done, end) = done?;
        released?;
        let stage = self.stage_pose().await?;
        // It stays where the routine left it: that is what is commanded now.
        self.commanded = Some(stage);
        Ok(self.told(&axes, stage, &done, end))
    }

    /// Gives a controller that a routine was confined in its whole range back.
    pub(super) async fn release_confined(&mut self) -> Result<(), BenchError> {
        let Some(name) = self.confined.clone() else { return Ok(()) };
        let limits = self.config.axes.iter().filter(|a| a.controller == name).map(|a| {
            let (low, high) = a.controller_range();
            (a.channel.as_str(), low, high)
        });
        let limits: Vec<(&str, f64, f64)> = limits.collect();
        if let Some(own) = self.controllers.get_mut(&name).and_then(|c| c.alignment()) {
            own.confine(&limits).await?;
        }
        self.confined = None;
        Ok(())
    }

    /// The channels' limits of the box around here, in controller coordinates; refused where it is outside the envelope.
    fn confines(&self, here: Pose, axes: &[AxisConfig; 2], reach: f64) -> Result<Vec<(String, f64, f64)>, BenchError> {
        self.check_around(here, axes.each_ref().map(|a| a.axis), reach)?;
        let limit = |a: &AxisConfig| {
            let ends = [-reach, reach].map(|r| a.to_controller(here[a.axis] + r));
            (a.channel.clone(), ends[0].min(ends[1]), ends[0].max(ends[1]))
        };
        Ok(axes.iter().map(limit).collect())
    }

    /// Refused where a corner of the square around here is outside the envelope.
    pub(super) fn check_around(&self, here: Pose, axes: [Axis; 2], reach: f64) -> Result<(), BenchError> {
        for (a, b) in [(-reach, -reach), (-reach, reach), (reach, -reach), (reach, reach)] {
            let corner = here.with(&[(axes[0], here[axes[0]] + a), (axes[1], here[axes[1]] + b)]);
            envelope::check(&self.config, here, corner)?;
        }
        Ok(())
    }

    /// Near contact nothing is faster than the envelope says, a controller's circle neither.
    pub(super) fn check_speed(&self, speed: f64, axes: [Axis; 2], here: Pose) -> Result<(), BenchError> {
        for axis in axes {
            let limit = envelope::velocity(&self.config, axis, here, here);
            if speed > limit {
                return Err(BenchError::RoutineTooFast { axis, speed, limit });
            }
        }
        Ok(())
    }

    fn told(&self, axes: &[AxisConfig; 2], stage: Pose, done: &Aligned, end: f64) -> Ran {
        let optical = |stage: Pose| to_optical(&self.config, stage);
        let sample = |s: &drivers::alignment::AlignmentSample| {
            let at = [(axes[0].axis, axes[0].to_logical(s.at.0)), (axes[1].axis, axes[1].to_logical(s.at.1))];
            (s.t_s, optical(stage.with(&at)), s.input / end)
        };
        Ran {
            success: done.success,
            end_over_max: end / done.max.max(f64::MIN_POSITIVE),
            samples: if end > 0.0 { done.samples.iter().map(sample).collect() } else { Vec::new() },
        }
    }
}

/// Confines the controller, runs the routine, and reads the input where it ended.
async fn search(
    own: &mut dyn FastAlignment,
    limits: &[(&str, f64, f64)],
    routine: Routine,
    (axes, here, input): (&[AxisConfig; 2], Pose, u32),
) -> Result<(Aligned, f64), BenchError> {
    own.confine(limits).await?;
    let light = own.input(input).await?;
    if light <= 0.0 {
        return Err(BenchError::InputDark { instrument: axes[0].controller.clone(), input });
    }
    let done = match routine {
        Routine::Gradient { radius_um, .. } => {
            own.gradient_search(&gradient(axes, input, light, radius_um), GRADIENT_LIMIT).await?
        }
        Routine::Area { reach_um, pitch_um } => {
            let scan = area(axes, here, (input, light), (reach_um, pitch_um));
            let limit = scan.step.length / scan.velocity + SCAN_GRACE_S;
            own.area_scan(&scan, Duration::from_secs_f64(limit)).await?
        }
        Routine::Track { .. } => return Err(BenchError::NoRoutine),
    };
    let end = own.input(input).await?;
    Ok((done, end))
}

fn gradient(axes: &[AxisConfig; 2], input: u32, light: f64, radius_um: f64) -> GradientSearch {
    let acceleration = slower(axes.each_ref());
    let frequency_hz = circles_hz(radius_um, acceleration);
    GradientSearch {
        scan: axes[0].channel.clone(),
        step: axes[1].channel.clone(),
        input,
        level: LEVEL_SHARE * light,
        radius: (radius_um / 2.0 * axes[0].scale, radius_um * axes[0].scale),
        frequency_hz,
        gain: GAIN,
        // The centre walks no faster than the circle goes round.
        velocity: TAU * radius_um * frequency_hz * axes[0].scale,
        direction_changes: DIRECTION_CHANGES,
        samples: GRADIENT_SAMPLES,
    }
}

fn area(axes: &[AxisConfig; 2], here: Pose, (input, light): (u32, f64), (reach_um, pitch_um): (f64, f64)) -> AreaScan {
    let span = |a: &AxisConfig| Span { channel: a.channel.clone(), length: 2.0 * reach_um * a.scale };
    let acceleration = slower(axes.each_ref());
    let frequency_hz = lines_hz(reach_um, acceleration);
    AreaScan {
        scan: span(&axes[0]),
        step: span(&axes[1]),
        middle: Some((axes[0].to_controller(here[axes[0].axis]), axes[1].to_controller(here[axes[1].axis]))),
        input,
        level: LEVEL_SHARE * light,
        frequency_hz,
        // There and back are two lines.
        velocity: 2.0 * pitch_um * frequency_hz * axes[1].scale,
        path: Path::Raster,
        estimate: Estimate::Gauss(0.3, 1.0),
        then: Then::Maximum,
        samples: SCAN_SAMPLES,
    }
}
