//! What a world asks of its optics, and the interfaces between two facets.

use std::fmt::Debug;
use std::rc::Rc;

use super::etalon::{Facets, airy, etalon_nepers};
use super::gaussian::{Misalignment, Mode, coupling_rolled};

/// A place where light passes from one part into another.
pub trait Interface: Debug {
    /// Share of the power coupled, 0 to 1, at a vacuum wavelength in um, with the receiver misaligned and turned about
    /// its axis by `roll_rad`. Any finite misalignment has an answer.
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64;

    /// The `dz_um` at which the parts touch, um; none where they never do.
    fn contact_dz_um(&self) -> Option<f64> {
        None
    }
}

impl<T: Interface + ?Sized> Interface for Rc<T> {
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        (**self).efficiency(wavelength_um, at, roll_rad)
    }

    fn contact_dz_um(&self) -> Option<f64> {
        (**self).contact_dz_um()
    }
}

impl<T: Interface + ?Sized> Interface for Box<T> {
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        (**self).efficiency(wavelength_um, at, roll_rad)
    }

    fn contact_dz_um(&self) -> Option<f64> {
        (**self).contact_dz_um()
    }
}

/// Share of power left by a loss in dB.
pub(super) fn share(loss_db: f64) -> f64 {
    10f64.powf(-loss_db / 10.0)
}

/// Two flat facets, each with its mode: fibre to fibre, fibre to chip, spot-size converters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FacetPair {
    /// The emitting mode, at its facet.
    pub emitter: Mode,
    /// The receiving mode, at its facet.
    pub receiver: Mode,
    /// The facets and the gap between them; with no round trips their reflection is lost and nothing ripples.
    pub facets: Facets,
    /// Loss that no alignment recovers (conversion, propagation), dB.
    pub excess_db: f64,
    /// Whether both sides maintain polarisation: then the squared cosine of the roll is coupled.
    pub polarised: bool,
}

impl FacetPair {
    /// A pair in air without reflection or excess loss.
    pub const fn between(emitter: Mode, receiver: Mode) -> FacetPair {
        let facets = Facets { reflectance: [0.0, 0.0], index: 1.0, round_trips: 0 };
        FacetPair { emitter, receiver, facets, excess_db: 0.0, polarised: false }
    }
}

impl Interface for FacetPair {
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        let turned = if self.polarised { roll_rad.cos().powi(2) } else { 1.0 };
        let [r1, r2] = self.facets.reflectance;
        let through = coupling_rolled(wavelength_um, self.facets.index, self.emitter, self.receiver, at, roll_rad);
        if self.facets.round_trips == 0 || r1 * r2 == 0.0 {
            return (1.0 - r1) * (1.0 - r2) * through * turned * share(self.excess_db);
        }
        // The ripple is that of the modes as they lie unturned: a roll changes it little, and the share exactly.
        let straight = Facets { round_trips: 0, ..self.facets };
        let nepers = |f: &Facets| etalon_nepers(wavelength_um, f, self.emitter, self.receiver, at);
        let ripple = nepers(&self.facets) - nepers(&straight);
        (1.0 - r1) * (1.0 - r2) * through * ripple.exp() * turned * share(self.excess_db)
    }

    fn contact_dz_um(&self) -> Option<f64> {
        Some(0.0)
    }
}

/// A lensed fibre before an edge coupler: its waist stands off the tip, and `dz_um` counts from the waist.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LensedFibre {
    /// The waist behind the tip.
    pub waist: Mode,
    /// The mode at the chip's facet.
    pub facet: Mode,
    /// From the tip to the waist, um: 5 to 15 for the usual ones.
    pub working_distance_um: f64,
    /// Power reflectance of the tip and of the facet, 0 to 1.
    pub reflectance: [f64; 2],
    /// Loss that no alignment recovers, dB.
    pub excess_db: f64,
}

impl Interface for LensedFibre {
    fn efficiency(&self, wavelength_um: f64, at: &Misalignment, roll_rad: f64) -> f64 {
        let coupled = |at: &Misalignment| coupling_rolled(wavelength_um, 1.0, self.facet, self.waist, at, roll_rad);
        let through = coupled(at);
        // The light that has gone to and fro comes in as if from twice the gap further, from a tip as flat as its middle.
        let gap = (at.dz_um + self.working_distance_um).max(0.0);
        let again = coupled(&Misalignment { dz_um: at.dz_um + 2.0 * gap, ..*at });
        let fade = if through > 0.0 { (again / through).min(1.0) } else { 0.0 };
        let [r1, r2] = self.reflectance;
        let faded = [r1 * fade, r2];
        let ripple = airy(wavelength_um, 1.0, faded, gap) / ((1.0 - faded[0]) * (1.0 - faded[1]));
        (1.0 - r1) * (1.0 - r2) * ripple * through * share(self.excess_db)
    }

    fn contact_dz_um(&self) -> Option<f64> {
        Some(-self.working_distance_um)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Loss against the aligned place, dB, at 1.55 um.
    pub(crate) fn drop_db(of: &dyn Interface, wavelength_um: f64, at: Misalignment) -> f64 {
        let peak = of.efficiency(wavelength_um, &Misalignment::default(), 0.0);
        -10.0 * (of.efficiency(wavelength_um, &at, 0.0) / peak).log10()
    }

    /// The tolerance table: wavelength, mode field diameters, and the offset, gap and tilt (deg) of 1 dB.
    #[test]
    fn tolerances_of_one_decibel_are_the_published_ones() {
        for (wavelength, mfd, (lateral, gap, tilt)) in [
            (1.55, [10.4, 10.4], (2.50, 55.8, 2.61)),
            (1.31, [9.2, 9.2], (2.21, 51.6, 2.49)),
            (1.55, [10.4, 8.0], (2.23, 44.4, 3.03)),
            (1.55, [3.0, 3.0], (0.72, 4.6, 9.0)),
            (0.85, [5.0, 5.0], (1.20, 23.5, 3.0)),
            (1.55, [150.0, 150.0], (36.0, 11600.0, 0.18)),
        ] {
            let pair = FacetPair::between(Mode::round(mfd[0] / 2.0), Mode::round(mfd[1] / 2.0));
            let drops = [
                Misalignment { dy_um: lateral, ..Default::default() },
                Misalignment { dz_um: gap, ..Default::default() },
                Misalignment { thx_rad: f64::to_radians(tilt), ..Default::default() },
            ]
            .map(|at| drop_db(&pair, wavelength, at));
            assert!(drops.iter().all(|d| (d - 1.0).abs() < 0.03), "{mfd:?}: {drops:?}");
        }
    }

    #[test]
    fn polarisation_and_excess_loss_multiply() {
        let plain = FacetPair::between(Mode::round(5.2), Mode::round(5.2));
        let pair = FacetPair { polarised: true, excess_db: 3.0, ..plain };
        let got = pair.efficiency(1.55, &Misalignment::default(), std::f64::consts::FRAC_PI_3);
        assert!((got / (0.25 * 10f64.powf(-0.3)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn rippling_facets_are_the_etalon_and_silent_ones_lose_their_reflection() {
        let at = Misalignment { dx_um: 1.0, dz_um: 10.4625, thx_rad: 0.003, ..Default::default() };
        let mut pair = FacetPair::between(Mode::round(5.2), Mode::round(5.2));
        pair.facets.reflectance = [0.033_088_96, 0.033_088_96];
        // Both from the table of etalon cases.
        assert!((pair.efficiency(1.55, &at, 0.0) - 0.893_263_183).abs() < 1e-9);
        pair.facets.round_trips = 5;
        assert!((pair.efficiency(1.55, &at, 0.0) - 0.839_609_390).abs() < 2e-9);
    }

    /// A 3 um lensed fibre before a bare silicon facet: ripple 0.95 dB at contact, less in the waist.
    #[test]
    fn a_lensed_fibre_is_best_in_its_waist_and_ripples_less_there_than_at_its_tip() {
        let mode = Mode::round(1.5);
        let fibre = LensedFibre {
            waist: mode,
            facet: mode,
            working_distance_um: 8.0,
            reflectance: [0.01, 0.3],
            excess_db: 1.5,
        };
        let swing = |dz: f64| {
            let (low, high) = (0..40).fold((f64::MAX, f64::MIN), |(low, high), k| {
                let dz_um = dz + 0.775 * f64::from(k) / 40.0;
                let at = Misalignment { dz_um, ..Default::default() };
                let no_ripple = LensedFibre { reflectance: [0.0, 0.0], ..fibre };
                let db = 10.0 * (fibre.efficiency(1.55, &at, 0.0) / no_ripple.efficiency(1.55, &at, 0.0)).log10();
                (low.min(db), high.max(db))
            });
            high - low
        };
        assert_eq!(fibre.contact_dz_um(), Some(-8.0));
        let (tip, waist) = (swing(-8.0), swing(-0.4));
        assert!((tip - 0.95).abs() < 0.05 && waist > 0.2 && waist < 0.8 * tip, "{tip} {waist}");
        let far = drop_db(&fibre, 1.55, Misalignment { dz_um: 20.0, ..Default::default() });
        assert!(far > 6.0, "{far}");
    }
}
