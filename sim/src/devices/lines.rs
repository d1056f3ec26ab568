//! Bytes to command lines: what every device with lines of text does with what a client sends. Pure.

/// Longest command line a device takes, bytes.
const LINE_MAX: usize = 4096;

/// The beginning of a line that has not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    overlong: bool,
}

/// A line that was longer than the device takes; all of it is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Lines {
    /// One more byte of the line.
    pub(crate) fn push(&mut self, byte: u8) {
        self.overlong |= self.bytes.len() >= LINE_MAX;
        if !self.overlong {
            self.bytes.push(byte);
        }
    }

    /// The line has ended; the next one begins. Bytes that are no text are told as U+FFFD.
    pub(crate) fn end(&mut self) -> Result<String, TooLong> {
        let bytes = std::mem::take(&mut self.bytes);
        // Its tail must not be taken for a command of its own.
        if std::mem::take(&mut self.overlong) {
            return Err(TooLong);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Forgets what came of a line that never ended.
    pub(crate) fn clear(&mut self) {
        *self = Lines::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_thrown_away_as_a_whole() {
        let mut lines = Lines::default();
        let mut feed = |text: &[u8]| {
            text.iter().for_each(|b| lines.push(*b));
            lines.end()
        };
        assert_eq!(feed(&[b'x'; LINE_MAX]), Ok("x".repeat(LINE_MAX)));
        assert_eq!(feed(&[b'x'; LINE_MAX + 1]), Err(TooLong));
        assert_eq!(feed(b"*IDN?"), Ok("*IDN?".into()));
        assert_eq!(feed(b""), Ok(String::new()));
        assert_eq!(feed(b"\xff"), Ok("\u{fffd}".into()));
    }
}
