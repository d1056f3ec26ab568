//! A meter after Thorlabs' command documentation, with faults; a reading must never be more than the meter said.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;
use units::{Power, Reading};

use super::ThorlabsPm;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};
use crate::scpi;

struct Device {
    idn: &'static str,
    sensor: &'static str,
    ok: &'static str,
    unknown: Vec<&'static str>,
    errors: VecDeque<&'static str>,
    unit: &'static str,
    wavelength: f64,
    averaging: f64,
    range: f64,
    auto: bool,
    relative: f64,
    loss: f64,
    filter: f64,
    reading: &'static str,
    zero_until: Duration,
    zero_time: Duration,
    zero_error: Option<&'static str>,
    /// Results sent unasked in front of every answer, until `ABOR`.
    jabber: bool,
    aborts_ignored: u32,
    lose: Vec<&'static str>,
    heard: Vec<String>,
    clock: Clock,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn new(clock: &Clock) -> Device {
        Device {
            idn: "Thorlabs,PM101,M00000001,1.2.3",
            sensor: r#""S154C","16060232","2-JUN-2021",1,18,33"#,
            ok: r#"0,"No error""#,
            unknown: Vec::new(),
            errors: VecDeque::new(),
            unit: "DBM",
            wavelength: 1550.0,
            averaging: 1.0,
            range: 2e-3,
            auto: true,
            relative: 1.0,
            loss: 3.0,
            filter: 1.0,
            reading: "8.123456E-06",
            zero_until: Duration::ZERO,
            zero_time: ms(800),
            zero_error: None,
            jabber: false,
            aborts_ignored: 0,
            lose: Vec::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    fn restart(&mut self) {
        let fresh = Device::new(&self.clock);
        (self.unit, self.wavelength, self.averaging, self.auto) = ("W", fresh.wavelength, 1.0, true);
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        self.heard.push(text.clone());
        let mut answer = if self.jabber { b"5.0E-3\n".to_vec() } else { Vec::new() };
        let reply = self.act(&text);
        let lost = self.lose.iter().position(|l| text.starts_with(l)).map(|at| self.lose.remove(at)).is_some();
        if !lost && let Some(reply) = reply {
            answer.extend(reply.bytes());
            answer.push(b'\n');
        }
        answer
    }

    fn act(&mut self, text: &str) -> Option<String> {
        let (header, argument) = text.split_once(' ').unwrap_or((text, ""));
        if self.unknown.iter().any(|u| header.starts_with(u)) {
            self.errors.push_back(r#"-113,"Undefined header""#);
            return None;
        }
        let number = argument.parse::<f64>().unwrap_or(f64::NAN);
        let told = |value: f64| Some(format!("{value:.6E}"));
        match header {
            "*IDN?" => return Some(self.idn.into()),
            "SYST:SENS:IDN?" => return Some(self.sensor.into()),
            "SYST:ERR?" => return Some(self.errors.pop_front().unwrap_or(self.ok).into()),
            "CONF?" => return Some("POW".into()),
            "SENS:POW:UNIT?" => return Some(self.unit.into()),
            "SENS:POW:REF:STAT?" => return told(self.relative),
            "SENS:CORR:LOSS?" => return told(self.loss),
            "INP:FILT?" => return Some(format!("{}", self.filter)),
            "SENS:CORR:WAV?" => return told(self.wavelength),
            "SENS:AVER:COUN?" => return Some(format!("{}", self.averaging)),
            "SENS:POW:RANG?" => return told(self.range),
            "SENS:POW:RANG:AUTO?" => return Some(u8::from(self.auto).to_string()),
            "SENS:CORR:COLL:ZERO:STAT?" => return Some(u8::from(self.zero_until > self.clock.now()).to_string()),
            "READ?" => return Some(self.reading.into()),
            "ABOR" if self.aborts_ignored > 0 => self.aborts_ignored -= 1,
            "ABOR" => self.jabber = false,
            "*CLS" => self.errors.clear(),
            "CONF:POW" | "SENS:SER:JAB" => {}
            "SENS:POW:UNIT" => self.unit = if argument == "W" { "W" } else { "DBM" },
            "SENS:POW:REF:STAT" => self.relative = number,
            "SENS:CORR:LOSS" => self.loss = number,
            "INP:FILT" => self.filter = number,
            "SENS:CORR:WAV" if (400.0..1700.0).contains(&number) => self.wavelength = number,
            "SENS:CORR:WAV" => self.errors.push_back(r#"-222,"Data out of range""#),
            "SENS:AVER:COUN" => self.averaging = number.min(1000.0),
            "SENS:POW:RANG" => {
                let ranges = [2e-6, 2e-5, 2e-4, 2e-3, 2e-2];
                self.range = ranges.into_iter().find(|r| *r >= number).unwrap_or(2e-2);
                self.auto = false;
            }
            "SENS:POW:RANG:AUTO" => self.auto = number == 1.0,
            "SENS:CORR:COLL:ZERO:INIT" => {
                self.zero_until = self.clock.now() + self.zero_time;
                self.errors.extend(self.zero_error);
            }
            "SENS:CORR:COLL:ZERO:ABOR" => self.zero_until = Duration::ZERO,
            _ => self.errors.push_back(r#"-113,"Undefined header""#),
        }
        None
    }
}

fn setup() -> MeterSetup {
    MeterSetup { wavelength_nm: 1310.0, averaging: 10, range: Range::Auto }
}

fn talk<F: AsyncFnOnce(&mut ThorlabsPm, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, scpi::line_end, move |request| far.borrow_mut().answer(request));
        let mut driver = ThorlabsPm::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

fn connected<F: AsyncFnOnce(&mut ThorlabsPm, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

fn count(device: &Shared, request: &str) -> usize {
    device.borrow().heard.iter().filter(|h| *h == request).count()
}

#[test]
fn connect_brings_every_item_to_a_known_state_without_a_reset() {
    talk(async |driver, device, _| {
        device.borrow_mut().errors.push_back(r#"-350,"Queue overflow""#);
        driver.connect(&setup()).await.unwrap();
        let d = device.borrow();
        assert_eq!((d.unit, d.wavelength, d.averaging, d.auto), ("W", 1310.0, 10.0, true));
        assert_eq!((d.relative, d.loss, d.filter), (0.0, 0.0, 0.0));
        assert!(!d.heard.iter().any(|h| h.starts_with("*RST")));
        assert_eq!(driver.identity().model, "PM101");
        assert_eq!((driver.channels(), driver.integration()), (1, ms(10)));
    });
}

#[test]
fn older_models_are_set_up_too() {
    talk(async |driver, device, _| {
        {
            let mut d = device.borrow_mut();
            d.idn = "THORLABS,PM100D,P0000001,2.4.0";
            d.sensor = "S120C,16060232,2-JUN-2021,1,18,33";
            d.ok = r#"+0,"No error""#;
            d.unknown = vec!["INP:FILT", "SENS:CORR:LOSS"];
        }
        driver.connect(&setup()).await.unwrap();
        assert!(driver.integration() > ms(33) && driver.integration() < ms(34));
        assert_eq!(count(&device, "SENS:SER:JAB 0"), 0);
        assert!(driver.errors().await.unwrap().is_empty());
    });
}

#[test]
fn other_devices_and_missing_sensors_are_told() {
    let check = |idn: &'static str, sensor: &'static str, told: &str| {
        talk(async |driver, device, _| {
            (device.borrow_mut().idn, device.borrow_mut().sensor) = (idn, sensor);
            let failure = driver.connect(&setup()).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    let (pm, s154c) = ("Thorlabs,PM101,M01,1", "S154C,1,2,1,18,33");
    check("Keysight Technologies,N7776C,1,2", s154c, "but Keysight Technologies N7776C");
    check("NEWPORT 1830-C", s154c, "a device that says");
    check(pm, "no sensor,none,none,0,0,0", "no power sensor (the meter says \"no sensor\")");
    check(pm, "ES111C,1,2,3,1,2", "no power sensor (the meter says \"ES111C\")");
    talk(async |driver, _, _| {
        driver.expected.serial = Some("M2".into());
        assert!(matches!(driver.connect(&setup()).await, Err(MeterError::WrongDevice { .. })));
    });
}

#[test]
fn refused_and_clipped_settings_are_told_apart() {
    talk(async |driver, _, _| {
        let failure = driver.connect(&MeterSetup { wavelength_nm: 5000.0, ..setup() }).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: \"SENS:CORR:WAV 5000\" refused: -222, Data out of range");
    });
    connected(async |driver, _, _| {
        let failure = driver.set_averaging(5000).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: averaging was set to 5000 but reads back 1000");
        assert_eq!(driver.integration(), ms(10));
    });
}

#[test]
fn unknown_header_of_a_needed_setting_is_told_by_the_error_queue() {
    talk(async |driver, device, _| {
        device.borrow_mut().unknown = vec!["SENS:AVER"];
        let failure = driver.connect(&setup()).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: \"SENS:AVER:COUN?\" refused: -113, Undefined header");
    });
}

#[test]
fn range_is_the_smallest_that_holds_the_power() {
    connected(async |driver, device, _| {
        driver.set_range(Range::Upper(Power::from_watts(5e-5))).await.unwrap();
        assert_eq!(driver.range().await.unwrap(), Power::from_watts(2e-4));
        assert!(!device.borrow().auto);
        driver.set_range(Range::Auto).await.unwrap();
        assert!(device.borrow().auto);
        let failure = driver.set_range(Range::Upper(Power::from_watts(1.0))).await.unwrap_err();
        assert!(matches!(failure, MeterError::ReadBack { what: "range", .. }), "{failure}");
    });
}

#[test]
fn readings_carry_their_validity() {
    connected(async |driver, device, _| {
        let mut check = async |text: &'static str, reading: Reading| {
            device.borrow_mut().reading = text;
            assert_eq!(driver.read().await.unwrap(), [reading], "{text}");
        };
        check("8.123456E-06", Reading::Power(Power::from_watts(8.123456e-6))).await;
        check("-3.1E-12", Reading::Power(Power::from_watts(-3.1e-12))).await;
        check("inf", Reading::Saturated).await;
        check("9.90000000E+37", Reading::Saturated).await;
        check("-inf", Reading::UnderRange).await;
        check("nan", Reading::UnderRange).await;
    });
}

#[test]
fn one_reading_is_one_exchange() {
    connected(async |driver, device, _| {
        driver.read().await.unwrap();
        assert_eq!(device.borrow().heard, ["READ?"]);
    });
}

#[test]
fn lost_reading_is_asked_again_once_the_settings_are_known_to_stand() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["READ?"];
        assert!(driver.read().await.unwrap()[0].power().is_some());
        assert_eq!(count(&device, "SENS:CORR:WAV?"), 1);
    });
}

#[test]
fn meter_that_restarted_gives_an_error_and_no_reading() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["READ?"];
        device.borrow_mut().restart();
        let failure = driver.read().await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: wavelength was set to 1310 but reads back 1550");
        // It stays so until the meter is set up anew.
        assert!(driver.read().await.is_err());
        driver.connect(&setup()).await.unwrap();
        assert!(driver.read().await.is_ok());
    });
}

#[test]
fn results_sent_unasked_are_stopped_before_anything_is_believed() {
    for aborts_ignored in [0, 1] {
        talk(async |driver, device, _| {
            (device.borrow_mut().jabber, device.borrow_mut().aborts_ignored) = (true, aborts_ignored);
            driver.connect(&setup()).await.unwrap();
            assert_eq!(driver.read().await.unwrap(), [Reading::Power(Power::from_watts(8.123456e-6))]);
        });
    }
}

#[test]
fn results_sent_unasked_later_are_not_taken_for_answers() {
    connected(async |driver, device, _| {
        device.borrow_mut().jabber = true;
        assert!(driver.read().await.is_err());
    });
}

#[test]
fn zeroing_is_waited_for_and_its_failure_told() {
    connected(async |driver, device, clock| {
        let before = clock.now();
        driver.zero().await.unwrap();
        assert!((ms(800)..ms(900)).contains(&(clock.now() - before)));
        device.borrow_mut().zero_error = Some(r#"-200,"Too much light""#);
        let failure = driver.zero().await.unwrap_err();
        assert!(matches!(failure, MeterError::Refused { code: -200, .. }), "{failure}");
        device.borrow_mut().zero_time = Duration::from_secs(100);
        let failure = driver.zero().await.unwrap_err();
        assert!(matches!(failure, MeterError::NotFinished { .. }), "{failure}");
        driver.errors().await.unwrap();
        assert_eq!(count(&device, "SENS:CORR:COLL:ZERO:ABOR"), 1);
    });
}

#[test]
fn error_queue_is_read_until_it_is_empty_but_not_for_ever() {
    connected(async |driver, device, _| {
        device.borrow_mut().errors.extend([r#"-222,"Data out of range""#, r#"-113,"Undefined header""#]);
        let errors = driver.errors().await.unwrap();
        assert_eq!(errors, [(-222, "Data out of range".to_string()), (-113, "Undefined header".to_string())]);
        device.borrow_mut().errors.extend([r#"-1,"x""#; 1000]);
        assert_eq!(driver.errors().await.unwrap().len(), super::driver::ERRORS_MAX);
    });
}

#[test]
fn error_query_is_never_asked_twice() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["SYST:ERR?"];
        assert!(matches!(driver.errors().await, Err(MeterError::Line(_))));
        assert_eq!(count(&device, "SYST:ERR?"), 1);
    });
}

#[test]
fn cancelled_reading_leaves_its_answer_to_nobody() {
    connected(async |driver, device, clock| {
        device.borrow_mut().reading = "1.0E-3";
        assert!(clock.timeout(Duration::from_micros(500), driver.read()).await.is_err());
        device.borrow_mut().reading = "2.0E-3";
        assert_eq!(driver.read().await.unwrap(), [Reading::Power(Power::from_watts(2e-3))]);
    });
}
