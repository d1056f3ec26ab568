//! Where the fibres are: stages with their faults, drift, vibration, glue and contact.

use super::Inner;
use crate::bond::contact::{ContactModel, ContactState};
use crate::bond::epoxy::{History, Phase};
use crate::dither;
use crate::faults::FaultKind;
use crate::mechanics::drift::Switch;
use crate::mechanics::stage::{self, StageAxis};
use crate::mechanics::{AxisState, Pose};

/// A load that rings on unseen: amplitude after a move, um, and frequency, Hz (a loose fibre's: 20 to 100).
const LATE_RING_UM: f64 = 0.5;
const LATE_RING_HZ: f64 = 45.0;

impl Inner {
    /// Where the fibre's end is in the optical frame, and what touching the part has made of it.
    pub(crate) fn pose(&self, now_s: f64) -> (Pose, ContactState) {
        let mut pose = self.commanded(now_s);
        let contact = self.contact.follow(&self.contact_model(), pose.um);
        pose.um = contact.tip_um(&self.contact_model());
        let glue = self.glue_um(now_s);
        for (at, shift) in pose.um.iter_mut().zip(glue) {
            *at += shift;
        }
        (pose, contact)
    }

    /// The same of the fibre at the other end of the unit, where it has one, in that end's optical frame.
    pub(crate) fn second_pose(&self, now_s: f64) -> Option<([f64; 3], ContactState)> {
        let model = self.second_contact_model()?;
        let contact = self.second.contact.follow(&model, self.second_commanded(now_s));
        Some((contact.tip_um(&model), contact))
    }

    pub(crate) fn second_contact_model(&self) -> Option<ContactModel> {
        self.part.second.as_ref().map(|end| ContactModel::fibre(end.contact_um))
    }

    pub(crate) fn contact_model(&self) -> ContactModel {
        ContactModel::fibre(self.part.contact_um)
    }

    /// Where the axes of one stage, or of the second, carry what they carry.
    fn carried(&self, second: bool, now_s: f64) -> Pose {
        let of = self.axes.iter().zip(&self.stage).filter(|(_, (its, _))| *its == second);
        let (stage, positions): (Vec<StageAxis>, Vec<f64>) = of
            .map(|((name, axis), (_, stage))| {
                let dither = dither::displacement(&self.dithers, name, now_s);
                (*stage, axis.load(now_s) + dither + self.late_ring(name, axis, now_s))
            })
            .unzip();
        stage::pose(&stage, &positions)
    }

    /// Where the second stage holds its fibre, um, whatever is in the way.
    fn second_commanded(&self, now_s: f64) -> [f64; 3] {
        let mut um = self.carried(true, now_s).um;
        let drift = self.second.drift.um(now_s, &self.heater());
        let shake = self.second.vibration.as_ref().map_or([0.0; 3], |v| v.um(now_s));
        for (k, at) in um.iter_mut().enumerate() {
            *at += drift[k] + shake[k];
        }
        um
    }

    /// Where the stage holds the fibre, whatever is in the way.
    fn commanded(&self, now_s: f64) -> Pose {
        let mut pose = self.carried(false, now_s);
        if let Some(hexapod) = &self.hexapod {
            let carried = hexapod.optical(&self.plan.axes, now_s);
            for k in 0..3 {
                pose.um[k] += carried.um[k];
                pose.rad[k] += carried.rad[k];
            }
            let ridden = hexapod.ridden(&self.plan.axes, |name| dither::displacement(&self.dithers, name, now_s));
            for (at, by) in pose.um.iter_mut().zip(ridden) {
                *at += by;
            }
        }
        let drift = self.drift.um(now_s, &self.heater());
        let shake = self.vibration.as_ref().map_or([0.0; 3], |v| v.um(now_s));
        for (k, at) in pose.um.iter_mut().enumerate() {
            *at += drift[k] + shake[k];
        }
        pose
    }

    /// Remembers what the fibres have touched up to now.
    pub(crate) fn touch(&mut self, now_s: f64) {
        let to = self.commanded(now_s).um;
        self.contact = self.contact.follow(&self.contact_model(), to);
        if let Some((_, contact)) = self.second_pose(now_s) {
            self.second.contact = contact;
        }
    }

    /// A new part is in the fixture: the fibres have touched nothing of it.
    pub(crate) fn untouched(&mut self, now_s: f64) {
        self.contact = ContactState::new(&self.contact_model(), self.commanded(now_s).um);
        if let Some(model) = self.second_contact_model() {
            self.second.contact = ContactState::new(&model, self.second_commanded(now_s));
        }
        self.lit.clear();
        self.released_s = None;
    }

    fn history(&self) -> History<'_> {
        History { lit: &self.lit, released_s: self.released_s, baked_s: None }
    }

    /// How far the glue is; none before the lamp was ever on.
    pub(crate) fn glue_phase(&self, now_s: f64) -> Option<Phase> {
        (!self.lit.is_empty()).then(|| self.part.glue.phase(&self.history(), now_s))
    }

    /// Shift of the fibre by the glue, um.
    fn glue_um(&self, now_s: f64) -> [f64; 3] {
        if self.lit.is_empty() { [0.0; 3] } else { self.part.glue.shift_um(&self.history(), now_s) }
    }

    /// The curing lamp heats the stage.
    fn heater(&self) -> Vec<Switch> {
        let switches = |l: &crate::bond::epoxy::Lit| {
            let off = (l.to_s.is_finite()).then_some(Switch { at_s: l.to_s, heat: 0.0 });
            std::iter::once(Switch { at_s: l.from_s, heat: l.irradiance }).chain(off)
        };
        self.lit.iter().flat_map(switches).collect()
    }

    /// How far an axis' load is from where its stage holds it while it rings on unseen, um.
    fn late_ring(&self, name: &str, axis: &AxisState, now_s: f64) -> f64 {
        let Some((ms, _)) = self.fault(FaultKind::SlowSettling, name, now_s) else { return 0.0 };
        let rested = axis.rested_s(now_s);
        if !(0.0..10.0).contains(&rested) {
            return 0.0;
        }
        // From half a micrometre down to 20 nm in the time given.
        let decay = (LATE_RING_UM / 0.02).ln() / (ms / 1e3).max(1e-3);
        LATE_RING_UM * (-decay * rested).exp() * (std::f64::consts::TAU * LATE_RING_HZ * rested).cos()
    }
}
