//! [`FastAlignment`] of controllers with the fast alignment commands, and the pivot of a hexapod.

use std::time::Duration;

use async_trait::async_trait;

use super::array;
use super::codec;
use super::driver::{Channel, Gcs2, harmless, pause, same};
use crate::alignment::{Aligned, AlignmentSample, AreaScan, Estimate, FastAlignment, GradientSearch, Path, Then};
use crate::exchange::Query;
use crate::motion::{MotionError, Pivot};

/// The routine that this driver defines anew each time; PI's own programs use digits only.
const NAME: &str = "1";
/// Results: success, maximum, its position, time, reason of abort.
const RESULTS: [u32; 5] = [1, 2, 3, 5, 6];
/// States of `FRP?`.
const OVER: &str = "0";
/// Servo update time, s; points of a recorder table, as E-712 and C-887 have them.
const SERVO_TIME: u32 = 0x0E00_0200;
const RECORDER_POINTS: u32 = 0x1600_0201;
/// Where the controller does not say: the least of PI's own list (PIPython, datarecorder).
const POINTS_DEFAULT: f64 = 1024.0;
/// Rows fetched with one query: 8 KB, less than a second at 115200 baud.
const ROWS: usize = 250;
/// The same at 9600 baud.
const ROWS_LIMIT: Duration = Duration::from_secs(12);
/// Recorder options: actual position, alignment input.
const POSITION: u32 = 2;
const INPUT: u32 = 150;
/// Ways to the start of a scan and from its end, s.
const WAYS_S: f64 = 2.0;

/// What is recorded of a routine, and how many samples.
struct Recorded<'a> {
    channels: [&'a str; 2],
    input: u32,
    samples: u32,
}

/// Two axes, as the driver knows them.
struct Pair {
    scan: Channel,
    step: Channel,
}

impl Gcs2 {
    /// Whether the controller has the commands.
    pub(super) fn aligns(&self) -> bool {
        ["FDR", "FDG", "FRS", "FRP?", "FRR?"].iter().all(|c| self.commands.contains(*c))
    }

    /// Whether the controller has a centre of rotation.
    pub(super) fn has_pivot(&self) -> bool {
        self.commands.contains("SPI") && self.commands.contains("SPI?")
    }

    fn pair(&self, scan: &str, step: &str) -> Result<Pair, MotionError> {
        let mut known = self.known(&[scan, step])?.into_iter();
        match (known.next(), known.next()) {
            (Some(scan), Some(step)) => Ok(Pair { scan, step }),
            // Two were asked for.
            _ => Err(self.no_channel(scan)),
        }
    }

    async fn parameter(&mut self, id: u32) -> Result<Option<f64>, MotionError> {
        let request = format!("SPA? 1 0x{id:X}\n").into_bytes();
        match self.ask("all", &harmless(&request, "a parameter"), array::parameter).await {
            Ok(value) => Ok(Some(value)),
            // Not every controller has every parameter.
            Err(MotionError::Refused { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sets the recorder up for positions and input over `expected_s`; false where there is none to be had.
    async fn record(&mut self, of: &Recorded<'_>, expected_s: f64) -> Result<bool, MotionError> {
        if of.samples == 0 {
            return Ok(false);
        }
        if !["DRC", "DRT", "RTR", "DRL?", "DRR?"].iter().all(|c| self.commands.contains(*c)) {
            return Ok(false);
        }
        let Some(servo_s) = self.parameter(SERVO_TIME).await? else { return Ok(false) };
        let held = self.parameter(RECORDER_POINTS).await?.unwrap_or(POINTS_DEFAULT);
        let rate = (expected_s / servo_s / f64::from(of.samples).min(held)).ceil().max(1.0);
        let Recorded { channels: [scan, step], input, .. } = of;
        let tables = format!("DRC 1 {scan} {POSITION} 2 {step} {POSITION} 3 {input} {INPUT}");
        self.set("all", &tables).await?;
        self.set("all", &format!("RTR {rate}")).await?;
        // The start of the routine is a command that changes positions.
        self.set("all", "DRT 0 1 0").await?;
        Ok(true)
    }

    async fn recorded(&mut self, pair: &Pair, samples: u32) -> Result<Vec<AlignmentSample>, MotionError> {
        let tables = ["1", "2", "3"];
        let query = harmless(b"DRL? 1 2 3\n", "three counts");
        let counts = self.ask("all", &query, |a| codec::axis_numbers(a, &tables)).await?;
        let least = counts.into_iter().fold(f64::INFINITY, f64::min);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded on both sides")]
        let count = least.clamp(0.0, 2.0 * f64::from(samples)) as usize;
        let (mut rows, mut sample_s) = (Vec::new(), 0.0);
        while rows.len() < count {
            let more = ROWS.min(count - rows.len());
            let request = format!("DRR? {} {more} 1 2 3\n", rows.len() + 1).into_bytes();
            let query = Query { limit: ROWS_LIMIT, ..harmless(&request, "a GCS array") };
            let whole = |a: &[u8]| array::array(a).filter(|got| got.rows.len() == more && got.rows[0].len() == 3);
            let part = self.ask("all", &query, whole).await?;
            sample_s = part.sample_s;
            rows.extend(part.rows);
        }
        let (scan, step) = (pair.scan.factor(), pair.step.factor());
        let sample = |(k, row): (u32, Vec<f64>)| AlignmentSample {
            t_s: f64::from(k) * sample_s,
            at: (row[0] * scan, row[1] * step),
            input: row[2],
        };
        Ok((0..).zip(rows).map(sample).collect())
    }

    /// Defines a routine, runs it to its end and reads what came of it.
    async fn align(
        &mut self,
        definition: &str,
        of: Recorded<'_>,
        times: (f64, Duration),
    ) -> Result<Aligned, MotionError> {
        let channels = of.channels;
        let pair = self.pair(channels[0], channels[1])?;
        let axes = format!("{}, {}", pair.scan.axis, pair.step.axis);
        let (expected_s, limit) = times;
        self.set(&axes, definition).await?;
        let records = self.record(&of, expected_s).await?;
        // It leaves the axes elsewhere than they were sent to.
        channels.iter().for_each(|c| self.forget_target(c));
        match self.set(&axes, &format!("FRS {NAME}")).await {
            Err(MotionError::Refused { code: codec::NOT_REFERENCED, .. }) => {
                self.not_referenced(&channels).await?;
                return Err(self.refused(axes, &format!("FRS {NAME}"), codec::NOT_REFERENCED));
            }
            done => done?,
        }
        self.await_routine(&channels, limit).await?;
        let mut aligned = self.result(&axes, &pair).await?;
        if records {
            aligned.samples = self.recorded(&pair, of.samples).await?;
        }
        Ok(aligned)
    }

    async fn await_routine(&mut self, channels: &[&str], limit: Duration) -> Result<(), MotionError> {
        let clock = self.line.clock().clone();
        let begun = clock.now();
        let request = format!("FRP? {NAME}\n").into_bytes();
        loop {
            let state = |a: &[u8]| {
                let text = codec::axis_texts(a, &[NAME])?.pop()?;
                ["0", "1", "2"].contains(&text.as_str()).then_some(text)
            };
            if self.ask("all", &harmless(&request, "0, 1 or 2"), state).await? == OVER {
                return Ok(());
            }
            let waited = clock.now() - begun;
            if waited >= limit {
                self.set("all", &format!("FRP {NAME} 0")).await?;
                return Err(self.not_finished(channels, "alignment routine", waited).await);
            }
            clock.sleep(pause(waited).min(limit - waited)).await;
        }
    }

    async fn result(&mut self, axes: &str, pair: &Pair) -> Result<Aligned, MotionError> {
        let pairs: Vec<String> = RESULTS.iter().map(|id| format!("{NAME} {id}")).collect();
        let request = format!("FRR? {}\n", pairs.join(" ")).into_bytes();
        let read = |answer: &[u8]| {
            let texts = array::results(answer, NAME, &RESULTS)?;
            let numbers: Vec<Vec<f64>> = texts.iter().map(|t| array::numbers(t)).collect::<Option<_>>()?;
            let [success, max, at, took, _] = numbers.as_slice() else { return None };
            let ([max], [scan, step], [took_s]) = (max.as_slice(), at.as_slice(), took.as_slice()) else { return None };
            Some(Aligned {
                success: success.as_slice() == [1.0],
                max: *max,
                at: (scan * pair.scan.factor(), step * pair.step.factor()),
                took_s: *took_s,
                abort_reason: texts[4].parse().ok()?,
                samples: Vec::new(),
            })
        };
        self.ask(axes, &harmless(&request, "the results of a routine"), read).await
    }

    fn area_text(&self, scan: &AreaScan, pair: &Pair) -> String {
        let (a, b) = (pair.scan.factor(), pair.step.factor());
        let n = codec::number;
        let mut text = format!(
            "FDR {NAME} {} {} {} {} L {} A {} F {} V {}",
            scan.scan.channel,
            n(scan.scan.length / a),
            scan.step.channel,
            n(scan.step.length / b),
            n(scan.level),
            scan.input,
            n(scan.frequency_hz),
            n(scan.velocity / b)
        );
        if let Some((x, y)) = scan.middle {
            text += &format!(" MP1 {} MP2 {}", n(x / a), n(y / b));
        }
        text += match scan.path {
            Path::Raster => " TT 0",
            Path::Spiral => " TT 1",
        };
        text += &match scan.estimate {
            Estimate::Highest => " CM 0".to_string(),
            Estimate::Gauss(low, high) => format!(" CM 1 MIIL {} MAIL {}", n(low * 100.0), n(high * 100.0)),
            Estimate::CentreOfGravity(low, high) => format!(" CM 2 MIIL {} MAIL {}", n(low * 100.0), n(high * 100.0)),
        };
        text + match scan.then {
            Then::Maximum => " ST 0",
            Then::Stay => " ST 1",
            Then::Start => " ST 2",
        }
    }

    fn gradient_text(&self, search: &GradientSearch, pair: &Pair) -> String {
        // Circle and velocity are in the unit of both axes, which therefore is one.
        let unit = pair.scan.factor();
        let n = codec::number;
        format!(
            "FDG {NAME} {} {} ML {} A {} MIA {} MAA {} F {} SP {} V {} MDC {}",
            search.scan,
            search.step,
            n(search.level),
            search.input,
            n(search.radius.0 / unit),
            n(search.radius.1 / unit),
            n(search.frequency_hz),
            n(search.gain),
            n(search.velocity / unit),
            search.direction_changes
        )
    }
}

#[async_trait(?Send)]
impl FastAlignment for Gcs2 {
    fn can_confine(&self) -> bool {
        self.has_soft_limits()
    }

    async fn confine(&mut self, limits: &[(&str, f64, f64)]) -> Result<(), MotionError> {
        let names: Vec<&str> = limits.iter().map(|(channel, ..)| *channel).collect();
        let known = self.known(&names)?;
        let own = limits.iter().zip(&known).map(|((c, low, high), k)| (*c, low / k.factor(), high / k.factor()));
        let own: Vec<(&str, f64, f64)> = own.collect();
        self.set_soft_limits(&own).await
    }

    async fn input(&mut self, input: u32) -> Result<f64, MotionError> {
        let name = input.to_string();
        let request = codec::query("TCI", &[name.as_str()]);
        let read = |a: &[u8]| codec::axis_numbers(a, &[name.as_str()])?.pop();
        self.ask("all", &harmless(&request, "the value of an input"), read).await
    }

    async fn area_scan(&mut self, scan: &AreaScan, limit: Duration) -> Result<Aligned, MotionError> {
        let channels = [scan.scan.channel.as_str(), scan.step.channel.as_str()];
        let pair = self.pair(channels[0], channels[1])?;
        let expected_s = scan.step.length / scan.velocity.max(1e-9) + WAYS_S;
        let expected_s = expected_s.min(limit.as_secs_f64());
        let recorded = Recorded { channels, input: scan.input, samples: scan.samples };
        self.align(&self.area_text(scan, &pair), recorded, (expected_s, limit)).await
    }

    async fn gradient_search(&mut self, search: &GradientSearch, limit: Duration) -> Result<Aligned, MotionError> {
        let channels = [search.scan.as_str(), search.step.as_str()];
        let pair = self.pair(channels[0], channels[1])?;
        let recorded = Recorded { channels, input: search.input, samples: search.samples };
        self.align(&self.gradient_text(search, &pair), recorded, (limit.as_secs_f64(), limit)).await
    }
}

#[async_trait(?Send)]
impl Pivot for Gcs2 {
    async fn pivot_um(&mut self) -> Result<[f64; 3], MotionError> {
        let names = ["R", "S", "T"];
        let request = codec::query("SPI", &names);
        let read = self.ask("all", &harmless(&request, "a pivot point"), |a| codec::axis_numbers(a, &names)).await?;
        Ok(std::array::from_fn(|k| read[k] * 1000.0))
    }

    async fn set_pivot_um(&mut self, pivot_um: [f64; 3]) -> Result<(), MotionError> {
        let mm = pivot_um.map(|um| um / 1000.0);
        let pairs = [("R", mm[0]), ("S", mm[1]), ("T", mm[2])];
        self.set("all", &codec::command("SPI", &pairs)).await?;
        let read = self.pivot_um().await?;
        match mm.iter().zip(read).find(|(sent, read)| !same(**sent, read / 1000.0)) {
            Some((sent, read)) => {
                Err(self.read_back("all".into(), "pivot", codec::number(*sent), codec::number(read / 1000.0)))
            }
            None => Ok(()),
        }
    }
}
