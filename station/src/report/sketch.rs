//! A search's trace drawn in characters: the light over the plane of two axes, and over time.

use crate::event::{Sample, Trace};
use units::{Power, Reading};

const COLUMNS: usize = 60;
const MAP_ROWS: usize = 17;
const TIME_ROWS: usize = 6;
/// From dark to bright; a cell never visited stays blank.
const RAMP: [char; 9] = ['.', ':', '-', '=', '+', 'o', '*', '#', '@'];
/// The cell of the brightest sample, whatever its neighbours.
const BRIGHTEST: char = 'X';
/// Below the brightest sample the ramp covers at most this, dB: deeper is noise floor.
const DEPTH_MAX_DB: f64 = 40.0;

/// The trace as a map over its first two axes and a strip over time, in the sum of its channels.
pub fn sketch(trace: &Trace) -> String {
    let head = format!("{} (step {}): {} samples\n", trace.search, trace.step + 1, trace.samples.len());
    let lit: Vec<(&Sample, f64)> = trace.samples.iter().filter_map(|s| Some((s, level_dbm(s)?))).collect();
    let Some(top) = lit.iter().map(|(_, l)| *l).reduce(f64::max) else {
        return format!("{head}  no power in any of them\n");
    };
    let lowest = lit.iter().map(|(_, l)| *l).fold(top, f64::min);
    let bottom = lowest.max(top - DEPTH_MAX_DB);
    let ramp: String = RAMP.iter().collect();
    let scale = format!("  {bottom:.1} dBm {ramp} {top:.1} dBm, {BRIGHTEST} the brightest on the map\n");
    let mut text = head;
    if trace.axes.len() >= 2 && trace.samples.iter().all(|s| s.actual.len() >= 2) {
        text.push_str(&map(trace, &lit, bottom, top));
    }
    text.push_str(&strip(&lit, bottom, top));
    text + &scale
}

/// The sum of the channels' powers; `None` where there is none above zero.
pub(super) fn level_dbm(sample: &Sample) -> Option<f64> {
    let watts: f64 = sample.readings.iter().filter_map(|r: &Reading| r.power()).map(Power::watts).sum();
    Power::from_watts(watts).dbm()
}

fn glyph(level: f64, bottom: f64, top: f64) -> char {
    let share = if top > bottom { (level - bottom) / (top - bottom) } else { 1.0 };
    RAMP[cell(share, RAMP.len())]
}

/// The cell of `n` that a share from 0 to 1 falls into.
fn cell(share: f64, n: usize) -> usize {
    // The cast saturates: a share below 0 or no number gives the first cell.
    ((share * n as f64) as usize).min(n - 1)
}

pub(super) fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

fn map(trace: &Trace, lit: &[(&Sample, f64)], bottom: f64, top: f64) -> String {
    let (x0, x1) = span(trace.samples.iter().map(|s| s.actual[0]));
    let (y0, y1) = span(trace.samples.iter().map(|s| s.actual[1]));
    if x1 <= x0 || y1 <= y0 {
        return String::new();
    }
    let mut cells = [[None::<f64>; COLUMNS]; MAP_ROWS];
    let mut brightest = (f64::NEG_INFINITY, (0, 0));
    for (sample, level) in lit {
        let column = cell((sample.actual[0] - x0) / (x1 - x0), COLUMNS);
        let row = MAP_ROWS - 1 - cell((sample.actual[1] - y0) / (y1 - y0), MAP_ROWS);
        let best = cells[row][column].get_or_insert(*level);
        *best = best.max(*level);
        if *level > brightest.0 {
            brightest = (*level, (row, column));
        }
    }
    let (x, y) = (&trace.axes[0], &trace.axes[1]);
    let mut text = String::new();
    for (row, line) in cells.iter().enumerate() {
        let label = match row {
            0 => format!("{y} {y1:.1}"),
            r if r == MAP_ROWS - 1 => format!("{y} {y0:.1}"),
            _ => String::new(),
        };
        let mark = |(column, level): (usize, &Option<f64>)| match level {
            _ if brightest.1 == (row, column) => BRIGHTEST,
            Some(level) => glyph(*level, bottom, top),
            None => ' ',
        };
        let line: String = line.iter().enumerate().map(mark).collect();
        text.push_str(&format!("  {label:>10} |{line}|\n"));
    }
    let (left, right) = (format!("{x} {x0:.1}"), format!("{x1:.1} um"));
    text.push_str(&format!("  {:>10}  {left}{right:>width$}\n", "", width = COLUMNS.saturating_sub(left.len())));
    text
}

/// The brightest sample of each moment, as columns.
fn strip(lit: &[(&Sample, f64)], bottom: f64, top: f64) -> String {
    let (t0, t1) = span(lit.iter().map(|(s, _)| s.t_s));
    let mut best = [None::<f64>; COLUMNS];
    for (sample, level) in lit {
        let share = if t1 > t0 { (sample.t_s - t0) / (t1 - t0) } else { 0.0 };
        let slot = best[cell(share, COLUMNS)].get_or_insert(*level);
        *slot = slot.max(*level);
    }
    let height =
        |level: f64| if top > bottom { cell((level - bottom) / (top - bottom), TIME_ROWS) } else { TIME_ROWS - 1 };
    let mut text = String::new();
    for row in (0..TIME_ROWS).rev() {
        let line: String = best.iter().map(|l| if l.is_some_and(|l| height(l) >= row) { '#' } else { ' ' }).collect();
        text.push_str(&format!(
            "  {:>10} |{line}|\n",
            if row == TIME_ROWS - 1 { format!("{top:.1} dBm") } else { String::new() }
        ));
    }
    let (left, right) = (format!("{t0:.2} s"), format!("{t1:.2} s"));
    text.push_str(&format!("  {:>10}  {left}{right:>width$}\n", "", width = COLUMNS.saturating_sub(left.len())));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(readings: impl Fn(f64, f64) -> Reading) -> Trace {
        let samples = (0..400)
            .map(|i| {
                let (x, y) = (f64::from(i % 20) - 10.0, f64::from(i / 20) - 10.0);
                Sample {
                    t_s: f64::from(i) * 0.01,
                    commanded: vec![x, y],
                    actual: vec![x, y],
                    readings: vec![readings(x, y)],
                }
            })
            .collect();
        Trace {
            t_s: 4.0,
            step: 3,
            search: "first_light".into(),
            axes: vec!["x".into(), "y".into()],
            channels: vec!["signal".into()],
            samples,
        }
    }

    #[test]
    fn the_brightest_place_is_marked_where_it_is() {
        let text = sketch(&trace(|x, y| {
            Reading::Power(Power::from_dbm(-10.0 - 0.1 * ((x - 4.0).powi(2) + (y - 5.0).powi(2))))
        }));
        let (row, line) = text.lines().enumerate().find(|(_, l)| l.contains('X')).unwrap();
        let column = line.find('X').unwrap() - line.find('|').unwrap() - 1;
        // x = 4 of -10 to 9 is 74 % across 60 columns; y = 5 of -10 to 9 is 79 % up 17 rows, below one line of heading.
        assert_eq!((row, column), (4, 44), "\n{text}");
        assert!(text.contains('@') && text.contains('.'), "bright around it, dark at the corner\n{text}");
        assert!(text.contains("first_light (step 4): 400 samples"));
    }

    #[test]
    fn a_dark_search_says_so() {
        assert!(sketch(&trace(|_, _| Reading::UnderRange)).contains("no power in any"));
    }
}
