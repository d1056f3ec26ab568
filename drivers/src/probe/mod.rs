//! Which supported instrument answers on a port: by queries that change nothing, in bounded time.
//!
//! Each protocol's own question and what it makes of the answer are in that protocol's folder; here is only who is asked
//! what in which order. At each baud rate the questions that are text come first, since an instrument that speaks text
//! only takes binary bytes for a line cut in half; a binary instrument takes text for messages to nobody. A line end
//! before each question makes whatever was left of the one before a line of its own, which is refused.

mod talk;
#[cfg(test)]
mod tests;

use std::time::Duration;

use units::clock::Clock;

use crate::identity::Identity;
use crate::transport::{self, Address, FlowControl, OpenError, Parity, SerialSettings};
use crate::{joinwit_pm, newport_1830, newport_1936, newport_esp, newport_smc, thorlabs_apt, thorlabs_pm, zaber_ascii};

pub(crate) use talk::{Talk, lines};

/// What an instrument is for, as the bench file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `[controllers]`.
    Controller,
    /// `[meters]`.
    Meter,
    /// `[source]`.
    Source,
    /// `[switch]`.
    Switch,
    /// Follows the light by itself: driven, but a bench file has no place for it.
    Tracker,
}

/// An instrument that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Word of its driver.
    pub driver: &'static str,
    /// What it is for.
    pub class: Class,
    /// Who it is; fields that it does not tell are empty.
    pub identity: Identity,
    /// Its channels as the bench file names them, where it tells them.
    pub channels: Vec<String>,
}

impl Known {
    pub(crate) fn new(driver: &'static str, class: Class, identity: Identity) -> Known {
        Known { driver, class, identity, channels: Vec::new() }
    }

    pub(crate) fn with_channels(self, channels: Vec<String>) -> Known {
        Known { channels, ..self }
    }
}

/// An instrument that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub known: Known,
    /// Where, with the line settings it answered at.
    pub address: Address,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A supported instrument.
    Found(Found),
    /// Somebody answers whom no driver is for; what he said.
    Stranger(String),
    /// Nobody answers.
    Silence,
}

/// A port is given up after this.
pub const LIMIT: Duration = Duration::from_secs(9);

/// One way of asking who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// `*IDN?` ended with LF, as most have it.
    Identity,
    /// `*IDN?` ended with CR.
    IdentityCr,
    Zaber,
    NewportSmc,
    NewportEsp,
    Newport1830,
    ThorlabsApt,
    Joinwit,
    /// `*IDN?` in the segments of Thorlabs' Ethernet ports.
    Segments,
}

use Question::{
    Identity as Idn, IdentityCr as IdnCr, Joinwit, Newport1830, NewportEsp, NewportSmc, Segments, ThorlabsApt, Zaber,
};

/// Serial lines: the rates in the order of how many instruments have them out of the box, and what is asked at each. A port
/// on which nobody answers is done within 20 times the wait for a first byte.
const SERIAL: &[(u32, &[Question])] = &[
    (115_200, &[Idn, Zaber, NewportSmc, IdnCr, ThorlabsApt, Joinwit]),
    (9600, &[Idn, Newport1830, IdnCr, Zaber]),
    (57_600, &[NewportSmc, Idn]),
    (19_200, &[NewportEsp, Idn, IdnCr]),
    (38_400, &[IdnCr, Idn]),
    (921_600, &[NewportSmc, NewportEsp]),
];

/// Network addresses: one connection for each framing, so that none begins with what is left of another.
const NETWORK: &[&[Question]] =
    &[&[Idn, Zaber, NewportSmc, IdnCr, NewportEsp, Newport1830], &[Segments], &[ThorlabsApt], &[Joinwit]];

/// Makers and models that answer `*IDN?`, with their drivers; letters in lower case, models by their beginnings.
const IDENTITIES: &[(&str, &[&str], &str, Class)] = &[
    ("physik instrumente", &[""], "pi-gcs2", Class::Controller),
    ("thorlabs", &["pm"], "thorlabs-pm", Class::Meter),
    ("keysight", &["n777"], "keysight-laser", Class::Source),
    ("agilent", &["n777", "8160"], "keysight-laser", Class::Source),
    ("keysight", &["n774", "816"], "keysight-pm", Class::Meter),
    ("agilent", &["n774", "816"], "keysight-pm", Class::Meter),
    ("santec", &["tsl"], "santec-tsl", Class::Source),
    ("dicon", &["gp600"], "dicon-switch", Class::Switch),
];

/// Who answers `*IDN?` so; a stranger's answer is told.
fn by_identity(answer: &[u8]) -> Result<Known, Option<String>> {
    let Some(identity) = talk::identity(answer) else {
        return newport_1936::recognise(answer).or_else(|| newport_esp::by_version(answer)).ok_or(None);
    };
    let (maker, model) = (identity.maker.to_lowercase(), identity.model.to_lowercase());
    let known =
        IDENTITIES.iter().find(|(m, models, ..)| maker.contains(m) && models.iter().any(|b| model.starts_with(b)));
    match known {
        Some((_, _, driver, class)) => Ok(Known::new(driver, *class, identity)),
        None => Err(Some(format!("{} {identity}", identity.maker))),
    }
}

async fn ask_identity(talk: &mut Talk<'_>, request: &[u8]) -> Option<Known> {
    match by_identity(&talk.ask(request).await) {
        Ok(known) => Some(known),
        Err(stranger) => {
            stranger.into_iter().for_each(|who| talk.not_supported(who));
            None
        }
    }
}

async fn ask(question: Question, talk: &mut Talk<'_>) -> Option<Known> {
    match question {
        Idn => ask_identity(talk, b"*IDN?\n").await,
        IdnCr => ask_identity(talk, b"\r*IDN?\r").await,
        Zaber => zaber_ascii::recognise(talk).await,
        NewportSmc => newport_smc::recognise(talk).await,
        NewportEsp => newport_esp::recognise(talk).await,
        Newport1830 => newport_1830::recognise(talk).await,
        ThorlabsApt => thorlabs_apt::recognise(talk).await,
        Joinwit => joinwit_pm::recognise(talk).await,
        Segments => thorlabs_pm::recognise(talk).await,
    }
}

/// Asks a serial device, or `host:port`, who it is, within [`LIMIT`].
///
/// # Errors
/// When the port cannot be opened at all.
pub async fn probe(place: &str, clock: &Clock) -> Result<Outcome, OpenError> {
    let mut heard = None;
    let asked = clock.timeout(LIMIT, async {
        for (number, (address, questions)) in visits(place).into_iter().enumerate() {
            let stream = match transport::open(&address).await {
                Ok(stream) => stream,
                Err(e) if number == 0 => return Err(e),
                // A rate that this port does not have, or a listener that wants no second connection.
                Err(_) => continue,
            };
            let mut talk = Talk::new(stream, clock);
            let answered = visit(&mut talk, questions, number > 0).await;
            heard = talk.heard().cloned().or(heard.take());
            match answered {
                Outcome::Found(found) => return Ok(Outcome::Found(Found { address, ..found })),
                Outcome::Stranger(who) => return Ok(Outcome::Stranger(who)),
                Outcome::Silence => {}
            }
        }
        Ok(Outcome::Silence)
    });
    let answered = asked.await.unwrap_or(Ok(Outcome::Silence))?;
    Ok(match (answered, heard) {
        (Outcome::Silence, Some(text)) => Outcome::Stranger(text),
        (answered, _) => answered,
    })
}

/// Asks the questions of one opening of a port. The address of what is found is the caller's business.
async fn visit(talk: &mut Talk<'_>, questions: &[Question], again: bool) -> Outcome {
    if again && questions.iter().any(|q| !q.is_binary()) {
        // What was written at the rate before was noise, and may be half a line.
        talk.ask_within(b"\r\n", Duration::from_millis(20)).await;
    }
    for question in questions {
        if let Some(known) = ask(*question, talk).await {
            return Outcome::Found(Found { known, address: Address::Tcp(String::new()) });
        }
        if let Some(who) = talk.stranger() {
            return Outcome::Stranger(who.clone());
        }
    }
    Outcome::Silence
}

impl Question {
    /// Whether its bytes are no text.
    fn is_binary(self) -> bool {
        matches!(self, ThorlabsApt | Joinwit | Segments)
    }
}

/// The addresses of a place with what is asked there. A network address has no line settings to try.
fn visits(place: &str) -> Vec<(Address, &'static [Question])> {
    let is_network = !place.starts_with('/') && place.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
    if is_network {
        return NETWORK.iter().map(|questions| (Address::Tcp(place.to_string()), *questions)).collect();
    }
    let serial = |baud: u32| Address::Serial {
        path: place.to_string(),
        settings: SerialSettings { baud, parity: Parity::None, flow: FlowControl::None },
    };
    SERIAL.iter().map(|(baud, questions)| (serial(*baud), *questions)).collect()
}
