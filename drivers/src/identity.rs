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

impl Identity {
    /// Reads an answer to `*IDN?`: maker, model, serial and firmware between commas. Of several lines only the last
    /// counts. Makers write Latin-1 (a copyright sign), never control characters.
    pub fn parse(answer: &[u8]) -> Option<Identity> {
        let line = answer.rsplit(|b| *b == b'\n').next()?;
        if line.iter().any(|b| *b < 0x20 || (0x7f..0xa0).contains(b)) {
            return None;
        }
        let text: String = line.iter().map(|b| char::from(*b)).collect();
        let mut fields = text.splitn(4, ',').map(|f| f.trim().to_string());
        let (maker, model, serial, firmware) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // Sensor texts also have commas: quoted, or with a bare number in the second place.
        let named = !maker.is_empty() && !maker.starts_with('"') && model.chars().any(|c| c.is_ascii_alphabetic());
        named.then_some(Identity { maker, model, serial, firmware })
    }
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

impl Expected {
    /// Whether this is the device expected; letter case and blanks at the ends do not count.
    pub fn admits(&self, found: &Identity) -> bool {
        let begins = |model: &String| {
            let model = model.trim().to_lowercase();
            found.model.to_lowercase().starts_with(&model)
        };
        let is = |serial: &String| serial.trim().eq_ignore_ascii_case(&found.serial);
        self.model.as_ref().is_none_or(begins) && self.serial.as_ref().is_none_or(is)
    }

    /// What is expected, in words; `kind` names the device class.
    pub fn describe(&self, kind: &str) -> String {
        match (&self.model, &self.serial) {
            (None, None) => kind.to_string(),
            (Some(model), None) => model.clone(),
            (None, Some(serial)) => format!("{kind} with serial {serial}"),
            (Some(model), Some(serial)) => format!("{model} with serial {serial}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C884: &[u8] = b"(c)2017 Physik Instrumente (PI) GmbH & Co. KG, C-884, 0123456789, 1.234";

    #[test]
    fn identities_of_all_makers_are_read() {
        let found = Identity::parse(C884).unwrap();
        assert_eq!(
            (found.model.as_str(), found.serial.as_str(), found.firmware.as_str()),
            ("C-884", "0123456789", "1.234")
        );
        let found = Identity::parse(b"Thorlabs,PM103,T00000002,0.1.0.1").unwrap();
        assert_eq!((found.maker.as_str(), found.model.as_str()), ("Thorlabs", "PM103"));
        assert!(Identity::parse(b"\xa92017 Physik Instrumente, E-712, 1, 2").unwrap().maker.starts_with('\u{a9}'));
        assert_eq!(Identity::parse(b"1=2.0 \nThorlabs,PM101,1,2").unwrap().model, "PM101");
    }

    #[test]
    fn other_answers_are_no_identities() {
        for bad in [
            &b""[..],
            b"1.0",
            b"1,2,3",
            b"1,2,3,4",
            br#""S120C","1A","2-JUN-2021",1,18,33"#,
            b"Thorlabs,PM1\x0301,1,2",
            b"a,b,c",
        ] {
            assert_eq!(Identity::parse(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn every_cut_of_an_identity_is_read_or_refused_without_panic() {
        for end in 0..C884.len() {
            let whole = Identity::parse(&C884[..end]);
            assert!(whole.is_none_or(|i| i.model == "C-884"));
        }
    }

    #[test]
    fn expected_model_is_a_prefix_and_serial_is_whole() {
        let found = Identity::parse(C884).unwrap();
        let expect = |model: Option<&str>, serial: Option<&str>| Expected {
            model: model.map(str::to_string),
            serial: serial.map(str::to_string),
        };
        assert!(expect(None, None).admits(&found));
        assert!(expect(Some("c-88"), Some("0123456789")).admits(&found));
        assert!(!expect(Some("C-887"), None).admits(&found));
        assert!(!expect(None, Some("01234")).admits(&found));
        assert_eq!(expect(Some("C-887"), Some("7")).describe("a controller"), "C-887 with serial 7");
        assert_eq!(expect(None, None).describe("a controller"), "a controller");
    }
}
