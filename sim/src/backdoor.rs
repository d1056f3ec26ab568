//! The back door: loads units, reads the truth, injects faults. Kept apart from every protocol; nothing a device says
//! comes from here.

use crate::faults::Fault;
use crate::part::Part;
use crate::world::{Ordered, Patch, World};

/// The truth at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Number of the unit in the fixture.
    pub unit: u64,
    /// Where the fibre's end is in the optical frame, um.
    pub fibre_um: [f64; 3],
    /// Where the beam's focus is, um.
    pub focus_um: [f64; 3],
    /// Loss from launched to coupled power here, dB.
    pub loss_db: f64,
    /// The least loss the unit can have, dB.
    pub best_loss_db: f64,
    /// Power launched towards the unit, W.
    pub launched_w: f64,
    /// The laser gives light.
    pub source_on: bool,
    /// Fibre and part touch.
    pub touching: bool,
    /// How far the fibre was ever pressed into this part, um, as seen at readings and at calls of this.
    pub overtravel_um: f64,
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
            let mode = inner.plan.preset.mode_um();
            inner.part = Part::draw(inner.seed, number, &inner.plan.parts, mode, inner.defects);
            inner.overtravel_um = 0.0;
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
        let mut inner = self.world.inner.borrow_mut();
        inner.fresh = false;
        inner.part = part;
        inner.overtravel_um = 0.0;
    }

    /// The truth now.
    pub fn truth(&self) -> Truth {
        let now = self.world.now_s();
        self.world.advance(now);
        let mut inner = self.world.inner.borrow_mut();
        let (fibre_um, pressed) = inner.fibre_um(now);
        inner.overtravel_um = inner.overtravel_um.max(pressed);
        let wavelength = inner.source.wavelength_um;
        Truth {
            unit: inner.part.number,
            fibre_um,
            focus_um: inner.part.focus_um,
            loss_db: inner.part.loss_at(wavelength, fibre_um),
            best_loss_db: inner.part.best_loss_db(wavelength),
            launched_w: inner.launched_w(now),
            source_on: inner.laser_w(now) > 0.0,
            touching: pressed > 0.0,
            overtravel_um: inner.overtravel_um,
            moving: inner.axes.values().any(|a| a.moving(now))
                || inner.hexapod.as_ref().is_some_and(|h| h.state.moving(now)),
        }
    }

    /// What the stages were told over their lines since the unit was loaded (the last of it), in the order of time.
    pub fn orders(&self) -> Vec<Ordered> {
        self.world.inner.borrow().orders.iter().cloned().collect()
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
