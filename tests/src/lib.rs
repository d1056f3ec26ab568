//! What the tests of this package share: transcripts, the forms of requests and replies, and simulated instruments that stand
//! alone. See `tests/tests` and `tests/benches`.

pub mod forms;
pub mod known;
pub mod stand;
pub mod transcript;
