//! [`MotionController`] for APT controllers: moves, waits, stops.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::codec::{self, Answer, Fields, Status};
use super::stages::Class;
use crate::exchange::{Line, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::motion::{ChannelSetup, ChannelState, ChannelUnit, MotionController, MotionError};

/// Answers are 26 bytes at the most here; FTDI's latency timer is 16 ms, a busy controller takes some 10 ms more.
const QUERY_LIMIT: Duration = Duration::from_millis(500);
/// Homing of a long stage at 1 mm/s.
const HOME_LIMIT: Duration = Duration::from_secs(300);
/// A controller that was told to home says that it does within this.
const HOME_BEGINS: Duration = Duration::from_secs(1);
/// Axes decelerate within tenths of a second; a stop that takes longer is told.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Rest elsewhere than the target for this long is the end of the move: orders begin within some 10 ms, and a move that
/// takes out backlash rests between its two legs.
const IDLE: Duration = Duration::from_millis(300);
/// Waits are polled at an eighth of the time waited so far, so that polling adds an eighth at the most,
const POLL_SHARE: u32 = 8;
/// never faster than a move can end,
const POLL_MIN: Duration = Duration::from_millis(2);
/// and never slower than an operator would notice.
const POLL_MAX: Duration = Duration::from_millis(20);
/// A target farther off than this was not reached: some counts of the coarsest encoder (0.5 um). um.
const TOLERANCE_UM: f64 = 1.5;
/// The same for rotations, degrees: some counts of a PRM1.
const TOLERANCE_DEG: f64 = 0.002;
/// A piezo under closed loop comes this close, share of its travel: resolution and noise of its strain gauge.
const TOLERANCE_PIEZO: f64 = 0.005;

/// What the driver keeps of one channel.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) axis: String,
    pub(super) dest: u8,
    /// Counts per um or degree.
    pub(super) counts: f64,
    /// um or degrees.
    pub(super) tolerance: f64,
    /// Range of the bench, um or degrees.
    pub(super) range: (f64, f64),
}

impl Channel {
    pub(super) fn motor(setup: &ChannelSetup, dest: u8, counts_per_unit: f64) -> Channel {
        let tolerance = if setup.unit == ChannelUnit::Degree { TOLERANCE_DEG } else { TOLERANCE_UM };
        // Stages are told per mm; a channel in um has the same stage.
        let per = if setup.unit == ChannelUnit::Degree { 1.0 } else { 1000.0 };
        Channel { axis: setup.axis.clone(), dest, counts: counts_per_unit / per, tolerance, range: setup.range }
    }

    pub(super) fn piezo(setup: &ChannelSetup, dest: u8, travel_um: f64) -> Channel {
        let counts = 32_767.0 / travel_um;
        let tolerance = TOLERANCE_PIEZO * travel_um;
        Channel { axis: setup.axis.clone(), dest, counts, tolerance, range: setup.range }
    }

    /// Whole counts of a position, um or degrees.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates; the range was checked against the counter's at connect"
    )]
    pub(super) fn to_counts(&self, position: f64) -> i32 {
        (position * self.counts).round() as i32
    }

    fn position(&self, status: Status) -> f64 {
        f64::from(status.counts) / self.counts
    }
}

/// An APT controller of motors or of a piezo.
pub struct Apt {
    pub(super) line: Line,
    pub(super) expected: Expected,
    pub(super) identity: Identity,
    pub(super) class: Class,
    pub(super) channels: BTreeMap<String, Channel>,
    /// Targets of moves that were ordered, um or degrees.
    targets: BTreeMap<String, f64>,
}

fn pause(waited: Duration) -> Duration {
    (waited / POLL_SHARE).clamp(POLL_MIN, POLL_MAX)
}

impl Apt {
    /// A driver over `line` for the controller `expected`; [`MotionController::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> Apt {
        line.speak_binary(codec::protocol(false), codec::is_aside);
        Apt {
            line,
            expected,
            identity: Identity::default(),
            class: Class::Dc,
            channels: BTreeMap::new(),
            targets: BTreeMap::new(),
        }
    }

    pub(super) fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    pub(super) fn read_back(&self, axis: &str, what: &'static str, set: String, read: String) -> MotionError {
        MotionError::ReadBack { instrument: self.instrument(), axis: axis.to_string(), what, set, read }
    }

    fn known(&self, channels: &[&str]) -> Result<Vec<Channel>, MotionError> {
        channels
            .iter()
            .map(|channel| {
                self.channels.get(*channel).cloned().ok_or_else(|| MotionError::NoChannel {
                    instrument: self.instrument(),
                    axis: (*channel).to_string(),
                    channel: (*channel).to_string(),
                    available: self.channels.keys().cloned().collect::<Vec<_>>().join(", "),
                })
            })
            .collect()
    }

    /// Asks with a message without data, whose answer is the message next to it, from where it went.
    pub(super) async fn ask<T>(
        &mut self,
        about: (&str, &'static str),
        request: [u8; 2],
        (id, dest): (u16, u8),
        read: impl Fn(Fields<'_>) -> Option<T>,
    ) -> Result<T, MotionError> {
        self.ask_for(about, request, (id, id + 1, dest), read).await
    }

    /// Asks with a message without data (identifier, answer's identifier, address). `about`: axis, what is asked for.
    pub(super) async fn ask_for<T>(
        &mut self,
        (axis, what): (&str, &'static str),
        request: [u8; 2],
        (id, get, dest): (u16, u16, u8),
        read: impl Fn(Fields<'_>) -> Option<T>,
    ) -> Result<T, MotionError> {
        let bytes = codec::short(id, request[0], request[1], dest);
        let query = Query { request: &bytes, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected: what };
        match self.line.query(&query, |a| codec::answer(a, get, dest, &read)).await? {
            Answer::Value(value) => Ok(value),
            Answer::Refused(code, words) => Err(MotionError::Refused {
                instrument: self.instrument(),
                axis: axis.to_string(),
                command: what.to_string(),
                code,
                meaning: if words.is_empty() { "no words".to_string() } else { words },
            }),
        }
    }

    pub(super) async fn status(&mut self, channel: &Channel) -> Result<Status, MotionError> {
        let (id, read): (u16, fn(Fields<'_>) -> Option<Status>) = match self.class {
            Class::Stepper => (codec::REQ_STATUS, codec::status),
            Class::Piezo => (codec::REQ_PIEZO_STATUS, codec::piezo_status),
            _ => (codec::REQ_DC_STATUS, codec::status),
        };
        let mut status = self.ask((&channel.axis, "a status"), [1, 0], (id, channel.dest), read).await?;
        if self.class == Class::Piezo {
            // A piezo needs no home, and its bits of motion mean other things.
            let zeroing = if status.bits & codec::ZEROING != 0 { codec::HOMING } else { 0 };
            let zeroed = if status.bits & codec::ZEROED != 0 { codec::SETTLED } else { 0 };
            status.bits = codec::HOMED | zeroing | zeroed | status.bits & codec::ENABLED;
        }
        Ok(status)
    }

    async fn statuses(&mut self, channels: &[&str]) -> Result<Vec<(Channel, Status)>, MotionError> {
        let mut found = Vec::new();
        for channel in self.known(channels)? {
            let status = self.status(&channel).await?;
            found.push((channel, status));
        }
        Ok(found)
    }

    /// The first of these that cannot move is told.
    fn movable(&self, found: &[(Channel, Status)]) -> Result<(), MotionError> {
        for (channel, status) in found {
            if status.bits & codec::HOMED == 0 {
                return Err(MotionError::NotReferenced { instrument: self.instrument(), axis: channel.axis.clone() });
            }
            if status.bits & codec::ENABLED == 0 {
                return Err(self.read_back(&channel.axis, "channel", "enabled".into(), "disabled".into()));
            }
        }
        Ok(())
    }

    /// Orders moves of channels that can, all in one write.
    async fn order(&mut self, targets: &[(&str, f64)]) -> Result<(), MotionError> {
        let mut bytes = Vec::new();
        for (name, target) in targets {
            let Some(channel) = self.channels.get(*name) else { continue };
            let counts = channel.to_counts(*target);
            bytes.extend(if self.class == Class::Piezo {
                let word = u16::try_from(counts.clamp(0, 32_767)).unwrap_or(0);
                codec::long(codec::SET_OUTPUT_POSITION, &[&word.to_le_bytes()], channel.dest)
            } else {
                codec::long(codec::MOVE_ABSOLUTE, &[&counts.to_le_bytes()], channel.dest)
            });
        }
        self.line.send(&bytes).await?;
        self.targets.extend(targets.iter().map(|(name, target)| ((*name).to_string(), *target)));
        Ok(())
    }

    fn arrived(&self, name: &str, channel: &Channel, status: Status) -> bool {
        let near = |target: &f64| (channel.position(status) - target).abs() <= channel.tolerance;
        let settled = self.class != Class::Brushless || status.bits & codec::SETTLED != 0;
        status.bits & codec::MOVING == 0 && settled && self.targets.get(name).is_none_or(near)
    }

    /// Why a channel rests elsewhere than at its target.
    fn elsewhere(&self, name: &str, channel: &Channel, status: Status) -> MotionError {
        if let Some((code, meaning)) = codec::fault(status.bits) {
            return MotionError::Refused {
                instrument: self.instrument(),
                axis: channel.axis.clone(),
                command: "MOT_MOVE_ABSOLUTE".into(),
                code,
                meaning: meaning.into(),
            };
        }
        MotionError::ElsewhereThanTarget {
            instrument: self.instrument(),
            axis: channel.axis.clone(),
            target: self.targets.get(name).copied().unwrap_or(f64::NAN),
            position: channel.position(status),
        }
    }

    fn not_finished(&self, axis: &str, what: &'static str, waited: Duration, position: f64) -> MotionError {
        MotionError::NotFinished {
            instrument: self.instrument(),
            axis: axis.to_string(),
            what,
            waited_s: waited.as_secs_f64(),
            position,
        }
    }

    /// Waits for the end of homing (of a piezo: zeroing), which must be seen to begin.
    async fn homed(&mut self, channel: &Channel) -> Result<(), MotionError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let done = if self.class == Class::Piezo { codec::SETTLED } else { codec::HOMED };
        let mut seen = false;
        loop {
            let status = self.status(channel).await?;
            let waited = clock.now() - begun;
            let homing = status.bits & codec::HOMING != 0;
            seen |= homing || status.bits & done == 0;
            if seen && !homing && status.bits & done != 0 {
                return Ok(());
            }
            if waited >= if homing { HOME_LIMIT } else { HOME_BEGINS } {
                return Err(self.not_finished(&channel.axis, "reference search", waited, channel.position(status)));
            }
            clock.sleep(pause(waited)).await;
        }
    }

    /// Addresses that a stop goes to.
    fn stopped(&self) -> Vec<u8> {
        if self.channels.is_empty() {
            return vec![codec::UNIT, codec::BAY, codec::BAY + 1, codec::BAY + 2];
        }
        self.channels.values().map(|c| c.dest).collect()
    }
}

#[async_trait(?Send)]
impl MotionController for Apt {
    fn name(&self) -> &str {
        self.line.instrument()
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn tap(&self) -> &Tap {
        self.line.tap()
    }

    async fn connect(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        self.targets.clear();
        self.set_up(setup).await
    }

    async fn states(&mut self, channels: &[&str]) -> Result<Vec<ChannelState>, MotionError> {
        let found = self.statuses(channels).await?;
        let state = |(channel, status): &(Channel, Status)| ChannelState {
            referenced: status.bits & codec::HOMED != 0,
            servo: status.bits & codec::ENABLED != 0,
            position: channel.position(*status),
        };
        Ok(found.iter().map(state).collect())
    }

    async fn positions(&mut self, channels: &[&str]) -> Result<Vec<f64>, MotionError> {
        let found = self.statuses(channels).await?;
        Ok(found.iter().map(|(channel, status)| channel.position(*status)).collect())
    }

    async fn reference(&mut self, channel: &str) -> Result<(), MotionError> {
        let about = self.known(&[channel])?.remove(0);
        self.targets.remove(channel);
        self.enable(&about).await?;
        let id = if self.class == Class::Piezo { codec::SET_ZERO } else { codec::MOVE_HOME };
        self.line.send(&codec::short(id, 1, 0, about.dest)).await?;
        self.homed(&about).await?;
        self.soft_limits(&about, true).await
    }

    async fn set_velocity(&mut self, velocities: &[(&str, f64)]) -> Result<(), MotionError> {
        let channels: Vec<&str> = velocities.iter().map(|(c, _)| *c).collect();
        for (channel, (_, velocity)) in self.known(&channels)?.iter().zip(velocities) {
            self.velocity(channel, *velocity).await?;
        }
        Ok(())
    }

    async fn start_move(&mut self, targets: &[(&str, f64)]) -> Result<(), MotionError> {
        let channels: Vec<&str> = targets.iter().map(|(c, _)| *c).collect();
        for channel in &channels {
            self.targets.remove(*channel);
        }
        let found = self.statuses(&channels).await?;
        self.movable(&found)?;
        self.order(targets).await
    }

    async fn start_move_by(&mut self, distances: &[(&str, f64)]) -> Result<(), MotionError> {
        let channels: Vec<&str> = distances.iter().map(|(c, _)| *c).collect();
        let found = self.statuses(&channels).await?;
        self.movable(&found)?;
        // Sent as absolute targets: with a relative move nobody could tell afterwards where it was to end.
        let target = |((name, distance), (channel, status)): (&(&str, f64), &(Channel, Status))| {
            self.targets.get(*name).copied().unwrap_or_else(|| channel.position(*status)) + distance
        };
        let targets: Vec<f64> = distances.iter().zip(&found).map(target).collect();
        let targets: Vec<(&str, f64)> = channels.into_iter().zip(targets).collect();
        self.order(&targets).await
    }

    async fn on_target(&mut self, channels: &[&str]) -> Result<bool, MotionError> {
        let found = self.statuses(channels).await?;
        Ok(channels.iter().zip(&found).all(|(name, (channel, status))| self.arrived(name, channel, *status)))
    }

    async fn wait_on_target(&mut self, channels: &[&str], limit: Duration) -> Result<(), MotionError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let mut moved = begun;
        loop {
            let found = self.statuses(channels).await?;
            // A restart loses the home, and with it the meaning of every position.
            self.movable(&found)?;
            let now = clock.now();
            let away = channels.iter().zip(&found).find(|(name, (c, status))| !self.arrived(name, c, *status));
            let Some((name, (channel, status))) = away else { return Ok(()) };
            if found.iter().any(|(_, s)| s.bits & codec::MOVING != 0) {
                moved = now;
            } else if now - moved >= IDLE {
                return Err(self.elsewhere(name, channel, *status));
            }
            let waited = now - begun;
            if waited >= limit {
                return Err(self.not_finished(&channel.axis, "move", waited, channel.position(*status)));
            }
            clock.sleep(pause(waited).min(limit - waited)).await;
        }
    }

    async fn stop_all(&mut self) -> Result<(), MotionError> {
        // A stepper stopped at once would lose steps, and with them its position.
        let how = if self.class == Class::Stepper { 2 } else { 1 };
        let orders = self.stopped().into_iter().map(|dest| codec::short(codec::MOVE_STOP, 1, how, dest));
        if self.class != Class::Piezo {
            self.line.send_urgent(&orders.collect::<Vec<_>>().concat()).await?;
        }
        self.targets.clear();
        let channels: Vec<String> = self.channels.keys().cloned().collect();
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        let clock = self.line.clock().clone();
        let begun = clock.now();
        loop {
            let found = self.statuses(&channels).await?;
            let Some((channel, status)) = found.iter().find(|(_, s)| s.bits & codec::MOVING != 0) else {
                return Ok(());
            };
            let waited = clock.now() - begun;
            if waited >= STOP_LIMIT {
                return Err(self.not_finished(&channel.axis, "stop", waited, channel.position(*status)));
            }
            clock.sleep(pause(waited)).await;
        }
    }
}
