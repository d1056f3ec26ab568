//! The light of the bench: source on and settled, what is launched, and what the tap says of the source.

use std::time::Duration;

use units::{Power, Reading, db_ratio};

use super::{Bench, BenchError};
use crate::config::Role;

/// Time between two looks at the tap while the source settles.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
