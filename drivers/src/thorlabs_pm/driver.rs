//! [`PowerMeter`] for Thorlabs meters: known state item by item, readings with their validity.

use std::time::Duration;

use async_trait::async_trait;
use units::{Power, Reading};

use super::codec::{self, Count, Quirks};
use super::segments::Segmented;
use super::stream::Streams;
use crate::exchange::{Line, LineError, Protocol, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range, Streamer};
use crate::scpi;

/// Settings are answered within some milliseconds; an identity at 9600 baud takes 50 ms.
const QUERY_LIMIT: Duration = Duration::from_millis(250);
/// Beyond its integration a reading may take this long, and twice when the range changes by itself meanwhile.
const READ_MARGIN: Duration = Duration::from_millis(500);
/// A range has settled after this long (Thorlabs' command documentation).
const RANGE_SETTLE: Duration = Duration::from_millis(10);
/// Zeroing takes up to two seconds; slow sensors (thermopiles) longer.
const ZERO_LIMIT: Duration = Duration::from_secs(30);
/// Zeroing is polled this often.
const ZERO_POLL: Duration = Duration::from_millis(50);
/// Error queues hold some ten entries; a queue that never empties is no queue.
pub(super) const ERRORS_MAX: usize = 32;
/// Meters round the wavelength to whole nanometres at worst.
const WAVELENGTH_TOLERANCE_NM: f64 = 0.5;
/// A range reads back with some digits fewer than it was asked for.
const RANGE_SLACK: f64 = 1e-3;
/// What this driver drives, for messages.
const KIND: &str = "a Thorlabs power meter";

/// A Thorlabs power meter.
pub struct ThorlabsPm {
    line: Line,
    pub(super) expected: Expected,
    identity: Identity,
    quirks: Quirks,
    /// What it was set to last.
    setup: MeterSetup,
    /// The line's recoveries after which the settings were last known.
    settled_at: u64,
    /// Spoken to over its Ethernet port, where it can stream.
    ethernet: bool,
    pub(super) streams: Streams,
}

fn harmless<'a>(request: &'a [u8], expected: &'static str) -> Query<'a> {
    Query { request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected }
}

impl ThorlabsPm {
    /// A driver over `line` for the meter `expected`; [`PowerMeter::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> ThorlabsPm {
        line.speak(Protocol { requests: crate::requests::THORLABS_PM, ..scpi::PROTOCOL });
        ThorlabsPm {
            line,
            expected,
            identity: Identity::default(),
            quirks: Quirks { sample: Duration::from_millis(1), jabber: false, channels: 1, count: Count::Binary },
            setup: MeterSetup { wavelength_nm: 0.0, averaging: 1, range: Range::Auto },
            settled_at: 0,
            ethernet: false,
            streams: Streams::new(),
        }
    }

    /// The same for a meter's Ethernet port, which speaks in segments (PM103E, PM5020).
    pub fn over_ethernet(mut line: Line, expected: Expected) -> ThorlabsPm {
        line.wrap(|stream| Box::new(Segmented::new(stream)));
        let mut driver = ThorlabsPm { ethernet: true, ..ThorlabsPm::new(line, expected) };
        driver.line.speak(Protocol { requests: crate::requests::THORLABS_PM_LAN, ..scpi::PROTOCOL });
        driver
    }

    pub(super) fn line_mut(&mut self) -> &mut Line {
        &mut self.line
    }

    pub(super) fn quirks(&self) -> Quirks {
        self.quirks
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

    pub(super) fn refused(&self, command: &str, (code, meaning): (i64, String)) -> MeterError {
        MeterError::Refused { instrument: self.instrument(), command: command.to_string(), code, meaning }
    }

    fn read_back(&self, what: &'static str, set: &str, read: String) -> MeterError {
        MeterError::ReadBack { instrument: self.instrument(), what, set: set.to_string(), read }
    }

    /// Asks; a query that is not answered may have been refused, and then the error queue says why.
    async fn ask<T>(&mut self, query: &Query<'_>, parse: impl Fn(&[u8]) -> Option<T>) -> Result<T, MeterError> {
        let failure = match self.line.query(query, parse).await {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if failure.is_no_answer()
            && let Ok(mut errors) = self.drain().await
            && !errors.is_empty()
        {
            let command = String::from_utf8_lossy(query.request).trim_end().to_string();
            return Err(self.refused(&command, errors.swap_remove(0)));
        }
        Err(failure.into())
    }

    /// The error queue until it is empty.
    pub(super) async fn drain(&mut self) -> Result<Vec<(i64, String)>, LineError> {
        let query = Query { repeat: Repeat::Never, ..harmless(b"SYST:ERR?\n", "a code and a text") };
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

    /// Sends a setting, reads it back and holds it against `agrees`; on a mismatch the error queue says why.
    async fn set<T: std::fmt::Display>(
        &mut self,
        what: &'static str,
        header: &str,
        value: &str,
        parse: impl Fn(&[u8]) -> Option<T>,
        agrees: impl Fn(&T) -> bool,
    ) -> Result<(), MeterError> {
        let command = format!("{header} {value}");
        self.line.send(format!("{command}\n").as_bytes()).await?;
        let read = self.ask(&harmless(format!("{header}?\n").as_bytes(), what), parse).await?;
        if agrees(&read) {
            return Ok(());
        }
        let mut errors = self.drain().await?;
        if errors.is_empty() {
            return Err(self.read_back(what, value, read.to_string()));
        }
        Err(self.refused(&command, errors.swap_remove(0)))
    }

    /// As [`ThorlabsPm::set`] for a switch that not every model has.
    async fn switch_off(&mut self, what: &'static str, header: &str) -> Result<(), MeterError> {
        match self.set(what, header, "0", scpi::finite, |v| *v == 0.0).await {
            Err(MeterError::Refused { code: scpi::UNDEFINED_HEADER, .. }) => {
                tracing::debug!(instrument = self.line.instrument(), header, "not on this model");
                // The command and its query each left an entry; the rest must not be blamed on the next one.
                self.drain().await?;
                Ok(())
            }
            done => done,
        }
    }

    async fn identify(&mut self) -> Result<(), MeterError> {
        // Stops results that are sent unasked; among them no identity could be told from the rest. An aborted
        // measurement is no loss.
        self.line.send_urgent(b"ABOR\n").await?;
        let mut answer = self.line.identify().await;
        if matches!(&answer, Err(e) if !e.is_port_lost()) {
            // The first may have been the end of a command that an earlier program cut in half.
            self.line.send_urgent(b"ABOR\n").await?;
            answer = self.line.identify().await;
        }
        let found = match answer {
            Ok(answer) => Identity::parse(&answer).unwrap_or_default(),
            Err(LineError::NotRecovered { heard, .. }) if scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
        match codec::quirks(&found) {
            Some(quirks) if self.expected.admits(&found) => {
                self.quirks = quirks;
                self.identity = found;
                Ok(())
            }
            _ => Err(self.wrong_device(format!("{} {found}", found.maker))),
        }
    }

    /// A power sensor on the first channel; without one on the second, the meter has one channel.
    async fn find_sensor(&mut self) -> Result<(), MeterError> {
        let sensor = self.ask(&harmless(b"SYST:SENS:IDN?\n", "a sensor's data"), codec::sensor).await?;
        if self.quirks.channels == 2 {
            let second = self.ask(&harmless(b"SYST:SENS2:IDN?\n", "a sensor's data"), codec::sensor).await?;
            self.quirks.channels = if second.power { 2 } else { 1 };
        }
        if sensor.power {
            return Ok(());
        }
        Err(MeterError::NoSensor { instrument: self.instrument(), sensor: sensor.name })
    }

    /// What is measured: power in watts, neither relative nor corrected.
    async fn measure_watts(&mut self) -> Result<(), MeterError> {
        for channel in 1..=self.quirks.channels {
            let header = codec::on_channel("CONF", channel);
            self.line.send(format!("{header}:POW\n").as_bytes()).await?;
            let request = format!("{header}?\n");
            let measured = self.ask(&harmless(request.as_bytes(), "what is measured"), codec::word).await?;
            if !measured.starts_with("POW") || measured.starts_with("POWD") {
                return Err(self.read_back("measured quantity", "POW", measured));
            }
            let on = |header: &str| codec::on_channel(header, channel);
            self.set("unit", &on("SENS:POW:UNIT"), "W", codec::word, |unit| unit == "W").await?;
            self.switch_off("relative mode", &on("SENS:POW:REF:STAT")).await?;
            self.switch_off("stored attenuation", &on("SENS:CORR:LOSS")).await?;
            self.switch_off("low-pass filter", &on("INP:FILT")).await?;
        }
        Ok(())
    }

    async fn set_wavelength(&mut self, nm: f64) -> Result<(), MeterError> {
        let near = |read: &f64| (read - nm).abs() <= WAVELENGTH_TOLERANCE_NM;
        for channel in 1..=self.quirks.channels {
            let header = codec::on_channel("SENS:CORR:WAV", channel);
            self.set("wavelength", &header, &format!("{nm}"), scpi::finite, near).await?;
        }
        Ok(())
    }

    /// After the line was lost: a meter that restarted has forgotten what it was set to.
    pub(super) async fn check_settings(&mut self) -> Result<(), MeterError> {
        if self.settled_at == self.line.recoveries() {
            return Ok(());
        }
        for channel in 1..=self.quirks.channels {
            self.check_channel(channel).await?;
        }
        // The queue may hold what the line's trouble left there.
        self.drain().await?;
        self.settled_at = self.line.recoveries();
        Ok(())
    }

    async fn check_channel(&mut self, channel: u32) -> Result<(), MeterError> {
        let query = |header: &str| format!("{}?\n", codec::on_channel(header, channel)).into_bytes();
        let setup = self.setup.clone();
        let unit = self.ask(&harmless(&query("SENS:POW:UNIT"), "a unit"), codec::word).await?;
        if unit != "W" {
            return Err(self.read_back("unit", "W", unit));
        }
        let nm = self.ask(&harmless(&query("SENS:CORR:WAV"), "a wavelength"), scpi::finite).await?;
        if (nm - setup.wavelength_nm).abs() > WAVELENGTH_TOLERANCE_NM {
            return Err(self.read_back("wavelength", &setup.wavelength_nm.to_string(), nm.to_string()));
        }
        let count = self.ask(&harmless(&query("SENS:AVER:COUN"), "a count"), scpi::finite).await?;
        if count != f64::from(setup.averaging) {
            return Err(self.read_back("averaging", &setup.averaging.to_string(), count.to_string()));
        }
        let auto = self.ask(&harmless(&query("SENS:POW:RANG:AUTO"), "0 or 1"), scpi::boolean).await?;
        if auto != (setup.range == Range::Auto) {
            return Err(self.read_back("autorange", &(!auto).to_string(), auto.to_string()));
        }
        if let Range::Upper(upper) = setup.range {
            let range = self.range_of(channel).await?;
            if range.watts() < upper.watts() * (1.0 - RANGE_SLACK) {
                return Err(self.read_back("range", &codec::watts(upper), codec::watts(range)));
            }
        }
        Ok(())
    }

    async fn range_of(&mut self, channel: u32) -> Result<Power, MeterError> {
        let request = format!("{}?\n", codec::on_channel("SENS:POW:RANG", channel));
        let upper = self.ask(&harmless(request.as_bytes(), "a power in watts"), scpi::finite).await?;
        Ok(Power::from_watts(upper))
    }

    async fn zero_channel(&mut self, channel: u32) -> Result<(), MeterError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let header = codec::on_channel("SENS:CORR:COLL:ZERO", channel);
        let command = format!("{header}:INIT");
        self.line.send(format!("{command}\n").as_bytes()).await?;
        let request = format!("{header}:STAT?\n");
        let state = harmless(request.as_bytes(), "0 or 1");
        while self.ask(&state, scpi::boolean).await? {
            let waited = clock.now() - begun;
            if waited >= ZERO_LIMIT {
                self.line.send(format!("{header}:ABOR\n").as_bytes()).await?;
                return Err(MeterError::NotFinished { instrument: self.instrument(), waited_s: waited.as_secs_f64() });
            }
            clock.sleep(ZERO_POLL).await;
        }
        match self.drain().await?.into_iter().next() {
            Some(first) => Err(self.refused(&command, first)),
            None => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl PowerMeter for ThorlabsPm {
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
        self.quirks.channels
    }

    async fn connect(&mut self, setup: &MeterSetup) -> Result<(), MeterError> {
        self.identify().await?;
        if self.quirks.jabber {
            // On USB the header may be unknown; `*CLS` takes that away.
            self.line.send(b"SENS:SER:JAB 0\n").await?;
        }
        self.line.send(b"*CLS\n").await?;
        self.drain().await?;
        self.find_sensor().await?;
        self.measure_watts().await?;
        self.set_wavelength(setup.wavelength_nm).await?;
        self.setup.wavelength_nm = setup.wavelength_nm;
        self.set_averaging(setup.averaging).await?;
        self.set_range(setup.range).await?;
        if let Some(first) = self.drain().await?.into_iter().next() {
            return Err(self.refused("connect", first));
        }
        self.settled_at = self.line.recoveries();
        Ok(())
    }

    async fn set_range(&mut self, range: Range) -> Result<(), MeterError> {
        let auto = matches!(range, Range::Auto);
        for channel in 1..=self.quirks.channels {
            if let Range::Upper(upper) = range {
                let holds = |read: &f64| *read >= upper.watts() * (1.0 - RANGE_SLACK);
                let header = codec::on_channel("SENS:POW:RANG", channel);
                self.set("range", &header, &codec::watts(upper), scpi::finite, holds).await?;
            }
            // A range set by hand turns autorange off by itself; said again it costs nothing and is read back.
            let value = if auto { "1" } else { "0" };
            let header = codec::on_channel("SENS:POW:RANG:AUTO", channel);
            self.set("autorange", &header, value, scpi::boolean, |on| *on == auto).await?;
        }
        self.setup.range = range;
        self.line.clock().clone().sleep(RANGE_SETTLE).await;
        Ok(())
    }

    async fn set_averaging(&mut self, count: u32) -> Result<(), MeterError> {
        let same = |read: &f64| *read == f64::from(count);
        for channel in 1..=self.quirks.channels {
            let header = codec::on_channel("SENS:AVER:COUN", channel);
            self.set("averaging", &header, &count.to_string(), scpi::finite, same).await?;
        }
        self.setup.averaging = count;
        Ok(())
    }

    /// Of two channels, the lesser range.
    async fn range(&mut self) -> Result<Power, MeterError> {
        let mut least = self.range_of(1).await?;
        for channel in 2..=self.quirks.channels {
            let other = self.range_of(channel).await?;
            least = if other < least { other } else { least };
        }
        Ok(least)
    }

    async fn read(&mut self) -> Result<Vec<Reading>, MeterError> {
        self.line.ready().await?;
        self.check_settings().await?;
        let ranging = if self.setup.range == Range::Auto { 2 } else { 1 };
        let limit = (self.integration() + READ_MARGIN) * ranging;
        let readings = if self.quirks.channels == 2 {
            let query = Query { limit, ..harmless(b"MEAS:SIMU?\n", "two powers in watts") };
            self.ask(&query, codec::two_readings).await?
        } else {
            let query = Query { limit, ..harmless(b"READ?\n", "a power in watts") };
            vec![self.ask(&query, codec::reading).await?]
        };
        if self.settled_at != self.line.recoveries() {
            // It was asked again on a line that had to be brought back: only with the settings known is it one.
            self.check_settings().await?;
        }
        Ok(readings)
    }

    fn streamer(&mut self) -> Option<&mut dyn Streamer> {
        let can = self.ethernet && !self.identity.model.is_empty();
        if can { Some(self) } else { None }
    }

    fn integration(&self) -> Duration {
        self.quirks.sample.saturating_mul(self.setup.averaging.max(1))
    }

    async fn zero(&mut self) -> Result<(), MeterError> {
        for channel in 1..=self.quirks.channels {
            self.zero_channel(channel).await?;
        }
        Ok(())
    }

    async fn errors(&mut self) -> Result<Vec<(i64, String)>, MeterError> {
        Ok(self.drain().await?)
    }
}
