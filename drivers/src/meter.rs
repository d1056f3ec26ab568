//! What every optical power meter does for Firstlight. Other vendors implement [`PowerMeter`].

use std::time::Duration;

use async_trait::async_trait;
use units::{Power, Reading};

use crate::exchange::{LineError, Tap};
use crate::identity::Identity;

/// The range of a meter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// The instrument chooses.
    Auto,
    /// The smallest range that holds this power.
    Upper(Power),
}

/// The known state a meter is brought to, item by item.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterSetup {
    /// Wavelength of the light, nm.
    pub wavelength_nm: f64,
    /// Readings averaged in the instrument, from 1.
    pub averaging: u32,
    /// Range.
    pub range: Range,
}

/// What can go wrong with a power meter.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
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
    /// The meter has no sensor plugged in, or none that measures power.
    #[error("{instrument}: no power sensor (the meter says \"{sensor}\")")]
    NoSensor {
        /// Bench name of the instrument.
        instrument: String,
        /// The sensor's own words.
        sensor: String,
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
    /// There is no log to read: none was started, or it was lost.
    #[error("{instrument}: no log to read (the meter says \"{said}\")")]
    NoLog {
        /// Bench name of the instrument.
        instrument: String,
        /// The meter's own words.
        said: String,
    },
    /// Zeroing did not end in time.
    #[error("{instrument}: zeroing not finished after {waited_s:.1} s")]
    NotFinished {
        /// Bench name of the instrument.
        instrument: String,
        /// Seconds waited.
        waited_s: f64,
    },
}

/// A power meter with one or more channels, counted from 1.
#[async_trait(?Send)]
pub trait PowerMeter {
    /// Bench name of the instrument.
    fn name(&self) -> &str;

    /// Who answered at `connect`.
    fn identity(&self) -> &Identity;

    /// The last exchanges on the line.
    fn tap(&self) -> &Tap;

    /// Channels of the instrument.
    fn channels(&self) -> u32;

    /// Identifies the device, clears its error queue and brings it to `setup`, each item read back.
    ///
    /// # Errors
    /// `WrongDevice`, `NoSensor`, `ReadBack`, `Refused`.
    async fn connect(&mut self, setup: &MeterSetup) -> Result<(), MeterError>;

    /// Sets range or autorange and waits until it has settled.
    async fn set_range(&mut self, range: Range) -> Result<(), MeterError>;

    /// Sets the number of readings averaged in the instrument.
    async fn set_averaging(&mut self, count: u32) -> Result<(), MeterError>;

    /// The upper end of the range in use.
    async fn range(&mut self) -> Result<Power, MeterError>;

    /// Measures a fresh window on every channel.
    async fn read(&mut self) -> Result<Vec<Reading>, MeterError>;

    /// How long one reading integrates with the present averaging.
    fn integration(&self) -> Duration;

    /// Zeroes the dark level; the sensor must be dark.
    ///
    /// # Errors
    /// `NotFinished`, `Refused`.
    async fn zero(&mut self) -> Result<(), MeterError>;

    /// Reads the error queue until it is empty (bounded) and returns what it held.
    async fn errors(&mut self) -> Result<Vec<(i64, String)>, MeterError>;

    /// The stream of samples of a meter that has one; `None` where it has none, and before `connect`.
    fn streamer(&mut self) -> Option<&mut dyn Streamer> {
        None
    }

    /// The logging function of a meter that has one.
    fn logger(&mut self) -> Option<&mut dyn Logger> {
        None
    }
}

/// What starts the samples of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStart {
    /// The command: one sample follows the other.
    Now,
    /// One trigger starts all of them.
    Trigger,
    /// Each sample has a trigger of its own.
    EachTrigger,
}

/// A log to be taken on all channels at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSetup {
    /// Samples a channel.
    pub samples: u32,
    /// Averaging time of a sample.
    pub averaging: Duration,
    /// What starts them.
    pub start: LogStart,
}

/// A meter that takes samples by its own clock or by hardware triggers and gives them afterwards.
#[async_trait(?Send)]
pub trait Logger {
    /// Starts a log, or arms it; range and unit stay as they are.
    ///
    /// # Errors
    /// `Refused`, `ReadBack`.
    async fn start_log(&mut self, setup: &LogSetup) -> Result<(), MeterError>;

    /// Whether all samples are there.
    ///
    /// # Errors
    /// `NoLog` when none was started or the meter has lost it.
    async fn log_done(&mut self) -> Result<bool, MeterError>;

    /// The samples of each channel, in order of time.
    ///
    /// # Errors
    /// `NoLog`, `Refused` before all samples are there.
    async fn read_log(&mut self) -> Result<Vec<Vec<Reading>>, MeterError>;

    /// Ends the log, done or not, and puts the meter back to single readings.
    async fn end_log(&mut self) -> Result<(), MeterError>;
}

/// One sample of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamSample {
    /// When it was taken, seconds of the line's clock.
    pub at_s: f64,
    /// What was read.
    pub reading: Reading,
}

/// A meter that samples by its own clock and gives the samples away while it goes on. Samples that are not fetched in time
/// are lost, which their times show. The range should be fixed: there are no samples while it is switched.
#[async_trait(?Send)]
pub trait Streamer {
    /// Time from one sample to the next.
    fn sample_interval(&self) -> Duration;

    /// How long the meter keeps samples: they are to be fetched oftener.
    fn kept_for(&self) -> Duration;

    /// Starts the stream of one channel, from 1; samples from before are forgotten, its times are held against the clock's.
    ///
    /// # Errors
    /// `Refused`.
    async fn start_stream(&mut self, channel: u32) -> Result<(), MeterError>;

    /// The samples since the last call, in order of time; none where there are no new ones.
    ///
    /// # Errors
    /// Of the line; samples of an answer that was lost are lost.
    async fn take_samples(&mut self, channel: u32) -> Result<Vec<StreamSample>, MeterError>;
}
