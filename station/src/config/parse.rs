//! From text to a [`BenchConfig`], or every fault at once.

mod light;
mod tracker;

use std::collections::BTreeMap;

use drivers::identity::Expected;
use drivers::motion::ChannelUnit;
use drivers::registry;
use drivers::transport::{Address, FlowControl, Parity, SerialSettings};
use recipes::Axis;
use units::text::{self, Faults, Table};

use super::{AxisConfig, BenchConfig, Controller, Frame, Instrument};

impl BenchConfig {
    /// Reads a bench file.
    ///
    /// # Errors
    /// All faults of the text, each with line, column and hint.
    pub fn parse(text: &str) -> Result<BenchConfig, Faults> {
        text::read(text, bench)
    }
}

const AXIS_HINT: &str = "stage axes are x, y, z (um), rx, ry, rz (degrees), and before a part's other end x2, y2, z2";

fn bench(root: &Table<'_>) -> Option<BenchConfig> {
    let station = root.need_table("station");
    let name = station.as_ref().and_then(|t| t.need_str("name"));
    let fixture = station.as_ref().and_then(|t| t.need_str("fixture"));
    let ports = ports(root);
    let mut owners = Owners { ports: &ports, used: BTreeMap::new() };
    let controllers = controllers(root, &mut owners);
    let meters = light::meters(root, &mut owners);
    let source = root.need_table("source").and_then(|t| light::source(&t, &mut owners));
    let switch = light::switch(root, &mut owners);
    let (axes, named) = axes(root, &controllers);
    let (frame, second) = frames(root, &axes, &named);
    let tracker = tracker::tracker(root, &mut owners, frame.as_ref());
    let (park, park_order) = park(root, &axes, &named);
    let referencing = referencing(root, &named, [frame.as_ref(), second.as_ref()]);
    let channels = light::channels(root, &meters);
    let (reference, reference_max_age_s) = light::reference(root);
    let has_simulation = root.has("simulation");
    root.leave_key("simulation");
    let config = BenchConfig {
        station: name?.to_string(),
        fixture: fixture?.to_string(),
        ports: ports.clone(),
        controllers,
        axes,
        frame: frame?,
        second,
        park,
        park_order,
        referencing,
        meters,
        switch,
        tracker,
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
    for frame in config.frames() {
        let optical = frame.optical_axis;
        let Some((_, at)) = config.park.iter().find(|(axis, _)| *axis == optical) else { continue };
        if config.axis(optical).is_some() && config.is_near(frame, *at, 0.0) {
            let clearance = config.clearance_um(frame);
            root.fault(
                "park",
                format!("{optical} = {at} is nearer to contact than clearance ({clearance} um)"),
                "park the optical axis at clearance or beyond it",
            );
        }
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

fn controllers(root: &Table<'_>, owners: &mut Owners<'_>) -> BTreeMap<String, Controller> {
    let mut controllers = BTreeMap::new();
    for (name, table) in root.named_tables("controllers") {
        let coordinates = table.str("coordinates").map(|text| coordinates(&table, text));
        let pivot_um = table.f64_list("pivot_um");
        let analog_input = table.has("analog_input").then(|| table.i64_within("analog_input", 1, INPUTS_MAX, 1));
        let Some(instrument) = owners.instrument(name, &table, registry::MOTION) else { continue };
        for (key, what) in PLATFORM_KEYS {
            if table.has(key) && instrument.driver != PLATFORM_DRIVER {
                let hint = format!("leave it out: only {PLATFORM_DRIVER} has them");
                table.fault(key, format!("{} has no {what}", instrument.driver), hint);
            }
        }
        let analog_input = analog_input.and_then(|n| u32::try_from(n).ok());
        controllers.insert(name.to_string(), Controller { instrument, coordinates, pivot_um, analog_input });
    }
    if !root.has("controllers") {
        root.fault_here("missing controllers: nothing can move", "add a `[controllers.NAME]` table");
    }
    controllers
}

/// The driver whose controllers have these.
const PLATFORM_DRIVER: &str = "pi-gcs2";
const PLATFORM_KEYS: [(&str, &str); 3] = [
    ("coordinates", "coordinate systems"),
    ("pivot_um", "centre of rotation that can be set"),
    ("analog_input", "analog inputs that its own routines see"),
];

/// No controller has more analog inputs.
const INPUTS_MAX: i64 = 16;

/// One system, or a work and a tool system with a comma between.
fn coordinates(t: &Table<'_>, text: &str) -> Vec<String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_uppercase()).collect();
    let is_name = |name: &String| {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain && name.starts_with(|c: char| c.is_ascii_alphabetic())
    };
    if !names.iter().all(is_name) || names.len() > 2 {
        let message = format!("\"{text}\" names no coordinate system");
        t.fault("coordinates", message, "one name, or a work and a tool system: \"WORK, TOOL\"");
    }
    names
}

/// The axes that can be used, and all that are named: a fault of one axis must not bring forth others.
fn axes(root: &Table<'_>, controllers: &BTreeMap<String, Controller>) -> (Vec<AxisConfig>, Vec<Axis>) {
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
    let needed: &[Axis] = if named.iter().any(|a| a.is_second()) { &[FIRST, SECOND].concat() } else { &FIRST };
    for axis in needed {
        if !named.is_empty() && !named.contains(axis) {
            root.fault("axes", format!("axis {axis} is missing"), format!("add an `[axes.{axis}]` table"));
        }
    }
    axes.sort_by_key(|a| a.axis);
    named.sort();
    (axes, named)
}

fn axis_config(axis: Axis, t: &Table<'_>, controllers: &BTreeMap<String, Controller>) -> Option<AxisConfig> {
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

/// Linear axes before the first end of a part, and before the other one.
const FIRST: [Axis; 3] = [Axis::X, Axis::Y, Axis::Z];
const SECOND: [Axis; 3] = [Axis::X2, Axis::Y2, Axis::Z2];

/// The frame, and that of the stage before the other end of a part, where there is one.
fn frames(root: &Table<'_>, axes: &[AxisConfig], named: &[Axis]) -> (Option<Frame>, Option<Frame>) {
    let Some(t) = root.need_table("frame") else { return (None, None) };
    let second = t.table("second");
    let stands = named.iter().any(|a| a.is_second());
    match &second {
        None if stands => t.fault_here(
            "missing second: the frame of x2, y2 and z2",
            "add a `[frame.second]` table with the keys of `[frame]`: which way leads to contact there",
        ),
        Some(second) if !stands && !named.is_empty() => {
            second.leave();
            second.fault_here("the bench has no axes x2, y2 and z2", "add their tables, or take this one away");
            return (frame(&t, FIRST, axes, named), None);
        }
        _ => {}
    }
    (frame(&t, FIRST, axes, named), second.and_then(|second| frame(&second, SECOND, axes, named)))
}

fn frame(t: &Table<'_>, linear: [Axis; 3], axes: &[AxisConfig], named: &[Axis]) -> Option<Frame> {
    let optical_axis = t.need_choice("optical_axis", &linear.map(|axis| (axis.as_str(), axis)));
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

fn referencing(root: &Table<'_>, named: &[Axis], frames: [Option<&Frame>; 2]) -> Vec<Axis> {
    let Some(t) = root.need_table("referencing") else { return Vec::new() };
    let order = order(&t, "order", named);
    for frame in frames.into_iter().flatten() {
        let optical = frame.optical_axis;
        let first = order.iter().find(|a| a.is_second() == optical.is_second());
        if let Some(first) = first.filter(|first| **first != optical) {
            let begins = if optical.is_second() { "goes on with" } else { "begins with" };
            t.fault("order", format!("{begins} {first}"), format!("reference the optical axis ({optical}) first"));
        }
    }
    order
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
        check("[axes.y]", "[axes.y2]", "axis x2 is missing");
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
        check("model = \"C-884\"", "coordinates = \"A, B, C\"", "\"A, B, C\" names no coordinate system");
        check("model = \"C-884\"", "coordinates = \"1A\"", "names no coordinate system");
        check("driver = \"pi-gcs2\"", "driver = \"newport-esp\"\ncoordinates = \"A\"", "newport-esp has no coordinate");
        check("level_dbm = 3.0", "level_dbm = \"3\"", "expected a finite number, found string");
    }

    #[test]
    fn a_second_stage_needs_all_its_axes_and_a_frame_of_its_own() {
        let chip = include_str!("../../cli/benches/chip.toml");
        let config = BenchConfig::parse(chip).unwrap();
        let second = config.second.as_ref().unwrap();
        assert_eq!((second.optical_axis, config.clearance_um(second)), (Axis::Z2, 1000.0));
        let check = |from: &str, to: &str, expect: &str| {
            assert!(chip.contains(from), "{from}");
            let got: String = BenchConfig::parse(&chip.replacen(from, to, 1))
                .unwrap_err()
                .0
                .iter()
                .map(|f| format!("{f}\n"))
                .collect();
            assert!(got.contains(expect), "{to}: {got}");
        };
        check("[frame.second]", "[simulation.second]", "missing second: the frame of x2, y2 and z2");
        check("optical_axis = \"z2\"", "optical_axis = \"z\"", "\"z\" is not known");
        check("[axes.y2]", "[simulation.y2]", "axis y2 is missing");
        check("z2 = 6000", "z2 = 600", "z2 = 600 is nearer to contact than clearance");
        let order = "order = [\"z\", \"z2\", \"x\", \"y\", \"x2\", \"y2\"]";
        let late =
            format!("[referencing]\n{}", order.replace("\"z2\", \"x\", \"y\", \"x2\"", "\"x\", \"y\", \"x2\", \"z2\""));
        check(&format!("[referencing]\n{order}"), &late, "reference the optical axis (z2) first");
        let alone = format!("{}\n[frame.second]\noptical_axis = \"z2\"\n", good());
        let got = BenchConfig::parse(&alone).unwrap_err().0;
        assert!(got.iter().any(|f| f.message.contains("no axes x2, y2 and z2")) && got.len() == 1, "{got:?}");
    }

    /// The good bench file with its signal in turn with a second lane, behind a switch.
    fn switched() -> String {
        let channel = |name: &str, lane: u32| {
            format!(
                "[channels.{name}]\nmeter = \"signal_meter\"\nrole = \"signal\"\nlane = {lane}\nswitch_port = {lane}\n\n"
            )
        };
        let signal = "[channels.signal]\nmeter = \"signal_meter\"\nrole = \"signal\"\nfloor_dbm = -70\n";
        assert!(good().contains(signal));
        let switch = "[switch]\ndriver = \"dicon-switch\"\nport = \"switch\"\nmeter_side = \"input\"\nsettle_ms = 3\n\n\
                      [ports.switch]\ntcp = \"10.0.0.5:10001\"\n\n";
        good().replacen(signal, &format!("{switch}{}{}", channel("one", 1), channel("two", 2)), 1)
    }

    #[test]
    fn channels_behind_a_switch_share_a_channel_of_a_meter_and_others_do_not() {
        let config = BenchConfig::parse(&switched()).unwrap();
        let switch = config.switch.unwrap();
        assert_eq!((switch.path(2), switch.settle_s), ((1, 2), 0.003));
        let ports: Vec<_> = config.channels.iter().map(|c| c.switch_port).collect();
        assert_eq!(ports, [Some(1), Some(2), None]);
        let check = |from: &str, to: &str, expect: &str| {
            assert!(switched().contains(from), "{from}");
            let text = switched().replacen(from, to, 1);
            let faults = BenchConfig::parse(&text).unwrap_err().0;
            let got: String = faults.iter().map(|f| format!("{f}\n")).collect();
            assert!(got.contains(expect) && faults.iter().all(|f| f.line > 1 && f.hint.is_some()), "{to}: {got}");
        };
        check("switch_port = 2", "switch_port = 1", "another channel is on this port of the switch");
        check("switch_port = 2", "", "another channel is on this channel of the meter");
        check("switch_port = 2", "switch_port = 0", "0 is outside");
        check("lane = 2", "lane = 2\nnumber = 2", "the switch leads to channel 1 of meter \"signal_meter\"");
        check("split = 0.05", "split = 0.05\nswitch_port = 3", "a tap behind a switch");
        check("meter_side = \"input\"", "meter_side = \"left\"", "one of: output, input");
        check("dicon-switch", "dicon", "one of: dicon-switch");
        check("port = \"switch\"", "port = \"tap\"", "two instruments");
        let (head, tail) = (switched().find("[switch]").unwrap(), switched().find("[ports.switch]").unwrap());
        let without = format!("{}{}", &switched()[..head], &switched()[tail..]);
        let got = BenchConfig::parse(&without).unwrap_err().0;
        assert!(got.iter().any(|f| f.message.contains("the bench has no switch")), "{got:?}");
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
