//! A meter that tells no identity is known by its settings: each a plain number within its few values.

use super::codec;
use crate::identity::Identity;
use crate::probe::{Class, Known, Talk, lines};

/// Settings and their values, beside the wavelength.
const SETTINGS: [(char, std::ops::RangeInclusive<u32>); 5] =
    [('U', 1..=4), ('F', 1..=3), ('R', 1..=codec::RANGES), ('G', 0..=1), ('Z', 0..=1)];

/// Whether all that is answered are settings of an 1830.
pub(crate) async fn recognise(talk: &mut Talk<'_>) -> Option<Known> {
    let answer = talk.ask(b"\nW?\n").await;
    lines(&answer).next().and_then(codec::wavelength)?;
    for (letter, values) in SETTINGS {
        let answer = talk.ask(format!("{letter}?\n").as_bytes()).await;
        lines(&answer).next().and_then(codec::whole).filter(|value| values.contains(value))?;
    }
    let identity = Identity { maker: "Newport".into(), model: "1830".into(), ..Identity::default() };
    Some(Known::new("newport-1830", Class::Meter, identity))
}
