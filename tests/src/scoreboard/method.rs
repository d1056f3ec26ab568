//! The methods that can be tried, each by the name the command line knows.

use clap::ValueEnum;
use station::search::classical::{self, Centre, Ended};
use station::search::{Probe, SearchError, engine};

use super::scene::Nominal;
use super::{chip, setup};

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Method {
    /// The engine.
    Engine,
    /// Coordinate steps that halve.
    #[value(name = "hillclimb")]
    HillClimb,
    /// The simplex of Nelder and Mead.
    #[value(name = "neldermead")]
    NelderMead,
    /// Circular dither, phase-sensitive.
    Dither,
    /// Raster, a paraboloid fitted.
    RasterFit,
    /// Raster, the power's centroid.
    RasterCentroid,
    /// Spiral for first light, then hill climb.
    SpiralHill,
    /// The engine at one end, then at the other, and at the first again.
    InTurn,
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
            Method::HillClimb => "hillclimb",
            Method::NelderMead => "neldermead",
            Method::Dither => "dither",
            Method::RasterFit => "raster_fit",
            Method::RasterCentroid => "raster_centroid",
            Method::SpiralHill => "spiral_hill",
            Method::InTurn => "in_turn",
        }
    }

    /// All that can be tried on every landscape.
    pub fn all() -> &'static [Method] {
        &Method::value_variants()[..Method::InTurn as usize]
    }

    /// Every one, also what is only for two ends.
    pub fn every() -> &'static [Method] {
        Method::value_variants()
    }

    /// Runs it.
    ///
    /// # Errors
    /// Those of the search.
    pub async fn run(self, probe: &mut dyn Probe, nominal: &Nominal) -> Result<Said, SearchError> {
        let told = setup::classical(nominal);
        let said = |ended: Ended| Said { bound95_db: None, decisions: ended.readings };
        match self {
            Method::Engine => {
                let told = setup::engine(nominal);
                let aligned = match setup::hills(nominal) {
                    Some(hills) => engine::align_main(probe, &|_, _| told.clone(), hills, 1).await?.0,
                    None => engine::align(probe, &told).await?,
                };
                Ok(Said { bound95_db: Some(aligned.bound95_db), decisions: aligned.decisions })
            }
            Method::InTurn => {
                let aligned = chip::in_turn(probe, &setup::engine(nominal)).await?;
                Ok(Said { bound95_db: Some(aligned.bound95_db), decisions: aligned.decisions })
            }
            Method::HillClimb => classical::hill_climb(probe, &told).await.map(said),
            Method::NelderMead => classical::nelder_mead(probe, &told).await.map(said),
            Method::Dither => classical::dither(probe, &told).await.map(said),
            Method::RasterFit => classical::raster(probe, &told, Centre::Fit).await.map(said),
            Method::RasterCentroid => classical::raster(probe, &told, Centre::Centroid).await.map(said),
            Method::SpiralHill => classical::spiral_hill(probe, &told).await.map(said),
        }
    }
}
