//! [`MotionController`] for the ASCII protocol: moves, waits, stops; a lost answer is made good by looking at the axis.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use async_trait::async_trait;

use super::codec::{self, Flag, Reply, To};
use crate::exchange::{Line, LineError, Query, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::motion::{ChannelSetup, ChannelState, MotionController, MotionError};

/// Devices answer within some milliseconds; a packet of 80 bytes takes 83 ms at 9600 baud.
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
/// A device that lost its power takes longer to answer again, so what it said of its flags still holds.
const FLAGS_HOLD: Duration = Duration::from_millis(500);
/// An axis with an encoder comes to rest within some microsteps of its target.
const ARRIVAL_STEPS: i64 = 10;

/// What the driver keeps of one channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Channel {
    /// The bench's name of the axis.
    pub(super) axis: String,
    pub(super) device: u8,
    pub(super) number: u8,
    /// um or degrees of a microstep.
    pub(super) step: f64,
}

impl Channel {
    /// um or degrees as microsteps.
    pub(super) fn steps(&self, position: f64) -> i64 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates; what is out of range is rejected by the device"
        )]
        let steps = (position / self.step).round() as i64;
        steps
    }

    fn position(&self, steps: f64) -> f64 {
        steps * self.step
    }
}

/// A chain of Zaber devices.
pub struct ZaberAscii {
    pub(super) line: Line,
    pub(super) expected: Expected,
    pub(super) identity: Identity,
    /// Serial numbers by address, and whether the device sends checksums.
    pub(super) devices: BTreeMap<u8, (String, bool)>,
    pub(super) channels: BTreeMap<String, Channel>,
    /// Targets in microsteps of moves that were accepted.
    pub(super) targets: BTreeMap<String, i64>,
    /// The line's recoveries after which the devices were last known to be the same.
    pub(super) verified_at: u64,
    /// When an axis of a device last answered without a flag.
    unflagged: BTreeMap<(u8, u8), Duration>,
    id: u8,
}

fn pause(waited: Duration) -> Duration {
    (waited / POLL_SHARE).clamp(POLL_MIN, POLL_MAX)
}

impl ZaberAscii {
    /// A driver over `line` for the devices `expected`; [`MotionController::connect`] comes first.
    pub fn new(mut line: Line, expected: Expected) -> ZaberAscii {
        line.speak(codec::PROTOCOL);
        ZaberAscii {
            line,
            expected,
            identity: Identity::default(),
            devices: BTreeMap::new(),
            channels: BTreeMap::new(),
            targets: BTreeMap::new(),
            verified_at: 0,
            unflagged: BTreeMap::new(),
            id: 0,
        }
    }

    pub(super) fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    fn known(&self, channel: &str) -> Result<Channel, MotionError> {
        self.channels.get(channel).cloned().ok_or_else(|| MotionError::NoChannel {
            instrument: self.instrument(),
            axis: channel.to_string(),
            channel: channel.to_string(),
            available: self.channels.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    fn all_known(&self, channels: &[&str]) -> Result<Vec<Channel>, MotionError> {
        channels.iter().map(|c| self.known(c)).collect()
    }

    pub(super) fn refused(&self, axis: &str, command: &str, word: &str, meaning: &str) -> MotionError {
        MotionError::RefusedByWord {
            instrument: self.instrument(),
            axis: axis.to_string(),
            command: command.to_string(),
            word: word.to_string(),
            meaning: meaning.to_string(),
        }
    }

    fn flagged(&self, axis: &str, command: &str, flag: Flag) -> MotionError {
        self.refused(axis, command, &flag.word(), flag.meaning())
    }

    pub(super) fn read_back(&self, axis: &str, what: &'static str, set: String, read: String) -> MotionError {
        MotionError::ReadBack { instrument: self.instrument(), axis: axis.to_string(), what, set, read }
    }

    fn next_id(&mut self) -> u8 {
        self.id = (self.id + 1) % codec::IDENTITY_ID;
        self.id
    }

    /// Sends a request to an axis of a device (0: the device) and reads its reply; a rejection is the error of `axis`.
    pub(super) async fn ask(
        &mut self,
        axis: &str,
        (device, number): (u8, u8),
        words: &str,
        repeat: Repeat,
    ) -> Result<Reply, MotionError> {
        let sealed = self.devices.get(&device).is_some_and(|(_, sealed)| *sealed);
        let to = To { device, axis: number, id: self.next_id(), sealed };
        let request = codec::request(to, words);
        let query = Query { request: &request, limit: QUERY_LIMIT, repeat, expected: "a reply with this id" };
        let reply = self.line.query(&query, |a| codec::reply(a, to)).await?;
        if reply.flag.is_none() {
            self.unflagged.insert((device, number), self.line.clock().now());
        } else {
            // A flag of the device may be one of any of its axes.
            self.unflagged.retain(|(d, n), _| *d != device || ![*n, 0].contains(&number));
        }
        if reply.rejected {
            return Err(self.refused(axis, words, &reply.data, codec::reason(&reply.data)));
        }
        Ok(reply)
    }

    /// Reads something and understands it with `parse`.
    pub(super) async fn read<T>(
        &mut self,
        axis: &str,
        place: (u8, u8),
        words: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, MotionError> {
        let reply = self.ask(axis, place, words, Repeat::Harmless).await?;
        parse(&reply.data)
            .ok_or_else(|| self.line.unexpected(words.as_bytes(), reply.data.as_bytes(), "data of this setting").into())
    }

    /// Sends what may be sent once only; whether its answer came.
    pub(super) async fn once(&mut self, axis: &str, place: (u8, u8), words: &str) -> Result<bool, MotionError> {
        match self.ask(axis, place, words, Repeat::Never).await {
            Ok(_) => Ok(true),
            Err(MotionError::Line(e)) if e.is_answer_lost() => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(super) async fn flags(&mut self, c: &Channel) -> Result<Vec<Flag>, MotionError> {
        self.read(&c.axis, (c.device, c.number), "warnings", codec::flags).await
    }

    async fn is_busy(&mut self, c: &Channel) -> Result<Reply, MotionError> {
        self.ask(&c.axis, (c.device, c.number), "", Repeat::Harmless).await
    }

    async fn steps(&mut self, c: &Channel) -> Result<i64, MotionError> {
        let at = self.read(&c.axis, (c.device, c.number), "get pos", codec::number).await?;
        // Some firmware tells parts of microsteps.
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let steps = at.round() as i64;
        Ok(steps)
    }

    fn not_referenced(&self, c: &Channel) -> MotionError {
        MotionError::NotReferenced { instrument: self.instrument(), axis: c.axis.clone() }
    }

    /// After the line was lost and came back the devices must be the ones that were set up.
    async fn same_devices(&mut self) -> Result<(), MotionError> {
        self.line.ready().await?;
        let now = self.line.recoveries();
        if now == self.verified_at {
            return Ok(());
        }
        self.unflagged.clear();
        for (device, (serial, _)) in self.devices.clone() {
            let found = self.read("all", (device, 0), "get system.serial", |d| Some(d.to_string())).await?;
            if found != serial {
                return Err(MotionError::WrongDevice {
                    instrument: self.instrument(),
                    port: self.line.port().to_string(),
                    expected: format!("the device with serial {serial} at address {device}"),
                    found: format!("a device with serial {found}"),
                });
            }
        }
        self.verified_at = now;
        Ok(())
    }

    /// An axis is ready for a move: referenced, without fault, and with no note that a later one would be blamed for. One
    /// that just said so is not asked.
    async fn fit(&mut self, c: &Channel, command: &str) -> Result<(), MotionError> {
        let now = self.line.clock().now();
        if self.unflagged.get(&(c.device, c.number)).is_some_and(|at| now - *at < FLAGS_HOLD) {
            return Ok(());
        }
        let mut flags = self.flags(c).await?;
        if flags.iter().any(|f| f.is_fault() || f.is_interruption()) {
            self.once(&c.axis, (c.device, c.number), "warnings clear").await?;
            flags = self.flags(c).await?;
        }
        if let Some(fault) = flags.iter().find(|f| f.is_fault()) {
            return Err(self.flagged(&c.axis, command, *fault));
        }
        if flags.iter().any(|f| f.is_unreferenced()) { Err(self.not_referenced(c)) } else { Ok(()) }
    }

    /// After a lost answer: the move counts as taken when the axis is on its way or there.
    async fn taken(&mut self, c: &Channel, target: i64) -> Result<(), MotionError> {
        if self.is_busy(c).await?.busy {
            return Ok(());
        }
        let at = self.steps(c).await?;
        if at.abs_diff(target) <= ARRIVAL_STEPS.unsigned_abs() {
            return Ok(());
        }
        Err(self.read_back(&c.axis, "target", target.to_string(), at.to_string()))
    }

    /// Moves to targets in microsteps, one command an axis.
    async fn start(&mut self, targets: &[(&str, i64)]) -> Result<(), MotionError> {
        self.same_devices().await?;
        let mut channels = Vec::new();
        for (name, target) in targets {
            let c = self.known(name)?;
            self.targets.remove(*name);
            self.fit(&c, &format!("move abs {target}")).await?;
            channels.push((c, *name, *target));
        }
        for (started, (c, name, target)) in channels.iter().enumerate() {
            if let Err(failure) = self.start_one(c, *target).await {
                // The command of several axes is taken as a whole or not at all.
                for (before, _, _) in &channels[..started] {
                    self.once(&before.axis, (before.device, before.number), "stop").await?;
                }
                self.targets.clear();
                return Err(failure);
            }
            self.targets.insert((*name).to_string(), *target);
        }
        Ok(())
    }

    async fn start_one(&mut self, c: &Channel, target: i64) -> Result<(), MotionError> {
        let (place, command) = ((c.device, c.number), format!("move abs {target}"));
        let flag = match self.ask(&c.axis, place, &command, Repeat::Never).await {
            Ok(reply) => reply.flag.filter(|f| f.is_fault() || f.is_unreferenced()),
            Err(MotionError::Line(e)) if e.is_answer_lost() => return self.taken(c, target).await,
            Err(e) => return Err(e),
        };
        let Some(flag) = flag else { return Ok(()) };
        // It would go somewhere else than it was sent.
        self.once(&c.axis, place, "stop").await?;
        Err(if flag.is_unreferenced() { self.not_referenced(c) } else { self.flagged(&c.axis, &command, flag) })
    }

    /// Waits until an axis is idle; the last reply tells its flag.
    async fn idle(&mut self, c: &Channel, what: &'static str, limit: Duration) -> Result<Reply, MotionError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        loop {
            let reply = self.is_busy(c).await?;
            let waited = clock.now() - begun;
            if !reply.busy {
                return Ok(reply);
            }
            if waited >= limit {
                let at = self.steps(c).await.ok();
                #[expect(clippy::cast_precision_loss, reason = "for a message")]
                let position = at.map_or(f64::NAN, |steps| c.position(steps as f64));
                let (instrument, axis) = (self.instrument(), c.axis.clone());
                return Err(MotionError::NotFinished {
                    instrument,
                    axis,
                    what,
                    waited_s: waited.as_secs_f64(),
                    position,
                });
            }
            clock.sleep(pause(waited).min(limit - waited)).await;
        }
    }

    /// The end of a motion: why it is none, if an axis raised a flag meanwhile.
    async fn ended(&mut self, c: &Channel, command: &str, last: &Reply) -> Result<(), MotionError> {
        if last.flag.is_none() {
            return Ok(());
        }
        let flags = self.flags(c).await?;
        if let Some(flag) = flags.iter().find(|f| f.is_fault() || f.is_interruption()) {
            return Err(self.flagged(&c.axis, command, *flag));
        }
        if flags.iter().any(|f| f.is_unreferenced()) { Err(self.not_referenced(c)) } else { Ok(()) }
    }

    /// Idle by its own word: now its position.
    async fn arrived(&mut self, name: &str, c: &Channel) -> Result<(), MotionError> {
        let Some(target) = self.targets.get(name).copied() else { return Ok(()) };
        let at = self.steps(c).await?;
        if at.abs_diff(target) <= ARRIVAL_STEPS.unsigned_abs() {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "a stage has some millions of microsteps")]
        let (target, position) = (c.position(target as f64), c.position(at as f64));
        Err(MotionError::ElsewhereThanTarget { instrument: self.instrument(), axis: c.axis.clone(), target, position })
    }

    /// Where a channel was last sent to, or where it is.
    async fn aim(&mut self, name: &str, c: &Channel) -> Result<i64, MotionError> {
        match self.targets.get(name) {
            Some(target) => Ok(*target),
            None => self.steps(c).await,
        }
    }

    /// A speed in Zaber's units: set and read back.
    pub(super) async fn speed(&mut self, c: &Channel, velocity: f64) -> Result<(), MotionError> {
        let units = (velocity / c.step * codec::SPEED).round();
        self.set(c, "maxspeed", "velocity", units).await
    }

    /// Sets a whole number and reads it back.
    pub(super) async fn set(
        &mut self,
        c: &Channel,
        setting: &str,
        what: &'static str,
        value: f64,
    ) -> Result<(), MotionError> {
        let place = (c.device, c.number);
        // What matters is what it reads back as, so a lost answer is no failure.
        self.once(&c.axis, place, &format!("set {setting} {value}")).await?;
        let read = self.read(&c.axis, place, &format!("get {setting}"), codec::number).await?;
        if (read - value).abs() <= 0.5 {
            return Ok(());
        }
        Err(self.read_back(&c.axis, what, value.to_string(), read.to_string()))
    }
}

#[async_trait(?Send)]
impl MotionController for ZaberAscii {
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
        let positions = self.positions(channels).await?;
        let mut states = Vec::new();
        for (c, position) in self.all_known(channels)?.iter().zip(positions) {
            let flags = self.flags(c).await?;
            let referenced = !flags.iter().any(|f| f.is_unreferenced());
            states.push(ChannelState { referenced, servo: !flags.iter().any(|f| f.is_driver_off()), position });
        }
        Ok(states)
    }

    async fn positions(&mut self, channels: &[&str]) -> Result<Vec<f64>, MotionError> {
        let known = self.all_known(channels)?;
        let mut told: BTreeMap<u8, Vec<Option<f64>>> = BTreeMap::new();
        let mut positions = Vec::new();
        for c in &known {
            let all = match told.entry(c.device) {
                Entry::Occupied(known) => known.into_mut(),
                // One request a device: where all axes are at one moment.
                Entry::Vacant(new) => new.insert(self.read(&c.axis, (c.device, 0), "get pos", codec::values).await?),
            };
            let at = all.get(usize::from(c.number) - 1).copied().flatten();
            let Some(at) = at else {
                return Err(self.line.unexpected(b"get pos", b"NA", "a position of each axis").into());
            };
            positions.push(c.position(at));
        }
        Ok(positions)
    }

    async fn reference(&mut self, channel: &str) -> Result<(), MotionError> {
        let c = self.known(channel)?;
        self.targets.remove(channel);
        self.same_devices().await?;
        self.driver_on(&c).await?;
        match self.fit(&c, "home").await {
            // It is not referenced: that is what is to be made good.
            Ok(()) | Err(MotionError::NotReferenced { .. }) => {}
            Err(e) => return Err(e),
        }
        // With a lost answer it moves or it does not: the flags tell in the end.
        self.once(&c.axis, (c.device, c.number), "home").await?;
        let last = self.idle(&c, "reference search", REFERENCE_LIMIT).await?;
        self.ended(&c, "home", &last).await
    }

    async fn set_velocity(&mut self, velocities: &[(&str, f64)]) -> Result<(), MotionError> {
        for (channel, velocity) in velocities {
            let c = self.known(channel)?;
            self.speed(&c, *velocity).await?;
        }
        Ok(())
    }

    async fn start_move(&mut self, targets: &[(&str, f64)]) -> Result<(), MotionError> {
        let mut steps = Vec::new();
        for (channel, target) in targets {
            steps.push((*channel, self.known(channel)?.steps(*target)));
        }
        self.start(&steps).await
    }

    async fn start_move_by(&mut self, distances: &[(&str, f64)]) -> Result<(), MotionError> {
        let mut steps = Vec::new();
        for (channel, distance) in distances {
            let c = self.known(channel)?;
            let from = self.aim(channel, &c).await?;
            steps.push((*channel, from.saturating_add(c.steps(*distance))));
        }
        // `move rel` would go from where the axis is, and nobody could tell where to after a lost answer.
        self.start(&steps).await
    }

    async fn on_target(&mut self, channels: &[&str]) -> Result<bool, MotionError> {
        for channel in channels {
            let c = self.known(channel)?;
            if self.is_busy(&c).await?.busy {
                return Ok(false);
            }
            match self.arrived(channel, &c).await {
                Ok(()) => {}
                Err(MotionError::ElsewhereThanTarget { .. }) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    async fn wait_on_target(&mut self, channels: &[&str], limit: Duration) -> Result<(), MotionError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        for channel in channels {
            let c = self.known(channel)?;
            let left = limit.saturating_sub(clock.now() - begun);
            let last = self.idle(&c, "move", left).await?;
            self.ended(&c, "move abs", &last).await?;
            self.arrived(channel, &c).await?;
        }
        Ok(())
    }

    async fn stop_all(&mut self) -> Result<(), MotionError> {
        self.line.send_urgent(codec::STOP).await?;
        self.targets.clear();
        let channels: Vec<Channel> = self.channels.values().cloned().collect();
        for c in &channels {
            self.idle(c, "stop", STOP_LIMIT).await?;
        }
        if channels.is_empty() {
            self.line.ready().await?;
        }
        Ok(())
    }
}

/// Whether a failure says that nobody answers at all.
pub(super) fn is_silence(failure: &MotionError) -> bool {
    matches!(failure, MotionError::Line(LineError::NoAnswer { .. }))
}
