//! The alignment engine: one physical model of the light over the pose, updated by every reading. The next reading is
//! taken where it buys most expected loss per second; the search ends when the loss it expects to leave is small enough,
//! and says so with its bound.

mod aperture;
mod choice;
mod climb;
mod design;
mod ends;
mod fit;
mod lanes;
mod left;
mod main_peak;
mod model;
mod optics;
mod plan;
mod play;
mod spiral;
mod survey;
#[cfg(test)]
mod tests;
mod trend;

use recipes::Axis;
use units::Reading;

use super::{Probe, SearchError};
use crate::event::Sample;
use design::Frame;
pub use ends::End;
use fit::{Data, Noise, Seen};
pub use lanes::LaneOrder;
pub use main_peak::{Evidence, align_main};
use model::{AXES, Model, Pose};
pub use plan::replay;
use play::History;
pub use trend::Trend;

/// What an array is aligned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// The mean power of all channels.
    Sum,
    /// The weakest channel.
    Weakest,
}

impl Objective {
    /// What counts of the powers of all channels, dBm.
    fn of(self, dbm: &[f64]) -> f64 {
        match self {
            Objective::Weakest => dbm.iter().copied().fold(f64::INFINITY, f64::min),
            Objective::Sum => {
                #[expect(clippy::cast_precision_loss, reason = "a handful of channels")]
                let n = dbm.len() as f64;
                10.0 * (dbm.iter().map(|d| 10f64.powf(d / 10.0)).sum::<f64>() / n).log10()
            }
        }
    }
}

/// What is known of light beside the main peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hills {
    /// How far from the start the main peak may be, um.
    pub radius_um: f64,
    /// The brightest side lobe is at least this much below the main peak, dB.
    pub lobe_db: f64,
    /// Broad cladding light is at least this much below the main peak, dB.
    pub halo_db: f64,
    /// How much dimmer than its peak the main hill may be where its z is unknown, dB.
    pub dimming_db: f64,
}

/// What is known before the first reading. Per-axis arrays are x, y, z (um), rx, ry, rz (degrees); of a part with two ends
/// x, y, z of the first and of the second (um).
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Wavelength in the gap, um.
    pub wavelength_um: f64,
    /// Mode radius (1/e^2 of intensity) of the side that stands still, um.
    pub emitter_radius_um: f64,
    /// Mode radius of the side that moves, um.
    pub receiver_radius_um: f64,
    /// Relative uncertainty of that radius, one standard deviation.
    pub radius_sd: f64,
    /// Whether that mode's ellipse may be turned any way; its axes are x and y where not.
    pub turned: bool,
    /// Gap when z is where the peak is expected, um.
    pub gap_um: f64,
    /// Where the peak is expected, from where the search starts.
    pub offset: [f64; AXES],
    /// Its standard deviation; 0 for axes that stay.
    pub search: [f64; AXES],
    /// Distance that loses about 4 dB, per axis.
    pub width: [f64; AXES],
    /// Power expected at the peak, dBm.
    pub level_dbm: f64,
    /// Its standard deviation, dB.
    pub level_sd_db: f64,
    /// Rotation of the stage's frame to the optics', degrees.
    pub rotation_sd_deg: f64,
    /// Departure of x and y from a right angle, degrees.
    pub shear_sd_deg: f64,
    /// Distance of the point that rotations turn about from the facet, um.
    pub pivot_sd_um: [f64; 3],
    /// Sideways walk of the light along z, um per um.
    pub walk_sd: f64,
    /// Where each channel stands along the array, um; one entry for a single fibre.
    pub channels_um: Vec<f64>,
    /// Position error of a channel's core, um.
    pub core_sd_um: f64,
    /// Difference of a channel's power from the others', dB.
    pub gain_sd_db: f64,
    /// Depth and period (um) of fringes in the gap.
    pub fringe: Option<(f64, f64)>,
    /// Radius of a round aperture that takes a spot of the receiver's radius, um: a flat top, which is centred between
    /// its flanks.
    pub aperture_um: Option<f64>,
    /// How near to a flat top's centre to come, um.
    pub centre_um: f64,
    /// The share of how far down a reading is, in dB, that the model may be wrong by there: no real mode is a Gaussian.
    pub shape: f64,
    /// By how much the light may fall off faster on one side of the peak than on the other, one standard deviation: 0.1 is a mode
    /// that is a tenth narrower on one side and a tenth wider on the other.
    pub skew_sd: f64,
    /// By how much the light may fall off faster along it than two Gaussian modes do, one standard deviation of the log of the
    /// scale; of the first end where there are two.
    pub depth_sd: f64,
    /// Ripple of the light that no model tells (speckle), dB, one standard deviation.
    pub ripple_db: f64,
    /// Where there may be side lobes: what to tell them by.
    pub hills: Option<Hills>,
    /// Radius around the start in which the light is first looked for by a continuous sweep, um.
    pub spiral_um: Option<f64>,
    /// The second end of a part that light passes through, where both are aligned at once. Such a part has one channel, and no
    /// angles, aperture, hills or spiral.
    pub second: Option<End>,
    /// What to align for.
    pub objective: Objective,
    /// Whether to read beside the peak too, rolled, until the order of an array's channels is known.
    pub tell_order: bool,
    /// Expected loss at which to stop, dB.
    pub tolerance_db: f64,
    /// Readings before the search gives up.
    pub readings_max: usize,
}

/// Where an alignment ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// Commanded position; the stage stands there.
    pub position: Vec<f64>,
    /// Loss that is expected to be left, dB.
    pub expected_loss_db: f64,
    /// Loss left with 95 % confidence, dB.
    pub bound95_db: f64,
    /// What the objective read there, after the last move, dBm.
    pub power_dbm: f64,
    /// Whether the tolerance was met.
    pub converged: bool,
    /// In which order the channels answered.
    pub order: LaneOrder,
    /// What changed meanwhile.
    pub trend: Trend,
    /// Readings taken.
    pub readings: usize,
    /// Places decided on.
    pub decisions: usize,
}

/// The order of the axes in a setup's arrays.
const ORDER: [Axis; AXES] = [Axis::X, Axis::Y, Axis::Z, Axis::Rx, Axis::Ry, Axis::Rz];
/// The same of a part with two ends.
pub const ORDER_OF_ENDS: [Axis; AXES] = [Axis::X, Axis::Y, Axis::Z, Axis::X2, Axis::Y2, Axis::Z2];

/// The search at work.
pub(in crate::search) struct Engine<'a> {
    probe: &'a mut dyn Probe,
    setup: &'a Setup,
    /// Index among the probe's axes of each of the pose's, where it has it.
    index: [Option<usize>; AXES],
    /// Axes the search moves.
    axes: Vec<usize>,
    model: Model,
    data: Data,
    /// In which order the channels answer; readings are kept in the order told.
    order: LaneOrder,
    /// Whether light and place are not held for still.
    changing: bool,
    /// Command now.
    command: Pose,
    began_s: f64,
    moved_s: f64,
    readings: usize,
    decisions: usize,
}

/// Aligns from where the stage stands.
///
/// # Errors
/// Those of the probe; `Saturated`; `NoAxis` where the setup searches an axis that the probe lacks; `NoLight`.
pub async fn align(probe: &mut dyn Probe, setup: &Setup) -> Result<Aligned, SearchError> {
    Engine::new(probe, setup).await?.run().await
}

impl<'a> Engine<'a> {
    async fn new(probe: &'a mut dyn Probe, setup: &'a Setup) -> Result<Engine<'a>, SearchError> {
        let position = probe.position().await?;
        let info = probe.info();
        let order = if setup.second.is_some() { ORDER_OF_ENDS } else { ORDER };
        let index = order.map(|a| info.index(a));
        let axes: Vec<usize> = (0..AXES).filter(|k| setup.search[*k] > 0.0).collect();
        if let Some(k) = axes.iter().find(|k| index[**k].is_none()) {
            return Err(SearchError::NoAxis(order[*k]));
        }
        let of = |f: &dyn Fn(usize) -> f64| -> Pose { std::array::from_fn(|k| index[k].map_or(0.0, f)) };
        let start = of(&|i| position[i]);
        let given: Pose = of(&|i| info.axes[i].play);
        let spread: Pose = std::array::from_fn(|k| {
            index[k].map_or(0.0, |i| {
                if info.axes[i].play > 0.0 && axes.contains(&k) { info.axes[i].play_spread } else { 0.0 }
            })
        });
        let noise = Noise {
            relative_db: info.channels.first().map_or(0.005, |c| c.relative_db),
            floor_mw: info.channels.first().map_or(1e-7, |c| c.floor.watts() * 1e3),
            repeat: of(&|i| info.axes[i].repeatability),
            shape: setup.shape,
            doubt: 1.0,
            ripple_db: setup.ripple_db,
            wander_db: info.wander_db / 2.0,
        };
        let model = Model::new(setup, &start, &spread, info.drift_um_s);
        let began_s = probe.now_s();
        Ok(Engine {
            probe,
            setup,
            index,
            axes,
            model,
            data: Data { history: History::new(start, given), seen: Vec::new(), noise },
            order: LaneOrder::AsTold,
            changing: false,
            command: start,
            began_s,
            moved_s: f64::NEG_INFINITY,
            readings: 0,
            decisions: 0,
        })
    }

    fn frame(&self) -> Frame<'_> {
        let flat = self.setup.aperture_um.map(|_| 2.0 * self.setup.tolerance_db / self.setup.centre_um.powi(2));
        Frame { axes: &self.axes, width: &self.setup.width, objective: self.setup.objective, flat }
    }

    fn t_s(&self) -> f64 {
        self.probe.now_s() - self.began_s
    }

    /// Moves to a command and remembers it.
    async fn go(&mut self, command: &Pose) -> Result<(), SearchError> {
        let mut position = self.probe.position().await?;
        let mut bounded = *command;
        for k in 0..AXES {
            if let Some(i) = self.index[k] {
                let axis = &self.probe.info().axes[i];
                bounded[k] = command[k].clamp(axis.lower, axis.upper);
                position[i] = bounded[k];
            }
        }
        if bounded == self.command {
            return Ok(());
        }
        self.probe.move_to(&position).await?;
        self.command = bounded;
        self.data.history.push(bounded);
        self.moved_s = self.probe.now_s();
        Ok(())
    }

    /// Reads here, once the meter shows this pose.
    async fn read(&mut self) -> Result<f64, SearchError> {
        let costs = self.probe.info().costs;
        if costs.lag_s > 0.0 {
            let due = self.moved_s + costs.lag_s - costs.reading_min_s;
            let wait = due - self.probe.now_s();
            if wait > 0.0 {
                self.probe.wait(wait).await;
            }
        }
        if self.readings >= self.setup.readings_max {
            return Err(SearchError::Budget(self.setup.readings_max));
        }
        let sample = self.probe.measure().await?;
        self.readings += 1;
        let mut dbm = levels(&sample)?;
        self.order.apply(&mut dbm);
        let value = self.value(&dbm);
        let bent = vec![0.0; dbm.len()];
        self.data.seen.push(Seen { commands: self.data.history.len(), t_s: self.t_s(), dbm, bent });
        Ok(value)
    }

    /// The objective of shown powers, dBm.
    fn value(&self, dbm: &[f64]) -> f64 {
        self.setup.objective.of(dbm)
    }
}

/// Lowest power that is told apart from none, dBm.
const DARK_DBM: f64 = -80.0;

/// Power of every channel, dBm.
fn levels(sample: &Sample) -> Result<Vec<f64>, SearchError> {
    sample
        .readings
        .iter()
        .map(|r| match r {
            Reading::Power(p) => Ok(p.dbm().map_or(DARK_DBM, |d| d.max(DARK_DBM))),
            Reading::UnderRange => Ok(DARK_DBM),
            Reading::Saturated => Err(SearchError::Saturated),
        })
        .collect()
}
