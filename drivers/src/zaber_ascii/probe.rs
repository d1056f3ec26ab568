//! Zaber devices answer to address 0, each with its own address.

use std::collections::BTreeMap;

use super::codec::{self, To};
use crate::identity::Identity;
use crate::probe::{Class, Known, Talk, lines};

/// The id of the probe's requests: no driver's.
const ID: u8 = 98;
/// Axes of one device.
const AXES_MAX: i64 = 9;

/// Who answers on a chain: the first device, and the axes of all.
pub(crate) async fn recognise(talk: &mut Talk<'_>) -> Option<Known> {
    let ids = of_all(talk, "get deviceid").await;
    let (first, id) = ids.first_key_value()?;
    let product = codec::product(codec::integer(id)?);
    let mut serials = of_all(talk, "get system.serial").await;
    let mut versions = of_all(talk, "get version").await;
    let counts = of_all(talk, "get system.axiscount").await;
    let identity = Identity {
        maker: "Zaber".into(),
        model: product,
        serial: codec::told_serial(&serials.remove(first).unwrap_or_default()),
        firmware: versions.remove(first).unwrap_or_default(),
    };
    let channels = counts.iter().flat_map(|(device, count)| {
        let count = codec::integer(count).unwrap_or(1).clamp(1, AXES_MAX);
        (1..=count).map(move |axis| format!("{device}.{axis}"))
    });
    Some(Known::new("zaber-ascii", Class::Controller, identity).with_channels(channels.collect()))
}

/// What each device of a chain answers to a request that changes nothing.
async fn of_all(talk: &mut Talk<'_>, words: &str) -> BTreeMap<u8, String> {
    let to = |device| To { device, axis: 0, id: ID, sealed: false };
    let answer = talk.ask(&[b"\n", &codec::request(to(0), words)[..]].concat()).await;
    let read = |line: &[u8]| {
        let at = line.iter().position(|b| *b == b'@')?;
        let device = std::str::from_utf8(line.get(at + 1..at + 3)?).ok()?.parse().ok()?;
        let reply = codec::reply(&line[at..], to(device)).filter(|r| !r.rejected)?;
        Some((device, reply.data))
    };
    lines(&answer).filter_map(read).collect()
}
