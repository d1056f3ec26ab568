//! One request at a time on a line of bytes, and the way back after anything went wrong with its answer.
//!
//! A [`Line`] is unclean from the moment a request is written until its whole answer was read, so that a time-out, a
//! garbled answer and a dropped future all leave it unclean. An unclean line is first brought back: the protocol's
//! identity request is sent, everything before the identity is discarded, and the line must then fall quiet. So a
//! late answer is never taken for the next one's. Knows bytes, framing and time; never what a request means.

mod error;
mod recovery;
mod tap;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use units::clock::{Clock, Limit};

use crate::requests::Requests;
use crate::transport::Stream;
use error::printable;
use tap::Kind;

pub use error::LineError;
pub use tap::Tap;

/// A harmless query is asked this often at the most: the same noise twice is already unlikely, and a device that stays
/// silent does not identify itself either, which ends it earlier.
const QUERY_ATTEMPTS: u32 = 3;
/// How long a port may refuse to take bytes. At 1200 baud a request of 64 bytes takes half a second.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// Read in pieces of this size; nearly every answer fits in one.
const CHUNK: usize = 512;

/// What a line must know of the protocol spoken on it.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// Length of the first whole answer at the start of these bytes, its terminator included.
    pub framing: fn(&[u8]) -> Option<usize>,
    /// No answer is longer than this many bytes.
    pub reply_max: usize,
    /// A request that changes nothing and whose answer cannot be mistaken for any other.
    pub identity_request: &'static [u8],
    /// Whether an answer (without its line end) is an identity; only its end need be, for a cut answer before it.
    pub is_identity: fn(&[u8]) -> bool,
    /// How long an identity may take.
    pub identity_limit: Duration,
    /// After an identity nothing may come for this long.
    pub quiet: Duration,
    /// Ends a command that was cut off in the middle of writing, so that the device refuses it.
    pub spoil: &'static [u8],
    /// Everything that is asked for on the line.
    pub requests: Requests,
}

/// Whether a query may be asked again when its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing: asked again, a bounded number of times.
    Harmless,
    /// It is part of a command or clears a register: asked once.
    Never,
}

/// A request that has an answer.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The bytes, with their terminator.
    pub request: &'a [u8],
    /// How long writing it and reading its whole answer may take.
    pub limit: Duration,
    /// Whether it may be asked again.
    pub repeat: Repeat,
    /// What an answer looks like, for messages.
    pub expected: &'static str,
}

/// Where the answer to one query ends, where it is none of the protocol's lines: binary samples.
#[derive(Debug, Clone, Copy)]
pub struct AnswerFraming {
    /// Length of the first whole answer.
    pub end: fn(&[u8]) -> Option<usize>,
    /// It is no longer than this many bytes.
    pub max: usize,
}

/// A line of bytes to one instrument.
pub struct Line {
    stream: Box<dyn Stream>,
    clock: Clock,
    instrument: String,
    port: String,
    protocol: Protocol,
    /// Of a binary protocol: which whole messages are sent unasked. `None` for lines of text.
    asides: Option<fn(&[u8]) -> bool>,
    /// Of a binary protocol: the rest of a message that was cut off in the middle of writing.
    unsent: Vec<u8>,
    /// The identity learnt by [`Line::identify`]; empty before.
    known: Vec<u8>,
    /// Of the query under way, where its answer is none of the protocol's lines.
    framed: Option<AnswerFraming>,
    /// Bytes read since the last write.
    buffer: Vec<u8>,
    /// The last bytes written.
    command: Vec<u8>,
    /// An answer may still come, or what comes cannot be trusted.
    unclean: bool,
    /// A write was cut off with some of its bytes sent.
    half_written: bool,
    /// Identities asked for and not yet come.
    owed: u32,
    /// More than one was owed since the line was last clean. Then their count proves nothing: one may have come twice.
    several_owed: bool,
    lost: Option<String>,
    last_reply: Option<Duration>,
    recoveries: u64,
    limit: Limit,
    tap: Tap,
}

impl Line {
    /// A line over `stream` to the bench's `instrument` on `port`. It counts as unclean: whatever an earlier program
    /// left on it is cleared away before the first request. The stream must send what is written without a flush.
    pub fn new(stream: Box<dyn Stream>, clock: Clock, instrument: &str, port: &str) -> Line {
        Line {
            stream,
            clock,
            instrument: instrument.to_string(),
            port: port.to_string(),
            protocol: crate::scpi::PROTOCOL,
            asides: None,
            unsent: Vec::new(),
            known: Vec::new(),
            framed: None,
            buffer: Vec::new(),
            command: Vec::new(),
            unclean: true,
            half_written: false,
            owed: 0,
            several_owed: false,
            lost: None,
            last_reply: None,
            recoveries: 0,
            limit: Limit::default(),
            tap: Tap::default(),
        }
    }

    /// Sets the protocol; SCPI before that.
    pub fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Sets a binary protocol. Its answers are handed over whole, whatever byte they end with; messages that `aside`
    /// knows as sent unasked are discarded wherever they come. Since nothing ends such a message early, one that was cut
    /// off in the middle of writing is completed before the next.
    pub fn speak_binary(&mut self, protocol: Protocol, aside: fn(&[u8]) -> bool) {
        self.protocol = protocol;
        self.asides = Some(aside);
    }

    /// Bench name of the instrument.
    pub fn instrument(&self) -> &str {
        &self.instrument
    }

    /// Port name.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// Puts something between the line and its stream, such as a framing of the port.
    pub(crate) fn wrap(&mut self, wrap: impl FnOnce(Box<dyn Stream>) -> Box<dyn Stream>) {
        let stream = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = wrap(stream);
    }

    /// The clock the line runs on.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The last exchanges.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// How often the line was brought back; error registers may hold what happened before.
    pub fn recoveries(&self) -> u64 {
        self.recoveries
    }

    /// Asks who is there, whatever state the line is in, and remembers the answer: from now on only this device
    /// brings the line back.
    ///
    /// # Errors
    /// `NotRecovered` when nobody identifies itself, with what was heard instead; `PortLost`, `NotSent`.
    pub async fn identify(&mut self) -> Result<Vec<u8>, LineError> {
        self.known.clear();
        self.unclean = true;
        self.ready().await?;
        let Protocol { identity_request, is_identity, identity_limit, .. } = self.protocol;
        // Asked again on a line now clean: the answer that brought it back may have had another one's end before it.
        let query = Query {
            request: identity_request,
            limit: identity_limit,
            repeat: Repeat::Harmless,
            expected: "an identity",
        };
        let answer = self.query(&query, |reply| is_identity(reply).then(|| reply.to_vec())).await?;
        self.known.clone_from(&answer);
        Ok(answer)
    }

    /// Asks and reads the answer with `parse`, which gets it without its line end. A harmless query is asked again
    /// when its answer is lost, late, cut, garbled or has bytes behind it.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub async fn query<T>(&mut self, query: &Query<'_>, parse: impl Fn(&[u8]) -> Option<T>) -> Result<T, LineError> {
        self.framed = None;
        self.query_as(query, parse).await
    }

    /// As [`Line::query`], for an answer with an end of its own; it is handed over whole.
    ///
    /// # Errors
    /// As [`Line::query`].
    pub async fn query_framed<T>(
        &mut self,
        query: &Query<'_>,
        framing: AnswerFraming,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, LineError> {
        self.framed = Some(framing);
        self.query_as(query, parse).await
    }

    async fn query_as<T>(&mut self, query: &Query<'_>, parse: impl Fn(&[u8]) -> Option<T>) -> Result<T, LineError> {
        let attempts = match query.repeat {
            Repeat::Harmless => QUERY_ATTEMPTS,
            Repeat::Never => 1,
        };
        self.ready().await?;
        let mut attempt = 1;
        loop {
            let failure = match self.ask_once(query, &parse).await {
                Ok(value) => return Ok(value),
                Err(e) => e,
            };
            if attempt == attempts || failure.is_port_lost() {
                return Err(failure);
            }
            attempt += 1;
            tracing::warn!(instrument = %self.instrument, %failure, "asked again");
            if let Err(e) = self.ready().await {
                // What was asked for tells more than that the line is silent.
                return Err(if e.is_port_lost() { e } else { failure });
            }
        }
    }

    /// Sends a command that has no answer.
    ///
    /// # Errors
    /// `NotSent`, `PortLost`; `NotRecovered` when the line was unclean and stays so.
    pub async fn send(&mut self, command: &[u8]) -> Result<(), LineError> {
        self.ready().await?;
        self.write_within(command, Kind::Sent).await
    }

    /// Sends at once, without waiting for a pending answer or for the line to come clean, and leaves it unclean.
    ///
    /// # Errors
    /// `NotSent`, `PortLost`.
    pub async fn send_urgent(&mut self, command: &[u8]) -> Result<(), LineError> {
        self.not_lost()?;
        self.unclean = true;
        self.write_within(command, Kind::Urgent).await
    }

    /// Brings the line back if it is unclean; bytes waiting on it unasked make it so.
    ///
    /// # Errors
    /// `NotRecovered`, `PortLost`, `NotSent`.
    pub async fn ready(&mut self) -> Result<(), LineError> {
        self.not_lost()?;
        self.take_strays().await?;
        if self.unclean { self.recover().await } else { Ok(()) }
    }

    /// The error for an answer that a driver, on second thoughts, cannot take; the line is unclean afterwards.
    pub fn unexpected(&mut self, request: &[u8], got: &[u8], expected: &'static str) -> LineError {
        self.unclean = true;
        LineError::Unexpected {
            instrument: self.instrument.clone(),
            port: self.port.clone(),
            request: printable(request),
            got: printable(got),
            expected,
        }
    }

    async fn ask_once<T>(&mut self, query: &Query<'_>, parse: &impl Fn(&[u8]) -> Option<T>) -> Result<T, LineError> {
        self.unclean = true;
        let clock = self.clock.clone();
        // A dropped future loses it, and the next makes a new one.
        let mut limit = std::mem::take(&mut self.limit);
        let ended = limit.timeout(&clock, query.limit, self.write_and_read(query.request)).await;
        self.limit = limit;
        let Ok(ended) = ended else { return Err(self.no_answer(query)) };
        let end = ended?;
        let now = self.clock.now();
        self.tap.note(now, Kind::Received, &self.buffer);
        self.last_reply = Some(now);
        let whole = end + self.asides_within(&self.buffer[end..]) == self.buffer.len();
        // With bytes behind it nobody can tell which of the two answers is this one's.
        let answer = if self.framed.is_some() { &self.buffer[..end] } else { self.text(&self.buffer[..end]) };
        if whole && let Some(value) = parse(answer) {
            self.cleaned();
            return Ok(value);
        }
        let got = std::mem::take(&mut self.buffer);
        Err(self.unexpected(query.request, &got, query.expected))
    }

    async fn write_and_read(&mut self, request: &[u8]) -> Result<usize, LineError> {
        self.write(request, Kind::Sent).await?;
        let (end_of, max) = match self.framed {
            Some(framing) => (framing.end, framing.max),
            None => (self.protocol.framing, self.protocol.reply_max),
        };
        loop {
            self.read_some().await?;
            let passed = self.asides_within(&self.buffer);
            if passed > 0 {
                self.tap.note(self.clock.now(), Kind::Discarded, &self.buffer[..passed]);
                self.buffer.drain(..passed);
            }
            if let Some(end) = end_of(&self.buffer) {
                return Ok(end);
            }
            if self.buffer.len() > max {
                return Err(self.too_long(request, max));
            }
        }
    }

    fn too_long(&mut self, request: &[u8], max: usize) -> LineError {
        self.tap.note(self.clock.now(), Kind::Discarded, &self.buffer);
        LineError::TooLong {
            instrument: self.instrument.clone(),
            port: self.port.clone(),
            request: printable(request),
            max,
            begins: printable(&self.buffer[..self.buffer.len().min(40)]),
        }
    }

    fn no_answer(&mut self, query: &Query<'_>) -> LineError {
        let now = self.clock.now();
        self.tap.note(now, Kind::NoAnswer, &self.buffer);
        let (instrument, port) = (self.instrument.clone(), self.port.clone());
        let request = printable(query.request);
        let limit = query.limit;
        if self.half_written {
            return LineError::NotSent { instrument, port, request, limit };
        }
        if self.buffer.is_empty() {
            let last_reply_age = self.last_reply.map(|at| now.saturating_sub(at));
            return LineError::NoAnswer { instrument, port, request, limit, last_reply_age };
        }
        LineError::Partial { instrument, port, request, limit, got: printable(&self.buffer) }
    }

    /// Ends a command cut in half so that the device refuses it, then writes.
    async fn write_within(&mut self, bytes: &[u8], kind: Kind) -> Result<(), LineError> {
        let clock = self.clock.clone();
        let written = clock.timeout(WRITE_LIMIT, async {
            self.spoil().await?;
            self.write(bytes, kind).await
        });
        written.await.unwrap_or_else(|_| {
            self.unclean = true;
            Err(LineError::NotSent {
                instrument: self.instrument.clone(),
                port: self.port.clone(),
                request: printable(bytes),
                limit: WRITE_LIMIT,
            })
        })
    }

    /// Length of the whole messages at the start of these bytes that were sent unasked.
    fn asides_within(&self, bytes: &[u8]) -> usize {
        let Some(aside) = self.asides else { return 0 };
        let mut passed = 0;
        while let Some(end) = (self.protocol.framing)(&bytes[passed..])
            && aside(&bytes[passed..passed + end])
        {
            passed += end;
        }
        passed
    }

    /// An answer as drivers get it.
    fn text<'a>(&self, answer: &'a [u8]) -> &'a [u8] {
        if self.asides.is_some() { answer } else { without_line_end(answer) }
    }

    async fn spoil(&mut self) -> Result<(), LineError> {
        if self.half_written && self.asides.is_some() {
            let rest = self.unsent.clone();
            self.write(&rest, Kind::Sent).await?;
        } else if self.half_written {
            self.write(self.protocol.spoil, Kind::Sent).await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8], kind: Kind) -> Result<(), LineError> {
        self.tap.note(self.clock.now(), kind, bytes);
        // The rest of a message that was cut off, and what ends one, are no requests.
        debug_assert!(
            self.half_written || self.protocol.requests.have(bytes),
            "\"{}\" is not on the driver's list of requests",
            printable(bytes)
        );
        self.buffer.clear();
        self.command.clear();
        self.command.extend_from_slice(bytes);
        if bytes == self.protocol.identity_request {
            self.owed = self.owed.saturating_add(1);
            self.several_owed |= self.owed > 1;
        }
        let mut written = 0;
        while written < bytes.len() {
            // No flush: a serial port's would block this thread until the last bit has left.
            match self.stream.write(&bytes[written..]).await {
                Ok(0) => return Err(self.lose("takes no more bytes".to_string())),
                Ok(n) => written += n,
                Err(e) => return Err(self.lose(e.to_string())),
            }
            self.half_written = written < bytes.len();
            if self.half_written && self.asides.is_some() {
                self.unsent = bytes[written..].to_vec();
            }
        }
        Ok(())
    }

    async fn read_some(&mut self) -> Result<(), LineError> {
        let mut chunk = [0; CHUNK];
        match self.stream.read(&mut chunk).await {
            Ok(0) => Err(self.lose("closed by the other side".to_string())),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            Err(e) => Err(self.lose(e.to_string())),
        }
    }

    fn not_lost(&mut self) -> Result<(), LineError> {
        match self.lost.clone() {
            Some(reason) => Err(self.port_lost(&reason)),
            None => Ok(()),
        }
    }

    fn lose(&mut self, reason: String) -> LineError {
        self.unclean = true;
        self.tap.note(self.clock.now(), Kind::Lost, reason.as_bytes());
        let error = self.port_lost(&reason);
        self.lost = Some(reason);
        error
    }

    fn port_lost(&self, reason: &str) -> LineError {
        LineError::PortLost {
            instrument: self.instrument.as_str().into(),
            port: self.port.as_str().into(),
            command: printable(&self.command).into(),
            came_back: printable(&self.buffer).into(),
            reason: reason.into(),
        }
    }
}

/// An answer without the CR and LF at its end.
fn without_line_end(answer: &[u8]) -> &[u8] {
    let end = answer.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    &answer[..end]
}
