//! The simulated instruments are held to the transcripts: asked what the device was asked, each gives replies of the same shape.

use std::time::Duration;

use tests::forms;
use tests::stand::{Stand, in_virtual_time};
use tests::transcript::{self, Exchange, Transcript};

/// Asks one exchange; what came, and what is wrong with it.
async fn asked(
    transcript: &Transcript,
    stand: &mut Stand,
    exchange: &Exchange,
    before: &[String],
) -> (Vec<u8>, Option<String>) {
    let kind = transcript.protocol.as_str();
    let asked: Vec<u8> = exchange.asked.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
    let expected: Vec<u8> = exchange.replies.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
    let wanted = wanted(kind, &asked, &expected);
    let right = |heard: &[u8]| {
        let found = shapes(kind, heard);
        if by_themselves(kind) {
            wanted.iter().all(|w| found.contains(w) || before.contains(w))
        } else {
            found == wanted
        }
    };
    let mut heard = stand.ask(&asked, right).await;
    if by_themselves(kind) || !right(&heard) {
        let found = shapes(kind, &heard);
        let all_there = shapes(kind, &expected).iter().all(|e| found.contains(e));
        let until_s = exchange.until_s + if all_there { 0.0 } else { ALERT_S };
        heard.extend(stand.listen(Duration::from_secs_f64(until_s)).await);
    }
    let not_held = exchange.replies.iter().any(|(_, held)| !held) || exchange.asked.iter().all(|(_, own)| *own);
    if not_held || right(&heard) {
        return (heard, None);
    }
    let told = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let fault = format!(
        "{}: to \"{}\"\n  the transcript has {}\n  the simulator has {}",
        transcript.name,
        told(&asked),
        told(&expected),
        told(&heard)
    );
    (heard, Some(fault))
}

const APT: &str = "thorlabs-apt";
const ZABER: &str = "zaber-ascii";

/// Instruments that also speak without being asked, and several of them on one line.
fn by_themselves(kind: &str) -> bool {
    matches!(kind, APT | ZABER)
}

/// The shapes that must come at once. Of a binary protocol those are the answers to the questions; what else there is comes
/// unasked, when it is due.
fn wanted(kind: &str, asked: &[u8], expected: &[u8]) -> Vec<String> {
    if kind == ZABER {
        return shapes(kind, expected).into_iter().filter(|line| !line.starts_with('!')).collect();
    }
    if kind != APT {
        return shapes(kind, expected);
    }
    let ids: Vec<u16> = forms::apt_messages(asked).iter().map(|m| u16::from_le_bytes([m[0], m[1]]) + 1).collect();
    let answers = forms::apt_messages(expected).into_iter().filter(|m| ids.contains(&u16::from_le_bytes([m[0], m[1]])));
    answers.map(|m| forms::shape(kind, m)).collect()
}

/// The shapes of what was heard: one of each message of a binary protocol, else one of all.
fn shapes(kind: &str, heard: &[u8]) -> Vec<String> {
    match kind {
        APT => forms::apt_messages(heard).iter().map(|m| forms::shape(kind, m)).collect(),
        ZABER => heard.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| forms::shape(kind, l)).collect(),
        _ if heard.is_empty() => Vec::new(),
        _ => vec![forms::shape(kind, heard)],
    }
}

/// What is wrong with a simulated instrument by a transcript.
fn faults(transcript: &Transcript) -> Vec<String> {
    let kind = transcript.protocol.as_str();
    in_virtual_time(async |clock| {
        let new = || Stand::new(kind, &transcript.options, transcript.light_w, &clock);
        let mut stand = new();
        // Where only requests are known, what comes of them is nobody's to say.
        let requests_only = transcript.exchanges().iter().all(|e| e.replies.is_empty());
        let (mut faults, mut heard, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        for exchange in transcript.exchanges() {
            if exchange.anew {
                stand = new();
            }
            // A client waits until something has ended: what is written down of it is at the least as long.
            let wait_s = if exchange.wait_s > 0.0 { exchange.wait_s * 1.05 + 0.05 } else { 0.0 };
            let unasked = stand.listen(Duration::from_secs_f64(wait_s + PAUSE_S)).await;
            // Alerts and messages of a binary protocol come when they are due, and after a reset a byte that is no text.
            let stray = kind == "newport-smc" && !unasked.is_ascii();
            if !unasked.is_empty() && !stray && !requests_only && !by_themselves(kind) {
                faults.push(format!("{}: unasked {}", transcript.name, unasked.escape_ascii()));
            }
            let before = shapes(kind, &unasked);
            let (came, fault) = asked(transcript, &mut stand, &exchange, &before).await;
            heard.extend(before);
            faults.extend(fault);
            heard.extend(shapes(kind, &came));
            expected.extend(exchange.replies.iter().filter(|(_, held)| *held).flat_map(|(b, _)| shapes(kind, b)));
        }
        heard.extend(shapes(kind, &stand.listen(Duration::from_secs(1)).await));
        if by_themselves(kind) {
            let missing = expected.iter().filter(|e| !heard.contains(e));
            faults.extend(missing.map(|m| format!("{}: never {m}", transcript.name)));
        }
        faults
    })
}

/// What comes by itself after an answer is recorded with it when it comes this soon.
const ALERT_S: f64 = 0.05;

/// Between exchanges: as good as none for clients, and more than a device of text needs to say something unasked.
const PAUSE_S: f64 = 0.004;

#[test]
fn simulated_instruments_answer_in_the_shapes_of_the_transcripts() {
    let all = transcript::all();
    let faults: Vec<String> = all.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{} of them:\n{}", faults.len(), faults.join("\n"));
}
