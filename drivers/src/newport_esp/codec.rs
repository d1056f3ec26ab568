//! Texts of ESP controllers to values and back. Pure; knows no line, no time and no micrometres.

use std::time::Duration;

use crate::exchange::Protocol;
use crate::identity::Identity;
use crate::motion::ChannelUnit;
use crate::scpi;

/// These controllers over a byte stream.
pub(super) const PROTOCOL: Protocol = Protocol {
    framing: scpi::line_end,
    // The longest answer used is an error with its words.
    reply_max: 256,
    identity_request: b"VE?\r",
    is_identity: |answer| identity(answer).is_some(),
    identity_limit: Duration::from_millis(500),
    // An identity of 30 bytes takes 16 ms at 19200 baud.
    quiet: Duration::from_millis(40),
    // Makes a number cut in half none, and the rest of a mnemonic unknown.
    spoil: b"~\r",
    requests: crate::requests::NEWPORT_ESP,
};

/// Stops every axis; no answer.
pub(super) const STOP_ALL: &[u8] = b"ST\r";
/// Reads the oldest error and forgets it.
pub(super) const ERROR: &[u8] = b"TB?\r";
/// The queue holds this many errors.
pub(super) const ERRORS_MAX: usize = 10;

/// One answer to `TB?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// 0 when the queue was empty.
    pub(super) code: i64,
    /// Time since power-on, in servo cycles of 0.4 ms.
    pub(super) ticks: u64,
    pub(super) words: String,
}

/// A number with six decimals at the most.
pub(super) fn number(value: f64) -> String {
    // Adding zero turns -0 into 0.
    format!("{}", (value * 1e6).round() / 1e6 + 0.0)
}

/// `1PA1.25` from its parts, without line end.
pub(super) fn command(axis: u8, mnemonic: &str, value: f64) -> String {
    format!("{axis}{mnemonic}{}", number(value))
}

/// A command with the query of its result behind it, for one write.
pub(super) fn checked(command: &str) -> Vec<u8> {
    format!("{command}\rTB?\r").into_bytes()
}

/// Reads `113, 3038, MOTOR NOT ENABLED`.
pub(super) fn entry(answer: &[u8]) -> Option<Entry> {
    let mut fields = scpi::ascii(answer)?.splitn(3, ',').map(str::trim);
    let code = fields.next()?.parse().ok().filter(|code| (0..10_000).contains(code))?;
    Some(Entry { code, ticks: fields.next()?.parse().ok()?, words: fields.next()?.to_string() })
}

/// Who it is: `ESP301 Version 3.0.1 6/1/99`. Only the end of the answer need be that.
pub(super) fn identity(answer: &[u8]) -> Option<Identity> {
    let at = answer.windows(4).rposition(|w| w == b"ESP3")?;
    let (model, rest) = scpi::ascii(&answer[at..])?.split_once(' ')?;
    let known = model.len() == 6 && model[4..].bytes().all(|b| b.is_ascii_digit());
    let firmware = rest.trim().strip_prefix("Version")?.trim().to_string();
    let (maker, model) = ("Newport".to_string(), model.to_string());
    (known && !firmware.is_empty()).then_some(Identity { maker, model, serial: String::new(), firmware })
}

/// Exactly `0` or `1`.
pub(super) fn flag(answer: &[u8]) -> Option<bool> {
    match scpi::ascii(answer)? {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// The unit by the number of `SN?`; `Some(None)` for one that this driver does not drive.
pub(super) fn unit(answer: &[u8]) -> Option<Option<ChannelUnit>> {
    match scpi::integer(answer)? {
        2 => Some(Some(ChannelUnit::Millimetre)),
        3 => Some(Some(ChannelUnit::Micrometre)),
        7 => Some(Some(ChannelUnit::Degree)),
        0..=11 => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_seen_from_the_clients_are_read() {
        let read = entry(b"0, 451322, NO ERROR DETECTED\r\n").unwrap();
        assert_eq!((read.code, read.ticks, read.words.as_str()), (0, 451_322, "NO ERROR DETECTED"));
        assert_eq!(entry(b"106, 3038, AXIS-1 ERROR").unwrap().code, 106);
        for bad in [&b""[..], b"0", b"0, 1", b"-1, 2, X", b"x, 1, Y", b"1.5, 2, Z", b"\xff, 1, A"] {
            assert_eq!(entry(bad), None, "{}", bad.escape_ascii());
        }
        let found = identity(b"0.0ESP301 Version 3.0.1 6/1/99").unwrap();
        assert_eq!((found.model.as_str(), found.firmware.as_str()), ("ESP301", "3.0.1 6/1/99"));
        for bad in ["ESP301", "ESP301 Version", "ESP8266 Version 1", "ESP3 Version 1", "Version 1", ""] {
            assert_eq!(identity(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!((flag(b"1\r"), flag(b"0"), flag(b"2")), (Some(true), Some(false), None));
        assert_eq!(unit(b"2"), Some(Some(ChannelUnit::Millimetre)));
        assert_eq!((unit(b"9"), unit(b"12"), unit(b"mm")), (Some(None), None, None));
    }

    #[test]
    fn commands_are_written_as_the_clients_write_them() {
        assert_eq!(command(1, "PA", 1.25), "1PA1.25");
        assert_eq!(command(3, "PR", -0.5), "3PR-0.5");
        assert_eq!(checked("1MO"), b"1MO\rTB?\r");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (entry(&bytes), identity(&bytes), flag(&bytes), unit(&bytes));
        }

        #[test]
        fn a_cut_or_flipped_error_never_panics(cut in 0usize..29, at in 0usize..29, bit in 0u8..8) {
            let mut whole = b"113, 3038, MOTOR NOT ENABLED".to_vec();
            let _ = entry(&whole[..cut.min(whole.len())]);
            let place = at.min(whole.len() - 1);
            whole[place] ^= 1 << bit;
            let _ = entry(&whole);
        }
    }
}
