//! Drivers: one instrument each, in physical units (micrometres, degrees, watts, nanometres), over any byte stream.
//!
//! A driver encodes requests and decodes replies of one vendor's protocol. It never knows recipes, parts, verdicts or
//! SQL, nor whether its bytes travel on a serial line, TCP or a pipe into the simulator.
//!
//! Every protocol folder has the same shape: `mod.rs` (what the device is, quirks, sources), `codec.rs` (pure: text to
//! bytes and back), `driver.rs` (the trait of the instrument class over an [`exchange::Line`]).

pub mod alignment;
pub mod exchange;
#[cfg(test)]
mod fake;
pub mod identity;
pub mod keysight_laser;
pub mod meter;
pub mod motion;
pub mod pi_gcs2;
pub mod registry;
pub mod scpi;
pub mod source;
pub mod thorlabs_pm;
pub mod transport;
