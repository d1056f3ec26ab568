//! Dialogues seen between client libraries and the devices, byte by byte (sheet, section 5, and the bytes that
//! thorlabs-apt-protocol 29.0.0 packs), and what the devices do by themselves.

use std::collections::BTreeMap;

use units::clock::{Clock, virtual_runtime};

use super::super::{Device, make, standalone};
use crate::backdoor::BackDoor;
use crate::config::{InstrumentWiring, Link, PortWiring, Role, Simulation, Wiring};
use crate::noise::Stream;
use crate::uart::{LineSettings, Parity};
use crate::world::{Order, World};

/// A device and the time.
struct Dialogue {
    device: Box<dyn Device>,
    door: BackDoor,
    now_s: f64,
}

impl Dialogue {
    /// Sends bytes given in hexadecimal; gives what comes within some milliseconds, as hexadecimal.
    fn say(&mut self, hex: &str) -> String {
        self.device.receive(self.now_s, &bytes(hex));
        self.wait(0.020)
    }

    /// What comes within a time.
    fn wait(&mut self, seconds: f64) -> String {
        let until = self.now_s + seconds;
        let mut heard = Vec::new();
        while let Some(at) = self.device.due().filter(|at| *at <= until) {
            self.now_s = self.now_s.max(at);
            heard.extend(self.device.reply(self.now_s).into_iter().flatten());
        }
        self.now_s = until;
        heard.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
    }

    fn check(&mut self, lines: &[(&str, &str)]) {
        for (sent, expected) in lines {
            assert_eq!(self.say(sent), *expected, "{sent}");
        }
    }

    fn bits(&mut self) -> u32 {
        let answer = bytes(&self.say("29 04 01 00 50 01"));
        u32::from_le_bytes(answer[8..12].try_into().unwrap())
    }

    fn position(&mut self) -> i32 {
        let answer = bytes(&self.say("11 04 01 00 50 01"));
        i32::from_le_bytes(answer[8..12].try_into().unwrap())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

fn in_world(instrument: InstrumentWiring, world: impl FnOnce(Wiring) -> World, talk: impl FnOnce(&mut Dialogue)) {
    let settings = LineSettings { baud: 115_200, parity: Parity::None };
    let link = Link::Serial { path: "unused".into(), settings };
    let ports = vec![PortWiring { name: instrument.port.clone(), link }];
    virtual_runtime().unwrap().block_on(async {
        let world = world(Wiring { ports, instruments: vec![instrument.clone()] });
        let device = make(&world, &instrument).unwrap();
        talk(&mut Dialogue { device, door: world.backdoor(), now_s: 1.0 });
    });
}

fn with(options: &[(&str, &str)], talk: impl FnOnce(&mut Dialogue)) {
    let options: BTreeMap<String, String> =
        options.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    let instrument = standalone("thorlabs-apt", &options).unwrap();
    in_world(instrument, |wiring| World::alone(&wiring, 1e-4, 1, Clock::simulated()), talk);
}

#[test]
fn pylablib_homes_a_servo_and_moves_it() {
    with(&[], |d| {
        let identity = d.say("05 00 00 00 50 01");
        assert!(identity.starts_with("06 00 54 00 81 50 c1 fc 9b 01 4b 44 43 31 30 31 00 00 10 00"), "{identity}");
        d.check(&[
            ("12 00 00 00 50 01", ""),
            ("29 04 01 00 50 01", "2a 04 06 00 81 50 01 00 00 11 00 80"),
            ("11 04 01 00 50 01", "12 04 06 00 81 50 01 00 00 00 00 00"),
            ("14 04 01 00 50 01", "15 04 0e 00 81 50 01 00 00 00 00 00 b0 35 00 00 87 b5 0b 00"),
            ("43 04 01 00 50 01", ""),
        ]);
        assert_eq!(d.bits(), 0x8000_1300);
        // A homing axis takes no move.
        d.check(&[("53 04 06 00 d0 01 01 00 80 a7 00 00", "")]);
        assert_eq!(d.wait(60.0), "44 04 01 00 01 50");
        assert_eq!((d.bits(), d.position()), (0x8000_1500, 0));
        d.check(&[("53 04 06 00 d0 01 01 00 80 a7 00 00", "")]);
        // Rising counts are direction 2 of a brushed servo for both clients.
        assert_eq!(d.bits(), 0x8000_1520);
        let ended = d.wait(5.0);
        assert!(ended.starts_with("64 04 0e 00 81 50 01 00") && ended.ends_with("00 00 00 00 00 15 00 80"), "{ended}");
        assert!((d.position() - 42_880).abs() <= 2);
        d.check(&[("48 04 06 00 d0 01 01 00 00 bd ff ff", "")]);
        assert_eq!(d.bits(), 0x8000_1510);
        d.wait(5.0);
        assert!((d.position() - 25_728).abs() <= 2);
        d.check(&[("57 04 01 02 50 01", "")]);
        assert_eq!(d.bits(), 0x8000_1580);
        let stopped = d.say("65 04 01 02 50 01") + &d.wait(3.0);
        assert!(stopped.starts_with("66 04 0e 00 81 50"), "{stopped}");
        assert!(d.position() > 25_800);
        let orders: Vec<Order> = d.door.orders().into_iter().map(|o| o.order).collect();
        assert_eq!(orders.len(), 4, "{orders:?}");
        assert_eq!(orders[3], Order::Stop);
    });
}

#[test]
fn a_move_is_idle_for_a_moment_before_it_begins() {
    with(&[], |d| {
        d.device.receive(1.0, &bytes("53 04 06 00 d0 01 01 00 80 a7 00 00 29 04 01 00 50 01"));
        assert_eq!(d.wait(0.0015), "2a 04 06 00 81 50 01 00 00 11 00 80");
        d.wait(0.005);
        assert_eq!(d.bits(), 0x8000_1120);
    });
}

#[test]
fn status_comes_unasked_until_nobody_acknowledges_it() {
    with(&[("model", "BBD201")], |d| {
        d.check(&[
            ("60 00 00 00 11 01", "61 00 00 01 01 11"),
            ("60 00 01 00 11 01", "61 00 01 02 01 11"),
            ("11 00 00 00 21 01", ""),
        ]);
        let count = |heard: &str| heard.matches("91 04 0e 00 81 21 01 00").count();
        assert_eq!(count(&d.wait(3.0)), 28);
        d.check(&[("92 04 00 00 21 01", "")]);
        // Fifty more and no longer; and again after a new start, until it is stopped.
        assert_eq!(count(&d.wait(60.0)), 50);
        d.say("11 00 00 00 21 01");
        assert!(count(&d.wait(1.0)) > 5);
        d.say("12 00 00 00 21 01");
        assert_eq!(d.wait(10.0), "");
    });
}

#[test]
fn ends_of_motion_are_not_told_while_suspended() {
    with(&[("model", "KST101")], |d| {
        d.check(&[("6b 04 00 00 50 01", ""), ("48 04 06 00 d0 01 01 00 00 10 00 00", "")]);
        assert_eq!(d.wait(5.0), "");
        d.check(&[("6c 04 00 00 50 01", ""), ("48 04 06 00 d0 01 01 00 00 10 00 00", "")]);
        assert!(d.wait(5.0).starts_with("64 04 0e 00 81 50 01 00"));
    });
}

#[test]
fn the_longer_status_record_has_its_bits_where_pylablib_looks() {
    with(&[("model", "KST101"), ("status", "20")], |d| {
        let answer = d.say("80 04 01 00 50 01");
        assert!(answer.starts_with("81 04 14 00 81 50 01 00") && answer.ends_with("00 01 00 80"), "{answer}");
    });
}

#[test]
fn pylablib_sets_a_piezo_that_moves_only_while_enabled() {
    with(&[("model", "KPZ101")], |d| {
        d.check(&[
            ("d5 07 01 00 50 01", "d6 07 0a 00 81 50 01 00 01 00 00 00 00 00 00 00"),
            ("43 06 04 00 d0 01 01 00 10 11", ""),
            ("44 06 01 00 50 01", "45 06 04 00 81 50 01 00 10 11"),
            ("47 06 01 00 50 01", "48 06 04 00 81 50 01 00 00 00"),
            ("50 06 01 00 50 01", "51 06 04 00 81 50 01 00 c8 00"),
            ("10 02 01 01 50 01", ""),
        ]);
        d.wait(0.2);
        let gauge = bytes(&d.say("47 06 01 00 50 01"));
        let gauge = u16::from_le_bytes([gauge[8], gauge[9]]);
        assert!(gauge.abs_diff(0x1110) < 20, "{gauge}");
        d.check(&[("40 06 01 02 50 01", ""), ("41 06 01 00 50 01", "42 06 01 02 01 50")]);
        d.check(&[("58 06 01 00 50 01", "")]);
        assert!(d.say("60 06 01 00 50 01").ends_with("21 05 00 80"));
        d.wait(3.0);
        assert!(d.say("60 06 01 00 50 01").ends_with("11 05 00 80"));
    });
}

#[test]
fn unknown_messages_and_other_addresses_are_met_with_silence_and_refusals_have_words() {
    with(&[], |d| {
        d.check(&[
            ("ff 0f 00 00 50 01", ""),
            ("05 00 00 00 11 01", ""),
            ("05 00 00 00 22 01", ""),
            ("23 02 00 00 50 01", ""),
        ]);
        d.device.refuse(true);
        let refused = d.say("11 04 01 00 50 01");
        assert!(refused.starts_with("81 00 44 00 81 50 11 04 01 00 63 6f 6d 6d 61 6e 64"), "{refused}");
        assert!(d.say("05 00 00 00 50 01").starts_with("06 00 54 00"));
    });
    with(&[("model", "TDC001")], |d| {
        // thorlabs-apt-device addresses it as a rack and its first bay.
        assert!(d.say("14 04 01 00 21 01").starts_with("15 04 0e 00 81 50"));
    });
}

#[test]
fn a_restart_loses_home_and_switches_racks_off() {
    with(&[("model", "BBD201")], |d| {
        d.say("10 02 01 01 21 01");
        d.say("43 04 01 00 21 01");
        d.wait(60.0);
        assert!(d.say("29 04 01 00 21 01").ends_with("00 35 00 80"));
        d.device.restart(d.now_s);
        assert!(d.say("29 04 01 00 21 01").ends_with("00 01 00 00"));
    });
}

#[test]
fn any_bytes_leave_a_device_that_still_says_who_it_is() {
    for model in ["KDC101", "BSC203", "KPZ101", "KNA101"] {
        with(&[("model", model)], |d| {
            let stream = Stream::new(7, model);
            for index in 0..3_000 {
                // Half of the bytes from headers, so that many messages are whole.
                let [which, any, ..] = stream.bits(index).to_le_bytes();
                let usual = [0x04, 0x06, 0x50, 0x21, 0x01, 0x00, 0x11, 0xd0];
                let byte = if which & 1 == 0 { any } else { usual[usize::from(which >> 1) % usual.len()] };
                d.device.receive(d.now_s, &[byte]);
                d.wait(0.001);
            }
            d.wait(30.0);
            let ask = if model == "BSC203" { "05 00 00 00 11 01" } else { "05 00 00 00 50 01" };
            let mut heard = String::new();
            // The first may be the rest of a message that had begun.
            for _ in 0..60 {
                heard += &d.say(ask);
            }
            assert!(heard.contains("06 00 54 00 81"), "{model}");
        });
    }
}

/// A NanoTrak on x and y of a world whose laser is on.
fn tracking(talk: impl FnOnce(&mut Dialogue)) {
    let axes = vec![("x".to_string(), "1".to_string()), ("y".to_string(), "2".to_string())];
    let instrument = InstrumentWiring {
        name: "nt".into(),
        kind: "thorlabs-apt".into(),
        port: "device".into(),
        model: Some("KNA101".into()),
        role: Role::Motion { axes },
    };
    let world = |wiring: Wiring| {
        let mut plan = Simulation::plain();
        for axis in plan.axes.values_mut() {
            axis.model.repeatability_um = 0.0;
            axis.model.play_um = 0.0;
        }
        let world = World::new(plan, wiring, 3, false, Clock::simulated());
        {
            let mut inner = world.inner.borrow_mut();
            inner.source.on_since_s = Some(0.0);
            inner.source.level_w = 1e-3;
            let focus = inner.part.aligned.um;
            for (axis, at) in ["x", "y", "z"].into_iter().zip(focus) {
                // Two micrometres beside the focus.
                let off = if axis == "z" { 0.0 } else { 2.0 };
                if let Some(axis) = inner.axes.get_mut(axis) {
                    axis.start(0.0, at + off, 1e6);
                }
            }
        }
        world
    };
    in_world(instrument, world, talk);
}

#[test]
fn a_nanotrak_finds_the_light_and_holds_the_place() {
    tracking(|d| {
        d.check(&[
            ("03 06 02 00 50 01", ""),
            ("04 06 00 00 50 01", "05 06 02 01 01 50"),
            ("06 06 04 00 d0 01 95 bf d6 33", ""),
            ("18 06 0c 00 d0 01 01 00 9a 19 a0 00 cd 0c 00 40 01 00", ""),
            ("33 06 04 00 d0 01 02 00 58 02", ""),
        ]);
        d.now_s = 5.0;
        d.say("39 06 00 00 50 01");
        d.wait(0.2);
        let current = |d: &mut Dialogue| {
            let answer = bytes(&d.say("39 06 00 00 50 01"));
            assert_eq!(answer[..6], [0x3a, 0x06, 10, 0, 0x81, 0x50]);
            f32::from_le_bytes(answer[6..10].try_into().unwrap())
        };
        let before = current(d);
        d.say("03 06 03 00 50 01");
        d.wait(3.0);
        assert_eq!(d.say("04 06 00 00 50 01"), "05 06 04 01 01 50");
        d.say("03 06 02 00 50 01");
        d.wait(0.2);
        let after = current(d);
        assert!(after > 1.2 * before, "{before} {after}");
        let centre = |d: &mut Dialogue| bytes(&d.say("13 06 00 00 50 01"))[6..10].to_vec();
        let held = centre(d);
        d.wait(5.0);
        assert_eq!(centre(d), held);
        // Both axes went back by about what they were off: 2 um of 20 um.
        for side in [0, 2] {
            let at = u16::from_le_bytes([held[side], held[side + 1]]);
            assert!((f64::from(at) - 32_768.0 + 6_553.0).abs() < 500.0, "{held:?}");
        }
    });
}

#[test]
fn a_loop_integrated_late_ends_where_one_that_was_asked_all_along_does() {
    let end = |looks: u32| {
        let mut held = String::new();
        tracking(|d| {
            d.now_s = 5.0;
            d.say("03 06 03 00 50 01");
            for _ in 0..looks {
                d.wait(0.48 / f64::from(looks));
                d.say("3e 06 00 00 50 01");
                d.now_s -= 0.020;
            }
            d.now_s = 6.0;
            d.say("03 06 02 00 50 01");
            held = d.say("13 06 00 00 50 01")[18..29].to_string();
        });
        held
    };
    assert_eq!(end(1), end(24));
}
