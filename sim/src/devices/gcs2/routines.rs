//! Fast alignment routines as a controller runs them, servo step by servo step: pure. A routine is told what its input
//! reads where its two axes are, and says where they are to be next. Positions in the controller's own unit (mm, um, deg),
//! scan axis first; times in seconds.
//!
//! Options and results after PI's MATLAB and Python libraries; where these are silent (spacing of lines, gain of the
//! gradient search, numbers of reasons) it is said here what was chosen.

use std::f64::consts::TAU;

use super::estimate::{Sample, centre_of_gravity, gauss};

/// Time in which axes come to the start of a scan, or to its result, besides that of the way itself.
const GLIDE_S: f64 = 0.02;
/// Samples kept for an estimate of the maximum; more are thinned out.
const SAMPLES_MAX: u32 = 100_000;
/// Noise is measured for this long before a first-light search.
const NOISE_S: f64 = 0.1;
/// Turns of the spiral of a first-light search over half its range.
const TURNS: f64 = 25.0;
/// A slope below this share of the signal over a radius has no direction that is left to go on in.
const SLOPE_MIN: f64 = 0.002;
/// A signal below this is none, whatever it is divided by.
const SIGNAL_MIN: f64 = 1e-6;

/// Reasons of abort; only 0 (none) is sure.
pub(super) const STOPPED: u8 = 1;
pub(super) const OUTSIDE: u8 = 2;
pub(super) const NOT_FOUND: u8 = 3;
pub(super) const TIME_OUT: u8 = 4;

/// Position of scan and step axis.
pub(super) type At = (f64, f64);

/// What an area scan does (`FDR`).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Area {
    pub(super) range: At,
    pub(super) middle: Option<At>,
    pub(super) level: f64,
    pub(super) frequency_hz: f64,
    /// Of the step axis.
    pub(super) velocity: f64,
    pub(super) spiral: bool,
    /// 0 highest sample, 1 Gauss fit, 2 centre of gravity.
    pub(super) estimate: u8,
    /// Samples between these shares of the maximum are used for estimates 1 and 2, per cent.
    pub(super) window: (f64, f64),
    /// 0 to the maximum, 1 stay, 2 to the start, 3 stay where the level is first exceeded, 4 the same, again and again.
    pub(super) stop: u8,
}

/// What a gradient search does (`FDG`).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gradient {
    pub(super) level: f64,
    /// Least and greatest radius of the circle.
    pub(super) radius: (f64, f64),
    pub(super) frequency_hz: f64,
    pub(super) gain: f64,
    pub(super) velocity: f64,
    pub(super) direction_changes: u32,
    pub(super) speed_offset: f64,
}

/// What a first-light search does (`FDL`).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FirstLight {
    pub(super) range: At,
    pub(super) sigmas: f64,
    pub(super) calculate: bool,
    pub(super) limit_s: f64,
    pub(super) middle: Option<At>,
    pub(super) noise_at: Option<At>,
    /// Velocity along the spiral.
    pub(super) velocity: f64,
}

/// One of the three.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    Area(Area),
    Gradient(Gradient),
    FirstLight(FirstLight),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outcome {
    pub(super) success: bool,
    pub(super) max: f64,
    pub(super) max_at: At,
    pub(super) time_s: f64,
    pub(super) reason: u8,
    pub(super) radius: f64,
    pub(super) direction_changes: u32,
    pub(super) gradient: f64,
}

/// A phase of a run.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// From here to there; then the next.
    Glide {
        from: At,
        to: At,
        end_s: f64,
        next: Box<Phase>,
    },
    Noise,
    Scan,
    Over,
}

/// A routine under way.
#[derive(Debug, Clone)]
pub(super) struct Run {
    plan: Plan,
    phase: Phase,
    /// When the routine and its phase began.
    begun_s: f64,
    phase_s: f64,
    here: At,
    speed: At,
    outcome: Outcome,
    samples: Vec<Sample>,
    seen: u32,
    keep: u32,
    dither: Dither,
    noise: (f64, f64, f64),
    threshold: Option<f64>,
}

/// The circle of a gradient search.
#[derive(Debug, Clone, Default)]
struct Dither {
    centre: At,
    /// Velocity of the centre.
    walk: At,
    radius: f64,
    revolution: u64,
    /// Sums over the revolution: count, signal, signal times cosine, times sine.
    sums: [f64; 4],
    before: At,
    last_s: f64,
}

fn mix(a: At, b: At, share: f64) -> At {
    if share >= 1.0 {
        return b;
    }
    (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share)
}

impl Area {
    fn middle(&self, here: At) -> At {
        self.middle.unwrap_or(here)
    }

    fn duration_s(&self) -> f64 {
        if self.spiral { self.range.1 / 2.0 / self.velocity } else { self.range.1 / self.velocity }
    }

    /// Position from the middle at a time of the scan.
    fn path(&self, t: f64) -> At {
        let (half_scan, half_step) = (self.range.0 / 2.0, self.range.1 / 2.0);
        let phase = TAU * self.frequency_hz * t;
        if self.spiral {
            let share = (self.velocity * t / half_step).min(1.0);
            return (half_scan * share * phase.cos(), half_step * share * phase.sin());
        }
        (half_scan * phase.sin(), (self.velocity * t).min(self.range.1) - half_step)
    }
}

impl FirstLight {
    /// An Archimedean spiral at constant velocity along it.
    fn path(&self, t: f64) -> At {
        let (a, b) = (self.range.0 / 2.0, self.range.1 / 2.0);
        let radius = a.max(b);
        let pitch = radius / TURNS;
        let angle = (2.0 * TAU * self.velocity * t / pitch).sqrt();
        let share = (pitch * angle / TAU / radius).min(1.0);
        (a * share * angle.cos(), b * share * angle.sin())
    }

    fn duration_s(&self) -> f64 {
        let radius = (self.range.0 / 2.0).max(self.range.1 / 2.0);
        // Length of the spiral: its area over its pitch.
        std::f64::consts::PI * radius * TURNS / self.velocity
    }
}

impl Plan {
    /// The corners of everything it may come to from a place.
    pub(super) fn extent(&self, here: At) -> Vec<At> {
        let corners = |m: At, (a, b): At| {
            let (a, b) = (a / 2.0, b / 2.0);
            vec![(m.0 - a, m.1 - b), (m.0 - a, m.1 + b), (m.0 + a, m.1 - b), (m.0 + a, m.1 + b)]
        };
        match self {
            Plan::Area(a) => corners(a.middle(here), a.range),
            Plan::Gradient(g) => corners(here, (2.0 * g.radius.1, 2.0 * g.radius.1)),
            Plan::FirstLight(f) => {
                let mut all = corners(f.middle.unwrap_or(here), f.range);
                all.extend(f.noise_at);
                all
            }
        }
    }
}

impl Run {
    /// Begins at a time and place; `speed` of the axes for ways between; a threshold found earlier.
    pub(super) fn begin(plan: Plan, now_s: f64, here: At, speed: At, servo_s: f64, threshold: Option<f64>) -> Run {
        let steps = match &plan {
            Plan::Area(a) => a.duration_s() / servo_s,
            _ => 0.0,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, bounded by the cast")]
        let keep = (steps / f64::from(SAMPLES_MAX)).ceil().max(1.0) as u32;
        let mut run = Run {
            plan,
            phase: Phase::Scan,
            begun_s: now_s,
            phase_s: now_s,
            here,
            speed,
            outcome: Outcome { max: f64::NEG_INFINITY, ..Outcome::default() },
            samples: Vec::new(),
            seen: 0,
            keep,
            dither: Dither { centre: here, last_s: now_s, ..Dither::default() },
            noise: (0.0, 0.0, 0.0),
            threshold,
        };
        run.approach(now_s);
        run
    }

    fn approach(&mut self, now_s: f64) {
        let here = self.here;
        match self.plan.clone() {
            Plan::Area(a) => {
                let (middle, first) = (a.middle(here), a.path(0.0));
                self.dither.centre = middle;
                self.glide(now_s, (middle.0 + first.0, middle.1 + first.1), Phase::Scan);
            }
            Plan::FirstLight(f) => {
                self.dither.centre = f.middle.unwrap_or(here);
                if f.calculate || self.threshold.is_none() {
                    self.glide(now_s, f.noise_at.unwrap_or(here), Phase::Noise);
                } else {
                    self.glide(now_s, self.dither.centre, Phase::Scan);
                }
            }
            Plan::Gradient(_) => {}
        }
    }

    fn glide(&mut self, now_s: f64, to: At, next: Phase) {
        let from = self.here;
        let way = ((to.0 - from.0).abs() / self.speed.0).max((to.1 - from.1).abs() / self.speed.1);
        // Eased at both ends, the way takes half as long again as at full speed.
        self.phase = Phase::Glide { from, to, end_s: now_s + 1.5 * way + GLIDE_S, next: Box::new(next) };
        self.phase_s = now_s;
    }

    /// What came of it so far.
    pub(super) fn outcome(&self) -> Outcome {
        let max = if self.outcome.max.is_finite() { self.outcome.max } else { 0.0 };
        Outcome { max, ..self.outcome.clone() }
    }

    /// The threshold of a first-light search.
    pub(super) fn threshold(&self) -> Option<f64> {
        self.threshold
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Ends it where it is.
    pub(super) fn abort(&mut self, now_s: f64, reason: u8) {
        self.outcome.time_s = now_s - self.begun_s;
        (self.outcome.success, self.outcome.reason) = (false, reason);
        self.phase = Phase::Over;
    }

    /// It was held for this long: nothing of its own time has passed.
    pub(super) fn shift(&mut self, by_s: f64) {
        self.begun_s += by_s;
        self.phase_s += by_s;
        self.dither.last_s += by_s;
        if let Phase::Glide { end_s, .. } = &mut self.phase {
            *end_s += by_s;
        }
    }

    /// Centre of the circle, or of the scan.
    pub(super) fn centre(&self) -> At {
        self.dither.centre
    }

    /// Moves the centre of a gradient search (`FGC`).
    pub(super) fn set_centre(&mut self, to: At) {
        self.dither.centre = to;
    }

    /// Where the axes are to be at a time.
    pub(super) fn target(&mut self, now_s: f64) -> At {
        let t = now_s - self.phase_s;
        let centre = self.dither.centre;
        self.here = match (&self.phase, &self.plan) {
            (Phase::Glide { from, to, end_s, .. }, _) => {
                let share = (t / (end_s - self.phase_s)).clamp(0.0, 1.0);
                mix(*from, *to, share * share * (3.0 - 2.0 * share))
            }
            (Phase::Scan, Plan::Area(a)) => {
                let at = a.path(t);
                (centre.0 + at.0, centre.1 + at.1)
            }
            (Phase::Scan, Plan::FirstLight(f)) => {
                let at = f.path(t);
                (centre.0 + at.0, centre.1 + at.1)
            }
            (Phase::Scan, Plan::Gradient(g)) => {
                let dt = now_s - self.dither.last_s;
                self.dither.last_s = now_s;
                let walked = (centre.0 + self.dither.walk.0 * dt, centre.1 + self.dither.walk.1 * dt);
                self.dither.centre = walked;
                let phase = TAU * g.frequency_hz * t;
                // The circle grows over its first revolution.
                let radius =
                    if self.dither.revolution == 0 { g.radius.0 * (phase / TAU).min(1.0) } else { self.dither.radius };
                (walked.0 + radius * phase.cos(), walked.1 + radius * phase.sin())
            }
            (Phase::Noise | Phase::Over, _) => self.here,
        };
        self.here
    }

    /// What the input reads at a time with the axes at a place.
    pub(super) fn take(&mut self, now_s: f64, at: At, value: f64) {
        match (self.phase.clone(), self.plan.clone()) {
            (Phase::Glide { end_s, next, .. }, _) if now_s >= end_s => (self.phase, self.phase_s) = (*next, now_s),
            (Phase::Noise, Plan::FirstLight(f)) => self.take_noise(now_s, value, f.sigmas),
            (Phase::Scan, Plan::Area(a)) => self.take_area(now_s, at, value, &a),
            (Phase::Scan, Plan::Gradient(g)) => self.take_gradient(now_s, at, value, &g),
            (Phase::Scan, Plan::FirstLight(f)) => self.take_first_light(now_s, at, value, &f),
            _ => {}
        }
    }

    fn highest(&mut self, at: At, value: f64) {
        if value > self.outcome.max {
            (self.outcome.max, self.outcome.max_at) = (value, at);
        }
    }

    fn end(&mut self, now_s: f64, success: bool, reason: u8) {
        self.outcome.time_s = now_s - self.begun_s;
        (self.outcome.success, self.outcome.reason) = (success, reason);
        self.phase = Phase::Over;
    }

    fn take_area(&mut self, now_s: f64, at: At, value: f64, a: &Area) {
        self.highest(at, value);
        if self.seen.is_multiple_of(self.keep) {
            self.samples.push(Sample { at, value });
        }
        self.seen += 1;
        if a.stop >= 3 && value > a.level {
            return self.end(now_s, true, 0);
        }
        if now_s - self.phase_s < a.duration_s() {
            return;
        }
        let success = self.outcome.max > a.level;
        if a.stop == 4 && !success {
            // Again from its beginning.
            return self.approach(now_s);
        }
        self.end(now_s, success, if success { 0 } else { NOT_FOUND });
        let window = (a.window.0 / 100.0 * self.outcome.max, a.window.1 / 100.0 * self.outcome.max);
        let used: Vec<Sample> =
            self.samples.iter().copied().filter(|s| (window.0..=window.1).contains(&s.value)).collect();
        let estimated = match a.estimate {
            1 => gauss(&used),
            2 => centre_of_gravity(&used),
            _ => None,
        };
        let m = a.middle(self.dither.centre);
        // An estimate outside the area is none.
        let inside = |p: &At| (p.0 - m.0).abs() <= a.range.0 / 2.0 && (p.1 - m.1).abs() <= a.range.1 / 2.0;
        if let Some(at) = estimated.filter(inside) {
            self.outcome.max_at = at;
        }
        match a.stop {
            0 if success => self.glide(now_s, self.outcome.max_at, Phase::Over),
            2 => {
                let first = a.path(0.0);
                self.glide(now_s, (m.0 + first.0, m.1 + first.1), Phase::Over);
            }
            _ => {}
        }
    }

    fn take_noise(&mut self, now_s: f64, value: f64, sigmas: f64) {
        let (n, sum, squares) = self.noise;
        self.noise = (n + 1.0, sum + value, squares + value * value);
        if now_s - self.phase_s < NOISE_S {
            return;
        }
        let (n, sum, squares) = self.noise;
        let mean = sum / n;
        let deviation = (squares / n - mean * mean).max(0.0).sqrt();
        self.threshold = Some(mean + sigmas * deviation);
        self.glide(now_s, self.dither.centre, Phase::Scan);
    }

    fn take_first_light(&mut self, now_s: f64, at: At, value: f64, f: &FirstLight) {
        self.highest(at, value);
        if self.threshold.is_some_and(|level| value > level) {
            return self.end(now_s, true, 0);
        }
        if now_s - self.begun_s >= f.limit_s {
            self.end(now_s, false, TIME_OUT);
        } else if now_s - self.phase_s >= f.duration_s() {
            self.end(now_s, false, NOT_FOUND);
        }
    }

    fn take_gradient(&mut self, now_s: f64, at: At, value: f64, g: &Gradient) {
        self.highest(at, value);
        let turns = g.frequency_hz * (now_s - self.phase_s);
        let (sin, cos) = (TAU * turns).sin_cos();
        for (sum, v) in self.dither.sums.iter_mut().zip([1.0, value, value * cos, value * sin]) {
            *sum += v;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below 0")]
        let revolution = turns as u64;
        if revolution > self.dither.revolution {
            let ramp = self.dither.revolution == 0;
            self.dither.revolution = revolution;
            if ramp {
                self.dither.sums = [0.0; 4];
                self.dither.radius = g.radius.0;
            } else {
                self.revolve(now_s, g);
            }
        }
    }

    /// A revolution is over: what it says about the way uphill.
    fn revolve(&mut self, now_s: f64, g: &Gradient) {
        let [n, sum, cosine, sine] = std::mem::take(&mut self.dither.sums);
        let mean = sum / n;
        // Of the signal's change over a radius, as a share of the signal; more than all of it is noise.
        let scale = 2.0 / n / mean.abs().max(SIGNAL_MIN);
        let mut slope = (cosine * scale, sine * scale);
        let length = slope.0.hypot(slope.1);
        if length > 1.0 {
            slope = (slope.0 / length, slope.1 / length);
        }
        let length = length.min(1.0);
        let before = self.dither.before;
        if slope.0 * before.0 + slope.1 * before.1 < 0.0 || length < SLOPE_MIN {
            self.outcome.direction_changes += 1;
        }
        self.dither.before = slope;
        (self.outcome.gradient, self.outcome.radius) = (length, self.dither.radius);
        let speed = g.gain * self.dither.radius * (1.0 + g.speed_offset);
        let fastest = if length > 0.0 { g.velocity / length } else { 0.0 };
        let speed = speed.min(fastest);
        self.dither.walk = (slope.0 * speed, slope.1 * speed);
        // Near the maximum the slope is gone and the circle small.
        self.dither.radius = g.radius.0 + (g.radius.1 - g.radius.0) * length;
        if g.level > 0.0 && self.outcome.direction_changes >= g.direction_changes {
            let success = mean > g.level;
            self.end(now_s, success, if success { 0 } else { NOT_FOUND });
            self.outcome.max_at = self.dither.centre;
            self.dither.walk = (0.0, 0.0);
            self.glide(now_s, self.dither.centre, Phase::Over);
        }
    }
}

#[cfg(test)]
#[path = "routines_tests.rs"]
mod tests;
