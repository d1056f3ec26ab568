//! What an alignment is told before its first reading, from the recipe and what is known of the light. Pure.

use std::f64::consts::PI;

use recipes::{Axis, Objective, Recipe, Step, UnitSpec};

use super::lot::{Expected, Lot};
use crate::search::{AxisInfo, classical, controller, engine, peak};

/// Power at the peak of a unit against the typical one, dB, one standard deviation.
const LEVEL_SD_DB: f64 = 1.5;

/// What is left of the stage's turn about the light once the bench file's is taken off, degrees.
const ROTATION_SD_DEG: f64 = 2.0;

/// Departure of a stage's x and y from a right angle, degrees.
const SHEAR_SD_DEG: f64 = 0.2;

/// Sideways walk of the light along z, um per um: mounts are square to the light within 2 degrees.
const WALK_SD: f64 = 0.03;

/// A search area's standard deviation along one axis, in its radius (a disc) or half-width (the focus is nearer the middle).
pub(super) const SPREAD: f64 = 0.5;

/// So many standard deviations from where its lot's units were, a unit is not one of them.
const STRANGE: f64 = 3.0;

/// Loss at a distance that the engine counts as one width, dB.
const WIDTH_DB: f64 = 4.0;

/// Decibels that a Gaussian mode loses at one mode radius across the light.
const DB_AT_RADIUS: f64 = 4.343;

/// Distance of a stage's centre of rotation from the middle of the facet, um: set to it, give or take.
const PIVOT_SD_UM: [f64; 3] = [100.0, 100.0, 200.0];

/// Errors of an array's cores, um, and of its channels' losses, dB.
const CORE_SD_UM: f64 = 0.4;
const GAIN_SD_DB: f64 = 0.3;

/// The share of how far down a reading is that light of real parts departs from two Gaussian modes' by: of a single mode, and of
/// an array's channels, which check one another.
const SHAPE: f64 = 0.03;
const ARRAY_SHAPE: f64 = 0.012;

/// By how much a real mode may fall off faster on one side than on the other.
const SKEW_SD: f64 = 0.06;
/// ... and along it than two Gaussian modes do: two step-index fibres near their focus as on a scale an eighth shorter.
const DEPTH_SD: f64 = 0.1;

/// How near to a flat top's centre to come, um; and the ripple of speckle upon it, dB.
const CENTRE_UM: f64 = 1.0;
const SPECKLE_DB: f64 = 0.03;

/// Side lobes of lenses with aberrations are at least this much below the main peak, dB, cladding light this much; and the main
/// peak is up to so much dimmer where the search begins, out of focus.
const LOBE_DB: f64 = 8.0;
const HALO_DB: f64 = 32.0;
const DIMMING_DB: f64 = 3.0;
/// And they are so many mode radii from it at the most: 2 to 4, with what the start is beside them.
const LOBE_RADII: f64 = 5.0;

/// Readings before an alignment gives up: enough to fail, to climb and to begin anew.
const READINGS_MAX: usize = 120;

/// One alignment to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Aim<'r> {
    /// What the unit is, optically.
    pub unit: &'r UnitSpec,
    /// Axes to move.
    pub axes: Vec<Axis>,
    /// Distance across the light within which the peak is.
    pub reach_um: f64,
    /// Lowest and highest position along the light, um.
    pub z_limits: (f64, f64),
    /// The same of a part's other end.
    pub z2_limits: (f64, f64),
    /// Loss it may leave, dB.
    pub tolerance_db: f64,
    /// Power expected at the peak, dBm.
    pub level_dbm: f64,
    /// How far angles may be off, degrees.
    pub angle_range_deg: f64,
    /// What an array is aligned for.
    pub objective: Objective,
    /// Channels that are read; the array's, where the unit has a pitch.
    pub channels: usize,
    /// Those among them, from 0, that give no light and are left out.
    pub dark: Vec<usize>,
    /// Where the lot's earlier units were along and about the light: position and what is expected.
    pub lot: Vec<(Axis, f64, Expected)>,
}

/// Distance across the light at which a mode's power has fallen by `depth_db`, um.
pub fn reach_um(unit: &UnitSpec, depth_db: f64) -> f64 {
    unit.aperture_diameter_um.unwrap_or(0.0) / 2.0
        + unit.mode_field_diameter_um / 2.0 * (depth_db.max(0.0) / DB_AT_RADIUS).sqrt()
}

/// Of the depth that a threshold leaves to both ends of a part together, the share that may go into one being off more than the
/// other: by the size of the part, and by how it lies in its holder.
const APART: f64 = 0.3;

/// How far the first light is seen across it, um: of both ends together, where they are off alike.
pub(super) fn first_reach_um(unit: &UnitSpec, depth_db: f64, both_ends: bool) -> f64 {
    let alone = reach_um(unit, depth_db);
    let Some(second) = unit.second.filter(|_| both_ends) else { return alone };
    let radius = f64::midpoint(unit.mode_field_diameter_um, second.mode_field_diameter_um) / 2.0;
    radius * ((1.0 - APART) * depth_db.max(0.0) / 2.0 / DB_AT_RADIUS).sqrt()
}

/// The last approach pose before a step, along one axis.
pub fn approach(recipe: &Recipe, step: usize, axis: Axis) -> f64 {
    let mut poses = recipe.steps[..step].iter().rev().filter_map(|s| match s {
        Step::Approach { to } => to.iter().find(|(a, _)| *a == axis).map(|(_, at)| *at),
        _ => None,
    });
    poses.next().unwrap_or(0.0)
}

impl<'r> Aim<'r> {
    /// The aim of a recipe's step, if it is a peak search; the peak is within the reach of the first light before it.
    pub fn of(recipe: &'r Recipe, step: usize, level_dbm: f64) -> Option<Aim<'r>> {
        let Some(Step::Peak { axes, z_range_um, tolerance_db, angle_range_deg, objective, .. }) =
            recipe.steps.get(step)
        else {
            return None;
        };
        let threshold = recipe.steps[..step].iter().rev().find_map(|s| match s {
            Step::FirstLight { threshold_db, .. } => Some(-*threshold_db),
            _ => None,
        });
        let limits = |axis: Axis| {
            let centre = approach(recipe, step, axis);
            (centre - z_range_um, centre + z_range_um)
        };
        Some(Aim {
            unit: &recipe.unit,
            axes: axes.clone(),
            reach_um: reach_um(&recipe.unit, threshold.unwrap_or(DB_AT_RADIUS)),
            z_limits: limits(Axis::Z),
            z2_limits: limits(Axis::Z2),
            tolerance_db: *tolerance_db,
            level_dbm,
            angle_range_deg: *angle_range_deg,
            objective: *objective,
            channels: 1,
            dark: Vec::new(),
            lot: Vec::new(),
        })
    }

    /// With where the earlier units of its lot were along the light and in angle. Across the light the first light tells more.
    pub fn in_lot(self, lot: &Lot, recipe: &Recipe, step: usize) -> Aim<'r> {
        let known = self.axes.iter().filter_map(|axis| {
            let recipe_sd = match axis {
                Axis::X | Axis::Y | Axis::X2 | Axis::Y2 => return None,
                Axis::Z => SPREAD * half(self.z_limits),
                Axis::Z2 => SPREAD * half(self.z2_limits),
                Axis::Rx | Axis::Ry | Axis::Rz => SPREAD * self.angle_range_deg,
            };
            let expected = lot.expects(*axis, recipe_sd)?;
            Some((*axis, approach(recipe, step, *axis) + expected.mean, expected))
        });
        let lot = known.collect();
        Aim { lot, ..self }
    }

    /// Whether a peak there is not where the lot's earlier units were.
    pub fn is_strange(&self, axes: &[AxisInfo], peak: &[f64]) -> bool {
        self.lot.iter().any(|(axis, at, expected)| {
            axes.iter().zip(peak).any(|(a, p)| a.axis == *axis && (p - at).abs() > STRANGE * expected.sd)
        })
    }

    /// For the parabolas.
    pub fn parabola(&self) -> peak::Setup {
        peak::Setup {
            along: self.axes.contains(&Axis::Z),
            mode_radius_um: self.unit.mode_field_diameter_um / 2.0,
            wavelength_nm: self.unit.wavelength_nm,
            z_limits: self.z_limits,
            tolerance_db: self.tolerance_db,
        }
    }

    /// Distances that lose 4 dB, across and along the light, um.
    fn widths_um(&self) -> (f64, f64) {
        let (gaussian, along) =
            self.end_widths_um(self.unit.chip_mode_field_diameter_um, self.unit.mode_field_diameter_um);
        (self.unit.aperture_diameter_um.map_or(gaussian, |d| d / 2.0), along)
    }

    /// The same of two modes of these diameters, um.
    fn end_widths_um(&self, fixed: f64, moving: f64) -> (f64, f64) {
        let (fixed, moving) = (fixed / 2.0, moving / 2.0);
        let across = ((fixed * fixed + moving * moving) / 2.0 * WIDTH_DB / DB_AT_RADIUS).sqrt();
        // Two Gaussian modes with their waists z apart couple 1 / ((w1/w2 + w2/w1)^2 + (lambda z / (pi w1 w2))^2).
        let along = PI * fixed * moving / (self.unit.wavelength_nm * 1e-3)
            * (fixed / moving + moving / fixed)
            * (10f64.powf(WIDTH_DB / 10.0) - 1.0).sqrt();
        (across, along)
    }

    /// Those of the second end, or of the only one.
    fn second_widths_um(&self) -> (f64, f64) {
        self.unit.second.map_or_else(
            || self.widths_um(),
            |end| self.end_widths_um(end.chip_mode_field_diameter_um, end.mode_field_diameter_um),
        )
    }

    /// The channels of an array that have light, along x from its middle, um.
    fn channels_um(&self) -> Vec<f64> {
        let pitch = self.unit.channel_pitch_um.unwrap_or(0.0);
        #[expect(clippy::cast_precision_loss, reason = "a handful of channels")]
        let place = |i: usize| (i as f64 - (self.channels as f64 - 1.0) / 2.0) * pitch;
        (0..self.channels).filter(|i| !self.dark.contains(i)).map(place).collect()
    }

    /// Angles that lose 4 dB, degrees: the mode's own divergence, or what moves the outer channels by a mode radius.
    fn widths_deg(&self, across: f64, along: f64) -> [f64; 3] {
        let moving = self.unit.mode_field_diameter_um / 2.0;
        let own = (self.unit.wavelength_nm * 1e-3 / (PI * moving)).to_degrees();
        let half = self.channels_um().iter().fold(0.0_f64, |far, x| far.max(x.abs()));
        let by = |um: f64| if half > 0.0 { (1.4 * um / half).atan().to_degrees() } else { f64::INFINITY };
        [own, own.min(by(along)), by(across).min(90.0)]
    }

    /// For a controller that searches by itself.
    pub fn controller(&self) -> controller::Setup {
        controller::Setup { mode_radius_um: self.unit.mode_field_diameter_um / 2.0, reach_um: self.reach_um }
    }

    /// For a classical method on a probe of these axes.
    pub fn classical(&self, axes: &[AxisInfo]) -> classical::Setup {
        let (across, along) = self.widths_um();
        let [rx, ry, rz] = self.widths_deg(across, along);
        let (across2, along2) = self.second_widths_um();
        let width = |axis: Axis| match axis {
            Axis::X | Axis::Y => across,
            Axis::Z => along,
            Axis::X2 | Axis::Y2 => across2,
            Axis::Z2 => along2,
            Axis::Rx => rx,
            Axis::Ry => ry,
            Axis::Rz => rz,
        };
        let scale = |axis: Axis| if matches!(axis, Axis::Z | Axis::Z2) { width(axis) / 3.0 } else { width(axis) };
        let reach = |axis: Axis| match axis {
            Axis::X | Axis::Y | Axis::X2 | Axis::Y2 => self.reach_um,
            Axis::Z => half(self.z_limits),
            Axis::Z2 => half(self.z2_limits),
            Axis::Rx | Axis::Ry | Axis::Rz => self.angle_range_deg,
        };
        let all = |of: &dyn Fn(Axis) -> f64| axes.iter().map(|a| of(a.axis)).collect();
        classical::Setup {
            scale: all(&scale),
            width: all(&width),
            reach: all(&reach),
            aim: match self.objective {
                Objective::Sum => classical::Aim::Mean,
                Objective::Weakest => classical::Aim::Weakest,
            },
        }
    }

    /// What to tell the main peak from side lobes by; of a single mode alone.
    pub fn hills(&self) -> Option<engine::Hills> {
        let single = self.channels == 1 && self.unit.aperture_diameter_um.is_none();
        let second = self.unit.second.map_or(0.0, |end| end.mode_field_diameter_um);
        single.then_some(engine::Hills {
            radius_um: LOBE_RADII * self.unit.mode_field_diameter_um.max(second) / 2.0,
            lobe_db: LOBE_DB,
            halo_db: HALO_DB,
            dimming_db: DIMMING_DB,
        })
    }

    /// For the engine, which starts at `here` of these axes.
    pub fn engine_at(&self, axes: &[AxisInfo], here: &[f64]) -> engine::Setup {
        let at = |axis: Axis| axes.iter().position(|a| a.axis == axis).map(|i| here[i]);
        let mut setup = self.engine([Axis::Z, Axis::Z2].map(|axis| at(axis).unwrap_or(0.0)));
        let order: &[Axis] = if self.both_ends() { &engine::ORDER_OF_ENDS } else { &Axis::ALL };
        for (axis, expected_at, expected) in &self.lot {
            let k = order.iter().position(|a| a == axis);
            if let (Some(k), Some(here)) = (k, at(*axis)) {
                (setup.offset[k], setup.search[k]) = (expected_at - here, expected.sd);
            }
        }
        setup
    }

    /// Whether the second end is searched with the first.
    pub(super) fn both_ends(&self) -> bool {
        self.axes.iter().any(|a| a.is_second())
    }

    /// What the engine is told of the second end beside places and widths, where it is searched.
    fn second(&self) -> Option<engine::End> {
        let end = self.unit.second.filter(|_| self.both_ends())?;
        Some(engine::End {
            emitter_radius_um: end.chip_mode_field_diameter_um / 2.0,
            receiver_radius_um: end.mode_field_diameter_um / 2.0,
            radius_sd: end.mode_spread,
            gap_um: 0.0,
            rotation_sd_deg: ROTATION_SD_DEG,
            shear_sd_deg: SHEAR_SD_DEG,
            walk_sd: if self.axes.contains(&Axis::Z2) { WALK_SD } else { 0.0 },
        })
    }

    /// For the engine, which starts at `z_um` along the light of each end, by the recipe alone.
    pub fn engine(&self, [z_um, z2_um]: [f64; 2]) -> engine::Setup {
        let (fixed, moving) = (self.unit.chip_mode_field_diameter_um / 2.0, self.unit.mode_field_diameter_um / 2.0);
        let wavelength_um = self.unit.wavelength_nm * 1e-3;
        let search = |axis: Axis, sd: f64| if self.axes.contains(&axis) { sd } else { 0.0 };
        let along_off = |axis: Axis, limits: (f64, f64), z: f64| search(axis, f64::midpoint(limits.0, limits.1) - z);
        let aperture_um = self.unit.aperture_diameter_um.map(|d| d / 2.0);
        let (across, along) = self.widths_um();
        let [rx, ry, rz] = self.widths_deg(across, along);
        let (reach, angle) = (SPREAD * self.reach_um, SPREAD * self.angle_range_deg);
        let turns = self.axes.iter().any(|a| a.is_angle());
        let array = self.channels > 1;
        let second = self.second();
        let (across2, along2) = self.second_widths_um();
        // A second end takes the places of the angles.
        let (offset2, search2, width2) = if second.is_some() {
            (
                along_off(Axis::Z2, self.z2_limits, z2_um),
                [search(Axis::X2, reach), search(Axis::Y2, reach), search(Axis::Z2, SPREAD * half(self.z2_limits))],
                [across2, across2, along2],
            )
        } else {
            (0.0, [Axis::Rx, Axis::Ry, Axis::Rz].map(|axis| search(axis, angle)), [rx, ry, rz])
        };
        engine::Setup {
            wavelength_um,
            emitter_radius_um: fixed,
            receiver_radius_um: moving,
            radius_sd: self.unit.mode_spread,
            turned: !array,
            gap_um: 0.0,
            offset: [0.0, 0.0, along_off(Axis::Z, self.z_limits, z_um), 0.0, 0.0, offset2],
            search: [
                search(Axis::X, reach),
                search(Axis::Y, reach),
                search(Axis::Z, SPREAD * half(self.z_limits)),
                search2[0],
                search2[1],
                search2[2],
            ],
            width: [across, across, along, width2[0], width2[1], width2[2]],
            level_dbm: self.level_dbm,
            level_sd_db: LEVEL_SD_DB,
            rotation_sd_deg: ROTATION_SD_DEG,
            shear_sd_deg: SHEAR_SD_DEG,
            pivot_sd_um: if turns { PIVOT_SD_UM } else { [0.0; 3] },
            walk_sd: search(Axis::Z, WALK_SD),
            channels_um: self.channels_um(),
            core_sd_um: if array { CORE_SD_UM } else { 0.0 },
            gain_sd_db: if array { GAIN_SD_DB } else { 0.0 },
            fringe: None,
            hills: None,
            aperture_um,
            centre_um: CENTRE_UM,
            shape: if array { ARRAY_SHAPE } else { SHAPE },
            depth_sd: if array || aperture_um.is_some() { 0.0 } else { DEPTH_SD },
            skew_sd: if array || aperture_um.is_some() { 0.0 } else { SKEW_SD },
            ripple_db: if aperture_um.is_some() { SPECKLE_DB } else { 0.0 },
            spiral_um: None,
            second,
            objective: match self.objective {
                Objective::Sum => engine::Objective::Sum,
                Objective::Weakest => engine::Objective::Weakest,
            },
            tell_order: array && self.axes.contains(&Axis::Rz),
            tolerance_db: self.tolerance_db,
            readings_max: READINGS_MAX,
        }
    }
}

/// Half of a range's width.
fn half((low, high): (f64, f64)) -> f64 {
    (high - low) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_tells_the_engine_its_optics_where_the_light_may_be_and_what_may_be_left() {
        let recipe = Recipe::parse(recipes::named("400g-fr4").unwrap()).unwrap();
        let step = recipe.steps.iter().position(|s| matches!(s, Step::Peak { .. })).unwrap();
        let aim = Aim::of(&recipe, step, 1.5).unwrap();
        let setup = aim.engine([-20.0, 0.0]);
        assert_eq!((setup.emitter_radius_um, setup.receiver_radius_um, setup.wavelength_um), (4.6, 4.6, 1.31));
        assert!((setup.search[0] - 5.3).abs() < 0.1 && setup.search[0] == setup.search[1], "{:?}", setup.search);
        assert_eq!((setup.search[2], setup.offset[2], setup.search[3]), (75.0, 20.0, 0.0));
        // At these widths two modes of 4.6 um couple 4 dB less.
        assert!((setup.width[0] - 4.41).abs() < 0.01 && (setup.width[2] - 124.8).abs() < 0.5, "{:?}", setup.width);
        assert_eq!((setup.level_dbm, setup.tolerance_db), (1.5, 0.01));
        assert!(Aim::of(&recipe, step + 1, 1.5).is_none(), "the step after it is no search");
    }

    #[test]
    fn without_z_the_engine_neither_moves_nor_doubts_along_the_light() {
        let recipe = recipes::named("400g-fr4").unwrap().replace("[\"x\", \"y\", \"z\"]", "[\"x\", \"y\"]");
        let recipe = Recipe::parse(&recipe).unwrap();
        let step = recipe.steps.iter().position(|s| matches!(s, Step::Peak { .. })).unwrap();
        let setup = Aim::of(&recipe, step, 0.0).unwrap().engine([7.0, 0.0]);
        assert_eq!((setup.search[2], setup.offset[2], setup.walk_sd), (0.0, 0.0, 0.0));
    }

    #[test]
    fn of_an_array_engine_and_classical_methods_are_told_lanes_angles_and_what_counts() {
        let recipe = Recipe::parse(recipes::named("800g-dr8").unwrap()).unwrap();
        let step = recipe.steps.iter().position(|s| matches!(s, Step::Peak { .. })).unwrap();
        let mut aim = Aim { channels: 8, ..Aim::of(&recipe, step, -1.0).unwrap() };
        let setup = aim.engine([0.0; 2]);
        assert_eq!((setup.channels_um.len(), setup.channels_um[0], setup.channels_um[7]), (8, -875.0, 875.0));
        // A turn that moves the outer lanes by 1.4 widths across the light.
        assert!((setup.width[5] - 0.405).abs() < 0.001 && setup.search[5] == 0.5, "{:?}", setup.width);
        assert_eq!(setup.objective, engine::Objective::Sum);
        aim.dark = vec![0];
        aim.objective = Objective::Weakest;
        let setup = aim.engine([0.0; 2]);
        assert_eq!((setup.channels_um.len(), setup.channels_um[0]), (7, -625.0));
        assert_eq!(setup.objective, engine::Objective::Weakest);
        assert_eq!(aim.classical(&[]).aim, classical::Aim::Weakest);
    }
}
