//! [`LightSource`] for Keysight lasers: known state item by item, on only when nothing forbids it, and settled.

use std::time::Duration;

use async_trait::async_trait;
use units::Power;

use super::codec::{self, LevelUnit};
use crate::exchange::{Line, LineError, Protocol, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::scpi;
use crate::source::{LightSource, SourceError, SourceSetup, SourceState};

/// Settings are answered within tens of milliseconds; a mainframe under load takes longer.
const QUERY_LIMIT: Duration = Duration::from_secs(1);
/// A laser that is switched on or tuned over its whole range has settled within some seconds.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// A laser that answers `*OPC?` only when it has settled may take this long; then the line counts as lost.
const SETTLE_ANSWER: Duration = Duration::from_secs(10);
/// `*OPC?` is asked again this long after a 0.
const SETTLE_POLL: Duration = Duration::from_millis(20);
/// Error queues hold some thirty entries; a queue that never empties is no queue.
const ERRORS_MAX: usize = 64;
/// Wavelengths read back as 32-bit numbers, good to 0.0001 nm; the laser's own grid is finer than this.
const WAVELENGTH_TOLERANCE_NM: f64 = 0.005;
/// Levels are set in steps of 0.01 dB.
const LEVEL_TOLERANCE_DB: f64 = 0.011;
/// What this driver drives, for messages.
const KIND: &str = "a Keysight laser";

/// A Keysight tunable laser.
pub struct KeysightLaser {
    line: Line,
    expected: Expected,
    identity: Identity,
    /// The level set at connect.
    level: Option<Power>,
}

fn harmless<'a>(request: &'a [u8], expected: &'static str) -> Query<'a> {
    Query { request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected }
}

/// Whether a level that was read is the one that was set.
fn is_level(set: Power, read: Power) -> bool {
    units::db_ratio(set, read).is_some_and(|db| db.abs() <= LEVEL_TOLERANCE_DB)
}

impl KeysightLaser {
    /// A driver over `line` for the laser `expected`; [`LightSource::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> KeysightLaser {
        line.speak(Protocol { requests: crate::requests::KEYSIGHT_LASER, ..scpi::PROTOCOL });
        KeysightLaser { line, expected, identity: Identity::default(), level: None }
    }

    fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    fn wrong_device(&self, found: String) -> SourceError {
        SourceError::WrongDevice {
            instrument: self.instrument(),
            port: self.line.port().to_string(),
            expected: self.expected.describe(KIND),
            found,
        }
    }

    fn refused(&self, command: &str, (code, meaning): (i64, String)) -> SourceError {
        SourceError::Refused { instrument: self.instrument(), command: command.to_string(), code, meaning }
    }

    fn interlock(&self) -> SourceError {
        SourceError::Interlock { instrument: self.instrument() }
    }

    /// Asks; a query that is not answered may have been refused, and then the error queue says why.
    async fn ask<T>(&mut self, query: &Query<'_>, parse: impl Fn(&[u8]) -> Option<T>) -> Result<T, SourceError> {
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
    async fn drain(&mut self) -> Result<Vec<(i64, String)>, LineError> {
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

    /// Why a setting did not take: the error queue's word, or that it reads back otherwise.
    async fn why(&mut self, what: &'static str, command: &str, set: String, read: String) -> SourceError {
        match self.drain().await {
            Err(e) => e.into(),
            Ok(errors) => match errors.into_iter().next() {
                Some(first) => self.refused(command, first),
                None => SourceError::ReadBack { instrument: self.instrument(), what, set, read },
            },
        }
    }

    async fn identify(&mut self) -> Result<(), SourceError> {
        let found = match self.line.identify().await {
            Ok(answer) => Identity::parse(&answer).unwrap_or_default(),
            Err(LineError::NotRecovered { heard, .. }) if scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
        if !codec::is_laser(&found) || !self.expected.admits(&found) {
            return Err(self.wrong_device(format!("{} {found}", found.maker)));
        }
        self.identity = found;
        Ok(())
    }

    async fn is_on(&mut self) -> Result<bool, SourceError> {
        self.ask(&harmless(b"POW:STAT?\n", "0 or 1"), scpi::boolean).await
    }

    async fn is_locked(&mut self) -> Result<bool, SourceError> {
        self.ask(&harmless(b"LOCK?\n", "0 or 1"), scpi::boolean).await
    }

    async fn unit(&mut self) -> Result<LevelUnit, SourceError> {
        self.ask(&harmless(b"SOUR0:POW:UNIT?\n", "0 or 1"), codec::level_unit).await
    }

    /// The level in watts, as it was set up. At another number than was set the unit is asked for: somebody at the front
    /// panel may have changed it. No dBm of a step of the laser's could be taken for the watts that were set.
    async fn read_level(&mut self) -> Result<Power, SourceError> {
        let told = self.ask(&harmless(b"POW?\n", "a power"), scpi::finite).await?;
        let watts = codec::level(told, LevelUnit::Watt);
        if self.level.is_some_and(|set| is_level(set, watts)) {
            return Ok(watts);
        }
        Ok(codec::level(told, self.unit().await?))
    }

    /// Watts rather than dBm, in which 0 and a thousandth are nearly the same.
    async fn set_unit(&mut self) -> Result<(), SourceError> {
        let command = "SOUR0:POW:UNIT 1";
        self.line.send(format!("{command}\n").as_bytes()).await?;
        match self.unit().await? {
            LevelUnit::Watt => Ok(()),
            LevelUnit::Dbm => Err(self.why("unit of power", command, "1".into(), "0".into()).await),
        }
    }

    async fn set_wavelength(&mut self, nm: f64) -> Result<(), SourceError> {
        let command = codec::set_wavelength(nm);
        self.line.send(format!("{command}\n").as_bytes()).await?;
        // It may still tune; what it reads back counts when it has settled.
        self.settled().await?;
        let read = self.ask(&harmless(b"SOUR0:WAV?\n", "a wavelength in metres"), codec::wavelength_nm).await?;
        if (read - nm).abs() <= WAVELENGTH_TOLERANCE_NM {
            return Ok(());
        }
        Err(self.why("wavelength", &command, format!("{nm} nm"), format!("{read:.4} nm")).await)
    }

    async fn set_level(&mut self, level: Power) -> Result<(), SourceError> {
        let Some(command) = codec::set_level(level) else {
            return Err(SourceError::NoSuchLevel { instrument: self.instrument(), watts: level.watts() });
        };
        self.line.send(format!("{command}\n").as_bytes()).await?;
        self.level = Some(level);
        let read = self.read_level().await?;
        if is_level(level, read) {
            return Ok(());
        }
        let text = |p: Power| p.dbm().map_or_else(|| format!("{} W", p.watts()), |dbm| format!("{dbm:.3} dBm"));
        Err(self.why("level", &command, text(level), text(read)).await)
    }

    /// Waits until the laser says that all operations are complete.
    async fn settled(&mut self) -> Result<(), SourceError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        // Some answer late, some at once with 0: both are waited for.
        let query = Query { limit: SETTLE_ANSWER, repeat: Repeat::Never, ..harmless(b"*OPC?\n", "0 or 1") };
        loop {
            let answer = self.line.query(&query, scpi::boolean).await;
            let waited = clock.now() - begun;
            match answer {
                Ok(true) => return Ok(()),
                Ok(false) if waited < SETTLE_LIMIT => clock.sleep(SETTLE_POLL).await,
                Ok(false) => {
                    let instrument = self.instrument();
                    return Err(SourceError::NotSettled { instrument, waited_s: waited.as_secs_f64() });
                }
                Err(e) if e.is_answer_lost() && waited < SETTLE_LIMIT => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

#[async_trait(?Send)]
impl LightSource for KeysightLaser {
    fn name(&self) -> &str {
        self.line.instrument()
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn tap(&self) -> &Tap {
        self.line.tap()
    }

    async fn connect(&mut self, setup: &SourceSetup) -> Result<(), SourceError> {
        self.identify().await?;
        self.line.send(b"*CLS\n").await?;
        self.drain().await?;
        // A locked laser that is off needs, and takes, no command.
        if self.is_on().await? {
            self.switch_off().await?;
        }
        self.set_wavelength(setup.wavelength_nm).await?;
        self.set_unit().await?;
        self.set_level(setup.level).await?;
        match self.drain().await?.into_iter().next() {
            Some(first) => Err(self.refused("connect", first)),
            None => Ok(()),
        }
    }

    async fn switch_on(&mut self) -> Result<(), SourceError> {
        if self.is_locked().await? {
            return Err(self.interlock());
        }
        let command = "SOUR0:POW:STAT 1";
        self.line.send(format!("{command}\n").as_bytes()).await?;
        self.settled().await?;
        if self.is_on().await? {
            return Ok(());
        }
        if self.is_locked().await? {
            return Err(self.interlock());
        }
        Err(self.why("output", command, "1".into(), "0".into()).await)
    }

    async fn switch_off(&mut self) -> Result<(), SourceError> {
        let command = "SOUR0:POW:STAT 0";
        // At once, whatever the line is waiting for: light that should be off is not kept waiting.
        self.line.send_urgent(format!("{command}\n").as_bytes()).await?;
        if !self.is_on().await? {
            return Ok(());
        }
        Err(self.why("output", command, "0".into(), "1".into()).await)
    }

    async fn state(&mut self) -> Result<SourceState, SourceError> {
        let on = self.is_on().await?;
        let interlock_open = self.is_locked().await?;
        Ok(SourceState { on, interlock_open, level: self.read_level().await? })
    }
}
