//! A meter after the bytes of public drivers, with faults; a reading must never be more than the meter said.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use units::clock::Clock;
use units::{Power, Reading};

use super::Newport1936;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};
use crate::scpi;

struct Device {
    idn: &'static str,
    echo: bool,
    selected: usize,
    values: [BTreeMap<String, u32>; 2],
    zero: f64,
    /// Value and low status digit of each channel; the rest of the status is unit and range.
    readings: Vec<(&'static str, u32)>,
    ranging_until: Duration,
    errors: VecDeque<&'static str>,
    lose: Vec<&'static str>,
    heard: Vec<String>,
    clock: Clock,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn new(clock: &Clock) -> Device {
        let names =
            ["PM:MODE", "PM:UNIT", "PM:ATT", "PM:L", "PM:RUN", "PM:DIGITALFILTER", "PM:FILT", "PM:AUTO", "PM:RAN"];
        let values: BTreeMap<String, u32> = names.iter().map(|n| ((*n).to_string(), 6)).collect();
        Device {
            idn: "NEWPORT 2936-R v1.2.3 08/04/15 SN24777",
            echo: true,
            selected: 0,
            values: [values.clone(), values],
            zero: 1.0,
            readings: vec![("8.683533E-008", 8), ("1.000000E-003", 8)],
            ranging_until: Duration::ZERO,
            errors: ["116,Syntax Error"].into(),
            lose: Vec::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        self.heard.push(text.clone());
        let mut answer = if self.echo { format!("{text}\r\n") } else { String::new() };
        if let Some(reply) = self.act(&text) {
            answer += &format!("{reply}\r\n");
        }
        if self.echo {
            answer.push('>');
        }
        if let Some(at) = self.lose.iter().position(|l| text.starts_with(l)) {
            self.lose.remove(at);
            return Vec::new();
        }
        answer.into_bytes()
    }

    fn act(&mut self, text: &str) -> Option<String> {
        match text {
            "*IDN?" => return Some(self.idn.into()),
            "ERRSTR?" => return Some(self.errors.pop_front().unwrap_or("0,No Error").into()),
            "ECHO 0" => self.echo = false,
            "PM:CHAN?" => return Some((self.selected + 1).to_string()),
            "PM:CHAN 1" | "PM:CHAN 2" => self.selected = usize::from(text.ends_with('2')),
            "PM:PWS?" => {
                let ranging = if self.clock.now() < self.ranging_until { 4 } else { 0 };
                let status = |(i, (value, low)): (usize, &(&str, u32))| {
                    format!("{value} {:X}", self.values[i]["PM:UNIT"] << 7 | low | ranging)
                };
                return Some(self.readings.iter().enumerate().map(status).collect::<Vec<_>>().join(" "));
            }
            "PM:MAX:Power?" => {
                let range = i32::try_from(self.values[self.selected]["PM:RAN"]).unwrap();
                return Some(format!("{:.6E}", 2.2e-9 * 10f64.powi(range)));
            }
            "PM:ZEROVAL 0" => self.zero = 0.0,
            "PM:ZEROVAL?" => return Some(format!("{:.6E}", self.zero)),
            "PM:ZEROSTO" => self.zero += 1e-9,
            _ => return self.setting(text),
        }
        None
    }

    fn setting(&mut self, text: &str) -> Option<String> {
        let values = &mut self.values[self.selected];
        if let Some(name) = text.strip_suffix('?') {
            return values.get(name).map(u32::to_string);
        }
        let (name, value) = text.split_once(' ').unwrap_or((text, ""));
        match (values.get_mut(name), value.parse::<u32>()) {
            (Some(_), Ok(nm)) if name == "PM:L" && !(800..=1700).contains(&nm) => {
                self.errors.push_back("201,Value Out Of Range");
            }
            (Some(kept), Ok(value)) => *kept = value,
            _ => self.errors.push_back("116,Syntax Error"),
        }
        None
    }
}

fn setup() -> MeterSetup {
    MeterSetup { wavelength_nm: 1310.0, averaging: 100, range: Range::Auto }
}

fn talk<F: AsyncFnOnce(&mut Newport1936, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, scpi::line_end, move |request| far.borrow_mut().answer(request));
        let mut driver = Newport1936::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

fn connected<F: AsyncFnOnce(&mut Newport1936, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

fn watts(w: f64) -> Reading {
    Reading::Power(Power::from_watts(w))
}

#[test]
fn connect_switches_the_echo_off_and_brings_both_channels_to_a_known_state() {
    talk(async |driver, device, _| {
        driver.connect(&setup()).await.unwrap();
        let d = device.borrow();
        for values in &d.values {
            let got: Vec<u32> = ["MODE", "UNIT", "ATT", "L", "RUN", "DIGITALFILTER", "FILT", "AUTO"]
                .iter()
                .map(|n| values[&format!("PM:{n}")])
                .collect();
            assert_eq!(got, [0, 2, 0, 1310, 1, 100, 2, 1]);
        }
        assert!(!d.echo && !d.heard.iter().any(|h| h.starts_with("*RST")));
        assert_eq!((driver.channels(), driver.integration(), driver.identity().serial.as_str()), (2, ms(10), "24777"));
    });
}

#[test]
fn other_devices_and_missing_detectors_are_told() {
    let check = |spoil: fn(&mut Device), told: &str| {
        talk(async |driver, device, _| {
            spoil(&mut device.borrow_mut());
            let failure = driver.connect(&setup()).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    check(|d| d.idn = "NEWPORT 2938-R v1.0 01/01/15 SN1", "but NEWPORT 2938-R");
    check(|d| d.idn = "OPHIR 1936", "a device that says \"OPHIR 1936\"");
    check(|d| d.readings = vec![("0.0", 0), ("0.0", 0)], "no power sensor");
    talk(async |driver, _, _| {
        driver.expected.model = Some("1936".into());
        assert!(matches!(driver.connect(&setup()).await, Err(MeterError::WrongDevice { .. })));
        driver.expected.model = None;
        let failure = driver.connect(&MeterSetup { wavelength_nm: 500.0, ..setup() }).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: \"PM:L 500\" refused: 201, Value Out Of Range");
    });
}

#[test]
fn both_channels_are_read_in_one_exchange_with_their_validity() {
    connected(async |driver, device, clock| {
        let before = clock.now();
        assert_eq!(driver.read().await.unwrap(), [watts(8.683_533e-8), watts(1e-3)]);
        assert!((ms(10)..ms(15)).contains(&(clock.now() - before)));
        assert_eq!(device.borrow().heard, ["PM:PWS?"]);
        device.borrow_mut().readings = vec![("2.200000E-008", 0xB), ("0.000000E+000", 0)];
        assert_eq!(driver.read().await.unwrap(), [Reading::Saturated, Reading::UnderRange]);
        device.borrow_mut().ranging_until = clock.now() + ms(300);
        let before = clock.now();
        driver.read().await.unwrap();
        assert!(clock.now() - before >= ms(290));
        device.borrow_mut().readings[0].1 = 8;
        device.borrow_mut().ranging_until = clock.now() + Duration::from_secs(60);
        assert!(matches!(driver.read().await, Err(MeterError::NotFinished { .. })));
    });
}

#[test]
fn range_is_the_smallest_that_holds_the_power_on_every_channel() {
    connected(async |driver, device, _| {
        driver.set_range(Range::Upper(Power::from_watts(1e-4))).await.unwrap();
        assert!(device.borrow().values.iter().all(|v| (v["PM:RAN"], v["PM:AUTO"]) == (5, 0)));
        assert!((driver.range().await.unwrap().watts() - 2.2e-4).abs() < 1e-9);
        let failure = driver.set_range(Range::Upper(Power::from_watts(1.0))).await.unwrap_err();
        assert!(matches!(failure, MeterError::ReadBack { what: "range", .. }), "{failure}");
        driver.set_averaging(1).await.unwrap();
        assert!(device.borrow().values.iter().all(|v| v["PM:FILT"] == 0));
        assert!(driver.set_averaging(10_001).await.is_err());
        assert_eq!(driver.integration(), ms(1));
    });
}

#[test]
fn a_meter_that_was_switched_off_gives_an_error_and_no_reading() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["PM:PWS?"];
        assert!(driver.read().await.is_ok());
        device.borrow_mut().echo = true;
        assert!(matches!(driver.read().await, Err(MeterError::Line(_))));
        device.borrow_mut().echo = false;
        device.borrow_mut().values[1].insert("PM:UNIT".into(), 6);
        let failure = driver.read().await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: unit was set to 2 but reads back 6");
        driver.connect(&setup()).await.unwrap();
        assert!(driver.read().await.is_ok());
    });
}

#[test]
fn zeroing_begins_anew_and_errors_are_read_until_there_are_none() {
    connected(async |driver, device, _| {
        driver.zero().await.unwrap();
        assert_eq!(device.borrow().zero, 1e-9);
        device.borrow_mut().errors.extend(["116,Syntax Error", "201,Value Out Of Range"]);
        assert_eq!(driver.errors().await.unwrap().iter().map(|e| e.0).collect::<Vec<_>>(), [116, 201]);
        device.borrow_mut().errors.extend(["1,x"; 1000]);
        assert_eq!(driver.errors().await.unwrap().len(), 64);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn answers_of_noise_end_in_an_error_and_not_in_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..60)) {
        on_virtual_clock(async |clock| {
            let line = served(&clock, scpi::line_end, move |_| noise.clone());
            let mut driver = Newport1936::new(line, Expected::default());
            assert!(driver.connect(&setup()).await.is_err());
        });
    }
}
