//! GCS 2.0 text to values and back. Pure; knows no line, no time and no micrometres.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::exchange::Protocol;
use crate::identity::Identity;
use crate::motion::ChannelUnit;
use crate::scpi;

/// GCS over a byte stream.
pub(super) const PROTOCOL: Protocol = Protocol {
    framing: answer_end,
    // `HLP?` of a hexapod is some 12 KB, the longest answer used here.
    reply_max: 64 * 1024,
    identity_request: b"*IDN?\n",
    is_identity: |answer| Identity::parse(answer).is_some(),
    identity_limit: Duration::from_millis(500),
    // More than twice the 8 ms that an identity of 90 bytes takes at 115200 baud.
    quiet: Duration::from_millis(20),
    // Makes the last argument of a command cut in half no number (error 25) instead of another one.
    spoil: b"~\n",
    requests: crate::requests::PI_GCS2,
};

/// Stops all axes at once; no answer.
pub(super) const STOP: &[u8] = b"\x18";
/// Asks which axes move; answered by a hexadecimal bit mask in the order of `SAI?`.
pub(super) const MOTION_STATUS: &[u8] = b"\x05";
/// Asks whether the controller is ready (not referencing).
pub(super) const READY: &[u8] = b"\x07";
/// Reads and clears the error register.
pub(super) const ERROR: &[u8] = b"ERR?\n";

/// Error codes the driver acts on.
pub(super) const NOT_REFERENCED: i64 = 5;
pub(super) const STOPPED: i64 = 10;
pub(super) const NOT_FOR_THIS_STAGE: i64 = 34;

/// PIPython writes numbers with up to 12 significant digits.
const DIGITS_AFTER_FIRST: usize = 11;

/// Length of the first whole answer: up to an LF that has no blank before it (a CR between them does not count).
pub(super) fn answer_end(bytes: &[u8]) -> Option<usize> {
    let ends = |at: usize| {
        let line = bytes[..at].strip_suffix(b"\r").unwrap_or(&bytes[..at]);
        bytes[at] == b'\n' && line.last() != Some(&b' ')
    };
    (0..bytes.len()).find(|at| ends(*at)).map(|at| at + 1)
}

/// A number as PI's client writes it: no exponent, no trailing zeros.
pub(super) fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.DIGITS_AFTER_FIRST$e}").parse().unwrap_or(value);
    // Adding zero turns -0 into 0.
    format!("{}", rounded + 0.0)
}

/// `MOV 1 1.25 2 -3` from its parts, without line end.
pub(super) fn command(mnemonic: &str, pairs: &[(&str, f64)]) -> String {
    let mut text = mnemonic.to_string();
    for (channel, value) in pairs {
        // Writing to a String cannot fail.
        let _ = write!(text, " {channel} {}", number(*value));
    }
    text
}

/// `POS? 1 2` from its parts, with line end.
pub(super) fn query(mnemonic: &str, channels: &[&str]) -> Vec<u8> {
    let mut text = format!("{mnemonic}?");
    for channel in channels {
        text.push(' ');
        text.push_str(channel);
    }
    text.push('\n');
    text.into_bytes()
}

/// A set command with the query of its result behind it, for one write.
pub(super) fn checked(command: &str) -> Vec<u8> {
    format!("{command}\nERR?\n").into_bytes()
}

/// The lines of an answer without their ends; `None` where a byte is not printable Latin-1.
fn lines(answer: &[u8]) -> Option<Vec<String>> {
    answer
        .split(|b| *b == b'\n')
        .map(|line| {
            let text: String = line.iter().map(|b| char::from(*b)).collect();
            let text = text.trim().to_string();
            (!text.chars().any(char::is_control)).then_some(text)
        })
        .collect()
}

/// The text after `axis=` for each channel, in the order of `channels`; `None` unless exactly these are answered.
pub(super) fn axis_texts(answer: &[u8], channels: &[&str]) -> Option<Vec<String>> {
    let lines = lines(answer)?;
    if lines.len() != channels.len() {
        return None;
    }
    let pairs: Vec<(&str, &str)> = lines.iter().map(|l| l.split_once('=')).collect::<Option<_>>()?;
    let of = |channel: &&str| {
        let (_, text) = pairs.iter().find(|(axis, _)| axis.trim().eq_ignore_ascii_case(channel))?;
        Some(text.trim().to_string())
    };
    channels.iter().map(of).collect()
}

/// The finite number of each channel.
pub(super) fn axis_numbers(answer: &[u8], channels: &[&str]) -> Option<Vec<f64>> {
    axis_texts(answer, channels)?.iter().map(|t| scpi::finite(t.as_bytes())).collect()
}

/// The truth value of each channel; exactly `0` or `1`, as PIPython wants it.
pub(super) fn axis_flags(answer: &[u8], channels: &[&str]) -> Option<Vec<bool>> {
    let flag = |text: &String| match text.as_str() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    };
    axis_texts(answer, channels)?.iter().map(flag).collect()
}

/// The code of an answer to `ERR?`.
pub(super) fn error_code(answer: &[u8]) -> Option<i64> {
    scpi::integer(answer)
}

/// The version of an answer to `CSV?`.
pub(super) fn syntax_version(answer: &[u8]) -> Option<f64> {
    scpi::finite(answer)
}

/// The mask of an answer to 0x05; `0x` before it is allowed.
pub(super) fn motion_mask(answer: &[u8]) -> Option<u64> {
    let text = scpi::ascii(answer)?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// Ready or busy from an answer to 0x07.
pub(super) fn readiness(answer: &[u8]) -> Option<bool> {
    match answer {
        [0xb1] => Some(true),
        [0xb0] => Some(false),
        _ => None,
    }
}

/// Axis names from an answer to `SAI?`.
pub(super) fn axes(answer: &[u8]) -> Option<Vec<String>> {
    let axes = lines(answer)?;
    let named = |a: &String| !a.is_empty() && !a.contains([' ', '=', ',']);
    axes.iter().all(named).then_some(axes)
}

/// Command words from an answer to `HLP?`: the first word of each line but the first and the last.
pub(super) fn commands(answer: &[u8]) -> Option<BTreeSet<String>> {
    let lines = lines(answer)?;
    let inner = lines.get(1..lines.len().checked_sub(1)?)?;
    Some(inner.iter().filter_map(|l| l.split_whitespace().next()).map(str::to_uppercase).collect())
}

/// The unit of an answer to `PUN?`; `None` for one that is no unit the station knows.
pub(super) fn unit(text: &str) -> Option<ChannelUnit> {
    match text.trim().to_uppercase().as_str() {
        "MM" => Some(ChannelUnit::Millimetre),
        // Latin-1 micro sign; its capital is a Greek Mu.
        "UM" | "\u{39c}M" | "MICRON" | "MICRONS" => Some(ChannelUnit::Micrometre),
        "DEG" | "DEGREE" | "DEGREES" | "\u{b0}" => Some(ChannelUnit::Degree),
        _ => None,
    }
}

/// PI's meaning of an error code.
pub(super) fn meaning(code: i64) -> &'static str {
    match code {
        0 => "no error",
        1 => "parameter syntax",
        2 => "unknown command",
        3 => "command too long",
        5 => "motion without referencing, or servo off",
        7 => "target outside limits",
        8 => "velocity outside limits",
        9 => "pivot cannot be set while U, V and W are not all 0",
        10 => "stopped by command",
        14 => "unknown analog input",
        15 => "unknown axis",
        17 => "argument out of range",
        22 | 23 => "axis named twice or illegal",
        24 | 26 => "number of arguments",
        25 => "not a number",
        27 => "soft limit out of range",
        31 => "no reference switch",
        32 => "no limit switch",
        34 => "not allowed for this stage",
        45 => "referencing failed",
        49 => "move to limit switch failed",
        50 => "referencing is disabled",
        53 => "motion in progress",
        54 => "unknown parameter",
        57 => "no such recorder table",
        58 => "no such recorder option",
        59 => "no such recorder source",
        61 => "auto-zero running",
        63 => "initialisation running",
        72 | 73 => "axis under analog or wave generator control",
        77 => "too few recorded points",
        78 => "recorder table not configured",
        79 | 84 => "open-loop value with servo on, or motor off",
        89 => "not allowed in this motion mode",
        91 => "collision prevention",
        93 => "not while the axis moves",
        200 => "no axis",
        214 => "position unknown",
        216 => "on a limit switch",
        217 => "hexapod strut stopped",
        333 => "hardware error",
        500 => "emergency stop",
        504 => "following error",
        505 => "sensor error",
        508 => "move not permitted",
        530 => "no such coordinate system",
        532 => "coordinate system in use",
        536 => "hexapod in motion",
        608 => "alignment routine not running",
        609 => "alignment routine not paused",
        1005 => "controller busy",
        1015 => "invalid argument",
        1024 => "motion error",
        1090 => "too many TCP connections",
        _ => "see the controller's manual",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_ends_at_the_first_lf_without_a_blank_before_it() {
        let check = |bytes: &[u8], end: Option<usize>| assert_eq!(answer_end(bytes), end, "{}", bytes.escape_ascii());
        check(b"1=1.25\n", Some(7));
        check(b"1=1.25 \n2=0.5\n", Some(14));
        check(b"1=1.25 \r\n2=0.5\r\n", Some(16));
        check(b"1=1.25 \n", None);
        check(b"1=1.25 \n2=0.5", None);
        check(b"\xb1\n", Some(2));
        check(b"\n", Some(1));
        check(b"0\n10\n", Some(2));
        check(b"", None);
    }

    #[test]
    fn numbers_are_written_as_pis_client_does() {
        let check = |value: f64, text: &str| assert_eq!(number(value), text);
        check(1.25, "1.25");
        check(-0.5, "-0.5");
        check(10.0, "10");
        check(0.1 + 0.2, "0.3");
        check(-0.0, "0");
        check(1.0 / 3.0, "0.333333333333");
        check(1e-7, "0.0000001");
        assert_eq!(command("MOV", &[("1", 1.25), ("2", -3.0)]), "MOV 1 1.25 2 -3");
        assert_eq!(checked("SVO 1 1"), b"SVO 1 1\nERR?\n");
        assert_eq!(query("POS", &["1", "2"]), b"POS? 1 2\n");
        assert_eq!(query("SAI", &[]), b"SAI?\n");
    }

    #[test]
    fn axis_answers_are_read_by_name_and_only_when_complete() {
        let two = b"1=1.251861 \n2=-0.500000";
        assert_eq!(axis_numbers(two, &["1", "2"]), Some(vec![1.251861, -0.5]));
        assert_eq!(axis_numbers(two, &["2", "1"]), Some(vec![-0.5, 1.251861]));
        assert_eq!(axis_numbers(b"x=1", &["X"]), Some(vec![1.0]));
        assert_eq!(axis_numbers(two, &["1"]), None);
        assert_eq!(axis_numbers(two, &["1", "3"]), None);
        assert_eq!(axis_numbers(b"1=nan", &["1"]), None);
        assert_eq!(axis_numbers(b"1=1.2\x805", &["1"]), None);
        assert_eq!(axis_flags(b"1=1 \n2=0", &["1", "2"]), Some(vec![true, false]));
        assert_eq!(axis_flags(b"1=1.0", &["1"]), None);
        assert_eq!(axis_flags(b"0", &["1"]), None);
    }

    #[test]
    fn single_byte_answers_are_read() {
        assert_eq!(motion_mask(b"0"), Some(0));
        assert_eq!(motion_mask(b"5"), Some(5));
        assert_eq!(motion_mask(b"0x2A"), Some(42));
        assert_eq!(motion_mask(b"+1"), None);
        assert_eq!(motion_mask(b""), None);
        assert_eq!(readiness(b"\xb1"), Some(true));
        assert_eq!(readiness(b"\xb0"), Some(false));
        assert_eq!(readiness(b"1"), None);
    }

    #[test]
    fn lists_of_axes_and_commands_are_read() {
        assert_eq!(axes(b"1 \n2 \n3"), Some(vec!["1".into(), "2".into(), "3".into()]));
        assert_eq!(axes(b"1=2"), None);
        let help =
            b"The following commands are valid: \n#5 Request Motion Status \nNLM {<AxisID> <LowLimit>} \nend of help";
        let found = commands(help).unwrap();
        assert!(found.contains("NLM") && found.contains("#5") && found.len() == 2, "{found:?}");
        assert_eq!(commands(b"x"), None);
    }

    #[test]
    fn units_are_known_in_any_letter_case() {
        assert_eq!(unit("mm"), Some(ChannelUnit::Millimetre));
        assert_eq!(unit("UM"), Some(ChannelUnit::Micrometre));
        assert_eq!(unit("\u{b5}m"), Some(ChannelUnit::Micrometre));
        assert_eq!(unit("DEG"), Some(ChannelUnit::Degree));
        assert_eq!(unit("URAD"), None);
    }

    #[test]
    fn every_cut_of_an_answer_is_incomplete_or_refused() {
        let whole = b"1=1.251861 \n2=-0.500000 \n3=7.000000\n";
        for end in 0..whole.len() {
            assert_eq!(answer_end(&whole[..end]), None, "{end}");
            assert_eq!(axis_numbers(&whole[..end], &["1", "2", "3"]).is_some(), end >= 28, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (answer_end(&bytes), axis_numbers(&bytes, &["1"]), axis_flags(&bytes, &["1"]), axes(&bytes));
            let _ = (commands(&bytes), motion_mask(&bytes), readiness(&bytes), error_code(&bytes));
        }

        #[test]
        fn a_position_survives_the_way_to_the_controller(value in -1e6f64..1e6) {
            let back: f64 = number(value).parse().unwrap();
            prop_assert!((back - value).abs() <= value.abs() * 1e-11);
        }
    }
}
