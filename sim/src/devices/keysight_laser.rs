//! A Keysight laser source (N777xC): SCPI. From the N777xC programming guide and what public drivers send.
//!
//! While it sweeps, the world has the wavelength of the moment at which the laser was last asked something.

mod commands;
mod sweep;

use super::lines::Lines;
use super::scpi::{self, Command, DATA_TYPE, Errors, MISSING, OUT_OF_RANGE, TOO_MUCH, UNDEFINED};
use super::{Device, Replies};
use crate::noise::Stream;
use crate::world::World;

use sweep::Sweep;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.001;
/// Tuning to another wavelength, seconds.
const TUNE_S: f64 = 0.3;
/// Bands by option of the model, m, and the wavelength at power-on (Keysight's data sheet of the N7776C: 113, 216).
const O_BAND: (f64, f64) = (1240e-9, 1380e-9);
const C_BAND: (f64, f64) = (1450e-9, 1650e-9);
const C_OPTION: &str = "-216";
/// Output levels, dBm.
const LEVELS: (f64, f64) = (-15.0, 13.0);
/// Default password of the lock.
const PASSWORD: &str = "1234";

const LOCKED: (i32, &str) = (-203, "Command protected");
const INTERLOCK: (i32, &str) = (-221, "Settings conflict");
const SUFFIX: (i32, &str) = (-131, "Invalid suffix");

enum Act {
    Done,
    Say(Vec<u8>),
    SayAt(f64, Vec<u8>),
    Error((i32, &'static str)),
}

impl Act {
    fn say(text: String) -> Act {
        Act::Say(text.into_bytes())
    }
}

pub(super) struct KeysightLaser {
    world: World,
    model: String,
    lines: Lines,
    replies: Replies,
    errors: Errors,
    refuse: bool,
    locked: bool,
    on: bool,
    watts_unit: bool,
    level_dbm: f64,
    wavelength_m: f64,
    settled_s: f64,
    /// When `*OPC` is to be told in the event register.
    complete_s: Option<f64>,
    band: (f64, f64),
    sweep: Sweep,
    trigger_out: usize,
    trigger_in: usize,
    noise: Stream,
}

impl KeysightLaser {
    pub(super) fn new(world: World, model: Option<&str>) -> KeysightLaser {
        let model = model.unwrap_or("N7776C").to_ascii_uppercase();
        let band = if model.ends_with(C_OPTION) { C_BAND } else { O_BAND };
        let noise = Stream::new(world.inner.borrow().seed, "laser log");
        KeysightLaser {
            noise,
            world,
            wavelength_m: at_power_on(band),
            band,
            sweep: Sweep::over(band),
            trigger_out: 0,
            trigger_in: 0,
            complete_s: None,
            model,
            lines: Lines::default(),
            replies: Replies::default(),
            errors: Errors::default(),
            refuse: false,
            locked: false,
            on: false,
            watts_unit: false,
            level_dbm: 0.0,
            settled_s: f64::NEG_INFINITY,
        }
    }

    /// The remote interlock and the lock both keep the laser from being switched on, and both read as locked.
    fn is_locked(&self, now_s: f64) -> bool {
        self.locked || self.world.inner.borrow().interlock_open(now_s)
    }

    fn line_ended(&mut self, now_s: f64) {
        let Ok(line) = self.lines.end() else {
            self.errors.raise(TOO_MUCH.0, TOO_MUCH.1);
            return;
        };
        let mut answers: Vec<Vec<u8>> = Vec::new();
        let mut ready = now_s + COMMAND_S;
        for command in scpi::commands(&line) {
            let act = if self.refuse && !scpi::is(&command.header, "SYSTem:ERRor") {
                Act::Error((-200, "Execution error"))
            } else {
                self.act(now_s, &command)
            };
            match act {
                Act::Done => {}
                Act::Say(text) => answers.push(text),
                Act::SayAt(at, text) => {
                    ready = ready.max(at);
                    answers.push(text);
                }
                Act::Error((code, text)) => self.errors.raise(code, text),
            }
        }
        if !answers.is_empty() {
            let mut reply = answers.join(&b';');
            reply.push(b'\n');
            self.replies.push(ready, reply);
        }
        self.tell_world(now_s);
    }

    fn tell_world(&mut self, now_s: f64) {
        let mut inner = self.world.inner.borrow_mut();
        inner.source.level_w = 1e-3 * 10f64.powf(self.level_dbm / 10.0);
        inner.source.wavelength_um = self.sweep.at(now_s).unwrap_or(self.wavelength_m) * 1e6;
        let since = inner.source.on_since_s;
        inner.source.on_since_s = self.on.then(|| since.unwrap_or(now_s));
    }

    /// What has come about since the last command.
    fn tick(&mut self, now_s: f64) {
        if let Some(end) = self.sweep.tick(now_s) {
            self.wavelength_m = end;
        }
        if self.complete_s.take_if(|at| *at <= now_s).is_some() {
            self.errors.complete();
        }
    }

    fn act(&mut self, now_s: f64, c: &Command) -> Act {
        self.tick(now_s);
        if let Some(answer) = self.errors.common(c, 0) {
            return answer.map_or_else(Act::Error, |text| text.map_or(Act::Done, |text| Act::say(format!("+{text}"))));
        }
        let name = self.model.split('-').next().unwrap_or_default();
        match (c.header.to_ascii_uppercase().as_str(), c.query) {
            ("*IDN", true) => return Act::say(format!("Keysight Technologies,{name},SIM0000301,1.250")),
            ("*OPC", true) => return Act::SayAt(self.settled_s.max(now_s + COMMAND_S), b"1".to_vec()),
            ("*CLS", false) => {
                self.errors.clear();
                return Act::Done;
            }
            ("*OPC", false) => {
                self.complete_s = Some(self.settled_s.max(now_s));
                self.tick(now_s);
                return Act::Done;
            }
            ("*WAI", false) => return Act::Done,
            ("*RST", false) => {
                (self.on, self.level_dbm, self.wavelength_m, self.watts_unit) =
                    (false, 0.0, at_power_on(self.band), false);
                self.reset_sweep();
                return Act::Done;
            }
            ("*OPT", true) => return Act::say(if self.band == C_BAND { "216" } else { "113" }.into()),
            ("*TST", true) => return Act::say("+0".into()),
            _ => {}
        }
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("SYSTem:ERRor[:NEXT]") && c.query {
            let (code, text) = self.errors.next().unwrap_or((0, "No error"));
            return Act::say(format!("{}{code},\"{text}\"", if code >= 0 { "+" } else { "" }));
        }
        if is("LOCK") {
            return self.lock(now_s, c);
        }
        self.output(now_s, c)
            .or_else(|| self.wavelength(now_s, c))
            .or_else(|| self.sweeping(now_s, c))
            .unwrap_or(Act::Error(UNDEFINED))
    }

    fn lock(&mut self, now_s: f64, c: &Command) -> Act {
        if c.query {
            return Act::say(format!("+{}", u8::from(self.is_locked(now_s))));
        }
        let Some((state, password)) = c.argument.split_once(',') else { return Act::Error(MISSING) };
        match (scpi::switch(state.trim()), password.trim().trim_matches('"') == PASSWORD) {
            (Some(locked), true) => {
                self.locked = locked;
                self.on &= !locked;
                Act::Done
            }
            (Some(_), false) => Act::Error((-224, "Illegal parameter value")),
            (None, _) => Act::Error(DATA_TYPE),
        }
    }

    fn output(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("[SOURce][:CHANnel]:POWer:STATe") || is("OUTPut[:CHANnel][:STATe]") {
            let lit = self.world.inner.borrow().laser_w(now_s) > 0.0;
            if c.query {
                return Some(Act::say(format!("+{}", u8::from(self.on && (lit || now_s < self.settled_s)))));
            }
            return Some(self.switch(now_s, &c.argument));
        }
        if is("[SOURce][:CHANnel]:POWer:UNIT") {
            if c.query {
                return Some(Act::say(format!("+{}", u8::from(self.watts_unit))));
            }
            return Some(match c.argument.to_ascii_uppercase().as_str() {
                "0" | "DBM" => self.unit(false),
                "1" | "W" | "WATT" => self.unit(true),
                _ => Act::Error(DATA_TYPE),
            });
        }
        if is("[SOURce][:CHANnel]:POWer[:LEVel][:IMMediate][:AMPLitude]") {
            return Some(self.level(c));
        }
        None
    }

    fn unit(&mut self, watts: bool) -> Act {
        self.watts_unit = watts;
        Act::Done
    }

    fn switch(&mut self, now_s: f64, argument: &str) -> Act {
        let Some(on) = scpi::switch(argument) else {
            return Act::Error(if argument.is_empty() { MISSING } else { DATA_TYPE });
        };
        if on && self.locked {
            return Act::Error(LOCKED);
        }
        if on && self.is_locked(now_s) {
            return Act::Error(INTERLOCK);
        }
        if on && !self.on {
            self.settled_s = now_s + self.world.inner.borrow().plan.light.settle_s;
        }
        self.on = on;
        Act::Done
    }

    fn level(&mut self, c: &Command) -> Act {
        let in_unit = |dbm: f64, watts: bool| if watts { 1e-3 * 10f64.powf(dbm / 10.0) } else { dbm };
        if c.query {
            let dbm = match c.argument.to_ascii_uppercase().as_str() {
                "" => self.level_dbm,
                "MIN" => LEVELS.0,
                "MAX" => LEVELS.1,
                _ => return Act::Error(DATA_TYPE),
            };
            return Act::say(scpi::exponent(in_unit(dbm, self.watts_unit), 8, 3, true));
        }
        let Some((value, unit)) = scpi::number(&c.argument) else {
            return Act::Error(if c.argument.is_empty() { MISSING } else { DATA_TYPE });
        };
        let dbm_of = |watts: f64| 10.0 * (watts / 1e-3).log10();
        let dbm = match (unit.as_str(), self.watts_unit) {
            ("DBM", _) | ("", false) => value,
            ("W", _) | ("", true) => dbm_of(value),
            ("MW", _) => dbm_of(value * 1e-3),
            ("UW", _) => dbm_of(value * 1e-6),
            _ => return Act::Error(SUFFIX),
        };
        if !(LEVELS.0..=LEVELS.1).contains(&dbm) {
            return Act::Error(OUT_OF_RANGE);
        }
        self.level_dbm = dbm;
        Act::Done
    }

    fn wavelength(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        if !scpi::is(&c.header, "[SOURce][:CHANnel]:WAVelength[:CW][:FIXed]") {
            return None;
        }
        if c.query {
            let metres = match c.argument.to_ascii_uppercase().as_str() {
                "" => self.sweep.at(now_s).unwrap_or(self.wavelength_m),
                "MIN" => self.band.0,
                "MAX" => self.band.1,
                _ => return Some(Act::Error(DATA_TYPE)),
            };
            return Some(Act::say(scpi::exponent(metres, 8, 3, true)));
        }
        let named = match c.argument.to_ascii_uppercase().as_str() {
            "MIN" => Some((self.band.0, "M".to_string())),
            "MAX" => Some((self.band.1, "M".to_string())),
            _ => scpi::number(&c.argument),
        };
        let Some((value, unit)) = named else {
            return Some(Act::Error(if c.argument.is_empty() { MISSING } else { DATA_TYPE }));
        };
        let Some(metres) = metres(value, &unit) else { return Some(Act::Error(SUFFIX)) };
        if metres < self.band.0 * (1.0 - 1e-12) || metres > self.band.1 * (1.0 + 1e-12) {
            return Some(Act::Error(OUT_OF_RANGE));
        }
        if self.sweep.state() != 0 {
            return Some(Act::Error(INTERLOCK));
        }
        if (metres - self.wavelength_m).abs() > 1e-13 {
            self.settled_s = self.settled_s.max(now_s + TUNE_S);
        }
        self.wavelength_m = metres;
        Some(Act::Done)
    }
}

/// A length with its unit in m; `None` for a unit that is none of length.
fn metres(value: f64, unit: &str) -> Option<f64> {
    Some(match unit {
        "" | "M" => value,
        "UM" => value * 1e-6,
        "NM" => value * 1e-9,
        "PM" => value * 1e-12,
        _ => return None,
    })
}

/// The wavelength at power-on, m.
fn at_power_on(band: (f64, f64)) -> f64 {
    if band == C_BAND { 1550e-9 } else { 1310e-9 }
}

impl Device for KeysightLaser {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                // CR LF is the end of a line and of an empty one.
                b'\n' | b'\r' => self.line_ended(now_s),
                _ => self.lines.push(*byte),
            }
        }
    }

    fn due(&self) -> Option<f64> {
        self.replies.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        let (world, model) = (self.world.clone(), self.model.clone());
        *self = KeysightLaser::new(world, Some(&model));
        self.tell_world(now_s);
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
    }
}
