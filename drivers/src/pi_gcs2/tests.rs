//! A controller after the bytes seen from PIPython, with faults; the driver must tell the truth about each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;

use super::Gcs2;
use crate::exchange::LineError;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};

const IDN: &str = "(c)2017 Physik Instrumente (PI) GmbH & Co. KG, C-884, 0123456789, 1.234";

#[derive(Clone)]
struct Axis {
    position: f64,
    target: f64,
    /// When the move ends, and when it has settled.
    ends: Duration,
    settled: Duration,
    servo: bool,
    referenced: bool,
    velocity: f64,
    limits: (f64, f64),
    limits_on: bool,
    /// Where a move that was stopped came to stand.
    can_move: bool,
}

struct Device {
    idn: &'static str,
    csv: Option<&'static str>,
    unit: &'static str,
    axes: BTreeMap<String, Axis>,
    error: i64,
    busy_until: Duration,
    reference_time: Duration,
    reference_error: i64,
    move_time: Duration,
    /// Requests with these beginnings are carried out, but their next answer is lost.
    lose: Vec<&'static str>,
    /// Requests with these beginnings never arrive, once each.
    ignore: Vec<&'static str>,
    /// Old firmware: with an error pending only `ERR?` is answered.
    mute_on_error: bool,
    velocity_max: f64,
    heard: Vec<String>,
    clock: Clock,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn new(clock: &Clock) -> Device {
        let axis = Axis {
            position: 0.0,
            target: 0.0,
            ends: Duration::ZERO,
            settled: Duration::ZERO,
            servo: false,
            referenced: true,
            velocity: 1.0,
            limits: (-25.0, 25.0),
            limits_on: false,
            can_move: true,
        };
        Device {
            idn: IDN,
            csv: Some("2.0"),
            unit: "MM",
            axes: ["1", "2", "3"].iter().map(|n| ((*n).to_string(), axis.clone())).collect(),
            error: 0,
            busy_until: Duration::ZERO,
            reference_time: ms(700),
            reference_error: 0,
            move_time: ms(40),
            lose: Vec::new(),
            ignore: Vec::new(),
            mute_on_error: false,
            velocity_max: 20.0,
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    fn fail(&mut self, code: i64) {
        if self.error == 0 {
            self.error = code;
        }
    }

    fn pairs(words: &[&str]) -> Vec<(String, f64)> {
        words.chunks(2).map(|p| (p[0].to_string(), p[1].parse().unwrap())).collect()
    }

    /// `axis=value` lines, all but the last with a blank before their LF.
    fn lines(&self, words: &[&str], value: impl Fn(&Axis) -> String) -> String {
        let lines: Vec<String> = words.iter().map(|w| format!("{w}={}", value(&self.axes[*w]))).collect();
        format!("{}\n", lines.join(" \n"))
    }

    fn go(&mut self, pairs: &[(String, f64)], relative: bool) {
        if pairs.iter().any(|(a, _)| !self.axes[a].referenced || !self.axes[a].servo) {
            return self.fail(5);
        }
        let to = |axis: &Axis, v: f64| if relative { axis.target + v } else { v };
        if pairs.iter().any(|(a, v)| to(&self.axes[a], *v).abs() > 25.0) {
            return self.fail(7);
        }
        let now = self.clock.now();
        for (name, v) in pairs {
            let time = self.move_time;
            let axis = self.axes.get_mut(name).unwrap();
            axis.target = to(axis, *v);
            axis.ends = now + time;
            axis.settled = axis.ends + ms(7);
        }
    }

    fn stop(&mut self) {
        let now = self.clock.now();
        for axis in self.axes.values_mut().filter(|a| a.ends > now) {
            axis.position = f64::midpoint(axis.position, axis.target);
            axis.target = axis.position;
            axis.ends = now + ms(3);
            axis.settled = axis.ends;
        }
        self.fail(10);
    }

    fn restart(&mut self) {
        for axis in self.axes.values_mut() {
            (axis.servo, axis.referenced, axis.position, axis.target) = (false, false, 0.0, 0.0);
            (axis.ends, axis.settled) = (Duration::ZERO, Duration::ZERO);
        }
        self.error = 0;
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text: String = request.iter().map(|b| char::from(*b)).collect();
        self.heard.push(text.trim_end().to_string());
        let begins = |list: &mut Vec<&'static str>| {
            let found = list.iter().position(|l| text.starts_with(l));
            found.map(|at| list.remove(at)).is_some()
        };
        if begins(&mut self.ignore) || (self.mute_on_error && self.error != 0 && text != "ERR?\n") {
            return Vec::new();
        }
        let answer = self.act(&text);
        if begins(&mut self.lose) { Vec::new() } else { answer }
    }

    fn act(&mut self, text: &str) -> Vec<u8> {
        let now = self.clock.now();
        for axis in self.axes.values_mut().filter(|a| a.ends <= now && a.can_move) {
            axis.position = axis.target;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let rest = words.get(1..).unwrap_or(&[]);
        let flag = |yes: bool| String::from(if yes { "1" } else { "0" });
        let number = |v: f64| format!("{v:.6}");
        if !matches!(text, "\x05" | "\x07" | "\x18")
            && rest.iter().any(|w| text.contains('?') && !self.axes.contains_key(*w))
        {
            self.fail(15);
            return Vec::new();
        }
        let reply = match words.first().copied().unwrap_or(text) {
            "\x05" => {
                let moving = |(i, a): (usize, &Axis)| u64::from(a.ends > now) << i;
                format!("{:X}\n", self.axes.values().enumerate().map(moving).sum::<u64>())
            }
            "\x07" => return if self.busy_until > now { b"\xb0\n".to_vec() } else { b"\xb1\n".to_vec() },
            "\x18" => {
                self.stop();
                String::new()
            }
            "*IDN?" => format!("{}\n", self.idn),
            "CSV?" => match self.csv {
                Some(version) => format!("{version}\n"),
                None => {
                    self.fail(2);
                    String::new()
                }
            },
            "ERR?" => format!("{}\n", std::mem::take(&mut self.error)),
            "HLP?" => {
                "The following commands are valid: \nMOV {<AxisID> <Position>} \nNLM {<AxisID> <LowLimit>} \nPLM x \n\
                       PUN? x \nRON x \nSSL x \nend of help\n"
                    .to_string()
            }
            "SAI?" => format!("{}\n", self.axes.keys().cloned().collect::<Vec<_>>().join(" \n")),
            "PUN?" => self.lines(rest, |_| self.unit.to_string()),
            "TMN?" => self.lines(rest, |a| number(if a.limits_on { a.limits.0 } else { -25.0 })),
            "TMX?" => self.lines(rest, |a| number(if a.limits_on { a.limits.1 } else { 25.0 })),
            "SVO?" => self.lines(rest, |a| flag(a.servo)),
            "RON?" => self.lines(rest, |_| flag(true)),
            "FRF?" => self.lines(rest, |a| flag(a.referenced)),
            "ONT?" => self.lines(rest, |a| flag(a.servo && a.can_move && a.settled <= now)),
            "MOV?" => self.lines(rest, |a| number(a.target)),
            "POS?" => self.lines(rest, |a| number(a.position)),
            "VEL?" => self.lines(rest, |a| number(a.velocity)),
            "NLM?" => self.lines(rest, |a| number(a.limits.0)),
            "PLM?" => self.lines(rest, |a| number(a.limits.1)),
            "SSL?" => self.lines(rest, |a| flag(a.limits_on)),
            "FRF" => {
                self.busy_until = now + self.reference_time;
                let error = self.reference_error;
                self.fail(error);
                self.axes.get_mut(rest[0]).unwrap().referenced = error == 0;
                String::new()
            }
            "MOV" => {
                self.go(&Device::pairs(rest), false);
                String::new()
            }
            "MVR" => {
                self.go(&Device::pairs(rest), true);
                String::new()
            }
            setting @ ("SVO" | "VEL" | "NLM" | "PLM" | "SSL" | "RON") => {
                for (name, v) in Device::pairs(rest) {
                    let velocity_max = self.velocity_max;
                    let axis = self.axes.get_mut(&name).unwrap();
                    match setting {
                        "SVO" => axis.servo = v == 1.0,
                        "VEL" => axis.velocity = v.min(velocity_max),
                        "NLM" => axis.limits.0 = v,
                        "PLM" => axis.limits.1 = v,
                        "SSL" => axis.limits_on = v == 1.0,
                        _ => {}
                    }
                }
                String::new()
            }
            _ => {
                self.fail(2);
                String::new()
            }
        };
        reply.into_bytes()
    }
}

/// Single bytes are requests of their own; all others end with LF.
fn cut(input: &[u8]) -> Option<usize> {
    match input.first()? {
        0x03..=0x08 | 0x18 => Some(1),
        _ => input.iter().position(|b| *b == b'\n').map(|at| at + 1),
    }
}

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
