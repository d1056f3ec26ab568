//! What every optical switch does for Firstlight. Other vendors implement [`OpticalSwitch`].

use async_trait::async_trait;

use crate::exchange::{LineError, Tap};
use crate::identity::Identity;

/// What can go wrong with an optical switch.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
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
    /// The switch has no such port.
    #[error("{instrument}: there is no {side} {number}; the switch has {count}")]
    NoSuchPort {
        /// Bench name of the instrument.
        instrument: String,
        /// `input` or `output`.
        side: &'static str,
        /// Number asked for.
        number: u32,
        /// Ports of that side.
        count: u32,
    },
}

/// An optical switch that connects inputs to outputs, both counted from 1.
#[async_trait(?Send)]
pub trait OpticalSwitch {
    /// Bench name of the instrument.
    fn name(&self) -> &str;

    /// Who answered at `connect`.
    fn identity(&self) -> &Identity;

    /// The last exchanges on the line.
    fn tap(&self) -> &Tap;

    /// Inputs of the switch.
    fn inputs(&self) -> u32;

    /// Outputs of the switch.
    fn outputs(&self) -> u32;

    /// Identifies the device, clears its error queue and learns its size; connections stay as they are.
    ///
    /// # Errors
    /// `WrongDevice`, `Refused`.
    async fn connect(&mut self) -> Result<(), SwitchError>;

    /// Connects an input to an output, or to none, and waits until the switch says that it is.
    ///
    /// # Errors
    /// `NoSuchPort` before a byte is sent, `Refused`, `ReadBack`.
    async fn select(&mut self, input: u32, output: Option<u32>) -> Result<(), SwitchError>;

    /// The output that an input is connected to.
    ///
    /// # Errors
    /// `NoSuchPort`.
    async fn selected(&mut self, input: u32) -> Result<Option<u32>, SwitchError>;
}
