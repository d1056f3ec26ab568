//! Segments of the power meters with an Ethernet port (PM103E, PM5020): SCPI on the inside, frames on the wire.
//!
//! A message is cut in segments of at most 1440 bytes, a head of four included: 0xCA, 0, the whole message's length as
//! a 16-bit number, lowest byte first; then for each further one 0xCB, its running number from 1, its own length. Both
//! directions. Source: Thorlabs' sample `pmNetFormat.py` (github.com/Thorlabs/Light_Analysis_Examples).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::Stream;

/// First byte of a message, and of each of its further segments.
const FIRST: u8 = 0xCA;
const NEXT: u8 = 0xCB;
/// Bytes of a segment behind its head.
const BODY_MAX: usize = 1436;
const HEAD: usize = 4;
/// Longest message: its length is a signed number in the sample.
const MESSAGE_MAX: usize = i16::MAX as usize;

/// A message in its segments; what is longer than a message can be is cut into several.
pub(super) fn encode(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + HEAD * (1 + message.len() / BODY_MAX));
    for message in message.chunks(MESSAGE_MAX) {
        for (number, body) in message.chunks(BODY_MAX).enumerate() {
            let (mark, length) = if number == 0 { (FIRST, message.len()) } else { (NEXT, body.len()) };
            // A message has at most 23 segments of at most 32767 bytes.
            bytes.extend([mark, u8::try_from(number).unwrap_or(u8::MAX)]);
            bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(body);
        }
    }
    bytes
}

/// Takes segments apart. What is no segment is skipped up to the next mark.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    head: Vec<u8>,
    /// Bytes still to come of this segment, and of the message.
    segment: usize,
    message: usize,
    number: u8,
}

impl Decoder {
    /// One more byte; gives it back where it is of a message.
    pub(super) fn push(&mut self, byte: u8) -> Option<u8> {
        if self.segment > 0 {
            self.segment -= 1;
            self.message -= 1;
            return Some(byte);
        }
        let mark = if self.message > 0 { NEXT } else { FIRST };
        if self.head.is_empty() && byte != mark {
            // A new message begins although the last is not whole: the rest of that one is lost.
            if byte != FIRST {
                return None;
            }
            self.message = 0;
        }
        self.head.push(byte);
        if let [mark, number, low, high] = self.head[..] {
            self.head.clear();
            self.begin(mark, number, usize::from(u16::from_le_bytes([low, high])));
        }
        None
    }

    fn begin(&mut self, mark: u8, number: u8, length: usize) {
        if mark == FIRST && number == 0 && length <= MESSAGE_MAX {
            (self.message, self.segment, self.number) = (length, length.min(BODY_MAX), 1);
        } else if mark == NEXT && number == self.number && (1..=self.message.min(BODY_MAX)).contains(&length) {
            self.segment = length;
            self.number = self.number.wrapping_add(1);
        } else {
            self.message = 0;
        }
    }
}

/// A stream whose bytes travel in segments: each write is a message.
pub(super) struct Segmented {
    inner: Box<dyn Stream>,
    decoder: Decoder,
    /// Decoded and not read yet.
    ready: Vec<u8>,
    /// The write under way: what was given, and its segments from `sent` on still to go.
    given: Vec<u8>,
    segments: Vec<u8>,
    sent: usize,
}

impl Segmented {
    pub(super) fn new(inner: Box<dyn Stream>) -> Segmented {
        Segmented {
            inner,
            decoder: Decoder::default(),
            ready: Vec::new(),
            given: Vec::new(),
            segments: Vec::new(),
            sent: 0,
        }
    }

    /// Sends what is left of the write under way.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.segments.len() {
            let sent = ready!(Pin::new(&mut *self.inner).poll_write(cx, &self.segments[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.segments.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Segmented {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // A write whose future was dropped is sent to its end: half a segment would swallow the next one.
        let resumed = !this.segments.is_empty() && this.given == bytes;
        if !resumed {
            ready!(this.poll_send(cx))?;
            // What is not whole by now never will be: a head with a changed length would swallow this one's answer.
            this.decoder = Decoder::default();
            this.given = bytes.to_vec();
            this.segments = encode(bytes);
        }
        ready!(this.poll_send(cx))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut *this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().inner).poll_shutdown(cx)
    }
}

impl AsyncRead for Segmented {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let mut chunk = [0; BODY_MAX + HEAD];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.ready.extend(read.filled().iter().filter_map(|b| this.decoder.push(*b)));
        }
        let count = out.remaining().min(this.ready.len());
        out.put_slice(&this.ready[..count]);
        this.ready.drain(..count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::fake::on_virtual_clock;

    fn decoded(bytes: &[u8]) -> Vec<u8> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|b| decoder.push(*b)).collect()
    }

    /// As `TL_TCP_query(s, "*IDN?\n")` of Thorlabs' sample puts it on the wire.
    #[test]
    fn a_short_message_is_one_segment() {
        assert_eq!(encode(b"*IDN?\n"), b"\xca\x00\x06\x00*IDN?\n");
        assert_eq!(decoded(b"\xca\x00\x06\x00*IDN?\n"), b"*IDN?\n");
        assert!(encode(b"").is_empty());
    }

    #[test]
    fn a_long_message_is_numbered_and_each_further_segment_tells_its_own_length() {
        let message = vec![b'x'; 3000];
        let bytes = encode(&message);
        assert_eq!(bytes[..4], [0xca, 0, 0xb8, 0x0b]);
        assert_eq!(bytes[1440..1444], [0xcb, 1, 0x9c, 0x05]);
        assert_eq!(bytes[2880..2884], [0xcb, 2, 0x80, 0]);
        assert_eq!(decoded(&bytes), message);
    }

    #[test]
    fn noise_and_messages_cut_short_do_not_swallow_the_next_one() {
        assert_eq!(decoded(b"\x00\xcbnoise\xca\x00\x02\x00ok"), b"ok");
        assert_eq!(decoded(b"\xca\x07\x02\x00no\xca\x00\x02\x00ok"), b"ok");
        // The second segment of a long one is lost.
        let mut bytes = encode(&[b'x'; 1500])[..1440].to_vec();
        bytes.extend(b"\xca\x00\x02\x00ok");
        assert!(decoded(&bytes).ends_with(b"xok"));
    }

    #[test]
    fn bytes_pass_through_a_stream_in_both_directions() {
        on_virtual_clock(async |_| {
            let (near, mut far) = tokio::io::duplex(64);
            let mut stream = Segmented::new(Box::new(near));
            let talk = async {
                stream.write_all(b"READ?\n").await.unwrap();
                let mut answer = [0; 6];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"1.0E0\n");
            };
            let device = async {
                let mut heard = [0; 10];
                far.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"\xca\x00\x06\x00READ?\n");
                far.write_all(b"\xca\x00\x06").await.unwrap();
                far.write_all(b"\x001.0E0\n").await.unwrap();
            };
            tokio::join!(talk, device);
        });
    }

    proptest! {
        #[test]
        fn every_message_comes_back_whole(message in proptest::collection::vec(any::<u8>(), 0..5000)) {
            prop_assert_eq!(decoded(&encode(&message)), message);
        }

        #[test]
        fn no_bytes_panic_or_come_back_as_more(bytes in proptest::collection::vec(prop_oneof![Just(0xcau8), Just(0xcb), 0u8..3, any::<u8>()], 0..200)) {
            prop_assert!(decoded(&bytes).len() <= bytes.len());
        }
    }
}
