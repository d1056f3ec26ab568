//! Tests and benchmarks that need to know every room. There is nothing in this library; see `tests/tests` and
//! `tests/benches`.
