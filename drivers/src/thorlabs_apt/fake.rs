//! A servo or stepper after the bytes seen from pylablib and thorlabs-apt-device, with faults to switch on. For tests.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;

use crate::fake::ms;

/// The identity of a servo K-Cube as pylablib got it (sheet, section 5), with the number of its stage.
pub(super) fn identity(model: &str, stage: u16) -> Vec<u8> {
    let mut bytes = vec![0x06, 0x00, 0x54, 0x00, 0x81, 0x50, 0xc1, 0xfc, 0x9b, 0x01];
    bytes.resize(90, 0);
    bytes[10..10 + model.len()].copy_from_slice(model.as_bytes());
    bytes[18..24].copy_from_slice(&[0x10, 0x00, 0x02, 0x00, 0x01, 0x00]);
    bytes[82..84].copy_from_slice(&stage.to_le_bytes());
    bytes[88] = 1;
    bytes
}

pub(super) struct Device {
    pub(super) identity: Vec<u8>,
    pub(super) enabled: bool,
    pub(super) homed: bool,
    pub(super) homing_until: Duration,
    pub(super) counts: i32,
    pub(super) target: i32,
    /// From an order to the first motion, and its length.
    pub(super) begins: Duration,
    pub(super) ends: Duration,
    pub(super) velocity: [u8; 14],
    pub(super) limits: [u8; 16],
    pub(super) extra_bits: u32,
    /// Moves end here instead of at their target.
    pub(super) stuck_at: Option<i32>,
    /// The firmware sends ends of moves although they are suspended.
    pub(super) chatty: bool,
    pub(super) refuses: bool,
    pub(super) ignores_home: bool,
    pub(super) velocity_max: i32,
    pub(super) heard: Vec<Vec<u8>>,
    told: bool,
    clock: Clock,
}

pub(super) type Shared = Rc<RefCell<Device>>;

pub(super) const MOVES: Duration = Duration::from_millis(400);

impl Device {
    pub(super) fn new(clock: &Clock) -> Device {
        let mut velocity = [0; 14];
        // pylablib: 15 04 0e 00 81 50 01 00 00 00 00 00 b0 35 00 00 87 b5 0b 00
        velocity.copy_from_slice(&[1, 0, 0, 0, 0, 0, 0xb0, 0x35, 0, 0, 0x87, 0xb5, 0x0b, 0]);
        Device {
            identity: identity("KDC101", 8),
            enabled: false,
            homed: true,
            homing_until: Duration::ZERO,
            counts: 0,
            target: 0,
            begins: Duration::ZERO,
            ends: Duration::ZERO,
            velocity,
            limits: [1, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
            extra_bits: 0,
            stuck_at: None,
            chatty: false,
            refuses: false,
            ignores_home: false,
            velocity_max: i32::MAX,
            heard: Vec::new(),
            told: true,
            clock: clock.clone(),
        }
    }

    pub(super) fn count(&self, id: u16) -> usize {
        self.heard.iter().filter(|m| m[..2] == id.to_le_bytes()).count()
    }

    fn status(&mut self) -> Vec<u8> {
        let now = self.clock.now();
        let mut bits = 0x0000_1100 | self.extra_bits;
        bits |= if self.enabled { 0x8000_0000 } else { 0 };
        if self.homing_until > now {
            bits |= 0x200;
        } else if self.homing_until > Duration::ZERO {
            (self.homed, self.counts, self.homing_until) = (true, 0, Duration::ZERO);
        }
        bits |= if self.homed { 0x400 } else { 0 };
        if now >= self.ends {
            self.counts = self.stuck_at.unwrap_or(self.target);
        } else if now >= self.begins {
            bits |= 0x10;
        }
        // thorlabs-apt-device: 91 04 0e 00 81 50 01 00 <pos> <vel> <rsv> <bits>
        let mut bytes = vec![0x91, 0x04, 0x0e, 0x00, 0x81, 0x50, 1, 0];
        bytes.extend(self.counts.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(bits.to_le_bytes());
        bytes
    }

    pub(super) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        self.heard.push(request.to_vec());
        let now = self.clock.now();
        let id = u16::from_le_bytes([request[0], request[1]]);
        if self.refuses && id != 0x0005 {
            let mut bytes = vec![0x81, 0x00, 68, 0, 0x81, 0x50, request[0], request[1], 7, 0];
            bytes.extend(b"not now");
            bytes.resize(74, 0);
            return if matches!(id, 0x0414 | 0x0490) { bytes } else { Vec::new() };
        }
        let number = |at: usize| i32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let with = |id: u16, data: &[u8]| {
            let mut bytes = id.to_le_bytes().to_vec();
            bytes.extend([u8::try_from(data.len()).unwrap(), 0, 0x81, 0x50]);
            bytes.extend(data);
            bytes
        };
        let mut answer = match id {
            0x0005 => self.identity.clone(),
            0x0210 => {
                self.enabled = request[3] == 1;
                Vec::new()
            }
            0x0211 => vec![0x12, 0x02, 1, if self.enabled { 1 } else { 2 }, 0x01, 0x50],
            0x0413 => {
                self.velocity.copy_from_slice(&request[6..]);
                let least = number(16).min(self.velocity_max);
                self.velocity[10..].copy_from_slice(&least.to_le_bytes());
                Vec::new()
            }
            0x0414 => with(0x0415, &self.velocity),
            0x0423 => {
                self.limits.copy_from_slice(&request[6..]);
                Vec::new()
            }
            0x0424 => with(0x0425, &self.limits),
            0x0443 if !self.ignores_home => {
                (self.homed, self.target, self.homing_until) = (false, 0, now + ms(3000));
                Vec::new()
            }
            0x0453 => {
                self.target = number(8);
                (self.begins, self.ends, self.told) = (now + ms(8), now + MOVES, false);
                Vec::new()
            }
            0x0465 => {
                (self.target, self.ends) = (self.counts, now + ms(3));
                Vec::new()
            }
            0x0490 => self.status(),
            _ => Vec::new(),
        };
        if self.chatty && !self.told && now >= self.ends {
            self.told = true;
            // pylablib, unasked: 64 04 0e 00 81 50 01 00 80 a7 00 00 00 00 00 00 00 15 00 80
            let mut aside = self.status();
            aside[0] = 0x64;
            answer.splice(0..0, aside);
        }
        answer
    }
}

/// Length of the first message to a device.
pub(super) fn cut(input: &[u8]) -> Option<usize> {
    let header = input.get(..6)?;
    let length = if header[4] & 0x80 == 0 { 6 } else { 6 + usize::from(header[2]) };
    (input.len() >= length).then_some(length)
}
