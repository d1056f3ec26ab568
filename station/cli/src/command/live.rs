//! A search as it goes on: a picture on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use recipes::Axis;
use station::event::{Sample, Trace};
use station::report;

use crate::terminal;

/// Between two pictures, so that a fast bench is not held up by a slow terminal.
const EVERY: Duration = Duration::from_millis(100);

/// Samples in one go beyond which a line tells of them together.
const TOGETHER: usize = 4;

/// What is on the screen.
pub(crate) struct Live {
    terminal: bool,
    trace: Option<Trace>,
    drawn: Option<Instant>,
    /// Lines of the picture on the screen.
    lines: usize,
}

impl Live {
    pub(crate) fn new() -> Live {
        Live { terminal: stderr().is_terminal(), trace: None, drawn: None, lines: 0 }
    }

    /// Shows more samples of a search.
    pub(crate) fn show(&mut self, search: &str, axes: &[Axis], samples: &[Sample]) {
        if !self.terminal {
            plain(axes, samples);
            return;
        }
        if self.trace.as_ref().is_none_or(|t| t.search != search) {
            self.rest();
            let axes = axes.iter().map(ToString::to_string).collect();
            let search = search.to_string();
            self.trace = Some(Trace { t_s: 0.0, step: 0, search, axes, channels: Vec::new(), samples: Vec::new() });
        }
        if let Some(trace) = &mut self.trace {
            trace.samples.extend_from_slice(samples);
        }
        if self.drawn.is_none_or(|at| at.elapsed() >= EVERY) {
            self.draw();
        }
    }

    /// Leaves the last picture on the screen and goes on below it.
    pub(crate) fn rest(&mut self) {
        if self.trace.is_some() {
            self.draw();
        }
        self.trace = None;
        self.lines = 0;
    }

    fn draw(&mut self) {
        let Some(trace) = &self.trace else { return };
        let text = report::sketch(trace);
        let up = if self.lines > 0 { format!("\x1b[{}A\x1b[J", self.lines) } else { String::new() };
        let _ = write!(stderr().lock(), "{up}{text}");
        self.lines = text.lines().count();
        self.drawn = Some(Instant::now());
    }
}

fn plain(axes: &[Axis], samples: &[Sample]) {
    let dbm = |s: &Sample| s.readings.first().and_then(|r| r.power()).and_then(units::Power::dbm);
    if samples.len() > TOGETHER {
        let best = samples.iter().filter_map(dbm).fold(f64::NEG_INFINITY, f64::max);
        terminal::tell(format_args!("{:11}  {} samples, at the most {best:.3} dBm", "", samples.len()));
        return;
    }
    for sample in samples {
        let at: Vec<String> = axes.iter().zip(&sample.actual).map(|(a, p)| format!("{a} {p:9.3}")).collect();
        let power = dbm(sample).map_or("no power".to_string(), |d| format!("{d:8.3} dBm"));
        terminal::tell(format_args!("{:11}  {}  {power}", "", at.join(" ")));
    }
}
