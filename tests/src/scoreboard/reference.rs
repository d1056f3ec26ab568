//! Figures to stand beside: those of a second implementation of the same methods, and what no method can undercut.

/// Figures that a second implementation of scenes and methods reached (36 000 trials; numbers 0 and up of each cell, in
/// condition `line` with a wait before each reading). Its `engine` is a strong model-based search, not ours.
const FIGURES: &str = include_str!("../../data/scoreboard_reference.csv");

/// Readings and seconds.
type Bound = (u32, f64);

/// Fewest readings and least time, s, by landscape: in std, and in line.
///
/// Readings: the least number for which the Bayesian Cramer-Rao bound of the expected loss, with probes placed by an
/// oracle, is below 0.0167 dB, and the one after the final move; for multimode and rugged by counting unknowns, for
/// firstlight by covering the area with discs of detection. Time: these readings, the moves between them, and one
/// fastest traverse of the true distance.
const BOUNDS: [(&str, Bound, Bound); 8] = [
    ("smf2d", (4, 0.08), (4, 0.33)),
    ("smf3d", (5, 0.13), (5, 0.45)),
    ("edge5d", (9, 0.54), (9, 1.15)),
    ("array8", (5, 0.25), (5, 0.57)),
    ("array8min", (5, 0.25), (5, 0.57)),
    ("firstlight", (24, 0.29), (24, 0.53)),
    ("multimode", (4, 0.10), (4, 0.34)),
    ("rugged", (6, 0.13), (6, 0.53)),
];

/// What no method can undercut: readings and seconds. Conditions `ideal` and `stress` share the bound of `std`.
pub fn bound(landscape: &str, condition: &str) -> Option<(u32, f64)> {
    let (_, std, line) = BOUNDS.iter().find(|(name, ..)| *name == landscape)?;
    Some(if condition == "line" { *line } else { *std })
}

/// One line of the figures. Shares are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Share with at most 0.05 dB left.
    pub ok05: f64,
    /// Readings, median.
    pub readings_med: f64,
    /// Simulated time, s, median.
    pub time_med_s: f64,
    /// Loss left, dB, median.
    pub resid_med_db: f64,
}

/// The figures of a method on a landscape, where there are any.
pub fn figure(landscape: &str, condition: &str, method: &str) -> Option<Figure> {
    let cells = |line: &'static str| line.split(',').collect::<Vec<_>>();
    let mut lines = FIGURES.lines().map(cells);
    let header = lines.next()?;
    let row = lines.find(|r| r.starts_with(&[landscape, condition, method]))?;
    let of = |name: &str| -> Option<f64> { row.get(header.iter().position(|h| *h == name)?)?.parse().ok() };
    Some(Figure {
        ok05: of("ok05")?,
        readings_med: of("readings_med")?,
        time_med_s: of("time_med_s")?,
        resid_med_db: of("resid_med_db")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::landscape;

    #[test]
    fn every_landscape_has_a_bound_and_figures() {
        for name in landscape::NAMES {
            for condition in ["std", "line"] {
                assert!(bound(name, condition).is_some());
                for method in ["engine", "hillclimb", "neldermead"] {
                    assert!(figure(name, condition, method).is_some(), "{name} {condition} {method}");
                }
            }
        }
        let hill = figure("smf2d", "std", "hillclimb").unwrap();
        assert_eq!((hill.ok05, hill.readings_med), (0.995, 33.0));
        assert_eq!(figure("foreign:tails2d", "std", "engine"), None);
    }
}
