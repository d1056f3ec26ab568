//! Newport's devices: what hvl_ccb 0.19.6, PyMeasure 0.16.0 and InstrumentKit write, seen on the wire.

use super::with;

/// One state query, without its error bits.
fn state(d: &mut super::Dialogue) -> String {
    let answer = d.say("1TS\r\n");
    assert!(answer.starts_with("1TS0000") && answer.ends_with("\r\n"), "{answer:?}");
    answer[7..9].to_string()
}

#[test]
fn hvl_ccb_starts_homes_moves_and_is_told_why_a_move_is_refused() {
    with("newport-smc", &[("model", "SMC100PP")], |d| {
        // NewportSMC100PP.start, move_to_absolute_position, get_position, stop_motion.
        d.check(&[
            ("1TS\r\n", "1TS00000A\r\n"),
            ("1TE\r\n", "1TE@\r\n"),
            ("1PA1.25\r\n1TE\r\n", "1TEH\r\n"),
            ("1OR\r\n1TE\r\n", "1TE@\r\n"),
            ("1TS\r\n", "1TS00001E\r\n"),
            ("1PA1.25\r\n1TE\r\n", "1TEL\r\n"),
        ]);
        d.now_s += 5.0;
        d.check(&[("1TS\r\n", "1TS000032\r\n"), ("1TP\r\n", "1TP0.000000\r\n"), ("1OR\r\n1TE\r\n", "1TEK\r\n")]);
        d.check(&[("1PA1.25\r\n1TE\r\n", "1TE@\r\n")]);
        // For a moment it has not begun.
        assert_eq!(state(d), "32");
        d.now_s += 0.05;
        assert_eq!(state(d), "28");
        d.check(&[("1PA1\r\n1TE\r\n", "1TEM\r\n"), ("1PA?\r\n", "1PA1.25\r\n")]);
        d.now_s += 2.0;
        assert_eq!(state(d), "33");
        d.check(&[
            ("1TP\r\n", "1TP1.250000\r\n"),
            ("1TH\r\n", "1TH1.250000\r\n"),
            ("1PA100.0\r\n1TE\r\n", "1TEG\r\n"),
            ("1TBG\r\n", "1TBG Displacement out of limits\r\n"),
            ("1ST\r\n1TE\r\n", "1TE@\r\n"),
            ("1VE?\r\n", "1VE SMC_PP_1.0.8\r\n"),
            ("1KP?\r\n", ""),
            ("1TE\r\n", "1TEW\r\n"),
            ("1XY\r\n1te\r\n", "1TEA\r\n"),
            ("2TS\r\nTS\r\n", ""),
        ]);
    });
}

#[test]
fn hvl_ccb_writes_its_configuration_and_finds_it_stored_after_a_reset() {
    with("newport-smc", &[("model", "SMC100PP")], |d| {
        let listing = d.say("1ZT\r\n");
        let names: Vec<&str> = listing.lines().map(|l| l[1..].trim_end_matches(|c: char| !c.is_alphabetic())).collect();
        assert_eq!(names[2..18].join(" "), "AC BA BH FRM FRS HT JR OH OT QIL SA SL SR VA VB ZX");
        assert!(listing.starts_with("1PW1\r\n1ID") && listing.ends_with("1ZX3\r\n1PW0\r\n"), "{listing}");
        d.check(&[
            ("1SL-23.5\r\n1TE\r\n", "1TEH\r\n"),
            ("1PW1\r\n1TE\r\n", "1TE@\r\n"),
            ("1TS\r\n", "1TS000014\r\n"),
            ("1AC10.0\r\n1TE\r\n", "1TE@\r\n"),
            ("1BA0\r\n1TE\r\n", "1TEC\r\n"),
            ("1FRM100.5\r\n1TE\r\n", "1TEC\r\n"),
            ("1SL-5.5\r\n1TE\r\n", "1TE@\r\n"),
            ("1OR\r\n1TE\r\n", "1TEI\r\n"),
        ]);
        let before = d.now_s;
        d.check(&[("1PW0\r\n1TE\r\n", "1TE@\r\n"), ("1TS\r\n", "1TS00000C\r\n")]);
        assert!(d.now_s > before + 1.0, "storing takes its time");
        // What was sent with the reset is answered, then a byte that means nothing comes.
        assert_eq!(d.raw(b"1RS\r\n1TE\r\n"), b"1TE@\r\n\xf8");
        d.check(&[("1TS\r\n", "1TS00000A\r\n"), ("1SL?\r\n", "1SL-5.5\r\n"), ("1AC?\r\n", "1AC10\r\n")]);
    });
}

#[test]
fn controllers_of_a_chain_answer_by_address_and_all_stop_without_one() {
    with("newport-smc", &[("model", "CONEX-CC"), ("axes", "3")], |d| {
        d.check(&[("2OR\r\n3OR\r\n", "")]);
        d.now_s += 5.0;
        d.check(&[
            ("1TS\r\n2TS\r\n3TS\r\n4TS\r\n", "1TS00000A\r\n2TS000032\r\n3TS000032\r\n"),
            ("2SE2\r\n3SE-2\r\n2TE\r\n", "2TE@\r\n"),
            ("2TS\r\n", "2TS000032\r\n"),
            ("SE\r\n", ""),
        ]);
        d.now_s += 0.3;
        d.check(&[("2TS\r\n3TS\r\n", "2TS000028\r\n3TS000028\r\n"), ("ST\r\n", "")]);
        d.now_s += 0.5;
        d.check(&[("2TS\r\n3TS\r\n", "2TS000033\r\n3TS000033\r\n"), ("1TE\r\n2TE\r\n", "1TEH\r\n2TE@\r\n")]);
        let at: f64 = d.say("2TP\r\n")[3..].trim().parse().unwrap();
        assert!((0.2..1.9).contains(&at), "{at}");
        d.check(&[
            ("2MM0\r\n2TS\r\n", "2TS00003C\r\n"),
            ("2PA0\r\n2TE\r\n", "2TEJ\r\n"),
            ("2MM1\r\n2TS\r\n", "2TS000034\r\n"),
            ("2SR0.1\r\n2TE\r\n", "2TEN\r\n"),
            ("2VA5\r\n2TE\r\n", "2TEC\r\n"),
            ("2VA0.5\r\n2VA?\r\n", "2VA0.5\r\n"),
        ]);
    });
}

#[test]
fn instrumentkit_homes_and_moves_an_axis_and_reads_why_not() {
    with("newport-esp", &[], |d| {
        // NewportESP301: `TB?` behind every command.
        let code = |d: &mut super::Dialogue, text: &str| {
            let answer = d.say(text);
            let fields: Vec<&str> = answer.trim_end().split(", ").collect();
            assert_eq!(fields.len(), 3, "{answer:?}");
            assert!(fields[1].parse::<u32>().is_ok() && answer.ends_with("\r\n"), "{answer:?}");
            (fields[0].to_string(), fields[2].to_string())
        };
        let fine = ("0".to_string(), "NO ERROR DETECTED".to_string());
        d.check(&[("1SN?\r", "2\r\n"), ("VE?\r", "ESP301 Version 3.0.1 6/1/99\r\n")]);
        assert_eq!(code(d, "1PA0\rTB?\r"), ("113".into(), "MOTOR NOT ENABLED".into()));
        assert_eq!(code(d, "1MO\rTB?\r"), fine);
        assert_eq!(code(d, "1OR1\rTB?\r"), fine);
        d.check(&[("1MD?\r", "0\r\n")]);
        assert_eq!(code(d, "1PA1\rTB?\r").0, "130");
        d.now_s += 5.0;
        d.check(&[("1MD?\r", "1\r\n"), ("1TP?\r", "0.000000\r\n")]);
        assert_eq!(code(d, "1VA5.0\rTB?\r"), fine);
        assert_eq!(code(d, "1PA1.25\rTB?\r"), fine);
        d.now_s += 0.1;
        d.check(&[("1MD?\r", "0\r\n")]);
        d.now_s += 1.0;
        d.check(&[("1MD?\r", "1\r\n"), ("1TP?\r", "1.250000\r\n")]);
        assert_eq!(code(d, "1PR-0.5\rTB?\r"), fine);
        assert_eq!(code(d, "1SL-2;1SR2\rTB?\r"), fine);
        assert_eq!(code(d, "1PA1000.0\rTB?\r").0, "106");
        assert_eq!(code(d, "1PA-1000.0\rTB?\r").0, "107");
        assert_eq!(code(d, "1VA1e6\rTB?\r").0, "110");
        for (sent, expected) in [("1ZZ", "6"), ("4TP?", "9"), ("PA1", "37"), ("1PA", "38"), ("1SN99", "7"), ("?", "6")]
        {
            assert_eq!(code(d, &format!("{sent}\rTB?\r")).0, expected, "{sent}");
        }
    });
}

#[test]
fn pymeasure_waits_for_a_stop_within_the_controller() {
    with("newport-esp", &[], |d| {
        // Axis.enable, home, wait_for_stop, position; CR LF as PyVISA ends lines.
        d.check(&[("1MO\r\n", ""), ("1MO?\r\n", "1\r\n"), ("1OR1\r\n", "")]);
        let before = d.now_s;
        d.check(&[("1WS100\r\n", ""), ("1MD?\r\n", "1\r\n"), ("1TP\r\n", "0.000000\r\n")]);
        assert!(d.now_s > before + 0.5, "{}", d.now_s - before);
        d.check(&[("1PA1.25\r\n", ""), ("1WS200\r\n1MD?\r\n", "1\r\n"), ("1TP\r\n", "1.250000\r\n")]);
        d.check(&[("1SN3\r\n1TP\r\n", "1250.000000\r\n"), ("1DH0\r\n1TP\r\n", "0.000000\r\n"), ("1MF\r\n", "")]);
        d.check(&[("1PA0\r\n2PA0\r\n7TP\r\n", ""), ("TE?\r\n", "113\r\n"), ("TE?\r\n", "213\r\n")]);
        d.check(&[("TE?\r\n", "9\r\n"), ("TE?\r\n", "0\r\n")]);
    });
}

#[test]
fn stop_ends_a_move_and_abort_also_takes_the_power() {
    with("newport-esp", &[("axes", "2")], |d| {
        d.check(&[("1MO;2MO;1PA5;2PA-5\r", "")]);
        d.now_s += 0.5;
        d.check(&[("ST\r", ""), ("TS\r", "S\r\n")]);
        d.now_s += 0.5;
        d.check(&[("TS\r", "P\r\n"), ("1MD?;2MD?\r", "1\r\n1\r\n")]);
        let at: f64 = d.say("1TP?\r").trim().parse().unwrap();
        assert!((0.2..4.0).contains(&at), "{at}");
        // What waits for a stop is forgotten at an abort.
        d.check(&[("1PA5;1WS1000;1MO?\r", "1\r\n")]);
        d.device.receive(d.now_s, b"1PA0;1WS;2MO?\r");
        d.check(&[("AB;1MO?;2MO?\r", "0\r\n0\r\n"), ("TE?\r", "0\r\n")]);
    });
}

#[test]
fn qmi_reads_inputs_and_states_and_resets_a_servo_within_half_a_second() {
    with("newport-smc", &[("model", "SMC100CC")], |d| {
        d.check(&[
            ("1PW?\r\n", "1PW0\r\n"),
            ("1MM?\r\n", "1MM0\r\n"),
            ("1RB\r\n", "1RB0\r\n"),
            ("1SB5\r\n1SB?\r\n", "1SB5\r\n"),
            ("1SB16\r\n1TE\r\n", "1TEC\r\n"),
            ("1FE?\r\n", "1FE1\r\n"),
            ("1SC?\r\n", "1SC1\r\n"),
        ]);
        // No stray byte comes from a servo.
        assert_eq!(d.raw(b"1RS\r\n"), b"");
        d.now_s += 0.5;
        d.check(&[
            ("1PW1\r\n1TE\r\n", "1TE@\r\n"),
            ("1PW?\r\n", "1PW1\r\n"),
            ("1DV?\r\n", "1DV48\r\n"),
            ("1SB?\r\n", "1SB0\r\n"),
        ]);
    });
    with("newport-smc", &[("model", "SMC100PP")], |d| d.check(&[("1DV?\r\n", ""), ("1TE\r\n", "1TEW\r\n")]));
}

#[test]
fn instrumentkit_reads_the_set_up_of_an_axis_and_waits_until_it_passes_a_place() {
    with("newport-esp", &[("model", "ESP301")], |d| {
        d.check(&[
            ("1JH?\r", "2.000000\r\n"),
            ("1JH3.5;1JH?\r", "3.500000\r\n"),
            ("1ZB?\r", "23H\r\n"),
            ("1ZB2AH;1ZB?\r", "2AH\r\n"),
            ("1QS1.5;TE?\r", "101\r\n"),
            ("1QS;TE?\r", "38\r\n"),
            ("1DH?\r", "0.000000\r\n"),
            ("1SN3;1JH?;1SN2\r", "3500.000000\r\n"),
            ("1UF;1QD;SM;TE?\r", "0\r\n"),
        ]);
        d.check(&[("1MO;1VA2;1DV?\r", "0.000000\r\n")]);
        let begun = d.now_s;
        d.check(&[("1PA4;1WP2;TE?\r", "0\r\n")]);
        let halfway = d.now_s - begun;
        d.check(&[("1DV?\r", "2.000000\r\n")]);
        d.check(&[("1WS;TE?\r", "0\r\n")]);
        let whole = d.now_s - begun;
        assert!((0.45..0.6).contains(&(halfway / whole)), "{halfway} of {whole} s");
    });
}

#[test]
fn instrumental_reads_power_status_and_settings_of_the_1830() {
    with("newport-1830", &[], |d| {
        // Instrumental-lib 0.8, Newport_1830_C: no identity, plain integers, a reading in the unit that is set.
        d.now_s += 2.0;
        d.check(&[("Z?\n", "0\n"), ("W1550\n", ""), ("W?\n", "1550\n"), ("U?\n", "1\n"), ("R?\n", "4\n")]);
        d.check(&[("Q?\n", "144\n"), ("*IDN?\n", ""), ("Q?\n", "146\n"), ("C\n", ""), ("q?\n", "144\n")]);
        let watts: f64 = d.say("D?\n").trim().parse().unwrap();
        assert!((watts / super::LIGHT_W - 1.0).abs() < 0.02, "{watts}");
        let dbm: f64 = d.say("U3\nD?\n").trim().parse().unwrap();
        assert!((dbm + 10.0).abs() < 0.1, "{dbm}");
        d.check(&[("U1\nW300\nW?\n", "1550\n"), ("Q?\n", "145\n"), ("X9\nQ?\n", "147\n"), ("C\n", "")]);
        // Too small a range by hand: over range once there is a reading.
        d.check(&[("R2\nR?\n", "2\n"), ("Q?\n", "48\n")]);
        d.now_s += 0.5;
        d.check(&[("Q?\n", "156\n"), ("R0\n", "")]);
        d.now_s += 2.0;
        d.check(&[("R?\n", "4\n"), ("Z1\nZ?\n", "1\n")]);
        let rest: f64 = d.say("D?\n").trim().parse().unwrap();
        assert!(rest.abs() < 1e-6, "{rest}");
        d.check(&[("E1\n", ""), ("F?\n", "F?\n2\n"), ("F1;G0\nF?\n", "F1;G0\nF?\n2\n")]);
    });
    with("newport-1830", &[("model", "1830-R")], |d| {
        d.check(&[("L0;A0;U1;F3;R0;G1\nF?\n", "3\n"), ("*RST\nF?\n", "2\n")]);
    });
}

#[test]
fn public_drivers_of_the_2936_switch_the_echo_off_and_read_both_channels() {
    with("newport-1936", &[], |d| {
        d.now_s += 2.0;
        // MATLAB and Python scripts seen: `ECHO?` comes back before its answer, `ECHO 0` comes back once more.
        d.check(&[("ECHO?\r", "ECHO?\r\n1\r\n>"), ("ECHO 0\r\n", "ECHO 0\r\n"), ("ECHO?\r\n", "0\r\n")]);
        d.check(&[
            ("*IDN?\r", "NEWPORT 2936-R v1.2.3 08/04/15 SN24777\r\n"),
            ("PM:Lambda 504\rERRSTR?\r", "201,Value Out Of Range\r\n"),
            ("PM:L 1310\rPM:Lambda?\r", "1310\r\n"),
            ("PM:CHAN 2;PM:L?;PM:CHAN?\r", "1550,2\r\n"),
            ("PM:CHAN 3;PM:CHAN 1\rERR?\rERR?\r", "201\r\n0\r\n"),
            ("NO:SUCH\rERRORS?\r", "116\r\n"),
            ("PM:ATT?;PM:UNIT?;ERR?\r", "0,2,0\r\n"),
        ]);
        let told = d.say("PM:PWS?\r");
        let fields: Vec<&str> = told.split_whitespace().collect();
        assert_eq!((fields.len(), fields[1], fields[3]), (4, "158", "158"), "{told}");
        assert!(fields[0].ends_with("E-004") || fields[0].ends_with("E-005"), "{told}");
        let watts: f64 = d.say("PM:P?\r").trim().parse().unwrap();
        assert!((watts / super::LIGHT_W - 1.0).abs() < 0.02, "{watts}");
        // By hand too small a range: over range, and saturated with it.
        d.check(&[("PM:RAN 3;PM:RAN?;PM:AUTO?\r", "3,0\r\n"), ("PM:MAX:P?\r", "2.200000E-006\r\n")]);
        d.now_s += 1.0;
        assert_eq!(d.say("PM:PWS?\r").split_whitespace().nth(1), Some("13B"));
        d.check(&[("PM:AUTO 1\r", "")]);
    });
}

#[test]
fn the_data_store_fills_by_its_interval_and_stops_when_full() {
    with("newport-1936", &[("model", "1936-R")], |d| {
        d.check(&[("ECHO 0\r", "ECHO 0\r\n"), ("PM:AUTO 0;PM:RAN 5\r", "")]);
        d.now_s += 1.0;
        d.check(&[("PM:DS:CL;PM:DS:SIZE 50;PM:DS:INT 10;PM:DS:BUF 0;PM:DS:EN 1\r", "")]);
        d.now_s += 0.0205;
        d.check(&[("PM:DS:C?\r", "20\r\n")]);
        d.now_s += 1.0;
        d.check(&[("PM:DS:C?\r", "50\r\n"), ("PM:DS:EN 0;PM:DS:EN?\r", "0\r\n")]);
        for (which, count) in [("7", 1), ("1-10", 10), ("-5", 5), ("+5", 5)] {
            let told = d.say(&format!("PM:DS:GET? {which}\r"));
            let (_, values) = told.split_once("End of Header\r\n").unwrap();
            let values = values.strip_suffix("End of Data\r\n").unwrap();
            assert_eq!(values.lines().filter(|l| l.parse::<f64>().is_ok()).count(), count, "{which}");
        }
        d.check(&[("PM:DS:GET? 1-51\rERR?\r", "201\r\n"), ("PM:CHAN 2\rERR?\r", "201\r\n")]);
    });
}

#[test]
fn noise_and_cut_lines_do_no_more_than_raise_errors() {
    for (kind, ask, answer) in [
        ("newport-smc", "1TP\r\n", "1TP0.000000\r\n"),
        ("newport-esp", "1TP?\r", "0.000000\r\n"),
        ("newport-1830", "G?\n", "1\n"),
        ("newport-1936", "PM:CHAN?\r", "1\r\n>"),
    ] {
        with(kind, &[], |d| {
            for seed in 0..200u64 {
                let noise = crate::noise::Stream::new(seed, "bytes");
                let length = noise.bits(0) % 60;
                let bytes: Vec<u8> = (1..=length).map(|i| noise.bits(i).to_le_bytes()[0]).collect();
                d.raw(&bytes);
                for cut in 0..ask.len() {
                    d.raw(&ask.as_bytes()[..cut]);
                }
                d.raw(b"\r\n");
            }
            d.say("TE?\r\n1TE\r\n");
            assert!(d.say(ask).ends_with(answer), "{kind}");
        });
    }
}
