//! Reaching a world's instruments: pipes in this process, pseudo-terminals, TCP.
//!
//! A device lives as long as its world: clients come and go, its state stays.

mod pty;

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::config::{InstrumentWiring, Link, Wiring};
use crate::devices::dress::Dressed;
use crate::devices::{self, DeviceError};
use crate::line::{LineEnd, LinePlan, Shared, Wire};
use crate::uart::{LineSettings, Parity};
use crate::world::World;

use pty::Pty;

/// Room of an in-process pipe, bytes: more than any request or reply.
const PIPE: usize = 64 * 1024;

/// Bits a second of a TCP connection: those of a fast Ethernet.
pub const NETWORK_BAUD: u32 = 100_000_000;

/// A port that cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The wiring has no such port, or no instrument on it.
    #[error("the simulated bench has nothing on port \"{0}\"")]
    Nothing(String),
    /// More than one instrument on a port that is no bus.
    #[error("port \"{port}\" is no bus, but {count} instruments are on it")]
    NoBus {
        /// Bench name of the port.
        port: String,
        /// Instruments on it.
        count: usize,
    },
    /// The port has disappeared.
    #[error("port \"{0}\" is not there")]
    Gone(String),
    /// The instrument cannot be simulated.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A port that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// See [`ConnectError`].
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No pseudo-terminal, no link, no socket.
    #[error("port \"{port}\": {address}: {source}")]
    Io {
        /// Bench name of the port.
        port: String,
        /// Path or address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something that is no link of a simulator stands where the link is to be made.
    #[error(
        "port \"{port}\": {path} is there already and is no link; remove it or choose another folder with --link-dir"
    )]
    InTheWay {
        /// Bench name of the port.
        port: String,
        /// The path.
        path: String,
    },
}

impl World {
    /// The device on a port; made at the first call.
    fn device(&self, port: &str) -> Result<(InstrumentWiring, Shared), ConnectError> {
        let on = self.instruments_on(port);
        let [instrument] = on.as_slice() else {
            return Err(match on.len() {
                0 => ConnectError::Nothing(port.to_string()),
                count => ConnectError::NoBus { port: port.to_string(), count },
            });
        };
        if let Some(device) = self.devices.borrow().get(port) {
            return Ok((instrument.clone(), device.clone()));
        }
        let mut made = devices::make(&self.for_device(), instrument)?;
        let dress = self.inner.borrow().dress.clone();
        if !dress.is_plain() {
            made = Box::new(Dressed::new(made, dress, self.now_s()));
        }
        let device: Shared = Rc::new(std::cell::RefCell::new(made));
        self.devices.borrow_mut().insert(port.to_string(), device.clone());
        Ok((instrument.clone(), device))
    }

    /// Line settings of the device on a port: the bench file's, unless the world says otherwise.
    fn line_settings(&self, port: &str) -> LineSettings {
        let inner = self.inner.borrow();
        let wired = inner.wiring.ports.iter().find(|p| p.name == port).map(|p| &p.link);
        let wired = match wired {
            Some(Link::Serial { settings, .. }) => *settings,
            _ => LineSettings { baud: NETWORK_BAUD, parity: Parity::None },
        };
        inner.plan.ports.get(port).copied().unwrap_or(wired)
    }

    /// A pipe to the instrument on a port, with byte times; the client's own line settings are told. Must be called
    /// within a `LocalSet`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(&self, port: &str, client: LineSettings) -> Result<DuplexStream, ConnectError> {
        let (instrument, device) = self.device(port)?;
        if self.is_gone(&instrument.name, self.now_s()) {
            return Err(ConnectError::Gone(port.to_string()));
        }
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let plan = LinePlan { device: self.line_settings(port), client: Some(client), timed: true };
        let mut wire = Wire::new(self.clone(), &instrument.name, device, plan);
        tokio::task::spawn_local(async move {
            let mut stream = ours;
            wire.carry(&mut stream, || None).await;
        });
        Ok(theirs)
    }
}

/// How ports are served.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// Folder for the links of pseudo-terminals, in place of the paths of the bench file.
    pub link_dir: Option<PathBuf>,
    /// Bytes take their time.
    pub line_timing: bool,
    /// A client with other line settings than the device's gets garbled bytes (pseudo-terminals).
    pub strict_line: bool,
}

/// One port that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Bench name of the port.
    pub port: String,
    /// `pty` or `tcp`.
    pub kind: &'static str,
    /// Path of the link, or `host:port`.
    pub address: String,
}

/// Ports being served on the current `LocalSet`, until [`Server::shutdown`].
pub struct Server {
    served: Vec<Served>,
    links: Vec<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves every port of a wiring that has an instrument.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is served then and no link is left.
    pub async fn start(world: &World, wiring: &Wiring, options: &ServeOptions) -> Result<Server, ServeError> {
        let mut server = Server { served: Vec::new(), links: Vec::new(), tasks: Vec::new() };
        for port in &wiring.ports {
            if !wiring.instruments.iter().any(|i| i.port == port.name) {
                continue;
            }
            let done = match &port.link {
                Link::Serial { path, .. } => {
                    let path = match &options.link_dir {
                        Some(dir) => dir.join(&port.name),
                        None => path.clone(),
                    };
                    server.pty(world, &port.name, &path, options)
                }
                Link::Tcp { address } => server.tcp(world, &port.name, address, options).await,
            };
            if let Err(e) = done {
                server.shutdown();
                return Err(e);
            }
        }
        Ok(server)
    }

    /// What is served.
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// Ends serving and removes the links.
    pub fn shutdown(self) {
        for task in &self.tasks {
            task.abort();
        }
        for link in &self.links {
            // A link that somebody else has removed is as gone as one that we remove.
            let _ = std::fs::remove_file(link);
        }
    }

    fn pty(&mut self, world: &World, port: &str, path: &Path, options: &ServeOptions) -> Result<(), ServeError> {
        let (instrument, device) = world.device(port)?;
        let failed =
            |source: io::Error| ServeError::Io { port: port.to_string(), address: path.display().to_string(), source };
        let mut pty = Pty::open().map_err(failed)?;
        link(port, pty.slave(), path)?;
        self.links.push(path.to_path_buf());
        self.served.push(Served { port: port.to_string(), kind: "pty", address: path.display().to_string() });
        let settings = world.line_settings(port);
        let plan = LinePlan { device: settings, client: None, timed: options.line_timing };
        let strict = options.strict_line;
        let mut wire = Wire::new(world.clone(), &instrument.name, device.clone(), plan);
        let (world, port, place) = (world.clone(), port.to_string(), path.to_path_buf());
        self.tasks.push(tokio::task::spawn_local(async move {
            loop {
                pty.client().await;
                // What came in while nobody had the port open is lost, as on any serial port.
                while device.borrow_mut().reply(world.now_s()).is_some() {}
                let view = pty.view();
                let end = wire.carry(&mut pty, || if strict { view.settings() } else { None }).await;
                if end == LineEnd::Client {
                    continue;
                }
                let _ = std::fs::remove_file(&place);
                world.returns(&instrument.name).await;
                if let Err(e) = link(&port, pty.slave(), &place) {
                    tracing::error!("{e}");
                    return;
                }
            }
        }));
        Ok(())
    }

    async fn tcp(
        &mut self,
        world: &World,
        port: &str,
        address: &str,
        options: &ServeOptions,
    ) -> Result<(), ServeError> {
        let (instrument, device) = world.device(port)?;
        let failed =
            |source: io::Error| ServeError::Io { port: port.to_string(), address: address.to_string(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        self.served.push(Served { port: port.to_string(), kind: "tcp", address: bound.to_string() });
        let plan = LinePlan { device: world.line_settings(port), client: None, timed: options.line_timing };
        let world = world.clone();
        let mut listener = listener;
        self.tasks.push(tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut wire = Wire::new(world.clone(), &instrument.name, device.clone(), plan);
                let end = one_client(&listener, stream, &mut wire).await;
                device.borrow_mut().hang_up();
                if end == LineEnd::Client {
                    continue;
                }
                drop(listener);
                world.returns(&instrument.name).await;
                match TcpListener::bind(bound).await {
                    Ok(again) => listener = again,
                    Err(e) => {
                        tracing::error!("{bound}: {e}");
                        return;
                    }
                }
            }
        }));
        Ok(())
    }
}

/// Serves one TCP client; others that come meanwhile are turned away.
async fn one_client(listener: &TcpListener, mut stream: TcpStream, wire: &mut Wire) -> LineEnd {
    // Without it a setting and the query after it wait for each other's acknowledgement; a socket that refuses still works.
    let _ = stream.set_nodelay(true);
    tokio::select! {
        biased;
        end = wire.carry(&mut stream, || None) => end,
        () = async { while listener.accept().await.is_ok() {} } => LineEnd::Client,
    }
}

/// Makes the link at once or not at all; a link of an earlier simulator is replaced, anything else is not touched.
fn link(port: &str, slave: &Path, path: &Path) -> Result<(), ServeError> {
    let failed =
        |source: io::Error| ServeError::Io { port: port.to_string(), address: path.display().to_string(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    if path.symlink_metadata().is_ok_and(|m| !m.file_type().is_symlink()) {
        return Err(ServeError::InTheWay { port: port.to_string(), path: path.display().to_string() });
    }
    let mut beside = path.as_os_str().to_os_string();
    beside.push(format!(".{}", std::process::id()));
    std::os::unix::fs::symlink(slave, &beside).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::task::LocalSet;
    use units::clock::{Clock, virtual_runtime};

    use super::*;
    use crate::config::PortWiring;
    use crate::devices::{device_kinds, standalone};

    /// Whether anything of a world is left when its handles and its client are gone.
    fn is_freed(kind: &str, model: Option<&str>) -> bool {
        let options: BTreeMap<String, String> = model.map(|m| ("model".into(), m.into())).into_iter().collect();
        let instrument = standalone(kind, &options).unwrap();
        let settings = LineSettings { baud: 115_200, parity: Parity::None };
        let link = Link::Serial { path: "unused".into(), settings };
        let wiring = Wiring { ports: vec![PortWiring { name: "device".into(), link }], instruments: vec![instrument] };
        LocalSet::new().block_on(&virtual_runtime().unwrap(), async {
            let clock = Clock::simulated();
            let world = World::alone(&wiring, 1e-4, 1, clock.clone());
            let (inner, devices) = (Rc::downgrade(&world.inner), Rc::downgrade(&world.devices));
            let mut client = world.connect("device", settings).unwrap();
            client.write_all(b"*IDN?\n").await.unwrap();
            clock.sleep(Duration::from_secs(1)).await;
            drop((client, world));
            clock.sleep(Duration::from_secs(1)).await;
            inner.upgrade().is_none() && devices.upgrade().is_none()
        })
    }

    #[test]
    fn a_world_that_is_dropped_is_freed() {
        let kinds = device_kinds().iter().map(|info| (info.kind, None));
        // They have loops that go on with the world.
        for (kind, model) in kinds.chain([("pi-gcs2", Some("C-887")), ("pi-gcs2", Some("E-712"))]) {
            assert!(is_freed(kind, model), "{kind} {model:?}");
        }
    }
}
