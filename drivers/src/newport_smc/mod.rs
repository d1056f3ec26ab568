//! Newport controllers for one axis each, chained on one line: SMC100CC, SMC100PP, CONEX-CC, CONEX-PP.
//!
//! A channel is the address of a controller, 1 to 31; the first of a chain is 1. What is peculiar to them:
//! - Set commands have no answer; their result is one register of a letter, read and cleared by `TE`. So every set
//!   command goes out with `TE` in the same write, as hvl_ccb does, and the letter is its answer.
//! - The state says everything: not referenced, homing, moving, ready, disabled. Velocity and soft limits are taken only
//!   once the axis is referenced, so they are set at `connect` if it is, and at the end of `reference` if it is not.
//! - Home is searched only from the state after a reset; an axis that is referenced is reset first, which takes seconds
//!   in which its controller is deaf and may send bytes that mean nothing.
//! - The lower soft limit is never above home and the upper one never below: a range that leaves home out is widened to
//!   hold it, and the bench's envelope keeps to the narrower one.
//! - For some milliseconds after a command to move the state is still the one before. Therefore a move counts as ended
//!   only when motion was seen, or was long enough in coming, and the axis or else its set point (`TH`) is at the target.
//! - `ST` without address stops the whole chain.
//!
//! A serial number, where the bench file names one, is that of the stage of controller 1: controllers tell none.
//! CONEX-AGP has no velocity and is refused.
//!
//! Sources: hvl_ccb 0.19.6 (PyPI), observed on the wire; EPICS motorNewport (SMC100, CONEX); yaqd-newport.

mod codec;
mod connect;
mod driver;
#[cfg(test)]
mod fake;
mod probe;
#[cfg(test)]
mod tests;

pub use driver::NewportSmc;
pub(crate) use probe::recognise;
