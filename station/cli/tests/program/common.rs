//! Running the built program as a user would, with a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// The receptacle bench that is built in.
pub(crate) const BENCH: &str = include_str!("../../benches/receptacle.toml");

/// A user with an empty home.
pub(crate) struct User {
    pub(crate) home: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Got {
    fn of(output: &Output) -> Got {
        Got {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless the exit code is `code` and stderr has `text`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, text: &str) -> Got {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.stderr.contains(text), "no \"{text}\" in {self:#?}");
        self
    }

    /// stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

impl User {
    pub(crate) fn new() -> User {
        User { home: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file and gives its path as an argument.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
        command.args(args).current_dir(self.home.path()).stdin(Stdio::null());
        command.env("XDG_DATA_HOME", self.home.path()).env("HOME", self.home.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Got {
        Got::of(&self.command(args).output().unwrap())
    }

    /// A command line of several words, split at blanks.
    pub(crate) fn line(&self, line: &str) -> Got {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// The built-in bench with its serial ports below this home, edited.
    pub(crate) fn bench(&self, name: &str, edit: impl Fn(String) -> String) -> String {
        let here = self.path("ports").display().to_string();
        self.file(name, edit(BENCH.replace("/tmp/firstlight", &here)))
    }
}

/// A served bench; killed when dropped.
pub(crate) struct Served {
    child: Child,
    /// Lines printed up to `ready`.
    pub(crate) lines: Vec<String>,
}

impl Served {
    /// Starts `firstlight sim ARGS` and waits until it is ready.
    pub(crate) fn start(user: &User, args: &[&str]) -> Served {
        use std::io::{BufRead as _, BufReader};
        let mut all = vec!["sim"];
        all.extend(args);
        let mut child = user.command(&all).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Vec::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the simulator ended before it was ready: {lines:?}");
            let line = line.trim_end().to_string();
            if line == "ready" {
                break;
            }
            lines.push(line);
        }
        // Nothing more is printed; the pipe must stay open.
        std::mem::forget(reader);
        Served { child, lines }
    }

    /// Types a line at the simulator.
    pub(crate) fn type_line(&mut self, line: &str) {
        use std::io::Write as _;
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// Sends SIGTERM and gives the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        terminate(self.child.id());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM.
pub(crate) fn terminate(pid: u32) {
    signal("TERM", pid);
}

/// Sends a signal by name.
pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// The log of a user.
pub(crate) fn log_of(user: &User) -> PathBuf {
    user.home.path().join("firstlight").join("log.db")
}

/// Whether a file is there.
pub(crate) fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().symlink_metadata().is_ok()
}
