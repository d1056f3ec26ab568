//! The highest clean objective of a scene, which every search is measured against.

use super::scene::{Objective, Pose, Scene};

/// The highest clean objective at time 0 and a pose that has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// Where.
    pub pose: Pose,
    /// How high, dBm.
    pub dbm: f64,
}

/// Finds the truth: known where the scene is built around it, otherwise a deterministic climb from near it.
pub fn truth(scene: &Scene) -> Truth {
    let starts = scene.optics.starts();
    let Some(steps) = scene.optics.steps() else {
        return Truth { pose: starts[0], dbm: scene.clean_dbm(&starts[0], 0.0) };
    };
    let climb = |start: &Pose| match scene.nominal.objective {
        Objective::Mean => pattern(scene, start, &steps),
        Objective::Least => simplex(scene, start, &steps),
    };
    let tops = starts.iter().map(climb);
    tops.reduce(|a, b| if b.dbm > a.dbm { b } else { a }).expect("every scene has a start")
}

/// Smallest step of the pattern search, of the first one.
const FINEST: f64 = 1e-5;

/// Coordinate pattern search: the step halves when no axis gains.
fn pattern(scene: &Scene, start: &Pose, steps: &Pose) -> Truth {
    let mut best = Truth { pose: *start, dbm: scene.clean_dbm(start, 0.0) };
    let mut level = 1.0;
    while level > FINEST {
        let mut moved = false;
        for (i, step) in steps.iter().enumerate().take(scene.dimensions()) {
            for way in [1.0, -1.0] {
                let mut pose = best.pose;
                pose[i] += way * level * step;
                let dbm = scene.clean_dbm(&pose, 0.0);
                if dbm > best.dbm {
                    (best, moved) = (Truth { pose, dbm }, true);
                    break;
                }
            }
        }
        if !moved {
            level *= 0.5;
        }
    }
    best
}

/// Restarts of the simplex; each starts with half the steps of the one before.
const RESTARTS: u32 = 10;

/// Restarted Nelder-Mead, for the weakest of several channels, which has edges.
fn simplex(scene: &Scene, start: &Pose, steps: &Pose) -> Truth {
    let n = scene.dimensions();
    let at = |pose: Pose| Truth { pose, dbm: scene.clean_dbm(&pose, 0.0) };
    let mut best = at(*start);
    for restart in 0..RESTARTS {
        let share = 0.5f64.powi(i32::try_from(restart).expect("ten"));
        let mut s: Vec<Truth> = vec![best];
        for i in 0..n {
            let mut pose = best.pose;
            pose[i] += steps[i] * share;
            s.push(at(pose));
        }
        for _ in 0..250 * n / 2 {
            s.sort_by(|a, b| b.dbm.total_cmp(&a.dbm));
            if s[0].dbm - s[n].dbm < 1e-8 {
                break;
            }
            shrink_or_reflect(&mut s, n, &at);
        }
        s.sort_by(|a, b| b.dbm.total_cmp(&a.dbm));
        best = s[0];
    }
    best
}

fn shrink_or_reflect(s: &mut [Truth], n: usize, at: &impl Fn(Pose) -> Truth) {
    let worst = s[n];
    let mut middle = [0.0; 6];
    for t in &s[..n] {
        for (m, p) in middle.iter_mut().zip(t.pose) {
            #[expect(clippy::cast_precision_loss, reason = "six axes")]
            let part = p / n as f64;
            *m += part;
        }
    }
    let beyond = |k: f64| at(std::array::from_fn(|i| middle[i] + k * (middle[i] - worst.pose[i])));
    let reflected = beyond(1.0);
    if reflected.dbm > s[0].dbm {
        let expanded = beyond(2.0);
        s[n] = if expanded.dbm > reflected.dbm { expanded } else { reflected };
    } else if reflected.dbm > s[n - 1].dbm {
        s[n] = reflected;
    } else {
        let contracted = beyond(if reflected.dbm > worst.dbm { 0.5 } else { -0.5 });
        if contracted.dbm > reflected.dbm.max(worst.dbm) {
            s[n] = contracted;
            return;
        }
        let top = s[0].pose;
        for t in &mut s[1..] {
            *t = at(std::array::from_fn(|i| f64::midpoint(top[i], t.pose[i])));
        }
    }
}
