//! The GCS 2.0 commands of a motion controller: what each does to the state, and the error codes it refuses with.

use super::parameters::{NOSTAGE, STAGE};
use super::{Channel, Gcs2};

/// Unknown command.
const UNKNOWN: i32 = 2;
/// Motion without reference, or with the servo off.
pub(super) const NOT_REFERENCED: i32 = 5;
/// Target outside the limits.
pub(super) const OUTSIDE: i32 = 7;
/// Velocity outside the limits.
pub(super) const VELOCITY: i32 = 8;
/// Stopped by command.
pub(super) const STOPPED: i32 = 10;
/// Axis name unknown.
pub(super) const NO_AXIS: i32 = 15;
/// Argument out of range.
pub(super) const RANGE: i32 = 17;
/// Axis named twice.
pub(super) const TWICE: i32 = 22;
/// Wrong number of arguments.
pub(super) const COUNT: i32 = 24;
/// Not a number.
pub(super) const NOT_A_NUMBER: i32 = 25;
/// Argument missing.
pub(super) const MISSING: i32 = 26;
/// Soft limit out of range.
pub(super) const SOFT: i32 = 27;
/// `POS` while the position comes from a reference move only.
pub(super) const NOT_ALLOWED: i32 = 34;
/// Busy with a reference move.
pub(super) const BUSY: i32 = 1005;

/// Commands that change a position: they start a recording.
const MOVING: &[&str] = &["MOV", "MVR", "GOH", "FRF", "FNL", "FPL", "FRS", "ATZ"];
/// What only controllers of stages with switches have.
const STAGE_ONLY: &[&str] = &["FRF", "FNL", "FPL", "RON", "TRS", "LIM", "DFH", "GOH", "CST"];

impl Gcs2 {
    /// Does one command; `Err` is the code for the error register.
    pub(super) fn act(&mut self, now_s: f64, line: &str) -> Result<(), i32> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let args: Vec<&str> = rest.split_whitespace().collect();
        let word = word.to_ascii_uppercase();
        self.recorder.mind(word.trim_end_matches('?'));
        if let Some(question) = word.strip_suffix('?') {
            if question != "ERR" {
                self.recorder.command(false, self.cycle_at(now_s) + 1);
            }
            return self.ask(now_s, question, &args);
        }
        let done = self.set(now_s, line, &word, &args);
        let moves = done.is_ok() && MOVING.contains(&word.as_str());
        if word != "DRT" {
            self.recorder.command(moves, self.cycle_at(now_s) + 1);
        }
        done
    }

    fn ask(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        if let Some(texts) = self.ask_more(now_s, word, args)? {
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

    /// Queries of all that is no axis of its own; none for one that asks values of axes.
    fn ask_more(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<Option<Vec<String>>, i32> {
        if let Some(mut platform) = self.platform.take() {
            let answer = self.ask_platform(&mut platform, now_s, word, args);
            self.platform = Some(platform);
            if let Some(texts) = answer? {
                return Ok(Some(texts));
            }
        }
        let texts = self.texts(word, args)?;
        if !texts.is_empty() {
            return Ok(Some(texts));
        }
        if let Some(texts) = self.ask_inputs(now_s, word, args)? {
            return Ok(Some(texts));
        }
        if let Some(texts) = self.recorder.ask(word, args, self.servo_s())? {
            return Ok(Some(texts));
        }
        let texts = if self.aligns() { self.ask_alignment(word, args)? } else { None };
        if texts.is_none() && self.platform.is_some() {
            return Err(UNKNOWN);
        }
        Ok(texts)
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
            "HPA" => self.parameter_help(),
            "SPA" => self.ask_parameters(args)?,
            "VST" if self.platform.is_none() && !self.is_piezo() => vec![STAGE.into(), NOSTAGE.into()],
            "ECO" if args.is_empty() => return Err(MISSING),
            "ECO" => vec![args.join(" ")],
            "CST" if !self.is_piezo() => self.stages(args)?,
            "VST" => return Err(UNKNOWN),
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
        if self.is_piezo() && STAGE_ONLY.contains(&word) {
            return None;
        }
        let mm = |um: f64| format!("{:.6}", um / c.unit_um);
        let bit = |b: bool| u8::from(b).to_string();
        let at = |um: f64| format!("{:.6}", c.told(um));
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
            "PUN" => c.unit().into(),
            "ATZ" if self.is_piezo() => bit(c.zeroed),
            "OVF" if self.is_piezo() => "0".into(),
            // The amplifier gives 100 V over the travel.
            "VOL" if self.is_piezo() => {
                let share = (self.encoder_um(c, now_s) - c.travel_um.0) / (c.travel_um.1 - c.travel_um.0).max(1e-9);
                format!("{:.6}", 100.0 * share)
            }
            // The position at which home was defined.
            "DFH" => mm(0.0 - c.offset_um),
            _ => return None,
        })
    }

    fn help(&self) -> Vec<String> {
        let mut lines = vec!["The following commands are valid:".to_string()];
        lines.extend(super::help::lines(self.platform.is_some(), self.is_piezo()).map(String::from));
        lines.push("end of help".into());
        lines
    }

    fn set(&mut self, now_s: f64, line: &str, word: &str, args: &[&str]) -> Result<(), i32> {
        match word {
            "STP" => {
                self.stop(now_s);
                return Ok(());
            }
            "RBT" => {
                self.restart(now_s);
                return Ok(());
            }
            "SPA" => return self.set_parameters(args),
            // A halt of an axis ends what a routine does with it.
            "HLT" => self.stop_routines(now_s),
            _ => {}
        }
        if let Some(mut platform) = self.platform.take() {
            let done = self.set_platform(&mut platform, now_s, word, args);
            self.platform = Some(platform);
            if let Some(done) = done {
                return done;
            }
        }
        let cycle = self.cycle_at(now_s) + 1;
        if let Some(done) = self.set_inputs(word, args).or_else(|| self.set_recorder(word, args, cycle)) {
            return done;
        }
        if self.aligns()
            && let Some(done) = self.set_alignment(now_s, line, word, args)
        {
            return done;
        }
        if self.platform.is_some() { Err(UNKNOWN) } else { self.set_axes(now_s, word, args) }
    }

    fn set_axes(&mut self, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        if self.is_piezo() && STAGE_ONLY.contains(&word) {
            return Err(UNKNOWN);
        }
        match word {
            "MOV" | "MVR" => self.start(now_s, word == "MVR", args),
            "FRF" | "FNL" | "FPL" => self.reference(now_s, word, args),
            "ATZ" if self.is_piezo() => self.auto_zero(now_s, args),
            "HLT" => {
                for index in self.named_or_all(args)? {
                    self.halt(now_s, index);
                }
                self.raise(STOPPED);
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
            "SVO" | "RON" | "SSL" => self.switches(now_s, word, args),
            "VEL" | "NLM" | "PLM" | "POS" => self.values(now_s, word, args),
            _ => Err(UNKNOWN),
        }
    }

    fn start(&mut self, now_s: f64, relative: bool, args: &[&str]) -> Result<(), i32> {
        let pairs = self.pairs(args)?;
        let targets = pairs.into_iter().map(|(index, mm)| {
            let channel = &self.channels[index];
            (index, if relative { channel.target_um + mm * channel.unit_um } else { channel.stage_um(mm) })
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
        let names: Vec<&str> = targets.iter().map(|(i, _)| self.channels[*i].name.as_str()).collect();
        self.no_routine_on(names.into_iter())?;
        for (index, target) in &targets {
            self.channels[*index].admits(*target)?;
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
            let (um_s, um) = (mm * channel.unit_um, channel.stage_um(*mm));
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
                "VEL" => channel.velocity_um_s = mm * channel.unit_um,
                "NLM" => channel.soft_um.0 = um,
                "PLM" => channel.soft_um.1 = um,
                _ => {
                    channel.offset_um = mm * channel.unit_um - here;
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
