//! A NanoTrak (KNA101, TNA001, BNT001): a detector, two piezos, and a loop that circles on the light and follows it.

use std::f64::consts::TAU;

use super::piezo::word;
use super::registers::{Registers, bare};
use super::wire::{Message, UNIT, short, with_data};
use crate::dither::{Dither, RESPONSIVITY_A_W};
use crate::head::Head;
use crate::light::detector::Reading;
use crate::world::{Order, World};

/// Travel of the piezos, um: a NanoMax stage's.
const TRAVEL_UM: f64 = 20.0;
/// Full scale of positions and diameters.
const SPAN: f64 = 65_535.0;
/// Middle of the travel.
const MIDDLE: u16 = 32_768;
/// The smallest and the largest range by their codes: 3 nA and 10 mA.
const CODES: (u16, u16) = (3, 16);
/// A reading averages this long, s: some circles would hide the dither.
const AVERAGING_S: f64 = 0.002;
/// Gain that counts as 1 (delivery state).
const GAIN: f64 = 600.0;
/// A circle's frequency is this over its word, Hz.
const FREQUENCY_HZ: f64 = 7_000.0;
/// Range of its frequency, Hz.
const FREQUENCIES_HZ: (f64, f64) = (17.5, 175.0);

const THRESHOLD: u16 = 0x0608;
const HOME: u16 = 0x0611;
const CIRCLE: u16 = 0x0620;
const PHASE: u16 = 0x0628;
const RANGE: u16 = 0x0632;
const GAINS: u16 = 0x0635;

/// Both channels connected and enabled.
const CHANNELS: u32 = 0xF_0000;

pub(super) struct NanoTrak {
    world: World,
    name: String,
    registers: Registers,
    /// 1 piezo, 2 latch, 3 track, 4 horizontal, 5 vertical.
    mode: u8,
    feedback: u8,
    head: Head,
    /// Range as the detector counts it, largest first.
    range: usize,
    range_since_s: f64,
}

/// Upper end of a range, A, by its code: two a decade from 3 nA.
fn full_a(code: u16) -> f64 {
    let code = code.clamp(CODES.0, CODES.1);
    let (digit, decade) = if code % 2 == 1 { (3.0, (code - 3) / 2) } else { (10.0, (code - 4) / 2) };
    digit * 1e-9 * 10f64.powi(i32::from(decade))
}

impl NanoTrak {
    pub(super) fn at_power_on(world: &World, name: &str, axes: [String; 2]) -> NanoTrak {
        let mut registers = Registers::new(
            &[
                bare(0x0606, 0x0607, THRESHOLD, 4),
                bare(0x0609, 0x0610, HOME, 4),
                bare(0x0618, 0x0619, CIRCLE, 12),
                bare(0x0621, 0x0622, 0x0623, 32),
                bare(0x0626, 0x0627, PHASE, 6),
                bare(0x0630, 0x0631, RANGE, 12),
                bare(0x0633, 0x0634, GAINS, 4),
                bare(0x0636, 0x0637, 0x0638, 20),
            ],
            1,
        );
        // The values that the sheet's dialogue sets: a tenth of the travel at 43.75 Hz, 100 nA.
        registers.put(THRESHOLD, 0, &1e-7f32.to_le_bytes());
        registers.put(HOME, 0, &[0x00, 0x80, 0x00, 0x80]);
        registers.put(CIRCLE, 0, &[1, 0, 0x9a, 0x19, 0xa0, 0, 0xcd, 0x0c, 0, 0x40, 1, 0]);
        registers.put(PHASE, 0, &[2, 0, 4, 0, 4, 0]);
        // Auto-ranging between 20 and 80 %, 4 samples, all ranges, 3 uA.
        registers.put(RANGE, 0, &[1, 0, 0x20, 0x03, 0xc8, 0, 4, 0, 1, 0, 9, 0]);
        registers.put(GAINS, 0, &[2, 0, 0x58, 0x02]);
        let ranges: Vec<f64> = (CODES.0..=CODES.1).rev().map(|code| full_a(code) / RESPONSIVITY_A_W).collect();
        let view = world.view(name, 1);
        let now = world.now_s();
        let dither = Dither {
            axes,
            reach_um: TRAVEL_UM / 2.0,
            centre_um: [0.0; 2],
            diameter_um: 0.0,
            frequency_hz: 0.0,
            phase_rad: [0.0; 2],
            gain: 0.0,
            full_a: full_a(9),
            threshold_a: 0.0,
            tracks: [false; 2],
            signal: false,
            view,
            next_s: now,
            noise: world.stream(&format!("dither {name}")),
        };
        world.inner.borrow_mut().dithers.insert(name.to_string(), dither);
        let head = Head::new(world, name, 1, &ranges);
        let mut made = NanoTrak {
            world: world.clone(),
            name: name.to_string(),
            registers,
            mode: 2,
            feedback: 1,
            head,
            range: usize::from(CODES.1 - 9),
            range_since_s: f64::NEG_INFINITY,
        };
        made.set_up(now);
        made
    }

    /// The dither as it is now, and the way to change it.
    fn dither<T>(&self, now_s: f64, act: impl FnOnce(&mut Dither) -> T) -> Option<T> {
        let mut inner = self.world.inner.borrow_mut();
        crate::dither::advance(&mut inner, now_s);
        inner.dithers.get_mut(&self.name).map(act)
    }

    /// Brings the dither to the settings.
    fn set_up(&mut self, now_s: f64) {
        self.choose_range(now_s);
        let steps = f64::from(self.registers.word(CIRCLE, 4)).max(1.0);
        let frequency_hz = (FREQUENCY_HZ / steps).clamp(FREQUENCIES_HZ.0, FREQUENCIES_HZ.1);
        let phase = |at| TAU * f64::from(i16::from_le_bytes(self.registers.word(PHASE, at).to_le_bytes())) / steps;
        let phase_rad = [phase(2), phase(4)];
        let threshold = f32::from_bits(u32::from_le_bytes(self.registers.long(THRESHOLD, 0).to_le_bytes()));
        let diameter_um = f64::from(self.registers.word(CIRCLE, 2)) / SPAN * TRAVEL_UM;
        let gain = f64::from(i16::from_le_bytes(self.registers.word(GAINS, 2).to_le_bytes())) / GAIN;
        let full_a = full_a(self.code());
        let tracks = match self.mode {
            3 => [true; 2],
            4 => [true, false],
            5 => [false, true],
            _ => [false; 2],
        };
        self.dither(now_s, |d| {
            (d.frequency_hz, d.phase_rad, d.diameter_um) = (frequency_hz, phase_rad, diameter_um);
            (d.gain, d.full_a, d.threshold_a, d.tracks) = (gain, full_a, f64::from(threshold), tracks);
        });
    }

    fn code(&self) -> u16 {
        CODES.1 - u16::try_from(self.range).unwrap_or(0).min(CODES.1 - CODES.0)
    }

    /// The range that mode, light and settings want.
    fn choose_range(&mut self, now_s: f64) {
        let auto = matches!(self.registers.word(RANGE, 0), 1 | 4);
        let range = if auto {
            self.head.auto_range(self.range, now_s)
        } else {
            usize::from(CODES.1 - self.registers.word(RANGE, 10).clamp(CODES.0, CODES.1))
        };
        if range != self.range {
            (self.range, self.range_since_s) = (range, now_s);
        }
    }

    pub(super) fn hear(&mut self, now_s: f64, message: &Message) -> Vec<(f64, Vec<u8>)> {
        if self.registers.set(message) {
            self.set_up(now_s);
            return Vec::new();
        }
        if let Some(answer) = self.registers.answer(message, UNIT) {
            return vec![(now_s, answer)];
        }
        let first = message.params[0];
        match message.id {
            0x0603 if matches!(first, 1..=5) => {
                self.mode = first;
                self.set_up(now_s);
            }
            0x0612 => self.go_home(now_s),
            0x061A => {
                let diameter = if message.is_long() { message.word(0) } else { u16::from_le_bytes(message.params) };
                self.registers.put(CIRCLE, 2, &diameter.to_le_bytes());
                self.set_up(now_s);
            }
            0x063B if matches!(first, 1..=5) => self.feedback = first,
            0x0604 => {
                let axes = match self.mode {
                    4 => 2,
                    5 => 3,
                    _ => 1,
                };
                return vec![(now_s, short(0x0605, [self.state(now_s), axes], UNIT))];
            }
            0x063C => return vec![(now_s, short(0x063D, [self.feedback, 0], UNIT))],
            0x063E => return vec![(now_s, with_data(0x063F, &self.bits(now_s).to_le_bytes(), UNIT))],
            0x0613 => {
                let (ready_s, reading) = self.reading(now_s);
                let centre = self.centre(now_s);
                return vec![(ready_s, with_data(0x0614, &[&centre[..], &reading].concat(), UNIT))];
            }
            0x0639 => {
                let (ready_s, reading) = self.reading(now_s);
                return vec![(ready_s, with_data(0x063A, &reading, UNIT))];
            }
            0x0664 => return vec![self.update(now_s)],
            _ => {}
        }
        Vec::new()
    }

    fn go_home(&mut self, now_s: f64) {
        let at = |at| (f64::from(self.registers.word(HOME, at)) - f64::from(MIDDLE)) / SPAN * TRAVEL_UM;
        let home = [at(0), at(2)];
        let axes = self.dither(now_s, |d| {
            d.centre_um = home;
            d.axes.clone()
        });
        for (axis, home_um) in axes.into_iter().flatten().zip(home) {
            // Told as where the fibre is to be: on top of the stage.
            let target_um = self.world.axis_target_um(&axis, now_s).unwrap_or_default() + home_um;
            self.world.ordered(now_s, Order::Move { axis, target_um });
        }
    }

    fn centre(&self, now_s: f64) -> Vec<u8> {
        let centre = self.dither(now_s, |d| d.centre_um).unwrap_or_default();
        let share = |um: f64| word(um / TRAVEL_UM * SPAN + f64::from(MIDDLE)).to_le_bytes();
        [share(centre[0]), share(centre[1])].concat()
    }

    /// What it does: 1 piezo, 2 latch, 3 tracking without signal, 4 tracking.
    fn state(&self, now_s: f64) -> u8 {
        let signal = self.dither(now_s, |d| d.signal).unwrap_or(false);
        match self.mode {
            mode @ (1 | 2) => mode,
            _ if signal => 4,
            _ => 3,
        }
    }

    fn bits(&self, now_s: f64) -> u32 {
        let auto = if matches!(self.registers.word(RANGE, 0), 1 | 4) { 0x10 } else { 0 };
        let tracking = match self.mode {
            3 => 0x1,
            4 => 0x5,
            5 => 0x9,
            _ => 0,
        };
        CHANNELS | auto | tracking | if self.state(now_s) == 4 { 0x2 } else { 0 }
    }

    /// A reading: when it is there, and absolute and relative value, range and under or over as the messages have it.
    fn reading(&mut self, now_s: f64) -> (f64, Vec<u8>) {
        self.choose_range(now_s);
        let full = full_a(self.code());
        self.dither(now_s, |d| d.full_a = full);
        let (ready_s, reading) = self.head.read(now_s, AVERAGING_S, self.range, self.range_since_s);
        let (amperes, flag) = match reading {
            Reading::Power(watts) => (watts * RESPONSIVITY_A_W, 1u16),
            Reading::UnderRange => (0.0, 2),
            Reading::Saturated => (full, 3),
        };
        // By its own account too little light is what the lower limit of the range calls so.
        let share = amperes / full;
        let low = f64::from(self.registers.word(RANGE, 4)) / 1000.0;
        let flag = if flag == 1 && share < low && self.code() == CODES.0 { 2 } else { flag };
        #[expect(clippy::cast_possible_truncation, reason = "what the message holds")]
        let mut data = (amperes as f32).to_le_bytes().to_vec();
        data.extend(word((share * 32_767.0).clamp(0.0, 32_767.0)).to_le_bytes());
        data.extend(self.code().to_le_bytes());
        data.extend(flag.to_le_bytes());
        (ready_s, data)
    }

    /// The status message, and when it is there.
    pub(super) fn update(&mut self, now_s: f64) -> (f64, Vec<u8>) {
        let (ready_s, reading) = self.reading(now_s);
        let mut data = self.centre(now_s);
        data.extend(self.registers.word(CIRCLE, 2).to_le_bytes());
        data.extend(reading);
        data.extend(self.bits(now_s).to_le_bytes());
        for (get, at) in [(GAINS, 2), (PHASE, 2), (PHASE, 4)] {
            data.extend(self.registers.word(get, at).to_le_bytes());
        }
        (ready_s, with_data(0x0665, &data, UNIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_the_codes_of_the_sheet() {
        for (code, amperes) in [(3, 3e-9), (4, 1e-8), (8, 1e-6), (9, 3e-6), (13, 3e-4), (16, 1e-2)] {
            assert!((full_a(code) / amperes - 1.0f64).abs() < 1e-9, "{code}: {}", full_a(code));
        }
    }
}
