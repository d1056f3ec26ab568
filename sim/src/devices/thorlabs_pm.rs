//! A Thorlabs optical power meter (PM101 and kin): SCPI over a serial line. From the vendor's command documentation for
//! PM101/102/103/400/100D3 and what public drivers send.

use super::scpi::{self, Command, DATA_TYPE, Errors, MISSING, NOT_ALLOWED, OUT_OF_RANGE, UNDEFINED};
use super::{Device, LINE_MAX, Replies};
use crate::config::MeterPlan;
use crate::faults::FaultKind;
use crate::noise::Stream;
use crate::world::World;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.000_2;
/// One average: results come 1000 times a second at the most.
const AVERAGE_S: f64 = 0.001;
/// Settling of a range, seconds.
const RANGE_S: f64 = 0.010;
/// Zeroing, seconds.
const ZERO_S: f64 = 0.8;
/// Ranges of an InGaAs photodiode sensor, W, largest first.
const RANGES: [f64; 8] = [22e-3, 2.2e-3, 220e-6, 22e-6, 2.2e-6, 220e-9, 22e-9, 2.2e-9];
/// Noise of a range, share of its upper end.
const RANGE_NOISE: f64 = 2e-8;
/// Wavelengths of the sensor, nm.
const WAVELENGTHS: (f64, f64) = (800.0, 1700.0);

/// What a command comes to.
enum Act {
    /// Nothing to say, done at once.
    Done,
    /// An answer, ready at once.
    Say(String),
    /// An answer that is ready at a time.
    SayAt(f64, String),
    /// An error for the queue.
    Error((i32, &'static str)),
}

pub(super) struct ThorlabsPm {
    world: World,
    name: String,
    model: String,
    role: String,
    plan: MeterPlan,
    noise: Stream,
    line: Vec<u8>,
    replies: Replies,
    errors: Errors,
    refuse: bool,
    settings: Settings,
    /// End of a measurement under way or done, and its value.
    measured: Option<(f64, f64)>,
    last: f64,
    jabber_s: Option<f64>,
}

/// What the meter can be set to.
#[derive(Debug, Clone)]
struct Settings {
    wavelength_nm: f64,
    dbm: bool,
    range: usize,
    range_since_s: f64,
    auto: bool,
    averaging: u32,
    loss_db: f64,
    relative: Option<f64>,
    reference_w: f64,
    filter: bool,
    zero_w: f64,
    zeroing_until_s: f64,
    configured: &'static str,
    jabber: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            wavelength_nm: 1550.0,
            dbm: false,
            range: 0,
            range_since_s: f64::NEG_INFINITY,
            auto: true,
            averaging: 1,
            loss_db: 0.0,
            relative: None,
            reference_w: 1e-3,
            filter: true,
            zero_w: 0.0,
            zeroing_until_s: f64::NEG_INFINITY,
            configured: "POW",
            jabber: false,
        }
    }
}

impl ThorlabsPm {
    pub(super) fn new(world: World, name: &str, model: Option<&str>, role: &str) -> ThorlabsPm {
        let noise = Stream::new(world.inner.borrow().seed, &format!("meter {name}"));
        ThorlabsPm {
            plan: world.meter_plan(name),
            noise,
            world,
            name: name.to_string(),
            model: model.unwrap_or("PM101").to_ascii_uppercase(),
            role: role.to_string(),
            line: Vec::new(),
            replies: Replies::default(),
            errors: Errors::default(),
            refuse: false,
            settings: Settings::default(),
            measured: None,
            last: 0.0,
            jabber_s: None,
        }
    }

    /// The PM100D generation differs in a few texts.
    fn is_old(&self) -> bool {
        self.model.starts_with("PM100D") && self.model != "PM100D3"
    }

    fn line_ended(&mut self, now_s: f64) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let mut answers: Vec<String> = Vec::new();
        let mut ready = now_s + COMMAND_S;
        for command in scpi::commands(&line) {
            let act = if self.refuse && !scpi::is(&command.header, "SYSTem:ERRor[:NEXT]") {
                Act::Error((-200, "Execution error"))
            } else {
                self.act(now_s, &command)
            };
            match act {
                Act::Done => {}
                Act::Say(text) => answers.push(text),
                Act::SayAt(at, text) => {
                    ready = ready.max(at + COMMAND_S);
                    answers.push(text);
                }
                Act::Error((code, text)) => self.errors.raise(code, text),
            }
        }
        if !answers.is_empty() {
            self.replies.push(ready, format!("{}\n", answers.join(";")).into_bytes());
        }
    }

    fn act(&mut self, now_s: f64, c: &Command) -> Act {
        if c.header.starts_with('*') {
            return self.common(c);
        }
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("SYSTem:ERRor[:NEXT]") && c.query {
            let (code, text) = self.errors.next().unwrap_or((0, "No error"));
            let plus = if self.is_old() && code == 0 { "+" } else { "" };
            return Act::Say(format!("{plus}{code},\"{text}\""));
        }
        if is("SYSTem:ERRor:COUNt") && c.query {
            return Act::Say(self.errors.count().to_string());
        }
        if is("SYSTem:VERSion") && c.query {
            return Act::Say("1999.0".into());
        }
        if (is("SYSTem:SENSor:IDN") || is("SYSTem:SENSor1:IDN")) && c.query {
            let quote = if self.is_old() { "" } else { "\"" };
            return Act::Say(format!("{quote}S155C{quote},{quote}SIM160602{quote},{quote}2-JUN-2025{quote},1,18,33"));
        }
        if is("CALibration:STRing") && c.query {
            return Act::Say("\"18-Feb-2025\"".into());
        }
        self.measuring(now_s, c)
            .or_else(|| self.power_settings(now_s, c))
            .or_else(|| self.other_settings(now_s, c))
            .unwrap_or(Act::Error(UNDEFINED))
    }

    fn common(&mut self, c: &Command) -> Act {
        match (c.header.to_ascii_uppercase().as_str(), c.query) {
            ("*IDN", true) => {
                let maker = if self.is_old() { "THORLABS" } else { "Thorlabs" };
                Act::Say(format!("{maker},{},SIM00000101,1.2.0", self.model))
            }
            ("*CLS", false) => {
                self.errors.clear();
                Act::Done
            }
            ("*ESR", true) => Act::Say(self.errors.events().to_string()),
            ("*STB", true) => Act::Say(self.errors.status().to_string()),
            ("*OPC", true) => Act::Say("1".into()),
            ("*OPC" | "*WAI", false) => Act::Done,
            ("*RST", false) => {
                self.settings = Settings::default();
                self.measured = None;
                Act::Done
            }
            ("*TST", true) => Act::Say("0".into()),
            _ => Act::Error(UNDEFINED),
        }
    }

    fn measuring(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let power = is("MEASure[:SCALar][:POWer]");
        if (is("READ") || power) && c.query {
            if power {
                self.settings.configured = "POW";
            }
            let (end, value) = self.measure(now_s);
            self.measured = None;
            return Some(Act::SayAt(end, value));
        }
        if is("FETCh") && c.query {
            let (end, value) = self.measured?;
            return Some(Act::SayAt(end.max(now_s), self.number(value)));
        }
        if is("FETCh:STATe") && c.query {
            let ready = self.measured.is_some_and(|(end, _)| end <= now_s);
            return Some(Act::Say(u8::from(ready).to_string()));
        }
        if is("INITiate[:IMMediate]") && !c.query {
            self.measure(now_s);
            return Some(Act::Done);
        }
        if is("INITiate:CONTinuous") && !c.query {
            self.jabber_s = self.settings.jabber.then_some(now_s + self.window_s());
            return Some(Act::Done);
        }
        if is("ABORt") && !c.query {
            self.measured = None;
            self.jabber_s = None;
            return Some(Act::Done);
        }
        if is("CONFigure") && c.query {
            return Some(Act::Say(self.settings.configured.into()));
        }
        if (is("CONFigure[:SCALar]:POWer") || is("CONFigure:SCALar")) && !c.query {
            self.settings.configured = "POW";
            return Some(if c.argument.is_empty() { Act::Done } else { Act::Error(NOT_ALLOWED) });
        }
        None
    }

    fn power_settings(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("[SENSe]:POWer[:DC]:UNIT") {
            return Some(self.unit(c));
        }
        if is("[SENSe]:POWer[:DC]:RANGe:AUTO") {
            if c.query {
                return Some(Act::Say(u8::from(self.settings.auto).to_string()));
            }
            return Some(match scpi::switch(&c.argument) {
                Some(on) => {
                    self.settings.auto = on;
                    Act::Done
                }
                None if c.argument.is_empty() => Act::Error(MISSING),
                None => Act::Error(DATA_TYPE),
            });
        }
        if is("[SENSe]:POWer[:DC]:RANGe[:UPPer]") {
            return Some(self.range(now_s, c));
        }
        if is("[SENSe]:POWer[:DC]:REFerence:STATe") {
            if c.query {
                return Some(Act::Say(u8::from(self.settings.relative.is_some()).to_string()));
            }
            let reference = self.settings.reference_w;
            return Some(scpi::switch(&c.argument).map_or(Act::Error(DATA_TYPE), |on| {
                self.settings.relative = on.then_some(reference);
                Act::Done
            }));
        }
        if is("[SENSe]:POWer[:DC]:REFerence") {
            let value = self.settings.reference_w;
            return Some(numeric(c, value, (0.0, 1.0), 6, |v| self.settings.reference_w = v));
        }
        None
    }

    fn unit(&mut self, c: &Command) -> Act {
        if c.query {
            return Act::Say(if self.settings.dbm { "DBM" } else { "W" }.into());
        }
        match c.argument.to_ascii_uppercase().as_str() {
            "W" => self.settings.dbm = false,
            "DBM" => self.settings.dbm = true,
            "" => return Act::Error(MISSING),
            _ => return Act::Error(DATA_TYPE),
        }
        Act::Done
    }

    fn range(&mut self, now_s: f64, c: &Command) -> Act {
        let say = |watts: f64| Act::Say(scpi::exponent(watts, 6, 2, false));
        if c.query {
            return match c.argument.to_ascii_uppercase().as_str() {
                "" => say(RANGES[self.settings.range]),
                "MAX" | "MAXIMUM" => say(RANGES[0]),
                "MIN" | "MINIMUM" => say(RANGES[RANGES.len() - 1]),
                "AUTO" => Act::Say(RANGES.map(|r| scpi::exponent(r, 6, 2, false)).join(",")),
                _ => Act::Error(DATA_TYPE),
            };
        }
        let wanted = match c.argument.to_ascii_uppercase().as_str() {
            "" => return Act::Error(MISSING),
            "MAX" | "MAXIMUM" => Some(RANGES[0]),
            "MIN" | "MINIMUM" => Some(0.0),
            text => scpi::number(text).map(|(v, _)| v),
        };
        let Some(wanted) = wanted else { return Act::Error(DATA_TYPE) };
        let Some(range) = RANGES.iter().rposition(|r| *r >= wanted) else { return Act::Error(OUT_OF_RANGE) };
        self.settings.auto = false;
        if range != self.settings.range {
            self.settings.range = range;
            self.settings.range_since_s = now_s;
        }
        Act::Done
    }

    fn other_settings(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("[SENSe]:CORRection:WAVelength") {
            let value = self.settings.wavelength_nm;
            return Some(numeric(c, value, WAVELENGTHS, 6, |v| self.settings.wavelength_nm = v));
        }
        if is("[SENSe]:CORRection[:LOSS][:INPut][:MAGNitude]") {
            let value = self.settings.loss_db;
            return Some(numeric(c, value, (-60.0, 60.0), 6, |v| self.settings.loss_db = v));
        }
        if is("[SENSe]:AVERage[:COUNt]") {
            if c.query {
                return Some(Act::Say(self.settings.averaging.to_string()));
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range checked")]
            return Some(numeric(c, 0.0, (1.0, 10_000.0), 0, |v| self.settings.averaging = v.round() as u32));
        }
        if is("INPut[:PDIode]:FILTer[:LPASs][:STATe]") {
            if c.query {
                return Some(Act::Say(u8::from(self.settings.filter).to_string()));
            }
            return Some(scpi::switch(&c.argument).map_or(Act::Error(DATA_TYPE), |on| {
                self.settings.filter = on;
                Act::Done
            }));
        }
        if is("[SENSe]:SERial:JABber") && !self.is_old() {
            return Some(scpi::switch(&c.argument).map_or(Act::Error(DATA_TYPE), |on| {
                self.settings.jabber = on;
                Act::Done
            }));
        }
        self.zeroing(now_s, c)
    }

    fn zeroing(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("[SENSe]:CORRection:COLLect:ZERO[:INITiate]") && !c.query {
            let dark = self.world.light(&self.role, now_s, now_s) + self.plan.offset_w;
            self.settings.zero_w = dark;
            self.settings.zeroing_until_s = now_s + ZERO_S;
            return Some(Act::Done);
        }
        if is("[SENSe]:CORRection:COLLect:ZERO:STATe") && c.query {
            return Some(Act::Say(u8::from(now_s < self.settings.zeroing_until_s).to_string()));
        }
        if is("[SENSe]:CORRection:COLLect:ZERO:ABORt") && !c.query {
            self.settings.zeroing_until_s = now_s;
            return Some(Act::Done);
        }
        if is("[SENSe]:CORRection:COLLect:ZERO:MAGNitude") && c.query {
            return Some(Act::Say(scpi::exponent(self.settings.zero_w * 0.95, 6, 2, false)));
        }
        None
    }

    fn window_s(&self) -> f64 {
        f64::from(self.settings.averaging) * AVERAGE_S
    }

    /// Measures a window that begins now, or when range and zeroing let it; gives its end and its text.
    fn measure(&mut self, now_s: f64) -> (f64, String) {
        let mut begin = now_s.max(self.settings.range_since_s + RANGE_S).max(self.settings.zeroing_until_s);
        if self.settings.auto {
            let light = self.world.light(&self.role, begin, begin);
            let fits = RANGES.iter().rposition(|r| *r >= light * 1.05).unwrap_or(0);
            if fits != self.settings.range {
                self.settings.range = fits;
                self.settings.range_since_s = begin;
                begin += RANGE_S;
            }
        }
        let end = begin + self.window_s();
        let value = self.value(begin, end);
        self.measured = Some((end, value));
        (end, self.number(value))
    }

    /// Watts as the meter sees them; infinite above the range.
    fn value(&mut self, begin: f64, end: f64) -> f64 {
        if self.world.faulty(FaultKind::MeterFrozen, &self.name, begin) {
            return self.last;
        }
        let light = self.world.light(&self.role, begin, end);
        if self.world.faulty(FaultKind::MeterSaturated, &self.name, begin) || light > RANGES[self.settings.range] {
            return f64::INFINITY;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
        let index = (end * 1e6) as u64 * 2;
        let fewer = 1.0 / f64::from(self.settings.averaging).sqrt();
        let additive = self.plan.floor_w.hypot(RANGES[self.settings.range] * RANGE_NOISE) * fewer;
        let relative = 10f64.powf(self.plan.relative_db * fewer * self.noise.normal(index) / 10.0);
        let seen =
            light * relative + additive * self.noise.normal(index + 1) + self.plan.offset_w - self.settings.zero_w;
        self.last = seen * 10f64.powf(self.settings.loss_db / 10.0) - self.settings.relative.unwrap_or(0.0);
        self.last
    }

    fn number(&self, watts: f64) -> String {
        if watts.is_infinite() {
            return if self.is_old() { "9.900000E+37".into() } else { "inf".into() };
        }
        if self.settings.dbm {
            if watts <= 0.0 {
                return "-inf".into();
            }
            return scpi::exponent(10.0 * (watts / 1e-3).log10(), 6, 2, false);
        }
        scpi::exponent(watts, 6, 2, false)
    }
}

/// A numeric setting: query (with MIN and MAX), or set within bounds.
fn numeric(c: &Command, value: f64, (low, high): (f64, f64), digits: usize, set: impl FnOnce(f64)) -> Act {
    let word = c.argument.to_ascii_uppercase();
    let named = match word.as_str() {
        "MIN" | "MINIMUM" => Some(low),
        "MAX" | "MAXIMUM" => Some(high),
        _ => None,
    };
    if c.query {
        return match (named, word.is_empty()) {
            (Some(v), _) => Act::Say(scpi::exponent(v, digits, 2, false)),
            (None, true) => Act::Say(scpi::exponent(value, digits, 2, false)),
            _ => Act::Error(DATA_TYPE),
        };
    }
    if word.is_empty() {
        return Act::Error(MISSING);
    }
    let Some(wanted) = named.or_else(|| scpi::number(&c.argument).map(|(v, _)| v)) else {
        return Act::Error(DATA_TYPE);
    };
    if !(low..=high).contains(&wanted) {
        return Act::Error(OUT_OF_RANGE);
    }
    set(wanted);
    Act::Done
}

impl Device for ThorlabsPm {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.line_ended(now_s),
                b'\r' => {}
                _ if self.line.len() >= LINE_MAX => {
                    self.line.clear();
                    self.errors.raise(-223, "Too much data");
                }
                _ => self.line.push(*byte),
            }
        }
    }

    fn due(&self) -> Option<f64> {
        match (self.replies.due(), self.jabber_s) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        if let Some(at) = self.jabber_s.filter(|at| *at <= now_s) {
            self.jabber_s = Some(at + self.window_s());
            let value = self.value(at - self.window_s(), at);
            return Some(format!("{}\n", self.number(value)).into_bytes());
        }
        self.replies.take(now_s)
    }

    fn restart(&mut self, _now_s: f64) {
        self.settings = Settings::default();
        self.errors.clear();
        self.replies.clear();
        self.line.clear();
        self.measured = None;
        self.jabber_s = None;
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }
}
