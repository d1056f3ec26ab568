//! A chain of controllers after the bytes seen from hvl_ccb, with faults to switch on. For tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use units::clock::Clock;

use crate::fake::ms;

#[derive(Clone)]
pub(super) struct Axis {
    /// Last two characters of `TS`.
    pub(super) state: &'static str,
    pub(super) faults: &'static str,
    pub(super) error: char,
    pub(super) position: f64,
    /// Set point before the move, and the move's target.
    pub(super) left: f64,
    pub(super) target: f64,
    /// When a move begins and ends, and the state after it.
    pub(super) begins: Duration,
    pub(super) ends: Duration,
    pub(super) then: &'static str,
    pub(super) velocity: f64,
    pub(super) limits: (f64, f64),
    /// It hears nothing before this time.
    pub(super) deaf_until: Duration,
    /// Where its moves end instead of at their targets.
    pub(super) stuck: bool,
}

pub(super) struct Device {
    pub(super) version: &'static str,
    pub(super) axes: BTreeMap<u8, Axis>,
    pub(super) move_time: Duration,
    pub(super) home_ends: &'static str,
    /// Lines with these beginnings are carried out, but their answer is lost; once each.
    pub(super) lose: Vec<&'static str>,
    /// Lines with these beginnings never arrive; once each.
    pub(super) ignore: Vec<&'static str>,
    pub(super) heard: Vec<String>,
    pub(super) clock: Clock,
}

pub(super) type Shared = Rc<RefCell<Device>>;

impl Device {
    pub(super) fn new(clock: &Clock) -> Device {
        let axis = Axis {
            state: "33",
            faults: "0000",
            error: '@',
            position: 0.0,
            left: 0.0,
            target: 0.0,
            begins: Duration::ZERO,
            ends: Duration::ZERO,
            then: "33",
            velocity: 4.0,
            limits: (-12.5, 12.5),
            deaf_until: Duration::ZERO,
            stuck: false,
        };
        Device {
            version: "SMC_CC_2.0.1",
            axes: [1, 2, 3].into_iter().map(|n| (n, axis.clone())).collect(),
            move_time: ms(200),
            home_ends: "32",
            lose: Vec::new(),
            ignore: Vec::new(),
            heard: Vec::new(),
            clock: clock.clone(),
        }
    }

    pub(super) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        let once = |list: &mut Vec<&'static str>| {
            list.iter().position(|l| text.starts_with(l)).map(|at| list.remove(at)).is_some()
        };
        if once(&mut self.ignore) {
            return Vec::new();
        }
        self.heard.push(text.clone());
        let reply = self.act(&text);
        if once(&mut self.lose) {
            return Vec::new();
        }
        reply.map(|r| format!("{r}\r\n").into_bytes()).unwrap_or_default()
    }

    fn act(&mut self, text: &str) -> Option<String> {
        if text == "ST" {
            self.axes.values_mut().for_each(Axis::stop);
            return None;
        }
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let address: u8 = text[..digits].parse().ok()?;
        let (version, now, time, home) = (self.version, self.clock.now(), self.move_time, self.home_ends);
        let axis = self.axes.get_mut(&address)?;
        if now < axis.deaf_until {
            return None;
        }
        axis.tick(now);
        let (mnemonic, argument) = text[digits..].split_at(2.min(text.len() - digits));
        let number = argument.parse::<f64>().unwrap_or(f64::NAN);
        let say = |value: String| Some(format!("{address}{mnemonic}{value}"));
        match (mnemonic, argument) {
            ("VE", _) => return say(format!(" {version}")),
            ("ID", "?") => return say("TRA25CC_SN:B123456".into()),
            ("TS", _) => return say(format!("{}{}", axis.faults, axis.state)),
            ("TE", _) => return say(std::mem::replace(&mut axis.error, '@').to_string()),
            ("TP", _) => return say(format!("{:.6}", axis.position)),
            ("TH", _) => return say(format!("{:.6}", if axis.state == "28" { axis.position } else { axis.left })),
            ("PA", "?") => return say(axis.target.to_string()),
            ("VA", "?") => return say(axis.velocity.to_string()),
            ("SL", "?") => return say(axis.limits.0.to_string()),
            ("SR", "?") => return say(axis.limits.1.to_string()),
            ("OR", "") if axis.state.starts_with('0') => axis.go(now, ms(0), ms(700), 0.0, "1E", home),
            ("OR", "") => axis.error = 'K',
            ("RS", "") => {
                (axis.state, axis.faults, axis.position) = ("0A", "0000", 0.0);
                (axis.limits, axis.velocity) = ((-12.5, 12.5), 4.0);
                axis.deaf_until = now + ms(2200);
            }
            ("MM", "1") => axis.state = "34",
            ("PA" | "VA" | "SL" | "SR", _) if axis.state.starts_with('0') => axis.error = 'H',
            ("PA", _) if axis.state == "28" => axis.error = 'M',
            ("PA", _) if !(axis.limits.0..=axis.limits.1).contains(&number) => axis.error = 'G',
            ("PA", _) => axis.go(now, ms(8), time, number, axis.state, "33"),
            ("VA", _) if number > 10.0 => axis.error = 'C',
            ("VA", _) => axis.velocity = number,
            ("SL", _) => axis.limits.0 = number,
            ("SR", _) => axis.limits.1 = number,
            _ => axis.error = 'A',
        }
        None
    }
}

impl Axis {
    fn go(&mut self, now: Duration, idle: Duration, takes: Duration, to: f64, state: &'static str, then: &'static str) {
        (self.state, self.then, self.target) = (state, then, to);
        (self.begins, self.ends) = (now + idle, now + idle + takes);
    }

    fn tick(&mut self, now: Duration) {
        if self.ends == Duration::ZERO {
            return;
        }
        if now >= self.begins && self.state.starts_with('3') {
            self.state = "28";
        }
        if now < self.ends {
            return;
        }
        self.ends = Duration::ZERO;
        self.state = self.then;
        self.left = self.target;
        if !self.stuck {
            self.position = self.target;
        }
        if self.state == "0B" {
            self.faults = "0040";
        }
        if self.state == "3D" {
            self.faults = "0020";
        }
    }

    fn stop(&mut self) {
        if self.state == "28" || self.ends != Duration::ZERO {
            self.ends = Duration::ZERO;
            self.state = if self.state == "1E" { "0B" } else { "33" };
            self.position = (self.left + self.target) / 2.0;
            self.left = self.position;
            self.target = self.position;
        }
    }
}
