//! Models of APT controllers and stages: what differs from one to the next. From the fact sheet and from the tables of
//! pylablib and thorlabs-apt-device. Pure.

/// What a controller drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A brushed servo motor.
    Dc,
    /// A brushless servo motor.
    Brushless,
    /// A stepper motor.
    Stepper,
    /// A piezo.
    Piezo,
    /// Two piezos that circle on the light.
    NanoTrak,
}

/// One model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Model {
    pub(super) name: &'static str,
    /// First two digits of its serial numbers.
    pub(super) prefix: u32,
    /// Hardware type in its identity (16 brushed, 44 brushless; others not on the sheet).
    pub(super) hardware: u16,
    pub(super) class: Class,
    /// A rack with bays, and not a unit on its own.
    pub(super) rack: bool,
    /// An older T-Cube: it also takes what is meant for a rack and its first bay, as thorlabs-apt-device addresses it.
    pub(super) any_address: bool,
    /// Whether its channels are enabled at power-on.
    pub(super) enabled: bool,
    /// Stage taken where none is named.
    pub(super) stage: &'static str,
}

const fn model(name: &'static str, prefix: u32, hardware: u16, class: Class, stage: &'static str) -> Model {
    Model { name, prefix, hardware, class, rack: false, any_address: false, enabled: true, stage }
}

pub(super) const MODELS: &[Model] = &[
    model("KDC101", 27, 16, Class::Dc, "MTS50-Z8"),
    Model { any_address: true, ..model("TDC001", 83, 16, Class::Dc, "MTS50-Z8") },
    Model { enabled: false, ..model("KBD101", 28, 44, Class::Brushless, "DDSM100") },
    Model { enabled: false, rack: true, ..model("BBD201", 73, 44, Class::Brushless, "DDS220") },
    Model { enabled: false, rack: true, ..model("BBD203", 73, 44, Class::Brushless, "DDS220") },
    model("KST101", 26, 16, Class::Stepper, "ZST213"),
    Model { rack: true, ..model("BSC201", 40, 16, Class::Stepper, "DRV014") },
    Model { rack: true, ..model("BSC203", 70, 16, Class::Stepper, "DRV014") },
    model("KPZ101", 29, 16, Class::Piezo, ""),
    Model { any_address: true, ..model("TPZ001", 81, 16, Class::Piezo, "") },
    model("KNA101", 57, 16, Class::NanoTrak, ""),
    Model { any_address: true, ..model("TNA001", 82, 16, Class::NanoTrak, "") },
    model("BNT001", 22, 16, Class::NanoTrak, ""),
];

impl Model {
    /// The model of a name, which may have more behind it (`KDC101/M`); without a name the first of the list.
    pub(super) fn named(name: Option<&str>) -> Option<Model> {
        let Some(name) = name else { return MODELS.first().copied() };
        let name = name.trim().to_ascii_uppercase();
        MODELS.iter().find(|m| name.starts_with(m.name)).copied()
    }

    /// Servo period, s: velocities are told in counts per period, and set in 1/65536 of them.
    pub(super) fn servo_s(&self) -> f64 {
        match self.class {
            Class::Brushless => 102.4e-6,
            _ => 2048.0 / 6e6,
        }
    }

    /// Velocity and acceleration words of 1 count/s and 1 count/s^2.
    pub(super) fn words(&self) -> (f64, f64) {
        match self.class {
            // pylablib: 53.68 and 53.68 * 204.94e-6.
            Class::Stepper => (53.68, 53.68 * 204.94e-6),
            _ => (self.servo_s() * 65_536.0, self.servo_s().powi(2) * 65_536.0),
        }
    }

    /// Whether direction 1, which the sheet calls forward, is that of falling counts. Both clients found it so on brushed
    /// servos (thorlabs-apt-device inverts it, pylablib calls it backward), and thorlabs-apt-device not on others.
    pub(super) fn forward_falls(&self) -> bool {
        self.class == Class::Dc
    }
}

/// One stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    /// Encoder counts or microsteps per mm (or degree).
    pub(super) counts: f64,
    /// Number by which a servo K-Cube tells it in its identity (pylablib); 0 for others.
    pub(super) id: u16,
}

const fn stage(name: &'static str, counts: f64, id: u16) -> Stage {
    Stage { name, counts, id }
}

const STAGES: &[Stage] = &[
    stage("MTS25-Z8", 34_304.0, 7),
    stage("MTS50-Z8", 34_304.0, 8),
    stage("Z825", 34_304.0, 9),
    stage("Z812", 34_304.0, 10),
    stage("Z806", 34_304.0, 11),
    stage("Z606", 24_600.0, 0),
    stage("Z612", 24_600.0, 0),
    stage("Z625", 24_600.0, 0),
    stage("PRM1-Z8", 1_919.641_857_862_339, 6),
    stage("DDSM50", 2_000.0, 0),
    stage("DDSM100", 2_000.0, 0),
    stage("DDS220", 20_000.0, 0),
    stage("DDS300", 20_000.0, 0),
    stage("DDS600", 20_000.0, 0),
    stage("MLS203", 20_000.0, 0),
    stage("DRV001", 819_200.0, 0),
    stage("DRV013", 409_600.0, 0),
    stage("DRV014", 409_600.0, 0),
    stage("LTS150", 409_600.0, 0),
    stage("LTS300", 409_600.0, 0),
    stage("NRT100", 409_600.0, 0),
    stage("NRT150", 409_600.0, 0),
    stage("ZST206", 2_008_645.63, 0),
    stage("ZST213", 2_008_645.63, 0),
    stage("ZST225", 2_008_645.63, 0),
    stage("ZFS206", 2_184_533.33, 0),
    stage("ZFS213", 2_184_533.33, 0),
    stage("ZFS225", 2_184_533.33, 0),
];

impl Stage {
    /// A stage by name, or by its counts per mm.
    pub(super) fn named(text: &str) -> Option<Stage> {
        let text = text.trim();
        if let Some(found) = STAGES.iter().find(|s| s.name.eq_ignore_ascii_case(text)) {
            return Some(*found);
        }
        let counts = text.parse::<f64>().ok().filter(|c| c.is_finite() && *c > 0.0)?;
        Some(Stage { name: "", counts, id: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_sheet_come_out() {
        let model = Model::named(Some("KDC101")).unwrap();
        let counts = Stage::named("MTS50-Z8").unwrap().counts;
        assert_eq!(1.25 * counts, 42_880.0);
        // "velocity word 0x000bb587 = 767367 = 1 mm/s"
        assert_eq!((counts * model.words().0).floor(), 767_367.0);
    }

    #[test]
    fn every_model_has_a_stage_of_the_table_if_it_drives_one() {
        for model in MODELS {
            let motor = matches!(model.class, Class::Dc | Class::Brushless | Class::Stepper);
            assert_eq!(Stage::named(model.stage).is_some(), motor, "{}", model.name);
            assert_eq!(Model::named(Some(model.name)), Some(*model));
        }
        assert_eq!(Model::named(Some("C-884")), None);
        assert_eq!(Stage::named("-3"), None);
        assert_eq!(Stage::named("34304").map(|s| s.counts), Some(34_304.0));
    }
}
