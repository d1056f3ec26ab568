//! The log: what keeps it from being written exits with 5 and says what to do, and nothing recorded is lost.

use std::process::Command;

use crate::common::{User, log_of};

#[test]
fn a_log_that_cannot_be_used_is_named_before_anything_runs() {
    let user = User::new();
    let text = user
        .file("text.db", "this is a letter, not a database, and it is long enough to have a header of its own, surely");
    user.run(&["run", "400g-fr4", "--sim", "--db", &text]).expect(5, "text.db");
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("this is a letter"), "left as it was");
    user.run(&["run", "400g-fr4", "--sim", "--db", "/proc/none/log.db"]).expect(5, "/proc/none");
    user.run(&["runs", "--db", &user.path("none.db").display().to_string()]).expect(5, "none.db");
    assert!(!user.path("none.db").exists(), "readers never make a log");
}

#[test]
fn a_log_of_a_newer_firstlight_is_left_alone() {
    let user = User::new();
    assert_eq!(user.line("run 400g-fr4 --sim --seed 1").code, Some(0));
    let db = log_of(&user);
    raise_schema(&db);
    user.line("run 400g-fr4 --sim --seed 1").expect(5, "newer");
    user.line("runs").expect(5, "newer");
}

/// Writes a greater schema version into the file's header (user_version, four bytes big-endian at offset 60).
fn raise_schema(db: &std::path::Path) {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let mut file = std::fs::OpenOptions::new().write(true).open(db).unwrap();
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&9999u32.to_be_bytes()).unwrap();
}

#[test]
fn a_disk_that_fills_up_ends_with_5_and_keeps_what_was_durable() {
    let user = User::new();
    assert_eq!(user.line("run 400g-fr4 --sim --units 3 --seed 1").code, Some(0));
    let before = user.line("runs --json").json();
    let program = env!("CARGO_BIN_EXE_firstlight");
    // ulimit -f counts blocks of 512 bytes in dash and of 1024 in bash: either way less than the runs need.
    let script = format!("ulimit -f 900; exec {program} run 400g-fr4 --sim --units 400 --seed 2");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("XDG_DATA_HOME", user.home.path())
        .env("HOME", user.home.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(stderr.contains("full") || stderr.contains("space") || stderr.contains("large"), "{stderr}");
    let after = user.line("runs --limit 1000 --json").json();
    let ids = |v: &serde_json::Value| -> Vec<String> {
        let runs = v.as_array().or(v["runs"].as_array()).unwrap();
        runs.iter().map(|r| r["run_id"].as_str().unwrap().to_string()).collect()
    };
    let (before, after) = (ids(&before), ids(&after));
    assert!(before.iter().all(|id| after.contains(id)), "{before:?} {after:?}");
    // With room again the log goes on.
    assert_eq!(user.line("run 400g-fr4 --sim --seed 3").code, Some(0));
}

#[test]
fn two_writers_do_not_share_a_log() {
    let user = User::new();
    assert_eq!(user.line("run 400g-fr4 --sim --seed 1").code, Some(0));
    let lock =
        std::fs::File::options().read(true).write(true).open(user.home.path().join("firstlight/log.db.lock")).unwrap();
    lock.try_lock().unwrap();
    user.line("run 400g-fr4 --sim --seed 1").expect(5, "log.db");
    assert_eq!(user.line("runs").code, Some(0), "readers need no lock");
}
