//! Whatever a controller does, the driver must tell the truth about it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use units::clock::Clock;

use super::codec::{self, Answer};
use super::fake::{Device, MOVES, Shared, cut, identity};
use super::{Apt, NanoTrak, stages};
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};
use crate::tracker::{DitherTracker as _, Photocurrent, TrackSetup, TrackState};

const LIMIT: Duration = Duration::from_secs(10);
const CHANNEL: &str = "1:MTS50-Z8";

fn setup() -> ChannelSetup {
    ChannelSetup {
        axis: "x".into(),
        channel: CHANNEL.into(),
        unit: ChannelUnit::Millimetre,
        range: (1_000.0, 20_000.0),
        velocity: 1_000.0,
    }
}

fn talk<F: AsyncFnOnce(&mut Apt, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, cut, move |request| far.borrow_mut().answer(request));
        let mut driver = Apt::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

/// The same, connected.
fn connected<F: AsyncFnOnce(&mut Apt, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&[setup()]).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

#[test]
fn connect_sets_every_item_as_the_clients_do_and_moves_nothing() {
    talk(async |driver, device, _| {
        driver.connect(&[setup()]).await.unwrap();
        assert_eq!((driver.identity().model.as_str(), driver.identity().serial.as_str()), ("KDC101", "27000001"));
        assert_eq!(driver.identity().firmware, "1.0.2");
        let device = device.borrow();
        // thorlabs-apt-device: enable `10 02 01 01 50 01`; pylablib: `13 04 0e 00 d0 01 01 00 ...`, 1 mm/s = 767367.
        let sent =
            |bytes: &[u8]| assert!(device.heard.iter().any(|m| m == bytes), "{bytes:02x?} in {:02x?}", device.heard);
        sent(&[0x10, 0x02, 1, 1, 0x50, 1]);
        sent(&[0x12, 0x00, 0, 0, 0x50, 1]);
        sent(&[0x13, 0x04, 14, 0, 0xd0, 1, 1, 0, 0, 0, 0, 0, 0xb0, 0x35, 0, 0, 0x87, 0xb5, 0x0b, 0]);
        // Soft limits 1 mm and 20 mm, the switches as they were.
        assert_eq!(device.limits, [1, 0, 2, 0, 2, 0, 0x00, 0x78, 0x0a, 0x00, 0x00, 0x86, 0x00, 0x00, 3, 0]);
        assert_eq!((device.count(0x0443), device.count(0x0453)), (0, 0));
    });
}

#[test]
fn soft_limits_stay_off_until_the_axis_is_homed() {
    talk(async |driver, device, _| {
        device.borrow_mut().homed = false;
        driver.connect(&[setup()]).await.unwrap();
        assert_eq!(device.borrow().limits[14], 1);
        driver.reference(CHANNEL).await.unwrap();
        assert_eq!(device.borrow().limits[14], 3);
        let states = driver.states(&[CHANNEL]).await.unwrap();
        assert!(states[0].referenced && states[0].servo && states[0].position == 0.0);
    });
}

#[test]
fn other_devices_and_benches_that_do_not_fit_are_told() {
    let check = |change: fn(&mut Apt, &mut Device, &mut ChannelSetup), told: &str| {
        talk(async |driver, device, _| {
            let mut item = setup();
            change(driver, &mut device.borrow_mut(), &mut item);
            let failure = driver.connect(&[item]).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
            assert_eq!(device.borrow().count(0x0210), 0);
        });
    };
    check(
        |_, d, _| d.identity = identity("KPA101", 0),
        "a Thorlabs APT controller, but Thorlabs KPA101 (serial 27000001",
    );
    check(|_, d, _| d.identity = identity("KNA101", 0), "a Thorlabs APT controller, but Thorlabs KNA101");
    check(|a, _, _| a.expected.model = Some("KST101".into()), "expected KST101, but Thorlabs KDC101");
    check(|_, _, s| s.channel = "1".into(), "no channel \"1\" (the controller has 1:STAGE or 1:COUNTS_PER_MM)");
    check(|_, _, s| s.channel = "2:MTS50-Z8".into(), "no channel \"2:MTS50-Z8\" (the controller has 1)");
    check(|_, _, s| s.channel = "1:Z912".into(), "no channel \"1:Z912\"");
    check(
        |_, _, s| s.channel = "1:20000".into(),
        "stage was set to  (20000 counts) but reads back MTS50-Z8 (34304 counts)",
    );
    check(
        |_, _, s| s.range.1 = 60_000.0,
        "range 1000 to 60000 on channel 1:MTS50-Z8 is outside the controller's travel 0 to",
    );
}

#[test]
fn a_setting_that_does_not_read_back_is_told() {
    talk(async |driver, device, _| {
        device.borrow_mut().velocity_max = 500_000;
        let failure = driver.connect(&[setup()]).await.unwrap_err().to_string();
        assert_eq!(failure, "pm: axis x: velocity was set to 767367 but reads back 500000");
    });
}

#[test]
fn refusals_come_in_the_vendors_words() {
    connected(async |driver, device, _| {
        device.borrow_mut().refuses = true;
        let failure = driver.set_velocity(&[(CHANNEL, 500.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { code: 7, .. }), "{failure}");
        assert!(failure.to_string().contains("not now"), "{failure}");
    });
}

#[test]
fn a_move_goes_out_as_seen_from_pylablib_and_rest_before_it_begins_is_no_arrival() {
    connected(async |driver, device, clock| {
        let begun = clock.now();
        driver.start_move(&[(CHANNEL, 1_250.0)]).await.unwrap();
        assert!(!driver.on_target(&[CHANNEL]).await.unwrap());
        let bytes = [0x53, 4, 6, 0, 0xd0, 1, 1, 0, 0x80, 0xa7, 0, 0];
        assert!(device.borrow().heard.iter().any(|m| m[..] == bytes));
        driver.wait_on_target(&[CHANNEL], LIMIT).await.unwrap();
        let took = clock.now() - begun;
        assert!(took >= MOVES && took < MOVES + ms(50), "{took:?}");
        assert!(device.borrow().count(0x0490) < 60, "{}", device.borrow().count(0x0490));
        assert_eq!(driver.positions(&[CHANNEL]).await.unwrap(), [1_250.0]);
        driver.start_move_by(&[(CHANNEL, -250.0)]).await.unwrap();
        driver.wait_on_target(&[CHANNEL], LIMIT).await.unwrap();
        assert_eq!(device.borrow().target, 34_304);
        assert_eq!(device.borrow().count(0x0005), 0, "the line never had to be brought back");
    });
}

#[test]
fn ends_of_moves_that_come_unasked_are_passed_over() {
    connected(async |driver, device, clock| {
        device.borrow_mut().chatty = true;
        for target in [1_250.0, 2_500.0] {
            driver.start_move(&[(CHANNEL, target)]).await.unwrap();
            clock.sleep(MOVES).await;
            assert_eq!(driver.positions(&[CHANNEL]).await.unwrap(), [target]);
        }
        assert_eq!((device.borrow().count(0x0005), device.borrow().count(0x0453)), (0, 2));
    });
}

#[test]
fn an_axis_that_was_not_homed_or_was_restarted_is_not_moved() {
    connected(async |driver, device, _| {
        device.borrow_mut().homed = false;
        let failure = driver.start_move(&[(CHANNEL, 1_250.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::NotReferenced { .. }), "{failure}");
        (device.borrow_mut().homed, device.borrow_mut().enabled) = (true, false);
        let failure = driver.start_move_by(&[(CHANNEL, 1.0)]).await.unwrap_err().to_string();
        assert_eq!(failure, "pm: axis x: channel was set to enabled but reads back disabled");
        assert_eq!(device.borrow().count(0x0453), 0);
        device.borrow_mut().enabled = true;
        driver.start_move(&[(CHANNEL, 1_250.0)]).await.unwrap();
        device.borrow_mut().homed = false;
        let failure = driver.wait_on_target(&[CHANNEL], LIMIT).await.unwrap_err();
        assert!(matches!(failure, MotionError::NotReferenced { .. }), "{failure}");
    });
}

#[test]
fn a_move_that_ends_elsewhere_says_where_and_why() {
    let check = |bits: u32, told: &str| {
        connected(async |driver, device, clock| {
            (device.borrow_mut().stuck_at, device.borrow_mut().extra_bits) = (Some(3_430), bits);
            let begun = clock.now();
            driver.start_move(&[(CHANNEL, 1_250.0)]).await.unwrap();
            let failure = driver.wait_on_target(&[CHANNEL], LIMIT).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
            assert!(clock.now() - begun < MOVES + ms(400));
        });
    };
    check(0, "on target by its own word, but at 99.98");
    check(0x2, "refused with error 2 (hardware limit switch of rising counts)");
    check(0x0100_0008, "refused with error 16777216 (motor current limit reached)");
}

#[test]
fn a_move_or_a_home_that_does_not_end_is_told() {
    connected(async |driver, device, _| {
        driver.start_move(&[(CHANNEL, 1_250.0)]).await.unwrap();
        let failure = driver.wait_on_target(&[CHANNEL], ms(100)).await.unwrap_err();
        assert!(matches!(failure, MotionError::NotFinished { what: "move", .. }), "{failure}");
        device.borrow_mut().ignores_home = true;
        let failure = driver.reference(CHANNEL).await.unwrap_err();
        assert!(matches!(failure, MotionError::NotFinished { what: "reference search", .. }), "{failure}");
    });
}

#[test]
fn a_stop_goes_out_at_once_and_is_confirmed() {
    connected(async |driver, device, clock| {
        driver.start_move(&[(CHANNEL, 1_250.0)]).await.unwrap();
        // A question whose answer nobody waits for.
        let _ = clock.timeout(Duration::from_micros(100), driver.positions(&[CHANNEL])).await;
        driver.stop_all().await.unwrap();
        let heard = &device.borrow().heard;
        let stop = heard.iter().position(|m| m[..] == [0x65, 4, 1, 1, 0x50, 1]).unwrap();
        assert_eq!(heard[stop - 1][..2], [0x90, 0x04], "no other message in between");
        assert!(device.borrow().count(0x0490) > 1);
    });
}

/// A NanoTrak after the bytes of the sheet's dialogue.
fn nanotrak(answers: Rc<RefCell<Vec<Vec<u8>>>>) -> impl FnMut(&[u8]) -> Vec<u8> {
    let mut kept = std::collections::BTreeMap::<u16, Vec<u8>>::new();
    let mut mode = 1;
    move |request| {
        answers.borrow_mut().push(request.to_vec());
        let id = u16::from_le_bytes([request[0], request[1]]);
        let with = |id: u16, data: &[u8]| {
            let mut bytes = id.to_le_bytes().to_vec();
            bytes.extend([u8::try_from(data.len()).unwrap(), 0, 0x81, 0x50]);
            bytes.extend(data);
            bytes
        };
        let triples = [
            (0x0606, 0x0607, 0x0608),
            (0x0609, 0x0610, 0x0611),
            (0x0618, 0x0619, 0x0620),
            (0x0626, 0x0627, 0x0628),
            (0x0630, 0x0631, 0x0632),
            (0x0633, 0x0634, 0x0635),
        ];
        for (set, ask, get) in triples {
            if id == set {
                kept.insert(get, request[6..].to_vec());
            } else if id == ask {
                return with(get, &kept[&get]);
            }
        }
        match id {
            0x0005 => identity("KNA101", 0),
            0x0603 => {
                mode = if request[2] == 3 { 4 } else { request[2] };
                Vec::new()
            }
            0x0604 => vec![0x05, 0x06, mode, 1, 0x01, 0x50],
            0x0613 => with(0x0614, &[&kept[&0x0611][..], &[0x9c, 0x53, 0xc9, 0x35, 0, 0x40, 9, 0, 1, 0]].concat()),
            0x0639 => vec![0x3a, 6, 10, 0, 0x81, 0x50, 0x9c, 0x53, 0xc9, 0x35, 0, 0x40, 9, 0, 1, 0],
            _ => Vec::new(),
        }
    }
}

#[test]
fn a_nanotrak_is_set_up_as_in_the_dialogue_tracks_and_latches() {
    on_virtual_clock(async |clock| {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let line = served(&clock, cut, nanotrak(heard.clone()));
        let mut driver = NanoTrak::new(line, Expected::default());
        let setup = TrackSetup {
            travel_um: 20.0,
            diameter_um: 2.0,
            frequency_hz: 43.75,
            gain: 1.0,
            lag_deg: [9.0, 9.0],
            threshold_a: 1e-7,
        };
        driver.connect(&setup).await.unwrap();
        driver.move_centre([10.0, 5.0]).await.unwrap();
        let centre = driver.centre().await.unwrap();
        assert!((centre[1] - 5.0).abs() < 1e-3, "{centre:?}");
        let Photocurrent::Amperes(amperes) = driver.photocurrent().await.unwrap() else { panic!("a photocurrent") };
        assert!((amperes - 1.5e-6).abs() < 1e-9, "{amperes}");
        assert_eq!(driver.track_for(ms(500)).await.unwrap(), TrackState::Tracking);
        assert_eq!(driver.state().await.unwrap(), TrackState::Latched);
        driver.set_up(&TrackSetup { diameter_um: 1.0, ..setup }).await.unwrap();
        let heard = heard.borrow();
        // thorlabs-apt-protocol: latch, threshold 1e-7, gain 600, track; the frequency word 160 is 43.75 Hz.
        for bytes in [
            &[0x03, 0x06, 2, 0, 0x50, 1][..],
            &[0x06, 0x06, 4, 0, 0xd0, 1, 0x95, 0xbf, 0xd6, 0x33],
            &[0x33, 0x06, 4, 0, 0xd0, 1, 2, 0, 0x58, 2],
            &[0x26, 0x06, 6, 0, 0xd0, 1, 2, 0, 4, 0, 4, 0],
            &[0x03, 0x06, 3, 0, 0x50, 1],
        ] {
            assert!(heard.iter().any(|m| m == bytes), "{bytes:02x?}");
        }
        let circles: Vec<_> = heard.iter().filter(|m| m[..2] == [0x18, 0x06]).collect();
        let diameters: Vec<u16> = circles.iter().map(|m| u16::from_le_bytes([m[8], m[9]])).collect();
        assert!(circles[0][10..12] == [0xa0, 0] && diameters == [6554, 3277], "{circles:02x?}");
    });
}

#[test]
fn stages_are_named_or_counted() {
    let counts = |text: &str| stages::channel(text).map(|(n, stage)| (n, stage.map(|s| s.counts)));
    assert_eq!(counts("1"), Some((1, None)));
    assert_eq!(counts("2:dds220"), Some((2, Some(20_000.0))));
    assert_eq!(counts("3: 409600"), Some((3, Some(409_600.0))));
    for bad in ["", "0:1", "x", "1:", "1:-3", "1:inf", "11:DDS220", "1:NOSUCH"] {
        assert_eq!(counts(bad), None, "{bad}");
    }
}

#[test]
fn every_cut_of_a_message_waits_and_junk_before_it_is_passed_over_byte_by_byte() {
    let whole = identity("KDC101", 8);
    for end in 0..whole.len() {
        assert_eq!(codec::framing(&whole[..end]), None, "{end}");
        assert_eq!(codec::identity(&whole[..end]), None);
    }
    assert_eq!(codec::framing(&whole), Some(90));
    assert!(codec::identity(&whole).is_some());
    // The second byte on begins no header: source and destination are wrong.
    assert_eq!(codec::framing(&whole[1..]), Some(1));
    assert_eq!(codec::framing(&[0x91, 0x04, 0, 1, 0x81, 0x50]), Some(1), "256 bytes of data");
}

#[test]
fn the_longer_record_of_a_stepper_is_read_where_pylablib_reads_it() {
    let mut bytes = vec![0x81, 0x04, 20, 0, 0x81, 0x50, 1, 0];
    bytes.extend(42_880i32.to_le_bytes());
    bytes.resize(22, 0);
    bytes.extend(0x8000_0510u32.to_le_bytes());
    let found = codec::answer(&bytes, 0x0481, 0x50, codec::status);
    let Some(Answer::Value(status)) = found else { panic!("{found:?}") };
    assert_eq!((status.counts, status.bits), (42_880, 0x8000_0510));
    assert_eq!(codec::answer(&bytes, 0x0491, 0x50, codec::status), None);
    assert_eq!(codec::answer(&bytes, 0x0481, 0x21, codec::status), None);
}

proptest! {
    #[test]
    fn no_bytes_panic_or_stall(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut rest = &bytes[..];
        while let Some(end) = codec::framing(rest) {
            prop_assert!(end > 0 && end <= rest.len());
            let _ = (codec::is_aside(&rest[..end]), codec::identity(&rest[..end]));
            let _ = codec::answer(&rest[..end], 0x0491, 0x50, codec::status);
            let _ = codec::answer(&rest[..end], 0x0661, 0x50, codec::piezo_status);
            rest = &rest[end..];
        }
        prop_assert!(rest.len() < 6 + 255);
    }

    #[test]
    fn a_flipped_bit_never_makes_another_position(at in 0usize..20, bit in 0u8..8) {
        // Without a check sum a flipped bit of the data is a lie nobody can see; one of the header must not be taken.
        let mut bytes = vec![0x91, 0x04, 14, 0, 0x81, 0x50, 1, 0, 0x80, 0xa7, 0, 0, 0, 0, 0, 0, 0, 0x15, 0, 0x80];
        bytes[at] ^= 1 << bit;
        let found = codec::answer(&bytes, 0x0491, 0x50, codec::status);
        // Some firmware leaves the destination at 0.
        prop_assert_eq!(found.is_none(), at < 8 && (at, bit) != (4, 0));
    }
}
