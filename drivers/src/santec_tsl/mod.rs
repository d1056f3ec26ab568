//! Santec tunable lasers with SCPI: TSL-550, TSL-570, TSL-710, TSL-770, on TCP, USB or a serial bridge.
//!
//! What is peculiar to them:
//! - Lines end with CR, both ways, as delivered.
//! - Two command sets share their headers: the legacy one speaks nm and THz, SCPI m and Hz (`:SYST:COMM:CODE`). The set is
//!   kept over power off, so it is set before any wavelength.
//! - The diode and a shutter are two things: light comes out when `:POW:STAT?` is 1 and `:POW:SHUT?` is 0. "On" here is
//!   both; "off" closes the shutter first, which acts at once, and then switches the diode off.
//! - `*OPC?` answers 0 at once while the laser tunes or comes up, so it is asked until it says 1, within a bound.
//! - Nothing tells about the interlock; a laser that does not come on is told by the error queue or as not read back.
//!
//! Sources: Santec TSL-570 command reference as PyMeasure (`santec.TSL570`) and QCoDeS (`SantecTSL`) use it.

mod driver;
#[cfg(test)]
mod tests;

pub use driver::SantecTsl;
