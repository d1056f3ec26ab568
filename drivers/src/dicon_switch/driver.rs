//! [`OpticalSwitch`] for DiCon GP600 switches: nothing is connected until it reads back so.

use std::time::Duration;

use async_trait::async_trait;

use super::codec;
use crate::exchange::{Line, Protocol, Tap};
use crate::identity::{Expected, Identity};
use crate::scpi;
use crate::session::{Manner, Session};
use crate::switch::{OpticalSwitch, SwitchError};

/// Queries are answered when a switching under way has ended: half a second for a motor.
const QUERY_LIMIT: Duration = Duration::from_secs(2);
/// A selection that did not take is said again so often at the most.
const SELECT_ATTEMPTS: u32 = 3;
/// Pause before a selection is read back again.
const SELECT_POLL: Duration = Duration::from_millis(50);
/// The queue holds some ten entries.
const ERRORS_MAX: usize = 32;
/// What this driver drives, for messages.
const KIND: &str = "a DiCon GP600 switch";

const MANNER: Manner = Manner {
    protocol: Protocol {
        framing: codec::line_end,
        identity_request: b"*IDN?\r",
        spoil: b"~\r",
        requests: crate::requests::DICON_SWITCH,
        ..scpi::PROTOCOL
    },
    end: "\r",
    limit: QUERY_LIMIT,
    errors_max: ERRORS_MAX,
};

/// A DiCon GP600 matrix switch.
pub struct DiconSwitch {
    session: Session,
    expected: Expected,
    inputs: u32,
    outputs: u32,
}

impl DiconSwitch {
    /// A driver over `line` for the switch `expected`; [`OpticalSwitch::connect`] comes first.
    pub fn new(line: Line, expected: Expected) -> DiconSwitch {
        DiconSwitch { session: Session::new(line, MANNER), expected, inputs: 0, outputs: 0 }
    }

    fn has(&self, side: &'static str, number: u32, count: u32) -> Result<(), SwitchError> {
        if (1..=count).contains(&number) {
            return Ok(());
        }
        Err(SwitchError::NoSuchPort { instrument: self.session.instrument(), side, number, count })
    }

    /// The output of an input as told, 0 for none.
    async fn output(&mut self, input: u32) -> Result<u32, SwitchError> {
        let of_input = |answer: &[u8]| codec::pair(answer).filter(|(i, _)| *i == input).map(|(_, output)| output);
        Ok(self.session.ask(&format!("X1 CH {input}?"), "the input and its output", of_input).await?)
    }
}

#[async_trait(?Send)]
impl OpticalSwitch for DiconSwitch {
    fn name(&self) -> &str {
        self.session.line.instrument()
    }

    fn identity(&self) -> &Identity {
        self.session.identity()
    }

    fn tap(&self) -> &Tap {
        self.session.line.tap()
    }

    fn inputs(&self) -> u32 {
        self.inputs
    }

    fn outputs(&self) -> u32 {
        self.outputs
    }

    async fn connect(&mut self) -> Result<(), SwitchError> {
        self.session.identify(KIND, codec::is_switch, &self.expected).await?;
        self.session.drain().await?;
        let text = |answer: &[u8]| scpi::ascii(answer).map(str::to_string);
        let configuration = self.session.ask("SYST:CONF?", "a configuration", text).await?;
        if configuration != "X1" {
            let found = format!("{} in configuration {configuration}", self.session.identity().model);
            return Err(SwitchError::WrongDevice {
                instrument: self.session.instrument(),
                port: self.session.line.port().to_string(),
                expected: "one matrix switch (X1)".into(),
                found,
            });
        }
        (self.inputs, self.outputs) = self.session.ask("X1 DIM?", "inputs and outputs", codec::pair).await?;
        Ok(self.session.nothing_refused("connect").await?)
    }

    async fn select(&mut self, input: u32, output: Option<u32>) -> Result<(), SwitchError> {
        self.has("input", input, self.inputs)?;
        if let Some(output) = output {
            self.has("output", output, self.outputs)?;
        }
        let wanted = output.unwrap_or(0);
        let command = format!("X1 CH {input} {wanted}");
        let mut read = self.output(input).await?;
        for _ in 0..SELECT_ATTEMPTS {
            if read == wanted {
                return Ok(());
            }
            self.session.send(&command).await?;
            read = self.output(input).await?;
            if read != wanted {
                self.session.line.clock().clone().sleep(SELECT_POLL).await;
                read = self.output(input).await?;
            }
        }
        if read == wanted {
            return Ok(());
        }
        Err(self.session.why("output", &command, wanted.to_string(), read.to_string()).await.into())
    }

    async fn selected(&mut self, input: u32) -> Result<Option<u32>, SwitchError> {
        self.has("input", input, self.inputs)?;
        Ok(Some(self.output(input).await?).filter(|output| *output > 0))
    }
}
