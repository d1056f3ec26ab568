//! `firstlight bench ports`: serial ports by their stable names, and which supported instrument answers on them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use drivers::probe::{self, Class, Found, Known, Outcome};
use drivers::transport::Address;
use tokio::task::spawn_local;

use super::in_real_time;
use crate::failure::Failure;
use crate::terminal;

/// Arguments of `bench ports`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Ask each port, or those named, which supported instrument answers: queries that change nothing, 10 s a port at the
    /// most, all at once. A name may be a device or HOST:PORT.
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

/// All ports at once, told in the order they were named.
fn probe_all(places: &[String]) -> Result<u8, Failure> {
    in_real_time(async |clock| {
        let asked: Vec<_> = places
            .iter()
            .map(|place| {
                let (place, clock) = (place.clone(), clock.clone());
                spawn_local(async move { probe::probe(&place, &clock).await })
            })
            .collect();
        for (number, (place, asked)) in (1..).zip(places.iter().zip(asked)) {
            let Ok(outcome) = asked.await else { continue };
            match outcome {
                Ok(Outcome::Found(found)) => {
                    terminal::print(format_args!("{place}: {} (driver {})", told(&found), found.known.driver));
                    terminal::print_text(format_args!("{}", stanza(&found, number)));
                }
                Ok(Outcome::Stranger(who)) => {
                    terminal::print(format_args!("{place}: nothing that is supported; it says \"{who}\""));
                }
                Ok(Outcome::Silence) => terminal::print(format_args!("{place}: nothing that is supported answers")),
                Err(e) => terminal::print(format_args!("{place}: {}", e.reason)),
            }
        }
        Ok(0)
    })
}

/// Who it is, as far as it tells.
fn told(found: &Found) -> String {
    let identity = &found.known.identity;
    let name = format!("{} {}", identity.maker, identity.model);
    let mut more = Vec::new();
    for (what, text) in [("serial", &identity.serial), ("firmware", &identity.firmware)] {
        if !text.is_empty() {
            more.push(format!("{what} {text}"));
        }
    }
    if more.is_empty() {
        format!("{name}, by its settings: it tells no identity")
    } else {
        format!("{name} ({})", more.join(", "))
    }
}

/// What only the bench knows of a tracker: which way its piezos lie, and how far they go.
const TRACKER: &str = "horizontal = \"x\"\nvertical = \"y\"\ntravel_um = 20\n";

/// What to paste into a bench file.
fn stanza(found: &Found, number: usize) -> String {
    let port = format!("port{number}");
    let Known { driver, class, identity, channels } = &found.known;
    let (table, more) = match class {
        Class::Controller => (format!("[controllers.controller{number}]"), ""),
        Class::Meter => (format!("[meters.meter{number}]"), ""),
        Class::Source => ("[source]".to_string(), "level_dbm = 0.0\n"),
        Class::Switch => ("[switch]".to_string(), ""),
        Class::Tracker => ("[tracker]".to_string(), TRACKER),
    };
    let mut text = match &found.address {
        Address::Serial { path, settings } => {
            format!("\n[ports.{port}]\nserial = {}\nbaud = {}\n", quoted(path), settings.baud)
        }
        Address::Tcp(address) => format!("\n[ports.{port}]\ntcp = {}\n", quoted(address)),
    };
    text.push_str(&format!("\n{table}\ndriver = \"{driver}\"\nport = \"{port}\"\n"));
    for (key, value) in [("model", &identity.model), ("serial_number", &identity.serial)] {
        if !value.is_empty() {
            text.push_str(&format!("{key} = {}\n", quoted(value)));
        }
    }
    text.push_str(more);
    if !channels.is_empty() {
        text.push_str(&format!("# channels for [axes]: {}\n", channels.join(", ")));
    }
    text.push('\n');
    text
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let inner: String = text
        .chars()
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    format!("\"{inner}\"")
}
