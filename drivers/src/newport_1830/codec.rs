//! Texts of the 1830 meters to values and back. Pure; knows no line and no time.

use std::time::Duration;

use units::{Power, Reading};

use crate::exchange::Protocol;
use crate::scpi;

/// These meters over a byte stream.
pub(super) const PROTOCOL: Protocol = Protocol {
    framing: scpi::line_end,
    // A reading is a dozen bytes.
    reply_max: 128,
    identity_request: b"W?\n",
    is_identity: |answer| wavelength(answer).is_some(),
    identity_limit: Duration::from_millis(500),
    // A reading of 12 bytes takes 13 ms at 9600 baud.
    quiet: Duration::from_millis(30),
    // Makes a number cut in half none.
    spoil: b"~\n",
    requests: crate::requests::NEWPORT_1830,
};

/// Wavelengths of the detectors, nm; every other number of the meter is smaller, or no whole one.
const WAVELENGTHS: std::ops::RangeInclusive<u32> = 300..=2000;
/// The widest range. 0.1 mW was seen in range 4, each range is a decade: it ends near 2 W. Nominal, by the detector.
const WIDEST_W: f64 = 2.0;
/// The number of the widest range.
pub(super) const RANGES: u32 = 8;

/// The status byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) parameter_error: bool,
    pub(super) command_error: bool,
    /// Saturated detector, or over range.
    pub(super) over: bool,
    /// A reading is there.
    pub(super) done: bool,
}

/// A whole number without sign.
pub(super) fn whole(answer: &[u8]) -> Option<u32> {
    let text = scpi::ascii(answer)?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A wavelength, nm, at the end of an answer.
pub(super) fn wavelength(answer: &[u8]) -> Option<u32> {
    whole(answer).filter(|nm| WAVELENGTHS.contains(nm))
}

/// Reads the answer to `Q?`.
pub(super) fn status(answer: &[u8]) -> Option<Status> {
    let byte = whole(answer).and_then(|n| u8::try_from(n).ok())?;
    let bit = |mask: u8| byte & mask != 0;
    Some(Status {
        parameter_error: bit(1),
        command_error: bit(2),
        over: bit(4) || bit(8),
        // Not while it is busy with the next.
        done: bit(128) && !bit(32),
    })
}

/// Reads a power in watts: `+.11E-9`, `1.234E-06`. A whole number is none: that is a late status byte.
pub(super) fn reading(answer: &[u8]) -> Option<Reading> {
    if whole(answer).is_some() {
        return None;
    }
    scpi::finite(answer).map(|watts| Reading::Power(Power::from_watts(watts)))
}

/// Upper end of a range, nominal.
pub(super) fn upper(range: u32) -> Power {
    Power::from_watts(WIDEST_W * 10f64.powi(i32::try_from(range.min(RANGES)).unwrap_or(8) - 8))
}

/// The smallest range that holds a power; `None` where none does.
pub(super) fn range_for(power: Power) -> Option<u32> {
    (1..=RANGES).find(|r| upper(*r).watts() >= power.watts())
}

/// The filter that averages this many readings or more, and how many it does; `None` where none does.
pub(super) fn filter(averaging: u32) -> Option<(u32, u32)> {
    match averaging {
        0..=1 => Some((3, 1)),
        2..=4 => Some((2, 4)),
        5..=16 => Some((1, 16)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_seen_from_the_clients_are_read() {
        let power = |w: f64| Some(Reading::Power(Power::from_watts(w)));
        assert_eq!(reading(b"1.0000E-04"), power(1e-4));
        assert_eq!(reading(b"+.11E-9"), power(0.11e-9));
        assert_eq!(reading(b"D?"), None);
        assert_eq!(reading(b"144"), None);
        let ready = Status { parameter_error: false, command_error: false, over: false, done: true };
        assert_eq!((status(b"144"), status(b"128")), (Some(ready), Some(ready)));
        assert_eq!(status(b"156"), Some(Status { over: true, ..ready }));
        assert_eq!(status(b"179"), Some(Status { parameter_error: true, command_error: true, done: false, ..ready }));
        for bad in [&b"256"[..], b"-1", b"+4", b"1.0", b"", b"\xff"] {
            assert_eq!(status(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn only_a_wavelength_is_taken_for_one() {
        assert_eq!(wavelength(b"1550"), Some(1550));
        for other in ["144", "255", "1", "-15.24", "1.0000E-04", "W?1550", "15501550", "NEWPORT"] {
            assert_eq!(wavelength(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn ranges_are_decades_and_the_smallest_that_holds_is_taken() {
        let range = |watts: f64| range_for(Power::from_watts(watts));
        assert_eq!((range(1e-4), range(3e-4), range(0.0), range(2.1)), (Some(4), Some(5), Some(1), None));
        assert!((upper(4).watts() - 2e-4).abs() < 1e-12);
        assert_eq!((filter(1), filter(3), filter(16), filter(17)), (Some((3, 1)), Some((2, 4)), Some((1, 16)), None));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = (whole(&bytes), wavelength(&bytes), status(&bytes), reading(&bytes));
        }
    }
}
