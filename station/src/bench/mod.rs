//! The bench: the instruments of one station, and the only thing that moves anything, through the envelope.
//!
//! Speaks the optical frame upwards and stage axes downwards. Knows no recipe and no verdict.

pub mod envelope;
mod error;
pub mod frame;
mod light;
mod motion;
mod reading;
mod routine;
mod safe;
mod stream;
mod sweep;
mod tracking;

use std::collections::BTreeMap;

use async_trait::async_trait;
use drivers::exchange::Line;
use drivers::identity::Identity;
use drivers::meter::{MeterSetup, PowerMeter};
use drivers::motion::{ChannelSetup, MotionController, MotionError};
use drivers::registry;
use drivers::source::{LightSource, SourceSetup};
use drivers::switch::OpticalSwitch;
use drivers::tracker::DitherTracker;
use drivers::transport::{self, Address, OpenError, Stream};
use recipes::Axis;
use units::clock::Clock;

pub use error::{BenchError, PortFault};
pub use frame::Pose;
pub use light::ReferenceError;
pub(crate) use motion::move_time;
pub use routine::{Ran, Routine, has_routines};
pub use safe::{Safety, stop_everything};
pub use stream::Bins;

use crate::config::{BenchConfig, Instrument};

/// Serial numbers of simulated instruments begin with this; no maker's do.
const SIMULATED: &str = "SIM";

/// A controller rounds a pivot to this at the most, um.
const PIVOT_ROUNDING_UM: f64 = 0.1;

/// Opens the byte streams of a bench's ports.
#[async_trait(?Send)]
pub trait Ports {
    /// Opens one port by its bench name and address.
    ///
    /// # Errors
    /// What the operating system, or the world behind it, said.
    async fn open(&self, name: &str, address: &Address) -> Result<Box<dyn Stream>, OpenError>;
}

/// Ports of this machine.
pub struct MachinePorts;

#[async_trait(?Send)]
impl Ports for MachinePorts {
    async fn open(&self, _name: &str, address: &Address) -> Result<Box<dyn Stream>, OpenError> {
        transport::open(address).await
    }
}

/// A connected bench.
pub struct Bench {
    config: BenchConfig,
    clock: Clock,
    controllers: BTreeMap<String, Box<dyn MotionController>>,
    meters: BTreeMap<String, Box<dyn PowerMeter>>,
    source: Box<dyn LightSource>,
    switch: Option<Box<dyn OpticalSwitch>>,
    tracker: Option<Box<dyn DitherTracker>>,
    /// The fibre's port that the switch leads to the meter; `None` where in doubt.
    through: Option<u32>,
    /// Stage pose last commanded; `None` after anything that leaves it in doubt.
    commanded: Option<Pose>,
    /// Controller whose soft limits are those of a routine.
    confined: Option<String>,
    can_move: bool,
    /// Velocities last set, um/s or degrees/s; empty where in doubt.
    velocities: BTreeMap<Axis, f64>,
}

impl Bench {
    /// Opens all ports of a bench. Nothing is sent yet.
    ///
    /// # Errors
    /// [`BenchError::Open`] with every port that could not be opened.
    pub async fn open(config: BenchConfig, clock: Clock, ports: &dyn Ports) -> Result<Bench, BenchError> {
        let mut faults = Vec::new();
        let mut lines: BTreeMap<String, Line> = BTreeMap::new();
        let meters = config.meters.values().map(|m| &m.instrument);
        let light = std::iter::once(&config.source.instrument).chain(config.switch.as_ref().map(|s| &s.instrument));
        let controllers = config.controllers.values().map(|c| &c.instrument);
        let tracker = config.tracker.as_ref().map(|t| &t.instrument);
        for instrument in light.chain(controllers).chain(tracker).chain(meters) {
            let address = &config.ports[&instrument.port];
            match ports.open(&instrument.port, address).await {
                Ok(stream) => {
                    let line = Line::new(stream, clock.clone(), &instrument.name, &address.to_string());
                    lines.insert(instrument.name.clone(), line);
                }
                Err(source) => faults.push(PortFault {
                    instrument: instrument.name.clone(),
                    port: instrument.port.clone(),
                    source,
                }),
            }
        }
        if !faults.is_empty() {
            return Err(BenchError::Open(faults));
        }
        let mut line = |i: &Instrument| lines.remove(&i.name).ok_or_else(|| no_driver(i));
        let source = &config.source.instrument;
        let source = registry::source(&source.driver, line(source)?, source.expected.clone())
            .ok_or_else(|| no_driver(source))?;
        let mut controllers = BTreeMap::new();
        for (name, c) in &config.controllers {
            let i = &c.instrument;
            let mut made = registry::motion(&i.driver, line(i)?, i.expected.clone()).ok_or_else(|| no_driver(i))?;
            if let Some(names) = &c.coordinates {
                made.expect_coordinates(names);
            }
            controllers.insert(name.clone(), made);
        }
        let mut meters = BTreeMap::new();
        for (name, m) in &config.meters {
            let i = &m.instrument;
            let made = registry::meter(&i.driver, line(i)?, i.expected.clone()).ok_or_else(|| no_driver(i))?;
            meters.insert(name.clone(), made);
        }
        let mut switch = None;
        if let Some(i) = config.switch.as_ref().map(|s| &s.instrument) {
            let made = registry::switch(&i.driver, line(i)?, i.expected.clone()).ok_or_else(|| no_driver(i))?;
            switch = Some(made);
        }
        let mut tracker = None;
        if let Some(i) = config.tracker.as_ref().map(|t| &t.instrument) {
            let made = registry::tracker(&i.driver, line(i)?, i.expected.clone()).ok_or_else(|| no_driver(i))?;
            tracker = Some(made);
        }
        Ok(Bench {
            config,
            clock,
            controllers,
            meters,
            source,
            switch,
            tracker,
            through: None,
            commanded: None,
            confined: None,
            can_move: false,
            velocities: BTreeMap::new(),
        })
    }

    /// Brings every instrument to a known state, item by item: source off first, then the tracker, which is latched, then
    /// controllers, then meters and the switch. Nothing moves.
    ///
    /// # Errors
    /// The first instrument that is another one, does not answer, or does not take its settings.
    pub async fn connect(&mut self, wavelength_nm: f64) -> Result<(), BenchError> {
        self.connect_source(wavelength_nm).await?;
        self.can_move = false;
        self.commanded = None;
        self.connect_tracker().await?;
        for (name, controller) in &mut self.controllers {
            let setup: Vec<ChannelSetup> =
                self.config.axes.iter().filter(|a| a.controller == *name).map(channel_setup).collect();
            controller.connect(&setup).await?;
            if let Some(pivot_um) = self.config.controllers[name].pivot_um {
                set_pivot(controller.as_mut(), pivot_um).await?;
            }
        }
        // The range of the bench file is in force again.
        self.confined = None;
        self.velocities = self.config.axes.iter().map(|a| (a.axis, a.velocity)).collect();
        self.can_move = true;
        self.connect_meters(wavelength_nm).await
    }

    /// As [`Bench::connect`], without the controllers: for measurements that move nothing.
    ///
    /// # Errors
    /// As [`Bench::connect`].
    pub async fn connect_light(&mut self, wavelength_nm: f64) -> Result<(), BenchError> {
        self.connect_source(wavelength_nm).await?;
        self.connect_meters(wavelength_nm).await
    }

    /// Brings the meters alone to their known state: the source stays as it is.
    ///
    /// # Errors
    /// As [`Bench::connect`].
    pub async fn connect_meters_alone(&mut self, wavelength_nm: f64) -> Result<(), BenchError> {
        self.connect_meters(wavelength_nm).await
    }

    async fn connect_source(&mut self, wavelength_nm: f64) -> Result<(), BenchError> {
        Ok(self.source.connect(&SourceSetup { wavelength_nm, level: self.config.source.level }).await?)
    }

    async fn connect_meters(&mut self, wavelength_nm: f64) -> Result<(), BenchError> {
        for (name, meter) in &mut self.meters {
            let m = &self.config.meters[name];
            meter.connect(&MeterSetup { wavelength_nm, averaging: m.averaging, range: m.range }).await?;
        }
        for channel in &self.config.channels {
            if channel.number > self.meters[&channel.meter].channels() {
                return Err(BenchError::NoChannel { meter: channel.meter.clone(), number: channel.number });
            }
        }
        self.connect_switch().await
    }

    /// Whether the controllers are known to be the right ones and set up, so that they may be moved.
    pub fn can_move(&self) -> bool {
        self.can_move
    }

    /// Whether any instrument says of itself that it is simulated.
    pub fn is_simulated(&self) -> bool {
        let simulated = |i: &Identity| i.serial.to_ascii_uppercase().starts_with(SIMULATED);
        simulated(self.source.identity())
            || self.controllers.values().any(|c| simulated(c.identity()))
            || self.meters.values().any(|m| simulated(m.identity()))
            || self.switch.as_ref().is_some_and(|s| simulated(s.identity()))
            || self.tracker.as_ref().is_some_and(|t| simulated(t.identity()))
    }

    /// The bench file.
    pub fn config(&self) -> &BenchConfig {
        &self.config
    }

    /// The clock all its times come from.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Each instrument's name, identity and transcript of the last exchanges.
    pub fn instruments(&self) -> Vec<(String, String, String)> {
        let mut all = vec![(self.source.name(), self.source.identity(), self.source.tap())];
        all.extend(self.controllers.values().map(|c| (c.name(), c.identity(), c.tap())));
        all.extend(self.tracker.iter().map(|t| (t.name(), t.identity(), t.tap())));
        all.extend(self.meters.values().map(|m| (m.name(), m.identity(), m.tap())));
        all.extend(self.switch.iter().map(|s| (s.name(), s.identity(), s.tap())));
        all.into_iter()
            .map(|(name, identity, tap)| (name.to_string(), identity.to_string(), tap.transcript()))
            .collect()
    }
}

fn no_driver(i: &Instrument) -> BenchError {
    BenchError::NoDriver { instrument: i.name.clone(), driver: i.driver.clone() }
}

/// Has a platform turn about the bench file's point; one that does so already is left alone.
async fn set_pivot(controller: &mut dyn MotionController, pivot_um: [f64; 3]) -> Result<(), BenchError> {
    let instrument = controller.name().to_string();
    let Some(pivot) = controller.pivot() else { return Err(BenchError::NoPivot { instrument }) };
    let same = |a: &[f64; 3]| a.iter().zip(pivot_um).all(|(a, b)| (a - b).abs() < PIVOT_ROUNDING_UM);
    if same(&pivot.pivot_um().await?) {
        return Ok(());
    }
    pivot.set_pivot_um(pivot_um).await.map_err(|source| match source {
        MotionError::Line(e) => MotionError::Line(e).into(),
        source => BenchError::PivotRefused { instrument, source },
    })
}

fn channel_setup(axis: &crate::config::AxisConfig) -> ChannelSetup {
    ChannelSetup {
        axis: axis.axis.to_string(),
        channel: axis.channel.clone(),
        unit: axis.unit,
        range: axis.controller_range(),
        velocity: axis.velocity * axis.scale,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::config::BenchConfig;

    /// The built-in receptacle bench.
    pub(crate) fn config() -> BenchConfig {
        BenchConfig::parse(include_str!("../../cli/benches/receptacle.toml")).unwrap()
    }

    #[test]
    fn logical_and_controller_positions_turn_into_one_another() {
        let config = config();
        for axis in &config.axes {
            for at in [-100.0, 0.0, 37.5] {
                assert!((axis.to_logical(axis.to_controller(at)) - at).abs() < 1e-9);
            }
            assert!(axis.controller_range().0 < axis.controller_range().1);
        }
        let frame = &config.frame;
        assert_eq!(config.clearance_um(frame), 1000.0);
        assert!(config.is_near(frame, 999.0, 0.0) && !config.is_near(frame, 1000.0, 0.0));
    }
}
