//! The steps of a run, one by one.

use std::time::Duration;

use recipes::{Axis, Step};
use units::{Power, Reading};

use super::aim::{SPREAD, approach, first_reach_um};
use super::lot::Lot;
use super::readings::{dbm, dbm_or_none, frozen};
use super::{Halt, Job, LaunchedSource, Stop, emit};
use crate::bench::Bench;
use crate::event::{Event, EventSink, Measurement, Outcome, Phase, Sample, Trace};
use crate::search::{BenchProbe, first_light};

/// By how much the tap may show less light than the source promises before the source is blamed, dB.
const SOURCE_SLACK_DB: f64 = 3.0;

/// First light must stand this far above the dark level, or noise is taken for it, dB.
const DARK_MARGIN_DB: f64 = 10.0;

/// Looks at the tap before the source is blamed.
const LOOKS_AT_SOURCE: usize = 3;

/// Readings of the dark level.
const DARK_READINGS: usize = 4;

/// One run under way.
pub(super) struct Run<'a> {
    pub(super) bench: &'a mut Bench,
    pub(super) job: &'a Job<'a>,
    /// What is known of the unit's lot, where it has one.
    pub(super) lot: Option<&'a Lot>,
    pub(super) sink: &'a mut dyn EventSink,
    pub(super) phase: Phase,
    pub(super) passed: bool,
    began_s: f64,
    pub(super) step: usize,
    dark: Option<Power>,
    /// The meter gave a power in the dark: it has no reason to call anything under range.
    dark_was_read: bool,
    /// Why the last search was not sure of its end.
    pub(super) unsure: Option<Halt>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        bench: &'a mut Bench,
        job: &'a Job<'a>,
        lot: Option<&'a Lot>,
        sink: &'a mut dyn EventSink,
    ) -> Self {
        let began_s = bench.clock().seconds();
        Run {
            bench,
            job,
            lot,
            sink,
            phase: Phase::Free,
            passed: true,
            began_s,
            step: 0,
            dark: None,
            dark_was_read: false,
            unsure: None,
        }
    }

    /// Seconds since the run began, to the microsecond.
    pub(super) fn t_s(&self) -> f64 {
        ((self.bench.clock().seconds() - self.began_s) * 1e6).round() / 1e6
    }

    pub(super) fn note(&mut self, text: String) {
        let event = Event::Note { t_s: self.t_s(), text };
        emit(self.sink, &event);
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let event = Event::Phase { t_s: self.t_s(), phase };
        emit(self.sink, &event);
    }

    /// The last exchanges of every instrument.
    pub(super) fn transcripts(&mut self) {
        let t_s = self.t_s();
        for (instrument, _, text) in self.bench.instruments() {
            emit(self.sink, &Event::Transcript { t_s, instrument, text });
        }
    }

    /// All steps in order, each cut short by a stop.
    pub(super) async fn all(&mut self, stop: &mut Stop) -> Result<(), Halt> {
        self.enter(Phase::Free);
        tokio::select! {
            biased;
            reason = stop.requested() => return Err(Halt::Stopped(reason)),
            cleared = self.clear_what_an_unclean_end_left() => cleared?,
        }
        for (index, step) in self.job.recipe.steps.iter().enumerate() {
            self.step = index;
            let event = Event::StepStarted { t_s: self.t_s(), step: index, kind: step.kind().to_string() };
            emit(self.sink, &event);
            let done = tokio::select! {
                biased;
                reason = stop.requested() => Err(Halt::Stopped(reason)),
                done = self.one(step) => done,
            };
            let (outcome, message) = match &done {
                Ok(Done { passed: true, message }) => (Outcome::Pass, message.clone()),
                Ok(Done { passed: false, message }) => (Outcome::Fail, message.clone()),
                Err(halt) => (halt.verdict().0, Some(halt.to_string())),
            };
            let event = Event::StepEnded { t_s: self.t_s(), step: index, outcome, message };
            emit(self.sink, &event);
            self.passed &= done?.passed;
        }
        Ok(())
    }

    /// A run may begin with the part near contact, where the last one was killed: positions are read and the part backed
    /// off along the optical axis before anything else moves. Where the controller has lost its reference there is
    /// nothing to read, and the reference step begins with the optical axis.
    async fn clear_what_an_unclean_end_left(&mut self) -> Result<(), Halt> {
        let referenced = self.bench.referenced().await?;
        let known = self.bench.config().frames().any(|frame| referenced.contains(&(frame.optical_axis, true)));
        if known && self.bench.back_off_known().await? {
            self.note("the part was found near contact and backed off: the last run had no clean end".into());
        }
        Ok(())
    }

    async fn one(&mut self, step: &Step) -> Result<Done, Halt> {
        match step {
            Step::SourceOn { settled_within_db, timeout_s } => self.source_on(*settled_within_db, *timeout_s).await,
            Step::Reference => self.reference().await,
            Step::Approach { to } => self.approach(to).await,
            Step::FirstLight { radius_um, threshold_db, both_ends } => {
                self.first_light(*radius_um, *threshold_db, *both_ends).await
            }
            Step::Peak { method, .. } => self.peak(*method).await,
            Step::Measure { quantity, readings } => self.measure(*quantity, *readings).await,
            Step::SourceOff => {
                self.bench.source_off().await?;
                Ok(Done::quietly())
            }
            Step::Retract => self.retract().await,
        }
    }

    async fn source_on(&mut self, within_db: f64, timeout_s: f64) -> Result<Done, Halt> {
        let dark = self.dark().await?;
        if !self.bench.source_on(within_db, Duration::from_secs_f64(timeout_s)).await? {
            return Err(Halt::Unsettled(timeout_s));
        }
        let shown = self.launched_now().await?;
        let told = shown.map_or(String::new(), |p| format!(", {} launched by the tap", dbm_or_none(p)));
        Ok(Done::saying(format!("dark {}{told}", dbm_or_none(dark))))
    }

    /// The signal's mean with the source off.
    async fn dark(&mut self) -> Result<Power, Halt> {
        let mut sum = 0.0;
        for _ in 0..DARK_READINGS {
            sum += match self.bench.read_signal().await? {
                Reading::Power(p) => {
                    self.dark_was_read = true;
                    p.watts()
                }
                Reading::UnderRange => 0.0,
                Reading::Saturated => return Err(Halt::NoReading("saturated with the source off")),
            };
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of readings")]
        let dark = Power::from_watts(sum / DARK_READINGS as f64);
        let limit = self.bench.config().signal().dark_max;
        if dark > limit {
            let (dark_dbm, limit_dbm) = (dark.dbm().unwrap_or_default(), limit.dbm().unwrap_or_default());
            return Err(Halt::NotDark { dark_dbm, limit_dbm });
        }
        self.dark = Some(dark);
        Ok(dark)
    }

    /// The launched power that the tap shows now, checked against the source's promise; `None` without a tap. A reading
    /// that blames the source must be borne out by two more: one alone may be the wire's doing.
    async fn launched_now(&mut self) -> Result<Option<Power>, Halt> {
        if self.bench.config().tap().is_none() {
            return Ok(None);
        }
        let mut looks = Vec::new();
        loop {
            let readings = self.bench.read().await?;
            let shown = self.bench.launched_by_tap(&readings);
            looks.push(shown.unwrap_or(Power::ZERO));
            match self.check_source(shown) {
                Err(_) if looks.len() < LOOKS_AT_SOURCE => {}
                checked => {
                    looks.sort_by(|a, b| a.watts().total_cmp(&b.watts()));
                    let median = looks[looks.len() / 2];
                    return checked.or_else(|_| self.check_source(Some(median))).map(|()| Some(median));
                }
            }
        }
    }

    /// Checks a launched power shown by the tap against the source's promise.
    pub(super) fn check_source(&self, shown: Option<Power>) -> Result<(), Halt> {
        let promised_dbm = self.bench.promised().dbm().unwrap_or_default();
        match shown.and_then(Power::dbm) {
            Some(shown_dbm) if shown_dbm >= promised_dbm - SOURCE_SLACK_DB => Ok(()),
            Some(shown_dbm) => Err(Halt::SourceWeak { shown_dbm, promised_dbm }),
            None => Err(Halt::NoReading("the tap shows no light")),
        }
    }

    async fn reference(&mut self) -> Result<Done, Halt> {
        let referenced = self.bench.reference().await?;
        let names: Vec<&str> = referenced.iter().map(|a| a.as_str()).collect();
        if names.is_empty() {
            return Ok(Done::saying("all axes were referenced already".into()));
        }
        self.bench.back_off().await?;
        Ok(Done::saying(format!("referenced {}", names.join(", "))))
    }

    async fn approach(&mut self, to: &[(Axis, f64)]) -> Result<Done, Halt> {
        self.enter(Phase::NearContact);
        self.bench.approach(to).await?;
        Ok(Done::quietly())
    }

    /// The power expected at the peak of a typical unit.
    pub(super) async fn expected(&mut self) -> Result<Power, Halt> {
        let loss = self.job.recipe.unit.expected_loss_db;
        let launched = match self.job.launched {
            LaunchedSource::Tap => self.launched_now().await?,
            LaunchedSource::Earlier(l) => Some(l.power_w),
            LaunchedSource::None => None,
        };
        Ok(launched.unwrap_or(self.bench.promised()).attenuated(loss))
    }

    async fn first_light(&mut self, radius_um: f64, threshold_db: f64, both_ends: bool) -> Result<Done, Halt> {
        let threshold = self.expected().await?.attenuated(-threshold_db);
        let dark = self.dark.unwrap_or(Power::ZERO);
        let floor = self.bench.config().signal().floor;
        let lowest = dark.watts().max(floor.watts()) * 10f64.powf(DARK_MARGIN_DB / 10.0);
        if threshold.watts() < lowest {
            let dark_dbm = dark.dbm().or(floor.dbm()).unwrap_or_default();
            return Err(Halt::ThresholdInTheDark { threshold_dbm: threshold.dbm().unwrap_or_default(), dark_dbm });
        }
        let reach_um = first_reach_um(&self.job.recipe.unit, -threshold_db, both_ends);
        let (begin_um, told) = self.expected_across(radius_um);
        let setup = first_light::Setup { radius_um, begin_um, threshold, reach_um, both_ends };
        let sink = &mut *self.sink;
        let mut probe =
            BenchProbe::new(self.bench).await?.watched(|axes, samples| sink.samples("first_light", axes, samples));
        let found = first_light::search(&mut probe, &setup).await;
        let samples = probe.into_trace();
        let signal = vec![self.bench.config().signal().name.clone()];
        self.trace("first_light", signal, samples.clone());
        let found = found?;
        match found.found {
            Some(at) => {
                let lit = format!("light after {} legs at {}", found.legs, place(&self.axes(), &at));
                Ok(Done::saying(told.map_or(lit.clone(), |told| format!("{lit}; {told}"))))
            }
            None => self.no_light(&samples, found.greatest, threshold, both_ends).await,
        }
    }

    /// Where across the light the lot's earlier units were, from the approach pose, um, and that in words.
    fn expected_across(&self, radius_um: f64) -> ([f64; 2], Option<String>) {
        let Some(lot) = self.lot else { return ([0.0; 2], None) };
        let across = [Axis::X, Axis::Y].map(|axis| (axis, lot.expects(axis, SPREAD * radius_um)));
        let known = across
            .iter()
            .filter_map(|(axis, e)| e.map(|e| (*axis, approach(self.job.recipe, self.step, *axis) + e.mean, e)));
        let told = lot.said(&known.collect::<Vec<_>>());
        (across.map(|(_, e)| e.map_or(0.0, |e| e.mean)), told)
    }

    /// No light is the unit's failure only when the bench proves itself good: the tap shows the source, the dark level
    /// is right, the range holds the threshold, the meter lives, and the stage is where it was sent. Otherwise it is
    /// the station's.
    async fn no_light(
        &mut self,
        samples: &[Sample],
        greatest: Power,
        threshold: Power,
        both_ends: bool,
    ) -> Result<Done, Halt> {
        if self.launched_now().await?.is_none() {
            return Err(Halt::NoLight("without a tap the bench cannot tell the unit from its own fibres"));
        }
        if !self.bench.source_is_on().await? {
            return Err(Halt::NoLight("the source has switched itself off"));
        }
        if let Some(same) = frozen(samples) {
            return Err(Halt::Frozen(same));
        }
        if greatest >= threshold {
            return Err(Halt::Fleeting(dbm(greatest)));
        }
        let under_range = samples.iter().any(|s| s.readings.contains(&Reading::UnderRange));
        if under_range && self.dark_was_read {
            return Err(Halt::NoReading("under range, where the dark could be read"));
        }
        // An autoranging meter in the dark is in its lowest range, rightly.
        if self.bench.signal_range_is_fixed() && self.bench.signal_range().await? < threshold {
            return Err(Halt::NoReading("its range is below the first-light threshold"));
        }
        // A move that is checked by reading back where it ended.
        let here = self.bench.commanded().await?;
        let swept: &[Axis] = if both_ends { &[Axis::Y, Axis::Y2] } else { &[Axis::Y] };
        for by in [-1.0, 0.0] {
            let targets: Vec<(Axis, f64)> = swept.iter().map(|a| (*a, here[*a] + by)).collect();
            self.bench.move_to(&targets).await?;
        }
        self.bench.source_off().await?;
        self.dark().await?;
        let (most, limit) = (dbm(greatest), dbm(threshold));
        self.passed = false;
        let measurement = Measurement {
            t_s: self.t_s(),
            step: self.step,
            name: "first_light_power".into(),
            channel: Some(self.bench.config().signal().name.clone()),
            value: most,
            unit: "dBm".into(),
            uncertainty: None,
            lower: Some(limit),
            upper: None,
            outcome: Some(Outcome::Fail),
            launched: None,
        };
        emit(self.sink, &Event::Measurement(measurement));
        Err(Halt::UnitDark(most, limit))
    }

    async fn retract(&mut self) -> Result<Done, Halt> {
        self.bench.back_off().await?;
        self.enter(Phase::Free);
        self.bench.park().await?;
        Ok(Done::quietly())
    }

    pub(super) fn axes(&self) -> Vec<Axis> {
        self.bench.config().axes.iter().map(|a| a.axis).collect()
    }

    pub(super) fn trace(&mut self, search: &str, channels: Vec<String>, mut samples: Vec<Sample>) {
        for sample in &mut samples {
            sample.t_s = ((sample.t_s - self.began_s) * 1e6).round() / 1e6;
        }
        let trace = Trace {
            t_s: self.t_s(),
            step: self.step,
            search: search.into(),
            axes: self.axes().iter().map(|a| a.as_str().to_string()).collect(),
            channels,
            samples,
        };
        emit(self.sink, &Event::Trace(trace));
    }
}

/// How a step went that was not halted.
pub(super) struct Done {
    pub(super) passed: bool,
    pub(super) message: Option<String>,
}

impl Done {
    pub(super) fn quietly() -> Self {
        Done { passed: true, message: None }
    }

    pub(super) fn saying(message: String) -> Self {
        Done { passed: true, message: Some(message) }
    }
}

pub(super) fn place(axes: &[Axis], at: &[f64]) -> String {
    let parts: Vec<String> = axes.iter().zip(at).map(|(a, p)| format!("{a} {p:.2}")).collect();
    parts.join(", ")
}
