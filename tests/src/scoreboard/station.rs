//! The station of the benchmark: a stage with play, a meter with noise and lag, a link that takes time, and a budget.

use std::f64::consts::TAU;

use super::rng::Rng;
use super::scene::{NEPER_DB, Objective, Pose, Powers, STRAY_MW, Scene, is_angle, ratio};

/// Fastest linear motion, um/s, and its acceleration, um/s^2.
pub const LINEAR: (f64, f64) = (5000.0, 50_000.0);

/// Fastest turn, degrees/s, and its acceleration, degrees/s^2.
pub const ANGULAR: (f64, f64) = (10.0, 100.0);

/// A sweep may exceed a limit by this factor: its points are discrete.
pub const SWEEP_TOLERANCE: f64 = 1.05;

/// Reading out one buffered sample of a sweep, s.
const SAMPLE_READ_S: f64 = 0.0001;

/// The meter shows nothing lower, dBm.
pub const DISPLAY_FLOOR_DBM: f64 = -80.0;

/// Wait before the last reading where the meter lags, s after the motion.
const LAST_DWELL_S: f64 = 0.014;

/// What ends a search from the station's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The readings are used up.
    #[error("the budget of readings is used up")]
    Budget,
    /// The stage cannot follow this path.
    #[error("the stage cannot follow this path at this speed")]
    Path,
}

/// What one reading returned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// The objective as displayed, dBm.
    pub value_dbm: f64,
    /// Each channel as displayed, dBm.
    pub channels_dbm: Powers,
    /// The clock when the reading was complete, s.
    pub t_s: f64,
    /// Commanded position.
    pub commanded: Pose,
}

/// One integrated window of the meter.
#[derive(Debug, Clone, Copy)]
struct Window {
    powers: Powers,
    command: Pose,
    actual: Pose,
    /// Rest at which it was integrated; `None` in motion.
    rest: Option<u64>,
}

/// The best reading of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// Objective as displayed, dBm.
    pub dbm: f64,
    /// Command of its window.
    pub command: Pose,
    /// Where the stage really was.
    pub actual: Pose,
}

/// Pace of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Interval before each point, s.
    pub intervals_s: Vec<f64>,
    /// Turning speed of each interval, degrees/s.
    pub turns: Vec<f64>,
    /// Whether the stage can follow.
    pub valid: bool,
}

/// A station at work on a scene.
#[derive(Debug)]
pub struct Station {
    /// The scene, truth and all.
    pub scene: Scene,
    /// Full play of each axis: hidden from a search.
    pub play: Pose,
    /// Play of each axis as a search is told.
    pub play_given: Pose,
    angle: [bool; 6],
    repeatability: Pose,
    noise: Rng,
    link: Rng,
    walk: Rng,
    walk_db: f64,
    walked: u64,
    command: Pose,
    state: Pose,
    error: Pose,
    t_s: f64,
    rest_s: f64,
    rests: u64,
    readings: usize,
    path_um: f64,
    budget: usize,
    window: Option<Window>,
    got: Option<u64>,
    best: Option<Best>,
}

fn move_time(distance: f64, (speed, acceleration): (f64, f64)) -> f64 {
    let d = distance.abs();
    if d == 0.0 {
        0.0
    } else if d <= speed * speed / acceleration {
        2.0 * (d / acceleration).sqrt()
    } else {
        d / speed + speed / acceleration
    }
}

/// A power as the meter shows it, dBm: clipped below, three decimals.
pub fn display(milliwatts: f64) -> f64 {
    let dbm = if milliwatts > 0.0 { NEPER_DB * libm::log(milliwatts) } else { DISPLAY_FLOOR_DBM };
    (dbm.max(DISPLAY_FLOOR_DBM) / 0.001).round_ties_even() * 0.001
}

impl Station {
    /// A new station with the stage at 0.
    pub fn new(scene: Scene, budget: usize) -> Station {
        let c = scene.condition;
        let angle: [bool; 6] = std::array::from_fn(|i| scene.nominal.axes.get(i).is_some_and(|a| is_angle(*a)));
        let d = scene.dimensions();
        let per_axis = |(linear, angular): (f64, f64)| -> Pose {
            std::array::from_fn(|i| {
                if i >= d {
                    0.0
                } else if angle[i] {
                    angular
                } else {
                    linear
                }
            })
        };
        let play = per_axis(c.play);
        let mut told = Rng::new(scene.seed ^ 0x8CB9_2BA7_2F3D_8DD7);
        Station {
            play_given: play.map(|b| b * (1.0 + 0.1 * told.sym())),
            repeatability: per_axis(c.repeatability),
            noise: Rng::new(scene.seed ^ 0xD1B5_4A32_D192_ED03),
            link: Rng::new(scene.seed ^ 0xA076_1D64_78BD_642F),
            walk: Rng::new(scene.seed ^ 0xE703_7ED1_A0B4_28DB),
            walk_db: 0.0,
            walked: 0,
            command: [0.0; 6],
            state: std::array::from_fn(|i| 0.5 * play[i] * scene.play0[i]),
            error: [0.0; 6],
            t_s: 0.0,
            rest_s: f64::NEG_INFINITY,
            rests: 0,
            readings: 0,
            path_um: 0.0,
            budget,
            window: None,
            got: None,
            best: None,
            play,
            angle,
            scene,
        }
    }

    /// The clock, s.
    pub fn now_s(&self) -> f64 {
        self.t_s
    }

    /// The commanded position.
    pub fn command(&self) -> Pose {
        self.command
    }

    /// Where the stage really is.
    pub fn actual(&self) -> Pose {
        std::array::from_fn(|i| self.state[i] + self.error[i])
    }

    /// Readings taken, samples of sweeps among them.
    pub fn readings(&self) -> usize {
        self.readings
    }

    /// Way of the linear axes, um.
    pub fn path_um(&self) -> f64 {
        self.path_um
    }

    /// The best reading so far, the first of equals.
    pub fn best(&self) -> Option<Best> {
        self.best
    }

    /// Lets time pass.
    pub fn wait(&mut self, seconds: f64) {
        self.t_s += seconds;
    }

    fn exchange(&mut self) {
        let (mean, spread) = self.scene.condition.exchange_s;
        let more = if spread > 0.0 { spread * self.link.sym() } else { 0.0 };
        self.t_s += mean + more;
    }

    /// Play: the axis follows once the command has crossed half its play.
    fn follow(&mut self, i: usize, target: f64) {
        let half = 0.5 * self.play[i];
        if target > self.state[i] + half {
            self.state[i] = target - half;
        } else if target < self.state[i] - half {
            self.state[i] = target + half;
        }
    }

    fn missed(&mut self, i: usize) {
        if self.repeatability[i] > 0.0 {
            self.error[i] = self.repeatability[i] * self.noise.norm();
        }
    }

    /// Moves all axes together and waits until they have settled; nothing at all where none changes.
    pub fn move_to(&mut self, target: &Pose) {
        let mut longest = 0.0f64;
        for (i, to) in target.iter().enumerate().take(self.scene.dimensions()) {
            let way = to - self.command[i];
            if way == 0.0 {
                continue;
            }
            longest = longest.max(move_time(way, if self.angle[i] { ANGULAR } else { LINEAR }));
            if !self.angle[i] {
                self.path_um += way.abs();
            }
            self.follow(i, *to);
            self.missed(i);
            self.command[i] = *to;
        }
        if longest > 0.0 {
            self.exchange();
            self.t_s += longest + self.scene.condition.settle_s;
            self.rest_s = self.t_s;
            self.rests += 1;
        }
    }

    fn noisy(&mut self, actual: &Pose) -> Powers {
        let c = self.scene.condition;
        let phase = self.scene.laser_phase;
        let wander = c.laser_db * (libm::sin(TAU * self.t_s / 30.0 + phase) - libm::sin(phase));
        // Polarisation walks when fibres move: a step for the first window after a motion and each one in motion.
        if self.scene.nominal.walk_db > 0.0 && self.walked != self.rests {
            self.walk_db += self.scene.nominal.walk_db * self.walk.norm();
            self.walked = self.rests;
        }
        let common = wander + self.walk_db;
        let floor = self.scene.noise_mw();
        let mut powers = [0.0; 8];
        self.scene.powers(actual, self.t_s, &mut powers);
        for power in &mut powers[..self.scene.nominal.channels] {
            let gain = ratio(common + c.relative_db * self.noise.norm());
            *power = *power * gain + STRAY_MW + floor * self.noise.norm();
        }
        powers
    }

    fn shown(&self, powers: &Powers) -> (f64, Powers) {
        let n = self.scene.nominal.channels;
        let channels = powers.map(display);
        #[expect(clippy::cast_precision_loss, reason = "at most eight")]
        let value = match self.scene.nominal.objective {
            Objective::Mean => display(powers[..n].iter().sum::<f64>() / n as f64),
            Objective::Least => channels[..n].iter().copied().fold(f64::INFINITY, f64::min),
        };
        (value, channels)
    }

    /// Integrates one window now; shows it, or the one before it when not fresh.
    fn sample(&mut self, fresh: bool, rest: Option<u64>) -> Result<Shown, Refused> {
        if self.readings >= self.budget {
            return Err(Refused::Budget);
        }
        self.readings += 1;
        let actual = self.actual();
        let window = Window { powers: self.noisy(&actual), command: self.command, actual, rest };
        let out = if fresh { window } else { self.window.unwrap_or(window) };
        self.window = Some(window);
        self.got = out.rest;
        let (value_dbm, channels_dbm) = self.shown(&out.powers);
        if self.best.is_none_or(|b| value_dbm > b.dbm) {
            self.best = Some(Best { dbm: value_dbm, command: out.command, actual: out.actual });
        }
        Ok(Shown { value_dbm, channels_dbm, t_s: self.t_s, commanded: self.command })
    }

    /// Reads the meter.
    ///
    /// # Errors
    /// [`Refused::Budget`].
    pub fn read(&mut self) -> Result<Shown, Refused> {
        if self.readings >= self.budget {
            return Err(Refused::Budget);
        }
        let c = self.scene.condition;
        self.exchange();
        let fresh = c.lag_s == 0.0 || self.t_s - self.rest_s >= c.lag_s - 1e-9;
        self.t_s += c.integrate_s;
        self.sample(fresh, Some(self.rests))
    }

    /// Whether and how the stage can follow a path at a speed, um/s.
    pub fn pace(&self, points: &[Pose], speed: f64) -> Pace {
        pace(points, speed, &self.angle, self.scene.condition.integrate_s)
    }

    /// Moves to the first point, then through all of them at a path speed, um/s, with one sample at each. Where
    /// `stop_above` gives a level in dBm and a block size, it ends after a block of which a sample exceeds the level.
    ///
    /// # Errors
    /// [`Refused::Path`] before anything moves; [`Refused::Budget`].
    pub fn sweep(
        &mut self,
        points: &[Pose],
        speed: f64,
        stop_above: Option<(f64, usize)>,
    ) -> Result<Vec<Shown>, Refused> {
        let pace = self.pace(points, speed);
        let Some(first) = points.first().filter(|_| pace.valid) else { return Err(Refused::Path) };
        let d = self.scene.dimensions();
        let lag = self.scene.condition.lag_s > 0.0;
        let ramp = |turn: f64| (speed / LINEAR.1).max(turn / ANGULAR.1);
        self.move_to(first);
        // Arm, then start.
        self.exchange();
        self.exchange();
        for i in 0..d {
            self.missed(i);
        }
        let mut out: Vec<Shown> = Vec::with_capacity(points.len());
        self.t_s += ramp(pace.turns.get(1).copied().unwrap_or(0.0));
        for (j, point) in points.iter().enumerate() {
            self.path_um += self.linear_way(point);
            self.t_s += pace.intervals_s[j];
            for (i, to) in point.iter().enumerate().take(d) {
                if *to != self.command[i] {
                    self.follow(i, *to);
                    self.command[i] = *to;
                }
            }
            // In motion every window is a step of the walk.
            self.walked = u64::MAX;
            out.push(self.sample(!lag, None)?);
            let Some((level, block)) = stop_above else { continue };
            if (j + 1).is_multiple_of(block) && out[j + 1 - block..].iter().any(|s| s.value_dbm > level) {
                break;
            }
        }
        self.t_s += ramp(pace.turns[out.len() - 1]) + self.scene.condition.settle_s;
        self.rest_s = self.t_s;
        self.rests += 1;
        self.exchange();
        #[expect(clippy::cast_precision_loss, reason = "no more than the budget")]
        let count = out.len() as f64;
        self.t_s += SAMPLE_READ_S * count;
        Ok(out)
    }

    fn linear_way(&self, point: &Pose) -> f64 {
        let square = |i: usize| (point[i] - self.command[i]).powi(2);
        (0..self.scene.dimensions()).filter(|i| !self.angle[*i]).map(square).sum::<f64>().sqrt()
    }

    /// Ends a trial: takes the reading after the final move where the search has not, beyond the budget if need be.
    pub fn finish(&mut self) {
        if self.got == Some(self.rests) {
            return;
        }
        self.budget = usize::MAX;
        if self.scene.condition.lag_s > 0.0 {
            self.wait((self.rest_s + LAST_DWELL_S - self.t_s).max(0.0));
        }
        // The budget has just been lifted.
        let _ = self.read();
    }

    /// Ends a trial whose readings are used up: goes to the command of the best window.
    pub fn retreat(&mut self) {
        if let Some(best) = self.best {
            self.move_to(&best.command);
        }
    }

    /// The clean objective where the stage really is, now, dBm.
    pub fn clean_dbm(&self) -> f64 {
        self.scene.clean_dbm(&self.actual(), self.t_s)
    }

    /// Clean objective at the pose of the best reading less that here, both now, dB.
    pub fn below_best_db(&self) -> f64 {
        let best = self.best.map_or_else(|| self.actual(), |b| b.actual);
        self.scene.clean_dbm(&best, self.t_s) - self.clean_dbm()
    }
}

fn norm(v: &Pose) -> f64 {
    v.iter().map(|q| q * q).sum::<f64>().sqrt()
}

/// Intervals of a path and whether a stage can follow it: speeds, and the acceleration between neighbouring intervals.
pub fn pace(points: &[Pose], speed: f64, angle: &[bool; 6], integrate_s: f64) -> Pace {
    let mut valid = !points.is_empty() && speed > 0.0 && speed <= LINEAR.0 * SWEEP_TOLERANCE;
    let mut intervals_s = vec![integrate_s];
    let mut turns = vec![0.0];
    let mut before: Option<(Pose, Pose)> = None;
    for pair in points.windows(2) {
        let part = |turning: bool| -> Pose {
            std::array::from_fn(|i| if angle[i] == turning { pair[1][i] - pair[0][i] } else { 0.0 })
        };
        let (linear, angular) = (part(false), part(true));
        let along = if speed > 0.0 { norm(&linear) / speed } else { 0.0 };
        let dt = along.max(norm(&angular) / ANGULAR.0).max(integrate_s);
        let (v, w) = (linear.map(|q| q / dt), angular.map(|q| q / dt));
        valid &= norm(&v) <= SWEEP_TOLERANCE * LINEAR.0 && norm(&w) <= SWEEP_TOLERANCE * ANGULAR.0;
        if let Some((v0, w0)) = before {
            let h = 0.5 * (dt + intervals_s[intervals_s.len() - 1]);
            let change = |a: &Pose, b: &Pose| norm(&std::array::from_fn(|i| a[i] - b[i]));
            valid &= change(&v, &v0) <= SWEEP_TOLERANCE * LINEAR.1 * h;
            valid &= change(&w, &w0) <= SWEEP_TOLERANCE * ANGULAR.1 * h;
        }
        before = Some((v, w));
        intervals_s.push(dt);
        turns.push(norm(&w));
    }
    Pace { intervals_s, turns, valid }
}
