//! Bringing a chain of Zaber devices to its known state, item by item; nothing moves.

use std::collections::BTreeSet;

use super::codec::{self, Place};
use super::driver::{Channel, ZaberAscii, is_silence};
use crate::exchange::LineError;
use crate::identity::Identity;
use crate::motion::{ChannelSetup, ChannelUnit, MotionError};

/// What this driver drives, for messages.
const KIND: &str = "a Zaber device speaking ASCII";

impl ZaberAscii {
    pub(super) async fn set_up(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        self.channels.clear();
        self.devices.clear();
        self.greet().await?;
        let mut places = Vec::new();
        for s in setup {
            let place = codec::place(&s.channel);
            places.push(place.ok_or_else(|| self.no_channel(s, "channels device.axis, such as 1.1".into()))?);
        }
        let mut addresses: BTreeSet<u8> = places.iter().map(|p| p.device).collect();
        if addresses.is_empty() {
            addresses.insert(1);
        }
        let mut ids = Vec::new();
        for device in addresses {
            let setup = setup.iter().zip(&places).find(|(_, p)| p.device == device).map(|(s, _)| s);
            ids.push((device, self.meet(device, setup).await?));
        }
        self.verified_at = self.line.recoveries();
        for (s, place) in setup.iter().zip(places) {
            let device_id = ids.iter().find(|(device, _)| *device == place.device).map_or(0, |(_, id)| *id);
            self.set_up_channel(s, place, device_id).await?;
        }
        Ok(())
    }

    /// Somebody on the line speaks the protocol.
    async fn greet(&mut self) -> Result<(), MotionError> {
        match self.line.ready().await {
            Err(LineError::NotRecovered { heard, .. }) if crate::scpi::is_talk(&heard) => {
                Err(self.wrong_device(format!("a device that says \"{heard}\"")))
            }
            done => Ok(done?),
        }
    }

    fn wrong_device(&self, found: String) -> MotionError {
        MotionError::WrongDevice {
            instrument: self.instrument(),
            port: self.line.port().to_string(),
            expected: self.expected.describe(KIND),
            found,
        }
    }

    fn no_channel(&self, setup: &ChannelSetup, available: String) -> MotionError {
        MotionError::NoChannel {
            instrument: self.instrument(),
            axis: setup.axis.clone(),
            channel: setup.channel.clone(),
            available,
        }
    }

    /// Who is at an address, and how it is to speak; gives its `deviceid`. The first one met is the identity.
    async fn meet(&mut self, device: u8, setup: Option<&ChannelSetup>) -> Result<i64, MotionError> {
        let axis = setup.map_or("all", |s| s.axis.as_str());
        let device_id = match (self.read(axis, (device, 0), "get deviceid", codec::integer).await, setup) {
            (Err(e), Some(setup)) if is_silence(&e) => {
                let others: Vec<String> = self.devices.keys().map(u8::to_string).collect();
                let others = if others.is_empty() { String::new() } else { format!(", but at {}", others.join(", ")) };
                return Err(self.no_channel(setup, format!("no device at address {device}{others}")));
            }
            (done, _) => done?,
        };
        let serial = self.read(axis, (device, 0), "get system.serial", |d| Some(d.to_string())).await?;
        let firmware = self.read(axis, (device, 0), "get version", |d| Some(d.to_string())).await?;
        if self.devices.is_empty() {
            let told = codec::told_serial(&serial);
            let found = Identity { maker: "Zaber".into(), model: codec::product(device_id), serial: told, firmware };
            if !self.expected.admits(&found) {
                return Err(self.wrong_device(format!("{} {found}", found.maker)));
            }
            self.identity = found;
        }
        self.devices.insert(device, (serial, false));
        // Unasked, nothing is to come; and every answer is to have a checksum, where the firmware can.
        self.once(axis, (device, 0), "set comm.alert 0").await?;
        if self.read(axis, (device, 0), "get comm.alert", codec::integer).await? != 0 {
            return Err(self.read_back(axis, "comm.alert", "0".into(), "1".into()));
        }
        let sealed = match self.once(axis, (device, 0), "set comm.checksum 1").await {
            Ok(_) => self.read(axis, (device, 0), "get comm.checksum", codec::integer).await? == 1,
            Err(MotionError::RefusedByWord { .. }) => false,
            Err(e) => return Err(e),
        };
        self.devices.entry(device).and_modify(|known| known.1 = sealed);
        Ok(device_id)
    }

    async fn set_up_channel(&mut self, setup: &ChannelSetup, at: Place, device_id: i64) -> Result<(), MotionError> {
        let place = (at.device, at.axis);
        let count = self.read(&setup.axis, (at.device, 0), "get system.axiscount", codec::integer).await?;
        if i64::from(at.axis) > count {
            let all: Vec<String> = (1..=count).map(|n| format!("{}.{n}", at.device)).collect();
            return Err(self.no_channel(setup, all.join(", ")));
        }
        // A stage with its controller built in has no such setting.
        let peripheral = match self.read(&setup.axis, place, "get peripheralid", codec::integer).await {
            Err(MotionError::RefusedByWord { .. }) => 0,
            done => done?,
        };
        let known = |s: &&codec::Stage| s.peripheral == peripheral && (peripheral != 0 || s.device == device_id);
        let stage = codec::STAGES.iter().find(known);
        let rotary = setup.unit == ChannelUnit::Degree;
        if let Some(stage) = stage.filter(|s| s.rotary != rotary) {
            let (set, read) = if stage.rotary { ("mm or um", "deg") } else { ("deg", "mm or um") };
            return Err(self.read_back(&setup.axis, "position unit", set.into(), read.into()));
        }
        let Some(step) = at.step.or(stage.map(|s| s.step)) else {
            let size = if rotary { "degrees" } else { "um" };
            return Err(self.no_channel(
                setup,
                format!(
                    "a stage unknown here on it, device {device_id}, peripheral {peripheral}: give the {size} of a \
                     microstep, {}.{}@SIZE",
                    at.device, at.axis
                ),
            ));
        };
        let step = step * self.fineness(setup, at).await?;
        let channel = Channel { axis: setup.axis.clone(), device: at.device, number: at.axis, step };
        self.check_travel(setup, &channel).await?;
        self.driver_on(&channel).await?;
        self.speed(&channel, setup.velocity).await?;
        self.soft_limits(setup, &channel).await?;
        self.channels.insert(setup.channel.clone(), channel);
        Ok(())
    }

    /// How much longer a microstep is than at the usual resolution; 1 for a stage that has no full steps.
    async fn fineness(&mut self, setup: &ChannelSetup, at: Place) -> Result<f64, MotionError> {
        match self.read(&setup.axis, (at.device, at.axis), "get resolution", codec::number).await {
            Err(MotionError::RefusedByWord { .. }) => Ok(1.0),
            Ok(resolution) if resolution >= 1.0 => Ok(codec::RESOLUTION / resolution),
            Ok(resolution) => Err(self.read_back(&setup.axis, "resolution", "64".into(), resolution.to_string())),
            Err(e) => Err(e),
        }
    }

    /// The motor has current.
    pub(super) async fn driver_on(&mut self, c: &Channel) -> Result<(), MotionError> {
        if self.flags(c).await?.iter().any(|f| f.is_driver_off()) {
            self.once(&c.axis, (c.device, c.number), "driver enable").await?;
        }
        if self.flags(c).await?.iter().any(|f| f.is_driver_off()) {
            return Err(self.read_back(&c.axis, "servo", "1".into(), "0".into()));
        }
        Ok(())
    }

    /// Soft limits of an earlier bench file may be narrower than the travel, which its sensors mark.
    async fn check_travel(&mut self, setup: &ChannelSetup, c: &Channel) -> Result<(), MotionError> {
        let mut travel = (f64::INFINITY, f64::NEG_INFINITY);
        for setting in ["limit.min", "limit.max", "limit.home.pos", "limit.away.pos"] {
            let words = format!("get {setting}");
            match self.read(&setup.axis, (c.device, c.number), &words, codec::number).await {
                Ok(at) => travel = (travel.0.min(at), travel.1.max(at)),
                // A stage without this sensor.
                Err(MotionError::RefusedByWord { .. }) if setting.ends_with("pos") => {}
                Err(e) => return Err(e),
            }
        }
        let (lower, upper) = setup.range;
        let fits = |position: f64| {
            let steps = position / c.step;
            steps >= travel.0 - 0.5 && steps <= travel.1 + 0.5
        };
        if fits(lower) && fits(upper) {
            return Ok(());
        }
        Err(MotionError::RangeOutsideTravel {
            instrument: self.instrument(),
            axis: setup.axis.clone(),
            channel: setup.channel.clone(),
            lower,
            upper,
            travel_lower: travel.0 * c.step,
            travel_upper: travel.1 * c.step,
        })
    }

    /// The device's own limits, both ends, and read back.
    async fn soft_limits(&mut self, setup: &ChannelSetup, c: &Channel) -> Result<(), MotionError> {
        let most = self.read(&setup.axis, (c.device, c.number), "get limit.max", codec::number).await?;
        let (lower, upper) = ((setup.range.0 / c.step).round(), (setup.range.1 / c.step).round());
        // A lower end above the old upper one would be refused.
        if lower >= most {
            self.set(c, "limit.max", "upper soft limit", upper).await?;
        }
        self.set(c, "limit.min", "lower soft limit", lower).await?;
        self.set(c, "limit.max", "upper soft limit", upper).await
    }
}
