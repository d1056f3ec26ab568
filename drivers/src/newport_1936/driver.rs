//! [`PowerMeter`] for the 1936 and 2936 meters: known state item by item, readings with their validity.

use std::time::Duration;

use async_trait::async_trait;
use units::{Power, Reading};

use super::codec::{self, Told};
use crate::exchange::{Line, LineError, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};
use crate::scpi;

/// Answers come within some milliseconds; two readings take 14 ms at 38400 baud.
const QUERY_LIMIT: Duration = Duration::from_millis(300);
/// One sample of the digital filter (user's manual: 10,000 a second).
const SAMPLE: Duration = Duration::from_micros(100);
/// No reading is shorter.
const READING_MIN: Duration = Duration::from_millis(1);
/// Beyond its integration a reading may take this long: automatic ranging goes through eight ranges.
const READ_MARGIN: Duration = Duration::from_secs(2);
/// While the range is being switched it is asked this often.
const POLL: Duration = Duration::from_millis(10);
/// Ranges by number, the most sensitive first.
const RANGES: std::ops::RangeInclusive<u32> = 0..=7;
/// Averages of the digital filter.
const AVERAGING_MAX: u32 = 10_000;
/// Error queues hold some dozen entries; a queue that never empties is no queue.
const ERRORS_MAX: usize = 64;
/// A range reads back with some digits fewer than it was asked for.
const RANGE_SLACK: f64 = 1e-3;
/// What this driver drives, for messages.
const KIND: &str = "a Newport 1936-R or 2936-R power meter";

/// A Newport 1936-R or 2936-R.
pub struct Newport1936 {
    line: Line,
    pub(super) expected: Expected,
    identity: Identity,
    /// Channels with a detector, from 1.
    present: Vec<u32>,
    channels: u32,
    setup: MeterSetup,
    /// The line's recoveries after which the settings were last known.
    settled_at: u64,
}

fn harmless<'a>(request: &'a [u8], expected: &'static str) -> Query<'a> {
    Query { request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected }
}

impl Newport1936 {
    /// A driver over `line` for the meter `expected`; [`PowerMeter::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> Newport1936 {
        line.speak(codec::PROTOCOL);
        Newport1936 {
            line,
            expected,
            identity: Identity::default(),
            present: Vec::new(),
            channels: 1,
            setup: MeterSetup { wavelength_nm: 0.0, averaging: 1, range: Range::Auto },
            settled_at: 0,
        }
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

    fn read_back(&self, what: &'static str, set: String, read: String) -> MeterError {
        MeterError::ReadBack { instrument: self.instrument(), what, set, read }
    }

    /// Asks; a query that is not answered may have been refused, and then the error queue says why.
    async fn ask<T>(
        &mut self,
        text: &str,
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, MeterError> {
        let request = format!("{text}\r\n").into_bytes();
        let failure = match self.line.query(&harmless(&request, expected), parse).await {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if failure.is_no_answer()
            && let Ok(errors) = self.drain().await
            && let Some((code, meaning)) = errors.into_iter().next()
        {
            return Err(MeterError::Refused {
                instrument: self.instrument(),
                command: text.to_string(),
                code,
                meaning,
            });
        }
        Err(failure.into())
    }

    /// The error queue until it is empty.
    async fn drain(&mut self) -> Result<Vec<(i64, String)>, LineError> {
        let query = Query { repeat: Repeat::Never, ..harmless(b"ERRSTR?\r\n", "a code and a text") };
        let mut errors = Vec::new();
        while errors.len() < ERRORS_MAX {
            let entry = self.line.query(&query, scpi::queue_entry).await?;
            if entry.code == 0 {
                break;
            }
            errors.push((entry.code, entry.text));
        }
        Ok(errors)
    }

    /// Sets a whole number of the selected channel and reads it back; on a mismatch the error queue says why.
    async fn set(&mut self, header: &str, what: &'static str, value: u32) -> Result<(), MeterError> {
        let command = format!("{header} {value}");
        self.line.send(format!("{command}\r\n").as_bytes()).await?;
        let read = self.ask(&format!("{header}?"), "a whole number", codec::whole).await?;
        if read == value {
            return Ok(());
        }
        match self.drain().await?.into_iter().next() {
            Some((code, meaning)) => Err(MeterError::Refused { instrument: self.instrument(), command, code, meaning }),
            None => Err(self.read_back(what, value.to_string(), read.to_string())),
        }
    }

    async fn select(&mut self, channel: u32) -> Result<(), MeterError> {
        if self.channels == 1 { Ok(()) } else { self.set("PM:CHAN", "channel", channel).await }
    }

    async fn identify(&mut self) -> Result<(), MeterError> {
        // With echo on no answer is what it should be.
        self.line.send_urgent(codec::NO_ECHO).await?;
        let mut answer = self.line.identify().await;
        if matches!(&answer, Err(e) if !e.is_port_lost()) {
            // The first may have been the end of a command that an earlier program cut in half.
            self.line.send_urgent(codec::NO_ECHO).await?;
            answer = self.line.identify().await;
        }
        let found = match answer {
            Ok(answer) => codec::identity(&answer).unwrap_or_default(),
            Err(LineError::NotRecovered { heard, .. }) if scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
        match codec::channels(&found.model) {
            Some(channels) if self.expected.admits(&found) => {
                (self.channels, self.identity) = (channels, found);
                Ok(())
            }
            _ => Err(self.wrong_device(format!("{} {found}", found.maker))),
        }
    }

    async fn told(&mut self) -> Result<Vec<Told>, MeterError> {
        let count = self.channels;
        let whole =
            |answer: &[u8]| codec::readings(answer).filter(|all| u32::try_from(all.len()).is_ok_and(|n| n == count));
        self.ask("PM:PWS?", "value and status of each channel", whole).await
    }

    async fn find_detectors(&mut self) -> Result<(), MeterError> {
        let told = self.told().await?;
        self.present = (1..).zip(told).filter(|(_, t)| t.detector).map(|(n, _)| n).collect();
        if self.present.is_empty() {
            return Err(MeterError::NoSensor { instrument: self.instrument(), sensor: "no detector present".into() });
        }
        Ok(())
    }

    /// What must be so of one channel: header, name and value.
    fn items(&self) -> Vec<(&'static str, &'static str, u32)> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is read back")]
        let wavelength = self.setup.wavelength_nm.round().max(0.0) as u32;
        let averaged = self.setup.averaging > 1;
        let mut items = vec![
            ("PM:MODE", "mode", 0),
            ("PM:UNIT", "unit", codec::WATTS),
            ("PM:ATT", "attenuator", 0),
            ("PM:L", "wavelength", wavelength),
            ("PM:RUN", "run", 1),
        ];
        if averaged {
            items.push(("PM:DIGITALFILTER", "averaging", self.setup.averaging));
        }
        items.push(("PM:FILT", "filter", if averaged { 2 } else { 0 }));
        items
    }

    /// After the line came back: a meter that was switched off has forgotten its settings.
    async fn confirm(&mut self) -> Result<(), MeterError> {
        self.line.ready().await?;
        if self.settled_at == self.line.recoveries() {
            return Ok(());
        }
        for channel in self.present.clone() {
            self.select(channel).await?;
            for (header, what, expected) in self.items() {
                let read = self.ask(&format!("{header}?"), "a whole number", codec::whole).await?;
                if read != expected {
                    return Err(self.read_back(what, expected.to_string(), read.to_string()));
                }
            }
        }
        self.settled_at = self.line.recoveries();
        Ok(())
    }

    async fn upper(&mut self) -> Result<Power, MeterError> {
        self.ask("PM:MAX:Power?", "a power in watts", scpi::finite).await.map(Power::from_watts)
    }

    /// The smallest range of the selected channel that holds a power.
    async fn range_for(&mut self, power: Power) -> Result<(), MeterError> {
        self.set("PM:AUTO", "automatic range", 0).await?;
        let mut widest = Power::from_watts(0.0);
        for number in RANGES {
            self.set("PM:RAN", "range", number).await?;
            widest = self.upper().await?;
            if widest.watts() >= power.watts() * (1.0 - RANGE_SLACK) {
                return Ok(());
            }
        }
        Err(self.read_back("range", format!("{:E}", power.watts()), format!("{:E}", widest.watts())))
    }

    /// Waits for a whole window, and until no range is being switched.
    async fn fresh(&mut self) -> Result<Vec<Told>, MeterError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        clock.sleep(self.integration()).await;
        loop {
            let told = self.told().await?;
            if !told.iter().any(|t| t.detector && t.ranging) {
                return Ok(told);
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
impl PowerMeter for Newport1936 {
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
        self.channels
    }

    async fn connect(&mut self, setup: &MeterSetup) -> Result<(), MeterError> {
        self.identify().await?;
        // What the last program left in the queue is nobody's fault now.
        self.drain().await?;
        self.find_detectors().await?;
        if setup.averaging > AVERAGING_MAX {
            return Err(self.read_back("averaging", setup.averaging.to_string(), AVERAGING_MAX.to_string()));
        }
        self.setup = setup.clone();
        for channel in self.present.clone() {
            self.select(channel).await?;
            for (header, what, value) in self.items() {
                self.set(header, what, value).await?;
            }
        }
        self.set_range(setup.range).await?;
        self.settled_at = self.line.recoveries();
        Ok(())
    }

    async fn set_range(&mut self, range: Range) -> Result<(), MeterError> {
        for channel in self.present.clone() {
            self.select(channel).await?;
            match range {
                Range::Auto => self.set("PM:AUTO", "automatic range", 1).await?,
                Range::Upper(power) => self.range_for(power).await?,
            }
        }
        self.setup.range = range;
        self.fresh().await.map(|_| ())
    }

    async fn set_averaging(&mut self, count: u32) -> Result<(), MeterError> {
        if count > AVERAGING_MAX {
            return Err(self.read_back("averaging", count.to_string(), AVERAGING_MAX.to_string()));
        }
        let before = std::mem::replace(&mut self.setup.averaging, count.max(1));
        for channel in self.present.clone() {
            self.select(channel).await?;
            for (header, what, value) in
                self.items().into_iter().filter(|(h, _, _)| h.ends_with("FILTER") || h.ends_with("FILT"))
            {
                if let Err(failure) = self.set(header, what, value).await {
                    self.setup.averaging = before;
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    async fn range(&mut self) -> Result<Power, MeterError> {
        if let Some(first) = self.present.first().copied() {
            self.select(first).await?;
        }
        self.upper().await
    }

    async fn read(&mut self) -> Result<Vec<Reading>, MeterError> {
        self.confirm().await?;
        let told = self.fresh().await?;
        // Asked again over a line that was lost meanwhile, it may be of other settings.
        self.confirm().await?;
        if let Some(other) = told.iter().find(|t| t.detector && t.unit != codec::WATTS) {
            return Err(self.read_back("unit", codec::WATTS.to_string(), other.unit.to_string()));
        }
        // Without a detector there is no light to speak of.
        Ok(told.iter().map(|t| if t.detector { t.reading } else { Reading::UnderRange }).collect())
    }

    fn integration(&self) -> Duration {
        (SAMPLE * self.setup.averaging).max(READING_MIN)
    }

    async fn zero(&mut self) -> Result<(), MeterError> {
        for channel in self.present.clone() {
            self.select(channel).await?;
            // A value stored before would be subtracted from the one to be stored.
            self.line.send(b"PM:ZEROVAL 0\r\n").await?;
            self.fresh().await?;
            self.line.send(b"PM:ZEROSTO\r\n").await?;
            self.ask("PM:ZEROVAL?", "a power in watts", scpi::finite).await?;
        }
        match self.drain().await?.into_iter().next() {
            Some((code, meaning)) => {
                let command = "PM:ZEROSTO".to_string();
                Err(MeterError::Refused { instrument: self.instrument(), command, code, meaning })
            }
            None => Ok(()),
        }
    }

    async fn errors(&mut self) -> Result<Vec<(i64, String)>, MeterError> {
        Ok(self.drain().await?)
    }
}
