//! Hexapod and piezo controllers. Where bytes are said to be PIPython's they were seen from version 2.11.

use super::{Dialogue, with};
use crate::noise::Stream;

/// A hexapod, referenced.
fn hexapod(talk: impl FnOnce(&mut Dialogue)) {
    with("pi-gcs2", &[("model", "C-887")], |d| {
        d.check(&[("FRF X\nERR?\n", "0\n")]);
        assert_eq!(d.raw(b"\x07"), b"\xb0\n");
        d.now_s += 10.0;
        assert_eq!(d.raw(b"\x07"), b"\xb1\n");
        talk(d);
    });
}

/// Piezo axes with their servo on, in the middle.
fn piezo(talk: impl FnOnce(&mut Dialogue)) {
    with("pi-gcs2", &[("model", "E-712")], |d| {
        d.check(&[("SVO 1 1 2 1 3 1\nVEL 1 5000 2 5000\nMOV 1 50 2 50 3 50\nERR?\n", "0\n")]);
        d.now_s += 2.0;
        d.check(&[("ONT? 1 2\n", "1=1 \n2=1\n")]);
        talk(d);
    });
}

const SIX: &str = "X=1 \nY=1 \nZ=1 \nU=1 \nV=1 \nW=1\n";

#[test]
fn pipython_starts_a_hexapod_up() {
    with("pi-gcs2", &[("model", "C-887")], |d| {
        let identity = d.say("*IDN?\n");
        assert_eq!(identity.split(", ").nth(1), Some("C-887"));
        d.check(&[
            ("CSV?\n", "2.0\n"),
            ("SAI?\n", "X \nY \nZ \nU \nV \nW\n"),
            ("SVO? X Y Z U V W\n", &SIX.replace('1', "0")),
            ("MOV X 0\nERR?\n", "5\n"),
            ("RON X 1\nERR?\n", "34\n"),
            ("VEL? X\nERR?\n", "2\n"),
            ("FRF X\nERR?\n", "0\n"),
            ("MOV X 0\nERR?\n", "1005\n"),
            ("FRF? X\n", "X=0\n"),
        ]);
        d.now_s += 10.0;
        d.check(&[("FRF?\n", SIX), ("SVO?\n", SIX), ("ONT?\n", SIX), ("PUN? X U\n", "X=MM \nU=DEG\n")]);
    });
}

#[test]
fn a_hexapod_stands_for_a_moment_moves_as_one_and_settles() {
    hexapod(|d| {
        d.check(&[("MOV X 1 U 0.5\nERR?\n", "0\n")]);
        // Accepted and not begun: it neither moves nor has it arrived.
        d.check(&[("\x05", "0\n"), ("ONT? X U Z\n", "X=0 \nU=0 \nZ=0\n"), ("MOV? X Z\n", "X=1.000000 \nZ=0.000000\n")]);
        d.now_s += 0.1;
        d.check(&[("\x05", "3F\n")]);
        d.now_s += 2.0;
        d.check(&[("\x05", "0\n"), ("ONT?\n", SIX), ("POS? X U\n", "X=1.000000 \nU=0.500000\n")]);
        d.check(&[("\x06", "F\n"), ("\x06", "0\n"), ("MVR X 0.25\nERR?\n", "0\n"), ("MOV? X\n", "X=1.250000\n")]);
        d.now_s += 0.05;
        d.check(&[("\x18ERR?\n", "10\n")]);
        d.now_s += 1.0;
        d.check(&[("ONT? X\n", "X=1\n"), ("VLS 1000\nERR?\n", "8\n"), ("VLS 2\nVLS?\n", "2.000000\n")]);
    });
}

#[test]
fn what_a_hexapod_can_reach_depends_on_all_axes_and_a_pose_out_of_reach_is_refused_whole() {
    hexapod(|d| {
        d.check(&[
            ("VMO? X 5\n", "1\n"),
            ("VMO? X 15 Y 15 Z 6 U 9\n", "0\n"),
            ("MOV X 15 Y 15 Z 6 U 9\nERR?\n", "7\n"),
            ("MOV? X Y\n", "X=0.000000 \nY=0.000000\n"),
            ("NLM X -1\nPLM X 1\nSSL X 1\nERR?\n", "0\n"),
            ("TMN? X\n", "X=-1.000000\n"),
            ("MOV X 1.5\nERR?\n", "7\n"),
            ("PLM X 99\nERR?\n", "27\n"),
            ("MOV A 1\nERR?\n", "15\n"),
            ("MOV X 1 X 2\nERR?\n", "22\n"),
        ]);
    });
}

#[test]
fn coordinate_systems_have_their_answers_and_codes() {
    hexapod(|d| {
        d.check(&[
            ("KEN?\n", "PI_BASE=KSB \nZERO=KSD\n"),
            ("KET?\n", "KSB=PI_BASE \nKSD=ZERO\n"),
            ("KSD tip Z 50\nKEN TIP\nERR?\n", "0\n"),
            ("KEN?\n", "PI_BASE=KSB \nTIP=KSD\n"),
            ("KLS? TIP POS Z\n", "50.000000\n"),
            ("SPI R 1\nERR?\n", "9\n"),
            ("KRM TIP\nERR?\n", "532\n"),
            ("KEN NONE\nERR?\n", "530\n"),
            ("KEN PI_BASE\nERR?\n", "537\n"),
            ("KSD 1x X 1\nERR?\n", "557\n"),
            ("KET? KSW\nERR?\n", "556\n"),
            ("KEN 0\nKRM TIP\nERR?\n", "0\n"),
            ("SPI R 1 T 3\nSPI?\n", "R=1.000000 \nS=0.000000 \nT=3.000000\n"),
            ("SPI? X Z\n", "X=1.000000 \nZ=3.000000\n"),
            ("KSF HERE\nMOV X 1\nERR?\n", "0\n"),
        ]);
        d.now_s += 0.1;
        d.check(&[("KSF THERE\nERR?\n", "536\n"), ("KEN ZERO\nERR?\n", "536\n")]);
    });
}

#[test]
fn piezo_axes_have_no_reference_and_find_their_zero() {
    with("pi-gcs2", &[("model", "E-712")], |d| {
        d.check(&[
            ("SAI?\n", "1 \n2 \n3\n"),
            ("FRF? 1\nERR?\n", "2\n"),
            ("MOV 1 5\nERR?\n", "5\n"),
            ("ATZ 1 NaN 2 NaN\nERR?\n", "0\n"),
            ("ATZ? 1\n", "1=0\n"),
            ("ATZ 1 500\nERR?\n", "1005\n"),
        ]);
        assert_eq!(d.raw(b"\x07"), b"\xb0\n");
        d.now_s += 2.0;
        d.check(&[("ATZ?\n", "1=1 \n2=1 \n3=0\n"), ("SVO 1 1\nMOV 1 5\nERR?\n", "0\n")]);
        d.now_s += 1.0;
        let at: f64 = d.say("POS? 1\n").trim().trim_start_matches("1=").parse().unwrap();
        assert!((at - 5.0).abs() < 0.01, "{at}");
        d.check(&[
            ("PUN? 1\n", "1=UM\n"),
            ("TPC?\n", "3\n"),
            ("TMX? 1\n", "1=100.000000\n"),
            ("ATZ 1 500\nERR?\n", "17\n"),
        ]);
    });
}

/// PIPython's definitions, as seen on the wire.
const AREA: &str = "FDR 1 1 90 2 90 L 0.001 A 1 F 20 V 60 TT 0 CM 1 MIIL 30 MAIL 100 ST 0";

#[test]
fn an_area_scan_runs_by_itself_while_the_controller_is_ready() {
    piezo(|d| {
        d.check(&[(&format!("{AREA}\nERR?\n"), "0\n"), ("FRP? 1\n", "1=0\n"), ("FRR? 1 1\n", "1 1=0\n")]);
        d.check(&[("FRS 1\nERR?\n", "0\n")]);
        assert_eq!(d.raw(b"\x07"), b"\xb1\n");
        d.check(&[
            ("FRP? 1\n", "1=2\n"),
            ("\x05", "3\n"),
            ("MOV 1 50\nERR?\n", "53\n"),
            ("FRP 1 2\nERR?\n", "609\n"),
            ("FRP 1 1\nFRP? 1\n", "1=1\n"),
        ]);
        d.now_s += 100.0;
        d.check(&[("FRP? 1\n", "1=1\n"), ("FRP 1 2\nFRP? 1\n", "1=2\n")]);
        d.now_s += 3.0;
        d.check(&[
            ("FRP? 1\n", "1=0\n"),
            ("FRR? 1 1 1 6\n", "1 1=1 \n1 6=0\n"),
            ("FRR? 1 4\n", &format!("1 4={AREA}\n")),
        ]);
        d.check(&[("FRR? 1 7\nERR?\n", "17\n"), ("FRP 1 0\nERR?\n", "608\n"), ("FRS 9\nERR?\n", "17\n")]);
        let best = d.say("FRR? 1 3\n");
        let told: Vec<f64> = best.trim().trim_start_matches("1 3=").split(' ').map(|v| v.parse().unwrap()).collect();
        d.check(&[("MOV? 1 2\n", &format!("1={:.6} \n2={:.6}\n", told[0], told[1]))]);
    });
}

#[test]
fn a_scan_comes_to_the_same_however_often_anything_is_asked() {
    let scan = |polls: u32| {
        let mut told = String::new();
        piezo(|d| {
            d.now_s = 5.0;
            d.check(&[(&format!("{AREA}\nDRC 1 1 2 2 1 150\nRTR 50\nFRS 1\nERR?\n"), "0\n")]);
            let begun = d.now_s;
            for k in 1..=polls {
                d.now_s = begun + 4.0 * f64::from(k) / f64::from(polls);
                let _ = d.say("FRP? 1\nTCI? 1\nPOS? 1\n");
            }
            d.now_s = begun + 4.1;
            told = d.say("FRR?\n") + &d.say("DRR? 1 300 1 2\n");
        });
        told
    };
    let once = scan(1);
    assert!(once.contains("# NDATA = 300 \n") && once.contains("1 1=1 \n"), "{once}");
    assert_eq!(once, scan(37));
}

#[test]
fn definitions_and_areas_that_do_not_fit_are_refused() {
    piezo(|d| {
        d.check(&[
            ("FDR 0 1 9 2 9\nERR?\n", "17\n"),
            ("FDR 1 1 9 2 9 Q 1\nERR?\n", "1\n"),
            ("FDR 1 1 9 2 9 L\nERR?\n", "24\n"),
            ("FDR 1 1 9 7 9\nERR?\n", "15\n"),
            ("FDR 1 1 9 1 9\nERR?\n", "22\n"),
            ("FDR 1 1 9 2 9 A 3\nERR?\n", "14\n"),
            ("FDR 1 1 -9 2 9\nERR?\n", "17\n"),
            ("FDR 1 1 500 2 9\nFRS 1\nERR?\n", "7\n"),
            ("FDG 2 1 2 MIA 4 MAA 2\nERR?\n", "17\n"),
            ("FDG 2 1 2 MIA 1 MAA 2\nFDG 3 2 3\nFRC 2 3\nFRS 2\nERR?\n", "53\n"),
            ("SVO 1 0\nFRC 2 0\nFRS 2\nERR?\n", "5\n"),
        ]);
    });
}

#[test]
fn a_recording_is_read_as_a_gcs_array_with_a_blank_before_each_line_end_but_the_last() {
    piezo(|d| {
        d.check(&[
            ("DRC 1 1 1 2 1 2\nRTR 10\nDRT 0 1 0\nERR?\n", "0\n"),
            ("DRC? 1\n", "1=1 1\n"),
            ("DRT? 1\n", "1=1 0\n"),
            ("DRL? 1\n", "1=0\n"),
            ("DRR? 1 5 1\nERR?\n", "77\n"),
            ("MOV 1 60\nERR?\n", "0\n"),
        ]);
        d.now_s += 0.5;
        d.check(&[("DRL? 1 2\n", "1=501 \n2=501\n"), ("DRR? 1 5 8\nERR?\n", "78\n"), ("DRR? 499 9 1\nERR?\n", "77\n")]);
        let array = d.say("DRR? 1 2 1 2\n");
        let head = "# REM data recorder \n# VERSION = 1 \n# TYPE = 1 \n# SEPARATOR = 32 \n# DIM = 2 \n# SAMPLE_TIME = 0.001000 \n\
                    # NDATA = 2 \n# NAME0 = Commanded position of axis 1 \n# NAME1 = Actual position of axis 1 \n# END_HEADER \n60.000000 ";
        assert!(array.starts_with(head), "{array}");
        assert_eq!((array.matches(" \n").count(), array.matches('\n').count()), (11, 12));
    });
}

#[test]
fn bytes_of_any_kind_neither_panic_nor_hang_and_leave_the_controller_answering() {
    let words = [
        "MOV", "FDR 1 X", "KSD a", "KLN", "SPI R", "DRR? 1", "FRR?", "SIC 1 2", "DRT", "ATZ", "FDG", "FRS 1", "VMO? X",
    ];
    for model in ["C-884", "C-887", "E-712"] {
        with("pi-gcs2", &[("model", model)], |d| {
            let noise = Stream::new(1, model);
            for k in 0..400u64 {
                let draw = noise.child(k);
                #[expect(clippy::cast_possible_truncation, reason = "one byte of it")]
                let mut bytes: Vec<u8> = (0..draw.bits(0) % 40).map(|i| draw.bits(i + 1) as u8).collect();
                if k % 2 == 0 {
                    let word = words[usize::try_from(draw.bits(99) % words.len() as u64).unwrap()];
                    bytes.splice(0..0, word.bytes());
                }
                bytes.push(b'\n');
                let heard = d.raw(&bytes);
                assert!(heard.len() < 100_000, "{}", bytes.escape_ascii());
            }
            d.raw(b"\n\x18ERR?\n");
            d.now_s += 100.0;
            assert!(d.say("*IDN?\n").contains(model), "{model}");
        });
    }
}

#[test]
fn a_command_cut_at_any_byte_does_what_it_says_or_nothing_and_split_frames_are_one() {
    let whole = "MOV X 1 Y -0.5\nMOV? X Y\n";
    for end in 0..whole.len() {
        hexapod(|d| {
            let first = d.say(&whole[..end]);
            let rest = d.say(&whole[end..]);
            assert_eq!(first + &rest, "X=1.000000 \nY=-0.500000\n", "{end}");
        });
    }
}
