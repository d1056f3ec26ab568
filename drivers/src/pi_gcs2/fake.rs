//! A controller after the bytes seen from PIPython, with faults to switch on. For tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;

use crate::fake::ms;

pub(super) const IDN: &str = "(c)2017 Physik Instrumente (PI) GmbH & Co. KG, C-884, 0123456789, 1.234";

#[derive(Clone)]
pub(super) struct Axis {
    pub(super) position: f64,
    pub(super) target: f64,
    /// When the move ends, and when it has settled.
    pub(super) ends: Duration,
    pub(super) settled: Duration,
    pub(super) servo: bool,
    pub(super) referenced: bool,
    pub(super) velocity: f64,
    pub(super) limits: (f64, f64),
    pub(super) limits_on: bool,
    /// Where a move that was stopped came to stand.
    pub(super) can_move: bool,
}

pub(super) struct Device {
    pub(super) idn: &'static str,
    pub(super) csv: Option<&'static str>,
    pub(super) unit: &'static str,
    pub(super) axes: BTreeMap<String, Axis>,
    pub(super) error: i64,
    pub(super) busy_until: Duration,
    pub(super) reference_time: Duration,
    pub(super) reference_error: i64,
    pub(super) move_time: Duration,
    /// Requests with these beginnings are carried out, but their next answer is lost.
    pub(super) lose: Vec<&'static str>,
    /// Requests with these beginnings never arrive, once each.
    pub(super) ignore: Vec<&'static str>,
    /// Old firmware: with an error pending only `ERR?` is answered.
    pub(super) mute_on_error: bool,
    pub(super) velocity_max: f64,
    pub(super) heard: Vec<String>,
    pub(super) clock: Clock,
}

pub(super) type Shared = Rc<RefCell<Device>>;

impl Device {
    pub(super) fn new(clock: &Clock) -> Device {
        let axis = Axis {
            position: 0.0,
            target: 0.0,
            ends: Duration::ZERO,
            settled: Duration::ZERO,
            servo: false,
            referenced: true,
            velocity: 1.0,
            limits: (-25.0, 25.0),
            limits_on: false,
            can_move: true,
        };
        Device {
            idn: IDN,
            csv: Some("2.0"),
            unit: "MM",
            axes: ["1", "2", "3"].iter().map(|n| ((*n).to_string(), axis.clone())).collect(),
            error: 0,
            busy_until: Duration::ZERO,
            reference_time: ms(700),
            reference_error: 0,
            move_time: ms(40),
            lose: Vec::new(),
            ignore: Vec::new(),
            mute_on_error: false,
            velocity_max: 20.0,
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    pub(super) fn fail(&mut self, code: i64) {
        if self.error == 0 {
            self.error = code;
        }
    }

    pub(super) fn pairs(words: &[&str]) -> Vec<(String, f64)> {
        words.chunks(2).map(|p| (p[0].to_string(), p[1].parse().unwrap())).collect()
    }

    /// `axis=value` lines, all but the last with a blank before their LF.
    pub(super) fn lines(&self, words: &[&str], value: impl Fn(&Axis) -> String) -> String {
        let lines: Vec<String> = words.iter().map(|w| format!("{w}={}", value(&self.axes[*w]))).collect();
        format!("{}\n", lines.join(" \n"))
    }

    pub(super) fn go(&mut self, pairs: &[(String, f64)], relative: bool) {
        if pairs.iter().any(|(a, _)| !self.axes[a].referenced || !self.axes[a].servo) {
            return self.fail(5);
        }
        let to = |axis: &Axis, v: f64| if relative { axis.target + v } else { v };
        if pairs.iter().any(|(a, v)| to(&self.axes[a], *v).abs() > 25.0) {
            return self.fail(7);
        }
        let now = self.clock.now();
        for (name, v) in pairs {
            let time = self.move_time;
            let axis = self.axes.get_mut(name).unwrap();
            axis.target = to(axis, *v);
            axis.ends = now + time;
            axis.settled = axis.ends + ms(7);
        }
    }

    pub(super) fn stop(&mut self) {
        let now = self.clock.now();
        for axis in self.axes.values_mut().filter(|a| a.ends > now) {
            axis.position = f64::midpoint(axis.position, axis.target);
            axis.target = axis.position;
            axis.ends = now + ms(3);
            axis.settled = axis.ends;
        }
        self.fail(10);
    }

    pub(super) fn restart(&mut self) {
        for axis in self.axes.values_mut() {
            (axis.servo, axis.referenced, axis.position, axis.target) = (false, false, 0.0, 0.0);
            (axis.ends, axis.settled) = (Duration::ZERO, Duration::ZERO);
        }
        self.error = 0;
    }

    pub(super) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text: String = request.iter().map(|b| char::from(*b)).collect();
        self.heard.push(text.trim_end().to_string());
        let begins = |list: &mut Vec<&'static str>| {
            let found = list.iter().position(|l| text.starts_with(l));
            found.map(|at| list.remove(at)).is_some()
        };
        if begins(&mut self.ignore) || (self.mute_on_error && self.error != 0 && text != "ERR?\n") {
            return Vec::new();
        }
        let answer = self.act(&text);
        if begins(&mut self.lose) { Vec::new() } else { answer }
    }

    pub(super) fn act(&mut self, text: &str) -> Vec<u8> {
        let now = self.clock.now();
        for axis in self.axes.values_mut().filter(|a| a.ends <= now && a.can_move) {
            axis.position = axis.target;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let rest = words.get(1..).unwrap_or(&[]);
        let flag = |yes: bool| String::from(if yes { "1" } else { "0" });
        let number = |v: f64| format!("{v:.6}");
        if !matches!(text, "\x05" | "\x07" | "\x18")
            && rest.iter().any(|w| text.contains('?') && !self.axes.contains_key(*w))
        {
            self.fail(15);
            return Vec::new();
        }
        let reply = match words.first().copied().unwrap_or(text) {
            "\x05" => {
                let moving = |(i, a): (usize, &Axis)| u64::from(a.ends > now) << i;
                format!("{:X}\n", self.axes.values().enumerate().map(moving).sum::<u64>())
            }
            "\x07" => return if self.busy_until > now { b"\xb0\n".to_vec() } else { b"\xb1\n".to_vec() },
            "\x18" => {
                self.stop();
                String::new()
            }
            "*IDN?" => format!("{}\n", self.idn),
            "CSV?" => match self.csv {
                Some(version) => format!("{version}\n"),
                None => {
                    self.fail(2);
                    String::new()
                }
            },
            "ERR?" => format!("{}\n", std::mem::take(&mut self.error)),
            "HLP?" => {
                "The following commands are valid: \nMOV {<AxisID> <Position>} \nNLM {<AxisID> <LowLimit>} \nPLM x \n\
                       PUN? x \nRON x \nSSL x \nend of help\n"
                    .to_string()
            }
            "SAI?" => format!("{}\n", self.axes.keys().cloned().collect::<Vec<_>>().join(" \n")),
            "PUN?" => self.lines(rest, |_| self.unit.to_string()),
            "TMN?" => self.lines(rest, |a| number(if a.limits_on { a.limits.0 } else { -25.0 })),
            "TMX?" => self.lines(rest, |a| number(if a.limits_on { a.limits.1 } else { 25.0 })),
            "SVO?" => self.lines(rest, |a| flag(a.servo)),
            "RON?" => self.lines(rest, |_| flag(true)),
            "FRF?" => self.lines(rest, |a| flag(a.referenced)),
            "ONT?" => self.lines(rest, |a| flag(a.servo && a.can_move && a.settled <= now)),
            "MOV?" => self.lines(rest, |a| number(a.target)),
            "POS?" => self.lines(rest, |a| number(a.position)),
            "VEL?" => self.lines(rest, |a| number(a.velocity)),
            "NLM?" => self.lines(rest, |a| number(a.limits.0)),
            "PLM?" => self.lines(rest, |a| number(a.limits.1)),
            "SSL?" => self.lines(rest, |a| flag(a.limits_on)),
            "FRF" => {
                self.busy_until = now + self.reference_time;
                let error = self.reference_error;
                self.fail(error);
                self.axes.get_mut(rest[0]).unwrap().referenced = error == 0;
                String::new()
            }
            "MOV" => {
                self.go(&Device::pairs(rest), false);
                String::new()
            }
            "MVR" => {
                self.go(&Device::pairs(rest), true);
                String::new()
            }
            setting @ ("SVO" | "VEL" | "NLM" | "PLM" | "SSL" | "RON") => {
                for (name, v) in Device::pairs(rest) {
                    let velocity_max = self.velocity_max;
                    let axis = self.axes.get_mut(&name).unwrap();
                    match setting {
                        "SVO" => axis.servo = v == 1.0,
                        "VEL" => axis.velocity = v.min(velocity_max),
                        "NLM" => axis.limits.0 = v,
                        "PLM" => axis.limits.1 = v,
                        "SSL" => axis.limits_on = v == 1.0,
                        _ => {}
                    }
                }
                String::new()
            }
            _ => {
                self.fail(2);
                String::new()
            }
        };
        reply.into_bytes()
    }
}

/// Single bytes are requests of their own; all others end with LF.
pub(super) fn cut(input: &[u8]) -> Option<usize> {
    match input.first()? {
        0x03..=0x08 | 0x18 => Some(1),
        _ => input.iter().position(|b| *b == b'\n').map(|at| at + 1),
    }
}
