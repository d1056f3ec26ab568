//! The fast measurement stream (`ACQ#:FAST`): 100 000 samples a second in packages of a millisecond, a queue of ten of them.
//!
//! From the maker's command documentation for PM5020 and PM103E and his sample `fastMode.py`. Where these differ or are
//! silent, the awkward way: a full queue loses what is new, and what is old is given first; a request gives one package;
//! only the older models end their answer with LF, as their sample's arithmetic shows.

use std::collections::VecDeque;

use super::{Act, ThorlabsPm};
use crate::devices::scpi::{self, Command};
use crate::light::detector::Reading;

/// Samples of a package, and what each takes, seconds.
const PACKAGE: u64 = 100;
const SAMPLE_S: f64 = 10e-6;
/// Packages that the queue holds.
const QUEUE: u64 = 10;
/// The counter of microseconds at power-on: it wraps within the first seconds.
const COUNTER: u64 = 0xffff_ffff - 3_000_000;

/// The stream of one channel.
#[derive(Debug, Default)]
pub(super) struct Fast {
    /// It was configured for power.
    on: bool,
    /// Milliseconds whose packages wait, the oldest first.
    queue: VecDeque<u64>,
    /// The last millisecond that was looked at.
    seen: u64,
}

impl Fast {
    fn reset(&mut self, now_ms: u64) {
        self.queue.clear();
        self.seen = now_ms;
    }

    /// Packages that came since: as many as there is room for, the others are lost.
    fn advance(&mut self, now_ms: u64) {
        let room = QUEUE.saturating_sub(self.queue.len() as u64);
        self.queue.extend((self.seen..now_ms).take(usize::try_from(room).unwrap_or(0)));
        self.seen = self.seen.max(now_ms);
    }
}

fn milliseconds(now_s: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not below 0")]
    let ms = (now_s * 1e3).max(0.0) as u64;
    ms
}

impl ThorlabsPm {
    /// Whether the count before the samples is text: of the PM103 and its kin.
    fn counts_in_text(&self) -> bool {
        self.model.starts_with("PM103")
    }

    /// Commands of the stream; not on a serial line, which is too slow for it.
    pub(super) fn streaming(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        if !self.ethernet {
            return None;
        }
        let is = |leaf: &str| scpi::is(&c.header, &format!("ACQuire:FAST{leaf}"));
        let now_ms = milliseconds(now_s);
        if is("[:ARRay]:MAXSamplerate") && c.query {
            return Some(Act::Say("100000".into()));
        }
        if is("[:ARRay][:POWer]") && !c.query {
            self.fast.on = true;
            self.fast.reset(now_ms);
            return Some(Act::Done);
        }
        if is(":RESET") && !c.query {
            self.fast.reset(now_ms);
            return Some(Act::Done);
        }
        if is("[:ARRay]:FETCh") && c.query {
            if self.fast.on {
                self.fast.advance(now_ms);
            }
            let samples = self.fast.queue.pop_front().map_or(Vec::new(), |ms| self.package(ms));
            return Some(Act::Bytes(self.told(&samples)));
        }
        None
    }

    fn told(&self, samples: &[(u32, f32)]) -> Vec<u8> {
        let mut bytes = match (self.counts_in_text(), samples.len()) {
            (true, 0) => b"0".to_vec(),
            (true, count) => format!("{count},").into_bytes(),
            (false, count) => u32::try_from(count).unwrap_or(0).to_le_bytes().to_vec(),
        };
        for (us, value) in samples {
            bytes.extend(us.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        if self.counts_in_text() {
            bytes.push(b'\n');
        }
        bytes
    }

    /// The samples of a millisecond; while the range settles there are none.
    fn package(&mut self, ms: u64) -> Vec<(u32, f32)> {
        let settled_s = self.settings.range_since_s + self.head.dead_s();
        let mut samples = Vec::new();
        for k in 0..PACKAGE {
            let us = ms * 1000 + k * 10;
            #[expect(clippy::cast_precision_loss, reason = "hours of microseconds")]
            let begin_s = us as f64 * 1e-6;
            if begin_s < settled_s {
                continue;
            }
            let (_, reading) = self.head.read(begin_s, SAMPLE_S, self.settings.range, self.settings.range_since_s);
            let watts = match reading {
                Reading::Power(w) => (w - self.settings.zero_w) * 10f64.powf(self.settings.loss_db / 10.0),
                Reading::UnderRange => f64::NEG_INFINITY,
                Reading::Saturated => f64::INFINITY,
            };
            #[expect(clippy::cast_possible_truncation, reason = "the meter sends 32 bits of each")]
            samples.push(((us + COUNTER) as u32, watts as f32));
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_loses_what_is_new() {
        let mut fast = Fast { on: true, ..Fast::default() };
        fast.reset(100);
        fast.advance(103);
        assert_eq!(fast.queue, [100, 101, 102]);
        fast.advance(500);
        assert_eq!(fast.queue, [100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
        fast.queue.pop_front();
        fast.advance(501);
        assert_eq!(fast.queue.back(), Some(&500));
    }
}
