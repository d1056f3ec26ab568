//! A fibre over a grating coupler: the beam leaves the chip at an angle that turns with the wavelength.

use super::gaussian::{Misalignment, Mode, coupling_rolled};
use super::interface::{Interface, share};

/// A grating coupler and the fibre above it. Misalignments are in the chip's frame (x along the waveguide, z off the
/// chip) from the fibre's place on the beam at the centre wavelength; `thx_rad` adds to the angle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GratingCoupler {
    /// The grating's mode, across its beam.
    pub grating: Mode,
    /// The fibre's mode.
    pub fibre: Mode,
    /// The beam's angle from the vertical at the centre wavelength, rad: 8 to 10 degrees for the usual ones.
    pub angle_rad: f64,
    /// Height of the fibre's end over the grating, um: 15 to 25.
    pub height_um: f64,
    /// Centre wavelength, um.
    pub centre_um: f64,
    /// Grating period, um.
    pub period_um: f64,
    /// Change of the waveguide's effective index with the wavelength, 1/um (negative).
    pub index_slope_per_um: f64,
    /// Index above the chip.
    pub index: f64,
    /// Loss with everything aligned, dB: 2 to 5.
    pub insertion_loss_db: f64,
}

impl GratingCoupler {
    /// The usual coupler of 220 nm silicon for 1.55 um: 10 um mode, 10 degrees, 4 dB; the index slope follows from an
    /// effective index of 2.6 and a group index of 4.
    pub fn silicon() -> GratingCoupler {
        GratingCoupler {
            grating: Mode { x_um: 4.6, y_um: 5.4 },
            fibre: Mode::round(5.2),
            angle_rad: 10f64.to_radians(),
            height_um: 20.0,
            centre_um: 1.55,
            period_um: 0.63,
            index_slope_per_um: -0.9,
            index: 1.0,
            insertion_loss_db: 4.0,
        }
    }

    /// The beam's angle from the vertical at a wavelength in um, rad: sin(angle) = (n_eff - wavelength / period) / n
    /// (Taillaert et al., Jpn. J. Appl. Phys. 45 (2006) 6071).
    pub fn beam_angle_rad(&self, wavelength_um: f64) -> f64 {
        let slope = (self.index_slope_per_um - 1.0 / self.period_um) / self.index;
        // Beyond grazing nothing leaves the grating; the angle stays there, far from any fibre.
        (self.angle_rad.sin() + slope * (wavelength_um - self.centre_um)).clamp(-1.0, 1.0).asin()
    }
}

impl Interface for GratingCoupler {
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        let angle = self.beam_angle_rad(wavelength_um);
        let x = self.height_um * self.angle_rad.tan() + at.dx_um;
        let z = self.height_um + at.dz_um;
        let (sin, cos) = angle.sin_cos();
        let from_beam = Misalignment {
            dx_um: x * cos - z * sin,
            dy_um: at.dy_um,
            dz_um: x * sin + z * cos,
            thx_rad: self.angle_rad + at.thx_rad - angle,
            thy_rad: at.thy_rad,
        };
        let coupled = |at: &Misalignment, roll: f64| {
            coupling_rolled(wavelength_um, self.index, self.grating, self.fibre, at, roll)
        };
        // The insertion loss holds what the modes and the height lose when aligned.
        let length = self.height_um / self.angle_rad.cos();
        let aligned = coupled(&Misalignment { dz_um: length, ..Default::default() }, 0.0);
        share(self.insertion_loss_db) * coupled(&from_beam, roll_rad) / aligned
    }

    fn contact_dz_um(&self) -> Option<f64> {
        Some(-self.height_um)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::interface::tests::drop_db;

    #[test]
    fn the_aligned_coupler_has_its_insertion_loss() {
        let coupler = GratingCoupler::silicon();
        let loss = -10.0 * coupler.efficiency(1.55, &Misalignment::default(), 0.0).log10();
        assert!((loss - 4.0).abs() < 1e-9);
    }

    /// 1 dB: about 2.5 um sideways, and a bandwidth of 20 to 40 nm.
    #[test]
    fn tolerance_and_bandwidth_are_the_published_ones() {
        let coupler = GratingCoupler::silicon();
        let side = drop_db(&coupler, 1.55, Misalignment { dx_um: 2.5, ..Default::default() });
        assert!((side - 1.0).abs() < 0.15, "{side}");
        let loss =
            |nm: f64| -10.0 * coupler.efficiency(1.55 + nm / 1000.0, &Misalignment::default(), 0.0).log10() - 4.0;
        let edge = |sign: f64| (1..80).map(f64::from).find(|nm| loss(sign * nm) > 1.0).unwrap();
        let bandwidth = edge(1.0) + edge(-1.0);
        assert!((20.0..=40.0).contains(&bandwidth), "{bandwidth}");
    }

    /// The peak walks by tan(10 deg) = 0.18 um for each um of height, and a colder colour by a tilt.
    #[test]
    fn the_peak_walks_with_height_and_turns_with_wavelength() {
        let coupler = GratingCoupler::silicon();
        let at = |dx_um: f64, dz_um: f64, thx_rad: f64| Misalignment { dx_um, dz_um, thx_rad, ..Default::default() };
        let best = |f: &dyn Fn(f64) -> f64| {
            let score = |k: &i32| (f(f64::from(*k) / 1000.0) * 1e9) as u64;
            f64::from((-4000..4000).max_by_key(score).unwrap()) / 1000.0
        };
        let walk = best(&|dx| coupler.efficiency(1.55, &at(dx, 10.0, 0.0), 0.0));
        assert!((walk / 10.0 - 0.18).abs() < 0.01, "{walk}");
        let tilt = best(&|th| coupler.efficiency(1.56, &at(0.0, 0.0, th), 0.0));
        let turn = coupler.beam_angle_rad(1.56) - coupler.angle_rad;
        // The turned beam also lands beside the fibre, so that the best tilt is not all of the turn.
        assert!(turn < -0.02 && (tilt / turn - 1.0).abs() < 0.3, "{tilt} {turn}");
    }
}
