//! One axis of a Zaber controller: what it knows of its stage, its motion, its flags. Positions and speeds are kept in
//! um and um/s and told in microsteps and Zaber's units of speed.

use std::collections::BTreeSet;

use crate::faults::FaultKind;
use crate::world::{Order, World};

/// A reference move goes on beyond its way this long: the sensor is approached twice, the second time slowly.
const HOME_S: f64 = 0.35;
/// A speed of 1 is so many microsteps a second: ticks of 10 kHz over 16384.
pub(super) const SPEED: f64 = 1.6384;
/// A unit of acceleration is so many microsteps a second squared.
pub(super) const ACCELERATION: f64 = 10_000.0 / 1.6384;
/// Resolution for which the size of a microstep is given, microsteps a full step.
pub(super) const RESOLUTION: u32 = 64;
/// Speed at power-on in Zaber's units, where the stage can do it.
const MAXSPEED: f64 = 153_600.0;
/// Share of the greatest speed with which the home sensor is approached.
const APPROACH: f64 = 0.5;
/// Stored positions (`tools storepos`).
const STORED: usize = 16;

/// Flags, most important first, as far as this device raises them.
pub(super) const FLAGS: &[&str] = &["FZ", "FO", "FS", "FE", "WR", "NI"];

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Go,
    Home,
    Stop,
    Sine(Sine),
}

/// A sinusoid flown as moves between its ends: the world's axes know no other moves.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sine {
    /// The two ends, um of the stage; it begins at the first.
    ends_um: (f64, f64),
    half_s: f64,
    speed_um_s: f64,
    /// Half cycles done, and how many there are to be.
    done: u32,
    of: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Motion {
    kind: Kind,
    until_s: f64,
    /// um of the stage.
    target_um: f64,
}

/// One axis.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// The axis of the world it moves.
    name: String,
    /// Size of a microstep at the usual resolution, um.
    unit_um: f64,
    pub(super) resolution: u32,
    /// What is told is the stage's position plus this, um.
    offset_um: f64,
    flags: BTreeSet<usize>,
    motion: Option<Motion>,
    pub(super) maxspeed_um_s: f64,
    pub(super) approach_um_s: f64,
    pub(super) speed_limit_um_s: f64,
    pub(super) acceleration_um_s2: f64,
    pub(super) acceleration_limit_um_s2: f64,
    /// Soft limits, um as told.
    pub(super) limits_um: (f64, f64),
    pub(super) travel_um: (f64, f64),
    pub(super) home_um: f64,
    pub(super) parked: bool,
    pub(super) stored: [i64; STORED],
}

/// Where and how fast a move goes: um as told, um/s, um/s^2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leg {
    pub(super) to_um: f64,
    pub(super) speed_um_s: f64,
    pub(super) acceleration_um_s2: f64,
}

impl Axis {
    /// As it leaves the factory, with a stage whose microsteps are `unit_um` um at the usual resolution.
    pub(super) fn new(world: &World, name: String, unit_um: f64) -> Axis {
        let now_s = world.now_s();
        let model = world.axis(&name, now_s, |a| a.model().clone());
        let (travel_um, fastest, acceleration_um_s2, home_um) = model.map_or(((0.0, 0.0), 1.0, 1.0, 0.0), |m| {
            (m.travel_um, m.velocity_max_um_s, m.acceleration_um_s2, m.reference_um)
        });
        let mut axis = Axis {
            name,
            unit_um,
            resolution: RESOLUTION,
            offset_um: 0.0,
            flags: BTreeSet::new(),
            motion: None,
            maxspeed_um_s: (MAXSPEED / SPEED * unit_um).min(fastest),
            approach_um_s: fastest * APPROACH,
            speed_limit_um_s: fastest,
            acceleration_um_s2,
            acceleration_limit_um_s2: acceleration_um_s2,
            limits_um: travel_um,
            travel_um,
            home_um,
            parked: false,
            stored: [0; STORED],
        };
        axis.power_on(world, now_s);
        axis
    }

    /// As it left the factory, where it stands.
    pub(super) fn restore(&mut self, world: &World) {
        *self = Axis::new(world, self.name.clone(), self.unit_um);
    }

    /// Power comes: the position is 0 wherever the stage is, and nobody knows where that is.
    pub(super) fn power_on(&mut self, world: &World, now_s: f64) {
        world.axis(&self.name, now_s, |a| a.stop(now_s));
        self.motion = None;
        self.offset_um = -self.stage_um(world, now_s);
        self.flags.clear();
        self.raise("WR");
    }

    /// Size of a microstep, um.
    pub(super) fn step_um(&self) -> f64 {
        self.unit_um * f64::from(RESOLUTION) / f64::from(self.resolution)
    }

    /// Where the motor was counted to, um of the stage: its count knows nothing of a load that rings.
    fn stage_um(&self, world: &World, now_s: f64) -> f64 {
        let counted = world.axis(&self.name, now_s, |a| if a.moving(now_s) { a.encoder(now_s) } else { a.target() });
        counted.unwrap_or(0.0)
    }

    /// Position by the encoder, microsteps.
    pub(super) fn encoded(&self, world: &World, now_s: f64) -> i64 {
        let stage_um = world.axis(&self.name, now_s, |a| a.encoder(now_s)).unwrap_or(0.0);
        self.steps(stage_um + self.offset_um)
    }

    /// Position as told, um.
    pub(super) fn told_um(&self, world: &World, now_s: f64) -> f64 {
        self.stage_um(world, now_s) + self.offset_um
    }

    /// Position as told, microsteps.
    pub(super) fn told(&self, world: &World, now_s: f64) -> i64 {
        self.steps(self.told_um(world, now_s))
    }

    /// um as microsteps.
    pub(super) fn steps(&self, um: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "a stage has some millions of microsteps")]
        let steps = (um / self.step_um()).round() as i64;
        steps
    }

    /// Calls the present position by another number; it is then known.
    pub(super) fn call_here(&mut self, world: &World, now_s: f64, um: f64) {
        self.offset_um = um - self.stage_um(world, now_s);
        self.clear("WR");
    }

    /// An acceleration in Zaber's units as um/s^2; `None` for one the stage cannot do.
    pub(super) fn acceleration(&self, units: f64) -> Option<f64> {
        let um_s2 = units * ACCELERATION * self.step_um();
        // The greatest one is told rounded.
        let most = self.acceleration_limit_um_s2 + ACCELERATION * self.step_um() / 2.0;
        (um_s2 > 0.0 && um_s2 <= most).then_some(um_s2)
    }

    pub(super) fn raise(&mut self, flag: &str) {
        self.flags.extend(FLAGS.iter().position(|f| *f == flag));
    }

    fn clear(&mut self, flag: &str) {
        self.flags.retain(|f| FLAGS[*f] != flag);
    }

    /// Clears what a user can clear: what was noted, and faults that are over.
    pub(super) fn clear_warnings(&mut self) {
        self.flags.retain(|f| matches!(FLAGS[*f], "FO" | "WR"));
    }

    /// Flags as numbers in [`FLAGS`].
    pub(super) fn flags(&self) -> &BTreeSet<usize> {
        &self.flags
    }

    pub(super) fn enabled(&self) -> bool {
        !self.flags.iter().any(|f| FLAGS[*f] == "FO")
    }

    /// The driver of the motor goes on or off.
    pub(super) fn enable(&mut self, world: &World, now_s: f64, on: bool) {
        if on {
            return self.clear("FO");
        }
        self.halt(world, now_s);
        self.raise("FO");
    }

    pub(super) fn is_busy(&self) -> bool {
        self.motion.is_some()
    }

    /// When the motion under way will be looked at next.
    pub(super) fn until_s(&self) -> Option<f64> {
        self.motion.map(|m| m.until_s)
    }

    pub(super) fn at_home(&self, world: &World, now_s: f64) -> bool {
        (self.stage_um(world, now_s) - self.home_um).abs() < 1.0
    }

    /// A leg at the acceleration that is set.
    pub(super) fn leg(&self, to_um: f64, speed_um_s: f64) -> Leg {
        Leg { to_um, speed_um_s, acceleration_um_s2: self.acceleration_um_s2 }
    }

    fn drive(&self, world: &World, now_s: f64, leg: Leg) -> f64 {
        let rest = world.axis(&self.name, now_s, |axis| {
            axis.start_with(now_s, leg.to_um, leg.speed_um_s, leg.acceleration_um_s2);
            -axis.rested_s(now_s)
        });
        now_s + rest.unwrap_or(0.0).max(0.0)
    }

    /// A motion that is cut off by another one leaves a note.
    fn preempt(&mut self) {
        if self.motion.take().is_some_and(|m| m.kind != Kind::Stop) {
            self.raise("NI");
        }
    }

    fn order(&self, world: &World, now_s: f64, target_um: f64) {
        world.ordered(now_s, Order::Move { axis: self.name.clone(), target_um });
    }

    /// Moves to a position as told.
    pub(super) fn go(&mut self, world: &World, now_s: f64, leg: Leg) {
        self.preempt();
        let target_um = leg.to_um - self.offset_um;
        self.order(world, now_s, target_um);
        let until_s = self.drive(world, now_s, Leg { to_um: target_um, ..leg });
        self.motion = Some(Motion { kind: Kind::Go, until_s, target_um });
    }

    /// Looks for the home sensor. The reference is lost until it is found.
    pub(super) fn home(&mut self, world: &World, now_s: f64) {
        self.preempt();
        self.raise("WR");
        let speed_um_s = self.approach_um_s.min(self.maxspeed_um_s);
        let until_s = HOME_S + self.drive(world, now_s, self.leg(self.home_um, speed_um_s));
        self.motion = Some(Motion { kind: Kind::Home, until_s, target_um: self.home_um });
    }

    /// Starts a sinusoid from where the axis is, over `way_um` (signed, end to end) and back in `period_s`; false where
    /// the axis is too slow for it.
    pub(super) fn sine(&mut self, world: &World, now_s: f64, way_um: f64, period_s: f64, halves: Option<u32>) -> bool {
        let (a, half_s, d) = (self.acceleration_um_s2, period_s / 2.0, way_um.abs());
        // The trapezoid of this length and time: t = d/v + v/a.
        let root = a * a * half_s * half_s - 4.0 * a * d;
        let speed_um_s = (a * half_s - root.max(0.0).sqrt()) / 2.0;
        if root < 0.0 || speed_um_s > self.maxspeed_um_s {
            return false;
        }
        self.preempt();
        let from = self.stage_um(world, now_s);
        let sine = Sine { ends_um: (from, from + way_um), half_s, speed_um_s, done: 0, of: halves };
        self.order(world, now_s, from + way_um);
        self.half_cycle(world, now_s, sine);
        true
    }

    fn half_cycle(&mut self, world: &World, now_s: f64, sine: Sine) {
        let to_um = if sine.done.is_multiple_of(2) { sine.ends_um.1 } else { sine.ends_um.0 };
        self.drive(world, now_s, self.leg(to_um, sine.speed_um_s));
        let sine = Sine { done: sine.done + 1, ..sine };
        self.motion = Some(Motion { kind: Kind::Sine(sine), until_s: now_s + sine.half_s, target_um: to_um });
    }

    /// Ends a sinusoid where its cycle ends.
    pub(super) fn end_sine(&mut self) {
        if let Some(Motion { kind: Kind::Sine(sine), .. }) = &mut self.motion {
            sine.of = Some(sine.done.next_multiple_of(2));
        }
    }

    /// Brakes.
    pub(super) fn halt(&mut self, world: &World, now_s: f64) {
        if self.motion.is_none() {
            return;
        }
        self.preempt();
        let stood = world.axis(&self.name, now_s, |axis| {
            axis.stop(now_s);
            (-axis.rested_s(now_s), axis.target())
        });
        let (rest, target_um) = stood.unwrap_or((0.0, 0.0));
        self.motion = Some(Motion { kind: Kind::Stop, until_s: now_s + rest.max(0.0), target_um });
    }

    /// Ends a motion that is over; true when the axis has thereby become idle.
    pub(super) fn tick(&mut self, world: &World, now_s: f64) -> bool {
        let Some(motion) = self.motion.filter(|m| m.until_s <= now_s) else { return false };
        let rest = world.axis(&self.name, now_s, |a| if a.moving(now_s) { -a.rested_s(now_s) } else { 0.0 });
        if let Some(rest) = rest.filter(|r| *r > 0.0) {
            self.motion = Some(Motion { until_s: now_s + rest.max(0.001), ..motion });
            return false;
        }
        let arrived = self.arrived(world, now_s, motion);
        self.motion = None;
        match motion.kind {
            Kind::Home if arrived => {
                self.offset_um = 0.0;
                self.clear("WR");
            }
            Kind::Sine(sine) if arrived && sine.of.is_none_or(|of| sine.done < of) => {
                self.half_cycle(world, now_s, sine);
                return false;
            }
            Kind::Stop => {}
            _ if arrived => {}
            _ => {
                let limit = world.axis(&self.name, now_s, |a| a.limit(now_s)).flatten();
                self.raise(if limit.is_some() { "FE" } else { "FS" });
            }
        }
        true
    }

    /// Whether a motion that is over has led where it should, as far as the axis notices.
    fn arrived(&self, world: &World, now_s: f64, motion: Motion) -> bool {
        let reached = world.axis(&self.name, now_s, |a| a.target()).unwrap_or(motion.target_um);
        (reached - motion.target_um).abs() <= self.step_um() || world.faulty(FaultKind::ShortMove, &self.name, now_s)
    }
}
