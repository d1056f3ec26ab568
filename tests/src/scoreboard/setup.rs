//! What a search may know of each landscape beforehand: nominal optics and how far off things usually are.

use std::f64::consts::{E, TAU};

use station::search::classical::{self, Aim};
use station::search::engine::{self, End, Hills, Setup};

use super::chip;
use super::scene::{Nominal, Objective};

/// Standard deviation of what is uniform within one to either side.
const UNIFORM: f64 = 0.577_350_269_189_625_8;

/// Expected loss at which the engine stops, dB.
const TOLERANCE_DB: f64 = 0.01;

/// Relative uncertainty of a mode radius on a data sheet: what a search is told of foreign scenes. Definitions of the
/// mode field diameter alone disagree by 15 to 20 % for modes that are not Gaussian.
const SHEET_RADIUS_SD: f64 = 0.2;

/// By how much such light may fall off faster on one side of its peak than on the other.
const SHEET_SKEW_SD: f64 = 0.12;

/// By how much it may fall off faster along it, of the log of the scale.
const SHEET_DEPTH_SD: f64 = 0.1;

/// The share of how far down a reading is that such light may differ from two Gaussian modes' by.
const SHEET_SHAPE: f64 = 0.045;

/// Setup of the engine for a landscape, a foreign scene or a map.
pub fn engine(nominal: &Nominal) -> Setup {
    let told = match nominal.name.as_str() {
        "map" => return map(nominal),
        "foreign:ellipse5d" => "edge5d",
        "foreign:bowed8" => "array8",
        name => name,
    };
    let setup = known(nominal, told);
    let foreign = nominal.name.starts_with("foreign:");
    if !foreign {
        return setup;
    }
    let radius_sd = setup.radius_sd.max(SHEET_RADIUS_SD);
    Setup {
        radius_sd,
        shape: SHEET_SHAPE,
        depth_sd: if setup.channels_um.len() == 1 { SHEET_DEPTH_SD } else { 0.0 },
        skew_sd: if setup.channels_um.len() == 1 { SHEET_SKEW_SD } else { 0.0 },
        turned: setup.channels_um.len() == 1,
        tolerance_db: TOLERANCE_DB,
        ..setup
    }
}

/// What there may be beside a map's main peak: anything, anywhere in it.
pub fn hills(nominal: &Nominal) -> Option<Hills> {
    let radius_um = nominal.reach[0].max(nominal.reach[1]);
    let none = Hills { radius_um, lobe_db: 30.0, halo_db: 30.0, dimming_db: 0.0 };
    (nominal.name == "map").then_some(none)
}

/// A map's light: single-mode, of the widths that its data sheet says, anywhere in the map.
fn map(nominal: &Nominal) -> Setup {
    let radius = nominal.width[0];
    let known = known(nominal, "map");
    // Two equal modes couple 1 / (1 + (wavelength z / (2 pi w^2))^2), which is 1 / e at the width along the light.
    let by_depth = TAU * radius * radius * (E - 1.0).sqrt() / nominal.width[2];
    Setup {
        wavelength_um: if nominal.axes.len() > 2 { by_depth } else { known.wavelength_um },
        level_dbm: known.level_dbm - nominal.loss_db,
        emitter_radius_um: radius,
        receiver_radius_um: radius,
        radius_sd: SHEET_RADIUS_SD,
        shape: SHEET_SHAPE,
        skew_sd: SHEET_SKEW_SD,
        depth_sd: SHEET_DEPTH_SD,
        turned: true,
        gap_um: 0.0,
        search: nominal.reach.map(|r| r * UNIFORM),
        walk_sd: if nominal.axes.len() > 2 { 0.052 * UNIFORM } else { 0.0 },
        ..known
    }
}

fn known(nominal: &Nominal, name: &str) -> Setup {
    let single = Setup {
        wavelength_um: nominal.wavelength_um,
        emitter_radius_um: 5.2,
        receiver_radius_um: 5.2,
        radius_sd: 0.03 * UNIFORM,
        turned: false,
        gap_um: 0.0,
        offset: [0.0; 6],
        search: [0.0; 6],
        width: nominal.width,
        level_dbm: -1.5,
        level_sd_db: 1.5 * UNIFORM,
        rotation_sd_deg: 3.0 * UNIFORM,
        shear_sd_deg: 0.3 * UNIFORM,
        pivot_sd_um: [0.0; 3],
        walk_sd: 0.0,
        channels_um: vec![0.0],
        core_sd_um: 0.0,
        gain_sd_db: 0.0,
        fringe: None,
        aperture_um: None,
        centre_um: 0.78,
        shape: 0.012,
        skew_sd: 0.0,
        depth_sd: 0.0,
        ripple_db: 0.0,
        hills: None,
        spiral_um: None,
        second: None,
        objective: match nominal.objective {
            Objective::Mean => engine::Objective::Sum,
            Objective::Least => engine::Objective::Weakest,
        },
        tell_order: false,
        tolerance_db: TOLERANCE_DB,
        readings_max: nominal.budget,
    };
    // Lateral standard deviations are those of the radius' distribution along one axis.
    match name {
        "smf3d" => Setup {
            tolerance_db: 0.02,
            search: [6.1, 6.1, 60.0 * UNIFORM, 0.0, 0.0, 0.0],
            // tan 3 degrees, uniform.
            walk_sd: 0.052 * UNIFORM,
            ..single
        },
        chip::NAME => Setup {
            tolerance_db: 0.02,
            emitter_radius_um: chip::CHIP_W,
            receiver_radius_um: chip::FIBRE_W[0],
            // Of a start that has light through both ends neither is far out.
            search: [5.0, 5.0, 60.0 * UNIFORM, 5.0, 5.0, 60.0 * UNIFORM],
            level_dbm: -1.5 - chip::mismatches_db().iter().sum::<f64>(),
            walk_sd: 0.052 * UNIFORM,
            second: Some(End {
                emitter_radius_um: chip::CHIP_W,
                receiver_radius_um: chip::FIBRE_W[1],
                radius_sd: 0.03 * UNIFORM,
                gap_um: 0.0,
                rotation_sd_deg: 3.0 * UNIFORM,
                shear_sd_deg: 0.3 * UNIFORM,
                walk_sd: 0.052 * UNIFORM,
            }),
            ..single
        },
        "edge5d" => Setup {
            tolerance_db: 0.02,
            emitter_radius_um: 1.5,
            receiver_radius_um: 1.5,
            radius_sd: 0.1 * UNIFORM,
            search: [1.63, 1.63, 8.0 * UNIFORM, 4.0 * UNIFORM, 4.0 * UNIFORM, 0.0],
            pivot_sd_um: [30.0 * UNIFORM, 30.0 * UNIFORM, 60.0 * UNIFORM],
            ..single
        },
        "array8" | "array8min" => Setup {
            emitter_radius_um: 4.6,
            receiver_radius_um: 4.6,
            search: [3.27, 3.27, 40.0 * UNIFORM, UNIFORM, UNIFORM, 0.5 * UNIFORM],
            rotation_sd_deg: UNIFORM,
            pivot_sd_um: [0.0, 0.0, 200.0 * UNIFORM],
            // The weakest channel loses more than the sum by the same error.
            tolerance_db: if name == "array8" { 0.027 } else { 0.017 },
            channels_um: (0..8).map(|i| (f64::from(i) - 3.5) * 127.0).collect(),
            core_sd_um: 0.3,
            gain_sd_db: 0.15,
            ..single
        },
        "firstlight" => Setup {
            gap_um: 15.0,
            search: [50.0, 50.0, 0.0, 0.0, 0.0, 0.0],
            spiral_um: Some(100.0),
            tolerance_db: 0.02,
            ..single
        },
        "multimode" => Setup {
            emitter_radius_um: 14.0,
            receiver_radius_um: 14.0,
            radius_sd: 0.05 * UNIFORM,
            search: [18.7, 18.7, 0.0, 0.0, 0.0, 0.0],
            aperture_um: Some(25.0),
            ripple_db: 0.015,
            ..single
        },
        "foreign:lobe2d" => Setup {
            gap_um: 15.0,
            search: [6.1, 6.1, 0.0, 0.0, 0.0, 0.0],
            hills: Some(Hills { radius_um: 15.0, lobe_db: 8.0, halo_db: 30.0, dimming_db: 0.2 }),
            ..single
        },
        "rugged" => Setup {
            // Lobes 8 to 16 dB down, a halo 32 dB down, and the fringes' depth with the defocus of 20 um.
            hills: Some(Hills { radius_um: 25.0, lobe_db: 8.0, halo_db: 32.0, dimming_db: 0.5 }),
            search: [12.5, 12.5, 20.0 * UNIFORM, 0.0, 0.0, 0.0],
            walk_sd: 0.0175 * UNIFORM,
            fringe: Some((0.075, nominal.wavelength_um / 2.0)),
            ..single
        },
        "smf2d" => Setup { gap_um: 15.0, search: [6.1, 6.1, 0.0, 0.0, 0.0, 0.0], tolerance_db: 0.02, ..single },
        _ => Setup { gap_um: 15.0, search: [6.1, 6.1, 0.0, 0.0, 0.0, 0.0], ..single },
    }
}

/// Setup of the classical methods for a landscape.
pub fn classical(nominal: &Nominal) -> classical::Setup {
    let d = nominal.axes.len();
    classical::Setup {
        scale: nominal.scale[..d].to_vec(),
        width: nominal.width[..d].to_vec(),
        reach: nominal.reach[..d].to_vec(),
        aim: match nominal.objective {
            Objective::Mean => Aim::Mean,
            Objective::Least => Aim::Weakest,
        },
    }
}
