//! A scene: where the light is. Its power at any pose and time, and the truth that a search never sees.

use std::f64::consts::{LN_10, TAU};
use std::fmt;

use recipes::Axis;

use super::condition::Condition;
use super::rng::{Rng, seed};

/// A stage position, um and degrees; axes that a scene lacks stay 0.
pub type Pose = [f64; 6];

/// Power of each channel, mW; channels that a scene lacks stay 0.
pub type Powers = [f64; 8];

/// dB a neper of power.
pub const NEPER_DB: f64 = 10.0 / LN_10;

/// What a clean objective is where there is no light.
pub const DARK_DBM: f64 = -120.0;

/// Constant background on every channel, mW (-75 dBm).
pub const STRAY_MW: f64 = 3.162_277_660_168_379e-8;

/// 10 to the power of a tenth of this.
pub fn ratio(db: f64) -> f64 {
    libm::exp(db / NEPER_DB)
}

/// The light of a scene: a pure function of where the stage really is and how far the part has drifted.
pub trait Optics: fmt::Debug + Send + Sync {
    /// Power of each channel, mW, at a pose, where the part has drifted by so much in x and y, um.
    fn powers(&self, pose: &Pose, drift: (f64, f64), powers: &mut Powers);

    /// Pose that the light is built around, at time 0: what a centring error is measured against.
    fn centre(&self) -> Pose;

    /// Poses from which a climb reaches the highest peak; the truth is sought from each.
    fn starts(&self) -> Vec<Pose> {
        vec![self.centre()]
    }

    /// First steps of that climb; `None` where the first start is the very optimum.
    fn steps(&self) -> Option<Pose> {
        None
    }
}

/// What is maximised where there are several channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// The mean power of all channels; with one channel, its power.
    Mean,
    /// The weakest channel.
    Least,
}

/// What a search may know of a landscape beforehand.
#[derive(Debug, Clone, PartialEq)]
pub struct Nominal {
    /// Name on the command line.
    pub name: String,
    /// Axes, in the order of every pose.
    pub axes: &'static [Axis],
    /// A step worth taking along each axis.
    pub scale: Pose,
    /// How far from the start the peak may be.
    pub reach: Pose,
    /// 1/e^2 half width of the peak along each axis.
    pub width: Pose,
    /// Wavelength, um.
    pub wavelength_um: f64,
    /// Channels of one reading.
    pub channels: usize,
    /// What is maximised.
    pub objective: Objective,
    /// Readings allowed.
    pub budget: usize,
    /// Additional noise floor of this landscape, dB.
    pub floor_db: f64,
    /// What a typical part loses at its peak beside the scenes' own scatter, dB.
    pub loss_db: f64,
    /// Random walk of every channel's power, dB a reading after a motion, one standard deviation.
    pub walk_db: f64,
}

/// One trial of a landscape under a condition.
#[derive(Debug)]
pub struct Scene {
    /// What a search may know.
    pub nominal: Nominal,
    /// The station.
    pub condition: Condition,
    /// Seed of the trial's streams.
    pub seed: u64,
    /// Direction of the part's drift, radians.
    pub drift_azimuth: f64,
    /// Phase of the laser's wander, radians.
    pub laser_phase: f64,
    /// Where in its play each axis stands at first, -1 to 1.
    pub play0: Pose,
    /// The light.
    pub optics: Box<dyn Optics>,
}

/// Redraws until a start has light; a landscape that needs more is not a landscape.
const DRAWS_MAX: usize = 1000;

/// A start darker than this is redrawn, dBm.
const START_DBM: f64 = -45.0;

impl Scene {
    /// Draws a trial. `draw` takes the landscape's own numbers from the stream; the scene does not depend on the
    /// condition. `lit` says that a start without light is redrawn.
    pub fn draw(
        nominal: &Nominal,
        stream: &str,
        trial: u64,
        condition: Condition,
        lit: bool,
        draw: impl Fn(&mut Rng) -> Box<dyn Optics>,
    ) -> Scene {
        let seed = seed(stream, trial);
        let mut rng = Rng::new(seed);
        let mut once = || {
            let optics = draw(&mut rng);
            let drift_azimuth = TAU * rng.uni();
            let laser_phase = TAU * rng.uni();
            let mut play0 = [0.0; 6];
            play0[..nominal.axes.len()].fill_with(|| rng.sym());
            Scene { nominal: nominal.clone(), condition, seed, drift_azimuth, laser_phase, play0, optics }
        };
        let mut scene = once();
        for _ in 1..DRAWS_MAX {
            if !lit || scene.clean_dbm(&[0.0; 6], 0.0) >= START_DBM {
                break;
            }
            scene = once();
        }
        scene
    }

    /// Number of axes.
    pub fn dimensions(&self) -> usize {
        self.nominal.axes.len()
    }

    /// How far the part has drifted in x and y, um.
    pub fn drift_um(&self, t_s: f64) -> (f64, f64) {
        let way = self.condition.drift_um_s * t_s;
        (way * libm::cos(self.drift_azimuth), way * libm::sin(self.drift_azimuth))
    }

    /// Power of each channel, mW, without noise, background and wander.
    pub fn powers(&self, pose: &Pose, t_s: f64, powers: &mut Powers) {
        self.optics.powers(pose, self.drift_um(t_s), powers);
    }

    /// How far a pose is off the light's centre across it, um.
    pub fn off_centre_um(&self, pose: &Pose, t_s: f64) -> f64 {
        let (c, drift) = (self.optics.centre(), self.drift_um(t_s));
        let (x, y) = (pose[0] - c[0] - drift.0, pose[1] - c[1] - drift.1);
        (x * x + y * y).sqrt()
    }

    /// The objective without noise, background and wander, dBm.
    pub fn clean_dbm(&self, pose: &Pose, t_s: f64) -> f64 {
        let mut powers = [0.0; 8];
        self.powers(pose, t_s, &mut powers);
        let lit = &powers[..self.nominal.channels];
        #[expect(clippy::cast_precision_loss, reason = "at most eight")]
        let power = match self.nominal.objective {
            Objective::Mean => lit.iter().sum::<f64>() / lit.len() as f64,
            Objective::Least => lit.iter().copied().fold(f64::INFINITY, f64::min),
        };
        if power > 1e-12 { NEPER_DB * libm::log(power) } else { DARK_DBM }
    }

    /// Amplitude of the additive noise of one reading, mW.
    pub fn noise_mw(&self) -> f64 {
        ratio(self.condition.floor_dbm + self.nominal.floor_db)
    }
}

/// Whether an axis is an angle.
pub fn is_angle(axis: Axis) -> bool {
    matches!(axis, Axis::Rx | Axis::Ry | Axis::Rz)
}
