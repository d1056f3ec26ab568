//! The station as a search sees it: a [`Probe`] that keeps the truth to itself.

use async_trait::async_trait;
use recipes::Axis;
use station::event::Sample;
use station::search::{AxisInfo, ChannelInfo, Costs, Probe, ProbeInfo, SearchError, Stop};
use units::{Power, Reading};

use super::scene::{Pose, is_angle};
use super::station::{ANGULAR, LINEAR, Refused, Shown, Station};

/// The play that a search is told is uniform within a tenth of the truth: this is its standard deviation.
const PLAY_SPREAD: f64 = 0.06;

/// How far the axes go, um and degrees: farther than any search has reason to.
const RANGE: (f64, f64) = (1000.0, 20.0);

/// A scene's station as a [`Probe`].
///
/// `commanded` and `actual` of a sample are both the commanded position, `t_s` is the clock at its return, and every
/// point of a path is one sample. Where the meter lags, a sample shows what the one before it saw, as on a real line.
#[derive(Debug)]
pub struct BoardProbe {
    /// The station; a search never sees it.
    pub station: Station,
    info: ProbeInfo,
    refused: Option<Refused>,
    calls_s: f64,
}

impl BoardProbe {
    /// Wraps a station.
    pub fn new(station: Station) -> BoardProbe {
        let info = describe(&station);
        BoardProbe { station, info, refused: None, calls_s: 0.0 }
    }

    /// Why the station refused a reading or a path, if it did.
    pub fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Time of this machine spent in here rather than in the search, s.
    pub fn own_s(&self) -> f64 {
        self.calls_s
    }

    fn pose(&self, position: &[f64]) -> Pose {
        let mut pose = [0.0; 6];
        for (p, q) in pose.iter_mut().zip(position) {
            *p = *q;
        }
        pose
    }

    fn timed<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let began = std::time::Instant::now();
        let out = act(self);
        self.calls_s += began.elapsed().as_secs_f64();
        out
    }

    fn row(&self, pose: &Pose) -> Vec<f64> {
        pose[..self.info.axes.len()].to_vec()
    }

    fn sample(&self, shown: &Shown) -> Sample {
        let commanded = self.row(&shown.commanded);
        let channels = &shown.channels_dbm[..self.info.channels.len()];
        let readings = channels.iter().map(|dbm| Reading::Power(Power::from_dbm(*dbm))).collect();
        Sample { t_s: shown.t_s, actual: commanded.clone(), commanded, readings }
    }

    fn refuse(&mut self, why: Refused, speed: f64) -> SearchError {
        self.refused = Some(why);
        match why {
            Refused::Budget => SearchError::Budget(self.station.readings()),
            Refused::Path => SearchError::TooFast { speed },
        }
    }

    fn run(&mut self, points: &[Pose], speed: f64, stop: Option<Stop>) -> Result<Vec<Sample>, SearchError> {
        let stop = stop.map(|s| (s.above.dbm().unwrap_or(f64::NEG_INFINITY), s.every));
        match self.station.sweep(points, speed, stop) {
            Ok(shown) => Ok(shown.iter().map(|s| self.sample(s)).collect()),
            Err(why) => Err(self.refuse(why, speed)),
        }
    }
}

fn describe(station: &Station) -> ProbeInfo {
    let (scene, c) = (&station.scene, station.scene.condition);
    let axis = |(i, axis): (usize, &Axis)| {
        let (range, (speed, acceleration), repeatability) =
            if is_angle(*axis) { (RANGE.1, ANGULAR, c.repeatability.1) } else { (RANGE.0, LINEAR, c.repeatability.0) };
        AxisInfo {
            axis: *axis,
            lower: -range,
            upper: range,
            speed,
            acceleration,
            play: station.play_given[i],
            play_spread: PLAY_SPREAD,
            repeatability,
        }
    };
    let channel = |i: usize| ChannelInfo {
        name: format!("channel {i}"),
        floor: Power::from_watts(scene.noise_mw() * 1e-3),
        relative_db: c.relative_db,
    };
    let exchange_s = c.exchange_s.0;
    ProbeInfo {
        axes: scene.nominal.axes.iter().enumerate().map(axis).collect(),
        channels: (0..scene.nominal.channels).map(channel).collect(),
        costs: Costs {
            move_s: exchange_s + c.settle_s,
            reading_s: exchange_s + c.integrate_s,
            // Arm, start, read out.
            sweep_s: 3.0 * exchange_s + c.settle_s,
            sample_s: c.integrate_s,
            reading_min_s: exchange_s - c.exchange_s.1,
            lag_s: c.lag_s,
        },
        drift_um_s: c.drift_um_s,
        wander_db: c.laser_db,
        curves: true,
    }
}

/// Points of a straight sweep: evenly spaced, one integration apart or more, no faster than the axes go.
fn straight(from: &Pose, to: &Pose, speed: f64, angle: &[bool; 6], integrate_s: f64) -> Vec<Pose> {
    let way = |turning: bool| {
        let square = |i: usize| if angle[i] == turning { (to[i] - from[i]).powi(2) } else { 0.0 };
        (0..6).map(square).sum::<f64>().sqrt()
    };
    let seconds = (way(false) / speed).max(way(true) / ANGULAR.0);
    // Rounded down, so that no interval is shorter than the meter's; at least one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the budget of readings")]
    let steps = ((seconds / integrate_s) * (1.0 + 1e-12)).floor().clamp(1.0, 1e6) as u32;
    let at = |k: u32| {
        let share = f64::from(k) / f64::from(steps);
        std::array::from_fn(|i| if k == steps { to[i] } else { from[i] + share * (to[i] - from[i]) })
    };
    (0..=steps).map(at).collect()
}

#[async_trait(?Send)]
impl Probe for BoardProbe {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn now_s(&self) -> f64 {
        self.station.now_s()
    }

    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        Ok(self.row(&self.station.command()))
    }

    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
        let pose = self.pose(position);
        self.timed(|p| p.station.move_to(&pose));
        Ok(())
    }

    async fn measure(&mut self) -> Result<Sample, SearchError> {
        self.timed(|p| match p.station.read() {
            Ok(shown) => Ok(p.sample(&shown)),
            Err(why) => Err(p.refuse(why, 0.0)),
        })
    }

    async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError> {
        let (from, to) = (self.station.command(), self.pose(to));
        let speed = speed.min(LINEAR.0);
        let angle = std::array::from_fn(|i| self.info.axes.get(i).is_some_and(|a| is_angle(a.axis)));
        let integrate_s = self.station.scene.condition.integrate_s;
        self.timed(|p| p.run(&straight(&from, &to, speed, &angle, integrate_s), speed, None))
    }

    async fn sweep_path(
        &mut self,
        path: &[Vec<f64>],
        speed: f64,
        stop: Option<Stop>,
    ) -> Result<Vec<Sample>, SearchError> {
        let points: Vec<Pose> = path.iter().map(|p| self.pose(p)).collect();
        self.timed(|p| p.run(&points, speed, stop))
    }

    async fn wait(&mut self, seconds: f64) {
        self.station.wait(seconds);
    }
}
