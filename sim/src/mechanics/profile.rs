//! A trapezoidal move along one coordinate as a closed form of time. Pure; knows no axis.

/// One trapezoidal move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Profile {
    pub(super) start_s: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) velocity: f64,
    pub(super) acceleration: f64,
}

impl Profile {
    /// Resting for ever.
    pub(super) fn at_rest(position: f64) -> Profile {
        Profile { start_s: f64::NEG_INFINITY, from: position, to: position, velocity: 1.0, acceleration: 1.0 }
    }

    pub(super) fn length(&self) -> f64 {
        (self.to - self.from).abs()
    }

    /// Duration of each ramp, and of the whole.
    pub(super) fn times(&self) -> (f64, f64) {
        let (d, v, a) = (self.length(), self.velocity, self.acceleration);
        if d <= v * v / a {
            let ramp = (d / a).sqrt();
            (ramp, 2.0 * ramp)
        } else {
            (v / a, d / v + v / a)
        }
    }

    pub(super) fn end_s(&self) -> f64 {
        self.start_s + self.times().1
    }

    /// Distance gone and speed after `t` seconds.
    pub(super) fn along(&self, t: f64) -> (f64, f64) {
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

    pub(super) fn position(&self, now_s: f64) -> f64 {
        if self.start_s == f64::NEG_INFINITY || now_s >= self.end_s() {
            return self.to;
        }
        self.from + (self.to - self.from).signum() * self.along(now_s - self.start_s).0
    }

    pub(super) fn velocity(&self, now_s: f64) -> f64 {
        if self.start_s == f64::NEG_INFINITY {
            return 0.0;
        }
        (self.to - self.from).signum() * self.along(now_s - self.start_s).1
    }

    /// Whether it is under way.
    pub(super) fn moving(&self, now_s: f64) -> bool {
        self.start_s != f64::NEG_INFINITY && now_s < self.end_s()
    }

    /// Braking at full deceleration from here, to rest within bounds.
    pub(super) fn braking(&self, now_s: f64, (low, high): (f64, f64)) -> Profile {
        let (at, velocity) = (self.position(now_s), self.velocity(now_s));
        let brake = velocity * velocity.abs() / (2.0 * self.acceleration);
        if brake == 0.0 {
            return Profile::at_rest(at);
        }
        let to = (at + brake).clamp(low, high);
        // The braking half of a trapezoid whose peak is the present speed.
        let ramp = velocity.abs() / self.acceleration;
        let velocity = velocity.abs().max(1e-3);
        Profile { start_s: now_s - ramp, from: to - 2.0 * brake, to, velocity, acceleration: self.acceleration }
    }

    /// The same move ending sooner, or braking where it is too late for that.
    pub(super) fn cut_at(&self, now_s: f64, to: f64) -> Profile {
        let shorter = Profile { to, ..*self };
        let same = (shorter.position(now_s) - self.position(now_s)).abs() < 1e-9
            && (shorter.velocity(now_s) - self.velocity(now_s)).abs() < 1e-9;
        if same { shorter } else { self.braking(now_s, (f64::NEG_INFINITY, f64::INFINITY)) }
    }
}
