//! A chain of devices after the bytes seen from zaber-motion, with faults to switch on. For tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;

use crate::fake::ms;

#[derive(Clone)]
pub(super) struct Axis {
    pub(super) position: i64,
    pub(super) target: i64,
    pub(super) ends: Duration,
    pub(super) flags: Vec<&'static str>,
    pub(super) settings: BTreeMap<&'static str, i64>,
    /// Where the next move really ends.
    pub(super) ends_at: Option<i64>,
}

pub(super) struct Device {
    /// By address: `deviceid`, serial number, axes.
    pub(super) chain: BTreeMap<u8, (i64, u32, Vec<Axis>)>,
    pub(super) sealed: BTreeMap<u8, bool>,
    pub(super) alert: bool,
    /// Firmware without this setting.
    pub(super) lacks: Vec<&'static str>,
    pub(super) move_time: Duration,
    pub(super) home_time: Duration,
    /// A flag that the next home raises.
    pub(super) home_flag: Option<&'static str>,
    /// Requests with these words are carried out, but their next answer is lost.
    pub(super) lose: Vec<&'static str>,
    /// Requests with these words never arrive, once each.
    pub(super) ignore: Vec<&'static str>,
    /// What was heard, without addresses, ids and checksums: `1.1 home`.
    pub(super) heard: Vec<String>,
    pub(super) clock: Clock,
}

pub(super) type Shared = Rc<RefCell<Device>>;

/// The two's complement of the sum, written apart from the driver's.
fn seal(text: &str) -> String {
    let sum: u32 = text.bytes().skip(1).map(u32::from).sum();
    format!("{text}:{:02X}", (256 - sum % 256) % 256)
}

impl Device {
    pub(super) fn new(clock: &Clock) -> Device {
        let settings = BTreeMap::from([
            ("peripheralid", 43021),
            ("resolution", 64),
            ("maxspeed", 153_600),
            ("limit.min", 0),
            ("limit.max", 533_333),
            ("limit.home.pos", 0),
            ("limit.away.pos", 533_333),
        ]);
        let axis = Axis { position: 0, target: 0, ends: ms(0), flags: Vec::new(), settings, ends_at: None };
        let axes = vec![axis.clone(), axis];
        Device {
            chain: BTreeMap::from([(1, (30222, 12345, axes.clone())), (2, (30222, 12346, axes))]),
            sealed: BTreeMap::new(),
            alert: true,
            lacks: Vec::new(),
            move_time: ms(40),
            home_time: ms(700),
            home_flag: None,
            lose: Vec::new(),
            ignore: Vec::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    pub(super) fn axis(&mut self, device: u8, number: usize) -> &mut Axis {
        &mut self.chain.get_mut(&device).unwrap().2[number - 1]
    }

    /// A loss of power.
    pub(super) fn restart(&mut self) {
        for (_, _, axes) in self.chain.values_mut() {
            for axis in axes {
                (axis.position, axis.target, axis.ends, axis.flags) = (0, 0, ms(0), vec!["WR"]);
            }
        }
    }

    pub(super) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(request.to_vec()).unwrap();
        let text = text.trim_end();
        let (body, sum) = text.rsplit_once(':').unwrap();
        assert_eq!(seal(body), format!("{body}:{sum}"));
        let words: Vec<&str> = body.trim_start_matches('/').split(' ').collect();
        let (device, axis) = (words[0].parse::<u8>().unwrap(), words[1].parse::<usize>().unwrap());
        let id = words.get(2).filter(|w| w.parse::<u8>().is_ok());
        let rest = words[if id.is_some() { 3 } else { 2 }..].join(" ");
        if id != Some(&"99") {
            self.heard.push(format!("{device}.{axis} {rest}").trim_end().to_string());
        }
        let begins = |list: &mut Vec<&'static str>| {
            let found = list.iter().position(|l| rest.starts_with(l));
            found.map(|at| list.remove(at)).is_some()
        };
        if begins(&mut self.ignore) {
            return Vec::new();
        }
        let mut answer = String::new();
        for address in self.chain.keys().copied().collect::<Vec<_>>() {
            if device == 0 || device == address {
                answer += &self.one(address, axis, id.copied(), &rest);
            }
        }
        if begins(&mut self.lose) { Vec::new() } else { answer.into_bytes() }
    }

    fn one(&mut self, address: u8, axis: usize, id: Option<&str>, rest: &str) -> String {
        self.arrive();
        let done = self.act(address, axis, rest);
        let now = self.clock.now();
        let axes: Vec<&Axis> = self.chain[&address]
            .2
            .iter()
            .enumerate()
            .filter(|(i, _)| axis == 0 || i + 1 == axis)
            .map(|(_, a)| a)
            .collect();
        let busy = if axes.iter().any(|a| a.ends > now) { "BUSY" } else { "IDLE" };
        let flag = axes.iter().find_map(|a| a.flags.first()).unwrap_or(&"--");
        let id = id.map_or(String::new(), |id| format!(" {id}"));
        let (word, data) = match done {
            Ok(data) => ("OK", data),
            Err(reason) => ("RJ", reason.to_string()),
        };
        let text = format!("@{address:02} {axis}{id} {word} {busy} {flag} {data}");
        if self.sealed.get(&address) == Some(&true) { seal(&text) + "\r\n" } else { text + "\r\n" }
    }

    /// Ends moves that are over.
    fn arrive(&mut self) {
        let now = self.clock.now();
        for (_, _, axes) in self.chain.values_mut() {
            for axis in axes.iter_mut().filter(|a| a.ends <= now && a.ends > ms(0)) {
                axis.position = axis.ends_at.take().unwrap_or(axis.target);
                axis.ends = ms(0);
            }
        }
    }

    fn act(&mut self, address: u8, number: usize, rest: &str) -> Result<String, &'static str> {
        let (now, move_time, home_time) = (self.clock.now(), self.move_time, self.home_time);
        let (device_id, serial, axes) = self.chain.get_mut(&address).unwrap();
        let words: Vec<&str> = rest.split(' ').collect();
        let of_device = |name: &str| match name {
            "deviceid" => Some(device_id.to_string()),
            "system.serial" => Some(serial.to_string()),
            "system.axiscount" => Some(axes.len().to_string()),
            "version" => Some("7.38".into()),
            "comm.alert" => Some(u8::from(self.alert).to_string()),
            "comm.checksum" => Some(u8::from(self.sealed.get(&address) == Some(&true)).to_string()),
            _ => None,
        };
        if words.get(1).is_some_and(|name| self.lacks.contains(name)) {
            return Err("BADCOMMAND");
        }
        match words.as_slice() {
            ["get", "pos"] => {
                let told: Vec<String> = axes.iter().map(|a| a.position.to_string()).collect();
                return Ok(if number == 0 { told.join(" ") } else { told[number - 1].clone() });
            }
            ["get", name] if number == 0 => return of_device(name).ok_or("BADCOMMAND"),
            ["set", "comm.alert", value] => self.alert = *value == "1",
            ["set", "comm.checksum", value] => {
                self.sealed.insert(address, *value == "1");
            }
            ["stop"] => {
                for axis in axes.iter_mut().enumerate().filter(|(i, _)| number == 0 || i + 1 == number).map(|(_, a)| a)
                {
                    if axis.ends > now {
                        axis.target = i64::midpoint(axis.position, axis.target);
                        axis.ends = now + ms(3);
                        axis.flags.push("NI");
                    }
                }
            }
            _ => {
                let axis = axes.get_mut(number.wrapping_sub(1)).ok_or("BADAXIS")?;
                match words.as_slice() {
                    [""] => {}
                    ["get", name] => return axis.settings.get(*name).map(i64::to_string).ok_or("BADCOMMAND"),
                    ["set", name, value] => {
                        *axis.settings.get_mut(*name).ok_or("BADCOMMAND")? = value.parse().map_err(|_| "BADDATA")?;
                    }
                    ["warnings"] => {
                        return Ok(format!("{:02} {}", axis.flags.len(), axis.flags.join(" ")).trim_end().into());
                    }
                    ["warnings", "clear"] => axis.flags.retain(|f| matches!(*f, "WR" | "FO")),
                    ["driver", "enable"] => axis.flags.retain(|f| *f != "FO"),
                    ["home"] => {
                        axis.flags.retain(|f| *f != "WR");
                        axis.flags.extend(self.home_flag);
                        (axis.target, axis.ends) = (0, now + home_time);
                    }
                    ["move", "abs", value] => {
                        let target = value.parse().map_err(|_| "BADDATA")?;
                        if !(axis.settings["limit.min"]..=axis.settings["limit.max"]).contains(&target) {
                            return Err("BADDATA");
                        }
                        (axis.target, axis.ends) = (target, now + move_time);
                    }
                    _ => return Err("BADCOMMAND"),
                }
            }
        }
        Ok("0".into())
    }
}

/// Requests end with LF.
pub(super) fn cut(input: &[u8]) -> Option<usize> {
    input.iter().position(|b| *b == b'\n').map(|at| at + 1)
}
