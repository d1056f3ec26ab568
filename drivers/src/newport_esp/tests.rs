//! A controller after InstrumentKit's bytes, with faults; the driver must never believe a move that did not happen.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use units::clock::Clock;

use super::NewportEsp;
use crate::fake::Step::{Hear, Say};
use crate::fake::{Step, ms, on_virtual_clock, scripted, served};
use crate::identity::Expected;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};

#[derive(Clone)]
struct Axis {
    on: bool,
    position: f64,
    target: f64,
    begins: Duration,
    ends: Duration,
    stuck: bool,
    values: BTreeMap<&'static str, f64>,
}

struct Device {
    version: &'static str,
    unit: &'static str,
    axes: BTreeMap<u8, Axis>,
    errors: VecDeque<(u32, u64)>,
    powered: Duration,
    move_time: Duration,
    /// Lines with these beginnings are carried out, but their answer is lost; once each.
    lose: Vec<&'static str>,
    ignore: Vec<&'static str>,
    heard: Vec<String>,
    clock: Clock,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn new(clock: &Clock) -> Device {
        let axis = Axis {
            on: false,
            position: 0.0,
            target: 0.0,
            begins: Duration::ZERO,
            ends: Duration::ZERO,
            stuck: false,
            values: [("VA", 1.0), ("SL", -100.0), ("SR", 100.0)].into(),
        };
        Device {
            version: "ESP301 Version 3.0.1 6/1/99",
            unit: "2",
            axes: [1, 2].into_iter().map(|n| (n, axis.clone())).collect(),
            errors: VecDeque::new(),
            powered: Duration::ZERO,
            move_time: ms(200),
            lose: Vec::new(),
            ignore: Vec::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    fn ticks(&self) -> u64 {
        u64::try_from((self.clock.now() - self.powered).as_micros() / 400).unwrap()
    }

    fn restart(&mut self) {
        let fresh = Device::new(&self.clock);
        self.axes = fresh.axes;
        self.errors.clear();
        self.powered = self.clock.now();
    }

    fn raise(&mut self, code: u32) {
        let at = self.ticks();
        self.errors.push_back((code, at));
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let line = String::from_utf8_lossy(request).trim_end().to_string();
        let once = |list: &mut Vec<&'static str>| {
            list.iter().position(|l| line.starts_with(l)).map(|at| list.remove(at)).is_some()
        };
        if once(&mut self.ignore) {
            return Vec::new();
        }
        self.heard.push(line.clone());
        let mut answer = String::new();
        for command in line.split(';') {
            match self.act(command) {
                Ok(Some(text)) => answer += &format!("{text}\r\n"),
                Ok(None) => {}
                Err(code) => self.raise(code),
            }
        }
        if once(&mut self.lose) { Vec::new() } else { answer.into_bytes() }
    }

    fn act(&mut self, text: &str) -> Result<Option<String>, u32> {
        let now = self.clock.now();
        match text {
            "VE?" => return Ok(Some(self.version.into())),
            "TB?" => {
                let (code, at) = self.errors.pop_front().unwrap_or((0, self.ticks()));
                return Ok(Some(format!("{code}, {at}, WORDS OF {code}")));
            }
            "ST" => {
                self.axes.values_mut().for_each(|a| a.stop(now));
                return Ok(None);
            }
            _ => {}
        }
        let number: u8 = text.get(..1).and_then(|n| n.parse().ok()).ok_or(6u32)?;
        let (unit, time) = (self.unit, self.move_time);
        let axis = self.axes.get_mut(&number).ok_or(9u32)?;
        axis.tick(now);
        let of_axis = |code: u32| u32::from(number) * 100 + code;
        let argument = text[3..].parse::<f64>().unwrap_or(f64::NAN);
        let moving = now >= axis.begins && axis.ends != Duration::ZERO;
        match (&text[1..3], &text[3..]) {
            ("SN", "?") => return Ok(Some(unit.into())),
            ("TP", "?") => return Ok(Some(format!("{:.6}", axis.position))),
            ("DP", "?") => return Ok(Some(format!("{:.6}", axis.target))),
            ("MD", "?") => return Ok(Some(u8::from(!moving).to_string())),
            ("MO", "?") => return Ok(Some(u8::from(axis.on).to_string())),
            ("MO", "") => axis.on = true,
            ("OR" | "PA", _) if !axis.on => return Err(of_axis(13)),
            ("OR", "") => axis.go(now, ms(700), 0.0),
            ("PA", _) if argument > axis.values["SR"] => return Err(of_axis(6)),
            ("PA", _) => axis.go(now, time, argument),
            ("VA", _) if argument > 10.0 => return Err(of_axis(10)),
            (name, argument_text) => {
                let Some(value) = axis.values.get_mut(name) else { return Err(6) };
                if argument_text == "?" {
                    return Ok(Some(format!("{value:.6}")));
                }
                *value = argument;
            }
        }
        Ok(None)
    }
}

impl Axis {
    fn go(&mut self, now: Duration, takes: Duration, to: f64) {
        (self.begins, self.ends, self.target) = (now + ms(6), now + ms(6) + takes, to);
    }

    fn tick(&mut self, now: Duration) {
        if self.ends != Duration::ZERO && now >= self.ends {
            self.ends = Duration::ZERO;
            if !self.stuck {
                self.position = self.target;
            }
        }
    }

    fn stop(&mut self, now: Duration) {
        self.tick(now);
        if self.ends != Duration::ZERO {
            self.ends = Duration::ZERO;
            self.position = (self.position + self.target) / 2.0;
            self.target = self.position;
        }
    }
}

fn cr_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|b| *b == b'\r').map(|at| at + 1)
}

fn setup(axis: &str, channel: &str) -> ChannelSetup {
    ChannelSetup {
        axis: axis.into(),
        channel: channel.into(),
        unit: ChannelUnit::Millimetre,
        range: (-6000.0, 6000.0),
        velocity: 2000.0,
    }
}

fn talk<F: AsyncFnOnce(&mut NewportEsp, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, cr_end, move |request| far.borrow_mut().answer(request));
        let mut driver = NewportEsp::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

/// Connected, with home of both axes found.
fn referenced<F: AsyncFnOnce(&mut NewportEsp, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&[setup("x", "1"), setup("y", "2")]).await.unwrap();
        driver.reference("1").await.unwrap();
        driver.reference("2").await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

/// The bytes InstrumentKit exchanged with an axis: unit, motor, velocity, home, a move, a refusal.
#[test]
fn the_bytes_are_those_of_the_protocol_as_instrumentkit_speaks_it() {
    on_virtual_clock(async |clock| {
        let ask = |request: &'static [u8], reply: &'static [u8]| [Hear(request), Say(reply)];
        let steps: Vec<Step> = [
            ask(b"VE?\r", b"ESP301 Version 3.0.1 6/1/99\r\n"),
            ask(b"VE?\r", b"ESP301 Version 3.0.1 6/1/99\r\n"),
            ask(b"TB?\r", b"0, 1357, NO ERROR DETECTED\r\n"),
            ask(b"1SN?\r", b"2\r\n"),
            ask(b"1MO\rTB?\r", b"0, 1359, NO ERROR DETECTED\r\n"),
            ask(b"1MO?\r", b"1\r\n"),
            ask(b"1VA2\rTB?\r", b"0, 1361, NO ERROR DETECTED\r\n"),
            ask(b"1VA?\r", b"2.000000\r\n"),
            ask(b"1SL-6\rTB?\r", b"0, 1363, NO ERROR DETECTED\r\n"),
            ask(b"1SL?\r", b"-6.000000\r\n"),
            ask(b"1SR6\rTB?\r", b"0, 1365, NO ERROR DETECTED\r\n"),
            ask(b"1SR?\r", b"6.000000\r\n"),
            ask(b"1MO\rTB?\r", b"0, 1367, NO ERROR DETECTED\r\n"),
            ask(b"1MO?\r", b"1\r\n"),
            ask(b"1OR\rTB?\r", b"0, 1369, NO ERROR DETECTED\r\n"),
            ask(b"1MD?\r", b"0\r\n"),
            ask(b"1MD?\r", b"1\r\n"),
            ask(b"TB?\r", b"0, 1500, NO ERROR DETECTED\r\n"),
            ask(b"1PA1.25\rTB?\r", b"0, 1502, NO ERROR DETECTED\r\n"),
            ask(b"1MD?\r", b"0\r\n"),
            ask(b"1MD?\r", b"1\r\n"),
            ask(b"1TP?\r", b"1.250000\r\n"),
            ask(b"1PA1000\rTB?\r", b"106, 3038, AXIS-1 ERROR\r\n"),
            ask(b"TB?\r", b"0, 3040, NO ERROR DETECTED\r\n"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (line, device) = scripted(&clock, steps);
        let mut driver = NewportEsp::new(line, Expected::default());
        driver.connect(&[setup("x", "1")]).await.unwrap();
        driver.reference("1").await.unwrap();
        driver.start_move(&[("1", 1250.0)]).await.unwrap();
        driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap();
        let failure = driver.start_move(&[("1", 1_000_000.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: \"1PA1000\" refused with error 106 (AXIS-1 ERROR)");
        drop(driver);
        device.await.unwrap();
    });
}

#[test]
fn connect_sets_every_item_and_moves_nothing() {
    talk(async |driver, device, _| {
        device.borrow_mut().raise(7);
        driver.connect(&[setup("x", "1"), setup("y", "2")]).await.unwrap();
        let d = device.borrow();
        for axis in d.axes.values() {
            assert_eq!((axis.values["VA"], axis.values["SL"], axis.values["SR"], axis.on), (2.0, -6.0, 6.0, true));
        }
        assert!(!d.heard.iter().any(|h| ["PA", "PR", "OR", "DH", "RS"].iter().any(|m| h.contains(m))), "{:?}", d.heard);
        assert_eq!(driver.identity().model, "ESP301");
    });
}

#[test]
fn wrong_devices_axes_and_units_are_told() {
    let check = |spoil: fn(&mut Device), channel: &str, told: &str| {
        talk(async |driver, device, _| {
            spoil(&mut device.borrow_mut());
            let failure = driver.connect(&[setup("x", channel)]).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    check(|d| d.version = "XPS Version 1", "1", "but a device that says \"XPS Version 1\" answers");
    check(|d| d.unit = "3", "1", "position unit was set to Millimetre but reads back Micrometre");
    check(|d| d.unit = "4", "1", "position unit was set to Millimetre but reads back another unit");
    check(|_| {}, "3", "no channel \"3\"");
    check(|_| {}, "x", "no channel \"x\"");
    talk(async |driver, _, _| {
        driver.expected.model = Some("ESP300".into());
        assert!(matches!(driver.connect(&[setup("x", "1")]).await, Err(MotionError::WrongDevice { .. })));
        driver.expected = Expected::default();
        let failure = driver.connect(&[ChannelSetup { velocity: 1e6, ..setup("x", "1") }]).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { code: 110, .. }), "{failure}");
    });
}

#[test]
fn an_axis_counts_as_referenced_only_after_its_home_search_and_until_it_was_switched_off() {
    talk(async |driver, device, clock| {
        driver.connect(&[setup("x", "1"), setup("y", "2")]).await.unwrap();
        assert!(!driver.states(&["1"]).await.unwrap()[0].referenced);
        let failure = driver.start_move(&[("1", 100.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: not referenced");
        driver.reference("1").await.unwrap();
        let states = driver.states(&["1", "2"]).await.unwrap();
        assert!(states[0].referenced && !states[1].referenced && states[1].servo);
        // A new session on the same controller knows it still.
        driver.connect(&[setup("x", "1"), setup("y", "2")]).await.unwrap();
        assert!(driver.states(&["1"]).await.unwrap()[0].referenced);
        clock.sleep(Duration::from_secs(1)).await;
        device.borrow_mut().restart();
        let state = driver.states(&["1"]).await.unwrap()[0];
        assert!(!state.referenced && !state.servo);
    });
}

#[test]
fn a_move_ends_when_it_has_begun_and_ended_and_not_before() {
    referenced(async |driver, device, clock| {
        let before = clock.now();
        driver.start_move(&[("1", 0.05), ("2", 1250.0)]).await.unwrap();
        assert!(!driver.on_target(&["1", "2"]).await.unwrap());
        driver.wait_on_target(&["1", "2"], Duration::from_secs(5)).await.unwrap();
        let took = clock.now() - before;
        assert!((ms(206)..ms(260)).contains(&took), "{took:?}");
        assert_eq!(driver.positions(&["2", "1"]).await.unwrap(), [1250.0, 0.05]);
        driver.start_move_by(&[("2", -250.0)]).await.unwrap();
        driver.wait_on_target(&["2"], Duration::from_secs(5)).await.unwrap();
        assert_eq!(driver.positions(&["2"]).await.unwrap(), [1000.0]);
        let d = device.borrow();
        assert!(d.heard.contains(&"1PA0.00005;2PA1.25".to_string()), "{:?}", d.heard);
    });
}

#[test]
fn a_refused_move_stops_the_others_and_a_lost_answer_is_never_sent_again() {
    referenced(async |driver, device, _| {
        let failure = driver.start_move(&[("1", 1000.0), ("2", 7000.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { ref axis, code: 206, .. } if axis == "y"), "{failure}");
        assert_eq!(device.borrow().axes[&1].target, 0.5);
        device.borrow_mut().lose = vec!["TB?"];
        driver.start_move(&[("1", 500.0)]).await.unwrap();
        driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap();
        assert_eq!(device.borrow().heard.iter().filter(|h| *h == "1PA0.5").count(), 1);
        // What the queue held when the line came back is read before the next command.
        driver.set_velocity(&[("1", 2000.0)]).await.unwrap();
        device.borrow_mut().ignore = vec!["1PA0.75", "TB?"];
        let failure = driver.start_move(&[("1", 750.0)]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x: target was set to 0.75 but reads back 0.5");
    });
}

#[test]
fn moves_that_end_badly_are_told() {
    let check = |spoil: fn(&mut Device), told: &str| {
        referenced(async |driver, device, clock| {
            driver.start_move(&[("1", 3000.0)]).await.unwrap();
            clock.sleep(ms(50)).await;
            driver.on_target(&["1"]).await.unwrap();
            spoil(&mut device.borrow_mut());
            let failure = driver.wait_on_target(&["1"], Duration::from_secs(5)).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    check(|d| d.axes.get_mut(&1).unwrap().stuck = true, "but at 0 instead of 3000");
    check(
        |d| {
            d.axes.get_mut(&1).unwrap().stuck = true;
            d.raise(104);
        },
        "refused with error 104 (WORDS OF 104)",
    );
    check(|d| drop(d.answer(b"ST\r")), "but at 1500 instead of 3000");
    check(Device::restart, "axis x: not referenced");
    check(|d| d.axes.get_mut(&1).unwrap().ends += Duration::from_secs(60), "move not finished after 5.0 s");
}

#[test]
fn stop_goes_out_at_once_and_is_confirmed() {
    referenced(async |driver, device, clock| {
        driver.start_move(&[("1", 3000.0), ("2", -3000.0)]).await.unwrap();
        clock.sleep(ms(30)).await;
        assert!(clock.timeout(Duration::from_micros(200), driver.positions(&["1"])).await.is_err());
        driver.stop_all().await.unwrap();
        assert_eq!(driver.positions(&["1", "2"]).await.unwrap(), [1500.0, -1500.0]);
        assert_eq!(device.borrow().heard.iter().filter(|h| *h == "ST").count(), 1);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn answers_of_noise_end_in_an_error_and_not_in_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..60)) {
        on_virtual_clock(async |clock| {
            let line = served(&clock, cr_end, move |_| noise.clone());
            let mut driver = NewportEsp::new(line, Expected::default());
            assert!(driver.connect(&[setup("x", "1")]).await.is_err());
        });
    }
}
