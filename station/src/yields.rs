//! Yield as counts and what they prove: first-pass and final, with Wilson intervals.
//!
//! Pure functions of attempts; knows no files. A valid run is one with a verdict on the unit, pass or fail: errors and aborted
//! runs say nothing about it, are counted beside it, and the unit is run again.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::{Cause, Outcome};

/// One run of a unit, in the order of the runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The unit's part number.
    pub part_number: String,
    /// The unit's serial number.
    pub serial_number: String,
    /// Seed of the simulated world: the same serial number under another seed is another unit.
    pub seed: Option<String>,
    /// How it ended; `None` of a run still open.
    pub outcome: Option<Outcome>,
    /// Whose doing.
    pub cause: Option<Cause>,
}

/// A share of units with its 95 % Wilson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// Units that passed.
    pub passed: u64,
    /// Units with a verdict.
    pub units: u64,
    /// `passed / units`; `None` of no units.
    #[serde(rename = "yield")]
    pub share: Option<f64>,
    /// Lower end of the interval.
    pub lower: Option<f64>,
    /// Upper end of the interval.
    pub upper: Option<f64>,
}

impl Share {
    /// `passed` of `units`.
    pub fn of(passed: u64, units: u64) -> Share {
        let interval = wilson(passed, units);
        Share {
            passed,
            units,
            share: interval.map(|_| passed as f64 / units as f64),
            lower: interval.map(|i| i.0),
            upper: interval.map(|i| i.1),
        }
    }
}

/// Runs by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// Passed.
    pub pass: u64,
    /// Failed.
    pub fail: u64,
    /// Not the unit's doing.
    pub error: u64,
    /// Stopped or cut off.
    pub aborted: u64,
    /// Still open.
    pub unfinished: u64,
}

/// Yield of some units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Yield {
    /// Units whose first valid run passed.
    pub first_pass: Share,
    /// Units whose last valid run passed.
    #[serde(rename = "final")]
    pub last_pass: Share,
    /// Units seen that have no valid run yet.
    pub units_without_verdict: u64,
    /// Units with more than one valid run.
    pub units_retested: u64,
    /// All runs by how they ended.
    pub runs: RunCounts,
    /// Runs that did not pass, by cause.
    pub causes: BTreeMap<&'static str, u64>,
}

/// Yield of all attempts.
pub fn of(attempts: &[Attempt]) -> Yield {
    let mut units: BTreeMap<(&str, &str, Option<&str>), Vec<Outcome>> = BTreeMap::new();
    let mut runs = RunCounts::default();
    let mut causes = BTreeMap::new();
    for attempt in attempts {
        let unit = (attempt.part_number.as_str(), attempt.serial_number.as_str(), attempt.seed.as_deref());
        let valid = units.entry(unit).or_default();
        match attempt.outcome {
            Some(Outcome::Pass) => runs.pass += 1,
            Some(Outcome::Fail) => runs.fail += 1,
            Some(Outcome::Error) => runs.error += 1,
            Some(Outcome::Aborted) => runs.aborted += 1,
            None => runs.unfinished += 1,
        }
        valid.extend(attempt.outcome.filter(|o| matches!(o, Outcome::Pass | Outcome::Fail)));
        if let Some(cause) = attempt.cause {
            *causes.entry(cause.as_str()).or_insert(0) += 1;
        }
    }
    let count = |test: &dyn Fn(&[Outcome]) -> bool| units.values().filter(|v| test(v)).count() as u64;
    let judged = count(&|v| !v.is_empty());
    Yield {
        first_pass: Share::of(count(&|v| v.first() == Some(&Outcome::Pass)), judged),
        last_pass: Share::of(count(&|v| v.last() == Some(&Outcome::Pass)), judged),
        units_without_verdict: count(&|v| v.is_empty()),
        units_retested: count(&|v| v.len() > 1),
        runs,
        causes,
    }
}

/// Yield of each part number.
pub fn by_part_number(attempts: &[Attempt]) -> BTreeMap<String, Yield> {
    let mut parts: BTreeMap<String, Vec<Attempt>> = BTreeMap::new();
    for attempt in attempts {
        parts.entry(attempt.part_number.clone()).or_default().push(attempt.clone());
    }
    parts.into_iter().map(|(part, attempts)| (part, of(&attempts))).collect()
}

/// Two-sided 95 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % Wilson interval of a share of `units`, both ends from 0 to 1; `None` of no units. Newcombe, Stat. Med. 17:857
/// (1998), method 3.
pub fn wilson(passed: u64, units: u64) -> Option<(f64, f64)> {
    if units == 0 || passed > units {
        return None;
    }
    let (n, p) = (units as f64, passed as f64 / units as f64);
    let z2n = Z * Z / n;
    let middle = p + z2n / 2.0;
    let half = Z * (p * (1.0 - p) / n + z2n / (4.0 * n)).sqrt();
    // At the ends the sums cancel exactly only on paper.
    let lower = if passed == 0 { 0.0 } else { (middle - half) / (1.0 + z2n) };
    let upper = if passed == units { 1.0 } else { (middle + half) / (1.0 + z2n) };
    Some((lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_are_newcombes() {
        // Newcombe 1998, table I, to the four digits printed there; then others computed with an independent program.
        let table = [
            (81, 263, 0.2553, 0.3662, 5e-5),
            (15, 148, 0.0624, 0.1605, 5e-5),
            (0, 20, 0.0, 0.1611, 5e-5),
            (1, 29, 0.0061, 0.1718, 5e-5),
            (490, 500, 0.9636, 0.9891, 5e-5),
            (4600, 5000, 0.912_154, 0.927_201, 5e-7),
            (0, 10, 0.0, 0.2775, 5e-5),
            (20, 20, 0.8389, 1.0, 5e-5),
        ];
        for (passed, units, lower, upper, within) in table {
            let (l, u) = wilson(passed, units).unwrap();
            assert!((l - lower).abs() <= within && (u - upper).abs() <= within, "{passed}/{units}: {l} {u}");
        }
        assert_eq!(wilson(0, 0), None);
    }

    fn history(runs: &[(&str, Outcome)]) -> Yield {
        let attempts: Vec<Attempt> = runs
            .iter()
            .map(|(serial, outcome)| Attempt {
                part_number: "P".into(),
                serial_number: (*serial).into(),
                seed: None,
                outcome: Some(*outcome),
                cause: match outcome {
                    Outcome::Pass => None,
                    Outcome::Fail => Some(Cause::Part),
                    _ => Some(Cause::Station),
                },
            })
            .collect();
        of(&attempts)
    }

    #[test]
    fn a_unit_that_fails_first_and_passes_later_is_in_the_final_yield_alone() {
        let got = history(&[("A", Outcome::Fail), ("B", Outcome::Pass), ("A", Outcome::Pass)]);
        assert_eq!((got.first_pass.passed, got.first_pass.units), (1, 2));
        assert_eq!((got.last_pass.passed, got.last_pass.units, got.units_retested), (2, 2, 1));
    }

    #[test]
    fn errors_and_aborted_runs_are_no_attempts_of_the_unit() {
        let got =
            history(&[("A", Outcome::Error), ("A", Outcome::Aborted), ("A", Outcome::Pass), ("B", Outcome::Error)]);
        assert_eq!((got.first_pass.passed, got.first_pass.units), (1, 1));
        assert_eq!((got.units_without_verdict, got.runs.error, got.runs.aborted), (1, 2, 1));
        assert_eq!(got.causes["station"], 3);
    }

    #[test]
    fn a_unit_that_passes_first_and_fails_later_is_lost_in_the_final_yield() {
        let got = history(&[("A", Outcome::Pass), ("A", Outcome::Fail)]);
        assert_eq!((got.first_pass.passed, got.last_pass.passed), (1, 0));
    }

    #[test]
    fn the_same_serial_number_under_another_seed_is_another_unit() {
        let attempt = |seed: &str| Attempt {
            part_number: "P".into(),
            serial_number: "SIM-000001".into(),
            seed: Some(seed.into()),
            outcome: Some(Outcome::Pass),
            cause: None,
        };
        assert_eq!(of(&[attempt("1"), attempt("2"), attempt("1")]).first_pass.units, 2);
    }

    #[test]
    fn no_units_have_no_yield() {
        assert_eq!(of(&[]).first_pass.share, None);
    }
}
