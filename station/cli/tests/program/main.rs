//! The built program, run as a user or a script would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alignments;
mod bad_files;
mod by_hand;
mod common;
mod faults;
mod lots;
mod probed;
mod served_bench;
mod simulated_runs;
mod simulator;
mod storage;
