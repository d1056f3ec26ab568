//! What moves without being told to: thermal drift, vibration, and a fibre pigtail that swings. Closed forms of time. Pure.

use std::f64::consts::TAU;

use crate::noise::Stream;

/// A heater or lamp switched on or off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Switch {
    /// When, s.
    pub at_s: f64,
    /// Share of full heat from then on, 0 to 1.
    pub heat: f64,
}

/// How warm something is that follows its heater as a first-order lag, share of full heat; cold before the first of
/// `switches`, which are in the order of time.
pub fn warmth(switches: &[Switch], tau_s: f64, now_s: f64) -> f64 {
    let mut heat = 0.0;
    let mut sum = 0.0;
    for switch in switches.iter().filter(|s| s.at_s <= now_s) {
        sum += (switch.heat - heat) * (1.0 - (-(now_s - switch.at_s) / tau_s.max(1e-9)).exp());
        heat = switch.heat;
    }
    sum
}

/// Thermal drift of a stage against the part. Vectors are um in x, y, z.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Drift {
    /// Steady rate, um/h: 0.5 to 2 in a steady lab.
    pub rate_um_h: [f64; 3],
    /// What is still to come when the clock starts after a warm start: 5 to 10 um in the first hour.
    pub start: Lag,
    /// The room's air conditioning.
    pub cycle: Cycle,
    /// Growth under a heater or lamp at full heat: 0.2 to 1 um in 1 to 5 min.
    pub heated: Lag,
}

/// Growth to a length as a first-order lag.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lag {
    /// In the end, um.
    pub um: [f64; 3],
    /// Time constant, s.
    pub tau_s: f64,
}

/// A growth to and fro.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cycle {
    /// Amplitude, um.
    pub um: [f64; 3],
    /// Period, s.
    pub period_s: f64,
    /// Phase at 0 s, turns.
    pub turns: f64,
}

impl Drift {
    /// Drift of these lengths in directions of the stream's choice: rate in um/h; after a warm start um to come; air
    /// conditioning um peak to peak; heater um. Time constants and period are the middle of what is usual: 20 min, 3 min
    /// (Newport, Photonics Spectra 3/2009: 170 nm over 3-min cycles), 2 min.
    pub fn draw(rate_um_h: f64, start_um: f64, cycle_um_pp: f64, heated_um: f64, stream: Stream) -> Drift {
        let along = |k: u64, um: f64| direction(stream.child(k)).map(|d| d * um);
        Drift {
            rate_um_h: along(0, rate_um_h),
            start: Lag { um: along(1, start_um), tau_s: 1200.0 },
            cycle: Cycle { um: along(2, cycle_um_pp / 2.0), period_s: 180.0, turns: stream.uniform(0) },
            heated: Lag { um: along(3, heated_um), tau_s: 120.0 },
        }
    }

    /// Where the stage has drifted to since 0 s, um, with the history of its heater in the order of time.
    pub fn um(&self, now_s: f64, heater: &[Switch]) -> [f64; 3] {
        let Cycle { period_s, turns, .. } = self.cycle;
        let wave = if period_s > 0.0 { (TAU * (now_s / period_s + turns)).sin() - (TAU * turns).sin() } else { 0.0 };
        let since_start = [Switch { at_s: 0.0, heat: 1.0 }];
        let started = warmth(&since_start, self.start.tau_s, now_s);
        let heated = warmth(heater, self.heated.tau_s, now_s);
        std::array::from_fn(|k| {
            self.rate_um_h[k] * now_s / 3600.0
                + self.start.um[k] * started
                + self.cycle.um[k] * wave
                + self.heated.um[k] * heated
        })
    }
}

/// A unit vector of the stream's choice, evenly over the sphere.
fn direction(stream: Stream) -> [f64; 3] {
    let v = [stream.normal(0), stream.normal(1), stream.normal(2)];
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    v.map(|x| x / length)
}

/// Sines that make a vibration up, per axis: enough that their sum is near normal.
const LINES: usize = 16;

/// One line of a vibration.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    hz: f64,
    um: f64,
    turns: f64,
}

/// Vibration in x, y, z: a sum of sines, spread evenly over a band with the displacement falling as 1/f.
#[derive(Debug, Clone, PartialEq)]
pub struct Vibration {
    lines: [[Line; LINES]; 3],
}

impl Vibration {
    /// Vibration of `rms_um` in each axis in a band (Hz): 5 to 50 nm from 10 to 100 Hz on an optical table, 0.1 to 0.5 um on a
    /// bench.
    pub fn new(rms_um: f64, band_hz: (f64, f64), stream: Stream) -> Vibration {
        let lines = |axis: u64| {
            let stream = stream.child(axis);
            #[expect(clippy::cast_precision_loss, reason = "below twenty")]
            let lines: [Line; LINES] = std::array::from_fn(|k| {
                let share = (k as f64 + stream.uniform(2 * k as u64)) / LINES as f64;
                let hz = band_hz.0 + (band_hz.1 - band_hz.0) * share;
                Line { hz, um: 1.0 / hz.max(1e-9), turns: stream.uniform(2 * k as u64 + 1) }
            });
            let rms = lines.iter().map(|l| l.um * l.um / 2.0).sum::<f64>().sqrt();
            lines.map(|l| Line { um: l.um * rms_um / rms, ..l })
        };
        Vibration { lines: [lines(0), lines(1), lines(2)] }
    }

    /// Displacement at a time, um.
    pub fn um(&self, now_s: f64) -> [f64; 3] {
        self.lines.each_ref().map(|axis| axis.iter().map(|l| l.um * (TAU * (l.hz * now_s + l.turns)).sin()).sum())
    }

    /// The same as a fibre's end sees it at the end of its pigtail: each line by the pigtail's response.
    pub fn through(&self, pigtail: &Pigtail) -> Vibration {
        let lines = self.lines.map(|axis| {
            axis.map(|l| {
                let (gain, turns) = pigtail.response(l.hz);
                Line { um: l.um * gain, turns: l.turns + turns, ..l }
            })
        });
        Vibration { lines }
    }
}

/// A fibre that stands out of its holder and swings: 20 to 100 Hz for several mm of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pigtail {
    /// Resonance, Hz.
    pub hz: f64,
    /// Damping, share of critical; below 1.
    pub damping: f64,
}

impl Pigtail {
    /// Gain and phase (turns) of its end over its holder's at a frequency.
    fn response(&self, hz: f64) -> (f64, f64) {
        let r = hz / self.hz;
        let damped = 2.0 * self.damping * r;
        let gain = 1f64.hypot(damped) / (1.0 - r * r).hypot(damped);
        (gain, (damped.atan2(1.0) - damped.atan2(1.0 - r * r)) / TAU)
    }

    /// Swing of its end after the holder has come to rest from a long deceleration (um/s^2), um against the holder, in the
    /// direction of the motion.
    pub fn ring_um(&self, rested_s: f64, deceleration_um_s2: f64) -> f64 {
        if rested_s < 0.0 {
            return 0.0;
        }
        let w = TAU * self.hz;
        let damping = self.damping.clamp(0.0, 0.999);
        let wd = w * (1.0 - damping * damping).sqrt();
        // Pressed forward by the deceleration until it ends, then free.
        let from = deceleration_um_s2 / (w * w);
        let phase = wd * rested_s;
        from * (-damping * w * rested_s).exp() * (phase.cos() + damping * w / wd * phase.sin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(v: [f64; 3]) -> f64 {
        v.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    #[test]
    fn a_steady_lab_drifts_by_its_rate_and_a_warm_start_by_its_exponential() {
        let steady = Drift::draw(1.5, 0.0, 0.0, 0.0, Stream::new(1, "drift"));
        assert!((length(steady.um(7200.0, &[])) - 3.0).abs() < 1e-9);
        let warm = Drift::draw(0.0, 4.0, 0.0, 0.0, Stream::new(1, "drift"));
        assert!((length(warm.um(1200.0, &[])) - 4.0 * (1.0 - (-1f64).exp())).abs() < 1e-9);
        assert_eq!(warm.um(0.0, &[]), [0.0; 3]);
    }

    #[test]
    fn air_conditioning_moves_it_by_170_nm_in_3_minutes() {
        let drift = Drift::draw(0.0, 0.0, 0.17, 0.0, Stream::new(1, "drift"));
        let at: Vec<[f64; 3]> = (0..180).map(|s| drift.um(f64::from(s), &[])).collect();
        let most = at.iter().flat_map(|a| at.iter().map(|b| length([a[0] - b[0], a[1] - b[1], a[2] - b[2]])));
        assert!((most.fold(0.0, f64::max) - 0.17).abs() < 1e-3);
        assert!(length(drift.um(360.0, &[])) < 1e-9);
    }

    #[test]
    fn a_lamp_warms_and_cools_as_a_first_order_lag() {
        let switches =
            [Switch { at_s: 10.0, heat: 1.0 }, Switch { at_s: 70.0, heat: 0.3 }, Switch { at_s: 90.0, heat: 0.0 }];
        let (mut x, dt) = (0.0, 1e-3);
        for k in 0..200_000 {
            let t = f64::from(k) * dt;
            let heat = switches.iter().rev().find(|s| s.at_s <= t).map_or(0.0, |s| s.heat);
            if k % 10_000 == 0 {
                assert!((warmth(&switches, 25.0, t) - x).abs() < 1e-3, "{t}: {x}");
            }
            x += (heat - x) / 25.0 * dt;
        }
        let drift = Drift::draw(0.0, 0.0, 0.0, 0.6, Stream::new(2, "drift"));
        assert!((length(drift.um(1e4, &switches[..1])) - 0.6).abs() < 1e-9);
    }

    #[test]
    fn vibration_has_its_rms_and_stays_in_its_band() {
        let vibration = Vibration::new(0.03, (10.0, 100.0), Stream::new(4, "table"));
        let n = 100_000;
        let samples: Vec<f64> = (0..n).map(|k| vibration.um(f64::from(k) * 1e-3)[1]).collect();
        let rms = (samples.iter().map(|x| x * x).sum::<f64>() / f64::from(n)).sqrt();
        assert!((rms / 0.03 - 1.0).abs() < 0.02, "{rms}");
        let mut crossings = 0;
        for pair in samples.windows(2) {
            crossings += u32::from(pair[0] * pair[1] < 0.0);
        }
        let hz = f64::from(crossings) / 2.0 / 100.0;
        // A displacement that falls as 1/f from 10 to 100 Hz has an rms frequency of the geometric mean.
        assert!((hz / 1000f64.sqrt() - 1.0).abs() < 0.15, "{hz}");
        assert!(vibration.um(1.0)[0] != vibration.um(1.0)[1]);
    }

    #[test]
    fn a_pigtail_passes_slow_motion_and_swings_up_at_its_resonance() {
        let pigtail = Pigtail { hz: 40.0, damping: 0.05 };
        assert!((pigtail.response(0.4).0 - 1.0).abs() < 1e-3);
        assert!((pigtail.response(40.0).0 - 101f64.sqrt()).abs() < 1e-9);
        assert!(pigtail.response(400.0).0 < 0.02);
    }

    #[test]
    fn a_pigtail_in_a_shaking_holder_follows_the_equation_of_motion() {
        let pigtail = Pigtail { hz: 40.0, damping: 0.05 };
        let holder = Vibration::new(0.03, (20.0, 60.0), Stream::new(4, "table"));
        let (end, w, dt) = (holder.through(&pigtail), TAU * 40.0, 1e-5);
        let (mut x, mut v, mut was) = (0.0, 0.0, holder.um(0.0)[0]);
        let (mut worst, mut swing) = (0.0f64, 0.0f64);
        for k in 1..=150_000u32 {
            let t = f64::from(k) * dt;
            let y = holder.um(t)[0];
            v += (w * w * (y - x) + 2.0 * 0.05 * w * ((y - was) / dt - v)) * dt;
            x += v * dt;
            was = y;
            // The start has died out after a second.
            if t > 1.0 && k.is_multiple_of(100) {
                worst = worst.max((end.um(t)[0] - x).abs());
                swing = swing.max(x.abs());
            }
        }
        assert!(worst < 0.02 * swing && swing > 0.05, "{worst} {swing}");
    }

    #[test]
    fn the_swing_after_a_stop_is_the_solution_of_its_equation() {
        let pigtail = Pigtail { hz: 35.0, damping: 0.08 };
        let w = TAU * 35.0;
        let (mut x, mut v, dt) = (50_000.0 / (w * w), 0.0, 1e-6);
        assert!((x - 1.03).abs() < 0.01, "a micrometre: worth a settling time");
        for k in 0..200_000u32 {
            let t = f64::from(k) * dt;
            if k.is_multiple_of(10_000) {
                assert!((pigtail.ring_um(t, 50_000.0) - x).abs() < 1e-3, "{t} {x}");
            }
            v += (-w * w * x - 2.0 * 0.08 * w * v) * dt;
            x += v * dt;
        }
        assert_eq!(pigtail.ring_um(-1.0, 50_000.0), 0.0);
    }
}
