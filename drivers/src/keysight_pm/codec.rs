//! Texts and blocks of Keysight meters to values and back. Pure; knows no line and no time.

use units::{Power, Reading};

use crate::identity::Identity;
use crate::scpi;

/// Anything larger stands for a power beyond the range (LabExT: above 1e20).
const BEYOND: f32 = 1e20;
/// A range holds this many times the power that names it (19.999 mW at +10 dBm, autosweep).
const RANGE_HOLDS: f64 = 1.9999;
/// Largest range, dBm, and the step to the next, dB.
const RANGE_MOST_DBM: f64 = 10.0;
const RANGE_STEP_DB: f64 = 10.0;
/// A mainframe 8166 has 17 slots of two channels at the most.
pub(super) const PORTS_MAX: usize = 34;

/// Where a port is: slot and channel of its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u16,
    pub(super) channel: u16,
}

impl Place {
    /// A header of this port: `root` with the slot, the channel where it is not the first, and the rest.
    pub(super) fn header(self, root: &str, rest: &str) -> String {
        match self.channel {
            1 => format!("{root}{}:{rest}", self.slot),
            channel => format!("{root}{}:CHAN{channel}:{rest}", self.slot),
        }
    }
}

/// Whether this is a Keysight meter or mainframe: Keysight, Agilent or Hewlett-Packard by maker, N774x or 816x by model.
pub(super) fn is_meter(identity: &Identity) -> bool {
    let maker = identity.maker.to_uppercase();
    let model = identity.model.to_uppercase();
    let makers = ["KEYSIGHT", "AGILENT", "HEWLETT"];
    let models = ["N774", "8163", "8164", "8166"];
    makers.iter().any(|m| maker.starts_with(m)) && models.iter().any(|m| model.starts_with(m))
}

/// Whether all ports share one logging function, whose result can be read in parts.
pub(super) fn is_multi_port(identity: &Identity) -> bool {
    identity.model.to_uppercase().starts_with("N774")
}

/// The ports of a meter in the order of its readings.
pub(super) fn places(answer: &[u8]) -> Option<Vec<Place>> {
    let (pairs, []) = scpi::block(answer)?.as_chunks::<4>() else { return None };
    let place =
        |[a, b, c, d]: &[u8; 4]| Place { slot: u16::from_le_bytes([*a, *b]), channel: u16::from_le_bytes([*c, *d]) };
    let places: Vec<Place> = pairs.iter().map(place).collect();
    (1..=PORTS_MAX).contains(&places.len()).then_some(places)
}

/// A value in watts, or what it stands for.
fn reading(watts: f32) -> Reading {
    if watts > BEYOND {
        Reading::Saturated
    } else if watts.is_nan() || watts < -BEYOND {
        Reading::UnderRange
    } else {
        Reading::Power(Power::from_watts(f64::from(watts)))
    }
}

/// Readings of a block in watts.
pub(super) fn readings(answer: &[u8]) -> Option<Vec<Reading>> {
    Some(scpi::floats(answer)?.into_iter().map(reading).collect())
}

/// The name, dBm, of the smallest range that holds a power; ranges may end above it, and then the meter refuses it.
pub(super) fn range_dbm(upper: Power) -> f64 {
    let dbm = upper.dbm().unwrap_or(f64::NEG_INFINITY) - 10.0 * RANGE_HOLDS.log10();
    // A range reads back with fewer digits than it was asked for.
    let steps = ((RANGE_MOST_DBM - dbm) / RANGE_STEP_DB + 1e-6).floor();
    RANGE_MOST_DBM - RANGE_STEP_DB * steps.min(7.0)
}

/// The upper end of a range by its name.
pub(super) fn range_upper(name_dbm: f64) -> Power {
    Power::from_watts(Power::from_dbm(name_dbm).watts() * RANGE_HOLDS)
}

/// What a meter says of its logging function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    None,
    Running,
    Complete,
}

/// Reads the answer to `FUNC:STAT?`: `LOGGING_STABILITY,PROGRESS`, `NONE,COMPLETE`.
pub(super) fn log_state(answer: &[u8]) -> Option<LogState> {
    let (function, state) = scpi::ascii(answer)?.split_once(',')?;
    match (function.trim(), state.trim()) {
        ("NONE", "COMPLETE" | "PROGRESS") => Some(LogState::None),
        ("LOGGING_STABILITY", "PROGRESS") => Some(LogState::Running),
        ("LOGGING_STABILITY", "COMPLETE") => Some(LogState::Complete),
        // Another function than logging is selected.
        ("MINMAX", "COMPLETE" | "PROGRESS") => Some(LogState::None),
        _ => None,
    }
}

/// Reads the answer to `FUNC:PAR:LOGG?`: points and averaging time, s.
pub(super) fn log_parameters(answer: &[u8]) -> Option<(i64, f64)> {
    let (points, time) = scpi::ascii(answer)?.split_once(',')?;
    Some((scpi::integer(points.as_bytes())?, scpi::finite(time.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_keysight_meters_are_meters() {
        let check = |text: &str, yes: bool| {
            assert_eq!(is_meter(&Identity::parse(text.as_bytes()).unwrap()), yes, "{text}");
        };
        check("Keysight Technologies,N7745C,MY59700220,V2.022", true);
        check("Agilent Technologies,N7744A,MY1,1.010", true);
        check("Agilent Technologies,8163B,DE123,V5.25", true);
        check("Keysight Technologies,N7776C,1,2", false);
        check("Thorlabs,PM101,1,2", false);
    }

    #[test]
    fn ports_and_their_headers() {
        let block = b"#18\x01\0\x01\0\x01\0\x02\0";
        let found = places(block).unwrap();
        assert_eq!(found, [Place { slot: 1, channel: 1 }, Place { slot: 1, channel: 2 }]);
        assert_eq!(found[0].header("SENS", "POW:UNIT"), "SENS1:POW:UNIT");
        assert_eq!(found[1].header("SENS", "POW:UNIT"), "SENS1:CHAN2:POW:UNIT");
        assert_eq!(places(b"#10"), None);
        assert_eq!(places(b"#16\x01\0\x01\0\x01\0"), None);
    }

    #[test]
    fn readings_are_powers_or_out_of_range_never_bare_numbers() {
        let mut block = b"#216".to_vec();
        for value in [1e-4f32, 3.402_82e38, -3.402_82e38, f32::NAN] {
            block.extend(value.to_le_bytes());
        }
        let power = Reading::Power(Power::from_watts(f64::from(1e-4f32)));
        assert_eq!(readings(&block).unwrap(), [power, Reading::Saturated, Reading::UnderRange, Reading::UnderRange]);
        assert_eq!(readings(b"+1.0E-4"), None);
    }

    #[test]
    fn a_range_is_the_smallest_that_holds_the_power() {
        let check = |watts: f64, dbm: f64| assert_eq!(range_dbm(Power::from_watts(watts)), dbm, "{watts}");
        check(19.9e-3, 10.0);
        check(1.999e-3, 0.0);
        check(2.1e-3, 10.0);
        check(1e-3, 0.0);
        check(1e-6, -30.0);
        check(50e-3, 20.0);
        check(0.0, -60.0);
        for name in [10.0, 0.0, -10.0, -20.0, -30.0] {
            assert_eq!(range_dbm(range_upper(name)), name);
        }
    }

    #[test]
    fn words_of_the_logging_function() {
        assert_eq!(log_state(b"NONE,COMPLETE"), Some(LogState::None));
        assert_eq!(log_state(b"LOGGING_STABILITY,PROGRESS"), Some(LogState::Running));
        assert_eq!(log_state(b"LOGGING_STABILITY,COMPLETE"), Some(LogState::Complete));
        assert_eq!(log_state(b"LOGGING_STABILITY"), None);
        assert_eq!(log_parameters(b"+64,+1.00000000E-003"), Some((64, 1e-3)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (places(&bytes), readings(&bytes), log_state(&bytes), log_parameters(&bytes));
        }

        #[test]
        fn a_block_cut_or_with_a_bit_flipped_in_its_head_is_refused_or_whole(cut in 0usize..20, bit in 0usize..32) {
            let block = b"#216\x17\xb7\xd1\x38\xac\xc5\x27\x37\x17\xb7\xd1\x38\xac\xc5\x27\x37";
            prop_assert_eq!(readings(&block[..cut]), None);
            let mut flipped = block.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(readings(&flipped), None);
        }
    }
}
