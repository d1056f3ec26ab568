//! What every controller that follows the light by itself does for Firstlight: two piezos circle on the light, and a
//! loop in the controller moves the circle's centre up the gradient. Other vendors implement [`DitherTracker`].

use std::time::Duration;

use async_trait::async_trait;

use crate::exchange::Tap;
use crate::identity::Identity;
use crate::motion::MotionError;

/// The known state a tracker is brought to, item by item.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackSetup {
    /// Travel of both piezos, um; the controller does not know it.
    pub travel_um: f64,
    /// Diameter of the circle, um.
    pub diameter_um: f64,
    /// Circles a second, Hz.
    pub frequency_hz: f64,
    /// Gain of the loop against the maker's usual.
    pub gain: f64,
    /// Lag of both piezos at this frequency, which the loop takes out, degrees.
    pub lag_deg: [f64; 2],
    /// Photocurrent below which the loop stands, A.
    pub threshold_a: f64,
}

/// What a tracker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackState {
    /// It holds its position and does not circle.
    Latched,
    /// It circles, but the light is below the threshold.
    NoSignal,
    /// It circles and follows.
    Tracking,
    /// The piezos are under other control.
    Other,
}

/// A photocurrent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Photocurrent {
    /// A.
    Amperes(f64),
    /// Below the smallest range.
    UnderRange,
    /// Above the range in use.
    Saturated,
}

/// A controller that follows the light. Positions are um from one end of the piezos' travel.
///
/// Every method can fail with [`MotionError::Line`]; others are named at the method.
#[async_trait(?Send)]
pub trait DitherTracker {
    /// Bench name of the instrument.
    fn name(&self) -> &str;

    /// Who answered at `connect`.
    fn identity(&self) -> &Identity;

    /// The last exchanges on the line.
    fn tap(&self) -> &Tap;

    /// Identifies the device, latches it, and brings it to `setup`, each item read back. The centre stays where it is.
    ///
    /// # Errors
    /// `WrongDevice`, `ReadBack`, `Refused`.
    async fn connect(&mut self, setup: &TrackSetup) -> Result<(), MotionError>;

    /// Brings a latched device to another setup, each item read back. The centre stays where it is.
    ///
    /// # Errors
    /// `ReadBack`, `Refused`.
    async fn set_up(&mut self, setup: &TrackSetup) -> Result<(), MotionError>;

    /// Moves the centre to a position of both axes, um, and reads it back.
    ///
    /// # Errors
    /// `ElsewhereThanTarget`.
    async fn move_centre(&mut self, to_um: [f64; 2]) -> Result<(), MotionError>;

    /// Where the centre is, um.
    async fn centre(&mut self) -> Result<[f64; 2], MotionError>;

    /// The photocurrent.
    async fn photocurrent(&mut self) -> Result<Photocurrent, MotionError>;

    /// What it is doing.
    async fn state(&mut self) -> Result<TrackState, MotionError>;

    /// Starts to track, lets it run for a while, and latches where it then is; says whether it had signal at the end.
    ///
    /// # Errors
    /// `ReadBack` when it does not track or latch.
    async fn track_for(&mut self, duration: Duration) -> Result<TrackState, MotionError>;

    /// Latches at once, without waiting for a pending reply, and confirms it.
    ///
    /// # Errors
    /// `ReadBack`.
    async fn latch(&mut self) -> Result<(), MotionError>;
}
