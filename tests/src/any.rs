//! A driver of any class, looked at in numbers: for tests and benchmarks that are one table over all protocols.

use std::time::Duration;

use drivers::identity::Expected;
use drivers::meter::PowerMeter;
use drivers::motion::{ChannelSetup, MotionController};
use drivers::registry;
use drivers::source::LightSource;
use drivers::switch::OpticalSwitch;
use drivers::transport::Stream;
use units::clock::Clock;
use units::{Power, Reading};

use crate::alone::{Alone, line, meter_setup, source_setup};

/// How long a move may take.
const MOVE: Duration = Duration::from_secs(20);
/// Switch outputs of the simulated switch.
const OUTPUTS: f64 = 8.0;

/// A driver of one class.
pub enum Any {
    /// A motion controller with its channels.
    Motion(Box<dyn MotionController>, Vec<ChannelSetup>),
    /// A power meter.
    Meter(Box<dyn PowerMeter>),
    /// A light source with its model.
    Source(Box<dyn LightSource>, String),
    /// A switch.
    Switch(Box<dyn OpticalSwitch>),
}

impl Any {
    /// A driver by its word, not connected yet.
    ///
    /// # Panics
    /// When no list has the word.
    pub fn new(word: &str, model: &str, alone: &Alone, stream: Box<dyn Stream>, clock: &Clock) -> Any {
        let (line, expected) = (line(stream, clock), Expected::default());
        if registry::MOTION.contains(&word) {
            Any::Motion(registry::motion(word, line, expected).expect("of the list"), alone.channels())
        } else if registry::METERS.contains(&word) {
            Any::Meter(registry::meter(word, line, expected).expect("of the list"))
        } else if registry::SOURCES.contains(&word) {
            Any::Source(registry::source(word, line, expected).expect("of the list"), model.into())
        } else {
            Any::Switch(registry::switch(word, line, expected).expect("of the list"))
        }
    }

    /// Connects; a source is switched on. An axis is not referenced, which takes its time.
    ///
    /// # Errors
    /// The driver's words.
    pub async fn connect(&mut self) -> Result<(), String> {
        match self {
            Any::Motion(stage, setup) => stage.connect(setup).await.map_err(told),
            Any::Meter(meter) => meter.connect(&meter_setup()).await.map_err(told),
            Any::Source(source, model) => {
                source.connect(&source_setup(model)).await.map_err(told)?;
                source.switch_on().await.map_err(told)
            }
            Any::Switch(switch) => switch.connect().await.map_err(told),
        }
    }

    /// References axes that are not.
    ///
    /// # Errors
    /// The driver's words.
    pub async fn reference(&mut self) -> Result<(), String> {
        let Any::Motion(stage, setup) = self else { return Ok(()) };
        for channel in setup {
            let there = stage.states(&[&channel.channel]).await.map_err(told)?;
            if !there[0].referenced {
                stage.reference(&channel.channel).await.map_err(told)?;
            }
        }
        Ok(())
    }

    /// Sends the instrument to a place between 0 and 1 of what it can do; returns what [`Any::look`] must then give
    /// first. A meter goes nowhere.
    ///
    /// # Errors
    /// The driver's words.
    pub async fn go(&mut self, share: f64) -> Result<Option<f64>, String> {
        match self {
            Any::Motion(stage, setup) => {
                let first = &setup[0];
                let to = first.range.0 + share * (first.range.1 - first.range.0);
                stage.start_move(&[(&first.channel, to)]).await.map_err(told)?;
                stage.wait_on_target(&[&first.channel], MOVE).await.map_err(told)?;
                Ok(Some(to))
            }
            Any::Meter(_) => Ok(None),
            Any::Source(source, model) => {
                let mut setup = source_setup(model);
                let dbm = 3.0 * share;
                setup.level = Power::from_dbm(dbm);
                source.connect(&setup).await.map_err(told)?;
                source.switch_on().await.map_err(told)?;
                Ok(Some(dbm))
            }
            Any::Switch(switch) => {
                let output = 1.0 + (share * (OUTPUTS - 1.0)).floor();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 8")]
                switch.select(1, Some(output as u32)).await.map_err(told)?;
                Ok(Some(output))
            }
        }
    }

    /// Asks once, in the way a station asks most: positions, readings, state, connection.
    ///
    /// # Errors
    /// The driver's words.
    pub async fn look(&mut self) -> Result<Vec<f64>, String> {
        match self {
            Any::Motion(stage, setup) => {
                let names: Vec<&str> = setup.iter().map(|c| c.channel.as_str()).collect();
                stage.positions(&names).await.map_err(told)
            }
            Any::Meter(meter) => Ok(meter.read().await.map_err(told)?.into_iter().map(watts).collect()),
            Any::Source(source, _) => {
                let state = source.state().await.map_err(told)?;
                let flags = [state.on, state.interlock_open].map(|flag| f64::from(u8::from(flag)));
                Ok([&[state.level.dbm().unwrap_or(f64::NAN)], &flags[..]].concat())
            }
            Any::Switch(switch) => Ok(vec![switch.selected(1).await.map_err(told)?.map_or(0.0, f64::from)]),
        }
    }
}

impl Any {
    /// Asks what the instrument answers at once: a meter that tells its range for that, others as in [`Any::look`].
    ///
    /// # Errors
    /// The driver's words.
    pub async fn ask(&mut self) -> Result<Vec<f64>, String> {
        match self {
            // This meter does not tell it; its driver knows it by heart.
            Any::Meter(meter) if meter.channels() > 1 && meter.identity().maker == "Joinwit" => self.look().await,
            Any::Meter(meter) => Ok(vec![meter.range().await.map_err(told)?.watts()]),
            _ => self.look().await,
        }
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn watts(reading: Reading) -> f64 {
    match reading {
        Reading::Power(power) => power.watts(),
        Reading::UnderRange => f64::NEG_INFINITY,
        Reading::Saturated => f64::INFINITY,
    }
}
