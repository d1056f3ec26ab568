//! Stages and their counts: a channel is `1:STAGE`, with the stage's name or its counts per mm (or degree). Pure.
//!
//! Source: the tables of pylablib and of Thorlabs' protocol document; travels by the names.

/// What a controller drives, by its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Dc,
    Brushless,
    Stepper,
    Piezo,
    NanoTrak,
}

/// What a model drives, and whether it is a rack; `None` for a model that this driver does not know.
pub(super) fn class(model: &str) -> Option<(Class, bool)> {
    let model = model.to_ascii_uppercase();
    let begins = |words: &[&str]| words.iter().any(|w| model.starts_with(w));
    // BSC001 and BSC002 are units on their own.
    let rack = begins(&["BBD", "BSC1", "BSC2"]);
    let class = match () {
        () if begins(&["KDC", "TDC"]) => Class::Dc,
        () if begins(&["KBD", "TBD", "BBD"]) => Class::Brushless,
        () if begins(&["KST", "BSC2", "TST101"]) => Class::Stepper,
        () if begins(&["KPZ", "TPZ"]) => Class::Piezo,
        () if begins(&["KNA", "TNA", "BNT"]) => Class::NanoTrak,
        () => return None,
    };
    Some((class, rack))
}

/// Velocity and acceleration words of 1 count/s and 1 count/s^2.
pub(super) fn words(class: Class) -> (f64, f64) {
    // pylablib for steppers; servos: 65536 times the servo period, 2048 / 6 MHz or 102.4 us.
    let servo = |period: f64| (65_536.0 * period, 65_536.0 * period * period);
    match class {
        Class::Stepper => (53.68, 53.68 * 204.94e-6),
        Class::Brushless => servo(102.4e-6),
        _ => servo(2048.0 / 6e6),
    }
}

/// A stage: counts per mm or degree, and its travel where the name tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) counts: f64,
    /// mm or degrees.
    pub(super) travel: Option<f64>,
}

const fn stage(name: &'static str, counts: f64, travel: f64) -> Stage {
    Stage { name, counts, travel: Some(travel) }
}

const STAGES: &[Stage] = &[
    stage("MTS25-Z8", 34_304.0, 25.0),
    stage("MTS50-Z8", 34_304.0, 50.0),
    stage("Z806", 34_304.0, 6.0),
    stage("Z812", 34_304.0, 12.0),
    stage("Z825", 34_304.0, 25.0),
    stage("Z606", 24_600.0, 6.0),
    stage("Z612", 24_600.0, 12.0),
    stage("Z625", 24_600.0, 25.0),
    Stage { name: "PRM1-Z8", counts: 1_919.641_857_862_339, travel: None },
    stage("DDSM50", 2_000.0, 50.0),
    stage("DDSM100", 2_000.0, 100.0),
    stage("DDS220", 20_000.0, 220.0),
    stage("DDS300", 20_000.0, 300.0),
    stage("DDS600", 20_000.0, 600.0),
    Stage { name: "MLS203", counts: 20_000.0, travel: None },
    stage("DRV001", 819_200.0, 8.0),
    stage("DRV013", 409_600.0, 25.0),
    stage("DRV014", 409_600.0, 50.0),
    stage("LTS150", 409_600.0, 150.0),
    stage("LTS300", 409_600.0, 300.0),
    stage("NRT100", 409_600.0, 100.0),
    stage("NRT150", 409_600.0, 150.0),
    stage("ZST206", 2_008_645.63, 6.0),
    stage("ZST213", 2_008_645.63, 13.0),
    stage("ZST225", 2_008_645.63, 25.0),
    stage("ZFS206", 2_184_533.33, 6.0),
    stage("ZFS213", 2_184_533.33, 13.0),
    stage("ZFS225", 2_184_533.33, 25.0),
];

/// Stages by the numbers that servo K-Cubes tell in their identity (pylablib).
const NUMBERED: &[(u16, &str)] =
    &[(6, "PRM1-Z8"), (7, "MTS25-Z8"), (8, "MTS50-Z8"), (9, "Z825"), (10, "Z812"), (11, "Z806")];

/// The stage that a servo K-Cube says it has; `None` where it says nothing known.
pub(super) fn numbered(id: u16) -> Option<Stage> {
    let (_, name) = NUMBERED.iter().find(|(number, _)| *number == id)?;
    STAGES.iter().find(|s| s.name == *name).copied()
}

/// A channel's number and its stage.
pub(super) fn channel(text: &str) -> Option<(u8, Option<Stage>)> {
    let (number, stage) = match text.split_once(':') {
        None => (text, None),
        Some((number, stage)) => {
            let named = STAGES.iter().find(|s| s.name.eq_ignore_ascii_case(stage.trim())).copied();
            let counted = || stage.trim().parse::<f64>().ok().filter(|c| c.is_finite() && *c > 0.0);
            (number, Some(named.or_else(|| counted().map(|counts| Stage { name: "", counts, travel: None }))?))
        }
    };
    let number = number.trim().parse().ok().filter(|n| (1..=10).contains(n))?;
    Some((number, stage))
}
