//! The benchmark of alignment landscapes: seeded scenes, a station with play, noise and lag, and searches tried on them.
//!
//! It knows what the light really is; a search sees a [`Probe`](::station::search::Probe) and nothing else. Every number follows
//! from the landscape's name and the trial's number, on any machine: docs/scoreboard.md.

mod aperture;
pub mod chip;
pub mod condition;
pub mod foreign;
pub mod gates;
pub mod landscape;
pub mod method;
mod probe;
pub mod reference;
pub mod report;
pub mod rng;
pub mod row;
pub mod scene;
pub mod setup;
pub mod station;
pub mod trial;
pub mod truth;

pub use condition::Condition;
pub use probe::BoardProbe;
pub use scene::Scene;
pub use station::Station;
