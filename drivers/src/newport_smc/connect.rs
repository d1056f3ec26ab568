//! Bringing a chain of controllers to its known state, item by item; nothing moves.

use std::collections::BTreeMap;

use super::codec::{self, State};
use super::driver::{Channel, NewportSmc, same};
use crate::exchange::LineError;
use crate::motion::{ChannelSetup, MotionController as _, MotionError};

/// Addresses of a chain.
const ADDRESSES: std::ops::RangeInclusive<u8> = 1..=31;
/// What this driver drives, for messages.
const KIND: &str = "a Newport SMC100, CONEX-CC or CONEX-PP controller";

impl NewportSmc {
    pub(super) async fn set_up(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        self.identify().await?;
        self.find_channels(setup).await?;
        // What the last program left in the registers is nobody's fault now.
        self.cleared_at = u64::MAX;
        for s in setup {
            let Some(c) = self.channels.get(&s.channel).cloned() else { continue };
            self.check_travel(s, &c).await?;
            self.bring(&c).await?;
        }
        Ok(())
    }

    async fn identify(&mut self) -> Result<(), MotionError> {
        let mut found = match self.line.identify().await {
            Ok(answer) => codec::identity(&answer).unwrap_or_default(),
            Err(LineError::NotRecovered { heard, .. }) if crate::scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
        let asked = self.ask("all", 1, "ID?", "a stage name", |a| codec::stage(a, 1)).await;
        match asked {
            Ok((_, serial)) => found.serial = serial,
            // Without a stage there is no name.
            Err(MotionError::Refused { .. }) => {}
            Err(e) => return Err(e),
        }
        if !self.expected.admits(&found) {
            return Err(self.wrong_device(format!("{} {found}", found.maker)));
        }
        self.identity = found;
        Ok(())
    }

    fn wrong_device(&self, found: String) -> MotionError {
        MotionError::WrongDevice {
            instrument: self.instrument(),
            port: self.line.port().to_string(),
            expected: self.expected.describe(KIND),
            found,
        }
    }

    /// Every address must answer.
    async fn find_channels(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        self.channels = BTreeMap::new();
        for s in setup {
            let address = s.channel.parse::<u8>().ok().filter(|a| ADDRESSES.contains(a));
            let Some(address) = address else { return Err(self.no_channel(&s.axis, &s.channel)) };
            let c = Channel::new(s, address);
            match self.status(&c).await {
                Ok(_) => self.channels.insert(s.channel.clone(), c),
                Err(MotionError::Line(e)) if e.is_no_answer() => return Err(self.no_channel(&s.axis, &s.channel)),
                Err(e) => return Err(e),
            };
        }
        Ok(())
    }

    /// The range of the bench must lie within the soft limits, which the stage's own are at power-on. Narrower ones of an
    /// earlier bench file are widened where the controller lets them be.
    async fn check_travel(&mut self, s: &ChannelSetup, c: &Channel) -> Result<(), MotionError> {
        let (lower, upper) = c.limits;
        let low = self.number(c, "SL?").await?;
        let high = self.number(c, "SR?").await?;
        let fits = |low: f64, high: f64| (low <= lower || same(lower, low)) && (upper <= high || same(upper, high));
        if fits(low, high) {
            return Ok(());
        }
        if self.status(c).await?.state == State::Ready && self.limits(c).await.is_ok() {
            return Ok(());
        }
        let factor = c.unit.factor();
        Err(MotionError::RangeOutsideTravel {
            instrument: self.instrument(),
            axis: s.axis.clone(),
            channel: s.channel.clone(),
            lower: s.range.0,
            upper: s.range.1,
            travel_lower: low * factor,
            travel_upper: high * factor,
        })
    }

    /// Motor on, and the settings where the controller takes them.
    async fn bring(&mut self, c: &Channel) -> Result<(), MotionError> {
        let mut status = self.status(c).await?;
        if matches!(status.state, State::Moving | State::Homing | State::Jogging) {
            // A motion of an earlier program.
            self.stop_all().await?;
            status = self.status(c).await?;
        }
        match status.state {
            // `reference` does the rest.
            State::NotReferenced => return Ok(()),
            State::Configuration => return Err(self.refused(&c.axis, "VA", 'I')),
            State::Disabled => {
                self.set(c, &format!("{}MM1", c.address)).await?;
                if self.status(c).await?.state != State::Ready {
                    return Err(self.read_back(&c.axis, "motor", 1.0, 0.0));
                }
            }
            _ => {}
        }
        self.apply(c).await
    }

    /// Velocity and soft limits of an axis that is referenced.
    pub(super) async fn apply(&mut self, c: &Channel) -> Result<(), MotionError> {
        self.set_number(c, "VA", "velocity", c.velocity).await?;
        self.limits(c).await
    }

    async fn limits(&mut self, c: &Channel) -> Result<(), MotionError> {
        self.set_number(c, "SL", "lower soft limit", c.limits.0).await?;
        self.set_number(c, "SR", "upper soft limit", c.limits.1).await
    }
}
