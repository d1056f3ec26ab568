//! The light of the bench: source on and settled, what is launched, and what the tap says of the source.

use std::time::Duration;

use units::{Power, Reading, db_ratio};

use super::{Bench, BenchError};
use crate::config::Role;

/// Time between two looks at the tap while the source settles.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A reference may differ by this from what the source's level and the path's loss promise, dB.
const REFERENCE_SLACK_DB: f64 = 3.0;

/// Why a reference measurement is none.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The bench.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The tap still wandered.
    #[error("the source has not settled")]
    Unsettled,
    /// Too much light for the meter's range.
    #[error("the signal meter is saturated: its range does not hold the launched power")]
    Saturated,
    /// What was read is far from what the source promises.
    #[error("the signal meter reads {found}, where the source promises {promised_dbm:.2} dBm")]
    Implausible {
        /// What was read.
        found: String,
        /// Level less path loss, dBm.
        promised_dbm: f64,
    },
}

impl Bench {
    /// Switches the source on and waits until it says it has settled and, where there is a tap, until two looks at it
    /// agree within `within_db`; returns whether they did within `limit`.
    ///
    /// # Errors
    /// Source and meter errors; an open interlock is one.
    pub async fn source_on(&mut self, within_db: f64, limit: Duration) -> Result<bool, BenchError> {
        let end = self.clock.now() + limit;
        self.source.switch_on().await?;
        if self.config.tap().is_none() {
            return Ok(true);
        }
        let mut last = self.tap().await?;
        while self.clock.now() < end {
            self.clock.sleep(LOOK_EVERY).await;
            let now = self.tap().await?;
            let change = last.zip(now).and_then(|(a, b)| db_ratio(a, b));
            if change.is_some_and(|db| db.abs() <= within_db) {
                return Ok(true);
            }
            last = now;
        }
        Ok(false)
    }

    /// Measures the launched power with the reference patch cord from the source to the signal meter: dark level, source
    /// on and settled, mean of `count` readings, source off. Nothing moves.
    ///
    /// # Errors
    /// Source and meter errors; [`ReferenceError`] when what is read cannot be the launched power.
    pub async fn measure_reference(&mut self, count: u32) -> Result<Power, ReferenceError> {
        let measured = self.lit_signal(count).await;
        self.source.switch_off().await.map_err(BenchError::from)?;
        let power = measured?;
        let promised = self.promised();
        match db_ratio(promised, power) {
            Some(db) if db.abs() <= REFERENCE_SLACK_DB => Ok(power),
            _ => Err(ReferenceError::Implausible {
                found: power.dbm().map_or("no light".to_string(), |dbm| format!("{dbm:.2} dBm")),
                promised_dbm: promised.dbm().unwrap_or_default(),
            }),
        }
    }

    async fn lit_signal(&mut self, count: u32) -> Result<Power, ReferenceError> {
        if !self.source_on(0.02, Duration::from_secs(30)).await? {
            return Err(ReferenceError::Unsettled);
        }
        let mut sum = 0.0;
        for _ in 0..count.max(1) {
            let reading = self.read_signal().await?;
            let power = match reading {
                Reading::Power(p) => p,
                Reading::UnderRange => Power::ZERO,
                Reading::Saturated => return Err(ReferenceError::Saturated),
            };
            sum += power.watts() / f64::from(count.max(1));
        }
        Ok(Power::from_watts(sum))
    }

    /// Switches the source off.
    ///
    /// # Errors
    /// Source errors.
    pub async fn source_off(&mut self) -> Result<(), BenchError> {
        Ok(self.source.switch_off().await?)
    }

    /// Whether the source says it is on.
    ///
    /// # Errors
    /// Source errors.
    pub async fn source_is_on(&mut self) -> Result<bool, BenchError> {
        Ok(self.source.state().await?.on)
    }

    /// The power at the tap; `None` without a tap or when its reading is no power.
    async fn tap(&mut self) -> Result<Option<Power>, BenchError> {
        let readings = self.read().await?;
        Ok(self.of_tap(&readings))
    }

    fn of_tap(&self, readings: &[Reading]) -> Option<Power> {
        let index = self.config.channels.iter().position(|c| matches!(c.role, Role::Tap { .. }))?;
        readings.get(index)?.power()
    }

    /// The signal's reading among those of [`Bench::read`].
    pub fn of_signal(&self, readings: &[Reading]) -> Option<Reading> {
        let index = self.config.channels.iter().position(|c| c.role == Role::Signal)?;
        readings.get(index).copied()
    }

    /// The launched power that the tap shows among readings of [`Bench::read`].
    pub fn launched_by_tap(&self, readings: &[Reading]) -> Option<Power> {
        let (_, ratio) = self.config.tap()?;
        self.of_tap(readings).map(|p| Power::from_watts(p.watts() / ratio))
    }

    /// The power the source's level promises at the point of launch.
    pub fn promised(&self) -> Power {
        self.config.source.level.attenuated(self.config.source.path_loss_db)
    }
}
