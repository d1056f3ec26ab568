//! Trigger output and standby of a Santec laser, and the wavelengths logged at its triggers.

use super::super::scpi::{self, Command, OUT_OF_RANGE};
use super::{Act, CHARACTERS, COMMAND_S, CONFLICT, SantecTsl, flag, number, say};

/// A trigger at every step; 0 is none, 1 at the end, 2 at the begin of a sweep.
const EVERY_STEP: u8 = 3;
/// Unit of a logged wavelength, m.
const LOGGED_M: f64 = 1e-13;
/// Wavelengths kept of one sweep.
const LOGGED_MAX: usize = 500_000;

/// Settings, whether a sweep waits, and the log of the last one.
#[derive(Debug, Clone)]
pub(super) struct Triggers {
    /// A sweep waits for a trigger.
    pub(super) standby: bool,
    /// The sweep that waits now, and whether it goes on for ever.
    pub(super) waits: Option<bool>,
    timing: u8,
    /// Evenly in wavelength rather than in time.
    pub(super) by_wavelength: bool,
    pub(super) step_m: f64,
    pub(super) logged_m: Vec<f64>,
}

impl Default for Triggers {
    fn default() -> Triggers {
        Triggers { standby: false, waits: None, timing: 0, by_wavelength: false, step_m: 0.1e-9, logged_m: Vec::new() }
    }
}

impl Triggers {
    /// `TRIG:OUTP`.
    fn output(&mut self, c: &Command) -> Act {
        if c.query {
            return say(self.timing.to_string());
        }
        let (value, _) = number(&c.argument)?;
        let timing: u8 = format!("{value}").parse().map_err(|_| CHARACTERS)?;
        if timing > EVERY_STEP {
            return Err(OUT_OF_RANGE);
        }
        self.timing = timing;
        Ok(None)
    }

    /// Nothing is logged of the sweep to come.
    pub(super) fn forget(&mut self) {
        self.logged_m.clear();
    }

    /// A sweep has ended.
    pub(super) fn swept(&mut self, start_m: f64, stop_m: f64) {
        self.logged_m.clear();
        if self.timing == EVERY_STEP {
            let triggers = (0..LOGGED_MAX).map(|i| start_m + i as f64 * self.step_m);
            self.logged_m.extend(triggers.take_while(|at| *at <= stop_m + LOGGED_M / 2.0));
        }
    }

    /// The log as a block: four bytes each, little end first, in tenths of a picometre.
    fn block(&self) -> Vec<u8> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some 15 million")]
        let bytes = self.logged_m.iter().flat_map(|m| ((m / LOGGED_M).round() as u32).to_le_bytes());
        scpi::block(&bytes.collect::<Vec<u8>>())
    }
}

impl SantecTsl {
    /// Triggers, and the wavelengths that were logged at them.
    pub(super) fn triggering(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        let is = |pattern| scpi::is(&c.header, pattern);
        let triggers = &mut self.set.triggers;
        if is("TRIGger:INPut:SOFTtrigger") && !c.query {
            return Some(match triggers.waits.take() {
                Some(for_ever) => {
                    self.set.sweep.start(now_s, for_ever);
                    Ok(None)
                }
                None => Err(CONFLICT),
            });
        }
        if is("TRIGger:INPut:STANdby") {
            return Some(flag(c, &mut triggers.standby));
        }
        if is("TRIGger:OUTPut:SETTing") {
            return Some(flag(c, &mut triggers.by_wavelength));
        }
        if is("TRIGger:OUTPut:STEP") {
            return Some(self.trigger_step(c));
        }
        if is("TRIGger:OUTPut") {
            return Some(triggers.output(c));
        }
        if is("READout:POINts") && c.query {
            return Some(say(triggers.logged_m.len().to_string()));
        }
        if is("READout:DATa") && c.query {
            // Nothing comes after the block: QMI reads none.
            self.replies.push(now_s + COMMAND_S, triggers.block());
            return Some(Ok(None));
        }
        None
    }

    fn trigger_step(&mut self, c: &Command) -> Act {
        if c.query {
            return say(self.length_text(self.set.triggers.step_m));
        }
        let step_m = self.metres(&c.argument)?;
        if !(0.1e-12 * (1.0 - 1e-9)..=self.band.1 - self.band.0).contains(&step_m) {
            return Err(OUT_OF_RANGE);
        }
        self.set.triggers.step_m = step_m;
        Ok(None)
    }
}
