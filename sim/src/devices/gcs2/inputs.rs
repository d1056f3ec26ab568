//! Analog inputs, which see the simulated light, their shaping for the alignment routines, and digital lines.

use super::{COUNT, Gcs2, MISSING, NOT_A_NUMBER, RANGE};
use crate::noise::Stream;
use crate::world::{View, World};

/// Analog input unknown.
const NO_INPUT: i32 = 14;
/// Analog inputs: the first has a photodiode amplifier on it, nothing is connected to the second.
pub(super) const ANALOG: usize = 2;
/// Digital inputs, and as many outputs.
const DIGITAL: usize = 4;
/// The photodiode amplifier, V/W: 1 V for 0.1 mW.
const VOLTS_PER_WATT: f64 = 1e4;
/// Noise of an input with one sample, V.
const NOISE_V: f64 = 2e-4;
/// An input takes this much with a gain of 1, V, in 16 bits.
const FULL_V: f64 = 10.0;
const COUNTS: f64 = 32_768.0;
/// Samples averaged at the most (`NAV`).
const AVERAGE_MAX: u32 = 10_000;

/// How an input is shaped before a routine sees it (`SIC`).
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Off,
    /// a + b c^(d v)
    Exponential([f64; 4]),
    /// Coefficients from a0 on.
    Polynomial([f64; 5]),
}

impl Shape {
    fn of(&self, volts: f64) -> f64 {
        match self {
            Shape::Off => volts,
            Shape::Exponential([a, b, c, d]) => a + b * c.powf(d * volts),
            Shape::Polynomial(a) => a.iter().rev().fold(0.0, |sum, a| sum * volts + a),
        }
    }

    fn line(&self) -> String {
        let all = |kind: u8, values: &[f64]| values.iter().fold(kind.to_string(), |text, v| text + &format!(" {v:.6}"));
        match self {
            Shape::Off => "0".into(),
            Shape::Exponential(v) => all(1, v),
            Shape::Polynomial(v) => all(2, v),
        }
    }
}

/// The lines of a controller.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    noise: Stream,
    average: [u32; ANALOG],
    gain: [f64; ANALOG],
    shape: [Shape; ANALOG],
    outputs: [bool; DIGITAL],
}

impl Inputs {
    pub(super) fn new(world: &World, instrument: &str) -> Inputs {
        Inputs {
            noise: world.stream(&format!("analog {instrument}")),
            average: [1; ANALOG],
            gain: [1.0; ANALOG],
            shape: [Shape::Off, Shape::Off],
            outputs: [false; DIGITAL],
        }
    }
}

/// Index of an analog input's number.
pub(super) fn analog(text: &str) -> Result<usize, i32> {
    let number: usize = text.parse().map_err(|_| NO_INPUT)?;
    if (1..=ANALOG).contains(&number) { Ok(number - 1) } else { Err(NO_INPUT) }
}

fn digital(text: &str) -> Result<usize, i32> {
    let number: usize = text.parse().map_err(|_| NOT_A_NUMBER)?;
    if (1..=DIGITAL).contains(&number) { Ok(number - 1) } else { Err(RANGE) }
}

fn numbers(args: &[&str]) -> Result<Vec<f64>, i32> {
    args.iter().map(|a| a.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(NOT_A_NUMBER)).collect()
}

impl Gcs2 {
    /// Counts of an analog input's converter at a time.
    fn counts(&self, input: usize, at_s: f64) -> f64 {
        let light = if input == 0 {
            let lane = View::Lane(0);
            self.world.seen(&self.model, &lane, at_s, at_s) * VOLTS_PER_WATT
        } else {
            0.0
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
        let index = (at_s.max(0.0) * 1e6) as u64;
        let noise = self.inputs.noise.child(input as u64).normal(index);
        let volts = light + NOISE_V / f64::from(self.inputs.average[input]).sqrt() * noise;
        (volts * self.inputs.gain[input] / FULL_V * COUNTS).round().clamp(-COUNTS, COUNTS - 1.0)
    }

    /// Voltage of an analog input at a time, V.
    pub(super) fn volts(&self, input: usize, at_s: f64) -> f64 {
        self.counts(input, at_s) * FULL_V / COUNTS / self.inputs.gain[input]
    }

    /// What a routine sees of an input at a time.
    pub(super) fn shaped(&self, input: usize, at_s: f64) -> f64 {
        self.inputs.shape[input].of(self.volts(input, at_s))
    }

    /// Queries of the lines; none for another word.
    pub(super) fn ask_inputs(&self, now_s: f64, word: &str, args: &[&str]) -> Result<Option<Vec<String>>, i32> {
        let each = |count: usize, find: fn(&str) -> Result<usize, i32>, value: &dyn Fn(usize) -> String| {
            let asked: Vec<usize> = if args.is_empty() {
                (0..count).collect()
            } else {
                args.iter().map(|a| find(a)).collect::<Result<_, _>>()?
            };
            Ok(Some(asked.into_iter().map(|i| format!("{}={}", i + 1, value(i))).collect()))
        };
        match word {
            "TAC" => Ok(Some(vec![ANALOG.to_string()])),
            "TIO" => Ok(Some(vec![format!("I={DIGITAL}"), format!("O={DIGITAL}")])),
            "TAV" => each(ANALOG, analog, &|i| format!("{:.6}", self.volts(i, now_s))),
            "TAD" => each(ANALOG, analog, &|i| format!("{:.0}", self.counts(i, now_s))),
            "TCI" => each(ANALOG, analog, &|i| format!("{:.6}", self.shaped(i, now_s))),
            "NAV" => each(ANALOG, analog, &|i| self.inputs.average[i].to_string()),
            "SGA" => each(ANALOG, analog, &|i| format!("{:.0}", self.inputs.gain[i])),
            "SIC" => each(ANALOG, analog, &|i| self.inputs.shape[i].line()),
            // Nothing is connected to the inputs.
            "DIO" => each(DIGITAL, digital, &|_| "0".into()),
            "TPC" if self.is_piezo() => Ok(Some(vec![self.channels.len().to_string()])),
            _ => Ok(None),
        }
    }

    /// Settings of the lines; none for another word.
    pub(super) fn set_inputs(&mut self, word: &str, args: &[&str]) -> Option<Result<(), i32>> {
        Some(match word {
            "DIO" | "NAV" | "SGA" => self.set_lines(word, args),
            "SIC" => self.shape_input(args),
            _ => return None,
        })
    }

    fn set_lines(&mut self, word: &str, args: &[&str]) -> Result<(), i32> {
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return Err(if args.is_empty() { MISSING } else { COUNT });
        }
        let mut changed = self.inputs.clone();
        for pair in args.chunks_exact(2) {
            match word {
                "DIO" => {
                    let on = match pair[1] {
                        "0" => false,
                        "1" => true,
                        _ => return Err(RANGE),
                    };
                    // Line 0 is all of them.
                    if pair[0] == "0" {
                        changed.outputs = [on; DIGITAL]
                    } else {
                        changed.outputs[digital(pair[0])?] = on
                    }
                }
                "NAV" => {
                    let count: u32 = pair[1].parse().map_err(|_| NOT_A_NUMBER)?;
                    changed.average[analog(pair[0])?] =
                        Some(count).filter(|n| (1..=AVERAGE_MAX).contains(n)).ok_or(RANGE)?;
                }
                _ => {
                    let gain = numbers(&pair[1..])?[0];
                    changed.gain[analog(pair[0])?] =
                        Some(gain).filter(|g| [1.0, 10.0, 100.0].contains(g)).ok_or(RANGE)?;
                }
            }
        }
        self.inputs = changed;
        Ok(())
    }

    fn shape_input(&mut self, args: &[&str]) -> Result<(), i32> {
        let [input, kind, rest @ ..] = args else { return Err(MISSING) };
        let input = analog(input)?;
        let values = numbers(rest)?;
        self.inputs.shape[input] = match *kind {
            "0" if values.is_empty() => Shape::Off,
            "1" => Shape::Exponential(values.try_into().map_err(|_| COUNT)?),
            "2" => Shape::Polynomial(values.try_into().map_err(|_| COUNT)?),
            "0" => return Err(COUNT),
            _ => return Err(RANGE),
        };
        Ok(())
    }
}
