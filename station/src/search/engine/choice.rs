//! Where the next reading is taken: the place that buys most expected loss for its time, among places about the optimum.

use super::Engine;
use super::design::{Foreseen, Optimum, Outlook, reach};
use super::fit::Fit;
use super::model::{AXES, Pose, at};
use super::plan::Beliefs;
use super::play::Stands;

/// Combinations of axes that a choice looks at.
const COMBINATIONS: usize = 60;

/// Cost of another belief that is not worth telling apart, dB.
const NEGLIGIBLE_DB: f64 = 1e-5;

/// A place to measure next.
struct Choice {
    command: Pose,
    /// From the optimum, in widths.
    offset: Pose,
    score: f64,
}

impl Engine<'_> {
    /// The place that buys most.
    pub(super) fn choose(&self, beliefs: &Beliefs, optimum: &Optimum, now: &Stands, expected: f64) -> Pose {
        let fit = &beliefs.fits[0];
        let widened = self.widened(fit);
        let others = self.elsewhere(beliefs, optimum);
        let outlooks: Vec<Outlook<'_>> =
            beliefs.fits.iter().map(|f| Outlook::new(&self.model, &self.data.noise, f, optimum)).collect();
        let floor = 0.3 * self.setup.tolerance_db;
        let score = |offset: &Pose| {
            let target = self.optical(fit, &optimum.pose, offset);
            let (stands, command) = reach(now, &target, &fit.p, &self.data);
            let seconds = self.seconds(&command) + self.travel(&command, &optimum.pose);
            let t_s = self.t_s() + seconds;
            let reading = outlooks[0].foresee(&stands, t_s);
            let apart = |(outlook, cost): (&Outlook<'_>, &f64)| {
                if *cost > NEGLIGIBLE_DB { cost * overlap(&reading, &outlook.foresee(&stands, t_s)) } else { 0.0 }
            };
            // What other beliefs still cost: as much as cannot be told apart.
            let confused: f64 = outlooks[1..].iter().zip(&others).map(apart).sum();
            let left = outlooks[0].after(&reading) * widened + confused;
            Choice { command, offset: *offset, score: (expected / left.max(floor)).ln() / seconds }
        };
        let better = |a: Choice, b: Choice| if b.score > a.score { b } else { a };
        let mut best = self.offsets().iter().map(score).reduce(better).expect("some offsets");
        for step in [0.3, 0.15] {
            for k in self.axes.clone() {
                for sign in [-step, step] {
                    let mut offset = best.offset;
                    offset[k] += sign;
                    best = better(best, score(&offset));
                }
            }
        }
        best.command
    }

    /// Offsets from the optimum to try, in the optical frame, in units of the axes' widths.
    fn offsets(&self) -> Vec<Pose> {
        let mut list = Vec::new();
        let d = self.axes.len();
        let radii: &[f64] = &[0.2, 0.4, 0.6];
        if let [a, b] = self.axes[..] {
            for turn in 0..16 {
                let (s, c) = (f64::from(turn) * std::f64::consts::PI / 8.0).sin_cos();
                for r in radii {
                    let mut o = [0.0; AXES];
                    (o[a], o[b]) = (r * c, r * s);
                    list.push(o);
                }
            }
            return list;
        }
        if let Some((_, period)) = self.setup.fringe {
            for share in [-0.37, -0.25, -0.12, 0.12, 0.25, 0.37] {
                let mut o = [0.0; AXES];
                o[2] = share * period / self.setup.width[2];
                list.push(o);
            }
        }
        // Combinations of signs (and rests) of the axes, spread evenly.
        let all = 3usize.pow(u32::try_from(d).expect("six axes"));
        let stride = (all / COMBINATIONS).max(1) | 1;
        for step in 0..all.min(COMBINATIONS) {
            let code = 1 + (step * stride * 7) % (all - 1);
            let mut o = [0.0; AXES];
            let mut rest = code;
            let mut moved = 0.0_f64;
            for k in &self.axes {
                o[*k] = [0.0, 1.0, -1.0][rest % 3];
                moved += if rest.is_multiple_of(3) { 0.0 } else { 1.0 };
                rest /= 3;
            }
            for r in [0.25, 0.5] {
                list.push(o.map(|v| v * r / moved.sqrt()));
            }
        }
        list
    }

    /// A stage pose that is offset from the optimum in the optical frame, so that turns do not carry the tip away.
    fn optical(&self, fit: &Fit, from: &Pose, offset: &Pose) -> Pose {
        let p = &fit.p;
        let mut to: Pose = std::array::from_fn(|k| from[k] + offset[k] * self.setup.width[k]);
        let (a, b) = ((to[3] - from[3]).to_radians(), (to[4] - from[4]).to_radians());
        let z = to[2] - from[2];
        if let Some(second) = &self.model.second {
            second.follow(p, from, &mut to);
        }
        let (ex, ey) = (-p[at::PIVOT + 2] * b - p[at::WALK_X] * z, -p[at::PIVOT + 2] * a - p[at::WALK_Y] * z);
        let (s, c) = p[at::ROTATION].sin_cos();
        to[0] += c * ex + s * ey;
        to[1] += -s * ex + c * ey;
        if self.axes.contains(&2) {
            to[2] += p[at::PIVOT] * b + p[at::PIVOT + 1] * a;
        }
        to
    }

    /// Seconds of a move to a command and a reading there.
    pub(super) fn seconds(&self, command: &Pose) -> f64 {
        let costs = self.probe.info().costs;
        costs.move_s + costs.reading_s + costs.lag_s * 0.7 + self.travel(&self.command, command)
    }

    /// Seconds of travel between commands.
    fn travel(&self, from: &Pose, to: &Pose) -> f64 {
        let info = self.probe.info();
        let time = |k: usize| {
            let Some(axis) = self.index[k].map(|i| &info.axes[i]) else { return 0.0 };
            let d = (to[k] - from[k]).abs();
            let (v, a) = (axis.speed, axis.acceleration);
            if d <= v * v / a { 2.0 * (d / a).sqrt() } else { d / v + v / a }
        };
        (0..AXES).map(time).fold(0.0, f64::max)
    }
}

/// How much two predictions of a reading overlap: the Bhattacharyya coefficient of the most telling channel alone.
fn overlap(mine: &Foreseen, theirs: &Foreseen) -> f64 {
    let of = |i: usize| {
        let (a, b, gap) = (mine.spread[(i, i)], theirs.spread[(i, i)], theirs.shown[i] - mine.shown[i]);
        (2.0 * (a * b).sqrt() / (a + b)).sqrt() * (-gap * gap / (4.0 * (a + b))).exp()
    };
    (0..mine.shown.len()).map(of).fold(1.0, f64::min)
}
