//! A stream that notes what goes through it, and how often.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A request and all that came back before the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// What was written at once.
    pub request: Vec<u8>,
    /// What was read after it.
    pub reply: Vec<u8>,
}

/// The exchanges since they were last taken.
pub type Exchanges = Rc<RefCell<Vec<Exchange>>>;

/// A stream, and the exchanges on it.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    exchanges: Exchanges,
}

impl<S> Counted<S> {
    /// Notes what goes through `stream`.
    pub fn new(stream: S) -> (Counted<S>, Exchanges) {
        let exchanges = Exchanges::default();
        (Counted { stream, exchanges: exchanges.clone() }, exchanges)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(last) = self.exchanges.borrow_mut().last_mut() {
            last.reply.extend_from_slice(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, data))?;
        let request = data[..written].to_vec();
        self.exchanges.borrow_mut().push(Exchange { request, reply: Vec::new() });
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
