//! Newport controllers for up to three axes: ESP301, ESP300.
//!
//! A channel is the number of an axis. What is peculiar to them:
//! - Set commands have no answer; errors wait in a queue of ten. So every set command goes out with `TB?` in the same
//!   write, as InstrumentKit does; its answer has a number, a time and the controller's words. An axis error is the
//!   axis times 100 plus a code.
//! - The controller keeps no mark of a home search: after power-on it calls 0 wherever the stage is, and moves. Therefore
//!   an axis counts as referenced only once this driver has searched its home, and no longer when the time in an answer
//!   to `TB?` shows that the controller was switched off since (it counts from power-on).
//! - For some milliseconds after a command to move `MD?` still says done. Therefore a move counts as ended only when
//!   motion was seen or was long enough in coming.
//! - The unit of an axis is asked and must be the bench file's; the controller keeps all settings in it.
//! - The travel of a stage is not told: soft limits are set to the range and read back.
//!
//! Sources: InstrumentKit, PyMeasure 0.16.0 and newportESP 1.1, the first two observed on the wire; EPICS motorNewport.

mod codec;
mod driver;
mod probe;
#[cfg(test)]
mod tests;

pub use driver::NewportEsp;
pub(crate) use probe::{by_version, recognise};
