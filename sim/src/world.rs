//! The world: stage, part, light and faults behind one handle. Devices ask it; the back door changes it.

mod light;
mod pose;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use units::clock::Clock;
use units::text::Faults;

use crate::bond::contact::{ContactModel, ContactState};
use crate::bond::epoxy::Lit;
use crate::config::{self, AxisPlan, InstrumentWiring, MeterPlan, Role, Simulation, Wiring};
use crate::devices::dress::Dress;
use crate::dither::Dither;
use crate::faults::{Fault, FaultKind, TargetKind};
use crate::light::source::Source;
use crate::line::Shared;
use crate::mechanics::drift::{Drift, Vibration};
use crate::mechanics::stage::{ErrorMotion, Motion, StageAxis, out_of_square};
use crate::mechanics::{AxisState, Mishap, Side};
use crate::noise::Stream;
use crate::part::Part;
use crate::world_hexapod::{self, WorldHexapod};
use crate::world_loops::Loops;

/// What the operator has connected to the signal meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch {
    /// The fibre of the unit in the fixture.
    Unit,
    /// The reference patch cord, straight from the point of launch.
    Reference,
}

/// What a stage was told over its line, whatever came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Move an axis (bench name) to a target on the controller's own scale, um.
    Move {
        /// Axis.
        axis: String,
        /// Target, um.
        target_um: f64,
    },
    /// Stop everything.
    Stop,
}

/// An order with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered {
    /// When, seconds of the world's clock.
    pub t_s: f64,
    /// What.
    pub order: Order,
}

/// Orders kept; a run has some hundreds.
const ORDERS_MAX: usize = 100_000;

/// A simulated world. Clones are handles to the same one.
#[derive(Clone)]
pub struct World {
    pub(crate) inner: Rc<RefCell<Inner>>,
    pub(crate) clock: Clock,
    /// Devices by port; they outlive their clients. A device's own handle has none: the world would keep itself alive.
    pub(crate) devices: Rc<RefCell<BTreeMap<String, Shared>>>,
    /// What controllers do on their own.
    pub(crate) loops: Loops,
}

/// Everything that is so.
pub(crate) struct Inner {
    pub(crate) seed: u64,
    pub(crate) defects: bool,
    pub(crate) plan: Simulation,
    pub(crate) wiring: Wiring,
    pub(crate) axes: BTreeMap<String, AxisState>,
    /// Moves the axes that are wired to it; they are not among `axes`.
    pub(crate) hexapod: Option<WorldHexapod>,
    pub(crate) part: Part,
    pub(crate) fresh: bool,
    pub(crate) loaded_s: Option<f64>,
    pub(crate) patch: Patch,
    pub(crate) faults: Vec<Fault>,
    pub(crate) source: SourceTruth,
    /// What the stages were told since the unit was loaded, the last of it.
    pub(crate) orders: VecDeque<Ordered>,
    /// How devices that are yet to be made are dressed.
    pub(crate) dress: Dress,
    /// How often light was sent through the part.
    pub(crate) looks: Cell<u64>,
    /// Steady light for a device that stands alone, in no world.
    pub(crate) steady_w: Option<f64>,
    laser: Source,
    /// What each axis does to the fibre that it carries, in the order of `axes`; whether it is the one at the other end.
    stage: Vec<(bool, StageAxis)>,
    drift: Drift,
    vibration: Option<Vibration>,
    /// When the curing lamp was on, when the gripper let go.
    pub(crate) lit: Vec<Lit>,
    pub(crate) released_s: Option<f64>,
    pub(crate) contact: ContactState,
    /// The other end of the unit, and the stage there.
    pub(crate) second: Second,
    /// Piezos that circle on the light, by instrument.
    pub(crate) dithers: BTreeMap<String, Dither>,
    /// Since when each switch lets which lane through, by its place in the wiring.
    switches: BTreeMap<usize, (f64, Option<usize>)>,
}

/// The stage before the other end of a unit that light passes through.
pub(crate) struct Second {
    pub(crate) contact: ContactState,
    drift: Drift,
    vibration: Option<Vibration>,
}

/// A fibre that has touched nothing.
fn apart(contact_um: f64) -> ContactState {
    ContactState::new(&ContactModel::fibre(contact_um), [0.0, 0.0, f64::MAX])
}

/// The laser as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SourceTruth {
    pub(crate) on_since_s: Option<f64>,
    pub(crate) level_w: f64,
    pub(crate) wavelength_um: f64,
}

impl World {
    /// A world from the `[simulation]` section of a bench file's text; files that it names are looked for from `folder`.
    ///
    /// # Errors
    /// All faults of the section; a missing one is a fault.
    pub fn from_bench(
        text: &str,
        folder: &Path,
        wiring: &Wiring,
        seed: u64,
        defects: bool,
        clock: Clock,
    ) -> Result<World, Faults> {
        Ok(World::new(config::read(text, folder)?, wiring.clone(), seed, defects, clock))
    }

    /// A world of one instrument in steady light of `watts` W.
    pub fn alone(wiring: &Wiring, watts: f64, seed: u64, clock: Clock) -> World {
        let world = World::new(Simulation::plain(), wiring.clone(), seed, false, clock);
        if World::aligns_alone(wiring) {
            world.shine(watts);
        } else {
            world.inner.borrow_mut().steady_w = Some(watts);
        }
        world
    }

    pub(crate) fn new(plan: Simulation, wiring: Wiring, seed: u64, defects: bool, clock: Clock) -> World {
        let stream = |name: &str| Stream::new(seed, name);
        let plan = world_hexapod::wired_axes(plan, &wiring);
        let hexapod = world_hexapod::hexapod(&plan, &wiring, seed);
        let own = || plan.axes.iter().filter(|(name, _)| !hexapod.as_ref().is_some_and(|h| h.moves(name)));
        let axes: BTreeMap<String, AxisState> = own()
            .map(|(name, axis)| {
                let noise = stream(&format!("axis {name}"));
                let state = AxisState::new(axis.model.clone(), noise, axis.start_um).with_extras(axis.extras);
                (name.clone(), state)
            })
            .collect();
        let stage =
            own().map(|(name, axis)| (axis.second, carried(&plan, axis, stream(&format!("stage {name}"))))).collect();
        let u = plan.unrest;
        let part = Part::draw(seed, 1, &plan.parts, defects);
        let mut inner = Inner {
            seed,
            defects,
            axes,
            stage,
            hexapod,
            contact: apart(part.contact_um),
            second: Second {
                contact: apart(part.contact_um),
                drift: Drift::draw(u.drift_um_h, u.start_um, u.cycle_um, u.heated_um, stream("drift 2")),
                vibration: (u.vibration_um > 0.0)
                    .then(|| Vibration::new(u.vibration_um, u.band_hz, stream("vibration 2"))),
            },
            part,
            fresh: true,
            loaded_s: None,
            patch: Patch::Unit,
            faults: plan.faults.clone(),
            source: SourceTruth { wavelength_um: plan.parts.optics.wavelength_um, ..SourceTruth::default() },
            orders: VecDeque::new(),
            dress: Dress::default(),
            looks: Cell::new(0),
            steady_w: None,
            laser: Source::new(plan.light.source, stream("laser")),
            drift: Drift::draw(u.drift_um_h, u.start_um, u.cycle_um, u.heated_um, stream("drift")),
            vibration: (u.vibration_um > 0.0).then(|| Vibration::new(u.vibration_um, u.band_hz, stream("vibration"))),
            lit: Vec::new(),
            released_s: None,
            wiring: wired(wiring, &plan),
            dithers: BTreeMap::new(),
            switches: BTreeMap::new(),
            plan,
        };
        inner.untouched(0.0);
        World { inner: Rc::new(RefCell::new(inner)), clock, devices: Rc::default(), loops: Loops::default() }
    }

    /// Dresses the devices of a world in which nothing was asked yet.
    pub fn dress(&self, dress: Dress) {
        self.inner.borrow_mut().dress = dress;
    }

    /// A handle for a device to keep.
    pub(crate) fn for_device(&self) -> World {
        World { devices: Rc::default(), ..self.clone() }
    }

    pub(crate) fn now_s(&self) -> f64 {
        self.clock.seconds()
    }

    /// Whether a fault of this kind is in force for a target at this time.
    pub(crate) fn faulty(&self, kind: FaultKind, target: &str, now_s: f64) -> bool {
        self.inner.borrow().faulty(kind, target, now_s)
    }

    /// An axis of the stage, by bench name.
    pub(crate) fn axis<T>(&self, name: &str, now_s: f64, act: impl FnOnce(&mut AxisState) -> T) -> Option<T> {
        let mut inner = self.inner.borrow_mut();
        let stuck = inner.faulty(FaultKind::AxisStuck, name, now_s);
        let (since_s, mishap) = inner.mishap(name, now_s);
        let axis = inner.axes.get_mut(name)?;
        axis.suffer(since_s, mishap);
        axis.hold(now_s, stuck);
        Some(act(axis))
    }

    /// What a channel of a meter sees.
    pub(crate) fn view(&self, meter: &str, channel: u32) -> View {
        let inner = self.inner.borrow();
        let wired = inner.wiring.instruments.iter().find(|i| i.name == meter);
        let channels = match wired.map(|i| &i.role) {
            Some(Role::Meter { channels }) => channels,
            // A controller with a detector of its own sees the first lane.
            Some(Role::Motion { .. }) => return View::Lane(0),
            _ => return View::Dark,
        };
        match channels.iter().find(|c| c.number == channel) {
            Some(c) if c.role == "tap" => View::Tap,
            Some(c) if c.role == "signal" && inner.switch_of(meter, channel).is_some() => {
                inner.switch_of(meter, channel).map_or(View::Dark, View::Switched)
            }
            Some(c) if c.role == "signal" => View::Lane(usize::try_from(c.lane).unwrap_or(1).saturating_sub(1)),
            _ => View::Dark,
        }
    }

    /// Whether the light is steady: no part, no laser.
    pub(crate) fn is_steady(&self) -> bool {
        self.inner.borrow().steady_w.is_some()
    }

    /// A stream of the world's seed.
    pub(crate) fn stream(&self, name: &str) -> Stream {
        Stream::new(self.inner.borrow().seed, name)
    }

    /// Relative intensity noise of the light, 1/Hz.
    pub(crate) fn rin_hz(&self) -> f64 {
        10f64.powf(self.inner.borrow().plan.light.source.rin_db_hz / 10.0)
    }

    pub(crate) fn meter_plan(&self, name: &str) -> MeterPlan {
        self.inner.borrow().plan.meters.get(name).copied().unwrap_or_default()
    }

    /// Whether a port is there.
    pub(crate) fn is_gone(&self, instrument: &str, now_s: f64) -> bool {
        let inner = self.inner.borrow();
        let flap = inner.fault(FaultKind::PortFlap, instrument, now_s);
        inner.faulty(FaultKind::PortGone, instrument, now_s) || flap.is_some_and(|(lasts, since)| since < lasts)
    }

    /// Waits until a port that is gone is there again.
    pub(crate) async fn returns(&self, instrument: &str) {
        while self.is_gone(instrument, self.now_s()) {
            self.clock.sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Keeps what a stage was told, for the back door.
    pub(crate) fn ordered(&self, t_s: f64, order: Order) {
        self.advance(t_s);
        let mut inner = self.inner.borrow_mut();
        // Before the way changes: what was touched on it.
        inner.touch(t_s);
        let orders = &mut inner.orders;
        if orders.len() == ORDERS_MAX {
            orders.pop_front();
        }
        orders.push_back(Ordered { t_s, order });
    }

    /// A switch puts a lane (from 0), or none, on its meter, from a time on; until then it lets nothing through.
    pub(crate) fn switched(&self, name: &str, from_s: f64, lane: Option<usize>) {
        let mut inner = self.inner.borrow_mut();
        let place = inner.wiring.instruments.iter().position(|i| i.name == name);
        if let Some(place) = place {
            inner.switches.insert(place, (from_s, lane));
        }
    }

    /// The instruments on a port.
    pub(crate) fn instruments_on(&self, port: &str) -> Vec<InstrumentWiring> {
        self.inner.borrow().wiring.instruments.iter().filter(|i| i.port == port).cloned().collect()
    }
}

impl Inner {
    /// The switch that is wired to a channel of a meter, by its place in the wiring.
    fn switch_of(&self, name: &str, channel: u32) -> Option<usize> {
        let before = |i: &InstrumentWiring| matches!(&i.role, Role::Switch { meter, number, .. } if meter == name && *number == channel);
        self.wiring.instruments.iter().position(before)
    }

    /// The lane that a switch lets through.
    fn on_meter(&self, switch: usize, now_s: f64) -> Option<usize> {
        let (from_s, lane) = self.switches.get(&switch)?;
        lane.filter(|_| now_s >= *from_s)
    }

    pub(crate) fn faulty(&self, kind: FaultKind, target: &str, now_s: f64) -> bool {
        self.fault(kind, target, now_s).is_some()
    }

    /// How much there is of a fault in force, and since when, seconds.
    pub(crate) fn fault(&self, kind: FaultKind, target: &str, now_s: f64) -> Option<(f64, f64)> {
        if self.faults.is_empty() {
            return None;
        }
        let since = now_s - self.loaded_s.unwrap_or(0.0);
        let struck = self.faults.iter().find(|f| {
            let named = f.target.as_deref().map_or_else(|| self.by_default(kind, target), |t| t == target);
            f.kind == kind && named && since >= f.at_s
        })?;
        Some((struck.amount(), since - struck.at_s))
    }

    /// What is wrong with the motion of an axis, and since when on the world's clock, seconds.
    fn mishap(&self, name: &str, now_s: f64) -> (f64, Mishap) {
        let mut mishap = Mishap::default();
        let mut began = f64::NEG_INFINITY;
        let mut look = |kind: FaultKind, apply: fn(&mut Mishap, f64)| {
            if let Some((amount, since)) = self.fault(kind, name, now_s) {
                apply(&mut mishap, amount);
                began = began.max(now_s - since);
            }
        };
        look(FaultKind::LostSteps, |m, um| m.lost_um = um);
        look(FaultKind::AxisSlip, |m, percent| m.grip = (1.0 - percent / 100.0).clamp(0.0, 1.0));
        look(FaultKind::ShortMove, |m, percent| m.reach = (1.0 - percent / 100.0).clamp(0.0, 1.0));
        // Wherever the axis is, it is beyond the switch.
        look(FaultKind::LimitStuck, |m, _| m.false_limit = Some((Side::Upper, f64::MIN)));
        (began, mishap)
    }

    /// Whether a fault that names no target means this one.
    fn by_default(&self, kind: FaultKind, target: &str) -> bool {
        let first =
            |role: fn(&Role) -> bool| self.wiring.instruments.iter().find(|i| role(&i.role)).map(|i| i.name.as_str());
        match kind {
            _ if kind == FaultKind::SlowSettling => true,
            _ => match crate::faults::target(kind) {
                TargetKind::Source => target == SOURCE,
                TargetKind::Fibre => target == FIBRE,
                TargetKind::Axis => target == "x",
                TargetKind::Meter => first(sees_the_signal) == Some(target),
                TargetKind::Instrument => first(|_| true) == Some(target),
            },
        }
    }
}

fn sees_the_signal(role: &Role) -> bool {
    matches!(role, Role::Meter { channels } if channels.iter().any(|c| c.role == "signal"))
}

/// What a channel of a meter sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Nothing but room light.
    Dark,
    /// The share of the source's light that is split off before the unit.
    Tap,
    /// A lane of the part, from 0.
    Lane(usize),
    /// The lane that a switch, by its place in the wiring, lets through.
    Switched(usize),
}

/// Faults of the bench's fibres.
const FIBRE: &str = "fibre";

/// Faults of the source know it by this name, whatever the bench calls it.
pub(crate) const SOURCE: &str = "source";

/// What an axis does to the fibre, with the errors of its making.
fn carried(plan: &Simulation, axis: &AxisPlan, stream: Stream) -> StageAxis {
    let motion = match axis.motion {
        Motion::Linear { direction } if plan.out_of_square_rad > 0.0 => {
            Motion::Linear { direction: out_of_square(direction, plan.out_of_square_rad, stream) }
        }
        motion => motion,
    };
    let error = if axis.wobble_rad > 0.0 {
        ErrorMotion::draw(axis.wobble_rad, WOBBLE_PERIOD_UM, WOBBLE_LEVER_UM, stream.child(1))
    } else {
        ErrorMotion::default()
    };
    StageAxis { motion, zero: axis.zero_um, error }
}

/// Length over which the errors of a carriage's travel repeat, um, and from the carriage to the fibre's end, um.
const WOBBLE_PERIOD_UM: f64 = 8000.0;
const WOBBLE_LEVER_UM: [f64; 3] = [20_000.0, 40_000.0, 60_000.0];

/// The wiring with the axes that the world itself puts on a controller.
fn wired(mut wiring: Wiring, plan: &Simulation) -> Wiring {
    for (name, axis) in &plan.axes {
        let Some((controller, channel)) = &axis.wired else { continue };
        let found = wiring.instruments.iter_mut().find(|i| i.name == *controller);
        if let Some(Role::Motion { axes }) = found.map(|i| &mut i.role) {
            axes.push((name.clone(), channel.clone()));
        }
    }
    wiring
}
