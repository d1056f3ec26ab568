//! [`PowerMeter`] for the 1830 meters: known state item by item, readings with their validity.

use std::time::Duration;

use async_trait::async_trait;
use units::{Power, Reading};

use super::codec::{self, Status};
use crate::exchange::{Line, LineError, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};

/// An exchange takes 20 ms at 9600 baud.
const QUERY_LIMIT: Duration = Duration::from_millis(300);
/// One reading takes at most this: ten a second at the slowest.
const CONVERSION: Duration = Duration::from_millis(100);
/// Beyond its integration a reading may take this long: automatic ranging goes through eight ranges, some readings each.
const READ_MARGIN: Duration = Duration::from_secs(5);
/// The status is asked this often, half a conversion.
const POLL: Duration = Duration::from_millis(50);
/// What this driver drives, for messages.
const KIND: &str = "a Newport 1830-C or 1830-R power meter";

/// A Newport 1830-C or 1830-R.
pub struct Newport1830 {
    line: Line,
    pub(super) expected: Expected,
    identity: Identity,
    setup: MeterSetup,
    /// Readings that the filter averages.
    readings: u32,
    /// The line's recoveries after which the settings were last known.
    settled_at: u64,
}

fn harmless<'a>(request: &'a [u8], expected: &'static str) -> Query<'a> {
    Query { request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected }
}

impl Newport1830 {
    /// A driver over `line` for the meter `expected`; [`PowerMeter::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> Newport1830 {
        line.speak(codec::PROTOCOL);
        let setup = MeterSetup { wavelength_nm: 0.0, averaging: 1, range: Range::Auto };
        Newport1830 { line, expected, identity: Identity::default(), setup, readings: 1, settled_at: 0 }
    }

    fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    fn wrong_device(&self, found: String) -> MeterError {
        MeterError::WrongDevice {
            instrument: self.instrument(),
            port: self.line.port().to_string(),
            expected: self.expected.describe(KIND),
            found,
        }
    }

    async fn whole(&mut self, letter: char) -> Result<u32, LineError> {
        let request = format!("{letter}?\n").into_bytes();
        self.line.query(&harmless(&request, "a whole number"), codec::whole).await
    }

    async fn status(&mut self) -> Result<Status, LineError> {
        self.line.query(&harmless(b"Q?\n", "a status byte"), codec::status).await
    }

    /// Sets a letter and reads it back; where it is another, the status says why.
    async fn set(&mut self, letter: char, what: &'static str, value: u32) -> Result<(), MeterError> {
        self.line.send(format!("{letter}{value}\n").as_bytes()).await?;
        let read = self.whole(letter).await?;
        if read == value {
            return Ok(());
        }
        match self.errors().await?.into_iter().next() {
            Some((code, meaning)) => {
                let command = format!("{letter}{value}");
                Err(MeterError::Refused { instrument: self.instrument(), command, code, meaning })
            }
            None => Err(self.read_back(what, value.to_string(), read.to_string())),
        }
    }

    fn read_back(&self, what: &'static str, set: String, read: String) -> MeterError {
        MeterError::ReadBack { instrument: self.instrument(), what, set, read }
    }

    /// A meter without a name is known by its settings: each within its few values.
    async fn identify(&mut self) -> Result<(), MeterError> {
        // With echo on nothing else is to be understood.
        self.line.send_urgent(b"E0\n").await?;
        match self.line.identify().await {
            Ok(_) => {}
            Err(LineError::NotRecovered { heard, .. }) if crate::scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        }
        for (letter, values) in [('U', 1..=4), ('F', 1..=3), ('R', 1..=codec::RANGES), ('G', 0..=1), ('Z', 0..=1)] {
            let read = self.whole(letter).await?;
            if !values.contains(&read) {
                return Err(self.wrong_device(format!("a device that says \"{read}\" to \"{letter}?\"")));
            }
        }
        let text = |t: &str| t.to_string();
        let found = Identity { maker: text("Newport"), model: text("1830"), ..Identity::default() };
        // Nothing tells the C from the R model, nor one meter from the next.
        let model = self.expected.model.as_deref().map(|m| m.trim().to_uppercase()).unwrap_or_default();
        let fits = model.is_empty() || ["1830", "1830-C", "1830-R"].contains(&model.as_str());
        if !fits || self.expected.serial.is_some() {
            return Err(self.wrong_device("a Newport 1830 meter, which tells no serial number,".into()));
        }
        self.identity = if model.is_empty() { found } else { Identity { model, ..found } };
        Ok(())
    }

    async fn set_wavelength(&mut self, nm: f64) -> Result<(), MeterError> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is read back")]
        let whole = nm.round().max(0.0) as u32;
        self.set('W', "wavelength", whole).await?;
        // By it the line is brought back.
        self.line.identify().await?;
        self.setup.wavelength_nm = nm;
        Ok(())
    }

    /// After the line came back: a meter that was switched off has forgotten its settings.
    async fn confirm(&mut self) -> Result<(), MeterError> {
        self.line.ready().await?;
        if self.settled_at == self.line.recoveries() {
            return Ok(());
        }
        let filter = codec::filter(self.setup.averaging).map_or(0, |(filter, _)| filter);
        for (letter, what, expected) in
            [('U', "unit", 1), ('A', "attenuator", 0), ('F', "filter", filter), ('G', "run", 1)]
        {
            let read = self.whole(letter).await?;
            if read != expected {
                return Err(self.read_back(what, expected.to_string(), read.to_string()));
            }
        }
        self.settled_at = self.line.recoveries();
        Ok(())
    }

    /// Waits for a whole window of readings, and until there is one.
    async fn fresh(&mut self) -> Result<Status, MeterError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        clock.sleep(self.integration()).await;
        loop {
            let status = self.status().await?;
            if status.done {
                return Ok(status);
            }
            let waited = clock.now() - begun;
            if waited > self.integration() + READ_MARGIN {
                return Err(MeterError::NotFinished { instrument: self.instrument(), waited_s: waited.as_secs_f64() });
            }
            clock.sleep(POLL).await;
        }
    }
}

#[async_trait(?Send)]
impl PowerMeter for Newport1830 {
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
        1
    }

    async fn connect(&mut self, setup: &MeterSetup) -> Result<(), MeterError> {
        self.identify().await?;
        // What the last program left in the status is nobody's fault now.
        self.line.send(b"C\n").await?;
        self.set('A', "attenuator", 0).await?;
        self.set('U', "unit", 1).await?;
        self.set('G', "run", 1).await?;
        self.set('Z', "zero", 0).await?;
        self.set_wavelength(setup.wavelength_nm).await?;
        self.set_averaging(setup.averaging).await?;
        self.set_range(setup.range).await?;
        self.settled_at = self.line.recoveries();
        Ok(())
    }

    async fn set_range(&mut self, range: Range) -> Result<(), MeterError> {
        match range {
            // Whether it took this is not told.
            Range::Auto => self.line.send(b"R0\n").await?,
            Range::Upper(power) => match codec::range_for(power) {
                Some(number) => self.set('R', "range", number).await?,
                None => {
                    let widest = format!("{:E}", codec::upper(codec::RANGES).watts());
                    return Err(self.read_back("range", format!("{:E}", power.watts()), widest));
                }
            },
        }
        self.setup.range = range;
        self.fresh().await.map(|_| ())
    }

    async fn set_averaging(&mut self, count: u32) -> Result<(), MeterError> {
        let Some((filter, readings)) = codec::filter(count) else {
            return Err(self.read_back("averaging", count.to_string(), "16 at the most".into()));
        };
        self.set('F', "filter", filter).await?;
        (self.setup.averaging, self.readings) = (count, readings);
        Ok(())
    }

    async fn range(&mut self) -> Result<Power, MeterError> {
        Ok(codec::upper(self.whole('R').await?))
    }

    async fn read(&mut self) -> Result<Vec<Reading>, MeterError> {
        self.confirm().await?;
        if self.fresh().await?.over {
            return Ok(vec![Reading::Saturated]);
        }
        let reading = self.line.query(&harmless(b"D?\n", "a power in watts"), codec::reading).await?;
        // Asked again over a line that was lost meanwhile, it may be of other settings.
        self.confirm().await?;
        Ok(vec![reading])
    }

    fn integration(&self) -> Duration {
        CONVERSION * self.readings
    }

    async fn zero(&mut self) -> Result<(), MeterError> {
        self.set('Z', "zero", 0).await?;
        self.fresh().await?;
        self.set('Z', "zero", 1).await
    }

    async fn errors(&mut self) -> Result<Vec<(i64, String)>, MeterError> {
        let status = self.status().await?;
        let mut errors = Vec::new();
        if status.parameter_error {
            errors.push((1, "parameter error".to_string()));
        }
        if status.command_error {
            errors.push((2, "command error".to_string()));
        }
        self.line.send(b"C\n").await?;
        Ok(errors)
    }
}
