//! The fast alignment commands (`FDR`, `FDG`, `FDL`, `FRS`, `FRP`, `FRR?` and on) of hexapod and piezo controllers.

use super::inputs::analog;
use super::routines::{Area, At, FirstLight, Gradient, Outcome, Plan, Run};
use super::{COUNT, Gcs2, MISSING, NO_AXIS, NOT_A_NUMBER, RANGE, TWICE};

/// An axis moves by a routine.
const IN_MOTION: i32 = 53;
/// No routine to stop or to hold, or none held to go on with.
const NOT_RUNNING: i32 = 608;
const NOT_PAUSED: i32 = 609;
/// Names kept at the most; PI's literature has as many routines as axes.
const ROUTINES_MAX: usize = 20;
/// Fastest circle or line, Hz.
const FREQUENCY_MAX_HZ: f64 = 1000.0;
/// A scan takes no longer than this, s: an hour.
const SCAN_MAX_S: f64 = 3600.0;

/// What `FRH?` lists.
const RESULTS: &[(u32, &str)] = &[
    (1, "Success of routine (0 or 1)"),
    (2, "Maximum value of the input"),
    (3, "Position of the maximum, scan and step axis"),
    (4, "Definition of routine"),
    (5, "Scan time in s"),
    (6, "Reason of abort: 0 none, 1 stopped, 2 outside limits, 3 not found, 4 time-out"),
    (7, "Radius of the circle (gradient search)"),
    (8, "Number of direction changes (gradient search)"),
    (9, "Gradient length (gradient search)"),
];

/// Whether a routine runs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Stopped,
    PausedSince(f64),
    Running,
}

/// A routine by its name.
#[derive(Debug, Clone)]
pub(super) struct Routine {
    name: String,
    /// The whole command, as it came.
    text: String,
    axes: (String, String),
    input: usize,
    plan: Plan,
    state: State,
    run: Option<Run>,
    outcome: Outcome,
    threshold: Option<f64>,
    /// Routines that start and stop with it.
    coupled: Vec<String>,
}

/// Options of a definition: pairs of key and number.
struct Options<'a>(Vec<(&'a str, f64)>);

impl<'a> Options<'a> {
    fn read(args: &[&'a str], keys: &[&str]) -> Result<Options<'a>, i32> {
        if !args.len().is_multiple_of(2) {
            return Err(COUNT);
        }
        let mut options: Vec<(&str, f64)> = Vec::new();
        for pair in args.chunks_exact(2) {
            if !keys.contains(&pair[0]) {
                return Err(1);
            }
            if options.iter().any(|(k, _)| *k == pair[0]) {
                return Err(TWICE);
            }
            options.push((pair[0], number(pair[1])?));
        }
        Ok(Options(options))
    }

    fn find(&self, key: &str) -> Option<f64> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    fn within(&self, key: &str, low: f64, high: f64, default: f64) -> Result<f64, i32> {
        let value = self.find(key).unwrap_or(default);
        if (low..=high).contains(&value) { Ok(value) } else { Err(RANGE) }
    }

    /// A whole number up to `most`.
    fn choice(&self, key: &str, most: u8, default: u8) -> Result<u8, i32> {
        let value = self.find(key).unwrap_or(f64::from(default));
        (0..=most).find(|k| f64::from(*k) == value).ok_or(RANGE)
    }

    fn pair(&self, first: &str, second: &str) -> Option<At> {
        Some((self.find(first)?, self.find(second)?))
    }

    fn input(&self) -> Result<usize, i32> {
        analog(&self.find("A").unwrap_or(1.0).to_string())
    }
}

fn number(text: &str) -> Result<f64, i32> {
    text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(NOT_A_NUMBER)
}

impl Gcs2 {
    /// Whether the controller has the alignment firmware.
    pub(super) fn aligns(&self) -> bool {
        self.platform.is_some() || self.is_piezo()
    }

    /// A query of the set; none for another word.
    pub(super) fn ask_alignment(&self, word: &str, args: &[&str]) -> Result<Option<Vec<String>>, i32> {
        let named = || -> Result<Vec<&Routine>, i32> {
            if args.is_empty() {
                Ok(self.routines.iter().collect())
            } else {
                args.iter().map(|n| self.routine(n)).collect()
            }
        };
        let lines: Vec<String> = match word {
            "FRP" => named()?.iter().map(|r| format!("{}={}", r.name, r.state_number())).collect(),
            "FRC" => named()?.iter().map(|r| format!("{}={}", r.name, r.coupled.join(" "))).collect(),
            "FGC" => {
                let centre = |r: &&&Routine| matches!(r.plan, Plan::Gradient(_));
                named()?
                    .iter()
                    .filter(centre)
                    .map(|r| {
                        let (scan, step) = r.run.as_ref().map_or(r.outcome.max_at, Run::centre);
                        format!("{}={scan:.6} {step:.6}", r.name)
                    })
                    .collect()
            }
            "FRH" => RESULTS.iter().map(|(id, text)| format!("{id}={text}")).collect(),
            "FRR" => self.results(args)?,
            _ => return Ok(None),
        };
        // Nothing defined is nothing to tell; an answer there must be.
        Ok(Some(if lines.is_empty() { vec![String::new()] } else { lines }))
    }

    /// `FRR?`: everything, everything of one, or pairs of name and id.
    fn results(&self, args: &[&str]) -> Result<Vec<String>, i32> {
        let all = |r: &Routine| RESULTS.iter().filter_map(|(id, _)| r.result(*id)).collect::<Vec<_>>();
        match args {
            [] => Ok(self.routines.iter().flat_map(all).collect()),
            [name] => Ok(all(self.routine(name)?)),
            _ if args.len().is_multiple_of(2) => args
                .chunks_exact(2)
                .map(|pair| {
                    let id: u32 = pair[1].parse().map_err(|_| NOT_A_NUMBER)?;
                    self.routine(pair[0])?.result(id).ok_or(RANGE)
                })
                .collect(),
            _ => Err(COUNT),
        }
    }

    /// A command of the set; none for another word.
    pub(super) fn set_alignment(
        &mut self,
        now_s: f64,
        line: &str,
        word: &str,
        args: &[&str],
    ) -> Option<Result<(), i32>> {
        Some(match word {
            "FDR" | "FDG" | "FDL" => self.define(line, word, args),
            "FRS" => self.start_routines(now_s, args),
            "FRP" => self.control(now_s, args),
            "FRC" => self.couple(args),
            "FGC" => self.move_centre(args),
            _ => return None,
        })
    }

    fn routine(&self, name: &str) -> Result<&Routine, i32> {
        self.routines.iter().find(|r| r.name == name).ok_or(RANGE)
    }

    fn index_of(&self, name: &str) -> Result<usize, i32> {
        self.routines.iter().position(|r| r.name == name).ok_or(RANGE)
    }

    /// Whether a routine of this name is under way.
    pub(super) fn routine_runs(&self, name: &str) -> bool {
        self.routine(name).is_ok_and(|r| r.state != State::Stopped)
    }

    /// Whether any routine moves axes.
    pub(super) fn aligning(&self) -> bool {
        self.routines.iter().any(|r| r.state == State::Running)
    }

    /// Whether a routine has this axis.
    pub(super) fn routine_has(&self, axis: &str) -> bool {
        self.routines.iter().any(|r| r.state == State::Running && (r.axes.0 == axis || r.axes.1 == axis))
    }

    /// Refuses to move an axis that a routine has, running or held.
    pub(super) fn no_routine_on<'a>(&self, mut axes: impl Iterator<Item = &'a str>) -> Result<(), i32> {
        let busy = |axis: &str| {
            self.routines.iter().any(|r| r.state != State::Stopped && (r.axes.0 == axis || r.axes.1 == axis))
        };
        if axes.any(busy) { Err(IN_MOTION) } else { Ok(()) }
    }

    fn define(&mut self, line: &str, word: &str, args: &[&str]) -> Result<(), i32> {
        let [name, rest @ ..] = args else { return Err(MISSING) };
        if *name == "0" {
            return Err(RANGE);
        }
        if self.routine_runs(name) {
            return Err(IN_MOTION);
        }
        let (axes, input, plan) = match (word, rest) {
            ("FDG", [scan, step, options @ ..]) => {
                let (input, plan) = self.gradient(scan, options)?;
                ((*scan, *step), input, plan)
            }
            ("FDR", [scan, a, step, b, options @ ..]) => {
                let (input, plan) = area((number(a)?, number(b)?), options)?;
                ((*scan, *step), input, plan)
            }
            ("FDL", [scan, a, step, b, options @ ..]) => {
                let (input, plan) = self.first_light(scan, (number(a)?, number(b)?), options)?;
                ((*scan, *step), input, plan)
            }
            _ => return Err(MISSING),
        };
        if !self.is_axis(axes.0) || !self.is_axis(axes.1) {
            return Err(NO_AXIS);
        }
        if axes.0 == axes.1 {
            return Err(TWICE);
        }
        let routine = Routine {
            name: (*name).to_string(),
            text: line.split_whitespace().collect::<Vec<_>>().join(" "),
            axes: (axes.0.to_string(), axes.1.to_string()),
            input,
            plan,
            state: State::Stopped,
            run: None,
            outcome: Outcome::default(),
            threshold: None,
            coupled: Vec::new(),
        };
        match self.index_of(name) {
            Ok(known) => self.routines[known] = Routine { coupled: self.routines[known].coupled.clone(), ..routine },
            Err(_) if self.routines.len() >= ROUTINES_MAX => return Err(RANGE),
            Err(_) => self.routines.push(routine),
        }
        Ok(())
    }

    /// One micrometre in the unit of an axis; a thousandth of a degree.
    fn micrometre(&self) -> f64 {
        if self.is_piezo() { 1.0 } else { 1e-3 }
    }

    fn gradient(&self, scan: &str, options: &[&str]) -> Result<(usize, Plan), i32> {
        let o = Options::read(options, &["ML", "A", "MIA", "MAA", "F", "SP", "V", "MDC", "SPO"])?;
        let um = self.micrometre();
        let radius = (o.within("MIA", 0.0, 1e3 * um, 2.0 * um)?, o.within("MAA", 0.0, 1e3 * um, 4.0 * um)?);
        if radius.0 <= 0.0 || radius.1 < radius.0 || !self.is_axis(scan) {
            return Err(if self.is_axis(scan) { RANGE } else { NO_AXIS });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within")]
        let direction_changes = o.within("MDC", 1.0, 1e6, 6.0)? as u32;
        let plan = Gradient {
            level: o.within("ML", 0.0, 1e6, 0.1)?,
            radius,
            frequency_hz: o.within("F", 0.1, FREQUENCY_MAX_HZ, 10.0)?,
            gain: o.within("SP", 0.0, 1e6, 10.0)?,
            velocity: o.within("V", 0.0, 1e9, self.axis_speed(scan))?,
            direction_changes,
            speed_offset: o.within("SPO", 0.0, 1.0, 0.0)?,
        };
        Ok((o.input()?, Plan::Gradient(plan)))
    }

    fn first_light(&self, scan: &str, range: At, options: &[&str]) -> Result<(usize, Plan), i32> {
        let o = Options::read(options, &["S", "C", "A", "MT", "MP1", "MP2", "CP1", "CP2"])?;
        if range.0 <= 0.0 || range.1 <= 0.0 || !self.is_axis(scan) {
            return Err(if self.is_axis(scan) { RANGE } else { NO_AXIS });
        }
        let plan = FirstLight {
            range,
            sigmas: o.within("S", 0.0, 1e6, 5.0)?,
            calculate: o.choice("C", 1, 1)? == 1,
            limit_s: o.within("MT", 0.0, SCAN_MAX_S, 60.0)?,
            middle: o.pair("MP1", "MP2"),
            noise_at: o.pair("CP1", "CP2"),
            velocity: self.axis_speed(scan),
        };
        Ok((o.input()?, Plan::FirstLight(plan)))
    }

    /// `FRS`: all or none; coupled ones come along.
    fn start_routines(&mut self, now_s: f64, args: &[&str]) -> Result<(), i32> {
        if args.is_empty() {
            return Err(MISSING);
        }
        let mut all: Vec<usize> = Vec::new();
        for name in args {
            let base = self.index_of(name)?;
            let coupled: Vec<usize> =
                self.routines[base].coupled.iter().filter_map(|n| self.index_of(n).ok()).collect();
            all.extend(std::iter::once(base).chain(coupled));
        }
        all.sort_unstable();
        all.dedup();
        for (k, i) in all.iter().enumerate() {
            let r = &self.routines[*i];
            self.no_routine_on([r.axes.0.as_str(), r.axes.1.as_str()].into_iter())?;
            let shares = |j: &usize| {
                let other = &self.routines[*j].axes;
                [&other.0, &other.1].iter().any(|a| **a == r.axes.0 || **a == r.axes.1)
            };
            if all[k + 1..].iter().any(shares) {
                return Err(IN_MOTION);
            }
            self.may_run(now_s, r)?;
        }
        for i in all {
            let here = self.axes_of(now_s, i);
            let (axes, plan, threshold) =
                (self.routines[i].axes.clone(), self.routines[i].plan.clone(), self.routines[i].threshold);
            let speed = (self.axis_speed(&axes.0), self.axis_speed(&axes.1));
            let run = Run::begin(plan, now_s, here, speed, self.servo_s(), threshold);
            let r = &mut self.routines[i];
            (r.run, r.state, r.outcome) = (Some(run), State::Running, Outcome::default());
        }
        Ok(())
    }

    /// Whether the axes are ready for it and all of its area can be reached.
    fn may_run(&self, now_s: f64, r: &Routine) -> Result<(), i32> {
        let here = self.place_of(now_s, r);
        for (scan, step) in r.plan.extent(here) {
            self.admits(now_s, &[(&r.axes.0, scan), (&r.axes.1, step)])?;
        }
        Ok(())
    }

    fn place_of(&self, now_s: f64, r: &Routine) -> At {
        let at = |axis: &str| self.told_target(axis, now_s).unwrap_or(0.0);
        (at(&r.axes.0), at(&r.axes.1))
    }

    fn axes_of(&self, now_s: f64, index: usize) -> At {
        self.place_of(now_s, &self.routines[index])
    }

    /// `FRP name 0|1|2`: stop, hold, go on; coupled ones come along.
    fn control(&mut self, now_s: f64, args: &[&str]) -> Result<(), i32> {
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return Err(if args.is_empty() { MISSING } else { COUNT });
        }
        for pair in args.chunks_exact(2) {
            let base = self.index_of(pair[0])?;
            let state = self.routines[base].state;
            match (pair[1], state) {
                ("0" | "1", State::Stopped) | ("1", State::PausedSince(_)) => return Err(NOT_RUNNING),
                ("2", State::Running | State::Stopped) => return Err(NOT_PAUSED),
                ("0" | "1" | "2", _) => {}
                _ => return Err(RANGE),
            }
        }
        for pair in args.chunks_exact(2) {
            let mut names = vec![pair[0].to_string()];
            names.extend(self.routine(pair[0])?.coupled.iter().cloned());
            for r in self.routines.iter_mut().filter(|r| names.contains(&r.name)) {
                r.control(now_s, pair[1]);
            }
        }
        Ok(())
    }

    /// Stops every routine: its axes stay where they are.
    pub(super) fn stop_routines(&mut self, now_s: f64) {
        self.routines.iter_mut().for_each(|r| r.control(now_s, "0"));
    }

    fn couple(&mut self, args: &[&str]) -> Result<(), i32> {
        let [base, coupled @ ..] = args else { return Err(MISSING) };
        let index = self.index_of(base)?;
        if coupled.is_empty() {
            return Err(MISSING);
        }
        if coupled == ["0"] {
            self.routines[index].coupled.clear();
            return Ok(());
        }
        for name in coupled {
            self.index_of(name)?;
            if name == base {
                return Err(TWICE);
            }
        }
        self.routines[index].coupled = coupled.iter().map(|n| (*n).to_string()).collect();
        Ok(())
    }

    fn move_centre(&mut self, args: &[&str]) -> Result<(), i32> {
        let [name, scan, step] = args else { return Err(if args.len() < 3 { MISSING } else { COUNT }) };
        let to = (number(scan)?, number(step)?);
        let r = &mut self.routines.iter_mut().find(|r| r.name == *name).ok_or(RANGE)?;
        match (&mut r.run, &r.plan, r.state) {
            (Some(run), Plan::Gradient(_), State::Running | State::PausedSince(_)) => run.set_centre(to),
            _ => return Err(NOT_RUNNING),
        }
        Ok(())
    }

    /// One servo step of every routine that runs.
    pub(super) fn step_routines(&mut self, at_s: f64) {
        for i in 0..self.routines.len() {
            if self.routines[i].state != State::Running {
                continue;
            }
            let Some(mut run) = self.routines[i].run.take() else { continue };
            let (axes, input) = (self.routines[i].axes.clone(), self.routines[i].input);
            let to = run.target(at_s);
            if self.follow(at_s, &[(&axes.0, to.0), (&axes.1, to.1)]).is_err() {
                run.abort(at_s, super::routines::OUTSIDE);
            } else {
                let is = |axis: &str| self.told(axis, at_s).unwrap_or(0.0);
                let at = (is(&axes.0), is(&axes.1));
                let value = self.shaped(input, at_s);
                run.take(at_s, at, value);
            }
            self.routines[i].keep(run);
        }
    }
}

impl Routine {
    fn state_number(&self) -> u8 {
        match self.state {
            State::Stopped => 0,
            State::PausedSince(_) => 1,
            State::Running => 2,
        }
    }

    /// Takes a run back after a step; one that is over leaves its outcome.
    fn keep(&mut self, run: Run) {
        self.outcome = run.outcome();
        self.threshold = run.threshold().or(self.threshold);
        if run.is_over() {
            (self.run, self.state) = (None, State::Stopped);
        } else {
            self.run = Some(run);
        }
    }

    fn control(&mut self, now_s: f64, action: &str) {
        match (action, self.state) {
            ("0", State::Running | State::PausedSince(_)) => {
                self.state = State::Stopped;
                if let Some(mut run) = self.run.take() {
                    run.abort(now_s, super::routines::STOPPED);
                    self.outcome = run.outcome();
                }
            }
            ("1", State::Running) => self.state = State::PausedSince(now_s),
            ("2", State::PausedSince(since)) => {
                self.state = State::Running;
                if let Some(run) = &mut self.run {
                    run.shift(now_s - since);
                }
            }
            _ => {}
        }
    }

    /// The line of a result; none for an id that it does not have.
    fn result(&self, id: u32) -> Option<String> {
        let Outcome { success, max, max_at, time_s, reason, radius, direction_changes, gradient } = &self.outcome;
        let gradient_search = matches!(self.plan, Plan::Gradient(_));
        let value = match id {
            1 => u8::from(*success).to_string(),
            2 => format!("{max:.6}"),
            3 => format!("{:.6} {:.6}", max_at.0, max_at.1),
            4 => self.text.clone(),
            5 => format!("{time_s:.6}"),
            6 => reason.to_string(),
            7 if gradient_search => format!("{radius:.6}"),
            8 if gradient_search => direction_changes.to_string(),
            9 if gradient_search => format!("{gradient:.6}"),
            _ => return None,
        };
        Some(format!("{} {id}={value}", self.name))
    }
}

fn area(range: At, options: &[&str]) -> Result<(usize, Plan), i32> {
    let keys = ["L", "A", "F", "V", "MP1", "MP2", "TT", "CM", "MIIL", "MAIL", "ST", "SP"];
    let o = Options::read(options, &keys)?;
    if range.0 <= 0.0 || range.1 <= 0.0 {
        return Err(RANGE);
    }
    let frequency_hz = o.within("F", 0.1, FREQUENCY_MAX_HZ, 10.0)?;
    let plan = Area {
        range,
        middle: o.pair("MP1", "MP2"),
        level: o.within("L", -1e6, 1e6, 0.1)?,
        frequency_hz,
        // Without one, lines are a twentieth of the range apart: two a period.
        velocity: o.within("V", range.1 / SCAN_MAX_S, 1e9, range.1 * frequency_hz / 10.0)?,
        spiral: o.choice("TT", 1, 0)? == 1,
        estimate: o.choice("CM", 2, 0)?,
        window: (o.within("MIIL", 0.0, 100.0, 20.0)?, o.within("MAIL", 0.0, 100.0, 100.0)?),
        // Older firmware calls it SP.
        stop: o.choice(if o.find("ST").is_some() { "ST" } else { "SP" }, 4, 0)?,
    };
    Ok((o.input()?, Plan::Area(plan)))
}
