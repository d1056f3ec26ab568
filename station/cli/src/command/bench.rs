//! `firstlight bench`: check bench files, list ports, measure the reference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use jiff::Timestamp;
use station::bench::{Bench, MachinePorts, Ports, ReferenceError};
use tokio::task::LocalSet;
use toml_edit::{DocumentMut, Item, Table, value};
use units::clock::{Clock, real_runtime};

use crate::bench_file::BenchFile;
use crate::failure::{Failure, STORAGE};
use crate::paths;
use crate::terminal;
use firstlight::wiring::{WorldPorts, wiring};

/// Arguments of `bench`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  firstlight bench ports\n  firstlight bench check ./bench.toml --connect\n  firstlight bench reference ./bench.toml"
)]
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
    Ports,
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
        Action::Ports => {
            ports();
            Ok(0)
        }
        Action::Reference { file, wavelength_nm, sim, seed } => reference(file, *wavelength_nm, *sim, *seed),
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
    terminal::print(format_args!(
        "{file}: bench {} (fixture {}) is in order: {} axes, {} channels, {}",
        c.station,
        c.fixture,
        c.axes.len(),
        c.channels.len(),
        if c.tap().is_some() { "with a tap" } else { "without a tap" }
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

/// Prints serial ports: the stable link where there is one, then the device.
fn ports() {
    let mut links: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir("/dev/serial/by-id").into_iter().flatten().flatten() {
        if let Ok(device) = entry.path().canonicalize() {
            links.insert(device, entry.path());
        }
    }
    let found = serialport::available_ports().unwrap_or_default();
    if found.is_empty() && links.is_empty() {
        terminal::tell(format_args!("no serial ports on this machine"));
    }
    let mut devices: Vec<PathBuf> = found.iter().map(|p| PathBuf::from(&p.port_name)).collect();
    devices.extend(links.keys().cloned());
    devices.sort();
    devices.dedup();
    for device in devices {
        match links.get(&device) {
            Some(link) => terminal::print(format_args!("{}  ({})", link.display(), device.display())),
            None => terminal::print(format_args!("{}", device.display())),
        }
    }
}

/// Readings averaged into a reference.
const REFERENCE_READINGS: u32 = 32;

fn reference(file: &str, wavelength_nm: f64, simulated: bool, seed: u64) -> Result<u8, Failure> {
    if !paths::is_path(file) {
        return Err(Failure::usage(
            format!("{file} is no file"),
            "a reference is written into a bench file: name its path",
        ));
    }
    let bench = BenchFile::load(file)?;
    let power = in_real_time(async |clock| {
        let ports: Box<dyn Ports> = if simulated {
            let world =
                sim::World::from_bench(&bench.text, &bench.folder, &wiring(&bench.config), seed, false, clock.clone());
            let world = world.map_err(|f| Failure::faults(file, &f))?;
            world.backdoor().patch(sim::Patch::Reference);
            Box::new(WorldPorts { world })
        } else {
            terminal::tell(format_args!("the reference patch cord must lead from the source to the signal meter"));
            Box::new(MachinePorts)
        };
        let mut bench =
            Bench::open(bench.config.clone(), clock, ports.as_ref()).await.map_err(|e| Failure::bench(&e))?;
        bench.connect_light(wavelength_nm).await.map_err(|e| Failure::bench(&e))?;
        bench.measure_reference(REFERENCE_READINGS).await.map_err(|e| not_measured(&e))
    })?;
    let dbm = power.dbm().unwrap_or_default();
    let at = Timestamp::now().round(jiff::Unit::Second).unwrap_or_else(|_| Timestamp::now());
    write(Path::new(file), &bench.text, dbm, at)?;
    terminal::print(format_args!("{file}: reference {dbm:.3} dBm, measured at {at}"));
    Ok(0)
}

fn not_measured(error: &ReferenceError) -> Failure {
    let hint = match error {
        ReferenceError::Bench(e) => e.hint(),
        ReferenceError::Unsettled => "let the source warm up",
        ReferenceError::Saturated => "give the signal meter a higher range in the bench file",
        ReferenceError::Implausible { .. } => {
            "connect the reference patch cord from the source to the signal meter (`firstlight sim` takes the line \
             `reference`), clean its ends, check level_dbm and path_loss_db"
        }
    };
    Failure::station(error.to_string(), hint)
}

/// Writes the reference into the bench file, all else as it was; the file is replaced at once or not at all.
fn write(path: &Path, text: &str, dbm: f64, at: Timestamp) -> Result<(), Failure> {
    let failed = |e: String| {
        Failure::new(STORAGE, format!("{}: {e}", path.display()), "check the file's permissions and the disk")
    };
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| failed(e.to_string()))?;
    let table = document.entry("reference").or_insert(Item::Table(Table::new()));
    table["power_dbm"] = value((dbm * 1000.0).round() / 1000.0);
    table["measured_at"] = value(at.to_string());
    let beside = path.with_extension("toml.new");
    std::fs::write(&beside, document.to_string()).map_err(|e| failed(e.to_string()))?;
    std::fs::rename(&beside, path).map_err(|e| failed(e.to_string()))
}
