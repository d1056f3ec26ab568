//! Foreign scenes: light that no search here has a model of, from the simulated world's optics and from maps. Stage,
//! meter and noise are those of the landscapes, and a search is told the data sheet and not the truth.

use std::f64::consts::TAU;
use std::fmt::Debug;
use std::sync::Arc;

use recipes::Axis;
use sim::noise::Stream;
use sim::optics::{
    ArrayCoupling, CouplingMap, FacetPair, FieldLobe, Interface, Loop, Loopback, Misalignment, Mode, NumericMode,
    NumericPair, Pose as Body, RowPlan, Rows, Shape, straight,
};

use super::condition::Condition;
use super::landscape::{self, Frame, deg, pad, polar};
use super::rng::Rng;
use super::scene::{NEPER_DB, Nominal, Optics, Pose, Powers, Scene, ratio};

/// Names of all foreign scenes.
pub const NAMES: [&str; 7] = [
    "foreign:ellipse2d",
    "foreign:tails2d",
    "foreign:lobe2d",
    "foreign:loopback2d",
    "foreign:polwalk2d",
    "foreign:ellipse5d",
    "foreign:bowed8",
];

/// The landscape whose data sheet a foreign scene has.
fn sheet(name: &str) -> Option<&'static str> {
    match name {
        "foreign:ellipse5d" => Some("edge5d"),
        "foreign:bowed8" => Some("array8"),
        name if NAMES.contains(&name) => Some("smf2d"),
        _ => None,
    }
}

/// What a search may know of a foreign scene; `None` for a name that is none.
pub fn nominal(name: &str) -> Option<Nominal> {
    let like = landscape::nominal(sheet(name)?)?;
    let walk_db = if name == "foreign:polwalk2d" { 0.03 } else { 0.0 };
    Some(Nominal { name: name.to_string(), walk_db, ..like })
}

/// Draws a trial of a foreign scene; `None` for a name that is none.
pub fn scene(name: &str, trial: u64, condition: Condition) -> Option<Scene> {
    let nominal = nominal(name)?;
    let draw = |rng: &mut Rng| -> Box<dyn Optics> {
        match name {
            "foreign:tails2d" => Box::new(Foreign::draw(rng, 15.0, tails)),
            "foreign:lobe2d" => Box::new(Foreign::draw(rng, 15.0, lobed)),
            "foreign:loopback2d" => Box::new(Foreign::draw(rng, 15.0, loopback)),
            "foreign:ellipse5d" => Box::new(Foreign::draw(rng, 4.0, ellipse5d)),
            "foreign:bowed8" => Box::new(Foreign::draw(rng, 8.0, bowed)),
            _ => Box::new(Foreign::draw(rng, 15.0, ellipse2d)),
        }
    };
    Some(Scene::draw(&nominal, name, trial, condition, true, draw))
}

/// The light over the stage's offset from where it belongs: um across and along the light, radians.
trait Light: Debug + Send + Sync {
    fn shares(&self, off: &Pose, shares: &mut Powers);
    /// Whether the highest share is where everything is in its place.
    fn centred(&self) -> bool;
}

/// A light, the stage's frame before it, and its power.
#[derive(Debug)]
struct Foreign<L> {
    frame: Frame,
    p0: f64,
    light: L,
    steps: Pose,
}

impl<L: Light> Foreign<L> {
    fn draw(rng: &mut Rng, reach: f64, light: impl Fn(&mut Rng, &mut Pose) -> L) -> Foreign<L> {
        let radius = reach * rng.uni();
        let (x, y) = polar(radius, TAU * rng.uni());
        let mut c = pad(&[x, y]);
        let (rotation, skew) = (deg(3.0) * rng.sym(), deg(0.3) * rng.sym());
        let p0 = ratio(-3.0 + 3.0 * rng.uni());
        let light = light(rng, &mut c);
        Foreign { frame: Frame::new(c, rotation, skew), p0, light, steps: [0.3, 0.3, 2.0, 0.1, 0.1, 0.03] }
    }
}

impl<L: Light> Optics for Foreign<L> {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let c = &self.frame.c;
        let (x, y) = self.frame.xy(u, drift);
        let off = [x, y, u[2] - c[2], deg(u[3] - c[3]), deg(u[4] - c[4]), deg(u[5] - c[5])];
        self.light.shares(&off, powers);
        for power in powers {
            *power *= self.p0;
        }
    }
    fn centre(&self) -> Pose {
        self.frame.c
    }
    fn steps(&self) -> Option<Pose> {
        (!self.light.centred()).then_some(self.steps)
    }
}

/// One interface of the simulated world at a fixed gap, and the levers of a pivot that is not in the tip.
#[derive(Debug)]
struct Between<I> {
    interface: I,
    wavelength_um: f64,
    gap_um: f64,
    /// Turn of the moving mode about the light, radians.
    turn_rad: f64,
    pivot_um: [f64; 3],
    centred: bool,
}

impl<I: Interface + Send + Sync> Light for Between<I> {
    fn shares(&self, [x, y, z, pitch, yaw, _]: &Pose, shares: &mut Powers) {
        let [lx, ly, lz] = self.pivot_um;
        let at = Misalignment {
            dx_um: x + lz * yaw,
            dy_um: y + lz * pitch,
            dz_um: self.gap_um + z - lx * yaw - ly * pitch,
            thx_rad: *yaw,
            thy_rad: *pitch,
        };
        shares[0] = self.interface.efficiency(self.wavelength_um, &at, self.turn_rad);
    }
    fn centred(&self) -> bool {
        self.centred
    }
}

/// A mode a fifth too wide one way and too narrow the other.
fn ellipse(radius_um: f64) -> FacetPair {
    let moving = Mode { x_um: 1.2 * radius_um, y_um: 0.8 * radius_um };
    FacetPair::between(Mode::round(radius_um), moving)
}

/// A turned ellipse before a round mode.
fn ellipse2d(rng: &mut Rng, _: &mut Pose) -> Between<FacetPair> {
    let (interface, turn_rad) = (ellipse(5.2), TAU * rng.uni());
    Between { interface, wavelength_um: 1.55, gap_um: 15.0, turn_rad, pivot_um: [0.0; 3], centred: true }
}

/// A turned ellipse before a chip's edge, with tilts and a pivot off the tip.
fn ellipse5d(rng: &mut Rng, c: &mut Pose) -> Between<FacetPair> {
    (c[2], c[3], c[4]) = (8.0 * rng.sym(), 4.0 * rng.sym(), 4.0 * rng.sym());
    let pivot_um = [30.0 * rng.sym(), 30.0 * rng.sym(), 60.0 * rng.sym()];
    let turn_rad = TAU * rng.uni();
    Between { interface: ellipse(1.5), wavelength_um: 1.55, gap_um: 0.0, turn_rad, pivot_um, centred: true }
}

/// One or two lobes in antiphase, 8 to 15 dB down, about the emitting mode, and a receiver a fifth too small.
fn lobed(rng: &mut Rng, _: &mut Pose) -> Between<NumericPair> {
    let lobes = 1 + usize::from(rng.uni() < 0.5);
    let lobe = |rng: &mut Rng| {
        let (x, y) = polar(5.2 * (1.8 + 1.2 * rng.uni()), TAU * rng.uni());
        FieldLobe { at_um: [x, y], down_db: 8.0 + 7.0 * rng.uni(), radius_um: 5.2 * (0.5 + 0.3 * rng.uni()) }
    };
    let lobes = (0..lobes).map(|_| lobe(rng)).collect();
    let emitter = NumericMode::straight(Shape::Lobed { mode: Mode::round(5.2), lobes });
    let receiver = NumericMode::straight(Shape::Gaussian(Mode::round(0.8 * 5.2)));
    let interface = NumericPair::new(&emitter, &receiver, 1.0, 0.0);
    Between { interface, wavelength_um: 1.55, gap_um: 15.0, turn_rad: 0.0, pivot_um: [0.0; 3], centred: false }
}

/// A core that is Gaussian and tails that fall exponentially: scattering, cladding, guiding layers.
#[derive(Debug)]
struct Tails {
    /// Distance that loses 4.343 dB, um.
    w_um: f64,
    /// Where the tails begin, in these.
    from: f64,
}

impl Light for Tails {
    fn shares(&self, off: &Pose, shares: &mut Powers) {
        let r = (off[0] * off[0] + off[1] * off[1]).sqrt() / self.w_um;
        // The tangent goes on where the parabola is left.
        let nepers = if r < self.from { r * r } else { self.from * (2.0 * r - self.from) };
        shares[0] = ratio(-NEPER_DB * nepers);
    }
    fn centred(&self) -> bool {
        true
    }
}

fn tails(rng: &mut Rng, _: &mut Pose) -> Tails {
    Tails { w_um: 5.2 * (1.0 + 0.2 * rng.sym()), from: 0.8 + 0.7 * rng.uni() }
}

/// Light in through one facet and back through another, both on the body that moves.
#[derive(Debug)]
struct Looped {
    chip: Loopback<FacetPair, FacetPair>,
    roll_rad: f64,
}

impl Light for Looped {
    fn shares(&self, off: &Pose, shares: &mut Powers) {
        let body = Body { x_um: off[0], y_um: off[1], z_um: 15.0, roll_rad: self.roll_rad, ..Body::default() };
        shares[0] = self.chip.efficiencies(1.55, &body).first().copied().unwrap_or(0.0);
    }
    fn centred(&self) -> bool {
        false
    }
}

fn loopback(rng: &mut Rng, _: &mut Pose) -> Looped {
    let mut off = |x: f64| [x + 0.5 * rng.sym(), 0.5 * rng.sym(), 0.0];
    let rows = Rows {
        cores_um: vec![off(-63.5), off(63.5)],
        ports_um: vec![[-63.5, 0.0, 0.0], [63.5, 0.0, 0.0]],
        lever_um: [0.0; 3],
    };
    let mut pair = || {
        let moving = Mode { x_um: 5.2 * (1.0 + 0.2 * rng.sym()), y_um: 5.2 * (1.0 + 0.2 * rng.sym()) };
        FacetPair::between(Mode::round(5.2), moving)
    };
    let (inlet, outlet) = (pair(), pair());
    let loops = vec![Loop { inlet: 0, outlet: 1, loss_db: 2.0 }];
    Looped { chip: Loopback { rows, inlet, outlet, loops }, roll_rad: deg(0.3) * rng.sym() }
}

/// Eight cores before a chip that is bowed.
#[derive(Debug)]
struct Bowed {
    array: ArrayCoupling<FacetPair>,
    gains: [f64; 8],
}

impl Light for Bowed {
    fn shares(&self, [x, y, z, pitch, yaw, roll]: &Pose, shares: &mut Powers) {
        let body = Body { x_um: *x, y_um: *y, z_um: *z, pitch_rad: *pitch, yaw_rad: *yaw, roll_rad: *roll };
        let through = self.array.efficiencies(1.31, &body);
        for ((share, power), gain) in shares.iter_mut().zip(through).zip(self.gains) {
            *share = power * gain;
        }
    }
    fn centred(&self) -> bool {
        false
    }
}

fn bowed(rng: &mut Rng, c: &mut Pose) -> Bowed {
    (c[2], c[3], c[4], c[5]) = (40.0 * rng.sym(), rng.sym(), rng.sym(), 0.5 * rng.sym());
    let cores = RowPlan { channels: 8, pitch_um: 127.0, pitch_error_um: 0.0, core_error_um: 0.3, sag_um: [0.0; 2] };
    let sag = 0.5 + rng.uni();
    let ports = RowPlan { core_error_um: 0.1, sag_um: [sag, 1.5 * rng.sym()], pitch_error_um: 0.02, ..cores };
    let stream = Stream::new(rng.bits(), "foreign:bowed8");
    let rows = Rows {
        cores_um: cores.draw(stream.child(0)),
        ports_um: ports.draw(stream.child(1)),
        lever_um: [0.0, 0.0, 200.0 * rng.sym()],
    };
    let moving = Mode { x_um: 4.6 * (1.0 + 0.2 * rng.sym()), y_um: 4.6 * (1.0 + 0.2 * rng.sym()) };
    let interface = FacetPair::between(Mode::round(4.6), moving);
    let gains = std::array::from_fn(|_| ratio(0.15 * rng.norm()));
    Bowed { array: ArrayCoupling { rows, interface, port_loss_db: Vec::new(), channels: straight(8) }, gains }
}

/// A coupling map with the stage's zero somewhere in it.
#[derive(Debug)]
struct Mapped {
    map: Arc<CouplingMap>,
    zero: [f64; 3],
    p0: f64,
}

impl Optics for Mapped {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let [x, y, z] = self.zero;
        powers[0] = self.p0 * ratio(-self.map.loss_db([x + u[0] - drift.0, y + u[1] - drift.1, z + u[2]]));
    }
    fn centre(&self) -> Pose {
        let (lowest, _) = self.map.lowest();
        pad(&[0, 1, 2].map(|a| lowest[a] - self.zero[a]))
    }
    fn steps(&self) -> Option<Pose> {
        Some(pad(&[0.2, 0.2, 1.0]))
    }
}

/// A fall over half a map that tells nothing of its depth, dB.
const NEXT_TO_NOTHING_DB: f64 = 0.1;

/// Steps outward in which a map is asked how wide its peak is.
const WIDTH_STEPS: u32 = 4000;

/// Step in which the way downhill is followed in a map, um.
const DOWN_UM: f64 = 0.1;

/// Distance from the least loss at which 4.343 dB are lost along an axis, both ways' mean, um. Along z the light may walk sideways: it is
/// followed. Where a map does not fall so far, what its farther end tells by the law of a focus, in which the loss is 1 + (z / z0)^2;
/// half of the span where that is next to nothing.
fn width(map: &CouplingMap, axis: usize) -> f64 {
    let mut from = map.lowest().0;
    let least = down(map, &mut from, &[0, 1, 2]);
    let (low, high) = map.span_um()[axis];
    // Where the loss is lost, or the farthest within the map and what is lost there.
    let out = |way: f64| {
        let mut at = from;
        let (mut away, mut lost_db) = (0.0, 0.0);
        for k in 1..=WIDTH_STEPS {
            let d = f64::from(k) / f64::from(WIDTH_STEPS) * (high - low);
            at[axis] = from[axis] + way * d;
            if !(low..=high).contains(&at[axis]) {
                break;
            }
            if axis == 2 {
                down(map, &mut at, &[0, 1]);
            }
            (away, lost_db) = (d, map.loss_db(at) - least);
            if lost_db >= NEPER_DB {
                return Ok(d);
            }
        }
        Err((away, lost_db))
    };
    match [1.0, -1.0].map(out) {
        [Ok(a), Ok(b)] => f64::midpoint(a, b),
        [Ok(d), Err(_)] | [Err(_), Ok(d)] => d,
        [Err(a), Err(b)] => {
            let (away, lost_db) = if a.1 > b.1 { a } else { b };
            if lost_db < NEXT_TO_NOTHING_DB {
                return (high - low) / 2.0;
            }
            away * ((std::f64::consts::E - 1.0) / (ratio(lost_db) - 1.0)).sqrt()
        }
    }
}

/// Downhill along some axes to where no step loses less; gives what is lost there, dB.
fn down(map: &CouplingMap, at: &mut [f64; 3], axes: &[usize]) -> f64 {
    let mut least = map.loss_db(*at);
    loop {
        let before = least;
        for (k, way) in axes.iter().flat_map(|k| [(*k, DOWN_UM), (*k, -DOWN_UM)]) {
            let mut to = *at;
            to[k] += way;
            let loss_db = map.loss_db(to);
            if loss_db < least {
                (*at, least) = (to, loss_db);
            }
        }
        if least >= before {
            return least;
        }
    }
}

/// What a search may know of a map: how wide its peak is and what it loses there, as a data sheet says it, and how large the map
/// is.
pub fn map_nominal(map: &CouplingMap) -> Nominal {
    let span = map.span_um();
    let deep = span[2].1 > span[2].0;
    let axes: &[Axis] = if deep { &[Axis::X, Axis::Y, Axis::Z] } else { &[Axis::X, Axis::Y] };
    let lateral = (width(map, 0) * width(map, 1)).sqrt();
    let along = if deep { width(map, 2) } else { 0.0 };
    let half = span.map(|(low, high)| (high - low) / 2.0);
    Nominal {
        name: "map".to_string(),
        axes,
        scale: pad(&[lateral, lateral, along.min(40.0)]),
        width: pad(&[lateral, lateral, along]),
        reach: pad(&half),
        wavelength_um: 1.55,
        channels: 1,
        objective: super::scene::Objective::Mean,
        budget: 1500,
        floor_db: 0.0,
        loss_db: map.lowest().1,
        walk_db: 0.0,
    }
}

/// Draws a trial of a map: the start is somewhere in it where there is light.
pub fn map_scene(map: &Arc<CouplingMap>, nominal: &Nominal, trial: u64, condition: Condition) -> Scene {
    let draw = |rng: &mut Rng| -> Box<dyn Optics> {
        let zero = map.span_um().map(|(low, high)| low + (high - low) * rng.uni());
        Box::new(Mapped { map: Arc::clone(map), zero, p0: ratio(-3.0 + 3.0 * rng.uni()) })
    };
    Scene::draw(nominal, "map", trial, condition, true, draw)
}
