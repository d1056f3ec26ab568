//! The way back of a line after anything went wrong with an answer: the identity is asked for, everything before it is
//! discarded, and the line must then fall quiet.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::task::coop::unconstrained;

use super::error::printable;
use super::tap::Kind;
use super::{CHUNK, Line, LineError};

/// The identity is asked for this often at the most: the first may end a command cut in half, the second be lost.
pub(super) const RECOVERY_ATTEMPTS: u32 = 3;
/// Bytes discarded in one attempt to bring a line back; a device that babbles more is not listening.
const RECOVERY_BYTES_MAX: usize = 256 * 1024;
/// Times the silence after an identity may be broken (by late answers) before the attempt counts as failed.
const QUIET_BREAKS_MAX: u32 = 50;
/// Of what was heard instead of an identity this much is told.
const HEARD_MAX: usize = 200;
/// Unsolicited bytes taken before a request; more than a kernel buffer holds cannot be waiting.
const STRAY_MAX: usize = 256 * 1024;

impl Line {
    /// Takes what waits on the line without waiting for more.
    pub(super) async fn take_strays(&mut self) -> Result<(), LineError> {
        let mut strays = Vec::new();
        let taken = self.take_waiting(&mut strays).await;
        if self.asides_within(&strays) < strays.len() {
            self.unclean = true;
        }
        taken
    }

    async fn take_waiting(&mut self, strays: &mut Vec<u8>) -> Result<(), LineError> {
        while strays.len() < STRAY_MAX {
            let mut chunk = [0; CHUNK];
            let stream = &mut self.stream;
            // Out of tokio's budget a poll would say "nothing there" although something is.
            let polled = unconstrained(poll_fn(|cx| {
                let mut read = ReadBuf::new(&mut chunk);
                match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                    Poll::Pending => Poll::Ready(None),
                    Poll::Ready(result) => Poll::Ready(Some(result.map(|()| read.filled().len()))),
                }
            }))
            .await;
            match polled {
                None => return Ok(()),
                Some(Ok(0)) => return Err(self.lose("closed by the other side".to_string())),
                Some(Ok(n)) => {
                    self.tap.note(self.clock.now(), Kind::Discarded, &chunk[..n]);
                    strays.extend_from_slice(&chunk[..n]);
                }
                Some(Err(e)) => return Err(self.lose(e.to_string())),
            }
        }
        Ok(())
    }

    pub(super) async fn recover(&mut self) -> Result<(), LineError> {
        let clock = self.clock.clone();
        let mut heard = Vec::new();
        for _ in 0..RECOVERY_ATTEMPTS {
            let found = clock.timeout(self.protocol.identity_limit, self.find_identity(&mut heard)).await;
            match found {
                Ok(Ok(true)) if self.fall_quiet().await? => {
                    self.cleaned();
                    self.recoveries += 1;
                    return Ok(());
                }
                Ok(Ok(_)) => {}
                Ok(Err(e)) => return Err(e),
                Err(_) => {
                    self.tap.note(clock.now(), Kind::NoAnswer, &self.buffer);
                    if !self.buffer.is_empty() {
                        heard.clone_from(&self.buffer);
                    }
                }
            }
        }
        Err(LineError::NotRecovered {
            instrument: self.instrument.clone(),
            port: self.port.clone(),
            request: printable(self.protocol.identity_request),
            attempts: RECOVERY_ATTEMPTS,
            heard: printable(&heard[..heard.len().min(HEARD_MAX)]),
        })
    }

    /// Asks for the identity and discards all before it; false when there is no end of what comes.
    async fn find_identity(&mut self, heard: &mut Vec<u8>) -> Result<bool, LineError> {
        self.spoil().await?;
        self.write(self.protocol.identity_request, Kind::Sent).await?;
        let mut discarded = 0;
        while discarded < RECOVERY_BYTES_MAX {
            self.read_some().await?;
            while let Some(end) = (self.protocol.framing)(&self.buffer) {
                if self.take_answer(end, heard) {
                    return Ok(true);
                }
                discarded += end;
            }
            if self.buffer.len() > self.protocol.reply_max {
                self.tap.note(self.clock.now(), Kind::Discarded, &self.buffer);
                discarded += self.buffer.len();
                self.buffer.clear();
            }
        }
        Ok(false)
    }

    /// Takes a whole answer off the buffer; true when it was an identity.
    fn take_answer(&mut self, end: usize, heard: &mut Vec<u8>) -> bool {
        let answer = self.text(&self.buffer[..end]);
        let found =
            if self.known.is_empty() { (self.protocol.is_identity)(answer) } else { answer.ends_with(&self.known) };
        let now = self.clock.now();
        if found {
            self.tap.note(now, Kind::Received, &self.buffer[..end]);
            self.last_reply = Some(now);
            self.owed = self.owed.saturating_sub(1);
        } else {
            heard.clear();
            heard.extend_from_slice(answer);
            self.tap.note(now, Kind::Discarded, &self.buffer[..end]);
        }
        self.buffer.drain(..end);
        found
    }

    pub(super) fn cleaned(&mut self) {
        self.unclean = false;
        self.owed = 0;
        self.several_owed = false;
    }

    /// Waits for the silence after an identity. Where identities of earlier attempts may still come it must last as long
    /// as one may take: what was asked between two of them would come after the first.
    async fn fall_quiet(&mut self) -> Result<bool, LineError> {
        let clock = self.clock.clone();
        let mut others = Vec::new();
        for _ in 0..QUIET_BREAKS_MAX {
            while let Some(end) = (self.protocol.framing)(&self.buffer) {
                self.take_answer(end, &mut others);
            }
            let silence =
                if self.owed == 0 && !self.several_owed { self.protocol.quiet } else { self.protocol.identity_limit };
            match clock.timeout(silence, self.read_some()).await {
                Err(_) => return Ok(true),
                Ok(Err(e)) => return Err(e),
                Ok(Ok(())) => {}
            }
        }
        Ok(false)
    }
}
