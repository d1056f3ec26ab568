//! A sweep of a Santec laser: where it is at a time. Pure.

/// Tuning from one step to the next, seconds.
const STEP_S: f64 = 0.05;

/// Settings of sweeps, and the one under way.
#[derive(Debug, Clone)]
pub(super) struct Sweep {
    pub(super) start_m: f64,
    pub(super) stop_m: f64,
    pub(super) step_m: f64,
    pub(super) speed_nm_s: f64,
    pub(super) dwell_s: f64,
    pub(super) delay_s: f64,
    pub(super) cycles: f64,
    /// 0 stepped, 1 continuous, each one way; 2 and 3 the same there and back.
    pub(super) mode: f64,
    /// Begin of the one under way, and its cycles.
    running: Option<(f64, f64)>,
    done: f64,
}

impl Sweep {
    pub(super) fn over((start_m, stop_m): (f64, f64)) -> Sweep {
        Sweep {
            start_m,
            stop_m,
            step_m: 1e-9,
            speed_nm_s: 10.0,
            dwell_s: 0.1,
            delay_s: 0.0,
            cycles: 1.0,
            mode: 1.0,
            running: None,
            done: 0.0,
        }
    }

    pub(super) fn start(&mut self, now_s: f64, for_ever: bool) {
        self.running = Some((now_s, if for_ever { f64::INFINITY } else { self.cycles.max(1.0) }));
        self.done = 0.0;
    }

    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    fn stepped(&self) -> bool {
        self.mode % 2.0 == 0.0
    }

    fn both_ways(&self) -> bool {
        self.mode >= 2.0
    }

    fn steps(&self) -> f64 {
        ((self.stop_m - self.start_m) / self.step_m + 1e-6).floor()
    }

    /// Time from one end to the other, s.
    fn pass_s(&self) -> f64 {
        if self.stepped() {
            (self.steps() + 1.0) * (self.dwell_s + STEP_S)
        } else {
            (self.stop_m - self.start_m) * 1e9 / self.speed_nm_s
        }
    }

    fn cycle_s(&self) -> f64 {
        self.pass_s() * if self.both_ways() { 2.0 } else { 1.0 } + self.delay_s
    }

    /// Where it is, m, while it is under way.
    pub(super) fn at(&self, now_s: f64) -> Option<f64> {
        let (begin, _) = self.running?;
        let into = (now_s - begin).rem_euclid(self.cycle_s().max(1e-6));
        let pass = self.pass_s().max(1e-6);
        let share = if into <= pass { into / pass } else { (2.0 - into / pass).max(0.0) };
        let share = if into > pass && !self.both_ways() { 1.0 } else { share };
        if self.stepped() {
            let step = (share * (self.steps() + 1.0)).floor().min(self.steps());
            return Some(self.start_m + step * self.step_m);
        }
        Some(self.start_m + share * (self.stop_m - self.start_m))
    }

    /// Cycles that are done.
    pub(super) fn count(&self, now_s: f64) -> f64 {
        self.running.map_or(self.done, |(begin, _)| ((now_s - begin) / self.cycle_s().max(1e-6)).floor())
    }

    /// Ends a sweep whose time has come; gives where it ended, m.
    pub(super) fn tick(&mut self, now_s: f64) -> Option<f64> {
        let (begin, cycles) = self.running?;
        // Nothing is waited for after the last cycle.
        if now_s < begin + cycles * self.cycle_s() - self.delay_s {
            return None;
        }
        self.done = cycles;
        self.running = None;
        let reached = if self.stepped() { self.start_m + self.steps() * self.step_m } else { self.stop_m };
        Some(if self.both_ways() { self.start_m } else { reached })
    }
}
