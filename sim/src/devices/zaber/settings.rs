//! The settings of a Zaber device: what `get` tells and `set` takes, at the scope of the device and of an axis.

use super::axis::{ACCELERATION, Axis, SPEED};
use super::commands::{BADCOMMAND, BADDATA, DEVICEONLY, Done, float, integer};
use super::{Controller, PACKET_MAX, PACKETS_MAX};
use crate::world::World;

/// Firmware and its build, as in the tests of Zaber's library.
const VERSION: (&str, &str) = ("7.38", "15708");
/// What an axis without a stage answers.
const NONE: &str = "NA";

/// A value as a whole number of Zaber's units, at least 1.
fn units(value: f64) -> String {
    format!("{:.0}", value.round().max(1.0))
}

impl Controller {
    pub(super) fn get(&self, world: &World, now_s: f64, axis: u32, name: &str) -> Done {
        if let Some(value) = self.of_device(name) {
            return if axis == 0 { Ok(value) } else { Err(DEVICEONLY) };
        }
        let only = usize::try_from(axis).unwrap_or(usize::MAX);
        let values: Option<Vec<String>> = self
            .axes
            .iter()
            .enumerate()
            .filter(|(i, _)| only == 0 || i + 1 == only)
            .map(|(_, a)| self.of_axis(a.as_ref(), world, now_s, name))
            .collect();
        values.map(|v| v.join(" ")).ok_or(BADCOMMAND)
    }

    fn of_device(&self, name: &str) -> Option<String> {
        Some(match name {
            "deviceid" | "device.id" => self.model.device_id.to_string(),
            "device.hw.modified" => "0".into(),
            "system.serial" => self.serial.to_string(),
            "system.access" => "1".into(),
            "system.axiscount" => self.axes.len().to_string(),
            "system.voltage" => "48.0".into(),
            "system.temperature" => "31.5".into(),
            "version" => VERSION.0.into(),
            "version.build" => VERSION.1.into(),
            "comm.address" => self.address.to_string(),
            "comm.alert" => u8::from(self.alert).to_string(),
            "comm.checksum" => u8::from(self.sealed).to_string(),
            "comm.packet.size.max" => PACKET_MAX.to_string(),
            "comm.command.packets.max" => PACKETS_MAX.to_string(),
            "comm.word.size.max" => "50".into(),
            "get.settings.max" => "1".into(),
            "lockstep.numgroups" | "stream.numstreams" => "0".into(),
            _ => return None,
        })
    }

    /// A setting of one axis; `None` for one there is not.
    fn of_axis(&self, axis: Option<&Axis>, world: &World, now_s: f64, name: &str) -> Option<String> {
        let Some(a) = axis else {
            let known = matches!(name, "peripheralid" | "peripheral.id");
            return Some(if known { "0".into() } else { NONE.into() });
        };
        let speed = |um_s: f64| units(um_s / a.step_um() * SPEED);
        let bit = |yes: bool| u8::from(yes).to_string();
        let at = |um: f64| a.steps(um).to_string();
        Some(match name {
            "pos" => a.told(world, now_s).to_string(),
            "encoder.pos" => a.encoded(world, now_s).to_string(),
            "peripheralid" | "peripheral.id" => self.model.peripheral_id.to_string(),
            "resolution" => a.resolution.to_string(),
            "maxspeed" => speed(a.maxspeed_um_s),
            "limit.approach.maxspeed" => speed(a.approach_um_s),
            "accel" | "motion.accelonly" | "motion.decelonly" => {
                units(a.acceleration_um_s2 / a.step_um() / ACCELERATION)
            }
            "limit.min" => at(a.limits_um.0),
            "limit.max" => at(a.limits_um.1),
            "limit.home.pos" => at(a.home_um),
            "limit.away.pos" => at(a.travel_um.1),
            "limit.home.triggered" | "limit.home.state" => bit(a.at_home(world, now_s)),
            "driver.enabled" => bit(a.enabled()),
            "driver.current.run" => "140".into(),
            "driver.current.hold" => "70".into(),
            "driver.temperature" => "36.5".into(),
            "parking.state" => bit(a.parked),
            "knob.enable" => "1".into(),
            _ => return None,
        })
    }

    pub(super) fn set(&mut self, world: &World, now_s: f64, axis: u32, name: &str, value: &str) -> Done {
        let value = integer(Some(&value));
        if self.of_device(name).is_some() {
            if axis != 0 {
                return Err(DEVICEONLY);
            }
            self.set_device(name, value)?;
        } else {
            if self.axes.iter().flatten().next().is_none_or(|a| self.of_axis(Some(a), world, now_s, name).is_none()) {
                return Err(BADCOMMAND);
            }
            if matches!(name, "pos" | "encoder.pos" | "resolution") {
                self.idle(axis)?;
            }
            self.each(axis, |a| set_axis(a, world, now_s, name, value))?;
        }
        Ok("0".into())
    }

    /// A setting that cannot be set is, to `set`, no setting.
    fn set_device(&mut self, name: &str, value: Result<i64, &'static str>) -> Result<(), &'static str> {
        let flag = |value: i64| match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BADDATA),
        };
        match name {
            "comm.alert" => self.alert = flag(value?)?,
            "comm.checksum" => self.sealed = flag(value?)?,
            "comm.address" => {
                self.address = u32::try_from(value?).ok().filter(|n| (1..=99).contains(n)).ok_or(BADDATA)?;
            }
            "system.access" => {
                flag(value? - 1)?;
            }
            _ => return Err(BADCOMMAND),
        }
        Ok(())
    }
}

fn set_axis(
    axis: &mut Axis,
    world: &World,
    now_s: f64,
    name: &str,
    value: Result<i64, &'static str>,
) -> Result<(), &'static str> {
    let um = |value: i64| float(value) * axis.step_um();
    let speed = |value: i64| {
        let um_s = um(value) / SPEED;
        let fits = um_s > 0.0 && um_s <= axis.speed_limit_um_s * (1.0 + 1e-9);
        if fits { Ok(um_s) } else { Err(BADDATA) }
    };
    match name {
        "maxspeed" => axis.maxspeed_um_s = speed(value?)?,
        "limit.approach.maxspeed" => axis.approach_um_s = speed(value?)?,
        "accel" => axis.acceleration_um_s2 = axis.acceleration(float(value?)).ok_or(BADDATA)?,
        "limit.min" => {
            let um = um(value?);
            axis.limits_um.0 = if um < axis.limits_um.1 { um } else { return Err(BADDATA) };
        }
        "limit.max" => {
            let um = um(value?);
            axis.limits_um.1 = if um > axis.limits_um.0 { um } else { return Err(BADDATA) };
        }
        "pos" => {
            let um = um(value?);
            axis.call_here(world, now_s, um);
        }
        "resolution" => {
            let value = u32::try_from(value?).ok().filter(|n| (1..=256).contains(n));
            axis.resolution = value.ok_or(BADDATA)?;
        }
        _ => return Err(BADCOMMAND),
    }
    Ok(())
}
