//! `firstlight`: the command line and composition root, the one package that names both station and sim.

mod bench_file;
mod campaign;
mod command;
mod failure;
mod lines;
mod paths;
mod runner;
mod signals;
mod terminal;
mod truth;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

const EXAMPLES: &str = "Examples:
  firstlight run 400g-fr4 --sim                            align and test one simulated unit
  firstlight run 400g-fr4 --sim --units 1000 --defects     a thousand, bad ones among them
  firstlight sim receptacle                                serve the simulated bench on pseudo-terminals
  firstlight run 400g-fr4 --bench BENCH.toml --serial-number A1
  firstlight show last                                     steps, measurements, traces of the last run
  firstlight yield --simulated                             first-pass and final yield

Exit codes: 0 all passed; 1 a unit failed; 2 usage; 3 station error; 4 bad recipe or bench file; 5 storage;
6 stopped by the operator; 130, 143 aborted by SIGINT, SIGTERM once the bench is safe.";

/// Runs an optical alignment and test station, or its simulated bench.
#[derive(Debug, Parser)]
#[command(name = "firstlight", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// More talk on stderr (-v debug, -vv every exchange); the variable FIRSTLIGHT_LOG takes a filter.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Align and test units by a recipe, and log each run.
    Run(command::run::Args),
    /// Search the peak by hand, with a picture of the readings.
    Align(command::align::Args),
    /// What the engine makes of a stored search; other methods on the model fitted to it.
    Replay(command::replay::Args),
    /// Serve a simulated bench, or a single simulated instrument.
    Sim(command::sim::Args),
    /// List, show and check recipes.
    Recipe(command::recipe::Args),
    /// Check bench files, list ports, measure the reference.
    Bench(command::bench::Args),
    /// List runs of the log.
    Runs(command::log::RunsArgs),
    /// Show one run: steps, measurements, traces.
    Show(command::log::ShowArgs),
    /// First-pass and final yield, with counts and intervals.
    Yield(command::log::YieldArgs),
    /// Print shell completions.
    Completions {
        /// Shell to complete for.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A campaign strikes thousands of runs: what the drivers say of it is told on request.
    let quiet = matches!(&cli.command, Command::Sim(args) if args.is_campaign());
    talk(cli.verbose, quiet);
    let done = match cli.command {
        Command::Run(args) => command::run::main(&args),
        Command::Align(args) => command::align::main(&args),
        Command::Replay(args) => command::replay::main(&args),
        Command::Sim(args) => command::sim::main(args),
        Command::Recipe(args) => command::recipe::main(&args),
        Command::Bench(args) => command::bench::main(&args),
        Command::Runs(args) => command::log::runs(&args),
        Command::Show(args) => command::log::show(&args),
        Command::Yield(args) => command::log::yields(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "firstlight", &mut std::io::stdout());
            Ok(0)
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal::tell(format_args!("{failure}"));
            ExitCode::from(failure.code())
        }
    }
}

/// Sends tracing to stderr; quiet unless asked.
fn talk(verbose: u8, quiet: bool) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 if quiet => "error",
        0 => "warn",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("FIRSTLIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    let subscriber = subscriber.with_writer(std::io::stderr).without_time();
    // Only the first subscriber of a process counts, and this is it.
    let _ = subscriber.try_init();
}
