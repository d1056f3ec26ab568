//! Bringing an APT controller to its known state, item by item; nothing moves.

use super::codec::{self, Fields};
use super::driver::{Apt, Channel};
use super::stages::{self, Class, Stage};
use crate::exchange::LineError;
use crate::motion::{ChannelSetup, ChannelUnit, MotionError};

/// What this driver drives, for messages.
const KIND: &str = "a Thorlabs APT controller";
/// Soft limits: 1 ignores them, 3 stops there along the profile; of other modes this driver sets none.
const LIMITS_OFF: u16 = 1;
const LIMITS_ON: u16 = 3;
/// Bays of the largest rack.
const BAYS: u8 = 10;

/// Identifies a unit on its own or a rack; true for a rack. `expected` is tried first.
async fn answering(apt: &mut Apt) -> Result<(bool, Vec<u8>), MotionError> {
    let rack = apt.expected.model.as_deref().and_then(stages::class).map(|(_, rack)| rack);
    let mut silent = None;
    for rack in rack.map_or(vec![false, true], |rack| vec![rack]) {
        apt.line.speak_binary(codec::protocol(rack), codec::is_aside);
        // Status messages of an earlier program would never let the line fall quiet.
        let dest = if rack { codec::BAY } else { codec::UNIT };
        apt.line.send_urgent(&codec::short(codec::STOP_UPDATES, 0, 0, dest)).await?;
        match apt.line.identify().await {
            Ok(answer) => return Ok((rack, answer)),
            Err(e @ LineError::NotRecovered { .. }) => silent = Some(e),
            Err(e) => return Err(e.into()),
        }
    }
    match silent {
        Some(e) => Err(e.into()),
        None => Err(apt.wrong_device("nothing".into())),
    }
}

impl Apt {
    pub(super) async fn set_up(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        self.channels.clear();
        let (rack, stage_id) = self.identify(|class| class != Class::NanoTrak).await?;
        for item in setup {
            let channel = self.channel(item, rack, stage_id).await?;
            self.line.send(&codec::short(codec::STOP_UPDATES, 0, 0, channel.dest)).await?;
            if self.class != Class::Piezo {
                self.line.send(&codec::short(codec::SUSPEND_END_OF_MOVE, 1, 0, channel.dest)).await?;
            }
            self.enable(&channel).await?;
            if self.class == Class::Piezo {
                self.close_loop(&channel).await?;
            }
            self.velocity(&channel, item.velocity).await?;
            let homed = self.status(&channel).await?.bits & codec::HOMED != 0;
            self.soft_limits(&channel, homed).await?;
            self.channels.insert(item.channel.clone(), channel);
        }
        Ok(())
    }

    /// Who answers; gives whether it is a rack and what it says its stage is.
    pub(super) async fn identify(&mut self, wanted: fn(Class) -> bool) -> Result<(bool, u16), MotionError> {
        let (rack, answer) = answering(self).await?;
        let (found, stage_id) = codec::identity(&answer).unwrap_or_default();
        let class = stages::class(&found.model).map(|(class, _)| class).filter(|class| wanted(*class));
        let Some(class) = class.filter(|_| self.expected.admits(&found)) else {
            return Err(self.wrong_device(format!("{} {found}", found.maker)));
        };
        self.class = class;
        self.identity = found;
        Ok((rack, stage_id))
    }

    fn wrong_device(&self, found: String) -> MotionError {
        MotionError::WrongDevice {
            instrument: self.instrument(),
            port: self.line.port().to_string(),
            expected: self.expected.describe(KIND),
            found,
        }
    }

    async fn channel(&mut self, item: &ChannelSetup, rack: bool, stage_id: u16) -> Result<Channel, MotionError> {
        let wanted = stages::channel(&item.channel);
        let Some((number, stage)) = wanted else { return Err(self.no_channel(item, self.suffixed("1"))) };
        let dest = if rack { codec::BAY + number - 1 } else { codec::UNIT };
        let there = if rack { self.bay_used(number - 1).await? } else { number == 1 };
        if !there {
            let available = self.available(rack).await?;
            return Err(self.no_channel(item, available));
        }
        if self.class == Class::Piezo {
            return self.piezo(item, dest).await;
        }
        let Some(stage) = stage else {
            return Err(self.no_channel(item, self.suffixed(&number.to_string())));
        };
        self.fits(item, stage, stage_id)?;
        Ok(Channel::motor(item, dest, stage.counts))
    }

    fn suffixed(&self, number: &str) -> String {
        if self.class == Class::Piezo {
            number.to_string()
        } else {
            format!("{number}:STAGE or {number}:COUNTS_PER_MM")
        }
    }

    fn no_channel(&self, item: &ChannelSetup, available: String) -> MotionError {
        MotionError::NoChannel {
            instrument: self.instrument(),
            axis: item.axis.clone(),
            channel: item.channel.clone(),
            available,
        }
    }

    async fn bay_used(&mut self, bay: u8) -> Result<bool, MotionError> {
        let read = move |f: Fields<'_>| f.params().filter(|(b, _)| *b == bay).map(|(_, used)| used == 1);
        self.ask(("all", "whether a bay is used"), [bay, 0], (codec::REQ_BAY_USED, codec::RACK), read).await
    }

    async fn available(&mut self, rack: bool) -> Result<String, MotionError> {
        let mut used = Vec::new();
        for bay in 0..if rack { BAYS } else { 0 } {
            if self.bay_used(bay).await? {
                used.push((bay + 1).to_string());
            }
        }
        Ok(if rack { used.join(", ") } else { "1".into() })
    }

    /// Whether the bench file's stage is the controller's, and its range within the travel and the counter.
    fn fits(&self, item: &ChannelSetup, stage: Stage, stage_id: u16) -> Result<(), MotionError> {
        if self.class == Class::Dc
            && let Some(own) = stages::numbered(stage_id)
            && (own.counts - stage.counts).abs() > 1e-9 * own.counts
        {
            let set = format!("{} ({} counts)", stage.name, stage.counts);
            return Err(self.read_back(&item.axis, "stage", set, format!("{} ({} counts)", own.name, own.counts)));
        }
        let per = if item.unit == ChannelUnit::Degree { 1.0 } else { 1000.0 };
        let counter = f64::from(i32::MAX) / stage.counts * per;
        let (travel_lower, travel_upper) = match stage.travel {
            Some(travel) => (0.0, travel * per),
            None => (-counter, counter),
        };
        self.within(item, travel_lower, travel_upper)
    }

    fn within(&self, item: &ChannelSetup, travel_lower: f64, travel_upper: f64) -> Result<(), MotionError> {
        let (lower, upper) = item.range;
        if lower >= travel_lower && upper <= travel_upper {
            return Ok(());
        }
        Err(MotionError::RangeOutsideTravel {
            instrument: self.instrument(),
            axis: item.axis.clone(),
            channel: item.channel.clone(),
            lower,
            upper,
            travel_lower,
            travel_upper,
        })
    }

    async fn piezo(&mut self, item: &ChannelSetup, dest: u8) -> Result<Channel, MotionError> {
        let read = |f: Fields<'_>| {
            f.are(4)?;
            f.word(2)
        };
        let tenths = self.ask((&item.axis, "a travel"), [1, 0], (codec::REQ_MAX_TRAVEL, dest), read).await?;
        let travel_um = f64::from(tenths) / 10.0;
        if tenths == 0 {
            // So a controller without a strain gauge says.
            return Err(self.read_back(&item.axis, "travel", "above 0 um".into(), "0 um".into()));
        }
        self.within(item, 0.0, travel_um)?;
        Ok(Channel::piezo(item, dest, travel_um))
    }

    pub(super) async fn enable(&mut self, channel: &Channel) -> Result<(), MotionError> {
        self.line.send(&codec::short(codec::SET_ENABLED, 1, 1, channel.dest)).await?;
        let read = |f: Fields<'_>| f.params().map(|(_, state)| state == 1);
        let about = (channel.axis.as_str(), "whether the channel is enabled");
        if self.ask(about, [1, 0], (codec::REQ_ENABLED, channel.dest), read).await? {
            return Ok(());
        }
        Err(self.read_back(&channel.axis, "channel", "enabled".into(), "disabled".into()))
    }

    /// Closes a piezo's loop, which needs its strain gauge.
    async fn close_loop(&mut self, channel: &Channel) -> Result<(), MotionError> {
        let about = (channel.axis.as_str(), "a status");
        let gauge = |f: Fields<'_>| codec::piezo_status(f).map(|s| s.bits & codec::GAUGE != 0);
        if !self.ask(about, [1, 0], (codec::REQ_PIEZO_STATUS, channel.dest), gauge).await? {
            return Err(self.read_back(&channel.axis, "strain gauge", "connected".into(), "not connected".into()));
        }
        self.line.send(&codec::short(codec::SET_POSITION_MODE, 1, 2, channel.dest)).await?;
        let about = (channel.axis.as_str(), "a position control mode");
        let read = |f: Fields<'_>| f.params().map(|(_, mode)| mode);
        match self.ask(about, [1, 0], (codec::REQ_POSITION_MODE, channel.dest), read).await? {
            2 => Ok(()),
            mode => Err(self.read_back(&channel.axis, "position control mode", "2".into(), mode.to_string())),
        }
    }

    /// Sets the velocity of moves and leaves the acceleration; a piezo has neither.
    pub(super) async fn velocity(&mut self, channel: &Channel, velocity: f64) -> Result<(), MotionError> {
        if self.class == Class::Piezo {
            return Ok(());
        }
        let read = |f: Fields<'_>| {
            f.are(14)?;
            Some((f.number(2)?, f.number(6)?, f.number(10)?))
        };
        let about = (channel.axis.as_str(), "velocity parameters");
        let message = (codec::REQ_VELOCITY, channel.dest);
        let (least, acceleration, _) = self.ask(about, [1, 0], message, read).await?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is read back")]
        let word = ((velocity * channel.counts * stages::words(self.class).0).round() as i32).max(1);
        let values = [least, acceleration, word].map(i32::to_le_bytes);
        let values: Vec<&[u8]> = values.iter().map(<[u8; 4]>::as_slice).collect();
        self.line.send(&codec::long(codec::SET_VELOCITY, &values, channel.dest)).await?;
        match self.ask(about, [1, 0], message, read).await? {
            (_, _, found) if found == word => Ok(()),
            (_, _, found) => Err(self.read_back(&channel.axis, "velocity", word.to_string(), found.to_string())),
        }
    }

    /// Sets the controller's soft limits to the range of the bench, or off; the switches stay as they are.
    pub(super) async fn soft_limits(&mut self, channel: &Channel, on: bool) -> Result<(), MotionError> {
        if self.class == Class::Piezo {
            return Ok(());
        }
        let read = |f: Fields<'_>| {
            f.are(16)?;
            Some(([f.word(2)?, f.word(4)?], [f.number(6)?, f.number(10)?], f.word(14)?))
        };
        let about = (channel.axis.as_str(), "limit switch parameters");
        let message = (codec::REQ_LIMITS, channel.dest);
        let (switches, ends, _) = self.ask(about, [1, 0], message, read).await?;
        let wanted = (
            switches,
            if on { [channel.to_counts(channel.range.1), channel.to_counts(channel.range.0)] } else { ends },
            if on { LIMITS_ON } else { LIMITS_OFF },
        );
        let values: Vec<u8> = [
            wanted.0.map(u16::to_le_bytes).concat(),
            wanted.1.map(i32::to_le_bytes).concat(),
            wanted.2.to_le_bytes().to_vec(),
        ]
        .concat();
        self.line.send(&codec::long(codec::SET_LIMITS, &[&values], channel.dest)).await?;
        let found = self.ask(about, [1, 0], message, read).await?;
        if found == wanted {
            return Ok(());
        }
        let told = |(_, [upper, lower], mode): ([u16; 2], [i32; 2], u16)| format!("{lower} to {upper}, mode {mode}");
        Err(self.read_back(&channel.axis, "soft limits", told(wanted), told(found)))
    }
}
