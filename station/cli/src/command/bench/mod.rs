//! `firstlight bench`: check bench files, list and probe ports, measure the reference, work the bench by hand.

mod hand;
mod ports;
mod reference;
mod wire;

use clap::{Args as ClapArgs, Subcommand};
use station::bench::{Bench, MachinePorts};
use tokio::task::LocalSet;
use units::clock::{Clock, real_runtime};

use crate::bench_file::BenchFile;
use crate::failure::Failure;
use crate::terminal;

/// Arguments of `bench`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight bench ports --probe
  firstlight bench check ./bench.toml --connect
  firstlight bench reference ./bench.toml
  firstlight bench jog ./bench.toml x 10
  firstlight bench read ./bench.toml signal_meter --rate 20")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All faults of a bench file; with --connect, whether its instruments answer and take their settings.
    Check {
        /// A path, or a built-in name.
        file: String,
        /// Open the ports, identify every instrument and bring it to its known state. Nothing moves.
        #[arg(long)]
        connect: bool,
    },
    /// Serial ports of this machine, by their stable names.
    Ports(ports::Args),
    /// Move one optical axis by a distance, through the envelope.
    Jog(hand::JogArgs),
    /// Reference the axes that are not, back off and park.
    Home(hand::FileArgs),
    /// Read a meter until stopped.
    Read(hand::ReadArgs),
    /// Stop every axis at once, latch the tracker and switch the source off, as far as instruments answer.
    Stop(hand::FileArgs),
    /// Show a transcript of a line, or open a free port and talk on it.
    Wire(wire::Args),
    /// Measure the launched power with the reference patch cord from source to signal meter, and write it, dated, into
    /// the bench file's [reference] table.
    Reference {
        /// Path of the bench file.
        file: String,
        /// Wavelength, nm.
        #[arg(long, value_name = "NM", default_value_t = 1310.0)]
        wavelength_nm: f64,
        /// Measure in the bench file's embedded simulation, with the patch cord connected there.
        #[arg(long)]
        sim: bool,
        /// Seed of that simulation.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

pub(crate) fn main(args: &Args) -> Result<u8, Failure> {
    match &args.action {
        Action::Check { file, connect } => check(file, *connect),
        Action::Ports(args) => ports::main(args),
        Action::Jog(args) => hand::jog(args),
        Action::Home(args) => hand::home(args),
        Action::Read(args) => hand::read(args),
        Action::Stop(args) => hand::stop(args),
        Action::Wire(args) => wire::main(args),
        Action::Reference { file, wavelength_nm, sim, seed } => reference::main(file, *wavelength_nm, *sim, *seed),
    }
}

/// Wavelength used where no recipe names one.
const CHECK_WAVELENGTH_NM: f64 = 1310.0;

fn check(file: &str, connect: bool) -> Result<u8, Failure> {
    let bench = BenchFile::load(file)?;
    let c = &bench.config;
    if c.has_simulation {
        sim::check(&bench.text, &bench.folder).map_err(|f| Failure::faults(file, &f))?;
    }
    let in_turn = match c.channels.iter().filter(|c| c.switch_port.is_some()).count() {
        0 => String::new(),
        count => format!(" ({count} in turn behind the switch)"),
    };
    let tracker = c.tracker.as_ref().map_or(String::new(), |t| {
        let [along, up] = t.axes.map(|(axis, sense)| if sense < 0.0 { format!("-{axis}") } else { axis.to_string() });
        format!(", with a tracker along {along} and {up}")
    });
    terminal::print(format_args!(
        "{file}: bench {} (fixture {}) is in order: {} axes, {} channels{}, {}{}",
        c.station,
        c.fixture,
        c.axes.len(),
        c.channels.len(),
        in_turn,
        if c.tap().is_some() { "with a tap" } else { "without a tap" },
        tracker
    ));
    if !connect {
        return Ok(0);
    }
    in_real_time(async |clock| {
        let mut bench = Bench::open(c.clone(), clock, &MachinePorts).await.map_err(|e| Failure::bench(&e))?;
        bench.connect(CHECK_WAVELENGTH_NM).await.map_err(|e| Failure::bench(&e))?;
        for (name, identity, _) in bench.instruments() {
            terminal::print(format_args!("  {name:<16} {identity}"));
        }
        for (axis, referenced) in bench.referenced().await.map_err(|e| Failure::bench(&e))? {
            terminal::print(format_args!(
                "  axis {axis:<11} {}",
                if referenced { "referenced" } else { "not referenced" }
            ));
        }
        Ok(0)
    })
}

fn in_real_time<T>(work: impl AsyncFnOnce(Clock) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = real_runtime();
    let runtime = runtime.map_err(|e| Failure::station(format!("no runtime: {e}"), "check the process limits"))?;
    LocalSet::new().block_on(&runtime, async { work(Clock::real()).await })
}
