//! A Joinwit JW8103A four-channel power meter: binary frames. From the vendor's protocol as public drivers use it.
//!
//! `7B` address length command data checksum `7D`, the length without the two marks. A frame that is not sound is not
//! answered; neither is a command that the meter does not have.

use super::{Device, Replies};
use crate::head::Head;
use crate::light::detector::Reading;
use crate::world::World;

const BEGIN: u8 = 0x7b;
const END: u8 = 0x7d;
/// Length of a frame without data, as its length byte counts.
const LENGTH_MIN: u8 = 5;
/// A frame takes this long to be understood, seconds.
const COMMAND_S: f64 = 0.001;
/// The meter measures 100 times a second.
const SAMPLE_S: f64 = 0.01;
/// Upper ends of its ranges, W: the meter chooses among them itself.
const RANGES: [f64; 7] = [10e-3, 1e-3, 100e-6, 10e-6, 1e-6, 100e-9, 10e-9];
/// Wavelengths at the factory, nm.
const WAVELENGTHS: [u16; 6] = [850, 1300, 1310, 1490, 1550, 1625];
/// What comes with a connection.
const CONNECTION: [u8; 4] = [0x00, 0x00, 0x05, 0x01];
/// Least power that is told in dBm, thousandths: the type's floor of -70 dBm.
const FLOOR_MDBM: i32 = -70_000;

struct Channel {
    head: Head,
    range: usize,
    range_since_s: f64,
    /// Place in the table of wavelengths, from 1.
    wavelength: u8,
}

pub(super) struct JoinwitPm {
    channels: Vec<Channel>,
    table: Vec<u16>,
    buffer: Vec<u8>,
    replies: Replies,
    refuse: bool,
}

impl JoinwitPm {
    pub(super) fn new(world: &World, name: &str) -> JoinwitPm {
        let channel = |number| Channel {
            head: Head::new(world, name, number, &RANGES),
            range: 0,
            range_since_s: f64::NEG_INFINITY,
            wavelength: 3,
        };
        JoinwitPm {
            channels: (1..=4).map(channel).collect(),
            table: WAVELENGTHS.to_vec(),
            buffer: Vec::new(),
            replies: Replies::default(),
            refuse: false,
        }
    }

    /// Works off the frames that are whole.
    fn frames(&mut self, now_s: f64) {
        loop {
            let begin = self.buffer.iter().position(|b| *b == BEGIN).unwrap_or(self.buffer.len());
            self.buffer.drain(..begin);
            let Some(length) = self.buffer.get(2).copied() else { return };
            let end = usize::from(length) + 2;
            if length >= LENGTH_MIN && self.buffer.len() < end {
                return;
            }
            let sound = length >= LENGTH_MIN && is_sound(&self.buffer[..end]);
            if !sound {
                // Only the mark is taken for wrong: the real frame may begin within.
                self.buffer.remove(0);
                continue;
            }
            let frame: Vec<u8> = self.buffer.drain(..end).collect();
            self.command(now_s, &frame);
        }
    }

    fn command(&mut self, now_s: f64, frame: &[u8]) {
        let [_, address, _, high, low, data @ .., _, _] = frame else { return };
        if self.refuse {
            return;
        }
        let command = u16::from_be_bytes([*high, *low]);
        if let Some(answer) = self.answer(now_s, command, data) {
            self.replies.push(now_s + COMMAND_S, reply(*address, command, &answer));
        }
    }

    fn answer(&mut self, now_s: f64, command: u16, data: &[u8]) -> Option<Vec<u8>> {
        match (command, data) {
            (0x0140, []) => Some(CONNECTION.to_vec()),
            (0x0160, [channel, index]) => {
                let channel = self.channels.get_mut(usize::from(*channel).checked_sub(1)?)?;
                (1..=self.table.len()).contains(&usize::from(*index)).then(|| channel.wavelength = *index)?;
                Some(Vec::new())
            }
            (0x0162, []) => {
                let values = self.read(now_s).into_iter().flat_map(|r| thousandths_dbm(r).to_le_bytes());
                Some(values.collect())
            }
            (0x0164, []) => {
                let values = self.read(now_s).into_iter().flat_map(|r| milliwatts(r).to_le_bytes());
                Some(values.collect())
            }
            (0x0730, []) => Some(self.table.iter().flat_map(|w| w.to_le_bytes()).collect()),
            (0x0732, _) => {
                let (pairs, []) = data.as_chunks::<2>() else { return None };
                if pairs.len() != self.table.len() {
                    return None;
                }
                self.table = pairs.iter().map(|p| u16::from_le_bytes(*p)).collect();
                Some(Vec::new())
            }
            _ => None,
        }
    }

    /// What the meter measured last on each channel.
    fn read(&mut self, now_s: f64) -> Vec<Reading> {
        let begin = ((now_s / SAMPLE_S).floor() - 1.0) * SAMPLE_S;
        let one = |c: &mut Channel| {
            let fits = c.head.auto_range(c.range, begin);
            if fits != c.range {
                (c.range, c.range_since_s) = (fits, begin - c.head.dead_s());
            }
            c.head.read(begin, SAMPLE_S, c.range, c.range_since_s).1
        };
        self.channels.iter_mut().map(one).collect()
    }
}

/// Marks, length and checksum of a frame that is whole are right.
fn is_sound(frame: &[u8]) -> bool {
    let [summed @ .., END] = frame else { return false };
    summed.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)) == 0
}

fn reply(address: u8, command: u16, data: &[u8]) -> Vec<u8> {
    let [high, low] = command.wrapping_add(1).to_be_bytes();
    let length = LENGTH_MIN.saturating_add(u8::try_from(data.len()).unwrap_or(u8::MAX));
    let mut frame = vec![BEGIN, address, length, high, low];
    frame.extend_from_slice(data);
    let sum = frame.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    frame.extend([sum.wrapping_neg(), END]);
    frame
}

/// What is above or below all ranges is told by numbers that no power has; the protocol has no word for it.
#[expect(clippy::cast_possible_truncation, reason = "the device's own precision")]
fn milliwatts(reading: Reading) -> f32 {
    match reading {
        Reading::Power(watts) => (watts * 1e3) as f32,
        Reading::Saturated => f32::INFINITY,
        Reading::UnderRange => f32::NEG_INFINITY,
    }
}

fn thousandths_dbm(reading: Reading) -> i32 {
    match reading {
        #[expect(clippy::cast_possible_truncation, reason = "between the floor and a few tens of dBm")]
        Reading::Power(w) if w > 0.0 => ((10_000.0 * (w / 1e-3).log10()).round() as i32).max(FLOOR_MDBM),
        Reading::Power(_) | Reading::UnderRange => FLOOR_MDBM,
        Reading::Saturated => i32::MAX,
    }
}

impl Device for JoinwitPm {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.frames(now_s);
    }

    fn due(&self) -> Option<f64> {
        self.replies.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.replies.take(now_s)
    }

    fn restart(&mut self, _now_s: f64) {
        self.channels.iter_mut().for_each(|c| c.wavelength = 3);
        self.hang_up();
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.buffer.clear();
        self.replies.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogues::with;

    /// Frames after the sheet's example `7B 01 05 00 03 7C 7D` and its lengths (11, 7 and 23 bytes).
    #[test]
    fn a_client_connects_sets_a_wavelength_and_reads_four_channels() {
        with("joinwit-pm", &[], |d| {
            d.now_s = 2.0;
            assert_eq!(d.raw(b"\x7b\xff\x05\x01\x40\x40\x7d"), b"\x7b\xff\x09\x01\x41\x00\x00\x05\x01\x35\x7d");
            assert_eq!(d.raw(b"\x7b\xff\x07\x01\x60\x02\x05\x17\x7d"), b"\x7b\xff\x05\x01\x61\x1f\x7d");
            let table = d.raw(b"\x7b\xff\x05\x07\x30\x4a\x7d");
            assert_eq!(table[5..9], [0x52, 0x03, 0x14, 0x05]);
            // Powers are read in ranges that have been found.
            d.raw(b"\x7b\xff\x05\x01\x62\x1e\x7d");
            d.now_s += 1.0;
            let dbm = d.raw(b"\x7b\xff\x05\x01\x62\x1e\x7d");
            assert_eq!((dbm.len(), &dbm[..5]), (23, &b"\x7b\xff\x15\x01\x63"[..]));
            for channel in dbm[5..21].as_chunks::<4>().0 {
                assert!((i32::from_le_bytes(*channel) + 10_000).abs() < 100, "{channel:?}");
            }
            let mw = d.raw(b"\x7b\xff\x05\x01\x64\x1c\x7d");
            for channel in mw[5..21].as_chunks::<4>().0 {
                assert!((f32::from_le_bytes(*channel) / 0.1 - 1.0).abs() < 0.02, "{channel:?}");
            }
        });
    }

    #[test]
    fn what_is_not_sound_or_not_known_is_not_answered_and_the_next_frame_is() {
        let connect = b"\x7b\xff\x05\x01\x40\x40\x7d";
        let connected = b"\x7b\xff\x09\x01\x41\x00\x00\x05\x01\x35\x7d";
        with("joinwit-pm", &[], |d| {
            assert_eq!(d.raw(b"\x7b\xff\x05\x01\x40\x41\x7d"), b"");
            assert_eq!(d.raw(b"\x7b\xff\x05\x09\x99\xdf\x7d"), b"");
            assert_eq!(d.raw(b"\x7b\xff\x07\x01\x60\x05\x01\x18\x7d"), b"");
            assert_eq!(d.raw(&[b"\x7b\xff\x01noise", &connect[..]].concat()), connected);
            assert_eq!(d.raw(&connect[..4]), b"");
            assert_eq!(d.raw(&connect[4..]), connected);
            assert_eq!(d.raw(&[&connect[..], &connect[..]].concat()), connected.repeat(2));
        });
    }

    #[test]
    fn no_bytes_panic_or_pile_up() {
        with("joinwit-pm", &[], |d| {
            let stream = crate::noise::Stream::new(7, "bytes");
            let bytes: Vec<u8> =
                (0..100_000).map(|k| [0x7b, 0x7d, 0xff, 5, 1, 0x40][stream.bits(k) as usize % 6]).collect();
            d.raw(&bytes);
            d.raw(&[0; 300]);
            assert_eq!(d.raw(b"\x7b\xff\x05\x01\x40\x40\x7d").len(), 11);
        });
    }
}
