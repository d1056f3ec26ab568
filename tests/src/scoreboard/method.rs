//! The methods that can be tried, each by the name the command line knows.

use clap::ValueEnum;
use station::search::{Probe, SearchError, engine};

use super::scene::Nominal;
use super::setup;

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Method {
    /// The engine.
    Engine,
}

/// What a method says at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    /// Loss left with 95 % confidence, where the method states it, dB.
    pub bound95_db: Option<f64>,
    /// Decisions taken.
    pub decisions: usize,
}

impl Method {
    /// Name on the command line and in the output.
    pub fn name(self) -> &'static str {
        match self {
            Method::Engine => "engine",
        }
    }

    /// All of them.
    pub fn all() -> &'static [Method] {
        Method::value_variants()
    }

    /// Runs it.
    ///
    /// # Errors
    /// Those of the search.
    pub async fn run(self, probe: &mut dyn Probe, nominal: &Nominal) -> Result<Said, SearchError> {
        match self {
            Method::Engine => {
                let aligned = engine::align(probe, &setup::engine(nominal)).await?;
                Ok(Said { bound95_db: Some(aligned.bound95_db), decisions: aligned.decisions })
            }
        }
    }
}
