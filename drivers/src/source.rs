//! What every light source does for Firstlight. Other vendors implement [`LightSource`].

use async_trait::async_trait;
use units::Power;

use crate::exchange::{LineError, Tap};
use crate::identity::Identity;

/// The known state a source is brought to, item by item; the output stays off.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSetup {
    /// Wavelength, nm.
    pub wavelength_nm: f64,
    /// Output power once on.
    pub level: Power,
}

/// What a source says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceState {
    /// The output is on.
    pub on: bool,
    /// The interlock or lock keeps the output from being switched on.
    pub interlock_open: bool,
    /// The level set.
    pub level: Power,
}

/// What can go wrong with a light source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The line failed.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The device on the port is another one.
    #[error("{instrument}: expected {expected}, but {found} answers on {port}")]
    WrongDevice {
        /// Bench name of the instrument.
        instrument: String,
        /// Port name.
        port: String,
        /// What the bench file says.
        expected: String,
        /// What answered.
        found: String,
    },
    /// The interlock is open.
    #[error("{instrument}: interlock open: the source refuses to switch on")]
    Interlock {
        /// Bench name of the instrument.
        instrument: String,
    },
    /// The error queue held errors after a command.
    #[error("{instrument}: \"{command}\" refused: {code}, {meaning}")]
    Refused {
        /// Bench name of the instrument.
        instrument: String,
        /// The command as sent.
        command: String,
        /// The instrument's code.
        code: i64,
        /// The instrument's words.
        meaning: String,
    },
    /// The level asked for is no power that a source can give.
    #[error("{instrument}: a level of {watts} W cannot be set")]
    NoSuchLevel {
        /// Bench name of the instrument.
        instrument: String,
        /// The level, W.
        watts: f64,
    },
    /// The source did not settle in time.
    #[error("{instrument}: not settled after {waited_s:.1} s")]
    NotSettled {
        /// Bench name of the instrument.
        instrument: String,
        /// Seconds waited.
        waited_s: f64,
    },
    /// A setting did not read back as set.
    #[error("{instrument}: {what} was set to {set} but reads back {read}")]
    ReadBack {
        /// Bench name of the instrument.
        instrument: String,
        /// What was set.
        what: &'static str,
        /// Value sent.
        set: String,
        /// Value read.
        read: String,
    },
}

/// A light source.
#[async_trait(?Send)]
pub trait LightSource {
    /// Bench name of the instrument.
    fn name(&self) -> &str;

    /// Who answered at `connect`.
    fn identity(&self) -> &Identity;

    /// The last exchanges on the line.
    fn tap(&self) -> &Tap;

    /// Identifies the device, clears its error queue, switches the output off and sets wavelength and level, each
    /// item read back.
    ///
    /// # Errors
    /// `WrongDevice`, `ReadBack`, `Refused`, `NoSuchLevel`, `NotSettled`.
    async fn connect(&mut self, setup: &SourceSetup) -> Result<(), SourceError>;

    /// Switches the output on and waits until the source says it has settled.
    ///
    /// # Errors
    /// `Interlock`, `Refused`, `ReadBack`, `NotSettled`.
    async fn switch_on(&mut self) -> Result<(), SourceError>;

    /// Switches the output off and confirms it.
    async fn switch_off(&mut self) -> Result<(), SourceError>;

    /// What the source says of itself.
    async fn state(&mut self) -> Result<SourceState, SourceError>;
}
