//! Texts of SMC100 and CONEX controllers to values and back. Pure; knows no line, no time and no micrometres.

use std::time::Duration;

use crate::exchange::Protocol;
use crate::identity::Identity;
use crate::scpi;

/// These controllers over a byte stream.
pub(super) const PROTOCOL: Protocol = Protocol {
    framing: scpi::line_end,
    // The longest answer used is an identity or a stage name, some dozens of bytes.
    reply_max: 256,
    // The first controller of a chain has address 1; no other is asked for its version, so no answer looks like this.
    identity_request: b"1VE\r\n",
    is_identity: |answer| identity(answer).is_some(),
    identity_limit: Duration::from_millis(500),
    // Twice the 10 ms that hvl_ccb leaves these controllers for an answer.
    quiet: Duration::from_millis(20),
    // Makes a number cut in half none (error C) and a mnemonic cut in half unknown (error A).
    spoil: b"~\r\n",
    requests: crate::requests::NEWPORT_SMC,
};

/// Stops every controller of the chain; no answer.
pub(super) const STOP_ALL: &[u8] = b"ST\r\n";
/// No error.
pub(super) const NO_ERROR: char = '@';
/// Not allowed while the axis is not referenced.
pub(super) const NOT_REFERENCED: char = 'H';

/// Models that are driven, by what `VE` says.
const MODELS: &[(&str, &str)] = &[
    ("SMC_CC", "SMC100CC"),
    ("SMC_PP", "SMC100PP"),
    ("SMC100CC", "SMC100CC"),
    ("SMC100PP", "SMC100PP"),
    ("CONEX-CC", "CONEX-CC"),
    ("CONEX_CC", "CONEX-CC"),
    ("CONEX-PP", "CONEX-PP"),
    ("CONEX PP", "CONEX-PP"),
    ("CONEX_PP", "CONEX-PP"),
];

/// What the state of a controller means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    NotReferenced,
    Configuration,
    Homing,
    Moving,
    Ready,
    Disabled,
    Jogging,
}

/// The answer to `TS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    /// Error bits.
    pub(super) faults: u16,
    pub(super) state: State,
}

/// A number with six decimals at the most: a nanometre of a millimetre.
pub(super) fn number(value: f64) -> String {
    // Adding zero turns -0 into 0.
    format!("{}", (value * 1e6).round() / 1e6 + 0.0)
}

/// `1PA1.25` from its parts, without line end.
pub(super) fn command(address: u8, mnemonic: &str, value: f64) -> String {
    format!("{address}{mnemonic}{}", number(value))
}

/// A text with line end.
pub(super) fn request(address: u8, text: &str) -> Vec<u8> {
    format!("{address}{text}\r\n").into_bytes()
}

/// Set commands with the query of the first one's result behind them, for one write.
pub(super) fn checked(commands: &[String], address: u8) -> Vec<u8> {
    let mut text: String = commands.iter().map(|c| format!("{c}\r\n")).collect();
    text.push_str(&format!("{address}TE\r\n"));
    text.into_bytes()
}

/// The text behind address and mnemonic; `None` for the answer of another one or to something else.
pub(super) fn told<'a>(answer: &'a [u8], address: u8, mnemonic: &str) -> Option<&'a str> {
    let text = scpi::ascii(answer)?;
    let rest = text.strip_prefix(&address.to_string())?;
    let head = rest.get(..mnemonic.len())?;
    head.eq_ignore_ascii_case(mnemonic).then(|| rest[mnemonic.len()..].trim())
}

/// The finite number of an answer.
pub(super) fn value(answer: &[u8], address: u8, mnemonic: &str) -> Option<f64> {
    scpi::finite(told(answer, address, mnemonic)?.as_bytes())
}

/// The letter of an answer to `TE`.
pub(super) fn letter(answer: &[u8], address: u8) -> Option<char> {
    let mut chars = told(answer, address, "TE")?.chars();
    let letter = chars.next()?.to_ascii_uppercase();
    (chars.next().is_none() && (letter == NO_ERROR || letter.is_ascii_uppercase())).then_some(letter)
}

/// The answer to `TS`: four hexadecimal digits of errors, two of state.
pub(super) fn status(answer: &[u8], address: u8) -> Option<Status> {
    let text = told(answer, address, "TS")?;
    if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let state = match u8::from_str_radix(&text[4..], 16).ok()? {
        0x0A..=0x11 => State::NotReferenced,
        0x14 => State::Configuration,
        0x1E | 0x1F => State::Homing,
        0x28 | 0x29 => State::Moving,
        0x32..=0x36 => State::Ready,
        0x3C..=0x3F => State::Disabled,
        0x46 | 0x47 => State::Jogging,
        _ => return None,
    };
    // The first of the four digits means nothing.
    Some(Status { faults: u16::from_str_radix(&text[1..4], 16).ok()?, state })
}

/// Who controller 1 is: `1VE SMC_CC_2.0.1`. Only the end of the answer need be that.
pub(super) fn identity(answer: &[u8]) -> Option<Identity> {
    let at = answer.windows(3).rposition(|w| w.eq_ignore_ascii_case(b"1VE"))?;
    let text = told(&answer[at..], 1, "VE")?;
    let capitals = text.to_uppercase();
    let (word, model) = MODELS.iter().find(|(word, _)| capitals.starts_with(word))?;
    let firmware = text.get(word.len()..)?.trim_start_matches(['_', ' ', '-']).to_string();
    let (maker, model) = ("Newport".to_string(), (*model).to_string());
    firmware.starts_with(|c: char| c.is_ascii_digit()).then_some(Identity {
        maker,
        model,
        serial: String::new(),
        firmware,
    })
}

/// Name and serial number of the stage: `1IDTRA25CC_SN:B123456`.
pub(super) fn stage(answer: &[u8], address: u8) -> Option<(String, String)> {
    let text = told(answer, address, "ID")?;
    let (name, serial) = text.split_once("_SN:").or_else(|| text.split_once("SN")).unwrap_or((text, ""));
    Some((name.trim_end_matches(['_', ' ']).to_string(), serial.trim_start_matches([':', ' ']).to_string()))
}

/// The vendor's words for an error letter.
pub(super) fn meaning(letter: char) -> &'static str {
    match letter {
        'A' => "A, unknown message code or floating point controller address",
        'B' => "B, controller address not correct",
        'C' => "C, parameter missing or out of range",
        'D' => "D, command not allowed",
        'E' => "E, home sequence already started",
        'F' => "F, ESP stage name unknown",
        'G' => "G, displacement out of limits",
        'H' => "H, command not allowed in NOT REFERENCED state",
        'I' => "I, command not allowed in CONFIGURATION state",
        'J' => "J, command not allowed in DISABLE state",
        'K' => "K, command not allowed in READY state",
        'L' => "L, command not allowed in HOMING state",
        'M' => "M, command not allowed in MOVING state",
        'N' => "N, current position out of software limit",
        'S' => "S, communication time-out",
        'U' => "U, error during EEPROM access",
        'V' => "V, error during command execution",
        'W' => "W, command not allowed for PP version",
        'X' => "X, command not allowed for CC version",
        _ => "unknown to this driver",
    }
}

/// The vendor's words for error bits.
pub(super) fn fault_words(faults: u16) -> String {
    const WORDS: &[(u16, &str)] = &[
        (0x0200, "80 W output power exceeded"),
        (0x0100, "DC voltage too low"),
        (0x0080, "wrong ESP stage"),
        (0x0040, "homing time-out"),
        (0x0020, "following error"),
        (0x0010, "short circuit"),
        (0x0008, "RMS current limit"),
        (0x0004, "peak current limit"),
        (0x0002, "positive end of run"),
        (0x0001, "negative end of run"),
    ];
    let words: Vec<&str> = WORDS.iter().filter(|(bit, _)| faults & bit != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { "disabled".to_string() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_written_as_the_client_writes_them() {
        assert_eq!(command(1, "PA", 1.25), "1PA1.25");
        assert_eq!(command(31, "SL", -23.5), "31SL-23.5");
        assert_eq!(command(2, "PA", -1e-9), "2PA0");
        assert_eq!(command(2, "PA", 1e-6), "2PA0.000001");
        assert_eq!(checked(&["1PA1".into(), "2PA2".into()], 1), b"1PA1\r\n2PA2\r\n1TE\r\n");
        assert_eq!(request(1, "TS"), b"1TS\r\n");
    }

    #[test]
    fn answers_seen_from_the_client_are_read() {
        assert_eq!(letter(b"1TE@", 1), Some('@'));
        assert_eq!(letter(b"1TEG\r\n", 1), Some('G'));
        assert_eq!(value(b"1TP1.250000", 1, "TP"), Some(1.25));
        assert_eq!(value(b"1SR25", 1, "SR"), Some(25.0));
        assert_eq!(value(b"12SL-23.5", 12, "SL"), Some(-23.5));
        let check = |text: &str, faults: u16, state: State| {
            assert_eq!(status(text.as_bytes(), 1), Some(Status { faults, state }), "{text}");
        };
        check("1TS00000A", 0, State::NotReferenced);
        check("1TS00001E", 0, State::Homing);
        check("1TS000028", 0, State::Moving);
        check("1TS000033", 0, State::Ready);
        check("1TS00203D", 0x20, State::Disabled);
        check("1TSF04010", 0x40, State::NotReferenced);
        assert_eq!(stage(b"1IDTRA25CC_SN:B123456", 1), Some(("TRA25CC".into(), "B123456".into())));
        assert_eq!(stage(b"1IDTRA25CC", 1), Some(("TRA25CC".into(), String::new())));
    }

    #[test]
    fn other_answers_are_none() {
        for bad in [&b"2TE@"[..], b"11TE@", b"1TP0", b"1TE", b"1TE@@", b"TE@", b"1TE\x00", b""] {
            assert_eq!(letter(bad, 1), None, "{}", bad.escape_ascii());
        }
        for bad in ["1TS00000", "1TS0000FF", "1TS00000G", "1TS0000 A", "2TS00000A", "1TS00000A0"] {
            assert_eq!(status(bad.as_bytes(), 1), None, "{bad}");
        }
        assert_eq!(value(b"1TPnan", 1, "TP"), None);
        assert_eq!(value(b"1TP", 1, "TP"), None);
    }

    #[test]
    fn models_that_are_driven_are_known_and_others_are_not() {
        let check = |text: &str, model: &str, firmware: &str| {
            let found = identity(text.as_bytes()).unwrap();
            assert_eq!((found.model.as_str(), found.firmware.as_str()), (model, firmware), "{text}");
        };
        check("1VE SMC_CC_2.0.1", "SMC100CC", "2.0.1");
        check("1VESMC_PP_1.0.8", "SMC100PP", "1.0.8");
        check("1VE CONEX-CC 2.0.0", "CONEX-CC", "2.0.0");
        check("1VE Conex PP 1.0.0", "CONEX-PP", "1.0.0");
        check("1TP0.01VE SMC_CC_2.0.1", "SMC100CC", "2.0.1");
        for bad in ["1VE CONEX-AGP 1.0.0", "1VE", "1VE SMC_CC", "2VE SMC_CC_2.0.1", "ESP301 Version 3.0.1 6/1/99", ""] {
            assert_eq!(identity(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn letters_and_bits_have_words() {
        assert_eq!(meaning('G'), "G, displacement out of limits");
        assert_eq!(meaning('Z'), "unknown to this driver");
        assert_eq!(fault_words(0x0022), "following error, positive end of run");
        assert_eq!(fault_words(0), "disabled");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), address in 1u8..32) {
            let _ = (letter(&bytes, address), status(&bytes, address), value(&bytes, address, "TP"));
            let _ = (identity(&bytes), stage(&bytes, address));
        }

        #[test]
        fn numbers_come_back(value_mm in -1000.0f64..1000.0) {
            let text = command(3, "PA", value_mm);
            prop_assert!((value(text.as_bytes(), 3, "PA").unwrap() - value_mm).abs() <= 1e-6);
        }

        #[test]
        fn a_cut_answer_is_no_other_state(cut in 0usize..9, flip in 0usize..9, bit in 0u8..8) {
            let whole = b"1TS000033".to_vec();
            prop_assert_eq!(status(&whole[..cut], 1), None);
            let mut flipped = whole;
            flipped[flip] ^= 1 << bit;
            let _ = status(&flipped, 1);
        }
    }
}
