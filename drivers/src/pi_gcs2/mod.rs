//! Physik Instrumente controllers that speak GCS 2.0 (C-863, C-867, C-884, E-712 and others).
//!
//! What is peculiar to them:
//! - Set commands have no answer; their result is one error register, read and cleared by `ERR?`. So every set command
//!   goes out with `ERR?` in the same write, as PI's own client PIPython does, and the register's number is its answer.
//! - In an answer of several lines all but the last end with blank and LF.
//! - Some requests are single bytes without terminator; 0x18 stops all axes and is taken at any moment.
//! - A query that fails is not answered; the reason is in the register.
//! - On some older firmware nothing but `ERR?` is answered while an error is pending.
//!
//! Positions are read with `POS?` for the axes wanted, not with 0x03: every controller has `POS?`, its answer names
//! the axes and is no longer than needed, while 0x03 answers all axes and is missing on some Mercury-class models.
//!
//! - A hexapod (C-887) has one velocity (`VLS`), one servo and one reference move for all six axes; what an axis can
//!   reach depends on the others, so its `TMN?` and `TMX?` are no promise. Coordinate systems of somebody else's change
//!   what its axes mean: those in force must be the ones expected, `ZERO` unless told otherwise.
//! - Piezo axes (E-712) are in um and need no reference: they have no `FRF`.
//! - `0x07` says ready while an alignment routine runs; only `FRP?` tells.
//!
//! Sources: PIPython 2.11 (PyPI), observed on the wire; the EPICS driver motorPIGCS2; delmic/odemis `pigcs.py`.

mod align;
#[cfg(test)]
mod align_tests;
mod array;
mod codec;
mod connect;
mod driver;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use driver::Gcs2;
