//! What one controller can be set to: names, ranges, and in which states. Pure.

use std::collections::BTreeMap;

/// Largest value that any of them takes (hvl_ccb checks the same ends).
const HUGE: f64 = 1e12;
/// Smallest velocity, acceleration and time.
const TINY: f64 = 1e-6;

/// Which models have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    All,
    /// Stepper (SMC100PP).
    Stepper,
    /// Direct-current motor (SMC100CC, CONEX-CC).
    Servo,
}

/// One setting.
#[derive(Debug)]
struct Parameter {
    name: &'static str,
    on: On,
    default: f64,
    low: f64,
    high: f64,
    /// It can also be set, for as long as the power is on, once the axis is referenced.
    working: bool,
    /// Whole numbers only.
    whole: bool,
}

const fn fixed(name: &'static str, on: On, default: f64, low: f64, high: f64) -> Parameter {
    Parameter { name, on, default, low, high, working: false, whole: false }
}

const fn working(name: &'static str, default: f64, low: f64, high: f64) -> Parameter {
    Parameter { name, on: On::All, default, low, high, working: true, whole: false }
}

const fn whole(name: &'static str, on: On, default: f64, low: f64, high: f64) -> Parameter {
    Parameter { name, on, default, low, high, working: false, whole: true }
}

/// In the order of `ZT`: by name, as hvl_ccb expects it. Defaults of a TRA25CC and of hvl_ccb's configuration; what QMI's drivers
/// ask of each model.
const PARAMETERS: &[Parameter] = &[
    working("AC", 50.0, TINY, HUGE),
    fixed("BA", On::All, 0.0, TINY, HUGE),
    fixed("BH", On::All, 0.015, TINY, HUGE),
    fixed("DV", On::Servo, 48.0, 12.0, 48.0),
    working("FD", 1000.0, TINY, 2000.0).only(On::Servo),
    working("FE", 1.0, TINY, HUGE).only(On::Servo),
    working("FF", 0.0, 0.0, HUGE).only(On::Servo),
    whole("FRM", On::Stepper, 100.0, 1.0, 2000.0),
    fixed("FRS", On::Stepper, 0.01, TINY, HUGE),
    whole("HT", On::All, 2.0, 0.0, 4.0),
    fixed("JR", On::All, 0.04, 1e-3, HUGE),
    working("KD", 2.0, 0.0, HUGE).only(On::Servo),
    working("KI", 1.0, 0.0, HUGE).only(On::Servo),
    working("KP", 3.0, 0.0, HUGE).only(On::Servo),
    working("KV", 0.0, 0.0, HUGE).only(On::Servo),
    fixed("LF", On::Servo, 200.0, TINY, 2000.0),
    fixed("OH", On::All, 4.0, TINY, HUGE),
    fixed("OT", On::All, 27.5, 1.0, 1e3),
    fixed("QIL", On::All, 0.4, 0.05, 3.0),
    fixed("QIR", On::Servo, 0.3, 0.01, 1.5),
    fixed("QIT", On::Servo, 1.0, 0.01, 100.0),
    whole("SA", On::All, 2.0, 2.0, 31.0),
    whole("SC", On::Servo, 1.0, 0.0, 1.0),
    working("SL", -25.0, -HUGE, 0.0),
    working("SR", 25.0, 0.0, HUGE),
    fixed("SU", On::Servo, 4.88e-5, TINY, HUGE),
    working("VA", 4.0, TINY, HUGE),
    fixed("VB", On::Stepper, 0.0, 0.0, HUGE),
    whole("ZX", On::All, 3.0, 1.0, 3.0),
];

impl Parameter {
    const fn only(mut self, on: On) -> Parameter {
        self.on = on;
        self
    }

    fn is_on(&self, stepper: bool) -> bool {
        match self.on {
            On::All => true,
            On::Stepper => stepper,
            On::Servo => !stepper,
        }
    }
}

/// The settings of one controller: what is stored, and what is in force.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    stepper: bool,
    stored: BTreeMap<&'static str, f64>,
    in_force: BTreeMap<&'static str, f64>,
}

impl Settings {
    /// As it left the maker with a stage of this travel (mm of its home) and greatest velocity, mm/s.
    pub(super) fn new(stepper: bool, (low_mm, high_mm): (f64, f64), velocity_mm_s: f64) -> Settings {
        let known = PARAMETERS.iter().filter(|p| p.is_on(stepper));
        let mut stored: BTreeMap<&'static str, f64> = known.map(|p| (p.name, p.default)).collect();
        stored.insert("SL", low_mm.min(0.0));
        stored.insert("SR", high_mm.max(0.0));
        stored.insert("VA", velocity_mm_s.min(4.0));
        Settings { stepper, in_force: stored.clone(), stored }
    }

    /// The value in force; 0 where this model has none.
    pub(super) fn get(&self, name: &str) -> f64 {
        self.of(name).unwrap_or(0.0)
    }

    /// The value in force, where this model has it.
    pub(super) fn of(&self, name: &str) -> Option<f64> {
        self.in_force.get(name).copied()
    }

    pub(super) fn is_stepper(&self) -> bool {
        self.stepper
    }

    /// Forgets what was set only for as long as the power is on.
    pub(super) fn restore(&mut self) {
        self.in_force = self.stored.clone();
    }

    /// Whether there is such a setting on any model.
    pub(super) fn is_known(name: &str) -> bool {
        PARAMETERS.iter().any(|p| p.name == name)
    }

    /// Error letter for a setting that this model does not have.
    pub(super) fn missing(&self, name: &str) -> Option<char> {
        let found = PARAMETERS.iter().find(|p| p.name == name)?;
        let letter = if self.stepper { 'W' } else { 'X' };
        (!found.is_on(self.stepper)).then_some(letter)
    }

    /// Whether it can be set once the axis is referenced.
    pub(super) fn is_working(name: &str) -> bool {
        PARAMETERS.iter().any(|p| p.name == name && p.working)
    }

    /// Sets a value, stored or only in force.
    pub(super) fn set(&mut self, name: &str, value: f64, store: bool) -> Result<(), char> {
        let p = PARAMETERS.iter().find(|p| p.name == name).ok_or('A')?;
        let broken = p.whole && value.fract() != 0.0;
        // In force no velocity above the stored one is taken.
        let too_fast = name == "VA" && !store && value > self.stored.get("VA").copied().unwrap_or(HUGE);
        if broken || too_fast || !(p.low..=p.high).contains(&value) {
            return Err('C');
        }
        self.in_force.insert(p.name, value);
        // Of backlash and hysteresis only one is compensated: setting one clears the other.
        let other = match p.name {
            "BA" => Some("BH"),
            "BH" => Some("BA"),
            _ => None,
        };
        if let Some(other) = other {
            self.in_force.insert(other, 0.0);
        }
        if store {
            self.stored = self.in_force.clone();
        }
        Ok(())
    }

    /// The lines of `ZT`, without address.
    pub(super) fn listing(&self, stage: &str) -> Vec<String> {
        let mut lines = vec!["PW1".to_string(), format!("ID{stage}")];
        lines.extend(self.stored.iter().map(|(name, value)| format!("{name}{value}")));
        lines.push("PW0".into());
        lines
    }
}
