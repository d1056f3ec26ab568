//! Opening the byte stream an instrument is reached through: a serial port, TCP, or a pipe handed in.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serial::SerialPortBuilderExt as _;

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

/// Opens a port. TCP goes without Nagle's delay; a serial port is opened for this process alone.
///
/// # Errors
/// [`OpenError`] with the operating system's words.
pub async fn open(address: &Address) -> Result<Box<dyn Stream>, OpenError> {
    let failed = |reason: String| OpenError { address: address.to_string(), reason };
    match address {
        Address::Serial { path, settings } => {
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
            let port = tokio_serial::new(path, settings.baud)
                .parity(parity)
                .flow_control(flow)
                .open_native_async()
                .map_err(|e| failed(e.to_string()))?;
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
