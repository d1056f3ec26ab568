//! The Ethernet port of a Thorlabs meter is asked in segments; on other lines these meters answer `*IDN?` like any.

use super::codec;
use super::segments::{self, Decoder};
use crate::identity::Identity;
use crate::probe::{Class, Known, Talk, lines};

/// Who answers in segments.
pub(crate) async fn recognise(talk: &mut Talk<'_>) -> Option<Known> {
    let answer = talk.ask(&segments::encode(b"*IDN?\n")).await;
    let mut decoder = Decoder::default();
    let text: Vec<u8> = answer.iter().filter_map(|byte| decoder.push(*byte)).collect();
    let identity = lines(&text).find_map(Identity::parse)?;
    if codec::quirks(&identity).is_none() {
        talk.not_supported(format!("{} {identity}", identity.maker));
        return None;
    }
    Some(Known::new("thorlabs-pm-lan", Class::Meter, identity))
}
