//! One row of the scoreboard: what many trials of a method on a landscape come to.

use serde::Serialize;

use super::trial::Outcome;

/// A row. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Landscape.
    pub landscape: String,
    /// Condition.
    pub condition: String,
    /// Method.
    pub method: String,
    /// Trials.
    pub trials: usize,
    /// Share with at most 0.05 dB left.
    pub ok05: f64,
    /// Share with at most 0.10 dB left.
    pub ok10: f64,
    /// Share with at most 3 dB left.
    pub found: f64,
    /// Readings, median.
    pub readings_med: f64,
    /// Readings, 95th percentile.
    pub readings_p95: f64,
    /// Simulated time, s, median.
    pub time_med_s: f64,
    /// Simulated time, s, 95th percentile.
    pub time_p95_s: f64,
    /// Loss left, dB, median.
    pub resid_med_db: f64,
    /// Loss left, dB, 95th percentile.
    pub resid_p95_db: f64,
    /// Distance from the light's centre, um, median.
    pub lateral_err_med_um: f64,
    /// Distance from the light's centre, um, 95th percentile.
    pub lateral_err_p95_um: f64,
    /// Share of the trials whose real loss left is within the bound that the method states; null where it states none.
    pub bound_covered: Option<f64>,
    /// Time of this machine between two decisions, ms.
    pub cpu_ms_per_decision: f64,
    /// Share that ends more than 0.05 dB below the pose of its own best reading.
    pub below_best: f64,
    /// Trials with a path that the stage cannot follow.
    pub invalid: usize,
    /// Way of the linear axes, um, median.
    pub path_med_um: f64,
    /// Searches that ended in an error, and the first one's words.
    pub errors: usize,
    /// The first of these.
    pub first_error: Option<String>,
    /// Trials that left more than 0.05 dB, the first of them.
    pub failed: Vec<u64>,
}

/// Failed trials named in a row.
const FAILED_MAX: usize = 20;

/// A pose this far below that of the best reading was the wrong one to end at, dB.
const BELOW_BEST_DB: f64 = 0.05;

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A quantile, linear between the values beside it; 0 of no values.
pub fn quantile(values: impl Iterator<Item = f64>, q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let place = q * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the list")]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

impl Row {
    /// Sums up.
    pub fn new(landscape: &str, condition: &str, method: &str, outcomes: &[Outcome]) -> Row {
        let n = outcomes.len();
        let count = |f: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|o| f(o)).count();
        let of = |f: fn(&Outcome) -> f64, q: f64| quantile(outcomes.iter().map(f), q);
        #[expect(clippy::cast_precision_loss, reason = "at most the budget")]
        let readings = |o: &Outcome| o.readings as f64;
        let stated = count(&|o| o.bound95_db.is_some());
        let covered = count(&|o| o.bound95_db.is_some_and(|b| o.residual_db <= b));
        let decisions: usize = outcomes.iter().map(|o| o.decisions).sum();
        #[expect(clippy::cast_precision_loss, reason = "millions")]
        let per_decision = outcomes.iter().map(|o| o.search_s).sum::<f64>() * 1e3 / decisions.max(1) as f64;
        Row {
            landscape: landscape.to_string(),
            condition: condition.to_string(),
            method: method.to_string(),
            trials: n,
            ok05: share(count(&|o| o.within(0.05)), n),
            ok10: share(count(&|o| o.within(0.10)), n),
            found: share(count(&|o| o.within(3.0)), n),
            readings_med: of(readings, 0.5),
            readings_p95: of(readings, 0.95),
            time_med_s: of(|o| o.time_s, 0.5),
            time_p95_s: of(|o| o.time_s, 0.95),
            resid_med_db: of(|o| o.residual_db, 0.5),
            resid_p95_db: of(|o| o.residual_db, 0.95),
            lateral_err_med_um: of(|o| o.off_centre_um, 0.5),
            lateral_err_p95_um: of(|o| o.off_centre_um, 0.95),
            bound_covered: (stated > 0).then(|| share(covered, stated)),
            cpu_ms_per_decision: per_decision,
            below_best: share(count(&|o| o.below_best_db > BELOW_BEST_DB), n),
            invalid: count(&|o| o.invalid),
            path_med_um: of(|o| o.path_um, 0.5),
            errors: count(&|o| o.error.is_some()),
            first_error: outcomes.iter().find_map(|o| o.error.clone()),
            failed: outcomes.iter().filter(|o| !o.within(0.05)).map(|o| o.trial).take(FAILED_MAX).collect(),
        }
    }
}
