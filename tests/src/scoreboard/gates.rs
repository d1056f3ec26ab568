//! Regression gates: what the engine must not fall below. They are floors with room for chance in 200 trials, no goals.

use super::row::Row;

/// Conditions that the gates are run in.
pub const CONDITIONS: [&str; 2] = ["std", "line"];

/// One gate on one row.
struct Gate {
    landscape: &'static str,
    condition: &'static str,
    /// Least share with at most 0.05 dB left.
    ok05: f64,
    /// Most readings, median.
    readings: f64,
    /// Most simulated time, s, median.
    time_s: f64,
}

const NONE: f64 = f64::INFINITY;

const GATES: [Gate; 6] = [
    Gate { landscape: "smf2d", condition: "std", ok05: 0.99, readings: 8.0, time_s: NONE },
    Gate { landscape: "array8", condition: "std", ok05: 0.97, readings: 10.0, time_s: NONE },
    Gate { landscape: "firstlight", condition: "std", ok05: 0.0, readings: NONE, time_s: 0.9 },
    Gate { landscape: "edge5d", condition: "std", ok05: 0.94, readings: NONE, time_s: NONE },
    Gate { landscape: "rugged", condition: "std", ok05: 0.97, readings: NONE, time_s: NONE },
    Gate { landscape: "smf2d", condition: "line", ok05: 0.99, readings: NONE, time_s: 0.7 },
];

/// The gates that these rows of the engine break, in words.
pub fn broken(rows: &[Row]) -> Vec<String> {
    let mut broken = Vec::new();
    for row in rows {
        let name = format!("{} ({})", row.landscape, row.condition);
        if row.below_best > 0.0 {
            let share = 100.0 * row.below_best;
            broken.push(format!(
                "{name}: {share:.1} % end more than 0.05 dB below the pose of their best reading, none may"
            ));
        }
        if row.invalid > 0 {
            broken.push(format!("{name}: {} asked for a path that the stage cannot follow, none may", row.invalid));
        }
        let mine = |g: &&Gate| (g.landscape, g.condition) == (row.landscape.as_str(), row.condition.as_str());
        let Some(gate) = GATES.iter().find(mine) else { continue };
        if row.ok05 < gate.ok05 {
            let (got, want) = (100.0 * row.ok05, 100.0 * gate.ok05);
            broken.push(format!("{name}: {got:.1} % come within 0.05 dB, {want:.0} % must"));
        }
        if row.readings_med > gate.readings {
            broken.push(format!("{name}: {} readings in the median, {} at most", row.readings_med, gate.readings));
        }
        if row.time_med_s > gate.time_s {
            broken.push(format!("{name}: {:.2} s in the median, {} at most", row.time_med_s, gate.time_s));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::trial::Outcome;

    fn outcome(residual_db: f64) -> Outcome {
        Outcome {
            trial: 0,
            residual_db,
            below_best_db: 0.0,
            readings: 5,
            time_s: 0.5,
            off_centre_um: 0.1,
            path_um: 20.0,
            bound95_db: Some(0.03),
            search_s: 0.01,
            decisions: 5,
            invalid: false,
            error: None,
        }
    }

    #[test]
    fn each_gate_breaks_on_what_it_guards() {
        let good = vec![outcome(0.01); 10];
        let row = |condition, o: &[Outcome]| [Row::new("smf2d", condition, "engine", o)];
        assert_eq!(broken(&row("std", &good)), Vec::<String>::new());
        let with = |change: fn(&mut Outcome)| {
            let mut all = good.clone();
            all.iter_mut().for_each(change);
            all
        };
        for (condition, change) in [
            ("std", (|o: &mut Outcome| o.residual_db = 0.06) as fn(&mut Outcome)),
            ("std", |o| o.readings = 9),
            ("line", |o| o.time_s = 0.71),
            ("line", |o| o.below_best_db = 0.051),
            ("std", |o| o.below_best_db = 0.051),
        ] {
            assert_eq!(broken(&row(condition, &with(change))).len(), 1);
        }
        // A trial with such a path has failed, too.
        assert_eq!(broken(&row("std", &with(|o| o.invalid = true))).len(), 2);
    }
}
