//! Alignment methods on seeded landscapes: how good, how often, how long. See docs/scoreboard.md.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sim::optics::CouplingMap;
use tests::scoreboard::method::Method;
use tests::scoreboard::row::Row;
use tests::scoreboard::scene::Nominal;
use tests::scoreboard::{Condition, Scene, chip, condition, foreign, gates, landscape, report, trial};

/// Tries alignment methods on seeded landscapes and says how good, how often and how long.
#[derive(Debug, Parser)]
#[command(name = "scoreboard")]
struct Args {
    /// Landscape, `all`, `foreign`, or `chip6d`: both ends of a chip, no part of `all`.
    #[arg(long, default_value = "all")]
    landscape: String,
    /// Method, or `all`; of chip6d also `in_turn`, one end after the other, no part of `all`.
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
    /// The tables of docs/scoreboard.md.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// The engine on all landscapes in std and line; fails where one of the regression gates is broken.
    #[arg(long, conflicts_with_all = ["landscape", "method", "condition", "map", "json", "markdown"])]
    gates: bool,
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
            let apart = std::iter::once(Source::Landscape(chip::NAME));
            let one = landscapes.into_iter().chain(foreign).chain(apart).find(|s| s.name() == name);
            let all = [&landscape::NAMES[..], &foreign::NAMES[..], &[chip::NAME]].concat().join(", ");
            one.map(|s| vec![s]).ok_or(format!("no landscape {name}\nhint: one of {all}, or all, or foreign"))
        }
    }
}

fn methods(args: &Args) -> Result<Vec<Method>, String> {
    if args.method == "all" {
        return Ok(Method::all().to_vec());
    }
    let names: Vec<&str> = Method::every().iter().map(|m| m.name()).collect();
    let found = Method::every().iter().find(|m| m.name() == args.method);
    found.map(|m| vec![*m]).ok_or(format!("no method {}\nhint: one of {}, or all", args.method, names.join(", ")))
}

fn row(args: &Args, source: &Source, method: Method, condition: Condition) -> Row {
    let scene = |trial| source.scene(trial, condition);
    let outcomes = trial::attempts(args.first_trial, args.trials, method, scene);
    Row::new(source.name(), condition.name, method.name(), &outcomes)
}

/// All rows, each landscape's given away as soon as they are there: a long run shows how far it is.
fn rows(args: &Args, mut each: impl FnMut(&[Row]) -> Result<(), String>) -> Result<Vec<Row>, String> {
    let condition = Condition::named(&args.condition).ok_or(format!("no condition {}", args.condition))?;
    let (sources, methods) = (sources(args)?, methods(args)?);
    let mut rows = Vec::new();
    for source in &sources {
        let group: Vec<Row> = methods.iter().map(|method| row(args, source, *method, condition)).collect();
        each(&group)?;
        rows.extend(group);
    }
    Ok(rows)
}

/// Runs the engine on all landscapes in the gates' conditions; whether all gates hold.
fn gates(args: &Args, mut say: impl FnMut(&str) -> Result<(), String>) -> Result<bool, String> {
    let mut rows = Vec::new();
    for condition in gates::CONDITIONS {
        let condition = Condition::named(condition).ok_or(format!("no condition {condition}"))?;
        for name in landscape::NAMES {
            let row = row(args, &Source::Landscape(name), Method::Engine, condition);
            say(&report::table(std::slice::from_ref(&row)))?;
            rows.push(row);
        }
    }
    let broken = gates::broken(&rows);
    for gate in &broken {
        say(&format!("broken: {gate}\n"))?;
    }
    if broken.is_empty() {
        say("all gates hold\n")?;
    }
    Ok(broken.is_empty())
}

fn run(args: &Args) -> Result<bool, String> {
    let mut out = std::io::stdout().lock();
    let mut say = |text: &str| {
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| format!("cannot write: {e}"))
    };
    if args.gates {
        return gates(args, say);
    }
    let rows = rows(args, |group| match (args.json, args.markdown) {
        (true, _) => Ok(()),
        (_, true) => say(&report::markdown(group)),
        _ => say(&report::table(group)),
    })?;
    if args.json {
        say(&(serde_json::to_string_pretty(&rows).map_err(|e| format!("cannot write: {e}"))? + "\n"))?;
    }
    Ok(true)
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {why}");
            ExitCode::from(2)
        }
    }
}
