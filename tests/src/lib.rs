//! What the tests and benchmarks of this package share: transcripts, the forms of requests and replies, simulated
//! instruments that stand alone, a bench, and the scoreboard of alignment searches. The tests are in
//! `tests/tests`, the benchmarks in `tests/benches`, the fuzz targets in `tests/fuzz`.

pub mod alone;
pub mod any;
pub mod count;
pub mod forms;
pub mod fuzz;
pub mod known;
pub mod scoreboard;
pub mod stand;
pub mod transcript;
pub mod wire;
