//! Parameters of a motion controller's axes (`HPA?`, `SPA`, `SPA?`) and their stages (`CST`, `VST?`). Only those that are
//! true of the simulated stage are there. Ids and names: PI's parameter overview of C-863 and C-884.

use super::recorder;
use super::{COUNT, Channel, Gcs2, MISSING, NO_AXIS, NOT_A_NUMBER, RANGE, SOFT, VELOCITY};

/// Stage name unknown.
const NO_STAGE: i32 = 16;
/// Unknown parameter id.
const UNKNOWN_PARAMETER: i32 = 54;
/// Parameter protected at this command level.
const PROTECTED: i32 = 60;

/// The stage on every channel, and the word for none.
pub(super) const STAGE: &str = "M-SIM.1DG";
pub(super) const NOSTAGE: &str = "NOSTAGE";

/// One parameter of an axis: id, type, name.
const TABLE: &[(u32, &str, &str)] = &[
    (0x0A, "FLOAT", "Maximum closed-loop velocity"),
    (0x0B, "FLOAT", "Current closed-loop acceleration"),
    (0x14, "INT", "Stage has a reference"),
    (0x15, "FLOAT", "Maximum travel in positive direction"),
    (0x16, "FLOAT", "Value at reference position"),
    (0x17, "FLOAT", "Distance from limit to reference, negative"),
    (0x2F, "FLOAT", "Distance from limit to reference, positive"),
    (0x30, "FLOAT", "Maximum travel in negative direction"),
    (0x32, "INT", "Stage has no limit switches"),
    (0x36, "INT", "Settling window, counts"),
    (0x3C, "CHAR", "Stage name"),
    (0x49, "FLOAT", "Current closed-loop velocity"),
    (0x70, "INT", "Reference signal type"),
    (0x0700_0601, "CHAR", "Axis unit"),
];

/// Parameters of the controller itself; their item is 1 or any axis.
const SYSTEM: &[(u32, &str, &str)] = &[
    (0x0E00_0200, "FLOAT", "Servo update time"),
    (0x1600_0200, "INT", "Data recorder maximum points"),
    (0x1600_0201, "INT", "Data recorder points of a table"),
    (0x1600_0300, "INT", "Data recorder tables"),
];

impl Gcs2 {
    /// What `HPA?` lists: the fourth word of a line is the type by which clients read values.
    pub(super) fn parameter_help(&self) -> Vec<String> {
        let mut lines = vec!["The following parameters are valid:".to_string()];
        let of_axes = if self.channels.is_empty() { &[] } else { TABLE };
        lines.extend(
            of_axes
                .iter()
                .chain(SYSTEM)
                .map(|(id, kind, name)| format!("0x{id:X}=\t0\t1\t{kind}\tmotorcontroller\t{name}")),
        );
        lines.push("end of help".into());
        lines
    }

    /// `SPA?`: of every axis everything, or of pairs of axis and id.
    pub(super) fn ask_parameters(&self, args: &[&str]) -> Result<Vec<String>, i32> {
        if args.is_empty() {
            let axes = self.channels.iter().filter(|c| c.is_active());
            let all = axes.flat_map(|c| TABLE.iter().map(move |(id, _, _)| (c, *id)));
            let mut lines = all.map(|(c, id)| self.parameter_line(c, id)).collect::<Result<Vec<_>, _>>()?;
            if lines.is_empty() {
                lines = SYSTEM.iter().filter_map(|(id, _, _)| self.system_line("1", *id)).collect();
            }
            return Ok(lines);
        }
        if !args.len().is_multiple_of(2) {
            return Err(MISSING);
        }
        args.chunks_exact(2)
            .map(|pair| {
                let id = parameter_id(pair[1])?;
                if (pair[0] == "1" || self.is_axis(pair[0]))
                    && let Some(line) = self.system_line(pair[0], id)
                {
                    return Ok(line);
                }
                if self.channels.is_empty() {
                    return Err(if self.is_axis(pair[0]) || pair[0] == "1" { UNKNOWN_PARAMETER } else { NO_AXIS });
                }
                self.parameter_line(&self.channels[self.index(pair[0])?], id)
            })
            .collect()
    }

    fn system_line(&self, item: &str, id: u32) -> Option<String> {
        let value = match id {
            0x0E00_0200 => format!("{:.6}", self.servo_s()),
            0x1600_0200 => (recorder::TABLES * recorder::POINTS).to_string(),
            0x1600_0201 => recorder::POINTS.to_string(),
            0x1600_0300 => recorder::TABLES.to_string(),
            _ => return None,
        };
        Some(format!("{item} 0x{id:X}={value}"))
    }

    fn parameter_line(&self, c: &Channel, id: u32) -> Result<String, i32> {
        let value = self.parameter(c, id).ok_or(UNKNOWN_PARAMETER)?;
        Ok(format!("{} 0x{id:X}={value}", c.name))
    }

    fn parameter(&self, c: &Channel, id: u32) -> Option<String> {
        let mm = |um: f64| format!("{:.6}", um / c.unit_um);
        let reference_um = self.reference_um(c);
        Some(match id {
            0x0A => mm(c.velocity_max_um_s),
            0x0B => mm(c.acceleration_um_s2),
            // 0 of the reference signal is a switch that is low on one side and high on the other.
            0x32 | 0x70 => "0".into(),
            0x14 => u8::from(c.unit_um > 1.0).to_string(),
            0x15 => mm(c.soft_um.1),
            0x16 => mm(reference_um),
            0x17 => mm(reference_um - c.travel_um.0),
            0x2F => mm(c.travel_um.1 - reference_um),
            0x30 => mm(c.soft_um.0),
            0x36 => c.window_counts.to_string(),
            0x3C => c.stage().into(),
            0x49 => mm(c.velocity_um_s),
            0x0700_0601 => c.unit().into(),
            _ => return None,
        })
    }

    /// `SPA`: triples of axis, id, value; all are checked before the first is set.
    pub(super) fn set_parameters(&mut self, args: &[&str]) -> Result<(), i32> {
        if args.is_empty() {
            return Err(MISSING);
        }
        if !args.len().is_multiple_of(3) {
            return Err(COUNT);
        }
        let mut changed = self.channels.clone();
        if args
            .chunks_exact(3)
            .any(|t| parameter_id(t[1]).is_ok_and(|id| SYSTEM.iter().any(|(known, _, _)| *known == id)))
        {
            return Err(PROTECTED);
        }
        for triple in args.chunks_exact(3) {
            let channel = &mut changed[self.index(triple[0])?];
            channel.set_parameter(parameter_id(triple[1])?, triple[2])?;
        }
        self.channels = changed;
        Ok(())
    }

    /// `CST`: a stage to an axis; NOSTAGE takes the axis out of use.
    pub(super) fn assign(&mut self, now_s: f64, args: &[&str]) -> Result<(), i32> {
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return Err(if args.is_empty() { MISSING } else { COUNT });
        }
        let mut wanted = Vec::new();
        for pair in args.chunks_exact(2) {
            let index = self.channels.iter().position(|c| c.name == pair[0]).ok_or(NO_AXIS)?;
            let there = match pair[1].to_ascii_uppercase().as_str() {
                STAGE => true,
                NOSTAGE => false,
                _ => return Err(NO_STAGE),
            };
            wanted.push((index, there));
        }
        for (index, there) in wanted {
            self.halt(now_s, index);
            self.channels[index].assign(there);
        }
        Ok(())
    }
}

impl Channel {
    fn set_parameter(&mut self, id: u32, text: &str) -> Result<(), i32> {
        if !TABLE.iter().any(|(known, _, _)| *known == id) {
            return Err(UNKNOWN_PARAMETER);
        }
        let number = || text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(NOT_A_NUMBER);
        match id {
            0x15 | 0x30 => {
                let um = number()? * self.unit_um;
                if um < self.travel_um.0 - 1e-6 || um > self.travel_um.1 + 1e-6 {
                    return Err(SOFT);
                }
                if id == 0x15 { self.soft_um.1 = um } else { self.soft_um.0 = um }
            }
            0x36 => {
                let counts: u32 = text.parse().map_err(|_| NOT_A_NUMBER)?;
                self.window_counts = if counts > 0 { counts } else { return Err(RANGE) };
            }
            0x49 => {
                let um_s = number()? * self.unit_um;
                if um_s <= 0.0 || um_s > self.velocity_max_um_s {
                    return Err(VELOCITY);
                }
                self.velocity_um_s = um_s;
            }
            _ => return Err(PROTECTED),
        }
        Ok(())
    }
}

/// An id in hexadecimal with 0x, or in decimal.
fn parameter_id(text: &str) -> Result<u32, i32> {
    let lower = text.to_ascii_lowercase();
    let id = lower.strip_prefix("0x").map_or_else(|| lower.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
    id.ok_or(UNKNOWN_PARAMETER)
}
