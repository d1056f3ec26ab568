//! Zaber controllers and stages that speak the ASCII protocol (firmware 6 and 7), alone or in a chain on one port.
//!
//! What is peculiar to them:
//! - A channel is `device.axis`: the address in the chain and the axis of that device, `1.2`; `1` alone is `1.1`.
//! - Everything counts in microsteps, and no device tells how long one is. It is known here for a few stages (by
//!   `peripheralid`); for others the bench file adds it to the channel, `1.2@0.047625`: um (or degrees) of one microstep
//!   at a resolution of 64, as Zaber's data sheets give it. Another `resolution` is reckoned with.
//! - Every request has a message id, which comes back, and a checksum. Devices are told to send theirs, too
//!   (`comm.checksum`), and not to speak unasked (`comm.alert`).
//! - No command moves several axes to targets of their own: moves of several channels start one after the other, some
//!   milliseconds apart. When one is rejected, those started before it are stopped.
//! - A target cannot be read back. After a lost answer the axis is looked at instead: on its way, or there.
//! - `limit.min` and `limit.max` are kept over a loss of power and are all a device tells of its travel, but for the
//!   sensors' places `limit.home.pos` and `limit.away.pos`. The range of the bench must lie within the wider of the two.
//! - A restart forgets the reference (`WR`), but moves are carried out all the same. So flags are read before each
//!   move, unless the axis has just answered without one, and a move that is answered with one that matters is stopped.
//! - On a chain `serial_number` and `model` of the bench file are those of the device with the lowest address.
//!
//! Sources: zaber-motion 10.2.0 and zaber.serial 0.9.1 (PyPI), observed on the wire; Zaber's ASCII protocol manuals; the
//! ids and sizes of stages from the tests of Zaber's own library and of its motor driver for EPICS.

mod codec;
mod connect;
mod driver;
#[cfg(test)]
mod fake;
mod probe;
#[cfg(test)]
mod tests;

pub use driver::ZaberAscii;
pub(crate) use probe::recognise;
