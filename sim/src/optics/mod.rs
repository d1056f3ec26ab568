//! Coupling of light between modes. Pure functions of geometry; they know no stage, meter or protocol.

mod gaussian;

pub use gaussian::{Misalignment, Mode, coupling};
