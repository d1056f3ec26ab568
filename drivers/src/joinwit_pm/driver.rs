//! [`PowerMeter`] for Joinwit meters.

use std::time::Duration;

use async_trait::async_trait;
use units::{Power, Reading};

use super::codec;
use crate::exchange::{Line, LineError, Protocol, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};
use crate::scpi;

/// Answers come within some milliseconds; a wavelength is changed while the meter goes on measuring.
const QUERY_LIMIT: Duration = Duration::from_millis(250);
/// The meter measures about 100 times a second.
const SAMPLE: Duration = Duration::from_millis(10);
/// A wavelength of the table is meant where it is no further off than this.
const WAVELENGTH_TOLERANCE_NM: f64 = 0.5;
/// Upper end of what these meters measure (10 dBm for the type with the lower floor).
const UPPER_DBM: f64 = 10.0;
/// What this driver drives, for messages.
const KIND: &str = "a Joinwit power meter";

const PROTOCOL: Protocol = Protocol {
    framing: codec::frame_end,
    // A length is one byte.
    reply_max: 512,
    identity_request: codec::CONNECT_FRAME,
    is_identity: |frame| codec::connected(frame).is_some(),
    identity_limit: QUERY_LIMIT,
    quiet: Duration::from_millis(20),
    // Fills up whatever frame was begun; nothing in it is the beginning of another.
    spoil: &[0; 260],
    requests: crate::requests::JOINWIT_PM,
};

/// A Joinwit four-channel power meter.
pub struct JoinwitPm {
    line: Line,
    expected: Expected,
    identity: Identity,
    setup: MeterSetup,
    settled_at: u64,
}

impl JoinwitPm {
    /// A driver over `line` for the meter `expected`; [`PowerMeter::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> JoinwitPm {
        line.speak(PROTOCOL);
        JoinwitPm {
            line,
            expected,
            identity: Identity::default(),
            setup: MeterSetup { wavelength_nm: 0.0, averaging: 1, range: Range::Auto },
            settled_at: 0,
        }
    }

    async fn ask<T>(
        &mut self,
        command: u16,
        data: &[u8],
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, MeterError> {
        let request = codec::frame(command, data);
        let query = Query { request: &request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected };
        Ok(self.line.query(&query, parse).await?)
    }

    fn wrong_device(&self, found: String) -> MeterError {
        MeterError::WrongDevice {
            instrument: self.line.instrument().to_string(),
            port: self.line.port().to_string(),
            expected: self.expected.describe(KIND),
            found,
        }
    }

    async fn identify(&mut self) -> Result<(), MeterError> {
        let answer = match self.line.identify().await {
            Ok(answer) => answer,
            Err(LineError::NotRecovered { heard, .. }) if scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
        let identity = codec::identity(codec::connected(&answer).unwrap_or_default());
        if !self.expected.admits(&identity) {
            return Err(self.wrong_device(format!("{} {identity}", identity.maker)));
        }
        self.identity = identity;
        Ok(())
    }

    /// Sets all channels to the table's wavelength.
    async fn set_wavelength(&mut self, nm: f64) -> Result<(), MeterError> {
        let table = self.ask(codec::WAVELENGTHS, &[], "a table of wavelengths", codec::wavelengths).await?;
        let near = |w: &u16| (f64::from(*w) - nm).abs() <= WAVELENGTH_TOLERANCE_NM;
        let found = (1u8..).zip(&table).find(|(_, w)| near(w));
        let Some((index, _)) = found else {
            let read: Vec<String> = table.iter().map(u16::to_string).collect();
            let instrument = self.line.instrument().to_string();
            let read = format!("one of {} nm", read.join(", "));
            return Err(MeterError::ReadBack { instrument, what: "wavelength", set: format!("{nm} nm"), read });
        };
        for channel in 1u8..=4 {
            let acknowledged = |frame: &[u8]| codec::answer(frame, codec::SET_WAVELENGTH).map(|_| ());
            self.ask(codec::SET_WAVELENGTH, &[channel, index], "an acknowledgement", acknowledged).await?;
        }
        self.setup.wavelength_nm = nm;
        self.settled_at = self.line.recoveries();
        Ok(())
    }

    fn cannot(&self, command: &str, meaning: &str) -> MeterError {
        MeterError::Refused {
            instrument: self.line.instrument().to_string(),
            command: command.to_string(),
            code: 0,
            meaning: meaning.to_string(),
        }
    }
}

/// The mean of readings of one channel; out of range when one of them is.
fn mean(readings: &[Reading]) -> Reading {
    let mut watts = 0.0;
    for reading in readings {
        match reading {
            Reading::Power(power) => watts += power.watts(),
            other => return *other,
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of readings")]
    let count = readings.len().max(1) as f64;
    Reading::Power(Power::from_watts(watts / count))
}

#[async_trait(?Send)]
impl PowerMeter for JoinwitPm {
    fn name(&self) -> &str {
        self.line.instrument()
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn tap(&self) -> &Tap {
        self.line.tap()
    }

    fn channels(&self) -> u32 {
        4
    }

    async fn connect(&mut self, setup: &MeterSetup) -> Result<(), MeterError> {
        self.identify().await?;
        self.set_wavelength(setup.wavelength_nm).await?;
        self.set_averaging(setup.averaging).await?;
        self.set_range(setup.range).await
    }

    /// The meter ranges by itself: any other range is refused.
    async fn set_range(&mut self, range: Range) -> Result<(), MeterError> {
        match range {
            Range::Auto => Ok(()),
            Range::Upper(_) => Err(self.cannot("range", "the meter has no ranges to choose from")),
        }
    }

    async fn set_averaging(&mut self, count: u32) -> Result<(), MeterError> {
        self.setup.averaging = count;
        Ok(())
    }

    async fn range(&mut self) -> Result<Power, MeterError> {
        Ok(Power::from_dbm(UPPER_DBM))
    }

    async fn read(&mut self) -> Result<Vec<Reading>, MeterError> {
        self.line.ready().await?;
        let clock = self.line.clock().clone();
        let mut channels = vec![Vec::new(); codec::CHANNELS];
        for _ in 0..self.setup.averaging.max(1) {
            // What it answers was measured before it was asked: a whole period later it no longer was.
            clock.sleep(SAMPLE).await;
            let powers = self.ask(codec::POWERS_MW, &[], "four powers", codec::powers).await?;
            for (channel, power) in channels.iter_mut().zip(powers) {
                channel.push(power);
            }
        }
        if self.settled_at != self.line.recoveries() {
            // A meter that restarted has forgotten its wavelengths, and cannot be asked for them.
            self.set_wavelength(self.setup.wavelength_nm).await?;
            let instrument = self.line.instrument().to_string();
            let (set, read) = (format!("{} nm", self.setup.wavelength_nm), "unknown after the line was lost".into());
            return Err(MeterError::ReadBack { instrument, what: "wavelength", set, read });
        }
        Ok(channels.iter().map(|readings| mean(readings)).collect())
    }

    fn integration(&self) -> Duration {
        SAMPLE.saturating_mul(self.setup.averaging.max(1))
    }

    /// Always refused: these meters have no such command.
    async fn zero(&mut self) -> Result<(), MeterError> {
        Err(self.cannot("zero", "the meter has no zeroing by command"))
    }

    /// Always empty: these meters keep no errors.
    async fn errors(&mut self) -> Result<Vec<(i64, String)>, MeterError> {
        Ok(Vec::new())
    }
}
