//! Exchanges a second: a bare pipe and a bare pseudo-terminal, and the drivers against the simulated devices on each.
//!
//! `cargo bench -p tests --bench exchanges`; the figures stand in docs/benchmarks.md.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use drivers::exchange::Line;
use drivers::identity::Expected;
use drivers::motion::{ChannelSetup, ChannelUnit};
use drivers::transport::{Address, FlowControl, Parity, SerialSettings, Stream};
use sim::{LineSettings, Link, PortWiring, ServeOptions, Server, Wiring, World};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio_serial::SerialPort as _;
use units::clock::{Clock, real_runtime, virtual_runtime};

/// Exchanges an iteration.
const EXCHANGES: usize = 1000;
/// What the motion driver asks for three positions, and what comes back: the bare lines carry the same.
const REQUEST: &[u8] = b"POS? 1 2 3\n";
const REPLY: &[u8] = b"1=1.500000 \n2=1.500000 \n3=1.500000\n";
const LINE: LineSettings = LineSettings { baud: 921_600, parity: sim::Parity::None };

fn main() {
    divan::main();
}

/// Answers every request with the reply until the other side is gone.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = [0; REQUEST.len()];
    while stream.read_exact(&mut request).await.is_ok() {
        if stream.write_all(REPLY).await.is_err() {
            return;
        }
    }
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut reply = [0; REPLY.len()];
    for _ in 0..EXCHANGES {
        stream.write_all(REQUEST).await.expect("the other side is there");
        stream.read_exact(&mut reply).await.expect("the other side answers");
    }
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn pipe_bare(bencher: Bencher<'_, '_>) {
    let runtime = virtual_runtime().expect("a runtime");
    let local = LocalSet::new();
    let (mut near, far) = tokio::io::duplex(4096);
    local.spawn_local(answer(far));
    bencher.counter(ItemsCount::new(EXCHANGES)).bench_local(|| local.block_on(&runtime, ask(&mut near)));
}

/// One simulated instrument alone in a world, on a port named `device`.
fn alone(kind: &str, link: Link, clock: Clock) -> (World, Wiring) {
    let options = [("axes".to_string(), "3".to_string())].into_iter().filter(|_| kind == "pi-gcs2").collect();
    let instrument = sim::standalone(kind, &options).expect("a device of this kind");
    let ports = vec![PortWiring { name: "device".into(), link }];
    let wiring = Wiring { ports, instruments: vec![instrument] };
    (World::alone(&wiring, 1e-4, 1, clock), wiring)
}

fn channels() -> Vec<ChannelSetup> {
    let channel = |name: &str| ChannelSetup {
        axis: name.to_string(),
        channel: name.to_string(),
        unit: ChannelUnit::Millimetre,
        range: (-1000.0, 1000.0),
        velocity: 1000.0,
    };
    ["1", "2", "3"].map(channel).to_vec()
}

fn line(stream: Box<dyn Stream>, clock: &Clock) -> Line {
    Line::new(stream, clock.clone(), "device", "device")
}

fn in_a_world(kind: &str) -> (Runtime, LocalSet, Clock, Line) {
    let runtime = virtual_runtime().expect("a runtime");
    let local = LocalSet::new();
    let (clock, line) = local.block_on(&runtime, async {
        let clock = Clock::simulated();
        let (world, _) = alone(kind, Link::Tcp { address: String::new() }, clock.clone());
        let pipe =
            world.connect("device", LineSettings { baud: sim::NETWORK_BAUD, ..LINE }).expect("a pipe to the device");
        (clock.clone(), line(Box::new(pipe), &clock))
    });
    (runtime, local, clock, line)
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn pipe_motion_driver_virtual_time(bencher: Bencher<'_, '_>) {
    let (runtime, local, _clock, line) = in_a_world("pi-gcs2");
    let mut stage = drivers::registry::motion("pi-gcs2", line, Expected::default()).expect("a driver");
    local.block_on(&runtime, stage.connect(&channels())).expect("connected");
    bencher.counter(ItemsCount::new(EXCHANGES)).bench_local(|| {
        local.block_on(&runtime, async {
            for _ in 0..EXCHANGES {
                stage.positions(&["1", "2", "3"]).await.expect("positions");
            }
        });
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn pipe_meter_driver_virtual_time(bencher: Bencher<'_, '_>) {
    let (runtime, local, _clock, line) = in_a_world("thorlabs-pm");
    let mut meter = drivers::registry::meter("thorlabs-pm", line, Expected::default()).expect("a driver");
    let setup = drivers::meter::MeterSetup { wavelength_nm: 1310.0, averaging: 1, range: drivers::meter::Range::Auto };
    local.block_on(&runtime, meter.connect(&setup)).expect("connected");
    bencher.counter(ItemsCount::new(EXCHANGES)).bench_local(|| {
        local.block_on(&runtime, async {
            for _ in 0..EXCHANGES {
                meter.read().await.expect("a reading");
            }
        });
    });
}

/// The far side has a thread of its own, as the simulator is another program.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn pty_bare(bencher: Bencher<'_, '_>) {
    let (named, name) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = real_runtime().expect("a runtime");
        runtime.block_on(async {
            let (far, near) = tokio_serial::SerialStream::pair().expect("a pseudo-terminal");
            named.send(near.name().expect("a name")).expect("the bench waits");
            answer(far).await;
            drop(near);
        });
    });
    let runtime = real_runtime().expect("a runtime");
    let address = serial(name.recv().expect("a pseudo-terminal"));
    let mut near = runtime.block_on(drivers::transport::open(&address)).expect("the port opens");
    bencher.counter(ItemsCount::new(EXCHANGES)).bench_local(|| runtime.block_on(ask(&mut near)));
}

fn serial(path: String) -> Address {
    let settings = SerialSettings { baud: LINE.baud, parity: Parity::None, flow: FlowControl::None };
    Address::Serial { path, settings }
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn pty_motion_driver(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("device");
    let link = Link::Serial { path: path.clone(), settings: LINE };
    std::thread::spawn(move || {
        let runtime = real_runtime().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let (world, wiring) = alone("pi-gcs2", link, Clock::real());
            let _server = Server::start(&world, &wiring, &ServeOptions::default()).await.expect("served");
            std::future::pending::<()>().await;
        });
    });
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let runtime = real_runtime().expect("a runtime");
    let address = serial(path.display().to_string());
    let mut stage = runtime.block_on(async {
        let stream = drivers::transport::open(&address).await.expect("the port opens");
        let line = line(stream, &Clock::real());
        let mut stage = drivers::registry::motion("pi-gcs2", line, Expected::default()).expect("a driver");
        stage.connect(&channels()).await.expect("connected");
        stage
    });
    bencher.counter(ItemsCount::new(EXCHANGES)).bench_local(|| {
        runtime.block_on(async {
            for _ in 0..EXCHANGES {
                stage.positions(&["1", "2", "3"]).await.expect("positions");
            }
        });
    });
}
