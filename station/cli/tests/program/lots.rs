//! Units of a lot: what earlier ones tell of the next, and what they leave alone.

use crate::common::User;

/// Messages of a run's steps of a kind, unit by unit.
fn messages(events: &str, step: usize) -> Vec<String> {
    let lines = events.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let ended = lines.filter(|e| e["event"] == "step_ended" && e["step"] == step);
    ended.map(|e| e["message"].as_str().unwrap_or_default().to_string()).collect()
}

const FIRST_LIGHT: usize = 3;
const PEAK: usize = 4;

#[test]
fn searches_of_a_lot_begin_where_its_earlier_units_were_and_say_so() {
    let user = User::new();
    let got = user.line("run 400g-fr4 --sim --seed 7 --units 8 --lot A7 --events a.jsonl");
    assert_eq!(got.code, Some(0), "{got:#?}");
    let events = std::fs::read_to_string(user.path("a.jsonl")).unwrap();
    let (lit, peak) = (messages(&events, FIRST_LIGHT), messages(&events, PEAK));
    assert!(lit[..3].iter().chain(&peak[..3]).all(|m| !m.contains("expected at")), "too few units: {lit:?} {peak:?}");
    assert!(lit[7].contains("um from 7 units of lot A7") || lit[7].contains(") from 7 units of lot A7"), "{}", lit[7]);
    assert!(peak[7].contains("expected at z") && peak[7].contains("7 units of lot A7"), "{}", peak[7]);
    // The next command goes on where this one ended, and another lot begins anew.
    let next = user.line("run 400g-fr4 --sim --seed 7 --lot A7 --events b.jsonl");
    assert_eq!(next.code, Some(0), "{next:#?}");
    let events = std::fs::read_to_string(user.path("b.jsonl")).unwrap();
    assert!(messages(&events, PEAK)[0].contains("8 units of lot A7"), "{events}");
    assert_eq!(user.line("run 400g-fr4 --sim --seed 7 --lot B --events c.jsonl").code, Some(0));
    let events = std::fs::read_to_string(user.path("c.jsonl")).unwrap();
    assert!(!events.contains("expected at"), "{events}");
    // The log knows which run was of which lot.
    let of = |lot: &str| user.line(&format!("runs --lot {lot} --json")).json()["runs"].as_array().unwrap().len();
    assert_eq!((of("A7"), of("B"), of("C")), (9, 1, 0));
    assert_eq!(user.line("show last --json").json()["run"]["lot"], "B");
    assert!(user.line("show last").stdout.contains(", lot B"));
}

#[test]
fn the_same_command_on_a_fresh_log_gives_the_same_bytes_and_none_of_a_lot_without_one() {
    let user = User::new();
    let run = |db: &str, lot: &str| {
        let line = format!("run 400g-fr4 --sim --seed 3 --units 5 --db {db}.db --events {db}.jsonl {lot}");
        assert_eq!(user.line(&line).code, Some(0));
        std::fs::read(user.path(&format!("{db}.jsonl"))).unwrap()
    };
    assert_eq!(run("a", "--lot A7"), run("b", "--lot A7"));
    let without = String::from_utf8(run("c", "")).unwrap();
    assert_eq!(without.as_bytes(), run("a-again", ""));
    assert!(!without.contains("peak_x") && !without.contains("expected at"), "{without}");
    // What a lot has taught is not used by a unit that is not said to be of it.
    let line = "run 400g-fr4 --sim --seed 3 --units 5 --db a.db --events d.jsonl";
    assert_eq!(user.line(line).code, Some(0));
    assert_eq!(std::fs::read_to_string(user.path("d.jsonl")).unwrap(), without);
}
