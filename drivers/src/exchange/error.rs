//! What can go wrong on a line, told so that somebody at the bench knows which cable to look at.

use std::time::Duration;

/// A line failed. Texts from the wire are escaped printably; request texts are without their line end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Nothing at all came back within the limit.
    #[error("{instrument}: no answer to \"{request}\" within {} on {port} ({})", span(.limit), age(.last_reply_age))]
    NoAnswer {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// The request.
        request: String,
        /// Time waited.
        limit: Duration,
        /// How long ago the line last answered anything; `None` when it never did.
        last_reply_age: Option<Duration>,
    },
    /// An answer began within the limit but did not end.
    #[error("{instrument}: only part of an answer to \"{request}\" within {} on {port}: \"{got}\"", span(.limit))]
    Partial {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// The request.
        request: String,
        /// Time waited.
        limit: Duration,
        /// What came.
        got: String,
    },
    /// An answer came that is no answer to this request: garbled, another one's, or with bytes behind it.
    #[error("{instrument}: unexpected answer \"{got}\" to \"{request}\" on {port} (expected {expected})")]
    Unexpected {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// The request.
        request: String,
        /// What came.
        got: String,
        /// What an answer looks like.
        expected: &'static str,
    },
    /// An answer passed the longest length the protocol has.
    #[error("{instrument}: answer to \"{request}\" on {port} passed {max} bytes without an end: \"{begins}...\"")]
    TooLong {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// The request.
        request: String,
        /// The bound, bytes.
        max: usize,
        /// How it begins.
        begins: String,
    },
    /// The port takes no more bytes (flow control holds the line, or nobody reads at the other end).
    #[error("{instrument}: {port} took no bytes of \"{request}\" within {} (flow control?)", span(.limit))]
    NotSent {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// The command or request.
        request: String,
        /// Time waited.
        limit: Duration,
    },
    /// The port is gone: unplugged, closed by the other side, or an I/O error.
    #[error("{instrument}: port {port} lost ({reason}) after \"{command}\"; {}", back(.came_back))]
    PortLost {
        /// Bench name of the instrument.
        instrument: Box<str>,
        /// Port name.
        port: Box<str>,
        /// The last command or request sent; empty when none was.
        command: Box<str>,
        /// What came back after it.
        came_back: Box<str>,
        /// The operating system's words.
        reason: Box<str>,
    },
    /// The line could not be brought back: the device did not identify itself.
    #[error("{instrument}: no identity from \"{request}\" on {port} in {attempts} attempts; {}", back(.heard))]
    NotRecovered {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// The identity request.
        request: String,
        /// Attempts made.
        attempts: u32,
        /// The last thing heard instead; empty when nothing was.
        heard: String,
    },
}

impl LineError {
    /// True when the port is gone and must be opened anew.
    pub fn is_port_lost(&self) -> bool {
        matches!(self, LineError::PortLost { .. })
    }

    /// True when the request may have been carried out or not: its answer was lost, late, cut or garbled.
    pub fn is_answer_lost(&self) -> bool {
        matches!(
            self,
            LineError::NoAnswer { .. }
                | LineError::Partial { .. }
                | LineError::Unexpected { .. }
                | LineError::TooLong { .. }
        )
    }

    /// True when the device was silent from the request on.
    pub fn is_no_answer(&self) -> bool {
        matches!(self, LineError::NoAnswer { .. })
    }
}

/// Bytes as printable text; a request's line end is left out.
pub(super) fn printable(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    bytes[..end].escape_ascii().to_string()
}

fn span(limit: &Duration) -> String {
    if *limit < Duration::from_secs(10) {
        format!("{} ms", limit.as_millis())
    } else {
        format!("{:.1} s", limit.as_secs_f64())
    }
}

fn age(last: &Option<Duration>) -> String {
    match last {
        Some(age) => format!("last reply {:.1} s ago", age.as_secs_f64()),
        None => "no reply on this line so far".to_string(),
    }
}

fn back(got: &str) -> String {
    if got.is_empty() { "nothing came back".to_string() } else { format!("came back: \"{got}\"") }
}
