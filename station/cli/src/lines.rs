//! Results of runs as lines for people and as the JSON document for scripts.

use serde_json::{Value, json};
use station::event::{Event, Outcome};

use crate::runner::{Done, Report, cause};
use crate::terminal;

/// Talks about an event on stderr.
pub(crate) fn progress(event: &Event) {
    match event {
        Event::StepStarted { t_s, kind, .. } => terminal::tell(format_args!("{t_s:9.3} s  {kind}")),
        Event::StepEnded { message: Some(message), .. } => terminal::tell(format_args!("{:11}  {message}", "")),
        Event::Note { text, .. } => terminal::tell(format_args!("{:11}  note: {text}", "")),
        _ => {}
    }
}

/// One run in lines: verdict, measurements with limits, why.
pub(crate) fn run(done: &Done) -> String {
    let end = &done.end;
    let mut text = format!(
        "{:<16} {:<8} {:8.3} s  run {}",
        done.serial_number,
        end.outcome.as_str().to_uppercase(),
        end.t_s,
        done.run_id
    );
    if done.simulated {
        text.push_str("  (simulated)");
    }
    for m in &done.measurements {
        text.push_str(&format!("\n  {}", station::report::measurement(m)));
    }
    if let Some(message) = &end.message {
        let why = cause(end).unwrap_or("-");
        text.push_str(&format!("\n  cause: {why}: {}", message.replace('\n', "\n  ")));
    }
    text
}

/// What many runs came to.
pub(crate) fn summary(report: &Report, wall_s: f64) -> String {
    let count = |outcome| report.runs.iter().filter(|r| r.end.outcome == outcome).count();
    let runs = report.runs.len();
    format!(
        "{runs} units: {} pass, {} fail, {} error, {} aborted; {:.1} units/s, {:.3} s per unit on the bench's clock",
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::Error),
        count(Outcome::Aborted),
        per_second(report, wall_s),
        mean_s(report),
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts of units")]
fn per_second(report: &Report, wall_s: f64) -> f64 {
    report.runs.len() as f64 / wall_s.max(1e-9)
}

#[expect(clippy::cast_precision_loss, reason = "counts of units")]
fn mean_s(report: &Report) -> f64 {
    report.runs.iter().map(|r| r.end.t_s).sum::<f64>() / report.runs.len().max(1) as f64
}

/// The document of `run --json`.
pub(crate) fn document(report: &Report, seed: Option<u64>, wall_s: f64, error: Option<&str>) -> Value {
    let runs: Vec<Value> = report.runs.iter().map(|done| entry(done, seed)).collect();
    let mut document = json!({ "runs": runs, "units_per_second": per_second(report, wall_s), "wall_s": wall_s });
    if let Some(error) = error {
        document["error"] = json!(error);
    }
    document
}

fn entry(done: &Done, seed: Option<u64>) -> Value {
    let measurements: Vec<Value> = done
        .measurements
        .iter()
        .map(|m| {
            json!({
                "name": m.name, "channel": m.channel, "value": m.value, "unit": m.unit, "uncertainty": m.uncertainty,
                "lower": m.lower, "upper": m.upper, "outcome": m.outcome, "launched": m.launched,
            })
        })
        .collect();
    json!({
        "run_id": done.run_id, "serial_number": done.serial_number, "outcome": done.end.outcome.as_str(),
        "cause": cause(&done.end), "message": done.end.message, "phase": done.end.phase.as_str(), "safe": done.end.safe,
        "seed": seed, "simulated": done.simulated, "virtual_s": done.end.t_s, "measurements": measurements,
    })
}
