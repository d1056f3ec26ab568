//! APT has no line ends: a unit that was sent something else before is out of step by some bytes. So the question is put
//! six times, each time one zero byte further on; zeros are a message to nobody, and so is the question out of step.

use std::time::Duration;

use super::codec;
use super::stages::{self, Class as Kind};
use crate::probe::{Class, Known, Talk};

/// A unit answers within some 10 ms, and a USB bridge keeps bytes for 16 ms.
const ANSWER: Duration = Duration::from_millis(80);
/// Bays of the largest rack.
const BAYS: u8 = 10;

/// Who answers, as a unit on its own or as a rack.
pub(crate) async fn recognise(talk: &mut Talk<'_>) -> Option<Known> {
    let question = [codec::protocol(false).identity_request, codec::protocol(true).identity_request].concat();
    let mut found = None;
    for step in 0..6 {
        let padding: &[u8] = if step == 0 { &[] } else { &[0] };
        let answer = talk.ask_within(&[padding, &question].concat(), ANSWER).await;
        found = messages(&answer).find_map(codec::identity);
        if found.is_some() {
            break;
        }
    }
    let (identity, stage) = found?;
    let Some((kind, rack)) = stages::class(&identity.model) else {
        talk.not_supported(format!("{} {identity}", identity.maker));
        return None;
    };
    if kind == Kind::NanoTrak {
        return Some(Known::new("thorlabs-apt", Class::Tracker, identity));
    }
    let bays = if rack { bays(talk).await } else { vec![1] };
    let channels = bays.into_iter().map(|bay| match stages::numbered(stage).filter(|_| kind == Kind::Dc) {
        Some(stage) => format!("{bay}:{}", stage.name),
        None if kind == Kind::Piezo => bay.to_string(),
        None => format!("{bay}:STAGE"),
    });
    Some(Known::new("thorlabs-apt", Class::Controller, identity).with_channels(channels.collect()))
}

/// Bays of a rack that are in use.
async fn bays(talk: &mut Talk<'_>) -> Vec<u8> {
    let mut used = Vec::new();
    for bay in 0..BAYS {
        let answer = talk.ask_within(&codec::short(codec::REQ_BAY_USED, bay, 0, codec::RACK), ANSWER).await;
        let is_used = |message: &[u8]| message.len() == 6 && message[..4] == [0x61, 0, bay, 1];
        if messages(&answer).any(is_used) {
            used.push(bay + 1);
        }
    }
    used
}

/// The whole messages of an answer; what is none is skipped.
fn messages(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = answer;
    std::iter::from_fn(move || {
        let end = codec::framing(rest)?;
        let (message, after) = rest.split_at(end);
        rest = after;
        Some(message)
    })
}
