//! Alignment routines that run inside a controller: a capability of some motion controllers.
//!
//! The controller moves two of its axes and reads its own analog input at its servo cycle, far faster than anybody could
//! over a line. Whoever starts one has checked that all of its area is safe: the controller knows its soft limits only.

use std::time::Duration;

use async_trait::async_trait;

use crate::motion::MotionError;

/// One of the two axes of an area, with its channel's name and the whole length scanned, um or degrees.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Channel of the controller.
    pub channel: String,
    /// Length, um or degrees.
    pub length: f64,
}

/// The way an area is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Sinusoidal lines along the scan axis while the step axis moves on.
    Raster,
    /// A spiral from the middle out.
    Spiral,
}

/// How the maximum is taken from the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Estimate {
    /// The highest sample.
    Highest,
    /// A Gaussian fitted to samples between these shares of the maximum, 0 to 1.
    Gauss(f64, f64),
    /// The centre of gravity of samples between these shares of the maximum, 0 to 1.
    CentreOfGravity(f64, f64),
}

/// Where the axes go after an area scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// To the maximum; a scan that finds none stays at its end.
    Maximum,
    /// They stay where the scan ended.
    Stay,
    /// To the start of the scan.
    Start,
}

/// An area scan.
#[derive(Debug, Clone, PartialEq)]
pub struct AreaScan {
    /// The fast axis.
    pub scan: Span,
    /// The slow one.
    pub step: Span,
    /// Middle of the area on scan and step axis, um or degrees in the controller's coordinates; where the axes are if none.
    pub middle: Option<(f64, f64)>,
    /// Analog input, from 1.
    pub input: u32,
    /// Signal that must be exceeded for a success, in the input's unit.
    pub level: f64,
    /// Frequency of the fast axis, Hz.
    pub frequency_hz: f64,
    /// Velocity of the slow axis, um/s or degrees/s.
    pub velocity: f64,
    /// The way.
    pub path: Path,
    /// The maximum.
    pub estimate: Estimate,
    /// What comes after.
    pub then: Then,
    /// Samples to be recorded and fetched, about; each is some thirty bytes on the line.
    pub samples: u32,
}

/// A gradient search: a small circle whose centre walks uphill.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientSearch {
    /// Channel of the first axis.
    pub scan: String,
    /// Channel of the second axis.
    pub step: String,
    /// Analog input, from 1.
    pub input: u32,
    /// Signal that must be exceeded for a success, in the input's unit; above 0.
    pub level: f64,
    /// Least and greatest radius of the circle, um or degrees.
    pub radius: (f64, f64),
    /// Frequency of the circle, Hz.
    pub frequency_hz: f64,
    /// Gain of the walk.
    pub gain: f64,
    /// Greatest velocity of the centre, um/s or degrees/s.
    pub velocity: f64,
    /// It ends after so many changes of direction.
    pub direction_changes: u32,
    /// Samples to be recorded and fetched, about; each is some thirty bytes on the line.
    pub samples: u32,
}

/// What the controller recorded at one moment of a routine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlignmentSample {
    /// Since the start, s.
    pub t_s: f64,
    /// Actual position of scan and step axis, um or degrees.
    pub at: (f64, f64),
    /// The input, in its unit.
    pub input: f64,
}

/// What came of a routine.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// By the controller's own word.
    pub success: bool,
    /// Greatest value of the input.
    pub max: f64,
    /// Where the controller puts the maximum, um or degrees.
    pub at: (f64, f64),
    /// How long it took, s.
    pub took_s: f64,
    /// The vendor's number of the reason why it was cut short; 0 for none.
    pub abort_reason: i64,
    /// What was recorded on the way, in the order of time; thinned out to what the controller's recorder holds.
    pub samples: Vec<AlignmentSample>,
}

/// A controller with alignment routines. A future that is dropped leaves the routine running until
/// [`crate::motion::MotionController::stop_all`].
#[async_trait(?Send)]
pub trait FastAlignment {
    /// Whether the controller can be kept from leaving an area ([`FastAlignment::confine`]).
    fn can_confine(&self) -> bool;

    /// Sets the controller's own soft limits: channel, lower and upper end, um or degrees; read back. Nothing moves.
    ///
    /// # Errors
    /// `NoChannel`, `Refused`, `ReadBack`.
    async fn confine(&mut self, limits: &[(&str, f64, f64)]) -> Result<(), MotionError>;

    /// Value of an analog input as the routines see it, in its unit.
    async fn input(&mut self, input: u32) -> Result<f64, MotionError>;

    /// Scans an area and waits for its end, `limit` at the most; then it is stopped.
    ///
    /// # Errors
    /// `Refused`, `NotReferenced`, `NoChannel`, `NotFinished`; a scan that finds nothing is no error.
    async fn area_scan(&mut self, scan: &AreaScan, limit: Duration) -> Result<Aligned, MotionError>;

    /// Searches uphill and waits for its end, `limit` at the most; then it is stopped.
    ///
    /// # Errors
    /// As [`FastAlignment::area_scan`].
    async fn gradient_search(&mut self, search: &GradientSearch, limit: Duration) -> Result<Aligned, MotionError>;
}
