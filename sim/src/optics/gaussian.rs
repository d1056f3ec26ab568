//! Overlap of two elliptical Gaussian modes with lateral offset, gap and tilt together: the exact paraxial integral.
//!
//! Origin of the pieces: Marcuse, Bell Syst. Tech. J. 56 (1977) 703; Nemoto and Makimoto, Opt. Quantum Electron. 11
//! (1979) 447; Joyce and DeLoach, Appl. Opt. 23 (1984) 4187 (cross term of offset, tilt and gap).

use std::f64::consts::PI;

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

/// Natural logarithm of [`coupling`], nepers of power: it holds where the share itself is too small for a float.
pub fn coupling_nepers(wavelength_um: f64, index: f64, emitter: Mode, receiver: Mode, at: &Misalignment) -> f64 {
    let x = one_axis(wavelength_um, index, (emitter.x_um, receiver.x_um), at.dx_um, at.dz_um, at.thx_rad);
    let y = one_axis(wavelength_um, index, (emitter.y_um, receiver.y_um), at.dy_um, at.dz_um, at.thy_rad);
    x.0.ln() / 2.0 - x.1 + y.0.ln() / 2.0 - y.1
}

/// An axis' kappa and exponent. The cross term of offset and tilt is written into a square, so that nothing cancels
/// where a small mode shines far into a large one.
fn one_axis(wavelength_um: f64, index: f64, (w1, w2): (f64, f64), d: f64, z: f64, th: f64) -> (f64, f64) {
    let spread = wavelength_um * z / (PI * index);
    let sum = w1 * w1 + w2 * w2;
    let kappa = 4.0 * (w1 * w2).powi(2) / (sum * sum + spread * spread);
    let offset = ((d - th * z) / w1).powi(2) + (d / w2).powi(2);
    let tilt = (PI * index * th / wavelength_um).powi(2) * sum;
    (kappa, kappa * (offset + tilt) / 2.0)
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
}
