//! Newport's controllers for one axis each, SMC100CC, SMC100PP and CONEX-CC, chained on one line by address. From
//! Newport's command set as carried by its clients hvl_ccb, EPICS motorNewport and yaqd-newport.
//!
//! This file: bytes, lines and addresses. One controller is in `controller`, its settings are in `parameters`.

mod controller;
mod parameters;

use super::lines::{Lines, TooLong};
use super::{Device, Replies};
use crate::world::{Order, World};

use controller::{Act, Controller};

/// Time a command takes to be understood, seconds: a few milliseconds, as with all controllers of this make.
const COMMAND_S: f64 = 0.003;
/// Mnemonics of three letters; all others have two.
const LONG: &[&str] = &["FRM", "FRS", "QIL", "QIR", "QIT"];
/// Commands that without an address are for every controller of the chain; nobody answers others.
const FOR_ALL: &[&str] = &["ST", "SE", "MM", "OR", "RS"];
/// What an SMC100PP puts on the line as it comes up after a reset: hvl_ccb reads it away (its issues 93 and 184). QMI, which knows
/// the others too, would not bear it.
const GARBAGE: &[u8] = &[0xF8];

/// A command of a line.
struct Command {
    /// Address; `None` for all.
    address: Option<u32>,
    /// Mnemonic in capitals.
    mnemonic: String,
    argument: String,
}

pub(super) struct NewportSmc {
    world: World,
    chain: Vec<Controller>,
    lines: Lines,
    replies: Replies,
    /// When steppers that were reset are there again.
    coming_up_s: Vec<f64>,
    refuse: bool,
}

impl NewportSmc {
    pub(super) fn new(world: World, model: Option<&str>, axes: Vec<(String, String)>) -> NewportSmc {
        let model = model.unwrap_or("SMC100CC").to_ascii_uppercase();
        let chain = axes
            .into_iter()
            .filter_map(|(axis, channel)| Some(Controller::new(&world, &model, axis, channel.parse().ok()?)));
        NewportSmc {
            chain: chain.collect(),
            lines: Lines::default(),
            replies: Replies::default(),
            coming_up_s: Vec::new(),
            refuse: false,
            world,
        }
    }

    fn line_ended(&mut self, now_s: f64) {
        let line = match self.lines.end() {
            Ok(line) => line,
            Err(TooLong) => return self.raise_all('A'),
        };
        let Some(command) = parsed(&line) else { return };
        let Command { address, mnemonic, argument } = &command;
        match address {
            None if FOR_ALL.contains(&mnemonic.as_str()) => {
                for i in 0..self.chain.len() {
                    self.act(now_s, i, &command);
                }
                if mnemonic == "ST" {
                    self.world.ordered(now_s, Order::Stop);
                }
            }
            None => {}
            Some(address) => {
                if let Some(i) = self.chain.iter().position(|c| c.address == *address) {
                    // A prepared move is carried out by all of them at once, never by one.
                    if mnemonic == "SE" && argument.is_empty() {
                        self.chain[i].raise('C')
                    } else {
                        self.act(now_s, i, &command)
                    }
                }
            }
        }
    }

    fn raise_all(&mut self, letter: char) {
        self.chain.iter_mut().for_each(|c| c.raise(letter));
    }

    fn act(&mut self, now_s: f64, index: usize, command: &Command) {
        let controller = &mut self.chain[index];
        if controller.is_deaf(now_s) {
            return;
        }
        if self.refuse && command.mnemonic != "TE" {
            return controller.raise('D');
        }
        let ready = (now_s + COMMAND_S).max(controller.busy_until_s);
        match controller.act(&self.world, now_s, &command.mnemonic, &command.argument) {
            Ok(Act::Done) => {}
            // An answer to a command for all would be talk of many at once: nobody does.
            Ok(Act::Say(_)) if command.address.is_none() => {}
            Ok(Act::Say(lines)) => {
                let prefix = controller.address.to_string();
                let text: String = lines.iter().map(|l| format!("{prefix}{l}\r\n")).collect();
                self.replies.push(ready, text.into_bytes());
            }
            Ok(Act::Reset { stray: false, .. }) => {}
            Ok(Act::Reset { up_s, .. }) => self.coming_up_s.push(up_s),
            Err(letter) => controller.raise(letter),
        }
    }
}

/// Address, mnemonic and argument of a line; `None` for a line that says nothing.
fn parsed(line: &str) -> Option<Command> {
    let line = line.trim();
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = line.split_at(digits);
    // A number too long to be one is nobody's address.
    let address = if number.is_empty() { 0 } else { number.parse().unwrap_or(u32::MAX) };
    let rest = rest.trim_start();
    let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
    if rest.is_empty() {
        return None;
    }
    let long = rest.get(..3).is_some_and(|w| LONG.contains(&w.to_ascii_uppercase().as_str()));
    let (mnemonic, argument) = rest.split_at(letters.min(if long { 3 } else { 2 }));
    Some(Command {
        address: (address != 0).then_some(address),
        mnemonic: mnemonic.to_ascii_uppercase(),
        argument: argument.trim().to_string(),
    })
}

impl Device for NewportSmc {
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
        self.coming_up_s.iter().copied().chain(self.replies.due()).reduce(f64::min)
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        if let Some(i) =
            self.coming_up_s.iter().position(|at| *at <= now_s && self.replies.due().is_none_or(|r| at < &r))
        {
            self.coming_up_s.remove(i);
            return Some(GARBAGE.to_vec());
        }
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        for controller in &mut self.chain {
            controller.power_on(&self.world, now_s);
        }
        self.coming_up_s.clear();
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
