//! One controller: its state, its motion, its commands.

use super::parameters::Settings;
use crate::mechanics::Side;
use crate::world::{Order, World};

/// Between a command to move and the motion, seconds: the profile is computed first.
const START_S: f64 = 0.008;
/// A home search goes on beyond its way this long: the switch is approached twice, the second time slowly.
const HOME_S: f64 = 0.4;
/// A reset takes this long, seconds; meanwhile nothing is heard. QMI goes on after half a second.
const RESET_S: f64 = 0.4;
/// What was sent with a reset is still answered.
const RESET_BEGINS_S: f64 = 0.02;
/// Writing the settings to memory takes this long, seconds.
const STORE_S: f64 = 2.0;
/// A position this far from where it should be is a following error, mm, where `FE` does not set it.
const FOLLOWING_MM: f64 = 1.0;
/// Digital outputs.
const OUTPUTS: u8 = 4;

/// Error bits of `TS`.
const NEGATIVE_END: u16 = 0x0001;
const POSITIVE_END: u16 = 0x0002;
const FOLLOWING: u16 = 0x0020;
const HOMING_TIMEOUT: u16 = 0x0040;

/// Error letters and the controller's words for them.
const LETTERS: &[(char, &str)] = &[
    ('@', "No error"),
    ('A', "Unknown message code or floating point controller address"),
    ('B', "Controller address not correct"),
    ('C', "Parameter missing or out of range"),
    ('D', "Command not allowed"),
    ('E', "Home sequence already started"),
    ('F', "ESP stage name unknown"),
    ('G', "Displacement out of limits"),
    ('H', "Command not allowed in NOT REFERENCED state"),
    ('I', "Command not allowed in CONFIGURATION state"),
    ('J', "Command not allowed in DISABLE state"),
    ('K', "Command not allowed in READY state"),
    ('L', "Command not allowed in HOMING state"),
    ('M', "Command not allowed in MOVING state"),
    ('N', "Current position out of software limit"),
    ('S', "Communication Time Out"),
    ('U', "Error during EEPROM access"),
    ('V', "Error during command execution"),
    ('W', "Command not allowed for PP version"),
    ('X', "Command not allowed for CC version"),
];

/// States; the number is what `TS` says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    NotReferenced(u8),
    Configuration,
    Homing,
    Moving,
    Ready(u8),
    Disabled(u8),
}

impl State {
    const FROM_RESET: State = State::NotReferenced(0x0A);

    fn code(self) -> u8 {
        match self {
            State::NotReferenced(code) | State::Ready(code) | State::Disabled(code) => code,
            State::Configuration => 0x14,
            State::Homing => 0x1E,
            State::Moving => 0x28,
        }
    }

    /// The error letter of a command that is not allowed in this state.
    fn refusal(self) -> char {
        match self {
            State::NotReferenced(_) => 'H',
            State::Configuration => 'I',
            State::Disabled(_) => 'J',
            State::Ready(_) => 'K',
            State::Homing => 'L',
            State::Moving => 'M',
        }
    }
}

/// What a command comes to.
pub(super) enum Act {
    Done,
    /// Lines of an answer, without address.
    Say(Vec<String>),
    /// The controller is away until a time.
    Reset {
        up_s: f64,
        /// Whether a stray byte comes then.
        stray: bool,
    },
}

pub(super) struct Controller {
    pub(super) address: u32,
    /// It answers nothing before this time.
    pub(super) busy_until_s: f64,
    axis: String,
    firmware: &'static str,
    stage: String,
    settings: Settings,
    state: State,
    error: char,
    faults: u16,
    /// It hears nothing between these times.
    deaf_s: (f64, f64),
    /// When the move that was commanded begins.
    starts_s: Option<f64>,
    /// When the home search ends.
    homed_s: f64,
    /// Position of the stage that is called 0, um.
    origin_um: f64,
    /// Set point, mm.
    target_mm: f64,
    /// The set point before the last move.
    left_mm: f64,
    prepared_mm: Option<f64>,
    /// Digital outputs, a bit each.
    outputs: u8,
}

impl Controller {
    pub(super) fn new(world: &World, model: &str, axis: String, address: u32) -> Controller {
        let now = world.now_s();
        let found = world.axis(&axis, now, |a| a.model().clone());
        let (travel, velocity) = found.map_or(((-12.5, 12.5), 4.0), |m| {
            let mm = |um: f64| (um - m.reference_um) / 1000.0;
            ((mm(m.travel_um.0), mm(m.travel_um.1)), m.velocity_max_um_s / 1000.0)
        });
        let (firmware, stage) = match model {
            "SMC100PP" => ("SMC_PP_1.0.8", "MFA-PP"),
            "CONEX-CC" => ("CONEX-CC 2.0.0", "TRA25CC"),
            _ => ("SMC_CC_2.0.1", "TRA25CC"),
        };
        let mut new = Controller {
            address,
            axis,
            firmware,
            stage: format!("{stage}_SN:B{address:06}"),
            settings: Settings::new(model == "SMC100PP", travel, velocity),
            state: State::FROM_RESET,
            error: '@',
            faults: 0,
            busy_until_s: 0.0,
            deaf_s: (0.0, 0.0),
            starts_s: None,
            homed_s: 0.0,
            origin_um: 0.0,
            target_mm: 0.0,
            left_mm: 0.0,
            prepared_mm: None,
            outputs: 0,
        };
        new.power_on(world, now);
        new
    }

    /// The state after power-on: where the stage is counts as 0 until home was found.
    pub(super) fn power_on(&mut self, world: &World, now_s: f64) {
        world.axis(&self.axis, now_s, |a| a.stop(now_s));
        self.settings.restore();
        self.state = State::FROM_RESET;
        (self.error, self.faults) = ('@', 0);
        (self.starts_s, self.prepared_mm, self.outputs) = (None, None, 0);
        self.origin_um = world.axis(&self.axis, now_s, |a| a.target()).unwrap_or(0.0);
        self.target_mm = 0.0;
        self.busy_until_s = now_s;
    }

    pub(super) fn raise(&mut self, letter: char) {
        self.error = letter;
    }

    pub(super) fn is_deaf(&self, now_s: f64) -> bool {
        (self.deaf_s.0..self.deaf_s.1).contains(&now_s)
    }

    fn position_mm(&self, world: &World, now_s: f64) -> f64 {
        let um = world.axis(&self.axis, now_s, |a| a.encoder(now_s)).unwrap_or(self.origin_um);
        // Adding 0 makes 0 of -0.
        (um - self.origin_um) / 1000.0 + 0.0
    }

    /// Begins and ends what is to begin and end by now.
    fn tick(&mut self, world: &World, now_s: f64) {
        if self.starts_s.is_some_and(|at| now_s >= at) {
            self.starts_s = None;
            self.state = State::Moving;
        }
        match self.state {
            State::Homing if now_s >= self.homed_s => self.end_homing(world, now_s),
            State::Moving if world.axis(&self.axis, now_s, |a| a.settled(now_s)).unwrap_or(true) => {
                self.end_move(world, now_s);
            }
            _ => {}
        }
    }

    fn end_move(&mut self, world: &World, now_s: f64) {
        let end = world.axis(&self.axis, now_s, |a| a.limit(now_s)).flatten();
        let off_mm = (self.position_mm(world, now_s) - self.target_mm).abs();
        self.faults |= match end {
            Some(Side::Upper) => POSITIVE_END,
            Some(Side::Lower) => NEGATIVE_END,
            None if off_mm > self.settings.of("FE").unwrap_or(FOLLOWING_MM) => FOLLOWING,
            None => 0,
        };
        self.state = if self.faults == 0 { State::Ready(0x33) } else { State::Disabled(0x3D) };
    }

    fn end_homing(&mut self, world: &World, now_s: f64) {
        if self.faults & HOMING_TIMEOUT != 0 {
            world.axis(&self.axis, now_s, |a| a.stop(now_s));
            self.state = State::NotReferenced(0x0B);
            return;
        }
        // Home is where the stage went; one that is stuck does not notice.
        self.origin_um = world.axis(&self.axis, now_s, |a| a.target()).unwrap_or(0.0);
        self.target_mm = 0.0;
        self.state = State::Ready(0x32);
    }

    fn home(&mut self, world: &World, now_s: f64) -> Result<Act, char> {
        match self.state {
            State::NotReferenced(_) => {}
            State::Homing => return Err('E'),
            other => return Err(other.refusal()),
        }
        let velocity = self.settings.get("OH") * 1000.0;
        let kind = self.settings.get("HT");
        let way_s = world.axis(&self.axis, now_s, |a| {
            if kind == 1.0 {
                return 0.0;
            }
            let to = if kind >= 3.0 { a.model().travel_um.0 } else { a.model().reference_um };
            a.start(now_s, to, velocity);
            -a.rested_s(now_s)
        });
        let takes = way_s.unwrap_or(0.0).max(0.0) + if kind == 1.0 { 0.0 } else { HOME_S };
        let most = self.settings.get("OT");
        self.faults = if takes > most { HOMING_TIMEOUT } else { 0 };
        self.homed_s = now_s + takes.min(most);
        self.state = State::Homing;
        Ok(Act::Done)
    }

    /// Moves to a position, mm.
    fn go(&mut self, world: &World, now_s: f64, target_mm: f64) -> Result<Act, char> {
        let State::Ready(_) = self.state else { return Err(self.state.refusal()) };
        if !(self.settings.get("SL")..=self.settings.get("SR")).contains(&target_mm) {
            return Err('G');
        }
        let target_um = target_mm * 1000.0 + self.origin_um;
        world.ordered(now_s, Order::Move { axis: self.axis.clone(), target_um });
        let velocity = self.settings.get("VA") * 1000.0;
        world.axis(&self.axis, now_s, |a| a.start(now_s + START_S, target_um, velocity));
        self.starts_s = Some(now_s + START_S);
        self.left_mm = std::mem::replace(&mut self.target_mm, target_mm);
        Ok(Act::Done)
    }

    fn stop(&mut self, world: &World, now_s: f64) -> Result<Act, char> {
        match self.state {
            State::Homing => self.state = State::NotReferenced(0x0B),
            State::Ready(_) | State::Moving => {}
            other => return Err(other.refusal()),
        }
        self.halt(world, now_s);
        Ok(Act::Done)
    }

    fn halt(&mut self, world: &World, now_s: f64) {
        let to = world.axis(&self.axis, now_s, |a| {
            a.stop(now_s);
            a.target()
        });
        self.starts_s = None;
        self.target_mm = to.map_or(self.target_mm, |um| (um - self.origin_um) / 1000.0);
    }

    fn power(&mut self, world: &World, now_s: f64, argument: &str) -> Result<Act, char> {
        match (argument, self.state) {
            ("0", State::Ready(_)) if self.starts_s.is_none() => self.state = State::Disabled(0x3C),
            ("0", State::Ready(_) | State::Moving) => {
                self.halt(world, now_s);
                self.state = State::Disabled(0x3D);
            }
            ("1", State::Disabled(_)) => {
                self.faults = 0;
                self.target_mm = self.position_mm(world, now_s);
                self.state = State::Ready(0x34);
            }
            ("0", State::Disabled(_)) | ("1", State::Ready(_) | State::Moving) => {}
            ("0" | "1", other) => return Err(other.refusal()),
            _ => return Err('C'),
        }
        Ok(Act::Done)
    }

    fn configuration(&mut self, now_s: f64, argument: &str) -> Result<Act, char> {
        match (argument, self.state) {
            ("1", State::NotReferenced(_)) => self.state = State::Configuration,
            ("0", State::Configuration) => {
                self.state = State::NotReferenced(0x0C);
                self.busy_until_s = now_s + STORE_S;
            }
            ("0" | "1", other) => return Err(other.refusal()),
            _ => return Err('C'),
        }
        Ok(Act::Done)
    }

    fn reset(&mut self, world: &World, now_s: f64) -> Act {
        self.power_on(world, now_s);
        let up_s = now_s + RESET_S;
        self.deaf_s = (now_s + RESET_BEGINS_S, up_s);
        Act::Reset { up_s, stray: self.settings.is_stepper() }
    }

    /// Carries out a command; an error letter where it is refused.
    pub(super) fn act(&mut self, world: &World, now_s: f64, mnemonic: &str, argument: &str) -> Result<Act, char> {
        self.tick(world, now_s);
        if Settings::is_known(mnemonic) {
            return self.setting(world, now_s, mnemonic, argument);
        }
        let bare = argument.is_empty() || argument == "?";
        let say = |text: String| Ok(Act::Say(vec![text]));
        match mnemonic {
            "TS" if bare => say(format!("TS{:04X}{:02X}", self.faults, self.state.code())),
            "TE" if bare => say(format!("TE{}", std::mem::replace(&mut self.error, '@'))),
            "TP" if bare => say(format!("TP{:.6}", self.position_mm(world, now_s))),
            "TH" if bare => {
                let travelling = matches!(self.state, State::Moving | State::Homing);
                let mm = if travelling { self.position_mm(world, now_s) } else { self.set_point_mm() };
                say(format!("TH{mm:.6}"))
            }
            "TB" => self.words(argument),
            "VE" if bare => say(format!("VE {}", self.firmware)),
            "ZT" if bare => Ok(Act::Say(self.settings.listing(&self.stage))),
            "ID" => self.name(argument),
            "OR" if argument.is_empty() => self.home(world, now_s),
            "ST" if argument.is_empty() => self.stop(world, now_s),
            "RS" if argument.is_empty() => Ok(self.reset(world, now_s)),
            "MM" if argument == "?" => {
                say(format!("MM{}", u8::from(matches!(self.state, State::Ready(_) | State::Moving | State::Homing))))
            }
            "MM" => self.power(world, now_s, argument),
            "PW" if argument == "?" => say(format!("PW{}", u8::from(self.state == State::Configuration))),
            // Nothing is wired to the inputs.
            "RA" if bare => say("RA0".into()),
            "RB" if bare => say("RB0".into()),
            "SB" if argument == "?" => say(format!("SB{}", self.outputs)),
            "SB" => {
                self.outputs = argument.parse().ok().filter(|bits| *bits < 1 << OUTPUTS).ok_or('C')?;
                Ok(Act::Done)
            }
            "PW" => self.configuration(now_s, argument),
            "PA" if argument == "?" => say(format!("PA{}", rounded(self.target_mm))),
            "PA" => self.go(world, now_s, number(argument)?),
            "PR" => self.go(world, now_s, self.target_mm + number(argument)?),
            "PT" => say(format!("PT{:.3}", self.duration_s(world, number(argument)?))),
            "SE" if argument.is_empty() => match self.prepared_mm.take() {
                Some(target) => self.go(world, now_s, target),
                None => Ok(Act::Done),
            },
            "SE" => self.prepare(number(argument)?),
            "TS" | "TE" | "TP" | "TH" | "VE" | "ZT" | "OR" | "ST" | "RS" | "RA" | "RB" => Err('C'),
            _ => Err('A'),
        }
    }

    /// The set point of an axis at rest, or about to move: where it was sent last is not where it is yet.
    fn set_point_mm(&self) -> f64 {
        if self.starts_s.is_some() { self.left_mm } else { self.target_mm }
    }

    fn prepare(&mut self, target_mm: f64) -> Result<Act, char> {
        let State::Ready(_) = self.state else { return Err(self.state.refusal()) };
        if !(self.settings.get("SL")..=self.settings.get("SR")).contains(&target_mm) {
            return Err('G');
        }
        self.prepared_mm = Some(target_mm);
        Ok(Act::Done)
    }

    fn words(&self, argument: &str) -> Result<Act, char> {
        let letter = argument.chars().next().unwrap_or(self.error).to_ascii_uppercase();
        let (letter, words) = LETTERS.iter().find(|(l, _)| *l == letter).ok_or('C')?;
        Ok(Act::Say(vec![format!("TB{letter} {words}")]))
    }

    fn name(&mut self, argument: &str) -> Result<Act, char> {
        match argument {
            "" => Err('C'),
            "?" => Ok(Act::Say(vec![format!("ID{}", self.stage)])),
            _ if self.state == State::Configuration => {
                self.stage = argument.chars().take(31).collect();
                Ok(Act::Done)
            }
            _ => Err(self.state.refusal()),
        }
    }

    /// How long a relative move takes, seconds.
    fn duration_s(&self, world: &World, distance_mm: f64) -> f64 {
        let a = world.axis(&self.axis, world.now_s(), |a| a.model().acceleration_um_s2 / 1000.0).unwrap_or(1.0);
        let (d, v) = (distance_mm.abs(), self.settings.get("VA"));
        if d <= v * v / a { 2.0 * (d / a).sqrt() } else { d / v + v / a }
    }

    fn setting(&mut self, world: &World, now_s: f64, name: &str, argument: &str) -> Result<Act, char> {
        if let Some(letter) = self.settings.missing(name) {
            return Err(letter);
        }
        if argument == "?" {
            return Ok(Act::Say(vec![format!("{name}{}", rounded(self.settings.get(name)))]));
        }
        let value = number(argument)?;
        let store = match self.state {
            State::Configuration => true,
            State::Ready(_) | State::Disabled(_) if Settings::is_working(name) => false,
            other => return Err(other.refusal()),
        };
        let at = self.position_mm(world, now_s);
        let outside = (name == "SL" && at < value) || (name == "SR" && at > value);
        if outside && !store {
            return Err('N');
        }
        self.settings.set(name, value, store)?;
        Ok(Act::Done)
    }
}

/// Six decimals at the most, as few as it takes.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6 + 0.0
}

fn number(argument: &str) -> Result<f64, char> {
    argument.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or('C')
}
