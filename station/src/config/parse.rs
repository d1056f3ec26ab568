//! From text to a [`BenchConfig`], or every fault at once.

use std::collections::BTreeMap;

use drivers::identity::Expected;
use drivers::meter::Range;
use drivers::motion::ChannelUnit;
use drivers::registry;
use drivers::transport::{Address, FlowControl, Parity, SerialSettings};
use recipes::Axis;
use units::Power;
use units::text::{self, Faults, Table};

use super::{AxisConfig, BenchConfig, Channel, Frame, Instrument, Meter, Reference, Role, Source};

impl BenchConfig {
    /// Reads a bench file.
    ///
    /// # Errors
    /// All faults of the text, each with line, column and hint.
    pub fn parse(text: &str) -> Result<BenchConfig, Faults> {
        text::read(text, bench)
    }
}

const AXIS_HINT: &str = "stage axes are x, y, z (um) and rx, ry, rz (degrees)";

fn bench(root: &Table<'_>) -> Option<BenchConfig> {
    let station = root.need_table("station");
    let name = station.as_ref().and_then(|t| t.need_str("name"));
    let fixture = station.as_ref().and_then(|t| t.need_str("fixture"));
    let ports = ports(root);
    let mut owners = Owners { ports: &ports, used: BTreeMap::new() };
    let controllers = controllers(root, &mut owners);
    let meters = meters(root, &mut owners);
    let source = root.need_table("source").and_then(|t| source(&t, &mut owners));
    let (axes, named) = axes(root, &controllers);
    let frame = root.need_table("frame").and_then(|t| frame(&t, &axes, &named));
    let (park, park_order) = park(root, &axes, &named);
    let referencing = referencing(root, &named, frame.as_ref());
    let channels = channels(root, &meters);
    let (reference, reference_max_age_s) = reference(root);
    let has_simulation = root.has("simulation");
    root.leave_key("simulation");
    let config = BenchConfig {
        station: name?.to_string(),
        fixture: fixture?.to_string(),
        ports: ports.clone(),
        controllers,
        axes,
        frame: frame?,
        park,
        park_order,
        referencing,
        meters,
        channels,
        source: source?,
        reference,
        reference_max_age_s,
        has_simulation,
    };
    check_park_is_clear(root, &config);
    Some(config)
}

fn check_park_is_clear(root: &Table<'_>, config: &BenchConfig) {
    let optical = config.frame.optical_axis;
    let Some((_, at)) = config.park.iter().find(|(axis, _)| *axis == optical) else { return };
    if config.axis(optical).is_some() && config.is_near(*at, 0.0) {
        let clearance = config.clearance_um();
        root.fault(
            "park",
            format!("{optical} = {at} is nearer to contact than clearance ({clearance} um)"),
            "park the optical axis at clearance or beyond it",
        );
    }
}

fn ports(root: &Table<'_>) -> BTreeMap<String, Address> {
    let mut ports = BTreeMap::new();
    let named = root.named_tables("ports");
    if named.is_empty() && !root.has("ports") {
        root.fault_here(
            "missing ports: no instrument can be reached",
            "add a `[ports.NAME]` table with `serial` or `tcp`",
        );
    }
    for (name, table) in named {
        let Some(address) = port(&table) else { continue };
        let place = |a: &Address| match a {
            Address::Serial { path, .. } => path.clone(),
            Address::Tcp(host) => host.clone(),
        };
        let twin =
            ports.iter().find(|(_, other)| place(other) == place(&address)).map(|(n, _): (&String, _)| n.clone());
        if let Some(twin) = twin {
            table.fault_here(
                format!("the same place as port \"{twin}\""),
                "name each port once and let instruments share it if it is a bus",
            );
        }
        ports.insert(name.to_string(), address);
    }
    ports
}

fn port(t: &Table<'_>) -> Option<Address> {
    match (t.has("serial"), t.has("tcp")) {
        (true, false) => {
            let path = t.need_str("serial");
            let baud = t.i64_within("baud", 300, 4_000_000, 115_200);
            let parity = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
            let flow =
                [("none", FlowControl::None), ("hardware", FlowControl::Hardware), ("software", FlowControl::Software)];
            let settings = SerialSettings {
                baud: u32::try_from(baud).ok()?,
                parity: t.choice("parity", &parity).unwrap_or_default(),
                flow: t.choice("flow", &flow).unwrap_or_default(),
            };
            Some(Address::Serial { path: path?.to_string(), settings })
        }
        (false, true) => {
            let host = t.need_str("tcp")?;
            let number =
                host.rsplit_once(':').and_then(|(h, p)| (!h.is_empty()).then(|| p.parse::<u16>().ok()).flatten());
            if number.is_none() {
                t.fault("tcp", format!("\"{host}\" is no host:port"), "write it like \"192.168.0.10:50000\"");
                return None;
            }
            Some(Address::Tcp(host.to_string()))
        }
        (both, _) => {
            t.leave();
            let message = if both { "has both `serial` and `tcp`" } else { "has neither `serial` nor `tcp`" };
            t.fault_here(message, "give `serial = \"/dev/serial/by-id/...\"` or `tcp = \"host:port\"`");
            None
        }
    }
}

/// Which instrument is on which port, so that two on a port that is no bus are noticed.
struct Owners<'p> {
    ports: &'p BTreeMap<String, Address>,
    used: BTreeMap<String, String>,
}

impl Owners<'_> {
    fn instrument(&mut self, name: &str, t: &Table<'_>, known: &[&str]) -> Option<Instrument> {
        let choices: Vec<(&str, &str)> = known.iter().map(|k| (*k, *k)).collect();
        let driver = t.need_choice("driver", &choices);
        let port = t.need_str("port");
        let expected =
            Expected { model: t.str("model").map(str::to_string), serial: t.str("serial_number").map(str::to_string) };
        let (driver, port) = (driver?, port?);
        if !self.ports.contains_key(port) {
            let names: Vec<&str> = self.ports.keys().map(String::as_str).collect();
            t.fault("port", format!("there is no port \"{port}\""), format!("ports are: {}", names.join(", ")));
        } else if let Some(other) = self.used.insert(port.to_string(), name.to_string()) {
            t.fault(
                "port",
                format!("two instruments, \"{other}\" and \"{name}\", on port \"{port}\", and {driver} is no bus"),
                "give each a port of its own",
            );
        }
        Some(Instrument { name: name.to_string(), driver: driver.to_string(), port: port.to_string(), expected })
    }
}

fn controllers(root: &Table<'_>, owners: &mut Owners<'_>) -> BTreeMap<String, Instrument> {
    let mut controllers = BTreeMap::new();
    for (name, table) in root.named_tables("controllers") {
        if let Some(instrument) = owners.instrument(name, &table, registry::MOTION) {
            controllers.insert(name.to_string(), instrument);
        }
    }
    if !root.has("controllers") {
        root.fault_here("missing controllers: nothing can move", "add a `[controllers.NAME]` table");
    }
    controllers
}

fn meters(root: &Table<'_>, owners: &mut Owners<'_>) -> BTreeMap<String, Meter> {
    let mut meters = BTreeMap::new();
    for (name, table) in root.named_tables("meters") {
        let instrument = owners.instrument(name, &table, registry::METERS);
        let averaging = u32::try_from(table.i64_within("averaging", 1, 10_000, 1)).unwrap_or(1);
        let range = table.f64("range_dbm").map_or(Range::Auto, |dbm| Range::Upper(Power::from_dbm(dbm)));
        let lag_s = table.f64_within("lag_ms", 0.0, 5000.0, 0.0) / 1000.0;
        if let Some(instrument) = instrument {
            meters.insert(name.to_string(), Meter { instrument, averaging, range, lag_s });
        }
    }
    meters
}

fn source(t: &Table<'_>, owners: &mut Owners<'_>) -> Option<Source> {
    let name = t.str("name").unwrap_or("source").to_string();
    let instrument = owners.instrument(&name, t, registry::SOURCES);
    let level = t.need_f64_within("level_dbm", -60.0, 30.0);
    let path_loss_db = t.f64_within("path_loss_db", 0.0, 60.0, 0.0);
    Some(Source { instrument: instrument?, level: Power::from_dbm(level?), path_loss_db })
}

/// The axes that can be used, and all that are named: a fault of one axis must not bring forth others.
fn axes(root: &Table<'_>, controllers: &BTreeMap<String, Instrument>) -> (Vec<AxisConfig>, Vec<Axis>) {
    let mut axes: Vec<AxisConfig> = Vec::new();
    let mut named = Vec::new();
    for (name, table) in root.named_tables("axes") {
        let Some(axis) = Axis::named(name) else {
            table.leave();
            table.fault_here(format!("there is no axis \"{name}\""), AXIS_HINT);
            continue;
        };
        named.push(axis);
        let Some(config) = axis_config(axis, &table, controllers) else { continue };
        if let Some(twin) = axes.iter().find(|a| a.controller == config.controller && a.channel == config.channel) {
            table.fault(
                "channel",
                format!("the same channel as axis {}", twin.axis),
                "every axis has a channel of its own",
            );
        }
        axes.push(config);
    }
    if named.is_empty() {
        root.fault_here("missing axes: x, y and z", "add `[axes.x]`, `[axes.y]` and `[axes.z]` tables");
    }
    for axis in [Axis::X, Axis::Y, Axis::Z] {
        if !named.is_empty() && !named.contains(&axis) {
            root.fault("axes", format!("axis {axis} is missing"), format!("add an `[axes.{axis}]` table"));
        }
    }
    axes.sort_by_key(|a| a.axis);
    named.sort();
    (axes, named)
}

fn axis_config(axis: Axis, t: &Table<'_>, controllers: &BTreeMap<String, Instrument>) -> Option<AxisConfig> {
    let unit = axis.unit();
    let key = |stem: &str| format!("{stem}_{unit}");
    let controller = t.need_str("controller");
    if let Some(name) = controller
        && !controllers.contains_key(name)
    {
        let names: Vec<&str> = controllers.keys().map(String::as_str).collect();
        t.fault(
            "controller",
            format!("there is no controller \"{name}\""),
            format!("controllers are: {}", names.join(", ")),
        );
    }
    let channel = t.need_str("channel");
    let units: &[(&str, ChannelUnit)] = if axis.is_angle() {
        &[("deg", ChannelUnit::Degree)]
    } else {
        &[("mm", ChannelUnit::Millimetre), ("um", ChannelUnit::Micrometre)]
    };
    let channel_unit = t.need_choice("unit", units);
    let sign = t.f64("sign").unwrap_or(1.0);
    if sign.abs() != 1.0 {
        t.fault("sign", format!("{sign} is no sign"), "give 1 or -1");
    }
    let scale = t.f64_within("scale", 1e-3, 1e3, 1.0);
    let zero = t.f64_within(&key("zero"), -1e7, 1e7, 0.0);
    let range = t.need_f64_list::<2>(&key("range"));
    if let Some([lower, upper]) = range
        && lower >= upper
    {
        t.fault(&key("range"), format!("reversed: {lower} is not below {upper}"), "give the lower end first");
    }
    let velocity = t.need_f64_within(&format!("velocity_{unit}_s"), 1e-3, 1e6);
    let acceleration = t.f64_within(&format!("acceleration_{unit}_s2"), 1e-2, 1e9, 50_000.0);
    let settle_s = t.f64_within("settle_ms", 0.0, 10_000.0, 10.0) / 1000.0;
    let play = t.f64_within(&key("play"), 0.0, 100.0, 0.0);
    let repeatability = t.f64_within(&key("repeatability"), 0.0, 100.0, 0.0);
    let [lower, upper] = range?;
    Some(AxisConfig {
        axis,
        controller: controller?.to_string(),
        channel: channel?.to_string(),
        unit: channel_unit?,
        sign,
        scale,
        zero,
        range: (lower, upper),
        velocity: velocity?,
        acceleration,
        settle_s,
        play,
        repeatability,
    })
}

fn frame(t: &Table<'_>, axes: &[AxisConfig], named: &[Axis]) -> Option<Frame> {
    let linear = [("x", Axis::X), ("y", Axis::Y), ("z", Axis::Z)];
    let optical_axis = t.need_choice("optical_axis", &linear);
    if let Some(axis) = optical_axis
        && !named.contains(&axis)
    {
        t.fault("optical_axis", format!("the bench has no axis {axis}"), "name the stage axis along the light");
        return None;
    }
    let senses = [("+", 1.0), ("-", -1.0)];
    let contact = t.need_choice("contact", &senses);
    let retreat = t.need_table("retreat");
    let direction = retreat.as_ref().and_then(|r| r.need_choice("direction", &senses));
    let distance = retreat.as_ref().and_then(|r| r.need_f64_within("distance_um", 1.0, 1e6));
    if let (Some(c), Some(d), Some(r)) = (contact, direction, &retreat)
        && c == d
    {
        r.fault("direction", "retreats towards contact", "the retreat goes against `contact`");
    }
    if let (Some(d), Some(axis), Some(r)) = (distance, optical_axis, &retreat) {
        let range = axes.iter().find(|a| a.axis == axis).map(|a| a.range);
        if range.is_some_and(|(lower, upper)| d > upper - lower) {
            r.fault("distance_um", format!("{d} um is more than the range of axis {axis}"), "retreat within the range");
        }
    }
    Some(Frame {
        optical_axis: optical_axis?,
        rotation_deg: t.f64_within("rotation_deg", -180.0, 180.0, 0.0),
        contact: contact?,
        retreat_um: distance?,
        near_lateral_um: t.f64_within("near_lateral_um", 1.0, 1e6, 1000.0),
        near_velocity_um_s: t.f64_within("near_velocity_um_s", 1.0, 1e6, 2000.0),
    })
}

/// A list of stage axes that must name each axis of the bench once.
fn order(t: &Table<'_>, key: &str, named: &[Axis]) -> Vec<Axis> {
    let Some(names) = t.str_list(key) else {
        if !t.has(key) {
            t.fault_here(
                format!("missing {key}: the order of the axes"),
                format!("add `{key} = [\"z\", \"x\", \"y\"]`"),
            );
        }
        return Vec::new();
    };
    let found: Vec<Axis> = names.iter().filter_map(|n| Axis::named(n)).collect();
    let mut sorted = found.clone();
    sorted.sort();
    if found.len() != names.len() || sorted != named {
        let there: Vec<&str> = named.iter().map(|a| a.as_str()).collect();
        t.fault(key, "must name each axis of the bench once", format!("axes are: {}", there.join(", ")));
    }
    found
}

fn park(root: &Table<'_>, axes: &[AxisConfig], named: &[Axis]) -> (Vec<(Axis, f64)>, Vec<Axis>) {
    let Some(t) = root.need_table("park") else { return (Vec::new(), Vec::new()) };
    let order = order(&t, "order", named);
    let mut pose = Vec::new();
    for axis in named {
        let Some(at) = t.need_f64(axis.as_str()) else { continue };
        let range = axes.iter().find(|a| a.axis == *axis).map(|a| a.range);
        if let Some((lower, upper)) = range
            && !(lower..=upper).contains(&at)
        {
            let message = format!("{at} is outside the axis' range {lower} to {upper}");
            t.fault(axis.as_str(), message, "park within the range");
        }
        pose.push((*axis, at));
    }
    (pose, order)
}

fn referencing(root: &Table<'_>, named: &[Axis], frame: Option<&Frame>) -> Vec<Axis> {
    let Some(t) = root.need_table("referencing") else { return Vec::new() };
    let order = order(&t, "order", named);
    if let (Some(first), Some(frame)) = (order.first(), frame)
        && *first != frame.optical_axis
    {
        t.fault(
            "order",
            format!("begins with {first}"),
            format!("reference the optical axis ({}) first", frame.optical_axis),
        );
    }
    order
}

fn channels(root: &Table<'_>, meters: &BTreeMap<String, Meter>) -> Vec<Channel> {
    let mut channels: Vec<Channel> = Vec::new();
    for (name, table) in root.named_tables("channels") {
        let Some(channel) = channel(name, &table, meters) else { continue };
        let same = |c: &Channel| std::mem::discriminant(&c.role) == std::mem::discriminant(&channel.role);
        if channels.iter().any(|c| same(c) && c.lane == channel.lane) {
            table.fault("role", "another channel has this role already", "one tap, and one signal a `lane`");
        }
        if channels.iter().any(|c| c.meter == channel.meter && c.number == channel.number) {
            table.fault_here("another channel is on this channel of the meter", "give `number` or another `meter`");
        }
        channels.push(channel);
    }
    if !channels.iter().any(|c| c.role == Role::Signal) {
        root.fault(
            "channels",
            "no channel has the role \"signal\"",
            "add a `[channels.signal]` table with role = \"signal\"",
        );
    }
    channels
}

fn channel(name: &str, t: &Table<'_>, meters: &BTreeMap<String, Meter>) -> Option<Channel> {
    let meter = t.need_str("meter");
    if let Some(meter) = meter
        && !meters.contains_key(meter)
    {
        let names: Vec<&str> = meters.keys().map(String::as_str).collect();
        t.fault("meter", format!("there is no meter \"{meter}\""), format!("meters are: {}", names.join(", ")));
    }
    let role = match t.need_choice("role", &[("signal", false), ("tap", true)])? {
        false => Role::Signal,
        true => {
            let split = t.need_f64_within("split", 1e-6, 0.999)?;
            Role::Tap { ratio: split / (1.0 - split) }
        }
    };
    Some(Channel {
        lane: u32::try_from(t.i64_within("lane", 1, 64, 1)).ok()?,
        name: name.to_string(),
        meter: meter?.to_string(),
        number: u32::try_from(t.i64_within("number", 1, 64, 1)).ok()?,
        role,
        floor: Power::from_dbm(t.f64_within("floor_dbm", -120.0, 0.0, -70.0)),
        uncertainty_db: t.f64_within("uncertainty_db", 0.0, 10.0, CHANNEL_UNCERTAINTY_DB),
        dark_max: Power::from_dbm(t.f64_within("dark_max_dbm", -120.0, 0.0, -55.0)),
    })
}

/// Absolute accuracy of InGaAs photodiode sensors with a fibre adapter, +-3 to 5 % by their makers' data sheets.
const CHANNEL_UNCERTAINTY_DB: f64 = 0.2;

/// Repeatability of mating a single-mode connector, twice 0.05 dB.
const REFERENCE_UNCERTAINTY_DB: f64 = 0.1;

fn reference(root: &Table<'_>) -> (Option<Reference>, f64) {
    /// A shift, where the bench file says nothing else.
    const MAX_AGE_H: f64 = 12.0;
    let Some(t) = root.table("reference") else { return (None, MAX_AGE_H * 3600.0) };
    let max_age = t.f64_within("max_age_h", 0.01, 10_000.0, MAX_AGE_H) * 3600.0;
    let uncertainty_db = t.f64_within("uncertainty_db", 0.0, 10.0, REFERENCE_UNCERTAINTY_DB);
    let power = t.f64("power_dbm");
    let at = t.str("measured_at").and_then(|text| {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            t.fault(
                "measured_at",
                format!("\"{text}\" is no UTC time"),
                "written by `firstlight bench reference FILE`",
            );
        }
        parsed
    });
    match (power, at) {
        (Some(dbm), Some(measured_at)) => {
            (Some(Reference { power: Power::from_dbm(dbm), measured_at, uncertainty_db }), max_age)
        }
        (None, None) => (None, max_age),
        _ => {
            if t.has("power_dbm") != t.has("measured_at") {
                t.fault_here("needs both `power_dbm` and `measured_at`", "run `firstlight bench reference FILE`");
            }
            (None, max_age)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> &'static str {
        include_str!("../../cli/benches/receptacle.toml")
    }

    /// Replaces one piece of the good bench file and expects a fault that says `expect`.
    fn check(from: &str, to: &str, expect: &str) {
        assert!(good().contains(from), "the bench file no longer has {from}");
        let text = good().replacen(from, to, 1);
        let got: String = BenchConfig::parse(&text).unwrap_err().0.iter().map(|f| format!("{f}\n")).collect();
        assert!(got.contains(expect), "{to}: {got}");
    }

    #[test]
    fn each_kind_of_fault_is_named_with_what_to_do() {
        check("range_um = [-4000, 4000]", "range_um = [4000, -4000]", "reversed: 4000 is not below -4000");
        check("sign = -1 ", "sign = 2 ", "2 is no sign");
        check(
            "port = \"tap\"",
            "port = \"signal\"",
            "two instruments, \"signal_meter\" and \"tap_meter\", on port \"signal\"",
        );
        check("port = \"motion\"", "port = \"motor\"", "there is no port \"motor\"");
        check("driver = \"pi-gcs2\"", "driver = \"pi\"", "one of: pi-gcs2");
        check("[axes.y]", "[axes.q]", "there is no axis \"q\"");
        check("channel = \"2\"", "channel = \"1\"", "the same channel as axis x");
        check("direction = \"+\"", "direction = \"-\"", "retreats towards contact");
        check("z = 6000", "z = 500", "nearer to contact than clearance");
        check("z = 6000", "z = 60000", "outside the axis' range");
        check("order = [\"z\", \"x\", \"y\"]", "order = [\"z\", \"x\"]", "must name each axis of the bench once");
        check(
            "[referencing]\norder = [\"z\",",
            "[referencing]\norder = [\"y\", \"z\", \"x\"]\nx = [",
            "reference the optical axis (z) first",
        );
        check("role = \"signal\"", "role = \"tap\"\nsplit = 0.1", "no channel has the role \"signal\"");
        check("split = 0.05", "split = 5", "5 is outside");
        check("serial = \"/tmp/firstlight/tap\"", "serial = \"/tmp/firstlight/signal\"", "the same place as port");
        check("serial = \"/tmp/firstlight/tap\"", "tcp = \"localhost\"", "is no host:port");
        check("baud = 115200", "baud = 115200\ntcp = \"a:1\"", "has both `serial` and `tcp`");
        check("velocity_um_s = 5000", "velocity = 5000", "did you mean `velocity_um_s`?");
        check("max_age_h = 12", "power_dbm = 1.0", "needs both `power_dbm` and `measured_at`");
        check("max_age_h = 12", "power_dbm = 1.0\nmeasured_at = \"yesterday\"", "is no UTC time");
        check("level_dbm = 3.0", "level_dbm = \"3\"", "expected a finite number, found string");
    }

    #[test]
    fn an_empty_bench_file_tells_what_it_lacks() {
        let got: String = BenchConfig::parse("").unwrap_err().0.iter().map(|f| format!("{f}\n")).collect();
        for expect in [
            "missing station",
            "missing ports",
            "missing controllers",
            "missing axes",
            "missing frame",
            "missing source",
        ] {
            assert!(got.contains(expect), "{expect}: {got}");
        }
    }

    #[test]
    fn the_simulation_section_is_left_to_the_simulator() {
        let text = format!("{}\n[simulation.anything]\nat = \"all\"\n", good());
        assert!(BenchConfig::parse(&text).unwrap().has_simulation);
    }

    #[test]
    fn a_reference_measurement_is_read_with_its_date() {
        let text =
            good().replace("max_age_h = 12", "max_age_h = 8\npower_dbm = 1.25\nmeasured_at = \"2026-01-31T08:00:00Z\"");
        let config = BenchConfig::parse(&text).unwrap();
        let reference = config.reference.unwrap();
        assert!((reference.power.dbm().unwrap() - 1.25).abs() < 1e-12);
        assert_eq!(reference.measured_at.to_string(), "2026-01-31T08:00:00Z");
        assert_eq!(config.reference_max_age_s, 8.0 * 3600.0);
    }
}
