//! Tests and benchmarks that need to know every room; see `tests/tests` and `tests/benches`. What is in this library is
//! what they share.

pub mod scoreboard;
