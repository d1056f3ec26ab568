//! A meter after the vendor's protocol, with faults; a reading must never be more than the meter said.

use std::cell::RefCell;
use std::rc::Rc;

use units::{Power, Reading};

use super::JoinwitPm;
use super::codec;
use crate::fake::{ms, on_virtual_clock, served};
use crate::identity::Expected;
use crate::meter::{MeterError, MeterSetup, PowerMeter, Range};

#[derive(Default)]
struct Device {
    heard: Vec<Vec<u8>>,
    mw: Vec<f32>,
    garble: u32,
}

type Shared = Rc<RefCell<Device>>;

/// A frame as the device writes it: address, command, data.
fn said(command: u16, data: &[u8]) -> Vec<u8> {
    let [high, low] = command.to_be_bytes();
    let mut bytes = vec![0x7b, 0xff, 5 + u8::try_from(data.len()).unwrap(), high, low];
    bytes.extend(data);
    let sum: u32 = bytes.iter().map(|b| u32::from(*b)).sum();
    bytes.push(u8::try_from((0x10000 - sum) & 0xff).unwrap());
    bytes.push(0x7d);
    bytes
}

impl Device {
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        self.heard.push(request.to_vec());
        let mut reply = match request.get(3..5) {
            Some([0x01, 0x40]) => said(0x0141, &[0, 0, 0x12, 0x34]),
            Some([0x07, 0x30]) => said(0x0731, &[850u16, 1300, 1310, 1490, 1550, 1625].map(u16::to_le_bytes).concat()),
            Some([0x01, 0x60]) => said(0x0161, &[]),
            Some([0x01, 0x64]) => {
                let mw = if self.mw.len() > 1 { self.mw.remove(0) } else { self.mw[0] };
                said(0x0165, &[mw, 2e-3, f32::INFINITY, 0.0].map(f32::to_le_bytes).concat())
            }
            _ => Vec::new(),
        };
        if self.garble > 0 && request.get(3..5) == Some(&[0x01, 0x64]) {
            self.garble -= 1;
            reply[7] ^= 0x10;
        }
        reply
    }
}

fn setup() -> MeterSetup {
    MeterSetup { wavelength_nm: 1310.0, averaging: 2, range: Range::Auto }
}

fn talk<F: AsyncFnOnce(&mut JoinwitPm, Shared)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device { mw: vec![1e-2], ..Device::default() }));
        let far = device.clone();
        let line = served(&clock, codec::frame_end, move |request| far.borrow_mut().answer(request));
        test(&mut JoinwitPm::new(line, Expected::default()), device).await;
    });
}

#[test]
fn connect_sets_the_wavelength_of_each_channel_by_its_place_in_the_table() {
    talk(async |driver, device| {
        driver.connect(&setup()).await.unwrap();
        assert_eq!((driver.identity().serial.as_str(), driver.channels()), ("00001234", 4));
        let heard = device.borrow().heard.clone();
        let set: Vec<&[u8]> = heard.iter().filter(|h| h[3..5] == [0x01, 0x60]).map(|h| &h[5..7]).collect();
        assert_eq!(set, [[1, 3], [2, 3], [3, 3], [4, 3]]);
    });
}

#[test]
fn what_the_meter_does_not_have_is_told() {
    talk(async |driver, _| {
        let told = driver.connect(&MeterSetup { wavelength_nm: 1271.0, ..setup() }).await.unwrap_err().to_string();
        assert!(told.contains("1271 nm") && told.contains("850, 1300, 1310"), "{told}");
        driver.connect(&setup()).await.unwrap();
        assert!(matches!(driver.zero().await, Err(MeterError::Refused { .. })));
        let range = Range::Upper(Power::from_dbm(0.0));
        assert!(matches!(driver.set_range(range).await, Err(MeterError::Refused { .. })));
    });
}

#[test]
fn answers_are_averaged_in_watts_and_out_of_range_is_told() {
    talk(async |driver, device| {
        driver.connect(&setup()).await.unwrap();
        assert_eq!(driver.integration(), ms(20));
        device.borrow_mut().mw = vec![1.0, 3.0];
        let read = driver.read().await.unwrap();
        assert!((read[0].power().unwrap().watts() - 2e-3).abs() < 1e-9);
        assert!((read[1].power().unwrap().watts() - 2e-6).abs() < 1e-12);
        assert_eq!((read[2], read[3]), (Reading::Saturated, Reading::Power(Power::ZERO)));
    });
}

#[test]
fn a_garbled_answer_is_not_believed_and_the_wavelength_is_set_anew() {
    talk(async |driver, device| {
        driver.connect(&setup()).await.unwrap();
        device.borrow_mut().garble = 1;
        let told = driver.read().await.unwrap_err();
        assert!(matches!(told, MeterError::ReadBack { what: "wavelength", .. }), "{told}");
        assert!(driver.read().await.is_ok());
    });
}

#[test]
fn another_device_is_refused_by_what_it_says() {
    on_virtual_clock(async |clock| {
        let line =
            served(&clock, |bytes| (!bytes.is_empty()).then_some(bytes.len()), |_| b"-113 Undefined\r\n".to_vec());
        let mut driver = JoinwitPm::new(line, Expected::default());
        let told = driver.connect(&setup()).await.unwrap_err().to_string();
        assert!(told.contains("a Joinwit power meter") && told.contains("Undefined"), "{told}");
    });
}
