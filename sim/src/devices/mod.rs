//! Simulated instruments: bytes in, bytes out, as the device would. Each knows its protocol from the fact sheets of its
//! maker and the world it stands in; none knows a driver.

#[cfg(test)]
mod dialogues;
mod gcs2;
mod keysight_laser;
mod lines;
mod scpi;
mod thorlabs_pm;

use std::collections::{BTreeMap, VecDeque};

use crate::config::{InstrumentWiring, MeterChannel, Role};
use crate::world::World;
use crate::world_hexapod::{AXES, is_hexapod, is_piezo};

/// A device on the far end of a line.
pub(crate) trait Device {
    /// Bytes have arrived.
    fn receive(&mut self, now_s: f64, bytes: &[u8]);

    /// When the next reply is ready, if one is to come.
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
            kind: "thorlabs-pm",
            description: "Thorlabs optical power meter, SCPI",
            options: &[
                ("model", "PM101 (default), PM103, PM100D, PM400"),
                ("role", "signal (default) or tap, in a world"),
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
        ("thorlabs-pm", Role::Meter { channels }) => {
            // One channel, whatever its number.
            let number = channels.first().map_or(1, |c| c.number);
            Ok(Box::new(thorlabs_pm::ThorlabsPm::new(world, &instrument.name, number, model)))
        }
        ("keysight-laser", Role::Source) => Ok(Box::new(keysight_laser::KeysightLaser::new(world.clone(), model))),
        (kind, _) => Err(DeviceError::Kind(kind.to_string())),
    }
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
            if is_hexapod(model.as_deref()) {
                if let Some(count) = options.get("axes").filter(|c| *c != "6") {
                    return Err(refused("axes", count));
                }
                let bench = ["x", "y", "z", "rx", "ry", "rz"].map(String::from);
                let axes = bench.into_iter().zip(AXES.map(String::from)).collect();
                let role = Role::Motion { axes };
                return Ok(InstrumentWiring {
                    name: "device".into(),
                    kind: kind.into(),
                    port: "device".into(),
                    model,
                    role,
                });
            }
            let usual = if is_piezo(model.as_deref()) { "3" } else { "4" };
            let count = options.get("axes").map_or(usual, String::as_str);
            let number =
                count.parse::<usize>().ok().filter(|n| (1..=6).contains(n)).ok_or_else(|| refused("axes", count))?;
            let names = ["x", "y", "z", "a4", "a5", "a6"];
            Role::Motion {
                axes: names
                    .iter()
                    .take(number)
                    .zip(1..)
                    .map(|(n, i): (&&str, u32)| (n.to_string(), i.to_string()))
                    .collect(),
            }
        }
        "thorlabs-pm" => {
            let role = options.get("role").map_or("signal", String::as_str);
            if !matches!(role, "signal" | "tap") {
                return Err(refused("role", role));
            }
            Role::Meter { channels: vec![MeterChannel { number: 1, role: role.to_string(), lane: 1 }] }
        }
        _ => Role::Source,
    };
    Ok(InstrumentWiring { name: "device".into(), kind: kind.to_string(), port: "device".into(), model, role })
}
