//! `firstlight run`: align and test units by a recipe, and log each run.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args as ClapArgs;
use jiff::Timestamp;
use recipes::Recipe;
use station::event::Component;
use station::sequence::{LaunchedSource, Stop, UnitLaunched, launched, preflight};
use station::store::Writer;
use tokio::task::LocalSet;
use units::Power;
use units::clock::{Clock, real_runtime, virtual_runtime};

use crate::bench_file::BenchFile;
use crate::failure::{FILES, Failure, STORAGE};
use crate::runner::{Files, Plan, Report, WorldPlan, drawn_seed, work};
use crate::terminal;
use crate::{lines, paths, signals};

const EXAMPLES: &str = "Examples:
  firstlight run 400g-fr4 --sim
  firstlight run 400g-fr4 --sim --units 1000 --defects --json
  firstlight run 400g-fr4 --sim --units 25 --lot A7
  firstlight run ./my-product.toml --sim=./my-bench.toml --seed 7 --events run.jsonl
  firstlight run 400g-fr4 --bench /etc/firstlight/bench.toml --serial-number A1 --operator kim";

/// Arguments of `run`.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["sim", "bench"])))]
pub(crate) struct Args {
    /// Built-in name, or a path (contains / or ends in .toml).
    recipe: String,
    /// Run on the embedded simulator: the built-in bench of the recipe's fixture class, or BENCH (a name or a file).
    #[arg(long, value_name = "BENCH", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    sim: Option<String>,
    /// Run on the instruments of a bench file.
    #[arg(long, value_name = "FILE")]
    bench: Option<String>,
    /// Serial number of the unit; SIM-000001 and on with --sim.
    #[arg(long, value_name = "SN")]
    serial_number: Option<String>,
    /// Part number of the unit, where it is not the recipe's.
    #[arg(long, value_name = "PN")]
    part_number: Option<String>,
    /// Lot of the unit, as on its traveller: searches begin where earlier units of it on this station were found.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    lot: Option<String>,
    /// A component of the unit and its serial number (receptacle=R123); may be given several times.
    #[arg(long, value_name = "KIND=SERIAL")]
    component: Vec<String>,
    /// Who runs it.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Units to run, one after the other (with --sim).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    units: u32,
    /// Seed of the simulated world; drawn and printed where not given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Let the simulated bench take real time.
    #[arg(long)]
    realtime: bool,
    /// A fault of the simulated bench, at a time of the run (see `firstlight sim faults`); may be given several times.
    #[arg(long, value_name = "F[=AMOUNT][:TARGET][@s]")]
    fault: Vec<String>,
    /// Draw bad units among the simulated ones.
    #[arg(long)]
    defects: bool,
    /// Launched power known from data of the unit, dBm.
    #[arg(long, value_name = "DBM", allow_negative_numbers = true)]
    launched_dbm: Option<f64>,
    /// Expanded uncertainty (k = 2) of that power, dB.
    #[arg(long, value_name = "DB", requires = "launched_dbm", default_value_t = 0.2)]
    launched_uncertainty_db: f64,
    /// When that was measured (UTC, like 2026-01-31T08:00:00Z); now, where not given.
    #[arg(long, value_name = "TIME", requires = "launched_dbm")]
    launched_at: Option<Timestamp>,
    /// The log; firstlight/log.db in the user's data directory where not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Keep the transcripts of the instruments' last exchanges with every run, not only with errors (`show --wire`).
    #[arg(long)]
    wire: bool,
    /// A line `stop` on standard input stops the run, as a stop button would; exit code 6.
    #[arg(long)]
    stdin: bool,
    /// One JSON document on stdout.
    #[arg(long)]
    json: bool,
    /// Write what each simulated unit really was as JSON lines (with --sim).
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Write the runs' events as JSON lines.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

pub(crate) fn main(args: &Args) -> Result<u8, Failure> {
    let plan = plan(args)?;
    let seed = plan.world.as_ref().map(|w| w.seed);
    if args.seed.is_none()
        && let Some(seed) = seed
    {
        terminal::tell(format_args!("seed {seed}"));
    }
    signals::survive_file_size_limit()?;
    let (sender, mut stop) = signals::listen()?;
    if args.stdin {
        signals::listen_to_stdin(sender);
    }
    let path = paths::log(args.db.as_deref())?;
    let writer = Writer::open(&path, Timestamp::now).map_err(|e| Failure::storage(&e))?;
    for run in writer.recovered() {
        terminal::tell(format_args!("run {} of {} was cut off: closed as aborted", run.run_id, run.serial_number));
    }
    let mut files = Files {
        events: args.events.as_ref().map(|p| lines_file(p, "--events")).transpose()?,
        truth: args.truth.as_ref().map(|p| lines_file(p, "--truth")).transpose()?,
    };
    let began = Instant::now();
    let mut report = Report::default();
    let virtual_time = plan.world.is_some() && !args.realtime;
    let worked = drive(&plan, virtual_time, &mut stop, &writer, &mut files, &mut report);
    let closed = writer.close().map_err(|e| Failure::storage(&e));
    let wall_s = began.elapsed().as_secs_f64();
    let failure = worked.and(closed).err();
    if args.json {
        let error = failure.as_ref().map(ToString::to_string);
        terminal::print(format_args!("{}", lines::document(&report, seed, wall_s, error.as_deref())));
    } else {
        print(&report, wall_s, args.units > 1);
    }
    match failure {
        // A stop in the middle outranks what it cut off; storage outranks everything.
        Some(f) if f.code() == STORAGE || report.stopped.is_none() => Err(f),
        _ => Ok(report.code()),
    }
}

fn drive(
    plan: &Plan,
    virtual_time: bool,
    stop: &mut Stop,
    writer: &Writer,
    files: &mut Files,
    report: &mut Report,
) -> Result<(), Failure> {
    let runtime = if virtual_time { virtual_runtime() } else { real_runtime() };
    let runtime = runtime.map_err(|e| Failure::station(format!("no runtime: {e}"), "check the process limits"))?;
    LocalSet::new().block_on(&runtime, async {
        let clock = if virtual_time { Clock::simulated() } else { Clock::real() };
        work(plan, clock, stop, writer, files, report).await
    })
}

/// Most runs told one by one; of more, only those that did not pass.
const TOLD: usize = 20;

fn print(report: &Report, wall_s: f64, many: bool) {
    let all = report.runs.len() <= TOLD;
    for done in report.runs.iter().filter(|d| all || d.end.outcome != station::event::Outcome::Pass) {
        terminal::print(format_args!("{}", lines::run(done)));
    }
    if many {
        terminal::print(format_args!("{}", lines::summary(report, wall_s)));
    }
}

fn lines_file(path: &PathBuf, flag: &str) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path);
    let hint = format!("check the path of {flag}");
    let file = file.map_err(|e| Failure::new(STORAGE, format!("{}: {e}", path.display()), hint))?;
    Ok(BufWriter::new(file))
}

/// Everything that can be found out before a port opens.
fn plan(args: &Args) -> Result<Plan, Failure> {
    let recipe = load_recipe(&args.recipe)?;
    let (bench, world) = place(args, &recipe)?;
    let now = Timestamp::now();
    let unit = args.launched_dbm.map(|dbm| UnitLaunched {
        power: Power::from_dbm(dbm),
        measured_at: args.launched_at.unwrap_or(now),
        uncertainty_db: args.launched_uncertainty_db,
    });
    let problems = preflight(&recipe, &bench.config, unit, now);
    if !problems.is_empty() {
        return Err(Failure::problems(&problems));
    }
    let launched: LaunchedSource = launched(&bench.config, unit, now);
    Ok(Plan {
        part_number: args.part_number.clone().unwrap_or_else(|| recipe.part_number.clone()),
        recipe,
        bench,
        world,
        serial_number: args.serial_number.clone(),
        lot: args.lot.clone(),
        components: args.component.iter().map(|c| component(c)).collect::<Result<_, _>>()?,
        operator: args.operator.clone(),
        units: args.units,
        launched,
        keep_transcripts: args.wire,
        talk: !args.json && args.units == 1,
    })
}

/// Bench and world; usage is checked before files are read.
fn place(args: &Args, recipe: &Recipe) -> Result<(BenchFile, Option<WorldPlan>), Failure> {
    if args.units > 1 && args.serial_number.is_some() {
        return Err(Failure::usage("--serial-number names one unit", "leave it out with --units"));
    }
    if let Some(file) = &args.bench {
        if args.serial_number.is_none() {
            return Err(Failure::usage(
                "a unit on a real bench needs --serial-number",
                "give the serial number on its label",
            ));
        }
        let simulated = args.defects || args.realtime || args.seed.is_some() || args.truth.is_some();
        if args.units > 1 || simulated || !args.fault.is_empty() {
            return Err(Failure::usage(
                "--units, --seed, --realtime, --fault, --defects and --truth go with --sim",
                "leave them out with --bench",
            ));
        }
        return Ok((BenchFile::load(file)?, None));
    }
    let faults: Result<Vec<sim::Fault>, Failure> = args.fault.iter().map(|f| fault(f)).collect();
    let bench = match args.sim.as_deref() {
        Some("") | None => BenchFile::of_class(&recipe.fixture)?,
        Some(name) => BenchFile::load(name)?,
    };
    if !bench.config.has_simulation {
        return Err(Failure::new(
            FILES,
            format!("{}: no [simulation] section", bench.label),
            "add one, or use --bench",
        ));
    }
    let world = WorldPlan { seed: args.seed.unwrap_or_else(drawn_seed), defects: args.defects, faults: faults? };
    Ok((bench, Some(world)))
}

/// A fault of the simulated bench from its word on the command line.
pub(crate) fn fault(word: &str) -> Result<sim::Fault, Failure> {
    sim::Fault::parse(word)
        .map_err(|e| Failure::usage(format!("--fault {word}: {e}"), "`firstlight sim faults` lists them"))
}

fn component(word: &str) -> Result<Component, Failure> {
    let (kind, serial) = word.split_once('=').filter(|(k, s)| !k.is_empty() && !s.is_empty()).ok_or_else(|| {
        Failure::usage(format!("--component {word}: no KIND=SERIAL"), "write it like receptacle=R123")
    })?;
    Ok(Component { kind: kind.to_string(), serial: Some(serial.to_string()), lot: None })
}

/// A recipe by built-in name or path.
pub(crate) fn load_recipe(word: &str) -> Result<Recipe, Failure> {
    if paths::is_path(word) {
        let bytes = paths::read(word)?;
        return Recipe::parse_bytes(&bytes).map_err(|f| Failure::faults(word, &f));
    }
    let text = recipes::named(word).ok_or_else(|| {
        let names: Vec<&str> = recipes::library().iter().map(|(n, _)| *n).collect();
        let hint = format!("built-in recipes: {}; a path contains / or ends in .toml", names.join(", "));
        Failure::new(FILES, format!("there is no recipe \"{word}\""), hint)
    })?;
    Recipe::parse(text).map_err(|f| Failure::faults(word, &f))
}
