//! Loops that controllers run on their own: integrated lazily, at their servo step, up to the moment when anything of the
//! world is asked. So what they do is a function of time and never of the order of questions.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::world::World;

/// A control loop on the world's axes and light.
pub(crate) trait ControlLoop {
    /// Goes on up to this time, seconds; the same time again does nothing. One that is asking the world itself right now
    /// is up to date already.
    fn run_until(&self, now_s: f64);
}

/// The loops of a world.
#[derive(Clone, Default)]
pub(crate) struct Loops {
    all: Rc<RefCell<Vec<Weak<dyn ControlLoop>>>>,
    running: Rc<Cell<bool>>,
}

impl World {
    /// From now on this loop goes on with the world, for as long as its owner keeps it.
    pub(crate) fn attend(&self, to: Weak<dyn ControlLoop>) {
        let mut all = self.loops.all.borrow_mut();
        all.retain(|l| l.strong_count() > 0);
        all.push(to);
    }

    /// Brings every control loop up to a time, seconds.
    pub(crate) fn advance(&self, now_s: f64) {
        // A loop asks for light on its way, which would begin all over.
        if self.loops.running.replace(true) {
            return;
        }
        let all: Vec<Rc<dyn ControlLoop>> = self.loops.all.borrow().iter().filter_map(Weak::upgrade).collect();
        for each in all {
            each.run_until(now_s);
        }
        self.loops.running.set(false);
    }
}
