//! Everything that moves, as closed forms of time: axes and their faults, stages made of them, a hexapod, drift and
//! vibration. Pure; knows no part, no light and no instrument.

mod axis;
pub mod drift;
pub mod hexapod;
mod mishap;
mod piezo;
mod profile;
pub mod stage;

pub use axis::{AxisModel, AxisState, Extras, Feedback, Screw};
pub use mishap::{Mishap, Side};
pub use piezo::Piezo;

/// A pose in the optical frame, z along the light.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pose {
    /// x, y, z in um.
    pub um: [f64; 3],
    /// Rotation vector about x, y, z in rad; for small angles the angles themselves.
    pub rad: [f64; 3],
}
