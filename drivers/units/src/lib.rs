//! The words every room shares: optical power, readings, the clock, and faults of text files.
//!
//! Knows nothing of instruments, recipes, parts or the simulated world, and depends on no other room. The clock
//! (feature `clock`) is apart, so that recipes build without an async runtime; so is the TOML reader (feature `text`).

#[cfg(feature = "clock")]
pub mod clock;
mod power;
#[cfg(feature = "text")]
pub mod text;

pub use power::{Power, Reading, db_ratio};
