//! A Thorlabs optical power meter (PM101 and kin): SCPI over a serial line. From the vendor's command documentation for
//! PM101/102/103/400/100D3 and what public drivers send.

mod fast;
mod registers;
mod settings;
mod two;

use super::lines::Lines;
use super::scpi::{self, Command, Errors, NOT_ALLOWED, STALE, TOO_MUCH, UNDEFINED};
use super::{Device, Replies};
use crate::head::Head;
use crate::light::detector::Reading;
use crate::noise::Stream;
use crate::world::World;

use fast::Fast;
use registers::Registers;
use settings::{Quantity, Settings};

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.000_2;
/// One average: results come 1000 times a second at the most, and 300 times on the PM100D generation.
const AVERAGE_S: f64 = 0.001;
const OLD_AVERAGE_S: f64 = 1.0 / 300.0;
/// Ranges of an InGaAs photodiode sensor, W, largest first.
const RANGES: [f64; 8] = [22e-3, 2.2e-3, 220e-6, 22e-6, 2.2e-6, 220e-9, 22e-9, 2.2e-9];
/// Wavelengths of the sensor, nm.
const WAVELENGTHS: (f64, f64) = (800.0, 1700.0);

/// Temperature of the sensor's housing, degrees C, and its noise.
const TEMPERATURE_C: (f64, f64) = (24.6, 0.02);

/// What a command comes to.
enum Act {
    /// Nothing to say, done at once.
    Done,
    /// An answer, ready at once.
    Say(String),
    /// An answer that is ready at a time.
    SayAt(f64, String),
    /// An answer that is no text.
    Bytes(Vec<u8>),
    /// An error for the queue.
    Error((i32, &'static str)),
}

pub(super) struct ThorlabsPm {
    head: Head,
    model: String,
    noise: Stream,
    lines: Lines,
    replies: Replies,
    errors: Errors,
    registers: Registers,
    refuse: bool,
    settings: Settings,
    /// End of a measurement under way or done, and its value.
    measured: Option<(f64, f64)>,
    jabber_s: Option<f64>,
    /// It is spoken to over its Ethernet port.
    ethernet: bool,
    fast: Fast,
    /// The second channel of a PM5020, with settings of its own.
    second: Option<Box<ThorlabsPm>>,
}

impl ThorlabsPm {
    pub(super) fn new(world: &World, name: &str, channel: u32, model: Option<&str>) -> ThorlabsPm {
        ThorlabsPm {
            head: Head::new(world, name, channel, &RANGES),
            noise: world.stream(&format!("thermometer {name}")),
            model: model.unwrap_or("PM101").to_ascii_uppercase(),
            lines: Lines::default(),
            replies: Replies::default(),
            errors: Errors::default(),
            registers: Registers::default(),
            refuse: false,
            settings: Settings::default(),
            measured: None,
            jabber_s: None,
            ethernet: false,
            fast: Fast::default(),
            second: None,
        }
    }

    /// The PM100D generation differs in a few texts.
    fn is_old(&self) -> bool {
        self.model.starts_with("PM100D") && self.model != "PM100D3"
    }

    fn line_ended(&mut self, now_s: f64) {
        let Ok(line) = self.lines.end() else {
            self.errors.raise(TOO_MUCH.0, TOO_MUCH.1);
            return;
        };
        let mut answers: Vec<String> = Vec::new();
        let mut blocks = Vec::new();
        let mut ready = now_s + COMMAND_S;
        for command in scpi::commands(&line) {
            let act = if self.refuse && !scpi::is(&command.header, "SYSTem:ERRor[:NEXT]") {
                Act::Error((-200, "Execution error"))
            } else {
                self.act_on_channel(now_s, &command)
            };
            match act {
                Act::Done => {}
                Act::Say(text) => answers.push(text),
                Act::SayAt(at, text) => {
                    ready = ready.max(at + COMMAND_S);
                    answers.push(text);
                }
                Act::Bytes(bytes) => blocks.push(bytes),
                Act::Error((code, text)) => self.errors.raise(code, text),
            }
        }
        if !answers.is_empty() {
            self.replies.push(ready, format!("{}\n", answers.join(";")).into_bytes());
        }
        for bytes in blocks {
            self.replies.push(ready, bytes);
        }
    }

    fn act(&mut self, now_s: f64, c: &Command) -> Act {
        self.registers.operation(self.condition(now_s));
        if c.header.starts_with('*') {
            return self.common(now_s, c);
        }
        self.system(c)
            .or_else(|| self.registers.act(c))
            .or_else(|| self.streaming(now_s, c))
            .or_else(|| self.measuring(now_s, c))
            .or_else(|| self.ranges(now_s, c))
            .or_else(|| self.corrections(c))
            .or_else(|| self.zeroing(now_s, c))
            .unwrap_or(Act::Error(UNDEFINED))
    }

    /// What goes on in the meter, as bits of the operation condition.
    fn condition(&self, now_s: f64) -> u16 {
        let bit = |mask: u16, on: bool| if on { mask } else { 0 };
        let done = self.measured.is_some_and(|(end, _)| end <= now_s);
        registers::SENSOR
            | bit(registers::RANGING, now_s < self.settings.range_since_s + self.head.dead_s())
            | bit(registers::MEASURING, self.measured.is_some() && !done)
            | bit(registers::ZEROING, now_s < self.settings.zeroing_until_s)
            | bit(registers::DATA_READY, done)
    }

    fn common(&mut self, now_s: f64, c: &Command) -> Act {
        if let Some(answer) = self.errors.common(c, self.registers.summary()) {
            return answer.map_or_else(Act::Error, |text| text.map_or(Act::Done, Act::Say));
        }
        match (c.header.to_ascii_uppercase().as_str(), c.query) {
            ("*IDN", true) => {
                let maker = if self.is_old() { "THORLABS" } else { "Thorlabs" };
                Act::Say(format!("{maker},{},SIM00000101,1.2.0", self.model))
            }
            ("*CLS", false) => {
                self.errors.clear();
                self.registers.clear();
                Act::Done
            }
            ("*OPC", true) => Act::Say("1".into()),
            // By the vendor's word neither waits: every command is complete when the next is taken.
            ("*OPC", false) => {
                self.errors.complete();
                Act::Done
            }
            ("*WAI", false) => Act::Done,
            ("*RST", false) => {
                self.settings = Settings::default();
                if let Some(second) = &mut self.second {
                    second.settings = Settings::default();
                }
                self.measured = None;
                self.registers.operation(self.condition(now_s));
                Act::Done
            }
            ("*TST", true) => Act::Say("0".into()),
            _ => Act::Error(UNDEFINED),
        }
    }

    fn measuring(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("READ") && c.query {
            return Some(self.read(now_s));
        }
        if is("FETCh") && c.query {
            let Some((end, value)) = self.measured else { return Some(Act::Error(STALE)) };
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
            return Some(Act::Say(self.settings.configured.word().into()));
        }
        Quantity::ALL.into_iter().find_map(|(quantity, node, _)| {
            let is = |root: &str| scpi::is(&c.header, &format!("{root}[:SCALar]{node}"));
            if is("MEASure") && c.query {
                self.configure(quantity);
                return Some(self.read(now_s));
            }
            (is("CONFigure") && !c.query).then(|| {
                if !c.argument.is_empty() {
                    return Act::Error(NOT_ALLOWED);
                }
                self.configure(quantity);
                Act::Done
            })
        })
    }

    fn configure(&mut self, quantity: Quantity) {
        self.settings.configured = quantity;
        self.measured = None;
    }

    fn read(&mut self, now_s: f64) -> Act {
        let (end, text) = self.measure(now_s);
        Act::SayAt(end, text)
    }

    fn window_s(&self) -> f64 {
        f64::from(self.settings.averaging) * if self.is_old() { OLD_AVERAGE_S } else { AVERAGE_S }
    }

    /// Measures a window that begins now, or when range and zeroing let it; gives its end and its text.
    fn measure(&mut self, now_s: f64) -> (f64, String) {
        let begin = now_s.max(self.settings.zeroing_until_s);
        if self.settings.auto {
            let fits = self.head.auto_range(self.settings.range, begin);
            if fits != self.settings.range {
                self.settings.range = fits;
                self.settings.range_since_s = begin;
            }
        }
        let (end, value) = self.value(begin);
        self.measured = Some((end, value));
        (end, self.number(value))
    }

    /// What is measured from a time on, when it is there and in its unit; infinite outside the range.
    fn value(&mut self, begin: f64) -> (f64, f64) {
        let (end, watts) = self.watts(begin);
        let settings = &self.settings;
        let less = |value: f64, (reference, on): (f64, bool)| if on { value - reference } else { value };
        let value = match settings.configured {
            Quantity::Power => less(watts, settings.references[0]),
            Quantity::Current => less(watts * settings.responsivity(), settings.references[1]),
            Quantity::Density => watts / settings.area_cm2(),
            Quantity::Temperature => TEMPERATURE_C.0 + TEMPERATURE_C.1 * self.noise.normal(index(end)),
        };
        (end, value)
    }

    /// Watts as the meter sees them; infinite outside the range.
    fn watts(&mut self, begin: f64) -> (f64, f64) {
        let (end, reading) = self.head.read(begin, self.window_s(), self.settings.range, self.settings.range_since_s);
        let watts = match reading {
            Reading::Power(w) => (w - self.settings.zero_w) * 10f64.powf(self.settings.loss_db / 10.0),
            Reading::UnderRange => f64::NEG_INFINITY,
            Reading::Saturated => f64::INFINITY,
        };
        (end, watts)
    }

    fn number(&self, watts: f64) -> String {
        if watts == f64::NEG_INFINITY {
            return if self.is_old() { "-9.900000E+37".into() } else { "-inf".into() };
        }
        if watts.is_infinite() {
            return if self.is_old() { "9.900000E+37".into() } else { "inf".into() };
        }
        if self.settings.dbm && self.settings.configured == Quantity::Power {
            if watts <= 0.0 {
                return "-inf".into();
            }
            return scpi::exponent(10.0 * (watts / 1e-3).log10(), 6, 2, false);
        }
        scpi::exponent(watts, 6, 2, false)
    }
}

impl ThorlabsPm {
    /// Power went off: everything that was set is forgotten.
    fn forget(&mut self) {
        self.settings = Settings::default();
        self.errors = Errors::default();
        self.registers = Registers::default();
        self.replies.clear();
        self.lines.clear();
        self.measured = None;
        self.jabber_s = None;
        self.fast = Fast::default();
        if let Some(second) = &mut self.second {
            second.forget();
        }
    }
}

/// Place of a moment in the stream of noise: the even one is its own, the odd one next to it too.
fn index(end_s: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
    let micros = (end_s * 1e6) as u64;
    micros * 2
}

impl Device for ThorlabsPm {
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
        match (self.replies.due(), self.jabber_s) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        if let Some(at) = self.jabber_s.filter(|at| *at <= now_s) {
            self.jabber_s = Some(at + self.window_s());
            let (_, value) = self.value(at - self.window_s());
            return Some(format!("{}\n", self.number(value)).into_bytes());
        }
        self.replies.take(now_s)
    }

    fn restart(&mut self, _now_s: f64) {
        self.forget();
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
        self.jabber_s = None;
    }
}
