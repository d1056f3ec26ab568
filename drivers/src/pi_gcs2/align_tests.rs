//! Hexapod and piezo controllers: what the driver asks them, and what it makes of their answers.
//!
//! Answers of `FRP?`, `FRR?` and `FDR` as in a conversation of PIPython 2.11 with a controller; `KEN?` as programs of
//! users of a C-887 read it; `DRR?` as PI's manuals print it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::Gcs2;
use super::fake::cut;
use crate::alignment::{AreaScan, Estimate, GradientSearch, Path, Span, Then};
use crate::fake::{on_virtual_clock, served};
use crate::identity::Expected;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};

/// Requests heard, and answers: to each beginning of a request its answers, the last of them for good.
struct Table {
    heard: Vec<String>,
    answers: Vec<(&'static str, VecDeque<&'static str>)>,
}

impl Table {
    fn set(&mut self, request: &'static str, answers: &[&'static str]) {
        self.answers.retain(|(known, _)| *known != request);
        self.answers.push((request, answers.iter().copied().collect()));
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        let found = self.answers.iter_mut().filter(|(known, _)| text.starts_with(known)).max_by_key(|(k, _)| k.len());
        let answer = found.and_then(|(_, a)| if a.len() > 1 { a.pop_front() } else { a.front().copied() });
        self.heard.push(text);
        answer.unwrap_or("").as_bytes().to_vec()
    }

    fn sent(&self, beginning: &str) -> Vec<&str> {
        self.heard.iter().map(String::as_str).filter(|h| h.starts_with(beginning)).collect()
    }
}

type Shared = Rc<RefCell<Table>>;

fn hexapod() -> Table {
    let mut table = Table { heard: Vec::new(), answers: Vec::new() };
    for (request, answer) in [
        ("*IDN?", "(c)2017 Physik Instrumente (PI) GmbH & Co. KG, C-887, 117009999, 2.7.1.1x\n"),
        ("CSV?", "2.0\n"),
        ("ERR?", "0\n"),
        (
            "HLP?",
            "The following commands are valid: \nMOV x \nVLS x \nKEN? x \nRON x \nFRF x \nPUN? x \nSPI x \nSPI? x \n\
             FDR x \nFDG x \nFRS x \nFRP? x \nFRR? x \nDRC x \nDRT x \nRTR x \nDRL? x \nDRR? x \nend of help\n",
        ),
        ("KEN?", "PI_BASE=KSB \nZERO=KSD\n"),
        ("SAI?", "X \nY \nZ \nU \nV \nW\n"),
        ("PUN? X Y", "X=MM \nY=MM\n"),
        ("TMN?", "X=-17.000000 \nY=-16.000000\n"),
        ("TMX?", "X=17.000000 \nY=16.000000\n"),
        ("SVO? X Y", "X=1 \nY=1\n"),
        ("SVO? X", "X=1\n"),
        ("VLS?", "0.500000\n"),
        ("\x07", ""),
        ("SPA? 1 0xE000200", "1 0xE000200=0.000500\n"),
        ("SPA? 1 0x16000201", "1 0x16000201=8192\n"),
        ("FRP? 1", "1=0\n"),
        ("FRR? 1 1 1 2 1 3 1 5 1 6", "1 1=1 \n1 2=3.21 \n1 3=1.234 -0.567 \n1 5=2.500000 \n1 6=0\n"),
        ("DRL? 1 2 3", "1=3 \n2=3 \n3=3\n"),
        (
            "DRR? 1 3 1 2 3",
            "# REM x \n# VERSION = 1 \n# TYPE = 1 \n# SEPARATOR = 32 \n# DIM = 3 \n# SAMPLE_TIME = 0.005000 \n\
             # NDATA = 3 \n# NAME0 = a \n# NAME1 = b \n# NAME2 = c \n# END_HEADER \n0.000000 0.000000 0.100000 \n\
             0.001000 0.002000 0.200000 \n0.003000 0.004000 0.300000\n",
        ),
        ("TCI? 1", "1=0.600000\n"),
        ("SPI?", "R=0.000000 \nS=0.000000 \nT=50.000000\n"),
    ] {
        table.set(request, &[answer]);
    }
    table
}

fn setup(unit: ChannelUnit) -> Vec<ChannelSetup> {
    let channel = |channel: &str, axis: &str| ChannelSetup {
        axis: axis.into(),
        channel: channel.into(),
        unit,
        range: (-5000.0, 5000.0),
        velocity: 500.0,
    };
    vec![channel("X", "x"), channel("Y", "y")]
}

fn talk<F: AsyncFnOnce(&mut Gcs2, Shared)>(table: Table, test: F) {
    on_virtual_clock(async |clock| {
        let table = Rc::new(RefCell::new(table));
        let far = table.clone();
        let line = served(&clock, cut, move |request| far.borrow_mut().answer(request));
        let mut driver = Gcs2::new(line, Expected::default());
        test(&mut driver, table).await;
    });
}

fn connected<F: AsyncFnOnce(&mut Gcs2, Shared)>(test: F) {
    talk(hexapod(), async |driver, table| {
        driver.connect(&setup(ChannelUnit::Millimetre)).await.unwrap();
        table.borrow_mut().heard.clear();
        test(driver, table).await;
    });
}

fn area() -> AreaScan {
    AreaScan {
        scan: Span { channel: "X".into(), length: 100.0 },
        step: Span { channel: "Y".into(), length: 100.0 },
        middle: Some((0.0, 1.5)),
        input: 1,
        level: 0.01,
        frequency_hz: 20.0,
        velocity: 50.0,
        path: Path::Raster,
        estimate: Estimate::Gauss(0.2, 1.0),
        then: Then::Maximum,
        samples: 1000,
    }
}

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn connecting_a_hexapod_sets_its_one_velocity_and_asks_for_its_coordinate_systems() {
    talk(hexapod(), async |driver, table| {
        driver.connect(&setup(ChannelUnit::Millimetre)).await.unwrap();
        let table = table.borrow();
        assert_eq!(table.sent("VLS "), ["VLS 0.5"]);
        assert!(table.sent("VEL").is_empty() && table.sent("KEN?") == ["KEN?"]);
        assert!(table.sent("MOV").is_empty() && table.sent("FRF").is_empty());
    });
}

/// Connects to a hexapod with these systems in force, where the bench counts on others.
fn connect_in(enabled: &'static str, expected: &[&str], lists_commands: bool) -> Option<String> {
    let mut table = hexapod();
    table.set("KEN?", &[enabled]);
    if !lists_commands {
        table.set("HLP?", &[""]);
    }
    let failure = Rc::new(RefCell::new(None));
    let told = failure.clone();
    talk(table, async |driver, _| {
        if !expected.is_empty() {
            driver.expect_coordinates(&expected.iter().map(|n| (*n).to_string()).collect::<Vec<_>>());
        }
        *told.borrow_mut() = driver.connect(&setup(ChannelUnit::Millimetre)).await.err().map(|e| e.to_string());
    });
    failure.take()
}

#[test]
fn coordinate_systems_that_the_bench_does_not_count_on_are_refused() {
    let refused = "pm: axes x, y: coordinate system PTYCHO is in force, where the bench counts on ZERO: they would move \
                   along other directions";
    assert_eq!(connect_in("PI_BASE=KSB \nPTYCHO=KSD\n", &[], true).as_deref(), Some(refused));
    assert_eq!(connect_in("PI_BASE=KSB \nPTYCHO=KSD\n", &[], false).as_deref(), Some(refused), "no list of commands");
    assert_eq!(connect_in("PI_BASE=KSB \nPTYCHO=KSD\n", &["ptycho"], true), None);
    assert_eq!(connect_in("PI_BASE=KSB \nW1=KSW \nT1=KST\n", &["t1", "w1"], true), None);
    let told = connect_in("PI_BASE=KSB \nW1=KSW \nZERO=KST\n", &["t1", "w1"], true).unwrap();
    assert!(told.contains("W1, ZERO is in force, where the bench counts on T1, W1"), "{told}");
    let told = connect_in("PI_BASE=KSB \nZERO=KSD\n", &["level"], true).unwrap();
    assert!(told.contains("ZERO is in force, where the bench counts on LEVEL"), "{told}");
}

#[test]
fn a_platform_goes_as_fast_as_its_slowest_axis_may() {
    connected(async |driver, table| {
        driver.set_velocity(&[("Y", 500.0)]).await.unwrap();
        table.borrow_mut().set("VLS?", &["0.100000\n"]);
        driver.set_velocity(&[("X", 100.0)]).await.unwrap();
        driver.set_velocity(&[("Y", 400.0)]).await.unwrap();
        assert_eq!(table.borrow().sent("VLS "), ["VLS 0.5", "VLS 0.1", "VLS 0.1"]);
        let failure = driver.set_velocity(&[("X", 200.0)]).await.unwrap_err();
        assert!(matches!(failure, MotionError::ReadBack { what: "platform velocity", .. }), "{failure}");
    });
}

#[test]
fn an_area_scan_is_run_and_gives_result_and_samples_in_micrometres() {
    connected(async |driver, table| {
        table.borrow_mut().set("FRP? 1", &["1=2\n", "1=2\n", "1=0\n"]);
        let aligned = driver.alignment().unwrap().area_scan(&area(), LIMIT).await.unwrap();
        assert!(aligned.success && aligned.abort_reason == 0);
        assert_eq!((aligned.max, aligned.at, aligned.took_s), (3.21, (1234.0, -567.0), 2.5));
        let last = aligned.samples[2];
        assert_eq!((aligned.samples.len(), last.t_s, last.at, last.input), (3, 0.01, (3.0, 4.0), 0.3));
        let table = table.borrow();
        let defined = "FDR 1 X 0.1 Y 0.1 L 0.01 A 1 F 20 V 0.05 MP1 0 MP2 0.0015 TT 0 CM 1 MIIL 20 MAIL 100 ST 0";
        assert_eq!(table.sent("FDR"), [defined]);
        // 4 s in some thousand points of 0.5 ms servo cycles.
        assert_eq!(table.sent("RTR "), ["RTR 8"]);
        assert_eq!(table.sent("DRC "), ["DRC 1 X 2 2 Y 2 3 1 150"]);
        assert_eq!((table.sent("FRS "), table.sent("FRP? ").len()), (vec!["FRS 1"], 3));
    });
}

#[test]
fn a_gradient_search_is_defined_in_the_controllers_unit() {
    connected(async |driver, table| {
        let search = GradientSearch {
            scan: "X".into(),
            step: "Y".into(),
            input: 1,
            level: 0.01,
            radius: (1.0, 4.0),
            frequency_hz: 23.0,
            gain: 20.0,
            velocity: 100.0,
            direction_changes: 6,
            samples: 1000,
        };
        driver.alignment().unwrap().gradient_search(&search, LIMIT).await.unwrap();
        let defined = "FDG 1 X Y ML 0.01 A 1 MIA 0.001 MAA 0.004 F 23 SP 20 V 0.1 MDC 6";
        assert_eq!(table.borrow().sent("FDG"), [defined]);
    });
}

#[test]
fn a_routine_that_does_not_end_is_stopped_and_told() {
    connected(async |driver, table| {
        table.borrow_mut().set("FRP? 1", &["1=2\n"]);
        table.borrow_mut().set("POS? X Y", &["X=0.000000 \nY=0.000000\n"]);
        let failure = driver.alignment().unwrap().area_scan(&area(), LIMIT).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x, y: alignment routine not finished after 10.0 s (position 0)");
        assert_eq!(table.borrow().sent("FRP 1 0"), ["FRP 1 0"]);
        assert!(table.borrow().sent("FRP? ").len() < 600);
    });
}

#[test]
fn a_routine_that_is_refused_is_told_with_the_controllers_code_and_never_sent_again() {
    connected(async |driver, table| {
        table.borrow_mut().set("ERR?", &["0\n", "0\n", "0\n", "0\n", "7\n"]);
        let failure = driver.alignment().unwrap().area_scan(&area(), LIMIT).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis x, y: \"FRS 1\" refused with error 7 (target outside limits)");
        assert_eq!(table.borrow().sent("FRS "), ["FRS 1"]);
        let unknown = AreaScan { scan: Span { channel: "Q".into(), length: 1.0 }, ..area() };
        let failure = driver.alignment().unwrap().area_scan(&unknown, LIMIT).await.unwrap_err();
        assert!(matches!(failure, MotionError::NoChannel { .. }), "{failure}");
    });
}

#[test]
fn the_input_of_the_routines_is_read() {
    connected(async |driver, _| {
        assert_eq!(driver.alignment().unwrap().input(1).await.unwrap(), 0.6);
    });
}

#[test]
fn a_pivot_is_set_in_millimetres_and_read_back() {
    connected(async |driver, table| {
        let pivot = driver.pivot().unwrap();
        pivot.set_pivot_um([0.0, 0.0, 50_000.0]).await.unwrap();
        let failure = pivot.set_pivot_um([0.0, 0.0, 40_000.0]).await.unwrap_err();
        assert_eq!(failure.to_string(), "pm: axis all: pivot was set to 40 but reads back 50");
        assert_eq!(table.borrow().sent("SPI "), ["SPI R 0 S 0 T 50", "SPI R 0 S 0 T 40"]);
    });
}

#[test]
fn reference_mode_that_a_hexapod_refuses_to_change_is_no_failure() {
    connected(async |driver, table| {
        table.borrow_mut().set("ERR?", &["34\n", "0\n"]);
        table.borrow_mut().set("RON? X", &["X=1\n"]);
        table.borrow_mut().set("FRF? X", &["X=1\n"]);
        // The fake cannot say 0xB1 in UTF-8; a query that is not answered ends the wait with an error of its own.
        let failure = driver.reference("X").await.unwrap_err();
        assert!(matches!(failure, MotionError::Line(_)), "{failure}");
        assert_eq!(table.borrow().sent("FRF X"), ["FRF X"]);
    });
}

#[test]
fn piezo_axes_need_no_reference() {
    let mut table = hexapod();
    for (request, answer) in [
        ("HLP?", "The following commands are valid: \nMOV x \nVEL x \nPUN? x \nATZ x \nend of help\n"),
        ("PUN? X Y", "X=UM \nY=UM\n"),
        ("TMN?", "X=-5000 \nY=-5000\n"),
        ("TMX?", "X=5000 \nY=5000\n"),
        ("VEL?", "X=500 \nY=500\n"),
        ("POS? X", "X=12.5\n"),
    ] {
        table.set(request, &[answer]);
    }
    talk(table, async |driver, table| {
        driver.connect(&setup(ChannelUnit::Micrometre)).await.unwrap();
        let states = driver.states(&["X"]).await.unwrap();
        assert!(states[0].referenced && states[0].position == 12.5);
        driver.reference("X").await.unwrap();
        assert!(table.borrow().sent("FRF").is_empty() && table.borrow().sent("VEL ") == ["VEL X 500 Y 500"]);
        assert!(driver.alignment().is_none() && driver.pivot().is_none());
    });
}
