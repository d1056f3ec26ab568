//! The controller tells its model and version; which of its axes have stages is found when the bench is connected.

use super::codec;
use crate::probe::{Class, Known, Talk, lines};

/// Who answers.
pub(crate) async fn recognise(talk: &mut Talk<'_>) -> Option<Known> {
    by_version(&talk.ask(b"\rVE?\r").await)
}

/// Who answers so, to `VE?` or to `*IDN?`: labs have written down that it says the same to both.
pub(crate) fn by_version(answer: &[u8]) -> Option<Known> {
    let identity = lines(answer).find_map(codec::identity)?;
    let axes = ["1", "2", "3"].map(String::from).to_vec();
    Some(Known::new("newport-esp", Class::Controller, identity).with_channels(axes))
}
