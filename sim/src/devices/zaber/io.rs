//! Inputs and outputs of a Zaber controller, and the texts it keeps for its users. The first analog input has a photodiode
//! amplifier on it; nothing is connected to the others.

use std::collections::BTreeMap;

use super::Controller;
use super::commands::{BADCOMMAND, BADDATA, Done, STATUSBUSY, integer};
use crate::world::{View, World};

/// Analog inputs and digital outputs and inputs, each; none in a stage with its controller built in. No analog outputs.
const LINES: usize = 4;
/// The photodiode amplifier, V/W: 1 V for 0.1 mW; an input takes 10 V.
const VOLTS_PER_WATT: f64 = 1e4;
const FULL_V: f64 = 10.0;
/// Keys kept for each axis and for the device, and the characters of a value.
const KEYS_MAX: usize = 100;
const VALUE_MAX: usize = 1000;

/// State of the lines and the storage.
#[derive(Debug, Clone, Default)]
pub(super) struct Io {
    outputs: [bool; LINES],
    /// By the axis, 0 for the device.
    stored: BTreeMap<u32, BTreeMap<String, String>>,
}

impl Io {
    /// Storage is kept over a reset.
    pub(super) fn reset(&mut self) {
        self.outputs = [false; LINES];
    }
}

fn bit(on: bool) -> &'static str {
    if on { "1" } else { "0" }
}

impl Controller {
    fn lines(&self) -> usize {
        if self.model.peripheral_id == 0 { 0 } else { LINES }
    }

    /// `io info`, `io get`, `io set`.
    pub(super) fn io(&mut self, world: &World, now_s: f64, words: &[&str]) -> Done {
        let lines = self.lines();
        match words {
            ["info"] => Ok(format!("0 {lines} {lines} {lines}")),
            ["info", "ao"] => Ok("0".into()),
            ["info", "ai" | "di" | "do"] => Ok(lines.to_string()),
            ["get", "ao", ..] => Err(BADDATA),
            ["get", kind @ ("ai" | "di" | "do")] => {
                let all: Vec<String> = (0..lines).map(|i| self.line(world, now_s, kind, i)).collect();
                if all.is_empty() { Err(BADDATA) } else { Ok(all.join(" ")) }
            }
            ["get", kind @ ("ai" | "di" | "do"), number] => Ok(self.line(world, now_s, kind, self.number(number)?)),
            ["set", "do", "port", values @ ..] => {
                let values: Vec<bool> = values.iter().map(|v| on(v)).collect::<Result<_, _>>()?;
                if values.len() != lines || lines == 0 {
                    return Err(BADDATA);
                }
                self.io.outputs.copy_from_slice(&values);
                Ok("0".into())
            }
            ["set", "do", number, value] => {
                let at = self.number(number)?;
                self.io.outputs[at] = match *value {
                    "t" => !self.io.outputs[at],
                    value => on(value)?,
                };
                Ok("0".into())
            }
            ["set", "ao", ..] => Err(BADDATA),
            _ => Err(BADCOMMAND),
        }
    }

    /// Index of a line's number.
    fn number(&self, word: &str) -> Result<usize, &'static str> {
        let at = integer(Some(&word))?.checked_sub(1).and_then(|n| usize::try_from(n).ok());
        at.filter(|at| *at < self.lines()).ok_or(BADDATA)
    }

    fn line(&self, world: &World, now_s: f64, kind: &str, at: usize) -> String {
        match kind {
            "ai" => {
                let light = if at == 0 { world.seen(self.model.name, &View::Lane(0), now_s, now_s) } else { 0.0 };
                format!("{:.4}", (light * VOLTS_PER_WATT).clamp(0.0, FULL_V))
            }
            "do" => bit(self.io.outputs[at]).into(),
            _ => "0".into(),
        }
    }

    /// `storage [axis] set|append|get|erase|print`: the first word says where an axis number in the address does not.
    pub(super) fn storage(&mut self, axis: u32, words: &[&str]) -> Done {
        let (place, words) = match words {
            ["axis", rest @ ..] if axis > 0 => (axis, rest),
            _ if axis == 0 => (0, words),
            _ => return Err(BADCOMMAND),
        };
        let kept = self.io.stored.entry(place).or_default();
        match words {
            ["set", key, value @ ..] if !value.is_empty() => keep(kept, key, value.join(" ")),
            ["append", key, value @ ..] if !value.is_empty() => {
                let before = kept.get(*key).ok_or(BADDATA)?;
                let whole = format!("{before} {}", value.join(" "));
                keep(kept, key, whole)
            }
            ["get", key] => kept.get(*key).cloned().ok_or(BADDATA),
            ["erase", key] => kept.remove(*key).map(|_| "0".into()).ok_or(BADDATA),
            ["print"] => Ok(listed(kept.iter().map(|(key, value)| format!("set {key} {value}")))),
            ["print", "keys"] => Ok(listed(kept.keys().map(|key| format!("set {key}")))),
            ["print", "keys" | "prefix", begin] => {
                let some = kept.keys().filter(|key| key.starts_with(begin));
                Ok(listed(some.map(|key| format!("set {key}"))))
            }
            _ => Err(BADCOMMAND),
        }
    }

    /// `system restore`: only while nothing moves.
    pub(super) fn restore(&mut self, world: &World) -> Done {
        if self.addressed(0).any(super::axis::Axis::is_busy) {
            return Err(STATUSBUSY);
        }
        self.io = Io::default();
        (self.alert, self.sealed, self.begun) = (false, false, None);
        for axis in self.axes.iter_mut().flatten() {
            axis.restore(world);
        }
        Ok("0".into())
    }
}

fn on(word: &str) -> Result<bool, &'static str> {
    match word {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(BADDATA),
    }
}

fn keep(kept: &mut BTreeMap<String, String>, key: &str, value: String) -> Done {
    if value.len() > VALUE_MAX {
        return Err(BADDATA);
    }
    if kept.len() >= KEYS_MAX && !kept.contains_key(key) {
        return Err("FULL");
    }
    kept.insert(key.into(), value);
    Ok("0".into())
}

/// Lines behind the reply.
fn listed(lines: impl Iterator<Item = String>) -> String {
    lines.fold("0".to_string(), |text, line| text + "\n" + &line)
}
