//! Hysteresis and creep of an open-loop piezo: play operators (Prandtl and Ishlinskii) for the one, relaxations spaced
//! evenly in the logarithm of time for the other. Pure; bounded memory, exact superposition of any past.

/// Play operators in the hysteresis.
const PLAYS: usize = 16;
/// Relaxations in the creep: two a decade from 0.1 s to 3 days.
const RELAXATIONS: usize = 13;
/// Decades of time between two of them.
const SPACING: f64 = 0.5;
/// Time at which a step counts as done, s: the datum of the law dL(t) = dL(0.1 s) (1 + g log10(t / 0.1 s)).
const DATUM_S: f64 = 0.1;
/// exp of Euler's constant: a dense row of relaxations from T on grows as log(t / T) + 0.5772.
const E_GAMMA: f64 = 1.781_072_417_990_198;

/// An open-loop piezo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piezo {
    /// Opening of the loop in mid travel, driven over all of it, share of the travel: 0.10 to 0.15 for PZT; small loops
    /// are narrower in proportion to their size (Rayleigh).
    pub hysteresis: f64,
    /// Growth of a step per decade of time after 0.1 s, share of the step: 0.01 to 0.02 for PZT.
    pub creep: f64,
}

/// What a piezo remembers.
#[derive(Debug, Clone)]
pub(super) struct PiezoState {
    piezo: Piezo,
    /// Position at power-on, where nothing is owed, um.
    home: f64,
    travel: f64,
    plays: [f64; PLAYS],
    relaxed: [f64; RELAXATIONS],
    ramp: Ramp,
}

/// The input of the creep: a straight line in time, then rest.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    begin_s: f64,
    end_s: f64,
    from: f64,
    to: f64,
}

impl Ramp {
    fn at(&self, now_s: f64) -> f64 {
        if now_s >= self.end_s {
            return self.to;
        }
        self.from + (self.to - self.from) * ((now_s - self.begin_s) / (self.end_s - self.begin_s)).max(0.0)
    }
}

impl PiezoState {
    /// At rest for long at a position, um, within a travel of that length, um.
    pub(super) fn new(piezo: Piezo, home: f64, travel: f64) -> PiezoState {
        let ramp = Ramp { begin_s: f64::NEG_INFINITY, end_s: f64::NEG_INFINITY, from: home, to: home };
        PiezoState { piezo, home, travel, plays: [home; PLAYS], relaxed: [home; RELAXATIONS], ramp }
    }

    /// Half width of a play operator, um: evenly up to a quarter of the travel, so that all have opened in mid travel.
    fn width(&self, k: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "below twenty")]
        let share = (k + 1) as f64 / PLAYS as f64;
        self.travel / 4.0 * share
    }

    /// Weight of each play operator; twice the widths weighted add up to the opening.
    fn weight(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "below twenty")]
        let n = PLAYS as f64;
        4.0 * self.piezo.hysteresis / (n + 1.0)
    }

    /// Displacement for a drive that has gone to `drive` in one direction since it was last settled, um.
    pub(super) fn displaced(&self, drive: f64) -> f64 {
        let weight = self.weight();
        let mut sum = 0.0;
        let mut straight = 1.0;
        for (k, at) in self.plays.iter().enumerate() {
            let r = self.width(k);
            sum += weight * (at.clamp(drive - r, drive + r) - self.home);
            straight -= weight * (1.0 - 2.0 * r / self.travel);
        }
        self.home + straight * (drive - self.home) + sum
    }

    /// What creep adds at a time, um.
    pub(super) fn crept(&self, now_s: f64) -> f64 {
        let sum: f64 = (0..RELAXATIONS).map(|k| self.relaxation(k, now_s) - self.home).sum();
        self.piezo.creep * SPACING * sum
    }

    /// Remembers where the drive has come to and takes on its next motion: to `to` by `end_s`.
    pub(super) fn settle(&mut self, now_s: f64, drive: f64, to: f64, end_s: f64) {
        for k in 0..PLAYS {
            let r = self.width(k);
            self.plays[k] = self.plays[k].clamp(drive - r, drive + r);
        }
        let relaxed = std::array::from_fn(|k| self.relaxation(k, now_s));
        self.relaxed = relaxed;
        self.ramp = Ramp { begin_s: now_s, end_s: end_s.max(now_s), from: drive, to };
    }

    /// A first-order lag behind the ramp, exactly.
    fn relaxation(&self, k: usize, now_s: f64) -> f64 {
        if self.ramp.begin_s == f64::NEG_INFINITY {
            return self.relaxed[k];
        }
        #[expect(clippy::cast_precision_loss, reason = "below twenty")]
        let tau = DATUM_S * E_GAMMA * 10f64.powf(SPACING * (k as f64 + 0.5));
        let ramped = now_s.min(self.ramp.end_s) - self.ramp.begin_s;
        let mut x = self.relaxed[k];
        if ramped > 0.0 {
            let slope = (self.ramp.to - self.ramp.from) / (self.ramp.end_s - self.ramp.begin_s);
            let behind = x - self.ramp.from + slope * tau;
            x = self.ramp.at(self.ramp.begin_s + ramped) - slope * tau + behind * (-ramped / tau).exp();
        }
        let rested = (now_s - self.ramp.end_s).max(0.0);
        self.ramp.to + (x - self.ramp.to) * (-rested / tau).exp()
    }
}
