//! The hexapod of a world: what moves the bench axes that are wired to a hexapod controller, and controllers that stand
//! in a world of their own.

use std::collections::BTreeMap;

use crate::config::{AxisPlan, Role, Simulation, Wiring};
use crate::faults::FaultKind;
use crate::mechanics::Pose;
use crate::mechanics::hexapod::{Hexapod, HexapodState, Obstacle, tip};
use crate::mechanics::stage::Motion;
use crate::noise::Stream;
use crate::world::{Inner, SourceTruth, World};

/// Names of a hexapod's axes in the General Command Set.
pub(crate) const AXES: [&str; 6] = ["X", "Y", "Z", "U", "V", "W"];
/// Where the platform holds the fibre's end, mm: above its middle, as an alignment head does.
const TIP_MM: [f64; 3] = [0.0, 0.0, 50.0];
/// Travel of a closed-loop piezo stage (P-616 class), um.
const PIEZO_TRAVEL_UM: f64 = 100.0;
/// No piezo stage of an alignment head goes farther, um: an axis planned with more is a screw's.
const PIEZO_TRAVEL_MAX_UM: f64 = 2000.0;

/// A hexapod in the world.
pub(crate) struct WorldHexapod {
    pub(crate) state: HexapodState,
    /// Bench name of each axis, X to W; one that has none adds nothing to the optical position.
    names: [Option<String>; 6],
    stuck: bool,
}

/// Whether a model is a hexapod's controller.
pub(crate) fn is_hexapod(model: Option<&str>) -> bool {
    model.is_some_and(|m| m.to_ascii_uppercase().starts_with("C-887"))
}

/// Whether a model drives piezo axes.
pub(crate) fn is_piezo(model: Option<&str>) -> bool {
    model.is_some_and(|m| m.to_ascii_uppercase().starts_with("E-712"))
}

/// The first hexapod of a wiring, at the pose that its axes are planned to start at.
pub(crate) fn hexapod(plan: &Simulation, wiring: &Wiring, seed: u64) -> Option<WorldHexapod> {
    let wired = wiring.instruments.iter().find(|i| i.kind == "pi-gcs2" && is_hexapod(i.model.as_deref()))?;
    let Role::Motion { axes } = &wired.role else { return None };
    let names = AXES.map(|a| axes.iter().find(|(_, channel)| channel == a).map(|(bench, _)| bench.clone()));
    let mut start = [0.0; 6];
    for (k, name) in names.iter().enumerate().take(3) {
        let planned = name.as_ref().and_then(|n| plan.axes.get(n));
        start[k] = planned.map_or(0.0, |p| p.start_um / 1000.0);
    }
    let model = Hexapod::alignment();
    // A start that the platform cannot have is none.
    let start = if model.reachable(&start, [0.0; 3]).is_ok() { start } else { [0.0; 6] };
    let noise = Stream::new(seed, &format!("hexapod {}", wired.name));
    Some(WorldHexapod { state: HexapodState::new(model, noise, start), names, stuck: false })
}

/// The plan as it is wired: with the travel of a piezo where a piezo
/// controller drives what is planned as a screw.
pub(crate) fn wired_axes(mut plan: Simulation, wiring: &Wiring) -> Simulation {
    for instrument in wiring.instruments.iter().filter(|i| i.kind == "pi-gcs2") {
        let Role::Motion { axes } = &instrument.role else { continue };
        if !is_piezo(instrument.model.as_deref()) {
            continue;
        }
        for (name, _) in axes {
            if let Some(axis) = plan.axes.get_mut(name) {
                piezo(axis);
            }
        }
    }
    plan
}

fn piezo(axis: &mut AxisPlan) {
    let (lower, upper) = axis.model.travel_um;
    if upper - lower <= PIEZO_TRAVEL_MAX_UM {
        return;
    }
    // Closed-loop flexure stage: no play; figures of PI's P-616 and P-611 data sheets.
    axis.model.travel_um = (0.0, PIEZO_TRAVEL_UM);
    axis.model.reference_um = 0.0;
    (axis.model.play_um, axis.model.repeatability_um, axis.model.encoder_um) = (0.0, 0.002, 0.0001);
    (axis.model.velocity_max_um_s, axis.model.acceleration_um_s2) = (50_000.0, 2e7);
    (axis.model.settle_hz, axis.model.settle_damping, axis.model.ring_um) = (300.0, 0.5, 0.02);
    axis.zero_um = PIEZO_TRAVEL_UM / 2.0;
    // Without voltage a piezo stands near its lower end.
    axis.start_um = 1.7;
}

impl WorldHexapod {
    /// Bench name of an axis, 0 to 5; its own name where it has none.
    pub(crate) fn name(&self, axis: usize) -> &str {
        self.names[axis].as_deref().unwrap_or(AXES[axis])
    }

    /// Whether it moves this axis of the bench.
    pub(crate) fn moves(&self, bench_name: &str) -> bool {
        self.names.iter().any(|n| n.as_deref() == Some(bench_name))
    }

    /// Where the fibre's end is in the hexapod's own frame, um against its place at zero, and how it is turned, rad.
    pub(crate) fn tip(&self, now_s: f64) -> Pose {
        tip(&self.state.actual(now_s), self.state.pivot_mm(), TIP_MM)
    }

    /// What it adds to the fibre's pose in the optical frame. Its X, Y and Z lie there as the axes wired to them do; what it
    /// turns it turns about them, each by the direction of its own axis.
    pub(crate) fn optical(&self, axes: &BTreeMap<String, AxisPlan>, now_s: f64) -> Pose {
        let tip = self.tip(now_s);
        let mut pose = Pose::default();
        for (k, name) in self.names.iter().enumerate() {
            let Some(plan) = name.as_ref().and_then(|n| axes.get(n)) else { continue };
            match plan.motion {
                Motion::Linear { direction } if k < 3 => {
                    for (a, d) in pose.um.iter_mut().zip(direction) {
                        *a += d * (tip.um[k] - plan.zero_um);
                    }
                }
                // The plan's turn is that of a thousandth of a degree.
                Motion::Rotary { turn, .. } if k >= 3 => {
                    for (a, t) in pose.rad.iter_mut().zip(turn) {
                        *a += t * tip.rad[k - 3].to_degrees() * 1e3;
                    }
                }
                _ => {}
            }
        }
        pose
    }

    /// What piezos on top of the platform add to the fibre's place in the optical frame, um, by their displacement along each axis.
    pub(crate) fn ridden(&self, axes: &BTreeMap<String, AxisPlan>, by_um: impl Fn(&str) -> f64) -> [f64; 3] {
        let mut um = [0.0; 3];
        for name in self.names.iter().flatten() {
            let Some(Motion::Linear { direction }) = axes.get(name).map(|plan| plan.motion) else { continue };
            let by = by_um(name);
            for (at, d) in um.iter_mut().zip(direction) {
                *at += d * by;
            }
        }
        um
    }

    /// Starts a move of the pose (mm, deg); one that is stuck takes it and stays where it is.
    ///
    /// # Errors
    /// The obstacle.
    pub(crate) fn start(&mut self, now_s: f64, pose: [f64; 6], velocity_mm_s: f64) -> Result<(), Obstacle> {
        if self.stuck {
            return self.state.model().reachable(&pose, self.state.pivot_mm());
        }
        self.state.start(now_s, pose, velocity_mm_s)
    }
}

impl World {
    /// The hexapod, if there is one.
    pub(crate) fn hexapod<T>(&self, now_s: f64, act: impl FnOnce(&mut WorldHexapod) -> T) -> Option<T> {
        let mut inner = self.inner.borrow_mut();
        let stuck = inner.hexapod.as_ref().is_some_and(|h| inner.hexapod_stuck(h, now_s));
        let hexapod = inner.hexapod.as_mut()?;
        hexapod.stuck = stuck;
        if stuck {
            hexapod.state.stop(now_s);
        }
        Some(act(hexapod))
    }

    /// Where an axis of the stage was told to be, whatever moves it, um on the controller's own scale.
    pub(crate) fn axis_target_um(&self, name: &str, now_s: f64) -> Option<f64> {
        let of_hexapod = |h: &mut WorldHexapod| {
            let axis = h.names.iter().take(3).position(|n| n.as_deref() == Some(name))?;
            Some(h.state.commanded(now_s)[axis] * 1000.0)
        };
        self.axis(name, now_s, |a| a.target()).or_else(|| self.hexapod(now_s, of_hexapod).flatten())
    }

    /// Whether these instruments see light of their own where they stand alone: a controller that aligns needs light that
    /// depends on where it is.
    pub(crate) fn aligns_alone(wiring: &Wiring) -> bool {
        let aligns = |m: Option<&str>| is_hexapod(m) || is_piezo(m);
        wiring.instruments.iter().any(|i| i.kind == "pi-gcs2" && aligns(i.model.as_deref()))
    }

    /// Switches a source of `watts` W on for good, in front of a part.
    pub(crate) fn shine(&self, watts: f64) {
        let mut inner = self.inner.borrow_mut();
        // A day ago: warm, and no longer changing.
        let on_since_s = Some(-86_400.0);
        inner.source = SourceTruth { on_since_s, level_w: watts, ..inner.source };
    }
}

impl Inner {
    /// Whether an axis that the hexapod moves is stuck: then all of it is.
    fn hexapod_stuck(&self, hexapod: &WorldHexapod, now_s: f64) -> bool {
        !self.faults.is_empty() && hexapod.names.iter().flatten().any(|n| self.faulty(FaultKind::AxisStuck, n, now_s))
    }
}

#[cfg(test)]
mod tests {
    use units::clock::{Clock, virtual_runtime};

    use super::*;
    use crate::config::InstrumentWiring;

    fn world(model: &str, axes: &[(&str, &str)]) -> World {
        let axes = axes.iter().map(|(bench, channel)| ((*bench).to_string(), (*channel).to_string())).collect();
        let instrument = InstrumentWiring {
            name: "stage".into(),
            kind: "pi-gcs2".into(),
            port: "p".into(),
            model: Some(model.into()),
            role: Role::Motion { axes },
        };
        let wiring = Wiring { ports: Vec::new(), instruments: vec![instrument] };
        World::new(Simulation::plain(), wiring, 1, false, Clock::simulated())
    }

    #[test]
    fn a_turn_of_the_platform_carries_the_fibre_aside_and_the_pivot_holds_it() {
        virtual_runtime().unwrap().block_on(async {
            let axes = [("x", "X"), ("y", "Y"), ("z", "Z"), ("rx", "U"), ("ry", "V"), ("rz", "W")];
            let world = world("C-887", &axes);
            let at = || world.backdoor().truth().fibre_um;
            let go = |pose: [f64; 6]| world.hexapod(0.0, |h| h.state.follow(0.0, pose)).unwrap().unwrap();
            go([0.0; 6]);
            let zero = at();
            go([0.1, 0.0, 0.0, 0.0, 0.0, 0.0]);
            assert!((at()[0] - zero[0] - 100.0).abs() < 1.0, "{:?}", at());
            // V turns about Y: a fibre 50 mm above the platform goes along X.
            go([0.0, 0.0, 0.0, 0.0, 0.1, 0.0]);
            let aside = 50_000.0 * 0.1f64.to_radians().sin();
            assert!((at()[0] - zero[0] - aside).abs() < 1.0, "{:?}", at());
            go([0.0; 6]);
            world.hexapod(0.0, |h| h.state.set_pivot(0.0, TIP_MM)).unwrap().unwrap();
            go([0.0, 0.0, 0.0, 0.0, 0.1, 0.0]);
            assert!((at()[0] - zero[0]).abs() < 1.0, "{:?}", at());
            assert!(world.axis("x", 0.0, |_| ()).is_none(), "two things move x");
        });
    }

    #[test]
    fn an_axis_planned_as_a_screw_is_a_piezo_on_a_piezo_controller_and_a_stuck_hexapod_stays() {
        virtual_runtime().unwrap().block_on(async {
            let piezo = world("E-712", &[("x", "1")]);
            assert_eq!(piezo.axis("x", 0.0, |a| a.model().travel_um), Some((0.0, PIEZO_TRAVEL_UM)));
            assert_eq!(piezo.axis("y", 0.0, |a| a.model().travel_um), Some((-12_500.0, 12_500.0)));
            let world = world("C-887", &[("x", "X")]);
            let was = world.hexapod(0.0, |h| h.state.commanded(0.0));
            world.backdoor().inject(crate::faults::Fault::parse("axis-stuck").unwrap());
            world.hexapod(0.0, |h| h.start(0.0, [0.0; 6], 5.0)).unwrap().unwrap();
            assert_eq!(world.hexapod(9.0, |h| h.state.commanded(9.0)), was);
        });
    }
}
