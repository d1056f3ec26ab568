//! A laser as it is: how its power goes with time and with what moves near it. Pure.

use std::f64::consts::TAU;

use crate::noise::Stream;

/// What a laser is like; the default is a stabilised distributed-feedback laser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceModel {
    /// Time constant with which it comes up, s.
    pub rise_s: f64,
    /// What it lacks when it has come up cold, dB: 0.1 to 0.3.
    pub warm_up_db: f64,
    /// Time constant of warming up, s.
    pub warm_up_s: f64,
    /// Slow fall once it is on, dB/h.
    pub droop_db_h: f64,
    /// Hours after which it falls no further.
    pub droop_h: f64,
    /// Wander, dB rms: 0.01 to 0.05 dB over 15 min is a stabilised source's peak to peak.
    pub wander_db: f64,
    /// Relative intensity noise, dB/Hz.
    pub rin_db_hz: f64,
    /// Mode hops, of a Fabry-Perot laser.
    pub hops: Option<Hops>,
    /// Peak to peak change of power, dB, by light that the facet opposite sends back.
    pub feedback_db: f64,
    /// Polarisation-dependent loss on the way, dB peak to peak: seen as the fibre moves.
    pub pdl_db: f64,
    /// Path over which the fibre's motion takes the polarisation to another one, um.
    pub polarisation_um: f64,
    /// Ageing, dB/day of light: 0.1 for a laser that is about to fail.
    pub ageing_db_day: f64,
}

/// Hops between the modes of a laser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hops {
    /// Least and greatest step, dB: 0.05 to 0.5.
    pub step_db: (f64, f64),
    /// Mean time between them, s.
    pub mean_s: f64,
}

impl Default for SourceModel {
    fn default() -> Self {
        SourceModel {
            rise_s: 0.08,
            warm_up_db: 0.15,
            warm_up_s: 240.0,
            droop_db_h: 0.005,
            droop_h: 8.0,
            wander_db: 0.004,
            rin_db_hz: -145.0,
            hops: None,
            feedback_db: 0.0,
            pdl_db: 0.05,
            polarisation_um: 500.0,
            ageing_db_day: 0.0,
        }
    }
}

/// What the light sees of the world at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surroundings {
    /// Time, s.
    pub now_s: f64,
    /// When it was switched on, s; none while off.
    pub on_since_s: Option<f64>,
    /// Light it has given before, days.
    pub age_days: f64,
    /// Path that the fibre has travelled since power-on, um: it never falls.
    pub travelled_um: f64,
    /// Distance of the facet that reflects, um.
    pub gap_um: f64,
    /// Wavelength, um.
    pub wavelength_um: f64,
}

/// A laser of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Source {
    model: SourceModel,
    stream: Stream,
}

/// Periods of the wander, s: from a breath to a quarter of an hour.
const WANDER_S: [f64; 6] = [7.3, 19.0, 47.0, 127.0, 331.0, 877.0];

impl Source {
    /// A laser with the wander, hops and polarisation of its stream.
    pub fn new(model: SourceModel, stream: Stream) -> Source {
        Source { model, stream }
    }

    /// What it is like.
    pub fn model(&self) -> &SourceModel {
        &self.model
    }

    /// Power over the level set, as a factor; 0 while it is off.
    pub fn factor(&self, at: &Surroundings) -> f64 {
        let Some(since) = at.on_since_s.filter(|since| *since <= at.now_s) else { return 0.0 };
        let on_s = at.now_s - since;
        let m = &self.model;
        let risen = if m.rise_s > 0.0 { 1.0 - (-on_s / m.rise_s).exp() } else { 1.0 };
        let db = -m.warm_up_db * (-on_s / m.warm_up_s.max(1e-9)).exp()
            - m.droop_db_h * (on_s / 3600.0).min(m.droop_h)
            - m.ageing_db_day * (at.age_days + on_s / 86_400.0)
            + self.wander_db(at.now_s)
            + self.hop_db(at.now_s)
            + self.feedback_db(at)
            + self.polarisation_db(at.travelled_um);
        risen * 10f64.powf(db / 10.0)
    }

    /// Slow wander: sines of the laser's own phases with the rms of the model.
    fn wander_db(&self, now_s: f64) -> f64 {
        let stream = self.stream.child(0);
        let sum: f64 = (0..).zip(WANDER_S).map(|(k, s)| (TAU * (now_s / s + stream.uniform(k))).sin()).sum();
        #[expect(clippy::cast_precision_loss, reason = "six")]
        let n = WANDER_S.len() as f64;
        self.model.wander_db * sum * (2.0 / n).sqrt()
    }

    /// The mode it is in: to and fro between the main one and another, once in every stretch of the mean time.
    fn hop_db(&self, now_s: f64) -> f64 {
        let Some(Hops { step_db: (least, most), mean_s }) = self.model.hops else { return 0.0 };
        let stream = self.stream.child(1);
        // A stretch is a microsecond at the least, so that their number fits.
        let mean_s = mean_s.max(1e-6);
        let stretch = (now_s / mean_s).floor().clamp(0.0, 1e15);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below 0")]
        let mut hops = stretch as u64;
        if now_s >= (stretch + stream.uniform(3 * hops)) * mean_s {
            hops += 1;
        }
        if hops.is_multiple_of(2) {
            return 0.0;
        }
        let step = least + (most - least) * stream.uniform(3 * hops + 1);
        if stream.bits(3 * hops + 2) & 1 == 0 { step } else { -step }
    }

    /// Light from the facet adds to the cavity's in step every half wavelength of the gap, with a phase that creeps.
    fn feedback_db(&self, at: &Surroundings) -> f64 {
        let creep = at.now_s / 1800.0 + self.stream.child(2).uniform(0);
        self.model.feedback_db / 2.0 * (TAU * (2.0 * at.gap_um / at.wavelength_um.max(1e-9) + creep)).cos()
    }

    /// Loss by the state of polarisation: it goes with the path travelled and stands when the fibre stands.
    fn polarisation_db(&self, travelled_um: f64) -> f64 {
        let stream = self.stream.child(3);
        let path = travelled_um / self.model.polarisation_um.max(1e-9);
        // Incommensurate rates: a walk on the sphere that does not come back on itself.
        let angle = path + 1.7 * (path * 0.618 + TAU * stream.uniform(0)).sin() + TAU * stream.uniform(1);
        self.model.pdl_db / 2.0 * angle.sin()
    }

    /// Relative intensity noise in a bandwidth (Hz), one standard deviation over the mean.
    pub fn rin_sigma(&self, bandwidth_hz: f64) -> f64 {
        (10f64.powf(self.model.rin_db_hz / 10.0) * bandwidth_hz).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A laser with nothing about it.
    const PLAIN: SourceModel = SourceModel {
        rise_s: 0.0,
        warm_up_db: 0.0,
        warm_up_s: 1.0,
        droop_db_h: 0.0,
        droop_h: 0.0,
        wander_db: 0.0,
        rin_db_hz: -140.0,
        hops: None,
        feedback_db: 0.0,
        pdl_db: 0.0,
        polarisation_um: 500.0,
        ageing_db_day: 0.0,
    };

    fn at(now_s: f64) -> Surroundings {
        Surroundings {
            now_s,
            on_since_s: Some(0.0),
            age_days: 0.0,
            travelled_um: 0.0,
            gap_um: 20.0,
            wavelength_um: 1.55,
        }
    }

    fn db(model: SourceModel, at: Surroundings) -> f64 {
        10.0 * Source::new(model, Stream::new(1, "laser")).factor(&at).log10()
    }

    fn spread(values: impl Iterator<Item = f64>) -> f64 {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        high - low
    }

    #[test]
    fn it_comes_up_warms_up_droops_and_ages_by_the_closed_forms() {
        let rising = SourceModel { rise_s: 0.1, ..PLAIN };
        assert!((10f64.powf(db(rising, at(0.1)) / 10.0) - (1.0 - (-1f64).exp())).abs() < 1e-12);
        let warming = SourceModel { warm_up_db: 0.2, warm_up_s: 60.0, ..PLAIN };
        assert!((db(warming, at(60.0)) + 0.2 * (-1f64).exp()).abs() < 1e-12);
        let drooping = SourceModel { droop_db_h: 0.01, droop_h: 8.0, ..PLAIN };
        assert!((db(drooping, at(2.0 * 3600.0)) + 0.02).abs() < 1e-12);
        assert!((db(drooping, at(20.0 * 3600.0)) + 0.08).abs() < 1e-12);
        let ageing = SourceModel { ageing_db_day: 0.1, ..PLAIN };
        let old = Surroundings { age_days: 9.0, ..at(86_400.0) };
        assert!((db(ageing, old) + 1.0).abs() < 1e-9);
        let off = Surroundings { on_since_s: None, ..at(5.0) };
        assert_eq!(Source::new(PLAIN, Stream::new(1, "laser")).factor(&off), 0.0);
        let later = Surroundings { on_since_s: Some(6.0), ..at(5.0) };
        assert_eq!(Source::new(PLAIN, Stream::new(1, "laser")).factor(&later), 0.0);
    }

    #[test]
    fn wander_has_its_rms_and_a_stabilised_source_stays_within_0_05_db_in_15_min() {
        let model = SourceModel { wander_db: 0.01, ..PLAIN };
        let n = 40_000u32;
        let sum: f64 = (0..n).map(|k| db(model, at(f64::from(k))).powi(2)).sum();
        let rms = (sum / f64::from(n)).sqrt();
        assert!((rms / 0.01 - 1.0).abs() < 0.05, "{rms}");
        let warm = |k: u32| db(SourceModel::default(), at(7200.0 + f64::from(k)));
        let drift = spread((0..900).map(warm));
        assert!((0.005..0.05).contains(&drift), "{drift}");
    }

    #[test]
    fn a_laser_that_hops_steps_by_0_05_to_0_5_db_about_once_in_its_mean_time() {
        let model = SourceModel { hops: Some(Hops { step_db: (0.05, 0.5), mean_s: 100.0 }), ..PLAIN };
        let values: Vec<f64> = (0..100_000u32).map(|k| db(model, at(f64::from(k)))).collect();
        let steps: Vec<f64> = values.windows(2).map(|w| (w[1] - w[0]).abs()).filter(|s| *s > 1e-9).collect();
        assert!((990..=1000).contains(&steps.len()), "{}", steps.len());
        // Two hops within a second are seen as one.
        let odd = steps.iter().filter(|s| !(0.05 - 1e-9..0.5 + 1e-9).contains(*s)).count();
        assert!(odd < 20, "{odd}");
        assert!(values.iter().any(|v| *v > 0.05) && values.iter().any(|v| *v < -0.05));
    }

    #[test]
    fn feedback_ripples_every_half_wavelength_of_the_gap() {
        let model = SourceModel { feedback_db: 0.1, ..PLAIN };
        let seen = |gap_um: f64| db(model, Surroundings { gap_um, ..at(3.0) });
        assert!((spread((0..500).map(|k| seen(f64::from(k) * 0.01))) - 0.1).abs() < 1e-4);
        assert!((seen(10.0) - seen(10.0 + 0.775)).abs() < 1e-9);
        assert!((seen(10.0) - seen(10.0 + 0.3875)).abs() > 0.001);
    }

    #[test]
    fn polarisation_wanders_by_its_pdl_as_the_fibre_moves_and_stands_when_it_stands() {
        let model = SourceModel { pdl_db: 0.3, ..PLAIN };
        let seen = |travelled_um: f64, now_s: f64| db(model, Surroundings { travelled_um, ..at(now_s) });
        let all = spread((0..2000).map(|k| seen(f64::from(k) * 10.0, 0.0)));
        assert!((0.29..=0.3 + 1e-9).contains(&all), "{all}");
        assert!((seen(700.0, 0.0) - seen(700.0, 500.0)).abs() < 1e-12);
        assert!((seen(700.0, 0.0) - seen(700.5, 0.0)).abs() < 0.001, "a small step changes little");
    }

    #[test]
    fn rin_of_minus_140_db_hz_in_500_hz_is_a_hundred_thousandth_of_a_db() {
        let sigma = Source::new(PLAIN, Stream::new(1, "laser")).rin_sigma(500.0);
        let db = 10.0 / std::f64::consts::LN_10 * sigma;
        assert!((db / 1e-5 - 1.0).abs() < 0.05, "{db}");
    }
}
