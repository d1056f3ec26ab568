//! A scripted device loses, delays, splits, glues, garbles and repeats its answers; the line must never mix them up.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::recovery::RECOVERY_ATTEMPTS;
use super::*;
use crate::fake::Step::{Close, Hear, Say, Wait};
use crate::fake::{Step, ms, on_virtual_clock, scripted};
use crate::scpi;

const IDN: &[u8] = b"Thorlabs,PM101,M01,1.2\n";
const ASK: &[u8] = b"MEAS:POW?\n";

fn harmless(request: &[u8]) -> Query<'_> {
    Query { request, limit: ms(250), repeat: Repeat::Harmless, expected: "a number" }
}

fn never(request: &[u8]) -> Query<'_> {
    Query { repeat: Repeat::Never, ..harmless(request) }
}

/// The steps by which any line begins: it counts as unclean.
fn greeted(rest: Vec<Step>) -> Vec<Step> {
    let mut steps = vec![Hear(b"*IDN?\n"), Say(IDN), Hear(b"*IDN?\n"), Say(IDN)];
    steps.extend(rest);
    steps
}

async fn ask(line: &mut Line, query: Query<'_>) -> Result<f64, LineError> {
    line.query(&query, scpi::number).await
}

/// Runs a conversation with a device that follows `rest` after the greeting.
fn check<F: AsyncFnOnce(&mut Line, Clock)>(rest: Vec<Step>, talk: F) {
    on_virtual_clock(async |clock| {
        let (mut line, device) = scripted(&clock, greeted(rest));
        assert_eq!(line.identify().await.unwrap(), IDN[..IDN.len() - 1]);
        talk(&mut line, clock).await;
        drop(line);
        device.await.unwrap();
    });
}

#[test]
fn reply_split_over_three_reads_is_one_reply() {
    let steps = vec![Hear(ASK), Say(b"1.2"), Wait(3), Say(b"5E-"), Wait(3), Say(b"3\n")];
    check(steps, async |line, _| {
        assert_eq!(ask(line, harmless(ASK)).await, Ok(1.25e-3));
    });
}

#[test]
fn lost_reply_of_a_harmless_query_is_asked_again_after_the_line_came_back() {
    let steps = vec![Hear(ASK), Hear(b"*IDN?\n"), Say(IDN), Hear(ASK), Say(b"7\n")];
    check(steps, async |line, _| {
        assert_eq!(ask(line, harmless(ASK)).await, Ok(7.0));
    });
}

#[test]
fn late_reply_after_the_time_out_is_discarded_before_the_next_request() {
    let steps = vec![Hear(b"SYST:ERR?\n"), Wait(300), Say(b"1\n"), Hear(b"*IDN?\n"), Say(IDN), Hear(ASK), Say(b"2\n")];
    check(steps, async |line, clock| {
        let failure = ask(line, never(b"SYST:ERR?\n")).await.unwrap_err();
        assert!(failure.is_no_answer() && failure.is_answer_lost(), "{failure}");
        clock.sleep(ms(100)).await;
        assert_eq!(ask(line, harmless(ASK)).await, Ok(2.0));
        assert!(line.tap().transcript().contains(r#"discarded "1\n""#), "{}", line.tap().transcript());
    });
}

#[test]
fn late_reply_that_comes_after_the_next_request_is_not_its_answer() {
    let steps = vec![Hear(b"SYST:ERR?\n"), Hear(b"*IDN?\n"), Say(b"1\n"), Wait(40), Say(IDN), Hear(ASK), Say(b"2\n")];
    check(steps, async |line, _| {
        assert!(ask(line, never(b"SYST:ERR?\n")).await.is_err());
        assert_eq!(ask(line, harmless(ASK)).await, Ok(2.0));
    });
}

#[test]
fn late_reply_glued_in_front_of_the_identity_is_discarded_with_it() {
    let steps = vec![Hear(b"A?\n"), Hear(b"*IDN?\n"), Say(b"1.2Thorlabs,PM101,M01,1.2\n"), Hear(ASK), Say(b"2\n")];
    check(steps, async |line, _| {
        assert!(ask(line, never(b"A?\n")).await.is_err());
        assert_eq!(ask(line, harmless(ASK)).await, Ok(2.0));
    });
}

#[test]
fn late_identity_of_an_earlier_attempt_is_not_taken_for_an_answer() {
    let steps =
        vec![Hear(b"A?\n"), Hear(b"*IDN?\n"), Hear(b"*IDN?\n"), Say(IDN), Wait(300), Say(IDN), Hear(ASK), Say(b"2\n")];
    check(steps, async |line, _| {
        assert!(ask(line, never(b"A?\n")).await.is_err());
        assert_eq!(ask(line, harmless(ASK)).await, Ok(2.0));
    });
}

#[test]
fn late_identity_does_not_vouch_for_what_was_asked_after_it() {
    // Were the second identity, 100 ms late, taken for the answer to the third request, "1" would be B's answer.
    let steps = vec![
        Hear(b"A?\n"),
        Hear(b"*IDN?\n"),
        Hear(b"*IDN?\n"),
        Say(IDN),
        Wait(100),
        Say(IDN),
        Hear(b"B?\n"),
        Wait(260),
        Say(b"1\n"),
        Hear(b"*IDN?\n"),
        Say(IDN),
        Hear(ASK),
        Say(b"2\n"),
    ];
    check(steps, async |line, _| {
        assert!(ask(line, never(b"A?\n")).await.is_err());
        assert!(ask(line, never(b"B?\n")).await.is_err());
        assert_eq!(ask(line, harmless(ASK)).await, Ok(2.0));
    });
}

#[test]
fn two_replies_glued_are_not_believed() {
    let steps = vec![Hear(ASK), Say(b"1\n2\n"), Hear(b"*IDN?\n"), Say(IDN), Hear(ASK), Say(b"3\n")];
    check(steps, async |line, _| {
        assert_eq!(ask(line, harmless(ASK)).await, Ok(3.0));
    });
}

#[test]
fn duplicate_reply_is_discarded_before_the_next_request() {
    let steps = vec![Hear(ASK), Say(b"1\n"), Wait(1), Say(b"1\n"), Hear(b"*IDN?\n"), Say(IDN), Hear(ASK), Say(b"2\n")];
    check(steps, async |line, clock| {
        assert_eq!(ask(line, harmless(ASK)).await, Ok(1.0));
        clock.sleep(ms(5)).await;
        assert_eq!(ask(line, harmless(ASK)).await, Ok(2.0));
    });
}

#[test]
fn garbled_reply_is_asked_again_and_one_that_stays_garbled_is_told() {
    let mut steps = Vec::new();
    for _ in 0..QUERY_ATTEMPTS {
        steps.extend([Hear(ASK), Say(b"1.\xb5E-3\n"), Hear(b"*IDN?\n"), Say(IDN)]);
    }
    steps.truncate(steps.len() - 2);
    check(steps, async |line, _| {
        let failure = ask(line, harmless(ASK)).await.unwrap_err();
        let told = r#"pm: unexpected answer "1.\xb5E-3" to "MEAS:POW?" on /dev/ttyUSB0 (expected a number)"#;
        assert_eq!(failure.to_string(), told);
        assert!(matches!(failure, LineError::Unexpected { .. }));
    });
}

#[test]
fn retries_are_bounded() {
    let mut steps = Vec::new();
    for _ in 0..QUERY_ATTEMPTS {
        steps.extend([Hear(ASK), Hear(b"*IDN?\n"), Say(IDN)]);
    }
    steps.truncate(steps.len() - 2);
    check(steps, async |line, _| {
        assert!(ask(line, harmless(ASK)).await.unwrap_err().is_no_answer());
    });
}

#[test]
fn query_that_clears_a_register_is_asked_once() {
    check(vec![Hear(b"ERR?\n")], async |line, clock| {
        let before = clock.now();
        assert!(ask(line, never(b"ERR?\n")).await.unwrap_err().is_no_answer());
        assert_eq!(clock.now() - before, ms(250));
    });
}

#[test]
fn cancelled_query_leaves_its_late_answer_to_nobody() {
    let steps =
        vec![Hear(ASK), Wait(50), Say(b"1\n"), Hear(b"*IDN?\n"), Say(IDN), Hear(b"SENS:CORR:WAV?\n"), Say(b"1310\n")];
    check(steps, async |line, clock| {
        // Dropped after 10 ms: the answer comes 40 ms after that, while the next request is already under way.
        assert!(clock.timeout(ms(10), ask(line, harmless(ASK))).await.is_err());
        assert_eq!(ask(line, harmless(b"SENS:CORR:WAV?\n")).await, Ok(1310.0));
    });
}

#[test]
fn command_cut_off_in_the_middle_of_writing_is_spoilt_before_anything_else() {
    on_virtual_clock(async |clock| {
        let (near, mut far) = tokio::io::duplex(8);
        let mut line = Line::new(Box::new(near), clock.clone(), "pm", "pipe");
        assert!(clock.timeout(ms(10), line.send_urgent(b"MOV 1 12345\n")).await.is_err());
        let reading = async {
            let mut got = vec![0; 16];
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(got.escape_ascii().to_string(), r"MOV 1 12~\n*IDN?\n");
            far.write_all(IDN).await.unwrap();
        };
        let (came_back, ()) = tokio::join!(line.ready(), reading);
        came_back.unwrap();
    });
}

#[test]
fn port_closed_in_mid_answer_names_the_last_command_and_what_came_back() {
    check(vec![Hear(ASK), Say(b"1.2"), Wait(5), Close], async |line, _| {
        let failure = ask(line, harmless(ASK)).await.unwrap_err();
        assert!(failure.is_port_lost());
        let told = r#"pm: port /dev/ttyUSB0 lost (closed by the other side) after "MEAS:POW?"; came back: "1.2""#;
        assert_eq!(failure.to_string(), told);
        // Once lost it stays lost, also for what is urgent.
        assert!(line.send_urgent(b"\x18").await.unwrap_err().is_port_lost());
        assert!(line.send(b"ABOR\n").await.unwrap_err().is_port_lost());
    });
}

#[test]
fn port_closed_between_requests_names_the_last_exchange() {
    check(vec![Hear(ASK), Say(b"1\n"), Close], async |line, clock| {
        assert_eq!(ask(line, harmless(ASK)).await, Ok(1.0));
        clock.sleep(ms(1)).await;
        let failure = ask(line, harmless(b"NEXT?\n")).await.unwrap_err();
        assert!(failure.to_string().ends_with(r#"after "MEAS:POW?"; came back: "1""#), "{failure}");
    });
}

#[test]
fn urgent_command_goes_out_while_a_reply_is_pending() {
    let steps = vec![Hear(ASK), Hear(b"\x18"), Say(b"1\n"), Hear(b"*IDN?\n"), Say(IDN), Hear(ASK), Say(b"2\n")];
    check(steps, async |line, clock| {
        assert!(clock.timeout(ms(10), ask(line, harmless(ASK))).await.is_err());
        let before = clock.now();
        line.send_urgent(b"\x18").await.unwrap();
        assert_eq!(clock.now(), before);
        assert_eq!(ask(line, harmless(ASK)).await, Ok(2.0));
    });
}

#[test]
fn silence_is_told_with_request_limit_port_and_age_of_the_last_reply() {
    check(vec![Hear(b"A?\n"), Say(b"1\n"), Hear(b"ERR?\n")], async |line, clock| {
        ask(line, harmless(b"A?\n")).await.unwrap();
        clock.sleep(ms(2850)).await;
        let failure = ask(line, never(b"ERR?\n")).await.unwrap_err();
        let told = r#"pm: no answer to "ERR?" within 250 ms on /dev/ttyUSB0 (last reply 3.1 s ago)"#;
        assert_eq!(failure.to_string(), told);
    });
}

#[test]
fn half_an_answer_is_told_with_what_came() {
    check(vec![Hear(b"ERR?\n"), Say(b"-11")], async |line, _| {
        let failure = ask(line, never(b"ERR?\n")).await.unwrap_err();
        let told = r#"pm: only part of an answer to "ERR?" within 250 ms on /dev/ttyUSB0: "-11""#;
        assert_eq!(failure.to_string(), told);
    });
}

#[test]
fn answer_without_end_is_cut_at_its_bound() {
    static FLOOD: [u8; 5000] = [b'x'; 5000];
    let steps = vec![Hear(ASK), Say(&FLOOD), Wait(1), Hear(b"*IDN?\n"), Say(IDN), Hear(ASK), Say(b"4\n")];
    check(steps, async |line, _| {
        let failure = ask(line, never(ASK)).await.unwrap_err();
        assert!(matches!(&failure, LineError::TooLong { max: 4096, .. }), "{failure}");
        assert_eq!(ask(line, harmless(ASK)).await, Ok(4.0));
    });
}

#[test]
fn port_that_takes_no_bytes_is_told() {
    on_virtual_clock(async |clock| {
        let (near, _far) = tokio::io::duplex(4);
        let mut line = Line::new(Box::new(near), clock.clone(), "pm", "pipe");
        let failure = line.send_urgent(b"ABOR;*CLS\n").await.unwrap_err();
        assert_eq!(failure.to_string(), r#"pm: pipe took no bytes of "ABOR;*CLS" within 2000 ms (flow control?)"#);
    });
}

#[test]
fn device_that_never_identifies_itself_is_given_up_with_what_it_said() {
    let steps = (0..RECOVERY_ATTEMPTS).flat_map(|_| [Hear(b"*IDN?\n"), Say(b"what?\n")]).collect();
    on_virtual_clock(async |clock| {
        let (mut line, device) = scripted(&clock, steps);
        let failure = line.identify().await.unwrap_err();
        let told = r#"pm: no identity from "*IDN?" on /dev/ttyUSB0 in 3 attempts; came back: "what?""#;
        assert_eq!(failure.to_string(), told);
        drop(line);
        device.await.unwrap();
    });
}

#[test]
fn another_device_does_not_bring_a_known_line_back() {
    let mut steps = vec![Hear(b"A?\n")];
    steps.extend((0..RECOVERY_ATTEMPTS).flat_map(|_| [Hear(b"*IDN?\n"), Say(b"Thorlabs,PM101,M02,1.2\n")]));
    check(steps, async |line, _| {
        assert!(ask(line, never(b"A?\n")).await.is_err());
        let failure = ask(line, harmless(ASK)).await.unwrap_err();
        assert!(matches!(&failure, LineError::NotRecovered { heard, .. } if heard.contains("M02")), "{failure}");
    });
}

#[test]
fn babble_without_end_does_not_hold_the_line_for_ever() {
    on_virtual_clock(async |clock| {
        let (near, mut far) = tokio::io::duplex(4096);
        let mut line = Line::new(Box::new(near), clock.clone(), "pm", "pipe");
        tokio::task::spawn_local(async move { while far.write_all(b"1.0E-3\n").await.is_ok() {} });
        assert!(matches!(line.ready().await, Err(LineError::NotRecovered { .. })));
    });
}

#[test]
fn command_without_answer_needs_no_recovery_after_it() {
    check(vec![Hear(b"ABOR\n"), Hear(ASK), Say(b"1\n")], async |line, _| {
        line.send(b"ABOR\n").await.unwrap();
        assert_eq!(ask(line, harmless(ASK)).await, Ok(1.0));
        assert_eq!(line.recoveries(), 1);
    });
}

#[test]
fn same_conversation_gives_the_same_transcript() {
    let run = || {
        let mut text = String::new();
        let steps = vec![Hear(ASK), Hear(b"*IDN?\n"), Say(IDN), Hear(ASK), Wait(7), Say(b"7\n")];
        check(steps, async |line, _| {
            ask(line, harmless(ASK)).await.unwrap();
            text = line.tap().transcript();
        });
        text
    };
    assert_eq!(run(), run());
}

/// What a faulty device does with the next request.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Lose,
    Late(u64),
    Split,
    Twice,
    Garble,
    Cut,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Lose),
        2 => (1u64..900).prop_map(Fault::Late),
        1 => Just(Fault::Split),
        1 => Just(Fault::Twice),
        1 => Just(Fault::Garble),
        1 => Just(Fault::Cut),
    ]
}

/// Answers `<n>?` with `<n>` and `*IDN?` with the identity, in order, each answer with the next fault, until they are over.
async fn faulty(mut far: tokio::io::DuplexStream, clock: Clock, faults: Vec<Fault>, over: Rc<Cell<bool>>) {
    let mut faults = faults.into_iter().take_while(|_| !over.get());
    let mut input = Vec::new();
    while let Ok(1..) = far.read_buf(&mut input).await {
        while let Some(end) = scpi::line_end(&input) {
            let request: Vec<u8> = input.drain(..end).collect();
            let identity = request == b"*IDN?\n";
            let mut answer = if identity { IDN.to_vec() } else { [&request[..request.len() - 2], b"\n"].concat() };
            let middle = answer.len() / 2;
            match faults.next().unwrap_or(Fault::None) {
                Fault::Lose => continue,
                // An identity always comes within its limit, or never.
                Fault::Late(millis) => clock.sleep(ms(if identity { millis * 4 / 9 } else { millis })).await,
                Fault::Split => {
                    let _ = far.write_all(&answer[..middle]).await;
                    clock.sleep(ms(2)).await;
                    answer.drain(..middle);
                }
                Fault::Twice => answer = answer.repeat(2),
                Fault::Garble => answer[0] |= 0x80,
                Fault::Cut => answer.truncate(middle),
                Fault::None => clock.sleep(ms(1)).await,
            }
            let _ = far.write_all(&answer).await;
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_an_answer_is_this_requests_own(
        faults in proptest::collection::vec(fault(), 0..40),
        drops in proptest::collection::vec(proptest::option::of(1u64..400), 20),
    ) {
        on_virtual_clock(async |clock| {
            let (near, far) = tokio::io::duplex(4096);
            let over = Rc::new(Cell::new(false));
            let device = tokio::task::spawn_local(faulty(far, clock.clone(), faults, over.clone()));
            let mut line = Line::new(Box::new(near), clock.clone(), "pm", "pipe");
            for (n, dropped) in drops.into_iter().enumerate() {
                let request = format!("{}?\n", n + 1000);
                let repeat = if n % 2 == 0 { Repeat::Harmless } else { Repeat::Never };
                let query = Query { repeat, ..harmless(request.as_bytes()) };
                let asked = line.query(&query, scpi::integer);
                // Some futures are dropped in the middle.
                let answer = match dropped {
                    Some(after) => clock.timeout(ms(after), asked).await.ok(),
                    None => Some(asked.await),
                };
                if let Some(Ok(answer)) = answer {
                    assert_eq!(usize::try_from(answer).unwrap(), n + 1000);
                }
            }
            // With the faults over the line is good again, once what is late has come.
            over.set(true);
            clock.sleep(ms(5000)).await;
            assert_eq!(line.query(&harmless(b"7?\n"), scpi::integer).await, Ok(7));
            drop(line);
            device.await.unwrap();
        });
    }
}

/// A binary protocol with messages of four bytes; those that begin with `!` are sent unasked.
const BINARY: Protocol = Protocol {
    framing: |bytes| (bytes.len() >= 4).then_some(4),
    reply_max: 16,
    identity_request: b"who\n",
    is_identity: |answer| answer == b"me\r\n",
    identity_limit: Duration::from_millis(500),
    quiet: Duration::from_millis(20),
    spoil: b"",
    requests: crate::requests::Requests::ANY,
};

/// Runs a conversation on a line that speaks it, greeted.
fn check_binary<F: AsyncFnOnce(&mut Line, Clock)>(rest: Vec<Step>, talk: F) {
    on_virtual_clock(async |clock| {
        let mut steps = vec![Hear(b"who\n"), Say(b"me\r\n"), Hear(b"who\n"), Say(b"me\r\n")];
        steps.extend(rest);
        let (mut line, device) = scripted(&clock, steps);
        line.speak_binary(BINARY, |message| message[0] == b'!');
        assert_eq!(line.identify().await.unwrap(), b"me\r\n");
        talk(&mut line, clock).await;
        drop(line);
        device.await.unwrap();
    });
}

async fn ask_binary(line: &mut Line) -> Result<Vec<u8>, LineError> {
    line.query(&never(b"ask?"), |answer| Some(answer.to_vec())).await
}

#[test]
fn a_binary_answer_is_handed_over_whole_whatever_byte_it_ends_with() {
    check_binary(vec![Hear(b"ask?"), Say(b"\x01\x02\r\n")], async |line, _| {
        assert_eq!(ask_binary(line).await.unwrap(), b"\x01\x02\r\n");
    });
}

#[test]
fn messages_sent_unasked_are_passed_over_before_behind_and_between_answers() {
    let steps = vec![
        Hear(b"ask?"),
        Say(b"!endres1!end"),
        Wait(5),
        Say(b"!end"),
        Hear(b"ask?"),
        Say(b"!en"),
        Wait(2),
        Say(b"dres2"),
    ];
    check_binary(steps, async |line, clock| {
        assert_eq!(ask_binary(line).await.unwrap(), b"res1");
        clock.sleep(ms(10)).await;
        assert_eq!(ask_binary(line).await.unwrap(), b"res2");
        assert_eq!(line.recoveries(), 1, "only the greeting");
    });
}

#[test]
fn a_part_of_a_message_sent_unasked_brings_the_line_back() {
    let steps = vec![Wait(5), Say(b"!e"), Hear(b"who\n"), Say(b"me\r\n"), Hear(b"ask?"), Say(b"res1")];
    check_binary(steps, async |line, clock| {
        clock.sleep(ms(10)).await;
        assert!(ask_binary(line).await.is_ok_and(|answer| answer == b"res1"));
    });
}

#[test]
fn a_binary_message_cut_off_in_writing_is_completed_before_the_next() {
    let long: &'static [u8] = vec![b'x'; 6000].leak();
    let steps = vec![Wait(3000), Hear(long), Hear(b"who\n"), Say(b"me\r\n"), Hear(b"ask?"), Say(b"res1")];
    check_binary(steps, async |line, _| {
        assert!(matches!(line.send(long).await, Err(LineError::NotSent { .. })));
        line.ready().await.unwrap();
        assert_eq!(ask_binary(line).await.unwrap(), b"res1");
    });
}
