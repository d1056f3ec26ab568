//! `firstlight bench wire`: a transcript made readable, or a free port opened to talk on.

use std::io::BufRead as _;
use std::time::Duration;

use clap::Args as ClapArgs;
use drivers::transport::{self, Address, FlowControl, Parity, SerialSettings};
use firstlight::transcript;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::in_real_time;
use crate::failure::Failure;
use crate::signals;
use crate::{paths, terminal};

/// Arguments of `bench wire`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight show last --wire > stage.txt; firstlight bench wire stage.txt
  firstlight bench wire /dev/ttyUSB0 --live --baud 9600

Live, each line typed is sent with a line feed; \\x18 in it is the byte 0x18. Nothing else may have the port open.")]
pub(crate) struct Args {
    /// A transcript (of `show --wire`); with --live a serial device, or HOST:PORT.
    file: String,
    /// Open the port and talk on it.
    #[arg(long)]
    live: bool,
    /// Baud rate of that port.
    #[arg(long, default_value_t = 115_200)]
    baud: u32,
}

pub(super) fn main(args: &Args) -> Result<u8, Failure> {
    if args.live {
        return live(args);
    }
    let bytes = paths::read(&args.file)?;
    for line in String::from_utf8_lossy(&bytes).lines() {
        terminal::print(format_args!("{line}"));
        for raw in transcript::bytes(line).iter().filter(|raw| !transcript::is_plain(raw)) {
            terminal::print(format_args!("{:>18} {}", "", transcript::hex(raw)));
        }
    }
    Ok(0)
}

/// A pause after which what came is printed.
const PAUSE: Duration = Duration::from_millis(30);

fn live(args: &Args) -> Result<u8, Failure> {
    let is_network = !args.file.starts_with('/') && args.file.contains(':');
    let address = if is_network {
        Address::Tcp(args.file.clone())
    } else {
        let settings = SerialSettings { baud: args.baud, parity: Parity::None, flow: FlowControl::None };
        Address::Serial { path: args.file.clone(), settings }
    };
    let (_sender, mut stop) = signals::listen_quietly()?;
    in_real_time(async |clock| {
        let hint = "close whatever holds the port, and check its name (`firstlight bench ports`)";
        let mut stream = transport::open(&address).await.map_err(|e| Failure::station(e.to_string(), hint))?;
        let mut typed = typed_lines();
        let mut chunk = [0; 4096];
        loop {
            tokio::select! {
                biased;
                _ = stop.requested() => return Ok(0),
                read = stream.read(&mut chunk) => match read {
                    Ok(0) | Err(_) => return Err(Failure::station(format!("{address}: the port went away"), hint)),
                    Ok(n) => {
                        let at = clock.seconds();
                        terminal::print(format_args!("{at:14.6} s  <- \"{}\"", chunk[..n].escape_ascii()));
                    }
                },
                line = typed.recv() => match line {
                    Some(line) => {
                        let mut bytes = transcript::unescaped(&line);
                        bytes.push(b'\n');
                        let at = clock.seconds();
                        terminal::print(format_args!("{at:14.6} s  -> \"{}\"", bytes.escape_ascii()));
                        stream.write_all(&bytes).await.map_err(|e| Failure::station(format!("{address}: {e}"), hint))?;
                    }
                    // What was asked last may still be answered.
                    None => {
                        clock.sleep(PAUSE * 10).await;
                        while let Ok(Ok(n)) = clock.timeout(PAUSE, stream.read(&mut chunk)).await {
                            if n == 0 {
                                break;
                            }
                            let at = clock.seconds();
                            terminal::print(format_args!("{at:14.6} s  <- \"{}\"", chunk[..n].escape_ascii()));
                        }
                        return Ok(0);
                    }
                },
            }
        }
    })
}

fn typed_lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
