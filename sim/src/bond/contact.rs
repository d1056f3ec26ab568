//! A fibre's end that touches the part: force, stick and slip, and scratches that stay. Pure: a state and a straight way
//! give the next state, so where the way is cut into pieces to be asked about does not matter.

/// What a contact is like. The part lies below: the fibre touches when its z falls below the surface.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContactModel {
    /// z of the surface, um.
    pub surface_um: f64,
    /// Force over overtravel, N/mm.
    pub stiffness_n_mm: f64,
    /// Stiffness of the fibre's holder sideways, N/mm.
    pub lateral_n_mm: f64,
    /// Coefficients of friction, static and sliding.
    pub friction: (f64, f64),
    /// Overtravel from which on the facet is scratched, um.
    pub scratch_um: f64,
    /// Loss of a scratch per um of overtravel beyond, dB/um.
    pub scratch_db_um: f64,
}

impl ContactModel {
    /// A glass fibre on a glass or silicon facet: friction of glass on glass in air 0.4 static (estimate), a holder of 2 N/mm.
    pub fn fibre(surface_um: f64) -> ContactModel {
        ContactModel {
            surface_um,
            stiffness_n_mm: 5.0,
            lateral_n_mm: 2.0,
            friction: (0.4, 0.3),
            scratch_um: 12.0,
            scratch_db_um: 0.15,
        }
    }

    /// How far a commanded z is beyond the surface, um.
    pub fn overtravel_um(&self, z_um: f64) -> f64 {
        (self.surface_um - z_um).max(0.0)
    }

    /// Force at a commanded z, N.
    pub fn force_n(&self, z_um: f64) -> f64 {
        self.stiffness_n_mm * self.overtravel_um(z_um) * 1e-3
    }
}

/// A fibre's end: where it is told to be and where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContactState {
    commanded_um: [f64; 3],
    /// Where the end sticks.
    tip_um: [f64; 2],
    deepest_um: f64,
}

/// Slips on one straight way that are told apart; beyond, the end slides evenly. 20,000 slips of a micrometre are 20 mm.
const SLIPS_MAX: u32 = 20_000;
/// The least way between two slips, um: under light load they follow without end.
const SLIP_APART_UM: f64 = 0.02;

impl ContactState {
    /// A fibre's end that has touched nothing yet and is free to be where it is told, um; one told to be inside the part
    /// stands on it.
    pub fn new(model: &ContactModel, at_um: [f64; 3]) -> ContactState {
        ContactState { commanded_um: at_um, tip_um: [at_um[0], at_um[1]], deepest_um: model.overtravel_um(at_um[2]) }
    }

    /// Where the end is, um.
    pub fn tip_um(&self, model: &ContactModel) -> [f64; 3] {
        [self.tip_um[0], self.tip_um[1], self.commanded_um[2].max(model.surface_um)]
    }

    /// Whether it touches.
    pub fn touches(&self, model: &ContactModel) -> bool {
        model.overtravel_um(self.commanded_um[2]) > 0.0
    }

    /// Force on the facet, N.
    pub fn force_n(&self, model: &ContactModel) -> f64 {
        model.force_n(self.commanded_um[2])
    }

    /// The greatest overtravel that ever was, um.
    pub fn deepest_um(&self) -> f64 {
        self.deepest_um
    }

    /// Loss of the scratch that it has left, dB.
    pub fn scratch_db(&self, model: &ContactModel) -> f64 {
        model.scratch_db_um * (self.deepest_um - model.scratch_um).max(0.0)
    }

    /// The end after a straight way to a commanded position, um.
    #[must_use]
    pub fn follow(&self, model: &ContactModel, to_um: [f64; 3]) -> ContactState {
        let from = self.commanded_um;
        let deepest_um = self.deepest_um.max(model.overtravel_um(to_um[2]));
        if model.overtravel_um(to_um[2]) == 0.0 {
            return ContactState { commanded_um: to_um, tip_um: [to_um[0], to_um[1]], deepest_um };
        }
        let mut tip = self.tip_um;
        let mut begin = 0.0;
        if !self.touches(model) {
            // It comes down free and sticks where it touches.
            begin = (from[2] - model.surface_um) / (from[2] - to_um[2]);
            tip = [0, 1].map(|k| from[k] + (to_um[k] - from[k]) * begin);
        }
        let way = Way::new(model, from, to_um);
        let tip_um = way.drag(model, tip, begin * way.length);
        ContactState { commanded_um: to_um, tip_um, deepest_um }
    }
}

/// A straight way in contact, by the length gone along it.
struct Way {
    from: [f64; 3],
    /// Direction, um per um.
    along: [f64; 3],
    length: f64,
    /// Force at the beginning, N (below 0 above the surface), and its change per um.
    force: (f64, f64),
}

impl Way {
    fn new(model: &ContactModel, from: [f64; 3], to: [f64; 3]) -> Way {
        let by: [f64; 3] = std::array::from_fn(|k| to[k] - from[k]);
        let length = by.iter().map(|d| d * d).sum::<f64>().sqrt();
        let along = by.map(|d| if length > 0.0 { d / length } else { 0.0 });
        let n_um = model.stiffness_n_mm * 1e-3;
        Way { from, along, length, force: (n_um * (model.surface_um - from[2]), -n_um * along[2]) }
    }

    fn deflection(&self, tip: [f64; 2], s: f64) -> [f64; 2] {
        [0, 1].map(|k| self.from[k] + self.along[k] * s - tip[k])
    }

    fn force_n(&self, s: f64) -> f64 {
        (self.force.0 + self.force.1 * s).max(0.0)
    }

    /// Drags an end that sticks at `tip` when `s` um have been gone, to the end of the way.
    fn drag(&self, model: &ContactModel, mut tip: [f64; 2], mut s: f64) -> [f64; 2] {
        for _ in 0..SLIPS_MAX {
            match self.slip_at(model, tip, s) {
                Some(at) if at < self.length => {
                    tip = self.slid(model, tip, at);
                    s = at + SLIP_APART_UM;
                }
                _ => return tip,
            }
            if s >= self.length {
                return tip;
            }
        }
        self.slid(model, tip, self.length)
    }

    /// Where the end comes to rest when it slips: as far behind as sliding friction holds.
    fn slid(&self, model: &ContactModel, tip: [f64; 2], s: f64) -> [f64; 2] {
        let d = self.deflection(tip, s);
        let length = d[0].hypot(d[1]);
        let held = model.friction.1 * self.force_n(s) / (model.lateral_n_mm * 1e-3);
        let keep = if length > 0.0 { (held / length).min(1.0) } else { 1.0 };
        [0, 1].map(|k| self.from[k] + self.along[k] * s - d[k] * keep)
    }

    /// The way gone, from `s` on, at which the holder's pull overcomes static friction: (k |d|)^2 = (mu N)^2.
    fn slip_at(&self, model: &ContactModel, tip: [f64; 2], s: f64) -> Option<f64> {
        let pull = (model.lateral_n_mm * 1e-3).powi(2);
        let hold = model.friction.0.powi(2);
        let d = self.deflection(tip, s);
        let (force, rise) = (self.force_n(s), self.force.1);
        let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
        let side = [self.along[0], self.along[1]];
        let a = pull * dot(side, side) - hold * rise * rise;
        let b = 2.0 * (pull * dot(d, side) - hold * force * rise);
        let c = pull * dot(d, d) - hold * force * force;
        if c > 0.0 || (c == 0.0 && (b > 0.0 || (b == 0.0 && a > 0.0))) {
            return Some(s);
        }
        first_root(a, b, c).map(|gone| s + gone)
    }
}

/// The least root of a x^2 + b x + c above zero, for c not above zero.
fn first_root(a: f64, b: f64, c: f64) -> Option<f64> {
    let discriminant = b * b - 4.0 * a * c;
    if discriminant < 0.0 {
        return None;
    }
    // Without cancellation: one root from the larger sum, the other from the product of both.
    let q = -(b + discriminant.sqrt().copysign(b)) / 2.0;
    let roots = [if a == 0.0 { f64::NAN } else { q / a }, if q == 0.0 { f64::NAN } else { c / q }];
    roots.into_iter().filter(|r| *r > 0.0).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ContactModel = ContactModel {
        surface_um: 0.0,
        stiffness_n_mm: 5.0,
        lateral_n_mm: 2.0,
        friction: (0.4, 0.3),
        scratch_um: 12.0,
        scratch_db_um: 0.15,
    };

    fn way(points: &[[f64; 3]]) -> ContactState {
        points[1..].iter().fold(ContactState::new(&MODEL, points[0]), |state, to| state.follow(&MODEL, *to))
    }

    #[test]
    fn above_the_surface_the_end_is_where_it_is_told_and_below_it_z_stops_following() {
        let free = way(&[[1.0, 2.0, 30.0], [4.0, 5.0, 0.1]]);
        assert_eq!((free.tip_um(&MODEL), free.touches(&MODEL)), ([4.0, 5.0, 0.1], false));
        let pressed = free.follow(&MODEL, [4.0, 5.0, -10.0]);
        assert_eq!((pressed.tip_um(&MODEL), pressed.touches(&MODEL)), ([4.0, 5.0, 0.0], true));
        assert!((MODEL.force_n(-10.0) - 0.05).abs() < 1e-12 && MODEL.force_n(3.0) == 0.0);
    }

    #[test]
    fn friction_holds_the_end_until_it_jumps_by_micrometres() {
        // 10 um of overtravel: 0.05 N; held up to 0.02 N = 10 um, then back to 7.5 um behind.
        let down = way(&[[0.0, 0.0, 10.0], [0.0, 0.0, -10.0]]);
        assert_eq!(down.follow(&MODEL, [9.99, 0.0, -10.0]).tip_um(&MODEL)[0], 0.0);
        let jumped = down.follow(&MODEL, [10.01, 0.0, -10.0]).tip_um(&MODEL)[0];
        assert!((jumped - 2.5).abs() < 0.02, "{jumped}");
        assert!((0.5..3.0).contains(&jumped), "the jump that is seen on benches");
        let far = down.follow(&MODEL, [200.0, 0.0, -10.0]).tip_um(&MODEL)[0];
        assert!((190.0 - 1e-9..=192.5 + 0.1).contains(&far), "dragged behind by 7.5 to 10 um: {far}");
        assert_eq!(down.follow(&MODEL, [50.0, 0.0, 1.0]).tip_um(&MODEL), [50.0, 0.0, 1.0], "lifted, it is free");
    }

    #[test]
    fn it_agrees_with_stepping_through_friction_law() {
        for (from, to) in [
            ([0.0, 0.0, -6.0], [40.0, 25.0, -9.0]),
            ([0.0, 0.0, -9.0], [15.0, -30.0, -2.0]),
            ([0.0, 0.0, 5.0], [3.0, 1.0, -8.0]),
        ] {
            let mut tip = [from[0], from[1]];
            let (mut touched, n) = (from[2] < 0.0, 400_000);
            for k in 1..=n {
                let s = f64::from(k) / f64::from(n);
                let at: [f64; 3] = std::array::from_fn(|i| from[i] + (to[i] - from[i]) * s);
                let force = MODEL.force_n(at[2]);
                let d = [at[0] - tip[0], at[1] - tip[1]];
                let length: f64 = d[0].hypot(d[1]);
                if force == 0.0 || (!touched && force > 0.0) {
                    touched = force > 0.0;
                    tip = [at[0], at[1]];
                } else if length * 2e-3 > 0.4 * force {
                    let keep = 0.3 * force / (2e-3 * length);
                    tip = [at[0] - d[0] * keep, at[1] - d[1] * keep];
                }
            }
            let got = ContactState::new(&MODEL, from).follow(&MODEL, to).tip_um(&MODEL);
            assert!((got[0] - tip[0]).hypot(got[1] - tip[1]) < 0.1, "{from:?} {to:?}: {got:?} {tip:?}");
        }
    }

    #[test]
    fn coming_down_sideways_it_slips_from_the_first_touch() {
        // Sideways the pull rises faster than the hold; 0.04 N holds 6 um sliding and 8 um sticking.
        let state = way(&[[0.0, 0.0, 5.0], [30.0, 10.0, -8.0]]);
        let tip = state.tip_um(&MODEL);
        let behind = (30.0 - tip[0]).hypot(10.0 - tip[1]);
        assert!((5.5..=8.0).contains(&behind), "{behind}");
    }

    #[test]
    fn a_way_cut_in_two_ends_where_the_whole_ends() {
        let down = way(&[[0.0, 0.0, 5.0], [0.0, 0.0, -7.0]]);
        let whole = down.follow(&MODEL, [60.0, 30.0, -9.0]).tip_um(&MODEL);
        for share in [0.1, 0.37, 0.8] {
            let part = down.follow(&MODEL, [60.0 * share, 30.0 * share, -7.0 - 2.0 * share]);
            let both = part.follow(&MODEL, [60.0, 30.0, -9.0]).tip_um(&MODEL);
            assert!((both[0] - whole[0]).hypot(both[1] - whole[1]) < 1e-6, "{share}: {both:?} {whole:?}");
        }
    }

    #[test]
    fn a_long_way_under_light_load_ends_and_is_still_dragged() {
        let state = way(&[[0.0, 0.0, 1.0], [0.0, 0.0, -0.001], [20_000.0, 0.0, -0.001]]);
        assert!((state.tip_um(&MODEL)[0] - 20_000.0).abs() < 0.01);
    }

    #[test]
    fn a_scratch_stays_after_the_fibre_is_lifted() {
        let gentle = way(&[[0.0, 0.0, 10.0], [0.0, 0.0, -11.0], [0.0, 0.0, 50.0]]);
        assert_eq!(gentle.scratch_db(&MODEL), 0.0);
        let hard = way(&[[0.0, 0.0, 10.0], [0.0, 0.0, -20.0], [0.0, 0.0, 50.0], [0.0, 0.0, -3.0]]);
        assert!((hard.scratch_db(&MODEL) - 8.0 * 0.15).abs() < 1e-12);
        assert_eq!(hard.deepest_um(), 20.0);
    }
}
