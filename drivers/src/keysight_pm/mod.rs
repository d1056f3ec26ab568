//! Keysight multi-port optical power meters with SCPI: N7744A/C, N7745A/C, N7747A, N7748A, and the heads of 8163, 8164 and
//! 8166 mainframes.
//!
//! What is peculiar to them:
//! - All ports are read with one query, `READ:POW:ALL?`; the answer is a block of 32-bit floats, lowest byte first, which
//!   may hold line ends. `READ:POW:ALL:CONF?` tells which slot and channel each number is of.
//! - The guide says that the block is in watts; C models give the unit that is set. So the unit is set to watts everywhere.
//! - In free run (the state at power-on) `READ` gives what was measured before; free run is switched off, so that a
//!   reading begins when it is asked for.
//! - Over range is told as 3.40282E+038, what cannot be told as the same with a minus sign.
//! - Ranges go by the name of a power in dBm, in steps of 10 dB, and hold twice that power (19.999 mW at +10 dBm).
//! - A header's suffix is the slot; averaging time, triggers and free run of a dual head belong to its first channel.
//! - While the logging function runs, any setting ends it; the ports of an N774x share it, and it leaves its averaging time
//!   behind.
//! - An empty error queue is `+0,"No error"`.
//!
//! One unit of averaging is 1 ms.
//!
//! Sources: Keysight N77xx Series Programming Guide and 8163A/B, 8164A/B, 8166A/B Programming Guide; LabExT
//! (`PowerMeterN7744A`) and autosweep (`KeysightN7745C`).

mod codec;
mod driver;
mod logging;
#[cfg(test)]
mod tests;

pub use driver::KeysightPm;
