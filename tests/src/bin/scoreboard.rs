//! Alignment methods on seeded landscapes: how good, how often, how long. See docs/scoreboard.md.

use std::io::Write;

use clap::Parser;
use tests::scoreboard::method::Method;
use tests::scoreboard::row::Row;
use tests::scoreboard::{Condition, condition, landscape, trial};

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
    /// An array of objects instead of a table.
    #[arg(long)]
    json: bool,
}

fn landscapes(args: &Args) -> Result<Vec<&str>, String> {
    match args.landscape.as_str() {
        "all" => Ok(landscape::NAMES.to_vec()),
        name if landscape::nominal(name).is_some() => Ok(vec![name]),
        name => Err(format!("no landscape {name}\nhint: one of {}, or all", landscape::NAMES.join(", "))),
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
    for name in landscapes(args)? {
        for method in methods(args)? {
            let scene = |trial| landscape::scene(name, trial, condition).expect("the name is a landscape's");
            let outcomes = trial::attempts(args.first_trial, args.trials, method, scene);
            rows.push(Row::new(name, condition.name, method.name(), &outcomes));
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
