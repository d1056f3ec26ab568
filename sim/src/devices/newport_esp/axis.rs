//! One axis of the controller: its motor, its motion, its settings.

use super::settings::{self, Refused, Settings};
use super::{NO_SUCH_COMMAND, OUT_OF_RANGE, PARAMETER_MISSING, milliseconds};
use crate::mechanics::Side;
use crate::world::{Order, World};

/// Between a command to move and the motion, seconds: some servo cycles.
const START_S: f64 = 0.004;
/// A home search goes on beyond its way this long: the switch is approached twice, the second time slowly.
const HOME_S: f64 = 0.5;
/// Software limits at power-on, mm: far beyond any stage.
const WIDE_MM: f64 = 1000.0;
/// Units by the number of `SN`: one of them in mm, or in degrees; 0 and 1 are counts of the encoder.
const UNITS: [f64; 12] = [
    0.0,
    0.0,
    1.0,
    1e-3,
    25.4,
    25.4e-3,
    25.4e-6,
    1.0,
    0.9,
    180.0 / std::f64::consts::PI,
    0.18 / std::f64::consts::PI,
    0.000_18 / std::f64::consts::PI,
];
/// Errors of an axis, by their last two digits.
const PARAMETER: u32 = 1;
const POSITIVE_LIMIT: u32 = 4;
const NEGATIVE_LIMIT: u32 = 5;
const POSITIVE_SOFT: u32 = 6;
const NEGATIVE_SOFT: u32 = 7;
const TOO_FAST: u32 = 10;
const TOO_SUDDEN: u32 = 11;
const OFF: u32 = 13;
const HOMING: u32 = 30;

/// Commands that want an axis.
const KNOWN: &[&str] = &[
    "MO", "MF", "MD", "TP", "DP", "TV", "DV", "OR", "OM", "OH", "PA", "PR", "MT", "MV", "ST", "AB", "WS", "WP", "ID",
    "VA", "VU", "AC", "AG", "AU", "SL", "SR", "SN", "SU", "SH", "DH", "FP",
];

/// Whether there is such a command for an axis.
pub(super) fn is_known(mnemonic: &str) -> bool {
    KNOWN.contains(&mnemonic) || settings::is_known(mnemonic)
}

/// What a command comes to.
pub(super) enum Act {
    Done,
    Say(String),
    /// The controller takes the next command at a time.
    WaitUntil(f64),
}

pub(super) struct Axis {
    pub(super) number: u32,
    axis: String,
    on: bool,
    /// Index into the units.
    unit: usize,
    /// One encoder step, mm.
    step_mm: f64,
    /// Everything below is in mm and seconds, on the scale the controller tells.
    velocity: f64,
    velocity_max: f64,
    /// Greatest velocity and acceleration of the stage.
    made_for: (f64, f64),
    acceleration: f64,
    deceleration: f64,
    acceleration_max: f64,
    home_velocity: f64,
    limits: (f64, f64),
    home_mode: u8,
    /// Position that home is called.
    preset: f64,
    /// What the place of the last `DH` was called.
    home_is: f64,
    target: f64,
    /// Position of the stage that is called 0, um.
    origin_um: f64,
    starts_s: f64,
    /// End of a home search, and whether what is found there is home.
    homing: Option<(f64, bool)>,
    /// A move is under way that nobody has seen the end of.
    moving: bool,
    /// Kept over power off.
    other: Settings,
}

impl Axis {
    pub(super) fn new(world: &World, axis: String, number: u32) -> Axis {
        let now = world.now_s();
        let found = world.axis(&axis, now, |a| {
            let m = a.model();
            (m.velocity_max_um_s, m.acceleration_um_s2, m.encoder_um.max(1e-6))
        });
        let (fastest, acceleration, step) = found.unwrap_or((1000.0, 1000.0, 0.1));
        let mut new = Axis {
            number,
            axis,
            on: false,
            unit: 2,
            step_mm: step / 1000.0,
            velocity: 0.0,
            velocity_max: fastest / 1000.0,
            made_for: (fastest / 1000.0, acceleration / 1000.0),
            acceleration: acceleration / 1000.0,
            deceleration: acceleration / 1000.0,
            acceleration_max: acceleration / 1000.0,
            home_velocity: 0.0,
            limits: (-WIDE_MM, WIDE_MM),
            home_mode: 1,
            preset: 0.0,
            home_is: 0.0,
            target: 0.0,
            origin_um: 0.0,
            starts_s: f64::NEG_INFINITY,
            homing: None,
            moving: false,
            other: Settings::default(),
        };
        new.power_on(world, now);
        new
    }

    /// The state after power-on: motor off, 0 wherever the stage is.
    pub(super) fn power_on(&mut self, world: &World, now_s: f64) {
        self.on = false;
        (self.homing, self.moving) = (None, false);
        self.unit = 2;
        self.velocity = 2.0_f64.min(self.velocity_max);
        self.home_velocity = 4.0_f64.min(self.velocity_max);
        (self.acceleration, self.deceleration) = (self.acceleration_max, self.acceleration_max);
        self.limits = (-WIDE_MM, WIDE_MM);
        self.home_mode = 1;
        (self.preset, self.home_is, self.target) = (0.0, 0.0, 0.0);
        let stopped = world.axis(&self.axis, now_s, |a| {
            a.stop(now_s);
            a.target()
        });
        self.origin_um = stopped.unwrap_or(0.0);
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// One unit of this axis, mm or degrees.
    fn scale(&self) -> f64 {
        UNITS.get(self.unit).copied().filter(|s| *s > 0.0).unwrap_or(self.step_mm)
    }

    fn position(&self, world: &World, now_s: f64) -> f64 {
        let um = world.axis(&self.axis, now_s, |a| a.encoder(now_s)).unwrap_or(self.origin_um);
        (um - self.origin_um) / 1000.0
    }

    /// Whether nothing moves it, by the controller's word: a move that has yet to begin does not count.
    pub(super) fn is_done(&self, world: &World, now_s: f64) -> bool {
        if self.homing.is_some_and(|(end, _)| now_s < end) {
            return false;
        }
        now_s < self.starts_s || world.axis(&self.axis, now_s, |a| !a.moving(now_s)).unwrap_or(true)
    }

    /// Ends what is over; gives the error that a move ended with.
    pub(super) fn tick(&mut self, world: &World, now_s: f64) -> Option<u32> {
        self.end_homing(world, now_s);
        let over = self.moving && now_s >= self.starts_s && self.is_done(world, now_s);
        if !over {
            return None;
        }
        self.moving = false;
        // A limit switch takes the motor's power away.
        let limit = world.axis(&self.axis, now_s, |a| a.limit(now_s)).flatten()?;
        self.on = false;
        Some(self.error(if limit == Side::Upper { POSITIVE_LIMIT } else { NEGATIVE_LIMIT }))
    }

    fn end_homing(&mut self, world: &World, now_s: f64) {
        let Some((_, found)) = self.homing.filter(|(end, _)| now_s >= *end) else { return };
        self.homing = None;
        if !found {
            return;
        }
        let at = world.axis(&self.axis, now_s, |a| a.target()).unwrap_or(0.0);
        self.origin_um = at - self.preset * 1000.0;
        self.target = self.preset;
    }

    fn drive(&mut self, world: &World, now_s: f64, to_um: f64, velocity_mm_s: f64) {
        self.starts_s = now_s + START_S;
        let begins = self.starts_s;
        world.axis(&self.axis, now_s, |a| a.start(begins, to_um, velocity_mm_s * 1000.0));
    }

    /// Moves to a position, mm.
    fn go(&mut self, world: &World, now_s: f64, target: f64) -> Result<Act, u32> {
        self.may_move()?;
        if target > self.limits.1 {
            return Err(self.error(POSITIVE_SOFT));
        }
        if target < self.limits.0 {
            return Err(self.error(NEGATIVE_SOFT));
        }
        let target_um = target * 1000.0 + self.origin_um;
        world.ordered(now_s, Order::Move { axis: self.axis.clone(), target_um });
        self.drive(world, now_s, target_um, self.velocity);
        self.moving = true;
        self.target = target;
        Ok(Act::Done)
    }

    /// Moves until stopped, to the end of the travel at the farthest.
    fn run(&mut self, world: &World, now_s: f64, sense: &str) -> Result<Act, u32> {
        let (low, high) = world.axis(&self.axis, now_s, |a| a.model().travel_um).unwrap_or_default();
        let to_um = match sense {
            "+" => high,
            "-" => low,
            "" => return Err(PARAMETER_MISSING),
            _ => return Err(OUT_OF_RANGE),
        };
        self.go(world, now_s, ((to_um - self.origin_um) / 1000.0).clamp(self.limits.0, self.limits.1))
    }

    fn may_move(&self) -> Result<(), u32> {
        if !self.on {
            return Err(self.error(OFF));
        }
        if self.homing.is_some() { Err(self.error(HOMING)) } else { Ok(()) }
    }

    fn error(&self, code: u32) -> u32 {
        self.number * 100 + code
    }

    /// Stops; an abort also takes the motor's power away.
    pub(super) fn stop(&mut self, world: &World, now_s: f64, abort: bool) {
        self.end_homing(world, now_s);
        self.homing = None;
        let to = world.axis(&self.axis, now_s, |a| {
            a.stop(now_s);
            a.target()
        });
        self.starts_s = f64::NEG_INFINITY;
        self.target = to.map_or(self.target, |um| (um - self.origin_um) / 1000.0);
        self.on &= !abort;
    }

    fn home(&mut self, world: &World, now_s: f64, argument: &str) -> Result<Act, u32> {
        let mode = if argument.is_empty() { self.home_mode } else { argument.parse().map_err(|_| OUT_OF_RANGE)? };
        self.may_move()?;
        let ends = world.axis(&self.axis, now_s, |a| (a.model().reference_um, a.model().travel_um));
        let (reference, (low, high)) = ends.unwrap_or_default();
        let to_um = match mode {
            // Only goes to where the count is 0.
            0 => self.origin_um,
            1 | 2 => reference,
            3 | 5 => high,
            4 | 6 => low,
            _ => return Err(OUT_OF_RANGE),
        };
        self.drive(world, now_s, to_um, self.home_velocity);
        let way_s = world.axis(&self.axis, now_s, |a| -a.rested_s(now_s)).unwrap_or(0.0);
        self.homing = Some((now_s + way_s.max(0.0) + HOME_S, mode != 0));
        Ok(Act::Done)
    }

    /// When it stands still, seconds.
    fn ends_s(&self, world: &World, now_s: f64) -> f64 {
        let left = world.axis(&self.axis, now_s, |a| -a.rested_s(now_s)).unwrap_or(0.0).max(0.0);
        self.homing.map_or(now_s + left, |(end, _)| end.max(now_s))
    }

    /// When its motion passes a position, mm, or ends without, seconds.
    fn passes_s(&self, world: &World, now_s: f64, position: f64) -> f64 {
        let at = |t: f64| world.axis(&self.axis, now_s, |a| a.encoder(t)).unwrap_or(0.0);
        let um = position * 1000.0 + self.origin_um;
        let begins_below = at(now_s) < um;
        let (mut before, mut after) = (now_s, self.ends_s(world, now_s));
        if (at(after) < um) == begins_below {
            return after;
        }
        while after - before > 1e-4 {
            let middle = f64::midpoint(before, after);
            if (at(middle) < um) == begins_below { before = middle } else { after = middle }
        }
        after
    }

    pub(super) fn act(
        &mut self,
        world: &World,
        now_s: f64,
        mnemonic: &str,
        argument: &str,
        query: bool,
    ) -> Result<Act, u32> {
        let say = |text: String| Ok(Act::Say(text));
        match mnemonic {
            "TP" => say(self.told(self.position(world, now_s))),
            "MD" => say(u8::from(self.is_done(world, now_s)).to_string()),
            "DP" => say(self.told(self.target)),
            "DV" => say(self.told(if self.is_done(world, now_s) { 0.0 } else { self.velocity })),
            "TV" => say(self.told(self.speed(world, now_s))),
            "ID" => say(format!("TS-SIM25.1, SN{:04}", 1264 + self.number)),
            "MO" if query => say(u8::from(self.on).to_string()),
            "MO" => {
                if !self.on {
                    self.target = self.position(world, now_s);
                }
                self.on = true;
                Ok(Act::Done)
            }
            "MF" if query => say(u8::from(!self.on).to_string()),
            "MF" => {
                self.stop(world, now_s, true);
                Ok(Act::Done)
            }
            "ST" | "AB" => {
                world.ordered(now_s, Order::Stop);
                self.stop(world, now_s, mnemonic == "AB");
                Ok(Act::Done)
            }
            "WS" => Ok(Act::WaitUntil(self.ends_s(world, now_s) + milliseconds(argument)?)),
            "WP" => Ok(Act::WaitUntil(self.passes_s(world, now_s, self.length(argument)?))),
            "OR" => self.home(world, now_s, argument),
            "PA" if query => say(self.told(self.target)),
            "PA" => self.go(world, now_s, self.length(argument)?),
            "PR" => self.go(world, now_s, self.target + self.length(argument)?),
            "MV" | "MT" => self.run(world, now_s, argument),
            "DH" if query => say(self.told(self.home_is)),
            "DH" => self.define_home(world, now_s, argument),
            _ => self.setting(mnemonic, argument, query),
        }
    }

    /// Speed over the last millisecond, mm/s.
    fn speed(&self, world: &World, now_s: f64) -> f64 {
        let dt = 1e-3;
        let at = |t: f64| world.axis(&self.axis, now_s, |a| a.encoder(t)).unwrap_or(0.0);
        (at(now_s) - at(now_s - dt)) / dt / 1000.0
    }

    fn define_home(&mut self, world: &World, now_s: f64, argument: &str) -> Result<Act, u32> {
        let here = if argument.is_empty() { 0.0 } else { self.length(argument)? };
        self.home_is = here;
        let shift = here - self.position(world, now_s);
        self.origin_um -= shift * 1000.0;
        self.target += shift;
        Ok(Act::Done)
    }

    fn setting(&mut self, mnemonic: &str, argument: &str, query: bool) -> Result<Act, u32> {
        let scale = self.scale();
        let (low, high, code) = match mnemonic {
            "VA" | "OH" => (0.0, self.velocity_max, TOO_FAST),
            "AC" | "AG" => (0.0, self.acceleration_max, TOO_SUDDEN),
            "VU" => (0.0, self.made_for.0, PARAMETER),
            "AU" => (0.0, self.made_for.1, PARAMETER),
            _ => (-1e6, 1e6, PARAMETER),
        };
        let of_axis = self.error(code);
        let value = match mnemonic {
            "SN" => return self.units(argument, query),
            "OM" => return self.mode(argument, query),
            // Digits of the display only.
            "FP" if query => return Ok(Act::Say("6".into())),
            "FP" => return Ok(Act::Done),
            "SU" if query => return Ok(Act::Say(self.told(self.step_mm))),
            "SU" => return Err(self.error(PARAMETER)),
            "VA" => &mut self.velocity,
            "VU" => &mut self.velocity_max,
            "AC" => &mut self.acceleration,
            "AG" => &mut self.deceleration,
            "AU" => &mut self.acceleration_max,
            "OH" => &mut self.home_velocity,
            "SL" => &mut self.limits.0,
            "SR" => &mut self.limits.1,
            "SH" => &mut self.preset,
            _ => return self.other(mnemonic, argument, query),
        };
        if query {
            return Ok(Act::Say(told(*value / scale)));
        }
        let wanted = number(argument)? * scale;
        if !(low..=high).contains(&wanted) {
            return Err(of_axis);
        }
        *value = wanted;
        Ok(Act::Done)
    }

    fn other(&mut self, mnemonic: &str, argument: &str, query: bool) -> Result<Act, u32> {
        let scale = self.scale();
        if query {
            return self.other.told(mnemonic, scale).map(Act::Say).ok_or(NO_SUCH_COMMAND);
        }
        match self.other.set(mnemonic, argument, scale) {
            Ok(()) => Ok(Act::Done),
            Err(Refused::NoNumber) if argument.is_empty() => Err(PARAMETER_MISSING),
            Err(Refused::NoNumber) => Err(OUT_OF_RANGE),
            Err(Refused::OutOfRange) => Err(self.error(PARAMETER)),
        }
    }

    fn units(&mut self, argument: &str, query: bool) -> Result<Act, u32> {
        if query {
            return Ok(Act::Say(self.unit.to_string()));
        }
        if argument.is_empty() {
            return Err(PARAMETER_MISSING);
        }
        self.unit = argument.parse().ok().filter(|k| *k < UNITS.len()).ok_or(OUT_OF_RANGE)?;
        Ok(Act::Done)
    }

    fn mode(&mut self, argument: &str, query: bool) -> Result<Act, u32> {
        if query {
            return Ok(Act::Say(self.home_mode.to_string()));
        }
        self.home_mode = argument.parse().ok().filter(|m| *m <= 6).ok_or(OUT_OF_RANGE)?;
        Ok(Act::Done)
    }

    /// A length in the unit of the axis as mm.
    fn length(&self, argument: &str) -> Result<f64, u32> {
        Ok(number(argument)? * self.scale())
    }

    fn told(&self, mm: f64) -> String {
        told(mm / self.scale())
    }
}

/// Six decimals, and 0 has no sign.
pub(super) fn told(value: f64) -> String {
    format!("{:.6}", (value * 1e6).round() / 1e6 + 0.0)
}

fn number(argument: &str) -> Result<f64, u32> {
    if argument.is_empty() {
        return Err(PARAMETER_MISSING);
    }
    argument.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(OUT_OF_RANGE)
}
