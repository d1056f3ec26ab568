//! What a Thorlabs meter can be set to, and the commands that set and tell it.

use super::{Act, RANGES, ThorlabsPm, WAVELENGTHS};
use crate::devices::scpi::{self, Command, DATA_TYPE, MISSING, OUT_OF_RANGE};

/// Zeroing, seconds.
const ZERO_S: f64 = 0.8;
/// Quantum efficiency of an InGaAs photodiode, and wavelength in nm times energy in eV of a photon (CODATA 2018).
const EFFICIENCY: f64 = 0.8;
const NM_EV: f64 = 1_239.841_984;
/// A setting that a sensor with its own calibration does not let be made.
const CONFLICT: (i32, &str) = (-221, "Settings conflict");

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Power,
    Current,
    Density,
    Temperature,
}

impl Quantity {
    /// Those that a photodiode sensor has, with their nodes and the meter's words.
    pub(super) const ALL: [(Quantity, &'static str, &'static str); 4] = [
        (Quantity::Power, "[:POWer]", "POW"),
        (Quantity::Current, ":CURRent[:DC]", "CURR"),
        (Quantity::Density, ":PDENsity", "POWDENS"),
        (Quantity::Temperature, ":TEMPerature", "TEMP"),
    ];

    /// The meter's word.
    pub(super) fn word(self) -> &'static str {
        Quantity::ALL.into_iter().find(|(q, _, _)| *q == self).map_or("POW", |(_, _, word)| word)
    }
}

/// What the meter is set to.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) wavelength_nm: f64,
    pub(super) dbm: bool,
    pub(super) range: usize,
    pub(super) range_since_s: f64,
    pub(super) auto: bool,
    pub(super) averaging: u32,
    pub(super) loss_db: f64,
    pub(super) beam_mm: f64,
    /// Reference of power (W) and of current (A), and whether each is subtracted.
    pub(super) references: [(f64, bool); 2],
    pub(super) filter: bool,
    pub(super) zero_w: f64,
    pub(super) zeroing_until_s: f64,
    pub(super) configured: Quantity,
    pub(super) jabber: bool,
    line_hz: f64,
    beeper: bool,
    brightness: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            wavelength_nm: 1550.0,
            dbm: false,
            range: 0,
            range_since_s: f64::NEG_INFINITY,
            auto: true,
            averaging: 1,
            loss_db: 0.0,
            // Diameter of the sensor's area.
            beam_mm: 9.5,
            references: [(0.0, false); 2],
            filter: true,
            zero_w: 0.0,
            zeroing_until_s: f64::NEG_INFINITY,
            configured: Quantity::Power,
            jabber: false,
            line_hz: 50.0,
            beeper: true,
            brightness: 1.0,
        }
    }
}

impl Settings {
    /// Responsivity at the wavelength that is set, A/W.
    pub(super) fn responsivity(&self) -> f64 {
        EFFICIENCY * self.wavelength_nm / NM_EV
    }

    /// Area of the beam, cm^2.
    pub(super) fn area_cm2(&self) -> f64 {
        std::f64::consts::PI * (self.beam_mm / 20.0).powi(2)
    }
}

impl ThorlabsPm {
    /// Commands of `SENS:POW` and `SENS:CURR`: ranges and references.
    pub(super) fn ranges(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        if scpi::is(&c.header, "[SENSe]:POWer[:DC]:UNIT") {
            return Some(self.unit(c));
        }
        let ampere = self.settings.responsivity();
        [("POWer", 1.0), ("CURRent", ampere)].into_iter().enumerate().find_map(|(i, (node, scale))| {
            let is = |leaf: &str| scpi::is(&c.header, &format!("[SENSe]:{node}[:DC]:{leaf}"));
            if is("RANGe:AUTO") {
                return Some(switch(c, &mut self.settings.auto));
            }
            if is("RANGe[:UPPer]") {
                return Some(self.range(now_s, c, scale));
            }
            let (reference, on) = &mut self.settings.references[i];
            if is("REFerence:STATe") {
                return Some(switch(c, on));
            }
            // Up to 1 W or 1 A: what the sensors' amplifiers are made for is far below.
            is("REFerence").then(|| numeric(c, reference, (-1.0, 1.0), 0.0))
        })
    }

    fn unit(&mut self, c: &Command) -> Act {
        if c.query {
            return Act::Say(if self.settings.dbm { "DBM" } else { "W" }.into());
        }
        match c.argument.to_ascii_uppercase().as_str() {
            "W" => self.settings.dbm = false,
            "DBM" => self.settings.dbm = true,
            "" => return Act::Error(MISSING),
            _ => return Act::Error(DATA_TYPE),
        }
        Act::Done
    }

    /// The range; `scale` makes the unit asked for of watts.
    fn range(&mut self, now_s: f64, c: &Command, scale: f64) -> Act {
        let text = |watts: f64| scpi::exponent(watts * scale, 6, 2, false);
        if c.query {
            return match c.argument.to_ascii_uppercase().as_str() {
                "" => Act::Say(text(RANGES[self.settings.range])),
                "MAX" | "MAXIMUM" => Act::Say(text(RANGES[0])),
                "MIN" | "MINIMUM" => Act::Say(text(RANGES[RANGES.len() - 1])),
                "AUTO" => Act::Say(RANGES.map(text).join(",")),
                _ => Act::Error(DATA_TYPE),
            };
        }
        let wanted = match c.argument.to_ascii_uppercase().as_str() {
            "" => return Act::Error(MISSING),
            "MAX" | "MAXIMUM" => Some(RANGES[0]),
            "MIN" | "MINIMUM" => Some(0.0),
            text => scpi::number(text).map(|(v, _)| v / scale),
        };
        let Some(wanted) = wanted else { return Act::Error(DATA_TYPE) };
        // What the meter has told with seven digits it takes back.
        let holds = |r: &f64| *r * (1.0 + 1e-6) >= wanted;
        let Some(range) = RANGES.iter().rposition(holds) else { return Act::Error(OUT_OF_RANGE) };
        self.settings.auto = false;
        if range != self.settings.range {
            self.settings.range = range;
            self.settings.range_since_s = now_s;
        }
        Act::Done
    }

    /// Corrections, averaging, filter.
    pub(super) fn corrections(&mut self, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let settings = &mut self.settings;
        if is("[SENSe]:CORRection:WAVelength") {
            return Some(numeric(c, &mut settings.wavelength_nm, WAVELENGTHS, 1550.0));
        }
        if is("[SENSe]:CORRection[:LOSS][:INPut][:MAGNitude]") {
            return Some(numeric(c, &mut settings.loss_db, (-60.0, 60.0), 0.0));
        }
        if is("[SENSe]:CORRection:BEAMdiameter") {
            return Some(numeric(c, &mut settings.beam_mm, (0.1, 25.4), 9.5));
        }
        if is("[SENSe]:CORRection:POWer[:PDIode][:RESPonse]") {
            // Only an adapter lets it be set: a sensor has its own.
            let mut value = settings.responsivity();
            let bounds = (value, value);
            return Some(if c.query { numeric(c, &mut value, bounds, bounds.0) } else { Act::Error(CONFLICT) });
        }
        if is("[SENSe]:AVERage[:COUNt]") {
            if c.query && c.argument.is_empty() {
                return Some(Act::Say(settings.averaging.to_string()));
            }
            let mut count = f64::from(settings.averaging);
            let act = numeric(c, &mut count, (1.0, 10_000.0), 1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range checked")]
            let whole = count.round() as u32;
            settings.averaging = whole;
            return Some(act);
        }
        if is("INPut[:PDIode]:FILTer[:LPASs][:STATe]") {
            return Some(switch(c, &mut settings.filter));
        }
        if is("[SENSe]:SERial:JABber") && !self.is_old() {
            return Some(switch(c, &mut self.settings.jabber));
        }
        None
    }

    /// Zeroing.
    pub(super) fn zeroing(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |leaf: &str| scpi::is(&c.header, &format!("[SENSe]:CORRection:COLLect:ZERO{leaf}"));
        if is("[:INITiate]") && !c.query {
            self.settings.zero_w = self.head.dark_w(now_s);
            self.settings.zeroing_until_s = now_s + ZERO_S;
            return Some(Act::Done);
        }
        if is(":STATe") && c.query {
            return Some(Act::Say(u8::from(now_s < self.settings.zeroing_until_s).to_string()));
        }
        if is(":ABORt") && !c.query {
            // A zero that was not finished is not taken.
            if now_s < self.settings.zeroing_until_s {
                self.settings.zero_w = 0.0;
            }
            self.settings.zeroing_until_s = now_s;
            return Some(Act::Done);
        }
        if is(":MAGNitude") && c.query {
            return Some(Act::Say(scpi::exponent(self.settings.zero_w * self.settings.responsivity(), 6, 2, false)));
        }
        None
    }

    /// SYSTem, CALibration, DISPlay.
    pub(super) fn system(&mut self, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("SYSTem:ERRor[:NEXT]") && c.query {
            let (code, text) = self.errors.next().unwrap_or((0, "No error"));
            let plus = if self.is_old() && code == 0 { "+" } else { "" };
            return Some(Act::Say(format!("{plus}{code},\"{text}\"")));
        }
        if is("SYSTem:ERRor:COUNt") && c.query {
            return Some(Act::Say(self.errors.count().to_string()));
        }
        if is("SYSTem:VERSion") && c.query {
            return Some(Act::Say("1999.0".into()));
        }
        if is("SYSTem:SENSor:IDN") && c.query {
            let quote = if self.is_old() { "" } else { "\"" };
            let texts = ["S155C", "SIM160602", "2-JUN-2025"].map(|text| format!("{quote}{text}{quote}"));
            return Some(Act::Say(format!("{},1,18,33", texts.join(","))));
        }
        if is("CALibration:STRing") && c.query {
            return Some(Act::Say("\"18-Feb-2025\"".into()));
        }
        if is("SYSTem:LFRequency") {
            if c.query && c.argument.is_empty() {
                return Some(Act::Say(format!("{:.0}", self.settings.line_hz)));
            }
            let mut hz = self.settings.line_hz;
            let act = numeric(c, &mut hz, (50.0, 60.0), 50.0);
            // There are two mains.
            self.settings.line_hz = if hz < 55.0 { 50.0 } else { 60.0 };
            return Some(act);
        }
        self.bench_top(c)
    }

    /// What only the models with a display of their own have.
    fn bench_top(&mut self, c: &Command) -> Option<Act> {
        if !matches!(self.model.as_str(), "PM100D" | "PM400") {
            return None;
        }
        let is = |pattern| scpi::is(&c.header, pattern);
        if is("SYSTem:BEEPer[:IMMediate]") && !c.query {
            return Some(Act::Done);
        }
        if is("SYSTem:BEEPer:STATe") {
            return Some(switch(c, &mut self.settings.beeper));
        }
        is("DISPlay:BRIGhtness").then(|| numeric(c, &mut self.settings.brightness, (0.0, 1.0), 1.0))
    }
}

/// A switch: query, or set.
fn switch(c: &Command, field: &mut bool) -> Act {
    if c.query {
        return Act::Say(u8::from(*field).to_string());
    }
    match scpi::switch(&c.argument) {
        Some(on) => *field = on,
        None if c.argument.is_empty() => return Act::Error(MISSING),
        None => return Act::Error(DATA_TYPE),
    }
    Act::Done
}

/// A numeric setting: query (with MIN, MAX and DEF), or set within bounds.
fn numeric(c: &Command, field: &mut f64, (low, high): (f64, f64), default: f64) -> Act {
    let named = match c.argument.to_ascii_uppercase().as_str() {
        "MIN" | "MINIMUM" => Some(low),
        "MAX" | "MAXIMUM" => Some(high),
        "DEF" | "DEFAULT" => Some(default),
        _ => None,
    };
    if c.query {
        return match (named, c.argument.is_empty()) {
            (Some(value), _) => Act::Say(scpi::exponent(value, 6, 2, false)),
            (None, true) => Act::Say(scpi::exponent(*field, 6, 2, false)),
            _ => Act::Error(DATA_TYPE),
        };
    }
    if c.argument.is_empty() {
        return Act::Error(MISSING);
    }
    let Some(wanted) = named.or_else(|| scpi::number(&c.argument).map(|(v, _)| v)) else {
        return Act::Error(DATA_TYPE);
    };
    if !(low..=high).contains(&wanted) {
        return Act::Error(OUT_OF_RANGE);
    }
    *field = wanted;
    Act::Done
}
