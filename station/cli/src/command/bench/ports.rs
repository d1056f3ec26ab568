//! `firstlight bench ports`: serial ports by their stable names, and which supported instrument answers on them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use drivers::probe::{self, Class, Found};
use drivers::transport::Address;

use super::in_real_time;
use crate::failure::Failure;
use crate::terminal;

/// Arguments of `bench ports`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Ask each port, or those named, which supported instrument answers: queries that change nothing, 10 s a port at the
    /// most. A name may be a device or HOST:PORT.
    #[arg(long, value_name = "PATH", num_args = 0..)]
    probe: Option<Vec<String>>,
}

pub(super) fn main(args: &Args) -> Result<u8, Failure> {
    let devices = devices();
    match &args.probe {
        Some(named) if !named.is_empty() => probe_all(named),
        Some(_) => {
            let all: Vec<String> =
                devices.iter().map(|(device, link)| link.as_ref().unwrap_or(device).display().to_string()).collect();
            probe_all(&all)
        }
        None => {
            for (device, link) in devices {
                match link {
                    Some(link) => terminal::print(format_args!("{}  ({})", link.display(), device.display())),
                    None => terminal::print(format_args!("{}", device.display())),
                }
            }
            Ok(0)
        }
    }
}

/// Serial devices, each with its stable link where there is one.
fn devices() -> Vec<(PathBuf, Option<PathBuf>)> {
    let mut links: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir("/dev/serial/by-id").into_iter().flatten().flatten() {
        if let Ok(device) = entry.path().canonicalize() {
            links.insert(device, entry.path());
        }
    }
    let found = serialport::available_ports().unwrap_or_default();
    let mut devices: Vec<PathBuf> = found.iter().map(|p| PathBuf::from(&p.port_name)).collect();
    devices.extend(links.keys().cloned());
    devices.sort();
    devices.dedup();
    if devices.is_empty() {
        terminal::tell(format_args!("no serial ports on this machine"));
    }
    devices.into_iter().map(|device| (device.clone(), links.get(&device).cloned())).collect()
}

fn probe_all(places: &[String]) -> Result<u8, Failure> {
    in_real_time(async |clock| {
        for (number, place) in places.iter().enumerate() {
            match probe::probe(place, &clock).await {
                Ok(Some(found)) => {
                    terminal::print(format_args!("{place}: {} (driver {})", found.identity, found.driver));
                    terminal::print_text(format_args!("{}", stanza(&found, number + 1)));
                }
                Ok(None) => terminal::print(format_args!("{place}: nothing that is supported answers")),
                Err(e) => terminal::print(format_args!("{place}: {}", e.reason)),
            }
        }
        Ok(0)
    })
}

/// What to paste into a bench file.
fn stanza(found: &Found, number: usize) -> String {
    let port = format!("port{number}");
    let place = match &found.address {
        Address::Serial { path, settings } => format!("serial = \"{path}\"\nbaud = {}", settings.baud),
        Address::Tcp(address) => format!("tcp = \"{address}\""),
    };
    let table = match found.class {
        Class::Controller => format!("[controllers.controller{number}]"),
        Class::Meter => format!("[meters.meter{number}]"),
        Class::Source => "[source]".to_string(),
    };
    let identity = &found.identity;
    let level = if found.class == Class::Source { "level_dbm = 0.0\n" } else { "" };
    format!(
        "\n[ports.{port}]\n{place}\n\n{table}\ndriver = \"{}\"\nport = \"{port}\"\nmodel = \"{}\"\nserial_number = \
         \"{}\"\n{level}\n",
        found.driver, identity.model, identity.serial
    )
}
