//! Keysight multi-port optical power meters (N7744A/C, N7745A/C) and the 8163B mainframe with dual heads: SCPI. From the
//! N77xx and 816x programming guides and what public drivers (LabExT, autosweep) send.

mod commands;
mod logging;
mod port;
#[cfg(test)]
mod tests;

use super::lines::Lines;
use super::scpi::{self, Command, Errors, TOO_MUCH, UNDEFINED};
use super::{Device, Replies};
use crate::world::World;

use logging::Log;
use port::Port;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.000_5;
/// Upper ends of the ranges +10 to -30 dBm, W, and of a mainframe's head down to -60 dBm: twice the name of the range
/// (19.999 mW at +10 dBm).
const RANGES: [f64; 8] = [19.999e-3, 1.9999e-3, 199.99e-6, 19.999e-6, 1.9999e-6, 199.99e-9, 19.999e-9, 1.9999e-9];
/// Ranges of an N774x.
const PORT_RANGES: usize = 5;

const SUFFIX: (i32, &str) = (-114, "Header suffix out of range");

/// What differs between models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Model {
    name: &'static str,
    slots: u32,
    /// Channels a slot.
    channels: u32,
    /// Name of a module, for `SLOT:IDN?`.
    module: &'static str,
}

const MODELS: &[Model] = &[
    Model { name: "N7744A", slots: 4, channels: 1, module: "N7744A" },
    Model { name: "N7744C", slots: 4, channels: 1, module: "N7744C" },
    Model { name: "N7745A", slots: 8, channels: 1, module: "N7745A" },
    Model { name: "N7745C", slots: 8, channels: 1, module: "N7745C" },
    Model { name: "8163B", slots: 2, channels: 2, module: "81635A" },
];

impl Model {
    fn by_name(name: Option<&str>) -> Model {
        let name = name.unwrap_or("N7744A").to_ascii_uppercase();
        *MODELS.iter().find(|m| m.name == name).unwrap_or(&MODELS[0])
    }

    fn is_multi_port(&self) -> bool {
        self.name.starts_with("N77")
    }

    fn is_c(&self) -> bool {
        self.name.ends_with('C')
    }

    fn ranges(&self) -> &'static [f64] {
        if self.is_multi_port() { &RANGES[..PORT_RANGES] } else { &RANGES }
    }

    /// Shortest averaging time, s.
    fn averaging_least_s(&self) -> f64 {
        if self.is_multi_port() { 1e-6 } else { 100e-6 }
    }

    fn points_most(&self) -> usize {
        if self.is_multi_port() { 1_000_000 } else { 20_001 }
    }
}

/// Channels of a model, from 1, for the wiring of one that stands alone.
pub(super) fn channels(model: Option<&str>) -> u32 {
    let model = Model::by_name(model);
    model.slots * model.channels
}

/// What a command comes to.
enum Act {
    Done,
    Say(Vec<u8>),
    SayAt(f64, Vec<u8>),
    Error((i32, &'static str)),
}

impl Act {
    fn say(text: impl Into<String>) -> Act {
        Act::Say(text.into().into_bytes())
    }
}

pub(super) struct KeysightPm {
    model: Model,
    lines: Lines,
    replies: Replies,
    errors: Errors,
    refuse: bool,
    ports: Vec<Port>,
    /// One for all ports of an N774x, one a slot of a mainframe.
    logs: Vec<Log>,
    /// Index of the word of `TRIG:CONF`.
    trigger_configuration: usize,
    complete_s: Option<f64>,
}

impl KeysightPm {
    pub(super) fn new(world: &World, name: &str, model: Option<&str>) -> KeysightPm {
        let model = Model::by_name(model);
        let places = (1..=model.slots).flat_map(|slot| (1..=model.channels).map(move |channel| (slot, channel)));
        let ports: Vec<Port> =
            places.zip(1..).map(|(place, number)| Port::new(world, name, number, place, model.ranges())).collect();
        KeysightPm {
            logs: logs(model, &ports),
            ports,
            model,
            lines: Lines::default(),
            replies: Replies::default(),
            errors: Errors::default(),
            refuse: false,
            trigger_configuration: commands::TRIGGER_DEFAULT,
            complete_s: None,
        }
    }

    fn line_ended(&mut self, now_s: f64) {
        let Ok(line) = self.lines.end() else {
            self.errors.raise(TOO_MUCH.0, TOO_MUCH.1);
            return;
        };
        let mut answers: Vec<Vec<u8>> = Vec::new();
        let mut ready = now_s + COMMAND_S;
        for command in scpi::commands(&line) {
            let act = if self.refuse && !scpi::is(&command.header, "SYSTem:ERRor[:NEXT]") {
                Act::Error((-200, "Execution error"))
            } else {
                self.act(now_s, &command)
            };
            match act {
                Act::Done => {}
                Act::Say(bytes) => answers.push(bytes),
                Act::SayAt(at, bytes) => {
                    ready = ready.max(at + COMMAND_S);
                    answers.push(bytes);
                }
                Act::Error((code, text)) => self.errors.raise(code, text),
            }
        }
        if !answers.is_empty() {
            let mut reply = answers.join(&b';');
            reply.push(b'\n');
            self.replies.push(ready, reply);
        }
    }

    fn act(&mut self, now_s: f64, c: &Command) -> Act {
        self.tick(now_s);
        if c.header.starts_with('*') {
            return self.common(now_s, c);
        }
        if scpi::is(&c.header, "SYSTem:ERRor[:NEXT]") && c.query {
            let (code, text) = self.errors.next().unwrap_or((0, "No error"));
            return Act::say(format!("{}{code},\"{text}\"", if code >= 0 { "+" } else { "" }));
        }
        if let Some(act) = self.all_ports(now_s, c).or_else(|| self.triggers(now_s, c)) {
            return act;
        }
        match self.target(&c.header) {
            Err(error) => Act::Error(error),
            Ok((header, at)) => {
                let c = Command { header, ..c.clone() };
                self.measuring(now_s, &c, at)
                    .or_else(|| self.settings(now_s, &c, at))
                    .or_else(|| self.functions(now_s, &c, at))
                    .or_else(|| self.zeroing(now_s, &c, at))
                    .or_else(|| self.slots(&c, at))
                    .unwrap_or(Act::Error(UNDEFINED))
            }
        }
    }

    fn common(&mut self, now_s: f64, c: &Command) -> Act {
        if let Some(answer) = self.errors.common(c, 0) {
            return answer.map_or_else(Act::Error, |text| text.map_or(Act::Done, |text| Act::say(format!("+{text}"))));
        }
        match (c.header.to_ascii_uppercase().as_str(), c.query) {
            ("*IDN", true) => Act::say(format!("Keysight Technologies,{},SIM0000401,1.010", self.model.name)),
            ("*OPC", true) => Act::SayAt(self.settled_s().max(now_s), b"1".to_vec()),
            ("*OPC", false) => {
                self.complete_s = Some(self.settled_s().max(now_s));
                self.tick(now_s);
                Act::Done
            }
            ("*CLS", false) => {
                self.errors.clear();
                Act::Done
            }
            ("*WAI", false) => Act::Done,
            ("*RST", false) => {
                self.power_on(now_s);
                Act::Done
            }
            ("*OPT", true) => {
                let modules = vec![self.model.module; usize::try_from(self.model.slots).unwrap_or(0)];
                Act::say(modules.join(" , "))
            }
            ("*TST", true) => Act::say("+0"),
            _ => Act::Error(UNDEFINED),
        }
    }

    /// When everything asked for is done.
    fn settled_s(&self) -> f64 {
        self.ports.iter().map(Port::settled_s).fold(f64::NEG_INFINITY, f64::max)
    }

    fn power_on(&mut self, now_s: f64) {
        self.ports.iter_mut().for_each(|p| p.reset(now_s));
        self.logs = logs(self.model, &self.ports);
        self.trigger_configuration = commands::TRIGGER_DEFAULT;
    }

    /// What has come about since the last command.
    fn tick(&mut self, now_s: f64) {
        for log in &mut self.logs {
            log.take(now_s, &mut self.ports);
        }
        if self.complete_s.take_if(|at| *at <= now_s).is_some() {
            self.errors.complete();
        }
    }

    /// Which port a header is for, by the suffix of its first node and its channel node, and the header without them.
    fn target(&self, header: &str) -> Result<(String, usize), (i32, &'static str)> {
        let mut nodes = header.split(':');
        let (root, slot) = split_suffix(nodes.next().unwrap_or_default());
        let mut rest: Vec<&str> = nodes.collect();
        let (second, number) = split_suffix(rest.first().copied().unwrap_or_default());
        let channel = if scpi::word_is(second, "CHANnel") {
            rest.remove(0);
            number
        } else {
            Some(1)
        };
        rest.insert(0, root);
        let at = self.ports.iter().position(|p| Some(p.slot) == slot && Some(p.channel) == channel);
        Ok((rest.join(":"), at.ok_or(SUFFIX)?))
    }
}

fn logs(model: Model, ports: &[Port]) -> Vec<Log> {
    if model.is_multi_port() {
        return vec![Log::new((0..ports.len()).collect())];
    }
    let of_slot = |slot| (0..ports.len()).filter(|p| ports[*p].slot == slot).collect();
    (1..=model.slots).map(|slot| Log::new(of_slot(slot))).collect()
}

/// A node and its numeric suffix, 1 where there is none; `None` for a number beyond all sense.
fn split_suffix(node: &str) -> (&str, Option<u32>) {
    let bare = node.trim_end_matches(|c: char| c.is_ascii_digit());
    let suffix = &node[bare.len()..];
    (bare, if suffix.is_empty() { Some(1) } else { suffix.parse().ok() })
}

impl Device for KeysightPm {
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
        self.logs.iter().filter_map(Log::due).chain(self.replies.due()).reduce(f64::min)
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.tick(now_s);
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        self.power_on(now_s);
        self.errors = Errors::default();
        self.complete_s = None;
        self.hang_up();
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
    }
}
