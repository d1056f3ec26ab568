//! One motor channel of an APT controller: servo or stepper, from orders to motion of an axis of the world.

use super::models::{Class, Model, Stage};
use super::registers::{ABSOLUTE, BACKLASH, HOME, JOG, LIMITS, RELATIVE, Registers, VELOCITY, number};
use super::wire::{Message, short, with_data};
use crate::mechanics::Side;
use crate::world::{Order, World};

/// From an order to the first motion, s: an order waits for the next round of the firmware.
const BEGIN_S: f64 = 0.002;
/// While an axis still rings it is looked at this often, s.
const SETTLE_S: f64 = 0.001;
/// The home switch is left at this share of the home velocity.
const CREEP: f64 = 0.25;

const FORWARD_LIMIT: u32 = 0x1;
const REVERSE_LIMIT: u32 = 0x2;
const SOFT_LOW: u32 = 0x4;
const SOFT_HIGH: u32 = 0x8;
const MOVING: u32 = 0x10;
const JOGGING: u32 = 0x40;
const CONNECTED: u32 = 0x100;
const HOMING: u32 = 0x200;
const HOMED: u32 = 0x400;
const TRACKING: u32 = 0x1000;
const SETTLED: u32 = 0x2000;
const ENABLED: u32 = 0x8000_0000;

/// What the motor is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Task {
    Idle,
    Move,
    /// Beyond the target, to come back to it from the other side: where to, um of the axis.
    Overshoot(f64),
    Jog,
    /// To the home switch.
    Seek,
    /// Off the home switch.
    Leave,
    Stop,
}

/// Motion ordered and not yet begun.
#[derive(Debug, Clone, Copy)]
struct Ordered {
    at_s: f64,
    task: Task,
    /// Where to, um of the axis.
    to_um: f64,
    velocity_um_s: f64,
    acceleration_um_s2: f64,
}

pub(super) struct Motor {
    world: World,
    axis: String,
    model: Model,
    pub(super) stage: Stage,
    /// Length of a stepper's status record, bytes.
    status_bytes: usize,
    source: u8,
    registers: Registers,
    enabled: bool,
    homed: bool,
    /// Position of the axis at which the counters are 0, um.
    zero_um: f64,
    encoder_zero_um: f64,
    task: Task,
    ordered: Option<Ordered>,
    /// When the motion under way is looked at next, s.
    look_s: f64,
    /// The last motion ended at a soft limit: which bit.
    soft: u32,
    /// End-of-move messages are suspended.
    suspended: bool,
    /// Trigger mode of a rack's bay.
    trigger: u8,
}

impl Motor {
    pub(super) fn at_power_on(
        world: &World,
        axis: String,
        model: Model,
        stage: Stage,
        status_bytes: usize,
        source: u8,
    ) -> Motor {
        let now = world.now_s();
        let here = world.axis(&axis, now, |a| a.encoder(now)).unwrap_or(0.0);
        Motor {
            world: world.clone(),
            axis,
            model,
            stage,
            status_bytes,
            source,
            registers: Registers::of_motor(&model, &stage),
            enabled: model.enabled,
            homed: false,
            zero_um: here,
            encoder_zero_um: here,
            task: Task::Idle,
            ordered: None,
            look_s: f64::INFINITY,
            soft: 0,
            suspended: false,
            trigger: 0,
        }
    }

    /// Acts on a message for this channel and gives the answers.
    pub(super) fn hear(&mut self, now_s: f64, message: &Message) -> Vec<Vec<u8>> {
        if self.registers.set(message) {
            return Vec::new();
        }
        if let Some(answer) = self.registers.answer(message, self.source) {
            return vec![answer];
        }
        if let Some(answer) = self.ask(now_s, message) {
            return vec![answer];
        }
        let [_, second] = message.params;
        match message.id {
            0x0210 => self.enable(now_s, second == 1),
            0x0410 => self.zero_um = self.encoder_um(now_s) - self.um(message.long(2)),
            0x0409 => self.encoder_zero_um = self.encoder_um(now_s) - self.um(message.long(2)),
            0x0443 => self.home(now_s),
            0x0448 => {
                let distance = if message.is_long() { message.long(2) } else { self.registers.long(RELATIVE, 2) };
                let to = self.encoder_um(now_s) + self.um(distance);
                self.go(now_s, Task::Move, to);
            }
            0x0453 => {
                let target = if message.is_long() { message.long(2) } else { self.registers.long(ABSOLUTE, 2) };
                self.go(now_s, Task::Move, self.zero_um + self.um(target));
            }
            0x0457 => self.jog(now_s, second, true),
            0x046A => self.jog(now_s, second, self.registers.word(JOG, 2) == 1),
            0x0465 => return self.stop(now_s),
            0x046B => self.suspended = true,
            0x046C => self.suspended = false,
            0x0500 => self.trigger = second,
            _ => {}
        }
        Vec::new()
    }

    fn ask(&self, now_s: f64, message: &Message) -> Option<Vec<u8>> {
        let channel = 1u16.to_le_bytes();
        let counter = |id: u16, zero: f64| {
            let counts = self.counts(self.encoder_um(now_s) - zero);
            with_data(id, &[&channel[..], &counts.to_le_bytes()].concat(), self.source)
        };
        Some(match message.id {
            0x0211 => short(0x0212, [message.params[0], if self.enabled { 1 } else { 2 }], self.source),
            0x0411 => counter(0x0412, self.zero_um),
            0x040A => counter(0x040B, self.encoder_zero_um),
            0x0429 => {
                let bits = self.bits(now_s).to_le_bytes();
                with_data(0x042A, &[&channel[..], &bits].concat(), self.source)
            }
            0x0480 if self.is_stepper() => with_data(0x0481, &self.status(now_s), self.source),
            0x0490 if !self.is_stepper() => with_data(0x0491, &self.status(now_s), self.source),
            0x0501 => short(0x0502, [message.params[0], self.trigger], self.source),
            _ => return None,
        })
    }

    /// The status message that is sent unasked.
    pub(super) fn update(&self, now_s: f64) -> Vec<u8> {
        with_data(if self.is_stepper() { 0x0481 } else { 0x0491 }, &self.status(now_s), self.source)
    }

    fn is_stepper(&self) -> bool {
        self.model.class == Class::Stepper
    }

    fn status(&self, now_s: f64) -> Vec<u8> {
        let counts = self.counts(self.encoder_um(now_s) - self.zero_um);
        let mut data = [&1u16.to_le_bytes()[..], &counts.to_le_bytes()].concat();
        if self.is_stepper() {
            let encoder = self.counts(self.encoder_um(now_s) - self.encoder_zero_um);
            data.extend(encoder.to_le_bytes());
            // The longer record has the bits where pylablib looks for them.
            data.resize(self.status_bytes - 4, 0);
        } else {
            let um_s = self.world.axis(&self.axis, now_s, |a| a.velocity(now_s)).unwrap_or(0.0);
            let counts = number(um_s / 1000.0 * self.stage.counts * self.model.servo_s());
            data.extend(i16::try_from(counts).unwrap_or(if counts < 0 { i16::MIN } else { i16::MAX }).to_le_bytes());
            data.extend([0, 0]);
        }
        data.extend(self.bits(now_s).to_le_bytes());
        data
    }

    fn bits(&self, now_s: f64) -> u32 {
        let (moving, speed, settled, limit) = self
            .world
            .axis(&self.axis, now_s, |a| (a.moving(now_s), a.velocity(now_s), a.settled(now_s), a.limit(now_s)))
            .unwrap_or((false, 0.0, true, None));
        let mut bits = if self.enabled { CONNECTED | ENABLED } else { CONNECTED };
        if self.is_homing() {
            bits |= HOMING;
        } else if moving || matches!(self.task, Task::Overshoot(_)) {
            let rising = speed >= 0.0;
            let second = u32::from(rising == self.model.forward_falls());
            bits |= (if self.task == Task::Jog { JOGGING } else { MOVING }) << second;
        }
        bits |= if self.homed { HOMED } else { 0 };
        bits |= if self.is_stepper() || !self.enabled { 0 } else { TRACKING };
        bits |= if self.model.class == Class::Brushless && self.enabled && settled { SETTLED } else { 0 };
        // Both clients take 0x1 for the switch of falling counts, whatever direction they call forward.
        bits |= match limit {
            Some(Side::Lower) => FORWARD_LIMIT,
            Some(Side::Upper) => REVERSE_LIMIT,
            None => 0,
        };
        bits | self.soft
    }

    fn is_homing(&self) -> bool {
        let homing = |task: Task| matches!(task, Task::Seek | Task::Leave);
        homing(self.task) || self.ordered.is_some_and(|o| homing(o.task))
    }

    fn encoder_um(&self, now_s: f64) -> f64 {
        self.world.axis(&self.axis, now_s, |a| a.encoder(now_s)).unwrap_or(0.0)
    }

    fn um(&self, counts: i32) -> f64 {
        f64::from(counts) / self.stage.counts * 1000.0
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, as a counter of 32 bits would not; no travel is so long"
    )]
    fn counts(&self, um: f64) -> i32 {
        (um / 1000.0 * self.stage.counts).round() as i32
    }

    fn enable(&mut self, now_s: f64, on: bool) {
        if !on {
            self.halt(now_s);
            self.task = Task::Idle;
        }
        self.enabled = on;
    }

    /// Velocity and acceleration of a setting, um/s and um/s^2.
    fn pace(&self, get: u16, velocity_at: usize, acceleration_at: usize) -> (f64, f64) {
        let (v, a) = self.model.words();
        let um = 1000.0 / self.stage.counts;
        let long = |at| f64::from(self.registers.long(get, at));
        (long(velocity_at) / v * um, long(acceleration_at) / a * um)
    }

    /// Orders a move; a disabled or homing channel takes none and says nothing.
    fn go(&mut self, now_s: f64, task: Task, to_um: f64) {
        if !self.enabled || self.is_homing() {
            return;
        }
        let (velocity_um_s, acceleration_um_s2) =
            if task == Task::Jog { self.pace(JOG, 16, 12) } else { self.pace(VELOCITY, 10, 6) };
        let here = self.encoder_um(now_s);
        let (target_um, soft) = self.within_soft_limits(to_um);
        self.soft = soft;
        self.world.ordered(now_s, Order::Move { axis: self.axis.clone(), target_um });
        let backlash = self.um(self.registers.long(BACKLASH, 2));
        // Positive backlash is taken out of moves to falling counts, negative of the others.
        let overshoots = task == Task::Move && soft == 0 && (target_um - here) * backlash < 0.0;
        let (task, to_um) =
            if overshoots { (Task::Overshoot(target_um), target_um - backlash) } else { (task, target_um) };
        self.ordered = Some(Ordered { at_s: now_s + BEGIN_S, task, to_um, velocity_um_s, acceleration_um_s2 });
    }

    /// The nearest position that the soft limits allow, and the bit of the limit if it is another one.
    fn within_soft_limits(&self, to_um: f64) -> (f64, u32) {
        if !matches!(self.registers.word(LIMITS, 14) & 0x7F, 2 | 3) {
            return (to_um, 0);
        }
        let ends = [6, 10].map(|at| self.zero_um + self.um(self.registers.long(LIMITS, at)));
        let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        if to_um < low {
            (low, SOFT_LOW)
        } else if to_um > high {
            (high, SOFT_HIGH)
        } else {
            (to_um, 0)
        }
    }

    fn jog(&mut self, now_s: f64, direction: u8, continuous: bool) {
        let sign = match direction {
            1 => 1.0,
            2 => -1.0,
            _ => return,
        };
        let sign = if self.model.forward_falls() { -sign } else { sign };
        let step = if continuous {
            let (low, high) = self.travel_um();
            high - low
        } else {
            self.um(self.registers.long(JOG, 4))
        };
        let (low, high) = self.travel_um();
        let to = (self.encoder_um(now_s) + sign * step).clamp(low, high);
        self.go(now_s, Task::Jog, to);
    }

    fn travel_um(&self) -> (f64, f64) {
        self.world.axis(&self.axis, self.world.now_s(), |a| a.model().travel_um).unwrap_or((0.0, 0.0))
    }

    fn home(&mut self, now_s: f64) {
        if !self.enabled || self.is_homing() {
            return;
        }
        self.homed = false;
        self.soft = 0;
        let (low, high) = self.travel_um();
        let to_um = if self.registers.word(HOME, 4) == 4 { high } else { low };
        let (velocity_um_s, _) = self.pace(HOME, 6, 6);
        let (_, acceleration_um_s2) = self.pace(VELOCITY, 10, 6);
        self.ordered =
            Some(Ordered { at_s: now_s + BEGIN_S, task: Task::Seek, to_um, velocity_um_s, acceleration_um_s2 });
    }

    fn leave_switch(&mut self, now_s: f64) {
        let away = if self.registers.word(HOME, 4) == 4 { -1.0 } else { 1.0 };
        let to_um = self.encoder_um(now_s) + away * self.um(self.registers.long(HOME, 10));
        let (velocity_um_s, _) = self.pace(HOME, 6, 6);
        let (_, acceleration_um_s2) = self.pace(VELOCITY, 10, 6);
        let velocity_um_s = velocity_um_s * CREEP;
        self.begin(Ordered { at_s: now_s, task: Task::Leave, to_um, velocity_um_s, acceleration_um_s2 });
    }

    /// Stops; a channel that does not move says nothing.
    fn stop(&mut self, now_s: f64) -> Vec<Vec<u8>> {
        self.world.ordered(now_s, Order::Stop);
        let idle = self.task == Task::Idle && self.ordered.is_none();
        self.halt(now_s);
        if idle {
            self.task = Task::Idle;
            return Vec::new();
        }
        self.task = Task::Stop;
        self.look_s = now_s;
        Vec::new()
    }

    pub(super) fn halt(&mut self, now_s: f64) {
        self.ordered = None;
        self.world.axis(&self.axis, now_s, |a| a.stop(now_s));
    }

    fn begin(&mut self, ordered: Ordered) {
        let Ordered { at_s, task, to_um, velocity_um_s, acceleration_um_s2 } = ordered;
        self.task = task;
        let ends = self.world.axis(&self.axis, at_s, |a| {
            a.start_with(at_s, to_um, velocity_um_s, acceleration_um_s2);
            a.rested_s(at_s)
        });
        self.look_s = at_s - ends.unwrap_or(0.0).min(0.0);
    }

    /// When something happens by itself next, s.
    pub(super) fn due(&self) -> Option<f64> {
        let running = (self.task != Task::Idle).then_some(self.look_s);
        [running, self.ordered.map(|o| o.at_s)].into_iter().flatten().reduce(f64::min)
    }

    /// Does what is due by a time; gives messages that nobody asked for, each with its time.
    pub(super) fn tick(&mut self, now_s: f64) -> Vec<(f64, Vec<u8>)> {
        let mut told = Vec::new();
        while let Some(at_s) = self.due().filter(|at| *at <= now_s) {
            if let Some(ordered) = self.ordered.take_if(|o| o.at_s <= at_s) {
                self.begin(ordered);
                continue;
            }
            let (moving, settled, rested) = self
                .world
                .axis(&self.axis, at_s, |a| (a.moving(at_s), a.settled(at_s), a.rested_s(at_s)))
                .unwrap_or((false, true, 0.0));
            if moving {
                self.look_s = at_s + (-rested).max(SETTLE_S);
            } else if !settled {
                self.look_s = at_s + SETTLE_S;
            } else {
                told.extend(self.ended(at_s).map(|message| (at_s, message)));
            }
        }
        told
    }

    fn ended(&mut self, now_s: f64) -> Option<Vec<u8>> {
        let id = match std::mem::replace(&mut self.task, Task::Idle) {
            Task::Idle => return None,
            Task::Seek => {
                self.leave_switch(now_s);
                return None;
            }
            Task::Overshoot(to_um) => {
                let (velocity_um_s, acceleration_um_s2) = self.pace(VELOCITY, 10, 6);
                self.begin(Ordered { at_s: now_s, task: Task::Move, to_um, velocity_um_s, acceleration_um_s2 });
                return None;
            }
            Task::Leave => {
                self.homed = true;
                self.zero_um = self.encoder_um(now_s);
                self.encoder_zero_um = self.zero_um;
                return (!self.suspended).then(|| short(0x0444, [1, 0], self.source));
            }
            Task::Move | Task::Jog => 0x0464,
            Task::Stop => 0x0466,
        };
        (!self.suspended).then(|| with_data(id, &self.status(now_s), self.source))
    }
}
