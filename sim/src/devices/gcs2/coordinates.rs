//! Coordinate systems of a hexapod controller (commands `KSD` and on): pure. Names, default systems and error codes: PI's
//! note C887T0007 as far as PIPython and programs of users of a C-887 show it.
//!
//! A platform's motion is M = (R, t): a point x of the platform at zero goes to R x + t. What the controller tells is
//! - in `ZERO` the pose about the pivot of `SPI`,
//! - in a directed system D (`KSD`: centre and direction of rotations): D^-1 M D,
//! - in a system F taken where the platform was (`KSF`): F^-1 M,
//! - in a pair of work W and tool T (`KSW`, `KST`): W^-1 M T.

use nalgebra::{Isometry3, Rotation3, Translation3, UnitQuaternion, Vector3};

use crate::mechanics::hexapod::{gcs, rigid};

/// The root: what the axes are without any system of the user's.
pub(super) const ZERO: &str = "ZERO";
/// The maker's base system; always enabled.
pub(super) const BASE: &str = "PI_BASE";
/// Systems kept at the most.
const SYSTEMS_MAX: usize = 50;
/// Longest name, characters.
const NAME_MAX: usize = 30;

/// A command refers to a system that does not exist.
const NO_SYSTEM: i32 = 530;
/// ... to a parent that does not exist.
const NO_PARENT: i32 = 531;
/// The system is enabled, or another one's parent.
const IN_USE: i32 = 532;
/// A chain would bite its own tail.
const CYCLIC: i32 = 533;
/// Types that are enabled by other means.
const NOT_ENABLED_BY_HAND: i32 = 537;
/// A system cannot be its own parent.
const OWN_PARENT: i32 = 539;
/// Two systems that are not in one chain.
const NOT_IN_CHAIN: i32 = 542;
/// No room for one more.
const FULL: i32 = 543;
/// The maker's systems cannot be changed.
const PROTECTED: i32 = 546;
/// No name for a system.
const BAD_NAME: i32 = 557;

/// Types of systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Base,
    Directed,
    Found,
    Tool,
    Work,
}

impl Kind {
    /// As the controller writes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Base => "KSB",
            Kind::Directed => "KSD",
            Kind::Found => "KSF",
            Kind::Tool => "KST",
            Kind::Work => "KSW",
        }
    }
}

/// One system against its parent: mm, deg.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct System {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) pose: [f64; 6],
    pub(super) parent: String,
}

/// All systems and which are in force.
#[derive(Debug, Clone)]
pub(super) struct Coordinates {
    systems: Vec<System>,
    /// `ZERO`, or a directed or found system; none while a work and tool pair is in force.
    operating: Option<String>,
    work: String,
    tool: String,
}

/// A motion of the platform from its pose (mm, deg) about a pivot (mm).
fn motion(pose: &[f64; 6], pivot: Vector3<f64>) -> Isometry3<f64> {
    let (shift, turn) = rigid(pose);
    frame(shift + pivot - turn * pivot, turn)
}

fn frame(shift: Vector3<f64>, turn: Rotation3<f64>) -> Isometry3<f64> {
    Isometry3::from_parts(Translation3::from(shift), UnitQuaternion::from_rotation_matrix(&turn))
}

/// The pose about a pivot of a motion.
fn pose(motion: &Isometry3<f64>, pivot: Vector3<f64>) -> [f64; 6] {
    let turn = motion.rotation.to_rotation_matrix();
    gcs(motion.translation.vector - pivot + turn * pivot, turn)
}

impl Coordinates {
    pub(super) fn new() -> Coordinates {
        let system = |name: &str, kind| System { name: name.into(), kind, pose: [0.0; 6], parent: "0".into() };
        let systems = vec![system(BASE, Kind::Base), system(ZERO, Kind::Directed)];
        Coordinates { systems, operating: Some(ZERO.into()), work: ZERO.into(), tool: ZERO.into() }
    }

    fn find(&self, name: &str) -> Option<&System> {
        self.systems.iter().find(|s| s.name.eq_ignore_ascii_case(name))
    }

    /// Every system.
    pub(super) fn all(&self) -> &[System] {
        &self.systems
    }

    /// Whether no system of the user's is in force.
    pub(super) fn is_zero(&self) -> bool {
        self.operating.as_deref() == Some(ZERO)
    }

    /// The systems in force with their types.
    pub(super) fn enabled(&self) -> Vec<(&str, Kind)> {
        let kind = |name: &str| self.find(name).map_or(Kind::Directed, |s| s.kind);
        let mut list = vec![(BASE, Kind::Base)];
        match &self.operating {
            Some(name) => list.push((name, kind(name))),
            None => list.extend([(self.work.as_str(), Kind::Work), (self.tool.as_str(), Kind::Tool)]),
        }
        list
    }

    /// Defines a system or changes one that is not in use.
    pub(super) fn define(&mut self, name: &str, kind: Kind, pose: [f64; 6]) -> Result<(), i32> {
        let name = name.to_ascii_uppercase();
        let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.len() <= NAME_MAX;
        if !named || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(BAD_NAME);
        }
        self.changeable(&name)?;
        if let Some(known) = self.systems.iter_mut().find(|s| s.name == name) {
            (known.kind, known.pose) = (kind, pose);
            return Ok(());
        }
        if self.systems.len() >= SYSTEMS_MAX {
            return Err(FULL);
        }
        self.systems.push(System { name, kind, pose, parent: ZERO.into() });
        Ok(())
    }

    fn changeable(&self, name: &str) -> Result<(), i32> {
        if [ZERO, BASE].iter().any(|n| n.eq_ignore_ascii_case(name)) {
            return Err(PROTECTED);
        }
        let enabled = self.enabled().iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let parent = self.systems.iter().any(|s| s.parent.eq_ignore_ascii_case(name));
        if enabled || parent { Err(IN_USE) } else { Ok(()) }
    }

    /// `KRM`.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), i32> {
        self.find(name).ok_or(NO_SYSTEM)?;
        self.changeable(name)?;
        self.systems.retain(|s| !s.name.eq_ignore_ascii_case(name));
        Ok(())
    }

    /// `KCP`.
    pub(super) fn copy(&mut self, from: &str, to: &str) -> Result<(), i32> {
        let System { kind, pose, parent, .. } = self.find(from).ok_or(NO_SYSTEM)?.clone();
        self.define(to, kind, pose)?;
        if let Some(copy) = self.systems.iter_mut().find(|s| s.name.eq_ignore_ascii_case(to)) {
            copy.parent = if parent == "0" { ZERO.into() } else { parent };
        }
        Ok(())
    }

    /// `KLN`: a system counts from its parent; `0` or `ZERO` takes it out of a chain.
    pub(super) fn link(&mut self, child: &str, parent: &str) -> Result<(), i32> {
        let child = self.find(child).ok_or(NO_SYSTEM)?.name.clone();
        let parent = if parent == "0" { ZERO } else { parent };
        let parent = self.find(parent).ok_or(NO_PARENT)?.name.clone();
        if child == parent {
            return Err(OWN_PARENT);
        }
        if self.chain(&parent).contains(&child) {
            return Err(CYCLIC);
        }
        self.changeable(&child)?;
        if let Some(system) = self.systems.iter_mut().find(|s| s.name == child) {
            system.parent = parent;
        }
        Ok(())
    }

    /// Names from a system up to its root.
    pub(super) fn chain(&self, name: &str) -> Vec<String> {
        let mut chain = Vec::new();
        let mut next = self.find(name);
        // Links are never cyclic; the bound keeps a mistake here from hanging the controller.
        while let Some(system) = next.filter(|_| chain.len() <= SYSTEMS_MAX) {
            chain.push(system.name.clone());
            next = self.find(&system.parent);
        }
        chain
    }

    /// `KEN`; `0` is `ZERO`.
    pub(super) fn enable(&mut self, name: &str) -> Result<(), i32> {
        let name = if name == "0" { ZERO } else { name };
        let System { name, kind, .. } = self.find(name).ok_or(NO_SYSTEM)?.clone();
        match kind {
            Kind::Base => return Err(NOT_ENABLED_BY_HAND),
            Kind::Directed | Kind::Found => {
                (self.operating, self.work, self.tool) = (Some(name), ZERO.into(), ZERO.into());
            }
            Kind::Work => (self.operating, self.work) = (None, name),
            Kind::Tool => (self.operating, self.tool) = (None, name),
        }
        Ok(())
    }

    /// Where a system is against one up its chain (or its root): mm, deg.
    pub(super) fn offset(&self, name: &str, end: Option<&str>) -> Result<[f64; 6], i32> {
        let system = self.find(name).ok_or(NO_SYSTEM)?;
        let end = match end {
            Some(end) => self.find(end).ok_or(NO_SYSTEM)?.name.as_str(),
            None => ZERO,
        };
        let chain = self.chain(&system.name);
        let until = chain.iter().position(|n| n == end).ok_or(NOT_IN_CHAIN)?;
        let place = chain[..until].iter().rev().fold(Isometry3::identity(), |sum, n| sum * self.own(n));
        Ok(pose(&place, Vector3::zeros()))
    }

    fn own(&self, name: &str) -> Isometry3<f64> {
        self.find(name).map_or_else(Isometry3::identity, |s| motion(&s.pose, Vector3::zeros()))
    }

    fn whole(&self, name: &str) -> Isometry3<f64> {
        self.chain(name).iter().rev().fold(Isometry3::identity(), |sum, n| sum * self.own(n))
    }

    /// Factors on the left and on the right of M; none in `ZERO`.
    fn factors(&self) -> Option<(Isometry3<f64>, Isometry3<f64>)> {
        let Some(name) = &self.operating else {
            return Some((self.whole(&self.work).inverse(), self.whole(&self.tool)));
        };
        if name == ZERO {
            return None;
        }
        let system = self.whole(name);
        let right = match self.find(name).map(|s| s.kind) {
            Some(Kind::Found) => Isometry3::identity(),
            _ => system,
        };
        Some((system.inverse(), right))
    }

    /// What the axes tell of a pose of the platform about its pivot: mm, deg.
    pub(super) fn told(&self, platform: &[f64; 6], pivot_mm: [f64; 3]) -> [f64; 6] {
        let Some((left, right)) = self.factors() else { return *platform };
        pose(&(left * motion(platform, pivot_mm.into()) * right), Vector3::zeros())
    }

    /// The pose of the platform about its pivot for what the axes are told.
    pub(super) fn platform(&self, told: &[f64; 6], pivot_mm: [f64; 3]) -> [f64; 6] {
        let Some((left, right)) = self.factors() else { return *told };
        let m = left.inverse() * motion(told, Vector3::zeros()) * right.inverse();
        pose(&m, pivot_mm.into())
    }

    /// A pose of the platform as a system of its own (`KSF`).
    pub(super) fn here(platform: &[f64; 6], pivot_mm: [f64; 3]) -> [f64; 6] {
        pose(&motion(platform, pivot_mm.into()), Vector3::zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f64; 6], b: &[f64; 6]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
    }

    #[test]
    fn a_directed_system_turns_about_its_own_point() {
        let mut all = Coordinates::new();
        all.define("tip", Kind::Directed, [1.0, 2.0, 50.0, 0.0, 0.0, 0.0]).unwrap();
        all.enable("TIP").unwrap();
        let turned = all.platform(&[0.0, 0.0, 0.0, 3.0, -2.0, 1.0], [0.0; 3]);
        // The same as the platform's own pose about that pivot.
        near(&Coordinates::new().told(&turned, [0.0; 3]), &turned);
        let (shift, turn) = rigid(&turned);
        let point = Vector3::new(1.0, 2.0, 50.0);
        assert!((turn * point + shift - point).norm() < 1e-12, "the point has moved");
        near(&all.told(&turned, [0.0; 3]), &[0.0, 0.0, 0.0, 3.0, -2.0, 1.0]);
    }

    #[test]
    fn a_quarter_turn_of_a_directed_system_swaps_its_axes() {
        let mut all = Coordinates::new();
        all.define("Q", Kind::Directed, [0.0, 0.0, 0.0, 0.0, 0.0, 90.0]).unwrap();
        all.enable("Q").unwrap();
        near(&all.platform(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0; 3]), &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_system_found_here_is_zero_here_and_there_is_a_way_back() {
        let (here, pivot) = ([0.5, -0.2, 1.0, 2.0, 1.0, -3.0], [0.0, 1.0, 40.0]);
        let mut all = Coordinates::new();
        all.define("HERE", Kind::Found, Coordinates::here(&here, pivot)).unwrap();
        all.enable("HERE").unwrap();
        near(&all.told(&here, pivot), &[0.0; 6]);
        near(&all.platform(&[0.0; 6], pivot), &here);
    }

    #[test]
    fn work_and_tool_tell_where_the_tool_is_in_the_work() {
        let mut all = Coordinates::new();
        all.define("W", Kind::Work, [10.0, 0.0, 0.0, 0.0, 0.0, 90.0]).unwrap();
        all.define("T", Kind::Tool, [0.0, 0.0, 50.0, 0.0, 0.0, 0.0]).unwrap();
        all.enable("W").unwrap();
        all.enable("T").unwrap();
        assert_eq!(all.enabled(), [("PI_BASE", Kind::Base), ("W", Kind::Work), ("T", Kind::Tool)]);
        near(&all.told(&[0.0; 6], [0.0; 3]), &[0.0, 10.0, 50.0, 0.0, 0.0, -90.0]);
        let told = [1.0, 9.0, 49.0, 1.0, 2.0, -80.0];
        near(&all.told(&all.platform(&told, [3.0, 0.0, 1.0]), [3.0, 0.0, 1.0]), &told);
    }

    #[test]
    fn chains_add_up_and_cannot_be_cyclic() {
        let mut all = Coordinates::new();
        for (name, x) in [("A", 1.0), ("B", 2.0), ("C", 4.0)] {
            all.define(name, Kind::Directed, [x, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        }
        all.link("B", "A").unwrap();
        all.link("C", "B").unwrap();
        assert_eq!(all.offset("C", None).unwrap()[0], 7.0);
        assert_eq!(all.offset("C", Some("A")).unwrap()[0], 6.0);
        assert_eq!(all.link("A", "C"), Err(CYCLIC));
        assert_eq!(all.link("C", "C"), Err(OWN_PARENT));
        assert_eq!(all.link("C", "NONE"), Err(NO_PARENT));
        assert_eq!(all.offset("A", Some("C")), Err(NOT_IN_CHAIN));
        assert_eq!(all.remove("A"), Err(IN_USE));
        assert_eq!(all.remove("C"), Ok(()));
    }

    #[test]
    fn what_is_in_use_or_the_makers_is_left_alone() {
        let mut all = Coordinates::new();
        all.define("A", Kind::Directed, [0.0; 6]).unwrap();
        all.enable("A").unwrap();
        assert_eq!(all.define("a", Kind::Work, [0.0; 6]), Err(IN_USE));
        assert_eq!(all.remove("A"), Err(IN_USE));
        assert_eq!(all.remove("ZERO"), Err(PROTECTED));
        assert_eq!(all.remove("B"), Err(NO_SYSTEM));
        assert_eq!(all.enable("B"), Err(NO_SYSTEM));
        assert_eq!(all.enable("PI_BASE"), Err(NOT_ENABLED_BY_HAND));
        assert_eq!(all.define("9", Kind::Work, [0.0; 6]), Err(BAD_NAME));
        for k in 0..47 {
            all.define(&format!("N{k}"), Kind::Work, [0.0; 6]).unwrap();
        }
        assert_eq!(all.define("MORE", Kind::Work, [0.0; 6]), Err(FULL));
        assert!(!all.is_zero());
        all.enable("0").unwrap();
        assert!(all.is_zero());
    }
}
