//! The station agent: bench, searches, sequence, store and yield.
//!
//! Knows drivers and recipes; never the simulator. Nothing here asks the operating system for the time: durations come
//! from a [`units::clock::Clock`], dates from the composition root.

pub mod bench;
pub mod config;
pub mod event;
pub mod report;
pub mod search;
pub mod sequence;
pub mod store;
pub mod yields;
