//! Dialogues seen between vendors' client libraries and the devices, byte by byte.

mod newport;
mod pi;

use std::collections::BTreeMap;

use units::clock::{Clock, virtual_runtime};

use super::{Device, make, standalone};
use crate::config::{Link, PortWiring, Wiring};
use crate::uart::{LineSettings, Parity};
use crate::world::World;

/// Power on the meter, W.
const LIGHT_W: f64 = 1e-4;
/// A reply that takes longer than this is none, seconds.
const PATIENCE_S: f64 = 60.0;

/// A device and the time.
pub(super) struct Dialogue {
    pub(super) device: Box<dyn Device>,
    pub(super) now_s: f64,
    /// The device works a line off command by command, each in its time.
    works_lines_off: bool,
}

impl Dialogue {
    /// Sends bytes; gives everything that comes of them, without waiting longer than it takes.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.device.receive(self.now_s, bytes);
        let mut heard = Vec::new();
        while let Some(at) = self.device.due().filter(|at| *at <= self.now_s + PATIENCE_S) {
            match self.device.reply(self.now_s.max(at)) {
                Some(reply) => heard.extend(reply),
                // It had nothing to do but to go on with the line it was told.
                None if self.works_lines_off => {}
                None => break,
            }
            self.now_s = self.now_s.max(at);
        }
        heard
    }

    pub(super) fn say(&mut self, text: &str) -> String {
        String::from_utf8(self.raw(text.as_bytes())).unwrap()
    }

    /// Lines sent and what comes of each.
    pub(super) fn check(&mut self, lines: &[(&str, &str)]) {
        for (sent, expected) in lines {
            assert_eq!(self.say(sent), *expected, "{sent:?}");
        }
    }
}

/// Talks to a device that stands alone.
pub(super) fn with(kind: &str, options: &[(&str, &str)], talk: impl FnOnce(&mut Dialogue)) {
    let options: BTreeMap<String, String> =
        options.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    let instrument = standalone(kind, &options).unwrap();
    let settings = LineSettings { baud: 115_200, parity: Parity::None };
    let link = Link::Serial { path: "unused".into(), settings };
    let ports = vec![PortWiring { name: instrument.port.clone(), link }];
    virtual_runtime().unwrap().block_on(async {
        let wiring = Wiring { ports, instruments: vec![instrument.clone()] };
        let world = World::alone(&wiring, LIGHT_W, 1, Clock::simulated());
        talk(&mut Dialogue {
            device: make(&world, &instrument).unwrap(),
            now_s: 1.0,
            works_lines_off: kind == "newport-esp",
        });
    });
}

#[test]
fn pipython_asks_types_and_values_of_parameters() {
    with("pi-gcs2", &[("axes", "3")], |d| {
        let help = d.say("HPA?\n");
        let lines: Vec<&str> = help.split(" \n").collect();
        assert!(lines.len() > 3 && help.ends_with("end of help\n"), "{help}");
        for line in &lines[1..lines.len() - 1] {
            let (id, rest) = line.split_once('=').unwrap();
            assert!(u32::from_str_radix(id.strip_prefix("0x").unwrap(), 16).is_ok(), "{line}");
            assert!(matches!(rest.split_whitespace().nth(2), Some("INT" | "FLOAT" | "CHAR")), "{line}");
        }
        d.check(&[
            ("SPA? 1 0x3C\n", "1 0x3C=M-SIM.1DG\n"),
            ("SPA? 1 0x32 2 50\n", "1 0x32=0 \n2 0x32=0\n"),
            ("SPA 1 0x49 1.5\nERR?\n", "0\n"),
            ("VEL? 1\n", "1=1.500000\n"),
            ("SPA 1 0x0A 5\nERR?\n", "60\n"),
            ("SPA 1 0x7FFFFFF0 5\nERR?\n", "54\n"),
            ("SPA 1 0x36 0\nERR?\n", "17\n"),
            ("SPA? 4 0x36\n", ""),
            ("ERR?\n", "15\n"),
        ]);
    });
}

#[test]
fn an_axis_without_a_stage_is_told_only_where_all_are_asked_for() {
    with("pi-gcs2", &[("axes", "3")], |d| {
        d.check(&[
            ("VST?\n", "M-SIM.1DG \nNOSTAGE\n"),
            ("CST 3 NO-SUCH-STAGE\nERR?\n", "16\n"),
            ("CST 3 NOSTAGE\nERR?\n", "0\n"),
            ("SAI?\n", "1 \n2\n"),
            ("SAI? ALL\n", "1 \n2 \n3\n"),
            ("CST?\n", "1=M-SIM.1DG \n2=M-SIM.1DG \n3=NOSTAGE\n"),
            ("SVO 3 1\nERR?\n", "15\n"),
            ("CST 3 M-SIM.1DG\nSAI?\n", "1 \n2 \n3\n"),
        ]);
    });
}

#[test]
fn home_and_a_defined_position_shift_what_is_told_until_the_next_reference_move() {
    with("pi-gcs2", &[("axes", "3")], |d| {
        let low = d.say("TMN? 1\n");
        d.check(&[("RON 1 0\nPOS 1 3\nERR?\n", "0\n"), ("POS? 1\n", "1=3.000000\n"), ("MOV? 1\n", "1=3.000000\n")]);
        assert_ne!(d.say("TMN? 1\n"), low);
        d.check(&[("SVO 1 1\nMVR 1 0.5\nERR?\n", "0\n"), ("MOV? 1\n", "1=3.500000\n")]);
        d.now_s += 5.0;
        d.check(&[("DFH 1\nPOS? 1\n", "1=0.000000\n"), ("GOH 1\nERR?\n", "0\n")]);
        d.check(&[("RON 1 1\nPOS 1 0\nERR?\n", "34\n"), ("FRF 1\nERR?\n", "0\n")]);
        assert_eq!(d.raw(b"\x07"), b"\xb0\n");
        d.now_s += 30.0;
        assert_eq!(d.raw(b"\x07"), b"\xb1\n");
        assert_eq!(d.say("TMN? 1\n"), low);
        d.check(&[("FRF? 1\n", "1=1\n"), ("DFH? 1\n", "1=0.000000\n")]);
    });
}

#[test]
fn positions_that_have_changed_are_told_once() {
    with("pi-gcs2", &[("axes", "3")], |d| {
        d.check(&[("RON 2 0\nPOS 2 0\nSVO 2 1\nERR?\n", "0\n"), ("\x06", "0\n"), ("MVR 2 0.25\nERR?\n", "0\n")]);
        d.now_s += 5.0;
        d.check(&[("\x06", "2\n"), ("\x06", "0\n"), ("\x03", &d_positions())]);
    });
    fn d_positions() -> String {
        // Axes start 1.5 mm from their reference; the second was called 0 there and has gone on.
        "1=1.500000 \n2=0.250000 \n3=1.500000\n".into()
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_whole_and_the_next_one_is_answered() {
    let long = "A".repeat(10_000);
    with("pi-gcs2", &[], |d| d.check(&[(&format!("{long} ;CSV?\nERR?\n"), "3\n"), ("CSV?\n", "2.0\n")]));
    with("thorlabs-pm", &[], |d| {
        d.check(&[(&format!("{long} ;*OPC?\nSYST:ERR?\n"), "-223,\"Too much data\"\n"), ("*OPC?\n", "1\n")]);
    });
    with("keysight-laser", &[], |d| {
        d.check(&[(&format!("{long} ;*OPC?\nSYST:ERR?\n"), "-223,\"Too much data\"\n"), ("*OPC?\n", "1\n")]);
    });
}

#[test]
fn what_a_client_left_behind_is_gone_when_it_hangs_up() {
    for kind in ["pi-gcs2", "thorlabs-pm", "keysight-pm", "keysight-laser"] {
        with(kind, &[], |d| {
            d.device.receive(d.now_s, b"*IDN?\n*ID");
            d.device.hang_up();
            let answer = d.say("*IDN?\n");
            assert_eq!(answer.matches('\n').count(), 1, "{kind}: {answer}");
            assert!(answer.contains("SIM0000"), "{kind}: {answer}");
        });
    }
}

#[test]
fn cr_and_cr_lf_end_a_line_of_a_scpi_device_as_lf_does() {
    for kind in ["thorlabs-pm", "keysight-pm", "keysight-laser"] {
        with(kind, &[], |d| {
            d.check(&[("*OPC?\r", "1\n"), ("*OPC?\r\n", "1\n"), ("\r\n\n\r", ""), ("*OPC?\n*OPC?\r\n", "1\n1\n")]);
        });
    }
}

#[test]
fn a_value_once_read_is_fetched_again_and_one_never_measured_is_stale() {
    with("thorlabs-pm", &[], |d| {
        d.check(&[("FETC?\nSYST:ERR?\n", "-230,\"Data corrupt or stale\"\n"), ("FETC:STAT?\n", "0\n")]);
        let read = d.say("READ?\n");
        d.check(&[("FETC?\n", &read), ("FETC:STAT?\n", "1\n"), ("ABOR;:FETC:STAT?\n", "0\n")]);
    });
}

#[test]
fn thorlabspm100_measures_current_density_and_temperature() {
    with("thorlabs-pm", &[], |d| {
        let mut number = |text: &str| d.say(text).trim().parse::<f64>().unwrap();
        let responsivity = number("Sense:Correction:Power:Pdiode:RESPonse?\n");
        // The first readings after the range was found are off: it takes some tens of milliseconds.
        for _ in 0..200 {
            number("MEAS:POW?\n");
        }
        assert!((number("MEAS:CURR?\n") / LIGHT_W / responsivity - 1.0).abs() < 0.01);
        let density = number("Sense:Correction:BEAMdiameter 2\nMeasure:Scalar:PDENsity?\n");
        assert!((density / LIGHT_W * 0.031_416 - 1.0).abs() < 0.01);
        assert!((number("MEAS:TEMP?\n") - 24.6).abs() < 0.2);
        d.check(&[("CONF?\n", "TEMP\n"), ("CONF;:CONF?\n", "POW\n"), ("CONF:PDEN;:CONF?\n", "POWDENS\n")]);
        d.check(&[
            ("Configure:Scalar:ENERgy\nSYST:ERR?\n", "-113,\"Undefined header\"\n"),
            ("SENS:POW:REF? MIN;REF? MAX;REF? DEF\n", "-1.000000E+00;1.000000E+00;0.000000E+00\n"),
            ("SENS:CORR:POW 1\nSYST:ERR?\n", "-221,\"Settings conflict\"\n"),
        ]);
    });
}

#[test]
fn status_registers_latch_what_their_filters_let_through() {
    with("thorlabs-pm", &[], |d| {
        d.check(&[
            ("*ESR?;*ESR?\n", "128;0\n"),
            ("STAT:OPER:COND?\n", "256\n"),
            ("STAT:OPER:PTR 512;ENAB 512;:STAT:OPER?;:STAT:OPER?\n", "256;0\n"),
            ("*SRE 128;*STB?\n", "0\n"),
            ("AVER 100;:INIT;:STAT:OPER:COND?\n", "276\n"),
        ]);
        d.now_s += 1.0;
        d.check(&[("*STB?\n", "192\n"), ("STAT:OPER?;:STAT:OPER?\n", "512;0\n"), ("*STB?\n", "0\n")]);
        d.check(&[
            ("STAT:PRES;:STAT:OPER:PTR?;NTR?;ENAB?\n", "65535;0;0\n"),
            ("Status:Auxillary:CONDition?\nSYST:ERR?\n", "-113,\"Undefined header\"\n"),
            ("STAT:AUX:ENAB 65536\nSYST:ERR?\n", "-222,\"Data out of range\"\n"),
            ("*ESE 16;*SRE 32;*CLS;BAD 1\n*STB?\n", "4\n"),
            ("AVER 0\n*STB?\n", "100\n"),
        ]);
    });
}

#[test]
fn the_older_generation_averages_three_hundred_results_a_second() {
    for (model, at_least_s) in [("PM101", 0.3), ("PM100D", 1.0)] {
        with("thorlabs-pm", &[("model", model)], |d| {
            d.say("SENS:POW:RANG 1e-3;:AVER 300\n");
            d.now_s += 1.0;
            let begin = d.now_s;
            d.say("READ?\n");
            let took = d.now_s - begin;
            assert!((at_least_s..at_least_s + 0.01).contains(&took), "{model}: {took}");
        });
    }
}

#[test]
fn pymeasure_sweeps_the_c_band_and_reads_the_logged_wavelengths() {
    with("keysight-laser", &[("model", "N7776C-216")], |d| {
        d.check(&[
            ("*IDN?\n", "Keysight Technologies,N7776C,SIM0000301,1.250\n"),
            ("*OPT?\n", "216\n"),
            ("sour0:read:points? llog\n", "+0\n"),
            (
                "sour0:wav:swe:star 1550.000000nm\nsour0:wav:swe:stop 1549.000000nm\nsour0:wav:swe:chec?\n",
                "368,LambdaStop <= LambdaStart\n",
            ),
            ("sour0:wav:swe 1\nSYST:ERR?\n", "-221,\"Settings conflict\"\n"),
            ("sour0:wav:swe:stop 1551.000000nm\nsour0:wav:swe:step 0.250000nm\nsour0:wav:swe:speed 1.000000nm/s\n", ""),
            ("sour0:wav:swe:speed?\n", "+1.00000000E-009\n"),
            ("sour0:wav:swe:mode CONT\nsour0:wav:swe:mode?\n", "CONT\n"),
            ("sour0:wav:swe:rep TWOW\nsour0:wav:swe:rep?;rep ONEW\n", "TWOW\n"),
            (
                "SOUR0:WAV:SWE:LLOG 1\nsour0:wav:swe:chec?\n",
                "375,Lambda logging only with step finished output trigger\n",
            ),
            ("TRIG0:OUTP STF\nTRIG0:OUTP?\nsour0:wav:swe:chec?\n", "STF\n0,OK\n"),
            ("sour0:wav:swe 1\nsour0:wav:swe?\n", "+1\n"),
            ("sour0:wav 1600.000000nm\nSYST:ERR?\n", "-221,\"Settings conflict\"\n"),
        ]);
        d.now_s += 0.8;
        let between: f64 = d.say("sour0:wav?\n").trim().parse().unwrap();
        assert!((1550.4e-9..1550.6e-9).contains(&between), "{between}");
        d.now_s += 1.0;
        d.check(&[
            ("sour0:wav:swe?\n", "+0\n"),
            ("sour0:read:points? llog\n", "+5\n"),
            ("sour0:wav?\n", "+1.55100000E-006\n"),
        ]);
        let block = d.raw(b"sour0:read:data? llog\n");
        assert_eq!((&block[..4], block.len(), block[44]), (&b"#240"[..], 45, b'\n'));
        for (k, bytes) in (0u32..).zip(block[4..44].chunks_exact(8)) {
            let metres = f64::from_le_bytes(bytes.try_into().unwrap());
            assert!((metres - 1550e-9 - f64::from(k) * 0.25e-9).abs() < 1e-15, "{k}: {metres}");
        }
    });
}

#[test]
fn a_manual_sweep_goes_step_by_step_and_not_beyond_its_ends() {
    with("keysight-laser", &[], |d| {
        d.check(&[
            ("SOUR0:WAV:SWE:STAR 1300NM;STOP 1302NM;STEP 1NM;MODE MAN\n", ""),
            ("SOUR0:WAV:SWE:STEP:NEXT\nSYST:ERR?\n", "-221,\"Settings conflict\"\n"),
            ("SOUR0:WAV:SWE 1\nSOUR0:WAV:SWE:STEP:NEXT\nSOUR0:WAV?\n", "+1.30100000E-006\n"),
            ("SOUR0:WAV:SWE:STEP:NEXT\nSOUR0:WAV:SWE:STEP:NEXT\nSYST:ERR?\n", "-221,\"Settings conflict\"\n"),
            ("SOUR0:WAV:SWE:STEP:PREV\nSOUR0:WAV?\n", "+1.30100000E-006\n"),
            ("SOUR0:WAV:SWE 0\nSOUR0:WAV?\n", "+1.30100000E-006\n"),
        ]);
    });
}

#[test]
fn opc_sets_its_bit_when_the_laser_has_tuned() {
    with("keysight-laser", &[], |d| {
        d.check(&[("*CLS;:SOUR0:WAV 1320NM;*OPC;*ESR?\n", "+0\n")]);
        d.now_s += 1.0;
        d.check(&[("*ESR?\n", "+1\n")]);
    });
}
