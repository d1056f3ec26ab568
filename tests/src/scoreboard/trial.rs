//! One trial: a method on a scene, and what the truth says of where it ended.

use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use station::search::SearchError;

use super::method::Method;
use super::probe::BoardProbe;
use super::scene::Scene;
use super::station::{Refused, Station};
use super::truth::truth;

/// What came of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Number of the trial.
    pub trial: u64,
    /// Loss left, dB: the truth less what the pose reached gives.
    pub residual_db: f64,
    /// By how much the pose of the best reading is better, dB.
    pub below_best_db: f64,
    /// Readings, samples of sweeps and the last reading among them.
    pub readings: usize,
    /// Simulated time, s.
    pub time_s: f64,
    /// Distance from the light's centre, um.
    pub off_centre_um: f64,
    /// Way of the linear axes, um.
    pub path_um: f64,
    /// The bound that the method states, dB.
    pub bound95_db: Option<f64>,
    /// Time of this machine in the search, s.
    pub search_s: f64,
    /// Decisions of the search.
    pub decisions: usize,
    /// Whether a path was asked for that the stage cannot follow: the trial has failed.
    pub invalid: bool,
    /// Why the search ended early.
    pub error: Option<String>,
}

impl Outcome {
    /// Whether no more than this is left.
    pub fn within(&self, db: f64) -> bool {
        !self.invalid && self.residual_db <= db
    }
}

/// Runs a future that never waits: the benchmark's clock moves when it is asked to.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("no probe of the benchmark waits for anything"),
    }
}

/// Tries a method on a scene.
pub fn attempt(scene: Scene, trial: u64, method: Method) -> Outcome {
    let truth = truth(&scene);
    let (nominal, budget) = (scene.nominal.clone(), scene.nominal.budget);
    let mut probe = BoardProbe::new(Station::new(scene, budget));
    let began = Instant::now();
    let said = now(method.run(&mut probe, &nominal));
    let search_s = (began.elapsed().as_secs_f64() - probe.own_s()).max(0.0);
    if matches!(said, Err(SearchError::Budget(_))) {
        probe.station.retreat();
    }
    let decisions = said.as_ref().map_or(probe.station.readings(), |s| s.decisions);
    probe.station.finish();
    let station = &probe.station;
    Outcome {
        trial,
        residual_db: truth.dbm - station.clean_dbm(),
        below_best_db: station.below_best_db(),
        readings: station.readings(),
        time_s: station.now_s(),
        off_centre_um: station.scene.off_centre_um(&station.actual(), station.now_s()),
        path_um: station.path_um(),
        bound95_db: said.as_ref().ok().and_then(|s| s.bound95_db),
        search_s,
        decisions,
        invalid: probe.refused() == Some(Refused::Path),
        error: said.err().map(|e| e.to_string()),
    }
}

/// Tries a method on many scenes, on all processors; the outcomes are in the order of the trials.
pub fn attempts(first: u64, count: usize, method: Method, scene: impl Fn(u64) -> Scene + Send + Sync) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; count]);
    let work = || loop {
        let k = next.fetch_add(1, Ordering::Relaxed);
        if k >= count {
            break;
        }
        let trial = first + k as u64;
        let outcome = attempt(scene(trial), trial, method);
        outcomes.lock().expect("no thread fails while it holds this")[k] = Some(outcome);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    outcomes.into_inner().expect("no thread fails while it holds this").into_iter().flatten().collect()
}
