//! Working a bench by hand: jog, home, read, stop. Everything that moves goes through the envelope.

use std::time::Duration;

use clap::Args as ClapArgs;
use recipes::Axis;
use station::bench::{Bench, MachinePorts, stop_everything};
use units::Reading;

use super::{CHECK_WAVELENGTH_NM, in_real_time};
use crate::bench_file::BenchFile;
use crate::failure::Failure;
use crate::signals;
use crate::terminal;

/// Arguments of commands that need a bench file alone.
#[derive(Debug, ClapArgs)]
pub(crate) struct FileArgs {
    /// A path, or a built-in name.
    file: String,
}

/// Arguments of `bench jog`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight bench jog ./bench.toml x 10
  firstlight bench jog ./bench.toml z -250")]
pub(crate) struct JogArgs {
    /// A path, or a built-in name.
    file: String,
    /// Optical axis: x, y, z, rx, ry or rz.
    axis: String,
    /// Distance, um (degrees for rx, ry, rz).
    #[arg(allow_negative_numbers = true)]
    distance: f64,
}

/// Readings a second for which a meter is asked at the most.
const RATE_MAX: f64 = 1000.0;
/// From this rate on a meter that streams does, up to a sample each.
const STREAM_FROM: f64 = 100.0;
const STREAM_RATE_MAX: f64 = 100_000.0;

/// Arguments of `bench read`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ReadArgs {
    /// A path, or a built-in name.
    file: String,
    /// A meter of the bench; all channels where not given.
    meter: Option<String>,
    /// Readings a second, up to 1000; of a meter that streams up to 100000, from 100 on by its stream.
    #[arg(long, value_name = "HZ", default_value_t = 5.0)]
    rate: f64,
    /// Readings to take; until stopped where not given.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Does something on a connected bench. A stop ends it with every axis stopped; so does an error.
fn by_hand(file: &str, work: impl AsyncFnOnce(&mut Bench) -> Result<(), Failure>) -> Result<u8, Failure> {
    let bench = BenchFile::load(file)?;
    let (_sender, mut stop) = signals::listen()?;
    in_real_time(async |clock| {
        let mut bench =
            Bench::open(bench.config.clone(), clock, &MachinePorts).await.map_err(|e| Failure::bench(&e))?;
        let done = tokio::select! {
            biased;
            reason = stop.requested() => Err(reason),
            done = async {
                bench.connect(CHECK_WAVELENGTH_NM).await.map_err(|e| Failure::bench(&e))?;
                work(&mut bench).await
            } => Ok(done),
        };
        match done {
            Ok(Ok(())) => Ok(0),
            Ok(Err(failure)) => {
                stand(&mut bench).await;
                Err(failure)
            }
            Err(reason) => {
                stand(&mut bench).await;
                Ok(signals::exit_code(reason))
            }
        }
    })
}

/// Stops every axis where it is: whoever works by hand stands beside the bench and decides what comes next.
async fn stand(bench: &mut Bench) {
    for problem in bench.halt().await {
        terminal::tell(format_args!("{problem}"));
    }
}

pub(super) fn jog(args: &JogArgs) -> Result<u8, Failure> {
    let axis = Axis::named(&args.axis).ok_or_else(|| {
        Failure::usage(format!("there is no axis \"{}\"", args.axis), "axes are x, y, z, rx, ry, rz, x2, y2, z2")
    })?;
    by_hand(&args.file, async |bench| {
        let from = bench.commanded().await.map_err(|e| Failure::bench(&e))?[axis];
        let moved = bench.move_to(&[(axis, from + args.distance)]).await;
        moved.map_err(|e| Failure::bench(&e))?;
        let pose = bench.pose().await.map_err(|e| Failure::bench(&e))?;
        terminal::print(format_args!("{axis} {:.3} {}", pose[axis], axis.unit()));
        Ok(())
    })
}

pub(super) fn home(args: &FileArgs) -> Result<u8, Failure> {
    by_hand(&args.file, async |bench| {
        let failed = |e: station::bench::BenchError| Failure::bench(&e);
        bench.back_off_known().await.map_err(failed)?;
        let lacking = bench.reference().await.map_err(failed)?;
        bench.back_off().await.map_err(failed)?;
        bench.park().await.map_err(failed)?;
        let names: Vec<&str> = lacking.iter().map(|a| a.as_str()).collect();
        let told = if names.is_empty() { "all axes were".to_string() } else { names.join(", ") };
        terminal::print(format_args!("referenced: {told}; parked"));
        Ok(())
    })
}

pub(super) fn read(args: &ReadArgs) -> Result<u8, Failure> {
    if !(args.rate > 0.0 && args.rate <= STREAM_RATE_MAX) {
        return Err(Failure::usage(
            format!("--rate {}: no rate up to {STREAM_RATE_MAX} a second", args.rate),
            "5 is usual",
        ));
    }
    let bench = BenchFile::load(&args.file)?;
    if let Some(meter) = &args.meter
        && !bench.config.meters.contains_key(meter)
    {
        let names: Vec<&str> = bench.config.meters.keys().map(String::as_str).collect();
        return Err(Failure::usage(
            format!("there is no meter \"{meter}\""),
            format!("meters are: {}", names.join(", ")),
        ));
    }
    let (_sender, mut stop) = signals::listen_quietly()?;
    in_real_time(async |clock| {
        let mut bench =
            Bench::open(bench.config.clone(), clock.clone(), &MachinePorts).await.map_err(|e| Failure::bench(&e))?;
        bench.connect_meters_alone(CHECK_WAVELENGTH_NM).await.map_err(|e| Failure::bench(&e))?;
        if args.rate >= STREAM_FROM
            && let Some(meter) = &args.meter
            && bench.stream_rate(meter).is_some()
        {
            return tokio::select! {
                biased;
                reason = stop.requested() => Ok(signals::exit_code(reason)),
                streamed = stream(&mut bench, meter, args) => streamed,
            };
        }
        if args.rate > RATE_MAX {
            let hint = "name a meter that streams (thorlabs-pm-lan); others are asked for each reading";
            return Err(Failure::usage(format!("--rate {}: no rate up to {RATE_MAX} a second", args.rate), hint));
        }
        let mut next = clock.now();
        let mut taken = 0;
        while args.count.is_none_or(|count| taken < count) {
            let readings = tokio::select! {
                biased;
                reason = stop.requested() => return Ok(signals::exit_code(reason)),
                read = bench.read() => read.map_err(|e| Failure::bench(&e))?,
            };
            let channels = bench.config().channels.iter().zip(readings);
            let wanted = channels.filter(|(c, _)| args.meter.as_ref().is_none_or(|m| c.meter == *m));
            let told: Vec<String> = wanted.map(|(c, r)| format!("{} {}", c.name, power(r))).collect();
            terminal::print(format_args!("{:10.3} s  {}", clock.seconds(), told.join("  ")));
            taken += 1;
            next += Duration::from_secs_f64(1.0 / args.rate);
            clock.sleep_until(next).await;
        }
        Ok(0)
    })
}

/// Readings from a meter's stream, each the mean over its share of a second. What the meter loses leaves a gap in the times.
async fn stream(bench: &mut Bench, meter: &str, args: &ReadArgs) -> Result<u8, Failure> {
    let names: Vec<String> =
        bench.config().channels.iter().filter(|c| c.meter == meter).map(|c| c.name.clone()).collect();
    let mut left = args.count.unwrap_or(u64::MAX);
    let told = |at: f64, readings: &[Reading]| {
        if left > 0 {
            let told: Vec<String> = names.iter().zip(readings).map(|(n, r)| format!("{n} {}", power(*r))).collect();
            terminal::print(format_args!("{at:12.5} s  {}", told.join("  ")));
            left -= 1;
        }
        left > 0
    };
    let width = Duration::from_secs_f64(1.0 / args.rate);
    bench.stream(meter, width, told).await.map_err(|e| Failure::bench(&e))?;
    Ok(0)
}

fn power(reading: Reading) -> String {
    match reading {
        Reading::Power(p) => p.dbm().map_or_else(|| format!("{:10.3e} W", p.watts()), |dbm| format!("{dbm:9.3} dBm")),
        Reading::UnderRange => "under range".to_string(),
        Reading::Saturated => "saturated".to_string(),
    }
}

pub(super) fn stop(args: &FileArgs) -> Result<u8, Failure> {
    let bench = BenchFile::load(&args.file)?;
    in_real_time(async |clock| {
        let problems = stop_everything(&bench.config, clock, &MachinePorts).await;
        for problem in &problems {
            terminal::tell(format_args!("{problem}"));
        }
        if problems.is_empty() {
            let latched = if bench.config.tracker.is_some() { ", the tracker is latched" } else { "" };
            terminal::print(format_args!("every axis stands{latched}, the source is off"));
            return Ok(0);
        }
        Err(Failure::station("not everything could be stopped", "switch off by hand what the lines above name"))
    })
}
