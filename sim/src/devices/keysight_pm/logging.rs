//! The logging function: so many samples of so much averaging each, started by command or by trigger.

use super::port::{Port, TriggerInput};
use crate::light::detector::Reading;

/// While it logs, the device takes what has been measured at least this often, s: the world's past is not kept for long.
const TAKE_S: f64 = 0.005;

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// No function is selected.
    None,
    /// Waits for a trigger.
    Armed,
    /// Samples are taken, the next one from this time on.
    Running(f64),
    Complete,
}

/// The logging function of some ports.
#[derive(Debug)]
pub(super) struct Log {
    /// Places of its ports among those of the meter.
    pub(super) ports: Vec<usize>,
    pub(super) points: usize,
    pub(super) averaging_s: f64,
    state: State,
    input: TriggerInput,
    /// Samples by port.
    samples: Vec<Vec<Reading>>,
}

impl Log {
    pub(super) fn new(ports: Vec<usize>) -> Log {
        let samples = vec![Vec::new(); ports.len()];
        Log { ports, points: 100, averaging_s: 1e-3, state: State::None, input: TriggerInput::Ignore, samples }
    }

    pub(super) fn start(&mut self, now_s: f64, input: TriggerInput) {
        self.samples.iter_mut().for_each(Vec::clear);
        self.input = input;
        self.state = if input == TriggerInput::Ignore { State::Running(now_s) } else { State::Armed };
    }

    /// Ends it; what was logged is gone.
    pub(super) fn stop(&mut self) {
        self.samples.iter_mut().for_each(Vec::clear);
        self.state = State::None;
    }

    /// A trigger has come. One that comes while a sample is being taken is missed.
    pub(super) fn trigger(&mut self, now_s: f64) {
        if self.state == State::Armed {
            self.state = State::Running(now_s);
        }
    }

    /// The words of `FUNC:STAT?`.
    pub(super) fn words(&self) -> &'static str {
        match self.state {
            State::None => "NONE,COMPLETE",
            State::Complete => "LOGGING_STABILITY,COMPLETE",
            State::Armed | State::Running(_) => "LOGGING_STABILITY,PROGRESS",
        }
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, State::Armed | State::Running(_))
    }

    /// What was logged on a port of the meter; `None` before all of it is there.
    pub(super) fn result(&self, port: usize) -> Option<&[Reading]> {
        let at = self.ports.iter().position(|p| *p == port)?;
        (self.state == State::Complete).then(|| self.samples[at].as_slice())
    }

    /// Samples there are.
    pub(super) fn count(&self) -> usize {
        self.samples.first().map_or(0, Vec::len)
    }

    /// When samples are to be taken next.
    pub(super) fn due(&self) -> Option<f64> {
        let State::Running(next) = self.state else { return None };
        Some(next + self.averaging_s.max(TAKE_S.min(self.averaging_s * self.left())))
    }

    #[expect(clippy::cast_precision_loss, reason = "a million points at most")]
    fn left(&self) -> f64 {
        self.points.saturating_sub(self.count()) as f64
    }

    /// Takes the samples whose time has come.
    pub(super) fn take(&mut self, now_s: f64, ports: &mut [Port]) {
        while let State::Running(begin) = self.state {
            let end = begin + self.averaging_s;
            if end > now_s + 1e-9 {
                return;
            }
            for (port, samples) in self.ports.iter().zip(&mut self.samples) {
                let Some(port) = ports.get_mut(*port) else { continue };
                samples.push(port.window(begin, self.averaging_s).1);
            }
            self.state = match self.input {
                _ if self.count() >= self.points => State::Complete,
                TriggerInput::Single => State::Armed,
                _ => State::Running(end),
            };
        }
    }
}
