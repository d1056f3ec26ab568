//! The queue of errors, with the controller's words. Pure.

use std::collections::VecDeque;

/// Errors kept; the eleventh is lost.
const ERRORS_MAX: usize = 10;
/// One tick of the time stamps, seconds: a servo cycle.
const TICK_S: f64 = 0.000_4;

/// Words for errors of no axis.
const GENERAL: &[(u32, &str)] = &[
    (0, "NO ERROR DETECTED"),
    (6, "COMMAND DOES NOT EXIST"),
    (7, "PARAMETER OUT OF RANGE"),
    (9, "AXIS NUMBER OUT OF RANGE"),
    (27, "COMMAND NOT ALLOWED"),
    (37, "AXIS NUMBER MISSING"),
    (38, "COMMAND PARAMETER MISSING"),
];

/// Words for errors of an axis, by the last two digits.
const OF_AXIS: &[(u32, &str)] = &[
    (1, "PARAMETER OUT OF RANGE"),
    (3, "FOLLOWING ERROR THRESHOLD EXCEEDED"),
    (4, "POSITIVE HARDWARE LIMIT DETECTED"),
    (5, "NEGATIVE HARDWARE LIMIT DETECTED"),
    (6, "POSITIVE SOFTWARE LIMIT DETECTED"),
    (7, "NEGATIVE SOFTWARE LIMIT DETECTED"),
    (10, "MAXIMUM VELOCITY EXCEEDED"),
    (11, "MAXIMUM ACCELERATION EXCEEDED"),
    (13, "MOTOR NOT ENABLED"),
    (20, "HOMING ABORTED"),
    (30, "COMMAND NOT ALLOWED DURING HOMING"),
];

/// Errors that nobody has read, each with its time since power-on.
#[derive(Debug, Default)]
pub(super) struct Errors(VecDeque<(u32, f64)>);

impl Errors {
    pub(super) fn raise(&mut self, code: u32, at_s: f64) {
        if self.0.len() < ERRORS_MAX {
            self.0.push_back((code, at_s));
        }
    }

    /// The oldest error's number; it is forgotten.
    pub(super) fn number(&mut self) -> String {
        self.0.pop_front().map_or(0, |(code, _)| code).to_string()
    }

    /// The oldest error's number, time in ticks and words; it is forgotten.
    pub(super) fn words(&mut self, now_s: f64) -> String {
        let (code, at_s) = self.0.pop_front().unwrap_or((0, now_s));
        let find = |list: &[(u32, &'static str)], code| list.iter().find(|(c, _)| *c == code).map(|(_, words)| *words);
        let words = if code >= 100 { find(OF_AXIS, code % 100) } else { find(GENERAL, code) };
        format!("{code}, {:.0}, {}", (at_s / TICK_S).floor(), words.unwrap_or("UNDEFINED ERROR"))
    }
}
