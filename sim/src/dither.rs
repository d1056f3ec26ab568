//! Circular dither: two piezos on top of stage axes circle on the light, and a loop moves the circle's centre up its
//! gradient. The loop is integrated circle by circle up to the moment at which anything is asked, no sooner.
//!
//! Known to the world, which asks where the piezos are; set up by the instrument that drives them.

use std::f64::consts::TAU;

use crate::noise::Stream;
use crate::world::{Inner, View};

/// Looks at the light in one circle: the loop sees amplitude and phase of the first harmonic and nothing more.
const LOOKS: u32 = 16;
/// Circles made good at once, some minutes: a loop that nobody asked for longer has long been where it ends.
const CIRCLES_MAX: u32 = 20_000;
/// Lag of the piezos behind their drive, s: a first-order amplifier on some microfarads.
const LAG_S: f64 = 0.6e-3;
/// Centre moves this many diameters for a first harmonic of a whole range, at a gain of 1: with a range half full and a
/// circle of a tenth of the spot it closes in within some ten circles, the pace of the instruments.
const LOOP: f64 = 5.0;
/// Responsivity of the photodiode, A/W.
pub(crate) const RESPONSIVITY_A_W: f64 = 0.95;
/// Relative noise of one look at the light, and absolute noise, A.
const NOISE_REL: f64 = 1e-3;
const NOISE_A: f64 = 1e-11;

/// A circular dither on two axes. Lengths in um, from the middle of the piezos' travel.
#[derive(Debug, Clone)]
pub(crate) struct Dither {
    /// Bench names of the axes; an empty one is not connected.
    pub(crate) axes: [String; 2],
    /// Half of the piezos' travel.
    pub(crate) reach_um: f64,
    pub(crate) centre_um: [f64; 2],
    pub(crate) diameter_um: f64,
    pub(crate) frequency_hz: f64,
    /// Phase compensation of both axes, rad.
    pub(crate) phase_rad: [f64; 2],
    /// Gain of the loop, 1 for the usual.
    pub(crate) gain: f64,
    /// Upper end of the range in use, A.
    pub(crate) full_a: f64,
    /// Below it the loop stands, A.
    pub(crate) threshold_a: f64,
    /// Which axes circle and follow.
    pub(crate) tracks: [bool; 2],
    /// Whether the last circle had a signal.
    pub(crate) signal: bool,
    /// What it sees.
    pub(crate) view: View,
    /// When the next circle begins, s.
    pub(crate) next_s: f64,
    pub(crate) noise: Stream,
}

impl Dither {
    fn tracking(&self) -> bool {
        self.tracks != [false; 2] && self.frequency_hz > 0.0
    }

    /// Where the piezo of an axis is at a time.
    fn at(&self, side: usize, t_s: f64) -> f64 {
        let circle = if self.tracks[side] && self.tracking() {
            let phase = TAU * self.frequency_hz * (t_s - LAG_S);
            self.diameter_um / 2.0 * if side == 0 { phase.cos() } else { phase.sin() }
        } else {
            0.0
        };
        (self.centre_um[side] + circle).clamp(-self.reach_um, self.reach_um)
    }

    /// Moves the centre by what one circle of photocurrents (A) says.
    fn follow(&mut self, begin_s: f64, currents: &[f64]) {
        let looks = f64::from(LOOKS);
        let mean = currents.iter().sum::<f64>() / looks;
        self.signal = mean >= self.threshold_a;
        if !self.signal {
            return;
        }
        let mut slope = [0.0; 2];
        for (k, current) in (0..LOOKS).zip(currents) {
            let t_s = begin_s + (f64::from(k) + 0.5) / (looks * self.frequency_hz);
            let phase = TAU * self.frequency_hz * t_s;
            // An amplifier in saturation hides the gradient.
            let seen = current.min(self.full_a) / self.full_a;
            slope[0] += 2.0 / looks * seen * (phase - self.phase_rad[0]).cos();
            slope[1] += 2.0 / looks * seen * (phase - self.phase_rad[1]).sin();
        }
        let room = (self.reach_um - self.diameter_um / 2.0).max(0.0);
        for side in [0, 1] {
            if self.tracks[side] {
                let step = self.gain * LOOP * self.diameter_um * slope[side];
                self.centre_um[side] = (self.centre_um[side] + step).clamp(-room, room);
            }
        }
    }
}

/// Displacement that dithers add to an axis at a time, um.
pub(crate) fn displacement(dithers: &std::collections::BTreeMap<String, Dither>, axis: &str, t_s: f64) -> f64 {
    let of = |d: &Dither| d.axes.iter().position(|a| a == axis).map_or(0.0, |side| d.at(side, t_s));
    dithers.values().map(of).sum()
}

/// Integrates every loop up to a time.
pub(crate) fn advance(world: &mut Inner, now_s: f64) {
    if world.dithers.is_empty() {
        return;
    }
    let names: Vec<String> = world.dithers.keys().cloned().collect();
    for name in names {
        for _ in 0..CIRCLES_MAX {
            if !circle(world, &name, now_s) {
                break;
            }
        }
        if let Some(dither) = world.dithers.get_mut(&name) {
            // Latched, or behind by more than the bound.
            let late = now_s - dither.next_s > 1.0;
            dither.next_s = if !dither.tracking() || late { dither.next_s.max(now_s) } else { dither.next_s };
        }
    }
}

/// One circle, if it has ended by now.
fn circle(world: &mut Inner, name: &str, now_s: f64) -> bool {
    let Some(dither) = world.dithers.get(name).filter(|d| d.tracking()) else { return false };
    let (begin_s, period_s, view, noise) = (dither.next_s, 1.0 / dither.frequency_hz, dither.view, dither.noise);
    if begin_s + period_s > now_s {
        return false;
    }
    let currents: Vec<f64> = (0..LOOKS)
        .map(|k| {
            let t_s = begin_s + period_s * (f64::from(k) + 0.5) / f64::from(LOOKS);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
            let index = (t_s.max(0.0) * 1e6) as u64;
            let current = RESPONSIVITY_A_W * world.light_now(&view, t_s);
            current * (1.0 + NOISE_REL * noise.normal(index)) + NOISE_A * noise.child(1).normal(index)
        })
        .collect();
    if let Some(dither) = world.dithers.get_mut(name) {
        dither.follow(begin_s, &currents);
        dither.next_s = begin_s + period_s;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dither() -> Dither {
        Dither {
            axes: ["x".into(), "y".into()],
            reach_um: 10.0,
            centre_um: [0.0; 2],
            diameter_um: 1.0,
            frequency_hz: 43.75,
            phase_rad: [TAU * 43.75 * LAG_S; 2],
            gain: 1.0,
            full_a: 3e-6,
            threshold_a: 1e-8,
            tracks: [true; 2],
            signal: false,
            view: View::Dark,
            next_s: 0.0,
            noise: Stream::new(1, "dither"),
        }
    }

    /// Follows a Gaussian spot of 4 um for some circles; where the centre ends, and how far it was off half way.
    fn follow(d: &mut Dither, peak_um: [f64; 2], circles: u32) -> f64 {
        for n in 0..circles {
            let begin = f64::from(n) / d.frequency_hz;
            let currents: Vec<f64> = (0..LOOKS)
                .map(|k| {
                    let t = begin + (f64::from(k) + 0.5) / (f64::from(LOOKS) * d.frequency_hz);
                    let off = [d.at(0, t) - peak_um[0], d.at(1, t) - peak_um[1]];
                    2e-6 * (-2.0 * (off[0].powi(2) + off[1].powi(2)) / 16.0).exp()
                })
                .collect();
            d.follow(begin, &currents);
        }
        (d.centre_um[0] - peak_um[0]).hypot(d.centre_um[1] - peak_um[1])
    }

    #[test]
    fn the_centre_climbs_to_the_peak_and_faster_with_a_wider_circle() {
        let mut d = dither();
        assert!(follow(&mut d, [1.5, -2.0], 60) < 0.02);
        let after = |diameter_um: f64| follow(&mut Dither { diameter_um, ..dither() }, [1.5, -2.0], 6);
        assert!(after(1.0) < 0.8 * after(0.5), "{} {}", after(1.0), after(0.5));
    }

    #[test]
    fn a_phase_a_half_turn_off_climbs_down() {
        let half = std::f64::consts::PI;
        let mut d = Dither { phase_rad: dither().phase_rad.map(|p| p + half), ..dither() };
        assert!(follow(&mut d, [1.5, -2.0], 20) > 2.6);
    }

    #[test]
    fn without_signal_the_loop_stands_and_says_so() {
        let mut d = Dither { threshold_a: 1e-4, ..dither() };
        follow(&mut d, [1.5, -2.0], 20);
        assert_eq!((d.centre_um, d.signal), ([0.0; 2], false));
    }

    #[test]
    fn one_axis_alone_follows_in_a_line() {
        let mut d = Dither { tracks: [true, false], ..dither() };
        follow(&mut d, [1.5, -2.0], 60);
        assert_eq!((d.centre_um[1], d.at(1, 0.123)), (0.0, 0.0));
        assert!((d.centre_um[0] - 1.5).abs() < 0.05, "{:?}", d.centre_um);
    }
}
