//! Zaber motion controllers and stages that speak the ASCII protocol (firmware 7), one or several on a line. From
//! Zaber's description of the protocol and from conversations of its own client library.
//!
//! This file: bytes, packets, who answers and when. What the commands do is in `zaber/commands`, the settings in
//! `zaber/settings`, an axis in `zaber/axis`.
//!
//! What is simulated otherwise than on the bench: a sinusoid is flown as trapezoidal moves between its ends, since the
//! world's axes know no others.

mod axis;
mod commands;
mod io;
mod packet;
mod settings;
#[cfg(test)]
mod tests;

use self::axis::{Axis, FLAGS};
use self::packet::{Id, Packet, Style};
use super::lines::Lines;
use super::{Device, Replies};
use crate::world::World;

/// Time a command takes to be understood, seconds; each device of a chain passes it on and takes its own.
const COMMAND_S: f64 = 0.000_3;
/// Packets a command may be cut into (`comm.command.packets.max`).
const PACKETS_MAX: usize = 5;
/// Longest packet (`comm.packet.size.max`).
const PACKET_MAX: usize = 80;
/// Serial numbers of simulated devices begin here: real ones have six digits.
const SERIAL: u32 = 4_000_000_000;

/// A product: its name, what it calls itself, and its axes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Model {
    name: &'static str,
    device_id: u32,
    /// Of the stage on each axis; 0 where the stage is built in.
    peripheral_id: u32,
    axes: usize,
    /// Size of a microstep at a resolution of 64, um.
    unit_um: f64,
}

/// Device and peripheral ids as in the tests of Zaber's own library and of its motor driver for EPICS: stage 43021
/// counts 0.047625 um, 43211 and the X-LHM 8062.992 microsteps a millimetre.
const MODELS: &[Model] = &[
    Model { name: "X-MCC4", device_id: 30342, peripheral_id: 43021, axes: 4, unit_um: 0.047_625 },
    Model { name: "X-MCB2", device_id: 30222, peripheral_id: 43211, axes: 2, unit_um: 0.124_023_437_5 },
    Model { name: "X-LHM", device_id: 50081, peripheral_id: 0, axes: 1, unit_um: 0.124_023_437_5 },
];

/// The axes of a model, for the options of a device that stands alone.
pub(super) fn axes_of(model: Option<&str>) -> usize {
    find(model).axes
}

fn find(model: Option<&str>) -> Model {
    // A bench file may give the beginning of a longer designation.
    let begins = |m: &&Model| model.is_some_and(|name| name.to_ascii_uppercase().starts_with(m.name));
    MODELS.iter().find(begins).copied().unwrap_or(MODELS[0])
}

/// The device and the axis of a channel `device.axis`; what follows an `@` is the bench file's opinion.
fn place(channel: &str) -> Option<(u32, usize)> {
    let (at, _) = channel.split_once('@').unwrap_or((channel, ""));
    let (device, axis) = at.split_once('.').unwrap_or((at, "1"));
    let device = device.trim().parse().ok().filter(|n| (1..=99).contains(n))?;
    Some((device, axis.trim().parse().ok().filter(|n| (1..=9).contains(n))?))
}

/// A command that has begun in one packet and goes on in others.
#[derive(Debug, Clone, PartialEq)]
struct Begun {
    axis: u32,
    id: Id,
    words: Vec<String>,
    packets: usize,
}

/// One device of the chain.
struct Controller {
    model: Model,
    address: u32,
    serial: u32,
    /// `None` where no stage is connected.
    axes: Vec<Option<Axis>>,
    alert: bool,
    sealed: bool,
    begun: Option<Begun>,
    io: io::Io,
}

pub(super) struct Zaber {
    world: World,
    /// In the order of the cable.
    chain: Vec<Controller>,
    lines: Lines,
    replies: Replies,
    refuse: bool,
}

impl Zaber {
    /// A chain for channels named `device.axis`; those named otherwise move nothing.
    pub(super) fn new(world: World, model: Option<&str>, axes: &[(String, String)]) -> Zaber {
        let model = find(model);
        let mut chain: Vec<Controller> = Vec::new();
        for (name, channel) in axes {
            let Some((address, number)) = place(channel).filter(|(_, n)| *n <= model.axes) else { continue };
            let at = chain.iter().position(|c| c.address >= address).unwrap_or(chain.len());
            if chain.get(at).is_none_or(|c| c.address != address) {
                chain.insert(at, Controller::new(model, address));
            }
            chain[at].axes[number - 1] = Some(Axis::new(&world, name.clone(), model.unit_um));
        }
        Zaber { world, chain, lines: Lines::default(), replies: Replies::default(), refuse: false }
    }

    fn byte(&mut self, now_s: f64, byte: u8) {
        if !matches!(byte, b'\r' | b'\n') {
            return self.lines.push(byte);
        }
        // A line that is too long is nobody's.
        let Ok(line) = self.lines.end() else { return };
        if let Some(packet) = packet::parse(&line).filter(|_| line.len() <= PACKET_MAX) {
            self.hear(now_s, &packet);
        }
    }

    /// A packet travels down the chain.
    fn hear(&mut self, now_s: f64, packet: &Packet) {
        if packet.words.first().is_some_and(|w| w == "renumber") && !self.refuse {
            return self.renumber(now_s, packet);
        }
        let mut at_s = now_s;
        for controller in &mut self.chain {
            at_s += COMMAND_S;
            if packet.device != 0 && packet.device != controller.address {
                continue;
            }
            let Some((words, id)) = controller.whole(packet) else { continue };
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let asks = matches!(words.first(), None | Some(&"get" | &"warnings"));
            let done = match id {
                Id::Bad => Err("BADMESSAGEID"),
                _ if self.refuse && !asks => Err("DRIVERDISABLED"),
                _ => controller.act(&self.world, now_s, packet.axis, &words),
            };
            if id != Id::Quiet {
                controller.answer(&mut self.replies, at_s, packet.axis, id, done);
            }
        }
    }

    /// Gives every device its place in the chain as its address, from the number given or 1.
    fn renumber(&mut self, now_s: f64, packet: &Packet) {
        let first = packet.words.get(1).map_or(Some(1), |w| w.parse::<u32>().ok());
        let last = u32::try_from(self.chain.len()).ok().and_then(|n| first?.checked_add(n)?.checked_sub(1));
        let fits = first.is_some_and(|n| n >= 1) && last.is_some_and(|n| n <= 99);
        let numbers = first.unwrap_or(1)..;
        for (controller, number) in self.chain.iter_mut().zip(numbers) {
            if packet.device != 0 && packet.device != controller.address {
                continue;
            }
            let done = if fits {
                controller.address = if packet.device == 0 { number } else { first.unwrap_or(1) };
                Ok("0".to_string())
            } else {
                Err("BADDATA")
            };
            controller.answer(&mut self.replies, now_s + COMMAND_S, 0, packet.id, done);
        }
    }

    /// Ends motions that are over, in the order in which they end, and tells of them.
    fn tick(&mut self, now_s: f64) {
        for controller in &mut self.chain {
            controller.tick(&self.world, now_s, &mut self.replies);
        }
    }
}

impl Controller {
    fn new(model: Model, address: u32) -> Controller {
        Controller {
            model,
            address,
            serial: SERIAL + address,
            axes: vec![None; model.axes],
            alert: false,
            sealed: false,
            begun: None,
            io: io::Io::default(),
        }
    }

    fn style(&self) -> Style {
        Style { size_max: PACKET_MAX, sealed: self.sealed }
    }

    /// The words of a command that is whole with this packet; `None` while more is to come.
    fn whole(&mut self, packet: &Packet) -> Option<(Vec<String>, Id)> {
        let begun = self.begun.take();
        let continues = packet.words.first().is_some_and(|w| w == "cont");
        let mut command = match begun {
            Some(begun) if continues => {
                let number = packet.words.get(1).and_then(|w| w.parse().ok());
                if number != Some(begun.packets) || (begun.axis, begun.id) != (packet.axis, packet.id) {
                    return None;
                }
                begun
            }
            _ => Begun { axis: packet.axis, id: packet.id, words: Vec::new(), packets: 0 },
        };
        let skip = if command.packets > 0 { 2 } else { 0 };
        command.words.extend(packet.words.iter().skip(skip).cloned());
        command.packets += 1;
        if !packet.more {
            return Some((command.words, command.id));
        }
        self.begun = Some(command).filter(|c| c.packets < PACKETS_MAX);
        None
    }

    /// The axes of an address: all of them for 0.
    fn addressed(&self, axis: u32) -> impl Iterator<Item = &Axis> {
        let only = usize::try_from(axis).unwrap_or(usize::MAX);
        let named = move |i: usize| only == 0 || i + 1 == only;
        self.axes.iter().enumerate().filter(move |(i, _)| named(*i)).filter_map(|(_, a)| a.as_ref())
    }

    /// Number of flags of the axes of an address, most important first, and their names.
    fn flags(&self, axis: u32) -> Vec<&'static str> {
        let empty =
            usize::try_from(axis).ok().and_then(|a| self.axes.get(a.checked_sub(1)?)).is_some_and(Option::is_none);
        if empty {
            return vec!["FZ"];
        }
        let mut flags: Vec<usize> = self.addressed(axis).flat_map(|a| a.flags().iter().copied()).collect();
        flags.sort_unstable();
        flags.dedup();
        flags.into_iter().map(|f| FLAGS[f]).collect()
    }

    fn state(&self, axis: u32) -> String {
        let status = if self.addressed(axis).any(Axis::is_busy) { "BUSY" } else { "IDLE" };
        format!("{status} {}", self.flags(axis).first().unwrap_or(&"--"))
    }

    fn answer(&self, replies: &mut Replies, at_s: f64, axis: u32, id: Id, done: Result<String, &'static str>) {
        let id = match id {
            Id::Number(n) => format!(" {n:02}"),
            _ => String::new(),
        };
        let from = format!("{:02} {axis}{id}", self.address);
        let (flag, data) = match done {
            Ok(data) => ("OK", data),
            Err(reason) => ("RJ", reason.to_string()),
        };
        let head = format!("@{from} {flag} {}", self.state(axis));
        let (data, info) = data.split_once('\n').unwrap_or((&data, ""));
        let mut bytes = self.style().reply(&head, &format!("#{from}"), data);
        for line in info.lines() {
            bytes.extend(self.style().packet(&format!("#{from} {line}")));
        }
        replies.push(at_s, bytes);
    }

    fn tick(&mut self, world: &World, now_s: f64, replies: &mut Replies) {
        for number in 1..=self.axes.len() {
            let Some(axis) = self.axes[number - 1].as_mut() else { continue };
            let Some(at_s) = axis.until_s().filter(|at| *at <= now_s) else { continue };
            if axis.tick(world, now_s) && self.alert {
                let number = u32::try_from(number).unwrap_or(0);
                let text = format!("!{:02} {number} {}", self.address, self.state(number));
                replies.push(at_s, self.style().packet(&text));
            }
        }
    }
}

impl Device for Zaber {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.tick(now_s);
        for byte in bytes {
            self.byte(now_s, *byte);
        }
    }

    fn due(&self) -> Option<f64> {
        let ends = self.chain.iter().flat_map(|c| c.axes.iter().flatten().filter_map(Axis::until_s));
        ends.chain(self.replies.due()).reduce(f64::min)
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.tick(now_s);
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        self.lines.clear();
        self.replies.clear();
        // Settings are kept over a loss of power.
        for controller in &mut self.chain {
            controller.begun = None;
            controller.io.reset();
            for axis in controller.axes.iter_mut().flatten() {
                axis.power_on(&self.world, now_s);
            }
        }
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
    }
}
