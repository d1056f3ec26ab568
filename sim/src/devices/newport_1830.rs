//! Newport's optical power meters 1830-C and 1830-R: commands of one letter. From Newport's command set as carried by
//! Instrumental-lib and by public drivers that were tried on the instrument.

use super::lines::Lines;
use super::{Device, Replies, scpi};
use crate::head::Head;
use crate::light::detector::Reading;
use crate::world::World;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.002;
/// One conversion: between 10 and 25 a second.
const CONVERSION_S: f64 = 0.05;
/// Upper ends of the ranges of an InGaAs detector, W, largest first: range 8 to range 1.
const RANGES: [f64; 8] = [2.0, 0.2, 2e-2, 2e-3, 2e-4, 2e-5, 2e-6, 2e-7];
/// Wavelengths of the detector, nm.
const WAVELENGTHS: std::ops::RangeInclusive<u32> = 800..=1650;
/// Conversions caught up with at once: the filter's, and a switch through all ranges.
const CATCH_UP: u64 = 32;

/// Bits of the status byte.
const PARAMETER_ERROR: u8 = 1;
const COMMAND_ERROR: u8 = 2;
const SATURATED: u8 = 4;
const OVER_RANGE: u8 = 8;
const MESSAGE: u8 = 16;
const BUSY: u8 = 32;
const DONE: u8 = 128;

/// What it is set to.
#[derive(Debug, Clone)]
struct Settings {
    attenuator: u32,
    beeper: u32,
    echo: u32,
    filter: u32,
    running: u32,
    light: u32,
    lock: u32,
    units: u32,
    wavelength_nm: u32,
    zero: u32,
    zero_w: f64,
    reference_w: f64,
    /// Index into the ranges.
    range: usize,
    range_since_s: f64,
    auto: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            attenuator: 0,
            beeper: 1,
            echo: 0,
            filter: 2,
            running: 1,
            light: 1,
            lock: 0,
            units: 1,
            wavelength_nm: 1550,
            zero: 0,
            zero_w: 0.0,
            reference_w: 1e-3,
            range: 3,
            range_since_s: f64::NEG_INFINITY,
            auto: true,
        }
    }
}

pub(super) struct Newport1830 {
    head: Head,
    /// The R model takes several commands on a line.
    joins: bool,
    lines: Lines,
    replies: Replies,
    settings: Settings,
    errors: u8,
    refuse: bool,
    /// Conversions that were looked at, and what the last one with a result was.
    conversions: u64,
    shown: Reading,
    fresh: bool,
}

impl Newport1830 {
    pub(super) fn new(world: &World, name: &str, channel: u32, model: Option<&str>) -> Newport1830 {
        Newport1830 {
            head: Head::new(world, name, channel, &RANGES),
            joins: model.is_some_and(|m| m.eq_ignore_ascii_case("1830-R")),
            lines: Lines::default(),
            replies: Replies::default(),
            settings: Settings::default(),
            errors: 0,
            refuse: false,
            conversions: 0,
            shown: Reading::Power(0.0),
            fresh: false,
        }
    }

    /// Carries out the conversions up to a time.
    fn convert(&mut self, now_s: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
        let due = (now_s / CONVERSION_S).max(0.0) as u64;
        for k in self.conversions.max(due.saturating_sub(CATCH_UP)) + 1..=due {
            self.one(k);
        }
        self.conversions = self.conversions.max(due);
    }

    /// One conversion: switches the range by one step at the most, or gives a result.
    fn one(&mut self, index: u64) {
        #[expect(clippy::cast_precision_loss, reason = "counts of conversions")]
        let at_s = index as f64 * CONVERSION_S;
        let s = &mut self.settings;
        if s.running == 0 {
            return;
        }
        if s.auto {
            let fits = self.head.auto_range(s.range, at_s);
            if fits != s.range {
                s.range = if fits > s.range { s.range + 1 } else { s.range - 1 };
                s.range_since_s = at_s;
                self.fresh = false;
                return;
            }
        }
        if at_s < s.range_since_s + self.head.dead_s() + CONVERSION_S {
            return;
        }
        // A running average of the conversions since the range was switched.
        let averaging_s = self.window_s().min(at_s - self.settings.range_since_s).max(CONVERSION_S);
        let s = &self.settings;
        let (_, reading) = self.head.read(at_s - averaging_s, averaging_s, s.range, s.range_since_s);
        self.shown = reading;
        self.fresh = true;
    }

    fn window_s(&self) -> f64 {
        let readings = match self.settings.filter {
            1 => 16.0,
            2 => 4.0,
            _ => 1.0,
        };
        readings * CONVERSION_S
    }

    fn status(&self) -> u8 {
        let bit = |mask: u8, on: bool| if on { mask } else { 0 };
        let over = matches!(self.shown, Reading::Saturated);
        // The answer to this question itself is the message.
        self.errors | MESSAGE | bit(OVER_RANGE | SATURATED, over) | bit(DONE, self.fresh) | bit(BUSY, !self.fresh)
    }

    fn line_ended(&mut self, now_s: f64) {
        let Ok(line) = self.lines.end() else {
            self.errors |= COMMAND_ERROR;
            return;
        };
        self.convert(now_s);
        if self.settings.echo == 1 {
            self.replies.push(now_s + COMMAND_S, format!("{line}\n").into_bytes());
        }
        let parts: Vec<&str> = if self.joins { line.split(';').collect() } else { vec![line.as_str()] };
        for part in parts.into_iter().map(str::trim).filter(|p| !p.is_empty()) {
            if self.refuse {
                self.errors |= COMMAND_ERROR;
                continue;
            }
            match self.act(now_s, part) {
                Ok(Some(text)) => self.replies.push(now_s + COMMAND_S, format!("{text}\n").into_bytes()),
                Ok(None) => {}
                Err(bit) => self.errors |= bit,
            }
        }
    }

    fn act(&mut self, now_s: f64, text: &str) -> Result<Option<String>, u8> {
        if self.joins && text.eq_ignore_ascii_case("*RST") {
            self.settings = Settings::default();
            return Ok(None);
        }
        let mut chars = text.chars();
        let letter = chars.next().unwrap_or(' ').to_ascii_uppercase();
        match (letter, chars.as_str().trim()) {
            ('D', "?") => Ok(Some(self.reading())),
            ('Q', "?") => Ok(Some(self.status().to_string())),
            ('R', "?") => Ok(Some((RANGES.len() - self.settings.range).to_string())),
            ('C', "") => {
                self.errors = 0;
                Ok(None)
            }
            ('S', "") => {
                self.settings.reference_w = self.watts();
                Ok(None)
            }
            ('R', argument) => self.range(now_s, argument),
            ('W', argument) if argument != "?" => {
                let nm = argument.parse().map_err(|_| PARAMETER_ERROR)?;
                if !WAVELENGTHS.contains(&nm) {
                    return Err(PARAMETER_ERROR);
                }
                self.settings.wavelength_nm = nm;
                Ok(None)
            }
            (letter, argument) => self.switch(letter, argument),
        }
    }

    fn range(&mut self, now_s: f64, argument: &str) -> Result<Option<String>, u8> {
        let number = argument.parse::<usize>().ok().filter(|r| *r <= RANGES.len()).ok_or(PARAMETER_ERROR)?;
        self.settings.auto = number == 0;
        let range = RANGES.len() - number.max(1);
        if number > 0 && range != self.settings.range {
            self.settings.range = range;
            self.settings.range_since_s = now_s;
            self.fresh = false;
        }
        Ok(None)
    }

    /// Letters that are switches of some positions.
    fn switch(&mut self, letter: char, argument: &str) -> Result<Option<String>, u8> {
        let s = &mut self.settings;
        let (value, positions) = match letter {
            'A' => (&mut s.attenuator, 0..=1),
            'B' => (&mut s.beeper, 0..=1),
            'E' => (&mut s.echo, 0..=1),
            'F' => (&mut s.filter, 1..=3),
            'G' => (&mut s.running, 0..=1),
            'K' => (&mut s.light, 0..=2),
            'L' => (&mut s.lock, 0..=1),
            'U' => (&mut s.units, 1..=4),
            'W' => (&mut s.wavelength_nm, WAVELENGTHS),
            'Z' => (&mut s.zero, 0..=1),
            _ => return Err(COMMAND_ERROR),
        };
        if argument == "?" {
            return Ok(Some(value.to_string()));
        }
        let wanted = argument.parse::<u32>().ok().filter(|n| positions.contains(n)).ok_or(PARAMETER_ERROR)?;
        *value = wanted;
        if letter == 'Z' {
            // What is read now is subtracted from now on.
            self.settings.zero_w = 0.0;
            self.settings.zero_w = if wanted == 1 { self.watts() } else { 0.0 };
        }
        Ok(None)
    }

    fn watts(&self) -> f64 {
        // Without the attenuator that it is set to, a reading is too high by its factor of 1000.
        let attenuation = if self.settings.attenuator == 1 { 1000.0 } else { 1.0 };
        match self.shown {
            Reading::Power(w) => w * attenuation - self.settings.zero_w,
            Reading::UnderRange => 0.0,
            Reading::Saturated => RANGES[self.settings.range] * attenuation,
        }
    }

    fn reading(&self) -> String {
        let watts = self.watts();
        let db = |of: f64| format!("{:.2}", 10.0 * (watts / of).max(1e-20).log10());
        match self.settings.units {
            1 => scpi::exponent(watts, 4, 2, false),
            2 => db(self.settings.reference_w),
            3 => db(1e-3),
            _ => scpi::exponent(watts / self.settings.reference_w, 4, 2, false),
        }
    }
}

impl Device for Newport1830 {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.line_ended(now_s),
                b'\r' => {}
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

    fn restart(&mut self, _now_s: f64) {
        self.settings = Settings::default();
        (self.errors, self.fresh) = (0, false);
        self.lines.clear();
        self.replies.clear();
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
    }
}
