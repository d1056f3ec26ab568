//! What SCPI instruments have in common: number texts, error queues, and how answers end.
//!
//! Pure: bytes in, values out; knows no instrument and no line. Sources: SCPI-1999 and IEEE 488.2 for the grammar;
//! Thorlabs' and Keysight's programming guides for the forms seen (`0,"No error"` and `+0,"No error"`, numbers such
//! as 9.9E37 that stand for an overflow).

use std::time::Duration;

use crate::exchange::Protocol;
use crate::identity::Identity;

/// SCPI over a plain byte stream: an answer ends with LF.
pub const PROTOCOL: Protocol = Protocol {
    framing: line_end,
    // A full list of ranges or a sensor text is some hundred bytes; block data are not asked for.
    reply_max: 4096,
    identity_request: b"*IDN?\n",
    is_identity: |answer| Identity::parse(answer).is_some(),
    identity_limit: Duration::from_millis(500),
    // More than twice the 8 ms that an identity of 90 bytes takes at 115200 baud.
    quiet: Duration::from_millis(20),
    // No header has this character, so a command cut in half is refused whole.
    spoil: b"~\n",
    requests: crate::requests::Requests::ANY,
};

/// Length of the first answer, its LF included.
pub fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|b| *b == b'\n').map(|at| at + 1)
}

/// Length of the first answer, its LF included: a line, or a block of definite length (IEEE 488.2, 8.7.9), which may hold
/// line ends. `None` while there is not all of it.
pub fn answer_end(bytes: &[u8]) -> Option<usize> {
    let body = match block_body(bytes) {
        Body::No => return line_end(bytes),
        Body::Begun => return None,
        Body::At(from, to) => bytes.get(from..to).map(|_| to)?,
    };
    match bytes.get(body..)? {
        [b'\n', ..] => Some(body + 1),
        [b'\r', b'\n', ..] => Some(body + 2),
        [] | [b'\r'] => None,
        // More answers on the line, after a semicolon, or noise: up to its end.
        rest => line_end(rest).map(|end| body + end),
    }
}

/// The bytes of an answer that is one block of definite length. Line ends behind it do not count.
pub fn block(answer: &[u8]) -> Option<&[u8]> {
    let Body::At(from, to) = block_body(answer) else { return None };
    let rest = answer.get(to..)?;
    rest.iter().all(|b| matches!(b, b'\r' | b'\n')).then(|| &answer[from..to])
}

/// 32-bit floats of a block, lowest byte first; `None` for a block that is not whole numbers.
pub fn floats(answer: &[u8]) -> Option<Vec<f32>> {
    let body = block(answer)?;
    let (numbers, []) = body.as_chunks::<4>() else { return None };
    Some(numbers.iter().map(|n| f32::from_le_bytes(*n)).collect())
}

/// Where a block's bytes are.
enum Body {
    /// No block.
    No,
    /// Its head is not whole yet.
    Begun,
    /// From and to.
    At(usize, usize),
}

fn block_body(bytes: &[u8]) -> Body {
    let Some((b'#', rest)) = bytes.split_first() else { return Body::No };
    let Some((digits, rest)) = rest.split_first() else { return Body::Begun };
    let digits = match digits {
        b'1'..=b'9' => usize::from(digits - b'0'),
        _ => return Body::No,
    };
    let length = &rest[..digits.min(rest.len())];
    if !length.iter().all(u8::is_ascii_digit) {
        return Body::No;
    }
    if length.len() < digits {
        return Body::Begun;
    }
    let length = length.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
    Body::At(2 + digits, 2 + digits + length)
}

/// The error queue's word for an unknown header.
pub const UNDEFINED_HEADER: i64 = -113;

/// Anything larger stands for an overflow: 9.9E37 and 9.91E37 (SCPI infinity and not-a-number), 3.4E38 (largest
/// 32-bit number).
pub const OVERFLOW: f64 = 1e30;

/// One entry of an error queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// The code; 0 means that the queue was empty.
    pub code: i64,
    /// The instrument's words, without their quotes.
    pub text: String,
}

/// Reads an error-queue answer: `-113,"Undefined header"`, `0,"No error"`, `+0,"No error"`.
pub fn queue_entry(answer: &[u8]) -> Option<QueueEntry> {
    let text = ascii(answer)?;
    let (code, words) = text.split_once(',')?;
    Some(QueueEntry { code: code.trim().parse().ok()?, text: unquoted(words).to_string() })
}

/// A number: integer, decimal, exponent, signed, or `inf`, `-inf`, `nan`, `infinity` in any letter case.
pub fn number(answer: &[u8]) -> Option<f64> {
    ascii(answer)?.parse().ok()
}

/// A number that is one: neither infinite nor an overflow.
pub fn finite(answer: &[u8]) -> Option<f64> {
    number(answer).filter(|n| n.abs() < OVERFLOW)
}

/// An integer with or without sign.
pub fn integer(answer: &[u8]) -> Option<i64> {
    ascii(answer)?.parse().ok()
}

/// A truth value: `0`, `1`, `+0`, `+1`, `OFF`, `ON`.
pub fn boolean(answer: &[u8]) -> Option<bool> {
    match ascii(answer)? {
        "0" | "+0" | "OFF" | "off" => Some(false),
        "1" | "+1" | "ON" | "on" => Some(true),
        _ => None,
    }
}

/// Printable text, trimmed.
pub fn ascii(answer: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(answer).ok()?.trim();
    (!text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b))).then_some(text)
}

/// A text without its single or double quotes.
pub fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// Whether what was heard instead of an identity is talk of some other device, and not the noise of a wrong baud
/// rate: four printable characters or more, none escaped.
pub fn is_talk(heard: &str) -> bool {
    heard.len() >= 4 && !heard.contains("\\x")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn error_queue_answers_of_all_makers_are_read() {
        let check = |answer: &str, code: i64, text: &str| {
            let entry = QueueEntry { code, text: text.into() };
            assert_eq!(queue_entry(answer.as_bytes()), Some(entry), "{answer}");
        };
        check(r#"0,"No error""#, 0, "No error");
        check(r#"+0,"No error""#, 0, "No error");
        check(r#"-113,"Undefined header""#, -113, "Undefined header");
        check("+0, No Error", 0, "No Error");
        check(r#"-222,"Data out of range; 1e9, too big""#, -222, "Data out of range; 1e9, too big");
        for bad in ["", "0", "abc,\"x\"", "8.1E-3", "1=1.25"] {
            assert_eq!(queue_entry(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_read_in_every_form_and_overflows_are_told_apart() {
        assert_eq!(number(b"8.123456E-03"), Some(8.123456e-3));
        assert_eq!(number(b"+1.00000000E+000"), Some(1.0));
        assert_eq!(number(b"-1.5e-12\r"), Some(-1.5e-12));
        assert_eq!(number(b"INFINITY"), Some(f64::INFINITY));
        assert_eq!(number(b"-inf"), Some(f64::NEG_INFINITY));
        assert!(number(b"NaN").unwrap().is_nan());
        assert_eq!(finite(b"9.9E37"), None);
        assert_eq!(finite(b"nan"), None);
        assert_eq!(finite(b"inf"), None);
        for bad in [&b""[..], b"1.2.3", b"W", b"1,2", b"\xff", b"1\x002"] {
            assert_eq!(number(bad), None);
        }
    }

    #[test]
    fn truth_values_and_quotes() {
        assert_eq!(boolean(b"+1"), Some(true));
        assert_eq!(boolean(b"0"), Some(false));
        assert_eq!(boolean(b"2"), None);
        assert_eq!(integer(b"+32"), Some(32));
        assert_eq!(unquoted("\"S120C\""), "S120C");
        assert_eq!(unquoted("\""), "\"");
    }

    #[test]
    fn an_answer_ends_with_its_first_lf() {
        assert_eq!(line_end(b"1.0\n2.0\n"), Some(4));
        assert_eq!(line_end(b"1.0"), None);
    }

    #[test]
    fn a_block_ends_by_its_length_and_not_by_the_line_ends_in_it() {
        // As autosweep reads two ports: -10 dBm and 10 uW, LF behind.
        let answer = b"#18\x17\xb7\xd1\x38\xac\xc5\x27\x37\n";
        assert_eq!(answer_end(answer), Some(answer.len()));
        assert_eq!(floats(&answer[..11]).unwrap(), [1e-4, 1e-5]);
        assert!((0..answer.len()).all(|cut| answer_end(&answer[..cut]).is_none()));
        assert_eq!(answer_end(b"#14\n\r\n\n\n+0\n"), Some(8));
        assert_eq!(answer_end(b"#14\n\r\n\n\r\n"), Some(9));
        assert_eq!(block(b"#14\n\r\n\n"), Some(&b"\n\r\n\n"[..]));
        assert_eq!(answer_end(b"#12ab;1\n"), Some(8));
        assert_eq!(block(b"#12ab;1"), None);
        assert_eq!(floats(b"#13abc"), None);
        // What only looks like one is a line.
        assert_eq!(answer_end(b"#0ab\n"), Some(5));
        assert_eq!(answer_end(b"#2x4\n"), Some(5));
        assert_eq!(answer_end(b"+1\n#1"), Some(3));
    }

    proptest! {
        #[test]
        fn an_answer_ends_where_it_ended_before_more_came(
            bytes in proptest::collection::vec(prop_oneof![Just(b'#'), b'0'..=b'9', Just(b'\n'), any::<u8>()], 0..60),
            cut in 0usize..60,
        ) {
            if let Some(end) = answer_end(&bytes[..cut.min(bytes.len())]) {
                prop_assert!(end <= cut);
                prop_assert!(matches!(answer_end(&bytes), Some(again) if again <= end + 1));
            }
            let _ = (block(&bytes), floats(&bytes));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (queue_entry(&bytes), number(&bytes), boolean(&bytes), integer(&bytes), line_end(&bytes));
            let _ = Identity::parse(&bytes);
        }
    }
}
