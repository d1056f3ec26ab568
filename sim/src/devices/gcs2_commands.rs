//! The GCS 2.0 commands of a motion controller: what each does to the state, and the error codes it refuses with.

use super::gcs2::{Channel, Gcs2};
use super::gcs2_parameters::{NOSTAGE, STAGE};

/// Unknown command.
const UNKNOWN: i32 = 2;
/// Motion without reference, or with the servo off.
const NOT_REFERENCED: i32 = 5;
/// Target outside the limits.
const OUTSIDE: i32 = 7;
/// Velocity outside the limits.
pub(super) const VELOCITY: i32 = 8;
/// Axis name unknown.
pub(super) const NO_AXIS: i32 = 15;
/// Argument out of range.
pub(super) const RANGE: i32 = 17;
/// Axis named twice.
const TWICE: i32 = 22;
/// Wrong number of arguments.
pub(super) const COUNT: i32 = 24;
/// Not a number.
pub(super) const NOT_A_NUMBER: i32 = 25;
/// Argument missing.
pub(super) const MISSING: i32 = 26;
/// Soft limit out of range.
pub(super) const SOFT: i32 = 27;
/// `POS` while the position comes from a reference move only.
const NOT_ALLOWED: i32 = 34;
/// Busy with a reference move.
const BUSY: i32 = 1005;

/// What `HLP?` lists; clients decide by it what exists.
const HELP: &[&str] = &[
    "#3 Get Real-Time Position",
    "#4 Get Status Register",
    "#5 Request Motion Status",
    "#6 Query For Position Change",
    "#7 Request Controller Ready Status",
    "#8 Query If Macro Is Running",
    "#24 Stop All Axes",
    "*IDN? Get Device Identification",
    "ACC? [{<AxisID>}] Get Closed-Loop Acceleration",
    "CST {<AxisID> <StageName>} Set Assignment Of Stages To Axes",
    "CST? [{<AxisID>}] Get Assignment Of Stages To Axes",
    "CSV? Get Current Syntax Version",
    "DEC? [{<AxisID>}] Get Closed-Loop Deceleration",
    "DFH [{<AxisID>}] Define Home Position",
    "DFH? [{<AxisID>}] Get Home Position Definition",
    "ECO? <String> Echo A String",
    "ERR? Get Error Number",
    "FNL [{<AxisID>}] Fast Reference Move To Negative Limit",
    "FPL [{<AxisID>}] Fast Reference Move To Positive Limit",
    "FRF [{<AxisID>}] Fast Reference Move To Reference Switch",
    "FRF? [{<AxisID>}] Get Referencing Result",
    "GOH [{<AxisID>}] Go To Home Position",
    "HLP? Get List Of Available Commands",
    "HLT [{<AxisID>}] Halt Motion Smoothly",
    "HPA? Get List Of Available Parameters",
    "LIM? [{<AxisID>}] Indicate Limit Switches",
    "MOV {<AxisID> <Position>} Set Target Position",
    "MOV? [{<AxisID>}] Get Target Position",
    "MVR {<AxisID> <Distance>} Set Target Relative To Current Target",
    "NLM {<AxisID> <LowLimit>} Set Low Position Soft Limit",
    "NLM? [{<AxisID>}] Get Low Position Soft Limit",
    "ONT? [{<AxisID>}] Get On Target State",
    "PLM {<AxisID> <HighLimit>} Set High Position Soft Limit",
    "PLM? [{<AxisID>}] Get High Position Soft Limit",
    "POS {<AxisID> <Position>} Set Real Position",
    "POS? [{<AxisID>}] Get Real Position",
    "PUN? [{<AxisID>}] Get Position Unit",
    "RBT Reboot System",
    "RON {<AxisID> <ReferenceOn>} Set Reference Mode",
    "RON? [{<AxisID>}] Get Reference Mode",
    "SAI? [ALL] Get List Of Current Axis Identifiers",
    "SPA {<ItemID> <PamID> <PamValue>} Set Volatile Memory Parameters",
    "SPA? [{<ItemID> <PamID>}] Get Volatile Memory Parameters",
    "SSL {<AxisID> <SoftLimitsOn>} Set Soft Limit",
    "SSL? [{<AxisID>}] Get Soft Limit Status",
    "STP Stop All Axes",
    "SVO {<AxisID> <ServoState>} Set Servo Mode",
    "SVO? [{<AxisID>}] Get Servo Mode",
    "TMN? [{<AxisID>}] Get Minimum Commandable Position",
    "TMX? [{<AxisID>}] Get Maximum Commandable Position",
    "TRS? [{<AxisID>}] Indicate Reference Switch",
    "VEL {<AxisID> <Velocity>} Set Closed-Loop Velocity",
    "VEL? [{<AxisID>}] Get Closed-Loop Velocity",
    "VER? Get Versions Of Firmware And Drivers",
    "VST? Get List Of Available Stages",
];

impl Gcs2 {
    /// Does one command; `Err` is the code for the error register.
    pub(super) fn act(&mut self, now_s: f64, line: &str) -> Result<(), i32> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let args: Vec<&str> = rest.split_whitespace().collect();
        let word = word.to_ascii_uppercase();
        match word.strip_suffix('?') {
            Some(question) => self.ask(now_s, question, &args),
            None => self.set(now_s, &word, &args),
        }
    }

    fn ask(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        let texts = self.texts(word, args)?;
        if !texts.is_empty() {
            self.say(now_s, &texts);
            return Ok(());
        }
        let indices = self.named_or_all(args)?;
        let value = |c: &Channel| -> Option<String> { self.value(now_s, word, c) };
        let lines: Option<Vec<String>> = indices
            .iter()
            .map(|i| Some(format!("{}={}", self.channels[*i].name, value(&self.channels[*i])?)))
            .collect();
        let lines = lines.ok_or(UNKNOWN)?;
        self.say(now_s, &lines);
        Ok(())
    }

    /// Queries whose answers are texts; empty for one that asks values of axes.
    fn texts(&mut self, word: &str, args: &[&str]) -> Result<Vec<String>, i32> {
        Ok(match word {
            "ERR" => vec![self.take_error().to_string()],
            "*IDN" => vec![format!("(c)2015 Physik Instrumente (PI) GmbH & Co. KG, {}, SIM0000884, 1.2.0", self.model)],
            "CSV" => vec!["2.0".into()],
            "VER" => vec!["FW_DSP: V01.200".into(), "FW_ARM: V01.200".into()],
            "SAI" => {
                let all = args.first().is_some_and(|word| word.eq_ignore_ascii_case("ALL"));
                self.channels.iter().filter(|c| all || c.is_active()).map(|c| c.name.clone()).collect()
            }
            "HLP" => self.help(),
            "HPA" => Gcs2::parameter_help(),
            "SPA" => self.ask_parameters(args)?,
            "VST" => vec![STAGE.into(), NOSTAGE.into()],
            "ECO" if args.is_empty() => return Err(MISSING),
            "ECO" => vec![args.join(" ")],
            "CST" => self.stages(args)?,
            _ => Vec::new(),
        })
    }

    /// The stages of axes, also of those without one: it is how they are found.
    fn stages(&self, args: &[&str]) -> Result<Vec<String>, i32> {
        if args.iter().any(|name| !self.channels.iter().any(|c| c.name == *name)) {
            return Err(NO_AXIS);
        }
        let named = self.channels.iter().filter(|c| args.is_empty() || args.contains(&c.name.as_str()));
        Ok(named.map(|c| format!("{}={}", c.name, c.stage())).collect())
    }

    /// What a query of one axis answers; `None` for a query there is not.
    fn value(&self, now_s: f64, word: &str, c: &Channel) -> Option<String> {
        let mm = |um: f64| format!("{:.6}", um / 1000.0);
        let bit = |b: bool| u8::from(b).to_string();
        let at = |um: f64| format!("{:.6}", c.told_mm(um));
        let soft = |limit: f64, travel: f64| if c.soft_on { limit } else { travel };
        Some(match word {
            "POS" => at(self.encoder_um(c, now_s)),
            "MOV" => at(c.target_um),
            "ONT" => bit(self.on_target(c, now_s)),
            "SVO" => bit(c.servo),
            "RON" => bit(c.reference_on),
            "FRF" => bit(c.referenced),
            "TRS" | "LIM" => "1".into(),
            "VEL" => mm(c.velocity_um_s),
            "ACC" | "DEC" => mm(c.acceleration_um_s2),
            "TMN" => at(soft(c.soft_um.0, c.travel_um.0)),
            "TMX" => at(soft(c.soft_um.1, c.travel_um.1)),
            "NLM" => at(c.soft_um.0),
            "PLM" => at(c.soft_um.1),
            "SSL" => bit(c.soft_on),
            "PUN" => "MM".into(),
            // The position at which home was defined.
            "DFH" => mm(0.0 - c.offset_um),
            _ => return None,
        })
    }

    fn help(&self) -> Vec<String> {
        let mut lines = vec!["The following commands are valid:".to_string()];
        lines.extend(HELP.iter().map(|l| (*l).to_string()));
        lines.push("end of help".into());
        lines
    }

    fn set(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        match word {
            "MOV" | "MVR" => self.start(now_s, word == "MVR", args),
            "FRF" | "FNL" | "FPL" => self.reference(now_s, word, args),
            "STP" => {
                self.stop(now_s);
                Ok(())
            }
            "HLT" => {
                for index in self.named_or_all(args)? {
                    self.halt(now_s, index);
                }
                self.raise(10);
                Ok(())
            }
            "RBT" => {
                use super::Device as _;
                self.restart(now_s);
                Ok(())
            }
            "CST" => self.assign(now_s, args),
            "DFH" => {
                for index in self.named_or_all(args)? {
                    let here = self.encoder_um(&self.channels[index], now_s);
                    self.channels[index].offset_um = -here;
                }
                Ok(())
            }
            "GOH" => self.go_home(now_s, args),
            "SPA" => self.set_parameters(args),
            "SVO" | "RON" | "SSL" => self.switches(now_s, word, args),
            "VEL" | "NLM" | "PLM" | "POS" => self.values(now_s, word, args),
            _ => Err(UNKNOWN),
        }
    }

    fn start(&mut self, now_s: f64, relative: bool, args: &[&str]) -> Result<(), i32> {
        let pairs = self.pairs(args)?;
        let targets = pairs.into_iter().map(|(index, mm)| {
            let channel = &self.channels[index];
            (index, if relative { channel.target_um + mm * 1000.0 } else { channel.stage_um(mm) })
        });
        self.go_to(now_s, targets.collect())
    }

    fn go_home(&mut self, now_s: f64, args: &[&str]) -> Result<(), i32> {
        let indices = self.named_or_all(args)?;
        self.go_to(now_s, indices.into_iter().map(|index| (index, self.channels[index].stage_um(0.0))).collect())
    }

    /// Moves axes to positions of the stage (um), all or none.
    fn go_to(&mut self, now_s: f64, targets: Vec<(usize, f64)>) -> Result<(), i32> {
        if self.is_referencing() {
            return Err(BUSY);
        }
        for (index, target) in &targets {
            let channel = &self.channels[*index];
            if !channel.servo || !channel.referenced && channel.reference_on {
                return Err(NOT_REFERENCED);
            }
            let (lower, upper) = if channel.soft_on { channel.soft_um } else { channel.travel_um };
            if *target < lower - 1e-6 || *target > upper + 1e-6 {
                return Err(OUTSIDE);
            }
        }
        // All or nothing: every axis was checked before the first one moves.
        for (index, target) in targets {
            self.go(now_s, index, target);
        }
        Ok(())
    }

    /// Starts reference moves: to the switch (FRF), or to an end of the travel (FNL, FPL).
    fn reference(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        if self.is_referencing() {
            return Err(BUSY);
        }
        for index in self.named_or_all(args)? {
            let channel = &self.channels[index];
            let to = match word {
                "FNL" => channel.travel_um.0,
                "FPL" => channel.travel_um.1,
                _ => self.reference_um(channel),
            };
            self.refer(now_s, index, to);
        }
        Ok(())
    }

    fn switches(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        for (index, value) in self.pairs(args)? {
            let on = match value {
                0.0 => false,
                1.0 => true,
                _ => return Err(RANGE),
            };
            match word {
                "SVO" => {
                    if !on {
                        self.halt(now_s, index);
                    }
                    self.channels[index].servo = on;
                }
                "RON" => self.channels[index].reference_on = on,
                _ => self.channels[index].soft_on = on,
            }
        }
        Ok(())
    }

    fn values(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        let pairs = self.pairs(args)?;
        for (index, mm) in &pairs {
            let channel = &self.channels[*index];
            let (um_s, um) = (mm * 1000.0, channel.stage_um(*mm));
            match word {
                "VEL" if um_s <= 0.0 || um_s > channel.velocity_max_um_s => return Err(VELOCITY),
                "NLM" | "PLM" if um < channel.travel_um.0 - 1e-6 || um > channel.travel_um.1 + 1e-6 => {
                    return Err(SOFT);
                }
                "POS" if channel.reference_on => return Err(NOT_ALLOWED),
                _ => {}
            }
        }
        for (index, mm) in pairs {
            let here = self.encoder_um(&self.channels[index], now_s);
            let channel = &mut self.channels[index];
            let um = channel.stage_um(mm);
            match word {
                "VEL" => channel.velocity_um_s = mm * 1000.0,
                "NLM" => channel.soft_um.0 = um,
                "PLM" => channel.soft_um.1 = um,
                _ => {
                    channel.offset_um = mm * 1000.0 - here;
                    channel.target_um = here;
                    channel.referenced = true;
                }
            }
        }
        Ok(())
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, i32> {
        self.channels.iter().position(|c| c.name == name && c.is_active()).ok_or(NO_AXIS)
    }

    fn named_or_all(&self, args: &[&str]) -> Result<Vec<usize>, i32> {
        if args.is_empty() {
            return Ok((0..self.channels.len()).filter(|i| self.channels[*i].is_active()).collect());
        }
        args.iter().map(|name| self.index(name)).collect()
    }

    /// Axes with numbers; every axis once.
    fn pairs(&self, args: &[&str]) -> Result<Vec<(usize, f64)>, i32> {
        if args.is_empty() {
            return Err(MISSING);
        }
        if !args.len().is_multiple_of(2) {
            return Err(COUNT);
        }
        let mut pairs: Vec<(usize, f64)> = Vec::new();
        for pair in args.chunks_exact(2) {
            let index = self.index(pair[0])?;
            let value = pair[1].parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(NOT_A_NUMBER)?;
            if pairs.iter().any(|(i, _)| *i == index) {
                return Err(TWICE);
            }
            pairs.push((index, value));
        }
        Ok(pairs)
    }
}
