//! The master side of a pseudo-terminal as an async stream. The slave is set raw before its name is handed out, and is
//! not held open: clients that look for other users of a port find none.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::uart::{LineSettings, Parity};

/// While nobody has the slave open, it is looked for this often: no event tells of an opening.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) struct Pty {
    master: Rc<OwnedFd>,
    /// The registration for its events; made at the first use and whenever one is spent.
    events: Option<AsyncFd<Rc<OwnedFd>>>,
    slave: PathBuf,
}

/// A look at the client's line settings.
pub(super) struct View(Rc<OwnedFd>);

impl Pty {
    pub(super) fn open() -> io::Result<Pty> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&slave)?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        drop(slave);
        let name = PathBuf::from(OsString::from_vec(name.into_bytes()));
        let master = Rc::new(master);
        Ok(Pty { events: None, master, slave: name })
    }

    pub(super) fn slave(&self) -> &Path {
        &self.slave
    }

    pub(super) fn view(&self) -> View {
        View(self.master.clone())
    }

    /// Waits until a client has the slave open.
    pub(super) async fn client(&self) {
        loop {
            let mut looked = [PollFd::new(&self.master, PollFlags::IN)];
            let there = poll(&mut looked, Some(&Timespec::default())).is_ok();
            if there && !looked[0].revents().contains(PollFlags::HUP) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl View {
    /// Baud rate and parity the client has set.
    pub(super) fn settings(&self) -> Option<LineSettings> {
        let settings = tcgetattr(&self.0).ok()?;
        let flags = settings.control_modes;
        let parity = match (flags.contains(ControlModes::PARENB), flags.contains(ControlModes::PARODD)) {
            (false, _) => Parity::None,
            (true, false) => Parity::Even,
            (true, true) => Parity::Odd,
        };
        Some(LineSettings { baud: settings.output_speed(), parity })
    }
}

/// Registers for the events of the master, afresh.
fn register(master: &Rc<OwnedFd>) -> io::Result<AsyncFd<Rc<OwnedFd>>> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types that give away their descriptor; this one does not"
    )]
    AsyncFd::new(master.clone())
}

impl Pty {
    /// Does `io` when the master is ready. A hang-up stays "ready" for good in a registration, also when the next client has
    /// opened the slave: what is ready twice and then would block is registered afresh.
    fn poll_io<T>(
        &mut self,
        cx: &mut Context<'_>,
        ready_for: impl Fn(&AsyncFd<Rc<OwnedFd>>, &mut Context<'_>) -> Poll<io::Result<Option<io::Result<T>>>>,
    ) -> Poll<io::Result<T>> {
        for _ in 0..2 {
            let events = match &mut self.events {
                Some(events) => events,
                none => none.insert(register(&self.master)?),
            };
            if let Some(done) = ready!(ready_for(events, cx))? {
                return Poll::Ready(done);
            }
        }
        // The old registration goes before the new one comes: a descriptor is registered once, and a second time is an error.
        self.events = None;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for Pty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut room = [0u8; 1024];
        let most = room.len().min(buf.remaining());
        let room = std::cell::RefCell::new(&mut room[..most]);
        let read = self.poll_io(cx, |events, cx| {
            let mut guard = ready!(events.poll_read_ready(cx))?;
            let read =
                guard.try_io(|fd| rustix::io::read(fd.get_ref(), &mut **room.borrow_mut()).map_err(io::Error::from));
            Poll::Ready(Ok(read.ok()))
        });
        match ready!(read) {
            Ok(n) => {
                buf.put_slice(&room.borrow()[..n]);
                Poll::Ready(Ok(()))
            }
            // Nobody has the slave open: the end of a client, not of the line.
            Err(e) if e.raw_os_error() == Some(Errno::IO.raw_os_error()) => Poll::Ready(Ok(())),
            Err(e) => Poll::Ready(Err(e)),
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_io(cx, |events, cx| {
            let mut guard = ready!(events.poll_write_ready(cx))?;
            Poll::Ready(Ok(guard.try_io(|fd| rustix::io::write(fd.get_ref(), data).map_err(io::Error::from)).ok()))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_reply_longer_than_the_terminals_buffer_arrives_whole_after_the_terminal_was_hung_up() {
        let reply: Vec<u8> = (0..=250).cycle().take(100_000).collect();
        units::clock::real_runtime().unwrap().block_on(async {
            let mut pty = Pty::open().unwrap();
            let nobody = pty.read(&mut [0; 8]).await.unwrap();
            assert_eq!(nobody, 0);
            let slave = pty.slave().to_path_buf();
            let client = std::thread::spawn(move || {
                let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
                let mut port = std::fs::File::from(rustix::fs::open(&slave, flags, Mode::empty()).unwrap());
                let mut heard = vec![0; 100_000];
                port.read_exact(&mut heard).unwrap();
                heard
            });
            pty.client().await;
            pty.write_all(&reply).await.unwrap();
            assert!(client.join().unwrap() == reply);
        });
    }
}
