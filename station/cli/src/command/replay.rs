//! `firstlight replay`: what the engine makes of a stored search, and any method on the model fitted to it.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use recipes::{Axis, Method, Recipe};
use serde_json::{Value, json};
use station::event::{Sample, Trace};
use station::search::engine::replay::{Proposal, Replayed, replay};
use station::search::{ChannelInfo, Pace, Probe as _, ProbeInfo, described};
use station::sequence::aim::Aim;
use station::sequence::aligning::align;
use station::sequence::readings::dark_lanes;
use station::store::{Reader, RunDetail};

use super::align::method;
use crate::bench_file::BenchFile;
use crate::failure::{FILES, Failure};
use crate::{paths, terminal};

/// Arguments of `replay`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight replay last
  firstlight replay 019a3c --tolerance-db 0.005 --json
  firstlight replay last --method nelder_mead

Play, noise and costs are those of the bench; readings, recipe and launched power those of the run. What --method finds is
found on the model fitted to the run's readings, not on a bench.")]
pub(crate) struct Args {
    /// A run's id, the unique beginning of one, or `last`.
    run: String,
    /// The log; firstlight/log.db in the user's data directory where not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// The bench it ran on, a path or a built-in name; the built-in one of the recipe's fixture class where not given.
    #[arg(long, value_name = "FILE")]
    bench: Option<String>,
    /// Search the fitted model by this method.
    #[arg(long, value_name = "M")]
    method: Option<String>,
    /// Loss to be left, dB, in place of the recipe's.
    #[arg(long, value_name = "T")]
    tolerance_db: Option<f64>,
    /// One JSON document on stdout.
    #[arg(long)]
    json: bool,
}

/// Pace of a bench where a log does not tell, seconds.
const PACE: Pace = Pace { reading_s: 0.008, sample_s: 0.004, integration_s: 0.001 };

/// Most readings that are fitted one after the other; a raster has thousands.
const READINGS_MAX: usize = 300;

/// On the fitted model.
struct Tried {
    method: &'static str,
    readings: usize,
    seconds: f64,
    residual_db: f64,
    said: String,
}

pub(crate) fn main(args: &Args) -> Result<u8, Failure> {
    let tried = args.method.as_deref().map(method).transpose()?;
    if let Some(t) = args.tolerance_db.filter(|t| !(0.0001..=1.0).contains(t)) {
        return Err(Failure::usage(format!("--tolerance-db {t} is outside 0.0001 to 1"), "0.01 is usual"));
    }
    let mut reader = Reader::open(&paths::log(args.db.as_deref())?).map_err(|e| Failure::storage(&e))?;
    let id = reader.resolve(&args.run).map_err(|e| Failure::storage(&e))?;
    let detail = reader.run(&id).map_err(|e| Failure::storage(&e))?;
    let head = detail.traces.iter().rev().find(|t| t.search == "peak").ok_or_else(|| {
        Failure::usage(format!("run {id} searched no peak"), "`firstlight show RUN` tells how far it came")
    })?;
    let trace = reader.trace(head).map_err(|e| Failure::storage(&e))?;
    let label = format!("the recipe of run {id}");
    let text = reader.recipe_text(&detail.run.recipe_hash).map_err(|e| Failure::storage(&e))?;
    let recipe = Recipe::parse(&text).map_err(|f| Failure::faults(&label, &f))?;
    let bench = match &args.bench {
        Some(word) => BenchFile::load(word)?,
        None => BenchFile::of_class(&recipe.fixture)?,
    };
    let level = level_dbm(&detail, &recipe, &bench);
    let mut aim = Aim::of(&recipe, trace.step, level).ok_or_else(|| {
        Failure::new(FILES, format!("step {} of {label} is no peak search", trace.step + 1), "the log is damaged")
    })?;
    aim.channels = trace.channels.len();
    aim.tolerance_db = args.tolerance_db.unwrap_or(aim.tolerance_db);
    let trace = lit(&mut aim, &bench, trace);
    let info = info(&bench, &aim, &trace)?;
    let (replayed, tried) = look(&aim, &info, &trace, tried)?;
    if args.json {
        terminal::print(format_args!("{}", document(&id, &info, &replayed, tried.as_ref())));
    } else {
        tell(&info, &trace, &replayed, tried.as_ref());
    }
    Ok(0)
}

/// The launched power of the run less the recipe's loss, or what the bench's source promises.
fn level_dbm(detail: &RunDetail, recipe: &Recipe, bench: &BenchFile) -> f64 {
    let by_run = detail.measurements.iter().find_map(|m| m.launched).and_then(|l| l.power_w.dbm());
    let source = &bench.config.source;
    let promised = source.level.attenuated(source.path_loss_db).dbm().unwrap_or_default();
    by_run.unwrap_or(promised) - recipe.unit.expected_loss_db
}

/// The trace without the lanes that gave no light where the search ended, which the alignment left out.
fn lit(aim: &mut Aim<'_>, bench: &BenchFile, trace: Trace) -> Trace {
    let floor = bench.config.signal().floor;
    aim.dark = trace.samples.last().map_or_else(Vec::new, |s| dark_lanes(&s.readings, floor));
    let dark = &aim.dark;
    fn kept<T: Clone>(all: &[T], dark: &[usize]) -> Vec<T> {
        all.iter().enumerate().filter(|(i, _)| !dark.contains(i)).map(|(_, t)| t.clone()).collect()
    }
    let samples = trace.samples.into_iter().map(|s| Sample { readings: kept(&s.readings, dark), ..s }).collect();
    Trace { channels: kept(&trace.channels, dark), samples, ..trace }
}

/// The bench as the search saw it, its axes in the order of the trace.
fn info(bench: &BenchFile, aim: &Aim<'_>, trace: &Trace) -> Result<ProbeInfo, Failure> {
    let mut info = described(&bench.config, PACE);
    if let Some(first) = info.channels.first().cloned() {
        let named = |name: &String| ChannelInfo { name: name.clone(), ..first.clone() };
        info.channels = trace.channels.iter().map(named).collect();
    }
    let lacking = |name: &String| {
        let message = format!("the run moved axis {name}, which bench {} lacks", bench.label);
        Failure::new(FILES, message, "name the bench it ran on: --bench FILE")
    };
    let axes = trace.axes.iter().map(|name| {
        let axis = Axis::named(name).and_then(|a| info.axes.iter().find(|i| i.axis == a));
        axis.cloned().ok_or_else(|| lacking(name))
    });
    info.axes = axes.collect::<Result<_, _>>()?;
    for (along, limits) in [(Axis::Z, aim.z_limits), (Axis::Z2, aim.z2_limits)] {
        for axis in info.axes.iter_mut().filter(|a| a.axis == along) {
            (axis.lower, axis.upper) = (axis.lower.max(limits.0), axis.upper.min(limits.1));
        }
    }
    // What a move and a reading took together, by the trace itself.
    let mut gaps: Vec<f64> = trace.samples.windows(2).map(|w| w[1].t_s - w[0].t_s).collect();
    gaps.sort_by(f64::total_cmp);
    if let Some(gap) = gaps.get(gaps.len() / 2) {
        info.costs.move_s = (gap - info.costs.reading_s).max(info.costs.reading_s);
    }
    Ok(info)
}

fn look(
    aim: &Aim<'_>,
    info: &ProbeInfo,
    trace: &Trace,
    tried: Option<Method>,
) -> Result<(Replayed, Option<Tried>), Failure> {
    let samples = &trace.samples[..trace.samples.len().min(READINGS_MAX)];
    let start = |axis: Axis| samples.first().zip(info.index(axis)).map_or(0.0, |(s, i)| s.commanded[i]);
    let failed = |e: station::search::SearchError| {
        Failure::station(format!("the trace cannot be fitted: {e}"), "look at it: `firstlight show RUN --trace`")
    };
    let runtime = units::clock::virtual_runtime();
    let runtime = runtime.map_err(|e| Failure::station(format!("no runtime: {e}"), "check the process limits"))?;
    runtime.block_on(async {
        let replayed = replay(&aim.engine([Axis::Z, Axis::Z2].map(start)), info, samples).await.map_err(failed)?;
        let Some(method) = tried else { return Ok((replayed, None)) };
        let mut model = replayed.fitted.clone();
        let found = align(&mut model, aim, method).await.map_err(|e| {
            Failure::station(format!("{} found no end on the fitted model: {e}", method.as_str()), "try another method")
        })?;
        let tried = Tried {
            method: method.as_str(),
            readings: found.readings,
            seconds: model.now_s(),
            residual_db: model.loss_db(),
            said: found.said,
        };
        Ok((replayed, Some(tried)))
    })
}

fn position(info: &ProbeInfo, at: &[f64]) -> Value {
    info.axes.iter().zip(at).map(|(a, p)| (a.axis.to_string(), json!(p))).collect()
}

fn document(id: &str, info: &ProbeInfo, replayed: &Replayed, tried: Option<&Tried>) -> Value {
    let entry = |p: &Proposal| {
        json!({
            "readings": p.readings, "peak": position(info, &p.peak), "peak_dbm": p.peak_dbm,
            "next": position(info, &p.next), "expected_loss_db": p.expected_loss_db, "bound95_db": p.bound95_db,
            "enough": p.enough, "misfit": p.misfit,
        })
    };
    let tried = tried.map(|t| {
        json!({
            "on": "the fitted model, not the bench", "method": t.method, "readings": t.readings, "seconds": t.seconds,
            "residual_db": t.residual_db,
        })
    });
    let proposals: Vec<Value> = replayed.proposals.iter().map(entry).collect();
    json!({ "run_id": id, "proposals": proposals, "tried": tried })
}

fn tell(info: &ProbeInfo, trace: &Trace, replayed: &Replayed, tried: Option<&Tried>) {
    let names =
        |what: &str| info.axes.iter().map(|a| format!("{:>9}", format!("{what} {}", a.axis))).collect::<String>();
    terminal::print(format_args!("   n   read dBm{}{}   peak dBm  left dB   95 % dB", names("peak"), names("next")));
    for (p, sample) in replayed.proposals.iter().zip(&trace.samples) {
        let read = sample.readings.first().and_then(|r| r.power()).and_then(units::Power::dbm);
        let read = read.map_or("-".to_string(), |d| format!("{d:.3}"));
        let place = |at: &[f64]| at.iter().map(|v| format!("{v:>9.2}")).collect::<String>();
        terminal::print(format_args!(
            "{:>4} {read:>10}{}{} {:>10.3} {:>8.4} {:>9.4}{}",
            p.readings,
            place(&p.peak),
            place(&p.next),
            p.peak_dbm,
            p.expected_loss_db,
            p.bound95_db,
            if p.enough { "  enough" } else { "" }
        ));
    }
    if let Some(last) = replayed.proposals.last() {
        terminal::print(format_args!("chi square a reading: {:.2} (1 where the model holds)", last.misfit));
    }
    if let Some(t) = tried {
        terminal::print(format_args!(
            "on the fitted model, not on the bench: {} ends {:.4} dB below its peak after {} readings, {:.2} s; {}",
            t.method, t.residual_db, t.readings, t.seconds, t.said
        ));
    }
}
