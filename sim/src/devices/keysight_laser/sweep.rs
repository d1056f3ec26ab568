//! Wavelength sweeps of a Keysight laser: settings, progress as a closed form of time, logged wavelengths. Pure.
//! Error codes of the check: N777xC programming guide, `SOURce:WAVelength:SWEep:CHECkparams?`.

use crate::noise::Stream;

/// Speeds, m/s.
pub(super) const SPEEDS: (f64, f64) = (0.5e-9, 200e-9);
/// Steps, m.
pub(super) const STEPS: (f64, f64) = (0.1e-12, 400e-9);
/// Most points one sweep logs.
const POINTS_MAX: usize = 100_001;
/// Time at each point of a stepped sweep, seconds; tuning by one step takes some of it.
const DWELL_S: f64 = 0.1;
/// Spread of what the wavelength meter inside reads, m.
const READ_M: f64 = 5e-17;

/// How a sweep goes from start to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Stepped,
    Manual,
    Continuous,
}

/// Whether a sweep runs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Run {
    Stopped,
    /// It began at this time, with the sweep's own time at 0.
    Running(f64),
    /// The sweep's own time stands still, seconds.
    Paused(f64),
}

#[derive(Debug, Clone)]
pub(super) struct Sweep {
    pub(super) mode: Mode,
    pub(super) start_m: f64,
    pub(super) stop_m: f64,
    pub(super) step_m: f64,
    pub(super) speed_m_s: f64,
    pub(super) two_way: bool,
    pub(super) logging: bool,
    run: Run,
    /// Steps taken by hand.
    taken: usize,
    /// The last sweep that came to its end was logged with these settings.
    logged: Option<(f64, f64, usize)>,
}

impl Sweep {
    /// As after `*RST`, over a range of wavelengths in m.
    pub(super) fn over((low, high): (f64, f64)) -> Sweep {
        Sweep {
            mode: Mode::Stepped,
            start_m: low,
            stop_m: high,
            step_m: 1e-9,
            speed_m_s: 1e-9,
            two_way: false,
            logging: false,
            run: Run::Stopped,
            taken: 0,
            logged: None,
        }
    }

    /// What does not fit together: code and text; 0 is good.
    pub(super) fn check(&self, step_finished: bool) -> (i32, &'static str) {
        let steps = (self.stop_m - self.start_m) / self.step_m;
        if self.stop_m <= self.start_m {
            (368, "LambdaStop <= LambdaStart")
        } else if self.logging && self.mode != Mode::Continuous {
            (376, "Lambda logging only in continuous sweep mode")
        } else if self.logging && !step_finished {
            (375, "Lambda logging only with step finished output trigger")
        } else if self.triggers(steps) > POINTS_MAX {
            (373, "Triggernumber exceeds limit")
        } else {
            (0, "OK")
        }
    }

    fn triggers(&self, steps: f64) -> usize {
        // A ratio of two lengths that are both bounded by the ranges of the settings.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below 0, see the bound above")]
        let whole = (steps.max(0.0) + 1e-6).floor() as usize;
        whole + 1
    }

    fn points(&self) -> usize {
        self.triggers((self.stop_m - self.start_m) / self.step_m)
    }

    /// Seconds from start to end; a manual sweep ends by command only.
    fn length_s(&self) -> f64 {
        let once = match self.mode {
            Mode::Manual => return f64::INFINITY,
            Mode::Stepped => count(self.points()) * DWELL_S,
            Mode::Continuous => (self.stop_m - self.start_m) / self.speed_m_s,
        };
        if self.two_way { 2.0 * once } else { once }
    }

    /// Starts, or goes on after a pause.
    pub(super) fn start(&mut self, now_s: f64, tuned_s: f64) {
        self.run = match self.run {
            Run::Paused(gone) => Run::Running(now_s - gone),
            Run::Running(began) => Run::Running(began),
            Run::Stopped => {
                self.taken = 0;
                Run::Running(tuned_s.max(now_s))
            }
        };
    }

    pub(super) fn pause(&mut self, now_s: f64) {
        if let Run::Running(began) = self.run {
            self.run = Run::Paused((now_s - began).max(0.0));
        }
    }

    pub(super) fn stop(&mut self) {
        self.run = Run::Stopped;
    }

    /// Ends a sweep whose time is over; gives the wavelength it ended at.
    pub(super) fn tick(&mut self, now_s: f64) -> Option<f64> {
        let Run::Running(began) = self.run else { return None };
        if now_s - began < self.length_s() {
            return None;
        }
        if self.logging {
            self.logged = Some((self.start_m, self.step_m, self.points()));
        }
        let end = self.at(now_s);
        self.run = Run::Stopped;
        end
    }

    /// 0 stopped, 1 running, 2 paused.
    pub(super) fn state(&self) -> u8 {
        match self.run {
            Run::Stopped => 0,
            Run::Running(_) => 1,
            Run::Paused(_) => 2,
        }
    }

    /// The wavelength of a sweep under way, m.
    pub(super) fn at(&self, now_s: f64) -> Option<f64> {
        let gone = match self.run {
            Run::Stopped => return None,
            Run::Running(began) => (now_s - began).max(0.0),
            Run::Paused(gone) => gone,
        };
        let span = self.stop_m - self.start_m;
        let way = match self.mode {
            Mode::Manual => count(self.taken) * self.step_m,
            Mode::Stepped => (gone / DWELL_S).floor() * self.step_m,
            Mode::Continuous => gone * self.speed_m_s,
        };
        let way = if self.two_way && way > span { 2.0 * span - way } else { way };
        Some(self.start_m + way.clamp(0.0, span))
    }

    /// One step by hand; `false` where no sweep waits for one or there is no further step.
    pub(super) fn step(&mut self, forward: bool) -> bool {
        let waits = matches!((self.run, self.mode), (Run::Paused(_), Mode::Stepped) | (Run::Running(_), Mode::Manual));
        if !waits {
            return false;
        }
        if let Run::Paused(gone) = self.run {
            let gone = gone + if forward { DWELL_S } else { -DWELL_S };
            self.run = Run::Paused(gone.clamp(0.0, self.length_s()));
            return true;
        }
        let next = if forward { Some(self.taken + 1) } else { self.taken.checked_sub(1) };
        let Some(next) = next.filter(|n| *n < self.points()) else { return false };
        self.taken = next;
        true
    }

    /// How many wavelengths the last sweep has logged.
    pub(super) fn logged(&self) -> usize {
        self.logged.map_or(0, |(_, _, points)| points)
    }

    /// The wavelengths the last sweep has logged, m.
    pub(super) fn log(&self, noise: &Stream) -> Vec<f64> {
        let Some((start, step, points)) = self.logged else { return Vec::new() };
        (0u64..).take(points).map(|k| start + count_u64(k) * step + READ_M * noise.normal(k)).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most POINTS_MAX")]
fn count(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "at most POINTS_MAX")]
fn count_u64(n: u64) -> f64 {
    n as f64
}
