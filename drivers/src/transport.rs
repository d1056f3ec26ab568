//! Opening the byte stream an instrument is reached through: a serial port, TCP, or a pipe handed in.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serial::{SerialPort as _, SerialPortBuilderExt as _};

/// A transport: nothing above it knows which one it is.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Parity of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// Flow control of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowControl {
    /// None.
    #[default]
    None,
    /// RTS/CTS.
    Hardware,
    /// XON/XOFF.
    Software,
}

/// Line settings of a serial port: 8 data bits, 1 stop bit, and these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialSettings {
    /// Bits a second.
    pub baud: u32,
    /// Parity.
    pub parity: Parity,
    /// Flow control.
    pub flow: FlowControl,
}

/// Where a port is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A serial device (`/dev/serial/by-id/...`, a PTY link).
    Serial {
        /// Path of the device.
        path: String,
        /// Line settings.
        settings: SerialSettings,
    },
    /// `host:port`.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Serial { path, settings } => write!(f, "{path} at {} baud", settings.baud),
            Address::Tcp(address) => write!(f, "tcp {address}"),
        }
    }
}

/// A port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {address}: {reason}")]
pub struct OpenError {
    /// The port.
    pub address: String,
    /// What the operating system said.
    pub reason: String,
}

/// How long a TCP connection may take to come up.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where pseudo-terminals live, on Linux and on macOS.
const PSEUDO_TERMINALS: &[&str] = &["/dev/pts/", "/dev/ttys"];

/// Whether a path, its links followed, is a pseudo-terminal.
fn is_pseudo_terminal(path: &str) -> bool {
    let Ok(real) = std::fs::canonicalize(path) else { return false };
    let real = real.to_string_lossy();
    PSEUDO_TERMINALS.iter().any(|place| real.starts_with(place))
}

/// Opens a serial port: raw, modem lines ignored, what waits in its input thrown away.
fn open_serial(path: &str, settings: SerialSettings) -> Result<tokio_serial::SerialStream, tokio_serial::Error> {
    let parity = match settings.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let flow = match settings.flow {
        FlowControl::None => tokio_serial::FlowControl::None,
        FlowControl::Hardware => tokio_serial::FlowControl::Hardware,
        FlowControl::Software => tokio_serial::FlowControl::Software,
    };
    let pseudo = is_pseudo_terminal(path);
    // macOS refuses a baud rate on a pseudo-terminal.
    let baud = if pseudo && cfg!(target_os = "macos") { 0 } else { settings.baud };
    let port = tokio_serial::new(path, baud)
        .data_bits(tokio_serial::DataBits::Eight)
        .stop_bits(tokio_serial::StopBits::One)
        .parity(parity)
        .flow_control(flow)
        // Linux keeps a pseudo-terminal exclusive after its holder was killed, so that nobody but root could open it
        // again; a serial port's mark goes with its last holder.
        .exclusive(!pseudo)
        .open_native_async()?;
    port.clear(tokio_serial::ClearBuffer::Input)?;
    Ok(port)
}

/// Opens a port. TCP goes without Nagle's delay; a serial port is opened for this process alone (a pseudo-terminal is
/// shared), and what waits in its input is thrown away.
///
/// # Errors
/// [`OpenError`] with the operating system's words.
pub async fn open(address: &Address) -> Result<Box<dyn Stream>, OpenError> {
    let failed = |reason: String| OpenError { address: address.to_string(), reason };
    match address {
        Address::Serial { path, settings } => {
            let port = open_serial(path, *settings).map_err(|e| failed(e.to_string()))?;
            Ok(Box::new(port))
        }
        Address::Tcp(host) => {
            let connect = tokio::net::TcpStream::connect(host);
            let stream = tokio::time::timeout(CONNECT_LIMIT, connect)
                .await
                .map_err(|_| failed(format!("no connection within {} s", CONNECT_LIMIT.as_secs())))?
                .map_err(|e| failed(e.to_string()))?;
            stream.set_nodelay(true).map_err(|e| failed(e.to_string()))?;
            Ok(Box::new(stream))
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use units::clock::{Clock, real_runtime};

    use super::*;
    use crate::exchange::{Line, LineError};

    /// Bounds the few tests that run in real time.
    const TEST_LIMIT: Duration = Duration::from_secs(10);
    const IDN: &[u8] = b"Thorlabs,PM101,M01,1.2\n";

    fn in_real_time<F: Future<Output = ()>>(test: F) {
        real_runtime().unwrap().block_on(async { tokio::time::timeout(TEST_LIMIT, test).await.unwrap() });
    }

    fn serial(path: &std::path::Path) -> Address {
        let settings = SerialSettings { baud: 115_200, parity: Parity::Even, flow: FlowControl::None };
        Address::Serial { path: path.to_str().unwrap().to_string(), settings }
    }

    /// A pseudo-terminal's device side and a link to its other side, in a folder of its own.
    fn pseudo_terminal() -> (tokio_serial::SerialStream, tempfile::TempDir, std::path::PathBuf) {
        let (device, host) = tokio_serial::SerialStream::pair().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("meter");
        std::os::unix::fs::symlink(host.name().unwrap(), &link).unwrap();
        (device, folder, link)
    }

    /// Answers identity requests until the other side is gone.
    async fn identify_forever(mut device: impl Stream) {
        let mut request = [0; 6];
        while device.read_exact(&mut request).await.is_ok() {
            assert_eq!(&request, b"*IDN?\n");
            if device.write_all(IDN).await.is_err() {
                return;
            }
        }
    }

    #[test]
    fn line_over_a_linked_pseudo_terminal_works_and_stale_input_is_thrown_away() {
        in_real_time(async {
            let (mut device, _folder, link) = pseudo_terminal();
            device.write_all(b"stale\n").await.unwrap();
            let stream = open(&serial(&link)).await.unwrap();
            let mut line = Line::new(stream, Clock::real(), "pm", "meter");
            let talk = async {
                assert_eq!(line.identify().await.unwrap(), IDN[..IDN.len() - 1]);
                assert!(!line.tap().transcript().contains("stale"), "{}", line.tap().transcript());
            };
            tokio::select! { biased; () = talk => (), () = identify_forever(device) => panic!("device gone") }
        });
    }

    #[test]
    fn pseudo_terminal_can_be_opened_again_while_a_first_holder_has_it() {
        in_real_time(async {
            let (_device, _folder, link) = pseudo_terminal();
            let _first = open(&serial(&link)).await.unwrap();
            assert!(open(&serial(&link)).await.is_ok());
        });
    }

    #[test]
    fn pseudo_terminal_that_vanishes_is_a_lost_port() {
        in_real_time(async {
            let (device, _folder, link) = pseudo_terminal();
            let mut line = Line::new(open(&serial(&link)).await.unwrap(), Clock::real(), "pm", "meter");
            drop(device);
            let failure = line.send_urgent(b"ABOR\n").await.err();
            let failure = match failure {
                Some(e) => e,
                None => line.identify().await.unwrap_err(),
            };
            assert!(matches!(failure, LineError::PortLost { .. }), "{failure}");
        });
    }

    #[test]
    fn line_over_tcp_works() {
        in_real_time(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = Address::Tcp(listener.local_addr().unwrap().to_string());
            let device = async { identify_forever(listener.accept().await.unwrap().0).await };
            let talk = async {
                let mut line = Line::new(open(&address).await.unwrap(), Clock::real(), "pm", "tcp");
                line.identify().await.unwrap();
            };
            tokio::select! { biased; () = talk => (), () = device => panic!("device gone") }
        });
    }

    #[test]
    fn port_that_is_not_there_is_told_with_its_address() {
        in_real_time(async {
            let told = open(&serial("/dev/no-such-port".as_ref())).await.err().unwrap().to_string();
            assert!(told.starts_with("cannot open /dev/no-such-port at 115200 baud: "), "{told}");
            let told = open(&Address::Tcp("127.0.0.1:1".into())).await.err().unwrap().to_string();
            assert!(told.starts_with("cannot open tcp 127.0.0.1:1: "), "{told}");
        });
    }
}
