//! Dialogues with public drivers, byte by byte, and how a sweep goes.

use super::super::dialogues::with;

/// The requests of PyMeasure 0.16.0's TSL570, as it sends them, with CR at the end.
#[test]
fn pymeasure_sets_power_and_wavelength_and_reads_them_back() {
    with("santec-tsl", &[], |d| {
        d.check(&[
            ("*IDN?\r", "SANTEC,TSL-570,00000501,0027.0027.0011\r"),
            (":SYSTem:COMMunicate:CODe?\r", "0\r"),
            (":WAVelength 1550.25\rSYST:ERR?\r", "0,\"No error\"\r"),
            (":WAVelength?\r", "1550.2500\r"),
            (":SYSTem:COMMunicate:CODe 1\r:WAVelength?\r", "+1.5502500000E-006\r"),
            (":WAVelength 1.55e-06\rSYST:ERR?\r", "0,\"No error\"\r"),
            (":FREQuency?\r", "+1.9341448903E+014\r"),
            (":POWer:UNIT 0\r:POWer 5\rSYST:ERR?\r", "0,\"No error\"\r"),
            (":POWer?\r", "+5.00000000E+000\r"),
            (":POWer:UNIT 1\r:POWer?\r", "+3.16227766E+000\r"),
            (":POWer 50\rSYST:ERR?\r", "-222,\"Data out of range\"\r"),
            (":WAVelength 1.31e-06\rSYST:ERR?\r", "-222,\"Data out of range\"\r"),
            (":WAVelength:SWEep:RANGe:MINimum?\r", "+1.4800000000E-006\r"),
        ]);
    });
}

#[test]
fn a_sweep_takes_its_time_and_ends_where_it_should() {
    with("santec-tsl", &[], |d| {
        d.check(&[
            (":WAV:SWE:STAR 1550;STOP 1560;SPE 10;MOD 1;CYCL 1\r:WAV:SWE 1\rSYST:ERR?\r", "-200,\"Execution error\"\r"),
            (":POW:STAT 1\r:POW:SHUT 0\r*OPC?\r", "0\r"),
        ]);
        d.now_s += 1.0;
        d.check(&[("*OPC?\r", "1\r"), (":WAV:SWE 1\r:WAV:SWE?\r", "1\r")]);
        d.now_s += 0.5;
        let between: f64 = d.say(":WAV?\r").trim().parse().unwrap();
        assert!((between - 1555.0).abs() < 0.1, "{between}");
        d.check(&[(":WAV 1550\rSYST:ERR?\r", "-200,\"Execution error\"\r")]);
        d.now_s += 0.6;
        d.check(&[(":WAV:SWE?\r", "0\r"), (":WAV?\r", "1560.0000\r"), (":WAV:SWE:COUN?\r", "1\r")]);
    });
}

#[test]
fn a_sweep_in_standby_waits_for_its_trigger_and_logs_where_it_was() {
    with("santec-tsl", &[], |d| {
        d.check(&[
            (":POW:STAT 1;:WAV:SWE:STAR 1540;STOP 1541;SPE 50\r:SYST:ERR?\r", "0,\"No error\"\r"),
            (":TRIG:OUTP 3;OUTP:STEP 0.25\r:TRIG:OUTP:STEP?\r", "0.2500\r"),
            (":TRIG:INP:SOFT\rSYST:ERR?\r", "-200,\"Execution error\"\r"),
            (":TRIG:INP:STAN 1\r:WAV:SWE:STAT 1\r:WAV:SWE:STAT?\r", "3\r"),
        ]);
        d.now_s += 1.0;
        d.check(&[(":WAV:SWE:STAT?\r", "3\r"), (":TRIG:INP:SOFT\r:WAV:SWE:STAT?\r", "1\r")]);
        d.now_s += 1.0;
        d.check(&[(":READ:POIN?\r", "5\r"), (":WAV:SWE:STAT?\r", "0\r")]);
        let block = d.raw(b":READ:DATA?\r");
        assert_eq!(block.len(), "#220".len() + 20, "nothing comes after the block");
        let last = u32::from_le_bytes(block[20..].try_into().unwrap());
        assert_eq!(last, 15_410_000);
    });
}

#[test]
fn the_laser_tells_its_ends_its_alerts_and_is_away_while_it_starts_again() {
    with("santec-tsl", &[], |d| {
        d.check(&[
            (":WAV:MIN?\r", "1480.0000\r"),
            (":WAV:FREQ:MAX?\r", "202.562472\r"),
            (":SYST:ALER?\r", "No alerts.\r"),
            (":WAV:FIN 101\rSYST:ERR?\r", "-222,\"Data out of range\"\r"),
            (":WAV:FIN 50;FIN?\r:WAV:FIN:DIS;:WAV:FIN?\r", "50.00\r0.00\r"),
            (":WAV nowhere\rSYST:ERR?\r", "-148,\"Character data not allowed\"\r"),
            (":SPEC:REB\r:WAV?\r", "1550.0000\r"),
        ]);
        d.now_s += 1.0;
        d.check(&[(":WAV?\r", "")]);
        d.now_s += 60.0;
        d.check(&[(":WAV?\r", "1550.0000\r")]);
    });
}
