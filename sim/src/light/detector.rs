//! A photodiode, its amplifier with ranges and its converter: what a power meter reads of the light on it. Pure.

use std::f64::consts::TAU;

use crate::noise::Stream;

/// Elementary charge, C (SI, exact).
const CHARGE_C: f64 = 1.602_176_634e-19;
/// Boltzmann constant, J/K (SI, exact).
const BOLTZMANN_J_K: f64 = 1.380_649e-23;
/// Temperature of the amplifier, K.
const AMPLIFIER_K: f64 = 300.0;
/// A range is left upwards this close to its upper end, dB.
const RANGE_UP_DB: f64 = 1.0;
/// A range is left downwards this far below its upper end, dB: 1 dB past where the next one would be left again.
const RANGE_DOWN_DB: f64 = 12.0;
/// Period of the dark offset's drift, s.
const DARK_PERIOD_S: f64 = 613.0;

/// One range of the amplifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Upper end, W.
    pub full_w: f64,
    /// Feedback resistor, ohm.
    pub feedback_ohm: f64,
}

/// What a detector is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorModel {
    /// Responsivity, A/W.
    pub responsivity_a_w: f64,
    /// Ranges, largest first.
    pub ranges: Vec<Range>,
    /// Bits of the converter over a range.
    pub adc_bits: i32,
    /// Noise-equivalent power of the amplifier besides its resistor, W/sqrt(Hz): 1e-14 to 2e-13.
    pub nep_w_rthz: f64,
    /// Dark offset, W.
    pub dark_w: f64,
    /// Amplitude of the dark offset's slow drift, W.
    pub dark_drift_w: f64,
    /// Time constant of the front end, s.
    pub front_end_s: f64,
    /// Time without a reading after a range is switched, s: 0.02 to 0.2.
    pub dead_s: f64,
    /// How far off the first reading after it is, share: least and greatest (0.01 to 0.05), either way.
    pub first_off_share: (f64, f64),
    /// Time constant with which that dies out, s.
    pub first_off_s: f64,
    /// Step of gain from one range to the next, dB: least and greatest (0.005 to 0.02), either way.
    pub gain_step_db: (f64, f64),
    /// From the light to the reading, s: 0.001 to 0.02.
    pub latency_s: f64,
    /// Share of a range below which it calls a reading under range.
    pub under_share: f64,
}

impl DetectorModel {
    /// An InGaAs photodiode with ranges every 10 dB from 10 mW to 10 nW; resistors for 2 V at the upper end, 1 Gohm at
    /// the most.
    pub fn ingaas() -> DetectorModel {
        let responsivity_a_w = 0.95;
        let range = |k: i32| {
            let full_w = 10f64.powi(-2 - k);
            Range { full_w, feedback_ohm: (2.0 / (responsivity_a_w * full_w)).min(1e9) }
        };
        DetectorModel {
            responsivity_a_w,
            ranges: (0..7).map(range).collect(),
            adc_bits: 20,
            nep_w_rthz: 5e-14,
            dark_w: 3e-12,
            dark_drift_w: 1e-12,
            front_end_s: 1e-4,
            dead_s: 0.03,
            first_off_share: (0.01, 0.05),
            first_off_s: 0.02,
            gain_step_db: (0.005, 0.02),
            latency_s: 0.002,
            under_share: 1e-5,
        }
    }

    /// Noise bandwidth of an average over `averaging_s`, Hz: 1/(2T), and never above the front end's 1/(4 tau).
    pub fn bandwidth_hz(&self, averaging_s: f64) -> f64 {
        (0.5 / averaging_s.max(1e-9)).min(0.25 / self.front_end_s.max(1e-12))
    }

    /// Noise of a reading of `mean_w` W in a range, with relative intensity noise `rin_hz` (1/Hz, linear).
    pub fn noise(&self, mean_w: f64, range: usize, averaging_s: f64, rin_hz: f64) -> Noise {
        let bandwidth = self.bandwidth_hz(averaging_s);
        let light = mean_w.max(0.0);
        let current = self.responsivity_a_w * light;
        let thermal_a2 = self.ranges.get(range).map_or(0.0, |r| {
            // Johnson noise of the feedback resistor as a current.
            4.0 * BOLTZMANN_J_K * AMPLIFIER_K * bandwidth / r.feedback_ohm
        });
        Noise {
            shot_w: (2.0 * CHARGE_C * current * bandwidth).sqrt() / self.responsivity_a_w,
            thermal_w: thermal_a2.sqrt() / self.responsivity_a_w,
            amplifier_w: self.nep_w_rthz * bandwidth.sqrt(),
            intensity_w: light * (rin_hz * bandwidth).sqrt(),
        }
    }

    /// The range that automatic ranging goes to from `range` in `light_w` W.
    pub fn auto_range(&self, mut range: usize, light_w: f64) -> usize {
        let end = |k: usize, below_db: f64| self.ranges.get(k).map(|r| r.full_w * 10f64.powf(-below_db / 10.0));
        while range > 0 && end(range, RANGE_UP_DB).is_none_or(|w| light_w > w) {
            range -= 1;
        }
        while range + 1 < self.ranges.len() && end(range, RANGE_DOWN_DB).is_some_and(|w| light_w < w) {
            range += 1;
        }
        range
    }

    /// Which light a reading asked for at a time is of, averaged over `averaging_s`, in a range switched to at
    /// `range_since_s`.
    pub fn window(&self, asked_s: f64, averaging_s: f64, range_since_s: f64) -> Window {
        let from = asked_s.max(range_since_s + self.dead_s);
        let begin_s = from - self.latency_s;
        Window { begin_s, end_s: begin_s + averaging_s, ready_s: from + averaging_s }
    }
}

/// The light that a reading is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// From, s.
    pub begin_s: f64,
    /// To, s.
    pub end_s: f64,
    /// When the reading is there, s.
    pub ready_s: f64,
}

/// Standard deviations of the parts of a reading's noise, W.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Shot noise.
    pub shot_w: f64,
    /// Thermal noise of the feedback resistor.
    pub thermal_w: f64,
    /// Noise of the amplifier.
    pub amplifier_w: f64,
    /// Relative intensity noise of the light.
    pub intensity_w: f64,
}

impl Noise {
    /// All of it, W.
    pub fn total_w(&self) -> f64 {
        self.shot_w.hypot(self.thermal_w).hypot(self.amplifier_w).hypot(self.intensity_w)
    }
}

/// Light on the detector over a window, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// The window.
    pub window: Window,
    /// Mean light in it, W.
    pub mean_w: f64,
    /// What the front end gave when it began, W: [`Sample::front_end_w`] of the one before, or the light of a long rest.
    pub before_w: f64,
    /// Number of the range.
    pub range: usize,
    /// When it was switched to, s; minus infinity for always.
    pub range_since_s: f64,
    /// Relative intensity noise of the light, 1/Hz.
    pub rin_hz: f64,
}

/// What a detector says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Power, W; noise may take it below zero.
    Power(f64),
    /// Below what the range shows.
    UnderRange,
    /// Above the range's upper end.
    Saturated,
}

/// A reading, and what the next one begins from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// What it says.
    pub reading: Reading,
    /// What the front end gives at the end of the window, W.
    pub front_end_w: f64,
}

/// A detector of its own.
#[derive(Debug, Clone)]
pub struct Detector {
    model: DetectorModel,
    stream: Stream,
}

/// Streams of a detector.
const GAIN: u64 = 1;
const FIRST: u64 = 2;
const DARK: u64 = 3;

impl Detector {
    /// A detector with the noise, gain steps and drift of its stream.
    pub fn new(model: DetectorModel, stream: Stream) -> Detector {
        Detector { model, stream }
    }

    /// What it is made of.
    pub fn model(&self) -> &DetectorModel {
        &self.model
    }

    /// Gain of a range against the largest one, dB.
    pub fn gain_db(&self, range: usize) -> f64 {
        (1..=range as u64).map(|k| either_way(self.model.gain_step_db, self.stream.child(GAIN), k)).sum()
    }

    /// Reads a window.
    pub fn read(&self, x: &Exposure) -> Sample {
        let (seen, front_end_w) = lagged(x, self.model.front_end_s);
        let Some(range) = self.model.ranges.get(x.range) else {
            return Sample { reading: Reading::UnderRange, front_end_w };
        };
        if seen > range.full_w {
            return Sample { reading: Reading::Saturated, front_end_w };
        }
        let averaging_s = x.window.end_s - x.window.begin_s;
        let noise_w = self.model.noise(seen, x.range, averaging_s, x.rin_hz).total_w();
        let gain = 10f64.powf(self.gain_db(x.range) / 10.0) * (1.0 + self.first_off(x));
        let value = seen * gain + noise_w * self.stream.normal(microseconds(x.window.end_s)) + self.dark_w(&x.window);
        // The converter integrates over the window: one value, one rounding.
        let step = range.full_w * 2f64.powi(-self.model.adc_bits);
        let value = (value / step).round() * step;
        let reading = if value < range.full_w * self.model.under_share {
            Reading::UnderRange
        } else if value > range.full_w {
            Reading::Saturated
        } else {
            Reading::Power(value)
        };
        Sample { reading, front_end_w }
    }

    /// How far a reading is off after a range was switched, share.
    fn first_off(&self, x: &Exposure) -> f64 {
        let tau = self.model.first_off_s;
        let ready_s = x.range_since_s + self.model.dead_s - self.model.latency_s;
        if ready_s == f64::NEG_INFINITY || tau <= 0.0 {
            return 0.0;
        }
        let (begin, end) = ((x.window.begin_s - ready_s).max(0.0), (x.window.end_s - ready_s).max(1e-9));
        let mean = if end > begin { tau / (end - begin) * ((-begin / tau).exp() - (-end / tau).exp()) } else { 1.0 };
        either_way(self.model.first_off_share, self.stream.child(FIRST), microseconds(x.range_since_s)) * mean
    }

    fn dark_w(&self, window: &Window) -> f64 {
        self.model.dark_w
            + self.model.dark_drift_w
                * (TAU * (window.end_s / DARK_PERIOD_S + self.stream.child(DARK).uniform(0))).sin()
    }
}

/// Mean of the front end's output over the window, and where it ends: a first-order lag of steady light, exactly.
fn lagged(x: &Exposure, tau: f64) -> (f64, f64) {
    let t = x.window.end_s - x.window.begin_s;
    if tau <= 0.0 || t <= 0.0 {
        return (x.mean_w, x.mean_w);
    }
    let left = (-t / tau).exp();
    let step = x.before_w - x.mean_w;
    (x.mean_w + step * tau / t * (1.0 - left), x.mean_w + step * left)
}

/// A size between bounds, up or down.
fn either_way((least, most): (f64, f64), stream: Stream, index: u64) -> f64 {
    let size = least + (most - least) * stream.uniform(index);
    if stream.child(0).bits(index) & 1 == 0 { size } else { -size }
}

/// The number of a time's microsecond.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
fn microseconds(time_s: f64) -> u64 {
    (time_s * 1e6).round() as u64
}

#[cfg(test)]
mod tests;
