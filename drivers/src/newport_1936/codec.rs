//! Texts of the 1936 and 2936 meters to values and back. Pure; knows no line and no time.

use std::time::Duration;

use units::{Power, Reading};

use crate::exchange::Protocol;
use crate::identity::Identity;
use crate::scpi;

/// These meters over a byte stream.
pub(super) const PROTOCOL: Protocol = Protocol {
    framing: scpi::line_end,
    // The data store is not read; two readings are some 50 bytes.
    reply_max: 512,
    identity_request: b"*IDN?\r\n",
    is_identity: |answer| identity(answer).is_some(),
    identity_limit: Duration::from_millis(500),
    // More than twice the 11 ms that an identity of 40 bytes takes at 38400 baud.
    quiet: Duration::from_millis(25),
    // No command has this character, so one cut in half is refused whole.
    spoil: b"~\r\n",
    requests: crate::requests::NEWPORT_1936,
};

/// Switches the echo off; comes back once more itself.
pub(super) const NO_ECHO: &[u8] = b"ECHO 0\r\n";
/// The unit of a reading in watts.
pub(super) const WATTS: u32 = 2;

/// What a meter says of one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    pub(super) reading: Reading,
    pub(super) unit: u32,
    /// A detector is plugged in.
    pub(super) detector: bool,
    /// Taken while the range was being switched.
    pub(super) ranging: bool,
}

/// Who it is: `NEWPORT 2936-R v1.2.3 08/04/15 SN24777`. Only the end of the answer need be that.
pub(super) fn identity(answer: &[u8]) -> Option<Identity> {
    let at = answer.windows(7).rposition(|w| w.eq_ignore_ascii_case(b"NEWPORT"))?;
    let mut words = scpi::ascii(&answer[at..])?.split_whitespace();
    let (maker, model) = (words.next()?.to_string(), words.next()?.to_string());
    let rest: Vec<&str> = words.collect();
    let serial = rest.last()?.strip_prefix("SN")?.to_string();
    let firmware = rest[..rest.len() - 1].join(" ");
    (!firmware.is_empty() && !serial.is_empty()).then_some(Identity { maker, model, serial, firmware })
}

/// Channels of a model; `None` for one that speaks another language.
pub(super) fn channels(model: &str) -> Option<u32> {
    let model = model.to_uppercase();
    if model.starts_with("2936") || model.starts_with("2931") {
        Some(2)
    } else if model.starts_with("1936") || model.starts_with("1931") {
        Some(1)
    } else {
        None
    }
}

/// Reads `8.683533E-008 118 0.000000E+000 170`: value and status of each channel. Commas between them are allowed.
pub(super) fn readings(answer: &[u8]) -> Option<Vec<Told>> {
    let text = scpi::ascii(answer)?;
    let fields: Vec<&str> = text.split([' ', ',', '\t']).filter(|f| !f.is_empty()).collect();
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return None;
    }
    fields.chunks_exact(2).map(|pair| told(pair[0], pair[1])).collect()
}

fn told(value: &str, status: &str) -> Option<Told> {
    let watts = scpi::finite(value.as_bytes())?;
    let plain = status.len() <= 4 && status.bytes().all(|b| b.is_ascii_hexdigit());
    let status = u32::from_str_radix(status, 16).ok().filter(|_| plain)?;
    let bit = |mask: u32| status & mask != 0;
    // Bit 1 follows bit 0.
    let reading = if bit(1) || bit(2) { Reading::Saturated } else { Reading::Power(Power::from_watts(watts)) };
    Some(Told { reading, unit: status >> 7 & 7, detector: bit(8), ranging: bit(4) })
}

/// A whole number without sign.
pub(super) fn whole(answer: &[u8]) -> Option<u32> {
    scpi::integer(answer).and_then(|n| u32::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_of_the_manual_are_read() {
        let found = identity(b">NEWPORT 2936-R v1.2.3 08/04/15 SN24777\r\n").unwrap();
        let fields = (found.model.as_str(), found.serial.as_str(), found.firmware.as_str());
        assert_eq!(fields, ("2936-R", "24777", "v1.2.3 08/04/15"));
        for bad in ["NEWPORT", "NEWPORT 2936-R", "NEWPORT 2936-R SN1", "*IDN?", "Thorlabs,PM101,1,2", ""] {
            assert_eq!(identity(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!((channels("2936-R"), channels("1936-r"), channels("2938-R")), (Some(2), Some(1), None));
        let both = readings(b"8.683533E-008 118 0.000000E+000 170\r\n").unwrap();
        let power = |w: f64| Reading::Power(Power::from_watts(w));
        let first = Told { reading: power(8.683_533e-8), unit: WATTS, detector: true, ranging: false };
        assert_eq!(both, [first, Told { reading: power(0.0), detector: false, ..first }]);
        assert_eq!(readings(b"1.0E-3, 13B").unwrap()[0].reading, Reading::Saturated);
        assert!(readings(b"1.0E-3 15C").unwrap()[0].ranging);
        for bad in ["", "1.0E-3", "1.0E-3 118 2", "PM:PWS?", "118 1.0E-3", "nan 118", "1.0E-3 +118"] {
            assert_eq!(readings(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (identity(&bytes), readings(&bytes), whole(&bytes));
        }

        #[test]
        fn a_cut_or_flipped_answer_never_panics(cut in 0usize..37, at in 0usize..37, bit in 0u8..8) {
            let mut whole = b"8.683533E-008 118 0.000000E+000 170".to_vec();
            let _ = readings(&whole[..cut.min(whole.len())]);
            let place = at.min(whole.len() - 1);
            whole[place] ^= 1 << bit;
            let _ = readings(&whole);
        }
    }
}
