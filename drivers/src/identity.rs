//! Who an instrument says it is.

use std::fmt;

/// The four fields of an identity answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Maker's text as sent.
    pub maker: String,
    /// Model designation.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Firmware version text.
    pub firmware: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (serial {}, firmware {})", self.model, self.serial, self.firmware)
    }
}

/// What a bench expects of an instrument's identity; empty fields accept anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The model must start with this text, letter case ignored.
    pub model: Option<String>,
    /// The serial number must be this text.
    pub serial: Option<String>,
}
