//! Alignment methods on seeded landscapes: how good, how often, how long. See docs/scoreboard.md.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use sim::optics::CouplingMap;
use tests::scoreboard::method::Method;
use tests::scoreboard::row::Row;
use tests::scoreboard::scene::Nominal;
use tests::scoreboard::{Condition, Scene, condition, foreign, landscape, trial};

/// Tries alignment methods on seeded landscapes and says how good, how often and how long.
#[derive(Debug, Parser)]
#[command(name = "scoreboard")]
struct Args {
    /// Landscape, `all` or `foreign`.
    #[arg(long, default_value = "all")]
    landscape: String,
    /// Method, or `all`.
    #[arg(long, default_value = "engine")]
    method: String,
    /// Condition of the station.
    #[arg(long, default_value = "std", value_parser = condition::ALL.map(|c| c.name))]
    condition: String,
    /// Number of the first trial.
    #[arg(long, default_value_t = 0)]
    first_trial: u64,
    /// How many trials.
    #[arg(long, default_value_t = 200)]
    trials: usize,
    /// A coupling map to try instead of a landscape: CSV with the header x_um,y_um,loss_db or x_um,y_um,z_um,loss_db.
    #[arg(long, conflicts_with = "landscape")]
    map: Option<PathBuf>,
    /// An array of objects instead of a table.
    #[arg(long)]
    json: bool,
}

/// Where scenes come from.
#[derive(Clone)]
enum Source {
    Landscape(&'static str),
    Foreign(&'static str),
    Map(String, Arc<CouplingMap>, Box<Nominal>),
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Source::Landscape(name) | Source::Foreign(name) => name,
            Source::Map(name, ..) => name,
        }
    }

    fn scene(&self, trial: u64, condition: Condition) -> Scene {
        match self {
            Source::Landscape(name) => landscape::scene(name, trial, condition).expect("a name of the list"),
            Source::Foreign(name) => foreign::scene(name, trial, condition).expect("a name of the list"),
            Source::Map(_, map, nominal) => foreign::map_scene(map, nominal, trial, condition),
        }
    }
}

fn sources(args: &Args) -> Result<Vec<Source>, String> {
    if let Some(path) = &args.map {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let map = CouplingMap::read(&text).map_err(|f| format!("{}: {f}", path.display()))?;
        let nominal = Box::new(foreign::map_nominal(&map));
        let name = path.file_stem().map_or("map".into(), |s| s.to_string_lossy().into_owned());
        return Ok(vec![Source::Map(format!("map:{name}"), Arc::new(map), nominal)]);
    }
    let landscapes = landscape::NAMES.map(Source::Landscape);
    let foreign = foreign::NAMES.map(Source::Foreign);
    match args.landscape.as_str() {
        "all" => Ok(landscapes.to_vec()),
        "foreign" => Ok(foreign.to_vec()),
        name => {
            let one = landscapes.into_iter().chain(foreign).find(|s| s.name() == name);
            let all = [&landscape::NAMES[..], &foreign::NAMES[..]].concat().join(", ");
            one.map(|s| vec![s]).ok_or(format!("no landscape {name}\nhint: one of {all}, or all, or foreign"))
        }
    }
}

fn methods(args: &Args) -> Result<Vec<Method>, String> {
    if args.method == "all" {
        return Ok(Method::all().to_vec());
    }
    let names: Vec<&str> = Method::all().iter().map(|m| m.name()).collect();
    let found = Method::all().iter().find(|m| m.name() == args.method);
    found.map(|m| vec![*m]).ok_or(format!("no method {}\nhint: one of {}, or all", args.method, names.join(", ")))
}

fn rows(args: &Args) -> Result<Vec<Row>, String> {
    let condition = Condition::named(&args.condition).ok_or(format!("no condition {}", args.condition))?;
    let mut rows = Vec::new();
    for source in sources(args)? {
        for method in methods(args)? {
            let scene = |trial| source.scene(trial, condition);
            let outcomes = trial::attempts(args.first_trial, args.trials, method, scene);
            rows.push(Row::new(source.name(), condition.name, method.name(), &outcomes));
        }
    }
    Ok(rows)
}

fn print(out: &mut impl Write, rows: &[Row]) -> std::io::Result<()> {
    writeln!(
        out,
        "landscape       method           ok05   ok10  found  readings    p95   time s     p95   left dB     p95  centre um  worse  bound  ms"
    )?;
    for r in rows {
        writeln!(
            out,
            "{:<15} {:<15} {:>5.1} {:>6.1} {:>6.1} {:>9.0} {:>6.0} {:>8.2} {:>7.2} {:>9.3} {:>7.3} {:>10.2} {:>6.1} {:>6} {:.3}",
            r.landscape,
            r.method,
            100.0 * r.ok05,
            100.0 * r.ok10,
            100.0 * r.found,
            r.readings_med,
            r.readings_p95,
            r.time_med_s,
            r.time_p95_s,
            r.resid_med_db,
            r.resid_p95_db,
            r.lateral_err_med_um,
            100.0 * r.below_best,
            r.bound_covered.map_or("-".to_string(), |b| format!("{:.1}", 100.0 * b)),
            r.cpu_ms_per_decision,
        )?;
    }
    Ok(())
}

fn run(args: &Args) -> Result<(), String> {
    let rows = rows(args)?;
    let mut out = std::io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer_pretty(&mut out, &rows).map_err(std::io::Error::from).and_then(|()| writeln!(out))
    } else {
        print(&mut out, &rows)
    };
    written.map_err(|e| format!("cannot write: {e}"))
}

fn main() -> std::process::ExitCode {
    match run(&Args::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {why}");
            std::process::ExitCode::from(2)
        }
    }
}
