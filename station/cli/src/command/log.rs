//! `firstlight runs`, `show` and `yield`: what the log says. Readers never write.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use station::event::Trace;
use station::store::{Filter, Reader, RunDetail};
use station::yields::Yield;
use station::{report, yields};

use crate::failure::{Failure, STORAGE};
use crate::paths;
use crate::terminal;

/// Arguments of `runs`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight runs
  firstlight runs --serial-number A1 --json
  firstlight runs --lot A7")]
pub(crate) struct RunsArgs {
    /// The log; firstlight/log.db in the user's data directory where not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// One JSON document on stdout.
    #[arg(long)]
    json: bool,
    /// The latest so many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Runs of this unit alone.
    #[arg(long, value_name = "SN")]
    serial_number: Option<String>,
    /// Runs by this recipe alone.
    #[arg(long, value_name = "PRODUCT")]
    recipe: Option<String>,
    /// Runs of this lot alone.
    #[arg(long)]
    lot: Option<String>,
}

/// Arguments of `show`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight show last
  firstlight show 019a3c --wire
  firstlight show last --trace
  firstlight show last --svg run.svg")]
pub(crate) struct ShowArgs {
    /// A run's id, the unique beginning of one, or `last`.
    run: String,
    /// The log; firstlight/log.db in the user's data directory where not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// One JSON document on stdout.
    #[arg(long)]
    json: bool,
    /// With the transcripts of the instruments' last exchanges.
    #[arg(long)]
    wire: bool,
    /// With each search in detail: map, convergence, and its readings one by one.
    #[arg(long, conflicts_with = "json")]
    trace: bool,
    /// Draw the searches into an SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// With every sample of every search (in JSON).
    #[arg(long, requires = "json")]
    samples: bool,
}

/// Arguments of `yield`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight yield
  firstlight yield --recipe 400g-fr4 --json
  firstlight yield --simulated")]
pub(crate) struct YieldArgs {
    /// The log; firstlight/log.db in the user's data directory where not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// One JSON document on stdout.
    #[arg(long)]
    json: bool,
    /// Count simulated runs, and only those; otherwise none are.
    #[arg(long)]
    simulated: bool,
    /// Runs by this recipe alone.
    #[arg(long, value_name = "PRODUCT")]
    recipe: Option<String>,
    /// Units of this part number alone.
    #[arg(long, value_name = "PN")]
    part_number: Option<String>,
}

pub(crate) fn runs(args: &RunsArgs) -> Result<u8, Failure> {
    let mut reader = open(args.db.as_deref())?;
    let filter = Filter {
        serial_number: args.serial_number.clone(),
        recipe: args.recipe.clone(),
        lot: args.lot.clone(),
        limit: Some(args.limit),
        ..Filter::default()
    };
    let runs = reader.runs(&filter).map_err(|e| Failure::storage(&e))?;
    if args.json {
        json(&serde_json::json!({ "runs": runs }));
    } else {
        terminal::print_text(format_args!("{}", report::runs(&runs)));
    }
    Ok(0)
}

/// The document of `show --json`.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    detail: &'a RunDetail,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<&'a [Trace]>,
}

pub(crate) fn show(args: &ShowArgs) -> Result<u8, Failure> {
    let mut reader = open(args.db.as_deref())?;
    let (detail, traces) = detail(&mut reader, &args.run).map_err(|e| Failure::storage(&e))?;
    if let Some(path) = &args.svg {
        let run = &detail.run;
        // A simulated run is told by its seed, which anybody can run again.
        let told = run.seed.map_or(format!("run {}", run.run_id), |s| format!("seed {s}"));
        let title = format!("{} by recipe {} rev {}, {told}", run.serial_number, run.recipe, run.recipe_revision);
        let written = std::fs::write(path, report::svg(&title, &traces));
        written.map_err(|e| Failure::new(STORAGE, format!("{}: {e}", path.display()), "check the path of --svg"))?;
    }
    if args.json {
        json(&Shown { detail: &detail, samples: args.samples.then_some(&traces) });
        return Ok(0);
    }
    if args.trace {
        terminal::print_text(format_args!("{}\n{}", report::run(&detail, &[]), report::traces(&traces)));
    } else {
        terminal::print_text(format_args!("{}", report::run(&detail, &traces)));
    }
    if args.wire {
        terminal::print_text(format_args!("{}", report::wire(&detail)));
    }
    Ok(0)
}

fn detail(reader: &mut Reader, wanted: &str) -> Result<(RunDetail, Vec<Trace>), station::store::StoreError> {
    let id = reader.resolve(wanted)?;
    let detail = reader.run(&id)?;
    let traces = detail.traces.iter().map(|head| reader.trace(head)).collect::<Result<_, _>>()?;
    Ok((detail, traces))
}

/// The document of `yield --json`.
#[derive(Debug, Serialize)]
struct Yields {
    simulated: bool,
    #[serde(flatten)]
    all: Yield,
    by_part_number: std::collections::BTreeMap<String, Yield>,
}

pub(crate) fn yields(args: &YieldArgs) -> Result<u8, Failure> {
    let mut reader = open(args.db.as_deref())?;
    let filter = Filter { recipe: args.recipe.clone(), part_number: args.part_number.clone(), ..Filter::default() };
    let attempts = reader.attempts(&filter, args.simulated).map_err(|e| Failure::storage(&e))?;
    let (all, parts) = (yields::of(&attempts), yields::by_part_number(&attempts));
    if args.json {
        json(&Yields { simulated: args.simulated, all, by_part_number: parts });
        return Ok(0);
    }
    if args.simulated {
        terminal::print(format_args!("simulated runs only"));
    } else if attempts.is_empty() {
        terminal::print(format_args!("no runs of real units; simulated ones are counted by --simulated alone"));
    }
    terminal::print_text(format_args!("{}", report::yields(&all)));
    if parts.len() > 1 {
        for (part, its) in &parts {
            terminal::print_text(format_args!("\n{part}\n{}", report::yields(its)));
        }
    }
    Ok(0)
}

fn open(db: Option<&std::path::Path>) -> Result<Reader, Failure> {
    Reader::open(&paths::log(db)?).map_err(|e| Failure::storage(&e))
}

fn json(document: &impl Serialize) {
    match serde_json::to_string_pretty(document) {
        Ok(text) => terminal::print(format_args!("{text}")),
        // Only maps with keys that are no strings cannot be written, and there are none.
        Err(e) => terminal::tell(format_args!("error: {e}")),
    }
}
