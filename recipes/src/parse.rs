//! From text to a [`Recipe`], or every fault at once.

use sha2::{Digest as _, Sha256};
use units::text::{self, Faults, Table};

use crate::{Axis, EndSpec, Limit, Method, Objective, Quantity, Recipe, Step, UnitSpec};

/// Most steps a recipe may have; more is a mistake of a generator, not a product.
const STEPS_MAX: usize = 200;

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// All faults of the text, each with line, column and hint.
    pub fn parse(text: &str) -> Result<Recipe, Faults> {
        text::read(text, |root| recipe(root, text))
    }

    /// Reads a recipe from the bytes of a file.
    ///
    /// # Errors
    /// As [`Recipe::parse`]; bytes that are not UTF-8 are a fault with their place.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Recipe, Faults> {
        Recipe::parse(text::from_utf8(bytes)?)
    }
}

fn recipe(root: &Table<'_>, text: &str) -> Option<Recipe> {
    if text.trim().is_empty() {
        root.fault_here("the recipe is empty", "see `firstlight recipe show 400g-fr4` for one that runs");
        return None;
    }
    let product = root.need_str("product");
    let revision = root.need_str("revision");
    let part_number = root.need_str("part_number");
    let description = root.str("description").unwrap_or_default();
    let fixture = root.need_str("fixture");
    let unit = root.need_table("unit").and_then(|t| unit(&t));
    let steps = steps(root, unit.as_ref());
    let limits = limits(root, steps.as_deref().unwrap_or_default());
    Some(Recipe {
        product: product?.to_string(),
        revision: revision?.to_string(),
        part_number: part_number?.to_string(),
        description: description.to_string(),
        fixture: fixture?.to_string(),
        unit: unit?,
        steps: steps?,
        limits: limits?,
        text: text.to_string(),
        hash: Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect(),
    })
}

/// How far modes of a lot scatter where the recipe does not say, relative.
const MODE_SPREAD: f64 = 0.05;

fn unit(t: &Table<'_>) -> Option<UnitSpec> {
    let components = t.str_list("components").unwrap_or_default();
    let wavelength = t.need_f64_within("wavelength_nm", 400.0, 2000.0);
    let mode = t.need_f64_within("mode_field_diameter_um", 1.0, 200.0);
    let chip = t.f64_within("chip_mode_field_diameter_um", 0.5, 200.0, mode.unwrap_or(1.0));
    let mode_spread = t.f64_within("mode_spread", 0.005, 0.3, MODE_SPREAD);
    let aperture = t.has("aperture_diameter_um").then(|| t.f64_within("aperture_diameter_um", 5.0, 2000.0, 50.0));
    let pitch = t.has("channel_pitch_um").then(|| t.f64_within("channel_pitch_um", 10.0, 5000.0, 127.0));
    let loss = t.need_f64_within("expected_loss_db", 0.0, 60.0);
    let second = t.table("second").map(|t| end(&t, (mode.unwrap_or(1.0), chip, mode_spread)));
    if second.is_some() && (aperture.is_some() || pitch.is_some()) {
        let hint = "take `aperture_diameter_um` and `channel_pitch_um` away, or `[unit.second]`";
        t.fault("second", "a part with a second end has one channel and no flat top", hint);
    }
    Some(UnitSpec {
        second,
        components: components.into_iter().map(str::to_string).collect(),
        wavelength_nm: wavelength?,
        mode_field_diameter_um: mode?,
        chip_mode_field_diameter_um: chip,
        mode_spread,
        aperture_diameter_um: aperture,
        channel_pitch_um: pitch,
        expected_loss_db: loss?,
    })
}

/// The other end of a part, as the first one where nothing else is said.
fn end(t: &Table<'_>, (mode, chip, spread): (f64, f64, f64)) -> EndSpec {
    EndSpec {
        mode_field_diameter_um: t.f64_within("mode_field_diameter_um", 1.0, 200.0, mode),
        chip_mode_field_diameter_um: t.f64_within("chip_mode_field_diameter_um", 0.5, 200.0, chip),
        mode_spread: t.f64_within("mode_spread", 0.005, 0.3, spread),
    }
}

fn steps(root: &Table<'_>, unit: Option<&UnitSpec>) -> Option<Vec<Step>> {
    let tables = root.tables("steps");
    if tables.is_empty() {
        if !root.has("steps") {
            root.fault_here("missing steps: a recipe without steps does nothing", "add `[[steps]]` tables");
        }
        return None;
    }
    if tables.len() > STEPS_MAX {
        root.fault("steps", format!("{} steps", tables.len()), format!("at most {STEPS_MAX}"));
    }
    let flat_top = unit.is_some_and(|u| u.aperture_diameter_um.is_some());
    let array = unit.is_some_and(|u| u.channel_pitch_um.is_some());
    let mut done = Done::default();
    let mut steps = Vec::new();
    for table in &tables {
        if let Some(step) = step(table) {
            done.check(table, &step);
            // A flat top says nothing of the distance along the light.
            if flat_top
                && matches!(&step, Step::Peak { axes, method: Method::Engine | Method::Auto, .. } if axes.contains(&Axis::Z))
            {
                let hint = "give axes = [\"x\", \"y\"], or method = \"parabola\"";
                table.fault("axes", "the engine centres a flat top (`aperture_diameter_um`) in x and y alone", hint);
            }
            match (&step, unit) {
                (Step::Peak { axes, method, .. }, Some(unit)) => {
                    if let Some((message, hint)) = unit.refuses(axes, *method) {
                        table.fault("axes", message, hint);
                    }
                }
                (Step::FirstLight { both_ends: true, .. }, Some(UnitSpec { second: None, .. })) => {
                    table.fault("ends", "the unit has no second end", "add a `[unit.second]` table");
                }
                _ => {}
            }
            if array && matches!(&step, Step::Peak { method, .. } if method.is_the_controllers()) {
                let hint = "use the engine, which reads all channels at once";
                table.fault("method", "a controller sees one channel of an array (`channel_pitch_um`)", hint);
            }
            steps.push(step);
        }
    }
    (steps.len() == tables.len()).then_some(steps)
}

/// What earlier steps have brought about, for steps that need it.
#[derive(Default)]
struct Done {
    lit: bool,
    near: bool,
}

impl Done {
    fn check(&mut self, table: &Table<'_>, step: &Step) {
        let needs_light = matches!(step, Step::FirstLight { .. } | Step::Peak { .. } | Step::Measure { .. });
        if needs_light && !self.lit {
            table.fault("do", format!("\"{}\" with the source off", step.kind()), "put a `source_on` step before it");
        }
        if matches!(step, Step::FirstLight { .. } | Step::Peak { .. }) && !self.near {
            table.fault("do", format!("\"{}\" before any `approach`", step.kind()), "put an `approach` step before it");
        }
        match step {
            Step::SourceOn { .. } => self.lit = true,
            Step::SourceOff => self.lit = false,
            Step::Approach { .. } => self.near = true,
            Step::Retract => self.near = false,
            _ => {}
        }
    }
}

fn step(t: &Table<'_>) -> Option<Step> {
    let kinds = ["source_on", "reference", "approach", "first_light", "peak", "measure", "source_off", "retract"];
    let kind = t.need_choice("do", &kinds.map(|k| (k, k)));
    let Some(kind) = kind else {
        t.leave();
        return None;
    };
    match kind {
        "source_on" => Some(Step::SourceOn {
            settled_within_db: t.f64_within("settled_within_db", 0.001, 1.0, 0.02),
            timeout_s: t.f64_within("timeout_s", 0.1, 600.0, 20.0),
        }),
        "reference" => Some(Step::Reference),
        "approach" => approach(t),
        "first_light" => {
            let radius = t.need_f64_within("radius_um", 1.0, 2000.0);
            let threshold = t.need_f64_within("threshold_db", -60.0, -3.0);
            let both_ends = t.choice("ends", &[("first", false), ("both", true)]).unwrap_or_default();
            Some(Step::FirstLight { radius_um: radius?, threshold_db: threshold?, both_ends })
        }
        "peak" => peak(t),
        "measure" => {
            let quantity = t.need_choice("quantity", &Quantity::ALL.map(|q| (q.as_str(), q)));
            let readings = t.i64_within("readings", 1, 10_000, 16);
            Some(Step::Measure { quantity: quantity?, readings: u32::try_from(readings).ok()? })
        }
        "source_off" => Some(Step::SourceOff),
        _ => Some(Step::Retract),
    }
}

fn approach(t: &Table<'_>) -> Option<Step> {
    let to = t.need_table("to")?;
    let mut targets = Vec::new();
    for (name, value) in to.numbers() {
        match Axis::named(name) {
            Some(axis) => targets.push((axis, value)),
            None => to.fault(name, format!("there is no axis \"{name}\""), AXES_HINT),
        }
    }
    if targets.is_empty() {
        t.fault("to", "names no axis", AXES_HINT);
    }
    targets.sort_by_key(|(axis, _)| *axis);
    Some(Step::Approach { to: targets })
}

const AXES_HINT: &str = "axes are x, y, z (um), rx, ry, rz (degrees), and of a part's other end x2, y2, z2";

fn peak(t: &Table<'_>) -> Option<Step> {
    let names = t.str_list("axes").unwrap_or_else(|| vec!["x", "y", "z"]);
    let method = t.choice("method", &Method::ALL.map(|m| (m.as_str(), m))).unwrap_or_default();
    let mut axes = Vec::new();
    for name in &names {
        match Axis::named(name) {
            Some(axis) if axis.is_angle() && method == Method::Parabola => {
                t.fault("axes", format!("\"{name}\" is an angle"), "parabolas do not search angles: the engine does");
            }
            Some(axis) if !matches!(axis, Axis::X | Axis::Y) && method.is_the_controllers() => {
                let message = format!("\"{name}\" is not across the light");
                t.fault("axes", message, "a controller searches x and y by itself: give [\"x\", \"y\"]");
            }
            Some(axis) if axes.contains(&axis) => t.fault("axes", format!("\"{name}\" twice"), "name each axis once"),
            Some(axis) => axes.push(axis),
            None => t.fault("axes", format!("there is no axis \"{name}\""), AXES_HINT),
        }
    }
    if !(axes.contains(&Axis::X) && axes.contains(&Axis::Y)) {
        t.fault("axes", "a peak search needs both x and y", "give [\"x\", \"y\"] or [\"x\", \"y\", \"z\"]");
    }
    Some(Step::Peak {
        axes,
        z_range_um: t.f64_within("z_range_um", 1.0, 5000.0, 100.0),
        tolerance_db: t.f64_within("tolerance_db", 0.001, 1.0, 0.02),
        method,
        angle_range_deg: t.f64_within("angle_range_deg", 0.05, 10.0, 1.0),
        objective: t
            .choice("objective", &[("sum", Objective::Sum), ("weakest", Objective::Weakest)])
            .unwrap_or_default(),
    })
}

fn limits(root: &Table<'_>, steps: &[Step]) -> Option<Vec<Limit>> {
    let mut limits = Vec::new();
    for (name, table) in root.named_tables("limits") {
        let Some(quantity) = Quantity::ALL.into_iter().find(|q| q.as_str() == name) else {
            let known: Vec<&str> = Quantity::ALL.iter().map(|q| q.as_str()).collect();
            table.leave();
            table.fault_here("there is no such measurement", format!("measurements are: {}", known.join(", ")));
            continue;
        };
        limits.extend(limit(&table, quantity, steps));
    }
    Some(limits)
}

fn limit(t: &Table<'_>, quantity: Quantity, steps: &[Step]) -> Option<Limit> {
    let lower = t.f64("lower");
    let upper = t.f64("upper");
    if let Some(unit) = t.need_str("unit")
        && unit != quantity.unit()
    {
        t.fault("unit", format!("{} is in {}, not {unit}", quantity.as_str(), quantity.unit()), "convert the limit");
    }
    if lower.is_none() && upper.is_none() {
        t.fault_here("limits nothing", "give `lower`, `upper` or both");
    }
    if let (Some(l), Some(u)) = (lower, upper)
        && l > u
    {
        t.fault("lower", format!("{l} is above the upper limit {u}"), "no value could pass: swap them");
    }
    let measured = steps.iter().any(|s| matches!(s, Step::Measure { quantity: q, .. } if *q == quantity));
    if !measured {
        t.fault_here(
            format!("a limit without a measurement: no step measures {}", quantity.as_str()),
            format!("add a step with do = \"measure\", quantity = \"{}\", or remove the limit", quantity.as_str()),
        );
    }
    Some(Limit { quantity, lower, upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> &'static str {
        crate::named("400g-fr4").unwrap()
    }

    fn faults(text: &str) -> String {
        Recipe::parse(text).unwrap_err().0.iter().map(|f| format!("{f}\n")).collect()
    }

    /// Replaces one piece of the good recipe and expects a fault that says `expect`, at the line of `at`.
    fn check(from: &str, to: &str, expect: &str) {
        assert!(good().contains(from), "the recipe no longer has {from}");
        let got = faults(&good().replacen(from, to, 1));
        assert!(got.contains(expect), "{to}: {got}");
    }

    #[test]
    fn each_kind_of_fault_is_named_with_what_to_do() {
        check("revision = ", "revsion = ", "did you mean `revision`?");
        check("wavelength_nm = 1310", "wavelength_nm = \"1310\"", "expected a finite number, found string");
        check("wavelength_nm = 1310", "wavelength_nm = 13", "13 is outside 400 to 2000");
        check("axes = [\"x\", \"y\", \"z\"]", "axes = [\"x\", \"q\"]", "there is no axis \"q\"");
        check("axes = [\"x\", \"y\", \"z\"]", "axes = [\"x\", \"y\", \"x2\"]", "second end, which the unit has not");
        check("method = \"engine\"", "method = \"dither\"\nobjective = \"least\"", "\"least\" is not known");
        let searched = "axes = [\"x\", \"y\", \"z\"]\nz_range_um = 150               # how far from z = 0 the focus may be\nmethod";
        check(searched, "axes = [\"x\", \"y\", \"rx\"]\nmethod = \"parabola\"\n#", "is an angle");
        check("method = \"engine\"", "method = \"area_scan\"", "\"z\" is not across the light");
        check("method = \"engine\"", "method = \"track\"", "\"z\" is not across the light");
        let array = "axes = [\"x\", \"y\"]\nmethod = \"gradient_search\"\n#";
        let pitch = good().replace("expected_loss_db = 1.0", "channel_pitch_um = 250\nexpected_loss_db = 1.0");
        let got = faults(&pitch.replace(searched, array));
        assert!(got.contains("sees one channel of an array"), "{got}");
        check("quantity = \"coupling_loss\"", "quantity = \"coupled_power\"", "a limit without a measurement");
        check("unit = \"dB\"", "unit = \"mW\"", "coupling_loss is in dB, not mW");
        check("upper = 1.8", "upper = 1.8\nlower = 2", "2 is above the upper limit 1.8");
        check("expected_loss_db = 1.0", "expected_loss_db = 1\naperture_diameter_um = 50", "in x and y alone");
        check("method = \"engine\"", "method = \"engin\"", "\"engin\" is not known");
        check("do = \"source_on\"", "do = \"reference\"", "with the source off");
        check("do = \"approach\"", "do = \"aproach\"", "\"aproach\" is not known");
        check("[limits.coupling_loss]", "[limits.loss]", "there is no such measurement");
        check("to = { x = 0, y = 0, z = 0 }", "to = { a = 0 }", "there is no axis \"a\"");
    }

    #[test]
    fn a_second_end_is_searched_with_the_first_by_what_can_search_both() {
        let chip = crate::named("pic-through").unwrap();
        let recipe = Recipe::parse(chip).unwrap();
        let fibre = EndSpec { mode_field_diameter_um: 5.0, chip_mode_field_diameter_um: 5.0, mode_spread: 0.05 };
        assert_eq!(recipe.unit.second, Some(fibre));
        assert!(matches!(recipe.steps[3], Step::FirstLight { both_ends: true, .. }));
        let check = |from: &str, to: &str, expect: &str| {
            assert!(chip.contains(from), "{from}");
            let got = faults(&chip.replacen(from, to, 1));
            assert!(got.contains(expect), "{to}: {got}");
        };
        check("[unit.second] ", "#", "x2, y2 and z2 are of a second end, which the unit has not");
        check("[unit.second] ", "#", "the unit has no second end");
        check("\"x2\", \"y2\", \"z2\"]", "\"x2\", \"z2\"]", "needs both x2 and y2");
        check("\"z2\"]", "\"z2\", \"rz\"]", "angles are not searched with a second end");
        for method in ["parabola", "dither", "spiral"] {
            check("method = \"engine\"", &format!("method = \"{method}\""), "searches one end alone");
        }
        check("ends = \"both\"", "ends = \"all\"", "\"all\" is not known");
        check("expected_loss_db", "channel_pitch_um = 250\nexpected_loss_db", "one channel and no flat top");
    }

    #[test]
    fn empty_and_blank_files_say_so() {
        for text in ["", "  \n\n"] {
            assert!(faults(text).contains("the recipe is empty"), "{}", faults(text));
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_a_fault_with_a_place() {
        let faults = Recipe::parse_bytes(b"product = \"a\"\nrevision = \"\xfe\"").unwrap_err();
        assert_eq!((faults.0[0].line, faults.0[0].column), (2, 13));
    }

    #[test]
    fn several_faults_are_told_at_once_in_the_order_of_their_places() {
        let text = good().replace("revision = ", "revsion = ").replace("readings = 16", "readings = 0");
        let got = Recipe::parse(&text).unwrap_err().0;
        assert!(got.len() >= 3, "{got:?}");
        assert!(got.windows(2).all(|w| w[0].line <= w[1].line));
    }

    #[test]
    fn the_hash_is_of_the_text_and_changes_with_it() {
        let a = Recipe::parse(good()).unwrap();
        let b = Recipe::parse(&format!("{}\n# a remark\n", good())).unwrap();
        assert_eq!(a.hash.len(), 64);
        assert_ne!(a.hash, b.hash);
    }

    #[test]
    fn limits_let_their_ends_pass_and_refuse_nan() {
        let limit = Limit { quantity: Quantity::CouplingLoss, lower: Some(0.0), upper: Some(1.5) };
        assert!(limit.holds(0.0) && limit.holds(1.5));
        assert!(!limit.holds(1.5001) && !limit.holds(-0.1) && !limit.holds(f64::NAN));
    }
}
