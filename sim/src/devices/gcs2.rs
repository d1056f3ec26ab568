//! A Physik Instrumente motion controller: GCS 2.0 over a serial line or TCP. From PI's documentation of the command set
//! and from conversations of PI's own Python client.
//!
//! Three families: stages (C-884 class; mm), a hexapod (C-887; mm and deg, six axes that move as one) and piezo axes
//! (E-712; um). This file: bytes, lines, single-byte commands, state; what the axes of a controller are, whatever its
//! family, and its servo cycle.

mod align;
mod commands;
mod coordinates;
mod estimate;
mod help;
mod inputs;
mod parameters;
mod piezo;
mod platform;
mod recorder;
mod routines;

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::lines::{Lines, TooLong};
use super::{Device, Replies};
use crate::world::{Order, World};
use crate::world_hexapod::{is_hexapod, is_piezo};
use crate::world_loops::ControlLoop;
use align::Routine;
use commands::{
    BUSY, COUNT, MISSING, NO_AXIS, NOT_A_NUMBER, NOT_ALLOWED, NOT_REFERENCED, OUTSIDE, RANGE, SOFT, STOPPED, TWICE,
    VELOCITY,
};
use inputs::Inputs;
use parameters::{NOSTAGE, STAGE};
use platform::Platform;
use recorder::Recorder;

/// Time a command takes to be understood, seconds.
pub(super) const COMMAND_S: f64 = 0.000_3;
/// A reference move goes on beyond its way this long: the switch is approached twice, the second time slowly.
const REFERENCE_S: f64 = 0.35;
/// Command too long.
const TOO_LONG: i32 = 3;
/// Window within which an axis counts as on target at power-on, um.
const WINDOW_UM: f64 = 0.1;
/// Velocity at power-on, um/s.
const VELOCITY_UM_S: f64 = 2000.0;
/// The same of a piezo axis.
const PIEZO_VELOCITY_UM_S: f64 = 1000.0;
/// Servo cycle of stages and piezo axes, s, and of a hexapod, which computes its legs in each.
const SERVO_S: f64 = 1e-4;
const HEXAPOD_SERVO_S: f64 = 5e-4;
/// Servo cycles are caught up with this far back, s: longer than a recording or routine is left alone.
const CATCH_UP_S: f64 = 7200.0;

/// One channel of the controller.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    /// The controller's name.
    pub(super) name: String,
    /// The axis of the world it moves.
    pub(super) axis: String,
    pub(super) servo: bool,
    pub(super) referenced: bool,
    /// 1: must be referenced by a move.
    pub(super) reference_on: bool,
    /// End of a reference move under way.
    pub(super) referencing_until_s: Option<f64>,
    /// The position the controller tells is the stage's plus this, um: `POS` and `DFH` set it, a reference move clears it.
    pub(super) offset_um: f64,
    /// Position told at `#6`, um.
    told_um: f64,
    /// Whether a stage is assigned.
    staged: bool,
    /// Settling window, encoder counts, and one count, um.
    pub(super) window_counts: u32,
    count_um: f64,
    /// Target, um of the stage; limits alike.
    pub(super) target_um: f64,
    pub(super) velocity_um_s: f64,
    /// Soft limits, um, and whether they are in force.
    pub(super) soft_um: (f64, f64),
    pub(super) soft_on: bool,
    pub(super) travel_um: (f64, f64),
    pub(super) velocity_max_um_s: f64,
    pub(super) acceleration_um_s2: f64,
    /// One unit of the controller, um.
    pub(super) unit_um: f64,
    /// Piezo: its zero has been found, or is being looked for until then.
    pub(super) zeroed: bool,
    pub(super) zeroing_until_s: Option<f64>,
}

pub(super) struct Gcs2 {
    pub(super) world: World,
    pub(super) model: String,
    pub(super) channels: Vec<Channel>,
    /// A hexapod's, which has no channels then. Taken out while it is being worked on.
    platform: Option<Platform>,
    inputs: Inputs,
    recorder: Recorder,
    routines: Vec<Routine>,
    /// The last servo cycle that routines and recorder have seen.
    cycle: u64,
    lines: Lines,
    replies: Replies,
    error: i32,
    refuse: bool,
}

/// A controller that goes on by itself when others ask the world.
pub(super) struct Attended(Rc<RefCell<Gcs2>>);

impl ControlLoop for RefCell<Gcs2> {
    fn run_until(&self, now_s: f64) {
        if let Ok(mut controller) = self.try_borrow_mut() {
            controller.run_until(now_s);
        }
    }
}

impl Attended {
    pub(super) fn new(world: World, model: Option<&str>, axes: Vec<(String, String)>) -> Attended {
        let controller = Rc::new(RefCell::new(Gcs2::new(world.clone(), model, axes)));
        let weak: Weak<RefCell<Gcs2>> = Rc::downgrade(&controller);
        world.attend(weak);
        Attended(controller)
    }
}

impl Device for Attended {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.0.borrow_mut().receive(now_s, bytes);
    }

    fn due(&self) -> Option<f64> {
        self.0.borrow().replies.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.0.borrow_mut().replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        self.0.borrow_mut().restart(now_s);
    }

    fn refuse(&mut self, refuse: bool) {
        self.0.borrow_mut().refuse = refuse;
    }

    fn hang_up(&mut self) {
        let mut controller = self.0.borrow_mut();
        controller.lines.clear();
        controller.replies.clear();
    }
}

impl Gcs2 {
    fn new(world: World, model: Option<&str>, axes: Vec<(String, String)>) -> Gcs2 {
        let unit_um = if is_piezo(model) { 1.0 } else { 1000.0 };
        let platform = is_hexapod(model).then(|| Platform::at_power_on(&world));
        let axes = if platform.is_some() { Vec::new() } else { axes };
        let channels: Vec<Channel> =
            axes.into_iter().map(|(axis, name)| Channel::at_power_on(&world, axis, name, unit_um)).collect();
        let model = model.unwrap_or("C-884").to_ascii_uppercase();
        let first_axis = channels.first().map_or("X", |c| c.name.as_str());
        let recorder = Recorder::new(first_axis);
        Gcs2 {
            inputs: Inputs::new(&world, &model),
            world,
            model,
            channels,
            platform,
            recorder,
            routines: Vec::new(),
            cycle: 0,
            lines: Lines::default(),
            replies: Replies::default(),
            error: 0,
            refuse: false,
        }
    }

    fn is_piezo(&self) -> bool {
        is_piezo(Some(&self.model))
    }

    /// One servo cycle, s.
    fn servo_s(&self) -> f64 {
        if self.platform.is_some() { HEXAPOD_SERVO_S } else { SERVO_S }
    }

    /// The servo cycle that has begun at a time.
    fn cycle_at(&self, now_s: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
        let cycle = (now_s.max(0.0) / self.servo_s() + 1e-6) as u64;
        cycle
    }

    /// Lets routines and recorder have every servo cycle up to a time.
    fn run_until(&mut self, now_s: f64) {
        let last = self.cycle_at(now_s);
        let servo_s = self.servo_s();
        self.cycle = self.cycle.max(self.cycle_at(now_s - CATCH_UP_S));
        loop {
            let aligning = self.aligning().then_some(self.cycle + 1);
            let record = self.recorder.next().map(|c| c.max(self.cycle + 1));
            let Some(next) = aligning.into_iter().chain(record).min().filter(|c| *c <= last) else { break };
            #[expect(clippy::cast_precision_loss, reason = "cycles of years")]
            let at_s = next as f64 * servo_s;
            self.cycle = next;
            if aligning.is_some() {
                self.step_routines(at_s);
            }
            if record == Some(next) {
                self.record(next, at_s);
            }
        }
        self.cycle = self.cycle.max(last);
    }

    /// Whether the controller has an axis of this name in use.
    fn is_axis(&self, name: &str) -> bool {
        if self.platform.is_some() { platform::axis(name).is_ok() } else { self.index(name).is_ok() }
    }

    /// Actual position of an axis as the controller tells it.
    fn told(&self, name: &str, at_s: f64) -> Option<f64> {
        if let Some(platform) = &self.platform {
            return Some(self.pose(platform, at_s)[platform::axis(name).ok()?]);
        }
        let channel = &self.channels[self.index(name).ok()?];
        Some(channel.told(self.encoder_um(channel, at_s)))
    }

    /// Commanded position of an axis as the controller tells it.
    fn told_target(&self, name: &str, at_s: f64) -> Option<f64> {
        if let Some(platform) = &self.platform {
            return Some(self.pose_target(platform, at_s)[platform::axis(name).ok()?]);
        }
        let channel = &self.channels[self.index(name).ok()?];
        Some(channel.told(channel.target_um))
    }

    /// Velocity of an axis' moves, controller units a second.
    fn axis_speed(&self, name: &str) -> f64 {
        match (&self.platform, self.index(name)) {
            (Some(platform), _) => platform.velocity_mm_s(),
            (None, Ok(index)) => self.channels[index].velocity_um_s / self.channels[index].unit_um,
            (None, Err(_)) => 1.0,
        }
    }

    /// Whether axes may be moved to positions now: the code that speaks against it.
    fn admits(&self, now_s: f64, to: &[(&str, f64)]) -> Result<(), i32> {
        if self.is_referencing() {
            return Err(BUSY);
        }
        if let Some(platform) = &self.platform {
            let to: Vec<(usize, f64)> =
                to.iter().map(|(name, v)| Ok((platform::axis(name)?, *v))).collect::<Result<_, i32>>()?;
            return self.platform_admits(platform, now_s, &to);
        }
        to.iter().try_for_each(|(name, value)| {
            let channel = &self.channels[self.index(name)?];
            channel.admits(channel.stage_um(*value))
        })
    }

    /// Places axes where a routine has them.
    fn follow(&mut self, at_s: f64, to: &[(&str, f64)]) -> Result<(), i32> {
        if let Some(mut platform) = self.platform.take() {
            let to: Result<Vec<(usize, f64)>, i32> =
                to.iter().map(|(name, v)| Ok((platform::axis(name)?, *v))).collect();
            let followed = to.and_then(|to| self.follow_platform(&mut platform, at_s, &to));
            self.platform = Some(platform);
            return followed;
        }
        for (name, value) in to {
            let index = self.index(name)?;
            let channel = &mut self.channels[index];
            let um = channel.stage_um(*value);
            channel.admits(um)?;
            channel.target_um = um;
            self.world.axis(&channel.axis, at_s, |axis| axis.follow(at_s, um));
        }
        Ok(())
    }

    /// Keeps the first error that nobody has read.
    pub(super) fn raise(&mut self, code: i32) {
        if self.error == 0 {
            self.error = code;
        }
    }

    /// Reads and clears the error.
    pub(super) fn take_error(&mut self) -> i32 {
        std::mem::take(&mut self.error)
    }

    /// Answers with lines; every line but the last ends with a blank before its LF.
    pub(super) fn say(&mut self, now_s: f64, lines: &[String]) {
        self.replies.push(now_s + COMMAND_S, format!("{}\n", lines.join(" \n")).into_bytes());
    }

    fn byte(&mut self, now_s: f64, byte: u8) {
        match byte {
            0x03 => {
                let lines = self.positions(now_s);
                self.say(now_s, &lines);
            }
            0x04 => {
                let moving = self.moving_mask(now_s) != 0;
                self.say(now_s, &[format!("0x{:04X}", if moving { 0x9400 } else { 0x9000 })]);
            }
            0x05 => {
                let mask = self.moving_mask(now_s);
                self.say(now_s, &[format!("{mask:X}")]);
            }
            0x06 => {
                let mask = self.changed_mask(now_s);
                self.say(now_s, &[format!("{mask:X}")]);
            }
            0x07 => {
                let ready = if self.is_referencing() { 0xB0 } else { 0xB1 };
                self.replies.push(now_s + COMMAND_S, vec![ready, b'\n']);
            }
            0x08 => self.say(now_s, &["0".into()]),
            0x18 => self.stop(now_s),
            0x1B => self.restart(now_s),
            b'\n' => match self.lines.end() {
                Ok(line) => self.command(now_s, line.trim()),
                Err(TooLong) => self.raise(TOO_LONG),
            },
            b'\r' => {}
            _ => self.lines.push(byte),
        }
    }

    fn command(&mut self, now_s: f64, line: &str) {
        if line.is_empty() {
            return;
        }
        if self.refuse && !line.eq_ignore_ascii_case("ERR?") {
            self.raise(1024);
            return;
        }
        if let Err(code) = self.act(now_s, line) {
            self.raise(code);
        }
    }

    /// Ends reference moves that are over.
    fn tick(&mut self, now_s: f64) {
        self.run_until(now_s);
        if let Some(platform) = &mut self.platform {
            platform.tick(now_s);
        }
        self.end_zeroing(now_s);
        for channel in &mut self.channels {
            if channel.referencing_until_s.is_some_and(|end| now_s >= end) {
                channel.referencing_until_s = None;
                channel.referenced = true;
            }
        }
    }

    pub(super) fn is_referencing(&self) -> bool {
        self.channels.iter().any(|c| c.referencing_until_s.is_some() || c.zeroing_until_s.is_some())
            || self.platform.as_ref().is_some_and(Platform::is_referencing)
    }

    /// Bit 0 is the first axis of `SAI?`.
    pub(super) fn moving_mask(&self, now_s: f64) -> u32 {
        if let Some(platform) = &self.platform {
            let all = self.platform_moves(platform, now_s) || self.aligning();
            return if all { 0x3F } else { 0 };
        }
        self.channels.iter().enumerate().fold(0, |mask, (i, c)| {
            let moving = self.world.axis(&c.axis, now_s, |a| a.moving(now_s)).unwrap_or(false);
            let busy = c.referencing_until_s.is_some() || self.routine_has(&c.name);
            mask | u32::from(moving || busy) << i
        })
    }

    pub(super) fn positions(&self, now_s: f64) -> Vec<String> {
        if let Some(platform) = &self.platform {
            let pose = self.pose(platform, now_s);
            return crate::world_hexapod::AXES.iter().zip(pose).map(|(a, v)| format!("{a}={:.6}", v + 0.0)).collect();
        }
        let active = self.channels.iter().filter(|c| c.is_active());
        active.map(|c| format!("{}={:.6}", c.name, c.told(self.encoder_um(c, now_s)))).collect()
    }

    /// Axes whose position is another than when it was asked last, by more than the flicker of the last digit.
    fn changed_mask(&mut self, now_s: f64) -> u32 {
        if let Some(mut platform) = self.platform.take() {
            let mask = self.platform_changed(&mut platform, now_s);
            self.platform = Some(platform);
            return mask;
        }
        let at: Vec<f64> = self.channels.iter().map(|c| self.encoder_um(c, now_s)).collect();
        self.channels.iter_mut().zip(at).enumerate().fold(0, |mask, (i, (c, at))| {
            let before = std::mem::replace(&mut c.told_um, at);
            mask | u32::from((at - before).abs() > 1.5 * c.count_um) << i
        })
    }

    /// Position of the reference switch, um of the stage.
    pub(super) fn reference_um(&self, channel: &Channel) -> f64 {
        self.world.axis(&channel.axis, self.world.now_s(), |a| a.model().reference_um).unwrap_or(0.0)
    }

    pub(super) fn encoder_um(&self, channel: &Channel, now_s: f64) -> f64 {
        self.world.axis(&channel.axis, now_s, |a| a.encoder(now_s)).unwrap_or(0.0)
    }

    /// Stops every axis at once; error 10 tells.
    pub(super) fn stop(&mut self, now_s: f64) {
        self.world.ordered(now_s, Order::Stop);
        self.stop_routines(now_s);
        if let Some(mut platform) = self.platform.take() {
            self.halt_platform(&mut platform, now_s);
            self.platform = Some(platform);
        }
        for i in 0..self.channels.len() {
            self.halt(now_s, i);
        }
        self.raise(10);
    }

    pub(super) fn halt(&mut self, now_s: f64, index: usize) {
        let channel = &mut self.channels[index];
        channel.zeroing_until_s = None;
        // A reference move that is cut off leaves the axis unreferenced.
        if channel.referencing_until_s.take().is_some() {
            channel.referenced = false;
        }
        let target = self.world.axis(&channel.axis, now_s, |a| {
            a.stop(now_s);
            a.target()
        });
        channel.target_um = target.unwrap_or(channel.target_um);
    }

    /// Moves a channel.
    pub(super) fn go(&mut self, now_s: f64, index: usize, target_um: f64) {
        let axis = self.channels[index].axis.clone();
        self.world.ordered(now_s, Order::Move { axis, target_um });
        self.drive(now_s, index, target_um);
    }

    fn drive(&mut self, now_s: f64, index: usize, target_um: f64) {
        let channel = &mut self.channels[index];
        channel.target_um = target_um;
        let velocity = channel.velocity_um_s;
        self.world.axis(&channel.axis, now_s, |axis| axis.start(now_s, target_um, velocity));
    }

    /// Starts a reference move to a position of the world.
    pub(super) fn refer(&mut self, now_s: f64, index: usize, to_um: f64) {
        self.drive(now_s, index, to_um);
        let channel = &mut self.channels[index];
        let way = self.world.axis(&channel.axis, now_s, |axis| -axis.rested_s(now_s)).unwrap_or(0.0);
        channel.referenced = false;
        channel.offset_um = 0.0;
        channel.referencing_until_s = Some(now_s + way.max(0.0) + REFERENCE_S);
    }

    /// Arrived and settled by the controller's own word.
    pub(super) fn on_target(&self, channel: &Channel, now_s: f64) -> bool {
        let (settled, arrived) =
            self.world.axis(&channel.axis, now_s, |a| (a.settled(now_s), a.arrived(now_s))).unwrap_or_default();
        let near = (self.encoder_um(channel, now_s) - channel.target_um).abs()
            <= f64::from(channel.window_counts) * channel.count_um;
        channel.servo && channel.referencing_until_s.is_none() && (arrived || (settled && near))
    }
}

impl Channel {
    fn at_power_on(world: &World, axis: String, name: String, unit_um: f64) -> Channel {
        let now = world.now_s();
        let found = world.axis(&axis, now, |a| (a.encoder(now), a.model().clone()));
        let (at, travel, velocity, acceleration, count_um) = match found {
            Some((at, m)) => (at, m.travel_um, m.velocity_max_um_s, m.acceleration_um_s2, m.encoder_um.max(1e-6)),
            None => (0.0, (0.0, 0.0), VELOCITY_UM_S, 1.0, 1.0),
        };
        Channel {
            name,
            axis,
            servo: false,
            referenced: false,
            // A piezo knows where it is from the start.
            reference_on: unit_um > 1.0,
            referencing_until_s: None,
            offset_um: 0.0,
            told_um: at,
            staged: true,
            window_counts: window_counts(count_um),
            count_um,
            target_um: at,
            velocity_um_s: if unit_um > 1.0 { VELOCITY_UM_S } else { PIEZO_VELOCITY_UM_S },
            soft_um: travel,
            soft_on: false,
            travel_um: travel,
            velocity_max_um_s: velocity,
            acceleration_um_s2: acceleration,
            unit_um,
            zeroed: false,
            zeroing_until_s: None,
        }
    }
}

impl Channel {
    /// The stage assigned.
    pub(super) fn stage(&self) -> &'static str {
        if self.staged { STAGE } else { NOSTAGE }
    }

    /// Whether a stage is assigned: commands know no other axes.
    pub(super) fn is_active(&self) -> bool {
        self.staged
    }

    /// Assigns the stage or none; servo and reference are lost.
    pub(super) fn assign(&mut self, there: bool) {
        (self.staged, self.servo, self.referenced) = (there, false, false);
    }

    /// A position of the stage (um) as the controller tells it, in its unit.
    pub(super) fn told(&self, um: f64) -> f64 {
        (um + self.offset_um) / self.unit_um
    }

    /// A position that the controller was told (in its unit) as one of the stage, um.
    pub(super) fn stage_um(&self, told: f64) -> f64 {
        told * self.unit_um - self.offset_um
    }

    /// Whether it may be moved to a position of the stage, um: the code that speaks against it.
    pub(super) fn admits(&self, um: f64) -> Result<(), i32> {
        if !self.servo || !self.referenced && self.reference_on {
            return Err(NOT_REFERENCED);
        }
        let (lower, upper) = if self.soft_on { self.soft_um } else { self.travel_um };
        if um < lower - 1e-6 || um > upper + 1e-6 { Err(OUTSIDE) } else { Ok(()) }
    }
}

fn window_counts(count_um: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 100 000 for any encoder"
    )]
    let counts = (WINDOW_UM / count_um).round().max(1.0) as u32;
    counts
}

impl Gcs2 {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.tick(now_s);
        for byte in bytes {
            self.byte(now_s, *byte);
        }
    }

    fn restart(&mut self, now_s: f64) {
        self.stop_routines(now_s);
        for i in 0..self.channels.len() {
            self.halt(now_s, i);
        }
        let axes: Vec<(String, String)> = self.channels.iter().map(|c| (c.axis.clone(), c.name.clone())).collect();
        if let Some(mut platform) = self.platform.take() {
            self.halt_platform(&mut platform, now_s);
        }
        let (world, model, cycle) = (self.world.clone(), self.model.clone(), self.cycle);
        *self = Gcs2 { cycle, ..Gcs2::new(world, Some(&model), axes) };
    }
}
