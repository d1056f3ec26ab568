//! The optical head of a meter in a world: the light of its channel, through what is wrong with the meter, on a detector.
//!
//! Devices encode what it reads in their own words; none of them makes noise of its own.

use crate::faults::FaultKind;
use crate::light::detector::{Detector, DetectorModel, Exposure, Range, Reading};
use crate::noise::Stream;
use crate::world::{View, World};

/// One channel's detector.
pub(crate) struct Head {
    world: World,
    meter: String,
    view: View,
    detector: Detector,
    /// Relative noise of a reading: connectors, polarisation, dB.
    relative_db: f64,
    noise: Stream,
    last: Reading,
}

impl Head {
    /// The detector of a meter's channel (from 1) with ranges of these upper ends, W, largest first.
    pub(crate) fn new(world: &World, meter: &str, channel: u32, ranges_w: &[f64]) -> Head {
        let plan = world.meter_plan(meter);
        let stream = world.stream(&format!("meter {meter}")).child(u64::from(channel));
        let usual = DetectorModel::ingaas();
        let responsivity = usual.responsivity_a_w;
        let range = |full_w: &f64| Range { full_w: *full_w, feedback_ohm: (2.0 / (responsivity * full_w)).min(1e9) };
        // An instrument that stands alone in steady light is one to try a client on: it reads what the light is.
        let (first_off_share, gain_step_db) =
            if world.is_steady() { ((0.0, 0.0), (0.0, 0.0)) } else { (usual.first_off_share, usual.gain_step_db) };
        let model = DetectorModel {
            first_off_share,
            gain_step_db,
            ranges: ranges_w.iter().map(range).collect(),
            adc_bits: plan.adc_bits,
            // The plan's floor is that of a reading of 1 ms, which has a bandwidth of 500 Hz.
            nep_w_rthz: plan.floor_w / 500f64.sqrt(),
            dark_w: plan.offset_w,
            dark_drift_w: plan.offset_w / 3.0,
            front_end_s: plan.front_end_s,
            latency_s: plan.latency_s,
            dead_s: plan.dead_s,
            under_share: f64::NEG_INFINITY,
            ..usual
        };
        Head {
            view: world.view(meter, channel),
            relative_db: plan.relative_db,
            detector: Detector::new(model, stream),
            noise: stream.child(u64::MAX),
            meter: meter.to_string(),
            world: world.clone(),
            last: Reading::Power(0.0),
        }
    }

    /// The range that automatic ranging goes to at a time.
    pub(crate) fn auto_range(&self, range: usize, at_s: f64) -> usize {
        self.detector.model().auto_range(range, self.world.seen(&self.meter, &self.view, at_s, at_s))
    }

    /// Time without a reading after a range was switched, seconds.
    pub(crate) fn dead_s(&self) -> f64 {
        self.detector.model().dead_s
    }

    /// Light on the detector at a time, with its dark offset, W: what zeroing takes away.
    pub(crate) fn dark_w(&self, at_s: f64) -> f64 {
        self.world.seen(&self.meter, &self.view, at_s, at_s) + self.detector.model().dark_w
    }

    /// A reading asked for at a time, averaged over `averaging_s`, in a range in force since `range_since_s`: when it is
    /// there, and what it is.
    pub(crate) fn read(&mut self, asked_s: f64, averaging_s: f64, range: usize, range_since_s: f64) -> (f64, Reading) {
        let window = self.detector.model().window(asked_s, averaging_s, range_since_s);
        let fresh = self.expose(window, range, range_since_s);
        let before = std::mem::replace(&mut self.last, fresh);
        let faulty = |kind| self.world.faulty(kind, &self.meter, asked_s);
        let shown = if faulty(FaultKind::MeterFrozen) {
            self.last = before;
            before
        } else if faulty(FaultKind::MeterSaturated) {
            Reading::Saturated
        } else if faulty(FaultKind::MeterUnderRange) {
            Reading::UnderRange
        } else if faulty(FaultKind::SlowReplies) {
            before
        } else {
            fresh
        };
        (window.ready_s, shown)
    }

    fn expose(&self, window: crate::light::detector::Window, range: usize, range_since_s: f64) -> Reading {
        let mean_w = self.world.seen(&self.meter, &self.view, window.begin_s, window.end_s);
        let before_w = self.world.seen(&self.meter, &self.view, window.begin_s, window.begin_s);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
        let index = (window.end_s.max(0.0) * 1e6) as u64;
        let averaging_ms = ((window.end_s - window.begin_s) * 1e3).max(1.0);
        let technical = 10f64.powf(self.relative_db / averaging_ms.sqrt() * self.noise.normal(index) / 10.0);
        let exposure = Exposure {
            window,
            mean_w: mean_w * technical,
            before_w,
            range,
            range_since_s,
            rin_hz: self.world.rin_hz(),
        };
        self.detector.read(&exposure).reading
    }
}
