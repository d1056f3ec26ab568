//! One channel of the meter: its detector, its settings, its readings, its data store.

use super::{Act, OUT_OF_RANGE, SYNTAX};
use crate::devices::scpi;
use crate::head::Head;
use crate::light::detector::Reading;
use crate::world::World;

/// Upper ends of the ranges of an InGaAs detector, W, largest first: range 7 to range 0.
const RANGES: [f64; 8] = [22e-3, 2.2e-3, 220e-6, 22e-6, 2.2e-6, 220e-9, 22e-9, 2.2e-9];
/// Wavelengths of the detector, nm.
const WAVELENGTHS: (u32, u32) = (800, 1700);
/// One sample: the converter takes 10,000 a second.
const SAMPLE_S: f64 = 1e-4;
/// Time after which nothing is left of a switch of ranges, seconds.
const RANGING_S: f64 = 0.5;
/// Samples of a reading without digital filter.
const PLAIN_SAMPLES: u32 = 10;
/// Readings that the store holds.
const STORE_MAX: u32 = 250_000;
/// Watts and dBm among the units.
const WATTS: u32 = 2;
const DBM: u32 = 6;

#[derive(Debug, Clone)]
struct Settings {
    wavelength_nm: u32,
    units: u32,
    auto: u32,
    attenuator: u32,
    mode: u32,
    run: u32,
    filter: u32,
    analog: u32,
    digital: u32,
    range: usize,
    range_since_s: f64,
    zero_w: f64,
    store_size: u32,
    store_interval: u32,
    store_ring: u32,
    /// Since when the store is filled, if it is.
    store_since_s: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            wavelength_nm: 1550,
            units: WATTS,
            auto: 1,
            attenuator: 0,
            mode: 0,
            run: 1,
            filter: 0,
            analog: 4,
            digital: 100,
            range: 0,
            range_since_s: f64::NEG_INFINITY,
            zero_w: 0.0,
            store_size: 100,
            store_interval: 10,
            store_ring: 0,
            store_since_s: None,
        }
    }
}

pub(super) struct Channel {
    head: Head,
    number: u32,
    settings: Settings,
    stored: Vec<f64>,
    /// When it was last read, or set to range by itself.
    looked_s: f64,
}

impl Channel {
    pub(super) fn new(world: &World, meter: &str, number: u32) -> Channel {
        let head = Head::new(world, meter, number, &RANGES);
        Channel { head, number, settings: Settings::default(), stored: Vec::new(), looked_s: world.now_s() }
    }

    pub(super) fn reset(&mut self) {
        self.settings = Settings::default();
        self.stored.clear();
    }

    fn averaging_s(&self) -> f64 {
        let digital = self.settings.filter & 2 != 0;
        SAMPLE_S * f64::from(if digital { self.settings.digital.max(1) } else { PLAIN_SAMPLES })
    }

    /// The last reading: of the window that has just ended.
    fn read(&mut self, now_s: f64) -> Reading {
        let averaging_s = self.averaging_s();
        let s = &mut self.settings;
        if s.auto == 1 {
            let fits = self.head.auto_range(s.range, now_s);
            if fits != s.range {
                // It measures all the time: light as it was before has been ranged for before it was asked.
                let before_s = (now_s - RANGING_S - averaging_s).max(self.looked_s);
                let since_s = if self.head.auto_range(s.range, before_s) == fits { before_s } else { now_s };
                (s.range, s.range_since_s) = (fits, since_s);
            }
        }
        self.looked_s = now_s;
        self.head.read(now_s - averaging_s, averaging_s, s.range, s.range_since_s).1
    }

    fn is_ranging(&self, now_s: f64) -> bool {
        now_s < self.settings.range_since_s + self.head.dead_s() + self.averaging_s()
    }

    fn watts(&self, reading: Reading) -> f64 {
        match reading {
            Reading::Power(w) => w - self.settings.zero_w,
            Reading::UnderRange => 0.0,
            // The converter's end.
            Reading::Saturated => RANGES[self.settings.range],
        }
    }

    fn told(&self, watts: f64) -> String {
        let value = if self.settings.units == DBM { 10.0 * (watts / 1e-3).max(1e-15).log10() } else { watts };
        scpi::exponent(value, 6, 3, false)
    }

    /// `PM:PWS?`: the reading and what is so about it, hexadecimal.
    pub(super) fn with_status(&mut self, now_s: f64) -> String {
        let reading = self.read(now_s);
        let over = u32::from(matches!(reading, Reading::Saturated));
        let range = u32::try_from(RANGES.len() - 1 - self.settings.range).unwrap_or(0);
        let status =
            self.settings.units << 7 | range << 4 | 1 << 3 | u32::from(self.is_ranging(now_s)) << 2 | over << 1 | over;
        format!("{} {status:X}", self.told(self.watts(reading)))
    }

    pub(super) fn act(&mut self, now_s: f64, header: &str, query: bool, argument: &str) -> Act {
        let is = |pattern: &str| scpi::is(header, pattern);
        if query && is("PM:Power") {
            let reading = self.read(now_s);
            return Ok(Some(self.told(self.watts(reading))));
        }
        if is("PM:RANge") {
            return self.range(now_s, query, argument);
        }
        if is("PM:ZEROSTOre") && !query {
            self.settings.zero_w = 0.0;
            let reading = self.read(now_s);
            self.settings.zero_w = self.watts(reading);
            return Ok(None);
        }
        if is("PM:ZEROVALue") {
            if query {
                return Ok(Some(scpi::exponent(self.settings.zero_w, 6, 3, false)));
            }
            self.settings.zero_w = argument.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(SYNTAX)?;
            return Ok(None);
        }
        if let Some(told) = self.facts(header).filter(|_| query) {
            return Ok(Some(told));
        }
        if header.to_ascii_uppercase().starts_with("PM:DS:") {
            return self.store(now_s, header, query, argument);
        }
        self.setting(now_s, header, query, argument)
    }

    /// What can only be asked.
    fn facts(&self, header: &str) -> Option<String> {
        let is = |pattern: &str| scpi::is(header, pattern);
        let end = RANGES[self.settings.range];
        Some(if is("PM:MAX:Power") {
            scpi::exponent(end, 6, 3, false)
        } else if is("PM:MIN:Power") {
            scpi::exponent(end / 1e4, 6, 3, false)
        } else if is("PM:MIN:Lambda") {
            WAVELENGTHS.0.to_string()
        } else if is("PM:MAX:Lambda") {
            WAVELENGTHS.1.to_string()
        } else if is("PM:DETMODEL") {
            "818-IG".into()
        } else if is("PM:DETSN") {
            format!("{:04}", 1200 + self.number)
        } else {
            return None;
        })
    }

    fn range(&mut self, now_s: f64, query: bool, argument: &str) -> Act {
        let last = RANGES.len() - 1;
        if query {
            return Ok(Some((last - self.settings.range).to_string()));
        }
        let wanted = argument.parse::<usize>().map_err(|_| SYNTAX)?;
        if wanted > last {
            return Err(OUT_OF_RANGE);
        }
        // A range by hand ends automatic ranging.
        self.settings.auto = 0;
        if last - wanted != self.settings.range {
            (self.settings.range, self.settings.range_since_s) = (last - wanted, now_s);
        }
        Ok(None)
    }

    /// Settings that are whole numbers.
    fn setting(&mut self, now_s: f64, header: &str, query: bool, argument: &str) -> Act {
        let is = |pattern: &str| scpi::is(header, pattern);
        let s = &mut self.settings;
        let (value, low, high) = if is("PM:Lambda") {
            (&mut s.wavelength_nm, WAVELENGTHS.0, WAVELENGTHS.1)
        } else if is("PM:UNITs") {
            (&mut s.units, 0, 11)
        } else if is("PM:AUTO") {
            (&mut s.auto, 0, 1)
        } else if is("PM:ATTenuator") {
            (&mut s.attenuator, 0, 1)
        } else if is("PM:MODE") {
            (&mut s.mode, 0, 7)
        } else if is("PM:RUN") {
            (&mut s.run, 0, 1)
        } else if is("PM:FILTer") {
            (&mut s.filter, 0, 3)
        } else if is("PM:ANALOGFILTER") {
            (&mut s.analog, 0, 4)
        } else if is("PM:DIGITALFILTER") {
            (&mut s.digital, 0, 10_000)
        } else {
            return Err(SYNTAX);
        };
        if query {
            return Ok(Some(value.to_string()));
        }
        let wanted = argument.parse::<u32>().map_err(|_| SYNTAX)?;
        if is("PM:AUTO") {
            self.looked_s = now_s;
        }
        // A photodiode measures no energy, and between dBm and suns there is nothing.
        if !(low..=high).contains(&wanted) || (is("PM:UNITs") && !matches!(wanted, 0 | WATTS | DBM)) {
            return Err(OUT_OF_RANGE);
        }
        *value = wanted;
        Ok(None)
    }

    fn store(&mut self, now_s: f64, header: &str, query: bool, argument: &str) -> Act {
        self.fill(now_s);
        let is = |pattern: &str| scpi::is(header, pattern);
        if is("PM:DS:Count") && query {
            return Ok(Some(self.stored.len().to_string()));
        }
        if is("PM:DS:CLear") && !query {
            self.stored.clear();
            self.settings.store_since_s = self.settings.store_since_s.map(|_| now_s);
            return Ok(None);
        }
        if is("PM:DS:GET") && query {
            return self.get(argument).map(Some);
        }
        if is("PM:DS:ENable") {
            if query {
                return Ok(Some(u8::from(self.settings.store_since_s.is_some()).to_string()));
            }
            self.settings.store_since_s = scpi::switch(argument).ok_or(OUT_OF_RANGE)?.then_some(now_s);
            return Ok(None);
        }
        let s = &mut self.settings;
        let (value, low, high) = if is("PM:DS:SIZE") {
            (&mut s.store_size, 1, STORE_MAX)
        } else if is("PM:DS:INTerval") {
            (&mut s.store_interval, 1, 1_000_000)
        } else if is("PM:DS:BUFfer") {
            (&mut s.store_ring, 0, 1)
        } else {
            return Err(SYNTAX);
        };
        if query {
            return Ok(Some(value.to_string()));
        }
        let wanted = argument.parse::<u32>().map_err(|_| SYNTAX)?;
        if !(low..=high).contains(&wanted) {
            return Err(OUT_OF_RANGE);
        }
        *value = wanted;
        Ok(None)
    }

    /// Takes the readings into the store that are due by now: one every so many samples of the converter.
    fn fill(&mut self, now_s: f64) {
        let Some(since_s) = self.settings.store_since_s else { return };
        let every_s = f64::from(self.settings.store_interval) * SAMPLE_S;
        let size = usize::try_from(self.settings.store_size).unwrap_or(usize::MAX);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "time does not run backwards")]
        let due = ((now_s - since_s) / every_s).max(0.0) as u32;
        let room = if self.settings.store_ring == 1 { self.settings.store_size } else { self.room() };
        // Of a ring only the newest are kept, of a store that stops when full only the first.
        let wanted = if self.settings.store_ring == 1 { due.saturating_sub(room) + 1..=due } else { 1..=due.min(room) };
        for k in wanted {
            let reading = self.read(since_s + f64::from(k) * every_s);
            self.stored.push(self.watts(reading));
        }
        let more = self.stored.len().saturating_sub(size);
        self.stored.drain(..more);
        self.settings.store_since_s = Some(since_s + f64::from(due) * every_s);
    }

    /// Readings that the store still takes.
    fn room(&self) -> u32 {
        self.settings.store_size.saturating_sub(u32::try_from(self.stored.len()).unwrap_or(u32::MAX))
    }

    /// `7` one, `1-10` a span, `-5` the oldest, `+5` the newest; counted from 1.
    fn get(&self, argument: &str) -> Result<String, (u32, &'static str)> {
        let number = |text: &str| text.parse::<usize>().map_err(|_| SYNTAX);
        let count = self.stored.len();
        let (first, last) = if let Some(oldest) = argument.strip_prefix('-') {
            (1, number(oldest)?.min(count))
        } else if let Some(newest) = argument.strip_prefix('+') {
            (count.saturating_sub(number(newest)?) + 1, count)
        } else if let Some((first, last)) = argument.split_once('-') {
            (number(first)?, number(last)?)
        } else {
            (number(argument)?, number(argument)?)
        };
        let values = first.checked_sub(1).and_then(|from| self.stored.get(from..last)).ok_or(OUT_OF_RANGE)?;
        let s = &self.settings;
        let mut lines = vec![
            format!("Detector SN {:04}", 1200 + self.number),
            format!("Wavelength {}", s.wavelength_nm),
            format!("Attenuator {}", s.attenuator),
            format!("Auto Range {}", s.auto),
            format!("Interval {}", s.store_interval),
            format!("Units {}", s.units),
            "End of Header".to_string(),
        ];
        lines.extend(values.iter().map(|w| self.told(*w)));
        lines.push("End of Data".into());
        Ok(lines.join("\r\n"))
    }
}
