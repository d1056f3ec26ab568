//! Newport's controllers for three axes, ESP301 and ESP300. From Newport's command set as carried by PyMeasure,
//! InstrumentKit, newportESP and EPICS motorNewport.
//!
//! This file: bytes, lines, waits, the queue of errors. The commands of axes are in `axis`.

mod axis;
mod errors;
mod settings;

use std::collections::VecDeque;

use super::lines::Lines;
use super::{Device, Replies};
use crate::world::{Order, World};

use axis::{Act, Axis};
use errors::Errors;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.002;
/// Longest line, bytes (user's manual: 80 characters).
const LINE_MAX: usize = 80;
/// Commands kept while the controller waits; more than a line buffer holds is lost.
const QUEUE_MAX: usize = 256;
/// Error numbers.
const NO_SUCH_COMMAND: u32 = 6;
const OUT_OF_RANGE: u32 = 7;
const NO_SUCH_AXIS: u32 = 9;
const NOT_ALLOWED: u32 = 27;
const AXIS_MISSING: u32 = 37;
const PARAMETER_MISSING: u32 = 38;

/// A command taken apart.
struct Command {
    /// Axis; `None` where none is named.
    axis: Option<u32>,
    mnemonic: String,
    argument: String,
    query: bool,
}

pub(super) struct NewportEsp {
    world: World,
    model: String,
    axes: Vec<Axis>,
    lines: Lines,
    replies: Replies,
    errors: Errors,
    /// Commands that wait for a motion or a pause to end.
    queue: VecDeque<String>,
    waits_until_s: f64,
    powered_s: f64,
    refuse: bool,
}

impl NewportEsp {
    pub(super) fn new(world: World, model: Option<&str>, axes: Vec<(String, String)>) -> NewportEsp {
        let axes = axes.into_iter().filter_map(|(axis, name)| Some(Axis::new(&world, axis, name.parse().ok()?)));
        NewportEsp {
            axes: axes.collect(),
            model: model.unwrap_or("ESP301").to_ascii_uppercase(),
            lines: Lines::default(),
            replies: Replies::default(),
            errors: Errors::default(),
            queue: VecDeque::new(),
            waits_until_s: f64::NEG_INFINITY,
            powered_s: world.now_s(),
            refuse: false,
            world,
        }
    }

    fn line_ended(&mut self, now_s: f64) {
        let line = match self.lines.end() {
            Ok(line) if line.len() <= LINE_MAX => line,
            _ => return self.raise(now_s, NO_SUCH_COMMAND),
        };
        for part in line.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            // Motion is aborted whatever the controller waits for.
            if parsed(part).is_some_and(|c| c.mnemonic == "AB") {
                self.queue.clear();
                self.waits_until_s = f64::NEG_INFINITY;
            }
            if self.queue.len() < QUEUE_MAX {
                self.queue.push_back(part.to_string());
            }
        }
        self.work(now_s);
    }

    /// Carries out what is queued, up to a wait.
    fn work(&mut self, now_s: f64) {
        while self.waits_until_s <= now_s {
            let Some(text) = self.queue.pop_front() else { return };
            // Labs have it from three ESP300 over RS-232 and GPIB: the answer is that to VE?.
            if text.eq_ignore_ascii_case("*IDN?") && !self.refuse {
                self.replies.push(now_s + COMMAND_S, format!("{}\r\n", self.version()).into_bytes());
                continue;
            }
            let Some(command) = parsed(&text) else {
                self.raise(now_s, NO_SUCH_COMMAND);
                continue;
            };
            if self.refuse && !matches!(command.mnemonic.as_str(), "TE" | "TB") {
                self.raise(now_s, NOT_ALLOWED);
                continue;
            }
            match self.act(now_s, &command) {
                Ok(Some(text)) => self.replies.push(now_s + COMMAND_S, format!("{text}\r\n").into_bytes()),
                Ok(None) => {}
                Err(code) => self.raise(now_s, code),
            }
        }
    }

    fn raise(&mut self, now_s: f64, code: u32) {
        self.errors.raise(code, now_s - self.powered_s);
    }

    fn act(&mut self, now_s: f64, c: &Command) -> Result<Option<String>, u32> {
        for i in 0..self.axes.len() {
            if let Some(code) = self.axes[i].tick(&self.world, now_s) {
                self.raise(now_s, code);
            }
        }
        match c.mnemonic.as_str() {
            "TE" => return Ok(Some(self.errors.number())),
            "TB" => return Ok(Some(self.errors.words(now_s - self.powered_s))),
            "VE" => return Ok(Some(self.version())),
            "WT" => {
                self.waits_until_s = now_s + milliseconds(&c.argument)?;
                return Ok(None);
            }
            // What was set is kept anyway.
            "SM" => return Ok(None),
            "RS" => {
                self.restart(now_s);
                return Ok(None);
            }
            "ST" | "AB" if c.axis.is_none() => {
                self.world.ordered(now_s, Order::Stop);
                for axis in &mut self.axes {
                    axis.stop(&self.world, now_s, c.mnemonic == "AB");
                }
                return Ok(None);
            }
            "TS" if c.axis.is_none() => return Ok(Some(char::from(self.status(now_s)).to_string())),
            _ => {}
        }
        if !axis::is_known(&c.mnemonic) {
            return Err(NO_SUCH_COMMAND);
        }
        let number = c.axis.ok_or(AXIS_MISSING)?;
        let axis = self.axes.iter_mut().find(|a| a.number == number).ok_or(NO_SUCH_AXIS)?;
        match axis.act(&self.world, now_s, &c.mnemonic, &c.argument, c.query)? {
            Act::Done => Ok(None),
            Act::Say(text) => Ok(Some(text)),
            Act::WaitUntil(at_s) => {
                self.waits_until_s = at_s;
                Ok(None)
            }
        }
    }

    fn version(&self) -> String {
        let rest = if self.model == "ESP300" { "3.04 07/27/01" } else { "3.0.1 6/1/99" };
        format!("{} Version {rest}", self.model)
    }

    /// Bits 0 to 2 an axis in motion each, bit 4 a motor that is on, bit 6 set so that it is a character.
    fn status(&self, now_s: f64) -> u8 {
        let moving = self
            .axes
            .iter()
            .enumerate()
            .take(3)
            .fold(0, |byte, (i, a)| byte | u8::from(!a.is_done(&self.world, now_s)) << i);
        moving | u8::from(self.axes.iter().any(Axis::is_on)) << 4 | 1 << 6
    }
}

/// `[axis]MM[parameter][?]`, blanks allowed between; `None` where there is no mnemonic of two letters.
fn parsed(text: &str) -> Option<Command> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let mnemonic = rest.get(..2).filter(|m| m.bytes().all(|b| b.is_ascii_alphabetic()))?;
    let argument = rest[2..].trim();
    let query = argument.ends_with('?');
    let axis = if number.is_empty() { 0 } else { number.parse().unwrap_or(u32::MAX) };
    Some(Command {
        axis: (axis != 0).then_some(axis),
        mnemonic: mnemonic.to_ascii_uppercase(),
        argument: argument.trim_end_matches('?').trim().to_string(),
        query,
    })
}

/// A pause in milliseconds as seconds, one minute at the most.
fn milliseconds(argument: &str) -> Result<f64, u32> {
    let ms: f64 = if argument.is_empty() { 0.0 } else { argument.parse().map_err(|_| OUT_OF_RANGE)? };
    if (0.0..=60_000.0).contains(&ms) { Ok(ms / 1000.0) } else { Err(OUT_OF_RANGE) }
}

impl Device for NewportEsp {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.work(now_s);
        for byte in bytes {
            match byte {
                b'\r' => self.line_ended(now_s),
                b'\n' => {}
                _ => self.lines.push(*byte),
            }
        }
    }

    fn due(&self) -> Option<f64> {
        let waits = (!self.queue.is_empty()).then_some(self.waits_until_s);
        match (self.replies.due(), waits) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.work(now_s);
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        for axis in &mut self.axes {
            axis.power_on(&self.world, now_s);
        }
        self.errors = Errors::default();
        self.queue.clear();
        self.waits_until_s = f64::NEG_INFINITY;
        self.powered_s = now_s;
        self.lines.clear();
        self.replies.clear();
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.queue.clear();
        self.replies.clear();
    }
}
