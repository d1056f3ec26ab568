//! The master side of a pseudo-terminal as an async stream. The slave is set raw before its name is handed out, and is
//! not held open: clients that look for other users of a port find none.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{self, BaudRate, ControlFlags, SetArg};
use nix::unistd;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::uart::{LineSettings, Parity};

/// While nobody has the slave open, it is looked for this often: no event tells of an opening.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) struct Pty {
    master: Rc<AsyncFd<OwnedFd>>,
    slave: PathBuf,
}

/// A look at the client's line settings.
pub(super) struct View(Rc<AsyncFd<OwnedFd>>);

impl Pty {
    pub(super) fn open() -> io::Result<Pty> {
        let OpenptyResult { master, slave } = openpty(None, None)?;
        let mut settings = termios::tcgetattr(&slave)?;
        termios::cfmakeraw(&mut settings);
        termios::tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
        let name = unistd::ttyname(&slave)?;
        let flags = OFlag::from_bits_truncate(fcntl(&master, FcntlArg::F_GETFL)?);
        fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        drop(slave);
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that give away their descriptor; an OwnedFd does not"
        )]
        let master = AsyncFd::new(master)?;
        Ok(Pty { master: Rc::new(master), slave: name })
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
            let mut looked = [PollFd::new(self.master.get_ref().as_fd(), PollFlags::POLLIN)];
            let there = poll(&mut looked, PollTimeout::ZERO).is_ok();
            let hung_up = looked[0].revents().is_some_and(|r| r.contains(PollFlags::POLLHUP));
            if there && !hung_up {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl View {
    /// Baud rate and parity the client has set; `None` for a rate that is no number.
    pub(super) fn settings(&self) -> Option<LineSettings> {
        let settings = termios::tcgetattr(self.0.get_ref()).ok()?;
        let flags = settings.control_flags;
        let parity = match (flags.contains(ControlFlags::PARENB), flags.contains(ControlFlags::PARODD)) {
            (false, _) => Parity::None,
            (true, false) => Parity::Even,
            (true, true) => Parity::Odd,
        };
        Some(LineSettings { baud: rate(termios::cfgetospeed(&settings))?, parity })
    }
}

fn rate(rate: BaudRate) -> Option<u32> {
    Some(match rate {
        BaudRate::B300 => 300,
        BaudRate::B600 => 600,
        BaudRate::B1200 => 1200,
        BaudRate::B2400 => 2400,
        BaudRate::B4800 => 4800,
        BaudRate::B9600 => 9600,
        BaudRate::B19200 => 19_200,
        BaudRate::B38400 => 38_400,
        BaudRate::B57600 => 57_600,
        BaudRate::B115200 => 115_200,
        BaudRate::B230400 => 230_400,
        BaudRate::B460800 => 460_800,
        BaudRate::B921600 => 921_600,
        _ => return None,
    })
}

impl AsyncRead for Pty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.master.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            match guard.try_io(|fd| unistd::read(fd.get_ref(), room).map_err(io::Error::from)) {
                Ok(Ok(n)) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                // Nobody has the slave open: the end of a client, not of the line.
                Ok(Err(e)) if e.raw_os_error() == Some(Errno::EIO as i32) => return Poll::Ready(Ok(())),
                Ok(Err(e)) => return Poll::Ready(Err(e)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.master.poll_write_ready(cx))?;
            match guard.try_io(|fd| unistd::write(fd.get_ref(), data).map_err(io::Error::from)) {
                Ok(written) => return Poll::Ready(written),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
