//! Status registers of a Thorlabs meter: condition, event, transition filters, enable. Pure.

use super::Act;
use crate::devices::scpi::{self, Command, DATA_TYPE, MISSING, OUT_OF_RANGE};

/// Bits of the operation condition (vendor's command documentation, STATus:OPERation).
pub(super) const RANGING: u16 = 1 << 2;
pub(super) const MEASURING: u16 = 1 << 4;
pub(super) const ZEROING: u16 = 1 << 7;
pub(super) const SENSOR: u16 = 1 << 8;
pub(super) const DATA_READY: u16 = 1 << 9;

#[derive(Debug, Clone, Copy)]
struct Register {
    condition: u16,
    event: u16,
    rising: u16,
    falling: u16,
    enable: u16,
}

/// As after `STAT:PRES`.
const PRESET: Register = Register { condition: 0, event: 0, rising: u16::MAX, falling: 0, enable: 0 };

impl Register {
    fn update(&mut self, condition: u16) {
        let changed = condition ^ self.condition;
        self.event |= changed & ((condition & self.rising) | (!condition & self.falling));
        self.condition = condition;
    }
}

/// The registers and the bits of the status byte that sum them up.
const NAMES: [(&str, u8); 4] = [("OPERation", 7), ("QUEStionable", 3), ("MEASurement", 1), ("AUXiliary", 0)];

/// All of them.
#[derive(Debug)]
pub(super) struct Registers([Register; NAMES.len()]);

impl Default for Registers {
    fn default() -> Self {
        Registers([PRESET; NAMES.len()])
    }
}

impl Registers {
    /// The operation condition is this from now on; the others of a healthy meter are 0.
    pub(super) fn operation(&mut self, condition: u16) {
        self.0[0].update(condition);
    }

    /// Clears the events, as `*CLS` does.
    pub(super) fn clear(&mut self) {
        for register in &mut self.0 {
            register.event = 0;
        }
    }

    /// The bits of the status byte.
    pub(super) fn summary(&self) -> u8 {
        let sums = self.0.iter().zip(NAMES);
        sums.fold(0, |byte, (r, (_, bit))| byte | u8::from(r.event & r.enable != 0) << bit)
    }

    /// Does a command of the STATus subtree; `None` for any other.
    pub(super) fn act(&mut self, c: &Command) -> Option<Act> {
        if scpi::is(&c.header, "STATus:PRESet") && !c.query {
            for register in &mut self.0 {
                *register = Register { condition: register.condition, event: register.event, ..PRESET };
            }
            return Some(Act::Done);
        }
        let (register, name) = self.0.iter_mut().zip(NAMES).find_map(|(register, (name, _))| {
            let ours = |leaf: &str| scpi::is(&c.header, &format!("STATus:{name}{leaf}"));
            let leaves = ["[:EVENt]", ":CONDition", ":PTRansition", ":NTRansition", ":ENABle"];
            leaves.into_iter().find(|leaf| ours(leaf)).map(|leaf| (register, leaf))
        })?;
        let field = match name {
            "[:EVENt]" if c.query => return Some(Act::Say(std::mem::take(&mut register.event).to_string())),
            ":CONDition" if c.query => return Some(Act::Say(register.condition.to_string())),
            ":PTRansition" => &mut register.rising,
            ":NTRansition" => &mut register.falling,
            ":ENABle" => &mut register.enable,
            _ => return None,
        };
        Some(if c.query { Act::Say(field.to_string()) } else { set(field, &c.argument) })
    }
}

fn set(field: &mut u16, argument: &str) -> Act {
    if argument.is_empty() {
        return Act::Error(MISSING);
    }
    let Some((value, unit)) = scpi::number(argument) else { return Act::Error(DATA_TYPE) };
    if !unit.is_empty() {
        return Act::Error(DATA_TYPE);
    }
    if !(0.0..=f64::from(u16::MAX)).contains(&value) {
        return Act::Error(OUT_OF_RANGE);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range just checked")]
    let bits = value.round() as u16;
    *field = bits;
    Act::Done
}
