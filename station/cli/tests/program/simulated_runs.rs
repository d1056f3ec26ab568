//! Runs on the embedded simulator, as a user or a script sees them.

use crate::common::User;

#[test]
fn one_command_aligns_tests_and_logs_a_unit() {
    let user = User::new();
    let got = user.line("run 400g-fr4 --sim --seed 1");
    assert_eq!(got.code, Some(0), "{got:#?}");
    for expect in ["SIM-000001", "PASS", "coupling_loss", "limit at most 1.8 dB", "launched", "by tap", "(simulated)"] {
        assert!(got.stdout.contains(expect), "{expect}: {got:#?}");
    }
    for step in ["source_on", "reference", "approach", "first_light", "peak", "measure", "source_off", "retract"] {
        assert!(got.stderr.contains(step), "{step}: {got:#?}");
    }
    assert!(crate::common::log_of(&user).is_file());
    let shown = user.line("show last");
    assert!(shown.stdout.contains("coupling_loss") && shown.stdout.contains("peak"), "{shown:#?}");
}

#[test]
fn the_json_document_has_the_contracts_keys() {
    let user = User::new();
    let got = user.line("run 400g-fr4 --sim --seed 2 --units 3 --json").json();
    assert!(got["units_per_second"].as_f64().unwrap() > 0.0);
    let runs = got["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    for (i, run) in runs.iter().enumerate() {
        assert_eq!(run["serial_number"], format!("SIM-{:06}", i + 1));
        assert_eq!(run["outcome"], "pass");
        assert!(run["cause"].is_null() && run["run_id"].is_string());
        assert_eq!((run["seed"].as_u64(), run["simulated"].as_bool()), (Some(2), Some(true)));
        assert!(run["virtual_s"].as_f64().unwrap() > 0.1);
        let loss = run["measurements"].as_array().unwrap().iter().find(|m| m["name"] == "coupling_loss").unwrap();
        assert_eq!((loss["unit"].as_str(), loss["outcome"].as_str()), (Some("dB"), Some("pass")));
        assert!(loss["value"].as_f64().unwrap() <= loss["upper"].as_f64().unwrap());
        assert!(loss["lower"].is_null() && loss["channel"].is_string());
    }
}

#[test]
fn the_same_seed_gives_the_same_events_byte_for_byte_and_another_seed_others() {
    let user = User::new();
    let events = |seed: u32, file: &str| {
        let path = user.path(file).display().to_string();
        let got = user.line(&format!("run 400g-fr4 --sim --units 2 --seed {seed} --events {path} --db {file}.db"));
        assert_eq!(got.code, Some(0), "{got:#?}");
        std::fs::read(path).unwrap()
    };
    let first = events(7, "a");
    assert!(first.iter().filter(|b| **b == b'\n').count() > 40);
    assert_eq!(first, events(7, "b"));
    assert_ne!(first, events(8, "c"));
}

#[test]
fn bad_units_fail_for_the_parts_own_cause_and_good_ones_pass() {
    let user = User::new();
    let got = user.line("run 400g-fr4 --sim --units 60 --defects --seed 3 --json");
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    let runs = got.json();
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 60);
    let failed: Vec<_> = runs.iter().filter(|r| r["outcome"] == "fail").collect();
    assert!(!failed.is_empty() && failed.len() < 30, "{} of 60 failed", failed.len());
    for run in &failed {
        assert_eq!(run["cause"], "part", "{run:#}");
        let outside = run["measurements"].as_array().unwrap().iter().any(|m| m["outcome"] == "fail");
        assert!(outside, "a fail without a measurement outside its limit: {run:#}");
    }
    assert!(runs.iter().all(|r| r["outcome"] != "error"), "{}", got.stdout);
}

#[test]
fn simulated_runs_are_in_no_yield_unless_asked_for_by_name() {
    let user = User::new();
    assert_eq!(user.line("run 400g-fr4 --sim --units 5 --seed 4").code, Some(0));
    let real = user.line("yield --json");
    assert_eq!(real.code, Some(0), "{real:#?}");
    let simulated = user.line("yield --simulated");
    assert!(simulated.stdout.contains("5 of 5"), "{simulated:#?}");
    assert!(!user.line("yield").stdout.contains("5 of 5"));
}

#[test]
fn usage_errors_exit_2() {
    let user = User::new();
    user.line("run 400g-fr4").expect(2, "--sim");
    user.line("run 400g-fr4 --sim --units 0").expect(2, "units");
    user.line("run 400g-fr4 --sim --fault no-such-fault").expect(2, "no-such-fault");
    user.line("run 400g-fr4 --sim --units 2 --serial-number A1").expect(2, "names one unit");
    user.line("run 400g-fr4 --bench ./x.toml").expect(2, "--serial-number");
    user.line("no-such-command").expect(2, "no-such-command");
}

#[test]
fn help_shows_examples_and_completions_are_printed() {
    let user = User::new();
    assert!(user.line("--help").stdout.contains("firstlight run 400g-fr4 --sim"));
    assert!(user.line("run --help").stdout.contains("Examples:"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(user.line(&format!("completions {shell}")).stdout.contains("firstlight"));
    }
}

#[test]
fn a_virtual_run_takes_well_under_a_second() {
    // Not a timed test: the bench's clock runs ahead of the wall by construction, which the ratio shows.
    let user = User::new();
    let got = user.line("run 400g-fr4 --sim --units 20 --seed 5 --json").json();
    let virtual_s: f64 = got["runs"].as_array().unwrap().iter().map(|r| r["virtual_s"].as_f64().unwrap()).sum();
    assert!(virtual_s > 2.0 * got["wall_s"].as_f64().unwrap(), "{virtual_s} virtual in {}", got["wall_s"]);
}

#[test]
fn a_runs_searches_are_drawn_in_the_terminal_and_into_an_svg_file() {
    let user = User::new();
    user.line("run 400g-fr4 --sim --seed 7").expect(0, "peak");
    let got = user.line("show last --trace").expect(0, "");
    for expect in ["dB below the brightest reading, by reading", "the brightest on the map", "dB below\n"] {
        assert!(got.stdout.contains(expect), "{expect}: {got:#?}");
    }
    let path = user.path("run.svg");
    user.line(&format!("show last --svg {}", path.display())).expect(0, "");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("<svg ") && text.contains("SIM-000001") && text.contains("peak: "), "{text}");
    user.line("show last --svg /nowhere/run.svg").expect(5, "check the path of --svg");
}
