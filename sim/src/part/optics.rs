//! What light goes through in a unit: the interfaces of each kind of world, as drawn for one unit.

use std::rc::Rc;

use crate::mechanics::Pose;
use crate::noise::Stream;
use crate::optics::{
    self, Area, ArrayCoupling, CouplingMap, FacetPair, Facets, FieldLobe, GratingCoupler, Halo, Interface, LaserLens,
    Loop, Loopback, Misalignment, Mode, Moved, NumericMode, NumericPair, Photodiode, RowPlan, Rows, Shape, Speckle,
    StepIndex, WithStray, aberration_ring, flipped, straight,
};
use crate::optics::{CorePair, LensedFibre, Neighbours};

use super::{Defect, PartPlan, Preset};

/// Modes that are not the formula of any alignment code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Modes {
    /// Gaussian modes.
    #[default]
    Gaussian,
    /// Step-index fibres: tails that fall exponentially.
    StepIndex,
    /// An elliptical Gaussian, turned.
    Rotated,
    /// A mode with one steep flank.
    Skewed,
    /// A converter's mode, with lobes.
    Lobed,
}

/// The optics of a kind of world.
#[derive(Debug, Clone, PartialEq)]
pub struct OpticsPlan {
    /// Mode radii of the fixed part along x and y, um.
    pub fixed_um: Mode,
    /// Mode radius of the fibre, um.
    pub fibre_um: f64,
    /// Index between the two.
    pub index: f64,
    /// Power reflectance of the two facets, 0 to 1.
    pub reflectance: [f64; 2],
    /// Round trips of light in the gap that count; 0 for no ripple.
    pub round_trips: u32,
    /// Gap at which a unit is measured to be aligned, um.
    pub gap_um: f64,
    /// From the tip of a lensed fibre to its waist, um; a cleaved fibre where not given.
    pub lensed_um: Option<f64>,
    /// Light of the waveguides beside the right one, dB below it; none where not given.
    pub neighbours_db: Option<f64>,
    /// Light in the cladding, dB below the launched power; none where not given.
    pub halo_db: Option<f64>,
    /// Modes.
    pub modes: Modes,
    /// Turn of a rotated mode, degrees.
    pub turn_deg: f64,
    /// Height of a lobed mode's lobes below its main one, dB.
    pub lobe_db: f64,
    /// Channels of an array.
    pub channels: u32,
    /// Distance between them, um.
    pub pitch_um: f64,
    /// Lanes of an array that are read in a loop of the chip.
    pub loops: u32,
    /// Radius of a flat-topped receiver, um; half the width of a square one.
    pub aperture_um: f64,
    /// Whether that receiver is square.
    pub square: bool,
    /// Radius of a multimode emitter's core, um; a spot of single-mode light where not given.
    pub core_um: Option<f64>,
    /// Modal noise, dB rms.
    pub speckle_db: f64,
    /// Wavelength the parts are made for, um.
    pub wavelength_um: f64,
    /// A coupling map in place of all this.
    pub map: Option<CouplingMap>,
}

/// A unit's optics. Lanes are what a meter can read one by one.
#[derive(Debug, Clone)]
pub enum Optics {
    /// One lane.
    One(Rc<dyn Interface>),
    /// An array, each channel a lane.
    Array(ArrayCoupling<Rc<dyn Interface>>),
    /// Loops through the chip, each a lane.
    Loops(Loopback<Rc<dyn Interface>, Rc<dyn Interface>>),
}

impl Optics {
    /// How many lanes there are.
    pub fn lanes(&self) -> usize {
        match self {
            Optics::One(_) => 1,
            Optics::Array(array) => array.channels.len(),
            Optics::Loops(loops) => loops.loops.len(),
        }
    }

    /// Share of the power coupled on each lane, 0 to 1, with the moved part off its place by a pose.
    pub fn efficiencies(&self, wavelength_um: f64, off: &Pose) -> Vec<f64> {
        match self {
            Optics::One(interface) => {
                let at = Misalignment {
                    dx_um: off.um[0],
                    dy_um: off.um[1],
                    dz_um: off.um[2],
                    thx_rad: off.rad[1],
                    thy_rad: -off.rad[0],
                };
                vec![interface.efficiency(wavelength_um, &at, off.rad[2])]
            }
            Optics::Array(array) => array.efficiencies(wavelength_um, &array_pose(off)),
            Optics::Loops(loops) => loops.efficiencies(wavelength_um, &array_pose(off)),
        }
    }
}

/// A turn about x by a positive angle tips the receiver's axis towards -y.
fn array_pose(off: &Pose) -> optics::Pose {
    optics::Pose {
        x_um: off.um[0],
        y_um: off.um[1],
        z_um: off.um[2],
        pitch_rad: -off.rad[0],
        yaw_rad: off.rad[1],
        roll_rad: off.rad[2],
    }
}

/// What a unit's optics are drawn from.
pub(super) struct Drawn<'a> {
    pub(super) plan: &'a PartPlan,
    /// Stream of the unit and of its lot.
    pub(super) unit: Stream,
    pub(super) lot: Stream,
    pub(super) defect: Option<Defect>,
}

impl Drawn<'_> {
    fn optics(&self) -> &OpticsPlan {
        &self.plan.optics
    }

    /// A mode radius with the unit's own error.
    fn radius(&self, um: f64, index: u64) -> f64 {
        um * (1.0 + self.plan.spread.mode_rel * self.unit.symmetric(index))
    }

    /// The unit's optics.
    pub(super) fn build(&self) -> Optics {
        if let Some(map) = &self.optics().map {
            return Optics::One(Rc::new(map.clone()));
        }
        match self.plan.preset {
            Preset::Receptacle | Preset::Chip => Optics::One(self.facets(self.fixed(), self.fibre())),
            Preset::Pigtail => Optics::One(self.laser()),
            Preset::Multimode => Optics::One(self.receiver()),
            Preset::EdgeArray => Optics::Array(self.array(self.facets(self.fixed(), self.fibre()))),
            Preset::GratingArray => Optics::Array(self.array(self.grating())),
            Preset::Loopback => self.loops(),
        }
    }

    fn fixed(&self) -> Mode {
        let mode = self.optics().fixed_um;
        Mode { x_um: self.radius(mode.x_um, 3), y_um: self.radius(mode.y_um, 4) }
    }

    fn fibre(&self) -> f64 {
        self.radius(self.optics().fibre_um, 5)
    }

    /// Two facets, or what replaces their Gaussian modes.
    fn facets(&self, fixed: Mode, fibre_um: f64) -> Rc<dyn Interface> {
        let o = self.optics();
        let pair: Rc<dyn Interface> = match (self.numeric(fixed, fibre_um), o.lensed_um) {
            (Some(pair), _) => Rc::new(pair),
            (None, Some(working_distance_um)) => Rc::new(LensedFibre {
                waist: Mode::round(fibre_um),
                facet: fixed,
                working_distance_um,
                reflectance: o.reflectance,
                excess_db: 0.0,
            }),
            (None, None) => Rc::new(FacetPair {
                facets: Facets { reflectance: o.reflectance, index: o.index, round_trips: o.round_trips },
                ..FacetPair::between(fixed, Mode::round(fibre_um))
            }),
        };
        self.stray(pair)
    }

    fn stray(&self, inner: Rc<dyn Interface>) -> Rc<dyn Interface> {
        let o = self.optics();
        if o.halo_db.is_none() && o.neighbours_db.is_none() {
            return inner;
        }
        let neighbours = o.neighbours_db.map(|down_db| Neighbours { pitch_um: o.pitch_um, count: [2, 2], down_db });
        Rc::new(WithStray { inner, halos: o.halo_db.map(Halo::cladding).into_iter().collect(), neighbours })
    }

    /// A pair of computed modes; none where the modes are Gaussian.
    fn numeric(&self, fixed: Mode, fibre_um: f64) -> Option<NumericPair> {
        let o = self.optics();
        let gaussian = NumericMode::straight(Shape::Gaussian(Mode::round(fibre_um)));
        let (emitter, receiver) = match o.modes {
            Modes::Gaussian => return None,
            Modes::StepIndex => {
                // Standard fibre: 8.2 um core, NA 0.14 (Corning SMF-28's data sheet); a part that is no fibre keeps its mode.
                let fibre = StepIndex::lp01(4.1 * fibre_um / 4.6, 0.14, o.wavelength_um).ok()?;
                let mode = NumericMode::straight(Shape::StepIndex(fibre));
                (mode.clone(), mode)
            }
            Modes::Rotated => {
                let turn_rad = o.turn_deg.to_radians() + 0.2 * self.unit.symmetric(20);
                (NumericMode { shape: Shape::Gaussian(fixed), turn_rad }, gaussian)
            }
            Modes::Skewed => (NumericMode::straight(Shape::Skewed { mode: fixed, skew: [0.2, 0.1] }), gaussian),
            Modes::Lobed => {
                let lobe = |side: f64| FieldLobe {
                    at_um: [side * 2.4 * fixed.x_um, 0.0],
                    down_db: o.lobe_db + 2.0 * self.unit.symmetric(21),
                    radius_um: 0.6 * fixed.x_um,
                };
                (NumericMode::straight(Shape::Lobed { mode: fixed, lobes: vec![lobe(-1.0), lobe(1.0)] }), gaussian)
            }
        };
        Some(NumericPair::new(&emitter, &receiver, o.index, 0.0))
    }

    /// A laser imaged by a lens, with the rings of the lens.
    fn laser(&self) -> Rc<dyn Interface> {
        let image = self.fixed();
        let magnification = 4.5;
        self.stray(Rc::new(LaserLens {
            laser: Mode { x_um: image.x_um / magnification, y_um: image.y_um / magnification },
            astigmatism_um: 2.0 * self.unit.uniform(22),
            magnification,
            focal_um: 800.0,
            fibre: Mode::round(self.fibre()),
            moved: Moved::Fibre,
            lobes: aberration_ring(self.unit.child(23), image.x_um, 3),
            excess_db: 0.0,
        }))
    }

    /// A spot on a flat-topped receiver: multimode core or photodiode.
    fn receiver(&self) -> Rc<dyn Interface> {
        let o = self.optics();
        let aperture_um = self.radius(o.aperture_um, 25);
        let speckle = (o.speckle_db > 0.0).then(|| Speckle::new(self.unit.child(24), o.speckle_db, [3.0, 15.0]));
        if let Some(core_um) = o.core_um {
            let radius_um = [self.radius(core_um, 26), aperture_um];
            // OM3 and OM4: numerical aperture 0.2 (IEC 60793-2-10).
            return Rc::new(CorePair { radius_um, aperture: [0.2, 0.2], index: o.index, speckle, excess_db: 0.0 });
        }
        Rc::new(Photodiode {
            spot: self.fixed(),
            area: if o.square { Area::Square(aperture_um) } else { Area::Round(aperture_um) },
            index: o.index,
            speckle,
            excess_db: 0.0,
        })
    }

    fn grating(&self) -> Rc<dyn Interface> {
        let o = self.optics();
        Rc::new(GratingCoupler {
            grating: self.fixed(),
            fibre: Mode::round(self.fibre()),
            centre_um: o.wavelength_um,
            height_um: o.gap_um,
            index: o.index,
            insertion_loss_db: 0.0,
            ..GratingCoupler::silicon()
        })
    }

    /// Cores of the fibre array and ports of the chip. Groove pitch and bow are of the lot, cores of the unit.
    fn rows(&self) -> Rows {
        let (o, s) = (self.optics(), &self.plan.spread);
        let cores = RowPlan {
            channels: o.channels,
            pitch_um: o.pitch_um,
            pitch_error_um: s.pitch_error_um * self.lot.symmetric(30),
            core_error_um: s.core_error_um,
            sag_um: [0.0, 0.0],
        };
        let bow = s.bow_um * (0.7 * self.lot.uniform(31) + 0.3 * self.unit.uniform(31));
        let ports = RowPlan { pitch_error_um: 0.0, core_error_um: 0.0, sag_um: [bow, 0.3 * bow], ..cores };
        Rows {
            cores_um: cores.draw(self.unit.child(32)),
            ports_um: ports.draw(self.unit.child(33)),
            lever_um: [0.0, 0.0, s.lever_um * (1.0 + 0.2 * self.unit.symmetric(34))],
        }
    }

    fn channels(&self) -> Vec<Option<usize>> {
        let count = self.optics().channels as usize;
        let which = |n: usize| usize::try_from(self.unit.bits(35) % n.max(1) as u64).unwrap_or(0);
        let mut channels = match self.defect {
            Some(Defect::Flipped) => flipped(count),
            _ => straight(count),
        };
        match self.defect {
            Some(Defect::DeadChannel) => channels[which(count)] = None,
            Some(Defect::Swapped) if count > 1 => {
                let first = which(count - 1);
                channels.swap(first, first + 1);
            }
            _ => {}
        }
        channels
    }

    fn port_loss_db(&self) -> Vec<f64> {
        let s = &self.plan.spread;
        (0..u64::from(self.optics().channels)).map(|k| s.port_loss_db * self.unit.child(36).uniform(k)).collect()
    }

    fn array(&self, interface: Rc<dyn Interface>) -> ArrayCoupling<Rc<dyn Interface>> {
        ArrayCoupling { rows: self.rows(), interface, port_loss_db: self.port_loss_db(), channels: self.channels() }
    }

    /// Outer channels joined to one another, then the next, by loops of the chip.
    fn loops(&self) -> Optics {
        let (count, s) = (self.optics().channels as usize, &self.plan.spread);
        let dead = self.defect == Some(Defect::DeadChannel);
        let one = |k: usize| Loop {
            inlet: k,
            outlet: count - 1 - k,
            loss_db: s.port_loss_db * self.unit.child(36).uniform(k as u64)
                + if dead && k == 0 { super::DARK_DB } else { 0.0 },
        };
        let facets = || self.facets(self.fixed(), self.fibre());
        let loops = (0..(self.optics().loops as usize).min(count / 2)).map(one).collect();
        Optics::Loops(Loopback { rows: self.rows(), inlet: facets(), outlet: facets(), loops })
    }
}
