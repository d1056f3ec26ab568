//! A piezo controller of one channel (KPZ101, TPZ001), with a strain gauge for its closed loop.

use super::registers::{Registers, channelled};
use super::wire::{Message, UNIT, short, with_data};
use crate::world::{Order, World};

/// Travel of the actuator where the axis is not one itself, um: that of a NanoMax stage.
const TRAVEL_UM: f64 = 20.0;
/// An axis with no more travel than this is taken for the actuator itself, um.
const ACTUATOR_UM: f64 = 1000.0;
/// Voltage at which the actuator has gone all its travel, V.
const RATED_V: f64 = 75.0;
/// Time for the whole travel: an amplifier on some microfarads, s.
const SLEW_S: f64 = 0.02;
/// Zeroing the gauge takes this long, s.
const ZEROING_S: f64 = 2.0;
/// Full scale of voltage and position words.
const FULL: f64 = 32_767.0;
const SETTINGS: u16 = 0x07D6;

const CONNECTED: u32 = 0x1;
const ZEROED: u32 = 0x10;
const ZEROING: u32 = 0x20;
const GAUGE: u32 = 0x100;
const CLOSED: u32 = 0x400;
const ENABLED: u32 = 0x8000_0000;

pub(super) struct Piezo {
    world: World,
    axis: String,
    registers: Registers,
    enabled: bool,
    /// 1 open loop, 2 closed, 3 and 4 the same smoothly.
    mode: u8,
    /// As set, full scale 32767.
    volts: i16,
    position: u16,
    low_um: f64,
    travel_um: f64,
    zeroed_s: f64,
}

impl Piezo {
    pub(super) fn at_power_on(world: &World, axis: String) -> Piezo {
        let now = world.now_s();
        let found = world.axis(&axis, now, |a| (a.encoder(now), a.model().travel_um));
        let (here, (low, high)) = found.unwrap_or_default();
        let own = high - low <= ACTUATOR_UM && high > low;
        let mut registers = Registers::new(
            &[
                channelled(0x0652, 0x0653, 0x0654, 4),
                channelled(0x0655, 0x0656, 0x0657, 6),
                channelled(0x07D4, 0x07D5, SETTINGS, 10),
            ],
            1,
        );
        // 75 V; proportional and integral gain of the handbook's delivery state.
        registers.put(SETTINGS, 2, &[1, 0]);
        registers.put(0x0657, 2, &[100, 0, 30, 0]);
        Piezo {
            world: world.clone(),
            axis,
            registers,
            enabled: false,
            mode: 1,
            volts: 0,
            position: 0,
            low_um: if own { low } else { here },
            travel_um: if own { high - low } else { TRAVEL_UM },
            zeroed_s: f64::INFINITY,
        }
    }

    pub(super) fn hear(&mut self, now_s: f64, message: &Message) -> Vec<Vec<u8>> {
        if self.registers.set(message) {
            // Another range of voltage is another voltage at once.
            self.drive(now_s);
            return Vec::new();
        }
        let pair = |id: u16, value: [u8; 2]| vec![with_data(id, &[1, 0, value[0], value[1]], UNIT)];
        let [channel, second] = message.params;
        match message.id {
            0x0210 => self.enabled = second == 1,
            0x0211 => return vec![short(0x0212, [channel, if self.enabled { 1 } else { 2 }], UNIT)],
            0x0640 if matches!(second, 1..=4) => self.mode = second,
            0x0641 => return vec![short(0x0642, [channel, self.mode], UNIT)],
            0x0643 => self.volts = i16::from_le_bytes(message.word(2).to_le_bytes()),
            0x0644 => return pair(0x0645, self.volts.to_le_bytes()),
            0x0646 => self.position = message.word(2).min(32_767),
            0x0647 => return pair(0x0648, self.gauge(now_s).to_le_bytes()),
            0x0650 => return pair(0x0651, word(self.travel_um * 10.0).to_le_bytes()),
            0x0658 => self.zeroed_s = now_s + ZEROING_S,
            0x0660 => return vec![self.update(now_s)],
            _ => return self.registers.answer(message, UNIT).into_iter().collect(),
        }
        if matches!(message.id, 0x0210 | 0x0640 | 0x0643 | 0x0646) {
            self.drive(now_s);
        }
        Vec::new()
    }

    fn is_closed(&self) -> bool {
        matches!(self.mode, 2 | 4)
    }

    fn range_v(&self) -> f64 {
        match self.registers.word(SETTINGS, 2) {
            2 => 100.0,
            3 => 150.0,
            _ => 75.0,
        }
    }

    /// Sends the actuator where the settings want it; a disabled output is at 0 V.
    fn drive(&mut self, now_s: f64) {
        let share = if !self.enabled {
            0.0
        } else if self.is_closed() {
            f64::from(self.position) / FULL
        } else {
            f64::from(self.volts) / FULL * self.range_v() / RATED_V
        };
        let target_um = self.low_um + share.clamp(0.0, 1.0) * self.travel_um;
        self.world.ordered(now_s, Order::Move { axis: self.axis.clone(), target_um });
        let velocity = self.travel_um / SLEW_S;
        self.world.axis(&self.axis, now_s, |a| a.start(now_s, target_um, velocity));
    }

    /// What the strain gauge says, full scale 32767.
    fn gauge(&self, now_s: f64) -> u16 {
        let here = self.world.axis(&self.axis, now_s, |a| a.encoder(now_s)).unwrap_or(self.low_um);
        word((here - self.low_um) / self.travel_um * FULL)
    }

    /// The status message.
    pub(super) fn update(&self, now_s: f64) -> Vec<u8> {
        let mut bits = CONNECTED | GAUGE;
        bits |= if self.enabled { ENABLED } else { 0 };
        bits |= if self.is_closed() { CLOSED } else { 0 };
        bits |= match self.zeroed_s {
            at if at <= now_s => ZEROED,
            at if at.is_finite() => ZEROING,
            _ => 0,
        };
        let mut data = vec![1, 0];
        data.extend(self.volts.to_le_bytes());
        data.extend(self.gauge(now_s).to_le_bytes());
        data.extend(bits.to_le_bytes());
        with_data(0x0661, &data, UNIT)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, as the word of a converter does"
)]
pub(super) fn word(value: f64) -> u16 {
    value.round() as u16
}
