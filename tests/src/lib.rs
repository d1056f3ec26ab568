//! What tests and benchmarks that need to know every room share. The tests are in `tests/tests`, the benchmarks in
//! `tests/benches`, the fuzz targets in `tests/fuzz`.

pub mod alone;
pub mod any;
pub mod count;
pub mod fuzz;
pub mod wire;
