//! Light that reaches the detector by other ways than the mode: cladding, substrate, the next waveguides.

use super::gaussian::Misalignment;
use super::interface::{Interface, share};

/// A wide pedestal: cladding modes (62 um, -30 to -50 dB) or light of the substrate (-25 to -45 dB).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Halo {
    /// Share at its middle, dB (positive: below the launched power).
    pub down_db: f64,
    /// Radius at which it has fallen to 1/e, um.
    pub radius_um: f64,
    /// Power of the squared radius in its exponent: 1 is a Gaussian, 4 a plateau with an edge.
    pub steepness: i32,
}

impl Halo {
    /// Cladding modes of a fibre of 125 um.
    pub const fn cladding(down_db: f64) -> Halo {
        Halo { down_db, radius_um: 62.5, steepness: 4 }
    }

    /// Share at an offset, 0 to 1.
    pub fn share(&self, dx_um: f64, dy_um: f64) -> f64 {
        let squared = (dx_um * dx_um + dy_um * dy_um) / (self.radius_um * self.radius_um);
        share(self.down_db) * (-squared.powi(self.steepness)).exp()
    }
}

/// The waveguides beside the right one, along x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbours {
    /// Distance between waveguides, um.
    pub pitch_um: f64,
    /// How many lie on the side of -x and of +x.
    pub count: [u32; 2],
    /// How far their light is below that of the right one, dB.
    pub down_db: f64,
}

/// An interface and the stray light about it; powers add.
#[derive(Debug, Clone, PartialEq)]
pub struct WithStray<I> {
    /// The interface.
    pub inner: I,
    /// Its pedestals.
    pub halos: Vec<Halo>,
    /// Its neighbours.
    pub neighbours: Option<Neighbours>,
}

impl<I: Interface> Interface for WithStray<I> {
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        let mut sum = self.inner.efficiency(wavelength_um, at, roll_rad);
        sum += self.halos.iter().map(|h| h.share(at.dx_um, at.dy_um)).sum::<f64>();
        if let Some(next) = &self.neighbours {
            let sides = (1..=next.count[0]).map(|k| -f64::from(k)).chain((1..=next.count[1]).map(f64::from));
            let other = |k: f64| {
                let at = Misalignment { dx_um: at.dx_um - k * next.pitch_um, ..*at };
                self.inner.efficiency(wavelength_um, &at, roll_rad)
            };
            sum += share(next.down_db) * sides.map(other).sum::<f64>();
        }
        sum.min(1.0)
    }

    fn contact_dz_um(&self) -> Option<f64> {
        self.inner.contact_dz_um()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::{FacetPair, Mode};

    #[test]
    fn the_cladding_shows_out_to_its_rim_and_no_further() {
        let pair = FacetPair::between(Mode::round(5.2), Mode::round(5.2));
        let fibre = WithStray { inner: pair, halos: vec![Halo::cladding(40.0)], neighbours: None };
        let db = |x: f64| 10.0 * fibre.efficiency(1.55, &Misalignment { dx_um: x, ..Default::default() }, 0.0).log10();
        assert!(db(0.0).abs() < 1e-3);
        assert!((db(30.0) + 40.0).abs() < 0.1 && (db(-40.0) + 40.0).abs() < 0.2, "{}", db(30.0));
        assert!(db(62.5) < -44.0 && db(100.0) < -120.0);
    }

    #[test]
    fn neighbours_are_peaks_at_the_pitch_as_many_as_there_are() {
        let pair = FacetPair::between(Mode::round(5.2), Mode::round(5.2));
        let neighbours = Neighbours { pitch_um: 127.0, count: [0, 2], down_db: 3.0 };
        let chip = WithStray { inner: pair, halos: vec![], neighbours: Some(neighbours) };
        let at = |x: f64| chip.efficiency(1.55, &Misalignment { dx_um: x, ..Default::default() }, 0.0);
        for (x, expect) in [(0.0, 1.0), (127.0, 0.501), (254.0, 0.501), (381.0, 0.0), (-127.0, 0.0)] {
            assert!((at(x) - expect).abs() < 1e-3, "{x}: {}", at(x));
        }
    }
}
