//! Keysight tunable lasers with SCPI: N7776C, N7778C, N7779C, and the built-in source (slot 0) of an 8164 mainframe.
//!
//! What is peculiar to them:
//! - `LOCK?` answers 1 while the laser is locked, and then no change of its output state is taken. It is the one
//!   thing these lasers tell about an interlock, so 1 is read as "interlock open". Firstlight never unlocks.
//! - Wavelengths are answered in metres, powers in the unit of `SOUR0:POW:UNIT?` (0 dBm, 1 W).
//! - A question without `SOUR0:` is one to the lowest slot there is, which is slot 0 on all of them. Orders name the slot.
//! - `*OPC?` is answered late or with 0 while the laser still settles, so it is asked until it says 1, within a bound.
//! - Numbers are signed (`+1`, `+1.55000000E-06`), and an empty error queue is `+0,"No error"`.
//!
//! Sources: Keysight N777xC Programming Guide (`*OPC?` in a loop until 1), Agilent 8163A/B, 8164A/B and 8166A/B
//! Programming Guide; pymeasure `KeysightN7776C`.

mod codec;
mod driver;
#[cfg(test)]
mod tests;

pub use driver::KeysightLaser;
