//! The simulated bench served on pseudo-terminals and TCP, and runs against it in real time. Few and short.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::common::{Served, User, exists, signal, terminate};

#[test]
fn a_run_over_pseudo_terminals_passes_in_real_time_and_the_links_go_with_the_simulator() {
    let user = User::new();
    let bench = user.bench("b.toml", |t| t);
    let served = Served::start(&user, &[&bench, "--seed", "1"]);
    assert_eq!(served.lines.len(), 4, "{:?}", served.lines);
    assert!(served.lines.iter().all(|l| l.split_whitespace().nth(1) == Some("pty")), "{:?}", served.lines);
    let checked = user.run(&["bench", "check", &bench, "--connect"]);
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    assert!(checked.stdout.contains("C-884") && checked.stdout.contains("PM101"), "{checked:#?}");
    let got = user.run(&["run", "400g-fr4", "--bench", &bench, "--serial-number", "A1"]);
    assert_eq!(got.code, Some(0), "{got:#?}");
    assert!(got.stdout.contains("A1") && got.stdout.contains("PASS") && got.stdout.contains("(simulated)"), "{got:#?}");
    assert!(exists(user.path("ports/motion")));
    assert_eq!(served.terminate(), Some(0));
    assert!(!exists(user.path("ports/motion")));
}

#[test]
fn a_run_over_tcp_passes() {
    let user = User::new();
    let port = |n: u16| {
        // A free port of this machine, asked for and given back.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        (n, listener.local_addr().unwrap().port())
    };
    let ports: Vec<(u16, u16)> = (0..4).map(port).collect();
    let bench = user.bench("b.toml", |mut text| {
        for (name, (_, number)) in ["motion", "signal", "tap", "laser"].iter().zip(&ports) {
            let serial = format!("serial = \"{}\"\nbaud = 115200", user.path("ports").join(name).display());
            text = text.replace(&serial, &format!("tcp = \"127.0.0.1:{number}\""));
        }
        text
    });
    let served = Served::start(&user, &[&bench, "--seed", "2"]);
    assert!(served.lines.iter().all(|l| l.split_whitespace().nth(1) == Some("tcp")), "{:?}", served.lines);
    let got = user.run(&["run", "400g-fr4", "--bench", &bench, "--serial-number", "A2"]);
    assert_eq!(got.code, Some(0), "{got:#?}");
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn a_station_killed_in_mid_run_loses_nothing_and_the_next_run_backs_off_first() {
    let user = User::new();
    let bench = user.bench("b.toml", |t| t);
    let mut served = Served::start(&user, &[&bench, "--seed", "3"]);
    let mut station = user
        .command(&["run", "400g-fr4", "--bench", &bench, "--serial-number", "K1"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(station.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("first_light") && !said.contains("peak") {
        assert!(reader.read_line(&mut said).unwrap() > 0, "{said}");
    }
    signal("KILL", station.id());
    station.wait().unwrap();
    let unfinished = user.line("runs");
    assert!(unfinished.stdout.contains("K1") && unfinished.stdout.contains("unfinished"), "{unfinished:#?}");
    served.type_line("next");
    let again = user.run(&["run", "400g-fr4", "--bench", &bench, "--serial-number", "K2"]);
    assert_eq!(again.code, Some(0), "{again:#?}");
    assert!(again.stderr.contains("closed as aborted"), "{again:#?}");
    assert!(again.stderr.contains("found near contact and backed off"), "{again:#?}");
    let runs = user.line("runs");
    assert!(runs.stdout.contains("aborted") && runs.stdout.contains("pass"), "{runs:#?}");
    let shown = user.line("runs --json").json();
    assert_eq!(shown.as_array().or(shown["runs"].as_array()).map(Vec::len), Some(2), "{shown:#}");
}

#[test]
fn sigterm_sigint_and_the_operators_stop_make_the_bench_safe_and_have_their_exit_codes() {
    let user = User::new();
    let bench = user.bench("b.toml", |t| t);
    let _served = Served::start(&user, &[&bench, "--seed", "4"]);
    for (name, code) in [("TERM", 143), ("INT", 130), ("stop", 6)] {
        let mut station = user
            .command(&["run", "400g-fr4", "--bench", &bench, "--serial-number", name, "--stdin"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(station.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("approach") {
            assert!(reader.read_line(&mut said).unwrap() > 0, "{said}");
        }
        match name {
            "TERM" => terminate(station.id()),
            "INT" => signal(name, station.id()),
            word => writeln!(station.stdin.as_mut().unwrap(), "{word}").unwrap(),
        }
        let drain = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let output = station.wait_with_output().unwrap();
        drain.join().unwrap().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stdout).contains("ABORTED"), "{output:?}");
        let shown = user.line("show last --json").json();
        assert_eq!(shown["run"]["safe"], serde_json::json!(true), "{shown:#}");
    }
}

#[test]
fn what_is_wrong_with_a_port_or_its_instrument_is_named() {
    let user = User::new();
    let bench = user.bench("b.toml", |t| t);
    let run = |file: &str| user.run(&["run", "400g-fr4", "--bench", file, "--serial-number", "A1"]);
    // Nothing is served yet: every port is missing, and each is named.
    let got = run(&bench).expect(3, "ports/motion");
    assert!(got.stderr.contains("ports/laser") && got.stderr.contains("hint:"), "{got:#?}");
    let _served = Served::start(&user, &[&bench, "--seed", "5", "--strict-line"]);
    let swapped = user.bench("swapped.toml", |t| {
        t.replace("port = \"motion\"", "port = \"?\"")
            .replace("port = \"laser\"", "port = \"motion\"")
            .replace("port = \"?\"", "port = \"laser\"")
    });
    run(&swapped).expect(3, "answers on");
    let wrong_baud = user.bench("baud.toml", |t| t.replacen("baud = 115200", "baud = 9600", 1));
    run(&wrong_baud).expect(3, "baud");
    let other_model = user.bench("model.toml", |t| t.replace("model = \"C-884\"", "model = \"E-712\""));
    run(&other_model).expect(3, "C-884");
    let wrong_sign = user.bench("sign.toml", |t| t.replace("sign = 1\nzero_um = -8000", "sign = -1\nzero_um = -8000"));
    run(&wrong_sign).expect(3, "check sign");
    assert_eq!(run(&bench).code, Some(0));
}

#[test]
fn a_bench_with_a_switch_is_read_in_turn_over_pseudo_terminals_and_runs() {
    let user = User::new();
    let signal = "[channels.signal]\nmeter = \"signal_meter\"\nrole = \"signal\"\nfloor_dbm = -70\n";
    let bench = user.bench("b.toml", |text| {
        assert!(text.contains(signal));
        let switch = text.lines().find(|l| l.contains("/tap\"")).unwrap().replace("/tap", "/switch");
        let lane = |n: u32| {
            format!(
                "[channels.lane{n}]\nmeter = \"signal_meter\"\nrole = \"signal\"\nlane = {n}\nswitch_port = {n}\n\n"
            )
        };
        let channels = format!(
            "[ports.switch]\n{switch}\n\n[switch]\ndriver = \"dicon-switch\"\nport = \"switch\"\n\n{}{}",
            lane(1),
            lane(2)
        );
        text.replace(signal, &channels)
    });
    let served = Served::start(&user, &[&bench, "--seed", "1"]);
    assert!(served.lines.iter().any(|l| l.starts_with("switch pty ")), "{:?}", served.lines);
    let checked = user.run(&["bench", "check", &bench, "--connect"]);
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    for expect in ["3 channels (2 in turn behind the switch)", "GP600"] {
        assert!(checked.stdout.contains(expect), "{expect}: {checked:#?}");
    }
    let read = user.run(&["bench", "read", &bench, "--rate", "20", "--count", "2"]);
    assert!(
        read.code == Some(0) && read.stdout.lines().all(|l| l.contains("lane1") && l.contains("lane2")),
        "{read:#?}"
    );
    let run = user.run(&["run", "400g-fr4", "--bench", &bench, "--serial-number", "A1", "--json"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn a_bench_with_a_tracker_is_checked_tracks_and_is_stopped_over_pseudo_terminals() {
    let user = User::new();
    let bench = user.bench("b.toml", |text| {
        let port = text.lines().find(|l| l.contains("/tap\"")).unwrap().replace("/tap", "/tracker");
        format!(
            "{text}\n[ports.tracker]\n{port}\n\n[tracker]\ndriver = \"thorlabs-apt\"\nport = \"tracker\"\n\
             horizontal = \"x\"\nvertical = \"-y\"\ntravel_um = 20\n"
        )
    });
    let recipe = recipes::named("400g-fr4").unwrap();
    let recipe = recipe
        .replace("axes = [\"x\", \"y\", \"z\"]", "axes = [\"x\", \"y\"]")
        .replace("upper = 1.8", "upper = 9")
        .replace("method = \"engine\"", "method = \"track\"");
    let recipe = user.file("track.toml", recipe);
    let served = Served::start(&user, &[&bench, "--seed", "1"]);
    assert!(served.lines.iter().any(|l| l.starts_with("tracker pty ")), "{:?}", served.lines);
    let checked = user.run(&["bench", "check", &bench, "--connect"]);
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    for expect in ["with a tracker along x and -y", "KNA101"] {
        assert!(checked.stdout.contains(expect), "{expect}: {checked:#?}");
    }
    let run = user.run(&["run", &recipe, "--bench", &bench, "--serial-number", "A1", "--wire"]);
    assert!(run.code == Some(0) && run.stderr.contains("track by the controller"), "{run:#?}");
    let shown = user.run(&["show", "last", "--wire"]);
    assert!(shown.stdout.contains("tracker"), "{shown:#?}");
    let stopped = user.run(&["bench", "stop", &bench]);
    assert!(stopped.code == Some(0) && stopped.stdout.contains("the tracker is latched"), "{stopped:#?}");
    assert_eq!(served.terminate(), Some(0));
    // In process by the same file; and a bench that has none is told by the step.
    let sim = user.run(&["run", &recipe, &format!("--sim={bench}"), "--seed", "1"]);
    assert!(sim.code == Some(0) && sim.stderr.contains("track by the controller"), "{sim:#?}");
    user.run(&["run", &recipe, "--sim", "--seed", "1"]).expect(4, "step 5 (peak) of recipe 400g-fr4 searches by track");
}
