//! Thorlabs optical power meters with SCPI: PM101 and PM103 on a serial line first of all; PM100A/D/USB, PM16, PM160,
//! PM200, PM400, PM102, PM5020 answer to the same headers.
//!
//! What is peculiar to them:
//! - A query that is wrong or fails is not answered; only the error queue tells.
//! - PM101 and PM103 can send every result unasked on a serial line ("jabber") until `ABOR`; that is stopped before
//!   anything is asked, because such a line looks like an answer.
//! - Changing the baud rate acts at once, and so does `*RST`, which also resets the rate: `*RST` is never sent.
//! - Relative mode makes every reading a difference, and a stored attenuation adds to it: both are switched off.
//! - Out of range is told by `inf` and `-inf` on new models, by about 9.9E37 on older ones.
//! - The Ethernet port of PM103E and PM5020 cuts messages in segments; what is in them is the same.
//!
//! Readings are taken with `READ?`, the shortest request that measures afresh; what it measures (`CONF:POW`) is set and
//! read back at connect. After the line was lost and came back, wavelength, unit, averaging and range are read back
//! before the next reading, because a meter that restarted has forgotten them.
//!
//! - Meters on their Ethernet port stream samples (`ACQ#:FAST`), with a count in text or in binary by the model.
//! - A PM5020 has two channels: `SENS2`, `ACQ2`; both are read at once by `MEAS:SIMU?`, with the averaging of the first.
//!
//! Source: Thorlabs' command documentation (github.com/Thorlabs/Light_Analysis_Examples), pylablib and qcodes for the
//! older models.

mod codec;
mod driver;
mod probe;
mod segments;
mod stream;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

pub use driver::ThorlabsPm;
pub(crate) use probe::recognise;
