//! Coupling of light between modes. Pure functions of geometry; they know no stage, meter or protocol.

mod aperture;
mod bessel;
mod etalon;
mod gaussian;

pub use aperture::{round_aperture, round_aperture_nepers, square_aperture};
pub use etalon::{Facets, etalon_nepers};
pub use gaussian::{Misalignment, Mode, coupling, coupling_nepers};
