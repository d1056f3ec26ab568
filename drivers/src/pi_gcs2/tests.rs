//! Whatever a controller does, the driver must tell the truth about it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;

use super::Gcs2;
use super::fake::{Device, IDN, Shared, cut};
use crate::exchange::LineError;
use crate::fake::Step::{Close, Hear, Say};
use crate::fake::{ms, on_virtual_clock, scripted, served};
use crate::identity::Expected;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};

fn channel(name: &str, axis: &str) -> ChannelSetup {
    let (axis, channel) = (axis.to_string(), name.to_string());
    ChannelSetup { axis, channel, unit: ChannelUnit::Millimetre, range: (-10_000.0, 10_000.0), velocity: 5_000.0 }
}

fn setup() -> Vec<ChannelSetup> {
    vec![channel("1", "x"), channel("2", "y")]
}

fn talk<F: AsyncFnOnce(&mut Gcs2, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, cut, move |request| far.borrow_mut().answer(request));
        let mut driver = Gcs2::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

/// The same, connected.
fn connected<F: AsyncFnOnce(&mut Gcs2, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

fn count(device: &Shared, beginning: &str) -> usize {
    device.borrow().heard.iter().filter(|h| h.starts_with(beginning)).count()
}

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn connect_sets_every_item_and_moves_nothing() {
    talk(async |driver, device, _| {
        device.borrow_mut().error = 7;
        driver.connect(&setup()).await.unwrap();
        assert_eq!(driver.identity().model, "C-884");
        let heard = device.borrow().heard.join("\n");
        for item in ["CSV?", "SVO 1 1 2 1", "VEL 1 5 2 5", "NLM 1 -10 2 -10", "PLM 1 10 2 10", "SSL 1 1 2 1"] {
            assert!(heard.contains(item), "{item} in {heard}");
        }
        assert!(!heard.contains("MOV ") && !heard.contains("FRF "), "{heard}");
        let states = driver.states(&["2", "1"]).await.unwrap();
        assert!(states.iter().all(|s| s.servo && s.referenced && s.position == 0.0));
    });
}

#[test]
fn other_devices_are_told_by_what_they_say() {
    let check = |idn: &'static str, expected: Expected, told: &str| {
        talk(async |driver, device, _| {
            device.borrow_mut().idn = idn;
            driver.expected = expected;
            let failure = driver.connect(&setup()).await.unwrap_err();
            assert!(matches!(failure, MotionError::WrongDevice { .. }), "{failure}");
            assert!(failure.to_string().contains(told), "{failure}");
        });
    };
    check("Thorlabs,PM101,M01,1.2", Expected::default(), "but Thorlabs PM101 (serial M01, firmware 1.2) answers on");
    check("NEWPORT 1830-C", Expected::default(), "a device that says \"NEWPORT 1830-C\"");
    check(IDN, Expected { model: Some("C-887".into()), serial: None }, "expected C-887, but");
    check(IDN, Expected { model: None, serial: Some("1".into()) }, "with serial 1, but");
}

#[test]
fn gcs_3_controllers_are_refused() {
    let check = |csv, idn| {
        talk(async |driver, device, _| {
            (device.borrow_mut().csv, device.borrow_mut().idn) = (csv, idn);
            let failure = driver.connect(&setup()).await.unwrap_err();
            assert!(failure.to_string().contains("speaking GCS 3"), "{failure}");
        });
    };
    check(Some("3.0"), IDN);
    check(None, "(c)2021 Physik Instrumente (PI) GmbH & Co. KG, E-873, 1, 1.2.3.4");
    talk(async |driver, device, _| {
        device.borrow_mut().csv = None;
        driver.connect(&setup()).await.unwrap();
    });
}

#[test]
fn bench_file_that_does_not_fit_the_controller_is_told() {
    let check = |change: fn(&mut ChannelSetup, &mut Device), told: &str| {
        talk(async |driver, device, _| {
            let mut setup = setup();
            change(&mut setup[1], &mut device.borrow_mut());
            let failure = driver.connect(&setup).await.unwrap_err().to_string();
            assert_eq!(failure, format!("pm: axis y: {told}"));
            assert!(!device.borrow().heard.iter().any(|h| h.starts_with("SVO ")));
        });
    };
    check(|s, _| s.channel = "4".into(), "no channel \"4\" (the controller has 1, 2, 3)");
    check(
        |s, _| s.range.1 = 30_000.0,
        "range -10000 to 30000 on channel 2 is outside the controller's travel -25000 to 25000",
    );
    check(|s, _| s.unit = ChannelUnit::Micrometre, "position unit was set to UM but reads back MM");
}

#[test]
fn soft_limits_of_an_earlier_bench_file_do_not_narrow_the_travel() {
    talk(async |driver, device, _| {
        for axis in device.borrow_mut().axes.values_mut() {
            (axis.limits, axis.limits_on) = ((-1.0, 1.0), true);
        }
        driver.connect(&setup()).await.unwrap();
        assert_eq!(device.borrow().axes["1"].limits, (-10.0, 10.0));
        assert!(device.borrow().axes["1"].limits_on);
    });
}

#[test]
fn velocity_that_reads_back_otherwise_is_told() {
    talk(async |driver, device, _| {
        device.borrow_mut().velocity_max = 2.0;
        let failure = driver.connect(&setup()).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: velocity was set to 5 but reads back 2");
    });
}

#[test]
fn several_axes_move_in_one_command_and_arrive() {
    connected(async |driver, device, _| {
        driver.start_move(&[("1", 1250.0), ("2", -0.5)]).await.unwrap();
        assert_eq!(device.borrow().heard, ["MOV 1 1.25 2 -0.0005", "ERR?"]);
        driver.wait_on_target(&["1", "2"], LIMIT).await.unwrap();
        assert_eq!(driver.positions(&["2", "1"]).await.unwrap(), [-0.5, 1250.0]);
        // 40 ms of motion and 7 ms of settling are followed closely with few questions.
        assert!((4..=14).contains(&count(&device, "\x05")), "{}", count(&device, "\x05"));
    });
}

#[test]
fn relative_moves_go_from_the_target() {
    connected(async |driver, _, _| {
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        driver.start_move_by(&[("1", 25.0)]).await.unwrap();
        driver.wait_on_target(&["1"], LIMIT).await.unwrap();
        assert_eq!(driver.positions(&["1"]).await.unwrap(), [125.0]);
        assert!(driver.on_target(&["1"]).await.unwrap());
    });
}

#[test]
fn refused_move_is_told_with_the_controllers_code() {
    connected(async |driver, _, _| {
        let failure = driver.start_move(&[("1", 35_000.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: \"MOV 1 35\" refused with error 7 (target outside limits)");
    });
}

#[test]
fn move_after_a_restart_is_not_referenced() {
    connected(async |driver, device, _| {
        device.borrow_mut().restart();
        let failure = driver.start_move(&[("1", 1.0), ("2", 1.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: not referenced");
        // In the middle of a move it is noticed, too, well before the limit.
        driver.servo_on(&["1"]).await.unwrap();
        device.borrow_mut().axes.get_mut("1").unwrap().referenced = true;
        driver.start_move(&[("1", 1.0)]).await.unwrap();
        device.borrow_mut().restart();
        let failure = driver.wait_on_target(&["1"], LIMIT).await.unwrap_err();
        assert!(matches!(failure, MotionError::NotReferenced { .. }), "{failure}");
    });
}

#[test]
fn servo_that_went_off_is_told() {
    connected(async |driver, device, _| {
        device.borrow_mut().axes.get_mut("1").unwrap().servo = false;
        let failure = driver.start_move(&[("1", 1.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { code: 5, .. }), "{failure}");
        let failure = driver.wait_on_target(&["1"], LIMIT).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: servo was set to 1 but reads back 0");
    });
}

#[test]
fn move_whose_answer_is_lost_is_not_sent_again() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["ERR?"];
        driver.start_move(&[("1", 10.0)]).await.unwrap();
        assert_eq!(count(&device, "MOV "), 1);
        driver.wait_on_target(&["1"], LIMIT).await.unwrap();
        device.borrow_mut().lose = vec!["ERR?"];
        driver.start_move_by(&[("1", 10.0)]).await.unwrap();
        assert_eq!(count(&device, "MVR "), 1);
        driver.wait_on_target(&["1"], LIMIT).await.unwrap();
        assert_eq!(driver.positions(&["1"]).await.unwrap(), [20.0]);
    });
}

#[test]
fn move_that_never_arrived_is_told_and_not_sent_again() {
    connected(async |driver, device, _| {
        device.borrow_mut().ignore = vec!["MOV 1", "ERR?"];
        let failure = driver.start_move(&[("1", 10.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: target was set to 0.01 but reads back 0");
        assert_eq!(count(&device, "MOV "), 1);
    });
}

#[test]
fn refusal_whose_answer_was_cut_is_still_a_refusal() {
    connected(async |driver, device, _| {
        device.borrow_mut().ignore = vec!["ERR?"];
        let failure = driver.start_move(&[("1", 35_000.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { code: 7, .. }), "{failure}");
    });
}

#[test]
fn stop_goes_out_at_once_while_a_wait_is_pending() {
    connected(async |driver, device, clock| {
        device.borrow_mut().move_time = ms(5000);
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        assert!(clock.timeout(ms(100), driver.wait_on_target(&["1"], LIMIT)).await.is_err());
        let before = clock.now();
        driver.stop_all().await.unwrap();
        assert!(clock.now() - before < ms(100), "{:?}", clock.now() - before);
        assert_eq!(driver.positions(&["1"]).await.unwrap(), [50.0]);
        assert_eq!(device.borrow().error, 0);
        driver.start_move(&[("1", 0.0)]).await.unwrap();
    });
}

#[test]
fn stop_works_on_firmware_that_is_mute_while_an_error_is_pending() {
    connected(async |driver, device, _| {
        device.borrow_mut().mute_on_error = true;
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        driver.stop_all().await.unwrap();
        assert_eq!(driver.positions(&["1"]).await.unwrap(), [50.0]);
    });
}

#[test]
fn axis_that_does_not_stop_is_told() {
    connected(async |driver, device, _| {
        device.borrow_mut().move_time = Duration::from_secs(60);
        device.borrow_mut().ignore = vec!["\x18"];
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        let failure = driver.stop_all().await.unwrap_err();
        assert!(matches!(failure, MotionError::NotFinished { what: "stop", .. }), "{failure}");
    });
}

#[test]
fn move_cut_short_is_told_with_the_controllers_code() {
    connected(async |driver, device, _| {
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        device.borrow_mut().stop();
        let failure = driver.wait_on_target(&["1"], LIMIT).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: \"MOV\" refused with error 10 (stopped by command)");
    });
}

#[test]
fn register_is_read_on_arrival_unless_the_axis_is_where_it_was_sent() {
    connected(async |driver, device, _| {
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        driver.wait_on_target(&["1"], LIMIT).await.unwrap();
        assert_eq!(count(&device, "ERR?"), 1);
        // Stopped within what counts as arrived.
        driver.start_move(&[("1", 101.0)]).await.unwrap();
        device.borrow_mut().stop();
        let failure = driver.wait_on_target(&["1"], LIMIT).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { code: 10, .. }), "{failure}");
    });
}

#[test]
fn move_cut_short_is_told_even_when_the_code_is_lost() {
    connected(async |driver, device, _| {
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        device.borrow_mut().stop();
        device.borrow_mut().lose = vec!["ERR?"];
        let failure = driver.wait_on_target(&["1"], LIMIT).await.unwrap_err();
        let told = "pm: axis x: on target by its own word, but at 50 instead of 100";
        assert_eq!(failure.to_string(), told);
    });
}

#[test]
fn move_that_never_settles_ends_at_its_limit() {
    connected(async |driver, device, clock| {
        device.borrow_mut().axes.get_mut("1").unwrap().can_move = false;
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        let before = clock.now();
        let failure = driver.wait_on_target(&["1"], Duration::from_secs(3)).await.unwrap_err();
        let told = "pm: axis x: move not finished after 3.0 s (position 0)";
        assert_eq!(failure.to_string(), told);
        assert!(clock.now() - before < ms(3100));
    });
}

#[test]
fn reference_waits_until_the_controller_is_ready() {
    connected(async |driver, device, clock| {
        device.borrow_mut().restart();
        let before = clock.now();
        driver.reference("1").await.unwrap();
        assert!((ms(700)..ms(800)).contains(&(clock.now() - before)));
        assert!(driver.states(&["1"]).await.unwrap()[0].referenced);
        // The answers to RON, SVO and FRF are lost: all are read back, none is sent again.
        device.borrow_mut().heard.clear();
        device.borrow_mut().lose = vec!["ERR?", "ERR?", "ERR?"];
        driver.reference("1").await.unwrap();
        assert_eq!(count(&device, "FRF 1"), 1);
    });
}

#[test]
fn reference_that_fails_or_never_ends_is_told() {
    connected(async |driver, device, _| {
        device.borrow_mut().reference_error = 45;
        let failure = driver.reference("1").await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: \"FRF 1\" refused with error 45 (referencing failed)");
        device.borrow_mut().reference_error = 0;
        device.borrow_mut().reference_time = Duration::from_secs(1000);
        let failure = driver.reference("1").await.unwrap_err();
        assert!(matches!(failure, MotionError::NotFinished { what: "reference search", .. }), "{failure}");
    });
}

#[test]
fn silent_refusal_of_a_query_is_told_with_the_code() {
    connected(async |driver, device, _| {
        device.borrow_mut().axes.remove("2");
        let failure = driver.positions(&["2"]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis y: \"POS? 2\" refused with error 15 (unknown axis)");
    });
}

#[test]
fn channel_that_was_not_set_up_is_refused_before_a_byte_is_sent() {
    connected(async |driver, device, _| {
        let failure = driver.start_move(&[("3", 1.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis 3: no channel \"3\" (the controller has 1, 2)");
        assert!(device.borrow().heard.is_empty());
    });
}

#[test]
fn lost_position_is_asked_again() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["POS?"];
        assert_eq!(driver.positions(&["1"]).await.unwrap(), [0.0]);
    });
}

#[test]
fn error_from_before_a_lost_line_is_not_blamed_on_the_next_command() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["POS?"];
        device.borrow_mut().error = 26;
        driver.positions(&["1"]).await.unwrap();
        driver.start_move(&[("1", 1.0)]).await.unwrap();
    });
}

#[test]
fn silence_of_the_whole_device_is_told_by_the_first_request() {
    connected(async |driver, device, _| {
        device.borrow_mut().ignore = vec![""; 1000];
        let failure = driver.positions(&["1"]).await.unwrap_err();
        assert!(matches!(&failure, MotionError::Line(LineError::NoAnswer { request, .. }) if request == "POS? 1"));
    });
}

#[test]
fn cancelled_move_leaves_the_line_usable() {
    connected(async |driver, device, clock| {
        assert!(clock.timeout(ms(1), driver.start_move(&[("1", 10.0)])).await.is_err());
        assert_eq!(driver.positions(&["2"]).await.unwrap(), [0.0]);
        assert_eq!(count(&device, "MOV "), 1);
        driver.wait_on_target(&["1"], LIMIT).await.unwrap();
    });
}

#[test]
fn two_lines_are_asked_at_the_same_time() {
    connected(async |driver, _, clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, cut, move |request| far.borrow_mut().answer(request));
        let mut other = Gcs2::new(line, Expected::default());
        other.connect(&setup()).await.unwrap();
        let before = clock.now();
        for _ in 0..10 {
            let (here, there) = tokio::join!(driver.positions(&["1"]), other.positions(&["2"]));
            assert_eq!((here.unwrap(), there.unwrap()), (vec![0.0], vec![0.0]));
        }
        assert_eq!(clock.now() - before, ms(10));
    });
}

#[test]
fn port_that_vanishes_names_instrument_port_and_last_command() {
    let idn = b"(c)2017 Physik Instrumente (PI) GmbH & Co. KG, C-884, 1, 1.2\n";
    let mut steps = vec![Hear(b"*IDN?\n"), Say(idn), Hear(b"*IDN?\n"), Say(idn)];
    steps.extend([Hear(b"CSV?\n"), Say(b"2.0\n"), Hear(b"ERR?\n"), Say(b"0\n")]);
    steps.extend([Hear(b"HLP?\n"), Say(b"begin \nMOV x \nend\n"), Hear(b"SAI?\n"), Say(b"1\n")]);
    steps.extend([Hear(b"\x18*IDN?\n"), Say(b"(c)20"), Close]);
    on_virtual_clock(async |clock| {
        let mut driver = Gcs2::new(scripted(&clock, steps).0, Expected::default());
        driver.connect(&[]).await.unwrap();
        let failure = driver.stop_all().await.unwrap_err();
        let told = "pm: port /dev/ttyUSB0 lost (closed by the other side) after \"*IDN?\"; came back: \"(c)20\"";
        assert_eq!(failure.to_string(), told);
        assert!(matches!(failure, MotionError::Line(e) if e.is_port_lost()));
        assert!(driver.tap().transcript().ends_with("port lost after 0.000 ms: closed by the other side\n"));
    });
}
