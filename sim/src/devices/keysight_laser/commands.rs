//! The commands of a Keysight laser for sweeps, their log and triggers.

use super::sweep::{Mode, SPEEDS, STEPS, Sweep};
use super::{Act, INTERLOCK, KeysightLaser, SUFFIX, metres};
use crate::devices::scpi::{self, Command, DATA_TYPE, MISSING, OUT_OF_RANGE, STALE};

const MODES: [(&str, Mode); 3] =
    [("STEPped", Mode::Stepped), ("MANual", Mode::Manual), ("CONTinuous", Mode::Continuous)];
const TRIGGER_OUT: &[&str] = &["DISabled", "AVGover", "MEASure", "MODulation", "STFinished", "SWFinished", "SWSTarted"];
const TRIGGER_IN: &[&str] = &["IGNore", "NEXT", "SWStart"];
/// Steps by hand where no sweep waits for them, or a sweep whose settings do not fit.
const NOT_RUNNING: (i32, &str) = (-221, "Settings conflict");

impl KeysightLaser {
    pub(super) fn sweeping(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let header = &c.header;
        let is = |leaf: &str| scpi::is(header, &format!("[SOURce][:CHANnel]:WAVelength:SWEep{leaf}"));
        let band = self.band;
        if is("[:STATe]") {
            return Some(if c.query { self.say_state() } else { self.run(now_s, &c.argument) });
        }
        if is(":SOFTtrigger") && !c.query {
            return Some(self.step(true));
        }
        if is(":STEP:NEXT") && !c.query {
            return Some(self.step(true));
        }
        if is(":STEP:PREVious") && !c.query {
            return Some(self.step(false));
        }
        if is(":STARt") {
            return Some(length(c, &mut self.sweep.start_m, band));
        }
        if is(":STOP") {
            return Some(length(c, &mut self.sweep.stop_m, band));
        }
        if is(":STEP[:WIDTh]") {
            return Some(length(c, &mut self.sweep.step_m, STEPS));
        }
        if is(":SPEed") {
            let argument = c.argument.to_ascii_uppercase().replace("/S", "");
            return Some(length(&Command { argument, ..c.clone() }, &mut self.sweep.speed_m_s, SPEEDS));
        }
        if is(":MODE") {
            let at = MODES.iter().position(|(_, mode)| *mode == self.sweep.mode).unwrap_or(0);
            return Some(choice(c, &MODES.map(|(word, _)| word), at, |i| self.sweep.mode = MODES[i].1));
        }
        if is(":REPeat") {
            let at = usize::from(self.sweep.two_way);
            return Some(choice(c, &["ONEWay", "TWOWay"], at, |i| self.sweep.two_way = i == 1));
        }
        if is(":LLOGging") {
            return Some(switch(c, &mut self.sweep.logging));
        }
        if is(":CHECkparams") && c.query {
            let (code, text) = self.sweep.check(self.steps_trigger());
            return Some(Act::say(format!("{code},{text}")));
        }
        self.triggers(c).or_else(|| self.log(c))
    }

    fn say_state(&self) -> Act {
        Act::say(format!("+{}", self.sweep.state()))
    }

    fn steps_trigger(&self) -> bool {
        TRIGGER_OUT[self.trigger_out] == "STFinished"
    }

    fn run(&mut self, now_s: f64, argument: &str) -> Act {
        match argument.to_ascii_uppercase().as_str() {
            "0" | "STOP" | "OFF" => {
                self.wavelength_m = self.sweep.at(now_s).unwrap_or(self.wavelength_m);
                self.sweep.stop();
            }
            "1" | "STAR" | "START" | "ON" | "3" | "CONT" | "CONTINUE" => {
                if self.sweep.check(self.steps_trigger()).0 != 0 {
                    return Act::Error(INTERLOCK);
                }
                // It tunes to the start first.
                self.sweep.start(now_s, now_s + super::TUNE_S);
            }
            "2" | "PAUS" | "PAUSE" => self.sweep.pause(now_s),
            "" => return Act::Error(MISSING),
            _ => return Act::Error(DATA_TYPE),
        }
        Act::Done
    }

    fn step(&mut self, forward: bool) -> Act {
        if self.sweep.step(forward) { Act::Done } else { Act::Error(NOT_RUNNING) }
    }

    fn triggers(&mut self, c: &Command) -> Option<Act> {
        if scpi::is(&c.header, "TRIGger[:CHANnel]:OUTPut") {
            return Some(choice(c, TRIGGER_OUT, self.trigger_out, |i| self.trigger_out = i));
        }
        let input = scpi::is(&c.header, "TRIGger[:CHANnel]:INPut");
        input.then(|| choice(c, TRIGGER_IN, self.trigger_in, |i| self.trigger_in = i))
    }

    /// What the last sweep has logged: how many points, and their wavelengths as a block of doubles, low byte first.
    fn log(&self, c: &Command) -> Option<Act> {
        let points = scpi::is(&c.header, "[SOURce][:CHANnel]:READout:POINts");
        let data = scpi::is(&c.header, "[SOURce][:CHANnel]:READout:DATA");
        if !(points || data) || !c.query {
            return None;
        }
        if !scpi::word_is(&c.argument, "LLOGging") {
            return Some(Act::Error(if c.argument.is_empty() { MISSING } else { DATA_TYPE }));
        }
        if points {
            return Some(Act::say(format!("+{}", self.sweep.logged())));
        }
        if self.sweep.logged() == 0 {
            return Some(Act::Error(STALE));
        }
        let bytes: Vec<u8> = self.sweep.log(&self.noise).into_iter().flat_map(f64::to_le_bytes).collect();
        Some(Act::Say(scpi::block(&bytes)))
    }

    /// Back to power-on settings.
    pub(super) fn reset_sweep(&mut self) {
        self.sweep = Sweep::over(self.band);
        (self.trigger_out, self.trigger_in) = (0, 0);
    }
}

/// A wavelength, a step of one, or a speed: told in m (m/s), set in any unit of length.
fn length(c: &Command, field: &mut f64, (low, high): (f64, f64)) -> Act {
    let named = match c.argument.to_ascii_uppercase().as_str() {
        "MIN" => Some(low),
        "MAX" => Some(high),
        _ => None,
    };
    if c.query {
        return match (named, c.argument.is_empty()) {
            (Some(value), _) => Act::say(scpi::exponent(value, 8, 3, true)),
            (None, true) => Act::say(scpi::exponent(*field, 8, 3, true)),
            _ => Act::Error(DATA_TYPE),
        };
    }
    let wanted = match (named, scpi::number(&c.argument)) {
        (Some(value), _) => value,
        (None, Some((value, unit))) => match metres(value, &unit) {
            Some(value) => value,
            None => return Act::Error(SUFFIX),
        },
        (None, None) => return Act::Error(if c.argument.is_empty() { MISSING } else { DATA_TYPE }),
    };
    // A bound that was told in decimal comes back a digit off.
    if wanted < low * (1.0 - 1e-12) || wanted > high * (1.0 + 1e-12) {
        return Act::Error(OUT_OF_RANGE);
    }
    *field = wanted;
    Act::Done
}

/// One word of several, told in its short form.
fn choice(c: &Command, words: &[&str], at: usize, set: impl FnOnce(usize)) -> Act {
    if c.query {
        return Act::say(words[at].chars().filter(|c| !c.is_ascii_lowercase()).collect());
    }
    match words.iter().position(|word| scpi::word_is(&c.argument, word)) {
        Some(i) => set(i),
        None if c.argument.is_empty() => return Act::Error(MISSING),
        None => return Act::Error(DATA_TYPE),
    }
    Act::Done
}

fn switch(c: &Command, field: &mut bool) -> Act {
    if c.query {
        return Act::say(format!("+{}", u8::from(*field)));
    }
    match scpi::switch(&c.argument) {
        Some(on) => *field = on,
        None => return Act::Error(if c.argument.is_empty() { MISSING } else { DATA_TYPE }),
    }
    Act::Done
}
