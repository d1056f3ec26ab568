//! Why a command failed, with its exit code. Exit codes are a contract with scripts.

use std::fmt;

use station::sequence::{Concern, Problem};
use units::text::Faults;

/// Exit code: a unit failed.
pub(crate) const UNIT_FAILED: u8 = 1;
/// Exit code: usage.
pub(crate) const USAGE: u8 = 2;
/// Exit code: station error.
pub(crate) const STATION: u8 = 3;
/// Exit code: bad recipe or bench file.
pub(crate) const FILES: u8 = 4;
/// Exit code: storage.
pub(crate) const STORAGE: u8 = 5;
/// Exit code: stopped by the operator.
pub(crate) const OPERATOR: u8 = 6;

/// A failed command: what to print on stderr, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure { code, message: message.into(), hint: hint.into() }
    }

    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(USAGE, message, hint)
    }

    pub(crate) fn station(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(STATION, message, hint)
    }

    /// All faults of a file, as `FILE:line:column: message`.
    pub(crate) fn faults(file: &str, faults: &Faults) -> Self {
        let lines: Vec<String> = faults.0.iter().map(|f| format!("{file}:{f}")).collect();
        Failure::new(FILES, lines.join("\n"), "")
    }

    /// What stands in the way of a run; a bad file outranks a station that is not ready.
    pub(crate) fn problems(problems: &[Problem]) -> Self {
        let files = problems.iter().any(|p| p.concern == Concern::Files);
        let lines: Vec<String> = problems.iter().map(|p| format!("error: {}\nhint: {}", p.message, p.hint)).collect();
        Failure::new(if files { FILES } else { STATION }, lines.join("\n"), "")
    }

    pub(crate) fn bench(error: &station::bench::BenchError) -> Self {
        Failure::station(error.to_string(), error.hint())
    }

    pub(crate) fn storage(error: &station::store::StoreError) -> Self {
        Failure::new(STORAGE, error.to_string(), "")
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.code == FILES || self.message.starts_with("error:") { "" } else { "error: " };
        write!(f, "{prefix}{}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}
