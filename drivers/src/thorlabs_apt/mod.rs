//! Thorlabs controllers that speak the APT binary protocol: servo and stepper K-Cubes, T-Cubes and racks, piezo cubes
//! and NanoTraks.
//!
//! What is peculiar to them:
//! - Settings and moves are not acknowledged; everything set is read back. A refusal, on models that tell one, comes as
//!   a message with the vendor's code and words in place of the next answer.
//! - Messages have no check sum and no end: a header says how long they are. Bytes that can begin no header are passed
//!   over one by one; a message that was cut off in writing is completed, since nothing ends it early.
//! - Ends of moves are told unasked. They are suspended (`MOT_SUSPEND_ENDOFMOVEMSGS`), and passed over on units that send
//!   them all the same: what counts is the status that is asked for.
//! - Between a move order and the first motion the status still shows rest, so rest alone is no arrival: it is rest at
//!   the target, or rest elsewhere for a while, which is an error.
//! - Positions are counts of an encoder or microsteps, and controllers do not say how many there are to a millimetre. A
//!   bench file's channel names the stage: `1:MTS50-Z8`, or its counts per mm: `1:34304`. Servo K-Cubes know their stage,
//!   and one that has another is refused.
//! - An axis that was not homed moves all the same, by counts from wherever it stood at power-on. Moves are therefore
//!   refused here before a byte is sent while it is not homed.
//! - Soft limits of the controller are switched on only once it is homed: before that its counts mean nothing.
//! - Which bit of motion and limits is called forward differs between clients; this driver needs neither.
//!
//! Sources: message tables of pylablib 1.4.5, thorlabs-apt-device 0.3.8 and thorlabs-apt-protocol 29.0.0 (PyPI), and
//! their bytes on the wire; Thorlabs' "APT Communications Protocol" as cited by them.

mod codec;
mod connect;
mod driver;
#[cfg(test)]
mod fake;
mod nanotrak;
mod probe;
mod stages;
#[cfg(test)]
mod tests;

pub use driver::Apt;
pub use nanotrak::NanoTrak;
pub(crate) use probe::recognise;
