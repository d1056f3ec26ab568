//! The parts: what each unit is, drawn from the world's seed, its lot's number and its own. The truth, never seen by a
//! protocol.

mod optics;
mod preset;

use crate::bond::epoxy::{Epoxy, EpoxySpread};
use crate::mechanics::Pose;
use crate::noise::Stream;
use crate::optics::Mode;

pub use optics::{Modes, Optics, OpticsPlan};

pub(crate) use preset::PRESETS;

use optics::Drawn;

/// A kind of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A single-mode fibre receptacle in front of an optical sub-assembly that focuses its light.
    Receptacle,
    /// A fibre pigtail before a laser and a lens with aberrations.
    Pigtail,
    /// A fibre array before the edge of a chip.
    EdgeArray,
    /// A fibre array over grating couplers.
    GratingArray,
    /// A spot on a flat-topped receiver: a multimode core or a photodiode.
    Multimode,
    /// A fibre array whose channels are joined by loops of the chip.
    Loopback,
    /// A waveguide chip with a lensed fibre at each end.
    Chip,
}

/// How far parts of a product spread; uniform between plus and minus unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Place of the aligned pose off the drawing across the light, um. Half of it is of the lot.
    pub focus_xy_um: f64,
    /// The same along the light, um.
    pub focus_z_um: f64,
    /// Mode radii, relative.
    pub mode_rel: f64,
    /// How much further than the first end the other end of a chip is off: by its size, and by how it lies in its holder, um. Along
    /// the light a third of it.
    pub apart_um: f64,
    /// Turns of the aligned pose about x and y, degrees.
    pub tilt_deg: f64,
    /// Turn about the light, degrees.
    pub roll_deg: f64,
    /// Least and greatest loss that no alignment recovers, dB; a third of the range is of the lot (wafer).
    pub lens_loss_db: (f64, f64),
    /// Where the parts touch, um along the light, and its spread.
    pub contact_um: (f64, f64),
    /// Groove pitch of a lot of arrays, um.
    pub pitch_error_um: f64,
    /// Place of each core of an array, um, one standard deviation.
    pub core_error_um: f64,
    /// Greatest bow of a chip over the array, um.
    pub bow_um: f64,
    /// Greatest loss of one port of a chip above the best, dB.
    pub port_loss_db: f64,
    /// From the stage's centre of rotation to the facet, um; a fifth of it is of the unit.
    pub lever_um: f64,
    /// Share of units with a defect, where defects are drawn.
    pub defect_share: f64,
    /// Units of a lot.
    pub lot_size: u64,
}

/// What units of a world are drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct PartPlan {
    /// The kind of world.
    pub preset: Preset,
    /// How far they spread.
    pub spread: Spread,
    /// Their optics.
    pub optics: OpticsPlan,
    /// Their glue.
    pub glue: Epoxy,
    /// About which axes the world's stage turns.
    pub turns: [bool; 3],
}

/// What is wrong with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// More loss than the limit allows: dirt, a bad lens, a bad chip.
    ExcessLoss,
    /// No light at all: a broken fibre.
    Dark,
    /// The aligned pose lies far off to the side.
    FarOff,
    /// One channel of an array is dead.
    DeadChannel,
    /// Two channels of an array are swapped.
    Swapped,
    /// The array is mounted the other way round.
    Flipped,
}

impl Defect {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Defect::ExcessLoss => "excess_loss",
            Defect::Dark => "dark",
            Defect::FarOff => "far_off",
            Defect::DeadChannel => "dead_channel",
            Defect::Swapped => "swapped",
            Defect::Flipped => "flipped",
        }
    }
}

/// The other end of a unit that light passes through, in an optical frame of its own: x and y along those of the first end, z
/// away from the unit.
#[derive(Debug, Clone)]
pub struct SecondEnd {
    /// Where the fibre there is aligned, um.
    pub aligned_um: [f64; 3],
    /// What light goes through.
    pub optics: Optics,
    /// Where fibre and unit touch, um along the light.
    pub contact_um: f64,
}

impl SecondEnd {
    /// Loss of this end with its fibre at a place, dB.
    fn loss_db(&self, wavelength_um: f64, um: [f64; 3]) -> f64 {
        let off = Pose { um: std::array::from_fn(|k| um[k] - self.aligned_um[k]), ..Pose::default() };
        let eta = self.optics.efficiencies(wavelength_um, &off).first().copied().unwrap_or_default();
        -10.0 * eta.max(1e-30).log10()
    }

    /// What this end loses because its fibre is not where it is aligned, dB.
    pub fn left_db(&self, wavelength_um: f64, um: [f64; 3]) -> f64 {
        self.loss_db(wavelength_um, um) - self.loss_db(wavelength_um, self.aligned_um)
    }
}

/// One unit as it really is.
#[derive(Debug, Clone)]
pub struct Part {
    /// Number of the unit, from 1.
    pub number: u64,
    /// Number of its lot, from 1.
    pub lot: u64,
    /// Pose of the moved body in the optical frame at which it is aligned.
    pub aligned: Pose,
    /// Gap at the aligned pose, um: what its optics count from.
    pub gap_um: f64,
    /// What light goes through.
    pub optics: Optics,
    /// Its other end, where light passes through it.
    pub second: Option<SecondEnd>,
    /// Loss that no alignment recovers, dB, on every lane.
    pub loss_db: f64,
    /// Where the parts touch, um along the light.
    pub contact_um: f64,
    /// Its glue.
    pub glue: Epoxy,
    /// About which axes the stage that holds it turns.
    pub turns: [bool; 3],
    /// What is wrong with it, if anything.
    pub defect: Option<Defect>,
}

/// First steps of the way to the least loss, and how often they are halved: to 8 nm and a thousandth of a degree.
const FIRST_STEP_UM: f64 = 4.0;
const FIRST_STEP_RAD: f64 = 0.01;
const REFINEMENTS: i32 = 10;
/// A gain of less is rounding, dB.
const ROUNDING_DB: f64 = 1e-9;

/// Loss that stands for no light, dB.
const DARK_DB: f64 = 90.0;

impl Part {
    /// Draws a unit.
    pub fn draw(seed: u64, number: u64, plan: &PartPlan, defects: bool) -> Part {
        let s = &plan.spread;
        let lot_number = (number.saturating_sub(1)) / s.lot_size.max(1) + 1;
        let (unit, lot) = (Stream::new(seed, "parts").child(number), Stream::new(seed, "lots").child(lot_number));
        // Half the spread is common to a lot, half the unit's own; together they stay within it.
        let off = |i: u64, half: f64| half * (0.5 * unit.symmetric(i) + 0.5 * lot.symmetric(i));
        let (low, high) = s.lens_loss_db;
        let mut part = Part {
            number,
            lot: lot_number,
            aligned: Pose {
                um: [off(0, s.focus_xy_um), off(1, s.focus_xy_um), off(2, s.focus_z_um)],
                rad: [off(6, s.tilt_deg), off(7, s.tilt_deg), off(13, s.roll_deg)].map(f64::to_radians),
            },
            // Over a grating the optics count from the height where the fibre belongs.
            gap_um: match plan.preset {
                Preset::GratingArray => 0.0,
                // A lensed fibre's optics count from its waist.
                _ if plan.optics.lensed_um.is_some() => 0.0,
                _ => plan.optics.gap_um,
            },
            optics: Optics::One(std::rc::Rc::new(crate::optics::FacetPair::between(
                Mode::round(1.0),
                Mode::round(1.0),
            ))),
            second: None,
            loss_db: low + (high - low) * (2.0 * unit.uniform(8) + lot.uniform(8)) / 3.0,
            contact_um: s.contact_um.0 + s.contact_um.1 * unit.symmetric(9),
            glue: EpoxySpread { lot: 0.15, unit: 0.1, fillet_um: 0.1 }.draw(&plan.glue, lot.child(40), unit.child(40)),
            turns: plan.turns,
            defect: None,
        };
        if defects && unit.uniform(10) < s.defect_share {
            part.spoil(unit, plan.preset);
        }
        part.optics = Drawn { plan, unit, lot, defect: part.defect }.build();
        if plan.preset == Preset::Chip {
            part.contact_um += part.aligned.um[2];
            part.second = Some(part.other_end(plan, unit.child(50), lot));
        }
        part
    }

    /// A chip that its holder has put elsewhere is off alike at both ends; nearer to one fibre, it is farther from the other.
    fn other_end(&self, plan: &PartPlan, unit: Stream, lot: Stream) -> SecondEnd {
        let s = &plan.spread;
        let [x, y, z] = self.aligned.um;
        let further = [0, 1, 2].map(|i| s.apart_um * unit.symmetric(i));
        let aligned_um = [x + further[0], y + further[1], further[2] / 3.0 - z];
        SecondEnd {
            aligned_um,
            optics: Drawn { plan, unit, lot, defect: None }.build(),
            contact_um: aligned_um[2] + s.contact_um.0 + s.contact_um.1 * unit.symmetric(9),
        }
    }

    fn spoil(&mut self, draw: Stream, preset: Preset) {
        let how_much = draw.uniform(12);
        let of_arrays = matches!(preset, Preset::EdgeArray | Preset::GratingArray | Preset::Loopback);
        // An array has faults of its own besides those of every part.
        let which = if of_arrays { draw.uniform(11) } else { 0.55 * draw.uniform(11) };
        match which {
            w if w < 0.33 => {
                self.defect = Some(Defect::ExcessLoss);
                self.loss_db += 1.6 + 4.0 * how_much;
            }
            w if w < 0.44 => {
                self.defect = Some(Defect::Dark);
                self.loss_db = DARK_DB;
            }
            w if w < 0.55 => {
                self.defect = Some(Defect::FarOff);
                self.aligned.um[0] = 220.0 + 150.0 * how_much;
            }
            w if w < 0.75 => self.defect = Some(Defect::DeadChannel),
            w if w < 0.90 => self.defect = Some(Defect::Swapped),
            _ => self.defect = Some(Defect::Flipped),
        }
    }

    /// Loss from the launched power to the meter on each lane, dB, with the moved body in a pose of the optical frame, and the
    /// fibre at the unit's other end, where it has one, aligned.
    pub fn lane_loss_db(&self, wavelength_um: f64, pose: &Pose) -> Vec<f64> {
        let mut off = Pose {
            um: std::array::from_fn(|k| pose.um[k] - self.aligned.um[k]),
            rad: std::array::from_fn(|k| pose.rad[k] - self.aligned.rad[k]),
        };
        off.um[2] += self.gap_um;
        let coupled = self.optics.efficiencies(wavelength_um, &off);
        let second = self.second.as_ref().map_or(0.0, |end| end.loss_db(wavelength_um, end.aligned_um));
        coupled.iter().map(|eta| self.loss_db + second - 10.0 * eta.max(1e-30).log10()).collect()
    }

    /// The pose nearest to alignment that the stage can take: at the aligned place, turned where it turns.
    pub fn best_pose(&self) -> Pose {
        let rad = std::array::from_fn(|k| if self.turns[k] { self.aligned.rad[k] } else { 0.0 });
        Pose { um: self.aligned.um, rad }
    }

    /// Loss of the first lane there, dB: the least that the unit can have, but for what a search finds in the ripple of a
    /// gap or the speckle of a flat top.
    pub fn best_loss_db(&self, wavelength_um: f64) -> f64 {
        self.lane_loss_db(wavelength_um, &self.best_pose()).first().copied().unwrap_or(DARK_DB)
    }

    /// Loss of the mean power of all lanes in a pose, dB.
    pub fn mean_loss_db(&self, wavelength_um: f64, pose: &Pose) -> f64 {
        mean_db(&self.lane_loss_db(wavelength_um, pose))
    }

    /// The pose in which the mean power of all lanes is greatest, and its loss there, dB: uphill from the aligned place in ever
    /// smaller steps, no nearer than contact. Ripple of a gap may hold higher crests farther off.
    pub fn best_for_all_lanes(&self, wavelength_um: f64) -> (Pose, f64) {
        let mut pose = self.best_pose();
        let mut least = self.mean_loss_db(wavelength_um, &pose);
        for halvings in 0..REFINEMENTS {
            let share = 0.5_f64.powi(halvings);
            let mut better = true;
            while better {
                better = false;
                for axis in 0..6 {
                    if axis >= 3 && !self.turns[axis - 3] {
                        continue;
                    }
                    for sense in [-1.0, 1.0] {
                        let mut to = pose;
                        match axis {
                            0..3 => to.um[axis] += sense * share * FIRST_STEP_UM,
                            _ => to.rad[axis - 3] += sense * share * FIRST_STEP_RAD,
                        }
                        let loss = self.mean_loss_db(wavelength_um, &to);
                        if to.um[2] > self.contact_um && loss < least - ROUNDING_DB {
                            (pose, least, better) = (to, loss, true);
                        }
                    }
                }
            }
        }
        (pose, least)
    }
}

/// Loss of the mean power of lanes, dB.
pub(crate) fn mean_db(lanes: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a handful of lanes")]
    let count = lanes.len().max(1) as f64;
    -10.0 * (lanes.iter().map(|l| 10f64.powf(-l / 10.0)).sum::<f64>() / count).max(1e-30).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(preset: Preset) -> PartPlan {
        let mut plan = preset.plan();
        plan.turns = [true; 3];
        plan
    }

    const PRESETS: [Preset; 7] = [
        Preset::Receptacle,
        Preset::Pigtail,
        Preset::EdgeArray,
        Preset::GratingArray,
        Preset::Multimode,
        Preset::Loopback,
        Preset::Chip,
    ];

    fn wavelength(plan: &PartPlan) -> f64 {
        plan.optics.wavelength_um
    }

    #[test]
    fn good_units_of_every_kind_are_good_and_differ() {
        for preset in PRESETS {
            let plan = plan(preset);
            let losses: Vec<f64> =
                (1..60).map(|n| Part::draw(1, n, &plan, false).best_loss_db(wavelength(&plan))).collect();
            assert!(losses.iter().all(|l| (0.2..7.0).contains(l)), "{preset:?}: {losses:?}");
            assert!(losses.windows(2).all(|w| w[0] != w[1]));
        }
    }

    #[test]
    fn every_kind_loses_light_when_it_is_moved_off_its_aligned_pose() {
        for preset in PRESETS {
            let plan = plan(preset);
            let part = Part::draw(3, 1, &plan, false);
            let aligned = part.best_loss_db(wavelength(&plan));
            for k in 0..2 {
                let mut pose = part.best_pose();
                pose.um[k] += 30.0;
                let moved = part.lane_loss_db(wavelength(&plan), &pose)[0];
                assert!(moved > aligned + 3.0, "{preset:?} {k}: {aligned} {moved}");
            }
        }
    }

    #[test]
    fn defects_are_drawn_only_when_asked_for_and_are_of_every_kind() {
        let single = plan(Preset::Receptacle);
        let parts: Vec<Part> = (1..600).map(|n| Part::draw(1, n, &single, true)).collect();
        for kind in [Defect::ExcessLoss, Defect::Dark, Defect::FarOff] {
            assert!(parts.iter().any(|p| p.defect == Some(kind)), "{kind:?}");
        }
        let excess = parts.iter().filter(|p| p.defect == Some(Defect::ExcessLoss));
        assert!(excess.into_iter().all(|p| p.best_loss_db(1.31) > 1.8));
        assert!((1..400).all(|n| Part::draw(1, n, &single, false).defect.is_none()));
        let array = plan(Preset::EdgeArray);
        let parts: Vec<Part> = (1..900).map(|n| Part::draw(1, n, &array, true)).collect();
        for kind in [Defect::DeadChannel, Defect::Swapped, Defect::Flipped] {
            assert!(parts.iter().any(|p| p.defect == Some(kind)), "{kind:?}");
        }
    }

    #[test]
    fn units_of_a_lot_are_more_alike_than_units_of_different_lots() {
        let plan = plan(Preset::Receptacle);
        let x = |n: u64| Part::draw(5, n, &plan, false).aligned.um[0];
        let size = plan.spread.lot_size;
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
        };
        let lots = 60;
        let within: f64 =
            (0..lots).map(|l| variance(&(1..=size).map(|n| x(l * size + n)).collect::<Vec<_>>())).sum::<f64>()
                / lots as f64;
        let all = variance(&(1..=lots * size).map(x).collect::<Vec<_>>());
        assert!((0.35..0.65).contains(&(within / all)), "half of the variance is the unit's own: {}", within / all);
    }

    #[test]
    fn a_dead_channel_is_dark_and_a_flipped_array_is_lit() {
        let plan = plan(Preset::EdgeArray);
        let of =
            |kind: Defect| (1..3000).map(|n| Part::draw(1, n, &plan, true)).find(|p| p.defect == Some(kind)).unwrap();
        let losses = |p: &Part| p.lane_loss_db(1.31, &p.best_pose());
        let dead = losses(&of(Defect::DeadChannel));
        assert_eq!(dead.iter().filter(|l| **l > 60.0).count(), 1, "{dead:?}");
        assert!(losses(&of(Defect::Flipped)).iter().all(|l| *l < 6.0));
    }
}
