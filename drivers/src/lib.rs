//! Drivers: one instrument each, in physical units (micrometres, degrees, watts, nanometres), over any byte stream.
//!
//! A driver encodes requests and decodes replies of one vendor's protocol. It never knows recipes, parts, verdicts or
//! SQL, nor whether its bytes travel on a serial line, TCP or a pipe into the simulator.
//!
//! Every protocol folder has the same shape: `mod.rs` (what the device is, quirks, sources), `codec.rs` (pure: text to
//! bytes and back), `driver.rs` (the trait of the instrument class over an [`exchange::Line`]).

pub mod alignment;
pub mod dicon_switch;
pub mod exchange;
#[cfg(test)]
mod fake;
pub mod identity;
pub mod joinwit_pm;
pub mod keysight_laser;
pub mod keysight_pm;
pub mod meter;
pub mod motion;
pub mod newport_1830;
pub mod newport_1936;
pub mod newport_esp;
pub mod newport_smc;
pub mod pi_gcs2;
pub mod probe;
pub mod registry;
pub mod requests;
pub mod santec_tsl;
pub mod scpi;
mod session;
pub mod source;
pub mod switch;
pub mod thorlabs_apt;
pub mod thorlabs_pm;
pub mod tracker;
pub mod transport;
pub mod zaber_ascii;
