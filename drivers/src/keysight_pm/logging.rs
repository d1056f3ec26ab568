//! [`Logger`] for Keysight meters: the logging function of all ports at once.

use std::time::Duration;

use async_trait::async_trait;
use units::Reading;

use super::codec::{self, LogState, Place};
use super::driver::KeysightPm;
use crate::exchange::Repeat;
use crate::meter::{LogSetup, LogStart, Logger, MeterError};

/// Samples read in one answer of an N774x: 16 kB take a few milliseconds, and one that is lost is soon asked for again.
const PART: usize = 4096;
/// A part, or the whole log of a mainframe's head over GPIB adapters and slow serial bridges, takes no longer.
const RESULT_LIMIT: Duration = Duration::from_secs(10);

impl KeysightPm {
    /// Ends any function and lets no trigger start one.
    pub(super) async fn stop_functions(&mut self) -> Result<(), MeterError> {
        for slot in self.log_slots() {
            self.session.send(&format!("SENS{slot}:FUNC:STAT LOGG,STOP")).await?;
        }
        self.trigger_inputs("IGN").await
    }

    async fn trigger_inputs(&mut self, word: &'static str) -> Result<(), MeterError> {
        for place in self.masters() {
            let header = place.header("TRIG", "INP");
            let command = format!("{header} {word}");
            self.session.send(&command).await?;
            let text = |answer: &[u8]| crate::scpi::ascii(answer).map(str::to_uppercase);
            let read = self.session.ask(&format!("{header}?"), "a trigger response", text).await?;
            if read != word {
                return Err(self.session.why("trigger input", &command, word.to_string(), read).await.into());
            }
        }
        Ok(())
    }

    async fn log_parameters(&mut self, slot: u16, setup: &LogSetup) -> Result<(), MeterError> {
        let seconds = setup.averaging.as_secs_f64();
        let header = format!("SENS{slot}:FUNC:PAR:LOGG");
        let argument = format!("{},{seconds}", setup.samples);
        let command = format!("{header} {argument}");
        self.session.send(&command).await?;
        let expected = "points and a time";
        let (points, time) = self.session.ask(&format!("{header}?"), expected, codec::log_parameters).await?;
        if points == i64::from(setup.samples) && (time - seconds).abs() <= 1e-3 * seconds {
            return Ok(());
        }
        Err(self.session.why("logging parameters", &command, argument, format!("{points},{time}")).await.into())
    }

    async fn log_state(&mut self, slot: u16) -> Result<LogState, MeterError> {
        Ok(self.session.ask(&format!("SENS{slot}:FUNC:STAT?"), "function and state", codec::log_state).await?)
    }

    fn no_log(&self) -> MeterError {
        MeterError::NoLog { instrument: self.session.instrument(), said: "NONE".into() }
    }

    /// Points of the logging function that all ports share.
    async fn points(&mut self) -> Result<usize, MeterError> {
        let slot = self.log_slots().first().copied().unwrap_or(1);
        let request = format!("SENS{slot}:FUNC:PAR:LOGG?");
        let (points, _) = self.session.ask(&request, "points and a time", codec::log_parameters).await?;
        Ok(usize::try_from(points).unwrap_or(0))
    }

    async fn log_of(&mut self, place: Place) -> Result<Vec<Reading>, MeterError> {
        let asked = (RESULT_LIMIT, Repeat::Harmless);
        let expected = "a block of samples";
        let header = place.header("SENS", "FUNC:RES");
        if !codec::is_multi_port(self.session.identity()) {
            return Ok(self.session.ask_within(asked, &format!("{header}?"), expected, codec::readings).await?);
        }
        let points = self.points().await?;
        let mut samples = Vec::new();
        while samples.len() < points {
            let count = PART.min(points - samples.len());
            let request = format!("{header}:BLOC? {},{count}", samples.len());
            let whole = |answer: &[u8]| codec::readings(answer).filter(|part| part.len() == count);
            samples.extend(self.session.ask_within(asked, &request, expected, whole).await?);
        }
        Ok(samples)
    }
}

#[async_trait(?Send)]
impl Logger for KeysightPm {
    async fn start_log(&mut self, setup: &LogSetup) -> Result<(), MeterError> {
        self.stop_functions().await?;
        for slot in self.log_slots() {
            self.log_parameters(slot, setup).await?;
        }
        match setup.start {
            LogStart::Now => {}
            LogStart::Trigger => self.trigger_inputs("CME").await?,
            LogStart::EachTrigger => self.trigger_inputs("SME").await?,
        }
        self.session.nothing_refused("FUNC:PAR:LOGG").await?;
        for slot in self.log_slots() {
            let command = format!("SENS{slot}:FUNC:STAT LOGG,STAR");
            self.session.send(&command).await?;
            if self.log_state(slot).await? == LogState::None {
                self.session.nothing_refused(&command).await?;
                return Err(self.no_log());
            }
        }
        Ok(())
    }

    async fn log_done(&mut self) -> Result<bool, MeterError> {
        let mut done = true;
        for slot in self.log_slots() {
            match self.log_state(slot).await? {
                LogState::None => return Err(self.no_log()),
                LogState::Running => done = false,
                LogState::Complete => {}
            }
        }
        Ok(done)
    }

    async fn read_log(&mut self) -> Result<Vec<Vec<Reading>>, MeterError> {
        // A log that was never started is told as that, and not as the meter's refusal to give it.
        self.log_done().await?;
        let mut log = Vec::new();
        for place in self.ports.clone() {
            log.push(self.log_of(place).await?);
        }
        Ok(log)
    }

    async fn end_log(&mut self) -> Result<(), MeterError> {
        self.stop_functions().await?;
        for place in self.masters() {
            let item = self.averaging_item(place);
            self.session.set(&item).await?;
        }
        Ok(())
    }
}
