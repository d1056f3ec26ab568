//! One port of a Keysight multi-port meter: its settings, its head, and its measurements in free run and on command.

use crate::head::Head;
use crate::light::detector::Reading;
use crate::world::World;

/// What stands for a power above the range, and with a minus sign for one that cannot be told (the largest 32-bit number).
pub(super) const BEYOND: f64 = 3.402_82e38;
/// Averaging time at power-on, s (LabExT: the makers' default).
const AVERAGING_S: f64 = 0.2;
/// Wavelength at power-on, m.
const WAVELENGTH_M: f64 = 1550e-9;
/// Zeroing takes this long a port, s.
const ZERO_S: f64 = 2.5;

/// What an incoming trigger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TriggerInput {
    Ignore,
    Single,
    Complete,
}

/// The settings of a port that a reset takes back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) wavelength_m: f64,
    pub(super) dbm: bool,
    pub(super) auto: bool,
    pub(super) range: usize,
    pub(super) averaging_s: f64,
    pub(super) gain_auto: bool,
    pub(super) loss_db: f64,
    pub(super) relative: bool,
    /// Reference of relative readings, dBm.
    pub(super) reference_dbm: f64,
    /// Measures all the time.
    pub(super) continuous: bool,
    pub(super) trigger_in: TriggerInput,
    /// Index of the word of the trigger output.
    pub(super) trigger_out: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            wavelength_m: WAVELENGTH_M,
            dbm: true,
            auto: true,
            range: 0,
            averaging_s: AVERAGING_S,
            gain_auto: true,
            loss_db: 0.0,
            relative: false,
            reference_dbm: 0.0,
            continuous: true,
            trigger_in: TriggerInput::Ignore,
            trigger_out: 0,
        }
    }
}

/// One port.
pub(super) struct Port {
    pub(super) slot: u32,
    pub(super) channel: u32,
    pub(super) set: Settings,
    pub(super) zeroing_until_s: f64,
    head: Head,
    range_since_s: f64,
    /// Free run counts its windows from here.
    since_s: f64,
    zero_w: f64,
    /// The last measurement: when it is there, and what it is, W.
    measured: Option<(f64, Reading)>,
}

impl Port {
    pub(super) fn new(world: &World, meter: &str, number: u32, place: (u32, u32), ranges_w: &[f64]) -> Port {
        Port {
            slot: place.0,
            channel: place.1,
            set: Settings::default(),
            zeroing_until_s: f64::NEG_INFINITY,
            head: Head::new(world, meter, number, ranges_w),
            range_since_s: f64::NEG_INFINITY,
            since_s: 0.0,
            zero_w: 0.0,
            measured: None,
        }
    }

    /// Power-on state.
    pub(super) fn reset(&mut self, now_s: f64) {
        self.set = Settings::default();
        self.zeroing_until_s = f64::NEG_INFINITY;
        self.zero_w = 0.0;
        self.measured = None;
        self.since_s = now_s;
    }

    /// A setting was changed: free run begins anew, and what was measured before stays on show until then.
    pub(super) fn restart(&mut self, now_s: f64) {
        self.since_s = now_s.max(self.zeroing_until_s);
    }

    /// Switches to a range.
    pub(super) fn set_range(&mut self, now_s: f64, range: usize) {
        if range != self.set.range {
            self.set.range = range;
            self.range_since_s = now_s;
        }
        self.restart(now_s);
    }

    /// When the port has settled after its last change.
    pub(super) fn settled_s(&self) -> f64 {
        (self.range_since_s + self.head.dead_s()).max(self.zeroing_until_s)
    }

    pub(super) fn zero(&mut self, now_s: f64) {
        self.zero_w = self.head.dark_w(now_s);
        self.zeroing_until_s = now_s + ZERO_S;
        self.restart(now_s);
    }

    fn find_range(&mut self, now_s: f64) {
        let fits = self.head.auto_range(self.set.range, now_s);
        if self.set.auto && fits != self.set.range {
            self.set_range(now_s, fits);
        }
    }

    /// Software trigger: measures a window from now on.
    pub(super) fn trigger(&mut self, now_s: f64) {
        let begin = now_s.max(self.zeroing_until_s);
        self.find_range(begin);
        self.measured = Some(self.window(begin, self.set.averaging_s));
    }

    /// What there is to fetch: when it is there and what it is; `None` before anything was measured.
    pub(super) fn fetch(&mut self, now_s: f64) -> Option<(f64, Reading)> {
        if self.set.continuous {
            self.run(now_s);
        }
        self.measured
    }

    /// Free run: the last window that has ended. Right after a change that is still the one before it.
    fn run(&mut self, now_s: f64) {
        self.find_range(now_s);
        let ended = ((now_s - self.since_s) / self.set.averaging_s + 1e-9).floor();
        if ended < 1.0 && self.measured.is_some() {
            return;
        }
        let begin = self.since_s + (ended.max(1.0) - 1.0) * self.set.averaging_s;
        self.measured = Some(self.window(begin, self.set.averaging_s));
    }

    /// Measures a window in the present range: when it is there and what it is, W.
    pub(super) fn window(&mut self, begin_s: f64, averaging_s: f64) -> (f64, Reading) {
        let (ready_s, reading) = self.head.read(begin_s, averaging_s, self.set.range, self.range_since_s);
        let gain = 10f64.powf(self.set.loss_db / 10.0);
        match reading {
            Reading::Power(w) => (ready_s, Reading::Power((w - self.zero_w) * gain)),
            other => (ready_s, other),
        }
    }

    /// A measurement as the number told; in watts whatever the unit where `watts`.
    pub(super) fn value(&self, reading: Reading, watts: bool) -> f64 {
        let dbm = |w: f64| if w > 0.0 { 10.0 * (w / 1e-3).log10() } else { -BEYOND };
        match reading {
            Reading::Saturated => BEYOND,
            Reading::UnderRange => -BEYOND,
            Reading::Power(w) if watts => w,
            Reading::Power(w) if self.set.relative => (dbm(w) - self.set.reference_dbm).max(-BEYOND),
            Reading::Power(w) if self.set.dbm => dbm(w),
            Reading::Power(w) => w,
        }
    }
}
