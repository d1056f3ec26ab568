//! Parabolas through levels in dB, which are what Gaussian peaks look like.

use nalgebra::{DMatrix, DVector};

/// Vertex of the parabola through points of one line (place, level); `None` where it has no highest point.
pub(super) fn line(points: &[(f64, f64)]) -> Option<f64> {
    let c = fit(
        points.len(),
        3,
        |k, column| {
            let x = points[k].0;
            [1.0, x, x * x][column]
        },
        |k| points[k].1,
    )?;
    (c[2] < 0.0).then(|| -c[1] / (2.0 * c[2]))
}

/// Vertex of the paraboloid through points of a plane, without a mixed term: two Gaussians across each other.
pub(super) fn plane(points: &[([f64; 2], f64)]) -> Option<[f64; 2]> {
    let c = fit(
        points.len(),
        5,
        |k, column| {
            let [x, y] = points[k].0;
            [1.0, x, y, x * x, y * y][column]
        },
        |k| points[k].1,
    )?;
    (c[3] < 0.0 && c[4] < 0.0).then(|| [-c[1] / (2.0 * c[3]), -c[2] / (2.0 * c[4])])
}

fn fit(
    rows: usize,
    columns: usize,
    term: impl Fn(usize, usize) -> f64,
    value: impl Fn(usize) -> f64,
) -> Option<DVector<f64>> {
    if rows < columns {
        return None;
    }
    let a = DMatrix::from_fn(rows, columns, term);
    let b = DVector::from_fn(rows, |k, _| value(k));
    let normal = a.transpose() * &a;
    normal.cholesky().map(|c| c.solve(&(a.transpose() * b)))
}
