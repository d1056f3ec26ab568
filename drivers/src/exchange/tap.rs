//! The last exchanges of a line, kept raw and formatted only when somebody asks.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

/// Exchanges kept: some seconds of a busy line, a few kilobytes.
const EXCHANGES: usize = 200;
/// A request and its reply are one entry each.
const ENTRIES: usize = 2 * EXCHANGES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sent,
    Urgent,
    Received,
    Discarded,
    NoAnswer,
    Lost,
}

#[derive(Debug)]
struct Entry {
    at: Duration,
    kind: Kind,
    bytes: Vec<u8>,
}

/// A ring of the last 200 exchanges of a line, with the clock's times.
#[derive(Debug, Default)]
pub struct Tap {
    entries: VecDeque<Entry>,
}

impl Tap {
    pub(super) fn note(&mut self, at: Duration, kind: Kind, bytes: &[u8]) {
        // The oldest entry's buffer is used again, so that a busy line allocates nothing.
        let spare = if self.entries.len() < ENTRIES { None } else { self.entries.pop_front() };
        let mut kept = spare.map(|e| e.bytes).unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(bytes);
        self.entries.push_back(Entry { at, kind, bytes: kept });
    }

    /// True when nothing was ever exchanged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The exchanges as text, oldest first, one line each: time in seconds of the clock, what was sent, what came
    /// back and after how many milliseconds, or what was discarded. Bytes are escaped printably.
    pub fn transcript(&self) -> String {
        let mut text = String::new();
        let mut open: Option<Duration> = None;
        for entry in &self.entries {
            let bytes = entry.bytes.escape_ascii();
            let at = entry.at.as_secs_f64();
            if let (Some(sent), Kind::Received | Kind::NoAnswer | Kind::Lost) = (open, entry.kind) {
                let after = entry.at.saturating_sub(sent).as_secs_f64() * 1e3;
                // Writing to a String cannot fail, here and below.
                let _ = match entry.kind {
                    Kind::Received => writeln!(text, "  <- \"{bytes}\"  after {after:.3} ms"),
                    Kind::NoAnswer => writeln!(text, "  no whole answer after {after:.3} ms, got \"{bytes}\""),
                    _ => writeln!(text, "  port lost after {after:.3} ms: {bytes}"),
                };
                open = None;
                continue;
            }
            if open.take().is_some() {
                text.push('\n');
            }
            let _ = match entry.kind {
                Kind::Sent => write!(text, "{at:14.6} s  -> \"{bytes}\""),
                Kind::Urgent => write!(text, "{at:14.6} s  -> \"{bytes}\" (urgent)"),
                Kind::Received => writeln!(text, "{at:14.6} s  <- \"{bytes}\""),
                Kind::Discarded => writeln!(text, "{at:14.6} s  discarded \"{bytes}\""),
                Kind::NoAnswer => writeln!(text, "{at:14.6} s  no whole answer, got \"{bytes}\""),
                Kind::Lost => writeln!(text, "{at:14.6} s  port lost: {bytes}"),
            };
            open = matches!(entry.kind, Kind::Sent | Kind::Urgent).then_some(entry.at);
        }
        if open.is_some() {
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn transcript_has_one_line_an_exchange_with_times_and_escaped_bytes() {
        let mut tap = Tap::default();
        tap.note(ms(1000), Kind::Sent, b"POS? 1\n");
        tap.note(ms(1002), Kind::Received, b"1=1.25\n");
        tap.note(ms(1003), Kind::Sent, b"MOV 1 2\n");
        tap.note(ms(1004), Kind::Urgent, b"\x18");
        tap.note(ms(1005), Kind::Discarded, b"\xb1\n");
        tap.note(ms(1006), Kind::Sent, b"\x05");
        tap.note(ms(1256), Kind::NoAnswer, b"");
        let lines: Vec<String> = tap.transcript().lines().map(|l| l.trim().to_string()).collect();
        assert_eq!(
            lines,
            [
                r#"1.000000 s  -> "POS? 1\n"  <- "1=1.25\n"  after 2.000 ms"#,
                r#"1.003000 s  -> "MOV 1 2\n""#,
                r#"1.004000 s  -> "\x18" (urgent)"#,
                r#"1.005000 s  discarded "\xb1\n""#,
                r#"1.006000 s  -> "\x05"  no whole answer after 250.000 ms, got """#,
            ]
        );
    }

    #[test]
    fn only_the_last_exchanges_are_kept() {
        let mut tap = Tap::default();
        for n in 0..1000 {
            tap.note(ms(n), Kind::Sent, format!("{n}").as_bytes());
            tap.note(ms(n), Kind::Received, b"ok");
        }
        let text = tap.transcript();
        assert_eq!(text.lines().count(), EXCHANGES);
        assert!(text.lines().next().unwrap().contains("\"800\""), "{text}");
        assert!(text.lines().last().unwrap().contains("\"999\""));
    }
}
