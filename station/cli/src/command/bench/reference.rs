//! `firstlight bench reference`: the launched power, measured and written into the bench file.

use std::path::Path;

use firstlight::wiring::{WorldPorts, wiring};
use jiff::Timestamp;
use station::bench::{Bench, MachinePorts, Ports, ReferenceError};
use toml_edit::{DocumentMut, Item, Table, value};

use super::in_real_time;
use crate::bench_file::BenchFile;
use crate::failure::{Failure, STORAGE};
use crate::paths;
use crate::terminal;

/// Readings averaged into a reference.
const REFERENCE_READINGS: u32 = 32;

pub(super) fn main(file: &str, wavelength_nm: f64, simulated: bool, seed: u64) -> Result<u8, Failure> {
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
