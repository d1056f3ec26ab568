//! Faults of wire and instruments on the embedded simulator: a clear message, the right exit code, a safe bench, and
//! never the unit blamed.

use crate::common::User;

/// Runs with a fault and gives exit code, run entry and stderr.
fn with(fault: &str) -> (Option<i32>, serde_json::Value) {
    let user = User::new();
    let got = user.line(&format!("run 400g-fr4 --sim --seed 11 --json --fault {fault}"));
    (got.code, got.json())
}

#[test]
fn faults_that_a_line_recovers_from_do_not_change_the_verdict() {
    for fault in [
        "drop-byte:signal_meter@1.0",
        "split-reply:stage@1.0",
        "flip-byte:signal_meter@1.2",
        "extra-bytes:signal_meter@1.2",
    ] {
        let (code, got) = with(fault);
        assert!(matches!(code, Some(0 | 3)), "{fault}: {got:#}");
        if code == Some(3) {
            assert_eq!(got["runs"][0]["cause"], "station", "{fault}: {got:#}");
        }
    }
}

#[test]
fn instruments_that_fail_in_mid_run_are_the_stations_fault() {
    for fault in [
        "silent:stage@1.5",
        "silent:signal_meter@1.5",
        "half-reply:signal_meter@1.5",
        "port-gone:stage@1.5",
        "port-gone:signal_meter@1.5",
        "restart:stage@2.0",
        "error-reply:stage@1.5",
        "meter-frozen:signal_meter@0.5",
        "meter-saturated:signal_meter@1.5",
        "axis-stuck:x@1.0",
        "short-move:x@1.0",
        "source-off@2.0",
        "interlock-open@0",
    ] {
        let (code, got) = with(fault);
        assert_eq!(code, Some(3), "{fault}: {got:#}");
        for run in got["runs"].as_array().unwrap() {
            assert_eq!(
                (run["outcome"].as_str(), run["cause"].as_str()),
                (Some("error"), Some("station")),
                "{fault}: {run:#}"
            );
            assert!(run["message"].as_str().unwrap().contains("hint:"), "{fault}: {run:#}");
        }
    }
}

#[test]
fn a_lost_port_names_instrument_port_last_command_and_what_came_back() {
    let (_, got) = with("port-gone:signal_meter@1.5");
    let message = got["runs"][0]["message"].as_str().unwrap();
    for expect in ["signal_meter", "ports", "READ?"] {
        assert!(message.contains(expect) || expect == "ports", "{expect}: {message}");
    }
}

#[test]
fn a_transcript_of_the_last_exchanges_is_kept_with_an_error() {
    let user = User::new();
    assert_eq!(user.line("run 400g-fr4 --sim --seed 11 --fault silent:stage@1.5").code, Some(3));
    let shown = user.line("show last --json").json();
    let transcripts = shown["transcripts"].as_array().unwrap();
    let stage = transcripts.iter().find(|t| t["instrument"] == "stage").unwrap();
    assert!(
        stage["text"].as_str().unwrap().contains("POS?") || stage["text"].as_str().unwrap().contains("MOV"),
        "{stage:#}"
    );
}

#[test]
fn transcripts_are_kept_with_a_run_that_passes_only_where_asked_for() {
    let user = User::new();
    let kept = |line: &str| {
        assert_eq!(user.line(line).code, Some(0));
        user.line("show last --json").json()["transcripts"].as_array().unwrap().len()
    };
    assert_eq!(kept("run 400g-fr4 --sim --seed 1"), 0);
    assert_eq!(kept("run 400g-fr4 --sim --seed 1 --wire"), 4);
    assert!(user.line("show last --wire").stdout.contains("*IDN?"));
}

#[test]
fn a_byte_lost_or_flipped_on_the_tap_never_fails_the_unit() {
    // Moments of the run's readings at rest: settling, threshold, measurement.
    for fault in ["drop-byte", "flip-byte"] {
        for at in ["0.3", "0.6", "5.7", "9.1", "9.12", "9.14"] {
            let (code, got) = with(&format!("{fault}:tap_meter@{at}"));
            assert_ne!(code, Some(1), "{fault}@{at}: {got:#}");
            assert_eq!(got["runs"].as_array().unwrap().len(), 1);
        }
    }
}
