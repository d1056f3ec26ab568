//! `firstlight bench wire`: a transcript made readable, or a free port opened to talk on.

use std::io::BufRead as _;
use std::time::Duration;

use clap::Args as ClapArgs;
use drivers::transport::{self, Address, FlowControl, Parity, SerialSettings};
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
        for quoted in quoted(line) {
            let raw = unescaped(quoted);
            if raw.iter().any(|b| !(0x20..0x7f).contains(b)) {
                terminal::print(format_args!("{:>18} {}", "", hex(&raw)));
            }
        }
    }
    Ok(0)
}

/// What stands between quotation marks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    // An escaped mark inside is written \", and ends nothing.
    let mut inside = false;
    let mut begin = 0;
    let mut escaped = false;
    let mut found = Vec::new();
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if inside => {
                found.push(&line[begin..at]);
                inside = false;
            }
            '"' => (inside, begin) = (true, at + 1),
            _ => {}
        }
    }
    found.into_iter()
}

/// The bytes that a printable form stands for.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, used) = match (first, after) {
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                let value = std::str::from_utf8(&digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok());
                value.map_or((b'\\', 1), |v| (v, 4))
            }
            (b'\\', [other, ..]) => (*other, 2),
            (byte, _) => (*byte, 1),
        };
        bytes.push(byte);
        rest = &rest[used.min(rest.len())..];
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
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
                        let mut bytes = unescaped(&line);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_transcript_are_found_and_read_back() {
        let line = r#"  0.5 s  -> "\x18"  <- "1=0.5 \n2=\"x\" \xb1\n"  after 1 ms"#;
        let found: Vec<Vec<u8>> = quoted(line).map(unescaped).collect();
        assert_eq!(found, [b"\x18".to_vec(), b"1=0.5 \n2=\"x\" \xb1\n".to_vec()]);
        assert_eq!(hex(&found[0]), "18");
        assert_eq!(unescaped("\\"), b"\\", "a lone backslash is one");
    }
}
