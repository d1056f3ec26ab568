//! Texts of Keysight lasers to values and back. Pure; knows no line and no time.

use units::Power;

use crate::identity::Identity;
use crate::scpi;

/// The unit in which a laser answers powers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LevelUnit {
    Dbm,
    Watt,
}

/// Whether this is a Keysight laser: Keysight, Agilent or Hewlett-Packard by maker, N777x or 81xx by model.
pub(super) fn is_laser(identity: &Identity) -> bool {
    let maker = identity.maker.to_uppercase();
    let model = identity.model.to_uppercase();
    let makers = ["KEYSIGHT", "AGILENT", "HEWLETT"];
    makers.iter().any(|m| maker.starts_with(m)) && (model.starts_with("N777") || model.starts_with("81"))
}

/// The command that sets the wavelength, with its unit.
pub(super) fn set_wavelength(nm: f64) -> String {
    format!("SOUR0:WAV {nm:.4}NM")
}

/// The command that sets the level, with its unit; `None` for a power that is not positive.
pub(super) fn set_level(level: Power) -> Option<String> {
    Some(format!("SOUR0:POW {:.4}DBM", level.dbm()?))
}

/// A wavelength in nm from an answer in metres.
pub(super) fn wavelength_nm(answer: &[u8]) -> Option<f64> {
    scpi::finite(answer).map(|metres| metres * 1e9)
}

/// The unit of levels.
pub(super) fn level_unit(answer: &[u8]) -> Option<LevelUnit> {
    match scpi::integer(answer)? {
        0 => Some(LevelUnit::Dbm),
        1 => Some(LevelUnit::Watt),
        _ => None,
    }
}

/// A level that was told as a number in `unit`.
pub(super) fn level(told: f64, unit: LevelUnit) -> Power {
    match unit {
        LevelUnit::Dbm => Power::from_dbm(told),
        LevelUnit::Watt => Power::from_watts(told),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_keysight_lasers_are_lasers() {
        let check = |text: &str, yes: bool| {
            assert_eq!(is_laser(&Identity::parse(text.as_bytes()).unwrap()), yes, "{text}");
        };
        check("Keysight Technologies,N7776C,N71130PP02,V1.000", true);
        check("Agilent Technologies,8164B,DE123,V5.25", true);
        check("HEWLETT-PACKARD,8168F,1,2", true);
        check("Keysight Technologies,N7745C,1,2", false);
        check("Thorlabs,PM101,1,2", false);
    }

    #[test]
    fn settings_are_written_with_their_units() {
        assert_eq!(set_wavelength(1310.0), "SOUR0:WAV 1310.0000NM");
        assert_eq!(set_level(Power::from_dbm(-3.0)).unwrap(), "SOUR0:POW -3.0000DBM");
        assert_eq!(set_level(Power::ZERO), None);
    }

    #[test]
    fn answers_are_read_in_metres_and_in_either_power_unit() {
        assert!((wavelength_nm(b"+1.55000000E-06").unwrap() - 1550.0).abs() < 1e-6);
        assert_eq!(level_unit(b"+0"), Some(LevelUnit::Dbm));
        assert_eq!(level_unit(b"1"), Some(LevelUnit::Watt));
        assert_eq!(level_unit(b"+2"), None);
        assert_eq!(level(1e-3, LevelUnit::Watt), Power::from_watts(1e-3));
        assert!((level(-3.0, LevelUnit::Dbm).dbm().unwrap() + 3.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (wavelength_nm(&bytes), level_unit(&bytes));
        }
    }
}
