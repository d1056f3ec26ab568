//! A hexapod in motion: one trapezoid for the whole pose, play in each leg. Closed form of time.

use super::{Hexapod, Obstacle};
use crate::mechanics::profile::Profile;
use crate::noise::Stream;

/// Points of a path at which the legs' turning points are looked for; legs turn once on a straight path, gently.
const PATH_POINTS: u32 = 64;

/// Why a pivot is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PivotRefusal {
    /// The platform moves.
    Moving,
    /// The platform is turned: the pose would jump. (The command `SPI` wants U = V = W = 0.)
    Turned,
}

/// A hexapod in motion or at rest.
#[derive(Debug, Clone)]
pub struct HexapodState {
    model: Hexapod,
    pivot_mm: [f64; 3],
    noise: Stream,
    from: [f64; 6],
    to: [f64; 6],
    /// Share of the way from `from` to `to`.
    profile: Profile,
    /// Lengths of the legs behind their play at each point of the path, mm.
    behind: Vec<[f64; 6]>,
    moves: u64,
}

impl HexapodState {
    /// A hexapod at rest at a pose (mm, deg), the play of its legs somewhere within.
    pub fn new(model: Hexapod, noise: Stream, pose: [f64; 6]) -> HexapodState {
        let mut legs = model.legs(&pose, [0.0; 3]);
        for (leg, k) in legs.iter_mut().zip(0..) {
            *leg += model.play_mm / 2.0 * noise.child(PLAY).symmetric(k);
        }
        let profile = Profile::at_rest(0.0);
        HexapodState { model, pivot_mm: [0.0; 3], noise, from: pose, to: pose, profile, behind: vec![legs], moves: 0 }
    }

    /// What it is made of.
    pub fn model(&self) -> &Hexapod {
        &self.model
    }

    /// The centre of rotation, mm.
    pub fn pivot_mm(&self) -> [f64; 3] {
        self.pivot_mm
    }

    /// Takes another centre of rotation, mm.
    ///
    /// # Errors
    /// Refused while it moves or is turned.
    pub fn set_pivot(&mut self, now_s: f64, pivot_mm: [f64; 3]) -> Result<(), PivotRefusal> {
        if self.moving(now_s) {
            return Err(PivotRefusal::Moving);
        }
        let here = self.commanded(now_s);
        if here[3..].iter().any(|deg| *deg != 0.0) {
            return Err(PivotRefusal::Turned);
        }
        self.rest(now_s);
        self.pivot_mm = pivot_mm;
        Ok(())
    }

    /// Starts a move of all axes to a pose (mm, deg), at a velocity of the platform (mm/s; rotations in proportion);
    /// takes over from one under way. All begin and end together.
    ///
    /// # Errors
    /// The obstacle, if the pose or the straight way there cannot be reached; then nothing has changed.
    pub fn start(&mut self, now_s: f64, to: [f64; 6], velocity_mm_s: f64) -> Result<(), Obstacle> {
        let from = self.commanded(now_s);
        let path: Vec<[f64; 6]> = (0..=PATH_POINTS).map(|k| between(&from, &to, share(k))).collect();
        // The end first: it is what was asked for.
        for pose in path.iter().rev() {
            self.model.reachable(pose, self.pivot_mm)?;
        }
        self.rest(now_s);
        let (velocity, acceleration) = self.pace(&from, &to, velocity_mm_s);
        self.profile = Profile { start_s: now_s, from: 0.0, to: 1.0, velocity, acceleration };
        let mut legs = self.behind[0];
        self.behind.clear();
        for pose in &path {
            legs = drag(&legs, &self.model.legs(pose, self.pivot_mm), self.model.play_mm);
            self.behind.push(legs);
        }
        (self.from, self.to) = (from, to);
        self.moves += 1;
        Ok(())
    }

    /// Velocity and acceleration in shares of the way: of translation and rotation the slower one leads.
    fn pace(&self, from: &[f64; 6], to: &[f64; 6], velocity_mm_s: f64) -> (f64, f64) {
        let length = |r: std::ops::Range<usize>| r.map(|k| (to[k] - from[k]).powi(2)).sum::<f64>().sqrt();
        let (mm, deg) = (length(0..3), length(3..6));
        let (mm_max, deg_max) = (self.model.velocity_max_mm_s, self.model.velocity_max_deg_s);
        // What is not a number is slow.
        let pace = velocity_mm_s / mm_max;
        let pace = if pace > 1e-6 { pace.min(1.0) } else { 1e-6 };
        let slower = |per_mm: f64, per_deg: f64| (per_mm / mm.max(1e-12)).min(per_deg / deg.max(1e-12));
        let acceleration = slower(self.model.acceleration_mm_s2, self.model.acceleration_deg_s2);
        (slower(pace * mm_max, pace * deg_max), acceleration)
    }

    /// Is at a pose (mm, deg) from now on, where a control loop places it step by step.
    ///
    /// # Errors
    /// The obstacle, if the pose cannot be reached; then nothing has changed.
    pub fn follow(&mut self, now_s: f64, to: [f64; 6]) -> Result<(), Obstacle> {
        self.model.reachable(&to, self.pivot_mm)?;
        self.rest(now_s);
        self.behind[0] = drag(&self.behind[0], &self.model.legs(&to, self.pivot_mm), self.model.play_mm);
        (self.from, self.to) = (to, to);
        Ok(())
    }

    /// Brakes along the path.
    pub fn stop(&mut self, now_s: f64) {
        if self.moving(now_s) {
            self.profile = self.profile.braking(now_s, (0.0, 1.0));
        }
    }

    /// Whether it is under way.
    pub fn moving(&self, now_s: f64) -> bool {
        self.profile.moving(now_s)
    }

    /// When the present move ends, s.
    pub fn end_s(&self) -> f64 {
        self.profile.end_s()
    }

    /// The pose of the motors: mm, deg.
    pub fn commanded(&self, now_s: f64) -> [f64; 6] {
        between(&self.from, &self.to, self.profile.position(now_s))
    }

    /// Lengths of the legs, behind their play and with their repeatability, mm.
    pub fn legs(&self, now_s: f64) -> [f64; 6] {
        let legs = self.dragged(now_s);
        let repeats = |k: usize| self.model.repeatability_mm * self.noise.child(self.moves).normal(k as u64);
        std::array::from_fn(|k| legs[k] + repeats(k))
    }

    /// The pose of the platform: what the legs come to, mm, deg.
    pub fn actual(&self, now_s: f64) -> [f64; 6] {
        let commanded = self.commanded(now_s);
        // Legs off by micrometres have a pose next to the one commanded, except in a singular pose, which no leg or
        // joint limit of a sound geometry lets it reach.
        self.model.pose(&self.legs(now_s), self.pivot_mm, &commanded).unwrap_or(commanded)
    }

    fn dragged(&self, now_s: f64) -> [f64; 6] {
        let at = self.profile.position(now_s);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the way")]
        let passed = ((at * f64::from(PATH_POINTS)) as usize).min(self.behind.len() - 1);
        drag(&self.behind[passed], &self.model.legs(&self.commanded(now_s), self.pivot_mm), self.model.play_mm)
    }

    /// Remembers where the legs have come to.
    fn rest(&mut self, now_s: f64) {
        let here = self.commanded(now_s);
        self.behind = vec![self.dragged(now_s)];
        self.profile = Profile::at_rest(0.0);
        (self.from, self.to) = (here, here);
    }
}

/// Stream of the play at power-on, apart from those of the moves.
const PLAY: u64 = u64::MAX;

fn share(point: u32) -> f64 {
    f64::from(point) / f64::from(PATH_POINTS)
}

fn between(from: &[f64; 6], to: &[f64; 6], share: f64) -> [f64; 6] {
    if share >= 1.0 {
        return *to;
    }
    std::array::from_fn(|k| from[k] + (to[k] - from[k]) * share)
}

/// The play operator of each leg.
fn drag(behind: &[f64; 6], motor: &[f64; 6], play: f64) -> [f64; 6] {
    std::array::from_fn(|k| behind[k].clamp(motor[k] - play / 2.0, motor[k] + play / 2.0))
}
