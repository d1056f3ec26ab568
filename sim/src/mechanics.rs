//! Motion of one stage axis as a closed form of time: trapezoidal profile, settling, play, encoder. Pure.

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

/// One trapezoidal move.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Profile {
    start_s: f64,
    from: f64,
    to: f64,
    velocity: f64,
    acceleration: f64,
}

impl Profile {
    fn at_rest(position: f64) -> Profile {
        Profile { start_s: f64::NEG_INFINITY, from: position, to: position, velocity: 1.0, acceleration: 1.0 }
    }

    fn length(&self) -> f64 {
        (self.to - self.from).abs()
    }

    /// Duration of each ramp, and of the whole.
    fn times(&self) -> (f64, f64) {
        let (d, v, a) = (self.length(), self.velocity, self.acceleration);
        if d <= v * v / a {
            let ramp = (d / a).sqrt();
            (ramp, 2.0 * ramp)
        } else {
            (v / a, d / v + v / a)
        }
    }

    fn end_s(&self) -> f64 {
        self.start_s + self.times().1
    }

    /// Distance gone and speed after `t` seconds.
    fn along(&self, t: f64) -> (f64, f64) {
        let (ramp, whole) = self.times();
        let peak = self.acceleration * ramp;
        if t <= 0.0 {
            (0.0, 0.0)
        } else if t < ramp {
            (self.acceleration * t * t / 2.0, self.acceleration * t)
        } else if t < whole - ramp {
            (peak * ramp / 2.0 + peak * (t - ramp), peak)
        } else if t < whole {
            let left = whole - t;
            (self.length() - self.acceleration * left * left / 2.0, self.acceleration * left)
        } else {
            (self.length(), 0.0)
        }
    }

    fn position(&self, now_s: f64) -> f64 {
        if self.start_s == f64::NEG_INFINITY || now_s >= self.end_s() {
            return self.to;
        }
        self.from + (self.to - self.from).signum() * self.along(now_s - self.start_s).0
    }

    fn velocity(&self, now_s: f64) -> f64 {
        if self.start_s == f64::NEG_INFINITY {
            return 0.0;
        }
        (self.to - self.from).signum() * self.along(now_s - self.start_s).1
    }
}

/// An axis in motion or at rest.
#[derive(Debug, Clone)]
pub struct AxisState {
    model: AxisModel,
    noise: Stream,
    profile: Profile,
    /// Where the load was dragged to when the present profile began.
    load: f64,
    moves: u64,
    /// Stuck where it is, whatever it is told.
    stuck: bool,
}

impl AxisState {
    /// An axis at rest at a position (um), its play somewhere within.
    pub fn new(model: AxisModel, noise: Stream, position_um: f64) -> AxisState {
        let load = position_um + model.play_um / 2.0 * noise.symmetric(u64::MAX);
        AxisState { model, noise, profile: Profile::at_rest(position_um), load, moves: 0, stuck: false }
    }

    /// What it is made of.
    pub fn model(&self) -> &AxisModel {
        &self.model
    }

    /// Starts a move; takes over from one under way at its present position.
    pub fn start(&mut self, now_s: f64, to_um: f64, velocity_um_s: f64) {
        self.settle_load(now_s);
        let from = self.profile.position(now_s);
        let to = if self.stuck { from } else { to_um.clamp(self.model.travel_um.0, self.model.travel_um.1) };
        let velocity = velocity_um_s.clamp(1e-3, self.model.velocity_max_um_s);
        self.profile = Profile { start_s: now_s, from, to, velocity, acceleration: self.model.acceleration_um_s2 };
        self.moves += 1;
    }

    /// Brakes at full deceleration.
    pub fn stop(&mut self, now_s: f64) {
        if !self.moving(now_s) {
            return;
        }
        let (at, velocity) = (self.profile.position(now_s), self.profile.velocity(now_s));
        let brake = velocity * velocity.abs() / (2.0 * self.model.acceleration_um_s2);
        self.settle_load(now_s);
        let to = (at + brake).clamp(self.model.travel_um.0, self.model.travel_um.1);
        // The braking half of a trapezoid whose peak is the present speed.
        let ramp = velocity.abs() / self.model.acceleration_um_s2;
        self.profile = Profile {
            start_s: now_s - ramp,
            from: to - 2.0 * brake,
            to,
            velocity: velocity.abs().max(1e-3),
            acceleration: self.model.acceleration_um_s2,
        };
        if !self.stuck && brake == 0.0 {
            self.profile = Profile::at_rest(at);
        }
    }

    /// Holds the axis where it is, or lets go of it.
    pub fn hold(&mut self, now_s: f64, stuck: bool) {
        if stuck {
            self.settle_load(now_s);
            self.profile = Profile::at_rest(self.profile.position(now_s));
        }
        self.stuck = stuck;
    }

    /// Whether the profile is under way.
    pub fn moving(&self, now_s: f64) -> bool {
        self.profile.start_s != f64::NEG_INFINITY && now_s < self.profile.end_s()
    }

    /// Seconds since the profile ended; infinite for an axis that never moved.
    pub fn rested_s(&self, now_s: f64) -> f64 {
        now_s - if self.profile.start_s == f64::NEG_INFINITY { f64::NEG_INFINITY } else { self.profile.end_s() }
    }

    /// Whether the ring-down has died out below the encoder's window.
    pub fn settled(&self, now_s: f64) -> bool {
        !self.moving(now_s) && self.ring(now_s).abs() < 0.02 && self.ring_envelope(now_s) < 0.02
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
        let decay = self.model.settle_damping * std::f64::consts::TAU * self.model.settle_hz;
        self.model.ring_um.min(self.profile.length() / 4.0) * (-decay * rested).exp()
    }

    fn ring(&self, now_s: f64) -> f64 {
        let envelope = self.ring_envelope(now_s);
        if envelope < 1e-6 {
            return 0.0;
        }
        let phase = std::f64::consts::TAU * self.model.settle_hz * self.rested_s(now_s);
        envelope * phase.sin() * (self.profile.to - self.profile.from).signum()
    }

    /// What the encoder says, um.
    pub fn encoder(&self, now_s: f64) -> f64 {
        let step = self.model.encoder_um.max(1e-6);
        (self.drive(now_s) / step).round() * step
    }

    /// Where the load is: dragged along behind the play, with the repeatability of the present move.
    pub fn load(&self, now_s: f64) -> f64 {
        let half = self.model.play_um / 2.0;
        let drive = self.profile.position(now_s);
        let dragged = self.load.clamp(drive - half, drive + half);
        dragged + self.ring(now_s) + self.model.repeatability_um * self.noise.normal(self.moves)
    }

    fn settle_load(&mut self, now_s: f64) {
        let half = self.model.play_um / 2.0;
        let drive = self.profile.position(now_s);
        self.load = self.load.clamp(drive - half, drive + half);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> AxisModel {
        AxisModel {
            travel_um: (-10_000.0, 10_000.0),
            reference_um: 0.0,
            acceleration_um_s2: 50_000.0,
            velocity_max_um_s: 10_000.0,
            play_um: 0.2,
            repeatability_um: 0.0,
            encoder_um: 0.01,
            settle_hz: 120.0,
            settle_damping: 0.2,
            ring_um: 0.3,
        }
    }

    fn axis() -> AxisState {
        AxisState::new(model(), Stream::new(1, "axis"), 0.0)
    }

    #[test]
    fn the_closed_form_agrees_with_integrating_the_speed() {
        for (distance, speed) in [(0.5, 5000.0), (100.0, 5000.0), (1000.0, 5000.0), (3000.0, 800.0)] {
            let mut axis = axis();
            axis.start(1.0, distance, speed);
            let mut t = 1.0;
            let mut x = 0.0;
            let dt = 1e-5;
            while axis.moving(t) {
                x += axis.profile.velocity(t + dt / 2.0) * dt;
                t += dt;
                assert!((axis.profile.position(t) - x).abs() < 0.06, "{distance}: {t} {x}");
            }
            assert!((x - distance).abs() < 0.06);
            let v2a = speed * speed / 50_000.0;
            let expected = if distance <= v2a {
                2.0 * (distance / 50_000.0f64).sqrt()
            } else {
                distance / speed + speed / 50_000.0
            };
            assert!((axis.profile.end_s() - 1.0 - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn the_load_follows_behind_the_play() {
        let mut axis = axis();
        axis.start(0.0, 10.0, 5000.0);
        assert!((axis.load(10.0) - 9.9).abs() < 1e-9);
        axis.start(10.0, 9.9, 5000.0);
        assert!((axis.load(20.0) - 9.9).abs() < 1e-9, "within the play nothing is dragged");
        axis.start(20.0, 5.0, 5000.0);
        assert!((axis.load(30.0) - 5.1).abs() < 1e-9);
        assert!((axis.encoder(30.0) - 5.0).abs() < 1e-9, "the encoder does not see the play");
    }

    #[test]
    fn it_rings_after_a_move_and_settles() {
        let mut axis = axis();
        axis.start(0.0, 500.0, 5000.0);
        let end = axis.profile.end_s();
        assert!(!axis.settled(end + 1e-3) && axis.settled(end + 0.1));
        assert!((axis.load(end + 0.5) - 499.9).abs() < 1e-3);
    }

    #[test]
    fn a_stop_brakes_at_full_deceleration_and_no_faster() {
        let mut axis = axis();
        axis.start(0.0, 5000.0, 5000.0);
        let (at, v) = (axis.profile.position(0.5), axis.profile.velocity(0.5));
        axis.stop(0.5);
        assert!((axis.profile.position(0.5) - at).abs() < 1e-6);
        assert!((axis.profile.velocity(0.5) - v).abs() < 1e-6);
        assert!((axis.profile.position(9.0) - (at + v * v / 100_000.0)).abs() < 1e-6);
        assert!(!axis.moving(0.5 + v / 50_000.0 + 1e-6));
    }

    #[test]
    fn limit_switches_end_the_travel_and_a_stuck_axis_stays() {
        let mut axis = axis();
        axis.start(0.0, 20_000.0, 5000.0);
        assert_eq!(axis.target(), 10_000.0);
        axis.hold(0.1, true);
        let at = axis.encoder(0.1);
        axis.start(0.2, 0.0, 5000.0);
        assert!((axis.encoder(9.0) - at).abs() < 0.02);
    }
}
