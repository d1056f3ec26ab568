//! What a client's bytes may do to a simulated device, one table over all protocols: requests that are cut, flipped,
//! glued or split. Whatever came, the device identifies itself afterwards as it did before.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::Duration;

use sim::{LineSettings, Link, Parity};
use tests::alone::{Alone, in_virtual_time, models};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use units::clock::Clock;

const LINE: LineSettings = LineSettings { baud: 921_600, parity: Parity::None };
/// A device that has said nothing for this long has nothing to say.
const QUIET: Duration = Duration::from_millis(200);
/// The identity is asked for this often: a cut binary message swallows what comes until it is whole, and a device that a
/// changed command has restarted is deaf for some seconds.
const ATTEMPTS: u32 = 100;

type Bytes = &'static [u8];

/// Kind, who-are-you, and some requests; a text's line end is that of the first.
const TABLE: &[(&str, Bytes, &[Bytes])] = &[
    ("pi-gcs2", b"*IDN?\n", &[b"POS? 1 2\n", b"VEL 1 2.5 2 1\n", b"SPA 1 0x0E 1\n", b"\x05"]),
    ("zaber-ascii", b"/1 0 99 get system.serial\n", &[b"/1 1 07 move abs 10000\n", b"/1 0 08 get pos\n", b"/\n"]),
    (
        "thorlabs-apt",
        b"\x05\x00\x00\x00\x50\x01",
        &[b"\x53\x04\x06\x00\xd0\x01\x01\x00\x00\x10\x00\x00", b"\x80\x04\x01\x00\x50\x01"],
    ),
    ("newport-smc", b"1VE\r\n", &[b"1PA1.25\r\n", b"1TS\r\n", b"1TE\r\n", b"1ZT\r\n"]),
    ("newport-esp", b"VE?\r", &[b"1PA5.5;2PA6\r", b"1TP\r", b"TB?\r", b"1VA2;1VA?\r"]),
    ("thorlabs-pm", b"*IDN?\n", &[b"MEAS:POW?\n", b"SENS:CORR:WAV 1310\n", b"SENS:POW:RANG?;:SYST:ERR?\n"]),
    ("keysight-pm", b"*IDN?\n", &[b"READ1:POW?\n", b"SENS1:POW:RANG -10DBM\n", b"READ:POW:ALL?\n"]),
    ("joinwit-pm", b"\x7b\xff\x05\x01\x40\x40\x7d", &[b"\x7b\xff\x07\x01\x60\x02\x05\x17\x7d"]),
    ("newport-1830", b"W?\n", &[b"D?\n", b"R4\n", b"U?\n"]),
    ("newport-1936", b"*IDN?\r\n", &[b"PM:P?\r\n", b"PM:L 1310\r\n", b"ERRSTR?\r\n"]),
    ("keysight-laser", b"*IDN?\n", &[b"SOUR0:WAV 1310.0NM\n", b"SOUR0:POW?\n", b"SYST:ERR?\n"]),
    ("santec-tsl", b"*IDN?\r", &[b":WAV 1551\r", b":POW:STAT?\r"]),
    ("dicon-switch", b"*IDN?\r", &[b"X1 CH 2 3\r", b"X1 CH? 2\r", b"SYST:ERR?\r"]),
];

struct Client {
    pipe: DuplexStream,
    clock: Clock,
}

impl Client {
    async fn say(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).await.unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        while let Ok(read) = self.clock.timeout(QUIET, self.pipe.read_buf(&mut heard)).await {
            assert!(read.unwrap() > 0 && heard.len() < 1 << 20);
        }
        heard
    }

    async fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.say(request).await;
        self.hear().await
    }
}

fn with(kind: &str, test: impl AsyncFnOnce(Client)) {
    in_virtual_time(async |clock| {
        let alone = Alone::new(kind, models(kind)[0], Link::Serial { path: "unused".into(), settings: LINE }, &clock);
        test(Client { pipe: alone.pipe(LINE), clock }).await;
    });
}

/// Bytes of a request, then its line end where the protocol has one.
async fn harm(client: &mut Client, (kind, who, identity): (&str, &[u8], &[u8]), bytes: &[u8]) {
    client.ask(bytes).await;
    let end = who.iter().position(|b| matches!(b, b'\r' | b'\n'));
    if let Some(end) = end {
        client.ask(&who[end..]).await;
    }
    for _ in 0..ATTEMPTS {
        if client.ask(who).await == identity {
            return;
        }
    }
    panic!("{kind} does not come back after \"{}\"", bytes.escape_ascii());
}

#[test]
fn every_kind_is_in_the_table() {
    let behind_a_port = ["thorlabs-pm-lan"];
    let kinds = sim::device_kinds().iter().map(|k| k.kind).filter(|k| !behind_a_port.contains(k));
    assert!(kinds.into_iter().all(|kind| TABLE.iter().any(|(k, ..)| *k == kind)));
}

#[test]
fn requests_cut_at_every_byte_or_with_any_bit_flipped_leave_a_device_that_answers() {
    for (kind, who, requests) in TABLE {
        with(kind, async |mut client| {
            let identity = client.ask(who).await;
            assert!(!identity.is_empty(), "{kind}");
            for request in requests.iter().chain([who]) {
                for end in 0..request.len() {
                    harm(&mut client, (kind, who, &identity), &request[..end]).await;
                }
                for bit in 0..request.len() * 8 {
                    let mut flipped = request.to_vec();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    harm(&mut client, (kind, who, &identity), &flipped).await;
                }
            }
        });
    }
}

#[test]
fn requests_in_pieces_are_answered_as_if_whole_and_glued_ones_each() {
    for (kind, who, _) in TABLE {
        with(kind, async |mut client| {
            let identity = client.ask(who).await;
            for at in 1..who.len() {
                client.say(&who[..at]).await;
                client.clock.sleep(Duration::from_millis(5)).await;
                assert_eq!(client.ask(&who[at..]).await, identity, "{kind} split at {at}");
            }
            let three = client.ask(&who.repeat(3)).await;
            assert_eq!(three.escape_ascii().to_string(), identity.repeat(3).escape_ascii().to_string(), "{kind}");
        });
    }
}
