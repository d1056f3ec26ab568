//! What SCPI devices share: taking lines apart, matching headers, numbers with units, the error queue. Pure.

use std::collections::VecDeque;

/// One command of a line: header as sent, without its question mark, and arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// Header with its path.
    pub(crate) header: String,
    /// Whether it asks.
    pub(crate) query: bool,
    /// What follows the header.
    pub(crate) argument: String,
}

/// The commands of a line, joined by semicolons; each header is completed by the path of the one before it.
pub(crate) fn commands(line: &str) -> Vec<Command> {
    let mut path = String::new();
    let mut found = Vec::new();
    for part in line.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let (head, argument) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let (head, query) = head.strip_suffix('?').map_or((head, false), |h| (h, true));
        let header = if head.starts_with('*') {
            head.to_string()
        } else if let Some(root) = head.strip_prefix(':') {
            root.to_string()
        } else if path.is_empty() {
            head.to_string()
        } else {
            format!("{path}:{head}")
        };
        if !header.starts_with('*') {
            path = header.rsplit_once(':').map_or(String::new(), |(p, _)| p.to_string());
        }
        found.push(Command { header, query, argument: argument.trim().to_string() });
    }
    found
}

/// Whether a header is the one of a pattern: `[SENSe]:POWer[:DC]:RANGe[:UPPer]`. Nodes in brackets may be missing, each
/// node is given in its short (capital letters) or long form, in any letter case, with the suffix 1 or 0 or none.
pub(crate) fn is(header: &str, pattern: &str) -> bool {
    fits(Some(header), pattern)
}

/// Asked some tens of times for each command: nothing is allocated.
fn fits(nodes: Option<&str>, pattern: &str) -> bool {
    let Some((node, optional, rest)) = first_node(pattern) else { return nodes.is_none() };
    let here = nodes.is_some_and(|nodes| {
        let (first, others) = nodes.split_once(':').map_or((nodes, None), |(first, others)| (first, Some(others)));
        node_is(first, node) && fits(others, rest)
    });
    here || (optional && fits(nodes, rest))
}

/// The first node of a pattern, whether it may be missing, and the rest of the pattern.
fn first_node(pattern: &str) -> Option<(&str, bool, &str)> {
    let pattern = pattern.trim_start_matches(':');
    if let Some(inner) = pattern.strip_prefix('[') {
        let (node, rest) = inner.split_once(']').unwrap_or((inner, ""));
        return Some((node.trim_matches(':'), true, rest));
    }
    let end = pattern.find([':', '[']).unwrap_or(pattern.len());
    (end > 0).then(|| (&pattern[..end], false, &pattern[end..]))
}

fn node_is(given: &str, wanted: &str) -> bool {
    let bare = given.trim_end_matches(|c: char| c.is_ascii_digit());
    let suffix = &given[bare.len()..];
    if !matches!(suffix, "" | "0" | "1") {
        return false;
    }
    word_is(bare, wanted)
}

/// Whether a word is a pattern's, in its short (capital letters) or long form, in any letter case.
pub(crate) fn word_is(given: &str, wanted: &str) -> bool {
    let short = || wanted.bytes().filter(|b| !b.is_ascii_lowercase()).map(|b| b.to_ascii_uppercase());
    given.eq_ignore_ascii_case(wanted) || given.bytes().map(|b| b.to_ascii_uppercase()).eq(short())
}

/// Bytes as a block of definite length (IEEE 488.2, 8.7.9).
pub(crate) fn block(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len().to_string();
    let mut block = format!("#{}{length}", length.len()).into_bytes();
    block.extend_from_slice(bytes);
    block
}

/// A number with an optional unit, blank allowed between: the number and the unit in capitals.
pub(crate) fn number(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end =
        (1..=text.len()).rev().filter(|i| text.is_char_boundary(*i)).find(|i| text[..*i].parse::<f64>().is_ok())?;
    let value: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim().to_ascii_uppercase();
    (value.is_finite() && unit.chars().all(|c| c.is_ascii_alphabetic())).then_some((value, unit))
}

/// A switch: 0, 1, OFF, ON.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_uppercase().as_str() {
        "0" | "OFF" => Some(false),
        "1" | "ON" => Some(true),
        _ => None,
    }
}

/// A number as `8.123456E-03`: `digits` decimals and an exponent of at least `width` digits; `plus` signs both.
pub(crate) fn exponent(value: f64, digits: usize, width: usize, plus: bool) -> String {
    let text = format!("{value:.digits$E}");
    let (mantissa, power) = text.split_once('E').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if plus && value >= 0.0 { "+" } else { "" };
    format!("{sign}{mantissa}E{}{:0width$}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// Errors kept for `SYST:ERR?`; the eleventh is lost, as on the device.
const QUEUE_MAX: usize = 10;

/// Bits of the event register (IEEE 488.2, 11.5.1).
const OPERATION_COMPLETE: u8 = 1 << 0;
const QUERY_ERROR: u8 = 1 << 2;
const EXECUTION_ERROR: u8 = 1 << 4;
const COMMAND_ERROR: u8 = 1 << 5;
const POWER_ON: u8 = 1 << 7;
/// Bits of the status byte.
const ERRORS_QUEUED: u8 = 1 << 2;
const EVENT_SUMMARY: u8 = 1 << 5;
const SERVICE: u8 = 1 << 6;

/// Error queue, event register and the masks of both registers.
#[derive(Debug)]
pub(crate) struct Errors {
    queue: VecDeque<(i32, &'static str)>,
    esr: u8,
    event_enable: u8,
    service_enable: u8,
}

impl Default for Errors {
    fn default() -> Self {
        Errors { queue: VecDeque::new(), esr: POWER_ON, event_enable: 0, service_enable: 0 }
    }
}

impl Errors {
    /// Queues an error and sets its bit of the event register.
    pub(crate) fn raise(&mut self, code: i32, text: &'static str) {
        self.esr |= match -code / 100 {
            1 => COMMAND_ERROR,
            4 => QUERY_ERROR,
            _ => EXECUTION_ERROR,
        };
        if self.queue.len() < QUEUE_MAX {
            self.queue.push_back((code, text));
        }
    }

    pub(crate) fn next(&mut self) -> Option<(i32, &'static str)> {
        self.queue.pop_front()
    }

    pub(crate) fn count(&self) -> usize {
        self.queue.len()
    }

    /// Reads and clears the event register.
    fn events(&mut self) -> u8 {
        std::mem::take(&mut self.esr)
    }

    /// Empties the queue and the event register; the masks stay, as `*CLS` leaves them.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.esr = 0;
    }

    /// Everything asked for is done: what `*OPC` waits for.
    pub(crate) fn complete(&mut self) {
        self.esr |= OPERATION_COMPLETE;
    }

    /// The common commands of status: `*ESR?`, `*STB?`, `*ESE`, `*SRE`. An answer, nothing to say, or an error; `None` for
    /// any other command. `summary` are the bits of the device's own registers in the status byte.
    pub(crate) fn common(&mut self, c: &Command, summary: u8) -> Option<Result<Option<String>, (i32, &'static str)>> {
        let mask = match (c.header.to_ascii_uppercase().as_str(), c.query) {
            ("*ESR", true) => return Some(Ok(Some(self.events().to_string()))),
            ("*STB", true) => return Some(Ok(Some(self.status(summary).to_string()))),
            ("*ESE", _) => &mut self.event_enable,
            ("*SRE", _) => &mut self.service_enable,
            _ => return None,
        };
        if c.query {
            return Some(Ok(Some(mask.to_string())));
        }
        Some(match number(&c.argument) {
            Some((value, unit)) if unit.is_empty() && (0.0..=255.0).contains(&value) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range checked")]
                let bits = value.round() as u8;
                *mask = bits;
                Ok(None)
            }
            Some((_, unit)) if unit.is_empty() => Err(OUT_OF_RANGE),
            None if c.argument.is_empty() => Err(MISSING),
            _ => Err(DATA_TYPE),
        })
    }

    fn status(&self, summary: u8) -> u8 {
        let mut byte = summary;
        if !self.queue.is_empty() {
            byte |= ERRORS_QUEUED;
        }
        if self.esr & self.event_enable != 0 {
            byte |= EVENT_SUMMARY;
        }
        if byte & self.service_enable != 0 { byte | SERVICE } else { byte }
    }
}

pub(crate) const UNDEFINED: (i32, &str) = (-113, "Undefined header");
pub(crate) const MISSING: (i32, &str) = (-109, "Missing parameter");
pub(crate) const NOT_ALLOWED: (i32, &str) = (-108, "Parameter not allowed");
pub(crate) const DATA_TYPE: (i32, &str) = (-104, "Data type error");
pub(crate) const TOO_MUCH: (i32, &str) = (-223, "Too much data");
pub(crate) const STALE: (i32, &str) = (-230, "Data corrupt or stale");
pub(crate) const OUT_OF_RANGE: (i32, &str) = (-222, "Data out of range");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_taken_in_long_and_short_form_with_nodes_left_out() {
        let range = "[SENSe]:POWer[:DC]:RANGe[:UPPer]";
        for good in ["SENS:POW:RANG", "sense:power:dc:range:upper", "POW:RANG", "Sens1:Pow:Dc:Rang"] {
            assert!(is(good, range), "{good}");
        }
        for bad in ["SENS:POW", "SENSE:POWE:RANG", "SENS2:POW:RANG", "SENS:POW:RANG:AUTO", ""] {
            assert!(!is(bad, range), "{bad}");
        }
    }

    #[test]
    fn joined_commands_stay_in_their_subtree() {
        let found = commands("SENS:POW:UNIT W;RANG 1e-3;:SENS:AVER 3; *IDN?");
        let headers: Vec<&str> = found.iter().map(|c| c.header.as_str()).collect();
        assert_eq!(headers, ["SENS:POW:UNIT", "SENS:POW:RANG", "SENS:AVER", "*IDN"]);
        assert!(found[3].query && found[1].argument == "1e-3");
    }

    #[test]
    fn numbers_come_with_and_without_units_and_blanks() {
        assert_eq!(number("1550NM"), Some((1550.0, "NM".into())));
        assert_eq!(number("2.000000 mW"), Some((2.0, "MW".into())));
        assert_eq!(number("-3e0"), Some((-3.0, String::new())));
        for bad in ["", "W", "1 2", "inf", "--3"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn exponents_are_written_as_the_makers_write_them() {
        assert_eq!(exponent(8.123_456e-3, 6, 2, false), "8.123456E-03");
        assert_eq!(exponent(1.55e-6, 8, 3, true), "+1.55000000E-006");
        assert_eq!(exponent(0.0, 6, 2, false), "0.000000E+00");
        assert_eq!(exponent(-1e-12, 6, 2, true), "-1.000000E-12");
    }
}
