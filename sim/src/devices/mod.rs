//! Simulated instruments: bytes in, bytes out, as the device would. Each knows its protocol from the fact sheets of its
//! maker and the world it stands in; none knows a driver.

#[cfg(test)]
mod dialogues;
mod dicon_switch;
pub(crate) mod dress;
mod gcs2;
mod joinwit_pm;
mod keysight_laser;
mod keysight_pm;
mod lines;
mod newport_1830;
mod newport_1936;
mod newport_esp;
mod newport_smc;
mod santec_tsl;
mod scpi;
mod segments;
mod thorlabs_apt;
mod thorlabs_pm;
mod zaber;

use std::collections::{BTreeMap, VecDeque};

use crate::config::{InstrumentWiring, MeterChannel, Role, SwitchPort};
use crate::world::World;
use crate::world_hexapod::{self, is_hexapod, is_piezo};

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
pub(crate) struct Replies {
    queue: VecDeque<(f64, Vec<u8>)>,
    /// What the queue holds, bytes.
    held: usize,
}

/// A device whose output holds this much loses what else it has to say: whoever asks and does not listen costs no more
/// than this and one reply.
const HELD_MAX: usize = 1 << 20;
/// A reply costs this besides its bytes.
const REPLY_COST: usize = 64;

impl Replies {
    pub(crate) fn push(&mut self, at_s: f64, bytes: Vec<u8>) {
        if self.held >= HELD_MAX {
            return;
        }
        self.held += bytes.len() + REPLY_COST;
        // A device works its commands off in order: no reply overtakes the one before it.
        let at_s = self.queue.back().map_or(at_s, |(last, _)| at_s.max(*last));
        self.queue.push_back((at_s, bytes));
    }

    pub(crate) fn due(&self) -> Option<f64> {
        self.queue.front().map(|(at, _)| *at)
    }

    pub(crate) fn take(&mut self, now_s: f64) -> Option<Vec<u8>> {
        if self.due()? > now_s {
            return None;
        }
        let (_, bytes) = self.queue.pop_front()?;
        self.held -= bytes.len() + REPLY_COST;
        Some(bytes)
    }

    pub(crate) fn clear(&mut self) {
        *self = Replies::default();
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
            options: &[
                ("model", "C-884 (default), C-863, C-867, C-887, E-712"),
                ("axes", "number of axes, 1 to 6 (default 4; 3 of E-712; C-887 has its six)"),
            ],
        },
        KindInfo {
            kind: "newport-1830",
            description: "Newport optical power meter, commands of one letter",
            options: &[("model", "1830-C (default), 1830-R"), ("role", "signal (default) or tap, in a world")],
        },
        KindInfo {
            kind: "newport-1936",
            description: "Newport optical power meter of two channels, PM: commands",
            options: &[
                ("model", "2936-R (default), 1936-R"),
                ("role", "signal (default) or tap, in a world, of the first channel; the second sees the tap"),
            ],
        },
        KindInfo {
            kind: "newport-smc",
            description: "Newport controllers for one axis each, chained by address",
            options: &[
                ("model", "SMC100CC (default), SMC100PP, CONEX-CC"),
                ("axes", "controllers, 1 to 6 (default 1)"),
            ],
        },
        KindInfo {
            kind: "newport-esp",
            description: "Newport motion controller for three axes",
            options: &[("model", "ESP301 (default), ESP300"), ("axes", "number of axes, 1 to 3 (default 3)")],
        },
        KindInfo {
            kind: "thorlabs-pm",
            description: "Thorlabs optical power meter, SCPI",
            options: &[("model", "PM101 (default), PM103, PM100D, PM400"), ROLE],
        },
        KindInfo {
            kind: "thorlabs-pm-lan",
            description: "Thorlabs optical power meter on its Ethernet port, SCPI in segments",
            options: &[("model", "PM103E (default), PM5020"), ROLE],
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
            kind: "thorlabs-apt",
            description: "Thorlabs motion controller, piezo or NanoTrak, APT binary protocol",
            options: &[
                ("model", thorlabs_apt::MODELS),
                ("stage", "name (MTS50-Z8, DDS220, DRV014 ...) or counts per mm of the stages; each model has its own"),
                ("axes", "number of bays in use of a rack, 1 to 3 (default 1)"),
                ("status", "bytes of a stepper's status record, 14 (default) or 20"),
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
        ("pi-gcs2", Role::Motion { axes }) => Ok(Box::new(gcs2::Attended::new(world.clone(), model, axes.clone()))),
        ("zaber-ascii", Role::Motion { axes }) => Ok(Box::new(zaber::Zaber::new(world.clone(), model, axes))),
        ("thorlabs-apt", Role::Motion { axes }) => {
            Ok(Box::new(thorlabs_apt::Apt::new(world, &instrument.name, model, axes)?))
        }
        ("newport-1830", Role::Meter { channels }) => {
            let number = channels.first().map_or(1, |c| c.number);
            Ok(Box::new(newport_1830::Newport1830::new(world, &instrument.name, number, model)))
        }
        ("newport-1936", Role::Meter { .. }) => {
            Ok(Box::new(newport_1936::Newport1936::new(world, &instrument.name, model)))
        }
        ("newport-smc", Role::Motion { axes }) => {
            Ok(Box::new(newport_smc::NewportSmc::new(world.clone(), model, axes.clone())))
        }
        ("newport-esp", Role::Motion { axes }) => {
            Ok(Box::new(newport_esp::NewportEsp::new(world.clone(), model, axes.clone())))
        }
        ("thorlabs-pm", Role::Meter { channels }) => {
            // One channel, whatever its number.
            let number = channels.first().map_or(1, |c| c.number);
            Ok(Box::new(thorlabs_pm::ThorlabsPm::new(world, &instrument.name, number, model)))
        }
        ("thorlabs-pm-lan", Role::Meter { channels }) => {
            let number = channels.first().map_or(1, |c| c.number);
            let model = model.unwrap_or("PM103E");
            let meter = thorlabs_pm::ThorlabsPm::on_ethernet(world, &instrument.name, number, model);
            Ok(Box::new(segments::Segmented::new(meter)))
        }
        ("joinwit-pm", Role::Meter { .. }) => Ok(Box::new(joinwit_pm::JoinwitPm::new(world, &instrument.name))),
        ("santec-tsl", Role::Source) => Ok(Box::new(santec_tsl::SantecTsl::new(world.clone(), model))),
        ("dicon-switch", Role::Switch { at, lanes, .. }) => {
            Ok(Box::new(dicon_switch::DiconSwitch::new(world.clone(), &instrument.name, *at, lanes.clone())))
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

/// The models that a kind's option lists, without the remarks on them.
fn models(listed: &'static str) -> impl Iterator<Item = &'static str> {
    let names = listed.split(';').next().unwrap_or_default();
    names.split(", ").map(|word| word.trim_end_matches(" (default)"))
}

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
    let mut model = options.get("model").cloned();
    if let Some(model) = &model {
        let known = info.options.iter().find(|(name, _)| *name == "model").map_or("", |(_, values)| values);
        let takes = models(known).any(|word| word == model);
        if !takes {
            return Err(refused("model", model));
        }
    }
    let role = match kind {
        "pi-gcs2" | "newport-smc" | "newport-esp" => {
            if kind == "pi-gcs2" && is_hexapod(model.as_deref()) {
                if let Some(count) = options.get("axes").filter(|c| *c != "6") {
                    return Err(refused("axes", count));
                }
                let bench = ["x", "y", "z", "rx", "ry", "rz"].map(String::from);
                let axes = bench.into_iter().zip(world_hexapod::AXES.map(String::from)).collect();
                let role = Role::Motion { axes };
                return Ok(InstrumentWiring {
                    name: "device".into(),
                    kind: kind.into(),
                    port: "device".into(),
                    model,
                    role,
                });
            }
            let (usual, most) = match kind {
                "newport-smc" => ("1", 6),
                "newport-esp" => ("3", 3),
                _ if is_piezo(model.as_deref()) => ("3", 6),
                _ => ("4", 6),
            };
            let count = options.get("axes").map_or(usual, String::as_str);
            let number =
                count.parse::<usize>().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| refused("axes", count))?;
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
        "thorlabs-apt" => {
            let axes = thorlabs_apt::standalone(options).map_err(|(option, value)| refused(option, &value))?;
            if options.get("status").is_some_and(|s| s == "20") {
                // The wiring has no other place for it.
                model = Some(format!("{} 20", model.as_deref().unwrap_or("KST101")));
            }
            Role::Motion { axes }
        }
        "thorlabs-pm" | "thorlabs-pm-lan" | "joinwit-pm" | "keysight-pm" | "newport-1830" | "newport-1936" => {
            let role = options.get("role").map_or("signal", String::as_str);
            if !matches!(role, "signal" | "tap") {
                return Err(refused("role", role));
            }
            let count = match kind {
                "keysight-pm" => keysight_pm::channels(model.as_deref()),
                "joinwit-pm" => 4,
                "thorlabs-pm-lan" if model.as_deref() == Some("PM5020") => 2,
                _ => 1,
            };
            let channel = |number| MeterChannel { number, role: role.to_string(), lane: number };
            let mut channels: Vec<MeterChannel> = (1..=count).map(channel).collect();
            if kind == "newport-1936" && model.as_deref() != Some("1936-R") {
                channels.push(MeterChannel { number: 2, role: "tap".into(), lane: 1 });
            }
            Role::Meter { channels }
        }
        "dicon-switch" => {
            Role::Switch { meter: String::new(), number: 1, at: SwitchPort::Output(1), lanes: Vec::new() }
        }
        _ => Role::Source,
    };
    Ok(InstrumentWiring { name: "device".into(), kind: kind.to_string(), port: "device".into(), model, role })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_that_is_listed_is_taken_and_no_other() {
        for info in device_kinds() {
            let Some((_, listed)) = info.options.iter().find(|(name, _)| *name == "model") else { continue };
            let with = |model: &str| standalone(info.kind, &BTreeMap::from([("model".to_string(), model.to_string())]));
            assert!(models(listed).all(|model| with(model).is_ok()), "{}: {listed}", info.kind);
            assert!(with("nonsense").is_err());
        }
    }
}
