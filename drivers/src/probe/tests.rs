//! Who is recognised by what, and that nobody is kept longer than he should be.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::fake::{ms, on_virtual_clock};

#[test]
fn instruments_are_known_by_maker_and_model_and_others_are_told() {
    let check = |answer: &str, expect: Result<&str, bool>| {
        let got = by_identity(answer.as_bytes());
        assert_eq!(got.map(|k| k.driver).map_err(|stranger| stranger.is_some()), expect, "{answer}");
    };
    check("(c)2015 Physik Instrumente (PI) GmbH & Co. KG, C-884, 0123456789, 1.2.0\n", Ok("pi-gcs2"));
    check("Thorlabs,PM101,M01,1.2\n", Ok("thorlabs-pm"));
    check("*IDN?\r\nThorlabs,PM101,M01,1.2\r\n> \r\n", Ok("thorlabs-pm"));
    check("Keysight Technologies,N7776C,MY0,1.2\r\n", Ok("keysight-laser"));
    check("Keysight Technologies,N7745A,DE0,V1.1\n", Ok("keysight-pm"));
    check("SANTEC,TSL-570,22020001,0001.0000.0001\r\n", Ok("santec-tsl"));
    check("Dicon Fiberoptics Inc, GP600, 19A0M10D0117, 7.0\r", Ok("dicon-switch"));
    check("*IDN?\r\n>NEWPORT 2936-R v1.2.3 08/04/15 SN24777\r\n", Ok("newport-1936"));
    check("ESP300 Version 3.04 07/27/01\r\n", Ok("newport-esp"));
    check("ESP302 Version 1.0\r\n", Ok("newport-esp"));
    check("NEWPORT 2938-R v1.2.3 08/04/15 SN24777\r\n", Err(false));
    check("Keysight Technologies,E4980A,MY0,1.2\n", Err(true));
    check("garbage", Err(false));
    check("", Err(false));
}

#[test]
fn a_network_address_is_asked_in_each_framing_and_a_device_at_every_rate() {
    let network = visits("localhost:4000");
    assert!(network.iter().all(|(address, _)| *address == Address::Tcp("localhost:4000".into())));
    assert!(network.iter().any(|(_, questions)| questions.contains(&Segments)));
    let rates: Vec<String> = visits("/dev/ttyUSB0").iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(rates[0], "/dev/ttyUSB0 at 115200 baud");
    assert!([19_200, 57_600, 921_600].iter().all(|baud| rates.contains(&format!("/dev/ttyUSB0 at {baud} baud"))));
}

#[test]
fn no_binary_question_comes_before_a_text_one_on_the_same_opening() {
    for (_, questions) in SERIAL.iter().map(|(b, q)| (*b, *q)).chain(NETWORK.iter().map(|q| (0, *q))) {
        let first_binary = questions.iter().position(|q| q.is_binary()).unwrap_or(questions.len());
        assert!(questions[first_binary..].iter().all(|q| q.is_binary()), "{questions:?}");
    }
}

/// Asks the questions of a port opened at 115200 baud of a device that answers each chunk it is sent by a function.
fn at(questions: &'static [Question], mut answer: impl FnMut(&[u8]) -> Vec<u8> + 'static) -> (Outcome, f64) {
    let got = Rc::new(RefCell::new((Outcome::Silence, 0.0)));
    let into = got.clone();
    on_virtual_clock(async |clock| {
        let (near, mut far) = tokio::io::duplex(8192);
        tokio::task::spawn_local(async move {
            let mut chunk = [0; 512];
            while let Ok(n @ 1..) = far.read(&mut chunk).await {
                let reply = answer(&chunk[..n]);
                if far.write_all(&reply).await.is_err() {
                    return;
                }
            }
        });
        let begun = clock.seconds();
        let mut talk = Talk::new(Box::new(near), &clock);
        let outcome = visit(&mut talk, questions, true).await;
        let outcome = match (outcome, talk.heard()) {
            (Outcome::Silence, Some(text)) => Outcome::Stranger(text.clone()),
            (outcome, _) => outcome,
        };
        *into.borrow_mut() = (outcome, clock.seconds() - begun);
        clock.sleep(ms(1)).await;
    });
    got.replace((Outcome::Silence, 0.0))
}

fn driver(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Found(found) => found.known.driver,
        _ => "none",
    }
}

const ALL: &[Question] = &[Idn, Zaber, NewportSmc, IdnCr, NewportEsp, Newport1830, ThorlabsApt, Joinwit];

#[test]
fn a_port_on_which_nobody_answers_is_done_in_bounded_time_at_all_rates() {
    let total: f64 = SERIAL.iter().map(|(_, questions)| at(questions, |_| Vec::new()).1).sum();
    assert!(total < LIMIT.as_secs_f64(), "{total} s");
    // One that babbles without end, too.
    let (outcome, took) = at(ALL, |_| vec![0x55; 300]);
    assert!(took < 12.0 && driver(&outcome) == "none", "{took} s");
}

#[test]
fn an_instrument_that_answers_garbage_to_every_other_question_is_recognised_by_its_own() {
    let text = |request: &[u8]| String::from_utf8_lossy(request).trim().to_string();
    let smc = at(ALL, move |request| match text(request).as_str() {
        "1VE" => b"1VE SMC_CC_2.0.1\r\n".to_vec(),
        "1ID?" => b"1IDTRA25CC_SN:B123456\r\n".to_vec(),
        "2VE" => b"2VE SMC_CC_2.0.1\r\n".to_vec(),
        _ => b"\xfe\x00#?1,2\r\n".to_vec(),
    });
    let Outcome::Found(found) = &smc.0 else { panic!("{smc:?}") };
    assert_eq!((found.known.driver, found.known.identity.serial.as_str()), ("newport-smc", "B123456"));
    assert_eq!(found.known.channels, ["1", "2"]);
    let esp = at(ALL, move |request| match text(request).as_str() {
        "VE?" => b"ESP301 Version 3.0.1 6/1/99\r\n".to_vec(),
        _ => b"6, 12, COMMAND DOES NOT EXIST\r\n".to_vec(),
    });
    assert_eq!(driver(&esp.0), "newport-esp");
    let meter = at(ALL, move |request| {
        let setting = [("W?", "1310"), ("U?", "1"), ("F?", "3"), ("R?", "4"), ("G?", "1"), ("Z?", "0")];
        let found = setting.iter().find(|(letter, _)| text(request) == *letter);
        found.map_or(b"?\n".to_vec(), |(_, value)| format!("{value}\n").into_bytes())
    });
    assert_eq!(driver(&meter.0), "newport-1830");
    let chain = at(ALL, move |request| {
        let data = [("deviceid", "30222"), ("serial", "123456"), ("version", "7.38"), ("axiscount", "2")];
        let found = data.iter().find(|(word, _)| text(request).contains(word));
        found.map_or(b"@99 9\r\n".to_vec(), |(_, value)| {
            format!("@01 0 98 OK IDLE WR {value}\r\n@02 0 98 OK IDLE WR {value}\r\n").into_bytes()
        })
    });
    let Outcome::Found(found) = &chain.0 else { panic!("{chain:?}") };
    assert_eq!((found.known.driver, found.known.identity.model.as_str()), ("zaber-ascii", "X-MCB2"));
    assert_eq!(found.known.channels, ["1.1", "1.2", "2.1", "2.2"]);
}

#[test]
fn an_esp_is_recognised_at_a_rate_at_which_only_the_identity_is_asked() {
    let (outcome, _) = at(&[Idn, IdnCr], |request| match request {
        b"\r*IDN?\r" => b"ESP300 Version 3.08 09/09/02\r\n".to_vec(),
        _ => Vec::new(),
    });
    let Outcome::Found(found) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((found.known.driver, found.known.identity.model.as_str()), ("newport-esp", "ESP300"));
    assert_eq!(found.known.channels, ["1", "2", "3"]);
}

#[test]
fn numbers_within_other_ranges_are_no_1830() {
    let (outcome, _) = at(&[Newport1830], |_| b"1310\n".to_vec());
    assert_ne!(driver(&outcome), "newport-1830");
}

/// The identity of a KDC101 as pylablib reads it, from a unit that is out of step by what it was sent before.
#[test]
fn a_binary_unit_out_of_step_is_asked_until_it_is_in_step() {
    for lost in 0..6 {
        let mut input = vec![7; lost];
        let (outcome, _) = at(&[ThorlabsApt], move |chunk| {
            input.extend(chunk);
            let mut reply = Vec::new();
            while input.len() >= 6 {
                let message: Vec<u8> = input.drain(..6).collect();
                if message == [5, 0, 0, 0, 0x50, 1] {
                    reply = vec![6, 0, 84, 0, 0x81, 0x50, 0xc1, 0xfc, 0x9b, 1];
                    reply.extend(b"KDC101\0\0\x10\0");
                    reply.resize(90, 0);
                    reply[82] = 8;
                }
            }
            reply
        });
        let Outcome::Found(found) = &outcome else { panic!("out of step by {lost}: {outcome:?}") };
        assert_eq!((found.known.identity.model.as_str(), found.known.driver), ("KDC101", "thorlabs-apt"));
        assert_eq!(found.known.channels, ["1:MTS50-Z8"]);
    }
}

#[test]
fn a_stranger_that_names_himself_is_asked_no_more_and_told() {
    let asked = Rc::new(RefCell::new(0));
    let counted = asked.clone();
    let (outcome, _) = at(ALL, move |_| {
        *counted.borrow_mut() += 1;
        b"Keysight Technologies,E4980A,MY0,1.2\n".to_vec()
    });
    assert_eq!(outcome, Outcome::Stranger("Keysight Technologies E4980A (serial MY0, firmware 1.2)".into()));
    assert_eq!(*asked.borrow(), 2, "the line end and one question");
    let (outcome, _) = at(&[Idn, NewportSmc], |_| b"1VE CONEX-AGP 1.0.0\r\n".to_vec());
    assert_eq!(outcome, Outcome::Stranger("Newport CONEX-AGP 1.0.0".into()));
    let (outcome, _) = at(&[Idn], |_| b"login: \n".to_vec());
    assert_eq!(outcome, Outcome::Stranger("login: ".into()));
}
