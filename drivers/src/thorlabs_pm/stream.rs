//! The fast measurement stream of meters on their Ethernet port: 100 000 samples a second, fetched in packages.
//!
//! Sources: Thorlabs' command documentation of PM5020 and PM103E ("Fast Measurement Stream"), his sample `fastMode.py`. Not
//! told there: how many packages one answer holds, so it is asked until nothing comes; whether LF follows the samples of a
//! PM5020, so both are read; which samples a full queue loses, so only their own times are believed.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::ThorlabsPm;
use super::codec::{self, Count};
use crate::exchange::{AnswerFraming, Query, Repeat};
use crate::meter::{MeterError, StreamSample, Streamer};

/// 100 000 samples a second ("Always 100kHz").
const INTERVAL: Duration = Duration::from_micros(10);
/// The queue holds ten milliseconds.
const KEPT: Duration = Duration::from_millis(10);
/// An answer takes a millisecond over a network; one that takes longer than the queue lasts has lost samples anyway.
const FETCH_LIMIT: Duration = Duration::from_millis(250);
/// Answers in one go: the queue's ten packages, and those that come meanwhile.
const FETCHES_MAX: usize = 32;
/// Answers by which the meter's times are held against the clock's at the start, and the pause between two.
const SYNC_FETCHES: usize = 8;
const SYNC_PAUSE: Duration = Duration::from_millis(2);

/// The times of one channel's stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// The last time of the meter's counter, and all that it has counted, us.
    last: Option<u32>,
    counted_us: u64,
    /// Seconds of the clock at which the counter began: the least that an answer allows, since answers are only late.
    began_s: Option<f64>,
}

impl Times {
    /// Seconds counted at a sample; the counter of 32 bits wraps.
    fn counted_s(&mut self, us: u32) -> f64 {
        let step = self.last.map_or(0, |last| us.wrapping_sub(last));
        self.counted_us += u64::from(step);
        self.last = Some(us);
        Duration::from_micros(self.counted_us).as_secs_f64()
    }

    /// A sample counted then was there at the latest now.
    fn hold_against(&mut self, counted_s: f64, now_s: f64) -> f64 {
        let began = now_s - counted_s;
        let least = self.began_s.map_or(began, |known| known.min(began));
        self.began_s = Some(least);
        least
    }
}

impl ThorlabsPm {
    /// One answer of the stream.
    async fn fetch(&mut self, channel: u32) -> Result<Vec<StreamSample>, MeterError> {
        let request = format!("ACQ{channel}:FAST:FETC?\n");
        // What it gives it forgets.
        let query = Query {
            request: request.as_bytes(),
            limit: FETCH_LIMIT,
            repeat: Repeat::Never,
            expected: "samples with their count",
        };
        let count = self.quirks().count;
        let framing = match count {
            Count::Text => AnswerFraming { end: codec::text_counted_end, max: codec::SAMPLES_BYTES_MAX },
            Count::Binary => AnswerFraming { end: codec::binary_counted_end, max: codec::SAMPLES_BYTES_MAX },
        };
        let samples = self.line_mut().query_framed(&query, framing, |answer| codec::samples(answer, count)).await?;
        let now_s = self.line_mut().clock().seconds();
        let times = self.streams.entry(channel).or_default();
        let counted: Vec<_> = samples.into_iter().map(|(us, reading)| (times.counted_s(us), reading)).collect();
        let Some((newest_s, _)) = counted.last().copied() else { return Ok(Vec::new()) };
        let began_s = times.hold_against(newest_s, now_s);
        Ok(counted.into_iter().map(|(s, reading)| StreamSample { at_s: began_s + s, reading }).collect())
    }
}

#[async_trait(?Send)]
impl Streamer for ThorlabsPm {
    fn sample_interval(&self) -> Duration {
        INTERVAL
    }

    fn kept_for(&self) -> Duration {
        KEPT
    }

    async fn start_stream(&mut self, channel: u32) -> Result<(), MeterError> {
        self.check_settings().await?;
        let command = format!("ACQ{channel}:FAST:POW");
        self.line_mut().send(format!("{command}\nACQ{channel}:FAST:RESET\n").as_bytes()).await?;
        if let Some(first) = self.drain().await?.into_iter().next() {
            return Err(self.refused(&command, first));
        }
        self.streams.insert(channel, Times::default());
        for _ in 0..SYNC_FETCHES {
            self.line_mut().clock().clone().sleep(SYNC_PAUSE).await;
            self.take_samples(channel).await?;
        }
        Ok(())
    }

    async fn take_samples(&mut self, channel: u32) -> Result<Vec<StreamSample>, MeterError> {
        let mut all = Vec::new();
        for _ in 0..FETCHES_MAX {
            let fetched = self.fetch(channel).await?;
            if fetched.is_empty() {
                break;
            }
            all.extend(fetched);
        }
        Ok(all)
    }
}

/// Times of the streams by channel.
pub(super) type Streams = BTreeMap<u32, Times>;

#[cfg(test)]
mod tests {
    use super::*;

    /// The maker's example of a counter that wraps.
    #[test]
    fn the_counter_wraps_and_time_goes_on() {
        let mut times = Times::default();
        let counted: Vec<f64> = [4_294_967_282, 4_294_967_292, 6, 16].map(|us| times.counted_s(us)).to_vec();
        let expected = [0.0, 10e-6, 20e-6, 30e-6];
        assert!(counted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{counted:?}");
    }

    #[test]
    fn late_answers_do_not_shift_the_times() {
        let mut times = Times::default();
        times.hold_against(1.0, 101.003);
        times.hold_against(2.0, 102.001);
        let began = times.hold_against(3.0, 103.2);
        assert!((began - 100.001).abs() < 1e-9, "{began}");
    }
}
