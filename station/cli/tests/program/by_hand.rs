//! The bench worked by hand, over served pseudo-terminals: probe, home, jog, read, stop, wire.

use std::io::Write as _;
use std::process::Stdio;

use crate::common::{Served, User};

#[test]
fn a_bench_is_probed_homed_jogged_read_and_stopped_by_hand() {
    let user = User::new();
    let bench = user.bench("b.toml", |t| t);
    let _served = Served::start(&user, &[&bench, "--seed", "1"]);
    let port = |name: &str| user.path(&format!("ports/{name}")).display().to_string();
    let probed = user.run(&["bench", "ports", "--probe", &port("motion"), &port("signal"), &port("laser")]);
    assert_eq!(probed.code, Some(0), "{probed:#?}");
    for expect in
        ["[controllers.controller1]", "driver = \"pi-gcs2\"", "[meters.meter2]", "[source]", "model = \"PM101\""]
    {
        assert!(probed.stdout.contains(expect), "{expect}: {probed:#?}");
    }
    let unhomed = user.run(&["bench", "jog", &bench, "x", "10"]);
    assert_eq!(unhomed.code, Some(3), "{unhomed:#?}");
    assert!(unhomed.stderr.contains("not referenced"), "{unhomed:#?}");
    let homed = user.run(&["bench", "home", &bench]);
    assert!(homed.code == Some(0) && homed.stdout.contains("referenced: z, x, y; parked"), "{homed:#?}");
    let jogged = user.run(&["bench", "jog", &bench, "x", "-25.5"]);
    assert!(jogged.code == Some(0) && jogged.stdout.starts_with("x -25."), "{jogged:#?}");
    let refused = user.run(&["bench", "jog", &bench, "z", "-7000"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("outside its range"), "{refused:#?}");
    let read = user.run(&["bench", "read", &bench, "signal_meter", "--rate", "50", "--count", "3"]);
    assert!(read.code == Some(0) && read.stdout.lines().count() == 3 && !read.stdout.contains("tap"), "{read:#?}");
    let stopped = user.run(&["bench", "stop", &bench]);
    assert!(stopped.code == Some(0) && stopped.stdout.contains("every axis stands"), "{stopped:#?}");
    user.run(&["bench", "read", &bench, "nonsense"]).expect(2, "meters are");
    user.run(&["bench", "jog", &bench, "q", "1"]).expect(2, "axes are");
}

#[test]
fn a_port_is_talked_on_live_and_a_transcript_is_shown_with_its_bytes() {
    let user = User::new();
    let bench = user.bench("b.toml", |t| t);
    let _served = Served::start(&user, &[&bench, "--seed", "1"]);
    let port = user.path("ports/motion").display().to_string();
    let mut live =
        user.command(&["bench", "wire", &port, "--live"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    live.stdin.take().unwrap().write_all(b"*IDN?\n\\x05\n").unwrap();
    let said = String::from_utf8(live.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("-> \"*IDN?\\n\"") && said.contains("Physik Instrumente"), "{said}");
    let file = user.file("t.txt", &said);
    let shown = user.run(&["bench", "wire", &file]);
    assert!(shown.code == Some(0) && shown.stdout.contains("05 0a"), "{shown:#?}");
}
