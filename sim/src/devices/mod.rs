//! Simulated instruments: bytes in, bytes out, as the device would. Each knows its protocol from the fact sheets of its
//! maker and the world it stands in; none knows a driver.

#[cfg(test)]
mod dialogues;
mod dicon_switch;
pub(crate) mod dress;
mod gcs2;
mod gcs2_commands;
mod gcs2_parameters;
mod joinwit_pm;
mod keysight_laser;
mod keysight_pm;
mod lines;
mod santec_tsl;
mod scpi;
mod segments;
mod thorlabs_pm;
mod zaber;

use std::collections::{BTreeMap, VecDeque};

use crate::config::{InstrumentWiring, MeterChannel, Role};
use crate::world::World;

/// A device on the far end of a line.
pub(crate) trait Device {
    /// Bytes have arrived.
    fn receive(&mut self, now_s: f64, bytes: &[u8]);

    /// When the next reply is ready, if one is to come, or when what goes on in the device must be looked after.
    fn due(&self) -> Option<f64>;

    /// The next reply that is ready.
    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>>;

    /// Power goes off and on again.
    fn restart(&mut self, now_s: f64);

    /// From now on refuses every command by its own error code, or no longer does.
    fn refuse(&mut self, refuse: bool);

    /// The client has closed its connection: a line it had begun and answers it has not fetched are nobody's. A serial
    /// line is never told, since it does not know.
    fn hang_up(&mut self) {}
}

/// Replies in the order of their commands, each ready at its time.
#[derive(Debug, Default)]
pub(crate) struct Replies(VecDeque<(f64, Vec<u8>)>);

impl Replies {
    pub(crate) fn push(&mut self, at_s: f64, bytes: Vec<u8>) {
        // A device works its commands off in order: no reply overtakes the one before it.
        let at_s = self.0.back().map_or(at_s, |(last, _)| at_s.max(*last));
        self.0.push_back((at_s, bytes));
    }

    pub(crate) fn due(&self) -> Option<f64> {
        self.0.front().map(|(at, _)| *at)
    }

    pub(crate) fn take(&mut self, now_s: f64) -> Option<Vec<u8>> {
        if self.due()? > now_s {
            return None;
        }
        self.0.pop_front().map(|(_, bytes)| bytes)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// One kind of device, for lists.
#[derive(Debug, Clone)]
pub struct KindInfo {
    /// Word on the command line and in bench files.
    pub kind: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Options: name and values.
    pub options: &'static [(&'static str, &'static str)],
}

/// What a meter that is served alone sees, where it stands in a world.
const ROLE: (&str, &str) = ("role", "signal (default) or tap, in a world");

/// Kinds of devices there are.
pub fn device_kinds() -> &'static [KindInfo] {
    &[
        KindInfo {
            kind: "pi-gcs2",
            description: "Physik Instrumente motion controller, GCS 2.0",
            options: &[("model", "C-884 (default), C-863, C-867"), ("axes", "number of axes, 1 to 6 (default 4)")],
        },
        KindInfo {
            kind: "thorlabs-pm",
            description: "Thorlabs optical power meter, SCPI",
            options: &[("model", "PM101 (default), PM103, PM100D, PM400"), ROLE],
        },
        KindInfo {
            kind: "thorlabs-pm-lan",
            description: "Thorlabs optical power meter on its Ethernet port, SCPI in segments",
            options: &[("model", "PM103E (default)"), ROLE],
        },
        KindInfo {
            kind: "joinwit-pm",
            description: "Joinwit four-channel optical power meter, binary frames",
            options: &[("model", "JW8103A (default)"), ROLE],
        },
        KindInfo {
            kind: "keysight-pm",
            description: "Keysight multi-port optical power meter, SCPI",
            options: &[("model", "N7744A (default), N7744C, N7745A, N7745C, 8163B"), ROLE],
        },
        KindInfo {
            kind: "zaber-ascii",
            description: "Zaber motion controllers or stages in a chain, ASCII protocol, firmware 7",
            options: &[
                ("model", "X-MCC4 (default), X-MCB2, X-LHM"),
                ("devices", "number of devices in the chain, 1 to 6 (default 1)"),
                ("axes", "number of stages on each device, 1 to 4 as the model has (default 1); 6 in all"),
            ],
        },
        KindInfo {
            kind: "keysight-laser",
            description: "Keysight laser source, SCPI",
            options: &[(
                "model",
                "N7776C (default), N7776C-216, N7778C, N7778C-216, N7779C, N7779C-216; 216 is the C band",
            )],
        },
        KindInfo {
            kind: "santec-tsl",
            description: "Santec tunable laser, SCPI",
            options: &[("model", "TSL-570 (default), TSL-570-O, TSL-550; O is the O band")],
        },
        KindInfo {
            kind: "dicon-switch",
            description: "DiCon GP600 optical switch",
            options: &[("model", "GP600 (default)")],
        },
    ]
}

/// A device that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No device of this kind.
    #[error("there is no simulated device \"{0}\"")]
    Kind(String),
    /// The device has no such option.
    #[error("{kind}: there is no option \"{option}\"")]
    Option {
        /// Kind of device.
        kind: String,
        /// Option given.
        option: String,
    },
    /// The option does not take this value.
    #[error("{kind}: option {option} does not take \"{value}\"")]
    Value {
        /// Kind of device.
        kind: String,
        /// Option given.
        option: String,
        /// Value given.
        value: String,
    },
}

/// Makes the device of an instrument of the wiring.
pub(crate) fn make(world: &World, instrument: &InstrumentWiring) -> Result<Box<dyn Device>, DeviceError> {
    let model = instrument.model.as_deref();
    match (instrument.kind.as_str(), &instrument.role) {
        ("pi-gcs2", Role::Motion { axes }) => Ok(Box::new(gcs2::Gcs2::new(world.clone(), model, axes.clone()))),
        ("zaber-ascii", Role::Motion { axes }) => Ok(Box::new(zaber::Zaber::new(world.clone(), model, axes))),
        ("thorlabs-pm", Role::Meter { channels }) => {
            // One channel, whatever its number.
            let number = channels.first().map_or(1, |c| c.number);
            Ok(Box::new(thorlabs_pm::ThorlabsPm::new(world, &instrument.name, number, model)))
        }
        ("thorlabs-pm-lan", Role::Meter { channels }) => {
            let number = channels.first().map_or(1, |c| c.number);
            let model = model.or(Some("PM103E"));
            let meter = thorlabs_pm::ThorlabsPm::new(world, &instrument.name, number, model);
            Ok(Box::new(segments::Segmented::new(meter)))
        }
        ("joinwit-pm", Role::Meter { .. }) => Ok(Box::new(joinwit_pm::JoinwitPm::new(world, &instrument.name))),
        ("santec-tsl", Role::Source) => Ok(Box::new(santec_tsl::SantecTsl::new(world.clone(), model))),
        ("dicon-switch", Role::Switch { .. }) => {
            Ok(Box::new(dicon_switch::DiconSwitch::new(world.clone(), &instrument.name)))
        }
        ("keysight-pm", Role::Meter { .. }) => {
            Ok(Box::new(keysight_pm::KeysightPm::new(world, &instrument.name, model)))
        }
        ("keysight-laser", Role::Source) => Ok(Box::new(keysight_laser::KeysightLaser::new(world.clone(), model))),
        (kind, _) => Err(DeviceError::Kind(kind.to_string())),
    }
}

/// Axes of the world of a single device.
const AXES: [&str; 6] = ["x", "y", "z", "a4", "a5", "a6"];

/// Checks the options of a single device and gives its wiring on a port named `device`.
///
/// # Errors
/// [`DeviceError`].
pub fn standalone(kind: &str, options: &BTreeMap<String, String>) -> Result<InstrumentWiring, DeviceError> {
    let info = device_kinds().iter().find(|k| k.kind == kind).ok_or_else(|| DeviceError::Kind(kind.to_string()))?;
    for option in options.keys() {
        if !info.options.iter().any(|(name, _)| name == option) {
            return Err(DeviceError::Option { kind: kind.to_string(), option: option.clone() });
        }
    }
    let refused = |option: &str, value: &str| DeviceError::Value {
        kind: kind.to_string(),
        option: option.to_string(),
        value: value.to_string(),
    };
    let model = options.get("model").cloned();
    if let Some(model) = &model {
        let known = info.options.iter().find(|(name, _)| *name == "model").map_or("", |(_, values)| values);
        let takes = known.split(", ").any(|word| word.trim_end_matches(" (default)") == model);
        if !takes {
            return Err(refused("model", model));
        }
    }
    let role = match kind {
        "pi-gcs2" => {
            let count = options.get("axes").map_or("4", String::as_str);
            let number =
                count.parse::<usize>().ok().filter(|n| (1..=6).contains(n)).ok_or_else(|| refused("axes", count))?;
            Role::Motion {
                axes: AXES
                    .iter()
                    .take(number)
                    .zip(1..)
                    .map(|(n, i): (&&str, u32)| (n.to_string(), i.to_string()))
                    .collect(),
            }
        }
        "zaber-ascii" => {
            let number = |option: &str, most: usize| {
                let text = options.get(option).map_or("1", String::as_str);
                let number = text.parse::<usize>().ok().filter(|n| (1..=most).contains(n));
                number.ok_or_else(|| refused(option, text))
            };
            let axes = number("axes", zaber::axes_of(model.as_deref()))?;
            let devices = number("devices", AXES.len() / axes)?;
            let channels = (1..=devices).flat_map(|d| (1..=axes).map(move |a| format!("{d}.{a}")));
            Role::Motion { axes: AXES.iter().map(|n| (*n).to_string()).zip(channels).collect() }
        }
        "thorlabs-pm" | "thorlabs-pm-lan" | "joinwit-pm" | "keysight-pm" => {
            let role = options.get("role").map_or("signal", String::as_str);
            if !matches!(role, "signal" | "tap") {
                return Err(refused("role", role));
            }
            let count = match kind {
                "keysight-pm" => keysight_pm::channels(model.as_deref()),
                "joinwit-pm" => 4,
                _ => 1,
            };
            let channel = |number| MeterChannel { number, role: role.to_string(), lane: number };
            Role::Meter { channels: (1..=count).map(channel).collect() }
        }
        "dicon-switch" => Role::Switch { meter: String::new() },
        _ => Role::Source,
    };
    Ok(InstrumentWiring { name: "device".into(), kind: kind.to_string(), port: "device".into(), model, role })
}
