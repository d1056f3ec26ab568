//! A laser after Santec's command reference, with faults; it is on only when it says so.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use units::Power;
use units::clock::Clock;

use super::SantecTsl;
use super::driver::line_end;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::source::{LightSource, SourceError, SourceSetup};

struct Device {
    idn: &'static str,
    end: &'static str,
    /// The command set that speaks nm.
    legacy: bool,
    milliwatts: bool,
    diode: bool,
    stuck: bool,
    shutter_closed: bool,
    wavelength_m: f64,
    dbm: f64,
    settled: Duration,
    settle_time: Duration,
    errors: VecDeque<&'static str>,
    heard: Vec<String>,
    clock: Clock,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        self.heard.push(text.clone());
        self.act(&text).map_or(Vec::new(), |reply| format!("{reply}{}", self.end).into_bytes())
    }

    fn act(&mut self, text: &str) -> Option<String> {
        let flag = |yes: bool| Some(u8::from(yes).to_string());
        let (header, argument) = text.split_once(' ').unwrap_or((text, ""));
        let number = argument.parse::<f64>().unwrap_or(f64::NAN);
        match header {
            "*IDN?" => return Some(self.idn.into()),
            "SYST:ERR?" => return Some(self.errors.pop_front().unwrap_or("0,No error").into()),
            "*OPC?" => return flag(self.clock.now() >= self.settled),
            ":SYST:COMM:CODE?" => return flag(!self.legacy),
            ":POW:UNIT?" => return flag(self.milliwatts),
            ":POW:STAT?" => return flag(self.diode),
            ":POW:SHUT?" => return flag(self.shutter_closed),
            ":WAV?" if self.legacy => return Some(format!("{:.4}", self.wavelength_m * 1e9)),
            ":WAV?" => return Some(format!("{:+.10E}", self.wavelength_m)),
            ":POW?" if self.milliwatts => return Some(format!("{}", 10f64.powf(self.dbm / 10.0))),
            ":POW?" => return Some(format!("{:+.2}", self.dbm)),
            ":SYST:COMM:CODE" => self.legacy = number == 0.0,
            ":POW:UNIT" => self.milliwatts = number == 1.0,
            ":POW:STAT" if self.stuck && number == 1.0 => self.errors.push_back("-200,Execution error"),
            ":POW:STAT" => {
                self.diode = number == 1.0;
                self.settled = self.clock.now() + self.settle_time;
            }
            ":POW:SHUT" => self.shutter_closed = number == 1.0,
            ":WAV" if self.legacy => self.wavelength_m = number * 1e-9,
            ":WAV" if (1480e-9..1640e-9).contains(&number) => self.wavelength_m = number,
            ":POW" => self.dbm = number.min(13.0),
            "*CLS" | ":WAV:SWE" => {}
            _ => self.errors.push_back("-222,Data out of range"),
        }
        None
    }
}

fn setup() -> SourceSetup {
    SourceSetup { wavelength_nm: 1550.25, level: Power::from_dbm(-3.0) }
}

fn talk<F: AsyncFnOnce(&mut SantecTsl, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device {
            idn: "SANTEC,TSL-570,00000000,0027.0027.0011",
            end: "\r",
            legacy: true,
            milliwatts: true,
            diode: true,
            stuck: false,
            shutter_closed: false,
            wavelength_m: 1.6e-6,
            dbm: 10.0,
            settled: Duration::ZERO,
            settle_time: ms(1500),
            errors: VecDeque::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }));
        let far = device.clone();
        let line = served(&clock, line_end, move |request| far.borrow_mut().answer(request));
        test(&mut SantecTsl::new(line, Expected::default()), device, clock).await;
    });
}

#[test]
fn connect_leaves_the_laser_dark_in_metres_and_dbm() {
    for end in ["\r", "\r\n", "\n"] {
        talk(async |laser, device, _| {
            device.borrow_mut().end = end;
            laser.connect(&setup()).await.unwrap();
            let d = device.borrow();
            assert!(!d.diode && d.shutter_closed && !d.legacy && !d.milliwatts);
            assert!((d.wavelength_m - 1550.25e-9).abs() < 1e-13 && d.dbm == -3.0);
            assert!(!d.heard.iter().any(|h| h.starts_with("*RST")));
        });
    }
}

#[test]
fn on_is_diode_and_shutter_and_settled() {
    talk(async |laser, device, clock| {
        laser.connect(&setup()).await.unwrap();
        let begun = clock.now();
        laser.switch_on().await.unwrap();
        assert!(clock.now() - begun >= ms(1500) && clock.now() - begun < ms(1700));
        assert!(device.borrow().diode && !device.borrow().shutter_closed);
        let state = laser.state().await.unwrap();
        assert!(state.on && (state.level.dbm().unwrap() + 3.0).abs() < 1e-9);
        // The front panel closes the shutter.
        device.borrow_mut().shutter_closed = true;
        assert!(!laser.state().await.unwrap().on);
        laser.switch_off().await.unwrap();
        assert!(!device.borrow().diode && device.borrow().shutter_closed);
    });
}

#[test]
fn refusals_and_other_devices_are_told_in_their_words() {
    talk(async |laser, device, _| {
        laser.connect(&setup()).await.unwrap();
        device.borrow_mut().stuck = true;
        let told = laser.switch_on().await.unwrap_err().to_string();
        assert_eq!(told, "pm: \":POW:STAT 1\" refused: -200, Execution error");
        let told = laser.connect(&SourceSetup { wavelength_nm: 1310.0, ..setup() }).await.unwrap_err().to_string();
        assert!(told.contains("refused: -222, Data out of range"), "{told}");
        let told = laser.connect(&SourceSetup { level: Power::from_dbm(20.0), ..setup() }).await.unwrap_err();
        assert!(matches!(told, SourceError::ReadBack { what: "level", .. }), "{told}");
        let told = laser.connect(&SourceSetup { level: Power::ZERO, ..setup() }).await.unwrap_err();
        assert!(matches!(told, SourceError::NoSuchLevel { .. }), "{told}");
    });
    talk(async |laser, device, _| {
        device.borrow_mut().idn = "SANTEC,MPM-210H,0,Ver.2.0";
        let told = laser.connect(&setup()).await.unwrap_err().to_string();
        assert!(told.contains("expected a Santec TSL laser, but") && told.contains("MPM-210H"), "{told}");
    });
}

#[test]
fn a_laser_that_never_settles_is_given_up() {
    talk(async |laser, device, _| {
        laser.connect(&setup()).await.unwrap();
        device.borrow_mut().settle_time = Duration::from_secs(1000);
        let told = laser.switch_on().await.unwrap_err();
        assert!(matches!(told, SourceError::NotSettled { waited_s, .. } if waited_s < 61.0), "{told}");
    });
}

#[test]
fn off_does_not_wait_for_a_pending_answer() {
    talk(async |laser, device, clock| {
        laser.connect(&setup()).await.unwrap();
        device.borrow_mut().settle_time = Duration::from_secs(5);
        assert!(clock.timeout(ms(100), laser.switch_on()).await.is_err());
        assert!(device.borrow().diode);
        laser.switch_off().await.unwrap();
        assert!(!device.borrow().diode);
    });
}

#[test]
fn answers_end_with_cr_lf_or_both() {
    assert_eq!(line_end(b"0\r"), Some(2));
    assert_eq!(line_end(b"0\r\n"), Some(3));
    assert_eq!(line_end(b"\n0\r1\r"), Some(3));
    assert_eq!(line_end(b"0"), None);
    assert_eq!(line_end(b"\r\n"), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..40)) {
        prop_assert!(line_end(&bytes).is_none_or(|end| end > 0 && end <= bytes.len()));
    }
}
