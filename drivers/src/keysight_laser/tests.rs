//! A laser after Keysight's programming guide, with faults; it is on only when it says so.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use units::Power;
use units::clock::Clock;

use super::KeysightLaser;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::scpi;
use crate::source::{LightSource, SourceError, SourceSetup};

struct Device {
    idn: &'static str,
    locked: bool,
    on: bool,
    stuck: bool,
    wavelength_m: f64,
    dbm: f64,
    level_max_dbm: f64,
    watts: bool,
    dbm_only: bool,
    settled: Duration,
    settle_time: Duration,
    errors: VecDeque<&'static str>,
    lose: Vec<&'static str>,
    heard: Vec<String>,
    clock: Clock,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn new(clock: &Clock) -> Device {
        Device {
            idn: "Keysight Technologies,N7776C,N71130PP02,V1.000",
            locked: false,
            on: true,
            stuck: false,
            wavelength_m: 1.55e-6,
            dbm: 6.0,
            level_max_dbm: 13.0,
            watts: false,
            dbm_only: false,
            settled: Duration::ZERO,
            settle_time: ms(1500),
            errors: VecDeque::new(),
            lose: Vec::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        self.heard.push(text.clone());
        let reply = self.act(&text);
        let lost = self.lose.iter().position(|l| text.starts_with(l)).map(|at| self.lose.remove(at)).is_some();
        match reply {
            Some(reply) if !lost => format!("{reply}\n").into_bytes(),
            _ => Vec::new(),
        }
    }

    fn act(&mut self, text: &str) -> Option<String> {
        let flag = |yes: bool| Some(format!("+{}", u8::from(yes)));
        let (header, argument) = text.split_once(' ').unwrap_or((text, ""));
        match header {
            "*IDN?" => return Some(self.idn.into()),
            "SYST:ERR?" => return Some(self.errors.pop_front().unwrap_or(r#"+0,"No error""#).into()),
            "*OPC?" => return flag(self.clock.now() >= self.settled),
            "LOCK?" => return flag(self.locked),
            "POW:STAT?" => return flag(self.on),
            "SOUR0:POW:UNIT?" => return flag(self.watts),
            "SOUR0:WAV?" => return Some(format!("+{:.8E}", self.wavelength_m)),
            "POW?" if self.watts => return Some(format!("+{:.8E}", 1e-3 * 10f64.powf(self.dbm / 10.0))),
            "POW?" => return Some(format!("{:+.8E}", self.dbm)),
            "*CLS" => self.errors.clear(),
            "SOUR0:POW:UNIT" if self.dbm_only => self.errors.push_back(r#"-224,"Illegal parameter value""#),
            "SOUR0:POW:UNIT" => self.watts = argument == "1",
            "SOUR0:POW:STAT" if self.locked => self.errors.push_back(r#"-200,"Execution error (laser locked)""#),
            "SOUR0:POW:STAT" if self.stuck => {}
            "SOUR0:POW:STAT" => {
                self.on = argument == "1";
                self.settled = self.clock.now() + self.settle_time;
            }
            "SOUR0:WAV" => {
                let nm: f64 = argument.strip_suffix("NM").unwrap().parse().unwrap();
                if (1240.0..1380.0).contains(&nm) {
                    self.wavelength_m = nm * 1e-9;
                } else {
                    self.errors.push_back(r#"-222,"Data out of range""#);
                }
            }
            "SOUR0:POW" => {
                let dbm: f64 = argument.strip_suffix("DBM").unwrap().parse().unwrap();
                self.dbm = dbm.min(self.level_max_dbm);
            }
            _ => self.errors.push_back(r#"-113,"Undefined header""#),
        }
        None
    }
}

fn setup() -> SourceSetup {
    SourceSetup { wavelength_nm: 1310.0, level: Power::from_dbm(-3.0) }
}

fn talk<F: AsyncFnOnce(&mut KeysightLaser, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new(&clock)));
        let far = device.clone();
        let line = served(&clock, scpi::line_end, move |request| far.borrow_mut().answer(request));
        let mut driver = KeysightLaser::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

fn connected<F: AsyncFnOnce(&mut KeysightLaser, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

#[test]
fn connect_switches_off_and_sets_wavelength_and_level_in_either_unit() {
    for watts in [false, true] {
        talk(async |driver, device, _| {
            device.borrow_mut().watts = watts;
            driver.connect(&setup()).await.unwrap();
            assert_eq!(driver.identity().model, "N7776C");
            assert!(!device.borrow().on);
            assert!((device.borrow().wavelength_m - 1.31e-6).abs() < 1e-15);
            let state = driver.state().await.unwrap();
            assert!(!state.on && !state.interlock_open);
            assert!((state.level.dbm().unwrap() + 3.0).abs() < 1e-6);
        });
    }
}

#[test]
fn unit_is_asked_for_again_when_the_level_is_not_the_one_set() {
    connected(async |driver, device, _| {
        let level = async |driver: &mut KeysightLaser| driver.state().await.unwrap().level.dbm().unwrap();
        assert!((level(driver).await + 3.0).abs() < 1e-6);
        assert_eq!(device.borrow().heard, ["POW:STAT?", "LOCK?", "POW?"]);
        // At the front panel, one after the other.
        device.borrow_mut().watts = false;
        assert!((level(driver).await + 3.0).abs() < 1e-6);
        device.borrow_mut().dbm = 0.0;
        assert!(level(driver).await.abs() < 1e-6);
        device.borrow_mut().watts = true;
        assert!(level(driver).await.abs() < 1e-6);
    });
}

#[test]
fn switching_on_waits_until_the_laser_has_settled() {
    connected(async |driver, _, clock| {
        let before = clock.now();
        driver.switch_on().await.unwrap();
        assert!((ms(1500)..ms(1600)).contains(&(clock.now() - before)));
        assert!(driver.state().await.unwrap().on);
        driver.switch_off().await.unwrap();
        assert!(!driver.state().await.unwrap().on);
    });
}

#[test]
fn open_interlock_is_told_and_nothing_is_switched() {
    connected(async |driver, device, _| {
        device.borrow_mut().locked = true;
        let failure = driver.switch_on().await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: interlock open: the source refuses to switch on");
        assert_eq!(device.borrow().heard, ["LOCK?"]);
        assert!(driver.state().await.unwrap().interlock_open);
        // Setting up a locked laser that is off is no fault; switching it on would be.
        driver.connect(&setup()).await.unwrap();
    });
}

#[test]
fn locked_laser_that_is_on_and_will_not_go_off_is_told() {
    talk(async |driver, device, _| {
        device.borrow_mut().locked = true;
        let failure = driver.connect(&setup()).await.unwrap_err();
        assert!(matches!(failure, SourceError::Refused { code: -200, .. }), "{failure}");
    });
}

#[test]
fn laser_that_says_nothing_but_stays_off_is_told() {
    connected(async |driver, device, _| {
        device.borrow_mut().stuck = true;
        let failure = driver.switch_on().await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: output was set to 1 but reads back 0");
    });
}

#[test]
fn laser_that_never_settles_is_given_up() {
    connected(async |driver, device, _| {
        device.borrow_mut().settle_time = Duration::from_secs(3600);
        let failure = driver.switch_on().await.unwrap_err();
        assert!(matches!(failure, SourceError::NotSettled { .. }), "{failure}");
    });
}

#[test]
fn wrong_device_refused_wavelength_clipped_level_and_no_level_are_told() {
    let check = |change: fn(&mut Device), setup: SourceSetup, told: &str| {
        talk(async |driver, device, _| {
            change(&mut device.borrow_mut());
            let failure = driver.connect(&setup).await.unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        });
    };
    check(|d| d.idn = "Thorlabs,PM101,1,2", setup(), "expected a Keysight laser, but Thorlabs PM101");
    check(|d| d.idn = "Keysight Technologies,N7745C,1,2", setup(), "but Keysight Technologies N7745C");
    let out = SourceSetup { wavelength_nm: 1500.0, ..setup() };
    check(|_| (), out, r#""SOUR0:WAV 1500.0000NM" refused: -222, Data out of range"#);
    let clipped = "level was set to -3.000 dBm but reads back -10.000 dBm";
    check(|d| d.level_max_dbm = -10.0, setup(), clipped);
    check(|d| d.dbm_only = true, setup(), r#""SOUR0:POW:UNIT 1" refused: -224, Illegal parameter value"#);
    check(|_| (), SourceSetup { level: Power::ZERO, ..setup() }, "a level of 0 W cannot be set");
}

#[test]
fn lost_answers_are_made_good_and_no_command_is_sent_twice() {
    connected(async |driver, device, _| {
        device.borrow_mut().lose = vec!["*OPC?", "POW:STAT?", "LOCK?"];
        driver.switch_on().await.unwrap();
        let sent = device.borrow().heard.iter().filter(|h| *h == "SOUR0:POW:STAT 1").count();
        assert_eq!(sent, 1);
    });
}

#[test]
fn switching_off_does_not_wait_for_a_pending_answer() {
    connected(async |driver, device, clock| {
        device.borrow_mut().settle_time = Duration::from_secs(5);
        assert!(clock.timeout(ms(100), driver.switch_on()).await.is_err());
        assert!(device.borrow().on);
        driver.switch_off().await.unwrap();
        assert!(!device.borrow().on);
    });
}
