//! Talking to whoever may be on a port: a request, and what comes back up to a pause. Every wait is bounded.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use units::clock::Clock;

use crate::identity::Identity;
use crate::scpi;
use crate::transport::Stream;

/// How long the first byte of an answer may take: the slowest instrument known needs a quarter of a second.
const FIRST_BYTE: Duration = Duration::from_millis(400);
/// An answer has ended when nothing comes for so long: three bytes at 9600 baud, and a USB bridge's latency.
const QUIET: Duration = Duration::from_millis(60);
/// Whatever comes without a pause is cut off here: 100 bytes take a tenth of a second at 9600 baud.
const ANSWER_LIMIT: Duration = Duration::from_millis(700);
/// Longest answer taken, bytes.
const ANSWER_MAX: usize = 4096;
/// What came unasked, or late, is thrown away before the next question: pieces looked at, and the wait for each.
const STALE_MAX: usize = 16;
const STALE_WAIT: Duration = Duration::from_millis(2);
/// Of what a stranger says this much is told.
const TOLD_MAX: usize = 120;

/// A port that is asked who is there.
pub(crate) struct Talk<'a> {
    stream: Box<dyn Stream>,
    clock: &'a Clock,
    /// Printable text that came and that nobody knew.
    heard: Option<String>,
    /// Somebody said who he is, and is nobody that is supported.
    stranger: Option<String>,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(stream: Box<dyn Stream>, clock: &'a Clock) -> Talk<'a> {
        Talk { stream, clock, heard: None, stranger: None }
    }

    /// What comes back; nothing where the port takes no bytes or gives none.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.ask_within(request, FIRST_BYTE).await
    }

    /// As [`Talk::ask`], with another wait for the first byte.
    pub(crate) async fn ask_within(&mut self, request: &[u8], first: Duration) -> Vec<u8> {
        self.forget_stale().await;
        let clock = self.clock;
        if !matches!(clock.timeout(first, self.stream.write_all(request)).await, Ok(Ok(()))) {
            return Vec::new();
        }
        let mut answer = Vec::new();
        let mut limit = first;
        let mut chunk = [0; 256];
        let end = clock.now() + first + ANSWER_LIMIT;
        while answer.len() < ANSWER_MAX && clock.now() < end {
            match clock.timeout(limit, self.stream.read(&mut chunk)).await {
                Ok(Ok(n)) if n > 0 => answer.extend_from_slice(&chunk[..n]),
                _ => break,
            }
            limit = QUIET;
        }
        if let Some(text) = lines(&answer).find_map(printable).filter(|text| scpi::is_talk(text)) {
            self.heard = Some(text);
        }
        answer
    }

    async fn forget_stale(&mut self) {
        let mut chunk = [0; 256];
        for _ in 0..STALE_MAX {
            match self.clock.timeout(STALE_WAIT, self.stream.read(&mut chunk)).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => return,
            }
        }
    }

    /// Somebody said who he is, and no driver is his: nothing more need be asked.
    pub(crate) fn not_supported(&mut self, who: String) {
        self.stranger = Some(who);
    }

    /// Who said so, if somebody did.
    pub(super) fn stranger(&self) -> Option<&String> {
        self.stranger.as_ref()
    }

    /// What was said that nobody knew.
    pub(super) fn heard(&self) -> Option<&String> {
        self.heard.as_ref()
    }
}

/// The lines of an answer, without their ends, the last first; empty ones left out.
pub(crate) fn lines(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    answer.rsplit(|b| matches!(b, b'\n' | b'\r')).filter(|line| !line.trim_ascii().is_empty())
}

/// The text of a line that has no control characters; makers write Latin-1.
fn printable(line: &[u8]) -> Option<String> {
    let plain = line.iter().all(|b| *b >= 0x20 && !(0x7f..0xa0).contains(b));
    let ascii = line.iter().filter(|b| b.is_ascii()).count();
    // The noise of a wrong baud rate is half of other characters.
    (plain && ascii * 10 >= line.len() * 9).then(|| line.iter().map(|b| char::from(*b)).take(TOLD_MAX).collect())
}

/// An identity of four fields in an answer, wherever its line stands.
pub(super) fn identity(answer: &[u8]) -> Option<Identity> {
    lines(answer).find_map(|line| Identity::parse(line.trim_ascii()))
}
