//! The tables of the light: meters, switch, source, channels, reference measurement.

use std::collections::BTreeMap;

use drivers::meter::Range;
use drivers::registry;
use units::Power;
use units::text::Table;

use super::Owners;
use crate::config::{Channel, Meter, Reference, Role, Source, Switch, SwitchSide};

pub(super) fn meters(root: &Table<'_>, owners: &mut Owners<'_>) -> BTreeMap<String, Meter> {
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

pub(super) fn source(t: &Table<'_>, owners: &mut Owners<'_>) -> Option<Source> {
    let name = t.str("name").unwrap_or("source").to_string();
    let instrument = owners.instrument(&name, t, registry::SOURCES);
    let level = t.need_f64_within("level_dbm", -60.0, 30.0);
    let path_loss_db = t.f64_within("path_loss_db", 0.0, 60.0, 0.0);
    Some(Source { instrument: instrument?, level: Power::from_dbm(level?), path_loss_db })
}

/// Settling of light and detector behind a mirror that has come to rest.
const SWITCH_SETTLE_MS: f64 = 5.0;

pub(super) fn switch(root: &Table<'_>, owners: &mut Owners<'_>) -> Option<Switch> {
    let t = root.table("switch")?;
    let name = t.str("name").unwrap_or("switch").to_string();
    let instrument = owners.instrument(&name, &t, registry::SWITCHES);
    let sides = [("output", SwitchSide::Output), ("input", SwitchSide::Input)];
    let meter_side = t.choice("meter_side", &sides).unwrap_or(SwitchSide::Output);
    let meter_port = u32::try_from(t.i64_within("meter_port", 1, PORTS_MAX, 1)).ok()?;
    let settle_s = t.f64_within("settle_ms", 0.0, 10_000.0, SWITCH_SETTLE_MS) / 1000.0;
    Some(Switch { instrument: instrument?, meter_side, meter_port, settle_s })
}

/// Ports on a side of the largest switch.
const PORTS_MAX: i64 = 256;

/// The light behind a switch: a switch there is, one channel of a meter, a port for each fibre; never the tap.
fn check_switched(root: &Table<'_>, t: &Table<'_>, channel: &Channel, others: &[Channel]) {
    let Some(port) = channel.switch_port else { return };
    if !root.has("switch") {
        t.fault("switch_port", "the bench has no switch", "add a `[switch]` table with `driver` and `port`");
    }
    if matches!(channel.role, Role::Tap { .. }) {
        t.fault(
            "switch_port",
            "a tap behind a switch",
            "the tap shows the source beside the signal: give it a meter of its own",
        );
    }
    let mut switched = others.iter().filter(|c| c.switch_port.is_some());
    if switched.clone().any(|c| c.switch_port == Some(port)) {
        t.fault("switch_port", "another channel is on this port of the switch", "one fibre a port");
    }
    if let Some(first) = switched.next()
        && (first.meter != channel.meter || first.number != channel.number)
    {
        let message = format!("the switch leads to channel {} of meter \"{}\"", first.number, first.meter);
        t.fault_here(message, "all channels behind the switch have the same `meter` and `number`");
    }
}

pub(super) fn channels(root: &Table<'_>, meters: &BTreeMap<String, Meter>) -> Vec<Channel> {
    let mut channels: Vec<Channel> = Vec::new();
    for (name, table) in root.named_tables("channels") {
        let Some(channel) = channel(name, &table, meters) else { continue };
        check_switched(root, &table, &channel, &channels);
        let same = |c: &Channel| std::mem::discriminant(&c.role) == std::mem::discriminant(&channel.role);
        if channels.iter().any(|c| same(c) && c.lane == channel.lane) {
            table.fault("role", "another channel has this role already", "one tap, and one signal a `lane`");
        }
        let in_turn = |c: &Channel| c.switch_port.is_some() && channel.switch_port.is_some();
        if channels.iter().any(|c| c.meter == channel.meter && c.number == channel.number && !in_turn(c)) {
            table.fault_here(
                "another channel is on this channel of the meter",
                "give `number`, another `meter`, or `switch_port` to all channels behind a switch",
            );
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
    let switch_port =
        if t.has("switch_port") { u32::try_from(t.i64_within("switch_port", 1, PORTS_MAX, 1)).ok() } else { None };
    Some(Channel {
        lane: u32::try_from(t.i64_within("lane", 1, 64, 1)).ok()?,
        name: name.to_string(),
        meter: meter?.to_string(),
        number: u32::try_from(t.i64_within("number", 1, 64, 1)).ok()?,
        switch_port,
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

pub(super) fn reference(root: &Table<'_>) -> (Option<Reference>, f64) {
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
