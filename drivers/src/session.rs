//! A conversation with an instrument that has texts, identities and an error queue after SCPI's manner: ask, set and read
//! back, and let the queue say why. Knows no instrument class; each driver turns a [`Fault`] into its own class' error.

use std::time::Duration;

use crate::exchange::{Line, LineError, Protocol, Query, Repeat};
use crate::identity::{Expected, Identity};
use crate::meter::MeterError;
use crate::scpi;
use crate::source::SourceError;
use crate::switch::SwitchError;

/// How an instrument wants to be spoken to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) protocol: Protocol,
    /// Ends a request.
    pub(crate) end: &'static str,
    /// Settings and their queries are answered within this.
    pub(crate) limit: Duration,
    /// The error queue holds no more than this; one that never empties is no queue.
    pub(crate) errors_max: usize,
}

/// What went wrong, before it is told as an error of the instrument's class.
#[derive(Debug)]
pub(crate) enum Fault {
    Line(LineError),
    WrongDevice { instrument: String, port: String, expected: String, found: String },
    Refused { instrument: String, command: String, code: i64, meaning: String },
    ReadBack { instrument: String, what: &'static str, set: String, read: String },
}

impl From<LineError> for Fault {
    fn from(error: LineError) -> Fault {
        Fault::Line(error)
    }
}

macro_rules! told_as {
    ($error:ident) => {
        impl From<Fault> for $error {
            fn from(fault: Fault) -> $error {
                match fault {
                    Fault::Line(error) => $error::Line(error),
                    Fault::WrongDevice { instrument, port, expected, found } => {
                        $error::WrongDevice { instrument, port, expected, found }
                    }
                    Fault::Refused { instrument, command, code, meaning } => {
                        $error::Refused { instrument, command, code, meaning }
                    }
                    Fault::ReadBack { instrument, what, set, read } => $error::ReadBack { instrument, what, set, read },
                }
            }
        }
    };
}

told_as!(MeterError);
told_as!(SourceError);
told_as!(SwitchError);

/// A setting that is a number, and what it must read back as.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) what: &'static str,
    /// Header of the command and, with a question mark, of the query.
    pub(crate) header: String,
    pub(crate) argument: String,
    pub(crate) want: f64,
    pub(crate) tolerance: f64,
}

impl Item {
    /// A whole number or a switch: reads back exactly.
    pub(crate) fn whole(what: &'static str, header: String, value: u32) -> Item {
        Item { what, header, argument: value.to_string(), want: f64::from(value), tolerance: 0.0 }
    }

    fn agrees(&self, read: f64) -> bool {
        (read - self.want).abs() <= self.tolerance
    }
}

/// An instrument on a line, spoken to in a manner.
pub(crate) struct Session {
    pub(crate) line: Line,
    manner: Manner,
    identity: Identity,
}

impl Session {
    pub(crate) fn new(mut line: Line, manner: Manner) -> Session {
        line.speak(manner.protocol);
        Session { line, manner, identity: Identity::default() }
    }

    pub(crate) fn instrument(&self) -> String {
        self.line.instrument().to_string()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    fn refused(&self, command: &str, (code, meaning): (i64, String)) -> Fault {
        Fault::Refused { instrument: self.instrument(), command: command.to_string(), code, meaning }
    }

    pub(crate) fn read_back(&self, what: &'static str, set: String, read: String) -> Fault {
        Fault::ReadBack { instrument: self.instrument(), what, set, read }
    }

    /// Asks who is there; anybody but a device that is one of `kind` (`is` knows it) and the one expected is refused.
    pub(crate) async fn identify(
        &mut self,
        kind: &str,
        is: impl Fn(&Identity) -> bool,
        expected: &Expected,
    ) -> Result<(), Fault> {
        let wrong = |session: &Session, found: String| Fault::WrongDevice {
            instrument: session.instrument(),
            port: session.line.port().to_string(),
            expected: expected.describe(kind),
            found,
        };
        let found = match self.line.identify().await {
            Ok(answer) => Identity::parse(&answer).unwrap_or_default(),
            Err(LineError::NotRecovered { heard, .. }) if scpi::is_talk(&heard) => {
                return Err(wrong(self, format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
        if !is(&found) || !expected.admits(&found) {
            return Err(wrong(self, format!("{} {found}", found.maker)));
        }
        self.identity = found;
        Ok(())
    }

    /// Sends a command.
    pub(crate) async fn send(&mut self, command: &str) -> Result<(), Fault> {
        Ok(self.line.send(format!("{command}{}", self.manner.end).as_bytes()).await?)
    }

    /// Asks, within a longer time than usual where `limit` says so; a query that is not answered may have been refused,
    /// and then the error queue says why.
    pub(crate) async fn ask_within<T>(
        &mut self,
        (limit, repeat): (Duration, Repeat),
        request: &str,
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, Fault> {
        let bytes = format!("{request}{}", self.manner.end);
        let query = Query { request: bytes.as_bytes(), limit, repeat, expected };
        let failure = match self.line.query(&query, parse).await {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if failure.is_no_answer()
            && let Ok(mut errors) = self.drain().await
            && !errors.is_empty()
        {
            return Err(self.refused(request, errors.swap_remove(0)));
        }
        Err(failure.into())
    }

    /// Asks what changes nothing.
    pub(crate) async fn ask<T>(
        &mut self,
        request: &str,
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, Fault> {
        self.ask_within((self.manner.limit, Repeat::Harmless), request, expected, parse).await
    }

    /// The error queue until it is empty.
    pub(crate) async fn drain(&mut self) -> Result<Vec<(i64, String)>, LineError> {
        let request = format!("SYST:ERR?{}", self.manner.end);
        let query = Query {
            request: request.as_bytes(),
            limit: self.manner.limit,
            repeat: Repeat::Never,
            expected: "a code and a text",
        };
        let mut errors = Vec::new();
        while errors.len() < self.manner.errors_max {
            let entry = self.line.query(&query, scpi::queue_entry).await?;
            if entry.code == 0 {
                break;
            }
            errors.push((entry.code, entry.text));
        }
        Ok(errors)
    }

    /// The queue must be empty; its first entry is told as the refusal of `command`.
    pub(crate) async fn nothing_refused(&mut self, command: &str) -> Result<(), Fault> {
        match self.drain().await?.into_iter().next() {
            Some(first) => Err(self.refused(command, first)),
            None => Ok(()),
        }
    }

    /// Why a setting did not take: the error queue's word, or that it reads back otherwise.
    pub(crate) async fn why(&mut self, what: &'static str, command: &str, set: String, read: String) -> Fault {
        match self.drain().await {
            Err(e) => e.into(),
            Ok(errors) => match errors.into_iter().next() {
                Some(first) => self.refused(command, first),
                None => self.read_back(what, set, read),
            },
        }
    }

    /// Sets an item and reads it back.
    pub(crate) async fn set(&mut self, item: &Item) -> Result<(), Fault> {
        let command = format!("{} {}", item.header, item.argument);
        self.send(&command).await?;
        let read = self.ask(&format!("{}?", item.header), item.what, scpi::finite).await?;
        if item.agrees(read) {
            return Ok(());
        }
        Err(self.why(item.what, &command, item.argument.clone(), read.to_string()).await)
    }

    /// Reads an item back that was set earlier.
    pub(crate) async fn check(&mut self, item: &Item) -> Result<(), Fault> {
        let read = self.ask(&format!("{}?", item.header), item.what, scpi::finite).await?;
        if item.agrees(read) {
            return Ok(());
        }
        Err(self.read_back(item.what, item.argument.clone(), read.to_string()))
    }
}
