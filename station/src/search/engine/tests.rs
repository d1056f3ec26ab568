//! Whole alignments on a light that is a formula, apart from the engine's own.

use async_trait::async_trait;

use super::super::formula::Formula;
use super::super::{Probe, ProbeInfo, SearchError};
use super::{Aligned, End, Objective, Setup, Trend, align};
use crate::event::Sample;

fn setup() -> Setup {
    Setup {
        wavelength_um: 1.31,
        emitter_radius_um: 4.6,
        receiver_radius_um: 4.6,
        radius_sd: 0.05,
        turned: false,
        gap_um: 0.0,
        offset: [0.0; 6],
        search: [7.0, 7.0, 30.0, 0.0, 0.0, 0.0],
        width: [4.6, 4.6, 101.5, 1.0, 1.0, 1.0],
        level_dbm: -1.0,
        level_sd_db: 1.5,
        rotation_sd_deg: 2.0,
        shear_sd_deg: 0.2,
        pivot_sd_um: [0.0; 3],
        walk_sd: 0.03,
        channels_um: vec![0.0],
        core_sd_um: 0.0,
        gain_sd_db: 0.0,
        fringe: None,
        aperture_um: None,
        centre_um: 0.3,
        shape: 0.012,
        skew_sd: 0.0,
        depth_sd: 0.0,
        ripple_db: 0.0,
        hills: None,
        spiral_um: None,
        second: None,
        objective: Objective::Sum,
        tell_order: false,
        tolerance_db: 0.01,
        readings_max: 60,
    }
}

/// A chip with a fibre at each end.
pub(super) fn through() -> Setup {
    let second = End {
        emitter_radius_um: 3.0,
        receiver_radius_um: 5.0,
        radius_sd: 0.02,
        gap_um: 0.0,
        rotation_sd_deg: 2.0,
        shear_sd_deg: 0.2,
        walk_sd: 0.03,
    };
    Setup {
        emitter_radius_um: 3.0,
        receiver_radius_um: 5.2,
        radius_sd: 0.02,
        search: [5.0, 5.0, 20.0, 5.0, 5.0, 20.0],
        width: [4.2, 4.2, 86.0, 4.1, 4.1, 81.0],
        second: Some(second),
        readings_max: 80,
        ..setup()
    }
}

fn run(probe: &mut dyn Probe, setup: &Setup) -> Result<Aligned, SearchError> {
    units::clock::virtual_runtime().unwrap().block_on(align(probe, setup))
}

#[test]
fn the_peak_is_reached_with_play_and_noise_and_the_bound_holds() {
    for (i, peak) in
        [[7.0, -5.0, 12.0], [-1.0, 0.5, -40.0], [9.0, 9.0, 30.0], [0.0, -11.0, 0.0]].into_iter().enumerate()
    {
        for play in [0.0, 0.2, 1.0] {
            let mut probe = Formula::new(peak, play, 0.005);
            let got = run(&mut probe, &setup()).unwrap();
            let left = probe.loss_db(&probe.actual);
            assert!(got.converged && got.readings <= 16, "case {i}, play {play}: {got:?}");
            assert!(left < 0.05 && left <= got.bound95_db + 0.01, "case {i}, play {play}: {left} {got:?}");
            assert_eq!(got.position, probe.at, "the stage stands where the result says");
        }
    }
}

/// Two ends of the formula's modes.
fn alike() -> Setup {
    let second = End { emitter_radius_um: 4.6, receiver_radius_um: 4.6, ..through().second.unwrap() };
    Setup { width: [4.6, 4.6, 101.5, 4.6, 4.6, 101.5], second: Some(second), ..setup() }
}

#[test]
fn both_ends_of_a_chip_are_aligned_in_one_search_and_the_bound_holds() {
    let setup = Setup { search: [5.0, 5.0, 30.0, 5.0, 5.0, 30.0], ..alike() };
    let ends = [
        ([5.0, -4.0, 12.0], [-3.0, 6.0, -25.0], 1.0),
        ([-1.0, 0.5, -40.0], [0.0, 0.0, 30.0], 0.0),
        ([0.0, -9.0, 0.0], [4.0, 3.0, -35.0], 0.2),
    ];
    for (i, (first, second, play)) in ends.into_iter().enumerate() {
        let mut probe = Formula::through(first, second, play, 0.005);
        let got = run(&mut probe, &setup).unwrap();
        let left = probe.loss_db(&probe.actual);
        assert!(got.converged && got.readings <= 24, "case {i}: {got:?}");
        assert!(left < 0.05 && left <= got.bound95_db + 0.01, "case {i}: {left} {got:?}");
        assert_eq!(got.position, probe.at, "the stage stands where the result says");
    }
}

#[test]
fn an_end_that_is_not_searched_stays_where_it_is() {
    for (search, first, second) in [
        ([0.0, 0.0, 0.0, 5.0, 5.0, 30.0], [0.0; 3], [4.0, -6.0, 20.0]),
        ([0.0, 0.0, 0.0, 5.0, 5.0, 0.0], [0.0; 3], [-7.0, 2.0, 0.0]),
        ([5.0, 5.0, 0.0, 5.0, 5.0, 0.0], [3.0, 3.0, 0.0], [-5.0, 2.0, 0.0]),
    ] {
        let mut probe = Formula::through(first, second, 0.0, 0.005);
        let got = run(&mut probe, &Setup { search, ..alike() }).unwrap();
        let left = probe.loss_db(&probe.actual);
        assert!(got.converged && left < 0.05 && left <= got.bound95_db + 0.01, "{search:?}: {left} {got:?}");
        let still = search.iter().zip(&probe.at).filter(|(sd, _)| **sd == 0.0);
        assert!(still.map(|(_, at)| at).all(|at| *at == 0.0), "{search:?}: {got:?}");
    }
}

#[test]
fn a_stage_without_a_second_end_is_told_before_anything_moves() {
    let mut probe = Formula::new([0.0; 3], 0.0, 0.005);
    assert!(matches!(run(&mut probe, &through()), Err(SearchError::NoAxis(recipes::Axis::X2))));
    assert_eq!(probe.readings, 0);
}

/// A stage whose x loses a third of a mode radius at every move.
struct Slipping(Formula);

#[async_trait(?Send)]
impl Probe for Slipping {
    fn info(&self) -> &ProbeInfo {
        self.0.info()
    }
    fn now_s(&self) -> f64 {
        self.0.now_s()
    }
    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        self.0.position().await
    }
    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
        self.0.peak[0] += 1.5;
        self.0.move_to(position).await
    }
    async fn measure(&mut self) -> Result<Sample, SearchError> {
        self.0.measure().await
    }
    async fn sweep(&mut self, to: &[f64], speed: f64) -> Result<Vec<Sample>, SearchError> {
        self.0.sweep(to, speed).await
    }
    async fn wait(&mut self, seconds: f64) {
        self.0.wait(seconds).await;
    }
}

#[test]
fn a_stage_that_loses_steps_is_never_called_aligned() {
    for peak in [[7.0, -5.0, 12.0], [-1.0, 0.5, -40.0], [-4.0, 8.0, 5.0]] {
        let mut probe = Slipping(Formula::new(peak, 0.2, 0.005));
        let got = run(&mut probe, &Setup { readings_max: 25, ..setup() });
        let left = probe.0.loss_db(&probe.0.actual);
        assert!(!got.as_ref().is_ok_and(|g| g.converged) || left < 0.1, "{left} {got:?}");
    }
}

/// A bench on which time passes, light fades and the part creeps along x.
struct Changing {
    bench: Formula,
    t_s: f64,
    fade_db_s: f64,
    creep_um_s: f64,
}

impl Changing {
    fn pass(&mut self, seconds: f64) {
        self.t_s += seconds;
        self.bench.peak[0] += self.creep_um_s * seconds;
    }

    fn shown(&self, sample: Sample) -> Sample {
        let fade = 10f64.powf(-self.fade_db_s * self.t_s / 10.0);
        let faded = |r: &units::Reading| match r {
            units::Reading::Power(p) => units::Reading::Power(units::Power::from_watts(p.watts() * fade)),
            other => *other,
        };
        Sample { t_s: self.t_s, readings: sample.readings.iter().map(faded).collect(), ..sample }
    }
}

#[async_trait(?Send)]
impl Probe for Changing {
    fn info(&self) -> &ProbeInfo {
        self.bench.info()
    }
    fn now_s(&self) -> f64 {
        self.t_s
    }
    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        self.bench.position().await
    }
    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
        self.pass(0.2);
        self.bench.move_to(position).await
    }
    async fn measure(&mut self) -> Result<Sample, SearchError> {
        self.pass(0.05);
        let sample = self.bench.measure().await?;
        Ok(self.shown(sample))
    }
    async fn sweep(&mut self, _: &[f64], _: f64) -> Result<Vec<Sample>, SearchError> {
        Ok(Vec::new())
    }
    async fn wait(&mut self, seconds: f64) {
        self.pass(seconds);
    }
}

fn changing(fade_db_s: f64, creep_um_s: f64, peak: [f64; 3]) -> (Aligned, f64) {
    let mut probe = Changing { bench: Formula::new(peak, 0.2, 0.005), t_s: 0.0, fade_db_s, creep_um_s };
    let got = run(&mut probe, &setup()).unwrap();
    (got, probe.bench.loss_db(&probe.bench.actual))
}

const PLACES: [[f64; 3]; 4] = [[7.0, -5.0, 12.0], [-1.0, 0.5, -40.0], [9.0, 9.0, 30.0], [-4.0, 8.0, 5.0]];

#[test]
fn light_that_fades_is_told_from_misalignment() {
    for peak in PLACES {
        let (got, left) = changing(0.4, 0.0, peak);
        assert!(got.trend.light_db_s.is_some_and(|db_s| (db_s + 0.4).abs() < 0.1), "{peak:?}: {got:?}");
        assert!(got.trend.place_um_s.is_none() && got.converged && left < 0.05, "{peak:?}: {left} {got:?}");
    }
}

#[test]
fn a_part_that_creeps_is_followed_and_never_taken_for_a_source_that_fades() {
    let mut named = 0;
    for peak in PLACES {
        let (got, left) = changing(0.0, 0.7, peak);
        let place = got.trend.place_um_s;
        assert!(place.is_none_or(|um_s| (um_s - 0.7).abs() < 0.35), "{peak:?}: {got:?}");
        assert!(got.trend.light_db_s.is_none() && left < 0.1, "{peak:?}: {left} {got:?}");
        named += usize::from(place.is_some());
    }
    assert!(named >= 2, "{named} of 4 named");
}

/// Light that drops by so much at a reading, and stays there.
struct Dropping {
    bench: Formula,
    at: usize,
    drop_db: f64,
}

#[async_trait(?Send)]
impl Probe for Dropping {
    fn info(&self) -> &ProbeInfo {
        self.bench.info()
    }
    fn now_s(&self) -> f64 {
        // A reading in a fifth of a second.
        50.0 * self.bench.now_s()
    }
    async fn position(&mut self) -> Result<Vec<f64>, SearchError> {
        self.bench.position().await
    }
    async fn move_to(&mut self, position: &[f64]) -> Result<(), SearchError> {
        self.bench.move_to(position).await
    }
    async fn measure(&mut self) -> Result<Sample, SearchError> {
        if self.bench.readings + 1 == self.at {
            self.bench.light_db -= self.drop_db;
        }
        self.bench.measure().await
    }
    async fn sweep(&mut self, _: &[f64], _: f64) -> Result<Vec<Sample>, SearchError> {
        Ok(Vec::new())
    }
    async fn wait(&mut self, _: f64) {}
}

#[test]
fn light_that_drops_at_any_reading_ends_in_a_result_that_is_right_or_not_sure() {
    for peak in PLACES {
        for at in [3, 4, 6, 8, 11] {
            for drop_db in [0.2, 4.0] {
                let mut probe = Dropping { bench: Formula::new(peak, 0.2, 0.005), at, drop_db };
                let got = run(&mut probe, &Setup { readings_max: 25, ..setup() }).unwrap();
                let left = probe.bench.loss_db(&probe.bench.actual);
                assert!(
                    left < 0.3 || left < got.bound95_db || !got.converged,
                    "{peak:?}, {at}, {drop_db}: {left} {got:?}"
                );
            }
        }
    }
}

#[test]
fn what_stands_still_is_not_said_to_change() {
    for peak in PLACES {
        let (got, left) = changing(0.0, 0.0, peak);
        assert!(got.trend == Trend::default() && left < 0.05, "{peak:?}: {left} {got:?}");
    }
}

#[test]
fn an_axis_that_the_probe_lacks_is_told_before_anything_moves() {
    let mut probe = Formula::new([0.0; 3], 0.0, 0.005);
    let mut setup = setup();
    setup.search[4] = 1.0;
    assert!(matches!(run(&mut probe, &setup), Err(SearchError::NoAxis(recipes::Axis::Ry))));
    assert_eq!(probe.readings, 0);
}
