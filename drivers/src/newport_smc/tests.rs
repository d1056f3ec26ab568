//! A chain after hvl_ccb's bytes, with faults; the driver must never believe a move that did not happen.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use units::clock::Clock;

use super::NewportSmc;
use super::fake::{Device, Shared};
use crate::fake::Step::{Hear, Say};
use crate::fake::{Step, ms, on_virtual_clock, scripted, served};
use crate::identity::Expected;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};
use crate::scpi;

fn setup(axis: &str, channel: &str) -> ChannelSetup {
    ChannelSetup {
        axis: axis.into(),
        channel: channel.into(),
        unit: ChannelUnit::Millimetre,
        range: (-6000.0, 6000.0),
        velocity: 2000.0,
    }
}

fn talk<F: AsyncFnOnce(&mut NewportSmc, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, scpi::line_end, move |request| far.borrow_mut().answer(request));
        let mut driver = NewportSmc::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

fn connected<F: AsyncFnOnce(&mut NewportSmc, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&[setup("x", "1"), setup("y", "2")]).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

fn count(device: &Shared, request: &str) -> usize {
    device.borrow().heard.iter().filter(|h| *h == request).count()
}

/// The bytes hvl_ccb 0.19.6 exchanged with a controller: start of a session, a move, a position.
#[test]
fn the_bytes_are_those_of_the_vendors_protocol_as_hvl_ccb_speaks_it() {
    on_virtual_clock(async |clock| {
        let ask = |request: &'static [u8], reply: &'static [u8]| [Hear(request), Say(reply)];
        let steps: Vec<Step> = [
            ask(b"1VE\r\n", b"1VE SMC_CC_2.0.1\r\n"),
            ask(b"1VE\r\n", b"1VE SMC_CC_2.0.1\r\n"),
            ask(b"1ID?\r\n", b"1IDTRA25CC_SN:B123456\r\n"),
            ask(b"1TS\r\n", b"1TS000032\r\n"),
            ask(b"1SL?\r\n", b"1SL-23.5\r\n"),
            ask(b"1SR?\r\n", b"1SR25\r\n"),
            ask(b"1TS\r\n", b"1TS000032\r\n"),
            ask(b"1TE\r\n", b"1TE@\r\n"),
            ask(b"1VA2\r\n1TE\r\n", b"1TE@\r\n"),
            ask(b"1VA?\r\n", b"1VA2\r\n"),
            ask(b"1SL-6\r\n1TE\r\n", b"1TE@\r\n"),
            ask(b"1SL?\r\n", b"1SL-6\r\n"),
            ask(b"1SR6\r\n1TE\r\n", b"1TE@\r\n"),
            ask(b"1SR?\r\n", b"1SR6\r\n"),
            ask(b"1PA1.25\r\n1TE\r\n", b"1TE@\r\n"),
            ask(b"1TS\r\n", b"1TS000028\r\n"),
            ask(b"1TS\r\n", b"1TS000033\r\n"),
            ask(b"1TP\r\n", b"1TP1.250000\r\n"),
            ask(b"1PA100\r\n1TE\r\n", b"1TEG\r\n"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (line, device) = scripted(&clock, steps);
        let mut driver = NewportSmc::new(line, Expected::default());
        driver.connect(&[setup("x", "1")]).await.unwrap();
        driver.start_move(&[("1", 1250.0)]).await.unwrap();
        driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap();
        let failure = driver.start_move(&[("1", 100_000.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: \"1PA100\" refused with error 71 (G, displacement out of limits)");
        drop(driver);
        device.await.unwrap();
    });
}

#[test]
fn connect_sets_velocity_and_limits_of_referenced_axes_and_moves_nothing() {
    talk(async |driver, device, _| {
        device.borrow_mut().axes.get_mut(&2).unwrap().state = "3C";
        device.borrow_mut().axes.get_mut(&1).unwrap().error = 'C';
        driver.connect(&[setup("x", "1"), setup("y", "2")]).await.unwrap();
        let d = device.borrow();
        for address in [1, 2] {
            assert_eq!((d.axes[&address].velocity, d.axes[&address].limits), (2.0, (-6.0, 6.0)));
        }
        assert_eq!(d.axes[&2].state, "34");
        let moves = ["PA", "PR", "OR", "RS", "PW", "SE"];
        assert!(!d.heard.iter().any(|h| moves.iter().any(|m| h.contains(m))), "{:?}", d.heard);
        assert_eq!((driver.identity().model.as_str(), driver.identity().serial.as_str()), ("SMC100CC", "B123456"));
    });
}

#[test]
fn an_axis_not_referenced_gets_its_settings_after_its_home_search() {
    talk(async |driver, device, _| {
        device.borrow_mut().axes.get_mut(&1).unwrap().state = "0A";
        driver.connect(&[setup("x", "1")]).await.unwrap();
        let state = driver.states(&["1"]).await.unwrap()[0];
        assert!(!state.referenced && !state.servo);
        assert_eq!(device.borrow().axes[&1].velocity, 4.0);
        let failure = driver.start_move(&[("1", 0.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: not referenced");
        driver.set_velocity(&[("1", 1500.0)]).await.unwrap();
        driver.reference("1").await.unwrap();
        let d = device.borrow();
        assert_eq!((d.axes[&1].velocity, d.axes[&1].limits), (1.5, (-6.0, 6.0)));
        assert_eq!(d.heard.iter().filter(|h| *h == "1RS").count(), 0);
    });
}

#[test]
fn a_referenced_axis_is_reset_before_home_is_searched_again() {
    connected(async |driver, device, clock| {
        let before = clock.now();
        driver.reference("2").await.unwrap();
        assert!(clock.now() - before > ms(2900), "{:?}", clock.now() - before);
        assert_eq!((count(&device, "2RS"), count(&device, "2OR")), (1, 1));
        assert_eq!(device.borrow().axes[&2].limits, (-6.0, 6.0));
        assert!(driver.states(&["2"]).await.unwrap()[0].referenced);
        // The first one of the chain, by which the line is brought back, too.
        driver.reference("1").await.unwrap();
        assert_eq!(device.borrow().axes[&1].velocity, 2.0);
    });
}

#[test]
fn a_home_search_that_fails_is_told_with_the_controllers_words() {
    talk(async |driver, device, _| {
        device.borrow_mut().axes.get_mut(&1).unwrap().state = "0A";
        device.borrow_mut().home_ends = "0B";
        driver.connect(&[setup("x", "1")]).await.unwrap();
        let failure = driver.reference("1").await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: \"OR\" refused with error 64 (homing time-out)");
    });
}

#[test]
fn wrong_devices_and_missing_addresses_are_told() {
    let check = |version: &'static str, expected: Expected, told: &str| {
        talk(async |driver, device, _| {
            device.borrow_mut().version = version;
            driver.expected = expected;
            let failure = driver.connect(&[setup("x", "1")]).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    let model = |m: &str| Expected { model: Some(m.into()), serial: None };
    check("CONEX-AGP 1.0.0", Expected::default(), "but a device that says \"1VE CONEX-AGP 1.0.0\" answers");
    check("SMC_PP_1.0.8", model("SMC100CC"), "expected SMC100CC, but Newport SMC100PP");
    check("SMC_CC_2.0.1", Expected { model: None, serial: Some("B1".into()) }, "with serial B1, but Newport SMC100CC");
    talk(async |driver, _, _| {
        for channel in ["4", "0", "32", "x", ""] {
            let failure = driver.connect(&[setup("y", "2"), setup("z", channel)]).await.unwrap_err();
            assert!(matches!(failure, MotionError::NoChannel { ref available, .. } if available == "2"), "{failure}");
        }
    });
}

#[test]
fn a_range_beyond_the_stage_is_refused_and_narrow_limits_of_before_are_widened() {
    talk(async |driver, device, _| {
        device.borrow_mut().axes.get_mut(&1).unwrap().limits = (-1.0, 1.0);
        driver.connect(&[setup("x", "1")]).await.unwrap();
        assert_eq!(device.borrow().axes[&1].limits, (-6.0, 6.0));
        // A range without home in it is widened to hold it.
        driver.connect(&[ChannelSetup { range: (2000.0, 3000.0), ..setup("x", "1") }]).await.unwrap();
        assert_eq!(device.borrow().axes[&1].limits, (0.0, 3.0));
        device.borrow_mut().axes.get_mut(&1).unwrap().state = "0A";
        let failure = driver.connect(&[ChannelSetup { range: (0.0, 20_000.0), ..setup("x", "1") }]).await.unwrap_err();
        assert!(matches!(failure, MotionError::RangeOutsideTravel { .. }), "{failure}");
    });
}

#[test]
fn a_move_ends_when_it_has_begun_and_ended_and_not_before() {
    connected(async |driver, device, clock| {
        let before = clock.now();
        driver.start_move(&[("1", 0.05), ("2", 1250.0)]).await.unwrap();
        assert!(!driver.on_target(&["1", "2"]).await.unwrap());
        driver.wait_on_target(&["1", "2"], Duration::from_secs(5)).await.unwrap();
        let took = clock.now() - before;
        assert!((ms(208)..ms(260)).contains(&took), "{took:?}");
        assert_eq!(driver.positions(&["2", "1"]).await.unwrap(), [1250.0, 0.05]);
        assert!(driver.on_target(&["1", "2"]).await.unwrap());
        // Both went out in one write.
        let d = device.borrow();
        assert_eq!(d.heard.iter().take(4).collect::<Vec<_>>(), ["1PA0.00005", "2PA1.25", "1TE", "2TE"]);
        let polls = d.heard.iter().filter(|h| h.ends_with("TS")).count();
        assert!(polls < 25, "{polls} polls");
    });
}

#[test]
fn set_point_is_asked_for_unless_the_axis_is_where_it_was_sent() {
    connected(async |driver, device, clock| {
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap();
        assert_eq!(count(&device, "1TH"), 0);
        // Stopped within what counts as arrived.
        driver.start_move(&[("1", 101.0)]).await.unwrap();
        clock.sleep(ms(50)).await;
        driver.on_target(&["1"]).await.unwrap();
        drop(device.borrow_mut().answer(b"ST\r\n"));
        assert!(!driver.on_target(&["1"]).await.unwrap());
        assert_eq!(count(&device, "1TH"), 1);
    });
}

#[test]
fn steps_are_counted_from_the_target_and_a_refused_one_stops_the_others() {
    connected(async |driver, device, _| {
        driver.start_move(&[("1", 1000.0)]).await.unwrap();
        driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap();
        driver.start_move_by(&[("1", -250.0)]).await.unwrap();
        driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap();
        assert_eq!(driver.positions(&["1"]).await.unwrap(), [750.0]);
        let failure = driver.start_move(&[("1", 0.0), ("2", 7000.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { ref axis, code: 71, .. } if axis == "y"), "{failure}");
        assert!(driver.positions(&["1"]).await.unwrap()[0] > 0.0);
        assert_eq!(count(&device, "ST"), 1);
    });
}

#[test]
fn a_move_whose_answer_is_lost_is_never_sent_again() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["1TE"];
        driver.start_move(&[("1", 500.0)]).await.unwrap();
        assert_eq!(count(&device, "1PA0.5"), 1);
        driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap();
        // What the registers held when the line came back is read before the next command.
        driver.set_velocity(&[("1", 2000.0)]).await.unwrap();
        device.borrow_mut().ignore = vec!["1PA0.75", "1TE"];
        let failure = driver.start_move(&[("1", 750.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: target was set to 0.75 but reads back 0.5");
        assert_eq!(count(&device, "1PA0.75"), 0);
    });
}

#[test]
fn moves_that_end_badly_are_told() {
    let check = |spoil: fn(&mut Device), told: &str| {
        connected(async |driver, device, clock| {
            driver.start_move(&[("1", 3000.0)]).await.unwrap();
            clock.sleep(ms(50)).await;
            driver.on_target(&["1"]).await.unwrap();
            spoil(&mut device.borrow_mut());
            let failure = driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    check(|d| d.axes.get_mut(&1).unwrap().stuck = true, "on target by its own word, but at 0 instead of 3000");
    check(|d| d.axes.get_mut(&1).unwrap().then = "3D", "refused with error 32 (following error)");
    check(|d| d.axes.get_mut(&1).unwrap().then = "3C", "refused with error 0 (disabled)");
    check(|d| drop(d.answer(b"ST\r\n")), "but at 1500 instead of 3000");
    check(
        |d| {
            let axis = d.axes.get_mut(&1).unwrap();
            (axis.state, axis.ends) = ("0A", Duration::ZERO);
        },
        "axis x: not referenced",
    );
    check(|d| d.axes.get_mut(&1).unwrap().ends += Duration::from_secs(60), "move not finished after 5.0 s");
}

#[test]
fn stop_goes_out_at_once_and_is_confirmed() {
    connected(async |driver, device, clock| {
        driver.start_move(&[("1", 3000.0), ("2", -3000.0)]).await.unwrap();
        clock.sleep(ms(30)).await;
        // In the middle of a question, whose answer nobody waits for.
        assert!(clock.timeout(Duration::from_micros(200), driver.positions(&["1"])).await.is_err());
        driver.stop_all().await.unwrap();
        assert!(!device.borrow().axes.values().any(|a| a.state == "28"));
        assert_eq!(count(&device, "ST"), 1);
        assert_eq!(driver.positions(&["1", "2"]).await.unwrap(), [1500.0, -1500.0]);
    });
}

#[test]
fn errors_from_before_the_line_came_back_are_blamed_on_nobody() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["1TP"];
        assert!(driver.positions(&["1"]).await.is_ok());
        device.borrow_mut().axes.get_mut(&1).unwrap().error = 'M';
        driver.start_move(&[("1", 100.0)]).await.unwrap();
        let failure = driver.set_velocity(&[("2", 20_000.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { code: 67, .. }), "{failure}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn answers_of_noise_end_in_an_error_and_not_in_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..60)) {
        on_virtual_clock(async |clock| {
            let line = served(&clock, scpi::line_end, move |_| noise.clone());
            let mut driver = NewportSmc::new(line, Expected::default());
            assert!(driver.connect(&[setup("x", "1")]).await.is_err());
        });
    }
}
