//! The commands of a Keysight multi-port meter by subsystem; each gives `None` for a header that is not its own.

use super::port::{Port, Settings, TriggerInput};
use super::{Act, KeysightPm};
use crate::devices::scpi::{self, Command, DATA_TYPE, MISSING, OUT_OF_RANGE};
use crate::light::detector::Reading;

/// Wavelengths of the InGaAs heads, m.
const WAVELENGTHS_M: (f64, f64) = (1250e-9, 1650e-9);
/// Longest averaging time, s.
const AVERAGING_MOST_S: f64 = 10.0;
/// Largest correction either way, dB.
const LOSS_MOST_DB: f64 = 200.0;
/// Words of the trigger connectors' configuration, by number, and the one at power-on.
const CONFIGURATIONS: [(&str, &str); 4] =
    [("DISabled", "DIS"), ("DEFault", "DEF"), ("PASSthrough", "PASS"), ("LOOPback", "LOOP")];
pub(super) const TRIGGER_DEFAULT: usize = 1;
const OUTPUTS: [(&str, &str); 3] = [("DISabled", "DIS"), ("AVGover", "AVG"), ("MEASure", "MEAS")];

const SUFFIX: (i32, &str) = (-131, "Invalid suffix");
const ILLEGAL: (i32, &str) = (-224, "Illegal parameter value");
const CONFLICT: (i32, &str) = (-221, "Settings conflict");
/// For what only the first channel of a dual head takes.
const SLAVE: (i32, &str) = (-200, "Execution error");
const QUESTIONABLE: (i32, &str) = (-231, "Data questionable");

fn number(value: f64) -> Act {
    if value.abs() >= super::port::BEYOND {
        return Act::say(scpi::exponent(value, 5, 3, true));
    }
    Act::say(scpi::exponent(value, 8, 3, true))
}

fn integer(value: usize) -> Act {
    Act::say(format!("+{value}"))
}

fn switch(argument: &str) -> Result<bool, (i32, &'static str)> {
    scpi::switch(argument).ok_or(if argument.is_empty() { MISSING } else { DATA_TYPE })
}

/// A number by the factors of its units; the first is what a bare number has.
fn scaled(argument: &str, units: &[(&str, f64)]) -> Result<f64, (i32, &'static str)> {
    let (value, unit) = scpi::number(argument).ok_or(if argument.is_empty() { MISSING } else { DATA_TYPE })?;
    if unit.is_empty() {
        return Ok(value * units.first().map_or(1.0, |(_, factor)| *factor));
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or(SUFFIX)?;
    Ok(value * factor)
}

const SECONDS: &[(&str, f64)] = &[("S", 1.0), ("MS", 1e-3), ("US", 1e-6), ("NS", 1e-9)];
const METRES: &[(&str, f64)] = &[("M", 1.0), ("UM", 1e-6), ("NM", 1e-9), ("PM", 1e-12)];

fn within(value: f64, (low, high): (f64, f64)) -> Result<f64, (i32, &'static str)> {
    let slack = 1e-9 * high.abs();
    if (low - slack..=high + slack).contains(&value) { Ok(value.clamp(low, high)) } else { Err(OUT_OF_RANGE) }
}

fn done(result: Result<(), (i32, &'static str)>) -> Act {
    result.map_or_else(Act::Error, |()| Act::Done)
}

impl KeysightPm {
    /// Queries and settings of all ports at once.
    pub(super) fn all_ports(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let csv = self.model.is_multi_port();
        if c.query {
            let conf = is("READ[:SCALar]:POWer[:DC]:ALL:CONFig") || is("FETCh[:SCALar]:POWer[:DC]:ALL:CONFig");
            if conf {
                return Some(Act::Say(scpi::block(&self.places())));
            }
            if is("READ[:SCALar]:POWer[:DC]:ALL") || is("FETCh[:SCALar]:POWer[:DC]:ALL") {
                return Some(self.all(now_s, c.header.to_ascii_uppercase().starts_with("READ"), false));
            }
            if csv && (is("READ[:SCALar]:POWer[:DC]:ALL:CSV") || is("FETCh[:SCALar]:POWer[:DC]:ALL:CSV")) {
                return Some(self.all(now_s, c.header.to_ascii_uppercase().starts_with("READ"), true));
            }
            if csv && is("SENSe:POWer:UNIT:ALL:CSV") {
                let units: Vec<&str> = self.ports.iter().map(|p| if p.set.dbm { "0" } else { "1" }).collect();
                return Some(Act::say(units.join(",")));
            }
            return None;
        }
        if self.model.is_c() && is("SENSe:POWer:WAVelength:ALL") {
            let metres = scaled(&c.argument, METRES).and_then(|m| within(m, WAVELENGTHS_M));
            return Some(done(metres.map(|m| self.change_all(now_s, |set| set.wavelength_m = m))));
        }
        if is("SENSe:CORRection:COLLect:ZERO:ALL") {
            self.stop_logging(0..self.ports.len());
            self.ports.iter_mut().for_each(|p| p.zero(now_s));
            return Some(Act::Done);
        }
        None
    }

    /// Slot and channel of each port as pairs of 16-bit numbers.
    fn places(&self) -> Vec<u8> {
        let pair = |p: &Port| [p.slot, p.channel].map(|n| u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes());
        self.ports.iter().flat_map(pair).flatten().collect()
    }

    fn all(&mut self, now_s: f64, read: bool, csv: bool) -> Act {
        let mut ready = now_s;
        let mut values = Vec::new();
        // The guide says watts; C models give the unit that is set (autosweep's author saw it).
        let watts = !self.model.is_c() && !csv;
        for port in &mut self.ports {
            if read && !port.set.continuous {
                port.trigger(now_s);
            }
            let Some((at, reading)) = port.fetch(now_s) else { return Act::Error(QUESTIONABLE) };
            ready = ready.max(at);
            values.push(port.value(reading, watts));
        }
        if csv {
            let words: Vec<String> = values.iter().map(|v| scpi::exponent(*v, 8, 3, true)).collect();
            return Act::SayAt(ready, words.join(",").into_bytes());
        }
        Act::SayAt(ready, scpi::block(&floats(values.into_iter())))
    }

    fn change_all(&mut self, now_s: f64, change: impl Fn(&mut Settings)) {
        self.stop_logging(0..self.ports.len());
        for port in &mut self.ports {
            change(&mut port.set);
            port.restart(now_s);
        }
    }

    /// A setting of a port changes; whatever was being logged there is lost (LabExT: "as it stops the logging again").
    fn change(&mut self, now_s: f64, at: usize, change: impl FnOnce(&mut Settings)) {
        self.stop_logging(at..at + 1);
        let port = &mut self.ports[at];
        change(&mut port.set);
        port.restart(now_s);
    }

    /// A setting of a whole module changes, such as averaging and triggers of a dual head: it is its first channel's alone.
    fn change_module(&mut self, now_s: f64, at: usize, change: impl Fn(&mut Settings)) -> Act {
        let (slot, channel) = (self.ports[at].slot, self.ports[at].channel);
        if channel != 1 {
            return Act::Error(SLAVE);
        }
        for mate in (0..self.ports.len()).filter(|p| self.ports[*p].slot == slot).collect::<Vec<_>>() {
            self.change(now_s, mate, &change);
        }
        Act::Done
    }

    fn stop_logging(&mut self, ports: std::ops::Range<usize>) {
        for log in &mut self.logs {
            if log.is_active() && log.ports.iter().any(|p| ports.contains(p)) {
                log.stop();
            }
        }
    }

    /// The trigger connectors, and a trigger by command.
    pub(super) fn triggers(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        if scpi::is(&c.header, "TRIGger:CONFiguration") {
            if c.query {
                return Some(Act::say(CONFIGURATIONS[self.trigger_configuration].1));
            }
            let found = choice(&c.argument, &CONFIGURATIONS, true);
            return Some(done(found.map(|k| self.trigger_configuration = k)));
        }
        if scpi::is(&c.header, "TRIGger") && !c.query {
            return Some(match c.argument.to_ascii_uppercase().as_str() {
                "1" | "NODEA" => {
                    self.trigger_input(now_s);
                    Act::Done
                }
                "2" | "NODEB" => Act::Done,
                "" => Act::Error(MISSING),
                _ => Act::Error(ILLEGAL),
            });
        }
        None
    }

    fn trigger_input(&mut self, now_s: f64) {
        if self.trigger_configuration == 0 {
            return;
        }
        self.logs.iter_mut().for_each(|log| log.trigger(now_s));
        for (at, port) in self.ports.iter_mut().enumerate() {
            let logged = self.logs.iter().any(|log| log.is_active() && log.ports.contains(&at));
            if !logged && port.set.trigger_in == TriggerInput::Single && !port.set.continuous {
                port.trigger(now_s);
            }
        }
    }

    /// Measurements of one port.
    pub(super) fn measuring(&mut self, now_s: f64, c: &Command, at: usize) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let port = &mut self.ports[at];
        if c.query && (is("FETCh[:SCALar]:POWer[:DC]") || is("READ[:SCALar]:POWer[:DC]")) {
            if is("READ[:SCALar]:POWer[:DC]") && !port.set.continuous {
                port.trigger(now_s);
            }
            let Some((ready, reading)) = port.fetch(now_s) else { return Some(Act::Error(QUESTIONABLE)) };
            let Act::Say(text) = number(port.value(reading, false)) else { return None };
            return Some(Act::SayAt(ready, text));
        }
        if is("INITiate[:IMMediate]") && !c.query {
            if port.set.continuous {
                return Some(Act::Error((-213, "Init ignored")));
            }
            port.trigger(now_s);
            return Some(Act::Done);
        }
        if is("INITiate:CONTinuous") {
            return Some(self.free_run(now_s, c, at));
        }
        None
    }

    fn free_run(&mut self, now_s: f64, c: &Command, at: usize) -> Act {
        if c.query {
            return integer(usize::from(self.ports[at].set.continuous));
        }
        match switch(&c.argument) {
            Ok(on) => self.change_module(now_s, at, |set| set.continuous = on),
            Err(error) => Act::Error(error),
        }
    }

    /// Settings of one port.
    pub(super) fn settings(&mut self, now_s: f64, c: &Command, at: usize) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let multi = self.model.is_multi_port();
        let set = &self.ports[at].set;
        if is("SENSe:POWer[:DC]:UNIT") {
            if c.query {
                return Some(integer(usize::from(!set.dbm)));
            }
            let dbm = match c.argument.to_ascii_uppercase().as_str() {
                "0" | "DBM" => true,
                "1" | "W" | "WATT" => false,
                "" => return Some(Act::Error(MISSING)),
                _ => return Some(Act::Error(ILLEGAL)),
            };
            self.change(now_s, at, |set| set.dbm = dbm);
            return Some(Act::Done);
        }
        if is("SENSe:POWer[:DC]:WAVelength") {
            return Some(self.wavelength(now_s, c, at));
        }
        if is("SENSe:POWer[:DC]:ATIMe") {
            if c.query {
                return Some(number(set.averaging_s));
            }
            let limits = (self.model.averaging_least_s(), AVERAGING_MOST_S);
            let time = scaled(&c.argument, SECONDS).and_then(|s| within(s, limits));
            return Some(match time {
                Ok(s) => self.change_module(now_s, at, |set| set.averaging_s = s),
                Err(error) => Act::Error(error),
            });
        }
        if is("SENSe:POWer[:DC]:RANGe:AUTO") {
            if c.query {
                return Some(integer(usize::from(set.auto)));
            }
            return Some(done(switch(&c.argument).map(|on| self.change(now_s, at, |set| set.auto = on))));
        }
        if is("SENSe:POWer[:DC]:RANGe[:UPPer]") {
            return Some(self.range(now_s, c, at));
        }
        if multi && is("SENSe:POWer[:DC]:GAIN:AUTO") {
            if c.query {
                return Some(integer(usize::from(set.gain_auto)));
            }
            return Some(done(switch(&c.argument).map(|on| self.change(now_s, at, |set| set.gain_auto = on))));
        }
        self.corrections(now_s, c, at)
    }

    fn corrections(&mut self, now_s: f64, c: &Command, at: usize) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let set = &self.ports[at].set;
        if is("SENSe:POWer[:DC]:REFerence:STATe") {
            if c.query {
                return Some(integer(usize::from(set.relative)));
            }
            return Some(done(switch(&c.argument).map(|on| self.change(now_s, at, |set| set.relative = on))));
        }
        if is("SENSe:CORRection[:LOSS][:INPut][:MAGNitude]") {
            if c.query {
                return Some(number(set.loss_db));
            }
            let loss = scaled(&c.argument, &[("DB", 1.0)]).and_then(|db| within(db, (-LOSS_MOST_DB, LOSS_MOST_DB)));
            return Some(done(loss.map(|db| self.change(now_s, at, |set| set.loss_db = db))));
        }
        if is("SENSe:POWer[:DC]:REFerence:DISPlay") && !c.query {
            let Some((_, reading)) = self.ports[at].fetch(now_s) else { return Some(Act::Error(QUESTIONABLE)) };
            let Reading::Power(watts) = reading else { return Some(Act::Error(QUESTIONABLE)) };
            self.change(now_s, at, |set| set.reference_dbm = 10.0 * (watts.max(1e-15) / 1e-3).log10());
            return Some(Act::Done);
        }
        None
    }

    fn wavelength(&mut self, now_s: f64, c: &Command, at: usize) -> Act {
        let limit = match c.argument.to_ascii_uppercase().as_str() {
            "MIN" => Some(WAVELENGTHS_M.0),
            "MAX" => Some(WAVELENGTHS_M.1),
            "DEF" => Some(Settings::default().wavelength_m),
            _ => None,
        };
        if c.query {
            return match (limit, c.argument.is_empty()) {
                (Some(metres), _) => number(metres),
                (None, true) => number(self.ports[at].set.wavelength_m),
                (None, false) => Act::Error(DATA_TYPE),
            };
        }
        let metres = match limit {
            Some(metres) => Ok(metres),
            None => scaled(&c.argument, METRES).and_then(|m| within(m, WAVELENGTHS_M)),
        };
        done(metres.map(|m| self.change(now_s, at, |set| set.wavelength_m = m)))
    }

    fn range(&mut self, now_s: f64, c: &Command, at: usize) -> Act {
        #[expect(clippy::cast_precision_loss, reason = "eight ranges")]
        let name_dbm = |range: usize| 10.0 - 10.0 * range as f64;
        if c.query {
            return number(name_dbm(self.ports[at].set.range));
        }
        let dbm = match scaled(&c.argument, &[("DBM", 1.0)]) {
            Ok(dbm) => (dbm / 10.0).round() * 10.0,
            Err(error) => return Act::Error(error),
        };
        let Some(range) = (0..self.model.ranges().len()).find(|k| name_dbm(*k) == dbm) else {
            return Act::Error(OUT_OF_RANGE);
        };
        self.change(now_s, at, |set| set.auto = false);
        self.ports[at].set_range(now_s, range);
        Act::Done
    }

    /// The logging function, and how triggers act on a port.
    pub(super) fn functions(&mut self, now_s: f64, c: &Command, at: usize) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let log = self.logs.iter().position(|log| log.ports.contains(&at))?;
        if is("SENSe:FUNCtion:PARameter:LOGGing") {
            return Some(self.log_parameters(c, log));
        }
        if is("SENSe:FUNCtion:STATe") {
            return Some(self.log_state(now_s, c, log, at));
        }
        if is("SENSe:FUNCtion:RESult") && c.query {
            return Some(self.log_result(log, at, (0, usize::MAX)));
        }
        let multi = self.model.is_multi_port();
        if multi && is("SENSe:FUNCtion:RESult:BLOCk") && c.query {
            let part =
                c.argument.split_once(',').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
            return Some(part.map_or(Act::Error(MISSING), |part| self.log_result(log, at, part)));
        }
        if multi && is("SENSe:FUNCtion:RESult:INDex") && c.query {
            return Some(integer(self.logs[log].count()));
        }
        if scpi::is(&c.header, "TRIGger:INPut") && !c.query && self.ports[at].channel != 1 {
            return Some(Act::Error(SLAVE));
        }
        self.trigger_settings(c, at)
    }

    fn trigger_settings(&mut self, c: &Command, at: usize) -> Option<Act> {
        let set = &mut self.ports[at].set;
        if scpi::is(&c.header, "TRIGger:INPut") {
            const INPUTS: [(&str, &str, TriggerInput); 3] = [
                ("IGNore", "IGN", TriggerInput::Ignore),
                ("SMEasure", "SME", TriggerInput::Single),
                ("CMEasure", "CME", TriggerInput::Complete),
            ];
            if c.query {
                let word = INPUTS.iter().find(|(_, _, i)| *i == set.trigger_in).map_or("IGN", |(_, word, _)| word);
                return Some(Act::say(word));
            }
            let found = INPUTS.iter().find(|(word, _, _)| scpi::word_is(&c.argument, word));
            return Some(found.map_or(Act::Error(ILLEGAL), |(_, _, input)| {
                set.trigger_in = *input;
                Act::Done
            }));
        }
        if scpi::is(&c.header, "TRIGger:OUTPut") {
            if c.query {
                return Some(Act::say(OUTPUTS[set.trigger_out].1));
            }
            return Some(done(choice(&c.argument, &OUTPUTS, false).map(|k| set.trigger_out = k)));
        }
        None
    }

    fn log_parameters(&mut self, c: &Command, log: usize) -> Act {
        let most = self.model.points_most();
        let least_s = self.model.averaging_least_s();
        let log = &mut self.logs[log];
        if c.query {
            return Act::say(format!("+{},{}", log.points, scpi::exponent(log.averaging_s, 8, 3, true)));
        }
        if log.is_active() {
            return Act::Error(CONFLICT);
        }
        let Some((points, time)) = c.argument.split_once(',') else { return Act::Error(MISSING) };
        let points = points.trim().parse::<usize>().map_err(|_| DATA_TYPE);
        let points = points.and_then(|n| if (1..=most).contains(&n) { Ok(n) } else { Err(OUT_OF_RANGE) });
        let time = scaled(time, SECONDS).and_then(|s| within(s, (least_s, AVERAGING_MOST_S)));
        match (points, time) {
            (Ok(points), Ok(time)) => {
                (log.points, log.averaging_s) = (points, time);
                // The function has no averaging time of its own: it leaves this one behind.
                for at in log.ports.clone() {
                    self.ports[at].set.averaging_s = time;
                }
                Act::Done
            }
            (Err(error), _) | (_, Err(error)) => Act::Error(error),
        }
    }

    fn log_state(&mut self, now_s: f64, c: &Command, log: usize, at: usize) -> Act {
        if c.query {
            return Act::say(self.logs[log].words());
        }
        let Some((function, word)) = c.argument.split_once(',') else { return Act::Error(MISSING) };
        if !scpi::word_is(function.trim(), "LOGGing") {
            return Act::Error(ILLEGAL);
        }
        if scpi::word_is(word.trim(), "STOP") {
            self.logs[log].stop();
        } else if scpi::word_is(word.trim(), "STARt") {
            let input = self.ports[at].set.trigger_in;
            self.logs[log].start(now_s, input);
        } else {
            return Act::Error(ILLEGAL);
        }
        Act::Done
    }

    /// A part of what was logged: from an offset, so many samples at most. In the unit set, in watts on a mainframe.
    fn log_result(&self, log: usize, at: usize, (offset, count): (usize, usize)) -> Act {
        let Some(samples) = self.logs[log].result(at) else { return Act::Error(QUESTIONABLE) };
        if offset >= samples.len() || count == 0 {
            return Act::Error(OUT_OF_RANGE);
        }
        let port = &self.ports[at];
        let watts = !self.model.is_multi_port();
        let values = samples[offset..].iter().take(count).map(|s| port.value(*s, watts));
        Act::Say(scpi::block(&floats(values)))
    }

    /// Zeroing one port.
    pub(super) fn zeroing(&mut self, now_s: f64, c: &Command, at: usize) -> Option<Act> {
        if !scpi::is(&c.header, "SENSe:CORRection:COLLect:ZERO") {
            return None;
        }
        if c.query {
            return Some(Act::SayAt(self.ports[at].zeroing_until_s.max(now_s), b"+0".to_vec()));
        }
        self.stop_logging(at..at + 1);
        self.ports[at].zero(now_s);
        Some(Act::Done)
    }

    /// What is in the slots.
    pub(super) fn slots(&self, c: &Command, at: usize) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("SLOT:IDN") && c.query {
            let slot = self.ports[at].slot;
            return Some(Act::say(format!("Keysight Technologies,{},SIM000040{slot},1.010", self.model.module)));
        }
        (is("SLOT:EMPTy") && c.query).then(|| Act::say("+0"))
    }
}

/// The number of a word, or the number itself where `numbered`.
fn choice(argument: &str, words: &[(&str, &str)], numbered: bool) -> Result<usize, (i32, &'static str)> {
    if argument.is_empty() {
        return Err(MISSING);
    }
    if numbered && let Ok(k) = argument.parse::<usize>() {
        return if k < words.len() { Ok(k) } else { Err(ILLEGAL) };
    }
    words.iter().position(|(word, _)| scpi::word_is(argument, word)).ok_or(ILLEGAL)
}

/// Numbers as 32-bit floats, lowest byte first.
fn floats(values: impl Iterator<Item = f64>) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "the device's own precision")]
    values.flat_map(|v| (v as f32).to_le_bytes()).collect()
}
