//! The virtual bench: optics, mechanics and instruments that speak the vendors' bytes.
//!
//! An opponent of the drivers, not their helper: it decodes requests and encodes replies on its own, from the makers'
//! documents, and never names drivers, recipes or station. Everything random comes from one seed.

mod backdoor;
pub mod bond;
pub mod config;
pub mod couple;
mod devices;
mod dither;
mod faults;
mod head;
pub mod light;
mod line;
pub mod mechanics;
pub mod noise;
pub mod optics;
mod part;
mod serve;
mod table;
mod uart;
mod world;
mod world_hexapod;
mod world_loops;

pub use backdoor::{BackDoor, Truth};
pub use bond::epoxy::Phase;
pub use config::{InstrumentWiring, Link, MeterChannel, PortWiring, Role, SwitchPort, Wiring, check};
pub use devices::dress::Dress;
pub use devices::{DeviceError, KindInfo, device_kinds, standalone};
pub use faults::{Amount, Fault, FaultError, FaultInfo, FaultKind, TargetKind, faults};
pub use part::{Defect, Modes, Optics, OpticsPlan, Part, PartPlan, Preset, SecondEnd, Spread};
pub use serve::{ConnectError, NETWORK_BAUD, ServeError, ServeOptions, Served, Server};
pub use uart::{LineSettings, Parity};
pub use world::{Order, Ordered, Patch, World};
