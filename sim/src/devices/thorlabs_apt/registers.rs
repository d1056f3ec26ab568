//! Settings that an APT controller keeps as it gets them and gives back: triples of SET, REQ and GET messages. Pure.

use std::collections::BTreeMap;

use super::models::{Class, Model, Stage};
use super::wire::{Message, with_data, word};

/// Messages and length of one setting, with or without the channel in its first word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Triple {
    set: u16,
    request: u16,
    get: u16,
    length: usize,
    channel: bool,
}

/// A setting whose first word is the channel.
pub(super) const fn channelled(set: u16, request: u16, get: u16, length: usize) -> Triple {
    Triple { set, request, get, length, channel: true }
}

/// A setting without a channel.
pub(super) const fn bare(set: u16, request: u16, get: u16, length: usize) -> Triple {
    Triple { set, request, get, length, channel: false }
}

/// Velocity parameters: channel, minimum, acceleration, maximum.
pub(super) const VELOCITY: u16 = 0x0415;
/// Jog: channel, mode, step, minimum, acceleration, maximum, stop mode.
pub(super) const JOG: u16 = 0x0418;
/// Limits: channel, two switches, two soft limits, soft mode.
pub(super) const LIMITS: u16 = 0x0425;
/// Backlash: channel, distance.
pub(super) const BACKLASH: u16 = 0x043C;
/// Home: channel, direction, limit switch, velocity, offset.
pub(super) const HOME: u16 = 0x0442;
/// Distance of a relative move without data.
pub(super) const RELATIVE: u16 = 0x0447;
/// Target of an absolute move without data.
pub(super) const ABSOLUTE: u16 = 0x0452;

/// Settings of motor controllers.
const MOTOR: &[Triple] = &[
    channelled(0x0413, 0x0414, VELOCITY, 14),
    channelled(0x0416, 0x0417, JOG, 22),
    channelled(0x0423, 0x0424, LIMITS, 16),
    channelled(0x0426, 0x0427, 0x0428, 6),
    channelled(0x043A, 0x043B, BACKLASH, 6),
    channelled(0x0440, 0x0441, HOME, 14),
    channelled(0x0445, 0x0446, RELATIVE, 6),
    channelled(0x0450, 0x0451, ABSOLUTE, 6),
    // K-Cube trigger input and output, and trigger positions.
    channelled(0x0523, 0x0524, 0x0525, 22),
    channelled(0x0526, 0x0527, 0x0528, 34),
];
/// A brushed servo's loop.
const SERVO: Triple = channelled(0x04A0, 0x04A1, 0x04A2, 20);

/// Settings by the identifier of their GET message.
#[derive(Debug, Clone)]
pub(super) struct Registers {
    triples: Vec<Triple>,
    values: BTreeMap<u16, Vec<u8>>,
}

impl Registers {
    /// All zero, but for the channel.
    pub(super) fn new(triples: &[Triple], channel: u16) -> Registers {
        let blank = |t: &Triple| {
            let mut value = vec![0; t.length];
            if t.channel {
                value[..2].copy_from_slice(&channel.to_le_bytes());
            }
            (t.get, value)
        };
        Registers { triples: triples.to_vec(), values: triples.iter().map(blank).collect() }
    }

    /// What a motor controller has at power-on, in the counts of its stage.
    pub(super) fn of_motor(model: &Model, stage: &Stage) -> Registers {
        let mut triples = MOTOR.to_vec();
        if model.class == Class::Dc {
            triples.push(SERVO);
        }
        let mut registers = Registers::new(&triples, 1);
        // mm/s and mm/s^2; those of the brushed servo are the ones seen on the wire (sheet, section 5).
        let (velocity, acceleration) = match model.class {
            Class::Dc => (1.0, 13_744.5 / (34_304.0 * model.words().1)),
            Class::Brushless => (10.0, 50.0),
            _ => (1.0, 4.0),
        };
        let (v, a) = model.words();
        let velocity = number(velocity * stage.counts * v);
        let acceleration = number(acceleration * stage.counts * a);
        let step = number(0.1 * stage.counts);
        registers.put(VELOCITY, 6, &acceleration.to_le_bytes());
        registers.put(VELOCITY, 10, &velocity.to_le_bytes());
        registers.put(JOG, 2, &2u16.to_le_bytes());
        registers.put(JOG, 4, &step.to_le_bytes());
        registers.put(JOG, 12, &acceleration.to_le_bytes());
        registers.put(JOG, 16, &velocity.to_le_bytes());
        registers.put(JOG, 20, &2u16.to_le_bytes());
        // Switches that make on contact; no soft limits.
        registers.put(LIMITS, 2, &[2, 0, 2, 0]);
        registers.put(LIMITS, 14, &1u16.to_le_bytes());
        // Home at the reverse switch and 0.3 mm off it.
        registers.put(HOME, 2, &[2, 0, 1, 0]);
        registers.put(HOME, 6, &velocity.to_le_bytes());
        registers.put(HOME, 10, &number(0.3 * stage.counts).to_le_bytes());
        registers
    }

    /// Takes a SET message of one of the settings; false for other messages. Data too short change only what they hold.
    pub(super) fn set(&mut self, message: &Message) -> bool {
        let Some(triple) = self.triples.iter().find(|t| t.set == message.id && message.is_long()) else {
            return false;
        };
        let skip = if triple.channel { 2 } else { 0 };
        if let Some(value) = self.values.get_mut(&triple.get) {
            for (kept, sent) in value.iter_mut().zip(&message.data).skip(skip) {
                *kept = *sent;
            }
        }
        true
    }

    /// The GET message that answers a REQ message of one of the settings.
    pub(super) fn answer(&self, message: &Message, source: u8) -> Option<Vec<u8>> {
        let triple = self.triples.iter().find(|t| t.request == message.id)?;
        Some(with_data(triple.get, self.values.get(&triple.get)?, source))
    }

    pub(super) fn put(&mut self, get: u16, at: usize, bytes: &[u8]) {
        if let Some(place) = self.values.get_mut(&get).and_then(|v| v.get_mut(at..at + bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    fn value(&self, get: u16) -> &[u8] {
        self.values.get(&get).map_or(&[], Vec::as_slice)
    }

    /// A word of a setting.
    pub(super) fn word(&self, get: u16, at: usize) -> u16 {
        word(self.value(get), at)
    }

    /// A 32-bit number of a setting.
    pub(super) fn long(&self, get: u16, at: usize) -> i32 {
        super::wire::long(self.value(get), at)
    }
}

/// Whole counts, as firmware cuts them.
#[expect(clippy::cast_possible_truncation, reason = "saturates, as a register does")]
pub(super) fn number(value: f64) -> i32 {
    value.trunc() as i32
}
