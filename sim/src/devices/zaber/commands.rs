//! The commands of a Zaber device: what each does to its axes, and the reasons for which it is rejected.

use super::Controller;
use super::axis::{Axis, Leg, SPEED};
use crate::world::{Order, World};

/// What a command comes to: data of the reply, or the reason of a rejection.
pub(super) type Done = Result<String, &'static str>;

/// Unknown words or settings.
pub(super) const BADCOMMAND: &str = "BADCOMMAND";
/// Not a number, or out of range.
pub(super) const BADDATA: &str = "BADDATA";
/// No such axis.
const BADAXIS: &str = "BADAXIS";
/// No stage on this axis.
const INACTIVE: &str = "INACTIVE";
/// Not while the axis moves.
pub(super) const STATUSBUSY: &str = "STATUSBUSY";
const PARKED: &str = "PARKED";
const DRIVERDISABLED: &str = "DRIVERDISABLED";
/// Not at the scope of an axis.
pub(super) const DEVICEONLY: &str = "DEVICEONLY";

/// A whole number.
pub(super) fn integer(word: Option<&&str>) -> Result<i64, &'static str> {
    word.ok_or(BADCOMMAND)?.parse().map_err(|_| BADDATA)
}

/// A finite number.
fn number(word: Option<&&str>) -> Result<f64, &'static str> {
    word.ok_or(BADCOMMAND)?.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(BADDATA)
}

#[expect(clippy::cast_precision_loss, reason = "microsteps of a stage; what is lost of more is out of range anyway")]
pub(super) fn float(steps: i64) -> f64 {
    steps as f64
}

impl Controller {
    /// Does one command on an axis, or on all of them for 0.
    pub(super) fn act(&mut self, world: &World, now_s: f64, axis: u32, words: &[&str]) -> Done {
        if usize::try_from(axis).is_ok_and(|a| a > self.axes.len()) {
            return Err(BADAXIS);
        }
        let ok = || Ok("0".to_string());
        match words {
            [] => ok(),
            ["get", name] => self.get(world, now_s, axis, name),
            ["set", name, value] => self.set(world, now_s, axis, name, value),
            ["warnings"] => Ok(self.warnings(axis)),
            ["warnings", "clear"] => {
                let before = self.warnings(axis);
                self.each(axis, |a| {
                    a.clear_warnings();
                    Ok(())
                })?;
                Ok(before)
            }
            ["tools", "echo", rest @ ..] => Ok(if rest.is_empty() { "0".into() } else { rest.join(" ") }),
            ["tools", "parking", state @ ("park" | "unpark")] => {
                self.idle(axis)?;
                self.each(axis, |a| {
                    a.parked = *state == "park";
                    Ok(())
                })?;
                ok()
            }
            ["tools", "storepos", number] => self.stored(axis, integer(Some(number))?),
            ["tools", "storepos", number, place] => {
                let at = slot(integer(Some(number))?)?;
                self.each(axis, |a| {
                    let here = a.told(world, now_s);
                    a.stored[at] = if *place == "current" { here } else { integer(Some(place))? };
                    Ok(())
                })?;
                ok()
            }
            ["driver", state @ ("enable" | "disable")] => {
                self.each(axis, |a| {
                    a.enable(world, now_s, *state == "enable");
                    Ok(())
                })?;
                ok()
            }
            ["io", rest @ ..] if axis == 0 => self.io(world, now_s, rest),
            ["storage", rest @ ..] => self.storage(axis, rest),
            ["system", "restore"] if axis == 0 => self.restore(world),
            ["io", ..] | ["system", "restore"] => Err(DEVICEONLY),
            ["system", "reset"] if axis == 0 => {
                self.begun = None;
                self.io.reset();
                self.axes.iter_mut().flatten().for_each(|a| a.power_on(world, now_s));
                ok()
            }
            ["system", "reset"] => Err(DEVICEONLY),
            ["stop" | "estop"] => {
                world.ordered(now_s, Order::Stop);
                self.each(axis, |a| {
                    a.halt(world, now_s);
                    Ok(())
                })?;
                ok()
            }
            ["home"] => self.start(axis, |a| {
                a.home(world, now_s);
                Ok(())
            }),
            ["move", "sin", rest @ ..] => self.sine(world, now_s, axis, rest),
            ["move", rest @ ..] => self.start(axis, |a| moves(a, world, now_s, rest)),
            ["help", ..] => Ok("Refer to the ASCII Protocol Manual\nFirmware 7 commands are described at\n\
                                www.zaber.com/protocol-manual"
                .into()),
            _ => Err(BADCOMMAND),
        }
    }

    /// Does something to every axis addressed that has a stage; one named that has none is refused.
    pub(super) fn each(
        &mut self,
        axis: u32,
        mut act: impl FnMut(&mut Axis) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let only = usize::try_from(axis).unwrap_or(usize::MAX);
        if only == 0 {
            return self.axes.iter_mut().flatten().try_for_each(act);
        }
        match self.axes.get_mut(only - 1) {
            Some(Some(axis)) => act(axis),
            Some(None) => Err(INACTIVE),
            None => Err(BADAXIS),
        }
    }

    /// Starts a motion on every axis addressed: on all of them, or on none.
    fn start(&mut self, axis: u32, mut act: impl FnMut(&mut Axis) -> Result<(), &'static str>) -> Done {
        self.each(axis, |a| ready(a))?;
        // One axis after the other: the first that cannot ends it, as the ones before it move.
        self.each(axis, |a| act(a))?;
        Ok("0".into())
    }

    /// No axis addressed may move.
    pub(super) fn idle(&self, axis: u32) -> Result<(), &'static str> {
        if self.addressed(axis).any(Axis::is_busy) { Err(STATUSBUSY) } else { Ok(()) }
    }

    fn warnings(&self, axis: u32) -> String {
        let flags = self.flags(axis);
        let count = format!("{:02}", flags.len());
        std::iter::once(count.as_str()).chain(flags).collect::<Vec<_>>().join(" ")
    }

    fn stored(&mut self, axis: u32, number: i64) -> Done {
        let at = slot(number)?;
        let all: Vec<String> = self.addressed(axis).map(|a| a.stored[at].to_string()).collect();
        if all.is_empty() { Err(INACTIVE) } else { Ok(all.join(" ")) }
    }

    /// `move sin AMP PERIOD [COUNT]`, `move sin stop`.
    fn sine(&mut self, world: &World, now_s: f64, axis: u32, args: &[&str]) -> Done {
        if args == ["stop"] {
            self.each(axis, |a| {
                a.end_sine();
                Ok(())
            })?;
            return Ok("0".into());
        }
        let (amplitude, period_ms) = (integer(args.first())?, number(args.get(1))?);
        let halves = args.get(2).map(|w| number(Some(w))).transpose()?.filter(|n| *n > 0.0).map(|n| n * 2.0);
        if period_ms < 0.1 || halves.is_some_and(|n| n.fract() != 0.0 || n > 1e6) || args.len() > 3 {
            return Err(BADDATA);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a million")]
        let halves = halves.map(|n| n as u32);
        self.start(axis, |a| {
            let way_um = 2.0 * float(amplitude) * a.step_um();
            let to_um = a.told_um(world, now_s) + way_um;
            within(a, to_um)?;
            if a.sine(world, now_s, way_um, period_ms / 1e3, halves) { Ok(()) } else { Err(BADDATA) }
        })
    }
}

fn slot(number: i64) -> Result<usize, &'static str> {
    let at = number.checked_sub(1).and_then(|n| usize::try_from(n).ok());
    at.filter(|at| *at < 16).ok_or(BADDATA)
}

fn ready(axis: &Axis) -> Result<(), &'static str> {
    if axis.parked {
        return Err(PARKED);
    }
    if axis.enabled() { Ok(()) } else { Err(DRIVERDISABLED) }
}

/// Half a microstep beyond a limit is still on it: both are told in whole ones.
fn within(axis: &Axis, told_um: f64) -> Result<(), &'static str> {
    let room = axis.step_um() / 2.0;
    let inside = told_um >= axis.limits_um.0 - room && told_um <= axis.limits_um.1 + room;
    if inside { Ok(()) } else { Err(BADDATA) }
}

/// A speed in Zaber's units as um/s.
fn speed_um_s(axis: &Axis, word: Option<&&str>) -> Result<f64, &'static str> {
    let um_s = number(word)? / SPEED * axis.step_um();
    if um_s.abs() <= axis.speed_limit_um_s * (1.0 + 1e-9) { Ok(um_s) } else { Err(BADDATA) }
}

/// `abs`, `rel`, `max`, `min`, `vel`, `index`, `stored`.
fn moves(axis: &mut Axis, world: &World, now_s: f64, words: &[&str]) -> Result<(), &'static str> {
    let Some((way, args)) = words.split_first() else { return Err(BADCOMMAND) };
    let here_um = axis.told_um(world, now_s);
    let step_um = axis.step_um();
    // Where `max` and `min` lead; an axis beyond a limit goes back to it.
    let (low, high) = axis.limits_um;
    let (to_um, args) = match *way {
        "abs" => (float(integer(args.first())?) * step_um, &args[1..]),
        "rel" => (float(axis.told(world, now_s).saturating_add(integer(args.first())?)) * step_um, &args[1..]),
        "stored" => (float(axis.stored[slot(integer(args.first())?)?]) * step_um, &args[1..]),
        "max" => (high, args),
        "min" => (low, args),
        "vel" => {
            let speed = speed_um_s(axis, args.first())?;
            if speed == 0.0 {
                axis.halt(world, now_s);
                return Ok(());
            }
            let to_um = if speed > 0.0 { high.max(here_um) } else { low.min(here_um) };
            let leg = Leg { acceleration_um_s2: acceleration(axis, &args[1..])?, ..axis.leg(to_um, speed.abs()) };
            axis.go(world, now_s, leg);
            return Ok(());
        }
        _ => return Err(BADCOMMAND),
    };
    within(axis, to_um)?;
    let speed_um_s = if args.is_empty() { axis.maxspeed_um_s } else { speed_um_s(axis, args.first())? };
    if speed_um_s <= 0.0 {
        return Err(BADDATA);
    }
    let leg =
        Leg { acceleration_um_s2: acceleration(axis, args.get(1..).unwrap_or(&[]))?, ..axis.leg(to_um, speed_um_s) };
    axis.go(world, now_s, leg);
    Ok(())
}

/// The acceleration at the end of a move, um/s^2; the one that is set where none is given.
fn acceleration(axis: &Axis, args: &[&str]) -> Result<f64, &'static str> {
    match args {
        [] => Ok(axis.acceleration_um_s2),
        [word] => axis.acceleration(number(Some(word))?).ok_or(BADDATA),
        _ => Err(BADCOMMAND),
    }
}
