//! The back door: loads units, reads the truth, injects faults. Kept apart from every protocol; nothing a device says
//! comes from here.

use crate::bond::contact::{ContactModel, ContactState};
use crate::bond::epoxy::{Lit, Phase};
use crate::faults::Fault;
use crate::part::{Part, mean_db};
use crate::world::{Ordered, Patch, World};

/// The truth at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Number of the unit in the fixture, and of its lot.
    pub unit: u64,
    /// Number of its lot.
    pub lot: u64,
    /// Where the fibre's end is in the optical frame, um.
    pub fibre_um: [f64; 3],
    /// Rotation vector of the fibre, rad.
    pub fibre_rad: [f64; 3],
    /// Where the aligned place is, um.
    pub focus_um: [f64; 3],
    /// The aligned turn, rad.
    pub focus_rad: [f64; 3],
    /// Where the fibre at the other end of the unit is, and where it is aligned, um in that end's optical frame.
    pub second_um: Option<[[f64; 3]; 2]>,
    /// Loss from launched to coupled power here on the first lane, dB.
    pub loss_db: f64,
    /// The same on every lane.
    pub lane_loss_db: Vec<f64>,
    /// The least loss that the unit can have on its first lane, dB.
    pub best_loss_db: f64,
    /// Loss of the mean power of all lanes here, dB.
    pub mean_loss_db: f64,
    /// Power launched towards the unit, W.
    pub launched_w: f64,
    /// The laser gives light.
    pub source_on: bool,
    /// Fibre and part touch, at any end.
    pub touching: bool,
    /// Force between them, N; the greater one of two ends.
    pub force_n: f64,
    /// How far a fibre was ever pressed into this part, um, as seen at readings and at calls of this.
    pub overtravel_um: f64,
    /// Loss of the scratches that this has left, dB.
    pub scratch_db: f64,
    /// How far the glue is; none before the lamp was on.
    pub glue: Option<Phase>,
    /// Any axis is under way.
    pub moving: bool,
}

/// The way to a world past its protocols.
#[derive(Clone)]
pub struct BackDoor {
    world: World,
}

impl World {
    /// The back door of this world.
    pub fn backdoor(&self) -> BackDoor {
        BackDoor { world: self.clone() }
    }
}

impl BackDoor {
    /// Puts the next unit into the fixture and gives it as it really is. The first call on a fresh world gives unit 1,
    /// which is there already. The stage is not touched.
    pub fn load_next_unit(&self) -> Part {
        let now = self.world.now_s();
        let mut inner = self.world.inner.borrow_mut();
        if !std::mem::take(&mut inner.fresh) {
            let number = inner.part.number + 1;
            inner.part = Part::draw(inner.seed, number, &inner.plan.parts, inner.defects);
            inner.untouched(now);
        }
        inner.orders.clear();
        inner.loaded_s.get_or_insert(now);
        inner.part.clone()
    }

    /// Puts the unit after the present one into the fixture.
    pub fn next_unit(&self) -> Part {
        self.world.inner.borrow_mut().fresh = false;
        self.load_next_unit()
    }

    /// Times of faults count from now.
    pub fn begin(&self) {
        let now = self.world.now_s();
        self.world.inner.borrow_mut().loaded_s.get_or_insert(now);
    }

    /// Puts a unit of one's own making into the fixture.
    pub fn load(&self, part: Part) {
        let now = self.world.now_s();
        let mut inner = self.world.inner.borrow_mut();
        inner.fresh = false;
        inner.part = part;
        inner.untouched(now);
    }

    /// The truth now.
    pub fn truth(&self) -> Truth {
        let now = self.world.now_s();
        self.world.advance(now);
        let mut inner = self.world.inner.borrow_mut();
        crate::dither::advance(&mut inner, now);
        inner.touch(now);
        let (pose, contact) = inner.pose(now);
        let model = inner.contact_model();
        let lane_loss_db = inner.lane_loss_db(now);
        let mut touched = vec![(contact, model)];
        let second = inner.second_pose(now);
        touched.extend(second.zip(inner.second_contact_model()).map(|((_, contact), model)| (contact, model)));
        let most =
            |of: fn(&ContactState, &ContactModel) -> f64| touched.iter().map(|(c, m)| of(c, m)).fold(0.0, f64::max);
        Truth {
            unit: inner.part.number,
            lot: inner.part.lot,
            fibre_um: pose.um,
            fibre_rad: pose.rad,
            focus_um: inner.part.aligned.um,
            focus_rad: inner.part.aligned.rad,
            loss_db: lane_loss_db.first().copied().unwrap_or(f64::INFINITY),
            mean_loss_db: mean_db(&lane_loss_db),
            lane_loss_db,
            best_loss_db: inner.part.best_loss_db(inner.source.wavelength_um),
            launched_w: inner.launched_w(now),
            source_on: inner.laser_w(now) > 0.0,
            second_um: second.zip(inner.part.second.as_ref()).map(|((um, _), end)| [um, end.aligned_um]),
            touching: touched.iter().any(|(contact, model)| contact.touches(model)),
            force_n: most(ContactState::force_n),
            overtravel_um: most(|contact, _| contact.deepest_um()),
            scratch_db: touched.iter().map(|(contact, model)| contact.scratch_db(model)).sum(),
            glue: inner.glue_phase(now),
            moving: inner.axes.values().any(|a| a.moving(now))
                || inner.hexapod.as_ref().is_some_and(|h| h.state.moving(now)),
        }
    }

    /// What the alignment leaves against the best one of this unit, dB: of an array by the mean power of all lanes.
    pub fn left_db(&self) -> f64 {
        let truth = self.truth();
        if truth.lane_loss_db.len() < 2 {
            return truth.loss_db - truth.best_loss_db;
        }
        let inner = self.world.inner.borrow();
        truth.mean_loss_db - inner.part.best_for_all_lanes(inner.source.wavelength_um).1
    }

    /// Switches the curing lamp on at an irradiance (share of the rated one), or off.
    pub fn lamp(&self, irradiance: Option<f64>) {
        let now = self.world.now_s();
        let mut inner = self.world.inner.borrow_mut();
        if let Some(lit) = inner.lit.last_mut() {
            lit.to_s = lit.to_s.min(now);
        }
        if let Some(irradiance) = irradiance {
            inner.lit.push(Lit { from_s: now, to_s: f64::INFINITY, irradiance });
        }
    }

    /// The gripper lets go of the part.
    pub fn release(&self) {
        let now = self.world.now_s();
        self.world.inner.borrow_mut().released_s = Some(now);
    }

    /// What the stages were told over their lines since the unit was loaded (the last of it), in the order of time.
    pub fn orders(&self) -> Vec<Ordered> {
        self.world.inner.borrow().orders.iter().cloned().collect()
    }

    /// Loss of each lane now, scratches included, dB: one look.
    pub fn lane_loss_db(&self) -> Vec<f64> {
        let now = self.world.now_s();
        self.world.inner.borrow().lane_loss_db(now)
    }

    /// How often light was sent through a part since the world began.
    pub fn looks(&self) -> u64 {
        self.world.inner.borrow().looks.get()
    }

    /// The unit in the fixture as it really is.
    pub fn part(&self) -> Part {
        self.world.inner.borrow().part.clone()
    }

    /// Adds a fault to come.
    pub fn inject(&self, fault: Fault) {
        self.world.inner.borrow_mut().faults.push(fault);
    }

    /// Takes away every fault equal to this one.
    pub fn clear(&self, fault: &Fault) {
        self.world.inner.borrow_mut().faults.retain(|f| f != fault);
    }

    /// Connects the signal meter to the unit or to the reference patch cord.
    pub fn patch(&self, patch: Patch) {
        self.world.inner.borrow_mut().patch = patch;
    }
}
