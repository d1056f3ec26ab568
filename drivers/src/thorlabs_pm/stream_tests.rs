//! A meter on its Ethernet port, after the maker's documentation: two channels, and samples with and without a line end.

use std::cell::RefCell;
use std::rc::Rc;

use units::clock::Clock;
use units::{Power, Reading};

use super::ThorlabsPm;
use super::segments::encode;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};

struct Device {
    model: &'static str,
    second: &'static str,
    /// Answers to `FETC?`, the next one first; none where they have run out.
    samples: Vec<Vec<u8>>,
    streams: bool,
    errors: u32,
    set: Vec<(String, String)>,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(&request[4..]).to_string();
        text.lines().flat_map(|line| encode(&self.act(line))).collect()
    }

    fn act(&mut self, line: &str) -> Vec<u8> {
        let (header, argument) = line.split_once(' ').unwrap_or((line, ""));
        let told = match header {
            "*IDN?" => format!("Thorlabs,{},M1,1.0", self.model),
            "SYST:ERR?" if self.errors > 0 => {
                self.errors -= 1;
                "-113,\"Undefined header\"".into()
            }
            "SYST:ERR?" => "0,\"No error\"".into(),
            "SYST:SENS:IDN?" => "\"S155C\",\"1\",\"2\",1,18,33".into(),
            "SYST:SENS2:IDN?" => format!("\"{}\",\"1\",\"2\",1,18,33", self.second),
            "MEAS:SIMU?" => "1.0E-6,inf".into(),
            "READ?" => "3.0E-6".into(),
            "CONF?" | "CONF2?" => "POW".into(),
            _ if header.ends_with("FAST:FETC?") => {
                let none = if self.model == "PM5020" { vec![0; 4] } else { b"0".to_vec() };
                return if self.samples.is_empty() { none } else { self.samples.remove(0) };
            }
            _ if header.starts_with("ACQ") && !self.streams => {
                self.errors += 1;
                return Vec::new();
            }
            _ => match header.strip_suffix('?') {
                Some(header) => self.set.iter().rev().find(|(h, _)| h == header).map_or("0".into(), |(_, v)| v.clone()),
                None => {
                    self.set.push((header.to_string(), argument.to_string()));
                    return Vec::new();
                }
            },
        };
        format!("{told}\n").into_bytes()
    }
}

fn segment_end(bytes: &[u8]) -> Option<usize> {
    let [_, _, low, high] = *bytes.first_chunk::<4>()?;
    let end = 4 + usize::from(u16::from_le_bytes([low, high]));
    (bytes.len() >= end).then_some(end)
}

fn connected<F: AsyncFnOnce(&mut ThorlabsPm, Shared, Clock)>(model: &'static str, second: &'static str, test: F) {
    on_virtual_clock(async |clock| {
        let device = Device { model, second, samples: Vec::new(), streams: true, errors: 0, set: Vec::new() };
        let device = Rc::new(RefCell::new(device));
        let far = device.clone();
        let line = served(&clock, segment_end, move |request| far.borrow_mut().answer(request));
        let mut driver = ThorlabsPm::over_ethernet(line, Expected::default());
        let range = Range::Upper(Power::from_watts(1e-3));
        driver.connect(&MeterSetup { wavelength_nm: 1310.0, averaging: 5, range }).await.unwrap();
        test(&mut driver, device, clock).await;
    });
}

#[test]
fn both_channels_are_set_up_and_read_at_once() {
    connected("PM5020", "S154C", async |driver, device, _| {
        assert_eq!(driver.channels(), 2);
        let power = Reading::Power(Power::from_watts(1e-6));
        assert_eq!(driver.read().await.unwrap(), [power, Reading::Saturated]);
        let of_second = |header: &str| device.borrow().set.iter().any(|(h, _)| h == header);
        let set = ["SENS2:POW:UNIT", "SENS2:CORR:WAV", "SENS2:AVER:COUN", "SENS2:POW:RANG", "INP2:FILT", "CONF2:POW"];
        assert!(set.into_iter().all(of_second), "{:?}", device.borrow().set);
    });
}

#[test]
fn without_a_sensor_on_the_second_it_is_a_meter_of_one_channel() {
    connected("PM5020", "no sensor", async |driver, device, _| {
        assert_eq!(driver.channels(), 1);
        assert_eq!(driver.read().await.unwrap(), [Reading::Power(Power::from_watts(3e-6))]);
        assert!(!device.borrow().set.iter().any(|(h, _)| h.contains('2')));
    });
}

/// The maker's example of a sample, 212 uW, later by some us each.
fn sample(later_us: u32) -> Vec<u8> {
    [(18_633_763 + later_us).to_le_bytes(), *b"\x51\x4c\x5e\x39"].concat()
}

#[test]
fn samples_come_with_their_times_whatever_is_behind_them() {
    for (model, one, line_end) in [
        ("PM5020", &[1, 0, 0, 0][..], ""),
        ("PM5020", &[1, 0, 0, 0], "\n"),
        ("PM103E", b"1,", "\n"),
        ("PM103E", b"1,", ""),
    ] {
        connected(model, "no sensor", async |driver, device, clock| {
            let answer = |us| [one, &sample(us)[..], line_end.as_bytes()].concat();
            let streamer = driver.streamer().unwrap();
            streamer.start_stream(1).await.unwrap();
            device.borrow_mut().samples = vec![answer(0), answer(10), answer(5_000)];
            let took = streamer.take_samples(1).await.unwrap();
            let now = clock.seconds();
            let steps: Vec<f64> = took.windows(2).map(|w| w[1].at_s - w[0].at_s).collect();
            assert!(took.len() == 3 && (now - took[2].at_s).abs() < 0.01, "{model}: {took:?} at {now}");
            assert!((steps[1] - 4.99e-3).abs() < 3e-3, "{steps:?}");
            let near = |r: Reading| r.power().is_some_and(|p| (p.watts() - 2.12e-4).abs() < 1e-6);
            assert!(took.iter().all(|s| near(s.reading)));
        });
    }
}

#[test]
fn a_stream_that_is_refused_or_garbled_says_so_and_the_meter_goes_on() {
    connected("PM5020", "no sensor", async |driver, device, clock| {
        device.borrow_mut().streams = false;
        let told = driver.streamer().unwrap().start_stream(1).await.unwrap_err();
        assert!(matches!(told, MeterError::Refused { code: -113, .. }), "{told}");
        device.borrow_mut().streams = true;
        let streamer = driver.streamer().unwrap();
        streamer.start_stream(1).await.unwrap();
        // A count beyond the queue, and an answer cut off.
        for bad in [vec![0xff; 24], [&[2, 0, 0, 0], &sample(0)[..]].concat()] {
            device.borrow_mut().samples = vec![bad];
            let told = driver.streamer().unwrap().take_samples(1).await.unwrap_err();
            assert!(matches!(told, MeterError::Line(_)), "{told}");
            clock.sleep(ms(10)).await;
            assert_eq!(driver.read().await.unwrap().len(), 1);
        }
    });
}
