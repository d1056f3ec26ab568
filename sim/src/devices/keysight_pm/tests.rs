//! Dialogues with public drivers, byte by byte, and what the guides say of blocks, functions and triggers.

use super::super::dialogues::{Dialogue, with};

/// Light on every port, W.
const LIGHT_W: f64 = 1e-4;

fn meter(model: &str, talk: impl FnOnce(&mut Dialogue)) {
    with("keysight-pm", &[("model", model)], talk);
}

/// The numbers of a block with its line end.
fn floats(block: &[u8]) -> Vec<f32> {
    assert_eq!((block[0], block[block.len() - 1]), (b'#', b'\n'));
    let digits = usize::from(block[1] - b'0');
    let length: usize = std::str::from_utf8(&block[2..2 + digits]).unwrap().parse().unwrap();
    let body = &block[2 + digits..block.len() - 1];
    assert_eq!(body.len(), length);
    body.as_chunks::<4>().0.iter().map(|n| f32::from_le_bytes(*n)).collect()
}

fn near_light(value: f32, within: f64) {
    assert!((f64::from(value) / LIGHT_W - 1.0).abs() < within, "{value}");
}

/// The requests of autosweep 0.1.0's KeysightN7745C, as it sends them.
#[test]
fn autosweep_sets_a_port_and_reads_all() {
    meter("N7745C", |d| {
        d.check(&[
            ("*IDN?\n", "Keysight Technologies,N7745C,SIM0000401,1.010\n"),
            (":SYSTEM:ERROR?\n", "+0,\"No error\"\n"),
            (":SENSE2:POWER:UNIT WATT\n:SENSE2:POWER:UNIT?\n", "+1\n"),
            (":SENSE:POWER:WAVELENGTH:ALL 1310NM\n:SENSE8:POWER:WAVELENGTH?\n", "+1.31000000E-006\n"),
            (":SENSE3:POWER:WAVELENGTH 1550NM\n:SENSE3:POWER:WAVELENGTH?\n", "+1.55000000E-006\n"),
            (":SENSE1:POWER:RANGE:AUTO OFF\n:SENSE1:POWER:RANGE -10dBm\n:SENSE1:POWER:RANGE?\n", "-1.00000000E+001\n"),
            (":SENSE1:POWER:GAIN:AUTO?\n", "+1\n"),
            (":TRIG:CONF 2\n:TRIG:CONF?\n", "PASS\n"),
            (":SYSTEM:ERROR?\n", "+0,\"No error\"\n"),
        ]);
        d.now_s += 1.0;
        let all = floats(&d.raw(b":FETCH:POWER:ALL?\n"));
        assert_eq!(all.len(), 8);
        // A C model gives each port's own unit.
        assert!((all[0] + 10.0).abs() < 0.1, "{all:?}");
        near_light(all[1], 0.02);
        let one: f64 = d.say(":READ1:POW?\n").trim().parse().unwrap();
        assert!((one + 10.0).abs() < 0.1, "{one}");
    });
}

/// The requests of LabExT's PowerMeterN7744A; each setting is followed by `*OPC?` and `SYST:ERR?`.
#[test]
fn labext_sets_up_logs_and_cleans_up() {
    meter("N7744A", |d| {
        for set in [
            "trig1:inp ign",
            "trig1:outp dis",
            "sens1:func:par:logg 1000,0.200000s",
            ":SENS1:POW:WAV 1550.000000 nm",
            ":SENS1:POW:UNIT 1",
            ":SENS1:POW:RANG:AUTO 0",
            ":SENS1:POW:RANG -10.000000",
            ":SENS1:POW:ATIME 0.020000 s",
            ":SENS1:POW:GAIN:AUTO 0",
            ":INIT1:CONT ON",
            "sens1:func:par:logg 50,0.020000s",
        ] {
            d.check(&[(&format!("{set}\n*OPC?\nSYST:ERR?\n"), "1\n+0,\"No error\"\n")]);
        }
        d.check(&[
            (":SENS1:POW:ATIME?\n", "+2.00000000E-002\n"),
            ("sens1:func:stat logg,star\nsens1:func:stat?\n", "LOGGING_STABILITY,PROGRESS\n"),
            ("sens1:func:res?\nSYST:ERR?\n", "-231,\"Data questionable\"\n"),
        ]);
        d.now_s += 0.97;
        d.check(&[("sens1:func:stat?\n", "LOGGING_STABILITY,PROGRESS\n")]);
        d.now_s += 0.05;
        d.check(&[("sens1:func:stat?\n", "LOGGING_STABILITY,COMPLETE\n")]);
        let samples = floats(&d.raw(b"sens1:func:res?\n"));
        assert_eq!(samples.len(), 50);
        samples.iter().for_each(|s| near_light(*s, 0.02));
        // Noise makes them different; the parts are the whole.
        assert!(samples.windows(2).any(|w| w[0] != w[1]));
        assert_eq!(floats(&d.raw(b"sens1:func:res:bloc? 10,30\n")), samples[10..40]);
        d.check(&[
            ("sens1:func:res:ind?\n", "+50\n"),
            ("sens1:func:res:bloc? 50,1\nSYST:ERR?\n", "-222,\"Data out of range\"\n"),
            ("sens1:func:stat logg,stop\nsens1:func:stat?\n", "NONE,COMPLETE\n"),
        ]);
    });
}

#[test]
fn places_and_wrong_suffixes() {
    meter("N7744A", |d| {
        assert_eq!(d.raw(b"READ1:POW:ALL:CONF?\n"), b"#216\x01\0\x01\0\x02\0\x01\0\x03\0\x01\0\x04\0\x01\0\n");
        d.check(&[
            ("READ5:POW?\nSYST:ERR?\n", "-114,\"Header suffix out of range\"\n"),
            ("SENS1:CHAN2:POW:UNIT?\nSYST:ERR?\n", "-114,\"Header suffix out of range\"\n"),
            ("SENS99999999999:POW:UNIT?\nSYST:ERR?\n", "-114,\"Header suffix out of range\"\n"),
            ("SENS1:CHAN1:POW:UNIT?\n", "+0\n"),
            ("SENS:POW:UNIT:ALL:CSV?\n", "0,0,0,0\n"),
            // Only C models.
            ("SENS:POW:WAV:ALL 1550NM\nSYST:ERR?\n", "-113,\"Undefined header\"\n"),
            ("SENS1:POW:WAV 3 APPLES\nSYST:ERR?\n", "-131,\"Invalid suffix\"\n"),
            ("SENS1:POW:RANG 40DBM\nSYST:ERR?\n", "-222,\"Data out of range\"\n"),
            ("SENS1:POW:ATIM 100NS\nSYST:ERR?\n", "-222,\"Data out of range\"\n"),
            ("SLOT4:EMPT?\n", "+0\n"),
        ]);
    });
    meter("8163B", |d| {
        let places = d.raw(b"READ1:POW:ALL:CONF?\n");
        assert_eq!(&places[4..], b"\x01\0\x01\0\x01\0\x02\0\x02\0\x01\0\x02\0\x02\0\n");
        d.check(&[
            ("SENS1:CHAN2:POW:UNIT 1\nSENS1:CHAN2:POW:UNIT?\nSENS1:POW:UNIT?\n", "+1\n+0\n"),
            ("SENS1:CHAN2:POW:ATIM 1MS\nSYST:ERR?\n", "-200,\"Execution error\"\n"),
            ("SENS1:POW:ATIM 1MS\nSENS1:CHAN2:POW:ATIM?\n", "+1.00000000E-003\n"),
            ("SENS1:POW:RANG -60DBM\nSENS1:POW:RANG?\n", "-6.00000000E+001\n"),
        ]);
    });
}

#[test]
fn a_block_of_an_a_model_is_in_watts_whatever_the_unit_and_over_range_is_the_largest_number() {
    meter("N7744A", |d| {
        d.check(&[("SENS2:POW:RANG -30DBM\nSENS2:POW:UNIT 0\n", "")]);
        d.now_s += 1.0;
        let all = floats(&d.raw(b"READ:POW:ALL?\n"));
        near_light(all[0], 0.02);
        assert_eq!(all[1], 3.402_82e38);
        d.check(&[("READ2:POW?\n", "+3.40282E+038\n")]);
        let csv = d.say("FETC:POW:ALL:CSV?\n");
        let words: Vec<&str> = csv.trim().split(',').collect();
        assert_eq!((words.len(), words[1]), (4, "+3.40282000E+038"));
    });
}

#[test]
fn free_run_shows_what_was_measured_before_and_a_software_trigger_measures_afresh() {
    meter("N7744A", |d| {
        d.say("SENS1:POW:RANG -10DBM\n");
        d.now_s += 1.0;
        let first = d.say("FETC1:POW?\n");
        d.check(&[("INIT1:IMM\nSYST:ERR?\n", "-213,\"Init ignored\"\n")]);
        d.now_s += 0.05;
        assert_eq!(d.say("READ1:POW?\n"), first);
        d.now_s += 0.2;
        assert_ne!(d.say("READ1:POW?\n"), first);
        d.check(&[("INIT1:CONT 0\nINIT1:CONT?\n", "+0\n")]);
        let begun = d.now_s;
        let read = d.say("READ1:POW?\n");
        assert!((0.2..0.25).contains(&(d.now_s - begun)), "{}", d.now_s - begun);
        d.now_s += 1.0;
        assert_eq!(d.say("FETC1:POW?\n"), read);
    });
}

#[test]
fn each_trigger_takes_a_sample_and_one_that_comes_too_early_is_missed() {
    meter("N7745A", |d| {
        d.check(&[
            ("TRIG1:INP SME\nTRIG1:INP?\n", "SME\n"),
            ("SENS1:FUNC:PAR:LOGG 3,10MS\nSENS1:FUNC:STAT LOGG,STAR\nSENS1:FUNC:RES:IND?\n", "+0\n"),
        ]);
        for expected in ["+1\n", "+2\n"] {
            d.say("TRIG 1\nTRIG 1\n");
            d.now_s += 0.02;
            d.check(&[("SENS1:FUNC:RES:IND?\n", expected)]);
        }
        // With its connector disabled nothing comes in.
        d.say("TRIG:CONF 0\nTRIG 1\n");
        d.now_s += 0.02;
        d.check(&[("SENS1:FUNC:STAT?\n", "LOGGING_STABILITY,PROGRESS\n")]);
        d.say("TRIG:CONF DEF\nTRIG NODEA\n");
        d.now_s += 0.02;
        d.check(&[("SENS5:FUNC:STAT?\n", "LOGGING_STABILITY,COMPLETE\n")]);
        assert_eq!(floats(&d.raw(b"SENS8:FUNC:RES?\n")).len(), 3);
    });
}

#[test]
fn one_trigger_starts_all_and_a_setting_ends_the_function() {
    meter("N7744A", |d| {
        d.say("TRIG1:INP CME\nSENS1:FUNC:PAR:LOGG 100,1MS\nSENS1:FUNC:STAT LOGG,STAR\n");
        d.now_s += 1.0;
        d.check(&[("SENS1:FUNC:RES:IND?\n", "+0\n"), ("TRIG 1\n", "")]);
        d.now_s += 0.05;
        d.check(&[
            ("SENS1:FUNC:PAR:LOGG 5,1MS\nSYST:ERR?\n", "-221,\"Settings conflict\"\n"),
            ("SENS3:POW:WAV 1310NM\nSENS1:FUNC:STAT?\n", "NONE,COMPLETE\n"),
            ("SENS1:FUNC:RES?\nSYST:ERR?\n", "-231,\"Data questionable\"\n"),
        ]);
    });
}

#[test]
fn zeroing_takes_seconds_and_takes_the_light_away() {
    meter("N7744A", |d| {
        d.say("SENS1:POW:RANG -10DBM\nINIT1:CONT 0\nSENS1:POW:UNIT 1\n");
        d.now_s += 1.0;
        let begun = d.now_s;
        d.check(&[("SENS1:CORR:COLL:ZERO\nSENS1:CORR:COLL:ZERO?\n", "+0\n")]);
        assert!(d.now_s - begun > 2.0);
        let watts: f64 = d.say("READ1:POW?\n").trim().parse().unwrap();
        assert!(watts.abs() < 0.01 * LIGHT_W, "{watts}");
    });
}

#[test]
fn no_bytes_panic_or_pile_up() {
    meter("N7745C", |d| {
        let stream = crate::noise::Stream::new(7, "bytes");
        let words = b"SENS1:POW? #;:\n\r,*0-9EDBMLOGG\xff\x00";
        let mut bytes = Vec::new();
        for k in 0..200_000u64 {
            let at = usize::try_from(stream.bits(k) % words.len() as u64).unwrap();
            bytes.push(words[at]);
        }
        d.raw(&bytes);
        d.say("\n*CLS\n");
        d.check(&[("SYST:ERR?\n", "+0,\"No error\"\n")]);
    });
}
