//! `firstlight sim`: serve a simulated bench, or a single simulated instrument.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use firstlight::wiring::wiring;
use serde_json::json;
use sim::{BackDoor, Dress, Link, Patch, PortWiring, ServeOptions, Server, Wiring, World};
use station::sequence::Stop;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use units::Power;
use units::clock::{Clock, real_runtime};

use crate::bench_file::BenchFile;
use crate::command::run::fault;
use crate::failure::{FILES, Failure};
use crate::paths;
use crate::runner::drawn_seed;
use crate::signals;
use crate::terminal;

const EXAMPLES: &str = "Examples:
  firstlight sim receptacle                                    the built-in bench, on pseudo-terminals
  firstlight sim ./bench.toml --seed 7 --line-timing           a bench file, with the byte times of its lines
  firstlight sim --device pi-gcs2,axes=3 --tcp 127.0.0.1:50000
  firstlight sim couple --csv cases.csv                        loss of every case of a table
  firstlight sim --device thorlabs-pm,model=PM103 --pty /tmp/pm --power-dbm -12

While a bench is served, a line on stdin acts as the operator: `next` puts the next unit into the fixture, `reference`
connects the reference patch cord to the signal meter, `unit` connects the unit again, `lamp on` and `lamp off` switch the
curing lamp, `release` opens the gripper, `truth` prints what is really so.";

/// Arguments of `sim`.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    serve: Serve,
}

impl Args {
    /// Whether it is a campaign.
    pub(crate) fn is_campaign(&self) -> bool {
        matches!(self.action, Some(Action::Campaign(_)))
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the kinds of simulated instruments and their options.
    Devices {
        /// One JSON document on stdout.
        #[arg(long)]
        json: bool,
    },
    /// List the faults a simulated bench can be given.
    Faults,
    /// Strike whole runs with faults at seeded moments and tell what came of it.
    Campaign(crate::command::campaign::Args),
    /// Coupling of each case of a table: share of power and loss, as CSV.
    ///
    /// Columns, in any order: lambda_um, n_gap, w1x_um, w1y_um, w2x_um, w2y_um, dx_um, dy_um, dz_um, thx_rad, thy_rad (two
    /// Gaussian modes); lambda_um, n_gap, w_um, R1, R2, dx_um, dz_um, thx_rad (the gap as an etalon, six amplitudes);
    /// w_um, a_um, d_um (spot on a round aperture). Others are left alone; `case` names the rows.
    Couple {
        /// The table.
        #[arg(long, value_name = "FILE")]
        csv: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
struct Serve {
    /// Bench to serve: a built-in name, or a path (contains / or ends in .toml).
    #[arg(required_unless_present = "device", conflicts_with = "device")]
    bench: Option<String>,
    /// Serve one instrument alone: KIND[,key=value...].
    #[arg(long, value_name = "KIND[,key=value...]")]
    device: Option<String>,
    /// Link of its pseudo-terminal.
    #[arg(long, value_name = "LINK", requires = "device", conflicts_with = "tcp")]
    pty: Option<PathBuf>,
    /// Its address.
    #[arg(long, value_name = "HOST:PORT", requires = "device")]
    tcp: Option<String>,
    /// The steady light it stands in, dBm.
    #[arg(long, value_name = "P", requires = "device", allow_negative_numbers = true, default_value_t = -10.0)]
    power_dbm: f64,
    /// Seed of the world; drawn and printed on stderr where not given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How many times as fast as real time the world runs.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    scale: f64,
    /// A fault, at a time after the start (see `firstlight sim faults`); may be given several times.
    #[arg(long, value_name = "F[=AMOUNT][:TARGET][@s]")]
    fault: Vec<String>,
    /// Draw bad units among the good.
    #[arg(long)]
    defects: bool,
    /// Folder for the links of pseudo-terminals, in place of the paths of the bench file.
    #[arg(long, value_name = "DIR")]
    link_dir: Option<PathBuf>,
    /// Bytes take the time of their line.
    #[arg(long)]
    line_timing: bool,
    /// A client with other line settings than the device's gets garbled bytes.
    #[arg(long)]
    strict_line: bool,
}

pub(crate) fn main(args: Args) -> Result<u8, Failure> {
    match args.action {
        Some(Action::Campaign(args)) => return crate::command::campaign::main(&args),
        Some(Action::Devices { json }) => devices(json),
        Some(Action::Faults) => {
            for info in sim::faults() {
                let amount = info.amount.map_or(String::new(), |a| format!(" (={} {})", a.default, a.unit));
                terminal::print(format_args!(
                    "{:<18} {:<10} {}{amount}",
                    info.name,
                    format!("{:?}", info.target).to_lowercase(),
                    info.description
                ));
            }
        }
        Some(Action::Couple { csv }) => couple(&csv)?,
        None => serve(&args.serve)?,
    }
    Ok(0)
}

fn couple(csv: &Path) -> Result<(), Failure> {
    let label = csv.display().to_string();
    let bytes = paths::read(&label)?;
    let table = units::text::from_utf8(&bytes).and_then(sim::couple::couple);
    let table = table.map_err(|f| Failure::faults(&label, &f))?;
    terminal::print_text(format_args!("{table}"));
    Ok(())
}

/// Options of a kind of device, those of its dress among them.
fn options(kind: &sim::KindInfo) -> impl Iterator<Item = (&'static str, &'static str)> {
    let dress: &[_] = if UNDRESSED.contains(&kind.kind) { &[] } else { DRESS };
    kind.options.iter().chain(dress).copied()
}

fn devices(as_json: bool) {
    if as_json {
        let kinds: Vec<_> = sim::device_kinds()
            .iter()
            .map(|k| {
                let options: BTreeMap<&str, &str> = options(k).collect();
                json!({ "kind": k.kind, "description": k.description, "options": options })
            })
            .collect();
        terminal::print(format_args!("{}", json!(kinds)));
        return;
    }
    for kind in sim::device_kinds() {
        terminal::print(format_args!("{:<18} {}", kind.kind, kind.description));
        for (name, values) in options(&kind.clone()) {
            terminal::print(format_args!("{:<18}   {name}: {values}", ""));
        }
    }
}

fn serve(args: &Serve) -> Result<(), Failure> {
    if !(args.scale > 0.0 && args.scale.is_finite()) {
        return Err(Failure::usage(format!("--scale {}: no factor above 0", args.scale), "1 is real time"));
    }
    let faults = args.fault.iter().map(|f| fault(f)).collect::<Result<Vec<_>, _>>()?;
    let seed = args.seed.unwrap_or_else(drawn_seed);
    if args.seed.is_none() {
        terminal::tell(format_args!("seed {seed}"));
    }
    let (_sender, stop) = signals::listen_quietly()?;
    let runtime = real_runtime();
    let runtime = runtime.map_err(|e| Failure::station(format!("no runtime: {e}"), "check the process limits"))?;
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::scaled(args.scale);
        let (world, wiring) = world(args, seed, clock)?;
        world.backdoor().begin();
        for fault in faults {
            world.backdoor().inject(fault);
        }
        let options = ServeOptions {
            link_dir: args.link_dir.clone(),
            line_timing: args.line_timing,
            strict_line: args.strict_line,
        };
        let server = Server::start(&world, &wiring, &options).await;
        let server =
            server.map_err(|e| Failure::station(e.to_string(), "another simulator may be serving this bench"))?;
        for served in server.served() {
            terminal::print(format_args!("{} {} {}", served.port, served.kind, served.address));
        }
        terminal::print(format_args!("ready"));
        // Whoever waits for `ready` reads a pipe; if nobody reads, the simulator serves all the same.
        let _ = std::io::stdout().flush();
        operate(&world.backdoor(), stop).await;
        server.shutdown();
        Ok(())
    })
}

fn world(args: &Serve, seed: u64, clock: Clock) -> Result<(World, Wiring), Failure> {
    if let Some(device) = &args.device {
        let (wiring, dress) = alone(args, device)?;
        let world = World::alone(&wiring, Power::from_dbm(args.power_dbm).watts(), seed, clock);
        world.dress(dress);
        return Ok((world, wiring));
    }
    let name = args.bench.as_deref().unwrap_or_default();
    let bench = BenchFile::load(name)?;
    if !bench.config.has_simulation {
        return Err(Failure::new(FILES, format!("{}: no [simulation] section", bench.label), "add one"));
    }
    let wiring = wiring(&bench.config);
    let world = World::from_bench(&bench.text, &bench.folder, &wiring, seed, args.defects, clock);
    Ok((world.map_err(|f| Failure::faults(&bench.label, &f))?, wiring))
}

/// The wiring of a device that stands alone.
fn alone(args: &Serve, device: &str) -> Result<(Wiring, Dress), Failure> {
    let mut words = device.split(',');
    let kind = words.next().unwrap_or_default();
    let mut options = BTreeMap::new();
    let mut last: Option<String> = None;
    for word in words {
        match (word.split_once('='), &last) {
            (Some((key, value)), _) => {
                options.insert(key.to_string(), value.to_string());
                last = Some(key.to_string());
            }
            // An identity has commas in it.
            (None, Some(key)) if key == "identity" => {
                if let Some(value) = options.get_mut(key) {
                    value.push(',');
                    value.push_str(word);
                }
            }
            (None, _) => {
                return Err(Failure::usage(
                    format!("--device: \"{word}\" is no key=value"),
                    "see `firstlight sim devices`",
                ));
            }
        }
    }
    let dress = dress(kind, &mut options)?;
    let instrument = sim::standalone(kind, &options);
    let instrument = instrument.map_err(|e| Failure::usage(e.to_string(), "see `firstlight sim devices`"))?;
    let link = match (&args.pty, &args.tcp) {
        (Some(path), _) => {
            let settings = sim::LineSettings { baud: 115_200, parity: sim::Parity::None };
            Link::Serial { path: path.clone(), settings }
        }
        (None, Some(address)) => Link::Tcp { address: address.clone() },
        (None, None) => {
            return Err(Failure::usage("--device needs --pty LINK or --tcp HOST:PORT", "say where to serve it"));
        }
    };
    let port = PortWiring { name: instrument.port.clone(), link };
    Ok((Wiring { ports: vec![port], instruments: vec![instrument] }, dress))
}

/// Options of every device that speaks in lines of text.
const DRESS: &[(&str, &str)] =
    &[("identity", "the whole answer to *IDN?, commas and all"), ("terminator", "lf (default), crlf, cr")];

/// Kinds that do not: binary, or with lines of their own.
const UNDRESSED: &[&str] =
    &["zaber-ascii", "thorlabs-apt", "thorlabs-pm-lan", "joinwit-pm", "newport-smc", "newport-1830", "dicon-switch"];

/// Takes the options that dress a device.
fn dress(kind: &str, options: &mut BTreeMap<String, String>) -> Result<Dress, Failure> {
    if UNDRESSED.contains(&kind) {
        return Ok(Dress::default());
    }
    let terminator = match options.remove("terminator").as_deref() {
        None => None,
        Some("lf") => Some(b"\n".to_vec()),
        Some("crlf") => Some(b"\r\n".to_vec()),
        Some("cr") => Some(b"\r".to_vec()),
        Some(other) => {
            return Err(Failure::usage(format!("--device: there is no terminator \"{other}\""), "lf, crlf or cr"));
        }
    };
    Ok(Dress { identity: options.remove("identity"), terminator })
}

/// Does what is typed on stdin until a signal comes; the end of stdin ends nothing.
async fn operate(door: &BackDoor, mut stop: Stop) {
    let (sender, mut lines) = mpsc::unbounded_channel::<String>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            _ = stop.requested() => return,
            line = lines.recv(), if open => match line {
                Some(line) => operator(door, line.trim()),
                None => open = false,
            },
        }
    }
}

fn operator(door: &BackDoor, line: &str) {
    match line {
        "" => {}
        "next" => {
            let part = door.next_unit();
            terminal::tell(format_args!("unit {} is in the fixture", part.number));
        }
        "reference" => door.patch(Patch::Reference),
        "unit" => door.patch(Patch::Unit),
        "lamp on" => door.lamp(Some(1.0)),
        "lamp off" => door.lamp(None),
        "release" => door.release(),
        "truth" => terminal::print(format_args!("{}", crate::truth::document(door, None))),
        other => {
            let known = "next, reference, unit, lamp on, lamp off, release, truth";
            terminal::tell(format_args!("\"{other}\" is not known: {known}"));
        }
    }
}
