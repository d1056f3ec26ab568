//! Glue between fibre and part: wet, then gelled by light, then hard, and never quite at rest. A closed form of time and
//! of when the lamp was on, when the gripper let go and when it was baked. Pure.

use crate::noise::Stream;

/// Lamp on for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lit {
    /// From, s.
    pub from_s: f64,
    /// To, s; infinite while on.
    pub to_s: f64,
    /// Irradiance, share of the rated one.
    pub irradiance: f64,
}

/// What has been done to a joint; times in s, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct History<'a> {
    /// When the lamp was on.
    pub lit: &'a [Lit],
    /// When the gripper let go.
    pub released_s: Option<f64>,
    /// When it was in the oven, from and to.
    pub baked_s: Option<(f64, f64)>,
}

/// How far the glue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It flows: the part can be moved.
    Wet,
    /// It is a solid that still shrinks: moving the part stresses the joint.
    Gelled,
    /// Nineteen twentieths of the light's work are done.
    Cured,
}

/// A glue in a joint of its own. Vectors are um of the part in x, y, z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoxy {
    /// Light until it gels, s at the rated irradiance: 0.5 to 2.
    pub gel_s: f64,
    /// Time constant of the cure after that, s: 1 to 5.
    pub cure_s: f64,
    /// Shift by all of the shrink under light.
    pub shrink_um: [f64; 3],
    /// Shift by the lamp's heat; it goes when the lamp is off.
    pub heat_um: [f64; 3],
    /// Time constant of the heat, s: 10 to 30.
    pub heat_s: f64,
    /// What cures on in the dark, share of the shrink so far: 0.1 to 0.2.
    pub dark_share: f64,
    /// Time by which the dark cure is done, s.
    pub dark_s: f64,
    /// Relaxation after release, share of the shrink per decade of time: 0.01 to 0.03.
    pub relaxation_share: f64,
    /// Shift by baking: 0.05 to 0.5.
    pub bake_um: [f64; 3],
    /// Time constant of the bake, s.
    pub bake_s: f64,
    /// Viscosity before any light, Pa s.
    pub viscosity_pa_s: f64,
    /// Bond line, um.
    pub bond_um: f64,
    /// Wetted area, mm^2.
    pub area_mm2: f64,
    /// Stiffness of the cured joint over the gripper's.
    pub stiffness_ratio: f64,
}

/// Linear shrink over volumetric, of a body held nowhere.
const LINEAR: f64 = 1.0 / 3.0;
/// Time from which the logarithm of the dark cure counts, s.
const DARK_FROM_S: f64 = 10.0;
/// Time from which the logarithm of relaxation counts, s.
const RELAX_FROM_S: f64 = 60.0;
/// Rate of a radical cure over irradiance: square root, where chains end in pairs (Odian, Principles of Polymerization).
const RATE_EXPONENT: f64 = 0.5;
/// Viscosity near the gel point goes as distance to the power of minus this (Rouse model of percolation).
const GEL_EXPONENT: f64 = 4.0 / 3.0;
/// From this share of the light's work on it is called cured.
const CURED: f64 = 0.95;

impl Epoxy {
    /// A glue that shrinks by a share of its volume, in a bond line (um), pulling the part along `normal` (a unit vector).
    pub fn shrinking(volumetric: f64, bond_um: f64, normal: [f64; 3]) -> Epoxy {
        let along = |um: f64| normal.map(|n| n * um);
        Epoxy {
            gel_s: 1.0,
            cure_s: 2.5,
            shrink_um: along(bond_um * volumetric * LINEAR),
            heat_um: along(-0.15),
            heat_s: 20.0,
            dark_share: 0.15,
            dark_s: 600.0,
            relaxation_share: 0.02,
            bake_um: along(0.15),
            bake_s: 900.0,
            viscosity_pa_s: 5.0,
            bond_um,
            area_mm2: 1.0,
            stiffness_ratio: 10.0,
        }
    }

    /// A standard ultraviolet glue, 4 % in volume: 0.3 to 0.8 um over usual bond lines.
    pub fn standard(bond_um: f64, normal: [f64; 3]) -> Epoxy {
        Epoxy::shrinking(0.04, bond_um, normal)
    }

    /// A glue of low shrink, 0.3 % in volume: 0.02 to 0.05 um.
    pub fn low_shrink(bond_um: f64, normal: [f64; 3]) -> Epoxy {
        Epoxy::shrinking(0.003, bond_um, normal)
    }

    /// Light it has had, as seconds at the rated irradiance.
    pub fn exposure_s(&self, history: &History<'_>, now_s: f64) -> f64 {
        let had = |l: &Lit| (l.to_s.min(now_s) - l.from_s).max(0.0) * l.irradiance.max(0.0).powf(RATE_EXPONENT);
        history.lit.iter().map(had).sum()
    }

    /// Share of the light's work that is done, 0 until it gels.
    pub fn cure(&self, history: &History<'_>, now_s: f64) -> f64 {
        1.0 - (-(self.exposure_s(history, now_s) - self.gel_s).max(0.0) / self.cure_s).exp()
    }

    /// How far it is.
    pub fn phase(&self, history: &History<'_>, now_s: f64) -> Phase {
        if self.exposure_s(history, now_s) < self.gel_s {
            Phase::Wet
        } else if self.cure(history, now_s) < CURED {
            Phase::Gelled
        } else {
            Phase::Cured
        }
    }

    /// Shift of the part by the glue, um.
    pub fn shift_um(&self, history: &History<'_>, now_s: f64) -> [f64; 3] {
        let light = self.cure(history, now_s);
        let shrunk =
            light * (1.0 + self.dark_share * self.darkened(history, now_s)) + light * self.relaxed(history, now_s);
        // Wet glue carries no force: heat and oven move the part through as much of the joint as holds.
        let heated = light * self.heated(history, now_s);
        let baked = light * self.baked(history, now_s);
        std::array::from_fn(|k| self.shrink_um[k] * shrunk + self.heat_um[k] * heated + self.bake_um[k] * baked)
    }

    /// Share of the dark cure that is done: evenly in the logarithm of the time since the lamp first left it gelled.
    fn darkened(&self, history: &History<'_>, now_s: f64) -> f64 {
        let gelled = |l: &&Lit| l.to_s <= now_s && self.exposure_s(history, l.to_s) > self.gel_s;
        let Some(off) = history.lit.iter().find(gelled) else { return 0.0 };
        let log = |s: f64| (s / DARK_FROM_S).ln_1p();
        if self.dark_s > 0.0 { (log(now_s - off.to_s) / log(self.dark_s)).min(1.0) } else { 1.0 }
    }

    fn relaxed(&self, history: &History<'_>, now_s: f64) -> f64 {
        let since = history.released_s.map_or(0.0, |at| (now_s - at).max(0.0));
        self.relaxation_share * (since / RELAX_FROM_S).ln_1p() / std::f64::consts::LN_10
    }

    /// How warm the lamp has made it: a first-order lag behind the irradiance.
    fn heated(&self, history: &History<'_>, now_s: f64) -> f64 {
        let tau = self.heat_s.max(1e-9);
        let after = |at: f64| if now_s > at { 1.0 - (-(now_s - at) / tau).exp() } else { 0.0 };
        history.lit.iter().map(|l| l.irradiance * (after(l.from_s) - after(l.to_s))).sum()
    }

    fn baked(&self, history: &History<'_>, now_s: f64) -> f64 {
        let Some((from, to)) = history.baked_s else { return 0.0 };
        1.0 - (-(now_s.min(to) - from).max(0.0) / self.bake_s.max(1e-9)).exp()
    }

    /// Viscosity, Pa s; none once it is gelled.
    pub fn viscosity(&self, history: &History<'_>, now_s: f64) -> Option<f64> {
        let left = 1.0 - self.exposure_s(history, now_s) / self.gel_s;
        (left > 0.0).then(|| self.viscosity_pa_s * left.powf(-GEL_EXPONENT))
    }

    /// Force to move the part sideways through wet glue at a speed (um/s), N: shear over the bond line; none once gelled.
    pub fn drag_n(&self, history: &History<'_>, now_s: f64, speed_um_s: f64) -> Option<f64> {
        let shear = speed_um_s / self.bond_um.max(1e-9);
        Some(self.viscosity(history, now_s)? * shear * self.area_mm2 * 1e-6)
    }

    /// Share of the gripper's motion that the part follows: all while wet, less the stiffer the joint.
    pub fn follows(&self, history: &History<'_>, now_s: f64) -> f64 {
        1.0 / (1.0 + self.stiffness_ratio * self.cure(history, now_s))
    }

    /// Motion of the part when the gripper lets go, um, after gripper moves (when, s, and by how much, um): what it followed
    /// against glue that had set is given back, in the share of the network that was there to be stretched.
    pub fn spring_back_um(&self, history: &History<'_>, moves: &[(f64, [f64; 3])]) -> [f64; 3] {
        let mut back = [0.0; 3];
        let Some(released) = history.released_s else { return back };
        let whole = self.cure(history, released);
        for (at_s, by) in moves.iter().filter(|(at_s, _)| *at_s <= released) {
            let then = self.cure(history, *at_s);
            if then > 0.0 {
                let share = self.follows(history, *at_s) * then / whole;
                back = std::array::from_fn(|k| back[k] - share * by[k]);
            }
        }
        back
    }
}

/// How glue differs from lot to lot and from joint to joint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpoxySpread {
    /// Relative spread of shift and speed between lots, one standard deviation.
    pub lot: f64,
    /// The same between the joints of a lot.
    pub unit: f64,
    /// Sideways shift by uneven fillets, one standard deviation in x and y, um: 0.1 to 1.
    pub fillet_um: f64,
}

impl EpoxySpread {
    /// The glue of one joint: a typical one times a factor of its lot (common to all of its joints) times one of its own.
    pub fn draw(&self, typical: &Epoxy, lot: Stream, unit: Stream) -> Epoxy {
        // Shift and speed have factors apart: 0 and 1.
        let factor = |k: u64| (self.lot * lot.normal(k) + self.unit * unit.normal(k)).exp();
        let (shift, speed) = (factor(0), factor(1));
        let mut shrink_um = typical.shrink_um.map(|um| um * shift);
        shrink_um[0] += self.fillet_um * unit.normal(2);
        shrink_um[1] += self.fillet_um * unit.normal(3);
        Epoxy {
            shrink_um,
            heat_um: typical.heat_um.map(|um| um * shift),
            bake_um: typical.bake_um.map(|um| um * shift),
            gel_s: typical.gel_s * speed,
            cure_s: typical.cure_s * speed,
            ..*typical
        }
    }
}

#[cfg(test)]
mod tests;
