//! Frames of Joinwit meters to values and back. Pure; knows no line and no time.
//!
//! `7B` address length command(2, highest byte first) data checksum `7D`; the length counts from the address to the
//! checksum, which makes the sum of all bytes up to itself 0.

use units::{Power, Reading};

use crate::identity::Identity;

const BEGIN: u8 = 0x7B;
const END: u8 = 0x7D;
/// The meter as a whole.
const BROADCAST: u8 = 0xFF;
/// Bytes that the length counts besides the data.
const COUNTED: usize = 5;
/// Bytes that it does not count.
const MARKS: usize = 2;
/// Channels of the meter.
pub(super) const CHANNELS: usize = 4;

/// Commands of the meter; an answer has the next number.
pub(super) const CONNECT: u16 = 0x0140;
pub(super) const SET_WAVELENGTH: u16 = 0x0160;
pub(super) const POWERS_MW: u16 = 0x0164;
pub(super) const WAVELENGTHS: u16 = 0x0730;

/// [`CONNECT`] without data: changes nothing, and no other answer has its number.
pub(super) const CONNECT_FRAME: &[u8] = b"\x7b\xff\x05\x01\x40\x40\x7d";

/// A frame with a command and its data.
pub(super) fn frame(command: u16, data: &[u8]) -> Vec<u8> {
    // The longest data are the two bytes of a wavelength setting.
    let length = u8::try_from(COUNTED + data.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![BEGIN, BROADCAST, length];
    bytes.extend(command.to_be_bytes());
    bytes.extend(data);
    bytes.push(bytes.iter().fold(0u8, |sum, b| sum.wrapping_sub(*b)));
    bytes.push(END);
    bytes
}

/// Length of the first frame, or of what stands before one. `None` while there is not all of it.
pub(super) fn frame_end(bytes: &[u8]) -> Option<usize> {
    let begin = bytes.iter().position(|b| *b == BEGIN);
    if begin != Some(0) {
        return begin.or(Some(bytes.len()).filter(|n| *n > 0));
    }
    let counted = usize::from(*bytes.get(2)?);
    if counted < COUNTED {
        return Some(1);
    }
    (bytes.len() >= counted + MARKS).then_some(counted + MARKS)
}

/// Data of a whole and sound frame that answers a command.
pub(super) fn answer(frame: &[u8], command: u16) -> Option<&[u8]> {
    let [BEGIN, _, length, high, low, rest @ ..] = frame else { return None };
    let [data @ .., _checksum, END] = rest else { return None };
    let sound = frame[..frame.len() - 1].iter().fold(0u8, |sum, b| sum.wrapping_add(*b)) == 0;
    let whole = usize::from(*length) + MARKS == frame.len();
    (sound && whole && u16::from_be_bytes([*high, *low]) == command + 1).then_some(data)
}

/// The four bytes that come with a connection, as a serial number.
pub(super) fn connected(frame: &[u8]) -> Option<String> {
    let [a, b, c, d] = *answer(frame, CONNECT)? else { return None };
    Some(format!("{:08X}", u32::from_be_bytes([a, b, c, d])))
}

/// Who a meter with this serial number is. Which of the two models, it does not say: they speak alike.
pub(super) fn identity(serial: String) -> Identity {
    Identity { maker: "Joinwit".into(), model: "JW8103A".into(), serial, firmware: String::new() }
}

/// Wavelengths of the table, nm.
pub(super) fn wavelengths(frame: &[u8]) -> Option<Vec<u16>> {
    let (pairs, []) = answer(frame, WAVELENGTHS)?.as_chunks::<2>() else { return None };
    (!pairs.is_empty()).then(|| pairs.iter().map(|p| u16::from_le_bytes(*p)).collect())
}

/// Powers of the four channels. Infinite and not-a-number are out of range; the meter has no other word for it.
pub(super) fn powers(frame: &[u8]) -> Option<[Reading; CHANNELS]> {
    let (numbers, []) = answer(frame, POWERS_MW)?.as_chunks::<4>() else { return None };
    let numbers: &[[u8; 4]; CHANNELS] = numbers.try_into().ok()?;
    Some(numbers.map(|n| match f64::from(f32::from_le_bytes(n)) {
        mw if mw.is_nan() || mw == f64::NEG_INFINITY => Reading::UnderRange,
        f64::INFINITY => Reading::Saturated,
        mw => Reading::Power(Power::from_watts(mw * 1e-3)),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames written after the sheet's example, `7B 01 05 00 03 7C 7D`, with the meter's address.
    #[test]
    fn frames_have_their_length_and_checksum() {
        assert_eq!(frame(CONNECT, &[]), CONNECT_FRAME);
        assert_eq!(frame(SET_WAVELENGTH, &[2, 5]), b"\x7b\xff\x07\x01\x60\x02\x05\x17\x7d");
        assert_eq!(answer(b"\x7b\x01\x05\x00\x03\x7c\x7d", 2), Some(&b""[..]));
        assert_eq!(answer(b"\x7b\x01\x05\x00\x03\x7d\x7d", 2), None);
        assert_eq!(answer(b"\x7b\x01\x05\x00\x03\x7c\x7d", 3), None);
    }

    fn reply(command: u16, data: &[u8]) -> Vec<u8> {
        frame(command + 1, data)
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(connected(&reply(CONNECT, &[0, 1, 2, 0xab])), Some("000102AB".into()));
        assert_eq!(connected(&reply(CONNECT, &[0, 1, 2])), None);
        assert_eq!(wavelengths(&reply(WAVELENGTHS, b"\x52\x03\x1e\x05")), Some(vec![850, 1310]));
        let mut data = Vec::new();
        for mw in [0.5f32, f32::INFINITY, f32::NAN, -1e-9] {
            data.extend(mw.to_le_bytes());
        }
        let [a, b, c, d] = powers(&reply(POWERS_MW, &data)).unwrap();
        assert_eq!((a, b, c), (Reading::Power(Power::from_watts(5e-4)), Reading::Saturated, Reading::UnderRange));
        assert!(d.power().unwrap().watts() < 0.0);
        assert_eq!(powers(&reply(POWERS_MW, &data[..12])), None);
    }

    #[test]
    fn a_frame_ends_by_its_length_and_noise_before_it_is_an_answer_to_nothing() {
        let whole = reply(CONNECT, &[0x7d, 0x0a, 0x7b, 0x0d]);
        assert_eq!(frame_end(&whole), Some(whole.len()));
        assert!((0..whole.len()).all(|cut| frame_end(&whole[..cut]).is_none()));
        assert_eq!(frame_end(&[b"noise", &whole[..]].concat()), Some(5));
        assert_eq!(frame_end(&[&whole[..], &whole[..]].concat()), Some(whole.len()));
        assert_eq!(frame_end(b"\x7b\xff\x02"), Some(1));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(prop_oneof![Just(BEGIN), Just(END), any::<u8>()], 0..60)) {
            let _ = (connected(&bytes), wavelengths(&bytes), powers(&bytes));
            prop_assert!(frame_end(&bytes).is_none_or(|end| end > 0 && end <= bytes.len()));
        }

        #[test]
        fn a_flipped_bit_is_noticed(bit in 0usize..176) {
            let data: Vec<u8> = [1e-3f32; 4].iter().flat_map(|mw| mw.to_le_bytes()).collect();
            let mut bytes = reply(POWERS_MW, &data);
            // The address says nothing here.
            prop_assume!(bit / 8 != 1 && bit / 8 < bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(powers(&bytes), None);
        }
    }
}
