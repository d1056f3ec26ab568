//! `chip6d`: a waveguide chip with a fibre at each end. The light goes in at one and out at the other, so the power is the
//! product of both couplings.

use std::f64::consts::TAU;

use async_trait::async_trait;
use recipes::Axis;
use station::event::Sample;
use station::search::engine::{self, Setup};
use station::search::{AxisInfo, Probe, ProbeInfo, SearchError};

use super::landscape::{Frame, deg, gauss_axis, pad, polar};
use super::rng::Rng;
use super::scene::{NEPER_DB, Nominal, Optics, Pose, Powers, ratio};

/// Its name.
pub const NAME: &str = "chip6d";

pub(super) const AXES: &[Axis] = &[Axis::X, Axis::Y, Axis::Z, Axis::X2, Axis::Y2, Axis::Z2];
/// Axes of an end.
const EACH: usize = 3;

/// Wavelength, and mode radii of the chip's spot-size converters and of both fibres, um.
pub(super) const LAM: f64 = 1.31;
pub(super) const CHIP_W: f64 = 3.0;
pub(super) const FIBRE_W: [f64; 2] = [5.2, 5.0];

/// As far across and along the light as in smf3d, um.
const REACH_UM: f64 = 15.0;
const REACH_ALONG_UM: f64 = 60.0;

/// What modes of such sizes lose at the peak of each end, dB.
pub(super) fn mismatches_db() -> [f64; 2] {
    FIBRE_W.map(|w| -2.0 * NEPER_DB * libm::log(gauss_axis(LAM, CHIP_W, w, 0.0, 0.0, 0.0)))
}

/// Distances across and along the light that lose 4.3 and 3 dB at an end, um.
fn widths(fibre: f64) -> [f64; 3] {
    let sum = CHIP_W * CHIP_W + fibre * fibre;
    let across = (sum / 2.0).sqrt();
    [across, across, sum * std::f64::consts::PI / LAM]
}

/// What a search may know of it.
pub(super) fn nominal() -> Nominal {
    let [a, b] = FIBRE_W.map(widths);
    let end = [REACH_UM, REACH_UM, REACH_ALONG_UM];
    let both = |[x, y, z]: [f64; EACH], [x2, y2, z2]: [f64; EACH]| [x, y, z, x2, y2, z2];
    let step = |[x, y, z]: [f64; EACH]| [x, y, 0.4 * z];
    Nominal {
        name: NAME.to_string(),
        axes: AXES,
        scale: both(step(a), step(b)),
        width: both(a, b),
        reach: both(end, end),
        wavelength_um: LAM,
        channels: 1,
        objective: super::scene::Objective::Mean,
        budget: 3000,
        floor_db: 0.0,
        loss_db: 0.0,
        walk_db: 0.0,
    }
}

/// One end: a facet of the chip and the fibre before it, drawn as in smf3d.
#[derive(Debug, Clone)]
struct End {
    frame: Frame,
    fibre: (f64, f64),
    slope: (f64, f64),
}

impl End {
    fn draw(rng: &mut Rng, fibre: f64) -> End {
        let (x, y) = polar(REACH_UM * rng.uni(), TAU * rng.uni());
        let c = pad(&[x, y, REACH_ALONG_UM * rng.sym()]);
        let frame = Frame::new(c, deg(3.0) * rng.sym(), deg(0.3) * rng.sym());
        let fibre = (fibre * (1.0 + 0.03 * rng.sym()), fibre * (1.0 + 0.03 * rng.sym()));
        End { frame, fibre, slope: (libm::tan(deg(3.0) * rng.sym()), libm::tan(deg(3.0) * rng.sym())) }
    }

    fn coupled(&self, u: &[f64], drift: (f64, f64)) -> f64 {
        let u = pad(u);
        let (x, y) = self.frame.xy(&u, drift);
        let z = u[2] - self.frame.c[2];
        gauss_axis(LAM, CHIP_W, self.fibre.0, x + self.slope.0 * z, z, 0.0)
            * gauss_axis(LAM, CHIP_W, self.fibre.1, y + self.slope.1 * z, z, 0.0)
    }
}

/// The chip: both ends, and the power launched less what the waveguide loses. It drifts as one body.
#[derive(Debug, Clone)]
pub(super) struct Chip {
    ends: [End; 2],
    p0: f64,
}

impl Chip {
    pub(super) fn draw(rng: &mut Rng) -> Chip {
        let ends = FIBRE_W.map(|w| End::draw(rng, w));
        Chip { ends, p0: ratio(-3.0 + 3.0 * rng.uni()) }
    }
}

impl Optics for Chip {
    fn powers(&self, u: &Pose, drift: (f64, f64), powers: &mut Powers) {
        let ends = self.ends.iter().zip(u.chunks(EACH));
        powers[0] = self.p0 * ends.map(|(end, u)| end.coupled(u, drift)).product::<f64>();
    }
    fn centre(&self) -> Pose {
        let [a, b] = self.ends.each_ref().map(|end| end.frame.c);
        [a[0], a[1], a[2], b[0], b[1], b[2]]
    }
}

/// How little the first end's search is told the second time, as a share of the first.
const AGAIN: f64 = 0.1;

/// What the other end may lose while it is not aligned yet, dB: mean and standard deviation.
const OTHER_DB: (f64, f64) = (10.0, 10.0);

/// Both ends one after the other, and the first again, each by the engine with a model of that end alone: what is done where
/// nothing aligns both at once. Gives the last search's word, with the expected losses and decisions of all.
///
/// # Errors
/// Those of the engine; `NoAxis` on a stage without a second end.
pub(super) async fn in_turn(probe: &mut dyn Probe, both: &Setup) -> Result<engine::Aligned, SearchError> {
    let [first, second] = apart(both)?;
    let (other_db, other_sd_db) = OTHER_DB;
    let dim = Setup {
        level_dbm: first.level_dbm - other_db,
        level_sd_db: first.level_sd_db.hypot(other_sd_db),
        ..first.clone()
    };
    let again = Setup { search: first.search.map(|sd| AGAIN * sd), ..first };
    let mut decisions = 0;
    engine::align(&mut OneEnd::new(probe, 0)?, &dim).await.map(|a| decisions += a.decisions)?;
    let there = engine::align(&mut OneEnd::new(probe, EACH)?, &second).await?;
    let here = engine::align(&mut OneEnd::new(probe, 0)?, &again).await?;
    Ok(engine::Aligned {
        expected_loss_db: there.expected_loss_db + here.expected_loss_db,
        bound95_db: there.bound95_db + here.bound95_db,
        decisions: decisions + there.decisions + here.decisions,
        ..here
    })
}

/// Each end of a setup as one of its own; a single end's model counts its power from modes that are alike.
fn apart(both: &Setup) -> Result<[Setup; 2], SearchError> {
    let end = both.second.ok_or(SearchError::NoAxis(Axis::X2))?;
    let (kept, moved) = (|of: &Pose| pad(&of[..EACH]), |of: &Pose| pad(&of[EACH..]));
    let [one, two] = mismatches_db();
    let first = Setup {
        level_dbm: both.level_dbm + one,
        offset: kept(&both.offset),
        search: kept(&both.search),
        width: kept(&both.width),
        second: None,
        ..both.clone()
    };
    let second = Setup {
        level_dbm: both.level_dbm + two,
        emitter_radius_um: end.emitter_radius_um,
        receiver_radius_um: end.receiver_radius_um,
        radius_sd: end.radius_sd,
        gap_um: end.gap_um,
        offset: moved(&both.offset),
        search: moved(&both.search),
        width: moved(&both.width),
        rotation_sd_deg: end.rotation_sd_deg,
        shear_sd_deg: end.shear_sd_deg,
        walk_sd: end.walk_sd,
        ..first.clone()
    };
    Ok([first, second])
}

/// The three axes of one end as x, y and z; the other end stands.
struct OneEnd<'p> {
    probe: &'p mut dyn Probe,
    from: usize,
    info: ProbeInfo,
}

impl<'p> OneEnd<'p> {
    fn new(probe: &'p mut dyn Probe, from: usize) -> Result<OneEnd<'p>, SearchError> {
        let mut info = probe.info().clone();
        let mine = info.axes.get(from..from + EACH).ok_or(SearchError::NoAxis(AXES[from]))?;
        info.axes = AXES.iter().zip(mine).map(|(axis, info)| AxisInfo { axis: *axis, ..info.clone() }).collect();
        Ok(OneEnd { probe, from, info })
    }

    fn mine(&self, all: &[f64]) -> Vec<f64> {
        all[self.from..self.from + EACH].to_vec()
    }

    async fn all(&mut self, mine: &[f64]) -> Result<Vec<f64>, SearchError> {
        let mut all = self.probe.position().await?;
        all[self.from..self.from + EACH].copy_from_slice(mine);
        Ok(all)
    }

    fn sample(&self, of: Sample) -> Sample {
        Sample { commanded: self.mine(&of.commanded), actual: self.mine(&of.actual), ..of }
    }
}

#[async_trait(?Send)]
impl Probe for OneEnd<'_> {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn now_s(&self) -> f64 {
        self.probe.now_s()
    }

    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        let all = self.probe.position().await?;
        Ok(self.mine(&all))
    }

    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
        let all = self.all(position).await?;
        self.probe.move_to(&all).await
    }

    async fn measure(&mut self) -> Result<Sample, SearchError> {
        let sample = self.probe.measure().await?;
        Ok(self.sample(sample))
    }

    async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError> {
        let to = self.all(to).await?;
        let samples = self.probe.sweep(&to, speed).await?;
        Ok(samples.into_iter().map(|s| self.sample(s)).collect())
    }

    async fn wait(&mut self, seconds: f64) {
        self.probe.wait(seconds).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::condition::{IDEAL, STD};
    use super::super::landscape;
    use super::super::method::Method;
    use super::super::trial::{Outcome, attempt};
    use super::super::truth::truth;
    use super::*;

    #[test]
    fn the_start_has_light_and_no_pose_beside_the_peak_of_both_ends_has_more() {
        for trial in 0..5 {
            let scene = landscape::scene(NAME, trial, IDEAL).unwrap();
            let (start, top) = (scene.clean_dbm(&[0.0; 6], 0.0), truth(&scene));
            assert!(start >= -45.0 && start < top.dbm && top.dbm < 0.0, "{trial}: {start} {top:?}");
            for (i, by) in (0..scene.dimensions()).flat_map(|i| [0.5, -0.5].map(|by| (i, by))) {
                let mut beside = top.pose;
                beside[i] += by;
                assert!(scene.clean_dbm(&beside, 0.0) < top.dbm, "{trial}: axis {i}");
            }
        }
    }

    #[test]
    fn what_one_end_loses_the_other_cannot_make_up_for_and_losses_add() {
        let scene = landscape::scene(NAME, 3, IDEAL).unwrap();
        let top = truth(&scene);
        let beside = |moved: &[usize]| {
            let mut pose = top.pose;
            moved.iter().for_each(|k| pose[*k] += 2.0);
            top.dbm - scene.clean_dbm(&pose, 0.0)
        };
        assert!((beside(&[0, 3]) - beside(&[0]) - beside(&[3])).abs() < 1e-9 && beside(&[0]) > 0.5);
    }

    #[test]
    fn both_ends_at_once_end_within_a_twentieth_of_a_decibel_in_fewer_readings_than_one_after_the_other() {
        let tried = |method| -> Vec<Outcome> {
            (0..6).map(|t| attempt(landscape::scene(NAME, t, STD).unwrap(), t, method)).collect()
        };
        let (at_once, in_turn) = (tried(Method::Engine), tried(Method::InTurn));
        assert!(at_once.iter().all(|o| o.within(0.05) && o.error.is_none()), "{at_once:?}");
        let readings = |all: &[Outcome]| all.iter().map(|o| o.readings).sum::<usize>();
        assert!(readings(&at_once) < readings(&in_turn), "{at_once:?} {in_turn:?}");
    }

    #[test]
    fn a_stage_without_a_second_end_has_no_turns_to_take() {
        let ended = attempt(landscape::scene("smf3d", 0, IDEAL).unwrap(), 0, Method::InTurn);
        assert!(ended.error.is_some_and(|e| e.contains("x2")) && !Method::all().contains(&Method::InTurn));
    }
}
