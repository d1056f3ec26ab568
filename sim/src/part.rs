//! The parts: what each unit is, drawn from the world's seed and the unit's number. The truth, never seen by a protocol.

use crate::noise::Stream;
use crate::optics::{Misalignment, Mode, coupling};

/// How far parts of a product spread; uniform between plus and minus unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Focus off the drawing across the light, um.
    pub focus_xy_um: f64,
    /// Focus off the drawing along the light, um.
    pub focus_z_um: f64,
    /// Mode radii, relative.
    pub mode_rel: f64,
    /// Tilt of the receptacle against the beam, degrees.
    pub tilt_deg: f64,
    /// Least and greatest loss of the lens, dB.
    pub lens_loss_db: (f64, f64),
    /// Where the parts touch, um along the light, and its spread.
    pub contact_um: (f64, f64),
    /// Share of units with a defect, where defects are drawn.
    pub defect_share: f64,
}

/// What is wrong with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// More loss than the limit allows: dirt, a bad lens.
    ExcessLoss,
    /// No light at all: a broken fibre.
    Dark,
    /// The focus lies far off to the side.
    FarOff,
}

impl Defect {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Defect::ExcessLoss => "excess_loss",
            Defect::Dark => "dark",
            Defect::FarOff => "far_off",
        }
    }
}

/// One unit as it really is.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Number of the unit, from 1.
    pub number: u64,
    /// Focus of the beam in the optical frame, um.
    pub focus_um: [f64; 3],
    /// Mode of the beam in its focus.
    pub beam: Mode,
    /// Mode of the fibre.
    pub fibre: Mode,
    /// Tilt of the fibre against the beam, rad.
    pub tilt_rad: [f64; 2],
    /// Loss of lens and defects, dB.
    pub loss_db: f64,
    /// Where the parts touch, um along the light.
    pub contact_um: f64,
    /// What is wrong with it, if anything.
    pub defect: Option<Defect>,
}

/// Loss that stands for no light, dB.
const DARK_DB: f64 = 90.0;

impl Part {
    /// Draws a unit.
    pub fn draw(seed: u64, number: u64, spread: &Spread, mode_um: f64, defects: bool) -> Part {
        let draw = Stream::new(seed, "parts").child(number);
        let off = |i: u64, half: f64| half * draw.symmetric(i);
        let radius = |i: u64| mode_um * (1.0 + off(i, spread.mode_rel));
        let (low, high) = spread.lens_loss_db;
        let mut part = Part {
            number,
            focus_um: [off(0, spread.focus_xy_um), off(1, spread.focus_xy_um), off(2, spread.focus_z_um)],
            beam: Mode { x_um: radius(3), y_um: radius(4) },
            fibre: Mode::round(radius(5)),
            tilt_rad: [off(6, spread.tilt_deg).to_radians(), off(7, spread.tilt_deg).to_radians()],
            loss_db: low + (high - low) * draw.uniform(8),
            contact_um: spread.contact_um.0 + off(9, spread.contact_um.1),
            defect: None,
        };
        if defects && draw.uniform(10) < spread.defect_share {
            part.spoil(draw);
        }
        part
    }

    fn spoil(&mut self, draw: Stream) {
        let which = draw.uniform(11);
        let how_much = draw.uniform(12);
        if which < 0.6 {
            self.defect = Some(Defect::ExcessLoss);
            self.loss_db += 1.6 + 4.0 * how_much;
        } else if which < 0.8 {
            self.defect = Some(Defect::Dark);
            self.loss_db = DARK_DB;
        } else {
            self.defect = Some(Defect::FarOff);
            self.focus_um[0] = 220.0 + 150.0 * how_much;
        }
    }

    /// Loss from the launched power to the fibre with the fibre's end at a place in the optical frame, dB.
    pub fn loss_at(&self, wavelength_um: f64, at_um: [f64; 3]) -> f64 {
        let at = Misalignment {
            dx_um: at_um[0] - self.focus_um[0],
            dy_um: at_um[1] - self.focus_um[1],
            dz_um: at_um[2] - self.focus_um[2],
            thx_rad: self.tilt_rad[0],
            thy_rad: self.tilt_rad[1],
        };
        let eta = coupling(wavelength_um, 1.0, self.beam, self.fibre, &at);
        self.loss_db - 10.0 * eta.max(1e-30).log10()
    }

    /// The least loss the unit can have, dB: at its focus, where offset and gap are none.
    pub fn best_loss_db(&self, wavelength_um: f64) -> f64 {
        self.loss_at(wavelength_um, self.focus_um)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread() -> Spread {
        crate::config::Preset::Receptacle.spread()
    }

    #[test]
    fn good_units_are_good_and_differ() {
        let losses: Vec<f64> = (1..200).map(|n| Part::draw(1, n, &spread(), 4.6, false).best_loss_db(1.31)).collect();
        assert!(losses.iter().all(|l| (0.2..1.2).contains(l)), "{losses:?}");
        assert!(losses.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn defects_are_drawn_only_when_asked_for_and_are_of_every_kind() {
        let parts: Vec<Part> = (1..400).map(|n| Part::draw(1, n, &spread(), 4.6, true)).collect();
        for kind in [Defect::ExcessLoss, Defect::Dark, Defect::FarOff] {
            assert!(parts.iter().any(|p| p.defect == Some(kind)), "{kind:?}");
        }
        assert!(parts.iter().filter(|p| p.defect == Some(Defect::ExcessLoss)).all(|p| p.best_loss_db(1.31) > 1.8));
        assert!((1..400).all(|n| Part::draw(1, n, &spread(), 4.6, false).defect.is_none()));
    }
}
