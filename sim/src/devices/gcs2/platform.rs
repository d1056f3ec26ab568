//! The platform of a hexapod controller (C-887): six axes that move as one, what they can reach, the pivot, and the
//! coordinate systems in which they are told.

use super::coordinates::{Coordinates, Kind, System, ZERO};
use super::{
    BUSY, COUNT, Gcs2, MISSING, NO_AXIS, NOT_A_NUMBER, NOT_ALLOWED, NOT_REFERENCED, OUTSIDE, RANGE, SOFT, TWICE,
    VELOCITY,
};
use crate::mechanics::hexapod::{Obstacle, PivotRefusal};
use crate::world::{Order, World};
use crate::world_hexapod::{AXES, WorldHexapod};

/// A pivot can be set only while U, V and W are 0, in no system of the user's.
const PIVOT: i32 = 9;
/// Coordinate systems are not defined while the platform moves.
const IN_MOTION: i32 = 536;
/// Stage name of every axis.
const STAGE: &str = "H-SIM.6D";
/// The motion begins this long after its command: the way there is computed first.
const PREPARE_S: f64 = 0.008;
/// The platform counts as on target this long after its motion has ended.
const SETTLE_S: f64 = 0.02;
/// A reference move goes on beyond its way this long: each leg approaches its switch again.
const REFERENCE_S: f64 = 0.8;
/// Velocity at power-on, mm/s.
const VELOCITY_MM_S: f64 = 5.0;
/// A pose counts as turned by more than this, deg.
const TURNED_DEG: f64 = 1e-9;
/// The farthest point in a direction is found to this share of the way.
const REACH_SHARE: f64 = 1e-6;
/// No hexapod reaches farther than this, mm or deg.
const FAR: f64 = 400.0;

/// A platform as its controller knows it.
pub(super) struct Platform {
    pub(super) servo: bool,
    pub(super) referenced: bool,
    referencing_until_s: Option<f64>,
    /// When the present motion begins after its command.
    begins_s: f64,
    /// Target as a pose of the platform about its pivot: mm, deg.
    target: [f64; 6],
    velocity_mm_s: f64,
    soft: [(f64, f64); 6],
    soft_on: [bool; 6],
    /// What was told at `#6`.
    before: [f64; 6],
    pub(super) coordinates: Coordinates,
}

impl Platform {
    pub(super) fn at_power_on(world: &World) -> Platform {
        let now = world.now_s();
        let target = world.hexapod(now, |h| h.state.commanded(now)).unwrap_or_default();
        let soft = world.hexapod(now, |h| h.state.model().travel).unwrap_or_default();
        Platform {
            servo: false,
            referenced: false,
            referencing_until_s: None,
            begins_s: f64::NEG_INFINITY,
            target,
            velocity_mm_s: VELOCITY_MM_S,
            soft,
            soft_on: [false; 6],
            before: target,
            coordinates: Coordinates::new(),
        }
    }

    /// Velocity of the platform, mm/s.
    pub(super) fn velocity_mm_s(&self) -> f64 {
        self.velocity_mm_s
    }

    pub(super) fn is_referencing(&self) -> bool {
        self.referencing_until_s.is_some()
    }

    /// Ends a reference move that is over.
    pub(super) fn tick(&mut self, now_s: f64) {
        if self.referencing_until_s.is_some_and(|end| now_s >= end) {
            self.referencing_until_s = None;
            self.referenced = true;
        }
    }
}

/// Number of an axis, 0 to 5.
pub(super) fn axis(name: &str) -> Result<usize, i32> {
    AXES.iter().position(|a| *a == name).ok_or(NO_AXIS)
}

/// Axes named, or all.
fn named(args: &[&str]) -> Result<Vec<usize>, i32> {
    if args.is_empty() { Ok((0..6).collect()) } else { args.iter().map(|a| axis(a)).collect() }
}

/// Axes with numbers; every axis once.
fn pairs(args: &[&str]) -> Result<Vec<(usize, f64)>, i32> {
    if args.is_empty() {
        return Err(MISSING);
    }
    if !args.len().is_multiple_of(2) {
        return Err(COUNT);
    }
    let mut pairs: Vec<(usize, f64)> = Vec::new();
    for pair in args.chunks_exact(2) {
        let (index, value) = (axis(pair[0])?, number(pair[1])?);
        if pairs.iter().any(|(i, _)| *i == index) {
            return Err(TWICE);
        }
        pairs.push((index, value));
    }
    Ok(pairs)
}

fn number(text: &str) -> Result<f64, i32> {
    text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(NOT_A_NUMBER)
}

/// Numbers of a pivot: R, S, T, or X, Y, Z as older firmware has them.
fn pivot_axis(name: &str) -> Result<usize, i32> {
    ["R", "S", "T"].iter().position(|a| *a == name).or_else(|| axis(name).ok().filter(|k| *k < 3)).ok_or(NO_AXIS)
}

impl Gcs2 {
    /// Asks the world's hexapod; a controller without one stands at zero.
    fn platform_is<T: Default>(&self, now_s: f64, ask: impl FnOnce(&WorldHexapod) -> T) -> T {
        self.world.hexapod(now_s, |h| ask(h)).unwrap_or_default()
    }

    pub(super) fn pivot_mm(&self, now_s: f64) -> [f64; 3] {
        self.platform_is(now_s, |h| h.state.pivot_mm())
    }

    /// What the axes tell, measured by the legs (mm, deg).
    pub(super) fn pose(&self, platform: &Platform, now_s: f64) -> [f64; 6] {
        let (at, pivot) = self.platform_is(now_s, |h| (h.state.commanded(now_s), h.state.pivot_mm()));
        platform.coordinates.told(&at, pivot)
    }

    /// What the axes tell of the target.
    pub(super) fn pose_target(&self, platform: &Platform, now_s: f64) -> [f64; 6] {
        platform.coordinates.told(&platform.target, self.pivot_mm(now_s))
    }

    pub(super) fn platform_moves(&self, platform: &Platform, now_s: f64) -> bool {
        platform.is_referencing() || now_s >= platform.begins_s && self.platform_is(now_s, |h| h.state.moving(now_s))
    }

    fn platform_on_target(&self, platform: &Platform, now_s: f64) -> bool {
        let (rested, there) = self.platform_is(now_s, |h| {
            (now_s - h.state.end_s() >= SETTLE_S && !h.state.moving(now_s), h.state.commanded(now_s))
        });
        let near = there.iter().zip(platform.target).all(|(at, to)| (at - to).abs() < 1e-9);
        platform.servo && !platform.is_referencing() && rested && near
    }

    /// Limits of an axis with all others at zero; what it can reach from elsewhere is for `VMO?` and `TRA?` to say.
    fn platform_limits(&self, platform: &Platform, now_s: f64, k: usize) -> (f64, f64) {
        if platform.soft_on[k] {
            return platform.soft[k];
        }
        self.platform_is(now_s, |h| h.state.model().range(k, &[0.0; 6], h.state.pivot_mm()).unwrap_or_default())
    }

    /// Whether the platform can be where its axes are told to be.
    fn check_pose(&self, platform: &Platform, now_s: f64, told: &[f64; 6]) -> Result<[f64; 6], i32> {
        let beyond = |k: usize| platform.soft_on[k] && !(platform.soft[k].0..=platform.soft[k].1).contains(&told[k]);
        if (0..6).any(beyond) {
            return Err(OUTSIDE);
        }
        let pivot = self.pivot_mm(now_s);
        let pose = platform.coordinates.platform(told, pivot);
        let reached: Result<(), Obstacle> = self
            .world
            .hexapod(now_s, |h| h.state.model().reachable(&pose, h.state.pivot_mm()))
            .unwrap_or(Err(Obstacle::Travel(0)));
        reached.map(|()| pose).map_err(|_| OUTSIDE)
    }

    /// A query of the platform: its answer, or none if the word is none of its own.
    pub(super) fn ask_platform(
        &mut self,
        platform: &mut Platform,
        now_s: f64,
        word: &str,
        args: &[&str],
    ) -> Result<Option<Vec<String>>, i32> {
        let mm = |v: f64| format!("{:.6}", v + 0.0);
        Ok(Some(match word {
            "SAI" => AXES.map(String::from).to_vec(),
            "VLS" => vec![mm(platform.velocity_mm_s)],
            "SPI" => self.ask_pivot(now_s, args)?,
            "VMO" => {
                let mut told = self.pose_target(platform, now_s);
                for (k, value) in pairs(args)? {
                    told[k] = value;
                }
                vec![u8::from(self.check_pose(platform, now_s, &told).is_ok()).to_string()]
            }
            "TRA" => self.reach(platform, now_s, &pairs(args)?),
            "KEN" | "KET" | "KLN" | "KLS" | "KLT" => systems(&platform.coordinates, word, args)?,
            _ => {
                if self.platform_value(platform, now_s, word, 0).is_none() {
                    return Ok(None);
                }
                let line = |k| Some(format!("{}={}", AXES[k], self.platform_value(platform, now_s, word, k)?));
                named(args)?.into_iter().filter_map(line).collect()
            }
        }))
    }

    fn platform_value(&self, platform: &Platform, now_s: f64, word: &str, k: usize) -> Option<String> {
        let mm = |v: f64| format!("{:.6}", v + 0.0);
        let bit = |b: bool| u8::from(b).to_string();
        Some(match word {
            "POS" => mm(self.pose(platform, now_s)[k]),
            "MOV" => mm(self.pose_target(platform, now_s)[k]),
            "ONT" => bit(self.platform_on_target(platform, now_s)),
            "SVO" => bit(platform.servo),
            "FRF" => bit(platform.referenced),
            "RON" | "TRS" | "LIM" => "1".into(),
            "TMN" => mm(self.platform_limits(platform, now_s, k).0),
            "TMX" => mm(self.platform_limits(platform, now_s, k).1),
            "NLM" => mm(platform.soft[k].0),
            "PLM" => mm(platform.soft[k].1),
            "SSL" => bit(platform.soft_on[k]),
            "PUN" => if k < 3 { "MM" } else { "DEG" }.into(),
            "CST" => STAGE.into(),
            _ => return None,
        })
    }

    fn ask_pivot(&self, now_s: f64, args: &[&str]) -> Result<Vec<String>, i32> {
        let pivot = self.pivot_mm(now_s);
        let names: &[&str] = if args.is_empty() { &["R", "S", "T"] } else { args };
        names.iter().map(|name| Ok(format!("{name}={:.6}", pivot[pivot_axis(name)?]))).collect()
    }

    /// The farthest point from here in a direction, as positions of the axes named.
    fn reach(&self, platform: &Platform, now_s: f64, direction: &[(usize, f64)]) -> Vec<String> {
        let here = self.pose(platform, now_s);
        let at = |share: f64| {
            let mut there = here;
            for (k, d) in direction {
                there[*k] += d * share;
            }
            there
        };
        let length = direction.iter().map(|(_, d)| d * d).sum::<f64>().sqrt();
        let (mut good, mut bad) = (0.0, if length > 0.0 { FAR / length } else { 0.0 });
        // Halvings from 400 mm to a nanometre are fewer than sixty.
        for _ in 0..60 {
            let middle = f64::midpoint(good, bad);
            if self.check_pose(platform, now_s, &at(middle)).is_ok() {
                good = middle
            } else {
                bad = middle
            }
            if bad - good < REACH_SHARE * 1e-3 * bad {
                break;
            }
        }
        direction.iter().map(|(k, _)| format!("{}={:.6}", AXES[*k], at(good * (1.0 - REACH_SHARE))[*k])).collect()
    }

    /// A command of the platform; `None` if the word is none of its own.
    pub(super) fn set_platform(
        &mut self,
        platform: &mut Platform,
        now_s: f64,
        word: &str,
        args: &[&str],
    ) -> Option<Result<(), i32>> {
        Some(match word {
            "MOV" | "MVR" => self.start_platform(platform, now_s, word == "MVR", args),
            "GOH" => named(args).and_then(|axes| {
                let to: Vec<(usize, f64)> = axes.into_iter().map(|k| (k, 0.0)).collect();
                self.go_platform(platform, now_s, &to)
            }),
            "FRF" => named(args).and_then(|_| self.refer_platform(platform, now_s)),
            "HLT" => named(args).map(|_| {
                self.halt_platform(platform, now_s);
                self.raise(super::STOPPED);
            }),
            "RON" => pairs(args).and(Err(NOT_ALLOWED)),
            "SVO" => pairs(args).and_then(|list| self.switch_servo(platform, now_s, &list)),
            "SSL" => pairs(args).and_then(|list| {
                list.iter().all(|(_, v)| *v == 0.0 || *v == 1.0).then_some(()).ok_or(RANGE)?;
                list.iter().for_each(|(k, v)| platform.soft_on[*k] = *v == 1.0);
                Ok(())
            }),
            "NLM" | "PLM" => pairs(args).and_then(|list| self.soft_limits(platform, now_s, word, &list)),
            "VLS" => self.velocity(platform, now_s, args),
            "SPI" => self.set_pivot(platform, now_s, args),
            "KSD" | "KST" | "KSW" | "KSF" | "KEN" | "KLN" | "KRM" | "KCP" => {
                self.set_system(platform, now_s, word, args)
            }
            _ => return None,
        })
    }

    fn start_platform(
        &mut self,
        platform: &mut Platform,
        now_s: f64,
        relative: bool,
        args: &[&str],
    ) -> Result<(), i32> {
        let from = self.pose_target(platform, now_s);
        let mut to = pairs(args)?;
        for (k, value) in &mut to {
            *value += if relative { from[*k] } else { 0.0 };
        }
        self.go_platform(platform, now_s, &to)
    }

    /// Moves axes to positions; the others stay at their targets. All arrive at once.
    fn go_platform(&mut self, platform: &mut Platform, now_s: f64, to: &[(usize, f64)]) -> Result<(), i32> {
        if platform.is_referencing() {
            return Err(BUSY);
        }
        if !platform.referenced || !platform.servo {
            return Err(NOT_REFERENCED);
        }
        self.no_routine_on(to.iter().map(|(k, _)| AXES[*k]))?;
        let mut told = self.pose_target(platform, now_s);
        for (k, value) in to {
            told[*k] = *value;
        }
        let pose = self.check_pose(platform, now_s, &told)?;
        for (k, value) in to {
            let axis = self.platform_is(now_s, |h| h.name(*k).to_string());
            let target_um = if *k < 3 { value * 1000.0 } else { *value };
            self.world.ordered(now_s, Order::Move { axis, target_um });
        }
        let velocity = platform.velocity_mm_s;
        // One under way is taken over where it is.
        let moving = self.platform_is(now_s, |h| h.state.moving(now_s));
        let begins_s = if moving { now_s } else { now_s + PREPARE_S };
        let started = self.world.hexapod(now_s, |h| h.start(begins_s, pose, velocity));
        // On the straight way there some leg may be too short.
        started.unwrap_or(Ok(())).map_err(|_| OUTSIDE)?;
        (platform.target, platform.begins_s) = (pose, begins_s);
        Ok(())
    }

    /// All six axes are referenced, whichever is named; the servo comes on.
    fn refer_platform(&mut self, platform: &mut Platform, now_s: f64) -> Result<(), i32> {
        if platform.is_referencing() {
            return Err(BUSY);
        }
        self.no_routine_on(AXES.into_iter())?;
        let zero = [0.0; 6];
        let end = self.world.hexapod(now_s, |h| {
            // Wherever it stands, the legs themselves go to their middles.
            let _ = h.start(now_s, zero, VELOCITY_MM_S);
            if h.state.moving(now_s) { h.state.end_s() } else { now_s }
        });
        platform.target = zero;
        (platform.servo, platform.referenced) = (true, false);
        platform.referencing_until_s = Some(end.unwrap_or(now_s) + REFERENCE_S);
        Ok(())
    }

    pub(super) fn halt_platform(&mut self, platform: &mut Platform, now_s: f64) {
        if platform.referencing_until_s.take().is_some() {
            platform.referenced = false;
        }
        let target = self.world.hexapod(now_s, |h| {
            h.state.stop(now_s);
            let end_s = h.state.end_s();
            h.state.commanded(if end_s.is_finite() { end_s.max(now_s) } else { now_s })
        });
        platform.target = target.unwrap_or(platform.target);
    }

    /// The servo of the platform is one, whichever axes are named.
    fn switch_servo(&mut self, platform: &mut Platform, now_s: f64, list: &[(usize, f64)]) -> Result<(), i32> {
        let on = list.first().map_or(0.0, |(_, v)| *v);
        if !(on == 0.0 || on == 1.0) || list.iter().any(|(_, v)| *v != on) {
            return Err(RANGE);
        }
        if on == 0.0 {
            self.halt_platform(platform, now_s);
        }
        platform.servo = on == 1.0;
        Ok(())
    }

    fn soft_limits(
        &mut self,
        platform: &mut Platform,
        now_s: f64,
        word: &str,
        list: &[(usize, f64)],
    ) -> Result<(), i32> {
        let travel = self.platform_is(now_s, |h| h.state.model().travel);
        if list.iter().any(|(k, v)| !(travel[*k].0 - 1e-9..=travel[*k].1 + 1e-9).contains(v)) {
            return Err(SOFT);
        }
        for (k, v) in list {
            let (low, high) = &mut platform.soft[*k];
            *(if word == "NLM" { low } else { high }) = *v;
        }
        Ok(())
    }

    fn velocity(&mut self, platform: &mut Platform, now_s: f64, args: &[&str]) -> Result<(), i32> {
        let [text] = args else { return Err(if args.is_empty() { MISSING } else { COUNT }) };
        let velocity = number(text)?;
        let most = self.platform_is(now_s, |h| h.state.model().velocity_max_mm_s);
        if velocity <= 0.0 || velocity > most {
            return Err(VELOCITY);
        }
        platform.velocity_mm_s = velocity;
        Ok(())
    }

    fn set_pivot(&mut self, platform: &mut Platform, now_s: f64, args: &[&str]) -> Result<(), i32> {
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return Err(if args.is_empty() { MISSING } else { COUNT });
        }
        let mut pivot = self.pivot_mm(now_s);
        for pair in args.chunks_exact(2) {
            pivot[pivot_axis(pair[0])?] = number(pair[1])?;
        }
        if !platform.coordinates.is_zero() || platform.target[3..].iter().any(|deg| deg.abs() > TURNED_DEG) {
            return Err(PIVOT);
        }
        match self.world.hexapod(now_s, |h| h.state.set_pivot(now_s, pivot)) {
            Some(Err(PivotRefusal::Moving)) => Err(IN_MOTION),
            Some(Err(PivotRefusal::Turned)) => Err(PIVOT),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn set_system(&mut self, platform: &mut Platform, now_s: f64, word: &str, args: &[&str]) -> Result<(), i32> {
        let (name, rest) = args.split_first().ok_or(MISSING)?;
        if self.platform_moves(platform, now_s) || self.platform_is(now_s, |h| h.state.moving(now_s)) {
            return Err(IN_MOTION);
        }
        self.no_routine_on(AXES.into_iter())?;
        let (target, pivot) = (platform.target, self.pivot_mm(now_s));
        let all = &mut platform.coordinates;
        let only = |rest: &[&str]| if rest.is_empty() { Ok(()) } else { Err(COUNT) };
        match (word, rest) {
            ("KEN", _) => only(rest).and_then(|()| all.enable(name)),
            ("KRM", _) => only(rest).and_then(|()| all.remove(name)),
            ("KSF", _) => only(rest).and_then(|()| all.define(name, Kind::Found, Coordinates::here(&target, pivot))),
            ("KLN", [parent]) => all.link(name, parent),
            ("KCP", [copy]) => all.copy(name, copy),
            ("KLN" | "KCP", _) => Err(COUNT),
            _ => {
                let kind = match word {
                    "KST" => Kind::Tool,
                    "KSW" => Kind::Work,
                    _ => Kind::Directed,
                };
                let mut pose = [0.0; 6];
                for (k, value) in pairs(rest)? {
                    pose[k] = value;
                }
                all.define(name, kind, pose)
            }
        }
    }

    /// Axes whose position is another than when it was asked last.
    pub(super) fn platform_changed(&self, platform: &mut Platform, now_s: f64) -> u32 {
        let at = self.pose(platform, now_s);
        let before = std::mem::replace(&mut platform.before, at);
        (0..6).fold(0, |mask, k| mask | u32::from((at[k] - before[k]).abs() >= 1e-5) << k)
    }

    /// Places an axis where a routine has it, in its own unit; in `Err` the platform cannot be there.
    pub(super) fn follow_platform(
        &mut self,
        platform: &mut Platform,
        now_s: f64,
        to: &[(usize, f64)],
    ) -> Result<(), i32> {
        let pivot = self.pivot_mm(now_s);
        let mut told = platform.coordinates.told(&platform.target, pivot);
        for (k, value) in to {
            told[*k] = *value;
        }
        let pose = platform.coordinates.platform(&told, pivot);
        let followed = self.world.hexapod(now_s, |h| h.state.follow(now_s, pose)).unwrap_or(Ok(()));
        followed.map_err(|_| OUTSIDE)?;
        platform.target = pose;
        Ok(())
    }

    /// Whether a routine may use an axis between two of its positions, from where the others are.
    pub(super) fn platform_admits(&self, platform: &Platform, now_s: f64, to: &[(usize, f64)]) -> Result<(), i32> {
        if !platform.referenced || !platform.servo {
            return Err(NOT_REFERENCED);
        }
        let mut told = self.pose_target(platform, now_s);
        for (k, value) in to {
            told[*k] = *value;
        }
        self.check_pose(platform, now_s, &told).map(|_| ())
    }
}

/// Answers about coordinate systems. `KEN?` name=type, `KET?` type=name, `KLT?` fields with tabs between them: as
/// programs of users of a C-887 read them; `KLN?` and `KLS?` likewise, which nobody shows.
fn systems(all: &Coordinates, word: &str, args: &[&str]) -> Result<Vec<String>, i32> {
    let fields =
        |pose: &[f64; 6]| -> String { AXES.iter().zip(pose).map(|(a, v)| format!("\t{a}={:.6}", v + 0.0)).collect() };
    let known = |s: &&System| args.first().is_none_or(|name| s.name.eq_ignore_ascii_case(name));
    let some = |lines: Vec<String>| if lines.is_empty() { Err(530) } else { Ok(lines) };
    match word {
        "KEN" => {
            let listed = |name: &str| args.is_empty() || args.iter().any(|a| a.eq_ignore_ascii_case(name));
            let on = all.enabled();
            some(on.iter().filter(|(n, _)| listed(n)).map(|(n, kind)| format!("{n}={}", kind.word())).collect())
        }
        "KET" => {
            let listed = |kind: Kind| args.is_empty() || args.iter().any(|a| a.eq_ignore_ascii_case(kind.word()));
            let on = all.enabled();
            let lines: Vec<String> =
                on.iter().filter(|(_, kind)| listed(*kind)).map(|(n, kind)| format!("{}={n}", kind.word())).collect();
            // No system of this type is in force.
            if lines.is_empty() { Err(556) } else { Ok(lines) }
        }
        "KLN" => {
            some(all.all().iter().filter(known).map(|s| format!("{}={}", s.name, chain_text(all, &s.name))).collect())
        }
        "KLS" => {
            if let [name, item, axis_name] = args
                && item.eq_ignore_ascii_case("POS")
            {
                let system = all.all().iter().find(|s| s.name.eq_ignore_ascii_case(name)).ok_or(530)?;
                return Ok(vec![format!("{:.6}", system.pose[axis(axis_name)?])]);
            }
            let line =
                |s: &System| format!("Name={}\tType={}\tParent={}{}", s.name, s.kind.word(), s.parent, fields(&s.pose));
            some(all.all().iter().filter(known).map(line).collect())
        }
        _ => {
            let end = args.get(1).copied();
            let line = |s: &System| {
                let offset = all.offset(&s.name, end)?;
                Ok(format!("Name={}\tEndCoordSys={}{}", s.name, end.unwrap_or(ZERO), fields(&offset)))
            };
            let asked = all.all().iter().filter(known).filter(|s| s.kind != Kind::Base);
            asked.map(line).collect::<Result<Vec<_>, _>>().and_then(some)
        }
    }
}

fn chain_text(all: &Coordinates, name: &str) -> String {
    all.chain(name).get(1).cloned().unwrap_or_else(|| "0".into())
}
