//! The wiring of a bench in the simulator's own types, and its ports as pipes into the simulated world.

use async_trait::async_trait;
use drivers::transport::{Address, OpenError, Parity, Stream};
use sim::{InstrumentWiring, LineSettings, Link, MeterChannel, PortWiring, SwitchPort, Wiring, World};
use station::bench::Ports;
use station::config::{BenchConfig, Instrument, Role, Switch, SwitchSide};

/// The tracker of a bench file that names no model.
const TRACKER: &str = "KNA101";

/// What is connected to what, without signs, scales and frames: those are the bench file's opinion, not the world's.
pub fn wiring(config: &BenchConfig) -> Wiring {
    let ports =
        config.ports.iter().map(|(name, address)| PortWiring { name: name.clone(), link: link(address) }).collect();
    let mut instruments = Vec::new();
    for (name, controller) in &config.controllers {
        let axes = config.axes.iter().filter(|a| a.controller == *name);
        let axes = axes.map(|a| (a.axis.to_string(), a.channel.clone())).collect();
        instruments.push(instrument(&controller.instrument, sim::Role::Motion { axes }));
    }
    for (name, meter) in &config.meters {
        let channels = config.channels.iter().filter(|c| c.meter == *name);
        let channels =
            channels.map(|c| MeterChannel { number: c.number, role: role(c.role).to_string(), lane: c.lane });
        let channels = channels.collect();
        instruments.push(instrument(&meter.instrument, sim::Role::Meter { channels }));
    }
    if let Some(switch) = &config.switch {
        instruments.push(instrument(&switch.instrument, behind(switch, config)));
    }
    if let Some(tracker) = &config.tracker {
        let axes = tracker.axes.iter().zip(["1", "2"]).map(|((axis, _), piezo)| (axis.to_string(), piezo.to_string()));
        let wired = instrument(&tracker.instrument, sim::Role::Motion { axes: axes.collect() });
        instruments.push(InstrumentWiring { model: wired.model.or(Some(TRACKER.into())), ..wired });
    }
    instruments.push(instrument(&config.source.instrument, sim::Role::Source));
    Wiring { ports, instruments }
}

/// What a switch leads where.
fn behind(switch: &Switch, config: &BenchConfig) -> sim::Role {
    let channels = config.channels.iter().filter(|c| c.switch_port.is_some());
    let at = match switch.meter_side {
        SwitchSide::Input => SwitchPort::Input(switch.meter_port),
        SwitchSide::Output => SwitchPort::Output(switch.meter_port),
    };
    let (meter, number) = channels.clone().next().map(|c| (c.meter.clone(), c.number)).unwrap_or_default();
    sim::Role::Switch { meter, number, at, lanes: channels.filter_map(|c| Some((c.switch_port?, c.lane))).collect() }
}

fn instrument(i: &Instrument, role: sim::Role) -> InstrumentWiring {
    InstrumentWiring {
        name: i.name.clone(),
        kind: i.driver.clone(),
        port: i.port.clone(),
        model: i.expected.model.clone(),
        role,
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Signal => "signal",
        Role::Tap { .. } => "tap",
    }
}

fn link(address: &Address) -> Link {
    match address {
        Address::Serial { path, .. } => Link::Serial { path: path.into(), settings: line(address) },
        Address::Tcp(address) => Link::Tcp { address: address.clone() },
    }
}

/// Line settings of an address; TCP has none, and gets the speed of a network.
fn line(address: &Address) -> LineSettings {
    match address {
        Address::Serial { settings, .. } => {
            let parity = match settings.parity {
                Parity::None => sim::Parity::None,
                Parity::Even => sim::Parity::Even,
                Parity::Odd => sim::Parity::Odd,
            };
            LineSettings { baud: settings.baud, parity }
        }
        Address::Tcp(_) => LineSettings { baud: sim::NETWORK_BAUD, parity: sim::Parity::None },
    }
}

/// Ports that are pipes into a simulated world in this process.
pub struct WorldPorts {
    /// The world.
    pub world: World,
}

#[async_trait(?Send)]
impl Ports for WorldPorts {
    async fn open(&self, name: &str, address: &Address) -> Result<Box<dyn Stream>, OpenError> {
        let pipe = self.world.connect(name, line(address));
        let pipe = pipe.map_err(|e| OpenError { address: address.to_string(), reason: e.to_string() })?;
        Ok(Box::new(pipe))
    }
}
