//! A Physik Instrumente motion controller (C-884 class): GCS 2.0 over a serial line or TCP. From PI's documentation of
//! the command set and from conversations of PI's own Python client.
//!
//! This file: bytes, lines, single-byte commands, state. The commands are in `gcs2_commands`.

use super::gcs2_parameters::{NOSTAGE, STAGE};
use super::lines::{Lines, TooLong};
use super::{Device, Replies};
use crate::world::{Order, World};

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
}

pub(super) struct Gcs2 {
    pub(super) world: World,
    pub(super) model: String,
    pub(super) channels: Vec<Channel>,
    lines: Lines,
    replies: Replies,
    error: i32,
    refuse: bool,
}

impl Gcs2 {
    pub(super) fn new(world: World, model: Option<&str>, axes: Vec<(String, String)>) -> Gcs2 {
        let channels = axes.into_iter().map(|(axis, name)| Channel::at_power_on(&world, axis, name)).collect();
        let model = model.unwrap_or("C-884").to_ascii_uppercase();
        Gcs2 { world, model, channels, lines: Lines::default(), replies: Replies::default(), error: 0, refuse: false }
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
        for channel in &mut self.channels {
            if channel.referencing_until_s.is_some_and(|end| now_s >= end) {
                channel.referencing_until_s = None;
                channel.referenced = true;
            }
        }
    }

    pub(super) fn is_referencing(&self) -> bool {
        self.channels.iter().any(|c| c.referencing_until_s.is_some())
    }

    /// Bit 0 is the first axis of `SAI?`.
    pub(super) fn moving_mask(&self, now_s: f64) -> u32 {
        self.channels.iter().enumerate().fold(0, |mask, (i, c)| {
            let moving = self.world.axis(&c.axis, now_s, |a| a.moving(now_s)).unwrap_or(false);
            mask | u32::from(moving || c.referencing_until_s.is_some()) << i
        })
    }

    pub(super) fn positions(&self, now_s: f64) -> Vec<String> {
        let active = self.channels.iter().filter(|c| c.is_active());
        active.map(|c| format!("{}={:.6}", c.name, c.told_mm(self.encoder_um(c, now_s)))).collect()
    }

    /// Axes whose position is another than when it was asked last.
    fn changed_mask(&mut self, now_s: f64) -> u32 {
        let at: Vec<f64> = self.channels.iter().map(|c| self.encoder_um(c, now_s)).collect();
        self.channels.iter_mut().zip(at).enumerate().fold(0, |mask, (i, (c, at))| {
            let before = std::mem::replace(&mut c.told_um, at);
            mask | u32::from((at - before).abs() >= c.count_um) << i
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
        for i in 0..self.channels.len() {
            self.halt(now_s, i);
        }
        self.raise(10);
    }

    pub(super) fn halt(&mut self, now_s: f64, index: usize) {
        let channel = &mut self.channels[index];
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
    fn at_power_on(world: &World, axis: String, name: String) -> Channel {
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
            reference_on: true,
            referencing_until_s: None,
            offset_um: 0.0,
            told_um: at,
            staged: true,
            window_counts: window_counts(count_um),
            count_um,
            target_um: at,
            velocity_um_s: VELOCITY_UM_S,
            soft_um: travel,
            soft_on: false,
            travel_um: travel,
            velocity_max_um_s: velocity,
            acceleration_um_s2: acceleration,
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

    /// A position of the stage (um) as the controller tells it, mm.
    pub(super) fn told_mm(&self, um: f64) -> f64 {
        (um + self.offset_um) / 1000.0
    }

    /// A position that the controller was told (mm) as one of the stage, um.
    pub(super) fn stage_um(&self, mm: f64) -> f64 {
        mm * 1000.0 - self.offset_um
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

impl Device for Gcs2 {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.tick(now_s);
        for byte in bytes {
            self.byte(now_s, *byte);
        }
    }

    fn due(&self) -> Option<f64> {
        self.replies.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        for i in 0..self.channels.len() {
            self.halt(now_s, i);
        }
        let axes: Vec<(String, String)> = self.channels.iter().map(|c| (c.axis.clone(), c.name.clone())).collect();
        let (world, model) = (self.world.clone(), self.model.clone());
        *self = Gcs2::new(world, Some(&model), axes);
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
    }
}
