//! One simulated instrument alone in steady light, and what a driver is set up with to talk to it.

use std::collections::BTreeMap;

use drivers::exchange::Line;
use drivers::meter::{MeterSetup, Range};
use drivers::motion::{ChannelSetup, ChannelUnit};
use drivers::source::SourceSetup;
use drivers::tracker::TrackSetup;
use drivers::transport::Stream;
use sim::{LineSettings, Link, PortWiring, Role, Wiring, World};
use tokio::io::DuplexStream;
use tokio::task::LocalSet;
use units::Power;
use units::clock::{Clock, virtual_runtime};

/// Light on every channel, W.
pub const LIGHT_W: f64 = 1e-4;

/// Models of a kind, in the order of its list.
///
/// # Panics
/// When there is no device of this kind.
pub fn models(kind: &str) -> Vec<&'static str> {
    let kinds = sim::device_kinds();
    let info = kinds.iter().find(|k| k.kind == kind).expect("a kind of the list");
    let listed = info.options.iter().find(|(name, _)| *name == "model").map_or("", |(_, values)| values);
    let names = listed.split(';').next().unwrap_or_default();
    names.split(", ").map(|word| word.trim_end_matches(" (default)")).collect()
}

/// An instrument in a world of its own, on a port named `device`.
pub struct Alone {
    /// The world.
    pub world: World,
    /// Its wiring.
    pub wiring: Wiring,
    kind: String,
    model: String,
}

impl Alone {
    /// A model of a kind on a link.
    ///
    /// # Panics
    /// When there is no such kind or model.
    pub fn new(kind: &str, model: &str, link: Link, clock: &Clock) -> Alone {
        let axes = matches!((kind, model), ("zaber-ascii", "X-MCC4" | "X-MCB2")).then(|| ("axes".into(), "2".into()));
        let options: BTreeMap<_, _> = [("model".to_string(), model.to_string())].into_iter().chain(axes).collect();
        let instrument = sim::standalone(kind, &options).expect("a kind and model of the list");
        let ports = vec![PortWiring { name: instrument.port.clone(), link }];
        let wiring = Wiring { ports, instruments: vec![instrument] };
        let world = World::alone(&wiring, LIGHT_W, 1, clock.clone());
        Alone { world, wiring, kind: kind.into(), model: model.into() }
    }

    /// A pipe to it.
    ///
    /// # Panics
    /// When the port has gone.
    pub fn pipe(&self, settings: LineSettings) -> DuplexStream {
        self.world.connect(&self.wiring.ports[0].name, settings).expect("the only device of the wiring")
    }

    /// Its channels, where it moves.
    pub fn channels(&self) -> Vec<ChannelSetup> {
        let Role::Motion { axes } = &self.wiring.instruments[0].role else { return Vec::new() };
        axes.iter().map(|(axis, channel)| self.channel(axis, channel)).collect()
    }

    fn channel(&self, axis: &str, name: &str) -> ChannelSetup {
        let piezo = ["E-7", "KPZ", "TPZ", "KNA", "TNA", "BNT"].iter().any(|m| self.model.starts_with(m));
        let (unit, range, velocity) = match (self.model.as_str(), name) {
            ("C-887", "U" | "V" | "W") => (ChannelUnit::Degree, (-1.0, 1.0), 1.0),
            _ if piezo => (ChannelUnit::Micrometre, (0.0, 20.0), 5000.0),
            _ => (ChannelUnit::Millimetre, (0.0, 1000.0), 100.0),
        };
        let channel = match self.model.as_str() {
            _ if self.kind != "thorlabs-apt" || piezo => name.to_string(),
            "KDC101" | "TDC001" => format!("{name}:MTS50-Z8"),
            _ => format!("{name}:20000"),
        };
        ChannelSetup { axis: axis.into(), channel, unit, range, velocity }
    }
}

/// A line over a stream, to an instrument named `device`.
pub fn line(stream: Box<dyn Stream>, clock: &Clock) -> Line {
    Line::new(stream, clock.clone(), "device", "device")
}

/// Runs on a virtual clock of its own.
///
/// # Panics
/// When the operating system refuses a runtime.
pub fn in_virtual_time<F: Future<Output = ()>>(work: impl FnOnce(Clock) -> F) {
    let runtime = virtual_runtime().expect("a runtime");
    LocalSet::new().block_on(&runtime, async { work(Clock::simulated()).await });
}

/// What meters are set up with.
pub fn meter_setup() -> MeterSetup {
    MeterSetup { wavelength_nm: 1310.0, averaging: 1, range: Range::Auto }
}

/// What a laser of a model is set up with: a wavelength of its band.
pub fn source_setup(model: &str) -> SourceSetup {
    let o_band = matches!(model, "N7776C" | "N7778C" | "N7779C" | "TSL-570-O");
    SourceSetup { wavelength_nm: if o_band { 1310.0 } else { 1550.0 }, level: Power::from_dbm(0.0) }
}

/// What controllers that follow the light are set up with.
pub fn track_setup() -> TrackSetup {
    TrackSetup {
        travel_um: 20.0,
        diameter_um: 2.0,
        frequency_hz: 43.75,
        gain: 1.0,
        lag_deg: [9.0, 9.0],
        threshold_a: 1e-7,
    }
}
