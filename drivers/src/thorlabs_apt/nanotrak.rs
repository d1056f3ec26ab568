//! [`DitherTracker`] for NanoTraks (KNA101, TNA001, BNT001).

use std::time::Duration;

use async_trait::async_trait;

use super::codec::{self, Fields};
use super::driver::Apt;
use super::stages::Class;
use crate::exchange::{Line, Tap};
use crate::identity::{Expected, Identity};
use crate::motion::MotionError;
use crate::tracker::{DitherTracker, Photocurrent, TrackSetup, TrackState};

const LATCH: u8 = 2;
const TRACK: u8 = 3;
/// Full scale of positions and diameters.
const SPAN: f64 = 65_535.0;
/// The word of a circle's frequency is this over it, a multiple of 4.
const FREQUENCY_HZ: f64 = 7_000.0;
/// The maker's usual gain.
const GAIN: f64 = 600.0;
/// A centre farther off than this did not get where it was sent: some steps of the converter.
const CENTRE_STEPS: f64 = 8.0;

/// A NanoTrak.
pub struct NanoTrak {
    apt: Apt,
    travel_um: f64,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at what the word holds")]
fn word(value: f64) -> u16 {
    value.round() as u16
}

impl NanoTrak {
    /// A driver over `line` for the NanoTrak `expected`; [`DitherTracker::connect`] comes first.
    pub fn new(line: Line, expected: Expected) -> NanoTrak {
        NanoTrak { apt: Apt::new(line, expected), travel_um: 0.0 }
    }

    /// Sends a setting without a channel and reads it back; `get` is the answer's identifier where it is not the third
    /// of the three.
    async fn set(&mut self, what: &'static str, set: u16, data: &[u8]) -> Result<(), MotionError> {
        self.apt.line.send(&codec::bare(set, data, codec::UNIT)).await?;
        let size = data.len();
        let read = |f: Fields<'_>| (f.size() == size).then(|| f.data().to_vec());
        // Identifiers of the circle and of its home go on in decimal: 0x0619 and 0x0620, 0x0610 and 0x0611.
        let (request, get) = match set {
            codec::SET_NT_CIRCLE => (0x0619, 0x0620),
            codec::SET_NT_HOME => (0x0610, 0x0611),
            other => (other + 1, other + 2),
        };
        let found = self.apt.ask_for(("tracker", what), [0, 0], (request, get, codec::UNIT), read).await?;
        if found == data {
            return Ok(());
        }
        let told = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        Err(self.apt.read_back("tracker", what, told(data), told(&found)))
    }

    async fn mode(&mut self) -> Result<u8, MotionError> {
        let read = |f: Fields<'_>| f.params().map(|(state, _)| state);
        self.apt.ask(("tracker", "a mode"), [0, 0], (codec::REQ_NT_MODE, codec::UNIT), read).await
    }

    async fn expect_mode(&mut self, wanted: &[u8]) -> Result<u8, MotionError> {
        let mode = self.mode().await?;
        if wanted.contains(&mode) {
            return Ok(mode);
        }
        let set = if wanted.contains(&LATCH) { "latch" } else { "track" };
        Err(self.apt.read_back("tracker", "mode", set.into(), mode.to_string()))
    }
}

#[async_trait(?Send)]
impl DitherTracker for NanoTrak {
    fn name(&self) -> &str {
        self.apt.line.instrument()
    }

    fn identity(&self) -> &Identity {
        &self.apt.identity
    }

    fn tap(&self) -> &Tap {
        self.apt.line.tap()
    }

    async fn connect(&mut self, setup: &TrackSetup) -> Result<(), MotionError> {
        self.apt.identify(|class| class == Class::NanoTrak).await?;
        self.latch().await?;
        self.set_up(setup).await
    }

    async fn set_up(&mut self, setup: &TrackSetup) -> Result<(), MotionError> {
        self.travel_um = setup.travel_um;
        #[expect(clippy::cast_possible_truncation, reason = "what the message holds")]
        let threshold = setup.threshold_a as f32;
        self.set("tracking threshold", codec::SET_NT_THRESHOLD, &threshold.to_le_bytes()).await?;
        let steps = word(FREQUENCY_HZ / setup.frequency_hz / 4.0) * 4;
        let diameter = word(setup.diameter_um / setup.travel_um * SPAN);
        // Mode 1: the diameter is the one set; the others bound it in modes that are not used.
        let circle = [1, diameter, steps, diameter, diameter, 1].map(u16::to_le_bytes).concat();
        self.set("circle", codec::SET_NT_CIRCLE, &circle).await?;
        let phase = setup.lag_deg.map(|deg| word(deg.rem_euclid(360.0) / 360.0 * f64::from(steps)));
        self.set("phase compensation", codec::SET_NT_PHASE, &[2, phase[0], phase[1]].map(u16::to_le_bytes).concat())
            .await?;
        self.set("gain", codec::SET_NT_GAIN, &[2, word(setup.gain * GAIN)].map(u16::to_le_bytes).concat()).await?;
        // Auto-ranging between 20 and 80 %, 4 samples, all ranges; the last word only counts in other modes.
        let range = [1, 800, 200, 4, 1, 9].map(u16::to_le_bytes).concat();
        self.set("range", codec::SET_NT_RANGE, &range).await
    }

    async fn move_centre(&mut self, to_um: [f64; 2]) -> Result<(), MotionError> {
        let at = to_um.map(|um| word(um / self.travel_um * SPAN));
        self.set("home of the circle", codec::SET_NT_HOME, &at.map(u16::to_le_bytes).concat()).await?;
        self.apt.line.send(&codec::short(codec::MOVE_NT_HOME, 0, 0, codec::UNIT)).await?;
        let found = self.centre().await?;
        let tolerance = CENTRE_STEPS / SPAN * self.travel_um;
        for (target, position) in to_um.into_iter().zip(found) {
            if (position - target).abs() > tolerance {
                let (instrument, axis) = (self.apt.instrument(), "tracker".to_string());
                return Err(MotionError::ElsewhereThanTarget { instrument, axis, target, position });
            }
        }
        Ok(())
    }

    async fn centre(&mut self) -> Result<[f64; 2], MotionError> {
        let read = |f: Fields<'_>| (f.size() == 14).then_some([f.word(0)?, f.word(2)?]);
        let about = ("tracker", "a centre");
        let found = self.apt.ask(about, [0, 0], (codec::REQ_NT_CENTRE, codec::UNIT), read).await?;
        Ok(found.map(|word| f64::from(word) / SPAN * self.travel_um))
    }

    async fn photocurrent(&mut self) -> Result<Photocurrent, MotionError> {
        let read = |f: Fields<'_>| {
            let amperes = f64::from((f.size() == 10).then(|| f.float(0))??);
            match f.word(8)? {
                1 if amperes.is_finite() => Some(Photocurrent::Amperes(amperes)),
                2 => Some(Photocurrent::UnderRange),
                3 => Some(Photocurrent::Saturated),
                _ => None,
            }
        };
        self.apt.ask(("tracker", "a photocurrent"), [0, 0], (codec::REQ_NT_READING, codec::UNIT), read).await
    }

    async fn state(&mut self) -> Result<TrackState, MotionError> {
        Ok(match self.mode().await? {
            LATCH => TrackState::Latched,
            3 => TrackState::NoSignal,
            4 => TrackState::Tracking,
            _ => TrackState::Other,
        })
    }

    async fn track_for(&mut self, duration: Duration) -> Result<TrackState, MotionError> {
        self.apt.line.send(&codec::short(codec::SET_NT_MODE, TRACK, 0, codec::UNIT)).await?;
        let clock = self.apt.line.clock().clone();
        clock.sleep(duration).await;
        // Without signal and with: both are tracking.
        let seen = self.expect_mode(&[3, 4]).await;
        self.latch().await?;
        Ok(if seen? == 4 { TrackState::Tracking } else { TrackState::NoSignal })
    }

    async fn latch(&mut self) -> Result<(), MotionError> {
        self.apt.line.send_urgent(&codec::short(codec::SET_NT_MODE, LATCH, 0, codec::UNIT)).await?;
        self.expect_mode(&[LATCH]).await.map(|_| ())
    }
}
