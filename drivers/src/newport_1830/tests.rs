//! A meter after Instrumental-lib's bytes, with faults; a reading must never be more than the meter said.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use units::clock::Clock;
use units::{Power, Reading};

use super::Newport1830;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};
use crate::scpi;

struct Device {
    values: BTreeMap<char, u32>,
    errors: u8,
    over: bool,
    reading: &'static str,
    done_at: Duration,
    echo: bool,
    lose: Vec<&'static str>,
    heard: Vec<String>,
    clock: Clock,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn new(clock: &Clock) -> Device {
        let values = [('A', 1), ('U', 3), ('F', 1), ('R', 4), ('G', 0), ('Z', 1), ('W', 1310)];
        Device {
            values: values.into(),
            errors: 2,
            over: false,
            reading: "1.0000E-04",
            done_at: Duration::ZERO,
            echo: false,
            lose: Vec::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        self.heard.push(text.clone());
        let echo = if self.echo { format!("{text}\n") } else { String::new() };
        let reply = self.act(&text).map(|r| format!("{r}\n")).unwrap_or_default();
        if let Some(at) = self.lose.iter().position(|l| text.starts_with(l)) {
            self.lose.remove(at);
            return Vec::new();
        }
        (echo + &reply).into_bytes()
    }

    fn act(&mut self, text: &str) -> Option<String> {
        let letter = text.chars().next()?;
        let argument = &text[1..];
        let busy = self.clock.now() < self.done_at;
        match (letter, argument) {
            ('Q', "?") => {
                let byte = self.errors | if self.over { 12 } else { 0 } | if busy { 48 } else { 144 };
                return Some(byte.to_string());
            }
            ('D', "?") => return Some(self.reading.into()),
            ('C', "") => self.errors = 0,
            ('E', "0") => self.echo = false,
            ('R', "0") => self.done_at = self.clock.now() + ms(900),
            ('W', n) if n.parse::<u32>().is_ok_and(|nm| !(800..=1650).contains(&nm)) => self.errors |= 1,
            (l, "?") => return self.values.get(&l).map(u32::to_string),
            (l, n) => match (self.values.get_mut(&l), n.parse()) {
                (Some(value), Ok(n)) => *value = n,
                _ => self.errors |= 2,
            },
        }
        None
    }
}

fn setup() -> MeterSetup {
    MeterSetup { wavelength_nm: 1550.0, averaging: 4, range: Range::Auto }
}

fn talk<F: AsyncFnOnce(&mut Newport1830, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, scpi::line_end, move |request| far.borrow_mut().answer(request));
        let mut driver = Newport1830::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

fn connected<F: AsyncFnOnce(&mut Newport1830, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

#[test]
fn connect_brings_every_item_to_a_known_state_even_with_echo_on() {
    for echo in [false, true] {
        talk(async |driver, device, clock| {
            device.borrow_mut().echo = echo;
            driver.connect(&setup()).await.unwrap();
            let d = device.borrow();
            let values: Vec<u32> = "AUFGZW".chars().map(|l| d.values[&l]).collect();
            assert_eq!((values, d.errors), (vec![0, 1, 2, 1, 0, 1550], 0));
            assert!(clock.now() > ms(900), "automatic ranging is waited for");
            assert_eq!((driver.identity().model.as_str(), driver.integration()), ("1830", ms(400)));
        });
    }
}

#[test]
fn other_devices_are_told_by_what_they_say() {
    let check = |spoil: fn(&mut Device), expected: Expected, told: &str| {
        talk(async |driver, device, _| {
            spoil(&mut device.borrow_mut());
            driver.expected = expected;
            let failure = driver.connect(&setup()).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    let model = |m: &str| Expected { model: Some(m.into()), serial: None };
    check(|d| *d.values.get_mut(&'U').unwrap() = 9, Expected::default(), "a device that says \"9\" to \"U?\" answers");
    check(|d| *d.values.get_mut(&'W').unwrap() = 7, Expected::default(), "no identity from \"W?\"");
    check(|_| {}, model("1936-R"), "expected 1936-R, but a Newport 1830 meter");
    check(|_| {}, Expected { model: None, serial: Some("7".into()) }, "which tells no serial number");
    talk(async |driver, _, _| {
        driver.expected = model("1830-c");
        driver.connect(&setup()).await.unwrap();
        assert_eq!(driver.identity().model, "1830-C");
    });
}

#[test]
fn refused_settings_are_told() {
    talk(async |driver, _, _| {
        let failure = driver.connect(&MeterSetup { wavelength_nm: 400.0, ..setup() }).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: \"W400\" refused: 1, parameter error");
    });
    connected(async |driver, _, _| {
        assert!(matches!(driver.set_averaging(17).await, Err(MeterError::ReadBack { what: "averaging", .. })));
        let failure = driver.set_range(Range::Upper(Power::from_watts(3.0))).await.unwrap_err();
        assert!(matches!(failure, MeterError::ReadBack { what: "range", .. }), "{failure}");
        driver.set_range(Range::Upper(Power::from_watts(1e-3))).await.unwrap();
        assert!((driver.range().await.unwrap().watts() - 2e-3).abs() < 1e-9);
    });
}

#[test]
fn a_reading_is_fresh_and_carries_its_validity() {
    connected(async |driver, device, clock| {
        let before = clock.now();
        assert_eq!(driver.read().await.unwrap(), [Reading::Power(Power::from_watts(1e-4))]);
        assert!((ms(400)..ms(450)).contains(&(clock.now() - before)));
        assert_eq!(device.borrow().heard, ["Q?", "D?"]);
        device.borrow_mut().over = true;
        assert_eq!(driver.read().await.unwrap(), [Reading::Saturated]);
        device.borrow_mut().over = false;
        device.borrow_mut().done_at = clock.now() + Duration::from_secs(60);
        assert!(matches!(driver.read().await, Err(MeterError::NotFinished { .. })));
    });
}

#[test]
fn a_meter_that_was_switched_off_gives_an_error_and_no_reading() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["D?"];
        driver.read().await.unwrap();
        device.borrow_mut().lose = vec!["D?"];
        device.borrow_mut().values.insert('U', 3);
        device.borrow_mut().reading = "-1.000E+01";
        let failure = driver.read().await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: unit was set to 1 but reads back 3");
        assert!(driver.read().await.is_err());
    });
}

#[test]
fn zeroing_subtracts_a_fresh_reading_and_errors_are_cleared() {
    connected(async |driver, device, clock| {
        let before = clock.now();
        driver.zero().await.unwrap();
        assert!(clock.now() - before >= ms(400));
        assert_eq!(device.borrow().values[&'Z'], 1);
        device.borrow_mut().errors = 3;
        assert_eq!(driver.errors().await.unwrap().iter().map(|e| e.0).collect::<Vec<_>>(), [1, 2]);
        assert!(driver.errors().await.unwrap().is_empty());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn answers_of_noise_end_in_an_error_and_not_in_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..60)) {
        on_virtual_clock(async |clock| {
            let line = served(&clock, scpi::line_end, move |_| noise.clone());
            let mut driver = Newport1830::new(line, Expected::default());
            assert!(driver.connect(&setup()).await.is_err());
        });
    }
}
