//! Joinwit JW8103A and JW8102A four-channel power meters: binary frames on a serial line of 115200 baud.
//!
//! What is peculiar to them:
//! - A frame with a wrong checksum is not answered, and there is no error code for anything.
//! - All four channels come in one answer, about 100 times a second; the meter averages and ranges by itself.
//! - A channel's wavelength is one of a table of six in the meter; it cannot be read back, only acknowledged.
//! - The meter does not tell its model. Four bytes come with the connection, and stand for its serial number here.
//! - There is no zeroing by command.
//!
//! Averaging is done here, over that many answers.
//!
//! Source: the vendor's protocol as public JW8103A drivers use it (frames, checksum and commands).

mod codec;
mod driver;
mod probe;
#[cfg(test)]
mod tests;

pub use driver::JoinwitPm;
pub(crate) use probe::recognise;
