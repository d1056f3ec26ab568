//! Newport optical power meters 1830-C and 1830-R: commands of one letter.
//!
//! What is peculiar to them:
//! - They do not say who they are. The wavelength is the one whole number above 300 that they ever answer, so `W?` brings
//!   the line back; that it is such a meter is told from five settings that are within their few values.
//! - Settings have no answer and no error; each is read back, and the status byte says whether a command was refused.
//! - Readings come by themselves, 10 to 25 a second, filtered over 1, 4 or 16; a fresh one is waited for. The status byte
//!   tells whether there is one and whether it is over range.
//! - `R?` does not tell whether the range is automatic, nor where it ends. A wrong guess of its end costs no reading: one
//!   over range is told as such.
//! - With echo on everything sent comes back; it is switched off first.
//!
//! A serial number in the bench file cannot be checked and is refused.
//!
//! Sources: Instrumental-lib 0.8 (PyPI); public drivers tried on the instrument.

mod codec;
mod driver;
mod probe;
#[cfg(test)]
mod tests;

pub use driver::Newport1830;
pub(crate) use probe::recognise;
