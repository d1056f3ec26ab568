//! The speed of every protocol, driver and simulated device together, as a table.
//!
//! `cargo bench -p tests --bench exchanges`; the table stands in docs/benchmarks.md. With `-- --wire` it also says what
//! was counted.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::cast_precision_loss, reason = "counts")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use drivers::transport::{Address, FlowControl, Parity, SerialSettings};
use sim::{LineSettings, Link, ServeOptions, Server};
use tests::alone::{Alone, models};
use tests::any::Any;
use tests::count::{Counted, Exchange, Exchanges};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio_serial::SerialPort as _;
use units::clock::{Clock, real_runtime, virtual_runtime};

/// Questions a measurement in virtual time.
const LOOKS: usize = 2000;
/// Questions a slice on a pseudo-terminal, and slices; driver and bare line take turns.
const SLICE: usize = 100;
const SLICES: usize = 101;
/// A device that answers later than this is left out there, s: on a real clock the simulator does what is due within 1 ms.
const WAITS_MAX: f64 = 1.1e-3;
/// The line of the cycle and of streaming.
const BAUD: u32 = 115_200;

/// What a move of one axis and a reading of its position, or a reading alone, cannot do without: requests and answers in
/// the shortest form that the protocol has for values of the driver's precision, one question whether it has arrived, and
/// where orders have no answer one whether it was refused.
struct Protocol {
    word: &'static str,
    fewest: &'static [&'static [u8]],
}

const PROTOCOLS: &[Protocol] = &[
    Protocol {
        word: "pi-gcs2",
        fewest: &[b"MOV 1 0.501\n", b"ERR?\n", b"0\n", b"ONT? 1\n", b"1=1\n", b"POS? 1\n", b"1=0.500990\n"],
    },
    Protocol {
        word: "zaber-ascii",
        fewest: &[
            b"/1 1 19 move abs 10520:AF\n",
            b"@01 1 19 OK BUSY -- 0:DD\r\n",
            b"/1 1 22:FA\n",
            b"@01 1 22 OK IDLE -- 0:08\r\n",
            b"/1 1 23 get pos:27\n",
            b"@01 1 23 OK IDLE -- 10520:3F\r\n",
        ],
    },
    Protocol { word: "thorlabs-apt", fewest: &[&[0; 12], &[0; 6], &[0; 20]] },
    Protocol {
        word: "newport-smc",
        fewest: &[
            b"1PA0.501\r\n",
            b"1TE\r\n",
            b"1TE@\r\n",
            b"1TS\r\n",
            b"1TS000033\r\n",
            b"1TP\r\n",
            b"1TP0.501000\r\n",
        ],
    },
    Protocol {
        word: "newport-esp",
        fewest: &[
            b"1PA0.501\r",
            b"1MD?\r",
            b"1\r\n",
            b"TB?\r",
            b"0, 20470, NO ERROR DETECTED\r\n",
            b"1TP?\r",
            b"0.500990\r\n",
        ],
    },
    Protocol { word: "thorlabs-pm", fewest: &[b"READ?\n", b"9.994103E-05\n"] },
    Protocol { word: "thorlabs-pm-lan", fewest: &[&[0; 4], b"READ?\n", &[0; 4], b"9.994103E-05\n"] },
    Protocol { word: "keysight-pm", fewest: &[b"READ:POW:ALL?\n", &[0; 21]] },
    Protocol { word: "joinwit-pm", fewest: &[&[0; 7], &[0; 23]] },
    Protocol { word: "newport-1830", fewest: &[b"Q?\n", b"144\n", b"D?\n", b"9.9988E-05\n"] },
    Protocol { word: "newport-1936", fewest: &[b"PM:PWS?\r\n", b"1.000074E-004 158 1.000970E-004 158\r\n"] },
    Protocol {
        word: "keysight-laser",
        fewest: &[b"POW:STAT?\n", b"+1\n", b"LOCK?\n", b"+0\n", b"POW?\n", b"+1.00000000E-003\n"],
    },
    Protocol {
        word: "santec-tsl",
        fewest: &[b":POW:STAT?\r", b"1\r", b":POW:SHUT?\r", b"0\r", b":POW?\r", b"+0.00000000E+000\r"],
    },
    Protocol { word: "dicon-switch", fewest: &[b"X1 CH 1?\r", b"1,0\r"] },
];

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn line_settings(baud: u32) -> LineSettings {
    LineSettings { baud, parity: sim::Parity::None }
}

/// Time that this thread has computed, s: unlike the time of day it does not hang on what else the machine does.
fn cpu_s() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    // Only Linux tells; elsewhere the time of day must do.
    nanoseconds.map_or_else(|| BEGUN.elapsed().as_secs_f64(), |n| n * 1e-9)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A connected driver in virtual time.
struct Bench {
    runtime: Runtime,
    local: LocalSet,
    clock: Clock,
    any: Any,
    exchanges: Exchanges,
}

impl Bench {
    fn new(word: &str, baud: u32) -> Bench {
        let runtime = virtual_runtime().expect("a runtime");
        let local = LocalSet::new();
        let (clock, any, exchanges) = local.block_on(&runtime, async {
            let clock = Clock::simulated();
            let model = models(word)[0];
            let link = Link::Serial { path: "unused".into(), settings: line_settings(baud) };
            let alone = Alone::new(word, model, link, &clock);
            let (stream, exchanges) = Counted::new(alone.pipe(line_settings(baud)));
            let mut any = Any::new(word, model, &alone, Box::new(stream), &clock);
            any.connect().await.expect("connected");
            any.reference().await.expect("referenced");
            any.look().await.expect("an answer");
            (clock, any, exchanges)
        });
        exchanges.take();
        Bench { runtime, local, clock, any, exchanges }
    }

    /// Exchanges a second of computing, computing in % of a second of the line's, and how long the device waits before
    /// it answers, s.
    fn streaming(&mut self) -> (f64, f64, f64) {
        let cpu = cpu_s();
        let (mut count, mut bytes) = (0u32, 0);
        let line_s = self.local.block_on(&self.runtime, async {
            let begun = self.clock.now();
            for _ in 0..LOOKS {
                self.any.ask().await.expect("an answer");
                for Exchange { request, reply } in self.exchanges.take() {
                    count += 1;
                    bytes += request.len() + reply.len();
                }
            }
            (self.clock.now() - begun).as_secs_f64()
        });
        let cpu = cpu_s() - cpu;
        let waits = (line_s - bytes as f64 * line_settings(BAUD).byte_s()) / f64::from(count);
        (f64::from(count) / cpu, 100.0 * cpu / line_s, waits)
    }

    /// One cycle: a move to a place, with the reading of it that shows that it arrived; of an instrument that does not
    /// move, a reading.
    fn cycle(&mut self) -> Vec<Exchange> {
        self.local.block_on(&self.runtime, async {
            if matches!(self.any, Any::Motion(..)) {
                self.any.go(0.5).await.expect("arrived");
                self.exchanges.take();
                self.any.go(0.501).await.expect("arrived");
            } else {
                self.any.look().await.expect("an answer");
            }
        });
        self.exchanges.take()
    }
}

/// A request without what counts requests.
fn question(exchange: &Exchange) -> Vec<u8> {
    let request = exchange.request.as_slice();
    if request.first() != Some(&b'/') {
        return request.to_vec();
    }
    // Zaber: device, axis, number, command, checksum.
    let body = request.split(|b| *b == b':').next().unwrap_or_default();
    let words = body.split(|b| *b == b' ').enumerate().filter(|(at, _)| *at != 2).map(|(_, word)| word);
    words.collect::<Vec<_>>().join(&b' ')
}

/// Bytes of a cycle and its polls: questions that were asked again, since the answer was still no. They lie within motion
/// and settling, and are left out of the bytes.
fn bytes(cycle: &[Exchange]) -> (usize, usize) {
    let again = |(at, e): &(usize, &Exchange)| cycle[at + 1..].iter().any(|later| question(later) == question(e));
    let polls = cycle.iter().enumerate().filter(again).count();
    let counted = cycle.iter().enumerate().filter(|e| !again(e));
    (counted.map(|(_, e)| e.request.len() + e.reply.len()).sum(), polls)
}

/// A pseudo-terminal whose other end, on a thread of its own, gives the answers of `exchanges` in turn.
fn bare(runtime: &Runtime, exchanges: Vec<Exchange>) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
    let (named, name) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        real_runtime().expect("a runtime").block_on(async {
            let (mut far, near) = tokio_serial::SerialStream::pair().expect("a pseudo-terminal");
            named.send(near.name().expect("a name")).expect("the bench waits");
            let mut request = vec![0; 4096];
            for exchange in exchanges.iter().cycle() {
                if far.read_exact(&mut request[..exchange.request.len()]).await.is_err()
                    || far.write_all(&exchange.reply).await.is_err()
                {
                    break;
                }
            }
            drop(near);
        });
    });
    let address = serial(name.recv().expect("a pseudo-terminal"));
    runtime.block_on(drivers::transport::open(&address)).expect("the port opens")
}

fn serial(path: String) -> Address {
    let settings = SerialSettings { baud: 921_600, parity: Parity::None, flow: FlowControl::None };
    Address::Serial { path, settings }
}

/// Serves an instrument on a pseudo-terminal, on a thread of its own, as the simulator is another program.
fn serve(word: &'static str, path: &std::path::Path) {
    let link = Link::Serial { path: path.to_path_buf(), settings: line_settings(921_600) };
    std::thread::spawn(move || {
        let runtime = real_runtime().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let alone = Alone::new(word, models(word)[0], link, &Clock::real());
            let _server = Server::start(&alone.world, &alone.wiring, &ServeOptions::default()).await.expect("served");
            std::future::pending::<()>().await;
        });
    });
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Exchanges a second on a pseudo-terminal, and how many times as long they take as the same bytes bare.
fn pseudo_terminal(word: &'static str) -> (f64, f64) {
    let runtime = real_runtime().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("device");
    serve(word, &path);
    let (mut any, asked) = runtime.block_on(async {
        let clock = Clock::real();
        let model = models(word)[0];
        let stream = drivers::transport::open(&serial(path.display().to_string())).await.expect("the port opens");
        let (stream, exchanges) = Counted::new(stream);
        // Only for its channels.
        let alone = Alone::new(word, model, Link::Tcp { address: String::new() }, &clock);
        let mut any = Any::new(word, model, &alone, Box::new(stream), &clock);
        any.connect().await.expect("connected");
        any.ask().await.expect("an answer");
        exchanges.take();
        any.ask().await.expect("an answer");
        let asked = exchanges.take();
        exchanges.borrow_mut().clear();
        (any, asked)
    });
    let mut near = bare(&runtime, asked.clone());
    let mut reply = vec![0; 4096];
    // Short slices in turn, and the median of their ratios: what else the machine does falls on both.
    let (mut took, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..SLICES {
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..SLICE {
                for exchange in &asked {
                    near.write_all(&exchange.request).await.expect("the other side is there");
                    near.read_exact(&mut reply[..exchange.reply.len()]).await.expect("the other side answers");
                }
            }
        });
        let bare = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..SLICE {
                any.ask().await.expect("an answer");
            }
        });
        let driven = begun.elapsed().as_secs_f64();
        took.push(driven / (SLICE * asked.len()) as f64);
        ratios.push(driven / bare);
    }
    (1.0 / median(took), median(ratios))
}

/// A question and an answer of usual length.
fn usual() -> Exchange {
    Exchange { request: b"POS? 1\n".to_vec(), reply: b"1=1.234567\n".to_vec() }
}

/// Exchanges over a pipe in process with nothing else at either end, a second of computing.
fn raw_pipe() -> f64 {
    let runtime = virtual_runtime().expect("a runtime");
    let Exchange { request, reply } = usual();
    let (mut near, mut far) = tokio::io::duplex(4096);
    let (asked, answered) = (request.clone(), reply.clone());
    let local = LocalSet::new();
    local.spawn_local(async move {
        let mut heard = vec![0; asked.len()];
        while far.read_exact(&mut heard).await.is_ok() && far.write_all(&answered).await.is_ok() {}
    });
    let cpu = cpu_s();
    local.block_on(&runtime, async {
        let mut heard = vec![0; reply.len()];
        for _ in 0..100 * LOOKS {
            near.write_all(&request).await.expect("the other side is there");
            near.read_exact(&mut heard).await.expect("the other side answers");
        }
    });
    (100 * LOOKS) as f64 / (cpu_s() - cpu)
}

/// Exchanges a second over a pseudo-terminal with nothing else at either end.
fn raw_pseudo_terminal() -> f64 {
    let runtime = real_runtime().expect("a runtime");
    let Exchange { request, reply } = usual();
    let mut near = bare(&runtime, vec![usual()]);
    let mut heard = vec![0; reply.len()];
    let took = (0..SLICES).map(|_| {
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..SLICE {
                near.write_all(&request).await.expect("the other side is there");
                near.read_exact(&mut heard).await.expect("the other side answers");
            }
        });
        begun.elapsed().as_secs_f64() / SLICE as f64
    });
    1.0 / median(took.collect())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let tell = arguments.iter().any(|a| a == "--wire");
    println!(
        "| protocol | exchanges/s of computing | % CPU streaming at {BAUD} | bytes a cycle | fewest | ratio | polls | \
         PTY exchanges/s | PTY over bare |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    if arguments.iter().skip(1).all(|a| a.starts_with('-')) {
        println!(
            "| raw pipe, raw pseudo-terminal | {:.0} | - | - | - | - | - | {:.0} | 1 |",
            raw_pipe(),
            raw_pseudo_terminal()
        );
    }
    for Protocol { word, fewest } in PROTOCOLS {
        if arguments.iter().skip(1).any(|a| !a.starts_with('-') && a != word) {
            continue;
        }
        let (rate, cpu, waits) = Bench::new(word, BAUD).streaming();
        let cycle = Bench::new(word, BAUD).cycle();
        let ((sent, polls), least) = (bytes(&cycle), fewest.iter().map(|b| b.len()).sum::<usize>());
        // What the device takes its time for is no matter of the pseudo-terminal.
        let pty = if waits < WAITS_MAX {
            let (rate, ratio) = pseudo_terminal(word);
            format!("{rate:.0} | {ratio:.2}")
        } else {
            format!("waits {:.1} ms | -", waits * 1e3)
        };
        if tell {
            println!("the device waits {:.3} ms", waits * 1e3);
        }
        println!(
            "| {word} | {rate:.0} | {cpu:.2} | {sent} | {least} | {:.2} | {polls} | {pty} |",
            sent as f64 / least as f64
        );
        if tell {
            for Exchange { request, reply } in &cycle {
                println!("    {:40} {}", request.escape_ascii().to_string(), reply.escape_ascii());
            }
        }
    }
}
