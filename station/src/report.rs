//! What is in the log, as text for a terminal.
//!
//! Pure functions to strings; knows no files. Meaning is never in colour.

mod convergence;
mod sketch;
mod svg;

pub use convergence::traces;
pub use sketch::sketch;
pub use svg::svg;

use std::fmt::Write as _;

use crate::event::{Measurement, Outcome, Trace};
use crate::store::{Run, RunDetail};
use crate::yields::{Share, Yield};

/// Writes to a string never fail.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => { let _ = writeln!($text, $($arg)*); };
}

/// The word of an outcome; of none, `unfinished`.
fn outcome(outcome: Option<Outcome>) -> &'static str {
    outcome.map_or("unfinished", Outcome::as_str)
}

/// A table of runs, one a line.
pub fn runs(runs: &[Run]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_string();
    }
    let mut text = String::new();
    line!(
        text,
        "{:<36}  {:<20}  {:<16} {:<14} {:<10} {:<8} {:>9}",
        "run",
        "started (UTC)",
        "serial number",
        "recipe",
        "outcome",
        "cause",
        "duration"
    );
    for run in runs {
        let duration = run.duration_s.map_or("-".to_string(), |d| format!("{d:.1} s"));
        let simulated = if run.simulated { "  simulated" } else { "" };
        line!(
            text,
            "{:<36}  {:<20}  {:<16} {:<14} {:<10} {:<8} {duration:>9}{simulated}",
            run.run_id,
            seconds(&run.started_at),
            run.serial_number,
            run.recipe,
            outcome(run.outcome),
            run.cause.map_or("-", |c| c.as_str()),
        );
    }
    text
}

/// A UTC time without its fraction of a second.
fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_string(),
    }
}

/// One run with its steps, measurements and the sketches of its searches.
pub fn run(detail: &RunDetail, traces: &[Trace]) -> String {
    let run = &detail.run;
    let mut text = String::new();
    line!(text, "run       {}", run.run_id);
    let lot = run.lot.as_ref().map_or(String::new(), |l| format!(", lot {l}"));
    line!(text, "unit      {} of {}{lot}, attempt {}", run.serial_number, run.part_number, detail.attempt);
    for c in &detail.components {
        let serial = c.serial.as_ref().map_or(String::new(), |s| format!(" {s}"));
        let lot = c.lot.as_ref().map_or(String::new(), |l| format!(" lot {l}"));
        line!(text, "          {}{serial}{lot}", c.kind);
    }
    let hash: String = run.recipe_hash.chars().take(12).collect();
    line!(text, "recipe    {} revision {} (sha256 {hash})", run.recipe, run.recipe_revision);
    let operator = run.operator.as_ref().map_or(String::new(), |o| format!(", operator {o}"));
    line!(text, "station   {}{operator}, firstlight {}", run.station, run.software_version);
    if run.simulated {
        let seed = run.seed.map_or(String::new(), |s| format!(", seed {s}"));
        line!(text, "simulated yes{seed}");
    }
    let duration = run.duration_s.map_or(String::new(), |d| format!(", {d:.3} s"));
    line!(text, "started   {}{duration}", seconds(&run.started_at));
    let safe = match run.safe {
        Some(true) => "bench safe",
        Some(false) => "bench NOT known to be safe",
        None => "bench in use, or left by a run cut off",
    };
    let cause = run.cause.map_or(String::new(), |c| format!(", cause: {}", c.as_str()));
    line!(
        text,
        "outcome   {}{cause}; part {}; {safe}",
        outcome(run.outcome).to_uppercase(),
        run.phase.replace('_', " ")
    );
    if let Some(message) = &run.message {
        line!(text, "          {}", message.replace('\n', "\n          "));
    }
    text.push_str("\nsteps\n");
    for s in &detail.steps {
        let took = s.ended_s.map_or("cut off".to_string(), |e| format!("{:.3} s", e - s.started_s));
        let message = s
            .message
            .as_ref()
            .map_or(String::new(), |m| m.replace('\n', "\n                                              "));
        line!(
            text,
            "  {:>2}  {:>9.3} s  {:<14} {took:>10}  {:<8} {message}",
            s.step + 1,
            s.started_s,
            s.kind,
            s.outcome.map_or("-", Outcome::as_str)
        );
    }
    if !detail.measurements.is_empty() {
        text.push_str("\nmeasurements\n");
        for m in &detail.measurements {
            line!(text, "  {}", measurement(m));
        }
    }
    if !detail.notes.is_empty() {
        text.push_str("\nnotes\n");
        for n in &detail.notes {
            line!(text, "  {:>9.3} s  {}", n.t_s, n.text);
        }
    }
    for trace in traces {
        text.push('\n');
        text.push_str(&sketch(trace));
    }
    if !detail.transcripts.is_empty() {
        let names: Vec<&str> = detail.transcripts.iter().map(|t| t.instrument.as_str()).collect();
        line!(text, "\ntranscripts of the last exchanges: {} (show them with --wire)", names.join(", "));
    }
    text
}

/// The transcripts of a run.
pub fn wire(detail: &RunDetail) -> String {
    let mut text = String::new();
    for t in &detail.transcripts {
        line!(text, "\n{} at {:.3} s", t.instrument, t.t_s);
        for exchange in t.text.lines() {
            line!(text, "  {exchange}");
        }
    }
    if text.is_empty() {
        text.push_str("\nno transcripts: they are kept with errors, and where `run --wire` asked for them\n");
    }
    text
}

/// One measurement with its limits and what it was taken against.
pub fn measurement(m: &Measurement) -> String {
    let limits = match (m.lower, m.upper) {
        (Some(l), Some(u)) => format!("limits {l} to {u} {}", m.unit),
        (Some(l), None) => format!("limit at least {l:.3} {}", m.unit),
        (None, Some(u)) => format!("limit at most {u} {}", m.unit),
        (None, None) => "no limit".to_string(),
    };
    let word = m.outcome.map_or("", Outcome::as_str);
    let against = m.launched.map_or(String::new(), |l| {
        let dbm = l.power_w.dbm().map_or("-".to_string(), |d| format!("{d:.2} dBm"));
        let age = if l.age_s > 0.0 { format!(", {:.1} h old", l.age_s / 3600.0) } else { String::new() };
        format!("; launched {dbm} by {}{age}", l.origin.as_str())
    });
    let about = m.uncertainty.map_or(String::new(), |u| format!("+-{u:.2} "));
    let channel = m.channel.as_deref().unwrap_or_default();
    format!("{:<16} {channel:<7} {:>9.3} {about}{:<4} {limits} {word}{against}", m.name, m.value, m.unit)
}

/// Yield in words: counts first, then shares with their intervals.
pub fn yields(got: &Yield) -> String {
    let mut text = String::new();
    line!(text, "first-pass yield  {}", share(&got.first_pass));
    line!(text, "final yield       {}", share(&got.last_pass));
    let r = &got.runs;
    line!(
        text,
        "runs              {} pass, {} fail, {} error, {} aborted, {} unfinished",
        r.pass,
        r.fail,
        r.error,
        r.aborted,
        r.unfinished
    );
    if !got.causes.is_empty() {
        let causes: Vec<String> = got.causes.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
        line!(text, "causes            {}", causes.join(", "));
    }
    if got.units_without_verdict > 0 {
        line!(text, "no verdict yet    {} units", got.units_without_verdict);
    }
    if got.units_retested > 0 {
        line!(text, "tested again      {} units", got.units_retested);
    }
    text
}

fn share(s: &Share) -> String {
    match (s.share, s.lower, s.upper) {
        (Some(p), Some(l), Some(u)) => format!(
            "{} of {} units ({:.1} %), 95 % Wilson interval {:.1} to {:.1} %",
            s.passed,
            s.units,
            100.0 * p,
            100.0 * l,
            100.0 * u
        ),
        _ => "no units".to_string(),
    }
}
