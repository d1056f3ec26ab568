//! Overlap of two elliptical Gaussian modes with lateral offset, gap and tilt together: the exact paraxial integral.
//!
//! Origin of the pieces: Marcuse, Bell Syst. Tech. J. 56 (1977) 703; Nemoto and Makimoto, Opt. Quantum Electron. 11
//! (1979) 447; Joyce and DeLoach, Appl. Opt. 23 (1984) 4187 (cross term of offset, tilt and gap).

use std::f64::consts::PI;

use nalgebra::{Complex, Matrix2, Rotation2, Vector2};

/// A mode's 1/e field radii (1/e^2 of intensity) in its waist, um.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    /// Radius along x, um.
    pub x_um: f64,
    /// Radius along y, um.
    pub y_um: f64,
}

impl Mode {
    /// A circular mode, um.
    pub const fn round(radius_um: f64) -> Mode {
        Mode { x_um: radius_um, y_um: radius_um }
    }
}

/// Where the receiving mode's waist lies as seen from the emitting one's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Misalignment {
    /// Offset along x, um.
    pub dx_um: f64,
    /// Offset along y, um.
    pub dy_um: f64,
    /// Distance along the light, um; negative where the receiver stands before the waist.
    pub dz_um: f64,
    /// Tilt of the receiver's axis towards +x, rad.
    pub thx_rad: f64,
    /// Tilt of the receiver's axis towards +y, rad.
    pub thy_rad: f64,
}

/// Share of the power coupled, 0 to 1, at a vacuum wavelength in um in a medium of the index given.
pub fn coupling(wavelength_um: f64, index: f64, emitter: Mode, receiver: Mode, at: &Misalignment) -> f64 {
    coupling_nepers(wavelength_um, index, emitter, receiver, at).exp()
}

/// [`coupling`] with the receiver's mode turned about its axis by `roll_rad`, from +x towards +y.
pub fn coupling_rolled(
    wavelength_um: f64,
    index: f64,
    emitter: Mode,
    receiver: Mode,
    at: &Misalignment,
    roll_rad: f64,
) -> f64 {
    // Exactly: a round mode does not turn, and a mode that is not turned needs no matrices.
    #[expect(clippy::float_cmp, reason = "equal radii are a case, not a measurement")]
    if roll_rad == 0.0 || receiver.x_um == receiver.y_um {
        return coupling(wavelength_um, index, emitter, receiver, at);
    }
    let k = 2.0 * PI * index / wavelength_um;
    let real = |v: f64| Complex::new(v, 0.0);
    // Field exponents: the emitter's spread over the gap (A), the receiver's in its turned axes (B).
    let q = [emitter.x_um, emitter.y_um].map(|w| Complex::new(k * w * w / 2.0, at.dz_um));
    let a = Matrix2::new(q[0].inv() * (k / 2.0), real(0.0), real(0.0), q[1].inv() * (k / 2.0));
    let turn = Rotation2::new(roll_rad).into_inner();
    let b = turn * Matrix2::new(receiver.x_um.powi(-2), 0.0, 0.0, receiver.y_um.powi(-2)) * turn.transpose();
    let d = Vector2::new(real(at.dx_um), real(at.dy_um));
    let slope = a * d * real(2.0) + Vector2::new(Complex::new(0.0, k * at.thx_rad), Complex::new(0.0, k * at.thy_rad));
    let sum = a + b.map(real);
    let determinant = sum.determinant();
    let adjugate = Matrix2::new(sum.m22, -sum.m12, -sum.m21, sum.m11);
    let exponent = (slope.transpose() * adjugate * slope)[0] / (determinant * 4.0) - (d.transpose() * a * d)[0];
    let waists = emitter.x_um * emitter.y_um * receiver.x_um * receiver.y_um;
    let spread = (q[0].re * q[1].re) / (q[0].norm() * q[1].norm());
    4.0 * spread / (waists * determinant.norm()) * (2.0 * exponent.re).exp()
}

/// Natural logarithm of [`coupling`], nepers of power: it holds where the share itself is too small for a float.
pub fn coupling_nepers(wavelength_um: f64, index: f64, emitter: Mode, receiver: Mode, at: &Misalignment) -> f64 {
    one_axis(wavelength_um, index, (emitter.x_um, receiver.x_um), at.dx_um, at.dz_um, at.thx_rad)
        + one_axis(wavelength_um, index, (emitter.y_um, receiver.y_um), at.dy_um, at.dz_um, at.thy_rad)
}

/// One axis' share, nepers. The cross term of offset and tilt is written into a square, so that nothing cancels where a
/// small mode shines far into a large one.
pub(super) fn one_axis(wavelength_um: f64, index: f64, (w1, w2): (f64, f64), d: f64, z: f64, th: f64) -> f64 {
    let spread = wavelength_um * z / (PI * index);
    let sum = w1 * w1 + w2 * w2;
    let kappa = 4.0 * (w1 * w2).powi(2) / (sum * sum + spread * spread);
    let offset = ((d - th * z) / w1).powi(2) + (d / w2).powi(2);
    let tilt = (PI * index * th / wavelength_um).powi(2) * sum;
    kappa.ln() / 2.0 - kappa * (offset + tilt) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_agrees_with_the_table_of_overlaps() {
        let table = include_str!("../../tests/data/physics_cases.csv");
        let mut rows = table.lines();
        let header: Vec<&str> = rows.next().unwrap().split(',').collect();
        let mut checked = 0;
        for row in rows.filter(|r| !r.is_empty()) {
            // Notes hold commas, numbers do not: columns are counted from the right.
            let cells: Vec<&str> = row.split(',').collect();
            let cell = |name: &str| -> f64 {
                let from_right = header.len() - header.iter().position(|h| *h == name).unwrap();
                cells[cells.len() - from_right].parse().unwrap()
            };
            let emitter = Mode { x_um: cell("w1x_um"), y_um: cell("w1y_um") };
            let receiver = Mode { x_um: cell("w2x_um"), y_um: cell("w2y_um") };
            let at = Misalignment {
                dx_um: cell("dx_um"),
                dy_um: cell("dy_um"),
                dz_um: cell("dz_um"),
                thx_rad: cell("thx_rad"),
                thy_rad: cell("thy_rad"),
            };
            let eta = coupling(cell("lambda_um"), cell("n_gap"), emitter, receiver, &at);
            let expected = cell("eta_closed");
            // The table has 13 digits; its last is half a unit uncertain.
            assert!((eta / expected - 1.0).abs() < 1e-12, "{row}: {eta:e}");
            checked += 1;
        }
        assert_eq!(checked, 40);
    }

    #[test]
    fn a_tilt_towards_the_offset_recovers_light_over_a_gap() {
        let loss = |th: f64| {
            let at = Misalignment { dx_um: 3.0, dz_um: 60.0, thx_rad: th.to_radians(), ..Default::default() };
            -10.0 * coupling(1.55, 1.0, Mode::round(5.2), Mode::round(5.2), &at).log10()
        };
        assert!((loss(2.0) - 2.197).abs() < 1e-3 && (loss(-2.0) - 3.750).abs() < 1e-3);
    }

    #[test]
    fn a_quarter_turn_swaps_the_radii_and_half_a_turn_changes_nothing() {
        let (emitter, receiver) = (Mode { x_um: 2.0, y_um: 1.3 }, Mode { x_um: 1.6, y_um: 1.1 });
        let at = Misalignment { dx_um: 0.7, dy_um: -0.4, dz_um: 5.0, thx_rad: 0.05, thy_rad: 0.08 };
        let rolled = |roll: f64| coupling_rolled(1.55, 1.2, emitter, receiver, &at, roll);
        let swapped = Mode { x_um: receiver.y_um, y_um: receiver.x_um };
        assert!((rolled(PI / 2.0) / coupling(1.55, 1.2, emitter, swapped, &at) - 1.0).abs() < 1e-12);
        assert!((rolled(PI) / coupling(1.55, 1.2, emitter, receiver, &at) - 1.0).abs() < 1e-12);
        assert!((rolled(1e-9) / rolled(0.0) - 1.0).abs() < 1e-8);
    }

    /// Two equal ellipses turned against each other, by hand.
    #[test]
    fn turned_ellipses_lose_what_their_shapes_say() {
        let (mode, roll) = (Mode { x_um: 3.0, y_um: 1.0 }, 0.6f64);
        // det(A + B) of diag(1/9, 1) and itself turned: 4 det A + sin^2 (1/9 - 1)^2.
        let determinant = 4.0 / 9.0 + roll.sin().powi(2) * (8.0f64 / 9.0).powi(2);
        let expect = 4.0 / (9.0 * determinant);
        let got = coupling_rolled(1.55, 1.0, mode, mode, &Misalignment::default(), roll);
        assert!((got / expect - 1.0).abs() < 1e-13);
    }
}
