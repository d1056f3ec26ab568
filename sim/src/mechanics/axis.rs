//! Motion of one stage axis as a closed form of time: trapezoidal profile, settling, play, screw, encoder. Pure.

use std::f64::consts::TAU;

use super::mishap::{Mishap, Side};
use super::piezo::{Piezo, PiezoState};
use super::profile::Profile;
use crate::noise::Stream;

/// What an axis is made of; lengths in um, on the controller's own scale.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisModel {
    /// Lowest and highest position between the limit switches, um.
    pub travel_um: (f64, f64),
    /// Position of the reference switch, um.
    pub reference_um: f64,
    /// Acceleration and deceleration, um/s^2.
    pub acceleration_um_s2: f64,
    /// Greatest velocity, um/s.
    pub velocity_max_um_s: f64,
    /// Full width of the play between encoder and load, um.
    pub play_um: f64,
    /// Repeatability of the load at rest, one standard deviation, um.
    pub repeatability_um: f64,
    /// Step of the encoder, um.
    pub encoder_um: f64,
    /// Frequency of the ring-down after a stop, Hz.
    pub settle_hz: f64,
    /// Damping of the ring-down, share of critical.
    pub settle_damping: f64,
    /// Amplitude of the ring-down for a stop from full acceleration, um.
    pub ring_um: f64,
}

/// What an axis may have besides; the default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Extras {
    /// The periodic error of its screw.
    pub screw: Option<Screw>,
    /// It is an open-loop piezo.
    pub piezo: Option<Piezo>,
    /// What its encoder sees.
    pub feedback: Feedback,
}

/// The periodic error of a screw; its phase is the axis's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Screw {
    /// Error peak to peak, um: 0.1 to 1 is usual.
    pub peak_to_peak_um: f64,
    /// One turn, um: 500 to 2000 is usual.
    pub period_um: f64,
}

/// What an encoder sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feedback {
    /// The motor, or the count of its steps: neither play nor lost steps nor slip.
    #[default]
    Motor,
    /// The load: all of them.
    Load,
}

/// An axis in motion or at rest.
#[derive(Debug, Clone)]
pub struct AxisState {
    model: AxisModel,
    extras: Extras,
    noise: Stream,
    profile: Profile,
    /// Where the load was dragged to when the motion was last settled.
    load: f64,
    moves: u64,
    /// Stuck where it is, whatever it is told.
    stuck: bool,
    mishap: Mishap,
    slip: Slip,
    piezo: Option<PiezoState>,
    /// Where it was told to go, and whether it calls itself arrived wherever it ends.
    asked: f64,
    pretends: bool,
    settled_s: f64,
    /// Way gone up to when the motion was last settled, um.
    path: f64,
}

/// What of the drive's motion never reached the load.
#[derive(Debug, Clone, Copy)]
struct Slip {
    /// Up to when the motion was last settled, um.
    sum: f64,
    /// Where the drive was then.
    from: f64,
    /// Steps that the present move still loses, um.
    left: f64,
}

impl AxisState {
    /// An axis at rest at a position (um), its play somewhere within.
    pub fn new(model: AxisModel, noise: Stream, position_um: f64) -> AxisState {
        let load = position_um + model.play_um / 2.0 * noise.symmetric(u64::MAX);
        AxisState {
            model,
            extras: Extras::default(),
            noise,
            profile: Profile::at_rest(position_um),
            load,
            moves: 0,
            stuck: false,
            mishap: Mishap::default(),
            slip: Slip { sum: 0.0, from: position_um, left: 0.0 },
            piezo: None,
            asked: position_um,
            pretends: false,
            settled_s: f64::NEG_INFINITY,
            path: 0.0,
        }
    }

    /// The same axis, new and at rest, with more to it.
    pub fn with_extras(mut self, extras: Extras) -> AxisState {
        let travel = self.model.travel_um.1 - self.model.travel_um.0;
        self.piezo = extras.piezo.map(|p| PiezoState::new(p, self.profile.to, travel));
        self.extras = extras;
        self
    }

    /// What it is made of.
    pub fn model(&self) -> &AxisModel {
        &self.model
    }

    /// Starts a move; takes over from one under way at its present position.
    pub fn start(&mut self, now_s: f64, to_um: f64, velocity_um_s: f64) {
        self.start_with(now_s, to_um, velocity_um_s, self.model.acceleration_um_s2);
    }

    /// The same with an acceleration of the controller's choice, um/s^2, up to the axis's own.
    pub fn start_with(&mut self, now_s: f64, to_um: f64, velocity_um_s: f64, acceleration_um_s2: f64) {
        self.settle_load(now_s);
        let from = self.profile.position(now_s);
        // What is not a number is no place to go to.
        self.asked = if self.stuck || to_um.is_nan() {
            from
        } else {
            to_um.clamp(self.model.travel_um.0, self.model.travel_um.1)
        };
        let reached =
            if self.mishap.reach == 1.0 { self.asked } else { from + self.mishap.reach * (self.asked - from) };
        self.pretends = self.mishap.reach < 1.0;
        let to = self.mishap.bounded(from, reached);
        let velocity = velocity_um_s.max(1e-3).min(self.model.velocity_max_um_s);
        let acceleration = acceleration_um_s2.max(1e-3).min(self.model.acceleration_um_s2);
        self.profile = Profile { start_s: now_s, from, to, velocity, acceleration };
        self.slip.left = self.mishap.lost_um;
        self.moves += 1;
        self.motion_changed(now_s);
    }

    /// Is at a position (um) from now on, where a control loop places it step by step; within its travel, and nowhere
    /// else while it is stuck.
    pub fn follow(&mut self, now_s: f64, to_um: f64) {
        if self.stuck || to_um.is_nan() {
            return;
        }
        self.settle_load(now_s);
        let from = self.profile.position(now_s);
        self.asked = to_um.clamp(self.model.travel_um.0, self.model.travel_um.1);
        self.profile = Profile::at_rest(self.mishap.bounded(from, self.asked));
        self.settle_load(now_s);
        self.motion_changed(now_s);
    }

    /// Brakes at full deceleration.
    pub fn stop(&mut self, now_s: f64) {
        if !self.moving(now_s) {
            return;
        }
        self.settle_load(now_s);
        self.profile = self.profile.braking(now_s, self.model.travel_um);
        self.asked = self.profile.to;
        self.motion_changed(now_s);
    }

    /// Holds the axis where it is, or lets go of it, from a time on, which may lie back as far as the present move's start.
    pub fn hold(&mut self, since_s: f64, stuck: bool) {
        if stuck {
            let now_s = since_s.max(self.settled_s);
            self.settle_load(now_s);
            self.profile = Profile::at_rest(self.profile.position(now_s));
            self.motion_changed(now_s);
        }
        self.stuck = stuck;
    }

    /// Is so from a time on, which may lie back as far as the present move's start; the same again changes nothing.
    ///
    /// A move under way ends at a false limit if it can still brake for it, and brakes at once otherwise.
    pub fn suffer(&mut self, since_s: f64, mishap: Mishap) {
        if mishap == self.mishap {
            return;
        }
        let at_s = since_s.max(self.settled_s);
        self.settle_load(at_s);
        self.slip.left = if self.moving(at_s) { mishap.lost_um } else { 0.0 };
        self.mishap = mishap;
        let bound = mishap.bounded(self.profile.position(at_s), self.profile.to);
        if self.moving(at_s) && bound != self.profile.to {
            self.profile = self.profile.cut_at(at_s, bound);
        }
        self.motion_changed(at_s);
    }

    /// Whether the profile is under way.
    pub fn moving(&self, now_s: f64) -> bool {
        self.profile.moving(now_s)
    }

    /// Velocity of the profile, um/s.
    pub fn velocity(&self, now_s: f64) -> f64 {
        self.profile.velocity(now_s)
    }

    /// Seconds since the profile ended; infinite for an axis that never moved.
    pub fn rested_s(&self, now_s: f64) -> f64 {
        now_s - if self.profile.start_s == f64::NEG_INFINITY { f64::NEG_INFINITY } else { self.profile.end_s() }
    }

    /// Whether the ring-down has died out below the encoder's window.
    pub fn settled(&self, now_s: f64) -> bool {
        !self.moving(now_s) && self.ring(now_s).abs() < 0.02 && self.ring_envelope(now_s) < 0.02
    }

    /// Whether it says that it is where it was told to go: settled there, or anywhere if it ends moves short.
    pub fn arrived(&self, now_s: f64) -> bool {
        self.settled(now_s) && (self.pretends || self.profile.to == self.asked)
    }

    /// Way gone since power-on, to and fro, um.
    pub fn travelled(&self, now_s: f64) -> f64 {
        self.path + (self.profile.position(now_s) - self.slip.from).abs()
    }

    /// The limit switch that is active, true or false.
    pub fn limit(&self, now_s: f64) -> Option<Side> {
        self.mishap.limit(self.profile.position(now_s), self.model.travel_um)
    }

    /// Where the present move leads, um.
    pub fn target(&self) -> f64 {
        self.profile.to
    }

    /// Motor-side position, before encoder and play, um.
    fn drive(&self, now_s: f64) -> f64 {
        self.profile.position(now_s) + self.ring(now_s)
    }

    fn ring_envelope(&self, now_s: f64) -> f64 {
        let rested = self.rested_s(now_s);
        if rested < 0.0 || rested == f64::INFINITY || self.profile.length() == 0.0 {
            return 0.0;
        }
        let decay = self.model.settle_damping * TAU * self.model.settle_hz;
        self.model.ring_um.min(self.profile.length() / 4.0) * (-decay * rested).exp()
    }

    fn ring(&self, now_s: f64) -> f64 {
        let envelope = self.ring_envelope(now_s);
        if envelope < 1e-6 {
            return 0.0;
        }
        let phase = TAU * self.model.settle_hz * self.rested_s(now_s);
        envelope * phase.sin() * (self.profile.to - self.profile.from).signum()
    }

    /// What the encoder says, um.
    pub fn encoder(&self, now_s: f64) -> f64 {
        let step = self.model.encoder_um.max(1e-6);
        let seen = match self.extras.feedback {
            Feedback::Motor => self.drive(now_s),
            Feedback::Load => self.load(now_s),
        };
        (seen / step).round() * step
    }

    /// Where the load is: dragged along behind the play, with the repeatability of the present move, um.
    pub fn load(&self, now_s: f64) -> f64 {
        let dragged = self.dragged(now_s);
        let crept = self.piezo.as_ref().map_or(0.0, |p| p.crept(now_s));
        let repeats = self.model.repeatability_um * self.noise.normal(self.moves);
        dragged + self.ring(now_s) + repeats + self.screw_error(dragged) + crept
    }

    fn screw_error(&self, at: f64) -> f64 {
        let Some(screw) = self.extras.screw.filter(|s| s.period_um > 0.0) else { return 0.0 };
        let turn = at / screw.period_um + self.noise.child(SCREW).uniform(0);
        screw.peak_to_peak_um / 2.0 * (TAU * turn).sin()
    }

    /// The drive's motion as it reaches the play: less what slipped, um.
    fn gripped(&self, drive: f64) -> f64 {
        drive - self.slip.sum - self.mishap.missing(drive - self.slip.from, self.slip.left)
    }

    fn dragged(&self, now_s: f64) -> f64 {
        let half = self.model.play_um / 2.0;
        let gripped = self.gripped(self.profile.position(now_s));
        let moved = self.piezo.as_ref().map_or(gripped, |p| p.displaced(gripped));
        self.load.clamp(moved - half, moved + half)
    }

    /// Remembers what the motion so far, in one direction since it was last settled, has left behind.
    fn settle_load(&mut self, now_s: f64) {
        self.load = self.dragged(now_s);
        let drive = self.profile.position(now_s);
        let gone = drive - self.slip.from;
        self.path += gone.abs();
        self.slip.sum += self.mishap.missing(gone, self.slip.left);
        self.slip.left = (self.slip.left - gone.abs()).max(0.0);
        self.slip.from = drive;
        self.settled_s = now_s;
    }

    fn motion_changed(&mut self, now_s: f64) {
        let (now, to) = (self.gripped(self.profile.position(now_s)), self.gripped(self.profile.to));
        let end_s = if self.profile.start_s == f64::NEG_INFINITY { now_s } else { self.profile.end_s() };
        if let Some(piezo) = &mut self.piezo {
            piezo.settle(now_s, now, to, end_s);
        }
    }
}

/// Stream of the screw's phase.
const SCREW: u64 = 1;

#[cfg(test)]
mod tests;
