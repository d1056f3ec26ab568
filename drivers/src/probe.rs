//! Which supported instrument answers on a port: by queries that change nothing, in bounded time.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use units::clock::Clock;

use crate::identity::Identity;
use crate::transport::{self, Address, FlowControl, OpenError, Parity, SerialSettings, Stream};

/// What an instrument is for, as the bench file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `[controllers]`.
    Controller,
    /// `[meters]`.
    Meter,
    /// `[source]`.
    Source,
}

/// An instrument that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Word of its driver.
    pub driver: &'static str,
    /// What it is for.
    pub class: Class,
    /// Where, with the line settings it answered at.
    pub address: Address,
    /// Who it is.
    pub identity: Identity,
}

/// How long the first byte of an answer may take: the slowest instrument known needs a quarter of a second.
const FIRST_BYTE: Duration = Duration::from_millis(400);
/// An answer has ended when nothing comes for so long: three bytes at 9600 baud, and a USB bridge's latency.
const QUIET: Duration = Duration::from_millis(60);
/// Longest answer taken, bytes.
const ANSWER_MAX: usize = 1024;
/// A port is given up after this.
pub const LIMIT: Duration = Duration::from_secs(9);

/// Word of a driver, what the instrument is for, who it is.
type Known = (&'static str, Class, Identity);

/// One way of asking who is there.
struct Question {
    bauds: &'static [u32],
    request: &'static [u8],
    recognise: fn(&[u8]) -> Option<Known>,
}

/// In the order of how many instruments answer. All are harmless to instruments of other protocols: lines that they refuse,
/// and a binary message that asks for an identity.
const QUESTIONS: &[Question] = &[Question {
    bauds: &[115_200, 9600, 19_200, 57_600, 38_400, 921_600],
    request: b"*IDN?\n",
    recognise: by_identity,
}];

/// Makers and models that answer `*IDN?`, with their drivers; letters in lower case, models by their beginnings.
const IDENTITIES: &[(&str, &[&str], &str, Class)] = &[
    ("physik instrumente", &[""], "pi-gcs2", Class::Controller),
    ("thorlabs", &["pm"], "thorlabs-pm", Class::Meter),
    ("keysight", &["n777"], "keysight-laser", Class::Source),
    ("agilent", &["n777", "8160"], "keysight-laser", Class::Source),
    ("keysight", &["n774", "816"], "keysight-pm", Class::Meter),
    ("agilent", &["n774", "816"], "keysight-pm", Class::Meter),
    ("santec", &["tsl"], "santec-tsl", Class::Source),
];

fn by_identity(answer: &[u8]) -> Option<Known> {
    let identity = Identity::parse(answer.trim_ascii_end())?;
    let (maker, model) = (identity.maker.to_lowercase(), identity.model.to_lowercase());
    let known =
        IDENTITIES.iter().find(|(m, models, ..)| maker.contains(m) && models.iter().any(|b| model.starts_with(b)));
    known.map(|(_, _, driver, class)| (*driver, *class, identity))
}

/// Asks a serial device, or `host:port`, who it is; `None` where nothing that is supported answers within [`LIMIT`].
///
/// # Errors
/// When the port cannot be opened at all.
pub async fn probe(place: &str, clock: &Clock) -> Result<Option<Found>, OpenError> {
    let end = clock.now() + LIMIT;
    for question in QUESTIONS {
        for address in addresses(place, question.bauds) {
            if clock.now() >= end {
                return Ok(None);
            }
            let mut stream = transport::open(&address).await?;
            let answer = ask(&mut *stream, question.request, clock).await;
            if let Some((driver, class, identity)) = (question.recognise)(&answer) {
                return Ok(Some(Found { driver, class, address, identity }));
            }
        }
    }
    Ok(None)
}

/// A network address has no line settings to try.
fn addresses(place: &str, bauds: &[u32]) -> Vec<Address> {
    let is_network = !place.starts_with('/') && place.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
    if is_network {
        return vec![Address::Tcp(place.to_string())];
    }
    let serial = |baud: &u32| Address::Serial {
        path: place.to_string(),
        settings: SerialSettings { baud: *baud, parity: Parity::None, flow: FlowControl::None },
    };
    bauds.iter().map(serial).collect()
}

/// What comes back, up to a pause; nothing where the port takes no bytes or gives none.
async fn ask(stream: &mut dyn Stream, request: &[u8], clock: &Clock) -> Vec<u8> {
    let mut answer = Vec::new();
    if !matches!(clock.timeout(FIRST_BYTE, stream.write_all(request)).await, Ok(Ok(()))) {
        return answer;
    }
    let mut limit = FIRST_BYTE;
    let mut chunk = [0; 256];
    while answer.len() < ANSWER_MAX {
        match clock.timeout(limit, stream.read(&mut chunk)).await {
            Ok(Ok(n)) if n > 0 => answer.extend_from_slice(&chunk[..n]),
            _ => break,
        }
        limit = QUIET;
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_are_known_by_maker_and_model_and_others_are_not() {
        let check = |answer: &str, expect: Option<&str>| {
            assert_eq!(by_identity(answer.as_bytes()).map(|f| f.0), expect, "{answer}");
        };
        check("(c)2015 Physik Instrumente (PI) GmbH & Co. KG, C-884, 0123456789, 1.2.0\n", Some("pi-gcs2"));
        check("Thorlabs,PM101,M01,1.2\n", Some("thorlabs-pm"));
        check("Keysight Technologies,N7776C,MY0,1.2\r\n", Some("keysight-laser"));
        check("Keysight Technologies,N7745A,DE0,V1.1\n", Some("keysight-pm"));
        check("SANTEC,TSL-570,22020001,0001.0000.0001\r\n", Some("santec-tsl"));
        check("Keysight Technologies,E4980A,MY0,1.2\n", None);
        check("garbage", None);
        check("", None);
    }

    #[test]
    fn network_addresses_are_tried_once_and_devices_at_every_rate() {
        assert_eq!(addresses("localhost:4000", &[9600, 115_200]), vec![Address::Tcp("localhost:4000".into())]);
        assert_eq!(addresses("/dev/ttyUSB0", &[9600, 115_200]).len(), 2);
    }
}
