//! The first controller of a chain has address 1; the others follow it.

use super::codec;
use crate::probe::{Class, Known, Talk, lines};
use crate::scpi;

/// Controllers of a chain that are asked for; each silent one would cost a wait.
const CHAIN_MAX: u8 = 31;

/// Who answers at address 1, and at which addresses others do.
pub(crate) async fn recognise(talk: &mut Talk<'_>) -> Option<Known> {
    let answer = talk.ask(b"\r\n1VE\r\n").await;
    let Some(mut identity) = lines(&answer).find_map(codec::identity) else {
        // Of the family, and not driven: CONEX-AGP.
        if let Some(version) = lines(&answer).find_map(|line| codec::told(line, 1, "VE"))
            && scpi::is_talk(version)
        {
            talk.not_supported(format!("Newport {version}"));
        }
        return None;
    };
    let asked = talk.ask(b"1ID?\r\n").await;
    identity.serial = lines(&asked).find_map(|line| codec::stage(line, 1)).map_or(String::new(), |(_, serial)| serial);
    let mut channels = vec!["1".to_string()];
    for address in 2..=CHAIN_MAX {
        let answer = talk.ask(&codec::request(address, "VE")).await;
        if !lines(&answer).any(|line| codec::told(line, address, "VE").is_some()) {
            break;
        }
        channels.push(address.to_string());
    }
    Some(Known::new("newport-smc", Class::Controller, identity).with_channels(channels))
}
