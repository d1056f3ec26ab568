//! Recipe text in, a [`Recipe`] that can run or all its faults out; and the product library.
//!
//! Knows no devices, no bench and no file system: who calls reads the file. A recipe speaks of logical axes in the
//! optical frame and of quantities; which controller and meter they are is the bench file's business.

mod library;
mod parse;

pub use library::{library, named};

use std::fmt;

/// A logical axis of the optical frame: z along the light, away from the fixed part; angles about x, y and z. A part that
/// light passes through has a second end with a frame of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// Across the light, um.
    X,
    /// Across the light, um.
    Y,
    /// Along the light, um.
    Z,
    /// Turn about x, degrees.
    Rx,
    /// Turn about y, degrees.
    Ry,
    /// Turn about z, degrees.
    Rz,
    /// Across the light at the second end, um.
    X2,
    /// Across the light at the second end, um.
    Y2,
    /// Along the light at the second end, um.
    Z2,
}

impl Axis {
    /// All axes in their order.
    pub const ALL: [Axis; 9] = [Axis::X, Axis::Y, Axis::Z, Axis::Rx, Axis::Ry, Axis::Rz, Axis::X2, Axis::Y2, Axis::Z2];

    /// The axis' name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Axis::X => "x",
            Axis::Y => "y",
            Axis::Z => "z",
            Axis::Rx => "rx",
            Axis::Ry => "ry",
            Axis::Rz => "rz",
            Axis::X2 => "x2",
            Axis::Y2 => "y2",
            Axis::Z2 => "z2",
        }
    }

    /// The axis of a name in a file.
    pub fn named(name: &str) -> Option<Axis> {
        Axis::ALL.into_iter().find(|a| a.as_str() == name)
    }

    /// True for the axes counted in degrees.
    pub fn is_angle(self) -> bool {
        matches!(self, Axis::Rx | Axis::Ry | Axis::Rz)
    }

    /// True for the axes across the light.
    pub fn is_lateral(self) -> bool {
        matches!(self, Axis::X | Axis::Y | Axis::X2 | Axis::Y2)
    }

    /// True for the axes of the second end.
    pub fn is_second(self) -> bool {
        matches!(self, Axis::X2 | Axis::Y2 | Axis::Z2)
    }

    /// `um` or `deg`.
    pub fn unit(self) -> &'static str {
        if self.is_angle() { "deg" } else { "um" }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A quantity a recipe can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Launched minus coupled power, dB; needs a launched power with an origin and an age.
    CouplingLoss,
    /// Power at the signal meter, dBm.
    CoupledPower,
}

impl Quantity {
    /// All quantities.
    pub const ALL: [Quantity; 2] = [Quantity::CouplingLoss, Quantity::CoupledPower];

    /// The quantity's name in files and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Quantity::CouplingLoss => "coupling_loss",
            Quantity::CoupledPower => "coupled_power",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::CouplingLoss => "dB",
            Quantity::CoupledPower => "dBm",
        }
    }
}

/// How a `peak` step searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// One physical model of the light, updated by every reading; says what loss it leaves.
    #[default]
    Engine,
    /// Parabolas through three readings an axis.
    Parabola,
    /// Steps along one axis after the other that halve.
    HillClimb,
    /// The simplex of Nelder and Mead.
    NelderMead,
    /// Circles across the light, and the slope that they tell.
    Dither,
    /// A raster, and a paraboloid through it.
    RasterFit,
    /// A raster, and its centroid.
    RasterCentroid,
    /// A spiral until there is light, then a hill climb.
    Spiral,
    /// Circles that the controller walks uphill by itself across the light; the engine confirms.
    GradientSearch,
    /// An area that the controller scans by itself across the light; the engine confirms.
    AreaScan,
    /// Piezos on top of the stage circle on the light and follow it by themselves across it; the engine confirms.
    Track,
    /// Engine or controller, by what is predicted to be fastest.
    Auto,
}

impl Method {
    /// All methods.
    pub const ALL: [Method; 12] = [
        Method::Engine,
        Method::Parabola,
        Method::HillClimb,
        Method::NelderMead,
        Method::Dither,
        Method::RasterFit,
        Method::RasterCentroid,
        Method::Spiral,
        Method::GradientSearch,
        Method::AreaScan,
        Method::Track,
        Method::Auto,
    ];

    /// The method's name in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Engine => "engine",
            Method::Parabola => "parabola",
            Method::HillClimb => "hill_climb",
            Method::NelderMead => "nelder_mead",
            Method::Dither => "dither",
            Method::RasterFit => "raster_fit",
            Method::RasterCentroid => "raster_centroid",
            Method::Spiral => "spiral",
            Method::GradientSearch => "gradient_search",
            Method::AreaScan => "area_scan",
            Method::Track => "track",
            Method::Auto => "auto",
        }
    }

    /// Whether a controller does it by itself, which it does with two axes across the light.
    pub fn is_the_controllers(self) -> bool {
        matches!(self, Method::GradientSearch | Method::AreaScan | Method::Track)
    }

    /// The method of a name.
    pub fn named(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|m| m.as_str() == name)
    }
}

/// What an array is aligned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// The power of all channels together.
    #[default]
    Sum,
    /// The weakest channel.
    Weakest,
}

/// The other end of a part that light passes through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndSpec {
    /// Mode field diameter (1/e^2) of the fibre there, um.
    pub mode_field_diameter_um: f64,
    /// Mode field diameter (1/e^2) of the part there, um.
    pub chip_mode_field_diameter_um: f64,
    /// How far the mode of a unit may be off its nominal diameter there, relative, one standard deviation.
    pub mode_spread: f64,
}

/// What the unit is, optically.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitSpec {
    /// Kinds of components whose serial numbers or lots are worth recording.
    pub components: Vec<String>,
    /// Wavelength of the light, nm.
    pub wavelength_nm: f64,
    /// Mode field diameter (1/e^2) of the receiving fibre, um.
    pub mode_field_diameter_um: f64,
    /// Mode field diameter (1/e^2) of the fixed side, um; that of the fibre where the recipe does not say.
    pub chip_mode_field_diameter_um: f64,
    /// How far the mode of a unit may be off its nominal diameter, relative, one standard deviation.
    pub mode_spread: f64,
    /// Diameter of a round aperture (photodiode, large core) that takes a spot of the mode field diameter, um: a flat top.
    pub aperture_diameter_um: Option<f64>,
    /// Distance between the channels of an array along x, um; without it the unit is one channel.
    pub channel_pitch_um: Option<f64>,
    /// The other end of a part that light passes through, with a fibre at each end.
    pub second: Option<EndSpec>,
    /// Launched minus coupled power at the peak of a typical unit, dB; of both ends together.
    pub expected_loss_db: f64,
}

impl UnitSpec {
    /// Why a peak of this unit cannot be searched in these axes by this method, and what to do: of two ends at once.
    pub fn refuses(&self, axes: &[Axis], method: Method) -> Option<(&'static str, &'static str)> {
        if !axes.iter().any(|a| a.is_second()) {
            return None;
        }
        if self.second.is_none() {
            return Some(("x2, y2 and z2 are of a second end, which the unit has not", "add a `[unit.second]` table"));
        }
        if !(axes.contains(&Axis::X2) && axes.contains(&Axis::Y2)) {
            return Some(("a second end needs both x2 and y2", "give both, with x and y"));
        }
        if axes.iter().any(|a| a.is_angle()) {
            return Some(("angles are not searched with a second end", "turn in a `peak` step of the first end alone"));
        }
        // Circles and spirals are drawn across the light of one end.
        if matches!(method, Method::Parabola | Method::Dither | Method::Spiral) {
            return Some(("this method searches one end alone", "use the engine, which aligns both ends as one"));
        }
        None
    }
}

/// One step with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Switch the source on and wait until it has settled.
    SourceOn {
        /// Two looks this close, in dB, say that it has settled.
        settled_within_db: f64,
        /// Longest wait, seconds.
        timeout_s: f64,
    },
    /// Reference the axes that are not, in the bench's order.
    Reference,
    /// Move to a pose near the fixed part, across the light first and then along it.
    Approach {
        /// Targets of logical axes, um or degrees; axes not named stay.
        to: Vec<(Axis, f64)>,
    },
    /// Search outward for the first light.
    FirstLight {
        /// How far from the present pose to look, um.
        radius_um: f64,
        /// Threshold relative to the expected peak, dB (negative).
        threshold_db: f64,
        /// Whether both ends of the part are swept together, as far and the same way: where its holder has put the part, both
        /// ends are off alike.
        both_ends: bool,
    },
    /// Climb to the peak.
    Peak {
        /// Axes to search, in the order of the recipe.
        axes: Vec<Axis>,
        /// How far from the approach pose z, and z2, may go, um.
        z_range_um: f64,
        /// Loss the search may leave, dB.
        tolerance_db: f64,
        /// How to search.
        method: Method,
        /// How far angles may be off those of the approach pose, degrees.
        angle_range_deg: f64,
        /// What an array is aligned for.
        objective: Objective,
    },
    /// Measure a quantity here.
    Measure {
        /// What.
        quantity: Quantity,
        /// Readings averaged.
        readings: u32,
    },
    /// Switch the source off.
    SourceOff,
    /// Back off along the optical axis and park.
    Retract,
}

impl Step {
    /// The step's word in a recipe.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::SourceOn { .. } => "source_on",
            Step::Reference => "reference",
            Step::Approach { .. } => "approach",
            Step::FirstLight { .. } => "first_light",
            Step::Peak { .. } => "peak",
            Step::Measure { .. } => "measure",
            Step::SourceOff => "source_off",
            Step::Retract => "retract",
        }
    }

    /// The logical axes the step moves.
    pub fn axes(&self) -> Vec<Axis> {
        match self {
            Step::Approach { to } => to.iter().map(|(axis, _)| *axis).collect(),
            Step::FirstLight { both_ends: true, .. } => vec![Axis::X, Axis::Y, Axis::X2, Axis::Y2],
            Step::FirstLight { .. } => vec![Axis::X, Axis::Y],
            Step::Peak { axes, .. } => axes.clone(),
            _ => Vec::new(),
        }
    }
}

/// A limit on a quantity; the ends themselves pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What is limited.
    pub quantity: Quantity,
    /// Lowest value that passes.
    pub lower: Option<f64>,
    /// Highest value that passes.
    pub upper: Option<f64>,
}

impl Limit {
    /// Whether a value is within the limit; NaN is not.
    pub fn holds(&self, value: f64) -> bool {
        !value.is_nan() && self.lower.is_none_or(|l| value >= l) && self.upper.is_none_or(|u| value <= u)
    }
}

/// A recipe that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Product name.
    pub product: String,
    /// Revision of the recipe.
    pub revision: String,
    /// Part number of the units it makes.
    pub part_number: String,
    /// One line for people.
    pub description: String,
    /// Class of fixture the bench must have.
    pub fixture: String,
    /// What the unit is.
    pub unit: UnitSpec,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Limits, one a quantity.
    pub limits: Vec<Limit>,
    /// The text it was read from.
    pub text: String,
    /// SHA-256 of the text, lower-case hex.
    pub hash: String,
}

impl Recipe {
    /// The limit on a quantity, if there is one.
    pub fn limit(&self, quantity: Quantity) -> Option<&Limit> {
        self.limits.iter().find(|l| l.quantity == quantity)
    }

    /// The logical axes the recipe needs, in their order.
    pub fn axes(&self) -> Vec<Axis> {
        let used: std::collections::BTreeSet<Axis> = self.steps.iter().flat_map(Step::axes).collect();
        used.into_iter().collect()
    }
}
