//! A simulated instrument that stands alone in steady light, on virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::{LineSettings, Link, Parity, PortWiring, Wiring, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// Where byte times are to be as good as nothing.
const LINE: LineSettings = LineSettings { baud: 921_600, parity: Parity::None };
/// A reply that has not begun by then does not come: homing controllers answer at once, and zeroing ones within seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// After a reply nothing of it can be that late.
const QUIET: Duration = Duration::from_millis(500);

/// Runs on virtual time.
///
/// # Panics
/// Where there is no runtime.
pub fn in_virtual_time<T, F: Future<Output = T>>(test: impl FnOnce(Clock) -> F) -> T {
    LocalSet::new().block_on(&virtual_runtime().expect("a runtime"), async { test(Clock::simulated()).await })
}

/// A pipe to a simulated instrument that was just switched on.
///
/// # Panics
/// Where there is no such instrument.
pub fn pipe(kind: &str, options: &[(String, String)], light_w: f64, clock: &Clock) -> DuplexStream {
    let options: BTreeMap<String, String> = options.iter().cloned().collect();
    let instrument = sim::standalone(kind, &options).unwrap_or_else(|e| panic!("{kind}: {e}"));
    let link = Link::Serial { path: "unused".into(), settings: LINE };
    let ports = vec![PortWiring { name: instrument.port.clone(), link }];
    let port = instrument.port.clone();
    let world = World::alone(&Wiring { ports, instruments: vec![instrument] }, light_w, 1, clock.clone());
    world.connect(&port, LINE).expect("the only instrument of the wiring")
}

/// One that is asked in bytes.
pub struct Stand {
    pipe: DuplexStream,
    clock: Clock,
}

impl Stand {
    /// See [`pipe`].
    pub fn new(kind: &str, options: &[(String, String)], light_w: f64, clock: &Clock) -> Stand {
        Stand { pipe: pipe(kind, options, light_w, clock), clock: clock.clone() }
    }

    /// Sends bytes; what comes of them until nothing does any more, or as soon as `enough`.
    ///
    /// # Panics
    /// Where the instrument has gone.
    pub async fn ask(&mut self, bytes: &[u8], enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        self.pipe.write_all(bytes).await.expect("a simulated instrument stays");
        let mut heard = Vec::new();
        while !enough(&heard) {
            let limit = if heard.is_empty() { PATIENCE } else { QUIET };
            if self.clock.timeout(limit, self.pipe.read_buf(&mut heard)).await.is_err() {
                break;
            }
        }
        heard
    }

    /// What comes by itself in a time.
    pub async fn listen(&mut self, time: Duration) -> Vec<u8> {
        let end = self.clock.now() + time;
        let mut heard = Vec::new();
        while let left = end.saturating_sub(self.clock.now())
            && !left.is_zero()
        {
            if self.clock.timeout(left, self.pipe.read_buf(&mut heard)).await.is_err() {
                break;
            }
        }
        heard
    }
}
