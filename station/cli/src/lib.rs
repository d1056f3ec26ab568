//! What the `firstlight` program composes, for tests that compose it too: built-in benches, and a bench's ports as pipes
//! into a simulated world.

pub mod benches;
pub mod wiring;
