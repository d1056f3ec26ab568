//! Coupling maps: losses measured or computed on a regular grid, read from CSV text, smooth between the points.

use units::text::{Fault, Faults};

use super::gaussian::Misalignment;
use super::interface::{Interface, share};
use crate::table::{Table, fault};

/// How far a coordinate may lie off its place in the grid, in steps: what rounding to a few digits does.
const OFF_GRID_STEPS: f64 = 0.005;
/// Rise of the loss outside of the map, dB per step of the grid: steep, so that the way back is never in doubt.
const OUTSIDE_DB_PER_STEP: f64 = 6.0;
/// Points a map can have: a thousand squared, and far more than a text can be read of at leisure.
const POINTS_MAX: usize = 4_000_000;

/// Loss in dB over x, y and, if the map has it, z in um.
#[derive(Debug, Clone, PartialEq)]
pub struct CouplingMap {
    axes: [Axis; 3],
    /// z runs slowest, x fastest.
    loss_db: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    from: f64,
    step: f64,
    count: usize,
}

impl CouplingMap {
    /// Reads a map with the columns `x_um,y_um,loss_db` or `x_um,y_um,z_um,loss_db`, rows in any order.
    ///
    /// # Errors
    /// All faults with their lines: a column missing, a value that is no number, coordinates off a regular grid, a point
    /// that is missing or given twice, an axis of a single value (z may be).
    pub fn read(text: &str) -> Result<CouplingMap, Faults> {
        let mut faults = Vec::new();
        let map = Self::build(text.trim_start_matches('\u{feff}'), &mut faults);
        faults.sort();
        match map {
            Some(map) if faults.is_empty() => Ok(map),
            _ => Err(Faults(faults)),
        }
    }

    fn build(text: &str, faults: &mut Vec<Fault>) -> Option<CouplingMap> {
        let table = Table::read(text, faults)?;
        if !table.has(&["x_um", "y_um", "loss_db"], faults) {
            return None;
        }
        let points = points(&table, faults);
        if !faults.is_empty() {
            return None;
        }
        let names = ["x_um", "y_um", "z_um"];
        let [x, y, z] = [0, 1, 2].map(|a| axis(&table, &points, a, names[a], faults));
        let axes = [x?, y?, z?];
        let loss_db = fill(&table, &points, &axes, faults)?;
        Some(CouplingMap { axes, loss_db })
    }

    /// Lowest and highest coordinate along x, y and z, um; a map without z has 0 and 0.
    pub fn span_um(&self) -> [(f64, f64); 3] {
        #[expect(clippy::cast_precision_loss, reason = "bounded by POINTS_MAX")]
        self.axes.map(|a| (a.from, a.from + a.step * (a.count - 1) as f64))
    }

    /// The point of least loss, um, and its loss, dB.
    pub fn lowest(&self) -> ([f64; 3], f64) {
        let (index, loss_db) = self
            .loss_db
            .iter()
            .enumerate()
            .fold((0, f64::INFINITY), |best, (k, loss)| if *loss < best.1 { (k, *loss) } else { best });
        let (nx, ny) = (self.axes[0].count, self.axes[1].count);
        let place = [index % nx, index / nx % ny, index / (nx * ny)];
        #[expect(clippy::cast_precision_loss, reason = "bounded by POINTS_MAX")]
        let at = [0, 1, 2].map(|a| self.axes[a].from + self.axes[a].step * place[a] as f64);
        (at, loss_db)
    }

    /// Loss at a place in um, dB: cubic between the points (Catmull-Rom), so that slopes have no steps; outside the map
    /// that of the nearest edge and a steep rise. Finite for all finite places.
    pub fn loss_db(&self, at_um: [f64; 3]) -> f64 {
        let [x, y, z] = [0, 1, 2].map(|a| self.axes[a].place(at_um[a]));
        let outside = x.outside.hypot(y.outside).hypot(z.outside);
        let plane = |k: usize| {
            let row = |j: usize| {
                let row = (k * self.axes[1].count + j) * self.axes[0].count;
                x.blend(self.axes[0].count, |i| self.loss_db[row + i])
            };
            y.blend(self.axes[1].count, row)
        };
        z.blend(self.axes[2].count, plane) + OUTSIDE_DB_PER_STEP * outside
    }
}

impl Interface for CouplingMap {
    /// Tilt and roll are not in the map: they change nothing.
    fn efficiency(&self, _wavelength_um: f64, at: &Misalignment, _roll_rad: f64) -> f64 {
        share(self.loss_db([at.dx_um, at.dy_um, at.dz_um])).min(1.0)
    }
}

struct Point {
    line: usize,
    at: [f64; 3],
    loss_db: f64,
}

fn points(table: &Table, faults: &mut Vec<Fault>) -> Vec<Point> {
    let deep = table.header.iter().any(|c| c.text == "z_um");
    let mut points = Vec::with_capacity(table.rows.len());
    for row in table.rows.iter().take(POINTS_MAX) {
        let mut number = |name| table.number(row, name, |_| true, "finite number", faults);
        let (x, y, loss) = (number("x_um"), number("y_um"), number("loss_db"));
        let z = if deep { number("z_um") } else { Some(0.0) };
        if let (Some(x), Some(y), Some(z), Some(loss_db)) = (x, y, z, loss) {
            points.push(Point { line: row.line, at: [x, y, z], loss_db });
        }
    }
    if points.is_empty() || table.rows.len() > POINTS_MAX {
        let message = format!("a map has 4 to {POINTS_MAX} points, not {}", table.rows.len());
        faults.push(fault(table.header_line, 1, message, None));
    }
    points
}

/// The grid along one axis: its different values, evenly apart.
fn axis(table: &Table, points: &[Point], which: usize, name: &str, faults: &mut Vec<Fault>) -> Option<Axis> {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|a, b| a.at[which].total_cmp(&b.at[which]));
    let span = sorted.last()?.at[which] - sorted.first()?.at[which];
    sorted.dedup_by(|a, b| (a.at[which] - b.at[which]).abs() <= span * 1e-9);
    let (from, count) = (sorted.first()?.at[which], sorted.len());
    if count == 1 && which < 2 {
        faults.push(fault(table.header_line, 1, format!("column {name} has a single value; a map needs two"), None));
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "bounded by POINTS_MAX")]
    let (step, place) = (if count > 1 { span / (count - 1) as f64 } else { 1.0 }, |k: usize| k as f64);
    let off = sorted.iter().enumerate().find(|(k, p)| ((p.at[which] - from) / step - place(*k)).abs() > OFF_GRID_STEPS);
    if let Some((_, point)) = off {
        let message =
            format!("{name} = {} is off the regular grid of {count} values from {from} by {step}", point.at[which]);
        faults.push(fault(point.line, 1, message, Some("a map's points are evenly apart along each axis".into())));
        return None;
    }
    Some(Axis { from, step, count })
}

/// Losses in the order of the grid, each point once.
fn fill(table: &Table, points: &[Point], axes: &[Axis; 3], faults: &mut Vec<Fault>) -> Option<Vec<f64>> {
    let size = axes.iter().try_fold(1usize, |all, a| all.checked_mul(a.count));
    let Some(size) = size.filter(|s| *s <= POINTS_MAX) else {
        let message = format!("{} points do not fill a regular grid", points.len());
        faults.push(fault(table.header_line, 1, message, None));
        return None;
    };
    let mut grid = vec![f64::NAN; size];
    for point in points {
        let [i, j, k] = [0, 1, 2].map(|a| axes[a].index(point.at[a]));
        let slot = &mut grid[(k * axes[1].count + j) * axes[0].count + i];
        if !slot.is_nan() {
            let [x, y, z] = point.at;
            faults.push(fault(point.line, 1, format!("a second value at x {x}, y {y}, z {z}"), None));
        }
        *slot = point.loss_db;
    }
    let holes = grid.iter().filter(|v| v.is_nan()).count();
    if let Some(first) = grid.iter().position(|v| v.is_nan()) {
        let (row, i) = (first / axes[0].count, first % axes[0].count);
        let at = [axes[0].value(i), axes[1].value(row % axes[1].count), axes[2].value(row / axes[1].count)];
        let message =
            format!("{holes} of {size} points are missing, the first at x {}, y {}, z {}", at[0], at[1], at[2]);
        faults.push(fault(table.header_line, 1, message, None));
    }
    faults.is_empty().then_some(grid)
}

/// A place along one axis: the point before it, the way to the next, and how many steps it is outside.
struct Place {
    index: usize,
    part: f64,
    outside: f64,
}

impl Axis {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within the axis")]
    fn index(&self, at: f64) -> usize {
        (((at - self.from) / self.step).round().max(0.0) as usize).min(self.count - 1)
    }

    #[expect(clippy::cast_precision_loss, reason = "bounded by POINTS_MAX")]
    fn value(&self, index: usize) -> f64 {
        self.from + self.step * index as f64
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within the axis")]
    #[expect(clippy::cast_precision_loss, reason = "bounded by POINTS_MAX")]
    fn place(&self, at: f64) -> Place {
        if self.count == 1 {
            // A single plane says nothing of its axis.
            return Place { index: 0, part: 0.0, outside: 0.0 };
        }
        let steps = (at - self.from) / self.step;
        let inside = steps.clamp(0.0, (self.count - 1) as f64);
        let index = (inside.floor() as usize).min(self.count - 2);
        Place { index, part: inside - index as f64, outside: (steps - inside).abs() }
    }
}

impl Place {
    /// The cubic through the four points about the place; beyond the ends the parabola of the last three goes on.
    fn blend(&self, count: usize, value: impl Fn(usize) -> f64) -> f64 {
        if count == 1 {
            return value(0);
        }
        let (p1, p2) = (value(self.index), value(self.index + 1));
        let before = self.index.checked_sub(1).map(&value);
        let after = (self.index + 2 < count).then(|| value(self.index + 2));
        let beyond = |near: f64, next: f64, third: Option<f64>| match third {
            Some(third) => 3.0 * near - 3.0 * next + third,
            None => 2.0 * near - next,
        };
        let p0 = before.unwrap_or_else(|| beyond(p1, p2, after));
        let p3 = after.unwrap_or_else(|| beyond(p2, p1, before));
        let t = self.part;
        let cubic = 3.0 * (p1 - p2) + p3 - p0;
        let square = 2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3;
        p1 + t * (p2 - p0 + t * (square + t * cubic)) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bowl(x: f64, y: f64, z: f64) -> f64 {
        3.0 + 0.2 * (x - 1.1).powi(2) + 0.1 * (y + 0.3).powi(2) - 0.05 * x * y + 0.01 * (z - 12.0).powi(2)
    }

    fn bowl_text(deep: bool) -> String {
        let mut rows = Vec::new();
        for (i, j, k) in
            (0..9).flat_map(|i| (0..7).flat_map(move |j| (0..if deep { 4 } else { 1 }).map(move |k| (i, j, k))))
        {
            let (x, y, z) = (f64::from(i) - 4.0, f64::from(j) * 1.5 - 4.5, f64::from(k) * 10.0);
            let loss = bowl(x, y, z);
            rows.push(if deep { format!("{x},{y},{z},{loss}") } else { format!("{x},{y},{loss}") });
        }
        // Any order will do.
        rows.sort();
        format!("{}\n{}\n", if deep { "x_um,y_um,z_um,loss_db" } else { "x_um,y_um,loss_db" }, rows.join("\n"))
    }

    /// A Gaussian mode is a parabola in dB, and cubics reproduce parabolas: everywhere, edges too.
    #[test]
    fn parabolas_are_reproduced_between_the_points() {
        for deep in [false, true] {
            let map = CouplingMap::read(&bowl_text(deep)).unwrap();
            for n in 0..500 {
                let draw = crate::noise::Stream::new(1, "map").child(n);
                let z = if deep { 15.0 + 15.0 * draw.symmetric(2) } else { 0.0 };
                let at = [4.0 * draw.symmetric(0), 4.5 * draw.symmetric(1), z];
                assert!((map.loss_db(at) - bowl(at[0], at[1], at[2])).abs() < 1e-10, "{at:?}");
            }
        }
    }

    #[test]
    fn a_map_knows_its_span_and_its_lowest_point() {
        let map = CouplingMap::read(&bowl_text(true)).unwrap();
        assert_eq!(map.span_um(), [(-4.0, 4.0), (-4.5, 4.5), (0.0, 30.0)]);
        assert_eq!(map.lowest(), ([1.0, 0.0, 10.0], bowl(1.0, 0.0, 10.0)));
    }

    #[test]
    fn slopes_have_no_steps_at_the_points_of_rough_maps() {
        let mut text = String::from("x_um,y_um,loss_db\n");
        for (i, j) in (0..8).flat_map(|i| (0..8).map(move |j| (i, j))) {
            text += &format!("{i},{j},{}\n", 20.0 * crate::noise::Stream::new(2, "rough").uniform(i * 8 + j));
        }
        let map = CouplingMap::read(&text).unwrap();
        let slope = |x: f64| (map.loss_db([x + 1e-6, 3.3, 0.0]) - map.loss_db([x - 1e-6, 3.3, 0.0])) / 2e-6;
        for knot in [2.0, 3.0, 5.0] {
            assert!((slope(knot - 1e-5) - slope(knot + 1e-5)).abs() < 0.01);
        }
        let peak = map.efficiency(1.55, &Misalignment { dx_um: 3.0, dy_um: 4.0, ..Default::default() }, 0.0);
        assert!((-10.0 * peak.log10() - map.loss_db([3.0, 4.0, 0.0])).abs() < 1e-9);
    }

    #[test]
    fn outside_the_loss_rises_from_the_nearest_edge() {
        let map = CouplingMap::read(&bowl_text(true)).unwrap();
        let edge = map.loss_db([4.0, 1.0, 10.0]);
        assert!((map.loss_db([4.5, 1.0, 10.0]) - edge - 3.0).abs() < 1e-9);
        assert!(map.loss_db([1e9, -1e9, 1e300]).is_finite());
        let corner = map.loss_db([-4.0, -4.5, 0.0]);
        assert!((map.loss_db([-7.0, -10.5, 0.0]) - corner - 30.0).abs() < 1e-9);
    }

    #[track_caller]
    fn check_fault(text: &str, expect: &str) {
        let faults = CouplingMap::read(text).unwrap_err();
        assert!(faults.0.iter().any(|f| f.to_string().starts_with(expect)), "{faults:?}");
    }

    #[test]
    fn what_is_no_regular_grid_is_told_with_its_line() {
        check_fault("", "1:1: the table is empty");
        check_fault("x_um,y_um\n1,2\n", "1:1: no column loss_db");
        check_fault("x_um,y_um,loss_db\n", "1:1: a map has 4 to");
        check_fault("x_um,y_um,loss_db\n0,0,1\n1,0,nan\n", "3:5: column loss_db: \"nan\"");
        check_fault("x_um,y_um,loss_db\n0,0,1\n1,0,1\n", "1:1: column y_um has a single value");
        check_fault(
            "x_um,y_um,loss_db\n0,0,1\n1,0,1\n0,1,1\n",
            "1:1: 1 of 4 points are missing, the first at x 1, y 1",
        );
        check_fault("x_um,y_um,loss_db\n0,0,1\n1,0,1\n0,1,1\n1,1,1\n1,0,2\n", "6:1: a second value at x 1, y 0");
        check_fault("x_um,y_um,loss_db\n0,0,1\n1,0,1\n3,0,1\n0,1,1\n1,1,1\n3,1,1\n", "3:1: x_um = 1 is off");
        check_fault("x_um,y_um,loss_db\n0,0\n", "2:1: 2 values for the 3 columns");
    }
}
