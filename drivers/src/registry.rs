//! The one list of drivers: a bench file's `driver = "..."` word to a driver over a line.

use crate::exchange::Line;
use crate::identity::Expected;
use crate::meter::PowerMeter;
use crate::motion::MotionController;
use crate::source::LightSource;
use crate::switch::OpticalSwitch;

/// Driver words for motion controllers.
pub const MOTION: &[&str] = &["pi-gcs2", "zaber-ascii"];
/// Driver words for power meters.
pub const METERS: &[&str] = &["joinwit-pm", "keysight-pm", "thorlabs-pm", "thorlabs-pm-lan"];
/// Driver words for light sources.
pub const SOURCES: &[&str] = &["keysight-laser", "santec-tsl"];
/// Driver words for optical switches.
pub const SWITCHES: &[&str] = &["dicon-switch"];

/// A motion controller by its driver word; `None` where the word is not in [`MOTION`].
pub fn motion(driver: &str, line: Line, expected: Expected) -> Option<Box<dyn MotionController>> {
    match driver {
        "pi-gcs2" => Some(Box::new(crate::pi_gcs2::Gcs2::new(line, expected))),
        "zaber-ascii" => Some(Box::new(crate::zaber_ascii::ZaberAscii::new(line, expected))),
        _ => None,
    }
}

/// A power meter by its driver word; `None` where the word is not in [`METERS`].
pub fn meter(driver: &str, line: Line, expected: Expected) -> Option<Box<dyn PowerMeter>> {
    match driver {
        "joinwit-pm" => Some(Box::new(crate::joinwit_pm::JoinwitPm::new(line, expected))),
        "keysight-pm" => Some(Box::new(crate::keysight_pm::KeysightPm::new(line, expected))),
        "thorlabs-pm" => Some(Box::new(crate::thorlabs_pm::ThorlabsPm::new(line, expected))),
        "thorlabs-pm-lan" => Some(Box::new(crate::thorlabs_pm::ThorlabsPm::over_ethernet(line, expected))),
        _ => None,
    }
}

/// A light source by its driver word; `None` where the word is not in [`SOURCES`].
pub fn source(driver: &str, line: Line, expected: Expected) -> Option<Box<dyn LightSource>> {
    match driver {
        "keysight-laser" => Some(Box::new(crate::keysight_laser::KeysightLaser::new(line, expected))),
        "santec-tsl" => Some(Box::new(crate::santec_tsl::SantecTsl::new(line, expected))),
        _ => None,
    }
}

/// An optical switch by its driver word; `None` where the word is not in [`SWITCHES`].
pub fn switch(driver: &str, line: Line, expected: Expected) -> Option<Box<dyn OpticalSwitch>> {
    match driver {
        "dicon-switch" => Some(Box::new(crate::dicon_switch::DiconSwitch::new(line, expected))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{on_virtual_clock, scripted};

    #[test]
    fn every_word_of_the_lists_has_a_driver_and_no_other() {
        on_virtual_clock(async |clock| {
            let line = || scripted(&clock, Vec::new()).0;
            let any = Expected::default;
            assert!(MOTION.iter().all(|w| motion(w, line(), any()).is_some()));
            assert!(METERS.iter().all(|w| meter(w, line(), any()).is_some()));
            assert!(SOURCES.iter().all(|w| source(w, line(), any()).is_some()));
            assert!(SWITCHES.iter().all(|w| switch(w, line(), any()).is_some()));
            assert!(switch("pi-gcs2", line(), any()).is_none());
            assert!(motion("thorlabs-pm", line(), any()).is_none());
            assert!(meter("pi-gcs2", line(), any()).is_none());
            assert!(source("", line(), any()).is_none());
        });
    }
}
