//! Newport optical power meters 1936-R (one channel) and 2936-R (two): `PM:` commands.
//!
//! What is peculiar to them:
//! - Some firmware comes up with echo on: everything sent comes back, with a prompt. It is switched off first. A meter
//!   that was switched off meanwhile echoes again; then no answer is what is expected, and an error is told, no reading.
//! - Commands are for the channel that was selected last on this line; it is selected before each.
//! - Settings have no answer; each is read back, and the error queue says why one was refused.
//! - `PM:PWS?` reads all channels at once, each with its unit, range and validity; a reading in another unit than watts is
//!   an error.
//! - Lines end with CR LF: LF alone is not enough on all firmware.
//!
//! Sources: the user's manual as carried by foxtrot's and itom's drivers and by public scripts.

mod codec;
mod driver;
#[cfg(test)]
mod tests;

pub use driver::Newport1936;

use crate::probe::{Class, Known, lines};

/// Who answers `*IDN?` so, echo or not; these meters put no commas in.
pub(crate) fn recognise(answer: &[u8]) -> Option<Known> {
    let identity = lines(answer).find_map(codec::identity)?;
    codec::channels(&identity.model)?;
    Some(Known::new("newport-1936", Class::Meter, identity))
}
