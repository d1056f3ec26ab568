//! Thorlabs controllers that speak the APT binary protocol: servos, steppers, piezos and NanoTraks, as a unit on its own
//! or as a rack. From the fact sheet of the protocol, pylablib, thorlabs-apt-device and thorlabs-apt-protocol.
//!
//! This file: bytes, addresses, identity, updates that are sent unasked. Nothing acknowledges a setting; what a device
//! does not know it does not answer.

mod models;
mod motor;
mod nanotrak;
mod piezo;
mod registers;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use super::{Device, DeviceError, Replies};
use crate::world::World;
use models::{Class, Model, Stage};
use motor::Motor;
use nanotrak::NanoTrak;
use piezo::Piezo;
use wire::{BAY, Input, Message, RACK, UNIT, short, with_data};

/// Words of the models, for lists.
pub(super) const MODELS: &str = "KDC101 (default), TDC001, KBD101, BBD201, BBD203, KST101, BSC201, BSC203, KPZ101, \
                                 TPZ001, KNA101, TNA001, BNT001";

/// Axes and channels of a controller that stands alone, or the option that is wrong and its value.
pub(super) fn standalone(options: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, (&'static str, String)> {
    let option = |name: &str| options.get(name).map(String::as_str);
    let model = Model::named(option("model")).ok_or_else(|| ("model", option("model").unwrap_or("").into()))?;
    let count = option("axes").unwrap_or("1");
    let most = if model.rack && !model.name.ends_with("01") { 3 } else { 1 };
    let number =
        count.parse::<usize>().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| ("axes", count.to_string()))?;
    let number = if model.class == Class::NanoTrak { 2 } else { number };
    match option("status") {
        None | Some("14") => {}
        Some("20") if model.class == Class::Stepper => {}
        Some(other) => return Err(("status", other.to_string())),
    }
    let suffix = match option("stage") {
        None => String::new(),
        Some(stage) if Stage::named(stage).is_some() && !model.stage.is_empty() => format!(":{stage}"),
        Some(stage) => return Err(("stage", stage.to_string())),
    };
    let axes = ["x", "y", "z"].iter().zip(1..).take(number);
    Ok(axes.map(|(axis, channel)| ((*axis).to_string(), format!("{channel}{suffix}"))).collect())
}

/// Time a message takes to be understood, seconds.
const COMMAND_S: f64 = 0.001;
/// Period of the status messages that are sent unasked, s: 1024 servo periods of 102.4 us. The sheet says 100 ms, but at
/// that or less thorlabs-apt-device, which reads until nothing comes for 100 ms, would never get to its acknowledgements.
const UPDATE_S: f64 = 1024.0 * 102.4e-6;
/// Status messages without an acknowledgement after which the device gives up sending (sheet: about 50).
const UNHEARD_MAX: u32 = 50;
/// Code of a refusal; the sheet has no list of them.
const REFUSED: u16 = 1;

/// What is behind one address.
enum Part {
    Motor(Motor),
    Piezo(Piezo),
    NanoTrak(Box<NanoTrak>),
}

impl Part {
    fn hear(&mut self, now_s: f64, message: &Message) -> Vec<(f64, Vec<u8>)> {
        let at_once = |answers: Vec<Vec<u8>>| answers.into_iter().map(|a| (now_s, a)).collect();
        match self {
            Part::Motor(m) => at_once(m.hear(now_s, message)),
            Part::Piezo(p) => at_once(p.hear(now_s, message)),
            Part::NanoTrak(n) => n.hear(now_s, message),
        }
    }

    fn due(&self) -> Option<f64> {
        if let Part::Motor(m) = self { m.due() } else { None }
    }

    fn tick(&mut self, now_s: f64) -> Vec<(f64, Vec<u8>)> {
        if let Part::Motor(m) = self { m.tick(now_s) } else { Vec::new() }
    }

    fn update(&mut self, now_s: f64) -> (f64, Vec<u8>) {
        match self {
            Part::Motor(m) => (now_s, m.update(now_s)),
            Part::Piezo(p) => (now_s, p.update(now_s)),
            Part::NanoTrak(n) => n.update(now_s),
        }
    }

    fn stage(&self) -> u16 {
        if let Part::Motor(m) = self { m.stage.id } else { 0 }
    }
}

/// Status messages of one part, sent unasked.
#[derive(Debug, Clone, Copy)]
struct Updates {
    next_s: f64,
    unheard: u32,
}

/// What the bench or the command line says of a controller.
#[derive(Clone)]
struct Plan {
    name: String,
    model: Model,
    /// Axes with the controller's channels, and their stages.
    axes: Vec<(String, Stage)>,
    status_bytes: usize,
}

pub(super) struct Apt {
    world: World,
    plan: Plan,
    /// Parts by number: one for a unit, one a bay for a rack.
    parts: BTreeMap<u8, Part>,
    updates: BTreeMap<u8, Updates>,
    input: Input,
    replies: Replies,
    refuse: bool,
}

impl Apt {
    /// A controller; each channel of `axes` is `1`, `2` ..., or `1:STAGE` with the stage's name or its counts per mm. A
    /// word after the model (`KST101 20`) is the length of a stepper's status record.
    pub(super) fn new(
        world: &World,
        name: &str,
        model: Option<&str>,
        axes: &[(String, String)],
    ) -> Result<Apt, DeviceError> {
        let refused = |option: &str, value: &str| DeviceError::Value {
            kind: "thorlabs-apt".into(),
            option: option.into(),
            value: value.into(),
        };
        let long_record = model.is_some_and(|m| m.ends_with(" 20"));
        let word = model.map(|m| m.trim_end_matches(" 20"));
        let model = Model::named(word).ok_or_else(|| refused("model", word.unwrap_or_default()))?;
        let stages = axes.iter().map(|(axis, channel)| {
            let stage = match channel.split_once(':') {
                Some((_, stage)) => Stage::named(stage),
                None => Some(Stage::named(model.stage).unwrap_or(Stage { name: "", counts: 1000.0, id: 0 })),
            };
            stage.map(|stage| (axis.clone(), stage)).ok_or_else(|| refused("stage", channel))
        });
        let axes = stages.collect::<Result<Vec<_>, _>>()?;
        let status_bytes = if long_record { 20 } else { 14 };
        Ok(Apt::at_power_on(world, Plan { name: name.to_string(), model, axes, status_bytes }))
    }

    fn at_power_on(world: &World, plan: Plan) -> Apt {
        let Plan { name, model, axes, status_bytes } = &plan;
        let source = |part: u8| if model.rack { BAY + part } else { UNIT };
        let mut parts = BTreeMap::new();
        if model.class == Class::NanoTrak {
            let axis = |k: usize| axes.get(k).map(|(axis, _)| axis.clone()).unwrap_or_default();
            parts.insert(0, Part::NanoTrak(Box::new(NanoTrak::at_power_on(world, name, [axis(0), axis(1)]))));
        } else {
            let bays = if model.rack { 3 } else { 1 };
            for (part, (axis, stage)) in (0..bays).zip(axes) {
                let axis = axis.clone();
                let made = if model.class == Class::Piezo {
                    Part::Piezo(Piezo::at_power_on(world, axis))
                } else {
                    Part::Motor(Motor::at_power_on(world, axis, *model, *stage, *status_bytes, source(part)))
                };
                parts.insert(part, made);
            }
        }
        Apt {
            world: world.clone(),
            plan,
            parts,
            updates: BTreeMap::new(),
            input: Input::default(),
            replies: Replies::default(),
            refuse: false,
        }
    }

    fn address(&self) -> u8 {
        if self.plan.model.rack { RACK } else { UNIT }
    }

    fn say(&mut self, at_s: f64, bytes: Vec<u8>) {
        self.replies.push(at_s + COMMAND_S, bytes);
    }

    /// The part that an address means; `None` for the controller itself.
    fn part(&self, dest: u8) -> Option<u8> {
        match dest {
            UNIT if !self.plan.model.rack => Some(0),
            RACK | BAY if self.plan.model.any_address => Some(0),
            RACK => None,
            bay if self.plan.model.rack => bay.checked_sub(BAY).filter(|b| self.parts.contains_key(b)),
            _ => None,
        }
    }

    fn hear(&mut self, now_s: f64, message: &Message) {
        let part = self.part(message.dest);
        if part.is_none() && (message.dest != RACK || !self.plan.model.rack) {
            return;
        }
        if self.refuse && message.id != 0x0005 {
            let answer = self.refusal(message);
            return self.say(now_s, answer);
        }
        if let Some(answer) = self.of_controller(message) {
            return self.say(now_s, answer);
        }
        let Some(number) = part else { return };
        match message.id {
            0x0011 => {
                self.updates.insert(number, Updates { next_s: now_s + UPDATE_S, unheard: 0 });
            }
            0x0012 => {
                self.updates.remove(&number);
            }
            // Acknowledgements of motors, piezos and NanoTraks.
            0x0492 | 0x0662 | 0x0666 => {
                if let Some(updates) = self.updates.get_mut(&number) {
                    updates.unheard = 0;
                }
            }
            _ => {
                let answers = self.parts.get_mut(&number).map(|p| p.hear(now_s, message)).unwrap_or_default();
                for (at_s, answer) in answers {
                    self.say(at_s, answer);
                }
            }
        }
    }

    /// Answers of the controller as a whole.
    fn of_controller(&self, message: &Message) -> Option<Vec<u8>> {
        match message.id {
            0x0005 => {
                let source = if message.dest == RACK || !self.plan.model.rack { self.address() } else { message.dest };
                Some(with_data(0x0006, &self.identity(), source))
            }
            0x0060 if self.plan.model.rack => {
                let bay = message.params[0];
                let used = if self.parts.contains_key(&bay) { 1 } else { 2 };
                Some(short(0x0061, [bay, used], RACK))
            }
            _ => None,
        }
    }

    fn identity(&self) -> Vec<u8> {
        let model = &self.plan.model;
        let mut data = vec![0; 84];
        let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &(model.prefix * 1_000_000 + 1).to_le_bytes());
        put(4, model.name.as_bytes());
        put(12, &model.hardware.to_le_bytes());
        // Minor, interim and major of the firmware.
        put(14, &[2, 0, 1, 0]);
        put(18, b"APT simulated controller");
        // At the end of the notes a servo K-Cube has the number of its stage (pylablib).
        put(76, &self.parts.get(&0).map_or(0, Part::stage).to_le_bytes());
        put(78, &1u16.to_le_bytes());
        put(82, &u16::try_from(self.parts.len()).unwrap_or(1).to_le_bytes());
        data
    }

    fn refusal(&self, message: &Message) -> Vec<u8> {
        let mut data = [message.id.to_le_bytes(), REFUSED.to_le_bytes()].concat();
        data.extend(b"command refused");
        data.resize(68, 0);
        with_data(0x0081, &data, if message.dest == RACK { RACK } else { self.address() })
    }

    /// Sends what comes unasked: ends of motion and status messages.
    fn tick(&mut self, now_s: f64) {
        let mut told: Vec<(f64, Vec<u8>)> = self.parts.values_mut().flat_map(|p| p.tick(now_s)).collect();
        for (number, updates) in &mut self.updates {
            let Some(part) = self.parts.get_mut(number) else { continue };
            while updates.next_s <= now_s && updates.unheard < UNHEARD_MAX {
                told.push(part.update(updates.next_s));
                updates.next_s += UPDATE_S;
                updates.unheard += 1;
            }
        }
        self.updates.retain(|_, u| u.unheard < UNHEARD_MAX);
        told.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        for (at_s, bytes) in told {
            self.replies.push(at_s, bytes);
        }
    }
}

impl Device for Apt {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.tick(now_s);
        for byte in bytes {
            self.input.push(*byte);
            while let Some(message) = self.input.take() {
                self.hear(now_s, &message);
            }
        }
    }

    fn due(&self) -> Option<f64> {
        let motion = self.parts.values().filter_map(Part::due);
        let updates = self.updates.values().map(|u| u.next_s);
        motion.chain(updates).chain(self.replies.due()).reduce(f64::min)
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.tick(now_s);
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        for part in self.parts.values_mut() {
            if let Part::Motor(motor) = part {
                motor.halt(now_s);
            }
        }
        *self = Apt::at_power_on(&self.world.clone(), self.plan.clone());
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.input.clear();
        self.replies.clear();
        self.updates.clear();
    }
}
