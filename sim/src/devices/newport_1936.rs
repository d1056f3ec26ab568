//! Newport's optical power meters 1936-R (one channel) and 2936-R (two): `PM:` commands. From the user's manual as
//! carried by public drivers (foxtrot, itom, Instrumental's users) that were tried on the instruments.
//!
//! This file: bytes, lines, echo, errors. What a channel measures is in `channel`.

mod channel;

use std::collections::VecDeque;

use super::lines::Lines;
use super::{Device, Replies, scpi};
use crate::world::World;

use channel::Channel;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.002;
/// Errors kept; the manual's queue is longer than any client lets it grow.
const ERRORS_MAX: usize = 32;
/// Errors of the queue.
const SYNTAX: (u32, &str) = (116, "Syntax Error");
const OUT_OF_RANGE: (u32, &str) = (201, "Value Out Of Range");

/// What a command comes to: an answer or nothing to say, or an error.
type Act = Result<Option<String>, (u32, &'static str)>;

pub(super) struct Newport1936 {
    model: &'static str,
    channels: Vec<Channel>,
    /// Index of the channel that commands are for.
    selected: usize,
    echo: bool,
    lines: Lines,
    replies: Replies,
    errors: VecDeque<(u32, &'static str)>,
    refuse: bool,
}

impl Newport1936 {
    pub(super) fn new(world: &World, name: &str, model: Option<&str>) -> Newport1936 {
        let two = model.is_none_or(|m| m.eq_ignore_ascii_case("2936-R"));
        let numbers = if two { 1..=2 } else { 1..=1 };
        Newport1936 {
            model: if two { "2936-R" } else { "1936-R" },
            channels: numbers.map(|n| Channel::new(world, name, n)).collect(),
            selected: 0,
            // As some firmware comes up.
            echo: true,
            lines: Lines::default(),
            replies: Replies::default(),
            errors: VecDeque::new(),
            refuse: false,
        }
    }

    fn raise(&mut self, error: (u32, &'static str)) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push_back(error);
        }
    }

    fn line_ended(&mut self, now_s: f64) {
        let Ok(line) = self.lines.end() else { return self.raise(SYNTAX) };
        if line.trim().is_empty() {
            return;
        }
        let echo = self.echo;
        let mut answers = Vec::new();
        for part in line.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let (head, argument) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
            let (header, query) = head.strip_suffix('?').map_or((head, false), |h| (h, true));
            let act = if self.refuse && !scpi::is(header, "ERRors") && !scpi::is(header, "ERRSTR") {
                Err(SYNTAX)
            } else {
                self.act(now_s, header, query, argument.trim())
            };
            match act {
                Ok(text) => answers.extend(text),
                Err(error) => self.raise(error),
            }
        }
        let mut text = if echo { format!("{line}\r\n") } else { String::new() };
        if !answers.is_empty() {
            text += &format!("{}\r\n", answers.join(","));
        }
        if self.echo {
            text.push('>');
        }
        if !text.is_empty() {
            self.replies.push(now_s + COMMAND_S, text.into_bytes());
        }
    }

    fn act(&mut self, now_s: f64, header: &str, query: bool, argument: &str) -> Act {
        let is = |pattern| scpi::is(header, pattern);
        if is("*IDN") && query {
            return Ok(Some(format!("NEWPORT {} v1.2.3 08/04/15 SN24777", self.model)));
        }
        if is("*RST") && !query {
            self.channels.iter_mut().for_each(Channel::reset);
            self.selected = 0;
            return Ok(None);
        }
        if is("ERRors") && query {
            return Ok(Some(self.errors.pop_front().map_or(0, |(code, _)| code).to_string()));
        }
        if is("ERRSTR") && query {
            let (code, words) = self.errors.pop_front().unwrap_or((0, "No Error"));
            return Ok(Some(format!("{code},{words}")));
        }
        if is("ECHO") {
            if query {
                return Ok(Some(u8::from(self.echo).to_string()));
            }
            self.echo = scpi::switch(argument).ok_or(OUT_OF_RANGE)?;
            return Ok(None);
        }
        if is("PM:CHANnel") {
            if query {
                return Ok(Some((self.selected + 1).to_string()));
            }
            let number = argument.parse::<usize>().map_err(|_| SYNTAX)?;
            if !(1..=self.channels.len()).contains(&number) {
                return Err(OUT_OF_RANGE);
            }
            self.selected = number - 1;
            return Ok(None);
        }
        if is("PM:PWS") && query {
            let told: Vec<String> = self.channels.iter_mut().map(|c| c.with_status(now_s)).collect();
            return Ok(Some(told.join(" ")));
        }
        self.channels[self.selected].act(now_s, header, query, argument)
    }
}

impl Device for Newport1936 {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                // LF alone ends no line on all firmware.
                b'\r' => self.line_ended(now_s),
                b'\n' => {}
                _ => self.lines.push(*byte),
            }
        }
    }

    fn due(&self) -> Option<f64> {
        self.replies.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.replies.take(now_s)
    }

    fn restart(&mut self, _now_s: f64) {
        self.channels.iter_mut().for_each(Channel::reset);
        (self.selected, self.echo) = (0, true);
        self.errors.clear();
        self.lines.clear();
        self.replies.clear();
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
    }
}
