//! [`MotionController`] for GCS 2.0: moves, waits, stops; every lost answer is made good by reading back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use super::codec;
use crate::alignment::FastAlignment;
use crate::exchange::{Line, LineError, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::motion::{ChannelSetup, ChannelState, ChannelUnit, MotionController, MotionError, Pivot};

/// An answer of six axes at 9600 baud takes 120 ms; controllers answer within some 20 ms.
const QUERY_LIMIT: Duration = Duration::from_millis(500);
/// A reference move over a long stage at creeping speed.
const REFERENCE_LIMIT: Duration = Duration::from_secs(120);
/// Axes decelerate within tenths of a second; a stop that takes longer is told.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Waits are polled at an eighth of the time waited so far, so that polling adds an eighth at the most,
const POLL_SHARE: u32 = 8;
/// never faster than a move can end,
const POLL_MIN: Duration = Duration::from_millis(2);
/// and never slower than an operator would notice.
const POLL_MAX: Duration = Duration::from_millis(20);
/// Polls in which an axis neither moves nor arrives before the controller is asked why: settling takes some.
const IDLE_POLLS: u32 = 5;
/// A settle window is some encoder steps; a target farther off than this was not reached. um.
const ARRIVAL_TOLERANCE_UM: f64 = 2.0;
/// The same for rotations, degrees.
const ARRIVAL_TOLERANCE_DEG: f64 = 0.002;
/// An axis that is nearer its target than this share of it was not stopped on its way there.
const THERE_SHARE: f64 = 0.05;
/// Controllers print six decimals, and some compute in 32 bits.
const DECIMALS: f64 = 1e-6;

/// What the driver keeps of one channel.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) axis: String,
    pub(super) unit: ChannelUnit,
    /// Bit in the answer to 0x05.
    pub(super) bit: u64,
}

impl Channel {
    /// um or degrees per controller unit.
    pub(super) fn factor(&self) -> f64 {
        self.unit.factor()
    }

    fn tolerance(&self) -> f64 {
        match self.unit {
            ChannelUnit::Degree => ARRIVAL_TOLERANCE_DEG,
            ChannelUnit::Millimetre | ChannelUnit::Micrometre => ARRIVAL_TOLERANCE_UM,
        }
    }
}

/// A GCS 2.0 controller.
pub struct Gcs2 {
    pub(super) line: Line,
    pub(super) expected: Expected,
    pub(super) identity: Identity,
    /// Command words of `HLP?`; empty where the controller does not list them.
    pub(super) commands: BTreeSet<String>,
    pub(super) channels: BTreeMap<String, Channel>,
    /// Targets in controller units of moves that the controller accepted.
    targets: BTreeMap<String, f64>,
    /// Velocities asked for, controller units a second: of a platform the least of them holds for all.
    pub(super) velocities: BTreeMap<String, f64>,
    /// Coordinate systems that must be in force on a hexapod.
    pub(super) coordinates: Vec<String>,
    /// The line's recoveries after which the error register was last read.
    cleared_at: u64,
}

/// Whether a controller's number is the one sent, but for the decimals it prints.
pub(super) fn same(sent: f64, read: f64) -> bool {
    (sent - read).abs() <= DECIMALS * (1.0 + sent.abs())
}

pub(super) fn harmless<'a>(request: &'a [u8], expected: &'static str) -> Query<'a> {
    Query { request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected }
}

pub(super) fn pause(waited: Duration) -> Duration {
    (waited / POLL_SHARE).clamp(POLL_MIN, POLL_MAX)
}

impl Gcs2 {
    /// A driver over `line` for the controller `expected`; [`MotionController::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> Gcs2 {
        line.speak(codec::PROTOCOL);
        Gcs2 {
            line,
            expected,
            identity: Identity::default(),
            commands: BTreeSet::new(),
            channels: BTreeMap::new(),
            targets: BTreeMap::new(),
            velocities: BTreeMap::new(),
            coordinates: vec!["ZERO".to_string()],
            cleared_at: 0,
        }
    }

    /// Whether the controller's axes need a reference: old firmware does not list what it has.
    fn references(&self) -> bool {
        self.commands.is_empty() || ["FRF", "FRF?", "RON"].iter().any(|c| self.commands.contains(*c))
    }

    /// Whether all axes have one velocity.
    fn is_platform(&self) -> bool {
        self.commands.contains("VLS") && !self.commands.contains("VEL")
    }

    pub(super) fn forget_target(&mut self, channel: &str) {
        self.targets.remove(channel);
    }

    pub(super) fn no_channel(&self, channel: &str) -> MotionError {
        MotionError::NoChannel {
            instrument: self.instrument(),
            axis: channel.to_string(),
            channel: channel.to_string(),
            available: self.channels.keys().cloned().collect::<Vec<_>>().join(", "),
        }
    }

    /// Sets the velocity of a platform: no axis goes faster than it was asked to.
    async fn set_platform_velocity(&mut self, asked: &[(&str, f64)]) -> Result<(), MotionError> {
        self.velocities.extend(asked.iter().map(|(c, v)| ((*c).to_string(), *v)));
        let least = self.velocities.values().copied().fold(f64::INFINITY, f64::min);
        if !least.is_finite() {
            return Ok(());
        }
        self.set("all", &format!("VLS {}", codec::number(least))).await?;
        let read = self.ask("all", &harmless(b"VLS?\n", "a velocity"), crate::scpi::finite).await?;
        if same(least, read) {
            return Ok(());
        }
        Err(self.read_back("all".into(), "platform velocity", codec::number(least), codec::number(read)))
    }

    pub(super) fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    /// What is kept of these channels, in their order.
    pub(super) fn known(&self, channels: &[&str]) -> Result<Vec<Channel>, MotionError> {
        let find = |channel: &&str| self.channels.get(*channel).cloned().ok_or_else(|| self.no_channel(channel));
        channels.iter().map(find).collect()
    }

    pub(super) fn axis(&self, channel: &str) -> String {
        self.channels.get(channel).map_or_else(|| channel.to_string(), |c| c.axis.clone())
    }

    fn axes(&self, channels: &[&str]) -> String {
        channels.iter().map(|c| self.axis(c)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn refused(&self, axis: String, command: &str, code: i64) -> MotionError {
        MotionError::Refused {
            instrument: self.instrument(),
            axis,
            command: command.to_string(),
            code,
            meaning: codec::meaning(code).to_string(),
        }
    }

    pub(super) fn read_back(&self, axis: String, what: &'static str, set: String, read: String) -> MotionError {
        MotionError::ReadBack { instrument: self.instrument(), axis, what, set, read }
    }

    /// Brings the line back; where a pending error keeps old firmware from saying who it is, the error is read first.
    pub(super) async fn bring_back(&mut self) -> Result<(), LineError> {
        match self.line.ready().await {
            Err(LineError::NotRecovered { .. }) => {
                self.line.send_urgent(codec::ERROR).await?;
                self.line.ready().await
            }
            done => done,
        }
    }

    /// Reads and thereby clears the error register.
    pub(super) async fn error(&mut self) -> Result<i64, LineError> {
        self.bring_back().await?;
        self.cleared_at = self.line.recoveries();
        let query = Query { repeat: Repeat::Never, ..harmless(codec::ERROR, "an error code") };
        self.line.query(&query, codec::error_code).await
    }

    /// Asks; a query that is not answered may have been refused, and then the register says why.
    pub(super) async fn ask<T>(
        &mut self,
        axis: &str,
        query: &Query<'_>,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, MotionError> {
        let failure = match self.line.query(query, parse).await {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if failure.is_no_answer()
            && let Ok(code @ 1..) = self.error().await
        {
            let command = String::from_utf8_lossy(query.request).trim_end().to_string();
            return Err(self.refused(axis.to_string(), &command, code));
        }
        Err(failure.into())
    }

    /// Makes the line ready for a set command: what was in the error register before the line was lost must not be
    /// blamed on the next one.
    async fn settle(&mut self) -> Result<(), LineError> {
        self.bring_back().await?;
        if self.cleared_at == self.line.recoveries() {
            return Ok(());
        }
        // Read to be thrown away, so it may be asked again.
        let code = self.line.query(&harmless(codec::ERROR, "an error code"), codec::error_code).await?;
        if code != 0 {
            tracing::warn!(instrument = self.line.instrument(), code, "error from before the line came back");
        }
        self.cleared_at = self.line.recoveries();
        Ok(())
    }

    /// Sends a set command on a settled line and reads its result. Never sent twice.
    async fn set_once(&mut self, axis: &str, command: &str) -> Result<(), MotionError> {
        let request = codec::checked(command);
        let query = Query { repeat: Repeat::Never, ..harmless(&request, "an error code") };
        match self.line.query(&query, codec::error_code).await? {
            0 => Ok(()),
            code => Err(self.refused(axis.to_string(), command, code)),
        }
    }

    /// Sends a setting that is read back next: a lost answer is no failure.
    pub(super) async fn set(&mut self, axis: &str, command: &str) -> Result<(), MotionError> {
        self.settle().await?;
        match self.set_once(axis, command).await {
            Err(MotionError::Line(e)) if e.is_answer_lost() => Ok(()),
            done => done,
        }
    }

    pub(super) async fn numbers(&mut self, mnemonic: &str, channels: &[&str]) -> Result<Vec<f64>, MotionError> {
        let request = codec::query(mnemonic, channels);
        let axes = self.axes(channels);
        self.ask(&axes, &harmless(&request, "a number for each axis"), |a| codec::axis_numbers(a, channels)).await
    }

    pub(super) async fn flags(&mut self, mnemonic: &str, channels: &[&str]) -> Result<Vec<bool>, MotionError> {
        let request = codec::query(mnemonic, channels);
        let axes = self.axes(channels);
        self.ask(&axes, &harmless(&request, "0 or 1 for each axis"), |a| codec::axis_flags(a, channels)).await
    }

    async fn moving(&mut self) -> Result<u64, MotionError> {
        self.ask("all", &harmless(codec::MOTION_STATUS, "a hexadecimal mask"), codec::motion_mask).await
    }

    pub(super) async fn servo_on(&mut self, channels: &[&str]) -> Result<(), MotionError> {
        let pairs: Vec<(&str, f64)> = channels.iter().map(|c| (*c, 1.0)).collect();
        self.set(&self.axes(channels), &codec::command("SVO", &pairs)).await?;
        let on = self.flags("SVO", channels).await?;
        match channels.iter().zip(on).find(|(_, on)| !on) {
            Some((channel, _)) => Err(self.read_back(self.axis(channel), "servo", "1".into(), "0".into())),
            None => Ok(()),
        }
    }

    /// Sends a move and makes sure that the controller took it; `targets` are in controller units.
    async fn start(&mut self, command: &str, targets: &[(&str, f64)]) -> Result<(), MotionError> {
        let channels: Vec<&str> = targets.iter().map(|(c, _)| *c).collect();
        for channel in &channels {
            self.targets.remove(*channel);
        }
        let axes = self.axes(&channels);
        self.settle().await?;
        match self.set_once(&axes, command).await {
            Ok(()) => {}
            Err(MotionError::Line(e)) if e.is_answer_lost() => self.taken(&axes, command, targets).await?,
            Err(MotionError::Refused { code: codec::NOT_REFERENCED, .. }) => {
                self.not_referenced(&channels).await?;
                return Err(self.refused(axes, command, codec::NOT_REFERENCED));
            }
            Err(e) => return Err(e),
        }
        self.targets.extend(targets.iter().map(|(c, t)| ((*c).to_string(), *t)));
        Ok(())
    }

    /// After a lost answer: the command counts as taken when the controller's targets are the ones sent.
    async fn taken(&mut self, axes: &str, command: &str, targets: &[(&str, f64)]) -> Result<(), MotionError> {
        let code = self.error().await?;
        if code != 0 {
            return Err(self.refused(axes.to_string(), command, code));
        }
        let channels: Vec<&str> = targets.iter().map(|(c, _)| *c).collect();
        let read = self.numbers("MOV", &channels).await?;
        match targets.iter().zip(read).find(|((_, sent), read)| !same(*sent, *read)) {
            Some(((channel, sent), read)) => {
                Err(self.read_back(self.axis(channel), "target", sent.to_string(), read.to_string()))
            }
            None => Ok(()),
        }
    }

    /// `NotReferenced` for the first of these that is not.
    pub(super) async fn not_referenced(&mut self, channels: &[&str]) -> Result<(), MotionError> {
        if !self.references() {
            return Ok(());
        }
        let referenced = self.flags("FRF", channels).await?;
        match channels.iter().zip(referenced).find(|(_, yes)| !yes) {
            Some((channel, _)) => {
                Err(MotionError::NotReferenced { instrument: self.instrument(), axis: self.axis(channel) })
            }
            None => Ok(()),
        }
    }

    /// Why axes that do not move are not on target; `Ok` when nothing speaks against waiting on.
    async fn why_idle(&mut self, channels: &[&str]) -> Result<(), MotionError> {
        let code = self.error().await?;
        let axes = self.axes(channels);
        if code != 0 && code != codec::NOT_REFERENCED {
            return Err(self.refused(axes, "MOV", code));
        }
        let servo = self.flags("SVO", channels).await?;
        if let Some((channel, _)) = channels.iter().zip(servo).find(|(_, on)| !on) {
            // A restart loses both; the reference is what the bench must make good first.
            self.not_referenced(channels).await?;
            return Err(self.read_back(self.axis(channel), "servo", "1".into(), "0".into()));
        }
        if code == 0 { Ok(()) } else { Err(self.refused(axes, "MOV", code)) }
    }

    /// On target by their own word: now the positions, and the register where they do not speak for themselves.
    async fn arrived(&mut self, channels: &[&str]) -> Result<(), MotionError> {
        let known = self.known(channels)?;
        let read = self.numbers("POS", channels).await?;
        let there = channels.iter().zip(&known).zip(&read).all(|((channel, about), position)| {
            let off = |target: &f64| (position - target).abs() * about.factor();
            self.targets.get(*channel).is_some_and(|t| off(t) <= THERE_SHARE * about.tolerance())
        });
        if there {
            return Ok(());
        }
        match self.error().await {
            Ok(0) => {}
            Ok(code) => return Err(self.refused(self.axes(channels), "MOV", code)),
            // The code is gone for good, but a move that was cut short did not reach its target.
            Err(e) if e.is_answer_lost() => {}
            Err(e) => return Err(e.into()),
        }
        for ((channel, about), position) in channels.iter().zip(known).zip(read) {
            let Some(target) = self.targets.get(*channel).map(|t| t * about.factor()) else { continue };
            let position = position * about.factor();
            if (position - target).abs() > about.tolerance() {
                let (instrument, axis) = (self.instrument(), about.axis);
                return Err(MotionError::ElsewhereThanTarget { instrument, axis, target, position });
            }
        }
        Ok(())
    }

    pub(super) async fn not_finished(
        &mut self,
        channels: &[&str],
        what: &'static str,
        waited: Duration,
    ) -> MotionError {
        let positions = self.positions(channels).await;
        MotionError::NotFinished {
            instrument: self.instrument(),
            axis: self.axes(channels),
            what,
            waited_s: waited.as_secs_f64(),
            position: positions.ok().and_then(|p| p.first().copied()).unwrap_or(f64::NAN),
        }
    }

    /// Waits for the end of a reference move.
    async fn referenced(&mut self, channel: &str) -> Result<(), MotionError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let axis = self.axis(channel);
        while !self.ask(&axis, &harmless(codec::READY, "0xB0 or 0xB1"), codec::readiness).await? {
            let waited = clock.now() - begun;
            if waited >= REFERENCE_LIMIT {
                return Err(self.not_finished(&[channel], "reference search", waited).await);
            }
            clock.sleep(pause(waited)).await;
        }
        let code = self.error().await?;
        if code != 0 {
            return Err(self.refused(axis, "FRF", code));
        }
        self.not_referenced(&[channel]).await
    }
}

#[async_trait(?Send)]
impl MotionController for Gcs2 {
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
        self.velocities.clear();
        self.set_up(setup).await
    }

    fn expect_coordinates(&mut self, names: &[String]) {
        self.coordinates = names.iter().map(|n| n.to_uppercase()).collect();
        self.coordinates.sort();
    }

    async fn states(&mut self, channels: &[&str]) -> Result<Vec<ChannelState>, MotionError> {
        self.known(channels)?;
        let referenced =
            if self.references() { self.flags("FRF", channels).await? } else { vec![true; channels.len()] };
        let servo = self.flags("SVO", channels).await?;
        let positions = self.positions(channels).await?;
        let all = referenced.into_iter().zip(servo).zip(positions);
        Ok(all.map(|((referenced, servo), position)| ChannelState { referenced, servo, position }).collect())
    }

    async fn positions(&mut self, channels: &[&str]) -> Result<Vec<f64>, MotionError> {
        let known = self.known(channels)?;
        let read = self.numbers("POS", channels).await?;
        Ok(read.iter().zip(known).map(|(p, about)| p * about.factor()).collect())
    }

    async fn reference(&mut self, channel: &str) -> Result<(), MotionError> {
        self.known(&[channel])?;
        let axis = self.axis(channel);
        self.targets.remove(channel);
        if !self.references() {
            // It knows where it is.
            return self.servo_on(&[channel]).await;
        }
        if self.commands.contains("RON") {
            match self.set(&axis, &codec::command("RON", &[(channel, 1.0)])).await {
                // A hexapod's axes have no choice.
                Ok(()) | Err(MotionError::Refused { code: codec::NOT_FOR_THIS_STAGE, .. }) => {}
                Err(e) => return Err(e),
            }
            if self.flags("RON", &[channel]).await? != [true] {
                return Err(self.read_back(axis, "referencing by a move", "1".into(), "0".into()));
            }
        }
        self.servo_on(&[channel]).await?;
        // With a lost answer the move runs or it does not: readiness and `FRF?` tell.
        self.set(&axis, &format!("FRF {channel}")).await?;
        self.referenced(channel).await?;
        // Some stages switch their servo off at the reference switch.
        self.servo_on(&[channel]).await
    }

    async fn set_velocity(&mut self, velocities: &[(&str, f64)]) -> Result<(), MotionError> {
        let channels: Vec<&str> = velocities.iter().map(|(c, _)| *c).collect();
        let known = self.known(&channels)?;
        let sent: Vec<(&str, f64)> =
            velocities.iter().zip(known).map(|((c, v), about)| (*c, v / about.factor())).collect();
        if self.is_platform() {
            return self.set_platform_velocity(&sent).await;
        }
        self.set(&self.axes(&channels), &codec::command("VEL", &sent)).await?;
        let read = self.numbers("VEL", &channels).await?;
        match sent.iter().zip(read).find(|((_, sent), read)| !same(*sent, *read)) {
            Some(((channel, sent), read)) => {
                Err(self.read_back(self.axis(channel), "velocity", codec::number(*sent), read.to_string()))
            }
            None => Ok(()),
        }
    }

    async fn start_move(&mut self, targets: &[(&str, f64)]) -> Result<(), MotionError> {
        let channels: Vec<&str> = targets.iter().map(|(c, _)| *c).collect();
        let known = self.known(&channels)?;
        let sent: Vec<(&str, f64)> =
            targets.iter().zip(known).map(|((c, t), about)| (*c, t / about.factor())).collect();
        self.start(&codec::command("MOV", &sent), &sent).await
    }

    async fn start_move_by(&mut self, distances: &[(&str, f64)]) -> Result<(), MotionError> {
        let channels: Vec<&str> = distances.iter().map(|(c, _)| *c).collect();
        let known = self.known(&channels)?;
        let sent: Vec<(&str, f64)> =
            distances.iter().zip(known).map(|((c, d), about)| (*c, d / about.factor())).collect();
        // Where the move ends must be known before it is sent: with its answer lost nobody could tell afterwards.
        let before = self.numbers("MOV", &channels).await?;
        let targets: Vec<(&str, f64)> = sent.iter().zip(before).map(|((c, d), from)| (*c, from + d)).collect();
        self.start(&codec::command("MVR", &sent), &targets).await
    }

    async fn on_target(&mut self, channels: &[&str]) -> Result<bool, MotionError> {
        self.known(channels)?;
        Ok(self.flags("ONT", channels).await?.iter().all(|on| *on))
    }

    async fn wait_on_target(&mut self, channels: &[&str], limit: Duration) -> Result<(), MotionError> {
        let ours = self.known(channels)?.iter().fold(0, |mask, c| mask | c.bit);
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let mut idle = 0;
        let mut pace_from = begun;
        loop {
            let waited = clock.now() - begun;
            if waited >= limit {
                return Err(self.not_finished(channels, "move", waited).await);
            }
            clock.sleep(pause(clock.now() - pace_from).min(limit - waited)).await;
            if self.moving().await? & ours != 0 {
                continue;
            }
            if self.on_target(channels).await? {
                return self.arrived(channels).await;
            }
            if idle == 0 {
                // It stands and settles now: the end is near, however long the move was.
                pace_from = clock.now();
            }
            idle += 1;
            if idle % IDLE_POLLS == 0 {
                self.why_idle(channels).await?;
            }
        }
    }

    async fn stop_all(&mut self) -> Result<(), MotionError> {
        self.line.send_urgent(codec::STOP).await?;
        self.targets.clear();
        match self.error().await {
            Ok(0 | codec::STOPPED) => {}
            Ok(code) => tracing::warn!(instrument = self.line.instrument(), code, "error found at the stop"),
            // What counts is that nothing moves, which is asked next.
            Err(e) if e.is_answer_lost() => {}
            Err(e) => return Err(e.into()),
        }
        let clock = self.line.clock().clone();
        let begun = clock.now();
        while self.moving().await? != 0 {
            let waited = clock.now() - begun;
            if waited >= STOP_LIMIT {
                let channels: Vec<String> = self.channels.keys().cloned().collect();
                let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
                return Err(self.not_finished(&channels, "stop", waited).await);
            }
            clock.sleep(pause(waited)).await;
        }
        Ok(())
    }

    fn alignment(&mut self) -> Option<&mut dyn FastAlignment> {
        self.aligns().then_some(self as &mut dyn FastAlignment)
    }

    fn pivot(&mut self) -> Option<&mut dyn Pivot> {
        self.has_pivot().then_some(self as &mut dyn Pivot)
    }
}
