//! Whatever a chain of devices does, the driver must tell the truth about it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;

use super::ZaberAscii;
use super::fake::{Device, Shared, cut};
use crate::fake::Step::{Close, Hear, Say};
use crate::fake::{ms, on_virtual_clock, scripted, served};
use crate::identity::Expected;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};

const LIMIT: Duration = Duration::from_secs(10);
/// um of a microstep of stage 43021.
const STEP: f64 = 0.047_625;

fn channel(name: &str, axis: &str) -> ChannelSetup {
    let (axis, channel) = (axis.to_string(), name.to_string());
    ChannelSetup { axis, channel, unit: ChannelUnit::Millimetre, range: (1000.0, 24_000.0), velocity: 4000.0 }
}

/// Two axes of one device and one of the next.
fn setup() -> Vec<ChannelSetup> {
    vec![channel("1.1", "x"), channel("1.2", "y"), channel("2", "z")]
}

fn talk<F: AsyncFnOnce(&mut ZaberAscii, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, cut, move |request| far.borrow_mut().answer(request));
        let mut driver = ZaberAscii::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

/// The same, connected.
fn connected<F: AsyncFnOnce(&mut ZaberAscii, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

fn count(device: &Shared, words: &str) -> usize {
    device.borrow().heard.iter().filter(|h| h.contains(words)).count()
}

fn near(got: &[f64], expected: &[f64]) {
    let all = got.len() == expected.len() && got.iter().zip(expected).all(|(g, e)| (g - e).abs() <= STEP / 2.0 + 1e-9);
    assert!(all, "{got:?}, not {expected:?}");
}

#[test]
fn connect_sets_every_item_and_moves_nothing() {
    talk(async |driver, device, _| {
        driver.connect(&setup()).await.unwrap();
        assert_eq!(driver.identity().to_string(), "X-MCB2 (serial 12345, firmware 7.38)");
        let heard = device.borrow().heard.join("\n");
        // 4000 um/s are 83989.5 microsteps a second; 1 and 24 mm are 20997 and 503937 microsteps.
        for item in
            ["1.0 set comm.alert 0", "2.0 set comm.checksum 1", "1.2 set maxspeed 137608", "2.1 set limit.min 20997"]
        {
            assert!(heard.contains(item), "{item} in {heard}");
        }
        assert!(heard.contains("1.1 set limit.max 503937") && !heard.contains("move") && !heard.contains(" home"));
        let states = driver.states(&["1.2", "2"]).await.unwrap();
        assert!(states.iter().all(|s| s.servo && s.referenced && s.position == 0.0));
    });
}

#[test]
fn other_devices_are_told_by_what_they_say() {
    let check = |expected: Expected, told: &str| {
        talk(async |driver, _, _| {
            driver.expected = expected;
            let failure = driver.connect(&setup()).await.unwrap_err().to_string();
            assert_eq!(
                failure,
                format!("pm: expected {told}, but Zaber X-MCB2 (serial 12345, firmware 7.38) answers on /dev/ttyUSB0")
            );
        });
    };
    check(Expected { model: Some("X-MCC4".into()), serial: None }, "X-MCC4");
    check(Expected { model: None, serial: Some("1".into()) }, "a Zaber device speaking ASCII with serial 1");
    on_virtual_clock(async |clock| {
        let mut line =
            ZaberAscii::new(served(&clock, cut, |_| b"-113,\"Undefined header\"\n".to_vec()), Expected::default());
        let failure = line.connect(&setup()).await.unwrap_err();
        assert!(
            matches!(&failure, MotionError::WrongDevice { found, .. } if found.contains("Undefined header")),
            "{failure}"
        );
    });
}

#[test]
fn simulated_devices_are_told_by_their_serial_number() {
    talk(async |driver, device, _| {
        device.borrow_mut().chain.get_mut(&1).unwrap().1 = 4_000_000_001;
        driver.connect(&setup()).await.unwrap();
        assert_eq!(driver.identity().serial, "SIM4000000001");
    });
}

#[test]
fn bench_file_that_does_not_fit_the_chain_is_told() {
    let check = |change: fn(&mut ChannelSetup, &mut Device), told: &str| {
        talk(async |driver, device, _| {
            let mut setup = setup();
            change(&mut setup[1], &mut device.borrow_mut());
            let failure = driver.connect(&setup).await.unwrap_err().to_string();
            assert_eq!(failure, format!("pm: axis y: {told}"));
            assert_eq!(count(&device, "1.2 set"), 0);
        });
    };
    check(|s, _| s.channel = "A".into(), "no channel \"A\" (the controller has channels device.axis, such as 1.1)");
    check(|s, _| s.channel = "1.3".into(), "no channel \"1.3\" (the controller has 1.1, 1.2)");
    check(
        |s, _| s.channel = "7.1".into(),
        "no channel \"7.1\" (the controller has no device at address 7, but at 1, 2)",
    );
    check(|s, _| s.unit = ChannelUnit::Degree, "position unit was set to deg but reads back mm or um");
    check(
        |s, d| {
            s.range.1 = 30_000.0;
            d.axis(1, 2).settings.insert("limit.max", 400_000);
        },
        "range 1000 to 30000 on channel 1.2 is outside the controller's travel 0 to 25399.984125",
    );
    check(
        |_, d| {
            d.axis(1, 2).settings.insert("peripheralid", 70000);
        },
        "no channel \"1.2\" (the controller has a stage unknown here on it, device 30222, peripheral 70000: give the um of \
         a microstep, 1.2@SIZE)",
    );
}

#[test]
fn size_of_a_microstep_is_the_bench_files_and_goes_with_the_resolution() {
    talk(async |driver, device, _| {
        {
            let mut device = device.borrow_mut();
            device.axis(1, 1).settings.insert("peripheralid", 70000);
            device.axis(1, 1).settings.insert("resolution", 128);
        }
        let setup = ChannelSetup { range: (0.0, 20_000.0), ..channel("1.1@0.1", "x") };
        driver.connect(&[setup]).await.unwrap();
        assert_eq!(device.borrow_mut().axis(1, 1).settings["limit.max"], 400_000);
        driver.start_move(&[("1.1@0.1", 500.0)]).await.unwrap();
        assert_eq!(device.borrow_mut().axis(1, 1).target, 10_000);
    });
}

#[test]
fn soft_limits_of_an_earlier_bench_file_do_not_narrow_the_travel() {
    talk(async |driver, device, _| {
        for (min, max) in [(1, 10), (530_000, 530_001)] {
            device.borrow_mut().axis(1, 1).settings.extend([("limit.min", min), ("limit.max", max)]);
            driver.connect(&setup()).await.unwrap();
            assert_eq!(device.borrow_mut().axis(1, 1).settings["limit.max"], 503_937);
        }
    });
}

#[test]
fn firmware_without_checksums_and_sensors_is_driven_all_the_same() {
    talk(async |driver, device, _| {
        device.borrow_mut().lacks = vec!["comm.checksum", "resolution", "limit.home.pos", "limit.away.pos"];
        driver.connect(&setup()).await.unwrap();
        driver.start_move(&[("2", 5000.0)]).await.unwrap();
        driver.wait_on_target(&["2"], LIMIT).await.unwrap();
        near(&driver.positions(&["2"]).await.unwrap(), &[5000.0]);
    });
}

#[test]
fn axes_of_several_devices_move_and_arrive() {
    connected(async |driver, device, _| {
        driver.start_move(&[("1.1", 1250.0), ("2", 2000.0)]).await.unwrap();
        driver.wait_on_target(&["1.1", "2"], LIMIT).await.unwrap();
        near(&driver.positions(&["2", "1.1", "1.2"]).await.unwrap(), &[2000.0, 1250.0, 0.0]);
        assert!(driver.on_target(&["1.1", "2"]).await.unwrap());
        let heard = device.borrow().heard.clone();
        assert_eq!(count(&device, "move abs"), 2);
        // 40 ms of motion are followed closely with few questions; positions take one a device.
        let looks = heard.iter().filter(|h| h.as_str() == "1.1").count();
        assert!((4..=14).contains(&looks), "{heard:?}");
        assert_eq!(count(&device, ".0 get pos"), 2);
    });
}

#[test]
fn relative_moves_go_from_the_target() {
    connected(async |driver, _, _| {
        driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
        driver.start_move_by(&[("1.1", 25.0)]).await.unwrap();
        driver.wait_on_target(&["1.1"], LIMIT).await.unwrap();
        near(&driver.positions(&["1.1"]).await.unwrap(), &[2025.0]);
    });
}

#[test]
fn refused_move_is_told_in_the_devices_word_and_stops_those_before_it() {
    connected(async |driver, device, _| {
        let failure = driver.start_move(&[("1.1", 2000.0), ("1.2", 35_000.0)]).await.unwrap_err();
        let told = "pm: axis y: \"move abs 734908\" refused with BADDATA (value out of range or malformed)";
        assert_eq!(failure.to_string(), told);
        assert_eq!(count(&device, "1.1 stop"), 1);
    });
}

#[test]
fn move_after_a_restart_is_not_referenced_and_not_sent() {
    connected(async |driver, device, clock| {
        device.borrow_mut().restart();
        clock.sleep(ms(1000)).await;
        let failure = driver.start_move(&[("1.2", 2000.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis y: not referenced");
        assert_eq!(count(&device, "move"), 0);
        assert!(!driver.states(&["1.2"]).await.unwrap()[0].referenced);
        device.borrow_mut().axis(1, 2).flags.clear();
        driver.start_move(&[("1.2", 2000.0)]).await.unwrap();
        device.borrow_mut().restart();
        let failure = driver.wait_on_target(&["1.2"], LIMIT).await.unwrap_err();
        assert!(matches!(failure, MotionError::NotReferenced { .. }), "{failure}");
    });
}

#[test]
fn flags_are_asked_for_before_a_move_unless_they_were_just_told() {
    connected(async |driver, device, clock| {
        for (pause, asked) in [(0, 0), (400, 0), (600, 1)] {
            clock.sleep(ms(pause)).await;
            device.borrow_mut().heard.clear();
            driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
            driver.wait_on_target(&["1.1"], LIMIT).await.unwrap();
            assert_eq!(count(&device, "warnings"), asked, "after {pause} ms");
        }
    });
}

#[test]
fn move_that_is_answered_with_a_fault_is_stopped() {
    for (flag, told) in [("WR", "not referenced"), ("FE", "refused with FE (limit error)")] {
        connected(async |driver, device, _| {
            device.borrow_mut().axis(1, 1).flags.push(flag);
            let failure = driver.start_move(&[("1.1", 2000.0)]).await.unwrap_err();
            assert!(failure.to_string().ends_with(told), "{failure}");
            assert_eq!((count(&device, "move abs"), count(&device, "1.1 stop")), (1, 1));
        });
    }
}

#[test]
fn faults_and_interruptions_of_a_move_are_told_once() {
    for (flag, told) in
        [("FS", "FS (stalled and stopped)"), ("NI", "NI (motion interrupted)"), ("FE", "FE (limit error)")]
    {
        connected(async |driver, device, _| {
            driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
            device.borrow_mut().axis(1, 1).flags.push(flag);
            let failure = driver.wait_on_target(&["1.1"], LIMIT).await.unwrap_err();
            assert_eq!(failure.to_string(), format!("pm: axis x: \"move abs\" refused with {told}"));
            driver.start_move(&[("1.1", 3000.0)]).await.unwrap();
            driver.wait_on_target(&["1.1"], LIMIT).await.unwrap();
        });
    }
}

#[test]
fn disabled_driver_is_told_and_switched_on_by_connect() {
    connected(async |driver, device, _| {
        device.borrow_mut().axis(1, 1).flags.push("FO");
        assert!(!driver.states(&["1.1"]).await.unwrap()[0].servo);
        let failure = driver.start_move(&[("1.1", 2000.0)]).await.unwrap_err();
        assert!(matches!(&failure, MotionError::RefusedByWord { word, .. } if word == "FO"), "{failure}");
        driver.connect(&setup()).await.unwrap();
        assert!(driver.states(&["1.1"]).await.unwrap()[0].servo);
    });
}

#[test]
fn axis_that_is_elsewhere_by_its_own_count_is_told() {
    connected(async |driver, device, _| {
        driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
        device.borrow_mut().axis(1, 1).ends_at = Some(30_000);
        let failure = driver.wait_on_target(&["1.1"], LIMIT).await.unwrap_err();
        assert!(
            matches!(failure, MotionError::ElsewhereThanTarget { position, .. } if position == 30_000.0 * STEP),
            "{failure}"
        );
        assert!(!driver.on_target(&["1.1"]).await.unwrap());
    });
}

#[test]
fn move_whose_answer_is_lost_is_not_sent_again() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["move abs"];
        driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
        driver.wait_on_target(&["1.1"], LIMIT).await.unwrap();
        assert_eq!(count(&device, "move abs"), 1);
        device.borrow_mut().ignore = vec!["move abs"];
        let failure = driver.start_move(&[("1.1", 3000.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: target was set to 62992 but reads back 41995");
        assert_eq!(count(&device, "move abs"), 2);
    });
}

#[test]
fn lost_answers_to_settings_are_read_back() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["set maxspeed", "get maxspeed"];
        driver.set_velocity(&[("1.1", 1000.0)]).await.unwrap();
        device.borrow_mut().ignore = vec!["set maxspeed"];
        let failure = driver.set_velocity(&[("1.1", 2000.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: velocity was set to 68804 but reads back 34402");
    });
}

#[test]
fn another_device_after_the_line_came_back_is_not_moved() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["get pos"];
        device.borrow_mut().chain.get_mut(&2).unwrap().1 = 777;
        driver.positions(&["1.1"]).await.unwrap();
        let failure = driver.start_move(&[("1.1", 2000.0)]).await.unwrap_err();
        assert!(failure.to_string().contains("serial 12346 at address 2, but a device with serial 777"), "{failure}");
        assert_eq!(count(&device, "move"), 0);
    });
}

#[test]
fn stop_goes_out_at_once_while_a_wait_is_pending() {
    connected(async |driver, device, clock| {
        device.borrow_mut().move_time = ms(5000);
        driver.start_move(&[("1.1", 2000.0), ("2", 2000.0)]).await.unwrap();
        assert!(clock.timeout(ms(100), driver.wait_on_target(&["1.1"], LIMIT)).await.is_err());
        let before = clock.now();
        driver.stop_all().await.unwrap();
        assert!(clock.now() - before < ms(200), "{:?}", clock.now() - before);
        near(&driver.positions(&["1.1", "2"]).await.unwrap(), &[20_997.0 * STEP, 20_997.0 * STEP]);
        // The note that the stop left is not blamed on the next move.
        device.borrow_mut().move_time = ms(40);
        driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
        driver.wait_on_target(&["1.1"], LIMIT).await.unwrap();
    });
}

#[test]
fn axis_that_does_not_stop_is_told() {
    connected(async |driver, device, _| {
        device.borrow_mut().move_time = Duration::from_secs(60);
        device.borrow_mut().ignore = vec!["stop"];
        driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
        let failure = driver.stop_all().await.unwrap_err();
        assert!(matches!(failure, MotionError::NotFinished { what: "stop", .. }), "{failure}");
    });
}

#[test]
fn move_that_never_ends_is_told_at_its_limit() {
    connected(async |driver, device, clock| {
        device.borrow_mut().move_time = Duration::from_secs(60);
        driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
        let before = clock.now();
        let failure = driver.wait_on_target(&["1.1"], Duration::from_secs(3)).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: move not finished after 3.0 s (position 0)");
        assert!(clock.now() - before < ms(3100));
    });
}

#[test]
fn reference_waits_until_the_axis_is_home() {
    connected(async |driver, device, clock| {
        device.borrow_mut().restart();
        let before = clock.now();
        driver.reference("1.2").await.unwrap();
        assert!((ms(700)..ms(800)).contains(&(clock.now() - before)), "{:?}", clock.now() - before);
        device.borrow_mut().restart();
        device.borrow_mut().lose = vec!["home"];
        driver.reference("1.2").await.unwrap();
        assert_eq!(count(&device, "1.2 home"), 2);
        device.borrow_mut().restart();
        device.borrow_mut().ignore = vec!["home"];
        let failure = driver.reference("1.2").await.unwrap_err();
        assert!(matches!(failure, MotionError::NotReferenced { .. }), "{failure}");
        device.borrow_mut().home_flag = Some("FS");
        let failure = driver.reference("1.2").await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis y: \"home\" refused with FS (stalled and stopped)");
    });
}

#[test]
fn alerts_of_an_earlier_program_are_left_behind_and_switched_off() {
    let identities: &[u8] = b"!01 1 IDLE --\r\n@01 0 99 OK IDLE WR 12345\r\n";
    let steps = vec![
        Hear(b"/0 0 99 get system.serial:1B\n"),
        Say(identities),
        Hear(b"/1 0 01 get deviceid:41\n"),
        Say(b"!01 1 IDLE --\r\n@01 0 01 OK IDLE WR 30222\r\n"),
        Hear(b"/1 0 02 get system.serial:2A\n"),
        Say(b"@01 0 02 OK IDLE WR 12345\r\n"),
        Hear(b"/1 0 03 get version:76\n"),
        Say(b"@01 0 03 OK IDLE WR 7.38\r\n"),
        Hear(b"/1 0 04 set comm.alert 0:2D\n"),
        Say(b"@01 0 04 OK IDLE WR 0\r\n"),
        Hear(b"/1 0 05 get comm.alert:88\n"),
        Say(b"@01 0 05 OK IDLE WR 0\r\n"),
        Hear(b"/1 0 06 set comm.checksum 1:EF\n"),
        Say(b"@01 0 06 RJ IDLE WR BADCOMMAND\r\n"),
        Hear(b"/0 0 stop:9A\n/0 0 99 get system.serial:1B\n"),
        Say(b"@01 0 OK IDLE WR 0\r\n@01 0 99 OK ID"),
        Close,
    ];
    on_virtual_clock(async |clock| {
        let mut driver = ZaberAscii::new(scripted(&clock, steps).0, Expected::default());
        driver.connect(&[]).await.unwrap();
        assert_eq!(driver.identity().model, "X-MCB2");
        let failure = driver.stop_all().await.unwrap_err();
        let told = "pm: port /dev/ttyUSB0 lost (closed by the other side) after \"/0 0 99 get system.serial:1B\"";
        assert!(failure.to_string().starts_with(told), "{failure}");
    });
}

#[test]
fn channel_that_was_not_set_up_is_refused_before_a_byte_is_sent() {
    connected(async |driver, device, _| {
        let failure = driver.start_move(&[("2.2", 1.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis 2.2: no channel \"2.2\" (the controller has 1.1, 1.2, 2)");
        assert!(device.borrow().heard.is_empty());
    });
}

#[test]
fn cancelled_move_leaves_the_line_usable() {
    connected(async |driver, device, clock| {
        let started = async {
            driver.start_move(&[("1.1", 2000.0)]).await.unwrap();
        };
        assert!(clock.timeout(Duration::from_micros(500), started).await.is_err());
        near(&driver.positions(&["1.2"]).await.unwrap(), &[0.0]);
        assert_eq!(count(&device, "move abs"), 1);
    });
}
