//! A chain of simulated devices, as its clients and its faults see it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use units::clock::{Clock, virtual_runtime};

use super::super::{Device, make, standalone};
use crate::backdoor::BackDoor;
use crate::config::{Link, PortWiring, Wiring};
use crate::faults::Fault;
use crate::uart::{LineSettings, Parity};
use crate::world::World;

/// A reply that takes longer than this is none, seconds.
const PATIENCE_S: f64 = 0.01;

struct Dialogue {
    device: Box<dyn Device>,
    door: BackDoor,
    now_s: f64,
}

impl Dialogue {
    /// Sends bytes; gives what comes of them at once.
    fn say(&mut self, text: &str) -> String {
        self.device.receive(self.now_s, text.as_bytes());
        self.hear(PATIENCE_S)
    }

    /// Waits; gives what comes meanwhile.
    fn hear(&mut self, wait_s: f64) -> String {
        let end_s = self.now_s + wait_s;
        let mut heard = Vec::new();
        while let Some(at) = self.device.due().filter(|at| *at <= end_s) {
            self.now_s = self.now_s.max(at);
            heard.extend(self.device.reply(self.now_s).unwrap_or_default());
        }
        self.now_s = end_s;
        String::from_utf8(heard).unwrap()
    }

    fn check(&mut self, lines: &[(&str, &str)]) {
        for (sent, expected) in lines {
            assert_eq!(self.say(sent), *expected, "{sent:?}");
        }
    }

    /// Looks for home on every axis and waits for it.
    fn homed(&mut self) {
        self.say("/home\n");
        self.hear(30.0);
    }
}

fn with(options: &[(&str, &str)], talk: impl FnOnce(&mut Dialogue)) {
    let options: BTreeMap<String, String> =
        options.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    let instrument = standalone("zaber-ascii", &options).unwrap();
    let settings = LineSettings { baud: 115_200, parity: Parity::None };
    let link = Link::Serial { path: "unused".into(), settings };
    let ports = vec![PortWiring { name: instrument.port.clone(), link }];
    virtual_runtime().unwrap().block_on(async {
        let wiring = Wiring { ports, instruments: vec![instrument.clone()] };
        let world = World::alone(&wiring, 1e-4, 1, Clock::simulated());
        let device = make(&world, &instrument).unwrap();
        world.backdoor().begin();
        talk(&mut Dialogue { device, door: world.backdoor(), now_s: 1.0 });
    });
}

/// Requests as zaber-motion 10.2.0 sends them with checksums off: home, moves, a rejection, a stop.
#[test]
fn zaber_motion_homes_moves_and_stops_one_axis() {
    with(&[], |d| {
        d.check(&[
            ("/0 0 set comm.alert 1\n", "@01 0 OK IDLE WR 0\r\n"),
            ("/0 0 00\n", "@01 0 00 OK IDLE WR 0\r\n"),
            ("/1 0 01 get comm.packet.size.max\n", "@01 0 01 OK IDLE WR 80\r\n"),
            ("/1 1 02 warnings\n", "@01 1 02 OK IDLE WR 01 WR\r\n"),
            ("/1 1 04 home\n", "@01 1 04 OK BUSY WR 0\r\n"),
            ("/1 1 05\n", "@01 1 05 OK BUSY WR 0\r\n"),
        ]);
        assert_eq!(d.hear(5.0), "!01 1 IDLE --\r\n");
        d.check(&[
            ("/1 1 12 warnings\n", "@01 1 12 OK IDLE -- 00\r\n"),
            ("/1 1 16 get pos\n", "@01 1 16 OK IDLE -- 0\r\n"),
            ("/1 1 13 move abs 10000\n", "@01 1 13 OK BUSY -- 0\r\n"),
        ]);
        assert_eq!(d.hear(5.0), "!01 1 IDLE --\r\n");
        d.check(&[("/1 1 17 get pos\n", "@01 1 17 OK IDLE -- 10000\r\n")]);
        d.check(&[("/1 1 18 move rel -2500\n", "@01 1 18 OK BUSY -- 0\r\n")]);
        d.hear(5.0);
        d.check(&[
            ("/1 1 19 get pos\n", "@01 1 19 OK IDLE -- 7500\r\n"),
            ("/1 1 34 move abs 1000000000\n", "@01 1 34 RJ IDLE -- BADDATA\r\n"),
            ("/1 1 35 move vel 60000\n", "@01 1 35 OK BUSY -- 0\r\n"),
        ]);
        assert_eq!(d.hear(0.5), "");
        d.check(&[("/1 1 37 stop\n", "@01 1 37 OK BUSY NI 0\r\n")]);
        assert_eq!(d.hear(1.0), "!01 1 IDLE NI\r\n");
        d.check(&[
            ("/1 1 38 warnings clear\n", "@01 1 38 OK IDLE -- 01 NI\r\n"),
            ("/1 1 39 warnings\n", "@01 1 39 OK IDLE -- 00\r\n"),
        ]);
    });
}

/// Recorded from zaber-motion 10.2.0 with checksums on (which is its default): it takes flags away as it sees them, and
/// asks every 50 ms.
#[test]
fn zaber_motion_clears_flags_while_it_waits() {
    with(&[("model", "X-MCB2"), ("axes", "2")], |d| {
        d.check(&[
            ("/1 1 00 home:35\n", "@01 1 00 OK BUSY WR 0\r\n"),
            ("/1 1 01 warnings clear:4D\n", "@01 1 01 OK BUSY WR 01 WR\r\n"),
        ]);
        d.hear(5.0);
        d.check(&[("/1 1 09 move vel 20000:A5\n", "@01 1 09 OK BUSY -- 0\r\n")]);
        d.hear(0.1);
        d.check(&[
            ("/1 1 10 stop:17\n", "@01 1 10 OK BUSY NI 0\r\n"),
            ("/1 1 11 warnings clear:4C\n", "@01 1 11 OK BUSY -- 01 NI\r\n"),
        ]);
        d.hear(0.1);
        d.check(&[("/1 1 14 move abs 20000 3277:C7\n", "@01 1 14 OK BUSY -- 0\r\n")]);
        d.hear(0.2);
        d.check(&[
            ("/1 1 27 move abs 0:78\n", "@01 1 27 OK BUSY NI 0\r\n"),
            ("/1 1 28 warnings clear:44\n", "@01 1 28 OK BUSY -- 01 NI\r\n"),
        ]);
        d.hear(1.0);
        d.check(&[("/1 1 34 move sin 500 200 1.5:9B\n", "@01 1 34 OK BUSY -- 0\r\n")]);
        d.hear(0.301);
        d.check(&[("/1 1 get pos\n", "@01 1 OK IDLE -- 1000\r\n")]);
    });
}

#[test]
fn checksums_are_checked_and_sent_when_they_are_set() {
    with(&[], |d| {
        d.check(&[
            ("/0 0 00:00\n", "@01 0 00 OK IDLE WR 0\r\n"),
            ("/0 0 00:01\n", ""),
            ("/1 0 set comm.checksum 1\n", "@01 0 OK IDLE WR 0:3E\r\n"),
            ("/1 0 set comm.checksum 0\n", "@01 0 OK IDLE WR 0\r\n"),
        ]);
    });
}

#[test]
fn every_device_of_a_chain_answers_address_0_and_no_other() {
    with(&[("devices", "3"), ("axes", "2"), ("model", "X-MCB2")], |d| {
        d.check(&[
            (
                "/0 0 07 get deviceid\n",
                "@01 0 07 OK IDLE WR 30222\r\n@02 0 07 OK IDLE WR 30222\r\n@03 0 07 OK IDLE WR 30222\r\n",
            ),
            ("/2 0 system.serial\n", "@02 0 RJ IDLE WR BADCOMMAND\r\n"),
            ("/2 0 get system.serial\n", "@02 0 OK IDLE WR 4000000002\r\n"),
            ("/4 get pos\n", ""),
            ("/0 0 -- home\n", ""),
        ]);
        d.hear(30.0);
        d.check(&[("/3 get pos\n", "@03 0 OK IDLE -- 0 0\r\n"), ("/3 2 move rel 100\n", "@03 2 OK BUSY -- 0\r\n")]);
        d.hear(1.0);
        d.check(&[
            ("/3 get pos\n", "@03 0 OK IDLE -- 0 100\r\n"),
            ("/renumber 5\n", "@05 0 OK IDLE -- 0\r\n@06 0 OK IDLE -- 0\r\n@07 0 OK IDLE -- 0\r\n"),
            ("/7 2 get pos\n", "@07 2 OK IDLE -- 100\r\n"),
            ("/renumber 98\n", "@05 0 RJ IDLE -- BADDATA\r\n@06 0 RJ IDLE -- BADDATA\r\n@07 0 RJ IDLE -- BADDATA\r\n"),
        ]);
    });
}

#[test]
fn what_cannot_be_done_is_rejected_with_its_reason() {
    with(&[("axes", "2")], |d| {
        d.homed();
        let mut check = |sent: &str, reason: &str| {
            let answer = d.say(&format!("{sent}\n"));
            assert!(answer.contains(" RJ IDLE ") && answer.ends_with(&format!(" {reason}\r\n")), "{sent}: {answer}");
        };
        check("/1 1 dance", "BADCOMMAND");
        check("/1 1 get no.such.setting", "BADCOMMAND");
        check("/1 0 set system.serial 5", "BADCOMMAND");
        check("/1 1 set peripheralid 5", "BADCOMMAND");
        check("/1 1 get deviceid", "DEVICEONLY");
        check("/1 5 home", "BADAXIS");
        check("/1 3 home", "INACTIVE");
        check("/1 1 100 home", "BADMESSAGEID");
        check("/1 1 move abs", "BADCOMMAND");
        check("/1 1 move abs x", "BADDATA");
        check("/1 1 move abs 1.5", "BADDATA");
        check("/1 1 move abs 100 -5", "BADDATA");
        check("/1 1 move vel 99999999", "BADDATA");
        check("/1 1 move sin 100 0.01", "BADDATA");
        check("/1 1 set maxspeed 0", "BADDATA");
        check("/1 1 set accel 99999999", "BADDATA");
        check("/1 1 set limit.min 300000", "BADDATA");
        check("/1 0 set comm.address 100", "BADDATA");
        assert!(d.say("/1 1 tools parking park\n").contains(" OK "));
        assert_eq!(d.say("/1 1 home\n"), "@01 1 RJ IDLE -- PARKED\r\n");
        assert!(d.say("/1 1 tools parking unpark\n/1 1 driver disable\n").ends_with("OK IDLE FO 0\r\n"));
        assert_eq!(d.say("/1 1 move rel 5\n"), "@01 1 RJ IDLE FO DRIVERDISABLED\r\n");
        assert!(d.say("/1 1 driver enable\n/1 1 move vel 1000\n").ends_with("OK BUSY -- 0\r\n"));
        assert_eq!(d.say("/1 1 set resolution 128\n"), "@01 1 RJ BUSY -- STATUSBUSY\r\n");
    });
}

#[test]
fn settings_read_back_as_they_were_set_and_are_kept_over_a_restart() {
    with(&[], |d| {
        d.homed();
        for (setting, value) in [
            ("maxspeed", "12345"),
            ("accel", "100"),
            ("limit.min", "-50000"),
            ("limit.max", "50000"),
            ("limit.approach.maxspeed", "4000"),
        ] {
            assert_eq!(d.say(&format!("/1 1 set {setting} {value}\n")), "@01 1 OK IDLE -- 0\r\n");
            assert_eq!(d.say(&format!("/1 1 get {setting}\n")), format!("@01 1 OK IDLE -- {value}\r\n"));
        }
        d.check(&[
            ("/1 1 move abs 50001\n", "@01 1 RJ IDLE -- BADDATA\r\n"),
            ("/1 1 move max\n", "@01 1 OK BUSY -- 0\r\n"),
        ]);
        d.hear(20.0);
        d.check(&[("/1 get pos\n", "@01 0 OK IDLE -- 50000 NA NA NA\r\n")]);
        d.device.restart(d.now_s);
        d.check(&[
            ("/1 1 get pos\n", "@01 1 OK IDLE WR 0\r\n"),
            ("/1 1 get maxspeed\n", "@01 1 OK IDLE WR 12345\r\n"),
            ("/1 1 set resolution 128\n", "@01 1 OK IDLE WR 0\r\n"),
            ("/1 1 get limit.max\n", "@01 1 OK IDLE WR 100000\r\n"),
        ]);
    });
}

#[test]
fn stored_positions_are_gone_to() {
    with(&[], |d| {
        d.homed();
        d.check(&[
            ("/1 1 tools storepos 3 4000\n", "@01 1 OK IDLE -- 0\r\n"),
            ("/1 1 tools storepos 3\n", "@01 1 OK IDLE -- 4000\r\n"),
            ("/1 1 tools storepos 17\n", "@01 1 RJ IDLE -- BADDATA\r\n"),
            ("/1 1 move stored 3\n", "@01 1 OK BUSY -- 0\r\n"),
        ]);
        d.hear(5.0);
        d.check(&[
            ("/1 1 get pos\n", "@01 1 OK IDLE -- 4000\r\n"),
            ("/1 tools echo a  b\n", "@01 0 OK IDLE -- a b\r\n"),
        ]);
    });
}

#[test]
fn outputs_are_set_inputs_see_the_light_and_texts_are_kept_until_the_device_is_restored() {
    with(&[("model", "X-MCB2")], |d| {
        d.check(&[
            ("/1 0 io info\n", "@01 0 OK IDLE WR 0 4 4 4\r\n"),
            ("/1 0 io get ai 1\n", "@01 0 OK IDLE WR 1.0000\r\n"),
            ("/1 0 io set do 3 1\n", "@01 0 OK IDLE WR 0\r\n"),
            ("/1 0 io get do\n", "@01 0 OK IDLE WR 0 0 1 0\r\n"),
            ("/1 0 io set do port 1 0 1\n", "@01 0 RJ IDLE WR BADDATA\r\n"),
            ("/1 0 io get di 5\n", "@01 0 RJ IDLE WR BADDATA\r\n"),
            ("/1 1 io get di\n", "@01 1 RJ IDLE WR DEVICEONLY\r\n"),
            ("/1 0 storage set nest left 7\n", "@01 0 OK IDLE WR 0\r\n"),
            ("/1 0 storage get nest\n", "@01 0 OK IDLE WR left 7\r\n"),
            ("/1 1 storage axis get nest\n", "@01 1 RJ IDLE WR BADDATA\r\n"),
            ("/1 0 storage print\n", "@01 0 OK IDLE WR 0\r\n#01 0 set nest left 7\r\n"),
            ("/1 0 system reset\n", "@01 0 OK IDLE WR 0\r\n"),
            ("/1 0 io get do\n", "@01 0 OK IDLE WR 0 0 0 0\r\n"),
            ("/1 0 storage get nest\n", "@01 0 OK IDLE WR left 7\r\n"),
            ("/1 1 set maxspeed 1000\n", "@01 1 OK IDLE WR 0\r\n"),
            ("/1 0 system restore\n", "@01 0 OK IDLE WR 0\r\n"),
            ("/1 0 storage get nest\n", "@01 0 RJ IDLE WR BADDATA\r\n"),
        ]);
        assert!(!d.say("/1 1 get maxspeed\n").contains(" 1000"));
    });
    with(&[("model", "X-LHM")], |d| d.check(&[("/1 0 io info\n", "@01 0 OK IDLE WR 0 0 0 0\r\n")]));
}

#[test]
fn a_speed_is_so_many_microsteps_in_a_second() {
    with(&[], |d| {
        d.homed();
        d.say("/1 1 move vel 16384\n");
        d.hear(2.0);
        let at: f64 = d.say("/1 1 get pos\n").trim().rsplit(' ').next().unwrap().parse().unwrap();
        // 10000 microsteps a second, less the run-up.
        assert!((19_900.0..20_100.0).contains(&at), "{at}");
        // Of its own speed: 1000 microsteps at 100 a second.
        d.say("/1 1 stop\n");
        d.hear(1.0);
        d.say("/1 1 move rel 1000 164 100\n");
        d.hear(9.0);
        assert!(d.say("/1 1\n").contains("BUSY"));
        d.hear(2.0);
        assert!(d.say("/1 1\n").contains("IDLE"));
    });
}

#[test]
fn a_sinusoid_swings_between_its_ends_and_ends_where_its_count_says() {
    with(&[], |d| {
        d.homed();
        assert!(d.say("/1 1 move sin 1000 200 1.5\n").contains("OK BUSY"));
        let mut seen = Vec::new();
        for _ in 0..40 {
            let told = d.say("/1 1 get pos\n");
            seen.push(told.trim().rsplit(' ').next().unwrap().parse::<i64>().unwrap());
        }
        let (low, high) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
        assert!(*low < 100 && *high > 1900 && *high <= 2010, "{seen:?}");
        d.check(&[
            ("/1 1 get pos\n", "@01 1 OK IDLE -- 2000\r\n"),
            ("/1 1 move sin -200 100.5\n", "@01 1 OK BUSY -- 0\r\n"),
        ]);
        d.hear(3.02);
        d.check(&[("/1 1 move sin stop\n", "@01 1 OK BUSY -- 0\r\n")]);
        d.hear(0.2);
        d.check(&[("/1 1 get pos\n", "@01 1 OK IDLE -- 2000\r\n")]);
    });
}

#[test]
fn a_move_that_is_cut_off_leaves_a_note_and_a_home_cut_off_no_reference() {
    with(&[], |d| {
        d.say("/1 1 home\n");
        d.check(&[("/1 1 estop\n", "@01 1 OK BUSY WR 0\r\n")]);
        d.hear(1.0);
        d.check(&[("/1 1 warnings\n", "@01 1 OK IDLE WR 02 WR NI\r\n")]);
        d.homed();
        d.say("/1 1 warnings clear\n/1 1 move max\n");
        d.check(&[("/1 1 move min\n", "@01 1 OK BUSY NI 0\r\n")]);
    });
}

#[test]
fn a_stall_and_a_limit_raise_their_faults() {
    for (fault, flag) in [("axis-stuck:x", "FS"), ("limit-stuck:x", "FE"), ("short-move:x", "--")] {
        with(&[], |d| {
            d.homed();
            d.say("/1 set comm.alert 1\n");
            d.door.inject(Fault::parse(fault).unwrap());
            assert!(d.say("/1 1 move abs 20000\n").contains("OK"));
            let heard = d.hear(5.0);
            assert!(heard.is_empty() || heard == format!("!01 1 IDLE {flag}\r\n"), "{fault}: {heard}");
            assert!(d.say("/1 1\n").contains(&format!("IDLE {flag}")), "{fault}");
        });
    }
}

#[test]
fn a_command_in_several_packets_is_one() {
    with(&[], |d| {
        d.homed();
        d.check(&[
            ("/1 1 05 move \\\n", ""),
            ("/1 1 05 cont 1 abs \\\n", ""),
            ("/1 1 05 cont 2 500\n", "@01 1 05 OK BUSY -- 0\r\n"),
        ]);
        d.hear(2.0);
        d.check(&[
            ("/1 1 get pos\n", "@01 1 OK IDLE -- 500\r\n"),
            ("/1 1 06 move \\\n/1 1 06 cont 2 abs 7\n", ""),
            ("/1 1 06 move \\\n/1 1 get pos\n", "@01 1 OK IDLE -- 500\r\n"),
            ("/1 1 cont 1 abs 7\n", "@01 1 RJ IDLE -- BADCOMMAND\r\n"),
        ]);
        let long = format!("/1 tools echo {}\n", "word ".repeat(40));
        d.check(&[(&long, "")]);
        let help = d.say("/1 0 09 help\n");
        assert!(help.starts_with("@01 0 09 OK IDLE -- Refer") && help.contains("\r\n#01 0 09 "), "{help}");
    });
}

#[test]
fn carriage_returns_noise_and_halves_are_as_the_protocol_says() {
    with(&[], |d| {
        d.check(&[
            ("/1\r", "@01 0 OK IDLE WR 0\r\n"),
            ("/\r\n", "@01 0 OK IDLE WR 0\r\n"),
            ("garbage/1\n", "@01 0 OK IDLE WR 0\r\n"),
            ("no packet\n\r\n", ""),
            ("/1 get", ""),
            (" version\n", "@01 0 OK IDLE WR 7.38\r\n"),
        ]);
        d.device.receive(d.now_s, b"/1\n/1 ge");
        d.device.hang_up();
        d.check(&[("/1\n", "@01 0 OK IDLE WR 0\r\n")]);
        d.device.refuse(true);
        d.check(&[
            ("/1 home\n", "@01 0 RJ IDLE WR DRIVERDISABLED\r\n"),
            ("/1 get version\n", "@01 0 OK IDLE WR 7.38\r\n"),
        ]);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_stop_a_chain_from_answering(bytes in proptest::collection::vec(any::<u8>(), 0..200), words in "(/[0-3] [0-3] (move|set|get|home|stop|tools|system|warnings|driver|renumber)( (abs|rel|vel|sin|max|pos|maxspeed|storepos|comm.alert|reset|-?[0-9]{1,19})){0,4}\n){0,6}") {
        with(&[("devices", "2"), ("axes", "2")], |d| {
            d.device.receive(d.now_s, &bytes);
            d.device.receive(d.now_s, b"\n");
            d.device.receive(d.now_s, words.as_bytes());
            let _ = d.hear(0.5);
            d.device.receive(d.now_s, b"\n/0 0 42 tools echo here\n");
            let heard = d.hear(0.5);
            assert_eq!(heard.matches(" here").count(), 2, "{heard}");
        });
    }
}
