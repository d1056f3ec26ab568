//! The world: stage, part, light and faults behind one handle. Devices ask it; the back door changes it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use units::clock::Clock;
use units::text::Faults;

use crate::config::{self, InstrumentWiring, MeterPlan, Role, Simulation, Wiring};
use crate::faults::{Fault, FaultKind, TargetKind};
use crate::line::Shared;
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
    /// Devices by port; they outlive their clients.
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
    pub(crate) overtravel_um: f64,
    /// What the stages were told since the unit was loaded, the last of it.
    pub(crate) orders: VecDeque<Ordered>,
    /// Steady light for a device that stands alone, in no world.
    pub(crate) steady_w: Option<f64>,
    drift: Stream,
}

/// The laser as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SourceTruth {
    pub(crate) on_since_s: Option<f64>,
    pub(crate) level_w: f64,
    pub(crate) wavelength_um: f64,
}

impl World {
    /// A world from the `[simulation]` section of a bench file's text.
    ///
    /// # Errors
    /// All faults of the section; a missing one is a fault.
    pub fn from_bench(text: &str, wiring: &Wiring, seed: u64, defects: bool, clock: Clock) -> Result<World, Faults> {
        Ok(World::new(config::read(text)?, wiring.clone(), seed, defects, clock))
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
        let plan = world_hexapod::wired_axes(plan, &wiring);
        let hexapod = world_hexapod::hexapod(&plan, &wiring, seed);
        let own = plan.axes.iter().filter(|(name, _)| !hexapod.as_ref().is_some_and(|h| h.moves(name)));
        let axes = own.map(|(name, axis)| {
            let noise = Stream::new(seed, &format!("axis {name}"));
            (name.clone(), AxisState::new(axis.model.clone(), noise, axis.start_um))
        });
        let part = Part::draw(seed, 1, &plan.parts, plan.preset.mode_um(), defects);
        let inner = Inner {
            seed,
            defects,
            axes: axes.collect(),
            hexapod,
            part,
            fresh: true,
            loaded_s: None,
            patch: Patch::Unit,
            faults: plan.faults.clone(),
            source: SourceTruth { wavelength_um: 1.31, ..SourceTruth::default() },
            overtravel_um: 0.0,
            orders: VecDeque::new(),
            steady_w: None,
            drift: Stream::new(seed, "laser"),
            plan,
            wiring,
        };
        World { inner: Rc::new(RefCell::new(inner)), clock, devices: Rc::default(), loops: Loops::default() }
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

    /// Mean power of a view over a window, W, without noise.
    fn light(&self, view: &View, begin_s: f64, end_s: f64) -> f64 {
        self.advance(end_s);
        let mut inner = self.inner.borrow_mut();
        if let Some(steady) = inner.steady_w {
            return steady;
        }
        let moves = matches!(view, View::Lane(_))
            && inner.axes.values().any(|a| a.moving(begin_s) || a.moving(end_s) || !a.settled(end_s));
        let moves = moves || inner.hexapod.as_ref().is_some_and(|h| h.state.moving(begin_s) || h.state.moving(end_s));
        let looks: u32 = if moves && end_s > begin_s { WINDOW_LOOKS } else { 1 };
        let mut sum = 0.0;
        for k in 0..looks {
            let t = begin_s + (end_s - begin_s) * (f64::from(k) + 0.5) / f64::from(looks);
            sum += inner.power(view, t);
        }
        sum / f64::from(looks)
    }

    /// What a channel of a meter sees.
    pub(crate) fn view(&self, meter: &str, channel: u32) -> View {
        let inner = self.inner.borrow();
        let wired = inner.wiring.instruments.iter().find(|i| i.name == meter);
        let Some(Role::Meter { channels }) = wired.map(|i| &i.role) else { return View::Dark };
        match channels.iter().find(|c| c.number == channel) {
            Some(c) if c.role == "tap" => View::Tap,
            Some(c) if c.role == "signal" => View::Lane(usize::try_from(c.lane).unwrap_or(1).saturating_sub(1)),
            _ => View::Dark,
        }
    }

    /// A stream of the world's seed.
    pub(crate) fn stream(&self, name: &str) -> Stream {
        Stream::new(self.inner.borrow().seed, name)
    }

    /// Relative intensity noise of the light, 1/Hz.
    pub(crate) fn rin_hz(&self) -> f64 {
        10f64.powf(self.inner.borrow().plan.light.rin_db_hz / 10.0)
    }

    pub(crate) fn meter_plan(&self, name: &str) -> MeterPlan {
        self.inner.borrow().plan.meters.get(name).copied().unwrap_or_default()
    }

    /// Mean power that a meter sees on a channel over a window, W, by what is wrong with the meter.
    pub(crate) fn seen(&self, meter: &str, view: &View, begin_s: f64, end_s: f64) -> f64 {
        let (lag, low) = {
            let inner = self.inner.borrow();
            let lag = inner.fault(FaultKind::MeterLag, meter, end_s).map_or(0.0, |(ms, _)| ms / 1e3);
            (lag, inner.fault(FaultKind::MeterLow, meter, end_s).map_or(0.0, |(db, _)| db))
        };
        self.light(view, begin_s - lag, end_s - lag) * 10f64.powf(-low / 10.0)
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
        let orders = &mut self.inner.borrow_mut().orders;
        if orders.len() == ORDERS_MAX {
            orders.pop_front();
        }
        orders.push_back(Ordered { t_s, order });
    }

    /// The instruments on a port.
    pub(crate) fn instruments_on(&self, port: &str) -> Vec<InstrumentWiring> {
        self.inner.borrow().wiring.instruments.iter().filter(|i| i.port == port).cloned().collect()
    }
}

/// Time a laser stays in one mode, seconds.
const HOP_S: f64 = 0.5;
/// A laser that droops stops here, dB.
const DROOP_MAX_DB: f64 = 6.0;
/// Loss of a laser that ages, dB a day.
const AGING_DB_DAY: f64 = 0.1;
/// Loss of a cord that wears, dB a mating: 0.25 dB over 200.
const CORD_DB_MATING: f64 = 0.25 / 200.0;
/// A load that rings on unseen: amplitude after a move, um, and frequency, Hz (a loose fibre's: 20 to 100).
const LATE_RING_UM: f64 = 0.5;
const LATE_RING_HZ: f64 = 45.0;

/// A window in which the stage moves is looked at this often: a dozen micrometres a millisecond are resolved to one.
const WINDOW_LOOKS: u32 = 8;

impl Inner {
    /// Where the fibre's end is in the optical frame, um, and how far it was pressed into the part.
    pub(crate) fn fibre_um(&self, now_s: f64) -> ([f64; 3], f64) {
        let mut at = [0.0; 3];
        for (name, axis) in &self.axes {
            let Some(plan) = self.plan.axes.get(name) else { continue };
            let travel = axis.load(now_s) + self.late_ring(name, axis, now_s) - plan.zero_um;
            for (a, d) in at.iter_mut().zip(plan.direction) {
                *a += d * travel;
            }
        }
        if let Some(hexapod) = &self.hexapod {
            let carried = hexapod.optical_um(&self.plan.axes, now_s);
            at.iter_mut().zip(carried).for_each(|(a, um)| *a += um);
        }
        let pressed = (self.part.contact_um - at[2]).max(0.0);
        at[2] = at[2].max(self.part.contact_um);
        (at, pressed)
    }

    /// Power the laser gives at a time, W.
    pub(crate) fn laser_w(&self, now_s: f64) -> f64 {
        let Some(since) = self.source.on_since_s else { return 0.0 };
        if now_s < since || self.faulty(FaultKind::SourceOff, SOURCE, now_s) || self.interlock_open(now_s) {
            return 0.0;
        }
        let light = &self.plan.light;
        let risen = if light.rise_s > 0.0 { 1.0 - (-(now_s - since) / light.rise_s).exp() } else { 1.0 };
        // Three slow sines of the seed's own phases.
        let wander: f64 = (0..3u32)
            .map(|k| {
                let period = 7.0 * f64::from(k + 1);
                (std::f64::consts::TAU * (now_s / period + self.drift.uniform(u64::from(k)))).sin()
            })
            .sum();
        self.source.level_w * risen * 10f64.powf(light.wander_db * wander / 17.0) * self.laser_faults(now_s)
    }

    pub(crate) fn interlock_open(&self, now_s: f64) -> bool {
        self.plan.light.interlock_open || self.faulty(FaultKind::InterlockOpen, SOURCE, now_s)
    }

    /// Power launched towards the unit, W.
    pub(crate) fn launched_w(&self, now_s: f64) -> f64 {
        let light = &self.plan.light;
        self.laser_w(now_s) * 10f64.powf(-light.feed_loss_db / 10.0) * (1.0 - light.tap_split)
    }

    /// Power on a channel at a time, W.
    fn power(&mut self, view: &View, now_s: f64) -> f64 {
        let launched = self.launched_w(now_s);
        let light = &self.plan.light;
        let ambient = light.ambient.watts();
        let lane = match view {
            View::Dark => return ambient,
            View::Tap => return ambient + launched * light.tap_split / (1.0 - light.tap_split),
            View::Lane(lane) => *lane,
        };
        // One lane has a light path to the meter until the part has more.
        if lane > 0 {
            return ambient;
        }
        let cord = 10f64.powf(-self.cord_loss_db(now_s) / 10.0);
        if self.patch == Patch::Reference {
            return ambient + launched * cord;
        }
        let stray = if launched > 0.0 { light.stray.watts() } else { 0.0 };
        let (at, pressed) = self.fibre_um(now_s);
        self.overtravel_um = self.overtravel_um.max(pressed);
        let loss = self.part.loss_at(self.source.wavelength_um, at);
        ambient + (stray + launched * 10f64.powf(-loss / 10.0)) * cord
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

    /// Power of the laser by what is wrong with it, as a factor.
    fn laser_faults(&self, now_s: f64) -> f64 {
        let mut loss_db = 0.0;
        if let Some((db, since)) = self.fault(FaultKind::LaserHop, SOURCE, now_s) {
            // Half a second in one mode or the other, by chance; struck, it hops at once.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below 0")]
            let slot = (since / HOP_S) as u64;
            let hopped = slot == 0 || self.drift.child(7).bits(slot) & 1 == 1;
            loss_db += if hopped { db } else { 0.0 };
        }
        if let Some((db_s, since)) = self.fault(FaultKind::LaserDroop, SOURCE, now_s) {
            loss_db += (db_s * since).min(DROOP_MAX_DB);
        }
        if let Some((days, since)) = self.fault(FaultKind::LaserAging, SOURCE, now_s) {
            loss_db += AGING_DB_DAY * (days + since / 86_400.0);
        }
        10f64.powf(-loss_db / 10.0)
    }

    /// Loss of the cord between the unit and the signal meter, dB.
    fn cord_loss_db(&self, now_s: f64) -> f64 {
        let worn = self.fault(FaultKind::WornCord, FIBRE, now_s);
        #[expect(clippy::cast_precision_loss, reason = "counts of units")]
        worn.map_or(0.0, |(matings, _)| CORD_DB_MATING * (matings + self.part.number as f64))
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
}

/// Faults of the bench's fibres.
const FIBRE: &str = "fibre";

/// Faults of the source know it by this name, whatever the bench calls it.
pub(crate) const SOURCE: &str = "source";
