//! What the `firstlight` program composes, for tests that compose it too: built-in benches, and a bench's ports as pipes
//! into a simulated world. And its reader of transcripts, which takes any bytes.

pub mod benches;
pub mod transcript;
pub mod wiring;
