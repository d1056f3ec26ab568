//! Settings of an axis that nothing simulated depends on: kept, told, and within their ranges. Pure.

use std::collections::BTreeMap;

/// How a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// In units of the axis, or these by second, by square and by cube of it.
    Length,
    /// A number of its own.
    Plain,
    /// A whole number.
    Whole,
    /// A set of bits, told in hexadecimal with an H behind.
    Bits,
}

/// Mnemonic, how it is written, default, least and greatest value.
type Setting = (&'static str, Written, f64, f64, f64);

/// Those that InstrumentKit and newportESP ask for, and their kin.
const SETTINGS: &[Setting] = &[
    ("AE", Written::Length, 16.0, 0.0, 2e9),
    ("AF", Written::Plain, 0.0, 0.0, 2e9),
    ("BA", Written::Length, 0.0, 0.0, 1000.0),
    ("CL", Written::Whole, 0.0, 0.0, 60_000.0),
    ("CO", Written::Plain, 0.0, -1e9, 1e9),
    ("DB", Written::Whole, 0.0, 0.0, 2e9),
    ("FE", Written::Length, 1.0, 0.0, 2e9),
    ("FR", Written::Length, 0.01, 0.0, 2e9),
    ("JH", Written::Length, 2.0, 0.0, 2e9),
    ("JK", Written::Length, 32.0, 0.0, 2e9),
    ("JL", Written::Length, 1.0, 0.0, 2e9),
    ("JW", Written::Length, 1.0, 0.0, 2e9),
    ("KD", Written::Plain, 500.0, 0.0, 2e9),
    ("KI", Written::Plain, 90.0, 0.0, 2e9),
    ("KP", Written::Plain, 200.0, 0.0, 2e9),
    ("KS", Written::Plain, 300.0, 0.0, 2e9),
    ("QI", Written::Plain, 0.5, 0.0, 3.0),
    ("QM", Written::Whole, 1.0, 0.0, 4.0),
    ("QS", Written::Whole, 1.0, 1.0, 250.0),
    ("QT", Written::Plain, 7.0, 0.0, 20.0),
    ("QV", Written::Plain, 12.0, 0.0, 60.0),
    ("TJ", Written::Whole, 1.0, 1.0, 6.0),
    ("VB", Written::Length, 0.0, 0.0, 2e9),
    ("VF", Written::Plain, 0.0, 0.0, 2e9),
    ("ZA", Written::Bits, 291.0, 0.0, 4095.0),
    ("ZB", Written::Bits, 35.0, 0.0, 4095.0),
    ("ZE", Written::Bits, 3.0, 0.0, 4095.0),
    ("ZF", Written::Bits, 2.0, 0.0, 4095.0),
    ("ZH", Written::Bits, 36.0, 0.0, 4095.0),
    ("ZS", Written::Bits, 4.0, 0.0, 4095.0),
];

/// Orders that take what was set into use: nothing to do, and no argument.
const APPLIED: &[&str] = &["QD", "UF"];

/// Whether there is such a setting, or such an order.
pub(super) fn is_known(mnemonic: &str) -> bool {
    APPLIED.contains(&mnemonic) || of(mnemonic).is_some()
}

fn of(mnemonic: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|(name, ..)| *name == mnemonic)
}

/// Why a value is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NoNumber,
    OutOfRange,
}

/// What was set.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    set: BTreeMap<&'static str, f64>,
}

impl Settings {
    /// The value as it is told, by the unit of the axis; `None` where it has none.
    pub(super) fn told(&self, mnemonic: &str, scale: f64) -> Option<String> {
        let (name, written, default, ..) = of(mnemonic)?;
        let value = self.set.get(name).copied().unwrap_or(*default);
        Some(match written {
            Written::Length => super::axis::told(value / scale),
            Written::Plain => super::axis::told(value),
            Written::Whole => format!("{value:.0}"),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "twelve bits")]
            Written::Bits => format!("{:X}H", value as u32),
        })
    }

    /// Sets a value by the unit of the axis; bits with an H behind are hexadecimal.
    pub(super) fn set(&mut self, mnemonic: &str, argument: &str, scale: f64) -> Result<(), Refused> {
        let Some((name, written, _, low, high)) = of(mnemonic) else { return Ok(()) };
        let hexadecimal = argument.strip_suffix(['H', 'h']).filter(|_| *written == Written::Bits);
        let given = match hexadecimal {
            Some(digits) => u32::from_str_radix(digits, 16).ok().map(f64::from),
            None => argument.parse::<f64>().ok().filter(|v| v.is_finite()),
        };
        let mut value = given.ok_or(Refused::NoNumber)?;
        if *written == Written::Length {
            value *= scale;
        }
        let broken = matches!(written, Written::Whole | Written::Bits) && value.fract() != 0.0;
        if broken || !(*low..=*high).contains(&value) {
            return Err(Refused::OutOfRange);
        }
        self.set.insert(name, value);
        Ok(())
    }
}
