//! Where the maximum of a spot lies, from samples over an area. Pure.

use nalgebra::{Matrix5, Vector5};

/// A reading with where the axes were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) at: (f64, f64),
    pub(super) value: f64,
}

/// Centre of gravity; none of nothing.
pub(super) fn centre_of_gravity(samples: &[Sample]) -> Option<(f64, f64)> {
    let weight: f64 = samples.iter().map(|s| s.value).sum();
    let moment = |pick: fn(&Sample) -> f64| samples.iter().map(|s| s.value * pick(s)).sum::<f64>() / weight;
    (weight > 0.0).then(|| (moment(|s| s.at.0), moment(|s| s.at.1)))
}

/// Centre of a Gaussian spot with axes along x and y: least squares on the logarithm, weighted by the square of the signal
/// (Guo, IEEE Signal Process. Mag. 28 (2011) 134). None unless it is a hill.
pub(super) fn gauss(samples: &[Sample]) -> Option<(f64, f64)> {
    let good: Vec<&Sample> = samples.iter().filter(|s| s.value > 0.0).collect();
    let (low, high) = good.iter().fold(((f64::MAX, f64::MAX), (f64::MIN, f64::MIN)), |(l, h), s| {
        ((l.0.min(s.at.0), l.1.min(s.at.1)), (h.0.max(s.at.0), h.1.max(s.at.1)))
    });
    // In units of the spot itself the normal equations are well conditioned.
    let half = ((high.0 - low.0) / 2.0, (high.1 - low.1) / 2.0);
    let middle = (f64::midpoint(low.0, high.0), f64::midpoint(low.1, high.1));
    if good.len() < 6 || half.0 <= 0.0 || half.1 <= 0.0 {
        return None;
    }
    let mut normal = Matrix5::zeros();
    let mut right = Vector5::zeros();
    for s in good {
        let (x, y) = ((s.at.0 - middle.0) / half.0, (s.at.1 - middle.1) / half.1);
        let row = Vector5::new(1.0, x, y, x * x, y * y);
        let weight = s.value * s.value;
        normal += row * row.transpose() * weight;
        right += row * (weight * s.value.ln());
    }
    let c = normal.lu().solve(&right)?;
    if c[3] >= 0.0 || c[4] >= 0.0 {
        return None;
    }
    Some((middle.0 - half.0 * c[1] / (2.0 * c[3]), middle.1 - half.1 * c[2] / (2.0 * c[4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(value: impl Fn(f64, f64) -> f64) -> Vec<Sample> {
        let grid = |k: i32| f64::from(k) * 0.5;
        let points = (-10..=10).flat_map(|i| (-10..=10).map(move |j| (grid(i), grid(j))));
        points.map(|at| Sample { at, value: value(at.0, at.1) }).collect()
    }

    #[test]
    fn a_gaussian_spot_is_found_exactly() {
        let samples = spot(|x, y| 3.0 * (-2.0 * ((x - 0.7) / 3.0).powi(2) - 2.0 * ((y + 1.1) / 2.0).powi(2)).exp());
        let (x, y) = gauss(&samples).unwrap();
        assert!((x - 0.7).abs() < 1e-9 && (y + 1.1).abs() < 1e-9, "{x} {y}");
    }

    #[test]
    fn a_spot_without_a_top_or_extent_is_none() {
        assert_eq!(gauss(&spot(|x, y| (x * x + y * y).exp())), None);
        assert_eq!(gauss(&[Sample { at: (1.0, 1.0), value: 1.0 }; 9]), None);
        assert_eq!(gauss(&[]), None);
        assert_eq!(centre_of_gravity(&[]), None);
        assert_eq!(centre_of_gravity(&spot(|_, _| 0.0)), None);
    }

    #[test]
    fn a_symmetric_spot_balances_at_its_middle() {
        let (x, y) = centre_of_gravity(&spot(|x, y| (-x * x - y * y).exp())).unwrap();
        assert!(x.abs() < 1e-12 && y.abs() < 1e-12);
    }
}
