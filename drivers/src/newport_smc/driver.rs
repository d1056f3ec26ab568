//! [`MotionController`] for SMC100 and CONEX: moves, waits, stops; every lost answer is made good by reading back.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::codec::{self, State, Status};
use crate::exchange::{Line, LineError, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::motion::{ChannelSetup, ChannelState, ChannelUnit, MotionController, MotionError};

/// Controllers answer within 10 ms; hvl_ccb's users allow seconds, a dozen controllers on RS-485 a fraction of one.
const QUERY_LIMIT: Duration = Duration::from_millis(500);
/// A home search over a long stage at creeping speed.
const REFERENCE_LIMIT: Duration = Duration::from_secs(120);
/// A controller is there again some seconds after a reset.
const RESET_LIMIT: Duration = Duration::from_secs(10);
/// It is not asked sooner, since it may still answer before it goes, and not oftener.
const RESET_POLL: Duration = Duration::from_millis(500);
/// Axes decelerate within tenths of a second; a stop that takes longer is told.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Waits are polled at an eighth of the time waited so far, so that polling adds an eighth at the most,
const POLL_SHARE: u32 = 8;
/// never faster than a controller answers,
const POLL_MIN: Duration = Duration::from_millis(5);
/// and never slower than an operator would notice.
const POLL_MAX: Duration = Duration::from_millis(20);
/// A move has begun this long after its command (profiles are computed within some 10 ms).
const BEGIN_LIMIT: Duration = Duration::from_millis(30);
/// Polls in which an axis is ready, but not where it was sent, before that is told: settling takes some.
const IDLE_POLLS: u32 = 5;
/// Set points are rounded to steps of the encoder, none of which is larger; mm or degrees.
const SET_POINT_STEP: f64 = 1e-4;
/// A target farther off than this was not reached, um.
const ARRIVAL_TOLERANCE_UM: f64 = 2.0;
/// The same for rotations, degrees.
const ARRIVAL_TOLERANCE_DEG: f64 = 0.002;
/// Controllers print six decimals, and some compute in 32 bits.
const DECIMALS: f64 = 1e-6;

/// What the driver keeps of one channel.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) axis: String,
    pub(super) unit: ChannelUnit,
    pub(super) address: u8,
    /// Soft limits and velocity wanted, in controller units.
    pub(super) limits: (f64, f64),
    pub(super) velocity: f64,
    target: Option<Target>,
}

/// A move that the controller accepted.
#[derive(Debug, Clone, Copy)]
struct Target {
    /// In controller units.
    value: f64,
    since: Duration,
    /// Motion was seen.
    begun: bool,
}

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Under way, or about to be.
    Moving,
    /// At rest where it was sent.
    There,
    /// At rest with another set point: somebody stopped it.
    Elsewhere,
    /// At rest with the set point that it was sent to.
    Ended,
}

impl Channel {
    pub(super) fn new(setup: &ChannelSetup, address: u8) -> Channel {
        let factor = setup.unit.factor();
        Channel {
            axis: setup.axis.clone(),
            unit: setup.unit,
            address,
            // The controller takes no lower limit above home and no upper one below it.
            limits: ((setup.range.0 / factor).min(0.0), (setup.range.1 / factor).max(0.0)),
            velocity: setup.velocity / factor,
            target: None,
        }
    }

    /// um or degrees per controller unit.
    fn factor(&self) -> f64 {
        self.unit.factor()
    }

    fn tolerance(&self) -> f64 {
        match self.unit {
            ChannelUnit::Degree => ARRIVAL_TOLERANCE_DEG,
            ChannelUnit::Millimetre | ChannelUnit::Micrometre => ARRIVAL_TOLERANCE_UM,
        }
    }
}

/// A chain of SMC100 or CONEX controllers.
pub struct NewportSmc {
    pub(super) line: Line,
    pub(super) expected: Expected,
    pub(super) identity: Identity,
    pub(super) channels: BTreeMap<String, Channel>,
    /// The line's recoveries after which the error registers were last cleared.
    pub(super) cleared_at: u64,
}

/// Whether a controller's number is the one sent, but for the decimals it prints.
pub(super) fn same(sent: f64, read: f64) -> bool {
    (sent - read).abs() <= DECIMALS * (1.0 + sent.abs())
}

pub(super) fn harmless<'a>(request: &'a [u8], expected: &'static str) -> Query<'a> {
    Query { request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected }
}

fn pause(waited: Duration) -> Duration {
    (waited / POLL_SHARE).clamp(POLL_MIN, POLL_MAX)
}

impl NewportSmc {
    /// A driver over `line` for the chain whose first controller is `expected`; [`MotionController::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> NewportSmc {
        line.speak(codec::PROTOCOL);
        let (identity, channels) = (Identity::default(), BTreeMap::new());
        NewportSmc { line, expected, identity, channels, cleared_at: 0 }
    }

    pub(super) fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    fn channel(&self, name: &str) -> Result<Channel, MotionError> {
        self.channels.get(name).cloned().ok_or_else(|| self.no_channel(name, name))
    }

    pub(super) fn no_channel(&self, axis: &str, channel: &str) -> MotionError {
        MotionError::NoChannel {
            instrument: self.instrument(),
            axis: axis.to_string(),
            channel: channel.to_string(),
            available: self.channels.keys().cloned().collect::<Vec<_>>().join(", "),
        }
    }

    pub(super) fn refused(&self, axis: &str, command: &str, letter: char) -> MotionError {
        MotionError::Refused {
            instrument: self.instrument(),
            axis: axis.to_string(),
            command: command.to_string(),
            code: i64::from(u32::from(letter)),
            meaning: codec::meaning(letter).to_string(),
        }
    }

    pub(super) fn read_back(&self, axis: &str, what: &'static str, set: f64, read: f64) -> MotionError {
        let (set, read) = (codec::number(set), codec::number(read));
        MotionError::ReadBack { instrument: self.instrument(), axis: axis.to_string(), what, set, read }
    }

    /// Reads and thereby clears a controller's error register.
    async fn error(&mut self, address: u8) -> Result<char, LineError> {
        let request = codec::request(address, "TE");
        let query = Query { repeat: Repeat::Never, ..harmless(&request, "an error letter") };
        self.line.query(&query, |a| codec::letter(a, address)).await
    }

    /// Asks; a query that is not answered may have been refused, and then the register says why.
    pub(super) async fn ask<T>(
        &mut self,
        axis: &str,
        address: u8,
        text: &str,
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, MotionError> {
        let request = codec::request(address, text);
        let failure = match self.line.query(&harmless(&request, expected), parse).await {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if failure.is_no_answer()
            && let Ok(letter) = self.error(address).await
            && letter != codec::NO_ERROR
        {
            return Err(self.refused(axis, &format!("{address}{text}"), letter));
        }
        Err(failure.into())
    }

    pub(super) async fn status(&mut self, c: &Channel) -> Result<Status, MotionError> {
        let address = c.address;
        self.ask(&c.axis, address, "TS", "errors and state", |a| codec::status(a, address)).await
    }

    /// A number by a mnemonic that answers without a question mark, or by its name with one.
    pub(super) async fn number(&mut self, c: &Channel, text: &str) -> Result<f64, MotionError> {
        let (address, mnemonic) = (c.address, text.trim_end_matches('?'));
        self.ask(&c.axis, address, text, "a number", |a| codec::value(a, address, mnemonic)).await
    }

    /// Makes the line ready for a set command: what was in the registers before the line was lost must not be blamed on
    /// the next one.
    async fn settle(&mut self) -> Result<(), LineError> {
        self.line.ready().await?;
        if self.cleared_at == self.line.recoveries() {
            return Ok(());
        }
        let addresses: Vec<u8> = self.channels.values().map(|c| c.address).collect();
        for address in addresses {
            // Read to be thrown away, so it may be asked again.
            let request = codec::request(address, "TE");
            let letter = self.line.query(&harmless(&request, "an error letter"), |a| codec::letter(a, address)).await?;
            if letter != codec::NO_ERROR {
                let error = codec::meaning(letter);
                tracing::warn!(
                    instrument = self.line.instrument(),
                    address,
                    error,
                    "error from before the line came back"
                );
            }
        }
        self.cleared_at = self.line.recoveries();
        Ok(())
    }

    /// Sends a command and reads its result; never sent twice. A lost answer is no failure: what was set is read next.
    pub(super) async fn set(&mut self, c: &Channel, command: &str) -> Result<(), MotionError> {
        self.settle().await?;
        let request = codec::checked(&[command.to_string()], c.address);
        let query = Query { repeat: Repeat::Never, ..harmless(&request, "an error letter") };
        match self.line.query(&query, |a| codec::letter(a, c.address)).await {
            Ok(codec::NO_ERROR) => Ok(()),
            Ok(letter) => Err(self.refused(&c.axis, command, letter)),
            Err(e) if e.is_answer_lost() => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Sets a number and reads it back.
    pub(super) async fn set_number(
        &mut self,
        c: &Channel,
        mnemonic: &str,
        what: &'static str,
        value: f64,
    ) -> Result<(), MotionError> {
        self.set(c, &codec::command(c.address, mnemonic, value)).await?;
        let read = self.number(c, &format!("{mnemonic}?")).await?;
        if same(value, read) { Ok(()) } else { Err(self.read_back(&c.axis, what, value, read)) }
    }

    /// Sends moves in one write and reads the result of each; when one is refused, none goes on.
    async fn start(&mut self, moves: &[(&str, f64)]) -> Result<(), MotionError> {
        let mut sent = Vec::new();
        for (name, target) in moves {
            let c = self.channel(name)?;
            let command = codec::command(c.address, "PA", *target);
            sent.push(((*name).to_string(), c, *target, command));
        }
        let Some((_, first, _, _)) = sent.first() else { return Ok(()) };
        self.settle().await?;
        for (name, _, _, _) in &sent {
            if let Some(c) = self.channels.get_mut(name) {
                c.target = None;
            }
        }
        let since = self.line.clock().now();
        let commands: Vec<String> = sent.iter().map(|(_, _, _, command)| command.clone()).collect();
        let mut request = codec::checked(&commands, first.address);
        for (name, c, target, command) in &sent {
            if let Err(failure) = self.started(c, *target, command, &request).await {
                if sent.len() > 1 {
                    self.line.send_urgent(codec::STOP_ALL).await?;
                }
                return Err(failure);
            }
            if let Some(c) = self.channels.get_mut(name) {
                c.target = Some(Target { value: *target, since, begun: false });
            }
            request.clear();
        }
        Ok(())
    }

    /// Reads the result of one move; `request` carries the moves themselves, or is empty once they were sent.
    async fn started(&mut self, c: &Channel, target: f64, command: &str, request: &[u8]) -> Result<(), MotionError> {
        let result = if request.is_empty() {
            self.error(c.address).await
        } else {
            let query = Query { repeat: Repeat::Never, ..harmless(request, "an error letter") };
            self.line.query(&query, |a| codec::letter(a, c.address)).await
        };
        match result {
            Ok(codec::NO_ERROR) => Ok(()),
            Ok(codec::NOT_REFERENCED) => Err(self.not_referenced(c)),
            Ok(letter) => Err(self.refused(&c.axis, command, letter)),
            Err(e) if e.is_answer_lost() => {
                // It counts as taken when the controller's target is the one sent.
                let read = self.number(c, "PA?").await?;
                if same(target, read) { Ok(()) } else { Err(self.read_back(&c.axis, "target", target, read)) }
            }
            Err(e) => Err(e.into()),
        }
    }

    fn not_referenced(&self, c: &Channel) -> MotionError {
        MotionError::NotReferenced { instrument: self.instrument(), axis: c.axis.clone() }
    }

    /// Why an axis is neither ready nor moving.
    fn fallen(&self, c: &Channel, status: Status, command: &str) -> MotionError {
        if status.state == State::NotReferenced && status.faults == 0 {
            return self.not_referenced(c);
        }
        MotionError::Refused {
            instrument: self.instrument(),
            axis: c.axis.clone(),
            command: command.to_string(),
            code: i64::from(status.faults),
            meaning: codec::fault_words(status.faults),
        }
    }

    /// How far a channel's move has come by the controller's word.
    async fn phase(&mut self, name: &str) -> Result<Phase, MotionError> {
        let c = self.channel(name)?;
        let status = self.status(&c).await?;
        let now = self.line.clock().now();
        match status.state {
            State::Ready => {}
            State::Moving | State::Homing => {
                if let Some(target) = self.channels.get_mut(name).and_then(|c| c.target.as_mut()) {
                    target.begun = true;
                }
                return Ok(Phase::Moving);
            }
            _ => return Err(self.fallen(&c, status, "PA")),
        }
        let Some(target) = c.target else { return Ok(Phase::Ended) };
        if !target.begun && now.saturating_sub(target.since) < BEGIN_LIMIT {
            return Ok(Phase::Moving);
        }
        // Where it was sent it was not stopped on its way, and need not be asked for its set point.
        let position = self.number(&c, "TP").await?;
        if (position - target.value).abs() <= SET_POINT_STEP {
            return Ok(Phase::There);
        }
        let set_point = self.number(&c, "TH").await?;
        Ok(if (set_point - target.value).abs() <= SET_POINT_STEP { Phase::Ended } else { Phase::Elsewhere })
    }

    /// Where a channel that ended its move is.
    async fn arrived(&mut self, name: &str) -> Result<(), MotionError> {
        let c = self.channel(name)?;
        let Some(target) = c.target else { return Ok(()) };
        let mut position = f64::NAN;
        for _ in 0..IDLE_POLLS {
            position = self.number(&c, "TP").await?;
            if (position - target.value).abs() * c.factor() <= c.tolerance() {
                return Ok(());
            }
            self.line.clock().clone().sleep(POLL_MIN).await;
        }
        Err(MotionError::ElsewhereThanTarget {
            instrument: self.instrument(),
            axis: c.axis.clone(),
            target: target.value * c.factor(),
            position: position * c.factor(),
        })
    }

    async fn not_finished(&mut self, name: &str, what: &'static str, waited: Duration) -> MotionError {
        let position = self.positions(&[name]).await.ok().and_then(|p| p.first().copied()).unwrap_or(f64::NAN);
        let axis = self.channels.get(name).map_or_else(|| name.to_string(), |c| c.axis.clone());
        MotionError::NotFinished { instrument: self.instrument(), axis, what, waited_s: waited.as_secs_f64(), position }
    }

    async fn wait_for(&mut self, name: &str, begun: Duration, limit: Duration) -> Result<(), MotionError> {
        let clock = self.line.clock().clone();
        let mut idle = 0;
        loop {
            let waited = clock.now() - begun;
            if waited >= limit {
                return Err(self.not_finished(name, "move", waited).await);
            }
            clock.sleep(pause(waited).min(limit - waited)).await;
            match self.phase(name).await? {
                Phase::There => return Ok(()),
                Phase::Ended => return self.arrived(name).await,
                Phase::Moving => idle = 0,
                Phase::Elsewhere => idle += 1,
            }
            if idle >= IDLE_POLLS {
                return self.arrived(name).await;
            }
        }
    }

    /// Resets a controller, for only then home is searched anew.
    async fn reset(&mut self, name: &str) -> Result<(), MotionError> {
        let c = self.channel(name)?;
        self.line.send(&codec::request(c.address, "RS")).await?;
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let request = codec::request(c.address, "TS");
        loop {
            clock.sleep(RESET_POLL).await;
            let query = Query { repeat: Repeat::Never, ..harmless(&request, "errors and state") };
            match self.line.query(&query, |a| codec::status(a, c.address)).await {
                Ok(Status { state: State::NotReferenced, .. }) => return Ok(()),
                Err(e) if e.is_port_lost() => return Err(e.into()),
                Ok(_) | Err(_) if clock.now() - begun < RESET_LIMIT => {}
                Ok(status) => return Err(self.fallen(&c, status, "RS")),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Waits for the end of a home search.
    async fn homed(&mut self, name: &str) -> Result<(), MotionError> {
        let c = self.channel(name)?;
        let clock = self.line.clock().clone();
        let begun = clock.now();
        loop {
            let status = self.status(&c).await?;
            let waited = clock.now() - begun;
            match status.state {
                State::Ready => return Ok(()),
                State::Homing if waited >= REFERENCE_LIMIT => {
                    return Err(self.not_finished(name, "reference search", waited).await);
                }
                State::Homing => clock.sleep(pause(waited)).await,
                _ => return Err(self.fallen(&c, status, "OR")),
            }
        }
    }
}

#[async_trait(?Send)]
impl MotionController for NewportSmc {
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
        self.set_up(setup).await
    }

    async fn states(&mut self, channels: &[&str]) -> Result<Vec<ChannelState>, MotionError> {
        let mut states = Vec::new();
        for name in channels {
            let c = self.channel(name)?;
            let state = self.status(&c).await?.state;
            let position = self.number(&c, "TP").await? * c.factor();
            let referenced = !matches!(state, State::NotReferenced | State::Configuration | State::Homing);
            let servo = matches!(state, State::Ready | State::Moving | State::Homing | State::Jogging);
            states.push(ChannelState { referenced, servo, position });
        }
        Ok(states)
    }

    async fn positions(&mut self, channels: &[&str]) -> Result<Vec<f64>, MotionError> {
        let mut positions = Vec::new();
        for name in channels {
            let c = self.channel(name)?;
            positions.push(self.number(&c, "TP").await? * c.factor());
        }
        Ok(positions)
    }

    async fn reference(&mut self, channel: &str) -> Result<(), MotionError> {
        let c = self.channel(channel)?;
        if let Some(c) = self.channels.get_mut(channel) {
            c.target = None;
        }
        match self.status(&c).await?.state {
            State::NotReferenced | State::Homing => {}
            State::Configuration => return Err(self.refused(&c.axis, "OR", 'I')),
            _ => self.reset(channel).await?,
        }
        if self.status(&c).await?.state == State::NotReferenced {
            // With a lost answer the search runs or it does not: the state tells.
            self.set(&c, &format!("{}OR", c.address)).await?;
        }
        self.homed(channel).await?;
        self.apply(&c).await
    }

    async fn set_velocity(&mut self, velocities: &[(&str, f64)]) -> Result<(), MotionError> {
        for (name, velocity) in velocities {
            let mut c = self.channel(name)?;
            c.velocity = velocity / c.factor();
            // Before that it is refused; `reference` sets it.
            if self.status(&c).await?.state != State::NotReferenced {
                self.set_number(&c, "VA", "velocity", c.velocity).await?;
            }
            self.channels.insert((*name).to_string(), c);
        }
        Ok(())
    }

    async fn start_move(&mut self, targets: &[(&str, f64)]) -> Result<(), MotionError> {
        let mut moves = Vec::new();
        for (name, target) in targets {
            moves.push((*name, target / self.channel(name)?.factor()));
        }
        self.start(&moves).await
    }

    async fn start_move_by(&mut self, distances: &[(&str, f64)]) -> Result<(), MotionError> {
        let mut moves = Vec::new();
        for (name, distance) in distances {
            let c = self.channel(name)?;
            // Sent as a target: a relative move whose answer is lost could not be told from none.
            moves.push((*name, self.number(&c, "PA?").await? + distance / c.factor()));
        }
        self.start(&moves).await
    }

    async fn on_target(&mut self, channels: &[&str]) -> Result<bool, MotionError> {
        for name in channels {
            if !matches!(self.phase(name).await?, Phase::There | Phase::Ended) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn wait_on_target(&mut self, channels: &[&str], limit: Duration) -> Result<(), MotionError> {
        let begun = self.line.clock().now();
        for name in channels {
            self.wait_for(name, begun, limit).await?;
        }
        Ok(())
    }

    async fn stop_all(&mut self) -> Result<(), MotionError> {
        self.line.send_urgent(codec::STOP_ALL).await?;
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let channels: Vec<(String, Channel)> = self.channels.iter().map(|(n, c)| (n.clone(), c.clone())).collect();
        for (name, c) in channels {
            if let Some(c) = self.channels.get_mut(&name) {
                c.target = None;
            }
            loop {
                let state = self.status(&c).await?.state;
                if !matches!(state, State::Moving | State::Homing | State::Jogging) {
                    break;
                }
                let waited = clock.now() - begun;
                if waited >= STOP_LIMIT {
                    return Err(self.not_finished(&name, "stop", waited).await);
                }
                clock.sleep(pause(waited)).await;
            }
        }
        Ok(())
    }
}
