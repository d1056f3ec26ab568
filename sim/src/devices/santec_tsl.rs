//! A Santec tunable laser (TSL-550, TSL-570): SCPI with CR at the end of lines. From the maker's command tables and what
//! public drivers (PyMeasure, QCoDeS, QMI) send.
//!
//! While it sweeps, the world has the wavelength of the moment at which the laser was last asked something.

mod sweep;
#[cfg(test)]
mod tests;
mod triggers;

use super::lines::Lines;
use super::scpi::{self, Command, Errors, MISSING, OUT_OF_RANGE, TOO_MUCH, UNDEFINED};
use super::{Device, Replies};
use crate::world::World;

use sweep::Sweep;
use triggers::Triggers;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.001;
/// Tuning to another wavelength, seconds.
const TUNE_S: f64 = 0.3;
/// Bands, m: the usual one, and that of a laser for the O band.
const BAND: (f64, f64) = (1480e-9, 1640e-9);
const O_BAND: (f64, f64) = (1240e-9, 1380e-9);
/// Output levels, dBm.
const LEVELS: (f64, f64) = (-15.0, 13.0);
/// Fine tuning goes from -100 to 100; one of it is so much wavelength, m: an assumption, of the order of the maker's range.
const FINE_M: f64 = 1e-13;
/// From an order to start again, or to shut down, until nothing is heard; and how long starting again takes, seconds.
const DEAF_S: f64 = 0.5;
const REBOOT_S: f64 = 60.0;
const INTERLOCK: &str = "No07.,Inter lock detection";
/// Speed of light, m/s (SI, exact).
const LIGHT_M_S: f64 = 299_792_458.0;

/// What is not in the maker's table of errors is not said: the table has neither a settings conflict nor an invalid suffix.
const CONFLICT: (i32, &str) = (-200, "Execution error");
const CHARACTERS: (i32, &str) = (-148, "Character data not allowed");

/// What a command comes to: an answer, nothing to say, or an error.
type Act = Result<Option<String>, (i32, &'static str)>;

fn say(text: impl Into<String>) -> Act {
    Ok(Some(text.into()))
}

/// What a reset takes back.
#[derive(Debug, Clone)]
struct Settings {
    /// The diode is on.
    on: bool,
    shutter_closed: bool,
    milliwatts: bool,
    level_dbm: f64,
    attenuator_auto: bool,
    coherence: bool,
    wavelength_m: f64,
    /// The display shows terahertz.
    terahertz: bool,
    /// Fine tuning, -100 to 100; none where it is off.
    fine: Option<f64>,
    sweep: Sweep,
    triggers: Triggers,
}

impl Settings {
    fn new(band: (f64, f64)) -> Settings {
        Settings {
            on: false,
            shutter_closed: true,
            milliwatts: false,
            level_dbm: 0.0,
            attenuator_auto: true,
            coherence: false,
            wavelength_m: if band == O_BAND { 1310e-9 } else { 1550e-9 },
            terahertz: false,
            fine: None,
            sweep: Sweep::over(band),
            triggers: Triggers::default(),
        }
    }
}

pub(super) struct SantecTsl {
    world: World,
    model: String,
    band: (f64, f64),
    lines: Lines,
    replies: Replies,
    errors: Errors,
    /// Alerts not asked for yet.
    alerts: Vec<&'static str>,
    refuse: bool,
    /// It hears nothing between these times.
    deaf_s: (f64, f64),
    /// Metres and hertz in place of nanometres and terahertz; kept over power off.
    si_units: bool,
    set: Settings,
    settled_s: f64,
}

impl SantecTsl {
    pub(super) fn new(world: World, model: Option<&str>) -> SantecTsl {
        let model = model.unwrap_or("TSL-570").to_ascii_uppercase();
        let band = if model.ends_with("-O") { O_BAND } else { BAND };
        SantecTsl {
            world,
            band,
            model: model.trim_end_matches("-O").to_string(),
            lines: Lines::default(),
            replies: Replies::default(),
            errors: Errors::default(),
            alerts: Vec::new(),
            refuse: false,
            deaf_s: (f64::INFINITY, f64::INFINITY),
            si_units: false,
            set: Settings::new(band),
            settled_s: f64::NEG_INFINITY,
        }
    }

    fn line_ended(&mut self, now_s: f64) {
        let Ok(line) = self.lines.end() else {
            self.errors.raise(TOO_MUCH.0, TOO_MUCH.1);
            return;
        };
        if (self.deaf_s.0..self.deaf_s.1).contains(&now_s) {
            return;
        }
        let mut answers: Vec<String> = Vec::new();
        for command in scpi::commands(&line) {
            let act = if self.refuse && !scpi::is(&command.header, "SYSTem:ERRor[:NEXT]") {
                Err((-200, "Execution error"))
            } else {
                self.act(now_s, &command)
            };
            match act {
                Ok(answer) => answers.extend(answer),
                Err((code, text)) => self.errors.raise(code, text),
            }
        }
        if !answers.is_empty() {
            self.replies.push(now_s + COMMAND_S, format!("{}\r", answers.join(";")).into_bytes());
        }
        self.tell_world(now_s);
    }

    fn tell_world(&mut self, now_s: f64) {
        let mut inner = self.world.inner.borrow_mut();
        inner.source.level_w = 1e-3 * 10f64.powf(self.set.level_dbm / 10.0);
        inner.source.wavelength_um = self.emitted_m(now_s) * 1e6;
        let since = inner.source.on_since_s;
        let lit = self.set.on && !self.set.shutter_closed;
        inner.source.on_since_s = lit.then(|| since.unwrap_or(now_s));
    }

    fn wavelength_m(&self, now_s: f64) -> f64 {
        self.set.sweep.at(now_s).unwrap_or(self.set.wavelength_m)
    }

    /// With fine tuning, which is not shown.
    fn emitted_m(&self, now_s: f64) -> f64 {
        self.wavelength_m(now_s) + self.set.fine.unwrap_or(0.0) * FINE_M
    }

    fn act(&mut self, now_s: f64, c: &Command) -> Act {
        if let Some(end_m) = self.set.sweep.tick(now_s) {
            self.set.wavelength_m = end_m;
            self.set.triggers.swept(self.set.sweep.start_m, self.set.sweep.stop_m);
        }
        if let Some(answer) = self.errors.common(c, 0) {
            return answer;
        }
        match (c.header.to_ascii_uppercase().as_str(), c.query) {
            ("*IDN", true) => return say(format!("SANTEC,{},00000501,0027.0027.0011", self.model)),
            // 0 while something goes on; it does not wait.
            ("*OPC", true) => return say(u8::from(now_s >= self.settled_s).to_string()),
            ("*CLS", false) => {
                self.errors.clear();
                return Ok(None);
            }
            ("*OPC" | "*WAI", false) => return Ok(None),
            ("*RST", false) => {
                self.set = Settings::new(self.band);
                return Ok(None);
            }
            ("*TST", true) => return say("0"),
            _ => {}
        }
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("SYSTem:ERRor[:NEXT]") && c.query {
            let (code, text) = self.errors.next().unwrap_or((0, "No error"));
            return say(format!("{code},\"{text}\""));
        }
        if is("SYSTem:ALERt") && c.query {
            return say(if self.alerts.is_empty() { "No alerts." } else { self.alerts.remove(0) });
        }
        if is("SYSTem:COMMunicate:CODe") {
            return flag(c, &mut self.si_units);
        }
        if is("SPECial:REBoot") && !c.query {
            self.restart(now_s);
            self.deaf_s = (now_s + DEAF_S, now_s + DEAF_S + REBOOT_S);
            return Ok(None);
        }
        if is("SPECial:SHUTdown") && !c.query {
            self.set = Settings::new(self.band);
            self.deaf_s = (now_s + DEAF_S, f64::INFINITY);
            return Ok(None);
        }
        self.output(now_s, c)
            .or_else(|| self.wavelength(now_s, c))
            .or_else(|| self.sweeping(now_s, c))
            .or_else(|| self.triggering(now_s, c))
            .unwrap_or(Err(UNDEFINED))
    }

    fn output(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("POWer:STATe") {
            return Some(self.diode(now_s, c));
        }
        if is("POWer:SHUTter") {
            return Some(flag(c, &mut self.set.shutter_closed));
        }
        if is("POWer:UNIT") {
            return Some(flag(c, &mut self.set.milliwatts));
        }
        if is("POWer:ATTenuation:AUTo") {
            return Some(flag(c, &mut self.set.attenuator_auto));
        }
        if is("COHCtrl") || is("COHC") {
            return Some(flag(c, &mut self.set.coherence));
        }
        if is("POWer:ACTual") {
            // The monitor is before the shutter.
            let watts = if self.set.on { 1e-3 * 10f64.powf(self.set.level_dbm / 10.0) } else { 0.0 };
            return Some(if c.query {
                say(self.level_text(10.0 * (watts.max(1e-9) / 1e-3).log10()))
            } else {
                Err(UNDEFINED)
            });
        }
        is("POWer[:LEVel]").then(|| self.level(c))
    }

    fn diode(&mut self, now_s: f64, c: &Command) -> Act {
        if c.query {
            return say(u8::from(self.set.on).to_string());
        }
        let on = switch(&c.argument)?;
        if on && self.world.inner.borrow().interlock_open(now_s) {
            self.alerts.push(INTERLOCK);
            return Err((-200, "Execution error"));
        }
        if on && !self.set.on {
            self.settled_s = now_s + self.world.inner.borrow().plan.light.settle_s;
        }
        self.set.on = on;
        Ok(None)
    }

    fn level_text(&self, dbm: f64) -> String {
        let value = if self.set.milliwatts { 10f64.powf(dbm / 10.0) } else { dbm };
        scpi::exponent(value, 8, 3, true)
    }

    fn level(&mut self, c: &Command) -> Act {
        if c.query {
            return match c.argument.to_ascii_uppercase().as_str() {
                "" => say(self.level_text(self.set.level_dbm)),
                "MIN" => say(self.level_text(LEVELS.0)),
                "MAX" => say(self.level_text(LEVELS.1)),
                _ => Err(CHARACTERS),
            };
        }
        let (value, unit) = number(&c.argument)?;
        let dbm = match (unit.as_str(), self.set.milliwatts) {
            ("DBM", _) | ("", false) => value,
            ("MW", _) | ("", true) => 10.0 * value.log10(),
            _ => return Err(CHARACTERS),
        };
        if !(LEVELS.0..=LEVELS.1).contains(&dbm) {
            return Err(OUT_OF_RANGE);
        }
        self.set.level_dbm = dbm;
        Ok(None)
    }

    /// A wavelength as it is told: in metres, or in nanometres by the legacy set.
    fn length_text(&self, metres: f64) -> String {
        if self.si_units { scpi::exponent(metres, 10, 3, true) } else { format!("{:.4}", metres * 1e9) }
    }

    fn frequency_text(&self, metres: f64) -> String {
        let hertz = LIGHT_M_S / metres;
        if self.si_units { scpi::exponent(hertz, 10, 3, true) } else { format!("{:.6}", hertz * 1e-12) }
    }

    fn metres(&self, argument: &str) -> Result<f64, (i32, &'static str)> {
        let (value, unit) = number(argument)?;
        match (unit.as_str(), self.si_units) {
            ("M", _) | ("", true) => Ok(value),
            ("NM", _) | ("", false) => Ok(value * 1e-9),
            _ => Err(CHARACTERS),
        }
    }

    fn metres_of_frequency(&self, argument: &str) -> Result<f64, (i32, &'static str)> {
        let (value, unit) = number(argument)?;
        match (unit.as_str(), self.si_units) {
            ("HZ", _) | ("", true) => Ok(LIGHT_M_S / value),
            ("THZ", _) | ("", false) => Ok(LIGHT_M_S / (value * 1e12)),
            _ => Err(CHARACTERS),
        }
    }

    fn within_band(&self, metres: f64) -> Result<f64, (i32, &'static str)> {
        let inside = (self.band.0 * (1.0 - 1e-9)..=self.band.1 * (1.0 + 1e-9)).contains(&metres);
        if inside { Ok(metres) } else { Err(OUT_OF_RANGE) }
    }

    /// Wavelength and frequency at rest.
    fn wavelength(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let (low_m, high_m) = self.band;
        if c.query {
            let lengths = [("WAVelength:MINimum", low_m), ("WAVelength:MAXimum", high_m)];
            if let Some((_, end_m)) = lengths.iter().find(|(pattern, _)| is(pattern)) {
                return Some(say(self.length_text(*end_m)));
            }
            let frequencies = [("[WAVelength]:FREQuency:MINimum", high_m), ("[WAVelength]:FREQuency:MAXimum", low_m)];
            if let Some((_, end_m)) = frequencies.iter().find(|(pattern, _)| is(pattern)) {
                return Some(say(self.frequency_text(*end_m)));
            }
        }
        if is("WAVelength:UNIT") {
            return Some(flag(c, &mut self.set.terahertz));
        }
        if is("WAVelength:FINe:DISable") && !c.query {
            self.set.fine = None;
            return Some(Ok(None));
        }
        if is("WAVelength:FINe") {
            return Some(self.fine(c));
        }
        let by_frequency = is("[WAVelength]:FREQuency");
        if !by_frequency && !is("WAVelength") {
            return None;
        }
        let text = |laser: &SantecTsl, metres| {
            if by_frequency { laser.frequency_text(metres) } else { laser.length_text(metres) }
        };
        if c.query {
            let (least, most) = if by_frequency { (self.band.1, self.band.0) } else { self.band };
            return Some(match c.argument.to_ascii_uppercase().as_str() {
                "" => say(text(self, self.wavelength_m(now_s))),
                "MIN" => say(text(self, least)),
                "MAX" => say(text(self, most)),
                _ => Err(CHARACTERS),
            });
        }
        Some(
            self.tune(
                now_s,
                if by_frequency { self.metres_of_frequency(&c.argument) } else { self.metres(&c.argument) },
            ),
        )
    }

    fn fine(&mut self, c: &Command) -> Act {
        if c.query {
            return say(format!("{:.2}", self.set.fine.unwrap_or(0.0)));
        }
        let (value, _) = number(&c.argument)?;
        if !(-100.0..=100.0).contains(&value) {
            return Err(OUT_OF_RANGE);
        }
        self.set.fine = Some(value);
        Ok(None)
    }

    fn tune(&mut self, now_s: f64, metres: Result<f64, (i32, &'static str)>) -> Act {
        let metres = self.within_band(metres?)?;
        if self.set.sweep.is_running() {
            return Err(CONFLICT);
        }
        if (metres - self.set.wavelength_m).abs() > 1e-13 {
            self.settled_s = self.settled_s.max(now_s + TUNE_S);
        }
        self.set.wavelength_m = metres;
        Ok(None)
    }

    /// Sweeps: their ends, how they go, and starting them.
    fn sweeping(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("WAVelength:SWEep[:STATe]") {
            return Some(self.sweep_state(now_s, c));
        }
        if is("WAVelength:SWEep:COUNt") && c.query {
            return Some(say(self.set.sweep.count(now_s).to_string()));
        }
        if (is("WAVelength:SWEep:REPeat") || is("WAVelength:SWEep:STATe:REPeat")) && !c.query {
            return Some(self.start_sweep(now_s, true));
        }
        if c.query && is("WAVelength:SWEep:RANGe:MINimum") {
            return Some(say(self.length_text(self.band.0)));
        }
        if c.query && is("WAVelength:SWEep:RANGe:MAXimum") {
            return Some(say(self.length_text(self.band.1)));
        }
        if c.query && is("FREQuency:SWEep:RANGe:MINimum") {
            return Some(say(self.frequency_text(self.band.1)));
        }
        if c.query && is("FREQuency:SWEep:RANGe:MAXimum") {
            return Some(say(self.frequency_text(self.band.0)));
        }
        self.sweep_ends(c).or_else(|| self.sweep_manner(c))
    }

    fn sweep_ends(&mut self, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let by_frequency = c.header.to_ascii_uppercase().contains("FREQ");
        let first = is("WAVelength:SWEep:STARt") || is("[WAVelength]:FREQuency:SWEep:STARt");
        let last = is("WAVelength:SWEep:STOP") || is("[WAVelength]:FREQuency:SWEep:STOP");
        if is("WAVelength:SWEep:STEP") {
            if c.query {
                return Some(say(self.length_text(self.set.sweep.step_m)));
            }
            return Some(self.metres(&c.argument).and_then(|m| {
                if !(0.1e-12..=self.band.1 - self.band.0).contains(&m) {
                    return Err(OUT_OF_RANGE);
                }
                self.set.sweep.step_m = m;
                Ok(None)
            }));
        }
        if !first && !last {
            return None;
        }
        let present = if first { self.set.sweep.start_m } else { self.set.sweep.stop_m };
        if c.query {
            return Some(say(if by_frequency { self.frequency_text(present) } else { self.length_text(present) }));
        }
        let given = if by_frequency { self.metres_of_frequency(&c.argument) } else { self.metres(&c.argument) };
        Some(given.and_then(|m| self.within_band(m)).map(|m| {
            let end = if first { &mut self.set.sweep.start_m } else { &mut self.set.sweep.stop_m };
            *end = m;
            None
        }))
    }

    fn sweep_manner(&mut self, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let sweep = &mut self.set.sweep;
        let (value, limits) = if is("WAVelength:SWEep:SPEed") {
            (&mut sweep.speed_nm_s, (0.5, 200.0))
        } else if is("WAVelength:SWEep:DWELl") {
            (&mut sweep.dwell_s, (0.0, 999.9))
        } else if is("WAVelength:SWEep:DELay") {
            (&mut sweep.delay_s, (0.0, 999.9))
        } else if is("WAVelength:SWEep:CYCLes") {
            (&mut sweep.cycles, (0.0, 999.0))
        } else if is("WAVelength:SWEep:MODe") {
            (&mut sweep.mode, (0.0, 3.0))
        } else {
            return None;
        };
        if c.query {
            return Some(say(value.to_string()));
        }
        Some(number(&c.argument).and_then(|(given, _)| {
            if !(limits.0..=limits.1).contains(&given) {
                return Err(OUT_OF_RANGE);
            }
            *value = given;
            Ok(None)
        }))
    }

    fn start_sweep(&mut self, now_s: f64, for_ever: bool) -> Act {
        if self.set.sweep.is_running()
            || self.set.triggers.waits.is_some()
            || self.set.sweep.start_m >= self.set.sweep.stop_m
            || !self.set.on
        {
            return Err(CONFLICT);
        }
        self.set.triggers.forget();
        if self.set.triggers.standby {
            self.set.triggers.waits = Some(for_ever);
        } else {
            self.set.sweep.start(now_s, for_ever);
        }
        Ok(None)
    }

    fn sweep_state(&mut self, now_s: f64, c: &Command) -> Act {
        if c.query {
            return say(match (self.set.triggers.waits, self.set.sweep.is_running()) {
                (Some(_), _) => "3",
                (None, true) => "1",
                (None, false) => "0",
            });
        }
        if switch(&c.argument)? {
            return self.start_sweep(now_s, false);
        }
        self.set.wavelength_m = self.wavelength_m(now_s);
        self.set.sweep.stop();
        self.set.triggers.waits = None;
        Ok(None)
    }
}

fn number(argument: &str) -> Result<(f64, String), (i32, &'static str)> {
    scpi::number(argument).ok_or(if argument.is_empty() { MISSING } else { CHARACTERS })
}

fn switch(argument: &str) -> Result<bool, (i32, &'static str)> {
    scpi::switch(argument).ok_or(if argument.is_empty() { MISSING } else { CHARACTERS })
}

/// A setting that is 0 or 1.
fn flag(c: &Command, value: &mut bool) -> Act {
    if c.query {
        return say(u8::from(*value).to_string());
    }
    *value = switch(&c.argument)?;
    Ok(None)
}

impl Device for SantecTsl {
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
        self.set = Settings::new(self.band);
        self.errors = Errors::default();
        self.alerts.clear();
        self.deaf_s = (f64::INFINITY, f64::INFINITY);
        self.settled_s = f64::NEG_INFINITY;
        self.hang_up();
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
