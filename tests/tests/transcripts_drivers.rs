//! The drivers are held to the transcripts: each asks in the words of somebody else's client, and makes of a reply what it means.
//!
//! Between a driver and its simulated instrument stands a tap. It notes what the driver asks; to a request of the transcript it
//! gives the transcript's reply instead of the simulated one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use drivers::exchange::Line;
use drivers::identity::{Expected, Identity};
use drivers::meter::{MeterSetup, Range};
use drivers::motion::{ChannelSetup, ChannelUnit};
use drivers::registry;
use drivers::source::SourceSetup;
use tests::stand::{in_virtual_time, pipe};
use tests::transcript::{self, Transcript};
use tests::{forms, known};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use units::Power;
use units::clock::Clock;

/// What the tap does and has seen.
#[derive(Default)]
struct Tap {
    /// The words asked for, and the reply to give to each; empty for none.
    instead: Option<(Vec<String>, Vec<u8>)>,
    /// How often it was given.
    given: u32,
}

type Shared = Rc<RefCell<Tap>>;

/// A line to the simulated instrument of a transcript, through a tap.
fn tapped(transcript: &Transcript, clock: &Clock) -> (Line, Shared) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let device = pipe(&transcript.protocol, &transcript.options, transcript.light_w, clock);
    let tap = Shared::default();
    tokio::task::spawn_local(carry(transcript.protocol.clone(), far, device, tap.clone()));
    (Line::new(Box::new(near), clock.clone(), "it", "sim"), tap)
}

async fn carry(kind: String, mut client: DuplexStream, mut device: DuplexStream, tap: Shared) {
    let (mut asked, mut told) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            biased;
            n = client.read(&mut asked) => match n {
                Ok(n @ 1..) => {
                    let words = forms::words(&kind, &asked[..n]);
                    let instead = tap.borrow().instead.clone().filter(|(wanted, _)| *wanted == words);
                    if let Some((_, reply)) = instead {
                        tap.borrow_mut().given += 1;
                        if client.write_all(&addressed(&kind, &asked[..n], &reply)).await.is_err() {
                            return;
                        }
                    } else if device.write_all(&asked[..n]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            n = device.read(&mut told) => match n {
                Ok(n @ 1..) => if client.write_all(&told[..n]).await.is_err() {
                    return;
                },
                _ => return,
            },
        }
    }
}

/// The reply to whom it was asked: of Zaber's the axis, the id and the checksum are the request's.
fn addressed(kind: &str, asked: &[u8], reply: &[u8]) -> Vec<u8> {
    if kind != "zaber-ascii" {
        return reply.to_vec();
    }
    let (asked, reply) = (String::from_utf8_lossy(asked).into_owned(), String::from_utf8_lossy(reply).into_owned());
    let mut of = asked.trim_start_matches('/').split([' ', ':']);
    let (device, axis, id) = (of.next().unwrap_or("1"), of.next().unwrap_or("0"), of.next().unwrap_or("00"));
    let said = reply.trim_end().splitn(3, ' ').nth(2).unwrap_or_default();
    let inner = format!("{device:0>2} {axis} {id} {said}");
    let sum = inner.bytes().fold(0u8, u8::wrapping_add).wrapping_neg();
    format!("@{inner}:{sum:02X}\r\n").into_bytes()
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number in the transcript")
}

/// What the driver of a transcript makes of one reply; `None` where it does not ask for it.
async fn made_of(
    transcript: &Transcript,
    asked: &[String],
    reply: &[u8],
    means: &[String],
    clock: &Clock,
) -> Result<(), String> {
    let kind = transcript.protocol.as_str();
    let (line, tap) = tapped(transcript, clock);
    let instead = Some((asked.to_vec(), reply.to_vec()));
    let (what, value) = (means[0].as_str(), means.get(1).cloned().unwrap_or_default());
    if matches!(what, "identity" | "connects") {
        tap.borrow_mut().instead.clone_from(&instead);
    }
    let made = if registry::MOTION.contains(&kind) {
        motion(transcript, line, &tap, instead, what).await?
    } else if registry::METERS.contains(&kind) {
        meter(kind, line, &tap, instead, what).await?
    } else if registry::SOURCES.contains(&kind) {
        source(kind, line, &tap, instead, what).await?
    } else {
        let mut switch = registry::switch(kind, line, Expected::default()).expect("a word of the list");
        switch.connect().await.map_err(|e| e.to_string())?;
        told(switch.identity())
    };
    if tap.borrow().given == 0 {
        return Err(format!("the driver never asks {asked:?}"));
    }
    let same = match (made.parse::<f64>(), value.parse::<f64>()) {
        (Ok(made), Ok(_)) => (made - number(&value)).abs() <= 1e-6 * number(&value).abs().max(1e-9),
        _ => what == "connects" || made == value,
    };
    if same { Ok(()) } else { Err(format!("{what} is {made}, not {value}")) }
}

fn told(identity: &Identity) -> String {
    identity.model.clone()
}

async fn motion(
    transcript: &Transcript,
    line: Line,
    tap: &Shared,
    instead: Option<(Vec<String>, Vec<u8>)>,
    what: &str,
) -> Result<String, String> {
    let kind = transcript.protocol.as_str();
    let channel = if kind == "zaber-ascii" { "1.1" } else { "1" };
    // One count is one um, so that what a client's tests have in counts can be read here.
    let unit =
        if matches!(kind, "zaber-ascii" | "thorlabs-apt") { ChannelUnit::Micrometre } else { ChannelUnit::Millimetre };
    let setup = ChannelSetup {
        axis: "x".into(),
        channel: channel.into(),
        unit,
        range: (-10_000.0, 10_000.0),
        velocity: 1000.0,
    };
    let mut driver = registry::motion(kind, line, Expected::default()).expect("a word of the list");
    let connected = driver.connect(&[setup]).await;
    if matches!(what, "identity" | "connects") {
        // The simulated rest of it may be another model's; who it is has been read by then.
        if what == "connects" || told(driver.identity()).is_empty() {
            connected.map_err(|e| e.to_string())?;
        }
        return Ok(told(driver.identity()));
    }
    connected.map_err(|e| e.to_string())?;
    tap.borrow_mut().instead = instead;
    let said = |e: drivers::motion::MotionError| e.to_string();
    Ok(match what {
        "position_um" => driver.positions(&[channel]).await.map_err(said)?[0].to_string(),
        "referenced" => if driver.states(&[channel]).await.map_err(said)?[0].referenced { "yes" } else { "no" }.into(),
        other => return Err(format!("no such meaning: {other}")),
    })
}

async fn meter(
    kind: &str,
    line: Line,
    tap: &Shared,
    instead: Option<(Vec<String>, Vec<u8>)>,
    what: &str,
) -> Result<String, String> {
    let mut driver = registry::meter(kind, line, Expected::default()).expect("a word of the list");
    let setup = MeterSetup { wavelength_nm: 1310.0, averaging: 10, range: Range::Auto };
    driver.connect(&setup).await.map_err(|e| e.to_string())?;
    if what == "identity" {
        return Ok(told(driver.identity()));
    }
    tap.borrow_mut().instead = instead;
    let readings = driver.read().await.map_err(|e| e.to_string())?;
    Ok(readings[0].power().map_or_else(|| format!("{:?}", readings[0]), |p| p.watts().to_string()))
}

async fn source(
    kind: &str,
    line: Line,
    tap: &Shared,
    instead: Option<(Vec<String>, Vec<u8>)>,
    what: &str,
) -> Result<String, String> {
    let mut driver = registry::source(kind, line, Expected::default()).expect("a word of the list");
    let setup = SourceSetup { wavelength_nm: 1550.0, level: Power::from_dbm(3.0) };
    driver.connect(&setup).await.map_err(|e| e.to_string())?;
    if what == "identity" {
        return Ok(told(driver.identity()));
    }
    tap.borrow_mut().instead = instead;
    let state = driver.state().await.map_err(|e| e.to_string())?;
    Ok(state.level.dbm().map_or_else(String::new, |dbm| format!("{:.6}", dbm)))
}

#[test]
fn drivers_make_of_the_replies_of_others_what_they_mean() {
    let mut faults = Vec::new();
    let mut held = 0;
    for transcript in transcript::all() {
        for exchange in transcript.exchanges() {
            for means in &exchange.means {
                let last = exchange.asked.last().map(|(bytes, _)| bytes.as_slice()).unwrap_or_default();
                let asked = forms::words(&transcript.protocol, last);
                let reply: Vec<u8> = exchange.replies.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
                let made = in_virtual_time(async |clock| made_of(&transcript, &asked, &reply, means, &clock).await);
                held += 1;
                faults.extend(made.err().map(|e| format!("{}: {}: {e}", transcript.name, reply.escape_ascii())));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {held}:\n{}", faults.len(), faults.join("\n"));
    assert!(held >= 20, "only {held} replies are held against a driver");
}

/// A request with its numbers taken for one another's, in the letters and short words of its protocol.
fn bare(kind: &str, request: &[u8]) -> Option<String> {
    let [word] = forms::words(kind, request).try_into().ok()?;
    let word: String = word;
    if matches!(kind, "thorlabs-apt" | "joinwit-pm") {
        return Some(forms::shape(kind, request));
    }
    let text = String::from_utf8_lossy(request).trim_end().to_string();
    let arguments =
        text.split_once(' ').map_or(0, |(_, rest)| rest.split([' ', ',']).filter(|a| !a.is_empty()).count().min(1));
    Some(format!("{word} with {}", if arguments > 0 { "arguments" } else { "none" }))
}

/// Binary messages of a driver are as long, and go from and to where, as those that others send.
#[test]
fn binary_requests_have_the_layout_of_those_of_others() {
    let shown: BTreeSet<String> = transcript::all()
        .iter()
        .filter(|t| t.protocol == "thorlabs-apt")
        .flat_map(|t| t.exchanges())
        .flat_map(|e| e.asked.into_iter().filter(|(_, own)| !own))
        .filter_map(|(bytes, _)| bare("thorlabs-apt", &bytes))
        .map(|shape| layout(&shape))
        .collect();
    let words: BTreeSet<&str> = shown.iter().filter_map(|s| s.split(' ').next()).collect();
    let sent = in_virtual_time(async |clock| {
        let heard: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
        for (model, stage) in [("KDC101", "MTS50-Z8"), ("BBD201", "DDS220")] {
            let (near, mut far) = tokio::io::duplex(64 * 1024);
            let options = [("model".to_string(), model.to_string()), ("stage".to_string(), stage.to_string())];
            let channel = format!("1:{stage}");
            let mut device = pipe("thorlabs-apt", &options, 1e-4, &clock);
            let notes = heard.clone();
            tokio::task::spawn_local(async move {
                let (mut asked, mut told) = ([0; 512], [0; 512]);
                loop {
                    tokio::select! {
                        biased;
                        n = far.read(&mut asked) => {
                            let Ok(n @ 1..) = n else { return };
                            notes.borrow_mut().extend(forms::apt_messages(&asked[..n]).iter().map(|m| m.to_vec()));
                            let _ = device.write_all(&asked[..n]).await;
                        }
                        n = device.read(&mut told) => {
                            let Ok(n @ 1..) = n else { return };
                            let _ = far.write_all(&told[..n]).await;
                        }
                    }
                }
            });
            let line = Line::new(Box::new(near), clock.clone(), "it", "sim");
            let mut driver = registry::motion("thorlabs-apt", line, Expected::default()).expect("a word of the list");
            let unit = ChannelUnit::Millimetre;
            let setup = ChannelSetup {
                axis: "x".into(),
                channel: channel.clone(),
                unit,
                range: (0.0, 10_000.0),
                velocity: 1000.0,
            };
            let connected = driver.connect(&[setup]).await;
            connected.unwrap_or_else(|e| panic!("{model}: {e}"));
            let channel = channel.as_str();
            driver.reference(channel).await.expect("a simulated stage has a home");
            driver.start_move(&[(channel, 100.0)]).await.expect("it moves");
            driver.wait_on_target(&[channel], Duration::from_secs(20)).await.expect("it arrives");
            driver.stop_all().await.expect("it stops");
        }
        heard.take()
    });
    let other: BTreeSet<String> = sent
        .iter()
        .map(|m| layout(&forms::shape("thorlabs-apt", m)))
        .filter(|l| words.contains(l.split(' ').next().unwrap_or_default()) && !shown.contains(l))
        .collect();
    assert!(other.is_empty(), "{other:?}");
    let moved =
        ["0443", "0453", "0465"].iter().all(|id| sent.iter().any(|m| forms::shape("thorlabs-apt", m).starts_with(id)));
    assert!(moved, "of {} messages none moves", sent.len());
    assert!(sent.iter().all(|m| known::by_driver("thorlabs-apt").contains(&forms::words("thorlabs-apt", m)[0])));
}

/// Number and length of a message: units differ in their addresses.
fn layout(shape: &str) -> String {
    let mut parts = shape.split(' ');
    format!("{} {}", parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default())
}
