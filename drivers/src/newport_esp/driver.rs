//! [`MotionController`] for the ESP controllers: known state, moves, waits, stops.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::codec::{self, Entry};
use crate::exchange::{Line, LineError, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::motion::{ChannelSetup, ChannelState, ChannelUnit, MotionController, MotionError};

/// An error with its words takes 25 ms at 19200 baud; controllers answer within some 10 ms.
const QUERY_LIMIT: Duration = Duration::from_millis(500);
/// A home search over a long stage at creeping speed.
const REFERENCE_LIMIT: Duration = Duration::from_secs(120);
/// Axes decelerate within tenths of a second; a stop that takes longer is told.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Waits are polled at an eighth of the time waited so far, so that polling adds an eighth at the most,
const POLL_SHARE: u32 = 8;
/// never faster than a controller answers,
const POLL_MIN: Duration = Duration::from_millis(5);
/// and never slower than an operator would notice.
const POLL_MAX: Duration = Duration::from_millis(20);
/// A move has begun this long after its command: some dozens of servo cycles of 0.4 ms.
const BEGIN_LIMIT: Duration = Duration::from_millis(30);
/// Looks at an axis that is done but not where it was sent, before that is told: settling takes some.
const SETTLE_POLLS: u32 = 10;
/// A target farther off than this was not reached, um.
const ARRIVAL_TOLERANCE_UM: f64 = 2.0;
/// The same for rotations, degrees.
const ARRIVAL_TOLERANCE_DEG: f64 = 0.002;
/// Controllers print six decimals, and some compute in 32 bits.
const DECIMALS: f64 = 1e-6;
/// What this driver drives, for messages.
const KIND: &str = "a Newport ESP300 or ESP301 controller";

/// What the driver keeps of one channel.
#[derive(Debug, Clone)]
struct Channel {
    axis: String,
    unit: ChannelUnit,
    number: u8,
    /// Home was searched since the controller was switched on.
    referenced: bool,
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

impl Channel {
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

/// An ESP300 or ESP301 controller.
pub struct NewportEsp {
    line: Line,
    pub(super) expected: Expected,
    identity: Identity,
    channels: BTreeMap<String, Channel>,
    /// The last time the controller told, in its ticks since power-on.
    ticks: u64,
    /// The line's recoveries after which the error queue was last emptied.
    cleared_at: u64,
}

fn same(sent: f64, read: f64) -> bool {
    (sent - read).abs() <= DECIMALS * (1.0 + sent.abs())
}

fn harmless<'a>(request: &'a [u8], expected: &'static str) -> Query<'a> {
    Query { request, limit: QUERY_LIMIT, repeat: Repeat::Harmless, expected }
}

fn pause(waited: Duration) -> Duration {
    (waited / POLL_SHARE).clamp(POLL_MIN, POLL_MAX)
}

impl NewportEsp {
    /// A driver over `line` for the controller `expected`; [`MotionController::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> NewportEsp {
        line.speak(codec::PROTOCOL);
        let (identity, channels) = (Identity::default(), BTreeMap::new());
        NewportEsp { line, expected, identity, channels, ticks: 0, cleared_at: u64::MAX }
    }

    fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    fn channel(&self, name: &str) -> Result<Channel, MotionError> {
        self.channels.get(name).cloned().ok_or_else(|| self.no_channel(name, name))
    }

    fn no_channel(&self, axis: &str, channel: &str) -> MotionError {
        MotionError::NoChannel {
            instrument: self.instrument(),
            axis: axis.to_string(),
            channel: channel.to_string(),
            available: self.channels.keys().cloned().collect::<Vec<_>>().join(", "),
        }
    }

    fn refused(&self, axis: &str, command: &str, error: Entry) -> MotionError {
        MotionError::Refused {
            instrument: self.instrument(),
            axis: axis.to_string(),
            command: command.to_string(),
            code: error.code,
            meaning: error.words,
        }
    }

    fn read_back(&self, axis: &str, what: &'static str, set: String, read: String) -> MotionError {
        MotionError::ReadBack { instrument: self.instrument(), axis: axis.to_string(), what, set, read }
    }

    /// Takes note of a controller's time; one that goes back was switched off meanwhile.
    fn note(&mut self, entry: &Entry) {
        if entry.ticks < self.ticks {
            tracing::warn!(instrument = self.line.instrument(), "the controller was switched off since");
            self.channels.values_mut().for_each(|c| c.referenced = false);
        }
        // An entry is as old as its error; an empty queue tells the present time.
        if entry.code == 0 {
            self.ticks = entry.ticks;
        }
    }

    /// Sends `request`, which ends with `TB?`, and reads the error of it; sent again only where the error is thrown away.
    async fn error_of(&mut self, request: &[u8], repeat: Repeat) -> Result<Entry, LineError> {
        let query = Query { repeat, ..harmless(request, "an error, its time and its words") };
        let entry = self.line.query(&query, codec::entry).await?;
        self.note(&entry);
        Ok(entry)
    }

    /// Empties the error queue.
    async fn drain(&mut self, repeat: Repeat) -> Result<Vec<Entry>, LineError> {
        let mut errors = Vec::new();
        while errors.len() < ERRORS_READ {
            let entry = self.error_of(codec::ERROR, repeat).await?;
            if entry.code == 0 {
                break;
            }
            errors.push(entry);
        }
        Ok(errors)
    }

    /// Makes the line ready for a set command: what was in the queue before the line was lost must not be blamed on the
    /// next one.
    async fn settle(&mut self) -> Result<(), LineError> {
        self.line.ready().await?;
        if self.cleared_at == self.line.recoveries() {
            return Ok(());
        }
        for error in self.drain(Repeat::Harmless).await? {
            let (code, words) = (error.code, error.words);
            tracing::warn!(instrument = self.line.instrument(), code, words, "error that nobody was told");
        }
        self.cleared_at = self.line.recoveries();
        Ok(())
    }

    /// Asks; a query that is not answered may have been refused, and then the queue says why.
    async fn ask<T>(
        &mut self,
        axis: &str,
        text: &str,
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, MotionError> {
        let request = format!("{text}\r").into_bytes();
        let failure = match self.line.query(&harmless(&request, expected), parse).await {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if failure.is_no_answer()
            && let Ok(mut errors) = self.drain(Repeat::Never).await
            && !errors.is_empty()
        {
            return Err(self.refused(axis, text, errors.swap_remove(0)));
        }
        Err(failure.into())
    }

    async fn number(&mut self, c: &Channel, mnemonic: &str) -> Result<f64, MotionError> {
        self.ask(&c.axis, &format!("{}{mnemonic}?", c.number), "a number", crate::scpi::finite).await
    }

    async fn flag(&mut self, c: &Channel, mnemonic: &str) -> Result<bool, MotionError> {
        self.ask(&c.axis, &format!("{}{mnemonic}?", c.number), "0 or 1", codec::flag).await
    }

    /// Sends a command and reads its result. A lost answer is no failure: what was set is read next.
    async fn set(&mut self, axis: &str, command: &str) -> Result<(), MotionError> {
        self.settle().await?;
        match self.error_of(&codec::checked(command), Repeat::Never).await {
            Ok(Entry { code: 0, .. }) => Ok(()),
            Ok(error) => {
                // One command may leave several; they are of no more use.
                self.drain(Repeat::Harmless).await?;
                Err(self.refused(axis, command, error))
            }
            Err(e) if e.is_answer_lost() => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    async fn set_number(
        &mut self,
        c: &Channel,
        mnemonic: &str,
        what: &'static str,
        value: f64,
    ) -> Result<(), MotionError> {
        self.set(&c.axis, &codec::command(c.number, mnemonic, value)).await?;
        let read = self.number(c, mnemonic).await?;
        if same(value, read) {
            Ok(())
        } else {
            Err(self.read_back(&c.axis, what, codec::number(value), codec::number(read)))
        }
    }

    async fn identify(&mut self) -> Result<(), MotionError> {
        let found = match self.line.identify().await {
            Ok(answer) => codec::identity(&answer).unwrap_or_default(),
            Err(LineError::NotRecovered { heard, .. }) if crate::scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
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

    /// The axis must be there, and count in the unit of the bench file.
    async fn find(&mut self, s: &ChannelSetup, before: &BTreeMap<String, Channel>) -> Result<Channel, MotionError> {
        let number = s.channel.parse::<u8>().ok().filter(|n| (1..=6).contains(n));
        let Some(number) = number else { return Err(self.no_channel(&s.axis, &s.channel)) };
        let read = match self.ask(&s.axis, &format!("{number}SN?"), "the number of a unit", codec::unit).await {
            Ok(read) => read,
            // Axis number out of range, or no stage on it.
            Err(MotionError::Refused { code, .. }) if code == 9 || code % 100 == 8 => {
                return Err(self.no_channel(&s.axis, &s.channel));
            }
            Err(e) => return Err(e),
        };
        if read != Some(s.unit) {
            let told = read.map_or_else(|| "another unit".to_string(), |u| format!("{u:?}"));
            return Err(self.read_back(&s.axis, "position unit", format!("{:?}", s.unit), told));
        }
        let referenced = before.get(&s.channel).is_some_and(|c| c.referenced);
        Ok(Channel { axis: s.axis.clone(), unit: s.unit, number, referenced, target: None })
    }

    async fn bring(&mut self, s: &ChannelSetup, c: &Channel) -> Result<(), MotionError> {
        let factor = c.factor();
        self.power(c).await?;
        self.set_number(c, "VA", "velocity", s.velocity / factor).await?;
        self.set_number(c, "SL", "lower soft limit", s.range.0 / factor).await?;
        self.set_number(c, "SR", "upper soft limit", s.range.1 / factor).await
    }

    async fn power(&mut self, c: &Channel) -> Result<(), MotionError> {
        self.set(&c.axis, &format!("{}MO", c.number)).await?;
        if self.flag(c, "MO").await? { Ok(()) } else { Err(self.read_back(&c.axis, "motor", "1".into(), "0".into())) }
    }

    /// Sends moves in one line and makes sure that the controller took them.
    async fn start(&mut self, moves: &[(&str, f64)]) -> Result<(), MotionError> {
        let mut channels = Vec::new();
        for (name, _) in moves {
            channels.push(self.channel(name)?);
        }
        if let Some(c) = channels.iter().find(|c| !c.referenced) {
            // The controller would move, from a place that nobody knows.
            return Err(MotionError::NotReferenced { instrument: self.instrument(), axis: c.axis.clone() });
        }
        self.settle().await?;
        let all = moves.iter().zip(&channels).map(|((_, to), c)| codec::command(c.number, "PA", *to));
        let command = all.collect::<Vec<_>>().join(";");
        let since = self.line.clock().now();
        for (name, _) in moves {
            self.keep(name, None);
        }
        match self.error_of(&codec::checked(&command), Repeat::Never).await {
            Ok(Entry { code: 0, .. }) => {}
            Ok(error) => return Err(self.refuse(&channels, &command, error).await?),
            Err(e) if e.is_answer_lost() => self.taken(moves, &channels).await?,
            Err(e) => return Err(e.into()),
        }
        for (name, to) in moves {
            self.keep(name, Some(Target { value: *to, since, begun: false }));
        }
        Ok(())
    }

    fn keep(&mut self, name: &str, target: Option<Target>) {
        if let Some(c) = self.channels.get_mut(name) {
            c.target = target;
        }
    }

    /// When one of several moves is refused, none goes on.
    async fn refuse(&mut self, channels: &[Channel], command: &str, error: Entry) -> Result<MotionError, MotionError> {
        if channels.len() > 1 {
            self.line.send_urgent(codec::STOP_ALL).await?;
        }
        self.drain(Repeat::Harmless).await?;
        self.cleared_at = self.line.recoveries();
        let axis = channels.iter().find(|c| i64::from(c.number) == error.code / 100).or_else(|| channels.first());
        let axis = axis.map(|c| c.axis.clone()).unwrap_or_default();
        Ok(self.refused(&axis, command, error))
    }

    /// After a lost answer: the command counts as taken when the controller's targets are the ones sent.
    async fn taken(&mut self, moves: &[(&str, f64)], channels: &[Channel]) -> Result<(), MotionError> {
        self.settle().await?;
        for ((_, sent), c) in moves.iter().zip(channels) {
            let read = self.number(c, "DP").await?;
            if !same(*sent, read) {
                return Err(self.read_back(&c.axis, "target", codec::number(*sent), codec::number(read)));
            }
        }
        Ok(())
    }

    /// Whether a channel has ended its move by the controller's word.
    async fn is_done(&mut self, name: &str) -> Result<bool, MotionError> {
        let c = self.channel(name)?;
        let done = self.flag(&c, "MD").await?;
        let now = self.line.clock().now();
        let Some(target) = self.channels.get_mut(name).and_then(|c| c.target.as_mut()) else { return Ok(done) };
        target.begun |= !done;
        Ok(done && (target.begun || now.saturating_sub(target.since) >= BEGIN_LIMIT))
    }

    /// Where a channel that ended its move is, and why, if it is elsewhere.
    async fn arrived(&mut self, name: &str) -> Result<(), MotionError> {
        let c = self.channel(name)?;
        let Some(target) = c.target else { return Ok(()) };
        let mut position = f64::NAN;
        for _ in 0..SETTLE_POLLS {
            position = self.number(&c, "TP").await?;
            if (position - target.value).abs() * c.factor() <= c.tolerance() {
                return Ok(());
            }
            self.line.clock().clone().sleep(POLL_MIN).await;
        }
        let mut errors = self.drain(Repeat::Never).await?;
        if !errors.is_empty() {
            return Err(self.refused(&c.axis, "PA", errors.swap_remove(0)));
        }
        if !self.channel(name)?.referenced {
            return Err(MotionError::NotReferenced { instrument: self.instrument(), axis: c.axis });
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

    /// Waits until a channel is done, by its word.
    async fn rest(
        &mut self,
        name: &str,
        what: &'static str,
        begun: Duration,
        limit: Duration,
    ) -> Result<(), MotionError> {
        let clock = self.line.clock().clone();
        loop {
            let waited = clock.now() - begun;
            if waited >= limit {
                return Err(self.not_finished(name, what, waited).await);
            }
            clock.sleep(pause(waited).min(limit - waited)).await;
            if self.is_done(name).await? {
                return Ok(());
            }
        }
    }
}

/// Errors read at once: a queue that never empties is no queue.
const ERRORS_READ: usize = 2 * codec::ERRORS_MAX;

#[async_trait(?Send)]
impl MotionController for NewportEsp {
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
        self.identify().await?;
        // What the last program left there is nobody's fault now; its time tells whether home is still known.
        self.drain(Repeat::Harmless).await?;
        self.cleared_at = self.line.recoveries();
        let before = std::mem::take(&mut self.channels);
        for s in setup {
            let c = self.find(s, &before).await?;
            self.channels.insert(s.channel.clone(), c.clone());
            self.bring(s, &c).await?;
        }
        Ok(())
    }

    async fn states(&mut self, channels: &[&str]) -> Result<Vec<ChannelState>, MotionError> {
        // The time it tells shows whether it was switched off since.
        self.cleared_at = u64::MAX;
        self.settle().await?;
        let mut states = Vec::new();
        for name in channels {
            let c = self.channel(name)?;
            let servo = self.flag(&c, "MO").await?;
            let position = self.number(&c, "TP").await? * c.factor();
            states.push(ChannelState { referenced: c.referenced, servo, position });
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
        let since = self.line.clock().now();
        if let Some(c) = self.channels.get_mut(channel) {
            c.referenced = false;
            c.target = Some(Target { value: 0.0, since, begun: false });
        }
        self.power(&c).await?;
        // With the mode that the stage was set up for; 0 would only go to where the count is 0.
        self.set(&c.axis, &format!("{}OR", c.number)).await?;
        self.rest(channel, "reference search", since, REFERENCE_LIMIT).await?;
        let begun = self.channels.get(channel).and_then(|c| c.target).is_some_and(|t| t.begun);
        let mut errors = self.drain(Repeat::Never).await?;
        self.keep(channel, None);
        if !errors.is_empty() {
            return Err(self.refused(&c.axis, "OR", errors.swap_remove(0)));
        }
        if !begun {
            return Err(MotionError::NotReferenced { instrument: self.instrument(), axis: c.axis });
        }
        if let Some(c) = self.channels.get_mut(channel) {
            c.referenced = true;
        }
        Ok(())
    }

    async fn set_velocity(&mut self, velocities: &[(&str, f64)]) -> Result<(), MotionError> {
        for (name, velocity) in velocities {
            let c = self.channel(name)?;
            self.set_number(&c, "VA", "velocity", velocity / c.factor()).await?;
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
            moves.push((*name, self.number(&c, "DP").await? + distance / c.factor()));
        }
        self.start(&moves).await
    }

    async fn on_target(&mut self, channels: &[&str]) -> Result<bool, MotionError> {
        for name in channels {
            if !self.is_done(name).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn wait_on_target(&mut self, channels: &[&str], limit: Duration) -> Result<(), MotionError> {
        let begun = self.line.clock().now();
        for name in channels {
            self.rest(name, "move", begun, limit).await?;
        }
        for name in channels {
            self.arrived(name).await?;
        }
        Ok(())
    }

    async fn stop_all(&mut self) -> Result<(), MotionError> {
        self.line.send_urgent(codec::STOP_ALL).await?;
        let begun = self.line.clock().now();
        let names: Vec<String> = self.channels.keys().cloned().collect();
        for name in names {
            self.keep(&name, None);
            self.rest(&name, "stop", begun, STOP_LIMIT).await?;
        }
        Ok(())
    }
}
