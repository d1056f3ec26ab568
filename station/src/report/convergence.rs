//! A search's readings as they came in: how far each was below the brightest, on a logarithmic scale, and a table.

use std::fmt::Write as _;

use super::sketch::{level_dbm, sketch, span};
use crate::event::Trace;

const COLUMNS: usize = 60;
/// Rows of the plot, one for each of these depths, dB.
const DEPTHS: [f64; 10] = [30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001];
/// Readings that a table shows; a sweep has more and is told by its map.
const TABLE_MAX: usize = 100;

/// Each search of a run: map, light over time, convergence, and the readings of those that are few.
pub fn traces(traces: &[Trace]) -> String {
    if traces.is_empty() {
        return "no search left a trace\n".to_string();
    }
    traces.iter().map(trace).collect::<Vec<_>>().join("\n")
}

fn trace(trace: &Trace) -> String {
    let mut text = sketch(trace);
    let levels: Vec<Option<f64>> = trace.samples.iter().map(level_dbm).collect();
    let Some(best) = levels.iter().flatten().copied().reduce(f64::max) else { return text };
    text.push_str(&plot(&levels, best));
    if trace.samples.len() <= TABLE_MAX {
        text.push_str(&table(trace, &levels, best));
    }
    text
}

/// The row of the plot that a depth below the best is nearest to.
fn row(depth_db: f64) -> usize {
    let off = |d: f64| (d.log10() - depth_db.max(1e-9).log10()).abs();
    (0..DEPTHS.len()).min_by(|a, b| off(DEPTHS[*a]).total_cmp(&off(DEPTHS[*b]))).unwrap_or(0)
}

/// Depth below the brightest of every reading, the last of a column where there are more readings than columns.
fn plot(levels: &[Option<f64>], best: f64) -> String {
    let n = levels.len();
    let width = n.clamp(1, COLUMNS);
    let mut cells = [[' '; COLUMNS]; DEPTHS.len()];
    for (i, level) in levels.iter().enumerate() {
        let column = i * width / n;
        for line in &mut cells {
            line[column] = ' ';
        }
        if let Some(level) = level {
            cells[row(best - level)][column] = 'o';
        }
    }
    let mut text = String::from("  dB below the brightest reading, by reading\n");
    for (depth, line) in DEPTHS.iter().zip(&cells) {
        let line: String = line[..width].iter().collect();
        let _ = writeln!(text, "  {depth:>10} |{line}|");
    }
    let last = n.to_string();
    let _ = writeln!(text, "  {:>10}  1{last:>width$}", "", width = width.saturating_sub(1));
    text
}

fn table(trace: &Trace, levels: &[Option<f64>], best: f64) -> String {
    let (t0, _) = span(trace.samples.iter().map(|s| s.t_s));
    let mut text = format!("  {:>4} {:>8}", "n", "s");
    for axis in &trace.axes {
        let _ = write!(text, " {axis:>10}");
    }
    let _ = writeln!(text, " {:>10} {:>10}", "dBm", "dB below");
    for (i, (sample, level)) in trace.samples.iter().zip(levels).enumerate() {
        let _ = write!(text, "  {:>4} {:>8.3}", i + 1, sample.t_s - t0);
        for at in &sample.actual {
            let _ = write!(text, " {at:>10.3}");
        }
        let _ = match level {
            Some(l) => writeln!(text, " {l:>10.3} {:>10.4}", best - l),
            None => writeln!(text, " {:>10} {:>10}", "-", "-"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sample;
    use units::{Power, Reading};

    fn peak(depths: &[f64]) -> Trace {
        let reading = |d: &f64| Reading::Power(Power::from_dbm(2.0 - d));
        let samples = depths.iter().enumerate().map(|(i, d)| Sample {
            t_s: 0.1 * i as f64,
            commanded: vec![i as f64, *d],
            actual: vec![i as f64, *d],
            readings: vec![reading(d)],
        });
        Trace {
            t_s: 1.0,
            step: 4,
            search: "peak".into(),
            axes: vec!["x".into(), "y".into()],
            channels: vec!["signal".into()],
            samples: samples.collect(),
        }
    }

    #[test]
    fn every_reading_stands_at_its_depth_and_in_the_table() {
        let text = traces(&[peak(&[10.0, 1.0, 0.1, 0.0])]);
        let line = |depth: &str| text.lines().find(|l| l.trim_start().starts_with(&format!("{depth} |"))).unwrap();
        assert!(line("10").ends_with("|o   |") && line("1").ends_with("| o  |"), "{text}");
        assert!(line("0.1").ends_with("|  o |") && line("0.001").ends_with("|   o|"), "{text}");
        assert!(text.contains("   2    0.100      1.000      1.000      1.000     1.0000"), "{text}");
    }

    #[test]
    fn a_run_without_searches_says_so() {
        assert!(traces(&[]).contains("no search left a trace"));
    }
}
