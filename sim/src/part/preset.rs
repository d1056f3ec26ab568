//! The named kinds of worlds, with the magnitudes of their parts.

use crate::bond::epoxy::Epoxy;
use crate::optics::{Mode, fresnel_reflectance};

use super::{Modes, OpticsPlan, PartPlan, Preset, Spread};

/// Presets by name, with one line for people.
pub(crate) const PRESETS: &[(&str, Preset)] = &[
    ("receptacle", Preset::Receptacle),
    ("pigtail", Preset::Pigtail),
    ("edge-array", Preset::EdgeArray),
    ("grating-array", Preset::GratingArray),
    ("multimode", Preset::Multimode),
    ("loopback", Preset::Loopback),
    ("chip", Preset::Chip),
];

/// Standard single-mode fibre at 1310 nm, MFD 9.2 um.
const FIBRE_UM: f64 = 4.6;
/// From the tip of a chip's lensed fibres to their waist, um.
const CHIP_LENS_UM: f64 = 14.0;
/// Index of fused silica at 1310 nm.
const SILICA: f64 = 1.4468;

impl Preset {
    /// What its units are drawn from, on a stage that does not turn.
    pub fn plan(self) -> PartPlan {
        PartPlan {
            preset: self,
            spread: self.spread(),
            optics: self.optics(),
            // Along the bond line towards the fixed part.
            glue: Epoxy::low_shrink(30.0, [0.0, 0.0, -1.0]),
            turns: [false; 3],
        }
    }

    /// How far its parts spread.
    pub fn spread(self) -> Spread {
        let single = Spread {
            focus_xy_um: 40.0,
            focus_z_um: 60.0,
            apart_um: 0.0,
            mode_rel: 0.03,
            tilt_deg: 0.3,
            roll_deg: 0.0,
            lens_loss_db: (0.3, 0.8),
            contact_um: (-250.0, 15.0),
            pitch_error_um: 0.0,
            core_error_um: 0.0,
            bow_um: 0.0,
            port_loss_db: 0.0,
            lever_um: 0.0,
            defect_share: 0.15,
            lot_size: 25,
        };
        let array = Spread {
            focus_xy_um: 30.0,
            focus_z_um: 10.0,
            tilt_deg: 0.4,
            roll_deg: 0.4,
            lens_loss_db: (0.6, 1.2),
            contact_um: (-45.0, 3.0),
            // Grooves: 0.3 um rms a core; a lot's pitch off by up to 0.02 um a channel; chips bowed by up to 1.5 um.
            pitch_error_um: 0.02,
            core_error_um: 0.3,
            bow_um: 0.8,
            port_loss_db: 0.3,
            lever_um: -50.0,
            ..single.clone()
        };
        match self {
            Preset::Receptacle => single,
            Preset::Pigtail => Spread { focus_xy_um: 30.0, focus_z_um: 80.0, lens_loss_db: (1.0, 1.6), ..single },
            Preset::Multimode => Spread { focus_z_um: 40.0, lens_loss_db: (0.3, 0.6), ..single },
            Preset::EdgeArray => array,
            Preset::GratingArray => Spread { lens_loss_db: (3.2, 4.2), ..array },
            // The holder puts a chip's facets to a few micrometres along the light; contact counts from the aligned place: a lens'
            // working distance.
            Preset::Chip => Spread {
                focus_xy_um: 18.0,
                focus_z_um: 3.0,
                apart_um: 3.0,
                lens_loss_db: (1.0, 2.0),
                contact_um: (-CHIP_LENS_UM, 1.0),
                ..single
            },
            Preset::Loopback => Spread { lens_loss_db: (0.6, 1.2), bow_um: 0.4, ..array },
        }
    }

    fn optics(self) -> OpticsPlan {
        let single = OpticsPlan {
            fixed_um: Mode::round(FIBRE_UM),
            fibre_um: FIBRE_UM,
            index: 1.0,
            reflectance: [0.0, 0.0],
            round_trips: 0,
            gap_um: 0.0,
            lensed_um: None,
            neighbours_db: None,
            halo_db: None,
            modes: Modes::Gaussian,
            turn_deg: 25.0,
            lobe_db: 11.0,
            channels: 8,
            pitch_um: 127.0,
            loops: 2,
            aperture_um: 25.0,
            square: false,
            core_um: None,
            speckle_db: 0.0,
            wavelength_um: 1.31,
            map: None,
        };
        let silica = fresnel_reflectance(SILICA, 1.0);
        // A spot-size converter's mode; its facet coated to 3 %.
        let edge = OpticsPlan {
            fixed_um: Mode { x_um: 4.4, y_um: 4.0 },
            reflectance: [0.03, silica],
            round_trips: 4,
            gap_um: 15.0,
            halo_db: Some(40.0),
            ..single.clone()
        };
        match self {
            Preset::Receptacle => single,
            Preset::Pigtail => OpticsPlan { halo_db: Some(42.0), ..single },
            Preset::EdgeArray => edge,
            // The fibre stands 20 um over the gratings, where its light belongs: no ripple to speak of.
            Preset::GratingArray => {
                OpticsPlan { fixed_um: Mode { x_um: 4.4, y_um: 4.9 }, gap_um: 20.0, pitch_um: 250.0, ..single }
            }
            Preset::Multimode => OpticsPlan {
                fixed_um: Mode::round(14.0),
                aperture_um: 25.0,
                speckle_db: 0.03,
                wavelength_um: 0.85,
                ..single
            },
            Preset::Loopback => edge,
            // Converters and lensed fibres of about the same mode, coated and cut at an angle: no ripple.
            Preset::Chip => OpticsPlan {
                fixed_um: Mode { x_um: 2.6, y_um: 2.4 },
                fibre_um: 2.5,
                lensed_um: Some(CHIP_LENS_UM),
                ..single
            },
        }
    }
}
