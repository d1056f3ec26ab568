//! What a simulated world really is, for reports: never seen by an instrument, never in the log.

use serde_json::{Value, json};
use sim::BackDoor;

/// The unit in the fixture and where everything is, now; with the loss there was when the loss was measured.
pub(crate) fn document(door: &BackDoor, true_loss_db: Option<f64>) -> Value {
    let (part, truth) = (door.part(), door.truth());
    json!({
        "unit": truth.unit,
        "lot": truth.lot,
        "defect": part.defect.map(sim::Defect::as_str),
        "aligned_um": truth.focus_um,
        "aligned_rad": truth.focus_rad,
        "best_loss_db": truth.best_loss_db,
        "true_loss_db": true_loss_db,
        "fibre_um": truth.fibre_um,
        "fibre_rad": truth.fibre_rad,
        "second_um": truth.second_um.map(|[um, _]| um),
        "second_aligned_um": truth.second_um.map(|[_, aligned]| aligned),
        "lane_loss_db": truth.lane_loss_db,
        "contact_um": part.contact_um,
        "overtravel_um": truth.overtravel_um,
        "scratch_db": truth.scratch_db,
        "source_on": truth.source_on,
        "touching": truth.touching,
        "moving": truth.moving,
    })
}
