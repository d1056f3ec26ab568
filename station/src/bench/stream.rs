//! Streams of samples, where the signal's meter has one: means over equal times, gathered while something else goes on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use drivers::meter::{Range, StreamSample, Streamer};
use units::clock::Clock;
use units::{Power, Reading};

use super::{Bench, BenchError};

/// Samples of a sweep are means over this: ten bins a position query, and as quiet as a reading of a millisecond.
pub(super) const SWEEP_BIN: Duration = Duration::from_millis(1);
/// Fetches in the time for which a meter keeps its samples.
const FETCHES: u32 = 4;

/// Means over equal times, from samples in order of time.
#[derive(Debug)]
pub struct Bins {
    width_s: f64,
    /// The bin that is being filled: its number, the powers' sum in W and count, under range, saturated.
    filling: Option<(i64, f64, u32, u32, bool)>,
}

impl Bins {
    /// Bins of this width.
    pub fn new(width: Duration) -> Bins {
        Bins { width_s: width.as_secs_f64(), filling: None }
    }

    /// Takes a sample; gives the bin that it ends, with the time of its middle.
    pub fn push(&mut self, sample: StreamSample) -> Option<(f64, Reading)> {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a run over microseconds")]
        let number = (sample.at_s / self.width_s).floor() as i64;
        let ended = if self.filling.is_some_and(|(filling, ..)| filling != number) { self.end() } else { None };
        let (_, sum, count, under, saturated) = self.filling.get_or_insert((number, 0.0, 0, 0, false));
        match sample.reading {
            Reading::Power(power) => (*sum, *count) = (*sum + power.watts(), *count + 1),
            Reading::UnderRange => *under += 1,
            Reading::Saturated => *saturated = true,
        }
        ended
    }

    /// Ends the bin that is being filled. One saturated sample saturates it: its mean would be too small.
    pub fn end(&mut self) -> Option<(f64, Reading)> {
        let (number, sum, count, under, saturated) = self.filling.take()?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run over microseconds")]
        let middle_s = (number as f64 + 0.5) * self.width_s;
        let reading = if saturated {
            Reading::Saturated
        } else if under > count || count == 0 {
            Reading::UnderRange
        } else {
            Reading::Power(Power::from_watts(sum / f64::from(count)))
        };
        Some((middle_s, reading))
    }
}

/// Fetches samples of a channel into bins until `done`, and what came until then.
pub(super) async fn gather(
    streamer: &mut dyn Streamer,
    channel: u32,
    clock: &Clock,
    done: &Cell<bool>,
) -> Result<Vec<(f64, Reading)>, BenchError> {
    let mut bins = Bins::new(SWEEP_BIN);
    let mut gathered = Vec::new();
    loop {
        let last = done.get();
        for sample in streamer.take_samples(channel).await? {
            gathered.extend(bins.push(sample));
        }
        if last {
            return Ok(gathered);
        }
        clock.sleep(streamer.kept_for() / FETCHES).await;
    }
}

impl Bench {
    /// Whether sweeps read the signal from its meter's stream: it has one, and its range is fixed.
    pub fn signal_streams(&mut self) -> bool {
        let signal = self.config.signal().meter.clone();
        let fixed = self.config.meters.get(&signal).is_some_and(|m| matches!(m.range, Range::Upper(_)));
        fixed && self.meters.get_mut(&signal).is_some_and(|m| m.streamer().is_some())
    }

    /// Samples a second of a meter's stream; `None` where it has none.
    pub fn stream_rate(&mut self, meter: &str) -> Option<f64> {
        let streamer = self.meters.get_mut(meter)?.streamer()?;
        Some(1.0 / streamer.sample_interval().as_secs_f64())
    }

    /// Streams the channels of a meter, each as means over `width`, to `told`, until it says that it has enough. A row is
    /// the time of its middle and a reading of each channel of the bench on that meter, in their order; times of which
    /// samples were lost on any of them have none.
    ///
    /// # Errors
    /// Meter errors; `NoChannel` for a meter without a stream.
    pub async fn stream(
        &mut self,
        meter: &str,
        width: Duration,
        mut told: impl FnMut(f64, &[Reading]) -> bool,
    ) -> Result<(), BenchError> {
        let numbers: Vec<u32> = self.config.channels.iter().filter(|c| c.meter == meter).map(|c| c.number).collect();
        let clock = self.clock.clone();
        let lacking = || BenchError::NoChannel { meter: meter.to_string(), number: 1 };
        if numbers.is_empty() {
            return Err(lacking());
        }
        let streamer = self.meters.get_mut(meter).and_then(|m| m.streamer()).ok_or_else(lacking)?;
        let mut bins: Vec<Bins> = numbers.iter().map(|_| Bins::new(width)).collect();
        for number in &numbers {
            streamer.start_stream(*number).await?;
        }
        // Rows that wait for a channel, by the number of their bin.
        let mut rows: BTreeMap<i64, Vec<Option<Reading>>> = BTreeMap::new();
        loop {
            for (place, (number, bins)) in numbers.iter().zip(&mut bins).enumerate() {
                for sample in streamer.take_samples(*number).await? {
                    let Some((middle_s, reading)) = bins.push(sample) else { continue };
                    #[expect(clippy::cast_possible_truncation, reason = "seconds of a run over microseconds")]
                    let row = (middle_s / width.as_secs_f64()).floor() as i64;
                    rows.entry(row).or_insert_with(|| vec![None; numbers.len()])[place] = Some(reading);
                }
            }
            while let Some(whole) = rows.iter().find(|(_, row)| row.iter().all(Option::is_some)).map(|(n, _)| *n) {
                let row: Vec<Reading> = rows.remove(&whole).into_iter().flatten().flatten().collect();
                rows.retain(|number, _| *number > whole);
                #[expect(clippy::cast_precision_loss, reason = "seconds of a run over microseconds")]
                let middle_s = (whole as f64 + 0.5) * width.as_secs_f64();
                if !told(middle_s, &row) {
                    return Ok(());
                }
            }
            clock.sleep(streamer.kept_for() / FETCHES).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_s: f64, watts: f64) -> StreamSample {
        StreamSample { at_s, reading: Reading::Power(Power::from_watts(watts)) }
    }

    #[test]
    fn bins_are_means_over_equal_times_and_gaps_have_none() {
        let mut bins = Bins::new(Duration::from_millis(1));
        let pushed: Vec<_> = [(0.0002, 1.0), (0.0007, 3.0), (0.0012, 5.0), (0.0102, 7.0)]
            .into_iter()
            .filter_map(|(at, w)| bins.push(sample(at, w)))
            .collect();
        let power = |w: f64| Reading::Power(Power::from_watts(w));
        assert!(matches!(pushed[..], [(a, first), (b, second)]
            if (a - 0.0005).abs() < 1e-12 && (b - 0.0015).abs() < 1e-12 && first == power(2.0) && second == power(5.0)));
        assert_eq!(bins.end().map(|(_, r)| r), Some(power(7.0)));
        assert_eq!(bins.end(), None);
    }

    #[test]
    fn one_saturated_sample_saturates_and_the_most_under_range_are_under_range() {
        let of = |readings: &[Reading]| {
            let mut bins = Bins::new(Duration::from_millis(1));
            readings.iter().for_each(|r| assert!(bins.push(StreamSample { at_s: 0.0, reading: *r }).is_none()));
            bins.end().unwrap().1
        };
        let power = Reading::Power(Power::from_watts(2.0));
        assert_eq!(of(&[power, power, Reading::Saturated]), Reading::Saturated);
        assert_eq!(of(&[power, Reading::UnderRange, Reading::UnderRange]), Reading::UnderRange);
        assert_eq!(of(&[power, power, Reading::UnderRange]), power);
    }
}
