//! `firstlight sim campaign`: faults at seeded moments of whole runs, and what must never come of them.

use std::collections::BTreeMap;

use clap::Args as ClapArgs;
use jiff::Timestamp;
use serde_json::json;
use sim::FaultInfo;
use station::sequence::LaunchedSource;
use station::store::Writer;

use crate::bench_file::BenchFile;
use crate::campaign::{Attempt, Row, STOP, row};
use crate::command::run::load_recipe;
use crate::failure::{Failure, UNIT_FAILED};
use crate::runner::Plan;
use crate::terminal;

/// Arguments of `sim campaign`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight sim campaign                                    every fault, 100 runs each
  firstlight sim campaign --fault drop-byte --runs 5000 --seed 42
  firstlight sim campaign --fault stop --json

Exit code 1 where anything came that must never: a false pass, a good unit blamed for what the bench's instruments can tell, a
target outside the envelope, a move after the stop, not exactly one outcome, a hang.")]
pub(crate) struct Args {
    /// Runs a fault.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Seed of the first run's world; the next runs have the numbers after it.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// A fault by name (`firstlight sim faults`), or `stop` for an operator's stop; all where not given.
    #[arg(long, value_name = "F")]
    fault: Vec<String>,
    /// Bench with a [simulation] section: a built-in name, or a path.
    #[arg(long, value_name = "BENCH", default_value = "receptacle")]
    bench: String,
    /// Recipe: a built-in name, or a path.
    #[arg(long, value_name = "RECIPE", default_value = "400g-fr4")]
    recipe: String,
    /// One JSON document on stdout, with every run.
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: &Args) -> Result<u8, Failure> {
    let faults = chosen(&args.fault)?;
    let plan = plan(args)?;
    // The runs' log goes through the disk like any other and is thrown away.
    let folder = std::env::temp_dir().join(format!("firstlight-campaign-{}", std::process::id()));
    let writer = Writer::open(&folder.join("log.db"), Timestamp::now).map_err(|e| Failure::storage(&e))?;
    let told = tell_all(args, &plan, &faults, &writer);
    let closed = writer.close().map_err(|e| Failure::storage(&e));
    // What cannot be removed is a temporary file.
    let _ = std::fs::remove_dir_all(&folder);
    let sound = told?;
    closed?;
    Ok(if sound { 0 } else { UNIT_FAILED })
}

/// Faults by name; `None` is the operator's stop.
fn chosen(words: &[String]) -> Result<Vec<Option<&'static FaultInfo>>, Failure> {
    if words.is_empty() {
        return Ok(sim::faults().iter().map(Some).chain([None]).collect());
    }
    let find = |word: &String| match sim::faults().iter().find(|f| f.name == word) {
        Some(info) => Ok(Some(info)),
        None if word == STOP => Ok(None),
        None => Err(Failure::usage(
            format!("--fault {word}: there is no fault \"{word}\""),
            "`firstlight sim faults` lists them",
        )),
    };
    words.iter().map(find).collect()
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let recipe = load_recipe(&args.recipe)?;
    let bench = BenchFile::load(&args.bench)?;
    if bench.config.tap().is_none() {
        return Err(Failure::usage(
            format!("bench {} has no tap", args.bench),
            "a campaign needs one: it tells source from part",
        ));
    }
    Ok(Plan {
        part_number: recipe.part_number.clone(),
        recipe,
        bench,
        world: None,
        serial_number: None,
        lot: None,
        components: Vec::new(),
        operator: None,
        units: 1,
        launched: LaunchedSource::Tap,
        keep_transcripts: false,
        talk: false,
    })
}

/// Runs and tells every row; whether nothing came that must never.
fn tell_all(args: &Args, plan: &Plan, faults: &[Option<&'static FaultInfo>], writer: &Writer) -> Result<bool, Failure> {
    let mut windows = BTreeMap::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut attempts: Vec<Attempt> = Vec::new();
    if !args.json {
        terminal::print(format_args!("{HEAD}"));
    }
    for info in faults {
        let (row, all) = row(plan, *info, args.runs, args.seed, writer, &mut windows)?;
        if !args.json {
            terminal::print(format_args!("{}", line(&row)));
            for a in all.iter().filter(|a| !a.broken.is_empty() && row.cannot_be_told.is_none()) {
                terminal::tell(format_args!(
                    "{}: seed {} --fault {}: {}",
                    a.broken.join(", "),
                    a.seed,
                    a.fault,
                    a.during
                ));
            }
        }
        rows.push(row);
        attempts.extend(all);
    }
    if args.json {
        terminal::print(format_args!("{}", json!({ "rows": rows, "runs": attempts })));
    } else {
        terminal::print_text(format_args!("{}", notes(args, &rows)));
    }
    Ok(rows.iter().all(|r| r.broken.is_empty()))
}

const HEAD: &str = "\
| fault | runs | pass | fail | error | aborted | not begun | safe after, median | most | not safe, and said so | must never be |
|---|---|---|---|---|---|---|---|---|---|---|";

fn line(row: &Row) -> String {
    let seconds = |s: Option<f64>| s.map_or("-".to_string(), |s| format!("{s:.2} s"));
    let broken: Vec<String> = row.broken.iter().map(|(word, n)| format!("{word} {n}")).collect();
    let mark = if row.cannot_be_told.is_some() { " *" } else { "" };
    format!(
        "| {}{mark} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.fault,
        row.runs,
        row.pass,
        row.fail,
        row.error,
        row.aborted,
        row.not_begun,
        seconds(row.safe_median_s),
        seconds(row.safe_max_s),
        row.said_unsafe,
        if broken.is_empty() { "0".to_string() } else { broken.join(", ") },
    )
}

fn notes(args: &Args, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        if let Some(why) = row.cannot_be_told {
            text.push_str(&format!("\n\\* {}: {why}; {} good units failed.", row.fault, row.untold));
        }
    }
    text.push_str(&format!(
        "\n\nSeeds {} to {}, units good and bad as drawn (`--defects`), the fault in first_light, peak, measure and retract in turn. Each \
         run again: `firstlight run {} --sim={} --defects --seed SEED --fault FAULT`.\n",
        args.seed,
        args.seed.wrapping_add(u64::from(args.runs) - 1),
        args.recipe,
        args.bench,
    ));
    text
}
