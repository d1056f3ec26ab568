//! The data recorder: tables of what happens at each servo cycle, or each n-th, from a trigger on; and the GCS array in
//! which they are read (`DRR?`).

use super::inputs::analog;
use super::{COUNT, Gcs2, MISSING, NOT_A_NUMBER, RANGE};

/// Tables.
pub(super) const TABLES: usize = 8;
/// Points in a table.
pub(super) const POINTS: usize = 8192;
/// Table, option, source that there is not.
const NO_TABLE: i32 = 57;
const NO_OPTION: i32 = 58;
const NO_SOURCE: i32 = 59;
/// Fewer points recorded than asked for, and none by configuration.
const TOO_FEW: i32 = 77;
const TABLE_OFF: i32 = 78;
/// Slowest rate, servo cycles a point.
const RATE_MAX: u64 = 1_000_000;

/// What can be recorded.
const OPTIONS: &[(u32, &str)] = &[
    (0, "Nothing is recorded"),
    (1, "Commanded position of axis"),
    (2, "Actual position of axis"),
    (3, "Position error of axis"),
    (8, "Time stamp"),
    (81, "Analog input"),
    (150, "Fast alignment input channel"),
    (155, "Fast alignment finished flag of routine"),
];
/// What starts it.
const TRIGGERS: &[(u32, &str)] = &[
    (0, "default (as 1)"),
    (1, "any command changing position"),
    (2, "next command, then reset to default"),
    (4, "trigger immediately"),
    (6, "any command changing position, then reset to default"),
];

/// One table.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    source: String,
    option: u32,
    points: Vec<f64>,
}

/// The recorder.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    tables: Vec<Table>,
    trigger: u32,
    /// Servo cycles a point.
    pub(super) rate: u64,
    /// Servo cycle of the next point while it records.
    next: Option<u64>,
    /// A client has asked for, or set, anything of it. Before that nobody reads what every move would leave in it, and it
    /// costs as much time as all else that the world does.
    minded: bool,
}

impl Recorder {
    pub(super) fn new(first_axis: &str) -> Recorder {
        let table = Table { source: first_axis.into(), option: 0, points: Vec::new() };
        let mut tables = vec![table; TABLES];
        (tables[0].option, tables[1].option) = (1, 2);
        Recorder { tables, trigger: 0, rate: 1, next: None, minded: false }
    }

    /// A client has said one of the recorder's words.
    pub(super) fn mind(&mut self, word: &str) {
        self.minded |= matches!(word, "DRC" | "DRT" | "RTR" | "DRR" | "DRL" | "TNR" | "HDR");
    }

    /// Servo cycle of the next point.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    fn begin(&mut self, cycle: u64) {
        self.tables.iter_mut().for_each(|t| t.points.clear());
        self.next = (self.minded && self.tables.iter().any(|t| t.option != 0)).then_some(cycle);
    }

    /// A command has come that changes a position, or not; recording begins with the servo cycle after it.
    pub(super) fn command(&mut self, moves: bool, cycle: u64) {
        match self.trigger {
            0 | 1 if moves => self.begin(cycle),
            2 => {
                self.trigger = 0;
                self.begin(cycle);
            }
            6 if moves => {
                self.trigger = 0;
                self.begin(cycle);
            }
            _ => {}
        }
    }

    fn table(text: &str) -> Result<usize, i32> {
        let number: usize = text.parse().map_err(|_| NOT_A_NUMBER)?;
        if (1..=TABLES).contains(&number) { Ok(number - 1) } else { Err(NO_TABLE) }
    }

    fn named(args: &[&str]) -> Result<Vec<usize>, i32> {
        match args.len() {
            0 => Ok((0..TABLES).collect()),
            // A line has room for a thousand times the same table, which would be an answer of 100 MB.
            1..=TABLES => args.iter().map(|a| Recorder::table(a)).collect(),
            _ => Err(COUNT),
        }
    }

    /// Queries; none for another word.
    pub(super) fn ask(&self, word: &str, args: &[&str], servo_s: f64) -> Result<Option<Vec<String>>, i32> {
        let each = |value: &dyn Fn(&Table) -> String| -> Result<Option<Vec<String>>, i32> {
            let asked = Recorder::named(args)?;
            Ok(Some(asked.into_iter().map(|i| format!("{}={}", i + 1, value(&self.tables[i]))).collect()))
        };
        match word {
            "TNR" => Ok(Some(vec![TABLES.to_string()])),
            "RTR" => Ok(Some(vec![self.rate.to_string()])),
            "DRC" => each(&|t| format!("{} {}", t.source, t.option)),
            "DRT" => each(&|_| format!("{} 0", self.trigger)),
            "DRL" => each(&|t| t.points.len().to_string()),
            "HDR" => Ok(Some(help())),
            "DRR" => self.array(args, servo_s).map(Some),
            _ => Ok(None),
        }
    }

    /// `DRR? start count tables`; without arguments all there is.
    #[expect(clippy::cast_precision_loss, reason = "a rate of at most a million")]
    fn array(&self, args: &[&str], servo_s: f64) -> Result<Vec<String>, i32> {
        let on = |i: &usize| self.tables[*i].option != 0;
        let (start, count, tables) = match args {
            [] => {
                let tables: Vec<usize> = (0..TABLES).filter(on).collect();
                let count = tables.iter().map(|i| self.tables[*i].points.len()).min().unwrap_or(0);
                (1, count, tables)
            }
            [start, count, tables @ ..] => {
                let number = |text: &str| text.parse::<usize>().map_err(|_| NOT_A_NUMBER);
                let named = Recorder::named(tables)?;
                let tables = if tables.is_empty() { named.into_iter().filter(on).collect() } else { named };
                (number(start)?, number(count)?, tables)
            }
            _ => return Err(COUNT),
        };
        if tables.is_empty() || !tables.iter().all(on) {
            return Err(TABLE_OFF);
        }
        let end = start.checked_add(count).ok_or(RANGE)?;
        if start == 0 || count == 0 || tables.iter().any(|i| end > self.tables[*i].points.len() + 1) {
            return Err(TOO_FEW);
        }
        let sample_s = servo_s * self.rate as f64;
        let mut lines = vec!["# REM data recorder".to_string(), "# VERSION = 1".into(), "# TYPE = 1".into()];
        lines.extend(["# SEPARATOR = 32".to_string(), format!("# DIM = {}", tables.len())]);
        lines.extend([format!("# SAMPLE_TIME = {sample_s:.6}"), format!("# NDATA = {count}")]);
        for (k, i) in tables.iter().enumerate() {
            let Table { source, option, .. } = &self.tables[*i];
            let name = OPTIONS.iter().find(|(o, _)| o == option).map_or("", |(_, name)| name);
            lines.push(format!("# NAME{k} = {name} {source}"));
        }
        lines.push("# END_HEADER".into());
        for row in start - 1..end - 1 {
            let values: Vec<String> = tables.iter().map(|i| format!("{:.6}", self.tables[*i].points[row])).collect();
            lines.push(values.join(" "));
        }
        Ok(lines)
    }
}

fn help() -> Vec<String> {
    let mut lines = vec!["#RecordOptions".to_string()];
    lines.extend(OPTIONS.iter().map(|(id, text)| format!("{id}={text}")));
    lines.push("#TriggerOptions".into());
    lines.extend(TRIGGERS.iter().map(|(id, text)| format!("{id}={text}")));
    lines.push("#Additional information".into());
    lines.extend([format!("{TABLES} record tables"), format!("{POINTS} datapoints per table"), "end of help".into()]);
    lines
}

impl Gcs2 {
    /// Settings; none for another word.
    pub(super) fn set_recorder(&mut self, word: &str, args: &[&str], cycle: u64) -> Option<Result<(), i32>> {
        Some(match word {
            "DRC" => self.configure(args),
            "DRT" => self.arm(args, cycle),
            "RTR" => match args {
                [text] => text.parse().map_err(|_| NOT_A_NUMBER).and_then(|rate: u64| {
                    self.recorder.rate = Some(rate).filter(|r| (1..=RATE_MAX).contains(r)).ok_or(RANGE)?;
                    Ok(())
                }),
                [] => Err(MISSING),
                _ => Err(COUNT),
            },
            _ => return None,
        })
    }

    fn configure(&mut self, args: &[&str]) -> Result<(), i32> {
        if args.is_empty() || !args.len().is_multiple_of(3) {
            return Err(if args.is_empty() { MISSING } else { COUNT });
        }
        let mut changed = self.recorder.clone();
        for triple in args.chunks_exact(3) {
            let option: u32 = triple[2].parse().map_err(|_| NOT_A_NUMBER)?;
            OPTIONS.iter().find(|(o, _)| *o == option).ok_or(NO_OPTION)?;
            let fits = match option {
                1..=3 => self.is_axis(triple[1]),
                81 | 150 => analog(triple[1]).is_ok(),
                _ => true,
            };
            if !fits {
                return Err(NO_SOURCE);
            }
            let table = &mut changed.tables[Recorder::table(triple[0])?];
            *table = Table { source: triple[1].into(), option, points: Vec::new() };
        }
        changed.next = None;
        self.recorder = changed;
        Ok(())
    }

    /// `DRT table trigger value`; all tables have one trigger, whichever is named.
    fn arm(&mut self, args: &[&str], cycle: u64) -> Result<(), i32> {
        if args.is_empty() || !args.len().is_multiple_of(3) {
            return Err(if args.is_empty() { MISSING } else { COUNT });
        }
        let mut wanted = self.recorder.trigger;
        for triple in args.chunks_exact(3) {
            if triple[0] != "0" {
                Recorder::table(triple[0])?;
            }
            wanted = triple[1].parse().map_err(|_| NOT_A_NUMBER)?;
            TRIGGERS.iter().find(|(id, _)| *id == wanted).ok_or(NO_OPTION)?;
        }
        self.recorder.trigger = wanted;
        if wanted == 4 {
            self.recorder.trigger = 0;
            self.recorder.begin(cycle);
        }
        Ok(())
    }

    /// Records a point of every table.
    pub(super) fn record(&mut self, cycle: u64, at_s: f64) {
        let value = |t: &Table| match t.option {
            1 => self.told_target(&t.source, at_s),
            2 => self.told(&t.source, at_s),
            3 => Some(self.told_target(&t.source, at_s)? - self.told(&t.source, at_s)?),
            8 => Some(at_s),
            81 => analog(&t.source).ok().map(|i| self.volts(i, at_s)),
            150 => analog(&t.source).ok().map(|i| self.shaped(i, at_s)),
            155 => Some(f64::from(u8::from(!self.routine_runs(&t.source)))),
            _ => None,
        };
        let values: Vec<Option<f64>> = self.recorder.tables.iter().map(value).collect();
        for (table, value) in self.recorder.tables.iter_mut().zip(values) {
            if table.option != 0 {
                table.points.push(value.unwrap_or(0.0));
            }
        }
        let full = self.recorder.tables.iter().any(|t| t.points.len() >= POINTS);
        self.recorder.next = if full { None } else { Some(cycle + self.recorder.rate) };
    }
}
