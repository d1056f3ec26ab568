//! The eight landscapes: what each draws, in which order, and the light that follows.

use std::f64::consts::{PI, TAU};

use recipes::Axis;

use super::aperture::Aperture;
use super::chip::{self, Chip};
use super::condition::Condition;
use super::rng::Rng;
use super::scene::{Nominal, Objective, Optics, Pose, Powers, Scene, ratio};

/// Names of all landscapes; `chip6d` stands apart: [`chip::NAME`].
pub const NAMES: [&str; 8] = ["smf2d", "smf3d", "edge5d", "array8", "array8min", "firstlight", "multimode", "rugged"];

const XY: &[Axis] = &[Axis::X, Axis::Y];
const XYZ: &[Axis] = &[Axis::X, Axis::Y, Axis::Z];
const XYZPW: &[Axis] = &[Axis::X, Axis::Y, Axis::Z, Axis::Rx, Axis::Ry];
const XYZPWR: &[Axis] = &[Axis::X, Axis::Y, Axis::Z, Axis::Rx, Axis::Ry, Axis::Rz];

pub(super) fn deg(degrees: f64) -> f64 {
    degrees * (PI / 180.0)
}

/// What a search may know of a landscape; `None` for a name that is none.
pub fn nominal(name: &str) -> Option<Nominal> {
    if name == chip::NAME {
        return Some(chip::nominal());
    }
    let (axes, scale, width, reach): (&'static [Axis], Pose, Pose, Pose) = match name {
        "smf2d" => (XY, pad(&[5.2, 5.2]), pad(&[5.2, 5.2]), pad(&[15.0, 15.0])),
        "firstlight" => (XY, pad(&[5.2, 5.2]), pad(&[5.2, 5.2]), pad(&[100.0, 100.0])),
        "smf3d" => (XYZ, pad(&[5.2, 5.2, 40.0]), pad(&[5.2, 5.2, 109.6]), pad(&[15.0, 15.0, 60.0])),
        "rugged" => (XYZ, pad(&[5.2, 5.2, 20.0]), pad(&[5.2, 5.2, 109.6]), pad(&[25.0, 25.0, 20.0])),
        "multimode" => (XY, pad(&[20.0, 20.0]), pad(&[20.0, 20.0]), pad(&[40.0, 40.0])),
        "edge5d" => {
            let scale = pad(&[1.5, 1.5, 4.0, 4.0, 4.0]);
            (XYZPW, scale, pad(&[1.5, 1.5, 9.12, 18.85, 18.85]), pad(&[4.0, 4.0, 8.0, 4.0, 4.0]))
        }
        "array8" | "array8min" => {
            let scale = [4.6, 4.6, 35.0, 1.5, 1.5, 0.4];
            (XYZPWR, scale, [4.6, 4.6, 101.5, 5.19, 5.19, 0.906], [8.0, 8.0, 40.0, 1.0, 1.0, 0.5])
        }
        _ => return None,
    };
    let array = name.starts_with("array8");
    Some(Nominal {
        name: name.to_string(),
        axes,
        scale,
        width,
        reach,
        wavelength_um: if array {
            1.31
        } else if name == "multimode" {
            0.85
        } else {
            1.55
        },
        channels: if array { 8 } else { 1 },
        objective: if name == "array8min" { Objective::Least } else { Objective::Mean },
        budget: if name == "firstlight" {
            20_000
        } else if axes.len() > 3 {
            3000
        } else {
            1500
        },
        floor_db: if name == "firstlight" { 5.0 } else { 0.0 },
        loss_db: 0.0,
        walk_db: 0.0,
    })
}

/// Draws a trial of a landscape; `None` for a name that is none.
pub fn scene(name: &str, trial: u64, condition: Condition) -> Option<Scene> {
    let nominal = nominal(name)?;
    // The two array landscapes are the same scenes under two objectives.
    let stream = if name == "array8min" { "array8" } else { name };
    let draw = |rng: &mut Rng| -> Box<dyn Optics> {
        match stream {
            "smf2d" => Box::new(Facets::draw(rng, 15.0, false)),
            "firstlight" => Box::new(Facets::draw(rng, 100.0, true)),
            "smf3d" => Box::new(Spatial::draw(rng)),
            "edge5d" => Box::new(Edge::draw(rng)),
            "multimode" => Box::new(Multimode::draw(rng)),
            "rugged" => Box::new(Rugged::draw(rng)),
            chip::NAME => Box::new(Chip::draw(rng)),
            _ => Box::new(Array::draw(rng)),
        }
    };
    Some(Scene::draw(&nominal, stream, trial, condition, name != "firstlight", draw))
}

/// A pose of which the remaining axes are 0.
pub fn pad(values: &[f64]) -> Pose {
    let mut pose = [0.0; 6];
    pose[..values.len()].copy_from_slice(values);
    pose
}

/// Factor of one axis in the coupling of two Gaussian modes across an air gap (Joyce and DeLoach 1984).
pub fn gauss_axis(wavelength: f64, w1: f64, w2: f64, offset: f64, gap: f64, tilt: f64) -> f64 {
    let q = wavelength * gap / PI;
    let k = 4.0 * w1 * w1 * w2 * w2 / ((w1 * w1 + w2 * w2).powi(2) + q * q);
    let wz2 = w1 * w1 + (q / w1).powi(2);
    let t = PI * tilt / wavelength;
    let a = offset * offset / 2.0 * (1.0 / (w1 * w1) + 1.0 / (w2 * w2)) + t * t / 2.0 * (wz2 + w2 * w2)
        - offset * tilt * gap / (w1 * w1);
    k.sqrt() * libm::exp(-k * a)
}

/// The stage's frame against the optical one.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Where the peak is, in stage coordinates.
    pub(super) c: Pose,
    /// Rotation and non-orthogonality of the lateral axes.
    m: [f64; 4],
}

impl Frame {
    pub(super) fn new(c: Pose, rotation: f64, skew: f64) -> Frame {
        let m = [libm::cos(rotation), -libm::sin(rotation + skew), libm::sin(rotation), libm::cos(rotation + skew)];
        Frame { c, m }
    }

    pub(super) fn xy(&self, u: &Pose, drift: (f64, f64)) -> (f64, f64) {
        let ex = u[0] - self.c[0] - drift.0;
        let ey = u[1] - self.c[1] - drift.1;
        (self.m[0] * ex + self.m[1] * ey, self.m[2] * ex + self.m[3] * ey)
    }
}

pub(super) fn polar(radius: f64, azimuth: f64) -> (f64, f64) {
    (radius * libm::cos(azimuth), radius * libm::sin(azimuth))
}

/// `smf2d` and `firstlight`: two single-mode facets at a fixed gap.
#[derive(Debug, Clone)]
struct Facets {
    frame: Frame,
    w2: (f64, f64),
    p0: f64,
}

const FACET_W: f64 = 5.2;
const FACET_LAM: f64 = 1.55;
const FACET_GAP: f64 = 15.0;

impl Facets {
    fn draw(rng: &mut Rng, reach: f64, by_area: bool) -> Facets {
        let share = rng.uni();
        let radius = reach * if by_area { share.sqrt() } else { share };
        let (x, y) = polar(radius, TAU * rng.uni());
        let frame = Frame::new(pad(&[x, y]), deg(3.0) * rng.sym(), deg(0.3) * rng.sym());
        let w2 = (FACET_W * (1.0 + 0.03 * rng.sym()), FACET_W * (1.0 + 0.03 * rng.sym()));
        Facets { frame, w2, p0: ratio(-3.0 + 3.0 * rng.uni()) }
    }

    fn coupled(&self, x: f64, y: f64, gap: f64) -> f64 {
        gauss_axis(FACET_LAM, FACET_W, self.w2.0, x, gap, 0.0) * gauss_axis(FACET_LAM, FACET_W, self.w2.1, y, gap, 0.0)
    }
}

impl Optics for Facets {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let (x, y) = self.frame.xy(u, drift);
        powers[0] = self.p0 * self.coupled(x, y, FACET_GAP);
    }
    fn centre(&self) -> Pose {
        self.frame.c
    }
}

/// `smf3d`: the gap is an axis, and the stage's z is not quite the light's.
#[derive(Debug, Clone)]
struct Spatial {
    facets: Facets,
    slope: (f64, f64),
}

impl Spatial {
    fn draw(rng: &mut Rng) -> Spatial {
        let mut facets = Facets::draw(rng, 15.0, false);
        facets.frame.c[2] = 60.0 * rng.sym();
        Spatial { facets, slope: (libm::tan(deg(3.0) * rng.sym()), libm::tan(deg(3.0) * rng.sym())) }
    }
}

impl Optics for Spatial {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let (x, y) = self.facets.frame.xy(u, drift);
        let z = u[2] - self.facets.frame.c[2];
        powers[0] = self.facets.p0 * self.facets.coupled(x + self.slope.0 * z, y + self.slope.1 * z, z);
    }
    fn centre(&self) -> Pose {
        self.facets.frame.c
    }
}

/// `edge5d`: a chip's edge; turning moves the tip because the pivot is not in it.
#[derive(Debug, Clone)]
struct Edge {
    frame: Frame,
    w2: (f64, f64),
    p0: f64,
    pivot: [f64; 3],
}

const EDGE_W: f64 = 1.5;

impl Edge {
    fn draw(rng: &mut Rng) -> Edge {
        let radius = 4.0 * rng.uni();
        let (x, y) = polar(radius, TAU * rng.uni());
        let c = pad(&[x, y, 8.0 * rng.sym(), 4.0 * rng.sym(), 4.0 * rng.sym()]);
        let frame = Frame::new(c, deg(3.0) * rng.sym(), deg(0.3) * rng.sym());
        let w2 = (EDGE_W * (1.0 + 0.10 * rng.sym()), EDGE_W * (1.0 + 0.10 * rng.sym()));
        let p0 = ratio(-3.0 + 3.0 * rng.uni());
        Edge { frame, w2, p0, pivot: [30.0 * rng.sym(), 30.0 * rng.sym(), 60.0 * rng.sym()] }
    }
}

impl Optics for Edge {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let (ex, ey) = self.frame.xy(u, drift);
        let (pitch, yaw) = (deg(u[3] - self.frame.c[3]), deg(u[4] - self.frame.c[4]));
        let z = u[2] - self.frame.c[2] - self.pivot[0] * yaw - self.pivot[1] * pitch;
        powers[0] = self.p0
            * gauss_axis(1.55, EDGE_W, self.w2.0, ex + self.pivot[2] * yaw, z, yaw)
            * gauss_axis(1.55, EDGE_W, self.w2.1, ey + self.pivot[2] * pitch, z, pitch);
    }
    fn centre(&self) -> Pose {
        self.frame.c
    }
}

/// `array8` and `array8min`: eight fibres of 127 um pitch, each a little off its place.
#[derive(Debug, Clone)]
struct Array {
    frame: Frame,
    w2: (f64, f64),
    p0: f64,
    pivot: f64,
    /// Offsets and gain of each channel.
    channels: [(f64, f64, f64); 8],
}

const ARRAY_W: f64 = 4.6;
const PITCH_UM: f64 = 127.0;

impl Array {
    fn draw(rng: &mut Rng) -> Array {
        let radius = 8.0 * rng.uni();
        let (x, y) = polar(radius, TAU * rng.uni());
        let c = [x, y, 40.0 * rng.sym(), rng.sym(), rng.sym(), 0.5 * rng.sym()];
        let frame = Frame::new(c, deg(1.0) * rng.sym(), deg(0.3) * rng.sym());
        let w2 = (ARRAY_W * (1.0 + 0.03 * rng.sym()), ARRAY_W * (1.0 + 0.03 * rng.sym()));
        let p0 = ratio(-3.0 + 3.0 * rng.uni());
        let pivot = 200.0 * rng.sym();
        let channels = std::array::from_fn(|_| {
            let x = (0.3 * rng.norm()).clamp(-0.7, 0.7);
            let y = (0.3 * rng.norm()).clamp(-0.7, 0.7);
            (x, y, ratio(0.15 * rng.norm()))
        });
        Array { frame, w2, p0, pivot, channels }
    }
}

impl Optics for Array {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let c = &self.frame.c;
        let (x, y) = self.frame.xy(u, drift);
        let (pitch, yaw, roll) = (deg(u[3] - c[3]), deg(u[4] - c[4]), deg(u[5] - c[5]));
        let (x, y) = (x + self.pivot * yaw, y + self.pivot * pitch);
        let bow = (yaw * yaw + roll * roll) / 2.0;
        let mut place = -3.5 * PITCH_UM;
        for (power, (ex, ey, gain)) in powers.iter_mut().zip(self.channels) {
            let z = u[2] - c[2] - place * yaw;
            *power = self.p0
                * gain
                * gauss_axis(1.31, ARRAY_W, self.w2.0, x + ex - place * bow, z, yaw)
                * gauss_axis(1.31, ARRAY_W, self.w2.1, y + ey + place * roll, z, pitch);
            place += PITCH_UM;
        }
    }
    fn centre(&self) -> Pose {
        self.frame.c
    }
    fn steps(&self) -> Option<Pose> {
        Some([0.46, 0.46, 3.5, 0.15, 0.15, 0.04])
    }
}

/// `multimode`: a Gaussian spot on a wide core, with speckle on the plateau.
#[derive(Debug, Clone)]
struct Multimode {
    frame: Frame,
    p0: f64,
    aperture: Aperture,
    /// Wave vector and phase of each ripple.
    ripples: [(f64, f64, f64); 6],
}

const CORE_UM: f64 = 25.0;

impl Multimode {
    fn draw(rng: &mut Rng) -> Multimode {
        let radius = 10.0 + 30.0 * rng.uni();
        let (x, y) = polar(radius, TAU * rng.uni());
        let frame = Frame::new(pad(&[x, y]), deg(3.0) * rng.sym(), deg(0.3) * rng.sym());
        let aperture = Aperture::new(14.0 * (1.0 + 0.05 * rng.sym()), CORE_UM);
        let p0 = ratio(-3.0 + 3.0 * rng.uni());
        let ripples = std::array::from_fn(|_| {
            let k = TAU / (6.0 + 9.0 * rng.uni());
            let (kx, ky) = polar(k, TAU * rng.uni());
            (kx, ky, TAU * rng.uni())
        });
        Multimode { frame, p0, aperture, ripples }
    }
}

impl Optics for Multimode {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let (x, y) = self.frame.xy(u, drift);
        let sum: f64 = self.ripples.iter().map(|(kx, ky, phase)| libm::cos(kx * x + ky * y + phase)).sum();
        powers[0] = self.p0 * self.aperture.share((x * x + y * y).sqrt()) * ratio(0.015 * (2.0 / 6.0f64).sqrt() * sum);
    }
    fn centre(&self) -> Pose {
        self.frame.c
    }
    fn starts(&self) -> Vec<Pose> {
        // The ripples' crests on the plateau: the best of a fine grid, and two of its neighbours or rivals.
        let mut grid = Vec::new();
        for i in -24..=24 {
            for j in -24..=24 {
                let u = pad(&[self.frame.c[0] + 0.5 * f64::from(i), self.frame.c[1] + 0.5 * f64::from(j)]);
                let mut powers = [0.0; 8];
                self.powers(&u, (0.0, 0.0), &mut powers);
                grid.push((powers[0], u));
            }
        }
        grid.sort_by(|a, b| b.0.total_cmp(&a.0));
        [0, 3, 8].map(|k| grid[k].1).to_vec()
    }
    fn steps(&self) -> Option<Pose> {
        Some(pad(&[0.3, 0.3]))
    }
}

/// `rugged`: side lobes, a faint wide halo, and fringes of the gap.
#[derive(Debug, Clone)]
struct Rugged {
    facets: Facets,
    slope: (f64, f64),
    /// A crest of the fringes, um.
    z0: f64,
    /// Place, level and squared radius of each lobe.
    lobes: [(f64, f64, f64, f64); 5],
}

const FINESSE: f64 = 0.075;

impl Rugged {
    fn draw(rng: &mut Rng) -> Rugged {
        let mut facets = Facets::draw(rng, 25.0, true);
        facets.frame.c[2] = 20.0 * rng.sym();
        let slope = (libm::tan(deg(1.0) * rng.sym()), libm::tan(deg(1.0) * rng.sym()));
        let z0 = rng.uni() * FACET_LAM / 2.0;
        let lobes = std::array::from_fn(|_| {
            let radius = 13.0 + 10.0 * rng.uni();
            let (x, y) = polar(radius, TAU * rng.uni());
            let level = ratio(-(8.0 + 8.0 * rng.uni()));
            let w = 2.5 + 2.0 * rng.uni();
            (x, y, level, w * w)
        });
        Rugged { facets, slope, z0, lobes }
    }
}

impl Optics for Rugged {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let (ex, ey) = self.facets.frame.xy(u, drift);
        let z = u[2] - self.facets.frame.c[2];
        let (x, y) = (ex + self.slope.0 * z, ey + self.slope.1 * z);
        let mut g = self.facets.coupled(x, y, z);
        let kz = 1.0 / (1.0 + (FACET_LAM * z / (TAU * FACET_W * FACET_W)).powi(2));
        for (lx, ly, level, w2) in self.lobes {
            let q = ((x - lx).powi(2) + (y - ly).powi(2)) / w2;
            // Beyond this a lobe is darker than any meter sees.
            if q < 60.0 {
                g += level * kz * libm::exp(-q);
            }
        }
        g += ratio(-32.0) * libm::exp(-(x * x + y * y) / 1600.0);
        let s = libm::sin(TAU * (u[2] - self.z0) / FACET_LAM);
        powers[0] = self.facets.p0 * g / (1.0 + FINESSE * s * s);
    }
    fn centre(&self) -> Pose {
        self.facets.frame.c
    }
    fn starts(&self) -> Vec<Pose> {
        let c = self.facets.frame.c;
        let h = FACET_LAM / 2.0;
        let m = ((c[2] - self.z0) / h).round_ties_even();
        [-1.0, 0.0, 1.0].map(|k| pad(&[c[0], c[1], self.z0 + (m + k) * h])).to_vec()
    }
    fn steps(&self) -> Option<Pose> {
        Some(pad(&[0.52, 0.52, 0.05]))
    }
}
