//! A meter after Keysight's programming guide, with faults; a reading must never be more than the meter said.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;
use units::{Power, Reading};

use super::KeysightPm;
use crate::fake::{Step, ms, on_virtual_clock, scripted, served};
use crate::identity::Expected;
use crate::meter::{LogSetup, LogStart, Logger, MeterError, MeterSetup, PowerMeter, Range};
use crate::scpi;

struct Device {
    idn: &'static str,
    /// Slot and channel of each port.
    places: Vec<(u16, u16)>,
    /// What was set, by header.
    set: BTreeMap<String, String>,
    refuse: Vec<&'static str>,
    errors: VecDeque<String>,
    light_w: f32,
    /// Points and state of the logging function.
    points: usize,
    logging: &'static str,
    polls_left: u32,
    lose: Vec<&'static str>,
    heard: Vec<String>,
}

type Shared = Rc<RefCell<Device>>;

fn block(values: impl Iterator<Item = u8>) -> Vec<u8> {
    let bytes: Vec<u8> = values.collect();
    let length = bytes.len().to_string();
    [format!("#{}{length}", length.len()).into_bytes(), bytes].concat()
}

impl Device {
    fn new() -> Device {
        Device {
            idn: "Keysight Technologies,N7744A,MY59700220,V2.022",
            places: (1..=4).map(|slot| (slot, 1)).collect(),
            set: BTreeMap::new(),
            refuse: Vec::new(),
            errors: VecDeque::new(),
            light_w: 1.25e-5,
            points: 0,
            logging: "NONE,COMPLETE",
            polls_left: 0,
            lose: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        self.heard.push(text.clone());
        let reply = self.act(&text);
        let lost = self.lose.iter().position(|l| text.starts_with(l)).map(|at| self.lose.remove(at)).is_some();
        match reply {
            Some(reply) if !lost => [reply, b"\n".to_vec()].concat(),
            _ => Vec::new(),
        }
    }

    fn log(&self, offset: usize, count: usize) -> Vec<u8> {
        block((offset..offset + count).flat_map(|k| (k as f32 * 1e-6).to_le_bytes()))
    }

    fn act(&mut self, text: &str) -> Option<Vec<u8>> {
        if let Some(header) = text.strip_suffix('?') {
            return self.query(header);
        }
        let (header, argument) = text.split_once(' ').unwrap_or((text, ""));
        if self.refuse.iter().any(|r| header.contains(r)) {
            self.errors.push_back(r#"-222,"Data out of range""#.into());
            return None;
        }
        match argument {
            "LOGG,STOP" => self.logging = "NONE,COMPLETE",
            "LOGG,STAR" => (self.logging, self.polls_left) = ("LOGGING_STABILITY,PROGRESS", 3),
            _ if header.ends_with("PAR:LOGG") => {
                self.points = argument.split_once(',').unwrap().0.parse().unwrap();
                self.set.insert(header.into(), argument.into());
            }
            _ => {
                self.set.insert(header.into(), argument.into());
            }
        }
        None
    }

    fn query(&mut self, header: &str) -> Option<Vec<u8>> {
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        match header {
            "*IDN" => return bytes(self.idn),
            "SYST:ERR" => return bytes(&self.errors.pop_front().unwrap_or_else(|| r#"+0,"No error""#.into())),
            "READ:POW:ALL:CONF" => {
                let pairs = self.places.iter().flat_map(|(s, c)| [s.to_le_bytes(), c.to_le_bytes()]).flatten();
                return Some(block(pairs));
            }
            "READ:POW:ALL" => return Some(block(self.places.iter().flat_map(|_| self.light_w.to_le_bytes()))),
            _ => {}
        }
        if header.ends_with("FUNC:STAT") {
            if self.polls_left > 0 {
                self.polls_left -= 1;
            } else if self.logging.ends_with("PROGRESS") {
                self.logging = "LOGGING_STABILITY,COMPLETE";
            }
            return bytes(self.logging);
        }
        if header.ends_with("ZERO") {
            return bytes("+0");
        }
        if header.ends_with("FUNC:RES") {
            return Some(self.log(0, self.points));
        }
        let set = self.set.get(header).cloned();
        match set {
            // Numbers come back in the makers' form and the makers' units.
            Some(text) => {
                let nm = text.strip_suffix("NM").map(|nm| format!("{:+.8E}", nm.parse::<f64>().unwrap() * 1e-9));
                bytes(&nm.unwrap_or_else(|| text.trim_end_matches("DBM").to_string()))
            }
            None if header.ends_with("INP") => bytes("IGN"),
            None => bytes("+0"),
        }
    }

    fn parts(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        let Some((_, part)) = text.split_once("BLOC? ") else { return self.answer(request) };
        self.heard.push(text.clone());
        if self.lose.iter().position(|l| text.contains(l)).map(|at| self.lose.remove(at)).is_some() {
            return Vec::new();
        }
        let (offset, count) = part.split_once(',').unwrap();
        [self.log(offset.parse().unwrap(), count.parse().unwrap()), b"\n".to_vec()].concat()
    }
}

fn setup() -> MeterSetup {
    MeterSetup { wavelength_nm: 1310.0, averaging: 10, range: Range::Upper(Power::from_dbm(-15.0)) }
}

fn talk<F: AsyncFnOnce(&mut KeysightPm, Shared, Clock)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device::new()));
        let far = device.clone();
        let line = served(&clock, scpi::line_end, move |request| far.borrow_mut().parts(request));
        let mut driver = KeysightPm::new(line, Expected::default());
        test(&mut driver, device, clock).await;
    });
}

fn connected<F: AsyncFnOnce(&mut KeysightPm, Shared, Clock)>(test: F) {
    talk(async |driver, device, clock| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().heard.clear();
        test(driver, device, clock).await;
    });
}

#[test]
fn connect_brings_every_port_to_a_known_state_without_a_reset() {
    talk(async |driver, device, _| {
        device.borrow_mut().errors.push_back(r#"-231,"Data questionable""#.into());
        driver.connect(&setup()).await.unwrap();
        let d = device.borrow();
        let set = |header: &str| d.set.get(header).map(String::as_str);
        for n in 1..=4 {
            assert_eq!(set(&format!("SENS{n}:POW:UNIT")), Some("1"));
            assert_eq!(set(&format!("SENS{n}:POW:WAV")), Some("1310.0000NM"));
            assert_eq!(set(&format!("SENS{n}:POW:ATIM")), Some("0.01"));
            assert_eq!(set(&format!("SENS{n}:POW:RANG:AUTO")), Some("0"));
            assert_eq!(set(&format!("SENS{n}:POW:RANG")), Some("-10DBM"));
            assert_eq!(set(&format!("SENS{n}:POW:REF:STAT")), Some("0"));
            assert_eq!(set(&format!("INIT{n}:CONT")), Some("0"));
            assert_eq!(set(&format!("TRIG{n}:INP")), Some("IGN"));
        }
        assert!(!d.heard.iter().any(|h| h.starts_with("*RST")));
        assert_eq!((driver.channels(), driver.integration()), (4, ms(10)));
    });
}

#[test]
fn a_mainframe_is_set_up_by_slot_and_channel_and_dual_heads_by_their_first() {
    talk(async |driver, device, _| {
        {
            let mut d = device.borrow_mut();
            d.idn = "Agilent Technologies,8163B,DE1,V5.25";
            d.places = vec![(1, 1), (1, 2)];
        }
        driver.connect(&setup()).await.unwrap();
        let d = device.borrow();
        assert_eq!(d.set.get("SENS1:CHAN2:POW:UNIT").map(String::as_str), Some("1"));
        assert!(!d.set.contains_key("SENS1:CHAN2:POW:ATIM") && !d.set.contains_key("INIT1:CHAN2:CONT"));
    });
}

#[test]
fn all_ports_are_read_with_one_query_and_out_of_range_is_told() {
    connected(async |driver, device, _| {
        let power = Reading::Power(Power::from_watts(f64::from(1.25e-5f32)));
        assert_eq!(driver.read().await.unwrap(), vec![power; 4]);
        assert_eq!(device.borrow().heard, ["READ:POW:ALL?"]);
        device.borrow_mut().light_w = 3.402_82e38;
        assert_eq!(driver.read().await.unwrap(), vec![Reading::Saturated; 4]);
        assert!((driver.range().await.unwrap().watts() - 1.9999e-4).abs() < 1e-12);
    });
}

#[test]
fn a_block_of_too_few_ports_is_no_reading() {
    connected(async |driver, device, _| {
        device.borrow_mut().places.pop();
        let told = driver.read().await.unwrap_err();
        assert!(matches!(told, MeterError::Line(_)), "{told}");
    });
}

#[test]
fn other_devices_and_refusals_are_told() {
    talk(async |driver, device, _| {
        device.borrow_mut().idn = "Keysight Technologies,N7776C,1,2";
        let told = driver.connect(&setup()).await.unwrap_err().to_string();
        assert!(told.contains("expected a Keysight power meter, but") && told.contains("N7776C"), "{told}");
    });
    talk(async |driver, device, _| {
        device.borrow_mut().refuse.push("SENS3:POW:WAV");
        let told = driver.connect(&setup()).await.unwrap_err().to_string();
        assert_eq!(told, "pm: \"SENS3:POW:WAV 1310.0000NM\" refused: -222, Data out of range");
    });
}

#[test]
fn a_meter_that_restarted_meanwhile_gives_no_reading() {
    connected(async |driver, device, _| {
        {
            let mut d = device.borrow_mut();
            d.lose.push("READ:POW:ALL");
            d.set.clear();
        }
        let told = driver.read().await.unwrap_err();
        assert!(matches!(told, MeterError::ReadBack { what: "unit", .. }), "{told}");
    });
}

#[test]
fn a_log_is_started_waited_for_and_read_in_parts() {
    connected(async |driver, device, _| {
        let log = LogSetup { samples: 5000, averaging: Duration::from_micros(100), start: LogStart::EachTrigger };
        driver.start_log(&log).await.unwrap();
        assert_eq!(device.borrow().set["SENS1:FUNC:PAR:LOGG"], "5000,0.0001");
        assert_eq!(device.borrow().set["TRIG2:INP"], "SME");
        let mut polls = 0;
        while !driver.log_done().await.unwrap() {
            polls += 1;
        }
        assert_eq!(polls, 2);
        device.borrow_mut().lose.push("BLOC? 4096");
        let samples = driver.read_log().await.unwrap();
        assert_eq!((samples.len(), samples[3].len()), (4, 5000));
        assert_eq!(samples[3][4321], Reading::Power(Power::from_watts(f64::from(4321f32 * 1e-6))));
        driver.end_log().await.unwrap();
        assert_eq!(device.borrow().set["TRIG2:INP"], "IGN");
        assert_eq!(device.borrow().set["SENS4:POW:ATIM"], "0.01");
        let told = driver.read_log().await.unwrap_err();
        assert!(matches!(told, MeterError::NoLog { .. }), "{told}");
    });
}

#[test]
fn a_log_of_a_mainframe_comes_whole_slot_by_slot() {
    talk(async |driver, device, _| {
        {
            let mut d = device.borrow_mut();
            d.idn = "Agilent Technologies,8163B,DE1,V5.25";
            d.places = vec![(1, 1), (1, 2), (2, 1)];
        }
        driver.connect(&setup()).await.unwrap();
        let log = LogSetup { samples: 20_001, averaging: ms(1), start: LogStart::Now };
        driver.start_log(&log).await.unwrap();
        while !driver.log_done().await.unwrap() {}
        let samples = driver.read_log().await.unwrap();
        assert_eq!(samples.iter().map(Vec::len).collect::<Vec<_>>(), [20_001; 3]);
        assert!(device.borrow().heard.iter().any(|h| h == "SENS2:FUNC:STAT LOGG,STAR"));
    });
}

#[test]
fn zeroing_waits_for_each_port() {
    connected(async |driver, device, _| {
        driver.zero().await.unwrap();
        assert_eq!(device.borrow().heard[0], "SENS1:CORR:COLL:ZERO:ALL");
        assert_eq!(device.borrow().heard[4], "SENS4:CORR:COLL:ZERO?");
    });
}

/// Bytes as recorded from the block that autosweep 0.1.0 reads from four ports at -10 dBm in watts.
#[test]
fn a_block_with_line_ends_in_it_arrives_whole() {
    on_virtual_clock(async |clock| {
        let idn = b"Keysight Technologies,N7744A,MY1,1.0\n";
        let (line, far) = scripted(
            &clock,
            vec![
                Step::Hear(b"*IDN?\n"),
                Step::Say(idn),
                Step::Hear(b"*IDN?\n"),
                Step::Say(idn),
                Step::Hear(b"READ:POW:ALL?\n"),
                Step::Say(b"#18\x0a\x0d\x0a\x38"),
                Step::Wait(20),
                Step::Say(b"\x0d\x0a\xd1\x38\n"),
            ],
        );
        let mut driver = KeysightPm::new(line, Expected::default());
        driver.session.identify("a meter", |_| true, &Expected::default()).await.unwrap();
        let read = driver.session.ask("READ:POW:ALL?", "two powers", super::codec::readings).await.unwrap();
        let expected = [f32::from_le_bytes(*b"\x0a\x0d\x0a\x38"), f32::from_le_bytes(*b"\x0d\x0a\xd1\x38")];
        assert_eq!(read, expected.map(|w| Reading::Power(Power::from_watts(f64::from(w)))));
        drop(driver);
        far.await.unwrap();
    });
}
