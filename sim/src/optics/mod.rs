//! Coupling of light between modes. Pure functions of geometry; they know no stage, meter or protocol.

mod aperture;
mod array;
mod bessel;
mod etalon;
mod gaussian;
mod grating;
mod interface;
mod laser;
mod map;
mod multimode;
mod numeric;
mod step_index;
mod stray;

pub use aperture::{round_aperture, round_aperture_nepers, square_aperture};
pub use array::{ArrayCoupling, Facing, Loop, Loopback, Pose, RowPlan, Rows, flipped, straight};
pub use etalon::{Facets, airy, etalon_nepers, fresnel_reflectance};
pub use gaussian::{Misalignment, Mode, coupling, coupling_nepers, coupling_rolled};
pub use grating::GratingCoupler;
pub use interface::{FacetPair, Interface, LensedFibre};
pub use laser::{LaserLens, Lobe, Moved, aberration_ring};
pub use map::CouplingMap;
pub use multimode::{Area, CorePair, Photodiode, Speckle, disc_overlap};
pub use numeric::{FieldLobe, NumericMode, NumericPair, Shape};
pub use step_index::{StepIndex, StepIndexError};
pub use stray::{Halo, Neighbours, WithStray};
